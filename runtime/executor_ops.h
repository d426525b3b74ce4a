/* executor_ops.h: the one contract that every back-end (room) fulfils.
 *
 * executor.c has checked the arguments before it calls one of these. Every function that returns int
 * returns 0 or a code whose text it has set (error.h). */
#ifndef FILCH_EXECUTOR_OPS_H
#define FILCH_EXECUTOR_OPS_H

#include "base/compiler.h"
#include "exit.h"
#include "fork.h"
#include "self.h"
#include <filch/executor.h>
#include <filch/future.h>
#include <filch/lane.h>
#include <stdbool.h>

struct filch__gathering;

/* What came of ops->help. */
enum filch__help {
    HELP_DONE,     /* the future is done */
    HELP_BELOW,    /* its task stands lower on the own stack */
    HELP_NO_STACK, /* it could be run here, were there more stack left */
    HELP_NONE      /* it is for others */
};

/* Of the status of a slot (filch/lane.h), the same in every room: the call has ended; some of it did not run. */
enum { FRAME_DONE = 4, FRAME_SKIPPED = 8 };

/* What came of ops->join. */
enum filch__join {
    JOIN_RUN,    /* the caller runs it from its slot */
    JOIN_DONE,   /* it has ended; the slot has its result */
    JOIN_AT_ONCE /* ops->fork has refused it */
};

struct filch__executor_ops {
    /* Accepts a task, or refuses it, and then it never runs. */
    int (*submit)(filch_executor *executor, const filch_task *task, filch_future **future);
    /* The same for a task without name and destructor, in registers. */
    int (*submit_plain)(filch_executor *executor, filch_task_fn *fn, const void *arg,
                        size_t arg_size, size_t result_size, filch_future **future);
    /* Of a room whose workers share no memory with the program; else NULL: as submit, of a task whose argument is a
     * packed one (packed.h), whose function is that of an input, and whose result_size is 0. */
    int (*submit_chunk)(filch_executor *executor, const filch_task *task, filch_future **future);
    /* Called on a worker of this room: runs what may be run while it waits, then parks, until the
     * future is done (0), the absolute deadline has passed (FILCH_ETIMEDOUT), or it cannot wait.
     * FILCH_EFORKED, without a text: what it ran has forked, and this is the child. */
    int (*wait)(struct filch__self *self, filch_future *future, int64_t deadline);
    /* The same, but runs nothing than the awaited task itself. */
    int (*wait_isolated)(struct filch__self *self, filch_future *future, int64_t deadline);
    /* As wait, for a future whose task has started elsewhere, but does not give up: of tasks that wait in a circle, the
     * wait of another ends. */
    int (*wait_firm)(struct filch__self *self, filch_future *future);
    /* Called on a worker of this room: if `run`, claims and runs the future's task, if that has not started
     * and is of this executor. */
    enum filch__help (*help)(struct filch__self *self, filch_future *future, bool run);
    /* As wait, until the gathering is ready. `only`: the one future that can make it so, or NULL. `stuck`: all
     * that can do so need this worker's stack, or a spare worker. */
    int (*wait_set)(struct filch__self *self, struct filch__gathering *set, filch_future *only,
                    bool stuck, int64_t deadline);
    /* Called on a worker of this room that has cancelled a task: an entry of its queues may now stand
     * for nothing, and can be taken off when convenient. */
    void (*left_stale)(struct filch__self *self);
    /* Called on a worker of this room that looks at futures without waiting, and has found one that is not done: takes
     * note of what ended elsewhere. NULL: there is nothing to do. */
    void (*poll)(struct filch__self *self);
    /* Called on a worker of this room whose self->blocking has become other than 0, or 0 again: others may run
     * in its place meanwhile. */
    void (*blocking_begin)(struct filch__self *self);
    void (*blocking_end)(struct filch__self *self);
    /* Called on a worker of this room, after filch_lane_push: false if the call shall run at once. */
    bool (*fork)(struct filch__self *self, filch_slot *slot);
    /* After filch_lane_pop. */
    enum filch__join (*join)(struct filch__self *self, filch_slot *slot);
    /* Called on a worker of this room, in a task: as filch_result_alloc. NULL: memory of the process. */
    void *(*result_alloc)(struct filch__self *self, size_t size);
    /* Called on a worker of this room, in a task that has no future here: was it asked to end? NULL: never. */
    bool (*is_requested)(struct filch__self *self);
    int (*shutdown)(filch_executor *executor, unsigned flags);
    /* In exit(), perhaps called by a task: as a shutdown with FILCH_WAIT, but that it does not wait for the
     * tasks on the caller's own stack, and for those that can never end because they wait for one of them. */
    void (*end_at_exit)(filch_executor *executor);
    /* After a shutdown that has waited: frees the executor. */
    void (*destroy)(filch_executor *executor);
    void (*stats)(filch_executor *executor, filch_stats *stats);
    /* Workers that may run at the same time, and with the spares. */
    int (*max_workers)(filch_executor *executor);
    int (*worker_limit)(filch_executor *executor);
};

/* The start of every back-end's own executor. */
struct filch_executor {
    const struct filch__executor_ops *ops;
    bool is_default;              /* the library's own, which the caller must not destroy */
    uint32_t generation;          /* filch__fork_now when it was made */
    struct filch__ticket *ticket; /* exit.h */
};

/* executor.c: the executor that the caller means: NULL is the default one. NULL, with the text of
 * FILCH_ENOMEM set, if that cannot be made. */
filch_executor *filch__executor_resolve(filch_executor *e);

/* Before it is said of a future that it is not done. */
static inline void filch__executor_poll(void) {
    struct filch__self *self = filch__self();
    if (unlikely(self != NULL && self->executor->ops->poll != NULL))
        self->executor->ops->poll(self);
}

/* executor.c: in the child of a fork(), the default executor is made anew on its next use. */
void filch__executor_forget_default(void);
int filch__executor_refuse(const char *call);
/* 0, or FILCH_EFORKED with its text for an executor of the process before fork(); `call` is named there. */
static inline int filch__executor_check(const filch_executor *e, const char *call) {
    return likely(e->generation == filch__fork_now()) ? 0 : filch__executor_refuse(call);
}

#endif
