/* contestant.h: the one interface that everything in the race implements, one file each.
 *
 * Flow: measure.c makes a contestant's pool, a kind (kind.h) runs batches on it, measure.c reads its
 * counters and destroys it. contestants.c has the list; every table has a column of each.
 *
 * A contestant that is a pool with futures defines submit and take_result as static inline functions
 * and includes batch.inc.h, which has the loops over them: all such contestants run the same source,
 * and the only indirect call is one per batch, so that a task of a few nanoseconds can be measured.
 * A library without futures of single tasks writes the loops by hand, as its documentation has them.
 *
 * To add one: copy contestant_naive.c, and add a line to contestants.c and to meson.build. A C++
 * library's contestant is a C++ file (contestant_tbb.cc).
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_CONTESTANT_H
#define BENCH_CONTESTANT_H

#include "forkjoin.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The same task functions for all; the type is filch_task_fn and naive_task_fn. */
typedef int task_fn(void *arg, void *result);

/* Tasks that are submitted together and then awaited together, in the order of submission. */
typedef struct bench_batch {
    task_fn *fn;
    uint64_t arg;      /* of the first task; copied for each */
    uint64_t expected; /* the first task's result */
    uint64_t step;     /* what argument and result of each task have more than the one before */
    size_t tasks;
    /* Called when all are submitted and none is awaited yet; NULL: nothing. */
    void (*submitted)(void *context);
    void *context;
} bench_batch;

/* A range of equal leaves. A task splits its range in two halves, submits one, runs the other itself,
 * and waits, until one leaf is left, which is a call of kernel_grain(n). */
typedef struct bench_tree {
    void *pool;
    uint64_t leaves;
    uint64_t n;
} bench_tree;

/* What a runtime counts; it explains a figure: X(field, title). Totals since the pool was made. */
#define BENCH_COUNTERS(X)                                                                          \
    X(stolen, "stolen")                                                                            \
    X(steal_attempts, "attempts")                                                                  \
    X(steals_failed, "failed")                                                                     \
    X(remote_frees, "remote")                                                                      \
    X(parked, "parked")                                                                            \
    X(woken, "woken")                                                                              \
    X(workers_started, "started")

typedef struct bench_counters {
#define COUNTER_FIELD(field, title) uint64_t field;
    BENCH_COUNTERS(COUNTER_FIELD)
#undef COUNTER_FIELD
} bench_counters;

typedef struct bench_contestant {
    const char *name;   /* its column, and its part of the names in the JSON file */
    size_t handle_size; /* bytes of memory that run_batch needs per task; 0: none */
    /* Of these, bytes that stand for what others allocate themselves. 0: a handle is a pointer. */
    size_t own_size;
    /* The fewest workers with which one task may wait for many; 0: it cannot. */
    int inside_workers;
    /* Makes a pool of `workers` workers. False: it cannot. */
    bool (*create)(int workers, void **pool);
    void (*destroy)(void *pool);
    /* Runs a batch to its end; any number of threads at once. `memory` has batch->tasks * handle_size
     * bytes. Returns how many tasks failed or gave another result than the expected. NULL: it takes
     * part in the fork-join rows only. */
    size_t (*run_batch)(void *pool, const bench_batch *batch, void *memory);
    /* The same within a task of the pool. NULL: it cannot. */
    size_t (*run_inside)(void *pool, const bench_batch *batch, void *memory);
    /* Runs a tree within a task of tree->pool; the sum of the leaves. NULL: it cannot. */
    uint64_t (*run_tree)(const bench_tree *tree);
    /* NULL: it counts nothing. */
    void (*read_counters)(void *pool, bench_counters *counters);
    /* The fork-join workloads; NULL: it has none. */
    const fj_ports *ports;
} bench_contestant;

enum { CONTESTANTS_MAX = 12 };

/* The list, in the order of the columns. */
extern const bench_contestant *const contestants[];
extern const size_t contestants_length;

extern const bench_contestant contestant_sequential, contestant_bare, contestant_naive,
    contestant_filch, contestant_tbb, contestant_glib, contestant_openmp_gcc,
    contestant_openmp_clang, contestant_rayon;

/* Where a contestant stands in the list. */
size_t contestants_index(const bench_contestant *contestant);

#ifdef __cplusplus
}
#endif

#endif
