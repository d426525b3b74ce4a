/* schedule.c: threads as fibres of one thread, and which of them runs.
 *
 * A thread runs until an operation asks, before it is done, whether another one shall go on (schedule_point), or
 * until it blocks. A thread that spins (explore_yield) runs again when every other one that can has run.
 * Thread-local variables of the program are exchanged with the fibre.
 *
 * SPDX-License-Identifier: MIT */
#include "inside.h"

#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

enum { STACK_SIZE = 256 << 10, STEPS_MAX = 20000 };

struct thread threads[EXPLORE_THREADS];
int thread_count;
int current;
char failure[512];
bool abandoned;
bool tracing;
static int steps;
static bool running; /* an execution */

/* Thread-local variables -------------------------------------------------------------------------- */

static char *locals, *locals_image;
static size_t locals_size, locals_image_size;

static int find_locals(struct dl_phdr_info *info, size_t size, void *context) {
    (void)size, (void)context;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_TLS) {
            locals = info->dlpi_tls_data;
            locals_size = info->dlpi_phdr[i].p_memsz;
            locals_image = (char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
            locals_image_size = info->dlpi_phdr[i].p_filesz;
        }
    return 1; /* only of the program itself, which comes first */
}

bool schedule_is_local(const volatile void *place) {
    return (uintptr_t)place - (uintptr_t)locals < locals_size;
}

static void reset_locals(char *to) {
    if (locals_size == 0) return;
    memcpy(to, locals_image, locals_image_size);
    memset(to + locals_image_size, 0, locals_size - locals_image_size);
}

/* Fibres ------------------------------------------------------------------------------------------ */

static void fibre_main(void);

#if defined(__x86_64__)
void explore_swap(void **from, void *to);
__asm__(".text\n"
        ".globl explore_swap\n"
        ".type explore_swap, @function\n"
        "explore_swap:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
        "  ret\n"
        ".size explore_swap, . - explore_swap\n");
static void *outside;

static void fibre_prepare(struct thread *t) {
    /* At the entry of a function a stack is 8 bytes off a multiple of 16. */
    void **top = (void **)(void *)(t->stack + STACK_SIZE - 56);
    top[0] = NULL; /* the return address of fibre_main */
    top[-1] = (void *)(uintptr_t)fibre_main;
    for (int i = 2; i <= 7; i++) top[-i] = NULL;
    t->stack_pointer = &top[-7];
}
static void fibre_switch(struct thread *from, struct thread *to) {
    explore_swap(from == NULL ? &outside : &from->stack_pointer,
                 to == NULL ? outside : to->stack_pointer);
}
#else
static ucontext_t contexts[EXPLORE_THREADS + 1];
static void fibre_prepare(struct thread *t) {
    ucontext_t *c = &contexts[t - threads];
    getcontext(c);
    c->uc_stack.ss_sp = t->stack;
    c->uc_stack.ss_size = STACK_SIZE;
    c->uc_link = NULL;
    makecontext(c, fibre_main, 0);
}
static void fibre_switch(struct thread *from, struct thread *to) {
    swapcontext(&contexts[from == NULL ? EXPLORE_THREADS : from - threads],
                &contexts[to == NULL ? EXPLORE_THREADS : to - threads]);
}
#endif

static void switch_to(int next) {
    if (next == current) return;
    struct thread *from = &threads[current], *to = &threads[next];
    if (locals_size != 0) {
        memcpy(from->locals, locals, locals_size);
        memcpy(locals, to->locals, locals_size);
    }
    current = next;
    fibre_switch(from, to);
}

/* Ends the execution, from whatever thread. */
static void leave(void) {
    running = false;
    fibre_switch(&threads[current], NULL);
}

void trace(const char *format, ...) {
    va_list arguments;
    printf("# %*sthread %d: ", 4 * current, "", current);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

void schedule_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure, sizeof failure, format, arguments);
    va_end(arguments);
    leave();
    abort();
}

void schedule_abandon(void) {
    abandoned = true;
    leave();
    abort();
}

/* Choices ----------------------------------------------------------------------------------------- */

int schedule_alive(void) {
    int alive = 0;
    if (!running) return 0;
    for (int i = 0; i < thread_count; i++) alive += threads[i].status != THREAD_DONE;
    return alive;
}

static unsigned ready_threads(void) {
    unsigned ready = 0;
    for (int i = 0; i < thread_count; i++)
        if (threads[i].status == THREAD_READY) ready |= 1u << i;
    return ready;
}

static const char *describe_blocked(void) {
    static char text[256];
    size_t at = 0;
    static const char *const on[] = {"", "", "on a futex", "for readers", "for all threads", ""};
    for (int i = 0; i < thread_count; i++)
        if (threads[i].status != THREAD_DONE)
            at += (size_t)snprintf(
                text + at, sizeof text - at, "%s thread %d waits %s%s", at == 0 ? "" : ",", i,
                on[threads[i].status],
                threads[i].status == THREAD_ON_FUTEX ? plain_name(threads[i].word) : "");
    return text;
}

/* Nobody can go on: the time of one that sleeps with a deadline is over. */
static bool let_time_pass(void) {
    for (int i = 0; i < thread_count; i++)
        if (threads[i].status == THREAD_ON_FUTEX && threads[i].timed) {
            threads[i].status = THREAD_READY;
            threads[i].timed_out = true;
            return true;
        }
    return false;
}

/* Who goes on, where the running thread may be one of those that can. */
static void pick(bool local) {
    unsigned ready = ready_threads(), eager = 0;
    if (ready == 0) {
        if (!let_time_pass()) schedule_fail("nobody can go on:%s", describe_blocked());
        ready = ready_threads();
    }
    for (int i = 0; i < thread_count; i++)
        if (!threads[i].yielded) eager |= ready & 1u << i;
    if (eager == 0) {
        for (int i = 0; i < thread_count; i++) threads[i].yielded = false;
        eager = ready & ~(1u << current);
        if (eager == 0) eager = ready;
    }
    bool stays = (eager & 1u << current) != 0;
    int next = search_thread(eager, !stays, local && stays);
    threads[next].yielded = false;
    switch_to(next);
}

/* No scenario has that many: somebody waits in a loop for what does not come. */
static void count_step(void) {
    if (++steps > STEPS_MAX) schedule_fail("it does not end: %d steps", STEPS_MAX);
}

void schedule_point(bool local) {
    count_step();
    pick(local);
}

void schedule_advance(void) {
    clock_tick();
}

void explore_yield(void) {
    count_step();
    threads[current].yielded = true;
    pick(false);
}

void schedule_block(enum thread_status status) {
    threads[current].status = status;
    pick(false);
}

/* Threads ----------------------------------------------------------------------------------------- */

static bool are_done(unsigned which) {
    for (int i = 0; i < thread_count; i++)
        if ((which & 1u << i) != 0 && threads[i].status != THREAD_DONE) return false;
    return true;
}

static unsigned others(void) {
    return ((1u << thread_count) - 1) & ~1u;
}

static void fibre_main(void) {
    struct thread *self = &threads[current];
    self->run(self->argument);
    if (tracing) trace("ends");
    self->status = THREAD_DONE;
    if (current == 0) {
        if (!are_done(others())) schedule_fail("the scenario has ended before its threads");
        leave();
    }
    for (int i = 0; i < thread_count; i++)
        if (threads[i].status == THREAD_JOINS && are_done(threads[i].joins))
            threads[i].status = THREAD_READY;
    pick(false);
    abort();
}

static void begin_thread(void (*run)(void *), void *argument) {
    struct thread *t = &threads[thread_count];
    char *stack = t->stack, *its_locals = t->locals;
    if (stack == NULL) {
        stack = mmap((void *)(UINT64_C(0x200000000000) + (uint64_t)thread_count * 2 * STACK_SIZE),
                     STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        its_locals = malloc(locals_size + 1);
        if (stack == MAP_FAILED || its_locals == NULL) abort();
    }
    memset(t, 0, sizeof *t);
    t->stack = stack;
    t->locals = its_locals;
    t->status = THREAD_READY;
    t->run = run;
    t->argument = argument;
    if (thread_count != 0) t->now = threads[current].now;
    reset_locals(thread_count == 0 ? locals : its_locals);
    fibre_prepare(t);
    thread_count++;
}

int explore_spawn(void (*run)(void *), void *argument) {
    if (thread_count == EXPLORE_THREADS) schedule_fail("too many threads");
    clock_tick();
    begin_thread(run, argument);
    threads[thread_count - 1].now.known.at[thread_count - 1] = 1;
    threads[thread_count - 1].now.bound.at[thread_count - 1] = 1;
    clock_tick();
    return thread_count - 1;
}

static void join(unsigned which) {
    struct thread *self = &threads[current];
    self->joins = which;
    if (!are_done(which)) schedule_block(THREAD_JOINS);
    for (int i = 0; i < thread_count; i++)
        if ((which & 1u << i) != 0) view_join(&self->now, &threads[i].now);
    clock_tick();
}

void explore_join(void) {
    join(others());
}

void explore_join_one(int thread) {
    join(1u << thread);
}

void explore_check(bool condition, const char *text) {
    if (!condition) schedule_fail("%s", text);
}

unsigned explore_choose(unsigned count) {
    return search_choose(CHOOSE_VALUE, count);
}

static void run_scenario(void *argument) {
    void (*run)(void);
    memcpy(&run, argument, sizeof run);
    run();
}

void schedule_run(void (*run)(void)) {
    if (locals == NULL && locals_size == 0) dl_iterate_phdr(find_locals, NULL);
    memory_begin();
    plain_begin();
    kernel_begin();
    system_begin();
    steps = 0;
    thread_count = 0;
    current = 0;
    failure[0] = '\0';
    abandoned = false;
    running = true;
    begin_thread(run_scenario, &run);
    clock_tick();
    fibre_switch(NULL, &threads[0]);
}
