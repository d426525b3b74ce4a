/* thread/block.h: a worker that is BLOCKED: parked in a wait, or in what its task has declared to block.
 *
 * Flow     wait.c, frames.c (a stolen call) -> park, when there is nothing that may run on top: it sleeps until it is
 *          over, while a spare takes the place and circle.c looks whether the wait can end at all.
 *          filch_blocking_begin and _end -> the same without a sleep.
 * Not here: what a waiting worker may run (wait.c), how spares are told (crew.c), the word that counts the blocked
 *          (sleep.h), the sleep on a future (await.c) or a set (gather.h). */
#ifndef FILCH_THREAD_BLOCK_H
#define FILCH_THREAD_BLOCK_H

#include "gather.h"
#include "thread/pool.h"

/* How a worker waits for a future. */
enum filch__manner {
    WAIT_HELPING,
    WAIT_ISOLATED, /* runs nothing but the awaited task */
    WAIT_FIRM      /* helps, and does not give up: of a circle, another has to */
};

/* What a worker waits for. */
struct filch__awaited {
    filch_future *future; /* of this executor; with a set: the only one left; NULL: others */
    struct filch__gathering *set; /* or NULL */
    filch_future *foreign;        /* without a set: a future of no other place; or NULL */
    filch_slot *slot;             /* a forked call that another worker runs, alone; or NULL */
    bool stuck;                   /* with a set: see executor_ops.h */
    enum filch__manner manner;
};

static inline filch_future *filch__awaited_single(const struct filch__awaited *a) {
    return a->future != NULL ? a->future : a->foreign;
}
static inline bool filch__awaited_is_over(const struct filch__awaited *a) {
    if (a->slot != NULL)
        return (load_acquire(&a->slot->status) & SLOT_OVER) != 0; /* L11 <- L10, L12 */
    if (a->set != NULL) return filch__gathering_ready(a->set);
    return state_is_done(state_look(&filch__awaited_single(a)->state));
}

/* Parks until it is over; a spare takes the place. 0, or why it is waited for no longer, with the text, but for
 * FILCH_ETIMEDOUT. */
int filch__worker_park(struct filch__worker *w, const struct filch__awaited *a, int64_t deadline);

#endif
