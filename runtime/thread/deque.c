/* thread/deque.c: the thief's side, growth and the end of rings. See deque.h for the orders. */
#include "thread/deque.h"

#include "os/memory.h"
#include "reclaim/reclaim.h"

static struct filch__ring *ring_create(int64_t capacity) {
    if (capacity > (INT64_MAX >> 8)) return NULL;
    size_t size = sizeof(struct filch__ring) + (size_t)capacity * sizeof(filch__entry);
    struct filch__ring *ring = filch__alloc_zeroed(size);
    if (ring != NULL) ring->mask = capacity - 1;
    return ring;
}

bool filch__deque_init(struct filch__deque *d, int64_t capacity) {
    store_relaxed(&d->top, 0);    /* relaxed: not shared yet */
    store_relaxed(&d->bottom, 0); /* relaxed: not shared yet */
    d->top_seen = 0;
    d->retired = NULL;
    d->retired_slots = 0;
    struct filch__ring *ring = ring_create(capacity);
    store_relaxed(&d->ring, ring); /* relaxed: not shared yet */
    return ring != NULL;
}

static void free_retired(struct filch__deque *d) {
    while (d->retired != NULL) {
        struct filch__ring *ring = d->retired;
        d->retired = ring->older;
        filch__free(ring);
    }
    d->retired_slots = 0;
}

void filch__deque_fini(struct filch__deque *d) {
    free_retired(d);
    filch__free(load_relaxed(&d->ring)); /* relaxed: not shared any more */
}

void filch__deque_collect(struct filch__deque *d) {
    if (likely(d->retired == NULL)) return;
    filch__reclaim_wait();
    free_retired(d);
}

cold bool filch__deque_grow(struct filch__deque *d) {
    struct filch__ring *old = load_relaxed(&d->ring); /* relaxed: own field */
    struct filch__ring *ring = ring_create(2 * (old->mask + 1));
    if (ring == NULL) return false;
    int64_t b = load_relaxed(&d->bottom);                            /* relaxed: own field */
    for (int64_t i = load_acquire(&d->top); i < b; i++) {            /* D6 <- D5 */
        filch__entry entry = load_relaxed(filch__ring_slot(old, i)); /* relaxed: own write */
        store_relaxed(filch__ring_slot(ring, i), entry);             /* relaxed: D4 publishes it */
    }
    POINT("deque.grow.copied");
    store_release(&d->ring, ring); /* D4 -> D4b */
    old->older = d->retired;
    d->retired = old;
    d->retired_slots += old->mask + 1;
    return true;
}

/* The steal itself, between read_begin and read_end. */
static enum filch__steal steal(struct filch__deque *d, filch__entry *entry) {
    int64_t t = load_acquire(&d->top); /* D6 <- D5 */
    fence_seq_cst();                   /* D8 <- D7, D9 */
    POINT("deque.steal.top");
    int64_t b = load_acquire(&d->bottom); /* D2 <- D1, D3 */
    if (t >= b) return STEAL_EMPTY;
    struct filch__ring *ring = load_acquire(&d->ring); /* D4b <- D4 */
    /* Before the CAS: after it the owner may use the slot again. */
    filch__entry e = load_relaxed(filch__ring_slot(ring, t)); /* relaxed: D2 and D4b order it */
    POINT("deque.steal.cas");
    if (!cas_seq_cst(&d->top, &t, t + 1)) return STEAL_LOST; /* D5 -> D5, D6 */
    *entry = e;
    return STEAL_OK;
}

enum filch__steal filch__deque_steal(struct filch__deque *d, filch__entry *entry) {
    filch__reclaim_read_begin();
    enum filch__steal outcome = steal(d, entry);
    filch__reclaim_read_end();
    return outcome;
}

static enum filch__steal steal_half(struct filch__deque *d, filch__entry *entries, int limit,
                                    int *count) {
    int64_t t = load_acquire(&d->top);    /* D6 <- D5 */
    int64_t b = load_acquire(&d->bottom); /* D2 <- D1 */
    int64_t n = b - t - (b - t) / 2;
    if (n <= 0) return STEAL_EMPTY;
    if (n > limit) n = limit;
    struct filch__ring *ring = load_acquire(&d->ring); /* D4b <- D4 */
    for (int64_t i = 0; i < n; i++)
        entries[i] = load_relaxed(filch__ring_slot(ring, t + i)); /* relaxed: D2 and D4b order it */
    POINT("deque.steal_half.cas");
    if (!cas_seq_cst(&d->top, &t, t + n)) return STEAL_LOST; /* D5 -> D5, D6 */
    *count = (int)n;
    return STEAL_OK;
}

enum filch__steal filch__deque_steal_half(struct filch__deque *d, filch__entry *entries, int limit,
                                          int *count) {
    filch__reclaim_read_begin();
    enum filch__steal outcome = steal_half(d, entries, limit, count);
    filch__reclaim_read_end();
    return outcome;
}
