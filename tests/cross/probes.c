/* probes.c: the small functions of the lock-free sources, each compiled by itself for aarch64.
 *
 * Flow     check_barriers.py compiles this file and compares the barriers of each probe_NAME with its table. Nothing of
 *          it ever runs.
 *
 * SPDX-License-Identifier: MIT */
#include "future_state.h"
#include "thread/deque.c"
#include "thread/sleep.h"

#include <filch/fork.h>

#define PROBE __attribute__((__noinline__, __used__)) static

/* Deque */
PROBE bool probe_push(struct filch__deque *d, filch__entry e) {
    return filch__deque_push(d, e);
}
PROBE filch__entry probe_pop(struct filch__deque *d) {
    return filch__deque_pop(d);
}
PROBE enum filch__steal probe_steal(struct filch__deque *d, filch__entry *e) {
    return steal(d, e);
}
PROBE enum filch__steal probe_steal_half(struct filch__deque *d, filch__entry *e, int n,
                                         int *count) {
    return steal_half(d, e, n, count);
}
PROBE bool probe_take_if_oldest(struct filch__deque *d, filch__entry e) {
    return filch__deque_take_if_oldest(d, e);
}
PROBE filch__entry probe_take(struct filch__deque *d) {
    return filch__deque_take(d);
}
PROBE bool probe_is_empty(struct filch__deque *d) {
    return filch__deque_is_empty(d);
}
PROBE int64_t probe_bottom(struct filch__deque *d) {
    return filch__deque_bottom(d);
}

/* Frames */
PROBE bool probe_lane_push(filch_lane *lane, filch_slot *slot) {
    return filch_lane_push(lane, slot);
}
PROBE bool probe_lane_pop(filch_lane *lane, filch_slot *slot) {
    return filch_lane_pop(lane, slot);
}

/* Future */
PROBE bool probe_cancel(uint64_t *word) {
    return state_cancel(word);
}
PROBE bool probe_start_posted(uint64_t *word) {
    return state_start_posted(word);
}
PROBE bool probe_post(uint64_t *word, int runner) {
    return state_post(word, runner);
}
PROBE bool probe_end(uint64_t *word) {
    return state_end(word);
}
PROBE enum filch__after_finish probe_complete(uint64_t *word) {
    return state_finish(word, LIFE_FINISHED, true);
}
PROBE uint64_t probe_wait(uint64_t *word) {
    return state_add_flag(word, FLAG_SLEEPERS);
}
PROBE bool probe_is_done(const uint64_t *word) {
    return state_is_done(state_look(word));
}
PROBE void probe_retain(uint64_t *word) {
    state_retain(word);
}
PROBE bool probe_release(uint64_t *word) {
    return state_release(word);
}

/* Sleep */
PROBE bool probe_try_search(struct filch__sleep *s) {
    return sleep_try_search(s);
}
PROBE void probe_announce(struct filch__sleep *s) {
    sleep_announce(s, true);
}
PROBE bool probe_wants_worker(struct filch__sleep *s) {
    return sleep_wants_worker(s);
}
PROBE enum filch__leave probe_leave(struct filch__sleep *s) {
    return sleep_leave(s);
}
