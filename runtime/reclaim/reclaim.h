/* reclaim/reclaim.h: memory that other threads may still be reading is freed after a grace period.
 *
 * Flow     thieves read a deque's ring between begin and end; the deque's owner, which has replaced
 *          a ring, frees the old one after filch__reclaim_wait.
 * Source   liburcu, flavour bp: it registers threads by itself and tolerates that the program uses the
 *          same library. Desnoyers et al., "User-Level Implementations of Read-Copy Update",
 *          IEEE TPDS 23(2), 2012.
 * Orders   liburcu's own. ThreadSanitizer cannot see into it (0.13 has no annotations), so each end
 *          is told to it as a release and the wait as an acquire.
 * Progress begin and end are wait-free but for a thread's first (it registers under a mutex of
 *          liburcu); wait blocks until every reader of that moment has ended. */
#ifndef FILCH_RECLAIM_RECLAIM_H
#define FILCH_RECLAIM_RECLAIM_H

void filch__reclaim_read_begin(void);
void filch__reclaim_read_end(void);
/* Must not be called between begin and end. */
void filch__reclaim_wait(void);

#endif
