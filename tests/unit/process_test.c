/* process_test.c: processes apart and children (runtime/os/process.c): what they are given, and how their end is seen.
 *
 * What is started is /bin/sh, or this program in a mode: with "mode-report" it writes what it was given to descriptor 1, before
 * main begins.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "base/atomics.h"
#include "os/bell.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/process.h"
#include "os_support.h"
#include "support.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <filch/time.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(process, .timeout = 30);

/* What a process may take to end: nanoseconds. */
#define PATIENCE FILCH_SECONDS(20)

/* Of argv or envp. */
#define WORDS(...) ((char *[]){__VA_ARGS__, NULL})

/* The mode -------------------------------------------------------------------------------------- */

enum { REPORTED = 16 };

struct report {
    int pid, session, fds; /* how many are open */
    struct {
        uint64_t device, inode;
    } files[REPORTED];    /* inode 0: closed */
    int blocked, ignored; /* signals */
    bool closes_on_exec;  /* one of them */
};

static struct report report_of_this(void) {
    struct report r = {.pid = getpid(), .session = getsid(0), .fds = fds_open()};
    sigset_t mask;
    struct stat status;
    struct sigaction action;
    for (int fd = 0; fd < REPORTED; fd++) {
        if (fstat(fd, &status) != 0) continue;
        r.files[fd].device = status.st_dev;
        r.files[fd].inode = status.st_ino;
        r.closes_on_exec |= fd_closes_on_exec(fd);
    }
    sigprocmask(SIG_BLOCK, NULL, &mask);
    for (int i = 1; i < SIGRTMIN; i++) {
        r.blocked += sigismember(&mask, i) == 1;
        r.ignored += sigaction(i, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
    }
    return r;
}

/* The C library gives a constructor what it gives main. */
__attribute__((constructor)) static void play_mode(int argc, char **argv) {
    if (argc < 2 || strcmp(argv[1], "mode-report") != 0) return;
    struct report r = report_of_this();
    _exit(write(1, &r, sizeof r) == (ssize_t)sizeof r ? 0 : 1);
}

/* Starting -------------------------------------------------------------------------------------- */

extern char **environ;

static int start_watched(struct filch__start s, int *watch) {
    int pid = -1;
    if (s.envp == NULL) s.envp = environ;
    cr_assert_eq(filch__process_start_apart(&s, &pid, watch), 0);
    cr_assert_gt(pid, 1);
    cr_assert_neq(pid, (int)getpid());
    cr_assert_geq(*watch, 3);
    return pid;
}
static int start(struct filch__start s) {
    int watch, pid = start_watched(s, &watch);
    close(watch);
    return pid;
}
/* The shell, with /dev/null, `out` and the own standard error. */
static int start_shell(char *command, int out) {
    int fds[] = {-1, out, 2};
    return start((struct filch__start){
        .path = "/bin/sh", .argv = WORDS("sh", "-c", command), .fds = fds, .fd_count = 3});
}
static void wait_for_end(int pid) {
    bool ready;
    int watch = filch__process_watch(pid);
    if (watch < 0) {
        cr_assert_eq(errno, ESRCH);
        return;
    }
    cr_assert(filch__fds_wait(&watch, 1, &ready, filch__now() + PATIENCE));
    close(watch);
}
/* Everything until all write ends are closed; at most size - 1 bytes, with a 0 behind them. */
static size_t read_all(int fd, void *bytes, size_t size) {
    size_t got = 0;
    for (;;) {
        ssize_t n = read(fd, (char *)bytes + got, size - 1 - got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        got += (size_t)n;
    }
    ((char *)bytes)[got] = 0;
    return got;
}
static void check_no_child(void) {
    errno = 0;
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
    cr_assert_eq(errno, ECHILD);
}

static volatile sig_atomic_t signals;
static void count_signal(int number) {
    (void)number;
    signals++;
}

Test(process, no_wait_sees_one_apart) {
    int ends[2];
    char text[64];
    signal(SIGCHLD, count_signal);
    cr_assert_eq(pipe(ends), 0);
    for (int i = 0; i < 5; i++) {
        int pid = start_shell("read -r line; echo from $$", ends[1]);
        check_no_child();
        wait_for_end(pid);
        check_no_child();
        struct filch__process_end end;
        cr_assert_not(filch__process_reap(pid, &end));
        snprintf(text + 32, 32, "from %d\n", pid);
        ssize_t n = read(ends[0], text, 32);
        cr_assert_eq(n, (ssize_t)strlen(text + 32));
        cr_assert_eq(memcmp(text, text + 32, (size_t)n), 0);
    }
    cr_assert_eq(signals, 0);
    close(ends[0]);
    close(ends[1]);
}

/* Where the program waits for any child, it gets its own only. */
Test(process, children_of_the_program_are_its_own) {
    pid_t child = child_start();
    if (child == 0) _exit(4);
    for (int i = 0; i < 5; i++) wait_for_end(start_shell("exit 5", -1));
    int status = 0;
    cr_assert_eq(waitpid(-1, &status, 0), child);
    cr_assert_eq(WEXITSTATUS(status), 4);
    check_no_child();
}

static struct report report_with(struct filch__start s, int out) {
    struct {
        struct report report;
        char more[8];
    } got;
    s.argv = WORDS("reporter", "mode-report");
    int pid = start(s);
    cr_assert_eq(read(out, &got, sizeof got), (ssize_t)sizeof got.report);
    cr_assert_eq(got.report.pid, pid);
    wait_for_end(pid);
    return got.report;
}
static void check_file(const struct report *r, int there, int here) {
    struct stat status;
    cr_assert_eq(fstat(here, &status), 0);
    cr_assert(r->files[there].inode == status.st_ino && r->files[there].device == status.st_dev,
              "descriptor %d is not what %d is here", there, here);
}

Test(process, a_session_and_signals_of_its_own) {
    int ends[2];
    sigset_t some, before, after;
    cr_assert_eq(pipe(ends), 0);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    sigemptyset(&some);
    sigaddset(&some, SIGUSR2);
    sigaddset(&some, SIGTERM);
    sigprocmask(SIG_BLOCK, &some, NULL);
    sigprocmask(SIG_BLOCK, NULL, &before);
    int fds[] = {-1, ends[1], 2};
    struct report r = report_with((struct filch__start){.fds = fds, .fd_count = 3}, ends[0]);
    cr_assert_eq(r.session, r.pid);
    cr_assert_neq(r.session, (int)getsid(0));
    cr_assert_eq(r.blocked, 0);
    cr_assert_eq(r.ignored, 0);
    sigprocmask(SIG_BLOCK, NULL, &after);
    for (int i = 1; i < SIGRTMIN; i++)
        cr_assert_eq(sigismember(&before, i), sigismember(&after, i), "signal %d", i);
    close(ends[0]);
    close(ends[1]);
}

/* Descriptors ----------------------------------------------------------------------------------- */

Test(process, exactly_the_descriptors_that_are_given) {
    int ends[2], more[4];
    cr_assert_eq(pipe(ends), 0);
    for (int i = 0; i < 4; i++) cr_assert_geq(more[i] = dup(2), 0); /* passed on by exec */
    int fds[] = {-1, ends[1]};
    struct report r = report_with((struct filch__start){.fds = fds, .fd_count = 2}, ends[0]);
    cr_assert_eq(r.fds, 2);
    check_file(&r, 1, ends[1]);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    check_file(&r, 0, null);
    close(null);
    cr_assert_not(r.closes_on_exec);
    for (int i = 0; i < 4; i++) close(more[i]);
    close(ends[0]);
    close(ends[1]);
}

/* Sources have the numbers of other targets, in circles, twice, and at their own place. */
Test(process, sources_and_targets_overlap) {
    enum { N = 9 };
    static const int orders[][N] = {
        {-1, 0, -1, 4, 5, 6, 7, 8, 3}, /* 0: the pipe */
        {-1, 0, -1, 8, 3, 4, 5, 6, 7}, {-1, 0, -1, 3, 4, 5, 6, 7, 8}, {-1, 0, -1, 4, 3, 6, 5, 8, 7},
        {8, 0, 8, 8, 8, 3, 3, -1, 3},  {7, 0, 6, 5, 4, 5, 6, 7, -1},
    };
    int ends[2], wanted[2];
    cr_assert_eq(pipe(ends), 0);
    /* Out of the way, so that 3 to 8 are free for files of which no two are the same. */
    for (int i = 0; i < 2; i++) {
        wanted[i] = fcntl(ends[i], F_DUPFD_CLOEXEC, 20);
        close(ends[i]);
    }
    for (int fd = 3; fd < N; fd++) {
        int made = memfd_create("numbered", MFD_CLOEXEC);
        cr_assert_geq(made, 0);
        cr_assert(made == fd || dup3(made, fd, O_CLOEXEC) == fd);
        if (made != fd) close(made);
    }
    int null = fcntl(open("/dev/null", O_RDWR | O_CLOEXEC), F_DUPFD_CLOEXEC, 30);
    for (size_t k = 0; k < sizeof orders / sizeof *orders; k++) {
        int fds[N];
        for (int i = 0; i < N; i++) fds[i] = orders[k][i] == 0 ? wanted[1] : orders[k][i];
        struct report r = report_with((struct filch__start){.fds = fds, .fd_count = N}, wanted[0]);
        cr_assert_eq(r.fds, N);
        for (int i = 0; i < N; i++) check_file(&r, i, fds[i] < 0 ? null : fds[i]);
        cr_assert_not(r.closes_on_exec);
    }
    /* None of those here was touched. */
    for (int fd = 3; fd < N; fd++) cr_assert(fd_closes_on_exec(fd));
}

/* There is no number above those that are given, and hardly one below. */
Test(process, few_descriptors_are_free) {
    struct rlimit limit;
    int ends[2], last = 31;
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)last + 1;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(dup2(ends[1], last), last);
    /* The first number above the targets is a source as well. */
    int n = ends[1], fds[16] = {2};
    cr_assert(n > 3 && n < 16);
    fds[1] = last;
    fds[n - 1] = n;
    struct report r = report_with((struct filch__start){.fds = fds, .fd_count = n}, ends[0]);
    cr_assert_eq(r.fds, n);
    for (int i = 0; i < n; i++) check_file(&r, i, fds[i]);
    close(last);
    close(ends[0]);
    close(ends[1]);
}

Test(process, nothing_stays_open_here) {
    int before = fds_open();
    long blocks = filch__fault_live_blocks();
    for (int i = 0; i < 10; i++) wait_for_end(start_shell("exit 0", -1));
    cr_assert_eq(fds_open(), before);
    cr_assert_eq(filch__fault_live_blocks(), blocks);
}

/* Words, environment, directory ----------------------------------------------------------------- */

static void check_output(struct filch__start s, const char *expected) {
    int ends[2];
    char text[PATH_MAX + 200];
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    int fds[] = {-1, ends[1], 2};
    s.fds = fds;
    s.fd_count = 3;
    int pid = start(s);
    close(ends[1]);
    read_all(ends[0], text, sizeof text);
    cr_assert_str_eq(text, expected, "\"%s\", not \"%s\"", text, expected);
    close(ends[0]);
    wait_for_end(pid);
}

Test(process, its_words_and_its_environment) {
    setenv("FILCH_TEST_OWN", "1", 1);
    check_output((struct filch__start){.path = "/bin/sh",
                                       .argv = WORDS("sh", "-c", "printf '%s,' \"$0\" \"$@\"",
                                                     "zero", "o n e", "", "'\"$3")},
                 "zero,o n e,,'\"$3,");
    check_output((struct filch__start){.path = "/bin/sh",
                                       .argv = WORDS("sh", "-c", "echo $A-$B-$FILCH_TEST_OWN"),
                                       .envp = WORDS("A=first", "B=two words")},
                 "first-two words-\n");
}

Test(process, its_directory) {
    char here[PATH_MAX], expected[PATH_MAX + 1];
    cr_assert_not_null(getcwd(here, sizeof here));
    snprintf(expected, sizeof expected, "%s\n", here);
    char *const *words = WORDS("sh", "-c", "pwd -P");
    check_output((struct filch__start){.path = "/bin/sh", .argv = words}, expected);
    check_output((struct filch__start){.path = "/bin/sh", .argv = words, .directory = "/"}, "/\n");
    cr_assert_not_null(getcwd(expected, sizeof expected));
    cr_assert_str_eq(expected, here);
}

/* Failures -------------------------------------------------------------------------------------- */

static void check_fails(struct filch__start s, int error) {
    int fds[] = {-1, -1, 2}, pid = -7, watch = -7, before = fds_open();
    long blocks = filch__fault_live_blocks();
    s.fds = s.fds != NULL ? s.fds : fds;
    s.fd_count = 3;
    s.argv = WORDS("sh", "-c", "exit 0");
    s.envp = environ;
    signal(SIGCHLD, count_signal);
    cr_assert_eq(filch__process_start_apart(&s, &pid, &watch), error);
    cr_assert(pid == -7 && watch == -7);
    check_no_child();
    cr_assert_eq(signals, 0);
    cr_assert_eq(fds_open(), before);
    cr_assert_eq(filch__fault_live_blocks(), blocks);
}

Test(process, what_cannot_be_started) {
    int closed[] = {-1, 900, 2};
    check_fails((struct filch__start){.path = "/nonexistent/program"}, ENOENT);
    check_fails((struct filch__start){.path = "/"}, EACCES);
    check_fails((struct filch__start){.path = "/bin/sh", .directory = "/nonexistent"}, ENOENT);
    check_fails((struct filch__start){.path = "/bin/sh", .directory = "/dev/null"}, ENOTDIR);
    check_fails((struct filch__start){.path = "/bin/sh", .fds = closed}, EBADF);
}

Test(process, more_descriptors_than_are_passed_on) {
    int fds[65], pid = -7, watch = -7;
    for (int i = 0; i < 65; i++) fds[i] = 2;
    struct filch__start s = {.path = "/bin/sh",
                             .argv = WORDS("sh", "-c", "exit 0"),
                             .envp = environ,
                             .fds = fds,
                             .fd_count = 65};
    cr_assert_eq(filch__process_start_apart(&s, &pid, &watch), EINVAL);
    cr_assert(pid == -7 && watch == -7);
    s.fd_count = 64;
    wait_for_end(start(s));
}

/* The watch comes with the process: by its pid alone it could be another one by now. */
Test(process, no_process_without_its_watch) {
    filch__fault_plan(FILCH__FAULT_FD, 0, false);
    check_fails((struct filch__start){.path = "/bin/sh"}, EMFILE);
    cr_assert_eq(filch__fault_clear(), 1);
    struct rlimit old, low;
    int taken[16], n = 0;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
    taken[0] = dup(2);
    low = (struct rlimit){(rlim_t)taken[0] + 16, old.rlim_max};
    close(taken[0]);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &low), 0);
    while (n < 16 && (taken[n] = dup(2)) >= 0) n++;
    int pid = -7, watch = -7, fds[] = {2, 2, 2};
    struct filch__start s = {.path = "/bin/sh",
                             .argv = WORDS("sh", "-c", "while :; do sleep 1; done"),
                             .envp = environ,
                             .fds = fds,
                             .fd_count = 3};
    int error = filch__process_start_apart(&s, &pid, &watch);
    while (n > 0) close(taken[--n]);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
    cr_assert_eq(error, EMFILE, "%d", error);
    cr_assert(pid == -7 && watch == -7);
    check_no_child();
}

/* It is ready at the end, also when nobody has looked before, and somebody has reaped the process. */
Test(process, the_watch_that_came_with_it) {
    int fds[] = {-1, -1, 2}, watch;
    bool ready;
    start_watched(
        (struct filch__start){
            .path = "/bin/sh", .argv = WORDS("sh", "-c", "exit 0"), .fds = fds, .fd_count = 3},
        &watch);
    cr_assert(fd_closes_on_exec(watch));
    cr_assert(filch__fds_wait(&watch, 1, &ready, filch__now() + PATIENCE));
    filch__process_kill_watched(watch, SIGKILL); /* nobody is there */
    close(watch);
    int pid = start_watched((struct filch__start){.path = "/bin/sh",
                                                  .argv = WORDS("sh", "-c", "exec sleep 1000"),
                                                  .fds = fds,
                                                  .fd_count = 3},
                            &watch);
    cr_assert_not(filch__fds_wait(&watch, 1, &ready, 0));
    filch__process_kill_watched(watch, SIGKILL);
    cr_assert(filch__fds_wait(&watch, 1, &ready, filch__now() + PATIENCE));
    close(watch);
    wait_for_end(pid);
}

Test(process, no_process_and_no_stack) {
    filch__fault_plan(FILCH__FAULT_PROCESS, 0, false);
    check_fails((struct filch__start){.path = "/bin/sh"}, EAGAIN);
    cr_assert_eq(filch__fault_clear(), 1);
    filch__fault_plan(FILCH__FAULT_PROCESS, 0, false);
    cr_assert_eq(filch__process_fork(), -EAGAIN);
    cr_assert_eq(filch__fault_clear(), 1);
    filch__fault_plan(FILCH__FAULT_MAP, 0, false);
    check_fails((struct filch__start){.path = "/bin/sh"}, ENOMEM);
    cr_assert_eq(filch__fault_clear(), 1);
}

/* Threads that start at the same time, while other threads have signals handled. */
static void start_some(int index, void *context) {
    (void)index;
    uint32_t *started = context;
    for (int i = 0; i < 5; i++) {
        int fds[] = {-1, -1, 2}, pid = -1, watch = -1;
        struct filch__start s = {.path = "/bin/sh",
                                 .argv = WORDS("sh", "-c", "exit 0"),
                                 .envp = environ,
                                 .fds = fds,
                                 .fd_count = 3};
        if (filch__process_start_apart(&s, &pid, &watch) == 0 && pid > 1 && watch > 2)
            fetch_add_relaxed(started, 1u); /* relaxed: read after the threads */
        close(watch);
    }
}

Test(process, from_several_threads) {
    uint32_t started = 0;
    signal(SIGCHLD, count_signal);
    run_threads(4, start_some, &started);
    cr_assert_eq(started, 20);
    check_no_child();
    cr_assert_eq(signals, 0);
}

/* Watching, reaping, killing -------------------------------------------------------------------- */

Test(process, a_watch_is_ready_at_the_end) {
    int ends[2];
    bool ready = true;
    cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
    int fds[] = {ends[0], -1, 2};
    int pid = start((struct filch__start){
        .path = "/bin/sh", .argv = WORDS("sh", "-c", "read -r line"), .fds = fds, .fd_count = 3});
    int watch = filch__process_watch(pid);
    cr_assert_geq(watch, 0);
    cr_assert(fd_closes_on_exec(watch));
    cr_assert_not(filch__fds_wait(&watch, 1, &ready, 0));
    cr_assert_not(ready);
    close(ends[1]);
    cr_assert(filch__fds_wait(&watch, 1, &ready, filch__now() + PATIENCE));
    cr_assert(ready);
    close(watch);
    close(ends[0]);
}

Test(process, a_watch_that_cannot_be_had) {
    pid_t child = child_start();
    if (child == 0) _exit(0);
    filch__fault_plan(FILCH__FAULT_FD, 0, false);
    errno = 0;
    cr_assert_eq(filch__process_watch(child), -1);
    cr_assert_eq(errno, EMFILE);
    cr_assert_eq(filch__fault_clear(), 1);
    cr_assert_eq(child_finish(child), 0);
    cr_assert_eq(filch__process_watch(child), -1);
    cr_assert_eq(errno, ESRCH);
}

Test(process, killing_one_apart) {
    int pid = start_shell("while :; do sleep 1; done", -1), watch = filch__process_watch(pid);
    bool ready;
    cr_assert_geq(watch, 0);
    errno = 77;
    filch__process_kill(pid, SIGKILL);
    cr_assert(filch__fds_wait(&watch, 1, &ready, filch__now() + PATIENCE));
    close(watch);
    /* Nobody is there: errno stays. */
    pid_t child = child_start();
    if (child == 0) _exit(0);
    cr_assert_eq(child_finish(child), 0);
    errno = 77;
    filch__process_kill(child, SIGTERM);
    cr_assert_eq(errno, 77);
}

static struct filch__process_end end_of(int pid) {
    struct filch__process_end end = {-1, -1};
    wait_for_end(pid);
    cr_assert(filch__process_reap(pid, &end));
    cr_assert_not(filch__process_reap(pid, &end));
    return end;
}
static int fork_that_ends(int status, int signal_number) {
    fflush(stdout);
    int pid = filch__process_fork();
    cr_assert_geq(pid, 0);
    if (pid != 0) return pid;
    if (signal_number != 0) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
    _exit(status);
}
static void check_description(struct filch__process_end end, const char *expected) {
    char text[80];
    filch__process_end_describe(&end, text, sizeof text);
    cr_assert_str_eq(text, expected, "%s", text);
}

Test(process, an_exit_code) {
    struct filch__process_end end = end_of(fork_that_ends(3, 0));
    cr_assert_eq(end.code, CLD_EXITED);
    cr_assert_eq(end.number, 3);
    check_description(end, "ended with exit code 3");
}

Test(process, a_signal) {
    struct filch__process_end end = end_of(fork_that_ends(0, SIGSEGV));
    cr_assert(end.code == CLD_KILLED || end.code == CLD_DUMPED);
    cr_assert_eq(end.number, SIGSEGV);
    check_description(end, "was killed by signal 11 (Segmentation fault)");
    end = end_of(fork_that_ends(0, SIGKILL));
    cr_assert_eq(end.code, CLD_KILLED);
    check_description(end, "was killed by signal 9 (Killed)");
    check_description((struct filch__process_end){CLD_DUMPED, SIGABRT},
                      "was killed by signal 6 (Aborted)");
    check_description((struct filch__process_end){CLD_KILLED, 1000},
                      "was killed by signal 1000 (unknown)");
}

Test(process, a_description_that_is_cut) {
    char text[9] = "xxxxxxxx";
    struct filch__process_end end = {CLD_EXITED, 3};
    filch__process_end_describe(&end, text, 6);
    cr_assert_str_eq(text, "ended");
    cr_assert_eq(text[6], 'x');
}

/* A child that runs, or is only stopped, has not ended. */
Test(process, nothing_to_reap) {
    int ends[2];
    struct filch__process_end end = {-7, -7};
    cr_assert_eq(pipe(ends), 0);
    pid_t child = child_start();
    if (child == 0) {
        char byte;
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 6 : 1);
    }
    cr_assert_not(filch__process_reap(child, &end));
    kill(child, SIGSTOP);
    int status;
    cr_assert_eq(waitpid(child, &status, WUNTRACED), child);
    cr_assert_not(filch__process_reap(child, &end));
    kill(child, SIGCONT);
    cr_assert_eq(end.code, -7);
    close(ends[1]);
    close(ends[0]);
    cr_assert_eq(end_of(child).number, 6);
    check_no_child();
}

/* Dying with the parent ------------------------------------------------------------------------- */

Test(process, a_grandchild_dies_with_its_parent) {
    int ends[2], grandchild = -1;
    bool ready;
    cr_assert_eq(pipe(ends), 0);
    pid_t child = child_start();
    if (child == 0) {
        int own = filch__process_id(), pid = filch__process_fork();
        if (pid != 0)
            for (;;) pause();
        filch__process_die_with(own);
        pid = getpid();
        if (write(ends[1], &pid, sizeof pid) != (ssize_t)sizeof pid) _exit(1);
        for (;;) pause();
    }
    cr_assert_eq(read(ends[0], &grandchild, sizeof grandchild), (ssize_t)sizeof grandchild);
    int watch = filch__process_watch(grandchild);
    cr_assert_geq(watch, 0);
    cr_assert_not(filch__fds_wait(&watch, 1, &ready, 0));
    filch__process_kill(child, SIGKILL);
    cr_assert_eq(child_finish(child), -SIGKILL);
    cr_assert(filch__fds_wait(&watch, 1, &ready, filch__now() + PATIENCE));
    close(watch);
    close(ends[0]);
    close(ends[1]);
}

/* The parent was quicker: its pid is not that of the parent which the process has now. */
Test(process, a_parent_that_has_ended_already) {
    int pid = filch__process_fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        filch__process_die_with(INT_MAX);
        _exit(0);
    }
    cr_assert_eq(end_of(pid).number, 1);
    int own = filch__process_id();
    pid = filch__process_fork();
    if (pid == 0) {
        filch__process_die_with(own);
        _exit(7);
    }
    cr_assert_eq(end_of(pid).number, 7);
}

/* Memory ---------------------------------------------------------------------------------------- */

Test(process, resident_memory) {
    enum { MIB = 1 << 20 };
    size_t before = filch__process_resident();
    cr_assert_gt(before, (size_t)64 << 10);
    cr_assert_lt(before, (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE));
    char *bytes = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(bytes, MAP_FAILED);
    memset(bytes, 1, 32 * MIB);
    size_t after = filch__process_resident();
    cr_assert_geq(after, before + 28 * MIB, "%zu, then %zu", before, after);
    munmap(bytes, 32 * MIB);
    cr_assert_leq(filch__process_resident(), after - 28 * MIB);
}

Test(process, resident_memory_without_a_descriptor) {
    struct rlimit limit, none;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 0;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    size_t resident = filch__process_resident();
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(resident, 0);
}
