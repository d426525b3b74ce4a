/* inside.h: what the parts of the explorer share.
 *
 *   memory.c    the store histories, views, races, freed blocks
 *   plain.c     plain accesses, as the compiler's instrumentation reports them
 *   kernel.c    in the place of runtime/os/ and runtime/reclaim/: futex, barrier, memory, grace periods
 *   system.c    in the place of threads, CPUs, fork and exit
 *   schedule.c  threads as fibres, choices
 *   search.c    which choices are tried: exhaustively, at random, PCT, a replay
 *   main.c      arguments, reports
 *   sites.c     the operations that were met
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_EXPLORE_INSIDE_H
#define FILCH_TESTS_EXPLORE_INSIDE_H

#include "explorer.h"

/* Time of each thread; a thread's own entry is the number of its operations. */
struct clock {
    uint32_t at[EXPLORE_THREADS];
};

/* What a thread, or whoever acquires a store, knows. */
struct view {
    struct clock known; /* what happens before: of races and of freed memory */
    struct clock bound; /* reads do not go behind this; known, and what fences have added */
    uint64_t fence;     /* place, in the total order S, of the last fence that happens before */
};

enum thread_status {
    THREAD_NONE,
    THREAD_READY,
    THREAD_ON_FUTEX,
    THREAD_ON_READERS,
    THREAD_JOINS,
    THREAD_DONE
};

struct thread {
    enum thread_status status;
    bool yielded;     /* spins: others first */
    bool timed;       /* sleeps with a deadline */
    bool timed_out;   /* its sleep has ended by that */
    const void *word; /* that it sleeps on */
    unsigned joins;   /* threads that it waits for */
    struct view now;
    struct view pending; /* of the stores that relaxed loads have read: a fence acquires them */
    struct view fenced;  /* at its last fence: relaxed stores release this */
    /* Sections that read under reclaim.h. */
    int nested;
    uint64_t section;                 /* number of the section; 0: in none */
    uint64_t awaits[EXPLORE_THREADS]; /* sections that it waits for */
    struct view left;                 /* at the end of the last section */
    void *stack_pointer;
    char *stack;
    char *locals; /* its thread-local variables while it does not run */
    void (*run)(void *);
    void *argument;
};

extern struct thread threads[EXPLORE_THREADS];
extern int thread_count;
extern int current; /* the thread that runs */

static inline void clock_join(struct clock *into, const struct clock *from) {
    for (int i = 0; i < EXPLORE_THREADS; i++)
        if (from->at[i] > into->at[i]) into->at[i] = from->at[i];
}
static inline void view_join(struct view *into, const struct view *from) {
    clock_join(&into->known, &from->known);
    clock_join(&into->bound, &from->bound);
    if (from->fence > into->fence) into->fence = from->fence;
}
/* The next operation of the running thread; its number. */
static inline uint32_t clock_tick(void) {
    struct view *v = &threads[current].now;
    v->bound.at[current] = ++v->known.at[current];
    return v->known.at[current];
}

/* memory.c */
void memory_begin(void);
/* The newest value of an atomic place; its memory if it is none yet. */
uint64_t memory_newest(const volatile void *place, size_t size);
/* A sequentially consistent fence of that thread. */
void memory_fence(int thread);
/* Somebody has written it by plain stores. */
void memory_written(const void *place, size_t size);

/* plain.c */
void plain_begin(void);
enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_ATOMIC_READ, ACCESS_ATOMIC_WRITE };
void plain_access(const volatile void *place, size_t size, enum access what);
/* The running thread frees it: everybody's accesses must have happened before. */
void plain_free(const void *start, size_t size);
const char *plain_name(const volatile void *place);

/* kernel.c */
void kernel_begin(void);
/* Fails unless it is no block, or one that is allocated and whose allocation the thread knows of. */
void kernel_check_block(const volatile void *place, const char *what);
void kernel_reader_may_go_on(void);

/* system.c */
void system_begin(void);

/* schedule.c */
void schedule_begin(void);
/* What the running thread does from here on does not happen before what it has started. */
void schedule_advance(void);
/* Runs the scenario once. */
void schedule_run(void (*run)(void));
/* A point where another thread may go on. local: the operation to come commutes with all of others. */
void schedule_point(bool local);
/* The running thread cannot go on. */
void schedule_block(enum thread_status status);
/* Ends the execution. */
void schedule_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void schedule_abandon(void) __attribute__((noreturn));
int schedule_alive(void);
/* Is it a thread-local variable? Those of all threads have the same addresses. */
bool schedule_is_local(const volatile void *place);
extern char failure[512];
extern bool abandoned;
extern bool tracing;
void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* search.c */
enum choice { CHOOSE_THREAD, CHOOSE_STALE, CHOOSE_FLAG, CHOOSE_VALUE };
/* One of `count`; 0 is the plain course. allowed[i] (or NULL) and the search's bounds limit it. */
unsigned search_choose(enum choice kind, unsigned count);
/* Which thread goes on: `ready` is a mask. free: a switch costs nothing. */
int search_thread(unsigned ready, bool free, bool local);

enum search_kind { SEARCH_EXHAUSTIVE, SEARCH_RANDOM, SEARCH_PCT, SEARCH_REPLAY };
struct search {
    enum search_kind kind;
    int preemptions, stale; /* bounds of the exhaustive search; -1: none */
    uint64_t executions;    /* at most; 0: no limit */
    double seconds;         /* at most; 0: no limit */
    uint64_t seed;
    int depth; /* PCT: number of changes of priority, plus one */
    const char *replay;
};
struct search_result {
    uint64_t executions, abandoned, restarts;
    bool complete; /* everything within the bounds was tried */
    bool failed;
    char *schedule; /* of the failure */
};
extern bool
    memory_sharing_grew; /* a place was found to be shared that had not been: the search starts again */
struct search_result search_run(const struct search *search,
                                const struct explore_scenario *scenario);

/* Options */
extern bool bare_fences; /* a fence gives no happens-before, only order */

#endif
