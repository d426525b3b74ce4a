/* os/futex.h: sleeping in the kernel on a 32-bit word.
 *
 * A wait may return at any time without a reason (a signal, a stale wake-up for memory that was used
 * again), so every caller waits in a loop that looks at the word. No pthread condition variable: that
 * of glibc 2.36 can lose a wake-up (bug 25847). */
#ifndef FILCH_OS_FUTEX_H
#define FILCH_OS_FUTEX_H

#include <stdbool.h>
#include <stdint.h>

/* Sleeps while *word is `expected`, until the absolute time `deadline` (FILCH_FOREVER: no end).
 * Returns false if the time is over, true in every other case. */
bool filch__futex_wait(uint32_t *word, uint32_t expected, int64_t deadline);
/* Wakes up to `count` threads that sleep on the word. The memory itself is not touched, so a word
 * that was freed meanwhile does no harm: its next user sees a wake-up without a reason. */
void filch__futex_wake(uint32_t *word, int count);

/* The same for a word in memory that processes share (os/shm.h), wherever each has mapped it. Who waits may have mapped
 * it for reading only. */
bool filch__futex_wait_shared(const uint32_t *word, uint32_t expected, int64_t deadline);
void filch__futex_wake_shared(uint32_t *word, int count);

#endif
