/* task.h: running a task, the same in every room. */
#ifndef FILCH_RUNTIME_TASK_H
#define FILCH_RUNTIME_TASK_H

#include "future.h"
#include "self.h"

/* Runs the task of a future that the caller has started: result zeroed, function called, argument
 * destroyed, code and text stored. The caller publishes the end with filch__future_finish.
 * `base` is where the room's queue stands now. */
void filch__task_run(struct filch__self *self, filch_future *f, int64_t base);

#endif
