/* future.c: the life of a future (runtime/future_state.h, future.c, hub.c, home.c, promise.c), through the public calls
 * where there are such.
 *
 * Results and arguments are plain memory: a reader that is not ordered after the writer is a race, and a future
 * that is freed by one who does not know of every other's accesses is a failure of the free.
 *
 * SPDX-License-Identifier: MIT */
#include "explorer.h"

#include "future.h"
#include "hub.h"
#include <filch/future.h>
#include <filch/promise.h>

static filch_future *future;
static int called, ended; /* plain: callbacks of one future never run at the same time */
static bool cancelled[EXPLORE_THREADS];

static void begin(unsigned references) {
    called = ended = 0;
    for (int i = 0; i < EXPLORE_THREADS; i++) cancelled[i] = false;
    store_relaxed(&filch__home_standalone.spin,
                  INT64_C(0)); /* as if no promise had been made yet */
    store_relaxed(&filch__home_standalone.cancelling, 0u);
    store_relaxed(&filch__home_standalone.cancelled, UINT64_C(0));
    store_relaxed(&filch__home_standalone.alerts, 0u);
    explore_check(filch_promise(sizeof(uint64_t), &future) == 0, "a promise");
    for (unsigned i = 1; i < references; i++) filch_future_retain(future);
}

static void end(void) {
    explore_join();
    explore_check(explore_live_blocks() == 0, "something is not freed");
}

static void completer(void *unused) {
    (void)unused;
    uint64_t value = 42;
    explore_check(filch_promise_set(future, &value, sizeof value) == 0, "set");
    filch_future_release(future);
}

static void waiter(void *unused) {
    (void)unused;
    uint64_t value = 0;
    explore_check(filch_future_result(future, &value, FILCH_FOREVER) == 0, "result");
    explore_check(value == 42, "the result is another one");
    filch_future_release(future);
}

/* Two wait, one completes; the last to release frees. */
static void wait_for_it(void) {
    begin(3);
    explore_spawn(completer, NULL);
    explore_spawn(waiter, NULL);
    explore_spawn(waiter, NULL);
    end();
}

/* A deadline may pass; then the future is as it was. */
static void waiter_in_a_hurry(void *unused) {
    (void)unused;
    uint64_t value = 0;
    int rc = filch_future_result(future, &value, 1000000);
    explore_check(rc == FILCH_ETIMEDOUT || (rc == 0 && value == 42), "result or time-out");
    filch_future_release(future);
}
static void time_out(void) {
    begin(2);
    explore_spawn(completer, NULL);
    explore_spawn(waiter_in_a_hurry, NULL);
    end();
}

/* Callbacks: once each, with the result, whoever is first. */
static void count_call(filch_future *f, void *context) {
    uint64_t value = 0;
    explore_check(filch_future_done(f), "a callback of what is not done");
    explore_check(filch_future_result(f, &value, 0) == 0 && value == 42,
                  "the result in a callback");
    explore_check(*(int *)context == 0, "a callback runs twice");
    *(int *)context = 1;
}
static int calls[2];
static void adder(void *context) {
    explore_check(filch_future_add_done_callback(future, count_call, context) == 0, "add");
    filch_future_release(future);
}
static void callbacks(void) {
    begin(3);
    calls[0] = calls[1] = 0;
    explore_spawn(completer, NULL);
    explore_spawn(adder, &calls[0]);
    explore_spawn(adder, &calls[1]);
    end();
    explore_check(calls[0] == 1 && calls[1] == 1, "a callback is lost");
}
static void callback_and_wait(void) {
    begin(3);
    calls[0] = 0;
    explore_spawn(completer, NULL);
    explore_spawn(adder, &calls[0]);
    explore_spawn(waiter, NULL);
    end();
    explore_check(calls[0] == 1, "a callback is lost");
}

/* A worker starts, runs and ends it; others cancel it, or ask it to end. As task.c does with what was queued. */
static uint64_t argument;
static void worker(void *unused) {
    (void)unused;
    bool started = explore_choose(2) == 0 ? state_start(&future->state, 0)
                                          : state_start_fencing(&future->state, 0);
    if (started) {
        size_t size;
        uint64_t *result = filch__future_result(future, &size);
        explore_check(argument == 7, "the argument");
        argument = 8;
        ended++;
        *result = 42;
        future->outcome = filch__outcome_of_code(0);
        filch__future_finish(future, LIFE_FINISHED, true, NULL, NULL);
    } else {
        filch_future_release(future);
    }
}
static void canceller(void *index) {
    bool *is = index;
    *is = filch_future_cancel(future);
    if (*is) explore_check(filch_future_cancelled(future), "cancelled, but not seen to be");
    filch_future_release(future);
}
static void waiter_for_either(void *unused) {
    (void)unused;
    uint64_t value = 0;
    int rc = filch_future_result(future, &value, FILCH_FOREVER);
    explore_check(rc == FILCH_ECANCELED || (rc == 0 && value == 42), "a result or ECANCELED");
    explore_check((rc == FILCH_ECANCELED) == filch_future_cancelled(future), "both, or none");
    filch_future_release(future);
}
static void start_or_cancel(void) {
    begin(3);
    argument = 7;
    explore_spawn(worker, NULL);
    explore_spawn(canceller, &cancelled[0]);
    explore_spawn(waiter_for_either, NULL);
    end();
    explore_check((ended == 1) != cancelled[0], "cancelled and run, or neither");
}
static void two_cancels(void) {
    begin(3);
    argument = 7;
    explore_spawn(worker, NULL);
    explore_spawn(canceller, &cancelled[0]);
    explore_spawn(canceller, &cancelled[1]);
    end();
    explore_check(ended + (cancelled[0] || cancelled[1]) == 1, "cancelled and run, or neither");
    explore_check(cancelled[0] == cancelled[1], "two answers");
}

/* Who meets a future that another one is just cancelling, and then awaits the cancels, finds it cancelled. */
static void awaiter(void *unused) {
    (void)unused;
    if (state_life(state_look(&future->state)) == LIFE_CANCELLING) {
        filch__home_await_cancels(&filch__home_standalone);
        uint64_t s = state_look(&future->state);
        explore_check(state_life(s) == LIFE_CANCELLED, "still cancelling");
        explore_check(filch__future_code(future) == FILCH_ECANCELED, "its code");
    }
    filch_future_release(future);
}
static void await_cancels(void) {
    begin(3);
    explore_spawn(canceller, &cancelled[0]);
    explore_spawn(awaiter, NULL);
    explore_spawn(awaiter, NULL);
    end();
}

/* What who asks has done before is seen by the task that sees that it was asked. */
static uint64_t told;
static void asker(void *unused) {
    (void)unused;
    told = 1;
    state_request(&future->state);
    filch_future_release(future);
}
static void worker_that_looks(void *unused) {
    (void)unused;
    if (!state_start_promise(&future->state)) explore_check(false, "start");
    if (filch_promise_cancel_requested(future)) explore_check(told == 1, "what it was told");
    uint64_t value = 42;
    explore_check(filch_promise_set(future, &value, sizeof value) == 0, "set");
    filch_future_release(future);
}
static void request(void) {
    begin(2);
    told = 0;
    explore_spawn(worker_that_looks, NULL);
    explore_spawn(asker, NULL);
    end();
}

const struct explore_scenario future_scenarios[] = {
    {"future_wait", wait_for_it, 1, 1, NULL},
    {"future_time_out", time_out, 3, 1, NULL},
    {"future_callbacks", callbacks, 1, 1, NULL},
    {"future_callback_and_wait", callback_and_wait, 1, 1, NULL},
    {"future_start_or_cancel", start_or_cancel, 1, 1, NULL},
    {"future_two_cancels", two_cancels, 1, 2, NULL},
    {"future_await_cancels", await_cancels, 2, 1, NULL},
    {"future_request", request, 3, 2, NULL},
    {NULL, NULL, 0, 0, NULL}};
