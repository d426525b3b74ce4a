/* kind_squares.c: sum_of_squares, the job that everybody shows process pools with.
 *
 * Figure: seconds per batch. `bare`: the same tasks on bare threads. `sequential`: a loop.
 *
 * SPDX-License-Identifier: MIT */
#include "kernel.h"
#include "kind.h"
#include "workload.h"

enum {
    WARM_TASKS = 32, /* some 10 ms: some scheduler periods */
    WARM_BATCH = 16  /* so that large batches warm up as long as small ones */
};

static bool can(const bench_contestant *contestant, const bench_workload *workload, int workers) {
    (void)contestant, (void)workload, (void)workers;
    return true;
}

static size_t warm_up(const bench_run *run, bench_batch batch) {
    size_t wrong = 0;
    if (batch.tasks > WARM_BATCH) batch.tasks = WARM_BATCH;
    for (size_t tasks = 0; tasks < WARM_TASKS; tasks += batch.tasks)
        wrong += run->contestant->run_batch(run->pool, &batch, run->memory);
    return wrong;
}

static void measure(bench_run *run) {
    const bench_workload *workload = run->workload;
    bench_batch batch = {.fn = kernel_sum_of_squares_task,
                         .arg = workload->n,
                         .expected = kernel_sum_of_squares_expected(workload->n),
                         .tasks = run->tasks};
    run->wrong = warm_up(run, batch);
    run_started(run);
    while (gbench_next(run->state)) {
        if (workload->pause > 0) {
            gbench_pause(run->state);
            kind_sleep(workload->pause);
            gbench_resume(run->state);
        }
        run->wrong += run->contestant->run_batch(run->pool, &batch, run->memory);
    }
}

const bench_kind kind_squares = {.section = "sum of squares, ms per batch",
                                 .unit = "ms",
                                 .factor = 1e3,
                                 .meaning = MEANING_PLAIN,
                                 .can = can,
                                 .measure = measure};
