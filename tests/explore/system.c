/* system.c: in the place of runtime/os/thread.c, os/cpus.c, exit.c and fork.c: threads are the explorer's, nobody
 * forks, and the program does not end.
 *
 * SPDX-License-Identifier: MIT */
#include "inside.h"

#include "executor_ops.h"
#include "fork.h"
#include "os/cpus.h"
#include "os/thread.h"
#include <errno.h>
#include <string.h>

/* Threads ----------------------------------------------------------------------------------------- */

struct start {
    void *(*fn)(void *);
    void *argument;
};
static struct start starts[EXPLORE_THREADS];
static int starts_to_fail;
static void (*instead)(void *);

void system_begin(void) {
    starts_to_fail = 0;
    instead = NULL;
}

void explore_let_starts_fail(int count) {
    starts_to_fail = count;
}
void explore_let_threads_do(void (*run)(void *)) {
    instead = run;
}

static void run_start(void *start) {
    struct start *s = start;
    s->fn(s->argument);
}

int filch__thread_start(pthread_t *thread, size_t stack_size, void *(*fn)(void *), void *arg) {
    (void)stack_size;
    schedule_point(false);
    if (thread_count == EXPLORE_THREADS || starts_to_fail > 0) {
        starts_to_fail--;
        plain_access(thread, sizeof *thread, ACCESS_WRITE); /* POSIX: it is undefined then */
        return EAGAIN;
    }
    starts[thread_count] = (struct start){fn, arg};
    int started = explore_spawn(instead != NULL ? instead : run_start, &starts[thread_count]);
    /* POSIX: the thread may run before its handle is there. */
    schedule_point(false);
    schedule_advance();
    plain_access(thread, sizeof *thread, ACCESS_WRITE);
    *thread = (pthread_t)started;
    return 0;
}

void filch__thread_join(pthread_t thread) {
    schedule_point(false);
    explore_join_one((int)thread);
}

size_t filch__thread_stack_least(void) {
    return 16384;
}
size_t filch__thread_stack_low(void) {
    return 0;
}
void filch__thread_name(const char *prefix, int index) {
    (void)prefix, (void)index;
}
void filch__thread_yield(void) {
    explore_yield();
}
/* What sched_yield is in the sources that are explored (meson.build). */
int explore_sched_yield(void);
int explore_sched_yield(void) {
    explore_yield();
    return 0;
}

/* CPUs: one, so that nobody spins. ----------------------------------------------------------------- */

int filch__cpus_usable(void) {
    return 1;
}
struct filch__cpus *filch__cpus_create(void) {
    return NULL;
}
void filch__cpus_free(struct filch__cpus *cpus) {
    (void)cpus;
}
void filch__cpus_pin(const struct filch__cpus *cpus, int i) {
    (void)cpus, (void)i;
}

/* Fork and exit ------------------------------------------------------------------------------------ */

uint32_t filch__fork_generation;

bool filch__fork_is_handled(void) {
    return true;
}
bool filch__exit_register(filch_executor *e) {
    (void)e;
    return true;
}
void filch__exit_forget(filch_executor *e) {
    (void)e;
}
