/* filch/set.h: waiting for several futures at once.
 *
 * The futures may be of different executors, and promises. On a worker both kinds of wait first claim and run
 * awaited tasks of its own executor that have not started, then descendants of the waiting task; then the
 * worker spins, and parks with a spare worker in its place, as in filch_future_result.
 *
 * Threads: filch_wait may run in any thread at the same time, on the same futures too. Calls on one
 * filch_completions must not run at the same time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_SET_H
#define FILCH_SET_H

#include <filch/future.h>
#include <stddef.h>

/* What filch_wait waits for. */
typedef enum filch_when {
    /* One is done: finished or cancelled. */
    FILCH_FIRST_COMPLETED = 1,
    /* One has finished with an error, or all are done. A cancelled one is done, but no error. */
    FILCH_FIRST_ERROR = 2,
    /* All are done. */
    FILCH_ALL_COMPLETED = 3
} filch_when;

/* Gives futures in the order in which they are done; made by filch_as_completed. */
typedef struct filch_completions filch_completions;

FILCH_BEGIN_DECLS

/* Waits for futures, and sorts the array: those that are done first, the others behind, each part in the
 * order in which it stood. The time being over is no error: the count says it.
 *
 * futures  n of them, none NULL; one that stands there twice counts twice. NULL only if n is 0
 * n        0 or more; with FILCH_FIRST_COMPLETED and FILCH_FIRST_ERROR at most 2^31 - 2
 * timeout  nanoseconds, 0 or less polls, FILCH_FOREVER waits without end
 * when     one of the three above
 * Returns  how many are done, that is, how many stand in the first part; or FILCH_EINVAL, FILCH_ETOOBIG,
 *          FILCH_ENOMEM; FILCH_EDEADLK (what it waits for stands lower on the caller's own stack: with
 *          FILCH_ALL_COMPLETED one future, else every one that is not done; or a circle of waits, which is
 *          found where all, or just one more, are waited for); FILCH_EAGAIN as filch_future_result. The
 *          array is then as it was.
 * Ownership: the references stay the caller's, and are kept during the call.
 * Progress: blocking. A thread that is stopped while it completes one of them keeps no caller whose time is
 * over. Ordering: everything that the tasks of the first part did happens before the return.
 * Since: 0.1. */
FILCH_API ptrdiff_t filch_wait(filch_future **futures, size_t n, filch_nanoseconds timeout,
                               filch_when when);

/* The same until an absolute time.
 *
 * deadline  nanoseconds of CLOCK_MONOTONIC; one that is past, or 0 or less, polls; FILCH_FOREVER waits
 * Returns   as filch_wait.
 * Since: 0.1. */
FILCH_API ptrdiff_t filch_wait_until(filch_future **futures, size_t n, filch_nanoseconds deadline,
                                     filch_when when);

/* Begins to give futures as they are done: each distinct one once, those that are already done first, in the
 * order of the array, then the others in the order in which they complete.
 *
 * futures      n of them, none NULL; read during the call only. NULL only if n is 0
 * n            0 to 2^31 - 2
 * timeout      nanoseconds from this call on, for all of them together; as for filch_wait
 * completions  receives the iterator; not NULL
 * Returns      0; FILCH_EINVAL; FILCH_ETOOBIG; FILCH_ENOMEM.
 * Ownership: the iterator is the caller's, given back with filch_completions_destroy. The references to the
 * futures stay the caller's; that to one that has not been given yet must be kept until the iterator is
 * destroyed.
 * Progress: lock-free but for the allocations; linear in n. Since: 0.1. */
FILCH_API int filch_as_completed(filch_future *const *futures, size_t n, filch_nanoseconds timeout,
                                 filch_completions **completions);

/* The same with an absolute deadline, as for filch_wait_until.
 *
 * Returns   as filch_as_completed. Since: 0.1. */
FILCH_API int filch_as_completed_until(filch_future *const *futures, size_t n,
                                       filch_nanoseconds deadline, filch_completions **completions);

/* Waits for the next one.
 *
 * future   receives a future that is done; not NULL
 * Returns  0; FILCH_ETIMEDOUT (nothing more has completed and the time is over; what completes later is
 *          still given); FILCH_EEND after the last one; FILCH_EINVAL; FILCH_EDEADLK and FILCH_EAGAIN as
 *          filch_wait with FILCH_FIRST_COMPLETED.
 * Ownership: the reference is the one that the caller has all the time; the library adds none.
 * Progress: blocking. A call that times out looks at every future that was not given.
 * Since: 0.1. */
FILCH_API int filch_completions_next(filch_completions *completions, filch_future **future);

/* Where in the array the future that was given last stands for the first time.
 *
 * Returns   the index; SIZE_MAX before the first, and for NULL. Since: 0.1. */
FILCH_API size_t filch_completions_index(const filch_completions *completions);

/* Ends the iteration. The futures are left as they are. NULL does nothing.
 *
 * Returns  0. Progress: lock-free; linear in the number of futures. Since: 0.1. */
FILCH_API int filch_completions_destroy(filch_completions *completions);

FILCH_END_DECLS

#endif
