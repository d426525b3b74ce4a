/* workload.h: what is run, a row of the table each.
 *
 * Flow: race.c runs the rows that the options select; report.c prints them. To add a row of the same
 * kind, add a line to workload.c.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "contestant.h"

typedef struct bench_workload {
    const char *title; /* its row */
    const char *key;   /* its part of the names in the JSON file */
    task_fn *fn;
    uint64_t arg;                       /* each task's argument */
    uint64_t (*expected)(uint64_t arg); /* each task's result, found in another way */
    size_t tasks;                       /* in a batch */
    /* Batches in one measurement of one contestant. Some 20 ms are enough for the clock, the start
     * and the end to weigh nothing; more only puts the contestants further apart in time. */
    int64_t batches;
    /* Measurements of each contestant in one round, in turns. */
    int turns;
    /* Nanoseconds of sleep before each batch, not counted. 0: back to back, "hot". */
    int64_t pause;
} bench_workload;

extern const bench_workload workloads[];
extern const size_t workloads_length;

#endif
