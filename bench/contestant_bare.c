/* contestant_bare.c: what the machine allows, bare threads with a static split and a spinning barrier.
 *
 * No pool can be faster: nothing is queued, nothing is woken, and every thread knows its share from the
 * start. It is measured in the same turns as the pools because the limit moves: two virtual CPUs at
 * times share a core, and then two threads are hardly faster than one.
 *
 * Flow: the calling thread is one of the threads. run_batch publishes the batch under a new round
 * number, runs its own share, and waits until each of the others has reported that round. The others
 * are started by the first batch, so that a kind that measures another floor (memory, futex) has none.
 *
 * State
 *   round    the caller writes it, the others read it; -1: end
 *   batch    the caller writes it, before round
 *   reports  one per thread, each on a cache line of its own: which round is done, and what was wrong
 * Orders
 *   B1 store_release round (publish) -> B2 load_acquire round (await_round): the batch
 *   B3 store_release report.round (serve) -> B4 load_acquire report.round (collect): report.wrong, and
 *      that nobody reads the batch any more
 *
 * SPDX-License-Identifier: MIT */
#include "contestant.h"

#include <filch/atomic.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum {
    LINE = 64,
    /* Looks before the CPU is given away; 25 ns each. For more threads than CPUs. */
    SPINS = 4000
};

typedef struct report {
    _Alignas(LINE) int64_t round;
    size_t wrong;
} report;

typedef struct bare {
    _Alignas(LINE) int64_t round;
    const bench_batch *batch;
    int threads; /* the calling one included */
    int started; /* of the others */
    report *reports;
    pthread_t *ids;
} bare;

typedef struct seat {
    bare *pool;
    int index;
} seat;

static void relax(int *spins) {
    if (++*spins < SPINS)
        filch_cpu_relax();
    else
        sched_yield();
}

static size_t run_share(const bare *pool, int index) {
    const bench_batch *batch = pool->batch;
    size_t threads = (size_t)pool->threads, me = (size_t)index, wrong = 0;
    size_t begin = batch->tasks * me / threads, end = batch->tasks * (me + 1) / threads;
    for (uint64_t i = begin; i < end; i++) {
        uint64_t arg = batch->arg + i * batch->step, value = 0;
        int code = batch->fn(&arg, &value);
        wrong += code != 0 || value != batch->expected + i * batch->step;
    }
    return wrong;
}

static int64_t await_round(const bare *pool, int64_t last) {
    int64_t round;
    int spins = 0;
    while ((round = filch_load_acquire(&pool->round)) == last) relax(&spins); /* B2 <- B1 */
    return round;
}

static void *serve(void *arg) {
    seat own = *(seat *)arg;
    report *mine = &own.pool->reports[own.index];
    free(arg);
    for (int64_t round = 0; (round = await_round(own.pool, round)) >= 0;) {
        mine->wrong = run_share(own.pool, own.index);
        filch_store_release(&mine->round, round); /* B3 -> B4 */
    }
    return NULL;
}

static bool start_one(bare *pool) {
    seat *taken = malloc(sizeof *taken);
    if (taken == NULL) return false;
    *taken = (seat){pool, pool->started + 1};
    if (pthread_create(&pool->ids[pool->started], NULL, serve, taken) != 0) {
        free(taken);
        return false;
    }
    pool->started++;
    return true;
}

static size_t collect(const bare *pool, int64_t round) {
    size_t wrong = 0;
    for (int i = 1; i < pool->threads; i++) {
        int spins = 0;
        const report *from = &pool->reports[i];
        while (filch_load_acquire(&from->round) != round) relax(&spins); /* B4 <- B3 */
        wrong += from->wrong;
    }
    return wrong;
}

static size_t run_batch(void *memory_of_pool, const bench_batch *batch, void *memory) {
    bare *pool = memory_of_pool;
    (void)memory;
    while (pool->started < pool->threads - 1)
        if (!start_one(pool)) return batch->tasks;
    int64_t round = pool->round + 1;
    pool->batch = batch;
    filch_store_release(&pool->round, round); /* B1 -> B2 */
    size_t wrong = run_share(pool, 0);
    return wrong + collect(pool, round);
}

static void destroy(void *memory_of_pool) {
    bare *pool = memory_of_pool;
    filch_store_release(&pool->round, (int64_t)-1); /* B1 -> B2: the end */
    for (int i = 0; i < pool->started; i++) pthread_join(pool->ids[i], NULL);
    free(pool->reports);
    free(pool->ids);
    free(pool);
}

static bool create(int workers, void **made) {
    size_t n = (size_t)workers;
    bare *pool = aligned_alloc(LINE, sizeof *pool);
    if (pool == NULL) return false;
    *pool = (bare){.threads = workers,
                   .reports = aligned_alloc(LINE, n * sizeof(report)),
                   .ids = calloc(n, sizeof(pthread_t))};
    *made = pool;
    if (pool->reports == NULL || pool->ids == NULL) {
        destroy(pool);
        return false;
    }
    for (size_t i = 0; i < n; i++) pool->reports[i] = (report){0};
    return true;
}

const bench_contestant contestant_bare = {
    .name = "bare",
    .create = create,
    .destroy = destroy,
    .run_batch = run_batch,
};
