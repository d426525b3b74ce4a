/* race.c: the order in which measurements are made, and what one is.
 *
 * Flow: race_run plans every measurement before the first one runs, since gbench.h runs a list.
 * Google Benchmark then calls measure() for one after the other, and store() with each result.
 *
 * Order: a round is every row once. A row is a few turns, in each of which every contestant is
 * measured once, within tens of milliseconds of the others: what slows the machine down for a while
 * then slows all of them down, and ratios are taken within a turn. The order of the contestants
 * changes from turn to turn through both directions of every rotation, so that nobody always follows
 * the same one.
 *
 * A measurement makes its own pool and destroys it, so that no other contestant's threads exist
 * meanwhile. Before the clock starts, warm_up() has started the workers, let the scheduler place
 * them, and touched the memory.
 *
 * Not here: what is counted as a wrong result (batch.inc.h), how figures are condensed (summary.h).
 *
 * SPDX-License-Identifier: MIT */
#include "race.h"

#include "gbench.h"
#include "machine.h"
#include "progress.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    ROUNDS = 21,
    QUICK_ROUNDS = 7, /* the least that a comparison is made with */
    WARM_TASKS = 64,  /* about 20 ms of sum_of_squares: some scheduler periods */
    WARM_BATCH = 16,  /* tasks; so that large batches warm up as long as small ones */
    WATCHDOG = 120    /* seconds; a measurement takes less than one */
};

typedef struct measurement {
    race_results *results;
    race_row *row;
    size_t contestant;
    int round;
    int turn; /* counts on through all rounds */
} measurement;

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
             m->row->workload->title, contestants[m->contestant]->name);
    signal(SIGALRM, bark);
    alarm(WATCHDOG);
}

static void sleep_for(int64_t nanoseconds) {
    struct timespec time = {.tv_sec = nanoseconds / 1000000000,
                            .tv_nsec = nanoseconds % 1000000000};
    while (nanosleep(&time, &time) != 0) continue;
}

static bench_batch batch_of(const bench_workload *workload) {
    return (bench_batch){workload->fn, workload->arg, workload->expected(workload->arg),
                         workload->tasks};
}

/* Returns how many results were wrong, as run_batch does. */
static size_t warm_up(const bench_contestant *contestant, void *pool, bench_batch batch,
                      void *handles) {
    size_t wrong = 0;
    if (batch.tasks > WARM_BATCH) batch.tasks = WARM_BATCH;
    for (size_t tasks = 0; tasks < WARM_TASKS; tasks += batch.tasks)
        wrong += contestant->run_batch(pool, &batch, handles);
    return wrong;
}

/* The measured loop. Returns how many results were wrong. */
static size_t run_batches(gbench_state *state, const bench_workload *workload,
                          const bench_contestant *contestant, void *pool, void *handles) {
    bench_batch batch = batch_of(workload);
    size_t wrong = 0;
    while (gbench_next(state)) {
        if (workload->pause > 0) {
            gbench_pause(state);
            sleep_for(workload->pause);
            gbench_resume(state);
        }
        wrong += contestant->run_batch(pool, &batch, handles);
    }
    return wrong;
}

static void add_counters(bench_counters *total, const bench_counters *before,
                         const bench_counters *after) {
    total->stolen += after->stolen - before->stolen;
    total->steal_attempts += after->steal_attempts - before->steal_attempts;
    total->parked += after->parked - before->parked;
    total->woken += after->woken - before->woken;
    total->workers_started += after->workers_started - before->workers_started;
}

/* The same into the JSON file, as totals of this measurement. */
static void record_counters(gbench_state *state, const bench_counters *before,
                            const bench_counters *after) {
    gbench_counter(state, "stolen", (double)(after->stolen - before->stolen));
    gbench_counter(state, "steal_attempts",
                   (double)(after->steal_attempts - before->steal_attempts));
    gbench_counter(state, "parked", (double)(after->parked - before->parked));
    gbench_counter(state, "woken", (double)(after->woken - before->woken));
}

/* Warms up, measures, and counts, on a pool that is there. NULL or what went wrong. */
static const char *measure_on(gbench_state *state, const measurement *m, void *pool,
                              void *handles) {
    const bench_contestant *contestant = contestants[m->contestant];
    const bench_workload *workload = m->row->workload;
    bench_counters before = {0}, after = {0};
    if (warm_up(contestant, pool, batch_of(workload), handles) > 0) return "wrong results";
    if (contestant->read_counters != NULL) contestant->read_counters(pool, &before);
    if (run_batches(state, workload, contestant, pool, handles) > 0) return "wrong results";
    if (contestant->read_counters != NULL) contestant->read_counters(pool, &after);
    add_counters(&m->row->cells[m->contestant].counters, &before, &after);
    if (contestant->read_counters != NULL) record_counters(state, &before, &after);
    return NULL;
}

/* One measurement: the function that Google Benchmark calls. */
static void measure(gbench_state *state, void *context) {
    const measurement *m = context;
    const bench_contestant *contestant = contestants[m->contestant];
    const char *error = NULL;
    void *pool = NULL;
    progress_step(m->round, m->results->rounds, m->row->workload->title, contestant->name);
    watch(m);
    void *handles = calloc(m->row->workload->tasks, contestant->handle_size + 1);
    if (handles == NULL)
        error = "there is no memory";
    else if (!contestant->create(m->results->workers, &pool))
        error = "its pool cannot be made";
    else {
        error = measure_on(state, m, pool, handles);
        contestant->destroy(pool);
    }
    free(handles);
    alarm(0);
    if (error != NULL) gbench_fail(state, error);
}

static void store(const gbench_result *result) {
    const measurement *m = result->context;
    race_results *results = m->results;
    const race_cell *cell = &m->row->cells[m->contestant];
    cell->real[m->turn] = result->real_seconds;
    cell->cpu[m->turn] = result->cpu_seconds;
    if (result->error == NULL || results->failed) return;
    results->failed = true;
    snprintf(results->error, sizeof results->error, "%s, %s: %s", m->row->workload->title,
             contestants[m->contestant]->name, result->error);
}

/* Which contestant comes at `place` of a turn. */
static size_t contestant_at(int turn, size_t place) {
    size_t first = (size_t)turn / 2 % contestants_length;
    if (turn % 2 == 1) place = contestants_length - 1 - place;
    return (first + place) % contestants_length;
}

static void add_measurement(measurement *m) {
    char name[160];
    const bench_workload *workload = m->row->workload;
    snprintf(name, sizeof name, "%s/%s", workload->key, contestants[m->contestant]->name);
    for (char *c = name; *c != '\0'; c++)
        if (*c == ' ') *c = '_';
    gbench_add(&(gbench_measurement){.name = name,
                                     .fn = measure,
                                     .context = m,
                                     .iterations = workload->batches,
                                     .repetition = m->turn,
                                     .repetitions = (int)m->row->turns});
}

/* One row in one round. Returns the rest of the list. */
static measurement *plan_row(race_results *results, race_row *row, int round, measurement *list) {
    for (int i = 0; i < row->workload->turns; i++) {
        int turn = round * row->workload->turns + i;
        for (size_t place = 0; place < contestants_length; place++) {
            *list = (measurement){results, row, contestant_at(turn, place), round, turn};
            add_measurement(list++);
        }
    }
    return list;
}

static void plan(race_results *results, measurement *list) {
    for (int round = 0; round < results->rounds; round++)
        for (size_t i = 0; i < results->rows_length; i++)
            list = plan_row(results, &results->rows[i], round, list);
}

/* Room for the figures of all selected rows. */
static bool make_rows(race_results *results, const bench_options *options) {
    results->rows = calloc(workloads_length, sizeof results->rows[0]);
    if (results->rows == NULL) return false;
    for (size_t i = 0; i < workloads_length; i++) {
        if (!options_select(options, workloads[i].title)) continue;
        race_row *row = &results->rows[results->rows_length++];
        row->workload = &workloads[i];
        row->turns = (size_t)results->rounds * (size_t)workloads[i].turns;
        row->cells = calloc(contestants_length, sizeof row->cells[0]);
        if (row->cells == NULL) return false;
        for (size_t c = 0; c < contestants_length; c++) {
            row->cells[c].real = calloc(row->turns, sizeof(double));
            row->cells[c].cpu = calloc(row->turns, sizeof(double));
            if (row->cells[c].real == NULL || row->cells[c].cpu == NULL) return false;
        }
    }
    return true;
}

static double seconds_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

bool race_run(const char *program, const bench_options *options, race_results *results) {
    *results = (race_results){.rounds = options->quick ? QUICK_ROUNDS : ROUNDS,
                              .workers = options->threads};
    measurement *list = NULL;
    size_t length = 0;
    if (make_rows(results, options)) {
        for (size_t i = 0; i < results->rows_length; i++)
            length += results->rows[i].turns * contestants_length;
        list = calloc(length, sizeof *list);
    }
    if (list == NULL) {
        fprintf(stderr, "filch-bench: there is no memory\n");
        return false;
    }
    plan(results, list);
    progress_begin(length);
    double began = seconds_now(), others = machine_cpu_of_others();
    bool written = gbench_run(program, options->json, store);
    results->disturbance = (machine_cpu_of_others() - others) / (seconds_now() - began);
    progress_end();
    free(list);
    if (!written) fprintf(stderr, "filch-bench: %s: %s\n", options->json, strerror(errno));
    return written;
}

void race_free(race_results *results) {
    for (size_t i = 0; i < results->rows_length; i++) {
        race_cell *cells = results->rows[i].cells;
        for (size_t c = 0; cells != NULL && c < contestants_length; c++) {
            free(cells[c].real);
            free(cells[c].cpu);
        }
        free(cells);
    }
    free(results->rows);
}
