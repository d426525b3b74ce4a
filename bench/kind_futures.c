/* kind_futures.c: many no-op futures, all alive at once; from outside, and from inside a worker.
 *
 * Figure: seconds per future, from the first submit to the last result. `bare` is the least that memory
 * costs: one pass that writes, and one that reads, as many objects of the size of filch's future.
 *
 * Every contestant has run as many whole batches as it has workers, and one more, before the clock starts
 * (bare one): all memory should have been touched, and where a worker submits, it uses its own. Each task returns its own number.
 *
 * SPDX-License-Identifier: MIT */
#include "kind.h"
#include "memory_probe.h"
#include "workload.h"

#include <stdlib.h>
#include <string.h>

static bool can_outside(const bench_contestant *contestant, const bench_workload *workload,
                        int workers) {
    (void)workload, (void)workers;
    return contestant != &contestant_sequential;
}

static bool can_inside(const bench_contestant *contestant, const bench_workload *workload,
                       int workers) {
    (void)workload;
    return contestant == &contestant_bare ||
           (contestant->run_inside != NULL && workers >= contestant->inside_workers);
}

/* Writes every word of every object, and reads every word; how many objects were wrong. */
static size_t pass_twice(uint64_t *objects, size_t words, size_t tasks) {
    size_t wrong = 0;
    for (uint64_t i = 0; i < tasks; i++)
        for (size_t w = 0; w < words; w++) objects[i * words + w] = i;
    __asm__ volatile("" ::"r"(objects) : "memory"); /* the passes stay two */
    for (uint64_t i = 0; i < tasks; i++) {
        uint64_t different = 0;
        for (size_t w = 0; w < words; w++) different |= objects[i * words + w] ^ i;
        wrong += different != 0;
    }
    return wrong;
}

static void measure_bare(bench_run *run) {
    size_t words = memory_object_size() / sizeof(uint64_t);
    uint64_t *objects = malloc(run->tasks * words * sizeof *objects);
    if (objects == NULL) {
        run->error = "there is no memory";
        return;
    }
    run->wrong = pass_twice(objects, words, run->tasks);
    while (gbench_next(run->state)) run->wrong += pass_twice(objects, words, run->tasks);
    free(objects);
}

typedef size_t run_fn(void *pool, const bench_batch *batch, void *memory);

static void measure(bench_run *run, run_fn *run_all) {
    bench_batch batch = kind_echo_batch(run->tasks);
    run->scale = 1.0 / (double)run->tasks;
    if (run_is_bare(run)) {
        measure_bare(run);
        return;
    }
    for (int i = 0; i <= run->workload->workers; i++)
        run->wrong += run_all(run->pool, &batch, run->memory);
    run_started(run);
    while (gbench_next(run->state)) run->wrong += run_all(run->pool, &batch, run->memory);
}

static void measure_outside(bench_run *run) {
    measure(run, run->contestant->run_batch);
}

static void measure_inside(bench_run *run) {
    measure(run, run->contestant->run_inside);
}

const bench_kind kind_futures_outside = {.section = "no-op futures, ns each",
                                         .unit = "ns",
                                         .factor = 1e9,
                                         .meaning = MEANING_PLAIN,
                                         .can = can_outside,
                                         .measure = measure_outside};
const bench_kind kind_futures_inside = {.section = "no-op futures, ns each",
                                        .unit = "ns",
                                        .factor = 1e9,
                                        .meaning = MEANING_PLAIN,
                                        .can = can_inside,
                                        .measure = measure_inside};
