/* tracer.c: ptrace(2); see tracer.h.
 *
 * SPDX-License-Identifier: MIT */
#include "tracer.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(bool good, const char *what) {
    if (good) return;
    perror(what);
    exit(2);
}

bool tracer_works(void) {
    pid_t child = fork();
    must(child >= 0, "tracer: fork");
    if (child == 0)
        for (;;) pause();
    bool works = ptrace(PTRACE_SEIZE, child, NULL, (void *)PTRACE_O_EXITKILL) == 0;
    kill(child, SIGKILL);
    must(waitpid(child, NULL, __WALL) == child, "tracer: waitpid");
    return works;
}

/* The mapping of the program's own code. */
static void find_text(struct tracee *t) {
    char path[64], program[4096], line[4500];
    unsigned long long begin, end;
    snprintf(path, sizeof path, "/proc/%d/exe", t->pid);
    ssize_t n = readlink(path, program, sizeof program - 1);
    must(n > 0, path);
    program[n] = '\0';
    snprintf(path, sizeof path, "/proc/%d/maps", t->pid);
    FILE *maps = fopen(path, "r");
    must(maps != NULL, path);
    while (fgets(line, sizeof line, maps) != NULL) {
        int at = 0; /* stays so unless all of it is as it must */
        line[strcspn(line, "\n")] = '\0';
        if (sscanf(line, "%llx-%llx r-xp %*s %*s %*s %n", &begin, &end, &at) != 2 || at == 0 ||
            strcmp(line + at, program) != 0)
            continue;
        t->text_begin = begin;
        t->text_end = end;
    }
    fclose(maps);
    must(t->text_end != 0, "tracer: no text");
}

static void seize(struct tracee *t, int pid, long options) {
    *t = (struct tracee){.pid = pid};
    must(ptrace(PTRACE_SEIZE, pid, NULL, (void *)(options | PTRACE_O_EXITKILL)) == 0,
         "tracer: seize");
}

void tracee_seize(struct tracee *t, int pid) {
    seize(t, pid, 0);
    find_text(t);
}

void tracee_seize_before_fork(struct tracee *t, int pid) {
    seize(t, pid, PTRACE_O_TRACEFORK);
}

/* What waitpid has said. */
static void note(struct tracee *t, int status) {
    struct user_regs_struct regs;
    if (!WIFSTOPPED(status)) {
        t->ended = true;
        return;
    }
    if (ptrace(PTRACE_GETREGS, t->pid, NULL, &regs) != 0) {
        /* It was killed meanwhile. */
        must(errno == ESRCH && waitpid(t->pid, &status, __WALL) == t->pid && !WIFSTOPPED(status),
             "tracer: registers");
        t->ended = true;
        return;
    }
    t->at = regs.rip;
    t->rax = regs.rax;
    t->rsi = regs.rsi;
    t->rsp = regs.rsp;
}

void tracee_wait(struct tracee *t) {
    int status;
    if (t->ended) return;
    must(waitpid(t->pid, &status, __WALL) == t->pid, "tracer: waitpid");
    note(t, status);
}

void tracee_stop(struct tracee *t) {
    must(ptrace(PTRACE_INTERRUPT, t->pid, NULL, NULL) == 0, "tracer: interrupt");
    tracee_wait(t);
}

void tracee_take_child(struct tracee *parent, struct tracee *child) {
    unsigned long pid = 0;
    int status;
    must(waitpid(parent->pid, &status, __WALL) == parent->pid &&
             status >> 8 == (SIGTRAP | PTRACE_EVENT_FORK << 8) &&
             ptrace(PTRACE_GETEVENTMSG, parent->pid, NULL, &pid) == 0,
         "tracer: no fork");
    *child = (struct tracee){.pid = (int)pid};
    tracee_wait(child);
    /* Its own children, should it have any, are not waited for. */
    must(ptrace(PTRACE_SETOPTIONS, child->pid, NULL, (void *)PTRACE_O_EXITKILL) == 0 &&
             ptrace(PTRACE_DETACH, parent->pid, NULL, NULL) == 0,
         "tracer: detach");
    find_text(child);
}

bool tracee_is_at_call(const struct tracee *t) {
    errno = 0;
    long word = ptrace(PTRACE_PEEKTEXT, t->pid, (void *)(uintptr_t)t->at, NULL);
    return errno == 0 && (word & 0xffff) == 0x050f;
}

bool tracee_is_in_program(const struct tracee *t) {
    return t->at >= t->text_begin && t->at < t->text_end;
}

static void begin_step(struct tracee *t) {
    if (!t->ended)
        must(ptrace(PTRACE_SINGLESTEP, t->pid, NULL, NULL) == 0 || errno == ESRCH, "tracer: step");
}

void tracee_step(struct tracee *t) {
    begin_step(t);
    tracee_wait(t);
}

bool process_sleeps(int pid) {
    char path[40], text[512], *rest, state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return false;
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    rest = strrchr(text, ')'); /* the name may have any characters */
    return rest != NULL && sscanf(rest + 1, " %c", &state) == 1 && state == 'S';
}

bool tracee_has_stopped(struct tracee *t) {
    int status, got = t->ended ? 0 : waitpid(t->pid, &status, __WALL | WNOHANG);
    must(got >= 0, "tracer: waitpid");
    if (got != 0) note(t, status);
    return t->ended || got != 0;
}

bool tracee_step_unless_asleep(struct tracee *t) {
    begin_step(t);
    while (!tracee_has_stopped(t)) {
        if (process_sleeps(t->pid)) return false;
        sched_yield();
    }
    return true;
}

/* A debug register of the processor: the process's memory stays as it is, and a child gets none of it. */
void tracee_run_to(struct tracee *t, uint64_t address) {
    enum { FIRST = 1 }; /* DR7: the first register holds the address of an instruction */
    must(ptrace(PTRACE_POKEUSER, t->pid, (void *)offsetof(struct user, u_debugreg[0]),
                (void *)(uintptr_t)address) == 0 &&
             ptrace(PTRACE_POKEUSER, t->pid, (void *)offsetof(struct user, u_debugreg[7]),
                    (void *)FIRST) == 0 &&
             ptrace(PTRACE_CONT, t->pid, NULL, NULL) == 0,
         "tracer: breakpoint");
}

uint64_t tracee_return_address(const struct tracee *t) {
    errno = 0;
    long word = ptrace(PTRACE_PEEKDATA, t->pid, (void *)(uintptr_t)t->rsp, NULL);
    return errno == 0 ? (uint64_t)word : 0;
}

void tracee_kill(struct tracee *t) {
    int status;
    if (t->ended) return;
    must(kill(t->pid, SIGKILL) == 0, "tracer: kill");
    do must(waitpid(t->pid, &status, __WALL) == t->pid, "tracer: waitpid");
    while (WIFSTOPPED(status));
    t->ended = true;
}
