/* forkjoin_naive.c: the fork-join workloads that the naive pool can run: those without a task that waits.
 *
 * A task that waits for another blocks its worker, and soon every worker is blocked. What is left are
 * loops, cut into a few pieces for each worker, and the matrices' tiles. All are submitted by the calling
 * thread, which then takes the results.
 *
 * SPDX-License-Identifier: MIT */
#include "fj_parts.h"
#include "naive_pool.h"
#include "contestant.h"

typedef naive_future *handle;

static inline bool submit(void *pool, task_fn *fn, const void *arg, size_t arg_size,
                          handle *future) {
    *future = naive_pool_submit((naive_pool *)pool, fn, arg, arg_size, sizeof(uint64_t));
    return *future != NULL;
}

static inline uint64_t take_result(handle future) {
    uint64_t value = 0;
    return naive_future_result(future, &value) == 0 ? value : UINT64_MAX;
}

#include "fj_pieces.inc.h"

const fj_ports forkjoin_naive = {{
    [FJ_MATMUL] = matmul,
    [FJ_SQUARES] = squares,
    [FJ_UNEVEN] = uneven,
    [FJ_TRIAD] = triad,
    [FJ_OPAQUE] = opaque,
}};
