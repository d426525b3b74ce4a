/* loop/sort.c: the calls of filch/sort.h: checks, one task, and which of the sorts it runs.
 *
 * Flow     a call describes its work in a `job` on its stack and has filch_run run it: in the caller, if that is a
 *          worker of the executor, else in a worker. By comparison: merge.c, quick.c. Numbers: radix64.c,
 *          radix32.c, or quick.c if there is no memory.
 * Memory   the copy of the array that merge.c needs is allocated by the task, and freed by it. */
#include "error.h"
#include "executor_ops.h"
#include "loop/compare.h"
#include "loop/radix.h"
#include "os/memory.h"
#include <filch/fork.h>
#include <filch/sort.h>

struct job {
    void *array;
    size_t n;
    struct order order;
    enum filch__number number;
    bool lacks_memory; /* of the task itself */
};

/* The calling thread's text; the task may have run in another one. */
static int report(const char *call, const struct job *job, int rc) {
    if (job->lacks_memory)
        return filch__error(rc, "%s: no memory for %zu bytes", call, job->n * job->order.size);
    return rc;
}

static int refuse(const char *call, const struct job *job) {
    size_t bytes;
    if (job->order.compare == NULL)
        return filch__error(FILCH_EINVAL, "%s: the comparison is NULL", call);
    if (job->order.size == 0)
        return filch__error(FILCH_EINVAL, "%s: the size of an element is 0", call);
    if (job->array == NULL && job->n != 0)
        return filch__error(FILCH_EINVAL, "%s: the array is NULL", call);
    if (__builtin_mul_overflow(job->n, job->order.size, &bytes) || bytes > PTRDIFF_MAX)
        return filch__error(FILCH_EINVAL, "%s: %zu elements of %zu bytes overflow", call, job->n,
                            job->order.size);
    return 0;
}

static int run(const char *call, filch_executor *e, filch_task_fn *fn, struct job *job) {
    int rc = refuse(call, job);
    if (rc != 0 || job->n <= 1) return rc;
    e = filch__executor_resolve(e);
    if (e == NULL) return FILCH_ENOMEM;
    return report(call, job, filch_run(e, fn, job, NULL));
}

/* By comparison --------------------------------------------------------------------------------------- */

static int run_merge_sort(void *arg, void *result) {
    struct job *job = arg;
    size_t bytes = job->n * job->order.size;
    char *spare = filch__alloc(bytes);
    (void)result;
    job->lacks_memory = spare == NULL;
    if (spare == NULL) return FILCH_ENOMEM;
    filch__offer_huge_pages(spare, bytes);
    int rc = filch__merge_sort(&job->order, job->array, spare, job->n);
    filch__free(spare);
    return rc;
}

static int run_quick_sort(void *arg, void *result) {
    struct job *job = arg;
    (void)result;
    return filch__quick_sort(&job->order, job->array, job->n);
}

int filch_parallel_sort(filch_executor *e, void *array, size_t n, size_t size,
                        filch_compare *compare, void *context) {
    struct job job = {array, n, {compare, context, size}, NUMBER_UNSIGNED, false};
    return run("filch_parallel_sort", e, run_merge_sort, &job);
}

int filch_parallel_sort_in_place(filch_executor *e, void *array, size_t n, size_t size,
                                 filch_compare *compare, void *context) {
    struct job job = {array, n, {compare, context, size}, NUMBER_UNSIGNED, false};
    return run("filch_parallel_sort_in_place", e, run_quick_sort, &job);
}

/* Numbers --------------------------------------------------------------------------------------------- */

static int run_radix_sort(void *arg, void *result) {
    struct job *job = arg;
    bool sorted;
    int rc = job->order.size == 8 ? filch__radix_sort64(job->array, job->n, job->number, &sorted)
                                  : filch__radix_sort32(job->array, job->n, job->number, &sorted);
    return rc != 0 || sorted ? rc : run_quick_sort(arg, result);
}

static int sort_numbers(const char *call, filch_executor *e, void *array, size_t n, size_t size,
                        filch_compare *compare, enum filch__number number) {
    struct job job = {array, n, {compare, NULL, size}, number, false};
    return run(call, e, run_radix_sort, &job);
}

/* Defines the call for a type, and its comparison, of numbers that `to_key` maps to integers in the same order. */
#define SORT_NUMBERS(name, type, number, key, to_key)                                              \
    static int compare_##name(const void *a, const void *b, void *context) {                       \
        key x = to_key(*(const key *)a), y = to_key(*(const key *)b);                              \
        (void)context;                                                                             \
        return (x > y) - (x < y);                                                                  \
    }                                                                                              \
    int filch_parallel_sort_##name(filch_executor *e, type *array, size_t n) {                     \
        return sort_numbers("filch_parallel_sort_" #name, e, array, n, sizeof *array,              \
                            compare_##name, number);                                               \
    }

#define AS_IT_IS(x) (x)
#define FLOAT_KEY(x) filch__encode32(x, NUMBER_FLOATING)
#define DOUBLE_KEY(x) filch__encode64(x, NUMBER_FLOATING)

SORT_NUMBERS(int32, int32_t, NUMBER_SIGNED, int32_t, AS_IT_IS)
SORT_NUMBERS(uint32, uint32_t, NUMBER_UNSIGNED, uint32_t, AS_IT_IS)
SORT_NUMBERS(int64, int64_t, NUMBER_SIGNED, int64_t, AS_IT_IS)
SORT_NUMBERS(uint64, uint64_t, NUMBER_UNSIGNED, uint64_t, AS_IT_IS)
SORT_NUMBERS(float, float, NUMBER_FLOATING, uint32_t, FLOAT_KEY)
SORT_NUMBERS(double, double, NUMBER_FLOATING, uint64_t, DOUBLE_KEY)
