/* filch/process.h: executors whose workers are child processes, so that a task that crashes costs its own
 * future and nothing else.
 *
 * A program that uses them calls filch_main(&argc, &argv) first in main. Tasks get their own copy of the argument bytes in another
 * process: pointers in them mean nothing there, but to functions and constants of the program they must not be sent either,
 * because each process has its own addresses. What a task changes in global memory stays in its worker.
 *
 * Callbacks, and destructors of arguments, run in the program. Inside a task filch_current_executor() is the executor, as
 * everywhere: a task may submit to it and wait. Promises and futures of the program cannot be used inside a task.
 *
 * A worker that is told to end, by a shutdown or because it retires, has 5 s for its exit handlers, and is killed then.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_PROCESS_H
#define FILCH_PROCESS_H

#include <filch/executor.h>
#include <filch/task.h>
#include <filch/time.h>
#include <stddef.h>
#include <stdint.h>

/* A limit on resources of each worker, as setrlimit(2) has it. */
typedef struct filch_limit {
    /* RLIMIT_AS, RLIMIT_CPU, ... of <sys/resource.h>. */
    int resource;
    /* In the resource's unit; UINT64_MAX: none. Not above the program's own hard limit. */
    uint64_t soft, hard;
} filch_limit;

/* Options of a process executor: FILCH_PROCESS_OPTIONS_INIT, then set what differs. */
typedef struct filch_process_options {
    /* sizeof(filch_process_options) in the program; the macro sets it. */
    size_t size;
    /* Workers that may run tasks at the same time. Processes, 1 to 1024. 0: the CPUs that this process may use. */
    int max_workers;
    /* Workers beyond max_workers that may exist to take the place of those whose task waits. Processes, 1 to 1024, or -1 for
     * none. 0: 16. Tasks that wait for a task of their own, which does the same, may be some max_spares + 60 deep, since a
     * worker holds at most 64 tasks on top of each other; a wait that is deeper may end with FILCH_EAGAIN. */
    int max_spares;
    /* Runs once in the zygote, the process from which all workers are forked: what it loads or computes all of
     * them share. Must start no thread. A non-zero result breaks the executor. If the zygote is killed, it runs once more
     * in the next one. NULL: none. */
    int (*preload)(void);
    /* Runs in each worker before its first task, with its copy of the initializer_arg_size bytes at
     * initializer_arg; a non-zero result breaks the executor. NULL: none. */
    int (*initializer)(void *arg);
    const void *initializer_arg;
    size_t initializer_arg_size;
    /* A task that runs longer is ended with its worker; its future ends with FILCH_EWORKER. Nanoseconds. 0: no limit. */
    filch_nanoseconds task_timeout;
    /* A worker is replaced after that many tasks. Tasks, 0 or more. 0: never. */
    int max_tasks_per_worker;
    /* A worker that uses more resident memory after a task is replaced. Bytes. 0: no limit. */
    size_t memory_limit;
    /* Limits of each worker; limit_count of them. */
    const filch_limit *limits;
    size_t limit_count;
    /* "NAME=value" lines and a NULL. NULL: the program's environment when the executor is made. */
    const char *const *environment;
    /* Where workers start. NULL: the current directory when the executor is made. */
    const char *directory;
    /* Descriptors of the program that become the workers' standard output and error. 0: the program's own. */
    int output, error;
    /* How long a worker without a task, and a thread that waits for a future, spins before it sleeps. Nanoseconds, 0 to 10^9;
     * -1: not at all. 0: 10 000, and not at all with one CPU. */
    filch_nanoseconds spin;
} filch_process_options;

#define FILCH_PROCESS_OPTIONS_INIT                                                                 \
    { sizeof(filch_process_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

FILCH_BEGIN_DECLS

/* To be called first in main, before anything else. In the program it returns at once. In a process that
 * the library has started it never returns: that is where workers live. Such a process is the same program, started
 * once more: what runs before main (constructors, initializers of C++ objects) runs in it too. It must start no
 * thread there, since workers are forked from that process, and a lock that another thread holds would stay locked in
 * them; nor may it use descriptor 3 or the variable FILCH_ZYGOTE. Standard input is /dev/null there, the session one of its
 * own, and signals have their default actions.
 *
 * argc, argv  addresses of main's parameters; not changed
 * Threads: main's, once. Progress: in the program, wait-free. Since: 0.1. */
FILCH_API void filch_main(int *argc, char ***argv);

/* Makes an executor on child processes. Its zygote starts at once, workers on demand. A zygote that dies takes its workers
 * along, which ends the tasks that they run as any death of a worker does, and is started again; five times in a row, without a
 * task that runs meanwhile, break the executor.
 *
 * options   NULL: defaults
 * executor  receives the executor; not NULL
 * Returns   0; FILCH_EINVAL (an option out of its range; executor is NULL); FILCH_ESTATE (filch_main was not called: the text has the line
 *           to add); FILCH_EAGAIN (no process could be started); FILCH_ENOMEM (memory, shared memory, descriptors); FILCH_EBROKEN (the
 *           zygote ended, or preload failed; the text says how); FILCH_ENOTSUP (called in a worker).
 * Ownership: the caller's, given back with filch_executor_destroy. Threads: any. Progress: blocking, until the zygote
 * has answered. Since: 0.1. */
FILCH_API int filch_process_executor(const filch_process_options *options,
                                     filch_executor **executor);

/* Ends all worker processes of a process executor with SIGKILL. Futures of tasks that ran end with FILCH_EWORKER (or are tried again);
 * what has not started, or is submitted after the call, goes on in new workers.
 *
 * executor  not NULL
 * Returns   0; FILCH_EINVAL (NULL); FILCH_ENOTSUP (not a process executor); FILCH_EFORKED.
 * Threads: any. Progress: does not wait for the end of the processes. Since: 0.1. */
FILCH_API int filch_executor_kill_workers(filch_executor *executor);

FILCH_END_DECLS

#endif
