/* filch/parallel.h: loops, reductions and scans over ranges of integers, in parallel.
 *
 *     static int scale(int64_t begin, int64_t end, void *context) {
 *         double *v = context;
 *         for (int64_t i = begin; i < end; i++) v[i] *= 2;
 *         return 0;
 *     }
 *     rc = filch_parallel_for(NULL, 0, n, 0, scale, v);
 *
 * A body gets a part of the range, so that its own loop is compiled, and vectorised, as any loop. With grain 0 a
 * loop is split only when another worker is hungry: as long as nobody is, it costs a look every so often. A body that
 * takes long lets the parts become short, down to one index.
 *
 * Threads  All calls: from any thread. On a worker of the executor, inside a task, it takes part; other threads wait,
 *          as in filch_run. The first error stops what has not started, and is what the caller gets with its
 *          text, once everything that has started has ended. After filch_future_request_cancel for the calling task,
 *          too, nothing more starts.
 * Source   Tzannes, Caragea, Barua & Vishkin, "Lazy binary-splitting", PPoPP 2010; here the thief asks, and
 *          the owner looks whether it was asked, not whether its own queue is empty.
 * Not here: sorting (filch/sort.h), a function over an array of inputs (filch/map.h).
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_PARALLEL_H
#define FILCH_PARALLEL_H

#include <filch/export.h>
#include <filch/task.h>
#include <stddef.h>
#include <stdint.h>

/* The indices begin <= i < end. Returns 0, or a code as a task does. */
typedef int filch_range_body(int64_t begin, int64_t end, void *context);

/* How values over a range are made and put together. The operation is associative, and need not be commutative:
 * values are put together in the order of the range. Made with FILCH_REDUCTION_INIT. */
typedef struct filch_reduction {
    /* sizeof(filch_reduction); the macro sets it. */
    size_t struct_size;
    /* Bytes of a value, more than 0. */
    size_t size;
    /* The value of an empty range; size bytes. */
    const void *identity;
    /* Adds begin <= i < end to *value, which has what precedes. Returns 0, or a code as a task does. */
    int (*body)(int64_t begin, int64_t end, void *context, void *value);
    /* *left becomes *left followed by *right. */
    void (*combine)(void *left, const void *right, void *context);
    /* Given to both; may be NULL. */
    void *context;
} filch_reduction;

#define FILCH_REDUCTION_INIT                                                                       \
    { sizeof(filch_reduction), 0, NULL, NULL, NULL, NULL }

/* A scan: a reduction over every part, and then the parts once more, each with the value of what precedes it. Made with
 * FILCH_SCAN_INIT. */
typedef struct filch_scan {
    /* sizeof(filch_scan); the macro sets it. */
    size_t struct_size;
    /* The values, as in filch_parallel_reduce. */
    filch_reduction reduction;
    /* Goes over begin <= i < end and writes the results; *value has what precedes begin, and has what precedes end
     * afterwards. Returns 0, or a code as a task does. */
    int (*body)(int64_t begin, int64_t end, void *context, void *value);
} filch_scan;

#define FILCH_SCAN_INIT                                                                            \
    { sizeof(filch_scan), FILCH_REDUCTION_INIT, NULL }

FILCH_BEGIN_DECLS

/* Calls the body for all of begin <= i < end, in parts that do not overlap.
 *
 * executor    NULL: the default one
 * begin, end  end - begin is at most INT64_MAX; nothing to do if begin >= end
 * grain       the most indices in a part, 1 or more; 0: as many as are worth while, chosen as it runs
 * body        not NULL; runs in several threads at once
 * context     given to the body; may be NULL
 * Returns     0; the first error of the body; FILCH_ECANCELED; FILCH_EINVAL; what filch_run returns if it cannot
 *             start.
 * Threads: any. Progress: blocking. Ordering: what the bodies did happens before the return. Since: 0.1. */
FILCH_API int filch_parallel_for(filch_executor *executor, int64_t begin, int64_t end,
                                 int64_t grain, filch_range_body *body, void *context);

/* The value of begin <= i < end.
 *
 * executor, begin, end, grain  as in filch_parallel_for
 * reduction   not NULL, with all but context set
 * result      receives size bytes on success only; not NULL
 * Returns     as filch_parallel_for. Where there is no memory for a value of a part it is not split further.
 * Threads: any. Progress: blocking. Since: 0.1. */
FILCH_API int filch_parallel_reduce(filch_executor *executor, int64_t begin, int64_t end,
                                    int64_t grain, const filch_reduction *reduction, void *result);

/* Goes over begin <= i < end, each part with the value of all indices before it, as prefix sums do. With one worker the
 * range is one part and is gone over once; with more, twice.
 *
 * executor, begin, end, grain  as in filch_parallel_for
 * scan        not NULL, with all but the context of its reduction set
 * result      receives the value of the whole range, size bytes, on success only; may be NULL
 * Returns     as filch_parallel_for; FILCH_ENOMEM, and nothing has run.
 * Threads: any. Progress: blocking. Since: 0.1.
 * Source: Blelloch, "Prefix sums and their applications", 1990. */
FILCH_API int filch_parallel_scan(filch_executor *executor, int64_t begin, int64_t end,
                                  int64_t grain, const filch_scan *scan, void *result);

FILCH_END_DECLS

#endif
