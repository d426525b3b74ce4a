/* threads.cc: threads, and what they wait for: futexes, grace periods, each other. Thread-local variables.
 *
 * Threads   Relacy's: thread 0 runs the scenario, the others are its dynamic threads.
 * Locals    Relacy changes fibres of one thread, which share its thread-local variables: they are changed when a call
 *           into Relacy comes back in another fibre than the one whose they are.
 * Futex     a wait is a relaxed load of the newest value, in one step with going to sleep (Relacy's park, not its futex,
 *           whose wake-up orders what is before it: ours orders nothing). It may return without a reason, or at its
 *           deadline, when it is called; a deadline also comes when nobody else can go on.
 * Barrier   rl::systemwide_fence: everybody knows everything.
 * Grace     the same, then the sections that were open are awaited, and the same again. More is ordered by it than the
 *           contract says.
 *
 * SPDX-License-Identifier: MIT */
#include "backend.hpp"

#include <link.h>
#include <sched.h>
#include <stdarg.h>

extern "C" {
#include "os/barrier.h"
#include "os/futex.h"
#include "reclaim/reclaim.h"
#include <filch/time.h>

/* What tests/explore/system.c, which stands in the place of threads, CPUs, fork and exit, calls. */
extern int thread_count;
void schedule_point(bool is_local);
void schedule_advance(void);
void system_begin(void);
void plain_access(const volatile void *place, size_t size, int what);
}

bool executing;
char failure[256];
int most_threads;

namespace {

struct sleeper {
    const volatile void *word; /* NULL: does not sleep */
    bool is_timed, is_timed_out;
};

struct start {
    void (*run)(void *);
    void *argument;
    rl::win_waitable_object *handle;
    bool is_over;
};

/* By Relacy's number of the thread; starts by ours. */
sleeper sleepers[EXPLORE_THREADS];
start starts[EXPLORE_THREADS];
int limit;       /* of threads */
int awake_count; /* threads that neither sleep nor are over */
bool is_random, has_returned_early;
/* Sections that read: how deep, and which. */
int nested[EXPLORE_THREADS];
uint64_t section[EXPLORE_THREADS], sections;
int64_t time_now;

} // namespace

/* Thread-local variables -------------------------------------------------------------------------- */

namespace {

char *locals, *image;
size_t locals_size, image_size;
char *saved[EXPLORE_THREADS];
int owner; /* whose they are */

int find_locals(struct dl_phdr_info *info, size_t, void *) {
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_TLS) {
            locals = (char *)info->dlpi_tls_data;
            locals_size = info->dlpi_phdr[i].p_memsz;
            image = (char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
            image_size = info->dlpi_phdr[i].p_filesz;
        }
    return 1; /* only of the program itself, which comes first */
}

void reset_locals(char *to) {
    if (locals_size == 0) return;
    memcpy(to, image, image_size);
    memset(to + image_size, 0, locals_size - image_size);
}

void begin_locals() {
    if (locals == NULL && locals_size == 0) {
        dl_iterate_phdr(find_locals, NULL);
        for (int i = 0; i < EXPLORE_THREADS; i++) saved[i] = (char *)(malloc)(locals_size + 1);
    }
    for (int i = 0; i < EXPLORE_THREADS; i++) reset_locals(saved[i]);
    reset_locals(locals);
    owner = 0;
}

void take_locals(int index) {
    if (owner == index || locals_size == 0) return;
    memcpy(saved[owner], locals, locals_size);
    memcpy(locals, saved[index], locals_size);
    owner = index;
}

} // namespace

bool is_thread_local(const volatile void *place) {
    return (uintptr_t)place - (uintptr_t)locals < locals_size;
}

switching::~switching() {
    take_locals(index_);
}

/* Points and failures ------------------------------------------------------------------------------ */

void point() {
    switching s;
    context().sched();
}
/* Relacy counts each operation. */
void schedule_advance(void) {
}

void schedule_point(bool) {
    point();
}

void fail(rl::test_result_e result, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure, sizeof failure, format, arguments);
    va_end(arguments);
    context().fail_test(failure, result, RL_INFO);
    abort();
}

void note(const rl::debug_info &where, const char *format, ...) {
    if (!context().collecting_history()) return;
    char text[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    rl::user_msg_event event = {text};
    context().exec_log(where, event);
}

void explore_check(bool condition, const char *text) {
    if (!condition) fail(rl::test_result_user_assert_failed, "%s", text);
}

unsigned explore_choose(unsigned count) {
    return context().rand(count, rl::sched_type_user);
}

bool without_reason() {
    if (is_random) return context().rand(8, rl::sched_type_user) == 0;
    if (has_returned_early || context().rand(2, rl::sched_type_user) == 0) return false;
    return has_returned_early = true;
}

void explore_yield(void) {
    switching s;
    context().yield(1, RL_INFO);
}

/* In the place of libc's: some loops of the runtime call it. */
int sched_yield(void) noexcept {
    explore_yield();
    return 0;
}

int64_t explore_now(void) {
    return time_now += 1000;
}

void plain_access(const volatile void *place, size_t size, int what) {
    plain_use(place, size, what == 1 ? use::write : use::read);
}

/* Sleep -------------------------------------------------------------------------------------------- */

namespace {

/* Nobody else can go on: the time of one who sleeps with a deadline is over. */
bool let_time_pass() {
    for (int i = 0; i < EXPLORE_THREADS; i++) {
        sleeper *s = &sleepers[i];
        if (s->word == NULL || !s->is_timed) continue;
        s->word = NULL;
        s->is_timed_out = true;
        awake_count++;
        context().unpark_thread(i, false, RL_INFO);
        return true;
    }
    return false;
}

/* Until wake. False: its time is over. */
bool sleep_on(const volatile void *word, bool is_timed) {
    sleeper *s = &sleepers[self()];
    if (awake_count == 1 && is_timed) return false;
    if (awake_count == 1) let_time_pass();
    *s = sleeper{word, is_timed, false};
    awake_count--;
    {
        switching s;
        context().park_current_thread(false, false, false, RL_INFO);
    }
    return !s->is_timed_out;
}

void wake(const volatile void *word, int count) {
    int waiting[EXPLORE_THREADS], waiting_count = 0;
    for (int i = 0; i < EXPLORE_THREADS; i++)
        if (sleepers[i].word == word) waiting[waiting_count++] = i;
    for (; count > 0 && waiting_count > 0; count--) {
        unsigned chosen = 0;
        if (count < waiting_count) chosen = explore_choose((unsigned)waiting_count);
        int index = waiting[chosen];
        waiting[chosen] = waiting[--waiting_count];
        sleepers[index].word = NULL;
        awake_count++;
        context().unpark_thread(index, false, RL_INFO);
    }
}

} // namespace

bool filch__futex_wait(uint32_t *word, uint32_t expected, int64_t deadline) {
    bool sleeps = atomics_newest(word) == expected;
    note(RL_INFO, "futex wait on [%lx]%s", name_of(word), sleeps ? "" : ": another value");
    if (!sleeps) return true;
    if (without_reason()) {
        note(RL_INFO, "returns without a reason");
        return deadline == FILCH_FOREVER || explore_choose(2) == 1;
    }
    return sleep_on(word, deadline != FILCH_FOREVER);
}

void filch__futex_wake(uint32_t *word, int count) {
    point();
    note(RL_INFO, "futex wake on [%lx]", name_of(word));
    wake(word, count);
}

/* Barrier and grace periods ------------------------------------------------------------------------- */

bool filch__barrier_is_there(void) {
    return true;
}

bool filch__barrier_everywhere(void) {
    point();
    rl::systemwide_fence(RL_INFO);
    return true;
}

void filch__reclaim_read_begin(void) {
    point();
    if (nested[self()]++ == 0) section[self()] = ++sections;
    note(RL_INFO, "read begin");
}

void filch__reclaim_read_end(void) {
    point();
    note(RL_INFO, "read end");
    if (--nested[self()] != 0) return;
    section[self()] = 0;
    wake(&sections, EXPLORE_THREADS);
}

void filch__reclaim_wait(void) {
    uint64_t awaited[EXPLORE_THREADS];
    point();
    rl::systemwide_fence(RL_INFO);
    memcpy(awaited, section, sizeof awaited);
    awaited[self()] = 0;
    for (int i = 0; i < EXPLORE_THREADS; i++)
        while (awaited[i] != 0 && section[i] == awaited[i]) sleep_on(&sections, false);
    rl::systemwide_fence(RL_INFO);
}

/* Threads ------------------------------------------------------------------------------------------- */

int thread_count;

namespace {

void *run_thread(void *argument) {
    start *s = static_cast<start *>(argument);
    take_locals(self());
    s->run(s->argument);
    s->is_over = true;
    thread_ends();
    return NULL;
}

} // namespace

void threads_begin(int count, bool random) {
    system_begin();
    limit = count;
    is_random = random;
    has_returned_early = false;
    memset(sleepers, 0, sizeof sleepers);
    memset(starts, 0, sizeof starts);
    memset(nested, 0, sizeof nested);
    memset(section, 0, sizeof section);
    sections = 0;
    time_now = 1000000;
    thread_count = awake_count = 1;
    begin_locals();
}

void thread_ends() {
    if (--awake_count == 0) let_time_pass();
}

int explore_spawn(void (*run)(void *), void *argument) {
    int index = thread_count;
    if (index == limit) fail(rl::test_result_inconsistent_test_suite, "too many threads");
    starts[index] = start{run, argument, NULL, false};
    thread_count++;
    awake_count++;
    if (thread_count > most_threads) most_threads = thread_count;
    note(RL_INFO, "starts a thread");
    starts[index].handle = context().create_thread(run_thread, &starts[index]);
    return index;
}

void explore_join_one(int thread) {
    start *s = &starts[thread];
    bool is_over = s->is_over;
    if (!is_over && --awake_count == 0) let_time_pass();
    {
        switching inside;
        s->handle->wait(false, false, RL_INFO);
    }
    if (!is_over) awake_count++;
}

void explore_join(void) {
    for (int i = 1; i < thread_count; i++) explore_join_one(i);
}
