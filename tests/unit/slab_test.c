/* slab_test.c: objects of a heap (base/slab.h): sizes, reuse, frees by other threads, and the end of a
 * heap with objects that outlive it.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "base/random.h"
#include "base/slab.h"
#include "os/fault.h"
#include "support.h"
#include <criterion/criterion.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

TestSuite(slab, .timeout = 20);
TestSuite(slab_forced, .timeout = 20);
TestSuite(slab_load, .timeout = 60);

enum { CLASSES = FILCH__SLAB_CLASSES };

static size_t size_of(unsigned class) {
    return FILCH__SLAB_SMALLEST + class * FILCH__SLAB_UNIT;
}

/* What a heap belongs to: counts its releases. */
static int home;
static uint32_t homes_released;
static void release_home(void *released) {
    fetch_add_relaxed(&homes_released, released == &home ? 1u : 1000u);
}

static long blocks_before;
static struct filch__heap *make_heap(void) {
    blocks_before = filch__fault_live_blocks();
    homes_released = 0;
    struct filch__heap *heap = filch__heap_create(&home, release_home);
    cr_assert_not_null(heap);
    return heap;
}

static void assert_all_gone(void) {
    cr_assert_eq(filch__fault_live_blocks(), blocks_before);
    cr_assert_eq(load_relaxed(&homes_released), 1);
}

static void assert_not_gone(void) {
    cr_assert_gt(filch__fault_live_blocks(), blocks_before);
    cr_assert_eq(load_relaxed(&homes_released), 0);
}

/* n objects, filled with a byte of their own. */
static void **alloc_many(struct filch__heap *heap, unsigned class, size_t n) {
    void **objects = calloc(n, sizeof *objects);
    cr_assert_not_null(objects);
    for (size_t i = 0; i < n; i++) {
        objects[i] = filch__slab_alloc(heap, class);
        cr_assert_not_null(objects[i]);
        memset(objects[i], (int)(i & 0xff), size_of(class));
    }
    return objects;
}

static void assert_intact(void **objects, unsigned class, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const unsigned char *bytes = objects[i];
        for (size_t k = 0; k < size_of(class); k++) cr_assert_eq(bytes[k], i & 0xff);
    }
}

static int by_address(const void *a, const void *b) {
    uintptr_t x = (uintptr_t) * (void *const *)a, y = (uintptr_t) * (void *const *)b;
    return x < y ? -1 : x > y;
}

static void shuffle(void **objects, size_t n) {
    struct filch__random random;
    filch__random_init(&random, 7);
    for (size_t i = n; i > 1; i--) {
        size_t k = filch__random_below(&random, (uint32_t)i);
        void *object = objects[k];
        objects[k] = objects[i - 1];
        objects[i - 1] = object;
    }
}

Test(slab, class_is_the_smallest_that_fits) {
    for (size_t size = 0; size <= FILCH__SLAB_LARGEST; size++) {
        unsigned class = filch__slab_class(size);
        cr_assert_lt(class, CLASSES);
        cr_assert_geq(size_of(class), size);
        cr_assert(class == 0 || size_of(class - 1) < size);
    }
}

Test(slab, objects_are_aligned_and_do_not_overlap) {
    enum { COUNT = 3000 }; /* several blocks and regions */
    struct filch__heap *heap = make_heap();
    filch__heap_mine = heap;
    for (unsigned class = 0; class < CLASSES; class ++) {
        void **objects = alloc_many(heap, class, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            cr_assert_eq((uintptr_t)objects[i] % 16, 0);
            cr_assert_eq(filch__slab_home(objects[i]), &home);
            cr_assert_eq(filch__slab_block(objects[i])->size_class, class);
        }
        assert_intact(objects, class, COUNT);
        qsort(objects, COUNT, sizeof *objects, by_address);
        for (size_t i = 1; i < COUNT; i++)
            cr_assert_geq((char *)objects[i] - (char *)objects[i - 1], (ptrdiff_t)size_of(class));
        for (size_t i = 0; i < COUNT; i++) {
            char *block = (char *)filch__slab_block(objects[i]);
            cr_assert_geq((char *)objects[i], block + CACHE_LINE, "the header is not given out");
            cr_assert_leq((char *)objects[i] + size_of(class), block + FILCH__BLOCK_SIZE);
            filch__slab_free(objects[i]);
        }
        free(objects);
    }
    filch__heap_mine = NULL;
    filch__heap_seal(heap);
    assert_all_gone();
}

Test(slab, owner_reuses_what_it_freed_last) {
    struct filch__heap *heap = make_heap();
    filch__heap_mine = heap;
    for (unsigned class = 0; class < CLASSES; class ++) {
        void *a = filch__slab_alloc(heap, class), *b = filch__slab_alloc(heap, class);
        filch__slab_free(a);
        filch__slab_free(b);
        cr_assert_eq(filch__slab_alloc(heap, class), b);
        cr_assert_eq(filch__slab_alloc(heap, class), a);
        filch__slab_free(a);
        filch__slab_free(b);
    }
    filch__heap_mine = NULL;
    filch__heap_seal(heap);
    assert_all_gone();
}

/* Allocates, frees and allocates again: the same objects, and no new memory. */
static void check_reuse(bool by_owner) {
    enum { COUNT = 2500 };
    struct filch__heap *heap = make_heap();
    void **first = alloc_many(heap, 1, COUNT);
    long blocks = filch__fault_live_blocks();
    filch__heap_mine = by_owner ? heap : NULL;
    shuffle(first, COUNT);
    for (size_t i = 0; i < COUNT; i++) filch__slab_free(first[i]);
    void **second = alloc_many(heap, 1, COUNT);
    cr_assert_eq(filch__fault_live_blocks(), blocks, "reuse, not new regions");
    qsort(first, COUNT, sizeof *first, by_address);
    qsort(second, COUNT, sizeof *second, by_address);
    for (size_t i = 0; i < COUNT; i++) cr_assert_eq(first[i], second[i]);
    for (size_t i = 0; i < COUNT; i++) filch__slab_free(second[i]);
    filch__heap_mine = NULL;
    filch__heap_seal(heap);
    assert_all_gone();
    free(first);
    free(second);
}

Test(slab, owner_frees_are_reused) {
    check_reuse(true);
}

Test(slab, remote_frees_are_reused) {
    check_reuse(false);
}

/* The owner of one heap is any thread to another heap. */
Test(slab, owner_of_another_heap_frees_remotely) {
    struct filch__heap *heap = make_heap();
    struct filch__heap *mine = filch__heap_create(NULL, NULL);
    cr_assert_not_null(mine);
    filch__heap_mine = mine;
    void *own = filch__slab_alloc(mine, 0), *others = filch__slab_alloc(heap, 0);
    filch__slab_free(others);
    void *next = filch__slab_alloc(mine, 0);
    cr_assert_neq(next, others);
    cr_assert_eq(filch__slab_alloc(heap, 0), others);
    filch__slab_free(others);
    filch__slab_free(own);
    filch__slab_free(next);
    filch__heap_mine = NULL;
    filch__heap_seal(mine);
    assert_not_gone();
    filch__heap_seal(heap);
    assert_all_gone();
}

Test(slab, regions_grow_and_are_few) {
    enum { COUNT = 20000 }; /* 1.3 MB of 64 bytes: regions of 64, 128, 256, 512 and 1024 KiB */
    struct filch__heap *heap = make_heap();
    void **objects = alloc_many(heap, 0, COUNT);
    cr_assert_eq(filch__fault_live_blocks(), blocks_before + 1 + 5);
    for (size_t i = 0; i < COUNT; i++) filch__slab_free(objects[i]);
    filch__heap_seal(heap);
    assert_all_gone();
    free(objects);
}

Test(slab, seal_of_an_unused_heap_frees_it) {
    struct filch__heap *heap = make_heap();
    filch__heap_seal(heap);
    assert_all_gone();
    heap = filch__heap_create(NULL, NULL);
    cr_assert_not_null(heap);
    filch__heap_seal(heap);
    cr_assert_eq(filch__fault_live_blocks(), blocks_before);
}

/* The heap ends with its last object, wherever that is. */
Test(slab, last_object_frees_a_sealed_heap) {
    enum { COUNT = 5000 };
    for (unsigned class = 0; class < CLASSES; class ++) {
        struct filch__heap *heap = make_heap();
        void **objects = alloc_many(heap, class, COUNT);
        shuffle(objects, COUNT);
        filch__heap_mine = heap;
        for (size_t i = 0; i < 1000; i++) filch__slab_free(objects[i]);
        filch__heap_mine = NULL;
        for (size_t i = 1000; i < 2000; i++) filch__slab_free(objects[i]);
        filch__heap_seal(heap);
        for (size_t i = 2000; i < COUNT; i++) {
            assert_not_gone();
            filch__slab_free(objects[i]);
        }
        assert_all_gone();
        free(objects);
    }
}

/* A region goes as soon as its last object does, though the heap has others. */
Test(slab, regions_are_unmapped_one_by_one) {
    enum { COUNT = 5000 };
    struct filch__heap *heap = make_heap();
    void **objects = alloc_many(heap, 0, COUNT);
    long blocks = filch__fault_live_blocks();
    struct filch__block *region = filch__slab_block(objects[COUNT - 1])->region;
    size_t left = 0, i;
    for (i = 0; i < COUNT; i++) left += filch__slab_block(objects[i])->region == region;
    cr_assert_gt(left, 0);
    cr_assert_lt(left, COUNT);
    filch__heap_seal(heap);
    cr_assert_eq(filch__fault_live_blocks(), blocks);
    /* The newest region holds the last objects. */
    for (i = COUNT; left > 0; left--) filch__slab_free(objects[--i]);
    cr_assert_eq(filch__fault_live_blocks(), blocks - 1);
    assert_not_gone();
    while (i > 0) filch__slab_free(objects[--i]);
    assert_all_gone();
    free(objects);
}

/* Faults --------------------------------------------------------------------------------------- */

Test(slab, create_without_memory_is_null) {
    long before = filch__fault_live_blocks();
    filch__fault_plan(FILCH__FAULT_ALLOC, 0, false);
    cr_assert_null(filch__heap_create(&home, release_home));
    cr_assert_eq(filch__fault_clear(), 1);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

Test(slab, alloc_without_memory_is_null_and_harmless) {
    struct filch__heap *heap = make_heap();
    filch__fault_plan(FILCH__FAULT_MAP, 0, true);
    for (unsigned class = 0; class < CLASSES; class ++)
        for (int i = 0; i < 3; i++) cr_assert_null(filch__slab_alloc(heap, class));
    cr_assert_eq(filch__fault_clear(), 3 * CLASSES);
    void **objects = alloc_many(heap, 2, 10);
    assert_intact(objects, 2, 10);
    for (int i = 0; i < 10; i++) filch__slab_free(objects[i]);
    filch__heap_seal(heap);
    assert_all_gone();
    free(objects);
}

/* When the address space has no room for a large region there may be some for a small one. */
Test(slab, large_region_that_fails_becomes_a_small_one) {
    struct filch__heap *heap = make_heap();
    size_t first_block = (FILCH__BLOCK_SIZE - CACHE_LINE) / size_of(0);
    void **objects = alloc_many(heap, 0, first_block);
    cr_assert_eq(filch__fault_live_blocks(), blocks_before + 2);
    filch__fault_plan(FILCH__FAULT_MAP, 0, false);
    void *object = filch__slab_alloc(heap, 0);
    cr_assert_eq(filch__fault_clear(), 1);
    cr_assert_not_null(object);
    cr_assert_eq(filch__slab_block(object)->region->size, FILCH__BLOCK_SIZE);
    /* When both fail, what is there stays in use. */
    void **more = alloc_many(heap, 0, first_block - 1);
    filch__fault_plan(FILCH__FAULT_MAP, 0, true);
    cr_assert_null(filch__slab_alloc(heap, 0));
    cr_assert_eq(filch__fault_clear(), 2);
    filch__slab_free(object);
    cr_assert_eq(filch__slab_alloc(heap, 0), object);
    filch__slab_free(object);
    for (size_t i = 0; i < first_block; i++) filch__slab_free(objects[i]);
    for (size_t i = 0; i < first_block - 1; i++) filch__slab_free(more[i]);
    filch__heap_seal(heap);
    assert_all_gone();
    free(objects);
    free(more);
}

/* Forced interleavings ------------------------------------------------------------------------- */

static void free_object(void *object) {
    filch__slab_free(object);
}

static void seal_heap(void *heap) {
    filch__heap_seal(heap);
}

static pthread_t free_stopped(struct stopper *stop, void *object) {
    stopper_arm(stop, "slab.remote.push");
    pthread_t thread = thread_start(free_object, object);
    stopper_wait_reached(stop);
    return thread;
}

/* A remote free has found the heap in use; by the time it pushes, the heap is sealed. */
Test(slab_forced, remote_free_meets_a_seal) {
    for (int others = 0; others < 3; others++) {
        struct filch__heap *heap = make_heap();
        struct stopper stop;
        void **objects = alloc_many(heap, 0, 3);
        pthread_t thread = free_stopped(&stop, objects[0]);
        for (int i = 0; i < others; i++) filch__slab_free(objects[1 + i]);
        filch__heap_seal(heap);
        assert_not_gone();
        stopper_release(&stop);
        thread_finish(thread);
        for (int i = others; i < 2; i++) {
            assert_not_gone();
            filch__slab_free(objects[1 + i]);
        }
        assert_all_gone();
        free(objects);
    }
}

/* The seal has counted the free objects; more are freed before it subtracts them. */
Test(slab_forced, remote_frees_between_count_and_end_of_a_seal) {
    for (int freed = 0; freed <= 3; freed++) {
        struct filch__heap *heap = make_heap();
        struct stopper stop;
        void **objects = alloc_many(heap, 1, 3);
        void **more = alloc_many(heap, 2, 1000); /* a second region */
        stopper_arm(&stop, "slab.seal.counted");
        pthread_t thread = thread_start(seal_heap, heap);
        stopper_wait_reached(&stop);
        for (int i = 0; i < freed; i++) filch__slab_free(objects[i]);
        for (int i = 0; i < 1000; i++) filch__slab_free(more[i]);
        assert_not_gone();
        stopper_release(&stop);
        thread_finish(thread);
        for (int i = freed; i < 3; i++) {
            assert_not_gone();
            filch__slab_free(objects[i]);
        }
        assert_all_gone();
        free(objects);
        free(more);
    }
}

/* A remote free has read the newest free object; that one is taken, used and freed again meanwhile. */
Test(slab_forced, remote_list_goes_round_under_a_stopped_free) {
    struct filch__heap *heap = make_heap();
    struct stopper stop;
    void **objects = alloc_many(heap, 0, 3);
    filch__slab_free(objects[0]);
    pthread_t thread = free_stopped(&stop, objects[1]);
    cr_assert_eq(filch__slab_alloc(heap, 0), objects[0]);
    filch__slab_free(objects[2]);
    filch__slab_free(objects[0]);
    stopper_release(&stop);
    thread_finish(thread);
    /* Each of the three once, and then a new one. */
    uintptr_t sum = 0, expected = 0;
    for (int i = 0; i < 3; i++) {
        sum += (uintptr_t)filch__slab_alloc(heap, 0);
        expected += (uintptr_t)objects[i];
    }
    cr_assert_eq(sum, expected);
    void *fourth = filch__slab_alloc(heap, 0);
    for (int i = 0; i < 3; i++) cr_assert_neq(fourth, objects[i]);
    for (int i = 0; i < 3; i++) filch__slab_free(objects[i]);
    filch__slab_free(fourth);
    filch__heap_seal(heap);
    assert_all_gone();
    free(objects);
}

/* Load ----------------------------------------------------------------------------------------- */

/* The owner allocates and hands over; others check what it wrote and free. The number and its double are
 * plain, so that an object that is in use twice shows, and ThreadSanitizer checks the edges. */
struct thing {
    uint64_t number, twice;
};

enum { HANDS = 64 };

struct traffic {
    struct filch__heap *heap;
    struct thing *hands[HANDS]; /* exchanged */
    uint64_t n;
    bool seal_early; /* the heap is sealed while the others still hold objects */
    uint32_t finished, broken;
    struct ledger ledger;
};

static void consume(struct traffic *t, struct thing *thing) {
    if (thing->twice != 2 * thing->number) fetch_add_relaxed(&t->broken, 1u);
    ledger_note(&t->ledger, thing->number);
    memset(thing, 0xee, sizeof *thing);
    filch__slab_free(thing);
}

static void be_allocator(struct traffic *t) {
    struct filch__random random;
    filch__random_init(&random, 3);
    filch__heap_mine = t->heap;
    for (uint64_t i = 0; i < t->n; i++) {
        struct thing *thing = filch__slab_alloc(t->heap, filch__random_below(&random, CLASSES));
        if (thing == NULL) abort();
        thing->number = i;
        thing->twice = 2 * i;
        thing = exchange_acq_rel(&t->hands[filch__random_below(&random, HANDS)], thing);
        if (thing != NULL) consume(t, thing);
        if (i % 256 == 0) sched_yield();
    }
    filch__heap_mine = NULL;
    if (t->seal_early) filch__heap_seal(t->heap);
    flag_raise(&t->finished);
}

static void be_consumer(struct traffic *t) {
    for (;;) {
        bool finished = load_acquire(&t->finished) != 0;
        size_t found = 0;
        for (size_t i = 0; i < HANDS; i++) {
            struct thing *thing = exchange_acq_rel(&t->hands[i], NULL);
            if (thing == NULL) continue;
            consume(t, thing);
            found++;
        }
        if (finished && found == 0) return;
        if (found == 0) sched_yield();
    }
}

/* Some of the others own a heap themselves. */
static void traffic_thread(int index, void *context) {
    if (index == 0) {
        be_allocator(context);
        return;
    }
    struct filch__heap *mine = index % 2 == 0 ? NULL : filch__heap_create(NULL, NULL);
    filch__heap_mine = mine;
    be_consumer(context);
    filch__heap_mine = NULL;
    if (mine != NULL) filch__heap_seal(mine);
}

static void run_traffic(int consumers, bool seal_early) {
    struct traffic t = {
        .heap = make_heap(), .n = (uint64_t)stress(60000), .seal_early = seal_early};
    ledger_init(&t.ledger, t.n);
    run_threads(1 + consumers, traffic_thread, &t);
    cr_assert_eq(ledger_wrong(&t.ledger), 0);
    cr_assert_eq(t.broken, 0);
    if (!seal_early) {
        /* No more than HANDS and one for each thread are in use at a time. */
        cr_assert_leq(filch__fault_live_blocks(), blocks_before + 4, "frees by others are reused");
        assert_not_gone();
        filch__heap_seal(t.heap);
    }
    assert_all_gone();
    ledger_fini(&t.ledger);
}

Test(slab_load, one_other_frees) {
    run_traffic(1, false);
}

Test(slab_load, four_others_free) {
    run_traffic(4, false);
}

Test(slab_load, four_others_free_while_the_owner_seals) {
    run_traffic(4, true);
}

/* Only frees, and the seal at the same time, many times over. */
struct ending {
    struct filch__heap *heap;
    void **objects;
    size_t each;
};

static void ending_thread(int index, void *context) {
    struct ending *e = context;
    if (index == 0) {
        filch__heap_seal(e->heap);
        return;
    }
    void **objects = e->objects + (size_t)(index - 1) * e->each;
    for (size_t i = 0; i < e->each; i++) filch__slab_free(objects[i]);
}

Test(slab_load, seal_races_with_frees) {
    enum { FREERS = 3 };
    int rounds = stress(100);
    for (int round = 0; round < rounds; round++) {
        struct ending e = {.heap = make_heap(), .each = (size_t)(1 + round * 7)};
        e.objects = alloc_many(e.heap, (unsigned)round % CLASSES, FREERS * e.each);
        shuffle(e.objects, FREERS * e.each);
        run_threads(1 + FREERS, ending_thread, &e);
        assert_all_gone();
        free(e.objects);
    }
}
