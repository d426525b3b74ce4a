/* fork.c: forked calls of thread executors: lanes (filch/lane.h, thread/lane.h), thieves and joins (thread/frames.c).
 *
 * A call that is lost shows as a join that never ends, one that runs twice as a count, an order that is too weak as a race of
 * argument or result, which lie on the stack of who has forked.
 *
 * SPDX-License-Identifier: MIT */
#include "explorer.h"

#include "base/atomics.h"
#include "os/futex.h"
#include <filch/executor.h>
#include <filch/fork.h>
#include <filch/future.h>
#include <string.h>

static filch_executor *executor;

static void begin(int workers) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = workers;
    options.max_spares = -1;
    options.spin = -1;
    explore_check(filch_thread_executor(&options, &executor) == 0, "an executor");
}

static void end(void) {
    explore_check(filch_executor_destroy(executor) == 0, "destroy");
    explore_join();
    explore_check(explore_live_blocks() == 0, "something is not freed");
}

static void run(filch_task_fn *fn) {
    int runs = 0;
    explore_check(filch_run(executor, fn, NULL, &runs) == 0, "run");
    explore_check(runs == 1, "the task has not run once");
}

/* A forked call: plain memory of who has forked it. */
struct call {
    int argument, runs;
};
static int add_one(void *argument, void *result) {
    struct call *call = argument;
    call->runs++;
    *(int *)result = call->argument + 1;
    return 0;
}
static void join(filch_frame *frame, const struct call *call, const int *result) {
    explore_check(filch_join(frame) == 0, "join");
    explore_check(call->runs == 1, "a call has not run once");
    explore_check(*result == call->argument + 1, "the result is another one");
}

/* Two calls, one after the other in the same slot. */
static int fork_twice(void *argument, void *result) {
    (void)argument;
    for (int i = 0; i < 2; i++) {
        struct call call = {10 * i, 0};
        filch_frame frame;
        int sum = 0;
        filch_fork(&frame, add_one, &call, &sum);
        join(&frame, &call, &sum);
    }
    ++*(int *)result;
    return 0;
}
static void one_slot(void) {
    begin(2);
    run(fork_twice);
    end();
}

/* Two calls at once: a thief takes the older one, or both. */
static int fork_two(void *argument, void *result) {
    struct call calls[2] = {{1, 0}, {2, 0}};
    filch_frame frames[2];
    int sums[2];
    (void)argument;
    for (int i = 0; i < 2; i++) filch_fork(&frames[i], add_one, &calls[i], &sums[i]);
    for (int i = 2; i-- > 0;) join(&frames[i], &calls[i], &sums[i]);
    ++*(int *)result;
    return 0;
}
static void two_slots(void) {
    begin(2);
    run(fork_two);
    end();
}

/* A call that its owner needs done before the join: a thief must be called, and must get it. */
static uint32_t done;
static void raise_flag(uint32_t *flag) {
    store_release(flag, 1u);
    filch__futex_wake(flag, 1);
}
static void await_flag(uint32_t *flag) {
    while (load_acquire(flag) == 0) filch__futex_wait(flag, 0, FILCH_FOREVER);
}
static int wake_owner(void *argument, void *result) {
    raise_flag(&done);
    return add_one(argument, result);
}
static int fork_and_sleep(void *argument, void *result) {
    struct call call = {5, 0};
    filch_frame frame;
    int sum = 0;
    (void)argument;
    filch_fork(&frame, wake_owner, &call, &sum);
    await_flag(&done);
    join(&frame, &call, &sum);
    ++*(int *)result;
    return 0;
}
static void forced(void) {
    begin(2);
    store_relaxed(&done, 0u);
    run(fork_and_sleep);
    end();
}

/* A stolen call forks in its turn: who has forked it helps, or sleeps until it is done. */
static int fork_inside(void *argument, void *result) {
    struct call inner = {7, 0};
    filch_frame frame;
    int sum = 0;
    filch_fork(&frame, add_one, &inner, &sum);
    join(&frame, &inner, &sum);
    return add_one(argument, result);
}
static int fork_outer(void *argument, void *result) {
    struct call call = {3, 0};
    filch_frame frame;
    int sum = 0;
    (void)argument;
    filch_fork(&frame, fork_inside, &call, &sum);
    join(&frame, &call, &sum);
    ++*(int *)result;
    return 0;
}
static void leapfrog(void) {
    begin(2);
    run(fork_outer);
    end();
}

/* What a stolen call leaves behind becomes the task's. */
static int fail_with_text(void *argument, void *result) {
    (void)add_one(argument, result);
    return filch_fail(3, "text");
}
static int fork_and_fail(void *argument, void *result) {
    struct call call = {4, 0};
    filch_frame frame;
    int sum = 0;
    (void)argument;
    filch_fork(&frame, fail_with_text, &call, &sum);
    explore_check(filch_join(&frame) == 3, "join");
    explore_check(call.runs == 1 && sum == 5, "a call has not run once");
    ++*(int *)result;
    return 3;
}
static void text(void) {
    int runs = 0;
    begin(2);
    explore_check(filch_run(executor, fork_and_fail, NULL, &runs) == 3, "run");
    explore_check(runs == 1, "the task has not run once");
    explore_check(strstr(filch_last_error(), "text") != NULL, "the text is lost");
    end();
}

/* A request that has returned is seen by the next join, whatever the owner did meanwhile. */
static uint32_t begun, requested;
static void requester(void *future) {
    await_flag(&begun);
    (void)filch_future_request_cancel(future);
    raise_flag(&requested);
}
static int fork_until_asked(void *argument, void *result) {
    struct call first = {1, 0}, second = {2, 0};
    filch_frame frame;
    int sum;
    (void)argument;
    raise_flag(&begun);
    filch_fork(&frame, add_one, &first, &sum);
    int code = filch_join(&frame); /* which lowers the guard */
    explore_check(code == (first.runs == 1 ? 0 : FILCH_ECANCELED), "the first join");
    await_flag(&requested);
    filch_fork(&frame, add_one, &second, &sum);
    explore_check(filch_join(&frame) == FILCH_ECANCELED && second.runs == 0,
                  "a call has begun after the request");
    *(int *)result = 0;
    return 0;
}
static void asked(void) {
    filch_future *f = NULL;
    begin(1);
    store_relaxed(&begun, 0u);
    store_relaxed(&requested, 0u);
    explore_check(filch_submit(executor, fork_until_asked, NULL, 0, sizeof(int), &f) == 0,
                  "submit");
    int other = explore_spawn(requester, f);
    (void)filch_future_result(f, NULL, FILCH_FOREVER);
    explore_join_one(other);
    filch_future_release(f);
    end();
}

const struct explore_scenario fork_scenarios[] = {{"fork_one_slot", one_slot, 0, 0, NULL},
                                                  {"fork_two_slots", two_slots, 0, 0, NULL},
                                                  {"fork_forced", forced, 0, 0, NULL},
                                                  {"fork_leapfrog", leapfrog, 0, 0, NULL},
                                                  {"fork_text", text, 0, 0, NULL},
                                                  {"fork_asked", asked, 0, 0, NULL},
                                                  {NULL, NULL, 0, 0, NULL}};
