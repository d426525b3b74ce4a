/* chunk.c: see chunk.h. */
#include "chunk.h"

#include "base/atomics.h"
#include "os/memory.h"

/* Bytes of one input; the spec's sizes are at most FILCH__SIZE_LIMIT, so that the sum does not overflow. */
static size_t slot_size(const filch_map_spec *spec) {
    return filch__round_up(sizeof(struct filch__input_outcome)) + filch__round_up(spec->arg_size) +
           filch__round_up(spec->result_size);
}

bool filch__chunk_bytes(const filch_map_spec *spec, size_t n, size_t *bytes) {
    return !__builtin_mul_overflow(slot_size(spec), n, bytes) &&
           !__builtin_add_overflow(*bytes, filch__round_up(sizeof(struct filch__chunk)), bytes);
}

struct filch__chunk *filch__chunk_create(const filch_map_spec *spec, size_t n) {
    size_t bytes;
    struct filch__chunk *chunk = filch__chunk_bytes(spec, n, &bytes) ? filch__alloc(bytes) : NULL;
    if (chunk == NULL) return NULL;
    *chunk = (struct filch__chunk){.references = 2,
                                   .fn = spec->fn,
                                   .arg_destroy = spec->arg_destroy,
                                   .arg_size = spec->arg_size,
                                   .result_size = spec->result_size,
                                   .slot_size = slot_size(spec)};
    return chunk;
}

/* Counts an input as ended. */
static void end_input(struct filch__chunk *chunk) {
    size_t i = chunk->ended++;
    if (chunk->arg_destroy != NULL) chunk->arg_destroy(filch__chunk_arg(chunk, i));
}

/* A text that a destructor has left is nobody's: a destructor is no part of a task. */
static void discard_text(void) {
    struct filch__run *run = filch__self()->run;
    filch__free(run->text);
    run->text = NULL;
}

/* False: the input, or its destructor, has forked, and this is the child. */
static bool run_next(struct filch__chunk *chunk) {
    uint32_t generation = filch__fork_now();
    size_t i = chunk->ended;
    struct filch__input_outcome outcome = filch__input_run(
        chunk->fn, filch__chunk_arg(chunk, i), filch__chunk_result(chunk, i), chunk->result_size);
    *filch__chunk_outcome(chunk, i) = outcome;
    if (likely(filch__fork_now() == generation)) end_input(chunk);
    if (unlikely(filch__fork_now() != generation)) return false;
    discard_text();
    return true;
}

int filch__chunk_run(void *argument, void *result) {
    struct filch__chunk *chunk = *(struct filch__chunk **)argument;
    (void)result;
    /* With the reader gone the rest is cancelled. One that goes just now costs an input more. */
    while (chunk->ended < chunk->count &&
           load_relaxed(&chunk->references) != 1) /* relaxed: a hint */
        if (!run_next(chunk)) break;
    return 0;
}

void filch__chunk_end(void *argument) {
    struct filch__chunk *chunk = *(struct filch__chunk **)argument;
    while (chunk->ended < chunk->count) end_input(chunk);
    filch__chunk_drop(chunk);
}

void filch__chunk_drop(struct filch__chunk *chunk) {
    if (fetch_sub_acq_rel(&chunk->references, 1) != 1) return; /* K1 -> K1 */
    for (size_t i = 0; i < chunk->count; i++) filch__free(filch__chunk_outcome(chunk, i)->text);
    filch__free(chunk);
}
