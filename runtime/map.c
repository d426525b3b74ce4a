/* map.c: filch_map_array: one function over an array of inputs, on the public calls of futures.
 *
 * Flow     the inputs are cut into contiguous parts, a few per worker; each part is one task that runs its
 *          inputs one by one, with an argument copy and a zeroed result as any task has.
 *          Where workers share no memory with the program, a part's inputs and results travel with its task.
 * Memory   tasks refer to the job and their part in the caller's frame, which waits for every one of them.
 * Not here: an iterator over results, filch_map (results.c). */
#include "chunk.h"
#include "error.h"
#include "executor_ops.h"
#include "future.h"
#include "os/memory.h"
#include "packed.h"
#include "self.h"
#include <filch/map.h>
#include <stdio.h>
#include <string.h>

/* Parts per worker: enough that uneven inputs balance, few enough that a part's cost is small. */
enum { PARTS_PER_WORKER = 16 };

struct job {
    filch_task_fn *fn;
    const char *args;
    size_t arg_size;
    char *results;
    size_t result_size;
};

/* Some of the inputs, and the lowest one among them that failed. */
struct part {
    const struct job *job;
    size_t begin, end;
    filch_future *future;
    bool is_packed; /* the task has the inputs themselves: packed.h */
    size_t failed;
    struct filch__input_outcome outcome;
};

/* What filch_map_array returns: the first code that is noted, and its text. */
struct verdict {
    int code;
    char text[sizeof filch__thread.buffer];
};

static void note_outcome(struct part *part, size_t i, struct filch__input_outcome outcome) {
    if (likely(outcome.code == 0 && outcome.text == NULL)) return;
    if (outcome.code != 0 && part->outcome.code == 0) {
        part->failed = i;
        part->outcome = outcome;
    } else {
        filch__free(outcome.text);
    }
}

/* One input, with private copies. */
static struct filch__input_outcome run_input(const struct job *job, size_t i, void *arg,
                                             void *result) {
    if (job->arg_size != 0) memcpy(arg, job->args + i * job->arg_size, job->arg_size);
    struct filch__input_outcome outcome = filch__input_run(job->fn, arg, result, job->result_size);
    if (outcome.code == 0 && job->result_size != 0)
        memcpy(job->results + i * job->result_size, result, job->result_size);
    return outcome;
}

static int run_part(void *argument, void *result) {
    struct part *part = *(struct part **)argument;
    const struct job *job = part->job;
    size_t arg_room = filch__round_up(job->arg_size);
    char *scratch = filch__alloc(arg_room + filch__round_up(job->result_size) + FILCH__ALIGNMENT);
    (void)result;
    if (scratch == NULL) {
        note_outcome(part, part->begin, (struct filch__input_outcome){NULL, FILCH_ENOMEM});
        return 0;
    }
    uint32_t generation = filch__fork_now();
    for (size_t i = part->begin; i < part->end; i++) {
        struct filch__input_outcome outcome = run_input(job, i, scratch, scratch + arg_room);
        if (unlikely(filch__fork_now() != generation)) return 0; /* the others are the parent's */
        note_outcome(part, i, outcome);
    }
    filch__free(scratch);
    return 0;
}

/* Parts for workers that share no memory with the program ------------------------------------------ */

static int no_room(void) {
    return filch__error_constant(FILCH_ENOMEM, "filch_map_array: no memory");
}

/* Submits a part as a task that has the inputs in its argument. */
static int submit_packed(filch_executor *e, struct part *part) {
    const struct job *job = part->job;
    size_t n = part->end - part->begin;
    filch_task task = FILCH_TASK_INIT;
    struct filch__packed *packed =
        filch__packed_bytes(job->arg_size, job->result_size, n, &task.arg_size)
            ? filch__alloc(task.arg_size)
            : NULL;
    if (packed == NULL) return no_room();
    *packed = (struct filch__packed){job->arg_size, job->result_size, n, NULL};
    for (size_t i = 0; i < n && job->arg_size != 0; i++)
        memcpy(filch__packed_arg(packed, i), job->args + (part->begin + i) * job->arg_size,
               job->arg_size);
    task.fn = job->fn;
    task.arg = packed;
    part->is_packed = true;
    int rc = e->ops->submit_chunk(e, &task, &part->future);
    filch__free(packed);
    return rc;
}

/* The results of a part that has ended well. 0, or a code with its text. */
static int unpack(struct part *part) {
    const struct job *job = part->job;
    size_t n = part->end - part->begin, size;
    const void *results = filch__future_view(part->future, &size);
    for (size_t i = 0; i < n; i++) {
        struct filch__input_outcome outcome;
        if (!filch__packed_outcome(results, size, job->result_size, n, i, &outcome))
            return filch__error_constant(
                FILCH_EWORKER, "filch_map_array: a worker has given back what are no results");
        note_outcome(part, part->begin + i, outcome);
        if (outcome.code == 0 && job->result_size != 0)
            memcpy(job->results + (part->begin + i) * job->result_size,
                   filch__packed_value(results, job->result_size, n, i), job->result_size);
    }
    return 0;
}

/* -------------------------------------------------------------------------------------------------- */

/* Notes what the last call has failed with. The text must be copied: a worker that waits for a part may
 * run others, and what fails there has texts of its own. */
static void note_error(struct verdict *verdict, int code) {
    if (verdict->code != 0) return;
    verdict->code = code;
    snprintf(verdict->text, sizeof verdict->text, "%s", filch_last_error());
}

static int describe(const struct part *part) {
    const struct filch__input_outcome *o = &part->outcome;
    return filch__error(o->code, "filch_map_array: input %zu: %s", part->failed,
                        o->text != NULL ? o->text : filch_error_text(o->code));
}

/* Waits for the parts; the verdict is that of the lowest input that failed. */
static void gather(struct part *parts, size_t count, struct verdict *verdict) {
    for (size_t p = 0; p < count; p++) {
        int rc = filch__future_conclude(parts[p].future);
        if (rc == 0 && parts[p].is_packed) rc = unpack(&parts[p]);
        if (rc == 0 && parts[p].outcome.code != 0) rc = describe(&parts[p]);
        if (rc != 0) note_error(verdict, rc);
        filch__free(parts[p].outcome.text);
        filch_future_release(parts[p].future);
    }
}

/* Submits the inputs in `count` parts, whose sizes differ by at most one. Returns how many parts were
 * submitted; if they are less, the verdict says why. */
static size_t submit_parts(filch_executor *e, const struct job *job, size_t n, struct part *parts,
                           size_t count, struct verdict *verdict) {
    size_t begin = 0;
    for (size_t p = 0; p < count; p++) {
        struct part *part = &parts[p];
        size_t end = begin + n / count + (p < n % count);
        *part = (struct part){.job = job, .begin = begin, .end = end};
        int rc = e->ops->submit_chunk != NULL
                     ? submit_packed(e, part)
                     : filch_submit(e, run_part, &part, sizeof part, 0, &part->future);
        if (rc != 0) {
            note_error(verdict, rc);
            return p;
        }
        begin = end;
    }
    return count;
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
    struct verdict failed = {0, ""}, refused = {0, ""};
    size_t count = (size_t)e->ops->max_workers(e) * PARTS_PER_WORKER;
    if (count > n) count = n;
    struct part *parts = filch__alloc(count * sizeof *parts);
    if (parts == NULL) return filch__error_constant(FILCH_ENOMEM, "filch_map_array: no memory");
    gather(parts, submit_parts(e, &job, n, parts, count, &refused), &failed);
    filch__free(parts);
    /* What was refused comes after all that was not. */
    if (failed.code == 0) failed = refused;
    return failed.code == 0 ? 0 : filch__error(failed.code, "%s", failed.text);
}
