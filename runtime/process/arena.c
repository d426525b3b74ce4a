/* process/arena.c: the writer's side of an arena (arena.h): which block is free, and new segments.
 *
 * Flow     alloc: the segments of the class stand in a circle; from the one that served last, look for a free block, taking
 *          back what was returned; if PROBES segments have none, make a new one behind them, so that the next
 *          search goes on where this one ended. The lowest free block is taken first: it is the warmest.
 * State    all plain memory of the writer, but the head of each segment (segment.h).
 * Keeps    1. A block is in use, free (its pages are there), or empty (free, its pages are not). Bits that the reader
 *             sets for a block that is not in use are ignored.
 *          2. A block alone has an eighth more than was asked for at most when it is made, and twice as much when it is used
 *             again, so that a program with results of many sizes finds its old blocks. */
#include "process/arena.h"

#include "base/atomics.h"
#include "os/memory.h"
#include "os/shm.h"
#include "os/socket.h"
#include "process/segment.h"
#include <assert.h>
#include <errno.h>
#include <string.h>

/* Segments that are looked at before a new one is made; that costs as much as looking at thousands. */
enum { PROBES = 64 };

struct segment {
    struct segment *next; /* in the circle of its class */
    char *base;
    uint64_t block;
    uint32_t number, blocks;
    uint64_t free[SEGMENT_WORDS];
    uint64_t empty[SEGMENT_WORDS];
    uint64_t dirty[SEGMENT_WORDS]; /* blocks that are not all zero */
};

struct filch__arena {
    int socket;
    uint32_t last; /* number of the newest segment */
    struct segment *current[CLASS_ALONE + 1];
};

struct filch__arena *filch__arena_create(int socket) {
    struct filch__arena *arena = filch__alloc_zeroed(sizeof *arena);
    if (arena != NULL) arena->socket = socket;
    return arena;
}

static void destroy_segment(struct segment *segment) {
    filch__unmap(segment->base, segment_size(segment->block));
    filch__free(segment);
}

void filch__arena_destroy(struct filch__arena *arena) {
    if (arena == NULL) return;
    for (unsigned class = 0; class <= CLASS_ALONE; class ++) {
        struct segment *first = arena->current[class], *segment = first;
        while (segment != NULL) {
            struct segment *next = segment->next == first ? NULL : segment->next;
            destroy_segment(segment);
            segment = next;
        }
    }
    filch__free(arena);
}

/* Segments ------------------------------------------------------------------------------------------- */

static struct filch__segment_head *head_of(const struct segment *segment) {
    return (void *)segment->base;
}

/* Bits of the blocks that a word of a bitmap stands for. */
static uint64_t all_of(const struct segment *segment, unsigned word) {
    uint32_t before = word * 64;
    if (segment->blocks <= before) return 0;
    uint32_t n = segment->blocks - before;
    return n >= 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1;
}

/* Reserves, maps and announces the file. Returns 0 or an errno. */
static int open_segment(const struct filch__arena *arena, struct segment *segment) {
    size_t size = segment_size(segment->block);
    struct filch__segment_packet packet = {.number = segment->number, .block = segment->block};
    int fd, error = filch__shm_create("filch-arena", size, &fd);
    if (error != 0) return error;
    segment->base = filch__shm_map(fd, 0, size, true, NULL);
    error = segment->base == NULL ? errno : 0;
    if (error == 0) {
        error = filch__socket_send(arena->socket, &packet, sizeof packet, &fd, 1);
        if (error != 0) filch__unmap(segment->base, size);
    }
    filch__fd_close(fd);
    return error;
}

/* A new one, behind the current one of its class, whose place it takes. NULL and errno. */
static struct segment *create_segment(struct filch__arena *arena, unsigned class, uint64_t block) {
    struct segment *segment = filch__alloc_zeroed(sizeof *segment);
    if (segment == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    segment->block = block;
    segment->blocks = segment_blocks(block);
    segment->number = arena->last + 1;
    for (unsigned i = 0; i < SEGMENT_WORDS; i++) segment->free[i] = all_of(segment, i);
    int error = open_segment(arena, segment);
    if (error != 0) {
        filch__free(segment);
        errno = error;
        return NULL;
    }
    struct segment *before = arena->current[class];
    segment->next = before == NULL ? segment : before->next;
    if (before != NULL) before->next = segment;
    arena->current[class] = segment;
    arena->last = segment->number;
    return segment;
}

/* Blocks --------------------------------------------------------------------------------------------- */

/* What the reader has set in a word since it was last taken. */
static uint64_t take_word(uint64_t *word) {
    if (load_relaxed(word) == 0) return 0; /* relaxed: a hint */
    return exchange_acquire(word, 0);      /* A2 <- A1 */
}

static void take_back(struct segment *segment) {
    struct filch__segment_head *head = head_of(segment);
    for (unsigned i = 0; i < (segment->blocks + 63) / 64; i++) {
        uint64_t used = all_of(segment, i) & ~(segment->free[i] | segment->empty[i]);
        uint64_t returned = take_word(&head->returned[i]) & used;
        uint64_t emptied = take_word(&head->emptied[i]) & used & ~returned;
        segment->free[i] |= returned;
        segment->empty[i] |= emptied;
    }
}

static char *block_at(const struct segment *segment, uint32_t index) {
    return segment->base + SEGMENT_HEAD + index * segment->block;
}

/* The lowest block in a bitmap, or -1. */
static int lowest(const uint64_t *bits) {
    for (unsigned i = 0; i < SEGMENT_WORDS; i++)
        if (bits[i] != 0) return (int)(i * 64) + __builtin_ctzll(bits[i]);
    return -1;
}

/* A block with its pages, which is then in use; -1: there is none. */
static int try_take(struct segment *segment) {
    take_back(segment);
    int index = lowest(segment->free);
    if (index >= 0) {
        segment->free[index / 64] &= ~(UINT64_C(1) << index % 64);
        return index;
    }
    index = lowest(segment->empty);
    if (index < 0 || !filch__populate(block_at(segment, (uint32_t)index), segment->block))
        return -1;
    segment->empty[index / 64] &= ~(UINT64_C(1) << index % 64);
    segment->dirty[index / 64] &= ~(UINT64_C(1) << index % 64);
    return index;
}

/* Of the others every block fits. */
static bool fits(const struct segment *segment, uint64_t size) {
    return segment->block <= BLOCK_SHARED || (segment->block >= size && segment->block / 2 <= size);
}

/* The next segment of the class with a free block for that size, and the block. NULL: PROBES have none. */
static struct segment *find(struct filch__arena *arena, unsigned class, uint64_t size, int *index) {
    struct segment *first = arena->current[class], *segment = first;
    if (first == NULL) return NULL;
    for (int i = 0; i < PROBES; i++) {
        arena->current[class] = segment;
        if (fits(segment, size) && (*index = try_take(segment)) >= 0) return segment;
        if (segment->next == first) break;
        segment = segment->next;
    }
    return NULL;
}

/* Bytes of a new block for that size. */
static uint64_t block_for(unsigned class, uint64_t size) {
    if (class != CLASS_ALONE) return (uint64_t)BLOCK_SMALLEST << class;
    unsigned bits = 64 - (unsigned)__builtin_clzll(size);
    uint64_t step = UINT64_C(1) << (bits - 4);
    return (size + step - 1) & ~(step - 1);
}

void *filch__arena_alloc(struct filch__arena *arena, size_t size, bool zeroed,
                         struct filch__bytes *bytes) {
    assert(size > 0);
    if (size > BLOCK_LARGEST / 2) {
        errno = ENOMEM;
        return NULL;
    }
    unsigned class = segment_class(size);
    int index = 0;
    struct segment *segment = find(arena, class, size, &index);
    if (segment == NULL) {
        segment = create_segment(arena, class, block_for(class, size));
        if (segment == NULL) return NULL;
        index = try_take(segment);
    }
    char *block = block_at(segment, (uint32_t)index);
    uint64_t bit = UINT64_C(1) << index % 64;
    if (zeroed && (segment->dirty[index / 64] & bit) != 0) memset(block, 0, size);
    segment->dirty[index / 64] |= bit;
    *bytes = (struct filch__bytes){
        .size = size, .offset = (uint64_t)(block - segment->base), .segment = segment->number};
    return block;
}

static struct segment *find_number(const struct filch__arena *arena, uint32_t number) {
    for (unsigned class = 0; class <= CLASS_ALONE; class ++) {
        struct segment *segment = arena->current[class];
        if (segment == NULL) continue;
        do {
            if (segment->number == number) return segment;
            segment = segment->next;
        } while (segment != arena->current[class]);
    }
    return NULL;
}

void filch__arena_cancel(struct filch__arena *arena, const struct filch__bytes *bytes) {
    struct segment *segment = find_number(arena, bytes->segment);
    assert(segment != NULL);
    if (segment == NULL) return;
    uint64_t index = (bytes->offset - SEGMENT_HEAD) / segment->block;
    segment->free[index / 64] |= UINT64_C(1) << index % 64;
}
