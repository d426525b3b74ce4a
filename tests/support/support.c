/* support.c: see support.h.
 *
 * SPDX-License-Identifier: MIT */
#include "support.h"

#include <filch/atomic.h>
#include <filch/future.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* base/point.h, which public tests do not see. */
extern void (*filch__point_hook)(const char *name);

static void *must(void *block) {
    if (block != NULL) return block;
    perror("tests: no memory");
    exit(2);
}

int stress(int n) {
    const char *text = getenv("FILCH_STRESS");
    double factor = text == NULL ? 1 : atof(text);
    double scaled = n * (factor > 0 ? factor : 1);
    return scaled < 1 ? 1 : scaled > 1e9 ? 1000000000 : (int)scaled;
}

/* Threads -------------------------------------------------------------------------------------- */

struct start {
    void (*fn)(void *context);
    void *context;
};

static void *run_one(void *argument) {
    struct start start = *(struct start *)argument;
    free(argument);
    start.fn(start.context);
    return NULL;
}

pthread_t thread_start(void (*fn)(void *context), void *context) {
    struct start *start = must(malloc(sizeof *start));
    pthread_t thread;
    *start = (struct start){fn, context};
    if (pthread_create(&thread, NULL, run_one, start) != 0) {
        perror("tests: no thread");
        exit(2);
    }
    return thread;
}

void thread_finish(pthread_t thread) {
    pthread_join(thread, NULL);
}

struct group {
    void (*fn)(int index, void *context);
    void *context;
    int missing; /* threads that have not arrived */
};

struct member {
    struct group *group;
    int index;
};

static void run_member(void *argument) {
    struct member *member = argument;
    struct group *group = member->group;
    filch_fetch_sub_acq_rel(&group->missing, 1);
    while (filch_load_acquire(&group->missing) != 0) sched_yield();
    group->fn(member->index, group->context);
}

void run_threads(int n, void (*fn)(int index, void *context), void *context) {
    struct group group = {fn, context, n};
    struct member members[RUN_THREADS_MAX];
    pthread_t threads[RUN_THREADS_MAX];
    if (n > RUN_THREADS_MAX) {
        fprintf(stderr, "tests: %d threads are too many\n", n);
        exit(2);
    }
    for (int i = 0; i < n; i++) {
        members[i] = (struct member){&group, i};
        threads[i] = thread_start(run_member, &members[i]);
    }
    for (int i = 0; i < n; i++) thread_finish(threads[i]);
}

/* Children ------------------------------------------------------------------------------------- */

/* Milliseconds that a child may live. */
enum { LIFETIME = 30000 };

/* LeakSanitizer asks this at the end. What threads of the parent held looks lost in a child. */
static int is_child;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) {
    return is_child;
}

void leaks_are_others(void) {
    is_child = 1;
}

#if defined(TEST_SANITIZE_THREAD)
/* The child's only thread ends, and with it the process: ThreadSanitizer's own handlers of exit() crash in a
 * thread whose end it has seen. */
static void end_process(void *unused) {
    (void)unused;
    syscall(SYS_exit_group, 0);
}
static void end_with_this_thread(void) {
    static pthread_key_t key;
    if (pthread_key_create(&key, end_process) == 0) pthread_setspecific(key, &key);
}
#else
static void end_with_this_thread(void) {
}
#endif

pid_t child_start(void) {
    fflush(stdout);
    pid_t parent = getpid(), child = fork();
    if (child != 0) return child;
    is_child = 1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(2);
    end_with_this_thread();
    return 0;
}

int child_finish(pid_t child) {
    int status = 0, time = 0;
    while (waitpid(child, &status, WNOHANG) != child) {
        if (time++ >= LIFETIME) kill(child, SIGKILL);
        usleep(1000);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int fail_at_length(void *arg, void *result) {
    size_t length = *(size_t *)arg;
    char *text = must(malloc(length + 1));
    (void)result;
    memset(text, 'x', length);
    text[length] = '\0';
    int code = filch_fail(FAIL_AT_LENGTH, "%s", text);
    free(text);
    return code;
}

enum { SLOW_LINES = 16, LINE = 128 };
static char slow_lines[SLOW_LINES][LINE] __attribute__((aligned(LINE)));

void fill_store_buffer(void) {
#if defined(__x86_64__)
    for (int i = 0; i < SLOW_LINES; i++) __builtin_ia32_clflush(slow_lines[i]);
#endif
    for (int i = 0; i < SLOW_LINES; i++) *(volatile char *)slow_lines[i] = (char)i;
}

static int64_t nanoseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void linger(int yields) {
    int64_t end = nanoseconds_now() + 200000;
    for (int i = 0; i < yields && nanoseconds_now() < end; i++) sched_yield();
}

void flag_wait(const uint32_t *flag) {
    while (filch_load_acquire(flag) == 0) sched_yield();
}

void flag_raise(uint32_t *flag) {
    filch_store_release(flag, 1u);
}

/* Points --------------------------------------------------------------------------------------- */

enum { STOPPERS_MAX = 8 };
enum { STOPPER_ARMED = 1, STOPPER_REACHED, STOPPER_RELEASED };

static struct stopper *armed[STOPPERS_MAX];

static struct {
    const char *name;
    void (*fn)(void *context);
    void *context;
} call;
static __thread bool inside_call;

/* Relaxed, with fences that ThreadSanitizer does not see: a stopped thread and the one that stops it are in
 * order, but no edge between them hides a race of the code under test from the sanitizer. */
static bool stop_at(struct stopper *s, const char *name) {
    uint32_t state = STOPPER_ARMED;
    if (s == NULL || strcmp(s->name, name) != 0) return false;
    filch_fence_seq_cst();
    if (!filch_cas_relaxed(&s->state, &state, (uint32_t)STOPPER_REACHED)) return false;
    while (filch_load_relaxed(&s->state) == STOPPER_REACHED) sched_yield();
    filch_fence_seq_cst();
    return true;
}

static void hook(const char *name) {
    const char *called = filch_load_acquire(&call.name);
    if (called != NULL && !inside_call && strcmp(called, name) == 0) {
        inside_call = true;
        call.fn(call.context);
        inside_call = false;
    }
    for (int i = 0; i < STOPPERS_MAX; i++)
        if (stop_at(filch_load_acquire(&armed[i]), name)) return;
}

void stopper_arm(struct stopper *s, const char *name) {
    s->name = name;
    filch_store_release(&s->state, (uint32_t)STOPPER_ARMED);
    filch_store_release(&filch__point_hook, hook);
    for (int i = 0; i < STOPPERS_MAX; i++) {
        struct stopper *none = NULL;
        if (filch_cas_acq_rel(&armed[i], &none, s)) return;
    }
    fprintf(stderr, "tests: too many stoppers\n");
    exit(2);
}

bool stopper_is_reached(struct stopper *s) {
    bool reached = filch_load_relaxed(&s->state) == STOPPER_REACHED;
    filch_fence_seq_cst();
    return reached;
}

void stopper_wait_reached(struct stopper *s) {
    while (!stopper_is_reached(s)) sched_yield();
}

void stopper_release(struct stopper *s) {
    for (int i = 0; i < STOPPERS_MAX; i++) {
        struct stopper *expected = s;
        if (filch_cas_relaxed(&armed[i], &expected, NULL)) break;
    }
    filch_fence_seq_cst();
    filch_store_relaxed(&s->state, (uint32_t)STOPPER_RELEASED);
}

void point_call(const char *name, void (*fn)(void *context), void *context) {
    call.fn = fn;
    call.context = context;
    filch_store_release(&call.name, fn == NULL ? NULL : name);
    filch_store_release(&filch__point_hook, hook);
}

/* Ledger --------------------------------------------------------------------------------------- */

void ledger_init(struct ledger *l, size_t n) {
    l->n = n;
    l->counts = must(calloc(n + 1, sizeof *l->counts));
}

void ledger_fini(struct ledger *l) {
    free(l->counts);
    l->counts = NULL;
}

void ledger_note(struct ledger *l, size_t i) {
    filch_fetch_add_relaxed(&l->counts[i < l->n ? i : l->n], 1);
}

size_t ledger_missing(const struct ledger *l) {
    size_t missing = 0;
    for (size_t i = 0; i < l->n; i++) missing += filch_load_relaxed(&l->counts[i]) == 0;
    return missing;
}

size_t ledger_repeated(const struct ledger *l) {
    size_t repeated = 0;
    for (size_t i = 0; i < l->n; i++) repeated += filch_load_relaxed(&l->counts[i]) > 1;
    return repeated;
}

size_t ledger_wrong(const struct ledger *l) {
    return ledger_missing(l) + ledger_repeated(l) + filch_load_relaxed(&l->counts[l->n]);
}
