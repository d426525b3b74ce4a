/* packed.h: inputs that one task of another process runs, one after the other, each as if it were a task of its own.
 *
 * chunk.h, for workers that share no memory with the program: the argument has all inputs in it, and the result all of theirs.
 *
 * Flow     inputs.c, map_packed.c fill an argument in and submit it with ops->submit_chunk, which names the user's function; the worker
 *          calls filch__packed_run; who reads copies what it reads and checks the copy, since a worker may have written anything,
 *         and may still write.
 * State    argument: the head, then each input, at multiples of 16. result (of filch_result_alloc): a struct filch__packed_end
 *          for each input; the values, at multiples of 16; the texts, each with its final 0. */
#ifndef FILCH_RUNTIME_PACKED_H
#define FILCH_RUNTIME_PACKED_H

#include "chunk.h"
#include "future.h"
#include <filch/task.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct filch__packed {
    uint64_t arg_size, result_size, count;
    void (*arg_destroy)(void *arg); /* the program's; NULL: none */
};
_Static_assert(sizeof(struct filch__packed) % FILCH__ALIGNMENT == 0, "inputs follow at once");

/* How an input ended. */
struct filch__packed_end {
    int32_t code;
    uint32_t text_size; /* with its final 0; 0: none */
    uint64_t text;      /* from the start of the result */
};

/* Program. Bytes of an argument with n inputs; false: that, or its result, overflows. */
bool filch__packed_bytes(size_t arg_size, size_t result_size, size_t n, size_t *bytes);
static inline void *filch__packed_arg(struct filch__packed *packed, size_t i) {
    return (char *)(packed + 1) + i * filch__round_up(packed->arg_size);
}
/* The task's destructor: that of each input. */
void filch__packed_destroy(void *packed);
/* How input i of n has ended, with a text of its own. False: the result is none for n inputs, or says of this one what cannot be.
 * The worker may write there as long as the result is there: nothing is read twice. */
bool filch__packed_outcome(const void *result, size_t size, size_t result_size, size_t n, size_t i,
                           struct filch__input_outcome *outcome);
/* Of an input that has ended well. */
static inline const void *filch__packed_value(const void *result, size_t result_size, size_t n,
                                              size_t i) {
    return (const char *)result + n * sizeof(struct filch__packed_end) +
           i * filch__round_up(result_size);
}

/* Worker, inside the task: runs the inputs. 0, or a code with the text of filch_fail. */
int filch__packed_run(filch_task_fn *fn, void *packed);

#endif
