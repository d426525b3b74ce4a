/* filch/sort.h: arrays sorted in parallel.
 *
 *     static int by_age(const void *a, const void *b, void *context) {
 *         const struct person *x = a, *y = b;
 *         (void)context;
 *         return (x->age > y->age) - (x->age < y->age);
 *     }
 *     ...
 *     if (filch_parallel_sort(NULL, people, n, sizeof people[0], by_age, NULL) != 0)
 *         return puts(filch_last_error());
 *
 * Each call blocks until the array is sorted. A task of the executor takes part; of another thread the call is
 * run as one task, while the thread waits. Arrays of numbers are sorted faster by the calls for their type.
 *
 * Threads: any number of calls at the same time, on arrays that do not overlap. Nobody else reads or writes the
 * array meanwhile.
 *
 * Cancellation: where the task that takes part is asked to end (filch_future_request_cancel), the calls end early
 * with FILCH_ECANCELED; the array is then in some order, with each element there once.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_SORT_H
#define FILCH_SORT_H

#include <filch/task.h>
#include <stddef.h>
#include <stdint.h>

/* Says how two elements stand: less than 0 if a comes before b, 0 if they are equal, more than 0 if a comes after
 * b. Called by several workers at the same time, with elements of the array or copies of them, which are aligned
 * as those of the array are. Must neither change them, nor call fork(), nor leave by longjmp or an exception.
 * Where it contradicts itself, the array ends up in some order, with each element there once. */
typedef int filch_compare(const void *a, const void *b, void *context);

FILCH_BEGIN_DECLS

/* Sorts an array by comparison; equal elements stay in their order (merge sort).
 *
 * executor where; NULL is filch_default_executor()
 * array    n elements of size bytes; NULL only if n is 0
 * n        elements, 0 or more
 * size     bytes of an element, 1 or more
 * compare  not NULL
 * context  passed to compare
 * Returns  0; FILCH_EINVAL (an argument is not valid, or n * size overflows); FILCH_ENOMEM (no n * size bytes of
 *          memory could be had; filch_parallel_sort_in_place needs none); what filch_run returns if it cannot run
 *          the task: the array is then as it was. FILCH_ECANCELED: see above.
 * Threads: see above. Progress: blocking; O(n log n) comparisons, n - 1 of an array that is in order, or in
 * reverse order without equal elements. Ordering: every call of compare happens before the return.
 * Since: 0.1. Source: Cormen, Leiserson, Rivest, Stein, Introduction to Algorithms, 3rd edition, 27.3. */
FILCH_API int filch_parallel_sort(filch_executor *executor, void *array, size_t n, size_t size,
                                  filch_compare *compare, void *context);

/* The same without memory beside the array but the workers' stacks; equal elements end up in any order
 * (quicksort).
 *
 * executor where; NULL is filch_default_executor()
 * array    n elements of size bytes; NULL only if n is 0
 * n        elements, 0 or more
 * size     bytes of an element, 1 or more
 * compare  not NULL
 * context  passed to compare
 * Returns  0; FILCH_EINVAL (an argument is not valid, or n * size overflows); what filch_run returns if it cannot
 *          run the task: the array is then as it was. FILCH_ECANCELED: see above.
 * Threads: see above. Progress: blocking; O(n log n) comparisons. Ordering: every call of compare happens before
 * the return. Since: 0.1. Source: Peters, Pattern-defeating Quicksort, arXiv 2106.05123, 2021. */
FILCH_API int filch_parallel_sort_in_place(filch_executor *executor, void *array, size_t n,
                                           size_t size, filch_compare *compare, void *context);

/* Sorts numbers from the lowest to the highest, by their digits (radix sort). Takes memory for a copy of the array,
 * and some more; where there is none, sorts as filch_parallel_sort_in_place does, slower.
 *
 * executor where; NULL is filch_default_executor()
 * array    n numbers; NULL only if n is 0
 * n        numbers, 0 or more
 * Returns  0; FILCH_EINVAL; what filch_run returns if it cannot run the task: the array is then as it was.
 *          FILCH_ECANCELED: see above.
 * Threads: see above. Progress: blocking; O(n) steps. Since: 0.1. */
FILCH_API int filch_parallel_sort_int32(filch_executor *executor, int32_t *array, size_t n);

/* The same for numbers of type uint32_t.
 *
 * Returns  as filch_parallel_sort_int32. Since: 0.1. */
FILCH_API int filch_parallel_sort_uint32(filch_executor *executor, uint32_t *array, size_t n);

/* The same for numbers of type int64_t.
 *
 * Returns  as filch_parallel_sort_int32. Since: 0.1. */
FILCH_API int filch_parallel_sort_int64(filch_executor *executor, int64_t *array, size_t n);

/* The same for numbers of type uint64_t.
 *
 * Returns  as filch_parallel_sort_int32. Since: 0.1. */
FILCH_API int filch_parallel_sort_uint64(filch_executor *executor, uint64_t *array, size_t n);

/* The same for numbers of type float, in this order: minus infinity, the negative ones, -0, +0, the positive ones,
 * infinity, NaNs. NaNs with a sign come after those without, and otherwise they stand in the order of their bits.
 *
 * Returns  as filch_parallel_sort_int32. Since: 0.1. */
FILCH_API int filch_parallel_sort_float(filch_executor *executor, float *array, size_t n);

/* The same for numbers of type double, in the order of filch_parallel_sort_float.
 *
 * Returns  as filch_parallel_sort_int32. Since: 0.1. */
FILCH_API int filch_parallel_sort_double(filch_executor *executor, double *array, size_t n);

FILCH_END_DECLS

#endif
