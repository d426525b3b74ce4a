/* progress.c: see progress.h.
 *
 * State: all of it belongs to the thread that runs the race. Nothing is written while a clock runs.
 *
 * SPDX-License-Identifier: MIT */
#include "progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { PLAIN_INTERVAL = 5 }; /* seconds between lines where nothing can be rewritten */

static struct {
    bool terminal;
    size_t total;
    int rounds;
    size_t started;
    double began;
    double last_line;
} state;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void progress_begin(size_t total, int rounds) {
    state.terminal = isatty(STDERR_FILENO) == 1;
    state.total = total;
    state.rounds = rounds;
    state.started = 0;
    state.began = now();
    state.last_line = state.began;
}

void progress_step(int round, const char *what, const char *who) {
    double elapsed = now() - state.began;
    size_t done = state.started++;
    double left = done > 0 ? elapsed / (double)done * (double)(state.total - done) : 0;
    if (state.terminal) {
        fprintf(stderr, "\r\033[Kround %d of %d: %s, %s; %.0f s, about %.0f s left", round + 1,
                state.rounds, what, who, elapsed, left);
        fflush(stderr);
    } else if (done > 0 && now() - state.last_line >= PLAIN_INTERVAL) {
        fprintf(stderr, "round %d of %d; %.0f s, about %.0f s left\n", round + 1, state.rounds,
                elapsed, left);
        state.last_line = now();
    }
}

void progress_end(void) {
    if (state.terminal) fprintf(stderr, "\r\033[K");
}
