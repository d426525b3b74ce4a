/* summary_json.h: the lines of the tables, and the distributions, as a JSON file.
 *
 * Not here: every single measurement; that is the file in Google Benchmark's format.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_SUMMARY_JSON_H
#define BENCH_SUMMARY_JSON_H

#include "lines.h"
#include "machine.h"
#include "race.h"

/* False: the file cannot be written; errno says why. */
bool summary_json_write(const char *path, const bench_machine *machine, const race_results *results,
                        const bench_lines *lines);

#endif
