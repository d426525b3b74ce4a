/* process/nested.h: the executor as a task in a worker sees it. */
#ifndef FILCH_PROCESS_NESTED_H
#define FILCH_PROCESS_NESTED_H

#include "process/serve.h"

/* Makes the worker's own object for the executor, as s->self.executor. False: no memory. */
bool filch__nested_init(struct filch__server *s);
/* Takes and consumes a message of its own: an answer, or how a child has ended. */
void filch__nested_message(struct filch__server *s, const struct filch__message *message);

#endif
