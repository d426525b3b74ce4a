/* lane.c: the forked calls of one worker (thread/lane.h, filch/lane.h): the owner against thieves that take what is public,
 * and against one that forces out what is not.
 *
 * A call is a number in its slot, which is plain memory; a slot is used again and again, so that a thief that takes it for an
 * older call has the wrong number, or races with its owner. What a thief has taken the owner waits for.
 *
 * SPDX-License-Identifier: MIT */
#include "explorer.h"

#include "os/barrier.h"
#include "thread/lane.h"

enum { CALLS = 4 };
static struct filch__lane lane;
static int runs[CALLS];   /* plain: by who runs it, before the owner joins it */
static long tasks[CALLS]; /* their addresses are roots */

static void begin(void) {
    lane = (struct filch__lane){0};
    for (int i = 0; i < CALLS; i++) runs[i] = 0;
    explore_check(filch__lane_init(&lane), "init");
}

/* What a call writes is seen by who joins it. */
static void run(const filch_slot *slot) {
    int call = *(const int *)(const void *)slot->place.bytes;
    explore_check(call >= 0 && call < CALLS, "a slot that was never filled");
    runs[call]++;
}

/* Owner -------------------------------------------------------------------------------------------- */

static uint32_t fork_call(int call) {
    filch_slot *slot = filch_lane_next(&lane.hot);
    *(int *)(void *)slot->place.bytes = call;
    filch_lane_name(slot, NULL);
    (void)filch_lane_push(&lane.hot, slot);
    return filch__lane_index(&lane, slot);
}

static void await_thief(uint32_t index) {
    filch_slot *slot = &lane.slots[index];
    while (load_acquire(&slot->status) != SLOT_DONE) explore_yield(); /* L11 <- L12 */
    store_relaxed(&slot->status, 0u); /* relaxed: as frames.c has it */
    filch__lane_reset(&lane, index, false);
}
static void join_call(int call, uint32_t index) {
    filch_slot *slot = &lane.slots[index];
    if (!filch_lane_pop(&lane.hot, slot) || filch__lane_reclaim(&lane, index, false, false))
        run(slot);
    else
        await_thief(index);
    explore_check(runs[call] == 1, "a call has not run once");
}
/* The first fork of a task, and its join, which ends the task. */
static void task_of_one(int call) {
    filch__lane_begin_task(&lane);
    uint32_t index = fork_call(call);
    filch__lane_note_root(&lane, index, &tasks[call]);
    join_call(call, index);
    filch__lane_forget_root(&lane, index);
}

static void end(void) {
    explore_join();
    filch__lane_fini(&lane);
    explore_check(explore_live_blocks() == 0, "slots are left");
}

/* Thieves ------------------------------------------------------------------------------------------ */

static void run_stolen(filch_slot *slot, bool with_root) {
    int call = *(const int *)(const void *)slot->place.bytes;
    run(slot);
    if (with_root)
        explore_check(filch__lane_root(&lane, filch__lane_index(&lane, slot)) ==
                          (uintptr_t)&tasks[call],
                      "a call of another task");
    exchange_acq_rel(&slot->status, (uint32_t)SLOT_DONE); /* L12 -> L11 */
}
static void steal(void *unused) {
    filch_slot *slot;
    (void)unused;
    if (filch__lane_steal(&lane, &slot) == STEAL_OK) run_stolen(slot, false);
}
static void force(void *unused) {
    filch_slot *slot;
    (void)unused;
    if (filch__lane_force(&lane, &slot) == STEAL_OK) run_stolen(slot, false);
}
static void force_with_root(void *unused) {
    filch_slot *slot;
    (void)unused;
    if (filch__lane_force(&lane, &slot) == STEAL_OK) run_stolen(slot, true);
}

/* Scenarios ---------------------------------------------------------------------------------------- */

static void without_roots(void) {
    begin();
    filch__lane_note_root(&lane, 0, NULL);
}

/* What is public: two calls, of which a thief takes the older one, or none. */
static void shared(void) {
    without_roots();
    uint32_t first = fork_call(0), second = fork_call(1);
    explore_check(filch__lane_publish(&lane, true, false), "publish");
    explore_spawn(steal, NULL);
    join_call(1, second);
    join_call(0, first);
    end();
}
/* It becomes public while thieves look. */
static void published(void) {
    without_roots();
    explore_spawn(steal, NULL);
    explore_spawn(steal, NULL);
    uint32_t first = fork_call(0), second = fork_call(1);
    (void)filch__lane_publish(&lane, false, false);
    join_call(1, second);
    join_call(0, first);
    end();
}
/* The same slot twice, and a thief that forces. */
static void forced(void) {
    without_roots();
    explore_spawn(force, NULL);
    for (int call = 0; call < 2; call++) join_call(call, fork_call(call));
    end();
}
/* Two calls, and two that force. */
static void forced_twice(void) {
    without_roots();
    explore_spawn(force, NULL);
    explore_spawn(force, NULL);
    uint32_t first = fork_call(0), second = fork_call(1);
    join_call(1, second);
    join_call(0, first);
    end();
}
/* A guard that was raised, and an owner that publishes and takes back meanwhile. */
static void forced_and_published(void) {
    without_roots();
    explore_spawn(force, NULL);
    uint32_t first = fork_call(0), second = fork_call(1);
    (void)filch__lane_publish(&lane, false, false);
    join_call(1, second);
    join_call(2, fork_call(2));
    join_call(0, first);
    end();
}
/* Two tasks, one after the other: the call that is forced out is that of the one that its root says. */
static void rooted(void) {
    begin();
    explore_spawn(force_with_root, NULL);
    for (int call = 0; call < 2; call++) task_of_one(call);
    end();
}
/* What was forked before somebody looks, and makes a barrier, is not overlooked; nor is who asks by who forks. */
static int seen;
static void ask_and_look(void *unused) {
    (void)unused;
    filch__lane_ask(&lane);
    explore_check(filch__barrier_everywhere(), "barrier");
    seen = filch__lane_has_any(&lane);
}
static void asked(void) {
    without_roots();
    store_relaxed(&lane.hot.limit, lane.slots + CALLS); /* relaxed: nobody else is there */
    seen = 0;
    explore_spawn(ask_and_look, NULL);
    filch_slot *slot = filch_lane_next(&lane.hot);
    *(int *)(void *)slot->place.bytes = 0;
    filch_lane_name(slot, NULL);
    bool is_slow = filch_lane_push(&lane.hot, slot);
    explore_join();
    explore_check(is_slow || seen, "neither sees the other");
    join_call(0, 0);
    end();
}

const struct explore_scenario lane_scenarios[] = {
    {"lane_shared", shared, 2, 1, NULL},
    {"lane_published", published, 2, 1, NULL},
    {"lane_forced", forced, 2, 1, NULL},
    {"lane_forced_twice", forced_twice, 2, 1, NULL},
    {"lane_forced_and_published", forced_and_published, 2, 1, NULL},
    {"lane_rooted", rooted, 2, 1, NULL},
    {"lane_asked", asked, 2, 1, NULL},
    {NULL, NULL, 0, 0, NULL}};
