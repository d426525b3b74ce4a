/* future_state_test.c: the state word of a future (future_state.h): every transition from every state
 * against a model of the table, and every race of two.
 *
 * Compiled twice: in the suite `narrow` a reference count has three bits and saturates at 7.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "future.h"
#include "future_state.h"
#include "os/fault.h"
#include "support.h"
#include <criterion/criterion.h>
#include <sched.h>
#include <string.h>

TestSuite(future_state, .timeout = 20);
TestSuite(future_state_race, .timeout = 60);
TestSuite(future_saturated, .timeout = 20);

/* A state, spelled out. */
struct fields {
    enum filch__life life;
    bool sleepers, hub, requested;
    int runner; /* -1: none */
    uint64_t references;
    uint64_t constant;
};

static uint64_t word_of(struct fields f) {
    return (uint64_t)f.life | (f.sleepers ? UINT64_C(1) << 3 : 0) | (f.hub ? UINT64_C(1) << 4 : 0) |
           (f.requested ? UINT64_C(1) << 5 : 0) | f.constant | (uint64_t)(f.runner + 1) << 8 |
           f.references << 32;
}

/* Calls check with every state that can come about, for a few workers and numbers of references. */
static void for_each_state(void (*check)(struct fields f)) {
    static const enum filch__life lives[] = {LIFE_PENDING, LIFE_RUNNING,  LIFE_CANCELLING,
                                             LIFE_ENDING,  LIFE_FINISHED, LIFE_CANCELLED};
    static const int runners[] = {-1, 0, 1, 5, 8191, 16382};
    const uint64_t references[] = {1, 2, 3, REFERENCES_MAX - 1, REFERENCES_MAX};
    /* None; argument and result of 16 bytes; of 0 and 96; rare parts; a promise. */
    static const uint64_t constants[] = {0, 1u << 22 | 16u << 25, 96u << 25, 64, 128 | 8u << 25};
    for (size_t l = 0; l < sizeof lives / sizeof *lives; l++)
        for (int flags = 0; flags < 8; flags++)
            for (size_t r = 0; r < sizeof runners / sizeof *runners; r++)
                for (size_t k = 0; k < sizeof references / sizeof *references; k++) {
                    if (lives[l] == LIFE_PENDING && (runners[r] != -1 || (flags & 4) != 0))
                        continue;
                    for (size_t c = 0; c < sizeof constants / sizeof *constants; c++)
                        check((struct fields){lives[l], (flags & 1) != 0, (flags & 2) != 0,
                                              (flags & 4) != 0, runners[r], references[k],
                                              constants[c]});
                }
}

static bool is_final(enum filch__life life) {
    return life == LIFE_FINISHED || life == LIFE_CANCELLED;
}

static void check_reading(struct fields f) {
    uint64_t word = word_of(f);
    cr_assert_eq(state_life(word), f.life);
    cr_assert_eq(state_is_done(word), is_final(f.life));
    cr_assert_eq(state_references(word), f.references);
    cr_assert_eq(state_runner(word), f.runner);
    cr_assert_eq(state_look(&word), word);
    cr_assert_eq((word & FLAG_SLEEPERS) != 0, f.sleepers);
    cr_assert_eq((word & FLAG_HUB) != 0, f.hub);
}

Test(future_state, says_what_is_in_the_word) {
    for_each_state(check_reading);
}

Test(future_state, starts_pending) {
    uint64_t word = UINT64_MAX;
    state_init(&word, 3, 0);
    cr_assert_eq(word, word_of((struct fields){LIFE_PENDING, false, false, false, -1, 3, 0}));
}

Test(future_state, keeps_the_sizes) {
    for (size_t arg_units = 0; arg_units <= 6; arg_units++)
        for (size_t result = 0; result <= 96; result++) {
            uint64_t word;
            state_init(&word, 2, state_sizes(arg_units, result));
            cr_assert(state_start(&word, 16382));
            state_add_flag(&word, FLAG_SLEEPERS | FLAG_HUB);
            cr_assert_eq(state_finish(&word, LIFE_FINISHED, true), AFTER_NOTIFY);
            cr_assert_eq(state_result_offset(word), 16 * arg_units);
            cr_assert_eq(state_result_size(word), result);
            cr_assert_eq(state_constant(&word), state_sizes(arg_units, result));
            cr_assert_eq(state_references(word), 2);
        }
}

Test(future_state, references_do_not_touch_what_sleepers_sleep_on) {
    uint64_t word = 0;
    state_init(&word, REFERENCES_MAX, 0);
    cr_assert_eq((uint32_t)word, 0);
    cr_assert_eq(state_references(word), REFERENCES_MAX);
}

/* start, cancel and fail: from PENDING only, and everything else in the word stays. */
static void check_leaving_pending(struct fields f) {
    static const int workers[] = {0, 1, 8191, 16382};
    uint64_t before = word_of(f);
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
        uint64_t word = before;
        struct fields after = f;
        after.life = LIFE_RUNNING;
        after.runner = workers[i];
        bool started = state_start(&word, workers[i]);
        cr_assert_eq(started, f.life == LIFE_PENDING);
        cr_assert_eq(word, started ? word_of(after) : before);
        word = before;
        cr_assert_eq(state_start_fencing(&word, workers[i]), started);
        cr_assert_eq(word, started ? word_of(after) : before);
    }
    uint64_t word = before;
    struct fields after = f;
    after.life = LIFE_CANCELLING;
    cr_assert_eq(state_cancel(&word), f.life == LIFE_PENDING);
    cr_assert_eq(word, f.life == LIFE_PENDING ? word_of(after) : before);
    word = before;
    after.life = LIFE_ENDING;
    cr_assert_eq(state_fail(&word), f.life == LIFE_PENDING);
    cr_assert_eq(word, f.life == LIFE_PENDING ? word_of(after) : before);
    word = before;
    after.life = LIFE_RUNNING;
    cr_assert_eq(state_start_promise(&word), f.life == LIFE_PENDING);
    cr_assert_eq(word, f.life == LIFE_PENDING ? word_of(after) : before);
}

Test(future_state, only_pending_is_started_cancelled_or_failed) {
    for_each_state(check_leaving_pending);
}

/* A promise is ended once, from PENDING or RUNNING. */
static void check_end(struct fields f) {
    uint64_t before = word_of(f), word = before;
    bool open = f.life == LIFE_PENDING || f.life == LIFE_RUNNING;
    struct fields after = f;
    after.life = LIFE_ENDING;
    cr_assert_eq(state_end(&word), open);
    cr_assert_eq(word, open ? word_of(after) : before);
}

Test(future_state, only_pending_and_running_are_ended) {
    for_each_state(check_end);
}

static void check_request(struct fields f) {
    uint64_t before = word_of(f), word = before;
    struct fields after = f;
    after.requested = true;
    cr_assert_eq(state_request(&word), f.life == LIFE_RUNNING);
    cr_assert_eq(word, f.life == LIFE_RUNNING ? word_of(after) : before);
}

Test(future_state, only_running_is_requested_to_end) {
    for_each_state(check_request);
}

static void check_finish(struct fields f) {
    if (is_final(f.life) || f.life == LIFE_PENDING) return;
    for (int drop = 0; drop < 2; drop++) {
        bool told = f.sleepers || f.hub;
        uint64_t before = word_of(f), word = before;
        struct fields after = f;
        after.life = f.life == LIFE_CANCELLING ? LIFE_CANCELLED : LIFE_FINISHED;
        enum filch__after_finish what = state_finish(&word, after.life, drop != 0);
        if (told) {
            cr_assert_eq(what, AFTER_NOTIFY);
            cr_assert_eq(word, word_of(after), "the reference is kept while others are told");
        } else if (drop && f.references == 1) {
            cr_assert_eq(what, AFTER_LAST);
            cr_assert_eq(word, before);
        } else {
            cr_assert_eq(what, AFTER_GONE);
            if (drop && f.references != REFERENCES_MAX) after.references--;
            cr_assert_eq(word, word_of(after));
        }
    }
}

Test(future_state, finish_says_what_is_to_be_done) {
    for_each_state(check_finish);
}

static void check_flags(struct fields f) {
    uint64_t before = word_of(f), word = before;
    struct fields after = f;
    after.sleepers = true;
    cr_assert_eq(state_add_flag(&word, FLAG_SLEEPERS), before);
    cr_assert_eq(word, word_of(after));
    word = before;
    after = f;
    after.hub = true;
    cr_assert_eq(state_add_flag(&word, FLAG_HUB), before);
    cr_assert_eq(word, word_of(after));
}

Test(future_state, flags_may_be_set_in_any_state) {
    for_each_state(check_flags);
}

static void check_references(struct fields f) {
    uint64_t before = word_of(f), word = before;
    struct fields after = f;
    if (f.references != REFERENCES_MAX) after.references++;
    state_retain(&word);
    cr_assert_eq(word, word_of(after));
    word = before;
    after = f;
    bool last = f.references == 1;
    if (!last && f.references != REFERENCES_MAX) after.references--;
    cr_assert_eq(state_release(&word), last);
    cr_assert_eq(word, word_of(after));
}

Test(future_state, references_are_counted_and_saturate) {
    for_each_state(check_references);
}

Test(future_state, saturated_count_never_comes_back) {
    uint64_t word;
    state_init(&word, REFERENCES_MAX - 2, 0);
    state_retain(&word);
    cr_assert_not(state_release(&word));
    cr_assert_eq(state_references(word), REFERENCES_MAX - 2);
    for (int i = 0; i < 40; i++) state_retain(&word);
    cr_assert_eq(state_references(word), REFERENCES_MAX);
    for (int i = 0; i < 80; i++) cr_assert_not(state_release(&word));
    cr_assert_eq(state_references(word), REFERENCES_MAX);
    cr_assert(state_start(&word, 2));
    cr_assert_eq(state_finish(&word, LIFE_FINISHED, true), AFTER_GONE);
    cr_assert_eq(
        word, word_of((struct fields){LIFE_FINISHED, false, false, false, 2, REFERENCES_MAX, 0}));
}

/* A whole future that was retained too often is never freed, and can be used to its end and after. */
static int seven(void *arg, void *result) {
    (void)arg;
    *(uint64_t *)result = 7;
    return 0;
}

Test(future_saturated, future_is_usable_and_never_freed) {
    long before = filch__fault_live_blocks();
    struct filch__home *home = filch__home_create(0);
    struct filch__heap *heap = filch__heap_create(home, filch__home_release);
    filch_task task = FILCH_TASK_INIT;
    uint64_t result = 0;
    task.fn = seven;
    task.result_size = sizeof result;
    filch_future *f = filch__future_create(heap, &task, REFERENCES_MAX - 3);
    cr_assert_not_null(f);
    for (int i = 0; i < 20; i++) cr_assert_eq(filch_future_retain(f), f);
    for (int i = 0; i < 50; i++) filch_future_release(f);
    cr_assert_not(filch_future_done(f));
    cr_assert(state_start(&f->state, 0));
    cr_assert(filch_future_running(f));
    size_t size;
    cr_assert_eq(f->fn(filch__future_arg(f), filch__future_result(f, &size)), 0);
    f->outcome = filch__outcome_of_code(0);
    filch__future_finish(f, LIFE_FINISHED, true, NULL, NULL);
    for (int i = 0; i < 50; i++) filch_future_release(f);
    cr_assert_eq(filch_future_result(f, &result, 0), 0);
    cr_assert_eq(result, 7);
    /* Had it been freed, the heap would now go, and give this object out again before. */
    void *other = filch__slab_alloc(heap, 0);
    cr_assert_neq(other, f);
    filch__slab_free(other);
    filch__heap_seal(heap);
    cr_assert_gt(filch__fault_live_blocks(), before);
    cr_assert_eq(filch_future_result(f, &result, 0), 0);
    state_init(&f->state, 1, 0); /* by force, so that the test leaks nothing */
    filch_future_release(f);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

/* Races of two --------------------------------------------------------------------------------- */

/* Two threads do one thing each to a word, at the same time as nearly as can be; then the outcomes are
 * checked. `cargo` is plain: what one wrote before, the other may read after, where the table says so. */
struct round {
    uint64_t word;
    uint64_t cargo;
    uint64_t got[2];
    uint32_t arrived;
};

struct race {
    struct round *rounds;
    int n;
    uint64_t (*act[2])(struct round *r);
};

static void meet(uint32_t *arrived) {
    fetch_add_acq_rel(arrived, 1u);
    for (int spins = 0; load_acquire(arrived) != 2; spins++) {
        if (spins > 50)
            sched_yield();
        else
            cpu_relax();
    }
}

static void race_thread(int index, void *context) {
    struct race *race = context;
    for (int i = 0; i < race->n; i++) {
        struct round *r = &race->rounds[i];
        meet(&r->arrived);
        for (int k = (i >> 3) % 32 * index; k > 0; k--) cpu_relax();
        r->got[index] = race->act[index](r);
    }
}

/* Runs the race from that state; the caller checks and frees the rounds. */
static struct race run_race(struct fields from, uint64_t (*first)(struct round *),
                            uint64_t (*second)(struct round *)) {
    struct race race = {.n = stress(2500), .act = {first, second}};
    race.rounds = calloc((size_t)race.n, sizeof *race.rounds);
    cr_assert_not_null(race.rounds);
    for (int i = 0; i < race.n; i++) race.rounds[i].word = word_of(from);
    run_threads(2, race_thread, &race);
    return race;
}

static const struct fields pending = {LIFE_PENDING, false, false, false, -1, 2, 0};
static const struct fields running = {LIFE_RUNNING, false, false, false, 3, 2, 0};

static uint64_t start(struct round *r) {
    return state_start(&r->word, 3);
}
static uint64_t start_elsewhere(struct round *r) {
    return state_start(&r->word, 4);
}
static uint64_t start_fencing(struct round *r) {
    return state_start_fencing(&r->word, 4);
}
static uint64_t cancel(struct round *r) {
    return state_cancel(&r->word);
}
static uint64_t fail(struct round *r) {
    return state_fail(&r->word);
}

/* From PENDING one of two leaves it, and the word is what that one made of it. */
static void check_one_wins(uint64_t (*first)(struct round *), enum filch__life first_life,
                           uint64_t (*second)(struct round *), enum filch__life second_life) {
    struct race race = run_race(pending, first, second);
    for (int i = 0; i < race.n; i++) {
        struct round *r = &race.rounds[i];
        cr_assert_eq(r->got[0] + r->got[1], 1, "round %d", i);
        cr_assert_eq(state_life(r->word), r->got[0] ? first_life : second_life);
        cr_assert_eq(state_references(r->word), 2);
        int runner = state_life(r->word) != LIFE_RUNNING ? -1 : r->got[0] ? 3 : 4;
        cr_assert_eq(state_runner(r->word), runner);
    }
    free(race.rounds);
}

Test(future_state_race, start_and_cancel) {
    check_one_wins(start, LIFE_RUNNING, cancel, LIFE_CANCELLING);
}

Test(future_state_race, start_and_fail) {
    check_one_wins(start, LIFE_RUNNING, fail, LIFE_ENDING);
}

Test(future_state_race, cancel_and_fail) {
    check_one_wins(cancel, LIFE_CANCELLING, fail, LIFE_ENDING);
}

static uint64_t end(struct round *r) {
    return state_end(&r->word);
}

Test(future_state_race, end_and_end) {
    check_one_wins(end, LIFE_ENDING, end, LIFE_ENDING);
}

Test(future_state_race, end_and_cancel) {
    check_one_wins(end, LIFE_ENDING, cancel, LIFE_CANCELLING);
}

Test(future_state_race, start_and_start) {
    check_one_wins(start, LIFE_RUNNING, start_elsewhere, LIFE_RUNNING);
}

Test(future_state_race, start_and_start_with_a_fence) {
    check_one_wins(start, LIFE_RUNNING, start_fencing, LIFE_RUNNING);
}

Test(future_state_race, cancel_and_cancel) {
    check_one_wins(cancel, LIFE_CANCELLING, cancel, LIFE_CANCELLING);
}

/* The result is written before the end is published. */
static uint64_t finish(struct round *r) {
    r->cargo = 42;
    return (uint64_t)state_finish(&r->word, LIFE_FINISHED, false);
}
static uint64_t finish_and_drop(struct round *r) {
    r->cargo++;
    return (uint64_t)state_finish(&r->word, LIFE_FINISHED, true);
}

/* Late: who adds a flag sees the end, and with it the result. */
enum { IN_TIME, LATE, LATE_WITHOUT_RESULT };
static uint64_t add_flag(struct round *r, uint64_t flag) {
    if (!state_is_done(state_add_flag(&r->word, flag))) return IN_TIME;
    return r->cargo == 42 ? LATE : LATE_WITHOUT_RESULT;
}
static uint64_t add_sleepers(struct round *r) {
    return add_flag(r, FLAG_SLEEPERS);
}
static uint64_t add_to_hub(struct round *r) {
    return add_flag(r, FLAG_HUB);
}

static void check_flag_and_finish(uint64_t (*add)(struct round *), bool sleepers) {
    struct race race = run_race(running, finish, add);
    struct fields after = {LIFE_FINISHED, sleepers, !sleepers, false, 3, 2, 0};
    for (int i = 0; i < race.n; i++) {
        struct round *r = &race.rounds[i];
        cr_assert_eq(r->word, word_of(after), "round %d", i);
        /* Either who finishes is told of the flag, or who sets the flag is told of the end. */
        cr_assert_eq(r->got[0], (uint64_t)(r->got[1] == IN_TIME ? AFTER_NOTIFY : AFTER_GONE));
        cr_assert_neq(r->got[1], LATE_WITHOUT_RESULT);
    }
    free(race.rounds);
}

Test(future_state_race, finish_and_sleeper) {
    check_flag_and_finish(add_sleepers, true);
}

Test(future_state_race, finish_and_callback) {
    check_flag_and_finish(add_to_hub, false);
}

static uint64_t wait_for_end(struct round *r) {
    while (!state_is_done(state_look(&r->word))) sched_yield();
    return r->cargo;
}

Test(future_state_race, finish_and_look) {
    struct race race = run_race(running, finish, wait_for_end);
    for (int i = 0; i < race.n; i++) {
        cr_assert_eq(race.rounds[i].got[0], (uint64_t)AFTER_GONE);
        cr_assert_eq(race.rounds[i].got[1], 42);
    }
    free(race.rounds);
}

/* Whoever is the last may free: it has seen the other's accesses, and writes to the cargo, which is what
 * ThreadSanitizer looks at. */
static uint64_t release(struct round *r) {
    bool last = state_release(&r->word);
    if (last) r->cargo += 100;
    return last;
}
static uint64_t use_and_release(struct round *r) {
    r->cargo++;
    return release(r);
}

Test(future_state_race, finish_with_drop_and_release) {
    struct race race = run_race(running, finish_and_drop, release);
    for (int i = 0; i < race.n; i++) {
        struct round *r = &race.rounds[i];
        bool finisher = r->got[0] == (uint64_t)AFTER_LAST;
        cr_assert(finisher || r->got[0] == (uint64_t)AFTER_GONE);
        cr_assert_eq(finisher + r->got[1], 1, "round %d: exactly one is the last", i);
        cr_assert_eq(r->cargo, finisher ? 1 : 101);
        cr_assert_eq(state_references(r->word), 1);
    }
    free(race.rounds);
}

Test(future_state_race, release_and_release) {
    struct race race = run_race(running, use_and_release, release);
    for (int i = 0; i < race.n; i++) {
        struct round *r = &race.rounds[i];
        cr_assert_eq(r->got[0] + r->got[1], 1, "round %d: exactly one is the last", i);
        cr_assert_eq(r->cargo, 101);
    }
    free(race.rounds);
}

static uint64_t retain_and_release(struct round *r) {
    state_retain(&r->word);
    return state_release(&r->word);
}

Test(future_state_race, retain_and_release) {
    struct race race = run_race(running, retain_and_release, retain_and_release);
    for (int i = 0; i < race.n; i++) {
        cr_assert_eq(race.rounds[i].got[0] + race.rounds[i].got[1], 0);
        cr_assert_eq(race.rounds[i].word, word_of(running));
    }
    free(race.rounds);
}

Test(future_state_race, retain_and_release_with_finish) {
    struct race race = run_race(running, finish_and_drop, retain_and_release);
    struct fields after = {LIFE_FINISHED, false, false, false, 3, 1, 0};
    for (int i = 0; i < race.n; i++) {
        cr_assert_eq(race.rounds[i].got[0], (uint64_t)AFTER_GONE);
        cr_assert_eq(race.rounds[i].got[1], 0);
        cr_assert_eq(race.rounds[i].word, word_of(after));
    }
    free(race.rounds);
}

/* start of a future whose entry has the only reference takes a path without a locked operation. */
Test(future_state_race, last_holder_leaves_and_start) {
    struct race race = run_race(pending, start, release);
    struct fields after = {LIFE_RUNNING, false, false, false, 3, 1, 0};
    for (int i = 0; i < race.n; i++) {
        cr_assert_eq(race.rounds[i].got[0], 1);
        cr_assert_eq(race.rounds[i].got[1], 0);
        cr_assert_eq(race.rounds[i].word, word_of(after));
    }
    free(race.rounds);
}

static uint64_t cancel_and_release(struct round *r) {
    bool mine = state_cancel(&r->word);
    if (mine) state_finish(&r->word, LIFE_CANCELLED, false);
    return (uint64_t)mine << 1 | state_release(&r->word);
}
static uint64_t start_or_drop(struct round *r) {
    if (state_start(&r->word, 3))
        return 2 | (state_finish(&r->word, LIFE_FINISHED, true) == AFTER_LAST);
    return state_release(&r->word);
}

/* The whole life, by who holds the future and who holds its entry: it ends once, and is freed once. */
Test(future_state_race, cancel_and_release_with_start_and_finish) {
    struct race race = run_race(pending, start_or_drop, cancel_and_release);
    for (int i = 0; i < race.n; i++) {
        struct round *r = &race.rounds[i];
        cr_assert_eq((r->got[0] >> 1) + (r->got[1] >> 1), 1, "round %d: one ends it", i);
        cr_assert_eq((r->got[0] & 1) + (r->got[1] & 1), 1, "round %d: one frees it", i);
    }
    free(race.rounds);
}
