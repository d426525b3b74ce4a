/* future.c: finishing, waiting, callbacks, and the public calls on futures.
 *
 * Flow     filch_future_result -> (a worker) ops->wait; (others) spin, then sleep on the state word.
 * Not here: the transitions (future_state.h), running a task (task.c), a worker's wait (in its room). */
#include "future.h"

#include "base/point.h"
#include "error.h"
#include "executor_ops.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/memory.h"
#include "os/thread.h"
#include "self.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct filch__home *filch__home_create(int64_t spin) {
    struct filch__home *home = filch__alloc_zeroed(sizeof *home);
    if (home == NULL) return NULL;
    home->references = 1;
    home->spin = spin;
    home->generation = filch__fork_now();
    return home;
}

void filch__home_retain(struct filch__home *home) {
    fetch_add_relaxed(&home->references, 1); /* relaxed: the caller holds one, a count */
}

void filch__home_release(void *argument) {
    struct filch__home *home = argument;
    if (fetch_sub_acq_rel(&home->references, 1) == 1) filch__free(home); /* H1 -> H1 */
}

cold void filch__extra_free(struct filch__extra *extra) {
    filch__free(extra->text);
    filch__free(extra);
}

void filch__future_discard(filch_future *f) {
    if (f->extra != NULL) f->extra->arg_destroy = NULL;
    filch__future_free(f);
}

void filch__future_set_text(filch_future *f, char *text) {
    if (text == NULL) return;
    if (f->extra == NULL) f->extra = filch__alloc_zeroed(sizeof *f->extra);
    if (f->extra == NULL) {
        filch__free(text);
        return;
    }
    filch__free(f->extra->text);
    f->extra->text = text;
}

/* The callbacks that were added, oldest first; the caller owns them. */
static struct filch__callback *take_callbacks(filch_future *f) {
    struct filch__callback *node = exchange_acquire(&f->callbacks, NULL); /* F8 <- F7 */
    struct filch__callback *oldest = NULL;
    while (node != NULL) {
        struct filch__callback *next = node->next;
        node->next = oldest;
        oldest = node;
        node = next;
    }
    return oldest;
}

static void run_callbacks(filch_future *f) {
    uint32_t generation = filch__fork_now();
    struct filch__callback *node = take_callbacks(f);
    while (node != NULL) {
        struct filch__callback *next = node->next;
        filch_done_callback *fn = node->fn;
        void *context = node->context;
        filch__free(node);
        fn(f, context);
        if (unlikely(filch__fork_now() != generation)) return; /* the others are the parent's */
        node = next;
    }
}

/* The half of the state word that sleepers sleep on. */
static uint32_t *sleep_half(filch_future *f) {
    uint32_t *halves = (uint32_t *)(void *)&f->state;
    return halves + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

cold void filch__future_notify(filch_future *f, bool drop, void (*before_callbacks)(void *context),
                               void *context) {
    uint64_t s = state_look(&f->state);
    if (s & FLAG_SLEEPERS) filch__futex_wake(sleep_half(f), INT_MAX);
    if (s & FLAG_CALLBACKS) {
        if (before_callbacks != NULL) before_callbacks(context);
        run_callbacks(f);
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
    enum filch__life life = state_life(state_look(&f->state));
    if (unlikely(life == LIFE_CANCELLING || life == LIFE_FAILING) && !filch__is_ending(f) &&
        !filch__future_is_lost(f))
        filch__future_sleep(f, FILCH_FOREVER);
}

bool filch__future_try_cancel(filch_future *f) {
    if (!state_cancel(&f->state)) return false;
    POINT("future.cancelling");
    /* A callback may release the caller's reference while others are still to run. */
    state_retain(&f->state);
    fetch_add_relaxed(&filch__future_home(f)->cancelled, 1); /* relaxed: a statistic */
    if (unlikely(!destroy_unstarted(f))) return false;
    f->code = FILCH_ECANCELED;
    filch__future_finish(f, LIFE_CANCELLED, true, NULL, NULL);
    return true;
}

static char *copy_text(const char *text) {
    char *copy = filch__alloc(strlen(text) + 1);
    if (copy != NULL) strcpy(copy, text);
    return copy;
}

bool filch__future_try_fail(filch_future *f, const char *cause) {
    if (!state_fail(&f->state)) return false;
    if (unlikely(!destroy_unstarted(f))) return false;
    f->code = FILCH_EBROKEN;
    filch__future_set_text(f, copy_text(cause));
    filch__future_finish(f, LIFE_FINISHED, false, NULL, NULL);
    return true;
}

bool filch__future_spin(filch_future *f, int64_t spin, int64_t deadline) {
    if (spin <= 0) return state_is_done(state_look(&f->state));
    int64_t end = filch__now() + spin;
    if (deadline < end) end = deadline;
    do {
        for (int i = 0; i < 8; i++) {
            if (state_is_done(state_look(&f->state))) return true;
            cpu_relax();
        }
        /* Whom it waits for may have been woken on this very CPU. */
        filch__thread_yield();
    } while (filch__now() < end);
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

static cold int refuse_lost(void) {
    return filch__error_constant(
        FILCH_EFORKED,
        "the future belongs to the process before fork(), and was not done there when "
        "this process began: wait for it in the parent");
}

/* Waits for the end. 0, or why it was not waited for. */
static int await(filch_future *f, filch_nanoseconds timeout) {
    static const char late[] =
        "the time was over before the future was done: wait longer, or cancel it";
    if (likely(state_is_done(state_look(&f->state)))) return 0;
    if (unlikely(filch__future_is_lost(f))) return refuse_lost();
    struct filch__self *self = filch__self();
    if (timeout <= 0) return filch__error_constant(FILCH_ETIMEDOUT, late);
    int64_t deadline = filch__deadline(timeout);
    if (self != NULL) {
        int rc = self->executor->ops->wait(self, f, deadline);
        if (unlikely(rc == FILCH_EFORKED)) return refuse_lost();
        return rc == FILCH_ETIMEDOUT ? filch__error_constant(rc, late) : rc;
    }
    if (filch__future_spin(f, filch__future_home(f)->spin, deadline)) return 0;
    if (filch__future_sleep(f, deadline)) return 0;
    return filch__error_constant(FILCH_ETIMEDOUT, late);
}

static const char *text_of(filch_future *f) {
    return f->extra != NULL && f->extra->text != NULL ? f->extra->text : filch_error_text(f->code);
}

static cold int report_failure(filch_future *f) {
    const char *name = f->extra == NULL ? NULL : f->extra->name;
    if (name != NULL) return filch__error(f->code, "task %s: %s", name, text_of(f));
    return filch__error(f->code, "%s", text_of(f));
}

int filch_future_result(filch_future *f, void *result, filch_nanoseconds timeout) {
    if (f == NULL)
        return filch__error_constant(FILCH_EINVAL, "filch_future_result: the future is NULL");
    int rc = await(f, timeout);
    if (unlikely(rc != 0)) return rc;
    if (unlikely(f->code != 0)) return report_failure(f);
    if (result != NULL) {
        size_t size;
        const void *value = filch__future_result(f, &size);
        if (size == sizeof(uint64_t))
            memcpy(result, value, sizeof(uint64_t));
        else if (size != 0)
            memcpy(result, value, size);
    }
    return 0;
}

int filch_future_error(filch_future *f, filch_error *error, filch_nanoseconds timeout) {
    if (f == NULL || error == NULL)
        return filch__error(FILCH_EINVAL, "filch_future_error: %s is NULL",
                            f == NULL ? "the future" : "the place for the error");
    int rc = await(f, timeout);
    if (rc != 0) return rc;
    error->code = f->code;
    error->text = text_of(f);
    int worker = state_runner(state_look(&f->state));
    error->origin.worker = worker;
    error->origin.pid = worker < 0 ? 0 : (int)getpid();
    return 0;
}

bool filch_future_done(filch_future *f) {
    return f != NULL && state_is_done(state_look(&f->state));
}

bool filch_future_running(filch_future *f) {
    return f != NULL && state_life(state_look(&f->state)) == LIFE_RUNNING;
}

bool filch_future_cancelled(filch_future *f) {
    return f != NULL && state_life(state_look(&f->state)) == LIFE_CANCELLED;
}

bool filch_future_cancel(filch_future *f) {
    if (f == NULL) return false;
    if (unlikely(filch__future_is_lost(f))) return filch_future_cancelled(f);
    struct filch__self *self = filch__self();
    if (filch__future_try_cancel(f)) {
        if (self != NULL) self->executor->ops->left_stale(self);
        return true;
    }
    filch__future_await_ending(f);
    enum filch__life life = state_life(state_look(&f->state));
    return life == LIFE_CANCELLED || life == LIFE_CANCELLING;
}

int filch_future_add_done_callback(filch_future *f, filch_done_callback *fn, void *context) {
    if (f == NULL || fn == NULL)
        return filch__error(FILCH_EINVAL, "filch_future_add_done_callback: %s is NULL",
                            f == NULL ? "the future" : "the function");
    if (state_is_done(state_look(&f->state))) {
        fn(f, context);
        return 0;
    }
    if (unlikely(filch__future_is_lost(f))) return refuse_lost();
    struct filch__callback *node = filch__alloc(sizeof *node);
    if (node == NULL)
        return filch__error_constant(FILCH_ENOMEM, "filch_future_add_done_callback: no memory");
    node->fn = fn;
    node->context = context;
    /* As soon as the node is there it may run, and release the caller's reference. */
    state_retain(&f->state);
    node->next = load_relaxed(&f->callbacks);                   /* relaxed: only handed on */
    while (!cas_weak_release(&f->callbacks, &node->next, node)) /* F7 -> F8 */
        continue;
    POINT("future.callback.pushed");
    /* If the end came first, whoever finished may have looked at the flag before it was set. */
    if (state_is_done(state_add_flag(&f->state, FLAG_CALLBACKS))) run_callbacks(f);
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
