/* filch/promise.h: futures that the program itself completes.
 *
 * A promise is a filch_future that no executor runs. It is PENDING, after filch_promise_start RUNNING, and
 * FINISHED by filch_promise_set or filch_promise_fail, from either; or CANCELLED by filch_future_cancel while
 * it is PENDING. Of several calls that would end it exactly one wins. Everything that filch/future.h has
 * works with it; one that is released while nobody has completed it is freed like any other.
 *
 * Threads: as filch/future.h: any thread, at the same time, while a reference is held.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_PROMISE_H
#define FILCH_PROMISE_H

#include <filch/future.h>
#include <stddef.h>

FILCH_BEGIN_DECLS

/* Makes a promise.
 *
 * result_size  bytes of its result, 0 or more
 * future       receives the promise; not NULL
 * Returns      0; FILCH_EINVAL (future is NULL); FILCH_ETOOBIG (the size overflows); FILCH_ENOMEM.
 * Ownership: the caller owns one reference to *future, given back with filch_future_release.
 * Threads: any. Progress: lock-free but for the allocation. Since: 0.1. */
FILCH_API int filch_promise(size_t result_size, filch_future **future);

/* Says that work on it has begun: PENDING to RUNNING. From here on it cannot be cancelled, only asked to end
 * early: filch_future_request_cancel, filch_promise_cancel_requested.
 *
 * Returns  0; FILCH_ESTATE (it was cancelled, started or completed before); FILCH_EINVAL (NULL, or the
 *          future of a task).
 * Progress: lock-free. Since: 0.1. */
FILCH_API int filch_promise_start(filch_future *promise);

/* Has filch_future_request_cancel been called while it was RUNNING?
 *
 * Returns  true if it has; false for NULL.
 * Ordering: what the caller of that did before it is seen. Progress: wait-free. Since: 0.1. */
FILCH_API bool filch_promise_cancel_requested(filch_future *promise);

/* Ends it with success and a value, wakes who waits, and runs the callbacks in the caller.
 *
 * value    size bytes, copied; NULL only if size is 0
 * size     the promise's result_size
 * Returns  0; FILCH_ESTATE (it was cancelled or completed before; it stays as it was); FILCH_EINVAL (NULL,
 *          another size, or the future of a task).
 * Progress: lock-free; a system call to wake sleepers. Ordering: everything before the call happens before
 * a wait for the promise returns. Since: 0.1. */
FILCH_API int filch_promise_set(filch_future *promise, const void *value, size_t size);

/* Ends it with an error, as filch_promise_set does with a value.
 *
 * code     positive, or one of the library's negative ones
 * format   the text that filch_future_error shows, as for printf; NULL: filch_error_text(code)
 * Returns  0; FILCH_ESTATE; FILCH_EINVAL (NULL, code is 0 or an unknown negative one, or the future of a
 *          task). Where there is no memory for the text, the promise has the code alone.
 * Since: 0.1. */
FILCH_API int filch_promise_fail(filch_future *promise, int code, const char *format, ...)
    FILCH_PRINTF(3, 4);

FILCH_END_DECLS

#endif
