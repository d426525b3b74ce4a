/* map.c: one function over many inputs, on the public calls.
 *
 * Flow     the inputs are cut into contiguous chunks, a few per worker; each chunk is one task that
 *          runs its inputs one by one with an argument copy and a zeroed result as any task has.
 * Memory   tasks refer to the job on the caller's stack, which waits for every one of them. */
#include "error.h"
#include "executor_ops.h"
#include "future.h"
#include "os/memory.h"
#include "task.h"
#include <filch/map.h>
#include <string.h>

/* Chunks per worker: enough that uneven inputs balance, few enough that a chunk's cost is small. */
enum { CHUNKS_PER_WORKER = 16 };

struct job {
    filch_task_fn *fn;
    const char *args;
    size_t arg_size;
    char *results;
    size_t result_size;
};

struct chunk {
    const struct job *job;
    size_t begin, end;
};

/* How a chunk ended: the lowest input that failed. */
struct outcome {
    size_t index;
    int code;
};

/* One input, with private copies. Texts of filch_fail stay with the chunk's future, so the first
 * failure's must not be replaced by a later one: it is put aside. */
static int run_input(const struct job *job, size_t i, void *arg, void *result) {
    if (job->arg_size != 0) memcpy(arg, job->args + i * job->arg_size, job->arg_size);
    if (job->result_size != 0) memset(result, 0, job->result_size);
    int rc = job->fn(arg, result);
    if (rc == 0 && job->result_size != 0)
        memcpy(job->results + i * job->result_size, result, job->result_size);
    return rc < 0 && !filch__error_is_own(rc) ? FILCH_EINVAL : rc;
}

static int run_chunk(void *argument, void *result) {
    const struct chunk *chunk = argument;
    struct outcome *outcome = result;
    const struct job *job = chunk->job;
    struct filch__run *run = filch__self()->run;
    size_t arg_room = filch__round_up(job->arg_size);
    char *scratch = filch__alloc(arg_room + filch__round_up(job->result_size) + FILCH__ALIGNMENT);
    if (scratch == NULL) {
        *outcome = (struct outcome){chunk->begin, FILCH_ENOMEM};
        return 0;
    }
    char *first_text = NULL;
    uint32_t generation = filch__fork_now();
    for (size_t i = chunk->begin; i < chunk->end; i++) {
        int rc = run_input(job, i, scratch, scratch + arg_room);
        if (unlikely(filch__fork_now() != generation)) return 0; /* the others are the parent's */
        if (rc != 0 && outcome->code == 0) {
            *outcome = (struct outcome){i, rc};
            first_text = run->text;
        } else {
            filch__free(run->text);
        }
        run->text = NULL;
    }
    run->text = first_text;
    filch__free(scratch);
    return 0;
}

/* Waits for a chunk. If that cannot be done (a worker's stack is used up and no spare can be started)
 * the chunk is cancelled, since it must not run after this call has returned. In the child of a fork() in an
 * input that ran on this stack, the chunks are the parent's. */
static int result_of(filch_future *f, struct outcome *outcome) {
    for (;;) {
        int rc = filch_future_result(f, outcome, FILCH_FOREVER);
        if (filch_future_done(f)) return filch_future_result(f, outcome, FILCH_FOREVER);
        if (filch_future_cancel(f) || rc == FILCH_EFORKED) return rc;
    }
}

/* Waits for the chunks; the outcome of the lowest input that failed. */
static int gather(filch_future **futures, size_t count) {
    int code = 0;
    for (size_t c = 0; c < count; c++) {
        struct outcome outcome = {0, 0};
        filch_error error;
        int rc = result_of(futures[c], &outcome);
        if (rc == 0) rc = outcome.code;
        if (rc != 0 && code == 0) {
            code = rc;
            bool told = outcome.code != 0 && filch_future_error(futures[c], &error, 0) == 0 &&
                        !filch__outcome_is_plain(futures[c]->outcome);
            if (outcome.code != 0)
                filch__error(rc, "filch_map_array: input %zu: %s", outcome.index,
                             told ? error.text : filch_error_text(rc));
        }
        filch_future_release(futures[c]);
    }
    return code;
}

static int check(filch_task_fn *fn, const void *args, size_t arg_size, size_t n,
                 const void *results, size_t result_size) {
    size_t bytes;
    if (fn == NULL)
        return filch__error_constant(FILCH_EINVAL, "filch_map_array: the function is NULL");
    if (args == NULL && n != 0 && arg_size != 0)
        return filch__error_constant(FILCH_EINVAL, "filch_map_array: the inputs are NULL");
    if (results == NULL && n != 0 && result_size != 0)
        return filch__error_constant(FILCH_EINVAL,
                                     "filch_map_array: the place for results is NULL");
    if (__builtin_mul_overflow(arg_size, n, &bytes) ||
        __builtin_mul_overflow(result_size, n, &bytes) || arg_size > SIZE_MAX / 4 ||
        result_size > SIZE_MAX / 4)
        return filch__error(FILCH_ETOOBIG,
                            "filch_map_array: %zu inputs of %zu and %zu bytes overflow", n,
                            arg_size, result_size);
    return 0;
}

int filch_map_array(filch_executor *e, filch_task_fn *fn, const void *args, size_t arg_size,
                    size_t n, void *results, size_t result_size) {
    if (n == 0 && fn != NULL) return 0;
    int rc = check(fn, args, arg_size, n, results, result_size);
    if (rc != 0) return rc;
    e = filch__executor_resolve(e);
    if (e == NULL) return FILCH_ENOMEM;
    rc = filch__executor_check(e, "filch_map_array");
    if (rc != 0) return rc;
    struct job job = {fn, args, arg_size, results, result_size};
    size_t chunks = (size_t)e->ops->max_workers(e) * CHUNKS_PER_WORKER;
    if (chunks > n) chunks = n;
    filch_future **futures = filch__alloc(chunks * sizeof(filch_future *));
    if (futures == NULL) return filch__error_constant(FILCH_ENOMEM, "filch_map_array: no memory");
    size_t count = 0;
    for (size_t begin = 0; count < chunks && rc == 0; count++) {
        /* Sizes differ by at most one. */
        size_t end = begin + n / chunks + (count < n % chunks);
        struct chunk chunk = {&job, begin, end};
        rc = filch_submit(e, run_chunk, &chunk, sizeof chunk, sizeof(struct outcome),
                          &futures[count]);
        begin = end;
        if (rc != 0) break;
    }
    int failed = gather(futures, count);
    filch__free(futures);
    return failed != 0 ? failed : rc;
}
