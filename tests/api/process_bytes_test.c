/* process_bytes_test.c: arguments and results of every size between processes, views without a copy, and memory that
 * is used again.
 *
 * SPDX-License-Identifier: MIT */
#include "process_support.h"

#include <sys/resource.h>

TestSuite(process_bytes, .timeout = 60);

static const size_t sizes[] = {1,    15,   16,   17,    4095,  4096,   4097,
                               8191, 8192, 8193, 65536, 65537, 1 << 20};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static unsigned char byte_of(size_t i) {
    return (unsigned char)(i * 31 + (i >> 12));
}
static void fill(unsigned char *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) bytes[i] = byte_of(i);
}
/* The first that is wrong; n: none. */
static size_t first_wrong(const unsigned char *bytes, size_t n) {
    size_t i = 0;
    while (i < n && bytes[i] == byte_of(i)) i++;
    return i;
}
static bool is_aligned(const void *p) {
    return (uintptr_t)p % _Alignof(max_align_t) == 0;
}

struct sizes {
    size_t arg, result;
};
/* The argument begins with the sizes; the rest is bytes. The result is bytes. */
static int turn(void *arg, void *result) {
    struct sizes *head = arg;
    unsigned char *in = (unsigned char *)(head + 1), *out = result;
    if (!is_aligned(arg) || !is_aligned(result)) return 1;
    if (first_wrong(in, head->arg) != head->arg) return 2;
    for (size_t i = 0; i < head->result; i++)
        if (out[i] != 0) return 3;
    fill(out, head->result);
    size_t arg_size = head->arg;
    memset(arg, 0xee, sizeof *head + arg_size); /* private */
    return 0;
}
static filch_future *submit_turn(filch_executor *e, size_t arg, size_t result) {
    struct sizes *head = malloc(sizeof *head + arg);
    *head = (struct sizes){arg, result};
    fill((unsigned char *)(head + 1), arg);
    filch_future *f = submit_to(e, turn, head, sizeof *head + arg, result);
    memset(head, 0, sizeof *head + arg);
    free(head);
    return f;
}
static void check_turn(filch_future *f, size_t result) {
    unsigned char *bytes = malloc(result);
    const void *data;
    size_t size;
    int rc = filch_future_result(f, bytes, FILCH_FOREVER);
    cr_assert_eq(rc, 0, "%zu bytes: %d, %s", result, rc, filch_last_error());
    cr_assert_eq(first_wrong(bytes, result), result);
    ok(filch_future_result_view(f, &data, &size));
    cr_assert(size == result && is_aligned(data) && first_wrong(data, result) == result);
    free(bytes);
    filch_future_release(f);
}

/* R-PROC-20 */
Test(process_bytes, argument_and_result_of_any_size) {
    struct census before = census_before();
    filch_executor *e = processes_of(1);
    for (int i = 0; i < SIZES; i++)
        for (int k = 0; k < SIZES; k++) check_turn(submit_turn(e, sizes[i], sizes[k]), sizes[k]);
    destroy_and_look(e);
    check_census(&before);
}

/* R-PROC-20 */
Test(process_bytes, many_of_all_sizes_at_once) {
    enum { TASKS = 200 };
    struct census before = census_before();
    filch_executor *e = processes_of(3);
    filch_future *futures[TASKS];
    for (int i = 0; i < TASKS; i++)
        futures[i] = submit_turn(e, sizes[i % SIZES], sizes[i * 7 % SIZES]);
    for (int i = TASKS - 1; i >= 0; i--) check_turn(futures[i], sizes[i * 7 % SIZES]);
    destroy_and_look(e);
    check_census(&before);
}

/* R-PROC-20 */
Test(process_bytes, sixty_four_megabytes_both_ways) {
    enum { HUGE = 64 << 20 };
    struct census before = census_before();
    filch_executor *e = processes_of(1);
    for (int i = 0; i < 2; i++) check_turn(submit_turn(e, HUGE, HUGE), HUGE);
    destroy_and_look(e);
    check_census(&before);
}

/* Allocated results ----------------------------------------------------------------------------------- */

static int give(void *arg, void *result) {
    size_t n = *(size_t *)arg;
    unsigned char *bytes = filch_result_alloc(n);
    if (bytes == NULL) return FILCH_ENOMEM;
    if (!is_aligned(bytes)) return 1;
    fill(bytes, n);
    *(size_t *)result = n;
    return 0;
}
static filch_future *submit_give(filch_executor *e, size_t n) {
    return submit_to(e, give, &n, sizeof n, sizeof n);
}
static void check_given(filch_future *f, size_t n) {
    const void *data = NULL;
    size_t size = 77, own = 0;
    int rc = filch_future_result_view(f, &data, &size);
    cr_assert_eq(rc, 0, "%zu bytes: %d, %s", n, rc, filch_last_error());
    cr_assert_eq(size, n);
    cr_assert_eq(first_wrong(data, n), n);
    ok(filch_future_result(f, &own, 0));
    cr_assert_eq(own, n, "beside it the result has its own bytes");
}

/* R-PROC-20 */
Test(process_bytes, allocated_results_of_any_size) {
    struct census before = census_before();
    filch_executor *e = processes_of(1);
    for (int i = 0; i < SIZES; i++) {
        filch_future *f = submit_give(e, sizes[i]);
        check_given(f, sizes[i]);
        filch_future_release(f);
    }
    filch_future *empty = submit_give(e, 0);
    check_given(empty, 0);
    filch_future_release(empty);
    destroy_and_look(e);
    check_census(&before);
}

/* Allocates again and again, and what it gives at last is no longer than the first. */
static int give_the_last(void *arg, void *result) {
    size_t n = *(size_t *)arg;
    for (int i = 0; i < 50; i++) {
        unsigned char *bytes = filch_result_alloc(n + (size_t)i * 1000);
        if (bytes == NULL) return FILCH_ENOMEM;
        memset(bytes, i, n + (size_t)i * 1000);
    }
    return give(arg, result);
}
static int allocate_and_fail(void *arg, void *result) {
    (void)result;
    return filch_result_alloc(*(size_t *)arg) == NULL ? FILCH_ENOMEM : filch_fail(5, "on purpose");
}

/* R-PROC-21: what a task drops, or leaves when it fails, is used again. */
Test(process_bytes, what_is_dropped_is_used_again) {
    size_t n = 100000;
    filch_executor *e = processes_of(1);
    int most = 0;
    for (int i = 0; i < 30; i++) {
        filch_future *f = submit_to(e, give_the_last, &n, sizeof n, sizeof n);
        filch_future *bad = submit_to(e, allocate_and_fail, &n, sizeof n, 0);
        check_given(f, n);
        cr_assert_eq(finish(bad), 5);
        filch_future_release(f);
        if (i == 5) most = count_mappings();
        if (i > 5) cr_assert_leq(count_mappings(), most, "round %d", i);
    }
    ok(filch_executor_destroy(e));
}

/* Views ------------------------------------------------------------------------------------------------- */

/* R-PROC-22: the reader sees the bytes where the worker has written them. */
Test(process_bytes, a_view_is_no_copy) {
    enum { LARGE = 64 << 20 };
    struct rusage before, after;
    filch_executor *e = processes_of(1);
    const void *data;
    size_t size;
    filch_future *f = submit_give(e, LARGE);
    while (!filch_future_done(f)) sched_yield();
    cr_assert_eq(getrusage(RUSAGE_SELF, &before), 0);
    ok(filch_future_result_view(f, &data, &size));
    cr_assert_eq(getrusage(RUSAGE_SELF, &after), 0);
    /* A copy would have touched 16384 pages. */
    cr_assert_lt(after.ru_minflt - before.ru_minflt, 4000);
    /* And it is a mapping of a file without a name. */
    char line[1024];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long long begin, end;
        if (sscanf(line, "%llx-%llx", &begin, &end) != 2) continue;
        if ((uintptr_t)data >= begin && (uintptr_t)data < end) found = strstr(line, "memfd:");
    }
    fclose(maps);
    cr_assert(found && size == LARGE);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* R-PROC-22 */
Test(process_bytes, a_view_stays_until_the_release) {
    struct census before = census_before();
    size_t large[] = {100, 5000, 70000, 3 << 20};
    filch_future *futures[4], *others[4];
    const void *data[4];
    filch_executor *e = processes_of(2);
    for (int i = 0; i < 4; i++) {
        futures[i] = submit_give(e, large[i]);
        size_t size;
        ok(filch_future_result_view(futures[i], &data[i], &size));
    }
    int pid = some_worker(e);
    ok(filch_executor_kill_workers(e)); /* after the death of its worker */
    cr_assert(ends_soon(pid));
    for (int round = 0; round < 5; round++) { /* while others come and go */
        for (int i = 0; i < 4; i++) others[i] = submit_give(e, large[i]);
        for (int i = 0; i < 4; i++) check_given(others[i], large[i]);
        for (int i = 0; i < 4; i++) filch_future_release(others[i]);
    }
    for (int i = 0; i < 4; i++) check_given(futures[i], large[i]);
    destroy_and_look(e);
    for (int i = 0; i < 4; i++) { /* after the end of the executor */
        size_t size;
        const void *again;
        check_given(futures[i], large[i]);
        ok(filch_future_result_view(futures[i], &again, &size));
        cr_assert_eq(again, data[i]);
        filch_future_release(futures[i]);
    }
    check_census(&before);
}

static void release_half(int index, void *context) {
    filch_future **futures = context;
    for (int i = index; i < 100; i += 2) {
        const void *data;
        size_t size;
        if (filch_future_result_view(futures[i], &data, &size) != 0) abort();
        filch_future_release(futures[i]);
    }
}

/* R-PROC-22: in any thread, at the same time. */
Test(process_bytes, large_results_are_released_anywhere) {
    struct census before = census_before();
    filch_executor *e = processes_of(2);
    for (int round = 0; round < stress(3); round++) {
        filch_future *futures[100];
        for (int i = 0; i < 100; i++) futures[i] = submit_give(e, sizes[i % SIZES]);
        run_threads(2, release_half, futures);
    }
    destroy_and_look(e);
    check_census(&before);
}

/* Two results of a million bytes at a time, again and again. Returns how many mappings that takes, after the
 * first few rounds and, to *last, after all. */
static int mappings_of_rounds(int workers, int *last) {
    enum { MILLION = 1000000 };
    int none = count_mappings(), mappings = 0, fds = 0;
    filch_executor *e = processes_of(workers);
    for (int i = 0; i < 200; i++) {
        filch_future *f = submit_give(e, MILLION), *g = submit_turn(e, MILLION, MILLION);
        if (i % 20 == 0) {
            check_given(f, MILLION);
            check_turn(g, MILLION);
        } else {
            cr_assert_eq(finish(g), 0);
            ok(filch_future_result(f, NULL, FILCH_FOREVER));
        }
        filch_future_release(f);
        if (i == 20) mappings = count_mappings() - none, fds = count_fds();
    }
    *last = count_mappings() - none;
    if (workers == 1) cr_assert_leq(count_fds(), fds);
    ok(filch_executor_destroy(e));
    return mappings;
}

/* R-PROC-21: what one worker takes in the first rounds is all it takes. When the second of two begins is left
 * to chance; it takes no more than the first. */
Test(process_bytes, large_results_do_not_make_it_grow) {
    int last;
    int one = mappings_of_rounds(1, &last);
    cr_assert_leq(last, one, "%d, %d after some rounds", last, one);
    mappings_of_rounds(2, &last);
    cr_assert_leq(last, 2 * one, "%d, %d of one worker", last, one);
}

/* R-PROC-20: more than the ring and the arena hold at once; nothing is lost, and submit does not wait. */
Test(process_bytes, more_than_fits_waits_its_turn) {
    enum { TASKS = 600, EACH = 50000 };
    static filch_future *futures[TASKS];
    struct census before = census_before();
    filch_executor *e = processes_of(1);
    struct stay stay;
    filch_future *busy = stay_on(e, &stay);
    for (int i = 0; i < TASKS; i++) futures[i] = submit_turn(e, EACH, 10);
    shared_add(stay.open, 1);
    cr_assert_eq(finish(busy), 0);
    for (int i = 0; i < TASKS; i++) check_turn(futures[i], 10);
    destroy_and_look(e);
    check_census(&before);
}

/* R-PROC-20: texts too. */
Test(process_bytes, a_text_of_any_length) {
    struct census before = census_before();
    filch_executor *e = processes_of(1);
    const size_t length = 300000;
    for (int i = 0; i < 5; i++) {
        filch_future *f = submit_to(e, fail_at_length, &length, sizeof length, 0);
        filch_error error = error_of(f);
        cr_assert(error.code == FAIL_AT_LENGTH && strlen(error.text) == length);
        filch_future_release(f);
    }
    destroy_and_look(e);
    check_census(&before);
}
