/* results.c: filch_map and the iterator over its results, on the public calls of futures.
 *
 * Flow     filch_map submits tasks (inputs.h): all, or as many as the buffer holds. filch_results_next waits for the
 *          oldest, takes it out of the queue, submits what there is room for, and gives the results of the
 *          taken task, one each time.
 * State    only the thread that uses the iterator touches it; tasks know their chunk, not the iterator.
 *          The queue is a ring: tasks that were submitted and not yet taken, oldest first.
 * Keeps    1. Inputs are submitted, taken and given in their order. `turn` is the one to be given next: the
 *             position-th of the taken task, else the first of the queue, else the first not submitted.
 *          2. The queue is at most buffer_size long if that is not 0.
 *          3. There are more inputs (INPUTS_MORE) only if the queue is full, or the time is over.
 * Memory   An iterator may be freed while its tasks run: arguments and results are theirs, or the chunk's.
 * Not here: how inputs become tasks (inputs.c), running the inputs of a chunk (chunk.c; packed.c where workers share no
 *          memory with the program), filch_map_array (map.c). */
#include "error.h"
#include "future.h"
#include "inputs.h"
#include "os/clock.h"
#include "os/memory.h"
#include "packed.h"
#include <filch/map.h>
#include <string.h>

struct filch_results {
    struct filch__inputs inputs;
    int64_t deadline;
    bool over; /* nothing is left to give */

    /* The queue. */
    struct filch__batch *ring;
    size_t room; /* of the ring; a power of two */
    size_t oldest, count;

    /* What is being given. */
    struct filch__batch taken;      /* no future: nothing */
    size_t position;                /* in it */
    const void *packed;             /* of a packed one that has ended well: its results, */
    size_t packed_size;             /* and their bytes */
    size_t turn;                    /* of all inputs */
    int task_code;                  /* of all inputs of the task: it was cancelled, say; or 0 */
    const char *task_text;          /* of that code: the future's, or: */
    struct filch__failure unwaited; /* why the task was not waited for */
};

/* The queue --------------------------------------------------------------------------------------- */

/* False: no memory. */
static noinline bool grow(filch_results *it) {
    size_t room = it->room == 0 ? 16 : it->room * 2, bytes;
    struct filch__batch *ring =
        __builtin_mul_overflow(room, sizeof *ring, &bytes) ? NULL : filch__alloc(bytes);
    if (ring == NULL) return false;
    /* It grows within filch_map alone, before any task is taken. */
    if (it->count != 0) memcpy(ring, it->ring, it->count * sizeof *ring);
    filch__free(it->ring);
    it->ring = ring;
    it->room = room;
    return true;
}

static void submit_next(filch_results *it) {
    /* First, so that an input that the generator has given has a place. */
    if (it->count == it->room && !grow(it)) {
        filch__inputs_refuse(&it->inputs,
                             filch__error_constant(FILCH_ENOMEM, "no memory for the queue"));
        return;
    }
    struct filch__batch *batch = &it->ring[(it->oldest + it->count) & (it->room - 1)];
    if (filch__inputs_submit(&it->inputs, batch)) it->count++;
}

static bool wants_more(const filch_results *it) {
    return it->inputs.source == INPUTS_MORE &&
           (it->inputs.spec.buffer_size == 0 || it->count < it->inputs.spec.buffer_size);
}

static void release(struct filch__batch *batch) {
    filch_future_release(batch->future);
    if (batch->chunk != NULL) filch__chunk_drop(batch->chunk);
    batch->future = NULL;
}

static struct filch__batch pop_oldest(filch_results *it) {
    struct filch__batch batch = it->ring[it->oldest++ & (it->room - 1)];
    it->count--;
    return batch;
}

/* Nothing more is given: what is left is cancelled. */
static void end(filch_results *it) {
    it->over = true;
    while (it->count != 0) {
        struct filch__batch batch = pop_oldest(it);
        filch_future_cancel(batch.future);
        release(&batch);
    }
    filch__inputs_end(&it->inputs);
}

/* Reading ----------------------------------------------------------------------------------------- */

static filch_nanoseconds time_left(const filch_results *it) {
    if (it->deadline == FILCH_FOREVER) return FILCH_FOREVER;
    int64_t now = filch__now();
    return it->deadline > now ? it->deadline - now : 0;
}

static int time_over(filch_results *it) {
    end(it);
    return filch__error(
        FILCH_ETIMEDOUT,
        "filch_results_next: the time was over before input %zu was done, and what is "
        "left is cancelled: raise timeout",
        it->turn);
}

/* The oldest task cannot be waited for: its results are lost, so that it need not run. */
static void give_up(filch_results *it, filch_future *f, int code) {
    filch__failure_keep(&it->unwaited, code);
    it->task_code = code;
    it->task_text = it->unwaited.text;
    filch_future_cancel(f);
}

/* Waits for the oldest task and takes it. 0, or FILCH_ETIMEDOUT. */
static int take(filch_results *it) {
    filch_future *f = it->ring[it->oldest & (it->room - 1)].future;
    filch_error error;
    int rc = filch_future_result(f, NULL, filch_future_done(f) ? 0 : time_left(it));
    it->task_code = 0;
    if (rc != 0 && filch_future_done(f)) {
        filch_future_error(f, &error, 0);
        it->task_code = error.code;
        it->task_text = error.text;
    } else if (rc == FILCH_ETIMEDOUT) {
        return rc;
    } else if (rc != 0) {
        give_up(it, f, rc);
    }
    it->taken = pop_oldest(it);
    it->position = 0;
    if (it->taken.is_packed && it->task_code == 0)
        it->packed = filch__future_view(it->taken.future, &it->packed_size);
    return 0;
}

static int end_of_source(filch_results *it) {
    size_t turn = it->turn;
    if (it->inputs.source == INPUTS_MORE) return time_over(it);
    end(it);
    if (it->inputs.source == INPUTS_END) return FILCH_EEND;
    return filch__error(it->inputs.refused.code,
                        "filch_results_next: input %zu could not be submitted: %s", turn,
                        it->inputs.refused.text);
}

/* Goes on to the next task. 0, or what there is instead of it. */
static int advance(filch_results *it) {
    if (it->count == 0) return end_of_source(it);
    if (take(it) != 0) return time_over(it);
    /* Before the reader goes on, so that the workers have as much to do as the buffer allows. */
    while (wants_more(it) && time_left(it) > 0) submit_next(it);
    return 0;
}

static int report(const filch_results *it, int code, const char *text) {
    const char *name = it->inputs.spec.name;
    if (text == NULL) text = filch_error_text(code);
    return filch__error(code, "%s%s%sinput %zu: %s", name == NULL ? "" : "task ",
                        name == NULL ? "" : name, name == NULL ? "" : ", ", it->turn, text);
}

static int give_packed(const filch_results *it, void *result) {
    size_t size = it->inputs.spec.result_size, count = it->taken.count;
    struct filch__input_outcome outcome;
    if (!filch__packed_outcome(it->packed, it->packed_size, size, count, it->position, &outcome))
        return report(it, FILCH_EWORKER, "the worker has given back what are no results");
    int rc = outcome.code == 0 ? 0 : report(it, outcome.code, outcome.text);
    filch__free(outcome.text);
    if (rc == 0 && result != NULL && size != 0)
        memcpy(result, filch__packed_value(it->packed, size, count, it->position), size);
    return rc;
}

/* The result of one input of the taken task. */
static int give(const filch_results *it, void *result) {
    struct filch__chunk *chunk = it->taken.chunk;
    if (it->task_code != 0) return report(it, it->task_code, it->task_text);
    if (it->taken.is_packed) return give_packed(it, result);
    if (chunk == NULL) return filch_future_result(it->taken.future, result, 0);
    const struct filch__input_outcome *outcome = filch__chunk_outcome(chunk, it->position);
    if (outcome->code != 0) return report(it, outcome->code, outcome->text);
    if (result != NULL && it->inputs.spec.result_size != 0)
        memcpy(result, filch__chunk_result(chunk, it->position), it->inputs.spec.result_size);
    return 0;
}

int filch_results_next(filch_results *it, void *result) {
    if (it == NULL)
        return filch__error_constant(FILCH_EINVAL, "filch_results_next: the iterator is NULL");
    int rc = 0;
    if (it->taken.future == NULL) rc = it->over ? FILCH_EEND : advance(it);
    if (rc == FILCH_EEND)
        return filch__error_constant(rc, "filch_results_next: there are no more results");
    if (rc != 0) return rc;
    rc = give(it, result);
    it->turn++;
    if (++it->position >= it->taken.count) release(&it->taken);
    return rc;
}

int filch_results_destroy(filch_results *it) {
    if (it == NULL) return 0;
    end(it);
    if (it->taken.future != NULL) release(&it->taken);
    filch__free(it->ring);
    filch__inputs_fini(&it->inputs);
    filch__free(it);
    return 0;
}

/* Making ------------------------------------------------------------------------------------------ */

static int check_sizes(const filch_map_spec *spec) {
    size_t bytes, inputs = spec->chunk_size;
    if (spec->next == NULL && inputs > spec->n) inputs = spec->n;
    if (spec->arg_size <= FILCH__SIZE_LIMIT && spec->result_size <= FILCH__SIZE_LIMIT &&
        !__builtin_mul_overflow(spec->arg_size, spec->n, &bytes) &&
        (inputs <= 1 || filch__chunk_bytes(spec, inputs, &bytes)))
        return 0;
    return filch__error(FILCH_ETOOBIG,
                        "filch_map: %zu inputs of %zu bytes with results of %zu, %zu in a chunk, "
                        "overflow",
                        spec->n, spec->arg_size, spec->result_size, spec->chunk_size);
}

static int check(const filch_map_spec *spec, filch_results *const *it) {
    if (spec == NULL || it == NULL)
        return filch__error(FILCH_EINVAL, "filch_map: %s is NULL",
                            spec == NULL ? "the spec" : "the place for the iterator");
    if (spec->size != sizeof *spec)
        return filch__error(FILCH_EINVAL,
                            "filch_map: the spec's size field is %zu, not %zu: make it with "
                            "FILCH_MAP_SPEC_INIT",
                            spec->size, sizeof *spec);
    if (spec->fn == NULL)
        return filch__error_constant(FILCH_EINVAL, "filch_map: the function is NULL");
    if (spec->next != NULL && (spec->args != NULL || spec->n != 0))
        return filch__error(
            FILCH_EINVAL,
            "filch_map: there is a generator, and an array of %zu inputs too: leave "
            "next, or args and n, at 0",
            spec->n);
    if (spec->next == NULL && spec->args == NULL && spec->n != 0 && spec->arg_size != 0)
        return filch__error(FILCH_EINVAL,
                            "filch_map: args is NULL, for %zu inputs of %zu bytes, and there is no "
                            "generator",
                            spec->n, spec->arg_size);
    return check_sizes(spec);
}

static filch_results *create(filch_executor *e, const filch_map_spec *spec, int64_t deadline) {
    filch_results *it = filch__alloc_zeroed(sizeof *it);
    if (it == NULL) return NULL;
    it->deadline = deadline;
    if (filch__inputs_init(&it->inputs, e, spec)) return it;
    filch__free(it);
    return NULL;
}

/* filch_map with a spec that is right. */
static int start(filch_executor *e, const filch_map_spec *spec, int64_t deadline,
                 filch_results **place) {
    filch_results *it = create(e, spec, deadline);
    if (it == NULL) {
        filch__inputs_destroy_from(spec, 0);
        return filch__error_constant(FILCH_ENOMEM, "filch_map: no memory");
    }
    while (wants_more(it)) submit_next(it);
    if (it->inputs.source != INPUTS_REFUSED) {
        *place = it;
        return 0;
    }
    struct filch__failure refused = it->inputs.refused;
    filch_results_destroy(it);
    return filch__error(refused.code, "filch_map: not all inputs could be submitted: %s",
                        refused.text);
}

int filch_map(filch_executor *e, const filch_map_spec *spec, filch_results **it) {
    int rc = check(spec, it);
    if (rc != 0) return rc;
    /* A time that has passed, where nothing may be waited for. */
    return start(e, spec, spec->timeout > 0 ? filch__deadline(spec->timeout) : 0, it);
}

int filch_map_until(filch_executor *e, const filch_map_spec *spec, filch_nanoseconds deadline,
                    filch_results **it) {
    int rc = check(spec, it);
    return rc != 0 ? rc : start(e, spec, deadline, it);
}
