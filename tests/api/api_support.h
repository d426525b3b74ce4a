/* api_support.h: what the tests of the public interface share beside support.h: executors of a given
 * size, tasks that wait at a gate, and the seams of test builds that public headers do not show.
 *
 * The helpers that assert are for the test's own thread; tasks report by what they return.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_API_SUPPORT_H
#define FILCH_TESTS_API_SUPPORT_H

#include <criterion/criterion.h>
#include <filch.h>
#include <filch/atomic.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "support.h"

/* os/fault.h, which public tests do not see. */
enum {
    FAULT_ALLOC = 1,
    FAULT_MAP = 2,
    FAULT_THREAD = 4,
    FAULT_FUTEX = 8,
    FAULT_BARRIER = 16,
    FAULT_PROCESS = 32,
    FAULT_FD = 64,
    FAULT_SEND = 128
};
void filch__fault_plan(unsigned kinds, long after, _Bool forever);
long filch__fault_clear(void);
long filch__fault_live_blocks(void);

/* A call that must succeed. */
#define ok(call) cr_assert_eq((call), 0, "%s: %s", #call, filch_last_error())
/* A call that must fail with the code, and say why. */
#define fails(code, call)                                                                          \
    do {                                                                                           \
        cr_assert_eq((call), (code), "%s is not " #code, #call);                                   \
        cr_assert_neq(filch_last_error()[0], '\0', "%s leaves no text", #call);                    \
    } while (0)

/* Counters that tasks share. */
static inline int add(int *counter, int n) {
    return filch_fetch_add_acq_rel(counter, n) + n;
}
static inline int read_int(int *counter) {
    return filch_load_acquire(counter);
}
static inline void wait_for_count(int *counter, int n) {
    while (read_int(counter) < n) sched_yield();
}

static inline filch_executor *executor_with(filch_thread_options options) {
    filch_executor *e = NULL;
    ok(filch_thread_executor(&options, &e));
    return e;
}
static inline filch_executor *executor_of(int max_workers) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = max_workers;
    return executor_with(options);
}

static inline filch_future *submit_to(filch_executor *e, filch_task_fn *fn, const void *arg,
                                      size_t arg_size, size_t result_size) {
    filch_future *f = NULL;
    ok(filch_submit(e, fn, arg, arg_size, result_size, &f));
    return f;
}
/* The argument is a pointer. */
static inline filch_future *submit_pointer(filch_executor *e, filch_task_fn *fn, void *pointer) {
    return submit_to(e, fn, &pointer, sizeof pointer, 0);
}
/* Waits, releases, and returns the code. */
static inline int finish(filch_future *f) {
    int rc = filch_future_result(f, NULL, FILCH_FOREVER);
    filch_future_release(f);
    return rc;
}

static inline filch_stats stats_of(filch_executor *e) {
    filch_stats s = FILCH_STATS_INIT;
    ok(filch_executor_stats(e, &s));
    return s;
}
/* Waits until every worker that was started sleeps. */
static inline void settle(filch_executor *e) {
    filch_stats s;
    do {
        sched_yield();
        s = stats_of(e);
    } while (s.parked - s.woken != s.workers_started);
}

/* Arms a stopper that lives as long as the program, since threads that pass later may still look at it. */
static inline struct stopper *stop_at(const char *point) {
    enum { MANY = 4096 };
    static struct stopper stoppers[MANY];
    static int used;
    cr_assert_lt(used, MANY);
    stopper_arm(&stoppers[used], point);
    return &stoppers[used++];
}

/* A task that says that it runs, and goes on when the gate is opened. */
struct gate {
    uint32_t reached, open;
};
static inline int hold(void *arg, void *result) {
    struct gate *gate = *(struct gate **)arg;
    (void)result;
    flag_raise(&gate->reached);
    flag_wait(&gate->open);
    return 0;
}
/* Keeps one worker busy until the gate is opened. */
static inline filch_future *occupy(filch_executor *e, struct gate *gate) {
    gate->reached = gate->open = 0;
    filch_future *f = submit_pointer(e, hold, gate);
    flag_wait(&gate->reached);
    return f;
}
static inline void open_gate(struct gate *gate, filch_future *f) {
    flag_raise(&gate->open);
    cr_assert_eq(finish(f), 0);
}

static inline int do_nothing(void *arg, void *result) {
    (void)arg;
    (void)result;
    return 0;
}
static inline int count_one(void *arg, void *result) {
    (void)result;
    add(*(int **)arg, 1);
    return 0;
}

#endif
