/* contestant_filch.c: filch in the race, through its public calls and its shared library.
 *
 * The options are the defaults but for the number of workers.
 *
 * SPDX-License-Identifier: MIT */
#include "contestant.h"

#include <filch.h>

typedef filch_future *handle;

static inline bool submit(void *pool, task_fn *fn, const void *arg, size_t arg_size,
                          size_t result_size, handle *future) {
    return filch_submit((filch_executor *)pool, fn, arg, arg_size, result_size, future) == 0;
}

static inline int take_result(handle future, void *result) {
    int code = filch_future_result(future, result, FILCH_FOREVER);
    filch_future_release(future);
    return code;
}

#include "batch.inc.h"
#include "tree.inc.h"

static bool create(int workers, void **pool) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    filch_executor *executor = NULL;
    options.max_workers = workers;
    if (filch_thread_executor(&options, &executor) != 0) return false;
    *pool = executor;
    return true;
}

static void destroy(void *pool) {
    (void)filch_executor_destroy((filch_executor *)pool);
}

static void read_counters(void *pool, bench_counters *counters) {
    filch_stats stats = FILCH_STATS_INIT;
    (void)filch_executor_stats((filch_executor *)pool, &stats);
    counters->stolen = stats.stolen;
    counters->steal_attempts = stats.steal_attempts;
    counters->steals_failed = stats.steals_failed;
    counters->remote_frees = stats.remote_frees;
    counters->parked = stats.parked;
    counters->woken = stats.woken;
    counters->workers_started = stats.workers_started;
}

const bench_contestant contestant_filch = {
    .name = "filch",
    .handle_size = sizeof(handle),
    .inside_workers = 1,
    .create = create,
    .destroy = destroy,
    .run_batch = run_batch,
    .run_inside = run_inside,
    .run_tree = run_tree,
    .read_counters = read_counters,
    .ports = &forkjoin_filch,
};
