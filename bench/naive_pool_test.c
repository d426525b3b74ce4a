/* naive_pool_test.c: the baseline does what it says, so that a race against it means something.
 *
 * Flow: each scenario is a function in the table at the end; the first that fails ends the program
 * with its line. Sizes are small enough for ThreadSanitizer and valgrind.
 *
 * SPDX-License-Identifier: MIT */
#include "check.h"
#include "naive_pool.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MANY = 2000, PRODUCERS = 4, BLOB = 5000 };

/* Adds one to the argument, and checks that the result came zeroed. */
static int increment(void *arg, void *result) {
    uint64_t before;
    memcpy(&before, result, sizeof before);
    *(uint64_t *)result = *(const uint64_t *)arg + 1;
    return before == 0 ? 0 : 99;
}

static int fail_with_seven(void *arg, void *result) {
    (void)arg, (void)result;
    return 7;
}

static int sleep_a_little(void *arg, void *result) {
    (void)arg, (void)result;
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    return 0;
}

/* The numbers in the order in which tasks ran; only one worker writes it. */
static struct {
    size_t n;
    uint64_t values[MANY];
} ran;

static int record(void *arg, void *result) {
    (void)result;
    ran.values[ran.n++] = *(const uint64_t *)arg;
    return 0;
}

static int reverse_blob(void *arg, void *result) {
    const unsigned char *in = arg;
    unsigned char *out = result;
    if ((uintptr_t)in % _Alignof(max_align_t) || (uintptr_t)out % _Alignof(max_align_t)) return 1;
    for (size_t i = 0; i < BLOB - 1; i++) out[i] = in[BLOB - 2 - i];
    return 0;
}

static void submit_many_and_check(naive_pool *pool) {
    naive_future *futures[MANY];
    for (uint64_t i = 0; i < MANY; i++) {
        futures[i] = naive_pool_submit(pool, increment, &i, sizeof i, sizeof i);
        CHECK(futures[i] != NULL);
    }
    for (uint64_t i = 0; i < MANY; i++) {
        uint64_t value = 0;
        CHECK(naive_future_result(futures[i], &value) == 0);
        CHECK(value == i + 1);
    }
}

static void results_come_back(void) {
    for (int workers = 1; workers <= 8; workers *= 2) {
        naive_pool *pool = naive_pool_create(workers);
        CHECK(pool != NULL);
        submit_many_and_check(pool);
        naive_pool_destroy(pool);
    }
}

static void codes_come_back_and_results_are_optional(void) {
    naive_pool *pool = naive_pool_create(2);
    uint64_t one = 1;
    CHECK(naive_future_result(naive_pool_submit(pool, fail_with_seven, NULL, 0, 0), NULL) == 7);
    CHECK(naive_future_result(naive_pool_submit(pool, increment, &one, sizeof one, sizeof one),
                              NULL) == 0);
    naive_pool_destroy(pool);
}

static void sizes_that_are_odd_or_impossible(void) {
    static unsigned char in[BLOB], out[BLOB];
    for (size_t i = 0; i < BLOB; i++) in[i] = (unsigned char)(i * 7);
    naive_pool *pool = naive_pool_create(1);
    naive_future *future = naive_pool_submit(pool, reverse_blob, in, BLOB - 1, BLOB - 1);
    CHECK(naive_future_result(future, out) == 0);
    for (size_t i = 0; i < BLOB - 1; i++) CHECK(out[i] == in[BLOB - 2 - i]);
    CHECK(naive_pool_submit(pool, increment, in, SIZE_MAX, 8) == NULL);
    CHECK(naive_pool_submit(pool, increment, in, 8, SIZE_MAX) == NULL);
    naive_pool_destroy(pool);
}

static void one_worker_is_first_in_first_out(void) {
    naive_pool *pool = naive_pool_create(1);
    naive_future *futures[MANY];
    ran.n = 0;
    for (uint64_t i = 0; i < MANY; i++)
        futures[i] = naive_pool_submit(pool, record, &i, sizeof i, 0);
    for (size_t i = 0; i < MANY; i++) CHECK(naive_future_result(futures[i], NULL) == 0);
    naive_pool_destroy(pool);
    CHECK(ran.n == MANY);
    for (uint64_t i = 0; i < MANY; i++) CHECK(ran.values[i] == i);
}

static void *produce(void *pool) {
    submit_many_and_check(pool);
    return NULL;
}

static void many_producers(void) {
    naive_pool *pool = naive_pool_create(2);
    pthread_t threads[PRODUCERS];
    for (int i = 0; i < PRODUCERS; i++)
        CHECK(pthread_create(&threads[i], NULL, produce, pool) == 0);
    for (int i = 0; i < PRODUCERS; i++) pthread_join(threads[i], NULL);
    naive_pool_destroy(pool);
}

static void destroy_runs_what_was_submitted(void) {
    enum { TASKS = 20 };
    naive_future *futures[TASKS];
    naive_pool *pool = naive_pool_create(3);
    for (int i = 0; i < TASKS; i++) {
        futures[i] = naive_pool_submit(pool, sleep_a_little, NULL, 0, 0);
        CHECK(futures[i] != NULL);
    }
    naive_pool_destroy(pool);
    for (int i = 0; i < TASKS; i++) CHECK(naive_future_result(futures[i], NULL) == 0);
}

static void idle_pools_end(void) {
    for (int i = 0; i < 50; i++) naive_pool_destroy(naive_pool_create(4));
    naive_pool_destroy(NULL);
}

/* One task at a time, awaited at once: the waiter frees the future while the worker leaves it. */
static void freed_while_being_completed(void) {
    naive_pool *pool = naive_pool_create(2);
    for (uint64_t i = 0; i < MANY; i++) {
        uint64_t value = 0;
        naive_future *future = naive_pool_submit(pool, increment, &i, sizeof i, sizeof i);
        CHECK(naive_future_result(future, &value) == 0 && value == i + 1);
    }
    naive_pool_destroy(pool);
}

#define SCENARIO(name)                                                                             \
    { #name, name }

int main(void) {
    static const struct {
        const char *name;
        void (*run)(void);
    } scenarios[] = {
        SCENARIO(results_come_back),
        SCENARIO(codes_come_back_and_results_are_optional),
        SCENARIO(sizes_that_are_odd_or_impossible),
        SCENARIO(one_worker_is_first_in_first_out),
        SCENARIO(many_producers),
        SCENARIO(destroy_runs_what_was_submitted),
        SCENARIO(idle_pools_end),
        SCENARIO(freed_while_being_completed),
    };
    const size_t length = sizeof scenarios / sizeof scenarios[0];
    for (size_t i = 0; i < length; i++) {
        scenarios[i].run();
        printf("ok %zu - %s\n", i + 1, scenarios[i].name);
    }
    printf("1..%zu\n", length);
    return 0;
}
