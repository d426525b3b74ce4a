/* process_garbage_test.c: a worker that writes garbage into everything that it shares with the program.
 *
 * A task looks up the writable shared mappings of its own process and fills them with random bytes, before it
 * crashes, returns, or goes on for a while. The program lives; tasks of other workers are right; the garbling task
 * and those that were given to the same worker may end in any way, but end.
 *
 * SPDX-License-Identifier: MIT */
#include "process_support.h"

#include <filch/map.h>
#include <pthread.h>

TestSuite(process_garbage, .timeout = 120);

enum end { RETURNS, CRASHES, LINGERS, GIVES_MUCH, ENDS };
enum pattern { RANDOM, ZEROES, ONES, SPARSE, SMALL_NUMBERS, CLAIMS, PATTERNS };
struct garble {
    uint64_t seed;
    enum end end;
    enum pattern pattern;
    struct shared spared; /* the test's own memory */
};

/* Claims of tasks that were given to it become those of tasks that were taken back: generation << 3 | state. */
static uint64_t spoil_claim(uint64_t word) {
    bool claim = word > 8 && word < 1 << 20 && (word % 8 == 1 || word % 8 == 2);
    return claim ? word | 3 : word;
}
static uint64_t garbage_of(enum pattern pattern, uint64_t *random, uint64_t old) {
    uint64_t value = next_random(random);
    switch (pattern) {
    case ZEROES: return 0;
    case ONES: return UINT64_MAX;
    case SPARSE: return value % 61 == 0 ? old ^ (1ull << (value >> 32) % 64) : old;
    case SMALL_NUMBERS: return value % 5 == 0 ? (value >> 32) % 40 : old;
    case CLAIMS: return spoil_claim(old);
    default: return value;
    }
}

/* Fills what stands in that line of /proc/self/maps, if it is shared and may be written. */
static bool garble_line(const char *line, const struct garble *garble, uint64_t *random) {
    unsigned long long begin, end;
    char rights[8];
    const char *spared = shared_at(garble->spared);
    if (sscanf(line, "%llx-%llx %7s", &begin, &end, rights) != 3) return false;
    if (strcmp(rights, "rw-s") != 0 || strstr(line, "memfd:") == NULL) return false;
    if ((uintptr_t)spared >= begin && (uintptr_t)spared < end) return false;
    uint64_t *words = (uint64_t *)(uintptr_t)begin;
    size_t n = (size_t)(end - begin) / sizeof *words;
    for (size_t i = 0; i < n; i++) words[i] = garbage_of(garble->pattern, random, words[i]);
    return true;
}
static int garble_all(const struct garble *garble) {
    static char text[1 << 18]; /* read first, so that the file is not of a moment in between */
    uint64_t random = garble->seed;
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    if (maps == NULL) return 0;
    size_t n = fread(text, 1, sizeof text - 1, maps);
    fclose(maps);
    text[n] = '\0';
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")) != NULL) found += garble_line(line, garble, &random);
    return found;
}
static int write_garbage(void *arg, void *result) {
    struct garble garble = *(struct garble *)arg;
    int found = garble_all(&garble);
    (void)result;
    switch (garble.end) {
    case CRASHES: (void)kill(getpid(), SIGKILL); break;
    case LINGERS:
        for (int i = 0; i < 20; i++) {
            usleep(200);
            garble.seed++;
            (void)garble_all(&garble);
        }
        break;
    case GIVES_MUCH: {
        char *data = filch_result_alloc(100000);
        if (data != NULL) memset(data, 1, 100000);
        garble.seed += 77;
        (void)garble_all(&garble);
        break;
    }
    default: break;
    }
    return found > 0 ? 0 : 1;
}

/* Good tasks, some of them large, that check themselves. */
struct good {
    int n, size;
    unsigned char bytes[];
};
static int sum_up(void *arg, void *result) {
    const struct good *good = arg;
    int sum = good->n;
    for (int i = 0; i < good->size; i++) sum += good->bytes[i];
    *(int *)result = sum;
    return 0;
}
static filch_future *submit_good(filch_executor *e, int n) {
    int size = n % 3 == 0 ? 20000 : n % 3 == 1 ? 100 : 0;
    struct good *good = malloc(sizeof *good + (size_t)size);
    *good = (struct good){n, size};
    memset(good->bytes, 1, (size_t)size);
    filch_future *f = submit_to(e, sum_up, good, sizeof *good + (size_t)size, sizeof(int));
    free(good);
    return f;
}
static int sum_of(int n) {
    return n + (n % 3 == 0 ? 20000 : n % 3 == 1 ? 100 : 0);
}

/* One worker stays in a task all the time and must not notice; the other is garbled. */
static void check_garbage(uint64_t seed) {
    enum { GOOD = 20 };
    filch_executor *e = processes_of(2);
    struct stay stay;
    filch_future *innocent = stay_on(e, &stay), *good[GOOD];
    struct garble garble = {seed, (enum end)(seed % ENDS), (enum pattern)(seed / ENDS % PATTERNS),
                            stay.open};
    filch_future *bad = submit_to(e, write_garbage, &garble, sizeof garble, 0);
    for (int i = 0; i < GOOD; i++) good[i] = submit_good(e, i);
    int rc = finish(bad);
    cr_assert_neq(rc, 1, "seed %d: it found nothing to fill", (int)seed);
    /* Those that stood behind it may have gone with it. */
    for (int i = 0; i < GOOD; i++) (void)finish(good[i]);
    cr_assert(!filch_future_done(innocent), "seed %d", (int)seed);
    shared_add(stay.open, 1);
    cr_assert_eq(finish(innocent), 0, "seed %d: %s", (int)seed, filch_last_error());
    /* And the executor lives: with a new worker, or with that one. The garbled one may spoil what is given to it
     * for as long as it is there. */
    ok(filch_executor_kill_workers(e));
    for (int i = 0; i < GOOD; i++) good[i] = submit_good(e, i);
    for (int i = 0; i < GOOD; i++) {
        int value = -1;
        rc = filch_future_result(good[i], &value, FILCH_FOREVER);
        cr_assert(rc == 0 && value == sum_of(i), "seed %d, task %d: %d, %s", (int)seed, i, rc,
                  filch_last_error());
        filch_future_release(good[i]);
    }
    ok(filch_executor_destroy(e));
}

/* R-PROC-30 */
Test(process_garbage, a_worker_spoils_its_own_tasks_at_most) {
    struct census before = census_before();
    int rounds = stress(2 * ENDS * PATTERNS);
    for (int seed = 0; seed < rounds; seed++) check_garbage((uint64_t)seed);
    check_census(&before);
}

/* R-PROC-30: several at once, again and again, in one executor. */
Test(process_garbage, under_load) {
    enum { TASKS = 300 };
    struct census before = census_before();
    filch_executor *e = processes_of(4);
    struct garble garble = {0, RETURNS, RANDOM, shared_alloc(sizeof(int))};
    static filch_future *futures[TASKS];
    for (int i = 0; i < TASKS; i++) {
        garble.seed = (uint64_t)i;
        garble.end = (enum end)(i / 10 % ENDS);
        garble.pattern = (enum pattern)(i / 10 % PATTERNS);
        futures[i] = i % 10 == 3 ? submit_to(e, write_garbage, &garble, sizeof garble, 0)
                                 : submit_good(e, i);
    }
    for (int i = 0; i < TASKS; i++) (void)finish(futures[i]);
    ok(filch_executor_kill_workers(e));
    for (int i = 0; i < 20; i++) cr_assert_eq(value_of(submit_good(e, i)), sum_of(i));
    destroy_and_look(e);
    check_census(&before);
}

struct spoiler {
    struct garble garble;
    struct stay stay;
};
static int spoil_and_stay(void *arg, void *result) {
    const struct spoiler *spoiler = arg;
    (void)result;
    shared_add(spoiler->stay.pid, 1);
    shared_wait(spoiler->stay.open, 1);
    if (garble_all(&spoiler->garble) == 0) return 1;
    shared_add(spoiler->stay.open, 1);
    for (;;) pause();
}
/* R-PROC-30: nor does it keep a cancel of what stands behind the task that spoils it, and goes on. */
Test(process_garbage, what_is_posted_to_it_can_be_cancelled) {
    static const enum pattern patterns[] = {CLAIMS, ZEROES, ONES};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        filch_executor *e = processes_of(1);
        struct spoiler spoiler = {{1, LINGERS, patterns[i], shared_alloc(sizeof(int))}, new_stay()};
        spoiler.garble.spared = spoiler.stay.open;
        filch_future *bad = submit_to(e, spoil_and_stay, &spoiler, sizeof spoiler, 0);
        shared_wait(spoiler.stay.pid, 1);
        filch_future *behind = submit_good(e, 0);
        shared_add(spoiler.stay.open, 1);
        shared_wait(spoiler.stay.open, 2);
        bool cancelled = filch_future_cancel(behind);
        ok(filch_executor_kill_workers(e));
        cr_assert_eq(finish(bad), FILCH_EWORKER, "%s", filch_last_error());
        int rc = finish(behind);
        cr_assert(cancelled ? rc == FILCH_ECANCELED : rc == 0 || rc == FILCH_EWORKER, "%d", rc);
        ok(filch_executor_destroy(e));
    }
}

/* A start that is said to have failed --------------------------------------------------------------------- */

static bool is_ready_message(const uint64_t *word) {
    return *word >> 32 == 16 && (uint32_t)*word % 16 == 0 && (uint32_t)*word < 4096;
}
/* Changes the first message that it has sent, which says how its start went. */
static int spoil_ready(void *arg, void *result) {
    unsigned long long begin, end;
    char line[1024], rights[8];
    (void)result;
    FILE *maps = fopen("/proc/self/maps", "r");
    int found = 0;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        if (sscanf(line, "%llx-%llx %7s", &begin, &end, rights) == 3 &&
            strcmp(rights, "rw-s") == 0 && strstr(line, "filch-channel") != NULL)
            for (uint64_t *at = (void *)(uintptr_t)begin; at < (uint64_t *)(uintptr_t)end; at += 2)
                if (is_ready_message(at)) found++, at[3] |= UINT64_C(7) << 32;
    if (maps != NULL) fclose(maps);
    shared_add(*(struct shared *)arg, 1);
    shared_wait(*(struct shared *)arg, 2);
    return found == 0;
}
struct hold {
    int here, go;
};
static void hold_manager(filch_future *f, void *context) {
    struct hold *hold = context;
    (void)f;
    add(&hold->here, 1);
    while (!read_int(&hold->go)) usleep(100);
}
/* R-PROC-30: before the program has read it. */
Test(process_garbage, a_start_that_is_said_to_have_failed) {
    filch_executor *e = processes_of(2);
    struct hold hold = {0, 0};
    struct stay first, second;
    struct shared spoilt = shared_alloc(sizeof(int));
    filch_future *f = stay_on(e, &first), *innocent, *bad;
    ok(filch_future_add_done_callback(f, hold_manager, &hold));
    shared_add(first.open, 1);
    while (!read_int(&hold.here)) usleep(100);
    innocent = stay_on(e, &second);
    bad = submit_to(e, spoil_ready, &spoilt, sizeof spoilt, 0);
    shared_wait(spoilt, 1);
    add(&hold.go, 1);
    shared_add(spoilt, 1);
    cr_assert_eq(finish(bad), FILCH_EWORKER, "%s", filch_last_error());
    shared_add(second.open, 1);
    cr_assert_eq(finish(innocent), 0);
    cr_assert_eq(finish(f), 0);
    check_it_works(e);
    ok(filch_executor_destroy(e));
}

/* A packed result ----------------------------------------------------------------------------------------- */

/* Writes into the results that it has given, when it is told to, and while others use them. A text then lies far beyond them. */
__attribute__((no_sanitize("thread"))) static void *spoil_results(void *context) {
    struct shared told = *(struct shared *)context;
    unsigned long long begin, end;
    char line[1024], rights[8];
    shared_wait(told, 1);
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL)
        if (sscanf(line, "%llx-%llx %7s", &begin, &end, rights) == 3 &&
            strcmp(rights, "rw-s") == 0 && strstr(line, "filch-arena") != NULL)
            for (uint64_t *at = (void *)(uintptr_t)begin; at < (uint64_t *)(uintptr_t)end; at++)
                *at = 0x200000000002;
    if (maps != NULL) fclose(maps);
    shared_add(told, 1);
    return NULL;
}
static int fail_with_much(void *arg, void *result) {
    static struct shared told;
    pthread_t thread;
    (void)result;
    if (told.pid == 0) {
        told = *(struct shared *)arg;
        if (pthread_create(&thread, NULL, spoil_results, &told) != 0) return 99;
        if (pthread_detach(thread) != 0) return 99;
    }
    return filch_fail(5, "%01000d", 7);
}
/* R-PROC-30: what the program has read, and found right, it does not read again. */
Test(process_garbage, results_that_change_while_they_are_read) {
    enum { INPUTS = 10 };
    filch_executor *e = processes_of(1);
    struct shared told[INPUTS];
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    filch_results *it = NULL;
    told[0] = shared_alloc(sizeof(int));
    for (int i = 1; i < INPUTS; i++) told[i] = told[0];
    spec.fn = fail_with_much;
    spec.args = told, spec.n = INPUTS, spec.arg_size = sizeof told[0];
    spec.chunk_size = INPUTS;
    ok(filch_map(e, &spec, &it));
    cr_assert_eq(filch_results_next(it, NULL), 5);
    cr_assert_not_null(strstr(filch_last_error(), "input 0: 0000"), "%s", filch_last_error());
    shared_add(told[0], 1);
    shared_wait(told[0], 2);
    for (int i = 1; i < INPUTS; i++)
        cr_assert_eq(filch_results_next(it, NULL), FILCH_EWORKER, "%s", filch_last_error());
    cr_assert_eq(filch_results_next(it, NULL), FILCH_EEND);
    ok(filch_results_destroy(it));
    check_it_works(e);
    ok(filch_executor_destroy(e));
}

/* Writes into what it has for reading only: to the place-th of such mappings. Returns when there are no more. */
static int write_to_read_only(void *arg, void *result) {
    unsigned long long begin, end;
    char line[1024], rights[8];
    int place = *(int *)arg;
    (void)result;
    (void)signal(SIGSEGV, SIG_DFL);
    FILE *maps = fopen("/proc/self/maps", "r");
    if (maps == NULL) return 2;
    while (fgets(line, sizeof line, maps) != NULL)
        if (sscanf(line, "%llx-%llx %7s", &begin, &end, rights) == 3 && strstr(line, "memfd:") &&
            strcmp(rights, "r--s") == 0 && place-- == 0)
            *(volatile int *)(uintptr_t)begin = 1;
    fclose(maps);
    return 1;
}

/* R-PROC-31: what is the program's, a worker has for reading only: a stray write crashes it. */
Test(process_garbage, the_programs_part_is_for_reading_only) {
    filch_executor *e = processes_of(1);
    int found = 0;
    for (;; found++) {
        filch_future *f = submit_to(e, write_to_read_only, &found, sizeof found, 0);
        if (filch_future_result(f, NULL, FILCH_FOREVER) == 1) {
            filch_future_release(f);
            break;
        }
        check_died(f, "signal 11");
    }
    cr_assert_geq(found, 2, "the program's part of its channel, and the common page");
    ok(filch_executor_destroy(e));
}
