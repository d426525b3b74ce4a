/* loop/radix.inc.h: numbers sorted by their digits, in parallel; for radix32.c and radix64.c.
 *
 * Flow     sort_range moves the keys to buckets of neighbours in the other array (level.inc.h), and each bucket back
 *          in order (leaf.inc.h), the buckets in parallel: a key is moved once through memory, and then in the
 *          cache. A bucket that is too large for a leaf is a range with buckets of its own. The elements
 *          become keys (number.h) in the first move, and elements again in the last.
 * Keeps    1. Where a range ends early, because the task was asked to end, its elements are where they would be
 *             sorted, in some order.
 *          2. What is at `data` of a level is keys already (`in` is NUMBER_UNSIGNED), or else it is the whole
 *             array, and stays.
 * State    the range of a task, in both arrays, is touched by no other task while it runs.
 * Memory   a second array, by who called; counts and lines for the parts of a level, by sort_range, which, if
 *          there is no memory for them, sorts the range as a leaf, alone.
 * Tried, with 10^7 random keys of 64 bits on one CPU and on two (AMD Zen 4, gcc 12.2 -O3, 2026-11), medians of 7: this,
 *          90 and 49 ms; keys written to their buckets at once, without the lines of level.inc.h, 91 and 48; the
 *          second array in small pages, 125 and 71; both, 129 and 75. */
#include "executor_ops.h"
#include "loop/leaf.inc.h"
#include "loop/level.inc.h"
#include "os/memory.h"
#include <filch/fork.h>

enum {
    /* Keys that are sorted as a leaf: both arrays of it are in the second-level cache. */
    LEAF_MAX = 16384,
    /* Keys in a bucket that are aimed at. */
    LEAF_AIM = 4096,
    /* Parts of a level: so that they are shared out evenly among workers that do not get the same time. */
    PARTS_PER_WORKER = 8,
    /* Keys in a part, at least: fewer are not worth a task, */
    PART_MIN = 32768,
    /* and, by bucket, not worth its line. */
    PART_MIN_PER_BUCKET = 64,
    /* Memory of a part, by bucket: two counts and a line. */
    BUCKET_BYTES = 2 * sizeof(size_t) + CACHE_LINE,
};

static int sort_range(struct range range, enum filch__number in, enum filch__number out);

/* Buckets ---------------------------------------------------------------------------------------------- */

struct buckets {
    const struct level *level;
    const size_t *begins;
    size_t first, last; /* the first of them, and the one behind the last */
    bool settled;       /* their elements are where they belong */
};

static struct range bucket(const struct buckets *these, size_t b) {
    const struct range *range = &these->level->range;
    size_t begin = these->begins[b];
    return (struct range){range->spare + begin, range->data + begin, these->begins[b + 1] - begin,
                          !range->stay};
}

/* After an error none is sorted any more, but all are delivered. */
static int sort_in_turn(struct buckets *these, int rc) {
    for (size_t b = these->first; b < these->last; b++) {
        if (rc == 0) {
            rc = sort_range(bucket(these, b), NUMBER_UNSIGNED, these->level->out);
        } else {
            deliver(bucket(these, b), these->level->out);
        }
    }
    these->settled = true;
    return rc;
}

static int sort_buckets(void *arg, void *result) {
    struct buckets *these = arg;
    size_t n = these->begins[these->last] - these->begins[these->first];
    (void)result;
    if (n <= LEAF_MAX || these->last - these->first == 1) return sort_in_turn(these, 0);
    size_t middle = these->first + (these->last - these->first) / 2;
    struct buckets lower = {these->level, these->begins, these->first, middle, false};
    struct buckets upper = {these->level, these->begins, middle, these->last, false};
    int rc = filch_invoke2(sort_buckets, &lower, NULL, sort_buckets, &upper, NULL);
    if (rc != 0 && !lower.settled) sort_in_turn(&lower, rc);
    if (rc != 0 && !upper.settled) sort_in_turn(&upper, rc);
    these->settled = true;
    return rc;
}

/* Elements in order ------------------------------------------------------------------------------------ */

static void turn_part(size_t i, void *context) {
    const struct level *level = context;
    size_t n = level->range.n, end = filch__part_begin(n / 2, level->part_count, i + 1);
    key *data = level->range.data;
    for (size_t at = filch__part_begin(n / 2, level->part_count, i); at < end; at++) {
        key k = data[at];
        data[at] = data[n - 1 - at];
        data[n - 1 - at] = k;
    }
}

static void deliver_part(size_t i, void *context) {
    const struct level *level = context;
    struct part *part = &level->parts[i];
    struct range range = level->range;
    deliver((struct range){range.data + part->begin, range.spare + part->begin,
                           part->end - part->begin, range.stay},
            level->out);
    part->delivered = true;
}

/* The elements rise, or fall, from the first to the last. */
static int finish_in_order(struct level *level) {
    int rc = level->rises ? 0 : filch__each(0, level->part_count, turn_part, level);
    if (level->in == level->out && level->range.stay) return rc;
    if (rc == 0) rc = filch__each(0, level->part_count, deliver_part, level);
    for (size_t i = 0; i < level->part_count && rc != 0; i++)
        if (!level->parts[i].delivered) deliver_part(i, level);
    return rc;
}

/* The task was asked to end while the elements are still where they were. */
static int give_up(const struct level *level, int rc) {
    if (level->in == level->out && level->range.stay) return rc;
    deliver(level->range, level->out);
    return rc;
}

/* Ranges ----------------------------------------------------------------------------------------------- */

static int sort_level(struct level *level, unsigned wanted, size_t *begins) {
    int rc = level_scan(level);
    if (rc != 0) return give_up(level, rc);
    if (level->rises || level->falls) return finish_in_order(level);
    level_divide(level, wanted);
    rc = level_count(level, begins);
    if (rc == 0) rc = level_move(level);
    if (rc != 0) return give_up(level, rc);
    struct buckets all = {level, begins, 0, level->buckets, false};
    return sort_buckets(&all, NULL);
}

static unsigned choose_bits(size_t n) {
    unsigned bits = bits_of((key)(n / LEAF_AIM));
    return n / LEAF_AIM >= MAX_BUCKETS ? BUCKET_BITS : bits;
}

static size_t choose_parts(size_t n, unsigned bits) {
    filch_executor *e = filch_current_executor();
    size_t most = (size_t)e->ops->max_workers(e) * PARTS_PER_WORKER;
    size_t least = (size_t)PART_MIN_PER_BUCKET << bits;
    size_t parts = n / (least > PART_MIN ? least : PART_MIN);
    if (parts > most) parts = most;
    return parts == 0 ? 1 : parts;
}

/* Where in `memory` the parts, and then the buckets' begins, are; the lines come first, since they are aligned. */
static size_t *lay_out(struct level *level, char *memory) {
    level->parts = (struct part *)(void *)(memory + level->part_count * MAX_BUCKETS * BUCKET_BYTES);
    for (size_t i = 0; i < level->part_count; i++) {
        struct part *part = &level->parts[i];
        char *own = memory + i * MAX_BUCKETS * BUCKET_BYTES;
        part->begin = filch__part_begin(level->range.n, level->part_count, i);
        part->end = filch__part_begin(level->range.n, level->part_count, i + 1);
        part->delivered = false;
        part->lines = (key *)(void *)own;
        part->next = (size_t *)(void *)(own + (size_t)MAX_BUCKETS * CACHE_LINE);
        part->first = part->next + MAX_BUCKETS;
    }
    return (size_t *)(void *)(level->parts + level->part_count);
}

static int sort_range(struct range range, enum filch__number in, enum filch__number out) {
    unsigned bits = choose_bits(range.n);
    struct level level = {.range = range, .in = in, .out = out};
    char *memory = NULL;
    if (range.n > LEAF_MAX) {
        level.part_count = choose_parts(range.n, bits);
        memory =
            filch__alloc(level.part_count * (MAX_BUCKETS * BUCKET_BYTES + sizeof(struct part)) +
                         (MAX_BUCKETS + 1) * sizeof(size_t) + CACHE_LINE);
    }
    if (memory == NULL) {
        sort_leaf(range, in, out);
        return 0;
    }
    size_t *begins = lay_out(&level, memory + (CACHE_LINE - (uintptr_t)memory % CACHE_LINE));
    int rc = sort_level(&level, bits, begins);
    filch__free(memory);
    return rc;
}

int RADIX_SORT(key *array, size_t n, enum filch__number number, bool *sorted) {
    enum { FEW = 256 };
    key few[FEW];
    key *copy = n <= FEW ? few : filch__alloc(n * sizeof *array);
    *sorted = copy != NULL;
    if (copy == NULL) return 0;
    if (copy != few) filch__offer_huge_pages(copy, n * sizeof *array);
    int rc = sort_range((struct range){array, copy, n, true}, number, number);
    if (copy != few) filch__free(copy);
    return rc;
}
