/* inspect_test.c: snapshots and descriptions, requests to end early, large results, absolute times, and the
 * wait that runs nothing else.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

TestSuite(snapshot, .timeout = 30);
TestSuite(describe, .timeout = 30);
TestSuite(request_cancel, .timeout = 30);
TestSuite(result_alloc, .timeout = 30);
TestSuite(until, .timeout = 30);
TestSuite(isolated, .timeout = 30);

static filch_nanoseconds now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (filch_nanoseconds)t.tv_sec * 1000000000 + t.tv_nsec;
}
static filch_future *promise_of(size_t size) {
    filch_future *f = NULL;
    ok(filch_promise(size, &f));
    return f;
}
static int fail_with_text(void *arg, void *result) {
    (void)arg;
    (void)result;
    return filch_fail(5, "no %s", "luck");
}
static int give_42(void *arg, void *result) {
    (void)arg;
    *(int *)result = 42;
    return 0;
}

/* Snapshots ---------------------------------------------------------------------------------------- */

static void shows(filch_future *f, filch_state state, int code, bool value) {
    filch_snapshot s = {(filch_state)9, 9, f, 9};
    ok(filch_future_snapshot(f, &s));
    cr_assert_eq(s.state, state);
    cr_assert_eq(s.code, code);
    cr_assert_eq(s.value != NULL, value);
    if (!value) cr_assert_eq(s.size, 0);
}

Test(snapshot, of_every_state) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    filch_snapshot s;
    filch_future *running = occupy(e, &gate);
    filch_future *good = submit_to(e, give_42, NULL, 0, sizeof(int));
    filch_future *bad = submit_to(e, fail_with_text, NULL, 0, sizeof(int));
    filch_future *cancelled = submit_to(e, give_42, NULL, 0, sizeof(int));
    shows(running, FILCH_RUNNING, 0, false);
    shows(good, FILCH_PENDING, 0, false);
    filch_future_cancel(cancelled);
    shows(cancelled, FILCH_CANCELLED, FILCH_ECANCELED, false);
    open_gate(&gate, running);
    filch_future_result(bad, NULL, FILCH_FOREVER);
    shows(bad, FILCH_FINISHED, 5, false);
    shows(good, FILCH_FINISHED, 0, true);
    ok(filch_future_snapshot(good, &s));
    cr_assert_eq(s.size, sizeof(int));
    cr_assert_eq(*(const int *)s.value, 42);
    filch_future_release(good);
    filch_future_release(bad);
    filch_future_release(cancelled);
    ok(filch_executor_destroy(e));
}

Test(snapshot, bad_input) {
    filch_future *f = promise_of(0);
    filch_snapshot s = {(filch_state)9, 9, NULL, 9};
    fails(FILCH_EINVAL, filch_future_snapshot(NULL, &s));
    fails(FILCH_EINVAL, filch_future_snapshot(f, NULL));
    cr_assert_eq(s.code, 9);
    filch_future_release(f);
}

/* State, code and value belong together while another thread completes it. */
struct watch {
    filch_future *future;
    int odd;
};
static void complete_or_watch(int index, void *context) {
    struct watch *w = context;
    uint64_t value = 7;
    if (index == 0) {
        filch_promise_start(w->future);
        filch_promise_set(w->future, &value, sizeof value);
        return;
    }
    filch_snapshot s = {FILCH_PENDING, 0, NULL, 0};
    while (s.state != FILCH_FINISHED) {
        filch_state before = s.state;
        filch_future_snapshot(w->future, &s);
        bool whole = s.state == FILCH_FINISHED ? s.size == 8 && *(const uint64_t *)s.value == 7
                                               : s.value == NULL && s.size == 0;
        if (!whole || s.code != 0 || s.state < before) add(&w->odd, 1);
    }
}

Test(snapshot, is_of_one_moment) {
    for (int i = 0; i < stress(300); i++) {
        struct watch w = {promise_of(sizeof(uint64_t)), 0};
        run_threads(2, complete_or_watch, &w);
        cr_assert_eq(w.odd, 0);
        filch_future_release(w.future);
    }
}

/* Descriptions -------------------------------------------------------------------------------------- */

static void reads(filch_future *f, const char *rest) {
    char line[200], expected[200];
    int length = snprintf(expected, sizeof expected, "<filch_future %p %s>", (void *)f, rest);
    cr_assert_eq(filch_future_describe(f, line, sizeof line), length);
    cr_assert_str_eq(line, expected);
}

Test(describe, every_state) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    filch_future *running = occupy(e, &gate), *named = NULL;
    filch_future *good = submit_to(e, give_42, NULL, 0, sizeof(int));
    filch_future *bad = submit_to(e, fail_with_text, NULL, 0, sizeof(int));
    filch_task task = FILCH_TASK_INIT;
    task.fn = fail_with_text;
    task.name = "sum";
    ok(filch_submit_task(e, &task, &named));
    reads(running, "running on worker 0");
    reads(good, "pending");
    reads(named, "\"sum\" pending");
    open_gate(&gate, running);
    filch_future_result(named, NULL, FILCH_FOREVER);
    reads(good, "finished: 0");
    reads(bad, "finished: 5 (no luck)");
    reads(named, "\"sum\" finished: 5 (no luck)");
    filch_future_release(good);
    filch_future_release(bad);
    filch_future_release(named);
    ok(filch_executor_destroy(e));
}

Test(describe, promises) {
    filch_future *f = promise_of(0);
    reads(f, "pending");
    ok(filch_promise_start(f));
    reads(f, "running");
    ok(filch_promise_fail(f, FILCH_EBROKEN, NULL));
    reads(f, "finished: FILCH_EBROKEN");
    filch_future_release(f);
    f = promise_of(0);
    filch_future_cancel(f);
    reads(f, "cancelled");
    filch_future_release(f);
}

Test(describe, cuts_as_snprintf_does) {
    filch_future *f = promise_of(0);
    ok(filch_promise_fail(f, 12, "because"));
    char whole[200], part[200];
    int length = filch_future_describe(f, whole, sizeof whole);
    cr_assert_eq(filch_future_describe(f, NULL, 0), length);
    for (int size = 1; size <= length + 1; size++) {
        memset(part, 'x', sizeof part);
        cr_assert_eq(filch_future_describe(f, part, (size_t)size), length);
        cr_assert_eq(strlen(part), (size_t)size - 1);
        cr_assert_eq(memcmp(part, whole, (size_t)size - 1), 0);
        cr_assert_eq(part[size], 'x');
    }
    fails(FILCH_EINVAL, filch_future_describe(NULL, whole, sizeof whole));
    fails(FILCH_EINVAL, filch_future_describe(f, NULL, 1));
    filch_future_release(f);
}

/* Requests ------------------------------------------------------------------------------------------ */

static int until_requested(void *arg, void *result) {
    struct gate *gate = *(struct gate **)arg;
    (void)result;
    if (filch_cancel_requested()) return 1;
    flag_raise(&gate->reached);
    while (!filch_cancel_requested()) sched_yield();
    return filch_load_relaxed(&gate->open) != 0 ? FILCH_ECANCELED : 2;
}

Test(request_cancel, is_seen_by_the_task_that_runs) {
    filch_executor *e = executor_of(1);
    struct gate gate = {0, 0};
    filch_future *f = submit_pointer(e, until_requested, &gate);
    flag_wait(&gate.reached);
    filch_store_relaxed(&gate.open, 1u);
    cr_assert(filch_future_request_cancel(f));
    fails(FILCH_ECANCELED, filch_future_result(f, NULL, FILCH_FOREVER));
    cr_assert_not(filch_future_cancelled(f), "it ran");
    cr_assert_not(filch_future_request_cancel(f), "it has finished");
    filch_future_release(f);
    cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(e));
}

Test(request_cancel, cancels_what_has_not_started) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    filch_future *first = occupy(e, &gate), *f = submit_to(e, do_nothing, NULL, 0, 0);
    cr_assert(filch_future_request_cancel(f));
    cr_assert(filch_future_cancelled(f));
    cr_assert(filch_future_request_cancel(f), "already cancelled");
    open_gate(&gate, first);
    filch_future_release(f);
    cr_assert_not(filch_future_request_cancel(NULL));
    ok(filch_executor_destroy(e));
}

/* It is the innermost task that is asked, and no callback. */
static void note_request(filch_future *f, void *context) {
    (void)f;
    add(context, filch_cancel_requested() ? 100 : 1);
}
static int await_inner(void *arg, void *result) {
    struct gate *gate = *(struct gate **)arg;
    filch_future *inner;
    int called = 0;
    (void)result;
    flag_raise(&gate->reached);
    while (!filch_cancel_requested()) sched_yield();
    if (filch_submit(filch_current_executor(), do_nothing, NULL, 0, 0, &inner) != 0) return 1;
    if (filch_future_add_done_callback(inner, note_request, &called) != 0) return 2;
    if (finish(inner) != 0 || called != 1) return 3;
    return filch_cancel_requested() ? 0 : 4;
}

Test(request_cancel, of_the_innermost_task_only) {
    filch_executor *e = executor_of(1);
    struct gate gate = {0, 0};
    filch_future *f = submit_pointer(e, await_inner, &gate);
    flag_wait(&gate.reached);
    cr_assert(filch_future_request_cancel(f));
    cr_assert_eq(finish(f), 0);
    cr_assert_not(filch_cancel_requested(), "outside");
    ok(filch_executor_destroy(e));
}

Test(request_cancel, of_a_promise) {
    filch_future *f = promise_of(0);
    cr_assert_not(filch_promise_cancel_requested(f));
    ok(filch_promise_start(f));
    cr_assert_not(filch_promise_cancel_requested(f));
    cr_assert(filch_future_request_cancel(f));
    cr_assert(filch_promise_cancel_requested(f));
    ok(filch_promise_set(f, NULL, 0));
    cr_assert_not(filch_future_request_cancel(f));
    cr_assert_not(filch_promise_cancel_requested(NULL));
    filch_future_release(f);
}

/* Large results -------------------------------------------------------------------------------------- */

struct wish {
    size_t size;
    int rc, times;
};
static int give_bytes(void *arg, void *result) {
    struct wish *w = arg;
    *(int *)result = 8;
    for (int i = 0; i < w->times; i++) {
        unsigned char *bytes = filch_result_alloc(w->size + (size_t)(w->times - 1 - i));
        if (bytes == NULL) return 99;
        if ((uintptr_t)bytes % _Alignof(max_align_t) != 0) return 98;
        for (size_t k = 0; k < w->size; k++) bytes[k] = (unsigned char)(k + (size_t)i);
    }
    return w->rc != 0 ? filch_fail(w->rc, "after all") : 0;
}

Test(result_alloc, the_reader_sees_it_without_a_copy) {
    static const size_t sizes[] = {0, 1, 100, 4096, 3000000};
    long before = filch__fault_live_blocks();
    filch_executor *e = executor_of(1);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct wish w = {sizes[i], 0, 1 + (int)i % 3};
        const void *data = NULL;
        size_t size = 77;
        int small = 0;
        filch_snapshot s;
        filch_future *f = submit_to(e, give_bytes, &w, sizeof w, sizeof(int));
        ok(filch_future_result_view(f, &data, &size));
        cr_assert_eq(size, sizes[i]);
        const unsigned char *bytes = data;
        for (size_t k = 0; k < size; k++)
            if (bytes[k] != (unsigned char)(k + (size_t)(w.times - 1)))
                cr_assert_fail("byte %zu", k);
        ok(filch_future_result(f, &small, 0));
        cr_assert_eq(small, 8, "result_size bytes as always");
        ok(filch_future_snapshot(f, &s));
        cr_assert_eq(s.value, data);
        cr_assert_eq(s.size, size);
        filch_future_release(f);
    }
    ok(filch_executor_destroy(e));
    cr_assert_eq(filch__fault_live_blocks(), before);
}

Test(result_alloc, is_gone_when_the_task_fails) {
    long before = filch__fault_live_blocks();
    filch_executor *e = executor_of(1);
    struct wish w = {500, 3, 2};
    const void *data = &w;
    size_t size = 77;
    filch_error error;
    filch_future *f = submit_to(e, give_bytes, &w, sizeof w, sizeof(int));
    fails(3, filch_future_result_view(f, &data, &size));
    cr_assert_eq(data, &w);
    cr_assert_eq(size, 77);
    ok(filch_future_error(f, &error, 0));
    cr_assert_str_eq(error.text, "after all");
    filch_future_release(f);
    ok(filch_executor_destroy(e));
    cr_assert_eq(filch__fault_live_blocks(), before);
}

Test(result_alloc, without_it_the_view_is_of_the_result) {
    filch_executor *e = executor_of(1);
    const void *data = NULL;
    size_t size = 0;
    filch_error error;
    filch_future *f = submit_to(e, give_42, NULL, 0, 300);
    ok(filch_future_result_view(f, &data, &size));
    cr_assert_eq(size, 300);
    cr_assert_eq(*(const int *)data, 42);
    ok(filch_future_error(f, &error, 0));
    cr_assert_str_eq(error.text, filch_error_text(0));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

static int alloc_without_memory(void *arg, void *result) {
    (void)arg;
    (void)result;
    filch__fault_plan(FAULT_ALLOC, 0, true);
    void *none = filch_result_alloc(10);
    filch__fault_clear();
    if (none != NULL || strstr(filch_last_error(), "10 bytes") == NULL) return 1;
    return filch_result_alloc(SIZE_MAX) == NULL ? 0 : 2;
}

Test(result_alloc, no_memory_and_outside_of_a_task) {
    filch_executor *e = executor_of(1);
    cr_assert_eq(finish(submit_to(e, alloc_without_memory, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(e));
    cr_assert_null(filch_result_alloc(1));
    cr_assert_neq(filch_last_error()[0], '\0');
}

Test(result_alloc, bad_input_of_the_view) {
    filch_future *f = promise_of(4);
    const void *data = &f;
    size_t size = 5;
    int value = 3;
    fails(FILCH_EINVAL, filch_future_result_view(NULL, &data, &size));
    fails(FILCH_EINVAL, filch_future_result_view(f, NULL, &size));
    fails(FILCH_EINVAL, filch_future_result_view(f, &data, NULL));
    fails(FILCH_EINVAL, filch_future_result_view_until(NULL, &data, &size, 0));
    fails(FILCH_ETIMEDOUT, filch_future_result_view_until(f, &data, &size, 0));
    cr_assert_eq(data, &f);
    cr_assert_eq(size, 5);
    ok(filch_promise_set(f, &value, 4));
    ok(filch_future_result_view_until(f, &data, &size, 1));
    cr_assert_eq(size, 4);
    cr_assert_eq(*(const int *)data, 3);
    filch_future_release(f);
}

/* Absolute times ------------------------------------------------------------------------------------- */

static int result_until(filch_future *f, filch_nanoseconds deadline) {
    return filch_future_result_until(f, NULL, deadline);
}
static int isolated_until(filch_future *f, filch_nanoseconds deadline) {
    return filch_future_result_isolated_until(f, NULL, deadline);
}
static int error_until(filch_future *f, filch_nanoseconds deadline) {
    filch_error error;
    return filch_future_error_until(f, &error, deadline);
}
static int view_until(filch_future *f, filch_nanoseconds deadline) {
    const void *data;
    size_t size;
    return filch_future_result_view_until(f, &data, &size, deadline);
}
static int (*const waits[])(filch_future *, filch_nanoseconds) = {result_until, isolated_until,
                                                                  error_until, view_until};
enum { WAITS = sizeof waits / sizeof *waits };

static void set_it(void *f) {
    filch_promise_set(f, NULL, 0);
}
static int poll_inside(void *arg, void *result) {
    filch_executor *e = filch_current_executor();
    filch_future *child;
    int ran = 0, *pointer = &ran, rc = 0;
    (void)arg;
    (void)result;
    if (filch_submit(e, count_one, &pointer, sizeof pointer, 0, &child) != 0) return 1;
    for (int i = 0; i < WAITS; i++)
        if (waits[i](child, now() - 1) != FILCH_ETIMEDOUT || ran != 0) rc = 2;
    return finish(child) == 0 ? rc : 3;
}

Test(until, a_past_time_polls_and_a_future_one_waits) {
    for (int i = 0; i < WAITS; i++) {
        filch_future *f = promise_of(0);
        fails(FILCH_ETIMEDOUT, waits[i](f, INT64_MIN));
        fails(FILCH_ETIMEDOUT, waits[i](f, 0));
        fails(FILCH_ETIMEDOUT, waits[i](f, 1));
        filch_nanoseconds end = now() + 1000000;
        fails(FILCH_ETIMEDOUT, waits[i](f, end));
        cr_assert_geq(now(), end);
        pthread_t thread = thread_start(set_it, f);
        ok(waits[i](f, FILCH_FOREVER));
        thread_finish(thread);
        ok(waits[i](f, 0));
        filch_future_release(f);
        fails(FILCH_EINVAL, waits[i](NULL, 0));
    }
    filch_executor *e = executor_of(1);
    cr_assert_eq(finish(submit_to(e, poll_inside, NULL, 0, 0)), 0, "a poll runs nothing");
    ok(filch_executor_destroy(e));
}

Test(until, bad_input) {
    filch_future *f = promise_of(0);
    fails(FILCH_EINVAL, filch_future_error_until(f, NULL, 0));
    fails(FILCH_EINVAL, filch_future_result_isolated(NULL, NULL, 0));
    fails(FILCH_ETIMEDOUT, filch_future_result_isolated(f, NULL, 0));
    filch_future_release(f);
}

/* Isolated ------------------------------------------------------------------------------------------ */

/* A task with a child in its queue waits for a promise that another thread sets: the plain wait runs the
 * child on top, the isolated one does not, and it runs the awaited task itself. */
struct scene {
    filch_future *promise;
    int ran;
    bool isolated;
    struct gate gate;
};
static int wait_with_child(void *arg, void *result) {
    struct scene *s = *(struct scene **)arg;
    filch_executor *e = filch_current_executor();
    filch_future *child, *awaited;
    int *pointer = &s->ran, mine = 0, *own = &mine;
    (void)result;
    if (filch_submit(e, count_one, &pointer, sizeof pointer, 0, &child) != 0) return 1;
    if (filch_submit(e, count_one, &own, sizeof own, 0, &awaited) != 0) return 1;
    if (filch_future_result_isolated(awaited, NULL, FILCH_FOREVER) != 0 || mine != 1) return 2;
    flag_raise(&s->gate.reached);
    int rc = s->isolated ? filch_future_result_isolated(s->promise, NULL, FILCH_FOREVER)
                         : filch_future_result(s->promise, NULL, FILCH_FOREVER);
    int ran = read_int(&s->ran);
    filch_future_release(awaited);
    if (rc != 0 || finish(child) != 0) return 3;
    return ran == (s->isolated ? 0 : 1) ? 0 : 4;
}

Test(isolated, runs_no_descendants) {
    for (int isolated = 0; isolated < 2; isolated++) {
        filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
        options.max_workers = 1;
        options.max_spares = -1;
        filch_executor *e = executor_with(options);
        struct scene s = {promise_of(0), 0, isolated != 0, {0, 0}};
        filch_future *f = submit_pointer(e, wait_with_child, &s);
        flag_wait(&s.gate.reached);
        if (!s.isolated) wait_for_count(&s.ran, 1);
        linger(100);
        set_it(s.promise);
        cr_assert_eq(finish(f), 0);
        filch_future_release(s.promise);
        ok(filch_executor_destroy(e));
    }
}
