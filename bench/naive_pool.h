/* naive_pool.h: the baseline, a thread pool with futures as it is written in an afternoon.
 *
 * Flow: contestant_naive.c and the pool's test call it. Task functions, arguments and results are as
 * filch's: a private copy of the argument, zeroed result bytes, both aligned like max_align_t.
 *
 * Threads: submit and result from any thread. The pool is destroyed by one thread, after which no
 * other call on it may begin. A task must not wait for another task's future: with every worker
 * waiting, nobody is left to run what they wait for.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_NAIVE_POOL_H
#define BENCH_NAIVE_POOL_H

#include <stddef.h>

typedef struct naive_pool naive_pool;
typedef struct naive_future naive_future;
typedef int naive_task_fn(void *arg, void *result);

/* Makes a pool and starts all its workers (1 or more). NULL: no memory, or no thread. */
naive_pool *naive_pool_create(int workers);

/* Waits until every submitted task has run, ends the workers, and frees the pool. Futures whose
 * results were not taken stay valid. NULL does nothing. */
void naive_pool_destroy(naive_pool *pool);

/* Submits fn with a copy of arg_size bytes at arg. The caller owns the future and must take its
 * result. NULL: no memory; the task never runs. */
naive_future *naive_pool_submit(naive_pool *pool, naive_task_fn *fn, const void *arg,
                                size_t arg_size, size_t result_size);

/* Waits for the task, copies its result to `result` (which may be NULL), frees the future, and
 * returns what the task returned. Once per future. */
int naive_future_result(naive_future *future, void *result);

#endif
