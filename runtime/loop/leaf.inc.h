/* loop/leaf.inc.h: few enough keys to stay in the cache, sorted by one task. For radix.inc.h, once per width.
 *
 * Flow     very few: by insertion. Else by the two digits at the upper end of the bits in which the keys differ at
 *          all, chosen so wide that hardly two keys agree in them; what little is still out of order is put right
 *          by insertion, while the keys move home. Where that is too much, the keys agree in those digits and
 *          differ below: then by all digits.
 * Keeps    1. The time is O(n), whatever the keys are.
 *
 * Eight passes of eight bits over all n keys, the plain way, read and write memory eight times. */
#include "base/compiler.h"
#include <stdbool.h>
#include <string.h>

/* n elements at data, and room for n at spare. Sorted, they are at data if `stay`, else at spare. */
struct range {
    key *data, *spare;
    size_t n;
    bool stay;
};

enum {
    INSERTION_MAX = 24,
    /* Bits of a digit: the counts of both stay in the first-level cache. */
    DIGIT_MAX = 11,
    /* Bits of both digits together, beyond those that number the keys: of n random keys n / 2^9 agree in them with
     * another one. */
    SPARE_BITS = 8,
    /* Steps per key, on average, before insertion is given up. */
    STEPS_PER_KEY = 2,
};

static unsigned bits_of(key k) {
    return k == 0 ? 0 : 64 - (unsigned)__builtin_clzll(k);
}

/* Elements and keys ------------------------------------------------------------------------------------ */

static void encode_all(key *data, size_t n, enum filch__number number) {
    if (number == NUMBER_SIGNED) {
        for (size_t i = 0; i < n; i++) data[i] = encode(data[i], NUMBER_SIGNED);
    } else if (number == NUMBER_FLOATING) {
        for (size_t i = 0; i < n; i++) data[i] = encode(data[i], NUMBER_FLOATING);
    }
}

static void decode_all(key *data, size_t n, enum filch__number number) {
    if (number == NUMBER_SIGNED) {
        for (size_t i = 0; i < n; i++) data[i] = decode(data[i], NUMBER_SIGNED);
    } else if (number == NUMBER_FLOATING) {
        for (size_t i = 0; i < n; i++) data[i] = decode(data[i], NUMBER_FLOATING);
    }
}

/* The sorted keys at data become elements, where they belong. */
static void deliver(struct range range, enum filch__number out) {
    key *home = range.stay ? range.data : range.spare;
    if (!range.stay) memcpy(home, range.data, range.n * sizeof *home);
    decode_all(home, range.n, out);
}

/* The keys have moved to the other place. */
static void turn_over(struct range *range) {
    *range = (struct range){range->spare, range->data, range->n, !range->stay};
}

/* By insertion ----------------------------------------------------------------------------------------- */

/* Moves keys from data to home, which may be the same place, each behind those that are not greater. Gives up
 * after too many steps; all keys are then still at data. */
static bool insert_all(const key *data, key *home, size_t n, size_t steps) {
    key highest = 0;
    for (size_t i = 0; i < n; i++) {
        key k = data[i];
        size_t at = i;
        if (likely(k >= highest)) {
            home[i] = highest = k;
            continue;
        }
        for (; at > 0 && home[at - 1] > k; at--) home[at] = home[at - 1];
        home[at] = k;
        if (unlikely(i - at > steps)) return false;
        steps -= i - at;
    }
    return true;
}

/* By digits -------------------------------------------------------------------------------------------- */

struct digit {
    unsigned shift;
    key mask;
};

static always_inline size_t digit_of(key k, struct digit digit) {
    return (size_t)((k >> digit.shift) & digit.mask);
}

/* By all digits in which the keys differ, from the lowest on. */
static void sort_by_all_digits(struct range *range, key different) {
    for (struct digit digit = {0, 255}; digit.shift < KEY_BITS; digit.shift += 8) {
        size_t next[256] = {0}, sum = 0;
        if (digit_of(different, digit) == 0) continue;
        for (size_t i = 0; i < range->n; i++) next[digit_of(range->data[i], digit)]++;
        for (size_t d = 0; d < 256; d++) {
            size_t count = next[d];
            next[d] = sum;
            sum += count;
        }
        for (size_t i = 0; i < range->n; i++)
            range->spare[next[digit_of(range->data[i], digit)]++] = range->data[i];
        turn_over(range);
    }
}

/* Sorts by a digit that has been counted; keys with the same one stay in their order. */
static void sort_by_digit(struct range *range, struct digit digit, uint32_t *restrict counts) {
    const key *restrict from = range->data;
    key *restrict to = range->spare;
    uint32_t sum = 0;
    for (size_t d = 0; d <= digit.mask; d++) {
        uint32_t count = counts[d];
        counts[d] = sum;
        sum += count;
    }
    for (size_t i = 0; i < range->n; i++) to[counts[digit_of(from[i], digit)]++] = from[i];
    turn_over(range);
}

/* By two digits of at most `width` bits, at the upper end of the `bits` bits in which the keys differ, which are
 * more than `width`. */
static void sort_by_top_digits(struct range *range, unsigned bits, unsigned width) {
    uint32_t upper_counts[1 << DIGIT_MAX], lower_counts[1 << DIGIT_MAX];
    struct digit upper = {bits - width, ((key)1 << width) - 1};
    struct digit lower = {0, ((key)1 << upper.shift) - 1};
    if (upper.shift > width) lower = (struct digit){upper.shift - width, upper.mask};
    memset(upper_counts, 0, ((size_t)upper.mask + 1) * sizeof *upper_counts);
    memset(lower_counts, 0, ((size_t)lower.mask + 1) * sizeof *lower_counts);
    for (size_t i = 0; i < range->n; i++) {
        upper_counts[digit_of(range->data[i], upper)]++;
        lower_counts[digit_of(range->data[i], lower)]++;
    }
    sort_by_digit(range, lower, lower_counts);
    sort_by_digit(range, upper, upper_counts);
}

/* The bits in which the keys differ. */
static key differences(const key *data, size_t n) {
    key different = 0, first = data[0];
    for (size_t i = 1; i < n; i++) different |= data[i] ^ first;
    return different;
}

static void sort_by_digits(struct range range, enum filch__number out) {
    key different = differences(range.data, range.n);
    unsigned bits = bits_of(different), width = (bits_of((key)range.n) + SPARE_BITS + 1) / 2;
    if (width > DIGIT_MAX) width = DIGIT_MAX;
    if (bits <= width || range.n > UINT32_MAX) {
        sort_by_all_digits(&range, different);
        deliver(range, out);
        return;
    }
    sort_by_top_digits(&range, bits, width);
    key *home = range.stay ? range.data : range.spare;
    if (insert_all(range.data, home, range.n, range.n * STEPS_PER_KEY)) {
        decode_all(home, range.n, out);
        return;
    }
    sort_by_all_digits(&range, different);
    deliver(range, out);
}

/* Leaves ----------------------------------------------------------------------------------------------- */

static bool is_sorted(const key *data, size_t n) {
    size_t i = 1;
    while (i < n && data[i - 1] <= data[i]) i++;
    return i >= n;
}

/* Any number of keys, but in time that grows faster than their number once they do not fit into the cache. */
static void sort_leaf(struct range range, enum filch__number in, enum filch__number out) {
    encode_all(range.data, range.n, in);
    if (range.n <= INSERTION_MAX) {
        key *home = range.stay ? range.data : range.spare;
        insert_all(range.data, home, range.n, SIZE_MAX);
        decode_all(home, range.n, out);
    } else if (is_sorted(range.data, range.n)) {
        deliver(range, out);
    } else {
        sort_by_digits(range, out);
    }
}
