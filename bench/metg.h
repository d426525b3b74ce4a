/* metg.h: the minimum effective task granularity, from a sweep over the sizes of tasks.
 *
 * METG(50 %): how long a task's work must be for half of the machine's peak to be used.
 *
 * Source: Slaughter et al., "Task Bench: A Parameterized Benchmark for Evaluating Parallel Runtime
 * Performance", SC20. Their granularity is the whole time that a task takes, overhead included, which
 * at 50 % is twice the work; here it is the work.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_METG_H
#define BENCH_METG_H

#include <stddef.h>

/* One size of task. Both times are those of one core. */
typedef struct metg_point {
    double n;    /* iterations in a task */
    double work; /* seconds per task at the machine's peak */
    double cost; /* seconds per task, all in all: time * workers / tasks */
} metg_point;

/* Fitted: cost = work + overhead, with one overhead for all tasks of up to 100 iterations, by least
 * squares, that is, the mean of cost - work. At 50 % work equals overhead. NAN without such points. */
double metg_fitted(const metg_point *points, size_t length);

/* Observed: the work at which the efficiency, work / cost, reaches 50 % for good; between two points,
 * on the line through them over the logarithm of the work. The points are in the order of n. NAN if it
 * does not, or is there from the first point on. */
double metg_crossing(const metg_point *points, size_t length);

#endif
