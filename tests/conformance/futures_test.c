/* futures_test.c: references, states, results and times.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

TestSuite(conformance_futures, .timeout = 30);

/* References -------------------------------------------------------------------------------------- */

/* R-FUTURE-1 */
Test(conformance_futures, each_reference_keeps_the_future) {
    filch_executor *e = make_executor(1);
    filch_future *f = submit_int(e, square, 5);
    int value = 0;
    cr_assert_eq(filch_future_retain(f), f);
    cr_assert_eq(filch_future_retain(f), f);
    filch_future_release(f);
    ok(filch_future_result(f, &value, FILCH_FOREVER));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
    value = 0;
    ok(filch_future_result(f, &value, 0));
    cr_assert_eq(value, 25);
    filch_future_release(f);
}

/* R-FUTURE-2 */
Test(conformance_futures, the_task_of_a_released_future_runs) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    struct shared runs = shared_alloc(sizeof(int));
    for (int i = 0; i < 20; i++) filch_future_release(submit_shared(e, add_one, runs));
    let_go(&busy);
    ok(filch_executor_destroy(e));
    cr_assert_eq(shared_read(runs), 20);
}

/* R-FUTURE-3 */
Test(conformance_futures, futures_outlive_their_executor) {
    filch_executor *e = make_executor(2);
    struct held busy = hold_worker(e), second = hold_worker(e);
    filch_future *good = submit_int(e, square, 6), *bad = submit_int(e, return_code, 3);
    filch_future *cancelled = submit_int(e, square, 6);
    int value = 0;
    cr_assert(filch_future_cancel(cancelled));
    let_go(&busy);
    let_go(&second);
    ok(filch_executor_destroy(e));
    ok(filch_future_result(good, &value, FILCH_FOREVER));
    cr_assert_eq(value, 36);
    cr_assert_eq(filch_future_result(bad, &value, 0), 3);
    cr_assert(filch_future_done(bad) && filch_future_cancelled(cancelled));
    cr_assert(filch_future_cancel(cancelled) && !filch_future_cancel(good));
    filch_future_release(good);
    filch_future_release(bad);
    filch_future_release(cancelled);
}

struct releases {
    filch_executor *executor;
    int n;
};
static void submit_wait_release(int index, void *context) {
    struct releases *releases = context;
    for (int i = 0; i < releases->n; i++) {
        filch_future *f = NULL;
        int value = 0;
        if (filch_submit(releases->executor, square, &i, sizeof i, sizeof i, &f) != 0) abort();
        if ((i + index) % 2 && filch_future_result(f, &value, FILCH_FOREVER) != 0) abort();
        if ((i + index) % 2 && value != i * i) abort();
        filch_future_release(f);
    }
}

/* R-MENDED-9: a sanitizer sees who comes too late. */
Test(conformance_futures, a_waiter_may_free_it_as_soon_as_it_is_done) {
    struct releases releases = {make_executor(2), 300};
    long before = filch__fault_live_blocks();
    run_threads(3, submit_wait_release, &releases);
    ok(filch_executor_destroy(releases.executor));
    cr_assert_leq(filch__fault_live_blocks(), before);
}

/* Results ------------------------------------------------------------------------------------------ */

/* R-RESULT-1, R-RESULT-5 */
Test(conformance_futures, a_result_is_read_any_number_of_times) {
    filch_executor *e = make_executor(1);
    filch_future *f = submit_int(e, square, 9), *bad = submit_int(e, return_code, 9);
    for (int i = 0; i < 5; i++) {
        int value = 0;
        ok(filch_future_result(f, NULL, FILCH_FOREVER));
        ok(filch_future_result(f, &value, FILCH_FOREVER));
        cr_assert_eq(value, 81);
        cr_assert_eq(filch_future_result(bad, &value, FILCH_FOREVER), 9);
        cr_assert_eq(value, 81);
    }
    filch_future_release(f);
    filch_future_release(bad);
    ok(filch_executor_destroy(e));
}

struct readers {
    filch_future *future;
    int about_to_wait, good;
};
static void read_result(int index, void *context) {
    struct readers *readers = context;
    int value = 0;
    add(&readers->about_to_wait, 1);
    if (filch_future_result(readers->future, index % 2 ? &value : NULL, FILCH_FOREVER) == 0 &&
        value == (index % 2 ? 49 : 0))
        add(&readers->good, 1);
}
struct later {
    struct readers *readers;
    struct held *busy;
};
static void release_the_worker(void *context) {
    struct later *later = context;
    wait_for_count(&later->readers->about_to_wait, 8);
    usleep(2000); /* most of them sleep */
    shared_add(later->busy->hold.open, 1);
}

/* R-RESULT-5, R-START-5: those that sleep are all woken. */
Test(conformance_futures, many_threads_wait_for_one_result) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    struct readers readers = {submit_int(e, square, 7), 0, 0};
    struct later later = {&readers, &busy};
    pthread_t opener = thread_start(release_the_worker, &later);
    run_threads(8, read_result, &readers);
    thread_finish(opener);
    cr_assert_eq(readers.good, 8);
    filch_future_release(busy.future);
    filch_future_release(readers.future);
    ok(filch_executor_destroy(e));
}

/* R-RESULT-7 */
Test(conformance_futures, error_says_how_it_ended_and_where) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    filch_future *good = submit_int(e, square, 2), *bad = submit_int(e, return_code, 8);
    filch_future *cancelled = submit_int(e, square, 2);
    filch_error error;
    cr_assert(filch_future_cancel(cancelled));
    let_go(&busy);
    ok(filch_future_error(good, &error, FILCH_FOREVER));
    cr_assert_eq(error.code, 0);
    cr_assert_not_null(error.text);
    ok(filch_future_error(bad, &error, FILCH_FOREVER));
    cr_assert_eq(error.code, 8);
    cr_assert_str_eq(error.text, filch_error_text(8));
    cr_assert(error.origin.worker >= 0 && error.origin.worker < filch_executor_worker_limit(e));
    cr_assert_gt(error.origin.pid, 0);
    if (factory()->properties & SAME_MEMORY) cr_assert_eq(error.origin.pid, (int)getpid());
    ok(filch_future_error(cancelled, &error, FILCH_FOREVER));
    cr_assert_eq(error.code, FILCH_ECANCELED);
    cr_assert(error.origin.worker == -1 && error.origin.pid == 0, "it never started");
    filch_future_release(good);
    filch_future_release(bad);
    filch_future_release(cancelled);
    ok(filch_executor_destroy(e));
}

/* States ------------------------------------------------------------------------------------------- */

enum { PENDING = 0, FINISHED = 1, RUNNING = 2, CANCELLED = 1 + 4 };
static int state_of(filch_future *f) {
    return (filch_future_done(f) ? 1 : 0) + (filch_future_running(f) ? 2 : 0) +
           (filch_future_cancelled(f) ? 4 : 0);
}

/* R-STATE-1, R-STATE-2, R-RESULT-8 */
Test(conformance_futures, pending_then_running_then_finished_or_cancelled) {
    filch_executor *e = make_executor(1);
    struct held first = hold_worker(e), second = hold_queued(e);
    filch_future *failed = submit_int(e, return_code, 5), *cancelled = submit_int(e, square, 5);
    filch_future *f = filch_future_retain(second.future);
    cr_assert_eq(state_of(first.future), RUNNING);
    cr_assert_eq(state_of(f), PENDING);
    cr_assert(filch_future_cancel(cancelled));
    cr_assert_eq(state_of(cancelled), CANCELLED);
    let_go(&first);
    shared_wait(second.hold.reached, 1);
    cr_assert_eq(state_of(f), RUNNING);
    cr_assert_eq(state_of(failed), PENDING);
    let_go(&second);
    cr_assert_eq(state_of(f), FINISHED);
    cr_assert_eq(filch_future_result(failed, NULL, FILCH_FOREVER), 5);
    cr_assert_eq(state_of(failed), FINISHED, "a failure is an end like any other");
    cr_assert_eq(state_of(cancelled), CANCELLED);
    filch_future_release(f);
    filch_future_release(failed);
    filch_future_release(cancelled);
    ok(filch_executor_destroy(e));
}

/* Times -------------------------------------------------------------------------------------------- */

/* R-TIME-1, R-RESULT-4 */
Test(conformance_futures, zero_and_negative_times_poll_and_change_nothing) {
    static const filch_nanoseconds polls[] = {0, -1, -1000000000, INT64_MIN};
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    filch_future *f = submit_int(e, square, 3);
    filch_error error;
    int value = 1;
    for (size_t i = 0; i < sizeof polls / sizeof polls[0]; i++) {
        fails(FILCH_ETIMEDOUT, filch_future_result(f, &value, polls[i]));
        fails(FILCH_ETIMEDOUT, filch_future_error(f, &error, polls[i]));
        fails(FILCH_ETIMEDOUT, filch_future_result(busy.future, NULL, polls[i]));
    }
    cr_assert(state_of(f) == PENDING && state_of(busy.future) == RUNNING && value == 1);
    let_go(&busy);
    ok(filch_future_result(f, &value, FILCH_FOREVER));
    cr_assert_eq(value, 9);
    for (size_t i = 0; i < sizeof polls / sizeof polls[0]; i++)
        ok(filch_future_result(f, &value, polls[i]));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

static filch_nanoseconds now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (filch_nanoseconds)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* R-RESULT-4, R-TIME-1: it waits for that long, and not less. */
Test(conformance_futures, a_time_is_waited_for_and_the_future_goes_on) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    filch_nanoseconds begin = now();
    fails(FILCH_ETIMEDOUT, filch_future_result(busy.future, NULL, FILCH_MILLISECONDS(5)));
    cr_assert_geq(now() - begin, FILCH_MILLISECONDS(5));
    cr_assert_eq(state_of(busy.future), RUNNING);
    let_go(&busy);
    ok(filch_executor_destroy(e));
}

struct patient {
    filch_future *future;
    filch_nanoseconds timeout;
    int about_to_wait, rc;
};
static void wait_patiently(void *context) {
    struct patient *patient = context;
    add(&patient->about_to_wait, 1);
    patient->rc = filch_future_result(patient->future, NULL, patient->timeout);
}

/* R-TIME-2 */
Test(conformance_futures, huge_times_wait) {
    static const filch_nanoseconds times[] = {FILCH_FOREVER, INT64_MAX - 1, INT64_MAX / 2,
                                              INT64_MAX / 1000};
    filch_executor *e = make_executor(1);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        struct held busy = hold_worker(e);
        struct patient patient = {busy.future, times[i], 0, 77};
        pthread_t thread = thread_start(wait_patiently, &patient);
        wait_for_count(&patient.about_to_wait, 1);
        usleep(1000);
        shared_add(busy.hold.open, 1);
        thread_finish(thread);
        cr_assert_eq(patient.rc, 0);
        filch_future_release(busy.future);
    }
    ok(filch_executor_destroy(e));
}

/* R-TIME-3 */
Test(conformance_futures, seconds_and_milliseconds_do_not_overflow) {
    volatile double none = 0.0;
    cr_assert_eq(FILCH_SECONDS(3), 3000000000);
    cr_assert_eq(FILCH_SECONDS(0.5), 500000000);
    cr_assert_eq(FILCH_MILLISECONDS(7), 7000000);
    cr_assert_eq(FILCH_SECONDS(1e30), FILCH_FOREVER);
    cr_assert_eq(FILCH_MILLISECONDS(INT64_MAX), FILCH_FOREVER);
    cr_assert_leq(FILCH_SECONDS(-1e30), 0);
    cr_assert_leq(FILCH_SECONDS(none / none), 0);
}

static int wait_inside(void *arg, void *result) {
    struct hold hold = *(struct hold *)arg;
    filch_future *f;
    int rc = filch_submit(filch_current_executor(), stay, &hold, sizeof hold, 0, &f);
    (void)result;
    if (rc != 0) return rc;
    shared_wait(hold.reached, 1); /* the other worker has it */
    int first = filch_future_result(f, NULL, 0);
    int second = filch_future_result(f, NULL, FILCH_MILLISECONDS(1));
    bool running = filch_future_running(f);
    shared_add(hold.open, 1);
    rc = filch_future_result(f, NULL, FILCH_FOREVER);
    filch_future_release(f);
    return first == FILCH_ETIMEDOUT && second == FILCH_ETIMEDOUT && running ? rc : 1;
}

/* R-TIME-1, R-RESULT-4 */
Test(conformance_futures, times_hold_inside_a_task_too) {
    filch_executor *e = make_executor(2);
    struct hold hold = {shared_alloc(sizeof(int)), shared_alloc(sizeof(int))};
    cr_assert_eq(finish(submit_to(e, wait_inside, &hold, sizeof hold, 0)), 0);
    ok(filch_executor_destroy(e));
}
