/* loop/order.h: what the two sorts by comparison look at first: is the array in order already? */
#ifndef FILCH_LOOP_ORDER_H
#define FILCH_LOOP_ORDER_H

#include "loop/element.h"

/* Sets *in_order if no element is less than the one before it; then, or after it has turned round an array
 * whose elements each are less than the one before. Compares few elements of an array that is in neither order.
 * In a task only. Returns 0, or what a join has returned. */
int filch__order_try(const struct order *order, char *array, size_t n, bool *in_order);

#endif
