/* process/family.h: children: tasks that tasks of a worker have submitted. At the desk. */
#ifndef FILCH_PROCESS_FAMILY_H
#define FILCH_PROCESS_FAMILY_H

#include "process/functions.h"
#include "process/pool.h"

/* What a future of the program that is a child has beside its extra. */
struct filch__child {
    struct filch__seat
        *seat;            /* whose task has submitted it; NULL: nobody there wants to know of it */
    uint64_t number;      /* by that worker */
    filch_future *future; /* with a reference, if there is a seat */
    const struct filch__function *function;
    bool awaited; /* a task of that worker waits for it */
    uint32_t
        own_wait; /* which of its waits, counted from the lowest; 0: none, or one with no stack left */
    char name[264];
};

static inline struct filch__child *filch__child_of(filch_future *f) {
    struct filch__extra *extra = filch__future_extra(f);
    return likely(extra == NULL) ? NULL : extra->child;
}

/* Every worker waits, none can be started, now or after a pause, and nothing can run on top of any: the wait for a
 * child that is queued fails. */
void filch__family_refuse(struct filch__processes *p);
/* SUBMIT, CANCEL, AWAIT, AWAKE: the kind as it was read. NULL, or what is wrong with the message. */
const char *filch__family_message(struct filch__processes *p, struct filch__seat *s, uint32_t kind,
                                  const struct filch__message *message);
/* A child has ended, by code of the library, with an outcome: tells its worker. The place's reference goes. */
void filch__family_end(struct filch__processes *p, filch_future *f);
/* The worker is gone. */
void filch__family_forget(struct filch__seat *s);
/* Nobody else can run them: gives waiting workers children of their own; one that waits for a certain child, and
 * may run nothing else, that child. */
void filch__family_help(struct filch__processes *p);

/* By the number that the worker has given it; NULL: its end is on the way. */
struct filch__child *filch__family_find(struct filch__seat *s, uint64_t number);
/* Takes it from the queue, or from the worker to which it is posted, for good. False: it has started. */
bool filch__family_win(struct filch__processes *p, filch_future *f);
/* AWAIT, AWAKE. */
void filch__family_await(struct filch__processes *p, struct filch__seat *s,
                         const struct filch__message_child *m);
void filch__family_awake(struct filch__seat *s, const struct filch__message_child *m);

/* Where a future is to go that has ended at the desk. */
static inline void filch__end_future(struct filch__processes *p, struct filch__ended *ended,
                                     filch_future *f) {
    if (unlikely(filch__child_of(f) != NULL))
        filch__family_end(p, f);
    else
        filch__ended_add(ended, f);
}

#endif
