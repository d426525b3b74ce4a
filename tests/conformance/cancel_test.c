/* cancel_test.c: what is cancelled, by whom, and what that does.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"

TestSuite(conformance_cancel, .timeout = 30);

struct called {
    int n;
    bool done, cancelled;
    pthread_t thread;
};
static void note_done(filch_future *f, void *context) {
    struct called *called = context;
    called->done = filch_future_done(f);
    called->cancelled = filch_future_cancelled(f);
    called->thread = pthread_self();
    add(&called->n, 1);
}

/* R-CANCEL-1, R-CANCEL-3, R-RESULT-2, R-MENDED-1, R-CALLBACK-2, R-CALLBACK-5, R-STATE-2 */
Test(conformance_cancel, before_the_start_it_is_done_at_once_and_never_runs) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    struct shared runs = shared_alloc(sizeof(int));
    filch_future *f = submit_shared(e, add_one, runs);
    struct called called = {0};
    ok(filch_future_add_done_callback(f, note_done, &called));
    cr_assert(filch_future_cancel(f));
    cr_assert(filch_future_done(f) && filch_future_cancelled(f) && !filch_future_running(f));
    cr_assert(called.n == 1 && called.done && called.cancelled);
    cr_assert(pthread_equal(called.thread, pthread_self()), "by who cancels");
    fails(FILCH_ECANCELED, filch_future_result(f, NULL, FILCH_FOREVER));
    cr_assert(filch_future_cancel(f), "again");
    let_go(&busy);
    ok(filch_executor_destroy(e));
    cr_assert(called.n == 1 && shared_read(runs) == 0);
    cr_assert(filch_future_cancel(f), "after the executor's end");
    filch_future_release(f);
}

/* R-CANCEL-2 */
Test(conformance_cancel, not_what_runs_or_has_finished) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    filch_future *f = filch_future_retain(busy.future);
    cr_assert_not(filch_future_cancel(f));
    cr_assert(filch_future_running(f) && !filch_future_cancelled(f));
    let_go(&busy);
    cr_assert_not(filch_future_cancel(f));
    cr_assert(filch_future_done(f) && !filch_future_cancelled(f));
    ok(filch_future_result(f, NULL, 0));
    filch_future_release(f);
    f = submit_int(e, return_code, 6);
    cr_assert_eq(filch_future_result(f, NULL, FILCH_FOREVER), 6);
    cr_assert_not(filch_future_cancel(f), "a failure is an end");
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

enum { EVERY = 30 };
static int cancel_own_children(void *arg, void *result) {
    filch_future *children[EVERY];
    int wrong = 0;
    (void)result;
    for (int i = 0; i < EVERY; i++)
        if (filch_submit(filch_current_executor(), add_one, arg, sizeof(struct shared), 0,
                         &children[i]) != 0)
            return 1;
    for (int i = 0; i < EVERY; i += 2)
        if (!filch_future_cancel(children[i])) wrong++;
    for (int i = 0; i < EVERY; i++) {
        int rc = filch_future_result(children[i], NULL, FILCH_FOREVER);
        if (rc != (i % 2 ? 0 : FILCH_ECANCELED)) wrong++;
        filch_future_release(children[i]);
    }
    return wrong == 0 ? 0 : 2;
}

/* R-CANCEL-3 */
Test(conformance_cancel, what_was_submitted_inside_never_runs_either) {
    filch_executor *e = make_executor(1);
    struct shared runs = shared_alloc(sizeof(int));
    cr_assert_eq(finish(submit_shared(e, cancel_own_children, runs)), 0);
    ok(filch_executor_destroy(e));
    cr_assert_eq(shared_read(runs), EVERY / 2);
}

struct sleeper {
    filch_future *future;
    int about_to_wait, rc;
};
static void sleep_on_it(void *context) {
    struct sleeper *sleeper = context;
    add(&sleeper->about_to_wait, 1);
    sleeper->rc = filch_future_result(sleeper->future, NULL, FILCH_FOREVER);
}

/* R-MENDED-1: who sleeps learns of it while the worker is still busy. */
Test(conformance_cancel, wakes_who_waits) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    struct sleeper sleeper = {submit_int(e, square, 1), 0, 0};
    pthread_t thread = thread_start(sleep_on_it, &sleeper);
    wait_for_count(&sleeper.about_to_wait, 1);
    linger(100);
    cr_assert(filch_future_cancel(sleeper.future));
    thread_finish(thread);
    cr_assert_eq(sleeper.rc, FILCH_ECANCELED);
    let_go(&busy);
    filch_future_release(sleeper.future);
    ok(filch_executor_destroy(e));
}

/* R-MENDED-5: those beside it complete as if it had not been there. */
Test(conformance_cancel, others_in_the_queue_are_left_alone) {
    enum { N = 100 };
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    filch_future *futures[N];
    for (int i = 0; i < N; i++) futures[i] = submit_int(e, square, i);
    for (int i = 0; i < N; i += 3) cr_assert(filch_future_cancel(futures[i]));
    let_go(&busy);
    for (int i = 0; i < N; i++) {
        int value = -1, rc = filch_future_result(futures[i], &value, FILCH_FOREVER);
        cr_assert_eq(rc, i % 3 ? 0 : FILCH_ECANCELED);
        cr_assert_eq(value, i % 3 ? i * i : -1);
        filch_future_release(futures[i]);
    }
    filch_stats stats = stats_of(e);
    cr_assert_eq(stats.cancelled, 34);
    ok(filch_executor_destroy(e));
}

/* Requests ------------------------------------------------------------------------------------------- */

/* R-CANCEL-4 */
Test(conformance_cancel, a_request_cancels_what_has_not_started) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    struct shared runs = shared_alloc(sizeof(int));
    struct called called = {0};
    filch_future *f = submit_shared(e, add_one, runs);
    ok(filch_future_add_done_callback(f, note_done, &called));
    cr_assert(filch_future_request_cancel(f));
    cr_assert(filch_future_done(f) && filch_future_cancelled(f));
    cr_assert(called.n == 1 && called.cancelled && pthread_equal(called.thread, pthread_self()));
    cr_assert(filch_future_request_cancel(f), "again");
    let_go(&busy);
    ok(filch_executor_destroy(e));
    cr_assert(called.n == 1 && shared_read(runs) == 0);
    filch_future_release(f);
}

struct asked {
    struct shared began, requests;
};
static int run_until_asked(void *arg, void *result) {
    struct asked *asked = arg;
    (void)result;
    if (filch_cancel_requested()) return 1;
    shared_add(asked->began, 1);
    while (!filch_cancel_requested()) sched_yield();
    shared_add(asked->requests, 1);
    return filch_cancel_requested() ? 4 : 1;
}
static int is_asked(void *arg, void *result) {
    (void)arg;
    (void)result;
    return filch_cancel_requested() ? 1 : 0;
}

/* R-CANCEL-5, R-INSIDE-5 */
Test(conformance_cancel, a_request_is_seen_in_what_runs_and_nowhere_else) {
    filch_executor *e = make_executor(1);
    struct asked asked = {shared_alloc(sizeof(int)), shared_alloc(sizeof(int))};
    filch_future *f = submit_to(e, run_until_asked, &asked, sizeof asked, 0);
    shared_wait(asked.began, 1);
    cr_assert_not(filch_cancel_requested(), "false outside of a task");
    cr_assert(filch_future_request_cancel(f));
    cr_assert(filch_future_request_cancel(f) || filch_future_done(f), "again");
    cr_assert_eq(filch_future_result(f, NULL, FILCH_FOREVER), 4, "its end is its own");
    cr_assert_not(filch_future_cancelled(f));
    cr_assert_eq(shared_read(asked.requests), 1);
    cr_assert_eq(finish(submit_to(e, is_asked, NULL, 0, 0)), 0, "the next task is not asked");
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* R-CANCEL-5: who never asks is never disturbed. */
Test(conformance_cancel, a_request_that_is_not_heeded_changes_nothing) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    cr_assert(filch_future_request_cancel(busy.future));
    cr_assert(filch_future_running(busy.future) && !filch_future_cancelled(busy.future));
    let_go(&busy);
    ok(filch_executor_destroy(e));
}

/* R-CANCEL-6 */
Test(conformance_cancel, a_request_is_false_if_it_has_finished) {
    filch_executor *e = make_executor(1);
    filch_future *f = submit_int(e, square, 3), *bad = submit_int(e, return_code, 3);
    ok(filch_future_result(f, NULL, FILCH_FOREVER));
    cr_assert_eq(filch_future_result(bad, NULL, FILCH_FOREVER), 3);
    cr_assert_not(filch_future_request_cancel(f));
    cr_assert_not(filch_future_request_cancel(bad));
    cr_assert_not(filch_future_request_cancel(NULL));
    filch_future_release(f);
    filch_future_release(bad);
    ok(filch_executor_destroy(e));
}
