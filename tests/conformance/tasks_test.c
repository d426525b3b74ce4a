/* tasks_test.c: what a task gets, what it may return, and what it may ask for.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"
#include <stdio.h>
#include <stdlib.h>

TestSuite(conformance_tasks, .timeout = 30);

/* Arguments and results ---------------------------------------------------------------------------- */

static const size_t sizes[] = {1, 7, 8, 9, 16, 31, 32, 33, 64, 100, 128, 255, 4096, 70001};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* Of the argument and of the result, which begins with it too. */
struct bytes {
    size_t arg_size, result_size;
};

/* The bytes behind the head are i modulo 251, and the result is zero at first; gives them back. */
static int check_bytes(void *arg, void *result) {
    struct bytes head;
    unsigned char *in = arg, *out = result;
    memcpy(&head, arg, sizeof head);
    if ((uintptr_t)arg % _Alignof(max_align_t) || (uintptr_t)result % _Alignof(max_align_t))
        return 1;
    for (size_t i = sizeof head; i < head.arg_size; i++)
        if (in[i] != i % 251) return 2;
    for (size_t i = 0; i < head.result_size; i++)
        if (out[i] != 0) return 3;
    for (size_t i = 0; i < head.result_size; i++) out[i] = (unsigned char)(i % 249);
    memset(arg, 0xee, head.arg_size);
    return 0;
}

static void check_sizes(filch_executor *e, size_t arg_size, size_t result_size) {
    struct bytes head = {sizeof head + arg_size, result_size};
    unsigned char *arg = malloc(head.arg_size), *result = malloc(result_size);
    for (size_t i = 0; i < head.arg_size; i++) arg[i] = (unsigned char)(i % 251);
    memcpy(arg, &head, sizeof head);
    filch_future *f = submit_to(e, check_bytes, arg, head.arg_size, result_size);
    memset(arg, 0xdd, head.arg_size); /* the task has its own */
    cr_assert_eq(filch_future_result(f, result, FILCH_FOREVER), 0, "%zu, %zu", arg_size,
                 result_size);
    for (size_t i = 0; i < result_size; i++) cr_assert_eq(result[i], i % 249);
    for (size_t i = 0; i < head.arg_size; i++) cr_assert_eq(arg[i], 0xdd, "the copy is private");
    filch_future_release(f);
    free(arg);
    free(result);
}

/* R-TASK-1, R-TASK-2, R-RESULT-1 */
Test(conformance_tasks, argument_and_result_of_any_size) {
    filch_executor *e = make_executor(2);
    for (int i = 0; i < SIZES; i++)
        for (int j = 0; j < SIZES; j++) check_sizes(e, sizes[i], sizes[j]);
    ok(filch_executor_destroy(e));
}

struct copied {
    struct shared open;
    int value;
};
static int value_later(void *arg, void *result) {
    struct copied *copied = arg;
    shared_wait(copied->open, 1);
    *(int *)result = copied->value;
    return 0;
}

/* R-TASK-1 */
Test(conformance_tasks, argument_is_copied_before_submit_returns) {
    filch_executor *e = make_executor(1);
    struct copied copied = {shared_alloc(sizeof(int)), 5};
    struct shared open = copied.open;
    int value = 0;
    filch_future *f = submit_to(e, value_later, &copied, sizeof copied, sizeof value);
    memset(&copied, 0xff, sizeof copied);
    shared_add(open, 1);
    ok(filch_future_result(f, &value, FILCH_FOREVER));
    cr_assert_eq(value, 5);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* Codes and texts ------------------------------------------------------------------------------------ */

static int fail_twice(void *arg, void *result) {
    (void)result;
    (void)filch_fail(1, "the first, which is dropped");
    return filch_fail(*(int *)arg, "no such thing: %d of %s", *(int *)arg, "many");
}

/* R-TASK-3, R-RESULT-7 */
Test(conformance_tasks, the_last_text_of_filch_fail_stays_with_the_future) {
    filch_executor *e = make_executor(1);
    filch_future *f = submit_int(e, fail_twice, 42);
    filch_error error;
    ok(filch_future_error(f, &error, FILCH_FOREVER));
    cr_assert_eq(error.code, 42);
    cr_assert_str_eq(error.text, "no such thing: 42 of many");
    cr_assert_eq(filch_future_result(f, NULL, 0), 42);
    cr_assert_not_null(strstr(filch_last_error(), error.text));
    ok(filch_executor_destroy(e));
    cr_assert_str_eq(error.text, "no such thing: 42 of many", "valid while the future is held");
    filch_future_release(f);
}

static int fail_and_succeed(void *arg, void *result) {
    (void)filch_fail(7, "the %s", "text");
    if (*(int *)arg != 0)
        memset(filch_result_alloc((size_t) * (int *)arg), 1, (size_t) * (int *)arg);
    *(int *)result = 5;
    return 0;
}
/* R-TASK-3: also of one that has succeeded, whose value that does not touch. */
Test(conformance_tasks, a_text_stays_with_a_success) {
    filch_executor *e = make_executor(2);
    int allocated[] = {0, 10, 100000};
    for (int i = 0; i < 3; i++) {
        filch_future *f = submit_to(e, fail_and_succeed, &allocated[i], sizeof(int), sizeof(int));
        filch_error error;
        int value = 0;
        ok(filch_future_error(f, &error, FILCH_FOREVER));
        cr_assert_eq(error.code, 0);
        cr_assert_str_eq(error.text, "the text");
        ok(filch_future_result(f, &value, 0));
        cr_assert_eq(value, 5);
        filch_future_release(f);
    }
    ok(filch_executor_destroy(e));
}

/* R-TASK-3 */
Test(conformance_tasks, a_text_may_be_long) {
    filch_executor *e = make_executor(1);
    const size_t length = 100000;
    filch_future *f = submit_to(e, fail_at_length, &length, sizeof length, 0);
    filch_error error;
    ok(filch_future_error(f, &error, FILCH_FOREVER));
    cr_assert_eq(strlen(error.text), length);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* R-TASK-4 */
Test(conformance_tasks, filch_fail_outside_a_task_only_returns_the_code) {
    filch_executor *e = make_executor(1);
    cr_assert_eq(filch_fail(6, "nobody's text"), 6);
    filch_future *f = submit_int(e, return_code, 2);
    filch_error error;
    ok(filch_future_error(f, &error, FILCH_FOREVER));
    cr_assert_str_eq(error.text, filch_error_text(2));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* R-TASK-5 */
Test(conformance_tasks, listed_negative_codes_pass_through) {
    filch_executor *e = make_executor(1);
#define PASSES(name, value, text) cr_assert_eq(finish(submit_int(e, return_code, value)), value);
    FILCH_ERRORS(PASSES)
#undef PASSES
    ok(filch_executor_destroy(e));
}

/* R-TASK-5: a task that returned the code has finished; it was not cancelled. */
Test(conformance_tasks, a_task_that_returns_ecanceled_has_finished) {
    filch_executor *e = make_executor(1);
    filch_future *f = submit_int(e, return_code, FILCH_ECANCELED);
    cr_assert_eq(filch_future_result(f, NULL, FILCH_FOREVER), FILCH_ECANCELED);
    cr_assert(filch_future_done(f) && !filch_future_cancelled(f) && !filch_future_cancel(f));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* R-TASK-6 */
Test(conformance_tasks, other_negative_codes_become_einval) {
    static const int codes[] = {-1, -2, -10000, -10007, -99999, INT32_MIN};
    filch_executor *e = make_executor(1);
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        cr_assert_eq(finish(submit_int(e, return_code, codes[i])), FILCH_EINVAL, "%d", codes[i]);
    ok(filch_executor_destroy(e));
}

/* R-MENDED-4 */
Test(conformance_tasks, success_is_a_state_and_not_a_value) {
    filch_executor *e = make_executor(1);
    filch_future *f = submit_int(e, square, 0);
    int value = 8;
    ok(filch_future_result(f, &value, FILCH_FOREVER));
    cr_assert_eq(value, 0);
    value = 8;
    ok(filch_future_result(f, &value, 0));
    cr_assert(value == 0 && filch_future_done(f) && !filch_future_cancelled(f));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* R-TASK-7, R-EXECUTOR-2 */
Test(conformance_tasks, detached_tasks_all_run) {
    filch_executor *e = make_executor(3);
    struct shared runs = shared_alloc(sizeof(int));
    for (int i = 0; i < 200; i++) ok(filch_submit(e, add_one, &runs, sizeof runs, 0, NULL));
    ok(filch_executor_destroy(e));
    cr_assert_eq(shared_read(runs), 200);
}

/* R-TASK-8 */
Test(conformance_tasks, its_name_is_in_error_texts) {
    filch_executor *e = make_executor(1);
    filch_task task = FILCH_TASK_INIT;
    filch_future *f;
    int code = 4;
    task.fn = return_code;
    task.arg = &code;
    task.arg_size = sizeof code;
    task.name = "the weekly sum";
    ok(filch_submit_task(e, &task, &f));
    cr_assert_eq(filch_future_result(f, NULL, FILCH_FOREVER), 4);
    cr_assert_not_null(strstr(filch_last_error(), "the weekly sum"), "%s", filch_last_error());
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* The destructor of the argument ------------------------------------------------------------------- */

/* The pointer is used in the process of the test only. */
struct watched {
    int code;
    struct shared runs;
    struct watch *watch;
};
struct watch {
    int destroyed, called;
    bool done_before_destroyed, destroyed_before_callback;
    filch_future *future;
    pthread_t destroyer, caller;
};

static int run_watched(void *arg, void *result) {
    struct watched *watched = arg;
    (void)result;
    shared_add(watched->runs, 1);
    return watched->code;
}
static void destroy_watched(void *arg) {
    struct watch *watch = ((struct watched *)arg)->watch;
    filch_future *f = filch_load_acquire(&watch->future);
    watch->done_before_destroyed |= f != NULL && filch_future_done(f);
    watch->destroyer = pthread_self();
    add(&watch->destroyed, 1);
}
static void watch_done(filch_future *f, void *context) {
    struct watch *watch = context;
    (void)f;
    watch->destroyed_before_callback = read_int(&watch->destroyed) == 1;
    watch->caller = pthread_self();
    add(&watch->called, 1);
}
static int submit_watched(filch_executor *e, struct watched *watched, filch_future **f) {
    filch_task task = FILCH_TASK_INIT;
    task.fn = run_watched;
    task.arg = watched;
    task.arg_size = sizeof *watched;
    task.arg_destroy = destroy_watched;
    return filch_submit_task(e, &task, f);
}

static void check_destroyed_after_run(int code) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    struct watch watch = {0};
    struct watched watched = {code, shared_alloc(sizeof(int)), &watch};
    filch_future *f;
    ok(submit_watched(e, &watched, &f));
    filch_store_release(&watch.future, f);
    ok(filch_future_add_done_callback(f, watch_done, &watch));
    cr_assert_eq(read_int(&watch.destroyed), 0);
    let_go(&busy);
    cr_assert_eq(filch_future_result(f, NULL, FILCH_FOREVER), code);
    cr_assert_eq(read_int(&watch.destroyed), 1, "before the future counts as done");
    cr_assert_not(watch.done_before_destroyed);
    ok(filch_executor_destroy(e));
    cr_assert(watch.called == 1 && watch.destroyed == 1 && watch.destroyed_before_callback);
    cr_assert(pthread_equal(watch.destroyer, watch.caller), "by the thread that completes it");
    cr_assert_not(pthread_equal(watch.destroyer, pthread_self()));
    cr_assert_eq(shared_read(watched.runs), 1);
    filch_future_release(f);
}

/* R-TASK-9, R-MENDED-7 */
Test(conformance_tasks, argument_is_destroyed_once_before_the_future_is_done) {
    check_destroyed_after_run(0);
}
/* R-TASK-9 */
Test(conformance_tasks, argument_is_destroyed_after_a_failure) {
    check_destroyed_after_run(5);
}
/* R-TASK-9 */
Test(conformance_tasks, argument_is_destroyed_after_a_code_of_the_library) {
    check_destroyed_after_run(FILCH_ENOTSUP);
}

/* R-TASK-10 */
Test(conformance_tasks, argument_is_destroyed_by_who_cancels) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    struct watch watch = {0};
    struct watched watched = {0, shared_alloc(sizeof(int)), &watch};
    filch_future *f;
    ok(submit_watched(e, &watched, &f));
    ok(filch_future_add_done_callback(f, watch_done, &watch));
    cr_assert(filch_future_cancel(f));
    cr_assert(watch.destroyed == 1 && watch.called == 1 && watch.destroyed_before_callback);
    cr_assert(pthread_equal(watch.destroyer, pthread_self()));
    let_go(&busy);
    ok(filch_executor_destroy(e));
    cr_assert(watch.destroyed == 1 && shared_read(watched.runs) == 0);
    filch_future_release(f);
}

/* R-TASK-10 */
Test(conformance_tasks, argument_is_destroyed_by_a_shutdown_that_cancels) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    struct watch watch = {0};
    struct watched watched = {0, shared_alloc(sizeof(int)), &watch};
    filch_future *f;
    ok(submit_watched(e, &watched, &f));
    ok(filch_executor_shutdown(e, FILCH_CANCEL_PENDING));
    cr_assert_eq(finish(f), FILCH_ECANCELED);
    cr_assert_eq(read_int(&watch.destroyed), 1);
    let_go(&busy);
    ok(filch_executor_destroy(e));
    cr_assert(watch.destroyed == 1 && shared_read(watched.runs) == 0);
}

/* R-TASK-11 */
Test(conformance_tasks, argument_stays_the_callers_if_the_submit_fails) {
    filch_executor *e = make_executor(1);
    struct watch watch = {0};
    struct watched watched = {0, shared_alloc(sizeof(int)), &watch};
    filch_future *f = NULL;
    ok(filch_executor_shutdown(e, 0));
    fails(FILCH_ESHUTDOWN, submit_watched(e, &watched, &f));
    ok(filch_executor_destroy(e));
    cr_assert(watch.destroyed == 0 && shared_read(watched.runs) == 0 && f == NULL);
}

/* What a task may ask for ---------------------------------------------------------------------------- */

static int is_on_the_default(void *arg, void *result) {
    (void)arg;
    (void)result;
    filch_executor *current = filch_current_executor();
    return current != NULL && current == filch_default_executor() ? 0 : 1;
}
static int submit_to_null(void *arg, void *result) {
    filch_future *f;
    int rc = filch_submit(NULL, is_on_the_default, NULL, 0, 0, &f);
    (void)arg;
    (void)result;
    if (rc != 0) return rc;
    rc = filch_future_result(f, NULL, FILCH_FOREVER);
    filch_future_release(f);
    return rc;
}

/* R-TASK-12 */
Test(conformance_tasks, null_is_the_default_executor_inside_a_task_too) {
    filch_executor *e = make_executor(1);
    cr_assert_eq(finish(submit_to(NULL, is_on_the_default, NULL, 0, 0)), 0);
    cr_assert_eq(finish(submit_to(e, submit_to_null, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(e));
}

static int give_current(void *arg, void *result) {
    (void)arg;
    *(filch_executor **)result = filch_current_executor();
    return filch_current_executor() == NULL;
}

/* R-INSIDE-1 */
Test(conformance_tasks, the_current_executor_is_that_of_the_worker) {
    filch_executor *e = make_executor(2), *seen = NULL;
    cr_assert_null(filch_current_executor());
    filch_future *f = submit_to(e, give_current, NULL, 0, sizeof seen);
    ok(filch_future_result(f, &seen, FILCH_FOREVER));
    if (factory()->properties & SAME_MEMORY) cr_assert_eq(seen, e);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
    cr_assert_null(filch_current_executor());
}

enum { INDICES = 64 };
struct indices {
    struct shared running, runs;
    int limit;
};
/* Fails if another running task has the same index. */
static int claim_index(void *arg, void *result) {
    struct indices *indices = arg;
    int index = filch_worker_index();
    int *running = shared_at(indices->running);
    (void)result;
    if (index < 0 || index >= indices->limit) return 1;
    if (add(&running[index], 1) != 1) return 2;
    linger(50);
    add(&running[index], -1);
    shared_add(indices->runs, 1);
    return 0;
}

/* R-INSIDE-2, R-INSIDE-3 */
Test(conformance_tasks, worker_indices_are_in_range_and_of_one_running_thread) {
    filch_executor *e = make_executor(4);
    filch_future *futures[INDICES];
    struct indices indices = {{0, 0, 0}, shared_alloc(sizeof(int)), filch_executor_worker_limit(e)};
    indices.running = shared_alloc((size_t)indices.limit * sizeof(int));
    cr_assert_geq(indices.limit, 4);
    cr_assert_eq(filch_worker_index(), -1);
    for (int i = 0; i < INDICES; i++)
        futures[i] = submit_to(e, claim_index, &indices, sizeof indices, 0);
    for (int i = 0; i < INDICES; i++) cr_assert_eq(finish(futures[i]), 0);
    cr_assert_eq(shared_read(indices.runs), INDICES);
    cr_assert_eq(filch_executor_worker_limit(e), indices.limit, "never changes");
    ok(filch_executor_destroy(e));
}

static int sum_of_squares(void *arg, void *result) {
    int n = *(int *)arg, sum = 0;
    for (int i = 1; i <= n; i++) {
        filch_future *f;
        int value, rc = filch_submit(filch_current_executor(), square, &i, sizeof i, sizeof i, &f);
        if (rc != 0) return rc;
        rc = filch_future_result(f, &value, FILCH_FOREVER);
        filch_future_release(f);
        if (rc != 0) return rc;
        sum += value;
    }
    *(int *)result = sum;
    return 0;
}
static int sum_by_map(void *arg, void *result) {
    int inputs[] = {1, 2, 3, 4}, squares[4] = {0};
    int rc = filch_map_array(filch_current_executor(), square, inputs, sizeof(int), 4, squares,
                             sizeof(int));
    (void)arg;
    *(int *)result = squares[0] + squares[1] + squares[2] + squares[3];
    return rc;
}

/* R-INSIDE-4 */
Test(conformance_tasks, a_task_submits_waits_and_maps) {
    filch_executor *e = make_executor(1);
    int value = 0;
    filch_future *f = submit_int(e, sum_of_squares, 20);
    ok(filch_future_result(f, &value, FILCH_FOREVER));
    cr_assert_eq(value, 2870);
    filch_future_release(f);
    f = submit_int(e, sum_by_map, 0);
    ok(filch_future_result(f, &value, FILCH_FOREVER));
    cr_assert_eq(value, 30);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}
