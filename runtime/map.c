/* map.c: filch_map_array: one function over an array of inputs, on threads.
 *
 * Flow     a loop over the inputs (filch/parallel.h), split where a worker is hungry; each input runs with an argument copy and
 *          a zeroed result, as any task does.
 * State    job: constant, but for `failures`: a stack of inputs that failed, by CAS, each with a lower index than those below.
 *          The top is the lowest so far, and what is pushed stays until the loop is over.
 * Orders
 *   R1 cas_acq_rel failures (note) -> R2 load_acquire failures (look, end): its index, below, outcome
 * Memory   the caller's frame has the job; it waits for everything that refers to it.
 * Not here: workers that share no memory with the program (map_packed.c); an iterator over results, filch_map (results.c). */
#include "map.h"

#include "base/atomics.h"
#include "executor_ops.h"
#include "self.h"
#include <filch/parallel.h>
#include <stdio.h>

/* Bytes of an input's copy and result that are kept on the stack. */
enum { SMALL_INPUT = 256 };

struct failure {
    struct failure *below;
    size_t input;
    struct filch__input_outcome outcome;
};

struct job {
    const struct filch__map *map;
    struct failure *failures;
    size_t unnoted; /* the lowest input for whose failure there was no memory; SIZE_MAX: none */
};

/* Failures ----------------------------------------------------------------------------------------- */

static void note_unnoted(struct job *job, size_t input) {
    size_t lowest = load_relaxed(&job->unnoted); /* relaxed: the number alone counts */
    do {
        if (input >= lowest) return;
    } while (!cas_relaxed(&job->unnoted, &lowest, input)); /* relaxed: the number alone counts */
}

static cold void note_failure(struct job *job, size_t input, struct filch__input_outcome outcome) {
    struct failure *lowest = load_acquire(&job->failures); /* R2 <- R1 */
    struct failure *failure = filch__alloc(sizeof *failure);
    if (failure == NULL) note_unnoted(job, input);
    while (failure != NULL && (lowest == NULL || input < lowest->input)) {
        *failure = (struct failure){lowest, input, outcome};
        if (cas_acq_rel(&job->failures, &lowest, failure)) return; /* R1 -> R2 */
    }
    filch__free(failure);
    filch__free(outcome.text);
}

/* The loop is over. The code of the lowest input that has failed, with its text; 0: none has. */
static int describe(const struct job *job) {
    const struct failure *lowest = load_acquire(&job->failures); /* R2 <- R1 */
    size_t unnoted = load_relaxed(&job->unnoted);                /* relaxed: the loop is over */
    if (unnoted != SIZE_MAX && (lowest == NULL || unnoted < lowest->input))
        return filch__error(
            FILCH_ENOMEM,
            "filch_map_array: input %zu: there is no memory to run it, or to say how "
            "it has failed",
            unnoted);
    return lowest == NULL ? 0 : filch__map_failed(lowest->input, &lowest->outcome);
}

static void forget(struct job *job) {
    while (job->failures != NULL) {
        struct failure *failure = job->failures;
        job->failures = failure->below;
        filch__free(failure->outcome.text);
        filch__free(failure);
    }
}

/* The loop ----------------------------------------------------------------------------------------- */

/* One input, with private copies. */
static struct filch__input_outcome run_input(const struct filch__map *map, size_t i,
                                             char *scratch) {
    void *arg = scratch, *result = scratch + filch__round_up(map->arg_size);
    if (map->arg_size != 0) memcpy(arg, filch__map_arg(map, i), map->arg_size);
    struct filch__input_outcome outcome = filch__input_run(map->fn, arg, result, map->result_size);
    if (outcome.code == 0 && map->result_size != 0)
        memcpy(filch__map_result(map, i), result, map->result_size);
    return outcome;
}

/* The child of a fork() in an input stops there: the others are the parent's. */
static int run_inputs(struct job *job, int64_t begin, int64_t end, char *scratch) {
    uint32_t generation = filch__fork_now();
    for (int64_t i = begin; i < end; i++) {
        struct filch__input_outcome outcome = run_input(job->map, (size_t)i, scratch);
        if (unlikely(filch__fork_now() != generation)) return FILCH_EFORKED;
        if (unlikely(outcome.code != 0))
            note_failure(job, (size_t)i, outcome);
        else if (unlikely(outcome.text != NULL))
            filch__free(outcome.text);
    }
    return 0;
}

static int run_chunk(int64_t begin, int64_t end, void *context) {
    struct job *job = context;
    _Alignas(max_align_t) char small[SMALL_INPUT];
    size_t size = filch__round_up(job->map->arg_size) + filch__round_up(job->map->result_size);
    if (likely(size <= sizeof small)) return run_inputs(job, begin, end, small);
    char *large = filch__alloc(size);
    if (large == NULL) {
        note_unnoted(job, (size_t)begin);
        return 0;
    }
    int rc = run_inputs(job, begin, end, large);
    filch__free(large);
    return rc;
}

static int run_loop(filch_executor *e, struct job *job, int64_t n) {
    int rc = filch_parallel_for(e, 0, n, 0, run_chunk, job);
    if (rc == FILCH_ECANCELED && filch_cancel_requested())
        return filch__error_constant(
            rc, "filch_map_array: the task was asked to end before all inputs had started");
    return rc;
}

/* The inputs are no part of the task that maps: what they say, or allocate, is not what it says. */
static int run_apart(filch_executor *e, struct job *job, int64_t n) {
    struct filch__self *self = filch__self();
    struct filch__run *run = self == NULL ? NULL : self->run;
    if (run == NULL) return run_loop(e, job, n);
    char *text = run->text;
    struct filch__outcome *block = run->block;
    run->text = NULL;
    run->block = NULL;
    int rc = run_loop(e, job, n);
    if (unlikely(filch__self() != self)) return rc; /* the child of a fork() */
    filch__free(run->text);
    filch__free(run->block);
    run->text = text;
    run->block = block;
    return rc;
}

static int map_on_threads(filch_executor *e, const struct filch__map *map, size_t n) {
    struct job job = {map, NULL, SIZE_MAX};
    uint32_t generation = filch__fork_now();
    int rc = run_apart(e, &job, (int64_t)n);
    if (unlikely(filch__fork_now() != generation)) return rc;
    int failed = describe(&job);
    forget(&job);
    return failed != 0 ? failed : rc;
}

/* -------------------------------------------------------------------------------------------------- */

int filch__map_failed(size_t input, const struct filch__input_outcome *outcome) {
    return filch__error(outcome->code, "filch_map_array: input %zu: %s", input,
                        outcome->text != NULL ? outcome->text : filch_error_text(outcome->code));
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
        result_size > SIZE_MAX / 4 || n > INT64_MAX)
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
    const struct filch__map map = {fn, args, arg_size, results, result_size};
    return e->ops->submit_chunk == NULL ? map_on_threads(e, &map, n)
                                        : filch__map_packed(e, &map, n);
}
