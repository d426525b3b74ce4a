/* wait_test.c: a task that waits for a future: what runs meanwhile, and what must not.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <stdlib.h>
#include <unistd.h>

TestSuite(wait, .timeout = 60);

#if defined(TEST_SANITIZE_THREAD)
/* It allows 8000 threads and slows each task down; the same code runs, less deep. */
enum { DEEP = 3000, VERY_DEEP = 6000, SMALL_STACK = 256 << 10 };
#elif defined(TEST_SANITIZE_ADDRESS)
enum { DEEP = 10000, VERY_DEEP = 20000, SMALL_STACK = 256 << 10 };
#else
enum { DEEP = 10000, VERY_DEEP = 100000, SMALL_STACK = 64 << 10 };
#endif

/* The code of the future, which is released. */
static int take(filch_future *f) {
    int rc = filch_future_result(f, NULL, FILCH_FOREVER);
    filch_future_release(f);
    return rc;
}

/* Depth --------------------------------------------------------------------------------------- */

static int count_down(void *arg, void *result) {
    int depth = *(int *)arg, below = 0;
    filch_future *f;
    if (depth > 0) {
        depth--;
        int rc = filch_submit(filch_current_executor(), count_down, &depth, sizeof depth,
                              sizeof below, &f);
        if (rc != 0) return rc;
        rc = filch_future_result(f, &below, FILCH_FOREVER);
        filch_future_release(f);
        if (rc != 0) return rc;
    }
    *(int *)result = below + 1;
    return 0;
}

static void check_depth(filch_thread_options options, int depth) {
    filch_executor *e = executor_with(options);
    int count = 0;
    filch_future *f = submit_to(e, count_down, &depth, sizeof depth, sizeof count);
    ok(filch_future_result(f, &count, FILCH_FOREVER));
    cr_assert_eq(count, depth + 1);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

Test(wait, recursion_on_one_worker) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 1;
    check_depth(options, DEEP);
}

Test(wait, deep_recursion_on_one_worker) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 1;
    check_depth(options, VERY_DEEP);
}

Test(wait, recursion_on_two_workers) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 2;
    check_depth(options, DEEP);
}

/* Near the end of its stack a worker parks, and a spare goes on with a fresh one. */
Test(wait, recursion_beyond_a_small_stack) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    long before = filch__fault_live_blocks();
    options.max_workers = 1;
    options.stack_size = SMALL_STACK;
    check_depth(options, DEEP);
    options.max_workers = 2;
    options.spin = -1;
    check_depth(options, DEEP);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

static int depth_reached(filch_thread_options options, int depth) {
    filch_executor *e = executor_with(options);
    int rc = take(submit_to(e, count_down, &depth, sizeof depth, sizeof(int)));
    /* It is not the executor that failed. */
    cr_assert_eq(take(submit_to(e, do_nothing, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(e));
    return rc;
}

/* Where nobody is left to go on, the wait says so, and the executor lives. */
Test(wait, recursion_without_spares_ends_with_a_code) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 1;
    options.max_spares = -1;
    options.stack_size = SMALL_STACK;
    cr_assert_eq(depth_reached(options, DEEP), FILCH_EAGAIN);
    options.max_spares = 2;
    cr_assert_eq(depth_reached(options, DEEP), FILCH_EAGAIN);
    options.max_spares = -1;
    cr_assert_eq(depth_reached(options, 5), 0);
}

/* What runs on top ---------------------------------------------------------------------------- */

/* A task that holds a mutex waits; others want that mutex. None of them may run on its stack, where it
 * would wait for itself: `owner` tells. */
struct lock {
    pthread_mutex_t mutex;
    pthread_t owner;
    int held, on_top, done;
};
static void lock_it(struct lock *lock) {
    /* Only the owner itself can find its own thread here. */
    if (read_int(&lock->held) && pthread_equal(filch_load_acquire(&lock->owner), pthread_self())) {
        add(&lock->on_top, 1);
        return;
    }
    pthread_mutex_lock(&lock->mutex);
    filch_store_release(&lock->owner, pthread_self());
    filch_store_release(&lock->held, 1);
}
static void unlock_it(struct lock *lock) {
    if (!pthread_equal(filch_load_acquire(&lock->owner), pthread_self())) return;
    filch_store_release(&lock->held, 0);
    pthread_mutex_unlock(&lock->mutex);
}
static int want_lock(void *arg, void *result) {
    struct lock *lock = *(struct lock **)arg;
    int before = read_int(&lock->on_top);
    (void)result;
    lock_it(lock);
    if (read_int(&lock->on_top) == before) unlock_it(lock);
    add(&lock->done, 1);
    return 0;
}
static int child_of_holder(void *arg, void *result) {
    int left = *(int *)arg - 1;
    filch_future *f;
    (void)result;
    sched_yield();
    if (left <= 0) return 0;
    int rc = filch_submit(filch_current_executor(), child_of_holder, &left, sizeof left, 0, &f);
    return rc != 0 ? rc : take(f);
}
static int hold_lock_and_wait(void *arg, void *result) {
    struct lock *lock = *(struct lock **)arg;
    int depth = 5;
    filch_future *f;
    (void)result;
    lock_it(lock);
    int rc = filch_submit(filch_current_executor(), child_of_holder, &depth, sizeof depth, 0, &f);
    if (rc == 0) rc = take(f);
    unlock_it(lock);
    return rc;
}

static void check_lock(int workers) {
    enum { N = 100 };
    filch_executor *e = executor_of(workers);
    struct lock lock = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    filch_future *futures[N];
    for (int i = 0; i < N; i++)
        futures[i] = submit_pointer(e, i % 4 == 0 ? hold_lock_and_wait : want_lock, &lock);
    for (int i = 0; i < N; i++) cr_assert_eq(take(futures[i]), 0);
    ok(filch_executor_destroy(e));
    cr_assert_eq(lock.on_top, 0);
    cr_assert_eq(lock.done, N - N / 4);
}

Test(wait, no_unrelated_task_on_top_with_one_worker) {
    check_lock(1);
}

Test(wait, no_unrelated_task_on_top_with_two_workers) {
    check_lock(2);
}

/* A, from outside, is awaited and runs on top of X; it leaves a detached child T (by itself or through
 * its callback). T is nothing of X's; when X, which holds a lock, then waits for B, T must not run on X's
 * stack. */
struct stranger {
    filch_executor *executor;
    filch_future *a, *b;
    struct lock lock;
    bool by_callback;
    int start_b;
};
static void submit_stranger(struct stranger *s) {
    struct lock *lock = &s->lock;
    (void)filch_submit(s->executor, want_lock, &lock, sizeof lock, 0, NULL);
}
static void submit_stranger_in_callback(filch_future *f, void *context) {
    (void)f;
    submit_stranger(context);
}
static int run_a(void *arg, void *result) {
    struct stranger *s = *(struct stranger **)arg;
    (void)result;
    if (!s->by_callback) submit_stranger(s);
    return 0;
}
static int run_b(void *arg, void *result) {
    struct stranger *s = *(struct stranger **)arg;
    (void)result;
    /* Until X is in its wait; T may have run, on the wrong stack, or waits for the lock. */
    wait_for_count(&s->start_b, 1);
    for (int i = 0; i < 20 && read_int(&s->lock.done) == 0; i++) usleep(100);
    return 0;
}
static int run_x(void *arg, void *result) {
    struct stranger *s = *(struct stranger **)arg;
    (void)result;
    int rc = filch_future_result(s->a, NULL, FILCH_FOREVER);
    lock_it(&s->lock);
    add(&s->start_b, 1);
    if (rc == 0) rc = filch_future_result(s->b, NULL, FILCH_FOREVER);
    unlock_it(&s->lock);
    return rc;
}

static void check_stranger(bool by_callback) {
    filch_executor *e = executor_of(1), *other = executor_of(1);
    struct stranger s = {.executor = e, .by_callback = by_callback};
    struct gate gate;
    pthread_mutex_init(&s.lock.mutex, NULL);
    filch_future *first = occupy(e, &gate);
    s.b = submit_pointer(other, run_b, &s);
    filch_future *x = submit_pointer(e, run_x, &s);
    s.a = submit_pointer(e, run_a, &s);
    if (by_callback) ok(filch_future_add_done_callback(s.a, submit_stranger_in_callback, &s));
    open_gate(&gate, first);
    cr_assert_eq(take(x), 0);
    ok(filch_executor_destroy(e));
    ok(filch_executor_destroy(other));
    cr_assert_eq(s.lock.on_top, 0);
    cr_assert_eq(s.lock.done, 1);
    filch_future_release(s.a);
    filch_future_release(s.b);
}

Test(wait, child_of_an_awaited_stranger_is_no_descendant) {
    check_stranger(false);
}

Test(wait, what_a_callback_of_an_awaited_stranger_submits_is_no_descendant) {
    check_stranger(true);
}

/* Wherever the awaited task is queued --------------------------------------------------------- */

enum { BATCH = 300 };
static int tell_square(void *arg, void *result) {
    int i = *(int *)arg;
    *(int *)result = i * i;
    return 0;
}
static int await_batch(filch_future **futures, bool reverse) {
    int rc = 0;
    for (int k = 0; k < BATCH; k++) {
        int i = reverse ? BATCH - 1 - k : k, square = -1;
        rc += filch_future_result(futures[i], &square, FILCH_FOREVER) != 0 || square != i * i;
    }
    for (int i = 0; i < BATCH; i++) filch_future_release(futures[i]);
    return rc;
}
static int submit_batch(filch_executor *e, filch_future **futures) {
    int rc = 0;
    for (int i = 0; i < BATCH && rc == 0; i++)
        rc = filch_submit(e, tell_square, &i, sizeof i, sizeof(int), &futures[i]);
    return rc;
}
static int submit_and_await(void *arg, void *result) {
    filch_future *futures[BATCH];
    (void)result;
    int rc = submit_batch(filch_current_executor(), futures);
    return rc != 0 ? rc : await_batch(futures, *(bool *)arg);
}
struct batch {
    filch_future *futures[BATCH];
    bool reverse;
    uint32_t submitted;
};
static int await_from_outside(void *arg, void *result) {
    struct batch *batch = *(struct batch **)arg;
    (void)result;
    flag_wait(&batch->submitted);
    return await_batch(batch->futures, batch->reverse);
}

static void check_batches(int workers) {
    filch_executor *e = executor_of(workers);
    for (int reverse = 0; reverse < 2; reverse++) {
        static struct batch batch;
        struct gate gate;
        bool flag = reverse;
        cr_assert_eq(take(submit_to(e, submit_and_await, &flag, sizeof flag, 0)), 0);
        /* From outside, with the waiting task in front of them in the queue. */
        filch_future *first = occupy(e, &gate);
        batch.reverse = flag;
        batch.submitted = 0;
        filch_future *waiting = submit_pointer(e, await_from_outside, &batch);
        cr_assert_eq(submit_batch(e, batch.futures), 0);
        flag_raise(&batch.submitted);
        open_gate(&gate, first);
        cr_assert_eq(take(waiting), 0);
    }
    ok(filch_executor_destroy(e));
}

Test(wait, awaited_tasks_are_claimed_in_any_order_on_one_worker) {
    check_batches(1);
}

Test(wait, awaited_tasks_are_claimed_in_any_order_on_three_workers) {
    check_batches(3);
}

/* Nothing but the awaited one is run: the other, detached, starts later. */
struct claimed {
    int ran_other;
};
static int await_the_older(void *arg, void *result) {
    struct claimed *c = *(struct claimed **)arg;
    int *pointer = &c->ran_other;
    filch_executor *e = filch_current_executor();
    filch_future *a;
    (void)result;
    if (filch_submit(e, do_nothing, NULL, 0, 0, &a) != 0) return 1;
    if (filch_submit(e, count_one, &pointer, sizeof pointer, 0, NULL) != 0) return 2;
    if (take(a) != 0) return 3;
    return read_int(&c->ran_other) == 0 ? 0 : 4;
}

Test(wait, the_awaited_task_is_claimed_past_newer_ones) {
    filch_executor *e = executor_of(1);
    struct claimed c = {0};
    cr_assert_eq(take(submit_pointer(e, await_the_older, &c)), 0);
    ok(filch_executor_destroy(e));
    cr_assert_eq(c.ran_other, 1);
}

/* Memory does not grow however often tasks are claimed past others, or cancelled. */
enum pattern {
    OLDER_FIRST,
    NEWER_FIRST,
    CANCEL_NEWER,
    CANCEL_OLDER,
    CANCEL_BOTH,
    BELOW_A_PENDING_ONE
};
struct loop {
    enum pattern pattern;
    int n;
    long grown;
};
static int do_pattern(filch_executor *e, enum pattern pattern) {
    filch_future *a, *b;
    if (filch_submit(e, do_nothing, NULL, 0, 0, &a) != 0) return 1;
    if (filch_submit(e, do_nothing, NULL, 0, 0, &b) != 0) return 2;
    if (pattern == CANCEL_NEWER || pattern == CANCEL_BOTH) filch_future_cancel(b);
    if (pattern == CANCEL_OLDER || pattern == CANCEL_BOTH) filch_future_cancel(a);
    filch_future *first = pattern == NEWER_FIRST ? b : a, *second = first == a ? b : a;
    int rc = take(first), other = take(second);
    if (pattern < CANCEL_NEWER || pattern == BELOW_A_PENDING_ONE) return rc + other;
    return (rc == 0 || rc == FILCH_ECANCELED) && (other == 0 || other == FILCH_ECANCELED) ? 0 : 3;
}
static int loop_on_pattern(void *arg, void *result) {
    struct loop *loop = *(struct loop **)arg;
    filch_executor *e = filch_current_executor();
    filch_future *pending = NULL;
    int rc = 0;
    (void)result;
    if (loop->pattern == BELOW_A_PENDING_ONE)
        rc = filch_submit(e, do_nothing, NULL, 0, 0, &pending);
    for (int i = 0; i < 1000 && rc == 0; i++) rc = do_pattern(e, loop->pattern);
    long before = filch__fault_live_blocks();
    for (int i = 0; i < loop->n && rc == 0; i++) rc = do_pattern(e, loop->pattern);
    loop->grown = filch__fault_live_blocks() - before;
    filch_future_release(pending);
    return rc;
}

static void check_growth(enum pattern pattern) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    struct loop loop = {pattern, stress(100000), -1};
    options.max_workers = 1;
    options.max_spares = -1;
    filch_executor *e = executor_with(options);
    cr_assert_eq(take(submit_pointer(e, loop_on_pattern, &loop)), 0);
    ok(filch_executor_destroy(e));
    cr_assert_leq(loop.grown, 0, "%ld blocks more", loop.grown);
}

Test(wait, memory_stays_when_the_older_is_awaited_first) {
    check_growth(OLDER_FIRST);
}
Test(wait, memory_stays_when_the_newer_is_awaited_first) {
    check_growth(NEWER_FIRST);
}
Test(wait, memory_stays_when_the_newer_is_cancelled) {
    check_growth(CANCEL_NEWER);
}
Test(wait, memory_stays_when_the_older_is_cancelled) {
    check_growth(CANCEL_OLDER);
}
Test(wait, memory_stays_when_all_are_cancelled) {
    check_growth(CANCEL_BOTH);
}
Test(wait, memory_stays_above_a_pending_task) {
    check_growth(BELOW_A_PENDING_ONE);
}

/* Deadlocks that are named -------------------------------------------------------------------- */

struct own {
    filch_future *self, *lower;
    uint32_t published;
    int codes[4];
};
static int await_lower(void *arg, void *result) {
    struct own *own = *(struct own **)arg;
    filch_error error;
    (void)result;
    own->codes[1] = filch_future_result(own->lower, NULL, FILCH_FOREVER);
    own->codes[2] = filch_future_error(own->lower, &error, FILCH_SECONDS(100));
    return 0;
}
static int await_itself(void *arg, void *result) {
    struct own *own = *(struct own **)arg;
    filch_future *f;
    (void)result;
    flag_wait(&own->published);
    own->codes[0] = filch_future_result(own->lower, NULL, FILCH_FOREVER);
    if (filch_submit(filch_current_executor(), await_lower, arg, sizeof own, 0, &f) != 0) return 1;
    own->codes[3] = take(f);
    return 0;
}

Test(wait, for_oneself_or_for_what_stands_below) {
    for (int workers = 1; workers < 3; workers++) {
        filch_executor *e = executor_of(workers);
        struct own own = {.published = 0};
        own.lower = submit_pointer(e, await_itself, &own);
        flag_raise(&own.published);
        cr_assert_eq(filch_future_result(own.lower, NULL, FILCH_FOREVER), 0);
        ok(filch_executor_destroy(e));
        cr_assert_eq(own.codes[0], FILCH_EDEADLK);
        /* On a worker of its own it closes a circle: one of the two is told. */
        cr_assert(own.codes[1] == FILCH_EDEADLK || own.codes[3] == FILCH_EDEADLK);
        if (workers == 1) {
            cr_assert_eq(own.codes[1], FILCH_EDEADLK);
            cr_assert_eq(own.codes[2], FILCH_EDEADLK);
            cr_assert_eq(own.codes[3], 0);
        }
        filch_future_release(own.lower);
    }
}

/* Two tasks that wait for each other, each on a worker of its own: one of them is told. */
struct cycle {
    filch_future *f[2];
    uint32_t published;
    int arrived;
};
struct side {
    struct cycle *cycle;
    int other;
};
static int await_the_other(void *arg, void *result) {
    struct side *side = arg;
    (void)result;
    flag_wait(&side->cycle->published);
    add(&side->cycle->arrived, 1);
    wait_for_count(&side->cycle->arrived, 2);
    return filch_future_result(side->cycle->f[side->other], NULL, FILCH_FOREVER);
}

Test(wait, in_a_circle, .timeout = 10) {
    for (int i = 0; i < 20; i++) {
        filch_executor *e = executor_of(2);
        struct cycle cycle = {.published = 0};
        for (int k = 0; k < 2; k++) {
            struct side side = {&cycle, 1 - k};
            cycle.f[k] = submit_to(e, await_the_other, &side, sizeof side, 0);
        }
        flag_raise(&cycle.published);
        int a = filch_future_result(cycle.f[0], NULL, FILCH_FOREVER);
        int b = filch_future_result(cycle.f[1], NULL, FILCH_FOREVER);
        cr_assert(a == FILCH_EDEADLK || b == FILCH_EDEADLK, "%d and %d", a, b);
        filch_future_release(cycle.f[0]);
        filch_future_release(cycle.f[1]);
        ok(filch_executor_destroy(e));
    }
}

/* Two executors ------------------------------------------------------------------------------- */

static int await_pointer(void *arg, void *result) {
    (void)result;
    return filch_future_result(*(filch_future **)arg, NULL, FILCH_FOREVER);
}

Test(wait, for_a_future_of_another_executor) {
    filch_executor *a = executor_of(1), *b = executor_of(1);
    for (int i = 0; i < 50; i++) {
        filch_future *f = submit_to(b, do_nothing, NULL, 0, 0);
        cr_assert_eq(take(submit_to(a, await_pointer, &f, sizeof f, 0)), 0);
        filch_future_release(f);
    }
    ok(filch_executor_destroy(a));
    ok(filch_executor_destroy(b));
}

/* A task of each executor submits to the other and waits, to and fro, with one worker each. */
struct volley {
    filch_executor *to[2];
    int left;
};
static int play(void *arg, void *result) {
    struct volley *v = arg;
    filch_future *f;
    (void)result;
    if (v->left-- == 0) return 0;
    int rc = filch_submit(v->to[v->left % 2], play, v, sizeof *v, 0, &f);
    return rc != 0 ? rc : take(f);
}

Test(wait, executors_wait_for_each_other_to_and_fro) {
    filch_executor *a = executor_of(1), *b = executor_of(1);
    struct volley v = {{a, b}, 60};
    filch_future *futures[4];
    for (int i = 0; i < 4; i++) futures[i] = submit_to(i % 2 ? a : b, play, &v, sizeof v, 0);
    for (int i = 0; i < 4; i++) cr_assert_eq(take(futures[i]), 0);
    ok(filch_executor_destroy(a));
    ok(filch_executor_destroy(b));
}

/* Their single workers wait for each other's queued tasks. */
struct crossed {
    filch_future *theirs[2];
    struct gate gates[2];
};
struct crossing {
    struct crossed *crossed;
    int side;
};
static int await_theirs(void *arg, void *result) {
    struct crossing *c = arg;
    (void)result;
    flag_raise(&c->crossed->gates[c->side].reached);
    flag_wait(&c->crossed->gates[c->side].open);
    return filch_future_result(c->crossed->theirs[c->side], NULL, FILCH_FOREVER);
}

Test(wait, single_workers_wait_for_each_others_queued_tasks) {
    int n = stress(50);
    for (int i = 0; i < n; i++) {
        filch_executor *e[2] = {executor_of(1), executor_of(1)};
        struct crossed crossed = {.theirs = {NULL, NULL}};
        filch_future *waiting[2];
        for (int k = 0; k < 2; k++) {
            struct crossing c = {&crossed, k};
            waiting[k] = submit_to(e[k], await_theirs, &c, sizeof c, 0);
            flag_wait(&crossed.gates[k].reached);
        }
        for (int k = 0; k < 2; k++) crossed.theirs[k] = submit_to(e[1 - k], do_nothing, NULL, 0, 0);
        for (int k = 0; k < 2; k++) flag_raise(&crossed.gates[k].open);
        for (int k = 0; k < 2; k++) cr_assert_eq(take(waiting[k]), 0);
        for (int k = 0; k < 2; k++) filch_future_release(crossed.theirs[k]);
        for (int k = 0; k < 2; k++) ok(filch_executor_destroy(e[k]));
    }
}

/* Spares -------------------------------------------------------------------------------------- */

static int open_gate_task(void *arg, void *result) {
    (void)result;
    flag_raise(&(*(struct gate **)arg)->open);
    return 0;
}

/* The only worker waits for what only a later task, submitted from outside, brings about. */
Test(wait, a_spare_takes_the_place_of_a_parked_worker) {
    filch_executor *e = executor_of(1), *other = executor_of(1);
    int n = stress(50);
    for (int i = 0; i < n; i++) {
        struct gate gate;
        filch_future *elsewhere = occupy(other, &gate);
        filch_future *waiting = submit_to(e, await_pointer, &elsewhere, sizeof elsewhere, 0);
        if (i % 3 == 0)
            while (!filch_future_running(waiting)) sched_yield();
        if (i % 3 == 1) {
            struct stopper *stop;
            stop = stop_at("wait.blocked");
            for (int k = 0; k < 100 && !stopper_is_reached(stop); k++) usleep(10);
            stopper_release(stop);
        }
        struct gate *pointer = &gate;
        cr_assert_eq(take(submit_to(e, open_gate_task, &pointer, sizeof pointer, 0)), 0);
        cr_assert_eq(take(waiting), 0);
        cr_assert_eq(take(elsewhere), 0);
    }
    ok(filch_executor_destroy(e));
    ok(filch_executor_destroy(other));
}

/* As many parked as there may be workers and spares: what is queued still runs. */
Test(wait, every_worker_may_be_parked_but_one) {
    enum { N = 20 };
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 2;
    options.max_spares = N;
    filch_executor *e = executor_with(options), *other = executor_of(1);
    struct gate gate, *pointer = &gate;
    filch_future *elsewhere = occupy(other, &gate), *waiting[N];
    for (int i = 0; i < N; i++)
        waiting[i] = submit_to(e, await_pointer, &elsewhere, sizeof elsewhere, 0);
    cr_assert_eq(take(submit_to(e, open_gate_task, &pointer, sizeof pointer, 0)), 0);
    for (int i = 0; i < N; i++) cr_assert_eq(take(waiting[i]), 0);
    cr_assert_leq(stats_of(e).workers_started, 2 + N);
    filch_future_release(elsewhere);
    ok(filch_executor_destroy(e));
    ok(filch_executor_destroy(other));
}

/* A worker that comes back makes one too many; afterwards no more than max run at a time. */
struct crowd {
    int inside, most;
};
static int join_crowd(void *arg, void *result) {
    struct crowd *crowd = *(struct crowd **)arg;
    int now = add(&crowd->inside, 1), most = read_int(&crowd->most);
    (void)result;
    while (now > most && !filch_cas_acq_rel(&crowd->most, &most, now)) continue;
    sched_yield();
    add(&crowd->inside, -1);
    return 0;
}

static void check_crowd(int max_workers, bool ending) {
    filch_executor *e = executor_of(max_workers), *other = executor_of(1);
    struct crowd crowd = {0, 0};
    struct gate gate, *pointer = &gate;
    filch_future *elsewhere = occupy(other, &gate), *waiting[10], *futures[300];
    for (int i = 0; i < 10; i++)
        waiting[i] = submit_to(e, await_pointer, &elsewhere, sizeof elsewhere, 0);
    cr_assert_eq(take(submit_to(e, open_gate_task, &pointer, sizeof pointer, 0)), 0);
    for (int i = 0; i < 10; i++) cr_assert_eq(take(waiting[i]), 0);
    settle(e);
    for (int i = 0; i < 300; i++) futures[i] = submit_pointer(e, join_crowd, &crowd);
    if (ending) ok(filch_executor_shutdown(e, 0));
    for (int i = 0; i < 300; i++) cr_assert_eq(take(futures[i]), 0);
    ok(filch_executor_destroy(e));
    cr_assert_leq(crowd.most, max_workers, "%d at a time", crowd.most);
    filch_future_release(elsewhere);
    ok(filch_executor_destroy(other));
}

Test(wait, no_more_than_one_worker_runs_afterwards) {
    for (int i = 0; i < 5; i++) check_crowd(1, false);
}
Test(wait, no_more_than_two_workers_run_afterwards) {
    for (int i = 0; i < 5; i++) check_crowd(2, false);
}
/* The spares that sleep are not needed to end the executor. */
Test(wait, no_more_than_one_worker_runs_while_it_ends) {
    for (int i = 0; i < 5; i++) check_crowd(1, true);
}

/* The spare has announced its sleep when the first worker is woken for one task; a second task must not
 * make the spare think better of it: one is at work, and one is all there may be. */
struct alone {
    struct gate gate;
    int running, together;
};
static int run_alone(void *arg, void *result) {
    struct alone *alone = *(struct alone **)arg;
    (void)result;
    if (add(&alone->running, 1) != 1) add(&alone->together, 1);
    flag_raise(&alone->gate.reached);
    flag_wait(&alone->gate.open);
    add(&alone->running, -1);
    return 0;
}

Test(wait, a_spare_that_is_about_to_sleep_goes_to_sleep) {
    filch_executor *e = executor_of(1), *other = executor_of(1);
    struct alone alone = {{0, 0}, 0, 0};
    struct gate gate;
    struct stopper *stop;
    filch_future *elsewhere = occupy(other, &gate);
    filch_future *x = submit_to(e, await_pointer, &elsewhere, sizeof elsewhere, 0);
    while (!filch_future_running(x)) sched_yield();
    stop = stop_at("worker.announced");
    cr_assert_eq(take(submit_to(e, do_nothing, NULL, 0, 0)), 0); /* by the spare */
    stopper_wait_reached(stop);
    flag_raise(&gate.open);
    cr_assert_eq(take(x), 0);
    cr_assert_eq(take(elsewhere), 0);
    filch_stats s;
    do s = stats_of(e);
    while (s.parked - s.woken != 1);
    filch_future *first = submit_pointer(e, run_alone, &alone);
    flag_wait(&alone.gate.reached);
    filch_future *second = submit_pointer(e, run_alone, &alone);
    stopper_release(stop);
    for (int i = 0; i < 50 && !filch_future_running(second); i++) usleep(100);
    flag_raise(&alone.gate.open);
    cr_assert_eq(take(first), 0);
    cr_assert_eq(take(second), 0);
    ok(filch_executor_destroy(e));
    ok(filch_executor_destroy(other));
    cr_assert_eq(alone.together, 0);
}

/* Timeouts ------------------------------------------------------------------------------------ */

static int wait_a_little(void *arg, void *result) {
    static const filch_nanoseconds times[] = {0, -5, INT64_MIN, 1, 1000, 300000};
    filch_future *f = *(filch_future **)arg;
    filch_error error;
    (void)result;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        if (filch_future_result(f, NULL, times[i]) != FILCH_ETIMEDOUT) return 1;
        if (filch_future_error(f, &error, times[i]) != FILCH_ETIMEDOUT) return 2;
        if (filch_last_error()[0] == '\0') return 3;
    }
    return filch_future_running(f) ? 0 : 4;
}
static int wait_long(void *arg, void *result) {
    static const filch_nanoseconds times[] = {FILCH_FOREVER, FILCH_FOREVER - 1, INT64_MAX / 2};
    int rc = 0;
    (void)arg;
    (void)result;
    for (size_t i = 0; i < sizeof times / sizeof times[0] && rc == 0; i++) {
        filch_future *f;
        rc = filch_submit(filch_current_executor(), do_nothing, NULL, 0, 0, &f);
        if (rc != 0) return rc;
        rc = filch_future_result(f, NULL, times[i]);
        filch_future_release(f);
    }
    return rc;
}
/* A poll runs nothing, a positive time may run the awaited task. */
static int poll_then_wait(void *arg, void *result) {
    filch_future *f;
    (void)arg;
    (void)result;
    if (filch_submit(filch_current_executor(), do_nothing, NULL, 0, 0, &f) != 0) return 1;
    int rc = filch_future_result(f, NULL, 0) != FILCH_ETIMEDOUT  ? 2
             : filch_future_done(f)                              ? 3
             : filch_future_result(f, NULL, FILCH_SECONDS(1000)) ? 4
                                                                 : 0;
    filch_future_release(f);
    return rc;
}

Test(wait, timeouts_inside_tasks) {
    filch_executor *e = executor_of(1), *other = executor_of(1);
    struct gate gate, same;
    filch_future *elsewhere = occupy(other, &gate);
    cr_assert_eq(take(submit_to(e, wait_a_little, &elsewhere, sizeof elsewhere, 0)), 0);
    cr_assert_eq(take(submit_to(e, wait_long, NULL, 0, 0)), 0);
    cr_assert_eq(take(submit_to(e, poll_then_wait, NULL, 0, 0)), 0);
    open_gate(&gate, elsewhere);
    ok(filch_executor_destroy(other));
    ok(filch_executor_destroy(e));
    e = executor_of(2);
    filch_future *running = occupy(e, &same);
    cr_assert_eq(take(submit_to(e, wait_a_little, &running, sizeof running, 0)), 0);
    open_gate(&same, running);
    ok(filch_executor_destroy(e));
}

/* Trees --------------------------------------------------------------------------------------- */

static int fib(void *arg, void *result) {
    int n = *(int *)arg, left = n - 1, right = n - 2;
    filch_future *f, *g;
    long a = 0, b = 0;
    if (n < 2) {
        *(long *)result = n;
        return 0;
    }
    if (filch_submit(filch_current_executor(), fib, &left, sizeof left, sizeof a, &f) != 0)
        return 1;
    if (filch_submit(filch_current_executor(), fib, &right, sizeof right, sizeof b, &g) != 0)
        return 2;
    int rc = filch_future_result(f, &a, FILCH_FOREVER);
    int other = filch_future_result(g, &b, FILCH_FOREVER);
    filch_future_release(f);
    filch_future_release(g);
    *(long *)result = a + b;
    return rc != 0 ? rc : other;
}

static void check_tree(int workers, filch_nanoseconds spin) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    int n = 18;
    long value = 0;
    options.max_workers = workers;
    options.spin = spin;
    filch_executor *e = executor_with(options);
    int rounds = stress(3);
    for (int i = 0; i < rounds; i++) {
        filch_future *f = submit_to(e, fib, &n, sizeof n, sizeof value);
        ok(filch_future_result(f, &value, FILCH_FOREVER));
        filch_future_release(f);
        cr_assert_eq(value, 2584);
    }
    ok(filch_executor_destroy(e));
}

Test(wait, tree_on_one_worker) {
    check_tree(1, 0);
}
Test(wait, tree_on_two_workers) {
    check_tree(2, 0);
}
Test(wait, tree_on_two_workers_without_spin) {
    check_tree(2, -1);
}
Test(wait, tree_on_three_workers) {
    check_tree(3, 0);
}
Test(wait, tree_on_seven_workers) {
    check_tree(7, 0);
}
Test(wait, tree_on_sixty_four_workers) {
    check_tree(64, 0);
}

/* Where a wait is not in a task's own body ---------------------------------------------------- */

/* A callback (or a destructor) that submits and waits, more than once. Afterwards the worker must be
 * counted as before: submits still find somebody. */
struct inner {
    filch_executor *executor;
    int rc, ended;
};
static void submit_and_wait_twice(struct inner *inner) {
    for (int i = 0; i < 3; i++) {
        filch_future *f = NULL;
        int rc = filch_submit(inner->executor, do_nothing, NULL, 0, 0, &f);
        if (rc == 0) rc = take(f);
        if (rc != 0) inner->rc = rc;
    }
    add(&inner->ended, 1);
}
static void wait_in_callback(filch_future *f, void *context) {
    (void)f;
    submit_and_wait_twice(context);
}
static void wait_in_destructor(void *arg) {
    submit_and_wait_twice(*(struct inner **)arg);
}

static void check_still_wakes(filch_executor *e) {
    for (int i = 0; i < 5; i++) {
        settle(e);
        cr_assert_eq(take(submit_to(e, do_nothing, NULL, 0, 0)), 0);
    }
}

Test(wait, in_a_callback, .timeout = 10) {
    for (int workers = 1; workers < 3; workers++) {
        filch_executor *e = executor_of(workers);
        struct inner inner = {e, 0, 0};
        struct gate gate;
        filch_future *f = occupy(e, &gate);
        ok(filch_future_add_done_callback(f, wait_in_callback, &inner));
        open_gate(&gate, f);
        wait_for_count(&inner.ended, 1);
        cr_assert_eq(inner.rc, 0);
        check_still_wakes(e);
        ok(filch_executor_destroy(e));
    }
}

Test(wait, in_a_destructor, .timeout = 10) {
    for (int workers = 1; workers < 3; workers++) {
        filch_executor *e = executor_of(workers);
        struct inner inner = {e, 0, 0}, *pointer = &inner;
        filch_task task = FILCH_TASK_INIT;
        filch_future *f;
        task.fn = do_nothing;
        task.arg = &pointer;
        task.arg_size = sizeof pointer;
        task.arg_destroy = wait_in_destructor;
        ok(filch_submit_task(e, &task, &f));
        cr_assert_eq(take(f), 0);
        cr_assert_eq(inner.ended, 1);
        cr_assert_eq(inner.rc, 0);
        check_still_wakes(e);
        ok(filch_executor_destroy(e));
    }
}

/* The callback's worker waits, and then is busy: another one must take what comes. */
struct busy_callback {
    struct inner inner;
    struct gate gate;
};
static void wait_and_be_busy(filch_future *f, void *context) {
    struct busy_callback *busy = context;
    (void)f;
    submit_and_wait_twice(&busy->inner);
    flag_raise(&busy->gate.reached);
    flag_wait(&busy->gate.open);
}

Test(wait, a_callback_that_is_busy_after_a_wait_counts_as_busy, .timeout = 10) {
    filch_executor *e = executor_of(2);
    struct busy_callback busy = {{e, 0, 0}, {0, 0}};
    struct gate gate, *pointer = &busy.gate;
    filch_future *f = occupy(e, &gate);
    ok(filch_future_add_done_callback(f, wait_and_be_busy, &busy));
    open_gate(&gate, f);
    flag_wait(&busy.gate.reached);
    cr_assert_eq(take(submit_to(e, open_gate_task, &pointer, sizeof pointer, 0)), 0);
    ok(filch_executor_destroy(e));
}

/* A callback that waits for the future it is called for: it is done. */
static void await_done_one(filch_future *f, void *context) {
    *(int *)context = filch_future_result(f, NULL, FILCH_FOREVER);
}

Test(wait, in_a_callback_for_its_own_future) {
    filch_executor *e = executor_of(1);
    struct gate gate;
    int rc = -1;
    filch_future *f = occupy(e, &gate);
    ok(filch_future_add_done_callback(f, await_done_one, &rc));
    open_gate(&gate, f);
    ok(filch_executor_destroy(e));
    cr_assert_eq(rc, 0);
}

/* Many waiters for one future, on workers and outside. */
struct many {
    filch_future *f;
    int wrong;
};
static void await_many(int index, void *context) {
    struct many *many = context;
    (void)index;
    if (filch_future_result(many->f, NULL, FILCH_FOREVER) != 0) add(&many->wrong, 1);
}

Test(wait, many_waiters_inside_and_outside) {
    int n = stress(30);
    filch_executor *e = executor_of(2);
    for (int i = 0; i < n; i++) {
        struct gate gate, *pointer = &gate;
        struct many many = {occupy(e, &gate), 0};
        filch_future *inside[10];
        for (int k = 0; k < 10; k++)
            inside[k] = submit_to(e, await_pointer, &many.f, sizeof many.f, 0);
        filch_future_release(submit_to(e, open_gate_task, &pointer, sizeof pointer, 0));
        run_threads(4, await_many, &many);
        for (int k = 0; k < 10; k++) cr_assert_eq(take(inside[k]), 0);
        cr_assert_eq(many.wrong, 0);
        filch_future_release(many.f);
    }
    ok(filch_executor_destroy(e));
}
