/* report.h: what the race shows on the terminal.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "lines.h"
#include "machine.h"
#include "race.h"

/* Where and how the figures came about; before the race, so that one can see what runs. */
void report_machine(const bench_machine *machine);

/* The table: a line per workload, a column per contestant, then how filch compares with each. Below
 * it, whether filch is ahead. */
void report_table(const race_results *results, const bench_lines *lines);

/* What explains the table: CPU time, and what filch counted. */
void report_causes(const race_results *results);

#endif
