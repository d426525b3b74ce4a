/* base/compiler.h: what the compiler is told, and sizes of the machine. */
#ifndef FILCH_BASE_COMPILER_H
#define FILCH_BASE_COMPILER_H

#include <stddef.h>
#include <stdint.h>

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define noinline __attribute__((__noinline__))
#define always_inline inline __attribute__((__always_inline__))
#define cold __attribute__((__noinline__, __cold__))

/* Bytes of a cache line on every machine that is supported. */
#define CACHE_LINE 64
/* What two threads write lies this far apart: adjacent lines are fetched in pairs on x86. */
#define SHARING_DISTANCE 128
#define own_lines __attribute__((aligned(SHARING_DISTANCE)))

#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
