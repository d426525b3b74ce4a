/* check.h: what a test of this folder asserts with. It needs no framework, so that sanitizers and valgrind see
 * nothing but the test.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_CHECK_H
#define BENCH_CHECK_H

#include <stdio.h>
#include <stdlib.h>

/* Ends the program with the line if the condition does not hold; with NDEBUG as well. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);              \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#endif
