/* contestant_rayon.c: rayon in the race.
 *
 * It has fork-join rows only: it has no futures. A pool is a ThreadPool with so many threads, none of which
 * is the calling one. Its ports are in Rust (forkjoin_rayon.rs).
 *
 * SPDX-License-Identifier: MIT */
#include "contestant.h"

#include <stddef.h>

void *rayon_create(int workers);
void rayon_destroy(void *pool);

fj_port rayon_fib, rayon_nqueens, rayon_skynet, rayon_uts, rayon_matmul, rayon_cilksort,
    rayon_squares, rayon_uneven, rayon_triad, rayon_opaque, rayon_sort, rayon_tree, rayon_flat,
    rayon_loop;

/* The other language has the same. */
_Static_assert(sizeof(fj_job) == 80 && offsetof(fj_job, shape) == 24 &&
                   offsetof(fj_job, keys) == 56,
               "Job in forkjoin_rayon.rs");

static bool create(int workers, void **pool) {
    *pool = rayon_create(workers);
    return *pool != NULL;
}

static const fj_ports ports = {{
    [FJ_FIB] = rayon_fib,
    [FJ_NQUEENS] = rayon_nqueens,
    [FJ_SKYNET] = rayon_skynet,
    [FJ_UTS] = rayon_uts,
    [FJ_MATMUL] = rayon_matmul,
    [FJ_CILKSORT] = rayon_cilksort,
    [FJ_SQUARES] = rayon_squares,
    [FJ_UNEVEN] = rayon_uneven,
    [FJ_TRIAD] = rayon_triad,
    [FJ_OPAQUE] = rayon_opaque,
    [FJ_SORT] = rayon_sort,
    [FJ_TREE] = rayon_tree,
    [FJ_FLAT] = rayon_flat,
    [FJ_LOOP] = rayon_loop,
}};

const bench_contestant contestant_rayon = {
    .name = "rayon", .create = create, .destroy = rayon_destroy, .ports = &ports};
