/* os/futex.c: the system call.
 *
 * FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC, so that a wait that is interrupted and
 * begun again does not grow. */
#include "os/futex.h"

#include "base/compiler.h"
#include "os/clock.h"
#include "os/fault.h"
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

/* In place of FUTEX_PRIVATE_FLAG. */
enum { SHARED = 0 };

/* Where the kernel refuses futexes (a sandbox), waiting becomes polling at this interval: 50 us. */
static void sleep_instead(void) {
    struct timespec pause = {0, 50000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

static always_inline bool wait(const uint32_t *word, uint32_t expected, int64_t deadline,
                               int scope) {
    struct timespec until, *limit = NULL;
    if (filch__fault(FILCH__FAULT_FUTEX)) return true;
    if (deadline != FILCH_FOREVER) {
        if (deadline < 0) deadline = 0;
        until.tv_sec = (time_t)(deadline / 1000000000);
        until.tv_nsec = (long)(deadline % 1000000000);
        limit = &until;
    }
    int saved = errno;
    long rc = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | scope, expected, limit, NULL,
                      FUTEX_BITSET_MATCH_ANY);
    int error = rc == 0 ? 0 : errno;
    errno = saved;
    if (error == ETIMEDOUT) return false;
    if (error != 0 && error != EAGAIN && error != EINTR) {
        sleep_instead();
        return deadline == FILCH_FOREVER || filch__now() < deadline;
    }
    return true;
}

static void wake(uint32_t *word, int count, int scope) {
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAKE | scope, count, NULL, NULL, 0);
    errno = saved;
}

bool filch__futex_wait(uint32_t *word, uint32_t expected, int64_t deadline) {
    return wait(word, expected, deadline, FUTEX_PRIVATE_FLAG);
}

void filch__futex_wake(uint32_t *word, int count) {
    wake(word, count, FUTEX_PRIVATE_FLAG);
}

bool filch__futex_wait_shared(const uint32_t *word, uint32_t expected, int64_t deadline) {
    return wait(word, expected, deadline, SHARED);
}

void filch__futex_wake_shared(uint32_t *word, int count) {
    wake(word, count, SHARED);
}
