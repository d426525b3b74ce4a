/* home.h: what the futures of one executor share, and what outlives it with them.
 *
 * Flow     a room makes one with its executor (create) and a heap retains it; future.c counts cancels in it
 *          (begin_cancel, end_cancel) and asks tasks that run through it (begin_alert, end_alert), and rooms whose
 *          workers share no memory with futures (enter, leave). Who ends the
 *          executor awaits the cancels, and takes the pool out of it (detach).
 * State    references, cancelled, alerts: counts, of any thread. cancelling: see there. pool: set by the room
 *          before there is a future, NULL again by detach. dozing: doze.h. The rest is constant.
 * Orders
 *   H1 fetch_sub_acq_rel references (home) -> H1 fetch_sub_acq_rel references (home): the last frees it
 *   H2 fetch_add_acq_rel cancelling (begin) -> H3 fetch_or_acq_rel cancelling (await): a cancel that is counted is awaited
 *   H3 fetch_or_acq_rel cancelling (await) -> H2 fetch_add_acq_rel cancelling (begin): one that is counted later finds what the awaiter has found, and so its future not pending
 *   H4 fetch_sub_acq_rel cancelling (end) -> H3 fetch_or_acq_rel cancelling (await): the future is cancelled
 *   H4 fetch_sub_acq_rel cancelling (end) -> H5 load_acquire cancelling (await): the same
 *   H6 fence_seq_cst (alert, enter) -> H7 fence_seq_cst (detach): of "count in alerts, look at pool" and "clear pool, look at alerts", at least one sees the other
 *   H8 fetch_sub_acq_rel alerts (done, leave) -> H9 load_acquire alerts (detach): the pool is used no more
 * Progress await_cancels and detach are blocking: they wait for threads that are between a begin and its end. The rest
 *          is wait-free, but for what the room's alert does.
 * Memory   freed with the last reference: each heap has one, and so has the executor. That of promises is static.
 * Not here: the doze that `dozing` is for (doze.h), the transitions of a cancel (future_state.h), why shutdown awaits
 *          cancels (thread/README.md, shutdown). */
#ifndef FILCH_RUNTIME_HOME_H
#define FILCH_RUNTIME_HOME_H

#include "base/atomics.h"
#include <filch/task.h>
#include <stdbool.h>
#include <stdint.h>

/* What future.c and await.c ask a room whose workers are other processes. `pool` cannot go away during a call. */
struct filch__remote {
    /* The future is not free to be cancelled by its state alone: tries. True: it is CANCELLING by this call. */
    bool (*revoke)(void *pool, filch_future *future);
    /* It is posted: if its worker has taken it, makes it RUNNING. */
    void (*look)(void *pool, filch_future *future);
    /* It is RUNNING, and REQUESTED: tells the task. */
    void (*request)(void *pool, filch_future *future);
    /* A thread that is no worker waits for it: true: it is done; false: the deadline has passed. */
    bool (*attend)(void *pool, filch_future *future, int64_t deadline);
    /* It has ended, and somebody sleeps for it, perhaps in attend. */
    void (*wake)(void *pool);
};

/* What futures need of their executor, and what therefore outlives it. */
struct filch__home {
    int64_t references; /* heaps, and the executor itself */
    int64_t spin;       /* nanoseconds that a waiter spins */
    uint64_t cancelled; /* futures cancelled, by any thread */
    /* CANCELLING_ONE for each that a thread is just cancelling; CANCELLING_AWAITED */
    uint32_t cancelling;
    uint32_t generation;       /* filch__fork_now when it was made */
    void *pool;                /* of the room; NULL once it is destroyed */
    void (*alert)(void *pool); /* a task that runs was asked to end: forked calls shall look */
    const struct filch__remote
        *remote;     /* of a room whose workers share no memory with futures; or NULL */
    uint32_t alerts; /* threads that may be using `pool` */
    uint32_t dozing; /* see doze.h */
};

/* In `cancelling`: somebody sleeps until there is none; never cleared. */
#define CANCELLING_AWAITED 1u
#define CANCELLING_ONE 2u

/* Nanoseconds that a waiter spins where nobody says otherwise, with more than one CPU. */
#define FILCH__SPIN_DEFAULT 10000
/* The home of promises. */
extern struct filch__home filch__home_standalone;

struct filch__home *filch__home_create(int64_t spin);
/* The room's pool is going: when this returns, nobody uses it through the home. */
void filch__home_detach(struct filch__home *home);
void filch__home_retain(struct filch__home *home);
/* Has the form of a slab's home_release. */
void filch__home_release(void *home);

/* Before the transition to CANCELLING. A worker may meet the entry from then on and drop it, so that whoever
 * ends the executor finds it in no queue. */
void filch__home_begin_cancel(struct filch__home *home);
/* The future is cancelled, or was not pending any more. The wake-up touches no memory. */
void filch__home_end_cancel(struct filch__home *home);
/* Waits until no thread is just cancelling one of its futures; not for callbacks. Whoever is ending a
 * future itself must not ask for it. */
void filch__home_await_cancels(struct filch__home *home);

/* Around the request that a task which runs shall end. With `requested`, it looks at its next fork or join. */
void filch__home_begin_alert(struct filch__home *home);
void filch__home_end_alert(struct filch__home *home, bool requested);

/* From enter to leave the room's pool stays; NULL: it is gone already. */
void *filch__home_enter(struct filch__home *home);
void filch__home_leave(struct filch__home *home);

#endif
