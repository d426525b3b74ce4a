/* os/bell.h: a descriptor on which one sleeps until another process rings (eventfd), and sleeping on several at once. */
#ifndef FILCH_OS_BELL_H
#define FILCH_OS_BELL_H

#include <stdbool.h>
#include <stdint.h>

/* Returns the descriptor (nonblocking, closed on exec), or a negative errno. */
int filch__bell_create(void);
/* Wakes who sleeps on it, or who will next. */
void filch__bell_ring(int fd);
/* Takes back all rings so far. */
void filch__bell_clear(int fd);

/* Sleeps until one of the n descriptors (at most 64; -1: left out) is readable or closed, or the absolute deadline has passed. ready[i] says
 * which. False: the deadline. Signals do not end it. */
bool filch__fds_wait(const int *fds, int n, bool *ready, int64_t deadline);

#endif
