/* races_test.c: two threads that do what does not go together, at the same moment, many times.
 *
 * Whoever wins, the outcome is one of those that the contract allows, and everybody is told the same.
 * FILCH_STRESS=N runs each N times as often.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"
#include <unistd.h>

TestSuite(conformance_races, .timeout = 60);

enum { TASKS = 20 };
static int rounds(void) {
    return rounds_of(100);
}

/* A group of tasks that raise their own number, with callbacks that are counted. */
struct numbered {
    struct shared runs;
    int number;
};
static int run_numbered(void *arg, void *result) {
    struct numbered *numbered = arg;
    (void)result;
    add(&((int *)shared_at(numbered->runs))[numbered->number], 1);
    return 0;
}
struct group {
    filch_executor *executor;
    filch_future *futures[TASKS];
    struct shared runs;
    struct hold hold;
    int called[TASKS], cancelled[TASKS], wrong;
};
static void note_called(filch_future *f, void *context) {
    if (filch_future_done(f)) add(context, 1);
}
/* All workers are held until let_run, so that what the racing threads do meets the start of the tasks. */
static struct group new_group(int workers) {
    struct group group = {.executor = make_executor(workers)};
    group.hold = (struct hold){shared_alloc(sizeof(int)), shared_alloc(sizeof(int))};
    for (int i = 0; i < workers; i++)
        ok(filch_submit(group.executor, stay, &group.hold, sizeof group.hold, 0, NULL));
    shared_wait(group.hold.reached, workers);
    group.runs = shared_alloc(TASKS * sizeof(int));
    return group;
}
static void submit_group(struct group *group) {
    struct numbered numbered = {group->runs, 0};
    for (int i = 0; i < TASKS; i++) {
        numbered.number = i;
        group->futures[i] = submit_to(group->executor, run_numbered, &numbered, sizeof numbered, 0);
        ok(filch_future_add_done_callback(group->futures[i], note_called, &group->called[i]));
    }
}
static void let_run(struct group *group) {
    shared_add(group->hold.open, 1);
}
/* Each has either run or been cancelled, and all agree on it. Ends the executor: then callbacks have run. */
static void check_group(struct group *group) {
    ok(filch_executor_destroy(group->executor));
    for (int i = 0; i < TASKS; i++) {
        bool cancelled = filch_future_cancelled(group->futures[i]);
        int runs = ((int *)shared_at(group->runs))[i];
        cr_assert_eq(finish(group->futures[i]), cancelled ? FILCH_ECANCELED : 0);
        cr_assert_eq(runs, cancelled ? 0 : 1, "task %d ran %d times", i, runs);
        cr_assert_eq(group->called[i], 1);
        cr_assert(cancelled || group->cancelled[i] == 0, "a cancel lied");
    }
    cr_assert_eq(group->wrong, 0);
}

static void cancel_all(int index, void *context) {
    struct group *group = context;
    if (index == 0) let_run(group);
    for (int i = 0; i < TASKS; i++) {
        int place = index % 2 ? TASKS - 1 - i : i;
        if (filch_future_cancel(group->futures[place])) add(&group->cancelled[place], 1);
    }
}

/* R-STATE-4, R-CANCEL-3: exactly one side wins. */
Test(conformance_races, cancel_against_start) {
    for (int round = 0; round < rounds(); round++) {
        struct group group = new_group(2);
        submit_group(&group);
        run_threads(2, cancel_all, &group);
        check_group(&group);
    }
}

static void cancel_held(int index, void *context) {
    cancel_all(index + 1, context);
}

/* R-CANCEL-1: both may be told that it is cancelled; the callbacks run once. */
Test(conformance_races, cancel_against_cancel) {
    for (int round = 0; round < rounds(); round++) {
        struct group group = new_group(1);
        submit_group(&group);
        run_threads(3, cancel_held, &group);
        for (int i = 0; i < TASKS; i++) cr_assert_eq(group.cancelled[i], 3);
        let_run(&group);
        check_group(&group);
    }
}

static void request_all(int index, void *context) {
    struct group *group = context;
    if (index == 0) let_run(group);
    for (int i = 0; i < TASKS; i++) {
        filch_future *f = group->futures[i];
        bool asked = filch_future_request_cancel(f);
        if (!asked && (!filch_future_done(f) || filch_future_cancelled(f))) add(&group->wrong, 1);
    }
}

/* R-CANCEL-4, R-CANCEL-6 */
Test(conformance_races, request_cancel_against_start_and_end) {
    for (int round = 0; round < rounds(); round++) {
        struct group group = new_group(2);
        submit_group(&group);
        run_threads(2, request_all, &group);
        check_group(&group);
    }
}

/* A wait whose time is over just when it completes: it says either, and then the truth. */
static void wait_shortly(int index, void *context) {
    struct group *group = context;
    if (index == 0) let_run(group);
    for (int i = 0; i < TASKS; i++) {
        filch_future *f = group->futures[i];
        int rc;
        do {
            rc = filch_future_result(f, NULL, 1 + 700 * (index + i % 5));
            if (rc != 0 && rc != FILCH_ETIMEDOUT) add(&group->wrong, 1);
        } while (rc == FILCH_ETIMEDOUT);
        if (!filch_future_done(f)) add(&group->wrong, 1);
    }
}

/* R-RESULT-4, R-MENDED-9 */
Test(conformance_races, complete_against_a_wait_that_times_out) {
    for (int round = 0; round < rounds(); round++) {
        struct group group = new_group(2);
        submit_group(&group);
        run_threads(3, wait_shortly, &group);
        check_group(&group);
    }
}

/* The same for sets. */
static void wait_shortly_for_all(int index, void *context) {
    struct group *group = context;
    filch_future *array[TASKS];
    ptrdiff_t done = 0, before = 0;
    if (index == 0) let_run(group);
    memcpy(array, group->futures, sizeof array);
    while (done < TASKS) {
        done = filch_wait(array, TASKS, 1 + 700 * index,
                          index % 2 ? FILCH_ALL_COMPLETED : FILCH_FIRST_ERROR);
        if (done < before) add(&group->wrong, 1);
        for (ptrdiff_t i = 0; i < done; i++)
            if (!filch_future_done(array[i])) add(&group->wrong, 1);
        before = done;
    }
}

/* R-WAIT-3, R-WAIT-1 */
Test(conformance_races, complete_against_a_wait_for_many_that_times_out) {
    for (int round = 0; round < rounds(); round++) {
        struct group group = new_group(2);
        submit_group(&group);
        run_threads(3, wait_shortly_for_all, &group);
        check_group(&group);
    }
}

/* Some read to the end, some stop early, while they complete and are cancelled. */
static void iterate(int index, void *context) {
    struct group *group = context;
    filch_completions *it = NULL;
    filch_future *f = NULL;
    int given = 0;
    if (index == 0) cancel_all(0, group);
    if (filch_as_completed(group->futures, TASKS, FILCH_FOREVER, &it) != 0) {
        add(&group->wrong, 1);
        return;
    }
    int most = index == 1 ? TASKS / 2 : TASKS + 1;
    while (given < most && filch_completions_next(it, &f) == 0) {
        if (!filch_future_done(f)) add(&group->wrong, 1);
        given++;
    }
    if (given != (index == 1 ? TASKS / 2 : TASKS)) add(&group->wrong, 1);
    filch_completions_destroy(it);
}

/* R-COMPLETED-1, R-COMPLETED-7 */
Test(conformance_races, complete_and_cancel_against_as_completed) {
    for (int round = 0; round < rounds(); round++) {
        struct group group = new_group(2);
        submit_group(&group);
        run_threads(3, iterate, &group);
        check_group(&group);
    }
}

enum { CALLBACKS = 50 };
struct adding {
    filch_future *future;
    struct hold hold;
    int called, failed;
};
static void add_callbacks(int index, void *context) {
    struct adding *adding = context;
    if (index == 0) shared_add(adding->hold.open, 1);
    for (int i = 0; i < CALLBACKS; i++)
        if (filch_future_add_done_callback(adding->future, note_called, &adding->called) != 0)
            add(&adding->failed, 1);
}

/* R-CALLBACK-1, R-CALLBACK-3: each runs once, on one side or the other. */
Test(conformance_races, callback_added_while_it_completes) {
    for (int round = 0; round < rounds(); round++) {
        filch_executor *e = make_executor(1);
        struct held busy = hold_worker(e); /* its end is what they meet */
        struct adding adding = {busy.future, busy.hold, 0, 0};
        run_threads(3, add_callbacks, &adding);
        ok(filch_executor_destroy(e));
        cr_assert(adding.failed == 0 && adding.called == 3 * CALLBACKS);
        filch_future_release(adding.future);
    }
}

static void add_and_cancel(int index, void *context) {
    struct adding *adding = context;
    if (index == 0)
        (void)filch_future_cancel(adding->future);
    else
        add_callbacks(index, context);
}

/* R-CALLBACK-1, R-CALLBACK-2 */
Test(conformance_races, callback_added_while_it_is_cancelled) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    for (int round = 0; round < rounds(); round++) {
        struct adding adding = {submit_int(e, square, 3), busy.hold, 0, 0};
        run_threads(3, add_and_cancel, &adding);
        cr_assert(adding.failed == 0 && adding.called == 2 * CALLBACKS);
        filch_future_release(adding.future);
    }
    let_go(&busy);
    ok(filch_executor_destroy(e));
}

struct refusal {
    filch_executor *executor;
    unsigned flags;
    struct shared runs;
    int accepted, cancelled, wrong;
};
static void submit_against_shutdown(int index, void *context) {
    struct refusal *refusal = context;
    if (index == 0) {
        linger(20);
        if (filch_executor_shutdown(refusal->executor, refusal->flags) != 0)
            add(&refusal->wrong, 1);
        return;
    }
    for (;;) {
        filch_future *f = NULL;
        int rc =
            filch_submit(refusal->executor, add_one, &refusal->runs, sizeof refusal->runs, 0, &f);
        if (rc == FILCH_ESHUTDOWN) return;
        add(&refusal->accepted, 1);
        rc = filch_future_result(f, NULL, FILCH_FOREVER);
        if (rc == FILCH_ECANCELED && refusal->flags & FILCH_CANCEL_PENDING)
            add(&refusal->cancelled, 1);
        else if (rc != 0)
            add(&refusal->wrong, 1);
        filch_future_release(f);
    }
}
static void check_refusal(unsigned flags) {
    for (int round = 0; round < rounds() / 2; round++) {
        struct refusal refusal = {make_executor(2), flags, shared_alloc(sizeof(int)), 0, 0, 0};
        run_threads(3, submit_against_shutdown, &refusal);
        ok(filch_executor_destroy(refusal.executor));
        cr_assert_eq(refusal.wrong, 0);
        cr_assert_eq(shared_read(refusal.runs), refusal.accepted - refusal.cancelled);
    }
}

/* R-SHUTDOWN-6: either refused or run. */
Test(conformance_races, submit_against_shutdown) {
    check_refusal(0);
}
/* R-SHUTDOWN-6 */
Test(conformance_races, submit_against_shutdown_that_waits) {
    check_refusal(FILCH_WAIT);
}
/* R-SHUTDOWN-6, R-SHUTDOWN-3 */
Test(conformance_races, submit_against_shutdown_that_cancels) {
    check_refusal(FILCH_CANCEL_PENDING);
}

static void cancel_group(void *context) {
    cancel_all(0, context);
}

/* R-SHUTDOWN-3, R-STATE-4 */
Test(conformance_races, cancel_against_shutdown_that_cancels) {
    for (int round = 0; round < rounds(); round++) {
        struct group group = new_group(1);
        submit_group(&group);
        pthread_t thread = thread_start(cancel_group, &group);
        ok(filch_executor_shutdown(group.executor, FILCH_CANCEL_PENDING));
        for (int i = 0; i < TASKS; i++)
            /* In this order: one that runs at the first look may have ended at the second. */
            cr_assert(filch_future_running(group.futures[i]) || filch_future_done(group.futures[i]),
                      "nothing is pending");
        thread_finish(thread);
        check_group(&group);
    }
}

static void release_last(filch_future *f, void *context) {
    filch_future_release(f);
    add(context, 1);
}

/* R-CALLBACK-4: the last reference is given back there. */
Test(conformance_races, last_reference_released_in_a_callback) {
    for (int round = 0; round < rounds(); round++) {
        filch_executor *e = make_executor(2);
        int released = 0, called = 0;
        for (int i = 0; i < TASKS; i++) {
            filch_future *f = submit_int(e, square, i);
            ok(filch_future_add_done_callback(f, note_called, &called));
            ok(filch_future_add_done_callback(f, release_last, &released));
        }
        ok(filch_executor_destroy(e));
        cr_assert(released == TASKS && called == TASKS);
    }
}

static void shut_down_in_callback(filch_future *f, void *context) {
    struct refusal *refusal = context;
    (void)f;
    if (filch_executor_shutdown(refusal->executor, FILCH_CANCEL_PENDING) != 0)
        add(&refusal->wrong, 1);
}

/* R-CALLBACK-4, R-SHUTDOWN-5 */
Test(conformance_races, shutdown_in_callbacks_of_two_tasks_at_once) {
    for (int round = 0; round < rounds(); round++) {
        struct group group = new_group(2);
        struct refusal refusal = {.executor = group.executor};
        submit_group(&group);
        let_run(&group);
        ok(filch_future_add_done_callback(group.futures[2], shut_down_in_callback, &refusal));
        ok(filch_future_add_done_callback(group.futures[3], shut_down_in_callback, &refusal));
        for (int i = 0; i < TASKS; i++)
            (void)filch_future_result(group.futures[i], NULL, FILCH_FOREVER);
        check_group(&group);
        cr_assert_eq(refusal.wrong, 0);
    }
}

static void release_some(int index, void *context) {
    struct group *group = context;
    if (index == 0) {
        let_run(group);
        if (filch_executor_destroy(group->executor) != 0) add(&group->wrong, 1);
        return;
    }
    for (int i = index - 1; i < TASKS; i += 2) {
        if (i % 3 == 0 && filch_future_result(group->futures[i], NULL, FILCH_FOREVER) != 0)
            add(&group->wrong, 1);
        filch_future_release(group->futures[i]);
    }
}

/* R-FUTURE-3, R-MENDED-9 */
Test(conformance_races, executor_destroyed_with_futures_alive) {
    for (int round = 0; round < rounds(); round++) {
        struct group group = new_group(2);
        submit_group(&group);
        run_threads(3, release_some, &group);
        cr_assert_eq(group.wrong, 0);
        for (int i = 0; i < TASKS; i++) {
            cr_assert_eq(((int *)shared_at(group.runs))[i], 1);
            cr_assert_eq(group.called[i], 1);
        }
    }
}

/* Promises ---------------------------------------------------------------------------------------- */

struct contest {
    filch_future *promise;
    int won[4], refused, wrong;
};
/* 0 and 1 set, 2 fails it, 3 cancels. */
static void complete(int index, void *context) {
    struct contest *contest = context;
    int rc;
    if (index == 3) {
        contest->won[3] = filch_future_cancel(contest->promise);
        return;
    }
    rc = index == 2 ? filch_promise_fail(contest->promise, 5, "two")
                    : filch_promise_set(contest->promise, &index, sizeof index);
    if (rc == 0)
        contest->won[index] = 1;
    else if (rc == FILCH_ESTATE)
        add(&contest->refused, 1);
    else
        add(&contest->wrong, 1);
}

/* R-PROMISE-3, R-PROMISE-4: exactly one wins. */
Test(conformance_races, completions_and_cancel_of_a_promise) {
    for (int round = 0; round < 5 * rounds(); round++) {
        struct contest contest = {NULL, {0, 0, 0, 0}, 0, 0};
        int called = 0, value = 77;
        ok(filch_promise(sizeof(int), &contest.promise));
        ok(filch_future_add_done_callback(contest.promise, note_called, &called));
        run_threads(4, complete, &contest);
        int *won = contest.won, winners = won[0] + won[1] + won[2] + won[3];
        cr_assert(winners == 1 && contest.wrong == 0 && contest.refused == 3 - !won[3]);
        int rc = filch_future_result(contest.promise, &value, 0);
        cr_assert_eq(rc, won[3] ? FILCH_ECANCELED : won[2] ? 5 : 0);
        cr_assert_eq(value, won[0] ? 0 : won[1] ? 1 : 77);
        cr_assert_eq(called, 1);
        filch_future_release(contest.promise);
    }
}
