/* support.h: what the tests share: threads that begin together, threads that are stopped at a named
 * point of the runtime, and a ledger of what must happen exactly once.
 *
 * Public headers only, so that the tests of suite `api` can use it. None of it asserts: the test's own
 * thread does, with what is returned here. Every wait yields, so that one CPU is enough.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_SUPPORT_H
#define FILCH_TESTS_SUPPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* n times FILCH_STRESS (default 1): how often a stress loop runs. At least 1. */
int stress(int n);

/* Calls fn(0, context) to fn(n - 1, context), each in a thread of its own; the threads begin together.
 * Returns when all have ended. At most RUN_THREADS_MAX. */
enum { RUN_THREADS_MAX = 256 };
void run_threads(int n, void (*fn)(int index, void *context), void *context);

/* One thread beside the test's own. */
pthread_t thread_start(void (*fn)(void *context), void *context);
void thread_finish(pthread_t thread);

/* fork(), without output that would appear twice. The child ends with the thread that called this, if not
 * earlier, even if its signals are blocked. */
pid_t child_start(void);
/* Waits for a child of this process. Its exit status; minus the signal that ended it, which is SIGKILL for one
 * that takes longer than a child of a test may. */
int child_finish(pid_t child);

/* A task that fails with FAIL_AT_LENGTH, and a text of so many letters: its argument, a size_t. */
enum { FAIL_AT_LENGTH = 3 };
int fail_at_length(void *arg, void *result);

/* Stores to lines that no cache has: what is stored next stays long in the store buffer, unless there is a fence. */
void fill_store_buffer(void);

/* LeakSanitizer has nothing to look for in this process. */
void leaks_are_others(void);

/* Stays for a moment in which others may run: so many yields, but no more once 0.2 ms have passed. Beside threads that
 * compute on the same CPU, each yield lasts for a time slice of each of them. */
void linger(int yields);

/* Yields until *flag is not 0; raise sets it and publishes what was written before. */
void flag_wait(const uint32_t *flag);
void flag_raise(uint32_t *flag);

/* A point of the runtime (base/point.h) where the first thread that comes is stopped; later ones pass.
 *
 *     struct stopper stop;
 *     stopper_arm(&stop, "deque.steal.cas");
 *     pthread_t thief = thread_start(steal_one, &context);
 *     stopper_wait_reached(&stop);      the thief stands there
 *     ...
 *     stopper_release(&stop);           and goes on
 *     thread_finish(thief);
 *
 * Stopping and releasing put the two threads in order, but ThreadSanitizer does not see that: it still
 * reports what the code under test leaves unordered.
 *
 * Several may be armed, also for the same point: each stops another thread. A released stopper can be
 * armed again once its thread has gone on. It must live until the threads that pass its point have
 * ended. */
struct stopper {
    const char *name;
    uint32_t state;
};
void stopper_arm(struct stopper *s, const char *name);
/* Blocks until a thread stands there. */
void stopper_wait_reached(struct stopper *s);
/* Does a thread stand there? Blocks for nothing. */
bool stopper_is_reached(struct stopper *s);
/* The thread goes on; if none has come, none is stopped any more. */
void stopper_release(struct stopper *s);

/* At each passage of the point the hook calls fn in the thread that passes; NULL: no more. fn is not
 * called again while it runs in the same thread. One at a time. */
void point_call(const char *name, void (*fn)(void *context), void *context);

/* How often each of n things happened. */
struct ledger {
    size_t n;
    uint32_t *counts;
};
void ledger_init(struct ledger *l, size_t n);
void ledger_fini(struct ledger *l);
/* Any thread. What is not below n is noted as well, and shows in ledger_wrong. */
void ledger_note(struct ledger *l, size_t i);
/* After the threads have ended: how many of the n did not happen exactly once. */
size_t ledger_wrong(const struct ledger *l);
/* How many did not happen, or happened more than once. */
size_t ledger_missing(const struct ledger *l);
size_t ledger_repeated(const struct ledger *l);

#endif
