/* chunk.h: inputs that one task runs, one after the other, each as if it were a task of its own.
 *
 * Flow     inputs.c makes a chunk, fills its inputs in, and submits filch__chunk_run with a pointer to it
 *          as argument and filch__chunk_end as destructor; when the future is done results.c reads the outcomes.
 *          map.c runs inputs that stay where they are, and uses filch__input_run alone.
 * State    one block: the head, then for each input its outcome, its argument and its result side by side.
 *          count, arguments: written by who makes it, until the submit.
 *          ended, outcomes, results: by who runs, or cancels, the task; read when the future is done.
 * Keeps    1. The argument of an input below `ended` is destroyed, that of the others is not.
 * Orders
 *   K1 fetch_sub_acq_rel references (drop) -> K1 fetch_sub_acq_rel references (drop): the last frees what both have used
 * Memory   two references: the reader's, and the task's, which filch__chunk_end gives back. Either may be
 *          the last; a task that runs does not need the reader. */
#ifndef FILCH_RUNTIME_CHUNK_H
#define FILCH_RUNTIME_CHUNK_H

#include "error.h"
#include "future.h"
#include "self.h"
#include <filch/map.h>
#include <string.h>

/* How an input ended. */
struct filch__input_outcome {
    char *text; /* of filch_fail; owned; NULL: none */
    int code;
};

/* Inside a task: runs one input as a task would be run, with a zeroed result and the code made one that
 * tasks return. The text of filch_fail is taken from the task, so that the next input has its own. */
static inline struct filch__input_outcome filch__input_run(filch_task_fn *fn, void *arg,
                                                           void *result, size_t result_size) {
    struct filch__run *run = filch__self()->run;
    if (result_size != 0) memset(result, 0, result_size);
    int rc = fn(arg, result);
    struct filch__input_outcome outcome = {run->text, rc};
    run->text = NULL;
    if (unlikely(rc < 0 && !filch__error_is_own(rc))) outcome.code = FILCH_EINVAL;
    return outcome;
}

struct filch__chunk {
    int64_t references;
    filch_task_fn *fn;
    void (*arg_destroy)(void *arg);
    size_t arg_size, result_size;
    size_t slot_size; /* bytes from one input to the next */
    size_t count;     /* inputs */
    size_t ended;     /* inputs whose argument is destroyed; see keep 1 */
};

static inline struct filch__input_outcome *filch__chunk_outcome(struct filch__chunk *chunk,
                                                                size_t i) {
    char *slots = (char *)chunk + filch__round_up(sizeof(struct filch__chunk));
    return (struct filch__input_outcome *)(void *)(slots + i * chunk->slot_size);
}
static inline void *filch__chunk_arg(struct filch__chunk *chunk, size_t i) {
    return (char *)filch__chunk_outcome(chunk, i) +
           filch__round_up(sizeof(struct filch__input_outcome));
}
static inline void *filch__chunk_result(struct filch__chunk *chunk, size_t i) {
    return (char *)filch__chunk_arg(chunk, i) + filch__round_up(chunk->arg_size);
}

/* Bytes of a chunk with room for n inputs; false: that overflows. */
bool filch__chunk_bytes(const filch_map_spec *spec, size_t n, size_t *bytes);
/* An empty chunk with room for n inputs and both references; NULL: no memory. */
struct filch__chunk *filch__chunk_create(const filch_map_spec *spec, size_t n);
/* Counts the input whose argument the caller has written at filch__chunk_arg(chunk, chunk->count). */
static inline void filch__chunk_add(struct filch__chunk *chunk) {
    *filch__chunk_outcome(chunk, chunk->count++) = (struct filch__input_outcome){NULL, 0};
}
/* The task's function and its destructor; the argument is a pointer to the chunk. */
int filch__chunk_run(void *argument, void *result);
void filch__chunk_end(void *argument);
/* Gives a reference back. If it is the reader's and the task runs, inputs that have not started never do. */
void filch__chunk_drop(struct filch__chunk *chunk);

#endif
