/* sweep.h: what the scenarios of the sweep of faults share; sweep.c has the engine.
 *
 * A scenario uses some calls of the contract, from the making of an executor to its end. It is played once with a fault
 * planned (armed), when each call may refuse with the codes that are right for that kind of fault, and once without, when
 * all must succeed.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_SWEEP_H
#define FILCH_TESTS_SWEEP_H

#include <filch.h>
#include <filch/atomic.h>
#include <filch/process.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scenario {
    const char *name;
    void (*play)(void);
    bool keeps; /* leaves something behind in the process: the default executor */
};
/* Each ends with one without a name. */
extern const struct scenario thread_scenarios[], loop_scenarios[], process_scenarios[];

/* A function of the contract, noted as used while a fault was planned. */
#define USE(function) (sweep_use(#function), function)
/* The same for what inline functions of the headers call. */
void sweep_use(const char *name);

/* Is a fault planned? */
bool sweep_is_armed(void);
/* In a child that a scenario has forked: it leaves to its end what it has. */
void sweep_is_child(void);
/* From here on there is none: what waits for memory, or for processes, goes on. */
void sweep_disarm(void);

/* What a call may return beside 0, if a fault was planned that explains it. */
enum {
    MAY_ENOMEM = 1,
    MAY_EAGAIN = 2,
    MAY_EBROKEN = 4,
    MAY_EWORKER = 8,
    MAY_REFUSE = MAY_ENOMEM | MAY_EAGAIN,
    MAY_END = MAY_REFUSE | MAY_EBROKEN | MAY_EWORKER
};
/* Is it one of these? Another code is an error of the test. */
bool sweep_is_explained(int rc, unsigned codes);
/* A call of the scenario's own thread: also looks whether a refusal has a text. Returns rc == 0. */
bool sweep_call(const char *what, int rc, unsigned codes);
#define CALLED(codes, call) sweep_call(#call, call, codes)

/* Something that must be so whatever fails. Any thread; the first one is kept. */
void sweep_expect(bool right, const char *what);
#define EXPECT(condition) sweep_expect(condition, #condition)

/* Counters that tasks share. */
static inline void count_up(int *counter) {
    filch_fetch_add_acq_rel(counter, 1);
}
static inline int count_of(int *counter) {
    return filch_load_acquire(counter);
}

#endif
