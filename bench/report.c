/* report.c: plain text on stdout, about a hundred columns wide.
 *
 * Columns follow contestants.c: one more contestant is one more column of times and one more of
 * ratios. "±" is half the distance between the quartiles, as a share of the median.
 *
 * SPDX-License-Identifier: MIT */
#include "report.h"

#include "summary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TITLE = 25, TIME = 13, RATIO = 18, COUNT = 10 }; /* widths of columns */

/* The one whose columns of ratios are shown. */
static const bench_contestant *const subject = &contestant_filch;

static size_t index_of(const bench_contestant *contestant) {
    for (size_t i = 0; i < contestants_length; i++)
        if (contestants[i] == contestant) return i;
    abort(); /* contestants.c has it */
}

void report_machine(const bench_machine *machine) {
    printf("cpu       %s\nkernel    %s\ncompiler  %s\ncommit    %s\ndate      %s\n", machine->cpu,
           machine->kernel, machine->compiler, machine->commit, machine->date);
    fflush(stdout);
}

/* A summary of figures that stay in their order, which pairs them with other contestants' figures. */
static bench_summary summarize_copy(const double *figures, size_t n) {
    double *copy = malloc((n + 1) * sizeof *copy);
    if (copy == NULL) return summarize(NULL, 0);
    memcpy(copy, figures, n * sizeof *copy);
    bench_summary result = summarize(copy, n);
    free(copy);
    return result;
}

/* How many decimals show four digits. */
static int decimals(double value) {
    return value < 10 ? 3 : value < 100 ? 2 : 1;
}

static void print_time(const race_cell *cell, size_t turns) {
    bench_summary s = summarize_copy(cell->real, turns);
    double median = s.median * 1e3, spread = (s.upper - s.lower) / 2 / s.median * 100;
    printf("%*.*f ±%3.0f%%", TIME - 6, decimals(median), median, spread);
}

/* How many times faster the subject is than contestant c, in pairs of the same turn. */
static bench_summary speed_up(const race_row *row, size_t c) {
    return summarize_ratios(row->cells[c].real, row->cells[index_of(subject)].real, row->turns);
}

static void print_ratio(bench_summary ratio) {
    char text[64];
    snprintf(text, sizeof text, "%.2f (%.2f-%.2f)", ratio.median, ratio.lower, ratio.upper);
    printf("%*s", RATIO, text);
}

static void print_heading(void) {
    int times = (int)contestants_length * TIME, ratios = (int)(contestants_length - 1) * RATIO;
    printf("%-*s%*s%*s %s\n", TITLE, "", times, "milliseconds per batch", ratios - 6,
           "how many times faster is", subject->name);
    printf("%-*s", TITLE, "");
    for (size_t c = 0; c < contestants_length; c++) printf("%*s", TIME, contestants[c]->name);
    for (size_t c = 0; c < contestants_length; c++)
        if (contestants[c] != subject)
            printf("%*s%s", RATIO - (int)strlen(contestants[c]->name), "than ",
                   contestants[c]->name);
    putchar('\n');
}

static void print_row(const race_row *row) {
    printf("%-*s", TITLE, row->workload->title);
    for (size_t c = 0; c < contestants_length; c++) print_time(&row->cells[c], row->turns);
    for (size_t c = 0; c < contestants_length; c++)
        if (contestants[c] != subject) print_ratio(speed_up(row, c));
    putchar('\n');
}

/* In how many rows the subject is ahead of a pool, or level: the quartiles reach 1. */
static void print_verdict(const race_results *results, size_t c) {
    size_t good = 0;
    for (size_t i = 0; i < results->rows_length; i++)
        good += speed_up(&results->rows[i], c).upper >= 1.0;
    printf("%s is ahead of the %s, or level with it, in %zu of %zu rows.\n", subject->name,
           contestants[c]->name, good, results->rows_length);
}

/* On two CPUs, a twentieth of one kept busy by others is 2.5 % of what two workers have. */
static void print_disturbance(const race_results *results) {
    double share = results->disturbance > 0 ? results->disturbance * 100 : 0;
    printf("Meanwhile other programs used %.0f %% of a CPU%s.\n", share,
           share > 5 ? ": too much, the machine should be idle" : "");
}

void report_table(const race_results *results) {
    printf("run       %d worker%s, %d rounds\n\n", results->workers,
           results->workers == 1 ? "" : "s", results->rounds);
    print_heading();
    for (size_t i = 0; i < results->rows_length; i++) print_row(&results->rows[i]);
    puts("\nMedians; ± is half the distance between the quartiles. A ratio is taken within each\n"
         "turn; in brackets are its quartiles. Every result was checked, and was right.");
    for (size_t c = 0; c < contestants_length; c++)
        if (contestants[c] != subject && contestants[c] != &contestant_sequential)
            print_verdict(results, c);
    print_disturbance(results);
}

static void print_causes_of(const race_row *row) {
    const bench_counters *total = &row->cells[index_of(subject)].counters;
    double batches = (double)row->workload->batches * (double)row->turns;
    printf("%-*s", TITLE, row->workload->title);
    for (size_t c = 0; c < contestants_length; c++) {
        double cpu = summarize_copy(row->cells[c].cpu, row->turns).median * 1e3;
        printf("%*.*f", COUNT + 2, decimals(cpu), cpu);
    }
    printf("%*.2f%*.2f%*.2f%*.2f\n", COUNT, (double)total->stolen / batches, COUNT,
           (double)total->steal_attempts / batches, COUNT, (double)total->parked / batches, COUNT,
           (double)total->woken / batches);
}

void report_causes(const race_results *results) {
    int width = (int)contestants_length * (COUNT + 2);
    printf("\n%-*s%-*s  %s's counters per batch\n", TITLE, "", width,
           "  CPU milliseconds per batch", subject->name);
    printf("%-*s", TITLE, "");
    for (size_t c = 0; c < contestants_length; c++) printf("%*s", COUNT + 2, contestants[c]->name);
    printf("%*s%*s%*s%*s\n", COUNT, "stolen", COUNT, "attempts", COUNT, "parked", COUNT, "woken");
    for (size_t i = 0; i < results->rows_length; i++) print_causes_of(&results->rows[i]);
}
