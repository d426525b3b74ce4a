/* batch.inc.h: the loops over submit and take_result, the same source for every pool.
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
    while (submitted < batch->tasks && submit(pool, batch->fn, &batch->arg, sizeof batch->arg,
                                              sizeof(uint64_t), &handles[submitted]))
        submitted++;
    for (size_t i = 0; i < submitted; i++) {
        uint64_t value = 0;
        int code = take_result(handles[i], &value);
        wrong += code != 0 || value != batch->expected;
    }
    return wrong + (batch->tasks - submitted);
}

#endif
