/* program.c: a program with an executor on processes; its first argument says what it does with it.
 *
 *   square N        prints the square of N, and the arguments as filch_main has left them
 *   gone N          unlinks itself and changes the directory first
 *   pending N       leaves N tasks behind at the end of main, each of which prints a dot
 *   live N          holds N workers, prints the pids of zygote and workers, and stays
 *   live-forked N   the same, with a child from fork() that stays as well
 *   children        counts what a program that waits for any child, and counts SIGCHLD, sees of the workers
 *   closed N        does its work without the standard streams whose bits are set in N
 *   interrupt       holds a worker while its process group is interrupted; prints what has come through
 *
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <filch.h>
#include <filch/process.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 64 };

static void must(int rc, const char *what) {
    if (rc == 0) return;
    printf("%s: %s: %s\n", what, filch_error_name(rc), filch_last_error());
    fflush(stdout);
    _exit(1);
}
static filch_executor *make(int workers) {
    filch_process_options options = FILCH_PROCESS_OPTIONS_INIT;
    filch_executor *executor = NULL;
    options.max_workers = workers;
    must(filch_process_executor(&options, &executor), "filch_process_executor");
    return executor;
}

static int square(void *arg, void *result) {
    *(int *)result = *(int *)arg * *(int *)arg;
    return 0;
}
static int crash(void *arg, void *result) {
    (void)arg;
    (void)result;
    kill(getpid(), SIGKILL);
    return 0;
}
static int print_dot(void *arg, void *result) {
    (void)arg;
    (void)result;
    usleep(2000);
    return write(1, ".", 1) == 1 ? 0 : 1;
}
/* Says where it runs, and stays until the descriptor that it was told can be opened no more. */
struct place {
    int fd, pid;
};
static int stay(void *arg, void *result) {
    struct place *place = arg;
    int pids[2] = {(int)getpid(), (int)getsid(0)};
    char path[64];
    (void)result;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", place->pid, place->fd);
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, pids, sizeof pids) != sizeof pids) return 1;
    close(fd);
    while (access(path, W_OK) == 0) usleep(1000);
    return 0;
}
/* Holds n workers; their pids, and the zygote's behind them. The descriptor ends them when it is closed. */
static int hold(filch_executor *executor, int n, int *pids, filch_future **futures) {
    int pipes[2], said[2];
    if (pipe(pipes) != 0) exit(1);
    struct place place = {pipes[1], (int)getpid()};
    for (int i = 0; i < n; i++) {
        must(filch_submit(executor, stay, &place, sizeof place, 0, &futures[i]), "submit");
        if (read(pipes[0], said, sizeof said) != sizeof said) exit(1);
        pids[i] = said[0];
        pids[n] = said[1];
    }
    close(pipes[0]);
    return pipes[1];
}

static int do_square(int n) {
    filch_executor *executor = make(2);
    filch_future *future;
    int value;
    must(filch_submit(executor, square, &n, sizeof n, sizeof value, &future), "submit");
    must(filch_future_result(future, &value, FILCH_FOREVER), "result");
    printf("%d\n", value);
    filch_future_release(future);
    must(filch_executor_destroy(executor), "destroy");
    return 0;
}

static int leave_pending(int n) {
    filch_executor *executor = make(2);
    for (int i = 0; i < n; i++) must(filch_submit(executor, print_dot, NULL, 0, 0, NULL), "submit");
    return 0;
}

static void live(int n, int forked) {
    int pids[MOST + 1];
    filch_future *futures[MOST];
    (void)hold(make(n), n, pids, futures);
    pid_t child = forked ? fork() : 0;
    if (forked && child == 0)
        for (;;) pause();
    for (int i = n; i >= 0; i--) printf("%d\n", pids[i]);
    if (forked) printf("%d\n", (int)child);
    printf("end\n");
    fflush(stdout);
    for (;;) pause();
}

static volatile sig_atomic_t signals;
static void count(int signal) {
    (void)signal;
    signals = signals + 1;
}

static int count_children(void) {
    struct sigaction action, pipes, before;
    memset(&action, 0, sizeof action);
    action.sa_handler = count;
    sigaction(SIGCHLD, &action, NULL);
    sigaction(SIGPIPE, NULL, &before);
    int seen = 0;
    for (int round = 0; round < 3; round++) {
        filch_executor *executor = make(2);
        for (int i = 0; i < 10; i++) {
            filch_future *future;
            must(filch_submit(executor, i % 3 ? print_dot : crash, NULL, 0, 0, &future), "submit");
            (void)filch_future_result(future, NULL, FILCH_FOREVER);
            filch_future_release(future);
            seen += waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD;
            seen += waitpid(-1, NULL, WNOHANG | __WALL) >= 0 || errno != ECHILD;
        }
        must(filch_executor_destroy(executor), "destroy");
        seen += wait(NULL) >= 0 || errno != ECHILD;
    }
    sigaction(SIGPIPE, NULL, &pipes);
    printf("\n%d signals, %d children, SIGPIPE %s\n", (int)signals, seen,
           pipes.sa_handler == before.sa_handler && pipes.sa_handler == SIG_DFL ? "untouched"
                                                                                : "touched");
    /* With ThreadSanitizer a child's _exit writes what is buffered. */
    fflush(stdout);
    /* Its own children it sees as ever. */
    pid_t child = fork();
    if (child == 0) _exit(3);
    int status = 0;
    pid_t ended = waitpid(-1, &status, 0);
    printf("own child %s, %d signal\n",
           ended == child && WEXITSTATUS(status) == 3 ? "seen" : "lost", (int)signals);
    return 0;
}

static int be_interrupted(void) {
    struct sigaction action;
    int pids[2];
    filch_future *future;
    memset(&action, 0, sizeof action);
    action.sa_handler = count;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
    filch_executor *executor = make(1);
    int end = hold(executor, 1, pids, &future);
    printf("ready\n");
    fflush(stdout);
    while (signals < 2) usleep(1000);
    close(end);
    must(filch_future_result(future, NULL, FILCH_FOREVER), "the task");
    filch_future_release(future);
    must(filch_executor_destroy(executor), "destroy");
    printf("%d signals, and the task has ended well\n", (int)signals);
    return 0;
}

/* Has it the three standard streams, of which those in *arg are /dev/null? */
static int check_streams(void *arg, void *result) {
    struct stat null, it;
    if (stat("/dev/null", &null) != 0) return 20;
    for (int i = 0; i < 3; i++) {
        if (fstat(i, &it) != 0) return 21 + i;
        if ((*(int *)arg >> i & 1) != 0 && it.st_rdev != null.st_rdev) return 24 + i;
    }
    if ((*(int *)arg & 2) != 0) printf("this goes nowhere\n");
    fflush(stdout);
    *(int *)result = 7;
    return 0;
}

/* Two of them: what the first one has open must not be taken for a stream by the second. */
static int close_streams(int which) {
    int argument = which | 1;
    filch_executor *executors[2];
    for (int i = 0; i < 3; i++)
        if ((which >> i & 1) != 0) close(i);
    for (int i = 0; i < 2; i++) {
        executors[i] = make(2);
        for (int k = 0; k < 3; k++)
            if ((which >> k & 1) != 0 && fcntl(k, F_GETFD) >= 0) return 30 + k;
        filch_future *future;
        int value = 0;
        must(filch_submit(executors[i], check_streams, &argument, sizeof argument, sizeof value,
                          &future),
             "submit");
        int code = filch_future_result(future, &value, FILCH_FOREVER);
        if (code != 0 || value != 7) return code != 0 ? code & 127 : 33;
        filch_future_release(future);
    }
    for (int i = 0; i < 2; i++) must(filch_executor_destroy(executors[i]), "destroy");
    return 0;
}

static int do_gone(int n) {
    char where[4096];
    ssize_t size = readlink("/proc/self/exe", where, sizeof where - 1);
    if (size < 0) return 2;
    where[size] = '\0';
    if (unlink(where) != 0 || chdir("/") != 0) return 3;
    return do_square(n);
}

int main(int argc, char **argv) {
    filch_main(&argc, &argv);
    const char *what = argc > 1 ? argv[1] : "";
    int n = argc > 2 ? atoi(argv[2]) : 0;
    alarm(60);
    if (n < 0 || n > MOST) return 9;
    if (strcmp(what, "square") == 0) {
        for (int i = 1; i < argc; i++) printf("%s ", argv[i]);
        return do_square(n);
    }
    if (strcmp(what, "gone") == 0) return do_gone(n);
    if (strcmp(what, "pending") == 0) return leave_pending(n);
    if (strcmp(what, "live") == 0) live(n, 0);
    if (strcmp(what, "live-forked") == 0) live(n, 1);
    if (strcmp(what, "children") == 0) return count_children();
    if (strcmp(what, "closed") == 0) return close_streams(n);
    if (strcmp(what, "interrupt") == 0) return be_interrupted();
    return 9;
}
