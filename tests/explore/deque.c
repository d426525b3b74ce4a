/* deque.c: the growable Chase-Lev deque (runtime/thread/deque.h).
 *
 * An entry is the address of an item, whose content is plain: who takes an entry reads it, so that a slot that was not
 * published, or an entry that was, is a race or a wrong address. Each item is taken exactly once.
 *
 * SPDX-License-Identifier: MIT */
#include "explorer.h"

#include "thread/deque.h"

enum { ITEMS = 8 };
struct item {
    int written; /* by who pushes */
    int taken;   /* by who takes; another one races with it */
};

static struct filch__deque deque;
static struct item items[ITEMS];

static void begin(void) {
    for (int i = 0; i < ITEMS; i++) items[i] = (struct item){0, 0};
    explore_check(filch__deque_init(&deque, 2), "init");
}

static bool push(int i) {
    items[i].written = 1;
    return filch__deque_push(&deque, (filch__entry)&items[i]);
}

static void take(filch__entry entry) {
    explore_check(entry >= (filch__entry)&items[0] && entry <= (filch__entry)&items[ITEMS - 1],
                  "a slot that was never filled");
    struct item *item = (struct item *)entry;
    explore_check(item->written == 1, "an item that was never pushed");
    explore_check(item->taken == 0, "an item is taken twice");
    item->taken = 1;
}

static bool pop(void) {
    filch__entry entry = filch__deque_pop(&deque);
    if (entry != ENTRY_NONE) take(entry);
    return entry != ENTRY_NONE;
}

static bool steal(void) {
    filch__entry entry;
    if (filch__deque_steal(&deque, &entry) != STEAL_OK) return false;
    take(entry);
    return true;
}

static void end(int pushed) {
    explore_join();
    while (pop()) continue;
    for (int i = 0; i < pushed; i++) explore_check(items[i].taken == 1, "an item is lost");
    filch__deque_fini(&deque);
    explore_check(explore_live_blocks() == 0, "a ring is left");
}

static void thief(void *unused) {
    (void)unused;
    steal();
}

static void thief_of_two(void *unused) {
    (void)unused;
    steal();
    steal();
}

/* The last entry: pop against two thieves (D5, D7, D8). */
static void owner_of_last(void *unused) {
    (void)unused;
    pop();
    push(1);
    pop();
}
static void last(void) {
    begin();
    push(0);
    explore_spawn(owner_of_last, NULL);
    explore_spawn(thief, NULL);
    explore_spawn(thief, NULL);
    end(2);
}

/* Growth under two thieves: the third push needs a ring of four (D4). */
static void owner_that_grows(void *unused) {
    (void)unused;
    push(0);
    push(1);
    push(2);
    pop();
}
static void grow(void) {
    begin();
    explore_spawn(owner_that_grows, NULL);
    explore_spawn(thief, NULL);
    explore_spawn(thief, NULL);
    end(3);
}

/* The ring goes round: a slot is written again after it was stolen (D5 -> D6). */
static void owner_that_wraps(void *unused) {
    (void)unused;
    push(0);
    push(1);
    pop();
    push(2);
    push(3);
    push(4);
}
static void wrap(void) {
    begin();
    explore_spawn(owner_that_wraps, NULL);
    explore_spawn(thief_of_two, NULL);
    explore_spawn(thief, NULL);
    end(5);
}

/* Replaced rings are freed while thieves read. */
static void owner_that_collects(void *unused) {
    (void)unused;
    push(0);
    push(1);
    push(2);
    filch__deque_collect(&deque);
    pop();
}
static void collect(void) {
    begin();
    explore_spawn(owner_that_collects, NULL);
    explore_spawn(thief_of_two, NULL);
    end(3);
}

/* No memory for a larger ring: the deque is as it was. */
static int refused;
static void owner_without_memory(void *unused) {
    (void)unused;
    refused = 0;
    for (int i = 0; i < 3; i++)
        if (!push(i)) refused = i;
    pop();
}
static void no_memory(void) {
    begin();
    explore_let_allocations_fail(1);
    explore_spawn(owner_without_memory, NULL);
    explore_spawn(thief, NULL);
    explore_join();
    if (refused != 0) items[refused].taken = 1;
    explore_let_allocations_fail(0);
    end(3);
}

/* A deque that nobody pops: take, and thieves of half (D5). */
static void owner_that_takes(void *unused) {
    (void)unused;
    push(2);
    for (int i = 0; i < 2; i++) {
        filch__entry entry = filch__deque_take(&deque);
        if (entry != ENTRY_NONE) take(entry);
    }
    push(3);
    push(4);
}
static void thief_of_half(void *unused) {
    (void)unused;
    filch__entry entries[2];
    int count = 0;
    if (filch__deque_steal_half(&deque, entries, 2, &count) == STEAL_OK)
        for (int i = 0; i < count; i++) take(entries[i]);
}
static void half(void) {
    begin();
    push(0);
    push(1);
    explore_spawn(owner_that_takes, NULL);
    explore_spawn(thief_of_half, NULL);
    explore_spawn(thief_of_half, NULL);
    end(5);
}

/* The owner waits for a task that is its newest or oldest entry: pop with the start of the task as the fence
 * (D9), and a take of the oldest. */
static uint64_t state_of_task;
static void pop_awaited(void) {
    int64_t b = filch__deque_pop_begin(&deque);
    uint64_t pending = 0;
    if (b < 0) return;
    if (cas_acq_rel(&state_of_task, &pending, UINT64_C(1)))
        fence_after_rmw();
    else
        fence_seq_cst();
    filch__entry entry = filch__deque_pop_end(&deque, b);
    if (entry != ENTRY_NONE) take(entry);
}
static void owner_that_awaits(void *unused) {
    (void)unused;
    pop_awaited();
    push(1);
    if (filch__deque_take_if_oldest(&deque, (filch__entry)&items[1])) take((filch__entry)&items[1]);
}
static void await(void) {
    begin();
    store_relaxed(&state_of_task, UINT64_C(0));
    push(0);
    explore_spawn(owner_that_awaits, NULL);
    explore_spawn(thief, NULL);
    explore_spawn(thief, NULL);
    end(2);
}

const struct explore_scenario deque_scenarios[] = {
    {"deque_last", last, 3, 2, NULL},           {"deque_grow", grow, 2, 2, NULL},
    {"deque_wrap", wrap, 2, 1, NULL},           {"deque_collect", collect, 2, 2, NULL},
    {"deque_no_memory", no_memory, 2, 1, NULL}, {"deque_half", half, 2, 1, NULL},
    {"deque_await", await, 2, 1, NULL},         {NULL, NULL, 0, 0, NULL}};
