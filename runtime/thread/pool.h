/* thread/pool.h: the thread executor: its workers, its injector, and what they share.
 *
 * Flow     filch_submit -> pool.c (submit) -> a deque or the injector -> crew.c (tell somebody) ->
 *          find.c (what is next) -> worker.c (run) -> future.c (finish). Nothing to do: idle.c. Waiting: wait.c, block.c.
 *          The end: shutdown.c.
 * State    slots[]: set once per index by whoever starts the worker, NULL again if that failed; freed
 *          by destroy. ending: set by shutdown and by a failing initializer, never cleared. of a
 *          worker: see the comments on its fields.
 * Orders
 *   C1 cas_acq_rel slots (create) -> C2 load_acquire slots (scan): the worker's fields
 *   C3 cas_acq_rel slots_used (raise) -> C4 load_acquire slots_used (scan): a count that covers the slot
 *   C5 fetch_or_seq_cst ending (set) -> C6 load_seq_cst ending (check): the cause of a break; with the fences of sleep.h and the takes of deque.h, see README.md, shutdown
 *   C7 store_release ended (last worker) -> C8 load_acquire ended (shutdown): all tasks have ended
 *   C9 store_release hand (empty) -> C10 load_acquire hand (drain): what was in the hand is queued, started or ended
 *   C15 store_release outer (start, end) -> C16 load_acquire outer (help): outer_base is that of this task
 *   C17 cas_acq_rel joiner (claim) -> C17 cas_acq_rel joiner (claim): one thread joins
 *   C18 store_release joined (done) -> C19 load_acquire joined (wait): all threads are gone
 *   C21 store_release life (give back) -> C20 cas_acquire life (claim): a worker without a thread is started by one
 *   C22 store_release has_thread (start) -> C23 load_acquire has_thread (join): the thread's handle
 *   C21 store_release life (give back) -> C26 load_acquire life (join): there is no thread to join
 *   C29 fetch_sub_acq_rel drains (done) -> C30 load_acquire drains (wait): the callbacks that it ran
 *   C27 cas_acq_rel cause (break) -> C28 load_acquire cause (refuse): the text
 *   C32 store_release sentinel (end) -> C31 cas_acq_rel sentinel (begin): there is one at a time
 *   C31 cas_acq_rel sentinel (begin) -> C31 cas_acq_rel sentinel (begin): the same
 *   C24 store_release confirmed (start) -> C25 load_acquire confirmed (submit): there is a worker
 * Progress of each part: see its file. */
#ifndef FILCH_THREAD_POOL_H
#define FILCH_THREAD_POOL_H

#include "base/random.h"
#include "executor_ops.h"
#include "future.h"
#include "os/park.h"
#include "os/thread.h"
#include "outside.h"
#include "thread/deque.h"
#include "thread/lane.h"
#include "thread/sleep.h"

/* Bits of `ending`. */
enum { POOL_CLOSING = 1, POOL_CANCELLING = 2, POOL_BROKEN = 4 };

/* Has a task forked, so that lanes are worth a look? EXITING: they are not, any more. */
enum { POOL_FORKS_NONE, POOL_FORKS, POOL_FORKS_EXITING };

/* A worker without a thread, or with one that runs or is being started. */
enum { WORKER_VACANT = 0, WORKER_CLAIMED = 1 };

/* With `slot` slots of the lane in use a task was submitted, which stands in `local` at `entry`. */
struct filch__mark {
    uint32_t slot;
    int64_t entry;
};

struct filch__worker {
    /* The owner's own. */
    struct filch__self self;
    struct filch__pool *pool;
    struct filch__heap *heap;
    struct filch__random random;
    uint32_t victim;   /* index of whom it stole from last, or its own */
    uint32_t tick;     /* tasks run, for a look outside every so often */
    uint32_t nesting;  /* tasks, callbacks and initializers on the stack */
    uint32_t stale;    /* entries that may stand in `local` though their tasks were claimed */
    int64_t live_mark; /* with `local` at this bottom, the newest entry was seen to be live */
    int64_t
        help_floor; /* entries of `local` below this are not descendants of what is on the stack */
    int64_t pause, next_steal; /* nanoseconds, time: when to steal again after a tiny task */
    int64_t spin;              /* nanoseconds of the next spin in search of work */
    int64_t taken;    /* when it took the last batch from the injector, if that was small */
    uint32_t batch;   /* tasks in it */
    bool stole;       /* the entry that it found is from another's own deque */
    bool watched;     /* it has woken up because of forked calls that nobody takes */
    bool searching;   /* counted as SEARCHING */
    bool initialized; /* its initializer has succeeded, or there is none */
    uint32_t
        base_slot; /* of the innermost task that runs: one more than its first slot; 0: it forked nothing */
    uint32_t
        overflow; /* forked calls that ran at once because the lane was full, and are not joined */
    struct filch__mark *marks; /* places in the lane where tasks were submitted; owned */
    uint32_t marks_used, marks_room;
    struct filch__worker *frame_owner; /* of the forked call that it found last */
    uint32_t asked;                    /* one more than the index of whom it asked for calls last */
    int64_t asked_at;                  /* time */
    size_t stack_floor; /* deeper than this address no awaited task is run on top; 0: unknown */
    pthread_t thread;   /* of whoever started it, then of whoever joins it */
    uint32_t life;      /* WORKER_VACANT or WORKER_CLAIMED */
    uint32_t has_thread;
    uint64_t submitted, completed, stolen, attempts, failed, parked, woken; /* own statistics */
    /* Read by others. */
    own_lines uint64_t hand; /* odd while an entry may be neither queued nor started; grows */
    filch_future *outer;     /* the outermost task, if it was started on an empty deque; or NULL */
    int64_t outer_base;      /* bottom of `local` when it was started */
    uint64_t turn;           /* odd while it is parked in a wait; see circle.c */
    uint64_t traced;         /* of whoever searches for a circle */
    filch_future *awaiting;  /* in that wait; NULL: another executor's, or a forked call */
    filch_slot *joining;     /* in that wait: the forked call; or NULL */
    uint32_t forever;        /* in that wait: 1 if it has no deadline */
    own_lines struct filch__parker parker;
    struct filch__lane lane;     /* forked calls */
    struct filch__deque local;   /* submitted by tasks of this worker */
    struct filch__deque inbound; /* taken from the injector, in order */
};

struct filch__pool {
    filch_executor base;
    /* Constant. */
    struct filch__cpus *cpus; /* those that workers are pinned to; NULL: not pinned */
    struct filch__home *home;
    struct filch__worker **slots; /* limit of them */
    uint32_t limit;
    int64_t spin;
    size_t stack_size;
    int (*initializer)(void *arg);
    void *initializer_arg;
    char name[16];
    /* Seldom changed. */
    uint32_t slots_used;
    uint32_t confirmed; /* 1 once a thread has been started */
    uint32_t ending;
    uint32_t
        sentinel;   /* 1 while a sleeper looks at forked calls now and then; see README.md, forks */
    uint32_t forks; /* POOL_FORKS once a task has forked */
    struct filch__outside outside; /* heaps of threads that are not workers */
    char *cause;                   /* why it broke; owned; set before POOL_BROKEN */
    int64_t next_start;            /* no thread is started before this time, after a failure */
    uint64_t started;              /* statistics */
    /* The end. */
    uint32_t ended;       /* 1 when no worker is left and none will come; slept on */
    uint32_t circle_busy; /* 1 while somebody searches for a circle of waits */
    uint32_t drains;      /* threads that end all pending tasks; slept on */
    uint32_t joiner;      /* 1 when somebody has claimed to join the threads */
    uint32_t joined;      /* 1 when they are joined; slept on */
    own_lines struct filch__stack injector;
    struct filch__sleep sleep;
};

static inline struct filch__pool *filch__pool_of(filch_executor *e) {
    return container_of(e, struct filch__pool, base);
}
static inline struct filch__worker *filch__worker_of(struct filch__self *self) {
    return container_of(self, struct filch__worker, self);
}
/* The calling thread's worker, if it is one of this pool. */
static inline struct filch__worker *filch__pool_worker(struct filch__pool *p) {
    struct filch__self *self = filch__self();
    return self != NULL && self->executor == &p->base ? filch__worker_of(self) : NULL;
}

/* The calling thread, which began as this worker, still is: it is not the child of a fork() in code of the
 * user that the worker ran. Asked wherever the worker goes on after such code. */
static inline bool filch__worker_is_here(struct filch__worker *w) {
    return likely(filch__self() == &w->self);
}

/* Workers that may exist: indices below this; slots may be NULL. */
static inline uint32_t filch__pool_workers(struct filch__pool *p) {
    return load_acquire(&p->slots_used); /* C4 <- C3 */
}
static inline struct filch__worker *filch__pool_slot(struct filch__pool *p, uint32_t i) {
    return load_acquire(&p->slots[i]); /* C2 <- C1 */
}
static inline uint32_t filch__pool_ending(struct filch__pool *p) {
    return load_seq_cst(&p->ending); /* C6 <- C5 */
}

/* crew.c: telling workers. */

/* A worker is in the pool, or could be started: 0; else FILCH_EAGAIN or FILCH_ENOMEM. */
int filch__crew_ensure_one(struct filch__pool *p);
/* Wakes or starts a worker, if there is work and none searches (step P3). */
void filch__crew_call(struct filch__pool *p);
/* Work was published: sees to it that somebody looks for it (steps P2, P3). */
static inline void filch__crew_tell(struct filch__pool *p) {
    fence_seq_cst(); /* S1 -> S2 */
    if (unlikely(sleep_wants_worker(&p->sleep))) filch__crew_call(p);
}
/* The same right after a push to the injector, which is the fence of step P2. */
static inline void filch__crew_tell_after_push(struct filch__pool *p) {
    if (unlikely(sleep_wants_worker(&p->sleep))) filch__crew_call(p);
}
/* The same for a worker of the pool, which is awake itself, unless it blocks: where only one may be, nobody is
 * told. */
static inline void filch__crew_tell_own(struct filch__worker *w) {
    if (w->pool->sleep.max != 1 || unlikely(w->self.blocking != 0)) filch__crew_tell(w->pool);
}
/* The caller is about to be awake no more, and has said so: forks tell from now on, and those before are seen by
 * filch__crew_sees_work. */
void filch__crew_ask(struct filch__pool *p);
static inline bool filch__crew_forks(struct filch__pool *p) {
    return load_relaxed(&p->forks) ==
           POOL_FORKS; /* relaxed: the first slow fork tells in any case */
}
/* Forked calls alone wake or start nobody beyond the CPUs: they compute, and more threads only take turns. */
static inline bool filch__crew_may_grow(struct filch__pool *p) {
    return sleep_awake(sleep_read(&p->sleep)) < p->sleep.searchers;
}
static inline bool filch__worker_has_frames(struct filch__worker *w) {
    return w->lane.slots != NULL && filch__lane_has_any(&w->lane);
}
/* Of all lanes that have calls: the same as before if none of them has changed; 0: there are none. */
uint64_t filch__crew_sum_of_frames(struct filch__pool *p);
/* If there are forked calls, and no sentinel, wakes or starts a worker that becomes it. */
void filch__crew_watch(struct filch__pool *p);
/* Is there an entry in any queue? Exact for what was published before the caller's fence. */
bool filch__crew_sees_work(struct filch__pool *p);
/* Unparks one sleeper (P4), after WAKING was set. */
void filch__crew_unpark_one(struct filch__pool *p);
/* Wakes all that sleep. */
void filch__crew_wake_all(struct filch__pool *p);
/* Called with the word after a worker was taken off: the last one, when closing, says so. */
void filch__crew_one_less(struct filch__pool *p, uint64_t word);

/* find.c: the policy. Each opens the hand, and empties it if it returns ENTRY_NONE. */

/* What a BUSY worker runs next: its own, what is outside, else from whom it stole last. */
filch__entry filch__worker_next(struct filch__worker *w);
/* Everything that there is, once. */
filch__entry filch__worker_look(struct filch__worker *w);
/* Looks for as long as a worker spins (W1): for `spin`, and after spins in vain for less each time, since
 * where work comes seldom it does not come just then. ENTRY_NONE: it is time to sleep. */
filch__entry filch__worker_search(struct filch__worker *w);
/* Learns from what was stolen, a forked call or a task, which began at `start` and has ended, whether to steal again at
 * once. */
void filch__worker_learn(struct filch__worker *w, int64_t start, bool call);

/* idle.c */

/* The next entry of a worker that has found nothing, whatever that takes. ENTRY_NONE: it has left for ever. */
filch__entry filch__worker_idle(struct filch__worker *w);
/* SEARCHING or BUSY to BUSY with an entry; the last searcher sees to it that others search on (W4). */
void filch__worker_found(struct filch__worker *w);
/* BUSY. If one too many is awake since a blocked worker came back, this one sleeps. Its queues are for the others,
 * each of which looks at them before it sleeps. False: the worker has left for ever. */
bool filch__worker_retire(struct filch__worker *w);

/* worker.c */

struct filch__worker *filch__worker_create(struct filch__pool *p, uint32_t index);
void filch__worker_destroy(struct filch__worker *w);
void *filch__worker_main(void *worker);
/* Runs one entry from anywhere, on top of what the worker runs; false: there is none. */
bool filch__worker_run_any(struct filch__worker *w);
/* The executor was cancelled or is broken: the task does not start. */
void filch__worker_end_unstarted(struct filch__worker *w, filch_future *f);
/* Runs a task that the worker has started; `drop`: with the reference of its entry. */
void filch__worker_run(struct filch__worker *w, filch_future *f, bool drop);

/* The hand holds what is neither queued nor started. Whoever drains the queues looks at it (shutdown.c):
 * a take that the drainer has seen happens after the hand was opened. */
static inline void filch__hand_open(struct filch__worker *w) {
    store_relaxed(&w->hand,
                  load_relaxed(&w->hand) | 1u); /* relaxed: the take that follows publishes it */
}
static inline void filch__hand_empty(struct filch__worker *w) {
    uint64_t hand = load_relaxed(&w->hand);   /* relaxed: own field */
    store_release(&w->hand, (hand | 1u) + 1); /* C9 -> C10 */
}

/* With an open hand: starts the task for the caller to run, or ends it if the executor was cancelled or is
 * broken, and empties the hand, after its callbacks, so that whoever drains waits for them. False: there
 * is nothing to run. */
static inline bool filch__worker_claim(struct filch__worker *w, filch_future *f) {
    bool started = false;
    if (unlikely((filch__pool_ending(w->pool) & (POOL_CANCELLING | POOL_BROKEN)) != 0))
        filch__worker_end_unstarted(w, f);
    else
        started = state_start(&f->state, w->self.index);
    filch__hand_empty(w);
    return started;
}
/* Drops an entry that is stale. */
static inline void filch__worker_skip(struct filch__worker *w, filch_future *f) {
    if (w->stale != 0) w->stale--;
    filch__future_drop(f);
}
/* Runs an entry that the worker took: starts its task, or drops the entry if it is stale. */
static inline void filch__worker_handle(struct filch__worker *w, filch__entry entry) {
    filch_future *f = filch__entry_future(entry);
    if (likely(filch__worker_claim(w, f)))
        filch__worker_run(w, f, true);
    else
        filch__worker_skip(w, f);
}

/* Is the stack used up so far that no further task should run on top? */
static inline bool filch__worker_stack_is_low(const struct filch__worker *w) {
    return (size_t)__builtin_frame_address(0) < w->stack_floor;
}

/* frames.c: forked calls. */

bool filch__worker_fork(struct filch__self *self, filch_slot *slot);
enum filch__join filch__worker_join(struct filch__self *self, filch_slot *slot);
/* The oldest call of another worker that it may have; ENTRY_NONE. The worker is noted in frame_owner. */
filch__entry filch__worker_steal_frame(struct filch__worker *w, struct filch__worker *victim);
/* Runs a call that was just stolen. */
void filch__worker_run_frame(struct filch__worker *w, filch__entry entry);
/* Around a task, or a call that was stolen, on top of what the worker runs: what it forks is its own. */
static inline uint32_t filch__worker_begin_forks(struct filch__worker *w) {
    uint32_t outer = w->base_slot;
    w->base_slot = 0;
    filch__lane_begin_task(&w->lane);
    store_relaxed(&w->lane.hot.limit, NULL); /* relaxed: own thread; the first fork shall be slow */
    return outer;
}
void filch__worker_end_forks_slow(struct filch__worker *w, uint32_t outer);
static inline void filch__worker_end_forks(struct filch__worker *w, uint32_t outer) {
    if (unlikely((w->base_slot | outer) != 0)) filch__worker_end_forks_slow(w, outer);
}
/* A task was submitted while calls that the present one has forked are not joined: their joins run it first. */
void filch__worker_mark_slow(struct filch__worker *w);
static inline void filch__worker_mark(struct filch__worker *w) {
    if (unlikely(w->base_slot != 0) && filch__lane_used(&w->lane) >= w->base_slot)
        filch__worker_mark_slow(w);
}
/* Nobody will join what this worker has forked. */
void filch__worker_abandon_frames(struct filch__worker *w);

/* wait.c: ops->wait and so on, ops->left_stale. */
int filch__worker_wait(struct filch__self *self, filch_future *f, int64_t deadline);
int filch__worker_wait_isolated(struct filch__self *self, filch_future *f, int64_t deadline);
int filch__worker_wait_firm(struct filch__self *self, filch_future *f);
enum filch__help filch__worker_help(struct filch__self *self, filch_future *f, bool run);
int filch__worker_wait_set(struct filch__self *self, struct filch__gathering *set,
                           filch_future *only, bool stuck, int64_t deadline);
/* Runs a task of the own deque whose place is not below `index`, if it is a descendant of the one that runs. */
bool filch__worker_run_newer(struct filch__worker *w, int64_t index);
void filch__worker_left_stale(struct filch__self *self);
/* Takes stale entries off the bottom of the own deque, down to the first that is not, as far as they
 * belong to the task that runs: a loop of submit and result, or cancel, must not pile them up. */
void filch__worker_trim(struct filch__worker *w);

/* block.c: giving the place to a spare. */

/* Parks until the thief of the slot, one of this executor, has ended its call. */
void filch__worker_park_for_frame(struct filch__worker *w, filch_slot *slot);
/* A wait between filch_blocking_begin and _end may run tasks: takes the place back for that time; gives it again. */
uint32_t filch__worker_leave_blocking(struct filch__worker *w);
void filch__worker_enter_blocking(struct filch__worker *w, uint32_t depth);
void filch__worker_blocking_begin(struct filch__self *self);
void filch__worker_blocking_end(struct filch__self *self);
/* User code has returned: what it has begun and not ended is ended. */
static inline void filch__worker_end_blocking(struct filch__worker *w) {
    if (likely(w->self.blocking == 0)) return;
    w->self.blocking = 0;
    filch__worker_blocking_end(&w->self);
}

/* circle.c: waits in a circle. */

enum filch__circle { CIRCLE_NONE, CIRCLE_CLOSED, CIRCLE_UNKNOWN };
/* The worker parks for f, or for a forked call that another worker runs; both NULL: for what is not of this
 * executor. `forever`: without a deadline. */
void filch__circle_enter(struct filch__worker *w, filch_future *f, filch_slot *slot, bool forever);
void filch__circle_leave(struct filch__worker *w);
/* After enter: does this wait close a circle? CLOSED: it has been left. UNKNOWN: ask again soon. */
enum filch__circle filch__circle_search(struct filch__worker *w);
/* Is it parked for ever, unless something that lies on the stack of `to` ends? */
bool filch__circle_leads_to(struct filch__worker *from, struct filch__worker *to);

/* shutdown.c */

int filch__pool_shutdown(filch_executor *e, unsigned flags);
void filch__pool_end_at_exit(filch_executor *e);
void filch__pool_destroy(filch_executor *e);
/* Ends every future that has not started: cancelled, or failed with `cause` if that is not NULL. When
 * it returns, none is left that was accepted before the flag in `ending` was set. */
void filch__pool_drain(struct filch__pool *p, const char *cause);
/* Why the executor broke. */
const char *filch__pool_cause(struct filch__pool *p);
/* An initializer has failed: the executor breaks. */
void filch__pool_break(struct filch__pool *p, int code, int worker);

#endif
