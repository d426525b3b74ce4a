/* loop/split.h: how a range is cut as it runs: when to split it, and how much to do between two looks.
 *
 * Flow     for.c and reduce.c: while there is something left, split if somebody is hungry, else run a chunk.
 * Source   lazy binary splitting: Tzannes et al., PPoPP 2010.
 * State    error of a loop: code: 0 until a part fails, then its code; CAS by whoever fails first, who then writes the
 *          text, which is read when all parts have ended. chunk: of who runs a part.
 * Orders
 *   E1 cas_acq_rel code (fail) -> E2 load_acquire code (look): the first error
 * Not here: who is hungry (thread/lane.h: a worker that finds nothing sets the limit of a lane). */
#ifndef FILCH_LOOP_SPLIT_H
#define FILCH_LOOP_SPLIT_H

#include "base/atomics.h"
#include "base/compiler.h"
#include "os/clock.h"
#include <filch/fork.h>
#include <filch/lane.h>
#include <stdbool.h>
#include <stdint.h>

/* With grain 0: nanoseconds that a chunk takes at least before it is not made longer, and at most before it is made
 * shorter. A look costs 5 ns, and 25 with the clock. */
#define CHUNK_SHORT 2000
#define CHUNK_LONG 10000
/* Indices in a chunk at most: bodies may become slower from one index to the next. */
#define CHUNK_MOST 8192

struct filch__chunk {
    int64_t grain; /* 0: chosen here */
    int64_t length;
    int64_t start; /* time */
};

static inline struct filch__chunk filch__chunk_begin(int64_t grain) {
    if (grain > 0) return (struct filch__chunk){grain, grain, 0};
    return (struct filch__chunk){0, 1, filch__now()};
}
/* After a chunk. */
static inline void filch__chunk_learn(struct filch__chunk *c) {
    if (c->grain > 0) return;
    int64_t now = filch__now(), took = now - c->start;
    c->start = now;
    if (took < CHUNK_SHORT && c->length < CHUNK_MOST)
        c->length *= 2;
    else if (took > CHUNK_LONG && c->length > 1)
        c->length /= 2;
}

/* Indices beyond which a part may be split. */
static inline int64_t filch__chunk_least(const struct filch__chunk *c) {
    return c->grain > 0 ? c->grain : 1;
}

/* Has a worker that finds nothing to do asked this one for something? */
static inline bool filch__split_is_wanted(void) {
    filch_lane *lane = filch_lane_self;
    return filch_load_light(&lane->limit) <= filch_load_light(&lane->pos); /* light: a hint */
}

/* The rest of a range while a chunk runs: whoever computes for long in a chunk does not keep others from the rest.
 * Forked, then taken back, if nobody has it, without a call: 3 ns. */
static inline bool filch__rest_has_room(void) {
    filch_lane *lane = filch_lane_self;
    return likely(filch_load_light(&lane->pos) < lane->end); /* light: own field */
}
enum filch__rest {
    REST_BACK,   /* nobody has it */
    REST_DONE,   /* somebody else has run it, and has ended */
    REST_SKIPPED /* it did not run, or not all of it: the task was asked to end */
};
static inline enum filch__rest filch__rest_take_back(filch_frame *rest) {
    if (likely(!filch_lane_pop(filch_lane_self, rest->at))) return REST_BACK;
    const filch_slot *done = filch_join_slow(rest->at);
    return done == NULL ? REST_BACK : done->skipped != 0 ? REST_SKIPPED : REST_DONE;
}

/* The middle of a range of more than `grain` indices: a multiple of the grain from its begin. */
static inline int64_t filch__split_middle(int64_t begin, int64_t end, int64_t grain) {
    int64_t half = (end - begin) / 2;
    if (grain > 1) half = (half + grain - 1) / grain * grain;
    return begin + (half == 0 ? 1 : half);
}

/* How a loop has failed. */
struct filch__loop_error {
    int code;
    char *text; /* what filch_fail was given; owned; NULL: none */
};

/* A part has failed: the first code stays, with the text of the task that runs the part. */
void filch__loop_fail(struct filch__loop_error *error, int failed);
/* All parts have ended, and the caller runs in the loop's task: the loop's code, whose text the task now has, whatever
 * its parts have left there. */
int filch__loop_end(struct filch__loop_error *error);
/* Shall no part begin any more? */
static inline bool filch__loop_is_over(const struct filch__loop_error *error) {
    return load_acquire(&error->code) != 0 || filch_cancel_requested(); /* E2 <- E1 */
}

/* Checks what all loops share; 0, or FILCH_EINVAL with a text that names the call. */
int filch__loop_check(const char *call, int64_t begin, int64_t end, int64_t grain);

#endif
