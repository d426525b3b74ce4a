/* matrix.h: the combinations of the future option matrix, and what the contract says of each.
 *
 * A combination is a future, how it ends, who ends it, who watches it where and how, who drops the owner's reference, and
 * the order of these three steps. `struct model` is api.md once more, for one future and one thread: the runner
 * (matrix_test.c) makes each step on the model and on the library, and compares.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_MATRIX_H
#define FILCH_TESTS_MATRIX_H

#include <filch.h>
#include <stdbool.h>
#include <stddef.h>

/* What the future is of when the three steps begin. */
enum subject {
    SUBJECT_QUEUED,  /* a task that no worker can start yet */
    SUBJECT_STARTED, /* a task that runs, and waits for its gate */
    SUBJECT_PROMISE, /* a promise */
    SUBJECT_BEGUN    /* a promise that was started */
};

/* What is done to it; where that does not end it, then it ends with `code`. */
enum act { ACT_END, ACT_CANCEL, ACT_REQUEST, ACT_SHUTDOWN, ACT_ABANDON };

struct ending {
    const char *name;
    enum subject subject;
    enum act act;
    int code; /* what the task returns, or the promise is failed with; 0: success */
    const char *text;
};
enum { ENDINGS = 26 };
extern const struct ending endings[ENDINGS];

/* Who does it. */
enum actor { ACTOR_MAIN, ACTOR_HELPER, ACTOR_WORKER, ACTOR_CALLBACK, ACTORS };

enum watch {
    WATCH_NOBODY,
    WATCH_RESULT,
    WATCH_ISOLATED,
    WATCH_ERROR,
    WATCH_VIEW,
    WATCH_POLL,
    WATCH_TIMED,
    WATCH_FIRST_COMPLETED,
    WATCH_FIRST_ERROR,
    WATCH_ALL_COMPLETED,
    WATCH_AS_COMPLETED,
    WATCH_CALLBACK,
    WATCH_TWO_CALLBACKS,
    WATCH_CALLBACK_IN_CALLBACK,
    WATCH_THEN,
    WATCH_THEN_CANCELLED,
    WATCH_ALL,
    WATCH_ANY,
    WATCHES
};

/* Where it is watched: in a thread of the program; in a task of another executor; of its own executor. */
enum place { PLACE_OUTSIDE, PLACE_ELSEWHERE, PLACE_SAME, PLACES };

/* The order of the steps: watch, end, drop. */
enum step { STEP_WATCH, STEP_END, STEP_DROP, STEPS };
enum { ORDERS = 6 };
extern const enum step orders[ORDERS][STEPS];

/* Who gives the owner's reference back; DROP_IN_CALLBACK: a callback of the future itself. */
enum drop { DROP_BY_MAIN, DROP_BY_HELPER, DROP_IN_CALLBACK, DROPS };

enum { SIZES = 3, RESULT_MOST = 300 };
extern const size_t sizes[SIZES];

struct combination {
    const struct ending *ending;
    enum actor actor;
    enum watch watch;
    enum place place;
    const enum step *order;
    enum drop drop;
    size_t result_size;
    bool destroys; /* the argument has a destructor */
    int workers;   /* of the executor */
};

/* How many there are of one ending, the impossible ones included. */
enum { COMBINATIONS = ACTORS * WATCHES * PLACES * ORDERS * DROPS * SIZES * 2 * 2 };

/* The i-th of that ending. False: it is impossible, or the same as another one. */
bool combination_of(const struct ending *ending, int i, struct combination *c);

bool is_task(const struct combination *c);
bool is_before(const struct combination *c, enum step first, enum step second);
/* Does the call return only when the future is done? */
bool is_blocking(enum watch watch);
/* Is it watched by callbacks alone? */
bool is_callback(enum watch watch);

/* Describes it; valid until the next call in the same thread. */
const char *describe(const struct combination *c);

/* The contract, for one future. */
struct model {
    filch_state state;
    int code;         /* what result returns, once it is done */
    const char *text; /* that of filch_fail; NULL: that of the code */
    bool ran;         /* a worker has run it */
    bool requested;   /* filch_cancel_requested in it */
};
void model_begin(struct model *m, enum subject subject);
bool model_is_done(const struct model *m);
bool model_cancel(struct model *m);
bool model_request_cancel(struct model *m);
/* The task returns, after filch_fail if there is a text. */
void model_return(struct model *m, int code, const char *text);
/* The codes of filch_promise_start, _set and _fail. */
int model_start(struct model *m);
int model_complete(struct model *m, int code, const char *text);

#endif
