/* kind_memory.c: resident bytes per future; memory_probe.h has the measurement.
 *
 * Figure: bytes per future, which of the three the workload says. Bytes that the caller provides in
 * place of a future (a record, a result slot) are counted; the pointer that is a handle is not.
 *
 * SPDX-License-Identifier: MIT */
#include "kind.h"
#include "memory_probe.h"
#include "workload.h"

static bool can(const bench_contestant *contestant, const bench_workload *workload, int workers) {
    (void)workload, (void)workers;
    return contestant != &contestant_sequential && contestant != &contestant_bare;
}

static void measure(bench_run *run) {
    memory_figures figures = {0, 0, 0};
    while (gbench_next(run->state))
        if (!memory_probe(run->contestant->name, run->tasks, &figures))
            run->error = "its memory probe failed";
    const double choice[] = {figures.pending, figures.again, figures.kept};
    run->figure = choice[run->workload->n];
    gbench_counter(run->state, "pending_bytes", figures.pending);
    gbench_counter(run->state, "again_bytes", figures.again);
    gbench_counter(run->state, "kept_bytes", figures.kept);
}

const bench_kind kind_memory = {.section = "memory, bytes per future",
                                .unit = "B",
                                .factor = 1,
                                .meaning = MEANING_PLAIN,
                                .least = 16,
                                .can = can,
                                .measure = measure};
