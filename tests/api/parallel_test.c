/* parallel_test.c: loops, reductions and scans.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <stdio.h>

TestSuite(parallel, .timeout = 60);

static const int worker_counts[] = {1, 2, 3, 7, 64};
enum { WORKER_COUNTS = sizeof worker_counts / sizeof worker_counts[0] };
static const int64_t grains[] = {0, 1, 7, 1000, INT64_MAX};
enum { GRAINS = sizeof grains / sizeof grains[0] };

/* Loops: */

enum { INDICES = 20000 };
static int counts[INDICES];

struct seen {
    int64_t base, longest;
    int wrong;
};

static int count_indices(int64_t begin, int64_t end, void *context) {
    struct seen *seen = context;
    if (begin >= end || end - begin > seen->longest) add(&seen->wrong, 1);
    for (int64_t i = begin; i < end; i++) add(&counts[i - seen->base], 1);
    return 0;
}

static void check_counts(filch_executor *e, int64_t base, int n, int64_t grain) {
    struct seen seen = {base, grain == 0 ? INT64_MAX : grain, 0};
    memset(counts, 0, sizeof counts);
    ok(filch_parallel_for(e, base, base + n, grain, count_indices, &seen));
    cr_assert_eq(seen.wrong, 0);
    for (int i = 0; i < n; i++) cr_assert_eq(counts[i], 1, "index %d", i);
}

Test(parallel, each_index_once) {
    for (int w = 0; w < WORKER_COUNTS; w++) {
        filch_executor *e = executor_of(worker_counts[w]);
        for (int g = 0; g < GRAINS; g++) {
            check_counts(e, 0, INDICES, grains[g]);
            check_counts(e, -500, 1001, grains[g]);
            check_counts(e, 5, 1, grains[g]);
            check_counts(e, INT64_MAX - 100, 100, grains[g]);
            check_counts(e, INT64_MIN, 100, grains[g]);
        }
        ok(filch_executor_destroy(e));
    }
}

static int never(int64_t begin, int64_t end, void *context) {
    (void)begin, (void)end;
    add(context, 1);
    return 0;
}

Test(parallel, an_empty_range_is_nothing_to_do) {
    int runs = 0;
    ok(filch_parallel_for(NULL, 5, 5, 0, never, &runs));
    ok(filch_parallel_for(NULL, 6, 5, 1, never, &runs));
    ok(filch_parallel_for(NULL, INT64_MAX, INT64_MIN, 1, never, &runs));
    cr_assert_eq(runs, 0);
}

/* With two workers the first half waits for the second. */
static int halves;
static int meets(int64_t begin, int64_t end, void *context) {
    (void)begin, (void)context;
    if (end - begin > 1) return 1;
    add(&halves, 1);
    wait_for_count(&halves, 2);
    return 0;
}

Test(parallel, parts_run_at_the_same_time) {
    filch_executor *e = executor_of(2);
    ok(filch_parallel_for(e, 0, 2, 1, meets, NULL));
    halves = 0;
    ok(filch_parallel_for(e, 0, 2, 0, meets, NULL));
    ok(filch_executor_destroy(e));
}

/* Wildly uneven: the last index runs until all others have run. */
static int others_run;
static int last_waits(int64_t begin, int64_t end, void *context) {
    (void)context;
    for (int64_t i = begin; i < end; i++) {
        if (i == 0)
            wait_for_count(&others_run, 999);
        else
            add(&others_run, 1);
    }
    return 0;
}

Test(parallel, one_long_index_strands_no_others) {
    filch_executor *e = executor_of(2);
    ok(filch_parallel_for(e, 0, 1000, 1, last_waits, NULL));
    ok(filch_executor_destroy(e));
}

/* Errors: */

static int fails_at(int64_t begin, int64_t end, void *context) {
    int64_t bad = *(int64_t *)context;
    if (begin <= bad && bad < end) return filch_fail(9, "index %d is bad", (int)bad);
    return 0;
}

Test(parallel, the_error_of_a_part_is_the_loops) {
    for (int w = 0; w < WORKER_COUNTS; w++) {
        filch_executor *e = executor_of(worker_counts[w]);
        for (int64_t bad = 0; bad < 300; bad += 37) {
            cr_assert_eq(filch_parallel_for(e, 0, 300, 1, fails_at, &bad), 9);
            char text[40];
            snprintf(text, sizeof text, "index %d is bad", (int)bad);
            cr_assert(strstr(filch_last_error(), text) != NULL, "%s", filch_last_error());
        }
        ok(filch_executor_destroy(e));
    }
}

/* One part fails, and another, which a second worker runs, has a text of its own: of an error that it gets over, or that
 * may come first. */
static int two_begun;
static int both_have_texts(int64_t begin, int64_t end, void *context) {
    (void)end;
    add(&two_begun, 1);
    wait_for_count(&two_begun, 2);
    return begin == 0 ? filch_fail(7, "the first one") : filch_fail(*(int *)context, "another one");
}
static int adds_with_texts(int64_t begin, int64_t end, void *context, void *value) {
    (void)value;
    return both_have_texts(begin, end, context);
}
static void keeps_left(void *left, const void *right, void *context) {
    (void)left, (void)right, (void)context;
}
static int loops_with_texts(void *arg, void *result) {
    const int *codes = arg;
    filch_reduction r = FILCH_REDUCTION_INIT;
    int64_t none = 0, value;
    int other = codes[1];
    (void)result;
    two_begun = 0;
    if (codes[0] == 0)
        return filch_parallel_for(filch_current_executor(), 0, 2, 1, both_have_texts, &other);
    r.size = sizeof value;
    r.identity = &none;
    r.body = adds_with_texts;
    r.combine = keeps_left;
    r.context = &other;
    return filch_parallel_reduce(filch_current_executor(), 0, 2, 1, &r, &value);
}

Test(parallel, the_text_belongs_to_the_error) {
    filch_executor *e = executor_of(2);
    for (int i = 0; i < 4; i++) {
        int codes[2] = {i / 2, i % 2 == 0 ? 0 : 8};
        filch_future *f = submit_to(e, loops_with_texts, codes, sizeof codes, 0);
        filch_error error;
        ok(filch_future_error(f, &error, FILCH_FOREVER));
        cr_assert(error.code == 7 || (error.code == 8 && codes[1] == 8), "%d", error.code);
        cr_assert_str_eq(error.text, error.code == 7 ? "the first one" : "another one");
        filch_future_release(f);
    }
    ok(filch_executor_destroy(e));
}

static int fails_and_counts(int64_t begin, int64_t end, void *context) {
    (void)begin, (void)end;
    return add(context, 1) == 10 ? 3 : 0;
}

Test(parallel, an_error_stops_what_has_not_started) {
    int runs = 0;
    filch_executor *e = executor_of(1);
    cr_assert_eq(filch_parallel_for(e, 0, 1000, 1, fails_and_counts, &runs), 3);
    cr_assert_eq(runs, 10);
    ok(filch_executor_destroy(e));
    /* Others notice it with their next part. */
    runs = 0;
    e = executor_of(7);
    cr_assert_eq(filch_parallel_for(e, 0, 100000000, 1, fails_and_counts, &runs), 3);
    cr_assert_lt(runs, 100000000);
    ok(filch_executor_destroy(e));
}

static int parts_begun;
static int endless_part(int64_t begin, int64_t end, void *context) {
    (void)begin, (void)end, (void)context;
    add(&parts_begun, 1);
    return 0;
}
static int endless_loop(void *arg, void *result) {
    (void)arg, (void)result;
    return filch_parallel_for(filch_current_executor(), 0, INT64_MAX, 1, endless_part, NULL);
}

Test(parallel, a_request_ends_the_loop) {
    for (int w = 0; w < WORKER_COUNTS; w++) {
        filch_executor *e = executor_of(worker_counts[w]);
        filch_future *f = submit_to(e, endless_loop, NULL, 0, 0);
        wait_for_count(&parts_begun, read_int(&parts_begun) + 1);
        cr_assert(filch_future_request_cancel(f));
        cr_assert_eq(filch_future_result(f, NULL, FILCH_FOREVER), FILCH_ECANCELED);
        filch_future_release(f);
        ok(filch_executor_destroy(e));
    }
}

/* Loops in loops. */
static int row(int64_t begin, int64_t end, void *context) {
    for (int64_t i = begin; i < end; i++) {
        struct seen seen = {0, INT64_MAX, 0};
        int *place = (int *)context + i * 100;
        (void)seen;
        for (int k = 0; k < 100; k++) add(place + k, 1);
    }
    return 0;
}
static int rows(int64_t begin, int64_t end, void *context) {
    return filch_parallel_for(NULL, begin, end, 1, row, context);
}

Test(parallel, loops_in_loops) {
    memset(counts, 0, sizeof counts);
    ok(filch_parallel_for(NULL, 0, INDICES / 100, 10, rows, counts));
    for (int i = 0; i < INDICES; i++) cr_assert_eq(counts[i], 1);
}

/* Reductions. Not commutative: sequences are put together end to end; a hash tells their order. */

struct text {
    uint64_t hash, power; /* of base 1000003; power: base to the length */
    int64_t length;
    char more[100]; /* too large for the stack's own place */
};
static const struct text nothing = {0, 1, 0, {0}};

static int append(int64_t begin, int64_t end, void *context, void *value) {
    struct text *t = value;
    (void)context;
    for (int64_t i = begin; i < end; i++) {
        t->hash = t->hash * 1000003u + (uint64_t)(i * i + 1);
        t->power *= 1000003u;
        t->length++;
    }
    return 0;
}
static void concatenate(void *left, const void *right, void *context) {
    struct text *l = left;
    const struct text *r = right;
    (void)context;
    l->hash = l->hash * r->power + r->hash;
    l->power *= r->power;
    l->length += r->length;
}

static filch_reduction texts(size_t size) {
    filch_reduction r = FILCH_REDUCTION_INIT;
    r.size = size;
    r.identity = &nothing;
    r.body = append;
    r.combine = concatenate;
    return r;
}

Test(parallel, a_reduction_keeps_the_order) {
    size_t sizes[] = {offsetof(struct text, more), sizeof(struct text)};
    struct text expected = nothing;
    (void)append(-100, 30000, NULL, &expected);
    for (int w = 0; w < WORKER_COUNTS; w++) {
        filch_executor *e = executor_of(worker_counts[w]);
        for (int i = 0; i < 2 * GRAINS; i++) {
            filch_reduction r = texts(sizes[i % 2]);
            struct text got = nothing;
            ok(filch_parallel_reduce(e, -100, 30000, grains[i / 2], &r, &got));
            cr_assert_eq(got.hash, expected.hash);
            cr_assert_eq(got.length, 30100);
            ok(filch_parallel_reduce(e, 3, 3, grains[i / 2], &r, &got));
            cr_assert_eq(got.length, 0);
        }
        ok(filch_executor_destroy(e));
    }
}

static int fails_to_append(int64_t begin, int64_t end, void *context, void *value) {
    (void)value;
    return fails_at(begin, end, context);
}

Test(parallel, an_error_in_a_reduction) {
    int64_t bad = 123;
    filch_reduction r = texts(sizeof nothing);
    struct text untouched = {77, 77, 77, {0}};
    r.body = fails_to_append;
    r.context = &bad;
    cr_assert_eq(filch_parallel_reduce(NULL, 0, 1000, 1, &r, &untouched), 9);
    cr_assert_eq(untouched.hash, 77);
}

/* Scans: the hash of everything before and with each index. */

static uint64_t prefixes[30000];
static int write_prefixes(int64_t begin, int64_t end, void *context, void *value) {
    for (int64_t i = begin; i < end; i++) {
        (void)append(i, i + 1, context, value);
        prefixes[i] = ((struct text *)value)->hash;
    }
    return 0;
}

Test(parallel, a_scan_gives_what_precedes) {
    struct text before = nothing, got;
    for (int w = 0; w < WORKER_COUNTS; w++) {
        filch_executor *e = executor_of(worker_counts[w]);
        for (int g = 0; g < GRAINS; g++) {
            filch_scan scan = FILCH_SCAN_INIT;
            scan.reduction = texts(sizeof nothing);
            scan.body = write_prefixes;
            memset(prefixes, 0, sizeof prefixes);
            ok(filch_parallel_scan(e, 0, 30000, grains[g], &scan, &got));
            before = nothing;
            for (int i = 0; i < 30000; i++) {
                (void)append(i, i + 1, NULL, &before);
                cr_assert_eq(prefixes[i], before.hash, "index %d", i);
            }
            cr_assert_eq(got.hash, before.hash);
            ok(filch_parallel_scan(e, 7, 7, grains[g], &scan, &got));
            cr_assert_eq(got.length, 0);
        }
        ok(filch_executor_destroy(e));
    }
}

Test(parallel, bad_input) {
    int runs = 0;
    struct text value;
    filch_reduction good = texts(sizeof nothing), r;
    filch_scan scan = FILCH_SCAN_INIT;
    fails(FILCH_EINVAL, filch_parallel_for(NULL, 0, 1, 0, NULL, NULL));
    fails(FILCH_EINVAL, filch_parallel_for(NULL, 0, 1, -1, never, &runs));
    fails(FILCH_EINVAL, filch_parallel_for(NULL, INT64_MIN, INT64_MAX, 0, never, &runs));
    cr_assert_eq(runs, 0);
    fails(FILCH_EINVAL, filch_parallel_reduce(NULL, 0, 1, 0, NULL, &value));
    fails(FILCH_EINVAL, filch_parallel_reduce(NULL, 0, 1, 0, &good, NULL));
    fails(FILCH_EINVAL, filch_parallel_reduce(NULL, 0, 1, -5, &good, &value));
    r = good, r.size = 0;
    fails(FILCH_EINVAL, filch_parallel_reduce(NULL, 0, 1, 0, &r, &value));
    r = good, r.identity = NULL;
    fails(FILCH_EINVAL, filch_parallel_reduce(NULL, 0, 1, 0, &r, &value));
    r = good, r.body = NULL;
    fails(FILCH_EINVAL, filch_parallel_reduce(NULL, 0, 1, 0, &r, &value));
    r = good, r.combine = NULL;
    fails(FILCH_EINVAL, filch_parallel_reduce(NULL, 0, 1, 0, &r, &value));
    r = good, r.struct_size = 0;
    fails(FILCH_EINVAL, filch_parallel_reduce(NULL, 0, 1, 0, &r, &value));
    fails(FILCH_EINVAL, filch_parallel_scan(NULL, 0, 1, 0, NULL, NULL));
    fails(FILCH_EINVAL, filch_parallel_scan(NULL, 0, 1, 0, &scan, NULL));
    scan.body = write_prefixes;
    fails(FILCH_EINVAL, filch_parallel_scan(NULL, 0, 1, 0, &scan, NULL));
    filch_executor *e = executor_of(1);
    ok(filch_executor_shutdown(e, FILCH_WAIT));
    fails(FILCH_ESHUTDOWN, filch_parallel_for(e, 0, 1, 0, never, &runs));
    fails(FILCH_ESHUTDOWN, filch_parallel_reduce(e, 0, 1, 0, &good, &value));
    ok(filch_executor_destroy(e));
}

Test(parallel, no_memory) {
    filch_scan scan = FILCH_SCAN_INIT;
    struct text value = nothing;
    scan.reduction = texts(sizeof nothing);
    scan.body = write_prefixes;
    filch_executor *e = executor_of(2);
    ok(filch_parallel_reduce(e, 0, 10, 0, &scan.reduction, &value));
    filch__fault_plan(FAULT_ALLOC, 0, true);
    cr_assert_eq(filch_parallel_scan(e, 0, 1000, 0, &scan, &value), FILCH_ENOMEM);
    cr_assert_eq(filch_parallel_reduce(e, 0, 1000, 0, &scan.reduction, &value), FILCH_ENOMEM);
    filch__fault_clear();
    /* The first one is for the value as a whole. */
    filch__fault_plan(FAULT_ALLOC, 1, true);
    int rc = filch_parallel_reduce(e, 0, 1000, 1, &scan.reduction, &value);
    filch__fault_clear();
    cr_assert(rc == 0 || rc == FILCH_ENOMEM);
    if (rc == 0) cr_assert_eq(value.length, 1000);
    ok(filch_executor_destroy(e));
}
