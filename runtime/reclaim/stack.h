/* reclaim/stack.h: a lock-free stack from which everything is taken at once.
 *
 * Flow     any thread pushes; a taker gets the whole chain, newest first, and owns it.
 * Source   liburcu's cds_lfs (Treiber, IBM RJ 5118, 1986). Nothing but pop_all ever removes a node, so
 *          there is no ABA and no grace period is needed before a node is used again.
 *          Push and pop_all are full barriers by liburcu's documentation; ThreadSanitizer is told so.
 * Orders
 *   I1 cds_lfs_push top (push) -> S2 fence_seq_cst (worker, steps W3 and W6): as S1 of thread/sleep.h: liburcu's push is a full barrier
 *   I1 cds_lfs_push top (push) -> I2 __cds_lfs_pop_all top (take_all): what was done to the node before
 *   I2 __cds_lfs_pop_all top (take_all) -> I3 load_acquire top (is_empty): what the taker did before it took all
 * Progress push lock-free, take_all wait-free: no pusher that is descheduled is waited for. (liburcu's
 *          wait-free stack and queue block the reader on a writer that is half-way; this one not.)
 * Not here: the order of the tasks (thread/injector.h). */
#ifndef FILCH_RECLAIM_STACK_H
#define FILCH_RECLAIM_STACK_H

#include "base/atomics.h"
#include "base/compiler.h"
#include "reclaim/tsan.h"
#include <stdbool.h>
#include <stddef.h>
#include <urcu/lfstack.h>

struct filch__stack {
    struct __cds_lfs_stack top;
};

/* Stands in what is pushed. */
struct filch__link {
    struct cds_lfs_node node;
};

static inline void filch__stack_init(struct filch__stack *s) {
    __cds_lfs_init(&s->top);
}

static inline void filch__stack_push(struct filch__stack *s, struct filch__link *link) {
    cds_lfs_node_init(&link->node);
    tell_release(s);
    cds_lfs_push(&s->top, &link->node); /* I1 -> I2, S2 */
}

/* A hint for whoever is not ordered with the pushers by other means. */
static inline bool filch__stack_is_empty(struct filch__stack *s) {
    return load_acquire(&s->top.head) == NULL; /* I3 <- I2 */
}

/* The chain, newest first, NULL if there is none. */
static inline struct filch__link *filch__stack_take_all(struct filch__stack *s) {
    struct cds_lfs_head *head = __cds_lfs_pop_all(&s->top); /* I2 <- I1; I2 -> I3 */
    tell_acquire(s);
    return head == NULL ? NULL : container_of(&head->node, struct filch__link, node);
}

/* The one below in a chain that was taken. */
static inline struct filch__link *filch__link_next(struct filch__link *link) {
    struct cds_lfs_node *next = link->node.next;
    return next == NULL ? NULL : container_of(next, struct filch__link, node);
}

/* Hangs `next`, or nothing, below one that the caller owns. Atomic: a future's ticket has the same place, and who visits a
 * process executor (process/attend.c) may still look there; bit 0 tells it that this is none. */
static inline void filch__link_set_next(struct filch__link *link, struct filch__link *next) {
    struct cds_lfs_node *node = next == NULL ? NULL : &next->node;
    store_relaxed(&link->node.next, node); /* relaxed: the chain is published as a whole */
}

/* Turns a taken chain round: oldest first. */
static inline struct filch__link *filch__chain_reverse(struct filch__link *link) {
    struct filch__link *done = NULL;
    while (link != NULL) {
        struct filch__link *next = filch__link_next(link);
        filch__link_set_next(link, done);
        done = link;
        link = next;
    }
    return done;
}

#endif
