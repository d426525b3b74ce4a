/* filch/map.h: one function over many inputs.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_MAP_H
#define FILCH_MAP_H

#include <filch/task.h>

FILCH_BEGIN_DECLS

/* Runs fn on each of n inputs, in parallel, and waits for all.
 *
 * executor     NULL is filch_default_executor()
 * fn           gets a copy of args[i] and zeroed result bytes, as every task does
 * args         n * arg_size bytes; NULL only if n or arg_size is 0
 * n            inputs; 0 returns 0 at once
 * results      n * result_size bytes; results[i] is written if input i succeeded, and left as it was
 *              otherwise; NULL only if n or result_size is 0
 * Returns      0 if every input succeeded, else the code of the lowest index that failed, and its text
 *              as filch_last_error(); FILCH_EINVAL; FILCH_ETOOBIG; FILCH_EFORKED; and, if no input failed, what filch_submit
 *              returned if inputs could not be submitted (those that could are finished first).
 * Ownership: args and results stay the caller's and are not used after the return.
 * Threads: any; in a task, the worker takes part. Progress: blocking. Since: 0.1. */
FILCH_API int filch_map_array(filch_executor *executor, filch_task_fn *fn, const void *args,
                              size_t arg_size, size_t n, void *results, size_t result_size);

FILCH_END_DECLS

#endif
