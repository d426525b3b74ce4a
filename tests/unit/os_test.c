/* os_test.c: the seam to the kernel (runtime/os/): futexes, parking, time, CPUs, threads, memory.
 *
 * Nothing is measured. That a thread still sleeps cannot be seen: such tests give it time to do the
 * wrong thing, and pass at once if it does not.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "base/atomics.h"
#include "os/clock.h"
#include "os/cpus.h"
#include "os/fault.h"
#include "os/futex.h"
#include "os/memory.h"
#include "os/park.h"
#include "os/spin.h"
#include "os/thread.h"
#include "support.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

TestSuite(futex, .timeout = 20);
TestSuite(park, .timeout = 20);
TestSuite(os_clock, .timeout = 20);
TestSuite(cpus, .timeout = 20);
TestSuite(os_thread, .timeout = 20);
TestSuite(spin, .timeout = 20);
TestSuite(os_memory, .timeout = 20);

static void give_time(void) {
    for (int i = 0; i < 50; i++) sched_yield();
    nanosleep(&(struct timespec){0, 2000000}, NULL);
}

/* Futex ---------------------------------------------------------------------------------------- */

Test(futex, other_value_returns_at_once) {
    uint32_t word = 5;
    cr_assert(filch__futex_wait(&word, 4, FILCH_FOREVER));
    cr_assert(filch__futex_wait(&word, 4, filch__now() + FILCH_SECONDS(1000)));
}

Test(futex, deadline_in_the_past_is_over) {
    static const int64_t past[] = {1, 0, -1, -1000000001, INT64_MIN};
    uint32_t word = 5;
    for (size_t i = 0; i < sizeof past / sizeof *past; i++) {
        errno = 77;
        cr_assert_not(filch__futex_wait(&word, 5, past[i]), "deadline %lld", (long long)past[i]);
        cr_assert_eq(errno, 77);
    }
    cr_assert_not(filch__futex_wait(&word, 5, filch__now() - 1));
}

Test(futex, says_false_only_when_the_time_is_over) {
    uint32_t word = 5;
    for (int64_t timeout = 1; timeout <= 4000000; timeout = timeout * 7 + 3) {
        int64_t deadline = filch__now() + timeout;
        while (filch__futex_wait(&word, 5, deadline)) continue;
        cr_assert_geq(filch__now(), deadline);
    }
}

/* A deadline is a point of time, so that waits which are begun again do not add up. */
Test(futex, deadline_on_a_full_second_is_normalised) {
    uint32_t word = 5;
    int64_t deadline = filch__now() / 1000000000 * 1000000000;
    cr_assert_not(filch__futex_wait(&word, 5, deadline));
    cr_assert_not(filch__futex_wait(&word, 5, deadline - 1));
    cr_assert_not(filch__futex_wait(&word, 5, deadline + 1 - 1000000000));
}

struct sleeper {
    uint32_t word;
    int64_t deadline;
    uint32_t waits, over, woken;
};

static void sleep_on_word(void *context) {
    struct sleeper *s = context;
    while (load_acquire(&s->word) == 0) {
        fetch_add_relaxed(&s->waits, 1u);
        if (!filch__futex_wait(&s->word, 0, s->deadline)) {
            s->over = 1;
            break;
        }
    }
    store_release(&s->woken, 1u);
}

static void check_wake(int64_t deadline) {
    struct sleeper s = {.deadline = deadline};
    pthread_t thread = thread_start(sleep_on_word, &s);
    give_time();
    cr_assert_eq(load_acquire(&s.woken), 0, "it sleeps until it is woken");
    store_release(&s.word, 1u);
    errno = 77;
    filch__futex_wake(&s.word, 1);
    cr_assert_eq(errno, 77);
    thread_finish(thread);
    cr_assert_eq(s.over, 0);
}

Test(futex, wake_ends_a_wait_without_end) {
    check_wake(FILCH_FOREVER);
}

Test(futex, huge_deadlines_do_not_overflow) {
    check_wake(FILCH_FOREVER - 1);
    check_wake(INT64_C(1) << 62);
}

Test(futex, wakes_all) {
    struct sleeper s = {.deadline = FILCH_FOREVER};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) threads[i] = thread_start(sleep_on_word, &s);
    while (load_acquire(&s.waits) < 4) sched_yield();
    store_release(&s.word, 1u);
    filch__futex_wake(&s.word, 1 << 30);
    for (int i = 0; i < 4; i++) thread_finish(threads[i]);
    cr_assert_eq(s.over, 0);
}

Test(futex, wake_of_nobody_is_harmless) {
    uint32_t word = 3;
    filch__futex_wake(&word, 1);
    cr_assert_eq(word, 3);
    cr_assert_not(filch__futex_wait(&word, 3, filch__now()), "a wake-up is not kept for later");
}

static void ignore_signal(int number) {
    (void)number;
}

static void catch_signals(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = ignore_signal;
    sigaction(SIGUSR1, &action, NULL);
}

/* EINTR is one of the returns without a reason. */
Test(futex, signals_do_not_end_a_loop) {
    struct sleeper s = {.deadline = FILCH_FOREVER};
    catch_signals();
    pthread_t thread = thread_start(sleep_on_word, &s);
    /* Each signal makes the loop begin another wait. */
    while (load_acquire(&s.waits) < 4) {
        pthread_kill(thread, SIGUSR1);
        sched_yield();
    }
    cr_assert_eq(load_acquire(&s.woken), 0);
    store_release(&s.word, 1u);
    filch__futex_wake(&s.word, 1);
    thread_finish(thread);
    cr_assert_eq(s.over, 0);
}

Test(futex, spurious_return_is_true) {
    uint32_t word = 5;
    filch__fault_plan(FILCH__FAULT_FUTEX, 0, true);
    cr_assert(filch__futex_wait(&word, 5, FILCH_FOREVER));
    cr_assert(filch__futex_wait(&word, 5, 0));
    cr_assert_eq(filch__fault_clear(), 2);
}

/* Parking -------------------------------------------------------------------------------------- */

Test(park, unpark_needs_a_prepared_parker) {
    struct filch__parker p = {0};
    cr_assert_not(filch__unpark(&p));
    filch__park_prepare(&p);
    cr_assert(filch__unpark(&p));
    cr_assert_not(filch__unpark(&p), "one unpark ends one sleep");
    filch__park_sleep(&p); /* returns at once */
    cr_assert_eq(p.word, FILCH__AWAKE);
}

Test(park, cancel_says_who_was_first) {
    struct filch__parker p = {0};
    filch__park_prepare(&p);
    cr_assert(filch__park_cancel(&p));
    cr_assert_not(filch__unpark(&p));
    filch__park_prepare(&p);
    cr_assert(filch__unpark(&p));
    cr_assert_not(filch__park_cancel(&p));
    /* What is over is not kept for the next sleep. */
    filch__park_prepare(&p);
    cr_assert_eq(p.word, FILCH__PARKED);
}

struct parked {
    struct filch__parker parker;
    uint32_t awake;
};

static void park_once(void *context) {
    struct parked *p = context;
    filch__park_sleep(&p->parker);
    flag_raise(&p->awake);
}

static void wake_and_check(struct parked *p, pthread_t thread) {
    give_time();
    cr_assert_eq(load_acquire(&p->awake), 0, "it sleeps until it is unparked");
    cr_assert(filch__unpark(&p->parker));
    thread_finish(thread);
    cr_assert_eq(p->awake, 1);
}

Test(park, sleeps_until_unparked) {
    struct parked p = {.awake = 0};
    filch__park_prepare(&p.parker);
    wake_and_check(&p, thread_start(park_once, &p));
}

static int64_t cpu_time_of(pthread_t thread) {
    struct timespec t = {0, 0};
    clockid_t clock;
    if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return INT64_MAX;
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Each wait of the sleeper returns at once, so that it spins: that shows in its CPU time. */
Test(park, spurious_wake_ups_do_not_end_a_sleep) {
    struct parked p = {.awake = 0};
    filch__park_prepare(&p.parker);
    filch__fault_plan(FILCH__FAULT_FUTEX, 0, true);
    pthread_t thread = thread_start(park_once, &p);
    while (load_acquire(&p.awake) == 0 && cpu_time_of(thread) < 2000000) sched_yield();
    cr_assert_eq(load_acquire(&p.awake), 0);
    cr_assert_gt(filch__fault_clear(), 0);
    for (int i = 0; i < 10; i++) filch__futex_wake(&p.parker.word, 1);
    wake_and_check(&p, thread);
}

Test(park, signals_do_not_end_a_sleep) {
    struct parked p = {.awake = 0};
    catch_signals();
    filch__park_prepare(&p.parker);
    pthread_t thread = thread_start(park_once, &p);
    for (int i = 0; i < 20; i++) {
        pthread_kill(thread, SIGUSR1);
        sched_yield();
    }
    wake_and_check(&p, thread);
}

/* Two threads wake each other in turn; what each writes before is seen by the other. */
struct ping_pong {
    struct filch__parker parkers[2];
    int64_t turns, ball; /* plain: carried by unpark */
};

static void play(int index, void *context) {
    struct ping_pong *g = context;
    struct filch__parker *mine = &g->parkers[index], *other = &g->parkers[1 - index];
    for (int64_t i = 0; i < g->turns; i++) {
        filch__park_sleep(mine);
        g->ball++;
        filch__park_prepare(mine);
        while (!filch__unpark(other)) sched_yield();
    }
}

Test(park, ping_pong_loses_no_wake_up) {
    struct ping_pong g = {.turns = stress(2000)};
    filch__park_prepare(&g.parkers[1]);
    run_threads(2, play, &g);
    cr_assert_eq(g.ball, 2 * g.turns);
}

/* Of many that unpark at the same time one has ended the sleep; a cancel may be the one as well. */
struct contest {
    struct filch__parker parker;
    int rounds;
    uint32_t done[2];
    uint32_t *ended; /* per round */
};

static void contend(int index, void *context) {
    struct contest *c = context;
    for (int i = 0; i < c->rounds; i++) {
        if (index == 0) {
            filch__park_prepare(&c->parker);
            store_release(&c->done[0], (uint32_t)i + 1);
            for (int k = i % 40; k > 0; k--) cpu_relax();
            if (filch__park_cancel(&c->parker)) fetch_add_relaxed(&c->ended[i], 1u);
            while (load_acquire(&c->done[1]) != 2 * ((uint32_t)i + 1)) sched_yield();
        } else {
            while (load_acquire(&c->done[0]) != (uint32_t)i + 1) sched_yield();
            if (filch__unpark(&c->parker)) fetch_add_relaxed(&c->ended[i], 1u);
            fetch_add_acq_rel(&c->done[1], 1u);
        }
    }
}

Test(park, one_of_many_ends_a_sleep) {
    struct contest c = {.rounds = stress(1000)};
    c.ended = calloc((size_t)c.rounds, sizeof *c.ended);
    cr_assert_not_null(c.ended);
    run_threads(3, contend, &c);
    for (int i = 0; i < c.rounds; i++) cr_assert_eq(c.ended[i], 1, "round %d", i);
    free(c.ended);
}

/* Time ----------------------------------------------------------------------------------------- */

Test(os_clock, now_does_not_go_back) {
    int64_t last = filch__now();
    for (int i = 0; i < 1000; i++) {
        int64_t now = filch__now();
        cr_assert_geq(now, last);
        last = now;
    }
}

Test(os_clock, deadlines_do_not_overflow) {
    static const int64_t huge[] = {FILCH_FOREVER, FILCH_FOREVER - 1, FILCH_FOREVER - 1000};
    for (size_t i = 0; i < sizeof huge / sizeof *huge; i++)
        cr_assert_eq(filch__deadline(huge[i]), FILCH_FOREVER);
    static const int64_t timeouts[] = {1, 1000, 1000000000, INT64_C(1000000000000000000),
                                       INT64_MAX / 2};
    for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
        int64_t before = filch__now();
        int64_t deadline = filch__deadline(timeouts[i]);
        cr_assert_geq(deadline, before + timeouts[i]);
        cr_assert_leq(deadline, filch__now() + timeouts[i]);
    }
}

/* CPUs ----------------------------------------------------------------------------------------- */

/* A made-up root directory with /proc and /sys. */
static char root[64];

static void make_root(void) {
    strcpy(root, "/tmp/filch-os-test-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *level) {
    (void)status, (void)kind, (void)level;
    return remove(path);
}

static void remove_root(void) {
    if (root[0] != '\0') nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    root[0] = '\0';
}

/* Writes a file under the root, and makes the directories above it. */
static void put(const char *name, const char *text) {
    char path[512];
    snprintf(path, sizeof path, "%s%s", root, name);
    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    fputs(text, file);
    fclose(file);
}

static void drop(const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s%s", root, name);
    cr_assert_eq(remove(path), 0);
}

TestSuite(cpus_quota, .timeout = 20, .init = make_root, .fini = remove_root);

#define V2 "/sys/fs/cgroup"

Test(cpus_quota, nothing_there_is_no_limit) {
    cr_assert_eq(filch__cpus_quota(root), 0);
    put("/proc/self/cgroup", "");
    cr_assert_eq(filch__cpus_quota(root), 0);
    put("/proc/self/cgroup", "0::/a/b\n");
    cr_assert_eq(filch__cpus_quota(root), 0);
}

Test(cpus_quota, v2_is_rounded_up) {
    static const struct {
        const char *text;
        int cpus;
    } cases[] = {
        {"max 100000\n", 0},
        {"100000 100000\n", 1},
        {"100001 100000\n", 2},
        {"150000 100000\n", 2},
        {"200000 100000\n", 2},
        {"50000 100000\n", 1},
        {"1 100000\n", 1},
        {"250000 50000\n", 5},
        {"0 100000\n", 0},
        {"-1 100000\n", 0},
        {"100000 0\n", 0},
        {"100000\n", 0},
        {"", 0},
        {"rubbish\n", 0},
        {"9223372036854775807 1\n", 0},
        {"9223372036854775807 9223372036854775807\n", 1},
        {"400000 100000", 4},
        {"max", 0},
        {"100000 max\n", 0},
        {"max 100000 100000\n", 0},
        {"1e5 100000\n", 0},
        {"100000 -100000\n", 0},
        {"99999999999999999999 100000\n", 0},
        {"300000\t100000 more\n", 3},
        {"\xff\xfe\n", 0},
    };
    put("/proc/self/cgroup", "0::/job\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put(V2 "/job/cpu.max", cases[i].text);
        cr_assert_eq(filch__cpus_quota(root), cases[i].cpus, "%s", cases[i].text);
    }
}

Test(cpus_quota, v2_smallest_of_the_group_and_those_above) {
    put("/proc/self/cgroup", "0::/a/b/c\n");
    put(V2 "/a/b/c/cpu.max", "800000 100000\n");
    cr_assert_eq(filch__cpus_quota(root), 8);
    put(V2 "/a/b/cpu.max", "max 100000\n");
    cr_assert_eq(filch__cpus_quota(root), 8);
    put(V2 "/a/cpu.max", "300000 100000\n");
    cr_assert_eq(filch__cpus_quota(root), 3);
    put(V2 "/cpu.max", "150000 100000\n");
    cr_assert_eq(filch__cpus_quota(root), 2);
    put(V2 "/a/b/cpu.max", "10000 100000\n");
    cr_assert_eq(filch__cpus_quota(root), 1);
    put(V2 "/other/cpu.max", "1000 100000\n");
    put(V2 "/a/b/c/d/cpu.max", "1000 100000\n");
    put(V2 "/a/b/cpu.max", "500000 100000\n");
    cr_assert_eq(filch__cpus_quota(root), 2, "groups beside and below do not count");
}

/* What cannot be read limits nothing: no file, a folder in its place, a file that is not for reading. */
Test(cpus_quota, v2_what_cannot_be_read_is_no_limit) {
    put("/proc/self/cgroup", "0::/a/b\n");
    put(V2 "/a/cpu.max", "300000 100000\n");
    cr_assert_eq(filch__cpus_quota(root), 3, "no file in /a/b");
    put(V2 "/a/b/cpu.max/inside", "100000 100000\n");
    cr_assert_eq(filch__cpus_quota(root), 3, "a folder");
    drop("/proc/self/cgroup");
    cr_assert_eq(filch__cpus_quota(root), 0, "no cgroup at all");
    put("/proc/self/cgroup/inside", "0::/a\n");
    cr_assert_eq(filch__cpus_quota(root), 0, "a folder");
}

Test(cpus_quota, v2_root_group) {
    put("/proc/self/cgroup", "0::/\n");
    cr_assert_eq(filch__cpus_quota(root), 0);
    put(V2 "/cpu.max", "300000 100000\n");
    cr_assert_eq(filch__cpus_quota(root), 3);
}

/* In a container the path may name a group that is not visible there. */
Test(cpus_quota, v2_path_that_is_not_visible) {
    put(V2 "/cpu.max", "250000 100000\n");
    put("/proc/self/cgroup", "0::/system.slice/docker-0123.scope\n");
    cr_assert_eq(filch__cpus_quota(root), 3);
    put("/proc/self/cgroup", "0::/../../other\n");
    cr_assert_eq(filch__cpus_quota(root), 3);
}

Test(cpus_quota, v2_paths_with_odd_names) {
    put("/proc/self/cgroup", "0::/a:b c/d\n");
    put(V2 "/a:b c/d/cpu.max", "700000 100000\n");
    cr_assert_eq(filch__cpus_quota(root), 7);
    put("/proc/self/cgroup", "0::/a:b c/d");
    cr_assert_eq(filch__cpus_quota(root), 7, "without a line feed at the end");
}

#define V1 "/sys/fs/cgroup/cpu,cpuacct"

static void put_v1(const char *folder, const char *quota, const char *period) {
    char name[256];
    snprintf(name, sizeof name, "%s/cpu.cfs_quota_us", folder);
    put(name, quota);
    snprintf(name, sizeof name, "%s/cpu.cfs_period_us", folder);
    put(name, period);
}

static const char v1_lines[] = "12:memory:/docker/x\n"
                               "9:cpuset:/docker/y\n"
                               "4:cpu,cpuacct:/docker/x\n"
                               "1:name=systemd:/docker/x\n";

Test(cpus_quota, v1_is_rounded_up) {
    put("/proc/self/cgroup", v1_lines);
    put_v1(V1 "/docker/x", "250000\n", "100000\n");
    cr_assert_eq(filch__cpus_quota(root), 3);
    put_v1(V1 "/docker/x", "-1\n", "100000\n");
    cr_assert_eq(filch__cpus_quota(root), 0);
    put_v1(V1, "100000\n", "50000\n");
    cr_assert_eq(filch__cpus_quota(root), 2);
    put_v1(V1 "/docker", "20000\n", "50000\n");
    cr_assert_eq(filch__cpus_quota(root), 1);
    drop(V1 "/docker/cpu.cfs_period_us");
    cr_assert_eq(filch__cpus_quota(root), 2);
}

Test(cpus_quota, v1_cases) {
    static const struct {
        const char *quota, *period;
        int cpus;
    } cases[] = {
        {"100000\n", "100000\n", 1},   {"100001\n", "100000\n", 2},
        {"1\n", "1000000\n", 1},       {"150000", "100000", 2},
        {"max\n", "100000\n", 0},      {"rubbish\n", "100000\n", 0},
        {"", "100000\n", 0},           {"100000\n", "", 0},
        {"100000\n", "0\n", 0},        {"100000\n", "-1\n", 0},
        {"100000\n", "rubbish\n", 0},  {"0\n", "100000\n", 0},
        {"-100000\n", "-100000\n", 0}, {"9223372036854775807\n", "1\n", 0},
    };
    put("/proc/self/cgroup", "4:cpu,cpuacct:/g\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_v1(V1 "/g", cases[i].quota, cases[i].period);
        cr_assert_eq(filch__cpus_quota(root), cases[i].cpus, "%s / %s", cases[i].quota,
                     cases[i].period);
    }
}

Test(cpus_quota, v1_smallest_of_the_group_and_those_above) {
    put("/proc/self/cgroup", "4:cpu,cpuacct:/a/b/c\n");
    put_v1(V1 "/a/b/c", "800000\n", "100000\n");
    cr_assert_eq(filch__cpus_quota(root), 8);
    put_v1(V1 "/a/b", "-1\n", "100000\n");
    cr_assert_eq(filch__cpus_quota(root), 8);
    put_v1(V1 "/a", "250000\n", "100000\n");
    cr_assert_eq(filch__cpus_quota(root), 3);
    put_v1(V1, "200000\n", "100000\n");
    cr_assert_eq(filch__cpus_quota(root), 2);
    put_v1(V1 "/a/b/c", "90000\n", "100000\n");
    cr_assert_eq(filch__cpus_quota(root), 1);
    put_v1(V1 "/a/b/c/d", "1\n", "100000\n");
    put_v1(V1 "/other", "1\n", "100000\n");
    put_v1(V1 "/a/b/c", "-1\n", "100000\n");
    cr_assert_eq(filch__cpus_quota(root), 2, "groups beside and below do not count");
}

/* "cpuset" is not "cpu", and neither is "cpuacct". */
Test(cpus_quota, v1_only_of_the_cpu_controller) {
    put("/proc/self/cgroup", "9:cpuset:/g\n8:cpuacct:/g\n7:mycpu,cpus:/g\n");
    put_v1("/sys/fs/cgroup/cpuset/g", "100000\n", "100000\n");
    put_v1("/sys/fs/cgroup/cpuacct/g", "100000\n", "100000\n");
    put_v1("/sys/fs/cgroup/cpu/g", "100000\n", "100000\n");
    put_v1("/sys/fs/cgroup/mycpu,cpus/g", "100000\n", "100000\n");
    cr_assert_eq(filch__cpus_quota(root), 0);
    put("/proc/self/cgroup", "9:cpuset:/g\n3:cpu:/g\n");
    cr_assert_eq(filch__cpus_quota(root), 1);
}

Test(cpus_quota, v1_mounted_as_cpu_alone_or_in_another_order) {
    put("/proc/self/cgroup", v1_lines);
    put_v1("/sys/fs/cgroup/cpu/docker/x", "600000\n", "100000\n");
    cr_assert_eq(filch__cpus_quota(root), 6);
    put("/proc/self/cgroup", "4:cpuacct,cpu:/docker/z\n");
    put_v1("/sys/fs/cgroup/cpuacct,cpu/docker/z", "500000\n", "100000\n");
    cr_assert_eq(filch__cpus_quota(root), 5);
}

Test(cpus_quota, v1_and_v2_together) {
    put("/proc/self/cgroup", "4:cpu,cpuacct:/g\n0::/h\n");
    put_v1(V1 "/g", "400000\n", "100000\n");
    cr_assert_eq(filch__cpus_quota(root), 4);
    put(V2 "/h/cpu.max", "200000 100000\n");
    cr_assert_eq(filch__cpus_quota(root), 2);
    put(V2 "/h/cpu.max", "900000 100000\n");
    cr_assert_eq(filch__cpus_quota(root), 4);
}

Test(cpus_quota, broken_lines_are_passed_over) {
    char line[9000], text[9100];
    memset(line, 'x', sizeof line);
    line[0] = '/';
    line[sizeof line - 1] = '\0';
    put(V2 "/ok/cpu.max", "300000 100000\n");
    put("/proc/self/cgroup", "\n:\n::\nnothing\n5:cpu\n0::/ok\n");
    cr_assert_eq(filch__cpus_quota(root), 3);
    snprintf(text, sizeof text, "0::%s\n0::/ok\n", line);
    put("/proc/self/cgroup", text);
    cr_assert_eq(filch__cpus_quota(root), 3);
    snprintf(text, sizeof text, "0::%.4080s\n0::/ok\n", line);
    put("/proc/self/cgroup", text);
    cr_assert_eq(filch__cpus_quota(root), 3);
}

Test(cpus_quota, usable_is_the_smaller_of_quota_and_mask) {
    int affinity = filch__cpus_affinity();
    char text[64];
    cr_assert_eq(filch__cpus_usable_below(root), affinity, "no quota");
    put("/proc/self/cgroup", "0::/job\n");
    for (int cpus = 1; cpus <= affinity + 2 && cpus <= 32; cpus++) {
        snprintf(text, sizeof text, "%d 100000\n", (cpus - 1) * 100000 + 1);
        put(V2 "/job/cpu.max", text);
        cr_assert_eq(filch__cpus_usable_below(root), cpus < affinity ? cpus : affinity);
    }
    put(V2 "/job/cpu.max", "max 100000\n");
    cr_assert_eq(filch__cpus_usable_below(root), affinity, "no limit");
}

Test(cpus, usable_is_at_least_one_and_in_the_mask) {
    int affinity = filch__cpus_affinity(), usable = filch__cpus_usable();
    cr_assert_geq(usable, 1);
    cr_assert_leq(usable, affinity);
    int quota = filch__cpus_quota("");
    cr_assert_eq(usable, quota != 0 && quota < affinity ? quota : affinity);
}

static int only_cpu(void) {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    if (sched_getaffinity(0, sizeof mask, &mask) != 0 || CPU_COUNT(&mask) != 1) return -1;
    int cpu = 0;
    while (!CPU_ISSET(cpu, &mask)) cpu++;
    return cpu;
}

struct pinning {
    const struct filch__cpus *cpus;
    int index, cpu, affinity;
};

static void pin_thread(void *context) {
    struct pinning *p = context;
    filch__cpus_pin(p->cpus, p->index);
    p->cpu = only_cpu();
    p->affinity = filch__cpus_affinity();
}

static struct pinning pin_one(const struct filch__cpus *cpus, int index) {
    struct pinning p = {.cpus = cpus, .index = index};
    thread_finish(thread_start(pin_thread, &p));
    return p;
}

Test(cpus, pin_takes_the_cpus_of_the_mask_in_turn) {
    int count = filch__cpus_affinity(), taken[32];
    struct filch__cpus *cpus = filch__cpus_create();
    cr_assert_not_null(cpus);
    for (int i = 0; i < count && i < 32; i++) {
        struct pinning p = pin_one(cpus, i);
        cr_assert_geq(p.cpu, 0);
        cr_assert_eq(p.affinity, 1);
        taken[i] = p.cpu;
        for (int k = 0; k < i; k++) cr_assert_neq(taken[k], p.cpu);
    }
    cr_assert_eq(pin_one(cpus, count).cpu, taken[0]);
    filch__cpus_free(cpus);
}

Test(cpus, create_without_memory_is_null) {
    filch__fault_plan(FILCH__FAULT_ALLOC, 1, false);
    cr_assert_null(filch__cpus_create());
    cr_assert_eq(filch__fault_clear(), 1);
    filch__cpus_free(NULL);
}

Test(cpus, a_mask_that_cannot_be_read_pins_nobody) {
    filch__fault_plan(FILCH__FAULT_ALLOC, 0, false);
    struct filch__cpus *cpus = filch__cpus_create();
    cr_assert_eq(filch__fault_clear(), 1);
    cr_assert_not_null(cpus);
    cr_assert_eq(pin_one(cpus, 0).affinity, filch__cpus_affinity());
    filch__cpus_free(cpus);
}

/* Threads -------------------------------------------------------------------------------------- */

static void *return_argument(void *argument) {
    return argument;
}

Test(os_thread, starts_with_any_stack_and_is_joined) {
    const size_t sizes[] = {0, filch__thread_stack_least(), 1 << 20};
    cr_assert_gt(filch__thread_stack_least(), 0);
    for (size_t i = 0; i < 3; i++) {
        pthread_t thread;
        cr_assert_eq(filch__thread_start(&thread, sizes[i], return_argument, NULL), 0);
        filch__thread_join(thread);
    }
}

Test(os_thread, fault_is_an_errno) {
    pthread_t thread;
    filch__fault_plan(FILCH__FAULT_THREAD, 1, false);
    cr_assert_eq(filch__thread_start(&thread, 0, return_argument, NULL), 0);
    filch__thread_join(thread);
    cr_assert_eq(filch__thread_start(&thread, 0, return_argument, NULL), EAGAIN);
    cr_assert_eq(filch__thread_start(&thread, 0, return_argument, NULL), 0);
    filch__thread_join(thread);
    cr_assert_eq(filch__fault_clear(), 1);
}

struct name_case {
    const char *prefix;
    int index;
    char name[16];
};

static void name_thread(void *context) {
    struct name_case *c = context;
    filch__thread_name(c->prefix, c->index);
    pthread_getname_np(pthread_self(), c->name, sizeof c->name);
}

Test(os_thread, name_is_cut_before_the_index) {
    static const struct {
        const char *prefix;
        int index;
        const char *name;
    } cases[] = {
        {"filch", 0, "filch-0"},
        {"", 12, "-12"},
        {"a-very-long-prefix", 4095, "a-very-lon-4095"},
        {"exactly-13ch.", 1, "exactly-13ch.-1"},
        {"x", 2147483647, "x-2147483647"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct name_case c = {cases[i].prefix, cases[i].index, ""};
        thread_finish(thread_start(name_thread, &c));
        cr_assert_str_eq(c.name, cases[i].name);
    }
}

struct stack_case {
    size_t size;
    uintptr_t low, here;
};

static void *look_at_stack(void *context) {
    struct stack_case *c = context;
    c->low = filch__thread_stack_low();
    c->here = (uintptr_t)__builtin_frame_address(0);
    return NULL;
}

Test(os_thread, stack_low_is_within_the_stack) {
    static const size_t sizes[] = {256 << 10, 1 << 20};
    for (size_t i = 0; i < 2; i++) {
        struct stack_case c = {.size = sizes[i]};
        pthread_t thread;
        cr_assert_eq(filch__thread_start(&thread, c.size, look_at_stack, &c), 0);
        filch__thread_join(thread);
        cr_assert_gt(c.low, 0);
        cr_assert_lt(c.low, c.here);
        cr_assert_leq(c.here - c.low, c.size);
    }
}

/* Memory --------------------------------------------------------------------------------------- */

static bool is_zero(const void *block, size_t size) {
    const char *bytes = block;
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0) return false;
    return true;
}

Test(os_memory, what_is_promised_zero_is_zero) {
    enum { SIZE = 500 };
    for (int i = 0; i < 20; i++) {
        void *dirty = filch__alloc(SIZE);
        memset(dirty, 0xff, SIZE);
        filch__free(dirty);
        void *zeroed = filch__alloc_zeroed(SIZE);
        cr_assert(is_zero(zeroed, SIZE));
        memset(zeroed, 0xff, SIZE);
        filch__free(zeroed);
        void *aligned = filch__alloc_aligned(128, SIZE);
        cr_assert(is_zero(aligned, SIZE));
        cr_assert_eq((uintptr_t)aligned % 128, 0);
        memset(aligned, 0xff, SIZE);
        filch__free(aligned);
    }
}

Test(os_memory, maps_are_aligned_zero_and_counted) {
    long before = filch__fault_live_blocks();
    for (size_t size = 4096; size <= (size_t)4 << 20; size *= 4) {
        for (size_t alignment = 4096; alignment <= (size_t)1 << 20; alignment *= 16) {
            char *start = filch__map(size, alignment);
            cr_assert_not_null(start);
            cr_assert_eq((uintptr_t)start % alignment, 0);
            cr_assert_eq(filch__fault_live_blocks(), before + 1);
            cr_assert(is_zero(start, size));
            memset(start, 1, size);
            filch__unmap(start, size);
            cr_assert_eq(filch__fault_live_blocks(), before);
        }
    }
}

Test(os_memory, faults_come_when_planned) {
    long before = filch__fault_live_blocks();
    filch__free(NULL);
    filch__fault_plan(FILCH__FAULT_ALLOC | FILCH__FAULT_MAP, 2, false);
    void *a = filch__alloc(10), *b = filch__alloc_zeroed(10);
    cr_assert_not_null(a);
    cr_assert_not_null(b);
    cr_assert_null(filch__alloc_aligned(64, 10));
    void *c = filch__map(4096, 4096);
    cr_assert_not_null(c);
    cr_assert_eq(filch__fault_clear(), 1);
    cr_assert_eq(filch__fault_live_blocks(), before + 3);
    filch__free(a);
    filch__free(b);
    filch__unmap(c, 4096);
    filch__fault_plan(FILCH__FAULT_ALL, 0, true);
    cr_assert_null(filch__alloc(1));
    cr_assert_null(filch__alloc_zeroed(1));
    cr_assert_null(filch__alloc_aligned(64, 1));
    cr_assert_null(filch__map(4096, 4096));
    cr_assert_eq(filch__fault_clear(), 4);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

Test(os_memory, impossible_sizes_are_null) {
    long before = filch__fault_live_blocks();
    cr_assert_null(filch__map((size_t)1 << 62, 1 << 16));
    cr_assert_eq(filch__fault_live_blocks(), before);
}

/* Spinning ------------------------------------------------------------------------------------- */

static uint64_t pauses_until_over(int64_t duration, int64_t deadline) {
    struct filch__spin spin = filch__spin_begin();
    uint64_t pauses = 1;
    while (filch__spin_pause(&spin, duration, deadline)) pauses++;
    return pauses;
}

Test(spin, ends_at_the_first_look_at_the_clock_if_the_time_is_over) {
    filch__spin_yield_at = INT64_MAX;
    cr_assert_eq(pauses_until_over(0, INT64_MAX), SPIN_LOOKS);
    cr_assert_eq(pauses_until_over(1000000000, 0), SPIN_LOOKS);
    filch__spin_yield_at = 0;
    cr_assert_eq(pauses_until_over(1000000000, filch__now() - 1), SPIN_LOOKS);
}

Test(spin, lasts_for_the_duration_and_not_past_the_deadline) {
    for (int yields = 0; yields < 2; yields++) {
        int64_t begin = filch__now();
        filch__spin_yield_at = yields ? 0 : INT64_MAX;
        filch__spin_banned_until = 0;
        pauses_until_over(300000, INT64_MAX);
        /* A yield that took as long as a time slice ends it early. */
        if (filch__spin_banned_until == 0) cr_assert_geq(filch__now() - begin, 300000);
        filch__spin_yield_at = INT64_MAX;
        filch__spin_banned_until = 0;
        begin = filch__now();
        pauses_until_over(INT64_MAX / 2, begin + 300000);
        cr_assert_geq(filch__now() - begin, 300000);
    }
}

Test(spin, is_over_at_once_while_somebody_computes) {
    filch__spin_banned_until = INT64_MAX;
    cr_assert_eq(pauses_until_over(INT64_MAX / 2, INT64_MAX), SPIN_LOOKS);
    filch__spin_banned_until = 0;
}

Test(spin, does_not_yield_again_at_once) {
    filch__spin_yield_at = 0;
    int64_t begin = filch__now();
    pauses_until_over(1000, INT64_MAX);
    cr_assert_geq(filch__spin_yield_at, begin);
}
