/* base/slab.h: objects of a few small sizes, allocated by one thread and freed by any.
 *
 * Flow     a heap belongs to one thread at a time (a worker; or whoever holds it, outside). Its owner
 *          allocates from and frees to plain lists; others push what they free onto `remote`, which
 *          the owner takes whole when its list is empty. An object finds its heap through the header
 *          at the start of its 64 KiB block.
 * Source   the owner's list beside a list of remote frees: Leijen, Zorn & de Moura, "Mimalloc: Free
 *          List Sharding in Action", APLAS 2019.
 * State    lists[], regions, carved: the owner. remote[]: any thread. live: see Memory.
 * Keeps    1. An object is in one list or in use. 2. A sealed heap gives and takes nothing more.
 * Orders
 *   M1 cas_release remote (free) -> M2 exchange_acquire remote (take): the last user's accesses
 *   M3 exchange_acq_rel remote (seal) -> M4 load_acquire remote (free): whoever finds the seal frees singly
 *   M1 cas_release remote (free) -> M3 exchange_acq_rel remote (seal): as M2
 *   M5 fetch_add_acq_rel live (change) -> M5 fetch_add_acq_rel live (change): the last unmaps after all others
 *   M6 fetch_sub_acq_rel regions_left -> M6 fetch_sub_acq_rel regions_left: the last frees the heap
 * Progress alloc and free without a loop, but for the CAS of a remote free (lock-free).
 * Memory   objects are reused by their heap; nothing is given back while it lives. filch__heap_seal
 *          ends it: regions without live objects are unmapped at once, the others with their last
 *          object. Frees that come between the seal and the count make `live` of a region negative; it
 *          comes back to 0 once, by the count or by the last free after it. */
#ifndef FILCH_BASE_SLAB_H
#define FILCH_BASE_SLAB_H

#include "base/atomics.h"
#include "base/compiler.h"
#include <stdint.h>

/* Sizes of objects: one line, one and a half, two. */
enum { FILCH__SLAB_CLASSES = 3, FILCH__SLAB_UNIT = 32, FILCH__SLAB_SMALLEST = 64 };
#define FILCH__SLAB_LARGEST 128
#define FILCH__BLOCK_SIZE ((size_t)1 << 16)

struct filch__free_object {
    struct filch__free_object *next;
};

/* The header of a block; that of a region's first block speaks for the region too. */
struct filch__block {
    struct filch__heap *heap;
    void *home;
    struct filch__block *region;
    uint32_t size_class;
    uint32_t carved; /* objects of this block that were ever given out */
    /* Of the region, in its first block: */
    struct filch__block *next;
    size_t size;
    int64_t live;
};

struct filch__object_list {
    struct filch__free_object *free;
    struct filch__block *block; /* the block that is being carved */
};

struct filch__heap {
    struct filch__object_list lists[FILCH__SLAB_CLASSES];
    struct filch__block *regions;
    char *unused, *unused_end; /* blocks of the newest region that no class has */
    size_t next_region_size;
    void *home;
    void (*home_release)(void *home);
    own_lines struct filch__free_object *remote[FILCH__SLAB_CLASSES];
    int64_t regions_left;
    uint64_t remote_frees; /* a statistic, on the line that a remote free writes in any case */
};

/* The heap that the calling thread owns for as long as it lives; NULL if none. */
extern __thread struct filch__heap *filch__heap_mine;

/* A heap without objects, or NULL. home is what its objects find as filch__slab_home; it is released
 * after the last object and the seal. */
struct filch__heap *filch__heap_create(void *home, void (*home_release)(void *));
/* Owner, or anybody when there is no owner any more: no allocation after this; the heap is freed now
 * or with its last object. */
void filch__heap_seal(struct filch__heap *heap);

/* Objects that other threads than the owner have freed. */
static inline uint64_t filch__heap_remote_frees(const struct filch__heap *heap) {
    return load_relaxed(&heap->remote_frees); /* relaxed: a statistic */
}

void *filch__slab_alloc_slow(struct filch__heap *heap, unsigned size_class);
void filch__slab_free_remote(struct filch__heap *heap, void *object, unsigned size_class);

/* The class for size <= FILCH__SLAB_LARGEST bytes. */
static inline unsigned filch__slab_class(size_t size) {
    return size <= FILCH__SLAB_SMALLEST
               ? 0
               : (unsigned)((size - FILCH__SLAB_SMALLEST + FILCH__SLAB_UNIT - 1) /
                            FILCH__SLAB_UNIT);
}

static inline size_t filch__slab_object_size(unsigned size_class) {
    return FILCH__SLAB_SMALLEST + (size_t)size_class * FILCH__SLAB_UNIT;
}

static inline struct filch__block *filch__slab_block(const void *object) {
    return (struct filch__block *)((uintptr_t)object & ~(uintptr_t)(FILCH__BLOCK_SIZE - 1));
}

/* What the object's heap was made with. */
static inline void *filch__slab_home(const void *object) {
    return filch__slab_block(object)->home;
}

#if defined(__SANITIZE_ADDRESS__)
#define FILCH__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FILCH__ASAN 1
#endif
#endif
#if defined(FILCH__ASAN)
void __asan_poison_memory_region(void const volatile *start, size_t size);
void __asan_unpoison_memory_region(void const volatile *start, size_t size);
#define slab_poison(start, size) __asan_poison_memory_region((start), (size))
#define slab_unpoison(start, size) __asan_unpoison_memory_region((start), (size))
#else
#define slab_poison(start, size) ((void)(start))
#define slab_unpoison(start, size) ((void)(start))
#endif

/* Owner: an object, with arbitrary contents, or NULL. */
static inline void *filch__slab_alloc(struct filch__heap *heap, unsigned size_class) {
    struct filch__free_object *object = heap->lists[size_class].free;
    if (unlikely(object == NULL)) return filch__slab_alloc_slow(heap, size_class);
    heap->lists[size_class].free = object->next;
    slab_unpoison(object, filch__slab_object_size(size_class));
    return object;
}

/* Any thread: gives an object back. */
static inline void filch__slab_free(void *object) {
    struct filch__block *block = filch__slab_block(object);
    struct filch__heap *heap = block->heap;
    unsigned size_class = block->size_class;
    struct filch__free_object *freed = object;
    slab_poison(freed + 1, filch__slab_object_size(size_class) - sizeof *freed);
    if (heap == filch__heap_mine) {
        /* relaxed: a search for a circle of waits may read it as a state word, and discards that */
        store_relaxed(&freed->next, heap->lists[size_class].free);
        heap->lists[size_class].free = freed;
    } else {
        filch__slab_free_remote(heap, object, size_class);
    }
}

#endif
