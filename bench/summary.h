/* summary.h: the middle of a few figures, and how far they scatter.
 *
 * Not here: means and standard deviations. On a shared machine a run is now and then slowed down by
 * what else runs there, and one such run moves a mean but not a median.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_SUMMARY_H
#define BENCH_SUMMARY_H

#include <stddef.h>

/* Quartiles: half of the figures lie from lower to upper. Between two figures, interpolated. */
typedef struct bench_summary {
    double lower;
    double median;
    double upper;
} bench_summary;

/* Of n figures; all NAN if n is 0. The figures are sorted in place. */
bench_summary summarize(double *figures, size_t n);

/* The same of figures that stay in their order. */
bench_summary summarize_copy(const double *figures, size_t n);

/* The figure below which `share` of n sorted figures lie, on the line between its neighbours. NAN if n
 * is 0. */
double quantile_of(const double *sorted, size_t n, double share);

/* Sorts in place, upwards. */
void sort_figures(double *figures, size_t n);

/* Of numerators[i] / denominators[i], each pair measured in the same turn: what slows down a whole
 * turn cancels out. All NAN if n is 0 or there is no memory. */
bench_summary summarize_ratios(const double *numerators, const double *denominators, size_t n);

#endif
