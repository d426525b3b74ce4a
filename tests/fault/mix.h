/* mix.h: a mix of operations whose results and times are known, for tests that disturb it; mix.c has it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_MIX_H
#define FILCH_TESTS_MIX_H

#include <stdbool.h>
#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t mix_now(void);

/* Once through all of it, on new executors, which end with it; with or without one on processes. NULL, or what was
 * wrong. Nothing of it says how long anything takes at most. */
const char *mix_play(bool processes);

/* Again and again for so many milliseconds, at least once. NULL, or what was wrong. */
const char *mix_play_for(int milliseconds, bool processes);

#endif
