/* frames_row_test.c: rows of forks (filch_forks_begin), typed and untyped, on any number of workers and on none.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <stdlib.h>
#include <unistd.h>

TestSuite(frames_row, .timeout = 60);

enum { WIDTH = 5 };

/* The numbers from first on: a tree of rows. */
static FILCH_FORKABLE_2(long, total, long, first, long, n) {
    if (n == 1) return first;
    total_frame parts[WIDTH];
    long sum = 0, part = n / WIDTH;
    filch_forks row = filch_forks_begin();
    for (int i = 0; i < WIDTH; i++) total_fork_next(&row, &parts[i], first + i * part, part);
    for (int i = WIDTH; i-- > 0;) sum += total_join(&parts[i]);
    return sum;
}

/* Arguments and value beyond a slot. */
typedef struct numbers {
    long of[9];
} numbers;
static FILCH_FORKABLE_2(numbers, spread, numbers, x, int, depth) {
    if (depth == 0) return x;
    spread_frame frames[3];
    numbers all = {{0}};
    filch_forks row = filch_forks_begin();
    for (int i = 0; i < 3; i++) {
        numbers more = x;
        more.of[i] += depth;
        spread_fork_next(&row, &frames[i], more, depth - 1);
    }
    for (int i = 3; i-- > 0;) {
        numbers one = spread_join(&frames[i]);
        for (int k = 0; k < 9; k++) all.of[k] += one.of[k];
    }
    return all;
}

static FILCH_FORKABLE_VOID_1(mark, int *, at) {
    add(at, 1);
}
static int note_run(void *arg, void *result) {
    (void)result;
    return add((int *)arg, 1) == 1 ? 0 : 1;
}

/* Two rows on top of each other, with single forks below, between and above. */
static long rows_and_forks(void) {
    int runs[9] = {0}, rc = 0;
    filch_frame below, between, above, frames[3];
    mark_frame marks[3];
    filch_fork(&below, note_run, &runs[0], NULL);
    filch_forks row = filch_forks_begin();
    for (int i = 0; i < 3; i++) filch_fork_next(&row, &frames[i], note_run, &runs[1 + i], NULL);
    filch_fork(&between, note_run, &runs[4], NULL);
    row = filch_forks_begin();
    for (int i = 0; i < 3; i++) mark_fork_next(&row, &marks[i], &runs[5 + i]);
    filch_fork(&above, note_run, &runs[8], NULL);
    rc |= filch_join(&above);
    for (int i = 3; i-- > 0;) mark_join(&marks[i]);
    rc |= filch_join(&between);
    for (int i = 3; i-- > 0;) rc |= filch_join(&frames[i]);
    rc |= filch_join(&below);
    for (int i = 0; i < 9; i++) rc |= runs[i] != 1;
    return rc;
}

static long forms(void) {
    const long n = 3125;
    long wrong = total(1, n) != n * (n + 1) / 2;
    numbers x = {{1, 2, 3, 4, 5, 6, 7, 8, 9}}, y = spread(x, 4);
    /* At each depth a third of the leaves has it added, in each of three places. */
    for (int k = 0; k < 9; k++)
        wrong += y.of[k] != 81 * x.of[k] + (k < 3 ? 27 * (1 + 2 + 3 + 4) : 0);
    return wrong + rows_and_forks();
}
static int forms_task(void *arg, void *result) {
    (void)arg;
    *(long *)result = forms();
    return 0;
}

static const int worker_counts[] = {1, 2, 3, 7, 64};
enum { WORKER_COUNTS = sizeof worker_counts / sizeof worker_counts[0] };

Test(frames_row, with_any_number_of_workers) {
    for (int i = 0; i < WORKER_COUNTS; i++) {
        filch_executor *e = executor_of(worker_counts[i]);
        for (int k = 0; k < 20; k++) {
            long wrong = -1;
            ok(filch_run(e, forms_task, NULL, &wrong));
            cr_assert_eq(wrong, 0, "%ld with %d workers", wrong, worker_counts[i]);
        }
        ok(filch_executor_destroy(e));
    }
}

static void forms_outside(int index, void *context) {
    (void)index;
    for (int i = 0; i < 10; i++)
        if (forms() != 0) add(context, 1);
}
Test(frames_row, outside_of_a_task_they_run_at_once) {
    int wrong = 0;
    forms_outside(0, &wrong);
    run_threads(8, forms_outside, &wrong);
    cr_assert_eq(wrong, 0);
}

/* More at a time than a lane has places for: the rest runs at its fork, and its outcome waits for the join. */
enum { FLAT = 70000 };
static filch_frame flat[FLAT];
static int flat_runs[FLAT];
static int fork_flat(void *arg, void *result) {
    int rc = 0;
    (void)arg, (void)result;
    filch_forks row = filch_forks_begin();
    for (int i = 0; i < FLAT; i++) filch_fork_next(&row, &flat[i], note_run, &flat_runs[i], NULL);
    for (int i = FLAT; i-- > 0;) rc |= filch_join(&flat[i]);
    return rc;
}
Test(frames_row, more_than_fit) {
    for (int i = 0; i < WORKER_COUNTS; i++) {
        filch_executor *e = executor_of(worker_counts[i]);
        memset(flat_runs, 0, sizeof flat_runs);
        ok(filch_run(e, fork_flat, NULL, NULL));
        for (int k = 0; k < FLAT; k++) cr_assert_eq(flat_runs[k], 1);
        ok(filch_executor_destroy(e));
    }
}

/* What is forked in a row can be taken while the row goes on. */
static int begun;
static FILCH_FORKABLE_0(int, begins) {
    return add(&begun, 1);
}
static int waits_in_the_row(void *arg, void *result) {
    begins_frame frames[4];
    int sum = 0;
    (void)arg, (void)result;
    filch_forks row = filch_forks_begin();
    for (int i = 0; i < 4; i++) {
        begins_fork_next(&row, &frames[i]);
        while (i < 3 && read_int(&begun) <= i) usleep(100);
    }
    for (int i = 4; i-- > 0;) sum += begins_join(&frames[i]);
    return sum == 1 + 2 + 3 + 4 ? 0 : 1;
}
Test(frames_row, others_take_from_a_row_that_goes_on) {
    filch_executor *e = executor_of(2);
    ok(filch_run(e, waits_in_the_row, NULL, NULL));
    ok(filch_executor_destroy(e));
}

/* A NULL that a user may give. */
Test(frames_row, bad_arguments) {
    filch_forks row = filch_forks_begin();
    filch_frame frame = {NULL};
    filch_fork_next(NULL, &frame, note_run, NULL, NULL);
    cr_assert_not_null(strstr(filch_last_error(), "filch_fork_next: the row"), "%s",
                       filch_last_error());
    filch_fork_next(&row, NULL, note_run, NULL, NULL);
    cr_assert_not_null(strstr(filch_last_error(), "filch_fork_next: the frame"), "%s",
                       filch_last_error());
    filch_fork_next(&row, &frame, NULL, NULL, NULL);
    cr_assert_eq(filch_join(&frame), FILCH_EINVAL);
}
