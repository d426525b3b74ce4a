/* calls.c: a fuzzer of the public interface: bytes are calls, whose outcomes a sequential model foretells.
 *
 * Flow     an executor with one worker, which stands in a gate task: so nothing runs until the call RUN, which lets
 *          the worker run everything that was submitted, in that order, up to the next gate. Between two calls nothing
 *          moves, and the model knows each outcome. Two bytes are one call: what, and of which future.
 * Model    a future is PENDING, RUNNING (promises), FINISHED with a code and a value, or CANCELLED, as api.md has it;
 *          the order of starts is that of submits; callbacks run once; destructors run once.
 * Not here races (tests/stress), other executors, waits that block.
 *
 * SPDX-License-Identifier: MIT */
#include <filch.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FUTURES = 16, CALLS_MOST = 200, CODE = 5 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "calls.c:%d: not true: %s\n", __LINE__, #condition);                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct model {
    filch_future *future; /* NULL: none */
    filch_state state;
    bool is_promise, fails, asked, is_queued, is_combined;
    int code;
    uint32_t number, value, callbacks, called, destroyed, started;
};

static struct {
    filch_executor *executor;
    bool is_shut;
    uint32_t submitted, started; /* numbers of tasks */
    struct model futures[FUTURES];
    struct model *queue[CALLS_MOST];
    uint32_t queued;
} m;
static sem_t go, held;

/* Tasks ----------------------------------------------------------------------------------------------- */

static int run_gate(void *arg, void *result) {
    (void)arg, (void)result;
    sem_post(&held);
    while (sem_wait(&go) != 0) continue;
    return 0;
}

static int run_task(void *arg, void *result) {
    struct model *f = *(struct model **)arg;
    f->started++;
    m.started++;
    /* In the order of the submits, those that were cancelled left out. */
    while (m.queue[m.started - 1] != f)
        CHECK(m.queue[m.started - 1]->state == FILCH_CANCELLED && ++m.started);
    if (f->fails) return filch_fail(CODE, "number %u", f->number);
    memcpy(result, &f->value, sizeof f->value);
    return 0;
}

static void destroy_arg(void *arg) {
    (*(struct model **)arg)->destroyed++;
}

static void called_back(filch_future *future, void *context) {
    struct model *f = context;
    CHECK(f->future == future && filch_future_done(future));
    f->called++;
}

/* Executor -------------------------------------------------------------------------------------------- */

static void hold(void) {
    CHECK(filch_submit(m.executor, run_gate, NULL, 0, 0, NULL) == 0);
}

/* At the end of the program, before the library finishes what was accepted. */
static void let_go(void) {
    sem_post(&go);
}

static void open_executor(void) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 1;
    options.spin = -1;
    CHECK(filch_thread_executor(&options, &m.executor) == 0);
    CHECK(atexit(let_go) == 0);
    m.is_shut = false;
    hold();
    while (sem_wait(&held) != 0) continue;
}

static void close_executor(void) {
    sem_post(&go);
    CHECK(filch_executor_destroy(m.executor) == 0);
    m.executor = NULL;
}

/* Everything in the queue has run. */
static void end_queue(void) {
    for (uint32_t i = 0; i < m.queued; i++) {
        struct model *f = m.queue[i];
        f->is_queued = false;
        if (f->state != FILCH_PENDING) continue;
        f->state = FILCH_FINISHED;
        f->code = f->fails ? CODE : 0;
        CHECK(f->started == 1);
    }
    m.queued = m.started = 0;
}

static void do_run(void) {
    if (m.is_shut) {
        close_executor();
        end_queue();
        open_executor();
        return;
    }
    hold();
    sem_post(&go);
    while (sem_wait(&held) != 0) continue;
    end_queue();
}

/* Calls ----------------------------------------------------------------------------------------------- */

static void do_submit(struct model *f, bool fails) {
    filch_task task = FILCH_TASK_INIT;
    if (f->future != NULL || m.queued == CALLS_MOST) return;
    *f = (struct model){.fails = fails, .number = ++m.submitted, .value = m.submitted * 77};
    task.fn = run_task;
    task.arg = &f;
    task.arg_size = sizeof f;
    task.result_size = sizeof f->value;
    task.arg_destroy = destroy_arg;
    int rc = filch_submit_task(m.executor, &task, &f->future);
    CHECK(rc == (m.is_shut ? FILCH_ESHUTDOWN : 0));
    if (rc != 0) {
        CHECK(f->future == NULL && f->destroyed == 0);
        return;
    }
    f->is_queued = true;
    m.queue[m.queued++] = f;
}

static void do_promise(struct model *f) {
    if (f->future != NULL) return;
    *f = (struct model){.is_promise = true, .value = 99};
    CHECK(filch_promise(sizeof f->value, &f->future) == 0);
}

static bool is_done(const struct model *f) {
    return f->state == FILCH_FINISHED || f->state == FILCH_CANCELLED;
}

static void do_start(struct model *f) {
    int expected = !f->is_promise ? FILCH_EINVAL : f->state == FILCH_PENDING ? 0 : FILCH_ESTATE;
    CHECK(filch_promise_start(f->future) == expected);
    if (expected == 0) f->state = FILCH_RUNNING;
}

static void do_end(struct model *f, int code) {
    int expected = !f->is_promise ? FILCH_EINVAL : is_done(f) ? FILCH_ESTATE : 0;
    int rc = code == 0 ? filch_promise_set(f->future, &f->value, sizeof f->value)
                       : filch_promise_fail(f->future, code, "number %u", f->number);
    CHECK(rc == expected);
    if (rc != 0) return;
    f->state = FILCH_FINISHED;
    f->code = code;
}

static void do_release(struct model *f) {
    if (f->future == NULL || f->is_queued) return; /* the queue's model would be reused */
    /* What is made of a promise keeps it until it is completed. */
    if (f->is_combined && !is_done(f)) do_end(f, 0);
    filch_future_release(f->future);
    *f = (struct model){0};
}

static void do_cancel(struct model *f) {
    bool expected = f->state == FILCH_PENDING || f->state == FILCH_CANCELLED;
    CHECK(filch_future_cancel(f->future) == expected);
    if (expected) f->state = FILCH_CANCELLED;
}

static void do_request(struct model *f) {
    bool expected = f->state != FILCH_FINISHED;
    CHECK(filch_future_request_cancel(f->future) == expected);
    if (f->state == FILCH_PENDING) f->state = FILCH_CANCELLED;
    if (f->state == FILCH_RUNNING) f->asked = true;
    if (f->is_promise) CHECK(filch_promise_cancel_requested(f->future) == f->asked);
}

static int expected_code(const struct model *f) {
    return f->state == FILCH_CANCELLED ? FILCH_ECANCELED : is_done(f) ? f->code : FILCH_ETIMEDOUT;
}

static void do_callback(struct model *f) {
    f->callbacks++;
    CHECK(filch_future_add_done_callback(f->future, called_back, f) == 0);
}

/* What can be seen of one. */
static void check_future(const struct model *f) {
    uint32_t value = 12345;
    filch_snapshot look;
    filch_error error;
    int code = expected_code(f);
    CHECK(filch_future_result(f->future, &value, 0) == code);
    CHECK(value == (code == 0 ? f->value : 12345));
    CHECK(filch_future_done(f->future) == is_done(f));
    CHECK(filch_future_running(f->future) == (f->state == FILCH_RUNNING));
    CHECK(filch_future_cancelled(f->future) == (f->state == FILCH_CANCELLED));
    CHECK(filch_future_snapshot(f->future, &look) == 0 && look.state == f->state);
    CHECK(look.code == (is_done(f) ? code : 0));
    CHECK(filch_future_error(f->future, &error, 0) == (is_done(f) ? 0 : FILCH_ETIMEDOUT));
    CHECK(f->called == (is_done(f) ? f->callbacks : 0));
    if (!f->is_promise) CHECK(f->destroyed == is_done(f));
    CHECK(f->started <= (f->state == FILCH_FINISHED && !f->is_promise));
}

static void do_wait(filch_when when) {
    filch_future *futures[FUTURES];
    size_t n = 0, done = 0;
    for (int i = 0; i < FUTURES; i++) {
        if (m.futures[i].future == NULL) continue;
        futures[n++] = m.futures[i].future;
        done += is_done(&m.futures[i]);
    }
    CHECK(filch_wait(futures, n, 0, when) == (ptrdiff_t)done);
    for (size_t i = 0; i < n; i++) CHECK(filch_future_done(futures[i]) == (i < done));
}

static void do_as_completed(void) {
    filch_future *futures[FUTURES], *next;
    filch_completions *it;
    size_t n = 0, done = 0;
    for (int i = 0; i < FUTURES; i++) {
        if (m.futures[i].future == NULL) continue;
        futures[n++] = m.futures[i].future;
        done += is_done(&m.futures[i]);
    }
    CHECK(filch_as_completed(futures, n, 0, &it) == 0);
    for (size_t i = 0; i < done; i++) CHECK(filch_completions_next(it, &next) == 0);
    CHECK(filch_completions_next(it, &next) == (done == n ? FILCH_EEND : FILCH_ETIMEDOUT));
    CHECK(filch_completions_destroy(it) == 0);
}

/* all and any of two. */
static void do_combine(struct model *a, struct model *b) {
    filch_future *both[] = {a->future, b->future}, *all, *any;
    CHECK(filch_all(both, 2, &all) == 0 && filch_any(both, 2, &any) == 0);
    int code_all = filch_future_result(all, NULL, 0), code_any = filch_future_result(any, NULL, 0);
    a->is_combined = b->is_combined = true;
    bool ended = is_done(a) && is_done(b);
    bool good_a = expected_code(a) == 0, good_b = expected_code(b) == 0;
    CHECK((code_all == 0) == (good_a && good_b));
    CHECK((code_any == 0) == (good_a || good_b));
    if (ended) CHECK(code_all != FILCH_ETIMEDOUT && code_any != FILCH_ETIMEDOUT);
    filch_future_release(all);
    filch_future_release(any);
}

static void do_shutdown(bool cancel) {
    CHECK(filch_executor_shutdown(m.executor, cancel ? FILCH_CANCEL_PENDING : 0) == 0);
    m.is_shut = true;
    for (uint32_t i = 0; cancel && i < m.queued; i++)
        if (m.queue[i]->state == FILCH_PENDING) m.queue[i]->state = FILCH_CANCELLED;
}

static void call(uint8_t what, uint8_t which) {
    struct model *f = &m.futures[which % FUTURES], *g = &m.futures[which / FUTURES];
    switch (what % 20) {
    case 0:
    case 1:
    case 2: do_submit(f, what % 20 == 2); return;
    case 3: do_promise(f); return;
    case 4: do_run(); return;
    case 5: do_release(f); return;
    case 6: do_wait(FILCH_FIRST_COMPLETED); return;
    case 7: do_wait(FILCH_FIRST_ERROR); return;
    case 8: do_wait(FILCH_ALL_COMPLETED); return;
    case 9: do_as_completed(); return;
    case 10:
        if (which % 8 == 0) do_shutdown(which % 16 == 0);
        return;
    default: break;
    }
    if (f->future == NULL) return;
    switch (what % 20) {
    case 11: do_start(f); break;
    case 12: do_end(f, 0); break;
    case 13: do_end(f, CODE); break;
    case 14:
    case 15: do_cancel(f); break;
    case 16: do_request(f); break;
    case 17: do_callback(f); break;
    case 18:
        if (g->future != NULL) do_combine(f, g);
        break;
    default: break;
    }
    check_future(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (m.executor == NULL) {
        sem_init(&go, 0, 0);
        sem_init(&held, 0, 0);
        open_executor();
    }
    for (size_t i = 0; i + 1 < size && i / 2 < CALLS_MOST; i += 2) call(data[i], data[i + 1]);
    do_run();
    for (int i = 0; i < FUTURES; i++) {
        if (m.futures[i].future == NULL) continue;
        check_future(&m.futures[i]);
        do_release(&m.futures[i]);
    }
    return 0;
}
