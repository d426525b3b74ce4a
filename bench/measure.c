/* measure.c: makes a pool, lets the kind measure on it, and destroys it.
 *
 * A measurement has its own pool, so that no other contestant's threads exist meanwhile. A watchdog
 * ends a race that hangs, and says where: the naive pool may (glibc bug 25847).
 *
 * SPDX-License-Identifier: MIT */
#include "measure.h"

#include "gbench.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WATCHDOG = 60 }; /* seconds; a measurement takes less than one */

/* What the watchdog writes: its handler may not format. */
static char watchdog_text[200];

static void bark(int signal) {
    (void)signal;
    ssize_t written = write(STDERR_FILENO, watchdog_text, strlen(watchdog_text));
    (void)written;
    _exit(1);
}

static void watch(const measurement *m) {
    snprintf(watchdog_text, sizeof watchdog_text,
             "\nfilch-bench: no end after %d s: %s, %s. It hangs, or the machine does.\n", WATCHDOG,
             m->row->title, contestants[m->contestant]->name);
    signal(SIGALRM, bark);
    alarm(WATCHDOG);
}

static void read_counters(const bench_run *run, bench_counters *counters) {
    if (run->contestant->read_counters != NULL) run->contestant->read_counters(run->pool, counters);
}

void run_started(bench_run *run) {
    read_counters(run, &run->before);
}

/* Adds what was counted since run_started to the row's totals, and to the JSON file. */
static void record_counters(const bench_run *run, bench_counters *total) {
    const bench_counters *before = &run->before;
    bench_counters now = {0};
    if (run->contestant->read_counters == NULL) return;
    read_counters(run, &now);
#define RECORD(field, title)                                                                       \
    total->field += now.field - before->field;                                                     \
    gbench_counter(run->state, #field, (double)(now.field - before->field));
    BENCH_COUNTERS(RECORD)
#undef RECORD
}

/* On a pool and memory that are there. */
static void measure_on(measurement *m, bench_run *run) {
    race_cell *cell = &m->row->cells[m->contestant];
    run->samples = &cell->samples;
    run->workload->kind->measure(run);
    if (run->wrong > 0) run->error = "wrong results";
    if (run->error == NULL) record_counters(run, &cell->counters);
    m->scale = run->scale;
    m->figure = run->figure;
}

void measure(gbench_state *state, void *context) {
    measurement *m = context;
    bench_run run = {.state = state,
                     .workload = m->row->workload,
                     .contestant = contestants[m->contestant],
                     .quick = m->results->options->quick,
                     .workers = m->row->workers,
                     .tasks = m->row->tasks,
                     .memory = calloc(m->row->tasks, contestants[m->contestant]->handle_size + 1),
                     .scale = 1,
                     .figure = (double)NAN};
    watch(m);
    if (run.memory == NULL)
        run.error = "there is no memory";
    else if (!run.contestant->create(run.workers, &run.pool))
        run.error = "its pool cannot be made";
    else {
        measure_on(m, &run);
        run.contestant->destroy(run.pool);
    }
    free(run.memory);
    alarm(0);
    if (run.error != NULL) gbench_fail(state, run.error);
}
