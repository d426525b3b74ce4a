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
    for (int i = 0; i < 100; i++) sched_yield();
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
