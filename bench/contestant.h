/* contestant.h: the one interface that everything in the race implements, one file each.
 *
 * Flow: race.c makes a contestant's pool, runs batches of a workload on it, reads its counters, and
 * destroys it. contestants.c has the list; report.c makes a column of each.
 *
 * A contestant that is a pool with futures defines submit and take_result as static inline functions
 * and includes batch.inc.h, which has the loops over them: all such contestants run the same source,
 * and the only indirect call is one per batch, so that a task of a few nanoseconds can be measured.
 * The sequential twin writes the same loops by hand, without pool and futures.
 *
 * To add one: copy contestant_naive.c, and add a line to contestants.c and to meson.build. A C++
 * library's contestant is a C++ file; this header and batch.inc.h are valid there too.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_CONTESTANT_H
#define BENCH_CONTESTANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The same task function for all; it is filch_task_fn and naive_task_fn. */
typedef int task_fn(void *arg, void *result);

/* Equal tasks, submitted together and then awaited together, in the order of submission. */
typedef struct bench_batch {
    task_fn *fn;
    uint64_t arg;      /* copied for each task */
    uint64_t expected; /* each task's result */
    size_t tasks;
} bench_batch;

/* What a runtime counts; it explains a figure. Totals since the pool was made. */
typedef struct bench_counters {
    uint64_t stolen;
    uint64_t steal_attempts;
    uint64_t parked;
    uint64_t woken;
    uint64_t workers_started;
} bench_counters;

typedef struct bench_contestant {
    const char *name;   /* its column, and its part of the names in the JSON file */
    size_t handle_size; /* bytes that run_batch needs per task; 0: none */
    /* Makes a pool of `workers` workers. False: it cannot. */
    bool (*create)(int workers, void **pool);
    void (*destroy)(void *pool);
    /* Runs a batch to its end. `handles` has batch->tasks * handle_size bytes. Returns how many
     * tasks failed or gave another result than the expected. */
    size_t (*run_batch)(void *pool, const bench_batch *batch, void *handles);
    /* NULL: it counts nothing. */
    void (*read_counters)(void *pool, bench_counters *counters);
} bench_contestant;

/* The list, the sequential twin first: it is what all are compared with. */
extern const bench_contestant *const contestants[];
extern const size_t contestants_length;

extern const bench_contestant contestant_sequential, contestant_naive, contestant_filch;

#ifdef __cplusplus
}
#endif

#endif
