/* fork.h: what a child of fork() knows of what it has from its parent.
 *
 * Flow     fork.c's handlers run around every fork(), in the thread that forks. In the child, which has that
 *          thread alone, the generation grows by one. Executors, and the homes of their futures, keep the
 *          generation that they were made in; where it is not the present one, they are the parent's:
 *          executor.c, future.c and await.c answer FILCH_EFORKED before they look at anything else.
 *          A worker that forks is none in the child (filch__self is NULL there). Wherever the library goes
 *          on after code of the user (a task, callback, destructor, initializer), it looks whether that has
 *          forked, and in the child leaves the rest to the parent.
 * State    filch__fork_generation: changes in a child only, before it has a second thread.
 * Memory   what the parent had is in the child's memory too and stays there: nobody knows in which state
 *          threads that the child does not have have left it. Futures may be released.
 * Not here: vfork, _Fork and clone, which run no handlers; a signal handler that forks while it interrupts
 *          a call of the library. */
#ifndef FILCH_FORK_H
#define FILCH_FORK_H

#include "base/atomics.h"
#include <stdbool.h>
#include <stdint.h>

extern uint32_t filch__fork_generation;

/* How many forks lie between this process and the one that loaded the library. */
static inline uint32_t filch__fork_now(void) {
    return load_relaxed(&filch__fork_generation); /* relaxed: changes while there is one thread */
}

/* Are the handlers registered? If not, no executor may be made. */
bool filch__fork_is_handled(void);

#endif
