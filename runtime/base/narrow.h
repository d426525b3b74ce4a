/* base/narrow.h: widths of counters that may wrap or saturate.
 *
 * A counter of 32 bits overflows after weeks in production and never in a test. The build
 * FILCH_NARROW_COUNTERS makes each of them a few bits wide, so that the tests see it happen. */
#ifndef FILCH_BASE_NARROW_H
#define FILCH_BASE_NARROW_H

#if defined(FILCH_NARROW_COUNTERS)
#define COUNTER_BITS(normal, narrow) (narrow)
#else
#define COUNTER_BITS(normal, narrow) (normal)
#endif

#endif
