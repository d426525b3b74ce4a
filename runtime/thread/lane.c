/* thread/lane.c: the slow side of a worker's forked calls; see lane.h for the orders and the proof. */
#include "thread/lane.h"

#include "base/point.h"
#include "os/barrier.h"
#include "os/memory.h"

/* Above every slot. */
#define EVERYWHERE ((filch_slot *)UINTPTR_MAX)

/* The slots, and behind them the roots. */
#define SLOTS_SIZE ((LANE_SLOTS + (size_t)1) * sizeof(filch_slot))
#define ROOTS_SIZE ((LANE_SLOTS + (size_t)1) * sizeof(uintptr_t))
_Static_assert(sizeof(filch_slot) == CACHE_LINE, "what a thief needs comes with one line");

bool filch__lane_init(struct filch__lane *l) {
    l->slots = filch__map_sparse(SLOTS_SIZE + ROOTS_SIZE);
    if (l->slots == NULL) return false;
    l->roots = (uintptr_t *)(void *)(l->slots + LANE_SLOTS + 1);
    store_relaxed(&l->hot.pos, l->slots);   /* relaxed: not shared yet */
    store_relaxed(&l->hot.limit, NULL);     /* relaxed: not shared yet */
    store_relaxed(&l->hot.guard, l->slots); /* relaxed: not shared yet */
    l->hot.end = l->slots + LANE_SLOTS;
    store_relaxed(&l->rootless, l->slots); /* relaxed: not shared yet */
    store_relaxed(&l->base, 0);            /* relaxed: not shared yet */
    store_relaxed(&l->shared, 0);          /* relaxed: not shared yet */
    return true;
}

void filch__lane_fini(struct filch__lane *l) {
    if (l->slots != NULL) filch__unmap(l->slots, SLOTS_SIZE + ROOTS_SIZE);
}

/* Owner: the guard that belongs to a split; stored before the CAS that makes it so. */
static void set_guard(struct filch__lane *l, uint32_t split, bool alert) {
    filch_slot *guard = alert ? EVERYWHERE : l->slots + split;
    POINT("lane.guard");
    store_relaxed(&l->hot.guard, guard); /* relaxed: L8 follows */
}

void filch__lane_note_root(struct filch__lane *l, uint32_t index, const void *task) {
    store_relaxed(&l->roots[index], (uintptr_t)task | 1); /* relaxed: L14 or L8 publishes it */
    store_relaxed(&l->base, index + 1);                   /* relaxed: L14 or L8 publishes it */
    store_release(&l->rootless, EVERYWHERE);              /* L14 -> L15 */
}

void filch__lane_forget_root(struct filch__lane *l, uint32_t index) {
    store_relaxed(&l->roots[index], 0); /* relaxed: L1 or L8 of the next fork publishes it */
}

/* Each of the two may have lowered the guard for a word that was not the present one any more, below what a thief has raised it to
 * for that. So after a CAS that failed they end with one that succeeds, though it changes nothing but the version. */
bool filch__lane_publish(struct filch__lane *l, bool all, bool alert) {
    uint32_t used = filch__lane_used(l);
    uint64_t word = lane_read(l);
    for (bool lowered = false;; lowered = true) {
        uint32_t top = lane_top(word), split = lane_split(word), next = split;
        if (split != used && (top == split || all))
            next += all ? used - split : (used - split + 1) / 2;
        else if (!lowered)
            return top < split;
        set_guard(l, next, alert);
        if (cas_seq_cst(&l->shared, &word, lane_word(word, top, next))) /* L8 -> L9, L8 */
            return top < next;
    }
}

bool filch__lane_reclaim(struct filch__lane *l, uint32_t index, bool keep, bool alert) {
    uint64_t word = lane_read(l);
    for (bool lowered = false;; lowered = true) {
        uint32_t top = lane_top(word), split = lane_split(word), next = split;
        if (index < top && !lowered) return false;
        /* Of those that are public and older, half become private again: their joins come next. */
        if (top <= index && index < split) next = keep ? index : top + (index - top) / 2;
        set_guard(l, next, alert);
        POINT("lane.reclaim");
        if (cas_seq_cst(&l->shared, &word, lane_word(word, top, next))) /* L8 -> L9, L8 */
            return index >= top;
    }
}

void filch__lane_reset(struct filch__lane *l, uint32_t index, bool alert) {
    uint64_t word = lane_read(l);
    do set_guard(l, index, alert);
    while (!cas_seq_cst(&l->shared, &word, lane_word(word, index, index))); /* L8 -> L9, L8 */
}

enum filch__steal filch__lane_steal(struct filch__lane *l, filch_slot **slot) {
    uint64_t word = lane_read(l);
    uint32_t top = lane_top(word);
    if (top >= lane_split(word)) return STEAL_EMPTY;
    POINT("lane.steal");
    if (!cas_seq_cst(&l->shared, &word, word + LANE_TOP_ONE)) return STEAL_LOST; /* L8 -> L9, L8 */
    *slot = l->slots + top;
    return STEAL_OK;
}

/* The guard is at least this from now on, until the owner changes the word. */
static void raise_guard(struct filch__lane *l, filch_slot *least) {
    filch_slot *guard = load_relaxed(&l->hot.guard); /* relaxed: the CAS follows */
    while (guard < least && !cas_seq_cst(&l->hot.guard, &guard, least)) /* L5 <-> L4 */
        continue;
}

enum filch__steal filch__lane_force(struct filch__lane *l, filch_slot **slot) {
    uint64_t word = lane_read(l);
    uint32_t k = lane_split(word);
    if (lane_top(word) < k) return filch__lane_steal(l, slot);
    if (k >= LANE_SLOTS) return STEAL_EMPTY;
    raise_guard(l, l->slots + k + 1);
    POINT("lane.force.raised");
    if (!filch__barrier_everywhere()) return STEAL_EMPTY;
    if (load_acquire(&l->hot.pos) <= l->slots + k) return STEAL_EMPTY;  /* L2 <- L1, L3 */
    if (load_acquire(&l->rootless) <= l->slots + k) return STEAL_EMPTY; /* L15 <- L14 */
    POINT("lane.force");
    if (!cas_seq_cst(&l->shared, &word, lane_word(word, k + 1, k + 1))) /* L8 -> L9, L8 */
        return STEAL_LOST;
    *slot = l->slots + k;
    return STEAL_OK;
}

uintptr_t filch__lane_root(struct filch__lane *l, uint32_t index) {
    uint32_t base = load_relaxed(&l->base); /* relaxed: ordered by L8, or by L15 */
    uint32_t at = base != 0 && base - 1 < index ? base - 1 : index;
    uintptr_t root = load_relaxed(&l->roots[at]); /* relaxed: ordered by L8, or by L15 */
    while (root == 0 && at > 0) root = load_relaxed(&l->roots[--at]); /* relaxed: as above */
    return root & ~(uintptr_t)1;
}

void filch__lane_alert(struct filch__lane *l) {
    raise_guard(l, EVERYWHERE);
}
