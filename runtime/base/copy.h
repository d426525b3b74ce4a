/* base/copy.h: copying from memory that another process may write meanwhile.
 *
 * Keeps    1. After the copy the compiler cannot read the source again in place of the copy, which it may with memcpy: what was
 *             checked is what is used. */
#ifndef FILCH_BASE_COPY_H
#define FILCH_BASE_COPY_H

#include <stddef.h>
#include <string.h>

static inline void filch__copy_once(void *to, const void *from, size_t size) {
    memcpy(to, from, size);
    __asm__ volatile("" ::: "memory");
}

#endif
