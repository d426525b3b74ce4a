/* blocking_test.c: filch_blocking_begin and _end: others run in the place of a worker that blocks.
 *
 * That a test ends is mostly what it shows: without a spare the tasks would block for ever.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"

#include <unistd.h>

TestSuite(blocking, .timeout = 30);

/* Many tasks of which each waits until all have begun. */
struct party {
    int begun, together, most, codes;
    int guests;
    bool nested, forgets;
};

static int blocking_guest(void *arg, void *result) {
    struct party *party = *(struct party **)arg;
    (void)result;
    add(&party->codes, filch_blocking_begin());
    if (party->nested) add(&party->codes, filch_blocking_begin() + filch_blocking_end());
    add(&party->begun, 1);
    wait_for_count(&party->begun, party->guests);
    if (!party->forgets) add(&party->codes, filch_blocking_end());
    return 0;
}

static void hold_party(filch_executor *e, struct party *party) {
    filch_future *guests[64];
    party->begun = party->codes = 0;
    for (int i = 0; i < party->guests; i++) guests[i] = submit_pointer(e, blocking_guest, party);
    for (int i = 0; i < party->guests; i++) cr_assert_eq(finish(guests[i]), 0);
    cr_assert_eq(party->codes, 0);
}

Test(blocking, ten_tasks_on_two_workers_all_make_progress) {
    filch_executor *e = executor_of(2);
    struct party party = {.guests = 10};
    for (int i = 0; i < stress(20); i++) hold_party(e, &party);
    ok(filch_executor_destroy(e));
}

Test(blocking, ten_tasks_on_one_worker_all_make_progress) {
    filch_executor *e = executor_of(1);
    struct party party = {.guests = 10, .nested = true};
    for (int i = 0; i < stress(20); i++) hold_party(e, &party);
    ok(filch_executor_destroy(e));
}

Test(blocking, as_many_as_there_are_workers_and_spares) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 2;
    options.max_spares = 5;
    filch_executor *e = executor_with(options);
    struct party party = {.guests = 7};
    for (int i = 0; i < stress(20); i++) hold_party(e, &party);
    cr_assert_leq(stats_of(e).workers_started, 7);
    ok(filch_executor_destroy(e));
}

/* What the only worker blocks for is brought about by a task that comes later. */
static int block_for_flag(void *arg, void *result) {
    struct gate *gate = *(struct gate **)arg;
    (void)result;
    ok(filch_blocking_begin());
    flag_raise(&gate->reached);
    flag_wait(&gate->open);
    ok(filch_blocking_end());
    return 0;
}
static int open_it(void *arg, void *result) {
    (void)result;
    flag_raise(&(*(struct gate **)arg)->open);
    return 0;
}

Test(blocking, a_later_task_from_outside_runs) {
    filch_executor *e = executor_of(1);
    for (int i = 0; i < stress(50); i++) {
        struct gate gate = {0, 0};
        filch_future *blocked = submit_pointer(e, block_for_flag, &gate);
        flag_wait(&gate.reached);
        cr_assert_eq(finish(submit_pointer(e, open_it, &gate)), 0);
        cr_assert_eq(finish(blocked), 0);
    }
    ok(filch_executor_destroy(e));
}

/* The same, submitted by the worker itself, before and after it began. */
static int block_for_own(void *arg, void *result) {
    struct gate gates[2] = {{0, 0}, {0, 0}}, *first = &gates[0], *second = &gates[1];
    (void)arg;
    (void)result;
    int rc = filch_submit(filch_current_executor(), open_it, &first, sizeof first, 0, NULL);
    if (rc == 0) rc = filch_blocking_begin();
    if (rc == 0)
        rc = filch_submit(filch_current_executor(), open_it, &second, sizeof second, 0, NULL);
    if (rc != 0) return rc;
    flag_wait(&first->open);
    flag_wait(&second->open);
    return filch_blocking_end();
}

Test(blocking, own_tasks_run_elsewhere) {
    filch_executor *e = executor_of(1);
    for (int i = 0; i < stress(50); i++)
        cr_assert_eq(finish(submit_to(e, block_for_own, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(e));
}

/* Without spares nobody takes the place, and all still end. */
static int block_alone(void *arg, void *result) {
    struct party *party = *(struct party **)arg;
    (void)result;
    int rc = filch_blocking_begin();
    int now = add(&party->together, 1), most = read_int(&party->most);
    while (now > most && !filch_cas_acq_rel(&party->most, &most, now)) continue;
    usleep(100);
    add(&party->together, -1);
    return rc != 0 ? rc : filch_blocking_end();
}

static void check_limit(int max_workers, int max_spares, int limit) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = max_workers;
    options.max_spares = max_spares;
    filch_executor *e = executor_with(options);
    struct party party = {.most = 0};
    filch_future *futures[50];
    for (int i = 0; i < 50; i++) futures[i] = submit_pointer(e, block_alone, &party);
    for (int i = 0; i < 50; i++) cr_assert_eq(finish(futures[i]), 0);
    cr_assert_leq(party.most, limit);
    cr_assert_leq(stats_of(e).workers_started, (uint64_t)limit);
    cr_assert_eq(filch_executor_worker_limit(e), limit);
    ok(filch_executor_destroy(e));
}

Test(blocking, spares_keep_to_their_limit) {
    check_limit(1, -1, 1);
    check_limit(2, -1, 2);
    check_limit(1, 2, 3);
    check_limit(3, 1, 4);
}

/* Nobody runs in the place of a worker that does not block. */
static int watch(void *arg, void *result) {
    struct party *party = *(struct party **)arg;
    int now = add(&party->together, 1), most = read_int(&party->most);
    (void)result;
    while (now > most && !filch_cas_acq_rel(&party->most, &most, now)) continue;
    sched_yield();
    add(&party->together, -1);
    return 0;
}

static void check_that_one_runs(filch_executor *e) {
    struct party party = {.most = 0};
    filch_future *futures[300];
    settle(e);
    for (int i = 0; i < 300; i++) futures[i] = submit_pointer(e, watch, &party);
    for (int i = 0; i < 300; i++) cr_assert_eq(finish(futures[i]), 0);
    cr_assert_eq(party.most, 1, "%d at a time", party.most);
}

Test(blocking, afterwards_one_worker_runs) {
    filch_executor *e = executor_of(1);
    struct party party = {.guests = 10};
    for (int i = 0; i < 5; i++) {
        hold_party(e, &party);
        check_that_one_runs(e);
    }
    ok(filch_executor_destroy(e));
}

Test(blocking, a_forgotten_end_ends_with_the_task) {
    filch_executor *e = executor_of(1);
    struct party party = {.guests = 10, .forgets = true, .nested = true};
    for (int i = 0; i < 5; i++) {
        hold_party(e, &party);
        check_that_one_runs(e);
    }
    ok(filch_executor_destroy(e));
}

static void begin_in_callback(filch_future *future, void *context) {
    (void)future;
    add(context, filch_blocking_begin() == 0);
}

Test(blocking, a_forgotten_end_ends_with_the_callbacks) {
    filch_executor *e = executor_of(1);
    int called = 0;
    for (int i = 0; i < 5; i++) {
        struct gate gate;
        filch_future *f = occupy(e, &gate);
        ok(filch_future_add_done_callback(f, begin_in_callback, &called));
        open_gate(&gate, f);
        wait_for_count(&called, i + 1);
        check_that_one_runs(e);
    }
    ok(filch_executor_destroy(e));
}

/* An inner pair changes nothing: the place is free until the outer one ends. */
static int nested(void *arg, void *result) {
    struct gate *gate = *(struct gate **)arg;
    (void)result;
    ok(filch_blocking_begin());
    ok(filch_blocking_begin());
    ok(filch_blocking_end());
    flag_raise(&gate->reached);
    flag_wait(&gate->open);
    ok(filch_blocking_end());
    return filch_blocking_end();
}

Test(blocking, pairs_may_be_nested) {
    filch_executor *e = executor_of(1);
    struct gate gate = {0, 0};
    filch_future *f = submit_pointer(e, nested, &gate);
    flag_wait(&gate.reached);
    cr_assert_eq(finish(submit_pointer(e, open_it, &gate)), 0);
    cr_assert_eq(finish(f), FILCH_ESTATE, "the last end has no begin");
    ok(filch_executor_destroy(e));
}

static int end_too_much(void *arg, void *result) {
    (void)arg;
    *(int *)result = filch_blocking_end();
    return filch_last_error()[0] != '\0' ? 0 : 1;
}

Test(blocking, end_without_begin_says_so) {
    filch_executor *e = executor_of(1);
    int rc = 0;
    filch_future *f = submit_to(e, end_too_much, NULL, 0, sizeof rc);
    ok(filch_future_result(f, &rc, FILCH_FOREVER));
    cr_assert_eq(rc, FILCH_ESTATE);
    filch_future_release(f);
    check_that_one_runs(e);
    ok(filch_executor_destroy(e));
}

Test(blocking, outside_a_worker_it_does_nothing) {
    ok(filch_blocking_end());
    ok(filch_blocking_begin());
    ok(filch_blocking_end());
    ok(filch_blocking_end());
}

/* A wait between begin and end: the awaited task runs on top, and its own begin and end are its own. */
static int inner(void *arg, void *result) {
    struct party *party = *(struct party **)arg;
    int now = add(&party->together, 1);
    int rc = filch_blocking_end();
    sched_yield();
    add(&party->together, -1);
    *(int *)result = 7;
    return rc != FILCH_ESTATE ? 1 : now != 1 ? 2 : filch_blocking_begin();
}

static int wait_between(void *arg, void *result) {
    filch_future *f;
    int value = 0;
    ok(filch_blocking_begin());
    int rc = filch_submit(filch_current_executor(), inner, arg, sizeof(void *), sizeof value, &f);
    if (rc != 0) return rc;
    rc = filch_future_result(f, &value, FILCH_FOREVER);
    filch_future_release(f);
    *(int *)result = value;
    return rc != 0 ? rc : filch_blocking_end();
}

Test(blocking, a_wait_in_between_is_legal) {
    filch_executor *e = executor_of(1);
    for (int i = 0; i < stress(50); i++) {
        struct party party = {.most = 0};
        int value = 0;
        filch_future *f =
            submit_to(e, wait_between, &(struct party *){&party}, sizeof(void *), sizeof value);
        ok(filch_future_result(f, &value, FILCH_FOREVER));
        cr_assert_eq(value, 7);
        filch_future_release(f);
    }
    check_that_one_runs(e);
    ok(filch_executor_destroy(e));
}

/* Indices of those that run at the same time differ, and are below the limit. */
struct indices {
    struct party party;
    int taken[16];
    int wrong;
};
static int take_index(void *arg, void *result) {
    struct indices *x = *(struct indices **)arg;
    int index = filch_worker_index();
    (void)result;
    ok(filch_blocking_begin());
    if (index < 0 || index >= 16 || add(&x->taken[index], 1) != 1) add(&x->wrong, 1);
    add(&x->party.begun, 1);
    wait_for_count(&x->party.begun, 12);
    if (index >= 0 && index < 16) add(&x->taken[index], -1);
    return filch_blocking_end();
}

Test(blocking, indices_of_those_that_run_differ) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 3;
    options.max_spares = 13;
    filch_executor *e = executor_with(options);
    for (int round = 0; round < 10; round++) {
        struct indices x = {.wrong = 0};
        filch_future *futures[12];
        for (int i = 0; i < 12; i++) futures[i] = submit_pointer(e, take_index, &x);
        for (int i = 0; i < 12; i++) cr_assert_eq(finish(futures[i]), 0);
        cr_assert_eq(x.wrong, 0);
    }
    ok(filch_executor_destroy(e));
}

/* A thread that cannot be started is no failure: the next task tries again. */
Test(blocking, without_threads_later_tasks_try_again) {
    filch_executor *e = executor_of(1);
    struct gate gate = {0, 0};
    cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
    filch__fault_plan(FAULT_THREAD, 0, true);
    filch_future *blocked = submit_pointer(e, block_for_flag, &gate);
    flag_wait(&gate.reached);
    filch_future *stuck = submit_to(e, do_nothing, NULL, 0, 0);
    usleep(20000);
    cr_assert_not(filch_future_done(stuck));
    cr_assert_gt(filch__fault_clear(), 0);
    filch_future *opens = submit_pointer(e, open_it, &gate);
    cr_assert_eq(finish(blocked), 0);
    cr_assert_eq(finish(opens), 0);
    cr_assert_eq(finish(stuck), 0);
    ok(filch_executor_destroy(e));
}

/* The end of an executor waits for who blocks. */
Test(blocking, shutdown_waits_for_those_that_block) {
    for (int i = 0; i < stress(20); i++) {
        filch_executor *e = executor_of(2);
        struct party party = {.guests = 6};
        filch_future *guests[6];
        for (int k = 0; k < 6; k++) guests[k] = submit_pointer(e, blocking_guest, &party);
        ok(filch_executor_destroy(e));
        cr_assert_eq(party.begun, 6);
        for (int k = 0; k < 6; k++) cr_assert_eq(finish(guests[k]), 0);
    }
}
