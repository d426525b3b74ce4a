/* os/bell.c: eventfd and ppoll. */
#include "os/bell.h"

#include "os/clock.h"
#include "os/fault.h"
#include "os/socket.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { DESCRIPTORS = 64 };

int filch__bell_create(void) {
    if (filch__fault(FILCH__FAULT_FD)) return -EMFILE;
    int fd = filch__fd_raise(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return fd >= 0 ? fd : -errno;
}

void filch__bell_ring(int fd) {
    uint64_t one = 1;
    int saved = errno;
    /* EAGAIN: it rings already, more often than anybody has counted. */
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) continue;
    errno = saved;
}

void filch__bell_clear(int fd) {
    uint64_t count;
    int saved = errno;
    while (read(fd, &count, sizeof count) < 0 && errno == EINTR) continue;
    errno = saved;
}

/* What is left until the deadline. */
static struct timespec rest_of(int64_t deadline) {
    int64_t rest = deadline <= 0 ? 0 : deadline - filch__now();
    if (rest < 0) rest = 0;
    return (struct timespec){(time_t)(rest / 1000000000), (long)(rest % 1000000000)};
}

bool filch__fds_wait(const int *fds, int n, bool *ready, int64_t deadline) {
    struct pollfd polled[DESCRIPTORS];
    assert(n <= DESCRIPTORS);
    for (int i = 0; i < n; i++) polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    int saved = errno, got;
    do {
        struct timespec rest = rest_of(deadline);
        got = ppoll(polled, (nfds_t)n, deadline == FILCH_FOREVER ? NULL : &rest, NULL);
    } while (got < 0 && errno == EINTR);
    errno = saved;
    for (int i = 0; i < n; i++) ready[i] = got > 0 && polled[i].revents != 0;
    return got > 0;
}
