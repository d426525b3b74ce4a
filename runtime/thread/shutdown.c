/* thread/shutdown.c: the end of a thread executor, by shutdown or because an initializer has failed.
 *
 * README.md has the steps (E1 to E6) and why nothing is lost: work that was accepted before the flag is
 * found by the workers or by the drainer, work that races with it is taken back by its submitter. */
#include "base/point.h"
#include "error.h"
#include "os/clock.h"
#include "os/cpus.h"
#include "os/memory.h"
#include "reclaim/reclaim.h"
#include "thread/pool.h"
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Nanoseconds between two looks whether all others have ended, in exit(): 1 ms. */
#define EXIT_NAP 1000000

/* Ends one entry, whose reference the caller owns. If another thread is just cancelling it, that one ends it:
 * it is waited for when the drain is over (await_cancels). */
static void end_entry(filch_future *f, const char *cause) {
    if (cause != NULL)
        filch__future_try_fail(f, cause);
    else
        filch__future_try_cancel(f);
    filch__future_drop(f);
}

/* A callback or destructor has forked, and this is the child: what is left is the parent's. */
static bool is_lost(struct filch__pool *p) {
    return p->base.generation != filch__fork_now();
}

/* On the stack of a thread that drains. */
struct drain {
    struct filch__ending here;
    struct filch__link *rest; /* taken from the injector, oldest first, and not ended yet */
};

static size_t drain_rest(struct filch__pool *p, struct drain *d, const char *cause) {
    size_t ended = 0;
    while (d->rest != NULL && !is_lost(p)) {
        struct filch__link *link = d->rest;
        d->rest = filch__link_next(link);
        end_entry(container_of(link, filch_future, link), cause);
        ended++;
    }
    return ended;
}

static size_t drain_deque(struct filch__pool *p, struct filch__deque *d, const char *cause) {
    size_t ended = 0;
    while (!is_lost(p)) {
        filch__entry entry;
        enum filch__steal outcome = filch__deque_steal(d, &entry);
        if (outcome == STEAL_EMPTY) break;
        if (outcome == STEAL_LOST) continue;
        end_entry(filch__entry_future(entry), cause);
        ended++;
    }
    return ended;
}

/* Ends everything that is queued; returns how many entries that were. */
static size_t drain_queues(struct filch__pool *p, struct drain *d, const char *cause) {
    d->rest = filch__chain_reverse(filch__stack_take_all(&p->injector));
    size_t ended = drain_rest(p, d, cause);
    uint32_t n = filch__pool_workers(p);
    for (uint32_t i = 0; i < n; i++) {
        struct filch__worker *w = filch__pool_slot(p, i);
        if (w == NULL) continue;
        ended += drain_deque(p, &w->inbound, cause) + drain_deque(p, &w->local, cause);
    }
    return ended;
}

const char *filch__pool_cause(struct filch__pool *p) {
    const char *cause = load_acquire(&p->cause); /* C28 <- C27 */
    return cause != NULL ? cause : "the executor broke: an initializer failed";
}

/* The sum of all hands, waiting until each but the caller's is empty. Hands only grow, so that two equal
 * sums mean that none was opened in between. */
static uint64_t sum_of_empty_hands(struct filch__pool *p) {
    struct filch__worker *own = filch__pool_worker(p);
    uint64_t sum = 0;
    uint32_t n = filch__pool_workers(p);
    for (uint32_t i = 0; i < n; i++) {
        struct filch__worker *w = filch__pool_slot(p, i);
        uint64_t hand;
        if (w == NULL || w == own) continue;
        while ((hand = load_acquire(&w->hand)) & 1) /* C10 <- C9 */
            sched_yield();
        sum += hand;
    }
    return sum;
}

/* Is the calling thread ending tasks of this pool already, and now in a callback or destructor of one? */
static bool is_draining(struct filch__pool *p) {
    struct filch__worker *own = filch__pool_worker(p);
    if (own != NULL && (load_relaxed(&own->hand) & 1) != 0) return true; /* relaxed: own field */
    return filch__is_ending(p);
}

static void wait_for_drains(struct filch__pool *p) {
    uint32_t n;
    while ((n = load_acquire(&p->drains)) != 0) /* C30 <- C29 */
        filch__futex_wait(&p->drains, n, FILCH_FOREVER);
}

void filch__pool_drain(struct filch__pool *p, const char *cause) {
    struct drain d;
    /* The drain below on this stack, or the one that waits for this hand, sees to the rest: two callbacks
     * must not wait for each other, nor drains nest as deep as there are tasks. */
    if (is_draining(p)) return;
    d.rest = NULL;
    filch__ending_begin(&d.here, p);
    fetch_add_relaxed(&p->drains,
                      1u); /* relaxed: before the takes, whose effect a waiter has seen */
    for (;;) {
        uint64_t before = sum_of_empty_hands(p);
        size_t ended = drain_queues(p, &d, cause);
        if (unlikely(is_lost(p))) return;
        if (ended == 0 && sum_of_empty_hands(p) == before) break;
    }
    filch__ending_end(&d.here);
    fetch_sub_acq_rel(&p->drains, 1u); /* C29 -> C30 */
    filch__futex_wake(&p->drains, INT_MAX);
}

/* E1, E2: no submit is accepted any more; workers without work go. */
static void close_pool(struct filch__pool *p, unsigned flags) {
    fetch_or_seq_cst(&p->ending, POOL_CLOSING | flags); /* C5 -> C6 */
    POINT("shutdown.flag");
    filch__crew_one_less(p, sleep_close(&p->sleep) | CLOSING_BIT);
    fence_seq_cst(); /* S1 -> S2 */
    filch__crew_wake_all(p);
}

static void wait_for_end(struct filch__pool *p) {
    while (load_acquire(&p->ended) == 0) /* C8 <- C7 */
        filch__futex_wait(&p->ended, 0, FILCH_FOREVER);
}

static void join_worker(struct filch__worker *w) {
    if (w == NULL || load_acquire(&w->life) == WORKER_VACANT) return; /* C26 <- C21 */
    while (load_acquire(&w->has_thread) == 0) {                       /* C23 <- C22 */
        POINT("shutdown.handle");
        sched_yield();
    }
    filch__thread_join(w->thread);
}

/* Joins the threads, or waits until another caller has done it. */
static void join_all(struct filch__pool *p) {
    uint32_t no = 0;
    if (cas_acq_rel(&p->joiner, &no, 1u)) { /* C17 -> C17 */
        for (uint32_t i = 0; i < filch__pool_workers(p); i++) join_worker(filch__pool_slot(p, i));
        store_release(&p->joined, 1u); /* C18 -> C19 */
        filch__futex_wake(&p->joined, INT_MAX);
    }
    while (load_acquire(&p->joined) == 0) /* C19 <- C18 */
        filch__futex_wait(&p->joined, 0, FILCH_FOREVER);
}

/* What other threads are just cancelling, and no queue holds any more. A thread that is ending something itself
 * does not wait: the other's destructor, too, may have come here. */
static void await_cancels(struct filch__pool *p) {
    if (filch__thread.ending == NULL) filch__home_await_cancels(p->home);
}

static int shut_down(struct filch__pool *p, unsigned flags) {
    if ((flags & FILCH_WAIT) != 0 && (filch__pool_worker(p) != NULL || is_draining(p)))
        return filch__error_constant(
            FILCH_EDEADLK, "shutdown: a worker of the executor cannot wait for its own end: "
                           "leave out FILCH_WAIT, or shut down from another thread");
    bool cancel = (flags & FILCH_CANCEL_PENDING) != 0;
    close_pool(p, cancel ? POOL_CANCELLING : 0);
    if (cancel) {
        filch__pool_drain(p, NULL);
        if (unlikely(is_lost(p))) return filch__executor_refuse("filch_executor_shutdown");
        /* Others that drain have entries in their hands. */
        if (!is_draining(p)) wait_for_drains(p);
    }
    if ((flags & FILCH_WAIT) != 0) {
        wait_for_end(p);
        join_all(p);
        wait_for_drains(p);
    }
    return 0;
}

int filch__pool_shutdown(filch_executor *e, unsigned flags) {
    struct filch__pool *p = filch__pool_of(e);
    int rc = shut_down(p, flags);
    if (rc == 0 && (flags & (FILCH_WAIT | FILCH_CANCEL_PENDING)) != 0) await_cancels(p);
    return rc;
}

static void break_pool(struct filch__pool *p, int worker, const char *what, int code) {
    enum { CAUSE_SIZE = 120 };
    char *none = NULL, *cause = filch__alloc(CAUSE_SIZE);
    if (cause != NULL)
        snprintf(cause, CAUSE_SIZE, "the executor broke: the initializer of worker %d %s %d",
                 worker, what, code);
    if (cause != NULL && !cas_acq_rel(&p->cause, &none, cause)) /* C27 -> C28 */
        filch__free(cause);
    close_pool(p, POOL_BROKEN);
    filch__pool_drain(p, filch__pool_cause(p));
}

void filch__pool_break(struct filch__pool *p, int code, int worker) {
    break_pool(p, worker, "returned", code);
}

/* Are all other workers gone, or parked for ever because of what lies on this one's stack? */
static bool is_alone(struct filch__pool *p, struct filch__worker *w) {
    uint32_t stuck = 0, n = filch__pool_workers(p);
    fence_seq_cst(); /* S2 <- S1, I1 */
    if (filch__crew_sees_work(p)) return false;
    for (uint32_t i = 0; i < n; i++) {
        struct filch__worker *other = filch__pool_slot(p, i);
        if (other != NULL && other != w) stuck += filch__circle_leads_to(other, w);
    }
    return sleep_count(sleep_read(&p->sleep), STARTED_ONE) == stuck + 1;
}

/* exit() was called in a callback or destructor of drains: they do not go on below on the stack, and are ended
 * here. */
static void end_drains(struct filch__pool *p) {
    struct filch__ending *at = filch__thread.ending;
    const char *cause = (filch__pool_ending(p) & POOL_BROKEN) != 0 ? filch__pool_cause(p) : NULL;
    filch__thread.ending = NULL;
    for (; at != NULL; at = at->below) {
        if (at->what != p) continue;
        drain_rest(p, container_of(at, struct drain, here), cause);
        filch__pool_drain(p, cause);
        fetch_sub_acq_rel(&p->drains, 1u); /* C29 -> C30 */
        filch__futex_wake(&p->drains, INT_MAX);
    }
}

/* Near the end of its stack the exiting worker leaves the rest to others. If there are none, nobody will do
 * it. */
static void leave_to_others(struct filch__pool *p) {
    if (!filch__crew_sees_work(p)) return;
    filch__crew_tell(p);
    uint64_t word = sleep_read(&p->sleep);
    if (sleep_awake(word) == 0 && sleep_count(word, SLEEPING_ONE) == 0) filch__pool_drain(p, NULL);
}

/* The threads of those that have ended. */
static void join_ended(struct filch__pool *p, struct filch__worker *w) {
    uint32_t no = 0, n = filch__pool_workers(p);
    if (!cas_acq_rel(&p->joiner, &no, 1u)) return; /* C17 -> C17 */
    for (uint32_t i = 0; i < n; i++) {
        struct filch__worker *other = filch__pool_slot(p, i);
        if (other != w && other != NULL && !filch__circle_leads_to(other, w)) join_worker(other);
    }
}

/* Steps X1 to X3: exit() was called by what this worker runs, and will not return to it. */
static void end_from_worker(struct filch__pool *p, struct filch__worker *w) {
    bool is_deep = filch__worker_stack_is_low(w);
    filch__worker_end_blocking(w);
    if (filch__thread.ending != NULL) end_drains(p);
    filch__hand_empty(w);
    if (!w->initialized) break_pool(p, w->self.index, "called exit() in process", (int)getpid());
    filch__worker_abandon_frames(w);
    if (is_deep) sleep_block(&p->sleep);
    close_pool(p, 0);
    while (!is_alone(p, w)) {
        if (is_deep)
            leave_to_others(p);
        else if (filch__worker_run_any(w))
            continue;
        POINT("exit.nap");
        filch__futex_wait(&p->ended, 0, filch__deadline(EXIT_NAP));
    }
    join_ended(p, w);
}

void filch__pool_end_at_exit(filch_executor *e) {
    struct filch__pool *p = filch__pool_of(e);
    struct filch__worker *w = filch__pool_worker(p);
    if (w != NULL) {
        end_from_worker(p, w);
        return;
    }
    if (filch__thread.ending != NULL) end_drains(p);
    /* Without await_cancels: exit() may have been called by a destructor, whose cancel never ends. */
    shut_down(p, FILCH_WAIT);
}

/* The entries that are left are stale: their tasks ended elsewhere, or were taken back. */
static void drop_stale(struct filch__pool *p) {
    struct drain d;
    (void)drain_queues(p, &d, NULL);
}

void filch__pool_destroy(filch_executor *e) {
    struct filch__pool *p = filch__pool_of(e);
    filch__home_detach(p->home);
    drop_stale(p);
    for (uint32_t i = 0; i < p->limit; i++) {
        struct filch__worker *w = filch__pool_slot(p, i);
        if (w != NULL) filch__worker_destroy(w);
    }
    filch__outside_fini(&p->outside);
    filch__free(load_acquire(&p->cause)); /* C28 <- C27 */
    filch__free(p->slots);
    filch__cpus_free(p->cpus);
    filch__home_release(p->home);
    filch__free(p);
}
