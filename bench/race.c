/* race.c: the order in which measurements are made, and where their figures go.
 *
 * Flow: race_run plans every measurement before the first one runs, since gbench.h runs a list.
 * Google Benchmark then calls step() for one after the other, and store() with each result.
 *
 * Order: a round is every row once, but for long ones, which take part in every second or seventh. A
 * row is a few turns, in each of which every contestant is measured once, within tens of milliseconds
 * of the others: what slows the machine down for a while then slows all of them down, and ratios are
 * taken within a turn. The order of the contestants changes from turn to turn through both directions
 * of every rotation, so that nobody always follows the same one.
 *
 * Time: a round that would probably end after the limit, by what its rows have taken before, is not begun,
 * and the rest of the list is skipped. So every row has figures of whole rounds only.
 *
 * Not here: what a measurement is (measure.c, kind.h), how figures are condensed (lines.c).
 *
 * SPDX-License-Identifier: MIT */
#include "race.h"

#include "machine.h"
#include "measure.h"
#include "progress.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIMIT = 245,     /* seconds: five minutes with the build */
    QUICK_LIMIT = 50 /* one minute */
};

static struct {
    double began;      /* the race */
    race_row *row;     /* whose measurement runs */
    double step_began; /* that measurement */
    bool over;         /* the time is up */
} pace;

/* How many rounds the row takes part in, of the first so many. */
static int rounds_of(const race_results *results, const race_row *row, int rounds) {
    int every = (int)workload_size(results->options, row->workload->every);
    return (rounds + every - 1) / every;
}

static bool takes_part(const race_results *results, const race_row *row, int round) {
    return rounds_of(results, row, round + 1) > rounds_of(results, row, round);
}

/* The time since the last step is the last row's. */
static void account(race_row *next) {
    double now = kind_now();
    if (pace.row != NULL) pace.row->seconds += now - pace.step_began;
    pace.row = next;
    pace.step_began = now;
}

/* How long the round will take: of each of its rows, the most that it took so far. */
static double predict(race_results *results, int round) {
    double sum = 0;
    for (size_t i = 0; i < results->rows_length; i++) {
        race_row *row = &results->rows[i];
        if (row->seconds > row->longest) row->longest = row->seconds;
        row->seconds = 0;
        if (takes_part(results, row, round)) sum += row->longest;
    }
    return sum;
}

/* Called before the first measurement of a round. */
static void begin_round(race_results *results, int round) {
    double limit = results->options->quick ? QUICK_LIMIT : LIMIT;
    double end = kind_now() - pace.began + predict(results, round);
    pace.over = round > 0 && end > limit;
    if (!pace.over) results->rounds = round + 1;
}

static void step(gbench_state *state, void *context) {
    measurement *m = context;
    race_results *results = m->results;
    account(m->row);
    if (!pace.over && m->round == results->rounds) begin_round(results, m->round);
    if (pace.over || results->failed) {
        gbench_skip(state);
        return;
    }
    progress_step(m->round, m->row->title, contestants[m->contestant]->name);
    measure(state, m);
}

static void store(const gbench_result *result) {
    const measurement *m = result->context;
    race_results *results = m->results;
    race_cell *cell = &m->row->cells[m->contestant];
    cell->figure[m->turn] = isnan(m->figure) ? result->real_seconds * m->scale : m->figure;
    cell->cpu[m->turn] = result->cpu_seconds;
    m->row->turns = (size_t)m->turn + 1;
    if (result->error == NULL || results->failed) return;
    results->failed = true;
    snprintf(results->error, sizeof results->error, "%s, %s: %s", m->row->title,
             contestants[m->contestant]->name, result->error);
}

/* Which contestant comes at `place` of a turn. */
static size_t contestant_at(int turn, size_t place) {
    size_t first = (size_t)turn / 2 % contestants_length;
    if (turn % 2 == 1) place = contestants_length - 1 - place;
    return (first + place) % contestants_length;
}

static void add_measurement(measurement *m, int turns) {
    char name[160];
    snprintf(name, sizeof name, "%s/%s", m->row->key, contestants[m->contestant]->name);
    for (char *c = name; *c != '\0'; c++)
        if (*c == ' ') *c = '_';
    gbench_add(&(gbench_measurement){.name = name,
                                     .fn = step,
                                     .context = m,
                                     .iterations = m->row->batches,
                                     .repetition = m->turn,
                                     .repetitions = turns});
}

/* One row in one round; the rest of the list. With NULL it only counts. */
static size_t plan_row(race_results *results, race_row *row, int round, measurement *list) {
    size_t length = 0;
    int before = rounds_of(results, row, round), per_round = row->workload->turns;
    if (!takes_part(results, row, round)) return 0;
    for (int turn = before * per_round; turn < (before + 1) * per_round; turn++)
        for (size_t place = 0; place < contestants_length; place++) {
            size_t c = contestant_at(turn, place);
            if (row->cells[c].figure == NULL) continue;
            if (list != NULL) {
                list[length] = (measurement){results, row, c, round, turn, 1, (double)NAN};
                add_measurement(&list[length],
                                rounds_of(results, row, results->options->rounds) * per_round);
            }
            length++;
        }
    return length;
}

/* How many measurements there are. With NULL it only counts. */
static size_t plan(race_results *results, measurement *list) {
    size_t length = 0;
    for (int round = 0; round < results->options->rounds; round++)
        for (size_t i = 0; i < results->rows_length; i++)
            length += plan_row(results, &results->rows[i], round, list ? list + length : NULL);
    return length;
}

/* Room for the figures of one row. */
static bool make_row(race_results *results, const bench_workload *workload,
                     const bench_variant *variant, race_row *row) {
    const bench_options *options = results->options;
    *row = (race_row){.workload = workload,
                      .workers = variant->workers,
                      .tasks = workload_tasks(workload, options, variant->workers),
                      .batches = workload_size(options, workload->batches),
                      .cells = calloc(contestants_length, sizeof row->cells[0])};
    snprintf(row->title, sizeof row->title, "%s", variant->title);
    snprintf(row->key, sizeof row->key, "%s", variant->key);
    size_t turns = (size_t)rounds_of(results, row, options->rounds) * (size_t)workload->turns;
    for (size_t c = 0; row->cells != NULL && c < contestants_length; c++) {
        if (!workload_has(workload, row->workers, contestants[c])) continue;
        row->cells[c].figure = calloc(turns, sizeof(double));
        row->cells[c].cpu = calloc(turns, sizeof(double));
        if (row->cells[c].figure == NULL || row->cells[c].cpu == NULL) return false;
    }
    return row->cells != NULL;
}

static bool make_rows(race_results *results) {
    const bench_options *options = results->options;
    bench_variant variant;
    results->rows = calloc(workloads_length * OPTIONS_THREADS, sizeof results->rows[0]);
    if (results->rows == NULL) return false;
    for (size_t i = 0; i < workloads_length; i++)
        for (int j = 0; j < workload_variants(&workloads[i], options); j++) {
            workload_variant(&workloads[i], options, j, &variant);
            if (options_select(options, variant.title) &&
                !make_row(results, &workloads[i], &variant, &results->rows[results->rows_length++]))
                return false;
        }
    return true;
}

bool race_run(const char *program, const bench_options *options, race_results *results) {
    *results = (race_results){.options = options};
    size_t length = make_rows(results) ? plan(results, NULL) : 0;
    measurement *list = calloc(length + 1, sizeof *list);
    if (list == NULL || length == 0) {
        fprintf(stderr, "filch-bench: there is no memory\n");
        free(list);
        return false;
    }
    plan(results, list);
    progress_begin(length, options->rounds);
    double others = machine_cpu_of_others();
    pace.began = kind_now();
    bool written = gbench_run(program, options->json, store);
    results->seconds = kind_now() - pace.began;
    results->disturbance = (machine_cpu_of_others() - others) / results->seconds;
    progress_end();
    free(list);
    if (!written) fprintf(stderr, "filch-bench: %s: %s\n", options->json, strerror(errno));
    return written;
}

void race_free(race_results *results) {
    for (size_t i = 0; i < results->rows_length; i++) {
        race_cell *cells = results->rows[i].cells;
        for (size_t c = 0; cells != NULL && c < contestants_length; c++) {
            free(cells[c].figure);
            free(cells[c].cpu);
            free(cells[c].samples.seconds);
        }
        free(cells);
    }
    free(results->rows);
}
