/* kind.c: what several kinds use.
 *
 * SPDX-License-Identifier: MIT */
#include "kind.h"

#include "kernel.h"

#include <time.h>

bench_batch kind_echo_batch(size_t tasks) {
    /* The first number is one that no zeroed or freed memory has. */
    const uint64_t first = UINT64_C(0x5eed000000000001);
    return (bench_batch){
        .fn = kernel_echo_task, .arg = first, .expected = first, .step = 1, .tasks = tasks};
}

void kind_sleep(int64_t nanoseconds) {
    struct timespec time = {.tv_sec = nanoseconds / 1000000000,
                            .tv_nsec = nanoseconds % 1000000000};
    while (nanosleep(&time, &time) != 0) continue;
}

double kind_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}
