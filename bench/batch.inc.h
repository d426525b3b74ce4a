/* batch.inc.h: the loops over submit and take_result, the same source for every pool with futures.
 *
 * Flow: a contestant's file defines, and then includes this once:
 *
 *   handle                         a type, the future of one submitted task
 *   submit(pool, fn, arg, arg_size, result_size, handle *)   false: it could not, no handle
 *   take_result(handle, result)    waits, copies the result, gives the handle back; the task's code
 *
 * as static inline functions, so that no indirect call stands between the loop and the library under
 * test. What remains is each library's own call, which its users pay as well.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_BATCH_INC_H
#define BENCH_BATCH_INC_H

static size_t run_batch(void *pool, const bench_batch *batch, void *memory) {
    handle *handles = (handle *)memory;
    size_t submitted = 0, wrong = 0;
    for (uint64_t arg = batch->arg; submitted < batch->tasks; arg += batch->step) {
        if (!submit(pool, batch->fn, &arg, sizeof arg, sizeof(uint64_t), &handles[submitted]))
            break;
        submitted++;
    }
    if (batch->submitted != NULL) batch->submitted(batch->context);
    uint64_t expected = batch->expected;
    for (size_t i = 0; i < submitted; i++, expected += batch->step) {
        uint64_t value = 0;
        int code = take_result(handles[i], &value);
        wrong += code != 0 || value != expected;
    }
    return wrong + (batch->tasks - submitted);
}

/* What run_inside hands to its task. */
typedef struct inside_arg {
    void *pool;
    const bench_batch *batch;
    void *memory;
} inside_arg;

static int inside_task(void *arg, void *result) {
    const inside_arg *inside = (const inside_arg *)arg;
    *(uint64_t *)result = run_batch(inside->pool, inside->batch, inside->memory);
    return 0;
}

static size_t run_inside(void *pool, const bench_batch *batch, void *memory) {
    inside_arg arg = {pool, batch, memory};
    uint64_t wrong = 0;
    handle root;
    if (!submit(pool, inside_task, &arg, sizeof arg, sizeof wrong, &root)) return batch->tasks;
    return take_result(root, &wrong) == 0 ? (size_t)wrong : batch->tasks;
}

#endif
