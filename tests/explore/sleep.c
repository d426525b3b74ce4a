/* sleep.c: the parker (runtime/os/park.h) and the word that counts workers (runtime/thread/sleep.h) by themselves: what
 * was done before a transition is known to whoever has seen it. The protocol as a whole is in pool.c.
 *
 * SPDX-License-Identifier: MIT */
#include "explorer.h"

#include "os/park.h"
#include "thread/sleep.h"

/* The parker -------------------------------------------------------------------------------------- */

static struct filch__parker parker;
static int of_owner, of_waker; /* plain */
static uint32_t stop;

static void owner(void *unused) {
    (void)unused;
    of_owner = 1;
    filch__park_prepare(&parker);
    bool cancels = explore_choose(2) == 1;
    if (!cancels) filch__park_sleep(&parker);
    if (cancels && filch__park_cancel(&parker))
        store_relaxed(&stop, 1u);
    else
        explore_check(of_waker == 1, "what the waker did before");
}

static void waker(void *unused) {
    (void)unused;
    of_waker = 1;
    while (load_relaxed(&stop) == 0) {
        if (filch__unpark(&parker)) {
            explore_check(of_owner == 1, "what the owner did before");
            return;
        }
        explore_yield();
    }
}

static void park(void) {
    store_relaxed(&parker.word, (uint32_t)FILCH__AWAKE);
    store_relaxed(&stop, 0u);
    of_owner = of_waker = 0;
    explore_spawn(owner, NULL);
    explore_spawn(waker, NULL);
    explore_join();
}

/* The word ---------------------------------------------------------------------------------------- */

static struct filch__sleep sleep_word;
static int of_first; /* plain */
static int has_changed;

/* Without instrumentation: in which order the transitions were executed. There is no switch between the end of one
 * and these. */
__attribute__((no_sanitize_thread)) static void note_change(void) {
    *(volatile int *)&has_changed = 1;
}
__attribute__((no_sanitize_thread)) static bool is_changed(void) {
    return *(volatile int *)&has_changed != 0;
}

enum transition { BLOCK, WANT, SEARCH, LEAVE, CLOSE, RETIRE, START_FIRST, START_IN_VAIN };

/* From where, and what each of the two does. */
struct setting {
    uint64_t word;
    unsigned first_count, second_count;
    enum transition first[5], second[5];
};
static const struct setting settings[] = {
    {2 * STARTED_ONE + SLEEPING_ONE,
     5,
     5,
     {BLOCK, WANT, SEARCH, LEAVE, CLOSE},
     {BLOCK, WANT, SEARCH, LEAVE, CLOSE}},
    /* More are awake than may be. */
    {6 * STARTED_ONE, 2, 2, {RETIRE, BLOCK}, {RETIRE, BLOCK}},
    /* The first worker. */
    {0, 3, 2, {START_FIRST, CLOSE, START_IN_VAIN}, {START_FIRST, CLOSE}},
};
static const struct setting *setting;

/* False: it has found nothing to do. */
static bool change(enum transition which) {
    struct filch__sleep *s = &sleep_word;
    switch (which) {
    case BLOCK: sleep_block(s); return true;
    case WANT: return sleep_want_worker(s, true) == WAKE_SLEEPER;
    case SEARCH: return sleep_try_search(s);
    case LEAVE: sleep_leave(s); return true;
    case CLOSE: sleep_close(s); return true;
    case RETIRE: return sleep_retire(s);
    case START_FIRST: return sleep_start_first(s);
    default:
        if (!sleep_start_first(s)) return false;
        (void)sleep_start_failed(s);
        return true;
    }
}

static void first(void *unused) {
    (void)unused;
    of_first = 1;
    if (change(setting->first[explore_choose(setting->first_count)])) note_change();
}
static void second(void *unused) {
    (void)unused;
    unsigned which = explore_choose(setting->second_count + 1);
    if (which == setting->second_count) {
        /* A look: the word says whether it has seen the other's block. */
        if (sleep_count(sleep_read(&sleep_word), BLOCKED_ONE) == 1)
            explore_check(of_first == 1, "what was done before a change that is seen");
    } else if (change(setting->second[which]) && is_changed()) {
        explore_check(of_first == 1, "what was done before the last change");
    }
}

static void word(void) {
    setting = &settings[explore_choose(sizeof settings / sizeof *settings)];
    sleep_word.max = sleep_word.limit = sleep_word.searchers = 4;
    store_relaxed(&sleep_word.word, setting->word);
    of_first = has_changed = 0;
    explore_spawn(first, NULL);
    explore_spawn(second, NULL);
    explore_join();
}

const struct explore_scenario sleep_scenarios[] = {
    {"sleep_park", park, 3, 2, NULL}, {"sleep_word", word, 3, 2, NULL}, {NULL, NULL, 0, 0, NULL}};
