/* set.c: filch_wait.
 *
 * Flow     look; wait (for all: one after the other; for the first: on a gathering of those that are not
 *          done); sort.
 *          For all: the last one first. Tasks start mostly in the order of the array, so that after it the
 *          others are mostly done; and on a worker the last one is its newest entry.
 * Not here: filch_as_completed (completions.c), how a gathering is told (gather.h). */
#include "base/point.h"
#include "deferred.h"
#include "error.h"
#include "executor_ops.h"
#include "gather.h"
#include "os/clock.h"
#include "os/memory.h"
#include "set.h"
#include <string.h>

static bool is_done(filch_future *f) {
    return state_is_done(state_look(&f->state));
}

/* Has it finished with an error? */
static bool has_failed(filch_future *f) {
    return state_life(state_look(&f->state)) == LIFE_FINISHED && filch__future_code(f) != 0;
}

int filch__set_check(filch_future *const *futures, size_t n, const char *call) {
    if (n > PTRDIFF_MAX / sizeof *futures)
        return filch__error(FILCH_ETOOBIG, "%s: %zu futures are too many", call, n);
    if (futures == NULL && n != 0)
        return filch__error(FILCH_EINVAL, "%s: the futures are NULL, their number is %zu", call, n);
    for (size_t i = 0; i < n; i++)
        if (futures[i] == NULL)
            return filch__error(FILCH_EINVAL, "%s: future %zu is NULL", call, i);
    return 0;
}

/* Waiting --------------------------------------------------------------------------------------- */

static int waits_for_itself(void) {
    return filch__error_constant(
        FILCH_EDEADLK, "the awaited tasks stand lower on this worker's own stack: none can end");
}

void filch__survey_add(struct filch__survey *s, filch_future *f) {
    struct filch__self *self = filch__self();
    enum filch__help help = self == NULL ? HELP_NONE : self->executor->ops->help(self, f, false);
    s->only = s->unfinished++ == 0 ? f : NULL;
    s->below += help == HELP_BELOW;
    s->no_stack += help == HELP_NO_STACK;
}

int filch__set_sleep(struct filch__gathering *g, const struct filch__survey *s, int64_t deadline,
                     int64_t spin) {
    struct filch__self *self = filch__self();
    filch__deferred_run();
    if (filch__gathering_ready(g)) return 0;
    if (unlikely(g->generation != filch__fork_now())) return filch__future_refuse_lost();
    if (s->unfinished != 0 && s->below == s->unfinished) return waits_for_itself();
    if (self != NULL) {
        bool stuck = s->unfinished != 0 && s->below + s->no_stack == s->unfinished;
        int rc = self->executor->ops->wait_set(self, g, s->only, stuck, deadline);
        return unlikely(rc == FILCH_EFORKED) ? filch__future_refuse_lost() : rc;
    }
    if (filch__gathering_spin(g, spin, deadline)) return 0;
    return filch__gathering_sleep(g, deadline) ? 0 : FILCH_ETIMEDOUT;
}

int64_t filch__set_spin(filch_future *f) {
    return load_relaxed(&filch__future_home(f)->spin); /* relaxed: a constant */
}

static bool is_past(int64_t deadline) {
    return deadline != FILCH_FOREVER && filch__now() >= deadline;
}

bool filch__set_is_lost(filch_future *const *futures, size_t n) {
    if (likely(filch__fork_now() == 0)) return false;
    for (size_t i = 0; i < n; i++)
        if (!is_done(futures[i]) && filch__future_is_lost(futures[i])) return true;
    return false;
}

static int wait_for_all(filch_future **futures, size_t n, int64_t deadline) {
    struct filch__self *self = filch__self();
    if (filch__set_is_lost(futures, n)) return filch__future_refuse_lost();
    for (size_t i = 0; self != NULL && i < n; i++)
        if (self->executor->ops->help(self, futures[i], false) == HELP_BELOW)
            return waits_for_itself();
    for (size_t i = n; i-- > 0;) {
        int rc = filch__future_await(futures[i], deadline);
        if (rc != 0) return rc;
    }
    return 0;
}

/* Does this one, which is done, satisfy the wait? */
static bool satisfies(filch_future *f, filch_when when) {
    return when == FILCH_FIRST_COMPLETED || (when == FILCH_FIRST_ERROR && has_failed(f));
}

/* On a worker: runs those that it may, one after the other. True: that was enough, or the time is over. */
static bool run_some(filch_future **futures, size_t n, int64_t deadline, filch_when when) {
    for (size_t i = 0; i < n; i++) {
        struct filch__self *self = filch__self();
        if (self == NULL || is_done(futures[i])) continue;
        if (self->executor->ops->help(self, futures[i], true) != HELP_DONE) continue;
        if (satisfies(futures[i], when) || is_past(deadline)) return true;
    }
    return false;
}

/* Registers all that are not done. 1: one that is done satisfies; 0; or no memory. */
static int gather(struct filch__gathering *g, filch_future **futures, size_t n, filch_when when,
                  struct filch__survey *survey) {
    size_t slots = 0;
    for (size_t i = 0; i < n; i++) {
        enum filch__registered how = REGISTER_TOO_LATE;
        if (!is_done(futures[i]) && filch__future_is_lost(futures[i]))
            return filch__future_refuse_lost();
        /* More than the first look counted are not unfinished, since none comes back. */
        if (!is_done(futures[i])) how = filch__gathering_add(g, slots++, futures[i]);
        if (how == REGISTER_NO_MEMORY) return FILCH_ENOMEM;
        if (how == REGISTERED)
            filch__survey_add(survey, futures[i]);
        else if (satisfies(futures[i], when))
            return 1;
    }
    return survey->unfinished == 0;
}

static int no_memory(void) {
    return filch__error_constant(FILCH_ENOMEM, "filch_wait: there is no memory to wait with");
}

static int wait_for_first(filch_future **futures, size_t n, size_t unfinished, int64_t deadline,
                          filch_when when) {
    struct filch__survey survey = {0, 0, 0, NULL};
    if (run_some(futures, n, deadline, when)) return 0;
    if (unfinished > GATHER_LARGEST)
        return filch__error(FILCH_ETOOBIG, "filch_wait: %zu futures are too many for this", n);
    struct filch__gathering *g = filch__gathering_create(
        unfinished, when == FILCH_FIRST_ERROR ? GATHER_ERROR : GATHER_FIRST);
    if (g == NULL) return no_memory();
    int rc = gather(g, futures, n, when, &survey);
    if (rc == 0) rc = filch__set_sleep(g, &survey, deadline, filch__set_spin(g->slots[0].future));
    filch__gathering_leave(g);
    return rc == FILCH_ENOMEM ? no_memory() : rc == 1 ? 0 : rc;
}

/* Looking and sorting ---------------------------------------------------------------------------- */

/* How many are not done; *satisfied: the wait need not begin. */
static size_t look(filch_future **futures, size_t n, filch_when when, bool *satisfied) {
    size_t unfinished = 0;
    bool enough = false;
    for (size_t i = 0; i < n; i++) {
        bool done = is_done(futures[i]);
        unfinished += !done;
        enough |= done && satisfies(futures[i], when);
    }
    *satisfied = enough || unfinished == 0;
    return unfinished;
}

/* Those that are done to the front; `room` has as many places as could be unfinished. */
static size_t sort(filch_future **futures, size_t n, filch_future **room) {
    size_t done = 0, others = 0;
    for (size_t i = 0; i < n; i++) {
        if (is_done(futures[i]))
            futures[done++] = futures[i];
        else
            room[others++] = futures[i];
    }
    if (others != 0) memcpy(futures + done, room, others * sizeof *room);
    return done;
}

/* `deadline`: 0 polls. */
static ptrdiff_t wait_for(filch_future **futures, size_t n, int64_t deadline, filch_when when) {
    bool satisfied;
    filch__executor_poll();
    size_t unfinished = look(futures, n, when, &satisfied);
    if (unfinished == 0) return (ptrdiff_t)n;
    filch_future **room = filch__alloc(unfinished * sizeof *room);
    if (room == NULL) return no_memory();
    int rc = 0;
    if (!satisfied && deadline > 0)
        rc = when == FILCH_ALL_COMPLETED ? wait_for_all(futures, n, deadline)
                                         : wait_for_first(futures, n, unfinished, deadline, when);
    POINT("set.sort");
    ptrdiff_t done = rc == 0 || rc == FILCH_ETIMEDOUT ? (ptrdiff_t)sort(futures, n, room) : rc;
    filch__free(room);
    return done;
}

static int check(filch_future **futures, size_t n, filch_when when) {
    if (when != FILCH_FIRST_COMPLETED && when != FILCH_FIRST_ERROR && when != FILCH_ALL_COMPLETED)
        return filch__error(FILCH_EINVAL, "filch_wait: %d is none of the three values of `when`",
                            (int)when);
    return filch__set_check(futures, n, "filch_wait");
}

ptrdiff_t filch_wait(filch_future **futures, size_t n, filch_nanoseconds timeout, filch_when when) {
    int rc = check(futures, n, when);
    return rc != 0 ? rc : wait_for(futures, n, filch__deadline_or_poll(timeout), when);
}

ptrdiff_t filch_wait_until(filch_future **futures, size_t n, filch_nanoseconds deadline,
                           filch_when when) {
    int rc = check(futures, n, when);
    return rc != 0 ? rc : wait_for(futures, n, filch__until_or_poll(deadline), when);
}
