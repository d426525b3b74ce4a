/* summary_test.c: figures whose quartiles are known, and the kernel against its closed form.
 *
 * SPDX-License-Identifier: MIT */
#include "kernel.h"
#include "summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);              \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

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

int main(void) {
    quartiles_are_between_figures();
    puts("ok 1 - quartiles_are_between_figures");
    ratios_are_taken_in_pairs();
    puts("ok 2 - ratios_are_taken_in_pairs");
    kernel_agrees_with_the_closed_form();
    puts("ok 3 - kernel_agrees_with_the_closed_form");
    puts("1..3");
    return 0;
}
