/* filch/fork.h: fork-join: calls that may run in parallel, for the price of a few instructions.
 *
 * Inside a task of a thread executor. filch_fork notes a call that another worker may take; filch_join runs it, or,
 * if another worker has taken it, waits for its end. What nobody takes is an ordinary call at the place of the join.
 * The fastest form is typed, in filch/forkable.h.
 *
 *     static int sum(void *arg, void *result) {           // of struct range {const long *v; size_t n;}
 *         struct range *all = arg;
 *         if (all->n <= 1000) return add_up(all, result);
 *         struct range left = {all->v, all->n / 2}, right = {all->v + all->n / 2, all->n - all->n / 2};
 *         long a, b;
 *         int rc = filch_invoke2(sum, &left, &a, sum, &right, &b);
 *         *(long *)result = a + b;
 *         return rc;
 *     }
 *     rc = filch_run(executor, sum, &everything, &total);
 *
 * Threads
 *
 *     same frame          | fork | join |        Frames belong to the thread that forks them, which joins them in
 *     fork, join          |  no  |  no  |        the reverse order, each once, before the function that has forked
 *     different frames, threads: any             them returns. With FILCH_DEBUG defined a join out of order is seen.
 *
 * Cancellation: after filch_future_request_cancel for a task that runs, what it forks, in all depths, does not start
 * any more: a join gives FILCH_ECANCELED, a typed one a value of zero bytes, and the task's future ends with
 * FILCH_ECANCELED unless the task returns another error.
 * In the child of a fork(2) inside a task, what another worker has taken before is run by the child itself.
 *
 * Source   the split deque of Lace: van Dijk & van de Pol, "Lace: non-blocking split deque for work-stealing",
 *          Euro-Par 2014 workshops; here what is private can be taken as well, from an owner that computes for long.
 *          Leapfrogging: Wagner & Calder, PPoPP 1993.
 * Not here: loops (filch/parallel.h), tasks with handles (filch/task.h), how it works (runtime/thread/README.md).
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_FRAME_H
#define FILCH_FRAME_H

#include <filch/lane.h>
#include <filch/task.h>

/* A call that was forked, on the caller's stack; its contents are the library's. */
typedef struct filch_frame {
    filch_slot *at;
} filch_frame;

FILCH_BEGIN_DECLS

/* Runs one task on the executor, from its start to its end.
 *
 * executor  NULL: the default one
 * fn        not NULL
 * arg       the caller's own memory, not copied; what fn gets
 * result    the caller's own memory, not zeroed; what fn gets
 * Returns   the task's code; FILCH_EINVAL (fn is NULL); what filch_submit returns if it fails, or what
 *           filch_future_result returns where a task of another executor, or a callback, cannot wait
 *           (FILCH_EAGAIN, FILCH_EDEADLK), and then fn has not run; FILCH_ECANCELED if the executor was shut down
 *           with FILCH_CANCEL_PENDING before it started.
 * Threads: any. On a worker of that executor it is a plain call; other threads wait until it has ended.
 * Since: 0.1. Source: rayon's ThreadPool::install, Cilk's initial spawn. */
FILCH_API int filch_run(filch_executor *executor, filch_task_fn *fn, void *arg, void *result);

/* Calls fa and fb, perhaps at the same time, and returns when both have ended.
 *
 * fa, fb   not NULL
 * arg_a, result_a, arg_b, result_b  the caller's own memory, not copied, not zeroed
 * Returns  0; else the code of fa, or of fb if fa has returned 0, with its text (filch_fail, filch_last_error). If fa
 *          fails before fb has started, fb does not run.
 *          FILCH_ECANCELED if the task was asked to end. FILCH_EINVAL (a function is NULL): nothing has run.
 * Threads: any; outside of a task it calls one after the other. Since: 0.1. Source: rayon::join. */
FILCH_API int filch_invoke2(filch_task_fn *fa, void *arg_a, void *result_a, filch_task_fn *fb,
                            void *arg_b, void *result_b);

/* Joins a frame, but does not run what has not started: for a caller that needs it no more.
 *
 * frame    the one that was forked last and is not joined
 * Returns  0 if it has not run, else its code, as filch_join.
 * Threads: the one that forked it. Since: 0.1. */
FILCH_API int filch_join_unless_started(filch_frame *frame);

FILCH_END_DECLS

/* A call as it stands in a slot. */
struct filch_frame_call {
    filch_task_fn *fn;
    void *arg, *result;
} __attribute__((__may_alias__));

/* Writes a call into a slot. */
static filch_always_inline void filch_frame_write(filch_slot *slot, filch_task_fn *fn, void *arg,
                                                  void *result) {
    struct filch_frame_call *call = (struct filch_frame_call *)(void *)slot->place.bytes;
    call->fn = fn;
    call->arg = arg;
    call->result = result;
    filch_written(*call);
}
/* Forks a call in the slot. False: with more than a few instructions. */
static filch_always_inline bool filch_frame_push(filch_lane *lane, filch_slot *slot,
                                                 filch_frame *frame, filch_task_fn *fn, void *arg,
                                                 void *result) {
    frame->at = slot;
    filch_lane_name(slot, filch_frame_in_slot);
    filch_frame_write(slot, fn, arg, result);
    if (__builtin_expect(!filch_lane_push(lane, slot), 1)) return true;
    slot = filch_fork_slow(slot);
    if (slot != (filch_slot *)0) {
        filch_frame_write(slot, fn, arg, result);
        filch_fork_at_once(slot, filch_frame_in_slot);
    }
    return false;
}

/* Notes fn(arg, result) to be run until the join of the frame, by this worker or another.
 *
 * frame    uninitialised memory, until the join
 * fn       not NULL, else the join returns FILCH_EINVAL
 * arg, result  the caller's own memory until the join: not copied, zeroed or realigned; the same that fn gets
 * Outside of a task, and with 65535 frames of this worker waiting, it runs at once. It cannot fail, except that in
 * these two cases it needs memory for the outcome: where there is none at all, the program is ended.
 * Threads: see above. Progress: wait-free, no system call but to wake a worker. Since: 0.1. */
static inline void filch_fork(filch_frame *frame, filch_task_fn *fn, void *arg, void *result) {
    filch_lane *lane = filch_lane_self;
    if (__builtin_expect(frame == (filch_frame *)0, 0))
        (void)filch_frame_refuse("filch_fork", "the frame");
    else
        (void)filch_frame_push(lane, filch_lane_next(lane), frame, fn, arg, result);
}

/* filch_fork in a row.
 *
 * row      of filch_forks_begin (filch/lane.h says what a row is)
 * frame, fn, arg, result  as for filch_fork
 * Threads: the one that has begun the row. Progress: as filch_fork. Since: 0.1. */
static inline void filch_fork_next(filch_forks *row, filch_frame *frame, filch_task_fn *fn,
                                   void *arg, void *result) {
    filch_slot *slot;
    if (__builtin_expect(row == (filch_forks *)0 || frame == (filch_frame *)0, 0)) {
        (void)filch_frame_refuse("filch_fork_next",
                                 row == (filch_forks *)0 ? "the row" : "the frame");
        return;
    }
    slot = row->next;
#if defined(FILCH_DEBUG)
    if (!filch_forks_are_next(slot)) filch_forks_misplaced("filch");
#endif
    row->next = slot + 1;
    /* A slow fork may have given the thread another lane. */
    if (!filch_frame_push(row->lane, slot, frame, fn, arg, result)) *row = filch_forks_begin();
}

/* Runs what was forked, or waits until the worker that has taken it has ended it.
 *
 * While it waits the worker runs what stands in its way: tasks that were submitted since the fork, and calls that the
 * taker has forked meanwhile, which the taken call waits for itself; then it spins, and parks with a spare worker in
 * its place. Never an unrelated task.
 *
 * frame    the one that was forked last and is not joined yet
 * Returns  the task's code; FILCH_ECANCELED (it did not run); FILCH_EINVAL (frame, or its function, is NULL);
 *          with FILCH_DEBUG defined FILCH_ESTATE: another frame, which was forked later, is not joined; nothing
 *          has happened.
 * Threads: the one that forked it. Ordering: everything in the task happens before. Since: 0.1. */
static inline int filch_join(filch_frame *frame) {
    filch_lane *lane = filch_lane_self;
    struct filch_frame_call *call;
    int code;
    if (__builtin_expect(frame == (filch_frame *)0, 0))
        return filch_frame_refuse("filch_join", "the frame");
#if defined(FILCH_DEBUG)
    if (!filch_join_is_next(frame->at)) return filch_frame_refuse("filch_join", (const char *)0);
#endif
    if (__builtin_expect(filch_lane_pop(lane, frame->at), 0))
        return filch_frame_join_slow(frame->at);
    call = (struct filch_frame_call *)(void *)frame->at->place.bytes;
    if (__builtin_expect(call->fn == (filch_task_fn *)0, 0))
        return filch_frame_refuse("filch_join", "the function");
    code = call->fn(call->arg, call->result);
    return __builtin_expect(code < 0, 0) ? filch_frame_code(code) : code;
}

#endif
