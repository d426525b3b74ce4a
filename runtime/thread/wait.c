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
 *          set (set.c), parking (block.h). */
#include "error.h"
#include "os/spin.h"
#include "thread/block.h"

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

static int waits_for_itself(void) {
    return filch__error_constant(
        FILCH_EDEADLK,
        "filch_future_result: the awaited task stands lower on this worker's own stack");
}

/* A descendant of the waiting task, or of the awaited one, which runs on `runner` (-1: not here). */
static bool run_descendant(struct filch__worker *w, const struct filch__awaited *a, int runner) {
    if (a->manner == WAIT_ISOLATED || filch__worker_stack_is_low(w)) return false;
    return run_own_descendant(w) || (runner >= 0 && run_their_descendant(w, a->future, runner));
}

/* Spins, and looks for descendants of a task that has started, for at most `spin`. True: there is something
 * new, look again. */
static bool spin_helping(struct filch__worker *w, const struct filch__awaited *a, int runner,
                         int64_t deadline) {
    struct filch__spin pauses = filch__spin_begin();
    do {
        if (filch__awaited_is_over(a)) return true;
        while (run_descendant(w, a, runner)) {
            if (!filch__worker_is_here(w) || filch__awaited_is_over(a)) return true;
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
                              enum filch__manner manner) {
    bool mine = is_mine(w, f);
    struct filch__awaited a = {mine ? f : NULL, NULL, mine ? NULL : f, NULL, false, manner};
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
        int rc = filch__worker_park(w, &a, deadline);
        if (rc != 0) return rc;
    }
}

static cold int wait_in_blocking(struct filch__worker *w, filch_future *f, int64_t deadline,
                                 enum filch__manner manner) {
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
    if (unlikely(self->blocking != 0)) return wait_in_blocking(w, f, deadline, WAIT_HELPING);
    if (likely(run_at_an_end(w, f))) return 0;
    return wait_slow(w, f, deadline, WAIT_HELPING);
}

static int wait_in_manner(struct filch__self *self, filch_future *f, int64_t deadline,
                          enum filch__manner manner) {
    struct filch__worker *w = filch__worker_of(self);
    if (unlikely(self->blocking != 0)) return wait_in_blocking(w, f, deadline, manner);
    return wait_slow(w, f, deadline, manner);
}

int filch__worker_wait_isolated(struct filch__self *self, filch_future *f, int64_t deadline) {
    return wait_in_manner(self, f, deadline, WAIT_ISOLATED);
}

int filch__worker_wait_firm(struct filch__self *self, filch_future *f) {
    return wait_in_manner(self, f, FILCH_FOREVER, WAIT_FIRM);
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

static int wait_set(struct filch__worker *w, const struct filch__awaited *a, int64_t deadline) {
    while (!filch__awaited_is_over(a)) {
        if (!filch__worker_is_here(w)) return FILCH_EFORKED;
        uint64_t state = a->future == NULL ? 0 : state_look(&a->future->state);
        int runner = state_life(state) == LIFE_RUNNING ? state_runner(state) : -1;
        if (spin_helping(w, a, runner, deadline)) continue;
        int rc = filch__worker_park(w, a, deadline);
        if (rc != 0) return rc;
    }
    return 0;
}

int filch__worker_wait_set(struct filch__self *self, struct filch__gathering *set,
                           filch_future *only, bool stuck, int64_t deadline) {
    struct filch__worker *w = filch__worker_of(self);
    if (only != NULL && !is_mine(w, only)) only = NULL;
    struct filch__awaited a = {only, set, NULL, NULL, stuck, WAIT_HELPING};
    if (likely(self->blocking == 0)) return wait_set(w, &a, deadline);
    uint32_t depth = filch__worker_leave_blocking(w);
    int rc = wait_set(w, &a, deadline);
    if (filch__worker_is_here(w)) filch__worker_enter_blocking(w, depth);
    return rc;
}
