/* await.c: waiting for the end of one future, and reading how it ended.
 *
 * Flow     filch_future_result and its like -> done: at once; a worker -> ops->wait; others -> doze (doze.h), spin, sleep on
 *          the state word; where workers are other processes -> the room's attend.
 * State    none of its own. Who sleeps has set SLEEPERS before, so that whoever ends the future wakes it (future_state.h, F4).
 * Not here: who ends the future and tells (future.c), a worker's wait (in its room), waiting for several (set.c,
 *          completions.c), looking without waiting (inspect.c). */
#include "future.h"

#include "base/point.h"
#include "deferred.h"
#include "doze.h"
#include "error.h"
#include "executor_ops.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/spin.h"
#include "self.h"
#include <string.h>
#include <unistd.h>

/* Waiting ------------------------------------------------------------------------------------------- */

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
        if (!filch__futex_wait(filch__future_sleep_half(f), (uint32_t)s, deadline))
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

/* A thread that is no worker waits. True: done; false: the deadline. */
static bool attend(filch_future *f, struct filch__home *home, int64_t deadline) {
    void *pool = filch__home_enter(home);
    bool done = pool != NULL && home->remote->attend(pool, f, deadline);
    filch__home_leave(home);
    return done || (pool == NULL && filch__future_sleep(f, deadline));
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

/* Reading ------------------------------------------------------------------------------------------ */

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
