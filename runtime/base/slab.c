/* base/slab.c: the slow paths of the slab: carving, remote frees, the end of a heap. */
#include "base/slab.h"

#include "base/point.h"
#include "os/memory.h"
#include <stdbool.h>

/* The first region is one block; each further one is twice as large, up to a huge page. */
#define REGION_MAX ((size_t)2 << 20)
/* A line, so that objects of whole lines do not share one with the header. */
#define HEADER_SIZE CACHE_LINE

_Static_assert(sizeof(struct filch__block) <= HEADER_SIZE, "the header fits its line");

__thread struct filch__heap *filch__heap_mine;

/* Stands in `remote` of a heap that was sealed. */
static struct filch__free_object sealed;

struct filch__heap *filch__heap_create(void *home, void (*home_release)(void *)) {
    struct filch__heap *heap = filch__alloc_aligned(_Alignof(struct filch__heap), sizeof *heap);
    if (heap == NULL) return NULL;
    heap->home = home;
    heap->home_release = home_release;
    heap->next_region_size = FILCH__BLOCK_SIZE;
    heap->regions_left = 1;
    return heap;
}

static bool add_region(struct filch__heap *heap) {
    size_t size = heap->next_region_size;
    char *start = filch__map(size, size);
    if (start == NULL && size > FILCH__BLOCK_SIZE) {
        size = FILCH__BLOCK_SIZE;
        start = filch__map(size, size);
    }
    if (start == NULL) return false;
    struct filch__block *region = (struct filch__block *)(void *)start;
    region->next = heap->regions;
    region->size = size;
    heap->regions = region;
    heap->regions_left++;
    heap->unused = start;
    heap->unused_end = start + size;
    if (heap->next_region_size < REGION_MAX) heap->next_region_size *= 2;
    return true;
}

static struct filch__block *add_block(struct filch__heap *heap, unsigned size_class) {
    if (heap->unused == heap->unused_end && !add_region(heap)) return NULL;
    struct filch__block *block = (struct filch__block *)(void *)heap->unused;
    heap->unused += FILCH__BLOCK_SIZE;
    block->heap = heap;
    block->home = heap->home;
    block->region = heap->regions;
    block->size_class = size_class;
    block->carved = 0;
    heap->lists[size_class].block = block;
    return block;
}

noinline void *filch__slab_alloc_slow(struct filch__heap *heap, unsigned size_class) {
    if (load_relaxed(&heap->remote[size_class]) != NULL) { /* relaxed: M2 takes it */
        heap->lists[size_class].free =
            exchange_acquire(&heap->remote[size_class], NULL); /* M2 <- M1 */
        return filch__slab_alloc(heap, size_class);
    }
    struct filch__block *block = heap->lists[size_class].block;
    size_t size = filch__slab_object_size(size_class);
    if (block == NULL || HEADER_SIZE + (block->carved + 1) * size > FILCH__BLOCK_SIZE) {
        block = add_block(heap, size_class);
        if (block == NULL) return NULL;
    }
    return (char *)block + HEADER_SIZE + block->carved++ * size;
}

/* One region less; the last frees the heap. */
static void drop_region(struct filch__heap *heap) {
    if (fetch_sub_acq_rel(&heap->regions_left, 1) != 1) return; /* M6 -> M6 */
    if (heap->home_release != NULL) heap->home_release(heap->home);
    filch__free(heap);
}

/* The number of live objects changes by `count`; at 0 the region is unmapped. */
static void add_live(struct filch__block *region, int64_t count) {
    struct filch__heap *heap = region->heap;
    if (fetch_add_acq_rel(&region->live, count) != -count) return; /* M5 -> M5 */
    size_t size = region->size;
    slab_unpoison(region, size);
    filch__unmap(region, size);
    drop_region(heap);
}

noinline void filch__slab_free_remote(struct filch__heap *heap, void *object, unsigned size_class) {
    struct filch__free_object *freed = object;
    fetch_add_relaxed(&heap->remote_frees, 1); /* relaxed: a statistic */
    struct filch__free_object *top = load_acquire(&heap->remote[size_class]); /* M4 <- M3 */
    do {
        if (top == &sealed) {
            add_live(filch__slab_block(object)->region, -1);
            return;
        }
        store_relaxed(&freed->next, top); /* relaxed: M1 publishes it; see filch__slab_free */
        POINT("slab.remote.push");
    } while (!cas_weak_release(&heap->remote[size_class], &top, freed)); /* M1 -> M2, M3 */
}

/* Takes the objects of a chain off the count of live objects of their regions. */
static void uncount_chain(struct filch__free_object *object) {
    while (object != NULL) {
        struct filch__free_object *next = object->next;
        filch__slab_block(object)->region->carved--;
        object = next;
    }
}

void filch__heap_seal(struct filch__heap *heap) {
    /* From here on `carved` of a region's first block counts for the whole region. */
    for (struct filch__block *region = heap->regions; region != NULL; region = region->next)
        for (size_t at = FILCH__BLOCK_SIZE; at < region->size; at += FILCH__BLOCK_SIZE)
            region->carved += ((struct filch__block *)(void *)((char *)region + at))->carved;
    for (unsigned size_class = 0; size_class < FILCH__SLAB_CLASSES; size_class++) {
        uncount_chain(heap->lists[size_class].free);
        uncount_chain(
            exchange_acq_rel(&heap->remote[size_class], &sealed)); /* M3 -> M4; M3 <- M1 */
    }
    POINT("slab.seal.counted");
    for (struct filch__block *region = heap->regions, *next; region != NULL; region = next) {
        next = region->next;
        add_live(region, region->carved);
    }
    drop_region(heap);
}
