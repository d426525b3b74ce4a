/* thread/worker.c: a worker's life: find an entry, run it, and sleep when there is none.
 *
 * Flow     filch__worker_main -> find (own queue; every 61st time outside first; the injector; others)
 *          -> filch__worker_handle -> task.c -> future.c.
 * Policy   what is tried first stands in next_own, take_outside and steal_somewhere, and nowhere else.
 * Steps    W1 to W6 are those of README.md. */
#include "base/point.h"
#include "doze.h"
#include "error.h"
#include "os/clock.h"
#include "os/cpus.h"
#include "os/memory.h"
#include "os/spin.h"
#include "task.h"
#include "thread/pool.h"

/* Every so many entries a worker looks outside first, so that work which submits itself again starves
 * nobody. A prime, so that it does not beat with the period of a program; 61 as in Go's scheduler. */
#define OUTSIDE_EVERY 61
/* Entries of a new deque; it doubles as needed. */
#define DEQUE_CAPACITY 256
/* Entries that a thief takes from another's inbound deque at a time, at most. */
#define HALF_LIMIT 32
/* Stack that is kept for the user's code under the floor, bytes; a quarter of a small stack. */
#define STACK_RESERVE ((size_t)64 << 10)
/* Slots of replaced rings that are kept until the worker ends: 64 KiB. */
#define COLLECT_SLOTS 8192
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

/* Nanoseconds between two looks for forked calls while the executor ends. */
#define FORK_NAP 200000

/* Nanoseconds between two looks of the sentinel: at first, and at most. */
#define SENTINEL_NAP 1000000
#define SENTINEL_NAP_MOST 8000000

struct filch__worker *filch__worker_create(struct filch__pool *p, uint32_t index) {
    struct filch__worker *w = filch__alloc_aligned(_Alignof(struct filch__worker), sizeof *w);
    if (w == NULL) return NULL;
    w->self.executor = &p->base;
    w->self.index = (int)index;
    w->pool = p;
    w->victim = index;
    w->live_mark = INT64_MAX;
    w->spin = p->spin;
    filch__random_init(&w->random, index);
    (void)filch__lane_init(&w->lane); /* without memory for it, forked calls run at once */
    bool local = filch__deque_init(&w->local, DEQUE_CAPACITY);
    bool inbound = filch__deque_init(&w->inbound, DEQUE_CAPACITY);
    if (local && inbound) w->heap = filch__heap_create(p->home, filch__home_release);
    if (w->heap == NULL) {
        filch__worker_destroy(w);
        return NULL;
    }
    filch__home_retain(p->home);
    return w;
}

void filch__worker_destroy(struct filch__worker *w) {
    filch__deque_fini(&w->local);
    filch__deque_fini(&w->inbound);
    filch__lane_fini(&w->lane);
    filch__free(w->marks);
    if (w->heap != NULL) filch__heap_seal(w->heap);
    filch__free(w);
}

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

/* All that is in the injector, in the order of submission: the oldest is returned. */
static filch__entry empty_injector(struct filch__worker *w) {
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
static filch__entry next_own(struct filch__worker *w) {
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

/* What a busy worker runs next: its own, else from whom it stole last. A thief that finds work there
 * again and again stays BUSY, and the word that counts the searchers is not written for each task. */
static filch__entry next_busy(struct filch__worker *w) {
    filch__entry entry = next_own(w);
    if (entry != ENTRY_NONE) return entry;
    if (w->pause != 0) {
        pause_stealing(w);
        entry = next_own(w);
        if (entry != ENTRY_NONE) return entry;
    }
    return take_from(w, filch__pool_slot(w->pool, w->victim));
}

/* Learns from what was stolen, which took so long, whether to steal again at once. */
static void learn_from_stolen(struct filch__worker *w, int64_t start, int64_t tiny) {
    int64_t end = filch__now();
    w->pause = end - start >= tiny    ? 0
               : w->pause == 0        ? PAUSE_FIRST
               : w->pause < PAUSE_MAX ? 2 * w->pause
                                      : PAUSE_MAX;
    w->next_steal = end + w->pause;
}

/* Runs what was stolen from another's own deque. */
static void run_stolen(struct filch__worker *w, filch__entry entry) {
    filch_future *f = filch__entry_future(entry);
    w->stole = false;
    if (!filch__worker_claim(w, f)) {
        filch__worker_skip(w, f);
        return;
    }
    /* From here on, when the task's line has come: how long that takes says nothing about the task. */
    int64_t start = filch__now();
    filch__worker_run(w, f, true);
    learn_from_stolen(w, start, TINY_TASK);
}

static void run_entry(struct filch__worker *w, filch__entry entry) {
    w->stole = false;
    if (!filch__entry_is_frame(entry)) {
        filch__worker_handle(w, entry);
        return;
    }
    filch__hand_empty(w); /* it is part of a task that runs: nobody who drains waits for it */
    int64_t start = filch__now();
    filch__worker_run_frame(w, entry);
    learn_from_stolen(w, start, TINY_CALL);
}

/* Everything that there is, once. */
static filch__entry look(struct filch__worker *w) {
    filch__hand_open(w);
    filch__entry entry = next_own(w);
    if (entry == ENTRY_NONE) entry = steal_somewhere(w);
    if (entry == ENTRY_NONE) filch__hand_empty(w);
    return entry;
}

bool filch__worker_run_any(struct filch__worker *w) {
    filch__entry entry = look(w);
    if (entry == ENTRY_NONE) return false;
    run_entry(w, entry);
    return true;
}

/* SEARCHING or BUSY to BUSY with an entry; the last searcher sees to it that others search on (W4). */
static void found(struct filch__worker *w) {
    if (!w->searching) return;
    w->searching = false;
    if (!sleep_found(&w->pool->sleep)) return;
    fence_seq_cst(); /* S2 <- S1, I1 */
    if (filch__crew_sees_work(w->pool))
        filch__crew_tell(w->pool);
    else if (filch__crew_forks(w->pool))
        filch__crew_watch(w->pool);
}

/* Looks for as long as a worker spins (W1): for `spin`, and after spins in vain for less each time, since
 * where work comes seldom it does not come just then. */
static filch__entry spin(struct filch__worker *w) {
    struct filch__pool *p = w->pool;
    struct filch__spin pauses = filch__spin_begin();
    for (;;) {
        filch__entry entry = look(w);
        if (entry != ENTRY_NONE && pauses.looks != 0) w->spin = p->spin;
        if (entry != ENTRY_NONE || filch__pool_ending(p) != 0) return entry;
        if ((!w->searching && p->sleep.max != 1) || p->spin <= 0) return ENTRY_NONE;
        if (!filch__spin_pause(&pauses, w->spin, INT64_MAX)) break;
    }
    w->spin = w->spin / 2 > p->spin / SPIN_LEAST ? w->spin / 2 : p->spin / SPIN_LEAST;
    return ENTRY_NONE;
}

/* Frees replaced rings, if that is worth while. A grace period may take long, so for its time the worker
 * counts as BLOCKED: somebody else takes its place if there is work. BUSY or SEARCHING before, and BUSY
 * afterwards if it has waited. */
static void collect(struct filch__worker *w) {
    struct filch__sleep *s = &w->pool->sleep;
    if (likely(w->local.retired_slots + w->inbound.retired_slots < COLLECT_SLOTS)) return;
    found(w);
    sleep_block(s);
    fence_seq_cst(); /* S2 <- S1, I1 */
    if (filch__crew_sees_work(w->pool)) filch__crew_tell(w->pool);
    filch__deque_collect(&w->local);
    filch__deque_collect(&w->inbound);
    sleep_unblock(s);
}

/* While more CPUs are in use than there are, nobody is told of forked calls. So that those do not wait for ever for a
 * worker that computes or blocks, one sleeper looks now and then, and wakes up if nothing has moved since. */
static bool stand_sentinel(struct filch__worker *w) {
    struct filch__pool *p = w->pool;
    int64_t nap = SENTINEL_NAP;
    uint64_t before = filch__crew_sum_of_frames(p);
    for (;;) {
        filch__park_sleep_until(&w->parker, filch__deadline(nap));
        if (!filch__park_is_prepared(&w->parker)) return false;
        uint64_t now = filch__crew_sum_of_frames(p);
        if (now != 0 && now == before) return true;
        if (now == 0 && sleep_awake(sleep_read(&p->sleep)) == 0) return false;
        if (nap < SENTINEL_NAP_MOST) nap *= 2;
        before = now;
    }
}

/* Sleeps, with a prepared parker, until it is told, or has seen forked calls that nobody takes. */
static void sleep_or_watch(struct filch__worker *w) {
    struct filch__pool *p = w->pool;
    uint32_t nobody = 0;
    w->watched = false;
    if (filch__crew_forks(p) && sleep_awake(sleep_read(&p->sleep)) != 0 &&
        cas_acq_rel(&p->sentinel, &nobody, 1u)) { /* C31 -> C31; C31 <- C32 */
        w->watched = stand_sentinel(w);
        store_release(&p->sentinel, 0u); /* C32 -> C31 */
        if (w->watched) return;
    }
    filch__park_sleep(&w->parker);
}

/* SLEEPING, with a prepared parker: sleeps until there is something to do (W3, W5). SEARCHING afterwards;
 * false: the executor ends, others are awake, and the worker has left for ever. */
static bool sleep_until_told(struct filch__worker *w) {
    struct filch__pool *p = w->pool;
    for (;;) {
        fence_seq_cst(); /* S2 <- S1, I1 */
        filch__crew_ask(p);
        uint64_t word = sleep_read(&p->sleep);
        if (filch__pool_ending(p) != 0 || (word & WAKING_BIT) != 0 ||
            (sleep_awake(word) < p->sleep.max && filch__crew_sees_work(p))) {
            filch__park_cancel(&w->parker);
        } else {
            count_own(&w->parked, 1);
            sleep_or_watch(w);
            if (w->watched) (void)filch__park_cancel(&w->parker);
            count_own(&w->woken, 1);
        }
        enum filch__leave what = sleep_leave(&p->sleep);
        w->searching = what == LEAVE_SEARCHING;
        if (w->watched && what != LEAVE_NOT)
            filch__crew_unpark_one(p); /* somebody else watches now */
        if (what != LEAVE_NOT) return w->searching;
        filch__park_prepare(&w->parker);
        POINT("worker.prepared");
    }
}

/* Goes to sleep (W2), and wakes up. False: the worker has left for ever. */
static bool sleep_now(struct filch__worker *w) {
    collect(w);
    filch__park_prepare(&w->parker);
    sleep_announce(&w->pool->sleep, w->searching);
    POINT("worker.announced");
    return sleep_until_told(w);
}

/* What runs can submit no more, but it can fork. Nobody is told of it by then: the worker looks now and then. */
static bool stays_for_forks(struct filch__worker *w) {
    struct filch__pool *p = w->pool;
    uint64_t word = sleep_read(&p->sleep);
    if (!filch__crew_forks(p) || sleep_awake(word) <= sleep_count(word, SEARCHING_ONE))
        return false;
    uint64_t before = filch__crew_sum_of_frames(p);
    filch__futex_wait(&p->ended, 0, filch__deadline(FORK_NAP));
    w->watched = before != 0 && filch__crew_sum_of_frames(p) == before;
    return true;
}

/* SEARCHING, and the executor is ending: if nothing is queued, the worker goes (W6). What was published
 * before the end is seen; what races with it is refused or taken back by who submits it. */
static bool leave_for_ever(struct filch__worker *w) {
    if (filch__pool_ending(w->pool) == 0) return false;
    if (!w->searching) w->searching = sleep_try_search(&w->pool->sleep);
    if (!w->searching) return false;
    fence_seq_cst(); /* S2 <- S1, I1 */
    if (filch__crew_sees_work(w->pool) || stays_for_forks(w)) return false;
    filch__crew_one_less(w->pool, sleep_exit(&w->pool->sleep));
    return true;
}

/* The next entry; ENTRY_NONE: the worker has left. */
static filch__entry find(struct filch__worker *w) {
    if (!w->searching) {
        filch__hand_open(w);
        filch__entry entry = next_busy(w);
        if (likely(entry != ENTRY_NONE)) return entry;
        filch__hand_empty(w);
        if (w->pool->sleep.max != 1) w->searching = sleep_try_search(&w->pool->sleep);
    }
    filch__doze_end(w->pool->home);
    for (;;) {
        filch__entry entry = spin(w);
        if (entry != ENTRY_NONE) {
            found(w);
            return entry;
        }
        if (leave_for_ever(w) || !sleep_now(w)) return ENTRY_NONE;
    }
}

/* One too many is awake since a blocked worker came back: this one sleeps. Its queues are for the others,
 * each of which looks at them before it sleeps. False: the worker has left for ever. */
static bool retire_if_too_many(struct filch__worker *w) {
    struct filch__sleep *s = &w->pool->sleep;
    if (likely(filch__pool_workers(w->pool) <= s->max) || w->searching) return true;
    filch__park_prepare(&w->parker);
    if (sleep_retire(s)) return sleep_until_told(w);
    /* A wake-up that was meant for a sleeper goes on to it. */
    if (!filch__park_cancel(&w->parker)) filch__crew_unpark_one(w->pool);
    return true;
}

/* Callbacks do not run while the worker counts as searching. */
static void before_callbacks(void *worker) {
    found(worker);
}

/* Before its future is done a worker counts as idle, if it has nothing else to do: whoever sees the
 * end and submits again finds an idle worker, and starts no other. */
static void search_if_idle(struct filch__worker *w) {
    if (w->pool->sleep.max == 1) return; /* nobody else would be told in any case */
    struct filch__worker *victim = filch__pool_slot(w->pool, w->victim);
    if (filch__deque_is_empty(&w->local) && filch__deque_is_empty(&w->inbound) &&
        filch__stack_is_empty(&w->pool->injector) && filch__deque_is_empty(&victim->local) &&
        filch__deque_is_empty(&victim->inbound))
        w->searching = sleep_try_search(&w->pool->sleep);
}

/* With nothing below on the stack: others may help with what the task submits from now on. */
static void begin_outermost(struct filch__worker *w, filch_future *f, int64_t base) {
    store_relaxed(&w->outer_base, base); /* relaxed: C15 publishes it */
    store_release(&w->outer, f);         /* C15 -> C16 */
}

static void end_outermost(struct filch__worker *w) {
    store_release(&w->outer, NULL); /* C15 -> C16 */
    search_if_idle(w);
}

void filch__worker_run(struct filch__worker *w, filch_future *f, bool drop) {
    bool outermost = w->nesting++ == 0;
    int64_t base = filch__deque_bottom(&w->local);
    uint32_t outer_forks = filch__worker_begin_forks(w);
    if (outermost) begin_outermost(w, f, base);
    if (unlikely(!filch__task_run(&w->self, f, base))) return;
    filch__worker_end_forks(w, outer_forks);
    filch__worker_end_blocking(w);
    count_own(&w->completed, 1);
    if (outermost) end_outermost(w);
    /* What callbacks fork is no part of a task. */
    outer_forks = filch__worker_begin_forks(w);
    filch__future_finish(f, LIFE_FINISHED, drop, before_callbacks, w);
    if (unlikely(!filch__worker_is_here(w))) return;
    filch__worker_end_forks(w, outer_forks);
    filch__worker_end_blocking(w);
    w->nesting--;
}

cold void filch__worker_end_unstarted(struct filch__worker *w, filch_future *f) {
    uint32_t outer_forks = filch__worker_begin_forks(w);
    w->nesting++;
    if ((filch__pool_ending(w->pool) & POOL_BROKEN) != 0)
        filch__future_try_fail(f, filch__pool_cause(w->pool));
    else
        filch__future_try_cancel(f);
    if (!filch__worker_is_here(w)) return;
    filch__worker_end_forks(w, outer_forks);
    filch__worker_end_blocking(w);
    w->nesting--;
}

/* In the new thread: what it knows of itself. */
static void begin(struct filch__worker *w) {
    struct filch__pool *p = w->pool;
    size_t low = filch__thread_stack_low();
    size_t room = low == 0 ? 0 : (size_t)__builtin_frame_address(0) - low;
    filch__thread.self = &w->self;
    filch__heap_mine = w->heap;
    if (w->lane.slots != NULL) filch_lane_self = &w->lane.hot;
    w->stack_floor = low == 0 ? 0 : low + (room / 4 < STACK_RESERVE ? room / 4 : STACK_RESERVE);
    w->searching = true;
    filch__thread_name(p->name, w->self.index);
    if (p->cpus != NULL) filch__cpus_pin(p->cpus, w->self.index);
    w->initialized = p->initializer == NULL;
    if (p->initializer == NULL) return;
    /* It counts as busy meanwhile. It needs no look for others before: it will search itself. */
    sleep_change(&p->sleep, -SEARCHING_ONE);
    w->searching = false;
    w->nesting++;
    int rc = p->initializer(p->initializer_arg);
    if (unlikely(!filch__worker_is_here(w))) return;
    filch__worker_end_forks(w, 0);
    filch__worker_end_blocking(w);
    w->initialized = rc == 0;
    if (rc != 0) filch__pool_break(p, rc, w->self.index);
    w->nesting--;
    sleep_change(&p->sleep, SEARCHING_ONE);
    w->searching = true;
}

void *filch__worker_main(void *argument) {
    struct filch__worker *w = argument;
    begin(w);
    while (filch__worker_is_here(w) && retire_if_too_many(w)) {
        filch__entry entry = find(w);
        if (entry == ENTRY_NONE) break;
        if (w->stole)
            run_stolen(w, entry);
        else
            run_entry(w, entry);
    }
    /* For destructors of the user's thread-local storage, which run after this. */
    filch__heap_mine = NULL;
    filch__thread.self = NULL;
    filch_lane_self = &filch_lane_outside;
    return NULL;
}
