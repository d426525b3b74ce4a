/* contestant_glib.c: GLib's GThreadPool in the race.
 *
 * The pool is exclusive, as its documentation advises where threads are to be there from the start. It
 * has no futures and no wait: results are written to a record per task, which the caller provides, and
 * a counter of unfinished tasks with a mutex and a condition variable tells when a batch is done. A
 * task that waits blocks its thread, so that there is no tree, and inside takes two threads.
 *
 * Orders: none of its own. g_atomic_int_dec_and_test is sequentially consistent, and the last one to
 * count down hands over under the mutex.
 *
 * SPDX-License-Identifier: MIT */
#include "contestant.h"

#include <glib.h>

/* The end of one batch. */
typedef struct latch {
    gint unfinished;
    GMutex lock;
    GCond done_changed;
    bool done; /* under lock */
} latch;

typedef struct record {
    task_fn *fn;
    uint64_t arg;
    uint64_t value;
    latch *end;
    int code;
} record;

static void run_record(gpointer data, gpointer user_data) {
    record *task = data;
    latch *end = task->end;
    (void)user_data;
    task->code = task->fn(&task->arg, &task->value);
    if (!g_atomic_int_dec_and_test(&end->unfinished)) return;
    g_mutex_lock(&end->lock);
    end->done = true;
    g_cond_signal(&end->done_changed);
    g_mutex_unlock(&end->lock); /* from here on the latch may be gone */
}

static void open_latch(latch *end, size_t tasks) {
    *end = (latch){.unfinished = (gint)tasks, .done = tasks == 0};
    g_mutex_init(&end->lock);
    g_cond_init(&end->done_changed);
}

static void await_latch(latch *end) {
    g_mutex_lock(&end->lock);
    while (!end->done) g_cond_wait(&end->done_changed, &end->lock);
    g_mutex_unlock(&end->lock);
    g_cond_clear(&end->done_changed);
    g_mutex_clear(&end->lock);
}

static size_t count_wrong(const bench_batch *batch, const record *records) {
    size_t wrong = 0;
    uint64_t expected = batch->expected;
    for (size_t i = 0; i < batch->tasks; i++, expected += batch->step)
        wrong += records[i].code != 0 || records[i].value != expected;
    return wrong;
}

/* A push that could start no thread has queued the task all the same: its error is of no interest. */
static size_t run_batch(void *pool, const bench_batch *batch, void *memory) {
    record *records = memory;
    uint64_t arg = batch->arg;
    latch end;
    open_latch(&end, batch->tasks);
    for (size_t i = 0; i < batch->tasks; i++, arg += batch->step) {
        records[i] = (record){batch->fn, arg, 0, &end, 0};
        g_thread_pool_push(pool, &records[i], NULL);
    }
    if (batch->submitted != NULL) batch->submitted(batch->context);
    await_latch(&end);
    return count_wrong(batch, records);
}

typedef struct inside_arg {
    void *pool;
    const bench_batch *batch;
    void *memory;
} inside_arg;

static int inside_task(void *arg, void *result) {
    uint64_t address = *(const uint64_t *)arg;
    const inside_arg *inside = (const inside_arg *)(uintptr_t)address;
    *(uint64_t *)result = run_batch(inside->pool, inside->batch, inside->memory);
    return 0;
}

static size_t run_inside(void *pool, const bench_batch *batch, void *memory) {
    inside_arg arg = {pool, batch, memory};
    latch end;
    record root = {inside_task, (uintptr_t)&arg, 0, &end, 0};
    open_latch(&end, 1);
    g_thread_pool_push(pool, &root, NULL);
    await_latch(&end);
    return (size_t)root.value;
}

static bool create(int workers, void **pool) {
    *pool = g_thread_pool_new(run_record, NULL, workers, TRUE, NULL);
    return *pool != NULL;
}

static void destroy(void *pool) {
    g_thread_pool_free(pool, FALSE, TRUE);
}

const bench_contestant contestant_glib = {
    .name = "GLib",
    .handle_size = sizeof(record),
    .own_size = sizeof(record),
    .inside_workers = 2,
    .create = create,
    .destroy = destroy,
    .run_batch = run_batch,
    .run_inside = run_inside,
    .ports = &forkjoin_glib,
};
