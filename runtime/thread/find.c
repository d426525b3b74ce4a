/* thread/find.c: the policy: what a worker runs next, from whom it steals how much, and when it is time to sleep.
 *
 * Flow     worker.c -> filch__worker_next between two tasks; idle.c -> filch__worker_search when that has nothing.
 *          worker.c -> filch__worker_learn after what was stolen.
 * Policy   next: the own deque, but every 61st time outside first; outside; whom it stole from last. look: the own deque,
 *          outside, all others from a random one on. search: looks for a bounded time. Outside is the own inbound
 *          deque, then the others', then the injector. What is tried first stands in next_own, take_outside and these
 *          three, and nowhere else.
 * Not here: what a worker that waits inside a task may run (wait.c), which of another's forked calls it may have
 *          (frames.c), how a worker sleeps (idle.c), who is told of work (crew.c). */
#include "base/point.h"
#include "os/clock.h"
#include "os/spin.h"
#include "thread/pool.h"

/* Every so many entries a worker looks outside first, so that work which submits itself again starves
 * nobody. A prime, so that it does not beat with the period of a program; 61 as in Go's scheduler. */
#define OUTSIDE_EVERY 61
/* Entries that a thief takes from another's inbound deque at a time, at most. */
#define HALF_LIMIT 32
/* Nanoseconds of a stolen task below which it was not worth stealing: its cache lines, and the line of its
 * owner's `bottom`, go to the thief and back, at some 60 ns each. */
#define TINY_TASK 300
/* The same of a forked call, which comes with one line, and without its owner's `bottom`. */
#define TINY_CALL 100
/* Nanoseconds that a thief then leaves its victim alone, at first, and at most. */
#define PAUSE_FIRST 1000
#define PAUSE_MAX 8000
/* A spin after others in vain is shortened down to this part of the executor's `spin`. */
#define SPIN_LEAST 8
/* A batch from the injector of fewer tasks than this is small; nanoseconds from one to the next, then. */
#define SMALL_BATCH 8
#define GATHER 250

/* Entries in order, behind what stands in the own inbound deque. Where there is no memory for that they
 * go back to the injector: late, but not lost. */
static void keep_inbound(struct filch__worker *w, filch__entry entry) {
    if (unlikely(!filch__deque_push(&w->inbound, entry)))
        filch__stack_push(&w->pool->injector, &filch__entry_future(entry)->link);
}

/* A busy worker has moved entries. While they were in its hand, the last searcher may have looked and
 * gone to sleep. A searcher that moves entries looks again itself when it stops searching. */
static void tell_of_moved(struct filch__worker *w, bool moved) {
    if (moved && !w->searching) filch__crew_tell_own(w);
}

/* The older half of what another worker has taken from the injector; of a single worker, whose spare
 * this is, only the oldest, so that the order stays exact. */
static filch__entry share_inbound(struct filch__worker *w) {
    filch__entry entries[HALF_LIMIT];
    struct filch__pool *p = w->pool;
    int limit = p->sleep.max == 1 ? 1 : HALF_LIMIT;
    uint32_t n = filch__pool_workers(p);
    for (uint32_t i = 0; i < n; i++) {
        struct filch__worker *victim = filch__pool_slot(p, i);
        int count = 0;
        if (victim == NULL || victim == w || filch__deque_is_empty(&victim->inbound)) continue;
        count_own(&w->attempts, 1);
        if (filch__deque_steal_half(&victim->inbound, entries, limit, &count) != STEAL_OK) {
            count_own(&w->failed, 1);
            continue;
        }
        count_own(&w->stolen, (uint64_t)count);
        w->victim = i;
        for (int k = 1; k < count; k++) keep_inbound(w, entries[k]);
        tell_of_moved(w, count > 1);
        return entries[0];
    }
    return ENTRY_NONE;
}

/* A worker that is faster than who submits would take each task singly, and the lines of the injector and of
 * the task would go to and fro for each. After a small batch it waits for the next to gather. */
static void let_gather(struct filch__worker *w) {
    if (w->batch >= SMALL_BATCH) return;
    int64_t end = w->taken + GATHER;
    while (filch__now() < end)
        for (int i = 0; i < 2; i++) cpu_relax();
}

/* All that is in the injector, in the order of submission: the oldest is returned. Not inline, so that a take
 * from a batch saves no registers for it. */
static noinline filch__entry empty_injector(struct filch__worker *w) {
    let_gather(w);
    struct filch__link *chain = filch__stack_take_all(&w->pool->injector);
    POINT("worker.injector.taken");
    chain = filch__chain_reverse(chain);
    if (chain == NULL) return ENTRY_NONE;
    struct filch__link *link = filch__link_next(chain);
    bool moved = link != NULL;
    w->batch = 1;
    while (link != NULL) {
        struct filch__link *next = filch__link_next(link);
        keep_inbound(w, filch__entry_of_future(container_of(link, filch_future, link)));
        link = next;
        w->batch++;
    }
    if (w->batch < SMALL_BATCH) w->taken = filch__now();
    tell_of_moved(w, moved);
    return filch__entry_of_future(container_of(chain, filch_future, link));
}

/* Work from outside. A new batch is taken only when the earlier ones are used up. */
static filch__entry take_outside(struct filch__worker *w) {
    filch__entry entry = filch__deque_take(&w->inbound);
    if (entry != ENTRY_NONE) return entry;
    entry = share_inbound(w);
    if (entry != ENTRY_NONE || filch__stack_is_empty(&w->pool->injector)) return entry;
    return empty_injector(w);
}

/* What a busy worker runs next, without looking into others' own queues. */
static always_inline filch__entry next_own(struct filch__worker *w) {
    if (++w->tick % OUTSIDE_EVERY == 0) {
        filch__entry entry = take_outside(w);
        if (entry != ENTRY_NONE) return entry;
    }
    filch__entry entry = filch__deque_pop(&w->local);
    return entry != ENTRY_NONE ? entry : take_outside(w);
}

/* The oldest entry of another worker's own deque. */
static filch__entry steal_from(struct filch__worker *w, struct filch__worker *victim) {
    filch__entry entry;
    if (victim == NULL || victim == w || filch__deque_is_empty(&victim->local)) return ENTRY_NONE;
    count_own(&w->attempts, 1);
    if (filch__deque_steal(&victim->local, &entry) != STEAL_OK) {
        count_own(&w->failed, 1);
        return ENTRY_NONE;
    }
    count_own(&w->stolen, 1);
    w->victim = (uint32_t)victim->self.index;
    w->stole = true;
    return entry;
}

/* More workers than CPUs only take turns: who is one too many leaves forked calls alone, but for those that have waited
 * for long. */
static bool may_take_frames(struct filch__worker *w) {
    return w->watched || sleep_awake(sleep_read(&w->pool->sleep)) <= w->pool->sleep.searchers;
}

/* The oldest of what another worker has for others: of its own deque, or a call that it has forked. */
static filch__entry take_from(struct filch__worker *w, struct filch__worker *victim) {
    filch__entry entry = steal_from(w, victim);
    if (entry == ENTRY_NONE && filch__crew_forks(w->pool) && may_take_frames(w))
        entry = filch__worker_steal_frame(w, victim);
    return entry;
}

/* One round over the others, from a random one on. */
static filch__entry steal_somewhere(struct filch__worker *w) {
    struct filch__pool *p = w->pool;
    uint32_t n = filch__pool_workers(p), at = filch__random_below(&w->random, n);
    for (uint32_t i = 0; i < n; i++, at = at + 1 == n ? 0 : at + 1) {
        filch__entry entry = take_from(w, filch__pool_slot(p, at));
        if (entry != ENTRY_NONE) return entry;
    }
    return ENTRY_NONE;
}

/* After a tiny stolen task: leaves the victim alone for a while, but for work from outside. */
static void pause_stealing(struct filch__worker *w) {
    struct filch__pool *p = w->pool;
    struct filch__spin pauses = filch__spin_begin();
    if (filch__now() >= w->next_steal) return;
    while (filch__stack_is_empty(&p->injector) && filch__pool_ending(p) == 0 &&
           filch__spin_pause(&pauses, PAUSE_MAX, w->next_steal))
        continue;
}

/* From whom it stole last. A thief that finds work there again and again stays BUSY, and the word that counts
 * the searchers is not written for each task. */
static noinline filch__entry steal_again(struct filch__worker *w) {
    if (w->pause != 0) {
        pause_stealing(w);
        filch__entry entry = next_own(w);
        if (entry != ENTRY_NONE) return entry;
    }
    filch__entry entry = take_from(w, filch__pool_slot(w->pool, w->victim));
    if (entry == ENTRY_NONE) filch__hand_empty(w);
    return entry;
}

filch__entry filch__worker_next(struct filch__worker *w) {
    filch__hand_open(w);
    filch__entry entry = next_own(w);
    return likely(entry != ENTRY_NONE) ? entry : steal_again(w);
}

void filch__worker_learn(struct filch__worker *w, int64_t start, bool call) {
    int64_t end = filch__now(), tiny = call ? TINY_CALL : TINY_TASK;
    w->pause = end - start >= tiny    ? 0
               : w->pause == 0        ? PAUSE_FIRST
               : w->pause < PAUSE_MAX ? 2 * w->pause
                                      : PAUSE_MAX;
    w->next_steal = end + w->pause;
}

filch__entry filch__worker_look(struct filch__worker *w) {
    filch__hand_open(w);
    filch__entry entry = next_own(w);
    if (entry == ENTRY_NONE) entry = steal_somewhere(w);
    if (entry == ENTRY_NONE) filch__hand_empty(w);
    return entry;
}

filch__entry filch__worker_search(struct filch__worker *w) {
    struct filch__pool *p = w->pool;
    struct filch__spin pauses = filch__spin_begin();
    for (;;) {
        filch__entry entry = filch__worker_look(w);
        if (entry != ENTRY_NONE && pauses.looks != 0) w->spin = p->spin;
        if (entry != ENTRY_NONE || filch__pool_ending(p) != 0) return entry;
        if ((!w->searching && p->sleep.max != 1) || p->spin <= 0) return ENTRY_NONE;
        if (!filch__spin_pause(&pauses, w->spin, INT64_MAX)) break;
    }
    w->spin = w->spin / 2 > p->spin / SPIN_LEAST ? w->spin / 2 : p->spin / SPIN_LEAST;
    return ENTRY_NONE;
}
