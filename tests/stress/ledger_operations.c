/* ledger_operations.c: what a client of the long stress run does; see ledger.h.
 *
 * Flow     client_step chooses an operation by the client's own random numbers; which one, and with which sizes,
 *          depends on nothing else, so that a seed repeats it. Each operation begins with all entries of the client
 *          closed, and ends so.
 *
 * SPDX-License-Identifier: MIT */
#include "ledger_operations.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 32, CHILDREN = 5 };

struct batch {
    uint32_t n;
    struct item items[BATCH];
    filch_future *futures[BATCH]; /* of those that were accepted */
    uint32_t accepted;
};

/* Orders ---------------------------------------------------------------------------------------------- */

static uint32_t some_size(uint64_t *random) {
    static const uint32_t bounds[] = {1, 16, 64, 300, 1000, 5000, 70000, 300000};
    uint32_t choice = below(random, 64);
    uint32_t bound = bounds[choice < 60 ? choice % 5 : 5 + choice % 3];
    return below(random, bound);
}

static uint32_t take_entry(struct client *c, uint32_t n) {
    uint32_t entry = c->first + c->used;
    c->used += n;
    must(c->used <= BLOCK, "a client has too few entries");
    return entry;
}

/* An order of that kind, with as many entries as it needs. */
static void new_order(struct client *c, struct order *order, enum kind kind, uint32_t flags) {
    uint32_t children = kind == NEST ? 1 + below(&c->random, CHILDREN) : 0;
    uint32_t entry = take_entry(c, 1 + children);
    order_open(order, entry, kind, flags, next_random(&c->random));
    order->children = children;
    order->size = some_size(&c->random);
    order->answer += some_size(&c->random);
}

/* Children of a task whose worker was killed may be left open by it. */
static void clear_children(const struct order *order) {
    if ((order->flags & MAY_LOSE) == 0) return;
    for (uint32_t i = 1; i <= order->children; i++)
        filch_store_release(&book()->entries[order->entry + i].open, 0);
}

static enum kind some_kind(struct client *c, bool crash) {
    static const enum kind kinds[] = {ANSWER, ANSWER, ANSWER,   FAIL,        NEST,
                                      FORKS,  NEST,   BLOCKING, UNTIL_ASKED, CRASH};
    enum kind kind = kinds[below(&c->random, sizeof kinds / sizeof *kinds)];
    return kind == CRASH && !crash ? ANSWER : kind;
}

static filch_executor *some_executor(struct client *c, uint32_t *flags) {
    bool process = below(&c->random, 3) == 0;
    if (process && c->stage->processes != NULL) {
        *flags = c->stage->flags_processes;
        return c->stage->processes;
    }
    *flags = c->stage->flags_threads;
    return c->stage->threads;
}

/* Batches --------------------------------------------------------------------------------------------- */

static void submit_one(struct client *c, struct item *item, filch_executor *e, uint32_t flags) {
    *item = (struct item){.destructor = below(&c->random, 2) != 0};
    new_order(c, &item->order, some_kind(c, (flags & MAY_LOSE) != 0), flags);
    item->callbacks = below(&c->random, 8) == 0 ? 1 + below(&c->random, 3) : 0;
    item->order.retries = flags & MAY_LOSE ? (int32_t)below(&c->random, 3) : 0;
    item_submit(e, item);
}

static void submit_batch(struct client *c, struct batch *b, uint32_t n, filch_executor *e,
                         uint32_t flags) {
    b->n = n;
    b->accepted = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t own = flags;
        filch_executor *where = e != NULL ? e : some_executor(c, &own);
        submit_one(c, &b->items[i], where, own);
        if (b->items[i].future != NULL) b->futures[b->accepted++] = b->items[i].future;
    }
}

static void settle_one(struct client *c, struct item *item) {
    (void)item_settle(item, &c->random);
    clear_children(&item->order);
}

/* In a random order. */
static void settle_batch(struct client *c, struct batch *b) {
    uint32_t from = below(&c->random, b->n), step = below(&c->random, 2) ? 1 : b->n - 1;
    for (uint32_t i = 0; i < b->n; i++) settle_one(c, &b->items[(from + i * step) % b->n]);
}

static void some_batch(struct client *c, struct batch *b) {
    submit_batch(c, b, 1 + below(&c->random, BATCH), NULL, 0);
}

/* Operations ------------------------------------------------------------------------------------------ */

static void do_results(struct client *c) {
    struct batch b;
    some_batch(c, &b);
    settle_batch(c, &b);
}

static void do_cancel(struct client *c) {
    struct batch b;
    some_batch(c, &b);
    for (uint32_t i = 0; i < b.n; i++) {
        uint32_t choice = below(&c->random, 4);
        if (choice < 2 && b.items[i].future != NULL) item_cancel(&b.items[i], choice == 1);
    }
    settle_batch(c, &b);
}

/* What stands in the first part is done. */
static void check_parts(struct batch *b, ptrdiff_t done, filch_when when) {
    bool failed = false;
    must(done >= 0 && done <= (ptrdiff_t)b->accepted, "wait: %td: %s", done, filch_last_error());
    for (ptrdiff_t i = 0; i < done; i++) {
        filch_snapshot look;
        must(filch_future_snapshot(b->futures[i], &look) == 0 && look.state >= FILCH_FINISHED,
             "wait: number %td is not done", i);
        failed = failed || (look.state == FILCH_FINISHED && look.code != 0);
    }
    if (when == FILCH_FIRST_COMPLETED) must(done > 0, "wait: none is done");
    if (when == FILCH_FIRST_ERROR) must(failed || done == (ptrdiff_t)b->accepted, "wait: no error");
    if (when == FILCH_ALL_COMPLETED) must(done == (ptrdiff_t)b->accepted, "wait: not all");
}

static void do_wait(struct client *c) {
    static const filch_when modes[] = {FILCH_FIRST_COMPLETED, FILCH_FIRST_ERROR,
                                       FILCH_ALL_COMPLETED};
    struct batch b;
    some_batch(c, &b);
    filch_nanoseconds timeout = below(&c->random, 300000);
    filch_when when = modes[below(&c->random, 3)];
    if (b.accepted > 0) {
        ptrdiff_t done = filch_wait(b.futures, b.accepted, timeout, when);
        must(done >= 0, "wait with a time limit: %td", done);
        check_parts(&b, filch_wait(b.futures, b.accepted, FILCH_FOREVER, when), when);
    }
    settle_batch(c, &b);
}

static void do_as_completed(struct client *c) {
    struct batch b;
    bool given[BATCH] = {false};
    filch_completions *it;
    filch_future *next = NULL;
    some_batch(c, &b);
    uint32_t n = b.accepted, wanted = below(&c->random, 4) ? n : below(&c->random, n + 1);
    int rc = filch_as_completed(b.futures, n, FILCH_FOREVER, &it);
    must(rc == 0, "as_completed: %d", rc);
    for (uint32_t i = 0; i < wanted; i++) {
        rc = filch_completions_next(it, &next);
        must(rc == 0, "completions_next: %d: %s", rc, filch_last_error());
        size_t index = filch_completions_index(it);
        must(index < n && b.futures[index] == next && !given[index], "as_completed: a wrong index");
        must(filch_future_done(next), "as_completed: not done");
        given[index] = true;
    }
    if (wanted == n) must(filch_completions_next(it, &next) == FILCH_EEND, "as_completed: no end");
    (void)filch_completions_destroy(it);
    settle_batch(c, &b);
}

/* map: a generator that opens an entry for each input. */
struct inputs {
    struct client *client;
    uint32_t n, given, flags, size, answer;
    struct order orders[BATCH];
};

static bool next_input(void *context, void *arg) {
    struct inputs *in = context;
    struct client *c = in->client;
    if (in->given == in->n) return false;
    struct order *order = &in->orders[in->given++];
    order_open(order, take_entry(c, 1), below(&c->random, 5) ? ANSWER : FAIL, in->flags,
               next_random(&c->random));
    order->size = in->size;
    order->answer = in->answer;
    order_fill(order, arg);
    return true;
}

/* An input that the iteration has not given. */
static void settle_rest(const struct order *order) {
    const struct entry *e = order_entry(order);
    while (filch_load_acquire(&e->destroyed) == 0) sched_yield();
    must(filch_load_acquire(&e->began) <= 1 && filch_load_acquire(&e->destroyed) == 1,
         "map: what was given up: began %u, destroyed %u", e->began, e->destroyed);
    order_close(order);
}

static void read_map(struct inputs *in, filch_results *it, uint32_t wanted, bool chunked) {
    void *result = malloc(in->answer);
    uint32_t read = 0;
    int code = 0;
    while (read < wanted && (code = filch_results_next(it, result)) != FILCH_EEND) {
        must(read < in->given, "map: more results than inputs");
        struct order *order = &in->orders[read++];
        while (filch_load_acquire(&order_entry(order)->destroyed) == 0) sched_yield();
        /* The rest of a chunk whose worker was killed is lost, or has run, with it. */
        if (chunked && code == FILCH_EWORKER) must(in->flags & MAY_LOSE, "map: lost");
        order_judge(order, code, result, in->answer);
        order_close(order);
    }
    if (code == FILCH_EEND && (in->flags & MAY_CANCEL) == 0)
        must(read == in->n, "map: the end after %u of %u", read, in->n);
    (void)filch_results_destroy(it);
    for (; read < in->given; read++) settle_rest(&in->orders[read]);
    free(result);
}

static void do_map(struct client *c) {
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    filch_results *it = NULL;
    struct inputs in = {.client = c, .n = 1 + below(&c->random, BATCH)};
    filch_executor *e = some_executor(c, &in.flags);
    in.size = some_size(&c->random);
    in.answer = (uint32_t)sizeof(uint64_t) + some_size(&c->random) / 2 * 2;
    spec.fn = order_run;
    spec.next = next_input;
    spec.next_context = &in;
    spec.arg_size = sizeof(struct order) + in.size;
    spec.result_size = in.answer;
    spec.chunk_size = below(&c->random, 6);
    spec.buffer_size = below(&c->random, 5);
    spec.arg_destroy = order_destroy;
    uint32_t wanted = below(&c->random, 3) ? UINT32_MAX : below(&c->random, in.n);
    int rc = filch_map(e, &spec, &it);
    if (rc == 0) {
        read_map(&in, it, wanted, spec.chunk_size > 1);
        return;
    }
    must(rc == FILCH_ESHUTDOWN && (in.flags & MAY_CANCEL), "map: %d: %s", rc, filch_last_error());
    for (uint32_t i = 0; i < in.given; i++) settle_rest(&in.orders[i]);
}

/* then: runs if and only if the first has succeeded. */
static int run_then(filch_future *done, void *arg, void *result) {
    must(filch_future_result(done, NULL, 0) == 0, "then: after a failure");
    return order_run(arg, result);
}

static void judge_then(const struct item *second, int first, int code) {
    const void *data = NULL;
    size_t size = 0;
    const struct entry *e = order_entry(&second->order);
    if (second->cancel_won) must(code == FILCH_ECANCELED, "then: cancelled: %d", code);
    if (first == 0 || second->cancel_won) {
        (void)filch_future_result_view(second->future, &data, &size);
        order_judge(&second->order, code, data, size);
        return;
    }
    must(code == first, "then: %d after %d", code, first);
    must(filch_load_acquire(&e->began) == 0, "then: it ran after a failure");
}

static void do_then(struct client *c) {
    uint32_t flags = 0;
    filch_executor *e = some_executor(c, &flags);
    struct item first, second = {0};
    submit_one(c, &first, e, flags);
    new_order(c, &second.order, ANSWER, c->stage->flags_threads);
    second.order.answer = second.order.answer / 2 * 2;
    if (first.future != NULL) {
        void *bytes = malloc(order_size(&second.order));
        order_fill(&second.order, bytes);
        int rc = filch_then(first.future, c->stage->threads, run_then, bytes,
                            order_size(&second.order), second.order.answer, &second.future);
        must(rc == 0, "then: %d: %s", rc, filch_last_error());
        free(bytes);
        if (below(&c->random, 5) == 0) item_cancel(&second, false);
        int code = filch_future_result(second.future, NULL, FILCH_FOREVER);
        /* A cancelled one is done before the other. */
        int before = second.cancel_won ? 0 : filch_future_result(first.future, NULL, 0);
        judge_then(&second, before, code);
        filch_future_release(second.future);
    }
    order_close(&second.order);
    settle_one(c, &first);
}

static void do_combine(struct client *c) {
    struct batch b;
    filch_future *all, *any;
    size_t index = SIZE_MAX;
    bool good = true, some = false;
    some_batch(c, &b);
    if (b.accepted > 0) {
        must(filch_all(b.futures, b.accepted, &all) == 0, "all");
        must(filch_any(b.futures, b.accepted, &any) == 0, "any");
        int any_code = filch_future_result(any, &index, FILCH_FOREVER);
        if (any_code == 0)
            must(index < b.accepted && filch_future_result(b.futures[index], NULL, 0) == 0, "any");
        int all_code = filch_future_result(all, NULL, FILCH_FOREVER);
        for (uint32_t i = 0; i < b.accepted; i++) {
            int code = filch_future_result(b.futures[i], NULL, FILCH_FOREVER);
            good = good && code == 0;
            some = some || code == 0;
        }
        must(good == (all_code == 0), "all: %d", all_code);
        must(some == (any_code == 0), "any: %d", any_code);
        filch_future_release(all);
        filch_future_release(any);
    }
    settle_batch(c, &b);
}

/* Promises: a task and the client both try to end one. */
struct setter {
    filch_future *promise;
    uint32_t *won;
};
static int set_promise(void *arg, void *result) {
    struct setter *setter = arg;
    uint64_t value = 7;
    (void)result;
    int rc = filch_promise_set(setter->promise, &value, sizeof value);
    must(rc == 0 || rc == FILCH_ESTATE, "promise_set: %d", rc);
    if (rc == 0) (void)filch_fetch_add_acq_rel(setter->won, 1);
    return 0;
}
static void release_promise(void *arg) {
    filch_future_release(((struct setter *)arg)->promise);
}

static void end_promise(struct client *c, filch_future *promise, uint32_t *won) {
    uint32_t choice = below(&c->random, 4);
    if (choice == 0 && filch_future_cancel(promise)) (void)filch_fetch_add_acq_rel(won, 1);
    if (choice == 1 && filch_promise_fail(promise, 9, "no %d", 9) == 0)
        (void)filch_fetch_add_acq_rel(won, 1);
}

static void do_promise(struct client *c) {
    filch_task task = FILCH_TASK_INIT;
    filch_future *promise, *f = NULL;
    uint32_t won = 0;
    struct item other;
    must(filch_promise(sizeof(uint64_t), &promise) == 0, "promise");
    struct setter setter = {filch_future_retain(promise), &won};
    task.fn = set_promise;
    task.arg = &setter;
    task.arg_size = sizeof setter;
    task.arg_destroy = release_promise;
    submit_one(c, &other, c->stage->threads, c->stage->flags_threads);
    int rc = filch_submit_task(c->stage->threads, &task, &f);
    end_promise(c, promise, &won);
    if (rc != 0) filch_future_release(promise);
    if (f != NULL && filch_future_result(f, NULL, FILCH_FOREVER) != 0) rc = FILCH_ECANCELED;
    if (rc != 0 && filch_load_acquire(&won) == 0 && filch_promise_fail(promise, 9, NULL) == 0)
        (void)filch_fetch_add_acq_rel(&won, 1);
    if (rc != 0) must(c->stage->flags_threads & MAY_CANCEL, "promise: its task: %d", rc);
    filch_future *both[] = {promise, other.future};
    ptrdiff_t n = other.future != NULL ? 2 : 1;
    must(filch_wait(both, (size_t)n, FILCH_FOREVER, FILCH_ALL_COMPLETED) == n, "promise: wait");
    must(filch_load_acquire(&won) == 1, "a promise was ended %u times", won);
    filch_future_release(promise);
    if (f != NULL) filch_future_release(f);
    settle_one(c, &other);
}

/* Detached tasks, one of them submitted by a callback. */
struct chain {
    filch_executor *executor;
    struct order order;
};
static void submit_detached(filch_executor *e, struct order *order) {
    filch_task task = FILCH_TASK_INIT;
    void *bytes = malloc(order_size(order));
    order_fill(order, bytes);
    task.fn = order_run;
    task.arg = bytes;
    task.arg_size = order_size(order);
    task.result_size = order->answer;
    task.arg_destroy = order_destroy;
    int rc = filch_submit_task(e, &task, NULL);
    if (rc == FILCH_ESHUTDOWN && (order->flags & MAY_CANCEL))
        filch_store_release(&order_entry(order)->refused, 1);
    else
        must(rc == 0, "a detached submit: %d: %s", rc, filch_last_error());
    free(bytes);
}
static void go_on(filch_future *future, void *context) {
    struct chain *chain = context;
    must(filch_future_done(future), "a callback of a future that is not done");
    submit_detached(chain->executor, &chain->order);
}
static void settle_detached(const struct order *order) {
    struct entry *e = order_entry(order);
    while (!filch_load_acquire(&e->refused) && !filch_load_acquire(&e->destroyed)) sched_yield();
    uint32_t began = filch_load_acquire(&e->began), ended = filch_load_acquire(&e->ended);
    bool lossy = order->flags & MAY_LOSE, lenient = order->flags & (MAY_LOSE | MAY_CANCEL);
    must(began <= 1 && (lossy || began == ended) && (lenient || began == 1),
         "a detached task: began %u, ended %u", began, ended);
    order_close(order);
}

static void do_chain(struct client *c) {
    struct item first;
    struct chain chain;
    struct order alone;
    uint32_t flags = 0;
    chain.executor = some_executor(c, &flags);
    new_order(c, &chain.order, ANSWER, flags);
    chain.order.answer = chain.order.answer / 2 * 2;
    new_order(c, &alone, ANSWER, flags);
    alone.answer = alone.answer / 2 * 2;
    submit_detached(chain.executor, &alone);
    submit_one(c, &first, c->stage->threads, c->stage->flags_threads);
    if (first.future != NULL)
        must(filch_future_add_done_callback(first.future, go_on, &chain) == 0, "a callback");
    else
        filch_store_release(&order_entry(&chain.order)->refused, 1);
    settle_detached(&chain.order);
    settle_detached(&alone);
    settle_one(c, &first);
}

/* Fork-join from outside. */
static int count_range(int64_t begin, int64_t end, void *context) {
    (void)filch_fetch_add_relaxed((uint64_t *)context, (uint64_t)(end - begin));
    return 0;
}

static void do_loop(struct client *c) {
    uint64_t sum = 0;
    int64_t n = below(&c->random, 5000);
    int rc = filch_parallel_for(c->stage->threads, 0, n, below(&c->random, 2), count_range, &sum);
    bool may_fail = c->stage->flags_threads & MAY_CANCEL;
    if (rc == 0) must(sum == (uint64_t)n, "parallel_for: %llu", (unsigned long long)sum);
    must(rc == 0 || (may_fail && (rc == FILCH_ESHUTDOWN || rc == FILCH_ECANCELED)),
         "parallel_for: %d: %s", rc, filch_last_error());
}

/* An executor of the client's own, which it ends while tasks are pending. */
static filch_executor *new_executor(struct client *c, uint32_t *flags) {
    filch_executor *e = NULL;
    int rc;
    if (c->stage->processes != NULL && below(&c->random, 6) == 0) {
        filch_process_options options = FILCH_PROCESS_OPTIONS_INIT;
        options.max_workers = 1 + (int)below(&c->random, 2);
        options.max_tasks_per_worker = (int)below(&c->random, 8);
        if (below(&c->random, 3) == 0) *flags |= MAY_LOSE;
        rc = filch_process_executor(&options, &e);
    } else {
        filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
        options.max_workers = 1 + (int)below(&c->random, 3);
        options.spin = below(&c->random, 2) ? -1 : 0;
        rc = filch_thread_executor(&options, &e);
    }
    must(rc == 0, "an executor: %d: %s", rc, filch_last_error());
    return e;
}

static void do_own_executor(struct client *c) {
    struct batch b;
    uint32_t way = below(&c->random, 4), flags = way < 2 ? MAY_CANCEL : way == 3 ? MAY_REFUSE : 0;
    filch_executor *e = new_executor(c, &flags);
    submit_batch(c, &b, 1 + below(&c->random, BATCH), e, flags);
    if ((flags & MAY_LOSE) && below(&c->random, 2))
        must(filch_executor_kill_workers(e) == 0, "kill_workers");
    if (way == 0)
        must(filch_executor_shutdown(e, FILCH_CANCEL_PENDING) == 0, "shutdown");
    else if (way == 1)
        must(filch_executor_shutdown(e, FILCH_CANCEL_PENDING | FILCH_WAIT) == 0, "shutdown");
    else if (way == 2)
        settle_batch(c, &b);
    must(filch_executor_destroy(e) == 0, "destroy");
    if (way != 2) settle_batch(c, &b);
}

/* Choice ---------------------------------------------------------------------------------------------- */

static const struct operation {
    const char *name;
    void (*run)(struct client *c);
} operations[] = {
    {"results", do_results}, {"results", do_results},
    {"cancel", do_cancel},   {"cancel", do_cancel},
    {"wait", do_wait},       {"as_completed", do_as_completed},
    {"map", do_map},         {"map", do_map},
    {"then", do_then},       {"combine", do_combine},
    {"promise", do_promise}, {"chain", do_chain},
    {"loop", do_loop},       {"own executor", do_own_executor},
};

void client_step(struct client *c) {
    uint64_t choice = next_random(&c->random);
    uint32_t number = (uint32_t)(choice % (sizeof operations / sizeof *operations));
    /* What is drawn inside an operation depends on this draw alone, not on how the one before went. */
    uint64_t kept = c->random;
    c->choices = c->choices * 31 + number;
    c->used = 0;
    c->random = ~choice;
    filch_store_release(&c->doing, operations[number].name);
    operations[number].run(c);
    filch_store_release(&c->doing, "nothing");
    c->random = kept;
}
