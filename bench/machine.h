/* machine.h: where and how the figures came about.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdbool.h>

/* One line each. Texts are cut where they are too long; what cannot be found out is "unknown". */
typedef struct bench_machine {
    char cpu[128];      /* its name, and how many this process may use */
    char kernel[256];   /* operating system, release, architecture */
    char compiler[160]; /* what built this program, and its flags */
    char commit[64];    /* of the source */
    char date[32];      /* now, ISO 8601 */
} bench_machine;

void machine_describe(bench_machine *machine);

/* CPUs in this process's affinity mask, at least 1. */
int machine_cpus(void);

/* CPU seconds, since the machine started, of everything on it but this process; what a hypervisor took
 * away counts, where it says so. 0 if that cannot be found out. */
double machine_cpu_of_others(void);

/* False in builds whose figures mean nothing, without optimisation or with a sanitizer. */
bool machine_build_is_fast(void);

#endif
