/* summary.c: see summary.h.
 *
 * SPDX-License-Identifier: MIT */
#include "summary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double quantile_of(const double *sorted, size_t n, double share) {
    if (n == 0) return (double)NAN;
    double position = share * (double)(n - 1);
    size_t below = (size_t)position;
    size_t above = below + 1 < n ? below + 1 : below;
    return sorted[below] + (sorted[above] - sorted[below]) * (position - (double)below);
}

void sort_figures(double *figures, size_t n) {
    if (n > 0) qsort(figures, n, sizeof figures[0], compare);
}

bench_summary summarize(double *figures, size_t n) {
    if (n == 0) return (bench_summary){(double)NAN, (double)NAN, (double)NAN};
    sort_figures(figures, n);
    return (bench_summary){quantile_of(figures, n, 0.25), quantile_of(figures, n, 0.5),
                           quantile_of(figures, n, 0.75)};
}

bench_summary summarize_copy(const double *figures, size_t n) {
    double *copy = malloc((n + 1) * sizeof *copy);
    if (copy == NULL) return summarize(NULL, 0);
    if (n > 0) memcpy(copy, figures, n * sizeof *copy);
    bench_summary result = summarize(copy, n);
    free(copy);
    return result;
}

bench_summary summarize_ratios(const double *numerators, const double *denominators, size_t n) {
    double *ratios = malloc((n + 1) * sizeof *ratios);
    if (ratios == NULL) return summarize(NULL, 0);
    for (size_t i = 0; i < n; i++) ratios[i] = numerators[i] / denominators[i];
    bench_summary result = summarize(ratios, n);
    free(ratios);
    return result;
}
