/* workload.c: the rows, in the order of the tables.
 *
 * SPDX-License-Identifier: MIT */
#include "workload.h"

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
    .every = {3, 1}, .turns = 1, .workers = number

#define PRODUCERS(number)                                                                          \
    .kind = &kind_producers, .title = "outside threads: " #number, .key = "producers/" #number,    \
    .tasks = {100000, 20000}, .batches = ONCE, .every = ALWAYS, .turns = 1, .producers = number

#define IDLE .kind = &kind_idle, .batches = ONCE, .every = {3, 1}, .turns = 1

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

const bench_workload workloads[] = {
    {SQUARES(4, "hot"), .batches = {10, 10}, .every = ALWAYS, .turns = 2},
    {SQUARES(4, "parked"), .batches = {5, 5}, .every = ALWAYS, .turns = 2, .pause = PAUSE},
    {SQUARES(64, "hot"), .batches = ONCE, .every = ALWAYS, .turns = 2},
    {SQUARES(1024, "hot"), .batches = ONCE, .every = {3, 7}, .turns = 1},
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
};

const size_t workloads_length = sizeof workloads / sizeof workloads[0];

int workload_workers(const bench_workload *workload, const bench_options *options) {
    return workload->workers > 0 ? workload->workers : options->threads;
}

size_t workload_tasks(const bench_workload *workload, const bench_options *options) {
    size_t tasks = (size_t)workload_size(options, workload->tasks);
    size_t least = 4 * (size_t)workload_workers(workload, options);
    bool sweep = workload->kind->meaning == MEANING_EFFICIENCY;
    return sweep && tasks < least ? least : tasks;
}

bool workload_has(const bench_workload *workload, const bench_options *options,
                  const bench_contestant *contestant) {
    return workload->kind->can(contestant, workload_workers(workload, options));
}
