/* thread/idle.c: a worker that has found nothing: it searches, sleeps, wakes up, and leaves for ever in the end.
 *
 * Flow     worker.c -> filch__worker_idle -> find.c (search); then filch__worker_found, or sleep, or leave.
 *          worker.c -> filch__worker_retire, where too many are awake.
 * Steps    W2 to W6 are those of README.md; W1 is filch__worker_search.
 * Not here: the word that counts the workers (sleep.h), who wakes them (crew.c), for how long they search (find.c). */
#include "base/point.h"
#include "doze.h"
#include "os/clock.h"
#include "os/futex.h"
#include "thread/pool.h"

/* Slots of replaced rings that are kept until the worker ends: 64 KiB. */
#define COLLECT_SLOTS 8192
/* Nanoseconds between two looks for forked calls while the executor ends. */
#define FORK_NAP 200000
/* Nanoseconds between two looks of the sentinel: at first, and at most. */
#define SENTINEL_NAP 1000000
#define SENTINEL_NAP_MOST 8000000

void filch__worker_found(struct filch__worker *w) {
    if (!w->searching) return;
    w->searching = false;
    if (!sleep_found(&w->pool->sleep)) return;
    fence_seq_cst(); /* S2 <- S1, I1 */
    if (filch__crew_sees_work(w->pool))
        filch__crew_tell(w->pool);
    else if (filch__crew_forks(w->pool))
        filch__crew_watch(w->pool);
}

/* Frees replaced rings, if that is worth while. A grace period may take long, so for its time the worker
 * counts as BLOCKED: somebody else takes its place if there is work. BUSY or SEARCHING before, and BUSY
 * afterwards if it has waited. */
static void collect(struct filch__worker *w) {
    struct filch__sleep *s = &w->pool->sleep;
    if (likely(w->local.retired_slots + w->inbound.retired_slots < COLLECT_SLOTS)) return;
    filch__worker_found(w);
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

/* Is there somebody who may fork, and no sentinel? Then the caller is it. */
static bool becomes_sentinel(struct filch__pool *p) {
    uint32_t nobody = 0;
    return filch__crew_forks(p) && sleep_awake(sleep_read(&p->sleep)) != 0 &&
           cas_acq_rel(&p->sentinel, &nobody, 1u); /* C31 -> C31; C31 <- C32 */
}

/* Sleeps, with a prepared parker, until it is told, or has seen forked calls that nobody takes. */
static void sleep_or_watch(struct filch__worker *w) {
    struct filch__pool *p = w->pool;
    w->watched = false;
    while (becomes_sentinel(p)) {
        POINT("idle.sentinel.stands");
        w->watched = stand_sentinel(w);
        POINT("idle.sentinel.over");
        store_release(&p->sentinel, 0u); /* C32 -> C31 */
        if (w->watched || !filch__park_is_prepared(&w->parker)) return;
        /* Who has forked since, and has seen a sentinel, has woken nobody. */
        fence_seq_cst(); /* S2 <- S1, I1 */
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

filch__entry filch__worker_idle(struct filch__worker *w) {
    if (!w->searching && w->pool->sleep.max != 1) w->searching = sleep_try_search(&w->pool->sleep);
    filch__doze_end(w->pool->home);
    for (;;) {
        filch__entry entry = filch__worker_search(w);
        if (entry != ENTRY_NONE) {
            filch__worker_found(w);
            return entry;
        }
        if (leave_for_ever(w) || !sleep_now(w)) return ENTRY_NONE;
    }
}

bool filch__worker_retire(struct filch__worker *w) {
    struct filch__sleep *s = &w->pool->sleep;
    filch__park_prepare(&w->parker);
    if (sleep_retire(s)) return sleep_until_told(w);
    /* A wake-up that was meant for a sleeper goes on to it. */
    if (!filch__park_cancel(&w->parker)) filch__crew_unpark_one(w->pool);
    return true;
}
