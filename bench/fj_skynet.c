/* fj_skynet.c: a tree of tasks, ten children each, whose leaves return their number.
 *
 * Source: the skynet benchmark, github.com/atemerev/skynet: a million leaves, whose sum is 499999500000.
 *
 * SPDX-License-Identifier: MIT */
#include "fj_parts.h"
#include "fj_workloads.h"

uint64_t fj_skynet_call(uint64_t first, uint64_t leaves);

FJ_PART uint64_t fj_skynet_call(uint64_t first, uint64_t leaves) {
    if (leaves == 1) return first;
    uint64_t sum = 0, part = leaves / 10;
    for (uint64_t i = 0; i < 10; i++) sum += fj_skynet_call(first + i * part, part);
    return sum;
}

uint64_t fj_skynet_sequential(void *pool, const fj_job *job) {
    (void)pool;
    return fj_skynet_call(0, job->n);
}

bool fj_skynet_make(fj_job *job) {
    job->expected = job->n * (job->n - 1) / 2;
    return true;
}
