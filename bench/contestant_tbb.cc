// contestant_tbb.cc: oneTBB's task_group in the race.
//
// As its documentation has it: a task_group on the stack of the thread that needs the results,
// group.run for each task, group.wait at the end, and a global_control for the number of threads. The
// results are written to slots that the caller provides. The thread that waits is one of the workers
// and runs tasks itself, so that with one worker there is no other thread, and the round trip of one
// task is no trip. Each outside thread has an arena of its own, which is the library's default.
//
// SPDX-License-Identifier: MIT
#include "contestant.h"
#include "kernel.h"
#include "tbb_pool.h"

#include <oneapi/tbb/task_group.h>

namespace {

struct Slot {
    uint64_t value;
    int code;
};

size_t count_wrong(const bench_batch *batch, const Slot *slots) {
    size_t wrong = 0;
    uint64_t expected = batch->expected;
    for (size_t i = 0; i < batch->tasks; i++, expected += batch->step)
        wrong += slots[i].code != 0 || slots[i].value != expected;
    return wrong;
}

size_t run_batch(void *, const bench_batch *batch, void *memory) {
    Slot *slots = static_cast<Slot *>(memory);
    task_fn *fn = batch->fn;
    uint64_t arg = batch->arg;
    tbb::task_group group;
    for (size_t i = 0; i < batch->tasks; i++, arg += batch->step) {
        Slot *slot = &slots[i];
        *slot = {0, 0};
        group.run([fn, arg, slot] {
            uint64_t copy = arg;
            slot->code = fn(&copy, &slot->value);
        });
    }
    if (batch->submitted != nullptr) batch->submitted(batch->context);
    group.wait();
    return count_wrong(batch, slots);
}

size_t run_inside(void *pool, const bench_batch *batch, void *memory) {
    size_t wrong = batch->tasks;
    tbb::task_group group;
    group.run([&wrong, pool, batch, memory] { wrong = run_batch(pool, batch, memory); });
    group.wait();
    return wrong;
}

uint64_t run_range(const bench_tree *tree, uint64_t leaves) {
    if (leaves == 1) return kernel_grain(tree->n);
    uint64_t half = leaves / 2, other = 0;
    tbb::task_group group;
    group.run([tree, half, &other] { other = run_range(tree, half); });
    uint64_t own = run_range(tree, leaves - half);
    group.wait();
    return own + other;
}

uint64_t run_tree(const bench_tree *tree) {
    uint64_t sum = 0;
    tbb::task_group group;
    group.run([tree, &sum] { sum = run_range(tree, tree->leaves); });
    group.wait();
    return sum;
}

bool create(int workers, void **pool) {
    *pool = new TbbPool(workers);
    return true;
}

void destroy(void *pool) {
    delete static_cast<TbbPool *>(pool);
}

} // namespace

const bench_contestant contestant_tbb = {
    "oneTBB",  sizeof(Slot), sizeof(Slot), 1,       create,        destroy,
    run_batch, run_inside,   run_tree,     nullptr, &forkjoin_tbb,
};
