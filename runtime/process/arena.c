/* process/arena.c: the writer's side of an arena; see arena.h. The reader's is arena_view.c. */
#include "process/arena.h"

#include "base/atomics.h"
#include "os/memory.h"
#include "os/shm.h"
#include "os/socket.h"
#include "process/segment.h"
#include <errno.h>
#include <string.h>

/* Sizes of blocks that share a segment: 8 KiB to 1 MiB; and those that do not. */
enum { CLASSES = 8, ALONE = CLASSES, LISTS };
_Static_assert(BLOCK_SMALLEST << (CLASSES - 1) == BLOCK_LARGEST, "powers of two");
/* Segments without a block in use that are kept mapped, bytes: four results of 64 MiB. */
#define ARENA_KEPT ((size_t)256 << 20)
/* Segments that are looked into before a new one is made. */
enum { LOOKS = 4 };

struct segment {
    struct segment *next; /* of its class, in a ring */
    struct filch__segment_head *head;
    size_t block, mapped;
    uint32_t number, blocks;
    uint64_t used[SEGMENT_WORDS], touched[SEGMENT_WORDS];
};

struct filch__arena {
    int socket;
    uint32_t numbers;               /* given so far */
    size_t total;                   /* bytes mapped */
    struct segment *current[LISTS]; /* in its ring; or NULL */
};

struct filch__arena *filch__arena_create(int socket) {
    struct filch__arena *a = filch__alloc_zeroed(sizeof *a);
    if (a != NULL) a->socket = socket;
    return a;
}

static void free_segment(struct filch__arena *a, struct segment *s) {
    store_release(&s->head->dropped, 1u); /* R3 -> R4 */
    a->total -= s->mapped;
    filch__unmap(s->head, s->mapped);
    filch__free(s);
}

void filch__arena_destroy(struct filch__arena *a) {
    if (a == NULL) return;
    for (int list = 0; list < LISTS; list++) {
        struct segment *s = a->current[list];
        if (s == NULL) continue;
        do {
            struct segment *next = s->next;
            free_segment(a, s);
            s = next;
        } while (s != a->current[list]);
    }
    filch__free(a);
}

static int list_of(size_t size) {
    if (size > BLOCK_LARGEST) return ALONE;
    int list = 0;
    while ((size_t)BLOCK_SMALLEST << list < size) list++;
    return list;
}

/* Takes back what the reader has returned. */
static void refill(struct segment *s) {
    for (size_t w = 0; w < SEGMENT_WORDS; w++) {
        if (load_relaxed(&s->head->returned[w]) == 0) continue;              /* relaxed: a hint */
        s->used[w] &= ~exchange_acq_rel(&s->head->returned[w], UINT64_C(0)); /* R2 <- R1 */
    }
}

static bool is_idle(const struct segment *s) {
    uint64_t used = 0;
    for (size_t w = 0; w < SEGMENT_WORDS; w++) used |= s->used[w];
    return used == 0;
}

/* A free block of the segment, which is then in use; -1: there is none. */
static int take_block(struct segment *s) {
    for (uint32_t i = 0; i < s->blocks; i += 64) {
        uint64_t rest = ~s->used[i / 64];
        if (rest == 0) continue;
        uint32_t block = i + (uint32_t)__builtin_ctzll(rest);
        if (block >= s->blocks) return -1;
        s->used[i / 64] |= UINT64_C(1) << block % 64;
        return (int)block;
    }
    return -1;
}

/* Takes the segment after `before` out of its ring. */
static void unlink_after(struct filch__arena *a, int list, struct segment *before) {
    struct segment *s = before->next;
    if (s == before) {
        a->current[list] = NULL;
    } else {
        before->next = s->next;
        if (a->current[list] == s) a->current[list] = before;
    }
    free_segment(a, s);
}

/* Unmaps idle segments until what is mapped is within bounds: few at a time, since each costs a look. */
static void trim(struct filch__arena *a) {
    for (int list = 0; list < LISTS && a->total > ARENA_KEPT; list++) {
        struct segment *before = a->current[list];
        for (int look = 0; before != NULL && look < LOOKS && a->total > ARENA_KEPT; look++) {
            struct segment *s = before->next;
            refill(s);
            /* The one that was used last stays. */
            if (s != a->current[list] && is_idle(s))
                unlink_after(a, list, before);
            else
                before = s;
        }
    }
}

static struct segment *map_segment(struct filch__arena *a, size_t block, uint32_t blocks, int fd) {
    struct segment *s = filch__alloc_zeroed(sizeof *s);
    if (s == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    s->block = block;
    s->blocks = blocks;
    s->mapped = SEGMENT_HEAD + block * blocks;
    s->number = a->numbers + 1;
    s->head = filch__shm_map(fd, 0, s->mapped, true, NULL);
    if (s->head == NULL) {
        filch__free(s);
        return NULL;
    }
    return s;
}

/* A new segment at the front of its ring, which the reader has been sent. NULL: errno says why. */
static struct segment *add_segment(struct filch__arena *a, int list, size_t size) {
    size_t block = list == ALONE ? (size + 4095) & ~(size_t)4095 : (size_t)BLOCK_SMALLEST << list;
    uint32_t blocks = list == ALONE ? 1 : (uint32_t)(SEGMENT_BLOCKS / block);
    int fd, error = filch__shm_create("filch-arena", SEGMENT_HEAD + block * blocks, &fd);
    if (error != 0) {
        errno = error;
        return NULL;
    }
    struct segment *s = map_segment(a, block, blocks, fd);
    if (s != NULL) {
        struct filch__segment_packet packet = {s->number, blocks, block};
        error = filch__socket_send(a->socket, &packet, sizeof packet, &fd, 1);
        if (error != 0) {
            filch__unmap(s->head, s->mapped);
            filch__free(s);
            errno = error;
            s = NULL;
        }
    }
    filch__fd_close(fd);
    if (s == NULL) return NULL;
    a->numbers++;
    a->total += s->mapped;
    struct segment *current = a->current[list];
    s->next = current == NULL ? s : current->next;
    if (current != NULL) current->next = s;
    a->current[list] = s;
    return s;
}

/* Is a segment of a larger block good enough? Not if it wasted more than it uses. */
static bool suits(const struct segment *s, int list, size_t size) {
    return list != ALONE || (s->block >= size && s->block / 2 <= size);
}

/* A segment with a free block, from the one that was used last on; that block. */
static struct segment *find_block(struct filch__arena *a, int list, size_t size, int *block) {
    struct segment *s = a->current[list];
    for (int look = 0; s != NULL && look < LOOKS; look++, s = s->next) {
        if (!suits(s, list, size)) continue;
        *block = take_block(s);
        if (*block < 0) {
            refill(s);
            *block = take_block(s);
        }
        if (*block >= 0) return s;
    }
    return NULL;
}

void *filch__arena_alloc(struct filch__arena *a, size_t size, bool zeroed,
                         struct filch__bytes *bytes) {
    int list = list_of(size), block;
    struct segment *s = find_block(a, list, size, &block);
    if (s == NULL) {
        if (a->total > ARENA_KEPT) trim(a);
        s = add_segment(a, list, size);
        if (s == NULL) return NULL;
        block = take_block(s);
    }
    a->current[list] = s;
    uint64_t *touched = &s->touched[block / 64], bit = UINT64_C(1) << block % 64;
    size_t offset = SEGMENT_HEAD + (size_t)block * s->block;
    char *start = (char *)s->head + offset;
    if (zeroed && (*touched & bit) != 0) memset(start, 0, size);
    *touched |= bit;
    *bytes = (struct filch__bytes){.size = size, .offset = offset, .segment = s->number};
    return start;
}

void filch__arena_cancel(struct filch__arena *a, const struct filch__bytes *bytes) {
    for (int list = 0; list < LISTS; list++) {
        struct segment *s = a->current[list];
        if (s == NULL) continue;
        do {
            if (s->number == bytes->segment) {
                size_t block = (bytes->offset - SEGMENT_HEAD) / s->block;
                s->used[block / 64] &= ~(UINT64_C(1) << block % 64);
                return;
            }
            s = s->next;
        } while (s != a->current[list]);
    }
}
