/* progress.h: one line on stderr that says how far the race is.
 *
 * On a terminal the line is rewritten; elsewhere a line is written now and then.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H

#include <stddef.h>

/* `total` measurements will come, in so many rounds. */
void progress_begin(size_t total, int rounds);

/* One starts; `what` and `who` are a row and a column, `round` counts from 0. */
void progress_step(int round, const char *what, const char *who);

/* Removes the line. */
void progress_end(void);

#endif
