/* kind.h: the kinds of rows, that is, what is done with a contestant and what figure comes out.
 *
 * Flow: a workload (workload.h) names its kind and has the sizes. measure.c makes the pool and the
 * memory and calls kind->measure, which
 *
 *   1. warms up: threads exist and have found their CPUs, memory has been touched
 *   2. calls run_started
 *   3. loops while gbench_next says so; one round of that loop is a *batch*
 *   4. leaves run->scale, with which the seconds per batch become the figure, or run->figure itself
 *
 * All figures are in seconds, bytes or shares; the kind says how they are shown. In most kinds the
 * contestant `bare` does not take part as a pool but stands for a floor that the kind defines.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_KIND_H
#define BENCH_KIND_H

#include "contestant.h"
#include "gbench.h"

typedef struct bench_kind bench_kind;
typedef struct bench_workload bench_workload;

/* Single times of a row and contestant, from all turns. */
typedef struct bench_samples {
    double *seconds;
    size_t length;
    size_t room;
} bench_samples;

/* One measurement, as its kind sees it. */
typedef struct bench_run {
    gbench_state *state;
    const bench_workload *workload;
    const bench_contestant *contestant;
    bool quick;   /* the smaller sizes */
    int workers;  /* of the pool */
    size_t tasks; /* in a batch */
    void *pool;
    void *memory; /* tasks * handle_size bytes */
    bench_samples *samples;
    bench_counters before; /* run_started fills it */
    double scale;          /* 1 before the measurement */
    double figure;         /* NAN before it */
    size_t wrong;          /* results */
    const char *error;     /* NULL: none */
} bench_run;

/* How a figure that `bare` has too is used. */
enum bench_meaning {
    MEANING_PLAIN,       /* shown as it is; less is better */
    MEANING_EFFICIENCY,  /* shown as bare's figure divided by it; more is better */
    MEANING_ABOVE_BARE,  /* bare's figure of the same turn is subtracted; less is better */
    MEANING_DISTRIBUTION /* the median of the samples, and further quantiles as rows of their own */
};

struct bench_kind {
    const char *section; /* heading of its part of the table */
    const char *unit;
    double factor; /* from seconds, bytes or shares to the unit */
    enum bench_meaning meaning;
    double least;   /* for ratios, less than this is as good as this */
    bool fork_join; /* a line of the fork-join table */
    /* Can this contestant do that? A contestant without run_batch is asked only where fork_join is set. */
    bool (*can)(const bench_contestant *contestant, const bench_workload *workload, int workers);
    void (*measure)(bench_run *run);
};

extern const bench_kind kind_squares, kind_futures_outside, kind_futures_inside, kind_producers,
    kind_round_trip, kind_idle, kind_memory, kind_flat, kind_tree, kind_forkjoin, kind_many,
    kind_spawn, kind_fork_tree, kind_fork_flat, kind_fork_loop;

/* The warm-up is over. Reads the counters. */
void run_started(bench_run *run);

static inline bool run_is_bare(const bench_run *run) {
    return run->contestant == &contestant_bare;
}

/* Bare's measurement in every sweep: all of the iterations, a piece each thread. */
void kind_measure_bare(bench_run *run);

/* A batch of no-ops on the contestant, from the calling thread. */
bench_batch kind_echo_batch(size_t tasks);

void kind_sleep(int64_t nanoseconds);
/* Seconds, of the monotonic clock. */
double kind_now(void);

#endif
