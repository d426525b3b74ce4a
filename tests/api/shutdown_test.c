/* shutdown_test.c: the end of an executor in every state, and what races with it.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <stdlib.h>
#include <unistd.h>

TestSuite(shutdown, .timeout = 30);

static const unsigned all_flags[] = {0, FILCH_WAIT, FILCH_CANCEL_PENDING,
                                     FILCH_WAIT | FILCH_CANCEL_PENDING};
enum { FLAGS = 4 };

/* A future whose callback notes that it has run, and how it ended. */
struct watched {
    filch_future *f;
    int called, done, cancelled, ran, destroyed;
};
static void note_end(filch_future *f, void *context) {
    struct watched *w = context;
    w->done = filch_future_done(f);
    w->cancelled = filch_future_cancelled(f);
    add(&w->called, 1);
}
static int note_run(void *arg, void *result) {
    (void)result;
    add(&(*(struct watched **)arg)->ran, 1);
    return 0;
}
static void note_destroyed(void *arg) {
    add(&(*(struct watched **)arg)->destroyed, 1);
}
/* Returns the code; any thread. */
static int watch(filch_executor *e, struct watched *w) {
    filch_task task = FILCH_TASK_INIT;
    *w = (struct watched){0};
    task.fn = note_run;
    task.arg = &w;
    task.arg_size = sizeof w;
    task.arg_destroy = note_destroyed;
    int rc = filch_submit_task(e, &task, &w->f);
    return rc != 0 ? rc : filch_future_add_done_callback(w->f, note_end, w);
}
/* It was cancelled and everybody has been told; the caller looks at once after the shutdown. */
static bool was_cancelled(struct watched *w) {
    return filch_future_done(w->f) && filch_future_cancelled(w->f) && read_int(&w->called) == 1 &&
           w->done && w->cancelled && w->ran == 0 && w->destroyed == 1 &&
           filch_future_result(w->f, NULL, 0) == FILCH_ECANCELED;
}
static bool has_run(struct watched *w) {
    return filch_future_result(w->f, NULL, 0) == 0 && w->called == 1 && w->done && !w->cancelled &&
           w->ran == 1 && w->destroyed == 1;
}

/* States -------------------------------------------------------------------------------------- */

Test(shutdown, never_used) {
    long before = filch__fault_live_blocks();
    for (int i = 0; i < FLAGS; i++) {
        filch_executor *e = executor_of(2);
        ok(filch_executor_shutdown(e, all_flags[i]));
        cr_assert_eq(stats_of(e).workers_started, 0);
        ok(filch_executor_destroy(e));
        ok(filch_executor_destroy(executor_of(2)));
    }
    cr_assert_eq(filch__fault_live_blocks(), before);
}

Test(shutdown, idle) {
    for (int i = 0; i < FLAGS; i++)
        for (int parked = 0; parked < 2; parked++) {
            filch_executor *e = executor_of(3);
            for (int k = 0; k < 10; k++)
                cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
            if (parked) settle(e);
            ok(filch_executor_shutdown(e, all_flags[i]));
            ok(filch_executor_destroy(e));
        }
}

Test(shutdown, many_idle_workers) {
    enum { N = 64 };
    filch_executor *e = executor_of(N);
    static struct gate gates[N];
    static filch_future *futures[N];
    for (int i = 0; i < N; i++) futures[i] = occupy(e, &gates[i]);
    for (int i = 0; i < N; i++) open_gate(&gates[i], futures[i]);
    settle(e);
    ok(filch_executor_destroy(e));
}

Test(shutdown, at_the_moment_a_worker_announces_its_sleep) {
    for (int i = 0; i < FLAGS; i++) {
        struct stopper *stop;
        filch_executor *e = executor_of(1);
        cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
        settle(e);
        stop = stop_at("worker.announced");
        cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
        stopper_wait_reached(stop);
        ok(filch_executor_shutdown(e, all_flags[i] & ~(unsigned)FILCH_WAIT));
        stopper_release(stop);
        ok(filch_executor_shutdown(e, all_flags[i]));
        ok(filch_executor_destroy(e));
    }
}

/* Accepted work is finished without FILCH_CANCEL_PENDING. */
static void check_full_queue(unsigned flags) {
    enum { N = 300 };
    static struct watched w[N];
    filch_executor *e = executor_of(2);
    struct gate gates[2];
    filch_future *a = occupy(e, &gates[0]), *b = occupy(e, &gates[1]);
    for (int i = 0; i < N; i++) ok(watch(e, &w[i]));
    if ((flags & FILCH_WAIT) == 0) {
        ok(filch_executor_shutdown(e, flags));
        for (int i = 0; i < N && (flags & FILCH_CANCEL_PENDING) != 0; i++)
            if (!was_cancelled(&w[i])) cr_assert_fail("future %d", i);
        cr_assert(filch_future_running(a) && filch_future_running(b), "what runs goes on");
    }
    flag_raise(&gates[0].open);
    flag_raise(&gates[1].open);
    ok(filch_executor_shutdown(e, flags | FILCH_WAIT));
    for (int i = 0; i < N; i++) {
        bool right = (flags & FILCH_CANCEL_PENDING) != 0 ? was_cancelled(&w[i]) || has_run(&w[i])
                                                         : has_run(&w[i]);
        if (!right) cr_assert_fail("future %d", i);
        filch_future_release(w[i].f);
    }
    cr_assert_eq(finish(a), 0);
    cr_assert_eq(finish(b), 0);
    ok(filch_executor_destroy(e));
}

Test(shutdown, with_a_full_queue) {
    for (int i = 0; i < FLAGS; i++) check_full_queue(all_flags[i]);
}

/* Tasks that a worker has submitted, in its own queue. */
struct nest {
    filch_executor *executor;
    struct gate gate;
    struct watched w[100];
    int refused;
};
static int submit_many_inside(void *arg, void *result) {
    struct nest *nest = *(struct nest **)arg;
    (void)result;
    for (int i = 0; i < 100; i++)
        if (watch(nest->executor, &nest->w[i]) != 0) nest->refused++;
    flag_raise(&nest->gate.reached);
    flag_wait(&nest->gate.open);
    return 0;
}

Test(shutdown, cancels_what_was_submitted_inside) {
    static struct nest nest;
    filch_executor *e = nest.executor = executor_of(1);
    filch_future *f = submit_pointer(e, submit_many_inside, &nest);
    flag_wait(&nest.gate.reached);
    ok(filch_executor_shutdown(e, FILCH_CANCEL_PENDING));
    cr_assert_eq(nest.refused, 0);
    for (int i = 0; i < 100; i++) {
        if (!was_cancelled(&nest.w[i])) cr_assert_fail("future %d", i);
        filch_future_release(nest.w[i].f);
    }
    open_gate(&nest.gate, f);
    ok(filch_executor_destroy(e));
}

/* In hands of workers ------------------------------------------------------------------------- */

struct ending {
    filch_executor *executor;
    unsigned flags;
    int rc;
    uint32_t returned;
    struct watched *w;
    int n, wrong;
};
static void end_it(void *context) {
    struct ending *ending = context;
    ending->rc = filch_executor_shutdown(ending->executor, ending->flags);
    for (int i = 0; i < ending->n; i++)
        if (!was_cancelled(&ending->w[i]) && !has_run(&ending->w[i])) ending->wrong++;
    flag_raise(&ending->returned);
}

/* A worker that has taken the queue is stopped at the point; the executor ends meanwhile. What it has in
 * its hand is ended too when the shutdown returns, which therefore waits for that. */
static void end_with_a_worker_stopped_at(const char *point) {
    enum { N = 20 };
    static struct watched w[N];
    filch_executor *e = executor_of(1);
    struct gate gate;
    struct stopper *stop;
    filch_future *first = occupy(e, &gate);
    for (int i = 0; i < N; i++) ok(watch(e, &w[i]));
    stop = stop_at(point);
    open_gate(&gate, first);
    stopper_wait_reached(stop);
    struct ending ending = {e, FILCH_CANCEL_PENDING, -1, 0, w, N, 0};
    pthread_t thread = thread_start(end_it, &ending);
    linger(50);
    stopper_release(stop);
    thread_finish(thread);
    cr_assert_eq(ending.rc, 0);
    cr_assert_eq(ending.wrong, 0);
    ok(filch_executor_destroy(e));
    for (int i = 0; i < N; i++) filch_future_release(w[i].f);
}

Test(shutdown, cancels_what_a_worker_takes_from_the_injector) {
    for (int i = 0; i < 10; i++) end_with_a_worker_stopped_at("worker.injector.taken");
}

Test(shutdown, cancels_what_a_worker_puts_into_its_queue) {
    for (int i = 0; i < 10; i++) end_with_a_worker_stopped_at("deque.push.slot");
}

/* One worker has tasks in its own queue, and waits; a thief is stopped on the way. */
static void end_with_a_thief_stopped_at(const char *point) {
    static struct nest nest;
    struct stopper *stop;
    filch_executor *e = executor_of(2);
    nest = (struct nest){.executor = e};
    stop = stop_at(point);
    filch_future *f = submit_pointer(e, submit_many_inside, &nest);
    flag_wait(&nest.gate.reached);
    stopper_wait_reached(stop);
    struct ending ending = {e, FILCH_CANCEL_PENDING, -1, 0, nest.w, 100, 0};
    pthread_t thread = thread_start(end_it, &ending);
    linger(50);
    stopper_release(stop);
    thread_finish(thread);
    cr_assert_eq(ending.rc, 0);
    cr_assert_eq(ending.wrong, 0);
    open_gate(&nest.gate, f);
    ok(filch_executor_destroy(e));
    for (int i = 0; i < 100; i++) filch_future_release(nest.w[i].f);
}

Test(shutdown, cancels_what_a_thief_steals) {
    for (int i = 0; i < 10; i++) {
        end_with_a_thief_stopped_at("deque.steal.top");
        end_with_a_thief_stopped_at("deque.steal.cas");
    }
}

/* Again, and several at once ------------------------------------------------------------------ */

Test(shutdown, twice_with_any_flags) {
    for (int first = 0; first < FLAGS; first++)
        for (int second = 0; second < FLAGS; second++) {
            filch_executor *e = executor_of(1);
            struct watched w;
            ok(watch(e, &w));
            ok(filch_executor_shutdown(e, all_flags[first]));
            ok(filch_executor_shutdown(e, all_flags[second]));
            ok(filch_executor_destroy(e));
            cr_assert(has_run(&w) || (was_cancelled(&w) && ((all_flags[first] | all_flags[second]) &
                                                            FILCH_CANCEL_PENDING)));
            filch_future_release(w.f);
        }
}

Test(shutdown, later_flags_cancel_what_earlier_ones_left) {
    filch_executor *e = executor_of(1);
    struct watched w[50];
    struct gate gate;
    filch_future *first = occupy(e, &gate);
    for (int i = 0; i < 50; i++) ok(watch(e, &w[i]));
    ok(filch_executor_shutdown(e, 0));
    for (int i = 0; i < 50; i++) cr_assert_not(filch_future_done(w[i].f));
    ok(filch_executor_shutdown(e, FILCH_CANCEL_PENDING));
    for (int i = 0; i < 50; i++) {
        cr_assert(was_cancelled(&w[i]), "future %d", i);
        filch_future_release(w[i].f);
    }
    open_gate(&gate, first);
    ok(filch_executor_destroy(e));
}

struct several {
    filch_executor *executor;
    int round, wrong;
};
static void end_with_some_flags(int index, void *context) {
    struct several *s = context;
    if (filch_executor_shutdown(s->executor, all_flags[(s->round + index) % FLAGS]) != 0)
        add(&s->wrong, 1);
}

Test(shutdown, by_several_threads) {
    enum { N = 20 };
    int n = stress(100);
    for (int i = 0; i < n; i++) {
        struct several s = {executor_of(2), i, 0};
        struct watched w[N];
        for (int k = 0; k < N; k++) ok(watch(s.executor, &w[k]));
        run_threads(1 + i % 4, end_with_some_flags, &s);
        ok(filch_executor_destroy(s.executor));
        for (int k = 0; k < N; k++) {
            if (!has_run(&w[k]) && !was_cancelled(&w[k]))
                cr_assert_fail("round %d, future %d", i, k);
            filch_future_release(w[k].f);
        }
        if (s.wrong != 0) cr_assert_fail("round %d", i);
    }
}

/* With waits ---------------------------------------------------------------------------------- */

static int wait_down(void *arg, void *result) {
    int depth = *(int *)arg - 1;
    filch_future *f;
    (void)result;
    if (depth <= 0) {
        usleep(200);
        return 0;
    }
    int rc = filch_submit(filch_current_executor(), wait_down, &depth, sizeof depth, 0, &f);
    if (rc == FILCH_ESHUTDOWN) return 0;
    if (rc != 0) return rc;
    rc = filch_future_result(f, NULL, FILCH_FOREVER);
    filch_future_release(f);
    return rc == FILCH_ECANCELED ? 0 : rc;
}

Test(shutdown, with_nested_waits_in_progress) {
    int n = stress(60);
    for (int i = 0; i < n; i++) {
        filch_executor *e = executor_of(1 + i % 3);
        filch_future *futures[10];
        for (int k = 0; k < 10; k++) {
            int depth = 5 + k;
            futures[k] = submit_to(e, wait_down, &depth, sizeof depth, 0);
        }
        for (int k = 0; k < i % 20; k++) sched_yield();
        ok(filch_executor_shutdown(e, all_flags[i / 3 % FLAGS]));
        ok(filch_executor_destroy(e));
        for (int k = 0; k < 10; k++) {
            int rc = finish(futures[k]);
            if (rc != 0 && rc != FILCH_ECANCELED) cr_assert_fail("round %d: %d", i, rc);
        }
    }
}

/* A worker is parked in a wait; the spare has gone; what it waits for comes from elsewhere. */
static int wait_for_pointer(void *arg, void *result) {
    (void)result;
    return filch_future_result(*(filch_future **)arg, NULL, FILCH_FOREVER);
}

Test(shutdown, with_a_worker_parked_in_a_wait) {
    for (int i = 0; i < FLAGS; i++) {
        filch_executor *e = executor_of(1), *other = executor_of(1);
        struct gate gate;
        struct stopper *stop;
        filch_future *elsewhere = occupy(other, &gate);
        stop = stop_at("wait.blocked");
        filch_future *f = submit_to(e, wait_for_pointer, &elsewhere, sizeof elsewhere, 0);
        stopper_wait_reached(stop);
        stopper_release(stop);
        ok(filch_executor_shutdown(e, all_flags[i] & ~(unsigned)FILCH_WAIT));
        cr_assert(filch_future_running(f));
        flag_raise(&gate.open);
        ok(filch_executor_shutdown(e, all_flags[i]));
        cr_assert_eq(finish(f), 0);
        ok(filch_executor_destroy(e));
        cr_assert_eq(finish(elsewhere), 0);
        ok(filch_executor_destroy(other));
    }
}

/* Races with submit --------------------------------------------------------------------------- */

struct race {
    filch_executor *executor;
    unsigned flags;
    struct ledger ran;
    struct ledger accepted;
    struct watched *w;
    int each, unknown, inside, ready, delay;
};
struct number {
    struct ledger *ledger;
    size_t i;
};
static int note_number(void *arg, void *result) {
    struct number *number = arg;
    (void)result;
    ledger_note(number->ledger, number->i);
    return 0;
}
static void submit_all(struct race *race, int base) {
    add(&race->ready, 1);
    for (int i = 0; i < race->each; i++) {
        struct number number = {&race->ran, (size_t)(base + i)};
        filch_future *f = NULL;
        int rc = filch_submit(race->executor, note_number, &number, sizeof number, 0,
                              i % 4 == 3 ? NULL : &f);
        if (rc == 0)
            ledger_note(&race->accepted, number.i);
        else if (rc != FILCH_ESHUTDOWN || f != NULL)
            add(&race->unknown, 1);
        filch_future_release(f);
    }
}
static int submit_all_inside(void *arg, void *result) {
    struct race *race = *(struct race **)arg;
    (void)result;
    submit_all(race, 0);
    return 0;
}
static void submit_or_end(int index, void *context) {
    struct race *race = context;
    if (index > 0) {
        submit_all(race, race->each * index);
        return;
    }
    wait_for_count(&race->ready, 1);
    for (int i = 0; i < race->delay; i++) filch_cpu_relax();
    if (filch_executor_shutdown(race->executor, race->flags) != 0) add(&race->unknown, 1);
}

/* Each submit is refused, and its task never runs, or is accepted, and its task runs once (or is
 * cancelled, if the flag says so). */
static void race_submit_with_shutdown(unsigned flags, int rounds) {
    enum { EACH = 12, N = 3 * EACH };
    for (int i = 0; i < rounds; i++) {
        struct race race = {.executor = executor_of(1 + i % 2), .flags = flags, .each = EACH};
        struct race *pointer = &race;
        race.delay = i % 64 * 32;
        ledger_init(&race.ran, N);
        ledger_init(&race.accepted, N);
        ok(filch_submit(race.executor, submit_all_inside, &pointer, sizeof pointer, 0, NULL));
        run_threads(3, submit_or_end, &race);
        ok(filch_executor_destroy(race.executor));
        for (size_t k = 0; k < N; k++) {
            bool may_be_cancelled = (flags & FILCH_CANCEL_PENDING) != 0;
            uint32_t accepted = race.accepted.counts[k], ran = race.ran.counts[k];
            if (ran > accepted || (ran < accepted && !may_be_cancelled))
                cr_assert_fail("round %d, task %zu: accepted %u, ran %u", i, k, accepted, ran);
        }
        if (race.unknown != 0) cr_assert_fail("round %d", i);
        ledger_fini(&race.ran);
        ledger_fini(&race.accepted);
    }
}

Test(shutdown, races_with_submit) {
    race_submit_with_shutdown(0, stress(300));
}

Test(shutdown, that_waits_races_with_submit) {
    race_submit_with_shutdown(FILCH_WAIT, stress(300));
}

Test(shutdown, that_cancels_races_with_submit) {
    race_submit_with_shutdown(FILCH_CANCEL_PENDING, stress(300));
}

/* When a shutdown that cancels returns, every future that a submit had returned before is done, with
 * callbacks and destructor, however the threads were interleaved. */
struct cancel_race {
    filch_executor *executor;
    struct watched w[64];
    int submitted, codes_wrong, late, delay;
};
static void submit_watched(struct cancel_race *race) {
    for (int i = 0; i < 64; i++) {
        int rc = watch(race->executor, &race->w[i]);
        if (rc == FILCH_ESHUTDOWN) return;
        if (rc != 0) add(&race->codes_wrong, 1);
        filch_store_release(&race->submitted, i + 1);
    }
}
static int submit_watched_inside(void *arg, void *result) {
    (void)result;
    submit_watched(*(struct cancel_race **)arg);
    return 0;
}
static void submit_or_cancel(int index, void *context) {
    struct cancel_race *race = context;
    if (index == 1) {
        submit_watched(race);
        return;
    }
    wait_for_count(&race->submitted, 1 + race->delay);
    int before = read_int(&race->submitted);
    if (filch_executor_shutdown(race->executor, FILCH_CANCEL_PENDING) != 0)
        add(&race->codes_wrong, 1);
    for (int i = 0; i < before; i++)
        if (!filch_future_running(race->w[i].f) && !filch_future_done(race->w[i].f)) race->late++;
}

Test(shutdown, that_cancels_leaves_nothing_pending) {
    int n = stress(400);
    for (int i = 0; i < n; i++) {
        static struct cancel_race race;
        struct cancel_race *pointer = &race;
        race = (struct cancel_race){.executor = executor_of(1 + i % 3), .delay = i % 30};
        if (i % 2 == 0) {
            run_threads(2, submit_or_cancel, &race);
        } else {
            ok(filch_submit(race.executor, submit_watched_inside, &pointer, sizeof pointer, 0,
                            NULL));
            run_threads(1, submit_or_cancel, &race);
        }
        ok(filch_executor_destroy(race.executor));
        for (int k = 0; k < race.submitted; k++) {
            if (!has_run(&race.w[k]) && !was_cancelled(&race.w[k]))
                cr_assert_fail("round %d, future %d", i, k);
            filch_future_release(race.w[k].f);
        }
        if (race.codes_wrong != 0 || race.late != 0)
            cr_assert_fail("round %d: %d late", i, race.late);
    }
}

/* In callbacks -------------------------------------------------------------------------------- */

static void end_in_a_callback(filch_future *f, void *context) {
    struct ending *ending = context;
    (void)f;
    ending->rc = filch_executor_shutdown(ending->executor, ending->flags);
    flag_raise(&ending->returned);
}

Test(shutdown, in_a_callback_of_a_worker) {
    for (int i = 0; i < 2; i++) {
        struct ending ending = {
            executor_of(1), i == 0 ? 0 : FILCH_CANCEL_PENDING, -1, 0, NULL, 0, 0};
        struct watched w[20];
        struct gate gate;
        filch_future *f = occupy(ending.executor, &gate);
        for (int k = 0; k < 20; k++) ok(watch(ending.executor, &w[k]));
        ok(filch_future_add_done_callback(f, end_in_a_callback, &ending));
        open_gate(&gate, f);
        flag_wait(&ending.returned);
        cr_assert_eq(ending.rc, 0);
        ok(filch_executor_destroy(ending.executor));
        for (int k = 0; k < 20; k++) {
            cr_assert(i == 0 ? has_run(&w[k]) : was_cancelled(&w[k]));
            filch_future_release(w[k].f);
        }
    }
}

/* Shutdown that cancels, in callbacks of futures that a shutdown cancels. */
Test(shutdown, in_callbacks_of_what_it_cancels) {
    enum { N = 50 };
    filch_executor *e = executor_of(2);
    struct gate gates[2];
    filch_future *a = occupy(e, &gates[0]), *b = occupy(e, &gates[1]), *futures[N];
    struct ending endings[N];
    for (int i = 0; i < N; i++) {
        endings[i] = (struct ending){e, FILCH_CANCEL_PENDING, -1, 0, NULL, 0, 0};
        futures[i] = submit_to(e, do_nothing, NULL, 0, 0);
        ok(filch_future_add_done_callback(futures[i], end_in_a_callback, &endings[i]));
    }
    ok(filch_executor_shutdown(e, FILCH_CANCEL_PENDING));
    for (int i = 0; i < N; i++) {
        cr_assert_eq(endings[i].rc, 0);
        cr_assert_eq(finish(futures[i]), FILCH_ECANCELED);
    }
    open_gate(&gates[0], a);
    open_gate(&gates[1], b);
    ok(filch_executor_destroy(e));
}

/* Two workers each have an entry in their hand when the executor is cancelled. Each ends its own, and
 * the callback of each shuts down as well: nobody waits for the other. */
struct two_hands {
    filch_executor *executor;
    int in_callback, rc[2], left;
    filch_future *own; /* submitted inside by the second worker */
    struct gate inside;
};
static void meet_and_end(filch_future *f, void *context) {
    struct two_hands *two = context;
    (void)f;
    int i = add(&two->in_callback, 1) - 1;
    /* Both are in their callbacks at once, where the executor lets them. */
    for (int k = 0; k < 1000 && read_int(&two->in_callback) < 2; k++) usleep(50);
    if (i < 2) two->rc[i] = filch_executor_shutdown(two->executor, FILCH_CANCEL_PENDING);
    add(&two->left, 1);
}
static int submit_own_and_return(void *arg, void *result) {
    struct two_hands *two = *(struct two_hands **)arg;
    (void)result;
    if (filch_submit(two->executor, do_nothing, NULL, 0, 0, &two->own) != 0) return 1;
    if (filch_future_add_done_callback(two->own, meet_and_end, two) != 0) return 2;
    flag_raise(&two->inside.reached);
    flag_wait(&two->inside.open);
    return 0;
}
static void end_cancelling(void *context) {
    struct two_hands *two = context;
    (void)filch_executor_shutdown(two->executor, FILCH_CANCEL_PENDING);
}

Test(shutdown, in_callbacks_of_two_workers_at_once) {
    for (int round = 0; round < 5; round++) {
        struct two_hands two = {.executor = executor_of(2), .rc = {-1, -1}};
        struct gate gate;
        struct stopper *pop, *take;
        filch_executor *e = two.executor;
        filch_future *a = occupy(e, &gate);
        filch_future *b = submit_pointer(e, submit_own_and_return, &two);
        flag_wait(&two.inside.reached);
        /* The second worker is stopped with its own task in hand, the first with one from outside. */
        pop = stop_at("deque.pop.top");
        flag_raise(&two.inside.open);
        stopper_wait_reached(pop);
        take = stop_at("worker.injector.taken");
        filch_future *f = submit_to(e, do_nothing, NULL, 0, 0);
        ok(filch_future_add_done_callback(f, meet_and_end, &two));
        open_gate(&gate, a);
        stopper_wait_reached(take);
        pthread_t thread = thread_start(end_cancelling, &two);
        linger(100);
        stopper_release(pop);
        stopper_release(take);
        thread_finish(thread);
        cr_assert_eq(finish(b), 0);
        cr_assert_neq(finish(f), FILCH_ETIMEDOUT);
        ok(filch_executor_destroy(e));
        cr_assert_eq(two.left, 2);
        cr_assert_eq(two.rc[0], 0);
        cr_assert_eq(two.rc[1], 0);
        filch_future_release(two.own);
    }
}

/* While another thread cancels --------------------------------------------------------------- */

static void cancel_watched(void *context) {
    filch_future_cancel(((struct watched *)context)->f);
}
struct cancel_ending {
    filch_executor *executor;
    unsigned flags;
    int rc;
    bool cancelled, destroyed;
    uint32_t returned;
    struct watched w;
};
static void end_and_look(void *context) {
    struct cancel_ending *ending = context;
    ending->rc = filch_executor_shutdown(ending->executor, ending->flags);
    ending->cancelled = filch_future_done(ending->w.f) && filch_future_cancelled(ending->w.f);
    ending->destroyed = ending->w.destroyed == 1;
    flag_raise(&ending->returned);
}

/* A thread that cancels is stopped in between. The worker meets the entry and drops it, so that it is in no
 * queue and no hand; or the worker is busy, and the entry is queued. */
static void end_with_a_canceller_stopped(unsigned flags, bool dropped) {
    struct cancel_ending ending = {.executor = executor_of(1), .flags = flags};
    struct gate gate;
    filch_future *first = occupy(ending.executor, &gate);
    ok(watch(ending.executor, &ending.w));
    struct stopper *cancelling = stop_at("future.cancelling"),
                   *awaiting = stop_at("home.await.cancels");
    pthread_t canceller = thread_start(cancel_watched, &ending.w);
    stopper_wait_reached(cancelling);
    if (dropped) {
        filch_future *behind = submit_to(ending.executor, do_nothing, NULL, 0, 0);
        flag_raise(&gate.open);
        cr_assert_eq(finish(behind), 0);
    }
    pthread_t thread = thread_start(end_and_look, &ending);
    if (!dropped && (flags & FILCH_WAIT) != 0) flag_raise(&gate.open);
    while (!stopper_is_reached(awaiting) && filch_load_acquire(&ending.returned) == 0)
        sched_yield();
    stopper_release(awaiting);
    stopper_release(cancelling);
    thread_finish(canceller);
    thread_finish(thread);
    cr_assert_eq(ending.rc, 0);
    cr_assert(ending.cancelled && ending.destroyed, "it has returned before the cancel had ended");
    cr_assert(was_cancelled(&ending.w));
    filch_future_release(ending.w.f);
    open_gate(&gate, first);
    ok(filch_executor_destroy(ending.executor));
}

Test(shutdown, waits_for_a_thread_that_cancels) {
    for (int i = 1; i < FLAGS; i++) {
        end_with_a_canceller_stopped(all_flags[i], true);
        end_with_a_canceller_stopped(all_flags[i], false);
    }
}

/* The destructor of what is cancelled ends the executor, while another thread does. Neither waits for the
 * other. */
struct end_in_destructor {
    filch_executor *executor;
    uint32_t inside, go_on;
    int rc;
};
static void end_inside(void *arg) {
    struct end_in_destructor *d = *(struct end_in_destructor **)arg;
    flag_raise(&d->inside);
    flag_wait(&d->go_on);
    d->rc = filch_executor_shutdown(d->executor, FILCH_CANCEL_PENDING);
}
static void cancel_future(void *f) {
    filch_future_cancel(f);
}
static void end_executor(void *executor) {
    filch_executor_shutdown(executor, FILCH_CANCEL_PENDING);
}

Test(shutdown, in_a_destructor_while_another_thread_waits_for_it) {
    struct end_in_destructor d = {executor_of(1), 0, 0, -1}, *pointer = &d;
    struct gate gate;
    filch_task task = FILCH_TASK_INIT;
    filch_future *f = NULL, *first = occupy(d.executor, &gate);
    task.fn = do_nothing;
    task.arg = &pointer;
    task.arg_size = sizeof pointer;
    task.arg_destroy = end_inside;
    ok(filch_submit_task(d.executor, &task, &f));
    pthread_t canceller = thread_start(cancel_future, f);
    flag_wait(&d.inside);
    struct stopper *awaiting = stop_at("home.await.cancels");
    pthread_t thread = thread_start(end_executor, d.executor);
    stopper_wait_reached(awaiting);
    stopper_release(awaiting);
    flag_raise(&d.go_on);
    thread_finish(canceller);
    thread_finish(thread);
    cr_assert_eq(d.rc, 0);
    cr_assert_eq(finish(f), FILCH_ECANCELED);
    open_gate(&gate, first);
    ok(filch_executor_destroy(d.executor));
}

/* Who starts the first thread is stopped before it has noted that there is one. The thread finds the executor
 * closed and leaves for ever; the shutdown does not return before it has joined it. */
struct first_submit {
    filch_executor *executor;
    int rc;
    filch_future *f;
};
static void submit_first(void *context) {
    struct first_submit *s = context;
    s->rc = filch_submit(s->executor, do_nothing, NULL, 0, 0, &s->f);
}

Test(shutdown, joins_a_thread_whose_starter_is_stopped) {
    for (int i = 0; i < 10; i++) {
        struct first_submit s = {executor_of(1), -1, NULL};
        struct cancel_ending ending = {.executor = s.executor, .flags = FILCH_WAIT, .rc = -1};
        struct stopper *started = stop_at("crew.started"), *joining = stop_at("shutdown.handle");
        pthread_t starter = thread_start(submit_first, &s);
        stopper_wait_reached(started);
        pthread_t thread = thread_start(end_and_look, &ending);
        while (!stopper_is_reached(joining) && filch_load_acquire(&ending.returned) == 0)
            sched_yield();
        cr_assert_eq(filch_load_acquire(&ending.returned), 0, "it waits for the handle");
        stopper_release(joining);
        stopper_release(started);
        thread_finish(starter);
        thread_finish(thread);
        cr_assert_eq(ending.rc, 0);
        cr_assert(s.rc == FILCH_ESHUTDOWN && s.f == NULL);
        ok(filch_executor_destroy(s.executor));
    }
}

/* In tasks ------------------------------------------------------------------------------------ */

static int end_in_a_task(void *arg, void *result) {
    struct ending *ending = *(struct ending **)arg;
    (void)result;
    end_it(ending);
    return 0;
}

Test(shutdown, in_a_task_without_waiting) {
    struct watched w[20];
    struct ending ending = {executor_of(1), FILCH_CANCEL_PENDING, -1, 0, w, 20, 0};
    struct gate gate;
    filch_future *first = occupy(ending.executor, &gate);
    filch_future *f = submit_pointer(ending.executor, end_in_a_task, &ending);
    for (int i = 0; i < 20; i++) ok(watch(ending.executor, &w[i]));
    open_gate(&gate, first);
    cr_assert_eq(finish(f), 0);
    ok(filch_executor_destroy(ending.executor));
    cr_assert_eq(ending.rc, 0);
    cr_assert_eq(ending.wrong, 0);
    for (int i = 0; i < 20; i++) {
        cr_assert(was_cancelled(&w[i]));
        filch_future_release(w[i].f);
    }
}

Test(shutdown, in_a_task_of_another_executor_that_waits) {
    struct ending ending = {executor_of(2), FILCH_WAIT, -1, 0, NULL, 0, 0};
    filch_executor *other = executor_of(1);
    struct watched w[50];
    for (int i = 0; i < 50; i++) ok(watch(ending.executor, &w[i]));
    cr_assert_eq(finish(submit_pointer(other, end_in_a_task, &ending)), 0);
    cr_assert_eq(ending.rc, 0);
    for (int i = 0; i < 50; i++) {
        cr_assert(has_run(&w[i]));
        filch_future_release(w[i].f);
    }
    ok(filch_executor_destroy(ending.executor));
    ok(filch_executor_destroy(other));
}

/* With FILCH_WAIT all callbacks have ended, too. */
static void note_late(filch_future *f, void *context) {
    (void)f;
    usleep(300);
    add(context, 1);
}

Test(shutdown, waits_for_callbacks) {
    for (int i = 0; i < 10; i++) {
        filch_executor *e = executor_of(2);
        int called = 0;
        for (int k = 0; k < 4; k++) {
            filch_future *f = submit_to(e, do_nothing, NULL, 0, 0);
            ok(filch_future_add_done_callback(f, note_late, &called));
            filch_future_release(f);
        }
        ok(filch_executor_shutdown(e, FILCH_WAIT));
        cr_assert_eq(called, 4);
        ok(filch_executor_destroy(e));
    }
}

/* A waiter from outside is told of the cancellation. */
static void wait_and_note(void *context) {
    struct ending *ending = context;
    ending->rc = filch_future_result(ending->w->f, NULL, FILCH_FOREVER);
    flag_raise(&ending->returned);
}

Test(shutdown, tells_waiters_of_the_cancellation) {
    for (int i = 0; i < 20; i++) {
        filch_executor *e = executor_of(1);
        struct gate gate;
        struct watched w;
        struct stopper *stop;
        filch_future *first = occupy(e, &gate);
        ok(watch(e, &w));
        struct ending waiting = {e, 0, -1, 0, &w, 1, 0};
        stop = stop_at("future.sleep");
        pthread_t thread = thread_start(wait_and_note, &waiting);
        if (i % 2 == 0) stopper_wait_reached(stop);
        ok(filch_executor_shutdown(e, FILCH_CANCEL_PENDING));
        stopper_release(stop);
        thread_finish(thread);
        cr_assert_eq(waiting.rc, FILCH_ECANCELED);
        open_gate(&gate, first);
        ok(filch_executor_destroy(e));
        filch_future_release(w.f);
    }
}

/* What another has cancelled before stands between them in the queue. */
Test(shutdown, one_that_was_cancelled_before_stops_nothing) {
    enum { MANY = 9 };
    filch_executor *e = executor_of(1);
    struct gate gate;
    filch_future *futures[MANY], *first = occupy(e, &gate);
    for (int i = 0; i < MANY; i++) futures[i] = submit_to(e, do_nothing, NULL, 0, 0);
    for (int i = 0; i < MANY; i += 3) cr_assert(filch_future_cancel(futures[i]));
    ok(filch_executor_shutdown(e, FILCH_CANCEL_PENDING));
    for (int i = 0; i < MANY; i++) {
        cr_assert(filch_future_cancelled(futures[i]), "future %d is left", i);
        filch_future_release(futures[i]);
    }
    open_gate(&gate, first);
    ok(filch_executor_destroy(e));
}

Test(shutdown, with_futures_alive_and_cancelled) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    struct watched w[40];
    filch_future *first = occupy(e, &gate);
    for (int i = 0; i < 40; i++) ok(watch(e, &w[i]));
    for (int i = 0; i < 40; i += 2) cr_assert(filch_future_cancel(w[i].f));
    flag_raise(&gate.open);
    ok(filch_executor_destroy(e));
    for (int i = 0; i < 40; i++) {
        cr_assert(i % 2 == 0 ? was_cancelled(&w[i]) : has_run(&w[i]), "future %d", i);
        filch_future_release(w[i].f);
    }
    cr_assert_eq(finish(first), 0);
}
