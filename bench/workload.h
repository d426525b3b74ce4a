/* workload.h: what is run, a row each.
 *
 * Flow: race.c plans the rows that the options select, kind.h says what each does, lines.c makes the
 * lines of the tables from them. To add a row of a kind that exists, add a line to workload.c.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "kind.h"
#include "options.h"

/* What a sweep cuts into tasks, and how many tasks it makes of it at most. */
#define SWEEP_ITERATIONS UINT64_C(8000000)
enum { SWEEP_TASKS = 50000, SWEEP_QUICK_TASKS = 20000 };

/* A size in the full race, and with --quick. */
typedef struct bench_size {
    int64_t full, quick;
} bench_size;

struct bench_workload {
    const bench_kind *kind;
    const char *title; /* its row; ", workers: N" follows where there are several */
    const char *key;   /* its part of the names in the JSON file */
    uint64_t n;        /* iterations in a task; of kind_memory, which figure */
    bench_size tasks;  /* in a batch */
    /* Batches in one measurement of one contestant. Some 10 ms are enough for the clock, the start
     * and the end to weigh nothing; more only puts the contestants further apart in time. */
    bench_size batches;
    bench_size every;  /* takes part in each so manieth round */
    int turns;         /* measurements of each contestant in such a round */
    int workers;       /* of the pool; 0: the most of --threads */
    bool each_threads; /* a row for each number of --threads */
    int many;          /* a row with the most of --threads, and one with so many; 0: neither */
    enum fj_id fork;   /* of kind_forkjoin and kind_spawn: what is run */
    bench_size size;   /* of these: the job's n */
    const fj_shape *shape, *quick_shape; /* of these: of FJ_UTS */
    int producers;                       /* of kind_producers */
    bool ticks;                          /* of kind_idle: submit after each pause */
    int64_t pause; /* nanoseconds of sleep before each batch or tick; 0: back to back, "hot" */
};

extern const bench_workload workloads[];
extern const size_t workloads_length;

/* The size that the options choose. */
static inline int64_t workload_size(const bench_options *options, bench_size size) {
    return options->quick ? size.quick : size.full;
}

/* A row that a workload gives: one, or one for each number of threads. */
typedef struct bench_variant {
    int workers;
    char title[64];
    char key[64];
} bench_variant;

int workload_variants(const bench_workload *workload, const bench_options *options);
void workload_variant(const bench_workload *workload, const bench_options *options, int which,
                      bench_variant *variant);
/* Tasks in a batch: in a sweep, at least four per worker. */
size_t workload_tasks(const bench_workload *workload, const bench_options *options, int workers);
/* Is there a figure of this contestant? */
bool workload_has(const bench_workload *workload, int workers, const bench_contestant *contestant);

#endif
