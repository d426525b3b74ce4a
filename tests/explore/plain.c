/* plain.c: races of plain accesses.
 *
 * The explored sources are compiled with -fsanitize=thread, which puts a call before each access; the functions
 * are here, and ThreadSanitizer's own library is not linked. Two accesses of a place, one a write and not both
 * atomic, must be ordered by happens-before. Unlike ThreadSanitizer this knows every earlier access, and
 * the orders of the model instead of those of the machine.
 *
 * SPDX-License-Identifier: MIT */
#include "inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of four bytes: when each thread last used them, and which of them. */
struct uses {
    uint32_t at[EXPLORE_THREADS];
    uint8_t bytes[EXPLORE_THREADS];
};

struct cell {
    uintptr_t address; /* over 4 */
    uint64_t execution;
    struct uses by[4]; /* enum access */
};

enum { CELLS = 1 << 15 };
static struct cell cells[CELLS];
static size_t used;
static struct cell *in_use[CELLS]; /* in this execution */
static size_t in_use_count;
static uint64_t execution;

void plain_begin(void) {
    execution++;
    in_use_count = 0;
    if (used > CELLS / 2) {
        memset(cells, 0, sizeof cells);
        used = 0;
    }
}

static struct cell *lookup(uintptr_t address, bool make) {
    uint64_t hash = (uint64_t)address * UINT64_C(0x9e3779b97f4a7c15) >> 49;
    for (;; hash = (hash + 1) % CELLS) {
        struct cell *c = &cells[hash];
        if (c->address == address || c->address == 0) {
            if (!make && (c->address == 0 || c->execution != execution)) return NULL;
            if (c->address == 0) {
                if (++used > CELLS - CELLS / 8) abort();
                c->address = address;
            }
            if (c->execution != execution) {
                c->execution = execution;
                in_use[in_use_count++] = c;
                memset(c->by, 0, sizeof c->by);
            }
            return c;
        }
    }
}

static const char *const names[] = {"read", "write", "atomic read", "atomic write"};

const char *plain_name(const volatile void *place) {
    static char text[32];
    snprintf(text, sizeof text, "[%05lx]", (unsigned long)((uintptr_t)place & 0xfffff));
    return text;
}

static bool conflict(enum access a, enum access b) {
    bool atomic = a >= ACCESS_ATOMIC_READ && b >= ACCESS_ATOMIC_READ;
    bool reads = (a == ACCESS_READ || a == ACCESS_ATOMIC_READ) &&
                 (b == ACCESS_READ || b == ACCESS_ATOMIC_READ);
    return !atomic && !reads;
}

static void access_cell(uintptr_t address, uint8_t bytes, enum access what) {
    struct cell *c = lookup(address, true);
    const struct clock *known = &threads[current].now.known;
    for (int b = 0; b < 4; b++) {
        if (!conflict(what, (enum access)b)) continue;
        struct uses *other = &c->by[b];
        for (int u = 0; u < thread_count; u++)
            if (u != current && other->at[u] > known->at[u] && (other->bytes[u] & bytes) != 0)
                schedule_fail("race: %s of %s by thread %d and %s by thread %d", names[what],
                              plain_name((void *)(address * 4)), current, names[b], u);
    }
    struct uses *own = &c->by[what];
    if (own->at[current] == known->at[current])
        own->bytes[current] |= bytes;
    else if ((own->bytes[current] & ~bytes) == 0)
        own->bytes[current] = bytes;
    else
        own->bytes[current] |= bytes;
    own->at[current] = known->at[current];
}

void plain_access(const volatile void *place, size_t size, enum access what) {
    uintptr_t at = (uintptr_t)place, end = at + size;
    while (at < end) {
        uintptr_t next = (at / 4 + 1) * 4;
        if (next > end) next = end;
        uint8_t bytes = (uint8_t)(((1u << (next - at)) - 1) << at % 4);
        access_cell(at / 4, bytes, what);
        at = next;
    }
}

static void check_free(const struct cell *c) {
    const struct clock *known = &threads[current].now.known;
    for (int b = 0; b < 4; b++)
        for (int u = 0; u < thread_count; u++)
            if (u != current && c->by[b].at[u] > known->at[u])
                schedule_fail(
                    "freed by thread %d, which does not know of the %s of %s by thread %d", current,
                    names[b], plain_name((void *)(c->address * 4)), u);
}

void plain_free(const void *start, size_t size) {
    uintptr_t first = (uintptr_t)start / 4, end = ((uintptr_t)start + size + 3) / 4;
    if (end - first > in_use_count) {
        for (size_t i = 0; i < in_use_count; i++)
            if (in_use[i]->address >= first && in_use[i]->address < end) check_free(in_use[i]);
        return;
    }
    for (; first < end; first++) {
        const struct cell *c = lookup(first, false);
        if (c != NULL) check_free(c);
    }
}

/* What the compiler calls ------------------------------------------------------------------------ */

static void plain(void *place, size_t size, enum access what) {
    if (schedule_alive() == 0 || schedule_is_local(place)) return;
    kernel_check_block(place, names[what]);
    plain_access(place, size, what);
    if (what == ACCESS_WRITE) memory_written(place, size);
}

#define ACCESSES(size)                                                                             \
    void __tsan_read##size(void *place);                                                           \
    void __tsan_write##size(void *place);                                                          \
    void __tsan_unaligned_read##size(void *place);                                                 \
    void __tsan_unaligned_write##size(void *place);                                                \
    void __tsan_volatile_read##size(void *place);                                                  \
    void __tsan_volatile_write##size(void *place);                                                 \
    void __tsan_read##size(void *place) {                                                          \
        plain(place, size, ACCESS_READ);                                                           \
    }                                                                                              \
    void __tsan_write##size(void *place) {                                                         \
        plain(place, size, ACCESS_WRITE);                                                          \
    }                                                                                              \
    void __tsan_unaligned_read##size(void *place) {                                                \
        plain(place, size, ACCESS_READ);                                                           \
    }                                                                                              \
    void __tsan_unaligned_write##size(void *place) {                                               \
        plain(place, size, ACCESS_WRITE);                                                          \
    }                                                                                              \
    void __tsan_volatile_read##size(void *place) {                                                 \
        plain(place, size, ACCESS_READ);                                                           \
    }                                                                                              \
    void __tsan_volatile_write##size(void *place) {                                                \
        plain(place, size, ACCESS_WRITE);                                                          \
    }
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
    plain(place, size, ACCESS_READ);
}
void __tsan_write_range(void *place, size_t size) {
    plain(place, size, ACCESS_WRITE);
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
    plain((void *)(uintptr_t)from, size, ACCESS_READ);
    plain(to, size, ACCESS_WRITE);
    return memcpy(to, from, size);
}

void *explore_memset(void *to, int value, size_t size) {
    plain(to, size, ACCESS_WRITE);
    return memset(to, value, size);
}
