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

/* Is the stack used up so far that the awaited task must run elsewhere? */
static bool stack_is_low(struct filch__worker *w) {
    return (size_t)__builtin_frame_address(0) < w->stack_floor;
}

/* The awaited task ran on top of others' entries; those that became stale are taken off the bottom, so
 * that a loop of submit and result does not pile them up. */
static void trim_stale(struct filch__worker *w) {
    int64_t base = w->self.run == NULL ? INT64_MAX : w->self.run->base;
    while (w->stale != 0 && filch__deque_bottom(&w->local) > base) {
        filch__hand_open(w);
        filch__entry entry = filch__deque_pop(&w->local);
        if (entry == ENTRY_NONE) w->stale = 0;
        bool live = entry != ENTRY_NONE &&
                    state_life(state_look(&filch__entry_future(entry)->state)) == LIFE_PENDING;
        if (live) filch__deque_push(&w->local, entry);
        filch__hand_empty(w);
        if (live || entry == ENTRY_NONE) return;
        w->stale--;
        filch__future_drop(filch__entry_future(entry));
    }
}

/* The awaited task, which has not started: runs it, unless somebody else is faster. */
static void run_awaited(struct filch__worker *w, filch_future *f) {
    if (filch__deque_newest(&w->local) == filch__entry_of_future(f)) {
        filch__hand_open(w);
        filch__entry entry = filch__deque_pop(&w->local);
        if (entry != ENTRY_NONE)
            filch__worker_handle(w, entry);
        else
            filch__hand_empty(w);
    } else if (state_start(&f->state, w->self.index)) {
        /* Its entry is stale from here on, keeps its reference, and is dropped by who takes it. */
        w->stale++;
        filch__worker_run(w, f, false);
    }
    trim_stale(w);
}

/* A descendant of the waiting task, from the own deque. */
static bool run_own_descendant(struct filch__worker *w) {
    if (w->self.run == NULL || filch__deque_bottom(&w->local) <= w->self.run->base) return false;
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

/* Parks until the future is done; a spare takes the place as far as there is work. */
static int park(struct filch__worker *w, filch_future *f, int64_t deadline) {
    struct filch__sleep *s = &w->pool->sleep;
    int rc = 0;
    sleep_block(s);
    POINT("wait.blocked");
    fence_seq_cst(); /* S2 <- S1 */
    if (filch__crew_sees_work(w->pool)) filch__crew_tell(w->pool);
    uint64_t word = sleep_read(s);
    uint64_t state = state_look(&f->state);
    if (state_life(state) == LIFE_PENDING && stack_is_low(w) && sleep_awake(word) == 0 &&
        sleep_count(word, SLEEPING_ONE) == 0)
        rc = filch__error_constant(
            FILCH_EAGAIN, "filch_future_result: the worker's stack is used up, and no spare "
                          "worker could be started to go on: raise max_spares or stack_size");
    else if (!filch__future_sleep(f, deadline))
        rc = FILCH_ETIMEDOUT;
    sleep_unblock(s);
    return rc;
}

static int waits_for_itself(void) {
    return filch__error_constant(
        FILCH_EDEADLK,
        "filch_future_result: the awaited task stands lower on this worker's own stack");
}

/* Spins, and looks for descendants of a task that has started, for at most `spin`. */
static bool spin_helping(struct filch__worker *w, filch_future *f, int runner, int64_t deadline) {
    int64_t end = 0;
    for (uint32_t i = 0;; i++) {
        if (state_is_done(state_look(&f->state))) return true;
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
        if (state_is_done(state)) return 0;
        if (mine && state_life(state) == LIFE_PENDING && !stack_is_low(w)) {
            run_awaited(w, f);
            continue;
        }
        int runner = mine && state_life(state) == LIFE_RUNNING ? state_runner(state) : -1;
        if (runner == self->index) return waits_for_itself();
        if (spin_helping(w, f, runner, deadline)) return 0;
        int rc = park(w, f, deadline);
        if (rc != 0) return rc;
    }
}
