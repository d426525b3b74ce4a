/* workloads_test.c: the fork-join workloads of the benchmark give the right result with any number of workers.
 *
 * Flow: a workload's job is made once; then its port on this library (bench/forkjoin_filch.c) runs it with 1, 2, 3,
 * 7 and 64 workers, several times each, and every result passes the check of the workload, whose own test
 * (bench/fj_workloads_test.c) shows that it refuses wrong ones. FILCH_STRESS=N runs each N times as often.
 *
 * R-JOIN-18.
 *
 * SPDX-License-Identifier: MIT */
#include "fj_workloads.h"
#include "support.h"

#include <criterion/criterion.h>
#include <filch.h>

extern const fj_ports forkjoin_filch;

static bool is_right(enum fj_id id, const fj_job *job, uint64_t result) {
    return fj_workloads[id].right != NULL ? fj_workloads[id].right(job, result)
                                          : result == job->expected;
}

static void run_rounds(enum fj_id id, fj_job *job, int workers) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    filch_executor *e;
    options.max_workers = workers;
    cr_assert_eq(filch_thread_executor(&options, &e), 0);
    for (int round = 0; round < stress(5); round++) {
        if (fj_workloads[id].refresh != NULL) fj_workloads[id].refresh(job);
        uint64_t result = forkjoin_filch.of[id](e, job);
        cr_assert(is_right(id, job, result), "%s, %d workers, round %d: a wrong result: %llu",
                  fj_workloads[id].name, workers, round, (unsigned long long)result);
    }
    cr_assert_eq(filch_executor_destroy(e), 0);
}

static void runs_right(enum fj_id id, fj_job job) {
    static const int workers[] = {1, 2, 3, 7, 64};
    cr_assert(fj_job_make(id, &job));
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) run_rounds(id, &job, workers[i]);
    fj_job_free(&job);
}

#define WORKLOAD(name, id, ...)                                                                    \
    Test(workloads, name) {                                                                        \
        runs_right(id, (fj_job){__VA_ARGS__});                                                     \
    }

WORKLOAD(fib, FJ_FIB, .n = 22)
WORKLOAD(nqueens, FJ_NQUEENS, .n = 9)
WORKLOAD(skynet, FJ_SKYNET, .n = 100000)
WORKLOAD(uts_t1, FJ_UTS, .shape = &fj_shape_t1_small)
WORKLOAD(uts_t3, FJ_UTS, .shape = &fj_shape_t3_small)
WORKLOAD(matmul, FJ_MATMUL, .n = 96)
WORKLOAD(cilksort, FJ_CILKSORT, .n = 50000)
WORKLOAD(squares, FJ_SQUARES, .n = 300000)
WORKLOAD(uneven, FJ_UNEVEN, .n = 256)
WORKLOAD(triad, FJ_TRIAD, .n = 100000)
WORKLOAD(opaque, FJ_OPAQUE, .n = 300000)
WORKLOAD(sort, FJ_SORT, .n = 100000)
WORKLOAD(tree, FJ_TREE, .n = 3, .leaves = 10000)
WORKLOAD(flat, FJ_FLAT, .n = 3, .leaves = 10000)
WORKLOAD(loop, FJ_LOOP, .n = 3, .leaves = 10000)
