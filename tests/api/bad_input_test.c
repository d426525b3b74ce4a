/* bad_input_test.c: each wrong argument gives the code that the contract names, a text, and nothing else.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <limits.h>
#include <stdlib.h>

TestSuite(bad_input, .timeout = 30);

/* Sizes that no allocator can give are asked for below; a sanitizer's must return NULL as malloc does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "allocator_may_return_null=1";
}

/* What out-parameters are set to before a call that fails. */
static char mark;
#define UNTOUCHED ((void *)&mark)

static void nothing(filch_future *f, void *context) {
    (void)f;
    (void)context;
}

/* A finished future of an executor that is gone. */
static filch_future *finished(void) {
    filch_executor *e = executor_of(1);
    filch_future *f = submit_to(e, do_nothing, NULL, 0, 0);
    ok(filch_executor_destroy(e));
    return f;
}

Test(bad_input, null_in_submit) {
    filch_executor *e = executor_of(1);
    filch_future *f = UNTOUCHED;
    filch_task task = FILCH_TASK_INIT;
    fails(FILCH_EINVAL, filch_submit(e, NULL, NULL, 0, 0, &f));
    fails(FILCH_EINVAL, filch_submit(e, NULL, NULL, 0, 0, NULL));
    fails(FILCH_EINVAL, filch_submit(e, do_nothing, NULL, 1, 0, &f));
    fails(FILCH_EINVAL, filch_submit(e, do_nothing, NULL, SIZE_MAX, 0, &f));
    fails(FILCH_EINVAL, filch_submit_task(e, NULL, &f));
    fails(FILCH_EINVAL, filch_submit_task(e, &task, &f));
    task.fn = do_nothing;
    task.arg_size = 4;
    fails(FILCH_EINVAL, filch_submit_task(e, &task, &f));
    cr_assert_eq(f, UNTOUCHED);
    ok(filch_executor_destroy(e));
}

Test(bad_input, null_argument_of_no_bytes_is_good) {
    filch_executor *e = executor_of(1);
    cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(e));
}

Test(bad_input, null_future) {
    filch_error error = {12345, NULL, {0, 0}};
    int result = 17;
    fails(FILCH_EINVAL, filch_future_result(NULL, &result, 0));
    fails(FILCH_EINVAL, filch_future_result(NULL, NULL, FILCH_FOREVER));
    fails(FILCH_EINVAL, filch_future_error(NULL, &error, FILCH_FOREVER));
    fails(FILCH_EINVAL, filch_future_add_done_callback(NULL, nothing, NULL));
    cr_assert_not(filch_future_done(NULL));
    cr_assert_not(filch_future_running(NULL));
    cr_assert_not(filch_future_cancelled(NULL));
    cr_assert_not(filch_future_cancel(NULL));
    cr_assert_null(filch_future_retain(NULL));
    filch_future_release(NULL);
    cr_assert_eq(error.code, 12345);
    cr_assert_eq(result, 17);
}

Test(bad_input, null_beside_a_future) {
    filch_future *f = finished();
    fails(FILCH_EINVAL, filch_future_error(f, NULL, 0));
    fails(FILCH_EINVAL, filch_future_add_done_callback(f, NULL, NULL));
    ok(filch_future_result(f, NULL, 0));
    filch_future_release(f);
}

Test(bad_input, null_executor) {
    filch_stats stats = FILCH_STATS_INIT;
    fails(FILCH_EINVAL, filch_thread_executor(NULL, NULL));
    fails(FILCH_EINVAL, filch_executor_shutdown(NULL, 0));
    fails(FILCH_EINVAL, filch_executor_shutdown(NULL, FILCH_WAIT));
    fails(FILCH_EINVAL, filch_executor_stats(NULL, &stats));
    cr_assert_eq(filch_executor_worker_limit(NULL), 0);
    ok(filch_executor_destroy(NULL));
}

Test(bad_input, null_stats) {
    filch_executor *e = executor_of(1);
    fails(FILCH_EINVAL, filch_executor_stats(e, NULL));
    ok(filch_executor_destroy(e));
}

Test(bad_input, null_in_map) {
    filch_executor *e = executor_of(1);
    int values[2] = {1, 2};
    fails(FILCH_EINVAL, filch_map_array(e, NULL, values, sizeof(int), 2, values, sizeof(int)));
    fails(FILCH_EINVAL, filch_map_array(e, do_nothing, NULL, sizeof(int), 2, values, sizeof(int)));
    fails(FILCH_EINVAL, filch_map_array(e, do_nothing, values, sizeof(int), 2, NULL, sizeof(int)));
    fails(FILCH_EINVAL, filch_map_array(e, NULL, NULL, 0, 0, NULL, 0));
    ok(filch_map_array(e, do_nothing, NULL, 0, 2, NULL, 0));
    ok(filch_map_array(e, do_nothing, NULL, sizeof(int), 0, NULL, sizeof(int)));
    ok(filch_executor_destroy(e));
}

static bool give_none(void *context, void *arg) {
    (void)context;
    (void)arg;
    return false;
}
static void refused(filch_executor *e, const filch_map_spec *spec, int code, const char *text) {
    filch_results *it = UNTOUCHED;
    fails(code, filch_map(e, spec, &it));
    cr_assert_not_null(strstr(filch_last_error(), text), "%s", filch_last_error());
    fails(code, filch_map_until(e, spec, FILCH_FOREVER, &it));
    cr_assert_not_null(strstr(filch_last_error(), text), "%s", filch_last_error());
    cr_assert_eq(it, UNTOUCHED);
}

Test(bad_input, null_in_lazy_map) {
    filch_executor *e = executor_of(1);
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    refused(e, NULL, FILCH_EINVAL, "spec");
    refused(e, &spec, FILCH_EINVAL, "function");
    spec.fn = do_nothing;
    fails(FILCH_EINVAL, filch_map(e, &spec, NULL));
    fails(FILCH_EINVAL, filch_map_until(e, &spec, 0, NULL));
    spec.n = 3;
    spec.arg_size = 4;
    refused(e, &spec, FILCH_EINVAL, "3 inputs of 4 bytes");
    cr_assert_eq(stats_of(e).submitted, 0);
    ok(filch_executor_destroy(e));
}

Test(bad_input, null_results) {
    int result = 17;
    fails(FILCH_EINVAL, filch_results_next(NULL, &result));
    fails(FILCH_EINVAL, filch_results_next(NULL, NULL));
    cr_assert_eq(result, 17);
    ok(filch_results_destroy(NULL));
}

Test(bad_input, inputs_from_two_places) {
    filch_executor *e = executor_of(1);
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    int value = 0;
    spec.fn = do_nothing;
    spec.next = give_none;
    spec.args = &value;
    refused(e, &spec, FILCH_EINVAL, "generator");
    spec.args = NULL;
    spec.n = 1;
    refused(e, &spec, FILCH_EINVAL, "generator");
    ok(filch_executor_destroy(e));
}

/* Sizes --------------------------------------------------------------------------------------- */

static const size_t too_big[] = {SIZE_MAX,      SIZE_MAX - 1,     SIZE_MAX - 15,
                                 SIZE_MAX - 16, SIZE_MAX - 47,    SIZE_MAX - 63,
                                 SIZE_MAX / 2,  SIZE_MAX / 2 + 1, SIZE_MAX / 2 - 15};

static void submit_of_sizes(filch_executor *e) {
    char byte = 0;
    filch_future *f = UNTOUCHED;
    for (size_t i = 0; i < sizeof too_big / sizeof too_big[0]; i++) {
        fails(FILCH_ETOOBIG, filch_submit(e, do_nothing, &byte, too_big[i], 0, &f));
        fails(FILCH_ETOOBIG, filch_submit(e, do_nothing, &byte, 1, too_big[i], &f));
        fails(FILCH_ETOOBIG, filch_submit(e, do_nothing, &byte, too_big[i], too_big[i], &f));
        fails(FILCH_ETOOBIG, filch_submit(e, do_nothing, &byte, too_big[i], 1, NULL));
    }
    cr_assert_eq(f, UNTOUCHED);
}

Test(bad_input, sizes_that_overflow) {
    filch_executor *e = executor_of(1);
    submit_of_sizes(e);
    cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(e));
}

Test(bad_input, results_that_no_memory_holds) {
    filch_executor *e = executor_of(1);
    filch_future *f = UNTOUCHED;
    for (size_t size = SIZE_MAX / 4; size > (size_t)1 << 50; size /= 2) {
        int rc = filch_submit(e, do_nothing, NULL, 0, size, &f);
        if (rc != FILCH_ENOMEM && rc != FILCH_ETOOBIG)
            cr_assert_fail("a result of %zu bytes: %s", size, filch_error_name(rc));
    }
    cr_assert_eq(f, UNTOUCHED);
    ok(filch_executor_destroy(e));
}

static int add_two(void *arg, void *result) {
    *(int *)result = *(int *)arg + 2;
    return 0;
}

Test(bad_input, map_sizes_that_overflow) {
    filch_executor *e = executor_of(1);
    int value = 0;
    fails(FILCH_ETOOBIG, filch_map_array(e, add_two, &value, 2, SIZE_MAX, &value, 0));
    fails(FILCH_ETOOBIG, filch_map_array(e, add_two, &value, 0, SIZE_MAX, &value, 2));
    fails(FILCH_ETOOBIG, filch_map_array(e, add_two, &value, SIZE_MAX, 2, &value, 1));
    fails(FILCH_ETOOBIG, filch_map_array(e, add_two, &value, 1, 2, &value, SIZE_MAX));
    fails(FILCH_ETOOBIG, filch_map_array(e, add_two, &value, SIZE_MAX, 1, &value, SIZE_MAX));
    fails(FILCH_ETOOBIG,
          filch_map_array(e, add_two, &value, SIZE_MAX / 2 + 1, 2, &value, sizeof value));
    cr_assert_eq(value, 0);
    ok(filch_executor_destroy(e));
}

/* The inputs are not touched: what they refer to stays the caller's. */
static void destroy_none(void *arg) {
    *(int *)arg = 1;
}

static void lazy_map_too_big(filch_executor *e, size_t n, size_t arg_size, size_t result_size,
                             size_t chunk_size) {
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    int value = 0;
    spec.fn = do_nothing;
    spec.args = &value;
    spec.n = n;
    spec.arg_size = arg_size;
    spec.result_size = result_size;
    spec.chunk_size = chunk_size;
    spec.arg_destroy = destroy_none;
    refused(e, &spec, FILCH_ETOOBIG, "overflow");
    cr_assert_eq(value, 0);
}

Test(bad_input, lazy_map_sizes_that_overflow) {
    filch_executor *e = executor_of(1);
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    for (size_t chunk = 0; chunk < 3; chunk++) {
        lazy_map_too_big(e, SIZE_MAX, 2, 0, chunk);
        lazy_map_too_big(e, SIZE_MAX / 8 + 2, 8, 8, chunk);
        for (size_t i = 0; i < sizeof too_big / sizeof too_big[0]; i++) {
            lazy_map_too_big(e, 1, too_big[i], 0, chunk);
            lazy_map_too_big(e, 1, 1, too_big[i], chunk);
            lazy_map_too_big(e, 2, too_big[i], too_big[i], chunk);
        }
    }
    lazy_map_too_big(e, 4, 1, SIZE_MAX / 4, 4);
    lazy_map_too_big(e, SIZE_MAX, 0, 0, SIZE_MAX);
    spec.fn = do_nothing;
    spec.next = give_none;
    spec.chunk_size = SIZE_MAX;
    refused(e, &spec, FILCH_ETOOBIG, "overflow");
    spec.chunk_size = 2;
    spec.result_size = SIZE_MAX;
    refused(e, &spec, FILCH_ETOOBIG, "overflow");
    cr_assert_eq(stats_of(e).submitted, 0);
    ok(filch_executor_destroy(e));
}

Test(bad_input, lazy_map_that_no_memory_holds) {
    filch_executor *e = executor_of(1);
    for (size_t chunk = 1; chunk < 3; chunk++)
        for (int generator = 0; generator < 2; generator++) {
            filch_map_spec spec = FILCH_MAP_SPEC_INIT;
            static int value;
            spec.fn = do_nothing;
            spec.chunk_size = chunk;
            if (generator) {
                spec.next = give_none;
                spec.arg_size = SIZE_MAX / 8;
            } else {
                spec.args = &value;
                spec.n = chunk;
                spec.result_size = SIZE_MAX / 8;
            }
            refused(e, &spec, FILCH_ENOMEM, "memory");
        }
    ok(filch_executor_destroy(e));
}

/* Options ------------------------------------------------------------------------------------- */

static int make(filch_thread_options options) {
    filch_executor *e = UNTOUCHED;
    int rc = filch_thread_executor(&options, &e);
    if (rc != 0) {
        cr_assert_eq(e, UNTOUCHED);
        return rc;
    }
    rc = finish(submit_to(e, do_nothing, NULL, 0, 0));
    ok(filch_executor_destroy(e));
    return rc;
}

static int make_workers(int max_workers) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = max_workers;
    return make(options);
}

Test(bad_input, range_of_max_workers) {
    fails(FILCH_EINVAL, make_workers(-1));
    fails(FILCH_EINVAL, make_workers(INT_MIN));
    fails(FILCH_EINVAL, make_workers(4097));
    fails(FILCH_EINVAL, make_workers(INT_MAX));
    ok(make_workers(0));
    ok(make_workers(1));
    ok(make_workers(2));
    ok(make_workers(4096));
}

static int make_spares(int max_workers, int max_spares) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = max_workers;
    options.max_spares = max_spares;
    return make(options);
}

Test(bad_input, range_of_max_spares) {
    fails(FILCH_EINVAL, make_spares(1, -2));
    fails(FILCH_EINVAL, make_spares(1, INT_MIN));
    fails(FILCH_EINVAL, make_spares(1, 4097));
    fails(FILCH_EINVAL, make_spares(1, INT_MAX));
    ok(make_spares(1, -1));
    ok(make_spares(1, 0));
    ok(make_spares(1, 1));
    ok(make_spares(4096, 4096));
}

static int make_stack(size_t stack_size) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 1;
    options.stack_size = stack_size;
    return make(options);
}

Test(bad_input, range_of_stack_size) {
    fails(FILCH_EINVAL, make_stack(1));
    fails(FILCH_EINVAL, make_stack(16383));
    fails(FILCH_EINVAL, make_stack(((size_t)1 << 40) + 1));
    fails(FILCH_EINVAL, make_stack(SIZE_MAX));
    ok(make_stack(0));
    ok(make_stack((size_t)1 << 20));
    ok(make_stack(((size_t)1 << 20) + 1)); /* no whole number of pages */
}

static int make_spin(filch_nanoseconds spin) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 1;
    options.spin = spin;
    return make(options);
}

Test(bad_input, range_of_spin) {
    fails(FILCH_EINVAL, make_spin(-2));
    fails(FILCH_EINVAL, make_spin(INT64_MIN));
    fails(FILCH_EINVAL, make_spin(1000000001));
    fails(FILCH_EINVAL, make_spin(INT64_MAX));
    ok(make_spin(-1));
    ok(make_spin(0));
    ok(make_spin(1));
}

Test(bad_input, size_fields) {
    static const size_t wrong[] = {0, 1, SIZE_MAX};
    filch_executor *e = executor_of(1), *none = UNTOUCHED;
    filch_future *f = UNTOUCHED;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
        filch_task task = FILCH_TASK_INIT;
        filch_stats stats = FILCH_STATS_INIT;
        filch_map_spec spec = FILCH_MAP_SPEC_INIT;
        options.size = task.size = stats.size = spec.size = wrong[i];
        task.fn = spec.fn = do_nothing;
        refused(e, &spec, FILCH_EINVAL, "FILCH_MAP_SPEC_INIT");
        stats.submitted = 77;
        fails(FILCH_EINVAL, filch_thread_executor(&options, &none));
        fails(FILCH_EINVAL, filch_submit_task(e, &task, &f));
        fails(FILCH_EINVAL, filch_executor_stats(e, &stats));
        cr_assert_eq(stats.submitted, 77);
    }
    cr_assert_eq(none, UNTOUCHED);
    cr_assert_eq(f, UNTOUCHED);
    ok(filch_executor_destroy(e));
}

Test(bad_input, unknown_flags_change_nothing) {
    filch_executor *e = executor_of(1);
    fails(FILCH_EINVAL, filch_executor_shutdown(e, 4));
    fails(FILCH_EINVAL, filch_executor_shutdown(e, FILCH_WAIT | 8));
    fails(FILCH_EINVAL, filch_executor_shutdown(e, UINT_MAX));
    cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(e));
}

/* At the wrong time --------------------------------------------------------------------------- */

Test(bad_input, submit_after_shutdown) {
    static const unsigned flags[] = {0, FILCH_WAIT, FILCH_CANCEL_PENDING,
                                     FILCH_WAIT | FILCH_CANCEL_PENDING};
    for (int used = 0; used < 2; used++)
        for (int i = 0; i < 4; i++) {
            filch_executor *e = executor_of(1);
            filch_future *f = UNTOUCHED;
            filch_task task = FILCH_TASK_INIT;
            int value = 1;
            task.fn = do_nothing;
            if (used) cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
            ok(filch_executor_shutdown(e, flags[i]));
            fails(FILCH_ESHUTDOWN, filch_submit(e, do_nothing, NULL, 0, 0, &f));
            fails(FILCH_ESHUTDOWN, filch_submit(e, do_nothing, NULL, 0, 0, NULL));
            fails(FILCH_ESHUTDOWN, filch_submit_task(e, &task, &f));
            fails(FILCH_ESHUTDOWN,
                  filch_map_array(e, add_two, &value, sizeof value, 1, &value, sizeof value));
            filch_map_spec spec = FILCH_MAP_SPEC_INIT;
            spec.fn = do_nothing;
            spec.n = 2;
            refused(e, &spec, FILCH_ESHUTDOWN, "shut down");
            spec.chunk_size = 2;
            refused(e, &spec, FILCH_ESHUTDOWN, "shut down");
            cr_assert_eq(f, UNTOUCHED);
            cr_assert_eq(value, 1);
            ok(filch_executor_destroy(e));
        }
}

struct inside {
    filch_executor *executor;
    struct gate gate;
    filch_future *future;
    int codes[4];
};

static int submit_in_a_running_task(void *arg, void *result) {
    struct inside *inside = *(struct inside **)arg;
    (void)result;
    flag_raise(&inside->gate.reached);
    flag_wait(&inside->gate.open);
    inside->codes[0] = filch_submit(inside->executor, do_nothing, NULL, 0, 0, &inside->future);
    inside->codes[1] = filch_submit(inside->executor, do_nothing, NULL, 0, 0, NULL);
    return 0;
}

Test(bad_input, submit_after_shutdown_inside_a_running_task) {
    filch_executor *e = executor_of(1);
    struct inside inside = {e, {0, 0}, UNTOUCHED, {0}};
    filch_future *f = submit_pointer(e, submit_in_a_running_task, &inside);
    flag_wait(&inside.gate.reached);
    ok(filch_executor_shutdown(e, 0));
    flag_raise(&inside.gate.open);
    cr_assert_eq(finish(f), 0);
    cr_assert_eq(inside.codes[0], FILCH_ESHUTDOWN);
    cr_assert_eq(inside.codes[1], FILCH_ESHUTDOWN);
    cr_assert_eq(inside.future, UNTOUCHED);
    ok(filch_executor_destroy(e));
}

static void end_from_within(struct inside *inside) {
    inside->codes[0] = filch_executor_destroy(inside->executor);
    inside->codes[1] = filch_executor_shutdown(inside->executor, FILCH_WAIT);
    inside->codes[2] = filch_executor_shutdown(inside->executor, FILCH_WAIT | FILCH_CANCEL_PENDING);
    inside->codes[3] = filch_submit(inside->executor, do_nothing, NULL, 0, 0, &inside->future);
}

static int end_in_a_task(void *arg, void *result) {
    (void)result;
    end_from_within(*(struct inside **)arg);
    return 0;
}

static void end_in_a_callback(filch_future *f, void *context) {
    (void)f;
    end_from_within(context);
    flag_raise(&((struct inside *)context)->gate.reached);
}

static void check_nothing_happened(struct inside *inside) {
    for (int i = 0; i < 3; i++) cr_assert_eq(inside->codes[i], FILCH_EDEADLK);
    cr_assert_eq(inside->codes[3], 0, "the executor still accepts");
    cr_assert_eq(finish(inside->future), 0);
    cr_assert_eq(finish(submit_to(inside->executor, do_nothing, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(inside->executor));
}

Test(bad_input, destroy_in_a_task) {
    filch_executor *e = executor_of(1);
    struct inside inside = {e, {0, 0}, NULL, {0}};
    cr_assert_eq(finish(submit_pointer(e, end_in_a_task, &inside)), 0);
    check_nothing_happened(&inside);
}

Test(bad_input, destroy_in_a_callback_of_a_worker) {
    filch_executor *e = executor_of(1);
    struct inside inside = {e, {0, 0}, NULL, {0}};
    struct gate gate;
    filch_future *f = occupy(e, &gate);
    ok(filch_future_add_done_callback(f, end_in_a_callback, &inside));
    open_gate(&gate, f);
    flag_wait(&inside.gate.reached);
    check_nothing_happened(&inside);
}

static int end_in_an_initializer(void *arg) {
    struct inside *inside = arg;
    flag_wait(&inside->gate.open);
    inside->codes[0] = filch_executor_destroy(inside->executor);
    inside->codes[1] = filch_executor_shutdown(inside->executor, FILCH_WAIT);
    return 0;
}

Test(bad_input, destroy_in_an_initializer) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    struct inside inside = {NULL, {0, 0}, NULL, {0}};
    options.max_workers = 1;
    options.initializer = end_in_an_initializer;
    options.initializer_arg = &inside;
    filch_executor *e = inside.executor = executor_with(options);
    filch_future *f = submit_to(e, do_nothing, NULL, 0, 0);
    flag_raise(&inside.gate.open);
    cr_assert_eq(finish(f), 0);
    cr_assert_eq(inside.codes[0], FILCH_EDEADLK);
    cr_assert_eq(inside.codes[1], FILCH_EDEADLK);
    ok(filch_executor_destroy(e));
}

Test(bad_input, destroy_of_the_default_executor) {
    filch_executor *e = filch_default_executor();
    cr_assert_not_null(e);
    fails(FILCH_EINVAL, filch_executor_destroy(e));
    cr_assert_eq(finish(submit_to(NULL, do_nothing, NULL, 0, 0)), 0);
}
