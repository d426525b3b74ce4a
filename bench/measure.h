/* measure.h: one measurement, a contestant on a row, with a pool of its own.
 *
 * Flow: gbench.h calls measure() with each measurement that race.c has planned, and race.c's store()
 * takes from it what came out.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "race.h"

typedef struct measurement {
    race_results *results;
    race_row *row;
    size_t contestant;
    int round;
    int turn; /* of its row, counts on through all rounds */
    double scale;
    double figure; /* NAN: the seconds per batch times scale */
} measurement;

/* The function that Google Benchmark calls, with a measurement. */
void measure(gbench_state *state, void *context);

#endif
