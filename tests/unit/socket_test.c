/* socket_test.c: packets and descriptors between processes (runtime/os/socket.c), and what a full, closed or hostile other
 * side does.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "os/fault.h"
#include "os/socket.h"
#include "os_support.h"
#include "support.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(socket, .timeout = 20);

enum { MANY = 8, ROOM = 16 };

static void make_pair(int ends[2]) {
    cr_assert_eq(filch__socket_pair(ends), 0);
}
static void close_pair(const int ends[2]) {
    filch__fd_close(ends[0]);
    filch__fd_close(ends[1]);
}
static void send_text(int fd, const char *text) {
    cr_assert_eq(filch__socket_send(fd, text, strlen(text), NULL, 0), 0);
}
static void check_text(int fd, const char *text) {
    char got[64];
    long size = filch__socket_receive(fd, got, sizeof got, NULL, NULL);
    cr_assert_eq(size, (long)strlen(text), "%ld bytes, not \"%s\"", size, text);
    cr_assert_eq(memcmp(got, text, (size_t)size), 0);
}
static long receive_nothing(int fd) {
    char byte;
    return filch__socket_receive(fd, &byte, 1, NULL, NULL);
}
/* The same open file behind both? */
static bool is_same_file(int a, int b) {
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Packets --------------------------------------------------------------------------------------- */

Test(socket, packets_keep_their_borders) {
    int ends[2];
    char got[4];
    make_pair(ends);
    send_text(ends[0], "a");
    send_text(ends[0], "bcd");
    send_text(ends[0], "efghij");
    send_text(ends[0], "k");
    check_text(ends[1], "a");
    check_text(ends[1], "bcd");
    /* What does not fit is lost, but told, and the next packet is whole. */
    cr_assert_eq(filch__socket_receive(ends[1], got, sizeof got, NULL, NULL), 6);
    cr_assert_eq(memcmp(got, "efgh", 4), 0);
    check_text(ends[1], "k");
    close_pair(ends);
}

Test(socket, both_ways) {
    int ends[2];
    make_pair(ends);
    send_text(ends[0], "there");
    send_text(ends[1], "back");
    check_text(ends[0], "back");
    check_text(ends[1], "there");
    close_pair(ends);
}

Test(socket, nothing_is_there) {
    int ends[2];
    make_pair(ends);
    cr_assert_eq(receive_nothing(ends[0]), -EAGAIN);
    int fds[2] = {-7, -7}, n = 2;
    char byte;
    cr_assert_eq(filch__socket_receive(ends[0], &byte, 1, fds, &n), -EAGAIN);
    cr_assert_eq(n, 0);
    cr_assert_eq(fds[0], -7);
    close_pair(ends);
}

Test(socket, its_ends_are_closed_on_exec) {
    int ends[2];
    make_pair(ends);
    for (int i = 0; i < 2; i++) {
        cr_assert(fd_closes_on_exec(ends[i]));
        cr_assert_neq(fcntl(ends[i], F_GETFL) & O_NONBLOCK, 0);
    }
    close_pair(ends);
}

Test(socket, between_processes) {
    int ends[2];
    make_pair(ends);
    pid_t child = child_start();
    if (child == 0) {
        filch__fd_close(ends[0]);
        for (int i = 0; i < 10; i++)
            if (filch__socket_send(ends[1], &i, sizeof i, NULL, 0) != 0) _exit(1);
        _exit(0);
    }
    cr_assert_eq(child_finish(child), 0);
    filch__fd_close(ends[1]);
    for (int i = 0; i < 10; i++) {
        int got = -1;
        cr_assert_eq(filch__socket_receive(ends[0], &got, sizeof got, NULL, NULL), sizeof got);
        cr_assert_eq(got, i);
    }
    cr_assert_eq(receive_nothing(ends[0]), 0);
    filch__fd_close(ends[0]);
}

/* Full and closed ------------------------------------------------------------------------------- */

Test(socket, a_full_one_takes_no_more) {
    int ends[2], error = 0;
    uint32_t sent = 0;
    make_pair(ends);
    while (sent < 1000000 &&
           (error = filch__socket_send(ends[0], &sent, sizeof sent, NULL, 0)) == 0)
        sent++;
    cr_assert_eq(error, EAGAIN, "after %u packets", sent);
    cr_assert_gt(sent, 1);
    /* None of those that it has taken is lost. */
    for (uint32_t i = 0; i < sent; i++) {
        uint32_t got = 0;
        cr_assert_eq(filch__socket_receive(ends[1], &got, sizeof got, NULL, NULL), sizeof got);
        cr_assert_eq(got, i);
    }
    cr_assert_eq(receive_nothing(ends[1]), -EAGAIN);
    send_text(ends[0], "again");
    check_text(ends[1], "again");
    close_pair(ends);
}

/* Nor do descriptors that do not go stay open somewhere. */
Test(socket, a_full_one_takes_no_descriptor) {
    int ends[2], kept[2];
    make_pair(ends);
    cr_assert_eq(pipe(kept), 0);
    while (filch__socket_send(ends[0], "x", 1, NULL, 0) == 0) continue;
    cr_assert_eq(filch__socket_send(ends[0], "x", 1, &kept[1], 1), EAGAIN);
    filch__fd_close(kept[1]);
    char byte;
    cr_assert_eq(read(kept[0], &byte, 1), 0, "another write end is open");
    filch__fd_close(kept[0]);
    close_pair(ends);
}

/* Nothing is sent then, and it can be tried again. */
Test(socket, no_memory_for_a_packet) {
    int ends[2];
    make_pair(ends);
    filch__fault_plan(FILCH__FAULT_SEND, 0, false);
    int error = filch__socket_send(ends[0], "x", 1, NULL, 0);
    cr_assert_eq(filch__fault_clear(), 1);
    cr_assert(error != 0 && filch__socket_is_busy(error));
    cr_assert_eq(receive_nothing(ends[1]), -EAGAIN);
    cr_assert(filch__socket_is_busy(EAGAIN) && filch__socket_is_busy(ENOMEM));
    cr_assert_not(filch__socket_is_busy(0) || filch__socket_is_busy(EPIPE));
    close_pair(ends);
}

Test(socket, the_end_of_the_other_side) {
    int ends[2];
    make_pair(ends);
    send_text(ends[0], "last");
    filch__fd_close(ends[0]);
    check_text(ends[1], "last");
    cr_assert_eq(receive_nothing(ends[1]), 0);
    cr_assert_eq(receive_nothing(ends[1]), 0);
    filch__fd_close(ends[1]);
}

/* The kernel says ECONNRESET then. */
Test(socket, the_end_of_one_that_has_not_read_all) {
    int ends[2];
    make_pair(ends);
    send_text(ends[1], "unread");
    filch__fd_close(ends[0]);
    cr_assert_eq(receive_nothing(ends[1]), 0);
    filch__fd_close(ends[1]);
}

static volatile sig_atomic_t signals;
static void count_signal(int number) {
    (void)number;
    signals++;
}

Test(socket, no_signal_when_the_other_side_is_closed) {
    int ends[2];
    signal(SIGPIPE, count_signal);
    make_pair(ends);
    filch__fd_close(ends[0]);
    cr_assert_eq(filch__socket_send(ends[1], "x", 1, NULL, 0), EPIPE);
    cr_assert_eq(signals, 0);
    filch__fd_close(ends[1]);
}

Test(socket, what_is_no_socket) {
    int ends[2];
    cr_assert_eq(filch__socket_send(-1, "x", 1, NULL, 0), EBADF);
    cr_assert_eq(receive_nothing(-1), -EBADF);
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(filch__socket_send(ends[1], "x", 1, NULL, 0), ENOTSOCK);
    close_pair(ends);
}

/* Descriptors ----------------------------------------------------------------------------------- */

static void make_files(int fds[MANY]) {
    for (int i = 0; i < MANY; i += 2) cr_assert_eq(pipe(&fds[i]), 0);
}
static void close_all(const int *fds, int n) {
    for (int i = 0; i < n; i++) filch__fd_close(fds[i]);
}

Test(socket, descriptors_travel) {
    int ends[2], files[MANY], before = fds_open();
    make_pair(ends);
    make_files(files);
    for (int n = 1; n <= MANY; n++) {
        int got[ROOM], room = ROOM;
        char byte = 0;
        cr_assert_eq(filch__socket_send(ends[0], "x", 1, files, n), 0);
        cr_assert_eq(filch__socket_receive(ends[1], &byte, 1, got, &room), 1);
        cr_assert_eq(byte, 'x');
        cr_assert_eq(room, n);
        for (int i = 0; i < n; i++) {
            cr_assert_neq(got[i], files[i]);
            cr_assert(is_same_file(got[i], files[i]));
            cr_assert(fd_closes_on_exec(got[i]));
        }
        close_all(got, n);
    }
    close_all(files, MANY);
    close_pair(ends);
    cr_assert_eq(fds_open(), before);
}

Test(socket, more_descriptors_than_a_packet_takes) {
    int ends[2], fds[9];
    char got[4];
    make_pair(ends);
    for (int i = 0; i < 9; i++) fds[i] = ends[0];
    cr_assert_eq(filch__socket_send(ends[0], "a", 1, fds, 9), EINVAL);
    cr_assert_eq(filch__socket_receive(ends[1], got, sizeof got, NULL, NULL), -EAGAIN);
    close_pair(ends);
}

/* Each comes with its own packet. */
Test(socket, descriptors_keep_to_their_packets) {
    int ends[2], files[MANY], before = fds_open();
    make_pair(ends);
    make_files(files);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(filch__socket_send(ends[0], "x", 1, &files[2 * i], 2), 0);
        send_text(ends[0], "y");
    }
    for (int i = 0; i < 3; i++) {
        int got[ROOM], n = ROOM;
        char byte;
        cr_assert_eq(filch__socket_receive(ends[1], &byte, 1, got, &n), 1);
        cr_assert_eq(n, 2);
        cr_assert(is_same_file(got[0], files[2 * i]));
        cr_assert(is_same_file(got[1], files[2 * i + 1]));
        close_all(got, n);
        n = ROOM;
        cr_assert_eq(filch__socket_receive(ends[1], &byte, 1, got, &n), 1);
        cr_assert_eq(n, 0);
    }
    close_all(files, MANY);
    close_pair(ends);
    cr_assert_eq(fds_open(), before);
}

Test(socket, those_without_room_are_closed) {
    int ends[2], files[MANY];
    make_pair(ends);
    make_files(files);
    int before = fds_open();
    for (int room = 0; room < MANY; room++) {
        int got[MANY], n = room;
        char byte;
        cr_assert_eq(filch__socket_send(ends[0], "x", 1, files, MANY), 0);
        cr_assert_eq(filch__socket_receive(ends[1], &byte, 1, got, &n), 1);
        cr_assert_eq(n, room);
        cr_assert_eq(fds_open(), before + room);
        for (int i = 0; i < room; i++) cr_assert(is_same_file(got[i], files[i]));
        close_all(got, n);
    }
    close_all(files, MANY);
    close_pair(ends);
}

Test(socket, nobody_has_asked_for_descriptors) {
    int ends[2], files[MANY];
    make_pair(ends);
    make_files(files);
    int before = fds_open();
    cr_assert_eq(filch__socket_send(ends[0], "x", 1, files, MANY), 0);
    check_text(ends[1], "x");
    cr_assert_eq(fds_open(), before);
    close_all(files, MANY);
    close_pair(ends);
}

/* Who breaks the rule that 8 are the most gets only himself into trouble. */
Test(socket, a_hostile_sender) {
    enum { HOSTILE = 100 };
    int ends[2], files[2], many[HOSTILE];
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof many)];
    } control;
    make_pair(ends);
    cr_assert_eq(pipe(files), 0);
    for (int i = 0; i < HOSTILE; i++) many[i] = files[1];
    struct iovec part = {(char[]){"x"}, 1};
    memset(&control, 0, sizeof control);
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(sizeof many);
    memcpy(CMSG_DATA(&control.head), many, sizeof many);
    for (int room = 0; room <= 4; room += 4) {
        int got[MANY], n = room, before = fds_open();
        char byte;
        cr_assert_eq(sendmsg(ends[0], &message, 0), 1);
        cr_assert_eq(filch__socket_receive(ends[1], &byte, 1, got, &n), 1);
        cr_assert_eq(n, room);
        cr_assert_eq(fds_open(), before + room);
        close_all(got, n);
    }
    close_pair(files);
    close_pair(ends);
}

/* The packet comes, with those for which there was a number. */
Test(socket, the_receiver_can_open_no_more) {
    int ends[2], files[MANY];
    make_pair(ends);
    make_files(files);
    int highest = fcntl(ends[0], F_DUPFD, 0), before = fds_open() - 1;
    close(highest);
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t most = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)highest + 3;
    cr_assert_eq(filch__socket_send(ends[0], "x", 1, files, MANY), 0);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int got[MANY], n = MANY;
    char byte = 0;
    cr_assert_eq(filch__socket_receive(ends[1], &byte, 1, got, &n), 1);
    limit.rlim_cur = most;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(byte, 'x');
    cr_assert_lt(n, MANY);
    cr_assert_eq(fds_open(), before + n);
    for (int i = 0; i < n; i++) cr_assert(is_same_file(got[i], files[i]));
    close_all(got, n);
    close_all(files, MANY);
    close_pair(ends);
}

Test(socket, no_descriptor_for_a_pair) {
    int ends[2] = {-7, -7}, before = fds_open();
    filch__fault_plan(FILCH__FAULT_FD, 0, false);
    cr_assert_eq(filch__socket_pair(ends), EMFILE);
    cr_assert_eq(filch__fault_clear(), 1);
    cr_assert_eq(ends[0], -7);
    cr_assert_eq(fds_open(), before);
}

Test(socket, closing_keeps_errno) {
    errno = 77;
    filch__fd_close(-1);
    cr_assert_eq(errno, 77);
    filch__fd_close(FDS_LOOKED_AT); /* EBADF */
    cr_assert_eq(errno, 77);
    int fd = dup(1);
    filch__fd_close(fd);
    cr_assert_not(fd_is_open(fd));
}
