/* default_size_test.c: what an executor takes from the CPUs that it may use: how many workers it has, how
 * many of them search at a time, and whether anybody spins (thread/pool.c, options).
 *
 * Each test runs in a process of its own, and so narrows its own affinity mask.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "os/cpus.h"
#include "thread/pool.h"
#include <criterion/criterion.h>
#include <filch.h>
#include <sched.h>

TestSuite(default_size, .timeout = 20);

/* Leaves the calling thread the first n CPUs of its mask. */
static void keep_cpus(int n) {
    cpu_set_t mask;
    cr_assert_eq(sched_getaffinity(0, sizeof mask, &mask), 0);
    for (int cpu = 0, kept = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &mask) && kept++ >= n) CPU_CLR(cpu, &mask);
    cr_assert_eq(sched_setaffinity(0, sizeof mask, &mask), 0);
    cr_assert_eq(filch__cpus_affinity(), n);
}

static struct filch__pool *pool_with(const filch_thread_options *options) {
    filch_executor *e = NULL;
    cr_assert_eq(filch_thread_executor(options, &e), 0, "%s", filch_last_error());
    return filch__pool_of(e);
}

static void end(struct filch__pool *p) {
    cr_assert_eq(filch_executor_destroy(&p->base), 0);
}

Test(default_size, is_that_of_the_cpus_left) {
    for (int n = filch__cpus_affinity(); n >= 1; n = n > 8 ? n / 2 : n - 1) {
        keep_cpus(n);
        struct filch__pool *p = pool_with(NULL);
        cr_assert_eq(p->sleep.max, (uint32_t)filch__cpus_usable());
        cr_assert_leq(p->sleep.max, (uint32_t)n);
        cr_assert_eq(p->sleep.searchers, p->sleep.max);
        end(p);
    }
}

Test(default_size, one_cpu_is_one_worker_that_does_not_spin) {
    keep_cpus(1);
    struct filch__pool *p = pool_with(NULL);
    cr_assert_eq(p->sleep.max, 1);
    cr_assert_eq(p->spin, 0);
    cr_assert_eq(p->home->spin, 0, "nor does who waits for its futures");
    end(p);
}

Test(default_size, options_hold_on_one_cpu_too) {
    keep_cpus(1);
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = 3;
    options.spin = 5000;
    struct filch__pool *p = pool_with(&options);
    cr_assert_eq(p->sleep.max, 3);
    cr_assert_eq(p->spin, 5000);
    cr_assert_eq(p->sleep.searchers, 1, "one CPU is enough for one that searches");
    end(p);
}

Test(default_size, spins_where_a_second_cpu_could_bring_work) {
    struct filch__pool *p = pool_with(NULL);
    cr_assert_eq(p->spin, filch__cpus_usable() == 1 ? 0 : 10000);
    cr_assert_eq(p->home->spin, p->spin);
    end(p);
}
