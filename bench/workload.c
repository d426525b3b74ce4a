/* workload.c: the rows, in the order of the tables.
 *
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include "fj_workloads.h"

#include <stdio.h>

#define ALWAYS                                                                                     \
    { 1, 1 }
#define ONCE                                                                                       \
    { 1, 1 }
#define MILLISECOND 1000000
#define PAUSE (5 * MILLISECOND) /* 500 times filch's default spin */

#define SQUARES(size, when)                                                                        \
    .kind = &kind_squares, .title = "sum_of_squares x" #size ", " when,                            \
    .key = "sum_of_squares/" #size "/" when, .n = 1000000, .tasks = {size, size}

#define MEMORY(what, name, which)                                                                  \
    .kind = &kind_memory, .title = "memory " what, .key = "memory/" name, .n = which,              \
    .tasks = {200000, 50000}, .batches = ONCE, .every = {7, 7}, .turns = 1, .workers = 1

#define FUTURES(where, number)                                                                     \
    .kind = &kind_futures_##where, .title = "from " #where ", workers: " #number,                  \
    .key = "futures/" #where "/" #number, .tasks = {1000000, 100000}, .batches = ONCE,             \
    .every = {2, 1}, .turns = 1, .workers = number

#define PRODUCERS(number)                                                                          \
    .kind = &kind_producers, .title = "outside threads: " #number, .key = "producers/" #number,    \
    .tasks = {100000, 20000}, .batches = ONCE, .every = ALWAYS, .turns = 1, .producers = number

#define IDLE .kind = &kind_idle, .batches = ONCE, .every = {2, 1}, .turns = 1

/* Iterations in all, cut into tasks of n, as many as there may be. Few tasks take a millisecond or two:
 * then there are several batches. */
#define CUT(n, most) (SWEEP_ITERATIONS / (n) < (most) ? SWEEP_ITERATIONS / (n) : (most))
#define SWEEP(shape, size, often)                                                                  \
    {                                                                                              \
        .kind = &kind_##shape, .title = #shape ", n = " #size, .key = #shape "/" #size, .n = size, \
        .tasks = {CUT(size, SWEEP_TASKS), CUT(size, SWEEP_QUICK_TASKS)}, .batches = often,         \
        .every = ALWAYS, .turns = 1                                                                \
    }
#define FEW                                                                                        \
    { 2, 1 }
#define SOME                                                                                       \
    { 5, 2 }
#define SWEEP_OF(shape)                                                                            \
    SWEEP(shape, 1, FEW), SWEEP(shape, 3, FEW), SWEEP(shape, 10, FEW), SWEEP(shape, 30, FEW),      \
        SWEEP(shape, 100, FEW), SWEEP(shape, 300, FEW), SWEEP(shape, 1000, SOME),                  \
        SWEEP(shape, 3000, SOME), SWEEP(shape, 10000, SOME), SWEEP(shape, 30000, SOME),            \
        SWEEP(shape, 100000, SOME), SWEEP(shape, 300000, SOME), SWEEP(shape, 1000000, SOME)

#define JOB(what, name, id)                                                                        \
    .kind = &kind_forkjoin, .title = what, .key = "forkjoin/" name, .fork = id, .batches = ONCE,   \
    .turns = 1
#define FORK(what, name, id) JOB(what, name, id), .each_threads = true
/* With the most of --threads, and with 64 workers, whatever the machine has. */
#define MANY(what, name, id)                                                                       \
    .kind = &kind_many, .title = "many: " what, .key = "many/" name, .fork = id, .batches = ONCE,  \
    .turns = 1, .every = {7, 7}, .many = 64

/* Up to 100 iterations METG is fitted; the last shows where half of the peak is reached. */
#define FORK_SWEEP(shape, size, id)                                                                \
    {                                                                                              \
        .kind = &kind_fork_##shape, .title = "fork " #shape ", n = " #size,                        \
        .key = "fork_" #shape "/" #size, .n = size, .fork = id,                                    \
        .tasks = {CUT(size, SWEEP_TASKS), CUT(size, SWEEP_QUICK_TASKS)}, .batches = ONCE,          \
        .every = {2, 2}, .turns = 1                                                                \
    }
#define FORK_SWEEP_OF(shape, id)                                                                   \
    FORK_SWEEP(shape, 1, id), FORK_SWEEP(shape, 3, id), FORK_SWEEP(shape, 10, id),                 \
        FORK_SWEEP(shape, 30, id), FORK_SWEEP(shape, 100, id), FORK_SWEEP(shape, 1000, id)

const bench_workload workloads[] = {
    {SQUARES(4, "hot"), .batches = {10, 10}, .every = ALWAYS, .turns = 2},
    {SQUARES(4, "parked"), .batches = {5, 5}, .every = ALWAYS, .turns = 2, .pause = PAUSE},
    {SQUARES(64, "hot"), .batches = ONCE, .every = ALWAYS, .turns = 2},
    {SQUARES(1024, "hot"), .batches = ONCE, .every = {2, 7}, .turns = 1},
    /* Before the futures, whose floor needs the first. */
    {MEMORY("while pending", "pending", 0)},
    {MEMORY("that a second batch adds", "again", 1)},
    {MEMORY("kept after destroy", "kept", 2)},
    {FUTURES(outside, 1)},
    {FUTURES(outside, 2)},
    {FUTURES(inside, 1)},
    {FUTURES(inside, 2)},
    {PRODUCERS(1)},
    {PRODUCERS(2)},
    {PRODUCERS(4)},
    {PRODUCERS(16)},
    {.kind = &kind_round_trip,
     .title = "round trip, hot",
     .key = "round_trip/hot",
     .tasks = ONCE,
     .batches = {1000, 400},
     .every = ALWAYS,
     .turns = 1},
    {.kind = &kind_round_trip,
     .title = "round trip, parked",
     .key = "round_trip/parked",
     .tasks = ONCE,
     .batches = {50, 15},
     .every = ALWAYS,
     .turns = 1,
     .pause = PAUSE},
    {IDLE, .title = "nothing to do", .key = "idle/nothing", .tasks = ONCE,
     .pause = 50 * MILLISECOND},
    {IDLE, .title = "a no-op each ms", .key = "idle/1ms", .tasks = {100, 40},
     .pause = 1 * MILLISECOND, .ticks = true},
    {IDLE, .title = "a no-op each 10 ms", .key = "idle/10ms", .tasks = {30, 6},
     .pause = 10 * MILLISECOND, .ticks = true},
    SWEEP_OF(flat),
    SWEEP_OF(tree),
    {FORK("fib", "fib", FJ_FIB), .size = {29, 24}, .every = {2, 2}},
    {FORK("n queens", "nqueens", FJ_NQUEENS), .size = {12, 9}, .every = {2, 2}},
    {FORK("skynet", "skynet", FJ_SKYNET), .size = {1000000, 10000}, .every = {2, 2}},
    {FORK("UTS T1", "uts_t1", FJ_UTS), .shape = &fj_shape_t1, .quick_shape = &fj_shape_t1_small,
     .every = {7, 2}},
    {FORK("UTS T3", "uts_t3", FJ_UTS), .shape = &fj_shape_t3, .quick_shape = &fj_shape_t3_small,
     .every = {7, 2}},
    {FORK("matrices", "matmul", FJ_MATMUL), .size = {384, 192}, .every = {2, 2}},
    {FORK("cilksort", "cilksort", FJ_CILKSORT), .size = {500000, 50000}, .every = {2, 2}},
    {FORK("sum of squares", "squares", FJ_SQUARES), .size = {50000000, 5000000}, .every = {2, 2}},
    {FORK("uneven loop", "uneven", FJ_UNEVEN), .size = {8192, 2048}, .every = {2, 2}},
    {FORK("triad", "triad", FJ_TRIAD), .size = {4000000, 500000}, .every = {2, 2}},
    {JOB("loop of one instruction", "opaque", FJ_OPAQUE), .size = {100000000, 10000000},
     .every = {2, 2}, .workers = 1},
    {JOB("library sort", "sort", FJ_SORT), .size = {10000000, 300000}, .every = {7, 2}},
    {MANY("fib", "fib", FJ_FIB), .size = {29, 20}},
    {MANY("n queens", "nqueens", FJ_NQUEENS), .size = {12, 9}},
    {MANY("squares", "squares", FJ_SQUARES), .size = {50000000, 5000000}},
    {MANY("uneven loop", "uneven", FJ_UNEVEN), .size = {8192, 2048}},
    {.kind = &kind_spawn,
     .title = "fib, a spawn",
     .key = "spawn/1",
     .fork = FJ_FIB,
     .size = {28, 24},
     .batches = ONCE,
     .every = {2, 2},
     .turns = 1,
     .workers = 1},
    FORK_SWEEP_OF(tree, FJ_TREE),
    FORK_SWEEP_OF(flat, FJ_FLAT),
    FORK_SWEEP_OF(loop, FJ_LOOP),
};

const size_t workloads_length = sizeof workloads / sizeof workloads[0];

int workload_variants(const bench_workload *workload, const bench_options *options) {
    if (workload->many > 0) return 2;
    return workload->each_threads ? options->threads_length : 1;
}

static int workers_of(const bench_workload *workload, const bench_options *options, int which) {
    if (workload->each_threads) return options->threads_list[which];
    if (workload->many > 0 && which == 1) return workload->many;
    return workload->workers > 0 ? workload->workers : options->threads;
}

void workload_variant(const bench_workload *workload, const bench_options *options, int which,
                      bench_variant *variant) {
    int workers = workers_of(workload, options, which);
    const char *title = workload->title, *key = workload->key;
    *variant = (bench_variant){.workers = workers};
    if (workload->each_threads || workload->many > 0) {
        snprintf(variant->title, sizeof variant->title, "%s, workers: %d", title, workers);
        snprintf(variant->key, sizeof variant->key, "%s/%d", key, workers);
    } else {
        snprintf(variant->title, sizeof variant->title, "%s", title);
        snprintf(variant->key, sizeof variant->key, "%s", key);
    }
}

size_t workload_tasks(const bench_workload *workload, const bench_options *options, int workers) {
    size_t tasks = (size_t)workload_size(options, workload->tasks);
    size_t least = 4 * (size_t)workers;
    bool sweep = workload->kind->meaning == MEANING_EFFICIENCY;
    return sweep && tasks < least ? least : tasks;
}

bool workload_has(const bench_workload *workload, int workers, const bench_contestant *contestant) {
    if (contestant->run_batch == NULL && !workload->kind->fork_join) return false;
    return workload->kind->can(contestant, workload, workers);
}
