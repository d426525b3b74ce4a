/* factory.c: see factory.h.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"

#include <filch/process.h>
#include <stdio.h>
#include <stdlib.h>

/* Executors ---------------------------------------------------------------------------------------- */

static filch_executor *make_threads(const struct wanted *wanted, filch_thread_options options) {
    options.max_workers = wanted->max_workers;
    options.initializer = wanted->initializer;
    options.initializer_arg = wanted->initializer_arg;
    return executor_with(options);
}

static filch_executor *threads(const struct wanted *wanted) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    return make_threads(wanted, options);
}
static filch_executor *threads_without_spin(const struct wanted *wanted) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.spin = -1;
    return make_threads(wanted, options);
}
static filch_executor *threads_with_few_spares(const struct wanted *wanted) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_spares = 4;
    return make_threads(wanted, options);
}
static filch_executor *threads_pinned(const struct wanted *wanted) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.pin = true;
    return make_threads(wanted, options);
}

static filch_executor *make_processes(const struct wanted *wanted, filch_process_options options) {
    filch_executor *e = NULL;
    options.max_workers = wanted->max_workers;
    options.initializer = wanted->initializer;
    options.initializer_arg = wanted->initializer_arg;
    options.initializer_arg_size = wanted->initializer_arg_size;
    ok(filch_process_executor(&options, &e));
    return e;
}

static filch_executor *processes(const struct wanted *wanted) {
    filch_process_options options = FILCH_PROCESS_OPTIONS_INIT;
    return make_processes(wanted, options);
}
static filch_executor *processes_without_spin(const struct wanted *wanted) {
    filch_process_options options = FILCH_PROCESS_OPTIONS_INIT;
    options.spin = -1;
    return make_processes(wanted, options);
}

static const struct factory factories[] = {
    {"threads", SAME_MEMORY | QUICK_START | OWN_QUEUES, threads},
    {"threads-without-spin", SAME_MEMORY | QUICK_START | OWN_QUEUES, threads_without_spin},
    {"threads-with-few-spares", SAME_MEMORY | QUICK_START | OWN_QUEUES, threads_with_few_spares},
    {"threads-pinned", SAME_MEMORY | QUICK_START | OWN_QUEUES, threads_pinned},
    {"processes", 0, processes},
    {"processes-without-spin", 0, processes_without_spin},
};
enum { FACTORIES = sizeof factories / sizeof factories[0] };

const struct factory *factory(void) {
    const char *name = getenv("FILCH_TEST_EXECUTOR");
    if (name == NULL) return &factories[0];
    for (size_t i = 0; i < FACTORIES; i++)
        if (strcmp(name, factories[i].name) == 0) return &factories[i];
    fprintf(stderr, "FILCH_TEST_EXECUTOR=%s: there is none; these are:\n", name);
    for (size_t i = 0; i < FACTORIES; i++) fprintf(stderr, "    %s\n", factories[i].name);
    exit(2);
}

filch_executor *make_executor_with(struct wanted wanted) {
    return factory()->make(&wanted);
}

filch_executor *make_executor(int max_workers) {
    return make_executor_with((struct wanted){max_workers, NULL, NULL, 0});
}

int rounds_of(int n) {
    int all = stress(n);
    if (factory()->properties & QUICK_START) return all;
    return all < 10 ? 1 : all / 10;
}

/* Tasks -------------------------------------------------------------------------------------------- */

int add_one(void *arg, void *result) {
    (void)result;
    shared_add(*(struct shared *)arg, 1);
    return 0;
}

int square(void *arg, void *result) {
    *(int *)result = *(int *)arg * *(int *)arg;
    return 0;
}

int return_code(void *arg, void *result) {
    (void)result;
    return *(int *)arg;
}

int stay(void *arg, void *result) {
    struct hold *hold = arg;
    (void)result;
    shared_add(hold->reached, 1);
    shared_wait(hold->open, 1);
    return 0;
}

struct held hold_queued(filch_executor *e) {
    struct held held = {{shared_alloc(sizeof(int)), shared_alloc(sizeof(int))}, NULL};
    held.future = submit_to(e, stay, &held.hold, sizeof held.hold, 0);
    return held;
}

struct held hold_worker(filch_executor *e) {
    struct held held = hold_queued(e);
    shared_wait(held.hold.reached, 1);
    return held;
}

void let_go(struct held *held) {
    shared_add(held->hold.open, 1);
    cr_assert_eq(finish(held->future), 0);
    held->future = NULL;
}

filch_future *submit_int(filch_executor *e, filch_task_fn *fn, int arg) {
    return submit_to(e, fn, &arg, sizeof arg, sizeof(int));
}

filch_future *submit_shared(filch_executor *e, filch_task_fn *fn, struct shared arg) {
    return submit_to(e, fn, &arg, sizeof arg, 0);
}
