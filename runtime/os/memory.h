/* os/memory.h: every allocation and mapping of the library. Thread-safe. */
#ifndef FILCH_OS_MEMORY_H
#define FILCH_OS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* size > 0 bytes, aligned like max_align_t; NULL if there are none. */
void *filch__alloc(size_t size);
/* The same, zero-filled. */
void *filch__alloc_zeroed(size_t size);
/* The same, zero-filled, at a multiple of alignment (a power of two; size is rounded up to it). */
void *filch__alloc_aligned(size_t alignment, size_t size);
/* Frees what the three above gave; NULL does nothing. */
void filch__free(void *block);

/* Tells the kernel that a block of at least a few MiB is about to be used as a whole, so that it may take huge
 * pages: fewer faults while it is touched first. Only a hint. */
void filch__offer_huge_pages(void *block, size_t size);

/* size bytes of zero pages at a multiple of alignment, both powers of two and at least a page; NULL
 * if there are none. Large mappings are offered to the kernel for huge pages. */
void *filch__map(size_t size, size_t alignment);
/* size bytes of zero pages, of which most may never be used; a multiple of a page. NULL if there are none. */
void *filch__map_sparse(size_t size);
void filch__unmap(void *start, size_t size);

/* Of a file that processes share, pages that are mapped for writing. discard: they go back to the kernel, for everybody; what is
 * read next is 0, and may not be there. populate: they are all there; false if there is no memory, or no such call
 * (before Linux 5.14). */
bool filch__discard(void *start, size_t size);
bool filch__populate(void *start, size_t size);

#endif
