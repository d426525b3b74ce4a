/* reclaim/reclaim.c: the calls of liburcu-bp, through its functions (_LGPL_SOURCE is not defined, so
 * that nothing of it is compiled into the library). */
#include "reclaim/reclaim.h"

#include "reclaim/tsan.h"
#include <urcu/urcu-bp.h>

#if defined(FILCH_ATOMICS_TSAN)
static char grace_period;
#define GRACE_PERIOD &grace_period
#else
#define GRACE_PERIOD (void *)0
#endif

void filch__reclaim_read_begin(void) {
    urcu_bp_read_lock();
}

void filch__reclaim_read_end(void) {
    tell_release(GRACE_PERIOD);
    urcu_bp_read_unlock();
}

void filch__reclaim_wait(void) {
    urcu_bp_synchronize_rcu();
    tell_acquire(GRACE_PERIOD);
}

void filch__reclaim_before_fork(void) {
    urcu_bp_before_fork();
}

void filch__reclaim_after_fork_in_parent(void) {
    urcu_bp_after_fork_parent();
}

void filch__reclaim_after_fork_in_child(void) {
    urcu_bp_after_fork_child();
}
