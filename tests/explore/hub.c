/* hub.c: who is told of a future's end (runtime/hub.c, gather.c) and what futures share (runtime/home.c), by themselves.
 *
 * SPDX-License-Identifier: MIT */
#include "explorer.h"

#include "future.h"
#include "gather.h"
#include "hub.h"
#include "os/memory.h"
#include <filch/future.h>
#include <filch/promise.h>

static filch_future *future;
static bool fails; /* the promise */

static void begin(unsigned references) {
    store_relaxed(&filch__home_standalone.spin, INT64_C(-1));
    fails = false;
    explore_check(filch_promise(sizeof(uint64_t), &future) == 0, "a promise");
    for (unsigned i = 0; i < references; i++) filch_future_retain(future);
}

static void end(void) {
    explore_join();
    filch_future_release(future);
    explore_check(explore_live_blocks() == 0, "something is not freed");
}

/* It ends; the calling thread's reference stays. */
static void complete(void) {
    uint64_t value = 42;
    int rc = fails ? filch_promise_fail(future, 5, NULL)
                   : filch_promise_set(future, &value, sizeof value);
    explore_check(rc == 0, "the end");
}

static void completer(void *unused) {
    (void)unused;
    complete();
    filch_future_release(future);
}

/* Told, and so without a look at the state. */
static void check_result(void) {
    size_t size;
    explore_check(filch__future_code(future) == (fails ? 5 : 0), "its code");
    if (!fails) explore_check(*(const uint64_t *)filch__future_value(future, &size) == 42, "value");
}

/* Waiters ---------------------------------------------------------------------------------------- */

static struct filch__gathering *gather(size_t n, enum filch__gather_for what) {
    struct filch__gathering *g = filch__gathering_create(n, what);
    explore_check(g != NULL, "a gathering");
    return g;
}

/* Waits for it, or thinks better of it. */
static void waiter(void *unused) {
    (void)unused;
    struct filch__gathering *g = gather(1, fails ? GATHER_ERROR : GATHER_FIRST);
    enum filch__registered how = filch__gathering_add(g, 0, future);
    bool waits = how == REGISTERED && explore_choose(2) == 0;
    if (waits) explore_check(filch__gathering_sleep(g, FILCH_FOREVER), "told");
    if (waits || how == REGISTER_TOO_LATE) check_result();
    filch__gathering_leave(g);
    filch_future_release(future);
}
static void tell(void) {
    begin(2);
    fails = explore_choose(2) == 1;
    explore_spawn(completer, NULL);
    explore_spawn(waiter, NULL);
    end();
}

/* One for each, of two futures that end at the same time. */
static filch_future *other;
static void completer_of_other(void *unused) {
    (void)unused;
    uint64_t value = 43;
    explore_check(filch_promise_set(other, &value, sizeof value) == 0, "the end");
    filch_future_release(other);
}
static void each_waiter(void *gathering) {
    struct filch__gathering *g = gathering;
    explore_check(filch__gathering_sleep(g, FILCH_FOREVER), "told");
    struct filch__link *link = filch__stack_take_all(&g->done);
    for (; link != NULL; link = filch__link_next(link)) {
        size_t size;
        const struct filch__slot *slot = container_of(link, struct filch__slot, link);
        uint64_t value = *(const uint64_t *)filch__future_value(slot->future, &size);
        explore_check(value == (slot->future == future ? 42 : 43), "its value");
    }
    filch__gathering_leave(g);
}
static void each(void) {
    begin(1);
    explore_check(filch_promise(sizeof(uint64_t), &other) == 0, "a promise");
    filch_future_retain(other);
    struct filch__gathering *g = gather(2, GATHER_EACH);
    explore_check(filch__gathering_add(g, 0, future) == REGISTERED, "registered");
    explore_check(filch__gathering_add(g, 1, other) == REGISTERED, "registered");
    explore_spawn(completer, NULL);
    explore_spawn(completer_of_other, NULL);
    explore_spawn(each_waiter, g);
    explore_join();
    filch_future_release(other);
    end();
}

/* The cells inside the hub are in use: others come with a block. */
static struct filch__gathering *settled;
static void settle(void) {
    settled = gather(HUB_CELLS_INSIDE, GATHER_ERROR);
    for (size_t i = 0; i < HUB_CELLS_INSIDE; i++)
        explore_check(filch__gathering_add(settled, i, future) == REGISTERED, "registered");
}
static void one_more(void *unused) {
    (void)unused;
    struct filch__gathering *g = gather(1, GATHER_FIRST);
    if (filch__gathering_add(g, 0, future) == REGISTER_TOO_LATE) check_result();
    filch__gathering_leave(g);
    filch_future_release(future);
}
static void block_against_end(void) {
    begin(2);
    settle();
    explore_spawn(one_more, NULL);
    explore_spawn(completer, NULL);
    explore_join();
    explore_check(filch__gathering_ready(settled), "all are told");
    filch__gathering_leave(settled);
    end();
}
static void two_more(void) {
    begin(2);
    settle();
    explore_spawn(one_more, NULL);
    explore_spawn(one_more, NULL);
    explore_join();
    filch__gathering_leave(settled);
    end();
}

/* Nobody has registered yet. */
static void two_first(void) {
    begin(2);
    explore_spawn(one_more, NULL);
    explore_spawn(one_more, NULL);
    end();
}
/* There are cells that others have left. */
static void leave_settled(void) {
    filch__gathering_leave(settled);
}
static void old_cell(void) {
    begin(2);
    settle();
    leave_settled();
    explore_spawn(one_more, NULL);
    explore_spawn(completer, NULL);
    end();
}
/* The same in a block that is as new, where the random search finds it; the seed is the slot's address. */
static void grow_and_leave(void *unused) {
    (void)unused;
    struct filch__gathering *g = gather(1, GATHER_FIRST);
    explore_check(filch__gathering_add(g, 0, future) == REGISTERED, "registered");
    leave_settled();
    filch__gathering_leave(g);
    filch_future_release(future);
}
static void one_more_somewhere(void *unused) {
    void *gaps[3];
    unsigned count = explore_choose(3) + 1;
    for (unsigned i = 0; i < count; i++) gaps[i] = filch__alloc(64);
    one_more(unused);
    for (unsigned i = 0; i < count; i++) filch__free(gaps[i]);
}
static void old_cell_of_block(void) {
    begin(2);
    settle();
    explore_spawn(grow_and_leave, NULL);
    explore_spawn(one_more_somewhere, NULL);
    end();
}

/* Callbacks -------------------------------------------------------------------------------------- */

static int calls[2];
static void note_call(filch_future *f, void *context) {
    (void)f;
    explore_check(++*(int *)context == 1, "a callback runs twice");
}
/* Two that are late, each of which runs what it finds, the other's too. */
static void late(void *called) {
    struct filch__hub *hub = filch__hub_get(future);
    struct filch__callback *node = filch__alloc(sizeof *node);
    node->fn = note_call;
    node->context = called;
    filch__hub_add_callback(hub, node);
    filch__hub_run_callbacks(future);
    filch_future_release(future);
}
static void late_callbacks(void) {
    begin(2);
    calls[0] = calls[1] = 0;
    explore_spawn(late, &calls[0]);
    explore_spawn(late, &calls[1]);
    explore_join();
    store_relaxed(&future->state, load_relaxed(&future->state) | FLAG_HUB);
    explore_check(calls[0] == 1 && calls[1] == 1, "a callback is lost");
    end();
}

/* Homes ------------------------------------------------------------------------------------------ */

static struct filch__home *home;
static int *pool; /* plain, and freed */

static void alert(void *its_pool) {
    explore_check(*(int *)its_pool == 7, "the pool");
}
static void visitor(void *unused) {
    (void)unused;
    if (explore_choose(2) == 0) {
        int *entered = filch__home_enter(home);
        if (entered != NULL) alert(entered);
        filch__home_leave(home);
    } else {
        filch__home_begin_alert(home);
        filch__home_end_alert(home, true);
    }
    filch__home_release(home);
}
static void begin_home(unsigned visitors) {
    home = filch__home_create(0);
    pool = filch__alloc(sizeof *pool);
    *pool = 7;
    home->pool = pool;
    home->alert = alert;
    for (unsigned i = 0; i < visitors; i++) filch__home_retain(home);
}
static void detacher(void *unused) {
    (void)unused;
    filch__home_detach(home);
    *pool = 8;
    filch__free(pool);
    filch__home_release(home);
}
static void detach(void) {
    begin_home(1);
    explore_spawn(detacher, NULL);
    explore_spawn(visitor, NULL);
    explore_join();
    explore_check(explore_live_blocks() == 0, "something is not freed");
}
static void two_visitors(void) {
    begin_home(2);
    explore_spawn(detacher, NULL);
    explore_spawn(visitor, NULL);
    explore_spawn(visitor, NULL);
    explore_join();
    explore_check(explore_live_blocks() == 0, "something is not freed");
}

/* Who awaits the cancels sees what those have done that are over. */
static uint64_t state;
static int outcome;
static void canceller(void *unused) {
    (void)unused;
    filch__home_begin_cancel(home);
    if (state_cancel(&state)) {
        outcome = 1;
        (void)state_finish(&state, LIFE_CANCELLED, false);
    }
    filch__home_end_cancel(home);
}
static void awaiter(void *unused) {
    (void)unused;
    if (state_life(load_relaxed(&state)) == LIFE_PENDING) return; /* relaxed: the await orders it */
    filch__home_await_cancels(home);
    explore_check(outcome == 1, "what the cancel has done");
    explore_check(state_life(state_look(&state)) == LIFE_CANCELLED, "still cancelling");
}
static void cancels(void) {
    begin_home(0);
    state_init(&state, 2, 0);
    outcome = 0;
    explore_spawn(canceller, NULL);
    explore_spawn(awaiter, NULL);
    explore_join();
    filch__home_detach(home);
    filch__free(pool);
    filch__home_release(home);
    explore_check(explore_live_blocks() == 0, "something is not freed");
}

const struct explore_scenario hub_scenarios[] = {
    {"hub_tell", tell, 2, 1, NULL},
    {"hub_each", each, 1, 1, NULL},
    {"hub_block_against_end", block_against_end, 2, 1, NULL},
    {"hub_two_more", two_more, 2, 1, NULL},
    {"hub_two_first", two_first, 3, 1, NULL},
    {"hub_old_cell", old_cell, 2, 1, NULL},
    {"hub_old_cell_of_block", old_cell_of_block, 2, 1, NULL},
    {"hub_late_callbacks", late_callbacks, 3, 1, NULL},
    {"home_detach", detach, 3, 2, NULL},
    {"home_two_visitors", two_visitors, 2, 1, NULL},
    {"home_cancels", cancels, 3, 2, NULL},
    {NULL, NULL, 0, 0, NULL}};
