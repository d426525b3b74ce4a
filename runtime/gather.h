/* gather.h: one waiter for a set of futures: of filch_wait, or of filch_as_completed.
 *
 * Flow     set.c makes one, adds the unfinished futures (a slot each, registered in the future's hub), and
 *          sleeps on it; whoever finishes a future tells it (hub.c); the waiter leaves.
 * State    word: bit 0 SLEEPING, the waiter's; above it references: one of the waiter, and one for each slot
 *          that whoever finishes its future may still have. It starts with all slots; the waiter gives back
 *          its own, those of slots that it never registered, and those that it deregistered, in one step.
 *          failed: set by who finishes. done: pushed by who finishes, taken by the waiter.
 *          idle: slots whose reference is the waiter's to give back; the waiter's, as is all the rest.
 * Keeps    1. One thread waits at a time. 2. A slot that was registered is told, or deregistered, once.
 * Orders
 *   G1 fetch_sub_acq_rel word (tell) -> G2 load_acquire word (ready): that the future is done, and its error
 *   G1 fetch_sub_acq_rel word (tell) -> G3 fetch_or_acq_rel word (sleep): the same; the waiter sees it, or is seen to sleep
 *   G3 fetch_or_acq_rel word (sleep) -> G1 fetch_sub_acq_rel word (tell): as above
 *   G1 fetch_sub_acq_rel word (tell) -> G1 fetch_sub_acq_rel word (leave): the last frees it after all others
 *   G4 store_release failed (tell) -> G5 load_acquire failed (ready): that the future is done; the waiter may see the error before it is told
 * Progress tell wait-free but for the push, which is lock-free. A finisher that is descheduled between taking
 *          a slot and telling keeps the memory alive and nobody waiting: a waiter whose time is over leaves.
 * Memory   one block: this and its slots. The last reference frees it; see also hub.h. */
#ifndef FILCH_RUNTIME_GATHER_H
#define FILCH_RUNTIME_GATHER_H

#include "hub.h"

enum filch__gather_for {
    GATHER_FIRST, /* until one is told */
    GATHER_ERROR, /* until one is told that has failed, or all are */
    GATHER_EACH   /* until `done` has something */
};

struct filch__gathering {
    uint64_t word;
    struct filch__stack done;
    uint32_t failed;
    uint32_t generation; /* filch__fork_now when it was made */
    enum filch__gather_for what;
    size_t n, idle;
    struct filch__slot slots[];
};

#define GATHER_SLEEPING UINT64_C(1)
#define GATHER_REFERENCE UINT64_C(2)
/* Slots at most: the half of the word that the waiter sleeps on counts them without a wrap. */
#define GATHER_LARGEST ((size_t)INT32_MAX - 1)

/* For n <= GATHER_LARGEST futures; NULL: no memory. */
struct filch__gathering *filch__gathering_create(size_t n, enum filch__gather_for what);
/* Registers slot i for the future. */
enum filch__registered filch__gathering_add(struct filch__gathering *g, size_t i, filch_future *f);
/* Takes slot i out: true: nobody will tell. The future's reference is still held. */
bool filch__gathering_remove(struct filch__gathering *g, size_t i);
/* The waiter is gone; takes out what is still registered. */
void filch__gathering_leave(struct filch__gathering *g);

/* Is what it is for the case? */
bool filch__gathering_ready(struct filch__gathering *g);
/* Sleeps until it is ready or the absolute deadline has passed; false: the deadline. */
bool filch__gathering_sleep(struct filch__gathering *g, int64_t deadline);
/* Spins at most `spin` nanoseconds, and not past the deadline; true: ready. */
bool filch__gathering_spin(struct filch__gathering *g, int64_t spin, int64_t deadline);
/* Whoever has finished the slot's future, and has taken the slot out of its cell. */
void filch__gathering_tell(struct filch__slot *slot);

#endif
