/* loop/radix.h: arrays of numbers, sorted by their digits. */
#ifndef FILCH_LOOP_RADIX_H
#define FILCH_LOOP_RADIX_H

#include "loop/number.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sorts n elements, in parallel. In a task only. *sorted is false, and the array is as it was, if there is no
 * memory for a copy of it. Returns 0, or what a join has returned. */
int filch__radix_sort32(uint32_t *array, size_t n, enum filch__number number, bool *sorted);
int filch__radix_sort64(uint64_t *array, size_t n, enum filch__number number, bool *sorted);

#endif
