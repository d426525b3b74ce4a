/* reclaim/reclaim.h: memory that other threads may still be reading is freed after a grace period.
 *
 * Flow     thieves read a deque's ring between begin and end; the deque's owner, which has replaced
 *          a ring, frees the old one after filch__reclaim_wait.
 * Source   liburcu, flavour bp: it registers threads by itself and tolerates that the program uses the
 *          same library. Desnoyers et al., "User-Level Implementations of Read-Copy Update",
 *          IEEE TPDS 23(2), 2012.
 * Orders   liburcu's own. ThreadSanitizer cannot see into it (0.13 has no annotations), so each end
 *          is told to it as a release and the wait as an acquire.
 * Fork     liburcu asks to be told of every fork(): its two locks are held across it, so that they are free in
 *          the child, and the child forgets the readers that it does not have. The locks are not recursive: a
 *          program that uses liburcu-bp itself leaves urcu_bp_before_fork and its kin to this library. A fork()
 *          waits for grace periods that are going on, so that it must not be called while the caller reads under
 *          liburcu-bp. A third lock, which liburcu 0.13 takes for an instant when a thread reads for the first
 *          time and when it ends, is not held across the fork: a child of just that instant would hang when
 *          it starts workers. Only liburcu can mend that.
 * Progress begin and end are wait-free but for a thread's first (it registers under a mutex of
 *          liburcu); wait blocks until every reader of that moment has ended. */
#ifndef FILCH_RECLAIM_RECLAIM_H
#define FILCH_RECLAIM_RECLAIM_H

void filch__reclaim_read_begin(void);
void filch__reclaim_read_end(void);
/* Must not be called between begin and end. */
void filch__reclaim_wait(void);

/* Around a fork(), in the thread that forks; from the first to the second or third all signals are blocked. */
void filch__reclaim_before_fork(void);
void filch__reclaim_after_fork_in_parent(void);
void filch__reclaim_after_fork_in_child(void);

#endif
