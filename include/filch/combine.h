/* filch/combine.h: futures made of futures.
 *
 * What these calls make is a future like any other: it can be waited for, combined again, and cancelled. To
 * cancel it leaves its inputs as they are. The inputs are retained inside until they are done, so that the
 * caller may release them at once.
 *
 * Threads: any thread, at the same time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_COMBINE_H
#define FILCH_COMBINE_H

#include <filch/future.h>
#include <stddef.h>

/* Continues a future that has succeeded: gets it, done, and a private copy of the argument bytes; the rest is
 * as for filch_task_fn. */
typedef int filch_then_fn(filch_future *done, void *arg, void *result);

FILCH_BEGIN_DECLS

/* A future that is done when all of them are. It has no result. It ends with 0 if all have succeeded, else with
 * the code and the text of the one that failed first in time; if that one was cancelled, it is cancelled.
 *
 * futures  n of them, none NULL; one may stand there twice. NULL only if n is 0
 * n        0 or more; with 0 the future is done at once
 * future   receives the new one; not NULL
 * Returns  0; FILCH_EINVAL; FILCH_ETOOBIG; FILCH_ENOMEM.
 * Ownership: the caller owns one reference to *future.
 * Progress: lock-free but for the allocations; linear in n. It ends, and its callbacks run, in the thread
 * that completes the last input. Since: 0.1. */
FILCH_API int filch_all(filch_future *const *futures, size_t n, filch_future **future);

/* A future that is done as soon as one of them has succeeded. Its result is a size_t: where that one stands in
 * the array. If none succeeds, it ends when all are done, with the code and the text of the one that failed
 * last in time; if that one was cancelled, it is cancelled.
 *
 * n        1 or more
 * Returns  and the rest: as filch_all; FILCH_EINVAL if n is 0. Since: 0.1. */
FILCH_API int filch_any(filch_future *const *futures, size_t n, filch_future **future);

/* A future of fn, which is submitted to the executor when `future` is done. If that one failed, fn is not called
 * and the new one gets its code and text; if it was cancelled, the new one is cancelled. To cancel the new
 * one before fn has started means that fn never runs.
 *
 * future       not NULL
 * executor     where fn runs; NULL is filch_default_executor(). Must not be destroyed before `future` is done.
 *              If it refuses the task then, because it was shut down for instance, the new future ends with
 *              that code
 * fn           not NULL; filch_fail, filch_cancel_requested and filch_result_alloc work in it
 * arg          arg_size bytes, copied before the call returns; NULL only if arg_size is 0
 * result_size  bytes of the new future's result
 * made         receives the new future; not NULL
 * Returns      0; FILCH_EINVAL; FILCH_ETOOBIG (the sizes overflow); FILCH_ENOMEM. If it fails, fn never runs.
 * Ownership: the caller owns one reference to *made.
 * Progress: lock-free but for the allocations. Ordering: what the task of `future` did happens before fn.
 * Since: 0.1. */
FILCH_API int filch_then(filch_future *future, filch_executor *executor, filch_then_fn *fn,
                         const void *arg, size_t arg_size, size_t result_size, filch_future **made);

FILCH_END_DECLS

#endif
