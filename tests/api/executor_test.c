/* executor_test.c: when workers start, in which order tasks start, what options do.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(executor, .timeout = 30);

/* Workers on demand --------------------------------------------------------------------------- */

/* Submits and awaits three times; how many workers that has started. */
static uint64_t workers_of_three_submits(filch_executor *e) {
    for (int i = 0; i < 3; i++)
        if (finish(submit_to(e, do_nothing, NULL, 0, 0)) != 0) return 0;
    return stats_of(e).workers_started;
}

static void check_three_submits(filch_nanoseconds spin, int rounds) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 4;
    options.spin = spin;
    for (int i = 0; i < rounds; i++) {
        filch_executor *e = executor_with(options);
        uint64_t workers = workers_of_three_submits(e);
        if (workers != 1) cr_assert_fail("round %d: %d workers", i, (int)workers);
        ok(filch_executor_destroy(e));
    }
}

Test(executor, three_submits_each_awaited_leave_one_worker) {
    check_three_submits(0, stress(200));
}

Test(executor, three_submits_each_awaited_leave_one_worker_without_spin) {
    check_three_submits(-1, stress(200));
}

static int sleep_a_moment(void *arg, void *result) {
    (void)arg;
    (void)result;
    usleep(100);
    return 0;
}

/* The waiter sleeps, and is woken by the worker. */
Test(executor, submits_after_a_wake_up_leave_one_worker) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 4;
    options.spin = -1;
    filch_executor *e = executor_with(options);
    int n = stress(500);
    for (int i = 0; i < n; i++) cr_assert_eq(finish(submit_to(e, sleep_a_moment, NULL, 0, 0)), 0);
    cr_assert_eq(stats_of(e).workers_started, 1);
    ok(filch_executor_destroy(e));
}

Test(executor, no_worker_before_the_first_submit) {
    filch_executor *e = executor_of(4);
    cr_assert_eq(stats_of(e).workers_started, 0);
    ok(filch_executor_destroy(e));
}

Test(executor, a_busy_worker_makes_the_next_submit_start_another) {
    enum { N = 5 };
    filch_executor *e = executor_of(N);
    struct gate gates[N];
    filch_future *futures[N];
    for (int i = 0; i < N; i++) futures[i] = occupy(e, &gates[i]);
    cr_assert_eq(stats_of(e).workers_started, N);
    for (int i = 0; i < N; i++) open_gate(&gates[i], futures[i]);
    ok(filch_executor_destroy(e));
}

Test(executor, never_more_workers_than_max) {
    filch_executor *e = executor_of(3);
    int count = 0;
    for (int i = 0; i < 2000; i++) filch_future_release(submit_pointer(e, count_one, &count));
    wait_for_count(&count, 2000);
    cr_assert_leq(stats_of(e).workers_started, 3);
    ok(filch_executor_destroy(e));
}

/* An idle worker is woken, each time: none of many rounds is lost. */
Test(executor, tasks_wake_workers_that_sleep) {
    filch_executor *e = executor_of(2);
    int n = stress(300);
    for (int i = 0; i < n; i++) {
        if (i % 3 == 0 && i != 0) settle(e);
        filch_future *a = submit_to(e, do_nothing, NULL, 0, 0);
        filch_future *b = submit_to(e, do_nothing, NULL, 0, 0);
        cr_assert_eq(finish(b), 0);
        cr_assert_eq(finish(a), 0);
    }
    ok(filch_executor_destroy(e));
}

/* Both tasks need the other to run: work for two wakes two. */
struct pair {
    int arrived, left;
};
static int meet(void *arg, void *result) {
    struct pair *pair = *(struct pair **)arg;
    (void)result;
    add(&pair->arrived, 1);
    wait_for_count(&pair->arrived, 2);
    add(&pair->left, 1);
    return 0;
}
static int submit_pair_and_return(void *arg, void *result) {
    (void)result;
    for (int i = 0; i < 2; i++)
        if (filch_submit(filch_current_executor(), meet, arg, sizeof(void *), 0, NULL) != 0)
            return 1;
    return 0;
}

Test(executor, work_for_two_wakes_two) {
    filch_executor *e = executor_of(2);
    int n = stress(200);
    for (int i = 0; i < n; i++) {
        struct pair pair = {0, 0};
        if (i % 4 == 1) settle(e);
        if (i % 2 == 0) {
            filch_future *a = submit_pointer(e, meet, &pair), *b = submit_pointer(e, meet, &pair);
            cr_assert_eq(finish(a), 0);
            cr_assert_eq(finish(b), 0);
        } else {
            cr_assert_eq(finish(submit_pointer(e, submit_pair_and_return, &pair)), 0);
            wait_for_count(&pair.left, 2);
        }
    }
    ok(filch_executor_destroy(e));
}

/* A submitter that stands between publishing and telling somebody, or between the decision whom to wake
 * and the system call, loses nothing, and holds back nobody who comes after it has been told. */
struct submitter {
    filch_executor *executor;
    int *count;
    int rc;
    uint32_t returned;
};
static void submit_one(void *context) {
    struct submitter *s = context;
    s->rc = filch_submit(s->executor, count_one, &s->count, sizeof s->count, 0, NULL);
    flag_raise(&s->returned);
}

Test(executor, a_stopped_submitter_loses_nothing) {
    filch_executor *e = executor_of(2);
    cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
    for (int i = 0; i < 20; i++) {
        struct stopper *stop;
        int count = 0;
        struct submitter submitter = {e, &count, -1, 0};
        settle(e);
        stop = stop_at(i % 2 == 0 ? "submit.injected" : "crew.unpark");
        pthread_t thread = thread_start(submit_one, &submitter);
        /* It wakes nobody if a worker is still on its way from an earlier wake-up. */
        while (!stopper_is_reached(stop) && filch_load_acquire(&submitter.returned) == 0)
            sched_yield();
        if (i % 2 == 0) /* it has told nobody: the next submit tells for both */
            cr_assert_eq(finish(submit_pointer(e, count_one, &count)), 0);
        stopper_release(stop);
        thread_finish(thread);
        cr_assert_eq(submitter.rc, 0);
        wait_for_count(&count, i % 2 == 0 ? 2 : 1);
    }
    ok(filch_executor_destroy(e));
}

/* An idle worker takes the task before the submitter has looked who is idle: that is a submit which found
 * an idle worker, and starts no other. */
struct late_look {
    filch_executor *executor;
    struct gate gate;
    filch_future *f;
    int rc;
};
static void submit_hold(void *context) {
    struct late_look *late = context;
    struct gate *pointer = &late->gate;
    late->rc = filch_submit(late->executor, hold, &pointer, sizeof pointer, 0, &late->f);
}

Test(executor, a_submitter_that_looks_late_starts_nobody) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 4;
    options.spin = FILCH_SECONDS(1);
    filch_executor *e = executor_with(options);
    struct late_look late = {.executor = e};
    cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
    struct stopper *stop = stop_at("submit.injected");
    pthread_t thread = thread_start(submit_hold, &late);
    stopper_wait_reached(stop);
    /* The worker spins and takes it, or, on a very slow machine, sleeps already. */
    while (filch_load_acquire(&late.gate.reached) == 0 && stats_of(e).parked == 0) sched_yield();
    stopper_release(stop);
    thread_finish(thread);
    cr_assert_eq(late.rc, 0);
    flag_wait(&late.gate.reached);
    cr_assert_eq(stats_of(e).workers_started, 1);
    open_gate(&late.gate, late.f);
    ok(filch_executor_destroy(e));
}

/* Order --------------------------------------------------------------------------------------- */

struct trace {
    int next, seen[2000];
};
struct step {
    struct trace *trace;
    int number;
};
static int note_step(void *arg, void *result) {
    struct step *step = arg;
    (void)result;
    step->trace->seen[add(&step->trace->next, 1) - 1] = step->number;
    return 0;
}
static void submit_step(filch_executor *e, struct trace *trace, int number) {
    struct step step = {trace, number};
    ok(filch_submit(e, note_step, &step, sizeof step, 0, NULL));
}

Test(executor, first_in_first_out_with_one_worker) {
    enum { N = 2000 };
    static struct trace trace;
    filch_executor *e = executor_of(1);
    struct gate gate;
    filch_future *first = occupy(e, &gate);
    for (int i = 0; i < N; i++) {
        submit_step(e, &trace, i);
        if (i == N / 2) open_gate(&gate, first); /* the rest comes while it works */
    }
    ok(filch_executor_destroy(e));
    cr_assert_eq(trace.next, N);
    for (int i = 0; i < N; i++)
        if (trace.seen[i] != i) cr_assert_fail("place %d has task %d", i, trace.seen[i]);
}

/* A worker whose place a spare has taken for a while, and the spare, together keep the order. */
struct interlude {
    filch_future *elsewhere;
    struct gate *gate;
    struct trace *trace;
    filch_executor *executor;
};
static int wait_elsewhere(void *arg, void *result) {
    struct interlude *in = *(struct interlude **)arg;
    (void)result;
    int rc = filch_future_result(in->elsewhere, NULL, FILCH_FOREVER);
    /* The worker goes on when the spare has had time to go to sleep. */
    for (int i = 0; i < 100; i++) usleep(100);
    return rc;
}
static int open_and_note(void *arg, void *result) {
    struct interlude *in = *(struct interlude **)arg;
    (void)result;
    flag_raise(&in->gate->open);
    in->trace->seen[add(&in->trace->next, 1) - 1] = 0;
    filch_future_result(in->elsewhere, NULL, FILCH_FOREVER);
    return 0;
}

Test(executor, first_in_first_out_although_a_spare_helped_out) {
    enum { N = 64 };
    static struct trace trace;
    filch_executor *e = executor_of(1), *other = executor_of(1);
    struct gate gate, before;
    struct interlude in = {occupy(other, &gate), &gate, &trace, e}, *pointer = &in;
    filch_future *first = occupy(e, &before);
    filch_future *waiting = submit_pointer(e, wait_elsewhere, &in);
    ok(filch_submit(e, open_and_note, &pointer, sizeof pointer, 0, NULL));
    for (int i = 1; i < N; i++) submit_step(e, &trace, i);
    open_gate(&before, first);
    cr_assert_eq(finish(waiting), 0);
    ok(filch_executor_destroy(e));
    filch_future_release(in.elsewhere);
    ok(filch_executor_destroy(other));
    cr_assert_eq(trace.next, N);
    for (int i = 0; i < N; i++)
        if (trace.seen[i] != i) cr_assert_fail("place %d has task %d", i, trace.seen[i]);
}

static int submit_ten(void *arg, void *result) {
    struct trace *trace = *(struct trace **)arg;
    (void)result;
    for (int i = 0; i < 10; i++) {
        struct step step = {trace, i};
        if (filch_submit(filch_current_executor(), note_step, &step, sizeof step, 0, NULL) != 0)
            return 1;
    }
    return 0;
}

Test(executor, own_submits_start_newest_first) {
    static struct trace trace;
    filch_executor *e = executor_of(1);
    cr_assert_eq(finish(submit_pointer(e, submit_ten, &trace)), 0);
    ok(filch_executor_destroy(e));
    cr_assert_eq(trace.next, 10);
    for (int i = 0; i < 10; i++) cr_assert_eq(trace.seen[i], 9 - i);
}

struct rover {
    uint32_t stop;
    uint64_t runs;
};
static int submit_itself_again(void *arg, void *result) {
    struct rover *rover = *(struct rover **)arg;
    (void)result;
    filch_fetch_add_relaxed(&rover->runs, 1);
    if (filch_load_acquire(&rover->stop)) return 0;
    return filch_submit(filch_current_executor(), submit_itself_again, arg, sizeof rover, 0, NULL);
}

Test(executor, work_that_submits_itself_starves_nobody) {
    filch_executor *e = executor_of(1);
    struct rover rover = {0, 0}, *pointer = &rover;
    ok(filch_submit(e, submit_itself_again, &pointer, sizeof pointer, 0, NULL));
    for (int i = 0; i < 50; i++) cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
    flag_raise(&rover.stop);
    ok(filch_executor_destroy(e));
    cr_assert_gt(rover.runs, 1);
}

/* Who am I ------------------------------------------------------------------------------------ */

struct indices {
    int in_use[400];
    int limit, wrong;
};
static int claim_index(void *arg, void *result) {
    struct indices *x = *(struct indices **)arg;
    int i = filch_worker_index();
    (void)result;
    if (i < 0 || i >= x->limit) return add(&x->wrong, 1);
    if (add(&x->in_use[i], 1) != 1) add(&x->wrong, 1);
    for (int k = 0; k < 3; k++) sched_yield();
    add(&x->in_use[i], -1);
    return 0;
}
/* While it waits a spare runs under another index. */
static int claim_index_and_wait(void *arg, void *result) {
    struct indices *x = *(struct indices **)arg;
    filch_future *f;
    int i = filch_worker_index();
    (void)result;
    if (add(&x->in_use[i], 1) != 1) add(&x->wrong, 1);
    if (filch_submit(filch_current_executor(), sleep_a_moment, NULL, 0, 0, &f) == 0)
        (void)finish(f);
    if (filch_worker_index() != i) add(&x->wrong, 1);
    add(&x->in_use[i], -1);
    return 0;
}

Test(executor, worker_indices_are_in_range_and_unique) {
    filch_executor *e = executor_of(4);
    struct indices x = {.limit = filch_executor_worker_limit(e)};
    struct indices *pointer = &x;
    cr_assert_geq(x.limit, 4);
    cr_assert_leq(x.limit, 400);
    for (int i = 0; i < 1000; i++)
        ok(filch_submit(e, claim_index, &pointer, sizeof pointer, 0, NULL));
    ok(filch_executor_destroy(e));
    e = executor_of(2);
    x.limit = filch_executor_worker_limit(e);
    for (int i = 0; i < 50; i++)
        ok(filch_submit(e, i % 2 ? claim_index : claim_index_and_wait, &pointer, sizeof pointer, 0,
                        NULL));
    ok(filch_executor_destroy(e));
    cr_assert_eq(x.wrong, 0);
    cr_assert_eq(filch_worker_index(), -1);
}

static int worker_limit_with(int workers, int spares) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = workers;
    options.max_spares = spares;
    filch_executor *e = executor_with(options);
    int limit = filch_executor_worker_limit(e);
    ok(filch_executor_destroy(e));
    return limit;
}

Test(executor, worker_limit_counts_the_spares) {
    cr_assert_eq(worker_limit_with(1, -1), 1);
    cr_assert_eq(worker_limit_with(3, 0), 3 + 256);
    cr_assert_eq(worker_limit_with(3, 5), 3 + 5);
    cr_assert_eq(worker_limit_with(4096, 4096), 2 * 4096);
}

static int tell_executor(void *arg, void *result) {
    (void)arg;
    *(filch_executor **)result = filch_current_executor();
    return 0;
}
static filch_executor *executor_seen(filch_executor *e) {
    filch_executor *seen = NULL;
    filch_future *f = submit_to(e, tell_executor, NULL, 0, sizeof seen);
    ok(filch_future_result(f, &seen, FILCH_FOREVER));
    filch_future_release(f);
    return seen;
}

Test(executor, current_executor) {
    filch_executor *a = executor_of(1), *b = executor_of(1);
    cr_assert_null(filch_current_executor());
    cr_assert_eq(executor_seen(a), a);
    cr_assert_eq(executor_seen(b), b);
    cr_assert_eq(executor_seen(NULL), filch_default_executor());
    ok(filch_executor_destroy(a));
    ok(filch_executor_destroy(b));
}

/* The default executor ------------------------------------------------------------------------ */

static void ask_for_default(int index, void *context) {
    ((filch_executor **)context)[index] = filch_default_executor();
}

Test(executor, there_is_one_default_executor) {
    filch_executor *seen[8];
    run_threads(8, ask_for_default, seen);
    cr_assert_not_null(seen[0]);
    for (int i = 1; i < 8; i++) cr_assert_eq(seen[i], seen[0]);
    int values[3] = {1, 2, 3};
    ok(filch_map_array(NULL, do_nothing, values, sizeof(int), 3, NULL, 0));
}

static int exit_count;
static void look_at_exit(void) {
    filch_future *f;
    int late = filch_submit(NULL, do_nothing, NULL, 0, 0, &f);
    _exit(exit_count == 200 && late == FILCH_ESHUTDOWN ? 33 : 34);
}
static int count_slowly(void *arg, void *result) {
    (void)arg;
    (void)result;
    usleep(50);
    add(&exit_count, 1);
    return 0;
}
static void use_default_and_exit(void) {
    atexit(look_at_exit);
    for (int i = 0; i < 200; i++)
        if (filch_submit(NULL, count_slowly, NULL, 0, 0, NULL) != 0) _exit(35);
    exit(0);
}

Test(executor, default_executor_finishes_its_work_at_exit) {
    int status = 0;
    pid_t child = fork();
    if (child == 0) use_default_and_exit();
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 33, "status %x", (unsigned)status);
}

static int count_in_scope(void) {
    int count = 0, *pointer = &count;
    {
        FILCH_AUTO_EXECUTOR(e);
        ok(filch_thread_executor(NULL, &e));
        for (int i = 0; i < 100; i++)
            ok(filch_submit(e, count_one, &pointer, sizeof pointer, 0, NULL));
    }
    return count;
}

Test(executor, auto_executor_ends_with_its_scope) {
    long before = filch__fault_live_blocks();
    cr_assert_eq(count_in_scope(), 100);
    {
        FILCH_AUTO_EXECUTOR(never_made);
        cr_assert_null(never_made);
    }
    cr_assert_eq(filch__fault_live_blocks(), before);
}

Test(executor, two_executors_do_not_know_each_other) {
    filch_executor *a = executor_of(1), *b = executor_of(1);
    struct gate gate;
    filch_future *f = occupy(a, &gate);
    for (int i = 0; i < 20; i++) cr_assert_eq(finish(submit_to(b, do_nothing, NULL, 0, 0)), 0);
    cr_assert_eq(stats_of(a).submitted, 1);
    ok(filch_executor_destroy(b));
    open_gate(&gate, f);
    cr_assert_eq(finish(submit_to(a, do_nothing, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(a));
}

/* Many workers, counters ---------------------------------------------------------------------- */

static int submit_some(void *arg, void *result) {
    (void)result;
    for (int i = 0; i < 20; i++)
        if (filch_submit(filch_current_executor(), count_one, arg, sizeof(void *), 0, NULL) != 0)
            return 1;
    return 0;
}

Test(executor, sixty_four_workers_on_two_cpus) {
    filch_executor *e = executor_of(64);
    int count = 0, *pointer = &count, n = stress(300);
    for (int i = 0; i < n; i++) ok(filch_submit(e, submit_some, &pointer, sizeof pointer, 0, NULL));
    wait_for_count(&count, 20 * n);
    ok(filch_executor_shutdown(e, FILCH_WAIT));
    filch_stats s = stats_of(e);
    cr_assert_eq(count, 20 * n);
    cr_assert_eq(s.submitted, (uint64_t)(21 * n));
    cr_assert_eq(s.completed, s.submitted);
    cr_assert_leq(s.workers_started, 64);
    ok(filch_executor_destroy(e));
}

Test(executor, counters_add_up) {
    filch_executor *e = executor_of(2);
    filch_future *futures[100];
    struct gate gates[2];
    filch_future *a = occupy(e, &gates[0]), *b = occupy(e, &gates[1]);
    uint64_t cancelled = 0;
    for (int i = 0; i < 100; i++) futures[i] = submit_to(e, do_nothing, NULL, 0, 0);
    for (int i = 0; i < 100; i += 3) cancelled += filch_future_cancel(futures[i]);
    filch_stats early = stats_of(e);
    cr_assert_eq(early.submitted, 102);
    cr_assert_eq(early.cancelled, 34);
    cr_assert_eq(early.completed, 0);
    open_gate(&gates[0], a);
    open_gate(&gates[1], b);
    for (int i = 0; i < 100; i++) (void)finish(futures[i]);
    ok(filch_executor_shutdown(e, FILCH_WAIT));
    filch_stats s = stats_of(e);
    cr_assert_eq(cancelled, 34);
    cr_assert_eq(s.submitted, 102);
    cr_assert_eq(s.cancelled, 34);
    cr_assert_eq(s.completed, 102 - 34);
    cr_assert_eq(s.workers_started, 2);
    cr_assert_eq(s.parked, s.woken);
    cr_assert_geq(s.steal_attempts, s.stolen > 0);
    ok(filch_executor_destroy(e));
}

/* The initializer ----------------------------------------------------------------------------- */

static int initialized;
static __thread int initialized_here;
static int initialize(void *arg) {
    initialized_here = *(int *)arg;
    add(&initialized, 1);
    return 0;
}
static int is_initialized(void *arg, void *result) {
    (void)arg;
    (void)result;
    return initialized_here == 17 ? 0 : 1;
}

Test(executor, initializer_runs_once_in_each_worker_before_its_first_task) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    int arg = 17, failed = 0;
    filch_future *futures[200];
    options.max_workers = 4;
    options.initializer = initialize;
    options.initializer_arg = &arg;
    filch_executor *e = executor_with(options);
    for (int i = 0; i < 200; i++) futures[i] = submit_to(e, is_initialized, NULL, 0, 0);
    for (int i = 0; i < 200; i++) failed += finish(futures[i]);
    ok(filch_executor_shutdown(e, FILCH_WAIT));
    cr_assert_eq(failed, 0);
    cr_assert_eq((uint64_t)initialized, stats_of(e).workers_started);
    ok(filch_executor_destroy(e));
}

struct breaking {
    uint32_t go;
    int code, calls, first_to_fail;
};
static int break_it(void *arg) {
    struct breaking *breaking = arg;
    int call = add(&breaking->calls, 1);
    if (call < breaking->first_to_fail) return 0;
    flag_wait(&breaking->go);
    return breaking->code;
}
static void note_broken(filch_future *f, void *context) {
    if (filch_future_done(f) && !filch_future_cancelled(f)) add(context, 1);
}
static void note_destroy(void *arg) {
    add(*(int **)arg, 1);
}

static filch_executor *breaking_executor(struct breaking *breaking, int workers) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = workers;
    options.initializer = break_it;
    options.initializer_arg = breaking;
    return executor_with(options);
}

static void check_broken_for_ever(filch_executor *e) {
    filch_future *none = NULL;
    fails(FILCH_EBROKEN, filch_submit(e, do_nothing, NULL, 0, 0, &none));
    cr_assert_not_null(strstr(filch_last_error(), "initializer"), "%s", filch_last_error());
    fails(FILCH_EBROKEN, filch_submit(e, do_nothing, NULL, 0, 0, NULL));
    ok(filch_executor_shutdown(e, FILCH_WAIT));
    fails(FILCH_EBROKEN, filch_submit(e, do_nothing, NULL, 0, 0, &none));
    cr_assert_null(none);
}

Test(executor, failing_initializer_breaks_the_executor) {
    struct breaking breaking = {0, 7, 0, 1};
    filch_executor *e = breaking_executor(&breaking, 2);
    filch_future *futures[50];
    filch_error error;
    int called = 0, destroyed = 0, *pointer = &destroyed;
    for (int i = 0; i < 50; i++) {
        filch_task task = FILCH_TASK_INIT;
        task.fn = do_nothing;
        task.arg = &pointer;
        task.arg_size = sizeof pointer;
        task.arg_destroy = note_destroy;
        ok(filch_submit_task(e, &task, &futures[i]));
        ok(filch_future_add_done_callback(futures[i], note_broken, &called));
    }
    flag_raise(&breaking.go);
    for (int i = 0; i < 50; i++) {
        cr_assert_eq(filch_future_result(futures[i], NULL, FILCH_FOREVER), FILCH_EBROKEN);
        ok(filch_future_error(futures[i], &error, 0));
        cr_assert_eq(error.code, FILCH_EBROKEN);
        cr_assert_not_null(strstr(error.text, "initializer"), "%s", error.text);
        cr_assert_not_null(strstr(error.text, "7"), "%s", error.text);
        cr_assert_eq(error.origin.worker, -1);
        cr_assert_not(filch_future_cancelled(futures[i]), "an error, not a cancellation");
        cr_assert_not(filch_future_cancel(futures[i]));
    }
    check_broken_for_ever(e);
    ok(filch_executor_destroy(e));
    cr_assert_eq(called, 50);
    cr_assert_eq(destroyed, 50);
    for (int i = 0; i < 50; i++) filch_future_release(futures[i]);
}

Test(executor, initializer_of_a_later_worker_breaks_it_too) {
    struct breaking breaking = {0, -3, 0, 2};
    filch_executor *e = breaking_executor(&breaking, 2);
    struct gate gate;
    filch_future *running = occupy(e, &gate);
    filch_future *pending = submit_to(e, do_nothing, NULL, 0, 0); /* starts the second worker */
    flag_raise(&breaking.go);
    cr_assert_eq(finish(pending), FILCH_EBROKEN);
    open_gate(&gate, running); /* what runs ends as usual */
    check_broken_for_ever(e);
    ok(filch_executor_destroy(e));
}

Test(executor, broken_comes_before_shut_down) {
    struct breaking breaking = {0, 1, 0, 1};
    filch_executor *e = breaking_executor(&breaking, 1);
    filch_future *pending = submit_to(e, do_nothing, NULL, 0, 0);
    flag_raise(&breaking.go);
    cr_assert_eq(finish(pending), FILCH_EBROKEN);
    ok(filch_executor_shutdown(e, 0));
    check_broken_for_ever(e);
    ok(filch_executor_destroy(e));
}

/* One cancelled future does not stop the end of the others. */
Test(executor, broken_executor_ends_all_although_some_are_cancelled) {
    struct breaking breaking = {0, 1, 0, 1};
    filch_executor *e = breaking_executor(&breaking, 1);
    filch_future *futures[30];
    for (int i = 0; i < 30; i++) futures[i] = submit_to(e, do_nothing, NULL, 0, 0);
    for (int i = 0; i < 30; i += 2) cr_assert(filch_future_cancel(futures[i]));
    flag_raise(&breaking.go);
    for (int i = 0; i < 30; i++)
        cr_assert_eq(finish(futures[i]), i % 2 ? FILCH_EBROKEN : FILCH_ECANCELED);
    ok(filch_executor_destroy(e));
}

/* Submits that race with the break end, or are refused. */
struct racing {
    filch_executor *executor;
    int unknown;
};
static void submit_until_broken(int index, void *context) {
    struct racing *racing = context;
    (void)index;
    for (;;) {
        filch_future *f;
        int rc = filch_submit(racing->executor, do_nothing, NULL, 0, 0, &f);
        if (rc == FILCH_EBROKEN) return;
        if (rc == 0) rc = finish(f);
        if (rc != 0 && rc != FILCH_EBROKEN) add(&racing->unknown, 1);
    }
}

Test(executor, submits_race_with_a_break) {
    int n = stress(100);
    for (int i = 0; i < n; i++) {
        struct breaking breaking = {1, 1, 0, 2};
        struct racing racing = {breaking_executor(&breaking, 2), 0};
        run_threads(3, submit_until_broken, &racing);
        ok(filch_executor_destroy(racing.executor));
        if (racing.unknown != 0) cr_assert_fail("round %d", i);
        if (breaking.calls < 2) cr_assert_fail("round %d did not break", i);
    }
}

static int submit_in_initializer(void *arg) {
    int *pointer = arg;
    filch_future *f = NULL;
    int rc = filch_submit(filch_current_executor(), count_one, &pointer, sizeof pointer, 0, &f);
    return rc == 0 ? finish(f) : rc;
}

Test(executor, initializer_may_submit_and_wait) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    int count = 0;
    options.max_workers = 1;
    options.initializer = submit_in_initializer;
    options.initializer_arg = &count;
    filch_executor *e = executor_with(options);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
        settle(e);
    }
    ok(filch_executor_destroy(e));
    cr_assert_eq(count, 1);
}

/* Other options ------------------------------------------------------------------------------- */

struct name {
    char text[16];
};
static int tell_name(void *arg, void *result) {
    (void)arg;
    return pthread_getname_np(pthread_self(), ((struct name *)result)->text, sizeof(struct name));
}
static struct name name_with(const char *prefix) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    struct name name;
    char copy[64];
    options.max_workers = 1;
    if (prefix != NULL) {
        snprintf(copy, sizeof copy, "%s", prefix);
        options.worker_name_prefix = copy;
    }
    filch_executor *e = executor_with(options);
    memset(copy, '?', sizeof copy - 1); /* it is copied */
    filch_future *f = submit_to(e, tell_name, NULL, 0, sizeof name);
    ok(filch_future_result(f, &name, FILCH_FOREVER));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
    return name;
}

Test(executor, workers_have_names) {
    cr_assert_str_eq(name_with(NULL).text, "filch-0");
    cr_assert_str_eq(name_with("solver").text, "solver-0");
    cr_assert_str_eq(name_with("").text, "-0");
    cr_assert_str_eq(name_with("a-very-long-prefix-indeed").text, "a-very-long-p-0");
}

struct cpus {
    cpu_set_t child, own;
};
static int tell_cpus(void *arg, void *result) {
    (void)arg;
    return sched_getaffinity(0, sizeof(cpu_set_t), result);
}
/* The other worker is started by this one, which is pinned. */
static int tell_cpus_of_both(void *arg, void *result) {
    struct cpus *cpus = result;
    filch_future *f;
    (void)arg;
    if (sched_getaffinity(0, sizeof cpus->own, &cpus->own) != 0) return 1;
    if (filch_submit(filch_current_executor(), tell_cpus, NULL, 0, sizeof(cpu_set_t), &f) != 0)
        return 2;
    while (!filch_future_done(f)) sched_yield(); /* not a wait, that would run it here */
    int rc = filch_future_result(f, &cpus->child, 0);
    filch_future_release(f);
    return rc;
}

Test(executor, pinned_workers_are_on_their_cpus) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    struct cpus cpus;
    cpu_set_t mine;
    options.max_workers = 2;
    options.pin = true;
    cr_assert_eq(sched_getaffinity(0, sizeof mine, &mine), 0);
    filch_executor *e = executor_with(options);
    filch_future *f = submit_to(e, tell_cpus_of_both, NULL, 0, sizeof cpus);
    ok(filch_future_result(f, &cpus, FILCH_FOREVER));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
    cr_assert_eq(CPU_COUNT(&cpus.own), 1);
    cr_assert_eq(CPU_COUNT(&cpus.child), 1);
    cr_assert_eq(CPU_EQUAL(&cpus.own, &cpus.child) != 0, CPU_COUNT(&mine) == 1);
    cpu_set_t after;
    cr_assert_eq(sched_getaffinity(0, sizeof after, &after), 0);
    cr_assert(CPU_EQUAL(&mine, &after), "the submitter is not pinned");
}

static int tell_stack_size(void *arg, void *result) {
    pthread_attr_t attributes;
    void *low;
    size_t *size = result;
    (void)arg;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 1;
    int rc = pthread_attr_getstack(&attributes, &low, size);
    pthread_attr_destroy(&attributes);
    return rc;
}
static size_t stack_with(size_t wanted) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    size_t size = 0;
    options.max_workers = 1;
    options.stack_size = wanted;
    filch_executor *e = executor_with(options);
    filch_future *f = submit_to(e, tell_stack_size, NULL, 0, sizeof size);
    ok(filch_future_result(f, &size, FILCH_FOREVER));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
    return size;
}

Test(executor, workers_have_the_stack_that_was_asked_for) {
    static const size_t sizes[] = {16384, 65536, 100000, (size_t)1 << 20, (size_t)32 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t size = stack_with(sizes[i]);
        cr_assert_geq(size, sizes[i]);
#if !defined(TEST_SANITIZE_THREAD) /* which gives each thread room for itself */
        cr_assert_leq(size, sizes[i] + 65536 + 65536, "%zu for %zu", size, sizes[i]);
#endif
    }
}

Test(executor, executors_come_and_go) {
    long before = filch__fault_live_blocks();
    int n = stress(200);
    for (int i = 0; i < n; i++) {
        filch_executor *e = executor_of(1 + i % 4);
        int count = 0, *pointer = &count;
        for (int k = 0; k < i % 7; k++)
            ok(filch_submit(e, count_one, &pointer, sizeof pointer, 0, NULL));
        ok(filch_executor_destroy(e));
        if (count != i % 7) cr_assert_fail("round %d", i);
    }
    cr_assert_eq(filch__fault_live_blocks(), before);
}
