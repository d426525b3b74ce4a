/* contestants.c: who takes part, in the order of the columns.
 *
 * SPDX-License-Identifier: MIT */
#include "contestant.h"

const bench_contestant *const contestants[] = {
    &contestant_sequential,
    &contestant_naive,
    &contestant_filch,
};

const size_t contestants_length = sizeof contestants / sizeof contestants[0];
