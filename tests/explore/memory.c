/* memory.c: atomic places as histories of stores, and what each thread may still read.
 *
 * The model is operational: stores enter their place's modification order in the order of execution.
 *
 *   load       any store that is not older than the thread's bound: the newest store that happens before, that a
 *              read which happens before has read, or that a fence has ordered before (C++20, coherence).
 *   release    the store carries what its thread knows; acquire: the thread then knows that as well.
 *   sequence   a read-modify-write carries on what the store that it reads carries; a plain store does not
 *              (C++20: not even one by the same thread).
 *   rmw        reads the newest store; a cas that fails may read an older one that is not what it expects.
 *   fence      sequentially consistent: bounds are joined with those of all earlier fences; and a release of
 *              the later relaxed stores and an acquire of the earlier relaxed loads (not with bare_fences).
 *   seq_cst    an operation on a place is ordered against other such operations on the same place, and
 *              against fences, but carries nothing else: it is no fence.
 *
 * Not here: modification orders against the order of execution (2+2W), loads that read what comes later in the
 * order of execution (load buffering); README.md.
 *
 * SPDX-License-Identifier: MIT */
#include "inside.h"
#include "sites.h"

#include <stdlib.h>
#include <string.h>

/* Times that a thread reads the same old store of a place in an exhaustive search. */
enum { STALE_AGAIN = 2 };

struct store {
    uint64_t value;
    uint64_t total; /* place in S of the first seq_cst operation that wrote or read it; 0: none */
    int thread;
    uint32_t epoch;
    struct clock seen; /* by whom first when; 0: not */
    struct view message;
    uint8_t again[EXPLORE_THREADS];
};

struct place {
    const volatile void *address;
    uint64_t execution; /* whose history this is */
    struct store *stores;
    size_t count, room;
    uint8_t readers, writers; /* threads that have used it while others were alive, ever */
    size_t size;
    bool written; /* by plain stores since */
};

enum { PLACES = 1 << 14 };
static struct place places[PLACES];
static size_t places_used;
static uint64_t execution;
static struct view global; /* what fences have ordered */
static uint64_t total;     /* length of S */
bool bare_fences;
bool memory_sharing_grew;

void memory_begin(void) {
    execution++;
    total = 0;
    memset(&global, 0, sizeof global);
}

static struct place *find(const volatile void *address) {
    uint64_t hash = (uint64_t)(uintptr_t)address * UINT64_C(0x9e3779b97f4a7c15) >> 50;
    for (;; hash = (hash + 1) % PLACES) {
        struct place *p = &places[hash];
        if (p->address == address) return p;
        if (p->address == NULL) return p;
    }
}

static uint64_t peek(const volatile void *address, size_t size) {
    uint64_t value = 0;
    memcpy(&value, (const void *)(uintptr_t)address, size);
    return value;
}

static void poke(volatile void *address, uint64_t value, size_t size) {
    memcpy((void *)(uintptr_t)address, &value, size);
}

static struct store *add_store(struct place *p, uint64_t value) {
    if (p->count == p->room) {
        p->room = p->room == 0 ? 8 : 2 * p->room;
        p->stores = realloc(p->stores, p->room * sizeof *p->stores);
        if (p->stores == NULL) abort();
    }
    struct store *s = &p->stores[p->count++];
    memset(s, 0, sizeof *s);
    s->value = value;
    return s;
}

/* The place, with a history in this execution. What is there before the first operation is known to all: a
 * race with whoever wrote it is found by plain.c, and an allocation that is not known by kernel.c. */
static struct place *get(const volatile void *address, size_t size) {
    struct place *p = find(address);
    if (p->address == NULL) {
        if (++places_used > PLACES / 2) abort();
        p->address = address;
    }
    if (p->execution != execution) {
        p->execution = execution;
        p->count = 0;
        p->written = false;
        p->size = size;
        add_store(p, peek(address, size));
    }
    if (p->written) {
        p->written = false;
        p->count = 0;
        add_store(p, peek(address, size));
    }
    return p;
}

void memory_written(const void *address, size_t size) {
    for (size_t i = 0; i < size; i += 4) {
        struct place *p = find((const char *)address + i);
        if (p->address != NULL && p->execution == execution) p->written = true;
    }
}

uint64_t memory_newest(const volatile void *address, size_t size) {
    return peek(address, size);
}

/* Before an operation: a point to switch, and the checks of its memory. */
static struct place *begin(const volatile void *address, size_t size, bool reads, bool writes) {
    struct place *p = find(address);
    uint8_t self = (uint8_t)(1u << current);
    bool local = p->address != NULL && ((p->readers | p->writers) & ~self) == 0;
    if (p->address != NULL && !writes && (p->writers & ~self) == 0) local = true;
    schedule_point(local && (p->readers | p->writers) != 0);
    kernel_check_block(address, "an atomic operation");
    clock_tick();
    plain_access(address, size, writes ? ACCESS_ATOMIC_WRITE : ACCESS_ATOMIC_READ);
    p = get(address, size);
    if (schedule_alive() > 1) {
        uint8_t r = p->readers, w = p->writers;
        if (reads) p->readers |= self;
        if (writes) p->writers |= self;
        if (r != p->readers || w != p->writers) memory_sharing_grew = true;
    }
    return p;
}

static bool covers(const struct clock *clock, const struct store *s) {
    if (clock->at[s->thread] >= s->epoch) return true;
    for (int u = 0; u < thread_count; u++)
        if (s->seen.at[u] != 0 && clock->at[u] >= s->seen.at[u]) return true;
    return false;
}

/* Index of the oldest store that the thread may read. */
static size_t oldest_visible(const struct place *p, enum explore_order order) {
    const struct view *v = &threads[current].now;
    size_t i = p->count - 1;
    for (; i > 0; i--) {
        const struct store *s = &p->stores[i];
        if (covers(&v->bound, s)) break;
        if (s->total != 0 && s->total < v->fence) break;
        if (order == EXPLORE_SEQ_CST && (s->total != 0 || covers(&global.bound, s))) break;
    }
    return i;
}

static bool acquires(enum explore_order order) {
    return order == EXPLORE_ACQUIRE || order >= EXPLORE_ACQ_REL;
}
static bool releases(enum explore_order order) {
    return order == EXPLORE_RELEASE || order >= EXPLORE_ACQ_REL;
}

static void take_message(struct store *s, enum explore_order order) {
    struct thread *t = &threads[current];
    if (s->seen.at[current] == 0) s->seen.at[current] = t->now.known.at[current];
    if (order == EXPLORE_SEQ_CST && s->total == 0) s->total = ++total;
    view_join(acquires(order) ? &t->now : &t->pending, &s->message);
}

/* Which visible store a load reads, by age; `not_value` (if any): older ones of that value are left out. */
static struct store *choose_store(struct place *p, enum explore_order order,
                                  const uint64_t *not_value) {
    size_t oldest = oldest_visible(p, order), newest = p->count - 1;
    if (oldest == newest) return &p->stores[newest];
    size_t choice[64];
    unsigned count = 0;
    choice[count++] = newest;
    for (size_t i = newest; i-- > oldest && count < 64;)
        if (not_value == NULL || p->stores[i].value != *not_value) choice[count++] = i;
    if (count == 1) return &p->stores[newest];
    /* Who spins does not read the same old value for ever. */
    unsigned allowed = count;
    while (allowed > 1 && p->stores[choice[allowed - 1]].again[current] >= STALE_AGAIN) allowed--;
    unsigned age = search_choose(CHOOSE_STALE, allowed);
    struct store *s = &p->stores[choice[age]];
    if (age != 0) s->again[current]++;
    return s;
}

/* The running thread writes; a read-modify-write has read `before`. */
static void write(struct place *p, uint64_t value, size_t size, enum explore_order order,
                  const struct view *sequence) {
    struct thread *t = &threads[current];
    struct store *s = add_store(p, value);
    s->thread = current;
    s->epoch = t->now.known.at[current];
    s->message = releases(order) ? t->now : t->fenced;
    if (sequence != NULL) view_join(&s->message, sequence);
    if (order == EXPLORE_SEQ_CST) s->total = ++total;
    poke((volatile void *)(uintptr_t)p->address, value, size);
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static void trace_site(const struct explore_site *site, const volatile void *address,
                       uint64_t value, size_t age) {
    if (!tracing) return;
    trace("%s:%d %s %s = %#llx%s", base_name(site->file), site->line, site->name,
          plain_name(address), (unsigned long long)value, age == 0 ? "" : " (old)");
}

uint64_t explore_load(struct explore_site *site, const volatile void *address, size_t size) {
    site_met(site);
    struct place *p = begin(address, size, true, false);
    struct store *s = choose_store(p, site->order, NULL);
    trace_site(site, address, s->value, (size_t)(&p->stores[p->count - 1] - s));
    take_message(s, site->order);
    return s->value;
}

void explore_store(struct explore_site *site, volatile void *address, uint64_t value, size_t size) {
    site_met(site);
    if (size < 8) value &= (UINT64_C(1) << 8 * size) - 1;
    struct place *p = begin(address, size, false, true);
    trace_site(site, address, value, 0);
    write(p, value, size, site->order, NULL);
}

uint64_t explore_update(struct explore_site *site, volatile void *address, enum explore_rmw what,
                        uint64_t operand, size_t size) {
    site_met(site);
    struct place *p = begin(address, size, true, true);
    struct store *s = &p->stores[p->count - 1];
    uint64_t old = s->value, value = operand;
    take_message(s, site->order);
    struct view sequence = s->message;
    switch (what) {
    case EXPLORE_EXCHANGE: break;
    case EXPLORE_ADD: value = old + operand; break;
    case EXPLORE_SUB: value = old - operand; break;
    case EXPLORE_OR: value = old | operand; break;
    case EXPLORE_AND: value = old & operand; break;
    }
    if (size < 8) value &= (UINT64_C(1) << 8 * size) - 1;
    trace_site(site, address, value, 0);
    write(p, value, size, site->order, &sequence);
    return old;
}

/* With what order a cas of that order reads when it fails: as include/filch/atomic.h has it. */
static enum explore_order order_of_failure(enum explore_order order) {
    return order == EXPLORE_SEQ_CST                               ? EXPLORE_SEQ_CST
           : order == EXPLORE_ACQUIRE || order == EXPLORE_ACQ_REL ? EXPLORE_ACQUIRE
                                                                  : EXPLORE_RELAXED;
}

bool explore_cas(struct explore_site *site, volatile void *address, void *expected,
                 uint64_t desired, size_t size, bool weak) {
    site_met(site);
    uint64_t wanted = peek(expected, size);
    if (size < 8) desired &= (UINT64_C(1) << 8 * size) - 1;
    struct place *p = begin(address, size, true, true);
    struct store *s = choose_store(p, order_of_failure(site->order), &wanted);
    bool newest = s == &p->stores[p->count - 1];
    bool fails = s->value != wanted;
    if (!fails && weak && search_choose(CHOOSE_FLAG, 2) == 1) fails = true;
    if (fails) {
        trace_site(site, address, s->value, newest ? 0 : 1);
        if (tracing) trace("  ... fails");
        take_message(s, order_of_failure(site->order));
        plain_access(expected, size, ACCESS_WRITE);
        poke(expected, s->value, size);
        return false;
    }
    take_message(s, site->order);
    struct view sequence = s->message;
    trace_site(site, address, desired, 0);
    write(p, desired, size, site->order, &sequence);
    return true;
}

void memory_fence(int thread) {
    struct thread *t = &threads[thread];
    if (!bare_fences) {
        view_join(&t->now, &t->pending);
    } else {
        clock_join(&t->now.bound, &t->pending.bound);
        if (t->pending.fence > t->now.fence) t->now.fence = t->pending.fence;
    }
    clock_join(&t->now.bound, &global.bound);
    clock_join(&global.bound, &t->now.bound);
    t->now.fence = ++total;
    t->fenced = t->now;
    if (bare_fences) memset(&t->fenced.known, 0, sizeof t->fenced.known);
}

void explore_fence(struct explore_site *site) {
    site_met(site);
    if (site->order == EXPLORE_NONE) return;
    schedule_point(false);
    clock_tick();
    if (tracing) trace("%s:%d %s", base_name(site->file), site->line, site->name);
    if (site->order == EXPLORE_SEQ_CST) {
        memory_fence(current);
        return;
    }
    struct thread *t = &threads[current];
    view_join(&t->now, &t->pending);
    t->fenced = t->now;
}
