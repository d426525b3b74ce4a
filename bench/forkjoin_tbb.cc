// forkjoin_tbb.cc: the fork-join workloads on oneTBB, as its documentation has them: task_group for
// recursion, parallel_invoke for two halves, parallel_for and parallel_reduce over a blocked_range with
// the default partitioner, simple_partitioner where each leaf has to be one task, parallel_sort.
//
// Flow: contestant_tbb.cc's pool has an arena of so many threads, one of which is the calling one.
//
// SPDX-License-Identifier: MIT
#include "fj_parts.h"
#include "kernel.h"
#include "tbb_pool.h"

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_invoke.h>
#include <oneapi/tbb/parallel_reduce.h>
#include <oneapi/tbb/parallel_sort.h>
#include <oneapi/tbb/task_group.h>

namespace {

using Range = tbb::blocked_range<int64_t>;

template <typename Body> uint64_t in_arena(void *pool, const Body &body) {
    return static_cast<TbbPool *>(pool)->arena.execute(body);
}

uint64_t fib_call(uint64_t n) {
    if (n < 2) return n;
    uint64_t one, two;
    tbb::task_group group;
    group.run([n, &one] { one = fib_call(n - 1); });
    two = fib_call(n - 2);
    group.wait();
    return one + two;
}

uint64_t fib(void *pool, const fj_job *job) {
    return in_arena(pool, [job] { return fib_call(job->n); });
}

uint64_t nqueens_call(const fj_board &board, int n, int row) {
    if (row == n) return 1;
    uint64_t ways[FJ_QUEENS_MAX] = {}, sum = 0;
    tbb::task_group group;
    fj_board next;
    for (int column = 0; column < n; column++)
        if (fj_place(&board, row, column, &next))
            group.run(
                [next, n, row, &ways, column] { ways[column] = nqueens_call(next, n, row + 1); });
    group.wait();
    for (int column = 0; column < n; column++) sum += ways[column];
    return sum;
}

uint64_t nqueens(void *pool, const fj_job *job) {
    return in_arena(pool, [job] { return nqueens_call(fj_board{}, static_cast<int>(job->n), 0); });
}

uint64_t skynet_call(uint64_t first, uint64_t leaves) {
    if (leaves == 1) return first;
    uint64_t sums[9], part = leaves / 10;
    tbb::task_group group;
    for (uint64_t i = 0; i < 9; i++)
        group.run([=, &sums] { sums[i] = skynet_call(first + i * part, part); });
    uint64_t sum = skynet_call(first + 9 * part, part);
    group.wait();
    for (uint64_t part_sum : sums) sum += part_sum;
    return sum;
}

uint64_t skynet(void *pool, const fj_job *job) {
    return in_arena(pool, [job] { return skynet_call(0, job->n); });
}

// A task for each child, as for everybody; more than a few are halved.
uint64_t uts_call(const fj_shape *shape, const fj_node *parent, int begin, int end) {
    uint64_t nodes = 0;
    fj_node child;
    if (end - begin == 1) {
        fj_node_child(parent, begin, &child);
        nodes = 1;
        parent = &child;
        begin = 0;
        end = fj_node_children(shape, &child);
    }
    if (end == begin) return nodes;
    uint64_t found[FJ_SIBLINGS];
    tbb::task_group group;
    if (end - begin > FJ_SIBLINGS) {
        int middle = begin + (end - begin) / 2;
        group.run([=, &found] { found[0] = uts_call(shape, parent, begin, middle); });
        nodes += uts_call(shape, parent, middle, end);
        group.wait();
        return nodes + found[0];
    }
    for (int i = begin; i < end; i++)
        group.run([=, &found] { found[i - begin] = uts_call(shape, parent, i, i + 1); });
    group.wait();
    for (int i = begin; i < end; i++) nodes += found[i - begin];
    return nodes;
}

uint64_t uts(void *pool, const fj_job *job) {
    fj_node root;
    fj_node_root(job->shape, &root);
    int children = fj_node_children(job->shape, &root);
    return in_arena(pool, [&] { return 1 + uts_call(job->shape, &root, 0, children); });
}

void matmul_call(const fj_job *job, uint64_t row, uint64_t column, uint64_t rows,
                 uint64_t columns) {
    if (rows <= FJ_TILE && columns <= FJ_TILE)
        fj_matmul_tile(job, row, column);
    else if (rows >= columns)
        tbb::parallel_invoke(
            [=] { matmul_call(job, row, column, rows / 2, columns); },
            [=] { matmul_call(job, row + rows / 2, column, rows - rows / 2, columns); });
    else
        tbb::parallel_invoke(
            [=] { matmul_call(job, row, column, rows, columns / 2); },
            [=] { matmul_call(job, row, column + columns / 2, rows, columns - columns / 2); });
}

uint64_t matmul(void *pool, const fj_job *job) {
    return in_arena(pool, [job]() -> uint64_t {
        matmul_call(job, 0, 0, job->n, job->n);
        return 0;
    });
}

void merge(const uint64_t *a, uint64_t a_n, const uint64_t *b, uint64_t b_n, uint64_t *out) {
    if (a_n < b_n) return merge(b, b_n, a, a_n, out);
    if (a_n + b_n <= FJ_MERGE_LEAF) return fj_merge_leaf(a, a_n, b, b_n, out);
    uint64_t a_half = a_n / 2, b_half = fj_lower_bound(b, b_n, a[a_half]);
    tbb::parallel_invoke(
        [=] { merge(a, a_half, b, b_half, out); },
        [=] { merge(a + a_half, a_n - a_half, b + b_half, b_n - b_half, out + a_half + b_half); });
}

void sort(uint64_t *keys, uint64_t *scratch, uint64_t n) {
    if (n <= FJ_SORT_LEAF) return fj_sort_leaf(keys, n);
    uint64_t quarter = n / 4, half = 2 * quarter, rest = n - 3 * quarter;
    tbb::parallel_invoke([=] { sort(keys, scratch, quarter); },
                         [=] { sort(keys + quarter, scratch + quarter, quarter); },
                         [=] { sort(keys + half, scratch + half, quarter); },
                         [=] { sort(keys + half + quarter, scratch + half + quarter, rest); });
    tbb::parallel_invoke(
        [=] { merge(keys, quarter, keys + quarter, quarter, scratch); },
        [=] { merge(keys + half, quarter, keys + half + quarter, rest, scratch + half); });
    merge(scratch, half, scratch + half, n - half, keys);
}

uint64_t cilksort(void *pool, const fj_job *job) {
    return in_arena(pool, [job]() -> uint64_t {
        sort(job->keys, job->scratch, job->n);
        return 0;
    });
}

// Loops -------------------------------------------------------------------------------------------

uint64_t squares(void *pool, const fj_job *job) {
    return in_arena(pool, [job] {
        return tbb::parallel_reduce(
            Range(0, static_cast<int64_t>(job->n)), UINT64_C(0),
            [](const Range &range, uint64_t sum) {
                return sum + fj_squares(range.begin(), range.end());
            },
            [](uint64_t left, uint64_t right) { return left + right; });
    });
}

template <void body(const fj_job *, int64_t, int64_t)>
uint64_t loop(void *pool, const fj_job *job) {
    return in_arena(pool, [job]() -> uint64_t {
        tbb::parallel_for(Range(0, static_cast<int64_t>(job->n)),
                          [job](const Range &range) { body(job, range.begin(), range.end()); });
        return 0;
    });
}

uint64_t each_leaf(void *pool, const fj_job *job) {
    return in_arena(pool, [job]() -> uint64_t {
        tbb::parallel_for(
            Range(0, static_cast<int64_t>(job->leaves), 1),
            [job](const Range &range) { fj_leaves(job, range.begin(), range.end()); },
            tbb::simple_partitioner());
        return 0;
    });
}

uint64_t sort_keys(void *pool, const fj_job *job) {
    return in_arena(pool, [job]() -> uint64_t {
        tbb::parallel_sort(job->keys, job->keys + job->n);
        return 0;
    });
}

// Leaves ------------------------------------------------------------------------------------------

uint64_t tree_call(uint64_t n, uint64_t leaves) {
    if (leaves == 1) return kernel_grain(n);
    uint64_t other, half = leaves / 2;
    tbb::task_group group;
    group.run([=, &other] { other = tree_call(n, half); });
    uint64_t own = tree_call(n, leaves - half);
    group.wait();
    return own + other;
}

uint64_t tree(void *pool, const fj_job *job) {
    return in_arena(pool, [job] { return tree_call(job->n, job->leaves); });
}

enum { FLAT = 1000 };

uint64_t flat(void *pool, const fj_job *job) {
    return in_arena(pool, [job] {
        uint64_t results[FLAT], sum = 0;
        for (uint64_t done = 0; done < job->leaves;) {
            uint64_t part = job->leaves - done < FLAT ? job->leaves - done : uint64_t{FLAT};
            tbb::task_group group;
            for (uint64_t i = 0; i < part; i++)
                group.run([=, &results] { results[i] = kernel_grain(job->n); });
            group.wait();
            for (uint64_t i = 0; i < part; i++) sum += results[i];
            done += part;
        }
        return sum;
    });
}

} // namespace

// In the order of enum fj_id.
const fj_ports forkjoin_tbb = {{fib, nqueens, skynet, uts, matmul, cilksort, squares,
                                loop<fj_uneven>, loop<fj_triad>, loop<fj_opaque>, sort_keys, tree,
                                flat, each_leaf}};
