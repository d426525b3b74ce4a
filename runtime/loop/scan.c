/* loop/scan.c: filch_parallel_scan.
 *
 * Flow     the range is cut into equal blocks, a few per worker. First the value of each block but the last, in parallel;
 *          then what precedes each, one after the other; then the blocks once more, in parallel, each from there.
 * Source   Blelloch, "Prefix sums and their applications", 1990.
 * Memory   a value for each block. */
#include "error.h"
#include "executor_ops.h"
#include "loop/reduce.h"
#include "loop/split.h"
#include "os/memory.h"
#include <string.h>

/* Blocks for each worker: enough that one that is late does not cost much. */
enum { BLOCKS_PER_WORKER = 8 };

struct scan {
    const filch_scan *spec;
    int64_t begin, end, block; /* indices in a block */
    char *values;              /* of each block: its own, then of what precedes it */
};

static void *value_of(const struct scan *s, int64_t block) {
    return s->values + (size_t)block * s->spec->reduction.size;
}
static int64_t end_of(const struct scan *s, int64_t block) {
    int64_t before_end = s->end - s->begin - block * s->block;
    return before_end < s->block ? s->end : s->begin + (block + 1) * s->block;
}

/* Bodies of loops over blocks: */

static int add_blocks(int64_t first, int64_t last, void *context) {
    const struct scan *s = context;
    const filch_reduction *r = &s->spec->reduction;
    int rc = 0;
    for (int64_t b = first; b < last && rc == 0; b++) {
        memcpy(value_of(s, b), r->identity, r->size);
        rc = r->body(s->begin + b * s->block, end_of(s, b), r->context, value_of(s, b));
    }
    return rc;
}
static int scan_blocks(int64_t first, int64_t last, void *context) {
    const struct scan *s = context;
    int rc = 0;
    for (int64_t b = first; b < last && rc == 0; b++)
        rc = s->spec->body(s->begin + b * s->block, end_of(s, b), s->spec->reduction.context,
                           value_of(s, b));
    return rc;
}

/* The value of each block becomes that of what precedes it. `room`: for two values. */
static void add_up(const struct scan *s, int64_t blocks, char *room) {
    const filch_reduction *r = &s->spec->reduction;
    char *before = room, *own = room + r->size;
    memcpy(before, r->identity, r->size);
    for (int64_t b = 0; b < blocks; b++) {
        memcpy(own, value_of(s, b), r->size);
        memcpy(value_of(s, b), before, r->size);
        if (b + 1 < blocks) r->combine(before, own, r->context);
    }
}

static int64_t blocks_for(filch_executor *e, int64_t n, int64_t grain) {
    int64_t workers = e->ops->max_workers(e);
    if (workers == 1) return 1;
    int64_t blocks = workers * BLOCKS_PER_WORKER;
    if (grain > 0 && n / grain < INT32_MAX) blocks = n / grain + (n % grain != 0);
    return blocks < n ? blocks : n;
}

static int scan_with(filch_executor *e, struct scan *s, int64_t blocks, void *result) {
    const filch_reduction *r = &s->spec->reduction;
    s->values = filch__alloc((size_t)(blocks + 2) * r->size);
    if (s->values == NULL)
        return filch__error(FILCH_ENOMEM,
                            "filch_parallel_scan: there is no memory for %lld values of %zu bytes",
                            (long long)blocks + 2, r->size);
    /* The last block has no other after it. */
    int rc = filch_parallel_for(e, 0, blocks - 1, 1, add_blocks, s);
    if (rc == 0) {
        add_up(s, blocks, value_of(s, blocks));
        rc = filch_parallel_for(e, 0, blocks, 1, scan_blocks, s);
    }
    if (rc == 0 && result != NULL) memcpy(result, value_of(s, blocks - 1), r->size);
    filch__free(s->values);
    return rc;
}

int filch_parallel_scan(filch_executor *executor, int64_t begin, int64_t end, int64_t grain,
                        const filch_scan *scan, void *result) {
    if (scan == NULL || scan->struct_size != sizeof *scan || scan->body == NULL)
        return filch__error_constant(
            FILCH_EINVAL, "filch_parallel_scan: the scan is NULL, has no body, or was not "
                          "made with FILCH_SCAN_INIT");
    int rc = filch__reduction_check("filch_parallel_scan", &scan->reduction);
    if (rc == 0) rc = filch__loop_check("filch_parallel_scan", begin, end, grain);
    if (rc != 0) return rc;
    if (begin >= end) {
        if (result != NULL) memcpy(result, scan->reduction.identity, scan->reduction.size);
        return 0;
    }
    filch_executor *e = filch__executor_resolve(executor);
    if (e == NULL) return FILCH_ENOMEM;
    rc = filch__executor_check(e, "filch_parallel_scan");
    if (rc != 0) return rc;
    struct scan s = {scan, begin, end, 0, NULL};
    int64_t n = end - begin, blocks = blocks_for(e, n, grain);
    s.block = n / blocks + (n % blocks != 0);
    return scan_with(e, &s, (n - 1) / s.block + 1, result);
}
