/* callbacks_test.c: when callbacks run, where, and what is legal in them.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"
#include <unistd.h>

TestSuite(conformance_callbacks, .timeout = 30);

enum { MANY = 10 };
/* In the process of the test, where callbacks run. */
struct log {
    int n, order[2 * MANY], destroyed;
    bool not_done;
    pthread_t threads[2 * MANY], destroyer;
};
struct entry {
    struct log *log;
    int number;
};
static void note(filch_future *f, void *context) {
    struct entry *entry = context;
    struct log *log = entry->log;
    int i = read_int(&log->n);
    log->not_done |= !filch_future_done(f) || filch_future_running(f);
    log->order[i] = entry->number;
    log->threads[i] = pthread_self();
    add(&log->n, 1);
}
static void note_destroyed(void *arg) {
    (*(struct log **)arg)->destroyer = pthread_self();
}

/* R-CALLBACK-1, R-CALLBACK-5 */
Test(conformance_callbacks, once_in_the_order_added_by_the_thread_that_completes) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    struct log log = {0}, *arg = &log;
    struct entry entries[MANY];
    filch_task task = FILCH_TASK_INIT;
    filch_future *f;
    task.fn = do_nothing;
    task.arg = &arg;
    task.arg_size = sizeof arg;
    task.arg_destroy = note_destroyed; /* by the thread that completes it */
    ok(filch_submit_task(e, &task, &f));
    for (int i = 0; i < MANY; i++) {
        entries[i] = (struct entry){&log, i};
        ok(filch_future_add_done_callback(f, note, &entries[i]));
    }
    cr_assert_eq(read_int(&log.n), 0);
    let_go(&busy);
    ok(filch_executor_destroy(e));
    cr_assert(log.n == MANY && !log.not_done);
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(log.order[i], i);
        cr_assert(pthread_equal(log.threads[i], log.destroyer));
    }
    cr_assert_not(pthread_equal(log.destroyer, pthread_self()));
    filch_future_release(f);
}

/* R-CALLBACK-2, R-CALLBACK-5 */
Test(conformance_callbacks, in_the_order_added_by_who_cancels) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    struct log log = {0};
    struct entry entries[MANY];
    filch_future *f = submit_int(e, square, 1);
    for (int i = 0; i < MANY; i++) {
        entries[i] = (struct entry){&log, i};
        ok(filch_future_add_done_callback(f, note, &entries[i]));
    }
    cr_assert(filch_future_cancel(f));
    cr_assert(log.n == MANY && !log.not_done);
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(log.order[i], i);
        cr_assert(pthread_equal(log.threads[i], pthread_self()));
    }
    let_go(&busy);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* R-CALLBACK-3 */
Test(conformance_callbacks, at_once_in_the_caller_if_it_is_done) {
    filch_executor *e = make_executor(1);
    struct log log = {0};
    struct entry entry = {&log, 4};
    filch_future *f = submit_int(e, square, 1), *bad = submit_int(e, return_code, 1);
    ok(filch_future_result(f, NULL, FILCH_FOREVER));
    ok(filch_future_add_done_callback(f, note, &entry));
    cr_assert(log.n == 1 && log.order[0] == 4 && !log.not_done);
    cr_assert(pthread_equal(log.threads[0], pthread_self()));
    cr_assert_eq(filch_future_result(bad, NULL, FILCH_FOREVER), 1);
    ok(filch_future_add_done_callback(bad, note, &entry));
    ok(filch_future_add_done_callback(bad, note, &entry));
    cr_assert_eq(log.n, 3, "the same twice is two");
    filch_future_release(f);
    filch_future_release(bad);
    ok(filch_executor_destroy(e));
    cr_assert_eq(log.n, 3);
}

/* What is legal ------------------------------------------------------------------------------------- */

struct deeds {
    filch_executor *executor;
    filch_future *other, *submitted;
    struct shared runs;
    int submit, added, cancelled, inner, after, shut, result, value, ended;
};
static void note_inner(filch_future *f, void *context) {
    (void)f;
    add(&((struct deeds *)context)->inner, 1);
}
static void note_after(filch_future *f, void *context) {
    (void)f;
    add(&((struct deeds *)context)->after, 1);
}
static void do_what_is_legal(filch_future *f, void *context) {
    struct deeds *deeds = context;
    deeds->result = filch_future_result(f, &deeds->value, 0);
    deeds->submit = filch_submit(deeds->executor, add_one, &deeds->runs, sizeof deeds->runs, 0,
                                 &deeds->submitted);
    deeds->added = filch_future_add_done_callback(f, note_inner, deeds);
    deeds->cancelled = filch_future_cancel(deeds->other);
    deeds->shut = filch_executor_shutdown(deeds->executor, 0);
    filch_future_release(f);
    add(&deeds->ended, 1);
}
static void check_deeds(struct deeds *deeds) {
    wait_for_count(&deeds->ended, 1);
    cr_assert_eq(deeds->submit, 0);
    cr_assert_eq(deeds->added, 0);
    cr_assert_eq(deeds->inner, 1, "it is done, so at once");
    cr_assert(deeds->cancelled && filch_future_cancelled(deeds->other));
    cr_assert_eq(deeds->shut, 0);
    fails(FILCH_ESHUTDOWN, filch_submit(deeds->executor, do_nothing, NULL, 0, 0, NULL));
    filch_future_release(deeds->other);
    cr_assert_eq(finish(deeds->submitted), 0);
    ok(filch_executor_destroy(deeds->executor));
    cr_assert_eq(read_int(&deeds->after), 1,
                 "the next one has run, although the first released it");
    cr_assert_eq(shared_read(deeds->runs), 1);
}

/* R-CALLBACK-4, R-SHUTDOWN-1 */
Test(conformance_callbacks, of_a_finished_task_do_what_is_legal) {
    struct deeds deeds = {.executor = make_executor(1), .runs = shared_alloc(sizeof(int))};
    struct held busy = hold_worker(deeds.executor);
    filch_future *f = submit_int(deeds.executor, square, 5);
    struct held last = hold_queued(deeds.executor); /* keeps the worker from `other` */
    deeds.other = submit_int(deeds.executor, square, 6);
    ok(filch_future_add_done_callback(f, do_what_is_legal, &deeds));
    ok(filch_future_add_done_callback(f, note_after, &deeds));
    let_go(&busy);
    wait_for_count(&deeds.ended, 1);
    let_go(&last);
    cr_assert(deeds.result == 0 && deeds.value == 25);
    check_deeds(&deeds);
}

/* R-CALLBACK-4 */
Test(conformance_callbacks, of_a_cancelled_task_do_what_is_legal) {
    struct deeds deeds = {.executor = make_executor(1), .runs = shared_alloc(sizeof(int))};
    struct held busy = hold_worker(deeds.executor);
    filch_future *f = submit_int(deeds.executor, square, 5);
    deeds.other = submit_int(deeds.executor, square, 6);
    ok(filch_future_add_done_callback(f, do_what_is_legal, &deeds));
    ok(filch_future_add_done_callback(f, note_after, &deeds));
    cr_assert(filch_future_cancel(f));
    cr_assert_eq(deeds.result, FILCH_ECANCELED);
    let_go(&busy);
    check_deeds(&deeds);
}

struct chain {
    filch_executor *executor;
    int left, done;
};
static void submit_next(filch_future *f, void *context) {
    struct chain *chain = context;
    filch_future_release(f);
    if (--chain->left > 0 && filch_submit(chain->executor, do_nothing, NULL, 0, 0, &f) == 0 &&
        filch_future_add_done_callback(f, submit_next, chain) == 0)
        return;
    add(&chain->done, 1);
}

/* R-CALLBACK-4 */
Test(conformance_callbacks, each_submits_the_next) {
    struct chain chain = {make_executor(2), 500, 0};
    filch_future *f = submit_to(chain.executor, do_nothing, NULL, 0, 0);
    ok(filch_future_add_done_callback(f, submit_next, &chain));
    wait_for_count(&chain.done, 1);
    cr_assert_eq(chain.left, 0);
    ok(filch_executor_destroy(chain.executor));
}

struct slow {
    int entered, open, ended;
};
static void stay_in_callback(filch_future *f, void *context) {
    struct slow *slow = context;
    (void)f;
    add(&slow->entered, 1);
    wait_for_count(&slow->open, 1);
    add(&slow->ended, 1);
}

/* R-MENDED-10, R-CALLBACK-5 */
Test(conformance_callbacks, the_result_is_there_before_they_have_run) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    struct slow slow = {0, 0, 0};
    filch_future *f = submit_int(e, square, 3);
    int value = 0;
    ok(filch_future_add_done_callback(f, stay_in_callback, &slow));
    let_go(&busy);
    ok(filch_future_result(f, &value, FILCH_FOREVER));
    cr_assert_eq(value, 9);
    wait_for_count(&slow.entered, 1);
    cr_assert_eq(read_int(&slow.ended), 0);
    cr_assert(filch_future_done(f));
    add(&slow.open, 1);
    ok(filch_executor_destroy(e));
    cr_assert_eq(slow.ended, 1, "destroy waits for callbacks");
    filch_future_release(f);
}

/* R-CALLBACK-1: also where nobody holds the future. */
Test(conformance_callbacks, run_although_the_future_was_released) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    struct log log = {0};
    struct entry entry = {&log, 1};
    filch_future *f = submit_int(e, square, 3);
    ok(filch_future_add_done_callback(f, note, &entry));
    filch_future_release(f);
    let_go(&busy);
    ok(filch_executor_destroy(e));
    cr_assert(log.n == 1 && !log.not_done);
}

static void wait_for_own(filch_future *f, void *context) {
    *(int *)context = filch_future_result(f, NULL, FILCH_FOREVER);
}

/* R-CALLBACK-5 */
Test(conformance_callbacks, a_wait_for_the_own_future_returns_at_once) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    filch_future *f = submit_int(e, return_code, 6);
    int rc = 0;
    ok(filch_future_add_done_callback(f, wait_for_own, &rc));
    let_go(&busy);
    ok(filch_executor_destroy(e));
    cr_assert_eq(rc, 6);
    filch_future_release(f);
}
