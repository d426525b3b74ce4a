// tbb_pool.h: what oneTBB's contestant makes for a measurement (contestant_tbb.cc, forkjoin_tbb.cc).
//
// The limit is on threads of the whole process; the arena, which the fork-join ports enter, has as many
// places, one of them for the thread that enters. The default stack of 4 MiB is too small for the deepest
// unbalanced tree, since a thread that waits runs other tasks on top.
//
// SPDX-License-Identifier: MIT
#ifndef BENCH_TBB_POOL_H
#define BENCH_TBB_POOL_H

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>

#include <cstddef>

struct TbbPool {
    explicit TbbPool(int workers)
        : limit(tbb::global_control::max_allowed_parallelism, static_cast<size_t>(workers)),
          stack(tbb::global_control::thread_stack_size, size_t{64} << 20), arena(workers) {}
    tbb::global_control limit;
    tbb::global_control stack;
    tbb::task_arena arena;
};

#endif
