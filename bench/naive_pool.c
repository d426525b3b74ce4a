/* naive_pool.c: one mutex, one condition variable, one linked list.
 *
 * What a competent C programmer writes in an afternoon, and no worse: nothing here is slow on
 * purpose. Workers are started up front; a submit wakes at most one of them, after the unlock, so
 * that it does not wake into a held mutex; task, future, argument and result are one allocation;
 * nothing is initialised twice or copied needlessly. There is no spinning, no batching, no second
 * queue: those are where the afternoon ends.
 *
 * Flow: submit appends to the list and signals; run_worker takes the first task, runs it without the
 * lock, and completes its future; naive_future_result waits for that.
 *
 * State
 *   pool:    head, tail, stopping, under pool->lock
 *   future:  done, code, under future->lock; the result bytes are the worker's until done is set and
 *            the waiter's from then on; next is under pool->lock
 *
 * Memory: the waiter frees the future as soon as it has seen `done`. complete() therefore signals
 * before it unlocks: once the mutex is free, the future may be gone. Its unlock is the worker's last
 * touch, and POSIX lets the next owner of a mutex destroy it from then on.
 *
 * Not here: glibc bug 25847 (a condition variable may lose a signal, very rarely) is not worked
 * around, since nobody does; the benchmark's watchdog names a run that it has hung.
 *
 * SPDX-License-Identifier: MIT */
#include "naive_pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct naive_future {
    naive_future *next;
    naive_task_fn *fn;
    size_t result_offset;
    size_t result_size;
    pthread_mutex_t lock;
    pthread_cond_t finished;
    bool done;
    int code;
    _Alignas(max_align_t) unsigned char bytes[]; /* the argument, then the result */
};

struct naive_pool {
    pthread_mutex_t lock;
    pthread_cond_t work; /* the list is not empty, or stopping is set */
    naive_future *head;
    naive_future *tail;
    bool stopping;
    int workers;
    pthread_t threads[];
};

/* Waits for the first task of the list; NULL when the pool stops and the list is empty. */
static naive_future *take_task(naive_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    while (pool->head == NULL && !pool->stopping) pthread_cond_wait(&pool->work, &pool->lock);
    naive_future *task = pool->head;
    if (task != NULL) {
        pool->head = task->next;
        if (pool->head == NULL) pool->tail = NULL;
    }
    pthread_mutex_unlock(&pool->lock);
    return task;
}

static void complete(naive_future *future, int code) {
    pthread_mutex_lock(&future->lock);
    future->code = code;
    future->done = true;
    pthread_cond_signal(&future->finished);
    pthread_mutex_unlock(&future->lock); /* from here on the waiter may have freed it */
}

static void *run_worker(void *arg) {
    naive_pool *pool = arg;
    for (naive_future *task; (task = take_task(pool)) != NULL;)
        complete(task, task->fn(task->bytes, task->bytes + task->result_offset));
    return NULL;
}

/* Ends and joins the workers that were started, and frees the pool. */
static void stop(naive_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_broadcast(&pool->work);
    for (int i = 0; i < pool->workers; i++) pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

naive_pool *naive_pool_create(int workers) {
    naive_pool *pool = calloc(1, sizeof *pool + (size_t)workers * sizeof pool->threads[0]);
    if (pool == NULL) return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    while (pool->workers < workers) {
        if (pthread_create(&pool->threads[pool->workers], NULL, run_worker, pool) != 0) {
            stop(pool);
            return NULL;
        }
        pool->workers++;
    }
    return pool;
}

void naive_pool_destroy(naive_pool *pool) {
    if (pool != NULL) stop(pool);
}

/* One allocation for the future, the argument and the result. */
static naive_future *make_future(naive_task_fn *fn, const void *arg, size_t arg_size,
                                 size_t result_size) {
    const size_t align = _Alignof(max_align_t);
    if (arg_size > SIZE_MAX / 4 || result_size > SIZE_MAX / 4) return NULL;
    size_t result_offset = (arg_size + align - 1) / align * align;
    naive_future *future = malloc(sizeof *future + result_offset + result_size);
    if (future == NULL) return NULL;
    future->next = NULL;
    future->fn = fn;
    future->result_offset = result_offset;
    future->result_size = result_size;
    pthread_mutex_init(&future->lock, NULL);
    pthread_cond_init(&future->finished, NULL);
    future->done = false;
    future->code = 0;
    if (arg_size > 0) memcpy(future->bytes, arg, arg_size);
    memset(future->bytes + result_offset, 0, result_size);
    return future;
}

naive_future *naive_pool_submit(naive_pool *pool, naive_task_fn *fn, const void *arg,
                                size_t arg_size, size_t result_size) {
    naive_future *future = make_future(fn, arg, arg_size, result_size);
    if (future == NULL) return NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->tail != NULL)
        pool->tail->next = future;
    else
        pool->head = future;
    pool->tail = future;
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_signal(&pool->work);
    return future;
}

int naive_future_result(naive_future *future, void *result) {
    pthread_mutex_lock(&future->lock);
    while (!future->done) pthread_cond_wait(&future->finished, &future->lock);
    pthread_mutex_unlock(&future->lock);
    int code = future->code;
    if (result != NULL && future->result_size > 0)
        memcpy(result, future->bytes + future->result_offset, future->result_size);
    pthread_cond_destroy(&future->finished);
    pthread_mutex_destroy(&future->lock);
    free(future);
    return code;
}
