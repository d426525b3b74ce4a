/* values_test.c: what calls return, and what they leave alone when they fail.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"
#include <errno.h>
#include <stdio.h>

TestSuite(conformance_values, .timeout = 30);

/* R-VALUE-1 */
Test(conformance_values, a_positive_code_is_the_tasks_own) {
    filch_executor *e = make_executor(2);
    static const int codes[] = {1, 2, 255, 4096, 10001, INT32_MAX};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        cr_assert_eq(finish(submit_int(e, return_code, codes[i])), codes[i]);
    ok(filch_executor_destroy(e));
}

/* The values that a program may have compiled in. */
static const struct {
    int code, value;
    const char *name;
} fixed[] = {
    {FILCH_OK, 0, "FILCH_OK"},
    {FILCH_ECANCELED, -ECANCELED, "FILCH_ECANCELED"},
    {FILCH_ETIMEDOUT, -ETIMEDOUT, "FILCH_ETIMEDOUT"},
    {FILCH_EINVAL, -EINVAL, "FILCH_EINVAL"},
    {FILCH_ENOMEM, -ENOMEM, "FILCH_ENOMEM"},
    {FILCH_EAGAIN, -EAGAIN, "FILCH_EAGAIN"},
    {FILCH_EDEADLK, -EDEADLK, "FILCH_EDEADLK"},
    {FILCH_ESHUTDOWN, -ESHUTDOWN, "FILCH_ESHUTDOWN"},
    {FILCH_ENOTSUP, -ENOTSUP, "FILCH_ENOTSUP"},
    {FILCH_EBROKEN, -10001, "FILCH_EBROKEN"},
    {FILCH_EWORKER, -10002, "FILCH_EWORKER"},
    {FILCH_EFORKED, -10003, "FILCH_EFORKED"},
    {FILCH_ESTATE, -10004, "FILCH_ESTATE"},
    {FILCH_ETOOBIG, -10005, "FILCH_ETOOBIG"},
    {FILCH_EEND, -10006, "FILCH_EEND"},
};
enum { FIXED = sizeof fixed / sizeof fixed[0] };

/* R-VALUE-2, R-VALUE-3 */
Test(conformance_values, codes_have_the_values_and_names_that_never_change) {
    int listed = 1; /* FILCH_OK stands beside the list */
#define COUNT(name, value, text) listed++;
    FILCH_ERRORS(COUNT)
#undef COUNT
    cr_assert_eq(listed, FIXED, "a new code belongs into this test");
    for (int i = 0; i < FIXED; i++) {
        cr_assert_eq(fixed[i].code, fixed[i].value, "%s", fixed[i].name);
        cr_assert_str_eq(filch_error_name(fixed[i].value), fixed[i].name);
        cr_assert_neq(filch_error_text(fixed[i].value)[0], '\0');
    }
    cr_assert_str_eq(filch_error_name(3), "task code");
    cr_assert_str_eq(filch_error_name(-10999), "unknown");
    cr_assert_not_null(filch_error_text(3));
    cr_assert_not_null(filch_error_text(-10999));
}

struct texts {
    filch_executor *executor;
    bool empty_first, still_own;
};
static void fail_beside(void *context) {
    struct texts *texts = context;
    texts->empty_first = filch_last_error()[0] == '\0';
    texts->still_own = filch_submit(texts->executor, NULL, NULL, 0, 0, NULL) == FILCH_EINVAL &&
                       strstr(filch_last_error(), "function") != NULL;
}

/* R-VALUE-4 */
Test(conformance_values, each_thread_has_its_own_last_error) {
    struct texts texts = {make_executor(1), false, false};
    char before[256];
    cr_assert_str_eq(filch_last_error(), "", "nothing has failed");
    fails(FILCH_EINVAL, filch_executor_shutdown(texts.executor, 64));
    cr_assert_not_null(strstr(filch_last_error(), "0x40"), "the value: %s", filch_last_error());
    snprintf(before, sizeof before, "%s", filch_last_error());
    thread_finish(thread_start(fail_beside, &texts));
    cr_assert(texts.empty_first && texts.still_own);
    cr_assert_str_eq(filch_last_error(), before, "another thread's failure is not ours");
    ok(filch_executor_destroy(texts.executor));
}

/* R-VALUE-5, R-VALUE-6, R-VALUE-8 */
Test(conformance_values, null_is_einval_with_a_text_and_writes_nothing) {
    filch_executor *e = make_executor(1);
    filch_future *const untouched = (filch_future *)&e;
    filch_future *f = untouched;
    filch_error error = {77, NULL, {5, 6}};
    int value = 9;
    fails(FILCH_EINVAL, filch_submit(e, NULL, &value, sizeof value, 0, &f));
    fails(FILCH_EINVAL, filch_submit(e, square, NULL, sizeof value, sizeof value, &f));
    fails(FILCH_EINVAL, filch_submit_task(e, NULL, &f));
    cr_assert_eq(f, untouched);
    fails(FILCH_EINVAL, filch_future_result(NULL, &value, 0));
    fails(FILCH_EINVAL, filch_future_error(NULL, &error, 0));
    fails(FILCH_EINVAL, filch_future_add_done_callback(NULL, NULL, NULL));
    fails(FILCH_EINVAL, filch_executor_shutdown(NULL, 0));
    fails(FILCH_EINVAL, filch_executor_stats(NULL, NULL));
    fails(FILCH_EINVAL, filch_map_array(e, NULL, &value, sizeof value, 1, NULL, 0));
    fails(FILCH_EINVAL, filch_map_array(e, square, NULL, sizeof value, 1, &value, sizeof value));
    fails(FILCH_EINVAL, filch_map_array(e, square, &value, sizeof value, 1, NULL, sizeof value));
    cr_assert(!filch_future_done(NULL) && !filch_future_running(NULL));
    cr_assert(!filch_future_cancelled(NULL) && !filch_future_cancel(NULL));
    cr_assert_null(filch_future_retain(NULL));
    cr_assert_eq(value, 9);
    cr_assert(error.code == 77 && error.text == NULL && error.origin.worker == 5);

    f = submit_int(e, square, 3);
    fails(FILCH_EINVAL, filch_future_error(f, NULL, FILCH_FOREVER));
    fails(FILCH_EINVAL, filch_future_add_done_callback(f, NULL, NULL));
    ok(filch_future_result(f, &value, FILCH_FOREVER));
    cr_assert_eq(value, 9);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* R-VALUE-6 */
Test(conformance_values, a_result_is_written_on_success_only) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    filch_future *f = submit_int(e, return_code, 4), *cancelled = submit_int(e, square, 4);
    filch_error error = {77, NULL, {5, 6}};
    int value = 9;
    fails(FILCH_ETIMEDOUT, filch_future_result(f, &value, 0));
    fails(FILCH_ETIMEDOUT, filch_future_error(f, &error, 0));
    cr_assert(filch_future_cancel(cancelled));
    fails(FILCH_ECANCELED, filch_future_result(cancelled, &value, 0));
    cr_assert_eq(error.code, 77);
    let_go(&busy);
    fails(4, filch_future_result(f, &value, FILCH_FOREVER));
    cr_assert_eq(value, 9);
    filch_future_release(f);
    filch_future_release(cancelled);
    ok(filch_executor_destroy(e));
}

/* R-VALUE-7, R-SHUTDOWN-1 */
Test(conformance_values, what_was_refused_never_runs) {
    filch_executor *e = make_executor(2);
    struct shared runs = shared_alloc(sizeof(int));
    filch_future *const untouched = (filch_future *)&e;
    filch_future *f = untouched;
    ok(filch_executor_shutdown(e, 0));
    for (int i = 0; i < 10; i++)
        fails(FILCH_ESHUTDOWN, filch_submit(e, add_one, &runs, sizeof runs, 0, &f));
    cr_assert_eq(f, untouched);
    ok(filch_executor_destroy(e));
    cr_assert_eq(shared_read(runs), 0);
}

static int give_7(void *arg, void *result) {
    (void)arg;
    *(int *)result = 7;
    return 0;
}

/* R-VALUE-9, R-VALUE-10 */
Test(conformance_values, null_for_nothing_is_good) {
    filch_executor *e = make_executor(1);
    int value = 0;
    filch_future *f = submit_to(e, give_7, NULL, 0, sizeof value);
    ok(filch_future_result(f, &value, FILCH_FOREVER));
    cr_assert_eq(value, 7);
    ok(filch_map_array(e, square, NULL, sizeof value, 0, NULL, sizeof value));
    filch_future_release(f);
    filch_future_release(NULL);
    ok(filch_executor_destroy(NULL));
    ok(filch_executor_destroy(e));
}

/* R-VALUE-12 */
Test(conformance_values, sizes_that_overflow_are_refused) {
    filch_executor *e = make_executor(1);
    filch_future *const untouched = (filch_future *)&e;
    filch_future *f = untouched;
    int value = 0;
    fails(FILCH_ETOOBIG, filch_submit(e, square, &value, SIZE_MAX, 0, &f));
    fails(FILCH_ETOOBIG, filch_submit(e, square, &value, sizeof value, SIZE_MAX, &f));
    fails(FILCH_ETOOBIG, filch_submit(e, square, &value, SIZE_MAX / 2, SIZE_MAX / 2, &f));
    fails(FILCH_ETOOBIG, filch_map_array(e, square, &value, SIZE_MAX / 2, 3, &value, sizeof value));
    cr_assert_eq(f, untouched);
    ok(filch_executor_destroy(e));
}
