/* combine_test.c: filch_all, filch_any and filch_then.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <stdlib.h>

TestSuite(all, .timeout = 30);
TestSuite(any, .timeout = 30);
TestSuite(then, .timeout = 30);

static filch_future *promise_of(size_t size) {
    filch_future *f = NULL;
    ok(filch_promise(size, &f));
    return f;
}
static void make_promises(filch_future **fs, size_t n) {
    for (size_t i = 0; i < n; i++) fs[i] = promise_of(0);
}
static void release_all(filch_future **fs, size_t n) {
    for (size_t i = 0; i < n; i++) filch_future_release(fs[i]);
}
static void set_it(filch_future *f) {
    ok(filch_promise_set(f, NULL, 0));
}
static void fail_it(filch_future *f, int code) {
    ok(filch_promise_fail(f, code, "number %d", code));
}
/* It has ended so, and is released. */
static void ended(filch_future *f, int code, const char *text) {
    filch_error error;
    ok(filch_future_error(f, &error, 0));
    cr_assert_eq(error.code, code);
    if (text != NULL) cr_assert_str_eq(error.text, text);
    cr_assert_eq(filch_future_cancelled(f), code == FILCH_ECANCELED);
    filch_future_release(f);
}
static filch_future *all_of(filch_future **fs, size_t n) {
    filch_future *f = NULL;
    ok(filch_all(fs, n, &f));
    return f;
}
static filch_future *any_of(filch_future **fs, size_t n) {
    filch_future *f = NULL;
    ok(filch_any(fs, n, &f));
    return f;
}

/* All --------------------------------------------------------------------------------------------- */

Test(all, of_nothing_is_done) {
    ended(all_of(NULL, 0), 0, NULL);
}

Test(all, is_done_with_the_last) {
    filch_future *fs[4];
    make_promises(fs, 4);
    set_it(fs[2]);
    filch_future *f = all_of(fs, 4);
    set_it(fs[0]);
    set_it(fs[3]);
    cr_assert_not(filch_future_done(f));
    set_it(fs[1]);
    ended(f, 0, NULL);
    ended(all_of(fs, 4), 0, NULL);
    release_all(fs, 4);
}

Test(all, passes_on_the_first_error_in_time) {
    filch_future *fs[4];
    make_promises(fs, 4);
    filch_future *f = all_of(fs, 4);
    set_it(fs[3]);
    fail_it(fs[2], 7);
    fail_it(fs[0], 8);
    cr_assert_not(filch_future_done(f), "not before all are");
    filch_future_cancel(fs[1]);
    ended(f, 7, "number 7");
    release_all(fs, 4);
}

Test(all, passes_on_a_cancellation) {
    filch_future *fs[3];
    make_promises(fs, 3);
    filch_future *f = all_of(fs, 3);
    filch_future_cancel(fs[1]);
    fail_it(fs[0], 8);
    set_it(fs[2]);
    ended(f, FILCH_ECANCELED, NULL);
    release_all(fs, 3);
}

Test(all, to_cancel_it_leaves_the_inputs) {
    long before = filch__fault_live_blocks();
    filch_future *fs[3];
    make_promises(fs, 3);
    filch_future *f = all_of(fs, 3);
    cr_assert(filch_future_cancel(f));
    set_it(fs[0]);
    fail_it(fs[1], 2);
    set_it(fs[2]);
    ended(f, FILCH_ECANCELED, NULL);
    release_all(fs, 3);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

Test(all, inputs_and_the_result_may_be_released_at_once) {
    long before = filch__fault_live_blocks();
    filch_executor *e = executor_of(2);
    filch_future *fs[50];
    for (int i = 0; i < 50; i++) fs[i] = submit_to(e, do_nothing, NULL, 0, 0);
    filch_future *f = all_of(fs, 50), *ignored = all_of(fs, 50);
    release_all(fs, 50);
    filch_future_release(ignored);
    cr_assert_eq(finish(f), 0);
    ok(filch_executor_destroy(e));
    cr_assert_eq(filch__fault_live_blocks(), before);
}

Test(all, duplicates_and_nesting) {
    filch_future *a = promise_of(0), *b = promise_of(0);
    filch_future *fs[4] = {a, b, a, a}, *inner = all_of(fs, 4);
    filch_future *gs[2] = {inner, b}, *f = all_of(gs, 2);
    set_it(a);
    cr_assert_not(filch_future_done(f));
    set_it(b);
    ended(f, 0, NULL);
    filch_future_release(inner);
    filch_future_release(a);
    filch_future_release(b);
}

Test(all, is_completed_by_nobody_else) {
    filch_future *p = promise_of(0), *f = all_of(&p, 1);
    fails(FILCH_EINVAL, filch_promise_set(f, NULL, 0));
    fails(FILCH_EINVAL, filch_promise_fail(f, 1, NULL));
    fails(FILCH_EINVAL, filch_promise_start(f));
    set_it(p);
    ended(f, 0, NULL);
    filch_future_release(p);
}

/* Any --------------------------------------------------------------------------------------------- */

static void won(filch_future *f, size_t index) {
    size_t winner = 99;
    ok(filch_future_result(f, &winner, 0));
    cr_assert_eq(winner, index);
    filch_future_release(f);
}

Test(any, is_done_with_the_first_success) {
    filch_future *fs[4];
    make_promises(fs, 4);
    filch_future *f = any_of(fs, 4);
    fail_it(fs[0], 3);
    filch_future_cancel(fs[1]);
    cr_assert_not(filch_future_done(f));
    set_it(fs[2]);
    won(f, 2);
    won(any_of(fs, 4), 2);
    f = any_of(fs + 2, 2);
    fail_it(fs[3], 5);
    won(f, 0);
    release_all(fs, 4);
}

Test(any, without_a_success_passes_on_the_last_error) {
    filch_future *fs[3];
    make_promises(fs, 3);
    filch_future *f = any_of(fs, 3), *g = any_of(fs, 2);
    fail_it(fs[2], 5);
    filch_future_cancel(fs[1]);
    fail_it(fs[0], 4);
    ended(f, 4, "number 4");
    ended(g, 4, "number 4");
    release_all(fs, 3);
    make_promises(fs, 2);
    f = any_of(fs, 2);
    fail_it(fs[0], 4);
    filch_future_cancel(fs[1]);
    ended(f, FILCH_ECANCELED, NULL);
    release_all(fs, 2);
}

Test(any, to_cancel_it_leaves_the_inputs) {
    filch_future *fs[2];
    make_promises(fs, 2);
    filch_future *f = any_of(fs, 2);
    cr_assert(filch_future_cancel(f));
    set_it(fs[0]);
    fail_it(fs[1], 1);
    ended(f, FILCH_ECANCELED, NULL);
    release_all(fs, 2);
}

/* Several complete the inputs at once: one index, and it is one that has succeeded. */
struct contest {
    filch_future *fs[4];
};
static void complete_one(int index, void *context) {
    struct contest *c = context;
    if (index == 0)
        filch_promise_fail(c->fs[0], 3, "lost");
    else if (index == 1)
        filch_future_cancel(c->fs[1]);
    else
        filch_promise_set(c->fs[index], NULL, 0);
}

Test(any, inputs_that_are_completed_at_once) {
    for (int i = 0; i < stress(300); i++) {
        long before = filch__fault_live_blocks();
        struct contest c;
        make_promises(c.fs, 4);
        filch_future *any = any_of(c.fs, 4), *all = all_of(c.fs, 4), *none = any_of(c.fs, 2);
        size_t winner = 0;
        run_threads(4, complete_one, &c);
        ok(filch_future_result(any, &winner, 0));
        cr_assert(winner == 2 || winner == 3);
        int rc = filch_future_result(all, NULL, 0), last = filch_future_result(none, NULL, 0);
        cr_assert(rc == 3 || rc == FILCH_ECANCELED);
        cr_assert(last == 3 || last == FILCH_ECANCELED);
        filch_future_release(any);
        filch_future_release(all);
        filch_future_release(none);
        release_all(c.fs, 4);
        cr_assert_eq(filch__fault_live_blocks(), before);
    }
}

/* Then -------------------------------------------------------------------------------------------- */

static int add_to(filch_future *done, void *arg, void *result) {
    long value = 0;
    int rc = filch_future_result(done, &value, 0);
    *(long *)result = value + *(long *)arg;
    return rc;
}
static filch_future *then(filch_future *f, filch_executor *e, filch_then_fn *fn, long arg) {
    filch_future *g = NULL;
    ok(filch_then(f, e, fn, &arg, sizeof arg, sizeof(long), &g));
    return g;
}
static void complete(filch_future *f, long value) {
    ok(filch_promise_set(f, &value, sizeof value));
}

Test(then, a_chain) {
    long before = filch__fault_live_blocks();
    filch_executor *e = executor_of(2);
    for (int early = 0; early < 2; early++) {
        filch_future *f = promise_of(sizeof(long)), *first = filch_future_retain(f);
        long value = 0;
        if (early) complete(first, 1);
        for (int i = 0; i < 100; i++) {
            filch_future *g = then(f, e, add_to, 2);
            filch_future_release(f);
            f = g;
        }
        if (!early) complete(first, 1);
        ok(filch_future_result(f, &value, FILCH_FOREVER));
        cr_assert_eq(value, 201);
        filch_future_release(f);
        filch_future_release(first);
    }
    ok(filch_executor_destroy(e));
    cr_assert_eq(filch__fault_live_blocks(), before);
}

static int runs;
static int count_run(filch_future *done, void *arg, void *result) {
    (void)done;
    (void)arg;
    (void)result;
    add(&runs, 1);
    return filch_fail(6, "of its own, %d", 6);
}

Test(then, passes_on_errors_and_cancellation_without_a_call) {
    filch_executor *e = executor_of(1);
    filch_future *f = promise_of(sizeof(long)), *g = then(f, e, count_run, 0);
    filch_future *h = then(g, e, count_run, 0);
    fail_it(f, 9);
    ended(g, 9, "number 9");
    ended(h, 9, "number 9");
    filch_future_release(f);
    f = promise_of(sizeof(long));
    g = then(f, e, count_run, 0);
    h = then(g, e, count_run, 0);
    filch_future_cancel(f);
    ended(g, FILCH_ECANCELED, NULL);
    ended(h, FILCH_ECANCELED, NULL);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
    cr_assert_eq(runs, 0);
}

Test(then, the_functions_own_error) {
    filch_executor *e = executor_of(1);
    filch_future *f = promise_of(sizeof(long)), *g = then(f, e, count_run, 0);
    complete(f, 0);
    fails(6, filch_future_result(g, NULL, FILCH_FOREVER));
    ended(g, 6, "of its own, 6");
    cr_assert_eq(runs, 1);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

static int give_block(filch_future *done, void *arg, void *result) {
    long *block = filch_result_alloc(100 * sizeof *block);
    (void)done;
    *(long *)result = 5;
    for (long i = 0; block != NULL && i < 100; i++) block[i] = i + *(long *)arg;
    return block == NULL;
}

Test(then, a_large_result) {
    filch_executor *e = executor_of(1);
    filch_future *f = promise_of(sizeof(long)), *g = then(f, e, give_block, 3);
    const void *data;
    size_t size;
    long value = 0;
    complete(f, 0);
    ok(filch_future_result_view(g, &data, &size));
    cr_assert_eq(size, 100 * sizeof(long));
    cr_assert_eq(((const long *)data)[99], 102);
    ok(filch_future_result(g, &value, 0));
    cr_assert_eq(value, 5);
    filch_future_release(f);
    filch_future_release(g);
    ok(filch_executor_destroy(e));
}

/* Cancelled while the input is not done, and while the task is queued: fn never runs. */
Test(then, cancelled_before_it_starts) {
    long before = filch__fault_live_blocks();
    filch_executor *e = executor_of(1);
    struct gate gate;
    filch_future *f = promise_of(sizeof(long)), *early = then(f, e, count_run, 0);
    filch_future *first = occupy(e, &gate), *late = then(f, e, count_run, 0);
    cr_assert(filch_future_cancel(early));
    complete(f, 1);
    cr_assert_not(filch_future_done(late));
    cr_assert(filch_future_cancel(late));
    open_gate(&gate, first);
    ended(early, FILCH_ECANCELED, NULL);
    ended(late, FILCH_ECANCELED, NULL);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
    cr_assert_eq(runs, 0);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

static int until_requested(filch_future *done, void *arg, void *result) {
    (void)done;
    (void)arg;
    (void)result;
    while (!filch_cancel_requested()) sched_yield();
    return 4;
}

Test(then, is_running_and_may_be_asked_to_end) {
    filch_executor *e = executor_of(1);
    filch_future *f = promise_of(sizeof(long)), *g = then(f, e, until_requested, 0);
    complete(f, 1);
    while (!filch_future_running(g)) sched_yield();
    cr_assert_not(filch_future_cancel(g));
    fails(FILCH_EINVAL, filch_promise_set(g, NULL, 0));
    cr_assert(filch_future_request_cancel(g));
    cr_assert_eq(finish(g), 4);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

Test(then, an_executor_that_was_shut_down) {
    long before = filch__fault_live_blocks();
    filch_executor *e = executor_of(1);
    struct gate gate;
    filch_future *f = promise_of(sizeof(long)), *queued = then(f, e, count_run, 0);
    filch_future *later = promise_of(sizeof(long)), *refused = then(later, e, count_run, 0);
    filch_future *first = occupy(e, &gate);
    complete(f, 1);
    ok(filch_executor_shutdown(e, FILCH_CANCEL_PENDING));
    complete(later, 1);
    ended(queued, FILCH_ECANCELED, NULL);
    ended(refused, FILCH_ESHUTDOWN, NULL);
    open_gate(&gate, first);
    ok(filch_executor_destroy(e));
    filch_future_release(f);
    filch_future_release(later);
    cr_assert_eq(runs, 0);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

/* Who submitted the task is stopped before it says that it wants to be told of the end. */
static void complete_with_1(void *promise) {
    long value = 1;
    filch_promise_set(promise, &value, sizeof value);
}

Test(then, a_task_that_is_faster_than_who_submitted_it) {
    static const char *const points[] = {"hub.install", "combine.follow"};
    long before = filch__fault_live_blocks();
    for (int i = 0; i < 10; i++) {
        filch_executor *e = executor_of(1);
        filch_future *f = promise_of(sizeof(long)), *g = then(f, e, add_to, 1);
        long value = 0;
        struct stopper *stop = stop_at(points[i % 2]);
        pthread_t thread = thread_start(complete_with_1, f);
        stopper_wait_reached(stop);
        while (stats_of(e).completed == 0) sched_yield();
        if (i % 3 == 0) filch_future_cancel(g); /* too late, it has run */
        stopper_release(stop);
        thread_finish(thread);
        ok(filch_future_result(g, &value, FILCH_FOREVER));
        cr_assert_eq(value, 2);
        filch_future_release(f);
        filch_future_release(g);
        ok(filch_executor_destroy(e));
    }
    cr_assert_eq(filch__fault_live_blocks(), before);
}

/* A function that waits for its own future. */
struct own {
    filch_future *made;
    uint32_t go;
    int rc;
    ptrdiff_t first, all;
};
static int wait_for_own(filch_future *done, void *arg, void *result) {
    struct own *own = *(struct own **)arg;
    (void)done;
    (void)result;
    flag_wait(&own->go);
    own->rc = filch_future_result(own->made, NULL, FILCH_FOREVER);
    own->first = filch_wait(&own->made, 1, FILCH_FOREVER, FILCH_FIRST_COMPLETED);
    own->all = filch_wait(&own->made, 1, FILCH_FOREVER, FILCH_ALL_COMPLETED);
    return 0;
}

Test(then, that_waits_for_itself) {
    filch_executor *e = executor_of(1);
    filch_future *f = promise_of(0);
    struct own own = {NULL, 0, 0, 0, 0}, *pointer = &own;
    ok(filch_then(f, e, wait_for_own, &pointer, sizeof pointer, 0, &own.made));
    flag_raise(&own.go);
    set_it(f);
    cr_assert_eq(finish(own.made), 0);
    cr_assert_eq(own.rc, FILCH_EDEADLK);
    cr_assert_eq(own.first, FILCH_EDEADLK);
    cr_assert_eq(own.all, FILCH_EDEADLK);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* Long chains take no deep stack: in this thread they would. */
enum { LONG = 200000 };
struct tail {
    filch_future *last;
    int rc, done;
};
static void fail_a_long_chain(void *context) {
    struct tail *t = context;
    filch_future *head = NULL, *f;
    if (filch_promise(0, &head) != 0) return;
    f = filch_future_retain(head);
    for (int i = 0; i < LONG; i++) {
        filch_future *pair[2] = {f, f}, *g = NULL;
        int rc = i % 3 == 0   ? filch_then(f, NULL, count_run, NULL, 0, 0, &g)
                 : i % 3 == 1 ? filch_all(pair, 2, &g)
                              : filch_any(pair, 2, &g);
        filch_future_release(f);
        f = g;
        if (rc != 0) return;
    }
    filch_promise_fail(head, 3, "at the head");
    t->done = filch_future_done(f);
    t->rc = filch_future_result(f, NULL, 0);
    filch_future_release(f);
    filch_future_release(head);
}

Test(then, a_long_chain_that_fails_at_its_head) {
    struct tail t = {NULL, 0, 0};
    thread_finish(thread_start(fail_a_long_chain, &t));
    cr_assert(t.done);
    cr_assert_eq(t.rc, 3);
    cr_assert_eq(runs, 0);
}

/* A callback may wait for what follows from the same completion, however deep that is. */
static void wait_for_tail(filch_future *f, void *context) {
    struct tail *t = context;
    (void)f;
    t->rc = filch_future_result(t->last, NULL, FILCH_FOREVER);
    t->done = (int)filch_wait(&t->last, 1, FILCH_FOREVER, FILCH_FIRST_COMPLETED);
}

Test(then, a_callback_that_waits_for_what_follows) {
    for (int depth = 1; depth < 100; depth += 7) {
        filch_future *fs[101] = {promise_of(0)};
        struct tail t = {NULL, 0, 0};
        for (int i = 0; i < depth; i++)
            ok(filch_then(fs[i], NULL, count_run, NULL, 0, 0, &fs[i + 1]));
        t.last = fs[depth];
        ok(filch_future_add_done_callback(fs[depth / 2], wait_for_tail, &t));
        fail_it(fs[0], 4);
        cr_assert_eq(t.rc, 4);
        cr_assert_eq(t.done, 1);
        release_all(fs, (size_t)depth + 1);
    }
}

/* Bad input, no memory ----------------------------------------------------------------------------- */

Test(all, bad_input) {
    filch_future *f = promise_of(0), *fs[2] = {f, NULL}, *none = NULL;
    fails(FILCH_EINVAL, filch_all(NULL, 1, &none));
    fails(FILCH_EINVAL, filch_all(fs, 2, &none));
    fails(FILCH_EINVAL, filch_all(fs, 1, NULL));
    fails(FILCH_ETOOBIG, filch_all(fs, SIZE_MAX, &none));
    fails(FILCH_EINVAL, filch_any(NULL, 1, &none));
    fails(FILCH_EINVAL, filch_any(NULL, 0, &none));
    fails(FILCH_EINVAL, filch_any(fs, 2, &none));
    fails(FILCH_EINVAL, filch_any(fs, 1, NULL));
    fails(FILCH_ETOOBIG, filch_any(fs, SIZE_MAX / 8, &none));
    cr_assert_null(none);
    filch_future_release(f);
}

Test(then, bad_input) {
    filch_executor *e = executor_of(1);
    filch_future *f = promise_of(0), *none = NULL;
    char byte = 0;
    fails(FILCH_EINVAL, filch_then(NULL, e, count_run, NULL, 0, 0, &none));
    fails(FILCH_EINVAL, filch_then(f, e, NULL, NULL, 0, 0, &none));
    fails(FILCH_EINVAL, filch_then(f, e, count_run, NULL, 1, 0, &none));
    fails(FILCH_EINVAL, filch_then(f, e, count_run, NULL, 0, 0, NULL));
    fails(FILCH_ETOOBIG, filch_then(f, e, count_run, &byte, SIZE_MAX, 0, &none));
    fails(FILCH_ETOOBIG, filch_then(f, e, count_run, NULL, 0, SIZE_MAX - 63, &none));
    cr_assert_null(none);
    set_it(f);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
    cr_assert_eq(runs, 0);
}

/* Each allocation fails in turn: nothing is made, nothing runs, nothing leaks. */
static int make(int which, filch_executor *e, filch_future **fs, filch_future **made) {
    switch (which) {
    case 0: return filch_all(fs, 3, made);
    case 1: return filch_any(fs, 3, made);
    default: return filch_then(fs[0], e, count_run, NULL, 0, 8, made);
    }
}

Test(all, no_memory) {
    filch_executor *e = executor_of(1);
    cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
    for (int which = 0; which < 3; which++) {
        long faults = 1;
        for (long after = 0; faults != 0; after++) {
            long before = filch__fault_live_blocks();
            filch_future *fs[3], *made = NULL;
            make_promises(fs, 3);
            filch__fault_plan(FAULT_ALLOC, after, false);
            int rc = make(which, e, fs, &made);
            faults = filch__fault_clear();
            cr_assert_eq(rc, faults != 0 ? FILCH_ENOMEM : 0);
            cr_assert_eq(made == NULL, faults != 0);
            cr_assert(faults == 0 || filch_last_error()[0] != '\0');
            for (int i = 0; i < 3; i++) filch_future_cancel(fs[i]);
            release_all(fs, 3);
            filch_future_release(made);
            cr_assert_eq(filch__fault_live_blocks(), before);
            cr_assert_lt(after, 50);
        }
    }
    ok(filch_executor_destroy(e));
    cr_assert_eq(runs, 0);
}
