/* process/pool.c: making a process executor, and submitting to it.
 *
 * Flow     filch_process_executor -> checks -> the zygote -> the manager. submit: an object from a heap that is free, the injector,
 *          a knock at the desk; then one look whether the executor has begun to end.
 * In the program nobody is a worker of such an executor: what the table has for workers is for the objects that tasks see in
 * a worker process (nested.c). */
#include "process/pool.h"

#include "base/point.h"
#include "error.h"
#include "os/bell.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/cpus.h"
#include "os/memory.h"
#include "os/shm.h"
#include "process/functions.h"
#include "process/zygote.h"
#include <errno.h>
#include <string.h>

enum { MAX_WORKERS = 1024, DEFAULT_SPARES = 16 };
#define SPIN_MAX 1000000000
/* Limits, and bytes of the initializer's argument: 1 GiB. */
#define LIMITS_MAX 1024
#define ARGUMENT_MAX ((size_t)1 << 30)

/* Submitting --------------------------------------------------------------------------------------- */

static int no_memory(void) {
    return filch__error_constant(FILCH_ENOMEM, "submit: there is no memory for the task");
}

/* Order of checks: broken, then shut down. */
static cold int refuse(struct filch__processes *p, unsigned ending) {
    if ((ending & FIRM_BROKEN) == 0)
        return filch__error_constant(FILCH_ESHUTDOWN, "submit: the executor was shut down");
    return filch__error(FILCH_EBROKEN, "submit: %s", filch__processes_cause(p));
}

/* Takes back what was queued, if it is there still. False: it was accepted. */
static bool take_back(filch_future *f) {
    if (!state_cancel(&f->state)) return false;
    filch__future_disown_arg(f);
    filch__future_set_outcome(f, FILCH_ECANCELED, NULL);
    filch__future_finish(f, LIFE_CANCELLED, false, NULL, NULL);
    return true;
}

/* After the knock: the executor was seen to end, or had no worker and could start none, which may have changed. */
static cold int reconsider(struct filch__processes *p, filch_future *f, unsigned ending,
                           int error) {
    POINT("submit.reconsider");
    if (!take_back(f)) return 0;
    if (ending != 0) return refuse(p, ending);
    return filch__error(error, "submit: the executor has no worker, and none could be started: no "
                               "process, descriptor or shared memory");
}

static int submit_any(filch_executor *e, const filch_task *task, bool is_chunk,
                      filch_future **future) {
    struct filch__processes *p = filch__processes_of(e);
    unsigned ending = filch__processes_ending(p);
    if (unlikely(ending != 0)) return refuse(p, ending);
    struct filch__outside_heap *o = filch__outside_take(&p->outside);
    if (unlikely(o == NULL)) return no_memory();
    filch_future *f = unlikely(is_chunk) ? filch__future_create_rare(o->heap, task, 2)
                                         : filch__future_create(o->heap, task, 2);
    if (likely(f != NULL)) count_own(&o->submitted, 1);
    filch__outside_give(o);
    if (unlikely(f == NULL)) return no_memory();
    if (unlikely(is_chunk)) filch__future_rare(f)->is_chunk = true;
    filch__stack_push(&p->injector, &f->link);
    POINT("submit.injected");
    filch__desk_knock(p);
    ending = filch__processes_ending(p);
    int rc = 0, error = load_acquire(&p->start_error); /* V35 <- V34 */
    if (unlikely((ending | (unsigned)error) != 0)) rc = reconsider(p, f, ending, error);
    if (likely(rc == 0 && future != NULL))
        *future = f;
    else
        filch__future_drop(f);
    return rc;
}

static int submit(filch_executor *e, const filch_task *task, filch_future **future) {
    return submit_any(e, task, false, future);
}

static int submit_chunk(filch_executor *e, const filch_task *task, filch_future **future) {
    return submit_any(e, task, true, future);
}

static int submit_plain(filch_executor *e, filch_task_fn *fn, const void *arg, size_t arg_size,
                        size_t result_size, filch_future **future) {
    filch_task task = {sizeof task, fn, arg, arg_size, result_size, NULL, NULL, 0};
    return submit(e, &task, future);
}

/* The table ---------------------------------------------------------------------------------------- */

static void stats(filch_executor *e, filch_stats *out) {
    struct filch__processes *p = filch__processes_of(e);
    filch_stats s = FILCH_STATS_INIT;
    filch__outside_add_stats(&p->outside, &s);
    s.completed = load_relaxed(&p->completed);       /* relaxed: a statistic */
    s.cancelled = load_relaxed(&p->home->cancelled); /* relaxed: a statistic */
    s.woken = load_relaxed(&p->woken);               /* relaxed: a statistic */
    s.parked = s.woken + filch__attend_sleepers(p);
    s.workers_started = load_relaxed(&p->started); /* relaxed: a statistic */
    *out = s;
}

static int max_workers(filch_executor *e) {
    return (int)filch__processes_of(e)->max;
}

static int worker_limit(filch_executor *e) {
    return (int)filch__processes_of(e)->limit;
}

static const struct filch__executor_ops ops = {
    .submit = submit,
    .submit_plain = submit_plain,
    .submit_chunk = submit_chunk,
    .shutdown = filch__processes_shutdown,
    .end_at_exit = filch__processes_end_at_exit,
    .destroy = filch__processes_destroy,
    .stats = stats,
    .max_workers = max_workers,
    .worker_limit = worker_limit,
};

/* Options ------------------------------------------------------------------------------------------ */

static int check_numbers(const filch_process_options *o) {
    if (o->max_workers < 0 || o->max_workers > MAX_WORKERS)
        return filch__error(
            FILCH_EINVAL,
            "filch_process_executor: max_workers is %d, not 1 to %d, or 0 for the default",
            o->max_workers, MAX_WORKERS);
    if (o->max_spares < -1 || o->max_spares > MAX_WORKERS)
        return filch__error(
            FILCH_EINVAL,
            "filch_process_executor: max_spares is %d, not 1 to %d, -1 for none, or 0 "
            "for the default",
            o->max_spares, MAX_WORKERS);
    if (o->spin < -1 || o->spin > SPIN_MAX)
        return filch__error(
            FILCH_EINVAL,
            "filch_process_executor: spin is %lld, not 1 to %d nanoseconds, -1 for none, "
            "or 0 for the default",
            (long long)o->spin, SPIN_MAX);
    if (o->task_timeout < 0)
        return filch__error(
            FILCH_EINVAL, "filch_process_executor: task_timeout is %lld, not 0 or more nanoseconds",
            (long long)o->task_timeout);
    if (o->max_tasks_per_worker < 0)
        return filch__error(FILCH_EINVAL,
                            "filch_process_executor: max_tasks_per_worker is %d, not 0 or more",
                            o->max_tasks_per_worker);
    if (o->output < 0 || o->error < 0)
        return filch__error(
            FILCH_EINVAL,
            "filch_process_executor: %s is %d, not a descriptor, or 0 for the program's own",
            o->output < 0 ? "output" : "error", o->output < 0 ? o->output : o->error);
    return 0;
}

static int check_arrays(const filch_process_options *o) {
    if (o->initializer_arg == NULL && o->initializer_arg_size != 0)
        return filch__error(
            FILCH_EINVAL,
            "filch_process_executor: initializer_arg is NULL, initializer_arg_size is %zu",
            o->initializer_arg_size);
    if (o->initializer_arg_size > ARGUMENT_MAX)
        return filch__error(
            FILCH_EINVAL,
            "filch_process_executor: initializer_arg_size is %zu, more than %zu bytes",
            o->initializer_arg_size, ARGUMENT_MAX);
    if (o->limits == NULL && o->limit_count != 0)
        return filch__error(FILCH_EINVAL,
                            "filch_process_executor: limits is NULL, limit_count is %zu",
                            o->limit_count);
    if (o->limit_count > LIMITS_MAX)
        return filch__error(FILCH_EINVAL,
                            "filch_process_executor: limit_count is %zu, more than %d",
                            o->limit_count, LIMITS_MAX);
    for (size_t i = 0; i < o->limit_count; i++)
        if (!filch__limit_is_known(o->limits[i].resource))
            return filch__error(FILCH_EINVAL,
                                "filch_process_executor: limit %zu: there is no resource %d", i,
                                o->limits[i].resource);
        else if (o->limits[i].soft > o->limits[i].hard)
            return filch__error(
                FILCH_EINVAL, "filch_process_executor: limit %zu: soft (%llu) is above hard (%llu)",
                i, (unsigned long long)o->limits[i].soft, (unsigned long long)o->limits[i].hard);
    return 0;
}

static int check_files(const filch_process_options *o) {
    if ((o->output != 0 && !filch__fd_is_open(o->output)) ||
        (o->error != 0 && !filch__fd_is_open(o->error)))
        return filch__error(
            FILCH_EINVAL,
            "filch_process_executor: output and error are %d and %d, and not both are open",
            o->output, o->error);
    if (o->directory != NULL && !filch__directory_is_there(o->directory))
        return filch__error(FILCH_EINVAL, "filch_process_executor: there is no directory %s",
                            o->directory);
    return 0;
}

static int check(const filch_process_options *o) {
    if (o->size != sizeof *o)
        return filch__error(
            FILCH_EINVAL,
            "filch_process_executor: the size field is %zu, not %zu: make the options with "
            "FILCH_PROCESS_OPTIONS_INIT",
            o->size, sizeof *o);
    int rc = check_numbers(o);
    if (rc == 0) rc = check_arrays(o);
    return rc != 0 ? rc : check_files(o);
}

static int check_process(void) {
    if (filch__is_inside)
        return filch__error_constant(
            FILCH_ENOTSUP,
            "filch_process_executor: called in a process that the library has started: only "
            "the program may have executors on processes");
    if (!filch__main_called)
        return filch__error_constant(
            FILCH_ESTATE,
            "filch_process_executor: the program has not called filch_main: add the line "
            "filch_main(&argc, &argv); as the first one of main(int argc, char **argv)");
    if (!filch__fork_is_handled())
        return filch__error_constant(
            FILCH_ENOMEM,
            "filch_process_executor: there was no memory for the handlers of fork() when "
            "the library was loaded");
    return 0;
}

/* Making ------------------------------------------------------------------------------------------- */

static int64_t spin_of(filch_nanoseconds wanted) {
    if (wanted != 0) return wanted < 0 ? 0 : wanted;
    return filch__cpus_usable() == 1 ? 0 : FILCH__SPIN_DEFAULT;
}

static void fill(struct filch__processes *p, const filch_process_options *o) {
    uint32_t cpus = (uint32_t)filch__cpus_usable();
    p->base.ops = &ops;
    p->base.generation = filch__fork_now();
    p->common_fd = p->manager_bell = p->attendant_bell = p->zygote_socket = p->zygote_watch = -1;
    p->origin = (struct filch__origin){-1, -1, -1, NULL, NULL};
    p->max = o->max_workers != 0  ? (uint32_t)o->max_workers
             : cpus > MAX_WORKERS ? MAX_WORKERS
                                  : cpus;
    p->limit = p->max + (o->max_spares < 0    ? 0
                         : o->max_spares == 0 ? DEFAULT_SPARES
                                              : (uint32_t)o->max_spares);
    p->spin = spin_of(o->spin);
    p->task_timeout = o->task_timeout == FILCH_FOREVER ? 0 : o->task_timeout;
    p->timer = FILCH_FOREVER;
    p->zygote_watched = true;
    filch__stack_init(&p->injector);
    filch__stack_init(&p->notices);
    filch__stack_init(&p->chores);
    filch__stack_init(&p->orphans);
}

static int no_room(const char *what) {
    return filch__error(FILCH_ENOMEM, "filch_process_executor: there is no memory for %s", what);
}

/* The page that all workers read. */
static bool map_common(struct filch__processes *p) {
    if (filch__shm_create("filch-common", CHANNEL_PAGE, &p->common_fd) != 0) {
        p->common_fd = -1;
        return false;
    }
    p->common = filch__shm_map(p->common_fd, 0, CHANNEL_PAGE, true, NULL);
    return p->common != NULL;
}

static int equip(struct filch__processes *p) {
    p->home = filch__home_create(p->spin);
    p->seats = filch__alloc_zeroed(p->limit * sizeof *p->seats);
    p->functions = filch__functions_create();
    if (p->home == NULL || p->seats == NULL || p->functions == NULL) return no_room("the executor");
    p->manager_bell = filch__bell_create();
    p->attendant_bell = filch__bell_create();
    if (p->manager_bell < 0 || p->attendant_bell < 0) return no_room("descriptors");
    if (!map_common(p)) return no_room("shared memory");
    filch__outside_init(&p->outside, p->home);
    p->home->pool = p;
    p->home->remote = &filch__processes_remote;
    return 0;
}

/* The zygote is there: the last steps, each of which may fail. */
static int begin(struct filch__processes *p) {
    int error = filch__thread_start(&p->manager, 0, filch__manager_main, p);
    if (error != 0)
        return filch__error(FILCH_EAGAIN, "filch_process_executor: no thread could be started: %s",
                            strerror(error));
    if (filch__exit_register(&p->base)) return 0;
    (void)filch__processes_shutdown(&p->base, FILCH_WAIT);
    return no_room("the executor");
}

int filch_process_executor(const filch_process_options *options, filch_executor **executor) {
    static const filch_process_options defaults = FILCH_PROCESS_OPTIONS_INIT;
    if (executor == NULL)
        return filch__error_constant(FILCH_EINVAL,
                                     "filch_process_executor: the place for the executor is NULL");
    if (options == NULL) options = &defaults;
    int rc = check(options);
    if (rc == 0) rc = check_process();
    if (rc != 0) return rc;
    struct filch__processes *p = filch__alloc_aligned(_Alignof(struct filch__processes), sizeof *p);
    if (p == NULL) return no_room("the executor");
    fill(p, options);
    rc = equip(p);
    if (rc == 0) rc = filch__spawn_first(p, options);
    if (rc == 0) rc = begin(p);
    if (rc != 0) {
        filch__processes_free(p);
        return rc;
    }
    *executor = &p->base;
    return 0;
}

int filch_executor_kill_workers(filch_executor *e) {
    struct filch__packet packet = {.kind = NOTICE_KILL_ALL};
    if (e == NULL)
        return filch__error_constant(FILCH_EINVAL,
                                     "filch_executor_kill_workers: the executor is NULL");
    int rc = filch__executor_check(e, "filch_executor_kill_workers");
    if (rc != 0) return rc;
    if (e->ops != &ops)
        return filch__error_constant(FILCH_ENOTSUP,
                                     "filch_executor_kill_workers: this is not a process executor");
    filch__desk_tell(filch__processes_of(e), &packet);
    return 0;
}
