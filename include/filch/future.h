/* filch/future.h: what a task will have done.
 *
 * A future goes from PENDING to RUNNING to FINISHED, or from PENDING to CANCELLED; from PENDING to
 * FINISHED if its executor broke, or if it is a promise (filch/promise.h). FINISHED and CANCELLED are
 * final and count as done.
 *
 * Threads: every call may run in any thread at the same time as every other call on the same future,
 * as long as each caller holds a reference.
 *
 * Fork: in a child after fork() a future of the parent that was done can be read, and all can be released.
 * One that was not done never will be there: waits for it return FILCH_EFORKED at once, it cannot be
 * cancelled, and filch_future_running tells what was so at the fork.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_FUTURE_H
#define FILCH_FUTURE_H

#include <filch/error.h>
#include <filch/task.h>
#include <filch/time.h>
#include <stdbool.h>
#include <stddef.h>

/* Who ran a task. */
typedef struct filch_origin {
    /* Index of the worker; -1 if the task never started. */
    int worker;
    /* Process; 0 if the task never started. */
    int pid;
} filch_origin;

/* How a future ended. */
typedef struct filch_error {
    /* What filch_future_result returns: 0, the task's positive code, or one of FILCH_E... */
    int code;
    /* The text that the task gave to filch_fail, else filch_error_text(code). Never NULL. Belongs to
     * the future, valid as long as a reference to it is held. */
    const char *text;
    /* Who ran the task. */
    filch_origin origin;
} filch_error;

/* Where a future is in its life. */
typedef enum filch_state {
    FILCH_PENDING = 0,
    FILCH_RUNNING = 1,
    FILCH_FINISHED = 2,
    FILCH_CANCELLED = 3
} filch_state;

/* A future at one moment. */
typedef struct filch_snapshot {
    /* FILCH_PENDING, FILCH_RUNNING, FILCH_FINISHED or FILCH_CANCELLED. */
    filch_state state;
    /* What filch_future_result returns once the future is done; 0 before. */
    int code;
    /* The value, as filch_future_result_view gives it: for FILCH_FINISHED with code 0; else NULL. Belongs to
     * the future, valid as long as a reference to it is held. */
    const void *value;
    /* Bytes at value; 0 without a value. */
    size_t size;
} filch_snapshot;

/* Called when a future is done. */
typedef void filch_done_callback(filch_future *future, void *context);

FILCH_BEGIN_DECLS

/* Waits until the future is done and gives its value.
 *
 * On a worker, the awaited task itself is claimed and run if it has not started, wherever it is
 * queued; then descendants of it and of the waiting task are run; then the worker spins, and parks
 * with a spare worker in its place. No unrelated task ever runs on top of the waiting one. Other
 * threads spin for at most the executor's `spin`, then sleep, and never run tasks.
 *
 * future   not NULL
 * result   receives result_size bytes on success only; may be NULL
 * timeout  nanoseconds, 0 or less polls, FILCH_FOREVER waits without end
 * Returns  0; the task's positive code; FILCH_ECANCELED; FILCH_EBROKEN; FILCH_ETIMEDOUT (the future
 *          is as it was); FILCH_EINVAL (future is NULL); FILCH_EDEADLK (the future's task stands lower
 *          on the caller's own stack, or tasks wait for each other in a circle); FILCH_EAGAIN (a worker
 *          must park to go on, nobody else is left to run the task, and no thread or process could be
 *          started, or none more may be: max_spares);
 *          FILCH_EFORKED (it is the parent's and was not done; or what this call ran has forked, and this
 *          is the child). May be called any number of times.
 * Progress: blocking. Ordering: everything that the task did happens before the return.
 * Since: 0.1. */
FILCH_API int filch_future_result(filch_future *future, void *result, filch_nanoseconds timeout);

/* The same until an absolute time.
 *
 * deadline nanoseconds of CLOCK_MONOTONIC; one that is past, or 0 or less, polls; FILCH_FOREVER waits
 * Returns  as filch_future_result.
 * Since: 0.1. */
FILCH_API int filch_future_result_until(filch_future *future, void *result,
                                        filch_nanoseconds deadline);

/* The same as filch_future_result, but a worker runs nothing than the awaited task itself while it waits, no
 * descendants: for a caller that holds a lock, or has thread-local state in use, that they might meet.
 *
 * Returns  as filch_future_result. Since: 0.1. */
FILCH_API int filch_future_result_isolated(filch_future *future, void *result,
                                           filch_nanoseconds timeout);

/* The same with an absolute deadline, as for filch_future_result_until.
 *
 * Returns  as filch_future_result_isolated. Since: 0.1. */
FILCH_API int filch_future_result_isolated_until(filch_future *future, void *result,
                                                 filch_nanoseconds deadline);

/* Waits without end, as filch_future_result does, and shows the value where it is, without a copy: what the task
 * got from filch_result_alloc, or else its result_size bytes.
 *
 * data     receives a pointer to the value; not NULL; written on success only, as is *size
 * size     receives its bytes; not NULL
 * Returns  as filch_future_result.
 * Ownership: the future's, valid as long as a reference to it is held. Only to be read.
 * Progress: blocking. Since: 0.1. */
FILCH_API int filch_future_result_view(filch_future *future, const void **data, size_t *size);

/* The same with an absolute deadline, as for filch_future_result_until.
 *
 * Returns  as filch_future_result_view. Since: 0.1. */
FILCH_API int filch_future_result_view_until(filch_future *future, const void **data, size_t *size,
                                             filch_nanoseconds deadline);

/* Waits as filch_future_result does and fills *error with how the future ended.
 *
 * error    not NULL; filled on success only
 * Returns  0 if the future is done, however it ended; else FILCH_ETIMEDOUT, FILCH_EINVAL,
 *          FILCH_EDEADLK, FILCH_EAGAIN, FILCH_EFORKED as filch_future_result.
 * Since: 0.1. */
FILCH_API int filch_future_error(filch_future *future, filch_error *error,
                                 filch_nanoseconds timeout);

/* The same with an absolute deadline, as for filch_future_result_until.
 *
 * Returns  as filch_future_error. Since: 0.1. */
FILCH_API int filch_future_error_until(filch_future *future, filch_error *error,
                                       filch_nanoseconds deadline);

/* State, code and value, read as one: they belong to the same moment. Does not wait.
 *
 * snapshot filled; not NULL
 * Returns  0; FILCH_EINVAL (one of the two is NULL).
 * Progress: wait-free. Since: 0.1. */
FILCH_API int filch_future_snapshot(filch_future *future, filch_snapshot *snapshot);

/* One line on the future as it is now, such as
 *
 *     <filch_future 0x55d0c0 pending>
 *     <filch_future 0x55d0c0 running on worker 2>
 *     <filch_future 0x55d0c0 finished: 0>
 *     <filch_future 0x55d0c0 "name of the task" finished: 5 (its text)>
 *     <filch_future 0x55d0c0 finished: FILCH_EBROKEN>
 *     <filch_future 0x55d0c0 cancelled>
 *
 * For people to read: the form may change.
 *
 * buffer   receives at most size bytes, the last one of them 0; NULL only if size is 0
 * size     bytes at buffer, 0 or more
 * Returns  the length of the whole line, as snprintf does: it was cut if that is not below size;
 *          FILCH_EINVAL (future is NULL, or buffer is and size is not 0).
 * Progress: wait-free. Since: 0.1. */
FILCH_API int filch_future_describe(filch_future *future, char *buffer, size_t size);

/* Is the future finished or cancelled?
 *
 * Returns  true if it is; false for NULL. Progress: wait-free. Since: 0.1. */
FILCH_API bool filch_future_done(filch_future *future);

/* Has the task started and not yet finished?
 *
 * Returns  true if it runs; false for NULL. Progress: wait-free. Since: 0.1. */
FILCH_API bool filch_future_running(filch_future *future);

/* Is the future cancelled?
 *
 * Returns  true if it is; false for NULL. Progress: wait-free. Since: 0.1. */
FILCH_API bool filch_future_cancelled(filch_future *future);

/* Cancels the task if it has not started: one atomic transition against the start, which exactly one
 * side wins. Destroys the argument and runs the callbacks in the caller. Where another thread is just
 * cancelling it, waits until that has destroyed the argument.
 *
 * Returns  true if the future is now, or already was, cancelled; false if it runs or has finished,
 *          for NULL, and, in a child after fork(), for one of the parent's that was not done; nothing
 *          has happened then.
 * Progress: lock-free. Since: 0.1. */
FILCH_API bool filch_future_cancel(filch_future *future);

/* Cancels the task if it has not started, or asks it to end early if it runs: filch_cancel_requested() is then
 * true in it. What the task makes of that is its own affair.
 *
 * Returns  true if the future is cancelled, as filch_future_cancel, or runs and is asked; false if it has
 *          finished, and for NULL.
 * Progress: lock-free. Since: 0.1. */
FILCH_API bool filch_future_request_cancel(filch_future *future);

/* Has fn called once when the future is done, in the order added, in the thread that completes or
 * cancels it, outside every lock of the library; at once, in the caller, if it is already done. In a
 * callback every call is legal, the release of the last reference included, but those that wait for
 * the callback's own thread (FILCH_EDEADLK).
 *
 * fn       not NULL
 * context  passed on
 * Returns  0; FILCH_EINVAL; FILCH_ENOMEM; FILCH_EFORKED (fn is then never called).
 * Ordering: everything that the task did happens before the callback. Progress: lock-free.
 * Since: 0.1. */
FILCH_API int filch_future_add_done_callback(filch_future *future, filch_done_callback *fn,
                                             void *context);

/* One reference more.
 *
 * Returns  the future; NULL for NULL. Progress: lock-free. Since: 0.1. */
FILCH_API filch_future *filch_future_retain(filch_future *future);

/* One reference less. The task of a released future still runs. NULL is allowed. A future may outlive
 * its executor. Progress: lock-free. Since: 0.1. */
FILCH_API void filch_future_release(filch_future *future);

FILCH_END_DECLS

#endif
