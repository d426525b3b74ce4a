/* blocks.cc: memory, in the place of runtime/os/memory.c. Relacy's own allocator gives a block again soon; here none is
 * used again within an execution, so that an atomic operation and an instrumented access to freed memory are seen.
 *
 * SPDX-License-Identifier: MIT */
#include "backend.hpp"

#include <sys/mman.h>

extern "C" {
#include "os/memory.h"
}

namespace {

size_t const arena_size = (size_t)64 << 20;
uintptr_t const arena_start = UINT64_C(0x100000000000);
/* Of which few pages are used: the kernel gets them back between executions. */
size_t const large = (size_t)32 << 10;
enum { BLOCKS = 4096, UNIT = 16 };

struct block {
    char *start;
    size_t size;
    bool is_freed;
    int freed_by;
};

char *arena;
size_t arena_used;
block blocks[BLOCKS]; /* by address */
int block_count;
long live;
int failures_left;

block *find(const volatile void *place) {
    int low = 0, high = block_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if ((uintptr_t)blocks[middle].start <= (uintptr_t)place)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0) return NULL;
    block *b = &blocks[low - 1];
    return (uintptr_t)place - (uintptr_t)b->start < b->size ? b : NULL;
}

void *allocate(size_t size, size_t alignment) {
    if (failures_left > 0 && context().rand(2, rl::sched_type_user) == 1) {
        failures_left--;
        return NULL;
    }
    if (alignment < UNIT) alignment = UNIT;
    size_t start = (arena_used + alignment - 1) & ~(alignment - 1);
    if (start + size + UNIT > arena_size || block_count == BLOCKS) abort();
    /* A gap, so that what lies behind a block is in none. */
    arena_used = (start + size + 2 * UNIT - 1) & ~(size_t)(UNIT - 1);
    block *b = &blocks[block_count++];
    *b = block{arena + start, size, false, 0};
    live++;
    note(RL_INFO, "allocates %lu bytes at [%lx]", (unsigned long)size, name_of(b->start));
    return b->start;
}

void release(void *start) {
    if (start == NULL) return;
    block *b = find(start);
    if (b == NULL || b->start != start)
        fail(rl::test_result_double_free, "thread %d frees what is no block", self());
    blocks_check(start, "a free");
    note(RL_INFO, "frees [%lx]", name_of(start));
    plain_free(b->start, b->size);
    b->is_freed = true;
    b->freed_by = self();
    live--;
}

void clear(const block *b) {
    if (b->size < large) {
        memset(b->start, 0, b->size);
        return;
    }
    uintptr_t first = ((uintptr_t)b->start + 4095) & ~(uintptr_t)4095;
    memset(b->start, 0, first - (uintptr_t)b->start);
    madvise((void *)first, (uintptr_t)b->start + b->size - first, MADV_DONTNEED);
}

} // namespace

void blocks_begin() {
    if (arena == NULL) {
        arena =
            (char *)mmap((void *)arena_start, arena_size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        if (arena == MAP_FAILED) abort();
    }
    for (int i = 0; i < block_count; i++) clear(&blocks[i]);
    arena_used = 0;
    block_count = 0;
    live = 0;
    failures_left = 0;
}

void blocks_check(const volatile void *place, const char *what) {
    if ((uintptr_t)place < 4096) fail(rl::test_result_user_assert_failed, "%s through NULL", what);
    if ((uintptr_t)place - arena_start >= arena_size) return;
    const block *b = find(place);
    if (b == NULL)
        fail(rl::test_result_user_assert_failed, "%s outside of all blocks: [%lx]", what,
             name_of(place));
    if (b->is_freed)
        fail(rl::test_result_access_to_freed_memory,
             "%s by thread %d of memory that thread %d has freed: [%lx]", what, self(), b->freed_by,
             name_of(place));
}

unsigned long name_of(const volatile void *place) {
    return (unsigned long)((uintptr_t)place & 0xfffff);
}

long explore_live_blocks(void) {
    return live;
}
void explore_let_allocations_fail(int count) {
    failures_left = count;
}

/* Not zeroed. */
void *filch__alloc(size_t size) {
    void *start = allocate(size, UNIT);
    if (start != NULL) memset(start, 0xa5, size);
    return start;
}
void *filch__alloc_zeroed(size_t size) {
    return allocate(size, UNIT);
}
void *filch__alloc_aligned(size_t alignment, size_t size) {
    return allocate((size + alignment - 1) & ~(alignment - 1), alignment);
}
void filch__free(void *start) {
    release(start);
}
void filch__offer_huge_pages(void *, size_t) {
}
void *filch__map(size_t size, size_t alignment) {
    return allocate(size, alignment);
}
void *filch__map_sparse(size_t size) {
    return allocate(size, 4096);
}
void filch__unmap(void *start, size_t) {
    release(start);
}
