/* forkjoin.h: the fork-join workloads, and what a contestant implements to take part in them.
 *
 * Flow: a row of kind_forkjoin.c has a job made, calls the contestant's port with it once per batch, and
 * has each result checked. Each workload is one file, fj_*.c, with its sequential twin, its serial parts
 * (fj_parts.h) and its check. Each contestant is one file, forkjoin_*, with a port per workload: the
 * same tasks, split in the way that its documentation recommends, around the same serial parts.
 *
 * To add a workload: a line in the two lists below and in fj_workloads.c, a file fj_NAME.c, a port in each
 * forkjoin_*, a row in workload.c.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_FORKJOIN_H
#define BENCH_FORKJOIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* In the order of every table of ports. */
enum fj_id {
    FJ_FIB,     /* fib(n), a task for each call: fork fib(n - 1), call fib(n - 2) */
    FJ_NQUEENS, /* places n queens, a task for each safe place; how many ways there are */
    FJ_SKYNET, /* a tree of tasks with ten children each and n leaves; the sum of the leaves' numbers */
    FJ_UTS,      /* the nodes of an unbalanced tree, a task for each */
    FJ_MATMUL,   /* c = a * b, n by n, in tiles: C's halves, and theirs */
    FJ_CILKSORT, /* merge sort with parallel merges */
    FJ_SQUARES,  /* 0*0 + ... + (n-1)*(n-1), a reduction */
    FJ_UNEVEN,   /* a loop whose iterations take longer and longer */
    FJ_TRIAD,    /* a[i] = b[i] + 3 c[i]: bound by memory */
    FJ_OPAQUE,   /* a loop with one instruction in its body, which no compiler folds */
    FJ_SORT,     /* the library's own sort */
    FJ_TREE,     /* a range of leaves, halved by tasks down to kernel_grain(n); the sum */
    FJ_FLAT,     /* one task forks all leaves and then joins them; the sum */
    FJ_LOOP,     /* the library's loop over all leaves, one at a time */
    FJ_IDS
};

/* Which tree of the UTS benchmark (fj_uts.c). */
typedef struct fj_shape {
    bool geometric; /* children by a geometric distribution down to `depth`, else binomial */
    int32_t depth;
    int32_t root_children; /* binomial: the root's; geometric: the mean of each node's */
    int32_t children;      /* binomial: of a node that has any */
    double probability;    /* binomial: that a node has any */
    uint32_t seed;
} fj_shape;

/* One job: the size, and the memory that a workload needs. forkjoin_rayon.rs has the same struct. */
typedef struct fj_job {
    uint64_t n;
    uint64_t leaves; /* of FJ_TREE, FJ_FLAT, FJ_LOOP */
    uint64_t expected;
    const fj_shape *shape;
    double *a, *b, *c;        /* matrices or vectors */
    uint64_t *keys, *scratch; /* n of each, or `leaves` */
    uint64_t *input;          /* what is to be sorted */
} fj_job;

/* Runs a job to its end on the contestant's pool, from a thread outside of it. What it returns depends on
 * the workload; those that fill an array return 0. */
typedef uint64_t fj_port(void *pool, const fj_job *job);

/* A contestant's; NULL: it cannot. */
typedef struct fj_ports {
    fj_port *of[FJ_IDS];
} fj_ports;

extern const fj_ports forkjoin_sequential, forkjoin_naive, forkjoin_filch, forkjoin_tbb,
    forkjoin_glib;

typedef struct fj_workload {
    const char *name;
    fj_port *sequential;
    /* Allocates and fills what the job needs beyond n, leaves and shape. False: no memory. NULL: nothing. */
    bool (*make)(fj_job *job);
    /* Before each batch, while the clock stands. NULL: nothing. */
    void (*refresh)(fj_job *job);
    /* After each batch, while the clock stands. NULL: the result has to be job->expected. */
    bool (*right)(const fj_job *job, uint64_t result);
} fj_workload;

extern const fj_workload fj_workloads[FJ_IDS];

/* Makes the job of a workload with n, leaves and shape set; fj_job_free after both. */
bool fj_job_make(enum fj_id id, fj_job *job);
void fj_job_free(fj_job *job);

/* Tasks that a job forks: calls of fib but for the first; 0: not counted. */
uint64_t fj_fib_spawns(uint64_t n);

#ifdef __cplusplus
}
#endif

#endif
