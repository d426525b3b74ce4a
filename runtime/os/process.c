/* os/process.c: clone, posix_spawn, waitid and their kin behind the fault seam.
 *
 * Apart: the program must not see what is started for it in its own wait(), nor get SIGCHLD for it. So a helper is cloned that
 * shares the memory of the program (CLONE_VM) while the calling thread stands still (CLONE_VFORK), with no signal for its end: only
 * a wait with __WCLONE or __WALL sees it. The helper posix_spawns, which makes what is started its child, and ends; so that
 * it becomes init's. Where the program itself is init, or a subreaper, it becomes the program's child again, and a wait()
 * for any child there sees its end.
 * The helper runs on a stack of its own as the calling thread, with its thread-local storage. So nothing in it is known to a sanitizer,
 * and it is cloned by the name of the C library that ThreadSanitizer does not replace: what that does after a fork it would
 * do in the memory of the program. For the same reason it returns, instead of calling _exit. */
#include "os/process.h"

#include "os/fault.h"
#include "os/memory.h"
#include "os/socket.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SELF "/proc/self/exe"

/* Of the helper, which calls posix_spawn: bytes. */
enum { HELPER_STACK = 256 * 1024 };

/* Most descriptors that are passed on. */
enum { DESCRIPTORS = 64 };

/* clone(), as the C library calls it itself. */
int __clone(int (*function)(void *), void *stack, int flags, void *argument, ...);

#define NOT_SANITIZED __attribute__((no_sanitize("address", "thread", "undefined")))

struct helper {
    const char *path;
    const struct filch__start *start;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid;
    int watch;
    int error;
};

/* Of the caller, who may ignore SIGCHLD and would then reap at once. The action is all zero; the C library's call is one that sanitizers
 * keep books of, in memory that is the program's. */
NOT_SANITIZED static void reap_nobody(void) {
    static const unsigned long action[8];
    syscall(SYS_rt_sigaction, SIGCHLD, action, NULL, (size_t)(_NSIG / 8));
}

/* The helper is the parent: nobody else gets that pid while it is here. It shares the descriptors, and no handlers. */
NOT_SANITIZED static int run_helper(void *argument) {
    struct helper *h = argument;
    reap_nobody();
    h->error =
        posix_spawn(&h->pid, h->path, &h->actions, &h->attributes, h->start->argv, h->start->envp);
    if (h->error != 0) return 0;
    h->watch = (int)syscall(SYS_pidfd_open, h->pid, 0);
    if (h->watch >= 0) return 0;
    h->error = errno;
    kill(h->pid, SIGKILL);
    return 0;
}

/* The path by which this program was started, for where there is no /proc; NULL: unknown. It may be relative, so it is
 * resolved before anybody has changed the directory. */
static char *started_by;

__attribute__((constructor)) static void note_path(void) {
    const char *path = (const char *)(uintptr_t)getauxval(AT_EXECFN);
    if (path == NULL || path[0] == '/' || access(SELF, F_OK) == 0) return;
    static char resolved[PATH_MAX];
    started_by = realpath(path, resolved);
}

/* /proc also names a program that was moved or deleted. */
static const char *program_path(void) {
    if (access(SELF, F_OK) == 0) return SELF;
    const char *path = (const char *)(uintptr_t)getauxval(AT_EXECFN);
    return path != NULL && path[0] == '/' ? path : started_by;
}

static bool is_source(const struct filch__start *s, int fd) {
    for (int i = 0; i < s->fd_count; i++)
        if (s->fds[i] == fd) return true;
    return false;
}

/* Sources may have the numbers of targets, so those go above all targets first, to numbers that are no sources. There may be
 * few numbers: the lowest are taken. What is above is closed at the end. */
static int add_actions(struct helper *h) {
    const struct filch__start *s = h->start;
    posix_spawn_file_actions_t *a = &h->actions;
    int from[DESCRIPTORS], next = s->fd_count, error = 0;
    if (s->fd_count > DESCRIPTORS) return EINVAL;
    for (int i = 0; i < s->fd_count && error == 0; i++) {
        from[i] = s->fds[i];
        if (from[i] < 0 || from[i] >= s->fd_count) continue;
        while (is_source(s, next)) next++;
        error = posix_spawn_file_actions_adddup2(a, from[i], next);
        from[i] = next++;
    }
    for (int i = 0; i < s->fd_count && error == 0; i++)
        error = from[i] >= 0 ? posix_spawn_file_actions_adddup2(a, from[i], i)
                             : posix_spawn_file_actions_addopen(a, i, "/dev/null", O_RDWR, 0);
    if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(a, s->fd_count);
    if (error == 0 && s->directory != NULL)
        error = posix_spawn_file_actions_addchdir_np(a, s->directory);
    return error;
}

static int add_attributes(struct helper *h) {
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int error = posix_spawnattr_setsigdefault(&h->attributes, &all);
    if (error == 0) error = posix_spawnattr_setsigmask(&h->attributes, &none);
    return error != 0 ? error
                      : posix_spawnattr_setflags(&h->attributes, POSIX_SPAWN_SETSID |
                                                                     POSIX_SPAWN_SETSIGDEF |
                                                                     POSIX_SPAWN_SETSIGMASK);
}

/* Signals are blocked: a handler of the program must not run in the helper. */
static int clone_helper(struct helper *h) {
    char *stack = filch__map(HELPER_STACK, 4096);
    if (stack == NULL) return ENOMEM;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int flags = CLONE_VM | CLONE_VFORK | CLONE_FILES;
    int pid = __clone(run_helper, stack + HELPER_STACK, flags, h);
    int error = pid < 0 ? errno : 0;
    if (pid >= 0)
        while (waitpid(pid, NULL, (int)__WCLONE) < 0 && errno == EINTR) continue;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    filch__unmap(stack, HELPER_STACK);
    return error != 0 ? error : h->error;
}

/* A descriptor above the standard streams. Without one the process ends at once. */
static int keep_watch(int fd, int *watch) {
    *watch = fd > STDERR_FILENO ? fd : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (*watch == fd) return 0;
    int error = *watch < 0 ? errno : 0;
    if (error != 0) filch__process_kill_watched(fd, SIGKILL);
    close(fd);
    return error;
}

int filch__process_start_apart(const struct filch__start *start, int *pid, int *watch) {
    struct helper h = {.path = start->path != NULL ? start->path : program_path(), .start = start};
    if (filch__fault(FILCH__FAULT_PROCESS)) return EAGAIN;
    if (filch__fault(FILCH__FAULT_FD)) return EMFILE;
    if (h.path == NULL) return ENOENT;
    if (filch__fault(FILCH__FAULT_ALLOC)) return ENOMEM;
    int error = posix_spawn_file_actions_init(&h.actions);
    if (error != 0) return error;
    error = posix_spawnattr_init(&h.attributes);
    if (error == 0) {
        error = add_actions(&h);
        if (error == 0) error = add_attributes(&h);
        if (error == 0) error = clone_helper(&h);
        posix_spawnattr_destroy(&h.attributes);
    }
    posix_spawn_file_actions_destroy(&h.actions);
    if (error == 0) error = keep_watch(h.watch, watch);
    if (error == 0) *pid = h.pid;
    return error;
}

int filch__process_watch(int pid) {
    if (filch__fault(FILCH__FAULT_FD)) {
        errno = EMFILE;
        return -1;
    }
    return filch__fd_raise((int)syscall(SYS_pidfd_open, pid, 0));
}

bool filch__process_reap(int pid, struct filch__process_end *end) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    int got;
    do {
        got = waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG);
    } while (got < 0 && errno == EINTR);
    if (got < 0 || info.si_pid == 0) return false;
    *end = (struct filch__process_end){info.si_code, info.si_status};
    return true;
}

int filch__process_fork(void) {
    if (filch__fault(FILCH__FAULT_PROCESS)) return -EAGAIN;
    pid_t pid = fork();
    return pid >= 0 ? pid : -errno;
}

void filch__process_die_with(int parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
}

void filch__process_kill(int pid, int signal) {
    int saved = errno;
    kill(pid, signal);
    errno = saved;
}

void filch__process_kill_watched(int watch, int signal) {
    int saved = errno;
    syscall(SYS_pidfd_send_signal, watch, signal, NULL, 0);
    errno = saved;
}

int filch__process_id(void) {
    return getpid();
}

int filch__process_parent(void) {
    return getppid();
}

void filch__process_end_describe(const struct filch__process_end *end, char *text, size_t size) {
    if (end->code == CLD_EXITED) {
        snprintf(text, size, "ended with exit code %d", end->number);
        return;
    }
    const char *name = sigdescr_np(end->number);
    snprintf(text, size, "was killed by signal %d (%s)", end->number,
             name != NULL ? name : "unknown");
}

size_t filch__process_resident(void) {
    char text[128];
    unsigned long pages = 0;
    int fd = filch__fault(FILCH__FAULT_FD) ? -1 : open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return 0;
    text[n] = 0;
    return sscanf(text, "%*u %lu", &pages) == 1 ? pages * (size_t)sysconf(_SC_PAGESIZE) : 0;
}
