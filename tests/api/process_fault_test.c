/* process_fault_test.c: no memory, no descriptors, no processes: an executor on processes says so, leaves nothing
 * behind, and works again when there are some.
 *
 * Faults of the runtime's seam (os/fault.h) are made in the program; a full file system for shared memory does not
 * concern it, since files without a name lie in memory: what stands for ENOSPC is a reservation that fails.
 *
 * Some cases need what the system may refuse: another user's limits, mounts that only this process sees. Root may have them,
 * and everybody else where users may make namespaces of their own. Elsewhere nothing can stand for them: in a container
 * that takes both away, and for an ordinary user with ThreadSanitizer, whose own thread a process that makes a namespace
 * of users must not have. There those cases are not registered, and a line of the output says so.
 *
 * SPDX-License-Identifier: MIT */
#include "process_support.h"

#include <criterion/parameterized.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

TestSuite(process_fault, .timeout = 120);

/* The scenario -------------------------------------------------------------------------------------------- */

enum { TASKS = 6, LARGE = 100000 };
static int turn(void *arg, void *result) {
    unsigned char *in = arg, *out = result;
    for (int i = 0; i < LARGE; i++) out[i] = (unsigned char)(in[i] + 1);
    return 0;
}
static int give(void *arg, void *result) {
    char *data = filch_result_alloc(LARGE);
    (void)result;
    if (data == NULL) return FILCH_ENOMEM;
    memset(data, *(int *)arg, LARGE);
    return 0;
}

static bool is_refusal(int rc) {
    return rc == FILCH_ENOMEM || rc == FILCH_EAGAIN || rc == FILCH_EBROKEN;
}
static filch_future *submit_some(filch_executor *e, int i, unsigned char *bytes) {
    filch_future *f = NULL;
    int rc = i % 3 == 0   ? filch_submit(e, times_itself, &i, sizeof i, sizeof i, &f)
             : i % 3 == 1 ? filch_submit(e, turn, bytes, LARGE, LARGE, &f)
                          : filch_submit(e, give, &i, sizeof i, 0, &f);
    cr_assert(rc == 0 || is_refusal(rc), "submit: %d, %s", rc, filch_last_error());
    return f;
}
static long made; /* faults, in this scenario */

/* What was accepted may wait until there is memory again, or processes. */
static void await_some(filch_future *f) {
    if (filch_future_result(f, NULL, FILCH_MILLISECONDS(100)) == FILCH_ETIMEDOUT)
        made += filch__fault_clear();
}
static void check_some(filch_future *f, int i, unsigned char *bytes) {
    int value = -1;
    if (f == NULL) return;
    await_some(f);
    int rc = filch_future_result(f,
                                 i % 3 == 0   ? (void *)&value
                                 : i % 3 == 1 ? bytes
                                              : NULL,
                                 FILCH_FOREVER);
    cr_assert(rc == 0 || is_refusal(rc), "%d: %s", rc, filch_last_error());
    if (rc == 0 && i % 3 == 0) cr_assert_eq(value, i * i);
    if (rc == 0 && i % 3 == 1) cr_assert_eq(bytes[LARGE - 1], 1);
    filch_future_release(f);
}

/* Makes an executor, uses it and destroys it. Returns whether all of it worked. */
static bool run_scenario(void) {
    static unsigned char bytes[LARGE], answer[LARGE];
    filch_process_options options = process_options(2);
    filch_executor *const untouched = (filch_executor *)&options;
    filch_executor *e = untouched;
    filch_future *futures[TASKS];
    bool good = true;
    int rc = filch_process_executor(&options, &e);
    if (rc != 0) {
        cr_assert(is_refusal(rc), "%d, %s", rc, filch_last_error());
        cr_assert(filch_last_error()[0] != '\0' && e == untouched);
        return false;
    }
    for (int i = 0; i < TASKS; i++) good &= (futures[i] = submit_some(e, i, bytes)) != NULL;
    for (int i = 0; i < TASKS; i++) check_some(futures[i], i, answer);
    ok(filch_executor_destroy(e));
    return good;
}

/* Faults of the seam ---------------------------------------------------------------------------------------- */

static void sweep(unsigned kinds, bool forever, long step) {
    struct census before = census_before();
    for (long after = 0;; after += step) {
        made = 0;
        filch__fault_plan(kinds, after, forever);
        (void)run_scenario();
        made += filch__fault_clear();
        check_census(&before);
        if (made == 0) break;
    }
    cr_assert(run_scenario(), "without faults it works");
}

/* R-PROC-40 */
Test(process_fault, each_allocation_once) {
    sweep(FAULT_ALLOC, false, 1);
}
/* R-PROC-40 */
Test(process_fault, each_allocation_and_all_later) {
    sweep(FAULT_ALLOC, true, 1);
}
/* R-PROC-40 */
Test(process_fault, each_mapping_once) {
    sweep(FAULT_MAP, false, 1);
}
/* R-PROC-40 */
Test(process_fault, each_mapping_and_all_later) {
    sweep(FAULT_MAP, true, 1);
}
/* R-PROC-41 */
Test(process_fault, each_thread_once) {
    sweep(FAULT_THREAD, false, 1);
}
/* R-PROC-41 */
Test(process_fault, each_process_once) {
    sweep(FAULT_PROCESS, false, 1);
}
/* R-PROC-41 */
Test(process_fault, each_process_and_all_later) {
    sweep(FAULT_PROCESS, true, 1);
}
/* R-PROC-42 */
Test(process_fault, each_descriptor_once) {
    sweep(FAULT_FD, false, 1);
}
/* R-PROC-42 */
Test(process_fault, each_descriptor_and_all_later) {
    sweep(FAULT_FD, true, 1);
}
/* R-PROC-40, R-PROC-41, R-PROC-42 */
Test(process_fault, each_call_of_any_kind_and_all_later) {
    sweep(FAULT_ALLOC | FAULT_MAP | FAULT_THREAD | FAULT_PROCESS | FAULT_FD, true, 3);
}
/* R-PROC-40 */
Test(process_fault, each_packet_once) {
    sweep(FAULT_SEND, false, 1);
}
/* R-PROC-40: the kernel has no memory for the packet by which it is killed. */
Test(process_fault, a_kill_that_cannot_be_sent_is_sent_later) {
    filch_executor *e = processes_of(1);
    int worker = some_worker(e);
    filch__fault_plan(FAULT_SEND, 0, false);
    ok(filch_executor_kill_workers(e));
    cr_assert(ends_soon(worker));
    cr_assert_eq(filch__fault_clear(), 1);
    check_it_works(e);
    ok(filch_executor_destroy(e));
}
/* A wait that returns at once is no fault. */
Test(process_fault, spurious_wakeups_change_nothing) {
    filch__fault_plan(FAULT_FUTEX, 0, true);
    cr_assert(run_scenario());
    filch__fault_clear();
}

/* Descriptors --------------------------------------------------------------------------------------------- */

static int highest_fd(void) {
    int fd = fcntl(0, F_DUPFD, 0);
    close(fd);
    return fd; /* the lowest that is free */
}

/* R-PROC-42: EMFILE at each descriptor that it opens. */
Test(process_fault, no_descriptors) {
    struct census before = census_before();
    struct rlimit old, low;
    int worked = 0;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    for (int more = 0; more < 60 && worked < 3; more++) {
        low = old;
        low.rlim_cur = (rlim_t)(highest_fd() + more);
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
        worked += run_scenario();
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
        check_census(&before);
    }
    cr_assert_eq(worked, 3, "it needs no more than some");
    cr_assert(run_scenario());
}

/* Processes ------------------------------------------------------------------------------------------------- */

static bool change_user(uid_t user) {
    return setgroups(0, NULL) == 0 && setresgid(user, user, user) == 0 &&
           setresuid(user, user, user) == 0;
}
/* In a child: another user, who may have so many processes and threads; or the same one where processes are counted
 * anew. Each time another one: zygotes that have ended, and that nobody has taken yet, count too. */
static bool become_somebody(int processes) {
    struct rlimit limit = {(rlim_t)processes, (rlim_t)processes};
    if (!change_user(61000 + (uid_t)processes) && unshare(CLONE_NEWUSER) != 0) return false;
    prctl(PR_SET_DUMPABLE, 1); /* or /proc/self would not be its own */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Who may not enter the root directory finds no library: no program starts. */
    return access("/", X_OK) == 0 && setrlimit(RLIMIT_NPROC, &limit) == 0;
}
enum { GOOD = 50, CANNOT, NOT_STARTED, STRANGE };

/* Once where a child of this process can do that first, else not at all. */
static struct criterion_test_params once_if(bool (*can)(void)) {
    static int once;
    pid_t child = child_start();
    if (child == 0) _exit(can() ? GOOD : CANNOT);
    return cr_make_param_array(int, &once, child_finish(child) == GOOD);
}

static int use_executor(void) {
    filch_process_options options = process_options(2);
    filch_executor *e = NULL;
    filch_future *f = NULL;
    int rc = filch_process_executor(&options, &e), n = 7, value = 0;
    if (rc != 0) return is_refusal(rc) && filch_last_error()[0] != '\0' ? NOT_STARTED : STRANGE;
    rc = filch_submit(e, times_itself, &n, sizeof n, sizeof n, &f);
    if (rc == 0) rc = filch_future_result(f, &value, FILCH_SECONDS(20));
    filch_future_release(f);
    if (filch_executor_destroy(e) != 0) return STRANGE;
    if (rc == 0 && value == 49) return GOOD;
    printf("# %d: %s\n", rc, filch_last_error());
    return is_refusal(rc) ? NOT_STARTED : STRANGE;
}

static bool can_become_somebody(void) {
    return become_somebody(100);
}

/* R-PROC-41: EAGAIN of clone, in the program and in the zygote. */
ParameterizedTestParameters(process_fault, no_processes) {
    return once_if(can_become_somebody);
}
ParameterizedTest(void *once, process_fault, no_processes) {
    (void)once;
    int good = 0, refused = 0;
    for (int processes = 1; processes < 12; processes++) {
        pid_t child = child_start();
        if (child == 0) _exit(become_somebody(processes) ? use_executor() : CANNOT);
        int status = child_finish(child);
        cr_assert(status == GOOD || status == NOT_STARTED, "%d processes: %d", processes, status);
        good += status == GOOD;
        refused += status == NOT_STARTED;
    }
    cr_assert_gt(refused, 0);
    cr_assert_gt(good, 0);
}

/* Root may enter whatever its mode is, and has to become another user. */
static bool shut_itself_in(const char *place) {
    return chdir(place) == 0 && chmod(place, 0) == 0 && (getuid() != 0 || become_somebody(100)) &&
           chdir(place) != 0;
}

static bool can_be_nobody(void) {
    return getuid() != 0 || become_somebody(100);
}

/* R-PROC-41: of a program that could enter it once. */
ParameterizedTestParameters(process_fault, a_current_directory_that_cannot_be_entered_again) {
    return once_if(can_be_nobody);
}
ParameterizedTest(void *once, process_fault, a_current_directory_that_cannot_be_entered_again) {
    (void)once;
    char place[] = "/tmp/filch-test-XXXXXX";
    cr_assert_not_null(mkdtemp(place));
    pid_t child = child_start();
    if (child == 0) _exit(shut_itself_in(place) ? use_executor() : CANNOT);
    int status = child_finish(child);
    cr_assert_eq(rmdir(place), 0);
    cr_assert_eq(status, GOOD, "%d", status);
}

/* Without /proc --------------------------------------------------------------------------------------------- */

/* What is mounted from now on only this process sees, and its children. */
static bool mounts_are_own(void) {
    return (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}
static bool hide_proc(void) {
    return mounts_are_own() && mount("none", "/proc", "tmpfs", 0, NULL) == 0;
}
/* It stays as strict as it is: in a namespace of a user's own nothing else is allowed. */
static bool make_proc_read_only(void) {
    const unsigned long as_is = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    return mounts_are_own() &&
           mount("none", "/proc", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | as_is, NULL) == 0;
}

/* R-PROC-43: works, or says why not. */
ParameterizedTestParameters(process_fault, no_proc) {
    return once_if(hide_proc);
}
ParameterizedTest(void *once, process_fault, no_proc) {
    (void)once;
    pid_t child = child_start();
    if (child == 0) _exit(hide_proc() ? use_executor() : CANNOT);
    int status = child_finish(child);
    cr_assert(status == GOOD || status == NOT_STARTED, "%d", status);
}

/* R-PROC-43 */
ParameterizedTestParameters(process_fault, read_only_proc) {
    return once_if(make_proc_read_only);
}
ParameterizedTest(void *once, process_fault, read_only_proc) {
    (void)once;
    pid_t child = child_start();
    if (child == 0) _exit(make_proc_read_only() ? use_executor() : CANNOT);
    int status = child_finish(child);
    cr_assert_eq(status, GOOD, "%d", status);
}

/* Memory that comes back ---------------------------------------------------------------------------------- */

/* So many functions that a worker's table of them has to grow for the last one. */
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
    EIGHT(what, 2) EIGHT(what, 3) EIGHT(what, 4) EIGHT(what, 5) EIGHT(what, 6) EIGHT(what, 7)
ALL(FUNCTION)
static filch_task_fn *const functions[] = {ALL(NAME)};
enum { FUNCTIONS = sizeof functions / sizeof *functions };

static void say_destroyed(void *arg) {
    flag_raise(*(uint32_t **)arg);
}

/* What was accepted is not forgotten because there was no memory for a moment, even if nobody waits for it, or submits. */
Test(process_fault, what_was_accepted_ends_by_itself) {
    made = 1;
    for (long after = 0; made != 0; after++) {
        uint32_t destroyed = 0, *place = &destroyed;
        filch_task task = FILCH_TASK_INIT;
        task.fn = do_nothing;
        task.arg = &place;
        task.arg_size = sizeof place;
        task.arg_destroy = say_destroyed;
        filch_executor *e = processes_of(1);
        for (int i = 0; i < FUNCTIONS; i++)
            (void)value_of(submit_to(e, functions[i], NULL, 0, sizeof(int)));
        filch__fault_plan(FAULT_ALLOC, after, false);
        int rc = filch_submit_task(e, &task, NULL);
        cr_assert(rc == 0 || is_refusal(rc), "%d", rc);
        if (rc == 0) flag_wait(&destroyed);
        made = filch__fault_clear();
        ok(filch_executor_destroy(e));
    }
}
