/* reclaim_test.c: grace periods in the child of a fork().
 *
 * Without the hooks of liburcu a child would wait for readers of threads that it does not have, or for a lock
 * that one of them holds.
 *
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include "fork.h"
#include "reclaim/reclaim.h"
#include "support.h"
#include <sched.h>
#include <unistd.h>

/* Which also has the linker take the handlers. */
static void need_handlers(void) {
    cr_assert(filch__fork_is_handled());
}

TestSuite(reclaim, .timeout = 20, .init = need_handlers);

/* In a child: reads, waits, and so does another thread. */
static void read_and_wait(int index, void *context) {
    (void)index;
    (void)context;
    for (int i = 0; i < 10; i++) {
        filch__reclaim_read_begin();
        filch__reclaim_read_end();
        filch__reclaim_wait();
    }
}
static int status_of_child(void) {
    pid_t child = child_start();
    if (child == 0) {
        filch__reclaim_wait();
        run_threads(2, read_and_wait, NULL);
        _exit(0);
    }
    return child_finish(child);
}

struct reader {
    uint32_t reads, leave;
};
static void read_until_told(void *context) {
    struct reader *reader = context;
    filch__reclaim_read_begin();
    flag_raise(&reader->reads);
    flag_wait(&reader->leave);
    filch__reclaim_read_end();
}

Test(reclaim, a_child_does_not_wait_for_readers_of_the_parent) {
    struct reader reader = {0, 0};
    pthread_t thread = thread_start(read_until_told, &reader);
    flag_wait(&reader.reads);
    cr_assert_eq(status_of_child(), 0);
    cr_assert_eq(status_of_child(), 0);
    flag_raise(&reader.leave);
    thread_finish(thread);
    filch__reclaim_wait();
}

/* One thread reads, one waits for it, one forks: the fork comes after the grace period. */
struct forker {
    uint32_t begins;
    int status;
};
static void fork_now(void *context) {
    struct forker *forker = context;
    flag_raise(&forker->begins);
    forker->status = status_of_child();
}
static void wait_now(void *context) {
    flag_raise(context);
    filch__reclaim_wait();
}

Test(reclaim, a_fork_comes_after_the_grace_period) {
    for (int i = 0; i < 10; i++) {
        struct reader reader = {0, 0};
        struct forker forker = {0, -1};
        uint32_t waits = 0;
        pthread_t reading = thread_start(read_until_told, &reader);
        flag_wait(&reader.reads);
        pthread_t waiting = thread_start(wait_now, &waits);
        flag_wait(&waits);
        usleep(2000);
        pthread_t forking = thread_start(fork_now, &forker);
        flag_wait(&forker.begins);
        usleep(2000);
        flag_raise(&reader.leave);
        thread_finish(reading);
        thread_finish(waiting);
        thread_finish(forking);
        cr_assert_eq(forker.status, 0);
    }
}

/* The child of a reader that forks is a reader too. */
Test(reclaim, a_reader_may_fork) {
    filch__reclaim_read_begin();
    pid_t child = child_start();
    filch__reclaim_read_end();
    if (child == 0) {
        filch__reclaim_wait();
        _exit(0);
    }
    cr_assert_eq(child_finish(child), 0);
    filch__reclaim_wait();
}
