/* fj_parts.h: the serial parts of the fork-join workloads.
 *
 * Flow: the ports (forkjoin_*) of every contestant, and the sequential twins, call them between their
 * forks and joins. All reach the same machine code at the same address: a function here is compiled
 * once, is never inlined or specialised, and starts on a cache line.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_FJ_PARTS_H
#define BENCH_FJ_PARTS_H

#include "forkjoin.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__has_attribute)
#if __has_attribute(noipa)
#define FJ_PART __attribute__((noipa, aligned(64)))
#endif
#endif
#ifndef FJ_PART
#define FJ_PART __attribute__((noinline, aligned(64)))
#endif

/* n queens ------------------------------------------------------------------------------------- */

enum { FJ_QUEENS_MAX = 16 };

/* The column of the queen in each row so far. */
typedef struct fj_board {
    int8_t column[FJ_QUEENS_MAX];
} fj_board;

/* May a queen stand in that column of row `row`? If so, *next is the board with it. */
bool fj_place(const fj_board *board, int row, int column, fj_board *next);

/* UTS ------------------------------------------------------------------------------------------ */

typedef struct fj_node {
    uint8_t state[20]; /* of the random numbers: a SHA-1 */
    int32_t height;    /* 0: the root */
} fj_node;

void fj_node_root(const fj_shape *shape, fj_node *root);
void fj_node_child(const fj_node *parent, int index, fj_node *child);
/* How many children it has. */
int fj_node_children(const fj_shape *shape, const fj_node *node);

/* Ports with room for a fixed number of tasks fork so many siblings at once, and halve longer rows. */
enum { FJ_SIBLINGS = 8 };

/* Matrices ------------------------------------------------------------------------------------- */

/* Rows and columns of a tile; n is a multiple of it and of a power of two. */
enum { FJ_TILE = 48 };

/* Those elements of c = a * b, at most FJ_TILE rows and columns of them. */
void fj_matmul_tile(const fj_job *job, uint64_t row, uint64_t column);

/* Merge sort ----------------------------------------------------------------------------------- */

enum { FJ_SORT_LEAF = 2048, FJ_MERGE_LEAF = 2048 }; /* keys, at most, that are not split */

void fj_sort_leaf(uint64_t *keys, uint64_t n);
/* Merges two sorted rows into `out`. */
void fj_merge_leaf(const uint64_t *a, uint64_t a_n, const uint64_t *b, uint64_t b_n, uint64_t *out);
/* How many of the n sorted keys are less than `key`. */
uint64_t fj_lower_bound(const uint64_t *keys, uint64_t n, uint64_t key);

/* Loops ---------------------------------------------------------------------------------------- */

/* The sum of i * i. */
uint64_t fj_squares(int64_t begin, int64_t end);
/* job->keys[i] = kernel_sum_of_squares(i): iteration i takes i steps. */
void fj_uneven(const fj_job *job, int64_t begin, int64_t end);
void fj_triad(const fj_job *job, int64_t begin, int64_t end);
/* One instruction each, and counts them in job->scratch[0]. */
void fj_opaque(const fj_job *job, int64_t begin, int64_t end);
/* job->keys[i] = kernel_grain(job->n). */
void fj_leaves(const fj_job *job, int64_t begin, int64_t end);

#ifdef __cplusplus
}
#endif

#endif
