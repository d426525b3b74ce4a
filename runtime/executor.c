/* executor.c: the door. Checks arguments, calls a back-end; the default executor.
 *
 * Orders
 *   X1 cas_acq_rel the_default (publish) -> X2 load_acquire the_default (get): the executor's fields
 * Fork     each call looks first whether the executor is of this process (fork.h).
 * Not here: everything that a back-end does (executor_ops.h says what). Only this file knows which
 * back-ends were built. */
#include "base/atomics.h"
#include "base/compiler.h"
#include "error.h"
#include "executor_ops.h"
#include "future.h"
#include <filch/executor.h>
#include <string.h>

/* The executor behind NULL. It is never freed: who has kept it may use it while the program ends. */
static filch_executor *the_default;

static int end_and_free(filch_executor *e) {
    int rc = e->ops->shutdown(e, FILCH_WAIT);
    if (rc != 0) return rc;
    filch__exit_forget(e);
    e->ops->destroy(e);
    return 0;
}

static cold filch_executor *make_default(void) {
    filch_executor *e, *present = NULL;
    if (filch_thread_executor(NULL, &e) != 0) return NULL;
    e->is_default = true;
    if (cas_acq_rel(&the_default, &present, e)) return e; /* X1 -> X2 */
    end_and_free(e);
    return present;
}

filch_executor *filch_default_executor(void) {
    filch_executor *e = load_acquire(&the_default); /* X2 <- X1 */
    return likely(e != NULL) ? e : make_default();
}

filch_executor *filch__executor_resolve(filch_executor *e) {
    return likely(e != NULL) ? e : filch_default_executor();
}

void filch__executor_forget_default(void) {
    store_relaxed(&the_default, NULL); /* relaxed: there is one thread */
}

cold int filch__executor_refuse(const char *call) {
    return filch__error(FILCH_EFORKED,
                        "%s: the executor belongs to the process before fork(): make a new one",
                        call);
}

/* filch_submit, if a field is not valid, for the default executor, or for one of the parent's. */
static cold int submit_slow(filch_executor *e, const filch_task *task, filch_future **future) {
    if (!filch__task_is_valid(task->fn, task->arg, task->arg_size, task->result_size))
        return filch__task_refuse(task);
    e = filch__executor_resolve(e);
    if (e == NULL) return FILCH_ENOMEM;
    int rc = filch__executor_check(e, "submit");
    return rc != 0 ? rc : e->ops->submit(e, task, future);
}

int filch_submit(filch_executor *e, filch_task_fn *fn, const void *arg, size_t arg_size,
                 size_t result_size, filch_future **future) {
    if (likely(e != NULL && filch__task_is_valid(fn, arg, arg_size, result_size) &&
               e->generation == filch__fork_now()))
        return e->ops->submit_plain(e, fn, arg, arg_size, result_size, future);
    filch_task task = {sizeof task, fn, arg, arg_size, result_size, NULL, NULL, 0};
    return submit_slow(e, &task, future);
}

int filch_submit_task(filch_executor *e, const filch_task *task, filch_future **future) {
    if (task == NULL)
        return filch__error_constant(FILCH_EINVAL, "filch_submit_task: the task is NULL");
    if (task->size != sizeof *task)
        return filch__error(
            FILCH_EINVAL,
            "filch_submit_task: the task's size field is %zu, not %zu: make it with "
            "FILCH_TASK_INIT",
            task->size, sizeof *task);
    if (unlikely(task->retries < 0))
        return filch__error(FILCH_EINVAL, "filch_submit_task: retries is %d, not 0 or more",
                            task->retries);
    if (unlikely(e == NULL || e->generation != filch__fork_now() ||
                 !filch__task_is_valid(task->fn, task->arg, task->arg_size, task->result_size)))
        return submit_slow(e, task, future);
    return e->ops->submit(e, task, future);
}

int filch_executor_shutdown(filch_executor *e, unsigned flags) {
    if (e == NULL)
        return filch__error_constant(FILCH_EINVAL, "filch_executor_shutdown: the executor is NULL");
    if ((flags & ~(unsigned)(FILCH_WAIT | FILCH_CANCEL_PENDING)) != 0)
        return filch__error(FILCH_EINVAL, "filch_executor_shutdown: flags 0x%x are not known",
                            flags);
    int rc = filch__executor_check(e, "filch_executor_shutdown");
    return rc != 0 ? rc : e->ops->shutdown(e, flags);
}

int filch_executor_destroy(filch_executor *e) {
    if (e == NULL) return 0;
    int rc = filch__executor_check(e, "filch_executor_destroy");
    if (rc != 0) return rc;
    if (e->is_default)
        return filch__error_constant(
            FILCH_EINVAL, "filch_executor_destroy: the default executor ends with the program");
    return end_and_free(e);
}

int filch_executor_stats(filch_executor *e, filch_stats *stats) {
    if (e == NULL || stats == NULL)
        return filch__error(FILCH_EINVAL, "filch_executor_stats: %s is NULL",
                            e == NULL ? "the executor" : "the place for the counters");
    if (stats->size != sizeof *stats)
        return filch__error(FILCH_EINVAL,
                            "filch_executor_stats: the size field is %zu, not %zu: make it with "
                            "FILCH_STATS_INIT",
                            stats->size, sizeof *stats);
    int rc = filch__executor_check(e, "filch_executor_stats");
    if (rc == 0) e->ops->stats(e, stats);
    return rc;
}

int filch_executor_worker_limit(filch_executor *e) {
    if (e == NULL) return 0;
    int rc = filch__executor_check(e, "filch_executor_worker_limit");
    return rc != 0 ? rc : e->ops->worker_limit(e);
}
