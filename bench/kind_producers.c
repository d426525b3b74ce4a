/* kind_producers.c: several threads outside of the pool that submit at once.
 *
 * Figure: seconds per future, from the moment all threads may start until the last has its results.
 * Each submits its share of no-ops and then takes their results. The thread that measures is none of
 * them.
 *
 * SPDX-License-Identifier: MIT */
#include "kind.h"
#include "workload.h"

#include <pthread.h>

enum { PRODUCERS_MAX = 64 };

/* What the producers share. */
typedef struct crew {
    bench_run *run;
    pthread_barrier_t start, end;
    /* The one who starts the producers holds it until their number is known. */
    pthread_mutex_t lock;
    size_t wrong; /* under lock */
    bool over;    /* written before start */
} crew;

typedef struct producer {
    crew *all;
    pthread_t thread;
    char *memory;
    size_t tasks;
} producer;

static bool can(const bench_contestant *contestant, const bench_workload *workload, int workers) {
    (void)workload, (void)workers;
    return contestant != &contestant_sequential && contestant != &contestant_bare;
}

static void *produce(void *arg) {
    const producer *self = arg;
    crew *all = self->all;
    bench_batch batch = kind_echo_batch(self->tasks);
    pthread_mutex_lock(&all->lock);
    pthread_mutex_unlock(&all->lock);
    for (;;) {
        pthread_barrier_wait(&all->start);
        if (all->over) return NULL;
        size_t wrong = all->run->contestant->run_batch(all->run->pool, &batch, self->memory);
        pthread_mutex_lock(&all->lock);
        all->wrong += wrong;
        pthread_mutex_unlock(&all->lock);
        pthread_barrier_wait(&all->end);
    }
}

static bool start_one(crew *all, producer *made, int i, size_t share) {
    size_t offset = share * (size_t)i * all->run->contestant->handle_size;
    *made = (producer){.all = all, .memory = (char *)all->run->memory + offset, .tasks = share};
    return pthread_create(&made->thread, NULL, produce, made) == 0;
}

/* How many could be started. */
static int start(crew *all, producer *producers, int wanted) {
    int n = 0;
    pthread_mutex_lock(&all->lock);
    while (n < wanted && start_one(all, &producers[n], n, all->run->tasks / (size_t)wanted)) n++;
    pthread_barrier_init(&all->start, NULL, (unsigned)n + 1);
    pthread_barrier_init(&all->end, NULL, (unsigned)n + 1);
    pthread_mutex_unlock(&all->lock);
    return n;
}

static void run_together(crew *all) {
    pthread_barrier_wait(&all->start);
    pthread_barrier_wait(&all->end);
}

static void finish(crew *all, producer *producers, int n) {
    all->over = true;
    pthread_barrier_wait(&all->start);
    for (int i = 0; i < n; i++) pthread_join(producers[i].thread, NULL);
    pthread_barrier_destroy(&all->start);
    pthread_barrier_destroy(&all->end);
}

static void measure(bench_run *run) {
    producer producers[PRODUCERS_MAX];
    int wanted = run->workload->producers;
    crew all = {.run = run, .lock = PTHREAD_MUTEX_INITIALIZER};
    int n = start(&all, producers, wanted);
    if (n == wanted) {
        run_together(&all);
        run_started(run);
        while (gbench_next(run->state)) run_together(&all);
    } else
        run->error = "its producers cannot be started";
    finish(&all, producers, n);
    run->wrong = all.wrong;
    run->scale = 1.0 / (double)(run->tasks / (size_t)wanted * (size_t)wanted);
}

const bench_kind kind_producers = {.section = "no-op futures, ns each",
                                   .unit = "ns",
                                   .factor = 1e9,
                                   .meaning = MEANING_PLAIN,
                                   .can = can,
                                   .measure = measure};
