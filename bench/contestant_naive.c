/* contestant_naive.c: the naive pool (naive_pool.c) in the race.
 *
 * It has no tree: a task that waits blocks its worker, and soon every worker is blocked. One task that
 * waits for many is possible with two workers.
 *
 * SPDX-License-Identifier: MIT */
#include "contestant.h"
#include "naive_pool.h"

typedef naive_future *handle;

static inline bool submit(void *pool, task_fn *fn, const void *arg, size_t arg_size,
                          size_t result_size, handle *future) {
    *future = naive_pool_submit((naive_pool *)pool, fn, arg, arg_size, result_size);
    return *future != NULL;
}

static inline int take_result(handle future, void *result) {
    return naive_future_result(future, result);
}

#include "batch.inc.h"

static bool create(int workers, void **pool) {
    *pool = naive_pool_create(workers);
    return *pool != NULL;
}

static void destroy(void *pool) {
    naive_pool_destroy((naive_pool *)pool);
}

const bench_contestant contestant_naive = {
    .name = "naive pool",
    .handle_size = sizeof(handle),
    .inside_workers = 2,
    .create = create,
    .destroy = destroy,
    .run_batch = run_batch,
    .run_inside = run_inside,
    .ports = &forkjoin_naive,
};
