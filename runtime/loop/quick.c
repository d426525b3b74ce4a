/* loop/quick.c: the sort by comparison that needs no memory: quicksort, in parallel.
 *
 * Flow     sort_range partitions its elements about a pivot, forks one side, and goes on with the other. A large
 *          range is partitioned by several tasks: each partitions a part; then those elements that are on the
 *          wrong side of the whole are exchanged.
 * Source   the treatment of equal elements and of bad pivots is that of Peters, Pattern-defeating Quicksort,
 *          arXiv 2106.05123, 2021. The partition without branches is Lomuto's; what stops here at an element is
 *          the end of the range, never another element, since a comparison may be inconsistent.
 * Keeps    1. Elements are only ever exchanged with each other, so that each is there exactly once, whatever
 *             the comparison says.
 *          2. What is before a range that is not the first is not greater than anything in it.
 * Progress after a logarithm's number of bad pivots a range is sorted as a heap: O(n log n) comparisons.
 * Memory   O(log n) of stack. */
#include "loop/compare.h"

#include "loop/each.h"
#include "loop/order.h"
#include <filch/fork.h>
#include <stdint.h>

enum {
    /* 2 * 10^6 random numbers on one CPU took 125, 131, 145 ms with 8, 16, 24. */
    INSERTION_MAX = 8,
    /* Elements from which the pivot is chosen among nine instead of three. */
    NINTHER_MIN = 128,
    /* Elements that one task sorts alone; more are forked. */
    ALONE_MAX = 4096,
    /* Elements from which several tasks partition. */
    PARTS_MIN = 65536,
    PARTS = 16,
};

struct range {
    const struct order *order;
    char *data;
    size_t n;
    unsigned patience; /* bad pivots that are left */
    bool is_first;     /* nothing is before it */
};

static char *element(const struct range *r, size_t i) {
    return r->data + i * r->order->size;
}

static void swap(const struct range *r, size_t i, size_t k) {
    if (i != k) swap_elements(element(r, i), element(r, k), r->order->size);
}

/* Short and hopeless ranges ---------------------------------------------------------------------------- */

static always_inline int insert_of(const struct range *r, size_t size) {
    for (size_t i = 1; i < r->n; i++)
        for (size_t at = i; at > 0; at--) {
            char *x = r->data + at * size;
            if (!is_less(r->order, x, x - size)) break;
            swap_elements(x, x - size, size);
        }
    return 0;
}

static void sift_down(const struct range *r, size_t at, size_t n) {
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && is_less(r->order, element(r, child), element(r, child + 1))) child++;
        if (!is_less(r->order, element(r, at), element(r, child))) return;
        swap(r, at, child);
    }
}

static void sort_as_heap(const struct range *r) {
    for (size_t i = r->n / 2; i-- > 0;) sift_down(r, i, r->n);
    for (size_t n = r->n; n-- > 1;) {
        swap(r, 0, n);
        sift_down(r, 0, n);
    }
}

/* The pivot -------------------------------------------------------------------------------------------- */

static size_t median(const struct range *r, size_t i, size_t j, size_t k) {
    const struct order *o = r->order;
    if (is_less(o, element(r, j), element(r, i))) {
        size_t t = i;
        i = j;
        j = t;
    }
    if (!is_less(o, element(r, k), element(r, j))) return j;
    return is_less(o, element(r, k), element(r, i)) ? i : k;
}

/* Brings it to the front. */
static void choose_pivot(const struct range *r) {
    size_t middle = r->n / 2, last = r->n - 1, step = r->n / 8;
    size_t pivot = r->n < NINTHER_MIN ? median(r, 0, middle, last)
                                      : median(r, median(r, 0, step, 2 * step),
                                               median(r, middle - step, middle, middle + step),
                                               median(r, last - 2 * step, last - step, last));
    swap(r, 0, pivot);
}

/* After a bad pivot: breaks up what has led to it. */
static void shuffle(const struct range *r) {
    size_t quarter = r->n / 4;
    if (r->n < INSERTION_MAX) return;
    for (size_t i = 1; i <= 3; i++) {
        swap(r, i - 1, i * quarter);
        swap(r, r->n - i, r->n - i * quarter);
    }
}

/* Partition -------------------------------------------------------------------------------------------- */

/* The elements from `begin` to `end` on one side of the pivot, which is the first of the range, come first: those
 * that are less, or, if `equal`, not greater. */
struct partition {
    const struct range *range;
    bool equal;
    size_t begin[PARTS + 1]; /* of each part */
    size_t split[PARTS];     /* where its other side begins */
    size_t middle,
        wrong; /* where that of the whole does; elements that are on the wrong side of it */
};

static always_inline bool goes_first(const struct partition *p, const char *x) {
    const struct range *r = p->range;
    return p->equal ? !is_less(r->order, r->data, x) : is_less(r->order, x, r->data);
}

/* Returns where the other side begins. Each element changes places with the first one of the other side, and
 * that border moves or does not: there is no branch. */
static always_inline size_t partition_of(const struct partition *p, size_t begin, size_t end,
                                         size_t size) {
    char *border = p->range->data + begin * size, *stop = p->range->data + end * size;
    for (char *x = border; x != stop; x += size) {
        size_t if_first = all_if(goes_first(p, x));
        if (size <= 32) {
            swap_elements(border, x, size);
        } else if (if_first != 0 && border != x) {
            swap_elements(border, x, size);
        }
        border += size & if_first;
    }
    return (size_t)(border - p->range->data) / size;
}

static size_t partition_alone(const struct partition *p, size_t begin, size_t end) {
    return BY_SIZE(p->range->order->size, partition_of, p, begin, end);
}

static void partition_part(size_t i, void *context) {
    struct partition *p = context;
    p->split[i] = partition_alone(p, p->begin[i], p->begin[i + 1]);
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}
static size_t greatest(size_t a, size_t b) {
    return a > b ? a : b;
}

/* The elements of part i that are on the wrong side of the middle: they belong behind it, or before it. */
static void find_wrong(const struct partition *p, size_t i, bool behind, size_t *begin,
                       size_t *end) {
    *begin = behind ? p->split[i] : greatest(p->begin[i], p->middle);
    *end = greatest(*begin, behind ? least(p->begin[i + 1], p->middle) : p->split[i]);
}

/* Those that belong on one side, one by one. */
struct walk {
    const struct partition *partition;
    bool behind;
    size_t part, at, end;
};

static struct walk walk_from(const struct partition *p, bool behind, size_t skip) {
    struct walk w = {p, behind, 0, 0, 0};
    for (find_wrong(p, 0, behind, &w.at, &w.end); w.end - w.at <= skip && w.part + 1 < PARTS;) {
        skip -= w.end - w.at;
        find_wrong(p, ++w.part, behind, &w.at, &w.end);
    }
    w.at += skip;
    return w;
}

static size_t walk_next(struct walk *w) {
    while (w->at == w->end) find_wrong(w->partition, ++w->part, w->behind, &w->at, &w->end);
    return w->at++;
}

static void exchange_part(size_t i, void *context) {
    const struct partition *p = context;
    size_t at = filch__part_begin(p->wrong, PARTS, i),
           end = filch__part_begin(p->wrong, PARTS, i + 1);
    if (at == end) return;
    struct walk behind = walk_from(p, true, at), before = walk_from(p, false, at);
    for (; at < end; at++) swap(p->range, walk_next(&behind), walk_next(&before));
}

static int partition_together(struct partition *p) {
    size_t n = p->range->n - 1;
    for (size_t i = 0; i <= PARTS; i++) p->begin[i] = 1 + filch__part_begin(n, PARTS, i);
    int rc = filch__each(0, PARTS, partition_part, p);
    if (rc != 0) return rc;
    p->middle = 1;
    for (size_t i = 0; i < PARTS; i++) p->middle += p->split[i] - p->begin[i];
    p->wrong = 0;
    for (size_t i = 0; i < PARTS; i++) {
        size_t begin, end;
        find_wrong(p, i, true, &begin, &end);
        p->wrong += end - begin;
    }
    return filch__each(0, PARTS, exchange_part, p);
}

/* Puts the pivot where it belongs; *at is its index. */
static int partition(const struct range *r, bool equal, size_t *at) {
    struct partition p = {.range = r, .equal = equal};
    int rc = 0;
    if (r->n >= PARTS_MIN) {
        rc = partition_together(&p);
    } else {
        p.middle = partition_alone(&p, 1, r->n);
    }
    if (rc != 0) return rc;
    *at = p.middle - 1;
    swap(r, 0, *at);
    return 0;
}

/* Ranges ----------------------------------------------------------------------------------------------- */

static int sort_range(void *arg, void *result);

/* The pivot is not less than what is before the range, so it is equal, and so is all that is not greater. */
static bool is_least(const struct range *r) {
    return !r->is_first && !is_less(r->order, r->data - r->order->size, r->data);
}

/* Of a partition that has hardly divided the range. The longer side has the patience that is left. */
static void punish(struct range *lower, struct range *upper, size_t n) {
    if (lower->n >= n / 8 && upper->n >= n / 8) return;
    lower->patience--;
    upper->patience--;
    shuffle(lower);
    shuffle(upper);
}

/* Sorts the shorter one of the two here, or both in parallel; the longer one is left in *r. */
static int sort_shorter(struct range *r, struct range *lower, struct range *upper) {
    bool is_lower = lower->n < upper->n;
    struct range *shorter = is_lower ? lower : upper;
    *r = is_lower ? *upper : *lower;
    if (r->n > ALONE_MAX) {
        int rc = filch_invoke2(sort_range, shorter, NULL, sort_range, r, NULL);
        r->n = 0;
        return rc;
    }
    return sort_range(shorter, NULL);
}

/* Partitions *r and leaves in it what is still to be sorted. */
static int sort_step(struct range *r) {
    size_t at, size = r->order->size;
    choose_pivot(r);
    bool equal = is_least(r);
    int rc = partition(r, equal, &at);
    if (rc != 0) return rc;
    struct range lower = {r->order, r->data, at, r->patience, r->is_first};
    struct range upper = {r->order, r->data + (at + 1) * size, r->n - at - 1, r->patience, false};
    if (equal) {
        /* Only where the comparison contradicts itself does this happen often with few elements. */
        if (upper.n > r->n - r->n / 8) upper.patience--;
        *r = upper;
        return 0;
    }
    punish(&lower, &upper, r->n);
    return sort_shorter(r, &lower, &upper);
}

static int sort_range(void *arg, void *result) {
    struct range r = *(struct range *)arg;
    int rc = 0;
    (void)result;
    while (rc == 0 && r.n > INSERTION_MAX) {
        if (r.patience == 0) {
            sort_as_heap(&r);
            return 0;
        }
        rc = sort_step(&r);
    }
    return rc != 0 ? rc : BY_SIZE(r.order->size, insert_of, &r);
}

int filch__quick_sort(const struct order *order, char *array, size_t n) {
    bool in_order;
    int rc = filch__order_try(order, array, n, &in_order);
    if (rc != 0 || in_order) return rc;
    unsigned bits = 64 - (unsigned)__builtin_clzll(n);
    struct range all = {order, array, n, bits, true};
    return sort_range(&all, NULL);
}
