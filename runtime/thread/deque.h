/* thread/deque.h: the queue of a worker. Its owner pushes and pops at the bottom, thieves steal at the
 * top.
 *
 * Flow     a worker's `local` deque: push by submit, pop by the worker, steal by others. Its `inbound`
 *          deque, for tasks from outside: push by the worker that took them from the injector, in
 *          order; then take (the owner) and steal (others) at the top alone, so that they leave in
 *          order; there, several may be stolen at once, since nobody pops.
 * Source   Chase & Lev, "Dynamic Circular Work-Stealing Deque", SPAA 2005; orders after Le, Pop, Cohen
 *          & Zappa Nardelli, PPoPP 2013, with two differences: the edges are carried by orders on the
 *          operations instead of release fences, so that ThreadSanitizer follows them, and hence every
 *          store of bottom is a release (a release sequence does not outlive a plain store in C++20).
 * State    top: advanced by CAS, by whoever takes the entry there. bottom, ring: stored by the owner.
 *          top_seen, retired: the owner's own.
 * Keeps    1. top only grows; top <= bottom + 1, and top <= bottom outside of pop.
 *          2. Entries top..bottom-1 are in the ring; each is given out once: by the CAS that moves top
 *             past it, or by a pop that saw top below it after its fence.
 *          3. A slot is written again only after top is known to have passed its entry (D5).
 *          4. A ring is zero-filled and then filled before it is published; a thief with a stale top
 *             may read a slot that was never filled, and its CAS then fails.
 *          5. 64-bit signed indices: at 10^9 pushes a second they overflow after 292 years.
 * Orders
 *   D1 store_release bottom (push) -> D2 load_acquire bottom (steal): the entry, its slot, and what it refers to
 *   D3 store_release bottom (pop) -> D2 load_acquire bottom (steal): earlier pushes, which this store hides
 *   D4 store_release ring (grow) -> D4b load_acquire ring (steal): the copied slots
 *   D5 cas_seq_cst top (take) -> D6 load_acquire top (push, steal): the slot was read before it is written again
 *   D7 fence_seq_cst (pop) -> D8 fence_seq_cst (steal): of pop's store of bottom and load of top, and steal's load of top and load of bottom, at least one side sees the other
 *   D9 fence_after_rmw (pop of an awaited task) -> D8 fence_seq_cst (steal): as D7
 *   D5 cas_seq_cst top (take) -> D5 cas_seq_cst top (take): of the takers of an entry one wins
 * Why D7 and D8: a pop that takes entry b without a CAS has stored bottom = b and then read top < b. A
 * thief of b has read top = b and then bottom > b. Without the fences both can happen, and b is given
 * out twice. With them, either the pop's load of top comes after the thief's and sees the top that made
 * the thief's read possible (top = b: then pop goes through the CAS), or the thief's load of bottom sees
 * the pop's store, and finds the deque empty.
 * Why a locked operation in pop and no asymmetric fence: 2 ns a pop, where a membarrier would cost each
 * steal 0.4 to 10 us; futures are stolen often (see README.md).
 * Progress push, pop, take of an uncontended entry wait-free but for growth; steal lock-free: LOST
 *          means that somebody else has taken an entry.
 * Memory   a ring that growth has replaced may still be read by a thief. It is kept in `retired` until
 *          filch__deque_collect has waited for a grace period. All retired rings together are smaller
 *          than the one in use. */
#ifndef FILCH_THREAD_DEQUE_H
#define FILCH_THREAD_DEQUE_H

#include "base/atomics.h"
#include "base/compiler.h"
#include "base/point.h"
#include "thread/entry.h"

struct filch__ring {
    int64_t mask;              /* capacity - 1, the capacity a power of two */
    struct filch__ring *older; /* in the list of retired ones */
    filch__entry slots[];
};

struct filch__deque {
    own_lines int64_t top;
    own_lines int64_t bottom;
    int64_t top_seen; /* a lower bound of top */
    struct filch__ring *ring;
    struct filch__ring *retired;
    int64_t retired_slots; /* of all of them */
};

enum filch__steal { STEAL_OK, STEAL_EMPTY, STEAL_LOST };

/* Owner side. capacity: a power of two, at least 2. False: no memory. */
bool filch__deque_init(struct filch__deque *d, int64_t capacity);
/* Owner side, when nobody else uses it any more. */
void filch__deque_fini(struct filch__deque *d);
/* Owner side: frees replaced rings after a grace period, if there are any. Blocks for that time, which is
 * without end if the calling program waits for the caller while it reads under liburcu-bp itself. */
void filch__deque_collect(struct filch__deque *d);
/* Owner side: makes room for one more entry. False: no memory, the deque is as it was. */
bool filch__deque_grow(struct filch__deque *d);

/* Thief side: takes the oldest entry. */
enum filch__steal filch__deque_steal(struct filch__deque *d, filch__entry *entry);
/* Thief side, only of deques that nobody pops: takes the older half, rounded up, at most `limit`, in
 * order. *count entries on OK. */
enum filch__steal filch__deque_steal_half(struct filch__deque *d, filch__entry *entries, int limit,
                                          int *count);

static inline filch__entry *filch__ring_slot(struct filch__ring *ring, int64_t i) {
    return &ring->slots[i & ring->mask];
}

/* Owner side: where the next push goes. Entries pushed from now on have this index or a higher one. */
static inline int64_t filch__deque_bottom(struct filch__deque *d) {
    return load_relaxed(&d->bottom); /* relaxed: own field */
}

/* Any side: no entry below this is left. */
static inline int64_t filch__deque_top(struct filch__deque *d) {
    return load_relaxed(&d->top); /* relaxed: it only grows */
}

/* Any side: a hint, exact when nobody changes it. */
static inline bool filch__deque_is_empty(struct filch__deque *d) {
    int64_t top = load_acquire(&d->top);        /* D6 <- D5 */
    return load_acquire(&d->bottom) - top <= 0; /* D2 <- D1, D3 */
}

/* Owner side: the entry that pop would give, unless a thief is faster; ENTRY_NONE or an older value if
 * the deque is empty. For comparing, not for following. */
static inline filch__entry filch__deque_newest(struct filch__deque *d) {
    int64_t b = load_relaxed(&d->bottom);              /* relaxed: own field */
    struct filch__ring *ring = load_relaxed(&d->ring); /* relaxed: own field */
    return b == 0 ? ENTRY_NONE
                  : load_relaxed(filch__ring_slot(ring, b - 1)); /* relaxed: own write */
}

/* Owner side: the oldest entry, unless a thief is faster; ENTRY_NONE or another value if the deque is empty.
 * For comparing, not for following. */
static inline filch__entry filch__deque_oldest(struct filch__deque *d) {
    struct filch__ring *ring = load_relaxed(&d->ring);                /* relaxed: own field */
    return load_relaxed(filch__ring_slot(ring, filch__deque_top(d))); /* relaxed: own write */
}

/* Owner side. False: no memory, nothing was pushed. */
static inline bool filch__deque_push(struct filch__deque *d, filch__entry entry) {
    int64_t b = load_relaxed(&d->bottom);              /* relaxed: own field */
    struct filch__ring *ring = load_relaxed(&d->ring); /* relaxed: own field */
    if (unlikely(b - d->top_seen > ring->mask)) {
        d->top_seen = load_acquire(&d->top); /* D6 <- D5 */
        if (b - d->top_seen > ring->mask) {
            if (!filch__deque_grow(d)) return false;
            ring = load_relaxed(&d->ring); /* relaxed: own field */
        }
    }
    store_relaxed(filch__ring_slot(ring, b), entry); /* relaxed: D1 publishes it */
    POINT("deque.push.slot");
    store_release(&d->bottom, b + 1); /* D1 -> D2 */
    return true;
}

/* Owner side, the first half of a pop: hides the newest entry. Its index, or -1: there is none. The caller
 * makes a sequentially consistent fence before the second half. */
static inline int64_t filch__deque_pop_begin(struct filch__deque *d) {
    int64_t b = load_relaxed(&d->bottom) - 1; /* relaxed: own field */
    /* top only grows, so that an old value that says empty is right. */
    if (b < load_relaxed(&d->top)) return -1; /* relaxed: see above */
    store_release(&d->bottom, b);             /* D3 -> D2 */
    return b;
}

/* The second half: the entry, or ENTRY_NONE if a thief was faster. */
static inline filch__entry filch__deque_pop_end(struct filch__deque *d, int64_t b) {
    struct filch__ring *ring = load_relaxed(&d->ring); /* relaxed: own field */
    int64_t t = load_relaxed(&d->top);                 /* relaxed: ordered by D7, D9 */
    POINT("deque.pop.top");
    if (likely(t < b)) return load_relaxed(filch__ring_slot(ring, b)); /* relaxed: own write */
    filch__entry entry = ENTRY_NONE;
    if (t == b) {                                        /* the last one: thieves may want it too */
        entry = load_relaxed(filch__ring_slot(ring, b)); /* relaxed: own write */
        if (!cas_seq_cst(&d->top, &t, t + 1))            /* D5 -> D5, D6 */
            entry = ENTRY_NONE;
    }
    store_release(&d->bottom, b + 1); /* D3 -> D2 */
    return entry;
}

/* Owner side: the newest entry, or ENTRY_NONE. */
static inline filch__entry filch__deque_pop(struct filch__deque *d) {
    int64_t b = filch__deque_pop_begin(d);
    if (b < 0) return ENTRY_NONE;
    fence_seq_cst(); /* D7 -> D8 */
    return filch__deque_pop_end(d, b);
}

/* Owner side: takes the oldest entry if it is this one; false also if a thief was faster. The bottom does
 * not move, so that of the owner's takes this one needs no fence. */
static inline bool filch__deque_take_if_oldest(struct filch__deque *d, filch__entry entry) {
    int64_t t = load_acquire(&d->top);                    /* D6 <- D5 */
    if (t >= load_relaxed(&d->bottom)) return false;      /* relaxed: own field */
    struct filch__ring *ring = load_relaxed(&d->ring);    /* relaxed: own field */
    if (load_relaxed(filch__ring_slot(ring, t)) != entry) /* relaxed: own write */
        return false;
    return cas_seq_cst(&d->top, &t, t + 1); /* D5 -> D5, D6 */
}

/* Owner side, of a deque that it does not pop: the oldest entry, or ENTRY_NONE. */
static inline filch__entry filch__deque_take(struct filch__deque *d) {
    int64_t b = load_relaxed(&d->bottom); /* relaxed: own field */
    int64_t t = load_acquire(&d->top);    /* D6 <- D5 */
    while (t < b) {
        struct filch__ring *ring = load_relaxed(&d->ring);            /* relaxed: own field */
        filch__entry entry = load_relaxed(filch__ring_slot(ring, t)); /* relaxed: own write */
        if (cas_seq_cst(&d->top, &t, t + 1))                          /* D5 -> D5, D6 */
            return entry;
    }
    return ENTRY_NONE;
}

#endif
