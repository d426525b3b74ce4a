/* shutdown_test.c: the end of an executor, and one that is broken.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"

TestSuite(conformance_shutdown, .timeout = 30);

static const unsigned all_flags[] = {0, FILCH_WAIT, FILCH_CANCEL_PENDING,
                                     FILCH_WAIT | FILCH_CANCEL_PENDING};
enum { FLAGS = 4 };

struct told {
    int n, cancelled, not_done;
};
static void tell(filch_future *f, void *context) {
    struct told *told = context;
    if (filch_future_cancelled(f)) add(&told->cancelled, 1);
    if (!filch_future_done(f)) add(&told->not_done, 1);
    add(&told->n, 1);
}

/* R-SHUTDOWN-1 */
Test(conformance_shutdown, afterwards_submit_is_refused) {
    for (int i = 0; i < FLAGS; i++) {
        filch_executor *e = make_executor(2);
        int input = 3, result = -1;
        cr_assert_eq(finish(submit_int(e, square, 3)), 0);
        ok(filch_executor_shutdown(e, all_flags[i]));
        fails(FILCH_ESHUTDOWN, filch_submit(e, square, &input, sizeof input, sizeof input, NULL));
        fails(FILCH_ESHUTDOWN,
              filch_map_array(e, square, &input, sizeof input, 1, &result, sizeof result));
        cr_assert_eq(result, -1);
        ok(filch_executor_destroy(e));
    }
}

static int submit_when_open(void *arg, void *result) {
    struct hold *hold = arg;
    (void)stay(hold, result);
    return filch_submit(filch_current_executor(), do_nothing, NULL, 0, 0, NULL);
}

/* R-SHUTDOWN-1 */
Test(conformance_shutdown, afterwards_submit_is_refused_inside_a_running_task) {
    filch_executor *e = make_executor(1);
    struct hold hold = {shared_alloc(sizeof(int)), shared_alloc(sizeof(int))};
    filch_future *f = submit_to(e, submit_when_open, &hold, sizeof hold, 0);
    shared_wait(hold.reached, 1);
    ok(filch_executor_shutdown(e, 0));
    shared_add(hold.open, 1);
    cr_assert_eq(filch_future_result(f, NULL, FILCH_FOREVER), FILCH_ESHUTDOWN);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

enum { QUEUED = 50 };

/* R-SHUTDOWN-2, R-SHUTDOWN-4 */
Test(conformance_shutdown, accepted_work_is_finished) {
    for (int i = 0; i < 2; i++) {
        filch_executor *e = make_executor(2);
        struct shared runs = shared_alloc(sizeof(int));
        struct held busy = hold_worker(e);
        filch_future *futures[QUEUED];
        struct told told = {0, 0, 0};
        for (int k = 0; k < QUEUED; k++) {
            futures[k] = submit_shared(e, add_one, runs);
            ok(filch_future_add_done_callback(futures[k], tell, &told));
        }
        ok(filch_executor_shutdown(e, 0));
        cr_assert_not(filch_future_done(busy.future), "it does not wait");
        let_go(&busy);
        if (i == 0) ok(filch_executor_shutdown(e, FILCH_WAIT));
        for (int k = 0; k < QUEUED; k++) cr_assert_eq(finish(futures[k]), 0);
        ok(filch_executor_destroy(e));
        cr_assert(shared_read(runs) == QUEUED && told.n == QUEUED && told.cancelled == 0);
    }
}

/* R-SHUTDOWN-3, R-MENDED-2, R-MENDED-3 */
Test(conformance_shutdown, cancel_pending_cancels_all_before_it_returns) {
    filch_executor *e = make_executor(1);
    struct shared runs = shared_alloc(sizeof(int));
    struct held busy = hold_worker(e);
    filch_future *futures[QUEUED];
    filch_completions *it = NULL;
    struct told told = {0, 0, 0};
    for (int i = 0; i < QUEUED; i++) {
        futures[i] = submit_shared(e, add_one, runs);
        ok(filch_future_add_done_callback(futures[i], tell, &told));
    }
    cr_assert(filch_future_cancel(futures[7]), "one is cancelled already");
    ok(filch_as_completed(futures, QUEUED, FILCH_FOREVER, &it));
    ok(filch_executor_shutdown(e, FILCH_CANCEL_PENDING));
    cr_assert(told.n == QUEUED && told.cancelled == QUEUED && told.not_done == 0);
    cr_assert(filch_future_running(busy.future), "what runs goes on");
    cr_assert_eq(filch_wait(futures, QUEUED, 0, FILCH_ALL_COMPLETED), QUEUED);
    for (int i = 0; i < QUEUED; i++) {
        filch_future *f = NULL;
        ok(filch_completions_next(it, &f));
        cr_assert(filch_future_cancelled(f));
    }
    ok(filch_completions_destroy(it));
    for (int i = 0; i < QUEUED; i++) cr_assert_eq(finish(futures[i]), FILCH_ECANCELED);
    let_go(&busy);
    ok(filch_executor_destroy(e));
    cr_assert_eq(shared_read(runs), 0);
}

struct sleeper {
    filch_future *future;
    int about_to_wait, rc, set_rc;
};
static void sleep_on_it(void *context) {
    struct sleeper *sleeper = context;
    filch_future *f = sleeper->future;
    add(&sleeper->about_to_wait, 1);
    sleeper->rc = filch_future_result(f, NULL, FILCH_FOREVER);
    sleeper->set_rc = (int)filch_wait(&f, 1, FILCH_FOREVER, FILCH_FIRST_COMPLETED);
}

/* R-MENDED-2 */
Test(conformance_shutdown, who_waits_learns_of_the_cancellation) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    struct sleeper sleeper = {submit_int(e, square, 2), 0, 77, 77};
    pthread_t thread = thread_start(sleep_on_it, &sleeper);
    wait_for_count(&sleeper.about_to_wait, 1);
    linger(100);
    ok(filch_executor_shutdown(e, FILCH_CANCEL_PENDING));
    thread_finish(thread); /* the worker is busy all the time */
    cr_assert(sleeper.rc == FILCH_ECANCELED && sleeper.set_rc == 1);
    let_go(&busy);
    filch_future_release(sleeper.future);
    ok(filch_executor_destroy(e));
}

struct slow {
    int entered, open, ended;
};
static void stay_in_callback(filch_future *f, void *context) {
    struct slow *slow = context;
    (void)f;
    add(&slow->entered, 1);
    wait_for_count(&slow->open, 1);
    linger(100);
    add(&slow->ended, 1);
}
static void open_slow(void *context) {
    struct slow *slow = context;
    wait_for_count(&slow->entered, 1);
    add(&slow->open, 1);
}

/* R-SHUTDOWN-4 */
Test(conformance_shutdown, wait_waits_for_tasks_and_callbacks) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    struct slow slow = {0, 0, 0};
    ok(filch_future_add_done_callback(busy.future, stay_in_callback, &slow));
    filch_future *f = submit_int(e, square, 2);
    pthread_t thread = thread_start(open_slow, &slow);
    shared_add(busy.hold.open, 1);
    ok(filch_executor_shutdown(e, FILCH_WAIT));
    cr_assert_eq(slow.ended, 1);
    cr_assert(filch_future_done(f));
    thread_finish(thread);
    filch_future_release(busy.future);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* R-SHUTDOWN-5 */
Test(conformance_shutdown, twice_with_any_flags) {
    for (int i = 0; i < FLAGS; i++)
        for (int k = 0; k < FLAGS; k++) {
            filch_executor *e = make_executor(2);
            filch_future *f = submit_int(e, square, 2);
            ok(filch_executor_shutdown(e, all_flags[i]));
            ok(filch_executor_shutdown(e, all_flags[k]));
            int rc = finish(f);
            cr_assert(rc == 0 || rc == FILCH_ECANCELED);
            ok(filch_executor_destroy(e));
        }
}

/* R-SHUTDOWN-5 */
Test(conformance_shutdown, later_flags_cancel_what_earlier_ones_left) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    filch_future *f = submit_int(e, square, 2);
    ok(filch_executor_shutdown(e, 0));
    cr_assert_not(filch_future_done(f));
    ok(filch_executor_shutdown(e, FILCH_CANCEL_PENDING));
    cr_assert(filch_future_cancelled(f));
    let_go(&busy);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

struct several {
    filch_executor *executor;
    int wrong;
};
static void shut_down(int index, void *context) {
    struct several *several = context;
    if (filch_executor_shutdown(several->executor, all_flags[index % FLAGS]) != 0)
        add(&several->wrong, 1);
}

/* R-SHUTDOWN-5 */
Test(conformance_shutdown, by_several_threads_at_once) {
    for (int round = 0; round < 20; round++) {
        struct several several = {make_executor(2), 0};
        filch_future *futures[20];
        for (int i = 0; i < 20; i++) futures[i] = submit_int(several.executor, square, i);
        run_threads(4, shut_down, &several);
        cr_assert_eq(several.wrong, 0);
        for (int i = 0; i < 20; i++) {
            int rc = finish(futures[i]);
            cr_assert(rc == 0 || rc == FILCH_ECANCELED);
        }
        ok(filch_executor_destroy(several.executor));
    }
}

/* From inside --------------------------------------------------------------------------------------- */

struct inside {
    int wait, destroy, again;
};
static struct inside end_it(filch_executor *e) {
    struct inside inside;
    inside.wait = filch_executor_shutdown(e, FILCH_WAIT);
    inside.destroy = filch_executor_destroy(e);
    /* Nothing has happened: it still accepts. */
    inside.again = filch_submit(e, do_nothing, NULL, 0, 0, NULL);
    return inside;
}
static int end_it_in_a_task(void *arg, void *result) {
    (void)arg;
    *(struct inside *)result = end_it(filch_current_executor());
    return 0;
}
struct in_callback {
    filch_executor *executor;
    struct inside inside;
    int ended;
};
static void end_it_in_a_callback(filch_future *f, void *context) {
    struct in_callback *in_callback = context;
    (void)f;
    in_callback->inside = end_it(in_callback->executor);
    add(&in_callback->ended, 1);
}
static void check_inside(filch_executor *e, const struct inside *inside) {
    cr_assert_eq(inside->wait, FILCH_EDEADLK);
    cr_assert_eq(inside->destroy, FILCH_EDEADLK);
    cr_assert_eq(inside->again, 0);
    cr_assert_eq(finish(submit_int(e, square, 2)), 0);
    ok(filch_executor_destroy(e));
}

/* R-SHUTDOWN-7 */
Test(conformance_shutdown, with_wait_in_a_task_is_edeadlk_and_nothing_happens) {
    filch_executor *e = make_executor(1);
    struct inside inside = {77, 77, 77};
    filch_future *f = submit_to(e, end_it_in_a_task, NULL, 0, sizeof inside);
    ok(filch_future_result(f, &inside, FILCH_FOREVER));
    filch_future_release(f);
    check_inside(e, &inside);
}

/* R-SHUTDOWN-7 */
Test(conformance_shutdown, with_wait_in_a_callback_is_edeadlk_and_nothing_happens) {
    struct in_callback in_callback = {make_executor(1), {77, 77, 77}, 0};
    struct held busy = hold_worker(in_callback.executor);
    ok(filch_future_add_done_callback(busy.future, end_it_in_a_callback, &in_callback));
    let_go(&busy);
    wait_for_count(&in_callback.ended, 1);
    check_inside(in_callback.executor, &in_callback.inside);
}

/* R-SHUTDOWN-8 */
Test(conformance_shutdown, unknown_flags_change_nothing) {
    filch_executor *e = make_executor(1);
    fails(FILCH_EINVAL, filch_executor_shutdown(e, 4));
    fails(FILCH_EINVAL, filch_executor_shutdown(e, ~0u));
    cr_assert_eq(finish(submit_int(e, square, 2)), 0);
    ok(filch_executor_destroy(e));
}

/* R-SHUTDOWN-9 */
Test(conformance_shutdown, the_default_executor_is_not_the_callers) {
    fails(FILCH_EINVAL, filch_executor_destroy(filch_default_executor()));
    cr_assert_eq(finish(submit_int(NULL, square, 2)), 0);
}

/* A broken executor ------------------------------------------------------------------------------------ */

/* Lets the worker break when the program says so. */
static int break_when_open(void *arg) {
    shared_wait(*(struct shared *)arg, 1);
    return 7;
}
static filch_executor *breaking_executor(struct shared *open) {
    *open = shared_alloc(sizeof(int));
    return make_executor_with((struct wanted){1, break_when_open, open, sizeof *open});
}
static void check_refused(filch_executor *e) {
    filch_future *none = NULL;
    fails(FILCH_EBROKEN, filch_submit(e, do_nothing, NULL, 0, 0, &none));
    cr_assert_not_null(strstr(filch_last_error(), "initializer"), "%s", filch_last_error());
    cr_assert_null(none);
}

/* R-BREAK-1, R-BREAK-2, R-RESULT-3, R-STATE-3, R-MENDED-5 */
Test(conformance_shutdown, a_failing_initializer_ends_all_with_the_cause) {
    struct shared open, runs = shared_alloc(sizeof(int));
    filch_executor *e = breaking_executor(&open);
    filch_future *futures[QUEUED];
    filch_error error;
    struct told told = {0, 0, 0};
    for (int i = 0; i < QUEUED; i++) {
        futures[i] = submit_shared(e, add_one, runs);
        ok(filch_future_add_done_callback(futures[i], tell, &told));
    }
    cr_assert(filch_future_cancel(futures[0]) && filch_future_cancel(futures[9]));
    shared_add(open, 1);
    for (int i = 0; i < QUEUED; i++) {
        int code = i == 0 || i == 9 ? FILCH_ECANCELED : FILCH_EBROKEN;
        ok(filch_future_error(futures[i], &error, FILCH_FOREVER));
        cr_assert_eq(error.code, code);
        cr_assert_eq(filch_future_result(futures[i], NULL, 0), code);
        cr_assert_eq(filch_future_cancelled(futures[i]), code == FILCH_ECANCELED);
        if (code == FILCH_EBROKEN) cr_assert_not_null(strstr(error.text, "initializer"));
    }
    check_refused(e);
    ok(filch_executor_destroy(e));
    cr_assert(told.n == QUEUED && told.cancelled == 2 && shared_read(runs) == 0);
    for (int i = 0; i < QUEUED; i++) filch_future_release(futures[i]);
}

/* R-BREAK-3 */
Test(conformance_shutdown, broken_comes_before_shut_down) {
    struct shared open;
    filch_executor *e = breaking_executor(&open);
    filch_future *f = submit_int(e, square, 2);
    shared_add(open, 1);
    cr_assert_eq(finish(f), FILCH_EBROKEN);
    for (int i = 0; i < FLAGS; i++) {
        ok(filch_executor_shutdown(e, all_flags[i]));
        check_refused(e);
    }
    ok(filch_executor_destroy(e));
}
