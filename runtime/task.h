/* task.h: running a task, the same in every room. */
#ifndef FILCH_RUNTIME_TASK_H
#define FILCH_RUNTIME_TASK_H

#include "future.h"
#include "self.h"

/* Keeps what a task has returned, the text of filch_fail or NULL, and the block of filch_result_alloc or NULL. */
void filch__task_ended(filch_future *f, int rc, char *text, struct filch__outcome *block);
/* The same as filch__task_run for a task with rare parts. */
bool filch__task_run_rare(struct filch__self *self, filch_future *f, int64_t base);

/* Calls the function of a future that the caller has started, on a zeroed result, and keeps how it ended.
 * False: it has forked, and this is the child. */
static inline bool filch__task_call(struct filch__self *self, filch_future *f, int64_t base,
                                    void *arg, void *result, size_t result_size) {
    struct filch__run run = {.future = f, .below = self->run, .base = base};
    if (likely(result_size == sizeof(uint64_t)))
        __builtin_memset(result, 0, sizeof(uint64_t));
    else if (result_size != 0)
        __builtin_memset(result, 0, result_size);
    self->run = &run;
    int rc = f->fn(arg, result);
    if (unlikely(filch__self() != self)) return false;
    self->run = run.below;
    if (unlikely(run.skipped) && rc == 0) rc = FILCH_ECANCELED;
    if (likely(rc == 0 && run.text == NULL && run.block == NULL))
        f->outcome = filch__outcome_of_code(0);
    else
        filch__task_ended(f, rc, run.text, run.block);
    return true;
}

/* Runs the task of a future that the caller has started: result zeroed, function called, code and text
 * stored, argument destroyed. The caller publishes the end with filch__future_finish. `base` is where the
 * room's queue stands now. False: the task, or the destructor, has forked, and this is the child: the thread
 * is no worker any more and the rest is the parent's. */
static inline bool filch__task_run(struct filch__self *self, filch_future *f, int64_t base) {
    uint64_t constant = state_constant(&f->state);
    if (unlikely((constant & FLAG_EXTRA) != 0)) return filch__task_run_rare(self, f, base);
    char *arg = filch__future_payload(f);
    return filch__task_call(self, f, base, arg, arg + state_result_offset(constant),
                            state_result_size(constant));
}

#endif
