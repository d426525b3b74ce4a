/* shm_test.c: memory that processes share (runtime/os/shm.c): its size, its mappings, and what is left behind when it
 * cannot be had.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "os/fault.h"
#include "os/memory.h"
#include "os/shm.h"
#include "os_support.h"
#include "support.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

TestSuite(shm, .timeout = 20);

enum { PAGE = 4096, SIZE = 16 * PAGE };

static int file_of(size_t size) {
    int fd = -1;
    cr_assert_eq(filch__shm_create("test", size, &fd), 0);
    cr_assert_geq(fd, 0);
    return fd;
}
static char *mapped(int fd, size_t offset, size_t size, bool writable, void *at) {
    char *start = filch__shm_map(fd, offset, size, writable, at);
    cr_assert_not_null(start, "%s", strerror(errno));
    if (at != NULL) cr_assert_eq(start, at);
    return start;
}

/* Size ------------------------------------------------------------------------------------------ */

Test(shm, its_memory_is_all_there) {
    static const size_t sizes[] = {PAGE, SIZE, (size_t)20 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int fd = file_of(sizes[i]);
        struct stat status;
        cr_assert_eq(filch__shm_size(fd), sizes[i]);
        cr_assert_eq(fstat(fd, &status), 0);
        cr_assert_geq((size_t)status.st_blocks * 512, sizes[i], "not reserved");
        cr_assert(fd_closes_on_exec(fd));
        close(fd);
    }
}

Test(shm, it_begins_with_zeros) {
    int fd = file_of(SIZE);
    char *bytes = mapped(fd, 0, SIZE, false, NULL);
    for (int i = 0; i < SIZE; i++) cr_assert_eq(bytes[i], 0);
    filch__unmap(bytes, SIZE);
    close(fd);
}

Test(shm, the_size_of_what_is_no_file) {
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(filch__shm_size(ends[0]), 0);
    close(ends[0]);
    close(ends[1]);
    cr_assert_eq(filch__shm_size(ends[0]), 0);
    cr_assert_eq(filch__shm_size(-1), 0);
}

Test(shm, more_than_there_is) {
    int fd = -7, before = fds_open();
    cr_assert_eq(filch__shm_create("test", (size_t)1 << 50, &fd), ENOMEM);
    cr_assert_eq(fd, -7);
    cr_assert_eq(fds_open(), before);
}

/* Whoever has it can make no access of another fail. */
Test(shm, its_size_stays) {
    int fd = file_of(SIZE);
    cr_assert_eq(ftruncate(fd, 0), -1);
    cr_assert_eq(errno, EPERM);
    cr_assert_eq(ftruncate(fd, 2 * SIZE), -1);
    cr_assert_eq(errno, EPERM);
    cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
    cr_assert_eq(filch__shm_size(fd), SIZE);
    close(fd);
}

/* The kernel would send a signal that ends the program. */
Test(shm, beyond_the_limit_of_a_file) {
    struct rlimit limit;
    sigset_t before, after, pending;
    int fd = -7, open_before = fds_open();
    sigprocmask(SIG_BLOCK, NULL, &before);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = SIZE;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(filch__shm_create("test", 2 * SIZE, &fd), EFBIG);
    cr_assert_eq(fd, -7);
    cr_assert_eq(fds_open(), open_before);
    sigpending(&pending);
    cr_assert_eq(sigismember(&pending, SIGXFSZ), 0);
    sigprocmask(SIG_BLOCK, NULL, &after);
    for (int i = 1; i < SIGRTMIN; i++)
        cr_assert_eq(sigismember(&before, i), sigismember(&after, i), "signal %d", i);
}

static volatile sig_atomic_t ticks;
static void count_tick(int number) {
    (void)number;
    ticks++;
}

/* A timer that is quicker than the kernel, which gives up when a signal comes. */
Test(shm, under_a_quick_timer) {
    static const struct itimerval often = {{0, 50}, {0, 50}}, never;
    signal(SIGALRM, count_tick);
    cr_assert_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (int i = 0; i < 5 || ticks == 0; i++) close(file_of((size_t)8 << 20));
    cr_assert_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
}

/* Mappings -------------------------------------------------------------------------------------- */

/* Killed by SIGSEGV: the child, whose sanitizer is not asked. */
static void check_segfault(volatile char *byte, bool write) {
    pid_t child = child_start();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        if (write)
            *byte = 1;
        else
            (void)*byte;
        _exit(0);
    }
    cr_assert_eq(child_finish(child), -SIGSEGV);
}

Test(shm, a_process_that_may_only_read) {
    int fd = file_of(SIZE);
    char *writable = mapped(fd, 0, SIZE, true, NULL), *readable = mapped(fd, 0, SIZE, false, NULL);
    cr_assert_neq(writable, readable);
    strcpy(writable + PAGE, "abc");
    cr_assert_str_eq(readable + PAGE, "abc");
    check_segfault(readable + PAGE, true);
    check_segfault(readable, true);
    cr_assert_str_eq(readable + PAGE, "abc");
    filch__unmap(writable, SIZE);
    filch__unmap(readable, SIZE);
    close(fd);
}

Test(shm, processes_see_the_same_bytes) {
    int fd = file_of(SIZE);
    char *bytes = mapped(fd, 0, SIZE, true, NULL);
    pid_t child = child_start();
    if (child == 0) {
        char *own = filch__shm_map(fd, 0, SIZE, true, NULL);
        if (own == NULL || own == bytes) _exit(1);
        memset(own, 'x', SIZE);
        _exit(0);
    }
    cr_assert_eq(child_finish(child), 0);
    for (int i = 0; i < SIZE; i++) cr_assert_eq(bytes[i], 'x');
    filch__unmap(bytes, SIZE);
    close(fd);
}

Test(shm, from_an_offset) {
    int fd = file_of(SIZE);
    char *whole = mapped(fd, 0, SIZE, true, NULL), *part = mapped(fd, 3 * PAGE, PAGE, true, NULL);
    strcpy(part, "part");
    cr_assert_str_eq(whole + 3 * PAGE, "part");
    filch__unmap(whole, SIZE);
    cr_assert_str_eq(part, "part");
    filch__unmap(part, PAGE);
    close(fd);
}

/* The compiler takes bytes at two addresses for two bytes. */
static void forget(void) {
    __asm__ volatile("" ::: "memory");
}

/* As a ring buffer has it: what is written over the end is at the beginning. */
Test(shm, twice_in_a_row) {
    long blocks = filch__fault_live_blocks();
    int fd = file_of(SIZE);
    char *start = filch__shm_reserve(2 * SIZE);
    cr_assert_not_null(start);
    mapped(fd, 0, SIZE, true, start);
    mapped(fd, 0, SIZE, true, start + SIZE);
    close(fd);
    for (int i = 0; i < SIZE; i++) start[i] = (char)(i % 251);
    forget();
    cr_assert_eq(memcmp(start, start + SIZE, SIZE), 0);
    memcpy(start + SIZE - 3, "abcdef", 6);
    forget();
    cr_assert_eq(memcmp(start, "def", 3), 0);
    cr_assert_eq(memcmp(start + 2 * SIZE - 3, "abc", 3), 0);
    filch__unmap(start, 2 * SIZE);
    cr_assert_eq(filch__fault_live_blocks(), blocks);
}

Test(shm, what_is_only_reserved_cannot_be_touched) {
    int fd = file_of(PAGE);
    char *start = filch__shm_reserve(3 * PAGE);
    cr_assert_not_null(start);
    mapped(fd, 0, PAGE, true, start + PAGE);
    start[PAGE] = start[2 * PAGE - 1] = 1;
    check_segfault(start + PAGE - 1, false);
    check_segfault(start + 2 * PAGE, false);
    filch__unmap(start, 3 * PAGE);
    close(fd);
}

/* Address space costs nothing: more than there is memory. */
Test(shm, a_large_reservation) {
#if defined(TEST_SANITIZE_THREAD)
    size_t size = (size_t)1 << 32; /* its shadow leaves less room */
#else
    size_t size = (size_t)1 << 40;
#endif
    char *start = filch__shm_reserve(size);
    cr_assert_not_null(start);
    filch__unmap(start, size);
}

/* Failures -------------------------------------------------------------------------------------- */

Test(shm, no_descriptor) {
    int fd = -7, before = fds_open();
    filch__fault_plan(FILCH__FAULT_FD, 0, false);
    cr_assert_eq(filch__shm_create("test", SIZE, &fd), EMFILE);
    cr_assert_eq(filch__fault_clear(), 1);
    cr_assert_eq(fd, -7);
    cr_assert_eq(fds_open(), before);
}

Test(shm, no_memory_for_the_file) {
    int fd = -7, before = fds_open();
    filch__fault_plan(FILCH__FAULT_MAP, 0, false);
    cr_assert_eq(filch__shm_create("test", SIZE, &fd), ENOSPC);
    cr_assert_eq(filch__fault_clear(), 1);
    cr_assert_eq(fd, -7);
    cr_assert_eq(fds_open(), before);
}

Test(shm, no_address_space) {
    int fd = file_of(SIZE);
    long blocks = filch__fault_live_blocks();
    filch__fault_plan(FILCH__FAULT_MAP, 0, true);
    errno = 0;
    cr_assert_null(filch__shm_map(fd, 0, SIZE, true, NULL));
    cr_assert_eq(errno, ENOMEM);
    cr_assert_null(filch__shm_reserve(SIZE));
    cr_assert_eq(filch__fault_clear(), 2);
    cr_assert_eq(filch__fault_live_blocks(), blocks);
    cr_assert_null(filch__shm_reserve((size_t)1 << 62));
    cr_assert_eq(filch__fault_live_blocks(), blocks);
    close(fd);
}

Test(shm, a_mapping_of_no_file) {
    long blocks = filch__fault_live_blocks();
    errno = 0;
    cr_assert_null(filch__shm_map(-1, 0, SIZE, true, NULL));
    cr_assert_eq(errno, EBADF);
    cr_assert_eq(filch__fault_live_blocks(), blocks);
}

/* A mapping over a reservation that fails leaves the reservation. */
Test(shm, no_mapping_at_a_place) {
    int fd = file_of(PAGE);
    long blocks = filch__fault_live_blocks();
    char *start = filch__shm_reserve(2 * PAGE);
    cr_assert_not_null(start);
    filch__fault_plan(FILCH__FAULT_MAP, 0, false);
    cr_assert_null(filch__shm_map(fd, 0, PAGE, true, start));
    filch__fault_clear();
    cr_assert_eq(filch__fault_live_blocks(), blocks + 1);
    mapped(fd, 0, PAGE, true, start);
    start[0] = 1;
    filch__unmap(start, 2 * PAGE);
    cr_assert_eq(filch__fault_live_blocks(), blocks);
    close(fd);
}
