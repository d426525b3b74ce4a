/* report_forkjoin.h: what comes out of several fork-join rows together, as text.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_REPORT_FORKJOIN_H
#define BENCH_REPORT_FORKJOIN_H

#include "race.h"

/* Speed-up and parallel efficiency, what many workers cost, and who cannot run what. Prints nothing if no
 * such row was run. */
void report_forkjoin(const race_results *results);

#endif
