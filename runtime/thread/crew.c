/* thread/crew.c: who is told that there is work: a searcher (nothing to do), a sleeper, or a new thread.
 *
 * The decision is one transition of sleep.h; README.md has the steps (P1 to P4) and the proof. */
#include "base/point.h"
#include "error.h"
#include "os/barrier.h"
#include "os/clock.h"
#include "os/memory.h"
#include "thread/pool.h"
#include <limits.h>
#include <sched.h>

/* Pause after a thread could not be started before it is tried again: 10 ms, so that a system that is
 * out of threads is not asked for one at every submit. */
#define START_PAUSE 10000000

bool filch__crew_sees_work(struct filch__pool *p) {
    if (!filch__stack_is_empty(&p->injector)) return true;
    uint32_t n = filch__pool_workers(p);
    bool forks = filch__crew_forks(p) && filch__crew_may_grow(p);
    for (uint32_t i = 0; i < n; i++) {
        struct filch__worker *w = filch__pool_slot(p, i);
        if (w == NULL) continue;
        if (!filch__deque_is_empty(&w->local) || !filch__deque_is_empty(&w->inbound)) return true;
        if (forks && filch__worker_has_frames(w)) return true;
    }
    return false;
}

uint64_t filch__crew_sum_of_frames(struct filch__pool *p) {
    uint64_t sum = 0;
    uint32_t n = filch__pool_workers(p);
    for (uint32_t i = 0; i < n; i++) {
        struct filch__worker *w = filch__pool_slot(p, i);
        if (w != NULL && filch__worker_has_frames(w))
            sum = sum * 31 + filch__lane_state(&w->lane) + i + 1;
    }
    return sum;
}

cold static void ask(struct filch__pool *p) {
    uint32_t n = filch__pool_workers(p);
    for (uint32_t i = 0; i < n; i++) {
        struct filch__worker *w = filch__pool_slot(p, i);
        if (w != NULL && w->lane.slots != NULL) filch__lane_ask(&w->lane);
    }
    (void)filch__barrier_everywhere();
}

void filch__crew_ask(struct filch__pool *p) {
    if (filch__crew_forks(p)) ask(p);
}

/* Unparks one sleeper (P4). If none is parked any more, those that were counted as sleeping are on
 * their way out by themselves, and will search. */
void filch__crew_unpark_one(struct filch__pool *p) {
    uint32_t n = filch__pool_workers(p);
    POINT("crew.unpark");
    fence_seq_cst(); /* S1 -> S2 */
    for (uint32_t i = 0; i < n; i++) {
        struct filch__worker *w = filch__pool_slot(p, i);
        if (w != NULL && filch__unpark(&w->parker)) return;
    }
}

void filch__crew_wake_all(struct filch__pool *p) {
    uint32_t n = filch__pool_workers(p);
    for (uint32_t i = 0; i < n; i++) {
        struct filch__worker *w = filch__pool_slot(p, i);
        if (w != NULL) filch__unpark(&w->parker);
    }
}

/* A worker of slot i that has no thread, for the caller to start; NULL if there is none to be had. */
static struct filch__worker *claim_in_slot(struct filch__pool *p, uint32_t i, bool *no_memory) {
    struct filch__worker *none = NULL, *w = filch__pool_slot(p, i);
    if (w == NULL) {
        w = filch__worker_create(p, i);
        if (w == NULL) {
            *no_memory = true;
            return NULL;
        }
        if (!cas_acq_rel(&p->slots[i], &none, w)) { /* C1 -> C2 */
            filch__worker_destroy(w);
            w = none;
        }
    }
    uint32_t vacant = WORKER_VACANT;
    if (!cas_acquire(&w->life, &vacant, (uint32_t)WORKER_CLAIMED)) /* C20 <- C21 */
        return NULL;
    uint32_t used = load_acquire(&p->slots_used);                   /* C4 <- C3 */
    while (used <= i && !cas_acq_rel(&p->slots_used, &used, i + 1)) /* C3 -> C4 */
        continue;
    return w;
}

/* The worker of the lowest index that can be had. */
static struct filch__worker *claim_worker(struct filch__pool *p) {
    bool no_memory = false;
    struct filch__worker *w = NULL;
    for (uint32_t i = 0; i < p->limit && w == NULL && !no_memory; i++)
        w = claim_in_slot(p, i, &no_memory);
    return w;
}

/* Starts the worker that a transition of sleep.h has counted. */
static bool start_worker(struct filch__pool *p) {
    struct filch__worker *w = claim_worker(p);
    if (w == NULL) return false;
    POINT("crew.start");
    if (filch__thread_start(&w->thread, p->stack_size, filch__worker_main, w) != 0) {
        /* Thieves may be looking at it: it stays in its slot, for the next start. */
        store_release(&w->life, (uint32_t)WORKER_VACANT); /* C21 -> C20, C26 */
        return false;
    }
    POINT("crew.started");
    store_release(&w->has_thread, 1u); /* C22 -> C23 */
    fetch_add_relaxed(&p->started, 1); /* relaxed: a statistic */
    store_release(&p->confirmed, 1u);  /* C24 -> C25 */
    return true;
}

void filch__crew_one_less(struct filch__pool *p, uint64_t word) {
    if (sleep_count(word, STARTED_ONE) != 0 || (word & CLOSING_BIT) == 0) return;
    store_release(&p->ended, 1u); /* C7 -> C8 */
    filch__futex_wake(&p->ended, INT_MAX);
}

/* Others may have relied on the worker that is not coming: they saw it counted as searching. */
static void give_up_start(struct filch__pool *p) {
    filch__crew_one_less(p, sleep_start_failed(&p->sleep));
    fence_seq_cst(); /* S1 -> S2 */
    if (filch__crew_sees_work(p) && sleep_want_worker(&p->sleep, false) == WAKE_SLEEPER)
        filch__crew_unpark_one(p);
}

static void start_or_give_up(struct filch__pool *p) {
    int64_t next_start = load_relaxed(&p->next_start); /* relaxed: a hint */
    if (next_start != 0 && filch__now() < next_start) {
        give_up_start(p);
    } else if (!start_worker(p)) {
        store_relaxed(&p->next_start, filch__now() + START_PAUSE); /* relaxed: a hint */
        give_up_start(p);
    }
}

cold void filch__crew_call(struct filch__pool *p) {
    uint64_t word = sleep_read(&p->sleep);
    enum filch__wake what;
    do {
        what = sleep_decide(&p->sleep, word, true);
        /* Who took the work that was published needs nobody's help. After the word was read: else a worker
         * could wake up by itself, take it and be busy in between, and look as if it were busy since. */
        if (what == WAKE_NOBODY || !filch__crew_sees_work(p)) return;
    } while (!sleep_commit(&p->sleep, &word, what));
    if (what == WAKE_START)
        start_or_give_up(p);
    else
        filch__crew_unpark_one(p);
}

cold void filch__crew_watch(struct filch__pool *p) {
    uint64_t word = sleep_read(&p->sleep);
    enum filch__wake what;
    if (load_relaxed(&p->sentinel) != 0 || /* relaxed: ordered by the caller's S1 or S2 */
        filch__crew_sum_of_frames(p) == 0)
        return;
    do {
        what = sleep_decide(&p->sleep, word, true);
        if (what == WAKE_NOBODY) return;
    } while (!sleep_commit(&p->sleep, &word, what));
    if (what == WAKE_START)
        start_or_give_up(p);
    else
        filch__crew_unpark_one(p);
}

static int cannot_start(void) {
    return filch__error_constant(
        FILCH_EAGAIN, "submit: no thread could be started, and the executor has none: end some "
                      "threads or raise the limit (ulimit -u, pids.max, memory)");
}

int filch__crew_ensure_one(struct filch__pool *p) {
    while (load_acquire(&p->confirmed) == 0) { /* C25 <- C24 */
        if (sleep_start_first(&p->sleep)) {
            if (start_worker(p)) return 0;
            filch__crew_one_less(p, sleep_start_failed(&p->sleep));
            return cannot_start();
        }
        if (filch__pool_ending(p) != 0) return 0; /* the submit will be refused */
        /* Another thread is starting the first worker. */
        sched_yield();
    }
    return 0;
}
