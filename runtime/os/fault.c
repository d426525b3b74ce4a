/* os/fault.c: the plan of faults of a test build.
 *
 * The plan is changed only while no other thread is in the seam, or where a lost change does not
 * matter, so that relaxed operations are enough. */
#include "os/fault.h"

#if defined(FILCH_TESTING)
#include "base/atomics.h"
#include <stddef.h>

static unsigned planned_kinds;
static long calls_left;
static bool fails_for_ever;
static long faults_made;
static long live_blocks;

void filch__fault_plan(unsigned kinds, long after, bool forever) {
    store_relaxed(&calls_left, after);       /* relaxed: see the header */
    store_relaxed(&fails_for_ever, forever); /* relaxed: see the header */
    store_relaxed(&faults_made, 0);          /* relaxed: see the header */
    store_relaxed(&planned_kinds, kinds);    /* relaxed: see the header */
}

long filch__fault_clear(void) {
    store_relaxed(&planned_kinds, 0);  /* relaxed: see the header */
    return load_relaxed(&faults_made); /* relaxed: see the header */
}

filch__fault_fn *filch__fault_hook;

static bool is_planned(enum filch__fault_kind kind) {
    if ((load_relaxed(&planned_kinds) & (unsigned)kind) == 0) return false; /* relaxed: see above */
    long left = fetch_add_relaxed(&calls_left, -1);                         /* relaxed: a counter */
    bool hit = left == 0 || (left < 0 && load_relaxed(&fails_for_ever));    /* relaxed: see above */
    return hit;
}

bool filch__fault_at(enum filch__fault_kind kind, const void *site) {
    filch__fault_fn *hook = load_relaxed(&filch__fault_hook); /* relaxed: see the header */
    bool hit = is_planned(kind) || (hook != NULL && hook(kind, site));
    if (hit) fetch_add_relaxed(&faults_made, 1); /* relaxed: a counter */
    return hit;
}

long filch__fault_live_blocks(void) {
    return load_relaxed(&live_blocks); /* relaxed: read after the threads have ended */
}

void filch__fault_count_block(long change) {
    fetch_add_relaxed(&live_blocks, change); /* relaxed: a counter */
}
#else
typedef int filch__fault_is_for_test_builds;
#endif
