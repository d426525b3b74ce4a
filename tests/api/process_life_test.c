/* process_life_test.c: the processes of an executor and those around it: how they start, what they see of each other's
 * signals and ends, and that none is left.
 *
 * Where the rule is about a whole program, the test runs tests/api/programs/, which stand beside this program.
 *
 * SPDX-License-Identifier: MIT */
#include "process_support.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/wait.h>

TestSuite(process_life, .timeout = 60);

/* Programs -------------------------------------------------------------------------------------------- */

/* The folder of this program. */
static const char *folder(void) {
    static char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    cr_assert_gt(n, 0);
    path[n] = '\0';
    *strrchr(path, '/') = '\0';
    return path;
}
static const char *path_of(const char *program) {
    static char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", folder(), program);
    return path;
}

struct program {
    pid_t pid;
    FILE *output;
};
/* Starts it in a process group of its own. `directory`: NULL: this one. */
static struct program start(const char *path, const char *directory, const char *name,
                            const char *what, const char *n) {
    const char *const arguments[] = {name, what, n, NULL};
    int pipes[2];
    cr_assert_eq(pipe2(pipes, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)setpgid(0, 0);
        if (dup2(pipes[1], 1) != 1 || (directory != NULL && chdir(directory) != 0)) _exit(126);
        execv(path, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    cr_assert_gt(pid, 0);
    (void)setpgid(pid, pid);
    close(pipes[1]);
    return (struct program){pid, fdopen(pipes[0], "r")};
}
static void check_line(struct program *program, const char *expected) {
    char line[1000];
    cr_assert_not_null(fgets(line, sizeof line, program->output), "no line, but %s", expected);
    line[strcspn(line, "\n")] = '\0';
    cr_assert_str_eq(line, expected);
}
/* Its output is at its end; returns its exit status, or minus its signal. */
static int end(struct program *program) {
    int status = 0, rest = fgetc(program->output);
    cr_assert_eq(rest, EOF, "it says more: %c", rest);
    fclose(program->output);
    cr_assert_eq(waitpid(program->pid, &status, 0), program->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* R-PROC-50 */
Test(process_life, without_filch_main_it_is_estate_with_the_line_to_add) {
    char line[1000];
    struct program program = start(path_of("process-bare"), NULL, "bare", NULL, NULL);
    check_line(&program, "main");
    cr_assert_not_null(fgets(line, sizeof line, program.output));
    cr_assert_eq(strncmp(line, "FILCH_ESTATE: ", 14), 0, "%s", line);
    while (strstr(line, "filch_main(&argc, &argv);") == NULL)
        cr_assert_not_null(fgets(line, sizeof line, program.output), "the line to add is missing");
    cr_assert_eq(end(&program), 0);
}

/* R-PROC-51: by an absolute path, a relative one, and one that says nothing. */
Test(process_life, however_the_program_was_started) {
    const char *path = path_of("process-program");
    struct program program = start(path, NULL, path, "square", "12");
    check_line(&program, "square 12 144");
    cr_assert_eq(end(&program), 0);
    program = start("./process-program", folder(), "./process-program", "square", "5");
    check_line(&program, "square 5 25");
    cr_assert_eq(end(&program), 0);
    program = start(path, "/", "no path at all", "square", "6");
    check_line(&program, "square 6 36");
    cr_assert_eq(end(&program), 0);
}

/* R-PROC-51: a copy that deletes itself, and leaves its directory. */
Test(process_life, after_the_program_was_deleted) {
    char made[] = "/tmp/filch-test-XXXXXX", command[3 * PATH_MAX];
    cr_assert_not_null(mkdtemp(made));
    snprintf(command, sizeof command, "cp '%s' '%s/it'", path_of("process-program"), made);
    cr_assert_eq(system(command), 0);
    struct program program = start("./it", made, "./it", "gone", "11");
    check_line(&program, "121");
    cr_assert_eq(end(&program), 0);
    cr_assert_eq(rmdir(made), 0, "it is gone");
}

/* R-PROC-52 */
Test(process_life, a_program_in_cpp) {
    struct program program = start(path_of("process-program-cpp"), NULL, "cpp", NULL, NULL);
    char line[1000];
    check_line(&program, "144");
    check_line(&program, "42");
    check_line(&program, "21");
    cr_assert_not_null(fgets(line, sizeof line, program.output));
    cr_assert(strstr(line, "FILCH_EWORKER") && strstr(line, "signal 6") && strstr(line, "throws"),
              "%s", line);
    check_line(&program, "ended");
    cr_assert_eq(end(&program), 0);
}

/* R-PROC-51: a program without some of its standard streams, as a daemon is. */
Test(process_life, with_standard_streams_closed) {
    for (int which = 1; which < 8; which++) {
        char n[2] = {(char)('0' + which), '\0'};
        struct program program = start(path_of("process-program"), NULL, "it", "closed", n);
        int status = end(&program);
        cr_assert_eq(status, 0, "%d: %d", which, status);
    }
}

/* R-PROC-53: the end of main finishes what was accepted. */
Test(process_life, the_end_of_the_program_finishes_its_work) {
    struct program program = start(path_of("process-program"), NULL, "it", "pending", "30");
    for (int i = 0; i < 30; i++) cr_assert_eq(fgetc(program.output), '.', "dot %d", i);
    cr_assert_eq(end(&program), 0);
}

/* Ends ---------------------------------------------------------------------------------------------------- */

enum { MOST = 8 };
/* Pids that it prints, up to "end"; the zygote's is the first. */
static int read_pids(struct program *program, int *pids) {
    char line[100];
    int n = 0;
    while (fgets(line, sizeof line, program->output) != NULL && strcmp(line, "end\n") != 0) {
        cr_assert(n < MOST && atoi(line) > 1, "%s", line);
        pids[n++] = atoi(line);
    }
    return n;
}
static void check_gone(const int *pids, int n) {
    for (int i = 0; i < n; i++) cr_assert(ends_soon(pids[i]), "%d of %d lives", i, n);
}

/* R-PROC-54 */
Test(process_life, all_end_with_the_program_that_is_killed) {
    for (int stopped = 0; stopped < 2; stopped++) {
        struct program program = start(path_of("process-program"), NULL, "it", "live", "3");
        int pids[MOST], n = read_pids(&program, pids);
        cr_assert_eq(n, 4);
        for (int i = 0; i < n; i++) cr_assert_not(is_gone(pids[i]));
        if (stopped) cr_assert_eq(kill(pids[1], SIGSTOP), 0);
        cr_assert_eq(kill(program.pid, SIGKILL), 0);
        cr_assert_eq(end(&program), -SIGKILL);
        check_gone(pids, n);
    }
}

/* R-PROC-54: although a child of the program has all its descriptors. */
Test(process_life, all_end_with_the_program_although_its_child_lives) {
    struct program program = start(path_of("process-program"), NULL, "it", "live-forked", "2");
    int pids[MOST], n = read_pids(&program, pids), status;
    cr_assert_eq(n, 4);
    cr_assert_eq(kill(program.pid, SIGKILL), 0);
    check_gone(pids, n - 1);
    cr_assert_not(is_gone(pids[n - 1]), "the child");
    cr_assert_eq(kill(pids[n - 1], SIGKILL), 0);
    cr_assert_eq(waitpid(program.pid, &status, 0), program.pid);
    fclose(program.output);
}

/* R-PROC-55: all futures end; the executor is broken, with the cause, or has a new zygote. */
Test(process_life, a_zygote_that_is_killed_takes_its_workers_along_and_nothing_hangs) {
    enum { WAITING = 10 };
    struct census before = census_before();
    filch_executor *e = processes_of(2);
    struct stay stays[2];
    filch_future *running[2], *waiting[WAITING];
    int pids[2];
    for (int i = 0; i < 2; i++) {
        running[i] = stay_on(e, &stays[i]);
        pids[i] = shared_read(stays[i].pid);
    }
    for (int i = 0; i < WAITING; i++)
        waiting[i] = submit_to(e, times_itself, &i, sizeof i, sizeof i);
    int zygote = zygote_of(pids[0]);
    cr_assert_eq(kill(zygote, SIGKILL), 0);
    for (int i = 0; i < 2; i++) {
        int rc = finish(running[i]);
        cr_assert(rc == FILCH_EWORKER || rc == FILCH_EBROKEN, "%d: %s", rc, filch_last_error());
    }
    int broken = 0;
    for (int i = 0; i < WAITING; i++) {
        int rc = finish(waiting[i]);
        cr_assert(rc == 0 || rc == FILCH_EBROKEN, "%d: %s", rc, filch_last_error());
        broken += rc != 0;
    }
    cr_assert(broken == 0 || broken == WAITING);
    cr_assert(ends_soon(pids[0]) && ends_soon(pids[1]) && ends_soon(zygote));
    if (broken) {
        fails(FILCH_EBROKEN, filch_submit(e, do_nothing, NULL, 0, 0, NULL));
        cr_assert_not_null(strstr(filch_last_error(), "zygote"), "%s", filch_last_error());
    } else {
        check_it_works(e);
    }
    ok(filch_executor_destroy(e));
    check_census(&before);
}

/* R-PROC-55: while it is idle, and before any worker was started. */
Test(process_life, a_zygote_that_is_killed_while_idle) {
    for (int used = 0; used < 2; used++) {
        filch_executor *e = processes_of(1);
        int zygote = some_zygote(e), n = 3;
        if (used) check_it_works(e);
        cr_assert_eq(kill(zygote, SIGKILL), 0);
        cr_assert(ends_soon(zygote));
        filch_future *f = NULL;
        int rc = filch_submit(e, times_itself, &n, sizeof n, sizeof n, &f);
        if (rc == 0) rc = finish(f);
        cr_assert(rc == 0 || rc == FILCH_EBROKEN || rc == FILCH_EWORKER, "%d: %s", rc,
                  filch_last_error());
        ok(filch_executor_destroy(e));
    }
}

/* R-PROC-56: executors come and go, and leave nothing. */
Test(process_life, many_executors_leave_nothing) {
    struct census before = census_before();
    for (int i = 0; i < stress(20); i++) {
        filch_executor *e = processes_of(1 + i % 3);
        if (i % 4 != 0) check_it_works(e);
        ok(filch_executor_destroy(e));
    }
    check_census(&before);
}

static void make_and_use(int index, void *context) {
    filch_executor *e = NULL;
    filch_process_options options = process_options(1 + index % 2);
    filch_future *f = NULL;
    int value = 0;
    if (filch_process_executor(&options, &e) != 0 ||
        filch_submit(e, times_itself, &index, sizeof index, sizeof value, &f) != 0 ||
        filch_future_result(f, &value, FILCH_FOREVER) != 0 || value != index * index ||
        filch_executor_destroy(e) != 0)
        add(context, 1);
    filch_future_release(f);
}

/* R-PROC-56: by several threads at once. */
Test(process_life, several_at_once) {
    struct census before = census_before();
    int wrong = 0;
    run_threads(8, make_and_use, &wrong);
    cr_assert_eq(wrong, 0);
    /* The threads' own memory is given back when they have ended. */
    struct census now = take_census();
    cr_assert(now.fds == before.fds && now.mappings == before.mappings);
}

/* Ends that do not come ------------------------------------------------------------------------------------ */

/* runtime/process/pool.h, which public tests do not see. */
extern int64_t filch__quit_grace;

static void sleep_on(void) {
    for (;;) pause();
}
static int hang_at_exit(void *arg, void *result) {
    (void)arg;
    *(int *)result = (int)getpid();
    return atexit(sleep_on);
}

/* Workers that are stopped, or hang in an exit handler, are killed in the end. */
Test(process_life, a_worker_that_does_not_end_is_killed) {
    filch__quit_grace = FILCH_MILLISECONDS(200);
    struct census before = census_before();
    for (int stopped = 0; stopped < 2; stopped++) {
        filch_executor *e = processes_of(1);
        int worker =
            stopped ? some_worker(e) : value_of(submit_to(e, hang_at_exit, NULL, 0, sizeof(int)));
        usleep(1000 * (stopped ? 20 : 0)); /* it sleeps by then */
        if (stopped) cr_assert_eq(kill(worker, SIGSTOP), 0);
        ok(filch_executor_destroy(e));
        cr_assert(is_gone(worker));
    }
    check_census(&before);
}

/* One that retires does not keep its place either. */
Test(process_life, a_worker_that_hangs_when_it_retires_is_replaced) {
    filch__quit_grace = FILCH_MILLISECONDS(200);
    filch_process_options options = process_options(1);
    options.max_tasks_per_worker = 1;
    filch_executor *e = processes_with(options);
    int worker = value_of(submit_to(e, hang_at_exit, NULL, 0, sizeof(int)));
    cr_assert_neq(some_worker(e), worker);
    cr_assert(is_gone(worker));
    ok(filch_executor_destroy(e));
}

/* The zygote is stopped, too, and so kills nobody. */
Test(process_life, a_stopped_zygote_does_not_hold_up_the_end) {
    filch__quit_grace = FILCH_MILLISECONDS(200);
    filch_executor *e = processes_of(1);
    int worker = some_worker(e), zygote = zygote_of(worker);
    cr_assert_eq(kill(zygote, SIGSTOP), 0);
    ok(filch_executor_destroy(e));
    cr_assert(ends_soon(worker) && ends_soon(zygote));
}

/* Signals ------------------------------------------------------------------------------------------------ */

/* R-PROC-57 */
Test(process_life, the_program_sees_no_children_and_no_sigchld) {
    struct program program = start(path_of("process-program"), NULL, "it", "children", NULL);
    char line[1000];
    cr_assert_not_null(fgets(line, sizeof line, program.output));
    cr_assert_eq(strspn(line, "."), 18, "%s", line);
    check_line(&program, "0 signals, 0 children, SIGPIPE untouched");
    check_line(&program, "own child seen, 1 signal");
    cr_assert_eq(end(&program), 0);
}

/* R-PROC-58 */
Test(process_life, an_interrupt_reaches_the_program_only) {
    struct program program = start(path_of("process-program"), NULL, "it", "interrupt", NULL);
    check_line(&program, "ready");
    cr_assert_eq(kill(-program.pid, SIGINT), 0);
    usleep(10000);
    cr_assert_eq(kill(-program.pid, SIGQUIT), 0);
    check_line(&program, "2 signals, and the task has ended well");
    cr_assert_eq(end(&program), 0);
}

static int give_signals(void *arg, void *result) {
    struct sigaction action;
    sigset_t mask;
    (void)arg;
    (void)result;
    if (pthread_sigmask(SIG_SETMASK, NULL, &mask) != 0) return 1;
    for (int i = 1; i < 32; i++) {
        if (sigismember(&mask, i)) return 100 + i;
        if (i == SIGKILL || i == SIGSTOP) continue;
        if (sigaction(i, NULL, &action) != 0) return 1;
        if (action.sa_handler == SIG_IGN) return 200 + i;
    }
    return 0;
}

/* R-PROC-58: whatever the program has blocked and ignores, workers begin anew. */
Test(process_life, workers_have_default_signals) {
    sigset_t all, old;
    sigfillset(&all);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGUSR1, SIG_IGN);
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, &all, &old), 0);
    filch_executor *e = processes_of(1);
    cr_assert_eq(pthread_sigmask(SIG_SETMASK, &old, NULL), 0);
    int rc = finish(submit_to(e, give_signals, NULL, 0, 0));
    cr_assert_eq(rc, 0, "%d", rc);
    ok(filch_executor_destroy(e));
}

/* fork() -------------------------------------------------------------------------------------------------- */

enum { GOOD = 210 };
#define expect(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) _exit(__LINE__ % 200);                                                   \
    } while (0)

/* R-PROC-59: the child has no part in it, and may have its own; the program goes on. */
Test(process_life, a_child_after_fork) {
    struct census before = census_before();
    filch_executor *e = processes_of(1);
    struct stay stay;
    filch_future *f = stay_on(e, &stay);
    for (int how = 0; how < 3; how++) {
        pid_t child = child_start();
        if (child == 0) {
            expect(filch_submit(e, do_nothing, NULL, 0, 0, NULL) == FILCH_EFORKED);
            expect(filch_executor_kill_workers(e) == FILCH_EFORKED);
            expect(filch_executor_destroy(e) == FILCH_EFORKED);
            expect(filch_future_result(f, NULL, FILCH_FOREVER) == FILCH_EFORKED);
            filch_future_release(f);
            if (how > 0) {
                filch_executor *own = NULL;
                filch_process_options options = process_options(1);
                expect(filch_process_executor(&options, &own) == 0);
                filch_future *g = NULL;
                int value = 0, n = 5;
                expect(filch_submit(own, times_itself, &n, sizeof n, sizeof n, &g) == 0);
                expect(filch_future_result(g, &value, FILCH_FOREVER) == 0 && value == 25);
                filch_future_release(g);
                if (how == 1) expect(filch_executor_destroy(own) == 0);
            }
            _exit(GOOD);
        }
        cr_assert_eq(child_finish(child), GOOD);
        cr_assert(filch_future_running(f));
    }
    shared_add(stay.open, 1);
    cr_assert_eq(finish(f), 0);
    check_it_works(e);
    destroy_and_look(e);
    check_census(&before);
}
