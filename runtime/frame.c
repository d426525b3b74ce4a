/* frame.c: the door of fork-join: forks and joins that are slow, and tasks that are run from outside.
 *
 * Flow     filch_fork, filch_join (filch/fork.h), name_fork, name_join (filch/forkable.h) -> here -> the room of the
 *          worker; for all other threads, calls run at once and wait here for their join.
 * State    at_once: calls that the thread has run at their fork, newest first.
 * Orders
 *   N1 exchange_acquire taken (take) -> N2 store_release taken (give back): the node has one user at a time
 *   N2 store_release taken (give back) -> N1 exchange_acquire taken (take): what the user before did with it
 * Memory   a node for each, from the fork to the join. Since a fork cannot fail there are some in reserve; when these
 *          are used up as well the program ends.
 * Not here: lanes (thread/lane.h). */
#include "base/atomics.h"
#include "base/compiler.h"
#include "error.h"
#include "executor_ops.h"
#include "future.h"
#include "os/memory.h"
#include <filch/fork.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    filch_slot slot;
    struct node *below;
    uint32_t taken;
};

enum { RESERVE = 256 };
static struct node reserve[RESERVE];

/* Each thread outside writes its first call here, where nobody reads it; those that do so at the same time may go on
 * behind each other. From then on it has a lane of its own. */
static filch_slot unread[1024];
filch_lane filch_lane_outside = {unread, NULL, (filch_slot *)UINTPTR_MAX, NULL};
__thread filch_lane *filch_lane_self = &filch_lane_outside;

struct own_lane {
    filch_lane lane;
    filch_slot unread[2];
};
static __thread struct own_lane own_lane;

static __thread struct node *at_once;
/* The result of a node that was joined; and what a thread outside writes under ThreadSanitizer. */
static __thread filch_slot landing;

filch_slot *filch_lane_unread(void) {
    return &landing;
}

static cold struct node *take_reserve(void) {
    for (int i = 0; i < RESERVE; i++)
        if (exchange_acquire(&reserve[i].taken, 1u) == 0)
            return &reserve[i]; /* N1 <- N2; N1 -> N2 */
    fputs("filch: a fork outside of a task, or beyond 65535 others, has found no memory\n", stderr);
    abort();
}

static struct node *take_node(void) {
    struct node *node = filch__alloc_aligned(_Alignof(struct node), sizeof *node);
    if (unlikely(node == NULL)) node = take_reserve();
    node->below = at_once;
    at_once = node;
    return node;
}

/* The newest node goes; its slot is kept for a moment. */
static filch_slot *drop_node(void) {
    struct node *node = at_once;
    at_once = node->below;
    landing = node->slot;
    landing.skipped = 0;
    if (unlikely(node >= reserve && node < reserve + RESERVE))
        store_release(&node->taken, 0u); /* N2 -> N1; N2 <- N1 */
    else
        filch__free(node);
    return &landing;
}

static bool is_outside(void) {
    return filch_lane_self->end == NULL;
}

/* The place of a lane outside stays. */
static void keep_outside(void) {
    if (!is_outside()) return;
    filch_store_light(&filch_lane_outside.pos, unread); /* light: it is not read */
    own_lane.lane = (filch_lane){own_lane.unread, NULL, (filch_slot *)UINTPTR_MAX, NULL};
    filch_lane_self = &own_lane.lane;
}

static struct filch__self *worker_with_lane(void) {
    return is_outside() ? NULL : filch__self();
}

cold filch_slot *filch_fork_slow(filch_slot *slot) {
    struct filch__self *self = worker_with_lane();
    if (self != NULL && self->executor->ops->fork(self, slot)) return NULL;
    keep_outside();
    return &take_node()->slot;
}

cold void filch_fork_at_once(filch_slot *slot, filch_slot_fn *run) {
    slot->run = run;
    run(slot);
}

/* In the child of a fork() inside a task: a call that was forked before. Its thief is in the parent: unless it had ended
 * by then the child runs it as well. */
static filch_slot *join_orphan(filch_slot *slot) {
    uint32_t status = load_relaxed(&slot->status); /* relaxed: there is one thread */
    slot->skipped = (status & FRAME_SKIPPED) != 0;
    return (status & FRAME_DONE) != 0 ? slot : NULL;
}

cold filch_slot *filch_join_slow(filch_slot *slot) {
    struct filch__self *self = worker_with_lane();
    keep_outside();
    if (self != NULL) {
        enum filch__join how = self->executor->ops->join(self, slot);
        if (unlikely(filch__self() != self)) return join_orphan(slot); /* the child of a fork() */
        if (how != JOIN_AT_ONCE) return how == JOIN_RUN ? NULL : slot;
    }
    return at_once != NULL ? drop_node() : join_orphan(slot);
}

bool filch_join_is_next(const filch_slot *slot) {
    if (is_outside()) return true;
    const filch_slot *pos = filch_load_light(&filch_lane_self->pos); /* light: own field */
    return pos == slot + 1 || pos == slot;
}

void filch_join_misplaced(const char *name) {
    fprintf(stderr, "filch: %s_join: a call that was forked later is not joined yet\n", name);
    abort();
}

bool filch_forks_are_next(const filch_slot *slot) {
    if (is_outside()) return true;
    return filch_load_light(&filch_lane_self->pos) == slot; /* light: own field */
}

void filch_forks_misplaced(const char *name) {
    fprintf(stderr, "filch: %s_fork_next: another call was forked or joined since its row began\n",
            name);
    abort();
}

/* Untyped frames: */

int filch_frame_code(int code) {
    return code >= 0 || filch__error_is_own(code) ? code : FILCH_EINVAL;
}

cold int filch_frame_refuse(const char *call, const char *what) {
    if (what == NULL)
        return filch__error(
            FILCH_ESTATE,
            "%s: a frame that was forked later is not joined yet: join in reverse order", call);
    return filch__error(FILCH_EINVAL, "%s: %s is NULL", call, what);
}

static int call(filch_task_fn *fn, void *arg, void *result) {
    if (unlikely(fn == NULL)) return filch_frame_refuse("filch_join", "the function");
    return filch_frame_code(fn(arg, result));
}

void filch_frame_in_slot(filch_slot *slot) {
    struct filch_frame_call in = *(struct filch_frame_call *)(void *)slot->place.bytes;
    int code = call(in.fn, in.arg, in.result);
    memcpy(slot->place.bytes, &code, sizeof code);
}

static int skipped(void) {
    return filch__error_constant(FILCH_ECANCELED,
                                 "filch_join: the task was asked to end: the call did not run");
}

static int code_of(const filch_slot *slot) {
    int code;
    if (unlikely(slot->skipped != 0)) return skipped();
    memcpy(&code, slot->place.bytes, sizeof code);
    return code;
}

cold int filch_frame_join_slow(filch_slot *slot) {
    filch_slot *done = filch_join_slow(slot);
    if (done != NULL) return code_of(done);
    struct filch_frame_call *in = (struct filch_frame_call *)(void *)slot->place.bytes;
    return call(in->fn, in->arg, in->result);
}

int filch_join_unless_started(filch_frame *frame) {
    if (frame == NULL) return filch_frame_refuse("filch_join_unless_started", "the frame");
    if (likely(!filch_lane_pop(filch_lane_self, frame->at))) return 0;
    filch_slot *done = filch_join_slow(frame->at);
    return done == NULL ? 0 : code_of(done);
}

/* The first call of a pair has failed: what it says stays, whatever the second one says. */
static cold int join_after_failure(filch_frame *b, int code) {
    struct filch__self *self = filch__self();
    struct filch__run *run = self == NULL ? NULL : self->run;
    char last[sizeof filch__thread.buffer], *text = run == NULL ? NULL : run->text;
    snprintf(last, sizeof last, "%s", filch_last_error());
    if (run != NULL) run->text = NULL;
    (void)filch_join_unless_started(b);
    if (run != NULL && filch__self() == self) {
        filch__free(run->text);
        run->text = text;
    }
    return filch__error(filch_frame_code(code), "%s", last);
}

int filch_invoke2(filch_task_fn *fa, void *arg_a, void *result_a, filch_task_fn *fb, void *arg_b,
                  void *result_b) {
    filch_frame b;
    if (unlikely(fa == NULL || fb == NULL))
        return filch_frame_refuse("filch_invoke2", "a function");
    filch_fork(&b, fb, arg_b, result_b);
    int code = fa(arg_a, result_a);
    if (unlikely(code != 0)) return join_after_failure(&b, code);
    return filch_join(&b);
}

/* filch_run: */

struct run_call {
    filch_task_fn *fn;
    void *arg, *result;
};

static int run_in_task(void *arg, void *result) {
    struct run_call *in = arg;
    (void)result;
    return in->fn(in->arg, in->result);
}

int filch_run(filch_executor *executor, filch_task_fn *fn, void *arg, void *result) {
    struct run_call in = {fn, arg, result};
    filch_future *f;
    if (unlikely(fn == NULL)) return filch_frame_refuse("filch_run", "the function");
    struct filch__self *self = filch__self();
    executor = filch__executor_resolve(executor);
    if (self != NULL && self->run != NULL && executor == self->executor)
        return filch_frame_code(fn(arg, result));
    if (executor == NULL) return FILCH_ENOMEM;
    if (unlikely(executor->ops->submit_chunk != NULL))
        return filch__error_constant(
            FILCH_ENOTSUP,
            "filch_run: what works on the caller's memory needs an executor on threads");
    int code = filch_submit(executor, run_in_task, &in, sizeof in, 0, &f);
    if (code != 0) return code;
    code = filch__future_conclude(f);
    filch_future_release(f);
    return code;
}
