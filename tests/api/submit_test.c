/* submit_test.c: what a task gets, and what becomes of what it returns.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(submit, .timeout = 30);

/* Sizes on both sides of what fits inside the object. */
static const size_t sizes[] = {0, 1, 8, 15, 16, 17, 32, 48, 80, 81, 4096, (size_t)1 << 20};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* What the task that runs now was submitted with; one at a time. */
static size_t arg_size_now, result_size_now;

static unsigned char arg_byte(size_t i) {
    return (unsigned char)(i * 7 + 3);
}
static unsigned char result_byte(size_t i) {
    return (unsigned char)(i * 11 + 5);
}

enum { MISALIGNED = 1, NOT_COPIED, NOT_ZEROED };

static int check_and_fill(void *arg, void *result) {
    unsigned char *a = arg, *r = result;
    if (arg_size_now != 0 && (uintptr_t)arg % 16 != 0) return MISALIGNED;
    if (result_size_now != 0 && (uintptr_t)result % 16 != 0) return MISALIGNED;
    for (size_t i = 0; i < arg_size_now; i++)
        if (a[i] != arg_byte(i)) return NOT_COPIED;
    for (size_t i = 0; i < result_size_now; i++)
        if (r[i] != 0) return NOT_ZEROED;
    /* The copy is the task's own, to write to as well. */
    if (arg_size_now != 0) memset(a, 0xff, arg_size_now);
    for (size_t i = 0; i < result_size_now; i++) r[i] = result_byte(i);
    return 0;
}

/* One task of these sizes; 0 if all is as it should be, else where it is not. */
static int one_size(filch_executor *e, size_t arg_size, size_t result_size) {
    unsigned char *arg = malloc(arg_size + 1), *result = malloc(result_size + 1);
    filch_future *f;
    arg_size_now = arg_size;
    result_size_now = result_size;
    for (size_t i = 0; i < arg_size; i++) arg[i] = arg_byte(i);
    result[result_size] = 0xa5;
    int rc = filch_submit(e, check_and_fill, arg, arg_size, result_size, &f);
    if (rc == 0) {
        rc = filch_future_result(f, result, FILCH_FOREVER);
        filch_future_release(f);
    }
    for (size_t i = 0; rc == 0 && i < result_size; i++)
        if (result[i] != result_byte(i)) rc = 100;
    if (rc == 0 && result[result_size] != 0xa5) rc = 101;
    free(arg);
    free(result);
    return rc;
}

/* All pairs of sizes, twice, so that the second finds memory that the first has written to. */
static int all_sizes(filch_executor *e) {
    for (int round = 0; round < 2; round++)
        for (int a = 0; a < SIZES; a++)
            for (int r = 0; r < SIZES; r++) {
                int rc = one_size(e, sizes[a], sizes[r]);
                if (rc != 0) return rc;
            }
    return 0;
}

static int all_sizes_inside(void *arg, void *result) {
    (void)arg;
    (void)result;
    return all_sizes(filch_current_executor());
}

Test(submit, any_size_from_outside) {
    filch_executor *e = executor_of(2);
    cr_assert_eq(all_sizes(e), 0);
    ok(filch_executor_destroy(e));
}

Test(submit, any_size_from_inside) {
    filch_executor *e = executor_of(2);
    cr_assert_eq(finish(submit_to(e, all_sizes_inside, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(e));
}

static int copy_int(void *arg, void *result) {
    *(int *)result = *(int *)arg;
    return 0;
}

Test(submit, argument_is_copied_before_the_call_returns) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    filch_future *first = occupy(e, &gate);
    int value = 41, result = 0;
    filch_future *f = submit_to(e, copy_int, &value, sizeof value, sizeof value);
    value = -1;
    open_gate(&gate, first);
    ok(filch_future_result(f, &result, FILCH_FOREVER));
    cr_assert_eq(result, 41);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

Test(submit, result_is_written_on_success_only) {
    filch_executor *e = executor_of(1);
    int untouched = 17;
    unsigned char dirty = 1;
    arg_size_now = 1; /* and its byte is wrong */
    result_size_now = sizeof untouched;
    filch_future *f = submit_to(e, check_and_fill, &dirty, 1, sizeof untouched);
    cr_assert_eq(filch_future_result(f, &untouched, FILCH_FOREVER), NOT_COPIED);
    cr_assert_eq(untouched, 17);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

static int zero_result(void *arg, void *result) {
    (void)arg;
    *(uint64_t *)result = 0;
    return 0;
}

Test(submit, success_is_a_state_not_a_value) {
    filch_executor *e = executor_of(1);
    uint64_t value = 5;
    filch_future *f = submit_to(e, zero_result, NULL, 0, sizeof value);
    ok(filch_future_result(f, &value, FILCH_FOREVER));
    cr_assert_eq(value, 0);
    cr_assert(filch_future_done(f));
    cr_assert_not(filch_future_cancelled(f));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

Test(submit, detached_tasks_all_run) {
    filch_executor *e = executor_of(2);
    int count = 0, *pointer = &count, n = stress(1000);
    for (int i = 0; i < n; i++) {
        int rc = filch_submit(e, count_one, &pointer, sizeof pointer, 0, NULL);
        if (rc != 0) cr_assert_fail("submit %d: %s", i, filch_last_error());
    }
    ok(filch_executor_destroy(e));
    cr_assert_eq(count, n);
}

/* arg_destroy --------------------------------------------------------------------------------- */

struct owned {
    int destroyed;
    int done_too_early;
    filch_future *future;
};

static void destroy_owned(void *arg) {
    struct owned *owned = *(struct owned **)arg;
    if (owned->future != NULL && filch_future_done(owned->future)) owned->done_too_early = 1;
    add(&owned->destroyed, 1);
}

static filch_task task_of(filch_task_fn *fn, struct owned **owned) {
    filch_task task = FILCH_TASK_INIT;
    task.fn = fn;
    task.arg = owned;
    task.arg_size = sizeof *owned;
    task.arg_destroy = destroy_owned;
    return task;
}

static int fail_with_3(void *arg, void *result) {
    (void)arg;
    (void)result;
    return 3;
}

static void check_destroyed_once(filch_task_fn *fn, int code) {
    filch_executor *e = executor_of(1);
    struct owned owned = {0, 0, NULL}, *pointer = &owned;
    struct gate gate;
    filch_future *first = occupy(e, &gate);
    filch_task task = task_of(fn, &pointer);
    ok(filch_submit_task(e, &task, &owned.future));
    cr_assert_eq(owned.destroyed, 0);
    open_gate(&gate, first);
    cr_assert_eq(filch_future_result(owned.future, NULL, FILCH_FOREVER), code);
    cr_assert_eq(read_int(&owned.destroyed), 1, "before the future counts as done");
    filch_future_release(owned.future);
    ok(filch_executor_destroy(e));
    cr_assert_eq(owned.destroyed, 1);
    cr_assert_eq(owned.done_too_early, 0);
}

Test(submit, argument_is_destroyed_once_before_done) {
    check_destroyed_once(do_nothing, 0);
}

Test(submit, argument_is_destroyed_after_a_failure) {
    check_destroyed_once(fail_with_3, 3);
}

Test(submit, argument_of_a_detached_task_is_destroyed) {
    filch_executor *e = executor_of(2);
    struct owned owned = {0, 0, NULL}, *pointer = &owned;
    filch_task task = task_of(do_nothing, &pointer);
    for (int i = 0; i < 100; i++) ok(filch_submit_task(e, &task, NULL));
    ok(filch_executor_destroy(e));
    cr_assert_eq(owned.destroyed, 100);
}

Test(submit, argument_larger_than_the_object_is_destroyed) {
    filch_executor *e = executor_of(1);
    struct owned owned = {0, 0, NULL};
    struct owned *pointers[64] = {&owned};
    filch_task task = task_of(do_nothing, pointers);
    filch_future *f;
    task.arg_size = sizeof pointers;
    ok(filch_submit_task(e, &task, &f));
    cr_assert_eq(finish(f), 0);
    cr_assert_eq(owned.destroyed, 1);
    ok(filch_executor_destroy(e));
}

Test(submit, argument_stays_the_callers_if_the_submit_fails) {
    filch_executor *e = executor_of(1);
    struct owned owned = {0, 0, NULL}, *pointer = &owned;
    filch_future *f = NULL;
    filch_task task = task_of(do_nothing, &pointer);

    task.result_size = SIZE_MAX;
    fails(FILCH_ETOOBIG, filch_submit_task(e, &task, &f));
    task.result_size = 0;
    task.size = 1;
    fails(FILCH_EINVAL, filch_submit_task(e, &task, &f));
    task.size = sizeof task;
    ok(filch_executor_shutdown(e, 0));
    fails(FILCH_ESHUTDOWN, filch_submit_task(e, &task, &f));
    ok(filch_executor_destroy(e));
    cr_assert_eq(owned.destroyed, 0);
    cr_assert_null(f);
}

/* Codes --------------------------------------------------------------------------------------- */

static int return_code(void *arg, void *result) {
    (void)result;
    return *(int *)arg;
}

static int code_of(filch_executor *e, int returned) {
    return finish(submit_to(e, return_code, &returned, sizeof returned, 0));
}

Test(submit, positive_codes_are_the_tasks_own) {
    filch_executor *e = executor_of(1);
    cr_assert_eq(code_of(e, 1), 1);
    cr_assert_eq(code_of(e, 110), 110);
    cr_assert_eq(code_of(e, INT_MAX), INT_MAX);
    ok(filch_executor_destroy(e));
}

Test(submit, listed_negative_codes_pass) {
    filch_executor *e = executor_of(1);
#define CHECK_CODE(name, value, text) cr_expect_eq(code_of(e, FILCH_##name), (value), #name);
    FILCH_ERRORS(CHECK_CODE)
#undef CHECK_CODE
    ok(filch_executor_destroy(e));
}

Test(submit, other_negative_codes_become_einval) {
    filch_executor *e = executor_of(1);
    cr_assert_eq(code_of(e, -1), FILCH_EINVAL);
    cr_assert_eq(code_of(e, -9999), FILCH_EINVAL);
    cr_assert_eq(code_of(e, -20000), FILCH_EINVAL);
    cr_assert_eq(code_of(e, INT_MIN), FILCH_EINVAL);
    ok(filch_executor_destroy(e));
}

/* filch_fail and filch_future_error ----------------------------------------------------------- */

static int fail_with_text(void *arg, void *result) {
    (void)arg;
    (void)result;
    filch_fail(1, "an earlier text");
    return filch_fail(2, "no such file: %s", "x.txt");
}

Test(submit, error_has_code_text_worker_and_process) {
    filch_executor *e = executor_of(1);
    filch_future *f = submit_to(e, fail_with_text, NULL, 0, 0);
    filch_error error;
    ok(filch_future_error(f, &error, FILCH_FOREVER));
    cr_assert_eq(error.code, 2);
    cr_assert_str_eq(error.text, "no such file: x.txt");
    cr_assert_eq(error.origin.worker, 0);
    cr_assert_eq(error.origin.pid, getpid());
    cr_assert_eq(filch_future_result(f, NULL, 0), 2);
    cr_assert_not_null(strstr(filch_last_error(), "no such file: x.txt"));
    ok(filch_executor_destroy(e));
    cr_assert_str_eq(error.text, "no such file: x.txt", "valid while the future is held");
    filch_future_release(f);
}

Test(submit, error_of_a_success) {
    filch_executor *e = executor_of(1);
    filch_future *f = submit_to(e, do_nothing, NULL, 0, 0);
    filch_error error;
    ok(filch_future_error(f, &error, FILCH_FOREVER));
    cr_assert_eq(error.code, 0);
    cr_assert_not_null(error.text);
    cr_assert_eq(error.origin.worker, 0);
    cr_assert_eq(error.origin.pid, getpid());
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

Test(submit, error_without_text_has_that_of_the_code) {
    filch_executor *e = executor_of(1);
    int code = FILCH_ENOTSUP;
    filch_future *f = submit_to(e, return_code, &code, sizeof code, 0);
    filch_error error;
    ok(filch_future_error(f, &error, FILCH_FOREVER));
    cr_assert_eq(error.code, FILCH_ENOTSUP);
    cr_assert_str_eq(error.text, filch_error_text(FILCH_ENOTSUP));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

Test(submit, error_of_a_cancelled_future_names_no_worker) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    filch_future *first = occupy(e, &gate);
    filch_future *f = submit_to(e, do_nothing, NULL, 0, 0);
    filch_error error;
    cr_assert(filch_future_cancel(f));
    ok(filch_future_error(f, &error, 0));
    cr_assert_eq(error.code, FILCH_ECANCELED);
    cr_assert_str_eq(error.text, filch_error_text(FILCH_ECANCELED));
    cr_assert_eq(error.origin.worker, -1);
    cr_assert_eq(error.origin.pid, 0);
    filch_future_release(f);
    open_gate(&gate, first);
    ok(filch_executor_destroy(e));
}

Test(submit, text_of_any_length) {
    filch_executor *e = executor_of(1);
    const size_t length = 100000;
    filch_future *f = submit_to(e, fail_at_length, &length, sizeof length, 0);
    filch_error error;
    ok(filch_future_error(f, &error, FILCH_FOREVER));
    cr_assert_eq(strlen(error.text), length);
    cr_assert_eq(filch_future_result(f, NULL, 0), FAIL_AT_LENGTH,
                 "its last error is cut, not overrun");
    cr_assert_eq(filch_last_error()[0], 'x');
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* The inner one fails with a text, the outer one without. */
static int fail_after_inner(void *arg, void *result) {
    filch_future *f;
    (void)arg;
    (void)result;
    if (filch_submit(filch_current_executor(), fail_with_text, NULL, 0, 0, &f) != 0) return 50;
    int rc = filch_future_result(f, NULL, FILCH_FOREVER);
    filch_future_release(f);
    return rc == 2 ? 9 : 51;
}

Test(submit, text_belongs_to_the_innermost_task) {
    filch_executor *e = executor_of(1);
    filch_future *f = submit_to(e, fail_after_inner, NULL, 0, 0);
    filch_error error;
    ok(filch_future_error(f, &error, FILCH_FOREVER));
    cr_assert_eq(error.code, 9);
    cr_assert_str_eq(error.text, filch_error_text(9));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

Test(submit, fail_outside_a_task_returns_the_code) {
    cr_assert_eq(filch_fail(4, "nobody keeps %d", 1), 4);
    cr_assert_eq(filch_fail(FILCH_ENOMEM, "or this"), FILCH_ENOMEM);
}

Test(submit, name_of_a_task_is_in_the_last_error) {
    filch_executor *e = executor_of(1);
    filch_task task = FILCH_TASK_INIT;
    filch_future *f;
    task.fn = fail_with_text;
    task.name = "open-input";
    ok(filch_submit_task(e, &task, &f));
    cr_assert_eq(filch_future_result(f, NULL, FILCH_FOREVER), 2);
    cr_assert_not_null(strstr(filch_last_error(), "open-input"));
    cr_assert_not_null(strstr(filch_last_error(), "no such file: x.txt"));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* Texts --------------------------------------------------------------------------------------- */

static void look_at_fresh_last_error(void *context) {
    *(bool *)context = filch_last_error() != NULL && filch_last_error()[0] == '\0';
}

Test(submit, each_thread_has_its_own_last_error) {
    bool fresh = false;
    fails(FILCH_EINVAL, filch_submit(NULL, NULL, NULL, 0, 0, NULL));
    thread_finish(thread_start(look_at_fresh_last_error, &fresh));
    cr_assert(fresh);
    cr_assert_neq(filch_last_error()[0], '\0', "that of this thread has stayed");
}

Test(submit, last_error_has_the_value) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    filch_executor *e;
    options.max_workers = 4097;
    fails(FILCH_EINVAL, filch_thread_executor(&options, &e));
    cr_assert_not_null(strstr(filch_last_error(), "4097"));
    cr_assert_not_null(strstr(filch_last_error(), "max_workers"));
    options.max_workers = 1;
    options.size = 3;
    fails(FILCH_EINVAL, filch_thread_executor(&options, &e));
    cr_assert_not_null(strstr(filch_last_error(), "FILCH_THREAD_OPTIONS_INIT"));
}

Test(submit, every_code_has_a_name_and_a_text) {
#define CHECK_TEXTS(name, value, text)                                                             \
    cr_expect_str_eq(filch_error_name(value), "FILCH_" #name);                                     \
    cr_expect_str_eq(filch_error_text(value), text);
    FILCH_ERRORS(CHECK_TEXTS)
#undef CHECK_TEXTS
    cr_assert_str_eq(filch_error_name(0), "FILCH_OK");
    cr_assert_str_eq(filch_error_name(7), "task code");
    cr_assert_str_eq(filch_error_name(-77777), "unknown");
    cr_assert_not_null(filch_error_text(0));
    cr_assert_not_null(filch_error_text(7));
    cr_assert_not_null(filch_error_text(-77777));
    cr_assert_not_null(filch_error_text(INT_MIN));
}
