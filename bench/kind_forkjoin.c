/* kind_forkjoin.c: the fork-join workloads, and the sweeps of forks.
 *
 * Figure: seconds per job; of kind_spawn, per fork. Whatever a job needs is allocated, filled and touched
 * beforehand; what a batch has to find fresh is made so, and what it left is checked, while the clock
 * stands. `sequential` is the twin that is in the workload's file. `bare` stands for the peak in the
 * sweeps (kind_sweep.c) and does not take part elsewhere.
 *
 * Warm-up: the same workload at its size of --quick, for some milliseconds: threads exist and have found
 * their CPUs.
 *
 * SPDX-License-Identifier: MIT */
#include "kernel.h"
#include "kind.h"
#include "workload.h"

#define WARM 0.008 /* seconds: two periods of the scheduler */

static fj_port *port_of(const bench_contestant *contestant, enum fj_id id) {
    return contestant->ports != NULL ? contestant->ports->of[id] : NULL;
}

static bool can(const bench_contestant *contestant, const bench_workload *workload, int workers) {
    (void)workers;
    return port_of(contestant, workload->fork) != NULL;
}

static bool can_sweep(const bench_contestant *contestant, const bench_workload *workload,
                      int workers) {
    return contestant == &contestant_bare || can(contestant, workload, workers);
}

/* One batch; false: the result was wrong. */
static bool run_job(const bench_run *run, fj_job *job) {
    const fj_workload *what = &fj_workloads[run->workload->fork];
    uint64_t result = port_of(run->contestant, run->workload->fork)(run->pool, job);
    if (what->right == NULL) return result == job->expected;
    gbench_pause(run->state);
    bool right = what->right(job, result);
    gbench_resume(run->state);
    return right;
}

/* One batch without the clock. */
static bool run_unmeasured(const bench_run *run, fj_job *job) {
    const fj_workload *what = &fj_workloads[run->workload->fork];
    uint64_t result = port_of(run->contestant, run->workload->fork)(run->pool, job);
    return what->right != NULL ? what->right(job, result) : result == job->expected;
}

static void warm_up(bench_run *run, fj_job job) {
    const fj_workload *what = &fj_workloads[run->workload->fork];
    double end = kind_now() + WARM;
    if (!fj_job_make(run->workload->fork, &job)) run->error = "there is no memory";
    while (run->error == NULL && run->wrong == 0) {
        run->wrong += !run_unmeasured(run, &job);
        if (kind_now() >= end) break;
        if (what->refresh != NULL) what->refresh(&job);
    }
    fj_job_free(&job);
}

static void measure_job(bench_run *run, fj_job *job) {
    const fj_workload *what = &fj_workloads[run->workload->fork];
    if (!fj_job_make(run->workload->fork, job)) {
        run->error = "there is no memory";
        return;
    }
    run_started(run);
    while (gbench_next(run->state)) {
        if (what->refresh != NULL) {
            gbench_pause(run->state);
            what->refresh(job);
            gbench_resume(run->state);
        }
        run->wrong += !run_job(run, job);
    }
}

static void measure(bench_run *run) {
    const bench_workload *workload = run->workload;
    fj_job warm = {.n = (uint64_t)workload->size.quick, .shape = workload->quick_shape};
    fj_job job = warm;
    if (!run->quick) job = (fj_job){.n = (uint64_t)workload->size.full, .shape = workload->shape};
    warm_up(run, warm);
    if (run->error == NULL) measure_job(run, &job);
    if (workload->kind == &kind_spawn) run->scale = 1 / (double)fj_fib_spawns(job.n);
    fj_job_free(&job);
}

enum { WARM_LEAVES = 2000 };

static void measure_sweep(bench_run *run) {
    fj_job job = {.n = run->workload->n, .leaves = run->tasks};
    fj_job warm = {.n = job.n, .leaves = WARM_LEAVES};
    run->scale = (double)run->workers / (double)run->tasks;
    if (run_is_bare(run)) {
        kind_measure_bare(run);
        return;
    }
    warm_up(run, warm);
    if (run->error == NULL) measure_job(run, &job);
    fj_job_free(&job);
}

#define JOB_KIND(title, its_unit, its_factor)                                                      \
    {                                                                                              \
        .section = title, .unit = its_unit, .factor = its_factor, .meaning = MEANING_PLAIN,        \
        .fork_join = true, .can = can, .measure = measure                                          \
    }
const bench_kind kind_forkjoin = JOB_KIND("fork-join, ms", "ms", 1e3);
const bench_kind kind_many = JOB_KIND("more workers than CPUs, ms", "ms", 1e3);
const bench_kind kind_spawn = JOB_KIND("fib, ns per spawn", "ns", 1e9);

#define SWEEP_KIND(name)                                                                           \
    {                                                                                              \
        .section = name ", efficiency in %", .unit = "%", .factor = 1e2,                           \
        .meaning = MEANING_EFFICIENCY, .fork_join = true, .can = can_sweep,                        \
        .measure = measure_sweep                                                                   \
    }
const bench_kind kind_fork_tree = SWEEP_KIND("tree of forks");
const bench_kind kind_fork_flat = SWEEP_KIND("flat forks");
const bench_kind kind_fork_loop = SWEEP_KIND("parallel loop, grain 1");
