/* mix.c: see mix.h.
 *
 * SPDX-License-Identifier: MIT */
#include "mix.h"

#include <filch.h>
#include <filch/atomic.h>
#include <filch/process.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *wrong;

static bool expect(bool right, const char *what) {
    static char text[400];
    if (right || wrong != NULL) return right;
    snprintf(text, sizeof text, "%s; last error: %s", what, filch_last_error());
    wrong = text;
    return false;
}
#define EXPECT(condition) expect(condition, #condition)

int64_t mix_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int twice(void *arg, void *result) {
    *(int *)result = 2 * *(int *)arg;
    return 0;
}

/* Times ------------------------------------------------------------------------------------------- */

/* What will never be done is waited for no less than it says. */
static void wait_in_vain(filch_executor *e) {
    enum { TIME = 1500000 };
    filch_future *f = NULL, *order[2];
    filch_completions *it = NULL;
    if (!EXPECT(filch_promise(0, &f) == 0)) return;
    int64_t begin = mix_now();
    EXPECT(filch_future_result(f, NULL, TIME) == FILCH_ETIMEDOUT && mix_now() - begin >= TIME);
    begin = mix_now();
    EXPECT(filch_future_result_until(f, NULL, begin + TIME) == FILCH_ETIMEDOUT &&
           mix_now() - begin >= TIME);
    order[0] = order[1] = f;
    begin = mix_now();
    EXPECT(filch_wait(order, 2, TIME, FILCH_FIRST_COMPLETED) == 0 && mix_now() - begin >= TIME);
    begin = mix_now();
    EXPECT(filch_wait(order, 2, TIME, FILCH_ALL_COMPLETED) == 0 && mix_now() - begin >= TIME);
    begin = mix_now();
    if (EXPECT(filch_as_completed(order, 2, TIME, &it) == 0)) {
        EXPECT(filch_completions_next(it, &order[0]) == FILCH_ETIMEDOUT &&
               mix_now() - begin >= TIME);
        filch_completions_destroy(it);
    }
    (void)e;
    filch_future_release(f);
}

/* The same on a worker. */
static int wait_in_vain_inside(void *arg, void *result) {
    enum { TIME = 1000000 };
    filch_future *f = *(filch_future **)arg;
    int64_t begin = mix_now();
    int rc = filch_future_result(f, NULL, TIME);
    *(int *)result = rc == FILCH_ETIMEDOUT && mix_now() - begin >= TIME;
    return 0;
}

/* Threads ----------------------------------------------------------------------------------------- */

enum { MANY = 200 };
static void complete_many(filch_executor *e) {
    filch_future *futures[MANY], *f;
    filch_completions *it = NULL;
    int given = 0, value = 0;
    for (int i = 0; i < MANY; i++)
        if (!EXPECT(filch_submit(e, twice, &i, sizeof i, sizeof i, &futures[i]) == 0)) return;
    if (EXPECT(filch_as_completed(futures, MANY, FILCH_FOREVER, &it) == 0)) {
        while (filch_completions_next(it, &f) == 0) given++;
        filch_completions_destroy(it);
    }
    EXPECT(given == MANY);
    EXPECT(filch_wait(futures, MANY, FILCH_FOREVER, FILCH_ALL_COMPLETED) == MANY);
    for (int i = 0; i < MANY; i++) {
        EXPECT(filch_future_result(futures[i], &value, FILCH_FOREVER) == 0 && value == 2 * i);
        filch_future_release(futures[i]);
    }
}

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
static int descend(void *arg, void *result) {
    int depth = *(int *)arg - 1;
    filch_future *f = NULL;
    *(int *)result = 1;
    if (depth < 0) return 0;
    int rc = filch_submit(filch_current_executor(), descend, &depth, sizeof depth, sizeof(int), &f);
    if (rc == 0) rc = filch_future_result(f, result, FILCH_FOREVER);
    filch_future_release(f);
    *(int *)result += 1;
    return rc;
}
static void compute(filch_executor *e) {
    enum { KEYS = 20000 };
    static uint32_t keys[KEYS];
    uint32_t state = 1;
    long n = 16, sum = 0;
    int depth = 20, reached = 0;
    bool ordered = true;
    filch_future *f = NULL;
    EXPECT(filch_run(e, run_fib, &n, &sum) == 0 && sum == 987);
    EXPECT(filch_submit(e, descend, &depth, sizeof depth, sizeof depth, &f) == 0);
    EXPECT(filch_future_result(f, &reached, FILCH_FOREVER) == 0 && reached == 21);
    filch_future_release(f);
    for (int i = 0; i < KEYS; i++) keys[i] = state = state * 1664525 + 1013904223;
    EXPECT(filch_parallel_sort_uint32(e, keys, KEYS) == 0);
    for (int i = 1; i < KEYS; i++) ordered &= keys[i - 1] <= keys[i];
    EXPECT(ordered);
}
static void map(filch_executor *e) {
    int args[MANY], results[MANY], value = 0, place = 0;
    filch_results *it = NULL;
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    for (int i = 0; i < MANY; i++) args[i] = i;
    EXPECT(filch_map_array(e, twice, args, sizeof(int), MANY, results, sizeof(int)) == 0);
    for (int i = 0; i < MANY; i++) EXPECT(results[i] == 2 * i);
    spec.fn = twice;
    spec.args = args;
    spec.n = MANY;
    spec.arg_size = spec.result_size = sizeof(int);
    spec.buffer_size = 7;
    if (!EXPECT(filch_map(e, &spec, &it) == 0)) return;
    for (; filch_results_next(it, &value) == 0; place++) EXPECT(value == 2 * place);
    EXPECT(place == MANY);
    filch_results_destroy(it);
}

static void play_threads(void) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    filch_executor *e = NULL;
    filch_future *never = NULL, *f = NULL;
    int good = 0;
    options.max_workers = 2;
    if (!EXPECT(filch_thread_executor(&options, &e) == 0)) return;
    complete_many(e);
    compute(e);
    map(e);
    wait_in_vain(e);
    if (EXPECT(filch_promise(0, &never) == 0) &&
        EXPECT(filch_submit(e, wait_in_vain_inside, &never, sizeof(void *), sizeof good, &f) == 0))
        EXPECT(filch_future_result(f, &good, FILCH_FOREVER) == 0 && good == 1);
    filch_future_release(f);
    filch_future_release(never);
    EXPECT(filch_executor_shutdown(e, FILCH_WAIT) == 0);
    EXPECT(filch_executor_destroy(e) == 0);
}

/* Processes --------------------------------------------------------------------------------------- */

enum { LARGE = 300000 };
static int turn(void *arg, void *result) {
    unsigned char *in = arg, *out = result;
    for (int i = 0; i < LARGE; i++) out[i] = (unsigned char)(in[i] + 1);
    return 0;
}
static void play_processes(void) {
    static unsigned char bytes[LARGE], answer[LARGE];
    filch_process_options options = FILCH_PROCESS_OPTIONS_INIT;
    filch_executor *e = NULL;
    filch_future *f = NULL;
    int value = 0;
    options.max_workers = 2;
    if (!EXPECT(filch_process_executor(&options, &e) == 0)) return;
    for (int i = 0; i < 20; i++) {
        if (!EXPECT(filch_submit(e, twice, &i, sizeof i, sizeof i, &f) == 0)) break;
        EXPECT(filch_future_result(f, &value, FILCH_FOREVER) == 0 && value == 2 * i);
        filch_future_release(f);
    }
    if (EXPECT(filch_submit(e, turn, bytes, LARGE, LARGE, &f) == 0)) {
        EXPECT(filch_future_result(f, answer, FILCH_FOREVER) == 0 && answer[LARGE - 1] == 1);
        filch_future_release(f);
    }
    map(e);
    EXPECT(filch_executor_destroy(e) == 0);
}

const char *mix_play(bool processes) {
    wrong = NULL;
    play_threads();
    if (processes) play_processes();
    return wrong;
}

const char *mix_play_for(int milliseconds, bool processes) {
    int64_t end = mix_now() + (int64_t)milliseconds * 1000000;
    const char *what;
    do {
        what = mix_play(processes);
    } while (what == NULL && mix_now() < end);
    return what;
}
