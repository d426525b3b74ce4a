/* kind_idle.c: what a pool costs that has little or nothing to do.
 *
 * Figure: CPU time of the whole process divided by the time that passed, a share of one core. `bare` is
 * the same loop without submit, in the same turn, and is subtracted. With a pause the loop sleeps, then
 * submits a no-op and takes its result; without, the pool has run a few tasks and is then left alone.
 *
 * SPDX-License-Identifier: MIT */
#include "kind.h"
#include "workload.h"

#include <time.h>

enum {
    WARM_TASKS = 16,
    /* Nanoseconds after the last task, longer than any runtime spins. */
    SETTLE = 5000000
};

static bool can(const bench_contestant *contestant, const bench_workload *workload, int workers) {
    (void)workload, (void)workers;
    return contestant != &contestant_sequential;
}

static double cpu_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* The window that is measured: `tasks` ticks, each a pause and a no-op, or one pause and nothing. */
static size_t tick(const bench_run *run, bool submits) {
    size_t wrong = 0;
    bench_batch one = kind_echo_batch(1);
    if (!run->workload->ticks) {
        kind_sleep(run->workload->pause);
        return 0;
    }
    for (size_t i = 0; i < run->tasks; i++) {
        kind_sleep(run->workload->pause);
        if (submits) wrong += run->contestant->run_batch(run->pool, &one, run->memory);
    }
    return wrong;
}

static void measure(bench_run *run) {
    bool submits = !run_is_bare(run);
    bench_batch some = kind_echo_batch(1);
    for (int i = 0; submits && i < WARM_TASKS; i++)
        run->wrong += run->contestant->run_batch(run->pool, &some, run->memory);
    kind_sleep(SETTLE);
    run_started(run);
    while (gbench_next(run->state)) {
        double began = kind_now(), cpu = cpu_now();
        run->wrong += tick(run, submits);
        run->figure = (cpu_now() - cpu) / (kind_now() - began);
    }
}

const bench_kind kind_idle = {.section = "CPU time above the same loop without submit, % of a core",
                              .unit = "%",
                              .factor = 1e2,
                              .meaning = MEANING_ABOVE_BARE,
                              .least = 0.001,
                              .can = can,
                              .measure = measure};
