/* promise.h: futures of no executor, for the program and for the library's own use. */
#ifndef FILCH_RUNTIME_PROMISE_H
#define FILCH_RUNTIME_PROMISE_H

#include "future.h"

/* PENDING with one reference; size <= FILCH__SIZE_LIMIT. `owned`: the library completes it, the public calls
 * refuse to. NULL: no memory. */
filch_future *filch__promise_create(size_t result_size, bool owned);

/* After state_end: the value (result_size bytes) or the code (with a text that the future takes over, or
 * NULL), and the end. */
void filch__promise_publish(filch_future *f, int code, char *text, const void *value);
/* The same with all that another future ended with, which nobody else looks at any more. */
void filch__promise_publish_as(filch_future *f, filch_future *other);

#endif
