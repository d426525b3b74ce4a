/* forkjoin_filch.c: the fork-join workloads on filch: typed forks, whose frames lie on the stack, and the
 * library's own loops and sort. Nothing is tuned: grain 0, but where a row is about grain 1.
 *
 * Flow: a port runs one task to its end (filch_run), which calls a forkable function. The loops take the
 * executor themselves.
 *
 * SPDX-License-Identifier: MIT */
#include "fj_parts.h"
#include "kernel.h"

#include <filch.h>

/* A failed run gives a result that no check accepts. */
static uint64_t run(void *pool, filch_task_fn *fn, const fj_job *job) {
    uint64_t result = UINT64_MAX;
    const fj_job *arg = job;
    return filch_run((filch_executor *)pool, fn, &arg, &result) == 0 ? result : UINT64_MAX;
}

static const fj_job *job_of(void *arg) {
    return *(const fj_job *const *)arg;
}

/* Recursion -------------------------------------------------------------------------------------- */

static FILCH_FORKABLE_1(uint64_t, fib, uint64_t, n) {
    if (n < 2) return n;
    fib_frame one;
    fib_fork(&one, n - 1);
    uint64_t two = fib(n - 2);
    return fib_join(&one) + two;
}

static FILCH_FORKABLE_2(uint64_t, skynet, uint64_t, first, uint64_t, leaves) {
    if (leaves == 1) return first;
    skynet_frame children[9];
    uint64_t part = leaves / 10;
    filch_forks row = filch_forks_begin();
    for (uint64_t i = 0; i < 9; i++) skynet_fork_next(&row, &children[i], first + i * part, part);
    uint64_t sum = skynet(first + 9 * part, part);
    for (int i = 8; i >= 0; i--) sum += skynet_join(&children[i]);
    return sum;
}

static FILCH_FORKABLE_3(uint64_t, nqueens, fj_board, board, int, n, int, row) {
    nqueens_frame places[FJ_QUEENS_MAX];
    uint64_t ways = 0;
    int forked = 0;
    fj_board next;
    if (row == n) return 1;
    filch_forks forks = filch_forks_begin();
    for (int column = 0; column < n; column++)
        if (fj_place(&board, row, column, &next))
            nqueens_fork_next(&forks, &places[forked++], next, n, row + 1);
    while (forked > 0) ways += nqueens_join(&places[--forked]);
    return ways;
}

/* The nodes below a node's children from begin to end, and these themselves; one child's is a task. A few
 * are forked each, more are halved. The parent lives until they are joined. */
static FILCH_FORKABLE_4(uint64_t, uts, const fj_shape *, shape, const fj_node *, parent, int, begin,
                        int, end) {
    uts_frame frames[FJ_SIBLINGS];
    uint64_t nodes = 0;
    fj_node child;
    if (end - begin == 1) {
        fj_node_child(parent, begin, &child);
        nodes = 1;
        parent = &child;
        begin = 0;
        end = fj_node_children(shape, &child);
    }
    if (end - begin > FJ_SIBLINGS) {
        int middle = begin + (end - begin) / 2;
        uts_fork(&frames[0], shape, parent, begin, middle);
        nodes += uts(shape, parent, middle, end);
        return nodes + uts_join(&frames[0]);
    }
    filch_forks row = filch_forks_begin();
    for (int i = begin; i < end; i++)
        uts_fork_next(&row, &frames[i - begin], shape, parent, i, i + 1);
    for (int i = end; i > begin; i--) nodes += uts_join(&frames[i - 1 - begin]);
    return nodes;
}

static int run_fib(void *arg, void *result) {
    *(uint64_t *)result = fib(job_of(arg)->n);
    return 0;
}

static int run_skynet(void *arg, void *result) {
    *(uint64_t *)result = skynet(0, job_of(arg)->n);
    return 0;
}

static int run_nqueens(void *arg, void *result) {
    *(uint64_t *)result = nqueens((fj_board){{0}}, (int)job_of(arg)->n, 0);
    return 0;
}

static int run_uts(void *arg, void *result) {
    const fj_shape *shape = job_of(arg)->shape;
    fj_node root;
    fj_node_root(shape, &root);
    *(uint64_t *)result = 1 + uts(shape, &root, 0, fj_node_children(shape, &root));
    return 0;
}

/* Matrices: rows and columns from a corner on; the longer side is halved. */
static FILCH_FORKABLE_5(int, matmul, const fj_job *, job, uint64_t, row, uint64_t, column, uint64_t,
                        rows, uint64_t, columns) {
    matmul_frame half;
    if (rows <= FJ_TILE && columns <= FJ_TILE) {
        fj_matmul_tile(job, row, column);
        return 0;
    }
    if (rows >= columns) {
        matmul_fork(&half, job, row, column, rows / 2, columns);
        matmul(job, row + rows / 2, column, rows - rows / 2, columns);
    } else {
        matmul_fork(&half, job, row, column, rows, columns / 2);
        matmul(job, row, column + columns / 2, rows, columns - columns / 2);
    }
    return matmul_join(&half);
}

static int run_matmul(void *arg, void *result) {
    const fj_job *job = job_of(arg);
    *(uint64_t *)result = (uint64_t)matmul(job, 0, 0, job->n, job->n);
    return 0;
}

/* Merge sort ------------------------------------------------------------------------------------- */

static FILCH_FORKABLE_5(int, merge, const uint64_t *, a, uint64_t, a_n, const uint64_t *, b,
                        uint64_t, b_n, uint64_t *, out) {
    if (a_n < b_n) return merge(b, b_n, a, a_n, out);
    if (a_n + b_n <= FJ_MERGE_LEAF) {
        fj_merge_leaf(a, a_n, b, b_n, out);
        return 0;
    }
    uint64_t a_half = a_n / 2, b_half = fj_lower_bound(b, b_n, a[a_half]);
    merge_frame left;
    merge_fork(&left, a, a_half, b, b_half, out);
    merge(a + a_half, a_n - a_half, b + b_half, b_n - b_half, out + a_half + b_half);
    return merge_join(&left);
}

static FILCH_FORKABLE_3(int, sort, uint64_t *, keys, uint64_t *, scratch, uint64_t, n) {
    uint64_t quarter = n / 4, half = 2 * quarter, rest = n - 3 * quarter;
    sort_frame quarters[3];
    merge_frame pair;
    if (n <= FJ_SORT_LEAF) {
        fj_sort_leaf(keys, n);
        return 0;
    }
    for (uint64_t i = 0; i < 3; i++)
        sort_fork(&quarters[i], keys + i * quarter, scratch + i * quarter, quarter);
    sort(keys + 3 * quarter, scratch + 3 * quarter, rest);
    for (int i = 2; i >= 0; i--) sort_join(&quarters[i]);
    merge_fork(&pair, keys, quarter, keys + quarter, quarter, scratch);
    merge(keys + half, quarter, keys + half + quarter, rest, scratch + half);
    merge_join(&pair);
    return merge(scratch, half, scratch + half, n - half, keys);
}

static int run_cilksort(void *arg, void *result) {
    const fj_job *job = job_of(arg);
    *(uint64_t *)result = (uint64_t)sort(job->keys, job->scratch, job->n);
    return 0;
}

/* Leaves ----------------------------------------------------------------------------------------- */

static FILCH_FORKABLE_2(uint64_t, tree, uint64_t, n, uint64_t, leaves) {
    if (leaves == 1) return kernel_grain(n);
    tree_frame half;
    tree_fork(&half, n, leaves / 2);
    uint64_t own = tree(n, leaves - leaves / 2);
    return tree_join(&half) + own;
}

static FILCH_FORKABLE_1(uint64_t, leaf, uint64_t, n) {
    return kernel_grain(n);
}

enum { FLAT = 1000 }; /* frames on the stack at once, some 100 KiB */

static int run_flat(void *arg, void *result) {
    const fj_job *job = job_of(arg);
    leaf_frame frames[FLAT];
    uint64_t sum = 0;
    for (uint64_t done = 0; done < job->leaves;) {
        uint64_t part = job->leaves - done < FLAT ? job->leaves - done : FLAT;
        filch_forks row = filch_forks_begin();
        for (uint64_t i = 0; i < part; i++) leaf_fork_next(&row, &frames[i], job->n);
        for (uint64_t i = part; i > 0; i--) sum += leaf_join(&frames[i - 1]);
        done += part;
    }
    *(uint64_t *)result = sum;
    return 0;
}

static int run_tree(void *arg, void *result) {
    *(uint64_t *)result = tree(job_of(arg)->n, job_of(arg)->leaves);
    return 0;
}

/* Loops ------------------------------------------------------------------------------------------ */

static int squares_body(int64_t begin, int64_t end, void *context, void *value) {
    (void)context;
    *(uint64_t *)value += fj_squares(begin, end);
    return 0;
}

static void add(void *left, const void *right, void *context) {
    (void)context;
    *(uint64_t *)left += *(const uint64_t *)right;
}

static uint64_t squares(void *pool, const fj_job *job) {
    const uint64_t zero = 0;
    filch_reduction sum = FILCH_REDUCTION_INIT;
    sum.size = sizeof zero;
    sum.identity = &zero;
    sum.body = squares_body;
    sum.combine = add;
    uint64_t result = 0;
    int code = filch_parallel_reduce((filch_executor *)pool, 0, (int64_t)job->n, 0, &sum, &result);
    return code == 0 ? result : UINT64_MAX;
}

#define BODY(name)                                                                                 \
    static int name##_body(int64_t begin, int64_t end, void *context) {                            \
        fj_##name((const fj_job *)context, begin, end);                                            \
        return 0;                                                                                  \
    }
BODY(uneven)
BODY(triad)
BODY(opaque)
BODY(leaves)

typedef int loop_body(int64_t begin, int64_t end, void *context);

static uint64_t loop(void *pool, const fj_job *job, uint64_t n, int64_t grain, loop_body *body) {
    fj_job copy = *job;
    return (uint64_t)filch_parallel_for((filch_executor *)pool, 0, (int64_t)n, grain, body, &copy);
}

static uint64_t uneven(void *pool, const fj_job *job) {
    return loop(pool, job, job->n, 0, uneven_body);
}

static uint64_t triad(void *pool, const fj_job *job) {
    return loop(pool, job, job->n, 0, triad_body);
}

static uint64_t opaque(void *pool, const fj_job *job) {
    return loop(pool, job, job->n, 0, opaque_body);
}

static uint64_t each_leaf(void *pool, const fj_job *job) {
    return loop(pool, job, job->leaves, 1, leaves_body);
}

static uint64_t sort_keys(void *pool, const fj_job *job) {
    return (uint64_t)filch_parallel_sort_uint64((filch_executor *)pool, job->keys, (size_t)job->n);
}

/* The table -------------------------------------------------------------------------------------- */

#define PORT(name)                                                                                 \
    static uint64_t name##_port(void *pool, const fj_job *job) {                                   \
        return run(pool, run_##name, job);                                                         \
    }
PORT(fib)
PORT(nqueens)
PORT(skynet)
PORT(uts)
PORT(matmul)
PORT(cilksort)
PORT(tree)
PORT(flat)

const fj_ports forkjoin_filch = {{
    [FJ_FIB] = fib_port,
    [FJ_NQUEENS] = nqueens_port,
    [FJ_SKYNET] = skynet_port,
    [FJ_UTS] = uts_port,
    [FJ_MATMUL] = matmul_port,
    [FJ_CILKSORT] = cilksort_port,
    [FJ_SQUARES] = squares,
    [FJ_UNEVEN] = uneven,
    [FJ_TRIAD] = triad,
    [FJ_OPAQUE] = opaque,
    [FJ_LOOP] = each_leaf,
    [FJ_SORT] = sort_keys,
    [FJ_TREE] = tree_port,
    [FJ_FLAT] = flat_port,
}};
