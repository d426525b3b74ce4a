/* thread/lane.h: the forked calls of a worker: which are its own, which others may take, and which they have.
 *
 * Flow     the owner's fork and join in filch/lane.h; where these are slow, frames.c. Thieves: frames.c.
 * Source   the split deque of Lace (van de Pol & van Dijk, 2014): the oldest calls are public and change hands by a
 *          CAS, the others are private and cost their owner no atomic operation. Who finds nothing public asks for
 *          more (limit = NULL), and the owner publishes half of what it has with its next fork. Here an owner that does not
 *          answer, because it computes, cannot keep its calls: a thief forces one out (lane_force), with a barrier on
 *          the owner's CPU.
 *
 *              0        top            split               pos
 *              | stolen  |  public       |   private         |  free
 *
 * State    shared: top (16 bits), split (16), version (32), in one word; changed by CAS, by anyone. pos, limit, guard:
 *          filch/lane.h. status of a slot: 0, until a thief says that it runs it; RUNNING | thief; then DONE, which the
 *          owner takes back to 0. roots, base, rootless: of which tasks the slots are part; the owner's, see Roots.
 * Keeps    1. top <= split <= pos, but that pos may be one less during a join.
 *          2. Calls are stolen in the order of their slots: if one is stolen, all older ones are.
 *          3. A call at or above split is run by its owner, after a join; one below top by its thief. In between, whose
 *             CAS on `shared` takes it: a thief moves top, the owner split.
 *          4. guard >= slots + split, whenever the owner is not in a slow fork or join. So a join of a slot below split
 *             is slow.
 *          5. The slot of a stolen call is not used again before its thief has said DONE.
 * Orders
 *   L8 cas_seq_cst shared (any change) -> L9 load_acquire shared (look): the slots that became public, their roots
 *   L8 cas_seq_cst shared (any change) -> L8 cas_seq_cst shared (any change): the same, along the modification order
 *   L10 fetch_or_acq_rel status (taken) -> L11 load_acquire status (look): which worker runs it
 *   L12 exchange_acq_rel status (done) -> L11 load_acquire status (look): the result, and all that the call did
 *   L16 fence_after_rmw (guard set) <-> H6 fence_seq_cst (asked): of an owner that lowers the guard and a request, at least one sees the other
 *   L13 cas_acq_rel status (announce a sleep) -> L10 fetch_or_acq_rel status (taken): the same, before it is known who runs it
 *   L14 store_release rootless (a task begins, has a root) -> L15 load_acquire rootless (force): the root, the base
 *   L13 cas_acq_rel status (announce a sleep) -> L12 exchange_acq_rel status (done): the owner sleeps
 * Why a thief of a public call needs no fence: both sides of that conflict are a CAS on one word, and a slot is read only by
 * who has taken it. A thief whose word is old but equal to the present one takes what is public now. So there is
 * no ABA among thieves.
 * Why the force is right: it reads the word (top = split = k, version v), raises guard above slot k, makes a barrier
 * on all CPUs that run this program, reads pos, and if that is above k, moves top and split to k + 1. The owner's pop
 * stores pos = k, then loads guard. If that load was before the barrier, so was the store, and the thief sees
 * pos = k, or that slot k has been filled again, by a fork whose join will see the guard. Otherwise the pop is slow. A
 * slow join of a slot at or above split changes the version, and so does every other change that the owner makes, and
 * each time it has stored guard before that CAS, and no store of guard is without one: where the CAS fails, another
 * follows that succeeds. So if the owner lowers the guard after it was raised, then the word changes after the thief
 * has read it, and the thief gets nothing; if it was lowered before, the raise stands.
 * The version has 32 bits: for ABA the owner must be forced out of slow joins 2^32 times while one thief is stopped
 * between its barrier and its CAS, each time with a barrier of another thief of 0.4 us at least: half an hour, and
 * then stop at exactly the same count.
 * Roots    the first fork of a task notes the task at its slot i: roots[i], with bit 0 set, and base = i + 1. The root of
 *          a slot is what was noted at it or, else, at the nearest older one that has a note; 0 stands everywhere else.
 *          While a slot is taken its task has not ended, so its note stands. base is then that note's, or that of a
 *          task that was started on top, which lies above the slot. Nobody notes anything for single slots: a thief
 *          that has just forced one could not do so before the next is taken, or published.
 *          The first fork of a task moves pos before it notes the root. So that nobody forces its call meanwhile,
 *          `rootless` is where pos stood when the task began, until it has a root: who sees the new pos sees that.
 * Progress owner: wait-free but for CAS that fail because a thief was successful. Thieves: lock-free. A descheduled
 *          thief or owner stops nobody.
 * Memory   slots and roots: mapped when the worker is made, freed with it; a page is there once it was used. */
#ifndef FILCH_THREAD_LANE_H
#define FILCH_THREAD_LANE_H

#include "base/atomics.h"
#include "base/compiler.h"
#include "thread/deque.h"
#include <filch/lane.h>

/* Slots that others can take from, 4 MiB of them; one more for the fork that finds it full. */
enum { LANE_SLOTS = 65535 };

/* status of a slot. In RUNNING and WAITED: the thief's index, from bit 8 on. */
enum {
    SLOT_RUNNING = 1,
    SLOT_WAITED = 2,
    SLOT_DONE = 4,
    SLOT_SKIPPED = 8,   /* with DONE: it did not run, or some of what it forked did not */
    SLOT_LEFT = 16,     /* with DONE: `run` is what it left behind, see frames.c */
    SLOT_RETURNED = 32, /* the thief could not run it: the owner does */
    SLOT_OVER = SLOT_DONE | SLOT_RETURNED
};
#define SLOT_THIEF_SHIFT 8

struct filch__lane {
    own_lines struct filch_lane hot;
    filch_slot *rootless; /* calls from this slot on are of a task without a root */
    own_lines uint64_t shared;
    own_lines filch_slot
        *slots;       /* constant; NULL: there is no memory, and every fork runs at once */
    uintptr_t *roots; /* of slots */
    uint32_t
        base; /* one more than the newest slot with a note in `roots`, or than one that had it */
};

#define LANE_TOP_ONE UINT64_C(1)
#define LANE_SPLIT_ONE (UINT64_C(1) << 16)
#define LANE_VERSION_ONE (UINT64_C(1) << 32)
static inline uint32_t lane_top(uint64_t word) {
    return (uint32_t)word & 0xffff;
}
static inline uint32_t lane_split(uint64_t word) {
    return (uint32_t)word >> 16;
}
static inline uint64_t lane_word(uint64_t version_of, uint32_t top, uint32_t split) {
    return ((version_of & ~(LANE_VERSION_ONE - 1)) + LANE_VERSION_ONE) | (uint64_t)split << 16 |
           top;
}
static inline uint64_t lane_read(struct filch__lane *l) {
    return load_acquire(&l->shared); /* L9 <- L8 */
}

/* False: no memory; the lane is one without slots. */
bool filch__lane_init(struct filch__lane *l);
void filch__lane_fini(struct filch__lane *l);

static inline uint32_t filch__lane_index(const struct filch__lane *l, const filch_slot *slot) {
    return (uint32_t)(slot - l->slots);
}
/* Owner: slots that are in use. */
static inline uint32_t filch__lane_used(struct filch__lane *l) {
    return filch__lane_index(l, load_light(&l->hot.pos)); /* light: own field */
}

/* Owner, in a slow fork: makes half of the private slots public, if none is, and says whether one is now. `all`: every
 * one, at once. alert: joins shall be slow in any case. */
bool filch__lane_publish(struct filch__lane *l, bool all, bool alert);

/* Owner, in a slow join of a slot: takes it back, and half of the older public ones. False: it is stolen. `keep`: the
 * older ones stay public. */
bool filch__lane_reclaim(struct filch__lane *l, uint32_t index, bool keep, bool alert);
/* Owner: the slot, which was stolen, is free again, and with it all that are newer. */
void filch__lane_reset(struct filch__lane *l, uint32_t index, bool alert);

/* Thief: takes the oldest public call. */
enum filch__steal filch__lane_steal(struct filch__lane *l, filch_slot **slot);
/* Thief: takes the oldest call though it is private. Makes a barrier on all CPUs: for use when asking was in vain. */
enum filch__steal filch__lane_force(struct filch__lane *l, filch_slot **slot);
/* Owner: what it forks from now on is of another task, whose first fork says which. */
static inline void filch__lane_begin_task(struct filch__lane *l) {
    filch_slot *pos = load_light(&l->hot.pos); /* light: own field */
    store_release(&l->rootless, pos);          /* L14 -> L15 */
}
/* Owner: the slot and those that are newer are of this task. */
void filch__lane_note_root(struct filch__lane *l, uint32_t index, const void *task);
void filch__lane_forget_root(struct filch__lane *l, uint32_t index);
/* Who has taken a slot: the root of its call. */
uintptr_t filch__lane_root(struct filch__lane *l, uint32_t index);

/* Anybody: is there a call that is not taken? A hint, exact after a barrier for what was forked before it. */
static inline bool filch__lane_has_any(struct filch__lane *l) {
    uint64_t word = lane_read(l);
    filch_slot *pos = load_acquire(&l->hot.pos); /* L2 <- L1, L3 */
    return lane_top(word) < lane_split(word) || pos > l->slots + lane_split(word);
}
/* Anybody: differs when calls were forked, joined or taken. A hint. */
static inline uint64_t filch__lane_state(struct filch__lane *l) {
    return lane_read(l) * 0x9e3779b97f4a7c15 +
           (uint64_t)(uintptr_t)load_acquire(&l->hot.pos); /* L2 <- L1, L3 */
}
/* Anybody: the owner's next fork shall be slow. */
static inline void filch__lane_ask(struct filch__lane *l) {
    if (load_relaxed(&l->hot.limit) != NULL) /* relaxed: a hint, exact if nobody else asks */
        store_release(&l->hot.limit, NULL);  /* L7 <-> L6 */
}
/* Anybody: the owner's next join shall be slow. Not to be taken back by other raises. */
void filch__lane_alert(struct filch__lane *l);

#endif
