/* fj_workloads.h: what the files fj_*.c define, for the table in fj_workloads.c and for workload.c.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_FJ_WORKLOADS_H
#define BENCH_FJ_WORKLOADS_H

#include "forkjoin.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const fj_shape fj_shape_t1, fj_shape_t3, fj_shape_t1_small, fj_shape_t3_small;

fj_port fj_fib_sequential, fj_nqueens_sequential, fj_skynet_sequential, fj_uts_sequential,
    fj_matmul_sequential, fj_cilksort_sequential, fj_squares_sequential, fj_uneven_sequential,
    fj_triad_sequential, fj_opaque_sequential, fj_sort_sequential;

bool fj_fib_make(fj_job *job);
bool fj_nqueens_make(fj_job *job);
bool fj_skynet_make(fj_job *job);
bool fj_uts_make(fj_job *job);

bool fj_matmul_make(fj_job *job);
void fj_matmul_refresh(fj_job *job);
bool fj_matmul_right(const fj_job *job, uint64_t result);

/* Of both sorts. */
bool fj_keys_make(fj_job *job);
void fj_keys_refresh(fj_job *job);
bool fj_keys_right(const fj_job *job, uint64_t result);

bool fj_squares_make(fj_job *job);
bool fj_uneven_make(fj_job *job);
void fj_uneven_refresh(fj_job *job);
bool fj_uneven_right(const fj_job *job, uint64_t result);
bool fj_triad_make(fj_job *job);
void fj_triad_refresh(fj_job *job);
bool fj_triad_right(const fj_job *job, uint64_t result);
bool fj_opaque_make(fj_job *job);
void fj_opaque_refresh(fj_job *job);
bool fj_opaque_right(const fj_job *job, uint64_t result);

bool fj_leaves_make(fj_job *job);
bool fj_loop_make(fj_job *job);
void fj_loop_refresh(fj_job *job);
bool fj_loop_right(const fj_job *job, uint64_t result);

/* Random numbers without a state that is shared: the i-th of a row. */
uint64_t fj_random(uint64_t i);

#ifdef __cplusplus
}
#endif

#endif
