/* executors_test.c: workers on demand, the order of tasks, counters, initializers.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"
#include <unistd.h>

TestSuite(conformance_executors, .timeout = 30);

/* R-EXECUTOR-2: work is finished, and all memory given back. */
Test(conformance_executors, destroy_finishes_the_work) {
    struct shared runs = shared_alloc(sizeof(int));
    for (int round = 0; round < 10; round++) {
        filch_executor *e = make_executor(1 + round % 3);
        filch_future *f = submit_shared(e, add_one, runs);
        for (int i = 1; i < 20; i++) ok(filch_submit(e, add_one, &runs, sizeof runs, 0, NULL));
        ok(filch_executor_destroy(e));
        cr_assert(filch_future_done(f) && shared_read(runs) == 20 * (round + 1));
        filch_future_release(f);
    }
    ok(filch_executor_destroy(make_executor(4)));
}

/* R-EXECUTOR-3 */
Test(conformance_executors, an_auto_executor_ends_with_its_scope) {
    struct shared runs = shared_alloc(sizeof(int));
    {
        FILCH_AUTO_EXECUTOR(e);
        e = make_executor(2);
        for (int i = 0; i < 20; i++) ok(filch_submit(e, add_one, &runs, sizeof runs, 0, NULL));
    }
    cr_assert_eq(shared_read(runs), 20);
    {
        FILCH_AUTO_EXECUTOR(none);
        cr_assert_null(none);
    }
}

/* R-EXECUTOR-4 */
Test(conformance_executors, two_executors_do_not_know_each_other) {
    filch_executor *a = make_executor(1), *b = make_executor(1);
    struct held busy = hold_worker(a);
    cr_assert_eq(finish(submit_int(b, square, 2)), 0, "although the other has no worker free");
    ok(filch_executor_shutdown(b, FILCH_WAIT));
    fails(FILCH_ESHUTDOWN, filch_submit(b, do_nothing, NULL, 0, 0, NULL));
    filch_future *f = submit_int(a, square, 3);
    let_go(&busy);
    cr_assert_eq(finish(f), 0);
    ok(filch_executor_destroy(b));
    cr_assert_eq(finish(submit_int(a, square, 3)), 0);
    ok(filch_executor_destroy(a));
}

/* Workers on demand ------------------------------------------------------------------------------- */

/* R-START-1, R-START-3, R-MENDED-8: a worker that counts as idle too late is noticed now and then. */
Test(conformance_executors, three_submits_each_awaited_leave_one_worker) {
    for (int round = 0; round < rounds_of(150); round++) {
        filch_executor *e = make_executor(4);
        cr_assert_eq(stats_of(e).workers_started, 0, "none before the first submit");
        for (int i = 0; i < 3; i++) cr_assert_eq(finish(submit_int(e, square, i)), 0);
        cr_assert_eq(stats_of(e).workers_started, 1, "round %d", round);
        ok(filch_executor_destroy(e));
    }
}

/* R-START-2 */
Test(conformance_executors, busy_workers_make_a_submit_start_another) {
    enum { MOST = 3 };
    filch_executor *e = make_executor(MOST);
    struct held held[MOST];
    for (int i = 0; i < MOST; i++) {
        held[i] = hold_worker(e);
        cr_assert_eq(stats_of(e).workers_started, (uint64_t)i + 1);
    }
    filch_future *f = submit_int(e, square, 2);
    fails(FILCH_ETIMEDOUT, filch_future_result(f, NULL, FILCH_MILLISECONDS(2)));
    cr_assert_eq(stats_of(e).workers_started, MOST, "and no more");
    for (int i = 0; i < MOST; i++) let_go(&held[i]);
    cr_assert_eq(finish(f), 0);
    ok(filch_executor_destroy(e));
}

/* R-START-1 */
Test(conformance_executors, a_submit_wakes_a_worker_that_sleeps) {
    filch_executor *e = make_executor(2);
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(finish(submit_int(e, square, 3)), 0);
        if (i % 4 != 0) continue;
        if (factory()->properties & SAME_MEMORY)
            settle(e);
        else
            usleep(1000); /* sleeps of other processes are not counted */
    }
    cr_assert_eq(stats_of(e).workers_started, 1);
    ok(filch_executor_destroy(e));
}

static int run_on_a_worker(void *arg, void *result) {
    shared_add(*(struct shared *)arg, 1);
    *(int *)result = filch_worker_index() >= 0 && filch_current_executor() != NULL;
    return 0;
}
static void wait_a_while(int index, void *context) {
    filch_future *f = context;
    (void)index;
    (void)filch_future_result(f, NULL, FILCH_MILLISECONDS(5));
    (void)filch_wait(&f, 1, FILCH_MILLISECONDS(1), FILCH_ALL_COMPLETED);
}

/* R-START-4 */
Test(conformance_executors, threads_that_wait_and_are_no_workers_run_nothing) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    struct shared runs = shared_alloc(sizeof(int));
    int on_a_worker = 0;
    filch_future *f = submit_to(e, run_on_a_worker, &runs, sizeof runs, sizeof on_a_worker);
    run_threads(4, wait_a_while, f);
    cr_assert(shared_read(runs) == 0 && !filch_future_running(f) && !filch_future_done(f));
    let_go(&busy);
    ok(filch_future_result(f, &on_a_worker, FILCH_FOREVER));
    cr_assert(on_a_worker && shared_read(runs) == 1);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

struct storm {
    filch_executor *executor;
    int lost;
};
static void submit_with_pauses(int index, void *context) {
    struct storm *storm = context;
    for (int i = 0; i < 60; i++) {
        filch_future *f = NULL;
        int rc = filch_submit(storm->executor, square, &i, sizeof i, sizeof i, &f);
        if (rc == 0) rc = filch_future_result(f, NULL, FILCH_FOREVER);
        if (rc != 0) add(&storm->lost, 1);
        filch_future_release(f);
        if (i % 10 == index) usleep(200); /* workers fall asleep in between */
    }
}

/* R-START-6: every one of them ends, or the test does not. */
Test(conformance_executors, no_task_is_left_behind_while_workers_sleep) {
    struct storm storm = {make_executor(2), 0};
    run_threads(3, submit_with_pauses, &storm);
    cr_assert_eq(storm.lost, 0);
    ok(filch_executor_destroy(storm.executor));
}

/* Order ------------------------------------------------------------------------------------------------ */

enum { ORDERED = 100 };
struct ordered {
    struct shared next, order;
    int number;
};
static int note_order(void *arg, void *result) {
    struct ordered *ordered = arg;
    int place = shared_add(ordered->next, 1) - 1;
    ((int *)shared_at(ordered->order))[place] = ordered->number;
    (void)result;
    return 0;
}
static struct ordered new_order(void) {
    return (struct ordered){shared_alloc(sizeof(int)), shared_alloc(ORDERED * sizeof(int)), 0};
}

/* R-ORDER-1 */
Test(conformance_executors, first_in_first_out_with_one_worker) {
    for (int late = 0; late < 2; late++) {
        filch_executor *e = make_executor(1);
        struct ordered ordered = new_order();
        struct held busy = hold_worker(e);
        for (int i = 0; i < ORDERED; i++) {
            if (late && i == ORDERED / 2) let_go(&busy); /* it runs while the rest comes */
            ordered.number = i;
            ok(filch_submit(e, note_order, &ordered, sizeof ordered, 0, NULL));
        }
        if (!late) let_go(&busy);
        ok(filch_executor_destroy(e));
        for (int i = 0; i < ORDERED; i++) cr_assert_eq(((int *)shared_at(ordered.order))[i], i);
    }
}

static int submit_in_order(void *arg, void *result) {
    struct ordered ordered = *(struct ordered *)arg;
    (void)result;
    for (int i = 0; i < ORDERED; i++) {
        ordered.number = i;
        int rc =
            filch_submit(filch_current_executor(), note_order, &ordered, sizeof ordered, 0, NULL);
        if (rc != 0) return rc;
    }
    return 0;
}

/* R-ORDER-2 */
Test(conformance_executors, what_a_worker_submits_starts_newest_first) {
    needs(OWN_QUEUES);
    filch_executor *e = make_executor(1);
    struct ordered ordered = new_order();
    cr_assert_eq(finish(submit_to(e, submit_in_order, &ordered, sizeof ordered, 0)), 0);
    ok(filch_executor_destroy(e));
    for (int i = 0; i < ORDERED; i++)
        cr_assert_eq(((int *)shared_at(ordered.order))[i], ORDERED - 1 - i);
}

struct selfish {
    struct shared stop, rounds;
};
static int submit_itself(void *arg, void *result) {
    struct selfish *selfish = arg;
    (void)result;
    shared_add(selfish->rounds, 1);
    if (shared_read(selfish->stop)) return 0;
    return filch_submit(filch_current_executor(), submit_itself, selfish, sizeof *selfish, 0, NULL);
}

/* R-ORDER-3 */
Test(conformance_executors, what_submits_itself_for_ever_starves_nobody) {
    for (int workers = 1; workers <= 2; workers++) {
        filch_executor *e = make_executor(workers);
        struct selfish selfish = {shared_alloc(sizeof(int)), shared_alloc(sizeof(int))};
        for (int i = 0; i < workers; i++)
            ok(filch_submit(e, submit_itself, &selfish, sizeof selfish, 0, NULL));
        shared_wait(selfish.rounds, 100);
        for (int i = 0; i < 3; i++) cr_assert_eq(finish(submit_int(e, square, i)), 0);
        shared_add(selfish.stop, 1);
        ok(filch_executor_destroy(e));
    }
}

/* Counters ---------------------------------------------------------------------------------------------- */

static void check_grown(const filch_stats *before, const filch_stats *now) {
    cr_assert_geq(now->submitted, before->submitted);
    cr_assert_geq(now->completed, before->completed);
    cr_assert_geq(now->cancelled, before->cancelled);
    cr_assert_geq(now->stolen, before->stolen);
    cr_assert_geq(now->steal_attempts, before->steal_attempts);
    cr_assert_geq(now->parked, before->parked);
    cr_assert_geq(now->woken, before->woken);
    cr_assert_geq(now->workers_started, before->workers_started);
}

/* R-STATS-1 */
Test(conformance_executors, counters_only_grow_and_add_up) {
    enum { TASKS = 40 };
    filch_executor *e = make_executor(2);
    struct held busy = hold_worker(e), second = hold_worker(e);
    filch_future *futures[TASKS];
    filch_stats before = stats_of(e);
    cr_assert(before.submitted == 2 && before.completed == 0 && before.cancelled == 0);
    for (int i = 0; i < TASKS; i++) futures[i] = submit_int(e, i % 2 ? square : return_code, i);
    for (int i = 0; i < TASKS; i += 4) cr_assert(filch_future_cancel(futures[i]));
    filch_stats middle = stats_of(e);
    check_grown(&before, &middle);
    cr_assert(middle.submitted == TASKS + 2 && middle.cancelled == TASKS / 4);
    let_go(&busy);
    let_go(&second);
    for (int i = 0; i < TASKS; i++) (void)finish(futures[i]);
    ok(filch_executor_shutdown(e, FILCH_WAIT));
    filch_stats end = stats_of(e);
    check_grown(&middle, &end);
    cr_assert_eq(end.submitted, TASKS + 2);
    cr_assert_eq(end.cancelled, TASKS / 4);
    cr_assert_eq(end.completed, TASKS + 2 - TASKS / 4, "failures are completed too");
    cr_assert_leq(end.woken, end.parked);
    ok(filch_executor_destroy(e));
}

/* Initializers ---------------------------------------------------------------------------------------------- */

static _Thread_local int initialized;
static int initialize(void *arg) {
    if (initialized++ != 0) return 1;
    shared_add(*(struct shared *)arg, 1);
    return 0;
}
static int was_initialized(void *arg, void *result) {
    (void)result;
    linger(20);
    (void)arg;
    return initialized == 1 ? 0 : 1;
}

/* R-OPTION-9 */
Test(conformance_executors, an_initializer_runs_once_in_each_worker_before_its_first_task) {
    enum { TASKS = 60 };
    struct shared calls = shared_alloc(sizeof(int));
    filch_executor *e = make_executor_with((struct wanted){3, initialize, &calls, sizeof calls});
    filch_future *futures[TASKS];
    for (int i = 0; i < TASKS; i++) futures[i] = submit_to(e, was_initialized, NULL, 0, 0);
    for (int i = 0; i < TASKS; i++) cr_assert_eq(finish(futures[i]), 0);
    ok(filch_executor_shutdown(e, FILCH_WAIT));
    cr_assert_leq(shared_read(calls), 3);
    cr_assert_eq((uint64_t)shared_read(calls), stats_of(e).workers_started);
    ok(filch_executor_destroy(e));
}
