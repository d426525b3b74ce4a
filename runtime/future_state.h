/* future_state.h: the whole life of a future in one atomic word; all transitions of it stand here.
 *
 *            start                      finish
 *   PENDING --------------> RUNNING --------------> FINISHED
 *      |  \                    | end                   ^
 *      |   \  fail, end        v                       |
 *      |    +-------------> ENDING ------ finish ------+
 *      |     cancel
 *      +------------------> CANCELLING -- finish ----> CANCELLED
 *
 * ENDING is the way of an executor that broke (fail), and of a promise (end).
 *
 * In a room whose workers take tasks without touching the future (processes), PENDING has a second form, POSTED: with
 * the worker's index. Whoever has won the task there, by means of the room, makes the transition that says so.
 *
 *            post                         start posted
 *   PENDING <------> POSTED (PENDING too) -------------> RUNNING --+ move: started again elsewhere
 *           unpost      | cancel posted                     ^------+
 *                       +-------------> CANCELLING
 *
 * Bits     0-2   life; bit 0 is set in the final ones.
 *          3     SLEEPERS: a thread may sleep on the low half. Set by a waiter; never cleared. Legal to
 *                set in any life (a waiter that sets it after the end sees that and does not sleep).
 *          4     HUB: somebody wants to be told of the end (hub.h), or did. As SLEEPERS.
 *          5     REQUESTED: the task that runs is asked to end early. Set by anybody while RUNNING; illegal to
 *                set in any other life; never cleared.
 *          6     EXTRA: the payload is a pointer to the rare parts (future.h). Constant.
 *          7     STANDALONE: a promise, of no executor and in no slab (promise.c). Constant.
 *          8-21  the worker that runs or ran the task, plus one; 0 if none did. Set by start. While PENDING: the
 *                worker that it is posted to. Set by post, cleared by unpost and cancel posted, changed by move.
 *          22-24 size of the argument, in units of 16 bytes, rounded up. Constant.
 *          25-31 size of the result, bytes. Constant.
 *          32-63 references. Saturates: a future with that many is never freed.
 *          The low half is what sleepers sleep on (futexes have 32 bits); references do not touch it.
 *
 *   from       to          who                                 what the caller does next
 *   PENDING    RUNNING     start: the worker that took its     runs the task, then finish
 *                          entry, or one that waits for it
 *   PENDING    CANCELLING  cancel: anybody                     destroys the argument, then finish
 *   PENDING    ENDING      fail: who breaks the executor       destroys the argument, then finish
 *   PENDING    ENDING      end: who completes the promise      writes the result, then finish
 *   RUNNING    ENDING      end: the same                       the same
 *   PENDING    POSTED      post: the room's desk               lets the worker take it
 *   POSTED     PENDING     unpost: the desk, which has         puts it back into its queue
 *                          won it from the worker
 *   POSTED     RUNNING     start posted: anybody who has       nothing: the desk finishes it when the worker
 *                          seen that the worker has taken it   has ended it
 *   POSTED     CANCELLING  cancel posted: who has won it       destroys the argument, then finish
 *                          from worker and desk
 *   RUNNING    RUNNING     move: the desk, whose worker died   lets another worker start it once more
 *   RUNNING    FINISHED    finish: who started                 see enum filch__after_finish
 *   ENDING     FINISHED    finish: who made it ENDING          the same
 *   CANCELLING CANCELLED   finish: who cancelled               the same
 *
 * Start, cancel and fail refuse a future that is posted.
 *
 * Rules    R1 sizes, extra: written before the future is shared, then constant.
 *          R2 The argument, and fn, which the outcome replaces: after start, cancel or fail, only whoever
 *             made that transition.
 *          R3 result, outcome: while RUNNING, ENDING or CANCELLING only whoever made that transition (of a
 *             promise: not while RUNNING);
 *             constant and readable by all from the end on.
 *          R4 hub: installed once, by any holder of a reference; see hub.h.
 *          R5 An entry in a queue owns a reference. Whoever takes the entry owns it then.
 *             A posted one is owned by the desk; what stands in its `ticket` (future.h) is written before post.
 *          R6 After a finish that says GONE the future may already be freed.
 * Orders
 *   F1 cas_acquire state (start, cancel, fail, end, request) -> F2 cas_acq_rel state (finish): whoever finishes is who started
 *   F9 cas_acq_rel state (start, fencing) -> F2 cas_acq_rel state (finish): as F1
 *   F2 cas_acq_rel state (finish) -> F3 load_acquire state (look): result, code and text
 *   F2 cas_acq_rel state (finish) -> F4 fetch_or_acq_rel state (add flag): one that comes late sees the end
 *   F4 fetch_or_acq_rel state (add flag) -> F2 cas_acq_rel state (finish): a flag that is in time is seen, and what it announces
 *   F5 cas_release state (release) -> F3 load_acquire state (look): who finds itself the last sees all others' accesses
 *   F9 cas_acq_rel state (request) -> F3 load_acquire state (look): what the one who asks did before
 *   F10 cas_acq_rel state (post, unpost, move) -> F3 load_acquire state (look): where it is posted
 *   F11 cas_acq_rel state (start posted, cancel posted) -> F2 cas_acq_rel state (finish): as F1
 *   F6 cas_relaxed state (retain) -> F5 cas_release state (release): a count; the reference that is copied keeps the future
 * Progress every transition is lock-free: a CAS fails only because another one has succeeded. */
#ifndef FILCH_FUTURE_STATE_H
#define FILCH_FUTURE_STATE_H

#include "base/atomics.h"
#include "base/compiler.h"
#include "base/narrow.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum filch__life {
    LIFE_PENDING = 0,
    LIFE_RUNNING = 2,
    LIFE_CANCELLING = 4,
    LIFE_ENDING = 6,
    LIFE_FINISHED = 1,
    LIFE_CANCELLED = 3
};

#define LIFE_MASK UINT64_C(7)
#define LIFE_DONE UINT64_C(1)
#define FLAG_SLEEPERS UINT64_C(8)
#define FLAG_HUB UINT64_C(16)
#define FLAG_REQUESTED UINT64_C(32)
#define FLAG_EXTRA UINT64_C(64)
#define FLAG_STANDALONE UINT64_C(128)
#define RUNNER_SHIFT 8
#define RUNNER_MASK UINT64_C(0x3fff)
#define ARG_SHIFT 22
#define ARG_MASK UINT64_C(7)
#define RESULT_SHIFT 25
#define RESULT_MASK UINT64_C(0x7f)
/* What is set before the future is shared, and then stays. */
#define STATE_CONSTANT                                                                             \
    (FLAG_EXTRA | FLAG_STANDALONE | ARG_MASK << ARG_SHIFT | RESULT_MASK << RESULT_SHIFT)
#define REFERENCE_SHIFT 32
#define REFERENCE_BITS COUNTER_BITS(32, 3)
#define REFERENCE_ONE (UINT64_C(1) << REFERENCE_SHIFT)
#define REFERENCES_MAX ((UINT64_C(1) << REFERENCE_BITS) - 1)

static inline enum filch__life state_life(uint64_t state) {
    return (enum filch__life)(state & LIFE_MASK);
}
static inline bool state_is_done(uint64_t state) {
    return (state & LIFE_DONE) != 0;
}
static inline uint64_t state_references(uint64_t state) {
    return state >> REFERENCE_SHIFT;
}
/* Index of the worker that runs or ran it, or -1. */
static inline int state_runner(uint64_t state) {
    return (int)(state >> RUNNER_SHIFT & RUNNER_MASK) - 1;
}

/* Is it PENDING without a place, or posted? */
#define RUNNER_BITS (RUNNER_MASK << RUNNER_SHIFT)
static inline bool state_is_free(uint64_t state) {
    return (state & (LIFE_MASK | RUNNER_BITS)) == LIFE_PENDING;
}
static inline bool state_is_posted(uint64_t state) {
    return (state & LIFE_MASK) == LIFE_PENDING && (state & RUNNER_BITS) != 0;
}

/* Where the result stands behind the start of the payload, and its size; bytes. Not with EXTRA. */
static inline size_t state_result_offset(uint64_t state) {
    return (size_t)(state >> ARG_SHIFT & ARG_MASK) * 16;
}
static inline size_t state_result_size(uint64_t state) {
    return (size_t)(state >> RESULT_SHIFT & RESULT_MASK);
}
/* The constant bits for an argument, in units of 16 bytes, and a result that are inside. */
static inline uint64_t state_sizes(size_t arg_units, size_t result_size) {
    return (uint64_t)arg_units << ARG_SHIFT | (uint64_t)result_size << RESULT_SHIFT;
}
/* The constant bits, for any holder of a reference. */
static inline uint64_t state_constant(const uint64_t *word) {
    return load_relaxed(word) & STATE_CONSTANT; /* relaxed: they came with the reference */
}

/* The state now, and everything that happened before it came about. */
static inline uint64_t state_look(const uint64_t *word) {
    return load_acquire(word); /* F3 <- F2, F5, F10 */
}

/* A new future, not yet shared: PENDING with that many references and these constant bits. */
static inline void state_init(uint64_t *word, uint64_t references, uint64_t constant) {
    /* relaxed: whoever shares it releases */
    store_relaxed(word, references << REFERENCE_SHIFT | constant);
}

static inline bool state_leave_pending(uint64_t *word, uint64_t change) {
    uint64_t s = load_acquire(word); /* F3 <- F2, F5 */
    do {
        if (!state_is_free(s)) return false;
    } while (!cas_acquire(word, &s, s | change)); /* F1 -> F2 */
    return true;
}

/* PENDING to RUNNING by the worker of that index. False: it is not pending any more. */
static inline bool state_start(uint64_t *word, int runner) {
    uint64_t change = LIFE_RUNNING | (uint64_t)(runner + 1) << RUNNER_SHIFT;
    uint64_t s = load_acquire(word); /* F3 <- F2, F5 */
    if ((s & ~STATE_CONSTANT) == REFERENCE_ONE) {
        /* The caller's reference is the only one: nobody can cancel, wait or look. */
        store_relaxed(word, s | change); /* relaxed: not shared */
        return true;
    }
    return state_leave_pending(word, change);
}
/* The same; true: fence_after_rmw makes a sequentially consistent fence of it. */
static inline bool state_start_fencing(uint64_t *word, int runner) {
    uint64_t s = load_acquire(word); /* F3 <- F2, F5 */
    do {
        if (!state_is_free(s)) return false;
    } while (!cas_acq_rel(
        word, &s, s | LIFE_RUNNING | (uint64_t)(runner + 1) << RUNNER_SHIFT)); /* F9 -> F2 */
    return true;
}
/* PENDING to CANCELLING. */
static inline bool state_cancel(uint64_t *word) {
    return state_leave_pending(word, LIFE_CANCELLING);
}
/* PENDING to ENDING. */
static inline bool state_fail(uint64_t *word) {
    return state_leave_pending(word, LIFE_ENDING);
}

/* From a posted one that is PENDING; false: it is not. */
static inline bool state_leave_posted(uint64_t *word, enum filch__life life, uint64_t clear) {
    uint64_t s = load_acquire(word); /* F3 <- F2, F5, F10 */
    do {
        if (!state_is_posted(s)) return false;
    } while (!cas_acq_rel(word, &s, (s & ~clear) | (uint64_t)life)); /* F11 -> F2 */
    return true;
}
/* POSTED to RUNNING there. */
static inline bool state_start_posted(uint64_t *word) {
    return state_leave_posted(word, LIFE_RUNNING, 0);
}
/* POSTED to CANCELLING. */
static inline bool state_cancel_posted(uint64_t *word) {
    return state_leave_posted(word, LIFE_CANCELLING, RUNNER_BITS);
}
/* PENDING to POSTED at that worker. False: it is not pending any more. */
static inline bool state_post(uint64_t *word, int runner) {
    uint64_t s = load_acquire(word); /* F3 <- F2, F5 */
    do {
        if (!state_is_free(s)) return false;
    } while (!cas_acq_rel(word, &s, s | (uint64_t)(runner + 1) << RUNNER_SHIFT)); /* F10 -> F3 */
    return true;
}
/* POSTED to PENDING. False: somebody who looked was told that it runs. */
static inline bool state_unpost(uint64_t *word) {
    uint64_t s = load_acquire(word); /* F3 <- F2, F5, F10 */
    do {
        if (!state_is_posted(s)) return false;
    } while (!cas_acq_rel(word, &s, s & ~RUNNER_BITS)); /* F10 -> F3 */
    return true;
}
/* RUNNING, and started once more by that worker. */
static inline void state_move(uint64_t *word, int runner) {
    uint64_t s = load_acquire(word); /* F3 <- F2, F5, F10 */
    uint64_t bits = (uint64_t)(runner + 1) << RUNNER_SHIFT;
    while (!cas_acq_rel(word, &s, (s & ~RUNNER_BITS) | bits)) /* F10 -> F3 */
        continue;
}
/* The start of a promise, which several may try although there is one reference. */
static inline bool state_start_promise(uint64_t *word) {
    return state_leave_pending(word, LIFE_RUNNING);
}
/* PENDING or RUNNING to ENDING, of a promise. */
static inline bool state_end(uint64_t *word) {
    uint64_t s = load_acquire(word); /* F3 <- F2, F5 */
    do {
        if (state_life(s) != LIFE_PENDING && state_life(s) != LIFE_RUNNING) return false;
    } while (!cas_acquire(word, &s, s | LIFE_ENDING)); /* F1 -> F2 */
    return true;
}
/* Asks for an early end. False: it does not run. */
static inline bool state_request(uint64_t *word) {
    uint64_t s = load_acquire(word); /* F3 <- F2, F5, F9 */
    do {
        if (state_life(s) != LIFE_RUNNING) return false;
    } while (!cas_acq_rel(word, &s, s | FLAG_REQUESTED)); /* F9 -> F3 */
    return true;
}

enum filch__after_finish {
    AFTER_GONE, /* nothing; the caller's reference is given back, if it asked for that */
    AFTER_LAST, /* the caller's reference was the last one: free the future; its state was not changed */
    AFTER_NOTIFY /* wake sleepers, tell the hub, then give the reference back */
};

/* The end of RUNNING, ENDING (final: FINISHED) or CANCELLING (CANCELLED). With `drop` it gives back the
 * caller's reference in the same step, if nobody is to be told. */
static inline enum filch__after_finish state_finish(uint64_t *word, enum filch__life final,
                                                    bool drop) {
    uint64_t s = load_acquire(word); /* F3 <- F2, F5 */
    for (;;) {
        bool notify = (s & (FLAG_SLEEPERS | FLAG_HUB)) != 0;
        uint64_t references = state_references(s);
        if (!notify && drop && references == 1) return AFTER_LAST;
        uint64_t less = !notify && drop && references != REFERENCES_MAX ? REFERENCE_ONE : 0;
        uint64_t next = ((s & ~LIFE_MASK) | (uint64_t) final) - less;
        if (cas_acq_rel(word, &s, next)) /* F2 -> F3, F4; F2 <- F1, F4, F9, F11 */
            return notify ? AFTER_NOTIFY : AFTER_GONE;
    }
}

/* Announces a sleeper, or something in the hub. Returns the state before. */
static inline uint64_t state_add_flag(uint64_t *word, uint64_t flag) {
    return fetch_or_acq_rel(word, flag); /* F4 -> F2; F4 <- F2 */
}

/* One reference more, for a caller that holds one. */
static inline void state_retain(uint64_t *word) {
    uint64_t s = load_relaxed(word); /* relaxed: a count */
    do {
        if (state_references(s) == REFERENCES_MAX) return;
    } while (!cas_weak_relaxed(word, &s, s + REFERENCE_ONE)); /* F6 -> F5 */
}

/* One reference less. True: it was the last, the caller frees the future. */
static inline bool state_release(uint64_t *word) {
    uint64_t s = load_acquire(word); /* F3 <- F2, F5 */
    do {
        uint64_t references = state_references(s);
        if (references == REFERENCES_MAX) return false;
        if (references == 1) {
            /* A failed CAS reads relaxed, so look once more: see F5. */
            (void)load_acquire(word); /* F3 <- F2, F5 */
            return true;
        }
    } while (!cas_weak_release(word, &s, s - REFERENCE_ONE)); /* F5 -> F3; F5 <- F6 */
    return false;
}

#endif
