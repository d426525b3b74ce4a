/* os/barrier.h: a barrier on every CPU that runs a thread of this program.
 *
 * The partner of the light operations of filch/atomic.h: whoever calls it orders both his own earlier stores before his
 * later loads, and, at some moment within the call, those of every other thread. membarrier(2): 0.4 us while the
 * other CPUs are idle, up to 10 us otherwise (Zen 4, 2 CPUs). liburcu has registered the program for it when it
 * was loaded, or it is done here.
 * Where the kernel refuses it (a seccomp filter, before 4.14) there is none. Then nobody may take what was only
 * published by light operations: forked calls are made public, by a CAS, at each fork and join (thread/frames.c). */
#ifndef FILCH_OS_BARRIER_H
#define FILCH_OS_BARRIER_H

#include <stdbool.h>

/* Is there one? Registers the program for it. Any thread; the first call takes a system call. */
bool filch__barrier_is_there(void);
/* False: it was not made, and there is none any more. Calls that were forked before and are not public are then left
 * for their owner. */
bool filch__barrier_everywhere(void);

#endif
