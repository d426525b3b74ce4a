/* race.h: runs every contestant on every selected row, in rounds.
 *
 * Flow: main.c calls race_run with the options and hands the results to lines.c. Inside, race.c plans
 * the measurements, measure.c makes one, and what comes back is collected here.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_RACE_H
#define BENCH_RACE_H

#include "contestant.h"
#include "kind.h"
#include "options.h"
#include "workload.h"

/* One contestant on one row: one figure per turn. NULL where it does not take part. */
typedef struct race_cell {
    double *figure; /* the kind's: seconds, bytes or a share */
    double *cpu;    /* CPU seconds per batch, all threads together */
    bench_samples samples;
    /* Of the measured batches of all turns, without the warm-up; workers_started with it. */
    bench_counters counters;
} race_cell;

typedef struct race_row {
    const bench_workload *workload;
    int workers;
    char title[64], key[64];
    size_t tasks;    /* in a batch */
    int64_t batches; /* in a measurement */
    size_t turns;    /* that have been measured, in all rounds together */
    race_cell *cells;
    double seconds; /* that it took in the running round, with all that belongs to it */
    double longest; /* the most that it took in a round */
} race_row;

typedef struct race_results {
    const bench_options *options;
    int rounds; /* that have been run */
    double seconds;
    double disturbance; /* CPUs that other programs kept busy meanwhile, on average */
    size_t rows_length;
    race_row *rows;
    bool failed;     /* some result was wrong, or some pool could not be made */
    char error[160]; /* the first such: where, and what */
} race_results;

/* Runs the race. False: there was no memory, or the JSON file could not be written; stderr says so.
 * Otherwise results->failed says whether every result was right. */
bool race_run(const char *program, const bench_options *options, race_results *results);

/* Frees what race_run has allocated, after a failure too. */
void race_free(race_results *results);

#endif
