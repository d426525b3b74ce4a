/* process_rows.c: the jobs of the benchmark of process executors. See process_bench.h.
 *
 * SPDX-License-Identifier: MIT */
#include "process_bench.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)
/* The pause before each parked round: longer than anybody spins. 5 ms, as in goals of parked rows. */
#define PAUSE 5000000

static void pause_for(int64_t nanoseconds) {
    struct timespec t = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    nanosleep(&t, NULL);
}

static filch_executor *executor_of(int workers) {
    filch_process_options options = FILCH_PROCESS_OPTIONS_INIT;
    filch_executor *e;
    options.max_workers = workers;
    must(filch_process_executor(&options, &e), "filch_process_executor");
    return e;
}

/* Tasks ------------------------------------------------------------------------------------------ */

/* Argument and result are a uint64_t. */
static int echo(void *arg, void *result) {
    memcpy(result, arg, sizeof(uint64_t));
    return 0;
}

/* The argument is a size_t: allocates a result of so many bytes and writes each. */
static int give(void *arg, void *result) {
    size_t size = *(size_t *)arg;
    (void)result;
    void *bytes = filch_result_alloc(size);
    if (bytes == NULL) return filch_fail(1, "%s", filch_last_error());
    memset(bytes, (int)size | 1, size);
    return 0;
}

/* The same, but writes only the first and the last byte: what it costs to hand it over. */
static int hand_over(void *arg, void *result) {
    size_t size = *(size_t *)arg;
    (void)result;
    char *bytes = filch_result_alloc(size);
    if (bytes == NULL) return filch_fail(1, "%s", filch_last_error());
    bytes[0] = bytes[size - 1] = 1;
    return 0;
}

/* Its argument is a row of bytes; the result is how many of the looked at, one per page, are 1. */
static int take(void *arg, void *result) {
    const char *bytes = (const char *)arg + sizeof(size_t);
    size_t size = *(size_t *)arg, ones = 0;
    for (size_t i = 0; i < size; i += 4096) ones += bytes[i] == 1;
    *(uint64_t *)result = ones;
    return 0;
}

static int sleep_long(void *arg, void *result) {
    (void)arg;
    *(uint64_t *)result = 0;
    pause_for(INT64_C(10000000000));
    return 0;
}

static int own_pid(void *arg, void *result) {
    (void)arg;
    *(uint64_t *)result = (uint64_t)getpid();
    return 0;
}

static uint64_t run(filch_executor *e, filch_task_fn *fn, uint64_t arg) {
    filch_future *f;
    uint64_t result;
    must(filch_submit(e, fn, &arg, sizeof arg, sizeof result, &f), "submit");
    must(filch_future_result(f, &result, FILCH_FOREVER), "result");
    filch_future_release(f);
    return result;
}

static void check(bool right, const char *what) {
    if (right) return;
    fprintf(stderr, "a wrong result: %s\n", what);
    exit(1);
}

/* Rows ------------------------------------------------------------------------------------------- */

static bool parked(const row *r, series *filch, series *bare) {
    filch_executor *e = executor_of(1);
    ping_pong *p = ping_pong_start();
    run(e, echo, 0);
    ping_pong_round(p);
    for (size_t i = 0; i < r->size; i++) {
        pause_for(PAUSE);
        int64_t begin = bench_now();
        check(run(e, echo, i) == i, r->key);
        series_add(filch, (double)(bench_now() - begin));
        pause_for(PAUSE);
        begin = bench_now();
        ping_pong_round(p);
        series_add(bare, (double)(bench_now() - begin));
    }
    ping_pong_end(p);
    must(filch_executor_destroy(e), "destroy");
    return true;
}

static bool hot(const row *r, series *filch, series *bare) {
    filch_executor *e = executor_of(1);
    (void)bare;
    for (size_t i = 0; i < r->size / 10; i++) run(e, echo, i);
    for (size_t i = 0; i < r->size; i++) {
        int64_t begin = bench_now();
        check(run(e, echo, i) == i, r->key);
        series_add(filch, (double)(bench_now() - begin));
    }
    must(filch_executor_destroy(e), "destroy");
    return true;
}

static bool pipelined(const row *r, series *filch, series *bare) {
    filch_executor *e = executor_of(1);
    filch_future **futures = malloc(r->size * sizeof *futures);
    (void)bare;
    if (futures == NULL) return false;
    run(e, echo, 0);
    int64_t begin = bench_now();
    for (uint64_t i = 0; i < r->size; i++)
        must(filch_submit(e, echo, &i, sizeof i, sizeof i, &futures[i]), "submit");
    for (uint64_t i = 0; i < r->size; i++) {
        uint64_t result;
        must(filch_future_result(futures[i], &result, FILCH_FOREVER), "result");
        check(result == i, r->key);
        filch_future_release(futures[i]);
    }
    series_add(filch, (double)r->size * 1e9 / (double)(bench_now() - begin));
    free(futures);
    must(filch_executor_destroy(e), "destroy");
    return true;
}

static bool chunked(const row *r, series *filch, series *bare) {
    filch_executor *e = executor_of(1);
    uint64_t *inputs = malloc(r->size * sizeof *inputs);
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    filch_results *results;
    (void)bare;
    if (inputs == NULL) return false;
    for (uint64_t i = 0; i < r->size; i++) inputs[i] = i;
    spec.fn = echo;
    spec.args = inputs;
    spec.n = r->size;
    spec.arg_size = spec.result_size = sizeof(uint64_t);
    spec.chunk_size = 100;
    run(e, echo, 0);
    int64_t begin = bench_now();
    must(filch_map(e, &spec, &results), "map");
    for (uint64_t i = 0; i < r->size; i++) {
        uint64_t result;
        must(filch_results_next(results, &result), "next");
        check(result == i, r->key);
    }
    series_add(filch, (double)r->size * 1e9 / (double)(bench_now() - begin));
    must(filch_results_destroy(results), "destroy results");
    free(inputs);
    must(filch_executor_destroy(e), "destroy");
    return true;
}

/* Gigabytes per second of a result that a task makes, seen where it stands. */
static double upwards(filch_executor *e, filch_task_fn *fn, size_t size) {
    int64_t begin = bench_now();
    filch_future *f;
    const void *data;
    size_t bytes;
    must(filch_submit(e, fn, &size, sizeof size, 0, &f), "submit");
    must(filch_future_result_view(f, &data, &bytes), "view");
    check(bytes == size && ((const char *)data)[size - 1] != 0, "a large result");
    filch_future_release(f);
    return (double)size / (double)(bench_now() - begin);
}

/* Beside it: the same bytes written by this process into memory that it has. */
static double written(void *memory, size_t size) {
    int64_t begin = bench_now();
    memset(memory, (int)size | 1, size);
    __asm__ __volatile__("" ::"r"(memory) : "memory");
    return (double)size / (double)(bench_now() - begin);
}

static bool up(const row *r, series *filch, series *bare) {
    filch_executor *e = executor_of(1);
    void *memory = malloc(r->size);
    if (memory == NULL) return false;
    written(memory, r->size);
    for (int i = 0; i < 2; i++) upwards(e, give, r->size);
    for (int i = 0; i < 5; i++) {
        series_add(filch, upwards(e, give, r->size));
        series_add(bare, written(memory, r->size));
    }
    free(memory);
    must(filch_executor_destroy(e), "destroy");
    return true;
}

static bool over(const row *r, series *filch, series *bare) {
    filch_executor *e = executor_of(1);
    (void)bare;
    for (int i = 0; i < 2; i++) upwards(e, hand_over, r->size);
    for (int i = 0; i < 5; i++) series_add(filch, upwards(e, hand_over, r->size));
    must(filch_executor_destroy(e), "destroy");
    return true;
}

static double downwards(filch_executor *e, char *bytes, size_t size) {
    int64_t begin = bench_now();
    filch_future *f;
    uint64_t ones;
    must(filch_submit(e, take, bytes, sizeof size + size, sizeof ones, &f), "submit");
    must(filch_future_result(f, &ones, FILCH_FOREVER), "result");
    check(ones == (size + 4095) / 4096, "a large argument");
    filch_future_release(f);
    return (double)size / (double)(bench_now() - begin);
}

static bool down(const row *r, series *filch, series *bare) {
    filch_executor *e = executor_of(1);
    char *bytes = malloc(sizeof r->size + r->size), *copy = malloc(r->size);
    if (bytes == NULL || copy == NULL) return false;
    memcpy(bytes, &r->size, sizeof r->size);
    memset(bytes + sizeof r->size, 1, r->size);
    memset(copy, 2, r->size);
    for (int i = 0; i < 2; i++) downwards(e, bytes, r->size);
    for (int i = 0; i < 5; i++) {
        series_add(filch, downwards(e, bytes, r->size));
        int64_t begin = bench_now();
        memcpy(copy, bytes + sizeof r->size, r->size);
        __asm__ __volatile__("" ::"r"(copy) : "memory");
        series_add(bare, (double)r->size / (double)(bench_now() - begin));
    }
    free(bytes);
    free(copy);
    must(filch_executor_destroy(e), "destroy");
    return true;
}

/* The first task of a new executor, whose zygote is there: starts a worker. `size` bytes are in use here. */
static bool start(const row *r, series *filch, series *bare) {
    char *memory = NULL;
    (void)bare;
    if (r->size != 0) {
        memory = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return false;
        memset(memory, 1, r->size);
    }
    for (int i = 0; i < 10; i++) {
        filch_executor *e = executor_of(1);
        pause_for(PAUSE);
        int64_t begin = bench_now();
        run(e, echo, 1);
        series_add(filch, (double)(bench_now() - begin));
        must(filch_executor_destroy(e), "destroy");
    }
    if (memory != NULL) munmap(memory, r->size);
    return true;
}

static bool create(const row *r, series *filch, series *bare) {
    (void)r, (void)bare;
    for (int i = 0; i < 5; i++) {
        int64_t begin = bench_now();
        filch_executor *e = executor_of(1);
        series_add(filch, (double)(bench_now() - begin));
        must(filch_executor_destroy(e), "destroy");
    }
    return true;
}

/* From kill(2) to the error at the future; with size 1, to the result of the next task. */
static bool death(const row *r, series *filch, series *bare) {
    filch_executor *e = executor_of(1);
    (void)bare;
    for (int i = 0; i < 10; i++) {
        pid_t pid = (pid_t)run(e, own_pid, 0);
        filch_future *f;
        must(filch_submit(e, sleep_long, NULL, 0, sizeof(uint64_t), &f), "submit");
        while (!filch_future_running(f)) pause_for(100000);
        int64_t begin = bench_now();
        kill(pid, SIGKILL);
        check(filch_future_result(f, NULL, FILCH_FOREVER) == FILCH_EWORKER, r->key);
        if (r->size == 1) run(e, echo, 1);
        series_add(filch, (double)(bench_now() - begin));
        filch_future_release(f);
        run(e, echo, 1);
    }
    must(filch_executor_destroy(e), "destroy");
    return true;
}

#define UP(text, bytes)                                                                            \
    { "up/" text, "result of " text ", each byte written", "GB/s", up, "memset here", bytes, 3, 1 }
#define OVER(text, bytes)                                                                          \
    { "over/" text, "result of " text ", handed over", "GB/s", over, NULL, bytes, 3, 1 }
#define DOWN(text, bytes)                                                                          \
    { "down/" text, "argument of " text, "GB/s", down, "memcpy here", bytes, 3, 1 }

const row process_rows[] = {
    {"parked", "round trip, parked", "us", parked, "futex ping-pong", 60, 5, 2},
    {"hot", "round trip, hot", "us", hot, NULL, 20000, 7, 3},
    {"pipelined", "tasks in a row, one worker", "1/s", pipelined, NULL, 200000, 7, 3},
    {"chunked", "map, 100 inputs a task, one worker", "1/s", chunked, NULL, 1000000, 7, 3},
    UP("64 B", 64),
    UP("4 KiB", 4096),
    UP("64 KiB", 64 * 1024),
    UP("1 MiB", MIB),
    UP("64 MiB", 64 * MIB),
    UP("256 MiB", 256 * MIB),
    OVER("64 MiB", 64 * MIB),
    DOWN("64 B", 64),
    DOWN("4 KiB", 4096),
    DOWN("64 KiB", 64 * 1024),
    DOWN("1 MiB", MIB),
    DOWN("64 MiB", 64 * MIB),
    DOWN("256 MiB", 256 * MIB),
    {"create", "a new executor", "us", create, NULL, 0, 3, 1},
    {"start", "start of a worker", "us", start, NULL, 0, 3, 1},
    {"start/4 GiB", "start of a worker, 4 GiB in use", "us", start, NULL, 4 * GIB, 1, 1},
    {"death", "death noticed", "us", death, NULL, 0, 3, 1},
    {"recovery", "next result after a kill", "us", death, NULL, 1, 3, 1},
};
const size_t process_rows_length = sizeof process_rows / sizeof process_rows[0];
