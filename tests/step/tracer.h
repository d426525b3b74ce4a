/* tracer.h: another process, one instruction at a time.
 *
 * A process of the same user is stopped wherever it is, goes on for one instruction, or dies there. One thread does all of it: the
 * kernel knows the tracer as a thread. x86-64 Linux. None of it asserts; what cannot be ends the program, but that
 * the process has ended is told.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_TRACER_H
#define FILCH_TESTS_TRACER_H

#include <stdbool.h>
#include <stdint.h>

struct tracee {
    int pid;
    bool ended; /* it is no more, and has been waited for */
    uint64_t
        at; /* address of the next instruction; the next three are registers; valid while it is stopped */
    uint64_t rax; /* number of a system call that is next */
    uint64_t rsi; /* its second argument */
    uint64_t rsp;
    uint64_t text_begin, text_end; /* where the program itself stands in it */
};

/* Does the kernel let this process trace? */
bool tracer_works(void);

/* It runs on, traced; it dies with this process. */
void tracee_seize(struct tracee *t, int pid);
/* As seize; and its next child is stopped before its first instruction. */
void tracee_seize_before_fork(struct tracee *t, int pid);
/* Waits for that child, which is `child` then, and lets the parent go. */
void tracee_take_child(struct tracee *parent, struct tracee *child);
/* Stops it, wherever it is; a system call in which it sleeps is begun again when it goes on. */
void tracee_stop(struct tracee *t);
/* One instruction. Blocks as long as that takes. */
void tracee_step(struct tracee *t);
/* The same for a system call that may sleep: false if it sleeps now, and tracee_wait is still to come. */
bool tracee_step_unless_asleep(struct tracee *t);
/* Waits for the end of the step in which it sleeps. */
void tracee_wait(struct tracee *t);
/* It goes on, by itself, and stops before the instruction at that address. */
void tracee_run_to(struct tracee *t, uint64_t address);
/* Has it stopped, or ended? Does not block. */
bool tracee_has_stopped(struct tracee *t);
/* It dies where it is, stopped or asleep, by SIGKILL; returns when it has. */
void tracee_kill(struct tracee *t);

/* Is it about to make a system call? */
bool tracee_is_at_call(const struct tracee *t);
/* Is the next instruction one of the program itself, and not of a shared library? */
bool tracee_is_in_program(const struct tracee *t);
/* Where it would return to, if this is the first instruction of a function. */
uint64_t tracee_return_address(const struct tracee *t);
/* Does it sleep in the kernel, and is not stopped? */
bool process_sleeps(int pid);

#endif
