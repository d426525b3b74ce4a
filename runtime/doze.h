/* doze.h: the short sleep of a thread outside that takes many results, one after the other.
 *
 * Where tasks are short and many are queued, each future is done soon after the one before it. A waiter that
 * spins takes a whole CPU from workers that need it; one that is woken for each future costs them a wake-up per
 * task. So it dozes: it sleeps for some 50 us, asks no task to wake it, and then finds many futures done. A
 * worker that finds nothing to do ends the dozes, so that nobody dozes beside an idle worker.
 *
 * Each doze is judged. It was good if it lasted its time, its future was then done, and so were the next ones
 * that the thread took. After one that was not, the thread does not doze for a while, each time longer.
 *
 * Flow     filch_future_result, not done, outside -> filch__doze; then it spins and sleeps as ever.
 *          thread/idle.c (nothing to do) -> filch__doze_end.
 * State    home->dozing: 1 from before a doze until an idle worker has ended it; slept on. A hint: who is not told
 *          sleeps to the end of the doze. filch__dozes: the thread's own.
 * Not here: the spin (os/spin.h), and the sleep that the future ends (filch__future_sleep). */
#ifndef FILCH_DOZE_H
#define FILCH_DOZE_H

#include "future.h"

/* Nanoseconds of a doze. The kernel adds up to 50 us, its timer slack. */
#define DOZE 50000
/* Futures after its own that are done at once by which a doze was good. */
#define DOZE_TAKES 2
/* Nanoseconds without a doze after a bad one: at first, how much longer each time, and at most. What is bad costs
 * some 10 us (an idle worker ends it), so that of a thread that it never helps it takes 0.3 %. */
#define DOZE_PAUSE_FIRST 50000
#define DOZE_PAUSE_GROWTH 4
#define DOZE_PAUSE_MAX 3200000
/* And one wait without a doze, and without a look at the clock, for so many nanoseconds of the pause, where the
 * waits are far between. */
#define DOZE_PAUSE_WAIT 25000

/* Of the calling thread. */
struct filch__dozes {
    uint32_t waits; /* without a doze that are to come */
    uint32_t taken; /* futures that it found done at once since the last doze; wraps */
    bool open;      /* the last doze is not judged yet */
    int64_t pause;  /* nanoseconds; 0: the last doze was good */
    int64_t next;   /* no doze before this time */
};
extern __thread struct filch__dozes filch__dozes;

/* The thread has found a future done at once. */
static inline void filch__doze_count(void) {
    filch__dozes.taken++;
}

bool filch__doze_slow(filch_future *f, int64_t deadline);
/* A thread outside waits for the future: dozes, if that is promising, and not past the deadline. True: done. */
static inline bool filch__doze(filch_future *f, int64_t deadline) {
    if (filch__dozes.waits == 0) return filch__doze_slow(f, deadline);
    filch__dozes.waits--;
    return false;
}

void filch__doze_end_all(struct filch__home *home);
/* A worker has nothing to do: ends all dozes for futures of its executor. */
static inline void filch__doze_end(struct filch__home *home) {
    if (unlikely(load_relaxed(&home->dozing) != 0)) filch__doze_end_all(home); /* relaxed: a hint */
}

#endif
