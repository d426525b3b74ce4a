/* chunk.h: running inputs one after the other inside one task, each as if it were a task of its own. */
#ifndef FILCH_RUNTIME_CHUNK_H
#define FILCH_RUNTIME_CHUNK_H

#include "error.h"
#include "future.h"
#include "self.h"
#include <filch/map.h>
#include <string.h>

/* How an input ended. */
struct filch__outcome {
    char *text; /* of filch_fail; owned; NULL: none */
    int code;
};

/* Inside a task: runs one input as a task would be run, with a zeroed result and the code made one that
 * tasks return. The text of filch_fail is taken from the task, so that the next input has its own. */
static inline struct filch__outcome filch__input_run(filch_task_fn *fn, void *arg, void *result,
                                                     size_t result_size) {
    struct filch__run *run = filch__self()->run;
    if (result_size != 0) memset(result, 0, result_size);
    int rc = fn(arg, result);
    struct filch__outcome outcome = {run->text, rc};
    run->text = NULL;
    if (unlikely(rc < 0 && !filch__error_is_own(rc))) outcome.code = FILCH_EINVAL;
    return outcome;
}

#endif
