/* sleep_test.c: who is awake (thread/sleep.h) and that no wake-up is lost (thread/README.md, sleep).
 *
 * Three parts: each transition against a model of its comment, from every small state; all
 * interleavings of a few workers and producers that make the steps P1 to P4 and W1 to W5 with those
 * transitions; and executors that are brought into the windows in which a wake-up could be lost.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "os/fault.h"
#include "os/park.h"
#include "reclaim/reclaim.h"
#include "support.h"
#include "thread/pool.h"
#include "thread/sleep.h"
#include <criterion/criterion.h>
#include <filch.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

TestSuite(sleep_word, .timeout = 20);
TestSuite(sleep_explored, .timeout = 30);
TestSuite(sleep_executor, .timeout = 20);

/* The word ------------------------------------------------------------------------------------- */

struct crew {
    int searching, sleeping, blocked, started;
    bool waking, closing;
    int max, limit, searchers;
};

static int awake_of(struct crew c) {
    return c.started - c.sleeping - c.blocked;
}

static uint64_t word_of(struct crew c) {
    return (uint64_t)c.searching | (uint64_t)c.sleeping << 14 | (uint64_t)c.blocked << 28 |
           (uint64_t)c.started << 42 | (uint64_t)c.waking << 56 | (uint64_t)c.closing << 57;
}

static struct filch__sleep sleep_of(struct crew c) {
    struct filch__sleep s;
    memset(&s, 0, sizeof s);
    s.word = word_of(c);
    s.max = (uint32_t)c.max;
    s.limit = (uint32_t)c.limit;
    s.searchers = (uint32_t)c.searchers;
    return s;
}

/* Calls check with every state of up to four workers that keeps 1 and 2 of sleep.h. */
static void for_each_crew(void (*check)(struct crew c)) {
    for (int started = 0; started <= 4; started++)
        for (int searching = 0; searching <= started; searching++)
            for (int sleeping = 0; searching + sleeping <= started; sleeping++)
                for (int blocked = 0; searching + sleeping + blocked <= started; blocked++)
                    for (int flags = 0; flags < 4; flags++)
                        for (int max = 1; max <= 4; max++)
                            for (int limit = max > started ? max : started; limit <= 5; limit++)
                                for (int searchers = 1; searchers <= 3; searchers++) {
                                    if ((flags & 1) != 0 && sleeping == 0) continue;
                                    check((struct crew){searching, sleeping, blocked, started,
                                                        (flags & 1) != 0, (flags & 2) != 0, max,
                                                        limit, searchers});
                                }
}

#define assert_becomes(s, c) cr_assert_eq((s).word, word_of(c), "%#lx", (unsigned long)(s).word)

static void check_counts(struct crew c) {
    uint64_t word = word_of(c);
    cr_assert_eq(sleep_count(word, SEARCHING_ONE), (uint32_t)c.searching);
    cr_assert_eq(sleep_count(word, SLEEPING_ONE), (uint32_t)c.sleeping);
    cr_assert_eq(sleep_count(word, BLOCKED_ONE), (uint32_t)c.blocked);
    cr_assert_eq(sleep_count(word, STARTED_ONE), (uint32_t)c.started);
    cr_assert_eq((int)sleep_awake(word), awake_of(c));
    struct filch__sleep s = sleep_of(c);
    cr_assert_eq(sleep_read(&s), word);
}

Test(sleep_word, counts_are_apart) {
    for_each_crew(check_counts);
    /* 4096 workers and 4096 spares fit. */
    cr_assert_geq(SLEEP_COUNT_MAX, 8192);
    struct crew most = {.searching = 16383, .sleeping = 16383, .blocked = 16383, .started = 16383};
    cr_assert_eq(sleep_count(word_of(most), BLOCKED_ONE), 16383);
    cr_assert_eq(sleep_count(word_of(most), STARTED_ONE), 16383);
    cr_assert_eq(word_of(most) & (WAKING_BIT | CLOSING_BIT), 0);
}

static void check_want(struct crew c) {
    for (int may_start = 0; may_start < 2; may_start++) {
        struct filch__sleep s = sleep_of(c);
        struct crew after = c;
        enum filch__wake expected = WAKE_NOBODY;
        if (c.searching == 0 && !c.waking && awake_of(c) < c.max) {
            if (c.sleeping > 0)
                expected = WAKE_SLEEPER;
            else if (may_start && c.started < c.limit && !(c.closing && c.started == 0))
                expected = WAKE_START;
        }
        if (c.searching == 0 && c.waking && c.sleeping > 1 && awake_of(c) + 1 < c.max)
            expected = WAKE_ANOTHER;
        cr_assert(sleep_wants_worker(&s) || expected == WAKE_NOBODY);
        if (expected == WAKE_SLEEPER) after.waking = true;
        if (expected == WAKE_START) after.started++, after.searching++;
        cr_assert_eq(sleep_want_worker(&s, may_start != 0), expected);
        assert_becomes(s, after);
    }
}

Test(sleep_word, want_worker) {
    for_each_crew(check_want);
}

static void check_start(struct crew c) {
    struct filch__sleep s = sleep_of(c);
    bool expected = c.started == 0 && !c.closing;
    cr_assert_eq(sleep_start_first(&s), expected);
    if (!expected) {
        assert_becomes(s, c);
        return;
    }
    cr_assert_eq(sleep_count(s.word, STARTED_ONE), 1);
    cr_assert_eq(sleep_count(s.word, SEARCHING_ONE), 1);
    cr_assert_eq(sleep_start_failed(&s), word_of(c));
    assert_becomes(s, c);
}

Test(sleep_word, start_first_and_start_failed) {
    for_each_crew(check_start);
}

static void check_try_search(struct crew c) {
    struct filch__sleep s = sleep_of(c);
    bool expected = c.searching < c.searchers;
    cr_assert_eq(sleep_try_search(&s), expected);
    if (expected) c.searching++;
    assert_becomes(s, c);
}

Test(sleep_word, try_search) {
    for_each_crew(check_try_search);
}

static void check_found(struct crew c) {
    if (c.searching == 0) return;
    struct filch__sleep s = sleep_of(c);
    bool last = c.searching == 1 && awake_of(c) < c.max && (c.sleeping > 0 || c.started < c.limit);
    cr_assert_eq(sleep_found(&s), last);
    c.searching--;
    assert_becomes(s, c);
}

Test(sleep_word, found) {
    for_each_crew(check_found);
}

static void check_announce_and_leave(struct crew c) {
    int busy = awake_of(c) - c.searching;
    for (int searching = 0; searching < 2; searching++) {
        if (searching ? c.searching == 0 : busy == 0) continue;
        struct filch__sleep s = sleep_of(c);
        struct crew after = c;
        after.sleeping++;
        if (searching) after.searching--;
        sleep_announce(&s, searching != 0);
        assert_becomes(s, after);
    }
    if (c.sleeping == 0) return;
    struct filch__sleep s = sleep_of(c);
    enum filch__leave expected = awake_of(c) < c.max ? LEAVE_SEARCHING
                                 : c.closing         ? LEAVE_GONE
                                                     : LEAVE_NOT;
    cr_assert_eq(sleep_leave(&s), expected);
    c.waking = false;
    if (expected != LEAVE_NOT) c.sleeping--;
    if (expected == LEAVE_SEARCHING) c.searching++;
    if (expected == LEAVE_GONE) c.started--;
    assert_becomes(s, c);
}

Test(sleep_word, announce_and_leave) {
    for_each_crew(check_announce_and_leave);
}

static void check_retire(struct crew c) {
    if (awake_of(c) - c.searching == 0) return;
    struct filch__sleep s = sleep_of(c);
    bool expected = awake_of(c) > c.max;
    cr_assert_eq(sleep_retire(&s), expected);
    if (expected) c.sleeping++;
    assert_becomes(s, c);
}

Test(sleep_word, retire) {
    for_each_crew(check_retire);
}

static void check_block(struct crew c) {
    if (awake_of(c) - c.searching == 0) return;
    struct filch__sleep s = sleep_of(c);
    struct crew after = c;
    after.blocked++;
    sleep_block(&s);
    assert_becomes(s, after);
    cr_assert_eq(sleep_unblock(&s), word_of(c));
    assert_becomes(s, c);
}

Test(sleep_word, block_and_unblock) {
    for_each_crew(check_block);
}

static void check_close_and_exit(struct crew c) {
    struct filch__sleep s = sleep_of(c);
    cr_assert_eq(sleep_close(&s), word_of(c));
    c.closing = true;
    assert_becomes(s, c);
    if (c.searching == 0) return;
    c.searching--;
    c.started--;
    cr_assert_eq(sleep_exit(&s), word_of(c));
    assert_becomes(s, c);
}

Test(sleep_word, close_and_exit) {
    for_each_crew(check_close_and_exit);
}

/* All interleavings ---------------------------------------------------------------------------- */

/* Workers and producers as state machines. One step is one atomic operation of the shipped protocol; the
 * order of operations is that of idle.c, block.c and crew.c, and memory is sequentially consistent, as
 * the fences S1 and S2 make it where it matters. What is explored is therefore the argument of the
 * README with the transitions of sleep.h, not the code around them. */
enum at {
    GONE,       /* worker: no thread */
    NEXT,       /* not searching: one look */
    LOOK,       /* W1 */
    FOUND,      /* W4: leave SEARCHING */
    SEES,       /* W4: the last searcher looks again */
    RUN,        /* runs a task */
    PREPARE,    /* W2: parker */
    ANNOUNCE,   /* W2: word */
    RECHECK,    /* W3: the word */
    LOOK_AGAIN, /* W3: the queues */
    CANCEL,     /* W3: there is something to do */
    PARK,       /* W3 */
    LEAVE,      /* W5 */
    REMAIN,     /* W5: max are awake, the sleep goes on */
    RETIRE,     /* parker prepared: is one too many awake? */
    STAY,       /* no: take the parker back */
    FREE,       /* before its sleep, replaced rings are to be freed: leave SEARCHING */
    FREE_SEES,  /* the last searcher looks again */
    FREEING,    /* counts as BLOCKED from here on */
    FREE_LOOK,  /* looks for work that somebody else is to do meanwhile */
    FREED,      /* the grace period is over */
    BLOCK,      /* in a task: counted as BLOCKED, looks for work */
    BLOCKED,    /* parked in a task, until all tasks have started */
    PUBLISH,    /* producer, P1 */
    DONE,       /* producer */
    DECIDE,     /* P3 */
    UNPARK,     /* P4 */
    START,      /* a thread is started, or cannot be */
    GIVE_UP,    /* it could not: is there work that relied on it? */
    DECIDE_NOW  /* P3, without another start */
};

enum { WORKERS_MAX = 3, ACTORS_MAX = 5, TASKS_MAX = 7 };

struct actor {
    uint8_t at, back; /* back: where to go on after a tell */
    uint8_t scan;
    bool searching, parked, counted, blocked; /* counted: as SLEEPING */
};

struct state {
    uint64_t word;
    uint8_t queued, to_publish, fails, blocks;
    struct actor actors[ACTORS_MAX];
    uint8_t unused;
};

struct scenario {
    int workers, producers; /* workers: the limit */
    int tasks, max, searchers;
    int fails;   /* starts that may fail */
    int blocks;  /* times that a worker may block: in a task, or to free replaced rings */
    bool greedy; /* a task ends only when all tasks have started */
};

struct exploration {
    struct scenario scenario;
    struct state *states; /* all that were seen, in the order of discovery */
    size_t count, capacity;
    uint32_t *table; /* hash table of indices + 1 */
    size_t table_size;
    size_t ends;
    const char *wrong;
};

static size_t hash_of(const struct state *s) {
    const unsigned char *bytes = (const unsigned char *)s;
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < sizeof *s; i += 8) {
        uint64_t part;
        memcpy(&part, bytes + i, 8);
        hash = (hash ^ part) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    return (size_t)hash;
}

static void table_put(struct exploration *x, size_t index) {
    size_t at = hash_of(&x->states[index]) & (x->table_size - 1);
    while (x->table[at] != 0) at = (at + 1) & (x->table_size - 1);
    x->table[at] = (uint32_t)index + 1;
}

static void enlarge(struct exploration *x) {
    x->capacity = x->capacity == 0 ? 4096 : 2 * x->capacity;
    x->table_size = 4 * x->capacity;
    x->states = realloc(x->states, x->capacity * sizeof *x->states);
    free(x->table);
    x->table = calloc(x->table_size, sizeof *x->table);
    if (x->states == NULL || x->table == NULL) abort();
    for (size_t i = 0; i < x->count; i++) table_put(x, i);
}

static void remember(struct exploration *x, const struct state *s) {
    if (x->count == x->capacity) enlarge(x);
    size_t at = hash_of(s) & (x->table_size - 1);
    for (; x->table[at] != 0; at = (at + 1) & (x->table_size - 1))
        if (memcmp(&x->states[x->table[at] - 1], s, sizeof *s) == 0) return;
    x->states[x->count] = *s;
    x->table[at] = (uint32_t)++x->count;
}

static struct filch__sleep sleep_in(const struct exploration *x, const struct state *s) {
    struct filch__sleep sleep;
    memset(&sleep, 0, sizeof sleep);
    sleep.word = s->word;
    sleep.max = (uint32_t)x->scenario.max;
    sleep.limit = (uint32_t)x->scenario.workers;
    sleep.searchers = (uint32_t)x->scenario.searchers;
    return sleep;
}

/* P3: where the actor goes. */
static uint8_t decide(struct filch__sleep *sleep, struct actor *a, bool may_start) {
    a->scan = 0;
    switch (sleep_want_worker(sleep, may_start)) {
    case WAKE_SLEEPER:
    case WAKE_ANOTHER: return UNPARK;
    case WAKE_START: return START;
    default: return a->back;
    }
}

/* One step of the crew's side, or of a producer. */
static void step_telling(struct exploration *x, struct state *s, struct actor *a,
                         struct filch__sleep *sleep) {
    switch (a->at) {
    case PUBLISH:
        s->queued++;
        s->to_publish--;
        a->back = s->to_publish > 0 ? PUBLISH : DONE;
        a->at = DECIDE;
        break;
    case DECIDE: a->at = decide(sleep, a, true); break;
    case DECIDE_NOW: a->at = decide(sleep, a, false); break;
    case UNPARK:
        if (a->scan == x->scenario.workers) {
            a->at = a->back;
        } else if (s->actors[a->scan].parked) {
            s->actors[a->scan].parked = false;
            a->at = a->back;
        } else {
            a->scan++;
        }
        break;
    case START:
        for (int i = 0; i < x->scenario.workers; i++) {
            if (s->actors[i].at != GONE) continue;
            s->actors[i].at = LOOK;
            s->actors[i].searching = true;
            a->at = a->back;
            return;
        }
        x->wrong = "a worker was to be started and all have been";
        break;
    case GIVE_UP: a->at = s->queued > 0 ? DECIDE_NOW : a->back; break;
    default: break;
    }
}

static void step_sleeping(struct state *s, struct actor *a, struct filch__sleep *sleep) {
    switch (a->at) {
    case PREPARE:
        a->parked = true;
        a->at = ANNOUNCE;
        break;
    case ANNOUNCE:
        sleep_announce(sleep, a->searching);
        a->searching = false;
        a->counted = true;
        a->at = RECHECK;
        break;
    case RECHECK:
        if ((sleep_read(sleep) & WAKING_BIT) != 0)
            a->at = CANCEL;
        else
            a->at = sleep_awake(sleep_read(sleep)) < sleep->max ? LOOK_AGAIN : PARK;
        break;
    case LOOK_AGAIN: a->at = s->queued > 0 ? CANCEL : PARK; break;
    case CANCEL:
        a->parked = false;
        a->at = LEAVE;
        break;
    case PARK: a->at = LEAVE; break;
    case LEAVE:
        a->searching = sleep_leave(sleep) == LEAVE_SEARCHING;
        a->counted = !a->searching;
        a->at = a->searching ? LOOK : REMAIN;
        break;
    case REMAIN:
        a->parked = true;
        a->at = RECHECK;
        break;
    case RETIRE:
        a->counted = sleep_retire(sleep);
        a->at = a->counted ? RECHECK : STAY;
        break;
    case STAY:
        a->at = a->parked ? NEXT : UNPARK;
        a->back = NEXT;
        a->scan = 0;
        a->parked = false;
        break;
    default: break;
    }
}

static void step_freeing(struct state *s, struct actor *a, struct filch__sleep *sleep) {
    bool last;
    switch (a->at) {
    case FREE:
        last = a->searching && sleep_found(sleep);
        a->searching = false;
        a->at = last ? FREE_SEES : FREEING;
        break;
    case FREE_SEES:
        a->back = FREEING;
        a->at = s->queued > 0 ? DECIDE : FREEING;
        break;
    case FREEING:
        sleep_block(sleep);
        a->blocked = true;
        a->at = FREE_LOOK;
        break;
    case FREE_LOOK:
        a->back = FREED;
        a->at = s->queued > 0 ? DECIDE : FREED;
        break;
    case FREED:
        sleep_unblock(sleep);
        a->blocked = false;
        a->at = PREPARE;
        break;
    default: break;
    }
}

static void step_working(struct state *s, struct actor *a, struct filch__sleep *sleep) {
    switch (a->at) {
    case NEXT:
        if (s->queued > 0) {
            s->queued--;
            a->at = RUN;
        } else {
            a->searching = sleep_try_search(sleep);
            a->at = LOOK;
        }
        break;
    case LOOK:
        if (s->queued > 0) {
            s->queued--;
            a->at = a->searching ? FOUND : RUN;
        } else {
            a->at = PREPARE;
        }
        break;
    case FOUND:
        a->searching = false;
        a->at = sleep_found(sleep) ? SEES : RUN;
        break;
    case SEES:
        a->back = RUN;
        a->at = s->queued > 0 ? DECIDE : RUN;
        break;
    case RUN: /* its end; then `retire_if_too_many` begins */
        if (s->queued == 0) a->searching = sleep_try_search(sleep);
        a->parked = !a->searching;
        a->at = a->searching ? LOOK : RETIRE;
        break;
    case BLOCK:
        a->back = BLOCKED;
        a->at = s->queued > 0 ? DECIDE : BLOCKED;
        break;
    case BLOCKED:
        sleep_unblock(sleep);
        a->blocked = false;
        a->at = RUN;
        break;
    default: break;
    }
}

static bool can_step(const struct exploration *x, const struct state *s, const struct actor *a) {
    bool all_started = s->queued == 0 && s->to_publish == 0;
    switch (a->at) {
    case GONE:
    case DONE: return false;
    case PARK: return !a->parked;
    case RUN: return !x->scenario.greedy || all_started;
    case BLOCKED: return all_started;
    case PUBLISH: return s->to_publish > 0;
    default: return true;
    }
}

static void check_counted(struct exploration *x, const struct state *s) {
    uint32_t searching = 0, sleeping = 0, blocked = 0, started = 0;
    for (int i = 0; i < x->scenario.workers; i++) {
        const struct actor *a = &s->actors[i];
        searching += a->searching;
        sleeping += a->counted;
        blocked += a->blocked;
        started += a->at != GONE;
        if ((s->word & WAKING_BIT) != 0 && sleep_count(s->word, SLEEPING_ONE) == 0)
            x->wrong = "WAKING without a sleeper";
    }
    /* A start that is decided on and not yet made is counted in advance. */
    for (int i = 0; i < ACTORS_MAX; i++) {
        if (s->actors[i].at != START) continue;
        searching++;
        started++;
    }
    if (searching != sleep_count(s->word, SEARCHING_ONE) ||
        sleeping != sleep_count(s->word, SLEEPING_ONE) ||
        blocked != sleep_count(s->word, BLOCKED_ONE) ||
        started != sleep_count(s->word, STARTED_ONE))
        x->wrong = "the word does not count what the workers do";
    if (x->scenario.blocks == 0 && sleep_awake(s->word) > (uint32_t)x->scenario.max)
        x->wrong = "more than max are awake, and none has been blocked";
}

/* Nobody can do anything any more: is there work that somebody should do? */
static void check_end(struct exploration *x, const struct state *s) {
    int running = 0, blocked = 0;
    for (int i = 0; i < x->scenario.workers; i++) {
        running += s->actors[i].at == RUN;
        blocked += s->actors[i].at == BLOCKED;
    }
    x->ends++;
    if (s->queued > 0 && running < x->scenario.max && running + blocked < x->scenario.workers)
        x->wrong = "a task is queued, and nobody will start it";
    if ((s->word & WAKING_BIT) != 0) x->wrong = "WAKING is set for ever";
}

/* States that differ only in what is never read again, or in which producer is which, are one. */
static void normalise(struct state *s) {
    for (int i = 0; i < ACTORS_MAX; i++) {
        struct actor *a = &s->actors[i];
        if (a->at < DECIDE) a->back = 0;
        if (a->at != UNPARK) a->scan = 0;
    }
    struct actor *first = &s->actors[WORKERS_MAX], *second = first + 1, swapped = *first;
    if (memcmp(first, second, sizeof *first) <= 0) return;
    *first = *second;
    *second = swapped;
}

static void make_step(struct exploration *x, const struct state *from, int i, int choice) {
    struct state s = *from;
    struct actor *a = &s.actors[i];
    struct filch__sleep sleep = sleep_in(x, &s);
    if (choice == 1 && a->at == START) {
        s.fails--;
        sleep_start_failed(&sleep);
        a->at = GIVE_UP;
    } else if (choice == 1 && a->at == RUN) {
        s.blocks--;
        sleep_block(&sleep);
        a->blocked = true;
        a->at = BLOCK;
    } else if (choice == 1) { /* at PREPARE */
        s.blocks--;
        a->at = FREE;
    } else if (a->at >= PUBLISH) {
        step_telling(x, &s, a, &sleep);
    } else if (a->at >= PREPARE && a->at <= STAY) {
        step_sleeping(&s, a, &sleep);
    } else if (a->at >= FREE && a->at <= FREED) {
        step_freeing(&s, a, &sleep);
    } else {
        step_working(&s, a, &sleep);
    }
    s.word = sleep.word;
    normalise(&s);
    remember(x, &s);
}

static bool expand(struct exploration *x, size_t index) {
    struct state s = x->states[index];
    bool moved = false;
    check_counted(x, &s);
    for (int i = 0; i < ACTORS_MAX; i++) {
        if (can_step(x, &s, &s.actors[i])) {
            make_step(x, &s, i, 0);
            moved = true;
        }
        if ((s.actors[i].at == START && s.fails > 0) ||
            ((s.actors[i].at == RUN || s.actors[i].at == PREPARE) && s.blocks > 0)) {
            make_step(x, &s, i, 1);
            moved = true;
        }
    }
    if (!moved) check_end(x, &s);
    return x->wrong == NULL;
}

/* From one worker that searches, through all that can happen. */
static void explore(struct scenario scenario) {
    struct exploration x = {.scenario = scenario};
    struct state first;
    memset(&first, 0, sizeof first);
    first.word = STARTED_ONE + SEARCHING_ONE;
    first.to_publish = (uint8_t)scenario.tasks;
    first.fails = (uint8_t)scenario.fails;
    first.blocks = (uint8_t)scenario.blocks;
    first.actors[0].at = LOOK;
    first.actors[0].searching = true;
    for (int i = WORKERS_MAX; i < ACTORS_MAX; i++)
        first.actors[i].at = i - WORKERS_MAX < scenario.producers ? PUBLISH : DONE;
    remember(&x, &first);
    for (size_t i = 0; i < x.count && expand(&x, i); i++) continue;
    cr_assert_null(x.wrong, "%s (of %zu states)", x.wrong, x.count);
    cr_assert_gt(x.ends, 0);
    free(x.states);
    free(x.table);
}

/* Some of the explorations take seconds; the others together take tenths of one. */
static bool has_time(void) {
    return stress(1) >= 10;
}

Test(sleep_explored, one_worker_is_always_told) {
    explore((struct scenario){.workers = 1, .producers = 2, .tasks = 5, .max = 1, .searchers = 1});
}

Test(sleep_explored, two_workers_and_two_producers) {
    explore((struct scenario){.workers = 2, .producers = 2, .tasks = 3, .max = 2, .searchers = 2});
    explore((struct scenario){.workers = 2, .producers = 2, .tasks = 3, .max = 2, .searchers = 1});
    if (!has_time()) return;
    explore((struct scenario){.workers = 3, .producers = 2, .tasks = 4, .max = 3, .searchers = 2});
}

Test(sleep_explored, tasks_that_need_each_other_get_a_worker_each) {
    explore((struct scenario){
        .workers = 2, .producers = 2, .tasks = 3, .max = 2, .searchers = 1, .greedy = true});
    explore((struct scenario){
        .workers = 3, .producers = 1, .tasks = 3, .max = 3, .searchers = 2, .greedy = true});
    explore((struct scenario){
        .workers = 3, .producers = 2, .tasks = 4, .max = 3, .searchers = 2, .greedy = true});
}

Test(sleep_explored, spare_takes_the_place_of_a_blocked_worker) {
    explore((struct scenario){
        .workers = 2, .producers = 1, .tasks = 3, .max = 1, .searchers = 1, .blocks = 2});
    explore((struct scenario){.workers = 2,
                              .producers = 2,
                              .tasks = 3,
                              .max = 1,
                              .searchers = 1,
                              .blocks = 1,
                              .greedy = true});
    if (!has_time()) return;
    explore((struct scenario){.workers = 3,
                              .producers = 2,
                              .tasks = 4,
                              .max = 2,
                              .searchers = 1,
                              .blocks = 2,
                              .greedy = true});
}

Test(sleep_explored, thread_that_does_not_start_leaves_no_task_behind) {
    explore((struct scenario){
        .workers = 2, .producers = 2, .tasks = 3, .max = 2, .searchers = 1, .fails = 2});
    if (!has_time()) return;
    explore((struct scenario){
        .workers = 3, .producers = 2, .tasks = 3, .max = 3, .searchers = 2, .fails = 1});
}

/* Executors in the windows --------------------------------------------------------------------- */

static filch_executor *make_executor(int max_workers) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    filch_executor *e = NULL;
    options.max_workers = max_workers;
    options.spin = -1;
    cr_assert_eq(filch_thread_executor(&options, &e), 0);
    return e;
}

static filch_stats stats_of(filch_executor *e) {
    filch_stats stats = FILCH_STATS_INIT;
    cr_assert_eq(filch_executor_stats(e, &stats), 0);
    return stats;
}

static int do_nothing(void *arg, void *result) {
    (void)arg, (void)result;
    return 0;
}

static filch_future *submit_nothing(filch_executor *e) {
    filch_future *f = NULL;
    cr_assert_eq(filch_submit(e, do_nothing, NULL, 0, 0, &f), 0);
    return f;
}

static void await(filch_future *f) {
    cr_assert_eq(filch_future_result(f, NULL, FILCH_FOREVER), 0);
    filch_future_release(f);
}

struct meeting {
    uint32_t here; /* tasks that have started */
    uint32_t expected;
};

static int meet_others(void *arg, void *result) {
    struct meeting *m = *(struct meeting **)arg;
    (void)result;
    fetch_add_acq_rel(&m->here, 1u);
    while (load_acquire(&m->here) < m->expected) sched_yield();
    return 0;
}

static void submit_meeting(filch_executor *e, struct meeting *m, filch_future **f) {
    cr_assert_eq(filch_submit(e, meet_others, &m, sizeof m, 0, f), 0);
}

/* Brings a worker, which counts as SEARCHING, behind its look at the injector and holds it there: it is
 * stopped while it steals an entry of a busy worker, which then takes that entry back. */
struct last_look {
    filch_executor *executor;
    struct stopper stop;
    filch_future *busy;
    uint32_t stopped, taken_back, let_go;
};

static int be_busy(void *arg, void *result) {
    struct last_look *l = *(struct last_look **)arg;
    filch_future *bait = NULL;
    (void)result;
    if (filch_submit(filch_current_executor(), do_nothing, NULL, 0, 0, &bait) != 0) return 1;
    flag_wait(&l->stopped);
    if (filch_future_result(bait, NULL, FILCH_FOREVER) != 0) return 1;
    filch_future_release(bait);
    flag_raise(&l->taken_back);
    flag_wait(&l->let_go);
    return 0;
}

static void hold_at_last_look(struct last_look *l, int max_workers) {
    memset(l, 0, sizeof *l);
    l->executor = make_executor(max_workers);
    stopper_arm(&l->stop, "deque.steal.cas");
    cr_assert_eq(filch_submit(l->executor, be_busy, &l, sizeof l, 0, &l->busy), 0);
    stopper_wait_reached(&l->stop);
    flag_raise(&l->stopped);
    flag_wait(&l->taken_back);
    uint64_t word = sleep_read(&filch__pool_of(l->executor)->sleep);
    cr_assert_eq(sleep_count(word, SEARCHING_ONE), 1);
    cr_assert_eq(sleep_count(word, STARTED_ONE), 2);
}

static void end_last_look(struct last_look *l) {
    flag_raise(&l->let_go);
    await(l->busy);
    cr_assert_eq(filch_executor_destroy(l->executor), 0);
}

/* A producer sees a searcher and tells nobody; the searcher has looked for the last time. It must look
 * once more after it has announced that it sleeps. */
Test(sleep_executor, submit_between_the_last_look_and_the_announcement) {
    struct last_look l;
    hold_at_last_look(&l, 2);
    uint64_t word = sleep_read(&filch__pool_of(l.executor)->sleep);
    filch_future *f = submit_nothing(l.executor);
    cr_assert_eq(sleep_read(&filch__pool_of(l.executor)->sleep), word, "it has told nobody");
    stopper_release(&l.stop);
    await(f);
    end_last_look(&l);
}

/* Tasks that rely on one searcher: it starts the first, and must tell others of the rest. */
Test(sleep_executor, last_searcher_tells_of_what_it_leaves) {
    struct last_look l;
    struct meeting m = {.expected = 3};
    filch_future *f[3];
    hold_at_last_look(&l, 4);
    uint64_t word = sleep_read(&filch__pool_of(l.executor)->sleep);
    for (int i = 0; i < 3; i++) submit_meeting(l.executor, &m, &f[i]);
    cr_assert_eq(sleep_read(&filch__pool_of(l.executor)->sleep), word, "they have told nobody");
    stopper_release(&l.stop);
    for (int i = 0; i < 3; i++) await(f[i]);
    end_last_look(&l);
}

/* So many that the deque of a worker grows far, and its replaced rings are worth freeing. */
enum { CROWD = 40000 };
static int submit_crowd(void *arg, void *result) {
    (void)arg, (void)result;
    for (int i = 0; i < CROWD; i++)
        if (filch_submit(filch_current_executor(), do_nothing, NULL, 0, 0, NULL) != 0) return 1;
    return 0;
}

/* Holds the only worker before its sleep: it frees replaced rings there, for which it waits, counted as
 * BLOCKED, as long as the caller reads (until read_end). */
static filch_executor *hold_in_grace_period(void) {
    filch_executor *e = make_executor(1);
    filch_future *f = NULL;
    filch__reclaim_read_begin();
    cr_assert_eq(filch_submit(e, submit_crowd, NULL, 0, 0, &f), 0);
    await(f);
    while (sleep_count(sleep_read(&filch__pool_of(e)->sleep), BLOCKED_ONE) == 0) sched_yield();
    cr_assert_eq(stats_of(e).completed, CROWD + 1);
    return e;
}

Test(sleep_executor, grace_period_delays_no_task) {
    filch_executor *e = hold_in_grace_period();
    for (int i = 0; i < 3; i++) await(submit_nothing(e));
    filch__reclaim_read_end();
    await(submit_nothing(e));
    cr_assert_eq(filch_executor_destroy(e), 0);
}

/* The worker has looked at `ending` before it began to wait; when it comes back it announces that it sleeps,
 * and must look again. An end is told as work is. */
Test(sleep_executor, shutdown_before_the_announcement) {
    filch_executor *e = hold_in_grace_period();
    cr_assert_eq(filch_executor_shutdown(e, 0), 0);
    filch__reclaim_read_end();
    cr_assert_eq(filch_executor_destroy(e), 0);
}

static void submit_and_await(void *context) {
    filch_future *f = NULL;
    if (filch_submit(context, do_nothing, NULL, 0, 0, &f) == 0)
        filch_future_result(f, NULL, FILCH_FOREVER);
    filch_future_release(f);
}

/* Until every worker is counted as sleeping, and none is on its way. */
static void wait_until_all_sleep(filch_executor *e) {
    uint64_t word;
    do {
        sched_yield();
        word = sleep_read(&filch__pool_of(e)->sleep);
    } while (sleep_awake(word) != 0 || (word & WAKING_BIT) != 0);
}

/* A worker has announced its sleep and not yet looked; work comes. (It may stand there before the first
 * task is queued, since the first submit starts it before.) */
Test(sleep_executor, submit_after_the_announcement) {
    filch_executor *e = make_executor(1);
    struct stopper stop;
    stopper_arm(&stop, "worker.announced");
    filch_future *first = submit_nothing(e);
    stopper_wait_reached(&stop);
    filch_future *second = submit_nothing(e);
    stopper_release(&stop);
    await(first);
    await(second);
    cr_assert_eq(filch_executor_destroy(e), 0);
}

Test(sleep_executor, shutdown_after_the_announcement) {
    filch_executor *e = make_executor(1);
    struct stopper stop;
    stopper_arm(&stop, "worker.announced");
    filch_future *f = submit_nothing(e);
    stopper_wait_reached(&stop);
    cr_assert_eq(filch_executor_shutdown(e, 0), 0);
    stopper_release(&stop);
    await(f);
    cr_assert_eq(filch_executor_destroy(e), 0);
}

/* A producer has reserved the wake-up of the sleeper and is descheduled; another relies on it. */
Test(sleep_executor, producer_that_stops_before_it_unparks) {
    filch_executor *e = make_executor(1);
    struct stopper stop;
    await(submit_nothing(e));
    wait_until_all_sleep(e);
    stopper_arm(&stop, "crew.unpark");
    pthread_t producer = thread_start(submit_and_await, e);
    stopper_wait_reached(&stop);
    cr_assert((sleep_read(&filch__pool_of(e)->sleep) & WAKING_BIT) != 0);
    filch_future *f = submit_nothing(e);
    stopper_release(&stop);
    await(f);
    thread_finish(producer);
    cr_assert_eq(filch_executor_destroy(e), 0);
}

/* A task is in the injector, and its producer has told nobody yet: a worker that goes to sleep finds it. */
Test(sleep_executor, producer_that_stops_before_it_tells) {
    filch_executor *e = make_executor(1);
    struct stopper stop;
    await(submit_nothing(e));
    wait_until_all_sleep(e);
    stopper_arm(&stop, "submit.injected");
    pthread_t producer = thread_start(submit_and_await, e);
    stopper_wait_reached(&stop);
    await(submit_nothing(e));
    while (stats_of(e).completed < 3) sched_yield(); /* the stopped producer's too */
    stopper_release(&stop);
    thread_finish(producer);
    cr_assert_eq(filch_executor_destroy(e), 0);
}

/* A start that fails: a submit has relied on the worker that does not come, since it counts as searching.
 * The only one that can be told is asleep by then. */
Test(sleep_executor, start_that_fails_wakes_a_sleeper_instead) {
    filch_executor *e = make_executor(2);
    struct stopper stop;
    filch_future *first = NULL;
    struct meeting m = {.expected = 2};
    submit_meeting(e, &m, &first); /* keeps the first worker busy */
    while (load_acquire(&m.here) == 0) sched_yield();
    uint64_t parked = stats_of(e).parked;
    filch__fault_plan(FILCH__FAULT_THREAD, 0, true);
    stopper_arm(&stop, "crew.start");
    pthread_t producer = thread_start(submit_and_await, e);
    stopper_wait_reached(&stop);
    fetch_add_acq_rel(&m.here, 1u);
    await(first);
    while (stats_of(e).parked == parked)
        sched_yield(); /* it has run the producer's task, and parks */
    filch_future *second = submit_nothing(e);
    stopper_release(&stop);
    await(second);
    thread_finish(producer);
    cr_assert_geq(filch__fault_clear(), 1);
    cr_assert_eq(stats_of(e).workers_started, 1);
    cr_assert_eq(filch_executor_destroy(e), 0);
}

Test(sleep_executor, first_thread_that_does_not_start_is_an_error) {
    long before = filch__fault_live_blocks();
    filch_executor *e = make_executor(2);
    filch_future *f = NULL;
    filch__fault_plan(FILCH__FAULT_THREAD, 0, true);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(filch_submit(e, do_nothing, NULL, 0, 0, &f), FILCH_EAGAIN);
    cr_assert_null(f);
    cr_assert_eq(filch__fault_clear(), 3);
    await(submit_nothing(e));
    cr_assert_eq(filch_executor_destroy(e), 0);
    cr_assert_eq(filch__fault_live_blocks(), before);
}

/* Spurious returns of the futex end no sleep and lose no task. */
Test(sleep_executor, spurious_wake_ups) {
    filch_executor *e = make_executor(2);
    await(submit_nothing(e));
    wait_until_all_sleep(e);
    filch__fault_plan(FILCH__FAULT_FUTEX, 0, true);
    for (int i = 0; i < 20; i++) {
        await(submit_nothing(e));
        sched_yield();
    }
    filch__fault_clear();
    cr_assert_eq(stats_of(e).completed, 21);
    cr_assert_eq(filch_executor_destroy(e), 0);
}

/* Load ----------------------------------------------------------------------------------------- */

/* Single tasks and small bursts from several threads, so that workers fall asleep and wake all the time.
 * A wake-up that is lost shows as a test that does not end. */
struct storm {
    filch_executor *executor;
    int rounds;
    uint64_t expected;
};

static void storm_thread(int index, void *context) {
    struct storm *s = context;
    filch_future *f[4];
    for (int i = 0; i < s->rounds; i++) {
        int burst = 1 + (i + index) % 4;
        for (int k = 0; k < burst; k++)
            if (filch_submit(s->executor, do_nothing, NULL, 0, 0, &f[k]) != 0) abort();
        for (int k = 0; k < burst; k++) {
            if (filch_future_result(f[k], NULL, FILCH_FOREVER) != 0) abort();
            filch_future_release(f[k]);
        }
        fetch_add_relaxed(&s->expected, (uint64_t)burst);
    }
}

static void run_storm(int producers, int workers) {
    struct storm s = {.executor = make_executor(workers), .rounds = stress(400)};
    run_threads(producers, storm_thread, &s);
    cr_assert_eq(filch_executor_shutdown(s.executor, FILCH_WAIT), 0);
    cr_assert_eq(stats_of(s.executor).completed, s.expected);
    cr_assert_eq(filch_executor_destroy(s.executor), 0);
}

Test(sleep_executor, storm_on_one_worker) {
    run_storm(1, 1);
}

Test(sleep_executor, storm_of_three_on_two_workers) {
    run_storm(3, 2);
}

Test(sleep_executor, storm_of_two_on_eight_workers) {
    run_storm(2, 8);
}

/* Tasks that wait for a task which another worker runs: workers block, spares come, and one too many is
 * awake afterwards and retires. */
static int wait_for_two(void *arg, void *result) {
    filch_future *f[2];
    (void)arg, (void)result;
    for (int i = 0; i < 2; i++)
        if (filch_submit(filch_current_executor(), do_nothing, NULL, 0, 0, &f[i]) != 0) return 1;
    sched_yield();
    int rc = 0;
    for (int i = 0; i < 2; i++) {
        rc |= filch_future_result(f[i], NULL, FILCH_FOREVER);
        filch_future_release(f[i]);
    }
    return rc;
}

/* Waits inside a task for the future of a task that runs elsewhere until it is let go. */
struct hold {
    uint32_t running, let_go;
    filch_future *held;
};

static int hold_on(void *arg, void *result) {
    struct hold *h = *(struct hold **)arg;
    (void)result;
    flag_raise(&h->running);
    flag_wait(&h->let_go);
    return 0;
}

static int wait_for_held(void *arg, void *result) {
    struct hold *h = *(struct hold **)arg;
    (void)result;
    return filch_future_result(h->held, NULL, FILCH_FOREVER);
}

Test(sleep_executor, blocked_workers_are_replaced_and_come_back) {
    filch_executor *e = make_executor(2);
    struct hold hold = {.running = 0}, *h = &hold;
    filch_future *waiting[6], *f[100];
    cr_assert_eq(filch_submit(e, hold_on, &h, sizeof h, 0, &hold.held), 0);
    flag_wait(&hold.running);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(filch_submit(e, wait_for_held, &h, sizeof h, 0, &waiting[i]), 0);
    /* Six wait and one runs; there is still one of two places for others. */
    for (int i = 0; i < 20; i++) await(submit_nothing(e));
    while (sleep_count(sleep_read(&filch__pool_of(e)->sleep), BLOCKED_ONE) < 6) sched_yield();
    flag_raise(&hold.let_go);
    for (int i = 0; i < 100; i++) cr_assert_eq(filch_submit(e, wait_for_two, NULL, 0, 0, &f[i]), 0);
    for (int i = 0; i < 6; i++) await(waiting[i]);
    for (int i = 0; i < 100; i++) await(f[i]);
    await(hold.held);
    cr_assert_eq(filch_executor_shutdown(e, FILCH_WAIT), 0);
    cr_assert_eq(stats_of(e).completed, 1 + 6 + 20 + 300);
    cr_assert_eq(filch_executor_destroy(e), 0);
}

/* Eight workers come back at once where one may be awake: the others go to sleep, and all are still there
 * for what comes. */
Test(sleep_executor, too_many_awake_retire) {
    filch_executor *e = make_executor(1);
    struct hold hold = {.running = 0}, *h = &hold;
    filch_future *waiting[7];
    struct filch__sleep *sleep = &filch__pool_of(e)->sleep;
    for (int round = 0; round < 3; round++) {
        hold.running = hold.let_go = 0;
        /* The held future is of another executor: nobody here can run it. */
        filch_executor *other = make_executor(1);
        cr_assert_eq(filch_submit(other, hold_on, &h, sizeof h, 0, &hold.held), 0);
        for (int i = 0; i < 7; i++)
            cr_assert_eq(filch_submit(e, wait_for_held, &h, sizeof h, 0, &waiting[i]), 0);
        while (sleep_count(sleep_read(sleep), BLOCKED_ONE) < 7) sched_yield();
        flag_raise(&hold.let_go);
        for (int i = 0; i < 7; i++) await(waiting[i]);
        for (int i = 0; i < 50; i++) await(submit_nothing(e));
        while (sleep_awake(sleep_read(sleep)) > 1) sched_yield();
        await(hold.held);
        cr_assert_eq(filch_executor_destroy(other), 0);
    }
    cr_assert_leq(stats_of(e).workers_started, 8);
    cr_assert_eq(filch_executor_destroy(e), 0);
}
