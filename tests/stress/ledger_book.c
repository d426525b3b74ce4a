/* ledger_book.c: see ledger.h: the entries, the tasks, the verdicts.
 *
 * Not here: what is submitted when (ledger_operations.c).
 *
 * SPDX-License-Identifier: MIT */
#include "ledger.h"

#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CODE_FAIL = 41, CODE_CHILD = 42, CODE_ASKED = 43, CODE_DAMAGED = 44, NEST_MOST = 16 };

enum fault ledger_fault = FAULT_NONE;
static struct shared book_handle;
static struct book *the_book;

/* The book -------------------------------------------------------------------------------------------- */

void book_create(void) {
    book_handle = shared_alloc(sizeof(struct book));
    the_book = shared_at(book_handle);
}

struct book *book(void) {
    return the_book;
}

static bool in_worker(void) {
    return book_handle.pid != (int32_t)getpid();
}

void wrong(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "ledger: WRONG: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    if (!in_worker()) abort();
    (void)filch_fetch_add_acq_rel(&the_book->faults, 1);
}

uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* Bytes ----------------------------------------------------------------------------------------------- */

static void fill(unsigned char *bytes, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n; i += sizeof seed) {
        uint64_t word = next_random(&seed);
        memcpy(bytes + i, &word, n - i < sizeof word ? n - i : sizeof word);
    }
}

static uint64_t sum_of(const unsigned char *bytes, size_t n) {
    uint64_t sum = n;
    for (size_t i = 0; i < n; i++) sum = (sum ^ bytes[i]) * 0x100000001b3;
    return sum;
}

/* An answer: a sum of the payload, then random bytes that both sides can make. */
static void write_answer(const struct order *order, uint64_t sum, void *bytes) {
    memcpy(bytes, &sum, sizeof sum);
    fill((unsigned char *)bytes + sizeof sum, order->answer - sizeof sum, order->seed + 1);
}

static bool is_answer(const struct order *order, const void *data, size_t size) {
    unsigned char *expected = malloc(order->answer);
    if (expected == NULL || size != order->answer) {
        free(expected);
        return false;
    }
    write_answer(order, order->sum, expected);
    bool same = memcmp(expected, data, size) == 0;
    free(expected);
    return same;
}

/* Orders ---------------------------------------------------------------------------------------------- */

void order_open(struct order *order, uint32_t entry, enum kind kind, uint32_t flags,
                uint64_t seed) {
    struct entry *e = &the_book->entries[entry];
    if ((flags & LOOSE) == 0) must(e->open == 0, "entry %u is opened twice", entry);
    *order = (struct order){.book = book_handle, .entry = entry, .kind = kind, .flags = flags};
    order->seed = seed;
    order->answer = sizeof order->sum;
    order->serial = filch_load_relaxed(&e->serial) + 1;
    filch_store_relaxed(&e->kind, (uint32_t)kind);
    filch_store_relaxed(&e->flags, flags);
    filch_store_relaxed(&e->began, 0);
    filch_store_relaxed(&e->ended, 0);
    filch_store_relaxed(&e->destroyed, 0);
    filch_store_relaxed(&e->called, 0);
    filch_store_relaxed(&e->refused, 0);
    filch_store_release(&e->serial, order->serial);
    filch_store_release(&e->open, 1);
}

void order_fill(struct order *order, void *bytes) {
    unsigned char *payload = (unsigned char *)bytes + sizeof *order;
    fill(payload, order->size, order->seed);
    order->sum = sum_of(payload, order->size);
    memcpy(bytes, order, sizeof *order);
}

void order_close(const struct order *order) {
    struct entry *e = order_entry(order);
    uint32_t open = 1;
    if (!filch_cas_acq_rel(&e->open, &open, 0)) must(order->flags & LOOSE, "closed twice");
    (void)filch_fetch_add_relaxed(&the_book->closed, 1);
}

/* Tasks ----------------------------------------------------------------------------------------------- */

/* The order's own entry; NULL: nothing is counted for it. */
static struct entry *find_entry(const struct order *order) {
    struct entry *e = order_entry(order);
    if (order->flags & LOOSE) return NULL;
    if (filch_load_acquire(&e->serial) == order->serial && filch_load_acquire(&e->open)) return e;
    (void)filch_fetch_add_acq_rel(&the_book->stale, 1);
    return NULL;
}

/* Only where workers are killed: others share the book. */
static void take_seat(const struct order *order) {
    int index = filch_worker_index();
    if (!in_worker() || index < 0 || (order->flags & MAY_LOSE) == 0) return;
    struct seat *seat = &the_book->seats[index % SEATS];
    filch_store_relaxed(&seat->session, (int)getsid(0));
    filch_store_release(&seat->pid, (int)getpid());
}

/* The sum over children, which are submitted here and awaited in one of four ways. */
static int run_children(const struct order *order) {
    struct item items[NEST_MOST];
    filch_future *futures[NEST_MOST];
    uint64_t random = order->seed;
    uint32_t n = order->children, flags = order->flags, way = below(&random, 4);
    int code = 0;
    if (in_worker() && (flags & MAY_LOSE)) flags |= LOOSE;
    for (uint32_t i = 0; i < n; i++) {
        items[i] = (struct item){.destructor = !in_worker()};
        order_open(&items[i].order, order->entry + 1 + i, below(&random, 4) == 0 ? FAIL : ANSWER,
                   flags, next_random(&random));
        items[i].order.size = below(&random, 300);
        item_submit(filch_current_executor(), &items[i]);
        futures[i] = items[i].future;
        if (items[i].future != NULL && below(&random, 8) == 0) item_cancel(&items[i], false);
    }
    bool all = true;
    for (uint32_t i = 0; i < n; i++) all = all && futures[i] != NULL;
    if (all && way == 1) {
        ptrdiff_t done = filch_wait(futures, n, FILCH_FOREVER, FILCH_ALL_COMPLETED);
        must(done == (ptrdiff_t)n, "a wait in a task: %td: %s", done, filch_last_error());
    } else if (all && way == 2) {
        filch_completions *it;
        filch_future *next;
        uint32_t given = 0;
        int rc = filch_as_completed(futures, n, FILCH_FOREVER, &it);
        must(rc == 0, "as_completed in a task: %d", rc);
        while (rc == 0 && (rc = filch_completions_next(it, &next)) == 0) given++;
        must(rc == FILCH_EEND && given == n, "as_completed in a task: %d, %u", rc, given);
        (void)filch_completions_destroy(it);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct item *item = &items[way == 3 ? n - 1 - i : i];
        int rc = item_settle(item, &random);
        if (rc == FILCH_EWORKER || rc == FILCH_ESHUTDOWN) code = CODE_CHILD;
        if (rc == FILCH_ECANCELED && !item->cancel_won) code = CODE_CHILD;
    }
    return code;
}

/* Fork-join: a sum that is known. */
static int add_up(void *arg, void *result) {
    const uint32_t *n = arg;
    uint64_t *sum = result, right = 0;
    uint32_t left = *n / 2, rest = *n - left;
    filch_frame frame;
    if (*n <= 1) {
        *sum = *n;
        return 0;
    }
    *sum = 0;
    filch_fork(&frame, add_up, &left, sum);
    int own = add_up(&rest, &right), rc = filch_join(&frame);
    *sum += right;
    return rc != 0 ? rc : own;
}

static int run_forks(const struct order *order) {
    uint32_t n = 64 + (uint32_t)(order->seed & 511);
    uint64_t sum = 0;
    int rc = add_up(&n, &sum);
    if (rc == 0) must(sum == n, "fork-join: %llu of %u", (unsigned long long)sum, n);
    return rc;
}

/* Until it is asked to end, or has waited for some time. */
static int run_until_asked(void) {
    for (int i = 0; i < 2000; i++) {
        if (filch_cancel_requested()) return CODE_ASKED;
        sched_yield();
    }
    return 0;
}

static int run_kind(const struct order *order, uint32_t run) {
    switch (order->kind) {
    case FAIL: return filch_fail(CODE_FAIL, "order %u of entry %u", order->serial, order->entry);
    case NEST: return run_children(order);
    case FORKS: return run_forks(order);
    case UNTIL_ASKED: return run_until_asked();
    case BLOCKING:
        must(filch_blocking_begin() == 0, "blocking_begin");
        usleep((useconds_t)(order->seed & 511));
        must(filch_blocking_end() == 0, "blocking_end");
        return 0;
    case CRASH:
        if (run <= (order->seed & 1) + 1) raise(SIGKILL);
        return 0;
    default: return 0;
    }
}

/* In a worker process, which runs one task at a time. */
static void enter_worker(struct shared handle) {
    book_handle = handle;
    the_book = shared_at(handle);
}

int order_run(void *arg, void *result) {
    const struct order *order = arg;
    if (the_book == NULL) enter_worker(order->book);
    struct entry *e = find_entry(order);
    uint32_t run = e == NULL ? 1 : filch_fetch_add_acq_rel(&e->began, 1) + 1;
    take_seat(order);
    uint64_t sum = sum_of((const unsigned char *)arg + sizeof *order, order->size);
    int code = run_kind(order, run);
    if (code == 0 && sum != order->sum) code = CODE_DAMAGED;
    if (e != NULL) (void)filch_fetch_add_acq_rel(&e->ended, 1);
    if (code != 0) return code;
    /* Small results stand in the task's own bytes; half of the others are made apart. */
    void *bytes = order->answer % 2 == 0 ? result : filch_result_alloc(order->answer);
    must(bytes != NULL, "no result of %u bytes", order->answer);
    if (bytes != NULL) write_answer(order, sum, bytes);
    return 0;
}

void order_destroy(void *arg) {
    const struct order *order = arg;
    (void)filch_fetch_add_acq_rel(&order_entry(order)->destroyed, 1);
}

void order_called(filch_future *future, void *context) {
    struct entry *e = context;
    must(filch_future_done(future), "a callback of a future that is not done");
    (void)filch_fetch_add_acq_rel(&e->called, 1);
}

/* Items ----------------------------------------------------------------------------------------------- */

static void damage(struct item *item) {
    static uint32_t orders;
    uint32_t number = filch_fetch_add_relaxed(&orders, 1);
    if (number != 100 && (ledger_fault != FAULT_WRONG || number < 100)) return;
    if (ledger_fault == FAULT_WRONG) item->order.seed++;
    /* As if the end of the task were never told. */
    if (ledger_fault == FAULT_LOST) must(filch_promise(0, &item->future) == 0, "promise");
    if (ledger_fault == FAULT_TWICE)
        (void)filch_fetch_add_relaxed(&order_entry(&item->order)->began, 1);
}

void item_submit(filch_executor *executor, struct item *item) {
    filch_task task = FILCH_TASK_INIT;
    void *bytes = malloc(order_size(&item->order));
    must(bytes != NULL, "no memory");
    order_fill(&item->order, bytes);
    task.fn = order_run;
    task.arg = bytes;
    task.arg_size = order_size(&item->order);
    task.result_size = item->order.answer % 2 == 0 ? item->order.answer : 0;
    task.name = "order";
    task.retries = item->order.retries;
    if (item->destructor) task.arg_destroy = order_destroy;
    item->submitted = filch_submit_task(executor, &task, &item->future);
    free(bytes);
    if (item->submitted != 0) item->future = NULL;
    if (ledger_fault != FAULT_NONE) damage(item);
    for (uint32_t i = 0; i < item->callbacks && item->future != NULL; i++)
        must(filch_future_add_done_callback(item->future, order_called,
                                            order_entry(&item->order)) == 0,
             "add_done_callback");
}

void item_cancel(struct item *item, bool request) {
    if (request) {
        (void)filch_future_request_cancel(item->future);
        item->asked = true;
    } else if (filch_future_cancel(item->future)) {
        item->cancel_won = true;
    } else {
        item->cancel_lost = true;
    }
}

/* Verdicts -------------------------------------------------------------------------------------------- */

#define BAD(text)                                                                                  \
    wrong("%s: entry %u, serial %u, kind %u, flags %u: code %d, began %u, ended %u, destroyed %u", \
          text, order->entry, order->serial, order->kind, order->flags, code,                      \
          filch_load_relaxed(&e->began), filch_load_relaxed(&e->ended),                            \
          filch_load_relaxed(&e->destroyed))

static void note(uint64_t *counter) {
    (void)filch_fetch_add_relaxed(counter, 1);
}

static void judge_runs(const struct order *order, int code) {
    const struct entry *e = order_entry(order);
    uint32_t began = filch_load_acquire(&e->began), ended = filch_load_acquire(&e->ended);
    uint32_t most = order->flags & MAY_LOSE ? 1 + (uint32_t)order->retries : 1;
    if (order->flags & LOOSE) return;
    if (began == 0 || ended == 0) BAD("an end without a run");
    if (began > most) BAD("it ran too often");
    if (ended > began || (most == 1 && ended != began)) BAD("runs without an end");
}

static void judge_loss(const struct order *order, int code) {
    const struct entry *e = order_entry(order);
    if ((order->flags & MAY_LOSE) == 0) BAD("lost, and no worker was killed");
    if (filch_load_acquire(&e->began) > 1 + (uint32_t)order->retries) BAD("it ran too often");
    note(&the_book->lost);
}

static void judge_unstarted(const struct order *order, int code) {
    const struct entry *e = order_entry(order);
    if ((order->flags & LOOSE) == 0 && filch_load_acquire(&e->began) != 0) BAD("it ran");
}

static bool is_expected(const struct order *order, int code) {
    switch (code) {
    case CODE_FAIL: return order->kind == FAIL;
    case CODE_CHILD:
        return order->kind == NEST && (order->flags & (MAY_CANCEL | MAY_LOSE | MAY_REFUSE)) != 0;
    case CODE_ASKED: return order->kind == UNTIL_ASKED;
    default: return false;
    }
}

void order_judge(const struct order *order, int code, const void *data, size_t size) {
    const struct entry *e = order_entry(order);
    if (code == 0) {
        if (order->kind == FAIL) BAD("it must fail");
        if (!is_answer(order, data, size)) BAD("a wrong result");
        judge_runs(order, code);
        note(&the_book->results);
    } else if (code > 0) {
        if (!is_expected(order, code)) BAD("an unexpected error");
        judge_runs(order, code);
        note(&the_book->errors);
    } else if (code == FILCH_ECANCELED) {
        judge_unstarted(order, code);
        note(&the_book->cancelled);
    } else if (code == FILCH_ESHUTDOWN) {
        if ((order->flags & (MAY_CANCEL | MAY_REFUSE)) == 0)
            BAD("refused, and nobody has shut down");
        judge_unstarted(order, code);
        note(&the_book->refused);
    } else if (code == FILCH_EWORKER) {
        judge_loss(order, code);
    } else {
        wrong("%s: %s", filch_error_name(code), filch_last_error());
    }
}

/* A cancelled future against an ECANCELED that the task's own forks have made. */
static void judge_cancel(const struct item *item, int code) {
    const struct order *order = &item->order;
    const struct entry *e = order_entry(order);
    bool cancelled = filch_future_cancelled(item->future);
    if (cancelled != (code == FILCH_ECANCELED)) BAD("cancelled, and another code");
    if (item->cancel_won && !cancelled) BAD("a cancel has won, and it is not cancelled");
    if (item->cancel_lost && cancelled) BAD("a cancel has lost, and it is cancelled");
    if (cancelled && !item->cancel_won && !item->asked && (order->flags & MAY_CANCEL) == 0)
        BAD("cancelled, and nobody has asked");
}

static bool stopped_by_request(const struct item *item, int code) {
    return code == FILCH_ECANCELED && item->order.kind == FORKS && item->asked &&
           !filch_future_cancelled(item->future);
}

static void judge_text(const struct item *item, int code) {
    filch_error error;
    char text[64];
    snprintf(text, sizeof text, "order %u of entry %u", item->order.serial, item->order.entry);
    must(filch_future_error(item->future, &error, 0) == 0 && error.code == code,
         "error(): %d, not %d", error.code, code);
    if (code == CODE_FAIL) must(strcmp(error.text, text) == 0, "%s, not %s", error.text, text);
}

static int await(struct item *item, uint64_t *random) {
    static const filch_nanoseconds steps[] = {0, 1000, 100000, FILCH_FOREVER};
    int rc = FILCH_ETIMEDOUT;
    for (uint32_t step = below(random, 4); rc == FILCH_ETIMEDOUT && step < 4; step++)
        rc = below(random, 2) ? filch_future_result(item->future, NULL, steps[step])
                              : filch_future_result_isolated(item->future, NULL, steps[step]);
    return rc;
}

int item_settle(struct item *item, uint64_t *random) {
    struct entry *e = order_entry(&item->order);
    const struct order *order = &item->order;
    const void *data = NULL;
    size_t size = 0;
    int code = item->submitted;
    if (item->future == NULL) {
        order_judge(order, code, NULL, 0);
        if (filch_load_acquire(&e->destroyed) != 0) BAD("refused, and destroyed");
        order_close(order);
        return code;
    }
    code = await(item, random);
    int seen = filch_future_result_view(item->future, &data, &size);
    if (seen != code) BAD("two codes");
    must(filch_future_done(item->future), "a result of what is not done");
    if (item->destructor && filch_load_acquire(&e->destroyed) != 1) BAD("not destroyed once");
    if (stopped_by_request(item, code)) {
        judge_runs(order, code);
        note(&the_book->errors);
    } else {
        judge_cancel(item, code);
        order_judge(order, code, data, size);
    }
    judge_text(item, code);
    while (filch_load_acquire(&e->called) < item->callbacks) sched_yield();
    if (filch_load_acquire(&e->called) != item->callbacks) BAD("a callback too many");
    filch_future_release(item->future);
    order_close(order);
    return code;
}
