/* outside.h: heaps for futures that threads submit which are no workers of the executor.
 *
 * Flow     a room's submit takes a heap, allocates from it, and gives it back. A thread gets the one that it had last, if
 *          nobody else has it now: its lines are in that thread's cache.
 * State    the list only grows until fini. busy: set by whoever owns the heap at the moment. submitted: its owners.
 * Orders
 *   O2 store_release busy (give) -> O1 exchange_acquire busy (take): the heap's lists
 *   O3 cas_release heaps (add) -> O4 load_acquire heaps (scan): the heap's fields
 * Progress lock-free: where all heaps are taken there is a new one.
 * Memory   heaps are sealed by fini; each lives until its last future is freed. */
#ifndef FILCH_OUTSIDE_H
#define FILCH_OUTSIDE_H

#include "base/atomics.h"
#include "base/compiler.h"
#include "base/slab.h"
#include "home.h"
#include "self.h"
#include <filch/executor.h>

struct filch__outside_heap {
    struct filch__outside_heap *next;
    struct filch__heap *heap;
    uint64_t submitted; /* by its owners */
    uint32_t busy;
};

struct filch__outside {
    struct filch__outside_heap *heaps;
    struct filch__home *home;
    uint64_t serial; /* no other one of this process has the same */
};

void filch__outside_init(struct filch__outside *outside, struct filch__home *home);
/* When nobody submits any more. */
void filch__outside_fini(struct filch__outside *outside);
void filch__outside_add_stats(struct filch__outside *outside, filch_stats *stats);

struct filch__outside_heap *filch__outside_take_other(struct filch__outside *outside);
/* The heap that this thread had last, if that is free; else another, or a new one. NULL: no memory. */
static inline struct filch__outside_heap *filch__outside_take(struct filch__outside *outside) {
    struct filch__outside_heap *o = filch__thread.heap_hint;
    if (likely(filch__thread.heap_owner == outside->serial) &&
        likely(exchange_acquire(&o->busy, 1u) == 0)) /* O1 <- O2 */
        return o;
    return filch__outside_take_other(outside);
}
static inline void filch__outside_give(struct filch__outside_heap *o) {
    store_release(&o->busy, 0u); /* O2 -> O1 */
}

#endif
