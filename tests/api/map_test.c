/* map_test.c: one function over many inputs.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <alloca.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(map, .timeout = 30);

static int square(void *arg, void *result) {
    uint64_t i = *(uint64_t *)arg;
    *(uint64_t *)result = i * i;
    return 0;
}

static int count_wrong_squares(const uint64_t *results, size_t n) {
    int wrong = 0;
    for (uint64_t i = 0; i < n; i++) wrong += results[i] != i * i;
    return wrong;
}
/* 0 if all n results are right. */
static int map_squares(filch_executor *e, size_t n) {
    uint64_t *args = malloc((n + 1) * sizeof *args), *results = malloc((n + 1) * sizeof *results);
    for (uint64_t i = 0; i < n; i++) args[i] = i;
    for (uint64_t i = 0; i <= n; i++) results[i] = 7;
    int rc = filch_map_array(e, square, args, sizeof *args, n, results, sizeof *results);
    if (rc == 0) rc = count_wrong_squares(results, n);
    if (rc == 0 && results[n] != 7) rc = -1;
    free(args);
    free(results);
    return rc;
}

Test(map, results_of_every_size) {
    for (int workers = 1; workers < 4; workers++) {
        filch_executor *e = executor_of(workers);
        for (size_t n = 0; n < 200; n++) cr_assert_eq(map_squares(e, n), 0, "n is %zu", n);
        ok(filch_executor_destroy(e));
    }
}

Test(map, a_million_inputs) {
    filch_executor *e = executor_of(2);
    cr_assert_eq(map_squares(e, 1000000), 0);
    ok(filch_executor_destroy(e));
}

Test(map, on_sixty_four_workers) {
    filch_executor *e = executor_of(64);
    cr_assert_eq(map_squares(e, 20000), 0);
    ok(filch_executor_destroy(e));
}

Test(map, on_the_default_executor) {
    cr_assert_eq(map_squares(NULL, 1000), 0);
}

Test(map, of_nothing_runs_nothing) {
    filch_executor *e = executor_of(1);
    ok(filch_map_array(e, square, NULL, 8, 0, NULL, 8));
    ok(filch_map_array(e, square, NULL, SIZE_MAX, 0, NULL, SIZE_MAX));
    cr_assert_eq(stats_of(e).submitted, 0);
    ok(filch_executor_destroy(e));
}

static int runs;
static int count_run(void *arg, void *result) {
    (void)arg;
    (void)result;
    add(&runs, 1);
    return 0;
}

Test(map, without_argument_and_result) {
    filch_executor *e = executor_of(2);
    ok(filch_map_array(e, count_run, NULL, 0, 12345, NULL, 0));
    cr_assert_eq(runs, 12345);
    ok(filch_executor_destroy(e));
}

/* Odd sizes: every input gets an aligned copy of its own, and a zeroed result. */
struct odd {
    unsigned char bytes[13];
};
static int copy_odd(void *arg, void *result) {
    struct odd *a = arg, *r = result;
    if ((uintptr_t)arg % 16 != 0 || (uintptr_t)result % 16 != 0) return 1;
    for (size_t i = 0; i < sizeof r->bytes; i++)
        if (r->bytes[i] != 0) return 2;
    *r = *a;
    memset(a, 0xee, sizeof *a);
    return 0;
}

Test(map, copies_and_zeroes) {
    enum { N = 500 };
    static struct odd args[N], results[N];
    filch_executor *e = executor_of(2);
    for (size_t i = 0; i < N; i++) memset(&args[i], (int)i, sizeof args[i]);
    ok(filch_map_array(e, copy_odd, args, sizeof args[0], N, results, sizeof results[0]));
    for (size_t i = 0; i < N; i++) {
        cr_assert_eq(results[i].bytes[0], (unsigned char)i);
        cr_assert_eq(args[i].bytes[12], (unsigned char)i, "the inputs stay");
    }
    ok(filch_executor_destroy(e));
}

/* Errors -------------------------------------------------------------------------------------- */

static int fail_some(void *arg, void *result) {
    int i = *(int *)arg;
    add(&runs, 1);
    *(int *)result = i;
    if (i == 77) return filch_fail(5, "input seventy-seven");
    if (i == 78) return filch_fail(6, "the next one");
    if (i % 100 == 99) return i;
    if (i == 950) return -4242;
    return 0;
}

Test(map, error_of_the_lowest_input_and_all_others_run) {
    enum { N = 1000 };
    static int args[N], results[N];
    for (int workers = 1; workers < 4; workers++) {
        filch_executor *e = executor_of(workers);
        runs = 0;
        for (int i = 0; i < N; i++) args[i] = i, results[i] = -1;
        fails(5, filch_map_array(e, fail_some, args, sizeof(int), N, results, sizeof(int)));
        cr_assert_not_null(strstr(filch_last_error(), "input seventy-seven"), "%s",
                           filch_last_error());
        cr_assert_not_null(strstr(filch_last_error(), "77"), "%s", filch_last_error());
        cr_assert_eq(runs, N);
        for (int i = 0; i < N; i++) {
            bool failed = i == 77 || i == 78 || i % 100 == 99 || i == 950;
            if (results[i] != (failed ? -1 : i)) cr_assert_fail("result %d is %d", i, results[i]);
        }
        ok(filch_executor_destroy(e));
    }
}

static int slow_count(void *arg, void *result) {
    (void)arg;
    sched_yield();
    *(int *)result = 1;
    add(&runs, 1);
    return 0;
}

Test(map, blocks_until_every_input_has_run) {
    enum { N = 300 };
    for (int workers = 1; workers < 5; workers++) {
        filch_executor *e = executor_of(workers);
        int results[N] = {0}, sum = 0;
        runs = 0;
        ok(filch_map_array(e, slow_count, NULL, 0, N, results, sizeof(int)));
        for (int i = 0; i < N; i++) sum += results[i];
        cr_assert_eq(sum, N);
        cr_assert_eq(runs, N);
        ok(filch_executor_destroy(e));
    }
}

static int return_code(void *arg, void *result) {
    (void)result;
    return *(int *)arg;
}

Test(map, codes_are_those_of_tasks) {
    filch_executor *e = executor_of(2);
    int none[3] = {0, 0, 0}, other[3] = {0, -4242, 3}, listed[3] = {0, 0, FILCH_ENOTSUP};
    ok(filch_map_array(e, return_code, none, sizeof(int), 3, NULL, 0));
    fails(FILCH_EINVAL, filch_map_array(e, return_code, other, sizeof(int), 3, NULL, 0));
    fails(FILCH_ENOTSUP, filch_map_array(e, return_code, listed, sizeof(int), 3, NULL, 0));
    cr_assert_not_null(strstr(filch_last_error(), filch_error_text(FILCH_ENOTSUP)));
    ok(filch_executor_destroy(e));
}

/* Shapes -------------------------------------------------------------------------------------- */

static int uneven(void *arg, void *result) {
    int i = *(int *)arg;
    if (i % 64 == 0) usleep(200);
    *(int *)result = -i;
    return 0;
}

Test(map, uneven_inputs) {
    enum { N = 500 };
    static int args[N], results[N];
    filch_executor *e = executor_of(4);
    for (int i = 0; i < N; i++) args[i] = i;
    ok(filch_map_array(e, uneven, args, sizeof(int), N, results, sizeof(int)));
    for (int i = 0; i < N; i++) cr_assert_eq(results[i], -i);
    ok(filch_executor_destroy(e));
}

static int map_inside(void *arg, void *result) {
    (void)result;
    return map_squares(filch_current_executor(), *(size_t *)arg);
}

Test(map, inside_a_task) {
    for (int workers = 1; workers < 4; workers++) {
        filch_executor *e = executor_of(workers);
        filch_future *futures[10];
        for (size_t i = 0; i < 10; i++) {
            size_t n = i * i * 20;
            futures[i] = submit_to(e, map_inside, &n, sizeof n, 0);
        }
        for (int i = 0; i < 10; i++) cr_assert_eq(finish(futures[i]), 0);
        ok(filch_executor_destroy(e));
    }
}

/* Inputs of a map that map, on one worker. */
static int map_of_maps(void *arg, void *result) {
    size_t n = *(size_t *)arg;
    (void)result;
    return map_squares(filch_current_executor(), n);
}

Test(map, inside_a_map) {
    for (int workers = 1; workers < 3; workers++) {
        filch_executor *e = executor_of(workers);
        size_t args[40];
        for (size_t i = 0; i < 40; i++) args[i] = i;
        ok(filch_map_array(e, map_of_maps, args, sizeof(size_t), 40, NULL, 0));
        ok(filch_executor_destroy(e));
    }
}

static void map_from_outside(int index, void *context) {
    int rc = map_squares(((filch_executor **)context)[0], (size_t)index * 500);
    if (rc != 0) add(&runs, 1);
}

Test(map, by_several_threads) {
    filch_executor *e = executor_of(2);
    run_threads(4, map_from_outside, &e);
    cr_assert_eq(runs, 0);
    ok(filch_executor_destroy(e));
}

Test(map, while_the_executor_is_cancelled) {
    int n = stress(40);
    for (int i = 0; i < n; i++) {
        filch_executor *e = executor_of(2);
        struct gate gate;
        filch_future *first = occupy(e, &gate);
        size_t count = 5000;
        filch_future *f = submit_to(e, map_inside, &count, sizeof count, 0);
        for (int k = 0; k < i; k++) sched_yield();
        ok(filch_executor_shutdown(e, FILCH_CANCEL_PENDING));
        open_gate(&gate, first);
        int rc = finish(f);
        cr_assert(rc == 0 || rc == FILCH_ECANCELED || rc == FILCH_ESHUTDOWN, "%d", rc);
        ok(filch_executor_destroy(e));
    }
}

/* Whatever the map returns, no input is run after the return. The stack of the only worker is almost
 * used up and there are no spares, so that the map cannot wait for its tasks. */
static uint32_t map_has_returned;
static int late_runs;
static int note_late_run(void *arg, void *result) {
    (void)result;
    if (filch_load_acquire(&map_has_returned) || *(int *)arg != 4711) add(&late_runs, 1);
    add(&runs, 1);
    return 0;
}
static int map_when_stack_is_low(void *arg, void *result) {
    size_t amount = *(size_t *)arg;
    volatile char *block = alloca(amount);
    int args[64];
    (void)result;
    block[0] = 1;
    for (int i = 0; i < 64; i++) args[i] = 4711;
    int rc =
        filch_map_array(filch_current_executor(), note_late_run, args, sizeof(int), 64, NULL, 0);
    flag_raise(&map_has_returned);
    for (int i = 0; i < 64; i++) args[i] = 0;
    return rc + (block[0] != 1 || args[3] != 0);
}

Test(map, with_the_stack_used_up_runs_nothing_after_its_return) {
    enum { STACK = 1 << 20 };
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    size_t amount = STACK - (48 << 10);
    options.max_workers = 1;
    options.max_spares = -1;
    options.stack_size = STACK;
    filch_executor *e = executor_with(options);
    int rc = finish(submit_to(e, map_when_stack_is_low, &amount, sizeof amount, 0));
    ok(filch_executor_destroy(e));
    cr_assert_eq(late_runs, 0);
    cr_assert(rc == FILCH_EAGAIN || rc == FILCH_ECANCELED || (rc == 0 && runs == 64), "%d", rc);
}

/* Inputs are tasks of their own ------------------------------------------------------------------ */

/* Input 0 is over when all the others have run: none of them waits behind it. */
static int wait_for_others(void *arg, void *result) {
    (void)result;
    add(&runs, 1);
    while (*(int *)arg == 0 && read_int(&runs) != 64) sched_yield();
    return 0;
}

Test(map, no_input_waits_behind_one_that_takes_long) {
    filch_executor *e = executor_of(2);
    int args[64];
    for (int i = 0; i < 64; i++) args[i] = i;
    for (int round = 0; round < 100; round++) {
        runs = 0;
        ok(filch_map_array(e, wait_for_others, args, sizeof(int), 64, NULL, 0));
    }
    ok(filch_executor_destroy(e));
}

static int say_and_allocate(void *arg, void *result) {
    char *own = filch_result_alloc(100);
    (void)result;
    if (own == NULL) return 1;
    memset(own, 1, 100);
    return *(int *)arg == 0 ? 0 : filch_fail(*(int *)arg, "the input's");
}
static int map_beside_own_result(void *arg, void *result) {
    int args[20];
    char *own = filch_result_alloc(4);
    int rc = filch_fail(7, "the task's");
    (void)result;
    memcpy(own, "own", 4);
    for (int i = 0; i < 20; i++) args[i] = i % 4;
    if (filch_map_array(filch_current_executor(), say_and_allocate, args, sizeof(int), 20, NULL,
                        0) != 1)
        return 1;
    return *(bool *)arg ? rc : 0;
}

/* What an input says, or allocates, does not become what the task says that maps. */
Test(map, inputs_leave_alone_what_the_task_has_said) {
    filch_executor *e = executor_of(2);
    for (int fails = 0; fails < 2; fails++) {
        bool arg = fails != 0;
        filch_future *f = submit_to(e, map_beside_own_result, &arg, sizeof arg, 0);
        const void *data = NULL;
        size_t size = 0;
        int rc = filch_future_result(f, NULL, FILCH_FOREVER);
        cr_assert_eq(rc, arg ? 7 : 0);
        if (arg)
            cr_assert_not_null(strstr(filch_last_error(), "the task's"), "%s", filch_last_error());
        else
            ok(filch_future_result_view(f, &data, &size));
        if (!arg) cr_assert(size == 4 && memcmp(data, "own", 4) == 0, "%zu", size);
        filch_future_release(f);
    }
    ok(filch_executor_destroy(e));
}

struct asked {
    filch_future *self;
    struct gate gate;
};
static int note_and_stay(void *arg, void *result) {
    struct asked *asked = *(struct asked **)arg;
    (void)result;
    if (add(&runs, 1) == 1) {
        flag_raise(&asked->gate.reached);
        flag_wait(&asked->gate.open);
    }
    return 0;
}
static int map_until_asked(void *arg, void *result) {
    struct asked *args[64];
    (void)result;
    for (int i = 0; i < 64; i++) args[i] = *(struct asked **)arg;
    return filch_map_array(filch_current_executor(), note_and_stay, args, sizeof args[0], 64, NULL,
                           0);
}

/* A task that is asked to end starts no more of its inputs. */
Test(map, of_a_task_that_is_asked_to_end_ends) {
    filch_executor *e = executor_of(1);
    struct asked asked = {NULL, {0, 0}}, *arg = &asked;
    runs = 0;
    filch_future *f = submit_to(e, map_until_asked, &arg, sizeof arg, 0);
    flag_wait(&asked.gate.reached);
    (void)filch_future_request_cancel(f);
    flag_raise(&asked.gate.open);
    int rc = filch_future_result(f, NULL, FILCH_FOREVER);
    cr_assert_eq(rc, FILCH_ECANCELED);
    cr_assert_eq(runs, 1);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}
