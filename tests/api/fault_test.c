/* fault_test.c: each allocation, mapping, thread start and sleep is made to fail in turn, once or from
 * there on. Every call then succeeds or returns the right code; what was accepted ends; nothing leaks;
 * and without faults the next attempt works.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <stdlib.h>

TestSuite(fault, .timeout = 60);

/* The scenario -------------------------------------------------------------------------------- */

enum { OUTSIDE = 40, INSIDE = 10, MAPPED = 50 };

struct scenario {
    unsigned kinds;
    struct ledger ran;       /* tasks by number */
    struct ledger destroyed; /* their arguments */
    bool accepted[OUTSIDE], cancelled[OUTSIDE], watched[OUTSIDE], refused_inside;
    filch_future *futures[OUTSIDE];
    int called[OUTSIDE]; /* callbacks */
    int wrong;           /* calls inside that returned what they may not */
    const char *what;
};

struct job {
    struct scenario *scenario;
    size_t number;
};

static bool may_fail_with(unsigned kinds, int rc) {
    if (rc == FILCH_ENOMEM) return (kinds & (FAULT_ALLOC | FAULT_MAP)) != 0;
    if (rc == FILCH_EAGAIN) return (kinds & (FAULT_THREAD | FAULT_ALLOC | FAULT_MAP)) != 0;
    return rc == 0;
}

/* Submits and waits, with depth 5; what it cannot submit it leaves out. Where nobody waits for it, the
 * executor may have been shut down meanwhile. */
static int descend(void *arg, void *result) {
    struct job job = *(struct job *)arg;
    filch_future *f;
    (void)result;
    if (job.number == 0) return filch_fail(3, "the bottom, %d", 0);
    job.number--;
    int rc = filch_submit(filch_current_executor(), descend, &job, sizeof job, 0, &f);
    if (rc != 0) {
        if (rc != FILCH_ESHUTDOWN && !may_fail_with(job.scenario->kinds, rc))
            add(&job.scenario->wrong, 1);
        return 3;
    }
    rc = finish(f);
    if (rc != 3 && !may_fail_with(job.scenario->kinds, rc)) add(&job.scenario->wrong, 1);
    return 3;
}

static int do_job(void *arg, void *result) {
    struct job *job = arg;
    struct scenario *s = job->scenario;
    (void)result;
    ledger_note(&s->ran, job->number);
    if (job->number % 10 != 0) return 0;
    struct job deeper = {s, 5};
    for (int i = 0; i < INSIDE; i++) {
        filch_future *f;
        int rc = filch_submit(filch_current_executor(), descend, &deeper, sizeof deeper, 0,
                              i % 3 == 0 ? &f : NULL);
        if (!may_fail_with(s->kinds, rc)) add(&s->wrong, 1);
        if (rc == 0 && i % 3 == 0) {
            rc = finish(f);
            if (rc != 3 && !may_fail_with(s->kinds, rc)) add(&s->wrong, 1);
        }
    }
    return 0;
}
static void destroy_job(void *arg) {
    struct job *job = arg;
    ledger_note(&job->scenario->destroyed, job->number);
}
static void note_call(filch_future *f, void *context) {
    (void)f;
    add(context, 1);
}

/* Notes what went wrong first. */
static void expect(struct scenario *s, bool right, const char *what) {
    if (!right && s->what == NULL) s->what = what;
}

static void submit_jobs(struct scenario *s, filch_executor *e) {
    struct {
        struct job job;
        char more[200]; /* so that some do not fit the object */
    } arg = {{s, 0}, {0}};
    for (size_t i = 0; i < OUTSIDE; i++) {
        filch_task task = FILCH_TASK_INIT;
        arg.job.number = i;
        task.fn = do_job;
        task.arg = &arg;
        task.arg_size = i % 8 == 7 ? sizeof arg : sizeof arg.job;
        task.arg_destroy = i % 4 == 3 ? destroy_job : NULL;
        int rc = filch_submit_task(e, &task, &s->futures[i]);
        expect(s, may_fail_with(s->kinds, rc), "code of submit");
        s->accepted[i] = rc == 0;
        if (rc != 0) continue;
        if (i % 5 == 0) {
            rc = filch_future_add_done_callback(s->futures[i], note_call, &s->called[i]);
            expect(s, rc == 0 || (rc == FILCH_ENOMEM && (s->kinds & FAULT_ALLOC)),
                   "code of callback");
            s->watched[i] = rc == 0;
        }
        if (i % 6 == 5) s->cancelled[i] = filch_future_cancel(s->futures[i]);
    }
}

static int twice(void *arg, void *result) {
    *(int *)result = 2 * *(int *)arg;
    return 0;
}
static void map_some(struct scenario *s, filch_executor *e) {
    int args[MAPPED], results[MAPPED];
    for (int i = 0; i < MAPPED; i++) args[i] = i, results[i] = -1;
    int rc = filch_map_array(e, twice, args, sizeof(int), MAPPED, results, sizeof(int));
    expect(s, may_fail_with(s->kinds, rc), "code of map");
    for (int i = 0; i < MAPPED; i++)
        expect(s, results[i] == 2 * i || (rc != 0 && results[i] == -1), "result of map");
}

static void await_jobs(struct scenario *s) {
    for (size_t i = 0; i < OUTSIDE; i++) {
        if (!s->accepted[i]) continue;
        int rc = filch_future_result(s->futures[i], NULL, FILCH_FOREVER);
        expect(s, rc == (s->cancelled[i] ? FILCH_ECANCELED : 0), "code of result");
        filch_future_release(s->futures[i]);
    }
}

static void check_jobs(struct scenario *s) {
    for (size_t i = 0; i < OUTSIDE; i++) {
        uint32_t runs = s->accepted[i] && !s->cancelled[i];
        uint32_t destroyed = s->accepted[i] && i % 4 == 3;
        expect(s, s->ran.counts[i] == runs, "an accepted task ran once");
        expect(s, s->destroyed.counts[i] == destroyed, "an argument was destroyed once");
        expect(s, s->called[i] == s->watched[i], "a callback was called once");
    }
    expect(s, s->wrong == 0, "codes inside");
}

/* Everything once; how many faults there were. */
static long play(unsigned kinds, long after, bool forever) {
    struct scenario s = {.kinds = kinds};
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    filch_executor *e = NULL;
    long before = filch__fault_live_blocks();
    ledger_init(&s.ran, OUTSIDE);
    ledger_init(&s.destroyed, OUTSIDE);
    options.max_workers = 2;
    filch__fault_plan(kinds, after, forever);
    int rc = filch_thread_executor(&options, &e);
    expect(&s, rc == 0 || (rc == FILCH_ENOMEM && e == NULL && (kinds & FAULT_ALLOC)),
           "code of create");
    if (rc == 0) {
        submit_jobs(&s, e);
        map_some(&s, e);
        await_jobs(&s);
        expect(&s, filch_executor_destroy(e) == 0, "code of destroy");
        check_jobs(&s);
    }
    long faults = filch__fault_clear();
    expect(&s, filch__fault_live_blocks() == before, "a leak");
    if (s.what != NULL)
        cr_assert_fail("kinds %u, call %ld%s: %s", kinds, after, forever ? " and all later" : "",
                       s.what);
    ledger_fini(&s.ran);
    ledger_fini(&s.destroyed);
    return faults;
}

/* Until no call is left to fail; and what comes after each fault works. */
static void sweep(unsigned kinds, bool forever, long limit) {
    long after = 0;
    while (after < limit && play(kinds, after, forever) != 0) {
        cr_assert_eq(play(0, 0, false), 0);
        after++;
    }
    cr_assert_gt(after, 0, "no call was made to fail");
}

Test(fault, each_allocation_once) {
    sweep(FAULT_ALLOC, false, 400);
}
Test(fault, each_allocation_and_all_later) {
    sweep(FAULT_ALLOC, true, 400);
}
Test(fault, each_mapping_once) {
    sweep(FAULT_MAP, false, 100);
}
Test(fault, each_mapping_and_all_later) {
    sweep(FAULT_MAP, true, 100);
}
Test(fault, each_thread_start_once) {
    sweep(FAULT_THREAD, false, 100);
}
Test(fault, each_thread_start_and_all_later) {
    sweep(FAULT_THREAD, true, 100);
}
Test(fault, each_sleep_ends_early_once) {
    sweep(FAULT_FUTEX, false, 60);
}
Test(fault, each_sleep_ends_early_and_all_later) {
    sweep(FAULT_FUTEX, true, 30);
}
Test(fault, each_call_of_any_kind_once) {
    sweep(FAULT_ALLOC | FAULT_MAP | FAULT_THREAD, false, 400);
}

/* One call at a time -------------------------------------------------------------------------- */

Test(fault, no_memory_for_an_executor) {
    filch_executor *e = NULL;
    long before = filch__fault_live_blocks();
    filch__fault_plan(FAULT_ALLOC, 0, true);
    int rc = filch_thread_executor(NULL, &e);
    cr_assert_gt(filch__fault_clear(), 0);
    cr_assert_eq(rc, FILCH_ENOMEM);
    cr_assert_null(e);
    cr_assert_neq(filch_last_error()[0], '\0');
    cr_assert_eq(filch__fault_live_blocks(), before);
}

Test(fault, no_thread_at_all) {
    filch_executor *e = executor_of(2);
    filch_future *f = NULL;
    int values[3] = {1, 2, 3};
    filch__fault_plan(FAULT_THREAD, 0, true);
    for (int i = 0; i < 10; i++) {
        fails(FILCH_EAGAIN, filch_submit(e, do_nothing, NULL, 0, 0, &f));
        fails(FILCH_EAGAIN, filch_submit(e, do_nothing, NULL, 0, 0, NULL));
        fails(FILCH_EAGAIN, filch_map_array(e, twice, values, sizeof(int), 3, values, sizeof(int)));
    }
    filch__fault_clear();
    cr_assert_null(f);
    cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0, "later there is one");
    ok(filch_executor_destroy(e));
}

Test(fault, no_thread_and_then_the_end) {
    filch_executor *e = executor_of(2);
    filch_future *f = NULL;
    filch__fault_plan(FAULT_THREAD, 0, true);
    fails(FILCH_EAGAIN, filch_submit(e, do_nothing, NULL, 0, 0, &f));
    filch__fault_clear();
    ok(filch_executor_shutdown(e, FILCH_WAIT | FILCH_CANCEL_PENDING));
    ok(filch_executor_destroy(e));
}

Test(fault, one_thread_does_all_where_no_second_starts) {
    filch_executor *e = executor_of(8);
    int count = 0;
    cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
    filch__fault_plan(FAULT_THREAD, 0, true);
    for (int i = 0; i < 200; i++) filch_future_release(submit_pointer(e, count_one, &count));
    wait_for_count(&count, 200);
    filch__fault_clear();
    cr_assert_eq(stats_of(e).workers_started, 1);
    ok(filch_executor_destroy(e));
}

/* Where several threads submit first and none can be started, none hangs. */
struct first_submits {
    filch_executor *executor;
    int refused, unknown;
};
static void submit_first(int index, void *context) {
    struct first_submits *s = context;
    int rc = filch_submit(s->executor, do_nothing, NULL, 0, 0, NULL);
    (void)index;
    if (rc == FILCH_EAGAIN)
        add(&s->refused, 1);
    else if (rc != 0)
        add(&s->unknown, 1);
}

Test(fault, first_submits_of_several_threads) {
    int n = stress(100);
    for (int i = 0; i < n; i++) {
        struct first_submits s = {executor_of(2), 0, 0};
        filch__fault_plan(FAULT_THREAD, 0, i % 2 == 0);
        run_threads(3, submit_first, &s);
        filch__fault_clear();
        if (s.unknown != 0 || s.refused != (i % 2 == 0 ? 3 : 1))
            cr_assert_fail("round %d: %d", i, s.refused);
        ok(filch_executor_destroy(s.executor));
    }
}

/* A spare cannot be started at once, and what its worker waits for stands in the queue: it is tried
 * again. X, on a, waits for Y, on b, which waits for P, on a. */
struct knot {
    filch_future *y, *p;
    uint32_t go;
};
static int await_y(void *arg, void *result) {
    struct knot *knot = *(struct knot **)arg;
    (void)result;
    flag_wait(&knot->go);
    return filch_future_result(knot->y, NULL, FILCH_FOREVER);
}
static int await_p(void *arg, void *result) {
    struct knot *knot = *(struct knot **)arg;
    (void)result;
    flag_wait(&knot->go);
    return filch_future_result(knot->p, NULL, FILCH_FOREVER);
}

Test(fault, a_spare_that_did_not_start_is_tried_again, .timeout = 10) {
    for (int i = 0; i < 5; i++) {
        filch_executor *a = executor_of(1), *b = executor_of(1);
        struct knot knot = {NULL, NULL, 0};
        filch_future *x = submit_pointer(a, await_y, &knot);
        knot.y = submit_pointer(b, await_p, &knot);
        while (!filch_future_running(x) || !filch_future_running(knot.y)) sched_yield();
        knot.p = submit_to(a, do_nothing, NULL, 0, 0);
        filch__fault_plan(FAULT_THREAD, 0, false);
        flag_raise(&knot.go);
        cr_assert_eq(finish(x), 0);
        filch__fault_clear();
        cr_assert_eq(finish(knot.y), 0);
        cr_assert_eq(finish(knot.p), 0);
        ok(filch_executor_destroy(a));
        ok(filch_executor_destroy(b));
    }
}

Test(fault, no_memory_for_a_callback) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    int called = 0;
    filch_future *f = occupy(e, &gate);
    filch__fault_plan(FAULT_ALLOC, 0, true);
    fails(FILCH_ENOMEM, filch_future_add_done_callback(f, note_call, &called));
    filch__fault_clear();
    open_gate(&gate, f);
    ok(filch_executor_destroy(e));
    cr_assert_eq(called, 0);
}

static int fail_without_memory(void *arg, void *result) {
    (void)arg;
    (void)result;
    filch__fault_plan(FAULT_ALLOC, 0, true);
    int rc = filch_fail(9, "a text that finds no memory");
    filch__fault_clear();
    return rc;
}

Test(fault, no_memory_for_a_text) {
    filch_executor *e = executor_of(1);
    filch_future *f = submit_to(e, fail_without_memory, NULL, 0, 0);
    filch_error error;
    ok(filch_future_error(f, &error, FILCH_FOREVER));
    cr_assert_eq(error.code, 9);
    cr_assert_str_eq(error.text, filch_error_text(9));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* A worker's own queue cannot grow: submit says so, and what was accepted runs. */
struct growth {
    int accepted, ran, refused;
};
static int submit_until_full(void *arg, void *result) {
    struct growth *g = *(struct growth **)arg;
    int *pointer = &g->ran;
    (void)result;
    filch__fault_plan(FAULT_ALLOC, 0, true);
    for (int i = 0; i < 3000; i++) {
        int rc =
            filch_submit(filch_current_executor(), count_one, &pointer, sizeof pointer, 0, NULL);
        if (rc == 0)
            g->accepted++;
        else
            g->refused += rc == FILCH_ENOMEM ? 1 : 100000;
    }
    filch__fault_clear();
    return 0;
}

Test(fault, own_queue_that_cannot_grow) {
    filch_executor *e = executor_of(1);
    struct growth g = {0, 0, 0};
    cr_assert_eq(finish(submit_pointer(e, submit_until_full, &g)), 0);
    ok(filch_executor_destroy(e));
    cr_assert_gt(g.refused, 0);
    cr_assert_eq(g.accepted + g.refused, 3000);
    cr_assert_eq(g.ran, g.accepted);
}

/* The same for the queue of what came from outside: late perhaps, but not lost. */
Test(fault, queue_from_outside_that_cannot_grow) {
    enum { N = 3000 };
    for (int workers = 1; workers < 3; workers++) {
        filch_executor *e = executor_of(workers);
        struct gate gates[2];
        filch_future *first[2];
        int count = 0;
        for (int i = 0; i < workers; i++) first[i] = occupy(e, &gates[i]);
        for (int i = 0; i < N; i++) filch_future_release(submit_pointer(e, count_one, &count));
        filch__fault_plan(FAULT_ALLOC, 0, true);
        for (int i = 0; i < workers; i++) open_gate(&gates[i], first[i]);
        wait_for_count(&count, N);
        filch__fault_clear();
        ok(filch_executor_destroy(e));
        cr_assert_eq(count, N);
    }
}

/* The executor breaks while there is no memory for the cause, and a worker has a task in its hand. */
struct breaking {
    uint32_t go;
    int calls;
};
static int break_second(void *arg) {
    struct breaking *b = arg;
    if (add(&b->calls, 1) == 1) return 0;
    flag_wait(&b->go);
    return 1;
}

Test(fault, no_memory_for_the_cause_of_a_break) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    struct breaking breaking = {0, 0};
    struct gate gate;
    struct stopper *taken, *broken;
    filch_error error;
    options.max_workers = 2;
    options.initializer = break_second;
    options.initializer_arg = &breaking;
    filch_executor *e = executor_with(options);
    filch_future *first = occupy(e, &gate);
    filch_future *f = submit_to(e, do_nothing, NULL, 0, 0); /* starts the second worker */
    wait_for_count(&breaking.calls, 2);
    taken = stop_at("worker.injector.taken");
    open_gate(&gate, first);
    stopper_wait_reached(taken);
    broken = stop_at("shutdown.flag");
    filch__fault_plan(FAULT_ALLOC, 0, true);
    flag_raise(&breaking.go);
    stopper_wait_reached(broken);
    stopper_release(taken);
    stopper_release(broken);
    cr_assert_eq(filch_future_result(f, NULL, FILCH_FOREVER), FILCH_EBROKEN);
    ok(filch_future_error(f, &error, 0));
    cr_assert_not_null(error.text);
    fails(FILCH_EBROKEN, filch_submit(e, do_nothing, NULL, 0, 0, NULL));
    ok(filch_executor_destroy(e));
    filch__fault_clear();
    filch_future_release(f);
}

/* Maps two inputs, the second of which fails when there is no memory; or one that needs memory to run. */
static int fail_and_take_memory(void *arg, void *result) {
    (void)result;
    if (*(int *)arg != 1) return 0;
    filch__fault_plan(FAULT_ALLOC, 0, true);
    return 5;
}
static int map_without_memory(void *arg, void *result) {
    static char large[2][4096];
    int args[2] = {0, 1}, rc;
    (void)result;
    filch_executor *e = filch_current_executor();
    if (*(bool *)arg) {
        filch__fault_plan(FAULT_ALLOC, 0, true);
        rc = filch_map_array(e, do_nothing, large, sizeof large[0], 2, NULL, 0);
    } else {
        rc = filch_map_array(e, fail_and_take_memory, args, sizeof args[0], 2, NULL, 0);
    }
    filch__fault_clear();
    if (strstr(filch_last_error(), *(bool *)arg ? "input 0" : "input 1") == NULL) return 1;
    return rc;
}

Test(fault, an_input_whose_failure_cannot_be_noted_is_named) {
    filch_executor *e = executor_of(1);
    for (int large = 0; large < 2; large++) {
        bool arg = large != 0;
        cr_assert_eq(finish(submit_to(e, map_without_memory, &arg, sizeof arg, 0)), FILCH_ENOMEM);
    }
    ok(filch_executor_destroy(e));
}
