/* completions.c: filch_as_completed: futures in the order in which they are done.
 *
 * Flow     at the call each distinct future gets the slot of its first place in the array. Those that are done
 *          go to `ready`; the others are registered, and whoever finishes one pushes its slot (gather.h). next
 *          gives from `ready`; when that is empty it takes over what was pushed, turned round.
 * State    all of it is the caller's, one thread at a time, but what gather.h says.
 * Keeps    1. A slot's `cell` is not NULL as long as its future is neither ready, nor given, nor found late.
 *          2. The future of a slot whose cell is NULL is not touched but to give it.
 * Late     at the deadline a future may be done while whoever finished it has not pushed its slot yet. It counts
 *          as done, so it is looked for. If it can be deregistered, it is ready. If not, its finisher has
 *          the slot in its hands: it is given all the same, and is left out when it is taken over. */
#include "base/point.h"
#include "error.h"
#include "executor_ops.h"
#include "os/clock.h"
#include "os/memory.h"
#include "set.h"

/* The loop over the array asks for memory so many places ahead: registering waits for each line that it changes,
 * so that otherwise the misses add up. Of 10^6 pending futures each takes 175 ns without, 33 to 61 with it
 * (AMD EPYC, Zen 4, 2026-11). */
enum { AHEAD = 8 };

struct filch_completions {
    struct filch__gathering *set;
    struct filch__link *ready, *ready_last;
    struct filch__slot *late; /* found late, in its finisher's hands; or NULL */
    size_t distinct, given, index;
    size_t cursor; /* slots below were offered to a worker that waits */
    size_t below;  /* of them, how many stood lower on its stack */
    int64_t deadline, spin;
};

static struct filch__slot *slot_of(struct filch__link *link) {
    return container_of(link, struct filch__slot, link);
}

static void append_ready(filch_completions *c, struct filch__slot *slot) {
    filch__link_set_next(&slot->link, NULL);
    if (c->ready == NULL)
        c->ready = &slot->link;
    else
        filch__link_set_next(c->ready_last, &slot->link);
    c->ready_last = &slot->link;
}

/* The call ---------------------------------------------------------------------------------------- */

/* The futures that were met, by address: open addressing, at most half full. */
struct seen {
    filch_future **table;
    size_t mask;
    unsigned shift;
};

static bool seen_init(struct seen *seen, size_t n) {
    unsigned bits = 2;
    while (((size_t)1 << bits) < 2 * n) bits++;
    seen->mask = ((size_t)1 << bits) - 1;
    seen->shift = 64 - bits;
    seen->table = filch__alloc_zeroed(sizeof(filch_future *) << bits);
    return seen->table != NULL;
}

/* Where to look first. Fibonacci hashing (Knuth, TAOCP 3, 6.4): the high bits of the product. */
static size_t seen_place(const struct seen *seen, filch_future *f) {
    return (size_t)((uint64_t)(uintptr_t)f * UINT64_C(0x9E3779B97F4A7C15) >> seen->shift);
}

/* True: for the first time. */
static bool seen_add(struct seen *seen, filch_future *f) {
    size_t i = seen_place(seen, f);
    while (seen->table[i] != NULL && seen->table[i] != f) i = (i + 1) & seen->mask;
    bool first = seen->table[i] == NULL;
    seen->table[i] = f;
    return first;
}

static bool add(filch_completions *c, size_t i, filch_future *f) {
    struct filch__slot *slot = &c->set->slots[i];
    slot->future = f;
    enum filch__registered how = REGISTER_TOO_LATE;
    if (!state_is_done(state_look(&f->state))) how = filch__gathering_add(c->set, i, f);
    if (how == REGISTER_NO_MEMORY) return false;
    if (how == REGISTER_TOO_LATE) append_ready(c, slot);
    c->distinct++;
    return true;
}

static bool add_all(filch_completions *c, filch_future *const *futures, size_t n) {
    struct seen seen;
    bool good = true;
    if (!seen_init(&seen, n)) return false;
    for (size_t i = 0; i < n && good; i++) {
        filch_future *ahead = futures[i + AHEAD < n ? i + AHEAD : i];
        __builtin_prefetch(&seen.table[seen_place(&seen, ahead)], 1);
        __builtin_prefetch(ahead, 1);
        if (seen_add(&seen, futures[i])) good = add(c, i, futures[i]);
    }
    filch__free(seen.table);
    return good;
}

static filch_completions *create(filch_future *const *futures, size_t n) {
    filch_completions *c = filch__alloc_zeroed(sizeof *c);
    if (c == NULL) return NULL;
    c->set = filch__gathering_create(n, GATHER_EACH);
    c->index = SIZE_MAX;
    if (c->set != NULL && add_all(c, futures, n)) return c;
    filch_completions_destroy(c);
    return NULL;
}

static int begin(filch_future *const *futures, size_t n, int64_t deadline,
                 filch_completions **completions) {
    if (completions == NULL)
        return filch__error_constant(FILCH_EINVAL,
                                     "filch_as_completed: the place for the iterator is NULL");
    int rc = filch__set_check(futures, n, "filch_as_completed");
    if (rc != 0) return rc;
    if (n > GATHER_LARGEST)
        return filch__error(FILCH_ETOOBIG, "filch_as_completed: %zu futures are too many", n);
    if (filch__set_is_lost(futures, n)) return filch__future_refuse_lost();
    filch_completions *c = create(futures, n);
    if (c == NULL)
        return filch__error(FILCH_ENOMEM, "filch_as_completed: no memory for %zu futures", n);
    c->deadline = deadline;
    if (n != 0) c->spin = filch__set_spin(futures[0]);
    *completions = c;
    return 0;
}

int filch_as_completed(filch_future *const *futures, size_t n, filch_nanoseconds timeout,
                       filch_completions **completions) {
    return begin(futures, n, filch__deadline_or_poll(timeout), completions);
}

int filch_as_completed_until(filch_future *const *futures, size_t n, filch_nanoseconds deadline,
                             filch_completions **completions) {
    return begin(futures, n, deadline, completions);
}

int filch_completions_destroy(filch_completions *c) {
    if (c == NULL) return 0;
    if (c->set != NULL) filch__gathering_leave(c->set);
    filch__free(c);
    return 0;
}

/* The next ---------------------------------------------------------------------------------------- */

/* What was pushed becomes ready, in the order of completion. */
static void take_over(filch_completions *c) {
    if (filch__stack_is_empty(&c->set->done)) return;
    struct filch__link *link = filch__chain_reverse(filch__stack_take_all(&c->set->done));
    while (link != NULL) {
        struct filch__link *next = filch__link_next(link);
        struct filch__slot *slot = slot_of(link);
        bool given = slot->cell == NULL; /* it was found late */
        slot->cell = NULL;
        if (!given) append_ready(c, slot);
        link = next;
    }
}

/* The time is over: looks for what is done, and not pushed yet. */
static void find_late(filch_completions *c) {
    for (size_t i = 0; i < c->set->n && c->late == NULL; i++) {
        struct filch__slot *slot = &c->set->slots[i];
        if (slot->cell == NULL || !state_is_done(state_look(&slot->future->state))) continue;
        if (filch__gathering_remove(c->set, i))
            append_ready(c, slot);
        else
            c->late = slot;
    }
}

/* A slot to give, or NULL. */
static struct filch__slot *take_slot(filch_completions *c) {
    if (c->ready == NULL) take_over(c);
    struct filch__slot *slot = c->late;
    if (c->ready == NULL) {
        c->late = NULL;
        return slot;
    }
    slot = slot_of(c->ready);
    c->ready = filch__link_next(c->ready);
    return slot;
}

static int give(filch_completions *c, struct filch__slot *slot, filch_future **future) {
    c->index = (size_t)(slot - c->set->slots);
    c->given++;
    *future = slot->future;
    return 0;
}

/* On a worker: runs one that it may. True: one is done. */
static bool run_one(filch_completions *c, struct filch__self *self) {
    for (; c->cursor < c->set->n; c->cursor++) {
        struct filch__slot *slot = &c->set->slots[c->cursor];
        if (slot->cell == NULL) continue;
        enum filch__help help = self->executor->ops->help(self, slot->future, true);
        c->below += help == HELP_BELOW;
        if (help == HELP_NO_STACK) return false;
        if (help == HELP_DONE) {
            c->cursor++;
            return true;
        }
    }
    return false;
}

/* What is left; nothing where that is of no importance, so that not every wait looks at all. */
static struct filch__survey survey(filch_completions *c) {
    struct filch__survey s = {0, 0, 0, NULL};
    size_t left = c->distinct - c->given;
    if (left != 1 && left > c->below && c->cursor == c->set->n) return s;
    for (size_t i = 0; i < c->set->n; i++)
        if (c->set->slots[i].cell != NULL) filch__survey_add(&s, c->set->slots[i].future);
    return s;
}

static int wait_for_more(filch_completions *c) {
    struct filch__self *self = filch__self();
    if (self != NULL && run_one(c, self)) return 0;
    struct filch__survey s = {0, 0, 0, NULL};
    if (self != NULL) s = survey(c);
    POINT("completions.wait");
    return filch__set_sleep(c->set, &s, c->deadline, c->spin);
}

static bool is_over(const filch_completions *c) {
    return c->deadline <= 0 || (c->deadline != FILCH_FOREVER && filch__now() >= c->deadline);
}

int filch_completions_next(filch_completions *c, filch_future **future) {
    if (c == NULL || future == NULL)
        return filch__error(FILCH_EINVAL, "filch_completions_next: %s is NULL",
                            c == NULL ? "the iterator" : "the place for the future");
    size_t left = c->distinct - c->given;
    if (left == 0)
        return filch__error_constant(FILCH_EEND, "filch_completions_next: all futures were given");
    for (;;) {
        struct filch__slot *slot = take_slot(c);
        bool over = slot == NULL && is_over(c);
        if (over) {
            filch__executor_poll();
            find_late(c);
            slot = take_slot(c);
        }
        if (slot != NULL) return give(c, slot, future);
        if (over)
            return filch__error(FILCH_ETIMEDOUT, "%zu (of %zu) futures unfinished", left,
                                c->distinct);
        int rc = wait_for_more(c);
        if (rc != 0 && rc != FILCH_ETIMEDOUT) return rc;
    }
}

size_t filch_completions_index(const filch_completions *c) {
    return c == NULL ? SIZE_MAX : c->index;
}
