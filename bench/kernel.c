/* kernel.c: the sum of squares, done one multiplication after the other.
 *
 * Keeps
 *   1. The loop is a loop. clang knows the closed form of a sum of squares, and gcc turns the loop
 *      into vector code; either would leave a benchmark of something else. The empty asm statement
 *      says that it may change `i`, so that a compiler can neither count the iterations, nor unroll,
 *      vectorise or fold them. It emits no instruction: gcc 12 and clang 14 at -O2 and -O3 give one
 *      scalar multiplication in a loop of six instructions.
 *   2. Everybody runs the same loop at the same alignment. The function is compiled once, never
 *      inlined, cloned or specialised for a caller's constant, and starts on a cache line; the loop
 *      lies in that line. A loop like this was seen at half its speed for its alignment alone.
 *
 * kernel_check.py disassembles the benchmark and holds 1 and the alignment of 2.
 *
 * SPDX-License-Identifier: MIT */
#include "kernel.h"

#if defined(__has_attribute)
#if __has_attribute(noipa)
#define KERNEL_ATTRIBUTES __attribute__((noipa, aligned(64)))
#endif
#endif
#ifndef KERNEL_ATTRIBUTES
#define KERNEL_ATTRIBUTES __attribute__((noinline, aligned(64)))
#endif

KERNEL_ATTRIBUTES uint64_t kernel_sum_of_squares(uint64_t n) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) {
        __asm__ volatile("" : "+r"(i));
        sum += i * i;
    }
    return sum;
}

/* (n-1) * n * (2n-1) / 6. The division is done on the factors, where it is exact, so that the
 * product is right modulo 2^64 when it does not fit. */
uint64_t kernel_sum_of_squares_expected(uint64_t n) {
    if (n == 0) return 0;
    uint64_t a = n - 1, b = n, c = 2 * n - 1;
    if (a % 2 == 0)
        a /= 2;
    else
        b /= 2;
    if (a % 3 == 0)
        a /= 3;
    else if (b % 3 == 0)
        b /= 3;
    else
        c /= 3;
    return a * b * c;
}

int kernel_sum_of_squares_task(void *arg, void *result) {
    *(uint64_t *)result = kernel_sum_of_squares(*(const uint64_t *)arg);
    return 0;
}

uint64_t kernel_grain(uint64_t n) {
    return kernel_sum_of_squares(n) + 1;
}

uint64_t kernel_grain_expected(uint64_t n) {
    return kernel_sum_of_squares_expected(n) + 1;
}

int kernel_grain_task(void *arg, void *result) {
    *(uint64_t *)result = kernel_grain(*(const uint64_t *)arg);
    return 0;
}

int kernel_echo_task(void *arg, void *result) {
    *(uint64_t *)result = *(const uint64_t *)arg;
    return 0;
}
