/* thread/entry.h: what a worker finds: a future, or a call that was forked.
 *
 * An entry is an address; both kinds are aligned to 16 bytes at least, and bit 0 tells them apart. 0 is
 * no entry. Deques hold futures; forked calls stand in lanes (lane.h). */
#ifndef FILCH_THREAD_ENTRY_H
#define FILCH_THREAD_ENTRY_H

#include <filch/lane.h>
#include <filch/task.h>
#include <stdbool.h>
#include <stdint.h>

typedef uintptr_t filch__entry;

#define ENTRY_NONE ((filch__entry)0)
#define ENTRY_FRAME_BIT ((filch__entry)1)

static inline filch__entry filch__entry_of_future(filch_future *f) {
    return (filch__entry)f;
}
static inline filch__entry filch__entry_of_frame(filch_slot *slot) {
    return (filch__entry)slot | ENTRY_FRAME_BIT;
}
static inline filch_slot *filch__entry_frame(filch__entry e) {
    return (filch_slot *)(e & ~ENTRY_FRAME_BIT);
}
static inline bool filch__entry_is_frame(filch__entry e) {
    return (e & ENTRY_FRAME_BIT) != 0;
}
static inline filch_future *filch__entry_future(filch__entry e) {
    return (filch_future *)e;
}

#endif
