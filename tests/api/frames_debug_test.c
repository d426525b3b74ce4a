/* frames_debug_test.c: joins and rows out of order, in a program that defines FILCH_DEBUG.
 *
 * SPDX-License-Identifier: MIT */
#define FILCH_DEBUG 1
#include "api_support.h"
#include <signal.h>
#include <unistd.h>

TestSuite(frames_debug, .timeout = 60);

static int runs;
static int notes_run(void *arg, void *result) {
    (void)arg, (void)result;
    return add(&runs, 1);
}
static int joins_out_of_order(void *arg, void *result) {
    filch_frame older, newer;
    (void)arg, (void)result;
    runs = 0;
    filch_fork(&older, notes_run, NULL, NULL);
    filch_fork(&newer, notes_run, NULL, NULL);
    if (filch_join(&older) != FILCH_ESTATE || read_int(&runs) != 0) return 10;
    if (strstr(filch_last_error(), "filch_join: ") == NULL) return 11;
    if (filch_join(&newer) != 1 || filch_join(&older) != 2) return 12;
    return 0;
}

Test(frames_debug, an_untyped_join_out_of_order_is_refused) {
    filch_executor *e = executor_of(1);
    ok(filch_run(e, joins_out_of_order, NULL, NULL));
    ok(filch_executor_destroy(e));
}

static FILCH_FORKABLE_1(int, twice, int, n) {
    return 2 * n;
}
static int typed_joins(void *arg, void *result) {
    twice_frame older, newer;
    bool in_order = *(bool *)arg;
    (void)result;
    twice_fork(&older, 3);
    twice_fork(&newer, 4);
    if (!in_order) (void)twice_join(&older);
    return twice_join(&newer) == 8 && twice_join(&older) == 6 ? 0 : 1;
}

/* In a child: the task, told not to keep the order, ends the program with this text. */
static void check_ends_the_program(filch_task_fn *task, const char *begins) {
    bool in_order = false;
    char text[200] = "";
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t child = child_start();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        _exit(filch_run(NULL, task, &in_order, NULL) == 0 ? 0 : 1);
    }
    cr_assert_eq(child_finish(child), -SIGABRT);
    cr_assert_gt(read(ends[0], text, sizeof text - 1), 0);
    cr_assert_not_null(strstr(text, begins), "%s", text);
    close(ends[0]);
    close(ends[1]);
}

Test(frames_debug, a_typed_join_out_of_order_ends_the_program) {
    bool in_order = true;
    check_ends_the_program(typed_joins, "filch: twice_join: ");
    ok(filch_run(NULL, typed_joins, &in_order, NULL));
}

/* Rows: */

static int rows(void *arg, void *result) {
    twice_frame first, second;
    filch_frame between;
    bool in_order = *(bool *)arg;
    (void)result;
    filch_forks row = filch_forks_begin();
    twice_fork_next(&row, &first, 3);
    if (!in_order) filch_fork(&between, notes_run, NULL, NULL);
    twice_fork_next(&row, &second, 4);
    return twice_join(&second) == 8 && twice_join(&first) == 6 ? 0 : 1;
}

Test(frames_debug, a_fork_between_those_of_a_row_ends_the_program) {
    bool in_order = true;
    check_ends_the_program(rows, "filch: twice_fork_next: ");
    ok(filch_run(NULL, rows, &in_order, NULL));
}
