/* sort_test.c: arrays sorted in parallel: by comparison, stable and in place, and by type.
 *
 * Every result is compared with that of qsort on the same elements, or of a plain merge where the order of equal
 * ones counts, and the bytes before and behind the array are looked at.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>

TestSuite(sort, .timeout = 60);

/* Patterns -------------------------------------------------------------------------------------------- */

static uint64_t random_state = 88172645463325252u;
static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 2685821657736338717u;
}

enum pattern {
    RANDOM,
    SORTED,
    REVERSED,
    EQUAL,
    FEW,
    SAW,
    LONG_SAW,
    PIPE,
    NEARLY,
    BACK_LAST,
    UNEVEN,
    CLUSTERS,
    LOW_BITS,
    PATTERNS
};

static uint64_t value_of(enum pattern pattern, size_t i, size_t n) {
    switch (pattern) {
    case RANDOM: return next_random();
    case SORTED: return i * 3;
    case REVERSED: return (n - i) * 3;
    case EQUAL: return 42;
    case FEW: return (next_random() % 5) * 0x123456789abcdefu;
    case SAW: return i % 100;
    case LONG_SAW: return i % (n / 4 + 1) * 0x10000001u;
    case PIPE: return i < n / 2 ? i : n - i;
    case NEARLY: return next_random() % 64 == 0 ? next_random() % (n + 1) : i;
    case BACK_LAST: return i == n - 1 ? 0 : i + 1;
    case UNEVEN: return next_random() >> next_random() % 64;
    /* Ranges with hardly any width, far from each other; one in a thousand is somewhere else. */
    case CLUSTERS:
        return next_random() % 1000 == 0 ? next_random()
                                         : ((next_random() % 3) << 61) + next_random() % 1000;
    /* The upper digits hardly differ, the lower ones do. */
    case LOW_BITS: return ((next_random() % 4) << 58) | (next_random() & 0xffff);
    case PATTERNS: break;
    }
    abort();
}

/* n values between two fences, on a heap of their own. */
enum { FENCE = 64 };
static void *fenced(size_t n, size_t size) {
    char *block = malloc(n * size + (size_t)(2 * FENCE));
    memset(block, 0x5a, n * size + (size_t)(2 * FENCE));
    return block + FENCE;
}
static bool fences_stand(const void *array, size_t n, size_t size) {
    const char *before = (const char *)array - FENCE, *behind = (const char *)array + n * size;
    for (int i = 0; i < FENCE; i++)
        if (before[i] != 0x5a || behind[i] != 0x5a) return false;
    return true;
}
static void free_fenced(void *array) {
    free((char *)array - FENCE);
}

/* Types ----------------------------------------------------------------------------------------------- */

static int numbers(const void *a, const void *b, void *context) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    if (context != NULL) add(context, 1);
    return (x > y) - (x < y);
}

/* The order of floating numbers as the page has it, written without bits where it can be. */
#define COMPARE_FLOATING(name, type, bits)                                                         \
    static int name(const void *a, const void *b) {                                                \
        type x = *(const type *)a, y = *(const type *)b;                                           \
        bits p, q;                                                                                 \
        memcpy(&p, a, sizeof p);                                                                   \
        memcpy(&q, b, sizeof q);                                                                   \
        if (isnan(x) != isnan(y)) return isnan(x) ? 1 : -1;                                        \
        if (isnan(x) && !signbit(x) != !signbit(y)) return signbit(x) ? 1 : -1;                    \
        if (isnan(x)) return signbit(x) ? (p < q) - (p > q) : (p > q) - (p < q);                   \
        if (x < y || x > y) return x < y ? -1 : 1;                                                 \
        return (signbit(x) ? 0 : 1) - (signbit(y) ? 0 : 1);                                        \
    }
#define COMPARE_INTEGERS(name, type)                                                               \
    static int name(const void *a, const void *b) {                                                \
        type x = *(const type *)a, y = *(const type *)b;                                           \
        return (x > y) - (x < y);                                                                  \
    }
COMPARE_INTEGERS(compare_int32, int32_t)
COMPARE_INTEGERS(compare_uint32, uint32_t)
COMPARE_INTEGERS(compare_int64, int64_t)
COMPARE_INTEGERS(compare_uint64, uint64_t)
COMPARE_FLOATING(compare_float, float, uint32_t)
COMPARE_FLOATING(compare_double, double, uint64_t)

enum type { INT32, UINT32, INT64, UINT64, FLOAT, DOUBLE, TYPES };
static const struct {
    const char *name;
    size_t size;
    int (*compare)(const void *, const void *);
} types[TYPES] = {
    {"int32", 4, compare_int32},   {"uint32", 4, compare_uint32}, {"int64", 8, compare_int64},
    {"uint64", 8, compare_uint64}, {"float", 4, compare_float},   {"double", 8, compare_double},
};

static int sort_as(enum type type, filch_executor *e, void *array, size_t n) {
    switch (type) {
    case INT32: return filch_parallel_sort_int32(e, array, n);
    case UINT32: return filch_parallel_sort_uint32(e, array, n);
    case INT64: return filch_parallel_sort_int64(e, array, n);
    case UINT64: return filch_parallel_sort_uint64(e, array, n);
    case FLOAT: return filch_parallel_sort_float(e, array, n);
    case DOUBLE: return filch_parallel_sort_double(e, array, n);
    case TYPES: break;
    }
    abort();
}

static const uint64_t extremes64[] = {
    0,
    1,
    UINT64_MAX,
    UINT64_MAX - 1,
    (uint64_t)INT64_MAX,
    (uint64_t)INT64_MIN,
    (uint64_t)INT64_MIN + 1,
    0x7ff0000000000000u, /* infinity, and NaNs above it */
    0x7ff0000000000001u,
    0x7ff8000000000000u,
    0x7fffffffffffffffu,
    0xfff0000000000000u, /* the same below 0 */
    0xfff0000000000001u,
    0xfff8000000000000u,
    0x7fefffffffffffffu, /* the largest finite */
    0xffefffffffffffffu,
    0x0010000000000000u, /* the smallest normal, and those below it */
    0x8010000000000000u,
    0x000fffffffffffffu,
    0x800fffffffffffffu,
};
static const uint32_t extremes32[] = {
    0,           1,           UINT32_MAX,  UINT32_MAX - 1, (uint32_t)INT32_MAX,
    0x80000000u, 0x80000001u, 0x7f800000u, 0x7f800001u,    0x7fc00000u,
    0x7fffffffu, 0xff800000u, 0xff800001u, 0xffc00000u,    0x7f7fffffu,
    0xff7fffffu, 0x00800000u, 0x80800000u, 0x007fffffu,    0x807fffffu,
};

/* One in `sparse` is an extreme value; 0: none is. */
static void fill(void *array, enum type type, enum pattern pattern, size_t n, size_t sparse) {
    for (size_t i = 0; i < n; i++) {
        uint64_t x = value_of(pattern, i, n);
        /* Of numbers without use of the upper half, that half would be all that is left. */
        uint32_t y = pattern == RANDOM || pattern == UNEVEN ? (uint32_t)(x >> 32) : (uint32_t)x;
        float f = (float)(int64_t)x;
        double d = (double)(int64_t)x;
        if (type == FLOAT) memcpy(&y, &f, sizeof y);
        if (type == DOUBLE) memcpy(&x, &d, sizeof x);
        if (sparse != 0 && next_random() % sparse == 0) {
            x = extremes64[next_random() % (sizeof extremes64 / sizeof *extremes64)];
            y = extremes32[next_random() % (sizeof extremes32 / sizeof *extremes32)];
        }
        memcpy((char *)array + i * types[type].size, types[type].size == 4 ? (void *)&y : &x,
               types[type].size);
    }
}

/* Is what the call makes of the array the same as what qsort does? All bits count. */
static bool sorts(filch_executor *e, enum type type, enum pattern pattern, size_t n,
                  size_t sparse) {
    size_t size = types[type].size;
    void *array = fenced(n, size), *expected = malloc(n * size + 1);
    fill(array, type, pattern, n, sparse);
    memcpy(expected, array, n * size);
    qsort(expected, n, size, types[type].compare);
    int rc = sort_as(type, e, array, n);
    bool right = rc == 0 && memcmp(array, expected, n * size) == 0 && fences_stand(array, n, size);
    free(expected);
    free_fenced(array);
    return right;
}

/* Around every threshold: insertion, one leaf, one part, several. */
static const size_t sizes[] = {0,    1,    2,    3,     4,     5,     7,     8,     9,
                               15,   16,   17,   23,    24,    25,    26,    63,    64,
                               65,   100,  127,  128,   129,   255,   256,   257,   1000,
                               4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537};
enum { SIZES = sizeof sizes / sizeof *sizes };

Test(sort, numbers_of_every_type_size_and_pattern) {
    filch_executor *e = executor_of(2);
    for (enum type type = 0; type < TYPES; type++)
        for (enum pattern pattern = 0; pattern < PATTERNS; pattern++)
            for (size_t i = 0; i < SIZES; i++)
                if (sizes[i] <= 4097)
                    cr_assert(sorts(e, type, pattern, sizes[i], 0), "%s, pattern %d, %zu",
                              types[type].name, (int)pattern, sizes[i]);
    ok(filch_executor_destroy(e));
}

Test(sort, numbers_beyond_one_leaf) {
    filch_executor *e = executor_of(2);
    for (enum type type = 0; type < TYPES; type++)
        for (size_t i = 0; i < SIZES; i++)
            if (sizes[i] > 4097) {
                enum pattern pattern = (enum pattern)((i + type) % PATTERNS);
                cr_assert(sorts(e, type, RANDOM, sizes[i], 0), "%s, %zu", types[type].name,
                          sizes[i]);
                cr_assert(sorts(e, type, pattern, sizes[i], 0), "%s, pattern %d, %zu",
                          types[type].name, (int)pattern, sizes[i]);
            }
    ok(filch_executor_destroy(e));
}

Test(sort, every_pattern_in_several_parts) {
    filch_executor *e = executor_of(3);
    for (enum pattern pattern = 0; pattern < PATTERNS; pattern++) {
        cr_assert(sorts(e, UINT64, pattern, 300007, 0), "pattern %d", (int)pattern);
        cr_assert(sorts(e, INT32, pattern, 200003, 0), "int32, pattern %d", (int)pattern);
    }
    ok(filch_executor_destroy(e));
}

Test(sort, extreme_values_of_every_type) {
    filch_executor *e = executor_of(2);
    for (enum type type = 0; type < TYPES; type++)
        for (size_t sparse = 1; sparse <= 100; sparse *= 10) {
            for (size_t n = 2; n < 400; n += 7)
                cr_assert(sorts(e, type, RANDOM, n, sparse), "%s, %zu", types[type].name, n);
            cr_assert(sorts(e, type, RANDOM, 70000, sparse), "%s", types[type].name);
        }
    ok(filch_executor_destroy(e));
}

Test(sort, floating_numbers_stand_as_documented) {
    double values[] = {0.0, NAN, -0.0, 1.0, -INFINITY, -NAN, DBL_MIN / 2, INFINITY, -1.0};
    ok(filch_parallel_sort_double(NULL, values, 9));
    cr_assert(values[0] == -INFINITY && values[1] == -1.0);
    cr_assert(values[2] == 0 && signbit(values[2]) && values[3] == 0 && !signbit(values[3]));
    cr_assert(values[4] == DBL_MIN / 2 && values[5] == 1.0 && values[6] == INFINITY);
    cr_assert(isnan(values[7]) && !signbit(values[7]) && isnan(values[8]) && signbit(values[8]));
}

Test(sort, a_million_numbers_with_any_number_of_workers) {
    static const int workers[] = {1, 2, 3, 7, 64};
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
        filch_executor *e = executor_of(workers[i]);
        cr_assert(sorts(e, UINT64, RANDOM, 1000003, 0), "%d workers", workers[i]);
        cr_assert(sorts(e, FLOAT, RANDOM, 500009, 0), "%d workers", workers[i]);
        ok(filch_executor_destroy(e));
    }
}

Test(sort, numbers_without_memory) {
    filch_executor *e = executor_of(2);
    cr_assert(sorts(e, UINT64, RANDOM, 50000, 0));
    for (enum type type = 0; type < TYPES; type++) {
        void *array = fenced(50000, 8);
        fill(array, type, RANDOM, 50000, 10);
        filch__fault_plan(FAULT_ALLOC, 0, true);
        int rc = sort_as(type, e, array, 50000);
        cr_assert_gt(filch__fault_clear(), 0);
        cr_assert_eq(rc, 0, "%s", types[type].name);
        for (size_t i = 1; i < 50000; i++) {
            const char *at = (const char *)array + i * types[type].size;
            cr_assert_leq(types[type].compare(at - types[type].size, at), 0);
        }
        free_fenced(array);
    }
    ok(filch_executor_destroy(e));
}

/* Each later allocation fails in turn: of what is needed for the parts of a level, at any depth. Where the task
 * itself cannot be run, nothing has happened. */
Test(sort, numbers_with_some_memory) {
    enum { N = 200000 };
    static uint64_t array[N], before[N], expected[N];
    int sorted = 0;
    for (long after = 0; after < 30; after++) {
        filch_executor *e = executor_of(2);
        fill(before, UINT64, CLUSTERS, N, 0);
        memcpy(array, before, sizeof array);
        memcpy(expected, before, sizeof array);
        qsort(expected, N, sizeof *expected, compare_uint64);
        filch__fault_plan(FAULT_ALLOC, after, true);
        int rc = filch_parallel_sort_uint64(e, array, N);
        filch__fault_clear();
        sorted += rc == 0;
        cr_assert(rc == 0 || rc == FILCH_ENOMEM || rc == FILCH_EAGAIN);
        cr_assert_eq(memcmp(array, rc == 0 ? expected : before, sizeof array), 0, "after %ld",
                     after);
        ok(filch_executor_destroy(e));
    }
    cr_assert_gt(sorted, 0);
}

/* By comparison --------------------------------------------------------------------------------------- */

typedef int sort_call(filch_executor *, void *, size_t, size_t, filch_compare *, void *);

/* Elements of any size: a key in two bytes, then a serial number in four, as far as they fit, then bytes that
 * follow from both. */
struct shape {
    size_t size;
};
static size_t key_of(const char *x, size_t size) {
    uint16_t key = 0;
    memcpy(&key, x, size < 2 ? size : 2);
    return key;
}
static void make_element(char *x, size_t size, uint16_t key, uint32_t serial) {
    char whole[6];
    memcpy(whole, &key, 2);
    memcpy(whole + 2, &serial, 4);
    for (size_t i = 0; i < size; i++) x[i] = i < 6 ? whole[i] : (char)(key + serial * 7 + i);
}
static int by_key(const void *a, const void *b, void *context) {
    size_t size = ((const struct shape *)context)->size;
    return (int)key_of(a, size) - (int)key_of(b, size);
}

/* Counts elements by key, which gives their order in a stable sort. */
static char *sort_by_counting(const char *array, size_t n, size_t size) {
    static size_t next[65537];
    char *sorted = malloc(n * size + 1);
    memset(next, 0, sizeof next);
    for (size_t i = 0; i < n; i++) next[key_of(array + i * size, size) + 1]++;
    for (size_t k = 0; k < 65536; k++) next[k + 1] += next[k];
    for (size_t i = 0; i < n; i++)
        memcpy(sorted + size * next[key_of(array + i * size, size)]++, array + i * size, size);
    return sorted;
}

static int by_all_bytes(const void *a, const void *b, void *context) {
    return memcmp(a, b, ((const struct shape *)context)->size);
}
static size_t bytes_for_qsort;
static int by_bytes_for_qsort(const void *a, const void *b) {
    return memcmp(a, b, bytes_for_qsort);
}

/* Puts equal keys in the order of their bytes, so that two arrays can be compared whose order differs there. */
static void settle_equals(char *array, size_t n, size_t size) {
    bytes_for_qsort = size;
    for (size_t begin = 0, end; begin < n; begin = end) {
        for (end = begin + 1;
             end < n && key_of(array + end * size, size) == key_of(array + begin * size, size);)
            end++;
        qsort(array + begin * size, end - begin, size, by_bytes_for_qsort);
    }
}

static bool sorts_elements(filch_executor *e, sort_call *sort, bool stable, enum pattern pattern,
                           size_t n, size_t size) {
    struct shape shape = {size};
    char *array = fenced(n, size);
    for (size_t i = 0; i < n; i++)
        make_element(array + i * size, size, (uint16_t)value_of(pattern, i, n), (uint32_t)i);
    char *expected = sort_by_counting(array, n, size);
    int rc = sort(e, array, n, size, by_key, &shape);
    if (!stable) {
        settle_equals(array, n, size);
        settle_equals(expected, n, size);
    }
    bool right = rc == 0 && memcmp(array, expected, n * size) == 0 && fences_stand(array, n, size);
    free(expected);
    free_fenced(array);
    return right;
}

static const size_t element_sizes[] = {1, 2, 3, 4, 7, 8, 12, 16, 24, 32, 40, 65, 200};
enum { ELEMENT_SIZES = sizeof element_sizes / sizeof *element_sizes };

static void sort_elements_of_every_size(sort_call *sort, bool stable) {
    filch_executor *e = executor_of(2);
    for (size_t k = 0; k < ELEMENT_SIZES; k++)
        for (enum pattern pattern = 0; pattern < PATTERNS; pattern++)
            for (size_t n = 0; n < 5000; n = n < 40 ? n + 1 : n * 3)
                cr_assert(sorts_elements(e, sort, stable, pattern, n, element_sizes[k]),
                          "pattern %d, %zu of %zu bytes", (int)pattern, n, element_sizes[k]);
    ok(filch_executor_destroy(e));
}
Test(sort, elements_of_every_size_keep_the_order_of_equals) {
    sort_elements_of_every_size(filch_parallel_sort, true);
}
Test(sort, elements_of_every_size_in_place) {
    sort_elements_of_every_size(filch_parallel_sort_in_place, false);
}

static void sort_beyond_one_task(sort_call *sort, bool stable) {
    static const int workers[] = {1, 2, 3, 7, 64};
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
        filch_executor *e = executor_of(workers[i]);
        for (enum pattern pattern = (enum pattern)(i % 3); pattern < PATTERNS; pattern += 3)
            cr_assert(sorts_elements(e, sort, stable, pattern, 70001, i % 2 == 0 ? 8 : 12),
                      "%d workers, pattern %d", workers[i], (int)pattern);
        ok(filch_executor_destroy(e));
    }
}
Test(sort, many_elements_keep_the_order_of_equals) {
    sort_beyond_one_task(filch_parallel_sort, true);
}
Test(sort, many_elements_in_place) {
    sort_beyond_one_task(filch_parallel_sort_in_place, false);
}

static void sort_around_thresholds(sort_call *sort, bool stable) {
    filch_executor *e = executor_of(2);
    for (size_t i = 0; i < SIZES; i++) {
        cr_assert(sorts_elements(e, sort, stable, RANDOM, sizes[i], 8), "%zu", sizes[i]);
        cr_assert(sorts_elements(e, sort, stable, SAW, sizes[i], 6), "saw, %zu", sizes[i]);
    }
    ok(filch_executor_destroy(e));
}
Test(sort, around_thresholds) {
    sort_around_thresholds(filch_parallel_sort, true);
}
Test(sort, around_thresholds_in_place) {
    sort_around_thresholds(filch_parallel_sort_in_place, false);
}

static void sort_a_million(sort_call *sort) {
    enum { N = 1000000 };
    filch_executor *e = executor_of(2);
    struct shape shape = {8};
    uint64_t *array = malloc(N * sizeof *array), *expected = malloc(N * sizeof *array);
    for (size_t i = 0; i < N; i++) array[i] = expected[i] = next_random();
    ok(sort(e, array, N, sizeof *array, by_all_bytes, &shape));
    bytes_for_qsort = 8;
    qsort(expected, N, sizeof *expected, by_bytes_for_qsort);
    cr_assert_eq(memcmp(array, expected, N * sizeof *array), 0);
    free(array);
    free(expected);
    ok(filch_executor_destroy(e));
}
Test(sort, a_million_elements) {
    sort_a_million(filch_parallel_sort);
}
Test(sort, a_million_elements_in_place) {
    sort_a_million(filch_parallel_sort_in_place);
}

/* How often it compares ------------------------------------------------------------------------------- */

static bool is_in_order(const uint64_t *array, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (array[i - 1] > array[i]) return false;
    return true;
}

static int comparisons_of(sort_call *sort, const uint64_t *values, size_t n) {
    int count = 0;
    uint64_t *array = malloc(n * sizeof *array);
    memcpy(array, values, n * sizeof *array);
    filch_executor *e = executor_of(2);
    ok(sort(e, array, n, sizeof *array, numbers, &count));
    cr_assert(is_in_order(array, n));
    ok(filch_executor_destroy(e));
    free(array);
    return count;
}

Test(sort, what_is_in_order_is_looked_at_once) {
    enum { N = 100000 };
    static uint64_t values[N];
    for (size_t i = 0; i < N; i++) values[i] = i / 3;
    cr_assert_eq(comparisons_of(filch_parallel_sort, values, N), N - 1);
    cr_assert_eq(comparisons_of(filch_parallel_sort_in_place, values, N), N - 1);
    for (size_t i = 0; i < N; i++) values[i] = N - i;
    cr_assert_eq(comparisons_of(filch_parallel_sort, values, N), N - 1);
    cr_assert_eq(comparisons_of(filch_parallel_sort_in_place, values, N), N - 1);
}

Test(sort, in_place_few_values_take_few_comparisons) {
    enum { N = 100000 };
    static uint64_t values[N];
    for (size_t i = 0; i < N; i++) values[i] = next_random() % 4;
    cr_assert_lt(comparisons_of(filch_parallel_sort_in_place, values, N), 8 * N);
}

/* In order but for one step, which is where the tasks that look at it could overlook it. */
Test(sort, one_step_is_out_of_order) {
    enum { N = 70001, SIXTEENTH = N / 16 };
    static uint64_t rising[N], falling[N], array[N];
    filch_executor *e = executor_of(2);
    for (size_t at = SIXTEENTH - 2; at < N - 2; at += at % SIXTEENTH == 3 ? SIXTEENTH - 5 : 1) {
        for (size_t i = 0; i < N; i++) rising[i] = (i + (i > at ? 1 : 2)) << 32;
        rising[at + 1] = rising[at] - 1;
        for (size_t i = 0; i < N; i++) falling[i] = rising[N - 1 - i];
        for (int falls = 0; falls < 2; falls++) {
            const uint64_t *from = falls ? falling : rising;
            memcpy(array, from, sizeof array);
            ok(filch_parallel_sort(e, array, N, sizeof *array, numbers, NULL));
            cr_assert(is_in_order(array, N), "merge, %zu", at);
            memcpy(array, from, sizeof array);
            ok(filch_parallel_sort_in_place(e, array, N, sizeof *array, numbers, NULL));
            cr_assert(is_in_order(array, N), "in place, %zu", at);
            memcpy(array, from, sizeof array);
            ok(filch_parallel_sort_uint64(e, array, N));
            cr_assert(is_in_order(array, N), "uint64, %zu", at);
        }
    }
    ok(filch_executor_destroy(e));
}

/* An adversary decides the order while it is asked, so that each pivot turns out to be a bad one (McIlroy, A
 * Killer Adversary for Quicksort, 1999). One worker, since it has a memory. */
struct adversary {
    uint32_t *rank; /* by element; `undecided` until it must be known */
    uint32_t undecided, decided, candidate;
    long comparisons;
    int sign; /* -1: its order is the reverse one */
};
static int ask_adversary(const void *a, const void *b, void *context) {
    struct adversary *who = context;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    who->comparisons++;
    if (who->rank[x] == who->undecided && who->rank[y] == who->undecided)
        who->rank[x == who->candidate ? x : y] = who->decided++;
    if (who->rank[x] == who->undecided)
        who->candidate = x;
    else if (who->rank[y] == who->undecided)
        who->candidate = y;
    return who->sign * ((who->rank[x] > who->rank[y]) - (who->rank[x] < who->rank[y]));
}
static void sort_against_adversary(int sign) {
    enum { N = 20000 };
    static uint32_t array[N], rank[N];
    struct adversary who = {rank, N, 3, 0, 0, sign};
    for (uint32_t i = 0; i < N; i++) array[i] = i, rank[i] = N;
    rank[0] = 1, rank[1] = 0, rank[2] = 2; /* else it is found to be in order */
    filch_executor *e = executor_of(1);
    ok(filch_parallel_sort_in_place(e, array, N, sizeof *array, ask_adversary, &who));
    for (size_t i = 1; i < N; i++)
        cr_assert(sign > 0 ? rank[array[i - 1]] <= rank[array[i]]
                           : rank[array[i - 1]] >= rank[array[i]]);
    /* N log2 N is 286 000; it takes 440 000, and 2 400 000 with patience that does not end. */
    cr_assert_lt(who.comparisons, 1000000);
    ok(filch_executor_destroy(e));
}

/* Of each range the part above the pivot is the longer one, or the part below. */
Test(sort, in_place_against_an_adversary) {
    sort_against_adversary(1);
}
Test(sort, in_place_against_an_adversary_of_the_reverse_order) {
    sort_against_adversary(-1);
}

/* Comparisons that contradict themselves -------------------------------------------------------------- */

static int any_answer(const void *a, const void *b, void *context) {
    static __thread uint64_t state = 1;
    (void)a;
    (void)b;
    (void)context;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int)(state >> 62) - 1;
}
static int always_less(const void *a, const void *b, void *context) {
    (void)a;
    (void)b;
    (void)context;
    return -1;
}
static int always_greater(const void *a, const void *b, void *context) {
    (void)a;
    (void)b;
    (void)context;
    return 1;
}
/* Right but for one in sixteen. */
static int mostly_right(const void *a, const void *b, void *context) {
    return any_answer(a, b, context) < 2 && (*(const uint32_t *)a ^ *(const uint32_t *)b) % 16 == 0
               ? any_answer(a, b, context)
               : numbers(a, b, NULL);
}

/* Is each of 0 to n - 1 there once? */
static bool is_complete(const uint64_t *array, size_t n) {
    struct ledger seen;
    ledger_init(&seen, n);
    for (size_t i = 0; i < n; i++) ledger_note(&seen, array[i]);
    bool complete = ledger_wrong(&seen) == 0;
    ledger_fini(&seen);
    return complete;
}

Test(sort, contradictions_lose_nothing) {
    static const size_t counts[] = {2, 3, 16, 17, 100, 4097, 70001, 200003};
    filch_compare *compares[] = {any_answer, always_less, always_greater, mostly_right};
    sort_call *calls[] = {filch_parallel_sort, filch_parallel_sort_in_place};
    filch_executor *e = executor_of(3);
    for (size_t c = 0; c < 8; c++)
        for (size_t k = 0; k < 4; k++)
            for (size_t s = 0; s < 2; s++) {
                uint64_t *array = fenced(counts[c], sizeof *array);
                for (size_t i = 0; i < counts[c]; i++) array[i] = i * 48271 % counts[c];
                bool complete_before = is_complete(array, counts[c]);
                ok(calls[s](e, array, counts[c], sizeof *array, compares[k], NULL));
                cr_assert(complete_before && is_complete(array, counts[c]), "%zu, %zu, %zu",
                          counts[c], k, s);
                cr_assert(fences_stand(array, counts[c], sizeof *array));
                free_fenced(array);
            }
    ok(filch_executor_destroy(e));
}

/* The calls ------------------------------------------------------------------------------------------- */

Test(sort, arguments_are_checked) {
    uint64_t x[2] = {2, 1};
    sort_call *calls[] = {filch_parallel_sort, filch_parallel_sort_in_place};
    for (size_t s = 0; s < 2; s++) {
        fails(FILCH_EINVAL, calls[s](NULL, NULL, 1, 8, numbers, NULL));
        fails(FILCH_EINVAL, calls[s](NULL, x, 2, 0, numbers, NULL));
        fails(FILCH_EINVAL, calls[s](NULL, x, 2, 8, NULL, NULL));
        fails(FILCH_EINVAL, calls[s](NULL, x, SIZE_MAX / 4, 8, numbers, NULL));
        cr_assert_not_null(strstr(filch_last_error(), "overflow"));
        ok(calls[s](NULL, x, 1, 8, numbers, NULL));
        fails(FILCH_EINVAL, calls[s](NULL, x, SIZE_MAX / 8, 8, numbers, NULL));
        ok(calls[s](NULL, NULL, 0, 8, numbers, NULL));
        ok(calls[s](NULL, x, 1, 8, numbers, NULL));
    }
    cr_assert(x[0] == 2 && x[1] == 1);
    for (enum type type = 0; type < TYPES; type++) {
        fails(FILCH_EINVAL, sort_as(type, NULL, NULL, 1));
        fails(FILCH_EINVAL, sort_as(type, NULL, x, SIZE_MAX / 2));
        cr_assert_not_null(strstr(filch_last_error(), "overflow"));
        ok(sort_as(type, NULL, NULL, 0));
        ok(sort_as(type, NULL, x, 1));
    }
}

Test(sort, without_memory_the_stable_one_refuses) {
    enum { N = 1000 };
    static uint64_t array[N];
    filch_executor *e = executor_of(2);
    for (size_t i = 0; i < N; i++) array[i] = i * 48271 % 997;
    ok(filch_parallel_sort_in_place(e, array, 2, 8, numbers, NULL)); /* its workers have started */
    ok(finish(submit_to(e, do_nothing, NULL, 0, 0)));
    uint64_t first = array[0], second = array[1];
    filch__fault_plan(FAULT_ALLOC, 0, true);
    int rc = filch_parallel_sort(e, array, N, sizeof *array, numbers, NULL);
    cr_assert_gt(filch__fault_clear(), 0);
    cr_assert_eq(rc, FILCH_ENOMEM);
    cr_assert_str_eq(filch_last_error(), "filch_parallel_sort: no memory for 8000 bytes");
    cr_assert(array[0] == first && array[1] == second);
    for (size_t i = 2; i < N; i++) cr_assert_eq(array[i], i * 48271 % 997);
    ok(filch_parallel_sort(e, array, N, sizeof *array, numbers, NULL));
    ok(filch_executor_destroy(e));
}

Test(sort, an_executor_that_was_shut_down_refuses) {
    uint64_t x[3] = {3, 2, 1};
    filch_executor *e = executor_of(2);
    ok(filch_executor_shutdown(e, FILCH_WAIT));
    fails(FILCH_ESHUTDOWN, filch_parallel_sort(e, x, 3, 8, numbers, NULL));
    fails(FILCH_ESHUTDOWN, filch_parallel_sort_in_place(e, x, 3, 8, numbers, NULL));
    fails(FILCH_ESHUTDOWN, filch_parallel_sort_uint64(e, x, 3));
    cr_assert(x[0] == 3 && x[1] == 2 && x[2] == 1);
    ok(filch_executor_destroy(e));
}

struct work {
    filch_executor *executor;
    uint64_t *array;
    size_t n;
};
static int sort_inside(void *arg, void *result) {
    struct work *w = arg;
    (void)result;
    return filch_parallel_sort_uint64(w->executor, w->array, w->n);
}

Test(sort, inside_tasks_of_this_executor_and_another) {
    enum { N = 100000, TASKS = 8 };
    static uint64_t arrays[TASKS][N];
    filch_executor *e = executor_of(2), *other = executor_of(2);
    filch_future *futures[TASKS];
    for (int t = 0; t < TASKS; t++) {
        for (size_t i = 0; i < N; i++) arrays[t][i] = next_random();
        struct work w = {t % 2 == 0 ? e : other, arrays[t], N};
        futures[t] = submit_to(e, sort_inside, &w, sizeof w, 0);
    }
    for (int t = 0; t < TASKS; t++) {
        ok(finish(futures[t]));
        cr_assert(is_in_order(arrays[t], N));
    }
    ok(filch_executor_destroy(e));
    ok(filch_executor_destroy(other));
}

/* A task that is asked to end while it sorts, or before. */
enum { MANY = 200000 };
struct ending {
    filch_executor *executor;
    filch_future *future; /* its own */
    uint32_t known;       /* that one */
    int call;             /* 0, 1: by comparison; 2: numbers */
    int after;            /* comparisons before it is asked */
    int count;
    uint64_t array[MANY];
};
static int numbers_until_cancelled(const void *a, const void *b, void *context) {
    struct ending *ending = context;
    if (add(&ending->count, 1) == ending->after) filch_future_request_cancel(ending->future);
    return numbers(a, b, NULL);
}
static int sort_and_end(void *arg, void *result) {
    struct ending *ending = *(struct ending **)arg;
    void *array = ending->array;
    filch_executor *e = ending->executor;
    (void)result;
    flag_wait(&ending->known);
    if (ending->after == 0) filch_future_request_cancel(ending->future);
    if (ending->call == 0)
        return filch_parallel_sort(e, array, MANY, 8, numbers_until_cancelled, ending);
    if (ending->call == 1)
        return filch_parallel_sort_in_place(e, array, MANY, 8, numbers_until_cancelled, ending);
    return filch_parallel_sort_uint64(e, array, MANY);
}
Test(sort, what_was_asked_to_end_loses_nothing) {
    static const int afters[] = {0, 1, 100, 10000, 100000, 300000, 1000000, 2000000, 3000000};
    static struct ending ending;
    filch_executor *e = executor_of(3);
    for (int call = 0; call < 3; call++)
        for (size_t k = 0; k < (call == 2 ? 1 : sizeof afters / sizeof *afters); k++) {
            ending.executor = e, ending.call = call, ending.after = afters[k];
            ending.known = 0, ending.count = 0;
            for (uint64_t i = 0; i < MANY; i++) ending.array[i] = i * 48271 % MANY;
            cr_assert(is_complete(ending.array, MANY));
            ending.future = submit_pointer(e, sort_and_end, &ending);
            flag_raise(&ending.known);
            int rc = finish(ending.future);
            cr_assert(rc == FILCH_ECANCELED || (rc == 0 && afters[k] != 0), "%d", rc);
            cr_assert(is_complete(ending.array, MANY), "call %d, after %d", call, afters[k]);
            cr_assert(rc != 0 || is_in_order(ending.array, MANY));
        }
    ok(filch_executor_destroy(e));
}

static void sort_in_thread(int index, void *context) {
    struct work *w = (struct work *)context + index;
    if (filch_parallel_sort_uint64(w->executor, w->array, w->n) != 0) w->n = 0;
}
Test(sort, from_several_threads_at_once) {
    enum { N = 50000, THREADS = 6 };
    static uint64_t arrays[THREADS][N];
    filch_executor *e = executor_of(2);
    struct work works[THREADS];
    for (int t = 0; t < THREADS; t++) {
        for (size_t i = 0; i < N; i++) arrays[t][i] = next_random();
        works[t] = (struct work){e, arrays[t], N};
    }
    run_threads(THREADS, sort_in_thread, works);
    for (int t = 0; t < THREADS; t++) cr_assert(works[t].n == N && is_in_order(arrays[t], N));
    ok(filch_executor_destroy(e));
}

Test(sort, leaves_nothing_allocated) {
    long before = filch__fault_live_blocks();
    filch_executor *e = executor_of(2);
    cr_assert(sorts(e, UINT64, UNEVEN, 300000, 0));
    cr_assert(sorts(e, DOUBLE, RANDOM, 300000, 0));
    cr_assert(sorts(e, INT32, RANDOM, 2, 0));
    cr_assert(sorts_elements(e, filch_parallel_sort, true, RANDOM, 30000, 12));
    ok(filch_executor_destroy(e));
    cr_assert_eq(filch__fault_live_blocks(), before);
}
