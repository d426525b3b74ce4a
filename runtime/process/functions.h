/* process/functions.h: the names of task functions, each found out once.
 *
 * At the desk alone. */
#ifndef FILCH_PROCESS_FUNCTIONS_H
#define FILCH_PROCESS_FUNCTIONS_H

#include "process/module.h"
#include <filch/task.h>
#include <stdint.h>

struct filch__function {
    filch_task_fn *fn;
    uint32_t index; /* 0, 1, 2 ... */
    char *fault;    /* why it has no name; or NULL */
    struct filch__function_name name;
};

struct filch__functions *filch__functions_create(void);
void filch__functions_destroy(struct filch__functions *functions);
/* NULL: no memory. */
const struct filch__function *filch__functions_get(struct filch__functions *functions,
                                                   filch_task_fn *fn);
/* The function of that name, whose address here may not be known: then its fn is NULL. NULL: no memory. */
const struct filch__function *filch__functions_named(struct filch__functions *functions,
                                                     const struct filch__function_name *name);

#endif
