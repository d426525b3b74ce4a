/* os/park.h: one thread that sleeps until it is unparked.
 *
 * State    word: AWAKE or PARKED. The owner sets PARKED, whoever gets it from PARKED to AWAKE
 *          (the owner too, when it thinks better of it) has ended that sleep.
 * Keeps    1. Only the owner sets PARKED. 2. One unpark ends one sleep; a late futex wake-up finds a
 *          word that is AWAKE, or wakes a later sleep, whose loop then sees PARKED and goes on.
 * Orders
 *   P1 cas_acq_rel word (unpark) -> P2 load_acquire word (sleep): what the waker did before is seen
 *   P3 store_release word (prepare) -> P1 cas_acq_rel word (unpark): the announced sleep
 *   P4 exchange_acquire word (cancel) -> P1 cas_acq_rel word (unpark): exactly one of the two ends it
 *   P1 cas_acq_rel word (unpark) -> P4 exchange_acquire word (cancel): what the waker did before is seen
 * Progress: prepare, cancel, unpark wait-free; sleep blocks. */
#ifndef FILCH_OS_PARK_H
#define FILCH_OS_PARK_H

#include "base/atomics.h"
#include "os/futex.h"
#include <filch/time.h>

enum { FILCH__AWAKE = 0, FILCH__PARKED = 1 };

struct filch__parker {
    uint32_t word;
};

/* Owner: from here on unpark finds this thread. */
static inline void filch__park_prepare(struct filch__parker *p) {
    store_release(&p->word, (uint32_t)FILCH__PARKED); /* P3 -> P1 */
}

/* Owner: no sleep after all. False if an unpark came first. */
static inline bool filch__park_cancel(struct filch__parker *p) {
    return exchange_acquire(&p->word, (uint32_t)FILCH__AWAKE) ==
           FILCH__PARKED; /* P4 -> P1; P4 <- P1 */
}

/* Owner, after prepare: has nobody unparked it yet? */
static inline bool filch__park_is_prepared(struct filch__parker *p) {
    return load_acquire(&p->word) == FILCH__PARKED; /* P2 <- P1 */
}

/* Owner, after prepare: sleeps until an unpark. */
static inline void filch__park_sleep(struct filch__parker *p) {
    while (load_acquire(&p->word) == FILCH__PARKED) /* P2 <- P1 */
        filch__futex_wait(&p->word, FILCH__PARKED, FILCH_FOREVER);
}

/* The same, but not past the deadline: then the sleep goes on, and its owner cancels it, or sleeps again. */
static inline void filch__park_sleep_until(struct filch__parker *p, int64_t deadline) {
    while (load_acquire(&p->word) == FILCH__PARKED && /* P2 <- P1 */
           filch__futex_wait(&p->word, FILCH__PARKED, deadline))
        continue;
}

/* Anybody: ends the owner's sleep. False if it is not parked. */
static inline bool filch__unpark(struct filch__parker *p) {
    uint32_t parked = FILCH__PARKED;
    if (load_relaxed(&p->word) != FILCH__PARKED) return false; /* relaxed: a hint */
    if (!cas_acq_rel(&p->word, &parked, (uint32_t)FILCH__AWAKE))
        return false; /* P1 -> P2, P4; P1 <- P3, P4 */
    filch__futex_wake(&p->word, 1);
    return true;
}

#endif
