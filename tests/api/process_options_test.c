/* process_options_test.c: each option of an executor on processes.
 *
 * SPDX-License-Identifier: MIT */
#include "process_support.h"

#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>

TestSuite(process_options, .timeout = 60);

/* Values ----------------------------------------------------------------------------------------------- */

static void check_refused(filch_process_options options) {
    filch_executor *const untouched = (filch_executor *)&options;
    filch_executor *e = untouched;
    fails(FILCH_EINVAL, filch_process_executor(&options, &e));
    cr_assert_eq(e, untouched);
}

/* R-PROC-10 */
Test(process_options, out_of_range_is_einval) {
    filch_process_options good = FILCH_PROCESS_OPTIONS_INIT, o;
    filch_limit limit = {-1, 1, 1};
    fails(FILCH_EINVAL, filch_process_executor(&good, NULL));
#define REFUSED(field, value) (o = good, o.field = (value), check_refused(o))
    REFUSED(size, 3);
    REFUSED(max_workers, -1);
    REFUSED(max_workers, 1025);
    REFUSED(max_spares, -2);
    REFUSED(max_spares, 1025);
    REFUSED(task_timeout, -1);
    REFUSED(max_tasks_per_worker, -1);
    REFUSED(spin, -2);
    REFUSED(spin, 1000000001);
    REFUSED(output, -1);
    REFUSED(error, -1);
    REFUSED(initializer_arg_size, 1); /* and no bytes */
    REFUSED(limit_count, 1);
#undef REFUSED
    o = good;
    o.limits = &limit;
    o.limit_count = 1;
    check_refused(o);
}

/* R-PROC-10 */
Test(process_options, defaults_are_null_and_zero) {
    filch_executor *e = NULL;
    ok(filch_process_executor(NULL, &e));
    check_it_works(e);
    cr_assert_gt(filch_executor_worker_limit(e), 16, "with 16 spares");
    ok(filch_executor_destroy(e));
    filch_process_options options = process_options(3);
    options.max_spares = -1;
    e = processes_with(options);
    cr_assert_eq(filch_executor_worker_limit(e), 3);
    check_it_works(e);
    ok(filch_executor_destroy(e));
}

/* R-PROC-10: its text says what was wrong. */
Test(process_options, a_descriptor_that_is_not_open_is_einval) {
    filch_process_options options = process_options(1);
    filch_executor *e;
    options.output = 987;
    fails(FILCH_EINVAL, filch_process_executor(&options, &e));
    cr_assert_not_null(strstr(filch_last_error(), "987"), "%s", filch_last_error());
}

/* Start -------------------------------------------------------------------------------------------------- */

struct greeting {
    struct shared calls;
    char text[100];
};
static struct greeting *greeted;
static int greet(void *arg) {
    greeted = malloc(sizeof *greeted);
    *greeted = *(struct greeting *)arg;
    shared_add(greeted->calls, 1);
    memset(arg, 0, sizeof *greeted); /* its own copy */
    return 0;
}
static int is_greeted(void *arg, void *result) {
    (void)arg;
    (void)result;
    return greeted != NULL && strcmp(greeted->text, "hello") == 0 ? 0 : 1;
}

/* R-PROC-11: each worker gets a copy of the bytes as they were. */
Test(process_options, the_initializers_bytes_travel) {
    enum { TASKS = 30 };
    struct greeting greeting = {shared_alloc(sizeof(int)), "hello"};
    struct shared calls = greeting.calls;
    filch_process_options options = process_options(3);
    options.initializer = greet;
    options.initializer_arg = &greeting;
    options.initializer_arg_size = sizeof greeting;
    options.max_tasks_per_worker = 4;
    filch_executor *e = processes_with(options);
    memset(&greeting, 0xff, sizeof greeting); /* copied when the executor was made */
    filch_future *futures[TASKS];
    for (int i = 0; i < TASKS; i++) futures[i] = submit_to(e, is_greeted, NULL, 0, 0);
    for (int i = 0; i < TASKS; i++) cr_assert_eq(finish(futures[i]), 0);
    ok(filch_executor_shutdown(e, FILCH_WAIT));
    cr_assert_geq(shared_read(calls), TASKS / 4);
    cr_assert_eq((uint64_t)shared_read(calls), stats_of(e).workers_started);
    ok(filch_executor_destroy(e));
}

enum { MANY_BYTES = 3 << 20 };
static size_t good_bytes;
static int count_good(void *arg) {
    for (size_t i = 0; i < MANY_BYTES; i++) good_bytes += ((unsigned char *)arg)[i] == i % 253;
    return 0;
}
static int give_good(void *arg, void *result) {
    (void)arg;
    *(size_t *)result = good_bytes;
    return 0;
}

/* R-PROC-11: any number of them. */
Test(process_options, the_initializer_may_get_megabytes) {
    unsigned char *bytes = malloc(MANY_BYTES);
    size_t good = 0;
    for (size_t i = 0; i < MANY_BYTES; i++) bytes[i] = (unsigned char)(i % 253);
    filch_process_options options = process_options(1);
    options.initializer = count_good;
    options.initializer_arg = bytes;
    options.initializer_arg_size = MANY_BYTES;
    filch_executor *e = processes_with(options);
    free(bytes);
    for (int i = 0; i < 2; i++) {
        filch_future *f = submit_to(e, give_good, NULL, 0, sizeof good);
        ok(filch_future_result(f, &good, FILCH_FOREVER));
        cr_assert_eq(good, MANY_BYTES);
        filch_future_release(f);
        ok(filch_executor_kill_workers(e)); /* the next one gets them too */
    }
    ok(filch_executor_destroy(e));
}

static int fail_to_start(void *arg) {
    return arg == NULL ? 7 : 8;
}

/* R-PROC-11: the code is in the cause. */
Test(process_options, a_failing_initializer_breaks_the_executor) {
    filch_process_options options = process_options(1);
    options.initializer = fail_to_start;
    filch_executor *e = processes_with(options);
    filch_future *f = NULL;
    int rc = filch_submit(e, do_nothing, NULL, 0, 0, &f); /* it may have failed by then */
    cr_assert(rc == 0 || rc == FILCH_EBROKEN);
    const char *text = rc == 0 ? error_of(f).text : filch_last_error();
    cr_assert(rc != 0 || error_of(f).code == FILCH_EBROKEN);
    cr_assert(strstr(text, "initializer") && strstr(text, "7"), "%s", text);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* preload gets no argument: the handle of where it counts stands in the environment. */
static int loaded;
static void put_handle(struct shared handle) {
    char text[100];
    snprintf(text, sizeof text, "%d %d %llu", handle.pid, handle.fd,
             (unsigned long long)handle.offset);
    cr_assert_eq(setenv("PRELOAD_HANDLE", text, 1), 0);
}
static int preload(void) {
    struct shared handle;
    unsigned long long offset;
    const char *text = getenv("PRELOAD_HANDLE");
    if (text == NULL || sscanf(text, "%d %d %llu", &handle.pid, &handle.fd, &offset) != 3) return 9;
    handle.offset = offset;
    shared_add(handle, 1);
    loaded = (int)getpid();
    return 0;
}
static int give_loaded(void *arg, void *result) {
    (void)arg;
    *(int *)result = loaded;
    return loaded == getsid(0) ? 0 : 1;
}

/* R-PROC-12: once, in the zygote, and workers have what it made. */
Test(process_options, preload_runs_once_and_workers_see_its_memory) {
    enum { TASKS = 20 };
    struct shared calls = shared_alloc(sizeof(int));
    put_handle(calls);
    filch_process_options options = process_options(3);
    options.preload = preload;
    options.max_tasks_per_worker = 3;
    filch_executor *e = processes_with(options);
    filch_future *futures[TASKS];
    for (int i = 0; i < TASKS; i++) futures[i] = submit_to(e, give_loaded, NULL, 0, sizeof(int));
    int first = value_of(futures[0]);
    for (int i = 1; i < TASKS; i++) cr_assert_eq(value_of(futures[i]), first);
    cr_assert(first != 0 && first != (int)getpid() && loaded == 0, "not here");
    cr_assert_eq(shared_read(calls), 1);
    ok(filch_executor_destroy(e));
}

static int preload_fails(void) {
    return 7;
}
static int preload_crashes(void) {
    (void)signal(SIGABRT, SIG_DFL);
    abort();
}
static int preload_exits(void) {
    exit(5);
}

/* R-PROC-12 */
Test(process_options, a_preload_that_fails_is_ebroken) {
    static const struct {
        int (*preload)(void);
        const char *text;
    } cases[] = {{preload_fails, "7"}, {preload_crashes, ""}, {preload_exits, ""}};
    struct census before = census_before();
    for (int i = 0; i < 3; i++) {
        filch_process_options options = process_options(1);
        filch_executor *e = NULL;
        options.preload = cases[i].preload;
        fails(FILCH_EBROKEN, filch_process_executor(&options, &e));
        cr_assert(e == NULL && strstr(filch_last_error(), cases[i].text), "%s", filch_last_error());
    }
    check_census(&before);
}

/* Limits on tasks ------------------------------------------------------------------------------------------ */

static volatile int turns;
static int sleep_for_ever(void *arg, void *result) {
    (void)arg;
    (void)result;
    while (turns == 0) pause();
    return 0;
}
static int compute_for_ever(void *arg, void *result) {
    (void)arg;
    (void)result;
    while (turns == 0) continue;
    return 0;
}

/* R-PROC-13: ends that worker, and no other. */
Test(process_options, a_task_that_runs_too_long_is_ended_with_its_worker) {
    struct census before = census_before();
    filch_process_options options = process_options(2);
    options.task_timeout = FILCH_MILLISECONDS(100);
    filch_executor *e = processes_with(options);
    for (int i = 0; i < 2; i++) {
        filch_future *f = submit_to(e, i ? compute_for_ever : sleep_for_ever, NULL, 0, 0);
        int first = some_worker(e), last;
        /* The other worker is busy with short tasks all the time, and there for one more. */
        do last = some_worker(e);
        while (!filch_future_done(f));
        cr_assert_eq(last, first);
        filch_error error = error_of(f);
        cr_assert_eq(error.code, FILCH_EWORKER);
        cr_assert_not_null(strstr(error.text, "task_timeout"), "%s", error.text);
        cr_assert_neq(error.origin.pid, first);
        cr_assert(is_gone(error.origin.pid));
        filch_future_release(f);
    }
    check_it_works(e);
    destroy_and_look(e);
    check_census(&before);
}

/* R-PROC-13: the time of a task begins with its start, not with its submit. */
static int last_a_while(void *arg, void *result) {
    (void)arg;
    (void)result;
    usleep(20000);
    return 0;
}
Test(process_options, time_in_the_queue_does_not_count) {
    enum { TASKS = 15 };
    filch_process_options options = process_options(1);
    options.task_timeout = FILCH_MILLISECONDS(200); /* all together take longer */
    filch_executor *e = processes_with(options);
    filch_future *futures[TASKS];
    for (int i = 0; i < TASKS; i++) futures[i] = submit_to(e, last_a_while, NULL, 0, 0);
    for (int i = 0; i < TASKS; i++) cr_assert_eq(finish(futures[i]), 0, "%s", filch_last_error());
    ok(filch_executor_destroy(e));
}

/* R-PROC-14 */
Test(process_options, a_worker_is_replaced_after_so_many_tasks) {
    enum { TASKS = 23, EACH = 5 };
    struct census before = census_before();
    for (int together = 0; together < 2; together++) {
        filch_process_options options = process_options(1);
        options.max_tasks_per_worker = EACH;
        filch_executor *e = processes_with(options);
        filch_future *futures[TASKS];
        int pids[TASKS];
        if (together)
            for (int i = 0; i < TASKS; i++)
                futures[i] = submit_to(e, say_pid, NULL, 0, sizeof(int));
        for (int i = 0; i < TASKS; i++) pids[i] = together ? value_of(futures[i]) : some_worker(e);
        for (int i = 1; i < TASKS; i++)
            cr_assert_eq(pids[i] != pids[i - 1], i % EACH == 0, "task %d", i);
        destroy_and_look(e);
    }
    check_census(&before);
}

enum { MUCH = 96 << 20 };
static char *volatile kept; /* not given back */
static int keep_much(void *arg, void *result) {
    (void)arg;
    kept = malloc(MUCH);
    if (kept == NULL) return 1;
    memset(kept, 1, MUCH);
    *(int *)result = (int)getpid();
    return 0;
}

/* R-PROC-15: the future says nothing of it. */
Test(process_options, a_worker_that_has_grown_is_replaced) {
    filch_process_options options = process_options(1);
    options.memory_limit = MUCH;
    filch_executor *e = processes_with(options);
    int small = some_worker(e);
    for (int i = 0; i < 5; i++) cr_assert_eq(some_worker(e), small);
    int large = value_of(submit_to(e, keep_much, NULL, 0, sizeof(int)));
    cr_assert_eq(large, small);
    for (int i = 0; i < 3; i++) {
        int next = some_worker(e);
        cr_assert_neq(next, large);
        large = value_of(submit_to(e, keep_much, NULL, 0, sizeof(int)));
        cr_assert_eq(large, next);
    }
    ok(filch_executor_destroy(e));
}

/* Where workers live -------------------------------------------------------------------------------------- */

static int give_limits(void *arg, void *result) {
    struct rlimit *limits = result;
    (void)arg;
    return getrlimit(RLIMIT_NOFILE, &limits[0]) || getrlimit(RLIMIT_CORE, &limits[1]) ? 1 : 0;
}

/* R-PROC-16 */
Test(process_options, limits_hold_in_workers_and_not_here) {
    filch_limit limits[2] = {{RLIMIT_NOFILE, 200, 300}, {RLIMIT_CORE, 0, 0}};
    filch_process_options options = process_options(1);
    struct rlimit seen[2], own;
    options.limits = limits;
    options.limit_count = 2;
    filch_executor *e = processes_with(options);
    memset(limits, 0xff, sizeof limits);
    filch_future *f = submit_to(e, give_limits, NULL, 0, sizeof seen);
    ok(filch_future_result(f, seen, FILCH_FOREVER));
    cr_assert(seen[0].rlim_cur == 200 && seen[0].rlim_max == 300);
    cr_assert(seen[1].rlim_cur == 0 && seen[1].rlim_max == 0);
    cr_assert(getrlimit(RLIMIT_NOFILE, &own) == 0 && own.rlim_max != 300);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* A kind of limit that this process could lift: nobody sets all of them. */
static int find_unlimited(struct rlimit *own) {
    static const int kinds[] = {RLIMIT_CORE, RLIMIT_RSS, RLIMIT_LOCKS, RLIMIT_CPU, RLIMIT_FSIZE};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (getrlimit((__rlimit_resource_t)kinds[i], own) == 0 && own->rlim_max == RLIM_INFINITY)
            return kinds[i];
    return -1;
}
static int give_limit(void *arg, void *result) {
    return getrlimit(*(__rlimit_resource_t *)arg, result) == 0 ? 0 : 1;
}

/* R-PROC-16: none is UINT64_MAX, where there was one. */
Test(process_options, a_limit_may_be_none) {
    struct rlimit own, seen;
    int kind = find_unlimited(&own);
    cr_assert_geq(kind, 0, "each of five hard limits is set");
    own.rlim_cur = 1 << 30;
    cr_assert_eq(setrlimit((__rlimit_resource_t)kind, &own), 0);
    filch_limit limit = {kind, UINT64_MAX, UINT64_MAX};
    filch_process_options options = process_options(1);
    options.limits = &limit;
    options.limit_count = 1;
    filch_executor *e = processes_with(options);
    filch_future *f = submit_to(e, give_limit, &kind, sizeof kind, sizeof seen);
    ok(filch_future_result(f, &seen, FILCH_FOREVER));
    cr_assert_eq(seen.rlim_cur, RLIM_INFINITY);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* The argument is a name; the result its value, or "none". */
static int give_variable(void *arg, void *result) {
    const char *value = getenv(arg);
    snprintf(result, 100, "%s", value == NULL ? "none" : value);
    return 0;
}
static void check_variable(filch_executor *e, const char *name, const char *expected) {
    char value[100];
    filch_future *f = submit_to(e, give_variable, name, strlen(name) + 1, sizeof value);
    ok(filch_future_result(f, value, FILCH_FOREVER));
    cr_assert_str_eq(value, expected, "%s", name);
    filch_future_release(f);
}

/* R-PROC-17 */
Test(process_options, environment_replaces_the_programs) {
    static const char *const lines[] = {"FIRST=1", "SECOND=two words", "EMPTY=", NULL};
    filch_process_options options = process_options(1);
    cr_assert_eq(setenv("OF_THE_PROGRAM", "here", 1), 0);
    filch_executor *same = processes_with(options);
    options.environment = lines;
    filch_executor *own = processes_with(options);
    cr_assert_eq(setenv("OF_THE_PROGRAM", "too late", 1), 0);
    check_variable(same, "OF_THE_PROGRAM", "here");
    check_variable(own, "OF_THE_PROGRAM", "none");
    check_variable(own, "FIRST", "1");
    check_variable(own, "SECOND", "two words");
    check_variable(own, "EMPTY", "");
    ok(filch_executor_destroy(same));
    ok(filch_executor_destroy(own));
}

static int give_directory(void *arg, void *result) {
    (void)arg;
    return getcwd(result, PATH_MAX) == NULL;
}
static void check_directory(filch_executor *e, const char *expected) {
    char *seen = malloc(PATH_MAX);
    filch_future *f = submit_to(e, give_directory, NULL, 0, PATH_MAX);
    ok(filch_future_result(f, seen, FILCH_FOREVER));
    cr_assert_str_eq(seen, expected);
    filch_future_release(f);
    free(seen);
}

/* R-PROC-17 */
Test(process_options, directory) {
    char made[] = "/tmp/filch-test-XXXXXX";
    cr_assert_not_null(mkdtemp(made));
    filch_process_options options = process_options(1);
    options.directory = made;
    filch_executor *e = processes_with(options);
    check_directory(e, made);
    ok(filch_executor_destroy(e));
    options.directory = NULL;
    cr_assert_eq(chdir(made), 0);
    e = processes_with(options);
    cr_assert_eq(chdir("/"), 0);
    check_directory(e, made); /* that when the executor was made */
    ok(filch_executor_destroy(e));
    cr_assert_eq(rmdir(made), 0);
    options.directory = made;
    e = NULL;
    int rc = filch_process_executor(&options, &e);
    cr_assert(rc == FILCH_EINVAL || rc == FILCH_EBROKEN, "%d: there is none", rc);
    cr_assert(e == NULL && strstr(filch_last_error(), made), "%s", filch_last_error());
}

static int say_where(void *arg, void *result) {
    (void)result;
    printf("%s to output\n", (char *)arg);
    fprintf(stderr, "%s to error\n", (char *)arg);
    return fflush(stdout) == 0 ? 0 : 1;
}
static void check_pipe(int end, const char *expected) {
    char text[100];
    ssize_t n = read(end, text, sizeof text - 1);
    cr_assert_gt(n, 0);
    text[n] = '\0';
    cr_assert_str_eq(text, expected);
}

/* R-PROC-17 */
Test(process_options, output_and_error) {
    int out[2], err[2];
    cr_assert(pipe(out) == 0 && pipe(err) == 0);
    filch_process_options options = process_options(1);
    options.output = out[1];
    options.error = err[1];
    filch_executor *e = processes_with(options);
    close(out[1]);
    close(err[1]);
    cr_assert_eq(finish(submit_to(e, say_where, "one", 4, 0)), 0);
    check_pipe(out[0], "one to output\n");
    check_pipe(err[0], "one to error\n");
    ok(filch_executor_kill_workers(e));
    cr_assert_eq(finish(submit_to(e, say_where, "two", 4, 0)), 0);
    check_pipe(out[0], "two to output\n");
    check_pipe(err[0], "two to error\n");
    ok(filch_executor_destroy(e));
    char byte;
    cr_assert_eq(read(out[0], &byte, 1), 0, "nobody has the other end any more");
    close(out[0]);
    close(err[0]);
}

static int count_own_fds(void *arg, void *result) {
    (void)arg;
    *(int *)result = count_fds();
    return 0;
}

/* R-PROC-17: of the program's other descriptors a worker has none. */
Test(process_options, descriptors_of_the_program_stay_there) {
    filch_executor *e = processes_of(1);
    int before = value_of(submit_to(e, count_own_fds, NULL, 0, sizeof(int))), many[100];
    ok(filch_executor_destroy(e));
    for (int i = 0; i < 100; i++) many[i] = dup(0); /* not closed on exec */
    e = processes_of(1);
    cr_assert_eq(value_of(submit_to(e, count_own_fds, NULL, 0, sizeof(int))), before);
    ok(filch_executor_destroy(e));
    for (int i = 0; i < 100; i++) close(many[i]);
}

/* kill_workers ---------------------------------------------------------------------------------------------- */

/* R-PROC-18 */
Test(process_options, kill_workers_ends_what_runs_and_nothing_else) {
    enum { WAITING = 10 };
    struct census before = census_before();
    filch_executor *e = processes_of(2);
    for (int round = 0; round < 3; round++) {
        struct stay stays[2];
        filch_future *running[2], *waiting[WAITING];
        for (int i = 0; i < 2; i++) running[i] = stay_on(e, &stays[i]);
        for (int i = 0; i < WAITING; i++)
            waiting[i] = submit_to(e, times_itself, &i, sizeof i, sizeof i);
        ok(filch_executor_kill_workers(e));
        for (int i = 0; i < 2; i++)
            check_died(running[i], "signal 9 (Killed) by filch_executor_kill_workers");
        for (int i = 0; i < WAITING; i++) cr_assert_eq(value_of(waiting[i]), i * i);
        ok(filch_executor_kill_workers(e)); /* idle, or on their way */
        check_it_works(e);
    }
    destroy_and_look(e);
    check_census(&before);
}

/* R-PROC-18 */
Test(process_options, kill_workers_before_and_after_there_are_any) {
    filch_executor *e = processes_of(2), *threads = executor_of(1);
    ok(filch_executor_kill_workers(e));
    check_it_works(e);
    ok(filch_executor_shutdown(e, FILCH_WAIT));
    ok(filch_executor_kill_workers(e));
    ok(filch_executor_destroy(e));
    fails(FILCH_EINVAL, filch_executor_kill_workers(NULL));
    fails(FILCH_ENOTSUP, filch_executor_kill_workers(threads));
    ok(filch_executor_destroy(threads));
}

/* What cannot be ---------------------------------------------------------------------------------------------- */

static int then_nothing(filch_future *done, void *arg, void *result) {
    (void)done;
    (void)arg;
    (void)result;
    return 0;
}
static int make_another(void *arg, void *result) {
    filch_executor *e = NULL;
    (void)arg;
    (void)result;
    return filch_process_executor(NULL, &e) == FILCH_ENOTSUP && e == NULL ? 0 : 1;
}

/* R-PROC-19: what needs the program's memory is refused, and says so. */
Test(process_options, what_cannot_be_in_another_process_is_enotsup) {
    filch_executor *e = processes_of(1);
    filch_future *f = submit_to(e, do_nothing, NULL, 0, 0), *made = NULL;
    fails(FILCH_ENOTSUP, filch_then(f, e, then_nothing, NULL, 0, 0, &made));
    cr_assert_null(made);
    fails(FILCH_ENOTSUP, filch_run(e, do_nothing, NULL, NULL));
    cr_assert_eq(finish(f), 0);
    cr_assert_eq(finish(submit_to(e, make_another, NULL, 0, 0)), 0, "no executors in workers");
    ok(filch_executor_destroy(e));
}
