/* promises_test.c: futures that the program completes, alone and among those of tasks.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"
#include <unistd.h>

TestSuite(conformance_promises, .timeout = 30);

static filch_future *promise_of(size_t result_size) {
    filch_future *f = NULL;
    ok(filch_promise(result_size, &f));
    return f;
}
static void note_done(filch_future *f, void *context) {
    if (filch_future_done(f)) add(context, 1);
}

/* R-PROMISE-1, R-PROMISE-6 */
Test(conformance_promises, set_gives_the_value_without_a_start) {
    filch_future *f = promise_of(sizeof(int));
    int value = 41, seen = 0, called = 0;
    ok(filch_future_add_done_callback(f, note_done, &called));
    fails(FILCH_ETIMEDOUT, filch_future_result(f, &seen, 0));
    cr_assert(!filch_future_done(f) && !filch_future_running(f));
    ok(filch_promise_set(f, &value, sizeof value));
    cr_assert(filch_future_done(f) && !filch_future_cancelled(f) && called == 1);
    ok(filch_future_result(f, &seen, FILCH_FOREVER));
    cr_assert_eq(seen, 41);
    cr_assert_not(filch_future_cancel(f));
    filch_future_release(f);
}

/* R-PROMISE-2 */
Test(conformance_promises, fail_gives_the_code_and_the_text) {
    filch_future *f = promise_of(sizeof(int)), *bare = promise_of(0);
    filch_error error;
    int value = 8;
    ok(filch_promise_fail(f, 5, "no %s of %d", "third", 2));
    cr_assert_eq(filch_future_result(f, &value, FILCH_FOREVER), 5);
    ok(filch_future_error(f, &error, FILCH_FOREVER));
    cr_assert_str_eq(error.text, "no third of 2");
    cr_assert_eq(value, 8);
    ok(filch_promise_fail(bare, FILCH_ENOTSUP, NULL));
    ok(filch_future_error(bare, &error, FILCH_FOREVER));
    cr_assert_eq(error.code, FILCH_ENOTSUP);
    cr_assert_str_eq(error.text, filch_error_text(FILCH_ENOTSUP));
    filch_future_release(f);
    filch_future_release(bare);
}

/* R-PROMISE-3 */
Test(conformance_promises, a_second_completion_is_refused_and_the_first_stays) {
    filch_future *good = promise_of(sizeof(int)), *bad = promise_of(sizeof(int));
    int first = 1, second = 2, seen = 0, called = 0;
    filch_error error;
    ok(filch_future_add_done_callback(good, note_done, &called));
    ok(filch_promise_set(good, &first, sizeof first));
    fails(FILCH_ESTATE, filch_promise_set(good, &second, sizeof second));
    fails(FILCH_ESTATE, filch_promise_fail(good, 3, "too late"));
    fails(FILCH_ESTATE, filch_promise_start(good));
    ok(filch_future_result(good, &seen, 0));
    cr_assert(seen == 1 && called == 1);
    ok(filch_promise_fail(bad, 3, "the first"));
    fails(FILCH_ESTATE, filch_promise_set(bad, &second, sizeof second));
    fails(FILCH_ESTATE, filch_promise_fail(bad, 4, "the second"));
    ok(filch_future_error(bad, &error, 0));
    cr_assert_eq(error.code, 3);
    cr_assert_str_eq(error.text, "the first");
    filch_future_release(good);
    filch_future_release(bad);
}

/* R-PROMISE-4, R-PROMISE-5 */
Test(conformance_promises, after_a_cancel_nothing_completes_it) {
    filch_future *f = promise_of(sizeof(int));
    int value = 1, called = 0;
    ok(filch_future_add_done_callback(f, note_done, &called));
    cr_assert(filch_future_cancel(f) && filch_future_cancel(f));
    cr_assert_eq(called, 1);
    fails(FILCH_ESTATE, filch_promise_start(f));
    fails(FILCH_ESTATE, filch_promise_set(f, &value, sizeof value));
    fails(FILCH_ESTATE, filch_promise_fail(f, 2, NULL));
    cr_assert(filch_future_cancelled(f) && called == 1);
    fails(FILCH_ECANCELED, filch_future_result(f, &value, FILCH_FOREVER));
    filch_future_release(f);
}

/* R-PROMISE-5, R-CANCEL-2, R-CANCEL-5 */
Test(conformance_promises, a_start_makes_it_running) {
    filch_future *f = promise_of(sizeof(int));
    int value = 6, seen = 0;
    ok(filch_promise_start(f));
    cr_assert(filch_future_running(f) && !filch_future_done(f));
    fails(FILCH_ESTATE, filch_promise_start(f));
    cr_assert_not(filch_future_cancel(f));
    cr_assert_not(filch_promise_cancel_requested(f));
    cr_assert(filch_future_request_cancel(f));
    cr_assert(filch_promise_cancel_requested(f) && filch_future_running(f));
    ok(filch_promise_set(f, &value, sizeof value));
    ok(filch_future_result(f, &seen, 0));
    cr_assert(seen == 6 && !filch_future_running(f));
    filch_future_release(f);
}

/* R-VALUE-8, R-VALUE-12 */
Test(conformance_promises, bad_arguments_change_nothing) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    filch_future *f = promise_of(sizeof(int)), *const task = busy.future;
    int value = 6;
    fails(FILCH_EINVAL, filch_promise(sizeof(int), NULL));
    fails(FILCH_ETOOBIG, filch_promise(SIZE_MAX, &f));
    fails(FILCH_EINVAL, filch_promise_set(f, &value, sizeof value - 1));
    fails(FILCH_EINVAL, filch_promise_set(f, NULL, sizeof value));
    fails(FILCH_EINVAL, filch_promise_fail(f, 0, NULL));
    fails(FILCH_EINVAL, filch_promise_fail(f, -10999, NULL));
    fails(FILCH_EINVAL, filch_promise_set(task, NULL, 0));
    fails(FILCH_EINVAL, filch_promise_fail(task, 3, NULL));
    fails(FILCH_EINVAL, filch_promise_start(task));
    fails(FILCH_EINVAL, filch_promise_start(NULL));
    cr_assert_not(filch_future_done(f) || filch_future_done(task));
    let_go(&busy);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

struct completion {
    filch_future *future;
    int waiting, rc, value;
};
static void wait_for_promise(int index, void *context) {
    struct completion *completion = context;
    int value = 0;
    (void)index;
    add(&completion->waiting, 1);
    if (filch_future_result(completion->future, &value, FILCH_FOREVER) == 0 && value == 19)
        add(&completion->value, 1);
}
static void complete_it(void *context) {
    struct completion *completion = context;
    int value = 19;
    wait_for_count(&completion->waiting, 4);
    usleep(1000);
    completion->rc = filch_promise_set(completion->future, &value, sizeof value);
}

/* R-PROMISE-1 */
Test(conformance_promises, wakes_all_who_wait) {
    struct completion completion = {promise_of(sizeof(int)), 0, 77, 0};
    pthread_t thread = thread_start(complete_it, &completion);
    run_threads(4, wait_for_promise, &completion);
    thread_finish(thread);
    cr_assert(completion.rc == 0 && completion.value == 4);
    filch_future_release(completion.future);
}

static int complete_pointer(void *arg, void *result) {
    int value = 23;
    (void)result;
    return filch_promise_set(*(filch_future **)arg, &value, sizeof value);
}
static int wait_for_pointer(void *arg, void *result) {
    return filch_future_result(*(filch_future **)arg, result, FILCH_FOREVER);
}

/* R-PROMISE-1, R-WORKER-10: one task waits, another completes it. */
Test(conformance_promises, tasks_complete_it_and_wait_for_it) {
    needs(SAME_MEMORY);
    for (int workers = 1; workers <= 2; workers++) {
        filch_executor *e = make_executor(workers);
        filch_future *promise = promise_of(sizeof(int));
        filch_future *waits = submit_to(e, wait_for_pointer, &promise, sizeof promise, sizeof(int));
        filch_future *sets = submit_pointer(e, complete_pointer, promise);
        int value = 0;
        ok(filch_future_result(waits, &value, FILCH_FOREVER));
        cr_assert(value == 23 && finish(sets) == 0);
        filch_future_release(waits);
        filch_future_release(promise);
        ok(filch_executor_destroy(e));
    }
}

/* R-MENDED-6: a loop that completes others goes on. */
Test(conformance_promises, one_completed_twice_stops_no_loop) {
    enum { N = 20 };
    filch_future *futures[N];
    int refused = 0, value = 3;
    for (int i = 0; i < N; i++) futures[i] = promise_of(sizeof(int));
    ok(filch_promise_set(futures[4], &value, sizeof value));
    cr_assert(filch_future_cancel(futures[9]));
    for (int i = 0; i < N; i++) {
        int rc = filch_promise_set(futures[i], &i, sizeof i);
        if (rc == FILCH_ESTATE) refused++;
    }
    cr_assert_eq(refused, 2);
    cr_assert_eq(filch_wait(futures, N, 0, FILCH_ALL_COMPLETED), N);
    for (int i = 0; i < N; i++) {
        int seen = -1, rc = filch_future_result(futures[i], &seen, 0);
        cr_assert_eq(rc, i == 9 ? FILCH_ECANCELED : 0);
        cr_assert_eq(seen, i == 9 ? -1 : i == 4 ? 3 : i);
        filch_future_release(futures[i]);
    }
}
