/* inputs.h: the inputs of a map, and how they become tasks.
 *
 * Flow     results.c -> filch__inputs_submit: takes the next inputs from the array or the generator, and submits them as one
 *          task: a single one as it is, several as a chunk (chunk.h), or packed (packed.h) for workers that share no memory
 *          with the program.
 * State    only the thread that uses the iterator touches it.
 * Keeps    inputs are taken in their order. Each is owned by one: the array from `next` on, a task, or, in a submit, the
 *          caller; who owns it at the end destroys it.
 * Memory   a chunk has a reference of its task and one of the batch (results.c gives it back).
 * Not here: the queue of what was submitted, and its results (results.c). */
#ifndef FILCH_RUNTIME_INPUTS_H
#define FILCH_RUNTIME_INPUTS_H

#include "chunk.h"
#include "self.h"
#include <filch/map.h>
#include <stdbool.h>
#include <stddef.h>

/* A submitted task with its inputs. */
struct filch__batch {
    filch_future *future;
    struct filch__chunk *chunk; /* NULL: the task is one input, or a packed one */
    size_t count;               /* inputs */
    bool is_packed;
};

/* A code with its text, kept for later: the user's code that runs meanwhile has failures of its own. */
struct filch__failure {
    int code;
    char text[sizeof filch__thread.buffer];
};

struct filch__inputs {
    filch_executor *executor;
    filch_map_spec spec; /* chunk_size is at least 1 */
    enum { INPUTS_MORE, INPUTS_END, INPUTS_REFUSED } source;
    size_t next;                   /* of the array */
    void *scratch;                 /* where the generator writes, for a task of one input */
    struct filch__failure refused; /* why no more were submitted */
};

/* Of zeroed memory. False: there is no memory; the inputs are the caller's still. */
bool filch__inputs_init(struct filch__inputs *in, filch_executor *e, const filch_map_spec *spec);
/* After filch__inputs_end. */
void filch__inputs_fini(struct filch__inputs *in);

/* Submits the next inputs as one task. False: there are none, or they were refused. */
bool filch__inputs_submit(struct filch__inputs *in, struct filch__batch *batch);
/* No more are submitted, for what the last call has failed with. */
void filch__inputs_refuse(struct filch__inputs *in, int code);
/* No more are wanted: those of the array that no task owns are destroyed. */
void filch__inputs_end(struct filch__inputs *in);
/* Destroys those of the array from the i-th on. */
void filch__inputs_destroy_from(const filch_map_spec *spec, size_t i);

/* Keeps what the last call has failed with. */
void filch__failure_keep(struct filch__failure *failure, int code);

#endif
