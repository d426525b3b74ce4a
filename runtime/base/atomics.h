/* base/atomics.h: the short names under which the runtime uses the seam of filch/atomic.h.
 *
 * Every use carries the label of its edge; tests/lint/check_orders.py holds labels against the tables. */
#ifndef FILCH_BASE_ATOMICS_H
#define FILCH_BASE_ATOMICS_H

#include <filch/atomic.h>

#define load_relaxed filch_load_relaxed
#define load_acquire filch_load_acquire
#define load_seq_cst filch_load_seq_cst
#define store_relaxed filch_store_relaxed
#define store_release filch_store_release
#define load_light filch_load_light
#define store_light filch_store_light
#define exchange_acquire filch_exchange_acquire
#define exchange_acq_rel filch_exchange_acq_rel
#define exchange_release filch_exchange_release
#define cas_relaxed filch_cas_relaxed
#define cas_acquire filch_cas_acquire
#define cas_release filch_cas_release
#define cas_acq_rel filch_cas_acq_rel
#define cas_seq_cst filch_cas_seq_cst
#define cas_weak_relaxed filch_cas_weak_relaxed
#define cas_weak_release filch_cas_weak_release
#define cas_weak_acq_rel filch_cas_weak_acq_rel
#define fetch_add_relaxed filch_fetch_add_relaxed
#define fetch_add_acq_rel filch_fetch_add_acq_rel
#define fetch_sub_relaxed filch_fetch_sub_relaxed
#define fetch_sub_acq_rel filch_fetch_sub_acq_rel
#define fetch_or_relaxed filch_fetch_or_relaxed
#define fetch_or_release filch_fetch_or_release
#define fetch_or_acq_rel filch_fetch_or_acq_rel
#define fetch_or_seq_cst filch_fetch_or_seq_cst
#define fetch_and_acq_rel filch_fetch_and_acq_rel
#define fence_seq_cst filch_fence_seq_cst
#define fence_after_rmw filch_fence_after_rmw
#define cpu_relax filch_cpu_relax

/* Adds to a counter that only the calling thread writes and others read: no locked operation. */
#define count_own(p, n) store_relaxed((p), load_relaxed(p) + (n)) /* relaxed: a statistic */

#endif
