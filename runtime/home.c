/* home.c: the life of a home, and the two counts by which the end of an executor awaits others.
 *
 * Flow     see home.h, which has the orders H1 to H9 as well. */
#include "home.h"

#include "base/compiler.h"
#include "base/point.h"
#include "fork.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/memory.h"
#include "os/thread.h"
#include <limits.h>

struct filch__home filch__home_standalone;

struct filch__home *filch__home_create(int64_t spin) {
    struct filch__home *home = filch__alloc_zeroed(sizeof *home);
    if (home == NULL) return NULL;
    home->references = 1;
    home->spin = spin;
    home->generation = filch__fork_now();
    return home;
}

void filch__home_detach(struct filch__home *home) {
    store_relaxed(&home->pool, NULL);        /* relaxed: H7 follows */
    fence_seq_cst();                         /* H7 <- H6 */
    while (load_acquire(&home->alerts) != 0) /* H9 <- H8 */
        filch__thread_yield();
}

void filch__home_retain(struct filch__home *home) {
    fetch_add_relaxed(&home->references, 1); /* relaxed: the caller holds one, a count */
}

void filch__home_release(void *argument) {
    struct filch__home *home = argument;
    if (fetch_sub_acq_rel(&home->references, 1) == 1) filch__free(home); /* H1 -> H1 */
}

void filch__home_begin_cancel(struct filch__home *home) {
    fetch_add_acq_rel(&home->cancelling, CANCELLING_ONE); /* H2 -> H3; H2 <- H3 */
}

void filch__home_end_cancel(struct filch__home *home) {
    uint32_t before = fetch_sub_acq_rel(&home->cancelling, CANCELLING_ONE); /* H4 -> H3, H5 */
    if (unlikely(before == (CANCELLING_ONE | CANCELLING_AWAITED)))
        filch__futex_wake(&home->cancelling, INT_MAX);
}

void filch__home_await_cancels(struct filch__home *home) {
    uint32_t n =
        fetch_or_acq_rel(&home->cancelling, CANCELLING_AWAITED); /* H3 -> H2; H3 <- H2, H4 */
    while ((n & ~CANCELLING_AWAITED) != 0) {
        POINT("home.await.cancels");
        filch__futex_wait(&home->cancelling, n | CANCELLING_AWAITED, FILCH_FOREVER);
        n = load_acquire(&home->cancelling); /* H5 <- H4 */
    }
}

void filch__home_begin_alert(struct filch__home *home) {
    fetch_add_relaxed(&home->alerts, 1u); /* relaxed: H6 follows */
}

void filch__home_end_alert(struct filch__home *home, bool requested) {
    fence_seq_cst();                        /* H6 -> H7; H6 <-> L16 */
    void *pool = load_relaxed(&home->pool); /* relaxed: ordered by H6 */
    if (requested && pool != NULL && home->alert != NULL) home->alert(pool);
    fetch_sub_acq_rel(&home->alerts, 1u); /* H8 -> H9 */
}

void *filch__home_enter(struct filch__home *home) {
    fetch_add_relaxed(&home->alerts, 1u); /* relaxed: H6 follows */
    fence_seq_cst();                      /* H6 -> H7 */
    return load_relaxed(&home->pool);     /* relaxed: ordered by H6 */
}

void filch__home_leave(struct filch__home *home) {
    fetch_sub_acq_rel(&home->alerts, 1u); /* H8 -> H9 */
}
