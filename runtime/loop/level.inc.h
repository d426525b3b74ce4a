/* loop/level.inc.h: many keys, moved to buckets of neighbours, by several tasks. For radix.inc.h, once per width.
 *
 * Flow     a level's elements are shared out in parts of the same size. Three times each part is a task, which
 *          scans its elements for the lowest and the highest key, then counts them by bucket, then moves them to
 *          where its keys of that bucket belong: level_scan, level_count, level_move.
 * Source   the buffers of a cache line per bucket are those of Satish et al., Fast Sort on CPUs and GPUs, SIGMOD
 *          2010: without them a move touches as many pages at once as there are buckets, and reads each line that it
 *          writes. That tells where there are no huge pages: 3 to 5 % (radix.inc.h).
 * State    a part belongs to the task that works on it; join_scans and join_counts run between the tasks.
 * Keeps    1. A key is in no lower bucket than a lesser one.
 *          2. A bucket has a smaller share of the bits than the level: there is an end to levels in levels. */
#include "loop/each.h"
#include <stdint.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum {
    LINE = CACHE_LINE / sizeof(key), /* keys in a cache line */
    /* 10 bits: sorting 10^7 random keys on one CPU took 131, 133, 94, 101, 108 ms with 8 to 12. */
    BUCKET_BITS = 10,
    MAX_BUCKETS = 1 << BUCKET_BITS,
    /* Bits of a key after its highest one that choose the bucket, where buckets go by magnitude: 64 - 4 times 2^4
     * are not more than MAX_BUCKETS. */
    MAGNITUDE_BITS = 4,
    /* Keys that are looked at to choose between the two. */
    SAMPLES = 256,
};

/* A share of a level's elements. */
struct part {
    size_t begin, end;
    key low, high;
    bool delivered;
    bool rises, falls; /* from one element to the next, and on to the next part's first */
    size_t *next;      /* by bucket: how many keys; then where the next one goes */
    size_t *first;     /* by bucket: where the first one has gone */
    key *lines;        /* by bucket: the keys of one line of the destination */
};

struct level {
    struct range range;
    enum filch__number in,
        out; /* what the elements at range.data are, and what they are to be in the end */
    struct part *parts;
    size_t part_count;
    key low, high;
    bool rises, falls;
    unsigned shift;    /* of a key's distance from the lowest one: leaves its bucket, */
    bool by_magnitude; /* unless this is set */
    size_t buckets;
};

/* Scan ------------------------------------------------------------------------------------------------- */

/* The first element, from `i` on to `last`, that the next one is not in order with. */
static always_inline size_t skip_rise(const key *data, size_t i, size_t last,
                                      enum filch__number in) {
    while (i < last && encode(data[i], in) <= encode(data[i + 1], in)) i++;
    return i;
}
static always_inline size_t skip_fall(const key *data, size_t i, size_t last,
                                      enum filch__number in) {
    while (i < last && encode(data[i], in) >= encode(data[i + 1], in)) i++;
    return i;
}

/* Four at a time, since a minimum waits for the one before it. */
static always_inline void find_bounds(const key *data, struct part *part, enum filch__number in) {
    enum { LANES = 4 };
    key first = encode(data[part->begin], in);
    key low[LANES] = {first, first, first, first}, high[LANES] = {first, first, first, first};
    for (size_t i = part->begin; i < part->end; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++) {
            /* The last of them perhaps more than once. */
            size_t at = i + LANES <= part->end ? i + lane : part->end - 1;
            key k = encode(data[at], in);
            low[lane] = k < low[lane] ? k : low[lane];
            high[lane] = k > high[lane] ? k : high[lane];
        }
    part->low = first;
    part->high = first;
    for (int lane = 0; lane < LANES; lane++) {
        if (low[lane] < part->low) part->low = low[lane];
        if (high[lane] > part->high) part->high = high[lane];
    }
}

static always_inline void scan(const struct level *level, struct part *part,
                               enum filch__number in) {
    const key *data = level->range.data;
    /* The step to the next part's first element is this part's. */
    size_t last = part->end < level->range.n ? part->end : part->end - 1;
    part->rises = skip_rise(data, part->begin, last, in) == last;
    part->falls = skip_fall(data, part->begin, last, in) == last;
    if (part->rises || part->falls) {
        part->low = encode(data[part->rises ? part->begin : part->end - 1], in);
        part->high = encode(data[part->rises ? part->end - 1 : part->begin], in);
    } else {
        find_bounds(data, part, in);
    }
}

static void scan_part(size_t i, void *context) {
    struct level *level = context;
    struct part *part = &level->parts[i];
    switch (level->in) {
    case NUMBER_UNSIGNED: scan(level, part, NUMBER_UNSIGNED); break;
    case NUMBER_SIGNED: scan(level, part, NUMBER_SIGNED); break;
    case NUMBER_FLOATING: scan(level, part, NUMBER_FLOATING); break;
    }
}

static void join_scans(struct level *level) {
    const struct part *parts = level->parts;
    level->low = parts[0].low;
    level->high = parts[0].high;
    level->rises = level->falls = true;
    for (size_t i = 0; i < level->part_count; i++) {
        if (parts[i].low < level->low) level->low = parts[i].low;
        if (parts[i].high > level->high) level->high = parts[i].high;
        level->rises &= parts[i].rises;
        level->falls &= parts[i].falls;
    }
}

/* The lowest and the highest key, and whether the elements are in order already. */
static int level_scan(struct level *level) {
    int rc = filch__each(0, level->part_count, scan_part, level);
    if (rc == 0) join_scans(level);
    return rc;
}

/* Buckets ---------------------------------------------------------------------------------------------- */

/* Of a key that is so far from the lowest one: by its upper bits, counted from the highest bit of all distances,
 * or from the highest one of its own. */
static always_inline size_t bucket_of(key distance, unsigned shift, bool by_magnitude) {
    if (!by_magnitude) return (size_t)(distance >> shift);
    unsigned drop = bits_of(distance | (1 << MAGNITUDE_BITS)) - 1 - MAGNITUDE_BITS;
    return ((size_t)drop << MAGNITUDE_BITS) + (size_t)(distance >> drop);
}

/* Would many of the keys come to the same bucket, unless the buckets go by magnitude? */
static noinline bool is_uneven(const struct level *level) {
    uint16_t counts[2][MAX_BUCKETS] = {0};
    unsigned most[2] = {0, 0};
    for (size_t i = 0; i < SAMPLES; i++) {
        /* The steps between them are not equal, since the array may repeat itself. */
        size_t at = filch__part_begin(level->range.n, SAMPLES, i) + i % 7;
        key distance = encode(level->range.data[at], level->in) - level->low;
        for (int by = 0; by < 2; by++) {
            unsigned count = ++counts[by][bucket_of(distance, level->shift, by == 1)];
            if (count > most[by]) most[by] = count;
        }
    }
    return most[0] > SAMPLES / 8 && most[1] < most[0] / 2;
}

/* Chooses about 2^wanted buckets, for keys that are not all equal. */
static void level_divide(struct level *level, unsigned wanted) {
    unsigned bits = bits_of(level->high - level->low);
    level->shift = bits > wanted ? bits - wanted : 0;
    level->by_magnitude = is_uneven(level);
    level->buckets = bucket_of(level->high - level->low, level->shift, level->by_magnitude) + 1;
}

/* Count ------------------------------------------------------------------------------------------------ */

/* Two counts in turn, since one that has just been changed is slow to change again. */
static always_inline void count(const struct level *level, struct part *part, enum filch__number in,
                                bool by_magnitude) {
    const key *data = level->range.data;
    size_t *restrict even = part->next, *restrict odd = part->first, i = part->begin;
    key low = level->low;
    unsigned shift = level->shift;
    memset(even, 0, level->buckets * sizeof *even);
    memset(odd, 0, level->buckets * sizeof *odd);
    for (; part->end - i >= 2; i += 2) {
        even[bucket_of(encode(data[i], in) - low, shift, by_magnitude)]++;
        odd[bucket_of(encode(data[i + 1], in) - low, shift, by_magnitude)]++;
    }
    if (i < part->end) even[bucket_of(encode(data[i], in) - low, shift, by_magnitude)]++;
    for (size_t b = 0; b < level->buckets; b++) even[b] += odd[b];
}

static void count_part(size_t i, void *context) {
    struct level *level = context;
    struct part *part = &level->parts[i];
    if (level->by_magnitude) {
        count(level, part, level->in, true);
        return;
    }
    switch (level->in) {
    case NUMBER_UNSIGNED: count(level, part, NUMBER_UNSIGNED, false); break;
    case NUMBER_SIGNED: count(level, part, NUMBER_SIGNED, false); break;
    case NUMBER_FLOATING: count(level, part, NUMBER_FLOATING, false); break;
    }
}

/* Counts become places: by bucket, and within a bucket by part. */
static void join_counts(const struct level *level, size_t *begins) {
    size_t sum = 0;
    for (size_t b = 0; b < level->buckets; b++) {
        begins[b] = sum;
        for (size_t i = 0; i < level->part_count; i++) {
            size_t keys = level->parts[i].next[b];
            level->parts[i].next[b] = sum;
            sum += keys;
        }
    }
    begins[level->buckets] = sum;
}

/* Where each bucket begins, and, behind the last one, where that ends. */
static int level_count(struct level *level, size_t *begins) {
    int rc = filch__each(0, level->part_count, count_part, level);
    if (rc == 0) join_counts(level, begins);
    return rc;
}

/* Move ------------------------------------------------------------------------------------------------- */

/* Writes a line without reading it into the cache first. Ordered with nothing until end_streams. */
static always_inline void stream_line(key *to, const key *from) {
#if defined(__SSE2__)
    for (size_t i = 0; i < CACHE_LINE / sizeof(__m128i); i++)
        _mm_stream_si128((__m128i *)(void *)to + i,
                         _mm_load_si128((const __m128i *)(const void *)from + i));
#else
    memcpy(to, from, CACHE_LINE);
#endif
}
static void end_streams(void) {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

/* Writes the keys of a bucket's line that come before `end`; those before `first` are another part's. */
static void flush(key *base, const key *line, size_t first, size_t end) {
    size_t start = (end - 1) & ~(size_t)(LINE - 1);
    if (start < first) start = first;
    memcpy(base + start, line + start % LINE, (end - start) * sizeof *line);
}

static void flush_all(const struct level *level, const struct part *part, key *base) {
    for (size_t b = 0; b < level->buckets; b++)
        if (part->next[b] % LINE != 0 && part->next[b] != part->first[b])
            flush(base, part->lines + b * LINE, part->first[b], part->next[b]);
    end_streams();
}

/* Places are counted from a line's start, `base`. */
static always_inline void move(const struct level *level, struct part *part, key *base,
                               enum filch__number in, bool by_magnitude) {
    const key *data = level->range.data;
    size_t *restrict next = part->next, *restrict first = part->first;
    key *restrict lines = part->lines, low = level->low;
    unsigned shift = level->shift;
    for (size_t i = part->begin; i < part->end; i++) {
        key k = encode(data[i], in);
        size_t b = bucket_of(k - low, shift, by_magnitude), at = next[b]++;
        key *line = lines + b * LINE;
        line[at % LINE] = k;
        if (at % LINE != LINE - 1) continue;
        if (likely(at - (LINE - 1) >= first[b])) {
            stream_line(base + at - (LINE - 1), line);
        } else {
            flush(base, line, first[b], at + 1);
        }
    }
}

static void move_part(size_t i, void *context) {
    struct level *level = context;
    struct part *part = &level->parts[i];
    size_t skew = (uintptr_t)level->range.spare % CACHE_LINE / sizeof(key);
    key *base = level->range.spare - skew;
    for (size_t b = 0; b < level->buckets; b++) part->first[b] = part->next[b] += skew;
    if (level->by_magnitude) {
        move(level, part, base, level->in, true);
    } else if (level->in == NUMBER_UNSIGNED) {
        move(level, part, base, NUMBER_UNSIGNED, false);
    } else if (level->in == NUMBER_SIGNED) {
        move(level, part, base, NUMBER_SIGNED, false);
    } else {
        move(level, part, base, NUMBER_FLOATING, false);
    }
    flush_all(level, part, base);
}

/* Moves the elements, as keys, to their buckets at range.spare. */
static int level_move(struct level *level) {
    return filch__each(0, level->part_count, move_part, level);
}
