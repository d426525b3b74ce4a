/* state.c: the transitions of a future's word (runtime/future_state.h) by themselves, two threads at a time: what one has
 * done before a transition is known to whoever meets it. Whole lives are in future.c.
 *
 * SPDX-License-Identifier: MIT */
#include "explorer.h"

#include "future_state.h"
#include "os/memory.h"

static uint64_t word;
static int told, argument; /* plain */
static unsigned from;      /* the life it begins in */

/* One of two references, and so no short cut of state_start. */
static void begin(uint64_t life) {
    state_init(&word, 2, 0);
    store_relaxed(&word, load_relaxed(&word) | life);
    told = argument = 0;
}

static void run_both(void (*first)(void *), void (*second)(void *)) {
    explore_spawn(first, NULL);
    explore_spawn(second, NULL);
    explore_join();
}

/* Who is refused --------------------------------------------------------------------------------- */

enum { FROM_PENDING, FROM_POSTED, FROM_RUNNING, FROM_COUNT };
#define POSTED_AT(worker) ((uint64_t)((worker) + 1) << RUNNER_SHIFT)

/* One of the transitions that release. */
static void change(void *unused) {
    (void)unused;
    told = 1;
    switch (from) {
    case FROM_PENDING:
        if (explore_choose(2) == 0)
            (void)state_post(&word, 3);
        else
            (void)state_start_fencing(&word, 3);
        return;
    case FROM_POSTED:
        switch (explore_choose(3)) {
        case 0: (void)state_cancel_posted(&word); return;
        case 1: (void)state_start_posted(&word); return;
        default: (void)state_unpost(&word); return;
        }
    default: (void)state_finish(&word, LIFE_FINISHED, false);
    }
}

static bool try_another(void) {
    switch (from) {
    case FROM_PENDING:
        switch (explore_choose(4)) {
        case 0: return state_cancel(&word);
        case 1: return state_start(&word, 1);
        case 2: return state_start_fencing(&word, 1);
        default: return state_post(&word, 1);
        }
    case FROM_POSTED:
        switch (explore_choose(3)) {
        case 0: return state_cancel_posted(&word);
        case 1: return state_start_posted(&word);
        default: return state_unpost(&word);
        }
    default: return explore_choose(2) == 0 ? state_end(&word) : state_request(&word);
    }
}

/* Whoever is refused knows what was done before the transition that came first. */
static void be_refused(void *unused) {
    (void)unused;
    if (!try_another()) explore_check(told == 1, "what the other one did before");
}

static void refused(void) {
    from = explore_choose(FROM_COUNT);
    begin(from == FROM_PENDING ? LIFE_PENDING : from == FROM_POSTED ? POSTED_AT(0) : LIFE_RUNNING);
    run_both(change, be_refused);
}

/* Posts ------------------------------------------------------------------------------------------ */

/* A desk posts a future, reads its argument to send it away, cannot, and takes the future back. Whoever starts, cancels or
 * fails it then may change the argument. */
static void post_in_vain(void *unused) {
    (void)unused;
    if (!state_post(&word, 3)) return;
    explore_check(argument == 0, "the argument of a future that is posted");
    explore_check(state_unpost(&word), "nobody else takes it back");
}
static void take_it(void *unused) {
    (void)unused;
    bool taken = false;
    switch (explore_choose(4)) {
    case 0: taken = state_start(&word, 1); break;
    case 1: taken = state_start_fencing(&word, 1); break;
    case 2: taken = state_cancel(&word); break;
    default: taken = state_fail(&word); break;
    }
    if (taken) argument = 1;
}
static void unpost(void) {
    begin(LIFE_PENDING);
    run_both(post_in_vain, take_it);
}

/* Where it is posted, or started once more, is known to whoever sees that, or takes it from there. */
static void post(void *unused) {
    (void)unused;
    told = 1;
    if (from == FROM_RUNNING)
        state_move(&word, 3);
    else
        (void)state_post(&word, 3);
}
static void find_posted(void *unused) {
    (void)unused;
    bool found = false;
    switch (explore_choose(3)) {
    case 0: found = state_runner(state_look(&word)) == 3; break;
    case 1: found = state_cancel_posted(&word); break;
    default: found = state_start_posted(&word); break;
    }
    if (found) explore_check(told == 1, "the place");
}
static void place(void) {
    from = explore_choose(2) == 0 ? FROM_PENDING : FROM_RUNNING;
    begin(from == FROM_RUNNING ? LIFE_RUNNING : LIFE_PENDING);
    run_both(post, find_posted);
}

/* The end ---------------------------------------------------------------------------------------- */

/* Who is in time is seen, with what was done before; who comes late sees the end. */
static void announce(void *unused) {
    (void)unused;
    told = 1;
    if (state_is_done(state_add_flag(&word, FLAG_HUB)))
        explore_check(argument == 1, "the result for one that is late");
}
static void finish(void *unused) {
    (void)unused;
    argument = 1;
    if (state_finish(&word, LIFE_FINISHED, false) == AFTER_NOTIFY)
        explore_check(told == 1, "what was announced");
}
static void flag(void) {
    begin(LIFE_RUNNING);
    run_both(finish, announce);
}

/* References: a block whose last holder frees it, and must know of what all others did to it. ---------- */

struct object {
    uint64_t state;
    int mine[2];
};
static struct object *object;

static void create(uint64_t references) {
    object = filch__alloc_zeroed(sizeof *object);
    state_init(&object->state, references, 0);
}

static void use_and_release(void *index) {
    object->mine[*(int *)index] = 1;
    if (state_release(&object->state)) filch__free(object);
}
/* The worker, for which the reference of its entry may be the only one that is left. */
static void start_and_finish(void *unused) {
    (void)unused;
    bool started = explore_choose(2) == 0 ? state_start(&object->state, 0)
                                          : state_start_fencing(&object->state, 0);
    explore_check(started, "nobody else starts it");
    object->mine[1] = 1;
    if (state_finish(&object->state, LIFE_FINISHED, true) == AFTER_LAST) filch__free(object);
}
static int indices[2] = {0, 1};
static void end(void) {
    explore_join();
    explore_check(explore_live_blocks() == 0, "it is not freed");
}
static void last(void) {
    create(2);
    explore_spawn(use_and_release, &indices[0]);
    explore_spawn(use_and_release, &indices[1]);
    end();
}
static void alone(void) {
    create(2);
    explore_spawn(use_and_release, &indices[0]);
    explore_spawn(start_and_finish, NULL);
    end();
}
/* A holder makes another reference of its own, and gives both back. */
static void copy_and_release(void *index) {
    state_retain(&object->state);
    if (state_release(&object->state)) explore_check(false, "another reference is left");
    use_and_release(index);
}
static void copied(void) {
    create(2);
    explore_spawn(copy_and_release, &indices[0]);
    explore_spawn(use_and_release, &indices[1]);
    end();
}

const struct explore_scenario state_scenarios[] = {
    {"state_refused", refused, 3, 2, NULL}, {"state_unpost", unpost, 3, 2, NULL},
    {"state_place", place, 3, 2, NULL},     {"state_flag", flag, 3, 2, NULL},
    {"state_last", last, 3, 2, NULL},       {"state_alone", alone, 3, 2, NULL},
    {"state_copied", copied, 3, 2, NULL},   {NULL, NULL, 0, 0, NULL}};
