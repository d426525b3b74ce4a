/* promise_test.c: futures that the program completes.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <stdlib.h>

TestSuite(promise, .timeout = 30);

static filch_future *promise_of(size_t size) {
    filch_future *f = NULL;
    ok(filch_promise(size, &f));
    return f;
}

Test(promise, set_gives_the_value) {
    static const size_t sizes[] = {0, 1, 8, 16, 96, 97, 127, 128, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char value[5000], got[5001];
        filch_future *f = promise_of(sizes[i]);
        for (size_t k = 0; k < sizeof value; k++) value[k] = (unsigned char)(k * 7 + i);
        memset(got, 255, sizeof got);
        cr_assert_not(filch_future_done(f));
        fails(FILCH_ETIMEDOUT, filch_future_result(f, got, 0));
        ok(filch_promise_set(f, sizes[i] == 0 ? NULL : value, sizes[i]));
        cr_assert(filch_future_done(f));
        cr_assert_not(filch_future_cancelled(f));
        ok(filch_future_result(f, got, 0));
        cr_assert_arr_eq(got, value, sizes[i]);
        cr_assert_eq(got[sizes[i]], 255);
        filch_future_release(f);
    }
}

Test(promise, origin_is_nobody) {
    filch_future *f = promise_of(0);
    filch_error error;
    ok(filch_promise_start(f));
    ok(filch_promise_set(f, NULL, 0));
    ok(filch_future_error(f, &error, 0));
    cr_assert_eq(error.code, 0);
    cr_assert_eq(error.origin.worker, -1);
    cr_assert_eq(error.origin.pid, 0);
    filch_future_release(f);
}

Test(promise, fail_gives_code_and_text) {
    filch_error error;
    filch_future *f = promise_of(8);
    ok(filch_promise_fail(f, 3, "no %s for %d", "room", 7));
    fails(3, filch_future_result(f, NULL, 0));
    ok(filch_future_error(f, &error, 0));
    cr_assert_eq(error.code, 3);
    cr_assert_str_eq(error.text, "no room for 7");
    filch_future_release(f);

    f = promise_of(8);
    ok(filch_promise_fail(f, FILCH_EBROKEN, NULL));
    fails(FILCH_EBROKEN, filch_future_result(f, NULL, 0));
    ok(filch_future_error(f, &error, 0));
    cr_assert_str_eq(error.text, filch_error_text(FILCH_EBROKEN));
    filch_future_release(f);
}

Test(promise, states) {
    filch_future *f = promise_of(0);
    cr_assert_not(filch_future_running(f));
    ok(filch_promise_start(f));
    cr_assert(filch_future_running(f));
    cr_assert_not(filch_future_done(f));
    fails(FILCH_ESTATE, filch_promise_start(f));
    cr_assert_not(filch_future_cancel(f), "it runs");
    ok(filch_promise_set(f, NULL, 0));
    cr_assert_not(filch_future_running(f));
    fails(FILCH_ESTATE, filch_promise_start(f));
    filch_future_release(f);
}

/* The second of two ends gives ESTATE and changes nothing. */
Test(promise, first_end_stays) {
    int one = 1, two = 2, got = 0;
    filch_future *f = promise_of(sizeof(int));
    ok(filch_promise_set(f, &one, sizeof one));
    fails(FILCH_ESTATE, filch_promise_set(f, &two, sizeof two));
    fails(FILCH_ESTATE, filch_promise_fail(f, 5, "late"));
    cr_assert_not(filch_future_cancel(f));
    ok(filch_future_result(f, &got, 0));
    cr_assert_eq(got, 1);
    filch_future_release(f);

    f = promise_of(sizeof(int));
    ok(filch_promise_fail(f, 5, "early"));
    fails(FILCH_ESTATE, filch_promise_set(f, &two, sizeof two));
    fails(5, filch_future_result(f, NULL, 0));
    filch_future_release(f);
}

static void note(filch_future *f, void *context) {
    add(context, filch_future_cancelled(f) ? 100 : 1);
}

Test(promise, cancel_before_the_start) {
    int value = 1, called = 0;
    filch_future *f = promise_of(sizeof(int));
    ok(filch_future_add_done_callback(f, note, &called));
    cr_assert(filch_future_cancel(f));
    cr_assert(filch_future_cancelled(f));
    cr_assert_eq(called, 100);
    cr_assert(filch_future_cancel(f), "again");
    fails(FILCH_ESTATE, filch_promise_start(f));
    fails(FILCH_ESTATE, filch_promise_set(f, &value, sizeof value));
    fails(FILCH_ESTATE, filch_promise_fail(f, 1, NULL));
    fails(FILCH_ECANCELED, filch_future_result(f, NULL, 0));
    cr_assert_eq(called, 100);
    filch_future_release(f);
}

Test(promise, callbacks_run_in_the_caller_of_set) {
    int called = 0;
    filch_future *f = promise_of(0);
    for (int i = 0; i < 5; i++) ok(filch_future_add_done_callback(f, note, &called));
    ok(filch_promise_set(f, NULL, 0));
    cr_assert_eq(called, 5);
    filch_future_release(f);
}

static void release_it(filch_future *f, void *context) {
    (void)context;
    filch_future_release(f);
}

Test(promise, last_reference_released_in_a_callback_of_set) {
    long before = filch__fault_live_blocks();
    int called = 0;
    filch_future *f = promise_of(0);
    ok(filch_future_add_done_callback(f, release_it, NULL));
    ok(filch_future_add_done_callback(f, note, &called));
    ok(filch_promise_set(f, NULL, 0));
    cr_assert_eq(called, 1);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

Test(promise, last_reference_released_in_a_callback_of_cancel) {
    for (int ask = 0; ask < 2; ask++) {
        filch_future *f = promise_of(8);
        ok(filch_future_add_done_callback(f, release_it, NULL));
        cr_assert(ask ? filch_future_request_cancel(f) : filch_future_cancel(f));
    }
}

Test(promise, released_in_every_state_it_is_freed) {
    long before = filch__fault_live_blocks();
    static const size_t sizes[] = {0, 96, 500};
    for (int i = 0; i < 3; i++) {
        char value[500] = {0};
        filch_future_release(promise_of(sizes[i]));
        filch_future *f = promise_of(sizes[i]);
        ok(filch_promise_start(f));
        filch_future_release(f);
        f = promise_of(sizes[i]);
        ok(filch_promise_fail(f, 2, "text"));
        filch_future_release(f);
        f = promise_of(sizes[i]);
        ok(filch_promise_set(f, value, sizes[i]));
        filch_future_release(f);
        f = promise_of(sizes[i]);
        cr_assert(filch_future_cancel(f));
        filch_future_release(f);
    }
    cr_assert_eq(filch__fault_live_blocks(), before);
}

static void set_7(void *context) {
    uint64_t value = 7;
    filch_promise_set(context, &value, sizeof value);
}

Test(promise, a_thread_waits_for_another) {
    for (int i = 0; i < stress(200); i++) {
        filch_future *f = promise_of(sizeof(uint64_t));
        uint64_t got = 0;
        pthread_t thread = thread_start(set_7, f);
        ok(filch_future_result(f, &got, FILCH_FOREVER));
        cr_assert_eq(got, 7);
        thread_finish(thread);
        filch_future_release(f);
    }
}

/* On a worker: it parks, and a spare runs what completes the promise. */
static int await_promise(void *arg, void *result) {
    return filch_future_result(*(filch_future **)arg, result, FILCH_FOREVER);
}
static int complete_promise(void *arg, void *result) {
    uint64_t value = 9;
    (void)result;
    return filch_promise_set(*(filch_future **)arg, &value, sizeof value);
}

Test(promise, a_task_waits_for_another_on_one_worker) {
    filch_executor *e = executor_of(1);
    for (int i = 0; i < 20; i++) {
        filch_future *p = promise_of(sizeof(uint64_t));
        uint64_t got = 0;
        filch_future *waiter = submit_to(e, await_promise, &p, sizeof p, sizeof got);
        filch_future *other = submit_pointer(e, complete_promise, p);
        ok(filch_future_result(waiter, &got, FILCH_FOREVER));
        cr_assert_eq(got, 9);
        cr_assert_eq(finish(other), 0);
        filch_future_release(waiter);
        filch_future_release(p);
    }
    ok(filch_executor_destroy(e));
}

/* Exactly one of many ends it, and its value is what is there. */
struct contest {
    filch_future *promise;
    int wins, winner, odd;
};
static void contend(int index, void *context) {
    struct contest *c = context;
    int value[8], rc;
    for (int i = 0; i < 8; i++) value[i] = index;
    if (index == 0)
        rc = filch_future_cancel(c->promise) ? 0 : FILCH_ESTATE;
    else if (index == 1)
        rc = filch_promise_fail(c->promise, 1, "by %d", index);
    else
        rc = filch_promise_set(c->promise, value, sizeof value);
    if (rc == 0) {
        add(&c->wins, 1);
        c->winner = index;
    } else if (rc != FILCH_ESTATE) {
        add(&c->odd, 1);
    }
}

Test(promise, one_of_many_ends_it) {
    for (int i = 0; i < stress(300); i++) {
        int value[8];
        struct contest c = {promise_of(sizeof value), 0, -1, 0};
        if (i % 4 == 0) ok(filch_promise_start(c.promise));
        run_threads(4, contend, &c);
        cr_assert_eq(c.wins, 1);
        cr_assert_eq(c.odd, 0);
        int rc = filch_future_result(c.promise, value, 0);
        cr_assert_eq(rc, c.winner == 0 ? FILCH_ECANCELED : c.winner == 1 ? 1 : 0);
        for (int k = 0; k < 8 && rc == 0; k++) cr_assert_eq(value[k], c.winner);
        filch_future_release(c.promise);
    }
}

/* Who completes it is stopped after it has won: others are refused at once, and do not wait for it. */
Test(promise, a_stopped_completer_stops_nobody) {
    filch_future *f = promise_of(sizeof(uint64_t));
    uint64_t value = 1;
    struct stopper *stop = stop_at("promise.ending");
    pthread_t thread = thread_start(set_7, f);
    stopper_wait_reached(stop);
    fails(FILCH_ESTATE, filch_promise_set(f, &value, sizeof value));
    fails(FILCH_ESTATE, filch_promise_start(f));
    cr_assert_not(filch_future_cancel(f));
    cr_assert_not(filch_future_done(f));
    fails(FILCH_ETIMEDOUT, filch_future_result(f, NULL, 1000));
    stopper_release(stop);
    ok(filch_future_result(f, &value, FILCH_FOREVER));
    cr_assert_eq(value, 7);
    thread_finish(thread);
    filch_future_release(f);
}

Test(promise, no_memory) {
    filch_future *f = NULL;
    filch_error error;
    long before = filch__fault_live_blocks();
    for (long i = 0; i < 2; i++) {
        filch__fault_plan(FAULT_ALLOC, i, false);
        fails(FILCH_ENOMEM, filch_promise(5000, &f));
        cr_assert_eq(filch__fault_clear(), 1);
    }
    cr_assert_null(f);
    cr_assert_eq(filch__fault_live_blocks(), before);
    f = promise_of(0);
    filch__fault_plan(FAULT_ALLOC, 0, true);
    ok(filch_promise_fail(f, 6, "a text that finds no memory"));
    filch__fault_clear();
    ok(filch_future_error(f, &error, 0));
    cr_assert_eq(error.code, 6);
    cr_assert_str_eq(error.text, filch_error_text(6));
    filch_future_release(f);
}

Test(promise, bad_input) {
    filch_executor *e = executor_of(1);
    filch_future *task = submit_to(e, do_nothing, NULL, 0, 0), *f = promise_of(8), *none = NULL;
    uint64_t value = 1;
    fails(FILCH_EINVAL, filch_promise(8, NULL));
    fails(FILCH_ETOOBIG, filch_promise(SIZE_MAX, &none));
    fails(FILCH_ETOOBIG, filch_promise(SIZE_MAX - 63, &none));
    cr_assert_null(none);
    fails(FILCH_EINVAL, filch_promise_start(NULL));
    fails(FILCH_EINVAL, filch_promise_set(NULL, &value, 8));
    fails(FILCH_EINVAL, filch_promise_fail(NULL, 1, NULL));
    fails(FILCH_EINVAL, filch_promise_set(f, NULL, 8));
    fails(FILCH_EINVAL, filch_promise_set(f, &value, 7));
    fails(FILCH_EINVAL, filch_promise_set(f, &value, 0));
    fails(FILCH_EINVAL, filch_promise_fail(f, 0, "x"));
    fails(FILCH_EINVAL, filch_promise_fail(f, -1000000, "x"));
    cr_assert_not(filch_future_done(f));
    ok(filch_promise_set(f, &value, 8));
    fails(FILCH_EINVAL, filch_promise_start(task));
    fails(FILCH_EINVAL, filch_promise_set(task, NULL, 0));
    fails(FILCH_EINVAL, filch_promise_fail(task, 1, NULL));
    cr_assert_eq(finish(task), 0);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}
