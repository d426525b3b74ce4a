/* results.c: filch_map and the iterator over its results, on the public calls of futures.
 *
 * Flow     filch_map submits tasks: all, or as many as the buffer holds. filch_results_next waits for the
 *          oldest, takes it out of the queue, submits what there is room for, and gives the results of the
 *          taken task, one each time. A task is one input, submitted as it is, or a chunk of several.
 * State    only the thread that uses the iterator touches it; tasks know their chunk, not the iterator.
 *          The queue is a ring: tasks that were submitted and not yet taken, oldest first.
 * Keeps    1. Inputs are submitted, taken and given in their order. `turn` is the one to be given next: the
 *             position-th of the taken task, else the first of the queue, else the first not submitted.
 *          2. The queue is at most buffer_size long if that is not 0.
 *          3. source is MORE only if the queue is full, or the time is over.
 * Memory   An iterator may be freed while its tasks run: arguments and results are theirs, or the chunk's.
 * Not here: running the inputs of a chunk (chunk.c; packed.c where workers share no memory with the program), filch_map_array (map.c). */
#include "chunk.h"
#include "error.h"
#include "executor_ops.h"
#include "future.h"
#include "os/clock.h"
#include "os/memory.h"
#include "packed.h"
#include "self.h"
#include <filch/map.h>
#include <stdio.h>
#include <string.h>

/* A submitted task. */
struct task {
    filch_future *future;
    struct filch__chunk *chunk; /* NULL: the task is one input, or a packed one (packed.h) */
    size_t count;               /* inputs */
    bool is_packed;
};

/* A code with its text, kept for later: the user's code that runs meanwhile has failures of its own. */
struct failure {
    int code;
    char text[sizeof filch__thread.buffer];
};

struct filch_results {
    filch_executor *executor;
    filch_map_spec spec; /* chunk_size is at least 1 */
    int64_t deadline;
    bool over; /* nothing is left to give */

    /* Inputs. */
    enum { SOURCE_MORE, SOURCE_END, SOURCE_REFUSED } source;
    size_t next_input;      /* of the array */
    void *scratch;          /* where the generator writes, for a task of one input */
    struct failure refused; /* why no more were submitted */

    /* The queue. */
    struct task *ring;
    size_t room; /* of the ring; a power of two */
    size_t oldest, count;

    /* What is being given. */
    struct task taken;  /* no future: nothing */
    size_t position;    /* in its chunk */
    const void *packed; /* of a packed task that has ended well: its results */
    size_t packed_size;
    size_t turn;             /* of all inputs */
    int task_code;           /* of all inputs of the task: it was cancelled, say; or 0 */
    const char *task_text;   /* of that code: the future's, or: */
    struct failure unwaited; /* why the task was not waited for */
};

static void keep_error(struct failure *failure, int code) {
    failure->code = code;
    snprintf(failure->text, sizeof failure->text, "%s", filch_last_error());
}

/* Inputs ------------------------------------------------------------------------------------------ */

/* No more inputs are submitted, for what the last call has failed with. */
static void refuse(filch_results *it, int code) {
    it->source = SOURCE_REFUSED;
    keep_error(&it->refused, code);
}

static const void *element(const filch_map_spec *spec, size_t i) {
    return spec->arg_size == 0 ? NULL : (const char *)spec->args + i * spec->arg_size;
}

/* Has the generator write an input. False: it has no more. */
static bool generate(filch_results *it, void *arg) {
    if (it->spec.arg_size != 0) memset(arg, 0, it->spec.arg_size);
    if (it->spec.next(it->spec.next_context, arg)) return true;
    it->source = SOURCE_END;
    return false;
}

/* Notes how many inputs of the array are with tasks now. */
static void pass_elements(filch_results *it, size_t n) {
    it->next_input += n;
    if (it->next_input == it->spec.n) it->source = SOURCE_END;
}

/* Destroys an input that no task owns. */
static void destroy_input(const filch_map_spec *spec, const void *arg) {
    if (spec->arg_destroy != NULL) spec->arg_destroy((void *)(uintptr_t)arg);
}
static void destroy_elements_from(const filch_map_spec *spec, size_t i) {
    if (spec->next != NULL || spec->arg_destroy == NULL) return;
    while (i < spec->n) destroy_input(spec, element(spec, i++));
}

/* The queue --------------------------------------------------------------------------------------- */

/* Submits the next input as a task. False: there is none, or it was refused. */
static bool submit_single(filch_results *it, struct task *task) {
    const filch_map_spec *spec = &it->spec;
    filch_task single = FILCH_TASK_INIT;
    if (spec->next != NULL && !generate(it, it->scratch)) return false;
    single.fn = spec->fn;
    single.arg = spec->next != NULL ? it->scratch : element(spec, it->next_input);
    single.arg_size = spec->arg_size;
    single.result_size = spec->result_size;
    single.name = spec->name;
    single.arg_destroy = spec->arg_destroy;
    int rc = filch_submit_task(it->executor, &single, &task->future);
    if (rc == 0) {
        task->count = 1;
        if (spec->next == NULL) pass_elements(it, 1);
        return true;
    }
    refuse(it, rc);
    if (spec->next != NULL) destroy_input(spec, it->scratch);
    return false;
}

/* Fills a chunk with the next inputs, of which there may be none. */
static void fill(filch_results *it, struct filch__chunk *chunk, size_t n) {
    const filch_map_spec *spec = &it->spec;
    while (chunk->count < n) {
        void *arg = filch__chunk_arg(chunk, chunk->count);
        if (spec->next != NULL) {
            if (!generate(it, arg)) return;
        } else if (spec->arg_size != 0) {
            memcpy(arg, element(spec, it->next_input + chunk->count), spec->arg_size);
        }
        filch__chunk_add(chunk);
    }
    if (spec->next == NULL) pass_elements(it, n);
}

static void free_unsubmitted(struct filch__chunk *chunk) {
    filch__chunk_end(&chunk);
    filch__chunk_drop(chunk);
}

/* A chunk with the next inputs; NULL: there are none, or no memory. */
static struct filch__chunk *make_chunk(filch_results *it) {
    size_t n = it->spec.chunk_size, left = it->spec.n - it->next_input;
    if (it->spec.next == NULL && n > left) n = left;
    struct filch__chunk *chunk = filch__chunk_create(&it->spec, n);
    if (chunk == NULL) {
        refuse(it, filch__error_constant(FILCH_ENOMEM, "no memory for a chunk"));
        return NULL;
    }
    fill(it, chunk, n);
    if (chunk->count != 0) return chunk;
    free_unsubmitted(chunk);
    return NULL;
}

/* Submits the next inputs as one task. False: there are none, or they were refused. */
static bool submit_chunk(filch_results *it, struct task *task) {
    struct filch__chunk *chunk = task->chunk = make_chunk(it);
    filch_task whole = FILCH_TASK_INIT;
    if (chunk == NULL) return false;
    whole.fn = filch__chunk_run;
    whole.arg = &chunk;
    whole.arg_size = sizeof chunk;
    whole.name = it->spec.name;
    whole.arg_destroy = filch__chunk_end;
    task->count = chunk->count;
    int rc = filch_submit_task(it->executor, &whole, &task->future);
    if (rc == 0) return true;
    refuse(it, rc);
    free_unsubmitted(chunk);
    return false;
}

/* Do the executor's workers share no memory with the program? */
static bool is_remote(const filch_results *it) {
    return it->executor != NULL && it->executor->ops->submit_chunk != NULL;
}

/* An argument with the next inputs; NULL: there are none, or no memory. */
static struct filch__packed *make_packed(filch_results *it, size_t *bytes) {
    const filch_map_spec *spec = &it->spec;
    size_t n = spec->chunk_size, left = spec->n - it->next_input;
    if (spec->next == NULL && n > left) n = left;
    bool fits = filch__packed_bytes(spec->arg_size, spec->result_size, n, bytes);
    struct filch__packed *packed = fits ? filch__alloc(*bytes) : NULL;
    if (packed == NULL) {
        refuse(it, filch__error_constant(FILCH_ENOMEM, "no memory for a chunk"));
        return NULL;
    }
    *packed = (struct filch__packed){spec->arg_size, spec->result_size, 0, spec->arg_destroy};
    for (; packed->count < n; packed->count++) {
        void *arg = filch__packed_arg(packed, packed->count);
        if (spec->next != NULL) {
            if (!generate(it, arg)) break;
        } else if (spec->arg_size != 0) {
            memcpy(arg, element(spec, it->next_input + packed->count), spec->arg_size);
        }
    }
    if (spec->next == NULL) pass_elements(it, n);
    if (packed->count != 0) return packed;
    filch__free(packed);
    return NULL;
}

/* The same for workers that share no memory. */
static bool submit_packed(filch_results *it, struct task *task) {
    filch_task whole = FILCH_TASK_INIT;
    size_t room;
    struct filch__packed *packed = make_packed(it, &room);
    if (packed == NULL) return false;
    whole.fn = it->spec.fn;
    whole.arg = packed;
    (void)filch__packed_bytes(it->spec.arg_size, it->spec.result_size, packed->count,
                              &whole.arg_size);
    whole.name = it->spec.name;
    whole.arg_destroy = it->spec.arg_destroy == NULL ? NULL : filch__packed_destroy;
    task->count = packed->count;
    task->is_packed = true;
    int rc = filch__executor_check(it->executor, "filch_map");
    if (rc == 0) rc = it->executor->ops->submit_chunk(it->executor, &whole, &task->future);
    if (rc != 0) {
        refuse(it, rc);
        filch__packed_destroy(packed);
    }
    filch__free(packed);
    return rc == 0;
}

/* Submits the next inputs. False: there are none, or they were refused. */
static bool submit_task(filch_results *it, struct task *task) {
    if (it->spec.chunk_size == 1) return submit_single(it, task);
    return is_remote(it) ? submit_packed(it, task) : submit_chunk(it, task);
}

/* Room for one task more. False: no memory. */
static bool make_room(filch_results *it) {
    size_t room = it->room == 0 ? 16 : it->room * 2, bytes;
    if (it->count < it->room) return true;
    struct task *ring =
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
    struct task task = {NULL, NULL, 0, false};
    /* First, so that an input that the generator has given has a place. */
    if (!make_room(it))
        refuse(it, filch__error_constant(FILCH_ENOMEM, "no memory for the queue"));
    else if (submit_task(it, &task))
        it->ring[(it->oldest + it->count++) & (it->room - 1)] = task;
}

static bool wants_more(const filch_results *it) {
    return it->source == SOURCE_MORE &&
           (it->spec.buffer_size == 0 || it->count < it->spec.buffer_size);
}

static void release(struct task *task) {
    filch_future_release(task->future);
    if (task->chunk != NULL) filch__chunk_drop(task->chunk);
    task->future = NULL;
}

static struct task pop_oldest(filch_results *it) {
    struct task task = it->ring[it->oldest++ & (it->room - 1)];
    it->count--;
    return task;
}

/* Nothing more is given: what is left is cancelled. */
static void end(filch_results *it) {
    it->over = true;
    while (it->count != 0) {
        struct task task = pop_oldest(it);
        filch_future_cancel(task.future);
        release(&task);
    }
    destroy_elements_from(&it->spec, it->next_input);
    it->next_input = it->spec.n;
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
    keep_error(&it->unwaited, code);
    it->task_code = code;
    it->task_text = it->unwaited.text;
    filch_future_cancel(f);
}

/* The results of a packed task that has ended well. */
static void look_into(filch_results *it) {
    it->packed = filch__future_view(it->taken.future, &it->packed_size);
    if (filch__packed_check(it->packed, it->packed_size, it->spec.result_size, it->taken.count))
        return;
    it->task_code = FILCH_EWORKER;
    it->task_text = "the worker has given back what are no results";
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
    if (it->taken.is_packed && it->task_code == 0) look_into(it);
    return 0;
}

static int end_of_source(filch_results *it) {
    size_t turn = it->turn;
    if (it->source == SOURCE_MORE) return time_over(it);
    end(it);
    if (it->source == SOURCE_END) return FILCH_EEND;
    return filch__error(it->refused.code,
                        "filch_results_next: input %zu could not be submitted: %s", turn,
                        it->refused.text);
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
    const char *name = it->spec.name;
    if (text == NULL) text = filch_error_text(code);
    return filch__error(code, "%s%s%sinput %zu: %s", name == NULL ? "" : "task ",
                        name == NULL ? "" : name, name == NULL ? "" : ", ", it->turn, text);
}

static int give_packed(const filch_results *it, void *result) {
    const struct filch__packed_end *end = filch__packed_end(it->packed, it->position);
    if (end->code != 0) return report(it, end->code, filch__packed_text(it->packed, it->position));
    if (result != NULL && it->spec.result_size != 0)
        memcpy(result,
               filch__packed_value(it->packed, it->spec.result_size, it->taken.count, it->position),
               it->spec.result_size);
    return 0;
}

/* The result of one input of the taken task. */
static int give(const filch_results *it, void *result) {
    struct filch__chunk *chunk = it->taken.chunk;
    if (it->task_code != 0) return report(it, it->task_code, it->task_text);
    if (it->taken.is_packed) return give_packed(it, result);
    if (chunk == NULL) return filch_future_result(it->taken.future, result, 0);
    const struct filch__input_outcome *outcome = filch__chunk_outcome(chunk, it->position);
    if (outcome->code != 0) return report(it, outcome->code, outcome->text);
    if (result != NULL && it->spec.result_size != 0)
        memcpy(result, filch__chunk_result(chunk, it->position), it->spec.result_size);
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
    filch__free(it->scratch);
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
    it->executor = e;
    it->spec = *spec;
    if (spec->chunk_size == 0) it->spec.chunk_size = 1;
    it->deadline = deadline;
    it->source = spec->next == NULL && spec->n == 0 ? SOURCE_END : SOURCE_MORE;
    if (spec->next == NULL || it->spec.chunk_size != 1) return it;
    it->scratch = filch__alloc(spec->arg_size == 0 ? 1 : spec->arg_size);
    if (it->scratch != NULL) return it;
    filch__free(it);
    return NULL;
}

/* filch_map with a spec that is right. */
static int start(filch_executor *e, const filch_map_spec *spec, int64_t deadline,
                 filch_results **place) {
    filch_results *it = create(e, spec, deadline);
    if (it == NULL) {
        destroy_elements_from(spec, 0);
        return filch__error_constant(FILCH_ENOMEM, "filch_map: no memory");
    }
    while (wants_more(it)) submit_next(it);
    if (it->source != SOURCE_REFUSED) {
        *place = it;
        return 0;
    }
    struct failure refused = it->refused;
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
