/* forkjoin_openmp.h: what an OpenMP module (forkjoin_openmp.c) gives to contestant_openmp.c.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_FORKJOIN_OPENMP_H
#define BENCH_FORKJOIN_OPENMP_H

#include "forkjoin.h"

typedef struct openmp_module {
    fj_ports ports;            /* their `pool` is an int, the number of threads */
    void (*end_threads)(void); /* the next team starts new ones */
} openmp_module;

extern const openmp_module forkjoin_openmp;

#endif
