/* os/clock.h: time, as nanoseconds of CLOCK_MONOTONIC, and deadlines that do not overflow. */
#ifndef FILCH_OS_CLOCK_H
#define FILCH_OS_CLOCK_H

#include <filch/time.h>
#include <time.h>

/* Nanoseconds since some point before the program started. About 25 ns. */
static inline int64_t filch__now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The absolute time of a relative timeout > 0; FILCH_FOREVER stays what it is. */
static inline int64_t filch__deadline(filch_nanoseconds timeout) {
    if (timeout == FILCH_FOREVER) return FILCH_FOREVER;
    int64_t now = filch__now();
    return timeout > FILCH_FOREVER - now ? FILCH_FOREVER : now + timeout;
}

/* Deadlines as internal calls take them: absolute; one of 0 or less polls. From a relative timeout: */
static inline int64_t filch__deadline_or_poll(filch_nanoseconds timeout) {
    return timeout <= 0 ? 0 : filch__deadline(timeout);
}
/* From the caller's absolute one, which polls if it is past: */
static inline int64_t filch__until_or_poll(filch_nanoseconds deadline) {
    return deadline > 0 && (deadline == FILCH_FOREVER || deadline > filch__now()) ? deadline : 0;
}

#endif
