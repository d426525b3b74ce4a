/* race.h: runs every contestant on every selected row, in rounds.
 *
 * Flow: main.c calls race_run with the options and hands the results to report.c. Inside, race.c adds
 * one measurement per round, row and contestant to gbench.h and collects what comes back.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_RACE_H
#define BENCH_RACE_H

#include "contestant.h"
#include "options.h"
#include "workload.h"

/* One contestant on one row. */
typedef struct race_cell {
    double *real; /* seconds per batch, one figure per turn */
    double *cpu;  /* CPU seconds per batch, all threads together */
    /* Of the measured batches of all turns, without the warm-up. */
    bench_counters counters;
} race_cell;

typedef struct race_row {
    const bench_workload *workload;
    size_t turns;     /* in all rounds together */
    race_cell *cells; /* one per contestant, in their order */
} race_row;

typedef struct race_results {
    int rounds;
    int workers;
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
