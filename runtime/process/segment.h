/* process/segment.h: what a segment of an arena looks like, for both sides of it; see arena.h.
 *
 * State    one file: a page of head, then the blocks. `returned`: a bit per block, set by the reader, taken by the writer.
 *          `dropped`: set by the writer when it has unmapped the segment and will never name it again.
 * Orders
 *   R1 fetch_or_acq_rel returned (give back) -> R2 exchange_acq_rel returned (refill): the reader is done with the block
 *   R3 store_release dropped (drop) -> R4 load_acquire dropped (sweep): the writer does not name it again */
#ifndef FILCH_PROCESS_SEGMENT_H
#define FILCH_PROCESS_SEGMENT_H

#include <stddef.h>
#include <stdint.h>

enum {
    SEGMENT_HEAD = 4096,
    BLOCK_SMALLEST = 8 * 1024,
    BLOCK_LARGEST = 1024 * 1024, /* larger ones have a segment of their own */
    SEGMENT_BLOCKS = 4 * 1024 * 1024,
    SEGMENT_WORDS = SEGMENT_BLOCKS / BLOCK_SMALLEST / 64
};

struct filch__segment_head {
    uint64_t returned[SEGMENT_WORDS];
    uint32_t dropped;
};
_Static_assert(sizeof(struct filch__segment_head) <= SEGMENT_HEAD, "one page");

/* Sent with the descriptor. */
struct filch__segment_packet {
    uint32_t number;
    uint32_t blocks;
    uint64_t block; /* bytes of each; a multiple of 4096 */
};

#endif
