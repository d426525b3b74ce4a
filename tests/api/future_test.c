/* future_test.c: states, cancellation, callbacks, timeouts and references.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <stdlib.h>

TestSuite(future, .timeout = 30);

/* States -------------------------------------------------------------------------------------- */

static int state_of(filch_future *f) {
    return (filch_future_done(f) ? 1 : 0) + (filch_future_running(f) ? 2 : 0) +
           (filch_future_cancelled(f) ? 4 : 0);
}
enum { IS_PENDING = 0, IS_FINISHED = 1, IS_RUNNING = 2, IS_CANCELLED = 1 + 4 };

static int fail_with_5(void *arg, void *result) {
    (void)arg;
    (void)result;
    return 5;
}

Test(future, states_of_a_task_that_runs) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    filch_future *running = occupy(e, &gate);
    filch_future *pending = submit_to(e, fail_with_5, NULL, 0, 0);
    cr_assert_eq(state_of(running), IS_RUNNING);
    cr_assert_eq(state_of(pending), IS_PENDING);
    open_gate(&gate, filch_future_retain(running));
    cr_assert_eq(state_of(running), IS_FINISHED);
    cr_assert_eq(filch_future_result(pending, NULL, FILCH_FOREVER), 5);
    cr_assert_eq(state_of(pending), IS_FINISHED, "a failure is an end like any other");
    filch_future_release(running);
    filch_future_release(pending);
    ok(filch_executor_destroy(e));
}

static int is_running_and_not_done(void *arg, void *result) {
    filch_future **place = *(filch_future ***)arg;
    (void)result;
    while (filch_load_acquire(place) == NULL) sched_yield();
    return state_of(filch_load_acquire(place)) == IS_RUNNING ? 0 : 1;
}

Test(future, a_task_sees_itself_running) {
    filch_executor *e = executor_of(1);
    filch_future *shared = NULL;
    filch_future *f = submit_pointer(e, is_running_and_not_done, &shared);
    filch_store_release(&shared, f);
    cr_assert_eq(finish(f), 0);
    ok(filch_executor_destroy(e));
}

/* Cancellation -------------------------------------------------------------------------------- */

struct record {
    int ran, destroyed, called;
    bool done_in_callback, cancelled_in_callback;
    bool destroyed_in_callback;
    pthread_t destroyer, caller;
};

static int note_run(void *arg, void *result) {
    (void)result;
    add(&(*(struct record **)arg)->ran, 1);
    return 0;
}
static void note_destroyed(void *arg) {
    struct record *r = *(struct record **)arg;
    r->destroyer = pthread_self();
    add(&r->destroyed, 1);
}
static void note_done(filch_future *f, void *context) {
    struct record *r = context;
    r->done_in_callback = filch_future_done(f);
    r->cancelled_in_callback = filch_future_cancelled(f);
    r->destroyed_in_callback = read_int(&r->destroyed) == 1;
    r->caller = pthread_self();
    add(&r->called, 1);
}

static filch_future *submit_recorded(filch_executor *e, struct record *r) {
    filch_task task = FILCH_TASK_INIT;
    filch_future *f = NULL;
    *r = (struct record){0};
    task.fn = note_run;
    task.arg = &r;
    task.arg_size = sizeof r;
    task.arg_destroy = note_destroyed;
    ok(filch_submit_task(e, &task, &f));
    ok(filch_future_add_done_callback(f, note_done, r));
    return f;
}

Test(future, cancel_before_the_start) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    struct record r;
    int value = 17;
    filch_future *first = occupy(e, &gate);
    filch_future *f = submit_recorded(e, &r);

    cr_assert(filch_future_cancel(f));
    cr_assert_eq(state_of(f), IS_CANCELLED, "done at once");
    cr_assert_eq(r.destroyed, 1);
    cr_assert_eq(r.called, 1);
    cr_assert(r.done_in_callback && r.cancelled_in_callback && r.destroyed_in_callback);
    cr_assert(pthread_equal(r.destroyer, pthread_self()));
    cr_assert(pthread_equal(r.caller, pthread_self()));
    fails(FILCH_ECANCELED, filch_future_result(f, &value, 0));
    fails(FILCH_ECANCELED, filch_future_result(f, NULL, FILCH_FOREVER));
    cr_assert_eq(value, 17);
    cr_assert(filch_future_cancel(f), "again");
    cr_assert_eq(r.called, 1);

    open_gate(&gate, first);
    ok(filch_executor_destroy(e));
    cr_assert_eq(r.ran, 0);
    cr_assert_eq(r.destroyed, 1);
    filch_future_release(f);
}

Test(future, cancel_of_a_running_task) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    filch_future *f = occupy(e, &gate);
    cr_assert_not(filch_future_cancel(f));
    cr_assert_eq(state_of(f), IS_RUNNING);
    open_gate(&gate, f);
    ok(filch_executor_destroy(e));
}

Test(future, cancel_of_a_finished_task) {
    filch_executor *e = executor_of(1);
    struct record r;
    filch_future *f = submit_recorded(e, &r);
    ok(filch_future_result(f, NULL, FILCH_FOREVER));
    cr_assert_not(filch_future_cancel(f));
    cr_assert_eq(state_of(f), IS_FINISHED);
    ok(filch_future_result(f, NULL, 0));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
    cr_assert_eq(r.called, 1);
}

static int cancel_own_child(void *arg, void *result) {
    struct record *r = *(struct record **)arg, fresh = {0};
    filch_task task = FILCH_TASK_INIT;
    filch_future *f;
    (void)result;
    *r = fresh;
    task.fn = note_run;
    task.arg = &r;
    task.arg_size = sizeof r;
    task.arg_destroy = note_destroyed;
    if (filch_submit_task(filch_current_executor(), &task, &f) != 0) return 1;
    int rc = !filch_future_cancel(f)                                          ? 2
             : state_of(f) != IS_CANCELLED                                    ? 3
             : filch_future_result(f, NULL, FILCH_FOREVER) != FILCH_ECANCELED ? 4
                                                                              : 0;
    filch_future_release(f);
    return rc;
}

Test(future, cancel_of_a_task_submitted_inside) {
    filch_executor *e = executor_of(1);
    struct record r;
    cr_assert_eq(finish(submit_pointer(e, cancel_own_child, &r)), 0);
    ok(filch_executor_destroy(e));
    cr_assert_eq(r.ran, 0);
    cr_assert_eq(r.destroyed, 1);
}

struct cancel_race {
    filch_future *f;
    int won[4];
};
static void cancel_it(int index, void *context) {
    struct cancel_race *race = context;
    race->won[index] = filch_future_cancel(race->f);
}

Test(future, cancel_against_start_and_cancel) {
    filch_executor *e = executor_of(2);
    int n = stress(100);
    for (int i = 0; i < n; i++) {
        struct record r;
        struct cancel_race race = {submit_recorded(e, &r), {0}};
        run_threads(2, cancel_it, &race);
        int rc = finish(race.f);
        wait_for_count(&r.called, 1);
        if (rc == 0 && (r.ran != 1 || race.won[0] || race.won[1]))
            cr_assert_fail("round %d: it ran and was cancelled", i);
        if (rc != 0 && (rc != FILCH_ECANCELED || r.ran != 0 || !race.won[0] || !race.won[1]))
            cr_assert_fail("round %d: code %d, ran %d times", i, rc, r.ran);
        if (r.destroyed != 1 || r.called != 1) cr_assert_fail("round %d: not told once", i);
    }
    ok(filch_executor_destroy(e));
}

static void finish_it(void *f) {
    (void)finish(f);
}

Test(future, cancel_wakes_waiters) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    filch_future *first = occupy(e, &gate);
    for (int i = 0; i < 20; i++) {
        filch_future *f = submit_to(e, do_nothing, NULL, 0, 0);
        struct stopper *stop;
        stop = stop_at("future.sleep");
        pthread_t waiter = thread_start(finish_it, filch_future_retain(f));
        if (i % 2 == 0) stopper_wait_reached(stop);
        cr_assert(filch_future_cancel(f));
        stopper_release(stop);
        thread_finish(waiter);
        filch_future_release(f);
    }
    open_gate(&gate, first);
    ok(filch_executor_destroy(e));
}

/* Callbacks ----------------------------------------------------------------------------------- */

struct order {
    int next;
    int seen[16];
    pthread_t threads[16];
};
struct numbered {
    struct order *order;
    int number;
};
static void note_order(filch_future *f, void *context) {
    struct numbered *n = context;
    int place = add(&n->order->next, 1) - 1;
    (void)f;
    n->order->threads[place] = pthread_self();
    n->order->seen[place] = n->number;
}

static int tell_thread(void *arg, void *result) {
    struct gate *gate = *(struct gate **)arg;
    flag_raise(&gate->reached);
    flag_wait(&gate->open);
    *(pthread_t *)result = pthread_self();
    return 0;
}

Test(future, callbacks_run_in_the_order_added_in_the_worker) {
    filch_executor *e = executor_of(1);
    struct order order = {0};
    struct numbered numbers[10];
    struct gate gate = {0, 0};
    pthread_t worker;
    filch_future *f =
        submit_to(e, tell_thread, &(struct gate *){&gate}, sizeof(struct gate *), sizeof worker);
    flag_wait(&gate.reached);
    for (int i = 0; i < 10; i++) {
        numbers[i] = (struct numbered){&order, i};
        ok(filch_future_add_done_callback(f, note_order, &numbers[i]));
    }
    cr_assert_eq(read_int(&order.next), 0);
    flag_raise(&gate.open);
    ok(filch_future_result(f, &worker, FILCH_FOREVER));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
    cr_assert_eq(order.next, 10);
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(order.seen[i], i);
        cr_assert(pthread_equal(order.threads[i], worker));
    }
}

Test(future, callback_at_once_in_the_caller_if_done) {
    filch_executor *e = executor_of(1);
    struct order order = {0};
    struct numbered number = {&order, 3};
    filch_future *f = submit_to(e, do_nothing, NULL, 0, 0);
    ok(filch_future_result(f, NULL, FILCH_FOREVER));
    ok(filch_future_add_done_callback(f, note_order, &number));
    cr_assert_eq(order.next, 1);
    cr_assert(pthread_equal(order.threads[0], pthread_self()));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
    cr_assert_eq(order.next, 1);
}

struct adders {
    filch_future *f;
    struct ledger ledger;
    int each;
};
struct entry {
    struct ledger *ledger;
    size_t i;
};
static void note_entry(filch_future *f, void *context) {
    struct entry *entry = context;
    if (filch_future_done(f)) ledger_note(entry->ledger, entry->i);
    free(entry);
}
static void add_callbacks(int index, void *context) {
    struct adders *adders = context;
    for (int i = 0; i < adders->each; i++) {
        struct entry *entry = malloc(sizeof *entry);
        *entry = (struct entry){&adders->ledger, (size_t)(index * adders->each + i)};
        filch_future_add_done_callback(adders->f, note_entry, entry);
    }
}
static int short_work(void *arg, void *result) {
    (void)arg;
    (void)result;
    linger(20);
    return 0;
}

Test(future, callbacks_added_while_it_ends_run_once) {
    filch_executor *e = executor_of(1);
    int n = stress(100);
    for (int i = 0; i < n; i++) {
        struct adders adders = {.each = 20};
        ledger_init(&adders.ledger, 60);
        adders.f = submit_to(e, short_work, NULL, 0, 0);
        run_threads(3, add_callbacks, &adders);
        cr_assert_eq(finish(adders.f), 0);
        /* The last callbacks may run in the worker after `result` has returned. */
        cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
        if (ledger_wrong(&adders.ledger) != 0) cr_assert_fail("round %d", i);
        ledger_fini(&adders.ledger);
    }
    ok(filch_executor_destroy(e));
}

/* Everything that is legal in a callback. */
struct legal {
    filch_executor *executor;
    filch_future *other; /* pending */
    int ran, again, codes[4];
    uint32_t finished;
};
static void note_again(filch_future *f, void *context) {
    (void)f;
    add(context, 1);
}
static void do_all_that_is_legal(filch_future *f, void *context) {
    struct legal *legal = context;
    int *pointer = &legal->ran;
    legal->codes[0] = filch_submit(legal->executor, count_one, &pointer, sizeof pointer, 0, NULL);
    legal->codes[1] = filch_future_add_done_callback(f, note_again, &legal->again);
    legal->codes[2] = filch_future_cancel(legal->other) ? 0 : -1;
    filch_future_release(f); /* the user's only reference */
    legal->codes[3] = filch_executor_shutdown(legal->executor, 0);
    flag_raise(&legal->finished);
}

static void check_legal(struct legal *legal) {
    for (int i = 0; i < 4; i++) cr_assert_eq(legal->codes[i], 0, "call %d: %d", i, legal->codes[i]);
    cr_assert_eq(finish(legal->other), FILCH_ECANCELED);
    ok(filch_executor_destroy(legal->executor));
    cr_assert_eq(legal->ran, 1);
    cr_assert_eq(legal->again, 1);
}

Test(future, legal_actions_in_a_callback_of_a_worker) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    struct legal legal = {.executor = e};
    filch_future *f = occupy(e, &gate);
    legal.other = submit_to(e, do_nothing, NULL, 0, 0);
    ok(filch_future_add_done_callback(f, do_all_that_is_legal, &legal));
    flag_raise(&gate.open);
    flag_wait(&legal.finished);
    check_legal(&legal);
}

Test(future, legal_actions_in_a_callback_of_a_canceller) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    struct legal legal = {.executor = e};
    filch_future *first = occupy(e, &gate);
    filch_future *f = submit_to(e, do_nothing, NULL, 0, 0);
    legal.other = submit_to(e, do_nothing, NULL, 0, 0);
    ok(filch_future_add_done_callback(f, do_all_that_is_legal, &legal));
    cr_assert(filch_future_cancel(f));
    cr_assert_eq(legal.finished, 1);
    open_gate(&gate, first);
    check_legal(&legal);
}

/* The last reference is released in the first callback; the second still gets a live future. */
struct two_callbacks {
    filch_executor *executor;
    struct gate gate;
    filch_future *first;
    bool done_in_second;
};
static void release_it(filch_future *f, void *context) {
    (void)context;
    filch_future_release(f);
}
static void look_at_it(filch_future *f, void *context) {
    ((struct two_callbacks *)context)->done_in_second =
        filch_future_done(f) && filch_future_cancelled(f);
}
/* The worker meets the entry of the task that is being cancelled, and drops it. */
static void let_the_worker_drop_the_entry(void *context) {
    struct two_callbacks *two = context;
    filch_future *later = NULL;
    filch_submit(two->executor, do_nothing, NULL, 0, 0, &later);
    flag_raise(&two->gate.open);
    filch_future_result(later, NULL, FILCH_FOREVER);
    filch_future_release(later);
}

Test(future, last_reference_released_in_the_first_of_two_callbacks) {
    filch_executor *e = executor_of(1);
    struct two_callbacks two = {.executor = e};
    two.first = occupy(e, &two.gate);
    filch_future *f = submit_to(e, do_nothing, NULL, 0, 0);
    ok(filch_future_add_done_callback(f, release_it, NULL));
    ok(filch_future_add_done_callback(f, look_at_it, &two));
    point_call("future.cancelling", let_the_worker_drop_the_entry, &two);
    cr_assert(filch_future_cancel(f));
    point_call("future.cancelling", NULL, NULL);
    cr_assert(two.done_in_second);
    cr_assert_eq(finish(two.first), 0);
    ok(filch_executor_destroy(e));
}

/* Results ------------------------------------------------------------------------------------- */

static int give_answer(void *arg, void *result) {
    struct gate *gate = *(struct gate **)arg;
    flag_raise(&gate->reached);
    flag_wait(&gate->open);
    memset(result, 42, 100);
    return 0;
}
struct readers {
    filch_future *f;
    int wrong;
};
static void read_answer(int index, void *context) {
    struct readers *readers = context;
    unsigned char bytes[100];
    for (int i = 0; i < 10; i++) {
        memset(bytes, 0, sizeof bytes);
        bool right = filch_future_result(readers->f, i == 5 ? NULL : bytes, FILCH_FOREVER) == 0;
        for (size_t k = 0; k < sizeof bytes && i != 5; k++) right = right && bytes[k] == 42;
        if (!right) add(&readers->wrong, 1);
    }
    (void)index;
}
static void open_it(void *context) {
    flag_raise(context);
}

Test(future, result_many_times_in_many_threads) {
    filch_executor *e = executor_of(1);
    struct gate gate = {0, 0};
    struct readers readers = {NULL, 0};
    struct gate *pointer = &gate;
    readers.f = submit_to(e, give_answer, &pointer, sizeof pointer, 100);
    flag_wait(&gate.reached);
    pthread_t opener = thread_start(open_it, &gate.open);
    run_threads(8, read_answer, &readers);
    thread_finish(opener);
    cr_assert_eq(readers.wrong, 0);
    read_answer(0, &readers);
    cr_assert_eq(readers.wrong, 0);
    filch_future_release(readers.f);
    ok(filch_executor_destroy(e));
}

static void release_stopper(void *stop) {
    stopper_release(stop);
}

/* Every waiter sleeps, or is just about to, when the end comes. */
Test(future, all_sleeping_waiters_are_woken) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 1;
    options.spin = -1;
    filch_executor *e = executor_with(options);
    int n = stress(50);
    for (int i = 0; i < n; i++) {
        struct gate gate = {0, 0};
        struct gate *pointer = &gate;
        struct readers readers = {submit_to(e, give_answer, &pointer, sizeof pointer, 100), 0};
        struct stopper *stop;
        stop = stop_at("future.sleep");
        flag_wait(&gate.reached);
        pthread_t opener = thread_start(open_it, &gate.open);
        pthread_t releaser = thread_start(release_stopper, stop);
        run_threads(4, read_answer, &readers);
        thread_finish(opener);
        thread_finish(releaser);
        if (readers.wrong != 0) cr_assert_fail("round %d", i);
        filch_future_release(readers.f);
    }
    ok(filch_executor_destroy(e));
}

Test(future, timeouts) {
    static const filch_nanoseconds short_times[] = {0, -1, INT64_MIN, 1, 1000, 1000000};
    static const filch_nanoseconds long_times[] = {FILCH_FOREVER, FILCH_FOREVER - 1, INT64_MAX / 2,
                                                   INT64_MAX - 1000000000};
    filch_executor *e = executor_of(1);
    struct gate gate;
    filch_error error = {12345, NULL, {0, 0}};
    int value = 17;
    filch_future *f = occupy(e, &gate);
    for (size_t i = 0; i < sizeof short_times / sizeof short_times[0]; i++) {
        fails(FILCH_ETIMEDOUT, filch_future_result(f, &value, short_times[i]));
        fails(FILCH_ETIMEDOUT, filch_future_error(f, &error, short_times[i]));
        cr_assert_eq(state_of(f), IS_RUNNING, "it is as it was");
    }
    cr_assert_eq(value, 17);
    cr_assert_eq(error.code, 12345);
    open_gate(&gate, f);
    for (size_t i = 0; i < sizeof long_times / sizeof long_times[0]; i++) {
        filch_future *g = submit_to(e, short_work, NULL, 0, 0);
        ok(filch_future_result(g, NULL, long_times[i]));
        ok(filch_future_error(g, &error, long_times[i]));
        for (size_t k = 0; k < sizeof short_times / sizeof short_times[0]; k++)
            ok(filch_future_result(g, NULL, short_times[k]));
        filch_future_release(g);
    }
    ok(filch_executor_destroy(e));
}

Test(future, times_are_made_without_overflow) {
    cr_assert_eq(FILCH_SECONDS(1), 1000000000);
    cr_assert_eq(FILCH_MILLISECONDS(1.5), 1500000);
    cr_assert_eq(FILCH_SECONDS(1e300), FILCH_FOREVER);
    cr_assert_eq(FILCH_SECONDS(INT64_MAX), FILCH_FOREVER);
    cr_assert_leq(FILCH_SECONDS(-1), 0);
    cr_assert_leq(FILCH_MILLISECONDS(INT64_MIN), 0);
}

/* References ---------------------------------------------------------------------------------- */

Test(future, task_of_a_released_future_runs) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    int count = 0;
    filch_future *first = occupy(e, &gate);
    for (int i = 0; i < 100; i++) filch_future_release(submit_pointer(e, count_one, &count));
    open_gate(&gate, first);
    ok(filch_executor_destroy(e));
    cr_assert_eq(count, 100);
}

Test(future, each_reference_keeps_it) {
    filch_executor *e = executor_of(1);
    filch_future *f = submit_to(e, fail_with_5, NULL, 0, 0);
    for (int i = 0; i < 100; i++) cr_assert_eq(filch_future_retain(f), f);
    for (int i = 0; i < 100; i++) {
        filch_future_release(f);
        cr_assert_eq(filch_future_result(f, NULL, FILCH_FOREVER), 5);
    }
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

static int answer_of_size(void *arg, void *result) {
    size_t size = *(size_t *)arg;
    memset(result, 7, size);
    return size % 2 == 1 ? filch_fail(3, "size %zu", size) : 0;
}

Test(future, futures_outlive_their_executor) {
    enum { N = 2000 };
    static filch_future *futures[N];
    static unsigned char result[512];
    long before = filch__fault_live_blocks();
    filch_executor *e = executor_of(2);
    for (size_t i = 0; i < N; i++) {
        size_t size = i % 400 + 1;
        futures[i] = submit_to(e, answer_of_size, &size, sizeof size, size);
    }
    ok(filch_executor_destroy(e));
    for (size_t i = 0; i < N; i++) {
        size_t size = i % 400 + 1;
        memset(result, 0, sizeof result);
        int rc = filch_future_result(futures[i], result, FILCH_FOREVER);
        if (size % 2 == 0 && (rc != 0 || result[size - 1] != 7)) cr_assert_fail("future %zu", i);
        if (size % 2 == 1 && rc != 3) cr_assert_fail("future %zu: %d", i, rc);
        if (filch_future_cancel(futures[i]) || !filch_future_done(futures[i]))
            cr_assert_fail("future %zu", i);
    }
    for (size_t i = 0; i < N; i++) filch_future_release(futures[i * 7 % N]);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

struct releasers {
    filch_future **futures;
    size_t n;
};
static void release_every_fourth(int index, void *context) {
    struct releasers *r = context;
    for (size_t i = (size_t)index; i < r->n; i += 4) filch_future_release(r->futures[i]);
}

static void destroy_it(void *e) {
    (void)filch_executor_destroy(e);
}

Test(future, references_released_anywhere_while_the_executor_ends) {
    enum { N = 400 };
    filch_future *futures[N];
    long before = filch__fault_live_blocks();
    int rounds = stress(20);
    for (int round = 0; round < rounds; round++) {
        filch_executor *e = executor_of(2);
        struct releasers r = {futures, N};
        for (int i = 0; i < N; i++) futures[i] = submit_to(e, do_nothing, NULL, 0, 0);
        pthread_t destroyer = thread_start(destroy_it, e);
        run_threads(4, release_every_fourth, &r);
        thread_finish(destroyer);
    }
    cr_assert_eq(filch__fault_live_blocks(), before);
}
