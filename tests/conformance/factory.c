/* factory.c: see factory.h.
 *
 * SPDX-License-Identifier: MIT */
#include "factory.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

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

static const struct factory factories[] = {
    {"threads", SAME_MEMORY, threads},
    {"threads-without-spin", SAME_MEMORY, threads_without_spin},
    {"threads-with-few-spares", SAME_MEMORY, threads_with_few_spares},
    {"threads-pinned", SAME_MEMORY, threads_pinned},
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

/* Shared memory: one file without a name, which another process of the same user opens below /proc. */

/* Much: what is not touched costs nothing. */
enum { REGION = 64 << 20, ALIGNMENT = 64 };
struct region {
    int32_t pid, fd;
    char *base;
    size_t used;
};
static struct region region;

static void must(bool good, const char *what) {
    if (good) return;
    perror(what);
    exit(2);
}

static void map_region(int fd) {
    region.base = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(region.base != MAP_FAILED, "factory: mmap");
}

struct shared shared_alloc(size_t size) {
    if (region.base == NULL) {
        region.pid = (int32_t)getpid();
        region.fd = memfd_create("conformance", MFD_CLOEXEC);
        must(region.fd >= 0 && ftruncate(region.fd, REGION) == 0, "factory: memfd");
        map_region(region.fd);
    }
    struct shared handle = {region.pid, region.fd, region.used};
    region.used += (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    must(region.used <= REGION, "factory: too much shared memory");
    return handle;
}

/* In the process of a worker, which has not made the region and runs one task at a time. */
static void open_region(struct shared handle) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)handle.pid, (int)handle.fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    must(fd >= 0, path);
    map_region(fd);
    close(fd);
    region.fd = handle.fd;
    region.pid = handle.pid;
}

void *shared_at(struct shared handle) {
    if (region.pid != handle.pid || region.fd != handle.fd) open_region(handle);
    return region.base + handle.offset;
}

int shared_add(struct shared handle, int n) {
    return add(shared_at(handle), n);
}
int shared_read(struct shared handle) {
    return read_int(shared_at(handle));
}
void shared_wait(struct shared handle, int n) {
    wait_for_count(shared_at(handle), n);
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
