/* outside.c: see outside.h. */
#include "outside.h"

#include "os/memory.h"

void filch__outside_init(struct filch__outside *outside, struct filch__home *home) {
    static uint64_t serials;
    outside->home = home;
    outside->serial = fetch_add_relaxed(&serials, 1) + 1; /* relaxed: a number that is used once */
}

static struct filch__outside_heap *remember(struct filch__outside *outside,
                                            struct filch__outside_heap *o) {
    filch__thread.heap_owner = outside->serial;
    filch__thread.heap_hint = o;
    return o;
}

static struct filch__outside_heap *create(struct filch__outside *outside) {
    struct filch__outside_heap *o = filch__alloc_zeroed(sizeof *o);
    if (o == NULL) return NULL;
    o->busy = 1;
    o->heap = filch__heap_create(outside->home, filch__home_release);
    if (o->heap == NULL) {
        filch__free(o);
        return NULL;
    }
    filch__home_retain(outside->home);
    o->next = load_acquire(&outside->heaps);           /* O4 <- O3 */
    while (!cas_release(&outside->heaps, &o->next, o)) /* O3 -> O4 */
        continue;
    return o;
}

noinline struct filch__outside_heap *filch__outside_take_other(struct filch__outside *outside) {
    struct filch__outside_heap *o;
    for (o = load_acquire(&outside->heaps); o != NULL; o = o->next) { /* O4 <- O3 */
        if (load_relaxed(&o->busy) != 0) continue;                    /* relaxed: a hint */
        if (exchange_acquire(&o->busy, 1u) != 0) continue;            /* O1 <- O2 */
        return remember(outside, o);
    }
    o = create(outside);
    return o == NULL ? NULL : remember(outside, o);
}

void filch__outside_fini(struct filch__outside *outside) {
    struct filch__outside_heap *o = load_acquire(&outside->heaps); /* O4 <- O3 */
    while (o != NULL) {
        struct filch__outside_heap *next = o->next;
        (void)exchange_acquire(&o->busy, 1u); /* O1 <- O2 */
        filch__heap_seal(o->heap);
        filch__free(o);
        o = next;
    }
}

void filch__outside_add_stats(struct filch__outside *outside, filch_stats *stats) {
    struct filch__outside_heap *o = load_acquire(&outside->heaps); /* O4 <- O3 */
    for (; o != NULL; o = o->next) {
        stats->submitted += load_relaxed(&o->submitted); /* relaxed: a statistic */
        stats->remote_frees += filch__heap_remote_frees(o->heap);
    }
}
