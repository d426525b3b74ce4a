/* inspect_test.c: large results, snapshots, descriptions, isolated waits and absolute times.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

TestSuite(conformance_inspect, .timeout = 30);

/* Results of any size ------------------------------------------------------------------------------ */

enum { LARGE = 3000000 };
static int give_many(void *arg, void *result) {
    size_t size = *(size_t *)arg;
    (void)filch_result_alloc(5); /* dropped by the next one */
    unsigned char *data = filch_result_alloc(size);
    if (data == NULL || (uintptr_t)data % _Alignof(max_align_t)) return 1;
    for (size_t i = 0; i < size; i++) data[i] = (unsigned char)(i % 251);
    *(int *)result = 12;
    return 0;
}

/* R-INSIDE-6, R-INSIDE-7 */
Test(conformance_inspect, a_result_larger_than_result_size_is_seen_in_place) {
    filch_executor *e = make_executor(1);
    size_t wanted = LARGE, size = 0, size_again = 0;
    const void *data = NULL, *again = NULL;
    int value = 0;
    filch_future *f = submit_to(e, give_many, &wanted, sizeof wanted, sizeof value);
    ok(filch_future_result_view(f, &data, &size));
    cr_assert_eq(size, LARGE);
    for (size_t i = 0; i < size; i++) cr_assert_eq(((const unsigned char *)data)[i], i % 251);
    ok(filch_future_result_view(f, &again, &size_again));
    cr_assert(again == data && size_again == size, "no copy");
    ok(filch_future_result(f, &value, FILCH_FOREVER));
    cr_assert_eq(value, 12, "beside it the result has its own bytes");
    ok(filch_executor_destroy(e));
    cr_assert_eq(((const unsigned char *)data)[LARGE - 1], (LARGE - 1) % 251, "until the release");
    filch_future_release(f);
}

static int alloc_and_fail(void *arg, void *result) {
    (void)result;
    return filch_result_alloc(100) == NULL ? 1 : *(int *)arg;
}

/* R-INSIDE-7 */
Test(conformance_inspect, a_view_is_of_the_result_bytes_where_nothing_was_allocated) {
    filch_executor *e = make_executor(1);
    filch_future *f = submit_int(e, square, 4), *bad = submit_int(e, alloc_and_fail, 9);
    const void *const untouched = &e;
    const void *data = untouched;
    size_t size = 77;
    cr_assert_eq(filch_future_result_view(bad, &data, &size), 9);
    cr_assert(data == untouched && size == 77, "written on success only");
    ok(filch_future_result_view(f, &data, &size));
    cr_assert(size == sizeof(int) && *(const int *)data == 16);
    fails(FILCH_EINVAL, filch_future_result_view(NULL, &data, &size));
    fails(FILCH_EINVAL, filch_future_result_view(f, NULL, &size));
    cr_assert_null(filch_result_alloc(10), "outside of a task");
    filch_future_release(f);
    filch_future_release(bad);
    ok(filch_executor_destroy(e));
}

/* Snapshots and descriptions ----------------------------------------------------------------------- */

static filch_snapshot snapshot_of(filch_future *f) {
    filch_snapshot snapshot = {FILCH_PENDING, 77, &snapshot, 77};
    ok(filch_future_snapshot(f, &snapshot));
    return snapshot;
}
static void check_empty(filch_snapshot snapshot, filch_state state, int code) {
    cr_assert_eq(snapshot.state, state);
    cr_assert_eq(snapshot.code, code);
    cr_assert(snapshot.value == NULL && snapshot.size == 0);
}

/* R-RESULT-9 */
Test(conformance_inspect, a_snapshot_in_each_state) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    filch_future *good = submit_int(e, square, 8), *bad = submit_int(e, return_code, 8);
    filch_future *cancelled = submit_int(e, square, 8);
    cr_assert(filch_future_cancel(cancelled));
    check_empty(snapshot_of(good), FILCH_PENDING, 0);
    check_empty(snapshot_of(busy.future), FILCH_RUNNING, 0);
    check_empty(snapshot_of(cancelled), FILCH_CANCELLED, FILCH_ECANCELED);
    let_go(&busy);
    ok(filch_future_result(good, NULL, FILCH_FOREVER));
    filch_snapshot snapshot = snapshot_of(good);
    cr_assert(snapshot.state == FILCH_FINISHED && snapshot.code == 0);
    cr_assert(snapshot.size == sizeof(int) && *(const int *)snapshot.value == 64);
    cr_assert_eq(filch_future_result(bad, NULL, FILCH_FOREVER), 8);
    check_empty(snapshot_of(bad), FILCH_FINISHED, 8);
    fails(FILCH_EINVAL, filch_future_snapshot(NULL, &snapshot));
    fails(FILCH_EINVAL, filch_future_snapshot(good, NULL));
    filch_future_release(good);
    filch_future_release(bad);
    filch_future_release(cancelled);
    ok(filch_executor_destroy(e));
}

struct looker {
    filch_future *future;
    int looking, torn;
};
/* Looks until it is finished: a state, code and value that do not belong together are torn. */
static void look_at_it(int index, void *context) {
    struct looker *looker = context;
    filch_snapshot s = {FILCH_PENDING, 0, NULL, 0};
    (void)index;
    add(&looker->looking, 1);
    while (s.state != FILCH_FINISHED) {
        if (filch_future_snapshot(looker->future, &s) != 0) add(&looker->torn, 1);
        bool good = s.state == FILCH_FINISHED
                        ? s.code == 0 && s.value != NULL && *(const int *)s.value == 169
                        : s.code == 0 && s.value == NULL && s.size == 0;
        if (!good) add(&looker->torn, 1);
        sched_yield();
    }
}

/* R-RESULT-9 */
Test(conformance_inspect, a_snapshot_is_of_one_moment) {
    filch_executor *e = make_executor(1);
    for (int i = 0; i < 50; i++) {
        struct looker looker = {submit_int(e, square, 13), 0, 0};
        run_threads(2, look_at_it, &looker);
        cr_assert_eq(looker.torn, 0);
        filch_future_release(looker.future);
    }
    ok(filch_executor_destroy(e));
}

static void check_line(filch_future *f, const char *part) {
    char line[200], pointer[40];
    int length = filch_future_describe(f, line, sizeof line);
    snprintf(pointer, sizeof pointer, "%p", (void *)f);
    cr_assert_eq(length, (int)strlen(line));
    cr_assert(strstr(line, part) && strstr(line, pointer), "%s has not %s", line, part);
    cr_assert_null(strchr(line, '\n'));
}

/* R-RESULT-10 */
Test(conformance_inspect, a_description_is_one_line_in_each_state) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    filch_future *good = submit_int(e, square, 8), *bad = submit_int(e, return_code, 8);
    filch_future *cancelled = submit_int(e, square, 8);
    cr_assert(filch_future_cancel(cancelled));
    check_line(good, "pending");
    check_line(busy.future, "running");
    check_line(cancelled, "cancelled");
    let_go(&busy);
    ok(filch_future_result(good, NULL, FILCH_FOREVER));
    cr_assert_eq(filch_future_result(bad, NULL, FILCH_FOREVER), 8);
    check_line(good, "finished: 0");
    check_line(bad, "finished: 8");
    filch_future_release(good);
    filch_future_release(bad);
    filch_future_release(cancelled);
    ok(filch_executor_destroy(e));
}

/* R-RESULT-10 */
Test(conformance_inspect, a_description_is_cut_like_snprintf_does) {
    filch_executor *e = make_executor(1);
    filch_future *f = submit_int(e, square, 8);
    char line[200], cut[8] = "xxxxxxx";
    ok(filch_future_result(f, NULL, FILCH_FOREVER));
    int length = filch_future_describe(f, line, sizeof line);
    cr_assert_eq(filch_future_describe(f, NULL, 0), length);
    cr_assert_eq(filch_future_describe(f, cut, 5), length);
    cr_assert(strncmp(cut, line, 4) == 0 && cut[4] == '\0' && cut[5] == 'x');
    fails(FILCH_EINVAL, filch_future_describe(NULL, line, sizeof line));
    fails(FILCH_EINVAL, filch_future_describe(f, NULL, 1));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* Isolated waits ------------------------------------------------------------------------------------ */

struct isolated {
    struct shared runs, thread_runs;
};
static _Thread_local int inside; /* a task of this thread waits in isolation */
static int note_inside(void *arg, void *result) {
    struct isolated *isolated = arg;
    (void)result;
    shared_add(isolated->runs, 1);
    if (inside) shared_add(isolated->thread_runs, 1);
    return 0;
}
/* The awaited task itself may run on top; what it submits may not. */
static int submit_another(void *arg, void *result) {
    (void)result;
    return filch_submit(filch_current_executor(), note_inside, arg, sizeof(struct isolated), 0,
                        NULL);
}
static int wait_isolated(void *arg, void *result) {
    filch_executor *e = filch_current_executor();
    filch_future *f;
    (void)result;
    for (int i = 0; i < 5; i++)
        if (filch_submit(e, note_inside, arg, sizeof(struct isolated), 0, NULL) != 0) return 1;
    if (filch_submit(e, submit_another, arg, sizeof(struct isolated), 0, &f) != 0) return 1;
    for (int i = 0; i < 5; i++)
        if (filch_submit(e, note_inside, arg, sizeof(struct isolated), 0, NULL) != 0) return 1;
    inside = 1;
    int rc = filch_future_result_isolated(f, NULL, FILCH_FOREVER);
    inside = 0;
    filch_future_release(f);
    return rc;
}

/* R-RESULT-6: its own children do not run on top of it either. */
Test(conformance_inspect, an_isolated_wait_runs_the_awaited_task_only) {
    for (int workers = 1; workers <= 2; workers++) {
        filch_executor *e = make_executor(workers);
        struct isolated isolated = {shared_alloc(sizeof(int)), shared_alloc(sizeof(int))};
        for (int i = 0; i < 20; i++)
            cr_assert_eq(finish(submit_to(e, wait_isolated, &isolated, sizeof isolated, 0)), 0);
        ok(filch_executor_destroy(e));
        cr_assert_eq(shared_read(isolated.runs), 20 * 11);
        cr_assert_eq(shared_read(isolated.thread_runs), 0);
    }
}

/* R-RESULT-6 */
Test(conformance_inspect, an_isolated_wait_outside_is_like_any_other) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    filch_future *f = submit_int(e, square, 5);
    int value = 0;
    fails(FILCH_ETIMEDOUT, filch_future_result_isolated(f, &value, 0));
    let_go(&busy);
    ok(filch_future_result_isolated(f, &value, FILCH_FOREVER));
    cr_assert_eq(value, 25);
    fails(FILCH_EINVAL, filch_future_result_isolated(NULL, &value, 0));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* Absolute times ------------------------------------------------------------------------------------ */

static filch_nanoseconds now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (filch_nanoseconds)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void check_past(filch_future *f, filch_nanoseconds deadline) {
    const void *data = NULL;
    size_t size;
    filch_error error;
    fails(FILCH_ETIMEDOUT, filch_future_result_until(f, NULL, deadline));
    fails(FILCH_ETIMEDOUT, filch_future_result_isolated_until(f, NULL, deadline));
    fails(FILCH_ETIMEDOUT, filch_future_result_view_until(f, &data, &size, deadline));
    fails(FILCH_ETIMEDOUT, filch_future_error_until(f, &error, deadline));
    cr_assert_eq(filch_wait_until(&f, 1, deadline, FILCH_ALL_COMPLETED), 0);
    filch_completions *it = NULL;
    filch_future *next = NULL;
    ok(filch_as_completed_until(&f, 1, deadline, &it));
    fails(FILCH_ETIMEDOUT, filch_completions_next(it, &next));
    ok(filch_completions_destroy(it));
    cr_assert(now() >= deadline && data == NULL && next == NULL);
}

static void check_future_times(filch_future *f, filch_nanoseconds deadline) {
    const void *data = NULL;
    size_t size = 0;
    int value = 0;
    filch_error error;
    ok(filch_future_result_until(f, &value, deadline));
    ok(filch_future_result_isolated_until(f, &value, deadline));
    ok(filch_future_result_view_until(f, &data, &size, deadline));
    ok(filch_future_error_until(f, &error, deadline));
    cr_assert_eq(filch_wait_until(&f, 1, deadline, FILCH_ALL_COMPLETED), 1);
    filch_completions *it = NULL;
    filch_future *next = NULL;
    ok(filch_as_completed_until(&f, 1, deadline, &it));
    ok(filch_completions_next(it, &next));
    ok(filch_completions_destroy(it));
    cr_assert(value == 36 && size == sizeof(int) && next == f && error.code == 0);
}

/* R-TIME-4 */
Test(conformance_inspect, until_forms_take_a_time_of_the_monotonic_clock) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    filch_future *f = submit_int(e, square, 6);
    check_past(f, INT64_MIN);
    check_past(f, -1);
    check_past(f, 0);
    check_past(f, now() - 1);
    check_past(f, now() + FILCH_MILLISECONDS(3));
    let_go(&busy);
    cr_assert_eq(filch_future_result_until(f, NULL, now() + FILCH_SECONDS(60)), 0);
    check_future_times(f, FILCH_FOREVER);
    check_future_times(f, now() + FILCH_SECONDS(60));
    check_future_times(f, 0);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}
