/* os/thread.h: starting, naming, pinning and joining threads. */
#ifndef FILCH_OS_THREAD_H
#define FILCH_OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Starts fn(arg) in a new thread with stack_size bytes of stack (0: the system's default), which
 * inherits the caller's signal mask. Returns 0 or an errno. */
int filch__thread_start(pthread_t *thread, size_t stack_size, void *(*fn)(void *), void *arg);
/* The smallest stack that a thread may have, in bytes, thread-local storage included. */
size_t filch__thread_stack_least(void);
/* Lets others run on this CPU, if there are any. About 0.2 us if not. */
void filch__thread_yield(void);
void filch__thread_join(pthread_t thread);
/* Has the three called by every fork(), in the thread that forks. Returns 0 or an errno. */
int filch__thread_at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));
/* Names the calling thread; cut to 15 bytes. */
void filch__thread_name(const char *prefix, int index);
/* Lowest address of the calling thread's stack that may be used; 0 if that cannot be found out. */
size_t filch__thread_stack_low(void);

#endif
