/* thread/block.c: leaves the place of a worker that blocks to another, and sleeps.
 *
 * Flow     see block.h. */
#include "thread/block.h"

#include "base/point.h"
#include "error.h"
#include "os/clock.h"
#include "os/futex.h"

/* Nanoseconds that a blocked worker sleeps between two looks whether its place is filled: 1 s, and 10 ms
 * while it is not. */
#define NAP 1000000000
#define SHORT_NAP 10000000

static int stack_used_up(void) {
    return filch__error_constant(
        FILCH_EAGAIN, "filch_future_result: the worker's stack is used up, and no spare worker "
                      "could be started to go on: raise max_spares or stack_size");
}

/* While this worker is BLOCKED: sees to it that a spare takes the place, if there is work and nobody
 * else is awake. False: there is nobody, and none could be started now. */
static bool find_spare(struct filch__worker *w) {
    struct filch__sleep *s = &w->pool->sleep;
    fence_seq_cst(); /* S2 <- S1, I1 */
    filch__crew_ask(w->pool);
    if (!filch__crew_sees_work(w->pool)) return true;
    filch__crew_tell(w->pool);
    uint64_t word = sleep_read(s);
    return sleep_awake(word) != 0 || sleep_count(word, SLEEPING_ONE) != 0;
}

static int waits_in_circle(void) {
    return filch__error_constant(
        FILCH_EDEADLK,
        "filch_future_result: tasks of this executor wait for each other in a circle");
}

/* The thief of the slot wakes who has announced a sleep. */
static bool sleep_for_slot(filch_slot *slot, int64_t end) {
    uint32_t status = load_acquire(&slot->status); /* L11 <- L10, L12 */
    while ((status & SLOT_OVER) == 0) {
        if ((status & SLOT_WAITED) == 0 &&
            !cas_acq_rel(&slot->status, &status, status | SLOT_WAITED)) /* L13 -> L10, L12 */
            continue;
        if (!filch__futex_wait(&slot->status, status | SLOT_WAITED, end)) return false;
        status = load_acquire(&slot->status); /* L11 <- L10, L12 */
    }
    return true;
}
static bool sleep_until(const struct filch__awaited *a, int64_t end) {
    if (a->slot != NULL) return sleep_for_slot(a->slot, end);
    if (a->set != NULL) return filch__gathering_sleep(a->set, end);
    return filch__future_sleep(filch__awaited_single(a), end);
}
/* Can nothing of it go on, unless a spare takes the place? */
static bool needs_spare(struct filch__worker *w, const struct filch__awaited *a) {
    if (a->set != NULL) return a->stuck;
    if (a->slot != NULL) return false;
    return filch__worker_stack_is_low(w) &&
           state_life(state_look(&filch__awaited_single(a)->state)) == LIFE_PENDING;
}

/* One sleep of a parked worker. *over: the wait ends with this code. */
static int nap(struct filch__worker *w, const struct filch__awaited *a, int64_t deadline,
               bool *over) {
    bool spare = find_spare(w);
    /* A join cannot end before its call has: it is for the others of a circle to find that. */
    bool searches = a->slot == NULL && a->manner != WAIT_FIRM;
    enum filch__circle circle = searches ? filch__circle_search(w) : CIRCLE_NONE;
    *over = true;
    if (circle == CIRCLE_CLOSED) return waits_in_circle();
    if (!spare && a->manner != WAIT_FIRM && needs_spare(w, a)) return stack_used_up();
    /* Nobody tells when a thread can be started again, or another search has ended. */
    int64_t end = filch__deadline(spare && circle == CIRCLE_NONE ? NAP : SHORT_NAP);
    if (sleep_until(a, end < deadline ? end : deadline)) return 0;
    *over = end >= deadline;
    return FILCH_ETIMEDOUT;
}

int filch__worker_park(struct filch__worker *w, const struct filch__awaited *a, int64_t deadline) {
    bool over = false;
    int rc = 0;
    sleep_block(&w->pool->sleep);
    filch__circle_enter(w, a->future, a->slot, deadline == FILCH_FOREVER);
    POINT("wait.blocked");
    while (!over) rc = nap(w, a, deadline, &over);
    filch__circle_leave(w);
    sleep_unblock(&w->pool->sleep);
    return rc;
}

void filch__worker_park_for_frame(struct filch__worker *w, filch_slot *slot) {
    struct filch__awaited a = {NULL, NULL, NULL, slot, false, WAIT_HELPING};
    (void)filch__worker_park(w, &a, FILCH_FOREVER);
}

void filch__worker_blocking_begin(struct filch__self *self) {
    struct filch__worker *w = filch__worker_of(self);
    sleep_block(&w->pool->sleep);
    (void)find_spare(w);
}

void filch__worker_blocking_end(struct filch__self *self) {
    sleep_unblock(&filch__worker_of(self)->pool->sleep);
}

cold uint32_t filch__worker_leave_blocking(struct filch__worker *w) {
    uint32_t depth = w->self.blocking;
    w->self.blocking = 0;
    filch__worker_blocking_end(&w->self);
    return depth;
}
cold void filch__worker_enter_blocking(struct filch__worker *w, uint32_t depth) {
    w->self.blocking = depth;
    filch__worker_blocking_begin(&w->self);
}
