/* process/arena_view.c: the reader's side of an arena; see arena.h.
 *
 * State    segments by number, as they came over the socket. Each counts who refers to it: the view, and what is held; the last one
 *          unmaps it.
 * Orders
 *   R5 fetch_sub_acq_rel references (drop) -> R5 fetch_sub_acq_rel references (drop): the last unmaps what all have read */
#include "base/atomics.h"
#include "os/memory.h"
#include "os/shm.h"
#include "os/socket.h"
#include "process/arena.h"
#include "process/segment.h"

/* No writer has that many segments: they would be a TiB. */
#define SEGMENTS_LIMIT ((uint32_t)1 << 18)

struct segment {
    int64_t references;
    struct filch__segment_head *head;
    uint64_t block;
    size_t mapped;
    uint32_t blocks;
};

struct filch__held {
    struct segment *segment;
    uint32_t block;
};

struct filch__arena_view {
    int socket;
    struct segment **segments; /* number - 1; NULL: none, or dropped */
    uint32_t count, room;
};

struct filch__arena_view *filch__arena_view_create(int socket) {
    struct filch__arena_view *v = filch__alloc_zeroed(sizeof *v);
    if (v != NULL) v->socket = socket;
    return v;
}

static void drop_segment(struct segment *s) {
    if (fetch_sub_acq_rel(&s->references, 1) != 1) return; /* R5 -> R5 */
    filch__unmap(s->head, s->mapped);
    filch__free(s);
}

void filch__arena_view_destroy(struct filch__arena_view *v) {
    if (v == NULL) return;
    for (uint32_t i = 0; i < v->count; i++)
        if (v->segments[i] != NULL) drop_segment(v->segments[i]);
    filch__free(v->segments);
    filch__free(v);
}

/* Lets go of segments that the writer will never name again. */
static void sweep(struct filch__arena_view *v) {
    for (uint32_t i = 0; i < v->count; i++) {
        struct segment *s = v->segments[i];
        if (s == NULL || load_acquire(&s->head->dropped) == 0) continue; /* R4 <- R3 */
        v->segments[i] = NULL;
        drop_segment(s);
    }
}

static bool make_room(struct filch__arena_view *v) {
    if (v->count < v->room) return true;
    uint32_t room = v->room == 0 ? 16 : 2 * v->room;
    struct segment **segments = filch__alloc(room * sizeof(struct segment *));
    if (segments == NULL) return false;
    for (uint32_t i = 0; i < v->count; i++) segments[i] = v->segments[i];
    filch__free(v->segments);
    v->segments = segments;
    v->room = room;
    return true;
}

static bool is_valid(const struct filch__arena_view *v, const struct filch__segment_packet *p,
                     size_t file) {
    size_t bytes;
    return p->number == v->count + 1 && p->number <= SEGMENTS_LIMIT && p->blocks != 0 &&
           p->blocks <= SEGMENT_WORDS * 64 && p->block != 0 && p->block % 4096 == 0 &&
           !__builtin_mul_overflow(p->block, p->blocks, &bytes) &&
           !__builtin_add_overflow(bytes, (size_t)SEGMENT_HEAD, &bytes) && file == bytes;
}

static struct segment *map_segment(const struct filch__segment_packet *p, size_t size, int fd) {
    struct segment *s = filch__alloc(sizeof *s);
    if (s == NULL) return NULL;
    *s = (struct segment){1, filch__shm_map(fd, 0, size, true, NULL), p->block, size, p->blocks};
    if (s->head != NULL) return s;
    filch__free(s);
    return NULL;
}

/* The next segment from the socket. False: none is there, or it is not valid, or cannot be mapped. */
static bool receive_segment(struct filch__arena_view *v) {
    struct filch__segment_packet packet;
    int fd = -1, n = 1;
    long got = filch__socket_receive(v->socket, &packet, sizeof packet, &fd, &n);
    bool right = got == (long)sizeof packet && n == 1;
    size_t size = right ? filch__shm_size(fd) : 0;
    struct segment *s = NULL;
    sweep(v);
    if (right && is_valid(v, &packet, size) && make_room(v)) s = map_segment(&packet, size, fd);
    if (n == 1) filch__fd_close(fd);
    if (s == NULL) return false;
    v->segments[v->count++] = s;
    return true;
}

void *filch__arena_view_hold(struct filch__arena_view *v, const struct filch__bytes *bytes,
                             struct filch__held **held) {
    while (bytes->segment > v->count)
        if (!receive_segment(v)) return NULL;
    if (bytes->segment == 0) return NULL;
    struct segment *s = v->segments[bytes->segment - 1];
    if (s == NULL || bytes->offset < SEGMENT_HEAD || bytes->size > s->block) return NULL;
    uint64_t place = bytes->offset - SEGMENT_HEAD, block = place / s->block;
    if (place % s->block != 0 || block >= s->blocks) return NULL;
    struct filch__held *h = filch__alloc(sizeof *h);
    if (h == NULL) return NULL;
    *h = (struct filch__held){s, (uint32_t)block};
    fetch_add_relaxed(&s->references, 1); /* relaxed: the view holds one, a count */
    *held = h;
    return (char *)s->head + bytes->offset;
}

void filch__held_release(struct filch__held *held) {
    if (held == NULL) return;
    struct segment *s = held->segment;
    uint64_t bit = UINT64_C(1) << held->block % 64;
    fetch_or_acq_rel(&s->head->returned[held->block / 64], bit); /* R1 -> R2 */
    drop_segment(s);
    filch__free(held);
}
