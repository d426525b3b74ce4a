/* loop/reduce.h: what reductions and scans share. */
#ifndef FILCH_LOOP_REDUCE_H
#define FILCH_LOOP_REDUCE_H

#include <filch/parallel.h>

/* 0, or FILCH_EINVAL with a text that names the call. */
int filch__reduction_check(const char *call, const filch_reduction *r);

#endif
