/* lane_test.c: the forked calls of a worker (thread/lane.h): who gets each call, in which order, and of which task
 * it is part; alone, in interleavings that are forced at its points, and under load.
 *
 * The test's own thread is the owner, unless it says otherwise; what it forks are numbers, in the places of the slots.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "base/random.h"
#include "os/barrier.h"
#include "os/fault.h"
#include "support.h"
#include "thread/lane.h"
#include <criterion/criterion.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

TestSuite(lane, .timeout = 20);
TestSuite(lane_forced, .timeout = 20);
TestSuite(lane_load, .timeout = 60);

static void init(struct filch__lane *l) {
    memset(l, 0, sizeof *l);
    cr_assert(filch__lane_init(l));
    filch__lane_note_root(l, 0, NULL);
    cr_assert(filch__barrier_is_there(), "the tests of force need membarrier(2)");
}

static filch_slot *slot_of(struct filch__lane *l, uint32_t index) {
    return l->slots + index;
}

/* The two halves of a fork; as a worker, it asks nobody and publishes nothing by itself. */
static void push(struct filch__lane *l, long number) {
    filch_slot *slot = filch_lane_next(&l->hot);
    memcpy(slot->place.bytes, &number, sizeof number);
    (void)filch_lane_push(&l->hot, slot);
}
static void push_numbers(struct filch__lane *l, long from, long to) {
    for (long i = from; i < to; i++) push(l, i);
}
static long number_in(const filch_slot *slot) {
    long number;
    memcpy(&number, slot->place.bytes, sizeof number);
    return number;
}

/* A join, up to where it runs or waits. False: it is stolen. */
static bool join(struct filch__lane *l, uint32_t index) {
    return !filch_lane_pop(&l->hot, slot_of(l, index)) ||
           filch__lane_reclaim(l, index, false, false);
}
/* And the end of a join of a call that was stolen and is over. */
static void join_stolen(struct filch__lane *l, uint32_t index) {
    cr_assert_not(join(l, index));
    filch__lane_reset(l, index, false);
}

static void publish_all(struct filch__lane *l) {
    cr_assert(filch__lane_publish(l, true, false));
}

static uint32_t top_of(struct filch__lane *l) {
    return lane_top(lane_read(l));
}
static uint32_t split_of(struct filch__lane *l) {
    return lane_split(lane_read(l));
}
static void assert_shape(struct filch__lane *l, uint32_t top, uint32_t split, uint32_t used) {
    cr_assert_eq(top_of(l), top, "top is %u, not %u", top_of(l), top);
    cr_assert_eq(split_of(l), split, "split is %u, not %u", split_of(l), split);
    cr_assert_eq(filch__lane_used(l), used);
    cr_assert(load_relaxed(&l->hot.guard) >= slot_of(l, split), "a join below split is slow");
}

static void assert_steal(struct filch__lane *l, uint32_t index) {
    filch_slot *slot = NULL;
    cr_assert_eq(filch__lane_steal(l, &slot), STEAL_OK);
    cr_assert_eq(slot, slot_of(l, index));
}
static void assert_force(struct filch__lane *l, uint32_t index) {
    filch_slot *slot = NULL;
    cr_assert_eq(filch__lane_force(l, &slot), STEAL_OK);
    cr_assert_eq(slot, slot_of(l, index));
}
static void assert_nothing_to_steal(struct filch__lane *l) {
    filch_slot *slot = NULL;
    cr_assert_eq(filch__lane_steal(l, &slot), STEAL_EMPTY);
    cr_assert_null(slot, "written only on OK");
}

/* Alone ---------------------------------------------------------------------------------------- */

Test(lane, private_calls_are_joined_without_others) {
    struct filch__lane l;
    init(&l);
    push_numbers(&l, 0, 5);
    assert_nothing_to_steal(&l);
    for (uint32_t i = 5; i-- > 0;) {
        cr_assert_not(filch_lane_pop(&l.hot, slot_of(&l, i)), "fast");
        cr_assert_eq(number_in(slot_of(&l, i)), (long)i);
    }
    assert_shape(&l, 0, 0, 0);
    filch__lane_fini(&l);
}

Test(lane, a_fork_is_slow_when_somebody_has_asked) {
    struct filch__lane l;
    init(&l);
    store_relaxed(&l.hot.limit, l.hot.end);
    cr_assert_not(filch_lane_push(&l.hot, filch_lane_next(&l.hot)));
    filch__lane_ask(&l);
    cr_assert(filch_lane_push(&l.hot, filch_lane_next(&l.hot)));
    filch__lane_fini(&l);
}

Test(lane, the_fork_behind_the_last_slot_is_slow) {
    struct filch__lane l;
    init(&l);
    store_relaxed(&l.hot.limit, l.hot.end);
    for (uint32_t i = 0; i < LANE_SLOTS; i++)
        cr_assert_not(filch_lane_push(&l.hot, filch_lane_next(&l.hot)));
    cr_assert(filch_lane_push(&l.hot, filch_lane_next(&l.hot)));
    store_light(&l.hot.pos, l.hot.end);
    publish_all(&l);
    for (uint32_t i = 0; i < LANE_SLOTS; i++) assert_steal(&l, i);
    assert_nothing_to_steal(&l);
    filch_slot *slot;
    cr_assert_eq(filch__lane_force(&l, &slot), STEAL_EMPTY);
    filch__lane_fini(&l);
}

Test(lane, publish_gives_half_rounded_up_if_nothing_is_public) {
    for (uint32_t n = 1; n <= 40; n++) {
        struct filch__lane l;
        init(&l);
        push_numbers(&l, 0, n);
        cr_assert(filch__lane_publish(&l, false, false));
        assert_shape(&l, 0, (n + 1) / 2, n);
        cr_assert(filch__lane_publish(&l, false, false), "there is one already");
        assert_shape(&l, 0, (n + 1) / 2, n);
        cr_assert(filch__lane_publish(&l, true, false));
        assert_shape(&l, 0, n, n);
        filch__lane_fini(&l);
    }
}

Test(lane, publish_of_nothing_says_so) {
    struct filch__lane l;
    init(&l);
    cr_assert_not(filch__lane_publish(&l, false, false));
    cr_assert_not(filch__lane_publish(&l, true, false));
    push_numbers(&l, 0, 1);
    publish_all(&l);
    assert_steal(&l, 0);
    cr_assert_not(filch__lane_publish(&l, true, false), "what is stolen is not public");
    filch__lane_fini(&l);
}

Test(lane, steals_give_the_oldest_first_and_force_goes_on) {
    struct filch__lane l;
    init(&l);
    push_numbers(&l, 0, 6);
    cr_assert(filch__lane_publish(&l, false, false));
    for (uint32_t i = 0; i < 3; i++) assert_steal(&l, i);
    assert_nothing_to_steal(&l);
    for (uint32_t i = 3; i < 6; i++) assert_force(&l, i);
    filch_slot *slot;
    cr_assert_eq(filch__lane_force(&l, &slot), STEAL_EMPTY);
    for (uint32_t i = 6; i-- > 0;) join_stolen(&l, i);
    assert_shape(&l, 0, 0, 0);
    filch__lane_fini(&l);
}

Test(lane, force_takes_what_is_public_first) {
    struct filch__lane l;
    init(&l);
    push_numbers(&l, 0, 4);
    cr_assert(filch__lane_publish(&l, false, false));
    for (uint32_t i = 0; i < 4; i++) assert_force(&l, i);
    filch__lane_fini(&l);
}

/* Half of the older public ones become private with each slow join. */
Test(lane, reclaim_keeps_older_calls_public) {
    struct filch__lane l;
    init(&l);
    push_numbers(&l, 0, 9);
    publish_all(&l);
    cr_assert(join(&l, 8));
    assert_shape(&l, 0, 4, 8);
    for (uint32_t i = 8; i-- > 4;) cr_assert_not(filch_lane_pop(&l.hot, slot_of(&l, i)));
    assert_steal(&l, 0);
    cr_assert(join(&l, 3));
    assert_shape(&l, 1, 2, 3);
    cr_assert(join(&l, 2));
    cr_assert(join(&l, 1));
    join_stolen(&l, 0);
    assert_shape(&l, 0, 0, 0);
    filch__lane_fini(&l);
}

/* Without a barrier none of them can be forced: what was public has to stay so. */
Test(lane, reclaim_takes_back_one_call_alone_if_the_others_must_stay_public) {
    struct filch__lane l;
    init(&l);
    push_numbers(&l, 0, 9);
    publish_all(&l);
    for (uint32_t i = 8; i > 4; i--) {
        cr_assert(filch_lane_pop(&l.hot, slot_of(&l, i)));
        cr_assert(filch__lane_reclaim(&l, i, true, false));
        assert_shape(&l, 0, i, i);
    }
    assert_steal(&l, 0);
    cr_assert(filch__lane_reclaim(&l, 3, true, false));
    assert_shape(&l, 1, 3, 5);
    cr_assert_not(filch__lane_reclaim(&l, 0, true, false));
    filch__lane_fini(&l);
}

Test(lane, a_force_without_a_barrier_takes_nothing) {
    struct filch__lane l;
    filch_slot *slot = NULL;
    init(&l);
    push_numbers(&l, 0, 2);
    filch__fault_plan(FILCH__FAULT_BARRIER, 0, false);
    cr_assert_eq(filch__lane_force(&l, &slot), STEAL_EMPTY);
    cr_assert_eq(filch__fault_clear(), 1);
    cr_assert_null(slot);
    assert_shape(&l, 0, 0, 2);
    cr_assert_not(filch__barrier_is_there(), "not any more");
    cr_assert_eq(filch__lane_force(&l, &slot), STEAL_EMPTY);
    filch__lane_fini(&l);
}

Test(lane, an_alert_makes_every_join_slow_until_the_guard_is_set) {
    struct filch__lane l;
    init(&l);
    push_numbers(&l, 0, 2);
    filch__lane_alert(&l);
    cr_assert(filch_lane_pop(&l.hot, slot_of(&l, 1)));
    cr_assert(filch__lane_reclaim(&l, 1, false, true));
    cr_assert(filch_lane_pop(&l.hot, slot_of(&l, 0)), "the alert goes on");
    cr_assert(filch__lane_reclaim(&l, 0, false, false));
    push(&l, 0);
    cr_assert_not(filch_lane_pop(&l.hot, slot_of(&l, 0)));
    filch__lane_fini(&l);
}

Test(lane, an_alert_does_not_lower_with_a_force) {
    struct filch__lane l;
    init(&l);
    push_numbers(&l, 0, 3);
    filch__lane_alert(&l);
    assert_force(&l, 0);
    cr_assert(filch_lane_pop(&l.hot, slot_of(&l, 2)));
    filch__lane_fini(&l);
}

/* Whatever the top, split and version, no field runs into the next. */
Test(lane, the_fields_of_the_word_do_not_touch) {
    struct filch__lane l;
    init(&l);
    store_relaxed(&l.shared, UINT64_C(0xffffffff) << 32);
    push_numbers(&l, 0, 2);
    publish_all(&l);
    assert_shape(&l, 0, 2, 2);
    assert_steal(&l, 0);
    assert_shape(&l, 1, 2, 2);
    cr_assert(join(&l, 1));
    assert_shape(&l, 1, 1, 1);
    filch__lane_fini(&l);
}

/* Roots ---------------------------------------------------------------------------------------- */

static const uint64_t tasks[4];
static uintptr_t task(int i) {
    return (uintptr_t)&tasks[i];
}
static void note(struct filch__lane *l, uint32_t index, int i) {
    filch__lane_note_root(l, index, (const void *)task(i));
}

Test(lane, roots_of_public_and_forced_calls) {
    struct filch__lane l;
    init(&l);
    note(&l, 0, 0);
    push_numbers(&l, 0, 3);
    note(&l, 3, 2);
    push_numbers(&l, 3, 6);
    cr_assert(filch__lane_publish(&l, false, false));
    for (uint32_t i = 0; i < 3; i++) assert_steal(&l, i);
    for (uint32_t i = 3; i < 6; i++) assert_force(&l, i);
    for (uint32_t i = 6; i-- > 0;)
        cr_assert_eq(filch__lane_root(&l, i), task(i < 3 ? 0 : 2), "slot %u", i);
    filch__lane_fini(&l);
}

/* Two calls are forced, and the first thief looks for its root last. Here the slots have been another task's before. */
Test(lane, the_root_of_a_forced_call_does_not_come_from_the_thief_before) {
    struct filch__lane l;
    init(&l);
    note(&l, 0, 0);
    push_numbers(&l, 0, 3);
    publish_all(&l);
    for (uint32_t i = 0; i < 3; i++) {
        assert_steal(&l, i);
        cr_assert_eq(filch__lane_root(&l, i), task(0));
    }
    for (uint32_t i = 3; i-- > 0;) join_stolen(&l, i);
    filch__lane_forget_root(&l, 0);
    note(&l, 0, 2);
    push_numbers(&l, 0, 3);
    assert_force(&l, 0);
    assert_force(&l, 1);
    cr_assert_eq(filch__lane_root(&l, 1), task(2));
    publish_all(&l);
    assert_steal(&l, 2);
    cr_assert_eq(filch__lane_root(&l, 2), task(2));
    cr_assert_eq(filch__lane_root(&l, 0), task(2));
    filch__lane_fini(&l);
}

/* Below a task that was started on top, and after its end. */
Test(lane, the_root_of_an_older_task) {
    struct filch__lane l;
    init(&l);
    note(&l, 0, 0);
    push_numbers(&l, 0, 4);
    note(&l, 4, 2);
    push_numbers(&l, 4, 5);
    publish_all(&l);
    assert_steal(&l, 0);
    cr_assert_eq(filch__lane_root(&l, 0), task(0));
    cr_assert(join(&l, 4));
    filch__lane_forget_root(&l, 4);
    push_numbers(&l, 4, 5);
    cr_assert_eq(filch__lane_root(&l, 4), task(0));
    filch__lane_fini(&l);
}

/* pos moves before the root is noted. */
Test(lane, the_first_call_of_a_task_is_not_forced_before_its_root_is_there) {
    struct filch__lane l;
    filch_slot *slot = NULL;
    init(&l);
    note(&l, 0, 0);
    push_numbers(&l, 0, 1);
    filch__lane_begin_task(&l);
    push_numbers(&l, 1, 2);
    assert_force(&l, 0);
    cr_assert_eq(filch__lane_force(&l, &slot), STEAL_EMPTY);
    note(&l, 1, 2);
    assert_force(&l, 1);
    cr_assert_eq(filch__lane_root(&l, 1), task(2));
    filch__lane_fini(&l);
}

/* Forced interleavings ------------------------------------------------------------------------- */

struct attempt {
    struct filch__lane *lane;
    enum filch__steal outcome;
    filch_slot *slot;
    uint32_t index;
    bool own;
    struct stopper stop;
    pthread_t thread;
};

static void steal_one(void *context) {
    struct attempt *a = context;
    a->outcome = filch__lane_steal(a->lane, &a->slot);
}
static void force_one(void *context) {
    struct attempt *a = context;
    a->outcome = filch__lane_force(a->lane, &a->slot);
}
static void reclaim_one(void *context) {
    struct attempt *a = context;
    a->own = filch__lane_reclaim(a->lane, a->index, false, false);
}

/* A lane with so many calls, from 0 on, and what somebody is going to try there. */
static void init_with_calls(struct filch__lane *l, struct attempt *a, long calls) {
    *a = (struct attempt){.lane = l};
    init(l);
    push_numbers(l, 0, calls);
}
/* Starts fn, which is stopped at the point. */
static void start_stopped(struct attempt *a, const char *point, void (*fn)(void *)) {
    stopper_arm(&a->stop, point);
    a->thread = thread_start(fn, a);
    stopper_wait_reached(&a->stop);
}
static void let_finish(struct attempt *a) {
    stopper_release(&a->stop);
    thread_finish(a->thread);
}

Test(lane_forced, the_owner_reclaims_before_the_thief) {
    struct filch__lane l;
    struct attempt a;
    init_with_calls(&l, &a, 1);
    publish_all(&l);
    start_stopped(&a, "lane.steal", steal_one);
    cr_assert(join(&l, 0));
    let_finish(&a);
    cr_assert_eq(a.outcome, STEAL_LOST);
    cr_assert_null(a.slot);
    assert_shape(&l, 0, 0, 0);
    filch__lane_fini(&l);
}

/* The oldest call is stolen while the owner is about to reclaim the newest. Returns whether that is still its own. */
static bool reclaim_against_a_steal(long calls) {
    struct filch__lane l;
    struct attempt a;
    uint32_t newest = (uint32_t)calls - 1;
    init_with_calls(&l, &a, calls);
    publish_all(&l);
    a.index = newest;
    cr_assert(filch_lane_pop(&l.hot, slot_of(&l, newest)));
    start_stopped(&a, "lane.reclaim", reclaim_one);
    assert_steal(&l, 0);
    let_finish(&a);
    if (!a.own) filch__lane_reset(&l, newest, false);
    assert_shape(&l, newest, newest, newest);
    filch__lane_fini(&l);
    return a.own;
}

Test(lane_forced, the_thief_steals_before_the_owner) {
    cr_assert_not(reclaim_against_a_steal(1));
}
/* The slot that the owner wants was public when it looked; an older one was stolen: it is still the owner's. */
Test(lane_forced, the_thief_steals_an_older_one_before_the_owner) {
    cr_assert(reclaim_against_a_steal(2));
}

static void publish_some(void *context) {
    struct attempt *a = context;
    a->own = filch__lane_publish(a->lane, false, false);
}

/* The owner has looked, and stores a guard for what it saw, when thieves have taken all that there was. */
Test(lane_forced, a_publish_in_vain_leaves_no_low_guard) {
    struct filch__lane l;
    struct attempt a = {.lane = &l};
    init(&l);
    push_numbers(&l, 0, 2);
    start_stopped(&a, "lane.guard", publish_some);
    assert_force(&l, 0);
    assert_force(&l, 1);
    let_finish(&a);
    cr_assert_not(a.own);
    cr_assert_not(join(&l, 1), "the call runs twice");
    filch__lane_fini(&l);
}

/* The same in a join, and a second thief has looked, and raised the guard for a call that is forked later. */
Test(lane_forced, a_reclaim_in_vain_leaves_no_low_guard) {
    struct filch__lane l;
    struct attempt a = {.lane = &l, .index = 0}, thief = {.lane = &l};
    init(&l);
    push_numbers(&l, 0, 1);
    start_stopped(&a, "lane.guard", reclaim_one);
    assert_force(&l, 0);
    start_stopped(&thief, "lane.force.raised", force_one);
    let_finish(&a);
    cr_assert_not(a.own);
    push(&l, 1);
    let_finish(&thief);
    cr_assert(join(&l, 1) == (thief.outcome != STEAL_OK), "the call runs twice, or never");
    filch__lane_fini(&l);
}

/* The slot is another call by the time of the CAS, and public again: the word has changed. */
Test(lane_forced, a_thief_does_not_take_the_next_call_of_a_slot_by_an_old_word) {
    struct filch__lane l;
    struct attempt a;
    init_with_calls(&l, &a, 1);
    publish_all(&l);
    start_stopped(&a, "lane.steal", steal_one);
    cr_assert(join(&l, 0));
    push_numbers(&l, 7, 8);
    publish_all(&l);
    let_finish(&a);
    cr_assert_eq(a.outcome, STEAL_LOST);
    assert_steal(&l, 0);
    filch__lane_fini(&l);
}

Test(lane_forced, the_second_thief_is_faster) {
    struct filch__lane l;
    struct attempt a;
    init_with_calls(&l, &a, 2);
    publish_all(&l);
    start_stopped(&a, "lane.steal", steal_one);
    assert_steal(&l, 0);
    let_finish(&a);
    cr_assert_eq(a.outcome, STEAL_LOST);
    assert_steal(&l, 1);
    filch__lane_fini(&l);
}

/* The guard is not raised yet: the pop is fast, and the force sees it. */
Test(lane_forced, a_pop_before_the_guard_is_raised) {
    struct filch__lane l;
    filch_slot *slot = NULL;
    init(&l);
    push_numbers(&l, 0, 1);
    cr_assert_not(filch_lane_pop(&l.hot, slot_of(&l, 0)));
    cr_assert_eq(filch__lane_force(&l, &slot), STEAL_EMPTY);
    cr_assert_null(slot);
    filch__lane_fini(&l);
}

/* The same at the last moment: pos is stored and the guard is loaded before it is raised; then the call is forked
 * again: that one can be taken, since its join is slow. */
Test(lane_forced, a_fork_after_the_guard_was_raised_is_joined_slowly) {
    struct filch__lane l;
    struct attempt a;
    init_with_calls(&l, &a, 1);
    cr_assert_not(filch_lane_pop(&l.hot, slot_of(&l, 0)));
    start_stopped(&a, "lane.force.raised", force_one);
    push_numbers(&l, 5, 6);
    let_finish(&a);
    cr_assert_eq(a.outcome, STEAL_OK);
    cr_assert_eq(number_in(a.slot), 5);
    cr_assert(filch_lane_pop(&l.hot, slot_of(&l, 0)), "slow");
    join_stolen(&l, 0);
    filch__lane_fini(&l);
}

/* The guard is raised: the pop is slow, and the owner has it, whether the thief has read pos or not. */
static void join_against_force(const char *point) {
    struct filch__lane l;
    struct attempt a;
    init_with_calls(&l, &a, 1);
    start_stopped(&a, point, force_one);
    cr_assert(filch_lane_pop(&l.hot, slot_of(&l, 0)), "slow");
    cr_assert(filch__lane_reclaim(&l, 0, false, false));
    let_finish(&a);
    cr_assert_neq(a.outcome, STEAL_OK);
    cr_assert_null(a.slot);
    assert_shape(&l, 0, 0, 0);
    filch__lane_fini(&l);
}
Test(lane_forced, a_join_after_the_guard_was_raised) {
    join_against_force("lane.force.raised");
}
Test(lane_forced, a_join_after_the_force_has_read_pos) {
    join_against_force("lane.force");
}

/* And then the same slot is filled again, so that pos and top and split are what they were: the version is not. The new
 * call is joined fast, because the owner has lowered the guard. */
static void refill_against_force(const char *point) {
    struct filch__lane l;
    struct attempt a;
    init_with_calls(&l, &a, 1);
    start_stopped(&a, point, force_one);
    cr_assert(join(&l, 0));
    push_numbers(&l, 5, 6);
    cr_assert_not(filch_lane_pop(&l.hot, slot_of(&l, 0)), "fast");
    let_finish(&a);
    cr_assert_neq(a.outcome, STEAL_OK);
    filch__lane_fini(&l);
}
Test(lane_forced, a_join_and_a_fork_after_the_guard_was_raised) {
    refill_against_force("lane.force.raised");
}
Test(lane_forced, a_join_and_a_fork_after_the_force_has_read_pos) {
    refill_against_force("lane.force");
}

/* The owner has lowered the guard but not changed the word yet: the thief may have the call, and the owner sees it. */
Test(lane_forced, a_force_while_the_owner_reclaims) {
    struct filch__lane l;
    struct attempt force = {.lane = &l}, join = {.lane = &l, .index = 1};
    init(&l);
    push_numbers(&l, 0, 2);
    start_stopped(&force, "lane.force", force_one);
    filch__lane_alert(&l);
    cr_assert(filch_lane_pop(&l.hot, slot_of(&l, 1)));
    start_stopped(&join, "lane.reclaim", reclaim_one);
    let_finish(&force);
    cr_assert_eq(force.outcome, STEAL_OK);
    cr_assert_eq(force.slot, slot_of(&l, 0));
    let_finish(&join);
    cr_assert(join.own);
    assert_shape(&l, 1, 1, 1);
    join_stolen(&l, 0);
    filch__lane_fini(&l);
}

/* The same slot is the owner's and the thief's. */
Test(lane_forced, a_force_of_the_slot_that_the_owner_reclaims) {
    struct filch__lane l;
    struct attempt force = {.lane = &l}, join = {.lane = &l, .index = 0};
    init(&l);
    push_numbers(&l, 0, 1);
    start_stopped(&force, "lane.force", force_one);
    cr_assert(filch_lane_pop(&l.hot, slot_of(&l, 0)));
    start_stopped(&join, "lane.reclaim", reclaim_one);
    let_finish(&force);
    cr_assert_eq(force.outcome, STEAL_OK);
    let_finish(&join);
    cr_assert_not(join.own);
    filch__lane_reset(&l, 0, false);
    assert_shape(&l, 0, 0, 0);
    filch__lane_fini(&l);
}

/* The owner publishes what the thief wants to force: it is lost, and then there to be stolen. */
Test(lane_forced, a_publish_while_a_force_is_stopped) {
    struct filch__lane l;
    struct attempt a;
    init_with_calls(&l, &a, 3);
    start_stopped(&a, "lane.force", force_one);
    cr_assert(filch__lane_publish(&l, false, false));
    let_finish(&a);
    cr_assert_eq(a.outcome, STEAL_LOST);
    assert_shape(&l, 0, 2, 3);
    assert_steal(&l, 0);
    filch__lane_fini(&l);
}

static void two_forces(const char *point) {
    struct filch__lane l;
    struct attempt a;
    init_with_calls(&l, &a, 2);
    start_stopped(&a, point, force_one);
    assert_force(&l, 0);
    let_finish(&a);
    cr_assert_eq(a.outcome, STEAL_LOST);
    cr_assert_null(a.slot);
    assert_force(&l, 1);
    join_stolen(&l, 1);
    join_stolen(&l, 0);
    filch__lane_fini(&l);
}
Test(lane_forced, two_forces_of_which_one_has_raised_the_guard) {
    two_forces("lane.force.raised");
}
Test(lane_forced, two_forces_of_which_one_has_read_pos) {
    two_forces("lane.force");
}

/* Load ----------------------------------------------------------------------------------------- */

/* The owner forks and joins at random; thieves steal, or force. What the owner writes to a slot, and who takes it reads
 * and writes back, is not atomic, so that ThreadSanitizer checks what the lane's edges promise. A stolen slot is over when its
 * status says so, as in frames.c. */
struct load {
    struct filch__lane lane;
    struct ledger ledger;
    long n, next;
    int force_percent;
    uint32_t finished, not_over, wrong_value;
};

static void take(struct load *l, filch_slot *slot) {
    long number = number_in(slot);
    ledger_note(&l->ledger, (size_t)number);
    number = -number - 1;
    memcpy(slot->place.bytes, &number, sizeof number);
}

static void be_thief(struct load *l, int who) {
    struct filch__random random;
    filch__random_init(&random, (uint64_t)who);
    for (;;) {
        filch_slot *slot;
        bool finished = load_acquire(&l->finished) != 0;
        bool force = filch__random_below(&random, 100) < (uint32_t)l->force_percent;
        enum filch__steal outcome =
            force ? filch__lane_force(&l->lane, &slot) : filch__lane_steal(&l->lane, &slot);
        if (outcome == STEAL_OK) {
            take(l, slot);
            exchange_acq_rel(&slot->status, (uint32_t)SLOT_DONE); /* L12 -> L11 */
        } else if (outcome == STEAL_EMPTY) {
            if (finished) return;
            filch__lane_ask(&l->lane);
            sched_yield();
        }
    }
}

static void fork_next(struct load *l) {
    filch_slot *slot = filch_lane_next(&l->lane.hot);
    memcpy(slot->place.bytes, &l->next, sizeof l->next);
    l->next++;
    if (!filch_lane_push(&l->lane.hot, slot)) return;
    store_relaxed(&l->lane.hot.limit, l->lane.hot.end);
    (void)filch__lane_publish(&l->lane, false, false);
}

static void join_newest(struct load *l) {
    struct filch__lane *lane = &l->lane;
    uint32_t index = filch__lane_used(lane) - 1;
    filch_slot *slot = slot_of(lane, index);
    long number;
    if (!filch_lane_pop(&lane->hot, slot) || filch__lane_reclaim(lane, index, false, false)) {
        take(l, slot);
        return;
    }
    store_light(&lane->hot.pos, slot + 1);
    while (load_acquire(&slot->status) != SLOT_DONE) sched_yield(); /* L11 <- L12 */
    memcpy(&number, slot->place.bytes, sizeof number);
    if (number >= 0) fetch_add_relaxed(&l->wrong_value, 1u);
    store_relaxed(&slot->status, 0);
    store_light(&lane->hot.pos, slot);
    filch__lane_reset(lane, index, false);
}

/* In bursts, so that the lane is long, short and empty in turn. */
static void be_owner(struct load *l) {
    struct filch__random random;
    filch__random_init(&random, 12345);
    while (l->next < l->n) {
        uint32_t forks = 1u << filch__random_below(&random, 6);
        for (uint32_t i = 0; i < forks && l->next < l->n; i++) fork_next(l);
        uint32_t joins = filch__random_below(&random, 2 * forks) + 1;
        for (uint32_t i = 0; i < joins && filch__lane_used(&l->lane) != 0; i++) join_newest(l);
        if (filch__random_below(&random, 16) == 0) sched_yield();
    }
    while (filch__lane_used(&l->lane) != 0) join_newest(l);
    flag_raise(&l->finished);
}

static void load_thread(int index, void *context) {
    if (index == 0)
        be_owner(context);
    else
        be_thief(context, index);
}

static void run_load(void (*thread)(int, void *), long n, int thieves, int force_percent) {
    static struct load l;
    init(&l.lane);
    l.n = n;
    l.force_percent = force_percent;
    ledger_init(&l.ledger, (size_t)n);
    run_threads(1 + thieves, thread, &l);
    cr_assert_eq(ledger_wrong(&l.ledger), 0, "%zu missing, %zu repeated", ledger_missing(&l.ledger),
                 ledger_repeated(&l.ledger));
    cr_assert_eq(l.wrong_value, 0);
    assert_shape(&l.lane, 0, 0, 0);
    ledger_fini(&l.ledger);
    filch__lane_fini(&l.lane);
}

Test(lane_load, thieves_steal) {
    run_load(load_thread, stress(60000), 3, 0);
}

Test(lane_load, thieves_force) {
    run_load(load_thread, stress(30000), 3, 100);
}

Test(lane_load, thieves_steal_and_force) {
    run_load(load_thread, stress(30000), 3, 50);
}

/* One call at a time is forked and joined at once, fast unless the guard says otherwise: that is where a pop and a force
 * meet. Before it pops, the owner fills its store buffer, so that its store of pos stays there for long: the window
 * that the barrier closes. */
/* The guard is to be raised at the time of the pop: a little after the fork. */
static bool await_fork(struct load *l, struct filch__random *random) {
    while (load_acquire(&l->lane.hot.pos) == l->lane.slots) { /* L2 <- L1, L3 */
        if (load_acquire(&l->finished) != 0) return false;
        if (filch__random_below(random, 256) == 0) sched_yield();
    }
    for (uint32_t i = filch__random_below(random, 32); i > 0; i--) cpu_relax();
    return true;
}

static void be_forcer(struct load *l) {
    struct filch__random random;
    filch__random_init(&random, 54321);
    while (await_fork(l, &random)) {
        filch_slot *slot;
        if (filch__lane_force(&l->lane, &slot) != STEAL_OK) continue;
        take(l, slot);
        exchange_acq_rel(&slot->status, (uint32_t)SLOT_DONE); /* L12 -> L11 */
    }
}

static void singles_thread(int index, void *context) {
    struct load *l = context;
    if (index != 0) {
        be_forcer(l);
        return;
    }
    while (l->next < l->n) {
        filch_slot *slot = filch_lane_next(&l->lane.hot);
        memcpy(slot->place.bytes, &l->next, sizeof l->next);
        l->next++;
        (void)filch_lane_push(&l->lane.hot, slot); /* nobody publishes: force alone */
        fill_store_buffer();
        join_newest(l);
    }
    flag_raise(&l->finished);
}

Test(lane_load, one_call_is_joined_and_forced) {
    run_load(singles_thread, stress(60000), 1, 100);
}
