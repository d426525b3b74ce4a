/* fork_test.c: a child of fork() is told that it has no part in its parent's executors, never hangs, and
 * can make its own; the parent notices nothing.
 *
 * Children cannot report to the test directly: what goes wrong in one is a line of output and its exit
 * status. What a child must not do twice is counted in memory that it shares with its parent.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

TestSuite(fork, .timeout = 30);

/* Children ------------------------------------------------------------------------------------ */

enum { WRONG = 99 };

/* In a child, any thread. */
#define expect(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) give_up(__LINE__, #condition);                                           \
    } while (0)
static void give_up(int line, const char *condition) {
    printf("# child, line %d: not true: %s (%s)\n", line, condition, filch_last_error());
    fflush(stdout);
    _exit(WRONG);
}

/* Runs fn in a child, which ends with status 0 unless an expectation fails. */
static void in_child(void (*fn)(void *context), void *context) {
    pid_t child = child_start();
    if (child == 0) {
        fn(context);
        _exit(0);
    }
    cr_assert_eq(child_finish(child), 0);
}

/* The allocators of AddressSanitizer and ThreadSanitizer have locks that they do not free in a child: one that
 * was forked while another thread allocated must not allocate there, nor start threads. */
#if defined(TEST_SANITIZE_ADDRESS) || defined(TEST_SANITIZE_THREAD)
enum { ALLOCATES_BESIDE_OTHERS = 0 };
#else
enum { ALLOCATES_BESIDE_OTHERS = 1 };
#endif

/* Zeroed memory that children share. */
static void *shared(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(memory, MAP_FAILED);
    return memory;
}

static int square(void *arg, void *result) {
    *(int *)result = *(int *)arg * *(int *)arg;
    return 0;
}
/* In a child: the executor works, for tasks from outside and from inside. */
static int square_inside(void *arg, void *result) {
    filch_future *f;
    int rc = filch_submit(filch_current_executor(), square, arg, sizeof(int), sizeof(int), &f);
    if (rc != 0) return rc;
    rc = filch_future_result(f, result, FILCH_FOREVER);
    filch_future_release(f);
    return rc;
}
static void expect_executor_works(filch_executor *e) {
    filch_future *futures[8];
    int value, n[8];
    for (int i = 0; i < 8; i++) {
        expect(filch_submit(e, i % 2 ? square : square_inside, &i, sizeof i, sizeof i,
                            &futures[i]) == 0);
        n[i] = i;
    }
    for (int i = 0; i < 8; i++) {
        expect(filch_future_result(futures[i], &value, FILCH_FOREVER) == 0);
        expect(value == i * i);
        filch_future_release(futures[i]);
    }
    expect(filch_map_array(e, square, n, sizeof n[0], 8, n, sizeof n[0]) == 0);
    for (int i = 0; i < 8; i++) expect(n[i] == i * i);
}
static void expect_own_executor_works(void) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    filch_executor *own = NULL;
    options.max_workers = 2;
    expect(filch_thread_executor(&options, &own) == 0);
    expect_executor_works(own);
    expect(filch_executor_destroy(own) == 0);
}
static void expect_new_executors_work(void) {
    expect_own_executor_works();
    expect_executor_works(NULL);
}

/* Every call ---------------------------------------------------------------------------------- */

struct inheritance {
    filch_executor *e;
    filch_future *finished, *failed, *cancelled, *running, *pending;
    int called;
};
static void note_call(filch_future *f, void *context) {
    (void)f;
    add(context, 1);
}
static int fail_with_text(void *arg, void *result) {
    (void)arg;
    (void)result;
    return filch_fail(7, "the text of %d", 7);
}

static void expect_executor_is_refused(filch_executor *e) {
    filch_task task = FILCH_TASK_INIT;
    filch_future *none = NULL;
    filch_stats stats = FILCH_STATS_INIT;
    int n[3] = {1, 2, 3};
    task.fn = do_nothing;
    expect(filch_submit(e, do_nothing, NULL, 0, 0, &none) == FILCH_EFORKED);
    expect(strstr(filch_last_error(), "fork") != NULL);
    expect(filch_submit(e, do_nothing, NULL, 0, 0, NULL) == FILCH_EFORKED);
    expect(filch_submit_task(e, &task, &none) == FILCH_EFORKED);
    expect(filch_map_array(e, square, n, sizeof n[0], 3, n, sizeof n[0]) == FILCH_EFORKED);
    expect(strstr(filch_last_error(), "fork") != NULL);
    for (unsigned flags = 0; flags < 4; flags++)
        expect(filch_executor_shutdown(e, flags) == FILCH_EFORKED);
    expect(filch_executor_destroy(e) == FILCH_EFORKED);
    expect(filch_executor_stats(e, &stats) == FILCH_EFORKED);
    expect(filch_executor_worker_limit(e) == FILCH_EFORKED);
    expect(none == NULL && stats.submitted == 0 && n[2] == 3);
}
static void expect_unfinished(filch_future *f, bool running, int *called) {
    filch_error error;
    int value = -1;
    expect(filch_future_result(f, &value, 0) == FILCH_EFORKED);
    expect(filch_future_result(f, &value, FILCH_MILLISECONDS(1)) == FILCH_EFORKED);
    expect(filch_future_result(f, &value, FILCH_FOREVER) == FILCH_EFORKED);
    expect(strstr(filch_last_error(), "fork") != NULL);
    expect(filch_future_error(f, &error, FILCH_FOREVER) == FILCH_EFORKED);
    expect(value == -1);
    expect(!filch_future_done(f) && !filch_future_cancelled(f));
    expect(filch_future_running(f) == running);
    expect(!filch_future_cancel(f) && !filch_future_cancelled(f) && !filch_future_done(f));
    expect(filch_future_add_done_callback(f, note_call, called) == FILCH_EFORKED);
    filch_future_release(filch_future_retain(f));
    filch_future_release(f);
    expect(*called == 0);
}
static void expect_finished(struct inheritance *in) {
    filch_error error;
    int value = -1;
    expect(filch_future_result(in->finished, &value, FILCH_FOREVER) == 0 && value == 49);
    expect(filch_future_error(in->finished, &error, 0) == 0 && error.code == 0);
    expect(filch_future_result(in->failed, NULL, 0) == 7);
    expect(filch_future_error(in->failed, &error, FILCH_FOREVER) == 0);
    expect(error.code == 7 && strcmp(error.text, "the text of 7") == 0);
    expect(filch_future_result(in->cancelled, NULL, FILCH_FOREVER) == FILCH_ECANCELED);
    expect(filch_future_cancelled(in->cancelled) && filch_future_cancel(in->cancelled));
    expect(filch_future_done(in->finished) && !filch_future_cancel(in->finished));
    expect(filch_future_add_done_callback(in->finished, note_call, &in->called) == 0);
    expect(in->called == 1);
    filch_future_release(in->finished);
    filch_future_release(in->failed);
    filch_future_release(in->cancelled);
}
static void check_inheritance(void *context) {
    struct inheritance *in = context;
    expect(filch_current_executor() == NULL && filch_worker_index() == -1);
    expect_executor_is_refused(in->e);
    expect_unfinished(in->running, true, &in->called);
    expect_unfinished(in->pending, false, &in->called);
    expect_finished(in);
    expect_new_executors_work();
    expect_executor_is_refused(in->e);
}
/* The child's child has what it has in the same state. */
static void check_inheritance_twice(void *context) {
    pid_t child = child_start();
    if (child == 0) {
        check_inheritance(context);
        _exit(0);
    }
    expect(child_finish(child) == 0);
    check_inheritance(context);
}

static void with_inheritance(filch_executor *e, void (*check)(void *context)) {
    struct gate gate;
    int n = 7;
    struct inheritance in = {.e = e};
    in.finished = submit_to(e, square, &n, sizeof n, sizeof n);
    cr_assert_eq(filch_future_result(in.finished, NULL, FILCH_FOREVER), 0);
    in.failed = submit_to(e, fail_with_text, NULL, 0, 0);
    cr_assert_eq(filch_future_result(in.failed, NULL, FILCH_FOREVER), 7);
    in.running = occupy(e, &gate);
    in.pending = submit_to(e, square, &n, sizeof n, sizeof n);
    in.cancelled = submit_to(e, do_nothing, NULL, 0, 0);
    cr_assert(filch_future_cancel(in.cancelled));
    in_child(check, &in);
    in_child(check, &in);
    cr_assert_eq(in.called, 0);
    open_gate(&gate, in.running);
    cr_assert_eq(finish(in.pending), 0);
    cr_assert_eq(finish(in.finished), 0);
    cr_assert_eq(finish(in.failed), 7);
    cr_assert_eq(finish(in.cancelled), FILCH_ECANCELED);
}

Test(fork, every_call_in_the_child) {
    filch_executor *e = executor_of(1);
    with_inheritance(e, check_inheritance);
    ok(filch_executor_destroy(e));
}

Test(fork, every_call_in_a_child_of_the_child) {
    filch_executor *e = executor_of(1);
    with_inheritance(e, check_inheritance_twice);
    ok(filch_executor_destroy(e));
}

/* A shut-down executor of the parent is the parent's, first of all. */
static void check_shut_down(void *e) {
    expect_executor_is_refused(e);
}
Test(fork, a_shut_down_executor_is_the_parents_too) {
    filch_executor *e = executor_of(1);
    ok(filch_executor_shutdown(e, FILCH_WAIT));
    in_child(check_shut_down, e);
    fails(FILCH_ESHUTDOWN, filch_submit(e, do_nothing, NULL, 0, 0, NULL));
    ok(filch_executor_destroy(e));
}

static void use_new_executors(void *context) {
    (void)context;
    expect_new_executors_work();
}
Test(fork, before_any_executor) {
    in_child(use_new_executors, NULL);
    in_child(use_new_executors, NULL);
    filch_executor *e = executor_of(1);
    cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(e));
}

/* An executor that was never used has no threads, and is the parent's nevertheless. */
Test(fork, an_unused_executor_is_the_parents) {
    filch_executor *e = executor_of(1);
    in_child(check_shut_down, e);
    cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(e));
}

/* The default executor ------------------------------------------------------------------------ */

static void check_default(void *parents) {
    expect(filch_default_executor() != NULL && filch_default_executor() != parents);
    expect_executor_works(NULL);
    expect_executor_works(filch_default_executor());
    expect_executor_is_refused(parents);
    expect(filch_executor_destroy(filch_default_executor()) == FILCH_EINVAL);
}

Test(fork, the_default_executor_is_new) {
    filch_executor *e = filch_default_executor();
    cr_assert_not_null(e);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(finish(submit_to(NULL, do_nothing, NULL, 0, 0)), 0);
        in_child(check_default, e);
    }
    cr_assert_eq(filch_default_executor(), e);
}

/* While others work --------------------------------------------------------------------------- */

struct traffic {
    filch_executor *e;
    uint32_t stop;
    int wrong;
    uint64_t tasks;
};
static void submit_and_wait(int index, void *context) {
    struct traffic *t = context;
    for (int i = 0; filch_load_acquire(&t->stop) == 0; i++) {
        filch_future *f;
        int value = -1, rc;
        rc = filch_submit(index % 5 == 0 ? NULL : t->e, index % 3 ? square : square_inside, &i,
                          sizeof i, sizeof i, &f);
        if (rc == 0) rc = filch_future_result(f, &value, FILCH_FOREVER);
        if (rc == 0) filch_future_release(f);
        if (rc != 0 || value != (int)((unsigned)i * (unsigned)i)) add(&t->wrong, 1);
        filch_fetch_add_relaxed(&t->tasks, 1);
        if (i == 30000) i = 0;
    }
}
static void check_traffic(void *context) {
    struct traffic *t = context;
    expect(filch_submit(t->e, do_nothing, NULL, 0, 0, NULL) == FILCH_EFORKED);
    expect(filch_executor_shutdown(t->e, FILCH_WAIT) == FILCH_EFORKED);
    if (ALLOCATES_BESIDE_OTHERS) expect_new_executors_work();
}
static void fork_or_work(int index, void *context) {
    struct traffic *t = context;
    if (index > 0) {
        submit_and_wait(index, context);
        return;
    }
    int n = stress(50);
    for (int i = 0; i < n; i++) {
        pid_t child = child_start();
        if (child == 0) {
            check_traffic(t);
            _exit(0);
        }
        if (child_finish(child) != 0) add(&t->wrong, 1);
    }
    flag_raise(&t->stop);
}

Test(fork, while_ten_threads_submit_and_wait) {
    struct traffic t = {.e = executor_of(2)};
    run_threads(11, fork_or_work, &t);
    cr_assert_eq(t.wrong, 0);
    cr_assert_eq(finish(submit_to(t.e, do_nothing, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(t.e));
}

/* Executors are made and destroyed by one thread while another forks. */
static void come_and_go(int index, void *context) {
    struct traffic *t = context;
    if (index == 0) {
        fork_or_work(0, t);
        return;
    }
    while (filch_load_acquire(&t->stop) == 0) {
        filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
        filch_executor *e;
        filch_future *f;
        options.max_workers = 2;
        if (filch_thread_executor(&options, &e) != 0) add(&t->wrong, 1);
        if (filch_submit(e, do_nothing, NULL, 0, 0, &f) != 0 || finish(f) != 0) add(&t->wrong, 1);
        if (filch_executor_destroy(e) != 0) add(&t->wrong, 1);
    }
}

Test(fork, while_executors_come_and_go) {
    struct traffic t = {.e = executor_of(1)};
    run_threads(3, come_and_go, &t);
    cr_assert_eq(t.wrong, 0);
    ok(filch_executor_destroy(t.e));
}

/* A worker whose queue has grown waits for a grace period before it sleeps. */
static int submit_very_many(void *arg, void *result) {
    (void)result;
    for (int i = 0; i < 20000; i++)
        if (filch_submit(filch_current_executor(), count_one, arg, sizeof(void *), 0, NULL) != 0)
            return 1;
    return 0;
}
static void grow(void *context) {
    struct traffic *t = context;
    while (filch_load_acquire(&t->stop) == 0) {
        filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
        filch_executor *e;
        filch_future *f;
        int count = 0, *pointer = &count;
        options.max_workers = 2;
        if (filch_thread_executor(&options, &e) != 0) add(&t->wrong, 1);
        if (filch_submit(e, submit_very_many, &pointer, sizeof pointer, 0, &f) != 0 ||
            finish(f) != 0)
            add(&t->wrong, 1);
        if (filch_executor_destroy(e) != 0 || count != 20000) add(&t->wrong, 1);
    }
}

Test(fork, while_workers_wait_for_grace_periods) {
    struct traffic t = {.e = executor_of(1)};
    pthread_t thread = thread_start(grow, &t);
    for (int i = 0; i < 20; i++) in_child(check_traffic, &t);
    flag_raise(&t.stop);
    thread_finish(thread);
    cr_assert_eq(t.wrong, 0);
    ok(filch_executor_destroy(t.e));
}

/* Inside tasks -------------------------------------------------------------------------------- */

/* What may happen only once, in parent and child together; in shared memory. */
struct tally {
    int tasks, callbacks, destroyed, forks, below;
    int status[4]; /* of the children */
};
struct forking {
    struct tally *tally;
    filch_executor *e;
    filch_future *other; /* a future that is not done */
    pid_t parent;
    bool in_task, in_callback, in_destructor;
};
static void expect_to_be_no_worker(struct forking *x) {
    expect(filch_current_executor() == NULL && filch_worker_index() == -1);
    expect(filch_fail(3, "nobody keeps this") == 3);
    expect_executor_is_refused(x->e);
    if (x->other != NULL)
        expect(filch_future_result(x->other, NULL, FILCH_FOREVER) == FILCH_EFORKED);
    expect_own_executor_works();
}
/* The child is no worker; then it goes on as if it had not forked. It leaves no executor behind, whose
 * threads would keep its process alive when this one ends. */
static void fork_here(struct forking *x) {
    pid_t child = child_start();
    if (child == 0)
        expect_to_be_no_worker(x);
    else
        x->tally->status[add(&x->tally->forks, 1) - 1] = child_finish(child);
}
static int fork_in_task(void *arg, void *result) {
    struct forking *x = *(struct forking **)arg;
    (void)result;
    if (x->in_task) fork_here(x);
    if (x->parent == getpid()) add(&x->tally->tasks, 1);
    return 0;
}
static void fork_in_destructor(void *arg) {
    struct forking *x = *(struct forking **)arg;
    add(&x->tally->destroyed, 1);
    if (x->in_destructor) fork_here(x);
}
static void fork_in_callback(filch_future *f, void *context) {
    struct forking *x = context;
    (void)f;
    add(&x->tally->callbacks, 1);
    if (x->in_callback) fork_here(x);
}
static int tally_task(void *arg, void *result) {
    (void)result;
    add(&(*(struct tally **)arg)->tasks, 1);
    return 0;
}
static void tally_callback(filch_future *f, void *context) {
    (void)f;
    add(&((struct tally *)context)->callbacks, 1);
}

static filch_future *submit_forking(struct forking *x) {
    filch_task task = FILCH_TASK_INIT;
    filch_future *f;
    task.fn = fork_in_task;
    task.arg = &x;
    task.arg_size = sizeof x;
    task.arg_destroy = fork_in_destructor;
    ok(filch_submit_task(x->e, &task, &f));
    return f;
}

/* On one worker, before and behind other tasks; it is the parent that runs everything, once. */
static void check_fork_on_worker(struct forking x) {
    enum { N = 5 };
    filch_executor *e = executor_of(1);
    filch_future *before[N], *behind[N], *f;
    struct gate gate;
    x.e = e;
    x.tally = shared(sizeof *x.tally);
    x.parent = getpid();
    filch_future *first = occupy(e, &gate);
    for (int i = 0; i < N; i++) before[i] = submit_pointer(e, tally_task, x.tally);
    f = submit_forking(&x);
    for (int i = 0; i < N; i++) {
        behind[i] = submit_pointer(e, tally_task, x.tally);
        ok(filch_future_add_done_callback(behind[i], tally_callback, x.tally));
    }
    x.other = behind[N - 1];
    ok(filch_future_add_done_callback(f, fork_in_callback, &x));
    ok(filch_future_add_done_callback(f, tally_callback, x.tally));
    open_gate(&gate, first);
    for (int i = 0; i < N; i++) {
        cr_assert_eq(finish(before[i]), 0);
        cr_assert_eq(finish(behind[i]), 0);
    }
    cr_assert_eq(finish(f), 0);
    ok(filch_executor_destroy(e));
    cr_assert_eq(x.tally->forks, x.in_task + x.in_destructor + x.in_callback);
    for (int i = 0; i < x.tally->forks; i++) cr_assert_eq(x.tally->status[i], 0);
    cr_assert_eq(x.tally->tasks, 2 * N + 1);
    cr_assert_eq(x.tally->callbacks, N + 2);
    cr_assert_eq(x.tally->destroyed, 1);
}

Test(fork, in_a_task) {
    check_fork_on_worker((struct forking){.in_task = true});
}

Test(fork, in_a_destructor) {
    check_fork_on_worker((struct forking){.in_destructor = true});
}

Test(fork, in_a_callback) {
    check_fork_on_worker((struct forking){.in_callback = true});
}

Test(fork, in_all_of_them) {
    check_fork_on_worker(
        (struct forking){.in_task = true, .in_destructor = true, .in_callback = true});
}

/* The task that forks runs on top of one that waits for it: in the child that wait ends, with EFORKED, and
 * what stands below goes on. */
static int wait_for_forking(void *arg, void *result) {
    struct forking *x = *(struct forking **)arg;
    filch_future *f;
    (void)result;
    /* So that there is something that the child must not run. */
    if (filch_submit(x->e, tally_task, &x->tally, sizeof x->tally, 0, NULL) != 0) return 1;
    if (filch_submit(x->e, fork_in_task, &x, sizeof x, 0, &f) != 0) return 2;
    int rc = filch_future_result(f, NULL, FILCH_FOREVER);
    if (getpid() != x->parent) {
        expect(rc == FILCH_EFORKED && strstr(filch_last_error(), "fork") != NULL);
        expect_to_be_no_worker(x);
        add(&x->tally->below, 1);
    }
    filch_future_release(f);
    return rc;
}

Test(fork, in_a_task_on_top_of_a_wait) {
    for (int workers = 1; workers <= 1 + ALLOCATES_BESIDE_OTHERS; workers++) {
        struct forking x = {.in_task = true, .parent = getpid()};
        x.tally = shared(sizeof *x.tally);
        x.e = executor_of(workers);
        cr_assert_eq(finish(submit_pointer(x.e, wait_for_forking, &x)), 0);
        ok(filch_executor_destroy(x.e));
        cr_assert_eq(x.tally->forks, 1);
        cr_assert_eq(x.tally->status[0], 0);
        cr_assert_eq(x.tally->tasks, 2);
        if (workers == 1) cr_assert_eq(x.tally->below, 1);
    }
}

/* The task that forks runs on top of one that waits for it, and its entry, which the waiter left behind, has been
 * dropped by a thief: the reference that the child releases is the last one to a future that it sees running. */
struct last_reference {
    struct tally *tally;
    pid_t parent;
    uint32_t started, dropped;
};
static int keep_the_thief(void *arg, void *result) {
    (void)result;
    flag_wait(&(*(struct last_reference **)arg)->started);
    return 0;
}
static int come_behind(void *arg, void *result) {
    (void)result;
    flag_raise(&(*(struct last_reference **)arg)->dropped);
    return 0;
}
static int fork_with_one_reference(void *arg, void *result) {
    struct last_reference *x = *(struct last_reference **)arg;
    (void)result;
    flag_raise(&x->started);
    flag_wait(&x->dropped);
    pid_t child = child_start();
    if (child != 0) x->tally->status[add(&x->tally->forks, 1) - 1] = child_finish(child);
    return 0;
}
static int release_the_last(void *arg, void *result) {
    struct last_reference *x = *(struct last_reference **)arg;
    filch_executor *e = filch_current_executor();
    filch_future *f;
    (void)result;
    if (filch_submit(e, keep_the_thief, &x, sizeof x, 0, NULL) != 0) return 1;
    if (filch_submit(e, do_nothing, NULL, 0, 0, NULL) != 0) return 2;
    if (filch_submit(e, fork_with_one_reference, &x, sizeof x, 0, &f) != 0) return 3;
    if (filch_submit(e, come_behind, &x, sizeof x, 0, NULL) != 0) return 4;
    int rc = filch_future_result(f, NULL, FILCH_FOREVER);
    filch_future_release(f);
    if (getpid() == x->parent) return rc;
    expect(rc == FILCH_EFORKED);
    add(&x->tally->below, 1);
    return 0;
}

Test(fork, last_reference_to_a_running_future_released_in_the_child) {
    struct last_reference x = {shared(sizeof *x.tally), getpid(), 0, 0};
    filch_executor *e = executor_of(2);
    cr_assert_eq(finish(submit_pointer(e, release_the_last, &x)), 0);
    ok(filch_executor_destroy(e));
    cr_assert_eq(x.tally->forks, 1);
    cr_assert_eq(x.tally->status[0], 0);
    cr_assert_eq(x.tally->below, 1);
}

/* A descendant of the waiting task forks on top of it. */
static int wait_for_gate_with_descendant(void *arg, void *result) {
    struct forking *x = *(struct forking **)arg;
    (void)result;
    if (filch_submit(x->e, fork_in_task, &x, sizeof x, 0, NULL) != 0) return 1;
    int rc = filch_future_result(x->other, NULL, FILCH_FOREVER);
    if (getpid() == x->parent) return rc;
    expect(rc == FILCH_EFORKED);
    add(&x->tally->below, 1);
    return 0;
}

Test(fork, in_a_descendant_on_top_of_a_wait) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 1;
    options.spin = FILCH_SECONDS(1);
    struct forking x = {.in_task = true, .parent = getpid()};
    struct gate gate;
    filch_executor *other = executor_of(1);
    x.tally = shared(sizeof *x.tally);
    x.e = executor_with(options);
    x.other = occupy(other, &gate);
    filch_future *f = submit_pointer(x.e, wait_for_gate_with_descendant, &x);
    wait_for_count(&x.tally->tasks, 1);
    flag_raise(&gate.open);
    cr_assert_eq(finish(f), 0);
    cr_assert_eq(finish(x.other), 0);
    ok(filch_executor_destroy(x.e));
    ok(filch_executor_destroy(other));
    cr_assert_eq(x.tally->forks, 1);
    cr_assert_eq(x.tally->status[0], 0);
    cr_assert_eq(x.tally->tasks, 1);
    cr_assert_eq(x.tally->below, 1);
}

/* An input of a map forks: the child runs none of the other inputs. */
static struct tally *mapped;
static pid_t mapper;
static int fork_in_input(void *arg, void *result) {
    (void)result;
    add(&mapped->tasks, 1);
    if (*(int *)arg != 3) return 0;
    pid_t child = child_start();
    if (child != 0) mapped->status[add(&mapped->forks, 1) - 1] = child_finish(child);
    return 0;
}
static int map_inside(void *arg, void *result) {
    int n[40];
    (void)arg;
    (void)result;
    for (int i = 0; i < 40; i++) n[i] = i;
    int rc = filch_map_array(filch_current_executor(), fork_in_input, n, sizeof n[0], 40, NULL, 0);
    if (getpid() == mapper) return rc;
    expect(rc != 0);
    return 0;
}

Test(fork, in_an_input_of_a_map) {
    int n[40];
    filch_executor *e = executor_of(1);
    mapped = shared(sizeof *mapped);
    mapper = getpid();
    for (int i = 0; i < 40; i++) n[i] = i;
    ok(filch_map_array(e, fork_in_input, n, sizeof n[0], 40, NULL, 0));
    cr_assert_eq(finish(submit_to(e, map_inside, NULL, 0, 0)), 0);
    ok(filch_executor_destroy(e));
    cr_assert_eq(mapped->tasks, 80);
    cr_assert_eq(mapped->forks, 2);
    for (int i = 0; i < 2; i++) cr_assert_eq(mapped->status[i], 0);
}

static int fork_in_initializer(void *arg) {
    struct forking *x = arg;
    fork_here(x);
    return 0;
}

Test(fork, in_an_initializer) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    struct forking x = {.parent = getpid()};
    x.tally = shared(sizeof *x.tally);
    options.max_workers = 1;
    options.initializer = fork_in_initializer;
    options.initializer_arg = &x;
    filch_executor *e = x.e = executor_with(options);
    cr_assert_eq(finish(submit_pointer(e, tally_task, x.tally)), 0);
    ok(filch_executor_destroy(e));
    cr_assert_eq(x.tally->forks, 1);
    cr_assert_eq(x.tally->status[0], 0);
    cr_assert_eq(x.tally->tasks, 1);
}

/* In other threads ---------------------------------------------------------------------------- */

/* Cancelled by this thread, with a destructor or a callback that forks: in the child the rest of the
 * cancellation does not happen. */
static void check_fork_in_cancel(bool in_destructor) {
    struct forking x = {.in_destructor = in_destructor, .in_callback = !in_destructor};
    struct gate gate;
    x.tally = shared(sizeof *x.tally);
    x.parent = getpid();
    x.e = executor_of(1);
    filch_future *running = occupy(x.e, &gate), *f = submit_forking(&x);
    ok(filch_future_add_done_callback(f, fork_in_callback, &x));
    ok(filch_future_add_done_callback(f, tally_callback, x.tally));
    bool cancelled = filch_future_cancel(f);
    if (getpid() != x.parent) {
        expect(x.tally->destroyed == 1 && x.tally->callbacks == !in_destructor);
        expect(filch_future_done(f) == !in_destructor);
        expect(filch_future_result(f, NULL, FILCH_FOREVER) ==
               (in_destructor ? FILCH_EFORKED : FILCH_ECANCELED));
        filch_future_release(f);
        _exit(0);
    }
    cr_assert(cancelled);
    open_gate(&gate, running);
    cr_assert_eq(finish(f), FILCH_ECANCELED);
    ok(filch_executor_destroy(x.e));
    cr_assert_eq(x.tally->forks, 1);
    cr_assert_eq(x.tally->status[0], 0);
    cr_assert_eq(x.tally->tasks, 0);
    cr_assert_eq(x.tally->destroyed, 1);
    cr_assert_eq(x.tally->callbacks, 2);
}

Test(fork, in_a_destructor_of_a_cancelled_task) {
    check_fork_in_cancel(true);
}

Test(fork, in_a_callback_of_a_cancelled_task) {
    check_fork_in_cancel(false);
}

/* A shutdown that cancels, with a callback that forks: in the child it ends with EFORKED, and cancels
 * nothing more. */
Test(fork, in_a_callback_of_a_shutdown) {
    enum { N = 20 };
    struct forking x = {.in_callback = true};
    struct gate gate;
    filch_future *futures[N];
    x.tally = shared(sizeof *x.tally);
    x.parent = getpid();
    x.e = executor_of(1);
    filch_future *running = occupy(x.e, &gate);
    for (int i = 0; i < N; i++) {
        futures[i] = submit_pointer(x.e, tally_task, x.tally);
        ok(i == N / 2 ? filch_future_add_done_callback(futures[i], fork_in_callback, &x)
                      : filch_future_add_done_callback(futures[i], tally_callback, x.tally));
    }
    int rc = filch_executor_shutdown(x.e, FILCH_CANCEL_PENDING);
    if (getpid() != x.parent) {
        expect(rc == FILCH_EFORKED && x.tally->callbacks == N / 2 + 1);
        expect(filch_executor_shutdown(x.e, FILCH_CANCEL_PENDING | FILCH_WAIT) == FILCH_EFORKED);
        _exit(0);
    }
    cr_assert_eq(rc, 0);
    open_gate(&gate, running);
    for (int i = 0; i < N; i++) cr_assert_eq(finish(futures[i]), FILCH_ECANCELED);
    ok(filch_executor_destroy(x.e));
    cr_assert_eq(x.tally->forks, 1);
    cr_assert_eq(x.tally->status[0], 0);
    cr_assert_eq(x.tally->tasks, 0);
    cr_assert_eq(x.tally->callbacks, N);
}

/* The ways of programs ------------------------------------------------------------------------ */

static void use_and_settle(filch_executor *e) {
    expect_executor_works(e);
    settle(e);
}

/* A daemon: the parent ends, the child goes on. */
static void become_daemon(int out) {
    filch_executor *e;
    expect(filch_thread_executor(NULL, &e) == 0);
    use_and_settle(e);
    use_and_settle(filch_default_executor());
    fflush(stdout);
    pid_t child = fork();
    if (child != 0) exit(child < 0);
    alarm(30);
    setsid();
    expect_executor_is_refused(e);
    expect_new_executors_work();
    _exit(write(out, "fine", 4) == 4 ? 0 : WRONG);
}

Test(fork, a_daemon_goes_on_with_new_executors) {
    int ends[2];
    char answer[8] = "";
    cr_assert_eq(pipe(ends), 0);
    pid_t child = child_start();
    if (child == 0) {
        close(ends[0]);
        become_daemon(ends[1]);
    }
    close(ends[1]);
    cr_assert_eq(child_finish(child), 0);
    cr_assert_eq(read(ends[0], answer, sizeof answer), 4);
    cr_assert_str_eq(answer, "fine");
}

/* A child that leaves a scope of the parent, and ends by exit(). */
static void leave_scope_and_exit(void *context) {
    (void)context;
    for (bool parent = true; parent;) {
        FILCH_AUTO_EXECUTOR(e);
        expect(filch_thread_executor(NULL, &e) == 0);
        use_and_settle(e);
        use_and_settle(filch_default_executor());
        pid_t child = child_start();
        if (child != 0) expect(child_finish(child) == 33);
        if (child != 0) _exit(0);
        parent = false;
    }
    expect_new_executors_work();
    exit(33);
}

Test(fork, a_child_leaves_the_scope_of_an_executor_and_exits) {
    in_child(leave_scope_and_exit, NULL);
}

/* Sets ------------------------------------------------------------------------------------------- */

struct set {
    filch_executor *e;
    filch_future *futures[3]; /* finished, pending, a promise */
    filch_completions *begun;
};

static void use_set_in_child(void *context) {
    struct set *s = context;
    filch_future *f, *all[3], *made, *own[1];
    filch_completions *it;
    memcpy(all, s->futures, sizeof all);
    expect(filch_wait(all, 3, FILCH_FOREVER, FILCH_ALL_COMPLETED) == FILCH_EFORKED);
    expect(filch_wait(&all[1], 2, FILCH_FOREVER, FILCH_FIRST_COMPLETED) == FILCH_EFORKED);
    expect(filch_wait(&all[1], 1, FILCH_FOREVER, FILCH_FIRST_ERROR) == FILCH_EFORKED);
    expect(filch_wait(all, 3, FILCH_FOREVER, FILCH_FIRST_COMPLETED) == 1);
    expect(filch_as_completed(all, 3, FILCH_FOREVER, &it) == FILCH_EFORKED);
    expect(filch_completions_next(s->begun, &f) == FILCH_EFORKED);
    expect(filch_then(s->futures[0], s->e, NULL, NULL, 0, 0, &made) == FILCH_EINVAL);
    expect(filch_all(&s->futures[1], 1, &made) == FILCH_EFORKED);
    /* A promise can be completed here as well, without the parent. */
    expect(filch_promise_set(s->futures[2], NULL, 0) == 0);
    own[0] = s->futures[2];
    expect(filch_wait(own, 1, FILCH_FOREVER, FILCH_FIRST_COMPLETED) == 1);
    expect_new_executors_work();
}

Test(fork, sets_in_a_child) {
    struct set s = {.e = executor_of(1)};
    struct gate gate;
    s.futures[0] = submit_to(s.e, do_nothing, NULL, 0, 0);
    ok(filch_future_result(s.futures[0], NULL, FILCH_FOREVER));
    filch_future *held = occupy(s.e, &gate);
    s.futures[1] = submit_to(s.e, do_nothing, NULL, 0, 0);
    ok(filch_promise(0, &s.futures[2]));
    ok(filch_as_completed(&s.futures[1], 1, FILCH_FOREVER, &s.begun));
    in_child(use_set_in_child, &s);
    cr_assert_not(filch_future_done(s.futures[2]));
    ok(filch_promise_set(s.futures[2], NULL, 0));
    open_gate(&gate, held);
    ok(filch_wait(s.futures, 3, FILCH_FOREVER, FILCH_ALL_COMPLETED) - 3);
    ok(filch_completions_destroy(s.begun));
    for (int i = 0; i < 3; i++) filch_future_release(s.futures[i]);
    ok(filch_executor_destroy(s.e));
}

/* A worker that waits for a set runs the tasks of it: one forks, and in the child the others do not run. */
struct set_fork {
    pid_t parent;
    int *ran, *wrong; /* shared by parent and child */
    bool completions, blocking;
};
static int fork_and_return(void *arg, void *result) {
    struct set_fork *x = *(struct set_fork **)arg;
    (void)result;
    pid_t child = child_start();
    if (child > 0 && child_finish(child) != 0) add(x->wrong, 1);
    return 0;
}
static int run_once(void *arg, void *result) {
    struct set_fork *x = *(struct set_fork **)arg;
    (void)result;
    add(x->ran, 1);
    return 0;
}
static int wait_for_set(void *arg, void *result) {
    struct set_fork *x = *(struct set_fork **)arg;
    filch_future *futures[3], *f;
    filch_completions *it = NULL;
    ptrdiff_t n;
    (void)result;
    if (x->blocking) filch_blocking_begin();
    for (int i = 0; i < 3; i++)
        if (filch_submit(filch_current_executor(), i == 0 ? fork_and_return : run_once, arg,
                         sizeof x, 0, &futures[i]) != 0)
            return 1;
    if (x->completions) {
        if (filch_as_completed(futures, 3, FILCH_FOREVER, &it) != 0) return 1;
        for (n = 0; filch_completions_next(it, &f) == 0;) n++;
        filch_completions_destroy(it);
    } else {
        n = filch_wait(futures, 3, FILCH_FOREVER, FILCH_FIRST_ERROR);
    }
    for (int i = 0; i < 3; i++) filch_future_release(futures[i]);
    if (getpid() == x->parent) return n == 3 ? 0 : 2;
    /* The child: it returns from here, is no worker, and ends with its only thread. */
    if (n == 3 || filch_current_executor() != NULL) add(x->wrong, 1);
    return 0;
}

static void check_set_fork(bool completions, bool blocking) {
    struct set_fork x = {getpid(), shared(sizeof(int)), shared(sizeof(int)), completions, blocking};
    filch_executor *e = executor_of(1);
    cr_assert_eq(finish(submit_pointer(e, wait_for_set, &x)), 0);
    ok(filch_executor_destroy(e));
    cr_assert_eq(*x.ran, 2, "the others ran %d times", *x.ran);
    cr_assert_eq(*x.wrong, 0);
}

Test(fork, in_a_task_that_a_wait_for_a_set_runs) {
    check_set_fork(false, false);
    check_set_fork(true, false);
}

Test(fork, in_a_task_that_a_wait_in_a_blocking_region_runs) {
    check_set_fork(false, true);
    check_set_fork(true, true);
}
