/* report_forkjoin.c: see report_forkjoin.h.
 *
 * Speed-up is the sequential twin's time divided by the contestant's, within each turn; parallel
 * efficiency is the speed-up divided by the number of workers.
 *
 * SPDX-License-Identifier: MIT */
#include "report_forkjoin.h"

#include "summary.h"

#include <math.h>
#include <stdio.h>

enum { TITLE = 34, CELL = 14 }; /* widths of columns */

static bool is_run(const race_row *row, const bench_kind *kind) {
    return row->workload->kind == kind && row->turns > 0;
}

/* Who has a figure in a row of that kind, but for the twin itself. */
static bool find_shown(const race_results *results, const bench_kind *kind, bool *shown) {
    bool any = false;
    for (size_t i = 0; i < results->rows_length; i++) {
        const race_row *row = &results->rows[i];
        if (!is_run(row, kind)) continue;
        any = true;
        for (size_t c = 0; c < contestants_length; c++)
            if (contestants[c] != &contestant_sequential && row->cells[c].figure != NULL)
                shown[c] = true;
    }
    return any;
}

static void print_heading(const char *title, const bool *shown) {
    printf("\n%s\n%-*s", title, TITLE, "");
    for (size_t c = 0; c < contestants_length; c++)
        if (shown[c]) printf("%*s", CELL, contestants[c]->name);
    putchar('\n');
}

/* Speed-ups --------------------------------------------------------------------------------------- */

static void print_speed_ups_of(const race_row *row, const bool *shown) {
    const double *twin = row->cells[contestants_index(&contestant_sequential)].figure;
    printf("  %-*s", TITLE - 2, row->title);
    for (size_t c = 0; c < contestants_length; c++) {
        if (!shown[c]) continue;
        if (row->cells[c].figure == NULL || twin == NULL) {
            printf("%*s", CELL, "-");
            continue;
        }
        double speed_up = summarize_ratios(twin, row->cells[c].figure, row->turns).median;
        printf("%*.2f %4.0f%%", CELL - 6, speed_up, speed_up / row->workers * 100);
    }
    putchar('\n');
}

static void print_speed_ups(const race_results *results) {
    bool shown[CONTESTANTS_MAX] = {false};
    if (!find_shown(results, &kind_forkjoin, shown)) return;
    print_heading("Speed-up over the sequential twin, and parallel efficiency", shown);
    for (size_t i = 0; i < results->rows_length; i++)
        if (is_run(&results->rows[i], &kind_forkjoin)) print_speed_ups_of(&results->rows[i], shown);
}

/* Many workers ------------------------------------------------------------------------------------ */

/* The row of the same workload that comes before it, with fewer workers; NULL: it is the first. */
static const race_row *row_with_fewer(const race_results *results, size_t index) {
    const race_row *row = &results->rows[index];
    if (index == 0 || row[-1].workload != row->workload || row[-1].turns == 0) return NULL;
    return &row[-1];
}

/* Medians: the two rows of a round are not in the same turn. */
static void print_many_of(const race_row *fewer, const race_row *many, const bool *shown) {
    printf("  %-*s", TITLE - 2, many->workload->title);
    for (size_t c = 0; c < contestants_length; c++) {
        if (!shown[c]) continue;
        if (many->cells[c].figure == NULL) {
            printf("%*s", CELL, "-");
            continue;
        }
        printf("%*.2f", CELL,
               summarize_copy(many->cells[c].figure, many->turns).median /
                   summarize_copy(fewer->cells[c].figure, fewer->turns).median);
    }
    putchar('\n');
}

static void print_many(const race_results *results) {
    bool shown[CONTESTANTS_MAX] = {false};
    bool begun = false;
    char title[80];
    if (!find_shown(results, &kind_many, shown)) return;
    for (size_t i = 0; i < results->rows_length; i++) {
        const race_row *many = &results->rows[i], *fewer;
        if (!is_run(many, &kind_many) || (fewer = row_with_fewer(results, i)) == NULL) continue;
        snprintf(title, sizeof title, "Time of %d workers, divided by that of %d", many->workers,
                 fewer->workers);
        if (!begun) print_heading(title, shown);
        begun = true;
        print_many_of(fewer, many, shown);
    }
}

/* Who cannot -------------------------------------------------------------------------------------- */

static void print_missing_of(const race_results *results, size_t c) {
    const bench_workload *last = NULL;
    const char *before = "";
    for (size_t i = 0; i < results->rows_length; i++) {
        const race_row *row = &results->rows[i];
        if (!is_run(row, &kind_forkjoin) || row->workload == last) continue;
        if (row->workload->fork == FJ_SORT) continue; /* what a library has or not */
        last = row->workload;
        if (row->cells[c].figure != NULL) continue;
        if (*before == '\0') printf("%s cannot run: ", contestants[c]->name);
        printf("%s%s", before, row->workload->title);
        before = ", ";
    }
    if (*before == '\0') return;
    bool blocks = contestants[c]->inside_workers > 1;
    printf(blocks ? ". A task that waits for another blocks its worker.\n" : ".\n");
}

static void print_missing(const race_results *results) {
    bool shown[CONTESTANTS_MAX] = {false};
    if (!find_shown(results, &kind_forkjoin, shown)) return;
    putchar('\n');
    for (size_t c = 0; c < contestants_length; c++)
        if (contestants[c] != &contestant_bare && contestants[c] != &contestant_sequential)
            print_missing_of(results, c);
}

void report_forkjoin(const race_results *results) {
    print_speed_ups(results);
    print_many(results);
    print_missing(results);
}
