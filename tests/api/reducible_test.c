/* reducible_test.c: typed reductions and prefix sums.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <stdlib.h>

TestSuite(reducible, .timeout = 60);

enum { N = 30000 };

struct vectors {
    const double *a, *b;
};
FILCH_REDUCIBLE(double, dot, 0.0, left + right, const struct vectors *, v) {
    return v->a[i] * v->b[i];
}
FILCH_REDUCIBLE(uint64_t, largest, 0, left > right ? left : right, const uint64_t *, of) {
    return of[i];
}

/* Affine maps, x -> a x + b modulo 2^64, one after the other: associative, not commutative. */
typedef struct affine {
    uint64_t a, b;
} affine;
static affine after(affine first, affine second) {
    return (affine){second.a * first.a, second.a * first.b + second.b};
}
static affine affine_at(int64_t i) {
    return (affine){2 * (uint64_t)i + 3, (uint64_t)i * 7919 + 1};
}
FILCH_REDUCIBLE(affine, composition, ((affine){1, 0}), after(left, right), void *, unused) {
    (void)unused;
    return affine_at(i);
}
FILCH_SCANNABLE(affine, compositions, ((affine){1, 0}), after(left, right));
FILCH_SCANNABLE(long, prefix_sums, 0, left + right);

static const int worker_counts[] = {1, 2, 3, 7, 64};
enum { WORKER_COUNTS = sizeof worker_counts / sizeof worker_counts[0] };

static double a[N], b[N];
static uint64_t keys[N];

Test(reducible, numbers) {
    double expected = 0, got;
    uint64_t most;
    for (int i = 0; i < N; i++) {
        a[i] = i % 17, b[i] = i % 5; /* sums of small integers are exact in any order */
        expected += a[i] * b[i];
        keys[i] = (uint64_t)i * 2654435761u % 1000003;
    }
    uint64_t least_of_most = 0;
    for (int i = 0; i < N; i++) least_of_most = keys[i] > least_of_most ? keys[i] : least_of_most;
    struct vectors v = {a, b};
    for (int w = 0; w < WORKER_COUNTS; w++) {
        filch_executor *e = executor_of(worker_counts[w]);
        for (int64_t grain = 0; grain < 3000; grain += 999) {
            ok(dot_reduce(e, 0, N, grain, &v, &got));
            cr_assert(got >= expected && got <= expected, "%g, not %g", got, expected);
            ok(largest_reduce(e, 0, N, grain, keys, &most));
            cr_assert_eq(most, least_of_most);
        }
        ok(dot_reduce(e, 5, 5, 0, &v, &got));
        cr_assert(got >= 0 && got <= 0);
        ok(filch_executor_destroy(e));
    }
}

static affine given[N], results[N];

Test(reducible, the_order_of_the_range_is_kept) {
    affine expected = {1, 0}, got;
    for (int w = 0; w < WORKER_COUNTS; w++) {
        filch_executor *e = executor_of(worker_counts[w]);
        for (int round = 0; round < 5; round++) {
            affine *out = round % 2 == 0 ? results : given; /* in place, too */
            for (int i = 0; i < N; i++) given[i] = affine_at(i);
            ok(composition_reduce(e, 0, N, round, NULL, &got));
            ok(compositions(e, given, out, N));
            expected = (affine){1, 0};
            for (int i = 0; i < N; i++) {
                expected = after(expected, affine_at(i));
                cr_assert(out[i].a == expected.a && out[i].b == expected.b, "index %d", i);
            }
            cr_assert(got.a == expected.a && got.b == expected.b);
        }
        ok(filch_executor_destroy(e));
    }
}

Test(reducible, bad_input) {
    long one = 1, out = 7;
    double untouched = 3;
    struct vectors v = {a, b};
    ok(prefix_sums(NULL, NULL, NULL, 0));
    fails(FILCH_EINVAL, prefix_sums(NULL, NULL, &out, 1));
    fails(FILCH_EINVAL, prefix_sums(NULL, &one, NULL, 1));
    fails(FILCH_EINVAL, prefix_sums(NULL, &one, &out, SIZE_MAX));
    cr_assert_eq(out, 7);
    fails(FILCH_EINVAL, dot_reduce(NULL, 0, 1, -1, &v, &untouched));
    fails(FILCH_EINVAL, dot_reduce(NULL, 0, 1, 0, &v, NULL));
    cr_assert(untouched >= 3 && untouched <= 3);
    ok(prefix_sums(NULL, &one, &out, 1));
    cr_assert_eq(out, 1);
}
