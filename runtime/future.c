/* future.c: finishing, waiting, callbacks, and the public calls on futures.
 *
 * Flow     filch_future_result -> (a worker) ops->wait; (others) doze (doze.h), spin, sleep on the state word.
 * Not here: the transitions (future_state.h), what futures share with their executor (home.h),
 *          running a task (task.c), a worker's wait (in its room). */
#include "future.h"

#include "base/point.h"
#include "deferred.h"
#include "doze.h"
#include "error.h"
#include "executor_ops.h"
#include "hub.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/memory.h"
#include "os/spin.h"
#include "self.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* A thread that is no worker waits. True: done; false: the deadline. */
static bool attend(filch_future *f, struct filch__home *home, int64_t deadline) {
    void *pool = filch__home_enter(home);
    bool done = pool != NULL && home->remote->attend(pool, f, deadline);
    filch__home_leave(home);
    return done || (pool == NULL && filch__future_sleep(f, deadline));
}

/* Ending ---------------------------------------------------------------------------------------- */

/* The half of the state word that sleepers sleep on. */
static uint32_t *sleep_half(filch_future *f) {
    uint32_t *halves = (uint32_t *)(void *)&f->state;
    return halves + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

cold bool filch__future_tell(filch_future *f) {
    struct filch__home *home = filch__future_home(f);
    uint64_t s = state_look(&f->state);
    if (s & FLAG_SLEEPERS) {
        filch__futex_wake(sleep_half(f), INT_MAX);
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

bool filch__future_spin(filch_future *f, int64_t spin, int64_t deadline) {
    struct filch__spin pauses = filch__spin_begin();
    do {
        if (state_is_done(state_look(&f->state))) return true;
    } while (spin > 0 && filch__spin_pause(&pauses, spin, deadline));
    return false;
}

bool filch__future_sleep(filch_future *f, int64_t deadline) {
    uint64_t s = state_look(&f->state);
    while (!state_is_done(s)) {
        if ((s & FLAG_SLEEPERS) == 0) {
            s = state_add_flag(&f->state, FLAG_SLEEPERS) | FLAG_SLEEPERS;
            continue;
        }
        POINT("future.sleep");
        if (!filch__futex_wait(sleep_half(f), (uint32_t)s, deadline))
            return state_is_done(state_look(&f->state));
        s = state_look(&f->state);
    }
    return true;
}

static cold int timed_out(void) {
    return filch__error_constant(
        FILCH_ETIMEDOUT, "the time was over before the future was done: wait longer, or cancel it");
}

cold int filch__future_refuse_lost(void) {
    return filch__error_constant(
        FILCH_EFORKED,
        "the future belongs to the process before fork(), and was not done there when "
        "this process began: wait for it in the parent");
}

static noinline int await_unfinished(filch_future *f, int64_t deadline, bool isolated) {
    if (unlikely(filch__future_is_lost(f))) return filch__future_refuse_lost();
    struct filch__self *self = filch__self();
    filch__deferred_run();
    if (deadline <= 0) {
        filch__executor_poll();
        return state_is_done(state_look(&f->state)) ? 0 : timed_out();
    }
    if (self != NULL) {
        const struct filch__executor_ops *ops = self->executor->ops;
        int rc = (isolated ? ops->wait_isolated : ops->wait)(self, f, deadline);
        if (unlikely(rc == FILCH_EFORKED)) return filch__future_refuse_lost();
        return rc == FILCH_ETIMEDOUT ? timed_out() : rc;
    }
    struct filch__home *home = filch__future_home(f);
    int64_t spin = load_relaxed(&home->spin); /* relaxed: a constant */
    if (home->remote != NULL) return attend(f, home, deadline) ? 0 : timed_out();
    if (filch__doze(f, deadline)) return 0;
    if (filch__future_spin(f, spin, deadline) || filch__future_sleep(f, deadline)) return 0;
    return timed_out();
}

static inline bool is_done_at_once(filch_future *f) {
    bool done = state_is_done(state_look(&f->state));
    if (likely(done)) filch__doze_count();
    return done;
}

int filch__future_await(filch_future *f, int64_t deadline) {
    if (likely(is_done_at_once(f))) return 0;
    return await_unfinished(f, deadline, false);
}

/* Waits for the end. 0, or why it was not waited for. */
static inline int await(filch_future *f, filch_nanoseconds timeout) {
    if (likely(is_done_at_once(f))) return 0;
    return await_unfinished(f, filch__deadline_or_poll(timeout), false);
}

static const char *text_of(filch_future *f) {
    const char *text = filch__future_own_text(f);
    return text != NULL ? text : filch_error_text(filch__future_code(f));
}

static cold int report_failure(filch_future *f) {
    struct filch__extra *extra = filch__future_extra(f);
    int code = filch__future_code(f);
    if (extra != NULL && extra->name != NULL)
        return filch__error(code, "task %s: %s", extra->name, text_of(f));
    return filch__error(code, "%s", text_of(f));
}

/* The result of a future that is done, unless it was not waited for (rc). */
static inline int give_result(filch_future *f, void *result, int rc) {
    if (unlikely(rc != 0)) return rc;
    if (unlikely(filch__future_code(f) != 0)) return report_failure(f);
    if (result != NULL) {
        size_t size;
        const void *value = filch__future_value(f, &size);
        if (size == sizeof(uint64_t))
            memcpy(result, value, sizeof(uint64_t));
        else if (size != 0)
            memcpy(result, value, size);
    }
    return 0;
}

static cold int no_future(const char *call) {
    return filch__error(FILCH_EINVAL, "%s: the future is NULL", call);
}

int filch_future_result(filch_future *f, void *result, filch_nanoseconds timeout) {
    if (f == NULL) return no_future("filch_future_result");
    return give_result(f, result, await(f, timeout));
}

int filch_future_result_until(filch_future *f, void *result, filch_nanoseconds deadline) {
    if (f == NULL) return no_future("filch_future_result_until");
    return give_result(f, result, filch__future_await(f, filch__until_or_poll(deadline)));
}

static int await_isolated(filch_future *f, int64_t deadline) {
    return is_done_at_once(f) ? 0 : await_unfinished(f, deadline, true);
}

int filch_future_result_isolated(filch_future *f, void *result, filch_nanoseconds timeout) {
    if (f == NULL) return no_future("filch_future_result_isolated");
    return give_result(f, result, await_isolated(f, filch__deadline_or_poll(timeout)));
}

int filch_future_result_isolated_until(filch_future *f, void *result, filch_nanoseconds deadline) {
    if (f == NULL) return no_future("filch_future_result_isolated_until");
    return give_result(f, result, await_isolated(f, filch__until_or_poll(deadline)));
}

static int view_until(filch_future *f, const void **data, size_t *size, int64_t deadline) {
    if (f == NULL || data == NULL || size == NULL)
        return filch__error(FILCH_EINVAL, "filch_future_result_view: %s is NULL",
                            f == NULL ? "the future" : "the place for the data or the size");
    int rc = filch__future_await(f, deadline);
    if (rc != 0) return rc;
    if (filch__future_code(f) != 0) return report_failure(f);
    size_t bytes;
    *data = filch__future_view(f, &bytes);
    *size = bytes;
    return 0;
}

int filch_future_result_view(filch_future *f, const void **data, size_t *size) {
    return view_until(f, data, size, FILCH_FOREVER);
}

int filch_future_result_view_until(filch_future *f, const void **data, size_t *size,
                                   filch_nanoseconds deadline) {
    return view_until(f, data, size, filch__until_or_poll(deadline));
}

static int error_until(filch_future *f, filch_error *error, int64_t deadline) {
    if (f == NULL || error == NULL)
        return filch__error(FILCH_EINVAL, "filch_future_error: %s is NULL",
                            f == NULL ? "the future" : "the place for the error");
    int rc = filch__future_await(f, deadline);
    if (rc != 0) return rc;
    error->code = filch__future_code(f);
    error->text = text_of(f);
    int worker = state_runner(state_look(&f->state));
    error->origin.worker = worker;
    int pid = filch__future_pid(f);
    error->origin.pid = worker < 0 ? 0 : pid != 0 ? pid : (int)getpid();
    return 0;
}

int filch_future_error(filch_future *f, filch_error *error, filch_nanoseconds timeout) {
    return error_until(f, error, filch__deadline_or_poll(timeout));
}

int filch_future_error_until(filch_future *f, filch_error *error, filch_nanoseconds deadline) {
    return error_until(f, error, filch__until_or_poll(deadline));
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
    if (filch__future_try_cancel(f)) {
        bool queued = (state_constant(&f->state) & FLAG_STANDALONE) == 0;
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
