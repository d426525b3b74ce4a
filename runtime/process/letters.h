/* process/letters.h: what the desk has to tell a worker beside its tasks: in the ring, or behind what is there already. */
#ifndef FILCH_PROCESS_LETTERS_H
#define FILCH_PROCESS_LETTERS_H

#include "process/pool.h"

/* Room for a message, now or later; the rest is zero. NULL: no memory; then the worker, which would wait for ever, is killed. */
void *filch__letters_begin(struct filch__processes *p, struct filch__seat *s,
                           enum filch__message_kind kind, size_t size);
/* Sends what the ring had no room for. */
void filch__letters_flush(struct filch__seat *s);
/* The worker is gone. */
void filch__letters_forget(struct filch__seat *s);

#endif
