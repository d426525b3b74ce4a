/* processes.c: scenarios of the sweep: executors on processes.
 *
 * What was accepted may wait until there is memory, or a process, again: after a moment without a result the fault ends.
 *
 * SPDX-License-Identifier: MIT */
#include "sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>

enum { LARGE = 100000, SMALL_PATIENCE = 60 };

static filch_executor *make(filch_process_options *options) {
    filch_executor *e = NULL;
    int rc = USE(filch_process_executor)(options, &e);
    if (CALLED(MAY_END & ~(unsigned)MAY_EWORKER, rc)) return e;
    EXPECT(e == NULL);
    return NULL;
}
static void unmake(filch_executor *e) {
    CALLED(0, filch_executor_destroy(e));
}
static filch_process_options options_of(int workers) {
    filch_process_options options = FILCH_PROCESS_OPTIONS_INIT;
    options.max_workers = workers;
    return options;
}

static filch_future *submit(filch_executor *e, filch_task_fn *fn, const void *arg, size_t size,
                            size_t result_size) {
    filch_future *f = NULL;
    int rc = filch_submit(e, fn, arg, size, result_size, &f);
    return CALLED(MAY_END, rc) ? f : NULL;
}
/* Waits; true: it has the value. */
static bool finish(filch_future *f, void *value) {
    if (f == NULL) return false;
    int rc = filch_future_result(f, value, FILCH_MILLISECONDS(SMALL_PATIENCE));
    if (rc == FILCH_ETIMEDOUT) {
        sweep_disarm();
        rc = filch_future_result(f, value, FILCH_FOREVER);
    }
    bool good = CALLED(MAY_END, rc);
    filch_future_release(f);
    return good;
}

static int twice(void *arg, void *result) {
    *(int *)result = 2 * *(int *)arg;
    return 0;
}
static int turn(void *arg, void *result) {
    unsigned char *in = arg, *out = result;
    for (int i = 0; i < LARGE; i++) out[i] = (unsigned char)(in[i] + 1);
    return 0;
}
static int give(void *arg, void *result) {
    (void)result;
    char *data = filch_result_alloc(LARGE);
    if (data == NULL) return FILCH_ENOMEM;
    memset(data, *(int *)arg, LARGE);
    return 0;
}
static int give_small(void *arg, void *result) {
    *(int *)result = *(int *)arg;
    char *data = filch_result_alloc(100);
    if (data == NULL) return FILCH_ENOMEM;
    memset(data, 1, 100);
    return 0;
}
static int sum_of_bytes(void *arg, void *result) {
    const unsigned char *bytes = arg;
    unsigned char *sums = result;
    for (int i = 0; i < 4000; i++) sums[i] = (unsigned char)(bytes[i] + bytes[i + 3999]);
    return 0;
}
static int fail_with_text(void *arg, void *result) {
    char text[5000];
    (void)arg;
    (void)result;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    return filch_fail(5, "%s", text);
}

static void play_tasks(void) {
    int n = 21, value = 0;
    filch_process_options options = options_of(2);
    filch_executor *e = make(&options);
    if (e == NULL) return;
    for (int i = 0; i < 4; i++)
        if (finish(submit(e, twice, &n, sizeof n, sizeof n), &value)) EXPECT(value == 42);
    unmake(e);
}

static void play_large(void) {
    static unsigned char bytes[LARGE], answer[LARGE];
    int seven = 7;
    const void *data;
    size_t size;
    filch_process_options options = options_of(1);
    filch_executor *e = make(&options);
    if (e == NULL) return;
    for (int i = 0; i < 2; i++)
        if (finish(submit(e, turn, bytes, LARGE, LARGE), answer)) EXPECT(answer[LARGE - 1] == 1);
    finish(submit(e, give_small, &seven, sizeof seven, sizeof seven), &seven);
    EXPECT(seven == 7);
    finish(submit(e, sum_of_bytes, bytes, 8000, 4000), answer);
    filch_future *f = submit(e, give, &seven, sizeof seven, 0);
    if (f != NULL) filch_future_retain(f);
    if (finish(f, NULL)) {
        CALLED(0, filch_future_result_view(f, &data, &size));
        EXPECT(size == LARGE && ((const char *)data)[LARGE - 1] == 7);
    }
    filch_future_release(f);
    unmake(e);
}

/* More large results at once than keep their pages when they are released; and as many again. */
static void play_many_large(void) {
    enum { MANY = 150 };
    int seven = 7;
    filch_future *futures[MANY];
    filch_process_options options = options_of(1);
    filch_executor *e = make(&options);
    if (e == NULL) return;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            futures[i] = submit(e, give, &seven, sizeof seven, 0);
            if (futures[i] != NULL) finish(filch_future_retain(futures[i]), NULL);
        }
        for (int i = 0; i < MANY; i++) filch_future_release(futures[i]);
    }
    unmake(e);
}

static void play_errors(void) {
    filch_process_options options = options_of(1);
    filch_executor *e = make(&options);
    if (e == NULL) return;
    filch_future *f = submit(e, fail_with_text, NULL, 0, 0);
    if (f != NULL) {
        filch_error error;
        if (filch_future_error(f, &error, FILCH_MILLISECONDS(SMALL_PATIENCE)) != 0) {
            sweep_disarm();
            CALLED(0, filch_future_error(f, &error, FILCH_FOREVER));
        }
        EXPECT(error.code == 5 || (error.code != 0 && sweep_is_explained(error.code, MAY_END)));
        filch_future_release(f);
    }
    unmake(e);
}

/* Options with all that travels to the zygote and to workers. */
static int load_nothing(void) {
    return 0;
}
static int initialize(void *arg) {
    return *(int *)arg == 3 ? 0 : 1;
}
static void play_options(void) {
    static const filch_limit limits[] = {{RLIMIT_CORE, 0, 0}};
    int three = 3, n = 2, value = 0;
    filch_process_options options = options_of(2);
    options.preload = load_nothing;
    options.initializer = initialize;
    options.initializer_arg = &three;
    options.initializer_arg_size = sizeof three;
    options.limits = limits;
    options.limit_count = 1;
    options.directory = "/tmp";
    options.output = options.error = 2;
    options.max_tasks_per_worker = 1;
    options.memory_limit = (size_t)1 << 40;
    filch_executor *e = make(&options);
    if (e == NULL) return;
    for (int i = 0; i < 3; i++)
        if (finish(submit(e, twice, &n, sizeof n, sizeof n), &value)) EXPECT(value == 4);
    unmake(e);
}

/* A task that dies, and then one that works. */
static int die(void *arg, void *result) {
    (void)arg;
    (void)result;
    abort();
}
static void play_death(void) {
    int n = 5, value = 0;
    filch_process_options options = options_of(1);
    filch_executor *e = make(&options);
    if (e == NULL) return;
    filch_future *f = submit(e, die, NULL, 0, 0);
    if (f != NULL) {
        int rc = filch_future_result(f, NULL, FILCH_MILLISECONDS(SMALL_PATIENCE));
        if (rc == FILCH_ETIMEDOUT) {
            sweep_disarm();
            rc = filch_future_result(f, NULL, FILCH_FOREVER);
        }
        EXPECT(rc == FILCH_EWORKER || (rc != 0 && sweep_is_explained(rc, MAY_END)));
        filch_future_release(f);
    }
    CALLED(0, USE(filch_executor_kill_workers)(e));
    if (finish(submit(e, twice, &n, sizeof n, sizeof n), &value)) EXPECT(value == 10);
    unmake(e);
}

/* A library beside the program, opened by `how`; NULL: it is not there. */
static void *open_here(const char *path) {
    return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}
static void *open_library(void *(*how)(const char *path)) {
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 100);
    if (length < 0) return NULL;
    path[length] = '\0';
    strcpy(strrchr(path, '/'), "/../process_plugin_1.so");
    return how(path);
}
static filch_task_fn *task_of(void *library) {
    filch_task_fn *(*get)(int) = NULL;
    void *symbol = library == NULL ? NULL : dlsym(library, "plugin_task");
    memcpy(&get, &symbol, sizeof symbol);
    EXPECT(get != NULL);
    return get == NULL ? NULL : get(0);
}

/* Functions of a library go by its path, and one that had no memory for it the first time has it later. */
static void play_library(void) {
    filch_future *f = NULL;
    int two = 2, value = 0;
    void *library = open_library(open_here);
    filch_task_fn *fn = task_of(library);
    filch_process_options options = options_of(1);
    filch_executor *e = fn == NULL ? NULL : make(&options);
    if (e == NULL) return;
    int rc = filch_submit(e, fn, &two, sizeof two, sizeof value, &f);
    if (CALLED(MAY_END, rc)) finish(f, &value);
    sweep_disarm();
    /* After a start that has failed the next one waits a while; after too many the executor is broken. */
    while ((rc = filch_submit(e, fn, &two, sizeof two, sizeof value, &f)) == FILCH_EAGAIN ||
           rc == FILCH_ENOMEM)
        usleep(1000);
    if (CALLED(MAY_EBROKEN, rc)) {
        rc = filch_future_result(f, &value, FILCH_FOREVER);
        EXPECT(rc == 0 || (rc == FILCH_EBROKEN && sweep_is_explained(rc, MAY_EBROKEN)));
        filch_future_release(f);
    }
    unmake(e);
    dlclose(library);
}

/* One that no worker can load, for there is no file any more. */
static void *open_copy(const char *path) {
    char copy[] = "/tmp/filch-sweep-plugin-XXXXXX", bytes[4096];
    int from = open(path, O_RDONLY | O_CLOEXEC), to = mkstemp(copy);
    ssize_t n = 0;
    while (from >= 0 && to >= 0 && (n = read(from, bytes, sizeof bytes)) > 0)
        if (write(to, bytes, (size_t)n) != n) break;
    close(from);
    close(to);
    void *library = dlopen(copy, RTLD_NOW | RTLD_LOCAL);
    unlink(copy);
    return library;
}
static void play_lost_library(void) {
    filch_future *f;
    int two = 2;
    void *library = open_library(open_copy);
    filch_task_fn *fn = task_of(library);
    filch_process_options options = options_of(1);
    filch_executor *e = fn == NULL ? NULL : make(&options);
    if (e == NULL) return;
    f = submit(e, fn, &two, sizeof two, sizeof two);
    if (f != NULL) {
        int rc = filch_future_result(f, NULL, FILCH_MILLISECONDS(SMALL_PATIENCE));
        if (rc == FILCH_ETIMEDOUT) {
            sweep_disarm();
            rc = filch_future_result(f, NULL, FILCH_FOREVER);
        }
        EXPECT(rc == FILCH_EINVAL || (rc != 0 && sweep_is_explained(rc, MAY_END)));
        filch_future_release(f);
    }
    unmake(e);
    dlclose(library);
}

/* Two that shut down: the other is slow in a destructor, or waits as well. */
static int stay_a_moment(void *arg, void *result) {
    (void)arg;
    (void)result;
    usleep(300);
    return 0;
}
struct ending {
    filch_executor *executor;
    int inside;
};
static void destroy_slowly(void *arg) {
    struct ending *ending = *(struct ending **)arg;
    count_up(&ending->inside);
    usleep(2000);
}
static void *cancel_all(void *context) {
    struct ending *ending = context;
    sweep_expect(filch_executor_shutdown(ending->executor, FILCH_CANCEL_PENDING) == 0,
                 "shutdown by another thread");
    count_up(&ending->inside);
    return NULL;
}
static void *wait_for_end(void *context) {
    sweep_expect(filch_executor_shutdown(context, FILCH_WAIT) == 0, "shutdown by another thread");
    return NULL;
}
static void play_two_shutdowns(void) {
    pthread_t first, second;
    filch_task task = FILCH_TASK_INIT;
    filch_process_options options = options_of(1);
    struct ending ending = {make(&options), 0}, *place = &ending;
    filch_executor *e = ending.executor;
    if (e == NULL) return;
    task.fn = stay_a_moment;
    task.arg = &place;
    task.arg_size = sizeof place;
    task.arg_destroy = destroy_slowly;
    for (int i = 0; i < 70; i++) CALLED(MAY_END, filch_submit_task(e, &task, NULL));
    if (pthread_create(&first, NULL, cancel_all, &ending) == 0) {
        while (count_of(&ending.inside) == 0) usleep(100);
        bool two = pthread_create(&second, NULL, wait_for_end, e) == 0;
        CALLED(0, filch_executor_shutdown(e, FILCH_CANCEL_PENDING));
        CALLED(0, filch_executor_shutdown(e, FILCH_WAIT));
        pthread_join(first, NULL);
        if (two) pthread_join(second, NULL);
    }
    unmake(e);
}

/* More functions than a table has room for at first. */
#define FUNCTION(n)                                                                                \
    static int say_##n(void *arg, void *result) {                                                  \
        (void)arg;                                                                                 \
        *(int *)result = n;                                                                        \
        return 0;                                                                                  \
    }
#define NAME(n) say_##n,
#define EIGHT(what, n)                                                                             \
    what(1##n##0) what(1##n##1) what(1##n##2) what(1##n##3) what(1##n##4) what(1##n##5)            \
        what(1##n##6) what(1##n##7)
#define ALL(what)                                                                                  \
    EIGHT(what, 0)                                                                                 \
    EIGHT(what, 1)                                                                                 \
    EIGHT(what, 2)                                                                                 \
    EIGHT(what, 3) EIGHT(what, 4) EIGHT(what, 5) EIGHT(what, 6) EIGHT(what, 7) EIGHT(what, 8)
ALL(FUNCTION)
static filch_task_fn *const functions[] = {ALL(NAME)};
enum { FUNCTIONS = sizeof functions / sizeof *functions };
static void play_functions(void) {
    static int no_function;
    filch_task_fn *wrong;
    void *place = &no_function;
    filch_future *f = NULL, *futures[FUNCTIONS];
    filch_process_options options = options_of(1);
    filch_executor *e = make(&options);
    if (e == NULL) return;
    for (int i = 0; i < FUNCTIONS; i++) futures[i] = submit(e, functions[i], NULL, 0, sizeof(int));
    for (int i = 0; i < FUNCTIONS; i++) {
        int value = 0, expected;
        (void)functions[i](NULL, &expected);
        if (finish(futures[i], &value)) EXPECT(value == expected);
    }
    memcpy(&wrong, &place, sizeof place);
    int rc = filch_submit(e, wrong, NULL, 0, 0, &f);
    if (rc == 0) {
        rc = filch_future_result(f, NULL, FILCH_FOREVER);
        filch_future_release(f);
    }
    EXPECT(rc == FILCH_EINVAL || (rc != 0 && sweep_is_explained(rc, MAY_END)));
    unmake(e);
}

/* Tasks that submit and wait. */
static int descend(void *arg, void *result) {
    int depth = *(int *)arg - 1;
    filch_future *f = NULL;
    (void)result;
    if (depth < 0) return 0;
    int rc = filch_submit(filch_current_executor(), descend, &depth, sizeof depth, 0, &f);
    if (rc != 0) return rc;
    rc = filch_future_result(f, NULL, FILCH_FOREVER);
    filch_future_release(f);
    return rc;
}
static int submit_large(void *arg, void *result) {
    static unsigned char bytes[LARGE], answer[LARGE];
    filch_future *f = NULL;
    (void)arg;
    (void)result;
    int rc = filch_submit(filch_current_executor(), turn, bytes, LARGE, LARGE, &f);
    if (rc != 0) return rc;
    rc = filch_future_result(f, answer, FILCH_FOREVER);
    filch_future_release(f);
    return rc == 0 && answer[0] != 1 ? 99 : rc;
}
static int fail_below(void *arg, void *result) {
    filch_future *f = NULL;
    (void)arg;
    (void)result;
    int rc = filch_submit(filch_current_executor(), fail_with_text, NULL, 0, 0, &f);
    if (rc != 0) return rc;
    rc = filch_future_result(f, NULL, FILCH_FOREVER);
    filch_future_release(f);
    return rc == 5 ? 0 : rc;
}
static void play_nested(void) {
    int depth = 3;
    filch_process_options options = options_of(2);
    filch_executor *e = make(&options);
    if (e == NULL) return;
    finish(submit(e, descend, &depth, sizeof depth, 0), NULL);
    finish(submit(e, submit_large, NULL, 0, 0), NULL);
    finish(submit(e, fail_below, NULL, 0, 0), NULL);
    unmake(e);
}

static int twice_or_text(void *arg, void *result) {
    int n = *(int *)arg;
    *(int *)result = 2 * n;
    return n == 7 ? filch_fail(9, "seven is %d too many", 1) : 0;
}
static void check_input(int rc, int place, int value) {
    char text[200];
    if ((rc == 0 && value == 2 * place) || (rc == 9 && place == 7)) return;
    if (rc == FILCH_ETIMEDOUT && sweep_is_armed()) return;
    snprintf(text, sizeof text, "input %d: %d, %s; value %d", place, rc, filch_last_error(), value);
    sweep_expect(rc != 0 && sweep_is_explained(rc, MAY_END), text);
}
static void play_map(void) {
    enum { MANY = 12 };
    int args[MANY], results[MANY], value = 0, rc, place = 0;
    filch_results *it = NULL;
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    filch_process_options options = options_of(2);
    filch_executor *e = make(&options);
    if (e == NULL) return;
    for (int i = 0; i < MANY; i++) args[i] = i;
    spec.fn = twice_or_text;
    spec.args = args;
    spec.n = MANY;
    spec.arg_size = spec.result_size = sizeof(int);
    spec.chunk_size = 5;
    spec.timeout = sweep_is_armed() ? FILCH_MILLISECONDS(500) : FILCH_FOREVER;
    if (CALLED(MAY_END, filch_map(e, &spec, &it))) {
        for (; (rc = filch_results_next(it, &value)) != FILCH_EEND; place++)
            check_input(rc, place, value);
        CALLED(0, filch_results_destroy(it));
    }
    sweep_disarm();
    rc = filch_map_array(e, twice_or_text, args, sizeof(int), MANY, results, sizeof(int));
    EXPECT(rc == 9 || (rc != 0 && sweep_is_explained(rc, MAY_END)));
    unmake(e);
}
static void play_map_array(void) {
    enum { MANY = 12 };
    int args[MANY], results[MANY];
    filch_process_options options = options_of(1);
    filch_executor *e = make(&options);
    if (e == NULL) return;
    for (int i = 0; i < MANY; i++) args[i] = i;
    /* So that it does not wait for what cannot be started. */
    finish(submit(e, twice, args, sizeof(int), sizeof(int)), results);
    int rc = filch_map_array(e, twice_or_text, args, sizeof(int), MANY, results, sizeof(int));
    EXPECT(rc == 9 || (rc != 0 && sweep_is_explained(rc, MAY_END)));
    unmake(e);
}

const struct scenario process_scenarios[] = {
    {"process_tasks", play_tasks, false},
    {"process_large", play_large, false},
    {"process_errors", play_errors, false},
    {"process_options", play_options, false},
    {"process_death", play_death, false},
    {"process_nested", play_nested, false},
    {"process_map", play_map, false},
    {"process_map_array", play_map_array, false},
    {"process_library", play_library, false},
    {"process_functions", play_functions, false},
    {"process_many_large", play_many_large, false},
    {"process_lost_library", play_lost_library, false},
    {"process_two_shutdowns", play_two_shutdowns, false},
    {NULL, NULL, false},
};
