/* filch/executor.h: executors, what may be set when one is made, and how one ends.
 *
 * Threads: every call may run in any thread at the same time as every other call on the same
 * executor, but filch_executor_destroy, during and after which there may be no other.
 *
 * Exit: what an executor that was not destroyed has accepted is finished in exit(), and when main returns, at the
 * executor's turn among the handlers of atexit: before those that were registered before it was made. From then
 * on submit returns FILCH_ESHUTDOWN. A task, callback, destructor or initializer may call exit(): the tasks on its
 * worker's stack, and those of the same executor that can end only after one of them, are not waited for; all
 * others are finished, by that worker too. A task of another executor that waits for one of them without a
 * deadline keeps the program from ending. _exit and quick_exit wait for nothing. The library is never unloaded:
 * dlclose leaves it where it is.
 *
 * Fork: in a child after fork() every call on an executor of the parent returns FILCH_EFORKED, NULL means a
 * new default executor, and new executors may be made. The parent notices nothing; what belongs to its
 * executors stays in the child's memory unused. A child that was forked inside a task (or in a callback, a
 * destructor, an initializer) is no worker; best it ends by _exit, exit or exec. If it returns instead, what
 * lies below on its stack goes on, with FILCH_EFORKED from waits, and then its thread ends, and with the last
 * thread its process, with status 0; workers of executors that it has made and not destroyed, of the default
 * one too, are such threads. vfork, _Fork and clone are not noticed; nor may a signal handler fork that
 * interrupts a call of this library. A program that uses liburcu-bp itself must not call urcu_bp_before_fork
 * and its kin, which this library calls around each fork(), and must not fork while it reads.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_EXECUTOR_H
#define FILCH_EXECUTOR_H

#include <filch/task.h>
#include <filch/time.h>
#include <stdbool.h>
#include <stdint.h>

/* Options of a thread executor: FILCH_THREAD_OPTIONS_INIT, then set what differs. */
typedef struct filch_thread_options {
    /* sizeof(filch_thread_options) in the program; the macro sets it. */
    size_t size;
    /* Workers that may run tasks at the same time. Threads, 1 to 4096. 0: the CPUs that this process
     * may use (affinity mask and cgroup quota, rounded up, at least 1). */
    int max_workers;
    /* Workers beyond max_workers that may exist to take the place of those that are parked in a
     * wait. Threads, 0 to 4096, or -1 for none. 0: 256. */
    int max_spares;
    /* Threads are named "<prefix>-<index>", cut to 15 bytes. NULL: "filch". Copied. */
    const char *worker_name_prefix;
    /* Runs in each worker before its first task; a non-zero result breaks the executor: what is
     * pending ends with FILCH_EBROKEN, and so does every later submit. NULL: none. */
    int (*initializer)(void *arg);
    /* Passed to initializer. Must stay valid while workers may start. */
    void *initializer_arg;
    /* Stack of a worker. Bytes, 16384 to 2^40. 0: the system's default (`ulimit -s`, mostly 8 MiB). */
    size_t stack_size;
    /* How long a worker without work, and a thread that waits for a future, spins before it sleeps.
     * Nanoseconds, 0 to 10^9; -1: not at all. 0: 10 000, and not at all with one CPU. Up to 10 000, a
     * thread outside that takes the results of many short tasks may sleep for some 50 us before it
     * spins, where it found many done after the last such sleep. */
    filch_nanoseconds spin;
    /* Pins worker i to the i-th of the CPUs that the process may use, modulo their number. */
    bool pin;
} filch_thread_options;

#define FILCH_THREAD_OPTIONS_INIT                                                                  \
    { sizeof(filch_thread_options), 0, 0, 0, 0, 0, 0, 0, false }

/* Counters of an executor. Totals since it was made; they only grow. */
typedef struct filch_stats {
    /* sizeof(filch_stats) in the program; FILCH_STATS_INIT sets it. */
    size_t size;
    /* Tasks accepted, run to their end, and cancelled before they started. */
    uint64_t submitted, completed, cancelled;
    /* Tasks taken from another worker; attempts to take some from a queue that was not empty, and those
     * of them that failed because somebody else was faster. */
    uint64_t stolen, steal_attempts, steals_failed;
    /* Futures whose memory was given back by another thread than the one that allocates there. */
    uint64_t remote_frees;
    /* Times that a worker went to sleep; times that a sleeping worker was woken. */
    uint64_t parked, woken;
    /* Threads that were started, spares included. */
    uint64_t workers_started;
} filch_stats;

#define FILCH_STATS_INIT                                                                           \
    { sizeof(filch_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* Flags of filch_executor_shutdown. */
enum {
    /* Return when all tasks and callbacks have ended and the workers are gone. */
    FILCH_WAIT = 1,
    /* Cancel what has not started. */
    FILCH_CANCEL_PENDING = 2
};

FILCH_BEGIN_DECLS

/* Makes an executor on threads. Workers start on demand: a submit wakes an idle worker if there is
 * one, else starts one while there are fewer than max_workers.
 *
 * options   NULL: defaults
 * executor  receives the executor; not NULL
 * Returns   0; FILCH_EINVAL (an option out of its range, a size field that this library does not
 *           know, executor is NULL); FILCH_ENOMEM (for the executor, or, when the library was loaded, for
 *           its handlers of fork()).
 * Ownership: the caller's, given back with filch_executor_destroy. Since: 0.1. */
FILCH_API int filch_thread_executor(const filch_thread_options *options, filch_executor **executor);

/* Ends an executor. From the start of this call, submit returns FILCH_ESHUTDOWN, inside running tasks
 * too. Accepted work is finished unless FILCH_CANCEL_PENDING is given: then, when the call returns,
 * every pending future is cancelled and its callbacks have run; those of a future that another thread is
 * just cancelling run in that thread. May be called again, with other flags.
 *
 * executor  not NULL
 * flags     0, or FILCH_WAIT, FILCH_CANCEL_PENDING, or both
 * Returns   0; FILCH_EINVAL; FILCH_EDEADLK (FILCH_WAIT in a task or callback run by a worker of this
 *           executor, or in a callback that runs inside another shutdown of it; nothing has happened);
 *           FILCH_EFORKED (it is the parent's; or a callback that this call ran has forked, and this is
 *           the child).
 * Progress: blocking with FILCH_WAIT; FILCH_CANCEL_PENDING waits for other threads that are just cancelling a
 * future of this executor, but not in the destructor of what is being cancelled. Since: 0.1. */
FILCH_API int filch_executor_shutdown(filch_executor *executor, unsigned flags);

/* filch_executor_shutdown(executor, FILCH_WAIT), then frees it. Futures may outlive it.
 *
 * executor  NULL does nothing and succeeds
 * Returns   0; FILCH_EDEADLK and FILCH_EFORKED as filch_executor_shutdown; FILCH_EINVAL for the default
 *           executor, which is not the caller's.
 * Since: 0.1. */
FILCH_API int filch_executor_destroy(filch_executor *executor);

/* Reads the counters. They are gathered from the workers one after the other, so that they need not
 * add up while tasks run.
 *
 * stats     not NULL, made with FILCH_STATS_INIT
 * Returns   0; FILCH_EINVAL; FILCH_EFORKED. Progress: wait-free. Since: 0.1. */
FILCH_API int filch_executor_stats(filch_executor *executor, filch_stats *stats);

/* One more than the largest filch_worker_index that a worker of this executor can have, spare workers
 * included.
 *
 * Returns  that number, which never changes; 0 for NULL; FILCH_EFORKED, which is negative.
 * Progress: wait-free. Since: 0.1. */
FILCH_API int filch_executor_worker_limit(filch_executor *executor);

/* The executor with default options that NULL stands for, made on first use; in a child after fork() anew.
 *
 * Returns   NULL if it cannot be made (filch_last_error says why).
 * Ownership: the library's, ended at the end of the program after its accepted work is done.
 * Threads: any. Since: 0.1. */
FILCH_API filch_executor *filch_default_executor(void);

FILCH_END_DECLS

/* Declares an executor variable that is destroyed at the end of its scope, after its work is done. */
#define FILCH_AUTO_EXECUTOR(name)                                                                  \
    __attribute__((cleanup(filch_auto_executor_destroy))) filch_executor *name = 0

static inline void filch_auto_executor_destroy(filch_executor **executor) {
    (void)filch_executor_destroy(*executor);
}

#endif
