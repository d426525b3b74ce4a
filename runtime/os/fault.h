/* os/fault.h: where a test can make the n-th call to the kernel or the allocator fail.
 *
 * Nothing in release builds. A test plans a fault: the kinds of call, how many of them succeed first,
 * and whether only one fails or all from there on. Or it is asked at each call by a hook, which also learns from
 * where the function of the seam was called. */
#ifndef FILCH_OS_FAULT_H
#define FILCH_OS_FAULT_H

#include <stdbool.h>

enum filch__fault_kind {
    FILCH__FAULT_ALLOC = 1,
    FILCH__FAULT_MAP = 2,
    FILCH__FAULT_THREAD = 4,
    FILCH__FAULT_FUTEX = 8,    /* a wait returns at once, as a spurious wake-up does */
    FILCH__FAULT_BARRIER = 16, /* there is no membarrier; where there was one, it fails */
    FILCH__FAULT_PROCESS = 32, /* no process can be started */
    FILCH__FAULT_FD = 64,      /* no descriptor is free */
    FILCH__FAULT_SEND = 128,   /* the kernel has no memory for a packet */
    FILCH__FAULT_ALL = 255
};

#if defined(FILCH_TESTING)
/* Lets `after` calls of the kinds succeed; then one fails, or each if `forever`. */
void filch__fault_plan(unsigned kinds, long after, bool forever);
/* No fault any more. Returns how many were made. */
long filch__fault_clear(void);
/* Asked by the seam at each call: shall it fail? */
#define filch__fault(kind) filch__fault_at(kind, __builtin_return_address(0))
/* `site`: where the function that asks returns to. */
bool filch__fault_at(enum filch__fault_kind kind, const void *site);
/* Decides at each call that the plan lets succeed. Set while no other thread is in the seam. NULL: none. */
typedef bool filch__fault_fn(unsigned kind, const void *site);
extern filch__fault_fn *filch__fault_hook;
/* Live allocations and mappings, for leak checks. */
long filch__fault_live_blocks(void);
void filch__fault_count_block(long change);
#else
static inline bool filch__fault(enum filch__fault_kind kind) {
    (void)kind;
    return false;
}
static inline void filch__fault_count_block(long change) {
    (void)change;
}
#endif

#endif
