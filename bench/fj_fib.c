/* fj_fib.c: Fibonacci numbers by their definition: nothing but calls.
 *
 * Keeps: every call is a call. The compilers turn one of the two calls into a loop with an accumulator,
 * and put several levels into one function, which would leave a comparison of something else. The
 * function is never inlined, into itself either, and the empty asm statement, which emits nothing, puts
 * something after the second call. kernel_check.py looks for both calls in the finished program.
 *
 * SPDX-License-Identifier: MIT */
#include "fj_parts.h"
#include "fj_workloads.h"

uint64_t fj_fib_call(uint64_t n);

FJ_PART uint64_t fj_fib_call(uint64_t n) {
    if (n < 2) return n;
    uint64_t one = fj_fib_call(n - 1), two = fj_fib_call(n - 2);
    __asm__ volatile("" : "+r"(one), "+r"(two));
    return one + two;
}

uint64_t fj_fib_sequential(void *pool, const fj_job *job) {
    (void)pool;
    return fj_fib_call(job->n);
}

static uint64_t fib_by_steps(uint64_t n) {
    uint64_t now = 0, next = 1;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t sum = now + next;
        now = next;
        next = sum;
    }
    return now;
}

bool fj_fib_make(fj_job *job) {
    job->expected = fib_by_steps(job->n);
    return true;
}

/* Calls with n >= 2: each forks one. */
uint64_t fj_fib_spawns(uint64_t n) {
    return fib_by_steps(n + 1) - 1;
}
