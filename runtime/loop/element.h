/* loop/element.h: elements of a size that is known only at run time, and their order.
 *
 * The loops that move them are inlined once for each usual size (BY_SIZE), so that a move is an instruction
 * or two; for other sizes it is a call of memcpy. */
#ifndef FILCH_LOOP_ELEMENT_H
#define FILCH_LOOP_ELEMENT_H

#include "base/compiler.h"
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* How the elements of an array are compared, and their bytes. */
struct order {
    int (*compare)(const void *a, const void *b, void *context);
    void *context;
    size_t size;
};

/* Calls `function(..., size)` with a constant size where it is a usual one. */
#define BY_SIZE(size, function, ...)                                                               \
    ((size) == 8    ? function(__VA_ARGS__, 8)                                                     \
     : (size) == 4  ? function(__VA_ARGS__, 4)                                                     \
     : (size) == 16 ? function(__VA_ARGS__, 16)                                                    \
     : (size) == 24 ? function(__VA_ARGS__, 24)                                                    \
     : (size) == 32 ? function(__VA_ARGS__, 32)                                                    \
                    : function(__VA_ARGS__, size))

static always_inline bool is_less(const struct order *o, const char *a, const char *b) {
    return o->compare(a, b, o->context) < 0;
}

/* All bits set if it is true, else none. The compiler cannot see which, and so makes no branch of what is done with
 * it: half of the guesses of that branch would be wrong. */
static always_inline size_t all_if(bool condition) {
    size_t bits = 0 - (size_t)condition;
    __asm__("" : "+r"(bits));
    return bits;
}

static always_inline void swap_elements(char *a, char *b, size_t size) {
    char buffer[64];
    for (size_t done = 0; done < size;) {
        size_t some = size - done < sizeof buffer ? size - done : sizeof buffer;
        memcpy(buffer, a + done, some);
        memmove(a + done, b + done, some);
        memcpy(b + done, buffer, some);
        done += some;
    }
}

#endif
