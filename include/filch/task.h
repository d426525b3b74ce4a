/* filch/task.h: tasks, how they are submitted, and what they may ask for while they run.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TASK_H
#define FILCH_TASK_H

#include <filch/export.h>
#include <stdbool.h>
#include <stddef.h>

/* Runs submitted tasks. Opaque; made by filch_thread_executor. */
typedef struct filch_executor filch_executor;
/* The handle of a task's outcome. Opaque and counted; see filch/future.h. */
typedef struct filch_future filch_future;

/* A task function: gets its private copy of the argument bytes and result_size zeroed bytes, both
 * aligned like max_align_t. Returns 0, or a positive code, best made by filch_fail. One of the
 * library's negative codes passes through unchanged; other negative values become FILCH_EINVAL. The
 * same function runs on every executor. */
typedef int filch_task_fn(void *arg, void *result);

/* A task with what is optional. Make it with FILCH_TASK_INIT and set what differs from 0. */
typedef struct filch_task {
    /* sizeof(filch_task) in the program; FILCH_TASK_INIT sets it. */
    size_t size;
    /* The function; not NULL. */
    filch_task_fn *fn;
    /* The argument, copied at the submit; NULL only if arg_size is 0. */
    const void *arg;
    /* Bytes at arg, 0 or more. */
    size_t arg_size;
    /* Bytes of result, 0 or more. */
    size_t result_size;
    /* For traces and error texts; not copied, must stay valid while the future lives. NULL: none. */
    const char *name;
    /* Called once with the task's copy of the argument, after the task ran or was cancelled and
     * before its future counts as done, by the thread that ran or cancelled it. Not called if the
     * submit fails: the caller then still owns what the argument refers to. NULL: none. */
    void (*arg_destroy)(void *arg);
    /* How often a process executor starts the task again when its worker dies while it runs, 0 or more; then its
     * future ends with FILCH_EWORKER. Thread executors ignore it. 0: it is not started again. */
    int retries;
} filch_task;

#define FILCH_TASK_INIT                                                                            \
    { sizeof(filch_task), 0, 0, 0, 0, 0, 0, 0 }

FILCH_BEGIN_DECLS

/* Submits a task.
 *
 * executor     where; NULL is filch_default_executor()
 * fn           the function
 * arg          arg_size bytes, copied before the call returns; NULL only if arg_size is 0
 * result_size  bytes of result that the function may write
 * future       receives a reference to the task's future; NULL for a task that nobody waits for
 * Returns      0; FILCH_EINVAL (fn is NULL, or arg is NULL and arg_size is not 0); FILCH_ETOOBIG (the
 *              sizes overflow); FILCH_ENOMEM; FILCH_ESHUTDOWN; FILCH_EBROKEN; FILCH_EAGAIN (the
 *              executor has no thread and none could be started); FILCH_EFORKED (the executor belongs
 *              to the process before fork()). If it fails, the task never runs and *future is
 *              untouched.
 * Ownership: the caller owns one reference to *future, given back with filch_future_release.
 * Threads: any, tasks and callbacks included. A submit that races with filch_executor_shutdown is
 * either refused or run; one that races with filch_executor_destroy is a use after free.
 * Progress: lock-free; no system call but to wake a sleeping worker, to start one, or to map memory.
 * Ordering: everything before the submit happens before the task starts.
 * Since: 0.1. */
FILCH_API int filch_submit(filch_executor *executor, filch_task_fn *fn, const void *arg,
                           size_t arg_size, size_t result_size, filch_future **future);

/* The same for a task with a name or a destructor.
 *
 * Returns      as filch_submit; FILCH_EINVAL too if task is NULL, its size field is not one that
 *              this library knows, or retries is negative.
 * Since: 0.1. */
FILCH_API int filch_submit_task(filch_executor *executor, const filch_task *task,
                                filch_future **future);

/* Around a call that blocks for long (a file, a socket, a lock): begin lets a spare worker run in the place of
 * the calling one, if there is work or as soon as there is, up to the executor's max_spares; end takes the place
 * back, and for a moment one worker more than max_workers may run. Pairs may be nested; the outermost one
 * counts. What a task has begun and not ended is ended when it returns. In between every other call is legal.
 * Outside a worker both do nothing. Neither fails for want of a thread: it is tried again with the next task
 * that is submitted.
 *
 * Returns  0; end: FILCH_ESTATE if the worker has begun nothing.
 * Threads: any. Progress: lock-free, but to wake or start a worker. Since: 0.1. */
FILCH_API int filch_blocking_begin(void);
/* The end of what filch_blocking_begin has begun; see there.
 *
 * Returns  0; FILCH_ESTATE if the worker has begun nothing.
 * Since: 0.1. */
FILCH_API int filch_blocking_end(void);

/* Inside a task: keeps a text with the future, for filch_future_error, and returns the code, so that
 * a task may end with `return filch_fail(2, "no such file: %s", name);`. The last text stays.
 *
 * code     positive, the task's own; or one of the library's
 * Returns  code. Outside a task it only returns code.
 * Ownership: the text is copied; where there is no memory for it, the future has the code alone.
 * Threads: the one that runs the task. Since: 0.1. */
FILCH_API int filch_fail(int code, const char *format, ...) FILCH_PRINTF(2, 3);

/* Inside a task: memory for a result that may be larger than result_size, of any size that is known only now.
 * The reader sees it with filch_future_result_view, without a copy; filch_future_result gives the result_size
 * bytes as always.
 *
 * size     bytes, 0 or more
 * Returns  size bytes, aligned like max_align_t, with arbitrary contents; NULL if there is no memory, or
 *          outside of a task (filch_last_error says which).
 * Ownership: the future's, from the task's end on, if that returns 0; freed with it, and at once if the
 * task fails. A further call in the same task frees what the one before gave.
 * Threads: the one that runs the task. Since: 0.1. */
FILCH_API void *filch_result_alloc(size_t size);

/* Inside a task: has filch_future_request_cancel asked it to end early? A task that never asks is never
 * disturbed. One that heeds it may return FILCH_ECANCELED, or what it has.
 *
 * Returns  false outside of a task, and in callbacks.
 * Ordering: what the caller of filch_future_request_cancel did before that is seen. Progress: wait-free.
 * Since: 0.1. */
FILCH_API bool filch_cancel_requested(void);

/* The executor whose worker the calling thread is.
 *
 * Returns  the executor; NULL in other threads.
 * Ownership: borrowed. Threads: any. Progress: wait-free. Since: 0.1. */
FILCH_API filch_executor *filch_current_executor(void);

/* The index of the calling worker within its executor.
 *
 * Returns  0 <= i < filch_executor_worker_limit(filch_current_executor()), shared with no other
 *          running thread of that executor; -1 outside of a worker.
 * Threads: any. Progress: wait-free. Since: 0.1. */
FILCH_API int filch_worker_index(void);

FILCH_END_DECLS

#endif
