/* thread/wait.c: a worker that waits for a future, inside a task.
 *
 * In this order: the awaited task itself, if it has not started; descendants of the waiting task, which
 * stand in the own deque above the place where it began; descendants of the awaited one, which stand in
 * the deque of the worker that runs it; spin; park, with a spare worker in the place. Never another
 * task: it might need what lies below on this stack.
 *
 * Source   leapfrogging: Wagner & Calder, "Leapfrogging: a portable technique for implementing efficient
 *          futures", PPoPP 1993; here the victim's entries are known by their place, not by a level.
 * A wait for a set (gather.h) is the same, with filch__worker_help for each of its futures before.
 * Not here: the state of a future (future_state.h), the order of ordinary work (find.c), what is asked of a
 *          set (set.c). */
#include "base/point.h"
#include "error.h"
#include "gather.h"
#include "os/clock.h"
#include "os/spin.h"
#include "thread/pool.h"

/* Nanoseconds that a blocked worker sleeps between two looks whether its place is filled: 1 s, and 10 ms
 * while it is not. */
#define NAP 1000000000
#define SHORT_NAP 10000000

/* The first index of the own deque whose entries are descendants of the task that runs. */
static int64_t first_descendant(struct filch__worker *w) {
    int64_t bottom = filch__deque_bottom(&w->local);
    if (w->self.run == NULL) return bottom;
    if (w->help_floor > bottom) w->help_floor = bottom;
    return w->help_floor > w->self.run->base ? w->help_floor : w->self.run->base;
}

void filch__worker_trim(struct filch__worker *w) {
    int64_t base = w->self.run == NULL ? INT64_MAX : w->self.run->base;
    int64_t bottom;
    while (w->stale != 0 && (bottom = filch__deque_bottom(&w->local)) > base &&
           bottom < w->live_mark) {
        filch__hand_open(w);
        filch__entry entry = filch__deque_pop(&w->local);
        bool live = entry != ENTRY_NONE &&
                    state_life(state_look(&filch__entry_future(entry)->state)) == LIFE_PENDING;
        /* There is room where it was. The last one comes back one place higher, and does not become a
         * descendant by that. */
        if (live) filch__deque_push(&w->local, entry);
        if (live && bottom <= w->help_floor) w->help_floor = filch__deque_bottom(&w->local);
        filch__hand_empty(w);
        w->live_mark = live ? filch__deque_bottom(&w->local) : INT64_MAX;
        if (live) {
            /* While it was in the hand, the last searcher may have looked and gone to sleep. */
            filch__crew_tell(w->pool);
            return;
        }
        w->stale = entry == ENTRY_NONE ? 0 : w->stale - 1;
        if (entry != ENTRY_NONE) filch__future_drop(filch__entry_future(entry));
    }
    if (filch__deque_bottom(&w->local) < w->live_mark) w->live_mark = INT64_MAX;
}

void filch__worker_left_stale(struct filch__self *self) {
    filch__worker_of(self)->stale++;
}

/* The awaited task has ended, or was found to run elsewhere. What it, or its callbacks, left behind in the
 * own deque is not of the task that waits. `bottom`: where it stood without the entry. */
static inline void after_awaited(struct filch__worker *w, int64_t bottom) {
    if (filch__deque_bottom(&w->local) > bottom) w->help_floor = filch__deque_bottom(&w->local);
    if (unlikely(w->stale != 0)) filch__worker_trim(w);
}

/* The awaited task, which has not started and is the oldest entry of the own deque: runs it, if it is a
 * descendant of the waiting one. True: it is done. */
static inline bool run_oldest(struct filch__worker *w, filch_future *f) {
    int64_t bottom = filch__deque_bottom(&w->local);
    if (filch__deque_top(&w->local) < first_descendant(w) || filch__worker_stack_is_low(w))
        return false;
    filch__hand_open(w);
    if (!filch__deque_take_if_oldest(&w->local, filch__entry_of_future(f))) {
        filch__hand_empty(w);
        return false;
    }
    filch__worker_handle(w, filch__entry_of_future(f));
    if (!filch__worker_is_here(w)) return false;
    after_awaited(w, bottom);
    return state_is_done(state_look(&f->state));
}

/* The awaited task, which is the newest entry of the own deque: runs it, if it has not started and is a
 * descendant of the waiting one. The transition that starts it is at the same time the fence of the pop: if a
 * thief is faster, the thief has a stale entry. True: it is done. (The executor may begin to end between the
 * look at `ending` and the start: then it is as if the task had started before; the hand is open.) */
static inline bool run_newest(struct filch__worker *w, filch_future *f) {
    struct filch__deque *d = &w->local;
    if (filch__deque_bottom(d) <= first_descendant(w) || filch__worker_stack_is_low(w) ||
        (filch__pool_ending(w->pool) & (POOL_CANCELLING | POOL_BROKEN)) != 0)
        return false;
    filch__hand_open(w);
    int64_t bottom = filch__deque_pop_begin(d);
    bool started = bottom >= 0 && state_start_fencing(&f->state, w->self.index);
    if (started)
        fence_after_rmw(); /* D9 -> D8 */
    else
        fence_seq_cst(); /* D7 -> D8 */
    bool taken = bottom >= 0 && filch__deque_pop_end(d, bottom) != ENTRY_NONE;
    filch__hand_empty(w);
    if (started) {
        filch__worker_run(w, f, taken);
        if (!filch__worker_is_here(w)) return false;
        after_awaited(w, bottom);
    } else if (taken) {
        filch__future_drop(f);
    }
    return state_is_done(state_look(&f->state));
}

/* The awaited task, which has not started: runs it, unless somebody else is faster. */
static void run_awaited(struct filch__worker *w, filch_future *f) {
    int64_t bottom = filch__deque_bottom(&w->local);
    bool newest = filch__deque_newest(&w->local) == filch__entry_of_future(f);
    /* If it is no descendant of those below on the stack, what it submits is none either: others that wait
     * for the outermost one must not take it for one. */
    if (!newest || bottom <= first_descendant(w)) store_release(&w->outer, NULL); /* C15 -> C16 */
    filch__hand_open(w);
    filch__entry entry = newest ? filch__deque_pop(&w->local) : ENTRY_NONE;
    if (entry != ENTRY_NONE) {
        filch__worker_handle(w, entry);
    } else if (filch__worker_claim(w, f)) {
        /* Its entry is stale from here on, keeps its reference, and is dropped by who takes it. */
        w->stale++;
        filch__worker_run(w, f, false);
    }
    if (filch__worker_is_here(w)) after_awaited(w, bottom - newest);
}

bool filch__worker_run_newer(struct filch__worker *w, int64_t index) {
    int64_t first = first_descendant(w), bottom = filch__deque_bottom(&w->local);
    if (bottom <= first || bottom <= index) return false;
    filch__hand_open(w);
    filch__entry entry = filch__deque_pop(&w->local);
    if (entry == ENTRY_NONE) {
        filch__hand_empty(w);
        return false;
    }
    filch__worker_handle(w, entry);
    return true;
}

/* A descendant of the waiting task, from the own deque. */
static bool run_own_descendant(struct filch__worker *w) {
    return filch__worker_run_newer(w, 0);
}

/* A descendant of the awaited task, from the worker that runs it as its outermost one. Whatever that
 * worker has pushed since it started it is a descendant, and thieves take the oldest first. */
static bool run_their_descendant(struct filch__worker *w, filch_future *f, int runner) {
    struct filch__worker *victim = filch__pool_slot(w->pool, (uint32_t)runner);
    filch__entry entry;
    if (load_acquire(&victim->outer) != f) return false;       /* C16 <- C15 */
    int64_t base = load_relaxed(&victim->outer_base);          /* relaxed: ordered by C16 */
    if (load_relaxed(&victim->local.top) < base) return false; /* relaxed: it only grows */
    if (filch__deque_is_empty(&victim->local)) return false;
    count_own(&w->attempts, 1);
    filch__hand_open(w);
    if (filch__deque_steal(&victim->local, &entry) != STEAL_OK) {
        count_own(&w->failed, 1);
        filch__hand_empty(w);
        return false;
    }
    count_own(&w->stolen, 1);
    if (load_acquire(&victim->outer) != f) { /* C16 <- C15 */
        /* The awaited task has ended meanwhile: this entry may be of another one. It goes to everybody. */
        filch__stack_push(&w->pool->injector, &filch__entry_future(entry)->link);
        filch__hand_empty(w);
        filch__crew_tell(w->pool);
        return false;
    }
    filch__worker_handle(w, entry);
    return true;
}

static int stack_used_up(void) {
    return filch__error_constant(
        FILCH_EAGAIN, "filch_future_result: the worker's stack is used up, and no spare worker "
                      "could be started to go on: raise max_spares or stack_size");
}

/* While this worker is BLOCKED: sees to it that a spare takes the place, if there is work and nobody
 * else is awake. False: there is nobody, and none could be started now. */
static bool find_spare(struct filch__worker *w) {
    struct filch__sleep *s = &w->pool->sleep;
    fence_seq_cst(); /* S2 <- S1, I1 */
    filch__crew_ask(w->pool);
    if (!filch__crew_sees_work(w->pool)) return true;
    filch__crew_tell(w->pool);
    uint64_t word = sleep_read(s);
    return sleep_awake(word) != 0 || sleep_count(word, SLEEPING_ONE) != 0;
}

static int waits_in_circle(void) {
    return filch__error_constant(
        FILCH_EDEADLK,
        "filch_future_result: tasks of this executor wait for each other in a circle");
}

/* How a worker waits for a future. */
enum manner {
    HELPING,
    ISOLATED, /* runs nothing but the awaited task */
    FIRM      /* helps, and does not give up: of a circle, another has to */
};

/* What a worker waits for. */
struct awaited {
    filch_future *future; /* of this executor; with a set: the only one left; NULL: others */
    struct filch__gathering *set; /* or NULL */
    filch_future *foreign;        /* without a set: a future of no other place; or NULL */
    filch_slot *slot;             /* a forked call that another worker runs, alone; or NULL */
    bool stuck;                   /* with a set: see executor_ops.h */
    enum manner manner;
};

static inline filch_future *single(const struct awaited *a) {
    return a->future != NULL ? a->future : a->foreign;
}
static inline bool is_over(const struct awaited *a) {
    if (a->slot != NULL)
        return (load_acquire(&a->slot->status) & SLOT_OVER) != 0; /* L11 <- L10, L12 */
    if (a->set != NULL) return filch__gathering_ready(a->set);
    return state_is_done(state_look(&single(a)->state));
}
/* The thief of the slot wakes who has announced a sleep. */
static bool sleep_for_slot(filch_slot *slot, int64_t end) {
    uint32_t status = load_acquire(&slot->status); /* L11 <- L10, L12 */
    while ((status & SLOT_OVER) == 0) {
        if ((status & SLOT_WAITED) == 0 &&
            !cas_acq_rel(&slot->status, &status, status | SLOT_WAITED)) /* L13 -> L10, L12 */
            continue;
        if (!filch__futex_wait(&slot->status, status | SLOT_WAITED, end)) return false;
        status = load_acquire(&slot->status); /* L11 <- L10, L12 */
    }
    return true;
}
static bool sleep_until(const struct awaited *a, int64_t end) {
    if (a->slot != NULL) return sleep_for_slot(a->slot, end);
    if (a->set != NULL) return filch__gathering_sleep(a->set, end);
    return filch__future_sleep(single(a), end);
}
/* Can nothing of it go on, unless a spare takes the place? */
static bool needs_spare(struct filch__worker *w, const struct awaited *a) {
    if (a->set != NULL) return a->stuck;
    if (a->slot != NULL) return false;
    return filch__worker_stack_is_low(w) &&
           state_life(state_look(&single(a)->state)) == LIFE_PENDING;
}

/* One sleep of a parked worker. *over: the wait ends with this code. */
static int nap(struct filch__worker *w, const struct awaited *a, int64_t deadline, bool *over) {
    bool spare = find_spare(w);
    /* A join cannot end before its call has: it is for the others of a circle to find that. */
    bool searches = a->slot == NULL && a->manner != FIRM;
    enum filch__circle circle = searches ? filch__circle_search(w) : CIRCLE_NONE;
    *over = true;
    if (circle == CIRCLE_CLOSED) return waits_in_circle();
    if (!spare && a->manner != FIRM && needs_spare(w, a)) return stack_used_up();
    /* Nobody tells when a thread can be started again, or another search has ended. */
    int64_t end = filch__deadline(spare && circle == CIRCLE_NONE ? NAP : SHORT_NAP);
    if (sleep_until(a, end < deadline ? end : deadline)) return 0;
    *over = end >= deadline;
    return FILCH_ETIMEDOUT;
}

/* Parks until it is over; a spare takes the place. */
static int park(struct filch__worker *w, const struct awaited *a, int64_t deadline) {
    bool over = false;
    int rc = 0;
    sleep_block(&w->pool->sleep);
    filch__circle_enter(w, a->future, a->slot, deadline == FILCH_FOREVER);
    POINT("wait.blocked");
    while (!over) rc = nap(w, a, deadline, &over);
    filch__circle_leave(w);
    sleep_unblock(&w->pool->sleep);
    return rc;
}

void filch__worker_park_for_frame(struct filch__worker *w, filch_slot *slot) {
    struct awaited a = {NULL, NULL, NULL, slot, false, HELPING};
    (void)park(w, &a, FILCH_FOREVER);
}

static int waits_for_itself(void) {
    return filch__error_constant(
        FILCH_EDEADLK,
        "filch_future_result: the awaited task stands lower on this worker's own stack");
}

/* A descendant of the waiting task, or of the awaited one, which runs on `runner` (-1: not here). */
static bool run_descendant(struct filch__worker *w, const struct awaited *a, int runner) {
    if (a->manner == ISOLATED || filch__worker_stack_is_low(w)) return false;
    return run_own_descendant(w) || (runner >= 0 && run_their_descendant(w, a->future, runner));
}

/* Spins, and looks for descendants of a task that has started, for at most `spin`. True: there is something
 * new, look again. */
static bool spin_helping(struct filch__worker *w, const struct awaited *a, int runner,
                         int64_t deadline) {
    struct filch__spin pauses = filch__spin_begin();
    do {
        if (is_over(a)) return true;
        while (run_descendant(w, a, runner)) {
            if (!filch__worker_is_here(w) || is_over(a)) return true;
            pauses = filch__spin_begin();
        }
    } while (w->pool->spin > 0 && filch__spin_pause(&pauses, w->pool->spin, deadline));
    return false;
}

static inline bool is_mine(struct filch__worker *w, filch_future *f) {
    return filch__future_home(f) == w->pool->home;
}

/* Is it made by what runs lower on this stack (filch_then)? Of other futures the state says where they run. */
static bool is_made_below(struct filch__worker *w, const filch_future *f) {
    const struct filch__run *run = w->self.run;
    while (run != NULL && run->future != f) run = run->below;
    return run != NULL;
}

static noinline int wait_slow(struct filch__worker *w, filch_future *f, int64_t deadline,
                              enum manner manner) {
    bool mine = is_mine(w, f);
    struct awaited a = {mine ? f : NULL, NULL, mine ? NULL : f, NULL, false, manner};
    if (!mine && is_made_below(w, f)) return waits_for_itself();
    for (;;) {
        uint64_t state = state_look(&f->state);
        if (!filch__worker_is_here(w)) return FILCH_EFORKED;
        if (state_is_done(state)) return 0;
        if (mine && state_life(state) == LIFE_PENDING && !filch__worker_stack_is_low(w)) {
            run_awaited(w, f);
            continue;
        }
        int runner = mine && state_life(state) == LIFE_RUNNING ? state_runner(state) : -1;
        if (runner == w->self.index) return waits_for_itself();
        if (spin_helping(w, &a, runner, deadline)) continue;
        int rc = park(w, &a, deadline);
        if (rc != 0) return rc;
    }
}

void filch__worker_blocking_begin(struct filch__self *self) {
    struct filch__worker *w = filch__worker_of(self);
    sleep_block(&w->pool->sleep);
    (void)find_spare(w);
}

void filch__worker_blocking_end(struct filch__self *self) {
    sleep_unblock(&filch__worker_of(self)->pool->sleep);
}

/* A wait between filch_blocking_begin and _end may run tasks, so that the worker takes its place back for that
 * time. */
cold uint32_t filch__worker_leave_blocking(struct filch__worker *w) {
    uint32_t depth = w->self.blocking;
    w->self.blocking = 0;
    filch__worker_blocking_end(&w->self);
    return depth;
}
cold void filch__worker_enter_blocking(struct filch__worker *w, uint32_t depth) {
    w->self.blocking = depth;
    filch__worker_blocking_begin(&w->self);
}

static cold int wait_in_blocking(struct filch__worker *w, filch_future *f, int64_t deadline,
                                 enum manner manner) {
    uint32_t depth = filch__worker_leave_blocking(w);
    int rc = wait_slow(w, f, deadline, manner);
    if (filch__worker_is_here(w)) filch__worker_enter_blocking(w, depth);
    return rc;
}

/* The awaited task, if it is at one of the ends of the own deque. Futures are mostly awaited in the reverse
 * order, or in the order, in which they were submitted. True: it is done. */
static inline bool run_at_an_end(struct filch__worker *w, filch_future *f) {
    filch__entry entry = filch__entry_of_future(f);
    if (filch__deque_newest(&w->local) == entry) return run_newest(w, f);
    return filch__deque_oldest(&w->local) == entry && run_oldest(w, f);
}

int filch__worker_wait(struct filch__self *self, filch_future *f, int64_t deadline) {
    struct filch__worker *w = filch__worker_of(self);
    if (unlikely(self->blocking != 0)) return wait_in_blocking(w, f, deadline, HELPING);
    if (likely(run_at_an_end(w, f))) return 0;
    return wait_slow(w, f, deadline, HELPING);
}

static int wait_in_manner(struct filch__self *self, filch_future *f, int64_t deadline,
                          enum manner manner) {
    struct filch__worker *w = filch__worker_of(self);
    if (unlikely(self->blocking != 0)) return wait_in_blocking(w, f, deadline, manner);
    return wait_slow(w, f, deadline, manner);
}

int filch__worker_wait_isolated(struct filch__self *self, filch_future *f, int64_t deadline) {
    return wait_in_manner(self, f, deadline, ISOLATED);
}

int filch__worker_wait_firm(struct filch__self *self, filch_future *f) {
    return wait_in_manner(self, f, FILCH_FOREVER, FIRM);
}

static enum filch__help help(struct filch__worker *w, filch_future *f, bool run) {
    uint64_t state = state_look(&f->state);
    if (state_is_done(state)) return HELP_DONE;
    if (!is_mine(w, f)) return is_made_below(w, f) ? HELP_BELOW : HELP_NONE;
    if (state_life(state) == LIFE_RUNNING)
        return state_runner(state) == w->self.index ? HELP_BELOW : HELP_NONE;
    if (state_life(state) != LIFE_PENDING) return HELP_NONE;
    if (filch__worker_stack_is_low(w)) return HELP_NO_STACK;
    if (!run) return HELP_NONE;
    if (!run_at_an_end(w, f) && filch__worker_is_here(w)) run_awaited(w, f);
    return state_is_done(state_look(&f->state)) ? HELP_DONE : HELP_NONE;
}

enum filch__help filch__worker_help(struct filch__self *self, filch_future *f, bool run) {
    struct filch__worker *w = filch__worker_of(self);
    if (!filch__worker_is_here(w)) return HELP_NONE;
    if (!run || likely(self->blocking == 0)) return help(w, f, run);
    uint32_t depth = filch__worker_leave_blocking(w);
    enum filch__help how = help(w, f, run);
    if (filch__worker_is_here(w)) filch__worker_enter_blocking(w, depth);
    return how;
}

static int wait_set(struct filch__worker *w, const struct awaited *a, int64_t deadline) {
    while (!is_over(a)) {
        if (!filch__worker_is_here(w)) return FILCH_EFORKED;
        uint64_t state = a->future == NULL ? 0 : state_look(&a->future->state);
        int runner = state_life(state) == LIFE_RUNNING ? state_runner(state) : -1;
        if (spin_helping(w, a, runner, deadline)) continue;
        int rc = park(w, a, deadline);
        if (rc != 0) return rc;
    }
    return 0;
}

int filch__worker_wait_set(struct filch__self *self, struct filch__gathering *set,
                           filch_future *only, bool stuck, int64_t deadline) {
    struct filch__worker *w = filch__worker_of(self);
    if (only != NULL && !is_mine(w, only)) only = NULL;
    struct awaited a = {only, set, NULL, NULL, stuck, HELPING};
    if (likely(self->blocking == 0)) return wait_set(w, &a, deadline);
    uint32_t depth = filch__worker_leave_blocking(w);
    int rc = wait_set(w, &a, deadline);
    if (filch__worker_is_here(w)) filch__worker_enter_blocking(w, depth);
    return rc;
}
