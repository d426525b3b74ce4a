/* exit.h: executors at the end of the program.
 *
 * Flow     whoever makes an executor registers it; exit() calls ops->end_at_exit, in the reverse order of
 *          registrations, the program's own handlers among them. filch_executor_destroy forgets it.
 * State    a ticket for each executor: LIVE; GONE, set by destroy; ENDING and then ENDED, set by exit().
 * Orders
 *   Z1 cas_acq_rel state (begin, forget) -> Z1 cas_acq_rel state (begin, forget): one of exit() and destroy has the executor
 *   Z2 store_release state (ended) -> Z3 load_acquire state (forget): what exit() did with the executor
 * Progress blocking, like glibc's list of handlers: making and destroying executors takes a lock.
 * Memory   the ticket outlives the executor where exit() has already taken it off glibc's list, and only then is
 *          about to look at it: with GONE the handler frees it, else destroy does.
 * Source   each executor has a registration of its own by __cxa_atexit, with its ticket as the handle of a
 *          shared object, and __cxa_finalize takes it back (Itanium C++ ABI, 3.3.6.3): with atexit a program
 *          that makes and destroys executors would leave a handler behind for each, and with one handler for
 *          all of them, handlers registered between two executors could not run between their ends. */
#ifndef FILCH_EXIT_H
#define FILCH_EXIT_H

#include <filch/task.h>
#include <stdbool.h>

struct filch__ticket;

/* False: no memory. */
bool filch__exit_register(filch_executor *e);
/* The executor has ended and is going to be freed. If exit() is just ending it, waits for that. */
void filch__exit_forget(filch_executor *e);

/* Around fork(), in the thread that forks; the second one in both processes. */
void filch__exit_before_fork(void);
void filch__exit_after_fork(void);

#endif
