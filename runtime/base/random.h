/* base/random.h: a generator for victims; one per worker, no lock, no shared write.
 *
 * Source: Marsaglia, "Xorshift RNGs", J. Stat. Softw. 8(14), 2003; with the multiplier of Vigna,
 * "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016. */
#ifndef FILCH_BASE_RANDOM_H
#define FILCH_BASE_RANDOM_H

#include <stdint.h>

struct filch__random {
    uint64_t state; /* never 0 */
};

static inline void filch__random_init(struct filch__random *r, uint64_t seed) {
    seed = (seed + 1) * 0x9E3779B97F4A7C15u;
    r->state = seed ? seed : 1;
}

/* A number in [0, n), n > 0, near enough to uniform for the choice of a victim. */
static inline uint32_t filch__random_below(struct filch__random *r, uint32_t n) {
    uint64_t x = r->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    r->state = x;
    uint64_t high = (x * 0x2545F4914F6CDD1Du) >> 32;
    return (uint32_t)((high * n) >> 32);
}

#endif
