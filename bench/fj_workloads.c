/* fj_workloads.c: the table of the fork-join workloads, and the memory of a job.
 *
 * SPDX-License-Identifier: MIT */
#include "fj_workloads.h"

#include <stdlib.h>

const fj_workload fj_workloads[FJ_IDS] = {
    [FJ_FIB] = {"fib", fj_fib_sequential, fj_fib_make, NULL, NULL},
    [FJ_NQUEENS] = {"nqueens", fj_nqueens_sequential, fj_nqueens_make, NULL, NULL},
    [FJ_SKYNET] = {"skynet", fj_skynet_sequential, fj_skynet_make, NULL, NULL},
    [FJ_UTS] = {"uts", fj_uts_sequential, fj_uts_make, NULL, NULL},
    [FJ_MATMUL] = {"matmul", fj_matmul_sequential, fj_matmul_make, fj_matmul_refresh,
                   fj_matmul_right},
    [FJ_CILKSORT] = {"cilksort", fj_cilksort_sequential, fj_keys_make, fj_keys_refresh,
                     fj_keys_right},
    [FJ_SQUARES] = {"squares", fj_squares_sequential, fj_squares_make, NULL, NULL},
    [FJ_UNEVEN] = {"uneven", fj_uneven_sequential, fj_uneven_make, fj_uneven_refresh,
                   fj_uneven_right},
    [FJ_TRIAD] = {"triad", fj_triad_sequential, fj_triad_make, fj_triad_refresh, fj_triad_right},
    [FJ_OPAQUE] = {"opaque", fj_opaque_sequential, fj_opaque_make, fj_opaque_refresh,
                   fj_opaque_right},
    [FJ_SORT] = {"sort", fj_sort_sequential, fj_keys_make, fj_keys_refresh, fj_keys_right},
    [FJ_TREE] = {"tree", NULL, fj_leaves_make, NULL, NULL},
    [FJ_FLAT] = {"flat", NULL, fj_leaves_make, NULL, NULL},
    [FJ_LOOP] = {"loop", NULL, fj_loop_make, fj_loop_refresh, fj_loop_right},
};

const fj_ports forkjoin_sequential = {{
    [FJ_FIB] = fj_fib_sequential,
    [FJ_NQUEENS] = fj_nqueens_sequential,
    [FJ_SKYNET] = fj_skynet_sequential,
    [FJ_UTS] = fj_uts_sequential,
    [FJ_MATMUL] = fj_matmul_sequential,
    [FJ_CILKSORT] = fj_cilksort_sequential,
    [FJ_SQUARES] = fj_squares_sequential,
    [FJ_UNEVEN] = fj_uneven_sequential,
    [FJ_TRIAD] = fj_triad_sequential,
    [FJ_OPAQUE] = fj_opaque_sequential,
    [FJ_SORT] = fj_sort_sequential,
}};

bool fj_job_make(enum fj_id id, fj_job *job) {
    if (!fj_workloads[id].make(job)) return false;
    if (fj_workloads[id].refresh != NULL) fj_workloads[id].refresh(job);
    return true;
}

void fj_job_free(fj_job *job) {
    free(job->a);
    free(job->b);
    free(job->c);
    free(job->keys);
    free(job->scratch);
    free(job->input);
}

/* Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. */
uint64_t fj_random(uint64_t i) {
    uint64_t z = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}
