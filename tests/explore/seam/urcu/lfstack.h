/* seam/urcu/lfstack.h: stands in the place of liburcu's stack: the same algorithm over the seam.
 *
 * liburcu's read-modify-writes are full barriers, so there is a fence on each side of them. push returns whether
 * there was something; the pointer that it has read before may be old.
 *
 * SPDX-License-Identifier: MIT */
#ifndef URCU_LFSTACK_H
#define URCU_LFSTACK_H

#include <filch/atomic.h>

struct cds_lfs_node {
    struct cds_lfs_node *next;
};
struct cds_lfs_head {
    struct cds_lfs_node node;
};
struct __cds_lfs_stack {
    struct cds_lfs_head *head;
};

static inline void __cds_lfs_init(struct __cds_lfs_stack *s) {
    filch_store_relaxed(&s->head, NULL);
}

static inline void cds_lfs_node_init(struct cds_lfs_node *node) {
    (void)node;
}

static inline bool cds_lfs_push(struct __cds_lfs_stack *s, struct cds_lfs_node *node) {
    struct cds_lfs_head *head = NULL, *mine = (struct cds_lfs_head *)(void *)node;
    bool pushed;
    do {
        node->next = head == NULL ? NULL : &head->node;
        filch_fence_seq_cst();
        pushed = filch_cas_acq_rel(&s->head, &head, mine);
        filch_fence_seq_cst();
    } while (!pushed);
    return head != NULL;
}

static inline struct cds_lfs_head *__cds_lfs_pop_all(struct __cds_lfs_stack *s) {
    filch_fence_seq_cst();
    struct cds_lfs_head *head = filch_exchange_acq_rel(&s->head, NULL);
    filch_fence_seq_cst();
    return head;
}

#endif
