/* filch/lane.h: where forked calls stand: the part of fork-join that the compiler inlines. Nothing for programs to
 * use by name.
 *
 * Flow     fork: filch_lane_next gives a slot, the caller writes the call into it, filch_lane_push counts it. join:
 *          filch_lane_pop uncounts it, and the caller runs it from its slot. If one of the two says true there is more
 *          to do: filch_fork_slow, filch_join_slow.
 * State    of a lane, which is a worker's: pos, the next free slot; the owner's, read by thieves. limit: a fork in a
 *          slot from here on is slow; NULL while a worker is hungry, whoever that is sets it. guard: a join of a slot
 *          below is slow, because others may take it or have taken it; set by the owner, and raised by who takes from a
 *          lane whose owner does not answer. end, constant: forks in slots from here on run at once. of a slot: run, what to call; status, see runtime/thread/lane.h; skipped, after a slow
 *          join: it did not run, because its task was asked to end; place, the arguments, then the result.
 * Orders
 *   L1 store_light pos (push) -> L2 load_acquire pos (force): the slot below
 *   L3 store_light pos (pop) -> L2 load_acquire pos (force): the slot is not to be had any more; with L4 and L5
 *   L4 load_light guard (pop) <-> L5 cas_seq_cst guard (raise): of a pop and a force of the same slot, at least one sees the other; the force makes the barrier between L5 and L2
 *   L6 load_light limit (push) <-> L7 store_release limit (ask): of a push and a worker that asks and then looks, at least one sees the other; the barrier is the asker's
 * Progress wait-free.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_LANE_H
#define FILCH_LANE_H

#include <filch/atomic.h>
#include <filch/export.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a slot for arguments and result, and their alignment. Larger ones stay in the frame. */
#define FILCH_SLOT_BYTES 48
#define FILCH_SLOT_ALIGNMENT 16

typedef struct filch_slot filch_slot;
typedef void filch_slot_fn(filch_slot *slot);
/* One cache line: what a thief needs to run a call comes with one. */
struct filch_slot {
    filch_slot_fn *run;
    uint32_t status;
    uint32_t skipped;
    union {
        unsigned char bytes[FILCH_SLOT_BYTES];
        void *pointer;
    } place;
} __attribute__((__aligned__(64)));

typedef struct filch_lane {
    filch_slot *pos;
    filch_slot *limit;
    filch_slot *guard;
    filch_slot *end;
} filch_lane;

FILCH_BEGIN_DECLS

/* The calling thread's lane; that of all threads that are no workers is filch_lane_outside, where every fork and join
 * is slow. */
FILCH_API FILCH_INITIAL_EXEC extern __thread filch_lane *filch_lane_self;
FILCH_API extern filch_lane filch_lane_outside;

/* After filch_lane_push said so. NULL: all is done. Else a slot: the caller writes the arguments there and calls
 * filch_fork_at_once. */
FILCH_API filch_slot *filch_fork_slow(filch_slot *slot);
FILCH_API void filch_fork_at_once(filch_slot *slot, filch_slot_fn *run);
/* After filch_lane_pop said so. NULL: the caller runs the call from its slot. Else the slot that has the result, until
 * the thread's next fork or join. */
FILCH_API filch_slot *filch_join_slow(filch_slot *slot);
/* A slot of the calling thread that nobody reads. */
FILCH_API filch_slot *filch_lane_unread(void);
/* Of untyped frames (filch/fork.h). */
FILCH_API void filch_frame_in_slot(filch_slot *slot);
FILCH_API int filch_frame_code(int code);
FILCH_API int filch_frame_refuse(const char *call, const char *what);
FILCH_API int filch_frame_join_slow(filch_slot *slot);
/* For FILCH_DEBUG: is it the one that was forked last? */
FILCH_API bool filch_join_is_next(const filch_slot *slot);
FILCH_API void filch_join_misplaced(const char *name);
/* The same for a row of forks: is nothing forked or joined since? */
FILCH_API bool filch_forks_are_next(const filch_slot *slot);
FILCH_API void filch_forks_misplaced(const char *name);

FILCH_END_DECLS

#define filch_always_inline inline __attribute__((__always_inline__, __unused__))

/* Forks that follow one another with nothing between them (filch_forks_begin): the compiler keeps the next slot in a
 * register, where each fork by itself reads what the one before has stored. */
typedef struct filch_forks {
    filch_lane *lane;
    filch_slot *next;
} filch_forks;

static filch_always_inline filch_slot *filch_lane_next(filch_lane *lane) {
#if FILCH_UNDER_TSAN
    /* Threads outside write to one slot that nobody reads, which ThreadSanitizer need not see. */
    if (lane == &filch_lane_outside) return filch_lane_unread();
#endif
    return filch_load_own(&lane->pos);
}
static filch_always_inline void filch_lane_name(filch_slot *slot, filch_slot_fn *run) {
    filch_store_light(&slot->run, run); /* light: L1 publishes it */
}
static filch_always_inline bool filch_lane_push(filch_lane *lane, filch_slot *slot) {
    filch_store_light(&lane->pos, slot + 1);       /* L1 -> L2 */
    return slot >= filch_load_light(&lane->limit); /* L6 <-> L7 */
}
static filch_always_inline bool filch_lane_pop(filch_lane *lane, filch_slot *slot) {
    filch_store_light(&lane->pos, slot);          /* L3 -> L2 */
    return slot < filch_load_light(&lane->guard); /* L4 <-> L5 */
}

/* Begins a row of forks: what filch_fork_next, or a name_fork_next, forks with it in one thread, one after the other.
 *
 *     filch_forks row = filch_forks_begin();
 *     for (int i = 0; i < n; i++) part_fork_next(&row, &frames[i], i);
 *     for (int i = n - 1; i >= 0; i--) sum += part_join(&frames[i]);
 *
 * A row takes a third less time for each fork than as many name_fork, and is the same otherwise: each is there to be
 * taken at once, and is joined by itself. Between the beginning of a row and its last fork the thread forks and joins
 * nothing else, nor calls what may; with FILCH_DEBUG defined that ends the program with a message.
 * Threads: any; a row belongs to the thread that has begun it. It needs no end. Since: 0.1. */
static filch_always_inline filch_forks filch_forks_begin(void) {
    filch_forks row;
    row.lane = filch_lane_self;
    row.next = filch_lane_next(row.lane);
    return row;
}

#endif
