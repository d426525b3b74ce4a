/* sets_test.c: filch_wait and filch_as_completed.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"
#include <unistd.h>

TestSuite(conformance_sets, .timeout = 30);

enum { N = 8 };
/* One worker that is held, and N tasks behind it: even ones square, odd ones fail with their number. */
struct queue {
    filch_executor *executor;
    struct held busy;
    filch_future *futures[N];
};
static struct queue queue_of_tasks(void) {
    struct queue q = {.executor = make_executor(1)};
    q.busy = hold_worker(q.executor);
    for (int i = 0; i < N; i++)
        q.futures[i] = submit_int(q.executor, i % 2 ? return_code : square, i);
    return q;
}
static void end_queue(struct queue *q) {
    if (q->busy.future != NULL) let_go(&q->busy);
    for (int i = 0; i < N; i++) filch_future_release(q->futures[i]);
    ok(filch_executor_destroy(q->executor));
}
static filch_future *promise(void) {
    filch_future *f = NULL;
    ok(filch_promise(0, &f));
    return f;
}

/* Completes a promise, or lets a worker go, when the test's own thread waits. */
struct later {
    filch_future *promise;
    struct held *busy;
    int rc;
};
static void complete_later(void *context) {
    struct later *later = context;
    usleep(2000);
    if (later->promise != NULL) later->rc = filch_promise_set(later->promise, NULL, 0);
    if (later->busy != NULL) shared_add(later->busy->hold.open, 1);
}

/* filch_wait --------------------------------------------------------------------------------------- */

/* R-WAIT-1, R-WAIT-2, R-WAIT-3, R-MENDED-3 */
Test(conformance_sets, wait_puts_those_that_are_done_first_in_order) {
    struct queue q = queue_of_tasks();
    filch_future *array[N];
    memcpy(array, q.futures, sizeof array);
    cr_assert(filch_future_cancel(array[6]) && filch_future_cancel(array[1]));
    cr_assert(filch_future_cancel(array[3]));
    static const int expected[N] = {1, 3, 6, 0, 2, 4, 5, 7};
    static const filch_nanoseconds polls[] = {0, -5, 1000000};
    for (int round = 0; round < 3; round++) {
        memcpy(array, q.futures, sizeof array);
        cr_assert_eq(filch_wait(array, N, polls[round], FILCH_ALL_COMPLETED), 3);
        for (int i = 0; i < N; i++) cr_assert_eq(array[i], q.futures[expected[i]], "place %d", i);
    }
    let_go(&q.busy);
    cr_assert_eq(filch_wait(array, N, FILCH_FOREVER, FILCH_ALL_COMPLETED), N);
    for (int i = 0; i < N; i++)
        cr_assert_eq(array[i], q.futures[expected[i]], "all done: as it was");
    end_queue(&q);
}

/* R-WAIT-4 */
Test(conformance_sets, wait_refuses_what_is_wrong_and_leaves_the_array) {
    struct queue q = queue_of_tasks();
    filch_future *array[3] = {q.futures[0], NULL, q.futures[1]};
    cr_assert(filch_future_cancel(q.futures[1]));
    fails(FILCH_EINVAL, filch_wait(array, 3, 0, FILCH_ALL_COMPLETED));
    fails(FILCH_EINVAL, filch_wait(NULL, 3, 0, FILCH_ALL_COMPLETED));
    fails(FILCH_EINVAL, filch_wait(q.futures, 3, 0, (filch_when)0));
    fails(FILCH_EINVAL, filch_wait(q.futures, 3, 0, (filch_when)99));
    fails(FILCH_ETOOBIG, filch_wait(q.futures, SIZE_MAX / 2, 0, FILCH_FIRST_COMPLETED));
    cr_assert(array[0] == q.futures[0] && array[1] == NULL && array[2] == q.futures[1]);
    end_queue(&q);
}

/* R-WAIT-5 */
Test(conformance_sets, wait_for_the_first_that_completes) {
    struct queue q = queue_of_tasks();
    filch_future *mine[3] = {q.futures[0], q.futures[2], promise()};
    struct later later = {mine[2], NULL, 77};
    cr_assert_eq(filch_wait(mine, 3, 0, FILCH_FIRST_COMPLETED), 0);
    pthread_t thread = thread_start(complete_later, &later);
    cr_assert_eq(filch_wait(mine, 3, FILCH_FOREVER, FILCH_FIRST_COMPLETED), 1);
    thread_finish(thread);
    cr_assert(later.rc == 0 && mine[0] == later.promise);
    cr_assert(mine[1] == q.futures[0] && mine[2] == q.futures[2]);
    filch_future_release(later.promise);
    end_queue(&q);
}

/* R-WAIT-6: successes do not end it. */
Test(conformance_sets, wait_for_the_first_error) {
    filch_executor *e = make_executor(1);
    struct held busy = hold_worker(e);
    filch_future *good = submit_int(e, square, 2), *bad = submit_int(e, return_code, 5);
    struct held last = hold_queued(e);
    filch_future *array[3] = {last.future, bad, good};
    struct later later = {NULL, &busy, 0};
    cr_assert_eq(filch_wait(array, 3, 0, FILCH_FIRST_ERROR), 0);
    pthread_t thread = thread_start(complete_later, &later);
    cr_assert_eq(filch_wait(array, 3, FILCH_FOREVER, FILCH_FIRST_ERROR), 2);
    thread_finish(thread);
    cr_assert(array[0] == bad && array[1] == good && array[2] == last.future);
    filch_future_release(busy.future);
    let_go(&last);
    cr_assert_eq(filch_wait(&good, 1, FILCH_FOREVER, FILCH_FIRST_ERROR), 1, "all done ends it too");
    filch_future_release(good);
    filch_future_release(bad);
    ok(filch_executor_destroy(e));
}

/* R-WAIT-7 */
Test(conformance_sets, wait_for_all) {
    struct queue q = queue_of_tasks();
    struct later later = {NULL, &q.busy, 0};
    filch_future *array[N];
    memcpy(array, q.futures, sizeof array);
    cr_assert(filch_future_cancel(array[5]));
    pthread_t thread = thread_start(complete_later, &later);
    cr_assert_eq(filch_wait(array, N, FILCH_FOREVER, FILCH_ALL_COMPLETED), N);
    thread_finish(thread);
    for (int i = 0; i < N; i++) cr_assert(array[i] == q.futures[i] && filch_future_done(array[i]));
    filch_future_release(q.busy.future);
    q.busy.future = NULL;
    end_queue(&q);
}

struct cancelling {
    filch_future *future;
    bool cancelled;
};
static void cancel_later(void *context) {
    struct cancelling *cancelling = context;
    usleep(2000);
    cancelling->cancelled = filch_future_cancel(cancelling->future);
}

/* R-WAIT-8, R-MENDED-3 */
Test(conformance_sets, a_cancelled_one_completes_and_is_no_error) {
    struct queue q = queue_of_tasks();
    struct cancelling cancelling = {q.futures[2], false};
    filch_future *array[2] = {q.futures[0], q.futures[2]};
    pthread_t thread = thread_start(cancel_later, &cancelling);
    cr_assert_eq(filch_wait(array, 2, FILCH_FOREVER, FILCH_FIRST_COMPLETED), 1);
    thread_finish(thread);
    cr_assert(cancelling.cancelled && array[0] == q.futures[2]);
    cr_assert_eq(filch_wait(array, 2, FILCH_MILLISECONDS(1), FILCH_FIRST_ERROR), 1);
    cr_assert_eq(filch_wait(array, 2, 0, FILCH_FIRST_COMPLETED), 1);
    struct later later = {NULL, &q.busy, 0};
    thread = thread_start(complete_later, &later);
    cr_assert_eq(filch_wait(array, 2, FILCH_FOREVER, FILCH_FIRST_ERROR), 2, "no error: all");
    thread_finish(thread);
    filch_future_release(q.busy.future);
    q.busy.future = NULL;
    end_queue(&q);
}

/* R-WAIT-9 */
Test(conformance_sets, duplicates_count_as_often_as_they_stand_there) {
    struct queue q = queue_of_tasks();
    filch_future *a = q.futures[0], *b = q.futures[2];
    filch_future *array[5] = {a, b, a, b, b};
    cr_assert(filch_future_cancel(b));
    cr_assert_eq(filch_wait(array, 5, 0, FILCH_ALL_COMPLETED), 3);
    cr_assert(array[0] == b && array[1] == b && array[2] == b && array[3] == a && array[4] == a);
    let_go(&q.busy);
    cr_assert_eq(filch_wait(array, 5, FILCH_FOREVER, FILCH_ALL_COMPLETED), 5);
    end_queue(&q);
}

/* R-WAIT-10 */
Test(conformance_sets, nothing_is_waited_for_at_once) {
    filch_completions *it = NULL;
    filch_future *next = NULL;
    cr_assert_eq(filch_wait(NULL, 0, FILCH_FOREVER, FILCH_ALL_COMPLETED), 0);
    cr_assert_eq(filch_wait(NULL, 0, FILCH_FOREVER, FILCH_FIRST_COMPLETED), 0);
    cr_assert_eq(filch_wait(NULL, 0, FILCH_FOREVER, FILCH_FIRST_ERROR), 0);
    ok(filch_as_completed(NULL, 0, FILCH_FOREVER, &it));
    cr_assert_eq(filch_completions_next(it, &next), FILCH_EEND);
    ok(filch_completions_destroy(it));
}

/* R-WAIT-11 */
Test(conformance_sets, futures_of_two_executors_and_promises_are_mixed) {
    filch_executor *e = make_executor(2), *other = make_executor(1);
    filch_future *array[4] = {submit_int(e, square, 2), promise(), submit_int(other, square, 3),
                              submit_int(NULL, square, 4)};
    struct later later = {array[1], NULL, 77};
    pthread_t thread = thread_start(complete_later, &later);
    cr_assert_eq(filch_wait(array, 4, FILCH_FOREVER, FILCH_ALL_COMPLETED), 4);
    thread_finish(thread);
    for (int i = 0; i < 4; i++) cr_assert_eq(finish(array[i]), 0);
    ok(filch_executor_destroy(e));
    ok(filch_executor_destroy(other));
}

static int wait_for_children(void *arg, void *result) {
    filch_future *children[N];
    filch_when when = *(filch_when *)arg;
    int sum = 0;
    for (int i = 0; i < N; i++)
        if (filch_submit(filch_current_executor(), square, &i, sizeof i, sizeof i, &children[i]))
            return 1;
    ptrdiff_t done = filch_wait(children, N, FILCH_FOREVER, when);
    if (done < 1 || (when == FILCH_ALL_COMPLETED && done != N)) return 2;
    for (int i = 0; i < N; i++) {
        int value;
        if (filch_future_result(children[i], &value, FILCH_FOREVER) != 0) return 3;
        filch_future_release(children[i]);
        sum += value;
    }
    *(int *)result = sum;
    return 0;
}

/* R-WAIT-7, R-INSIDE-4, R-WORKER-1 */
Test(conformance_sets, a_task_waits_for_its_children) {
    for (int workers = 1; workers <= 3; workers++) {
        filch_executor *e = make_executor(workers);
        for (int when = FILCH_FIRST_COMPLETED; when <= FILCH_ALL_COMPLETED; when++) {
            int sum = 0;
            filch_future *f = submit_to(e, wait_for_children, &when, sizeof when, sizeof sum);
            cr_assert_eq(filch_future_result(f, &sum, FILCH_FOREVER), 0);
            cr_assert_eq(sum, 140);
            filch_future_release(f);
        }
        ok(filch_executor_destroy(e));
    }
}

/* filch_as_completed --------------------------------------------------------------------------------- */

static filch_future *next_of(filch_completions *it, size_t place) {
    filch_future *f = NULL;
    ok(filch_completions_next(it, &f));
    cr_assert(filch_future_done(f));
    cr_assert_eq(filch_completions_index(it), place);
    return f;
}

/* R-COMPLETED-1, R-COMPLETED-3, R-COMPLETED-6, R-COMPLETED-7 */
Test(conformance_sets, each_distinct_future_comes_once_with_its_index) {
    filch_executor *e = make_executor(2);
    filch_future *a = submit_int(e, square, 1), *b = submit_int(e, return_code, 2);
    filch_future *array[5] = {a, b, a, a, b}, *f = NULL;
    filch_completions *it = NULL;
    int seen_a = 0, seen_b = 0;
    ok(filch_as_completed(array, 5, FILCH_FOREVER, &it));
    cr_assert_eq(filch_completions_index(it), SIZE_MAX, "before the first");
    memset(array, 0, sizeof array); /* read during the call only */
    for (int i = 0; i < 2; i++) {
        ok(filch_completions_next(it, &f));
        seen_a += f == a;
        seen_b += f == b;
        cr_assert_eq(filch_completions_index(it), f == a ? 0u : 1u);
    }
    cr_assert(seen_a == 1 && seen_b == 1);
    for (int i = 0; i < 3; i++) cr_assert_eq(filch_completions_next(it, &f), FILCH_EEND);
    ok(filch_completions_destroy(it));
    cr_assert_eq(finish(a), 0, "the references are still ours");
    cr_assert_eq(finish(b), 2);
    ok(filch_executor_destroy(e));
}

/* R-COMPLETED-2, R-MENDED-3 */
Test(conformance_sets, first_those_that_are_done_then_as_they_complete) {
    struct queue q = queue_of_tasks();
    filch_future *array[6] = {q.futures[0], q.futures[1], promise(),
                              q.futures[2], promise(),    promise()};
    filch_completions *it = NULL;
    ok(filch_promise_set(array[4], NULL, 0));
    cr_assert(filch_future_cancel(array[3]));
    ok(filch_as_completed(array, 6, FILCH_FOREVER, &it));
    cr_assert_eq(next_of(it, 3), array[3]);
    cr_assert_eq(next_of(it, 4), array[4]);
    ok(filch_promise_fail(array[5], 3, NULL));
    cr_assert(filch_future_cancel(array[1]));
    ok(filch_promise_set(array[2], NULL, 0));
    cr_assert_eq(next_of(it, 5), array[5]);
    cr_assert_eq(next_of(it, 1), array[1]);
    cr_assert_eq(next_of(it, 2), array[2]);
    let_go(&q.busy);
    cr_assert_eq(next_of(it, 0), array[0]);
    ok(filch_completions_destroy(it));
    filch_future_release(array[2]);
    filch_future_release(array[4]);
    filch_future_release(array[5]);
    end_queue(&q);
}

/* R-COMPLETED-4, R-COMPLETED-5 */
Test(conformance_sets, the_clock_starts_at_the_call_and_what_is_done_still_comes) {
    filch_future *array[4] = {promise(), promise(), promise(), promise()}, *f = NULL;
    filch_completions *it = NULL;
    ok(filch_as_completed(array, 4, FILCH_MILLISECONDS(1), &it));
    usleep(3000); /* the time is over before the first next */
    ok(filch_promise_set(array[3], NULL, 0));
    ok(filch_promise_set(array[1], NULL, 0));
    cr_assert_eq(next_of(it, 3), array[3]);
    cr_assert_eq(next_of(it, 1), array[1]);
    fails(FILCH_ETIMEDOUT, filch_completions_next(it, &f));
    cr_assert_not_null(strstr(filch_last_error(), "2 (of 4) futures unfinished"), "%s",
                       filch_last_error());
    cr_assert_null(f);
    ok(filch_completions_destroy(it));
    for (int i = 0; i < 4; i++) filch_future_release(array[i]);
}

/* R-COMPLETED-7: what was not given is left as it is. */
Test(conformance_sets, an_iteration_may_end_early) {
    struct queue q = queue_of_tasks();
    filch_completions *it = NULL;
    ok(filch_as_completed(q.futures, N, FILCH_FOREVER, &it));
    ok(filch_completions_destroy(it));
    let_go(&q.busy);
    ok(filch_as_completed(q.futures, N, FILCH_FOREVER, &it));
    filch_future *f = NULL;
    ok(filch_completions_next(it, &f));
    ok(filch_completions_destroy(it));
    for (int i = 0; i < N; i++)
        cr_assert_eq(filch_future_result(q.futures[i], NULL, FILCH_FOREVER), i % 2 ? i : 0);
    end_queue(&q);
}

/* R-VALUE-8, R-VALUE-11 */
Test(conformance_sets, bad_arguments_of_an_iteration) {
    filch_executor *e = make_executor(1);
    filch_future *f = submit_int(e, square, 2), *array[2] = {f, NULL};
    filch_completions *const untouched = (filch_completions *)&e;
    filch_completions *it = untouched;
    fails(FILCH_EINVAL, filch_as_completed(array, 2, 0, &it));
    fails(FILCH_EINVAL, filch_as_completed(NULL, 2, 0, &it));
    fails(FILCH_EINVAL, filch_as_completed(array, 1, 0, NULL));
    fails(FILCH_EINVAL, filch_completions_next(NULL, &f));
    cr_assert_eq(it, untouched);
    cr_assert_eq(filch_completions_index(NULL), SIZE_MAX);
    ok(filch_completions_destroy(NULL));
    ok(filch_as_completed(array, 1, FILCH_FOREVER, &it));
    fails(FILCH_EINVAL, filch_completions_next(it, NULL));
    ok(filch_completions_next(it, &f));
    ok(filch_completions_destroy(it));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}
