/* shared.h: memory that a test shares with its tasks, whatever process they run in.
 *
 * The handle of a piece of it stands in a task's argument; shared_at says where it is in the process that asks.
 * None of it asserts.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_SHARED_H
#define FILCH_TESTS_SHARED_H

#include <stddef.h>
#include <stdint.h>

/* A handle: a few bytes that may stand in an argument. */
struct shared {
    int32_t pid, fd;
    uint64_t offset;
};
/* Zeroed memory that tasks of every executor see, for the rest of the test. */
struct shared shared_alloc(size_t size);
/* Where it is in this process. */
void *shared_at(struct shared handle);

/* A number in shared memory. */
int shared_add(struct shared handle, int n);
int shared_read(struct shared handle);
/* Waits until it is at least n. */
void shared_wait(struct shared handle, int n);

#endif
