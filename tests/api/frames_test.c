/* frames_test.c: fork-join: forked calls, typed and untyped, on any number of workers and on none.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(frames, .timeout = 60);

/* Typed: */

FILCH_FORKABLE_1(long, fib, long, n) {
    if (n < 2) return n;
    fib_frame left;
    fib_fork(&left, n - 1);
    long right = fib(n - 2);
    return fib_join(&left) + right;
}

typedef struct numbers {
    double of[8];
} numbers;

/* Arguments and value beyond a slot. */
static FILCH_FORKABLE_2(numbers, spread, numbers, x, int, depth) {
    if (depth == 0) return x;
    spread_frame f;
    numbers more = x;
    for (int i = 0; i < 8; i++) more.of[i] += i;
    spread_fork(&f, more, depth - 1);
    numbers here = spread(x, depth - 1);
    numbers there = spread_join(&f);
    for (int i = 0; i < 8; i++) here.of[i] += there.of[i];
    return here;
}

static FILCH_FORKABLE_VOID_3(fill, int *, to, int, n, int, value) {
    if (n == 1) {
        *to = value;
        return;
    }
    fill_frame f;
    fill_fork(&f, to, n / 2, value);
    fill(to + n / 2, n - n / 2, value);
    fill_join(&f);
}

static FILCH_FORKABLE_0(int, seven) {
    return 7;
}
static FILCH_FORKABLE_6(long, add_six, char, a, short, b, int, c, long, d, float, e, double, f) {
    return a + b + c + d + (long)e + (long)f;
}

/* Two that call each other. */
FILCH_FORKABLE_DECLARE_1(int, is_odd, int, n);
static FILCH_FORKABLE_1(int, is_even, int, n) {
    is_odd_frame f;
    if (n == 0) return 1;
    is_odd_fork(&f, n - 1);
    return is_odd_join(&f);
}
int is_odd(int n) {
    is_even_frame f;
    if (n == 0) return 0;
    is_even_fork(&f, n - 1);
    return is_even_join(&f);
}

static long typed_forms(void) {
    long wrong = fib(15) != 610;
    numbers x = {{1, 2, 3, 4, 5, 6, 7, 8}}, y = spread(x, 8);
    for (int i = 0; i < 8; i++) wrong += y.of[i] != 256 * (i + 1) + 1024.0 * i;
    int places[100];
    fill(places, 100, 9);
    for (int i = 0; i < 100; i++) wrong += places[i] != 9;
    seven_frame s;
    add_six_frame a;
    seven_fork(&s);
    add_six_fork(&a, 1, 2, 3, 4, 5, 6);
    wrong += add_six_join(&a) != 21;
    wrong += seven_join(&s) != 7;
    return wrong + (is_even(100) != 1) + (is_odd(100) != 0);
}

static int typed_task(void *arg, void *result) {
    (void)arg;
    *(long *)result = typed_forms();
    return 0;
}

static const int worker_counts[] = {1, 2, 3, 7, 64};
enum { WORKER_COUNTS = sizeof worker_counts / sizeof worker_counts[0] };

Test(frames, typed_with_any_number_of_workers) {
    for (int i = 0; i < WORKER_COUNTS; i++) {
        filch_executor *e = executor_of(worker_counts[i]);
        for (int k = 0; k < 20; k++) {
            long wrong = -1;
            ok(filch_run(e, typed_task, NULL, &wrong));
            cr_assert_eq(wrong, 0, "%d workers", worker_counts[i]);
        }
        ok(filch_executor_destroy(e));
    }
}

Test(frames, typed_outside_of_a_task_run_at_once) {
    cr_assert_eq(typed_forms(), 0);
}

/* Untyped: */

struct range {
    const int *of;
    size_t n;
};

static int sum(void *arg, void *result) {
    struct range *all = arg;
    long a = 0, b = 0;
    if (all->n <= 8) {
        for (size_t i = 0; i < all->n; i++) a += all->of[i];
        *(long *)result = a;
        return 0;
    }
    struct range left = {all->of, all->n / 2}, right = {all->of + all->n / 2, all->n - all->n / 2};
    int rc = filch_invoke2(sum, &left, &a, sum, &right, &b);
    *(long *)result = a + b;
    return rc;
}

Test(frames, untyped_with_any_number_of_workers) {
    static int of[5000];
    long expected = 0;
    for (int i = 0; i < 5000; i++) expected += of[i] = i * i % 101;
    struct range all = {of, 5000};
    for (int i = 0; i < WORKER_COUNTS; i++) {
        filch_executor *e = executor_of(worker_counts[i]);
        for (int k = 0; k < 50; k++) {
            long got = 0;
            ok(filch_run(e, sum, &all, &got));
            cr_assert_eq(got, expected);
        }
        ok(filch_executor_destroy(e));
    }
    long got = 0;
    ok(sum(&all, &got));
    cr_assert_eq(got, expected);
}

/* More frames at a time than a lane has places for, joined in the reverse order, on which every one has run once. */
enum { FLAT = 70000 };
static filch_frame flat_frames[FLAT];
static int flat_runs[FLAT];

static int note_run(void *arg, void *result) {
    (void)result;
    return add((int *)arg, 1) == 1 ? 0 : 1;
}
static int fork_flat(void *arg, void *result) {
    int n = *(int *)arg, rc = 0;
    (void)result;
    for (int i = 0; i < n; i++) filch_fork(&flat_frames[i], note_run, &flat_runs[i], NULL);
    for (int i = n; i-- > 0;) rc |= filch_join(&flat_frames[i]);
    return rc;
}

static int count_ones(int n) {
    int ones = 0;
    for (int i = 0; i < n; i++) ones += flat_runs[i] == 1;
    return ones;
}

Test(frames, more_than_fit) {
    for (int i = 0; i < WORKER_COUNTS; i++) {
        filch_executor *e = executor_of(worker_counts[i]);
        int n = FLAT;
        memset(flat_runs, 0, sizeof flat_runs);
        ok(filch_run(e, fork_flat, &n, NULL));
        cr_assert_eq(count_ones(n), n);
        ok(filch_executor_destroy(e));
    }
}

Test(frames, many_outside_of_a_task) {
    int n = 3000;
    ok(fork_flat(&n, NULL));
    cr_assert_eq(count_ones(n), n);
}

static void sums_outside(int index, void *context) {
    static int of[300];
    long got;
    (void)index;
    for (int i = 0; i < 50; i++) {
        struct range all = {of, 300};
        if (sum(&all, &got) != 0 || fib(10) != 55) add(context, 1);
    }
}

Test(frames, many_threads_outside) {
    int wrong = 0;
    run_threads(8, sums_outside, &wrong);
    cr_assert_eq(wrong, 0);
}

/* What is handed over: */

static int fails_with_text(void *arg, void *result) {
    (void)result;
    return filch_fail(*(int *)arg, "number %d failed", *(int *)arg);
}

/* A call that only another worker can run: its forker waits for it to begin. */
static int begun, may_end;
static int begins_and_fails(void *arg, void *result) {
    add(&begun, 1);
    wait_for_count(&may_end, 1);
    return fails_with_text(arg, result);
}
static int joins_a_stolen_one(void *arg, void *result) {
    filch_frame f;
    filch_fork(&f, begins_and_fails, arg, result);
    wait_for_count(&begun, 1);
    add(&may_end, 1);
    return filch_join(&f);
}

Test(frames, the_text_of_a_stolen_call_reaches_the_task) {
    filch_executor *e = executor_of(2);
    int code = 42;
    filch_future *f = submit_to(e, joins_a_stolen_one, &code, sizeof code, 0);
    filch_error error;
    ok(filch_future_error(f, &error, FILCH_FOREVER));
    cr_assert_eq(error.code, 42);
    cr_assert_str_eq(error.text, "number 42 failed");
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* A worker that computes after its fork strands nothing: it never forks again before the call has begun. */
static int forks_and_computes(void *arg, void *result) {
    filch_frame first, second, third;
    (void)result;
    filch_fork(&first, begins_and_fails, arg, NULL);
    filch_fork(&second, begins_and_fails, arg, NULL);
    filch_fork(&third, begins_and_fails, arg, NULL);
    wait_for_count(&begun, 3);
    add(&may_end, 1);
    return filch_join(&third) + filch_join(&second) + filch_join(&first);
}

Test(frames, a_worker_that_computes_strands_nothing) {
    filch_executor *e = executor_of(4);
    int code = 1;
    filch_future *f = submit_to(e, forks_and_computes, &code, sizeof code, 0);
    cr_assert_eq(filch_future_result(f, NULL, FILCH_FOREVER), 3);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* As many that compute as there are CPUs: nobody is told of their calls, but they are begun. */
struct computing {
    int running, go, calls, n;
};
static int one_of_calls(void *arg, void *result) {
    (void)result;
    add(&((struct computing *)arg)->calls, 1);
    return 0;
}
static int computes_until_all_are_begun(void *arg, void *result) {
    struct computing *c = *(struct computing **)arg;
    filch_frame f;
    (void)result;
    add(&c->running, 1);
    wait_for_count(&c->go, 1);
    filch_fork(&f, one_of_calls, c, NULL);
    wait_for_count(&c->calls, c->n);
    return filch_join(&f);
}
static int usable_cpus(void) {
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

Test(frames, calls_of_workers_that_use_all_CPUs_are_begun) {
    enum { MOST = 64 };
    int n = usable_cpus() < MOST ? usable_cpus() : MOST;
    filch_executor *e = executor_of(2 * n);
    struct computing c = {0, 0, 0, n};
    filch_future *futures[MOST];
    for (int i = 0; i < n; i++) futures[i] = submit_pointer(e, computes_until_all_are_begun, &c);
    wait_for_count(&c.running, n);
    filch_stats s;
    do {
        sched_yield();
        s = stats_of(e);
    } while (s.parked - s.woken != s.workers_started - (unsigned)n);
    add(&c.go, 1);
    for (int i = 0; i < n; i++) cr_assert_eq(finish(futures[i]), 0);
    ok(filch_executor_destroy(e));
}

/* The pair: */

static int runs_of_second;
static int second_of_pair(void *arg, void *result) {
    (void)arg, (void)result;
    add(&runs_of_second, 1);
    return 5;
}
static int pair_that_fails(void *arg, void *result) {
    int code = 3;
    (void)arg, (void)result;
    return filch_invoke2(fails_with_text, &code, NULL, second_of_pair, NULL, NULL);
}
static int pair_of_good_and_bad(void *arg, void *result) {
    int flag = 0;
    (void)arg, (void)result;
    return filch_invoke2(note_run, &flag, NULL, second_of_pair, NULL, NULL);
}

Test(frames, the_first_error_of_a_pair_stops_the_second) {
    filch_executor *e = executor_of(1);
    cr_assert_eq(filch_run(e, pair_that_fails, NULL, NULL), 3);
    cr_assert_eq(runs_of_second, 0);
    cr_assert_eq(filch_run(e, pair_of_good_and_bad, NULL, NULL), 5);
    cr_assert_eq(runs_of_second, 1);
    ok(filch_executor_destroy(e));
}

/* Both fail, and the second runs elsewhere: the first one's code and text are what the caller gets. */
static int fails_when_told(void *arg, void *result) {
    (void)arg, (void)result;
    add(&begun, 1);
    wait_for_count(&may_end, 1);
    (void)filch_submit(NULL, NULL, NULL, 0, 0, NULL); /* has a text as well */
    return filch_fail(8, "the second failed");
}
static int fails_meanwhile(void *arg, void *result) {
    (void)result;
    wait_for_count(&begun, 1);
    add(&may_end, 1);
    int code = *(int *)arg;
    if (code < 0) return filch_join(NULL);
    return code == 9 ? code : filch_fail(code, "the first failed");
}
static int pair_of_bad(void *arg, void *result) {
    char before[100];
    (void)result;
    (void)filch_join_unless_started(NULL);
    snprintf(before, sizeof before, "%s",
             *(int *)arg < 0 ? "filch_join: the frame is NULL" : filch_last_error());
    int rc = filch_invoke2(fails_meanwhile, arg, NULL, fails_when_told, NULL, NULL);
    return strcmp(filch_last_error(), before) == 0 ? rc : 77;
}
static void assert_first_of_pair(int code, const char *text) {
    filch_executor *e = executor_of(2);
    filch_error error;
    begun = may_end = 0;
    filch_future *f = submit_to(e, pair_of_bad, &code, sizeof code, 0);
    ok(filch_future_error(f, &error, FILCH_FOREVER));
    cr_assert_eq(error.code, code);
    cr_assert_str_eq(error.text, text);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

Test(frames, both_of_a_pair_fail) {
    assert_first_of_pair(7, "the first failed");
    assert_first_of_pair(9, filch_error_text(9));
    assert_first_of_pair(FILCH_EINVAL, filch_error_text(FILCH_EINVAL));
}

/* Cancellation: */

static int tree_runs;
static FILCH_FORKABLE_1(int, endless, int, depth) {
    add(&tree_runs, 1);
    if (depth == 0) return 1;
    endless_frame f;
    endless_fork(&f, depth - 1);
    int one = endless(depth - 1);
    return one + endless_join(&f);
}
static int endless_task(void *arg, void *result) {
    (void)arg;
    *(int *)result = endless(60);
    return 0;
}

Test(frames, a_request_ends_the_tree) {
    for (int i = 0; i < WORKER_COUNTS; i++) {
        filch_executor *e = executor_of(worker_counts[i]);
        int runs = read_int(&tree_runs);
        filch_future *f = submit_to(e, endless_task, NULL, 0, sizeof(int));
        wait_for_count(&tree_runs, runs + 1000);
        cr_assert(filch_future_request_cancel(f));
        int value;
        cr_assert_eq(filch_future_result(f, &value, FILCH_FOREVER), FILCH_ECANCELED);
        filch_future_release(f);
        ok(filch_executor_destroy(e));
    }
}

/* A fork after the request does not start, wherever the request comes: here while a join sets the guard that tells
 * later joins. */
static int late_runs;
static FILCH_FORKABLE_0(int, early_call) {
    return 1;
}
static FILCH_FORKABLE_0(int, late_call) {
    return add(&late_runs, 1);
}
static int two_forks(void *arg, void *result) {
    early_call_frame early;
    late_call_frame late;
    (void)arg, (void)result;
    early_call_fork(&early);
    (void)early_call_join(&early);
    late_call_fork(&late);
    (void)late_call_join(&late);
    return 0;
}
static void fork_request_between(int passages) {
    struct stopper first, second;
    filch_executor *e = executor_of(1);
    stopper_arm(&first, "lane.guard");
    filch_future *f = submit_to(e, two_forks, NULL, 0, 0);
    stopper_wait_reached(&first);
    if (passages == 2) {
        stopper_arm(&second, "lane.guard");
        stopper_release(&first);
        stopper_wait_reached(&second);
    }
    cr_assert(filch_future_request_cancel(f));
    stopper_release(passages == 2 ? &second : &first);
    cr_assert_eq(finish(f), FILCH_ECANCELED);
    cr_assert_eq(read_int(&late_runs), 0);
    ok(filch_executor_destroy(e));
}

Test(frames, a_request_while_a_fork_sets_the_guard_is_seen) {
    fork_request_between(1);
}

Test(frames, a_request_while_a_join_sets_the_guard_is_seen) {
    fork_request_between(2);
}

/* A stolen call is part of the task that has forked it, also if that has run another task before its first fork. */
static int stolen_began, request_came, below_ran;
static FILCH_FORKABLE_0(int, below) {
    return add(&below_ran, 1);
}
static FILCH_FORKABLE_0(int, stolen_call) {
    below_frame f;
    add(&stolen_began, 1);
    wait_for_count(&request_came, 1);
    below_fork(&f);
    return below_join(&f);
}
static int forks_itself(void *arg, void *result) {
    early_call_frame f;
    (void)arg, (void)result;
    early_call_fork(&f);
    return early_call_join(&f) - 1;
}
static int forks_after_another(void *arg, void *result) {
    stolen_call_frame f;
    (void)arg, (void)result;
    filch_future *other = NULL;
    int rc = filch_submit(filch_current_executor(), forks_itself, NULL, 0, 0, &other);
    if (rc != 0) return rc;
    rc = filch_future_result(other, NULL, FILCH_FOREVER);
    filch_future_release(other);
    stolen_call_fork(&f);
    wait_for_count(&stolen_began, 1);
    (void)stolen_call_join(&f);
    return rc;
}

Test(frames, a_stolen_call_of_a_task_that_has_run_another_is_asked_to_end) {
    filch_executor *e = executor_of(2);
    filch_future *f = submit_to(e, forks_after_another, NULL, 0, 0);
    wait_for_count(&stolen_began, 1);
    cr_assert(filch_future_request_cancel(f));
    add(&request_came, 1);
    cr_assert_eq(finish(f), FILCH_ECANCELED);
    cr_assert_eq(read_int(&below_ran), 0);
    ok(filch_executor_destroy(e));
}

/* Futures between a fork and its join: */

static int order[8], orders;
static int note_order(void *arg, void *result) {
    (void)result;
    order[add(&orders, 1) - 1] = *(int *)arg;
    return 0;
}
static int submits_between(void *arg, void *result) {
    filch_executor *e = filch_current_executor();
    filch_frame f, g;
    int one = 1, two = 2, three = 3, four = 4, five = 5;
    (void)arg, (void)result;
    ok(filch_submit(e, note_order, &five, sizeof five, 0, NULL));
    filch_fork(&f, note_order, &four, NULL);
    ok(filch_submit(e, note_order, &three, sizeof three, 0, NULL));
    filch_fork(&g, note_order, &two, NULL);
    ok(filch_submit(e, note_order, &one, sizeof one, 0, NULL));
    return filch_join(&g) + filch_join(&f);
}

Test(frames, a_join_runs_newer_tasks_first) {
    filch_executor *e = executor_of(1);
    ok(filch_run(e, submits_between, NULL, NULL));
    ok(filch_executor_destroy(e));
    for (int i = 0; i < 5; i++) cr_assert_eq(order[i], i + 1);
}

/* Futures and forks in one tree. */
struct mixed {
    int n;
};
static int mixed(void *arg, void *result) {
    struct mixed *in = arg, left = {in->n - 1}, right = {in->n - 2};
    long a = 0, b = 0;
    filch_frame frame;
    filch_future *f;
    if (in->n < 2) {
        *(long *)result = in->n;
        return 0;
    }
    int rc = filch_submit(NULL, mixed, &left, sizeof left, sizeof a, &f);
    if (rc != 0) return rc;
    filch_fork(&frame, mixed, &right, &b);
    rc = in->n % 3 == 0 ? filch_future_result(f, &a, FILCH_FOREVER) : 0;
    rc |= filch_join(&frame);
    if (in->n % 3 != 0) rc |= filch_future_result(f, &a, FILCH_FOREVER);
    filch_future_release(f);
    *(long *)result = a + b;
    return rc;
}

Test(frames, futures_and_forks_in_one_tree) {
    for (int i = 0; i < 20; i++) {
        struct mixed in = {16};
        long value = 0;
        ok(filch_run(NULL, mixed, &in, &value));
        cr_assert_eq(value, 987);
    }
}

/* Waits: a stolen call that awaits the task that joins it. */
static filch_future *joiner;
static uint32_t joiner_is_known;
static int awaits_its_joiner(void *arg, void *result) {
    (void)arg, (void)result;
    flag_wait(&joiner_is_known);
    add(&begun, 1);
    return filch_future_result(joiner, NULL, FILCH_FOREVER);
}
static int forks_what_awaits_it(void *arg, void *result) {
    filch_frame f;
    (void)arg, (void)result;
    filch_fork(&f, awaits_its_joiner, NULL, NULL);
    wait_for_count(&begun, 1);
    return filch_join(&f);
}

Test(frames, a_call_that_awaits_its_own_task) {
    filch_executor *e = executor_of(2);
    filch_future *f = submit_to(e, forks_what_awaits_it, NULL, 0, 0);
    joiner = f;
    flag_raise(&joiner_is_known);
    cr_assert_eq(filch_future_result(f, NULL, FILCH_FOREVER), FILCH_EDEADLK);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* Shutdown does not keep others from helping what still runs. */
static int forks_late(void *arg, void *result) {
    add(&may_end, 1);
    while (read_int(&may_end) < 2) sched_yield();
    begun = 0;
    (void)arg, (void)result;
    filch_frame f;
    filch_fork(&f, note_run, &begun, NULL);
    wait_for_count(&begun, 1);
    return filch_join(&f);
}
static void destroys(void *e) {
    ok(filch_executor_destroy(e));
}

Test(frames, others_help_while_the_executor_ends) {
    filch_executor *e = executor_of(3);
    filch_future *f = submit_to(e, forks_late, NULL, 0, 0);
    wait_for_count(&may_end, 1);
    pthread_t ender = thread_start(destroys, e);
    while (filch_submit(e, note_run, NULL, 0, 0, NULL) != FILCH_ESHUTDOWN) sched_yield();
    add(&may_end, 1);
    thread_finish(ender);
    ok(filch_future_result(f, NULL, 0));
    filch_future_release(f);
}

/* Bad input: */

static int bad_frames(void *arg, void *result) {
    filch_frame f;
    (void)arg, (void)result;
    filch_fork(NULL, note_run, NULL, NULL);
    filch_fork(&f, NULL, NULL, NULL);
    if (filch_join(&f) != FILCH_EINVAL) return 1;
    if (filch_join(NULL) != FILCH_EINVAL) return 2;
    if (filch_join_unless_started(NULL) != FILCH_EINVAL) return 3;
    if (filch_invoke2(NULL, NULL, NULL, note_run, NULL, NULL) != FILCH_EINVAL) return 4;
    if (filch_invoke2(note_run, NULL, NULL, NULL, NULL, NULL) != FILCH_EINVAL) return 5;
    return 0;
}

Test(frames, bad_input) {
    filch_executor *e = executor_of(1);
    ok(bad_frames(NULL, NULL));
    ok(filch_run(e, bad_frames, NULL, NULL));
    fails(FILCH_EINVAL, filch_run(e, NULL, NULL, NULL));
    ok(filch_executor_shutdown(e, FILCH_WAIT));
    fails(FILCH_ESHUTDOWN, filch_run(e, bad_frames, NULL, NULL));
    ok(filch_executor_destroy(e));
}

static int returns_nonsense(void *arg, void *result) {
    (void)arg, (void)result;
    return -77777;
}
static int joins_nonsense(void *arg, void *result) {
    filch_frame f;
    (void)arg, (void)result;
    filch_fork(&f, returns_nonsense, NULL, NULL);
    return filch_join(&f) == FILCH_EINVAL ? 0 : 1;
}

Test(frames, a_negative_code_that_is_not_known_becomes_EINVAL) {
    ok(joins_nonsense(NULL, NULL));
    ok(filch_run(NULL, joins_nonsense, NULL, NULL));
    cr_assert_eq(filch_run(NULL, returns_nonsense, NULL, NULL), FILCH_EINVAL);
}

/* Without memory for lanes, and for calls that run at once. */
Test(frames, no_memory) {
    for (long after = 0; after < 12; after++) {
        filch_executor *e = NULL;
        filch__fault_plan(FAULT_MAP | FAULT_ALLOC, after, true);
        int rc = filch_thread_executor(NULL, &e);
        if (rc == 0) {
            long wrong = -1;
            rc = filch_run(e, typed_task, NULL, &wrong);
            filch__fault_clear();
            if (rc == 0) cr_assert_eq(wrong, 0);
            ok(filch_executor_destroy(e));
        }
        filch__fault_clear();
    }
    filch__fault_plan(FAULT_MAP | FAULT_ALLOC, 0, true);
    long wrong = typed_forms();
    filch__fault_clear();
    cr_assert_eq(wrong, 0);
}

/* From the n-th barrier on there is none. What was forked before, and not published, is left for its owner. */
static void computes_without_barrier(long after) {
    pid_t child = child_start();
    if (child == 0) {
        filch__fault_plan(FAULT_BARRIER, after, true);
        filch_executor *e = executor_of(3);
        long wrong = -1;
        for (int k = 0; k < 20 && wrong <= 0; k++) ok(filch_run(e, typed_task, NULL, &wrong));
        ok(filch_executor_destroy(e));
        _exit(wrong == 0 ? 0 : 1);
    }
    cr_assert_eq(child_finish(child), 0, "after %ld", after);
}

Test(frames, a_barrier_that_is_refused) {
    for (long after = 0; after < 10; after++) computes_without_barrier(after);
}
