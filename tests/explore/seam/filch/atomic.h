/* seam/filch/atomic.h: stands in the place of include/filch/atomic.h where sources are compiled for the
 * explorer. The same names; each is a call into the explorer, with its place in the source.
 *
 * As include/filch/atomic.h for machines other than x86 has it: fence_after_rmw is a fence; load_light
 * acquires and store_light releases, and the barrier on all CPUs (kernel.c) orders them.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_ATOMIC_H
#define FILCH_ATOMIC_H

#include "explorer.h"

#define EXPLORE_SITE(name, order)                                                                  \
    (__extension__({                                                                               \
        static struct explore_site site_ = {__FILE__, __LINE__, name, order, false, NULL};         \
        &site_;                                                                                    \
    }))
#define EXPLORE_VALUE(p, call) ((__typeof__(*(p)))(call))

#define EXPLORE_LOAD(p, name, order)                                                               \
    EXPLORE_VALUE(p, explore_load(EXPLORE_SITE(name, order), (p), sizeof *(p)))
#define EXPLORE_STORE(p, v, name, order)                                                           \
    __extension__({                                                                                \
        __typeof__(*(p)) value_ = (v);                                                             \
        explore_store(EXPLORE_SITE(name, order), (p), (uint64_t)value_, sizeof *(p));              \
    })
#define EXPLORE_UPDATE(p, what, v, name, order)                                                    \
    __extension__({                                                                                \
        __typeof__(*(p)) operand_ = (__typeof__(*(p)))(v);                                         \
        EXPLORE_VALUE(p, explore_update(EXPLORE_SITE(name, order), (p), what, (uint64_t)operand_,  \
                                        sizeof *(p)));                                             \
    })
#define EXPLORE_CAS(p, e, d, weak, name, order)                                                    \
    __extension__({                                                                                \
        __typeof__(*(p)) desired_ = (d);                                                           \
        explore_cas(EXPLORE_SITE(name, order), (p), (e), (uint64_t)desired_, sizeof *(p), weak);   \
    })

#define filch_load_relaxed(p) EXPLORE_LOAD(p, "load_relaxed", EXPLORE_RELAXED)
#define filch_load_acquire(p) EXPLORE_LOAD(p, "load_acquire", EXPLORE_ACQUIRE)
#define filch_load_seq_cst(p) EXPLORE_LOAD(p, "load_seq_cst", EXPLORE_SEQ_CST)
#define filch_load_light(p) EXPLORE_LOAD(p, "load_light", EXPLORE_ACQUIRE)
#define filch_load_own(p) EXPLORE_LOAD(p, "load_own", EXPLORE_RELAXED)

#define filch_store_relaxed(p, v) EXPLORE_STORE(p, v, "store_relaxed", EXPLORE_RELAXED)
#define filch_store_release(p, v) EXPLORE_STORE(p, v, "store_release", EXPLORE_RELEASE)
#define filch_store_seq_cst(p, v) EXPLORE_STORE(p, v, "store_seq_cst", EXPLORE_SEQ_CST)
#define filch_store_light(p, v) EXPLORE_STORE(p, v, "store_light", EXPLORE_RELEASE)
#define filch_written(object) ((void)&(object))

#define filch_exchange_relaxed(p, v)                                                               \
    EXPLORE_UPDATE(p, EXPLORE_EXCHANGE, v, "exchange_relaxed", EXPLORE_RELAXED)
#define filch_exchange_acquire(p, v)                                                               \
    EXPLORE_UPDATE(p, EXPLORE_EXCHANGE, v, "exchange_acquire", EXPLORE_ACQUIRE)
#define filch_exchange_release(p, v)                                                               \
    EXPLORE_UPDATE(p, EXPLORE_EXCHANGE, v, "exchange_release", EXPLORE_RELEASE)
#define filch_exchange_acq_rel(p, v)                                                               \
    EXPLORE_UPDATE(p, EXPLORE_EXCHANGE, v, "exchange_acq_rel", EXPLORE_ACQ_REL)

#define filch_cas_relaxed(p, e, d) EXPLORE_CAS(p, e, d, false, "cas_relaxed", EXPLORE_RELAXED)
#define filch_cas_acquire(p, e, d) EXPLORE_CAS(p, e, d, false, "cas_acquire", EXPLORE_ACQUIRE)
#define filch_cas_release(p, e, d) EXPLORE_CAS(p, e, d, false, "cas_release", EXPLORE_RELEASE)
#define filch_cas_acq_rel(p, e, d) EXPLORE_CAS(p, e, d, false, "cas_acq_rel", EXPLORE_ACQ_REL)
#define filch_cas_seq_cst(p, e, d) EXPLORE_CAS(p, e, d, false, "cas_seq_cst", EXPLORE_SEQ_CST)
#define filch_cas_weak_relaxed(p, e, d)                                                            \
    EXPLORE_CAS(p, e, d, true, "cas_weak_relaxed", EXPLORE_RELAXED)
#define filch_cas_weak_acquire(p, e, d)                                                            \
    EXPLORE_CAS(p, e, d, true, "cas_weak_acquire", EXPLORE_ACQUIRE)
#define filch_cas_weak_release(p, e, d)                                                            \
    EXPLORE_CAS(p, e, d, true, "cas_weak_release", EXPLORE_RELEASE)
#define filch_cas_weak_acq_rel(p, e, d)                                                            \
    EXPLORE_CAS(p, e, d, true, "cas_weak_acq_rel", EXPLORE_ACQ_REL)

#define filch_fetch_add_relaxed(p, v)                                                              \
    EXPLORE_UPDATE(p, EXPLORE_ADD, v, "fetch_add_relaxed", EXPLORE_RELAXED)
#define filch_fetch_add_acquire(p, v)                                                              \
    EXPLORE_UPDATE(p, EXPLORE_ADD, v, "fetch_add_acquire", EXPLORE_ACQUIRE)
#define filch_fetch_add_release(p, v)                                                              \
    EXPLORE_UPDATE(p, EXPLORE_ADD, v, "fetch_add_release", EXPLORE_RELEASE)
#define filch_fetch_add_acq_rel(p, v)                                                              \
    EXPLORE_UPDATE(p, EXPLORE_ADD, v, "fetch_add_acq_rel", EXPLORE_ACQ_REL)
#define filch_fetch_sub_relaxed(p, v)                                                              \
    EXPLORE_UPDATE(p, EXPLORE_SUB, v, "fetch_sub_relaxed", EXPLORE_RELAXED)
#define filch_fetch_sub_release(p, v)                                                              \
    EXPLORE_UPDATE(p, EXPLORE_SUB, v, "fetch_sub_release", EXPLORE_RELEASE)
#define filch_fetch_sub_acq_rel(p, v)                                                              \
    EXPLORE_UPDATE(p, EXPLORE_SUB, v, "fetch_sub_acq_rel", EXPLORE_ACQ_REL)
#define filch_fetch_or_relaxed(p, v)                                                               \
    EXPLORE_UPDATE(p, EXPLORE_OR, v, "fetch_or_relaxed", EXPLORE_RELAXED)
#define filch_fetch_or_release(p, v)                                                               \
    EXPLORE_UPDATE(p, EXPLORE_OR, v, "fetch_or_release", EXPLORE_RELEASE)
#define filch_fetch_or_acq_rel(p, v)                                                               \
    EXPLORE_UPDATE(p, EXPLORE_OR, v, "fetch_or_acq_rel", EXPLORE_ACQ_REL)
#define filch_fetch_or_seq_cst(p, v)                                                               \
    EXPLORE_UPDATE(p, EXPLORE_OR, v, "fetch_or_seq_cst", EXPLORE_SEQ_CST)
#define filch_fetch_and_relaxed(p, v)                                                              \
    EXPLORE_UPDATE(p, EXPLORE_AND, v, "fetch_and_relaxed", EXPLORE_RELAXED)
#define filch_fetch_and_release(p, v)                                                              \
    EXPLORE_UPDATE(p, EXPLORE_AND, v, "fetch_and_release", EXPLORE_RELEASE)
#define filch_fetch_and_acq_rel(p, v)                                                              \
    EXPLORE_UPDATE(p, EXPLORE_AND, v, "fetch_and_acq_rel", EXPLORE_ACQ_REL)

#define filch_fence_seq_cst() explore_fence(EXPLORE_SITE("fence_seq_cst", EXPLORE_SEQ_CST))
#define filch_fence_after_rmw() explore_fence(EXPLORE_SITE("fence_after_rmw", EXPLORE_SEQ_CST))
#define filch_cpu_relax() explore_yield()

#endif
