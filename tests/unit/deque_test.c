/* deque_test.c: the deque of a worker (thread/deque.h): what it gives, each entry exactly once, in
 * which order, and what it does with memory; alone, in interleavings that are forced at its points, and
 * under load.
 *
 * Forced interleavings first arm a stopper, then start the thread that is stopped, then act in the
 * test's own thread: "owner" and "thief" say which side that is.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "base/random.h"
#include "future_state.h"
#include "os/fault.h"
#include "os/memory.h"
#include "support.h"
#include "thread/deque.h"
#include "thread/pool.h"
#include <criterion/criterion.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

TestSuite(deque, .timeout = 20);
TestSuite(deque_forced, .timeout = 20);
TestSuite(deque_load, .timeout = 60);

/* The i-th entry of a test; never ENTRY_NONE. */
static filch__entry entry_of(int64_t i) {
    return (filch__entry)(i + 1) * 16;
}

static int64_t capacity_of(struct filch__deque *d) {
    return load_relaxed(&d->ring)->mask + 1;
}

static void push_numbers(struct filch__deque *d, int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++) cr_assert(filch__deque_push(d, entry_of(i)));
}

static void init(struct filch__deque *d, int64_t capacity) {
    memset(d, 0xa5, sizeof *d);
    cr_assert(filch__deque_init(d, capacity));
}

/* An empty deque is empty from every side, and its indices agree. */
static void assert_empty(struct filch__deque *d) {
    filch__entry entry = entry_of(77), entries[4];
    int count = 77;
    cr_assert(filch__deque_is_empty(d));
    cr_assert_eq(filch__deque_pop(d), ENTRY_NONE);
    cr_assert_eq(filch__deque_take(d), ENTRY_NONE);
    cr_assert_eq(filch__deque_steal(d, &entry), STEAL_EMPTY);
    cr_assert_eq(filch__deque_steal_half(d, entries, 4, &count), STEAL_EMPTY);
    cr_assert_eq(entry, entry_of(77), "written only on OK");
    cr_assert_eq(count, 77, "written only on OK");
    cr_assert_eq(load_relaxed(&d->top), load_relaxed(&d->bottom));
}

/* Takes everything by steal and checks that it is from..to-1 in order. */
static void assert_steals(struct filch__deque *d, int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++) {
        filch__entry entry = ENTRY_NONE;
        cr_assert_eq(filch__deque_steal(d, &entry), STEAL_OK, "entry %ld", (long)i);
        cr_assert_eq(entry, entry_of(i), "entry %ld", (long)i);
    }
    assert_empty(d);
}

/* Alone ---------------------------------------------------------------------------------------- */

Test(deque, pop_gives_the_newest) {
    struct filch__deque d;
    init(&d, 4);
    push_numbers(&d, 0, 3);
    for (int64_t i = 3; i-- > 0;) {
        cr_assert_eq(filch__deque_newest(&d), entry_of(i));
        cr_assert_eq(filch__deque_pop(&d), entry_of(i));
    }
    assert_empty(&d);
    filch__deque_fini(&d);
}

Test(deque, steal_and_take_give_the_oldest) {
    struct filch__deque d;
    filch__entry entry;
    init(&d, 8);
    push_numbers(&d, 0, 6);
    for (int64_t i = 0; i < 6; i += 2) {
        cr_assert_eq(filch__deque_steal(&d, &entry), STEAL_OK);
        cr_assert_eq(entry, entry_of(i));
        cr_assert_eq(filch__deque_take(&d), entry_of(i + 1));
    }
    assert_empty(&d);
    filch__deque_fini(&d);
}

Test(deque, the_oldest_is_taken_only_if_it_is_the_one) {
    struct filch__deque d;
    init(&d, 4);
    cr_assert_not(filch__deque_take_if_oldest(&d, entry_of(0)));
    push_numbers(&d, 0, 3);
    cr_assert_eq(filch__deque_oldest(&d), entry_of(0));
    cr_assert_not(filch__deque_take_if_oldest(&d, entry_of(1)));
    cr_assert_not(filch__deque_take_if_oldest(&d, entry_of(2)));
    cr_assert(filch__deque_take_if_oldest(&d, entry_of(0)));
    cr_assert_not(filch__deque_take_if_oldest(&d, entry_of(0)));
    cr_assert(filch__deque_take_if_oldest(&d, entry_of(1)));
    cr_assert(filch__deque_take_if_oldest(&d, entry_of(2)));
    assert_empty(&d);
    /* A slot of an empty deque still has what stood there. */
    cr_assert_not(filch__deque_take_if_oldest(&d, filch__deque_oldest(&d)));
    assert_empty(&d);
    filch__deque_fini(&d);
}

Test(deque, both_ends_meet) {
    struct filch__deque d;
    filch__entry entry;
    init(&d, 8);
    push_numbers(&d, 0, 5);
    cr_assert_eq(filch__deque_steal(&d, &entry), STEAL_OK);
    cr_assert_eq(entry, entry_of(0));
    cr_assert_eq(filch__deque_pop(&d), entry_of(4));
    cr_assert_eq(filch__deque_take(&d), entry_of(1));
    cr_assert_eq(filch__deque_pop(&d), entry_of(3));
    cr_assert(!filch__deque_is_empty(&d));
    cr_assert_eq(filch__deque_pop(&d), entry_of(2));
    assert_empty(&d);
    push_numbers(&d, 9, 10);
    cr_assert_eq(filch__deque_pop(&d), entry_of(9));
    assert_empty(&d);
    filch__deque_fini(&d);
}

Test(deque, empty_stays_sane) {
    struct filch__deque d;
    init(&d, 2);
    cr_assert_eq(filch__deque_newest(&d), ENTRY_NONE);
    for (int i = 0; i < 1000; i++) assert_empty(&d);
    cr_assert_eq(filch__deque_bottom(&d), 0);
    for (int64_t i = 0; i < 100; i++) {
        push_numbers(&d, i, i + 1);
        cr_assert(!filch__deque_is_empty(&d));
        cr_assert_eq(filch__deque_pop(&d), entry_of(i));
        for (int k = 0; k < 10; k++) assert_empty(&d);
    }
    /* Each of the pops of a last entry has moved top, and nothing else has. */
    cr_assert_eq(filch__deque_bottom(&d), 100);
    cr_assert_eq(capacity_of(&d), 2);
    filch__deque_fini(&d);
}

/* False sharing costs a factor, and fails no other test. */
Test(deque, what_others_write_is_far_from_the_owners_own) {
    cr_assert_geq(offsetof(struct filch__deque, bottom) - offsetof(struct filch__deque, top),
                  SHARING_DISTANCE);
    cr_assert_eq(offsetof(struct filch__worker, hand) % SHARING_DISTANCE, 0);
    cr_assert_eq(offsetof(struct filch__worker, parker) % SHARING_DISTANCE, 0);
    cr_assert_eq(offsetof(struct filch__pool, injector) % SHARING_DISTANCE, 0);
    cr_assert_eq(_Alignof(struct filch__worker) % SHARING_DISTANCE, 0);
}

Test(deque, bottom_is_where_the_next_push_goes) {
    struct filch__deque d;
    init(&d, 4);
    int64_t base = filch__deque_bottom(&d);
    push_numbers(&d, 0, 3);
    cr_assert_eq(filch__deque_bottom(&d), base + 3);
    filch__deque_pop(&d);
    cr_assert_eq(filch__deque_bottom(&d), base + 2);
    filch__deque_take(&d);
    cr_assert_eq(filch__deque_bottom(&d), base + 2);
    filch__deque_fini(&d);
}

Test(deque, grows_only_when_full) {
    struct filch__deque d;
    init(&d, 2);
    for (int64_t i = 0, capacity = 2; i < 1000; i++) {
        if (i == capacity) capacity *= 2;
        push_numbers(&d, i, i + 1);
        cr_assert_eq(capacity_of(&d), capacity, "after %ld", (long)i);
    }
    for (int64_t i = 1000; i-- > 500;) cr_assert_eq(filch__deque_pop(&d), entry_of(i));
    assert_steals(&d, 0, 500);
    filch__deque_fini(&d);
}

/* What thieves have taken makes room: the owner notices, and the ring goes round. */
Test(deque, reuses_slots) {
    struct filch__deque d;
    init(&d, 4);
    push_numbers(&d, 0, 3);
    for (int64_t i = 3; i < 1000; i++) {
        filch__entry entry;
        push_numbers(&d, i, i + 1);
        cr_assert_eq(filch__deque_steal(&d, &entry), STEAL_OK);
        cr_assert_eq(entry, entry_of(i - 3));
    }
    cr_assert_eq(capacity_of(&d), 4);
    assert_steals(&d, 997, 1000);
    filch__deque_fini(&d);
}

/* Full, and then grown while the entries are wrapped around the end of the ring. */
Test(deque, grows_with_a_wrapped_ring) {
    for (int64_t shift = 0; shift < 8; shift++) {
        struct filch__deque d;
        init(&d, 8);
        push_numbers(&d, -shift, 0);
        for (int64_t i = 0; i < shift; i++) filch__deque_take(&d);
        push_numbers(&d, 0, 8);
        cr_assert_eq(capacity_of(&d), 8);
        push_numbers(&d, 8, 9);
        cr_assert_eq(capacity_of(&d), 16);
        cr_assert_eq(filch__deque_pop(&d), entry_of(8));
        assert_steals(&d, 0, 8);
        filch__deque_fini(&d);
    }
}

/* Indices are 64 bits wide: nothing happens where 32 or 16 of them overflow. */
Test(deque, indices_pass_the_narrow_widths) {
    static const int64_t starts[] = {(1 << 16) - 5, INT64_C(0x7fffffff) - 5,
                                     INT64_C(0xffffffff) - 5, INT64_C(1) << 55};
    for (size_t s = 0; s < sizeof starts / sizeof *starts; s++) {
        struct filch__deque d;
        init(&d, 2);
        d.top = d.bottom = d.top_seen = starts[s];
        push_numbers(&d, 0, 12);
        cr_assert_eq(capacity_of(&d), 16);
        cr_assert_eq(filch__deque_pop(&d), entry_of(11));
        assert_steals(&d, 0, 11);
        cr_assert_eq(filch__deque_bottom(&d), starts[s] + 11);
        filch__deque_fini(&d);
    }
}

Test(deque, steal_half_takes_the_older_half_rounded_up) {
    enum { MOST = 40 };
    for (int n = 1; n <= MOST; n++) {
        for (int limit = 1; limit <= MOST; limit++) {
            struct filch__deque d;
            filch__entry entries[MOST + 1];
            int count = 0, half = (n + 1) / 2, expected = half < limit ? half : limit;
            init(&d, 4);
            push_numbers(&d, 0, n);
            entries[expected] = entry_of(-7);
            cr_assert_eq(filch__deque_steal_half(&d, entries, limit, &count), STEAL_OK);
            cr_assert_eq(count, expected, "%d of %d with limit %d", count, n, limit);
            for (int i = 0; i < count; i++) cr_assert_eq(entries[i], entry_of(i));
            cr_assert_eq(entries[expected], entry_of(-7), "nothing is written behind them");
            assert_steals(&d, expected, n);
            filch__deque_fini(&d);
        }
    }
}

/* Memory --------------------------------------------------------------------------------------- */

Test(deque, frees_what_it_allocated) {
    struct filch__deque d;
    long before = filch__fault_live_blocks();
    init(&d, 2);
    cr_assert_eq(filch__fault_live_blocks(), before + 1);
    push_numbers(&d, 0, 100); /* 2, 4, 8, 16, 32, 64 are retired, 128 is in use */
    cr_assert_eq(filch__fault_live_blocks(), before + 7, "a replaced ring waits for collect");
    filch__deque_collect(&d);
    cr_assert_eq(filch__fault_live_blocks(), before + 1, "collect frees the replaced rings");
    filch__deque_collect(&d);
    cr_assert_eq(filch__fault_live_blocks(), before + 1);
    push_numbers(&d, 100, 300);
    cr_assert_gt(filch__fault_live_blocks(), before + 1);
    filch__deque_fini(&d);
    cr_assert_eq(filch__fault_live_blocks(), before, "fini frees the ring and the replaced ones");
}

Test(deque, works_on_after_collect) {
    struct filch__deque d;
    init(&d, 2);
    for (int64_t i = 0; i < 200; i++) {
        push_numbers(&d, i, i + 1);
        filch__deque_collect(&d);
    }
    assert_steals(&d, 0, 200);
    filch__deque_fini(&d);
}

Test(deque, push_that_cannot_grow_pushes_nothing) {
    struct filch__deque d;
    long before = filch__fault_live_blocks();
    init(&d, 4);
    push_numbers(&d, 0, 4);
    filch__fault_plan(FILCH__FAULT_ALLOC, 0, true);
    for (int i = 0; i < 3; i++) cr_assert(!filch__deque_push(&d, entry_of(4)));
    cr_assert_eq(filch__deque_bottom(&d), 4);
    cr_assert_eq(filch__deque_newest(&d), entry_of(3));
    /* There is room for one more as soon as one has left. */
    cr_assert_eq(filch__deque_take(&d), entry_of(0));
    cr_assert(filch__deque_push(&d, entry_of(4)));
    cr_assert(!filch__deque_push(&d, entry_of(5)));
    cr_assert_eq(filch__fault_clear(), 4);
    cr_assert_eq(filch__fault_live_blocks(), before + 1);
    push_numbers(&d, 5, 7);
    assert_steals(&d, 1, 7);
    filch__deque_fini(&d);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

Test(deque, init_without_memory_says_so) {
    struct filch__deque d;
    long before = filch__fault_live_blocks();
    filch__fault_plan(FILCH__FAULT_ALLOC, 0, false);
    cr_assert(!filch__deque_init(&d, 4));
    cr_assert_eq(filch__fault_clear(), 1);
    filch__deque_fini(&d); /* as the worker that was not made does */
    cr_assert(!filch__deque_init(&d, INT64_C(1) << 60), "sizes do not overflow");
    filch__deque_fini(&d);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

/* A thief with a stale top may read a slot of a grown ring that nothing was ever copied to: it reads
 * zeros, not what the allocator left there. */
Test(deque, new_ring_is_zero_filled) {
    struct filch__deque d;
    size_t size = sizeof(struct filch__ring) + 64 * sizeof(filch__entry);
    init(&d, 32);
    push_numbers(&d, 0, 32);
    void *dirty = filch__alloc(size);
    cr_assert_not_null(dirty);
    memset(dirty, 0xff, size);
    filch__free(dirty);
    push_numbers(&d, 32, 33);
    cr_assert_eq(capacity_of(&d), 64);
    for (int64_t i = 33; i < 64; i++)
        cr_assert_eq(load_relaxed(filch__ring_slot(load_relaxed(&d.ring), i)), ENTRY_NONE);
    filch__deque_fini(&d);
}

/* Forced interleavings ------------------------------------------------------------------------- */

struct attempt {
    struct filch__deque *deque;
    enum filch__steal outcome;
    filch__entry entry, entries[8];
    int limit, count;
};

static void steal_one(void *context) {
    struct attempt *a = context;
    a->outcome = filch__deque_steal(a->deque, &a->entry);
}

static void steal_half(void *context) {
    struct attempt *a = context;
    a->outcome = filch__deque_steal_half(a->deque, a->entries, a->limit, &a->count);
}

static void pop_one(void *context) {
    struct attempt *a = context;
    a->entry = filch__deque_pop(a->deque);
}

static void take_one(void *context) {
    struct attempt *a = context;
    a->entry = filch__deque_take(a->deque);
}

static void push_one(void *context) {
    struct attempt *a = context;
    a->count = filch__deque_push(a->deque, a->entry);
}

static void collect(void *context) {
    struct attempt *a = context;
    filch__deque_collect(a->deque);
}

/* Starts fn, which is stopped at the point. */
static pthread_t start_stopped(struct stopper *stop, const char *point, void (*fn)(void *),
                               struct attempt *a) {
    stopper_arm(stop, point);
    pthread_t thread = thread_start(fn, a);
    stopper_wait_reached(stop);
    return thread;
}

static void let_finish(struct stopper *stop, pthread_t thread) {
    stopper_release(stop);
    thread_finish(thread);
}

/* The last entry is wanted by the owner and by a thief that has already read it. */
Test(deque_forced, owner_pops_the_last_entry_before_the_thief) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d, .entry = entry_of(99)};
    init(&d, 2);
    push_numbers(&d, 0, 1);
    pthread_t thief = start_stopped(&stop, "deque.steal.cas", steal_one, &a);
    cr_assert_eq(filch__deque_pop(&d), entry_of(0));
    let_finish(&stop, thief);
    cr_assert_eq(a.outcome, STEAL_LOST);
    cr_assert_eq(a.entry, entry_of(99));
    assert_empty(&d);
    filch__deque_fini(&d);
}

Test(deque_forced, owner_takes_the_last_entry_before_the_thief) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d};
    init(&d, 2);
    push_numbers(&d, 0, 1);
    pthread_t thief = start_stopped(&stop, "deque.steal.cas", steal_one, &a);
    cr_assert_eq(filch__deque_take(&d), entry_of(0));
    let_finish(&stop, thief);
    cr_assert_eq(a.outcome, STEAL_LOST);
    assert_empty(&d);
    filch__deque_fini(&d);
}

Test(deque_forced, owner_takes_the_oldest_before_the_thief) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d};
    init(&d, 2);
    push_numbers(&d, 0, 2);
    pthread_t thief = start_stopped(&stop, "deque.steal.cas", steal_one, &a);
    cr_assert(filch__deque_take_if_oldest(&d, entry_of(0)));
    let_finish(&stop, thief);
    cr_assert_eq(a.outcome, STEAL_LOST);
    assert_steals(&d, 1, 2);
    filch__deque_fini(&d);
}

/* The owner has looked at top and wants the last entry; a thief that had read it before is faster. */
Test(deque_forced, thief_takes_the_last_entry_before_the_owner) {
    struct filch__deque d;
    struct stopper stop_thief, stop_owner;
    struct attempt theft = {.deque = &d}, pop = {.deque = &d};
    init(&d, 2);
    push_numbers(&d, 0, 1);
    pthread_t thief = start_stopped(&stop_thief, "deque.steal.cas", steal_one, &theft);
    pthread_t owner = start_stopped(&stop_owner, "deque.pop.top", pop_one, &pop);
    let_finish(&stop_thief, thief);
    cr_assert_eq(theft.outcome, STEAL_OK);
    cr_assert_eq(theft.entry, entry_of(0));
    let_finish(&stop_owner, owner);
    cr_assert_eq(pop.entry, ENTRY_NONE);
    assert_empty(&d);
    cr_assert_eq(filch__deque_bottom(&d), 1);
    push_numbers(&d, 1, 2);
    assert_steals(&d, 1, 2);
    filch__deque_fini(&d);
}

Test(deque_forced, second_thief_is_faster) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d};
    filch__entry entry;
    init(&d, 4);
    push_numbers(&d, 0, 2);
    pthread_t thief = start_stopped(&stop, "deque.steal.cas", steal_one, &a);
    cr_assert_eq(filch__deque_steal(&d, &entry), STEAL_OK);
    cr_assert_eq(entry, entry_of(0));
    let_finish(&stop, thief);
    cr_assert_eq(a.outcome, STEAL_LOST,
                 "it does not try the next entry with the first one's value");
    assert_steals(&d, 1, 2);
    filch__deque_fini(&d);
}

/* While a pop is under way its entry is out of reach, and the others are not. */
Test(deque_forced, thieves_leave_the_entry_of_a_pop) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d};
    filch__entry entry;
    init(&d, 4);
    push_numbers(&d, 0, 2);
    pthread_t owner = start_stopped(&stop, "deque.pop.top", pop_one, &a);
    cr_assert_eq(filch__deque_steal(&d, &entry), STEAL_OK);
    cr_assert_eq(entry, entry_of(0));
    cr_assert_eq(filch__deque_steal(&d, &entry), STEAL_EMPTY);
    let_finish(&stop, owner);
    cr_assert_eq(a.entry, entry_of(1));
    assert_empty(&d);
    filch__deque_fini(&d);
}

Test(deque_forced, thieves_leave_the_last_entry_of_a_pop) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d};
    filch__entry entry;
    init(&d, 4);
    push_numbers(&d, 0, 1);
    pthread_t owner = start_stopped(&stop, "deque.pop.top", pop_one, &a);
    for (int i = 0; i < 3; i++) cr_assert_eq(filch__deque_steal(&d, &entry), STEAL_EMPTY);
    let_finish(&stop, owner);
    cr_assert_eq(a.entry, entry_of(0));
    assert_empty(&d);
    filch__deque_fini(&d);
}

/* A thief has read top; by the time it reads bottom everything was popped. */
Test(deque_forced, thief_with_an_old_top_finds_it_empty) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d};
    init(&d, 4);
    push_numbers(&d, 0, 2);
    pthread_t thief = start_stopped(&stop, "deque.steal.top", steal_one, &a);
    cr_assert_eq(filch__deque_pop(&d), entry_of(1));
    cr_assert_eq(filch__deque_pop(&d), entry_of(0));
    let_finish(&stop, thief);
    cr_assert_neq(a.outcome, STEAL_OK);
    assert_empty(&d);
    filch__deque_fini(&d);
}

/* A thief has read top; meanwhile its entry was taken and the ring was replaced by one in which the
 * entry's slot was never filled. */
Test(deque_forced, thief_with_an_old_top_reads_a_grown_ring) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d};
    init(&d, 2);
    push_numbers(&d, 0, 1);
    pthread_t thief = start_stopped(&stop, "deque.steal.top", steal_one, &a);
    cr_assert_eq(filch__deque_take(&d), entry_of(0));
    push_numbers(&d, 1, 6);
    cr_assert_eq(capacity_of(&d), 8);
    let_finish(&stop, thief);
    cr_assert_eq(a.outcome, STEAL_LOST);
    assert_steals(&d, 1, 6);
    filch__deque_fini(&d);
}

/* A thief has read its entry; the slot is used for another one before the thief claims it. */
Test(deque_forced, slot_of_a_stopped_thief_is_used_again) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d};
    init(&d, 2);
    push_numbers(&d, 0, 2);
    pthread_t thief = start_stopped(&stop, "deque.steal.cas", steal_one, &a);
    for (int64_t i = 0; i < 9; i++) {
        cr_assert_eq(filch__deque_take(&d), entry_of(i));
        push_numbers(&d, i + 2, i + 3);
    }
    cr_assert_eq(capacity_of(&d), 2);
    let_finish(&stop, thief);
    cr_assert_eq(a.outcome, STEAL_LOST);
    assert_steals(&d, 9, 11);
    filch__deque_fini(&d);
}

/* The same, 2^16 entries and 2^16 rounds of the ring later, where narrow indices would be as before. */
Test(deque_forced, slot_comes_round_after_the_narrow_width) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d};
    int64_t rounds = INT64_C(2) << 16;
    init(&d, 2);
    push_numbers(&d, 0, 1);
    pthread_t thief = start_stopped(&stop, "deque.steal.cas", steal_one, &a);
    bool right = true;
    for (int64_t i = 0; i < rounds; i++) {
        right = right && filch__deque_take(&d) == entry_of(i);
        right = right && filch__deque_push(&d, entry_of(i + 1));
    }
    cr_assert(right);
    let_finish(&stop, thief);
    cr_assert_eq(a.outcome, STEAL_LOST);
    assert_steals(&d, rounds, rounds + 1);
    filch__deque_fini(&d);
}

/* What a thief gives is what it read before it claimed the entry: from then on the owner may write to
 * the slot. The test does so a moment earlier. */
Test(deque_forced, thief_reads_the_slot_before_it_claims) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d};
    init(&d, 2);
    push_numbers(&d, 0, 2);
    pthread_t thief = start_stopped(&stop, "deque.steal.cas", steal_one, &a);
    store_relaxed(filch__ring_slot(load_relaxed(&d.ring), 0), entry_of(55));
    let_finish(&stop, thief);
    cr_assert_eq(a.outcome, STEAL_OK);
    cr_assert_eq(a.entry, entry_of(0));
    assert_steals(&d, 1, 2);
    filch__deque_fini(&d);
}

Test(deque_forced, thief_of_half_reads_the_slots_before_it_claims) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d, .limit = 8};
    init(&d, 4);
    push_numbers(&d, 0, 4);
    pthread_t thief = start_stopped(&stop, "deque.steal_half.cas", steal_half, &a);
    for (int64_t i = 0; i < 2; i++)
        store_relaxed(filch__ring_slot(load_relaxed(&d.ring), i), entry_of(55));
    let_finish(&stop, thief);
    cr_assert_eq(a.outcome, STEAL_OK);
    cr_assert_eq(a.count, 2);
    for (int64_t i = 0; i < 2; i++) cr_assert_eq(a.entries[i], entry_of(i));
    assert_steals(&d, 2, 4);
    filch__deque_fini(&d);
}

/* An entry is not there before it is published. */
Test(deque_forced, push_that_is_half_way_is_not_seen) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d, .entry = entry_of(1)};
    filch__entry entry, entries[4];
    int count;
    init(&d, 4);
    push_numbers(&d, 0, 1);
    pthread_t owner = start_stopped(&stop, "deque.push.slot", push_one, &a);
    cr_assert_eq(load_relaxed(filch__ring_slot(load_relaxed(&d.ring), 1)), entry_of(1),
                 "it is in its slot before it is published");
    cr_assert_eq(filch__deque_steal(&d, &entry), STEAL_OK);
    cr_assert_eq(entry, entry_of(0));
    cr_assert_eq(filch__deque_steal(&d, &entry), STEAL_EMPTY);
    cr_assert_eq(filch__deque_steal_half(&d, entries, 4, &count), STEAL_EMPTY);
    let_finish(&stop, owner);
    assert_steals(&d, 1, 2);
    filch__deque_fini(&d);
}

/* While the owner copies, thieves go on with the old ring; what they take is not given out again. */
Test(deque_forced, thieves_steal_while_the_owner_grows) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d, .entry = entry_of(4)};
    filch__entry entry;
    init(&d, 4);
    push_numbers(&d, 0, 4);
    pthread_t owner = start_stopped(&stop, "deque.grow.copied", push_one, &a);
    cr_assert_eq(capacity_of(&d), 4, "the new ring is not published before it is filled");
    for (int64_t i = 0; i < 3; i++) {
        cr_assert_eq(filch__deque_steal(&d, &entry), STEAL_OK);
        cr_assert_eq(entry, entry_of(i));
    }
    let_finish(&stop, owner);
    cr_assert_eq(a.count, true);
    cr_assert_eq(capacity_of(&d), 8);
    assert_steals(&d, 3, 5);
    filch__deque_fini(&d);
}

/* The owner has published a new ring, and not yet the entry for which it grew: a thief finds the entries
 * of before in the new ring. (That it may look into that ring is the edge D4 alone, which is what
 * ThreadSanitizer checks here.) */
struct grown {
    struct filch__deque deque;
    struct stopper stop;
    struct attempt attempt;
    pthread_t thief;
    bool done;
};

static void let_thief_finish(void *context) {
    struct grown *g = context;
    if (g->done) return;
    g->done = true;
    let_finish(&g->stop, g->thief);
}

Test(deque_forced, thief_steals_from_a_ring_that_was_just_published) {
    struct grown g = {.done = false};
    init(&g.deque, 2);
    push_numbers(&g.deque, 0, 2);
    g.attempt.deque = &g.deque;
    g.thief = start_stopped(&g.stop, "deque.steal.top", steal_one, &g.attempt);
    point_call("deque.push.slot", let_thief_finish, &g);
    push_numbers(&g.deque, 2, 3);
    point_call("deque.push.slot", NULL, NULL);
    cr_assert(g.done);
    cr_assert_eq(capacity_of(&g.deque), 4);
    cr_assert_eq(g.attempt.outcome, STEAL_OK);
    cr_assert_eq(g.attempt.entry, entry_of(0));
    assert_steals(&g.deque, 1, 3);
    filch__deque_fini(&g.deque);
}

/* A thief has read its entry in a ring that is then replaced: the entry is the same in the new one. */
Test(deque_forced, owner_grows_under_a_stopped_thief) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d};
    init(&d, 2);
    push_numbers(&d, 0, 2);
    pthread_t thief = start_stopped(&stop, "deque.steal.cas", steal_one, &a);
    push_numbers(&d, 2, 40);
    let_finish(&stop, thief);
    cr_assert_eq(a.outcome, STEAL_OK);
    cr_assert_eq(a.entry, entry_of(0));
    assert_steals(&d, 1, 40);
    filch__deque_fini(&d);
}

/* Replaced rings are not freed while a thief may read them. That collect waits cannot be seen, only that
 * it has not freed anything after it had time to. */
Test(deque_forced, collect_waits_for_a_stopped_thief) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d}, b = {.deque = &d};
    long before = filch__fault_live_blocks();
    init(&d, 2);
    push_numbers(&d, 0, 2);
    pthread_t thief = start_stopped(&stop, "deque.steal.cas", steal_one, &a);
    push_numbers(&d, 2, 5);
    cr_assert_eq(filch__fault_live_blocks(), before + 3);
    pthread_t owner = thread_start(collect, &b);
    for (int i = 0; i < 200; i++) sched_yield();
    nanosleep(&(struct timespec){0, 5000000}, NULL);
    cr_assert_eq(filch__fault_live_blocks(), before + 3, "a ring was freed under a thief");
    stopper_release(&stop);
    thread_finish(thief);
    thread_finish(owner);
    cr_assert_eq(a.outcome, STEAL_OK);
    cr_assert_eq(filch__fault_live_blocks(), before + 1);
    assert_steals(&d, 1, 5);
    filch__deque_fini(&d);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

/* The half was counted when there were four; by the time it is claimed one is gone. */
Test(deque_forced, half_does_not_overshoot_a_take) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt a = {.deque = &d, .limit = 8};
    init(&d, 4);
    push_numbers(&d, 0, 4);
    pthread_t thief = start_stopped(&stop, "deque.steal_half.cas", steal_half, &a);
    cr_assert_eq(filch__deque_take(&d), entry_of(0));
    let_finish(&stop, thief);
    cr_assert_eq(a.outcome, STEAL_LOST);
    assert_steals(&d, 1, 4);
    filch__deque_fini(&d);
}

Test(deque_forced, half_is_claimed_before_a_take) {
    struct filch__deque d;
    struct stopper stop;
    struct attempt half = {.deque = &d, .limit = 8}, take = {.deque = &d};
    init(&d, 4);
    push_numbers(&d, 0, 4);
    pthread_t thief = start_stopped(&stop, "deque.steal_half.cas", steal_half, &half);
    push_numbers(&d, 4, 9);
    let_finish(&stop, thief);
    cr_assert_eq(half.outcome, STEAL_OK);
    cr_assert_eq(half.count, 2);
    for (int64_t i = 0; i < 2; i++) cr_assert_eq(half.entries[i], entry_of(i));
    thread_finish(thread_start(take_one, &take));
    cr_assert_eq(take.entry, entry_of(2));
    assert_steals(&d, 3, 9);
    filch__deque_fini(&d);
}

/* Load ----------------------------------------------------------------------------------------- */

/* What an entry refers to: written by the owner before the push, read and written by who gets it. No
 * field is atomic, so that ThreadSanitizer checks what the deque's edges promise. */
struct item {
    int64_t number;
    int taken_by;
};

struct load {
    struct filch__deque deque;
    struct item *items;
    int64_t n;
    int thieves, pop_percent;
    bool inbound;  /* no pops, thieves take halves too */
    bool starting; /* the owner pops while it starts, and in no other way */
    uint32_t turn; /* of the owner's ways to get an entry */
    uint32_t finished;
    uint32_t out_of_order, taken_twice;
    uint32_t hits[RUN_THREADS_MAX];
    struct ledger ledger;
};

static void got(struct load *l, filch__entry entry, int who) {
    struct item *item = (struct item *)(void *)entry;
    if (item->taken_by != 0) fetch_add_relaxed(&l->taken_twice, 1u);
    item->taken_by = who + 1;
    ledger_note(&l->ledger, (size_t)item->number);
}

/* From the top entries leave in the order in which they were pushed, whoever gets them. */
static void got_in_order(struct load *l, filch__entry entry, int who, int64_t *last) {
    int64_t number = ((struct item *)(void *)entry)->number;
    if (number <= *last) fetch_add_relaxed(&l->out_of_order, 1u);
    *last = number;
    got(l, entry, who);
    fetch_add_relaxed(&l->hits[who], 1u);
}

static bool steal_something(struct load *l, int who, struct filch__random *random, int64_t *last) {
    filch__entry entries[16];
    int count = 1;
    enum filch__steal outcome;
    if (l->inbound && filch__random_below(random, 2) == 0)
        outcome = filch__deque_steal_half(&l->deque, entries,
                                          1 + (int)filch__random_below(random, 16), &count);
    else
        outcome = filch__deque_steal(&l->deque, entries);
    for (int i = 0; outcome == STEAL_OK && i < count; i++) got_in_order(l, entries[i], who, last);
    return outcome != STEAL_EMPTY;
}

static void be_thief(struct load *l, int who) {
    struct filch__random random;
    int64_t last = -1;
    filch__random_init(&random, (uint64_t)who);
    for (;;) {
        bool finished = load_acquire(&l->finished) != 0;
        if (steal_something(l, who, &random, &last)) continue;
        if (finished) return;
        sched_yield();
    }
}

static bool push_next(struct load *l, int64_t *next) {
    struct item *item = &l->items[*next];
    item->number = *next;
    ++*next;
    return filch__deque_push(&l->deque, (filch__entry)item);
}

/* The two halves of a pop around the transition that starts an awaited task, which is the fence. */
static filch__entry pop_while_starting(struct filch__deque *d) {
    uint64_t state;
    int64_t bottom = filch__deque_pop_begin(d);
    if (bottom < 0) return ENTRY_NONE;
    state_init(&state, 2, 0);
    if (!state_start_fencing(&state, 0)) abort();
    fence_after_rmw(); /* D9 -> D8 */
    return filch__deque_pop_end(d, bottom);
}

/* The oldest entry. It may be lost to a thief, and then others are still there. */
static filch__entry take_oldest(struct filch__deque *d) {
    while (!filch__deque_is_empty(d)) {
        filch__entry entry = filch__deque_oldest(d);
        if (filch__deque_take_if_oldest(d, entry)) return entry;
    }
    return ENTRY_NONE;
}

/* By each way in turn that the owner has. */
static bool get_one(struct load *l) {
    filch__entry entry;
    l->turn++;
    if (l->inbound)
        entry = filch__deque_take(&l->deque);
    else if (l->starting || l->turn % 4 == 1)
        entry = pop_while_starting(&l->deque);
    else if (l->turn % 4 == 2)
        entry = take_oldest(&l->deque);
    else
        entry = filch__deque_pop(&l->deque);
    if (entry != ENTRY_NONE) got(l, entry, 0);
    return entry != ENTRY_NONE;
}

/* Pushes in bursts and pops in between, so that the deque is long, short and empty in turn. */
static void be_owner(struct load *l) {
    struct filch__random random;
    filch__random_init(&random, 12345);
    for (int64_t next = 0; next < l->n;) {
        uint32_t burst = 1u << filch__random_below(&random, 9);
        for (uint32_t i = 0; i < burst && next < l->n; i++) {
            if (!push_next(l, &next)) abort();
            if (filch__random_below(&random, 100) < (uint32_t)l->pop_percent) get_one(l);
        }
        uint32_t pops = filch__random_below(&random, 2 * burst);
        for (uint32_t i = 0; i < pops && get_one(l); i++) continue;
        if (filch__random_below(&random, 16) == 0) filch__deque_collect(&l->deque);
        if (filch__random_below(&random, 8) == 0) sched_yield();
    }
    while (get_one(l)) continue;
    flag_raise(&l->finished);
}

static void load_thread(int index, void *context) {
    if (index == 0)
        be_owner(context);
    else
        be_thief(context, index);
}

static void load_init(struct load *l, int64_t n) {
    init(&l->deque, 2);
    l->n = n;
    l->items = calloc((size_t)n, sizeof *l->items);
    cr_assert_not_null(l->items);
    ledger_init(&l->ledger, (size_t)n);
}

static void load_check(struct load *l) {
    cr_assert_eq(ledger_wrong(&l->ledger), 0, "%zu missing, %zu repeated",
                 ledger_missing(&l->ledger), ledger_repeated(&l->ledger));
    cr_assert_eq(l->taken_twice, 0);
    cr_assert_eq(l->out_of_order, 0);
    assert_empty(&l->deque);
    ledger_fini(&l->ledger);
    filch__deque_fini(&l->deque);
    free(l->items);
}

static void run_load(int64_t n, int thieves, int pop_percent, bool inbound) {
    long before = filch__fault_live_blocks();
    struct load l = {.thieves = thieves, .pop_percent = pop_percent, .inbound = inbound};
    load_init(&l, n);
    run_threads(1 + thieves, load_thread, &l);
    load_check(&l);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

Test(deque_load, one_thief_against_the_owner) {
    run_load(stress(100000), 1, 50, false);
}

Test(deque_load, one_thief_and_no_pops_in_between) {
    run_load(stress(100000), 1, 0, false);
}

Test(deque_load, many_thieves_and_pushes_and_pops) {
    run_load(stress(60000), 6, 40, false);
}

Test(deque_load, inbound_halves_and_singles) {
    run_load(stress(60000), 4, 20, true);
}

/* Everything is pushed first; then the owner and many thieves empty the deque. */
static void stampede_thread(int index, void *context) {
    struct load *l = context;
    if (index != 0) {
        be_thief(l, index);
        return;
    }
    while (get_one(l)) continue;
    flag_raise(&l->finished);
}

Test(deque_load, stampede) {
    struct load l = {.thieves = 8};
    load_init(&l, stress(60000));
    for (int64_t next = 0; next < l.n;) cr_assert(push_next(&l, &next));
    run_threads(9, stampede_thread, &l);
    load_check(&l);
}

/* The owner pops what it has just pushed, two at a time, while thieves take from the other side: the
 * last two entries are where pop's fence and its CAS matter. Before it pops it fills its
 * store buffer, so that its store of bottom stays there for long: that is the window which the fence
 * closes. */
static void pairs_thread(int index, void *context) {
    struct load *l = context;
    if (index != 0) {
        be_thief(l, index);
        return;
    }
    for (int64_t next = 0; next < l->n;) {
        if (!push_next(l, &next) || !push_next(l, &next)) abort();
        for (int64_t i = next & 31; i > 0; i--) cpu_relax();
        fill_store_buffer();
        while (get_one(l)) continue;
    }
    flag_raise(&l->finished);
}

static void run_pairs(bool inbound, bool starting) {
    struct load l = {.thieves = 1, .inbound = inbound, .starting = starting};
    load_init(&l, 2 * (int64_t)stress(50000));
    run_threads(2, pairs_thread, &l);
    load_check(&l);
}

Test(deque_load, last_two_entries_are_popped) {
    run_pairs(false, false);
}

Test(deque_load, last_two_entries_are_popped_and_started) {
    run_pairs(false, true);
}

/* The same from the other side, where every entry is claimed by CAS. */
Test(deque_load, last_two_entries_are_taken) {
    run_pairs(true, false);
}

/* A thief that keeps trying succeeds, although the owner pops without pause and others steal. The owner
 * goes on until each thief has had something; the test would not end otherwise. */
static void starvation_owner(struct load *l) {
    int hungry;
    do {
        for (int64_t i = 0; i < 16; i++) {
            if (!filch__deque_push(&l->deque, entry_of(i))) abort();
            if (i % 2 == 0) (void)filch__deque_pop(&l->deque);
        }
        hungry = 0;
        for (int i = 1; i <= l->thieves; i++) hungry += load_relaxed(&l->hits[i]) == 0;
        if (hungry != 0) sched_yield();
    } while (hungry != 0);
    while (filch__deque_pop(&l->deque) != ENTRY_NONE) continue;
    flag_raise(&l->finished);
}

static void starvation_thread(int index, void *context) {
    struct load *l = context;
    filch__entry entry;
    if (index == 0) {
        starvation_owner(l);
        return;
    }
    while (load_acquire(&l->finished) == 0) {
        if (filch__deque_steal(&l->deque, &entry) == STEAL_OK)
            fetch_add_relaxed(&l->hits[index], 1u);
        sched_yield(); /* on one CPU a thief that goes on until it fails leaves nothing to the next */
    }
}

Test(deque_load, no_thief_starves) {
    struct load l = {.thieves = 6};
    init(&l.deque, 2);
    run_threads(7, starvation_thread, &l);
    for (int i = 1; i <= 6; i++) cr_assert_gt(l.hits[i], 0);
    assert_empty(&l.deque);
    filch__deque_fini(&l.deque);
}

/* A thief that is stopped in the middle of a steal delays nobody: the others end before it goes on. */
Test(deque_load, stopped_thief_delays_nobody) {
    struct load l = {.thieves = 8};
    struct stopper stop;
    struct attempt a = {.deque = &l.deque};
    load_init(&l, stress(5000));
    for (int64_t next = 0; next < l.n;) cr_assert(push_next(&l, &next));
    pthread_t thief = start_stopped(&stop, "deque.steal.cas", steal_one, &a);
    run_threads(9, stampede_thread, &l);
    cr_assert(stopper_is_reached(&stop));
    let_finish(&stop, thief);
    cr_assert_eq(a.outcome, STEAL_LOST);
    load_check(&l);
}
