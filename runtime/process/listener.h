/* process/listener.h: who sleeps in the program, and wants to hear of what workers publish.
 *
 * Flow     the manager or an attendant calls filch__listen before it sleeps, and then looks at all up rings once more;
 *          a worker calls filch__listener after it has published, and rings the bell of whom it names.
 * State    the common page: the program writes it, all workers of the executor map it for reading.
 * Orders
 *   Y1 fence_seq_cst (listen) -> Y2 fence_seq_cst (published): of "name who sleeps, look at the rings" and "publish, look who sleeps", at least one sees the other
 *   Y2 fence_seq_cst (published) -> Y1 fence_seq_cst (listen): the same
 * Progress wait-free. */
#ifndef FILCH_PROCESS_LISTENER_H
#define FILCH_PROCESS_LISTENER_H

#include "base/atomics.h"
#include <stdint.h>

enum filch__listener { LISTENER_NOBODY, LISTENER_MANAGER, LISTENER_ATTENDANT };

struct filch__common {
    uint32_t listener;
};

/* Program: that one is about to sleep, or nobody. Then look at the rings. */
static inline void filch__listen(struct filch__common *common, enum filch__listener who) {
    store_relaxed(&common->listener, (uint32_t)who); /* relaxed: Y1 follows */
    fence_seq_cst();                                 /* Y1 -> Y2; Y1 <- Y2 */
}

/* Worker, after it has published: whose bell to ring. */
static inline enum filch__listener filch__listener(const struct filch__common *common) {
    fence_seq_cst();                                              /* Y2 -> Y1; Y2 <- Y1 */
    return (enum filch__listener)load_relaxed(&common->listener); /* relaxed: ordered by Y2 */
}

#endif
