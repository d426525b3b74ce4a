/* process_map_test.c: filch_map_array on processes: its inputs travel in parts, 16 for each worker.
 *
 * SPDX-License-Identifier: MIT */
#include "process_support.h"

TestSuite(process_map, .timeout = 60);

enum { PARTS = 16, PER_PART = 4, INPUTS = PARTS * PER_PART };

/* The first input holds the only worker, and fails; meanwhile the others are cancelled ------------------ */

struct first_fails {
    filch_executor *executor;
    struct stay stay;
    int rc;
    char text[256];
};
static int fail_after_stay(void *arg, void *result) {
    (void)stay_until_open(arg, result);
    return filch_fail(5, "the first of all");
}
static void map_behind_stay(void *context) {
    struct first_fails *t = context;
    struct stay args[INPUTS];
    for (int i = 0; i < INPUTS; i++) args[i] = t->stay;
    t->rc = filch_map_array(t->executor, fail_after_stay, args, sizeof args[0], INPUTS, NULL, 0);
    strncpy(t->text, filch_last_error(), sizeof t->text - 1);
}

Test(process_map, text_of_the_lowest_input_stays_when_later_ones_are_cancelled) {
    struct first_fails t = {processes_of(1), new_stay(), 0, {0}};
    pthread_t thread = thread_start(map_behind_stay, &t);
    while (stats_of(t.executor).submitted != PARTS) sched_yield();
    shared_wait(t.stay.pid, 1);
    ok(filch_executor_shutdown(t.executor, FILCH_CANCEL_PENDING));
    shared_add(t.stay.open, 1);
    thread_finish(thread);
    cr_assert_eq(stats_of(t.executor).cancelled, PARTS - 1);
    cr_assert_eq(t.rc, 5);
    cr_assert_not_null(strstr(t.text, "input 0: the first of all"), "%s", t.text);
    ok(filch_executor_destroy(t.executor));
}

/* Some parts cannot be submitted: those that could are run, and the code is the refusal's, or that of an
 * input that failed, which stands before ---------------------------------------------------------------- */

struct input {
    struct shared runs;
    int number;
};
static int succeed_or_fail(void *arg, void *result) {
    const struct input *input = arg;
    *(int *)result = input->number;
    shared_add(input->runs, 1);
    return input->number == -1 ? filch_fail(4, "an input, not the submit") : 0;
}
/* Shuts the executor down in the middle of the submit that is the last one allowed. */
struct few_submits {
    filch_executor *executor;
    int allowed;
};
static void shut_down_after_few(void *context) {
    struct few_submits *few = context;
    if (--few->allowed == 0) filch_executor_shutdown(few->executor, 0);
}
static int map_with_few_submits(int allowed, int first, struct shared runs, int *results) {
    struct few_submits few = {processes_of(1), allowed};
    struct input args[INPUTS];
    for (int i = 0; i < INPUTS; i++) args[i] = (struct input){runs, i}, results[i] = -2;
    args[0].number = first;
    point_call("submit.injected", shut_down_after_few, &few);
    int rc = filch_map_array(few.executor, succeed_or_fail, args, sizeof args[0], INPUTS, results,
                             sizeof(int));
    point_call("submit.injected", NULL, NULL);
    ok(filch_executor_destroy(few.executor));
    return rc;
}

Test(process_map, refused_in_the_middle_runs_what_was_accepted) {
    for (int first = -1; first < 1; first++)
        for (int allowed = 2; allowed < PARTS; allowed += 3) {
            struct shared runs = shared_alloc(sizeof(int));
            int results[INPUTS], written = 0;
            int rc = map_with_few_submits(allowed, first, runs, results);
            cr_assert_eq(rc, first == -1 ? 4 : FILCH_ESHUTDOWN);
            cr_assert_not_null(
                strstr(filch_last_error(), first == -1 ? "input 0: an input" : "shut"), "%s",
                filch_last_error());
            for (int i = 0; i < INPUTS; i++) written += results[i] == i;
            int ran = shared_read(runs);
            cr_assert_eq(written, ran + first);
            cr_assert(ran == PER_PART * allowed || ran == PER_PART * (allowed - 1), "%d", ran);
        }
}
