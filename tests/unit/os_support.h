/* os_support.h: what the tests of the seam to the kernel ask about descriptors.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_OS_SUPPORT_H
#define FILCH_TESTS_OS_SUPPORT_H

#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

enum { FDS_LOOKED_AT = 1024 };

static inline bool fd_is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}
static inline bool fd_closes_on_exec(int fd) {
    int flags = fcntl(fd, F_GETFD);
    return flags >= 0 && (flags & FD_CLOEXEC) != 0;
}
/* How many are open. */
static inline int fds_open(void) {
    int n = 0;
    for (int fd = 0; fd < FDS_LOOKED_AT; fd++) n += fd_is_open(fd);
    return n;
}

#endif
