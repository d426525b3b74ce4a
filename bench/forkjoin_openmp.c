/* forkjoin_openmp.c: the fork-join workloads in OpenMP: `task` and `taskwait` for recursion, `for` with a
 * schedule for loops, `reduction` for the sum.
 *
 * Flow: it is built twice, as a module that contestant_openmp.c loads: by gcc for libgomp and by clang for
 * libomp. The two libraries have functions of the same name, which is why neither is linked to the program.
 * A port makes a team of so many threads, one of which begins the tasks. The serial parts are the
 * program's own.
 *
 * The clauses are those of the specification's own examples: a shared result for each task, `firstprivate`
 * for what it gets; tasks are tied. There is no sort in OpenMP.
 *
 * SPDX-License-Identifier: MIT */
#include "fj_parts.h"
#include "forkjoin_openmp.h"
#include "kernel.h"

#include <omp.h>

/* One thread of a team of `workers` begins with `expression`; result is what it gives. */
#define IN_TEAM(expression)                                                                        \
    uint64_t result = 0;                                                                           \
    _Pragma("omp parallel num_threads(*(const int *)pool)") _Pragma("omp single") result =         \
        (expression);                                                                              \
    return result

/* Recursion -------------------------------------------------------------------------------------- */

static uint64_t fib_call(uint64_t n) {
    uint64_t one, two;
    if (n < 2) return n;
#pragma omp task shared(one) firstprivate(n)
    one = fib_call(n - 1);
    two = fib_call(n - 2);
#pragma omp taskwait
    return one + two;
}

static uint64_t fib(void *pool, const fj_job *job) {
    IN_TEAM(fib_call(job->n));
}

static uint64_t nqueens_call(fj_board board, int n, int row) {
    uint64_t ways[FJ_QUEENS_MAX] = {0}, sum = 0;
    fj_board next;
    if (row == n) return 1;
    for (int column = 0; column < n; column++) {
        if (!fj_place(&board, row, column, &next)) continue;
#pragma omp task shared(ways) firstprivate(next, n, row, column)
        ways[column] = nqueens_call(next, n, row + 1);
    }
#pragma omp taskwait
    for (int column = 0; column < n; column++) sum += ways[column];
    return sum;
}

static uint64_t nqueens(void *pool, const fj_job *job) {
    IN_TEAM(nqueens_call((fj_board){{0}}, (int)job->n, 0));
}

static uint64_t skynet_call(uint64_t first, uint64_t leaves) {
    uint64_t sums[9], part = leaves / 10;
    if (leaves == 1) return first;
    for (uint64_t i = 0; i < 9; i++) {
#pragma omp task shared(sums) firstprivate(first, part, i)
        sums[i] = skynet_call(first + i * part, part);
    }
    uint64_t sum = skynet_call(first + 9 * part, part);
#pragma omp taskwait
    for (int i = 0; i < 9; i++) sum += sums[i];
    return sum;
}

static uint64_t skynet(void *pool, const fj_job *job) {
    IN_TEAM(skynet_call(0, job->n));
}

/* A task for each child, as for everybody; more than a few are halved. */
static uint64_t uts_call(const fj_shape *shape, const fj_node *parent, int begin, int end) {
    uint64_t nodes = 0, found[FJ_SIBLINGS];
    fj_node child;
    if (end - begin == 1) {
        fj_node_child(parent, begin, &child);
        nodes = 1;
        parent = &child;
        begin = 0;
        end = fj_node_children(shape, &child);
    }
    if (end == begin) return nodes;
    if (end - begin > FJ_SIBLINGS) {
        int middle = begin + (end - begin) / 2;
#pragma omp task shared(found) firstprivate(shape, parent, begin, middle)
        found[0] = uts_call(shape, parent, begin, middle);
        nodes += uts_call(shape, parent, middle, end);
#pragma omp taskwait
        return nodes + found[0];
    }
    for (int i = begin; i < end; i++) {
#pragma omp task shared(found) firstprivate(shape, parent, begin, i)
        found[i - begin] = uts_call(shape, parent, i, i + 1);
    }
#pragma omp taskwait
    for (int i = begin; i < end; i++) nodes += found[i - begin];
    return nodes;
}

static uint64_t uts(void *pool, const fj_job *job) {
    fj_node root;
    fj_node_root(job->shape, &root);
    int children = fj_node_children(job->shape, &root);
    IN_TEAM(1 + uts_call(job->shape, &root, 0, children));
}

/* Matrices and merge sort ------------------------------------------------------------------------ */

static uint64_t matmul_call(const fj_job *job, uint64_t row, uint64_t column, uint64_t rows,
                            uint64_t columns) {
    if (rows <= FJ_TILE && columns <= FJ_TILE) {
        fj_matmul_tile(job, row, column);
        return 0;
    }
    if (rows >= columns) {
#pragma omp task firstprivate(job, row, column, rows, columns)
        matmul_call(job, row, column, rows / 2, columns);
        matmul_call(job, row + rows / 2, column, rows - rows / 2, columns);
    } else {
#pragma omp task firstprivate(job, row, column, rows, columns)
        matmul_call(job, row, column, rows, columns / 2);
        matmul_call(job, row, column + columns / 2, rows, columns - columns / 2);
    }
#pragma omp taskwait
    return 0;
}

static uint64_t matmul(void *pool, const fj_job *job) {
    IN_TEAM(matmul_call(job, 0, 0, job->n, job->n));
}

static void merge(const uint64_t *a, uint64_t a_n, const uint64_t *b, uint64_t b_n, uint64_t *out) {
    if (a_n < b_n) {
        merge(b, b_n, a, a_n, out);
        return;
    }
    if (a_n + b_n <= FJ_MERGE_LEAF) {
        fj_merge_leaf(a, a_n, b, b_n, out);
        return;
    }
    uint64_t a_half = a_n / 2, b_half = fj_lower_bound(b, b_n, a[a_half]);
#pragma omp task firstprivate(a, a_half, b, b_half, out)
    merge(a, a_half, b, b_half, out);
    merge(a + a_half, a_n - a_half, b + b_half, b_n - b_half, out + a_half + b_half);
#pragma omp taskwait
}

static uint64_t sort(uint64_t *keys, uint64_t *scratch, uint64_t n) {
    uint64_t quarter = n / 4, half = 2 * quarter, rest = n - 3 * quarter;
    if (n <= FJ_SORT_LEAF) {
        fj_sort_leaf(keys, n);
        return 0;
    }
    for (uint64_t i = 0; i < 3; i++) {
#pragma omp task firstprivate(keys, scratch, quarter, i)
        sort(keys + i * quarter, scratch + i * quarter, quarter);
    }
    sort(keys + 3 * quarter, scratch + 3 * quarter, rest);
#pragma omp taskwait
#pragma omp task firstprivate(keys, scratch, quarter)
    merge(keys, quarter, keys + quarter, quarter, scratch);
    merge(keys + half, quarter, keys + half + quarter, rest, scratch + half);
#pragma omp taskwait
    merge(scratch, half, scratch + half, n - half, keys);
    return 0;
}

static uint64_t cilksort(void *pool, const fj_job *job) {
    IN_TEAM(sort(job->keys, job->scratch, job->n));
}

/* Loops ------------------------------------------------------------------------------------------ */

/* The serial part takes ranges: this many iterations each, as everybody's loops call it. */
enum { BLOCK = 4096 };

static int64_t block_end(int64_t begin, int64_t n) {
    return begin + BLOCK < n ? begin + BLOCK : n;
}

static uint64_t squares(void *pool, const fj_job *job) {
    int64_t n = (int64_t)job->n;
    uint64_t sum = 0;
#pragma omp parallel for num_threads(*(const int *)pool) schedule(static) reduction(+ : sum)
    for (int64_t begin = 0; begin < n; begin += BLOCK)
        sum += fj_squares(begin, block_end(begin, n));
    return sum;
}

/* Iterations differ: the schedule for that is dynamic, in pieces that are longer than their price. */
static uint64_t uneven(void *pool, const fj_job *job) {
    int64_t n = (int64_t)job->n;
#pragma omp parallel for num_threads(*(const int *)pool) schedule(dynamic, 16)
    for (int64_t i = 0; i < n; i++) fj_uneven(job, i, i + 1);
    return 0;
}

static uint64_t triad(void *pool, const fj_job *job) {
    int64_t n = (int64_t)job->n;
#pragma omp parallel for num_threads(*(const int *)pool) schedule(static)
    for (int64_t begin = 0; begin < n; begin += BLOCK) fj_triad(job, begin, block_end(begin, n));
    return 0;
}

static uint64_t opaque(void *pool, const fj_job *job) {
    int64_t n = (int64_t)job->n;
    uint64_t count = 0;
#pragma omp parallel for num_threads(*(const int *)pool) schedule(static) reduction(+ : count)
    for (int64_t i = 0; i < n; i++) {
        __asm__ volatile("nop");
        count++;
    }
    job->scratch[0] = count;
    return 0;
}

static uint64_t each_leaf(void *pool, const fj_job *job) {
    int64_t n = (int64_t)job->leaves;
#pragma omp parallel for num_threads(*(const int *)pool) schedule(dynamic, 1)
    for (int64_t i = 0; i < n; i++) fj_leaves(job, i, i + 1);
    return 0;
}

/* Leaves ----------------------------------------------------------------------------------------- */

static uint64_t tree_call(uint64_t n, uint64_t leaves) {
    uint64_t other, half = leaves / 2;
    if (leaves == 1) return kernel_grain(n);
#pragma omp task shared(other) firstprivate(n, half)
    other = tree_call(n, half);
    uint64_t own = tree_call(n, leaves - half);
#pragma omp taskwait
    return own + other;
}

static uint64_t tree(void *pool, const fj_job *job) {
    IN_TEAM(tree_call(job->n, job->leaves));
}

enum { FLAT = 1000 };

static uint64_t flat_call(uint64_t n, uint64_t leaves) {
    uint64_t results[FLAT], sum = 0;
    for (uint64_t done = 0; done < leaves;) {
        uint64_t part = leaves - done < FLAT ? leaves - done : FLAT;
        for (uint64_t i = 0; i < part; i++) {
#pragma omp task shared(results) firstprivate(i, n)
            results[i] = kernel_grain(n);
        }
#pragma omp taskwait
        for (uint64_t i = 0; i < part; i++) sum += results[i];
        done += part;
    }
    return sum;
}

static uint64_t flat(void *pool, const fj_job *job) {
    IN_TEAM(flat_call(job->n, job->leaves));
}

static void end_threads(void) {
    (void)omp_pause_resource_all(omp_pause_hard);
}

__attribute__((visibility("default"))) const openmp_module forkjoin_openmp = {
    .ports = {{
        [FJ_FIB] = fib,
        [FJ_NQUEENS] = nqueens,
        [FJ_SKYNET] = skynet,
        [FJ_UTS] = uts,
        [FJ_MATMUL] = matmul,
        [FJ_CILKSORT] = cilksort,
        [FJ_SQUARES] = squares,
        [FJ_UNEVEN] = uneven,
        [FJ_TRIAD] = triad,
        [FJ_OPAQUE] = opaque,
        [FJ_TREE] = tree,
        [FJ_FLAT] = flat,
        [FJ_LOOP] = each_leaf,
    }},
    .end_threads = end_threads,
};
