/* thread/entry.h: what stands in a deque: a future, or a frame of fork-join.
 *
 * An entry is an address; both kinds are aligned to 16 bytes at least, and bit 0 tells them apart. 0 is
 * no entry. Futures are the only kind that is pushed today; the deque never looks. */
#ifndef FILCH_THREAD_ENTRY_H
#define FILCH_THREAD_ENTRY_H

#include <filch/task.h>
#include <stdbool.h>
#include <stdint.h>

typedef uintptr_t filch__entry;

#define ENTRY_NONE ((filch__entry)0)
#define ENTRY_FRAME_BIT ((filch__entry)1)

static inline filch__entry filch__entry_of_future(filch_future *f) {
    return (filch__entry)f;
}
static inline bool filch__entry_is_frame(filch__entry e) {
    return (e & ENTRY_FRAME_BIT) != 0;
}
static inline filch_future *filch__entry_future(filch__entry e) {
    return (filch_future *)e;
}

#endif
