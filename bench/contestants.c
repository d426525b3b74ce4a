/* contestants.c: who takes part, in the order of the columns. The peers are those that the build found.
 *
 * SPDX-License-Identifier: MIT */
#include "contestant.h"

#include <stdlib.h>

const bench_contestant *const contestants[] = {
    &contestant_sequential,   &contestant_bare, &contestant_naive, &contestant_filch,
#ifdef BENCH_TBB
    &contestant_tbb,
#endif
#ifdef BENCH_GLIB
    &contestant_glib,
#endif
#ifdef BENCH_OPENMP_GCC
    &contestant_openmp_gcc,
#endif
#ifdef BENCH_OPENMP_CLANG
    &contestant_openmp_clang,
#endif
#ifdef BENCH_RAYON
    &contestant_rayon,
#endif
};

const size_t contestants_length = sizeof contestants / sizeof contestants[0];
_Static_assert(sizeof contestants / sizeof contestants[0] <= CONTESTANTS_MAX, "room in bench_line");

size_t contestants_index(const bench_contestant *contestant) {
    for (size_t i = 0; i < contestants_length; i++)
        if (contestants[i] == contestant) return i;
    abort(); /* the list has it */
}
