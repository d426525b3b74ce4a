/* os/child.c: see child.h.
 *
 * SIGCHLD by a descriptor, and not a descriptor for each child: a thousand workers would use up those that a process may
 * have. */
#include "os/child.h"

#include "os/fault.h"
#include "os/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

int filch__children_watch(void) {
    sigset_t set;
    if (filch__fault(FILCH__FAULT_FD)) return -EMFILE;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

void filch__children_clear(int fd) {
    struct signalfd_siginfo info;
    while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) continue;
}

void filch__children_forget(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static rlim_t limit_of(uint64_t value) {
    return value == UINT64_MAX ? RLIM_INFINITY : (rlim_t)value;
}

int filch__limit_set(int resource, uint64_t soft, uint64_t hard) {
    struct rlimit limit = {limit_of(soft), limit_of(hard)};
    return setrlimit((__rlimit_resource_t)resource, &limit) == 0 ? 0 : errno;
}

int filch__fd_keep(int fd) {
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? 0 : errno;
}

void filch__streams_flush(void) {
    fflush(NULL);
}

void filch__process_exit(int status) {
    exit(status);
}

void filch__process_exit_at_once(int status) {
    _exit(status);
}

bool filch__limit_is_known(int resource) {
    return resource >= 0 && resource < (int)RLIM_NLIMITS;
}

bool filch__fd_is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

int filch__fd_duplicate(int fd) {
    if (filch__fault(FILCH__FAULT_FD)) {
        errno = EMFILE;
        return -1;
    }
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

char *filch__directory_path(const char *path) {
    char *resolved = filch__fault(FILCH__FAULT_ALLOC) ? NULL : realpath(path, NULL);
    char *own = resolved == NULL ? NULL : filch__alloc(strlen(resolved) + 1);
    if (own != NULL) strcpy(own, resolved);
    free(resolved);
    return own;
}

bool filch__directory_is_there(const char *path) {
    struct stat look;
    return stat(path, &look) == 0 && S_ISDIR(look.st_mode) && access(path, X_OK) == 0;
}
