/* process/segment.h: what the two sides of an arena share: a segment's layout, and the packet that announces it.
 *
 * State    the head: bit i of `returned` or of `emptied` is set by the reader when it has given block i back, with its pages, or
 *          without; the writer takes it. The blocks follow, at SEGMENT_HEAD.
 * Orders
 *   A1 fetch_or_release returned, emptied (give back) -> A2 exchange_acquire returned, emptied (take back): the reader is done with the block */
#ifndef FILCH_PROCESS_SEGMENT_H
#define FILCH_PROCESS_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SEGMENT_HEAD = 4096,
    SEGMENT_WORDS = 8,
    SEGMENT_SHARED = 4 << 20,   /* bytes of the blocks that share a segment */
    BLOCK_SMALLEST = 8 << 10,   /* bytes */
    BLOCK_SHARED = 1 << 20,     /* bytes of the largest that shares a segment with others */
    BLOCK_CLASSES = 8,          /* sizes that share */
    CLASS_ALONE = BLOCK_CLASSES /* all others */
};
/* Bytes; a bound that sums cannot pass. */
#define BLOCK_LARGEST (UINT64_C(1) << 46)

_Static_assert(BLOCK_SMALLEST << (BLOCK_CLASSES - 1) == BLOCK_SHARED, "every power of two");
_Static_assert(SEGMENT_SHARED / BLOCK_SMALLEST == 64 * SEGMENT_WORDS, "a bit for each block");

struct filch__segment_head {
    uint64_t returned[SEGMENT_WORDS];
    uint64_t emptied[SEGMENT_WORDS];
};

/* With one descriptor. Numbers are 1, 2, 3 ... without a gap. */
struct filch__segment_packet {
    uint32_t number;
    uint32_t unused;
    uint64_t block; /* bytes */
};

/* The smallest class whose blocks have that many bytes, or CLASS_ALONE. */
static inline unsigned segment_class(uint64_t size) {
    unsigned class = 0;
    while (class < BLOCK_CLASSES && (uint64_t)BLOCK_SMALLEST << class < size) class ++;
    return class;
}

static inline uint32_t segment_blocks(uint64_t block) {
    return block > BLOCK_SHARED ? 1 : (uint32_t)(SEGMENT_SHARED / block);
}

/* Bytes of the file. */
static inline size_t segment_size(uint64_t block) {
    return SEGMENT_HEAD + (block > BLOCK_SHARED ? (size_t)block : SEGMENT_SHARED);
}

/* Can a block have that many bytes? */
static inline bool segment_block_is_valid(uint64_t block) {
    if (block > BLOCK_SHARED) return block <= BLOCK_LARGEST && block % SEGMENT_HEAD == 0;
    return block >= BLOCK_SMALLEST && (block & (block - 1)) == 0;
}

#endif
