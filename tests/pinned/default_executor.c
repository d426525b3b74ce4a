/* default_executor.c: has a default executor as many workers as the command line says, and does its work
 * come to an end with them?
 *
 * usage: default_executor WORKERS
 *
 * Flow   pin.sh runs it on one CPU, quota_test.sh with made-up files of a cgroup. It says what is wrong,
 *        and nothing otherwise.
 *
 * SPDX-License-Identifier: MIT */
#include <filch.h>
#include <stdio.h>
#include <stdlib.h>

enum { TASKS = 2000, DEPTH = 12, FIB_OF_DEPTH = 144 };

static int faults;

static void expect(bool right, const char *what) {
    if (right) return;
    fprintf(stderr, "default_executor: not so: %s (%s)\n", what, filch_last_error());
    faults++;
}

static int square(void *arg, void *result) {
    long x = *(long *)arg;
    *(long *)result = x * x;
    return 0;
}

/* Waits for its children: on one worker, it runs them itself. */
static int fib(void *arg, void *result) {
    long n = *(long *)arg, children[2] = {n - 1, n - 2}, sums[2];
    *(long *)result = n;
    if (n < 2) return 0;
    int rc = filch_map_array(filch_current_executor(), fib, children, sizeof(long), 2, sums,
                             sizeof(long));
    *(long *)result = sums[0] + sums[1];
    return rc;
}

/* Workers without the spares, whose number is that of every executor with default options. */
static int workers_of(filch_executor *e) {
    filch_thread_options one = FILCH_THREAD_OPTIONS_INIT;
    FILCH_AUTO_EXECUTOR(single);
    one.max_workers = 1;
    expect(filch_thread_executor(&one, &single) == 0, "an executor with one worker is made");
    return filch_executor_worker_limit(e) - filch_executor_worker_limit(single) + 1;
}

static void expect_squares(filch_executor *e) {
    static long numbers[TASKS], squares[TASKS];
    long wrong = 0;
    for (long i = 0; i < TASKS; i++) numbers[i] = i;
    expect(filch_map_array(e, square, numbers, sizeof(long), TASKS, squares, sizeof(long)) == 0,
           "every square is computed");
    for (long i = 0; i < TASKS; i++) wrong += squares[i] != i * i;
    expect(wrong == 0, "every square is right");
}

static void expect_nested_waits(filch_executor *e) {
    long n = DEPTH, value = 0;
    filch_future *f = NULL;
    expect(filch_submit(e, fib, &n, sizeof n, sizeof value, &f) == 0, "a task is accepted");
    expect(filch_future_result(f, &value, FILCH_FOREVER) == 0, "tasks that wait for tasks end");
    expect(value == FIB_OF_DEPTH, "their value is right");
    filch_future_release(f);
}

int main(int argc, char **argv) {
    filch_stats stats = FILCH_STATS_INIT;
    int workers = argc == 2 ? atoi(argv[1]) : 0;
    filch_executor *e = filch_default_executor();
    expect(e != NULL, "there is a default executor");
    if (e == NULL) return 1;
    int found = workers_of(e);
    if (found != workers) fprintf(stderr, "default_executor: it has %d workers\n", found);
    expect(found == workers, "it has as many workers as it should");
    expect_squares(e);
    expect(filch_executor_stats(e, &stats) == 0, "it has counters");
    expect(stats.workers_started >= 1 && stats.workers_started <= (uint64_t)workers,
           "it has started no more");
    expect_nested_waits(e);
    return faults != 0;
}
