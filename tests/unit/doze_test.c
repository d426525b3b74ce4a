/* doze_test.c: when a thread outside dozes, what ends a doze, and what it learns from it (doze.h).
 *
 * The future under test is of an executor that has no worker yet, so that nothing but the test ends it, or a
 * doze for it.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "doze.h"
#include "os/clock.h"
#include "support/support.h"
#include "thread/pool.h"
#include <criterion/criterion.h>
#include <filch.h>
#include <sched.h>

TestSuite(doze, .timeout = 20);

struct bed {
    struct filch__pool *pool;
    struct filch__heap *heap;
    filch_future *future; /* pending */
    int dozes;            /* that were begun */
    bool tell, finish;    /* what happens in each, before its sleep */
};

static int nothing(void *arg, void *result) {
    (void)arg, (void)result;
    return 0;
}

static void in_doze(void *context) {
    struct bed *b = context;
    b->dozes++;
    cr_assert_eq(load_acquire(&b->pool->home->dozing), 1u);
    cr_assert_not(state_look(&b->future->state) & FLAG_SLEEPERS, "nobody is asked to wake it");
    if (b->finish) cr_assert(filch__future_try_cancel(b->future));
    if (b->tell) filch__doze_end(b->pool->home);
}

static void make_future(struct bed *b) {
    filch_task task = FILCH_TASK_INIT;
    task.fn = nothing;
    b->future = filch__future_create(b->heap, &task, 1);
    cr_assert_not_null(b->future);
}

static void begin(struct bed *b, filch_nanoseconds spin) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    filch_executor *e = NULL;
    options.spin = spin;
    cr_assert_eq(filch_thread_executor(&options, &e), 0, "%s", filch_last_error());
    *b = (struct bed){.pool = filch__pool_of(e)};
    b->heap = filch__heap_create(b->pool->home, filch__home_release);
    filch__home_retain(b->pool->home);
    make_future(b);
    filch__dozes = (struct filch__dozes){0};
    point_call("doze", in_doze, b);
}

static void end(struct bed *b) {
    point_call("doze", NULL, NULL);
    filch__future_drop(b->future);
    filch__heap_seal(b->heap);
    cr_assert_eq(filch_executor_destroy(&b->pool->base), 0);
}

/* As often as the thread may wait without a doze, and once more at the time of the next. */
static bool doze_next(struct bed *b) {
    int before = b->dozes;
    while (filch__dozes.waits != 0) cr_assert_not(filch__doze(b->future, FILCH_FOREVER));
    cr_assert_eq(b->dozes, before);
    filch__dozes.next = 0;
    bool done = filch__doze(b->future, FILCH_FOREVER);
    cr_assert_eq(b->dozes, before + 1);
    return done;
}

Test(doze, one_in_vain_is_not_repeated_at_once) {
    struct bed b;
    begin(&b, 0);
    cr_assert_not(doze_next(&b), "it ends, and the future is not done");
    cr_assert_eq(filch__dozes.pause, DOZE_PAUSE_FIRST);
    filch__dozes.next = FILCH_FOREVER;
    for (int i = 0; i < 100; i++) cr_assert_not(filch__doze(b.future, FILCH_FOREVER));
    cr_assert_eq(b.dozes, 1);
    end(&b);
}

Test(doze, each_in_vain_makes_the_pause_longer_up_to_a_limit) {
    struct bed b;
    begin(&b, 0);
    int64_t pause = 0;
    for (int i = 0; i < 10; i++) {
        cr_assert_not(doze_next(&b));
        cr_assert(filch__dozes.pause > pause || pause == DOZE_PAUSE_MAX);
        cr_assert_gt(filch__dozes.waits, 0);
        pause = filch__dozes.pause;
    }
    cr_assert_eq(pause, DOZE_PAUSE_MAX);
    end(&b);
}

/* A doze that lasts its time, with the future done at its end, and so many more then. */
static void doze_and_take(struct bed *b, uint32_t taken) {
    b->finish = true;
    cr_assert(doze_next(b));
    cr_assert(filch__dozes.open, "it is judged by what follows");
    for (uint32_t i = 0; i < taken; i++)
        cr_assert_eq(filch_future_result(b->future, NULL, FILCH_FOREVER), FILCH_ECANCELED);
    filch__future_drop(b->future);
    make_future(b);
    b->finish = false;
}

Test(doze, a_good_one_is_repeated_at_once) {
    struct bed b;
    begin(&b, 0);
    for (int i = 0; i < 5; i++) cr_assert_not(doze_next(&b));
    doze_and_take(&b, DOZE_TAKES);
    int before = b.dozes;
    cr_assert_not(filch__doze(b.future, FILCH_FOREVER));
    cr_assert_eq(b.dozes, before + 1);
    cr_assert_eq(filch__dozes.pause, DOZE_PAUSE_FIRST, "that one was in vain, after a good one");
    end(&b);
}

Test(doze, one_future_alone_is_not_worth_it) {
    struct bed b;
    begin(&b, 0);
    doze_and_take(&b, DOZE_TAKES - 1);
    int before = b.dozes;
    cr_assert_not(filch__doze(b.future, FILCH_FOREVER));
    cr_assert_eq(b.dozes, before);
    cr_assert_eq(filch__dozes.pause, DOZE_PAUSE_FIRST);
    end(&b);
}

Test(doze, one_that_a_worker_ends_is_not_worth_it) {
    struct bed b;
    begin(&b, 0);
    b.tell = b.finish = true;
    cr_assert(doze_next(&b));
    cr_assert_eq(load_acquire(&b.pool->home->dozing), 0u);
    cr_assert_eq(filch__dozes.pause, DOZE_PAUSE_FIRST);
    end(&b);
}

Test(doze, the_deadline_of_the_wait_is_kept) {
    struct bed b;
    begin(&b, 0);
    cr_assert_eq(filch_future_result(b.future, NULL, 1), FILCH_ETIMEDOUT);
    cr_assert_eq(filch_future_result(b.future, NULL, 0), FILCH_ETIMEDOUT);
    cr_assert_eq(b.dozes, 1, "a poll does not doze");
    end(&b);
}

Test(doze, whoever_asks_for_a_long_spin_gets_it) {
    struct bed b;
    begin(&b, FILCH__SPIN_DEFAULT + 1);
    cr_assert_not(filch__doze(b.future, FILCH_FOREVER));
    cr_assert_eq(b.dozes, 0);
    end(&b);
}

Test(doze, who_does_not_spin_may_doze) {
    struct bed b;
    begin(&b, -1);
    cr_assert_not(doze_next(&b));
    end(&b);
}

Test(doze, not_for_a_promise) {
    struct bed b;
    filch_future *promise = NULL;
    begin(&b, 0);
    cr_assert_eq(filch_promise(0, &promise), 0);
    cr_assert_not(filch__doze(promise, FILCH_FOREVER));
    cr_assert_eq(b.dozes, 0);
    filch_future_release(promise);
    end(&b);
}

/* A worker that has run its task has nothing else to do. */
static void idle_worker_ends_it(int workers) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    filch_executor *e = NULL;
    options.max_workers = workers;
    cr_assert_eq(filch_thread_executor(&options, &e), 0, "%s", filch_last_error());
    uint32_t *dozing = &filch__pool_of(e)->home->dozing;
    for (int i = 0; i < 20; i++) {
        store_release(dozing, 1u);
        cr_assert_eq(filch_submit(e, nothing, NULL, 0, 0, NULL), 0);
        while (load_acquire(dozing) != 0) sched_yield();
    }
    cr_assert_eq(filch_executor_destroy(e), 0);
}

Test(doze, an_idle_worker_ends_it) {
    idle_worker_ends_it(2);
}

Test(doze, a_single_idle_worker_ends_it) {
    idle_worker_ends_it(1);
}
