/* hub_test.c: who is told of a future's end (hub.h), and the waiter for a set (gather.h).
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "gather.h"
#include "hub.h"
#include "os/clock.h"
#include "os/fault.h"
#include "promise.h"
#include "support.h"
#include <criterion/criterion.h>
#include <filch/promise.h>
#include <sched.h>
#include <string.h>

TestSuite(hub, .timeout = 30);
TestSuite(gather, .timeout = 30);

static filch_future *promise(void) {
    filch_future *f = filch__promise_create(0, false);
    cr_assert_not_null(f);
    return f;
}
static void set_it(void *f) {
    filch_promise_set(f, NULL, 0);
}
static void fail_it(void *f) {
    filch_promise_fail(f, 2, NULL);
}
static struct filch__gathering *gathering(size_t n, enum filch__gather_for what) {
    struct filch__gathering *g = filch__gathering_create(n, what);
    cr_assert_not_null(g);
    return g;
}

/* Cells ------------------------------------------------------------------------------------------- */

/* As many cells as registrations at a time, within a factor of two; each of them is told once. */
Test(hub, every_slot_has_its_own_cell) {
    enum { N = 1000 };
    long before = filch__fault_live_blocks();
    filch_future *f = promise();
    struct filch__gathering *g = gathering(N, GATHER_EACH);
    for (size_t i = 0; i < N; i++) cr_assert_eq(filch__gathering_add(g, i, f), REGISTERED);
    cr_assert_eq(f->hub->cells, N);
    for (size_t i = 0; i < N; i++)
        for (size_t k = 0; k < i; k += 97) cr_assert_neq(g->slots[i].cell, g->slots[k].cell);
    set_it(f);
    cr_assert_eq(g->word / GATHER_REFERENCE, 1, "only the waiter's is left");
    size_t told = 0;
    struct filch__link *link = filch__stack_take_all(&g->done);
    for (; link != NULL; link = filch__link_next(link)) told++;
    cr_assert_eq(told, N);
    filch__gathering_leave(g);
    filch_future_release(f);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

Test(hub, cells_are_used_again) {
    filch_future *f = promise();
    struct filch__gathering *g = gathering(16, GATHER_FIRST);
    for (int round = 0; round < 20000; round++) {
        size_t n = (size_t)round % 16 + 1;
        for (size_t i = 0; i < n; i++) cr_assert_eq(filch__gathering_add(g, i, f), REGISTERED);
        for (size_t i = 0; i < n; i++) cr_assert(filch__gathering_remove(g, i));
    }
    cr_assert_leq(f->hub->cells, 2 * 16 + 1, "%u cells", f->hub->cells);
    cr_assert_eq(f->hub->used, 0);
    filch__gathering_leave(g);
    filch_future_release(f);
}

/* The same by several threads at once, each with a few slots. */
struct crowd {
    filch_future *future;
    int rounds, refused;
};
enum { CROWD = 4, EACH = 3 };
static void come_and_go(int index, void *context) {
    struct crowd *c = context;
    (void)index;
    struct filch__gathering *g = filch__gathering_create(EACH, GATHER_FIRST);
    if (g == NULL) return;
    for (int round = 0; round < c->rounds; round++) {
        for (size_t i = 0; i < EACH; i++)
            if (filch__gathering_add(g, i, c->future) != REGISTERED)
                fetch_add_relaxed(&c->refused, 1);
        if (round % 64 == 0) sched_yield();
        for (size_t i = 0; i < EACH; i++)
            if (!filch__gathering_remove(g, i)) fetch_add_relaxed(&c->refused, 1);
    }
    filch__gathering_leave(g);
}

Test(hub, threads_that_come_and_go_share_few_cells) {
    struct crowd c = {promise(), stress(20000), 0};
    run_threads(CROWD, come_and_go, &c);
    cr_assert_eq(c.refused, 0);
    cr_assert_leq(c.future->hub->cells, 2 * CROWD * EACH + CROWD, "%u cells", c.future->hub->cells);
    cr_assert_eq(c.future->hub->used, 0);
    set_it(c.future);
    filch_future_release(c.future);
}

Test(hub, registering_where_it_is_done_is_too_late) {
    filch_future *f = promise();
    struct filch__gathering *g = gathering(4, GATHER_EACH);
    cr_assert_eq(filch__gathering_add(g, 0, f), REGISTERED);
    set_it(f);
    for (size_t i = 1; i < 4; i++) cr_assert_eq(filch__gathering_add(g, i, f), REGISTER_TOO_LATE);
    cr_assert_not(filch__gathering_remove(g, 0), "it was told");
    filch__gathering_leave(g);
    filch_future_release(f);

    f = promise();
    set_it(f);
    g = gathering(1, GATHER_FIRST);
    cr_assert_eq(filch__gathering_add(g, 0, f), REGISTER_TOO_LATE, "without a hub");
    filch__gathering_leave(g);
    filch_future_release(f);
}

Test(hub, no_memory) {
    filch_future *f = promise();
    struct filch__gathering *g = gathering(10, GATHER_FIRST);
    long before = filch__fault_live_blocks();
    filch__fault_plan(FILCH__FAULT_ALLOC, 0, true);
    cr_assert_eq(filch__gathering_add(g, 0, f), REGISTER_NO_MEMORY);
    filch__fault_clear();
    for (size_t i = 0; i < 2; i++) cr_assert_eq(filch__gathering_add(g, i, f), REGISTERED);
    for (long after = 0; after < 2; after++) {
        filch__fault_plan(FILCH__FAULT_ALLOC, after, true);
        cr_assert_eq(filch__gathering_add(g, 2, f), REGISTER_NO_MEMORY);
        filch__fault_clear();
    }
    cr_assert_eq(f->hub->used, 2);
    cr_assert_eq(filch__gathering_add(g, 2, f), REGISTERED);
    filch__gathering_leave(g);
    filch_future_release(f);
    cr_assert_lt(filch__fault_live_blocks(), before);
}

/* Races ------------------------------------------------------------------------------------------- */

/* Registering stops where it is visible in the cell and not yet announced, or not even installed; the future
 * ends meanwhile. The slot is told, or it is too late, and never both. */
struct late {
    filch_future *future;
    struct filch__gathering *g;
    enum filch__registered how;
};
static void register_one(void *context) {
    struct late *l = context;
    l->how = filch__gathering_add(l->g, 0, l->future);
}

static void check_late(const char *point, bool hub_exists) {
    long before = filch__fault_live_blocks();
    struct late l = {promise(), gathering(1, GATHER_FIRST), REGISTERED};
    struct filch__gathering *other = gathering(1, GATHER_FIRST);
    static struct stopper stops[16];
    static int used;
    struct stopper *stop = &stops[used++];
    if (hub_exists) cr_assert_eq(filch__gathering_add(other, 0, l.future), REGISTERED);
    stopper_arm(stop, point);
    pthread_t thread = thread_start(register_one, &l);
    stopper_wait_reached(stop);
    set_it(l.future);
    stopper_release(stop);
    thread_finish(thread);
    if (l.how == REGISTERED)
        cr_assert(filch__gathering_ready(l.g), "it was told");
    else
        cr_assert_eq(l.how, REGISTER_TOO_LATE);
    cr_assert(!hub_exists || filch__gathering_ready(other));
    filch__gathering_leave(l.g);
    filch__gathering_leave(other);
    filch_future_release(l.future);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

Test(hub, register_against_complete) {
    check_late("hub.install", false);
    check_late("hub.registered", false);
    check_late("hub.registered", true);
}

/* The same without points, many times: registered slots are told, and no others. */
struct duel {
    filch_future *future;
    struct filch__gathering *g[2];
    enum filch__registered how[2];
};
static void fight(int index, void *context) {
    struct duel *d = context;
    if (index == 2)
        fail_it(d->future);
    else
        d->how[index] = filch__gathering_add(d->g[index], 0, d->future);
}

Test(hub, register_against_complete_many_times) {
    for (int i = 0; i < stress(500); i++) {
        struct duel d = {
            promise(), {gathering(1, GATHER_ERROR), gathering(1, GATHER_ERROR)}, {0, 0}};
        run_threads(3, fight, &d);
        for (int k = 0; k < 2; k++) {
            cr_assert_neq(d.how[k], REGISTER_NO_MEMORY);
            cr_assert_eq(d.g[k]->failed != 0, d.how[k] == REGISTERED, "round %d", i);
            filch__gathering_leave(d.g[k]);
        }
        filch_future_release(d.future);
    }
}

/* A waiter leaves while the completer has its slot: the gathering stays until that is through. */
static void check_leave(const char *point, void (*end)(void *)) {
    long before = filch__fault_live_blocks();
    filch_future *f = promise();
    struct filch__gathering *g = gathering(3, GATHER_FIRST);
    static struct stopper stops[16];
    static int used;
    struct stopper *stop = &stops[used++];
    for (size_t i = 0; i < 3; i++) cr_assert_eq(filch__gathering_add(g, i, f), REGISTERED);
    stopper_arm(stop, point);
    pthread_t thread = thread_start(end, f);
    stopper_wait_reached(stop);
    filch__gathering_leave(g); /* takes two back; the third is in the completer's hand */
    stopper_release(stop);
    thread_finish(thread);
    filch_future_release(f);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

Test(gather, a_waiter_leaves_while_a_completer_has_a_slot) {
    check_leave("hub.taken", set_it);
    check_leave("gather.told", set_it);
    check_leave("hub.taken", fail_it);
}

Test(gather, what_makes_it_ready) {
    for (int end = 0; end < 2; end++) {
        filch_future *fs[2] = {promise(), promise()};
        struct filch__gathering *gs[3] = {gathering(5, GATHER_FIRST), gathering(5, GATHER_ERROR),
                                          gathering(5, GATHER_EACH)};
        for (int k = 0; k < 3; k++) {
            for (size_t i = 0; i < 2; i++)
                cr_assert_eq(filch__gathering_add(gs[k], i, fs[i]), REGISTERED);
            cr_assert_not(filch__gathering_ready(gs[k]));
            cr_assert_not(filch__gathering_sleep(gs[k], filch__now() + 1000));
            cr_assert_eq(gs[k]->word & GATHER_SLEEPING, 0);
        }
        (end ? fail_it : set_it)(fs[0]);
        cr_assert(filch__gathering_ready(gs[0]));
        cr_assert_eq(filch__gathering_ready(gs[1]), end != 0);
        cr_assert(filch__gathering_ready(gs[2]));
        set_it(fs[1]);
        for (int k = 0; k < 3; k++) {
            cr_assert(filch__gathering_ready(gs[k]));
            cr_assert(filch__gathering_sleep(gs[k], FILCH_FOREVER));
            filch__gathering_leave(gs[k]);
        }
        filch_future_release(fs[0]);
        filch_future_release(fs[1]);
    }
}

/* A telling between the look and the sleep is not lost. */
static void sleep_for_ever(void *g) {
    filch__gathering_sleep(g, FILCH_FOREVER);
}

Test(gather, told_just_before_the_sleep) {
    static struct stopper stops[3];
    for (int k = 0; k < 3; k++) {
        filch_future *f = promise();
        struct filch__gathering *g = gathering(1, (enum filch__gather_for)k);
        cr_assert_eq(filch__gathering_add(g, 0, f), REGISTERED);
        stopper_arm(&stops[k], "gather.asleep");
        pthread_t thread = thread_start(sleep_for_ever, g);
        stopper_wait_reached(&stops[k]);
        fail_it(f);
        stopper_release(&stops[k]);
        thread_finish(thread);
        filch__gathering_leave(g);
        filch_future_release(f);
    }
}
