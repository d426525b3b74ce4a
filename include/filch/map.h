/* filch/map.h: one function over many inputs.
 *
 * filch_map_array waits for all and fills an array. filch_map gives the results one by one, in the order
 * of the inputs, while later ones still run, from an array or from a generator without end:
 *
 *     filch_map_spec spec = FILCH_MAP_SPEC_INIT;
 *     spec.fn = square;
 *     spec.args = numbers, spec.n = 1000, spec.arg_size = sizeof numbers[0];
 *     spec.result_size = sizeof result;
 *     if (filch_map(executor, &spec, &it) != 0) return puts(filch_last_error());
 *     while ((rc = filch_results_next(it, &result)) != FILCH_EEND)
 *         if (rc == 0) use(result); else puts(filch_last_error());
 *     filch_results_destroy(it);
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_MAP_H
#define FILCH_MAP_H

#include <filch/task.h>
#include <filch/time.h>
#include <stdbool.h>

/* The results of filch_map, in the order of the inputs. Opaque.
 *
 * Threads: used by one thread at a time, which need not be the one that made it, and not by its own
 * generator. Different iterators know nothing of each other. */
typedef struct filch_results filch_results;

/* What filch_map runs. Make it with FILCH_MAP_SPEC_INIT and set what differs. */
typedef struct filch_map_spec {
    /* sizeof(filch_map_spec) in the program; FILCH_MAP_SPEC_INIT sets it. */
    size_t size;
    /* Gets a private copy of an input and zeroed result bytes, as every task does. Not NULL. */
    filch_task_fn *fn;
    /* The inputs, n * arg_size bytes, if they are an array; NULL only if there is a generator, or n or
     * arg_size is 0. Copied when their task is submitted: within filch_map if buffer_size is 0, else they
     * must stay valid until FILCH_EEND or filch_results_destroy. */
    const void *args;
    /* Inputs in args, 0 or more; 0 if there is a generator. */
    size_t n;
    /* The inputs, if a generator gives them: writes the next one to arg (arg_size zeroed bytes, aligned
     * like max_align_t) and returns true, or returns false if there are no more, and is then not called
     * again. Runs only inside filch_map and filch_results_next, in the thread that calls them. NULL: the
     * inputs are in args. */
    bool (*next)(void *context, void *arg);
    /* Passed to next. */
    void *next_context;
    /* Bytes of an input, 0 or more. */
    size_t arg_size;
    /* Bytes of a result, 0 or more. */
    size_t result_size;
    /* How long results may take, from the call of filch_map on. Nanoseconds; 0 and less: only what is
     * ready is given; FILCH_FOREVER, which the macro sets: without limit. */
    filch_nanoseconds timeout;
    /* Inputs per task: more of them cost less each, but run one after the other. 0: 1. */
    size_t chunk_size;
    /* Tasks that are submitted ahead of the reader, not counting the one that it reads. They bound the
     * memory, and how far the generator is ahead. 0: no bound; all inputs are submitted within filch_map,
     * so that the generator must have an end. */
    size_t buffer_size;
    /* Called exactly once for each input, in any thread, unless filch_map returns FILCH_EINVAL or
     * FILCH_ETOOBIG: with the task's copy after it ran or was cancelled; with the input itself, in args
     * or where the generator wrote it, if its task is never submitted: by the call that gives up, or
     * filch_results_destroy. NULL: none. */
    void (*arg_destroy)(void *arg);
    /* Name of the tasks, for traces and error texts; not copied, must stay valid while one of them lives.
     * NULL: none. */
    const char *name;
} filch_map_spec;

#define FILCH_MAP_SPEC_INIT                                                                        \
    { sizeof(filch_map_spec), 0, 0, 0, 0, 0, 0, 0, FILCH_FOREVER, 0, 0, 0, 0 }

FILCH_BEGIN_DECLS

/* Runs spec->fn on each input, in parallel, and gives an iterator over the results.
 *
 * executor  NULL is filch_default_executor(). It must not be destroyed before FILCH_EEND or
 *           filch_results_destroy if buffer_size is not 0
 * spec      not NULL, made with FILCH_MAP_SPEC_INIT; copied
 * it        receives the iterator; not NULL
 * Returns   0; FILCH_EINVAL (a NULL, both an array and a generator, a size field that this library does
 *           not know); FILCH_ETOOBIG (the sizes overflow); FILCH_ENOMEM; what filch_submit returned if a
 *           task could not be submitted: FILCH_ENOMEM, FILCH_ESHUTDOWN, FILCH_EBROKEN, FILCH_EAGAIN. If it
 *           fails, inputs that have not started are cancelled, and *it is untouched.
 * Ownership: the caller's, given back with filch_results_destroy; see spec for the inputs.
 * Threads: any, tasks included. Progress: that of filch_submit, and of the generator. Ordering: everything
 * before the call happens before each input runs.
 * Since: 0.1. */
FILCH_API int filch_map(filch_executor *executor, const filch_map_spec *spec, filch_results **it);

/* The same with an absolute time in place of spec->timeout.
 *
 * deadline  nanoseconds of CLOCK_MONOTONIC; one that has passed gives only what is ready;
 *           FILCH_FOREVER: without limit
 * Returns   as filch_map. Since: 0.1. */
FILCH_API int filch_map_until(filch_executor *executor, const filch_map_spec *spec,
                              filch_nanoseconds deadline, filch_results **it);

/* Waits for the result of the next input, as filch_future_result does, and goes on to the one after it;
 * submits what the buffer has room for.
 *
 * it        not NULL
 * result    receives result_size bytes if the call returns 0; may be NULL
 * Returns   0; at the turn of an input that failed what its task would return: a positive code, one of the
 *           library's that fn returned, FILCH_ECANCELED (by a shutdown), FILCH_EBROKEN; the iteration goes
 *           on, and the text in filch_last_error() is that of the input. FILCH_EEND: there are no more, as
 *           often as it is called. FILCH_EINVAL: it is NULL.
 *           FILCH_ETIMEDOUT, once, then FILCH_EEND: the time is over and the next input is not done, or was
 *           not submitted. All that is left is cancelled.
 *           FILCH_EDEADLK, FILCH_EAGAIN, FILCH_EFORKED: the task of this input cannot be waited for (see
 *           filch_future_result); its inputs that have not started are cancelled, each gives this code,
 *           and the iteration goes on.
 *           What filch_submit returned, once, then FILCH_EEND: from this input on nothing could be
 *           submitted.
 *           A code of the library's that fn itself returns looks like one of these: a positive one does not.
 * Progress: blocking. Ordering: everything that the input's task did happens before the return.
 * Since: 0.1. */
FILCH_API int filch_results_next(filch_results *it, void *result);

/* Cancels the inputs that have not started, and frees the iterator. Those that run go on; nothing is waited
 * for.
 *
 * it        NULL does nothing and succeeds
 * Returns   0. Progress: lock-free. Since: 0.1. */
FILCH_API int filch_results_destroy(filch_results *it);

/* Runs fn on each of n inputs, in parallel, and waits for all.
 *
 * executor     NULL is filch_default_executor()
 * fn           gets a copy of args[i] and zeroed result bytes, as every task does
 * args         n * arg_size bytes; NULL only if n or arg_size is 0
 * n            inputs; 0 returns 0 at once
 * results      n * result_size bytes; results[i] is written if input i succeeded, and left as it was
 *              otherwise; NULL only if n or result_size is 0
 * Returns      0 if every input succeeded, else the code of the lowest index that failed, and its text
 *              as filch_last_error(); FILCH_EINVAL; FILCH_ETOOBIG; FILCH_EFORKED; FILCH_ENOMEM (an input could
 *              not be run, or its failure not be noted; the text has its index); and, if no input failed, what
 *              filch_submit returned if inputs could not be submitted (those that could are finished first),
 *              and FILCH_ECANCELED: a shutdown cancelled inputs, or the calling task was asked to end, before
 *              they started.
 * Ownership: args and results stay the caller's and are not used after the return.
 * Threads: any; in a task, the worker takes part. Progress: blocking. Since: 0.1.
 *
 * On threads it is a loop as filch_parallel_for is, with grain 0: inputs are given to workers one by one if they take long, many
 * at once if they are short. On processes they travel in 16 parts per worker. */
FILCH_API int filch_map_array(filch_executor *executor, filch_task_fn *fn, const void *args,
                              size_t arg_size, size_t n, void *results, size_t result_size);

FILCH_END_DECLS

#endif
