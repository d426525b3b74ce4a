/* process_support.h: what the tests of executors on processes share: workers that are watched and killed from outside,
 * tasks that crash, and a census of what an executor must give back.
 *
 * A worker's pid comes from a task that says it, the zygote's is the session of its workers. A process counts as gone
 * when it is, or is a zombie that somebody else has to take.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_PROCESS_SUPPORT_H
#define FILCH_TESTS_PROCESS_SUPPORT_H

#include "api_support.h"
#include "shared.h"

#include <dirent.h>
#include <filch/process.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* Executors ---------------------------------------------------------------------------------------- */

static inline filch_executor *processes_with(filch_process_options options) {
    filch_executor *e = NULL;
    ok(filch_process_executor(&options, &e));
    return e;
}
static inline filch_process_options process_options(int max_workers) {
    filch_process_options options = FILCH_PROCESS_OPTIONS_INIT;
    options.max_workers = max_workers;
    return options;
}
static inline filch_executor *processes_of(int max_workers) {
    return processes_with(process_options(max_workers));
}

/* Tasks -------------------------------------------------------------------------------------------- */

static inline int say_pid(void *arg, void *result) {
    (void)arg;
    *(int *)result = (int)getpid();
    return 0;
}
static inline int say_session(void *arg, void *result) {
    (void)arg;
    *(int *)result = (int)getsid(0);
    return 0;
}
static inline int times_itself(void *arg, void *result) {
    *(int *)result = *(int *)arg * *(int *)arg;
    return 0;
}

/* A task that says where it runs, and stays until it is let go or killed. */
struct stay {
    struct shared pid, open;
};
static inline int stay_until_open(void *arg, void *result) {
    struct stay *stay = arg;
    (void)result;
    shared_add(stay->pid, (int)getpid());
    shared_wait(stay->open, 1);
    return 0;
}
static inline struct stay new_stay(void) {
    return (struct stay){shared_alloc(sizeof(int)), shared_alloc(sizeof(int))};
}
/* Returns when it runs; the pid stands in stay->pid. */
static inline filch_future *stay_on(filch_executor *e, struct stay *stay) {
    *stay = new_stay();
    filch_future *f = submit_to(e, stay_until_open, stay, sizeof *stay, 0);
    shared_wait(stay->pid, 1);
    return f;
}

/* The result, an int, of a task that must succeed. */
static inline int value_of(filch_future *f) {
    int value = -1;
    int rc = filch_future_result(f, &value, FILCH_FOREVER);
    cr_assert_eq(rc, 0, "%s: %s", filch_error_name(rc), filch_last_error());
    filch_future_release(f);
    return value;
}
/* The pid of the worker that a task gets now. */
static inline int some_worker(filch_executor *e) {
    return value_of(submit_to(e, say_pid, NULL, 0, sizeof(int)));
}
static inline void check_it_works(filch_executor *e) {
    for (int i = 0; i < 5; i++)
        cr_assert_eq(value_of(submit_to(e, times_itself, &i, sizeof i, sizeof i)), i * i);
}

static inline int some_zygote(filch_executor *e) {
    return value_of(submit_to(e, say_session, NULL, 0, sizeof(int)));
}

/* How a future ended; it stays the caller's. */
static inline filch_error error_of(filch_future *f) {
    filch_error error;
    ok(filch_future_error(f, &error, FILCH_FOREVER));
    return error;
}
/* The future of a task whose worker died: released. */
static inline void check_died(filch_future *f, const char *how) {
    char who[64];
    filch_error error = error_of(f);
    cr_assert_eq(error.code, FILCH_EWORKER, "%d: %s", error.code, error.text);
    snprintf(who, sizeof who, "worker %d (pid %d)", error.origin.worker, error.origin.pid);
    cr_assert_not_null(strstr(error.text, who), "%s has not %s", error.text, who);
    cr_assert_not_null(strstr(error.text, how), "%s has not %s", error.text, how);
    cr_assert_eq(filch_future_result(f, NULL, 0), FILCH_EWORKER);
    cr_assert_not_null(strstr(filch_last_error(), error.text), "%s", filch_last_error());
    filch_future_release(f);
}

/* Processes ---------------------------------------------------------------------------------------- */

/* State and session of a process: 0 if it is gone. */
struct process_look {
    char state;
    int parent, session;
};
static inline struct process_look look_at(int pid) {
    char path[40], text[512];
    struct process_look look = {0, 0, 0};
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return look;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    char *rest = strrchr(text, ')'); /* the name may have any characters */
    if (rest == NULL ||
        sscanf(rest + 1, " %c %d %*d %d", &look.state, &look.parent, &look.session) != 3)
        look.state = 0;
    return look;
}
static inline bool is_gone(int pid) {
    char state = look_at(pid).state;
    return state == 0 || state == 'Z' || state == 'X';
}
/* Waits; false: it has not ended within some seconds. */
static inline bool ends_soon(int pid) {
    for (int i = 0; i < 20000; i++) {
        if (is_gone(pid)) return true;
        usleep(1000);
    }
    return false;
}
static inline int zygote_of(int worker) {
    return look_at(worker).session;
}

/* The workers of that zygote, at most n. Returns how many there are. */
static inline int find_workers(int zygote, int *pids, int n) {
    struct dirent *entry;
    int found = 0;
    DIR *proc = opendir("/proc");
    if (proc == NULL) return 0;
    while ((entry = readdir(proc)) != NULL) {
        int pid = atoi(entry->d_name);
        if (pid <= 0 || pid == zygote) continue;
        struct process_look look = look_at(pid);
        if (look.state == 0 || look.state == 'Z' || look.session != zygote) continue;
        if (found < n) pids[found] = pid;
        found++;
    }
    closedir(proc);
    return found;
}

/* Census ------------------------------------------------------------------------------------------- */

/* What the test's own process has. */
struct census {
    int fds, mappings;
    long blocks;
};
static inline int count_fds(void) {
    int n = 0;
    DIR *fds = opendir("/proc/self/fd");
    if (fds == NULL) return -1;
    while (readdir(fds) != NULL) n++;
    closedir(fds);
    return n;
}
/* Lines of /proc/self/maps that are files without a name. */
static inline int count_mappings(void) {
    char line[1024];
    int n = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    if (maps == NULL) return -1;
    while (fgets(line, sizeof line, maps) != NULL) n += strstr(line, "memfd:") != NULL;
    fclose(maps);
    return n;
}
static inline struct census take_census(void) {
    return (struct census){count_fds(), count_mappings(), filch__fault_live_blocks()};
}
/* The first executor of a process leaves some things for the next ones: makes and destroys one, then counts. */
static inline struct census census_before(void) {
    (void)shared_alloc(sizeof(int));
    filch_executor *e = processes_of(1);
    check_it_works(e);
    ok(filch_executor_destroy(e));
    return take_census();
}
static inline void check_census(const struct census *before) {
    struct census now = take_census();
    cr_assert_eq(now.fds, before->fds, "%d file descriptors, %d before", now.fds, before->fds);
    cr_assert_eq(now.mappings, before->mappings, "%d mappings, %d before", now.mappings,
                 before->mappings);
    cr_assert_leq(now.blocks, before->blocks, "%ld blocks, %ld before", now.blocks, before->blocks);
}

/* Ends an executor and looks whether its processes are gone: workers at the return, the zygote soon after. */
static inline void destroy_and_look(filch_executor *e) {
    enum { MOST = 2048 };
    int *pids = malloc(MOST * sizeof *pids), zygote = some_zygote(e);
    ok(filch_executor_destroy(e));
    cr_assert_eq(find_workers(zygote, pids, MOST), 0, "a worker lives");
    cr_assert(ends_soon(zygote));
    free(pids);
}

/* Seeds -------------------------------------------------------------------------------------------- */

static inline uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

#endif
