/* fork.c: the handlers around fork(); see fork.h.
 *
 * They are registered when the library is loaded, and not with the first executor, for two reasons. A fork()
 * that has begun does not run handlers that are registered meanwhile: its child would take an executor that
 * another thread has just made for its own. And handlers of the program, which come later, then run further
 * from the fork on both sides: they may use the library, end executors before and make new ones after it. */
#include "fork.h"

#include "base/slab.h"
#include "executor_ops.h"
#include "os/thread.h"
#include "reclaim/reclaim.h"
#include "self.h"
#include <filch/lane.h>

uint32_t filch__fork_generation;
static bool registered;

static void before(void) {
    filch__exit_before_fork();
    filch__reclaim_before_fork();
}

static void after_in_parent(void) {
    filch__reclaim_after_fork_in_parent();
    filch__exit_after_fork();
}

static void after_in_child(void) {
    filch__reclaim_after_fork_in_child();
    filch__exit_after_fork();
    store_relaxed(&filch__fork_generation,
                  filch__fork_now() + 1); /* relaxed: there is one thread */
    filch__thread.self = NULL;
    filch__thread.ending = NULL;
    filch__thread.deferred = NULL;
    filch__heap_mine = NULL;
    filch_lane_self = &filch_lane_outside;
    filch__executor_forget_default();
}

__attribute__((constructor)) static void register_handlers(void) {
    registered = filch__thread_at_fork(before, after_in_parent, after_in_child) == 0;
}

bool filch__fork_is_handled(void) {
    return registered;
}
