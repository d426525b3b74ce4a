/* filch/time.h: durations.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TIME_H
#define FILCH_TIME_H

#include <stdint.h>

/* A duration in nanoseconds, relative to the call. 0 and negative values poll. */
typedef int64_t filch_nanoseconds;

/* Wait without end. */
#define FILCH_FOREVER INT64_MAX

/* Seconds and milliseconds as nanoseconds, from any arithmetic value; too large is FILCH_FOREVER,
 * and what is no number polls. */
#define FILCH_SECONDS(x) filch_nanoseconds_from((double)(x)*1e9)
#define FILCH_MILLISECONDS(x) filch_nanoseconds_from((double)(x)*1e6)

static inline filch_nanoseconds filch_nanoseconds_from(double ns) {
    if (ns >= 9223372036854775807.0) return FILCH_FOREVER;
    return ns > 0 ? (filch_nanoseconds)ns : 0;
}

#endif
