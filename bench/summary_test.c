/* summary_test.c: figures whose quartiles are known, a sweep whose METG is known, and the kernel against its closed form.
 *
 * SPDX-License-Identifier: MIT */
#include "check.h"
#include "kernel.h"
#include "metg.h"
#include "summary.h"

#include <math.h>

static int is(bench_summary s, double lower, double median, double upper) {
    return fabs(s.lower - lower) < 1e-12 && fabs(s.median - median) < 1e-12 &&
           fabs(s.upper - upper) < 1e-12;
}

static void quartiles_are_between_figures(void) {
    double five[] = {5, 1, 4, 2, 3}, four[] = {40, 10, 30, 20}, one[] = {7};
    CHECK(is(summarize(five, 5), 2, 3, 4));
    CHECK(is(summarize(four, 4), 17.5, 25, 32.5));
    CHECK(is(summarize(one, 1), 7, 7, 7));
    CHECK(isnan(summarize(NULL, 0).median));
}

/* The second turn is slow for both: a ratio of medians would not see that they are level in it. */
static void ratios_are_taken_in_pairs(void) {
    const double slow[] = {2, 30, 4}, fast[] = {1, 30, 1};
    CHECK(is(summarize_ratios(slow, fast, 3), 1.5, 2, 3));
    CHECK(slow[0] < slow[2] && fast[1] > fast[2]);
}

static void kernel_agrees_with_the_closed_form(void) {
    for (uint64_t n = 0; n < 1000; n++)
        CHECK(kernel_sum_of_squares(n) == kernel_sum_of_squares_expected(n));
    CHECK(kernel_sum_of_squares_expected(1000000) == UINT64_C(333332833333500000));
    uint64_t beyond = 5000000; /* the sum does not fit in 64 bits */
    CHECK(kernel_sum_of_squares(beyond) == kernel_sum_of_squares_expected(beyond));
}

enum { POINTS = 13 };

/* The sizes of the sweep, at 0.3 ns an iteration, with an overhead of 100 ns. */
static void make_sweep(metg_point points[POINTS]) {
    const double sizes[POINTS] = {1, 3, 10, 30, 100, 300, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6};
    for (size_t i = 0; i < POINTS; i++)
        points[i] = (metg_point){sizes[i], sizes[i] * 0.3, sizes[i] * 0.3 + 100};
}

static void metg_is_the_overhead(void) {
    metg_point points[POINTS];
    make_sweep(points);
    CHECK(fabs(metg_fitted(points, POINTS) - 100) < 1e-9);
    /* Between 90 ns and 300 ns; the curve between two points is not straight. */
    CHECK(fabs(metg_crossing(points, POINTS) - 100) < 3);
    points[0].cost += 50;
    CHECK(fabs(metg_fitted(points, POINTS) - 110) < 1e-9);
}

static void metg_without_a_crossing(void) {
    metg_point points[POINTS];
    make_sweep(points);
    CHECK(isnan(metg_crossing(points, 5)));     /* never */
    CHECK(isnan(metg_crossing(points + 7, 3))); /* always */
    CHECK(isnan(metg_fitted(points + 7, 3)));
    points[12].cost *= 10;
    CHECK(isnan(metg_crossing(points, POINTS))); /* not for good */
}

int main(void) {
    quartiles_are_between_figures();
    puts("ok 1 - quartiles_are_between_figures");
    ratios_are_taken_in_pairs();
    puts("ok 2 - ratios_are_taken_in_pairs");
    kernel_agrees_with_the_closed_form();
    puts("ok 3 - kernel_agrees_with_the_closed_form");
    metg_is_the_overhead();
    puts("ok 4 - metg_is_the_overhead");
    metg_without_a_crossing();
    puts("ok 5 - metg_without_a_crossing");
    puts("1..5");
    return 0;
}
