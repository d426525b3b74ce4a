/* os/socket.c: SOCK_SEQPACKET and SCM_RIGHTS. */
#include "os/socket.h"

#include "os/fault.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DESCRIPTORS = 8 };

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
};

int filch__socket_pair(int ends[2]) {
    if (filch__fault(FILCH__FAULT_FD)) return EMFILE;
    int made[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, made) != 0)
        return errno;
    ends[0] = filch__fd_raise(made[0]);
    ends[1] = filch__fd_raise(made[1]);
    if (ends[0] >= 0 && ends[1] >= 0) return 0;
    int error = errno;
    for (int i = 0; i < 2; i++) {
        filch__fd_close(ends[i]);
        ends[i] = -1;
    }
    return error;
}

int filch__socket_send(int fd, const void *packet, size_t size, const int *fds, int n) {
    struct iovec part = {(void *)(unsigned long)packet, size};
    union control control;
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (n > DESCRIPTORS) return EINVAL;
    if (filch__fault(FILCH__FAULT_SEND)) return ENOBUFS;
    if (n > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
        memcpy(CMSG_DATA(head), fds, (size_t)n * sizeof(int));
    }
    for (;;) {
        if (sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0) return 0;
        if (errno != EINTR) return errno;
    }
}

bool filch__socket_is_busy(int error) {
    return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

/* Descriptors that came: the first *n into fds, the rest closed. */
static void take_descriptors(struct msghdr *message, int *fds, int *n) {
    int room = *n;
    *n = 0;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL;
         head = CMSG_NXTHDR(message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
            if (*n >= room)
                close(fd);
            else if ((fd = filch__fd_raise(fd)) >= 0)
                fds[(*n)++] = fd;
        }
    }
}

long filch__socket_receive(int fd, void *packet, size_t size, int *fds, int *n) {
    struct iovec part = {packet, size};
    union control control;
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    long got;
    do {
        got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
        /* ECONNRESET: the other side has ended with packets of this one unread; said once, before those that it has
         * sent. */
    } while (got < 0 && (errno == EINTR || errno == ECONNRESET));
    if (got < 0) {
        if (n != NULL) *n = 0;
        return -errno;
    }
    int none = 0;
    take_descriptors(&message, fds, n != NULL ? n : &none);
    return got;
}

int filch__fd_raise(int fd) {
    if (fd < 0 || fd > STDERR_FILENO) return fd;
    int above = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    filch__fd_close(fd);
    return above;
}

void filch__fd_close(int fd) {
    int saved = errno;
    if (fd >= 0) close(fd);
    errno = saved;
}
