/* process/shutdown.c: the end of a process executor.
 *
 * Flow     shutdown sets `ending` and knocks. The desk sees what was accepted before, and has the workers quit when nothing is
 *          left (desk.c); the manager ends the zygote, and then itself (manager.c); who waits joins it. A submit that races
 *          with it sees the flag, and takes its task back, or is seen (V5, V6).
 *          What has not started when it is to be cancelled, or when the executor has broken, is taken from the desk as a whole,
 *          and ended here, by the caller and by the manager: that runs code of the user. */
#include "base/point.h"
#include "error.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/memory.h"
#include "os/shm.h"
#include "os/socket.h"
#include "process/family.h"
#include "process/pool.h"
#include <limits.h>

/* On the stack of a thread that drains. */
struct drain {
    struct filch__ending here;
    struct filch__line rest;
};

const char *filch__processes_cause(struct filch__processes *p) {
    const char *cause = load_acquire(&p->cause); /* V29 <- V28 */
    return cause != NULL ? cause : "the executor broke";
}

/* A callback or destructor has forked, and this is the child: what is left is the parent's. */
static bool is_lost(struct filch__processes *p) {
    return p->base.generation != filch__fork_now();
}

/* It has run, and its worker has died; it would have been tried again. */
static void end_retried(struct filch__processes *p, filch_future *f) {
    filch__future_set_outcome(
        f, FILCH_EWORKER,
        filch__text("its worker died, and the executor has ended before it was tried again"));
    fetch_add_relaxed(&p->unfinished, 1u); /* relaxed: given back by this thread */
    filch__desk_finish_chore(p, f);
}

/* A child: its worker is told by the desk. */
static void end_child(struct filch__processes *p, filch_future *f) {
    bool broken = (filch__processes_ending(p) & FIRM_BROKEN) != 0;
    bool runs = state_life(state_look(&f->state)) == LIFE_RUNNING;
    if (!runs) (void)(broken ? state_fail(&f->state) : state_cancel(&f->state));
    int code = broken ? FILCH_EBROKEN : runs ? FILCH_EWORKER : FILCH_ECANCELED;
    char *text = broken ? filch__text("%s", filch__processes_cause(p)) : NULL;
    filch__future_set_outcome(f, code, text);
    filch__stack_push(&p->orphans, &f->link);
    filch__desk_knock(p);
}

/* Ends one, whose reference is the caller's. */
static void end_one(struct filch__processes *p, filch_future *f) {
    if (filch__child_of(f) != NULL) {
        end_child(p, f);
        return;
    }
    if (state_life(state_look(&f->state)) == LIFE_RUNNING) {
        end_retried(p, f);
        return;
    }
    if ((filch__processes_ending(p) & FIRM_BROKEN) != 0)
        filch__future_try_fail(f, filch__processes_cause(p));
    else
        filch__future_try_cancel(f);
    if (!is_lost(p)) filch__future_drop(f);
}

static void end_rest(struct filch__processes *p, struct drain *d) {
    filch_future *f;
    while (!is_lost(p) && (f = filch__line_pop(&d->rest)) != NULL) end_one(p, f);
}

void filch__processes_drain(struct filch__processes *p) {
    struct drain d;
    /* The drain below on this stack sees to the rest. */
    if (filch__is_ending(p)) return;
    fetch_add_relaxed(&p->drains, 1u); /* relaxed: before the desk, whose word orders it */
    filch__ending_begin(&d.here, p);
    do {
        d.rest = filch__desk_withdraw(p);
        if (d.rest.first == NULL) break;
        end_rest(p, &d);
    } while (!is_lost(p));
    filch__ending_end(&d.here);
    if (is_lost(p)) return;
    fetch_sub_acq_rel(&p->drains, 1u); /* V26 -> V27 */
    filch__futex_wake(&p->drains, INT_MAX);
    filch__desk_knock(p);
}

static void wait_for_drains(struct filch__processes *p) {
    uint32_t n;
    while ((n = load_acquire(&p->drains)) != 0) /* V27 <- V26 */
        filch__futex_wait(&p->drains, n, FILCH_FOREVER);
}

static void wait_for_end(struct filch__processes *p) {
    while (load_acquire(&p->ended) == 0) /* V22 <- V21 */
        filch__futex_wait(&p->ended, 0, FILCH_FOREVER);
}

/* Joins the manager, or waits until another caller has done it. */
static void join_manager(struct filch__processes *p) {
    uint32_t no = 0;
    if (cas_acq_rel(&p->joiner, &no, 1u)) { /* V23 -> V23 */
        filch__thread_join(p->manager);
        store_release(&p->joined, 1u); /* V24 -> V25 */
        filch__futex_wake(&p->joined, INT_MAX);
    }
    while (load_acquire(&p->joined) == 0) /* V25 <- V24 */
        filch__futex_wait(&p->joined, 0, FILCH_FOREVER);
}

static void close_firm(struct filch__processes *p, unsigned flags) {
    fetch_or_seq_cst(&p->ending, FIRM_CLOSING | flags); /* V5 -> V6 */
    POINT("shutdown.flag");
    filch__desk_knock(p);
}

static int shut_down(struct filch__processes *p, unsigned flags) {
    bool inside = filch__manager_is_self(p) || filch__is_ending(p);
    bool cancel = (flags & FILCH_CANCEL_PENDING) != 0;
    if ((flags & FILCH_WAIT) != 0 && inside)
        return filch__error_constant(
            FILCH_EDEADLK,
            "shutdown: a callback of the executor cannot wait for its end: leave out "
            "FILCH_WAIT, or shut down from another thread");
    close_firm(p, cancel ? FIRM_CANCELLING : 0);
    if (cancel) {
        filch__processes_drain(p);
        if (unlikely(is_lost(p))) return filch__executor_refuse("filch_executor_shutdown");
        /* Others that drain have some in their hands. */
        if (!inside) wait_for_drains(p);
    }
    if ((flags & FILCH_WAIT) != 0) {
        wait_for_end(p);
        join_manager(p);
        wait_for_drains(p);
    }
    return 0;
}

int filch__processes_shutdown(filch_executor *e, unsigned flags) {
    struct filch__processes *p = filch__processes_of(e);
    int rc = shut_down(p, flags);
    /* A thread that is ending something itself does not wait for cancels: the other's destructor, too, may have come here. */
    if (rc == 0 && (flags & (FILCH_WAIT | FILCH_CANCEL_PENDING)) != 0 &&
        filch__thread.ending == NULL)
        filch__home_await_cancels(p->home);
    return rc;
}

/* exit() was called in a callback or destructor of drains: they do not go on below on the stack. */
static void end_drains(struct filch__processes *p) {
    struct filch__ending *at = filch__thread.ending;
    filch__thread.ending = NULL;
    for (; at != NULL; at = at->below) {
        if (at->what != p) continue;
        end_rest(p, container_of(at, struct drain, here));
        filch__processes_drain(p);
        fetch_sub_acq_rel(&p->drains, 1u); /* V26 -> V27 */
        filch__futex_wake(&p->drains, INT_MAX);
    }
}

void filch__processes_end_at_exit(filch_executor *e) {
    struct filch__processes *p = filch__processes_of(e);
    if (filch__thread.ending != NULL) end_drains(p);
    if (!filch__manager_is_self(p)) {
        shut_down(p, FILCH_WAIT);
        return;
    }
    /* The callback that has called exit() does not return: what is left is done here. */
    close_firm(p, 0);
    filch__manager_finish(p);
}

/* What is left has no place any more: entries of tasks that were taken back. */
static void drop_stale(struct filch__processes *p) {
    filch_future *f;
    filch__dispatch_refill(p);
    while ((f = filch__line_pop(&p->queue)) != NULL) filch__future_drop(f);
    struct filch__link *link = filch__stack_take_all(&p->notices);
    while (link != NULL) {
        struct filch__notice *notice = container_of(link, struct filch__notice, link);
        link = filch__link_next(link);
        filch__free(notice);
    }
}

void filch__processes_free(struct filch__processes *p) {
    if (p->common != NULL) filch__unmap(p->common, CHANNEL_PAGE);
    filch__fd_close(p->common_fd);
    filch__fd_close(p->manager_bell);
    filch__fd_close(p->attendant_bell);
    filch__fd_close(p->zygote_socket);
    filch__fd_close(p->zygote_watch);
    filch__spawn_forget(p);
    filch__functions_destroy(p->functions);
    filch__free(p->cause);
    filch__free(p->seats);
    if (p->home != NULL) filch__home_release(p->home);
    filch__free(p);
}

void filch__processes_destroy(filch_executor *e) {
    struct filch__processes *p = filch__processes_of(e);
    filch__home_detach(p->home);
    drop_stale(p);
    filch__hire_free_retired(p, true);
    filch__outside_fini(&p->outside);
    filch__processes_free(p);
}
