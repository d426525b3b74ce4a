/* bell_test.c: sleeping on descriptors until another thread or process rings (runtime/os/bell.c).
 *
 * Nothing is measured: that a sleeper sleeps is seen by the order of what it and the ringer write.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "os/bell.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/socket.h"
#include "os_support.h"
#include "support.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <filch/time.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

TestSuite(bell, .timeout = 20);

enum { MOST = 64 };

static int make_bell(void) {
    int bell = filch__bell_create();
    cr_assert_geq(bell, 0);
    return bell;
}
static bool is_ringing(int bell) {
    bool ready = true, any = filch__fds_wait(&bell, 1, &ready, 0);
    cr_assert_eq(any, ready);
    return ready;
}
static void give_time(void) {
    for (int i = 0; i < 50; i++) sched_yield();
    nanosleep(&(struct timespec){0, 2000000}, NULL);
}

/* Ringing --------------------------------------------------------------------------------------- */

Test(bell, it_does_not_ring_at_first) {
    int bell = make_bell();
    cr_assert_not(is_ringing(bell));
    filch__bell_clear(bell); /* does not block */
    cr_assert_not(is_ringing(bell));
    close(bell);
}

Test(bell, a_ring_before_the_sleep_is_not_lost) {
    int bell = make_bell();
    bool ready = false;
    filch__bell_ring(bell);
    cr_assert(filch__fds_wait(&bell, 1, &ready, FILCH_FOREVER));
    cr_assert(ready);
    /* Until it is taken back. */
    ready = false;
    cr_assert(filch__fds_wait(&bell, 1, &ready, FILCH_FOREVER));
    cr_assert(ready);
    filch__bell_clear(bell);
    cr_assert_not(is_ringing(bell));
    close(bell);
}

Test(bell, one_clear_takes_all_rings) {
    int bell = make_bell();
    for (int i = 0; i < 1000; i++) filch__bell_ring(bell);
    filch__bell_clear(bell);
    cr_assert_not(is_ringing(bell));
    filch__bell_ring(bell);
    cr_assert(is_ringing(bell));
    close(bell);
}

/* The counter of the kernel is at its end: the ringer is not held up, and errno is what it was. */
Test(bell, more_rings_than_can_be_counted) {
    int bell = make_bell();
    uint64_t most = UINT64_MAX - 1;
    cr_assert_eq(write(bell, &most, sizeof most), (ssize_t)sizeof most);
    errno = 77;
    filch__bell_ring(bell);
    cr_assert_eq(errno, 77);
    cr_assert(is_ringing(bell));
    filch__bell_clear(bell);
    filch__bell_clear(bell);
    cr_assert_eq(errno, 77);
    cr_assert_not(is_ringing(bell));
    close(bell);
}

struct sleeper {
    int there, back;
    uint32_t turn; /* plain: ringing puts the two in order */
};

static void answer(void *argument) {
    struct sleeper *s = argument;
    for (uint32_t i = 0; i < 200; i++) {
        bool ready = false;
        while (!filch__fds_wait(&s->there, 1, &ready, FILCH_FOREVER)) continue;
        filch__bell_clear(s->there);
        s->turn++;
        filch__bell_ring(s->back);
    }
}

Test(bell, two_threads_wake_each_other) {
    struct sleeper s = {make_bell(), make_bell(), 0};
    pthread_t thread = thread_start(answer, &s);
    for (uint32_t i = 0; i < 200; i++) {
        bool ready = false;
        cr_assert_eq(s.turn, 2 * i);
        s.turn++;
        filch__bell_ring(s.there);
        cr_assert(filch__fds_wait(&s.back, 1, &ready, filch__now() + FILCH_SECONDS(20)));
        cr_assert(ready);
        filch__bell_clear(s.back);
    }
    thread_finish(thread);
    close(s.there);
    close(s.back);
}

Test(bell, from_another_process) {
    int there = make_bell(), back = make_bell();
    pid_t child = child_start();
    if (child == 0) {
        bool ready;
        for (int i = 0; i < 100; i++) {
            if (!filch__fds_wait(&there, 1, &ready, FILCH_FOREVER)) _exit(1);
            filch__bell_clear(there);
            filch__bell_ring(back);
        }
        _exit(0);
    }
    for (int i = 0; i < 100; i++) {
        bool ready = false;
        filch__bell_ring(there);
        cr_assert(filch__fds_wait(&back, 1, &ready, filch__now() + FILCH_SECONDS(20)));
        filch__bell_clear(back);
    }
    cr_assert_eq(child_finish(child), 0);
    cr_assert_not(is_ringing(back));
    close(there);
    close(back);
}

/* The deadline ---------------------------------------------------------------------------------- */

Test(bell, a_deadline_in_the_past_polls) {
    static const int64_t past[] = {1, 0, -1, INT64_MIN};
    int bell = make_bell();
    for (size_t i = 0; i < sizeof past / sizeof *past; i++) {
        bool ready = true;
        errno = 77;
        cr_assert_not(filch__fds_wait(&bell, 1, &ready, past[i]));
        cr_assert_not(ready);
        filch__bell_ring(bell);
        cr_assert(filch__fds_wait(&bell, 1, &ready, past[i]));
        cr_assert(ready);
        filch__bell_clear(bell);
        cr_assert_eq(errno, 77);
    }
    close(bell);
}

Test(bell, it_does_not_end_before_the_deadline) {
    int bell = make_bell();
    for (int i = 0; i < 20; i++) {
        bool ready = true;
        int64_t deadline = filch__now() + 100000 * i;
        cr_assert_not(filch__fds_wait(&bell, 1, &ready, deadline));
        cr_assert_geq(filch__now(), deadline);
        cr_assert_not(ready);
    }
    close(bell);
}

Test(bell, nothing_to_wait_for_but_the_deadline) {
    int64_t deadline = filch__now() + FILCH_MILLISECONDS(2);
    cr_assert_not(filch__fds_wait(NULL, 0, NULL, deadline));
    cr_assert_geq(filch__now(), deadline);
}

static volatile sig_atomic_t signals;
static void count_signal(int number) {
    (void)number;
    signals++;
}

/* Without SA_RESTART, as a program may have it. */
Test(bell, signals_do_not_end_it) {
    struct sigaction action = {.sa_handler = count_signal};
    struct itimerval timer = {{0, 1000}, {0, 1000}}, none = {{0, 0}, {0, 0}};
    int bell = make_bell();
    bool ready = true;
    cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
    cr_assert_eq(setitimer(ITIMER_REAL, &timer, NULL), 0);
    int64_t deadline = filch__now() + FILCH_MILLISECONDS(30);
    errno = 77;
    while (signals < 3) {
        cr_assert_not(filch__fds_wait(&bell, 1, &ready, deadline));
        cr_assert_geq(filch__now(), deadline);
        deadline = filch__now() + FILCH_MILLISECONDS(30);
    }
    cr_assert_eq(errno, 77);
    cr_assert_eq(setitimer(ITIMER_REAL, &none, NULL), 0);
    close(bell);
}

/* Several --------------------------------------------------------------------------------------- */

Test(bell, which_one_is_ready) {
    int bells[MOST];
    bool ready[MOST];
    for (int i = 0; i < MOST; i++) bells[i] = make_bell();
    for (int i = 0; i < MOST; i++) {
        int other = (i * 7 + 3) % MOST;
        filch__bell_ring(bells[i]);
        filch__bell_ring(bells[other]);
        cr_assert(filch__fds_wait(bells, MOST, ready, FILCH_FOREVER));
        for (int k = 0; k < MOST; k++) cr_assert_eq(ready[k], k == i || k == other, "bell %d", k);
        filch__bell_clear(bells[i]);
        filch__bell_clear(bells[other]);
    }
    cr_assert_not(filch__fds_wait(bells, MOST, ready, 0));
    for (int k = 0; k < MOST; k++) cr_assert_not(ready[k]);
    for (int i = 0; i < MOST; i++) close(bells[i]);
}

Test(bell, one_that_is_left_out) {
    int bells[3] = {-1, make_bell(), -1};
    bool ready[3] = {true, true, true};
    cr_assert_not(filch__fds_wait(bells, 3, ready, 0));
    cr_assert_not(ready[0] || ready[1] || ready[2]);
    filch__bell_ring(bells[1]);
    cr_assert(filch__fds_wait(bells, 3, ready, FILCH_FOREVER));
    cr_assert(!ready[0] && ready[1] && !ready[2]);
    close(bells[1]);
}

static void ring_late(void *argument) {
    give_time();
    filch__bell_ring(*(int *)argument);
}

Test(bell, one_of_several_wakes_a_sleeper) {
    int bells[3] = {make_bell(), make_bell(), make_bell()};
    for (int i = 0; i < 3; i++) {
        bool ready[3] = {true, true, true};
        pthread_t thread = thread_start(ring_late, &bells[i]);
        cr_assert(filch__fds_wait(bells, 3, ready, FILCH_FOREVER));
        thread_finish(thread);
        for (int k = 0; k < 3; k++) cr_assert_eq(ready[k], k == i);
        filch__bell_clear(bells[i]);
    }
    for (int i = 0; i < 3; i++) close(bells[i]);
}

/* Closed: a socket whose other side is, and a number that is no descriptor. */
Test(bell, what_is_closed_is_ready) {
    int ends[2], bell = make_bell();
    cr_assert_eq(filch__socket_pair(ends), 0);
    int fds[2] = {bell, ends[0]};
    bool ready[2];
    cr_assert_not(filch__fds_wait(fds, 2, ready, 0));
    close(ends[1]);
    cr_assert(filch__fds_wait(fds, 2, ready, FILCH_FOREVER));
    cr_assert(!ready[0] && ready[1]);
    close(ends[0]);
    cr_assert(filch__fds_wait(fds, 2, ready, FILCH_FOREVER));
    cr_assert(!ready[0] && ready[1]);
    close(bell);
}

/* The kernel, not the process that dies, closes its side. */
Test(bell, the_death_of_the_other_side_wakes) {
    int ends[2];
    bool ready = false;
    cr_assert_eq(filch__socket_pair(ends), 0);
    pid_t child = child_start();
    if (child == 0) {
        close(ends[0]);
        give_time();
        raise(SIGKILL);
    }
    close(ends[1]);
    cr_assert(filch__fds_wait(&ends[0], 1, &ready, FILCH_FOREVER));
    cr_assert(ready);
    cr_assert_eq(child_finish(child), -SIGKILL);
    close(ends[0]);
}

/* Creating -------------------------------------------------------------------------------------- */

Test(bell, it_is_closed_on_exec) {
    int bell = make_bell();
    cr_assert(fd_closes_on_exec(bell));
    close(bell);
}

Test(bell, no_descriptor) {
    int before = fds_open();
    filch__fault_plan(FILCH__FAULT_FD, 0, false);
    cr_assert_eq(filch__bell_create(), -EMFILE);
    cr_assert_eq(filch__fault_clear(), 1);
    cr_assert_eq(fds_open(), before);
}
