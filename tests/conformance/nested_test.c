/* nested_test.c: tasks that wait, and tasks that block: who runs meanwhile, and where.
 *
 * SPDX-License-Identifier: MIT */
#include <sched.h>
#include "factory.h"

TestSuite(conformance_nested, .timeout = 30);

/* The code of the future, which is released; in tasks. */
static int take(filch_future *f) {
    int rc = filch_future_result(f, NULL, FILCH_FOREVER);
    filch_future_release(f);
    return rc;
}

/* Trees and depth ----------------------------------------------------------------------------------- */

static int fib(void *arg, void *result) {
    int n = *(int *)arg, below = n - 1, other = n - 2, a = 0, b = 0;
    filch_future *f, *g;
    *(int *)result = n;
    if (n < 2) return 0;
    int rc = filch_submit(filch_current_executor(), fib, &below, sizeof below, sizeof a, &f);
    if (rc != 0) return rc;
    rc = filch_submit(filch_current_executor(), fib, &other, sizeof other, sizeof b, &g);
    if (rc != 0) return rc;
    rc = filch_future_result(f, &a, FILCH_FOREVER);
    if (rc == 0) rc = filch_future_result(g, &b, FILCH_FOREVER);
    filch_future_release(f);
    filch_future_release(g);
    *(int *)result = a + b;
    return rc;
}

/* R-WORKER-11, R-INSIDE-4 */
Test(conformance_nested, a_tree_on_any_number_of_workers) {
    static const int workers[] = {1, 2, 3, 7, 16};
    for (int i = 0; i < 5; i++) {
        filch_executor *e = make_executor(workers[i]);
        filch_future *f = submit_int(e, fib, 14);
        int value = 0;
        ok(filch_future_result(f, &value, FILCH_FOREVER));
        cr_assert_eq(value, 377, "%d workers", workers[i]);
        filch_future_release(f);
        ok(filch_executor_destroy(e));
    }
}

static int count_down(void *arg, void *result) {
    int depth = *(int *)arg - 1, below = 0;
    if (depth >= 0) {
        filch_future *f;
        int rc = filch_submit(filch_current_executor(), count_down, &depth, sizeof depth,
                              sizeof below, &f);
        if (rc != 0) return rc;
        rc = filch_future_result(f, &below, FILCH_FOREVER);
        filch_future_release(f);
        if (rc != 0) return rc;
    }
    *(int *)result = below + 1;
    return 0;
}

/* R-WORKER-9, R-WORKER-1. A worker that is a process holds some 64 tasks on its stack, and then spare workers must help: what is
 * too deep ends with a code. */
Test(conformance_nested, a_thousand_waits_on_top_of_each_other) {
    bool bounded = (factory()->properties & OWN_QUEUES) == 0;
    for (int workers = 1; workers <= 2; workers++) {
        filch_executor *e = make_executor(workers);
        int value = 0, depth = bounded ? 50 : 1000;
        filch_future *f = submit_int(e, count_down, depth);
        ok(filch_future_result(f, &value, FILCH_FOREVER));
        cr_assert_eq(value, depth + 1);
        filch_future_release(f);
        f = submit_int(e, count_down, 2000);
        int rc = filch_future_result(f, &value, FILCH_FOREVER);
        cr_assert(rc == 0 || (bounded && rc == FILCH_EAGAIN));
        filch_future_release(f);
        ok(filch_executor_destroy(e));
    }
}

enum { CHILDREN = 12 };
static int wait_out_of_order(void *arg, void *result) {
    static const int order[CHILDREN] = {5, 0, 11, 6, 1, 10, 4, 7, 2, 9, 3, 8};
    filch_future *children[CHILDREN];
    (void)arg;
    (void)result;
    for (int i = 0; i < CHILDREN; i++)
        if (filch_submit(filch_current_executor(), square, &i, sizeof i, sizeof i, &children[i]))
            return 1;
    for (int i = 0; i < CHILDREN; i++) {
        int value = -1, place = order[i];
        if (filch_future_result(children[place], &value, FILCH_FOREVER) != 0) return 2;
        if (value != place * place) return 3;
        filch_future_release(children[place]);
    }
    return 0;
}

/* R-WORKER-1 */
Test(conformance_nested, children_are_awaited_in_any_order) {
    for (int workers = 1; workers <= 2; workers++) {
        filch_executor *e = make_executor(workers);
        for (int i = 0; i < 20; i++)
            cr_assert_eq(finish(submit_to(e, wait_out_of_order, NULL, 0, 0)), 0);
        ok(filch_executor_destroy(e));
    }
}

/* Futures from outside -------------------------------------------------------------------------------- */

/* In memory of the program. */
struct awaited {
    filch_future *future;
    int published;
};
static int await_published(void *arg, void *result) {
    struct awaited *awaited = *(struct awaited **)arg;
    wait_for_count(&awaited->published, 1);
    return filch_future_result(awaited->future, result, FILCH_FOREVER);
}

/* R-WORKER-2: it stands in the queue from outside, behind others. */
Test(conformance_nested, the_only_worker_awaits_what_is_queued_outside) {
    needs(SAME_MEMORY);
    filch_executor *e = make_executor(1);
    for (int i = 0; i < 20; i++) {
        struct awaited awaited = {NULL, 0}, *pointer = &awaited;
        filch_future *waits = submit_to(e, await_published, &pointer, sizeof pointer, sizeof(int));
        filch_future *between = submit_int(e, square, 1);
        int value = 0;
        awaited.future = submit_int(e, square, 7);
        add(&awaited.published, 1);
        ok(filch_future_result(waits, &value, FILCH_FOREVER));
        cr_assert_eq(value, 49);
        cr_assert_eq(finish(between), 0);
        filch_future_release(waits);
        filch_future_release(awaited.future);
    }
    ok(filch_executor_destroy(e));
}

/* R-WORKER-2, R-WORKER-10: the only workers of two executors wait for what is queued at the other. */
Test(conformance_nested, two_executors_wait_for_each_other) {
    needs(SAME_MEMORY);
    for (int i = 0; i < 20; i++) {
        filch_executor *e[2] = {make_executor(1), make_executor(1)};
        struct awaited awaited[2] = {{NULL, 0}, {NULL, 0}};
        filch_future *waits[2];
        for (int k = 0; k < 2; k++) {
            struct awaited *pointer = &awaited[k];
            waits[k] = submit_to(e[k], await_published, &pointer, sizeof pointer, sizeof(int));
            while (!filch_future_running(waits[k])) sched_yield();
        }
        for (int k = 0; k < 2; k++) awaited[k].future = submit_int(e[1 - k], square, 3 + k);
        for (int k = 0; k < 2; k++) add(&awaited[k].published, 1);
        for (int k = 0; k < 2; k++) {
            int value = 0;
            ok(filch_future_result(waits[k], &value, FILCH_FOREVER));
            cr_assert_eq(value, (3 + k) * (3 + k));
            filch_future_release(waits[k]);
            filch_future_release(awaited[k].future);
        }
        ok(filch_executor_destroy(e[0]));
        ok(filch_executor_destroy(e[1]));
    }
}

/* R-WORKER-4: all workers are parked, and what they wait for comes from a task behind them. */
Test(conformance_nested, others_run_in_the_place_of_those_that_are_parked) {
    needs(SAME_MEMORY);
    enum { WAITING = 4 };
    for (int workers = 1; workers <= 2; workers++) {
        filch_executor *e = make_executor(workers);
        struct held elsewhere = {{shared_alloc(sizeof(int)), shared_alloc(sizeof(int))}, NULL};
        filch_executor *other = make_executor(1);
        struct awaited awaited = {NULL, 0}, *pointer = &awaited;
        filch_future *waits[WAITING];
        elsewhere.future = submit_to(other, stay, &elsewhere.hold, sizeof elsewhere.hold, 0);
        shared_wait(elsewhere.hold.reached, 1);
        awaited.future = elsewhere.future;
        add(&awaited.published, 1);
        for (int i = 0; i < WAITING; i++)
            waits[i] = submit_to(e, await_published, &pointer, sizeof pointer, 0);
        cr_assert_eq(finish(submit_shared(e, add_one, elsewhere.hold.open)), 0);
        for (int i = 0; i < WAITING; i++) cr_assert_eq(finish(waits[i]), 0);
        filch_future_release(elsewhere.future);
        ok(filch_executor_destroy(e));
        ok(filch_executor_destroy(other));
    }
}

/* What runs on top ------------------------------------------------------------------------------------ */

static _Thread_local int waiting_here;
struct on_top {
    struct shared runs, seen;
};
static int note_what_lies_below(void *arg, void *result) {
    struct on_top *on_top = arg;
    (void)result;
    if (waiting_here) shared_add(on_top->seen, 1);
    shared_add(on_top->runs, 1);
    return 0;
}
static int wait_and_mark(void *arg, void *result) {
    waiting_here = 1;
    int rc = await_published(arg, result);
    waiting_here = 0;
    return rc;
}

/* R-WORKER-6 */
Test(conformance_nested, nothing_unrelated_runs_on_top_of_what_waits) {
    needs(SAME_MEMORY);
    enum { STRANGERS = 50 };
    for (int workers = 1; workers <= 2; workers++) {
        filch_executor *e = make_executor(workers);
        struct on_top on_top = {shared_alloc(sizeof(int)), shared_alloc(sizeof(int))};
        struct awaited awaited = {NULL, 0}, *pointer = &awaited;
        ok(filch_promise(0, &awaited.future));
        add(&awaited.published, 1);
        filch_future *waits = submit_to(e, wait_and_mark, &pointer, sizeof pointer, 0);
        while (!filch_future_running(waits)) sched_yield();
        for (int i = 0; i < STRANGERS; i++)
            ok(filch_submit(e, note_what_lies_below, &on_top, sizeof on_top, 0, NULL));
        shared_wait(on_top.runs, STRANGERS); /* while it waits */
        cr_assert(filch_future_running(waits));
        ok(filch_promise_set(awaited.future, NULL, 0));
        cr_assert_eq(finish(waits), 0);
        filch_future_release(awaited.future);
        ok(filch_executor_destroy(e));
        cr_assert_eq(shared_read(on_top.seen), 0);
    }
}

/* The child runs elsewhere meanwhile. */
struct strange {
    struct hold hold;
    struct shared waits;
};
static int wait_for_a_child_elsewhere(void *arg, void *result) {
    struct strange *strange = arg;
    filch_future *f;
    (void)result;
    int rc =
        filch_submit(filch_current_executor(), stay, &strange->hold, sizeof strange->hold, 0, &f);
    if (rc != 0) return rc;
    shared_wait(strange->hold.reached, 1);
    waiting_here = 1;
    shared_add(strange->waits, 1);
    rc = take(f);
    waiting_here = 0;
    return rc;
}

/* R-WORKER-6, R-WORKER-4: others run in the place of the one that waits, and not on top of it. */
Test(conformance_nested, strangers_run_elsewhere_while_a_task_waits_for_its_child) {
    enum { STRANGERS = 50 };
    filch_executor *e = make_executor(2);
    struct on_top on_top = {shared_alloc(sizeof(int)), shared_alloc(sizeof(int))};
    struct strange strange = {{shared_alloc(sizeof(int)), shared_alloc(sizeof(int))},
                              shared_alloc(sizeof(int))};
    filch_future *waits = submit_to(e, wait_for_a_child_elsewhere, &strange, sizeof strange, 0);
    shared_wait(strange.waits, 1); /* both workers are taken */
    for (int i = 0; i < STRANGERS; i++)
        ok(filch_submit(e, note_what_lies_below, &on_top, sizeof on_top, 0, NULL));
    shared_wait(on_top.runs, STRANGERS);
    cr_assert(filch_future_running(waits));
    shared_add(strange.hold.open, 1);
    cr_assert_eq(finish(waits), 0);
    ok(filch_executor_destroy(e));
    cr_assert_eq(shared_read(on_top.seen), 0);
}

/* Two workers, both busy: one in a task that lasts until its child, or that of the one that waits for it, has
 * run. Nobody else is there: the waiting worker runs it. */
struct family {
    filch_future *lasting;
    struct hold hold;
    int index, child_index, children, submit_code;
};
static int be_a_child(void *arg, void *result) {
    struct family *family = *(struct family **)arg;
    (void)result;
    family->child_index = filch_worker_index();
    add(&family->children, 1);
    return 0;
}
static int last_until_a_child_has_run(void *arg, void *result) {
    struct family *family = *(struct family **)arg;
    (void)result;
    wait_for_count(&family->children, 1);
    return 0;
}
static int submit_a_child_and_last(void *arg, void *result) {
    struct family *family = *(struct family **)arg;
    family->submit_code =
        filch_submit(filch_current_executor(), be_a_child, arg, sizeof family, 0, NULL);
    shared_add(family->hold.reached, 1);
    return last_until_a_child_has_run(arg, result);
}
static int wait_for_the_lasting(void *arg, void *result) {
    struct family *family = *(struct family **)arg;
    (void)result;
    shared_wait(family->hold.open, 1);
    family->index = filch_worker_index();
    return filch_future_result(family->lasting, NULL, FILCH_FOREVER);
}
static int submit_a_child_and_wait(void *arg, void *result) {
    struct family *family = *(struct family **)arg;
    shared_wait(family->hold.open, 1);
    family->submit_code =
        filch_submit(filch_current_executor(), be_a_child, arg, sizeof family, 0, NULL);
    return wait_for_the_lasting(arg, result);
}

static int submit_a_child_and_wait_isolated(void *arg, void *result) {
    struct family *family = *(struct family **)arg;
    (void)result;
    shared_wait(family->hold.open, 1);
    family->submit_code =
        filch_submit(filch_current_executor(), be_a_child, arg, sizeof family, 0, NULL);
    family->index = filch_worker_index();
    return filch_future_result_isolated(family->lasting, NULL, FILCH_FOREVER);
}

/* Does the child run on the worker that waits? */
static void check_family(filch_task_fn *lasting, filch_task_fn *waiting, bool child_first,
                         bool on_top) {
    for (int i = 0; i < 20; i++) {
        filch_executor *e = make_executor(2);
        struct family family = {.hold = {shared_alloc(sizeof(int)), shared_alloc(sizeof(int))}};
        struct family *pointer = &family;
        filch_future *waits = submit_pointer(e, waiting, pointer);
        while (!filch_future_running(waits)) sched_yield();
        family.lasting = submit_pointer(e, lasting, pointer);
        if (child_first) shared_wait(family.hold.reached, 1);
        while (!filch_future_running(family.lasting)) sched_yield();
        shared_add(family.hold.open, 1);
        cr_assert_eq(finish(waits), 0);
        cr_assert_eq(family.submit_code, 0);
        cr_assert_eq(family.child_index == family.index, on_top);
        filch_future_release(family.lasting);
        ok(filch_executor_destroy(e));
    }
}

/* R-WORKER-3 */
Test(conformance_nested, who_waits_runs_descendants_of_the_awaited_task) {
    needs(SAME_MEMORY);
    check_family(submit_a_child_and_last, wait_for_the_lasting, true, true);
}
/* R-WORKER-3 */
Test(conformance_nested, who_waits_runs_descendants_of_its_own) {
    needs(SAME_MEMORY);
    check_family(last_until_a_child_has_run, submit_a_child_and_wait, false, true);
}
/* R-RESULT-6: it parks, and another one runs the child in its place. */
Test(conformance_nested, who_waits_isolated_runs_no_descendants) {
    needs(SAME_MEMORY);
    check_family(last_until_a_child_has_run, submit_a_child_and_wait_isolated, false, false);
}

/* Deadlocks -------------------------------------------------------------------------------------------- */

/* R-WORKER-7 */
Test(conformance_nested, a_wait_for_oneself_is_edeadlk) {
    needs(SAME_MEMORY);
    for (int workers = 1; workers <= 2; workers++) {
        filch_executor *e = make_executor(workers);
        struct awaited awaited = {NULL, 0}, *pointer = &awaited;
        awaited.future = submit_to(e, await_published, &pointer, sizeof pointer, sizeof(int));
        add(&awaited.published, 1);
        cr_assert_eq(filch_future_result(awaited.future, NULL, FILCH_FOREVER), FILCH_EDEADLK);
        cr_assert_eq(finish(submit_int(e, square, 2)), 0, "the executor lives");
        filch_future_release(awaited.future);
        ok(filch_executor_destroy(e));
    }
}

static int await_the_parent(void *arg, void *result) {
    struct awaited *awaited = *(struct awaited **)arg;
    (void)result;
    return filch_future_result(awaited->future, NULL, FILCH_FOREVER) == FILCH_EDEADLK ? 0 : 1;
}
static int await_a_child_that_awaits_us(void *arg, void *result) {
    struct awaited *awaited = *(struct awaited **)arg;
    filch_future *f;
    (void)result;
    wait_for_count(&awaited->published, 1);
    if (filch_submit(filch_current_executor(), await_the_parent, arg, sizeof awaited, 0, &f) != 0)
        return 1;
    return take(f);
}

/* R-WORKER-7: the child runs on top of its parent. */
Test(conformance_nested, a_wait_for_what_stands_below_is_edeadlk) {
    needs(SAME_MEMORY);
    filch_executor *e = make_executor(1);
    struct awaited awaited = {NULL, 0}, *pointer = &awaited;
    awaited.future = submit_pointer(e, await_a_child_that_awaits_us, pointer);
    add(&awaited.published, 1);
    cr_assert_eq(filch_future_result(awaited.future, NULL, FILCH_FOREVER), 0);
    filch_future_release(awaited.future);
    ok(filch_executor_destroy(e));
}

/* R-WORKER-8 */
Test(conformance_nested, a_circle_of_waits_is_edeadlk_for_one) {
    needs(SAME_MEMORY);
    for (int i = 0; i < 10; i++) {
        filch_executor *e = make_executor(2);
        struct awaited sides[2] = {{NULL, 0}, {NULL, 0}};
        for (int k = 0; k < 2; k++) {
            struct awaited *pointer = &sides[k];
            sides[1 - k].future =
                submit_to(e, await_published, &pointer, sizeof pointer, sizeof(int));
        }
        for (int k = 0; k < 2; k++)
            while (!filch_future_running(sides[k].future)) sched_yield();
        for (int k = 0; k < 2; k++) add(&sides[k].published, 1);
        int a = filch_future_result(sides[0].future, NULL, FILCH_FOREVER);
        int b = filch_future_result(sides[1].future, NULL, FILCH_FOREVER);
        cr_assert(a == FILCH_EDEADLK || b == FILCH_EDEADLK, "%d and %d", a, b);
        filch_future_release(sides[0].future);
        filch_future_release(sides[1].future);
        ok(filch_executor_destroy(e));
    }
}

/* How many run ------------------------------------------------------------------------------------------ */

struct crowd {
    struct shared inside, most;
};
static int join_crowd(void *arg, void *result) {
    struct crowd *crowd = arg;
    int *most = shared_at(crowd->most), now = shared_add(crowd->inside, 1), seen = read_int(most);
    (void)result;
    while (now > seen && !filch_cas_acq_rel(most, &seen, now)) continue;
    linger(3);
    shared_add(crowd->inside, -1);
    return 0;
}

/* R-OPTION-3 */
Test(conformance_nested, never_more_tasks_run_than_max_workers) {
    for (int workers = 1; workers <= 3; workers++) {
        filch_executor *e = make_executor(workers);
        struct crowd crowd = {shared_alloc(sizeof(int)), shared_alloc(sizeof(int))};
        for (int i = 0; i < 300; i++)
            ok(filch_submit(e, join_crowd, &crowd, sizeof crowd, 0, NULL));
        ok(filch_executor_destroy(e));
        cr_assert(shared_read(crowd.most) <= workers && shared_read(crowd.inside) == 0);
    }
}

/* R-WORKER-5: nor after some were parked and others ran in their place. */
Test(conformance_nested, no_more_than_max_workers_run_after_waits) {
    needs(SAME_MEMORY);
    enum { WAITING = 4 };
    for (int workers = 1; workers <= 2; workers++) {
        filch_executor *e = make_executor(workers);
        struct crowd crowd = {shared_alloc(sizeof(int)), shared_alloc(sizeof(int))};
        struct awaited awaited = {NULL, 0}, *pointer = &awaited;
        filch_future *waits[WAITING];
        ok(filch_promise(0, &awaited.future));
        add(&awaited.published, 1);
        for (int i = 0; i < WAITING; i++)
            waits[i] = submit_to(e, await_published, &pointer, sizeof pointer, 0);
        cr_assert_eq(finish(submit_int(e, square, 1)), 0); /* all are parked */
        ok(filch_promise_set(awaited.future, NULL, 0));
        for (int i = 0; i < WAITING; i++) cr_assert_eq(finish(waits[i]), 0);
        settle(e);
        for (int i = 0; i < 300; i++)
            ok(filch_submit(e, join_crowd, &crowd, sizeof crowd, 0, NULL));
        filch_future_release(awaited.future);
        ok(filch_executor_destroy(e));
        cr_assert_leq(shared_read(crowd.most), workers);
    }
}

/* Blocking ----------------------------------------------------------------------------------------------- */

struct guests {
    struct shared here, most, codes;
    int wanted;
};
/* Blocks until so many block. */
static int block_together(void *arg, void *result) {
    struct guests *guests = arg;
    (void)result;
    int rc = filch_blocking_begin();
    shared_add(guests->here, 1);
    shared_wait(guests->here, guests->wanted);
    return rc != 0 ? rc : filch_blocking_end();
}

/* R-BLOCKING-1 */
Test(conformance_nested, others_run_in_the_place_of_those_that_block) {
    enum { GUESTS = 4 };
    for (int workers = 1; workers <= 2; workers++) {
        filch_executor *e = make_executor(workers);
        struct guests guests = {shared_alloc(sizeof(int)), {0, 0, 0}, {0, 0, 0}, GUESTS};
        filch_future *futures[GUESTS];
        for (int i = 0; i < GUESTS; i++)
            futures[i] = submit_to(e, block_together, &guests, sizeof guests, 0);
        for (int i = 0; i < GUESTS; i++) cr_assert_eq(finish(futures[i]), 0);
        ok(filch_executor_destroy(e));
    }
}

static int block_for_a_moment(void *arg, void *result) {
    struct guests *guests = arg;
    (void)result;
    int rc = filch_blocking_begin();
    int *most = shared_at(guests->most), now = shared_add(guests->here, 1), seen = read_int(most);
    while (now > seen && !filch_cas_acq_rel(most, &seen, now)) continue;
    linger(10);
    shared_add(guests->here, -1);
    return rc != 0 ? rc : filch_blocking_end();
}

/* R-BLOCKING-2, R-INSIDE-3: so many as may be workers and spares, and no more. */
Test(conformance_nested, no_more_block_than_there_may_be_workers) {
    enum { GUESTS = 300 };
    filch_executor *e = make_executor(1);
    struct guests guests = {shared_alloc(sizeof(int)), shared_alloc(sizeof(int)), {0, 0, 0}, 0};
    static filch_future *futures[GUESTS];
    for (int i = 0; i < GUESTS; i++)
        futures[i] = submit_to(e, block_for_a_moment, &guests, sizeof guests, 0);
    for (int i = 0; i < GUESTS; i++) cr_assert_eq(finish(futures[i]), 0);
    cr_assert_leq(shared_read(guests.most), filch_executor_worker_limit(e));
    cr_assert_leq(stats_of(e).workers_started, (uint64_t)filch_executor_worker_limit(e));
    ok(filch_executor_destroy(e));
}

static int end_and_nest(void *arg, void *result) {
    (void)arg;
    (void)result;
    if (filch_blocking_end() != FILCH_ESTATE) return 1;
    if (filch_blocking_begin() != 0 || filch_blocking_begin() != 0) return 2;
    if (filch_blocking_end() != 0 || filch_blocking_end() != 0) return 3;
    if (filch_blocking_end() != FILCH_ESTATE) return 4;
    return filch_blocking_begin(); /* what is not ended ends with the task */
}

/* R-BLOCKING-1 */
Test(conformance_nested, blocking_comes_in_pairs) {
    filch_executor *e = make_executor(1);
    ok(filch_blocking_begin());
    ok(filch_blocking_end());
    for (int i = 0; i < 10; i++) cr_assert_eq(finish(submit_to(e, end_and_nest, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(e));
}
