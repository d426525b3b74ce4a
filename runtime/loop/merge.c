/* loop/merge.c: the stable sort by comparison: halves are sorted, then merged, both in parallel.
 *
 * Flow     sort_range forks one half, sorts the other, and merges both from one of the two arrays into the
 *          other one; which of them, alternates from level to level, so that nothing is copied back. merge
 *          halves the longer run, looks up where its middle belongs in the other, and merges both pairs in
 *          parallel. A thief takes the largest piece that is left: this is even for any number of workers.
 * Source   the parallel merge is that of Cormen, Leiserson, Rivest, Stein, Introduction to Algorithms, 3rd ed.,
 *          section 27.3, made stable.
 * Keeps    1. Each element of the source is in the destination exactly once, whatever the comparison says: it
 *             only ever chooses between two that are left over.
 *          2. Where a range ends early, because the task was asked to end, its elements are where they would be
 *             sorted, in some order.
 * Memory   two arrays of n elements; O(log n) of stack. */
#include "loop/compare.h"

#include "loop/order.h"
#include <filch/fork.h>
#include <stdint.h>

enum {
    /* Elements that are sorted by insertion: 2 * 10^6 random numbers on one CPU took 108, 105, 105, 104 ms with 4, 8,
     * 12, 16. */
    INSERTION_MAX = 8,
    /* Elements that one task sorts, or merges, alone. */
    ALONE_MAX = 4096,
};

/* n elements at data, and room for n at spare. Sorted, they are at data if `stay`, else at spare. */
struct range {
    const struct order *order;
    char *data, *spare;
    size_t n;
    bool stay;
    bool begun;
};

/* Two sorted runs, and where they are merged to. What is in `left` comes before its equals in `right`. */
struct pair {
    const struct order *order;
    const char *left, *right;
    char *to;
    size_t lefts, rights;
};

/* What is left of two runs, and of the place where they are merged to. */
struct rest {
    const char *left, *left_end, *right, *right_end;
    char *to, *to_end;
};

/* Takes the lesser one of the first elements. Without a branch: nobody could predict it. */
static always_inline void take_first(const struct order *o, struct rest *r, size_t size) {
    size_t if_right = all_if(is_less(o, r->right, r->left));
    memcpy(r->to, r->left + ((r->right - r->left) & (ptrdiff_t)if_right), size);
    r->to += size;
    r->right += size & if_right;
    r->left += size & ~if_right;
}

/* Takes the greater one of the last elements. */
static always_inline void take_last(const struct order *o, struct rest *r, size_t size) {
    const char *left = r->left_end - size, *right = r->right_end - size;
    size_t if_left = all_if(is_less(o, right, left));
    r->to_end -= size;
    memcpy(r->to_end, right + ((left - right) & (ptrdiff_t)if_left), size);
    r->left_end -= size & if_left;
    r->right_end -= size & ~if_left;
}

/* From both ends at once: each step waits for the one before it, at the same end. */
static always_inline void merge_of(const struct pair *p, size_t size) {
    const struct order o = *p->order;
    struct rest r = {p->left,  p->left + p->lefts * size,
                     p->right, p->right + p->rights * size,
                     p->to,    p->to + (p->lefts + p->rights) * size};
    for (;;) {
        size_t lefts = (size_t)(r.left_end - r.left) / size;
        size_t rights = (size_t)(r.right_end - r.right) / size;
        /* Neither run ends within so many steps, wherever they take from. */
        size_t steps = (lefts < rights ? lefts : rights) / 2;
        if (steps == 0) break;
        for (; steps != 0; steps--) {
            take_first(&o, &r, size);
            take_last(&o, &r, size);
        }
    }
    while (r.left != r.left_end && r.right != r.right_end) take_first(&o, &r, size);
    size_t rest = (size_t)(r.left_end - r.left);
    memcpy(r.to, r.left, rest);
    memcpy(r.to + rest, r.right, (size_t)(r.right_end - r.right));
}

static void merge_alone(const struct pair *p) {
    BY_SIZE(p->order->size, merge_of, p);
}

/* How many of n sorted elements are less than x, or, if `equal`, not greater. */
static size_t count_below(const struct order *o, const char *run, size_t n, const char *x,
                          bool equal) {
    size_t begin = 0;
    while (n != 0) {
        const char *middle = run + (begin + n / 2) * o->size;
        if (equal ? !is_less(o, x, middle) : is_less(o, middle, x)) {
            begin += n / 2 + 1;
            n -= n / 2 + 1;
        } else {
            n /= 2;
        }
    }
    return begin;
}

static int merge(void *arg, void *result) {
    const struct pair *p = arg;
    const struct order *o = p->order;
    (void)result;
    if (p->lefts + p->rights <= ALONE_MAX) {
        merge_alone(p);
        return 0;
    }
    size_t lefts = p->lefts / 2, rights = p->rights / 2;
    if (p->lefts >= p->rights)
        rights = count_below(o, p->right, p->rights, p->left + lefts * o->size, false);
    else
        lefts = count_below(o, p->left, p->lefts, p->right + rights * o->size, true);
    struct pair lower = {o, p->left, p->right, p->to, lefts, rights};
    struct pair upper = {o,
                         p->left + lefts * o->size,
                         p->right + rights * o->size,
                         p->to + (lefts + rights) * o->size,
                         p->lefts - lefts,
                         p->rights - rights};
    return filch_invoke2(merge, &lower, NULL, merge, &upper, NULL);
}

/* Merges the sorted halves of data into spare. Halves that need none are copied. */
static int merge_halves(const struct order *o, const char *data, char *spare, size_t n) {
    size_t half = n / 2;
    const char *right = data + half * o->size;
    struct pair p = {o, data, right, spare, half, n - half};
    if (!is_less(o, right, right - o->size)) {
        memcpy(spare, data, n * o->size);
        return 0;
    }
    if (n <= ALONE_MAX) {
        merge_alone(&p);
        return 0;
    }
    return merge(&p, NULL);
}

/* Few elements, each behind those that are not greater. Where they stay, one at a time waits in `spare`. */
static always_inline int insert_of(const struct range *r, size_t size) {
    char *home = r->stay ? r->data : r->spare;
    for (size_t i = 0; i < r->n; i++) {
        const char *x = r->data + i * size;
        size_t at = i;
        if (r->stay) x = memcpy(r->spare, x, size);
        for (; at > 0 && is_less(r->order, x, home + (at - 1) * size); at--)
            memcpy(home + at * size, home + (at - 1) * size, size);
        memcpy(home + at * size, x, size);
    }
    return 0;
}

/* After a half, or the merge, has not run to its end. A half that has not even begun is where it was. */
static void bring_home(const struct range *r, const struct range *half) {
    size_t bytes = half->n * r->order->size;
    if (!r->stay)
        memcpy(half->spare, half->data, bytes);
    else if (half->begun)
        memcpy(half->data, half->spare, bytes);
}

static int sort_range(void *arg, void *result) {
    struct range *r = arg;
    (void)result;
    size_t half = r->n / 2, skip = half * r->order->size;
    r->begun = true;
    if (r->n <= INSERTION_MAX) return BY_SIZE(r->order->size, insert_of, r);
    struct range lower = {r->order, r->data, r->spare, half, !r->stay, false};
    struct range upper = {r->order, r->data + skip, r->spare + skip, r->n - half, !r->stay, false};
    int rc = 0;
    if (r->n <= ALONE_MAX) {
        sort_range(&lower, NULL);
        sort_range(&upper, NULL);
    } else {
        rc = filch_invoke2(sort_range, &lower, NULL, sort_range, &upper, NULL);
    }
    if (rc == 0)
        rc = merge_halves(r->order, r->stay ? r->spare : r->data, r->stay ? r->data : r->spare,
                          r->n);
    if (rc != 0) {
        bring_home(r, &lower);
        bring_home(r, &upper);
    }
    return rc;
}

int filch__merge_sort(const struct order *order, char *array, char *spare, size_t n) {
    bool in_order;
    int rc = filch__order_try(order, array, n, &in_order);
    if (rc != 0 || in_order) return rc;
    struct range all = {order, array, spare, n, true, false};
    return sort_range(&all, NULL);
}
