/* explorer.h: what a scenario and the replaced atomic operations see of the explorer. README.md has the
 * model.
 *
 * A scenario is a function that is run again and again, each time along another interleaving. It runs as
 * thread 0, starts others, joins them, and checks what came out. Everything that it does must depend on
 * nothing but what the explorer decides: no clock, no address, no random number of its own.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_EXPLORE_EXPLORER_H
#define FILCH_TESTS_EXPLORE_EXPLORER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Scenarios ------------------------------------------------------------------------------------- */

enum { EXPLORE_THREADS = 6 };

struct explore_scenario {
    const char *name;
    void (*run)(void);
    /* How far the exhaustive search of the suite goes; 0: it searches at random there. */
    int preemptions;
    /* Old values that one execution may read in the exhaustive search; -1: any number. */
    int stale;
    /* Of a litmus test: the outcomes that must come up, and no others, as explore_outcome names them. */
    const char *const *outcomes;
};

/* Starts a thread, at most EXPLORE_THREADS with thread 0. Its number. */
int explore_spawn(void (*run)(void *), void *argument);
/* Thread 0: waits for all that it has started. */
void explore_join(void);
/* Waits for one of them. */
void explore_join_one(int thread);
/* Ends the execution as a failure unless the condition holds. */
void explore_check(bool condition, const char *text);
/* A litmus test's outcome of this execution. */
void explore_outcome(const char *name);
/* The calling thread lets others run, as one that spins does. */
void explore_yield(void);
/* Nanoseconds; 1 us more with each call in an execution. */
int64_t explore_now(void);
/* Blocks of memory that are neither freed nor quarantined. */
long explore_live_blocks(void);
/* From here on in this execution, so many allocations may fail. */
void explore_let_allocations_fail(int count);
/* From here on in this execution, so many starts of threads by the runtime fail. */
void explore_let_starts_fail(int count);
/* From here on in this execution, threads that the runtime starts do that, and not what it asks for. */
void explore_let_threads_do(void (*run)(void *));
/* A choice between 0 and count - 1 that the search tries all of. */
unsigned explore_choose(unsigned count);

/* Operations of the seam ------------------------------------------------------------------------ */

enum explore_order {
    EXPLORE_NONE, /* of a fence: as if it were not there */
    EXPLORE_RELAXED,
    EXPLORE_ACQUIRE,
    EXPLORE_RELEASE,
    EXPLORE_ACQ_REL,
    EXPLORE_SEQ_CST
};

/* One operation in the source. */
struct explore_site {
    const char *file;
    int line;
    const char *name; /* load_acquire and so on */
    enum explore_order order;
    bool known; /* it is in the list of those that were met, and a mutation has been looked up */
    struct explore_site *next;
};

enum explore_rmw { EXPLORE_EXCHANGE, EXPLORE_ADD, EXPLORE_SUB, EXPLORE_OR, EXPLORE_AND };

uint64_t explore_load(struct explore_site *site, const volatile void *place, size_t size);
void explore_store(struct explore_site *site, volatile void *place, uint64_t value, size_t size);
uint64_t explore_update(struct explore_site *site, volatile void *place, enum explore_rmw what,
                        uint64_t operand, size_t size);
bool explore_cas(struct explore_site *site, volatile void *place, void *expected, uint64_t desired,
                 size_t size, bool weak);
void explore_fence(struct explore_site *site);

#endif
