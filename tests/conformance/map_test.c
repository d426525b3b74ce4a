/* map_test.c: filch_map, which gives results one by one, and filch_map_array, which waits for all.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"
#include <stdio.h>
#include <time.h>
#include <unistd.h>

TestSuite(conformance_map, .timeout = 30);

enum { N = 50 };

static filch_map_spec spec_of(filch_task_fn *fn, const int *inputs, size_t n) {
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    spec.fn = fn;
    spec.args = inputs;
    spec.n = n;
    spec.arg_size = sizeof inputs[0];
    spec.result_size = sizeof(int);
    return spec;
}
static filch_results *begin(filch_executor *e, filch_map_spec spec) {
    filch_results *it = NULL;
    ok(filch_map(e, &spec, &it));
    return it;
}
static void check_end(filch_results *it) {
    int value = 77;
    for (int i = 0; i < 3; i++) cr_assert_eq(filch_results_next(it, &value), FILCH_EEND);
    cr_assert_eq(value, 77);
    ok(filch_results_destroy(it));
}
static void fill(int *inputs, int n) {
    for (int i = 0; i < n; i++) inputs[i] = i;
}

/* Of the first ones the later end first. Only they yield: beside threads that compute on the same CPU, a yield
 * can last for a time slice of each. */
static int square_slowly(void *arg, void *result) {
    for (int i = *(int *)arg; i < 4; i++) sched_yield();
    return square(arg, result);
}

/* R-MAP-1, R-MAP-2, R-MAP-5, R-MAP-6 */
Test(conformance_map, results_come_in_the_order_of_the_inputs) {
    static const size_t chunks[] = {0, 1, 3, 7, N, 2 * N}, buffers[] = {0, 1, 2, 20};
    filch_executor *e = make_executor(3);
    int inputs[N];
    fill(inputs, N);
    for (int c = 0; c < 6; c++)
        for (int b = 0; b < 4; b++) {
            filch_map_spec spec = spec_of(square_slowly, inputs, N);
            spec.chunk_size = chunks[c];
            spec.buffer_size = buffers[b];
            filch_results *it = begin(e, spec);
            for (int i = 0; i < N; i++) {
                int value = -1;
                ok(filch_results_next(it, &value));
                cr_assert_eq(value, i * i);
            }
            check_end(it);
        }
    ok(filch_executor_destroy(e));
}

struct source {
    int given, end, calls_after_end;
    bool zeroed;
};
static bool next_number(void *context, void *arg) {
    struct source *source = context;
    if (source->given == source->end) {
        source->calls_after_end++;
        return false;
    }
    source->zeroed &= *(int *)arg == 0;
    *(int *)arg = source->given++;
    return true;
}
static filch_map_spec spec_of_source(struct source *source) {
    filch_map_spec spec = spec_of(square, NULL, 0);
    spec.args = NULL;
    spec.arg_size = sizeof(int);
    spec.next = next_number;
    spec.next_context = source;
    return spec;
}

/* R-MAP-2, R-MAP-6 */
Test(conformance_map, a_generator_gives_the_inputs) {
    filch_executor *e = make_executor(2);
    struct source source = {0, N, 0, true};
    filch_results *it = begin(e, spec_of_source(&source));
    cr_assert_eq(source.given, N, "all at the call");
    for (int i = 0; i < N; i++) {
        int value = -1;
        ok(filch_results_next(it, &value));
        cr_assert_eq(value, i * i);
    }
    check_end(it);
    cr_assert(source.calls_after_end == 1 && source.zeroed);
    ok(filch_executor_destroy(e));
}

/* R-MAP-6 */
Test(conformance_map, a_buffer_bounds_how_far_it_is_ahead) {
    filch_executor *e = make_executor(2);
    for (int chunk = 1; chunk <= 4; chunk += 3) {
        struct source source = {0, -1, 0, true}; /* without end */
        filch_map_spec spec = spec_of_source(&source);
        spec.buffer_size = 3;
        spec.chunk_size = (size_t)chunk;
        filch_results *it = begin(e, spec);
        cr_assert(source.given >= 3 * chunk && source.given <= 4 * chunk, "%d", source.given);
        for (int i = 0; i < 200; i++) {
            int value = -1;
            ok(filch_results_next(it, &value));
            cr_assert_eq(value, i * i);
            cr_assert(source.given > i && source.given <= i + 1 + 4 * chunk, "%d", source.given);
        }
        ok(filch_results_destroy(it));
    }
    ok(filch_executor_destroy(e));
}

static int fail_if_even(void *arg, void *result) {
    int n = *(int *)arg;
    if (n % 2 == 0) return filch_fail(n + 1, "%d is even", n);
    *(int *)result = n;
    return 0;
}

/* R-MAP-3, R-MAP-4 */
Test(conformance_map, a_failed_input_gives_its_code_at_its_turn) {
    static const size_t chunks[] = {1, 4, N};
    filch_executor *e = make_executor(2);
    int inputs[N];
    fill(inputs, N);
    for (int c = 0; c < 3; c++) {
        filch_map_spec spec = spec_of(fail_if_even, inputs, N);
        spec.chunk_size = chunks[c];
        filch_results *it = begin(e, spec);
        for (int i = 0; i < N; i++) {
            char text[40];
            int value = -1, rc = filch_results_next(it, &value);
            snprintf(text, sizeof text, "%d is even", i);
            cr_assert_eq(rc, i % 2 ? 0 : i + 1);
            cr_assert_eq(value, i % 2 ? i : -1);
            if (rc != 0) cr_assert_not_null(strstr(filch_last_error(), text));
        }
        check_end(it);
    }
    ok(filch_executor_destroy(e));
}

/* R-MAP-5 */
Test(conformance_map, a_task_has_chunk_size_inputs) {
    filch_executor *e = make_executor(2);
    int inputs[N];
    fill(inputs, N);
    for (size_t chunk = 1; chunk <= N; chunk += 8) {
        filch_map_spec spec = spec_of(square, inputs, N);
        uint64_t before = stats_of(e).submitted;
        spec.chunk_size = chunk;
        filch_results *it = begin(e, spec);
        cr_assert_eq(stats_of(e).submitted - before, (N + chunk - 1) / chunk);
        ok(filch_results_destroy(it));
    }
    ok(filch_executor_destroy(e));
}

/* Times and the end --------------------------------------------------------------------------------- */

struct step {
    struct shared runs;
    struct hold hold;
    int stays;
};
static int take_a_step(void *arg, void *result) {
    struct step *step = arg;
    *(int *)result = shared_add(step->runs, 1);
    return step->stays ? stay(&step->hold, NULL) : 0;
}
enum { STEPS = 6, STAYS = 2 };
static filch_map_spec spec_of_steps(struct step *steps) {
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    struct step step = {
        shared_alloc(sizeof(int)), {shared_alloc(sizeof(int)), shared_alloc(sizeof(int))}, 0};
    for (int i = 0; i < STEPS; i++) {
        steps[i] = step;
        steps[i].stays = i == STAYS;
    }
    spec.fn = take_a_step;
    spec.args = steps;
    spec.n = STEPS;
    spec.arg_size = sizeof step;
    spec.result_size = sizeof(int);
    return spec;
}

/* R-MAP-7, R-MAP-8 */
Test(conformance_map, after_the_time_what_is_ready_comes_and_the_rest_is_cancelled) {
    filch_executor *e = make_executor(1);
    struct step steps[STEPS];
    filch_map_spec spec = spec_of_steps(steps);
    spec.timeout = FILCH_MILLISECONDS(5);
    filch_results *it = begin(e, spec);
    shared_wait(steps[0].hold.reached, 1);
    usleep(6000); /* the time began with filch_map */
    for (int i = 0; i < STAYS; i++) {
        int value = 0;
        ok(filch_results_next(it, &value));
        cr_assert_eq(value, i + 1);
    }
    fails(FILCH_ETIMEDOUT, filch_results_next(it, NULL));
    check_end(it);
    cr_assert_eq(stats_of(e).cancelled, STEPS - STAYS - 1);
    shared_add(steps[0].hold.open, 1);
    ok(filch_executor_destroy(e));
    cr_assert_eq(shared_read(steps[0].runs), STAYS + 1);
}

static filch_nanoseconds now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (filch_nanoseconds)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* R-MAP-7, R-TIME-4, R-TIME-1 */
Test(conformance_map, times_are_polls_or_absolute) {
    filch_executor *e = make_executor(1);
    struct step steps[STEPS];
    filch_map_spec spec = spec_of_steps(steps);
    struct held busy = hold_worker(e);
    filch_results *it = NULL;
    spec.timeout = -1;
    ok(filch_map(e, &spec, &it));
    fails(FILCH_ETIMEDOUT, filch_results_next(it, NULL));
    check_end(it);
    spec.timeout = FILCH_FOREVER;
    ok(filch_map_until(e, &spec, now() + FILCH_MILLISECONDS(2), &it));
    fails(FILCH_ETIMEDOUT, filch_results_next(it, NULL));
    check_end(it);
    let_go(&busy);
    shared_add(steps[0].hold.open, 1);
    ok(filch_map_until(e, &spec, now() + FILCH_SECONDS(60), &it));
    for (int i = 0; i < STEPS; i++) ok(filch_results_next(it, NULL));
    check_end(it);
    ok(filch_executor_destroy(e));
    cr_assert_eq(shared_read(steps[0].runs), STEPS);
}

/* R-MAP-9 */
Test(conformance_map, destroying_cancels_what_has_not_started_and_waits_for_nothing) {
    filch_executor *e = make_executor(1);
    struct step steps[STEPS];
    filch_results *it = begin(e, spec_of_steps(steps));
    ok(filch_results_next(it, NULL));
    shared_wait(steps[0].hold.reached, 1);
    ok(filch_results_destroy(it));
    cr_assert_eq(stats_of(e).cancelled, STEPS - STAYS - 1);
    shared_add(steps[0].hold.open, 1);
    ok(filch_executor_destroy(e));
    cr_assert_eq(shared_read(steps[0].runs), STAYS + 1);
}

/* R-VALUE-8, R-VALUE-11, R-VALUE-12 */
Test(conformance_map, bad_arguments) {
    filch_executor *e = make_executor(1);
    int inputs[N];
    filch_results *const untouched = (filch_results *)&e;
    filch_results *it = untouched;
    fill(inputs, N);
    filch_map_spec spec = spec_of(NULL, inputs, N);
    fails(FILCH_EINVAL, filch_map(e, &spec, &it));
    fails(FILCH_EINVAL, filch_map(e, NULL, &it));
    spec = spec_of(square, NULL, N);
    fails(FILCH_EINVAL, filch_map(e, &spec, &it));
    spec = spec_of(square, inputs, N);
    fails(FILCH_EINVAL, filch_map(e, &spec, NULL));
    spec.size = 3;
    fails(FILCH_EINVAL, filch_map(e, &spec, &it));
    spec = spec_of(square, inputs, SIZE_MAX / 2);
    fails(FILCH_ETOOBIG, filch_map(e, &spec, &it));
    cr_assert_eq(it, untouched);
    fails(FILCH_EINVAL, filch_results_next(NULL, NULL));
    ok(filch_results_destroy(NULL));
    ok(filch_executor_shutdown(e, 0));
    spec = spec_of(square, inputs, N);
    fails(FILCH_ESHUTDOWN, filch_map(e, &spec, &it));
    cr_assert_eq(it, untouched);
    ok(filch_executor_destroy(e));
}

/* R-MAP-1: nothing in, nothing out. */
Test(conformance_map, of_nothing_is_at_its_end_at_once) {
    filch_executor *e = make_executor(1);
    struct source source = {0, 0, 0, true};
    check_end(begin(e, spec_of(square, NULL, 0)));
    check_end(begin(e, spec_of_source(&source)));
    ok(filch_executor_destroy(e));
}

static int map_inside(void *arg, void *result) {
    int inputs[] = {1, 2, 3}, sum = 0, value;
    filch_map_spec spec = spec_of(square, inputs, 3);
    filch_results *it;
    (void)arg;
    int rc = filch_map(filch_current_executor(), &spec, &it);
    if (rc != 0) return rc;
    while ((rc = filch_results_next(it, &value)) == 0) sum += value;
    *(int *)result = sum;
    filch_results_destroy(it);
    return rc == FILCH_EEND ? 0 : 1;
}

/* R-MAP-1, R-INSIDE-4 */
Test(conformance_map, a_task_maps) {
    for (int workers = 1; workers <= 2; workers++) {
        filch_executor *e = make_executor(workers);
        filch_future *f = submit_int(e, map_inside, 0);
        int value = 0;
        ok(filch_future_result(f, &value, FILCH_FOREVER));
        cr_assert_eq(value, 14);
        filch_future_release(f);
        ok(filch_executor_destroy(e));
    }
}

/* filch_map_array ------------------------------------------------------------------------------------ */

enum { MANY = 5000 };

/* R-MAP-10 */
Test(conformance_map, an_array_is_filled_with_all_results) {
    static int inputs[MANY], results[MANY];
    fill(inputs, MANY);
    for (int workers = 1; workers <= 4; workers++) {
        filch_executor *e = make_executor(workers);
        memset(results, 0, sizeof results);
        ok(filch_map_array(e, square, inputs, sizeof(int), MANY, results, sizeof(int)));
        for (int i = 0; i < MANY; i++) cr_assert_eq(results[i], i * i);
        ok(filch_executor_destroy(e));
    }
}

struct counted {
    struct shared runs;
    int number;
};
static int fail_some(void *arg, void *result) {
    struct counted *counted = arg;
    shared_add(counted->runs, 1);
    *(int *)result = counted->number;
    if (counted->number % 7 == 3)
        return filch_fail(1000 + counted->number, "number %d", counted->number);
    return 0;
}

/* R-MAP-11, R-MAP-10 */
Test(conformance_map, the_lowest_error_is_returned_and_every_input_runs) {
    filch_executor *e = make_executor(3);
    struct counted inputs[200];
    struct shared runs = shared_alloc(sizeof(int));
    int results[200];
    for (int i = 0; i < 200; i++) inputs[i] = (struct counted){runs, i};
    memset(results, 0xff, sizeof results);
    int rc = filch_map_array(e, fail_some, inputs, sizeof inputs[0], 200, results, sizeof(int));
    cr_assert_eq(rc, 1003);
    cr_assert_not_null(strstr(filch_last_error(), "number 3"), "%s", filch_last_error());
    cr_assert_eq(shared_read(runs), 200);
    for (int i = 0; i < 200; i++) cr_assert_eq(results[i], i % 7 == 3 ? -1 : i);
    ok(filch_executor_destroy(e));
}
