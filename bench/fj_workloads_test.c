/* fj_workloads_test.c: the twins of the fork-join workloads are right, and each check tells a wrong result.
 *
 * Flow: a job is made, run by the twin, and has to pass its check; then one thing in its result is changed,
 * and it must not. T1 and T3 give the counts that are published with UTS.
 *
 * SPDX-License-Identifier: MIT */
#include "check.h"
#include "fj_parts.h"
#include "fj_workloads.h"
#include "kernel.h"

static bool is_right(enum fj_id id, const fj_job *job, uint64_t result) {
    return fj_workloads[id].right != NULL ? fj_workloads[id].right(job, result)
                                          : result == job->expected;
}

static fj_job make(enum fj_id id, uint64_t n) {
    fj_job job = {.n = n};
    CHECK(fj_job_make(id, &job));
    return job;
}

/* A workload whose result is a number. */
static void numbers_are_checked(enum fj_id id, uint64_t n, uint64_t expected) {
    fj_job job = make(id, n);
    uint64_t result = fj_workloads[id].sequential(NULL, &job);
    CHECK(result == expected);
    CHECK(is_right(id, &job, result));
    CHECK(!is_right(id, &job, result + 1));
    fj_job_free(&job);
}

static void uts_has_the_published_counts(void) {
    fj_job job = {.shape = &fj_shape_t1};
    CHECK(fj_uts_sequential(NULL, &job) == 4130071);
    job.shape = &fj_shape_t3;
    CHECK(fj_uts_sequential(NULL, &job) == 4112897);
}

/* Of an array: before it is filled, after, and with one element changed. */
#define ARRAY_IS_CHECKED(id, size, changed, other)                                                 \
    do {                                                                                           \
        fj_job job = make(id, size);                                                               \
        CHECK(!is_right(id, &job, 0));                                                             \
        CHECK(fj_workloads[id].sequential(NULL, &job) == 0);                                       \
        CHECK(is_right(id, &job, 0));                                                              \
        CHECK(!is_right(id, &job, 1));                                                             \
        changed = other;                                                                           \
        CHECK(!is_right(id, &job, 0));                                                             \
        fj_job_free(&job);                                                                         \
    } while (0)

static void sorts_keep_their_keys(enum fj_id id) {
    for (uint64_t n = 1; n < 20000; n = n * 5 / 3 + 1) {
        fj_job job = make(id, n);
        CHECK(fj_workloads[id].sequential(NULL, &job) == 0);
        CHECK(is_right(id, &job, 0));
        job.keys[n / 2] ^= 1;
        CHECK(!is_right(id, &job, 0));
        fj_job_free(&job);
    }
}

/* Rows that rise, fall, and repeat are where a quicksort goes wrong. */
static void leaves_are_sorted(void) {
    enum { N = 300 };
    uint64_t keys[N];
    for (uint64_t kind = 0; kind < 5; kind++)
        for (uint64_t n = 0; n <= N; n++) {
            for (uint64_t i = 0; i < n; i++)
                keys[i] = kind == 0   ? i
                          : kind == 1 ? n - i
                          : kind == 2 ? 7
                          : kind == 3 ? i % 3
                                      : fj_random(i) % 10;
            fj_sort_leaf(keys, n);
            for (uint64_t i = 1; i < n; i++) CHECK(keys[i - 1] <= keys[i]);
        }
}

static void leaves_of_a_loop_are_checked(void) {
    fj_job job = {.n = 5, .leaves = 100};
    CHECK(fj_job_make(FJ_LOOP, &job));
    CHECK(!is_right(FJ_LOOP, &job, 0));
    fj_leaves(&job, 0, 40);
    CHECK(!is_right(FJ_LOOP, &job, 0));
    fj_leaves(&job, 40, 100);
    CHECK(is_right(FJ_LOOP, &job, 0));
    fj_job_free(&job);
}

static void spawns_are_counted(void) {
    CHECK(fj_fib_spawns(2) == 1); /* fib(2) */
    CHECK(fj_fib_spawns(4) == 4); /* fib(4), fib(3), and fib(2) twice */
    CHECK(fj_fib_spawns(5) == 7);
}

int main(void) {
    numbers_are_checked(FJ_FIB, 20, 6765);
    numbers_are_checked(FJ_NQUEENS, 8, 92);
    numbers_are_checked(FJ_SKYNET, 10000, 49995000);
    numbers_are_checked(FJ_SQUARES, 1000, 332833500);
    uts_has_the_published_counts();
    ARRAY_IS_CHECKED(FJ_MATMUL, 96, job.c[96 * 50 + 7], job.c[96 * 50 + 7] + 1);
    ARRAY_IS_CHECKED(FJ_UNEVEN, 100, job.keys[99], 0);
    ARRAY_IS_CHECKED(FJ_TRIAD, 1000, job.a[999], 0);
    ARRAY_IS_CHECKED(FJ_OPAQUE, 1000, job.scratch[0], 999);
    sorts_keep_their_keys(FJ_CILKSORT);
    sorts_keep_their_keys(FJ_SORT);
    leaves_are_sorted();
    leaves_of_a_loop_are_checked();
    spawns_are_counted();
    return 0;
}
