/* set_test.c: filch_wait and filch_as_completed.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <stdlib.h>
#include <time.h>

TestSuite(wait_set, .timeout = 30);
TestSuite(as_completed, .timeout = 30);

#define LENGTH(array) (sizeof(array) / sizeof *(array))

static filch_future *promise(void) {
    filch_future *f = NULL;
    ok(filch_promise(0, &f));
    return f;
}
static void make_promises(filch_future **fs, size_t n) {
    for (size_t i = 0; i < n; i++) fs[i] = promise();
}
static void release_all(filch_future **fs, size_t n) {
    for (size_t i = 0; i < n; i++) filch_future_release(fs[i]);
}
static void set_it(void *promise) {
    filch_promise_set(promise, NULL, 0);
}
static void fail_it(void *promise) {
    filch_promise_fail(promise, 3, "wrong");
}
static void cancel_it(void *promise) {
    filch_future_cancel(promise);
}
static filch_nanoseconds now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (filch_nanoseconds)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* filch_wait -------------------------------------------------------------------------------------- */

Test(wait_set, of_nothing_returns_0) {
    static const filch_when all[] = {FILCH_FIRST_COMPLETED, FILCH_FIRST_ERROR, FILCH_ALL_COMPLETED};
    for (size_t i = 0; i < LENGTH(all); i++) {
        cr_assert_eq(filch_wait(NULL, 0, FILCH_FOREVER, all[i]), 0);
        cr_assert_eq(filch_wait_until(NULL, 0, FILCH_FOREVER, all[i]), 0);
    }
}

Test(wait_set, done_ones_come_first_in_their_order) {
    filch_future *fs[8], *before[8];
    make_promises(fs, 8);
    memcpy(before, fs, sizeof fs);
    set_it(fs[1]);
    cancel_it(fs[4]);
    fail_it(fs[6]);
    cr_assert_eq(filch_wait(fs, 8, 0, FILCH_ALL_COMPLETED), 3);
    static const int order[] = {1, 4, 6, 0, 2, 3, 5, 7};
    for (int i = 0; i < 8; i++) cr_assert_eq(fs[i], before[order[i]]);
    release_all(fs, 8);
}

Test(wait_set, a_time_that_is_over_is_no_error) {
    filch_future *fs[3];
    make_promises(fs, 3);
    set_it(fs[2]);
    filch_future *done = fs[2];
    static const filch_nanoseconds times[] = {INT64_MIN, -1, 0, 1, 100000};
    for (size_t i = 0; i < LENGTH(times); i++) {
        cr_assert_eq(filch_wait(fs, 3, times[i], FILCH_ALL_COMPLETED), 1);
        cr_assert_eq(filch_wait(fs, 3, times[i], FILCH_FIRST_ERROR), 1);
        cr_assert_eq(filch_wait(fs, 3, times[i], FILCH_FIRST_COMPLETED), 1);
        cr_assert_eq(filch_wait(fs + 1, 2, times[i], FILCH_FIRST_COMPLETED), 0);
        cr_assert_eq(fs[0], done);
    }
    release_all(fs, 3);
}

Test(wait_set, duplicates_count_as_often_as_they_stand_there) {
    filch_future *a = promise(), *b = promise();
    filch_future *fs[5] = {a, b, a, b, a};
    set_it(b);
    cr_assert_eq(filch_wait(fs, 5, 0, FILCH_ALL_COMPLETED), 2);
    pthread_t thread = thread_start(set_it, a);
    cr_assert_eq(filch_wait(fs + 2, 3, FILCH_FOREVER, FILCH_FIRST_COMPLETED), 3);
    cr_assert_eq(filch_wait(fs, 5, FILCH_FOREVER, FILCH_ALL_COMPLETED), 5);
    thread_finish(thread);
    filch_future_release(a);
    filch_future_release(b);
}

/* Which end of one of three satisfies which wait; the others stay. */
static void check_first(filch_when when, void (*end)(void *), bool satisfies) {
    for (int early = 0; early < 2; early++) {
        filch_future *fs[3], *second;
        make_promises(fs, 3);
        second = fs[1];
        if (early) end(second);
        pthread_t thread = thread_start(early ? set_it : end, second);
        if (!early) thread_finish(thread);
        ptrdiff_t done = filch_wait(fs, 3, satisfies ? FILCH_FOREVER : 1000000, when);
        if (early) thread_finish(thread);
        cr_assert_eq(done, 1);
        cr_assert_eq(fs[0], second);
        release_all(fs, 3);
    }
}

Test(wait_set, what_satisfies_which_wait) {
    check_first(FILCH_FIRST_COMPLETED, set_it, true);
    check_first(FILCH_FIRST_COMPLETED, fail_it, true);
    check_first(FILCH_FIRST_COMPLETED, cancel_it, true);
    check_first(FILCH_FIRST_ERROR, set_it, false);
    check_first(FILCH_FIRST_ERROR, fail_it, true);
    check_first(FILCH_FIRST_ERROR, cancel_it, false);
    check_first(FILCH_ALL_COMPLETED, fail_it, false);
}

/* The same, told while the waiter sleeps. */
struct sleeper {
    filch_future *fs[4];
    filch_when when;
    ptrdiff_t done;
    uint32_t returned;
};
static void sleep_on(void *context) {
    struct sleeper *s = context;
    s->done = filch_wait(s->fs, 4, FILCH_FOREVER, s->when);
    flag_raise(&s->returned);
}
static bool has_returned(struct sleeper *s) {
    return filch_load_acquire(&s->returned) != 0;
}

Test(wait_set, an_error_wakes_a_sleeper_and_a_success_does_not) {
    for (int i = 0; i < stress(20); i++) {
        struct sleeper s = {.when = FILCH_FIRST_ERROR};
        filch_future *fs[4];
        make_promises(fs, 4);
        memcpy(s.fs, fs, sizeof fs);
        struct stopper *asleep = stop_at("gather.sleep");
        pthread_t thread = thread_start(sleep_on, &s);
        stopper_wait_reached(asleep);
        set_it(fs[3]);
        cancel_it(fs[0]);
        stopper_release(asleep);
        for (int k = 0; k < 50; k++) sched_yield();
        cr_assert_not(has_returned(&s));
        fail_it(fs[2]);
        thread_finish(thread);
        cr_assert_eq(s.done, 3);
        cr_assert_eq(s.fs[3], fs[1]);
        release_all(fs, 4);
    }
}

Test(wait_set, first_error_ends_when_all_have_succeeded) {
    for (int i = 0; i < stress(20); i++) {
        struct sleeper s = {.when = FILCH_FIRST_ERROR};
        filch_future *fs[4];
        make_promises(fs, 4);
        memcpy(s.fs, fs, sizeof fs);
        pthread_t thread = thread_start(sleep_on, &s);
        for (int k = 0; k < 4; k++) set_it(fs[(k + i) % 4]);
        thread_finish(thread);
        cr_assert_eq(s.done, 4);
        release_all(fs, 4);
    }
}

/* Every sleep ends at once, for no reason: the waits go on. */
static void iterate(void *context) {
    struct sleeper *s = context;
    filch_completions *it;
    filch_future *f;
    if (filch_as_completed(s->fs, 4, FILCH_FOREVER, &it) != 0) return;
    while (filch_completions_next(it, &f) == 0) s->done++;
    filch_completions_destroy(it);
    flag_raise(&s->returned);
}

Test(wait_set, sleeps_that_end_early) {
    for (int w = 0; w <= 3; w++) {
        struct sleeper s = {.when = (filch_when)w};
        filch_future *fs[4];
        make_promises(fs, 4);
        memcpy(s.fs, fs, sizeof fs);
        filch__fault_plan(FAULT_FUTEX, 0, true);
        pthread_t thread = thread_start(w == 0 ? iterate : sleep_on, &s);
        for (int k = 0; k < 100; k++) sched_yield();
        cr_assert_not(has_returned(&s));
        for (int k = 3; k >= 0; k--) fail_it(fs[k]);
        thread_finish(thread);
        filch__fault_clear();
        cr_assert_geq(s.done, w == 0 || w == FILCH_ALL_COMPLETED ? 4 : 1);
        release_all(fs, 4);
    }
}

Test(wait_set, until_takes_an_absolute_time) {
    filch_future *f = promise();
    static const filch_when all[] = {FILCH_FIRST_COMPLETED, FILCH_FIRST_ERROR, FILCH_ALL_COMPLETED};
    for (size_t i = 0; i < LENGTH(all); i++) {
        cr_assert_eq(filch_wait_until(&f, 1, 1, all[i]), 0, "long past");
        cr_assert_eq(filch_wait_until(&f, 1, -5, all[i]), 0);
        filch_nanoseconds end = now() + 2000000;
        cr_assert_eq(filch_wait_until(&f, 1, end, all[i]), 0);
        cr_assert_geq(now(), end);
    }
    pthread_t thread = thread_start(set_it, f);
    cr_assert_eq(filch_wait_until(&f, 1, FILCH_FOREVER, FILCH_FIRST_COMPLETED), 1);
    thread_finish(thread);
    cr_assert_eq(filch_wait_until(&f, 1, 1, FILCH_ALL_COMPLETED), 1);
    filch_future_release(f);
}

Test(wait_set, executors_and_promises_mixed) {
    filch_executor *a = executor_of(1), *b = executor_of(2);
    for (int i = 0; i < stress(30); i++) {
        filch_future *fs[30];
        for (int k = 0; k < 30; k++)
            fs[k] = k % 3 == 0   ? promise()
                    : k % 3 == 1 ? submit_to(a, do_nothing, NULL, 0, 0)
                                 : submit_to(b, do_nothing, NULL, 0, 0);
        cr_assert_geq(filch_wait(fs, 30, FILCH_FOREVER, FILCH_FIRST_COMPLETED), 1);
        for (int k = 0; k < 30; k++) filch_promise_set(fs[k], NULL, 0);
        cr_assert_eq(filch_wait(fs, 30, FILCH_FOREVER, FILCH_FIRST_ERROR), 30);
        cr_assert_eq(filch_wait(fs, 30, FILCH_FOREVER, FILCH_ALL_COMPLETED), 30);
        release_all(fs, 30);
    }
    ok(filch_executor_destroy(a));
    ok(filch_executor_destroy(b));
}

/* On a worker ------------------------------------------------------------------------------------- */

enum { CHILDREN = 40 };

static int fail_with(void *arg, void *result) {
    (void)result;
    return *(int *)arg;
}

/* One worker, and no spare: what is waited for runs on top of the waiting task, or never. */
static filch_executor *lonely(void) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 1;
    options.max_spares = -1;
    return executor_with(options);
}

static int wait_for_children(void *arg, void *result) {
    filch_when when = *(filch_when *)arg;
    filch_executor *e = filch_current_executor();
    filch_future *fs[CHILDREN];
    int code;
    for (int i = 0; i < CHILDREN; i++) {
        code = i == 7 ? 5 : 0;
        if (filch_submit(e, fail_with, &code, sizeof code, 0, &fs[i]) != 0) return 1;
    }
    *(ptrdiff_t *)result = filch_wait(fs, CHILDREN, FILCH_FOREVER, when);
    for (int i = 0; i < CHILDREN; i++) filch_future_release(fs[i]);
    return 0;
}

Test(wait_set, a_worker_runs_what_it_waits_for) {
    filch_executor *e = lonely();
    static const filch_when all[] = {FILCH_FIRST_COMPLETED, FILCH_FIRST_ERROR, FILCH_ALL_COMPLETED};
    static const ptrdiff_t expected[] = {1, 8, CHILDREN};
    for (size_t i = 0; i < LENGTH(all); i++) {
        ptrdiff_t done = 0;
        filch_future *f = submit_to(e, wait_for_children, &all[i], sizeof all[i], sizeof done);
        ok(filch_future_result(f, &done, FILCH_FOREVER));
        cr_assert_eq(done, expected[i]);
        filch_future_release(f);
    }
    ok(filch_executor_destroy(e));
}

static int wait_for_these(void *arg, void *result) {
    struct sleeper *s = *(struct sleeper **)arg;
    (void)result;
    s->done = filch_wait(s->fs, 4, FILCH_FOREVER, s->when);
    return 0;
}

Test(wait_set, a_worker_parks_and_a_spare_takes_its_place) {
    static const filch_when all[] = {FILCH_FIRST_COMPLETED, FILCH_FIRST_ERROR, FILCH_ALL_COMPLETED};
    filch_executor *e = executor_of(1);
    for (int i = 0; i < 30; i++) {
        struct sleeper s = {.when = all[i % 3]};
        filch_future *fs[4];
        int count = 0;
        make_promises(fs, 4);
        memcpy(s.fs, fs, sizeof fs);
        filch_future *waiter = submit_pointer(e, wait_for_these, &s);
        while (!filch_future_running(waiter)) sched_yield();
        cr_assert_eq(finish(submit_pointer(e, count_one, &count)), 0, "by a spare");
        if (s.when == FILCH_ALL_COMPLETED)
            for (int k = 0; k < 4; k++) set_it(fs[k]);
        else
            fail_it(fs[2]);
        cr_assert_eq(finish(waiter), 0);
        cr_assert_eq(s.done, s.when == FILCH_ALL_COMPLETED ? 4 : 1);
        release_all(fs, 4);
    }
    ok(filch_executor_destroy(e));
}

/* Waits for itself, and perhaps for a promise that somebody sets. */
struct self_wait {
    filch_future *fs[2];
    size_t n;
    filch_when when;
    uint32_t go;
    ptrdiff_t rc;
    int next;
};
static int wait_for_oneself(void *arg, void *result) {
    struct self_wait *s = *(struct self_wait **)arg;
    (void)result;
    flag_wait(&s->go);
    s->rc = filch_wait(s->fs, s->n, FILCH_FOREVER, s->when);
    filch_completions *it = NULL;
    filch_future *f;
    s->next = filch_as_completed(s->fs, s->n, FILCH_FOREVER, &it);
    if (s->next == 0) s->next = filch_completions_next(it, &f);
    filch_completions_destroy(it);
    return 0;
}
static struct self_wait run_self_wait(size_t n, filch_when when, bool set) {
    filch_executor *e = executor_of(1);
    struct self_wait s = {{NULL, promise()}, n, when, 0, 0, 0};
    filch_future *p = s.fs[1], *f = submit_pointer(e, wait_for_oneself, &s);
    s.fs[0] = f;
    flag_raise(&s.go);
    if (set) set_it(p);
    cr_assert_eq(finish(f), 0);
    filch_future_release(p);
    ok(filch_executor_destroy(e));
    return s;
}

Test(wait_set, for_what_stands_lower_on_the_own_stack) {
    static const filch_when all[] = {FILCH_FIRST_COMPLETED, FILCH_FIRST_ERROR, FILCH_ALL_COMPLETED};
    for (size_t i = 0; i < LENGTH(all); i++) {
        struct self_wait s = run_self_wait(1, all[i], false);
        cr_assert_eq(s.rc, FILCH_EDEADLK);
        cr_assert_eq(s.next, FILCH_EDEADLK);
    }
    struct self_wait s = run_self_wait(2, FILCH_FIRST_COMPLETED, true);
    cr_assert_eq(s.rc, 1, "the other one can end");
    cr_assert_eq(s.next, 0);
    s = run_self_wait(2, FILCH_ALL_COMPLETED, true);
    cr_assert_eq(s.rc, FILCH_EDEADLK, "one can never end");
}

/* Both of two stand lower: the outer one waits for the inner one, which waits for the first of both. */
struct both {
    filch_future *fs[2];
    uint32_t go;
    ptrdiff_t rc;
    int next;
};
static int wait_for_both(void *arg, void *result) {
    struct both *b = *(struct both **)arg;
    filch_completions *it = NULL;
    filch_future *f, *fs[2];
    (void)result;
    memcpy(fs, b->fs, sizeof fs);
    b->rc = filch_wait(fs, 2, FILCH_FOREVER, FILCH_FIRST_COMPLETED);
    b->next = filch_as_completed(fs, 2, FILCH_FOREVER, &it);
    if (b->next == 0) b->next = filch_completions_next(it, &f);
    filch_completions_destroy(it);
    return 0;
}
static int wait_for_inner(void *arg, void *result) {
    struct both *b = *(struct both **)arg;
    (void)result;
    flag_wait(&b->go);
    if (filch_submit(filch_current_executor(), wait_for_both, &b, sizeof b, 0, &b->fs[1]) != 0)
        return 1;
    return filch_future_result(b->fs[1], NULL, FILCH_FOREVER);
}

Test(wait_set, for_several_that_stand_lower) {
    filch_executor *e = executor_of(1);
    struct both b = {{NULL, NULL}, 0, 0, 0};
    b.fs[0] = submit_pointer(e, wait_for_inner, &b);
    flag_raise(&b.go);
    ok(filch_future_result(b.fs[0], NULL, FILCH_FOREVER));
    cr_assert_eq(b.rc, FILCH_EDEADLK);
    cr_assert_eq(b.next, FILCH_EDEADLK);
    release_all(b.fs, 2);
    ok(filch_executor_destroy(e));
}

/* Two tasks that wait for each other, each for the first of a set of one. */
struct ring {
    filch_future *of[2];
    uint32_t go;
    int deadlocks, others;
};
static int wait_in_ring(struct ring *r, int whom) {
    flag_wait(&r->go);
    filch_future *f = r->of[whom];
    ptrdiff_t rc = filch_wait(&f, 1, FILCH_FOREVER, FILCH_FIRST_COMPLETED);
    add(rc == FILCH_EDEADLK ? &r->deadlocks : &r->others, 1);
    return 0;
}
static int wait_for_1(void *arg, void *result) {
    (void)result;
    return wait_in_ring(*(struct ring **)arg, 1);
}
static int wait_for_0(void *arg, void *result) {
    (void)result;
    return wait_in_ring(*(struct ring **)arg, 0);
}

Test(wait_set, a_circle_of_waits_for_one_each) {
    filch_executor *e = executor_of(2);
    for (int i = 0; i < stress(20); i++) {
        struct ring r = {{NULL, NULL}, 0, 0, 0};
        r.of[0] = submit_pointer(e, wait_for_1, &r);
        r.of[1] = submit_pointer(e, wait_for_0, &r);
        while (!filch_future_running(r.of[0]) || !filch_future_running(r.of[1])) sched_yield();
        flag_raise(&r.go);
        for (int k = 0; k < 2; k++) ok(filch_future_result(r.of[k], NULL, FILCH_FOREVER));
        cr_assert_eq(r.deadlocks, 1);
        cr_assert_eq(r.others, 1);
        release_all(r.of, 2);
    }
    ok(filch_executor_destroy(e));
}

/* A completer that stops --------------------------------------------------------------------------- */

/* It has taken the slot of a waiter, whose time is then over: the waiter returns, may give everything back,
 * and what the completer still has is kept for it. */
Test(wait_set, a_stopped_completer_keeps_nobody) {
    static const filch_when all[] = {FILCH_FIRST_COMPLETED, FILCH_FIRST_ERROR};
    static const char *const points[] = {"hub.taken", "gather.told"};
    for (size_t i = 0; i < 8; i++) {
        long before = filch__fault_live_blocks();
        struct sleeper s = {.when = all[i / 4]};
        make_promises(s.fs, 4);
        filch_future *f = filch_future_retain(s.fs[1]);
        /* After its last look: at a later one it may see the error of the one that was taken, and return. */
        struct stopper *asleep = stop_at("gather.asleep"), *stop = stop_at(points[i % 2]);
        pthread_t waiter = thread_start(sleep_on, &s);
        stopper_wait_reached(asleep);
        pthread_t completer = thread_start(i % 4 < 2 ? fail_it : cancel_it, f);
        stopper_wait_reached(stop);
        stopper_release(asleep);
        /* Another one ends its sleep, since this completer will not. */
        fail_it(s.fs[3]);
        thread_finish(waiter);
        cr_assert_eq(s.done, 2);
        release_all(s.fs, 4);
        cr_assert_gt(filch__fault_live_blocks(), before, "the completer's part lives");
        stopper_release(stop);
        thread_finish(completer);
        filch_future_release(f);
        cr_assert_eq(filch__fault_live_blocks(), before);
    }
}

/* Many threads come and go while one completes. */
struct crowd {
    filch_future *fs[3];
    int bad, satisfied;
};
static void come_and_go(int index, void *context) {
    struct crowd *c = context;
    if (index == 0) {
        linger(50);
        fail_it(c->fs[1]);
        return;
    }
    for (bool done = false; !done;) {
        filch_future *fs[3];
        memcpy(fs, c->fs, sizeof fs);
        filch_when when = index % 2 == 0 ? FILCH_FIRST_COMPLETED : FILCH_FIRST_ERROR;
        ptrdiff_t n = filch_wait(fs, 3, index * 3000, when);
        if (n < 0 || n > 1 || (n == 1 && fs[0] != c->fs[1])) add(&c->bad, 1);
        done = n != 0;
    }
    add(&c->satisfied, 1);
}

Test(wait_set, threads_come_and_go_while_one_completes) {
    for (int i = 0; i < stress(30); i++) {
        struct crowd c = {{NULL, NULL, NULL}, 0, 0};
        make_promises(c.fs, 3);
        run_threads(9, come_and_go, &c);
        cr_assert_eq(c.bad, 0);
        cr_assert_eq(c.satisfied, 8);
        release_all(c.fs, 3);
    }
}

/* filch_as_completed -------------------------------------------------------------------------------- */

static filch_completions *completions_of(filch_future **fs, size_t n, filch_nanoseconds timeout) {
    filch_completions *it = NULL;
    ok(filch_as_completed(fs, n, timeout, &it));
    cr_assert_eq(filch_completions_index(it), SIZE_MAX);
    return it;
}
static void gives(filch_completions *it, filch_future *f, size_t index) {
    filch_future *next = NULL;
    ok(filch_completions_next(it, &next));
    cr_assert_eq(next, f);
    cr_assert_eq(filch_completions_index(it), index);
    cr_assert(filch_future_done(next));
}
static void ends(filch_completions *it) {
    filch_future *none = NULL;
    for (int i = 0; i < 2; i++) fails(FILCH_EEND, filch_completions_next(it, &none));
    cr_assert_null(none);
    ok(filch_completions_destroy(it));
}

Test(as_completed, of_nothing_is_at_its_end) {
    ends(completions_of(NULL, 0, FILCH_FOREVER));
}

Test(as_completed, done_ones_first_then_in_the_order_of_completion) {
    filch_future *fs[6];
    make_promises(fs, 6);
    set_it(fs[4]);
    cancel_it(fs[1]);
    filch_completions *it = completions_of(fs, 6, FILCH_FOREVER);
    fail_it(fs[5]);
    gives(it, fs[1], 1);
    cancel_it(fs[0]);
    set_it(fs[3]);
    gives(it, fs[4], 4);
    gives(it, fs[5], 5);
    gives(it, fs[0], 0);
    set_it(fs[2]);
    gives(it, fs[3], 3);
    gives(it, fs[2], 2);
    ends(it);
    release_all(fs, 6);
}

Test(as_completed, each_distinct_one_once_by_its_first_place) {
    filch_future *a = promise(), *b = promise(), *c = promise();
    filch_future *fs[] = {a, b, a, b, b, c, a};
    set_it(b);
    filch_completions *it = completions_of(fs, LENGTH(fs), FILCH_FOREVER);
    set_it(c);
    set_it(a);
    gives(it, b, 1);
    gives(it, c, 5);
    gives(it, a, 0);
    ends(it);
    filch_future_release(a);
    filch_future_release(b);
    filch_future_release(c);
}

Test(as_completed, timeout_counts_what_is_unfinished) {
    filch_future *fs[5], *none = NULL;
    make_promises(fs, 4);
    fs[4] = fs[0];
    filch_completions *it = completions_of(fs, 5, 1000000);
    set_it(fs[1]);
    set_it(fs[2]);
    gives(it, fs[1], 1);
    gives(it, fs[2], 2);
    for (int i = 0; i < 2; i++) {
        fails(FILCH_ETIMEDOUT, filch_completions_next(it, &none));
        cr_assert_str_eq(filch_last_error(), "2 (of 4) futures unfinished");
    }
    cr_assert_null(none);
    cr_assert_eq(filch_completions_index(it), 2, "as it was");
    set_it(fs[3]);
    gives(it, fs[3], 3);
    fails(FILCH_ETIMEDOUT, filch_completions_next(it, &none));
    cr_assert_str_eq(filch_last_error(), "1 (of 4) futures unfinished");
    ok(filch_completions_destroy(it));
    release_all(fs, 4);
}

Test(as_completed, gives_after_the_deadline_what_has_completed) {
    filch_future *fs[3];
    make_promises(fs, 3);
    set_it(fs[1]);
    filch_completions *it = completions_of(fs, 3, 0);
    set_it(fs[2]);
    gives(it, fs[1], 1);
    gives(it, fs[2], 2);
    set_it(fs[0]);
    gives(it, fs[0], 0);
    ends(it);
    release_all(fs, 3);
}

Test(as_completed, until_takes_an_absolute_time) {
    filch_future *f = promise(), *next = NULL;
    filch_completions *it = NULL;
    static const filch_nanoseconds past[] = {1, 0, -7};
    for (size_t i = 0; i < LENGTH(past); i++) {
        ok(filch_as_completed_until(&f, 1, past[i], &it));
        fails(FILCH_ETIMEDOUT, filch_completions_next(it, &next));
        ok(filch_completions_destroy(it));
    }
    filch_nanoseconds end = now() + 2000000;
    ok(filch_as_completed_until(&f, 1, end, &it));
    fails(FILCH_ETIMEDOUT, filch_completions_next(it, &next));
    cr_assert_geq(now(), end);
    set_it(f);
    gives(it, f, 0);
    ends(it);
    filch_future_release(f);
}

Test(as_completed, a_given_one_may_be_released) {
    filch_future *fs[4];
    make_promises(fs, 4);
    set_it(fs[0]);
    filch_completions *it = completions_of(fs, 4, FILCH_FOREVER);
    for (size_t i = 0; i < 4; i++) {
        set_it(fs[i]);
        gives(it, fs[i], i);
        filch_future_release(fs[i]);
    }
    ends(it);
}

Test(as_completed, destroyed_before_anything_completes) {
    long before = filch__fault_live_blocks();
    filch_future *fs[20];
    make_promises(fs, 20);
    for (size_t i = 0; i < 20; i++) ok(filch_completions_destroy(completions_of(fs, i, 0)));
    for (size_t i = 0; i < 20; i++) set_it(fs[i]);
    release_all(fs, 20);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

/* A done future is given at the deadline although whoever finished it has not told the iterator yet, and only
 * once. In the first two the slot is in the completer's hands, in the third it is still in its cell. */
Test(as_completed, a_stopped_completer_hides_nothing) {
    static const char *const points[] = {"hub.taken", "gather.told", "hub.notify"};
    for (size_t i = 0; i < 2 * LENGTH(points); i++) {
        long before = filch__fault_live_blocks();
        filch_future *fs[3], *next = NULL;
        make_promises(fs, 3);
        filch_completions *it = completions_of(fs, 3, 0);
        struct stopper *stop = stop_at(points[i / 2]);
        pthread_t completer = thread_start(set_it, fs[1]);
        stopper_wait_reached(stop);
        gives(it, fs[1], 1);
        fails(FILCH_ETIMEDOUT, filch_completions_next(it, &next));
        cr_assert_str_eq(filch_last_error(), "2 (of 3) futures unfinished");
        bool first = i % 2 == 0;
        if (first) ok(filch_completions_destroy(it));
        stopper_release(stop);
        thread_finish(completer);
        if (!first) {
            set_it(fs[0]);
            gives(it, fs[0], 0);
            fails(FILCH_ETIMEDOUT, filch_completions_next(it, &next));
            ok(filch_completions_destroy(it));
        }
        release_all(fs, 3);
        cr_assert_eq(filch__fault_live_blocks(), before);
    }
}

struct iteration {
    filch_future *future;
    filch_completions *it;
    int rc;
};
static void iterate_over(void *context) {
    struct iteration *iteration = context;
    iteration->rc = filch_as_completed(&iteration->future, 1, FILCH_FOREVER, &iteration->it);
}
static void ignore(filch_future *f, void *context) {
    (void)f;
    (void)context;
}

/* Whoever completes it takes the slot while it is being registered: that future is given like any other. */
Test(as_completed, completed_while_it_is_registered) {
    struct iteration iteration = {promise(), NULL, 77};
    filch_future *next = NULL;
    ok(filch_future_add_done_callback(iteration.future, ignore, NULL)); /* it has a hub */
    struct stopper *stop = stop_at("hub.registered");
    pthread_t thread = thread_start(iterate_over, &iteration);
    stopper_wait_reached(stop);
    set_it(iteration.future);
    stopper_release(stop);
    thread_finish(thread);
    ok(iteration.rc);
    ok(filch_completions_next(iteration.it, &next)); /* it waited for ever */
    cr_assert_eq(next, iteration.future);
    ends(iteration.it);
    filch_future_release(iteration.future);
}

/* Every future once, whoever completes it, and whenever. */
static int maybe_slow(void *arg, void *result) {
    int n = *(int *)arg;
    (void)result;
    for (int i = 0; i < n % 7; i++) sched_yield();
    return n % 5 == 0 ? 9 : 0;
}

Test(as_completed, every_future_once) {
    enum { N = 300 };
    filch_executor *e = executor_of(3);
    for (int round = 0; round < stress(20); round++) {
        filch_future *fs[N], *f;
        struct ledger given;
        ledger_init(&given, N);
        for (int i = 0; i < N; i++) fs[i] = submit_to(e, maybe_slow, &i, sizeof i, 0);
        for (int i = 0; i < N; i += 11) filch_future_cancel(fs[i]);
        filch_completions *it = completions_of(fs, N, FILCH_FOREVER);
        for (int i = 0; i < N; i++) {
            ok(filch_completions_next(it, &f));
            cr_assert_eq(fs[filch_completions_index(it)], f);
            cr_assert(filch_future_done(f));
            ledger_note(&given, filch_completions_index(it));
        }
        ends(it);
        cr_assert_eq(ledger_wrong(&given), 0);
        ledger_fini(&given);
        release_all(fs, N);
    }
    ok(filch_executor_destroy(e));
}

/* A worker runs its children itself, one for each next. */
static int iterate_children(void *arg, void *result) {
    filch_future *fs[CHILDREN], *f;
    filch_completions *it;
    int ran = 0, *pointer = &ran, wrong = 0, rc;
    (void)arg;
    for (int i = 0; i < CHILDREN; i++)
        if (filch_submit(filch_current_executor(), count_one, &pointer, sizeof pointer, 0,
                         &fs[i]) != 0)
            return 1;
    if (filch_as_completed(fs, CHILDREN, FILCH_FOREVER, &it) != 0) return 2;
    for (int i = 0; i < CHILDREN; i++) {
        rc = filch_completions_next(it, &f);
        wrong += rc != 0 || ran != i + 1 || !filch_future_done(f);
    }
    if (filch_completions_next(it, &f) != FILCH_EEND) return 3;
    filch_completions_destroy(it);
    for (int i = 0; i < CHILDREN; i++) filch_future_release(fs[i]);
    *(int *)result = wrong;
    return 0;
}

Test(as_completed, a_worker_runs_one_for_each_next) {
    filch_executor *e = lonely();
    int wrong = -1;
    filch_future *f = submit_to(e, iterate_children, NULL, 0, sizeof wrong);
    ok(filch_future_result(f, &wrong, FILCH_FOREVER));
    cr_assert_eq(wrong, 0);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* A worker parks in next. */
static int iterate_these(void *arg, void *result) {
    struct sleeper *s = *(struct sleeper **)arg;
    filch_completions *it;
    filch_future *f;
    int *order = result;
    int rc = filch_as_completed(s->fs, 4, FILCH_FOREVER, &it);
    if (rc != 0) return 1;
    flag_raise(&s->returned);
    for (int i = 0; i < 4; i++) {
        if (filch_completions_next(it, &f) != 0) return 2;
        order[i] = (int)filch_completions_index(it);
    }
    filch_completions_destroy(it);
    return 0;
}

Test(as_completed, a_worker_parks_in_next) {
    filch_executor *e = executor_of(1);
    for (int i = 0; i < stress(20); i++) {
        struct sleeper s = {.when = 0};
        int order[4], count = 0;
        make_promises(s.fs, 4);
        struct sleeper *pointer = &s;
        filch_future *f = submit_to(e, iterate_these, &pointer, sizeof pointer, sizeof order);
        flag_wait(&s.returned);
        for (int k = 3; k >= 0; k--) {
            if (k % 2 == i % 2) cr_assert_eq(finish(submit_pointer(e, count_one, &count)), 0);
            set_it(s.fs[k]);
        }
        ok(filch_future_result(f, order, FILCH_FOREVER));
        for (int k = 0; k < 4; k++) cr_assert_eq(order[k], 3 - k);
        filch_future_release(f);
        release_all(s.fs, 4);
    }
    ok(filch_executor_destroy(e));
}

/* Bad input, no memory ----------------------------------------------------------------------------- */

Test(wait_set, bad_input) {
    filch_future *f = promise(), *fs[3] = {f, NULL, f};
    static const filch_when all[] = {FILCH_FIRST_COMPLETED, FILCH_FIRST_ERROR, FILCH_ALL_COMPLETED};
    for (size_t i = 0; i < LENGTH(all); i++) {
        fails(FILCH_EINVAL, filch_wait(NULL, 1, 0, all[i]));
        fails(FILCH_EINVAL, filch_wait(fs, 2, 0, all[i]));
        fails(FILCH_EINVAL, filch_wait_until(fs, 3, 0, all[i]));
        fails(FILCH_ETOOBIG, filch_wait(fs, SIZE_MAX, 0, all[i]));
        fails(FILCH_ETOOBIG, filch_wait_until(fs, SIZE_MAX / 8 + 1, 0, all[i]));
    }
    fails(FILCH_EINVAL, filch_wait(&f, 1, 0, (filch_when)0));
    fails(FILCH_EINVAL, filch_wait(&f, 1, 0, (filch_when)4));
    fails(FILCH_EINVAL, filch_wait(NULL, 0, 0, (filch_when)77));
    cr_assert_eq(fs[0], f);
    filch_future_release(f);
}

Test(as_completed, bad_input) {
    filch_future *f = promise(), *fs[3] = {f, NULL, f}, *next = NULL;
    filch_completions *it = NULL;
    fails(FILCH_EINVAL, filch_as_completed(NULL, 1, 0, &it));
    fails(FILCH_EINVAL, filch_as_completed(fs, 3, 0, &it));
    fails(FILCH_EINVAL, filch_as_completed(&f, 1, 0, NULL));
    fails(FILCH_EINVAL, filch_as_completed_until(fs, 3, 0, &it));
    fails(FILCH_EINVAL, filch_as_completed_until(&f, 1, 0, NULL));
    fails(FILCH_ETOOBIG, filch_as_completed(fs, SIZE_MAX, 0, &it));
    fails(FILCH_ETOOBIG, filch_as_completed_until(fs, SIZE_MAX / 4, 0, &it));
    fails(FILCH_EINVAL, filch_completions_next(NULL, &next));
    cr_assert_null(it);
    it = completions_of(&f, 1, 0);
    fails(FILCH_EINVAL, filch_completions_next(it, NULL));
    ok(filch_completions_destroy(it));
    cr_assert_eq(filch_completions_index(NULL), SIZE_MAX);
    ok(filch_completions_destroy(NULL));
    filch_future_release(f);
}

/* Each allocation fails in turn: the call says so, the array is as it was, and nothing leaks. */
Test(wait_set, no_memory) {
    for (int w = 1; w <= 3; w++) {
        long faults = 1;
        for (long after = 0; faults != 0; after++) {
            long before = filch__fault_live_blocks();
            filch_future *fs[6], *was[6];
            make_promises(fs, 6);
            set_it(fs[5]);
            if (w == FILCH_FIRST_COMPLETED) filch_promise_fail(fs[5], 1, NULL);
            memcpy(was, fs, sizeof fs);
            filch__fault_plan(FAULT_ALLOC, after, false);
            ptrdiff_t n = filch_wait(fs, w == FILCH_FIRST_COMPLETED ? 5 : 6, 1000, (filch_when)w);
            faults = filch__fault_clear();
            if (n < 0) {
                cr_assert_eq(n, FILCH_ENOMEM);
                cr_assert_arr_eq(fs, was, sizeof fs);
            } else {
                cr_assert_eq(n, w == FILCH_FIRST_COMPLETED ? 0 : 1);
                cr_assert_eq(faults, 0);
            }
            for (int i = 0; i < 6; i++) set_it(was[i]);
            release_all(was, 6);
            cr_assert_eq(filch__fault_live_blocks(), before);
            cr_assert_lt(after, 100);
        }
    }
}

Test(as_completed, no_memory) {
    long faults = 1;
    for (long after = 0; faults != 0; after++) {
        long before = filch__fault_live_blocks();
        filch_future *fs[6], *next;
        filch_completions *it = NULL;
        make_promises(fs, 6);
        set_it(fs[2]);
        filch__fault_plan(FAULT_ALLOC, after, false);
        int rc = filch_as_completed(fs, 6, 0, &it);
        faults = filch__fault_clear();
        cr_assert_eq(rc, faults != 0 ? FILCH_ENOMEM : 0);
        cr_assert_eq(it == NULL, faults != 0);
        for (int i = 0; i < 6; i++) set_it(fs[i]);
        for (int i = 0; i < 6 && rc == 0; i++) ok(filch_completions_next(it, &next));
        ok(filch_completions_destroy(it));
        release_all(fs, 6);
        cr_assert_eq(filch__fault_live_blocks(), before);
        cr_assert_lt(after, 100);
    }
}

/* Many -------------------------------------------------------------------------------------------- */

#if defined(TEST_SANITIZE_ADDRESS) || defined(TEST_SANITIZE_THREAD)
enum { MANY = 50000 };
#else
enum { MANY = 1000000 };
#endif

static void count_call(filch_future *f, void *context) {
    (void)f;
    ++*(size_t *)context;
}

/* Each of a million is waited for, given once, and its hub used by two waiters; one has a million callbacks. */
Test(wait_set, a_million_futures) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    filch_future **futures = malloc(MANY * sizeof(filch_future *)), *f;
    bool *given = calloc(MANY, sizeof *given);
    filch_completions *it;
    size_t calls = 0, n = 0;
    filch_future *held = occupy(e, &gate);
    cr_assert(futures != NULL && given != NULL);
    for (size_t i = 0; i < MANY; i++) futures[i] = submit_to(e, do_nothing, NULL, 0, 0);
    for (size_t i = 0; i < MANY; i++)
        ok(filch_future_add_done_callback(futures[0], count_call, &calls));
    ok(filch_as_completed(futures, MANY, FILCH_FOREVER, &it));
    cr_assert_eq(filch_wait(futures, MANY, 1, FILCH_FIRST_COMPLETED), 0);
    open_gate(&gate, held);
    cr_assert_eq(filch_wait(futures, MANY, FILCH_FOREVER, FILCH_ALL_COMPLETED), MANY);
    int rc;
    while ((rc = filch_completions_next(it, &f)) == 0) {
        size_t i = filch_completions_index(it);
        cr_assert(i < MANY && futures[i] == f && !given[i]);
        given[i] = true;
        n++;
    }
    cr_assert_eq(rc, FILCH_EEND);
    cr_assert_eq(n, MANY);
    ok(filch_completions_destroy(it));
    for (size_t i = 0; i < MANY; i++) filch_future_release(futures[i]);
    ok(filch_executor_destroy(e));
    cr_assert_eq(calls, MANY);
    free(futures);
    free(given);
}
