/* pool.c: whole thread executors: injector (runtime/reclaim/stack.h), sleep and wake-up (thread/sleep.h, idle.c, crew.c,
 * os/park.h), and the end (shutdown.c).
 *
 * A wake-up that is lost shows as an execution in which nobody can go on; a task that is lost as a result that never
 * comes; an order that is too weak also as a race of argument, result, or of what a task has seen.
 *
 * SPDX-License-Identifier: MIT */
#include "explorer.h"

#include "base/atomics.h"
#include "os/futex.h"
#include <filch/executor.h>
#include <filch/future.h>
#include <filch/task.h>

static filch_executor *executor;
static int runs[4]; /* plain: of each task, by who runs it */

static void begin(int workers) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    for (int i = 0; i < 4; i++) runs[i] = 0;
    options.max_workers = workers;
    options.max_spares = -1;
    options.spin = -1;
    explore_check(filch_thread_executor(&options, &executor) == 0, "an executor");
}

static void end(int tasks) {
    explore_check(filch_executor_destroy(executor) == 0, "destroy");
    explore_join();
    for (int i = 0; i < tasks; i++) explore_check(runs[i] == 1, "a task has not run once");
    explore_check(explore_live_blocks() == 0, "something is not freed");
}

static int task(void *argument, void *result) {
    int index = *(int *)argument;
    runs[index]++;
    *(int *)result = index + 10;
    return 0;
}

static filch_future *submit(int index) {
    filch_future *f = NULL;
    int rc = filch_submit(executor, task, &index, sizeof index, sizeof(int), &f);
    explore_check(rc == 0, "submit");
    return f;
}

static void await(filch_future *f, int index) {
    int value = 0;
    explore_check(filch_future_result(f, &value, FILCH_FOREVER) == 0, "result");
    explore_check(value == index + 10, "the result is another one");
    filch_future_release(f);
}

/* One task at a time: each finds its worker asleep, or on its way. */
static void one_by_one(void) {
    begin(1);
    for (int i = 0; i < 2; i++) await(submit(i), i);
    end(2);
}

/* Several, for two workers. */
static void several(void) {
    filch_future *f[3];
    begin(2);
    for (int i = 0; i < 3; i++) f[i] = submit(i);
    for (int i = 0; i < 3; i++) await(f[i], i);
    end(3);
}

/* Two threads submit. */
static int indices[2] = {0, 1};
static void submitter(void *index) {
    await(submit(*(int *)index), *(int *)index);
}
static void two_submitters(void) {
    begin(2);
    int first = explore_spawn(submitter, &indices[0]);
    int second = explore_spawn(submitter, &indices[1]);
    explore_join_one(first);
    explore_join_one(second);
    end(2);
}

/* The end comes while tasks are queued: they run before it. */
static void detached(void) {
    begin(2);
    for (int i = 0; i < 3; i++) filch_future_release(submit(i));
    end(3);
}

/* A task submits another and waits for it, or lets another worker have it. */
static int parent(void *argument, void *result) {
    int index = *(int *)argument;
    await(submit(index + 1), index + 1);
    return task(argument, result);
}
static void nested(void) {
    filch_future *f = NULL;
    int index = 0;
    begin(2);
    explore_check(filch_submit(executor, parent, &index, sizeof index, sizeof(int), &f) == 0,
                  "submit");
    await(f, 0);
    end(2);
}

/* A task submits two others and ends; the second worker is called. */
static int scatterer(void *argument, void *result) {
    filch_future_release(submit(1));
    filch_future_release(submit(2));
    return task(argument, result);
}
static void scatter(void) {
    filch_future *f = NULL;
    int index = 0;
    begin(2);
    explore_check(filch_submit(executor, scatterer, &index, sizeof index, sizeof(int), &f) == 0,
                  "submit");
    await(f, 0);
    end(3);
}

/* A submit against the end: what was accepted runs, what was refused does not. */
static int accepted;
static void late_submitter(void *unused) {
    (void)unused;
    int index = 1;
    int rc = filch_submit(executor, task, &index, sizeof index, sizeof(int), NULL);
    explore_check(rc == 0 || rc == FILCH_ESHUTDOWN, "submit");
    accepted = rc == 0;
}
static void submit_against_shutdown(void) {
    begin(2);
    filch_future_release(submit(0));
    int late = explore_spawn(late_submitter, NULL);
    explore_check(filch_executor_shutdown(executor, FILCH_WAIT) == 0, "shutdown");
    explore_join_one(late);
    explore_check(runs[1] == accepted, "refused and run, or accepted and not run");
    runs[1] = 1;
    end(2);
}
static void submit_against_cancel(void) {
    begin(2);
    filch_future *f = submit(0);
    int late = explore_spawn(late_submitter, NULL);
    explore_check(filch_executor_shutdown(executor, FILCH_WAIT | FILCH_CANCEL_PENDING) == 0,
                  "shutdown");
    explore_join_one(late);
    explore_check(filch_future_done(f), "neither run nor cancelled");
    explore_check(filch_future_cancelled(f) == (runs[0] == 0), "both, or none");
    explore_check(runs[1] <= accepted, "refused and run");
    filch_future_release(f);
    runs[0] = runs[1] = 1;
    end(2);
}

/* Tasks that need each other: one sleeps, unknown to the executor, until the other has run. So the second worker must
 * be called, or must find what the first has left. */
static uint32_t has_run;
static int waker(void *argument, void *result) {
    store_release(&has_run, 1u);
    filch__futex_wake(&has_run, 1);
    return task(argument, result);
}
static void sleep_until_run(void) {
    while (load_acquire(&has_run) == 0) filch__futex_wait(&has_run, 0, FILCH_FOREVER);
}
static int sleeper(void *argument, void *result) {
    sleep_until_run();
    return task(argument, result);
}
static filch_future *submit_as(filch_task_fn *fn, int index) {
    filch_future *f = NULL;
    explore_check(filch_submit(executor, fn, &index, sizeof index, sizeof(int), &f) == 0, "submit");
    return f;
}
static void pair(void) {
    filch_future *f[2];
    begin(2);
    store_relaxed(&has_run, 0u);
    f[0] = submit_as(sleeper, 0);
    f[1] = submit_as(waker, 1);
    for (int i = 0; i < 2; i++) await(f[i], i);
    end(2);
}

/* The same, and what the first needs is submitted by itself: it stands in its own deque. */
static int caller(void *argument, void *result) {
    filch_future_release(submit_as(waker, 1));
    sleep_until_run();
    return task(argument, result);
}
static void called(void) {
    begin(2);
    store_relaxed(&has_run, 0u);
    await(submit_as(caller, 0), 0);
    end(2);
}
/* The second worker has been started, and sleeps or is about to. */
static void called_again(void) {
    filch_future *f[2];
    begin(2);
    store_relaxed(&has_run, 0u);
    f[0] = submit_as(sleeper, 0);
    f[1] = submit_as(waker, 1);
    for (int i = 0; i < 2; i++) await(f[i], i);
    store_relaxed(&has_run, 0u);
    runs[1] = 0;
    await(submit_as(caller, 2), 2);
    end(3);
}

/* Two threads end it: each has seen the end of all. */
static void ender(void *unused) {
    (void)unused;
    explore_check(filch_executor_shutdown(executor, FILCH_WAIT) == 0, "shutdown");
    explore_check(runs[0] == 1 && runs[1] == 1, "it returns before the end");
}
static void two_ends(void) {
    begin(2);
    for (int i = 0; i < 2; i++) filch_future_release(submit(i));
    int other = explore_spawn(ender, NULL);
    ender(NULL);
    explore_join_one(other);
    end(2);
}

/* One thread cancels what is queued, and runs its callbacks; another's end has waited for these. */
static void count_call(filch_future *f, void *calls) {
    (void)f;
    ++*(int *)calls;
}
static void canceller(void *unused) {
    (void)unused;
    explore_check(filch_executor_shutdown(executor, FILCH_CANCEL_PENDING) == 0, "shutdown");
}
static void end_against_cancel(void) {
    int calls = 0;
    begin(1);
    filch_future *f = submit(0);
    explore_check(filch_future_add_done_callback(f, count_call, &calls) == 0, "callback");
    int other = explore_spawn(canceller, NULL);
    explore_check(filch_executor_shutdown(executor, FILCH_WAIT | FILCH_CANCEL_PENDING) == 0,
                  "shutdown");
    explore_check(calls == 1, "a callback has not run before the end");
    explore_join_one(other);
    filch_future_release(f);
    runs[0] = 1;
    end(1);
}

/* Two tasks that wait for each other: one of them is told. */
static filch_future *each_other[2];
static uint32_t is_there;
static int awaiter(void *argument, void *result) {
    int index = *(int *)argument, value = 0;
    while (load_acquire(&is_there) == 0) filch__futex_wait(&is_there, 0, FILCH_FOREVER);
    int code = filch_future_result(each_other[1 - index], &value, FILCH_FOREVER);
    explore_check(code == 0 || code == FILCH_EDEADLK, "a wait in a circle");
    (void)task(argument, result);
    *(int *)result = code == 0 ? 0 : 1;
    return 0;
}
static void circle(void) {
    int told = 0;
    begin(2);
    store_relaxed(&is_there, 0u);
    for (int i = 0; i < 2; i++) each_other[i] = submit_as(awaiter, i);
    store_release(&is_there, 1u);
    filch__futex_wake(&is_there, 2);
    for (int i = 0; i < 2; i++) {
        int value = -1;
        explore_check(filch_future_result(each_other[i], &value, FILCH_FOREVER) == 0, "result");
        told += value;
    }
    for (int i = 0; i < 2; i++) filch_future_release(each_other[i]);
    explore_check(told == 1, "not one of the two was told");
    end(2);
}

const struct explore_scenario pool_scenarios[] = {
    {"pool_one_by_one", one_by_one, 1, 1, NULL},
    {"pool_several", several, 0, 0, NULL},
    {"pool_two_submitters", two_submitters, 0, 0, NULL},
    {"pool_detached", detached, 0, 0, NULL},
    {"pool_nested", nested, 0, 0, NULL},
    {"pool_scatter", scatter, 0, 0, NULL},
    {"pool_submit_against_shutdown", submit_against_shutdown, 0, 0, NULL},
    {"pool_submit_against_cancel", submit_against_cancel, 0, 0, NULL},
    {"pool_pair", pair, 0, 0, NULL},
    {"pool_called", called, 0, 0, NULL},
    {"pool_called_again", called_again, 0, 0, NULL},
    {"pool_two_ends", two_ends, 0, 0, NULL},
    {"pool_end_against_cancel", end_against_cancel, 0, 0, NULL},
    {"pool_circle", circle, 0, 0, NULL},
    {NULL, NULL, 0, 0, NULL}};
