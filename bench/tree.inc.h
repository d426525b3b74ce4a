/* tree.inc.h: the splitting tree of futures (bench_tree), over the submit and take_result that a
 * contestant's file has defined for batch.inc.h.
 *
 * Not here: oneTBB's tree, which has one group per split instead of a future (contestant_tbb.cc).
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_TREE_INC_H
#define BENCH_TREE_INC_H

#include "kernel.h"

/* A task's range: so many of the tree's leaves. */
typedef struct tree_arg {
    const bench_tree *tree;
    uint64_t leaves;
} tree_arg;

static int tree_task(void *arg, void *result);

/* A half that could not be submitted, or failed, is missing in the sum, and is noticed there. */
static uint64_t run_range(const bench_tree *tree, uint64_t leaves) {
    if (leaves == 1) return kernel_grain(tree->n);
    tree_arg half = {tree, leaves / 2};
    uint64_t other = 0;
    handle future;
    bool submitted = submit(tree->pool, tree_task, &half, sizeof half, sizeof(uint64_t), &future);
    uint64_t own = run_range(tree, leaves - half.leaves);
    if (submitted) (void)take_result(future, &other);
    return own + other;
}

static int tree_task(void *arg, void *result) {
    const tree_arg *range = (const tree_arg *)arg;
    *(uint64_t *)result = run_range(range->tree, range->leaves);
    return 0;
}

static uint64_t run_tree(const bench_tree *tree) {
    tree_arg all = {tree, tree->leaves};
    uint64_t sum = 0;
    handle root;
    if (submit(tree->pool, tree_task, &all, sizeof all, sizeof sum, &root))
        (void)take_result(root, &sum);
    return sum;
}

#endif
