/* world_test.c: what a system may do to a program at any time: signals at all threads, waits that end without a reason,
 * threads that stand still, other clocks, few descriptors, small files.
 *
 * Cases that need what the system may refuse (namespaces, tracing) are not registered where it does.
 *
 * SPDX-License-Identifier: MIT */
#include "api_support.h"
#include "mix.h"

#include <criterion/parameterized.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <filch/process.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

TestSuite(world, .timeout = 60);

/* Threads of a process, into tids; how many. */
enum { THREADS_MOST = 600 };
static int list_threads(pid_t process, pid_t *tids) {
    char path[40];
    int n = 0;
    struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%d/task", (int)process);
    DIR *tasks = opendir(path);
    while (tasks != NULL && n < THREADS_MOST && (entry = readdir(tasks)) != NULL)
        if (atoi(entry->d_name) > 0) tids[n++] = (pid_t)atoi(entry->d_name);
    if (tasks != NULL) closedir(tasks);
    return n;
}

/* Signals ----------------------------------------------------------------------------------------- */

static int signals_seen;
static void see(int number) {
    (void)number;
    add(&signals_seen, 1);
}

/* A signal every 0.1 ms, to each thread in turn but the caller, until the flag is raised. */
static void storm(void *context) {
    uint32_t *over = context;
    pid_t tids[THREADS_MOST], self = (pid_t)syscall(SYS_gettid);
    struct timespec pause = {0, 20000}; /* and some 60 us that the kernel adds */
    while (filch_load_acquire(over) == 0) {
        int n = list_threads(getpid(), tids);
        for (int round = 0; round < 20; round++)
            for (int i = 0; i < n; i++) {
                if (tids[i] == self) continue;
                syscall(SYS_tgkill, getpid(), tids[i], SIGUSR1);
                nanosleep(&pause, NULL);
            }
    }
}

Test(world, signals_at_all_threads) {
    struct sigaction action = {.sa_handler = see}; /* without SA_RESTART */
    sigset_t one;
    uint32_t over = 0;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, &one, NULL), 0); /* for the one that sends */
    pthread_t sender = thread_start(storm, &over);
    cr_assert_eq(pthread_sigmask(SIG_UNBLOCK, &one, NULL), 0);
    const char *wrong = mix_play_for(1000 * stress(1), true);
    while (wrong == NULL && read_int(&signals_seen) < 500) wrong = mix_play(true);
    flag_raise(&over);
    thread_finish(sender);
    cr_assert_null(wrong, "%s", wrong);
    printf("# %d signals\n", signals_seen);
}

/* Waits ------------------------------------------------------------------------------------------- */

typedef bool fault_fn(unsigned kind, const void *site);
extern fault_fn *filch__fault_hook;

static int waits_ended;
static bool every_second_wait(unsigned kind, const void *site) {
    static __thread uint32_t state;
    (void)site;
    if (kind != FAULT_FUTEX) return false;
    if (state == 0) state = (uint32_t)syscall(SYS_gettid);
    state = state * 1664525 + 1013904223;
    if (state >> 31 == 0) return false;
    add(&waits_ended, 1);
    return true;
}

Test(world, waits_that_end_without_a_reason) {
    filch__fault_hook = every_second_wait;
    const char *wrong = mix_play_for(500 * stress(1), true);
    while (wrong == NULL && read_int(&waits_ended) < 100) wrong = mix_play(true);
    filch__fault_hook = NULL;
    cr_assert_null(wrong, "%s", wrong);
}

/* Threads that stand still ------------------------------------------------------------------------ */

/* A process that traces: stops each thread of its parent in turn, wherever that is, for a moment. */
static void stop_threads(int go) {
    pid_t parent = getppid(), tids[THREADS_MOST];
    struct timespec pause = {0, 500000};
    int stops = 0, status;
    char byte;
    if (read(go, &byte, 1) != 1) _exit(2);
    while (getppid() == parent) {
        int n = list_threads(parent, tids);
        for (int i = 0; i < n; i++) {
            if (ptrace(PTRACE_SEIZE, tids[i], 0, 0) != 0) continue;
            if (ptrace(PTRACE_INTERRUPT, tids[i], 0, 0) == 0 &&
                waitpid(tids[i], &status, __WALL) == tids[i] && WIFSTOPPED(status)) {
                nanosleep(&pause, NULL);
                ptrace(PTRACE_DETACH, tids[i], 0, 0);
                stops++;
            }
        }
        if (read(go, &byte, 1) == 1) break;
    }
    _exit(stops > 0 ? 0 : 3);
}
static bool can_trace(void) {
    pid_t child = fork();
    if (child == 0) pause();
    bool can = ptrace(PTRACE_SEIZE, child, 0, 0) == 0;
    kill(child, SIGKILL);
    waitpid(child, NULL, __WALL);
    return can;
}

/* Once where a child of this process can do that first, else not at all. */
static struct criterion_test_params once_if(bool (*can)(void)) {
    static int once;
    pid_t child = child_start();
    if (child == 0) _exit(can() ? 0 : 1);
    bool good = child_finish(child) == 0;
    if (!good) printf("# not possible here\n");
    return cr_make_param_array(int, &once, good);
}

ParameterizedTestParameters(world, threads_that_stand_still) {
    return once_if(can_trace);
}
ParameterizedTest(void *once, world, threads_that_stand_still) {
    int ends[2];
    (void)once;
    cr_assert_eq(pipe(ends), 0);
    pid_t tracer = child_start();
    if (tracer == 0) stop_threads(ends[0]);
    prctl(PR_SET_PTRACER, tracer);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    cr_assert_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    const char *wrong = mix_play_for(500 * stress(1), false);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    cr_assert_eq(child_finish(tracer), 0);
    cr_assert_null(wrong, "%s", wrong);
}

/* Clocks ------------------------------------------------------------------------------------------ */

/* The library's calls come here, as does the C library's name. Of CLOCK_REALTIME every reading is another year. */
static int other_clocks, realtime_waits;
int clock_gettime(clockid_t clock, struct timespec *now) {
    if (clock != CLOCK_MONOTONIC) {
        int n = add(&other_clocks, 1);
        now->tv_sec = n % 2 == 0 ? 0 : 4000000000;
        now->tv_nsec = 0;
        return 0;
    }
    return (int)syscall(SYS_clock_gettime, clock, now);
}
/* And each futex wait, which has its clock in the operation. */
long syscall(long number, ...) {
    static long (*real)(long, ...);
    va_list arguments;
    long a[6];
    if (real == NULL) {
        void *next = dlsym(RTLD_NEXT, "syscall");
        memcpy(&real, &next, sizeof real);
    }
    va_start(arguments, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_futex && (a[1] & FUTEX_CLOCK_REALTIME) != 0) add(&realtime_waits, 1);
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

Test(world, no_clock_but_the_monotonic_one) {
    const char *wrong = mix_play(true);
    cr_assert_null(wrong, "%s", wrong);
    cr_assert_eq(read_int(&other_clocks), 0);
    cr_assert_eq(read_int(&realtime_waits), 0);
}

/* In a child: its own monotonic clock, so many seconds from this one. */
static bool shift_clock(long seconds) {
    char text[64];
    if (unshare(CLONE_NEWTIME) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWTIME) != 0) return false;
    int file = open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
    int length = snprintf(text, sizeof text, "monotonic %ld 0\n", seconds);
    bool good = file >= 0 && write(file, text, (size_t)length) == length;
    if (file >= 0) close(file);
    return good;
}
static bool can_shift_clock(void) {
    return shift_clock(1000000);
}
/* Nearly 292 years from now FILCH_FOREVER would be; half of that is good. */
static int play_at(long seconds) {
    if (!shift_clock(seconds)) return 1;
    pid_t child = child_start(); /* only those have the new clock */
    if (child == 0) {
        const char *wrong = mix_play(true);
        if (wrong != NULL) printf("# %s\n", wrong);
        fflush(stdout);
        _exit(wrong == NULL ? 0 : 3);
    }
    return child_finish(child);
}

ParameterizedTestParameters(world, another_monotonic_clock) {
    return once_if(can_shift_clock);
}
ParameterizedTest(void *once, world, another_monotonic_clock) {
    const long now = (long)(mix_now() / 1000000000);
    const long offsets[] = {1000000, 4000000000, 2 - now};
    (void)once;
    for (int i = 0; i < 3; i++) {
        pid_t child = child_start();
        if (child == 0) _exit(play_at(offsets[i]));
        cr_assert_eq(child_finish(child), 0, "offset %ld", offsets[i]);
    }
}

/* Little of everything ---------------------------------------------------------------------------- */

/* An executor on processes works, or says why not: 0. */
static int use_processes(void) {
    filch_executor *e = NULL;
    int rc = filch_process_executor(NULL, &e);
    if (rc != 0)
        return (rc == FILCH_ENOMEM || rc == FILCH_EAGAIN || rc == FILCH_EBROKEN) &&
                       filch_last_error()[0] != '\0'
                   ? 0
                   : 4;
    rc = filch_executor_destroy(e);
    return rc == 0 ? 0 : 5;
}
static int play_limited(int resource, rlim_t limit) {
    struct rlimit low = {limit, limit};
    if (setrlimit((__rlimit_resource_t)resource, &low) != 0) return 1;
    const char *wrong = mix_play(false);
    return wrong != NULL ? 3 : use_processes();
}

Test(world, sixteen_descriptors) {
    pid_t child = child_start();
    if (child == 0) _exit(play_limited(RLIMIT_NOFILE, 16));
    cr_assert_eq(child_finish(child), 0);
}
Test(world, files_of_64_kib) {
    pid_t child = child_start();
    if (child == 0) _exit(play_limited(RLIMIT_FSIZE, 65536));
    cr_assert_eq(child_finish(child), 0);
}

/* The program and what it reads when it starts are still to be found when something is mounted there. */
static bool may_cover(const char *folder) {
    char program[4096];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length < 0 ? 0 : length] = '\0';
    return strncmp(program, folder, strlen(folder)) != 0;
}
/* Shared memory is in files without a name, which no file system that is mounted limits. */
static bool fill_places(void) {
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", "/dev/shm", "tmpfs", 0, "size=65536") == 0 &&
           (!may_cover("/tmp/") || mount("none", "/tmp", "tmpfs", 0, "size=65536") == 0);
}
ParameterizedTestParameters(world, a_tmpfs_of_64_kib) {
    return once_if(fill_places);
}
ParameterizedTest(void *once, world, a_tmpfs_of_64_kib) {
    (void)once;
    pid_t child = child_start();
    if (child == 0) {
        if (!fill_places()) _exit(1);
        _exit(mix_play(true) == NULL ? 0 : 3);
    }
    cr_assert_eq(child_finish(child), 0);
}
