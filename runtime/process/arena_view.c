/* process/arena_view.c: the reader's side of an arena (arena.h): references are checked, blocks held and given back.
 *
 * Flow     hold: the segment is looked up, and received from the socket if it is unknown; release: the block's bit is set
 *          in the segment's head, with its pages, or without them if enough idle ones are kept already.
 * State    the view and its table belong to the thread that reads; a segment's count, the state of its blocks, and `idle` are
 *          shared with threads that release.
 * Keeps    1. A block is held once at a time: a second reference to it is refused.
 *          2. idle[class]: bytes of blocks that were given back with their pages and not held again since.
 * Orders
 *   A3 store_release state (release) -> A4 load_acquire state (hold): the holder is done with it
 *   A5 fetch_sub_acq_rel count (drop) -> A5 fetch_sub_acq_rel count (drop): the last unmaps or frees after all others
 * Memory   a segment lives as long as the view's table has it or a block is held; a view as long as it is not destroyed or
 *          has segments. */
#include "process/arena.h"

#include "base/atomics.h"
#include "base/point.h"
#include "os/memory.h"
#include "os/shm.h"
#include "os/socket.h"
#include "process/segment.h"
#include <errno.h>
#include <string.h>

/* Bytes of idle blocks that keep their pages: of all that stand alone, and of each class. One block may pass the bound, so that the
 * last that was used is always warm. 256 MiB in all. */
enum { ARENA_KEPT_ALONE = 128 << 20, ARENA_KEPT_CLASS = 16 << 20 };
/* A segment that far beyond those that have come cannot be on its way: the socket has not that much room. */
enum { NUMBERS_AHEAD = 1024 };

enum { BLOCK_AWAY, BLOCK_HELD, BLOCK_IDLE };

struct filch__held {
    struct segment *segment;
    uint32_t index;
    uint32_t state; /* BLOCK_... */
};

struct segment {
    struct filch__arena_view *view;
    char *base;
    uint64_t block;
    uint32_t count; /* blocks that are held, and one for the table */
    uint32_t blocks;
    struct filch__held held[];
};

struct filch__arena_view {
    int socket;
    int fd; /* of the segment that has come and is not mapped; -1: none */
    struct filch__segment_packet packet;
    bool broken; /* garbage came from the socket */
    bool closed;
    uint32_t count;         /* segments, and one until it is destroyed */
    uint32_t known, room;   /* of the table */
    struct segment **table; /* number - 1 */
    int64_t idle[CLASS_ALONE + 1];
};

struct filch__arena_view *filch__arena_view_create(int socket) {
    struct filch__arena_view *view = filch__alloc_zeroed(sizeof *view);
    if (view == NULL) return NULL;
    view->socket = socket;
    view->fd = -1;
    view->count = 1;
    return view;
}

static void drop_view(struct filch__arena_view *view) {
    if (fetch_sub_acq_rel(&view->count, 1) == 1) filch__free(view); /* A5 -> A5; A5 <- A5 */
}

static void drop_segment(struct segment *segment) {
    if (fetch_sub_acq_rel(&segment->count, 1) != 1) return; /* A5 -> A5; A5 <- A5 */
    struct filch__arena_view *view = segment->view;
    filch__unmap(segment->base, segment_size(segment->block));
    filch__free(segment);
    drop_view(view);
}

void filch__arena_view_destroy(struct filch__arena_view *view) {
    if (view == NULL) return;
    store_relaxed(&view->closed, true); /* relaxed: a hint for those who release */
    for (uint32_t i = 0; i < view->known; i++) drop_segment(view->table[i]);
    filch__free(view->table);
    filch__fd_close(view->fd);
    drop_view(view);
}

/* Segments ------------------------------------------------------------------------------------------- */

/* The next packet and its descriptor, checked. Returns 0 or an errno. */
static int receive(struct filch__arena_view *view) {
    int n = 1;
    long size =
        filch__socket_receive(view->socket, &view->packet, sizeof view->packet, &view->fd, &n);
    if (n == 0) view->fd = -1;
    if (size == -EAGAIN) return EAGAIN;
    if (size == (long)sizeof view->packet && n == 1 && view->packet.number == view->known + 1 &&
        segment_block_is_valid(view->packet.block) &&
        filch__shm_size(view->fd) == segment_size(view->packet.block))
        return 0;
    filch__fd_close(view->fd);
    view->fd = -1;
    view->broken = true;
    return EINVAL;
}

static bool make_room(struct filch__arena_view *view) {
    if (view->known < view->room) return true;
    uint32_t room = view->room == 0 ? 16 : view->room * 2;
    struct segment **table = filch__alloc(room * sizeof *table);
    if (table == NULL) return false;
    if (view->known != 0) memcpy(table, view->table, view->known * sizeof *table);
    filch__free(view->table);
    view->table = table;
    view->room = room;
    return true;
}

/* Maps what was received, and closes its descriptor. Returns 0 or an errno; after ENOMEM it is tried again. */
static int enter(struct filch__arena_view *view) {
    uint64_t block = view->packet.block;
    uint32_t blocks = segment_blocks(block);
    struct segment *segment = NULL;
    if (make_room(view)) segment = filch__alloc(sizeof *segment + blocks * sizeof *segment->held);
    if (segment == NULL) return ENOMEM;
    char *base = filch__shm_map(view->fd, 0, segment_size(block), true, NULL);
    if (base == NULL) {
        filch__free(segment);
        return ENOMEM;
    }
    *segment = (struct segment){view, base, block, 1, blocks};
    for (uint32_t i = 0; i < blocks; i++)
        segment->held[i] = (struct filch__held){segment, i, BLOCK_AWAY};
    filch__fd_close(view->fd);
    view->fd = -1;
    fetch_add_relaxed(&view->count, 1u); /* relaxed: the caller has one */
    view->table[view->known++] = segment;
    return 0;
}

/* The segment of that number; NULL and errno. */
static struct segment *find_segment(struct filch__arena_view *view, uint32_t number) {
    int error =
        number == 0 || (number > view->known && number - view->known > NUMBERS_AHEAD) ? EINVAL : 0;
    while (error == 0 && view->known < number) {
        error = view->broken ? EINVAL : view->fd >= 0 ? 0 : receive(view);
        if (error == 0) error = enter(view);
    }
    if (error == 0) return view->table[number - 1];
    errno = error == EAGAIN ? EINVAL : error; /* it was sent before the message, or never */
    return NULL;
}

/* Blocks --------------------------------------------------------------------------------------------- */

static unsigned class_of(const struct segment *segment) {
    return segment_class(segment->block);
}

/* The block that a reference names; NULL: none. */
static struct filch__held *find_block(struct segment *segment, const struct filch__bytes *bytes) {
    if (bytes->size == 0 || bytes->size > segment->block || bytes->offset < SEGMENT_HEAD ||
        (bytes->offset - SEGMENT_HEAD) % segment->block != 0)
        return NULL;
    uint64_t index = (bytes->offset - SEGMENT_HEAD) / segment->block;
    return index < segment->blocks ? &segment->held[index] : NULL;
}

static char *start_of(const struct filch__held *held) {
    return held->segment->base + SEGMENT_HEAD + held->index * held->segment->block;
}

void *filch__arena_view_hold(struct filch__arena_view *view, const struct filch__bytes *bytes,
                             struct filch__held **held) {
    struct segment *segment = find_segment(view, bytes->segment);
    if (segment == NULL) return NULL;
    struct filch__held *block = find_block(segment, bytes);
    uint32_t state = block == NULL ? BLOCK_HELD : load_acquire(&block->state); /* A4 <- A3 */
    if (state == BLOCK_HELD) {
        errno = EINVAL;
        return NULL;
    }
    if (state == BLOCK_IDLE)
        fetch_sub_relaxed(&view->idle[class_of(segment)],
                          (int64_t)segment->block); /* relaxed: a sum */
    store_relaxed(&block->state, BLOCK_HELD); /* relaxed: who releases it has it from this thread */
    fetch_add_relaxed(&segment->count, 1u);   /* relaxed: the table has one */
    *held = block;
    return start_of(block);
}

/* Counts the block as idle, if it may keep its pages. */
static bool keep(struct segment *segment) {
    struct filch__arena_view *view = segment->view;
    unsigned class = class_of(segment);
    int64_t block = (int64_t)segment->block;
    int64_t limit = class == CLASS_ALONE ? ARENA_KEPT_ALONE : ARENA_KEPT_CLASS;
    if (load_relaxed(&view->closed)) return false;                         /* relaxed: a hint */
    if (fetch_add_relaxed(&view->idle[class], block) < limit) return true; /* relaxed: a sum */
    fetch_sub_relaxed(&view->idle[class], block);                          /* relaxed: a sum */
    return false;
}

void filch__held_release(struct filch__held *held) {
    if (held == NULL) return;
    struct segment *segment = held->segment;
    struct filch__segment_head *head = (void *)segment->base;
    uint32_t word = held->index / 64;
    uint64_t bit = UINT64_C(1) << held->index % 64;
    bool kept = keep(segment);
    bool emptied = !kept && filch__discard(start_of(held), segment->block);
    /* Before the bit: from there on the writer may send it again. */
    store_release(&held->state, kept ? BLOCK_IDLE : BLOCK_AWAY); /* A3 -> A4 */
    uint64_t *bits = emptied ? head->emptied : head->returned;
    fetch_or_release(&bits[word], bit); /* A1 -> A2 */
    POINT("arena.given_back");
    drop_segment(segment);
}
