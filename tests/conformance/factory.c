/* factory.c: see factory.h.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"

#include <filch/process.h>
#include <stdio.h>
#include <stdlib.h>

/* Executors ---------------------------------------------------------------------------------------- */

/* What a kind differs in from the defaults. */
struct variant {
    filch_nanoseconds spin;
    int max_spares;
    bool pin;
};

static filch_executor *make_threads(const struct wanted *wanted, struct variant variant) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = wanted->max_workers;
    options.initializer = wanted->initializer;
    options.initializer_arg = wanted->initializer_arg;
    options.spin = variant.spin;
    options.max_spares = variant.max_spares;
    options.pin = variant.pin;
    return executor_with(options);
}

static filch_executor *make_processes(const struct wanted *wanted, struct variant variant) {
    filch_process_options options = FILCH_PROCESS_OPTIONS_INIT;
    filch_executor *e = NULL;
    options.max_workers = wanted->max_workers;
    options.initializer = wanted->initializer;
    options.initializer_arg = wanted->initializer_arg;
    options.initializer_arg_size = wanted->initializer_arg_size;
    options.spin = variant.spin;
    ok(filch_process_executor(&options, &e));
    return e;
}

enum { THREADS = SAME_MEMORY | QUICK_START | OWN_QUEUES, PROCESSES = 0 };
static const struct kind {
    struct factory factory;
    filch_executor *(*make)(const struct wanted *wanted, struct variant variant);
    struct variant variant;
} kinds[] = {
    {{"threads", THREADS}, make_threads, {0, 0, false}},
    {{"threads-without-spin", THREADS}, make_threads, {-1, 0, false}},
    {{"threads-with-few-spares", THREADS}, make_threads, {0, 4, false}},
    {{"threads-pinned", THREADS}, make_threads, {0, 0, true}},
    {{"processes", PROCESSES}, make_processes, {0, 0, false}},
    {{"processes-without-spin", PROCESSES}, make_processes, {-1, 0, false}},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static const struct kind *find_kind(void) {
    const char *name = getenv("FILCH_TEST_EXECUTOR");
    if (name == NULL) return &kinds[0];
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(name, kinds[i].factory.name) == 0) return &kinds[i];
    fprintf(stderr, "FILCH_TEST_EXECUTOR=%s: there is none; these are:\n", name);
    for (size_t i = 0; i < KINDS; i++) fprintf(stderr, "    %s\n", kinds[i].factory.name);
    exit(2);
}

const struct factory *factory(void) {
    return &find_kind()->factory;
}

filch_executor *make_executor_with(struct wanted wanted) {
    const struct kind *kind = find_kind();
    return kind->make(&wanted, kind->variant);
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
