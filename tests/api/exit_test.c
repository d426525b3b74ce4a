/* exit_test.c: executors that live when the program ends.
 *
 * Each scenario is a child process, forked before there is an executor; what it counts lies in memory that it
 * shares with the test. A child that hangs is ended by its alarm.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(exit, .timeout = 60);

enum { QUEUED = 100, STATUS = 7 };

static struct board {
    int done;      /* tasks that have ended */
    int seen;      /* of them when the first handler ran */
    int submitted; /* what a submit returned there */
    int cancelled;
    int other;
    int queued; /* all that the scenario submits has been submitted */
} * board;

static filch_executor *executor, *second;

/* _exit without the sanitizers' last look, which takes threads that live for leaks. */
static void leave_at_once(int status) {
    syscall(SYS_exit_group, status);
}

/* The last handler: what lies below is the test program's. */
static void leave(int status, void *unused) {
    (void)unused;
    leave_at_once(status);
}

/* The status with which the child exits; -1: a signal. */
static int run_child(void (*body)(void)) {
    int status;
    if (board == NULL)
        board =
            mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(board, MAP_FAILED);
    memset(board, 0, sizeof *board);
    pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        alarm(30);
        on_exit(leave, NULL);
        body();
        _exit(99);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void look(void) {
    board->seen = read_int(&board->done);
    board->submitted = filch_submit(executor, do_nothing, NULL, 0, 0, NULL);
}

static void make(int max_workers, int max_spares) {
    filch_thread_options o = FILCH_THREAD_OPTIONS_INIT;
    o.max_workers = max_workers;
    o.max_spares = max_spares;
    if (filch_thread_executor(&o, &executor) != 0) _exit(98);
}

static int slow(void *arg, void *result) {
    (void)arg;
    (void)result;
    usleep(100);
    add(&board->done, 1);
    return 0;
}

static void queue(filch_executor *e, int n) {
    for (int i = 0; i < n; i++)
        if (filch_submit(e, slow, NULL, 0, 0, NULL) != 0) _exit(97);
}

static int exit_now(void *arg, void *result) {
    (void)arg;
    (void)result;
    wait_for_count(&board->queued, 1);
    exit(STATUS);
}

/* The program ends outside of tasks ------------------------------------------------------------- */

static void work_is_pending(void) {
    atexit(look);
    make(2, 0);
    queue(executor, QUEUED);
    exit(STATUS);
}

Test(exit, accepted_work_is_finished_before_earlier_handlers) {
    cr_assert_eq(run_child(work_is_pending), STATUS);
    cr_assert_eq(board->seen, QUEUED);
    cr_assert_eq(board->submitted, FILCH_ESHUTDOWN);
}

static void later_handler(void) {
    make(2, 0);
    atexit(look);
    queue(executor, QUEUED);
    exit(STATUS);
}

Test(exit, later_handlers_may_still_submit) {
    cr_assert_eq(run_child(later_handler), STATUS);
    cr_assert_eq(board->done, QUEUED);
    cr_assert_eq(board->submitted, 0);
}

/* The handler lies between the two in time, and so in their ends. */
static void two_executors(void) {
    make(1, 0);
    second = executor;
    atexit(look);
    make(1, 0);
    filch_executor *last = executor;
    executor = second;
    queue(last, QUEUED);
    exit(STATUS);
}

Test(exit, each_executor_ends_at_its_own_turn) {
    cr_assert_eq(run_child(two_executors), STATUS);
    cr_assert_eq(board->seen, QUEUED, "the last one has ended");
    cr_assert_eq(board->submitted, 0, "the first one has not");
}

static void scope_is_left_by_exit(void) {
    FILCH_AUTO_EXECUTOR(e);
    if (filch_thread_executor(NULL, &e) != 0) _exit(98);
    queue(e, QUEUED);
    exit(STATUS);
}

Test(exit, in_the_scope_of_an_automatic_executor) {
    cr_assert_eq(run_child(scope_is_left_by_exit), STATUS);
    cr_assert_eq(board->done, QUEUED);
}

static void destroy_it(void) {
    board->other = filch_executor_destroy(executor);
}

static void destroyed_in_handlers(void) {
    atexit(destroy_it);
    make(2, 0);
    queue(executor, QUEUED);
    exit(STATUS);
}
static void destroyed_in_later_handlers(void) {
    make(2, 0);
    atexit(destroy_it);
    queue(executor, QUEUED);
    exit(STATUS);
}

Test(exit, handlers_may_destroy_it) {
    cr_assert_eq(run_child(destroyed_in_handlers), STATUS);
    cr_assert_eq(board->done, QUEUED);
    cr_assert_eq(board->other, 0);
    cr_assert_eq(run_child(destroyed_in_later_handlers), STATUS);
    cr_assert_eq(board->done, QUEUED);
    cr_assert_eq(board->other, 0);
}

static void *destroy_in_thread(void *unused) {
    add(&board->other, filch_executor_destroy(executor) == 0);
    return unused;
}

static void destroyed_meanwhile(void) {
    pthread_t thread;
    make(2, 0);
    queue(executor, QUEUED / 10);
    if (pthread_create(&thread, NULL, destroy_in_thread, NULL) != 0) _exit(96);
    pthread_detach(thread);
    exit(STATUS);
}

Test(exit, while_another_thread_destroys_it) {
    for (int i = 0; i < stress(100); i++) {
        cr_assert_eq(run_child(destroyed_meanwhile), STATUS);
        cr_assert_eq(board->done, QUEUED / 10);
    }
}

static void quick(void) {
    make(1, 0);
    queue(executor, QUEUED);
    leave_at_once(STATUS);
}

Test(exit, without_handlers_waits_for_nothing) {
    cr_assert_eq(run_child(quick), STATUS);
    cr_assert_lt(board->done, QUEUED);
}

static void many(void) {
    for (int i = 0; i < 100; i++) {
        make(1, -1);
        if (filch_executor_destroy(executor) != 0) _exit(96);
    }
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < 5000; i++) {
        make(1, -1);
        if (filch_executor_destroy(executor) != 0) _exit(96);
    }
    /* 32 bytes for each that is left in glibc's list would be 160 000. */
    exit(mallinfo2().uordblks < before + 20000 ? STATUS : 95);
}

Test(exit, executors_that_were_destroyed_leave_nothing) {
    cr_assert_eq(run_child(many), STATUS);
}

/* A task, or what runs in one, ends the program -------------------------------------------------- */

static void by_a_task(int max_workers, int max_spares) {
    atexit(look);
    make(max_workers, max_spares);
    queue(executor, QUEUED / 2);
    if (filch_submit(executor, exit_now, NULL, 0, 0, NULL) != 0) _exit(97);
    queue(executor, QUEUED / 2);
    add(&board->queued, 1);
    for (;;) pause();
}
static void by_a_task_of_one(void) {
    by_a_task(1, 0);
}
static void by_a_task_of_one_without_spares(void) {
    by_a_task(1, -1);
}
static void by_a_task_of_three(void) {
    by_a_task(3, 0);
}

Test(exit, in_a_task_finishes_the_others) {
    void (*bodies[])(void) = {by_a_task_of_one, by_a_task_of_one_without_spares,
                              by_a_task_of_three};
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(run_child(bodies[i]), STATUS);
        cr_assert_eq(board->seen, QUEUED, "%d of %d", board->seen, QUEUED);
        cr_assert_eq(board->submitted, FILCH_ESHUTDOWN);
    }
}

/* Below on the stack: a task that waits for the one that exits. */
static int await_exit(void *arg, void *result) {
    filch_future *f;
    (void)arg;
    (void)result;
    queue(filch_current_executor(), 10);
    if (filch_submit(filch_current_executor(), exit_now, NULL, 0, 0, &f) != 0) return 1;
    return filch_future_result(f, NULL, FILCH_FOREVER);
}
static void in_a_nested_wait(void) {
    make(1, 0);
    if (filch_submit(executor, await_exit, NULL, 0, 0, NULL) != 0) _exit(97);
    queue(executor, QUEUED - 10);
    add(&board->queued, 1);
    for (;;) pause();
}

Test(exit, in_a_task_that_another_waits_for_below) {
    cr_assert_eq(run_child(in_a_nested_wait), STATUS);
    cr_assert_eq(board->done, QUEUED);
}

/* Elsewhere: tasks that wait for the one that exits, and for each other in a row, are not waited for. */
static int await_future(void *arg, void *result) {
    (void)result;
    add(&board->other, 1);
    return filch_future_result(*(filch_future **)arg, NULL, FILCH_FOREVER);
}
static int exit_when_told(void *arg, void *result) {
    (void)arg;
    (void)result;
    while (read_int(&board->other) < 3 || read_int(&board->queued) == 0) usleep(100);
    usleep(2000);
    exit(STATUS);
}
static void awaited_elsewhere(void) {
    filch_future *chain[4];
    make(4, 0);
    if (filch_submit(executor, exit_when_told, NULL, 0, 0, &chain[0]) != 0) _exit(97);
    while (!filch_future_running(chain[0])) usleep(10);
    for (int i = 1; i < 4; i++) {
        if (filch_submit(executor, await_future, &chain[i - 1], sizeof chain[0], 0, &chain[i]) != 0)
            _exit(97);
        while (!filch_future_running(chain[i])) usleep(10);
    }
    queue(executor, QUEUED);
    add(&board->queued, 1);
    for (;;) pause();
}

Test(exit, tasks_that_wait_for_the_one_that_exits_are_not_waited_for) {
    for (int i = 0; i < stress(5); i++) {
        cr_assert_eq(run_child(awaited_elsewhere), STATUS);
        cr_assert_eq(board->done, QUEUED);
    }
}

/* One that waits with a deadline goes on after it, and is waited for. */
static int await_a_while(void *arg, void *result) {
    (void)result;
    add(&board->other, 3);
    int rc = filch_future_result(*(filch_future **)arg, NULL, FILCH_MILLISECONDS(30));
    if (rc == FILCH_ETIMEDOUT) add(&board->done, 1);
    return 0;
}
static void awaited_for_a_while(void) {
    filch_future *f;
    make(2, 0);
    if (filch_submit(executor, exit_when_told, NULL, 0, 0, &f) != 0) _exit(97);
    while (!filch_future_running(f)) usleep(10);
    if (filch_submit(executor, await_a_while, &f, sizeof f, 0, NULL) != 0) _exit(97);
    add(&board->queued, 1);
    for (;;) pause();
}

Test(exit, a_wait_with_a_deadline_is_waited_for) {
    cr_assert_eq(run_child(awaited_for_a_while), STATUS);
    cr_assert_eq(board->done, 1);
}

static void exit_in_callback(filch_future *f, void *context) {
    (void)f;
    (void)context;
    exit(STATUS);
}
static void in_a_callback(void) {
    filch_future *f;
    struct gate gate = {0, 0}, *pointer = &gate;
    make(2, 0);
    if (filch_submit(executor, hold, &pointer, sizeof pointer, 0, &f) != 0) _exit(97);
    if (filch_future_add_done_callback(f, exit_in_callback, NULL) != 0) _exit(97);
    queue(executor, QUEUED);
    flag_raise(&gate.open);
    for (;;) pause();
}

Test(exit, in_a_callback_that_a_worker_runs) {
    cr_assert_eq(run_child(in_a_callback), STATUS);
    cr_assert_eq(board->done, QUEUED);
}

static void count_cancelled(filch_future *f, void *context) {
    (void)context;
    add(&board->cancelled, filch_future_cancelled(f));
    if (read_int(&board->cancelled) == 5) exit(STATUS);
}
static void in_a_drain(void) {
    struct gate gate = {0, 0}, *pointer = &gate;
    make(1, 0);
    filch_future *held = NULL;
    if (filch_submit(executor, hold, &pointer, sizeof pointer, 0, &held) != 0) _exit(97);
    flag_wait(&gate.reached);
    for (int i = 0; i < QUEUED; i++) {
        filch_future *f;
        if (filch_submit(executor, slow, NULL, 0, 0, &f) != 0) _exit(97);
        if (filch_future_add_done_callback(f, count_cancelled, NULL) != 0) _exit(97);
    }
    flag_raise(&gate.open);
    filch_executor_shutdown(executor, FILCH_CANCEL_PENDING);
    for (;;) pause();
}

/* Those that had not been cancelled yet are, in exit(), or ran before the shutdown. */
Test(exit, in_a_callback_of_a_shutdown_that_cancels) {
    for (int i = 0; i < stress(10); i++) {
        cr_assert_eq(run_child(in_a_drain), STATUS);
        cr_assert_eq(board->done + board->cancelled, QUEUED, "%d ran, %d cancelled", board->done,
                     board->cancelled);
    }
}

static int exit_in_initializer(void *arg) {
    (void)arg;
    exit(STATUS);
}
static void in_an_initializer(void) {
    filch_thread_options o = FILCH_THREAD_OPTIONS_INIT;
    o.max_workers = 1;
    o.max_spares = -1;
    o.initializer = exit_in_initializer;
    if (filch_thread_executor(&o, &executor) != 0) _exit(98);
    for (int i = 0; i < 1000; i++) (void)filch_submit(executor, do_nothing, NULL, 0, 0, NULL);
    for (;;) pause();
}

static int exit_in_blocking(void *arg, void *result) {
    (void)arg;
    (void)result;
    filch_blocking_begin();
    wait_for_count(&board->queued, 1);
    exit(STATUS);
}
static void in_blocking(void) {
    make(1, -1);
    if (filch_submit(executor, exit_in_blocking, NULL, 0, 0, NULL) != 0) _exit(97);
    queue(executor, QUEUED);
    add(&board->queued, 1);
    for (;;) pause();
}

Test(exit, in_a_blocking_region) {
    cr_assert_eq(run_child(in_blocking), STATUS);
    cr_assert_eq(board->done, QUEUED);
}

static int exit_of_second(void *arg, void *result) {
    return exit_now(arg, result);
}
static void of_another_executor(void) {
    make(2, 0);
    second = executor;
    make(2, 0);
    queue(second, QUEUED / 2);
    queue(executor, QUEUED / 2);
    add(&board->queued, 1);
    if (filch_submit(second, exit_of_second, NULL, 0, 0, NULL) != 0) _exit(97);
    for (;;) pause();
}

Test(exit, in_a_task_of_one_executor_finishes_the_work_of_the_other) {
    cr_assert_eq(run_child(of_another_executor), STATUS);
    cr_assert_eq(board->done, QUEUED);
}

static void of_the_default(void) {
    atexit(look);
    executor = NULL;
    queue(NULL, QUEUED);
    add(&board->queued, 1);
    if (filch_submit(NULL, exit_now, NULL, 0, 0, NULL) != 0) _exit(97);
    for (;;) pause();
}

Test(exit, in_a_task_of_the_default_executor) {
    cr_assert_eq(run_child(of_the_default), STATUS);
    cr_assert_eq(board->seen, QUEUED);
    cr_assert_eq(board->submitted, FILCH_ESHUTDOWN);
}

Test(exit, in_an_initializer) {
    cr_assert_eq(run_child(in_an_initializer), STATUS);
}
