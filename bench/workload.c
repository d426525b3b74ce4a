/* workload.c: sum_of_squares, the job that everybody shows process pools with,
 *
 *     def sum_of_squares(n): return sum(i**2 for i in range(n))
 *     list(pool.map(sum_of_squares, [10**6] * 4))
 *
 * with 4, 64 and 1024 tasks. *Hot* is back to back with warm workers; *parked* sleeps before each
 * batch for longer than any runtime spins, so that every batch has to wake the workers.
 *
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include "kernel.h"

#define SUM_OF_SQUARES kernel_sum_of_squares_task, 1000000, kernel_sum_of_squares_expected
#define PAUSE 5000000 /* nanoseconds; 500 times filch's default spin */

const bench_workload workloads[] = {
    {"sum_of_squares x4, hot", "sum_of_squares/4/hot", SUM_OF_SQUARES, 4, 20, 4, 0},
    {"sum_of_squares x4, parked", "sum_of_squares/4/parked", SUM_OF_SQUARES, 4, 10, 2, PAUSE},
    {"sum_of_squares x64, hot", "sum_of_squares/64/hot", SUM_OF_SQUARES, 64, 2, 3, 0},
    {"sum_of_squares x1024, hot", "sum_of_squares/1024/hot", SUM_OF_SQUARES, 1024, 1, 1, 0},
};

const size_t workloads_length = sizeof workloads / sizeof workloads[0];
