/* memory_probe.h: how much memory pending futures take, measured in a process of its own.
 *
 * A process that has raced has memory in its heap that nobody can tell from new memory. So the probe
 * is this program, started again as `filch-bench --memory NAME TASKS`.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_MEMORY_PROBE_H
#define BENCH_MEMORY_PROBE_H

#include <stdbool.h>
#include <stddef.h>

/* Resident bytes per future. */
typedef struct memory_figures {
    double pending; /* while all are pending */
    double again;   /* what a second batch of as many has added */
    double kept;    /* what is still there when the pool is destroyed */
} memory_figures;

/* The probe itself; prints the three figures on stdout. The program's exit status. */
int memory_probe_main(const char *contestant, const char *tasks);

/* Starts a probe and waits for it. False: it failed. */
bool memory_probe(const char *contestant, size_t tasks, memory_figures *figures);

/* Bytes of a future of filch's, by the last probe, a multiple of 8; 128 if there was none. */
size_t memory_object_size(void);

#endif
