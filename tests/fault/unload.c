/* unload.c: the shared library, opened, used and closed many times by a program that is not linked with it.
 *
 * Usage: unload LIBRARY [ROUNDS]
 * It is never unloaded (-z nodelete): dlclose leaves it where it is, since threads, handlers of exit() and destructors of
 * thread-local variables may be in it. So that must cost once, and not once for each round: keys of thread-local storage,
 * threads, descriptors and mappings are those that there were after the first rounds, and what was done with it before goes on.
 * Each round uses an executor of its own, and the default one, which is shut down in the last round.
 *
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <filch.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 1000, FIRST_ROUNDS = 20, KEYS_MOST = 2048 };

static int bad;
static void expect(bool right, const char *what, int round) {
    if (right) return;
    printf("# round %d: not so: %s\n", round, what);
    bad = 1;
}
#define EXPECT(condition) expect(condition, #condition, round)

struct library {
    void *handle;
    __typeof__(filch_thread_executor) *create;
    __typeof__(filch_executor_destroy) *destroy;
    __typeof__(filch_executor_shutdown) *shutdown;
    __typeof__(filch_default_executor) *get_default;
    __typeof__(filch_submit) *submit;
    __typeof__(filch_future_result) *result;
    __typeof__(filch_future_release) *release;
};

static void find(void *handle, const char *name, void *place) {
    void *symbol = dlsym(handle, name);
    if (symbol == NULL) {
        printf("# %s is missing\n", name);
        exit(2);
    }
    memcpy(place, &symbol, sizeof symbol);
}
static struct library open_library(const char *path) {
    struct library l;
    l.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (l.handle == NULL) {
        printf("# %s\n", dlerror());
        exit(2);
    }
    find(l.handle, "filch_thread_executor", &l.create);
    find(l.handle, "filch_executor_destroy", &l.destroy);
    find(l.handle, "filch_executor_shutdown", &l.shutdown);
    find(l.handle, "filch_default_executor", &l.get_default);
    find(l.handle, "filch_submit", &l.submit);
    find(l.handle, "filch_future_result", &l.result);
    find(l.handle, "filch_future_release", &l.release);
    return l;
}

/* What the process has. */
struct census {
    int keys, threads, fds, mappings;
};
static int count_entries(const char *folder) {
    int n = 0;
    DIR *entries = opendir(folder);
    while (entries != NULL && readdir(entries) != NULL) n++;
    if (entries != NULL) closedir(entries);
    return n;
}
static int count_mappings(void) {
    char line[1024];
    int n = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) n++;
    if (maps != NULL) fclose(maps);
    return n;
}
/* Keys that are left. */
static int count_keys(void) {
    static pthread_key_t keys[KEYS_MOST];
    int n = 0;
    while (n < KEYS_MOST && pthread_key_create(&keys[n], NULL) == 0) n++;
    for (int i = 0; i < n; i++) pthread_key_delete(keys[i]);
    return n;
}
static struct census take_census(void) {
    return (struct census){count_keys(), count_entries("/proc/self/task"),
                           count_entries("/proc/self/fd"), count_mappings()};
}

static int twice(void *arg, void *result) {
    *(int *)result = 2 * *(int *)arg;
    return 0;
}
static void use(const struct library *l, filch_executor *e, int round) {
    filch_future *f = NULL;
    int value = 0;
    EXPECT(l->submit(e, twice, &round, sizeof round, sizeof value, &f) == 0);
    EXPECT(l->result(f, &value, FILCH_FOREVER) == 0 && value == 2 * round);
    l->release(f);
}

static void play(const char *path, int round, bool last) {
    struct library l = open_library(path);
    filch_executor *e = NULL;
    EXPECT(l.create(NULL, &e) == 0);
    use(&l, e, round);
    EXPECT(l.destroy(e) == 0);
    use(&l, NULL, round);
    if (last) {
        EXPECT(l.shutdown(l.get_default(), FILCH_WAIT) == 0);
        EXPECT(l.submit(NULL, twice, &round, sizeof round, sizeof round, NULL) == FILCH_ESHUTDOWN);
    }
    EXPECT(dlclose(l.handle) == 0);
    void *again = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    EXPECT(again != NULL); /* by design */
    if (again != NULL) dlclose(again);
}

int main(int count, char **arguments) {
    struct census before = {0, 0, 0, 0}, after;
    int rounds = count > 2 ? atoi(arguments[2]) : ROUNDS, round;
    if (count < 2) return 2;
    int keys = count_keys();
    for (round = 0; round < rounds; round++) {
        if (round == FIRST_ROUNDS) before = take_census();
        play(arguments[1], round, false);
    }
    after = take_census();
    EXPECT(keys - after.keys <= 4);
    EXPECT(after.keys == before.keys);
    EXPECT(after.fds == before.fds);
    for (int i = 0; i < 1000 && (after = take_census()).threads > before.threads; i++) usleep(1000);
    EXPECT(after.threads == before.threads);
    EXPECT(after.mappings <= before.mappings + 2); /* a stack or a heap that the C library keeps */
    play(arguments[1], round, true);
    for (int i = 0; i < 1000 && (after = take_census()).threads > 3; i++) usleep(1000);
    EXPECT(after.threads == 3); /* this one; and "." and ".." */
    printf("%s - fault_unload::%d_rounds (0.00s)\n", bad ? "not ok" : "ok", rounds);
    printf("# keys used %d; threads %d, descriptors %d, mappings %d; after round %d: %d, %d, %d\n",
           keys - after.keys, after.threads, after.fds, after.mappings, FIRST_ROUNDS,
           before.threads, before.fds, before.mappings);
    return bad;
}
