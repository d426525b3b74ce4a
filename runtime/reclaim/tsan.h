/* reclaim/tsan.h: tells ThreadSanitizer the happens-before edges of liburcu, which it cannot see. */
#ifndef FILCH_RECLAIM_TSAN_H
#define FILCH_RECLAIM_TSAN_H

#if defined(FILCH_ATOMICS_TSAN)
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define tell_acquire(address) __tsan_acquire(address)
#define tell_release(address) __tsan_release(address)
#else
#define tell_acquire(address) ((void)(address))
#define tell_release(address) ((void)(address))
#endif

#endif
