/* os/memory.c: malloc and mmap behind the fault seam. */
#include "os/memory.h"

#include "os/fault.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Bytes of a huge page on x86-64 and most aarch64 kernels; only a hint depends on it. */
#define HUGE_PAGE ((size_t)2 << 20)

static void *counted(void *block) {
    if (block != NULL) filch__fault_count_block(1);
    return block;
}

void *filch__alloc(size_t size) {
    return filch__fault(FILCH__FAULT_ALLOC) ? NULL : counted(malloc(size));
}

void *filch__alloc_zeroed(size_t size) {
    return filch__fault(FILCH__FAULT_ALLOC) ? NULL : counted(calloc(1, size));
}

void *filch__alloc_aligned(size_t alignment, size_t size) {
    if (filch__fault(FILCH__FAULT_ALLOC)) return NULL;
    size = (size + alignment - 1) & ~(alignment - 1);
    void *block = counted(aligned_alloc(alignment, size));
    if (block != NULL) memset(block, 0, size);
    return block;
}

void filch__free(void *block) {
    if (block != NULL) filch__fault_count_block(-1);
    free(block);
}

void filch__offer_huge_pages(void *block, size_t size) {
    uintptr_t begin = ((uintptr_t)block + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
    uintptr_t end = ((uintptr_t)block + size) & ~(HUGE_PAGE - 1);
    if (begin < end)
        madvise((char *)block + (begin - (uintptr_t)block), end - begin, MADV_HUGEPAGE);
}

void *filch__map(size_t size, size_t alignment) {
    if (filch__fault(FILCH__FAULT_MAP)) return NULL;
    size_t span = size + alignment;
    char *start = mmap(NULL, span, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) return NULL;
    size_t head = (alignment - ((uintptr_t)start & (alignment - 1))) & (alignment - 1);
    if (head != 0) munmap(start, head);
    munmap(start + head + size, span - head - size);
    if (size >= HUGE_PAGE) madvise(start + head, size, MADV_HUGEPAGE);
    return counted(start + head);
}

void *filch__map_sparse(size_t size) {
    if (filch__fault(FILCH__FAULT_MAP)) return NULL;
    void *start = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return start == MAP_FAILED ? NULL : counted(start);
}

void filch__unmap(void *start, size_t size) {
    filch__fault_count_block(-1);
    munmap(start, size);
}

bool filch__discard(void *start, size_t size) {
    return madvise(start, size, MADV_REMOVE) == 0;
}

/* Newer than the headers of some libc. */
#if !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23
#endif

bool filch__populate(void *start, size_t size) {
    return !filch__fault(FILCH__FAULT_MAP) && madvise(start, size, MADV_POPULATE_WRITE) == 0;
}
