/* task.h: running a task, the same in every room. */
#ifndef FILCH_RUNTIME_TASK_H
#define FILCH_RUNTIME_TASK_H

#include "future.h"
#include "self.h"

/* Keeps the code that a task has returned, which is not 0. */
void filch__task_failed(filch_future *f, int rc);

/* Runs the task of a future that the caller has started: result zeroed, function called, code and text
 * stored, argument destroyed. The caller publishes the end with filch__future_finish. `base` is where the
 * room's queue stands now. False: the task, or the destructor, has forked, and this is the child: the thread
 * is no worker any more and the rest is the parent's. */
static inline bool filch__task_run(struct filch__self *self, filch_future *f, int64_t base) {
    struct filch__run run = {.future = f, .below = self->run, .text = NULL, .base = base};
    size_t size;
    void *result = filch__future_result(f, &size);
    if (size == sizeof(uint64_t))
        __builtin_memset(result, 0, sizeof(uint64_t));
    else if (size != 0)
        __builtin_memset(result, 0, size);
    self->run = &run;
    int rc = f->fn(filch__future_arg(f), result);
    if (unlikely(filch__self() != self)) return false;
    self->run = NULL; /* a destructor is no part of the task, nor of the one below */
    if (unlikely(rc != 0)) filch__task_failed(f, rc);
    if (unlikely(run.text != NULL)) filch__future_set_text(f, run.text);
    filch__future_destroy_arg(f);
    self->run = run.below;
    return likely(filch__self() == self);
}

#endif
