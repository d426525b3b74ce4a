/* process_bare.c: what the machine allows: two processes that do nothing but wake each other.
 *
 * One word in shared memory goes up by one at each turn; whoever waits for it sleeps on it (FUTEX_WAIT), at
 * once and without spinning, since that is what a parked worker and its waiter do.
 *
 * SPDX-License-Identifier: MIT */
#include "process_bench.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct ping_pong {
    uint32_t word; /* even: the program's turn */
    pid_t other;
};

static void wait_while(uint32_t *word, uint32_t value) {
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
        syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}
static void pass(uint32_t *word, uint32_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void answer(ping_pong *p) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (uint32_t turn = 0;; turn += 2) {
        wait_while(&p->word, turn);
        pass(&p->word, turn + 2);
    }
}

ping_pong *ping_pong_start(void) {
    ping_pong *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t other = p == MAP_FAILED ? -1 : fork();
    if (other < 0) {
        perror("ping-pong");
        exit(1);
    }
    if (other == 0) answer(p);
    p->other = other; /* shared: not by the child, too */
    return p;
}

void ping_pong_round(ping_pong *p) {
    uint32_t turn = __atomic_load_n(&p->word, __ATOMIC_RELAXED);
    pass(&p->word, turn + 1);
    wait_while(&p->word, turn + 1);
}

void ping_pong_end(ping_pong *p) {
    kill(p->other, SIGKILL);
    waitpid(p->other, NULL, 0);
    munmap(p, sizeof *p);
}
