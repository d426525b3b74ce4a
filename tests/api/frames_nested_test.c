/* frames_nested_test.c: forked calls among everything else that a task may do: shutdown, blocking calls, newer tasks,
 * fork(2), callbacks, requests to end.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <alloca.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(frames_nested, .timeout = 60);

static int begun, may_end;

static int nothing(void *arg, void *result) {
    (void)arg, (void)result;
    return 0;
}

/* A call that another worker has begun, and that ends when it is told. */
static int begins_and_waits(void *arg, void *result) {
    (void)arg, (void)result;
    add(&begun, 1);
    wait_for_count(&may_end, 1);
    return 0;
}
static int forks_and_joins(void *arg, void *result) {
    filch_frame f;
    (void)arg, (void)result;
    filch_fork(&f, begins_and_waits, NULL, NULL);
    wait_for_count(&begun, 1);
    return filch_join(&f);
}

Test(frames_nested, a_shutdown_that_cancels_does_not_wait_for_a_stolen_call) {
    filch_executor *e = executor_of(2);
    filch_future *f = submit_to(e, forks_and_joins, NULL, 0, 0);
    wait_for_count(&begun, 1);
    ok(filch_executor_shutdown(e, FILCH_CANCEL_PENDING));
    cr_assert_not(filch_future_done(f));
    add(&may_end, 1);
    ok(filch_future_result(f, NULL, FILCH_FOREVER));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* The stolen call waits for what only a task from outside brings: there must be a worker for that. */
static filch_future *promise;
static int awaits_promise(void *arg, void *result) {
    (void)arg, (void)result;
    add(&begun, 1);
    return filch_future_result(promise, NULL, FILCH_FOREVER);
}
static int joins_while_blocking(void *arg, void *result) {
    filch_frame f;
    (void)arg, (void)result;
    filch_fork(&f, awaits_promise, NULL, NULL);
    wait_for_count(&begun, 1);
    filch_blocking_begin();
    int rc = filch_join(&f);
    return rc != 0 ? rc : filch_blocking_end();
}
static int keeps_promise(void *arg, void *result) {
    (void)arg, (void)result;
    return filch_promise_set(promise, NULL, 0);
}

Test(frames_nested, a_join_between_blocking_begin_and_end) {
    ok(filch_promise(0, &promise));
    filch_executor *e = executor_of(2);
    filch_future *f = submit_to(e, joins_while_blocking, NULL, 0, 0);
    wait_for_count(&begun, 1);
    usleep(50000); /* both are parked by now, most likely */
    ok(filch_submit(e, keeps_promise, NULL, 0, 0, NULL));
    ok(filch_future_result(f, NULL, FILCH_FOREVER));
    filch_future_release(f);
    filch_future_release(promise);
    ok(filch_executor_destroy(e));
}

/* A reduction whose rest does not run. */
struct value {
    unsigned magic;
    long sum;
};
enum { MAGIC = 0xabcd };
static const struct value identity = {MAGIC, 0};
static filch_future *own;
static int known, unmade;

static int sums_and_requests(int64_t begin, int64_t end, void *context, void *value) {
    (void)context;
    for (int64_t i = begin; i < end; i++) {
        ((struct value *)value)->sum++;
        if (i == 1000) filch_future_request_cancel(own);
    }
    return 0;
}
static void combines(void *left, const void *right, void *context) {
    const struct value *r = right;
    (void)context;
    if (r->magic != MAGIC) add(&unmade, 1);
    ((struct value *)left)->sum += r->sum;
}
static int reduces(void *arg, void *result) {
    filch_reduction r = FILCH_REDUCTION_INIT;
    struct value value;
    (void)arg, (void)result;
    wait_for_count(&known, 1);
    r.size = sizeof value;
    r.identity = &identity;
    r.body = sums_and_requests;
    r.combine = combines;
    return filch_parallel_reduce(filch_current_executor(), 0, 1000000, 100, &r, &value);
}

Test(frames_nested, a_reduction_that_is_asked_to_end_puts_in_no_value_that_was_not_made) {
    for (int workers = 1; workers <= 3; workers++) {
        filch_executor *e = executor_of(workers);
        known = 0;
        ok(filch_submit(e, reduces, NULL, 0, 0, &own));
        add(&known, 1);
        cr_assert_eq(filch_future_result(own, NULL, FILCH_FOREVER), FILCH_ECANCELED);
        cr_assert_eq(unmade, 0);
        filch_future_release(own);
        ok(filch_executor_destroy(e));
    }
}

/* Each task submits the next between its fork and its join, which runs it. */
static int links;
static int next_link(void *arg, void *result) {
    filch_frame f;
    (void)arg, (void)result;
    if (add(&links, -1) < 0) return filch_promise_set(promise, NULL, 0);
    filch_fork(&f, nothing, NULL, NULL);
    int rc = filch_submit(filch_current_executor(), next_link, NULL, 0, 0, NULL);
    return rc | filch_join(&f);
}

Test(frames_nested, a_chain_of_newer_tasks_needs_no_endless_stack) {
    ok(filch_promise(0, &promise));
    filch_executor *e = executor_of(1);
    links = 100000;
    ok(filch_submit(e, next_link, NULL, 0, 0, NULL));
    ok(filch_future_result(promise, NULL, FILCH_FOREVER));
    filch_future_release(promise);
    ok(filch_executor_destroy(e));
}

/* fork(2) in a newer task, while the forked call has ended elsewhere: the child has its result. */
static int child_code = -1;
static int gives_65(void *arg, void *result) {
    (void)arg;
    *(int *)result = 7;
    add(&begun, 1);
    return 65;
}
static int forks_a_child(void *arg, void *result) {
    (void)arg, (void)result;
    pid_t child = child_start();
    if (child == 0) return 0;
    child_code = child_finish(child);
    return 0;
}
static int joins_in_both(void *arg, void *result) {
    filch_frame f;
    int value = 0;
    pid_t parent = getpid();
    struct gate gate = {0, 0}, *pointer = &gate;
    filch_future *holder = NULL;
    (void)arg, (void)result;
    filch_fork(&f, gives_65, NULL, &value);
    wait_for_count(&begun, 1);
    /* The thief has told its end, and is at another task. */
    ok(filch_submit(filch_current_executor(), hold, &pointer, sizeof pointer, 0, &holder));
    flag_wait(&gate.reached);
    ok(filch_submit(filch_current_executor(), forks_a_child, NULL, 0, 0, NULL));
    int rc = filch_join(&f);
    if (getpid() != parent) _exit(rc == 65 && value == 7 ? 0 : 1);
    flag_raise(&gate.open);
    ok(filch_future_result(holder, NULL, FILCH_FOREVER));
    filch_future_release(holder);
    return rc == 65 && value == 7 ? 0 : 1;
}

/* The thief may take the newer task as well; in most rounds it does not. */
Test(frames_nested, fork_in_a_newer_task_of_a_stolen_call) {
    for (int round = 0; round < 5; round++) {
        filch_executor *e = executor_of(2);
        begun = 0;
        child_code = -1;
        filch_future *f = submit_to(e, joins_in_both, NULL, 0, 0);
        ok(filch_future_result(f, NULL, FILCH_FOREVER));
        filch_future_release(f);
        ok(filch_executor_destroy(e));
        cr_assert_eq(child_code, 0);
    }
}

/* A callback that forks, in a task that was asked to end: its call is no part of that. */
static int callback_code = -1, callback_runs;
static int notes(void *arg, void *result) {
    (void)arg, (void)result;
    add(&callback_runs, 1);
    return 0;
}
static void forks_in_callback(filch_future *f, void *context) {
    filch_frame frame;
    (void)f, (void)context;
    filch_fork(&frame, notes, NULL, NULL);
    callback_code = filch_join(&frame);
}
static int is_asked_to_end(void *arg, void *result) {
    filch_future *n;
    filch_frame f;
    (void)arg, (void)result;
    wait_for_count(&known, 1);
    ok(filch_submit(filch_current_executor(), nothing, NULL, 0, 0, &n));
    filch_fork(&f, nothing, NULL, NULL);
    ok(filch_future_add_done_callback(n, forks_in_callback, NULL));
    filch_future_request_cancel(own);
    ok(filch_future_result(n, NULL, FILCH_FOREVER));
    filch_future_release(n);
    return filch_join(&f);
}

Test(frames_nested, what_a_callback_forks_is_no_part_of_the_task_below) {
    filch_executor *e = executor_of(1);
    known = 0;
    ok(filch_submit(e, is_asked_to_end, NULL, 0, 0, &own));
    add(&known, 1);
    cr_assert_eq(filch_future_result(own, NULL, FILCH_FOREVER), FILCH_ECANCELED);
    cr_assert_eq(callback_code, 0);
    cr_assert_eq(callback_runs, 1);
    filch_future_release(own);
    ok(filch_executor_destroy(e));
}

/* filch_run, where the wait for its task gives up: the task does not use the caller's memory after the return. */
static filch_executor *other;
static int notes_in(void *arg, void *result) {
    (void)result;
    add(arg, 1);
    return 0;
}
static int runs_elsewhere(void *arg, void *result) {
    size_t amount = *(size_t *)arg;
    volatile char *block = alloca(amount);
    int *runs = result;
    block[0] = 1;
    ok(filch_submit(filch_current_executor(), nothing, NULL, 0, 0, NULL)); /* needs a spare */
    int rc = filch_run(other, notes_in, &callback_runs, NULL);
    *runs = read_int(&callback_runs);
    return rc == FILCH_EAGAIN && block[0] == 1 ? 0 : 1;
}

Test(frames_nested, a_run_that_cannot_be_waited_for_does_not_start_later) {
    enum { STACK = 1 << 20 };
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    size_t amount = STACK - (48 << 10);
    struct gate gate;
    int runs = -1;
    options.max_workers = 1;
    options.max_spares = -1;
    options.stack_size = STACK;
    filch_executor *e = executor_with(options);
    other = executor_of(1);
    filch_future *occupied = occupy(other, &gate);
    filch_future *f = submit_to(e, runs_elsewhere, &amount, sizeof amount, sizeof runs);
    ok(filch_future_result(f, &runs, FILCH_FOREVER));
    cr_assert_eq(runs, 0);
    open_gate(&gate, occupied);
    filch_future_release(f);
    ok(filch_executor_destroy(other));
    ok(filch_executor_destroy(e));
    cr_assert_eq(read_int(&callback_runs), 0);
}

/* The same where its task runs already: in a callback of a task for which it waits. */
static int in_run, ended_in_run = -1, run_code;
static int awaits_own(void *arg, void *result) {
    (void)arg, (void)result;
    int rc = filch_future_result(own, NULL, FILCH_FOREVER);
    add(&in_run, 1);
    return rc;
}
static void runs_in_callback(filch_future *f, void *context) {
    (void)f, (void)context;
    run_code = filch_run(filch_current_executor(), awaits_own, NULL, NULL);
    ended_in_run = read_int(&in_run);
}
static int keeps_promise_with_callback(void *arg, void *result) {
    (void)arg, (void)result;
    wait_for_count(&known, 1);
    ok(filch_future_add_done_callback(promise, runs_in_callback, NULL));
    return filch_promise_set(promise, NULL, 0);
}

Test(frames_nested, a_run_in_a_circle_waits_for_its_task) {
    ok(filch_promise(0, &promise));
    filch_executor *e = executor_of(2);
    known = 0;
    ok(filch_submit(e, keeps_promise_with_callback, NULL, 0, 0, &own));
    struct stopper *submitted = stop_at("crew.started");
    struct stopper *parked = stop_at("future.sleep");
    add(&known, 1);
    stopper_wait_reached(
        submitted);               /* the run has started the second worker, which takes its task */
    stopper_wait_reached(parked); /* and that waits: the circle is closed by the run */
    stopper_release(submitted);
    stopper_release(parked);
    ok(filch_future_result(own, NULL, FILCH_FOREVER));
    cr_assert_eq(ended_in_run, 1);
    cr_assert_eq(run_code, FILCH_EDEADLK);
    filch_future_release(own);
    filch_future_release(promise);
    ok(filch_executor_destroy(e));
}

/* What a stolen call submits, which its forker runs while it waits for another (leapfrogging), is no descendant of the
 * task that waits: it must not run on top of that. There are two workers and no spares. */
static int waiting_index, inner_index, queued, inner_ran, waits;
static int foreign_ran, foreign_on_top, own_ran, own_on_top;
static int note_foreign(void *arg, void *result) {
    (void)arg, (void)result;
    if (filch_worker_index() == waiting_index && read_int(&waits) == 1) add(&foreign_on_top, 1);
    add(&foreign_ran, 1);
    return 0;
}
static int note_own(void *arg, void *result) {
    (void)arg, (void)result;
    if (filch_worker_index() == waiting_index) add(&own_on_top, 1);
    add(&own_ran, 1);
    return 0;
}
static int inner(void *arg, void *result) {
    (void)arg, (void)result;
    inner_index = filch_worker_index();
    wait_for_count(&queued, 1);
    int rc = filch_submit(filch_current_executor(), note_foreign, NULL, 0, 0, NULL);
    add(&inner_ran, 1);
    return rc;
}
static int outer(void *arg, void *result) {
    filch_frame f;
    (void)arg, (void)result;
    filch_fork(&f, inner, NULL, NULL);
    add(&begun, 1);
    wait_for_count(&inner_ran, 1); /* the worker that joins this call takes it */
    return filch_join(&f);
}
static int leapfrogs_and_waits(void *arg, void *result) {
    struct gate *held = *(struct gate **)arg;
    filch_frame f;
    (void)result;
    waiting_index = filch_worker_index();
    filch_fork(&f, outer, NULL, NULL);
    wait_for_count(&begun, 1);
    int rc = filch_join(&f);
    flag_wait(&held->reached); /* the other worker is at another task */
    add(&waits, 1);
    rc |= filch_submit(filch_current_executor(), note_own, NULL, 0, 0, NULL);
    rc |= filch_future_result(promise, NULL, FILCH_FOREVER);
    add(&waits, 1);
    return rc;
}

Test(frames_nested, what_a_leapfrogged_call_submits_does_not_run_on_top) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    struct gate held = {0, 0};
    options.max_workers = 2;
    options.max_spares = -1;
    ok(filch_promise(0, &promise));
    filch_executor *e = executor_with(options);
    filch_future *f = submit_pointer(e, leapfrogs_and_waits, &held);
    wait_for_count(&begun, 1);
    filch_future *holder = submit_pointer(e, hold, &held);
    add(&queued, 1); /* the other worker finds the holder before what is submitted from now on */
    wait_for_count(&own_ran, 1);
    open_gate(&held, holder);
    wait_for_count(&foreign_ran, 1);
    ok(filch_promise_set(promise, NULL, 0));
    cr_assert_eq(finish(f), 0);
    filch_future_release(promise);
    ok(filch_executor_destroy(e));
    cr_assert_eq(inner_index, waiting_index);
    cr_assert_eq(own_on_top, 1);
    cr_assert_eq(foreign_on_top, 0);
}

/* The sentinel, which has nothing to watch since nobody is awake, is about to sleep as all do, when a task forks and
 * waits for its call: that call is watched all the same. On one CPU, where forks wake nobody who is not. */
static int forks_and_joins_nothing(void *arg, void *result) {
    filch_frame f;
    (void)arg, (void)result;
    filch_fork(&f, nothing, NULL, NULL);
    return filch_join(&f);
}
static int begins(void *arg, void *result) {
    (void)arg, (void)result;
    add(&begun, 1);
    return 0;
}
static int forks_and_waits(void *arg, void *result) {
    filch_frame f;
    (void)arg, (void)result;
    filch_fork(&f, begins, NULL, NULL);
    add(&known, 1);
    wait_for_count(&begun, 1);
    return filch_join(&f);
}
static void use_one_cpu(void) {
    cpu_set_t set;
    int cpu = 0;
    cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
    while (!CPU_ISSET(cpu, &set)) cpu++;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    cr_assert_eq(sched_setaffinity(0, sizeof set, &set), 0);
}

Test(frames_nested, a_fork_while_the_sentinel_gives_up_is_watched, .timeout = 10) {
    struct gate gate;
    use_one_cpu();
    filch_executor *e = executor_of(2);
    filch_future *occupied =
        occupy(e, &gate); /* on the first worker, which is the first to be woken later */
    struct stopper *stands = stop_at("idle.sentinel.stands");
    cr_assert_eq(finish(submit_to(e, forks_and_joins_nothing, NULL, 0, 0)), 0);
    stopper_wait_reached(stands); /* the second worker */
    struct stopper *over = stop_at("idle.sentinel.over");
    stopper_release(stands);
    open_gate(&gate, occupied);
    stopper_wait_reached(over);
    filch_future *f = submit_to(e, forks_and_waits, NULL, 0, 0);
    wait_for_count(&known, 1);
    stopper_release(over);
    cr_assert_eq(finish(f), 0);
    ok(filch_executor_destroy(e));
}

/* exit() in a call that another worker has taken, while its forker waits for it. */
static void notes_park(void *context) {
    add(context, 1);
}
static int exits(void *arg, void *result) {
    (void)arg, (void)result;
    add(&begun, 1);
    wait_for_count(&known, 1); /* its forker is parked */
    exit(7);
}
static int forks_what_exits(void *arg, void *result) {
    filch_frame f;
    (void)arg, (void)result;
    filch_fork(&f, exits, NULL, NULL);
    wait_for_count(&begun, 1);
    return filch_join(&f);
}
static void exit_in_a_call(int workers) {
    pid_t child = child_start();
    if (child == 0) {
        filch_executor *e = executor_of(workers);
        point_call("wait.blocked", notes_park, &known);
        (void)filch_future_result(submit_to(e, forks_what_exits, NULL, 0, 0), NULL, FILCH_FOREVER);
        pause();
    }
    cr_assert_eq(child_finish(child), 7, "%d workers", workers);
}

Test(frames_nested, exit_in_a_stolen_call) {
    exit_in_a_call(2);
    exit_in_a_call(3);
}

/* Three that wait for each other, one of them in a join: a task joins a call, which awaits a task, which awaits the
 * first. */
static int circle_codes[2], in_circle;
static int awaits_first(void *arg, void *result) {
    (void)arg, (void)result;
    add(&in_circle, 1);
    wait_for_count(&in_circle, 2);
    return circle_codes[1] = filch_future_result(own, NULL, FILCH_FOREVER);
}
static int awaits_third(void *arg, void *result) {
    filch_future *third = NULL;
    (void)result;
    wait_for_count(&known, 1);
    int rc = filch_submit(filch_current_executor(), awaits_first, NULL, 0, 0, &third);
    if (rc != 0) return rc;
    wait_for_count(&in_circle, 1); /* it runs on a third worker */
    add(&begun, 1);
    add(&in_circle, 1);
    circle_codes[0] = filch_future_result(third, NULL, FILCH_FOREVER);
    filch_future_release(third);
    (void)arg;
    return circle_codes[0];
}
static int joins_in_circle(void *arg, void *result) {
    filch_frame f;
    (void)arg, (void)result;
    filch_fork(&f, awaits_third, NULL, NULL);
    wait_for_count(&begun, 1);
    return filch_join(&f);
}

Test(frames_nested, a_circle_through_a_join_is_found) {
    filch_executor *e = executor_of(3);
    known = 0;
    ok(filch_submit(e, joins_in_circle, NULL, 0, 0, &own));
    add(&known, 1);
    int rc = filch_future_result(own, NULL, FILCH_FOREVER);
    cr_assert_eq(rc, FILCH_EDEADLK);
    ok(filch_executor_destroy(e));
    filch_future_release(
        own); /* not before: the last of the circle may just be waking up in its wait for it */
    /* One of them has found it, and the other has it from that one; the join has waited. */
    cr_assert_eq(circle_codes[0], FILCH_EDEADLK);
    cr_assert_eq(circle_codes[1], FILCH_EDEADLK);
}
