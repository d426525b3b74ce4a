/* thread/sleep.h: who is awake. One atomic word counts the workers by what they do, so that "wake one,
 * start one, or leave it" is one decision.
 *
 * A worker is BUSY (runs a task), SEARCHING (looks at every queue), SLEEPING (announced; parked or about
 * to be), BLOCKED (parked inside a task that waits), or gone. README.md has the numbered steps of both
 * sides, the races and the proof; the code names the steps.
 *
 * State    word: 14 bits each of searching, sleeping, blocked, started; WAKING; CLOSING.
 * Keeps    1. searching + sleeping + blocked <= started <= limit.
 *          2. WAKING is set only with sleeping > 0, and cleared by every worker that ends its sleep: while
 *             it is set, some worker is on its way to searching, or to finding that max are awake.
 *          3. awake = started - sleeping - blocked. Nobody is woken or started while awake >= max; it
 *             passes max only when a blocked worker comes back, until a worker retires.
 * Orders
 *   S1 fence_seq_cst (producer, step P2) -> S2 fence_seq_cst (worker, steps W3 and W6): of "publish work, read the word" and "change the word, look for work", at least one sees the other
 *   S3 cas_acq_rel word (any change) -> S4 load_acquire word (read): what the changer did before
 *   S3 cas_acq_rel word (any change) -> S3 cas_acq_rel word (any change): the same, along the word's modification order
 *          4. With CLOSING set, started never leaves 0.
 * Progress every transition is lock-free; a retry means that another thread has made one. */
#ifndef FILCH_THREAD_SLEEP_H
#define FILCH_THREAD_SLEEP_H

#include "base/atomics.h"
#include "base/compiler.h"
#include <stdbool.h>
#include <stdint.h>

enum { SLEEP_COUNT_BITS = 14 };
#define SLEEP_COUNT_MAX ((UINT64_C(1) << SLEEP_COUNT_BITS) - 1)
#define SEARCHING_ONE (UINT64_C(1))
#define SLEEPING_ONE (UINT64_C(1) << SLEEP_COUNT_BITS)
#define BLOCKED_ONE (UINT64_C(1) << 2 * SLEEP_COUNT_BITS)
#define STARTED_ONE (UINT64_C(1) << 3 * SLEEP_COUNT_BITS)
#define WAKING_BIT (UINT64_C(1) << 4 * SLEEP_COUNT_BITS)
#define CLOSING_BIT (UINT64_C(1) << (4 * SLEEP_COUNT_BITS + 1))

struct filch__sleep {
    own_lines uint64_t word;
    own_lines uint32_t max; /* workers that may be awake */
    uint32_t limit;         /* workers that may be started */
    uint32_t searchers;     /* workers that may spin in search at a time */
};

static inline uint32_t sleep_count(uint64_t word, uint64_t one) {
    return (uint32_t)(word / one & SLEEP_COUNT_MAX);
}
static inline uint32_t sleep_awake(uint64_t word) {
    return sleep_count(word, STARTED_ONE) - sleep_count(word, SLEEPING_ONE) -
           sleep_count(word, BLOCKED_ONE);
}

static inline uint64_t sleep_read(struct filch__sleep *s) {
    return load_acquire(&s->word); /* S4 <- S3 */
}

/* The word becomes word + change; returns what it becomes. */
static inline uint64_t sleep_change(struct filch__sleep *s, uint64_t change) {
    uint64_t w = load_acquire(&s->word);           /* S4 <- S3 */
    while (!cas_acq_rel(&s->word, &w, w + change)) /* S3 -> S4, S3; S3 <- S3 */
        continue;
    return w + change;
}

/* WAKING is set, and there is another sleeper who may be awake as well. To unpark it as well needs no
 * transition: a sleeper may wake up at any time, and finds out itself whether it is needed. */
static inline bool sleep_has_another(struct filch__sleep *s, uint64_t w) {
    return (w & WAKING_BIT) != 0 && sleep_count(w, SLEEPING_ONE) > 1 && sleep_awake(w) + 1 < s->max;
}

/* Does nobody search, though somebody could? The quick look before sleep_decide. */
static inline bool sleep_wants_worker(struct filch__sleep *s) {
    uint64_t w = load_acquire(&s->word); /* S4 <- S3 */
    if (sleep_count(w, SEARCHING_ONE) != 0 || sleep_awake(w) >= s->max) return false;
    return (w & WAKING_BIT) == 0 || sleep_has_another(s, w);
}

enum filch__wake { WAKE_NOBODY, WAKE_SLEEPER, WAKE_ANOTHER, WAKE_START };

/* Work was published (P1) and a fence made (P2): with this word, who shall be told? */
static inline enum filch__wake sleep_decide(struct filch__sleep *s, uint64_t w, bool may_start) {
    if (sleep_count(w, SEARCHING_ONE) != 0 || sleep_awake(w) >= s->max) return WAKE_NOBODY;
    if ((w & WAKING_BIT) != 0) return sleep_has_another(s, w) ? WAKE_ANOTHER : WAKE_NOBODY;
    if (sleep_count(w, SLEEPING_ONE) != 0) return WAKE_SLEEPER;
    if (!may_start || sleep_count(w, STARTED_ONE) >= s->limit) return WAKE_NOBODY;
    return (w & CLOSING_BIT) != 0 && sleep_count(w, STARTED_ONE) == 0 ? WAKE_NOBODY : WAKE_START;
}

/* Makes the decision that was taken for the word *w (P3). False: the word has changed, *w is it now.
 * WAKE_SLEEPER: WAKING is set, the caller unparks a sleeper. WAKE_ANOTHER: as well, but another was called
 * before. WAKE_START: a worker was added that counts as searching, the caller starts its thread or takes it
 * back with sleep_start_failed. */
static inline bool sleep_commit(struct filch__sleep *s, uint64_t *w, enum filch__wake what) {
    if (what == WAKE_NOBODY || what == WAKE_ANOTHER) return true;
    uint64_t next = what == WAKE_SLEEPER ? *w | WAKING_BIT : *w + STARTED_ONE + SEARCHING_ONE;
    return cas_acq_rel(&s->word, w, next); /* S3 -> S4, S3; S3 <- S3 */
}

/* Both, until the word stands still. */
static inline enum filch__wake sleep_want_worker(struct filch__sleep *s, bool may_start) {
    uint64_t w = load_acquire(&s->word); /* S4 <- S3 */
    enum filch__wake what;
    do {
        what = sleep_decide(s, w, may_start);
    } while (!sleep_commit(s, &w, what));
    return what;
}

/* Reserves the executor's first worker. False: there is one, or it is closing. */
static inline bool sleep_start_first(struct filch__sleep *s) {
    uint64_t w = load_acquire(&s->word); /* S4 <- S3 */
    do {
        if (sleep_count(w, STARTED_ONE) != 0 || (w & CLOSING_BIT) != 0) return false;
    } while (
        !cas_acq_rel(&s->word, &w, w + STARTED_ONE + SEARCHING_ONE)); /* S3 -> S4, S3; S3 <- S3 */
    return true;
}

/* The thread of WAKE_START or sleep_start_first could not be started. */
static inline uint64_t sleep_start_failed(struct filch__sleep *s) {
    return sleep_change(s, -(STARTED_ONE + SEARCHING_ONE));
}

/* BUSY to SEARCHING, if not too many spin already. */
static inline bool sleep_try_search(struct filch__sleep *s) {
    uint64_t w = load_acquire(&s->word); /* S4 <- S3 */
    do {
        if (sleep_count(w, SEARCHING_ONE) >= s->searchers) return false;
    } while (!cas_acq_rel(&s->word, &w, w + SEARCHING_ONE)); /* S3 -> S4, S3; S3 <- S3 */
    return true;
}

/* SEARCHING to BUSY: work was found (W4). True: it was the last searcher and others could be woken or
 * started, so that the caller must look once more, after a fence, whether there is work for them. */
static inline bool sleep_found(struct filch__sleep *s) {
    uint64_t w = sleep_change(s, -SEARCHING_ONE);
    if (sleep_count(w, SEARCHING_ONE) != 0 || sleep_awake(w) >= s->max) return false;
    return sleep_count(w, SLEEPING_ONE) != 0 || sleep_count(w, STARTED_ONE) < s->limit;
}

/* SEARCHING or BUSY to SLEEPING (W2). */
static inline void sleep_announce(struct filch__sleep *s, bool searching) {
    sleep_change(s, searching ? SLEEPING_ONE - SEARCHING_ONE : SLEEPING_ONE);
}

/* BUSY to SLEEPING if more than max are awake: a blocked worker has come back, one is too many. */
static inline bool sleep_retire(struct filch__sleep *s) {
    uint64_t w = load_acquire(&s->word); /* S4 <- S3 */
    do {
        if (sleep_awake(w) <= s->max) return false;
    } while (!cas_acq_rel(&s->word, &w, w + SLEEPING_ONE)); /* S3 -> S4, S3; S3 <- S3 */
    return true;
}

enum filch__leave { LEAVE_SEARCHING, LEAVE_GONE, LEAVE_NOT };

/* The end of a sleep, for whatever reason (W5); WAKING is cleared. SLEEPING to SEARCHING if fewer than max
 * are awake; else to gone, if the executor is closing; else not at all, the others will do. */
static inline enum filch__leave sleep_leave(struct filch__sleep *s) {
    uint64_t w = load_acquire(&s->word); /* S4 <- S3 */
    for (;;) {
        uint64_t next = w & ~WAKING_BIT;
        enum filch__leave what = LEAVE_NOT;
        if (sleep_awake(w) < s->max) {
            next = next - SLEEPING_ONE + SEARCHING_ONE;
            what = LEAVE_SEARCHING;
        } else if ((w & CLOSING_BIT) != 0) {
            next -= SLEEPING_ONE + STARTED_ONE;
            what = LEAVE_GONE;
        }
        if (cas_acq_rel(&s->word, &w, next)) /* S3 -> S4, S3; S3 <- S3 */
            return what;
    }
}

/* BUSY to BLOCKED and back. */
static inline void sleep_block(struct filch__sleep *s) {
    sleep_change(s, BLOCKED_ONE);
}
static inline uint64_t sleep_unblock(struct filch__sleep *s) {
    return sleep_change(s, -BLOCKED_ONE);
}

/* From here on no submit is accepted. Returns the word before. */
static inline uint64_t sleep_close(struct filch__sleep *s) {
    uint64_t w = load_acquire(&s->word);                /* S4 <- S3 */
    while (!cas_acq_rel(&s->word, &w, w | CLOSING_BIT)) /* S3 -> S4, S3; S3 <- S3 */
        continue;
    return w;
}

/* SEARCHING to gone, when closing. Returns the word after. */
static inline uint64_t sleep_exit(struct filch__sleep *s) {
    return sleep_change(s, -(STARTED_ONE + SEARCHING_ONE));
}

#endif
