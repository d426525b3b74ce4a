/* thread/frames.c: a worker's slow forks and joins, and the calls that it takes from others.
 *
 * Flow     filch_fork_slow -> filch__worker_fork: publishes calls, and tells somebody. filch_join_slow ->
 *          filch__worker_join: takes the call back, or waits for its thief. Who searches (find.c) ->
 *          filch__worker_steal_frame -> filch__worker_run_frame.
 * Source   leapfrogging: Wagner & Calder, PPoPP 1993.
 * Why leapfrogging runs nothing unrelated: while a thief runs a call that it took from us, everything in its lane
 *          that is not stolen was forked by that call, or by what the call waits for. For when it took ours it had
 *          nothing, or waited in a join itself, and then all of its older calls were stolen (keep 2 of lane.h). So
 *          our join cannot return before these have ended. If our call is over when we have taken one, the thief may
 *          have begun another by then: what we have taken is given back, to be run by who has forked it.
 * Left behind  the text of filch_fail and the block of filch_result_alloc belong to the task that runs. A stolen call
 *          leaves its own in the slot, for the task that joins it.
 * Not here: the states of a lane, and who may take what (lane.h), parking (block.h). */
#include "base/point.h"
#include "error.h"
#include "os/barrier.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/memory.h"
#include "os/spin.h"
#include "thread/pool.h"

/* Nanoseconds after which an owner that was asked and has not answered computes: then its call is forced out, with a
 * barrier of 0.4 to 10 us. */
#define FORCE_AFTER 2000

/* Nanoseconds after which an owner that was asked, and does not fork, is asked at its next join as well. */
#define ALERT_AFTER 300

/* What a call has left that was run elsewhere. */
struct left {
    char *text;
    struct filch__outcome *block;
};

static bool is_asked_to_end(const filch_future *root) {
    return root != NULL && (state_look(&root->state) & FLAG_REQUESTED) != 0;
}
static filch_future *root_here(struct filch__worker *w) {
    return w->self.run == NULL ? NULL : w->self.run->future;
}

/* Shall every join be slow? Asked anew whenever the guard is set: an alert that came before is seen then. */
static bool is_alert(struct filch__worker *w) {
    return w->overflow != 0 || w->marks_used != 0 || is_asked_to_end(root_here(w));
}

/* The guard was set for what is_alert said before. A request in between has raised it too early; one that comes later
 * than this look raises it again. */
static void look_again(struct filch__worker *w) {
    fence_after_rmw(); /* L16 <-> H6 */
    if (unlikely(is_alert(w))) filch__lane_alert(&w->lane);
}

/* Forks: */

/* The first fork of the innermost task: its calls are part of that. */
static void begin_base(struct filch__worker *w, uint32_t index) {
    w->base_slot = index + 1;
    filch__lane_note_root(&w->lane, index, root_here(w));
}

cold void filch__worker_end_forks_slow(struct filch__worker *w, uint32_t outer) {
    if (w->base_slot != 0) filch__lane_forget_root(&w->lane, w->base_slot - 1);
    w->base_slot = outer;
    if (outer == 0) {
        filch__lane_begin_task(&w->lane);
        store_relaxed(&w->lane.hot.limit, NULL); /* relaxed: own; the first fork shall be slow */
        return;
    }
    begin_base(w, outer - 1);
    /* The task below may have been asked to end meanwhile. */
    filch__lane_alert(&w->lane);
}

static bool run_at_once(struct filch__worker *w, filch_slot *slot) {
    struct filch__lane *l = &w->lane;
    store_light(&l->hot.pos, slot); /* L3 -> L2 */
    w->overflow++;
    filch__lane_alert(l);
    return false;
}

/* With CPUs that nobody uses each fork looks; without a barrier, each at all. The word is read after the limit was set, so that who goes to sleep later
 * asks later. */
static void set_limit(struct filch__worker *w) {
    struct filch__pool *p = w->pool;
    if (filch__barrier_is_there())
        store_relaxed(&w->lane.hot.limit, w->lane.slots + LANE_SLOTS); /* relaxed: own field */
    fence_seq_cst();                                                   /* S1 -> S2 */
    uint32_t awake = sleep_awake(sleep_read(&p->sleep));
    if (awake >= p->sleep.max) return;
    if (awake < p->sleep.searchers)
        filch__lane_ask(&w->lane);
    else
        filch__crew_watch(p);
}

/* Somebody has asked, or nobody has answered yet since the task began: publishes calls, and tells. */
static void answer(struct filch__worker *w) {
    set_limit(w);
    bool any = filch__lane_publish(&w->lane, !filch__barrier_is_there(), is_alert(w));
    look_again(w);
    if (any) filch__crew_tell_own(w);
}

cold bool filch__worker_fork(struct filch__self *self, filch_slot *slot) {
    struct filch__worker *w = filch__worker_of(self);
    struct filch__lane *l = &w->lane;
    uint32_t index = filch__lane_index(l, slot), none = POOL_FORKS_NONE;
    if (index >= LANE_SLOTS) return run_at_once(w, slot);
    if (load_relaxed(&w->pool->forks) == POOL_FORKS_NONE) /* relaxed: a hint */
        (void)cas_relaxed(&w->pool->forks, &none,
                          (uint32_t)POOL_FORKS); /* relaxed: the tell below has a fence */
    if (w->base_slot == 0) begin_base(w, index);
    answer(w);
    return true;
}

/* Tasks that were submitted since a fork: */

cold void filch__worker_mark_slow(struct filch__worker *w) {
    uint32_t used = filch__lane_used(&w->lane);
    if (w->marks_used != 0 && w->marks[w->marks_used - 1].slot >= used) return;
    if (w->marks_used == w->marks_room) {
        uint32_t room = w->marks_room == 0 ? 8 : 2 * w->marks_room;
        struct filch__mark *marks = filch__alloc(room * sizeof *marks);
        if (marks == NULL) return; /* they run later */
        for (uint32_t i = 0; i < w->marks_used; i++) marks[i] = w->marks[i];
        filch__free(w->marks);
        w->marks = marks;
        w->marks_room = room;
    }
    w->marks[w->marks_used++] = (struct filch__mark){used, filch__deque_bottom(&w->local) - 1};
    filch__lane_alert(&w->lane);
}

/* Runs what was submitted since the slot was filled. */
static void run_newer_tasks(struct filch__worker *w, uint32_t index) {
    while (w->marks_used != 0 && w->marks[w->marks_used - 1].slot > index) {
        int64_t entry = w->marks[w->marks_used - 1].entry;
        /* Near the end of the stack they run later. */
        while (!filch__worker_stack_is_low(w) && filch__worker_run_newer(w, entry))
            if (!filch__worker_is_here(w)) return;
        w->marks_used--;
    }
}

/* Calls of others: */

static enum filch__steal steal_or_force(struct filch__worker *w, struct filch__worker *victim,
                                        filch_slot **slot) {
    struct filch__lane *l = &victim->lane;
    enum filch__steal outcome = filch__lane_steal(l, slot);
    if (outcome != STEAL_EMPTY) return outcome;
    filch__lane_ask(l);
    if (!filch__lane_has_any(l)) {
        w->asked = 0;
        return STEAL_EMPTY;
    }
    uint32_t whom = (uint32_t)victim->self.index + 1;
    int64_t now = filch__now();
    if (w->asked != whom) {
        w->asked = whom;
        w->asked_at = now;
    }
    if (now - w->asked_at >= ALERT_AFTER) filch__lane_alert(l);
    if (now - w->asked_at < FORCE_AFTER || !filch__barrier_is_there()) return STEAL_EMPTY;
    w->asked = 0;
    return filch__lane_force(l, slot);
}

filch__entry filch__worker_steal_frame(struct filch__worker *w, struct filch__worker *victim) {
    filch_slot *slot;
    if (victim == NULL || victim == w || victim->lane.slots == NULL) return ENTRY_NONE;
    count_own(&w->attempts, 1);
    if (steal_or_force(w, victim, &slot) != STEAL_OK) {
        count_own(&w->failed, 1);
        return ENTRY_NONE;
    }
    count_own(&w->stolen, 1);
    w->asked = 0;
    w->victim = (uint32_t)victim->self.index;
    w->frame_owner = victim;
    return filch__entry_of_frame(slot);
}

/* What the call was given, and kept, by filch_fail and filch_result_alloc, goes into the slot. */
static uint32_t leave_behind(filch_slot *slot, const struct filch__run *run) {
    uint32_t flags = run->skipped ? SLOT_DONE | SLOT_SKIPPED : SLOT_DONE;
    if (likely(run->text == NULL && run->block == NULL)) return flags;
    struct left *left = filch__alloc(sizeof *left);
    if (left == NULL) {
        filch__free(run->text);
        filch__free(run->block);
        return flags;
    }
    *left = (struct left){run->text, run->block};
    slot->run = (filch_slot_fn *)(void *)left;
    return flags | SLOT_LEFT;
}

/* The owner of the slot goes on. It may use the slot again at once. */
static void say_over(filch_slot *slot, uint32_t how) {
    POINT("frame.over");
    uint32_t before = exchange_acq_rel(&slot->status, how); /* L12 -> L11; L12 <- L13 */
    if (unlikely((before & SLOT_WAITED) != 0)) filch__futex_wake(&slot->status, 1);
}

void filch__worker_run_frame(struct filch__worker *w, filch__entry entry) {
    filch_slot *slot = filch__entry_frame(entry);
    struct filch__worker *owner = w->frame_owner;
    uint32_t me = (uint32_t)w->self.index << SLOT_THIEF_SHIFT | SLOT_RUNNING;
    /* Its owner may have announced a sleep already. */
    fetch_or_acq_rel(&slot->status, me); /* L10 -> L11; L10 <- L13 */
    uintptr_t root = filch__lane_root(&owner->lane, filch__lane_index(&owner->lane, slot));
    struct filch__run run = {.future = (filch_future *)root,
                             .below = w->self.run,
                             .base = filch__deque_bottom(&w->local)};
    uint32_t outer_forks = filch__worker_begin_forks(w);
    store_release(&w->outer, NULL); /* C15 -> C16 */
    w->nesting++;
    w->self.run = &run;
    if (unlikely(is_asked_to_end(run.future)))
        run.skipped = true;
    else
        slot->run(slot);
    if (unlikely(!filch__worker_is_here(w))) return;
    w->self.run = run.below;
    filch__worker_end_forks(w, outer_forks);
    filch__worker_end_blocking(w);
    w->nesting--;
    say_over(slot, leave_behind(slot, &run));
}

/* Joins: */

/* Runs a call of the thief that runs ours. False: there was none. */
static bool leapfrog(struct filch__worker *w, filch_slot *slot, struct filch__worker *thief) {
    uint32_t thiefs = (uint32_t)thief->self.index << SLOT_THIEF_SHIFT | SLOT_RUNNING;
    if (filch__worker_stack_is_low(w)) return false;
    filch__entry entry = filch__worker_steal_frame(w, thief);
    if (entry == ENTRY_NONE) return false;
    if ((load_acquire(&slot->status) & ~(uint32_t)SLOT_WAITED) != thiefs) { /* L11 <- L10, L12 */
        say_over(filch__entry_frame(entry), SLOT_RETURNED);
        return false;
    }
    int64_t bottom = filch__deque_bottom(&w->local);
    filch__worker_run_frame(w, entry);
    /* What it has submitted is no descendant of the task that waits here. */
    if (filch__worker_is_here(w) && filch__deque_bottom(&w->local) > bottom)
        w->help_floor = filch__deque_bottom(&w->local);
    return true;
}

/* Until the call is over: helps its thief, spins, parks. Returns the status then; 0: this is the child of a fork(). */
static uint32_t await_thief(struct filch__worker *w, filch_slot *slot) {
    struct filch__spin pauses = filch__spin_begin();
    for (;;) {
        uint32_t status = load_acquire(&slot->status); /* L11 <- L10, L12 */
        if ((status & SLOT_OVER) != 0) return status;
        if ((status & SLOT_RUNNING) != 0) {
            struct filch__worker *thief = filch__pool_slot(w->pool, status >> SLOT_THIEF_SHIFT);
            if (leapfrog(w, slot, thief)) {
                if (!filch__worker_is_here(w)) return 0;
                pauses = filch__spin_begin();
                continue;
            }
        }
        if (w->pool->spin > 0 && filch__spin_pause(&pauses, w->pool->spin, INT64_MAX)) continue;
        POINT("frame.park");
        filch__worker_park_for_frame(w, slot);
        pauses = filch__spin_begin();
    }
}

/* What the call has left becomes the joining task's. */
static void take_over(struct filch__worker *w, filch_slot *slot, uint32_t status) {
    struct filch__run *run = w->self.run;
    slot->skipped = 0;
    if (likely((status & (SLOT_SKIPPED | SLOT_LEFT)) == 0)) return;
    if ((status & SLOT_SKIPPED) != 0) {
        slot->skipped = 1;
        if (run != NULL) run->skipped = true;
    }
    if ((status & SLOT_LEFT) == 0) return;
    struct left *left = (struct left *)(void *)slot->run;
    if (run != NULL && left->text != NULL) {
        filch__free(run->text);
        run->text = left->text;
        left->text = NULL;
    }
    if (run != NULL && left->block != NULL) {
        filch__free(run->block);
        run->block = left->block;
        left->block = NULL;
    }
    filch__free(left->text);
    filch__free(left->block);
    filch__free(left);
}

/* The call was stolen. JOIN_RUN: its thief has given it back. */
static enum filch__join join_stolen(struct filch__worker *w, filch_slot *slot, uint32_t index) {
    struct filch__lane *l = &w->lane;
    store_light(&l->hot.pos, slot + 1); /* L1 -> L2 */
    uint32_t status = await_thief(w, slot);
    if (unlikely(!filch__worker_is_here(w))) return JOIN_RUN;
    store_relaxed(&slot->status, 0); /* relaxed: own until it is published again */
    take_over(w, slot, status);
    store_light(&l->hot.pos, slot); /* L3 -> L2 */
    filch__lane_reset(l, index, is_alert(w));
    look_again(w);
    return (status & SLOT_RETURNED) != 0 ? JOIN_RUN : JOIN_DONE;
}

/* The call is the owner's again: it runs, unless its task was asked to end. */
static enum filch__join join_own(struct filch__worker *w, filch_slot *slot) {
    if (likely(!is_asked_to_end(root_here(w)))) return JOIN_RUN;
    w->self.run->skipped = true;
    slot->skipped = 1;
    return JOIN_DONE;
}

static enum filch__join join(struct filch__worker *w, filch_slot *slot) {
    struct filch__lane *l = &w->lane;
    uint32_t index = filch__lane_index(l, slot);
    if (index >= LANE_SLOTS) {
        w->overflow--;
        return JOIN_AT_ONCE;
    }
    if (unlikely(w->marks_used != 0)) {
        store_light(&l->hot.pos, slot + 1); /* L1 -> L2 */
        run_newer_tasks(w, index);
        if (!filch__worker_is_here(w)) return JOIN_RUN;
        store_light(&l->hot.pos, slot); /* L3 -> L2 */
    }
    bool own = filch__lane_reclaim(l, index, !filch__barrier_is_there(), is_alert(w));
    look_again(w);
    if (own && load_relaxed(&l->hot.limit) == NULL) answer(w); /* relaxed: a hint */
    if (likely(own)) return join_own(w, slot);
    enum filch__join how = join_stolen(w, slot, index);
    return how == JOIN_RUN && filch__worker_is_here(w) ? join_own(w, slot) : how;
}

cold enum filch__join filch__worker_join(struct filch__self *self, filch_slot *slot) {
    struct filch__worker *w = filch__worker_of(self);
    if (likely(self->blocking == 0)) return join(w, slot);
    uint32_t depth = filch__worker_leave_blocking(w);
    enum filch__join how = join(w, slot);
    if (filch__worker_is_here(w)) filch__worker_enter_blocking(w, depth);
    return how;
}

void filch__worker_abandon_frames(struct filch__worker *w) {
    filch_slot *slot;
    uint32_t before = load_relaxed(&w->pool->forks); /* relaxed: the CAS follows */
    while (
        !cas_relaxed(&w->pool->forks, &before, (uint32_t)POOL_FORKS_EXITING)) /* relaxed: a hint */
        continue;
    if (w->lane.slots == NULL) return;
    (void)filch__lane_publish(&w->lane, true, true);
    while (filch__lane_steal(&w->lane, &slot) != STEAL_EMPTY) continue;
}
