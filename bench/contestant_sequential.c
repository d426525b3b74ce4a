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

static size_t run_batch(void *pool, const bench_batch *batch, void *memory) {
    (void)pool, (void)memory;
    size_t wrong = 0;
    for (uint64_t i = 0; i < batch->tasks; i++) {
        uint64_t arg = batch->arg + i * batch->step, value = 0;
        int code = batch->fn(&arg, &value);
        wrong += code != 0 || value != batch->expected + i * batch->step;
    }
    return wrong;
}

const bench_contestant contestant_sequential = {
    .name = "sequential",
    .create = create,
    .destroy = destroy,
    .run_batch = run_batch,
    .ports = &forkjoin_sequential,
};
