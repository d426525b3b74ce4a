/* kernel.h: the work that every contestant does, and what must come out of it.
 *
 * Flow: the task functions are handed to a contestant's submit, or called in the sequential twin's
 * plain loop; they call the kernel. All contestants reach the same machine code at the same address,
 * so that no difference between them can come from how a compiler treated the work.
 *
 * Not here: why the kernel is real work and how that is checked (kernel.c, kernel_check.py).
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_KERNEL_H
#define BENCH_KERNEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 0*0 + 1*1 + ... + (n-1)*(n-1) modulo 2^64, one multiplication after the other. */
uint64_t kernel_sum_of_squares(uint64_t n);

/* The same from the closed form, for n < 2^63. This is what results are checked against. */
uint64_t kernel_sum_of_squares_expected(uint64_t n);

/* The work of a task in a sweep: kernel_sum_of_squares(n) + 1, so that no result is 0 and one that is
 * missing in a sum shows. */
uint64_t kernel_grain(uint64_t n);
uint64_t kernel_grain_expected(uint64_t n);

/* The kernel as a task: arg is a uint64_t, n; result is a uint64_t, the sum. Returns 0. */
int kernel_sum_of_squares_task(void *arg, void *result);
int kernel_grain_task(void *arg, void *result);

/* The task that does nothing but prove that it ran: its result is its argument, a uint64_t. */
int kernel_echo_task(void *arg, void *result);

#ifdef __cplusplus
}
#endif

#endif
