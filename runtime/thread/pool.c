/* thread/pool.c: making a thread executor, and submitting to it.
 *
 * Flow     filch_thread_executor -> checks -> a pool without threads. submit: an object from the own
 *          heap (worker) or from one that is free (outside); own deque or injector; crew.c tells
 *          somebody; then one look whether the executor has begun to end. */
#include "thread/pool.h"

#include "base/point.h"
#include "error.h"
#include "os/cpus.h"
#include "os/memory.h"
#include <string.h>

enum { MAX_WORKERS = 4096, DEFAULT_SPARES = 256 };
_Static_assert(2 * MAX_WORKERS < RUNNER_MASK, "the state of a future has room for every index");
#define SPIN_MAX 1000000000
#define STACK_MAX ((size_t)1 << 40)
#define STACK_MIN ((size_t)16384)

static int no_memory(void) {
    return filch__error_constant(FILCH_ENOMEM, "submit: there is no memory for the task");
}

/* The executor has begun to end. Order of checks: broken, then shut down. */
static cold int refuse(struct filch__pool *p, unsigned ending) {
    if ((ending & POOL_BROKEN) == 0)
        return filch__error_constant(FILCH_ESHUTDOWN, "submit: the executor was shut down");
    return filch__error(FILCH_EBROKEN, "submit: %s", filch__pool_cause(p));
}

/* The task was queued, and then the executor was seen to end. Either a worker finds it, or it is taken
 * back here; the entry stays and is dropped by who meets it. The caller holds a reference. */
static cold int take_back(struct filch__pool *p, filch_future *f, unsigned ending) {
    if (!state_cancel(&f->state)) return 0;
    filch__future_disown_arg(f);
    filch__future_set_outcome(f, FILCH_ECANCELED, NULL);
    filch__future_finish(f, LIFE_CANCELLED, false, NULL, NULL);
    return refuse(p, ending);
}

static always_inline int submit_inside(struct filch__pool *p, struct filch__worker *w,
                                       const filch_task *task, filch_future **future) {
    if (unlikely(w->stale != 0)) filch__worker_trim(w);
    filch_future *f = filch__future_create(w->heap, task, future == NULL ? 1 : 2);
    if (unlikely(f == NULL)) return no_memory();
    if (unlikely(!filch__deque_push(&w->local, filch__entry_of_future(f)))) {
        filch__future_discard(f);
        return no_memory();
    }
    filch__worker_mark(w);
    filch__crew_tell_own(w);
    if (future != NULL) {
        unsigned ending = filch__pool_ending(p);
        int rc = unlikely(ending != 0) ? take_back(p, f, ending) : 0;
        if (unlikely(rc != 0)) {
            filch__future_drop(f);
            return rc;
        }
        *future = f;
    }
    count_own(&w->submitted, 1);
    return 0;
}

/* Into the injector, with one more reference for the caller, so that it can look at it afterwards. */
static inline int inject(struct filch__pool *p, struct filch__outside_heap *o,
                         const filch_task *task, filch_future **future) {
    filch_future *f = filch__future_create(o->heap, task, 2);
    if (unlikely(f == NULL)) return no_memory();
    filch__stack_push(&p->injector, &f->link);
    POINT("submit.injected");
    filch__crew_tell_after_push(p);
    unsigned ending = filch__pool_ending(p);
    int rc = unlikely(ending != 0) ? take_back(p, f, ending) : 0;
    if (likely(rc == 0)) count_own(&o->submitted, 1);
    if (likely(rc == 0 && future != NULL))
        *future = f;
    else
        filch__future_drop(f);
    return rc;
}

static always_inline int submit_outside(struct filch__pool *p, const filch_task *task,
                                        filch_future **future) {
    if (unlikely(load_acquire(&p->confirmed) == 0)) { /* C25 <- C24 */
        int rc = filch__crew_ensure_one(p);
        if (rc != 0) return rc;
    }
    struct filch__outside_heap *o = filch__outside_take(&p->outside);
    if (unlikely(o == NULL)) return no_memory();
    int rc = inject(p, o, task, future);
    filch__outside_give(o);
    return rc;
}

static int submit(filch_executor *e, const filch_task *task, filch_future **future) {
    struct filch__pool *p = filch__pool_of(e);
    struct filch__worker *w = filch__pool_worker(p);
    unsigned ending = filch__pool_ending(p);
    if (unlikely(ending != 0)) return refuse(p, ending);
    return w != NULL ? submit_inside(p, w, task, future) : submit_outside(p, task, future);
}

/* Two functions, each of which the compiler keeps in registers: the fields, too, of a task that is never in
 * memory. */
static noinline int submit_plain_outside(struct filch__pool *p, filch_task_fn *fn, const void *arg,
                                         size_t arg_size, size_t result_size,
                                         filch_future **future) {
    filch_task task = {sizeof task, fn, arg, arg_size, result_size, NULL, NULL, 0};
    return submit_outside(p, &task, future);
}

static int submit_plain(filch_executor *e, filch_task_fn *fn, const void *arg, size_t arg_size,
                        size_t result_size, filch_future **future) {
    struct filch__pool *p = filch__pool_of(e);
    struct filch__worker *w = filch__pool_worker(p);
    unsigned ending = filch__pool_ending(p);
    if (unlikely(ending != 0)) return refuse(p, ending);
    if (w == NULL) return submit_plain_outside(p, fn, arg, arg_size, result_size, future);
    filch_task task = {sizeof task, fn, arg, arg_size, result_size, NULL, NULL, 0};
    return submit_inside(p, w, &task, future);
}

static void add_worker_stats(struct filch__worker *w, filch_stats *s) {
    s->submitted += load_relaxed(&w->submitted);     /* relaxed: a statistic */
    s->completed += load_relaxed(&w->completed);     /* relaxed: a statistic */
    s->stolen += load_relaxed(&w->stolen);           /* relaxed: a statistic */
    s->steal_attempts += load_relaxed(&w->attempts); /* relaxed: a statistic */
    s->steals_failed += load_relaxed(&w->failed);    /* relaxed: a statistic */
    s->remote_frees += filch__heap_remote_frees(w->heap);
    s->parked += load_relaxed(&w->parked); /* relaxed: a statistic */
    s->woken += load_relaxed(&w->woken);   /* relaxed: a statistic */
}

static void stats(filch_executor *e, filch_stats *out) {
    struct filch__pool *p = filch__pool_of(e);
    filch_stats s = FILCH_STATS_INIT;
    uint32_t n = filch__pool_workers(p);
    for (uint32_t i = 0; i < n; i++) {
        struct filch__worker *w = filch__pool_slot(p, i);
        if (w != NULL) add_worker_stats(w, &s);
    }
    filch__outside_add_stats(&p->outside, &s);
    s.cancelled = load_relaxed(&p->home->cancelled); /* relaxed: a statistic */
    s.workers_started = load_relaxed(&p->started);   /* relaxed: a statistic */
    *out = s;
}

static int max_workers(filch_executor *e) {
    return (int)filch__pool_of(e)->sleep.max;
}

static int worker_limit(filch_executor *e) {
    return (int)filch__pool_of(e)->limit;
}

/* A task was asked to end: every join looks once. */
static void alert(void *pool) {
    struct filch__pool *p = pool;
    uint32_t n = filch__pool_workers(p);
    if (!filch__crew_forks(p)) return;
    for (uint32_t i = 0; i < n; i++) {
        struct filch__worker *w = filch__pool_slot(p, i);
        if (w != NULL && w->lane.slots != NULL) filch__lane_alert(&w->lane);
    }
}

static const struct filch__executor_ops ops = {
    .submit = submit,
    .submit_plain = submit_plain,
    .wait = filch__worker_wait,
    .wait_isolated = filch__worker_wait_isolated,
    .wait_firm = filch__worker_wait_firm,
    .help = filch__worker_help,
    .wait_set = filch__worker_wait_set,
    .left_stale = filch__worker_left_stale,
    .blocking_begin = filch__worker_blocking_begin,
    .blocking_end = filch__worker_blocking_end,
    .fork = filch__worker_fork,
    .join = filch__worker_join,
    .shutdown = filch__pool_shutdown,
    .end_at_exit = filch__pool_end_at_exit,
    .destroy = filch__pool_destroy,
    .stats = stats,
    .max_workers = max_workers,
    .worker_limit = worker_limit,
};

static int check(const filch_thread_options *o) {
    if (o->size != sizeof *o)
        return filch__error(
            FILCH_EINVAL,
            "filch_thread_executor: the size field is %zu, not %zu: make the options "
            "with FILCH_THREAD_OPTIONS_INIT",
            o->size, sizeof *o);
    if (o->max_workers < 0 || o->max_workers > MAX_WORKERS)
        return filch__error(
            FILCH_EINVAL,
            "filch_thread_executor: max_workers is %d, not 1 to %d, or 0 for the default",
            o->max_workers, MAX_WORKERS);
    if (o->max_spares < -1 || o->max_spares > MAX_WORKERS)
        return filch__error(
            FILCH_EINVAL,
            "filch_thread_executor: max_spares is %d, not 1 to %d, -1 for none, or 0 for "
            "the default",
            o->max_spares, MAX_WORKERS);
    if (o->stack_size != 0 && (o->stack_size < STACK_MIN || o->stack_size > STACK_MAX))
        return filch__error(
            FILCH_EINVAL,
            "filch_thread_executor: stack_size is %zu, not %zu to %zu bytes, or 0 for the "
            "default",
            o->stack_size, STACK_MIN, STACK_MAX);
    if (o->spin < -1 || o->spin > SPIN_MAX)
        return filch__error(
            FILCH_EINVAL,
            "filch_thread_executor: spin is %lld, not 1 to %d nanoseconds, -1 for none, or "
            "0 for the default",
            (long long)o->spin, SPIN_MAX);
    return 0;
}

/* The stack that a thread gets for the option: whole pages, and no less than the system asks for. */
static size_t stack_size_of(size_t wanted) {
    size_t least = filch__thread_stack_least(), page = 4096;
    if (wanted == 0) return 0;
    if (wanted < least) wanted = least;
    return (wanted + page - 1) & ~(page - 1);
}

static int64_t spin_of(filch_nanoseconds wanted) {
    if (wanted != 0) return wanted < 0 ? 0 : wanted;
    return filch__cpus_usable() == 1 ? 0 : FILCH__SPIN_DEFAULT;
}

static void fill(struct filch__pool *p, const filch_thread_options *o) {
    const char *prefix = o->worker_name_prefix == NULL ? "filch" : o->worker_name_prefix;
    uint32_t cpus = (uint32_t)filch__cpus_usable();
    p->base.ops = &ops;
    p->base.generation = filch__fork_now();
    p->spin = spin_of(o->spin);
    p->stack_size = stack_size_of(o->stack_size);
    p->initializer = o->initializer;
    p->initializer_arg = o->initializer_arg;
    strncpy(p->name, prefix, sizeof p->name - 1);
    filch__stack_init(&p->injector);
    p->sleep.max = o->max_workers != 0  ? (uint32_t)o->max_workers
                   : cpus > MAX_WORKERS ? MAX_WORKERS
                                        : cpus;
    p->sleep.searchers = cpus;
    p->limit = p->sleep.limit = p->sleep.max + (o->max_spares < 0    ? 0
                                                : o->max_spares == 0 ? DEFAULT_SPARES
                                                                     : (uint32_t)o->max_spares);
}

static void free_pool(struct filch__pool *p) {
    if (p->home != NULL) filch__home_release(p->home);
    filch__cpus_free(p->cpus);
    filch__free(p->slots);
    filch__free(p);
}

static struct filch__pool *create(const filch_thread_options *o) {
    struct filch__pool *p = filch__alloc_aligned(_Alignof(struct filch__pool), sizeof *p);
    if (p == NULL) return NULL;
    fill(p, o);
    p->home = filch__home_create(p->spin);
    p->slots = filch__alloc_zeroed(p->limit * sizeof(struct filch__worker *));
    if (o->pin) p->cpus = filch__cpus_create();
    if (p->home != NULL) {
        filch__outside_init(&p->outside, p->home);
        p->home->pool = p;
        p->home->alert = alert;
    }
    bool complete = p->home != NULL && p->slots != NULL && (p->cpus != NULL || !o->pin);
    if (complete && filch__exit_register(&p->base)) return p;
    free_pool(p);
    return NULL;
}

int filch_thread_executor(const filch_thread_options *options, filch_executor **executor) {
    static const filch_thread_options defaults = FILCH_THREAD_OPTIONS_INIT;
    if (executor == NULL)
        return filch__error_constant(FILCH_EINVAL,
                                     "filch_thread_executor: the place for the executor is NULL");
    if (options == NULL) options = &defaults;
    int rc = check(options);
    if (rc != 0) return rc;
    if (!filch__fork_is_handled())
        return filch__error_constant(
            FILCH_ENOMEM,
            "filch_thread_executor: there was no memory for the handlers of fork() when "
            "the library was loaded");
    struct filch__pool *p = create(options);
    if (p == NULL)
        return filch__error_constant(FILCH_ENOMEM, "filch_thread_executor: there is no memory");
    *executor = &p->base;
    return 0;
}
