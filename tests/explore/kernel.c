/* kernel.c: in the place of runtime/os/ (futex, memory, barrier) and of runtime/reclaim/.
 *
 * Futex    a wait compares with the newest value, in one step with going to sleep: the kernel does so under its
 *          lock. It may return without a reason, and one with a deadline may time out at any moment; an
 *          exhaustive search tries one such return per execution. Nothing is ordered by it.
 * Barrier  on all CPUs: a sequentially consistent fence of every thread.
 * Memory   blocks are never used again within an execution: each use after the free is seen. A thread that uses one
 *          must know of its allocation; who frees it must know of all its uses.
 * Grace    wait: a fence of every thread (liburcu-bp makes membarrier), then until each section that was open has
 *          been left; those happen before its end. A section by itself orders nothing.
 *
 * SPDX-License-Identifier: MIT */
#include "inside.h"

#include "os/barrier.h"
#include "os/futex.h"
#include "os/memory.h"
#include "reclaim/reclaim.h"
#include <filch/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Memory ----------------------------------------------------------------------------------------- */

#define ARENA_SIZE ((size_t)64 << 20)
/* Of which few pages are used: they are found in a list, and given back to the kernel between executions. */
#define LARGE ((size_t)32 << 10)
#define UNIT 16
enum { BLOCKS = 4096, LARGE_BLOCKS = 64 };

struct block {
    char *start;
    size_t size;
    int thread; /* that has allocated it */
    uint32_t epoch;
    bool freed;
    int freed_by;
};

static char *arena;
static size_t arena_used;
static struct block blocks[BLOCKS];
static int block_count;
static int large[LARGE_BLOCKS], large_count;
static uint16_t block_of[ARENA_SIZE / UNIT];
static long live;
static int failures_left;
static uint64_t sections;
static int64_t time_now;

void kernel_begin(void) {
    if (arena == NULL) {
        arena = mmap((void *)UINT64_C(0x100000000000), ARENA_SIZE, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (arena == MAP_FAILED) abort();
    }
    for (int i = 1; i <= block_count; i++) {
        struct block *b = &blocks[i];
        if (b->size >= LARGE) {
            uintptr_t first = (uintptr_t)b->start & ~(uintptr_t)4095;
            madvise((void *)first, (uintptr_t)b->start + b->size - first, MADV_DONTNEED);
            continue;
        }
        memset(b->start, 0, b->size);
        memset(&block_of[(b->start - arena) / UNIT], 0,
               (b->size + UNIT - 1) / UNIT * sizeof *block_of);
    }
    large_count = 0;
    arena_used = 0;
    block_count = 0;
    live = 0;
    failures_left = 0;
    sections = 0;
    time_now = 1000000;
}

/* The block that an address of the arena is in; 0: none. */
static int find_block(uintptr_t at) {
    if (block_of[at / UNIT] != 0) return block_of[at / UNIT];
    for (int i = 0; i < large_count; i++) {
        const struct block *b = &blocks[large[i]];
        if (at - (uintptr_t)(b->start - arena) < b->size) return large[i];
    }
    return 0;
}

void kernel_check_block(const volatile void *place, const char *what) {
    uintptr_t at = (uintptr_t)place - (uintptr_t)arena;
    if ((uintptr_t)place < 4096) schedule_fail("%s through NULL", what);
    if (at >= ARENA_SIZE) return;
    const struct block *b = &blocks[find_block(at)];
    if (b == blocks) schedule_fail("%s outside of all blocks", what);
    if (b->freed)
        schedule_fail("%s by thread %d of memory that thread %d has freed", what, current,
                      b->freed_by);
    if (threads[current].now.known.at[b->thread] < b->epoch)
        schedule_fail("%s by thread %d of memory whose allocation by thread %d it does not know of",
                      what, current, b->thread);
}

static void *allocate(size_t size, size_t alignment) {
    if (failures_left > 0 && search_choose(CHOOSE_FLAG, 2) == 1) {
        failures_left--;
        return NULL;
    }
    if (alignment < UNIT) alignment = UNIT;
    size_t start = (arena_used + alignment - 1) & ~(alignment - 1);
    if (start + size + UNIT > ARENA_SIZE || block_count + 1 >= BLOCKS) abort();
    /* A gap, so that what lies behind a block is in none. */
    arena_used = (start + size + 2 * UNIT - 1) & ~(size_t)(UNIT - 1);
    struct block *b = &blocks[++block_count];
    *b = (struct block){arena + start, size, current, clock_tick(), false, 0};
    if (size >= LARGE) {
        if (large_count == LARGE_BLOCKS) abort();
        large[large_count++] = block_count;
    } else {
        for (size_t i = 0; i < (size + UNIT - 1) / UNIT; i++)
            block_of[start / UNIT + i] = (uint16_t)block_count;
    }
    live++;
    if (tracing) trace("allocates %zu bytes at %s", size, plain_name(b->start));
    return b->start;
}

static void release(void *start) {
    if (start == NULL) return;
    uintptr_t at = (uintptr_t)start - (uintptr_t)arena;
    struct block *b = &blocks[at < ARENA_SIZE ? find_block(at) : 0];
    if (b->start != start) schedule_fail("thread %d frees what is no block", current);
    kernel_check_block(start, "a free");
    if (tracing) trace("frees %s", plain_name(start));
    plain_free(b->start, b->size);
    b->freed = true;
    b->freed_by = current;
    live--;
}

long explore_live_blocks(void) {
    return live;
}

void explore_let_allocations_fail(int count) {
    failures_left = count;
}

/* Not zeroed. */
void *filch__alloc(size_t size) {
    void *block = allocate(size, UNIT);
    if (block != NULL) memset(block, 0xa5, size);
    return block;
}
void *filch__alloc_zeroed(size_t size) {
    return allocate(size, UNIT);
}
void *filch__alloc_aligned(size_t alignment, size_t size) {
    return allocate((size + alignment - 1) & ~(alignment - 1), alignment);
}
void filch__free(void *block) {
    release(block);
}
void filch__offer_huge_pages(void *block, size_t size) {
    (void)block, (void)size;
}
void *filch__map(size_t size, size_t alignment) {
    return allocate(size, alignment);
}
void *filch__map_sparse(size_t size) {
    return allocate(size, 4096);
}
void filch__unmap(void *start, size_t size) {
    (void)size;
    release(start);
}

int64_t explore_now(void) {
    return time_now += 1000;
}

/* Futex ------------------------------------------------------------------------------------------ */

bool filch__futex_wait(uint32_t *word, uint32_t expected, int64_t deadline) {
    struct thread *t = &threads[current];
    schedule_point(false);
    kernel_check_block(word, "a futex wait");
    clock_tick();
    bool sleeps = (uint32_t)memory_newest(word, sizeof *word) == expected;
    if (tracing) trace("futex wait on %s%s", plain_name(word), sleeps ? "" : ": another value");
    if (!sleeps) return true;
    if (search_choose(CHOOSE_FLAG, 2) == 1) {
        if (tracing) trace("  ... returns without a reason");
        if (deadline == FILCH_FOREVER) return true;
        return search_choose(CHOOSE_VALUE, 2) == 1;
    }
    t->word = word;
    t->timed = deadline != FILCH_FOREVER;
    t->timed_out = false;
    schedule_block(THREAD_ON_FUTEX);
    return !t->timed_out;
}

void filch__futex_wake(uint32_t *word, int count) {
    schedule_point(false);
    clock_tick();
    if (tracing) trace("futex wake on %s", plain_name(word));
    for (int i = 0; i < thread_count && count > 0; i++)
        if (threads[i].status == THREAD_ON_FUTEX && threads[i].word == word) {
            threads[i].status = THREAD_READY;
            count--;
        }
}

/* Barrier ---------------------------------------------------------------------------------------- */

static void fence_all(void) {
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < thread_count; i++) memory_fence(i);
}

bool filch__barrier_is_there(void) {
    return true;
}

bool filch__barrier_everywhere(void) {
    schedule_point(false);
    clock_tick();
    if (tracing) trace("barrier everywhere");
    fence_all();
    return true;
}

/* Grace periods ---------------------------------------------------------------------------------- */

void filch__reclaim_read_begin(void) {
    struct thread *t = &threads[current];
    schedule_point(false);
    clock_tick();
    if (t->nested++ == 0) t->section = ++sections;
    if (tracing) trace("read begin");
}

void filch__reclaim_read_end(void) {
    struct thread *t = &threads[current];
    schedule_point(false);
    clock_tick();
    if (--t->nested == 0) {
        t->section = 0;
        t->left = t->now;
        kernel_reader_may_go_on();
    }
    if (tracing) trace("read end");
}

static bool still_awaits(struct thread *t) {
    for (int i = 0; i < thread_count; i++)
        if (t->awaits[i] != 0 && threads[i].section == t->awaits[i]) return true;
    return false;
}

void kernel_reader_may_go_on(void) {
    for (int i = 0; i < thread_count; i++)
        if (threads[i].status == THREAD_ON_READERS && !still_awaits(&threads[i]))
            threads[i].status = THREAD_READY;
}

void filch__reclaim_wait(void) {
    struct thread *t = &threads[current];
    schedule_point(false);
    clock_tick();
    if (tracing) trace("grace period begins");
    fence_all();
    for (int i = 0; i < thread_count; i++) t->awaits[i] = i == current ? 0 : threads[i].section;
    if (still_awaits(t)) schedule_block(THREAD_ON_READERS);
    for (int i = 0; i < thread_count; i++)
        if (i != current) view_join(&t->now, &threads[i].left);
    fence_all();
    if (tracing) trace("grace period ends");
}
