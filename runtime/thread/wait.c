/* thread/wait.c: a worker that waits for a future, inside a task.
 *
 * In this order: the awaited task itself, if it has not started; descendants of the waiting task, which
 * stand in the own deque above the place where it began; descendants of the awaited one, which stand in
 * the deque of the worker that runs it; spin; park, with a spare worker in the place. Never another
 * task: it might need what lies below on this stack.
 *
 * Source   leapfrogging: Wagner & Calder, "Leapfrogging: a portable technique for implementing efficient
 *          futures", PPoPP 1993; here the victim's entries are known by their place, not by a level.
 * Not here: the state of a future (future_state.h), the order of ordinary work (worker.c). */
#include "base/point.h"
#include "error.h"
#include "os/clock.h"
#include "thread/pool.h"

/* Nanoseconds that a blocked worker sleeps between two looks whether its place is filled: 1 s, and 10 ms
 * while it is not. */
#define NAP 1000000000
#define SHORT_NAP 10000000

/* Is the stack used up so far that the awaited task must run elsewhere? */
static bool stack_is_low(struct filch__worker *w) {
    return (size_t)__builtin_frame_address(0) < w->stack_floor;
}

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
    if (!filch__worker_is_here(w)) return;
    /* What it, or its callbacks, left behind is not of the task that waits. */
    if (filch__deque_bottom(&w->local) > bottom - newest)
        w->help_floor = filch__deque_bottom(&w->local);
    if (unlikely(w->stale != 0)) filch__worker_trim(w);
}

/* A descendant of the waiting task, from the own deque. */
static bool run_own_descendant(struct filch__worker *w) {
    if (filch__deque_bottom(&w->local) <= first_descendant(w)) return false;
    filch__hand_open(w);
    filch__entry entry = filch__deque_pop(&w->local);
    if (entry == ENTRY_NONE) {
        filch__hand_empty(w);
        return false;
    }
    filch__worker_handle(w, entry);
    return true;
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
    fence_seq_cst(); /* S2 <- S1 */
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

/* One sleep of a parked worker. *over: the wait ends with this code. */
static int nap(struct filch__worker *w, filch_future *f, int64_t deadline, bool *over) {
    bool spare = find_spare(w);
    enum filch__circle circle = filch__circle_search(w);
    *over = true;
    if (circle == CIRCLE_CLOSED) return waits_in_circle();
    if (!spare && stack_is_low(w) && state_life(state_look(&f->state)) == LIFE_PENDING)
        return stack_used_up();
    /* Nobody tells when a thread can be started again, or another search has ended. */
    int64_t end = filch__deadline(spare && circle == CIRCLE_NONE ? NAP : SHORT_NAP);
    if (filch__future_sleep(f, end < deadline ? end : deadline)) return 0;
    *over = end >= deadline;
    return FILCH_ETIMEDOUT;
}

/* Parks until the future is done; a spare takes the place. */
static int park(struct filch__worker *w, filch_future *f, bool mine, int64_t deadline) {
    bool over = false;
    int rc = 0;
    sleep_block(&w->pool->sleep);
    filch__circle_enter(w, mine ? f : NULL);
    POINT("wait.blocked");
    while (!over) rc = nap(w, f, deadline, &over);
    filch__circle_leave(w);
    sleep_unblock(&w->pool->sleep);
    return rc;
}

static int waits_for_itself(void) {
    return filch__error_constant(
        FILCH_EDEADLK,
        "filch_future_result: the awaited task stands lower on this worker's own stack");
}

/* Spins, and looks for descendants of a task that has started, for at most `spin`. True: there is something
 * new, look again. */
static bool spin_helping(struct filch__worker *w, filch_future *f, int runner, int64_t deadline) {
    int64_t end = 0;
    for (uint32_t i = 0;; i++) {
        if (!filch__worker_is_here(w) || state_is_done(state_look(&f->state))) return true;
        if (!stack_is_low(w) &&
            (run_own_descendant(w) || (runner >= 0 && run_their_descendant(w, f, runner)))) {
            end = 0;
            continue;
        }
        if (i % 8 == 0) {
            int64_t now = filch__now();
            if (end == 0) end = now + w->pool->spin;
            if (now >= end || now >= deadline) return false;
        }
        cpu_relax();
    }
}

int filch__worker_wait(struct filch__self *self, filch_future *f, int64_t deadline) {
    struct filch__worker *w = filch__worker_of(self);
    bool mine = filch__future_home(f) == w->pool->home;
    for (;;) {
        uint64_t state = state_look(&f->state);
        if (!filch__worker_is_here(w)) return FILCH_EFORKED;
        if (state_is_done(state)) return 0;
        if (mine && state_life(state) == LIFE_PENDING && !stack_is_low(w)) {
            run_awaited(w, f);
            continue;
        }
        int runner = mine && state_life(state) == LIFE_RUNNING ? state_runner(state) : -1;
        if (runner == self->index) return waits_for_itself();
        if (spin_helping(w, f, runner, deadline)) continue;
        int rc = park(w, f, mine, deadline);
        if (rc != 0) return rc;
    }
}
