/* results_test.c: filch_map and the iterator over its results; each test is named after the rule it holds.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <alloca.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Inputs are numbers from 0 on, in an array or from a generator ------------------------------- */

/* A generator, and what it may do at one of its calls. */
struct source {
    int given, end;
    pthread_t thread; /* that may call it, where check_thread */
    bool check_thread;
    int wrong_threads;
    int event_at; /* call at which event is called; 0 is the first */
    void (*event)(void *context);
    void *context;
};
static bool generate(void *context, void *arg) {
    struct source *s = context;
    if (s->check_thread && !pthread_equal(s->thread, pthread_self())) s->wrong_threads++;
    if (s->event != NULL && s->event_at == s->given) s->event(s->context);
    if (s->given == s->end) return false;
    *(int *)arg = s->given++;
    return true;
}

/* The ways in which the same inputs may be given and cut. */
struct shape {
    size_t chunk, buffer;
    bool generator;
};
#define FOR_EACH_SHAPE(shape)                                                                      \
    for (int shape##_i = 0; shape##_i < 40; shape##_i++)                                           \
        for (struct shape shape = shape_of(shape##_i), *shape##_once = &shape; shape##_once;       \
             shape##_once = NULL)
static struct shape shape_of(int i) {
    static const size_t chunks[4] = {0, 2, 7, 1000}, buffers[5] = {0, 1, 2, 5, SIZE_MAX};
    return (struct shape){chunks[i % 4], buffers[i / 4 % 5], i >= 20};
}

enum { NUMBERS_MAX = 1000 };
static int numbers[NUMBERS_MAX];
static void fill_numbers(void) {
    for (int i = 0; i < NUMBERS_MAX; i++) numbers[i] = i;
}
TestSuite(results, .timeout = 30, .init = fill_numbers);

/* fn over the numbers below n, as the shape says. */
static filch_map_spec spec_of(struct shape shape, filch_task_fn *fn, int n, struct source *source) {
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    spec.fn = fn;
    spec.arg_size = spec.result_size = sizeof(int);
    spec.chunk_size = shape.chunk;
    spec.buffer_size = shape.buffer;
    if (shape.generator) {
        source->given = 0;
        source->end = n;
        spec.next = generate;
        spec.next_context = source;
    } else {
        spec.args = numbers;
        spec.n = (size_t)n;
    }
    return spec;
}
static filch_results *map_on(filch_executor *e, const filch_map_spec *spec) {
    filch_results *it = NULL;
    ok(filch_map(e, spec, &it));
    return it;
}
static void ends(filch_results *it) {
    int result = -77;
    fails(FILCH_EEND, filch_results_next(it, &result));
    fails(FILCH_EEND, filch_results_next(it, &result));
    cr_assert_eq(result, -77);
}
/* At its end. */
static void finish_map(filch_results *it) {
    ends(it);
    ok(filch_results_destroy(it));
}
static void gives(filch_results *it, int value) {
    int result = -77;
    ok(filch_results_next(it, &result));
    cr_assert_eq(result, value);
}

/* What the inputs do ------------------------------------------------------------------------------ */

static int negate(void *arg, void *result) {
    *(int *)result = -*(int *)arg;
    return 0;
}
static int negate_unevenly(void *arg, void *result) {
    for (int i = *(int *)arg % 5; i > 0; i--) sched_yield();
    return negate(arg, result);
}

/* Notes who ran and whose argument was destroyed; the number `held` waits at the gate. */
static struct {
    struct ledger ran, destroyed;
    struct gate gate;
    int held;
} noted;
static void begin_notes(size_t n, int held) {
    ledger_init(&noted.ran, n);
    ledger_init(&noted.destroyed, n);
    noted.gate.reached = noted.gate.open = 0;
    noted.held = held;
}
static int note_run(void *arg, void *result) {
    int i = *(int *)arg;
    if (i == noted.held) {
        flag_raise(&noted.gate.reached);
        flag_wait(&noted.gate.open);
    }
    ledger_note(&noted.ran, (size_t)i);
    return negate(arg, result);
}
static void note_destroyed(void *arg) {
    ledger_note(&noted.destroyed, (size_t) * (int *)arg);
}
/* The inputs below `ran` ran once, the arguments of those below `destroyed` were destroyed once, and no
 * others. */
static void end_notes(int ran, int destroyed) {
    for (size_t i = 0; i <= noted.ran.n; i++) {
        if (noted.ran.counts[i] != (i < (size_t)ran))
            cr_assert_fail("input %zu ran %u times", i, noted.ran.counts[i]);
        if (noted.destroyed.counts[i] != (i < (size_t)destroyed))
            cr_assert_fail("argument %zu was destroyed %u times", i, noted.destroyed.counts[i]);
    }
    ledger_fini(&noted.ran);
    ledger_fini(&noted.destroyed);
}
/* The inputs that were handed over. */
static int inputs_of(const filch_map_spec *spec) {
    return spec->next == NULL ? (int)spec->n : ((struct source *)spec->next_context)->given;
}
static filch_map_spec noted_spec(struct shape shape, int n, struct source *source) {
    filch_map_spec spec = spec_of(shape, note_run, n, source);
    spec.arg_destroy = note_destroyed;
    return spec;
}

/* Order ------------------------------------------------------------------------------------------- */

static void read_in_order(filch_executor *e, struct shape shape, int n) {
    struct source source = {0};
    filch_map_spec spec = spec_of(shape, negate_unevenly, n, &source);
    filch_results *it = map_on(e, &spec);
    for (int i = 0; i < n; i++) gives(it, -i);
    finish_map(it);
}

Test(results, come_in_the_order_of_the_inputs) {
    for (int workers = 1; workers < 4; workers++) {
        filch_executor *e = executor_of(workers);
        FOR_EACH_SHAPE(shape) {
            for (int n = 0; n < 17; n++) read_in_order(e, shape, n);
            read_in_order(e, shape, 300);
        }
        ok(filch_executor_destroy(e));
    }
}

Test(results, on_the_default_executor) {
    FOR_EACH_SHAPE(shape) read_in_order(NULL, shape, 50);
}

Test(results, of_no_inputs_are_at_their_end_at_once) {
    filch_executor *e = executor_of(1);
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    spec.fn = negate;
    finish_map(map_on(e, &spec));
    spec.arg_size = spec.result_size = sizeof(int);
    finish_map(map_on(e, &spec));
    FOR_EACH_SHAPE(shape) read_in_order(e, shape, 0);
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
static bool give_nothing(void *context, void *arg) {
    return arg != NULL && ++*(int *)context <= 100;
}

Test(results, without_argument_and_result) {
    filch_executor *e = executor_of(2);
    for (size_t chunk = 0; chunk < 4; chunk++) {
        filch_map_spec spec = FILCH_MAP_SPEC_INIT;
        int given = 0, rc = 0, count = -2;
        filch_results *it[2];
        spec.fn = count_run;
        spec.chunk_size = chunk;
        spec.n = 100;
        runs = 0;
        it[0] = map_on(e, &spec);
        spec.n = 0;
        spec.next = give_nothing;
        spec.next_context = &given;
        it[1] = map_on(e, &spec);
        for (int i = 0; i < 2; i++) {
            do count++, rc = filch_results_next(it[i], NULL);
            while (rc == 0);
            finish_map(it[i]);
        }
        cr_assert_eq(rc, FILCH_EEND);
        cr_assert_eq(count, 200);
        cr_assert_eq(runs, 200);
    }
    ok(filch_executor_destroy(e));
}

Test(results, may_be_left_out) {
    struct source source = {0};
    filch_executor *e = executor_of(1);
    FOR_EACH_SHAPE(shape) {
        filch_map_spec spec = spec_of(shape, negate, 20, &source);
        filch_results *it = map_on(e, &spec);
        for (int i = 0; i < 20; i += 2) {
            gives(it, -i);
            ok(filch_results_next(it, NULL));
        }
        finish_map(it);
    }
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
static bool give_odd(void *context, void *arg) {
    int i = (*(int *)context)++;
    for (size_t b = 0; b < sizeof(struct odd); b++)
        if (((unsigned char *)arg)[b] != 0) return false;
    memset(arg, i, sizeof(struct odd));
    return (uintptr_t)arg % 16 == 0 && i < 100;
}
static void read_odd(filch_results *it) {
    for (int i = 0; i < 100; i++) {
        struct odd r, expected;
        memset(&expected, i, sizeof expected);
        ok(filch_results_next(it, &r));
        cr_assert_eq(memcmp(&r, &expected, sizeof r), 0);
    }
    finish_map(it);
}

Test(results, of_aligned_copies_and_zeroed_results) {
    static struct odd args[100];
    filch_executor *e = executor_of(2);
    for (size_t chunk = 1; chunk < 5; chunk++) {
        filch_map_spec spec = FILCH_MAP_SPEC_INIT;
        int given = 0;
        spec.fn = copy_odd;
        spec.arg_size = spec.result_size = sizeof(struct odd);
        spec.chunk_size = chunk;
        spec.buffer_size = 3;
        spec.next = give_odd;
        spec.next_context = &given;
        read_odd(map_on(e, &spec));
        spec.next = NULL;
        spec.args = args;
        spec.n = 100;
        spec.buffer_size = 0;
        for (int i = 0; i < 100; i++) memset(&args[i], i, sizeof args[i]);
        filch_results *it = map_on(e, &spec);
        /* They were copied. */
        memset(args, 0xdd, sizeof args);
        read_odd(it);
    }
    ok(filch_executor_destroy(e));
}

Test(results, of_large_arguments_and_results) {
    struct source source = {0};
    filch_executor *e = executor_of(2);
    for (size_t chunk = 1; chunk < 4; chunk++) {
        struct shape shape = {chunk, 2, true};
        filch_map_spec spec = spec_of(shape, negate, 30, &source);
        int *result = malloc(100000);
        spec.arg_size = spec.result_size = 100000;
        filch_results *it = map_on(e, &spec);
        for (int i = 0; i < 30; i++) {
            ok(filch_results_next(it, result));
            cr_assert_eq(result[0], -i);
            cr_assert_eq(result[24999], 0);
        }
        finish_map(it);
        free(result);
    }
    ok(filch_executor_destroy(e));
}

Test(results, outlive_their_executor) {
    struct source source = {0};
    for (size_t chunk = 1; chunk < 4; chunk++) {
        filch_executor *e = executor_of(2);
        filch_map_spec spec = spec_of((struct shape){chunk, 0, true}, negate, 50, &source);
        filch_results *it = map_on(e, &spec);
        ok(filch_executor_destroy(e));
        for (int i = 0; i < 50; i++) gives(it, -i);
        finish_map(it);
    }
}

/* Failures ---------------------------------------------------------------------------------------- */

static int fail_often(void *arg, void *result) {
    int i = *(int *)arg;
    if (i % 5 == 3) return filch_fail(i, "number %d is bad", i);
    if (i % 5 == 4) return i;
    if (i == 10) return -4242;
    if (i == 20) return filch_fail(FILCH_ENOTSUP, "not number 20");
    if (i == 30) filch_fail(1, "number 30 is good after all");
    return negate(arg, result);
}
static void fails_with(filch_results *it, int code, const char *text) {
    int result = -77;
    cr_assert_eq(filch_results_next(it, &result), code);
    cr_assert_not_null(strstr(filch_last_error(), text), "%s: %s", text, filch_last_error());
    cr_assert_eq(result, -77);
}
static void read_failures(filch_results *it, int n) {
    char text[40];
    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof text, "input %d: number %d is bad", i, i);
        if (i % 5 == 3)
            fails_with(it, i, text);
        else if (i % 5 == 4)
            fails_with(it, i, filch_error_text(i));
        else if (i == 10)
            fails_with(it, FILCH_EINVAL, filch_error_text(FILCH_EINVAL));
        else if (i == 20)
            fails_with(it, FILCH_ENOTSUP, "input 20: not number 20");
        else
            gives(it, -i);
    }
    finish_map(it);
}

Test(results, a_failed_input_gives_code_and_text_at_its_turn_and_the_iteration_goes_on) {
    struct source source = {0};
    for (int workers = 1; workers < 3; workers++) {
        filch_executor *e = executor_of(workers);
        FOR_EACH_SHAPE(shape) {
            filch_map_spec spec = spec_of(shape, fail_often, 50, &source);
            read_failures(map_on(e, &spec), 50);
        }
        ok(filch_executor_destroy(e));
    }
}

Test(results, a_name_stands_in_the_text) {
    struct source source = {0};
    filch_executor *e = executor_of(1);
    for (size_t chunk = 1; chunk < 4; chunk++) {
        filch_map_spec spec = spec_of((struct shape){chunk, 0, false}, fail_often, 4, &source);
        spec.name = "probe";
        filch_results *it = map_on(e, &spec);
        for (int i = 0; i < 3; i++) gives(it, -i);
        fails_with(it, 3, "task probe, input 3: number 3 is bad");
        finish_map(it);
    }
    ok(filch_executor_destroy(e));
}

/* Destructors have no text: what they leave is not the next input's. */
static void fail_in_destructor(void *arg) {
    (void)arg;
    filch_fail(1, "of a destructor");
}
static int fail_without_text(void *arg, void *result) {
    (void)result;
    return *(int *)arg + 1;
}

Test(results, a_destructor_leaves_no_text) {
    struct source source = {0};
    filch_executor *e = executor_of(1);
    for (size_t chunk = 1; chunk < 4; chunk++) {
        filch_map_spec spec =
            spec_of((struct shape){chunk, 0, false}, fail_without_text, 9, &source);
        spec.arg_destroy = fail_in_destructor;
        filch_results *it = map_on(e, &spec);
        for (int i = 0; i < 9; i++) fails_with(it, i + 1, filch_error_text(i + 1));
        finish_map(it);
    }
    ok(filch_executor_destroy(e));
}

/* Arguments --------------------------------------------------------------------------------------- */

Test(results, arguments_are_destroyed_once_before_their_result_is_given) {
    struct source source = {0};
    filch_executor *e = executor_of(2);
    FOR_EACH_SHAPE(shape) {
        begin_notes(60, -1);
        filch_map_spec spec = noted_spec(shape, 60, &source);
        filch_results *it = map_on(e, &spec);
        for (int i = 0; i < 60; i++) {
            gives(it, -i);
            cr_assert_eq(noted.destroyed.counts[i], 1);
        }
        finish_map(it);
        end_notes(60, 60);
    }
    ok(filch_executor_destroy(e));
}

/* Time -------------------------------------------------------------------------------------------- */

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* One worker, which stands in input 6: of the tasks before, all results are ready. */
enum { HELD = 6 };
static int inputs_ready(struct shape shape) {
    return shape.chunk < 2 ? HELD : HELD / (int)shape.chunk * (int)shape.chunk;
}
static bool submits_held(struct shape shape) {
    size_t chunk = shape.chunk == 0 ? 1 : shape.chunk;
    return shape.buffer == 0 || HELD / chunk < shape.buffer;
}

static void read_after_the_deadline(struct shape shape, filch_nanoseconds timeout, bool until) {
    struct source source = {0};
    filch_executor *e = executor_of(1);
    filch_results *it = NULL;
    bool past = timeout <= (until ? now() : 0);
    begin_notes(40, HELD);
    filch_map_spec spec = noted_spec(shape, 40, &source);
    spec.timeout = until ? FILCH_FOREVER : timeout;
    ok(until ? filch_map_until(e, &spec, timeout, &it) : filch_map(e, &spec, &it));
    flag_wait(&noted.gate.reached);
    int given = source.given;
    for (int i = 0; i < inputs_ready(shape); i++) gives(it, -i);
    fails_with(it, FILCH_ETIMEDOUT, "was over");
    ends(it);
    if (past) cr_assert_eq(source.given, given, "nothing is submitted after the deadline");
    flag_raise(&noted.gate.open);
    finish_map(it);
    ok(filch_executor_destroy(e));
    end_notes(HELD + 1, inputs_of(&spec));
}

Test(results, after_the_deadline_what_is_ready_comes_then_ETIMEDOUT_once_then_EEND) {
    FOR_EACH_SHAPE(shape) {
        if (!submits_held(shape)) continue;
        read_after_the_deadline(shape, 0, false);
        read_after_the_deadline(shape, -1, false);
        read_after_the_deadline(shape, INT64_MIN, false);
        read_after_the_deadline(shape, 1, true);
        read_after_the_deadline(shape, now() - 1, true);
        read_after_the_deadline(shape, INT64_MIN, true);
    }
}

Test(results, that_are_late_time_out_while_they_are_waited_for) {
    FOR_EACH_SHAPE(shape) {
        if (!submits_held(shape)) continue;
        read_after_the_deadline(shape, FILCH_MILLISECONDS(1), false);
        read_after_the_deadline(shape, now() + FILCH_MILLISECONDS(1), true);
    }
}

Test(results, come_in_time_where_there_is_time) {
    struct source source = {0};
    filch_executor *e = executor_of(2);
    FOR_EACH_SHAPE(shape) {
        filch_results *it[3] = {NULL, NULL, NULL};
        filch_map_spec spec =
            spec_of((struct shape){shape.chunk, shape.buffer, false}, negate_unevenly, 40, &source);
        spec.timeout = FILCH_SECONDS(1000);
        ok(filch_map(e, &spec, &it[0]));
        ok(filch_map_until(e, &spec, now() + FILCH_SECONDS(1000), &it[1]));
        ok(filch_map_until(e, &spec, FILCH_FOREVER, &it[2]));
        for (int i = 0; i < 40; i++)
            for (int k = 0; k < 3; k++) gives(it[k], -i);
        for (int k = 0; k < 3; k++) finish_map(it[k]);
    }
    ok(filch_executor_destroy(e));
}

static void count_sleep(void *context) {
    add(context, 1);
}

/* When the reader comes after the deadline, it does not sleep for what is left of anything. */
Test(results, the_timeout_counts_from_filch_map) {
    struct source source = {0};
    int sleeps = 0;
    filch_executor *e = executor_of(1);
    begin_notes(40, 2);
    filch_map_spec spec = noted_spec((struct shape){1, 0, false}, 40, &source);
    spec.timeout = FILCH_MILLISECONDS(5);
    filch_results *it = map_on(e, &spec);
    int64_t latest = now() + spec.timeout;
    flag_wait(&noted.gate.reached);
    while (now() <= latest) sched_yield();
    point_call("future.sleep", count_sleep, &sleeps);
    gives(it, 0);
    gives(it, -1);
    fails_with(it, FILCH_ETIMEDOUT, "was over");
    point_call("future.sleep", NULL, NULL);
    cr_assert_eq(sleeps, 0);
    flag_raise(&noted.gate.open);
    finish_map(it);
    ok(filch_executor_destroy(e));
    end_notes(3, 40);
}

/* The reader has read all that was submitted, and the rest never is. */
Test(results, that_were_not_submitted_in_time_time_out) {
    FOR_EACH_SHAPE(shape) {
        struct source source = {0};
        int chunk = shape.chunk == 0 ? 1 : (int)shape.chunk;
        if (shape.buffer != 2 || chunk > 10) continue;
        filch_executor *e = executor_of(1);
        begin_notes(40, -1);
        filch_map_spec spec = noted_spec(shape, 40, &source);
        spec.timeout = 0;
        filch_results *it = map_on(e, &spec);
        ok(filch_executor_shutdown(e, FILCH_WAIT));
        for (int i = 0; i < 2 * chunk; i++) gives(it, -i);
        fails_with(it, FILCH_ETIMEDOUT, "was over");
        finish_map(it);
        ok(filch_executor_destroy(e));
        end_notes(2 * chunk, inputs_of(&spec));
    }
}

/* Destroying -------------------------------------------------------------------------------------- */

/* One worker stands in input 6, and goes on only when the iterator is gone. */
static void destroy_while_held(struct shape shape, int read) {
    struct source source = {0};
    filch_executor *e = executor_of(1);
    begin_notes(40, HELD);
    filch_map_spec spec = noted_spec(shape, 40, &source);
    filch_results *it = map_on(e, &spec);
    flag_wait(&noted.gate.reached);
    for (int i = 0; i < read; i++) gives(it, -i);
    ok(filch_results_destroy(it));
    flag_raise(&noted.gate.open);
    ok(filch_executor_destroy(e));
    end_notes(HELD + 1, inputs_of(&spec));
}

Test(results, destroying_cancels_what_has_not_started_and_waits_for_nothing) {
    FOR_EACH_SHAPE(shape) {
        for (int read = 0; submits_held(shape) && read <= inputs_ready(shape); read++)
            destroy_while_held(shape, read);
    }
}

/* Some have run, some run, some have not started. */
static void destroy_after_reading(struct shape shape, int read) {
    struct source source = {0};
    filch_executor *e = executor_of(2);
    begin_notes(40, -1);
    filch_map_spec spec = noted_spec(shape, 40, &source);
    filch_results *it = map_on(e, &spec);
    for (int i = 0; i < read; i++) gives(it, -i);
    ok(filch_results_destroy(it));
    ok(filch_executor_destroy(e));
    cr_assert_eq(ledger_missing(&noted.destroyed), (size_t)(40 - inputs_of(&spec)));
    cr_assert_leq(ledger_missing(&noted.ran), (size_t)(40 - read));
    cr_assert_eq(ledger_repeated(&noted.ran) + ledger_repeated(&noted.destroyed), 0);
    ledger_fini(&noted.ran);
    ledger_fini(&noted.destroyed);
}

Test(results, destroying_in_the_middle_destroys_each_argument_once) {
    FOR_EACH_SHAPE(shape) {
        for (int read = 0; read < 16; read++) destroy_after_reading(shape, read);
    }
}

Test(results, destroying_NULL_succeeds) {
    ok(filch_results_destroy(NULL));
}

/* Iterators come and go while their tasks start, run and end. */
static void map_and_leave(int index, void *context) {
    filch_executor *e = *(filch_executor **)context;
    for (int i = 0; i < stress(200); i++) {
        struct source source = {0};
        struct shape shape = shape_of((i + 10 * index) % 40);
        filch_map_spec spec = spec_of(shape, fail_often, 30, &source);
        filch_results *it;
        if (filch_map(e, &spec, &it) != 0) abort();
        for (int k = 0; k < i % 12; k++) filch_results_next(it, NULL);
        filch_results_destroy(it);
    }
}

Test(results, of_several_threads_that_leave_early) {
    long before = filch__fault_live_blocks();
    filch_executor *e = executor_of(2);
    run_threads(4, map_and_leave, &e);
    ok(filch_executor_destroy(e));
    cr_assert_eq(filch__fault_live_blocks(), before);
}

/* Generators -------------------------------------------------------------------------------------- */

static void read_some(void *context) {
    filch_results *it = *(filch_results **)context;
    for (int i = 0; i < 10; i++) filch_results_next(it, NULL);
}
struct reading {
    filch_results *it;
    struct source *source;
};
static void read_in_own_thread(void *context) {
    struct reading *reading = context;
    reading->source->thread = pthread_self();
    read_some(&reading->it);
}

Test(results, the_generator_runs_only_in_the_thread_that_calls) {
    filch_executor *e = executor_of(2);
    FOR_EACH_SHAPE(shape) {
        struct source source = {.thread = pthread_self(), .check_thread = true};
        struct reading reading = {NULL, &source};
        shape.generator = true;
        filch_map_spec spec = spec_of(shape, negate, 40, &source);
        reading.it = map_on(e, &spec);
        read_some(&reading.it);
        thread_finish(thread_start(read_in_own_thread, &reading));
        source.thread = pthread_self();
        for (int i = 20; i < 40; i++) gives(reading.it, -i);
        finish_map(reading.it);
        cr_assert_eq(source.wrong_threads, 0);
    }
    ok(filch_executor_destroy(e));
}

static void count_past_end(void *context) {
    add(context, 1);
}

Test(results, the_generator_is_not_called_again_after_its_end) {
    filch_executor *e = executor_of(2);
    FOR_EACH_SHAPE(shape) {
        struct source source = {0};
        int ends_seen = 0;
        shape.generator = true;
        filch_map_spec spec = spec_of(shape, negate, 40, &source);
        source.event_at = 40;
        source.event = count_past_end;
        source.context = &ends_seen;
        filch_results *it = map_on(e, &spec);
        for (int i = 0; i < 40; i++) gives(it, -i);
        finish_map(it);
        cr_assert_eq(ends_seen, 1);
    }
    ok(filch_executor_destroy(e));
}

/* Exactly so far ahead, so that the workers never have less to do than they may. */
Test(results, the_generator_is_buffer_size_tasks_ahead_of_the_reader) {
    filch_executor *e = executor_of(2);
    for (int chunk = 1; chunk < 4; chunk++)
        for (int buffer = 1; buffer < 4; buffer++) {
            struct source source = {0};
            struct shape shape = {(size_t)chunk, (size_t)buffer, true};
            filch_map_spec spec = spec_of(shape, negate, 1000000, &source);
            filch_results *it = map_on(e, &spec);
            cr_assert_eq(source.given, buffer * chunk);
            for (int i = 0; i < 30; i++) {
                gives(it, -i);
                cr_assert_eq(source.given, (i / chunk + 1 + buffer) * chunk);
            }
            ok(filch_results_destroy(it));
        }
    ok(filch_executor_destroy(e));
}

Test(results, of_a_generator_without_end_need_constant_memory) {
    filch_executor *e = executor_of(2);
    for (size_t chunk = 1; chunk < 4; chunk++) {
        struct source source = {0};
        filch_map_spec spec = spec_of((struct shape){chunk, 4, true}, negate, INT32_MAX, &source);
        filch_results *it = map_on(e, &spec);
        for (int i = 0; i < 1000; i++) gives(it, -i);
        long before = filch__fault_live_blocks();
        for (int i = 1000; i < 20000; i++) gives(it, -i);
        /* A few blocks for each of the tasks that are ahead; a leak would be thousands. */
        cr_assert_lt(filch__fault_live_blocks(), before + 50);
        ok(filch_results_destroy(it));
    }
    ok(filch_executor_destroy(e));
}

/* Refused ----------------------------------------------------------------------------------------- */

/* A generator that ends the executor before it gives number `at`. */
static void shut_down(void *context) {
    filch_executor_shutdown(context, 0);
}
static void cancel_all(void *context) {
    filch_executor_shutdown(context, FILCH_CANCEL_PENDING);
}

Test(results, shutdown_in_the_middle_of_filch_map_gives_nothing_back) {
    for (size_t chunk = 1; chunk < 4; chunk++)
        for (int at = 0; at < 10; at++) {
            struct source source = {0};
            struct gate gate;
            filch_executor *e = executor_of(1);
            filch_results *it = (void *)&gate;
            filch_future *first = occupy(e, &gate);
            begin_notes(40, -1);
            filch_map_spec spec = noted_spec((struct shape){chunk, 0, true}, 40, &source);
            source.event_at = at;
            source.event = shut_down;
            source.context = e;
            fails(FILCH_ESHUTDOWN, filch_map(e, &spec, &it));
            cr_assert_not_null(strstr(filch_last_error(), "shut down"), "%s", filch_last_error());
            cr_assert_eq((void *)it, (void *)&gate);
            cr_assert_eq(source.given, (at / (int)chunk + 1) * (int)chunk);
            open_gate(&gate, first);
            ok(filch_executor_destroy(e));
            end_notes(0, source.given);
        }
}

/* The same for an array: in the middle of a submit. */
static void shut_down_at_last(void *context) {
    struct source *countdown = context;
    if (--countdown->given == 0) filch_executor_shutdown(countdown->context, 0);
}

Test(results, shutdown_in_the_middle_of_filch_map_destroys_every_argument) {
    for (size_t chunk = 1; chunk < 4; chunk++)
        for (int at = 1; at < 10; at++) {
            struct source countdown = {0};
            struct gate gate;
            filch_executor *e = executor_of(1);
            filch_results *it = NULL;
            filch_future *first = occupy(e, &gate);
            begin_notes(40, -1);
            filch_map_spec spec = noted_spec((struct shape){chunk, 0, false}, 40, NULL);
            countdown.given = at;
            countdown.context = e;
            point_call("submit.injected", shut_down_at_last, &countdown);
            fails(FILCH_ESHUTDOWN, filch_map(e, &spec, &it));
            point_call("submit.injected", NULL, NULL);
            cr_assert_null(it);
            open_gate(&gate, first);
            ok(filch_executor_destroy(e));
            end_notes(0, 40);
        }
}

Test(results, shutdown_later_is_given_at_the_turn_of_the_input) {
    FOR_EACH_SHAPE(shape) {
        int chunk = shape.chunk == 0 ? 1 : (int)shape.chunk;
        if (!shape.generator || shape.buffer == 0 || shape.buffer > 5 || chunk > 10) continue;
        /* The first task that filch_map does not submit. */
        int refused = ((int)shape.buffer + 2) * chunk;
        struct source source = {0};
        filch_executor *e = executor_of(1);
        begin_notes(200, -1);
        filch_map_spec spec = noted_spec(shape, 200, &source);
        source.event_at = refused + chunk / 2;
        source.event = shut_down;
        source.context = e;
        filch_results *it = map_on(e, &spec);
        for (int i = 0; i < refused; i++) gives(it, -i);
        fails_with(it, FILCH_ESHUTDOWN, "could not be submitted");
        finish_map(it);
        cr_assert_eq(source.given, refused + chunk);
        ok(filch_executor_destroy(e));
        end_notes(refused, source.given);
    }
}

/* Before the reader asks for the rest of an array. */
Test(results, of_an_array_that_was_submitted_in_part_when_the_executor_was_shut_down) {
    for (int chunk = 1; chunk < 4; chunk++) {
        filch_executor *e = executor_of(1);
        begin_notes(40, -1);
        filch_map_spec spec = noted_spec((struct shape){(size_t)chunk, 2, false}, 40, NULL);
        filch_results *it = map_on(e, &spec);
        for (int i = 0; i < chunk; i++) gives(it, -i);
        ok(filch_executor_shutdown(e, 0));
        for (int i = chunk; i < 3 * chunk; i++) gives(it, -i);
        fails_with(it, FILCH_ESHUTDOWN, "could not be submitted");
        finish_map(it);
        ok(filch_executor_destroy(e));
        end_notes(3 * chunk, 40);
    }
}

/* The initializer of the second worker fails when it is told to. */
struct breaking {
    filch_executor *executor;
    uint32_t go;
    int calls;
};
static int break_second(void *arg) {
    struct breaking *b = arg;
    if (add(&b->calls, 1) == 1) return 0;
    flag_wait(&b->go);
    return 1;
}
static void break_now(void *context) {
    struct breaking *b = context;
    flag_raise(&b->go);
    while (filch_submit(b->executor, do_nothing, NULL, 0, 0, NULL) != FILCH_EBROKEN) sched_yield();
}
/* With one worker occupied, and one about to break it. */
static filch_executor *breaking_executor(struct breaking *b, struct gate *gate,
                                         filch_future **first) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 2;
    options.initializer = break_second;
    options.initializer_arg = b;
    b->go = 0;
    b->calls = 0;
    b->executor = executor_with(options);
    *first = occupy(b->executor, gate);
    filch_future_release(submit_to(b->executor, do_nothing, NULL, 0, 0));
    wait_for_count(&b->calls, 2);
    return b->executor;
}

Test(results, break_in_the_middle_of_filch_map_gives_nothing_back) {
    for (size_t chunk = 1; chunk < 4; chunk++)
        for (int at = 0; at < 7; at++) {
            struct source source = {0};
            struct breaking breaking;
            struct gate gate;
            filch_future *first;
            filch_results *it = NULL;
            filch_executor *e = breaking_executor(&breaking, &gate, &first);
            begin_notes(40, -1);
            filch_map_spec spec = noted_spec((struct shape){chunk, 0, true}, 40, &source);
            source.event_at = at;
            source.event = break_now;
            source.context = &breaking;
            fails(FILCH_EBROKEN, filch_map(e, &spec, &it));
            cr_assert_not_null(strstr(filch_last_error(), "initializer"), "%s", filch_last_error());
            cr_assert_null(it);
            open_gate(&gate, first);
            ok(filch_executor_destroy(e));
            end_notes(0, source.given);
        }
}

/* What was submitted and has not run has the code of the break, each at its turn; then it is given for the
 * input that was refused. */
Test(results, break_later_is_given_at_the_turn_of_each_input) {
    for (int chunk = 1; chunk < 4; chunk++) {
        struct source source = {0};
        struct breaking breaking;
        struct gate gate;
        filch_future *first;
        filch_executor *e = breaking_executor(&breaking, &gate, &first);
        int rc, turns = 0, broken = 0;
        filch_map_spec spec = spec_of((struct shape){(size_t)chunk, 3, true}, negate, 100, &source);
        source.event_at = 5 * chunk;
        source.event = break_now;
        source.context = &breaking;
        filch_results *it = map_on(e, &spec);
        open_gate(&gate, first);
        while ((rc = filch_results_next(it, NULL)) != FILCH_EEND) {
            cr_assert(rc == FILCH_EBROKEN || (rc == 0 && broken == 0));
            cr_assert(rc == 0 || strstr(filch_last_error(), "initializer"), "%s",
                      filch_last_error());
            turns++;
            broken += rc == FILCH_EBROKEN;
        }
        cr_assert_eq(turns, 5 * chunk + 1);
        cr_assert_geq(broken, 1);
        finish_map(it);
        ok(filch_executor_destroy(e));
    }
}

/* Numbers whose bytes do not fit a future, so that each submit needs memory. */
struct large {
    int number;
    char more[300];
};
static void no_memory(void *context) {
    (void)context;
    filch__fault_plan(FAULT_ALLOC, 0, true);
}

Test(results, no_memory_in_the_middle_of_filch_map_gives_nothing_back) {
    for (size_t chunk = 1; chunk < 4; chunk++)
        for (int at = 0; at < 7; at++) {
            struct source source = {0};
            struct gate gate;
            filch_results *it = NULL;
            filch_executor *e = executor_of(1);
            filch_future *first = occupy(e, &gate);
            begin_notes(40, -1);
            filch_map_spec spec = noted_spec((struct shape){chunk, 0, true}, 40, &source);
            spec.arg_size = sizeof(struct large);
            source.event_at = at;
            source.event = no_memory;
            fails(FILCH_ENOMEM, filch_map(e, &spec, &it));
            filch__fault_clear();
            cr_assert_null(it);
            open_gate(&gate, first);
            ok(filch_executor_destroy(e));
            end_notes(0, source.given);
        }
}

Test(results, no_memory_later_is_given_at_the_turn_of_the_input) {
    for (int chunk = 1; chunk < 4; chunk++) {
        struct source source = {0};
        filch_executor *e = executor_of(1);
        begin_notes(40, -1);
        filch_map_spec spec = noted_spec((struct shape){(size_t)chunk, 2, true}, 40, &source);
        spec.arg_size = sizeof(struct large);
        source.event_at = 4 * chunk;
        source.event = no_memory;
        filch_results *it = map_on(e, &spec);
        for (int i = 0; i < 4 * chunk; i++) gives(it, -i);
        fails_with(it, FILCH_ENOMEM, "could not be submitted");
        filch__fault_clear();
        finish_map(it);
        ok(filch_executor_destroy(e));
        end_notes(4 * chunk, source.given);
    }
}

/* Each allocation, mapping and thread start fails in turn. How many faults there were. */
static long play(struct shape shape, unsigned kinds, long after, bool forever) {
    enum { N = 23 };
    struct source source = {0};
    long before = filch__fault_live_blocks();
    filch_executor *e = executor_of(2);
    filch_results *it = NULL;
    int given = 0, rc;
    begin_notes(N, -1);
    filch_map_spec spec = noted_spec(shape, N, &source);
    spec.arg_size = shape.buffer == 2 ? sizeof(int) : sizeof(struct large);
    struct large args[N];
    for (int i = 0; i < N; i++) args[i].number = i;
    if (spec.next == NULL && spec.arg_size != sizeof(int)) spec.args = args;
    filch__fault_plan(kinds, after, forever);
    rc = filch_map(e, &spec, &it);
    while (rc == 0) {
        int result = 1;
        rc = filch_results_next(it, &result);
        if (rc == 0 && result != -given++) cr_assert_fail("%d is given for %d", result, given - 1);
    }
    long faults = filch__fault_clear();
    cr_assert(rc == FILCH_EEND || rc == FILCH_ENOMEM || rc == FILCH_EAGAIN, "%s",
              filch_error_name(rc));
    cr_assert(rc != FILCH_EEND || given == N);
    if (it != NULL && rc != FILCH_EEND) ends(it);
    ok(filch_results_destroy(it));
    ok(filch_executor_destroy(e));
    /* Without an iterator, those that had started have run. */
    cr_assert_eq(ledger_repeated(&noted.ran), 0);
    if (it != NULL) cr_assert_eq(ledger_missing(&noted.ran), (size_t)(N - given));
    memcpy(noted.ran.counts, noted.destroyed.counts, N * sizeof noted.ran.counts[0]);
    end_notes(inputs_of(&spec), inputs_of(&spec));
    cr_assert_eq(filch__fault_live_blocks(), before, "a leak");
    return faults;
}
static void sweep(unsigned kinds, bool forever) {
    FOR_EACH_SHAPE(shape) {
        if (shape.buffer == 1 || shape.buffer == SIZE_MAX || shape.chunk == 1000) continue;
        for (long after = 0; after < 60 && play(shape, kinds, after, forever) != 0; after++)
            continue;
    }
}

Test(results, each_allocation_fails_once) {
    sweep(FAULT_ALLOC, false);
}
Test(results, each_allocation_fails_and_all_later) {
    sweep(FAULT_ALLOC, true);
}
Test(results, each_mapping_or_thread_start_fails) {
    sweep(FAULT_MAP, true);
    sweep(FAULT_THREAD, true);
    sweep(FAULT_FUTEX, false);
}

/* Cancelled by a shutdown ------------------------------------------------------------------------- */

Test(results, inputs_that_a_shutdown_cancels_give_ECANCELED_each_at_its_turn) {
    FOR_EACH_SHAPE(shape) {
        int chunk = shape.chunk == 0 ? 1 : (int)shape.chunk;
        if (!submits_held(shape)) continue;
        struct source source = {0};
        filch_executor *e = executor_of(1);
        begin_notes(40, HELD);
        filch_map_spec spec = noted_spec(shape, 40, &source);
        filch_results *it = map_on(e, &spec);
        int submitted = (int)stats_of(e).submitted * chunk, ran = (HELD / chunk + 1) * chunk;
        if (submitted > 40) submitted = 40;
        if (ran > 40) ran = 40;
        flag_wait(&noted.gate.reached);
        ok(filch_executor_shutdown(e, FILCH_CANCEL_PENDING));
        flag_raise(&noted.gate.open);
        for (int i = 0; i < ran; i++) gives(it, -i);
        for (int i = ran; i < submitted; i++) fails_with(it, FILCH_ECANCELED, "was cancelled");
        if (submitted < 40) fails_with(it, FILCH_ESHUTDOWN, "could not be submitted");
        finish_map(it);
        ok(filch_executor_destroy(e));
        end_notes(ran, inputs_of(&spec));
    }
}

Test(results, are_read_while_a_shutdown_cancels) {
    for (int i = 0; i < stress(200); i++) {
        struct source source = {0};
        filch_executor *e = executor_of(2);
        filch_map_spec spec = spec_of(shape_of(i % 40), negate, 30, &source);
        filch_results *it = map_on(e, &spec);
        int turns = 0, rc, worst = 0;
        pthread_t thread = thread_start(i % 3 == 0 ? shut_down : cancel_all, e);
        while ((rc = filch_results_next(it, NULL)) != FILCH_EEND) {
            cr_assert(rc == 0 || rc == FILCH_ECANCELED || rc == FILCH_ESHUTDOWN);
            cr_assert(worst != FILCH_ESHUTDOWN);
            if (rc == FILCH_ESHUTDOWN) worst = rc;
            turns++;
        }
        cr_assert(turns == 30 || worst == FILCH_ESHUTDOWN);
        thread_finish(thread);
        finish_map(it);
        ok(filch_executor_destroy(e));
    }
}

/* Inside tasks ------------------------------------------------------------------------------------ */

/* The sum of 1 to n by a tree of maps; n is small. */
static int sum_by_maps(void *arg, void *result) {
    int n = *(int *)arg, sum = n, part, rc;
    struct source source = {0};
    struct shape shape = shape_of(n * 7 % 40);
    filch_map_spec spec = spec_of(shape, sum_by_maps, n, &source);
    filch_results *it;
    if ((rc = filch_map(filch_current_executor(), &spec, &it)) != 0) return rc;
    while ((rc = filch_results_next(it, &part)) == 0) sum += part;
    filch_results_destroy(it);
    *(int *)result = sum;
    return rc == FILCH_EEND ? 0 : rc;
}
static int sum_plainly(int n) {
    int sum = n;
    for (int i = 0; i < n; i++) sum += sum_plainly(i);
    return sum;
}

Test(results, inside_tasks_at_any_depth) {
    for (int workers = 1; workers < 4; workers++) {
        filch_executor *e = executor_of(workers);
        for (int n = 0; n < 9; n++) {
            int sum = -1;
            filch_future *f = submit_to(e, sum_by_maps, &n, sizeof n, sizeof sum);
            ok(filch_future_result(f, &sum, FILCH_FOREVER));
            cr_assert_eq(sum, sum_plainly(n));
            filch_future_release(f);
        }
        ok(filch_executor_destroy(e));
    }
}

/* Its own first input reads the iterator: that input cannot be waited for, the others can. */
static struct {
    filch_results *it;
    uint32_t go, done;
    int codes[6];
    char text[256];
} own;
static int read_itself(void *arg, void *result) {
    (void)result;
    if (*(int *)arg != 0) return 0;
    flag_wait(&own.go);
    own.codes[0] = filch_results_next(own.it, NULL);
    strncpy(own.text, filch_last_error(), sizeof own.text - 1);
    for (int i = 1; i < 6; i++) own.codes[i] = filch_results_next(own.it, NULL);
    flag_raise(&own.done);
    return 0;
}

Test(results, an_input_that_cannot_be_waited_for_has_its_turn_too) {
    for (size_t chunk = 1; chunk < 3; chunk++) {
        struct source source = {0};
        filch_executor *e = executor_of(1);
        filch_map_spec spec = spec_of((struct shape){chunk, 0, false}, read_itself, 4, &source);
        own.go = own.done = 0;
        own.it = map_on(e, &spec);
        flag_raise(&own.go);
        flag_wait(&own.done);
        cr_assert_eq(own.codes[0], FILCH_EDEADLK);
        cr_assert_not_null(strstr(own.text, "own stack"), "%s", own.text);
        cr_assert_eq(own.codes[1], chunk == 1 ? 0 : FILCH_EDEADLK);
        cr_assert_eq(own.codes[2], 0);
        cr_assert_eq(own.codes[3], 0);
        cr_assert_eq(own.codes[4], FILCH_EEND);
        cr_assert_eq(own.codes[5], FILCH_EEND);
        finish_map(own.it);
        ok(filch_executor_destroy(e));
    }
}

/* The stack of the only worker is almost used up and there are no spares: its inputs cannot be waited for.
 * Those that are given up never run. */
static int map_when_stack_is_low(void *arg, void *result) {
    volatile char *block = alloca(*(size_t *)arg);
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    filch_results *it;
    int *good = result, rc;
    block[0] = 1;
    spec.fn = count_run;
    spec.n = 20;
    if ((rc = filch_map(filch_current_executor(), &spec, &it)) != 0) return rc;
    for (int i = 0; i < 20; i++) {
        rc = filch_results_next(it, NULL);
        if (rc == 0)
            ++*good;
        else if (rc != FILCH_EAGAIN)
            return rc;
    }
    rc = filch_results_next(it, NULL);
    filch_results_destroy(it);
    return rc == FILCH_EEND ? block[0] - 1 : rc;
}

Test(results, inputs_that_could_not_be_waited_for_never_run) {
    enum { STACK = 1 << 20 };
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    size_t amount = STACK - (48 << 10);
    int good = -1;
    options.max_workers = 1;
    options.max_spares = -1;
    options.stack_size = STACK;
    filch_executor *e = executor_with(options);
    filch_future *f = submit_to(e, map_when_stack_is_low, &amount, sizeof amount, sizeof(int));
    ok(filch_future_result(f, &good, FILCH_FOREVER));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
    cr_assert_eq(runs, good);
}

/* Threads ----------------------------------------------------------------------------------------- */

static void read_all(int index, void *context) {
    struct source source = {0};
    filch_map_spec spec = spec_of(shape_of(index * 9 % 40), negate_unevenly, 500, &source);
    filch_results *it;
    int result, wrong = filch_map(*(filch_executor **)context, &spec, &it);
    for (int i = 0; i < 500; i++) wrong += filch_results_next(it, &result) != 0 || result != -i;
    wrong += filch_results_next(it, &result) != FILCH_EEND;
    filch_results_destroy(it);
    add(&runs, wrong);
}

Test(results, of_several_threads) {
    filch_executor *e = executor_of(3);
    run_threads(6, read_all, &e);
    cr_assert_eq(runs, 0);
    ok(filch_executor_destroy(e));
}
