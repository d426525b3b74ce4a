/* worker_test.c: a worker process and its tasks, as the program sees them through the channel.
 *
 * SPDX-License-Identifier: MIT */
#include "os/fault.h"
#include "support.h"
#include "worker_support.h"

#include <filch/executor.h>
#include <filch/future.h>

TestSuite(worker, .timeout = 60);

static int int_of(const struct answer *a) {
    int value = -1;
    cr_assert_eq(a->head.code, 0, "%d: %s", a->head.code, a->text);
    cr_assert_eq(a->head.value.size, sizeof value);
    memcpy(&value, a->value, sizeof value);
    return value;
}

static int square(void *arg, void *result) {
    *(int *)result += *(int *)arg * *(int *)arg; /* it is zero before */
    return 0;
}

Test(worker, runs_tasks_one_after_the_other) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 3);
    for (int i = 0; i < 1000; i++) {
        struct answer a = run_in(&w, square, &i, sizeof i, sizeof i);
        cr_assert_eq(int_of(&a), i * i);
        cr_assert_eq(a.head.flags, 0);
    }
    zygote_end(&z);
}

Test(worker, many_are_posted_ahead) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    for (int round = 0; round < 20; round++) {
        uint64_t first = w.generation + 1;
        for (int i = 0; i < CHANNEL_TICKETS; i++)
            post(&w, (uint32_t)i, square, &i, sizeof i, sizeof i);
        for (int i = 0; i < CHANNEL_TICKETS; i++) {
            struct answer a = take_answer(&w, MESSAGE_RESULT);
            cr_assert_eq(a.head.ticket, (uint32_t)i);
            cr_assert_eq(a.head.generation, first + (uint64_t)i);
            cr_assert_eq(int_of(&a), i * i);
            filch__claim_free(&w.channel, (uint32_t)i);
        }
    }
    zygote_end(&z);
}

static int fail_with_text(void *arg, void *result) {
    *(int *)result = 5;
    return filch_fail(*(int *)arg, "no %s at %d", "bread", 7);
}
static int return_code(void *arg, void *result) {
    (void)result;
    return *(int *)arg;
}

Test(worker, codes_and_texts) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    int code = 42;
    struct answer a = run_in(&w, fail_with_text, &code, sizeof code, sizeof code);
    cr_assert_eq(a.head.code, 42);
    cr_assert_str_eq(a.text, "no bread at 7");
    cr_assert_eq(a.head.value.size, 0);
    int codes[] = {1, FILCH_ETIMEDOUT, -77777}, expected[] = {1, FILCH_ETIMEDOUT, FILCH_EINVAL};
    for (int i = 0; i < 3; i++) {
        a = run_in(&w, return_code, &codes[i], sizeof(int), 0);
        cr_assert_eq(a.head.code, expected[i]);
        cr_assert_eq(a.head.text.size, 0);
    }
    zygote_end(&z);
}

Test(worker, a_long_text_stands_in_a_segment) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    for (int i = 0; i < 3; i++) {
        struct filch__held *held;
        size_t size = MESSAGE_INLINE + 1;
        struct answer a = run_in(&w, fail_at_length, &size, sizeof size, 0);
        cr_assert_eq(a.head.code, FAIL_AT_LENGTH);
        cr_assert_eq(a.head.text.size, size);
        cr_assert_neq(a.head.text.segment, 0);
        const char *text = filch__arena_view_hold(w.view, &a.head.text, &held);
        cr_assert_not_null(text);
        for (size_t k = 0; k < size; k++) cr_assert_eq(text[k], 'x');
        filch__held_release(held);
    }
    zygote_end(&z);
}

/* Large values ------------------------------------------------------------------------------------- */

/* The argument may be written: it is the task's own. */
static int turn_round(void *arg, void *result) {
    unsigned char *in = arg, *out = result;
    size_t size = *(size_t *)arg;
    for (size_t i = sizeof size; i < size; i++) {
        if (out[i] != 0) return 1;
        out[i] = (unsigned char)~in[i];
        in[i] = 0;
    }
    return 0;
}

static void check_turn(struct life *w, size_t size) {
    unsigned char *in = malloc(size);
    for (size_t i = sizeof size; i < size; i++) in[i] = (unsigned char)(i * 7);
    memcpy(in, &size, sizeof size);
    struct answer a = run_in(w, turn_round, in, size, size);
    cr_assert_eq(a.head.code, 0, "size %zu: %d, %s", size, a.head.code, a.text);
    cr_assert_eq(a.head.value.size, size);
    cr_assert_eq(a.head.value.segment != 0, size > MESSAGE_INLINE);
    struct filch__held *held = NULL;
    const unsigned char *out = (unsigned char *)a.value;
    if (size > MESSAGE_INLINE) out = filch__arena_view_hold(w->view, &a.head.value, &held);
    cr_assert_not_null(out);
    for (size_t i = sizeof size; i < size; i++)
        cr_assert_eq(out[i], (unsigned char)~(unsigned char)(i * 7), "byte %zu of %zu", i, size);
    if (held != NULL) filch__held_release(held);
    free(in);
}

Test(worker, arguments_and_results_of_all_sizes) {
    static const size_t sizes[] = {8,    15,   16,     17,      4095,    4096,
                                   4097, 8192, 100000, 1048576, 1048577, 5000000};
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) check_turn(&w, sizes[i]);
    zygote_end(&z);
}

static int allocate(void *arg, void *result) {
    size_t size = *(size_t *)arg;
    (void)result;
    for (size_t n = 1; n <= size; n += size == 1 ? 1 : size - 1) {
        char *block = filch_result_alloc(n); /* the last one counts */
        if (block == NULL) return 1;
        memset(block, (int)(n % 100 + 1), n);
    }
    return 0;
}

Test(worker, a_result_that_the_task_has_allocated) {
    static const size_t sizes[] = {1, 2, 4096, 4097, 300000, 3000000};
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            size_t size = sizes[i];
            struct filch__held *held = NULL;
            struct answer a = run_in(&w, allocate, &size, sizeof size, i % 2 ? 10000 : 0);
            cr_assert_eq(a.head.code, 0);
            cr_assert_eq(a.head.flags, RESULT_ALLOCATED);
            cr_assert_eq(a.head.value.size, size);
            cr_assert_eq(a.head.value.segment != 0, size > MESSAGE_INLINE);
            const char *data = a.value;
            if (size > MESSAGE_INLINE) data = filch__arena_view_hold(w.view, &a.head.value, &held);
            cr_assert_not_null(data);
            for (size_t k = 0; k < size; k++) cr_assert_eq(data[k], (char)(size % 100 + 1));
            if (held != NULL) filch__held_release(held);
        }
    }
    zygote_end(&z);
}

static int want_too_much(void *arg, void *result) {
    (void)arg, (void)result;
    return filch_result_alloc(SIZE_MAX / 2) == NULL ? 3 : 0;
}
Test(worker, memory_that_is_not_there) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    struct answer a = run_in(&w, want_too_much, NULL, 0, 0);
    cr_assert_eq(a.head.code, 3);
    int code = 0;
    a = run_in(&w, return_code, &code, sizeof code, (size_t)1 << 60);
    cr_assert_eq(a.head.code, FILCH_ENOMEM);
    cr_assert_not_null(strstr(a.text, "1152921504606846976"), "%s", a.text);
    a = run_in(&w, square, &(int){4}, sizeof(int), sizeof(int));
    cr_assert_eq(int_of(&a), 16);
    zygote_end(&z);
}

/* Claims, functions, requests ---------------------------------------------------------------------- */

static int wait_for_request(void *arg, void *result) {
    (void)arg;
    *(int *)result = 1;
    while (!filch_cancel_requested()) usleep(1000);
    return 0;
}

Test(worker, a_revoked_task_is_skipped) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    char large[10000] = {0};
    post(&w, 1, wait_for_request, NULL, 0, sizeof(int));
    uint64_t first = w.generation;
    post(&w, 2, square, large, sizeof large, sizeof(int));
    cr_assert(filch__claim_revoke(&w.channel, 2, w.generation));
    filch__claim_request(&w.channel, 1, first);
    struct answer a = take_answer(&w, MESSAGE_RESULT);
    cr_assert_eq(a.head.ticket, 1);
    cr_assert_eq(int_of(&a), 1);
    a = take_answer(&w, MESSAGE_SKIPPED);
    cr_assert_eq(a.head.ticket, 2);
    cr_assert_eq(a.head.generation, w.generation);
    filch__claim_free(&w.channel, 1);
    filch__claim_free(&w.channel, 2);
    a = run_in(&w, square, &(int){9}, sizeof(int), sizeof(int));
    cr_assert_eq(int_of(&a), 81);
    zygote_end(&z);
}

static int is_requested(void *arg, void *result) {
    (void)arg;
    *(int *)result = filch_cancel_requested();
    return 0;
}
static int stay_a_while(void *arg, void *result) {
    (void)arg;
    (void)result;
    usleep(100000);
    return 0;
}
Test(worker, a_request_is_for_its_own_task) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    struct filch__function_name name;
    cr_assert_eq(filch__function_name((void (*)(void))is_requested, &name), 0);
    post_name(&w, &name);
    post(&w, 1, stay_a_while, NULL, 0,
         0); /* so that the request is there before the task is read */
    post_known(&w, 0, 0, 0, NULL, 0, sizeof(int));
    filch__claim_request(&w.channel, 0, w.generation);
    (void)take_answer(&w, MESSAGE_RESULT);
    filch__claim_free(&w.channel, 1);
    struct answer a = take_result(&w, 0);
    cr_assert_eq(int_of(&a), 1);
    a = run_in(&w, is_requested, NULL, 0, sizeof(int));
    cr_assert_eq(int_of(&a), 0);
    zygote_end(&z);
}

/* Where the next argument of that size goes: a block that was given back is the lowest that is free. */
static uint64_t next_block(struct life *w) {
    struct filch__bytes bytes;
    cr_assert_not_null(filch__arena_alloc(w->arena, 10000, false, &bytes));
    filch__arena_cancel(w->arena, &bytes);
    cr_assert_eq(bytes.segment, 1);
    return bytes.offset;
}
static int lack_memory(void *arg, void *result) {
    (void)arg;
    (void)result;
    filch__fault_plan(FILCH__FAULT_MAP, 0, false);
    return 0;
}
Test(worker, an_argument_that_is_not_used_is_given_back) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    char large[10000] = {0};
    uint64_t lowest = next_block(&w);
    post_known(&w, 0, 17, 0, large, sizeof large, 0);
    struct answer a = take_result(&w, 0);
    cr_assert_eq(a.head.code, FILCH_EINVAL, "it was told no such function");
    cr_assert_eq(next_block(&w), lowest);
    zygote_end(&z);
}

/* Nor is one lost that could not be mapped: it is given back with the next one that can. */
Test(worker, an_argument_for_which_there_is_no_memory_is_given_back) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    char large[10000] = {0};
    uint64_t lowest = next_block(&w);
    struct answer a = run_in(&w, lack_memory, NULL, 0, 0);
    a = run_in(&w, square, large, sizeof large, sizeof(int));
    cr_assert_eq(a.head.code, FILCH_ENOMEM, "%d", a.head.code);
    cr_assert_neq(next_block(&w), lowest, "it is not mapped yet");
    a = run_in(&w, square, large, sizeof large, sizeof(int));
    cr_assert_eq(a.head.code, 0);
    cr_assert_eq(next_block(&w), lowest);
    zygote_end(&z);
}

Test(worker, a_function_that_is_not_here_fails_its_tasks) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    struct filch__function_name name = {.offset = 64, .id_size = 4, .path = "/nowhere/libx.so"};
    post_name(&w, &name);
    for (int i = 0; i < 2; i++) {
        post_known(&w, 5, 0, 0, NULL, 0, 0);
        struct answer a = take_result(&w, 5);
        cr_assert_eq(a.head.code, FILCH_EINVAL);
        cr_assert_not_null(strstr(a.text, "/nowhere/libx.so"), "%s", a.text);
    }
    struct answer a = run_in(&w, square, &(int){9}, sizeof(int), sizeof(int));
    cr_assert_eq(int_of(&a), 81);
    zygote_end(&z);
}

/* What a task sees of itself ----------------------------------------------------------------------- */

/* The result of a task that has waited, or said that it blocks. */
static struct answer result_behind(struct life *w, uint32_t ticket) {
    uint32_t kind;
    while ((kind = next_message(w)->kind) == MESSAGE_AWAIT || kind == MESSAGE_AWAKE) done_with(w);
    return take_result(w, ticket);
}

static int look_around(void *arg, void *result) {
    (void)arg;
    int *seen = result;
    seen[0] = filch_worker_index();
    seen[1] = filch_current_executor() != NULL;
    seen[2] = filch_executor_worker_limit(filch_current_executor());
    seen[3] = filch_blocking_begin() == 0 && filch_blocking_end() == 0;
    seen[4] = filch_blocking_begin(); /* not ended: the task's end ends it */
    seen[5] = (int)getppid();
    return 0;
}
Test(worker, a_task_sees_the_executor) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 3);
    for (int i = 0; i < 2; i++) {
        int seen[6];
        post(&w, 0, look_around, NULL, 0, sizeof seen);
        struct answer a = result_behind(&w, 0);
        cr_assert_eq(a.head.code, 0);
        memcpy(seen, a.value, sizeof seen);
        cr_assert_eq(seen[0], 3);
        cr_assert_eq(seen[1], 1);
        cr_assert_eq(seen[2], 4);
        cr_assert_eq(seen[3], 1);
        cr_assert_eq(seen[4], 0);
        cr_assert_eq(seen[5], z.pid);
    }
    zygote_end(&z);
}

static int on_threads(void *arg, void *result) {
    filch_future *f;
    int rc = filch_submit(NULL, square, arg, sizeof(int), sizeof(int), &f);
    if (rc == 0) rc = filch_future_result(f, result, FILCH_FOREVER);
    filch_future_release(f);
    return rc;
}
static int preload_nothing(void) {
    return 0;
}
Test(worker, the_default_executor_is_made_in_each_worker) {
    struct zygote_play z = zygote_with((struct zygote_options){.preload = preload_nothing});
    struct life w[2] = {life_start(&z, 0), life_start(&z, 1)};
    for (int i = 0; i < 10; i++) {
        post(&w[i % 2], 0, on_threads, &i, sizeof i, sizeof i);
        struct answer a = result_behind(&w[i % 2], 0);
        cr_assert_eq(int_of(&a), i * i);
    }
    for (int i = 0; i < 2; i++) {
        post_quit(&w[i]);
        check_died(&w[i], CLD_EXITED, 0);
    }
    zygote_end(&z);
}

/* The program reads nothing for a while: the worker waits for room, and loses nothing. */
static int fill(void *arg, void *result) {
    memset(result, *(int *)arg, 4000);
    return 0;
}
Test(worker, a_full_ring_is_waited_for) {
    enum { N = CHANNEL_TICKETS };
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    struct filch__function_name name;
    cr_assert_eq(filch__function_name((void (*)(void))fill, &name), 0);
    post_name(&w, &name);
    for (int i = 0; i < N; i++) post_known(&w, (uint32_t)i, 0, 0, &i, sizeof i, 4000);
    usleep(20000);
    for (int i = 0; i < N; i++) {
        struct answer a = take_answer(&w, MESSAGE_RESULT);
        cr_assert_eq(a.head.ticket, (uint32_t)i);
        cr_assert_eq(a.head.value.size, 4000);
        for (int k = 0; k < 4000; k++) cr_assert_eq(a.value[k], (char)i);
    }
    zygote_end(&z);
}

/* Bells -------------------------------------------------------------------------------------------- */

static bool rings(int fd, int64_t patience) {
    bool ready = false;
    return filch__fds_wait(&fd, 1, &ready, filch__now() + patience) && ready;
}
static int nap(void *arg, void *result) {
    (void)arg, (void)result;
    usleep(20000);
    return 0;
}
Test(worker, rings_for_who_listens_and_for_nobody_else) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    run_in(&w, nap, NULL, 0, 0);
    cr_assert(!rings(z.manager, 1000));
    filch__listen(z.common, LISTENER_MANAGER);
    post(&w, 0, nap, NULL, 0, 0);
    cr_assert(rings(z.manager, PATIENCE));
    cr_assert(!rings(z.attendant, 1000));
    take_result(&w, 0);
    filch__bell_clear(z.manager);
    filch__listen(z.common, LISTENER_ATTENDANT);
    post(&w, 0, nap, NULL, 0, 0);
    cr_assert(rings(z.attendant, PATIENCE));
    cr_assert(!rings(z.manager, 1000));
    zygote_end(&z);
}

/* Time --------------------------------------------------------------------------------------------- */

Test(worker, says_when_a_timed_task_began) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    struct filch__function_name name;
    cr_assert_eq(filch__function_name((void (*)(void))wait_for_request, &name), 0);
    post_name(&w, &name);
    int64_t before = filch__now();
    post_known(&w, 7, 0, TASK_TIMED, NULL, 0, sizeof(int));
    uint64_t started;
    while ((started = filch_load_relaxed(&w.channel.worker->started[7])) == 0) usleep(100);
    cr_assert_geq((int64_t)started, before);
    cr_assert_leq((int64_t)started, filch__now());
    filch__claim_request(&w.channel, 7, w.generation);
    take_result(&w, 7);
    cr_assert_eq(filch_load_relaxed(&w.channel.worker->started[7]), 0);
    zygote_end(&z);
}
