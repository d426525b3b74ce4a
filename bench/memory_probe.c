/* memory_probe.c: see memory_probe.h.
 *
 * Flow: in the new process, a task that waits at a gate occupies the pool's only worker, submitted by a
 * thread of its own, since that has to wait for it. So all futures of the batch that follows stay
 * pending until it has been submitted, which is when the resident size is read; then the gate opens.
 * A second batch does the same.
 *
 * Orders: none; the gate is a mutex with a condition variable.
 *
 * SPDX-License-Identifier: MIT */
#include "memory_probe.h"

#include "contestant.h"
#include "kernel.h"
#include "kind.h"

#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool entered, open; /* under lock */
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};

typedef struct probe {
    const bench_contestant *contestant;
    void *pool;
    void *memory; /* of the batch */
    size_t tasks;
    double resident; /* once all are pending; bytes */
    size_t wrong;
} probe;

static int wait_at_gate(void *arg, void *result) {
    *(uint64_t *)result = *(const uint64_t *)arg;
    pthread_mutex_lock(&gate.lock);
    gate.entered = true;
    pthread_cond_broadcast(&gate.changed);
    while (!gate.open) pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    return 0;
}

static void *occupy_worker(void *arg) {
    const probe *p = arg;
    bench_batch one = kind_echo_batch(1);
    void *memory = calloc(1, p->contestant->handle_size + 1);
    one.fn = wait_at_gate;
    if (memory == NULL || p->contestant->run_batch(p->pool, &one, memory) != 0) exit(1);
    free(memory);
    return NULL;
}

static void close_gate(void) {
    pthread_mutex_lock(&gate.lock);
    gate.entered = gate.open = false;
    pthread_mutex_unlock(&gate.lock);
}

static void await_entry(void) {
    pthread_mutex_lock(&gate.lock);
    while (!gate.entered) pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static void open_gate(void) {
    pthread_mutex_lock(&gate.lock);
    gate.open = true;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

/* Exact, unlike statm, which lags behind. 0 if it cannot be read. */
static double resident(void) {
    char line[128];
    double kilobytes = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Rss: %lf kB", &kilobytes) == 1) break;
    if (file != NULL) fclose(file);
    return kilobytes * 1024;
}

static void all_are_pending(void *context) {
    probe *p = context;
    p->resident = resident();
    open_gate();
}

/* One batch behind the gate. False: there is no thread. */
static bool run_pending(probe *p) {
    pthread_t helper;
    bench_batch batch = kind_echo_batch(p->tasks);
    batch.submitted = all_are_pending;
    batch.context = p;
    close_gate();
    if (pthread_create(&helper, NULL, occupy_worker, p) != 0) return false;
    await_entry();
    p->wrong += p->contestant->run_batch(p->pool, &batch, p->memory);
    pthread_join(helper, NULL);
    return true;
}

/* A small batch first, for what a pool allocates once. */
static bool measure(probe *p, memory_figures *figures) {
    double n = (double)p->tasks, own = (double)p->contestant->own_size;
    bench_batch few = kind_echo_batch(p->tasks < 64 ? p->tasks : 64);
    p->wrong += p->contestant->run_batch(p->pool, &few, p->memory);
    double before = resident();
    if (!run_pending(p)) return false;
    double first = p->resident;
    if (!run_pending(p)) return false;
    p->contestant->destroy(p->pool);
    *figures = (memory_figures){(first - before) / n + own, (p->resident - first) / n,
                                (resident() - before) / n};
    return p->wrong == 0;
}

static const bench_contestant *find(const char *name) {
    for (size_t i = 0; i < contestants_length; i++)
        if (strcmp(contestants[i]->name, name) == 0) return contestants[i];
    return NULL;
}

int memory_probe_main(const char *name, const char *tasks) {
    memory_figures figures;
    probe p = {.contestant = find(name), .tasks = strtoul(tasks, NULL, 10)};
    if (p.contestant == NULL || p.contestant->run_batch == NULL || p.tasks == 0) {
        fprintf(stderr, "filch-bench: --memory wants a contestant and a number of tasks\n");
        return 2;
    }
    size_t bytes = p.tasks * (p.contestant->handle_size + 1);
    p.memory = malloc(bytes);
    if (p.memory == NULL || !p.contestant->create(1, &p.pool)) return 1;
    memset(p.memory, 0xff, bytes); /* it is there before the first figure is taken */
    if (!measure(&p, &figures)) return 1;
    free(p.memory);
    printf("%.2f %.2f %.2f\n", figures.pending, figures.again, figures.kept);
    return 0;
}

static double object_size = 128;

size_t memory_object_size(void) {
    return (size_t)(object_size / 8 + 0.5) * 8;
}

/* Reads what the child has written; closes the file. */
static bool read_figures(int fd, memory_figures *figures) {
    FILE *file = fdopen(fd, "r");
    if (file == NULL) return false;
    int found = fscanf(file, "%lf %lf %lf", &figures->pending, &figures->again, &figures->kept);
    fclose(file);
    return found == 3;
}

bool memory_probe(const char *name, size_t tasks, memory_figures *figures) {
    char number[32], program[] = "/proc/self/exe", option[] = "--memory", who[64];
    char *argv[] = {program, option, who, number, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2], status = 1;
    pid_t child;
    snprintf(number, sizeof number, "%zu", tasks);
    snprintf(who, sizeof who, "%s", name);
    if (pipe(ends) != 0) return false;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    int failed = posix_spawn(&child, program, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    bool good = read_figures(ends[0], figures);
    if (failed || waitpid(child, &status, 0) != child || status != 0 || !good) return false;
    if (strcmp(name, contestant_filch.name) == 0) object_size = figures->pending;
    return true;
}
