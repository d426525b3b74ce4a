/* process_waits_test.c: waits of tasks in worker processes that no worker seems to be left for.
 *
 * A wait may end with FILCH_EAGAIN when nothing could ever run what is awaited; not because a worker has just died.
 *
 * SPDX-License-Identifier: MIT */
#include "process_support.h"

TestSuite(process_waits, .timeout = 60);

/* Runs in vain as often as its argument says. */
struct trial {
    struct shared runs;
    int crashes;
};
static int crash_at_first(void *arg, void *result) {
    struct trial *trial = arg;
    int run = shared_add(trial->runs, 1);
    if (run <= trial->crashes) kill(getpid(), SIGKILL);
    *(int *)result = run;
    return 0;
}
static int await_trial(void *arg, void *result) {
    filch_task task = FILCH_TASK_INIT;
    filch_future *f = NULL;
    task.fn = crash_at_first;
    task.arg = arg;
    task.arg_size = sizeof(struct trial);
    task.result_size = sizeof(int);
    task.retries = 4;
    int rc = filch_submit_task(filch_current_executor(), &task, &f);
    /* Another worker has it before this one waits: it would run it itself, and end with it. */
    if (rc == 0) shared_wait(((struct trial *)arg)->runs, 1);
    if (rc == 0) rc = filch_future_result_isolated(f, result, FILCH_FOREVER);
    filch_future_release(f);
    return rc;
}

/* Starts pause after the second death of a worker that has ended no task; meanwhile every worker that lives waits. */
Test(process_waits, a_pause_after_deaths_ends_no_wait) {
    struct census before = census_before();
    filch_process_options options = process_options(2);
    options.max_spares = -1;
    filch_executor *e = processes_with(options);
    for (int round = 0; round < 5; round++) {
        struct trial trial = {shared_alloc(sizeof(int)), 3};
        cr_assert_eq(value_of(submit_to(e, await_trial, &trial, sizeof trial, sizeof(int))), 4);
    }
    destroy_and_look(e);
    check_census(&before);
}
