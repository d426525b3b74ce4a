/* thread/circle.c: finds tasks of one executor that wait for each other in a circle.
 *
 * Flow     block.c publishes what a worker awaits when it parks (filch__circle_enter), asks whether that
 *          closes a circle, and takes it back (filch__circle_leave). A worker awaits a future, or a
 *          call that it has forked; that runs on a worker's stack; if that worker is parked as well, in any task of that stack, the
 *          future cannot end before that wait does. So there is one arrow from worker to worker, and a
 *          circle of arrows never ends by itself.
 * State    turn: odd while the worker is parked in a wait; the worker's. awaiting, joining, forever: the same, valid then.
 *          traced: the turn that the search has seen; of whoever has set circle_busy.
 * Keeps    Only one worker searches at a time, and leaves before the next begins if it has found a circle:
 *          of each circle one wait ends with FILCH_EDEADLK.
 * Orders
 *   B1 store_release turn (enter, leave) -> B2 load_acquire turn (search): what is awaited in that turn
 *   B3 fence_seq_cst (enter) -> B3 fence_seq_cst (enter): of two workers that close a circle, at least one sees the other's arrow
 *   B5 store_release circle_busy (end) -> B4 exchange_acquire circle_busy (begin): the turn that the searcher before has ended
 * Why a circle that is found is one: let T be the end of the first tracing. It has read every worker's turn
 * before T, and the second one finds the same turn after T, so at T all were parked, each in that wait. The
 * second sees each awaited future run on the next worker, and after that the next worker's turn unchanged:
 * that worker was parked from before T until after it was seen, so it has neither begun nor ended the
 * future in between. At T every one of them waited for the next.
 * Memory   an awaited future of another worker may be freed before it is looked at. Its memory belongs to
 *          a heap of the same executor and is not unmapped; what was read is not used if the turn changed.
 * Progress the search is bounded by the number of workers; who finds another one searching looks again after a short sleep. */
#include "thread/pool.h"

void filch__circle_enter(struct filch__worker *w, filch_future *f, filch_slot *slot, bool forever) {
    store_relaxed(&w->awaiting, f);                      /* relaxed: B1 publishes it */
    store_relaxed(&w->joining, slot);                    /* relaxed: B1 publishes it */
    store_relaxed(&w->forever, (uint32_t)forever);       /* relaxed: B1 publishes it */
    store_release(&w->turn, load_relaxed(&w->turn) + 1); /* B1 -> B2; relaxed: own field */
    fence_seq_cst();                                     /* B3 -> B3 */
}

void filch__circle_leave(struct filch__worker *w) {
    uint64_t turn = load_relaxed(&w->turn);          /* relaxed: own field */
    if (turn & 1) store_release(&w->turn, turn + 1); /* B1 -> B2 */
}

/* The worker on whose stack lies what this one awaits in its turn; NULL if it is not parked in that turn,
 * or what it awaits does not run. */
static struct filch__worker *follow(struct filch__worker *from, uint64_t turn) {
    filch_future *f = load_relaxed(&from->awaiting); /* relaxed: ordered by B2 */
    filch_slot *slot = load_relaxed(&from->joining); /* relaxed: ordered by B2 */
    if ((turn & 1) != 0 && slot != NULL) {
        uint32_t status = load_acquire(&slot->status);      /* L11 <- L10, L12 */
        if (load_acquire(&from->turn) != turn) return NULL; /* B2 <- B1 */
        if ((status & SLOT_RUNNING) == 0) return NULL;
        return filch__pool_slot(from->pool, status >> SLOT_THIEF_SHIFT);
    }
    if ((turn & 1) == 0 || f == NULL) return NULL;
    uint64_t state = state_look(&f->state);
    if (load_acquire(&from->turn) != turn) return NULL; /* B2 <- B1 */
    if (state_life(state) != LIFE_RUNNING) return NULL;
    return filch__pool_slot(from->pool, (uint32_t)state_runner(state));
}

/* Follows the arrows from w on. True: they come back to it, and, the second time, nothing has changed. */
static bool trace(struct filch__worker *w, bool second) {
    uint32_t workers = filch__pool_workers(w->pool);
    struct filch__worker *at = w;
    for (uint32_t n = 0; n < workers; n++) {
        uint64_t turn = load_acquire(&at->turn); /* B2 <- B1 */
        if (second && turn != at->traced) return false;
        at->traced = turn;
        at = follow(at, turn);
        if (at == NULL || at == w) return at == w;
    }
    return false;
}

enum filch__circle filch__circle_search(struct filch__worker *w) {
    struct filch__pool *p = w->pool;
    if (exchange_acquire(&p->circle_busy, 1u) != 0) return CIRCLE_UNKNOWN; /* B4 <- B5 */
    bool found = trace(w, false) && trace(w, true);
    if (found) filch__circle_leave(w);
    store_release(&p->circle_busy, 0u); /* B5 -> B4 */
    return found ? CIRCLE_CLOSED : CIRCLE_NONE;
}

bool filch__circle_leads_to(struct filch__worker *from, struct filch__worker *to) {
    uint32_t workers = filch__pool_workers(from->pool);
    for (uint32_t n = 0; n < workers; n++) {
        uint64_t turn = load_acquire(&from->turn);       /* B2 <- B1 */
        uint32_t forever = load_relaxed(&from->forever); /* relaxed: ordered by B2 */
        struct filch__worker *next = follow(from, turn);
        if (next == NULL || forever == 0 || next == to) return next == to && forever != 0;
        from = next;
    }
    return false;
}
