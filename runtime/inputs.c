/* inputs.c: see inputs.h. */
#include "inputs.h"

#include "error.h"
#include "executor_ops.h"
#include "os/memory.h"
#include "packed.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void filch__failure_keep(struct filch__failure *failure, int code) {
    failure->code = code;
    snprintf(failure->text, sizeof failure->text, "%s", filch_last_error());
}

bool filch__inputs_init(struct filch__inputs *in, filch_executor *e, const filch_map_spec *spec) {
    in->executor = e;
    in->spec = *spec;
    if (spec->chunk_size == 0) in->spec.chunk_size = 1;
    in->source = spec->next == NULL && spec->n == 0 ? INPUTS_END : INPUTS_MORE;
    if (spec->next == NULL || in->spec.chunk_size != 1) return true;
    in->scratch = filch__alloc(spec->arg_size == 0 ? 1 : spec->arg_size);
    return in->scratch != NULL;
}

void filch__inputs_fini(struct filch__inputs *in) {
    filch__free(in->scratch);
}

void filch__inputs_refuse(struct filch__inputs *in, int code) {
    in->source = INPUTS_REFUSED;
    filch__failure_keep(&in->refused, code);
}

static const void *element(const filch_map_spec *spec, size_t i) {
    return spec->arg_size == 0 ? NULL : (const char *)spec->args + i * spec->arg_size;
}

/* Has the generator write an input. False: it has no more. */
static bool generate(struct filch__inputs *in, void *arg) {
    if (in->spec.arg_size != 0) memset(arg, 0, in->spec.arg_size);
    if (in->spec.next(in->spec.next_context, arg)) return true;
    in->source = INPUTS_END;
    return false;
}

/* Notes how many inputs of the array are with tasks now. */
static void pass_elements(struct filch__inputs *in, size_t n) {
    in->next += n;
    if (in->next == in->spec.n) in->source = INPUTS_END;
}

/* Destroys an input that no task owns. */
static void destroy_input(const filch_map_spec *spec, const void *arg) {
    if (spec->arg_destroy != NULL) spec->arg_destroy((void *)(uintptr_t)arg);
}

void filch__inputs_destroy_from(const filch_map_spec *spec, size_t i) {
    if (spec->next != NULL || spec->arg_destroy == NULL) return;
    while (i < spec->n) destroy_input(spec, element(spec, i++));
}
void filch__inputs_end(struct filch__inputs *in) {
    filch__inputs_destroy_from(&in->spec, in->next);
    in->next = in->spec.n;
}

/* Tasks ------------------------------------------------------------------------------------------ */

/* Submits the next input as a task. False: there is none, or it was refused. */
static bool submit_single(struct filch__inputs *in, struct filch__batch *batch) {
    const filch_map_spec *spec = &in->spec;
    filch_task single = FILCH_TASK_INIT;
    if (spec->next != NULL && !generate(in, in->scratch)) return false;
    single.fn = spec->fn;
    single.arg = spec->next != NULL ? in->scratch : element(spec, in->next);
    single.arg_size = spec->arg_size;
    single.result_size = spec->result_size;
    single.name = spec->name;
    single.arg_destroy = spec->arg_destroy;
    int rc = filch_submit_task(in->executor, &single, &batch->future);
    if (rc == 0) {
        batch->count = 1;
        if (spec->next == NULL) pass_elements(in, 1);
        return true;
    }
    filch__inputs_refuse(in, rc);
    if (spec->next != NULL) destroy_input(spec, in->scratch);
    return false;
}

/* Fills a chunk with the next inputs, of which there may be none. */
static void fill(struct filch__inputs *in, struct filch__chunk *chunk, size_t n) {
    const filch_map_spec *spec = &in->spec;
    while (chunk->count < n) {
        void *arg = filch__chunk_arg(chunk, chunk->count);
        if (spec->next != NULL) {
            if (!generate(in, arg)) return;
        } else if (spec->arg_size != 0) {
            memcpy(arg, element(spec, in->next + chunk->count), spec->arg_size);
        }
        filch__chunk_add(chunk);
    }
    if (spec->next == NULL) pass_elements(in, n);
}

static void free_unsubmitted(struct filch__chunk *chunk) {
    filch__chunk_end(&chunk);
    filch__chunk_drop(chunk);
}

/* A chunk with the next inputs; NULL: there are none, or no memory. */
static struct filch__chunk *make_chunk(struct filch__inputs *in) {
    size_t n = in->spec.chunk_size, left = in->spec.n - in->next;
    if (in->spec.next == NULL && n > left) n = left;
    struct filch__chunk *chunk = filch__chunk_create(&in->spec, n);
    if (chunk == NULL) {
        filch__inputs_refuse(in, filch__error_constant(FILCH_ENOMEM, "no memory for a chunk"));
        return NULL;
    }
    fill(in, chunk, n);
    if (chunk->count != 0) return chunk;
    free_unsubmitted(chunk);
    return NULL;
}

/* Submits the next inputs as one task. False: there are none, or they were refused. */
static bool submit_chunk(struct filch__inputs *in, struct filch__batch *batch) {
    struct filch__chunk *chunk = batch->chunk = make_chunk(in);
    filch_task whole = FILCH_TASK_INIT;
    if (chunk == NULL) return false;
    whole.fn = filch__chunk_run;
    whole.arg = &chunk;
    whole.arg_size = sizeof chunk;
    whole.name = in->spec.name;
    whole.arg_destroy = filch__chunk_end;
    batch->count = chunk->count;
    int rc = filch_submit_task(in->executor, &whole, &batch->future);
    if (rc == 0) return true;
    filch__inputs_refuse(in, rc);
    free_unsubmitted(chunk);
    return false;
}

/* Do the executor's workers share no memory with the program? */
static bool is_remote(const struct filch__inputs *in) {
    return in->executor != NULL && in->executor->ops->submit_chunk != NULL;
}

/* An argument with the next inputs; NULL: there are none, or no memory. */
static struct filch__packed *make_packed(struct filch__inputs *in, size_t *bytes) {
    const filch_map_spec *spec = &in->spec;
    size_t n = spec->chunk_size, left = spec->n - in->next;
    if (spec->next == NULL && n > left) n = left;
    bool fits = filch__packed_bytes(spec->arg_size, spec->result_size, n, bytes);
    struct filch__packed *packed = fits ? filch__alloc(*bytes) : NULL;
    if (packed == NULL) {
        filch__inputs_refuse(in, filch__error_constant(FILCH_ENOMEM, "no memory for a chunk"));
        return NULL;
    }
    *packed = (struct filch__packed){spec->arg_size, spec->result_size, 0, spec->arg_destroy};
    for (; packed->count < n; packed->count++) {
        void *arg = filch__packed_arg(packed, packed->count);
        if (spec->next != NULL) {
            if (!generate(in, arg)) break;
        } else if (spec->arg_size != 0) {
            memcpy(arg, element(spec, in->next + packed->count), spec->arg_size);
        }
    }
    if (spec->next == NULL) pass_elements(in, n);
    if (packed->count != 0) return packed;
    filch__free(packed);
    return NULL;
}

/* The same for workers that share no memory. */
static bool submit_packed(struct filch__inputs *in, struct filch__batch *batch) {
    filch_task whole = FILCH_TASK_INIT;
    size_t room;
    struct filch__packed *packed = make_packed(in, &room);
    if (packed == NULL) return false;
    whole.fn = in->spec.fn;
    whole.arg = packed;
    (void)filch__packed_bytes(in->spec.arg_size, in->spec.result_size, packed->count,
                              &whole.arg_size);
    whole.name = in->spec.name;
    whole.arg_destroy = in->spec.arg_destroy == NULL ? NULL : filch__packed_destroy;
    batch->count = packed->count;
    batch->is_packed = true;
    int rc = filch__executor_check(in->executor, "filch_map");
    if (rc == 0) rc = in->executor->ops->submit_chunk(in->executor, &whole, &batch->future);
    if (rc != 0) {
        filch__inputs_refuse(in, rc);
        filch__packed_destroy(packed);
    }
    filch__free(packed);
    return rc == 0;
}

static noinline bool submit_several(struct filch__inputs *in, struct filch__batch *batch) {
    return is_remote(in) ? submit_packed(in, batch) : submit_chunk(in, batch);
}

bool filch__inputs_submit(struct filch__inputs *in, struct filch__batch *batch) {
    *batch = (struct filch__batch){NULL, NULL, 0, false};
    return in->spec.chunk_size == 1 ? submit_single(in, batch) : submit_several(in, batch);
}
