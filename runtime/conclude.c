/* conclude.c: the end of a task that uses its submitter's own memory: see filch__future_conclude in future.h.
 *
 * Flow     map.c, frame.c -> here -> filch_future_result; where that gives up, filch_future_cancel; where that comes too
 *          late, ops->wait_firm. */
#include "base/compiler.h"
#include "executor_ops.h"
#include "future.h"

/* In the child of a fork() meanwhile it stays undone. */
static void await_firmly(filch_future *f) {
    struct filch__self *self = filch__self();
    if (self == NULL)
        (void)filch__future_sleep(f, FILCH_FOREVER);
    else
        (void)self->executor->ops->wait_firm(self, f);
}

int filch__future_conclude(filch_future *f) {
    int rc = filch_future_result(f, NULL, FILCH_FOREVER);
    if (likely(rc == 0)) return 0;
    if (!filch_future_done(f)) {
        if (rc == FILCH_EFORKED || filch_future_cancel(f)) return rc;
        await_firmly(f);
    }
    return filch_future_result(f, NULL, FILCH_FOREVER);
}
