/* thread/worker.c: a worker: its making, its thread, and how it runs what was found.
 *
 * Flow     filch__worker_main -> find.c (next), else idle.c (search, sleep) -> filch__worker_handle -> task.c -> future.c.
 * Not here: what is run next (find.c), sleep and the worker's end (idle.c). */
#include "error.h"
#include "os/clock.h"
#include "os/cpus.h"
#include "os/memory.h"
#include "task.h"
#include "thread/pool.h"

/* Entries of a new deque; it doubles as needed. */
#define DEQUE_CAPACITY 256
/* Stack that is kept for the user's code under the floor, bytes; a quarter of a small stack. */
#define STACK_RESERVE ((size_t)64 << 10)

struct filch__worker *filch__worker_create(struct filch__pool *p, uint32_t index) {
    struct filch__worker *w = filch__alloc_aligned(_Alignof(struct filch__worker), sizeof *w);
    if (w == NULL) return NULL;
    w->self.executor = &p->base;
    w->self.index = (int)index;
    w->pool = p;
    w->victim = index;
    w->live_mark = INT64_MAX;
    w->spin = p->spin;
    filch__random_init(&w->random, index);
    (void)filch__lane_init(&w->lane); /* without memory for it, forked calls run at once */
    bool local = filch__deque_init(&w->local, DEQUE_CAPACITY);
    bool inbound = filch__deque_init(&w->inbound, DEQUE_CAPACITY);
    if (local && inbound) w->heap = filch__heap_create(p->home, filch__home_release);
    if (w->heap == NULL) {
        filch__worker_destroy(w);
        return NULL;
    }
    filch__home_retain(p->home);
    return w;
}

void filch__worker_destroy(struct filch__worker *w) {
    filch__deque_fini(&w->local);
    filch__deque_fini(&w->inbound);
    filch__lane_fini(&w->lane);
    filch__free(w->marks);
    if (w->heap != NULL) filch__heap_seal(w->heap);
    filch__free(w);
}

/* Runs what was stolen from another's own deque. */
static void run_stolen(struct filch__worker *w, filch__entry entry) {
    filch_future *f = filch__entry_future(entry);
    w->stole = false;
    if (!filch__worker_claim(w, f)) {
        filch__worker_skip(w, f);
        return;
    }
    /* From here on, when the task's line has come: how long that takes says nothing about the task. */
    int64_t start = filch__now();
    filch__worker_run(w, f, true);
    filch__worker_learn(w, start, false);
}

static void run_entry(struct filch__worker *w, filch__entry entry) {
    w->stole = false;
    if (!filch__entry_is_frame(entry)) {
        filch__worker_handle(w, entry);
        return;
    }
    filch__hand_empty(w); /* it is part of a task that runs: nobody who drains waits for it */
    int64_t start = filch__now();
    filch__worker_run_frame(w, entry);
    filch__worker_learn(w, start, true);
}

bool filch__worker_run_any(struct filch__worker *w) {
    filch__entry entry = filch__worker_look(w);
    if (entry == ENTRY_NONE) return false;
    run_entry(w, entry);
    return true;
}

/* Callbacks do not run while the worker counts as searching. */
static void before_callbacks(void *worker) {
    filch__worker_found(worker);
}

/* Before its future is done a worker counts as idle, if it has nothing else to do: whoever sees the
 * end and submits again finds an idle worker, and starts no other. */
static void search_if_idle(struct filch__worker *w) {
    if (w->pool->sleep.max == 1) return; /* nobody else would be told in any case */
    struct filch__worker *victim = filch__pool_slot(w->pool, w->victim);
    if (filch__deque_is_empty(&w->local) && filch__deque_is_empty(&w->inbound) &&
        filch__stack_is_empty(&w->pool->injector) && filch__deque_is_empty(&victim->local) &&
        filch__deque_is_empty(&victim->inbound))
        w->searching = sleep_try_search(&w->pool->sleep);
}

/* With nothing below on the stack: others may help with what the task submits from now on. */
static void begin_outermost(struct filch__worker *w, filch_future *f, int64_t base) {
    store_relaxed(&w->outer_base, base); /* relaxed: C15 publishes it */
    store_release(&w->outer, f);         /* C15 -> C16 */
}

static void end_outermost(struct filch__worker *w) {
    store_release(&w->outer, NULL); /* C15 -> C16 */
    search_if_idle(w);
}

void filch__worker_run(struct filch__worker *w, filch_future *f, bool drop) {
    bool outermost = w->nesting++ == 0;
    int64_t base = filch__deque_bottom(&w->local);
    uint32_t outer_forks = filch__worker_begin_forks(w);
    if (outermost) begin_outermost(w, f, base);
    if (unlikely(!filch__task_run(&w->self, f, base))) return;
    filch__worker_end_forks(w, outer_forks);
    filch__worker_end_blocking(w);
    count_own(&w->completed, 1);
    if (outermost) end_outermost(w);
    /* What callbacks fork is no part of a task. */
    outer_forks = filch__worker_begin_forks(w);
    filch__future_finish(f, LIFE_FINISHED, drop, before_callbacks, w);
    if (unlikely(!filch__worker_is_here(w))) return;
    filch__worker_end_forks(w, outer_forks);
    filch__worker_end_blocking(w);
    w->nesting--;
}

cold void filch__worker_end_unstarted(struct filch__worker *w, filch_future *f) {
    uint32_t outer_forks = filch__worker_begin_forks(w);
    w->nesting++;
    if ((filch__pool_ending(w->pool) & POOL_BROKEN) != 0)
        filch__future_try_fail(f, filch__pool_cause(w->pool));
    else
        filch__future_try_cancel(f);
    if (!filch__worker_is_here(w)) return;
    filch__worker_end_forks(w, outer_forks);
    filch__worker_end_blocking(w);
    w->nesting--;
}

/* In the new thread: what it knows of itself. */
static void begin(struct filch__worker *w) {
    struct filch__pool *p = w->pool;
    size_t low = filch__thread_stack_low();
    size_t room = low == 0 ? 0 : (size_t)__builtin_frame_address(0) - low;
    filch__thread.self = &w->self;
    filch__heap_mine = w->heap;
    if (w->lane.slots != NULL) filch_lane_self = &w->lane.hot;
    w->stack_floor = low == 0 ? 0 : low + (room / 4 < STACK_RESERVE ? room / 4 : STACK_RESERVE);
    w->searching = true;
    filch__thread_name(p->name, w->self.index);
    if (p->cpus != NULL) filch__cpus_pin(p->cpus, w->self.index);
    w->initialized = p->initializer == NULL;
    if (p->initializer == NULL) return;
    /* It counts as busy meanwhile. It needs no look for others before: it will search itself. */
    sleep_change(&p->sleep, -SEARCHING_ONE);
    w->searching = false;
    w->nesting++;
    int rc = p->initializer(p->initializer_arg);
    if (unlikely(!filch__worker_is_here(w))) return;
    filch__worker_end_forks(w, 0);
    filch__worker_end_blocking(w);
    w->initialized = rc == 0;
    if (rc != 0) filch__pool_break(p, rc, w->self.index);
    w->nesting--;
    sleep_change(&p->sleep, SEARCHING_ONE);
    w->searching = true;
}

/* The next entry; ENTRY_NONE: the worker has left. */
static filch__entry find(struct filch__worker *w) {
    if (!w->searching) {
        filch__entry entry = filch__worker_next(w);
        if (likely(entry != ENTRY_NONE)) return entry;
    }
    return filch__worker_idle(w);
}

/* More workers than may be awake exist, since one was blocked: one of them may be too many now. */
static inline bool retire_if_too_many(struct filch__worker *w) {
    if (likely(filch__pool_workers(w->pool) <= w->pool->sleep.max) || w->searching) return true;
    return filch__worker_retire(w);
}

void *filch__worker_main(void *argument) {
    struct filch__worker *w = argument;
    begin(w);
    while (filch__worker_is_here(w) && retire_if_too_many(w)) {
        filch__entry entry = find(w);
        if (entry == ENTRY_NONE) break;
        if (w->stole)
            run_stolen(w, entry);
        else
            run_entry(w, entry);
    }
    /* For destructors of the user's thread-local storage, which run after this. */
    filch__heap_mine = NULL;
    filch__thread.self = NULL;
    filch_lane_self = &filch_lane_outside;
    return NULL;
}
