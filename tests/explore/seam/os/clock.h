/* seam/os/clock.h: stands in the place of runtime/os/clock.h: a time that depends on the execution alone. It goes on
 * by 1 us with each look.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_OS_CLOCK_H
#define FILCH_OS_CLOCK_H

#include "explorer.h"

#include <filch/time.h>

static inline int64_t filch__now(void) {
    return explore_now();
}

static inline int64_t filch__deadline(filch_nanoseconds timeout) {
    return timeout == FILCH_FOREVER ? FILCH_FOREVER : filch__now() + timeout;
}
static inline int64_t filch__deadline_or_poll(filch_nanoseconds timeout) {
    return timeout <= 0 ? 0 : filch__deadline(timeout);
}
static inline int64_t filch__until_or_poll(filch_nanoseconds deadline) {
    return deadline > 0 && (deadline == FILCH_FOREVER || deadline > filch__now()) ? deadline : 0;
}

#endif
