/* os/spin.h: the pauses of a thread that spins, for a bounded time.
 *
 * Who spins yields its CPU, because Linux likes to wake a thread on the CPU of its waker, and there a
 * spinning waiter would keep the awaited thread from running. A yield that returns at once has found nobody
 * else on this CPU, and the thread then yields no more for a while, in later spins too: it costs 0.2 us, in
 * which nothing is seen. One that takes as long as a time slice has met a thread that computes: the spin is then over
 * at once, and for a longer while the thread does not spin. It would take the CPU from that thread, which may
 * be the very one that it waits for, and who sleeps is preferred when it is woken. A thread outside that takes the
 * results of many short tasks dozes before it spins, where that has proved good (doze.h). */
#ifndef FILCH_OS_SPIN_H
#define FILCH_OS_SPIN_H

#include "base/atomics.h"
#include "base/compiler.h"
#include "os/clock.h"
#include "os/thread.h"
#include <stdbool.h>
#include <stdint.h>

/* Looks between two looks at the clock; one takes some 25 to 50 ns. */
#define SPIN_LOOKS 8
/* Nanoseconds that a yield takes at most if there is nobody else; the pause after such a one. */
#define SPIN_YIELD_ALONE 600
#define SPIN_YIELD_EVERY 2000
/* Nanoseconds that it takes at least if somebody computes; and for how long there is then no spinning. */
#define SPIN_YIELD_SLICE 200000
#define SPIN_BANNED 50000000

struct filch__spin {
    int64_t end; /* time */
    uint32_t looks;
};

/* Of the calling thread: it does not yield, and not spin, before these times. */
extern __thread int64_t filch__spin_yield_at, filch__spin_banned_until;

/* Spins for `duration` nanoseconds from the first look at the clock on, and not past the deadline. */
static inline struct filch__spin filch__spin_begin(void) {
    return (struct filch__spin){0, 0};
}

/* Lets others run on this CPU, at the time `now`, and learns when to do so again. False: the spin is over. */
bool filch__spin_yield(const struct filch__spin *s, int64_t now);

/* Between two looks. False: the time is over. */
static inline bool filch__spin_pause(struct filch__spin *s, int64_t duration, int64_t deadline) {
    cpu_relax();
    if (++s->looks % SPIN_LOOKS != 0) return true;
    int64_t now = filch__now();
    if (s->end == 0) s->end = now + duration < deadline ? now + duration : deadline;
    if (unlikely(now < filch__spin_banned_until)) return false;
    return now < filch__spin_yield_at ? now < s->end : filch__spin_yield(s, now);
}

#endif
