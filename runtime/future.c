/* future.c: how a future ends: outcome, cancel, who is told, callbacks; and how it is freed.
 *
 * Flow     who has run a task (task.c, the rooms) -> filch__future_finish (future.h) -> notify: sleepers, sets, callbacks.
 *          filch_future_cancel -> the same, by way of the room where its workers are other processes.
 * Not here: waiting for the end and reading the result (await.c), the transitions (future_state.h), what futures share
 *          with their executor (home.h), running a task (task.c). */
#include "future.h"

#include "base/point.h"
#include "error.h"
#include "executor_ops.h"
#include "hub.h"
#include "os/futex.h"
#include "os/memory.h"
#include "self.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Until the task has run there is a function in the place of the outcome. Whoever finishes may find itself the
 * last, and then the life is not that of a future that is done; but in a child of fork() nobody finishes what
 * ran in the parent, and what is there is not known. */
static bool has_outcome(filch_future *f) {
    uint64_t state = state_look(&f->state);
    if (state_is_done(state)) return true;
    return state_life(state) != LIFE_PENDING && !filch__future_is_lost(f);
}

cold void filch__future_free_slow(filch_future *f) {
    filch__free(filch__future_extra(f));
    if (has_outcome(f) && !filch__outcome_is_plain(f->outcome)) {
        struct filch__outcome *record = filch__outcome_record(f->outcome);
        if (record->release != NULL) record->release(record->held);
        filch__free(record->text);
        filch__free(record);
    }
    filch__hub_free(f->hub);
    if ((state_constant(&f->state) & FLAG_STANDALONE) != 0)
        filch__free(f);
    else
        filch__slab_free(f);
}

void filch__future_discard(filch_future *f) {
    filch__future_free(f);
}

cold void filch__future_set_outcome_of(filch_future *f, int code, char *text, int pid) {
    struct filch__outcome *record = text == NULL ? NULL : filch__alloc(sizeof *record);
    if (record == NULL) {
        filch__free(text);
        f->outcome = filch__outcome_of(code, pid);
        return;
    }
    *record = (struct filch__outcome){.code = code, .text = text, .pid = pid};
    f->outcome = (uint64_t)(uintptr_t)record;
}

void filch__future_set_outcome(filch_future *f, int code, char *text) {
    filch__future_set_outcome_of(f, code, text, 0);
}

/* Futures of other processes -------------------------------------------------------------------- */

/* Cancels one that its state alone does not set free. True: it is CANCELLING by this call. */
static cold bool revoke_task(filch_future *f, struct filch__home *home) {
    if (home->remote == NULL) return false;
    void *pool = filch__home_enter(home);
    bool revoked = pool != NULL && home->remote->revoke(pool, f);
    filch__home_leave(home);
    return revoked;
}

cold uint64_t filch__future_look_posted(filch_future *f) {
    struct filch__home *home = filch__future_home(f);
    void *pool = filch__home_enter(home);
    if (pool != NULL) home->remote->look(pool, f);
    filch__home_leave(home);
    return state_look(&f->state);
}

/* Who sleeps for it may do so in another way than on its state. */
static cold void wake_attendant(struct filch__home *home) {
    void *pool = filch__home_enter(home);
    if (pool != NULL) home->remote->wake(pool);
    filch__home_leave(home);
}

/* Ending ---------------------------------------------------------------------------------------- */

cold bool filch__future_tell(filch_future *f) {
    struct filch__home *home = filch__future_home(f);
    uint64_t s = state_look(&f->state);
    if (s & FLAG_SLEEPERS) {
        filch__futex_wake(filch__future_sleep_half(f), INT_MAX);
        if (home->remote != NULL) wake_attendant(home);
    }
    if (s & FLAG_HUB) filch__hub_notify(f);
    return (s & FLAG_HUB) && filch__hub_has_callbacks(f);
}

cold void filch__future_notify(filch_future *f, bool drop, void (*before_callbacks)(void *context),
                               void *context) {
    if (filch__future_tell(f)) {
        struct filch__self *self = filch__self();
        struct filch__run *below = self == NULL ? NULL : self->run;
        if (before_callbacks != NULL) before_callbacks(context);
        if (self != NULL) self->run = NULL; /* a callback is no part of a task */
        filch__hub_run_callbacks(f);
        if (self != NULL) self->run = below;
    }
    if (drop) filch__future_drop(f);
}

/* Destroys the argument of a task that will not start. False: the destructor has forked, and this is the
 * child. */
static bool destroy_unstarted(filch_future *f) {
    uint32_t generation = filch__fork_now();
    struct filch__ending here;
    filch__ending_begin(&here, f);
    filch__future_destroy_arg(f);
    filch__ending_end(&here);
    return likely(filch__fork_now() == generation);
}

void filch__future_await_ending(filch_future *f) {
    uint64_t state = state_look(&f->state);
    bool ending = state_life(state) == LIFE_CANCELLING ||
                  (state_life(state) == LIFE_ENDING && (state & FLAG_STANDALONE) == 0);
    if (unlikely(ending) && !filch__is_ending(f) && !filch__future_is_lost(f))
        filch__future_sleep(f, FILCH_FOREVER);
}

/* CANCELLING to CANCELLED; callbacks run when the cancel is no longer counted. Gives a reference back. */
static void finish_cancel(filch_future *f, struct filch__home *home) {
    POINT("future.finish");
    enum filch__after_finish after = state_finish(&f->state, LIFE_CANCELLED, false);
    filch__home_end_cancel(home);
    if (after == AFTER_NOTIFY)
        filch__future_notify(f, true, NULL, NULL);
    else
        filch__future_drop(f);
}

bool filch__future_try_cancel(filch_future *f) {
    struct filch__home *home = filch__future_home(f);
    if (state_life(state_look(&f->state)) != LIFE_PENDING) return false;
    filch__home_begin_cancel(home);
    if (!state_cancel(&f->state) && !revoke_task(f, home)) {
        filch__home_end_cancel(home);
        return false;
    }
    POINT("future.cancelling");
    /* A callback may release the caller's reference while others are still to run. */
    state_retain(&f->state);
    fetch_add_relaxed(&home->cancelled, 1); /* relaxed: a statistic */
    if (unlikely(!destroy_unstarted(f))) return false;
    filch__future_set_outcome(f, FILCH_ECANCELED, NULL);
    finish_cancel(f, home);
    return true;
}

char *filch__text_format(const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    char *text = length < 0 ? NULL : filch__alloc((size_t)length + 1);
    if (text != NULL) vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

static char *copy_text(const char *text) {
    char *copy = filch__alloc(strlen(text) + 1);
    if (copy != NULL) strcpy(copy, text);
    return copy;
}

bool filch__future_try_fail(filch_future *f, const char *cause) {
    if (!state_fail(&f->state)) return false;
    if (unlikely(!destroy_unstarted(f))) return false;
    filch__future_set_outcome(f, FILCH_EBROKEN, copy_text(cause));
    filch__future_finish(f, LIFE_FINISHED, false, NULL, NULL);
    return true;
}

bool filch_future_done(filch_future *f) {
    if (f == NULL) return false;
    if (state_is_done(state_look(&f->state))) return true;
    filch__executor_poll();
    return state_is_done(state_look(&f->state));
}

bool filch_future_running(filch_future *f) {
    return f != NULL && filch__shown_life(filch__future_look(f)) == LIFE_RUNNING;
}

bool filch_future_cancelled(filch_future *f) {
    return f != NULL && state_life(state_look(&f->state)) == LIFE_CANCELLED;
}

bool filch_future_cancel(filch_future *f) {
    if (f == NULL) return false;
    if (unlikely(filch__future_is_lost(f))) return filch_future_cancelled(f);
    struct filch__self *self = filch__self();
    /* A callback may release the last reference. */
    bool queued = (state_constant(&f->state) & FLAG_STANDALONE) == 0;
    if (filch__future_try_cancel(f)) {
        if (self != NULL && queued) self->executor->ops->left_stale(self);
        return true;
    }
    filch__future_await_ending(f);
    enum filch__life life = state_life(state_look(&f->state));
    return life == LIFE_CANCELLED || life == LIFE_CANCELLING;
}

static cold void forward_request(filch_future *f, struct filch__home *home) {
    void *pool = filch__home_enter(home);
    if (pool != NULL) home->remote->request(pool, f);
    filch__home_leave(home);
}

/* The task that runs looks at its next fork or join. */
static bool request_and_alert(filch_future *f) {
    struct filch__home *home = filch__future_home(f);
    filch__home_begin_alert(home);
    bool requested = state_request(&f->state);
    filch__home_end_alert(home, requested);
    if (requested && home->remote != NULL) forward_request(f, home);
    return requested;
}

bool filch_future_request_cancel(filch_future *f) {
    if (f == NULL) return false;
    return filch_future_cancel(f) || request_and_alert(f);
}

int filch_future_add_done_callback(filch_future *f, filch_done_callback *fn, void *context) {
    if (f == NULL || fn == NULL)
        return filch__error(FILCH_EINVAL, "filch_future_add_done_callback: %s is NULL",
                            f == NULL ? "the future" : "the function");
    if (state_is_done(state_look(&f->state))) {
        fn(f, context);
        return 0;
    }
    if (unlikely(filch__future_is_lost(f))) return filch__future_refuse_lost();
    struct filch__callback *node = filch__alloc(sizeof *node);
    struct filch__hub *hub = node == NULL ? NULL : filch__hub_get(f);
    if (hub == NULL) {
        filch__free(node);
        return filch__error_constant(FILCH_ENOMEM, "filch_future_add_done_callback: no memory");
    }
    node->fn = fn;
    node->context = context;
    /* As soon as the node is there it may run, and release the caller's reference. */
    state_retain(&f->state);
    filch__hub_add_callback(hub, node);
    POINT("future.callback.pushed");
    /* If the end came first, whoever finished may have looked at the flag before it was set. */
    if (state_is_done(state_add_flag(&f->state, FLAG_HUB))) filch__hub_run_callbacks(f);
    filch__future_drop(f);
    return 0;
}

filch_future *filch_future_retain(filch_future *f) {
    if (f != NULL) state_retain(&f->state);
    return f;
}

void filch_future_release(filch_future *f) {
    if (f != NULL) filch__future_drop(f);
}
