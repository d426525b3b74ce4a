/* os/barrier.c: membarrier(2), private and expedited. */
#include "os/barrier.h"

#include "base/atomics.h"
#include "base/compiler.h"
#include "os/fault.h"
#include <linux/membarrier.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { UNKNOWN, THERE, MISSING };
static uint32_t known;

static noinline bool membarrier(int command) {
    return !filch__fault(FILCH__FAULT_BARRIER) && syscall(SYS_membarrier, command, 0, 0) == 0;
}

bool filch__barrier_is_there(void) {
    uint32_t now = load_relaxed(&known); /* relaxed: a fact */
    if (now == UNKNOWN) {
        now = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) ? THERE : MISSING;
        store_relaxed(&known, now); /* relaxed: a fact */
    }
    return now == THERE;
}

bool filch__barrier_everywhere(void) {
    fence_seq_cst(); /* S2 <- S1, I1 */
    if (filch__barrier_is_there() && membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) return true;
    store_relaxed(&known, (uint32_t)MISSING); /* relaxed: a fact */
    return false;
}
