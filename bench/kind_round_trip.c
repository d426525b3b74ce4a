/* kind_round_trip.c: submit one no-op, wait for its result, over and over.
 *
 * Figure: the median of the single times of the turn; all single times are kept for the distribution.
 * *Hot* is back to back; *parked* sleeps before each for longer than any runtime spins. `bare` is what
 * a wake-up costs at least: two threads that hand a word to each other through futexes, and sleep.
 *
 * Orders
 *   P1 store_release word (hand_over) -> P2 load_acquire word (await): that the other's turn is over
 *
 * SPDX-License-Identifier: MIT */
#include "kind.h"
#include "summary.h"
#include "workload.h"

#include <filch/atomic.h>

#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WARM_TRIPS = 20 };
/* Seconds of trips before the clock starts where they are back to back: two threads that were put on one CPU,
 * and yield it to each other, are seen to be moved apart by the kernel after some 50 ms. */
#define WARM_HOT 0.1

/* Whose turn it is; END ends the other thread. */
enum { MINE, YOURS, END };

static bool can(const bench_contestant *contestant, const bench_workload *workload, int workers) {
    (void)workload, (void)workers;
    return contestant != &contestant_sequential;
}

static void hand_over(uint32_t *word, uint32_t to) {
    filch_store_release(word, to); /* P1 -> P2 */
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Sleeps until the word is no longer `from`; what it is then. */
static uint32_t await(uint32_t *word, uint32_t from) {
    uint32_t now;
    while ((now = filch_load_acquire(word)) == from) /* P2 <- P1 */
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, from, NULL, NULL, 0);
    return now;
}

static void *answer(void *arg) {
    uint32_t *word = arg;
    while (await(word, MINE) != END) hand_over(word, MINE);
    return NULL;
}

/* One trip; how many results were wrong. `word` is NULL but for bare. */
static size_t take_trip(const bench_run *run, uint32_t *word) {
    if (word == NULL) {
        bench_batch batch = kind_echo_batch(1);
        return run->contestant->run_batch(run->pool, &batch, run->memory);
    }
    hand_over(word, YOURS);
    return await(word, YOURS) != MINE;
}

static bool keep(bench_samples *samples, double seconds) {
    if (samples->length == samples->room) {
        size_t room = samples->room * 2 + 1024;
        double *grown = realloc(samples->seconds, room * sizeof *grown);
        if (grown == NULL) return false;
        samples->seconds = grown;
        samples->room = room;
    }
    samples->seconds[samples->length++] = seconds;
    return true;
}

static void take_trips(bench_run *run, uint32_t *word) {
    int64_t pause = run->workload->pause;
    double warm = kind_now() + (pause > 0 ? 0 : WARM_HOT);
    for (int i = 0; i < WARM_TRIPS || kind_now() < warm; i++) run->wrong += take_trip(run, word);
    run_started(run);
    size_t first = run->samples->length;
    while (gbench_next(run->state)) {
        if (pause > 0) {
            gbench_pause(run->state);
            kind_sleep(pause);
            gbench_resume(run->state);
        }
        double began = kind_now();
        run->wrong += take_trip(run, word);
        if (!keep(run->samples, kind_now() - began)) run->error = "there is no memory";
    }
    run->figure =
        summarize_copy(run->samples->seconds + first, run->samples->length - first).median;
}

static void measure(bench_run *run) {
    uint32_t word = MINE;
    pthread_t other;
    if (!run_is_bare(run)) {
        take_trips(run, NULL);
        return;
    }
    if (pthread_create(&other, NULL, answer, &word) != 0) {
        run->error = "its thread cannot be started";
        return;
    }
    take_trips(run, &word);
    hand_over(&word, END);
    pthread_join(other, NULL);
}

const bench_kind kind_round_trip = {.section = "round trip of one no-op, us",
                                    .unit = "us",
                                    .factor = 1e6,
                                    .meaning = MEANING_DISTRIBUTION,
                                    .can = can,
                                    .measure = measure};
