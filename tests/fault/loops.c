/* loops.c: scenarios of the sweep: forks and joins, loops, reductions, scans, sorts.
 *
 * SPDX-License-Identifier: MIT */
#include "sweep.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

static filch_executor *make(int workers) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    filch_executor *e = NULL;
    options.max_workers = workers;
    return CALLED(MAY_ENOMEM, filch_thread_executor(&options, &e)) ? e : NULL;
}
static void unmake(filch_executor *e) {
    CALLED(0, filch_executor_destroy(e));
}

/* Forks ------------------------------------------------------------------------------------------- */

static FILCH_FORKABLE_1(long, fib, long, n) {
    if (n < 2) return n;
    fib_frame left;
    fib_fork(&left, n - 1);
    long right = fib(n - 2);
    return fib_join(&left) + right;
}
static int run_fib(void *arg, void *result) {
    *(long *)result = fib(*(long *)arg);
    return 0;
}
static int add_one(void *arg, void *result) {
    *(int *)result = *(int *)arg + 1;
    return 0;
}
static int untyped(void *arg, void *result) {
    filch_frame a, b;
    int one = 1, two = 2, x = 0, y = 0;
    (void)arg;
    filch_fork(&a, add_one, &one, &x);
    filch_fork(&b, add_one, &two, &y);
    EXPECT(USE(filch_join_unless_started)(&b) == 0);
    int rc = filch_join(&a);
    *(int *)result = x;
    return rc;
}
static int pair(void *arg, void *result) {
    int *n = arg, a = 0, b = 0;
    if (*n == 0) return 0;
    int less = *n - 1;
    int rc = USE(filch_invoke2)(pair, &less, &a, pair, &less, &b);
    *(int *)result = a + b + 1;
    return rc;
}

static void play_run(void) {
    long n = 18, sum = 0;
    int depth = 5, value = 0;
    filch_executor *e = make(2);
    if (e == NULL) return;
    if (CALLED(MAY_REFUSE, USE(filch_run)(e, run_fib, &n, &sum))) EXPECT(sum == 2584);
    if (CALLED(MAY_REFUSE, filch_run(e, untyped, NULL, &value))) EXPECT(value == 2);
    if (CALLED(MAY_REFUSE, filch_run(e, pair, &depth, &value))) EXPECT(value == 31);
    unmake(e);
}

/* It forks while the executor ends: who has nothing to do stays for its calls. */
static void play_shutdown_while_it_forks(void) {
    long n = 27, sum = 0;
    filch_future *f = NULL;
    filch_executor *e = make(2);
    if (e == NULL) return;
    if (CALLED(MAY_REFUSE, filch_submit(e, run_fib, &n, sizeof n, sizeof n, &f))) {
        while (!filch_future_done(f) && !filch_future_running(f)) sched_yield();
        CALLED(0, filch_executor_shutdown(e, 0));
        CALLED(0, filch_future_result(f, &sum, FILCH_FOREVER));
        EXPECT(sum == 196418);
        filch_future_release(f);
    }
    unmake(e);
}

/* A call that another worker has taken keeps a text and a block: they travel to who joins it. */
struct theft {
    int taken;
};
static int say_something(void *arg, void *result) {
    struct theft *theft = arg;
    (void)result;
    count_up(&theft->taken);
    if (filch_result_alloc(100) == NULL) EXPECT(sweep_is_armed());
    return filch_fail(3, "what the %s says", "thief");
}
static int be_robbed(void *arg, void *result) {
    struct theft theft = {0};
    filch_frame frame;
    (void)arg;
    (void)result;
    filch_fork(&frame, say_something, &theft, NULL);
    for (int i = 0; i < 2000 && count_of(&theft.taken) == 0; i++) sched_yield();
    return filch_join(&frame);
}
static void play_theft(void) {
    filch_future *f = NULL;
    filch_error error;
    filch_executor *e = make(2);
    if (e == NULL) return;
    if (CALLED(MAY_REFUSE, filch_submit(e, be_robbed, NULL, 0, 0, &f))) {
        CALLED(0, filch_future_error(f, &error, FILCH_FOREVER));
        EXPECT(error.code == 3);
        filch_future_release(f);
    }
    unmake(e);
}

/* Tasks between a fork and its join are noted, so that the join runs them first. */
static int nothing(void *arg, void *result) {
    (void)arg;
    (void)result;
    return 0;
}
static int submit_between(void *arg, void *result) {
    enum { DEPTH = 10 };
    filch_frame frames[DEPTH];
    int rc = 0, one = 1, values[DEPTH];
    (void)arg;
    (void)result;
    for (int i = 0; i < DEPTH; i++) {
        filch_fork(&frames[i], add_one, &one, &values[i]);
        CALLED(MAY_REFUSE, filch_submit(filch_current_executor(), nothing, NULL, 0, 0, NULL));
    }
    for (int i = DEPTH - 1; i >= 0; i--) {
        rc |= filch_join(&frames[i]);
        EXPECT(values[i] == 2);
    }
    return rc;
}
static void play_submit_between(void) {
    filch_executor *e = make(1);
    if (e == NULL) return;
    CALLED(MAY_REFUSE, filch_run(e, submit_between, NULL, NULL));
    unmake(e);
}

/* Outside of a task calls run at once, and their outcomes wait for the join. */
static void play_forks_outside(void) {
    filch_frame a, b;
    int one = 1, two = 2, x = 0, y = 0;
    fib_frame left;
    sweep_use("filch_fork_slow");
    sweep_use("filch_fork_at_once");
    sweep_use("filch_join_slow");
    sweep_use("filch_frame_join_slow");
    sweep_use("filch_frame_in_slot");
    filch_fork(&a, add_one, &one, &x);
    filch_fork(&b, add_one, &two, &y);
    fib_fork(&left, 6);
    EXPECT(fib_join(&left) == 8);
    EXPECT(filch_join(&b) == 0 && y == 3);
    EXPECT(filch_join(&a) == 0 && x == 2);
}

/* Loops ------------------------------------------------------------------------------------------- */

enum { INDICES = 4000 };
static int note_range(int64_t begin, int64_t end, void *context) {
    int *counts = context;
    for (int64_t i = begin; i < end; i++) counts[i]++;
    return 0;
}
static int add_range(int64_t begin, int64_t end, void *context, void *value) {
    (void)context;
    for (int64_t i = begin; i < end; i++) *(int64_t *)value += i;
    return 0;
}
static void add_values(void *left, const void *right, void *context) {
    (void)context;
    *(int64_t *)left += *(const int64_t *)right;
}
static int write_range(int64_t begin, int64_t end, void *context, void *value) {
    for (int64_t i = begin; i < end; i++) ((int64_t *)context)[i] = *(int64_t *)value += i;
    return 0;
}
/* More than has its place on the stack. */
struct large {
    int64_t sum;
    char more[4000];
};

static void play_for(void) {
    static int counts[INDICES];
    filch_executor *e = make(2);
    if (e == NULL) return;
    memset(counts, 0, sizeof counts);
    int rc = USE(filch_parallel_for)(e, 0, INDICES, 16, note_range, counts);
    bool all = CALLED(MAY_REFUSE, rc);
    for (int i = 0; i < INDICES; i++) EXPECT(counts[i] == all);
    unmake(e);
}
static void play_reduce(void) {
    static const struct large none;
    struct large large;
    filch_reduction reduction = FILCH_REDUCTION_INIT;
    filch_executor *e = make(2);
    if (e == NULL) return;
    reduction.size = sizeof large;
    reduction.identity = &none;
    reduction.body = add_range;
    reduction.combine = add_values;
    for (int64_t grain = 0; grain < 64; grain += 16)
        if (CALLED(MAY_REFUSE,
                   USE(filch_parallel_reduce)(e, 0, INDICES, grain, &reduction, &large)))
            EXPECT(large.sum == (int64_t)INDICES * (INDICES - 1) / 2);
    unmake(e);
}
static void play_scan(void) {
    static const int64_t zero;
    static int64_t sums[INDICES];
    int64_t total = 0;
    filch_scan scan = FILCH_SCAN_INIT;
    filch_executor *e = make(2);
    if (e == NULL) return;
    scan.reduction.size = sizeof total;
    scan.reduction.identity = &zero;
    scan.reduction.body = add_range;
    scan.reduction.combine = add_values;
    scan.reduction.context = sums;
    scan.body = write_range;
    if (CALLED(MAY_REFUSE, USE(filch_parallel_scan)(e, 0, INDICES, 0, &scan, &total))) {
        EXPECT(total == (int64_t)INDICES * (INDICES - 1) / 2 && sums[INDICES - 1] == total);
        EXPECT(sums[10] == 55);
    }
    unmake(e);
}

/* Sorts ------------------------------------------------------------------------------------------- */

enum { KEYS = 30000 };
static int compare(const void *a, const void *b, void *context) {
    (void)context;
    return (*(const int32_t *)a > *(const int32_t *)b) -
           (*(const int32_t *)a < *(const int32_t *)b);
}
static uint32_t random_key(uint32_t *state) {
    return *state = *state * 1664525 + 1013904223;
}

/* Sorts KEYS numbers of the type by the call. They are sorted, or, if it refuses, what they were: their sum says it. */
#define SORT(type, ...)                                                                            \
    do {                                                                                           \
        uint32_t state = 1;                                                                        \
        uint64_t before = 0, after = 0;                                                            \
        bool ordered = true;                                                                       \
        type *keys = numbers;                                                                      \
        for (int i = 0; i < KEYS; i++) {                                                           \
            keys[i] = (type)(random_key(&state) >> 9);                                             \
            before += (uint64_t)keys[i];                                                           \
        }                                                                                          \
        bool sorted = CALLED(MAY_REFUSE, __VA_ARGS__);                                             \
        for (int i = 0; i < KEYS; i++) after += (uint64_t)keys[i];                                 \
        for (int i = 1; i < KEYS; i++) ordered &= keys[i - 1] <= keys[i];                          \
        EXPECT(before == after && (ordered || !sorted));                                           \
    } while (0)

static void play_sort(void) {
    void *numbers = malloc(KEYS * sizeof(double));
    filch_executor *e = make(2);
    if (e != NULL) {
        SORT(int32_t, USE(filch_parallel_sort)(e, keys, KEYS, sizeof *keys, compare, NULL));
        SORT(int32_t,
             USE(filch_parallel_sort_in_place)(e, keys, KEYS, sizeof *keys, compare, NULL));
        unmake(e);
    }
    free(numbers);
}
static void play_sort_numbers(void) {
    void *numbers = malloc(KEYS * sizeof(double));
    filch_executor *e = make(2);
    if (e != NULL) {
        SORT(int32_t, USE(filch_parallel_sort_int32)(e, keys, KEYS));
        SORT(uint32_t, USE(filch_parallel_sort_uint32)(e, keys, KEYS));
        SORT(int64_t, USE(filch_parallel_sort_int64)(e, keys, KEYS));
        SORT(uint64_t, USE(filch_parallel_sort_uint64)(e, keys, KEYS));
        SORT(float, USE(filch_parallel_sort_float)(e, keys, KEYS));
        SORT(double, USE(filch_parallel_sort_double)(e, keys, KEYS));
        unmake(e);
    }
    free(numbers);
}

const struct scenario loop_scenarios[] = {
    {"run", play_run, false},
    {"shutdown_while_it_forks", play_shutdown_while_it_forks, false},
    {"theft", play_theft, false},
    {"submit_between_forks", play_submit_between, false},
    {"forks_outside", play_forks_outside, false},
    {"for", play_for, false},
    {"reduce", play_reduce, false},
    {"scan", play_scan, false},
    {"sort", play_sort, false},
    {"sort_numbers", play_sort_numbers, false},
    {NULL, NULL, false},
};
