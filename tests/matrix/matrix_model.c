/* matrix_model.c: see matrix.h: which combinations there are, and the contract for one future.
 *
 * Source: api.md's states and rules; nothing here is read off the library.
 *
 * SPDX-License-Identifier: MIT */
#include "matrix.h"

#include <stdio.h>

const struct ending endings[ENDINGS] = {
    {"a queued task returns 0", SUBJECT_QUEUED, ACT_END, 0, NULL},
    {"a queued task returns 5", SUBJECT_QUEUED, ACT_END, 5, NULL},
    {"a queued task fails with a text", SUBJECT_QUEUED, ACT_END, 6, "six of one"},
    {"a queued task returns ECANCELED", SUBJECT_QUEUED, ACT_END, FILCH_ECANCELED, NULL},
    {"a queued task returns no code", SUBJECT_QUEUED, ACT_END, -9999, NULL},
    {"a queued task is cancelled", SUBJECT_QUEUED, ACT_CANCEL, 0, NULL},
    {"a queued task is asked to end", SUBJECT_QUEUED, ACT_REQUEST, 0, NULL},
    {"shutdown cancels a queued task", SUBJECT_QUEUED, ACT_SHUTDOWN, 0, NULL},
    {"a started task returns 0", SUBJECT_STARTED, ACT_END, 0, NULL},
    {"a started task returns 5", SUBJECT_STARTED, ACT_END, 5, NULL},
    {"a started task fails with a text", SUBJECT_STARTED, ACT_END, 6, "half a dozen"},
    {"a started task returns ECANCELED", SUBJECT_STARTED, ACT_END, FILCH_ECANCELED, NULL},
    {"a started task returns no code", SUBJECT_STARTED, ACT_END, -9999, NULL},
    {"a started task is not cancelled", SUBJECT_STARTED, ACT_CANCEL, 0, NULL},
    {"a started task is asked to end", SUBJECT_STARTED, ACT_REQUEST, 9, NULL},
    {"shutdown leaves a started task", SUBJECT_STARTED, ACT_SHUTDOWN, 0, NULL},
    {"a promise is set", SUBJECT_PROMISE, ACT_END, 0, NULL},
    {"a promise fails with a text", SUBJECT_PROMISE, ACT_END, 3, "three is a crowd"},
    {"a promise fails with a code", SUBJECT_PROMISE, ACT_END, FILCH_EBROKEN, NULL},
    {"a promise is cancelled", SUBJECT_PROMISE, ACT_CANCEL, 0, NULL},
    {"a promise is asked to end", SUBJECT_PROMISE, ACT_REQUEST, 0, NULL},
    {"a promise is abandoned", SUBJECT_PROMISE, ACT_ABANDON, 0, NULL},
    {"a started promise is set", SUBJECT_BEGUN, ACT_END, 0, NULL},
    {"a started promise is not cancelled", SUBJECT_BEGUN, ACT_CANCEL, 0, NULL},
    {"a started promise is asked to end", SUBJECT_BEGUN, ACT_REQUEST, 9, NULL},
    {"a started promise is abandoned", SUBJECT_BEGUN, ACT_ABANDON, 0, NULL},
};

const enum step orders[ORDERS][STEPS] = {
    {STEP_WATCH, STEP_END, STEP_DROP}, {STEP_WATCH, STEP_DROP, STEP_END},
    {STEP_END, STEP_WATCH, STEP_DROP}, {STEP_END, STEP_DROP, STEP_WATCH},
    {STEP_DROP, STEP_WATCH, STEP_END}, {STEP_DROP, STEP_END, STEP_WATCH},
};
const size_t sizes[SIZES] = {0, 8, RESULT_MOST};

/* Combinations ------------------------------------------------------------------------------------- */

bool is_task(const struct combination *c) {
    return c->ending->subject == SUBJECT_QUEUED || c->ending->subject == SUBJECT_STARTED;
}

bool is_before(const struct combination *c, enum step first, enum step second) {
    for (int i = 0; i < STEPS; i++)
        if (c->order[i] == first || c->order[i] == second) return c->order[i] == first;
    return false;
}

bool is_callback(enum watch watch) {
    return watch == WATCH_CALLBACK || watch == WATCH_TWO_CALLBACKS ||
           watch == WATCH_CALLBACK_IN_CALLBACK;
}

bool is_blocking(enum watch watch) {
    return watch >= WATCH_RESULT && watch < WATCH_CALLBACK && watch != WATCH_POLL &&
           watch != WATCH_TIMED;
}

/* Does a watcher in a task of the same executor run the queued task itself? */
static bool runs_it(enum watch watch) {
    return is_blocking(watch) || watch == WATCH_TIMED;
}

/* A promise that nobody ends: whoever waits for it, waits; what is made of it keeps it (combine.h). */
static bool can_be_abandoned(const struct combination *c) {
    bool watched = c->watch == WATCH_NOBODY || c->watch == WATCH_POLL || c->watch == WATCH_TIMED ||
                   is_callback(c->watch);
    return watched && c->actor == ACTOR_MAIN && c->order[STEPS - 1] == STEP_END &&
           c->drop != DROP_IN_CALLBACK;
}

/* A watcher that needs a worker of the executor itself. */
static bool has_a_worker(const struct combination *c) {
    bool before = is_before(c, STEP_WATCH, STEP_END);
    if (!before) return c->ending->act != ACT_SHUTDOWN;
    if (c->ending->subject == SUBJECT_STARTED) return c->workers > 1;
    if (c->ending->subject != SUBJECT_QUEUED || !runs_it(c->watch)) return true;
    return c->ending->act == ACT_END && c->watch != WATCH_TIMED;
}

/* What has no meaning in a combination has its first value only. */
static bool is_canonical(const struct combination *c) {
    if (c->watch == WATCH_NOBODY && (c->place != PLACE_OUTSIDE || c->order[0] != STEP_WATCH))
        return false;
    if (c->drop == DROP_IN_CALLBACK && c->order[STEPS - 1] != STEP_DROP) return false;
    if (is_task(c)) return true;
    return !c->destroys && (c->workers == 1 || c->place == PLACE_SAME);
}

static bool is_possible(const struct combination *c) {
    if (!is_canonical(c)) return false;
    if (c->ending->act == ACT_ABANDON && !can_be_abandoned(c)) return false;
    if (c->place == PLACE_SAME && !has_a_worker(c)) return false;
    /* Later the new future may have begun. */
    return c->watch != WATCH_THEN_CANCELLED || is_before(c, STEP_WATCH, STEP_END);
}

static int digit(int *i, int base) {
    int low = *i % base;
    *i /= base;
    return low;
}

bool combination_of(const struct ending *ending, int i, struct combination *c) {
    c->ending = ending;
    c->watch = (enum watch)digit(&i, WATCHES);
    c->order = orders[digit(&i, ORDERS)];
    c->actor = (enum actor)digit(&i, ACTORS);
    c->drop = (enum drop)digit(&i, DROPS);
    c->place = (enum place)digit(&i, PLACES);
    c->result_size = sizes[digit(&i, SIZES)];
    c->destroys = digit(&i, 2) != 0;
    c->workers = 1 + digit(&i, 2);
    return is_possible(c);
}

const char *describe(const struct combination *c) {
    static const char *const actors[] = {"main", "another thread", "a worker", "a callback"};
    static const char *const watches[] = {"nobody",
                                          "result",
                                          "result_isolated",
                                          "error",
                                          "view",
                                          "poll",
                                          "timed result",
                                          "wait first",
                                          "wait error",
                                          "wait all",
                                          "as_completed",
                                          "a callback",
                                          "two callbacks",
                                          "a callback in one",
                                          "then",
                                          "a cancelled then",
                                          "all",
                                          "any"};
    static const char *const places[] = {"outside", "elsewhere", "same executor"};
    static const char *const steps[] = {"watch", "end", "drop"};
    static const char *const drops[] = {"main", "another thread", "a callback"};
    static _Thread_local char text[300];
    snprintf(text, sizeof text,
             "%s, by %s; watched by %s (%s); dropped by %s; %s, %s, %s; %zu bytes%s, %d workers",
             c->ending->name, actors[c->actor], watches[c->watch], places[c->place], drops[c->drop],
             steps[c->order[0]], steps[c->order[1]], steps[c->order[2]], c->result_size,
             c->destroys ? ", a destructor" : "", c->workers);
    return text;
}

/* The contract ------------------------------------------------------------------------------------- */

void model_begin(struct model *m, enum subject subject) {
    *m = (struct model){.state = FILCH_PENDING};
    if (subject == SUBJECT_STARTED || subject == SUBJECT_BEGUN) m->state = FILCH_RUNNING;
}

bool model_is_done(const struct model *m) {
    return m->state == FILCH_FINISHED || m->state == FILCH_CANCELLED;
}

bool model_cancel(struct model *m) {
    if (m->state == FILCH_PENDING) {
        m->state = FILCH_CANCELLED;
        m->code = FILCH_ECANCELED;
    }
    return m->state == FILCH_CANCELLED;
}

bool model_request_cancel(struct model *m) {
    if (m->state == FILCH_RUNNING) m->requested = true;
    return model_cancel(m) || m->state == FILCH_RUNNING;
}

static void finish(struct model *m, int code, const char *text) {
    m->state = FILCH_FINISHED;
    m->code = code;
    m->text = text;
}

void model_return(struct model *m, int code, const char *text) {
    if (model_is_done(m)) return;
    m->ran = true;
    finish(m, code == -9999 ? FILCH_EINVAL : code, text);
}

int model_start(struct model *m) {
    if (m->state != FILCH_PENDING) return FILCH_ESTATE;
    m->state = FILCH_RUNNING;
    return 0;
}

int model_complete(struct model *m, int code, const char *text) {
    if (model_is_done(m)) return FILCH_ESTATE;
    finish(m, code, text);
    return 0;
}
