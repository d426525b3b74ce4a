/* process_test.c: fork(), and the end of the program.
 *
 * Children cannot assert for the test: they end with GOOD, or with the line of what is wrong, modulo 200.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(conformance_process, .timeout = 30);

enum { GOOD = 210, OTHER = 211 };
#define expect(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) _exit(__LINE__ % 200);                                                   \
    } while (0)

/* fork ----------------------------------------------------------------------------------------------- */

struct inherited {
    filch_executor *executor;
    struct held busy;
    filch_future *finished, *failed, *cancelled, *pending;
    struct shared runs;
};
static struct inherited inheritance(void) {
    struct inherited in = {.executor = make_executor(1), .runs = shared_alloc(sizeof(int))};
    in.finished = submit_int(in.executor, square, 6);
    in.failed = submit_int(in.executor, return_code, 6);
    cr_assert_eq(filch_future_result(in.finished, NULL, FILCH_FOREVER), 0);
    cr_assert_eq(filch_future_result(in.failed, NULL, FILCH_FOREVER), 6);
    in.busy = hold_worker(in.executor);
    in.pending = submit_shared(in.executor, add_one, in.runs);
    in.cancelled = submit_int(in.executor, square, 6);
    cr_assert(filch_future_cancel(in.cancelled));
    return in;
}
/* The parent notices nothing: what it had goes on. */
static void leave(struct inherited *in) {
    cr_assert(filch_future_running(in->busy.future) && !filch_future_done(in->pending));
    let_go(&in->busy);
    cr_assert_eq(finish(in->pending), 0);
    cr_assert_eq(shared_read(in->runs), 1);
    cr_assert_eq(finish(submit_int(in->executor, square, 2)), 0);
    filch_future_release(in->finished);
    filch_future_release(in->failed);
    filch_future_release(in->cancelled);
    ok(filch_executor_destroy(in->executor));
}

/* R-FORK-1, R-FORK-5 */
Test(conformance_process, calls_on_the_parents_executor_are_eforked) {
    struct inherited in = inheritance();
    pid_t child = child_start();
    if (child == 0) {
        filch_executor *e = in.executor;
        filch_stats stats = FILCH_STATS_INIT;
        filch_task task = FILCH_TASK_INIT;
        filch_map_spec spec = FILCH_MAP_SPEC_INIT;
        filch_future *none = NULL;
        filch_results *it = NULL;
        int n[2] = {1, 2};
        task.fn = do_nothing;
        spec.fn = square;
        spec.args = n;
        spec.n = 2;
        spec.arg_size = spec.result_size = sizeof(int);
        expect(filch_submit(e, do_nothing, NULL, 0, 0, &none) == FILCH_EFORKED);
        expect(strstr(filch_last_error(), "fork") != NULL);
        expect(filch_submit_task(e, &task, &none) == FILCH_EFORKED);
        expect(filch_map_array(e, square, n, sizeof(int), 2, n, sizeof(int)) == FILCH_EFORKED);
        expect(filch_map(e, &spec, &it) == FILCH_EFORKED);
        expect(filch_executor_stats(e, &stats) == FILCH_EFORKED);
        expect(filch_executor_worker_limit(e) == FILCH_EFORKED);
        for (unsigned flags = 0; flags < 4; flags++)
            expect(filch_executor_shutdown(e, flags) == FILCH_EFORKED);
        expect(filch_executor_destroy(e) == FILCH_EFORKED);
        expect(none == NULL && it == NULL);
        _exit(GOOD);
    }
    cr_assert_eq(child_finish(child), GOOD);
    leave(&in);
}

static void never(filch_future *f, void *context) {
    (void)f;
    add(context, 1);
}

/* R-FORK-2, R-FORK-5 */
Test(conformance_process, waits_for_the_parents_unfinished_futures_are_eforked) {
    struct inherited in = inheritance();
    pid_t child = child_start();
    if (child == 0) {
        filch_future *unfinished[2] = {in.busy.future, in.pending}, *next = NULL;
        for (int i = 0; i < 2; i++) {
            filch_future *f = unfinished[i], *array[2] = {in.finished, f};
            filch_completions *it = NULL;
            filch_error error;
            int called = 0;
            expect(filch_future_result(f, NULL, FILCH_FOREVER) == FILCH_EFORKED);
            expect(filch_future_result(f, NULL, 0) == FILCH_EFORKED);
            expect(filch_future_error(f, &error, FILCH_FOREVER) == FILCH_EFORKED);
            expect(filch_future_add_done_callback(f, never, &called) == FILCH_EFORKED);
            expect(!filch_future_cancel(f) && !filch_future_done(f) && called == 0);
            expect(filch_wait(array, 2, FILCH_FOREVER, FILCH_ALL_COMPLETED) == FILCH_EFORKED);
            expect(filch_as_completed(array, 2, FILCH_FOREVER, &it) == FILCH_EFORKED ||
                   (filch_completions_next(it, &next) == 0 &&
                    filch_completions_next(it, &next) == FILCH_EFORKED));
            filch_future_release(f);
        }
        _exit(GOOD);
    }
    cr_assert_eq(child_finish(child), GOOD);
    leave(&in);
}

/* R-FORK-3, R-FORK-5 */
Test(conformance_process, finished_futures_can_be_read) {
    struct inherited in = inheritance();
    pid_t child = child_start();
    if (child == 0) {
        filch_future *array[3] = {in.finished, in.failed, in.cancelled};
        filch_error error;
        int value = 0, called = 0;
        expect(filch_future_result(in.finished, &value, FILCH_FOREVER) == 0 && value == 36);
        expect(filch_future_error(in.failed, &error, FILCH_FOREVER) == 0 && error.code == 6);
        expect(filch_future_result(in.cancelled, NULL, FILCH_FOREVER) == FILCH_ECANCELED);
        expect(filch_future_add_done_callback(in.finished, never, &called) == 0 && called == 1);
        expect(filch_wait(array, 3, FILCH_FOREVER, FILCH_ALL_COMPLETED) == 3);
        for (int i = 0; i < 3; i++) filch_future_release(array[i]);
        _exit(GOOD);
    }
    cr_assert_eq(child_finish(child), GOOD);
    leave(&in);
}

/* In a child: the executor works. */
static void expect_it_works(filch_executor *e) {
    for (int i = 0; i < 10; i++) {
        filch_future *f = NULL;
        int value = -1;
        expect(filch_submit(e, square, &i, sizeof i, sizeof i, &f) == 0);
        expect(filch_future_result(f, &value, FILCH_FOREVER) == 0 && value == i * i);
        filch_future_release(f);
    }
}

/* R-FORK-4 */
Test(conformance_process, the_default_executor_is_made_anew_and_so_may_others) {
    struct inherited in = inheritance();
    filch_executor *before = filch_default_executor();
    cr_assert_eq(finish(submit_int(NULL, square, 2)), 0);
    pid_t child = child_start();
    if (child == 0) {
        expect(filch_default_executor() != NULL && filch_default_executor() != before);
        expect_it_works(NULL);
        filch_executor *own = make_executor(2);
        expect_it_works(own);
        expect(filch_executor_destroy(own) == 0);
        _exit(GOOD);
    }
    cr_assert_eq(child_finish(child), GOOD);
    cr_assert(filch_default_executor() == before && finish(submit_int(NULL, square, 2)) == 0);
    leave(&in);
}

static int fork_inside(void *arg, void *result) {
    pid_t child = child_start();
    (void)arg;
    if (child == 0) {
        expect(filch_current_executor() == NULL && filch_worker_index() == -1);
        expect_it_works(NULL);
        _exit(GOOD);
    }
    *(int *)result = child_finish(child);
    return 0;
}

/* R-FORK-1, R-FORK-5 */
Test(conformance_process, a_task_forks) {
    filch_executor *e = make_executor(2);
    for (int i = 0; i < 3; i++) {
        int status = 0;
        filch_future *f = submit_to(e, fork_inside, NULL, 0, sizeof status);
        ok(filch_future_result(f, &status, FILCH_FOREVER));
        cr_assert_eq(status, GOOD);
        filch_future_release(f);
    }
    ok(filch_executor_destroy(e));
}

struct traffic {
    filch_executor *executor;
    int stop, wrong, children;
};
enum { SUBMITTERS = 10 };
static void submit_or_fork(int index, void *context) {
    struct traffic *traffic = context;
    for (int i = 0; index == SUBMITTERS && i < 10; i++) {
        pid_t child = child_start();
        if (child == 0) {
            expect(filch_submit(traffic->executor, do_nothing, NULL, 0, 0, NULL) == FILCH_EFORKED);
            _exit(GOOD);
        }
        if (child_finish(child) != GOOD) add(&traffic->wrong, 1);
    }
    if (index == SUBMITTERS) add(&traffic->stop, 1);
    for (int i = 0; !read_int(&traffic->stop); i++) {
        filch_future *f = NULL;
        int value = -1, n = i % 1000,
            rc = filch_submit(traffic->executor, square, &n, sizeof n, sizeof n, &f);
        if (rc == 0) rc = filch_future_result(f, &value, FILCH_FOREVER);
        if (rc != 0 || value != n * n) add(&traffic->wrong, 1);
        filch_future_release(f);
    }
}

/* R-FORK-1, R-FORK-5 */
Test(conformance_process, fork_while_ten_threads_submit) {
    struct traffic traffic = {make_executor(2), 0, 0, 0};
    run_threads(SUBMITTERS + 1, submit_or_fork, &traffic);
    cr_assert_eq(traffic.wrong, 0);
    ok(filch_executor_destroy(traffic.executor));
}

/* exit ----------------------------------------------------------------------------------------------- */

enum { WORK = 50 };
static struct shared work;
static filch_executor *left_alive;

static int work_slowly(void *arg, void *result) {
    usleep(50);
    return add_one(arg, result);
}
/* Past ThreadSanitizer, which reports each worker that has ended and was not joined: who would join them may be
 * the very one that is in exit(). */
static void leave_at_once(int status) {
    (void)syscall(SYS_exit_group, status);
}
/* Registered before the executor is made, so that it runs after that has ended. */
static void look_at_exit(void) {
    filch_future *none = NULL;
    expect(shared_read(work) == WORK);
    expect(filch_submit(left_alive, do_nothing, NULL, 0, 0, &none) == FILCH_ESHUTDOWN);
    expect(none == NULL);
    leave_at_once(GOOD);
}
static void leave_work_behind(void) {
    atexit(look_at_exit);
    left_alive = make_executor(2);
    for (int i = 0; i < WORK; i++)
        expect(filch_submit(left_alive, work_slowly, &work, sizeof work, 0, NULL) == 0);
}

/* R-EXIT-2, R-EXIT-3 */
Test(conformance_process, exit_finishes_accepted_work_first) {
    work = shared_alloc(sizeof(int));
    pid_t child = child_start();
    if (child == 0) {
        leave_work_behind();
        exit(OTHER);
    }
    cr_assert_eq(child_finish(child), GOOD);
}

static int call_exit(void *arg, void *result) {
    (void)arg;
    (void)result;
    exit(OTHER);
}

/* R-EXIT-4 */
Test(conformance_process, exit_in_a_task_does_not_wait_for_that_task) {
    needs(SAME_MEMORY);
    work = shared_alloc(sizeof(int));
    pid_t child = child_start();
    if (child == 0) {
        leave_work_behind();
        expect(filch_submit(left_alive, call_exit, NULL, 0, 0, NULL) == 0);
        for (;;) pause();
    }
    cr_assert_eq(child_finish(child), GOOD);
}

/* R-EXIT-1, R-EXIT-3: the default executor. */
static void look_at_default(void) {
    expect(shared_read(work) == WORK);
    expect(filch_submit(NULL, do_nothing, NULL, 0, 0, NULL) == FILCH_ESHUTDOWN);
    _exit(GOOD);
}
Test(conformance_process, exit_finishes_the_default_executors_work_first) {
    work = shared_alloc(sizeof(int));
    pid_t child = child_start();
    if (child == 0) {
        atexit(look_at_default);
        for (int i = 0; i < WORK; i++)
            expect(filch_submit(NULL, work_slowly, &work, sizeof work, 0, NULL) == 0);
        exit(OTHER);
    }
    cr_assert_eq(child_finish(child), GOOD);
}
