/* contestant_sequential.c: the sequential twin, a plain loop that calls the task function.
 *
 * It has no pool, no future and no allocation, and uses one CPU: what a speed-up is measured against
 * is the loop that a user has today, not a pool with one worker.
 *
 * SPDX-License-Identifier: MIT */
#include "contestant.h"

static bool create(int workers, void **pool) {
    (void)workers;
    *pool = NULL;
    return true;
}

static void destroy(void *pool) {
    (void)pool;
}

static size_t run_batch(void *pool, const bench_batch *batch, void *handles) {
    (void)pool, (void)handles;
    size_t wrong = 0;
    for (size_t i = 0; i < batch->tasks; i++) {
        uint64_t arg = batch->arg, value = 0;
        int code = batch->fn(&arg, &value);
        wrong += code != 0 || value != batch->expected;
    }
    return wrong;
}

const bench_contestant contestant_sequential = {"sequential", 0, create, destroy, run_batch, NULL};
