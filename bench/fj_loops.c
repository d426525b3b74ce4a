/* fj_loops.c: the loops: a reduction, an uneven one, one bound by memory, one that does next to nothing,
 * and the leaves of the METG sweeps.
 *
 * Keeps: where a loop's body is a sum or an instruction, an empty asm statement keeps the compilers from
 * folding, counting or vectorising it (kernel.c says more). The triad is vectorised, as one wants it.
 *
 * SPDX-License-Identifier: MIT */
#include "fj_parts.h"
#include "fj_workloads.h"
#include "kernel.h"

#include <filch/atomic.h>

#include <stdlib.h>
#include <string.h>

/* A reduction ------------------------------------------------------------------------------------ */

FJ_PART uint64_t fj_squares(int64_t begin, int64_t end) {
    uint64_t sum = 0;
    for (uint64_t i = (uint64_t)begin; i < (uint64_t)end; i++) {
        __asm__ volatile("" : "+r"(i));
        sum += i * i;
    }
    return sum;
}

uint64_t fj_squares_sequential(void *pool, const fj_job *job) {
    (void)pool;
    return fj_squares(0, (int64_t)job->n);
}

bool fj_squares_make(fj_job *job) {
    job->expected = kernel_sum_of_squares_expected(job->n);
    return true;
}

/* Longer and longer ------------------------------------------------------------------------------ */

FJ_PART void fj_uneven(const fj_job *job, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) job->keys[i] = kernel_sum_of_squares((uint64_t)i);
}

uint64_t fj_uneven_sequential(void *pool, const fj_job *job) {
    (void)pool;
    fj_uneven(job, 0, (int64_t)job->n);
    return 0;
}

bool fj_uneven_make(fj_job *job) {
    job->keys = malloc(job->n * sizeof(uint64_t));
    return job->keys != NULL;
}

void fj_uneven_refresh(fj_job *job) {
    memset(job->keys, 0xff, job->n * sizeof(uint64_t));
}

bool fj_uneven_right(const fj_job *job, uint64_t result) {
    bool right = result == 0;
    for (uint64_t i = 0; i < job->n; i++)
        right = right && job->keys[i] == kernel_sum_of_squares_expected(i);
    return right;
}

/* Bound by memory -------------------------------------------------------------------------------- */

FJ_PART void fj_triad(const fj_job *job, int64_t begin, int64_t end) {
    double *restrict a = job->a;
    const double *restrict b = job->b, *restrict c = job->c;
    for (int64_t i = begin; i < end; i++) a[i] = b[i] + 3.0 * c[i];
}

uint64_t fj_triad_sequential(void *pool, const fj_job *job) {
    (void)pool;
    fj_triad(job, 0, (int64_t)job->n);
    return 0;
}

bool fj_triad_make(fj_job *job) {
    job->a = malloc(job->n * sizeof(double));
    job->b = malloc(job->n * sizeof(double));
    job->c = malloc(job->n * sizeof(double));
    if (job->a == NULL || job->b == NULL || job->c == NULL) return false;
    for (uint64_t i = 0; i < job->n; i++) {
        job->b[i] = (double)i;
        job->c[i] = (double)(2 * i);
    }
    return true;
}

void fj_triad_refresh(fj_job *job) {
    memset(job->a, 0xff, job->n * sizeof(double));
}

bool fj_triad_right(const fj_job *job, uint64_t result) {
    bool right = result == 0;
    for (uint64_t i = 0; i < job->n; i++) {
        double expected = 7.0 * (double)i; /* exact */
        right = right && job->a[i] >= expected && job->a[i] <= expected;
    }
    return right;
}

/* One instruction -------------------------------------------------------------------------------- */

FJ_PART void fj_opaque(const fj_job *job, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) __asm__ volatile("nop");
    /* relaxed: read after the loop, whose end orders it */
    filch_fetch_add_relaxed(&job->scratch[0], (uint64_t)(end - begin));
}

uint64_t fj_opaque_sequential(void *pool, const fj_job *job) {
    (void)pool;
    fj_opaque(job, 0, (int64_t)job->n);
    return 0;
}

bool fj_opaque_make(fj_job *job) {
    job->scratch = malloc(sizeof(uint64_t));
    return job->scratch != NULL;
}

void fj_opaque_refresh(fj_job *job) {
    job->scratch[0] = 0;
}

bool fj_opaque_right(const fj_job *job, uint64_t result) {
    return result == 0 && job->scratch[0] == job->n;
}

/* Leaves of the sweeps --------------------------------------------------------------------------- */

bool fj_leaves_make(fj_job *job) {
    job->expected = kernel_grain_expected(job->n) * job->leaves;
    return true;
}

FJ_PART void fj_leaves(const fj_job *job, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) job->keys[i] = kernel_grain(job->n);
}

bool fj_loop_make(fj_job *job) {
    job->keys = malloc(job->leaves * sizeof(uint64_t));
    return job->keys != NULL;
}

void fj_loop_refresh(fj_job *job) {
    memset(job->keys, 0, job->leaves * sizeof(uint64_t));
}

bool fj_loop_right(const fj_job *job, uint64_t result) {
    uint64_t expected = kernel_grain_expected(job->n);
    bool right = result == 0;
    for (uint64_t i = 0; i < job->leaves; i++) right = right && job->keys[i] == expected;
    return right;
}
