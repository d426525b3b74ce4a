/* kind_sweep.c: the same work, cut into tasks of n iterations, for n from 1 to a million.
 *
 * Figure: core-seconds per task, that is, the time times the number of workers, divided by the number
 * of tasks. It is shown as efficiency: what `bare` needs per task, divided by it. bare is the peak, the
 * same iterations uncut, one piece per thread, in the same turn; of a row with few iterations in all it
 * does more of them, so that they take long enough to be timed.
 *
 * Flat: one thread, outside of the pool, submits all tasks and then takes all results. Tree: one task
 * in the pool splits the range (bench_tree), and so do the tasks that it submits.
 *
 * Not here: METG, which comes out of all rows of a sweep together (metg.h).
 *
 * SPDX-License-Identifier: MIT */
#include "kernel.h"
#include "kind.h"
#include "workload.h"

static bool can_flat(const bench_contestant *contestant, const bench_workload *workload,
                     int workers) {
    (void)workload, (void)workers;
    return contestant != &contestant_sequential;
}

static bool can_tree(const bench_contestant *contestant, const bench_workload *workload,
                     int workers) {
    (void)workload, (void)workers;
    return contestant == &contestant_bare || contestant->run_tree != NULL;
}

/* How often bare runs for each batch of the others: one takes a millisecond. */
enum { BARE_RUNS = 4 };

/* All of the sweep's iterations, one task per thread. */
static bench_batch uncut(const bench_run *run) {
    uint64_t n = SWEEP_ITERATIONS / (uint64_t)run->workers;
    return (bench_batch){.fn = kernel_sum_of_squares_task,
                         .arg = n,
                         .expected = kernel_sum_of_squares_expected(n),
                         .tasks = (size_t)run->workers};
}

void kind_measure_bare(bench_run *run) {
    bench_batch batch = uncut(run);
    run->wrong = run->contestant->run_batch(run->pool, &batch, run->memory);
    run_started(run);
    while (gbench_next(run->state))
        for (int i = 0; i < BARE_RUNS; i++)
            run->wrong += run->contestant->run_batch(run->pool, &batch, run->memory);
    run->scale = (double)run->workload->n / (double)batch.arg / BARE_RUNS;
}

static void measure_flat(bench_run *run) {
    uint64_t n = run->workload->n;
    bench_batch batch = {.fn = kernel_grain_task,
                         .arg = n,
                         .expected = kernel_grain_expected(n),
                         .tasks = run->tasks};
    run->scale = (double)run->workers / (double)run->tasks;
    if (run_is_bare(run)) {
        kind_measure_bare(run);
        return;
    }
    run->wrong = run->contestant->run_batch(run->pool, &batch, run->memory);
    run_started(run);
    while (gbench_next(run->state))
        run->wrong += run->contestant->run_batch(run->pool, &batch, run->memory);
}

static void measure_tree(bench_run *run) {
    bench_tree tree = {run->pool, run->tasks, run->workload->n};
    uint64_t expected = kernel_grain_expected(tree.n) * tree.leaves;
    run->scale = (double)run->workers / (double)run->tasks;
    if (run_is_bare(run)) {
        kind_measure_bare(run);
        return;
    }
    run->wrong = run->contestant->run_tree(&tree) != expected;
    run_started(run);
    while (gbench_next(run->state)) run->wrong += run->contestant->run_tree(&tree) != expected;
}

const bench_kind kind_flat = {.section = "flat sweep, efficiency in %",
                              .unit = "%",
                              .factor = 1e2,
                              .meaning = MEANING_EFFICIENCY,
                              .can = can_flat,
                              .measure = measure_flat};
const bench_kind kind_tree = {.section = "tree sweep, efficiency in %",
                              .unit = "%",
                              .factor = 1e2,
                              .meaning = MEANING_EFFICIENCY,
                              .can = can_tree,
                              .measure = measure_tree};
