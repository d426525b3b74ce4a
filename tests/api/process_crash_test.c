/* process_crash_test.c: a worker that dies costs the task that it was running, and nothing else.
 *
 * Every way to die, at every point of a task's life, with the text that names worker, pid, cause and function.
 *
 * SPDX-License-Identifier: MIT */
#include "process_support.h"

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

TestSuite(process_crash, .timeout = 60);

/* Ways to die ---------------------------------------------------------------------------------------- */

enum way {
    BAD_POINTER,
    BY_KILL,
    BY_ABORT,
    BY_EXIT,
    BY_EXIT_AT_ONCE,
    STACK_OVERFLOW,
    BY_TERM,
    WAYS
};
static const char *const causes[WAYS] = {
    "signal 11 (Segmentation fault)",
    "signal 9 (Killed)",
    "signal 6 (Aborted)",
    "exit code 3",
    "exit code 4",
    "signal 11",
    "signal 15 (Terminated)",
};

static volatile int depth = 1;
static int overflow(volatile char *below) {
    volatile char page[4096];
    page[0] = below == NULL ? 1 : (char)(below[0] + 1);
    return depth == 0 ? 0 : overflow(page) + page[0];
}
static void die(enum way way) {
    static volatile int *volatile nowhere = (volatile int *)(uintptr_t)64;
    /* Sanitizers have handlers, which exit. */
    (void)signal(SIGSEGV, SIG_DFL);
    (void)signal(SIGABRT, SIG_DFL);
    switch (way) {
    case BAD_POINTER: *nowhere = 1; break;
    case BY_KILL: (void)kill(getpid(), SIGKILL); break;
    case BY_ABORT: abort();
    case BY_EXIT: exit(3);
    case BY_EXIT_AT_ONCE: _exit(4);
    case STACK_OVERFLOW: (void)overflow(NULL); break;
    case BY_TERM: (void)kill(getpid(), SIGTERM); break;
    case WAYS: break;
    }
    for (;;) pause();
}

struct told {
    enum way way;
    struct shared pid;
};
/* Says its pid and dies. Static, so that its name comes from the symbol table of the file. */
static int crash_as_told(void *arg, void *result) {
    struct told *told = arg;
    (void)result;
    shared_add(told->pid, (int)getpid());
    die(told->way);
    return 0;
}
int crash_in_public(void *arg, void *result);
int crash_in_public(void *arg, void *result) {
    (void)arg;
    (void)result;
    die(BAD_POINTER);
    return 0;
}

static filch_future *submit_crash(filch_executor *e, struct told *told, enum way way) {
    *told = (struct told){way, shared_alloc(sizeof(int))};
    return submit_to(e, crash_as_told, told, sizeof *told, sizeof(int));
}

/* R-PROC-1, R-PROC-2 */
Test(process_crash, each_way_to_die_is_named) {
    struct census before = census_before();
    filch_executor *e = processes_of(1);
    for (int way = 0; way < WAYS; way++) {
        struct told told;
        filch_future *f = submit_crash(e, &told, (enum way)way);
        filch_error error = error_of(f);
        cr_assert_eq(error.origin.pid, shared_read(told.pid), "way %d: %s", way, error.text);
        cr_assert_not_null(strstr(error.text, " in crash_as_told"), "%s", error.text);
        check_died(f, causes[way]);
        check_it_works(e);
        cr_assert(is_gone(shared_read(told.pid)));
    }
    filch_future *f = submit_to(e, crash_in_public, NULL, 0, 0);
    cr_assert_not_null(strstr(error_of(f).text, "crash_in_public"), "%s", error_of(f).text);
    check_died(f, causes[BAD_POINTER]);
    destroy_and_look(e);
    check_census(&before);
}

/* R-PROC-2: the name that the task was given is in the text too. */
Test(process_crash, the_tasks_own_name_is_in_the_last_error) {
    filch_executor *e = processes_of(1);
    filch_task task = FILCH_TASK_INIT;
    filch_future *f;
    task.fn = crash_in_public;
    task.name = "the weekly sum";
    ok(filch_submit_task(e, &task, &f));
    cr_assert_eq(filch_future_result(f, NULL, FILCH_FOREVER), FILCH_EWORKER);
    cr_assert_not_null(strstr(filch_last_error(), "the weekly sum"), "%s", filch_last_error());
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* So that malloc fails with them as it does without. */
#if defined(TEST_SANITIZE_ADDRESS) || defined(TEST_SANITIZE_THREAD)
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return "allocator_may_return_null=1";
}
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return __asan_default_options();
}
#endif

/* Address space of this process, which is about that of a worker: bytes. Under a sanitizer it is many terabytes. */
static uint64_t address_space(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert(file != NULL && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static char *volatile taken; /* or a compiler may leave out what nobody looks at */
static int take_all_memory(void *arg, void *result) {
    (void)arg;
    (void)result;
    (void)signal(SIGABRT, SIG_DFL);
    for (;;) {
        taken = malloc(1 << 20);
        if (taken == NULL) abort();
        memset(taken, 1, 1 << 20);
    }
}

/* R-PROC-1: a program that aborts where malloc fails. */
Test(process_crash, out_of_memory) {
    const uint64_t most = address_space() + (64 << 20);
    filch_limit limit = {RLIMIT_AS, most, most};
    filch_process_options options = process_options(1);
    options.limits = &limit;
    options.limit_count = 1;
    filch_executor *e = processes_with(options);
    for (int i = 0; i < 3; i++) {
        check_died(submit_to(e, take_all_memory, NULL, 0, 0), causes[BY_ABORT]);
        check_it_works(e);
    }
    ok(filch_executor_destroy(e));
}

/* R-PROC-1 */
Test(process_crash, stopped_and_then_killed_from_outside) {
    filch_executor *e = processes_of(1);
    struct stay stay;
    filch_future *f = stay_on(e, &stay);
    int pid = shared_read(stay.pid);
    cr_assert_eq(kill(pid, SIGSTOP), 0);
    filch_future *next = submit_to(e, say_pid, NULL, 0, sizeof(int));
    fails(FILCH_ETIMEDOUT, filch_future_result(f, NULL, FILCH_MILLISECONDS(5)));
    cr_assert_eq(kill(pid, SIGKILL), 0);
    check_died(f, causes[BY_KILL]);
    cr_assert_neq(value_of(next), pid, "what stood behind it runs elsewhere");
    ok(filch_executor_destroy(e));
}

/* Points of a task's life ----------------------------------------------------------------------------- */

/* R-PROC-3: its message is there, and it has not read it. */
Test(process_crash, before_the_task_is_read_it_goes_elsewhere) {
    enum { LARGE = 1 << 20, TASKS = 5 };
    filch_executor *e = processes_of(1);
    char *large = calloc(1, LARGE);
    for (int round = 0; round < 4; round++) {
        int pid = some_worker(e);
        cr_assert_eq(kill(pid, SIGSTOP), 0);
        filch_future *futures[TASKS];
        for (int i = 0; i < TASKS; i++)
            futures[i] = submit_to(e, say_pid, large, round % 2 ? LARGE : 0, sizeof(int));
        cr_assert_eq(kill(pid, SIGKILL), 0);
        for (int i = 0; i < TASKS; i++) cr_assert_neq(value_of(futures[i]), pid);
    }
    free(large);
    ok(filch_executor_destroy(e));
}

/* R-PROC-3 */
Test(process_crash, an_idle_worker_costs_nothing) {
    struct census before = census_before();
    filch_executor *e = processes_of(2);
    for (int round = 0; round < 10; round++) {
        int pid = some_worker(e);
        cr_assert_eq(kill(pid, SIGKILL), 0);
        if (round % 2) cr_assert(ends_soon(pid)); /* noticed before, or not, the next task */
        cr_assert_neq(some_worker(e), pid);
    }
    destroy_and_look(e);
    check_census(&before);
}

/* Kills its own process after so many microseconds, while the task goes on. */
static void *kill_soon(void *microseconds) {
    struct timespec pause = {0, (long)(intptr_t)microseconds * 1000};
    nanosleep(&pause, NULL);
    kill(getpid(), SIGKILL);
    return NULL;
}
struct doomed {
    int microseconds, fill;
    size_t size;
};
static int give_much_while_dying(void *arg, void *result) {
    struct doomed *doomed = arg;
    pthread_t thread;
    (void)result;
    if (pthread_create(&thread, NULL, kill_soon, (void *)(intptr_t)doomed->microseconds) != 0)
        return 1;
    unsigned char *data = filch_result_alloc(doomed->size);
    if (data == NULL) return 2;
    memset(data, doomed->fill, doomed->size);
    return 0;
}

/* Either the whole result is there, or none. Returns whether it is. */
static bool check_whole(filch_future *f, const struct doomed *doomed) {
    const void *data;
    size_t size;
    int rc = filch_future_result_view(f, &data, &size);
    cr_assert(rc == 0 || rc == FILCH_EWORKER, "%s: %s", filch_error_name(rc), filch_last_error());
    if (rc != 0) return false;
    cr_assert_eq(size, doomed->size);
    for (size_t i = 0; i < size; i++) cr_assert_eq(((const unsigned char *)data)[i], doomed->fill);
    return true;
}

/* R-PROC-3: while it writes a large result, and just after. */
Test(process_crash, while_a_result_is_written) {
    static const size_t sizes[] = {100, 5000, 300000, 4 << 20};
    struct census before = census_before();
    filch_executor *e = processes_of(2);
    int whole = 0, rounds = stress(40);
    for (int round = 0; round < rounds; round++) {
        struct doomed doomed = {50 * (round % 20), round, sizes[round % 4]};
        doomed.fill &= 0x7f;
        filch_future *f = submit_to(e, give_much_while_dying, &doomed, sizeof doomed, 0);
        whole += check_whole(f, &doomed);
        filch_future_release(f);
    }
    destroy_and_look(e);
    check_census(&before);
    cr_assert_lt(whole, rounds, "some must have died in time");
}

/* R-PROC-3: its last task is done, and it is about to end. */
Test(process_crash, while_it_retires) {
    struct census before = census_before();
    filch_process_options options = process_options(2);
    options.max_tasks_per_worker = 1;
    filch_executor *e = processes_with(options);
    for (int round = 0; round < stress(30); round++) {
        struct doomed doomed = {100 * (round % 15), 3, 8};
        filch_future *f = submit_to(e, give_much_while_dying, &doomed, sizeof doomed, 0);
        filch_future *other = submit_to(e, times_itself, &round, sizeof round, sizeof round);
        (void)check_whole(f, &doomed);
        filch_future_release(f);
        cr_assert_eq(value_of(other), round * round);
    }
    destroy_and_look(e);
    check_census(&before);
}

struct starts {
    struct shared calls;
    int bad; /* so many starts fail */
    enum way way;
};
static int crash_at_first(void *arg) {
    struct starts *starts = arg;
    if (shared_add(starts->calls, 1) <= starts->bad) die(starts->way);
    return 0;
}
static filch_executor *processes_that_start(int max_workers, const struct starts *starts) {
    filch_process_options options = process_options(max_workers);
    options.initializer = crash_at_first;
    options.initializer_arg = starts;
    options.initializer_arg_size = sizeof *starts;
    return processes_with(options);
}

/* R-PROC-4: a start that dies is tried again. */
Test(process_crash, while_it_starts) {
    static const enum way ways[] = {BAD_POINTER, BY_KILL, BY_EXIT};
    struct census before = census_before();
    for (int i = 0; i < 3; i++) {
        struct starts starts = {shared_alloc(sizeof(int)), 2, ways[i]};
        filch_executor *e = processes_that_start(1, &starts);
        check_it_works(e);
        cr_assert_eq(shared_read(starts.calls), 3);
        destroy_and_look(e);
    }
    check_census(&before);
}

/* R-PROC-5 */
Test(process_crash, five_starts_in_a_row_that_die_break_the_executor) {
    static const enum way ways[] = {BAD_POINTER, BY_EXIT};
    struct census before = census_before();
    for (int i = 0; i < 2; i++) {
        struct starts starts = {shared_alloc(sizeof(int)), 1000, ways[i]};
        filch_executor *e = processes_that_start(1 + i, &starts);
        filch_future *futures[10];
        int accepted = 0;
        for (int k = 0; k < 10; k++) {
            int rc = filch_submit(e, times_itself, &k, sizeof k, sizeof k, &futures[accepted]);
            cr_assert(rc == 0 || rc == FILCH_EBROKEN, "%d", rc);
            if (rc == 0) accepted++;
        }
        cr_assert_gt(accepted, 0);
        for (int k = 0; k < accepted; k++) {
            filch_error error = error_of(futures[k]);
            cr_assert_eq(error.code, FILCH_EBROKEN, "%s", error.text);
            cr_assert_not_null(strstr(error.text, causes[ways[i]]), "%s", error.text);
            filch_future_release(futures[k]);
        }
        fails(FILCH_EBROKEN, filch_submit(e, do_nothing, NULL, 0, 0, NULL));
        cr_assert_not_null(strstr(filch_last_error(), causes[ways[i]]), "%s", filch_last_error());
        cr_assert(shared_read(starts.calls) >= 5 && shared_read(starts.calls) <= 6 + i);
        ok(filch_executor_destroy(e));
    }
    check_census(&before);
}

/* Retries ------------------------------------------------------------------------------------------------ */

struct trial {
    struct shared runs;
    int crashes, bytes;
    unsigned char data[];
};
/* Spoils its argument before it crashes: the next trial gets it as it was. */
static int crash_at_first_trials(void *arg, void *result) {
    struct trial *trial = arg;
    int run = shared_add(trial->runs, 1), crashes = trial->crashes;
    for (int i = 0; i < trial->bytes; i++)
        if (trial->data[i] != i % 255) return 1;
    memset(trial->data, 0xff, (size_t)trial->bytes);
    trial->crashes = 77;
    if (run <= crashes) die(BY_KILL);
    *(int *)result = run;
    return 0;
}
static filch_future *submit_trial(filch_executor *e, struct shared runs, int retries, int bytes) {
    size_t size = sizeof(struct trial) + (size_t)bytes;
    struct trial *trial = malloc(size);
    filch_task task = FILCH_TASK_INIT;
    filch_future *f = NULL;
    *trial = (struct trial){runs, 2, bytes};
    for (int i = 0; i < bytes; i++) trial->data[i] = (unsigned char)(i % 255);
    task.fn = crash_at_first_trials;
    task.arg = trial;
    task.arg_size = size;
    task.result_size = sizeof(int);
    task.retries = retries;
    ok(filch_submit_task(e, &task, &f));
    free(trial);
    return f;
}

/* R-PROC-8 */
Test(process_crash, a_task_is_tried_again_so_often) {
    static const int sizes[] = {0, 100, 4000, 100000, 3000000};
    struct census before = census_before();
    filch_executor *e = processes_of(2);
    for (int i = 0; i < 5; i++)
        for (int retries = 0; retries < 4; retries++) {
            struct shared runs = shared_alloc(sizeof(int));
            filch_future *f = submit_trial(e, runs, retries, sizes[i]);
            if (retries >= 2)
                cr_assert_eq(value_of(f), 3);
            else
                check_died(f, causes[BY_KILL]);
            cr_assert_eq(shared_read(runs), retries >= 2 ? 3 : retries + 1);
        }
    destroy_and_look(e);
    check_census(&before);
}

struct cancel {
    filch_future *f;
    uint32_t done;
    bool won;
};
static void cancel_it(void *context) {
    struct cancel *c = context;
    c->won = filch_future_cancel(c->f);
    filch_store_release(&c->done, 1u);
}
/* Goes on when the thread stands at the stopper, true, or has ended. */
static bool reaches(struct cancel *c, struct stopper *s) {
    while (!stopper_is_reached(s) && filch_load_acquire(&c->done) == 0) sched_yield();
    return stopper_is_reached(s);
}

/* The cancel has looked where the task is posted; then the worker dies, and the task is being posted to the next, which has
 * the same index: the cancel must not take the new place for the old one, and whoever wins, the task ends. */
Test(process_crash, a_cancel_that_looked_before_the_death_ends_it) {
    filch_executor *e = processes_of(1);
    struct stay stay;
    struct stopper cancelling, again, posting;
    struct cancel c;
    pthread_t thread;
    filch_future *running = stay_on(e, &stay);
    for (bool posted = false; !posted;) {
        c = (struct cancel){.f = submit_to(e, say_pid, NULL, 0, sizeof(int))};
        stopper_arm(&cancelling, "attend.ticket");
        thread = thread_start(cancel_it, &c);
        posted = reaches(&c, &cancelling);
        if (posted) break;
        /* It was not posted yet. */
        stopper_release(&cancelling);
        thread_finish(thread);
        filch_future_release(c.f);
    }
    stopper_arm(&posting, "post.held");
    cr_assert_eq(kill((pid_t)shared_read(stay.pid), SIGKILL), 0);
    stopper_wait_reached(&posting);
    stopper_arm(&again, "attend.ticket");
    stopper_release(&cancelling);
    (void)reaches(&c, &again);
    stopper_release(&posting);
    check_died(running, causes[BY_KILL]);
    check_it_works(e);
    stopper_release(&again);
    thread_finish(thread);
    cr_assert_eq(filch_future_result(c.f, NULL, FILCH_FOREVER), c.won ? FILCH_ECANCELED : 0);
    filch_future_release(c.f);
    destroy_and_look(e);
}

/* R-PROC-8: what fails by itself is not tried again; a negative number is refused; threads take no notice. */
Test(process_crash, only_deaths_are_tried_again) {
    filch_executor *e = processes_of(1), *threads = executor_of(1);
    filch_task task = FILCH_TASK_INIT;
    filch_future *f = NULL;
    struct trial trial = {shared_alloc(sizeof(int)), -1, 0};
    task.fn = crash_at_first_trials;
    task.arg = &trial;
    task.arg_size = sizeof trial;
    task.result_size = sizeof(int);
    task.retries = -1;
    fails(FILCH_EINVAL, filch_submit_task(e, &task, &f));
    cr_assert_null(f);
    task.retries = 5;
    ok(filch_submit_task(threads, &task, &f));
    cr_assert_eq(value_of(f), 1);
    ok(filch_submit_task(e, &task, &f));
    cr_assert_eq(value_of(f), 2, "once each");
    ok(filch_executor_destroy(threads));
    ok(filch_executor_destroy(e));
}

/* Many ------------------------------------------------------------------------------------------------- */

/* R-PROC-1, R-PROC-3: each way to die among good tasks. */
static void check_among_others(int workers) {
    enum { TASKS = 60 };
    struct census before = census_before();
    filch_executor *e = processes_of(workers);
    filch_future *futures[TASKS];
    struct told told;
    for (int i = 0; i < TASKS; i++)
        futures[i] = i % 6 == 5 ? submit_crash(e, &told, (enum way)(i / 6 % WAYS))
                                : submit_to(e, times_itself, &i, sizeof i, sizeof i);
    for (int i = 0; i < TASKS; i++)
        if (i % 6 == 5)
            check_died(futures[i], causes[i / 6 % WAYS]);
        else
            cr_assert_eq(value_of(futures[i]), i * i);
    destroy_and_look(e);
    check_census(&before);
}
Test(process_crash, among_others_with_one_worker) {
    check_among_others(1);
}
Test(process_crash, among_others_with_two_workers) {
    check_among_others(2);
}
Test(process_crash, among_others_with_five_workers) {
    check_among_others(5);
}
Test(process_crash, among_others_with_thirteen_workers) {
    check_among_others(13);
}

/* R-PROC-1: a task that nobody waits for. */
Test(process_crash, of_a_detached_task) {
    struct census before = census_before();
    filch_executor *e = processes_of(2);
    struct told told = {BY_ABORT, shared_alloc(sizeof(int))};
    for (int i = 0; i < 5; i++) ok(filch_submit(e, crash_as_told, &told, sizeof told, 0, NULL));
    check_it_works(e);
    destroy_and_look(e);
    check_census(&before);
}

static void note_end(filch_future *f, void *context) {
    filch_error error = error_of(f);
    if (error.code == FILCH_EWORKER) add(context, 1);
}
static int *destroyed;
static void note_destroyed(void *arg) {
    (void)arg;
    add(destroyed, 1);
}

/* R-PROC-6: callbacks, destructors, sets and counters see a death as any other end. */
Test(process_crash, callbacks_destructors_and_sets_see_it) {
    filch_executor *e = processes_of(1);
    struct told told = {BY_KILL, shared_alloc(sizeof(int))};
    filch_task task = FILCH_TASK_INIT;
    filch_future *f;
    int called = 0, count = 0;
    destroyed = &count;
    task.fn = crash_as_told;
    task.arg = &told;
    task.arg_size = sizeof told;
    task.arg_destroy = note_destroyed;
    ok(filch_submit_task(e, &task, &f));
    ok(filch_future_add_done_callback(f, note_end, &called));
    cr_assert_eq(filch_wait(&f, 1, FILCH_FOREVER, FILCH_FIRST_ERROR), 1);
    cr_assert_eq(read_int(&count), 1, "before it is done");
    cr_assert(filch_future_done(f) && !filch_future_cancelled(f) && !filch_future_cancel(f));
    ok(filch_executor_shutdown(e, FILCH_WAIT));
    filch_stats stats = stats_of(e);
    cr_assert(called == 1 && stats.submitted == 1 && stats.completed == 1);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* R-PROC-6: inputs of a map fail one by one. */
static int crash_at_seven(void *arg, void *result) {
    if (*(int *)arg == 7) die(BAD_POINTER);
    return times_itself(arg, result);
}
Test(process_crash, a_map_loses_the_task_that_had_the_input) {
    enum { N = 20 };
    filch_executor *e = processes_of(2);
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    filch_results *it = NULL;
    int inputs[N];
    for (int i = 0; i < N; i++) inputs[i] = i;
    spec.fn = crash_at_seven;
    spec.args = inputs;
    spec.n = N;
    spec.arg_size = spec.result_size = sizeof(int);
    spec.chunk_size = 1;
    ok(filch_map(e, &spec, &it));
    for (int i = 0; i < N; i++) {
        int value = -1;
        cr_assert_eq(filch_results_next(it, &value), i == 7 ? FILCH_EWORKER : 0);
        cr_assert_eq(value, i == 7 ? -1 : i * i);
    }
    ok(filch_results_destroy(it));
    ok(filch_executor_destroy(e));
}

static int wait_for_a_crash(void *arg, void *result) {
    filch_future *f;
    filch_error error;
    int rc = filch_submit(filch_current_executor(), crash_as_told, arg, sizeof(struct told),
                          sizeof(int), &f);
    (void)result;
    if (rc != 0) return 1;
    /* The other worker takes it: on top of this one it would take both along. */
    shared_wait(((struct told *)arg)->pid, 1);
    rc = filch_future_error(f, &error, FILCH_FOREVER);
    if (rc != 0) return 2;
    rc = error.code == FILCH_EWORKER && strstr(error.text, "signal 9") != NULL ? 0 : 3;
    filch_future_release(f);
    return rc;
}

/* R-PROC-6: a task sees the death of its child. */
Test(process_crash, of_a_child_is_seen_by_the_task_that_waits) {
    filch_executor *e = processes_of(2);
    struct told told = {BY_KILL, shared_alloc(sizeof(int))};
    cr_assert_eq(finish(submit_to(e, wait_for_a_crash, &told, sizeof told, 0)), 0);
    ok(filch_executor_destroy(e));
}

/* Waits that nobody else can end ------------------------------------------------------------------------- */

static filch_executor *lonely(void) {
    filch_process_options options = process_options(1);
    options.max_spares = -1;
    return processes_with(options);
}

/* A stack of so large frames holds some ten tasks. A wait that is refused leaves its child to others. */
enum { FRAME = 512 << 10, DEEPEST = 40 };
static int dive(void *arg, void *result) {
    volatile char frame[FRAME];
    int level = *(int *)arg + 1, *refused = result;
    filch_future *f;
    for (int i = 0; i < FRAME; i += 4096) frame[i] = (char)level;
    if (level > DEEPEST) return 0;
    int rc = filch_submit(filch_current_executor(), dive, &level, sizeof level, sizeof level, &f);
    if (rc != 0) return rc;
    rc = filch_future_result(f, refused, FILCH_FOREVER);
    filch_future_release(f);
    if (rc == FILCH_EAGAIN) *refused = frame[0];
    return rc == FILCH_EAGAIN ? 0 : rc;
}

/* R-PROC-1: the worker says that its stack is used up, and gets nothing on top. */
Test(process_crash, a_stack_that_is_used_up_is_no_crash) {
    filch_executor *e = lonely();
    int level = 0;
    int refused = value_of(submit_to(e, dive, &level, sizeof level, sizeof level));
    cr_assert(refused > 5 && refused < 20, "%d", refused);
    ok(filch_executor_destroy(e));
}

static int wait_isolated(void *arg, void *result) {
    filch_future *f;
    (void)arg;
    int rc = filch_submit(filch_current_executor(), say_pid, NULL, 0, sizeof(int), &f);
    if (rc == 0) rc = filch_future_result_isolated(f, result, FILCH_FOREVER);
    if (rc == 0) filch_future_release(f);
    return rc;
}
static int wait_for_two(void *arg, void *result) {
    filch_future *f[2];
    int rc = 0;
    (void)arg;
    for (int i = 0; i < 2 && rc == 0; i++)
        rc = filch_submit(filch_current_executor(), wait_isolated, NULL, 0, sizeof(int), &f[i]);
    if (rc == 0 && filch_wait(f, 2, FILCH_FOREVER, FILCH_FIRST_ERROR) != 2) rc = 1;
    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = filch_future_result(f[i], result, FILCH_FOREVER);
        filch_future_release(f[i]);
    }
    return rc;
}

/* R-WORKER-9: what waited isolated on top is over, and the wait below it gets help again. */
Test(process_crash, a_wait_gets_help_after_an_isolated_one_on_top_of_it) {
    filch_executor *e = lonely();
    filch_future *f = submit_to(e, wait_for_two, NULL, 0, sizeof(int));
    int pid = 0, rc = filch_future_result(f, &pid, FILCH_SECONDS(10));
    cr_assert_eq(rc, 0, "%d: %s", rc, filch_last_error());
    cr_assert_eq(pid, some_worker(e));
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}

/* The zygote ------------------------------------------------------------------------------------------- */

/* Kills the process from which the executor's workers are forked; returns its pid when it has ended, and the only worker
 * with it. */
static int kill_zygote(filch_executor *e) {
    int worker = some_worker(e), zygote = zygote_of(worker);
    cr_assert_eq(kill(zygote, SIGKILL), 0);
    cr_assert(ends_soon(zygote) && ends_soon(worker));
    return zygote;
}
static filch_future *submit_with_retries(filch_executor *e, int n) {
    filch_task task = FILCH_TASK_INIT;
    filch_future *f = NULL;
    task.fn = times_itself;
    task.arg = &n;
    task.arg_size = task.result_size = sizeof n;
    task.retries = 1;
    ok(filch_submit_task(e, &task, &f));
    return f;
}

/* R-PROC-9: often, since deaths between which tasks run are not counted; and just before a task, which it may cost. */
Test(process_crash, an_idle_zygote_costs_nothing) {
    struct census before = census_before();
    filch_executor *e = processes_of(1);
    for (int round = 0; round < 10; round++) {
        int zygote = kill_zygote(e);
        check_it_works(e);
        int next = some_zygote(e);
        cr_assert_neq(next, zygote);
        cr_assert_eq(kill(next, SIGKILL), 0);
        for (int i = 0; i < 3; i++) cr_assert_eq(value_of(submit_with_retries(e, i)), i * i);
        cr_assert(ends_soon(next));
    }
    destroy_and_look(e);
    check_census(&before);
}

/* R-PROC-9: what ran fails with a text, or is tried again; what stood behind it goes on. */
Test(process_crash, a_zygote_that_dies_costs_the_tasks_that_run) {
    enum { WAITING = 10, ROUNDS = 6 };
    struct census before = census_before();
    filch_executor *e = processes_of(2);
    for (int round = 0; round < ROUNDS; round++) {
        struct stay stays[2] = {new_stay(), new_stay()};
        filch_future *running[2], *waiting[WAITING];
        filch_task task = FILCH_TASK_INIT;
        task.fn = stay_until_open;
        task.arg_size = sizeof *stays;
        for (int i = 0; i < 2; i++) {
            task.arg = &stays[i];
            task.retries = i;
            ok(filch_submit_task(e, &task, &running[i]));
        }
        for (int i = 0; i < 2; i++) shared_wait(stays[i].pid, 1);
        for (int i = 0; i < WAITING; i++)
            waiting[i] = submit_to(e, times_itself, &i, sizeof i, sizeof i);
        int first = shared_read(stays[1].pid), zygote = zygote_of(first);
        cr_assert_eq(kill(zygote, SIGKILL), 0);
        check_died(running[0], "with its zygote in stay_until_open");
        cr_assert(ends_soon(shared_read(stays[0].pid)));
        shared_wait(stays[1].pid, first + 1); /* both pids: it runs again */
        shared_add(stays[1].open, 1);
        ok(finish(running[1]));
        for (int i = 0; i < WAITING; i++) cr_assert_eq(value_of(waiting[i]), i * i);
    }
    destroy_and_look(e);
    check_census(&before);
}

/* Who may not become another user does to itself what that would do. */
static int become_somebody(void *arg) {
    (void)arg;
    return setresuid(61200, 61200, 61200) == 0 ? 0 : prctl(PR_SET_PDEATHSIG, 0);
}

/* R-PROC-9: the kernel forgets, when a process becomes another user's, that it was to be killed with its parent. */
Test(process_crash, a_worker_of_another_user_ends_with_its_zygote) {
    struct census before = census_before();
    filch_process_options options = process_options(1);
    options.initializer = become_somebody;
    filch_executor *e = processes_with(options);
    for (int round = 0; round < 2; round++) {
        (void)kill_zygote(e);
        check_it_works(e);
    }
    destroy_and_look(e);
    check_census(&before);
}

/* R-PROC-9: the end of the executor waits for the next zygote, if there is something to do. */
Test(process_crash, the_end_finishes_what_a_dead_zygote_has_left) {
    struct census before = census_before();
    for (int i = 0; i < 4; i++) {
        filch_executor *e = processes_of(1);
        int zygote = some_zygote(e);
        cr_assert_eq(kill(zygote, SIGKILL), 0);
        if (i % 2) cr_assert(ends_soon(zygote));
        filch_future *f = i < 2 ? NULL : submit_with_retries(e, 5);
        ok(filch_executor_destroy(e));
        if (f != NULL) cr_assert_eq(value_of(f), 25);
        cr_assert(ends_soon(zygote));
    }
    check_census(&before);
}

static int have_a_child(void *arg, void *result) {
    filch_future *f;
    int rc =
        filch_submit(filch_current_executor(), stay_until_open, arg, sizeof(struct stay), 0, &f);
    (void)result;
    if (rc == 0) rc = filch_future_result(f, NULL, FILCH_FOREVER);
    if (rc == 0) filch_future_release(f);
    return rc;
}

/* R-PROC-9: a task that waits, and its child. */
Test(process_crash, a_zygote_that_dies_while_a_task_waits_for_its_child) {
    struct census before = census_before();
    filch_executor *e = processes_of(2);
    for (int round = 0; round < 6; round++) {
        struct stay stay = new_stay();
        filch_future *f = submit_to(e, have_a_child, &stay, sizeof stay, 0);
        shared_wait(stay.pid, 1);
        cr_assert_eq(kill(zygote_of(shared_read(stay.pid)), SIGKILL), 0);
        check_died(f, "with its zygote in have_a_child");
        shared_add(stay.open, 1);
    }
    check_it_works(e);
    destroy_and_look(e);
    check_census(&before);
}

/* What preload does: its first run is good, then `bad` of them are not. */
struct preloads {
    int runs, bad, how; /* how: 0: it dies; below: it never returns; else what it returns */
};
/* It has no argument but the environment. */
static void set_preloads(struct shared shared, int bad, int how) {
    char text[100];
    struct preloads *preloads = shared_at(shared);
    *preloads = (struct preloads){0, bad, how};
    snprintf(text, sizeof text, "%d %d %llu", shared.pid, shared.fd,
             (unsigned long long)shared.offset);
    cr_assert_eq(setenv("PRELOADS", text, 1), 0);
}
static int fail_again(void) {
    struct shared shared;
    unsigned long long offset;
    const char *text = getenv("PRELOADS");
    if (text == NULL || sscanf(text, "%d %d %llu", &shared.pid, &shared.fd, &offset) != 3)
        return 99;
    shared.offset = offset;
    struct preloads *preloads = shared_at(shared);
    int run = add(&preloads->runs, 1);
    if (run == 1 || run > 1 + preloads->bad) return 0;
    if (preloads->how == 0) die(BY_KILL);
    while (preloads->how < 0) pause();
    return preloads->how;
}

/* R-PROC-9: a zygote that was killed, and then as many as are bad. The fifth breaks the executor, with its cause. */
static void check_zygotes(int bad, int how, const char *cause) {
    struct shared shared = shared_alloc(sizeof(struct preloads));
    set_preloads(shared, bad, how);
    struct preloads *preloads = shared_at(shared);
    filch_process_options options = process_options(1);
    options.preload = fail_again;
    filch_executor *e = processes_with(options);
    (void)kill_zygote(e); /* the first death */
    int n = 3;
    filch_future *f = submit_to(e, times_itself, &n, sizeof n, sizeof n);
    if (bad < 4) {
        cr_assert_eq(value_of(f), 9);
        cr_assert_eq(read_int(&preloads->runs), 2 + bad);
        check_it_works(e);
        ok(filch_executor_destroy(e));
        return;
    }
    filch_error error = error_of(f);
    cr_assert_eq(error.code, FILCH_EBROKEN, "%s", error.text);
    cr_assert_not_null(strstr(error.text, cause), "%s has not %s", error.text, cause);
    fails(FILCH_EBROKEN, filch_submit(e, do_nothing, NULL, 0, 0, NULL));
    cr_assert_not_null(strstr(filch_last_error(), "zygotes"), "%s", filch_last_error());
    cr_assert_eq(read_int(&preloads->runs), 5);
    filch_future_release(f);
    ok(filch_executor_destroy(e));
}
Test(process_crash, zygotes_that_die_are_started_again) {
    struct census before = census_before();
    check_zygotes(3, 0, "");
    check_zygotes(3, 7, "");
    check_census(&before);
}
Test(process_crash, five_zygotes_in_a_row_that_die_break_the_executor) {
    struct census before = census_before();
    check_zygotes(100, 0, "has ended");
    check_zygotes(100, 7, "preload has returned 7");
    check_census(&before);
}

/* runtime/process/pool.h, which public tests do not see. */
extern int64_t filch__zygote_patience;

/* R-PROC-9: one that does not answer is killed, and counts as one that has died. */
Test(process_crash, a_zygote_that_does_not_answer_is_killed) {
    struct census before = census_before();
    filch__zygote_patience = FILCH_MILLISECONDS(200);
    check_zygotes(1, -1, "");
    check_zygotes(100, -1, "has not answered within 0.2 s");
    check_census(&before);
}

/* R-PROC-9: no descriptor, no process for the next one: a try each, then it works, or the executor breaks. */
Test(process_crash, a_zygote_that_cannot_be_started_again) {
    struct census before = census_before();
    for (int faults = 0; faults < 2; faults++)
        for (int after = 0; after < 3; after++) {
            filch_executor *e = processes_of(1);
            int n = 3;
            (void)kill_zygote(e);
            filch__fault_plan(FAULT_PROCESS | FAULT_FD, after, faults != 0);
            filch_future *f = NULL;
            int rc = filch_submit(e, times_itself, &n, sizeof n, sizeof n, &f);
            if (rc == 0) rc = finish(f);
            filch__fault_clear();
            if (faults == 0) ok(rc);
            cr_assert(rc == 0 || rc == FILCH_EBROKEN || rc == FILCH_EAGAIN, "%d: %s", rc,
                      filch_last_error());
            if (rc != FILCH_EBROKEN) check_it_works(e);
            ok(filch_executor_destroy(e));
        }
    check_census(&before);
}

static int say_place(void *arg, void *result) {
    (void)arg;
    const char *value = getenv("OF_THE_FIRST");
    char *text = result;
    if (value == NULL || getcwd(text, 200) == NULL || printf("%s %s\n", text, value) < 0) return 1;
    return fflush(stdout);
}

/* R-PROC-9: the same environment, directory and output, whatever the program has made of its own. */
Test(process_crash, the_next_zygote_gets_what_the_first_one_got) {
    char line[200], place[200];
    char made[] = "/tmp/filch-test-XXXXXX";
    int ends[2];
    cr_assert_not_null(mkdtemp(made));
    struct census before = census_before();
    cr_assert_eq(chdir(made), 0);
    cr_assert_eq(setenv("OF_THE_FIRST", "yes", 1), 0);
    cr_assert_eq(pipe(ends), 0);
    filch_process_options options = process_options(1);
    options.output = ends[1];
    filch_executor *e = processes_with(options);
    close(ends[1]);
    cr_assert_eq(unsetenv("OF_THE_FIRST"), 0);
    cr_assert_eq(chdir("/"), 0);
    FILE *output = fdopen(ends[0], "r");
    for (int round = 0; round < 3; round++) {
        filch_future *f = submit_to(e, say_place, NULL, 0, sizeof place);
        ok(filch_future_result(f, place, FILCH_FOREVER));
        filch_future_release(f);
        cr_assert_str_eq(place, made);
        cr_assert_not_null(fgets(line, sizeof line, output));
        cr_assert_not_null(strstr(line, " yes\n"), "%s", line);
        (void)kill_zygote(e);
    }
    ok(filch_executor_shutdown(e, FILCH_WAIT));
    cr_assert_null(fgets(line, sizeof line, output), "its end: nobody has it open");
    fclose(output);
    ok(filch_executor_destroy(e));
    cr_assert_eq(rmdir(made), 0);
    check_census(&before);
}
