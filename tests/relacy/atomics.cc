/* atomics.cc: the explorer's calls for atomic operations, over Relacy.
 *
 * Relacy has the model: store histories, orders, which old value a load may read, fences (thread_info, atomic_data). What is here
 * stands in the place of rl::generic_atomic, whose objects begin without a value, while places of C have the one that
 * is in memory. A place is made at its first operation in an execution; everybody knows its first value, and plain.cc
 * holds that who uses it does know of the plain store that it came from. The newest value stands in memory, too.
 *
 * SPDX-License-Identifier: MIT */
#include "backend.hpp"

extern "C" {
#include "sites.h"
}

namespace {

struct place {
    uintptr_t address;
    uint64_t execution;
    size_t size;
    rl::atomic_data *data; /* NULL: it was forgotten */
    unsigned last;         /* of the newest in `values` */
    uint64_t values[rl::atomic_history_size];
};

enum { PLACES = 1 << 13 };
place places[PLACES];
size_t used;
place *in_use[PLACES];
size_t in_use_count;
uint64_t execution;

place *lookup(uintptr_t address) {
    uint64_t hash = (uint64_t)address * UINT64_C(0x9e3779b97f4a7c15) >> 51;
    for (;; hash = (hash + 1) % PLACES) {
        place *p = &places[hash];
        if (p->address == 0) {
            if (++used > PLACES - PLACES / 8) abort();
            p->address = address;
        }
        if (p->address == address) return p;
    }
}

uint64_t peek(const volatile void *place, size_t size) {
    switch (size) {
    case 1: return *(const volatile uint8_t *)place;
    case 2: return *(const volatile uint16_t *)place;
    case 4: return *(const volatile uint32_t *)place;
    default: return *(const volatile uint64_t *)place;
    }
}
void poke(volatile void *place, uint64_t value, size_t size) {
    switch (size) {
    case 1: *(volatile uint8_t *)place = (uint8_t)value; break;
    case 2: *(volatile uint16_t *)place = (uint16_t)value; break;
    case 4: *(volatile uint32_t *)place = (uint32_t)value; break;
    default: *(volatile uint64_t *)place = value;
    }
}

void make(place *p, const volatile void *address, size_t size) {
    if (p->execution != execution) {
        p->execution = execution;
        p->data = NULL;
        in_use[in_use_count++] = p;
    }
    if (p->data != NULL) context().atomic_dtor(p->data);
    p->size = size;
    p->data = context().atomic_ctor(p);
    p->last = context().threadx_->atomic_init(p->data);
    sized.unseen(p->data, p->last);
    p->values[p->last] = peek(address, size);
    plain_mark_atomic(address);
}

/* Lets others go on; then the place, as it is. */
place *begin(const volatile void *address, size_t size) {
    point();
    blocks_check(address, "an atomic operation");
    plain_use(address, size, use::atomic);
    place *p = lookup((uintptr_t)address);
    bool is_known = p->execution == execution && p->data != NULL && p->size == size;
    /* Stacks are used again without an announcement. */
    if (!is_known || p->values[p->last] != peek(address, size)) make(p, address, size);
    return p;
}

rl::debug_info where(const explore_site *site) {
    const char *slash = strrchr(site->file, '/');
    return rl::debug_info(site->name, slash == NULL ? site->file : slash + 1, (unsigned)site->line);
}

unsigned read(place *p, explore_order order) {
    rl::thread_info_base *t = context().threadx_;
    switch (order) {
    case EXPLORE_SEQ_CST: return t->atomic_load_seq_cst(p->data);
    case EXPLORE_ACQUIRE:
    case EXPLORE_ACQ_REL: return t->atomic_load_acquire(p->data);
    default: return t->atomic_load_relaxed(p->data);
    }
}

/* The newest: a cas that fails. */
void read_newest(place *p, explore_order order) {
    rl::thread_info_base *t = context().threadx_;
    switch (order) {
    case EXPLORE_SEQ_CST: t->atomic_load_seq_cst_rmw(p->data); break;
    case EXPLORE_ACQUIRE:
    case EXPLORE_ACQ_REL: t->atomic_load_acquire_rmw(p->data); break;
    default: t->atomic_load_relaxed_rmw(p->data);
    }
}

void write(place *p, explore_order order, uint64_t value) {
    rl::thread_info_base *t = context().threadx_;
    switch (order) {
    case EXPLORE_SEQ_CST: p->last = t->atomic_store_seq_cst(p->data); break;
    case EXPLORE_RELEASE:
    case EXPLORE_ACQ_REL: p->last = t->atomic_store_release(p->data); break;
    default: p->last = t->atomic_store_relaxed(p->data);
    }
    p->values[p->last] = value;
    poke((volatile void *)p->address, value, p->size);
}

void update(place *p, explore_order order, uint64_t value) {
    rl::thread_info_base *t = context().threadx_;
    bool aba;
    switch (order) {
    case EXPLORE_SEQ_CST: p->last = t->atomic_rmw_seq_cst(p->data, aba); break;
    case EXPLORE_ACQ_REL: p->last = t->atomic_rmw_acq_rel(p->data, aba); break;
    case EXPLORE_RELEASE: p->last = t->atomic_rmw_release(p->data, aba); break;
    case EXPLORE_ACQUIRE: p->last = t->atomic_rmw_acquire(p->data, aba); break;
    default: p->last = t->atomic_rmw_relaxed(p->data, aba);
    }
    p->values[p->last] = value;
    poke((volatile void *)p->address, value, p->size);
}

uint64_t cut(uint64_t value, size_t size) {
    return size < 8 ? value & ((UINT64_C(1) << 8 * size) - 1) : value;
}

unsigned long long shown(uint64_t value) {
    return (unsigned long long)value;
}

} // namespace

void atomics_begin() {
    execution++;
    in_use_count = 0;
    if (used > PLACES / 2) {
        memset(static_cast<void *>(places), 0, sizeof places);
        used = 0;
    }
}

void atomics_end() {
    for (size_t i = 0; i < in_use_count; i++)
        if (in_use[i]->data != NULL) context().atomic_dtor(in_use[i]->data);
    in_use_count = 0;
}

void atomics_forget(const volatile void *address) {
    place *p = lookup((uintptr_t)address);
    if (p->execution != execution || p->data == NULL) return;
    context().atomic_dtor(p->data);
    p->data = NULL;
}

uint32_t atomics_newest(const volatile uint32_t *address) {
    /* It may be half of a place. */
    const volatile void *whole = (const volatile void *)((uintptr_t)address & ~(uintptr_t)7);
    const place *p = lookup((uintptr_t)whole);
    bool is_half = p->execution == execution && p->data != NULL && p->size == 8;
    read_newest(is_half ? begin(whole, 8) : begin(address, 4), EXPLORE_RELAXED);
    return *address;
}

uint64_t explore_load(explore_site *site, const volatile void *address, size_t size) {
    site_met(site);
    place *p = begin(address, size);
    unsigned index = read(p, site->order);
    if (index >= rl::atomic_history_size)
        fail(rl::test_result_unitialized_access, "no value at [%lx]", name_of(address));
    note(where(site), "[%lx] = %#llx%s", name_of(address), shown(p->values[index]),
         index == p->last ? "" : " (old)");
    return p->values[index];
}

void explore_store(explore_site *site, volatile void *address, uint64_t value, size_t size) {
    site_met(site);
    place *p = begin(address, size);
    write(p, site->order, cut(value, size));
    note(where(site), "[%lx] = %#llx", name_of(address), shown(cut(value, size)));
}

uint64_t explore_update(explore_site *site, volatile void *address, explore_rmw what,
                        uint64_t operand, size_t size) {
    site_met(site);
    place *p = begin(address, size);
    uint64_t old = p->values[p->last], value = operand;
    switch (what) {
    case EXPLORE_EXCHANGE: break;
    case EXPLORE_ADD: value = old + operand; break;
    case EXPLORE_SUB: value = old - operand; break;
    case EXPLORE_OR: value = old | operand; break;
    case EXPLORE_AND: value = old & operand; break;
    }
    update(p, site->order, cut(value, size));
    note(where(site), "[%lx] = %#llx, was %#llx", name_of(address), shown(cut(value, size)),
         shown(old));
    return old;
}

bool explore_cas(explore_site *site, volatile void *address, void *expected, uint64_t desired,
                 size_t size, bool weak) {
    site_met(site);
    uint64_t wanted = peek(expected, size);
    place *p = begin(address, size);
    uint64_t old = p->values[p->last];
    if (old != wanted || (weak && without_reason())) {
        /* With what order it reads then: as include/filch/atomic.h has it. */
        read_newest(p, site->order);
        note(where(site), "[%lx] is %#llx, not %#llx: fails", name_of(address), shown(old),
             shown(wanted));
        if (!is_thread_local(expected)) plain_use(expected, size, use::write);
        poke(expected, old, size);
        return false;
    }
    update(p, site->order, cut(desired, size));
    note(where(site), "[%lx] = %#llx, was %#llx", name_of(address), shown(cut(desired, size)),
         shown(old));
    return true;
}

void explore_fence(explore_site *site) {
    site_met(site);
    switch (site->order) {
    case EXPLORE_SEQ_CST: {
        switching s;
        context().atomic_thread_fence_seq_cst();
        break;
    }
    case EXPLORE_ACQ_REL: context().atomic_thread_fence_acq_rel(); break;
    case EXPLORE_ACQUIRE: context().atomic_thread_fence_acquire(); break;
    case EXPLORE_RELEASE: context().atomic_thread_fence_release(); break;
    default: return;
    }
    note(where(site), "fence");
}
