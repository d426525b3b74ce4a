/* loop/compare.h: the sorts by comparison. */
#ifndef FILCH_LOOP_COMPARE_H
#define FILCH_LOOP_COMPARE_H

#include "loop/element.h"

/* Sorts n elements, in a task only. Equal ones stay in their order. `spare` has room for n elements. Returns 0,
 * or what a join has returned. */
int filch__merge_sort(const struct order *order, char *array, char *spare, size_t n);

/* The same without room elsewhere; equal elements end up in any order. */
int filch__quick_sort(const struct order *order, char *array, size_t n);

#endif
