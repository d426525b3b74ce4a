/* loop/each.h: a body for each of some indices, by halving. */
#ifndef FILCH_LOOP_EACH_H
#define FILCH_LOOP_EACH_H

#include <stddef.h>

typedef void filch__each_body(size_t i, void *context);

/* Calls body(begin, context) to body(end - 1, context), in parallel where workers are free, and returns when
 * all have ended: 0, or FILCH_ECANCELED: the task was asked to end, and some did not run. In a task only. */
int filch__each(size_t begin, size_t end, filch__each_body *body, void *context);

/* Where part `i` of `parts` begins that share n elements; their sizes differ by at most one. */
static inline size_t filch__part_begin(size_t n, size_t parts, size_t i) {
    size_t rest = n % parts;
    return n / parts * i + (i < rest ? i : rest);
}

#endif
