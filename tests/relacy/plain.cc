/* plain.cc: plain accesses of the explored sources, over Relacy's detector of races (rl::var).
 *
 * The compiler's instrumentation reports them, as to tests/explore/plain.c; rl::var_data decides: who reads must know of
 * all writes, who writes of all accesses. Bytes that are used together share one. An atomic operation counts as a read:
 * it must know of the plain store that initialised its place, and who overwrites or frees the place must know of it. A
 * plain read beside an atomic write is not seen.
 *
 * SPDX-License-Identifier: MIT */
#include "backend.hpp"

namespace {

/* Bytes of a word that have always been used together. */
struct group {
    uint8_t bytes;
    rl::var_data *data;
};

/* Of eight bytes. */
struct word {
    uintptr_t address; /* over 8 */
    uint64_t execution;
    uint8_t atomics; /* where an atomic place begins */
    uint8_t count;
    group groups[8];
};

enum { WORDS = 1 << 15 };
word words[WORDS];
size_t used;
word *in_use[WORDS];
size_t in_use_count;
uint64_t execution;

word *lookup(uintptr_t address, bool is_made) {
    uint64_t hash = (uint64_t)address * UINT64_C(0x9e3779b97f4a7c15) >> 49;
    for (;; hash = (hash + 1) % WORDS) {
        word *w = &words[hash];
        if (w->address != address && w->address != 0) continue;
        if (!is_made && (w->address == 0 || w->execution != execution)) return NULL;
        if (w->address == 0) {
            if (++used > WORDS - WORDS / 8) abort();
            w->address = address;
        }
        if (w->execution != execution) {
            w->execution = execution;
            w->atomics = w->count = 0;
            in_use[in_use_count++] = w;
        }
        return w;
    }
}

void add(word *w, uint8_t bytes, rl::var_data *data) {
    w->groups[w->count++] = group{bytes, data};
}

/* Has none of the groups lie on both sides of the border of these bytes, and each of them in one. */
void separate(word *w, uint8_t bytes) {
    uint8_t rest = bytes;
    for (int i = w->count - 1; i >= 0; i--) {
        group *g = &w->groups[i];
        uint8_t inside = g->bytes & bytes;
        rest &= (uint8_t)~inside;
        if (inside == 0 || inside == g->bytes) continue;
        g->bytes &= (uint8_t)~inside;
        add(w, inside, sized.clone(g->data));
    }
    if (rest != 0) add(w, rest, context().var_ctor());
}

const char *name_of_use(enum use use) {
    return use == use::read ? "plain read" : use == use::write ? "plain write" : "atomic operation";
}

void use_word(word *w, uint8_t bytes, enum use use) {
    separate(w, bytes);
    for (int i = 0; i < w->count; i++) {
        if ((w->groups[i].bytes & bytes) == 0) continue;
        rl::thread_info_base &t = *context().threadx_;
        rl::var_data *data = w->groups[i].data;
        if (!(use == use::write ? data->store(t) : data->load(t)))
            fail(rl::test_result_data_race, "race: %s in the word at [%lx]", name_of_use(use),
                 name_of((void *)(w->address * 8)));
    }
    if (use != use::write || (w->atomics & bytes) == 0) return;
    for (unsigned i = 0; i < 8; i++)
        if ((w->atomics & bytes & 1u << i) != 0) atomics_forget((void *)(w->address * 8 + i));
}

void plain(void *place, size_t size, enum use use) {
    if (!executing || is_thread_local(place)) return;
    blocks_check(place, name_of_use(use));
    plain_use(place, size, use);
}

} // namespace

void plain_begin() {
    execution++;
    in_use_count = 0;
    if (used > WORDS / 2) {
        memset(static_cast<void *>(words), 0, sizeof words);
        used = 0;
    }
}

void plain_end() {
    for (size_t i = 0; i < in_use_count; i++)
        for (int j = 0; j < in_use[i]->count; j++) context().var_dtor(in_use[i]->groups[j].data);
    in_use_count = 0;
}

void plain_use(const volatile void *place, size_t size, enum use use) {
    uintptr_t at = (uintptr_t)place, end = at + size;
    while (at < end) {
        uintptr_t next = (at / 8 + 1) * 8;
        if (next > end) next = end;
        word *w = lookup(at / 8, true);
        use_word(w, (uint8_t)(((1u << (next - at)) - 1) << at % 8), use);
        at = next;
    }
}

void plain_free(const void *start, size_t size) {
    uintptr_t first = (uintptr_t)start / 8, end = ((uintptr_t)start + size + 7) / 8;
    for (size_t i = 0; i < in_use_count; i++) {
        word *w = in_use[i];
        if (w->address < first || w->address >= end) continue;
        for (int j = 0; j < w->count; j++)
            if (!w->groups[j].data->store(*context().threadx_))
                fail(rl::test_result_data_race,
                     "freed by thread %d, which does not know of all uses of the word at [%lx]",
                     self(), name_of((void *)(w->address * 8)));
    }
}

void plain_mark_atomic(const volatile void *place) {
    lookup((uintptr_t)place / 8, true)->atomics |= (uint8_t)(1u << (uintptr_t)place % 8);
}

/* What the compiler calls ------------------------------------------------------------------------ */

#define ACCESS(name, size, use)                                                                    \
    void __tsan_##name##size(void *place);                                                         \
    void __tsan_##name##size(void *place) {                                                        \
        plain(place, size, use);                                                                   \
    }
#define ACCESSES(size)                                                                             \
    ACCESS(read, size, use::read)                                                                  \
    ACCESS(write, size, use::write)                                                                \
    ACCESS(unaligned_read, size, use::read)                                                        \
    ACCESS(unaligned_write, size, use::write)                                                      \
    ACCESS(volatile_read, size, use::read)                                                         \
    ACCESS(volatile_write, size, use::write)

extern "C" {
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

void __tsan_read_range(void *place, size_t size);
void __tsan_write_range(void *place, size_t size);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void);
void __tsan_init(void);
void __tsan_read_range(void *place, size_t size) {
    plain(place, size, use::read);
}
void __tsan_write_range(void *place, size_t size) {
    plain(place, size, use::write);
}
void __tsan_func_entry(void *caller) {
    (void)caller;
}
void __tsan_func_exit(void) {
}
void __tsan_init(void) {
}

/* The explored sources are compiled with these in the place of the C library's, which is not instrumented. */
void *explore_memcpy(void *to, const void *from, size_t size);
void *explore_memset(void *to, int value, size_t size);

void *explore_memcpy(void *to, const void *from, size_t size) {
    plain(const_cast<void *>(from), size, use::read);
    plain(to, size, use::write);
    return memcpy(to, from, size);
}

void *explore_memset(void *to, int value, size_t size) {
    plain(to, size, use::write);
    return memset(to, value, size);
}
}
