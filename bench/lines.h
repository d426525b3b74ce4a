/* lines.h: the lines of the tables, condensed from the figures of all turns.
 *
 * Flow: main.c has them made from the race's results; report.c prints them, summary_json.c writes them
 * to the file that report.py draws.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_LINES_H
#define BENCH_LINES_H

#include "contestant.h"
#include "race.h"
#include "summary.h"

typedef struct bench_line {
    const char *section; /* the same pointer for all lines of one */
    const char *unit;
    char title[80];
    char key[80];
    bool more_is_better;
    bool fork_join; /* which table it is in */
    double work;    /* of a sweep: nanoseconds of work in a task; else NAN */
    /* In the unit, one per contestant; NAN where there is none. */
    bench_summary cells[CONTESTANTS_MAX];
    /* How many times better filch is, in pairs of the same turn. */
    bench_summary ratios[CONTESTANTS_MAX];
    const race_row *row; /* whose counters explain it; NULL: see another line */
} bench_line;

typedef struct bench_lines {
    bench_line *lines;
    size_t length;
} bench_lines;

/* False: there was no memory. lines_free after both. */
bool lines_make(const race_results *results, bench_lines *lines);
void lines_free(bench_lines *lines);

#endif
