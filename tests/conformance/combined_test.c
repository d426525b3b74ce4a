/* combined_test.c: futures made of futures.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"

TestSuite(conformance_combined, .timeout = 30);

static filch_future *promise(void) {
    filch_future *f = NULL;
    ok(filch_promise(0, &f));
    return f;
}
static void check_text(filch_future *f, int code, const char *text) {
    filch_error error;
    ok(filch_future_error(f, &error, FILCH_FOREVER));
    cr_assert_eq(error.code, code);
    cr_assert_str_eq(error.text, text);
}

/* R-MADE-1 */
Test(conformance_combined, all_ends_with_the_last) {
    filch_executor *e = make_executor(2);
    filch_future *array[3] = {submit_int(e, square, 2), promise(), submit_int(e, square, 3)};
    filch_future *f = NULL, *none = NULL;
    ok(filch_all(array, 3, &f));
    ok(filch_future_result(array[0], NULL, FILCH_FOREVER));
    ok(filch_future_result(array[2], NULL, FILCH_FOREVER));
    fails(FILCH_ETIMEDOUT, filch_future_result(f, NULL, 0));
    ok(filch_promise_set(array[1], NULL, 0));
    ok(filch_future_result(f, NULL, FILCH_FOREVER));
    ok(filch_all(NULL, 0, &none));
    ok(filch_future_result(none, NULL, 0));
    for (int i = 0; i < 3; i++) filch_future_release(array[i]);
    filch_future_release(f);
    filch_future_release(none);
    ok(filch_executor_destroy(e));
}

/* R-MADE-1, R-MADE-4: the first that failed in time. */
Test(conformance_combined, all_gives_the_first_error) {
    filch_future *array[3] = {promise(), promise(), promise()}, *f = NULL;
    ok(filch_all(array, 3, &f));
    ok(filch_promise_fail(array[2], 7, "the first"));
    ok(filch_promise_fail(array[0], 8, "the second"));
    cr_assert_not(filch_future_done(f), "not before all are done");
    ok(filch_promise_set(array[1], NULL, 0));
    check_text(f, 7, "the first");
    for (int i = 0; i < 3; i++) filch_future_release(array[i]);
    filch_future_release(f);
}

/* R-MADE-2 */
Test(conformance_combined, any_is_the_first_that_succeeds) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    filch_future *array[3] = {busy.future, promise(), submit_int(e, square, 2)}, *f = NULL;
    size_t place = 77;
    ok(filch_any(array, 3, &f));
    fails(FILCH_ETIMEDOUT, filch_future_result(f, &place, 0));
    cr_assert(filch_future_cancel(array[2]));
    cr_assert_not(filch_future_done(f));
    ok(filch_promise_set(array[1], NULL, 0));
    ok(filch_future_result(f, &place, FILCH_FOREVER));
    cr_assert_eq(place, 1);
    cr_assert(filch_future_running(busy.future), "the others are left as they are");
    let_go(&busy);
    filch_future_release(array[1]);
    filch_future_release(array[2]);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* R-MADE-2, R-MADE-4 */
Test(conformance_combined, any_of_failures_gives_the_last_error) {
    filch_future *array[2] = {promise(), promise()}, *f = NULL;
    ok(filch_any(array, 2, &f));
    ok(filch_promise_fail(array[1], 3, "early"));
    cr_assert_not(filch_future_done(f));
    ok(filch_promise_fail(array[0], 4, "late"));
    check_text(f, 4, "late");
    filch_future_release(array[0]);
    filch_future_release(array[1]);
    filch_future_release(f);
}

struct plus {
    struct shared runs;
    int n;
};
/* The future of a task is in the memory of the program, so this stays there. */
static int add_to_it(filch_future *done, void *arg, void *result) {
    struct plus *plus = arg;
    int value = 0, rc = filch_future_result(done, &value, 0);
    shared_add(plus->runs, 1);
    if (rc != 0) return 99;
    if (plus->n < 0) return filch_fail(6, "%d is below zero", plus->n);
    *(int *)result = value + plus->n;
    return 0;
}

/* R-MADE-3 */
Test(conformance_combined, then_starts_when_it_is_done) {
    needs(SAME_MEMORY);
    filch_executor *e = make_executor(1), *other = make_executor(1);
    struct held busy = hold_worker(e);
    struct plus plus = {shared_alloc(sizeof(int)), 5};
    filch_future *first = submit_int(e, square, 3), *second = NULL, *third = NULL;
    int value = 0;
    ok(filch_then(first, other, add_to_it, &plus, sizeof plus, sizeof value, &second));
    plus.n = 100; /* the argument is copied */
    ok(filch_then(second, e, add_to_it, &plus, sizeof plus, sizeof value, &third));
    fails(FILCH_ETIMEDOUT, filch_future_result(second, NULL, 0));
    cr_assert_eq(shared_read(plus.runs), 0);
    filch_future_release(first);
    let_go(&busy);
    ok(filch_future_result(second, &value, FILCH_FOREVER));
    cr_assert_eq(value, 14);
    ok(filch_future_result(third, &value, FILCH_FOREVER));
    cr_assert_eq(value, 114);
    filch_future_release(second);
    filch_future_release(third);
    ok(filch_executor_destroy(e));
    ok(filch_executor_destroy(other));
}

/* R-MADE-4 */
Test(conformance_combined, then_passes_errors_on) {
    needs(SAME_MEMORY);
    filch_executor *e = make_executor(1);
    struct plus plus = {shared_alloc(sizeof(int)), -1};
    filch_future *first = promise(), *second = NULL, *own = NULL, *good = promise();
    ok(filch_then(first, e, add_to_it, &plus, sizeof plus, sizeof(int), &second));
    ok(filch_promise_fail(first, 5, "it rains"));
    check_text(second, 5, "it rains");
    cr_assert_eq(shared_read(plus.runs), 0, "it was not called");
    ok(filch_promise_set(good, NULL, 0));
    ok(filch_then(good, e, add_to_it, &plus, sizeof plus, sizeof(int), &own));
    check_text(own, 6, "-1 is below zero");
    filch_future_release(first);
    filch_future_release(second);
    filch_future_release(good);
    filch_future_release(own);
    ok(filch_executor_destroy(e));
}

/* R-MADE-5 */
Test(conformance_combined, cancellation_is_passed_on) {
    needs(SAME_MEMORY);
    filch_executor *e = make_executor(1);
    struct plus plus = {shared_alloc(sizeof(int)), 1};
    filch_future *a = promise(), *b = promise(), *both[2] = {a, b};
    filch_future *all = NULL, *any = NULL, *then = NULL;
    ok(filch_all(both, 2, &all));
    ok(filch_any(both, 2, &any));
    ok(filch_then(a, e, add_to_it, &plus, sizeof plus, sizeof(int), &then));
    cr_assert(filch_future_cancel(a) && filch_future_cancelled(then));
    cr_assert(filch_future_cancel(b));
    fails(FILCH_ECANCELED, filch_future_result(all, NULL, FILCH_FOREVER));
    fails(FILCH_ECANCELED, filch_future_result(any, NULL, FILCH_FOREVER));
    fails(FILCH_ECANCELED, filch_future_result(then, NULL, FILCH_FOREVER));
    cr_assert(filch_future_cancelled(all) && filch_future_cancelled(any));
    filch_future *made[] = {a, b, all, any, then};
    for (int i = 0; i < 5; i++) filch_future_release(made[i]);
    ok(filch_executor_destroy(e));
    cr_assert_eq(shared_read(plus.runs), 0);
}

/* R-MADE-5: the made one is cancelled before it starts. */
Test(conformance_combined, a_cancelled_then_never_runs_and_leaves_the_input) {
    needs(SAME_MEMORY);
    filch_executor *e = make_executor(1);
    struct plus plus = {shared_alloc(sizeof(int)), 1};
    filch_future *a = promise(), *then = NULL;
    ok(filch_then(a, e, add_to_it, &plus, sizeof plus, sizeof(int), &then));
    cr_assert(filch_future_cancel(then) && !filch_future_done(a));
    ok(filch_promise_set(a, NULL, 0));
    filch_future_release(a);
    filch_future_release(then);
    ok(filch_executor_destroy(e));
    cr_assert_eq(shared_read(plus.runs), 0);
}

/* R-VALUE-8, R-VALUE-6 */
Test(conformance_combined, bad_arguments) {
    filch_future *a = promise(), *array[2] = {a, NULL}, *const untouched = (filch_future *)&array;
    filch_future *f = untouched;
    struct plus plus = {{0, 0, 0}, 0};
    fails(FILCH_EINVAL, filch_all(array, 2, &f));
    fails(FILCH_EINVAL, filch_all(NULL, 1, &f));
    fails(FILCH_EINVAL, filch_all(array, 1, NULL));
    fails(FILCH_EINVAL, filch_any(array, 2, &f));
    fails(FILCH_EINVAL, filch_any(array, 0, &f));
    fails(FILCH_EINVAL, filch_then(NULL, NULL, add_to_it, &plus, sizeof plus, 0, &f));
    fails(FILCH_EINVAL, filch_then(a, NULL, NULL, &plus, sizeof plus, 0, &f));
    fails(FILCH_EINVAL, filch_then(a, NULL, add_to_it, NULL, sizeof plus, 0, &f));
    fails(FILCH_ETOOBIG, filch_then(a, NULL, add_to_it, &plus, SIZE_MAX, 0, &f));
    cr_assert_eq(f, untouched);
    filch_future_release(a);
}
