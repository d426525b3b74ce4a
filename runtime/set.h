/* set.h: what filch_wait and filch_as_completed share. */
#ifndef FILCH_RUNTIME_SET_H
#define FILCH_RUNTIME_SET_H

#include "gather.h"
#include <filch/set.h>

/* Is one of them of the process before fork(), and not done? It never will be in this one. */
bool filch__set_is_lost(filch_future *const *futures, size_t n);
/* 0, or EINVAL or ETOOBIG with a text that names the call. */
int filch__set_check(filch_future *const *futures, size_t n, const char *call);

/* What is known of those that are waited for. */
struct filch__survey {
    size_t unfinished;
    size_t below, no_stack; /* of them: see enum filch__help */
    filch_future *only;     /* if there is one */
};
void filch__survey_add(struct filch__survey *s, filch_future *f);

/* Sleeps until the gathering is ready: 0; FILCH_ETIMEDOUT, without a text; or why it cannot. With `unfinished`
 * 0 nothing is known. `spin`: of a thread that is no worker. */
int filch__set_sleep(struct filch__gathering *g, const struct filch__survey *s, int64_t deadline,
                     int64_t spin);
/* What a thread that waits for such a future spins. */
int64_t filch__set_spin(filch_future *f);

#endif
