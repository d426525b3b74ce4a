/* self.h: what a thread knows of itself: which worker it is, what it runs, what went wrong last.
 *
 * Thread-local and small (under 300 bytes), because the library uses the initial-exec model, whose
 * space is limited for libraries that are opened with dlopen. Only the thread itself touches it. */
#ifndef FILCH_SELF_H
#define FILCH_SELF_H

#include <filch/task.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A task that runs, on the stack of the worker that runs it. */
struct filch__run {
    filch_future *future;         /* of a forked call, the one that it is part of, or NULL */
    struct filch__run *below;     /* the one that waits below on the same stack, or NULL */
    char *text;                   /* what filch_fail was given last; owned */
    struct filch__outcome *block; /* what filch_result_alloc gave last; owned */
    int64_t base;                 /* where the room's queue stood when the task started */
    bool skipped; /* a call that it has forked did not run, because it was asked to end */
};

/* A worker of some executor; embedded in the room's own worker. */
struct filch__self {
    filch_executor *executor;
    int index;
    struct filch__run *run; /* the innermost task that runs, or NULL */
    uint32_t blocking;      /* filch_blocking_begin without end, of what runs innermost */
};

/* On the stack of a thread that drains an executor, or ends a future that has not started: code of the
 * user that runs meanwhile must not wait for it. */
struct filch__ending {
    const void *what; /* the executor, or the future */
    struct filch__ending *below;
};

struct filch__thread {
    struct filch__self *self;         /* NULL: not a worker */
    struct filch__ending *ending;     /* what it is ending that never started, innermost first */
    struct filch__deferred *deferred; /* completions that were put aside; deferred.h */
    uint32_t completions;             /* that run inside each other */
    uint64_t heap_owner;              /* serial of the executor that heap_hint belongs to */
    void *heap_hint;                  /* the heap that the thread, from outside, used last */
    const char *error; /* text of the last failure: constant, or `buffer`; NULL: none */
    char buffer[240];
};

extern __thread struct filch__thread filch__thread;

static inline void filch__ending_begin(struct filch__ending *ending, const void *what) {
    ending->what = what;
    ending->below = filch__thread.ending;
    filch__thread.ending = ending;
}
/* In the child of a fork() that happened meanwhile there is nothing to take off. */
static inline void filch__ending_end(const struct filch__ending *ending) {
    if (filch__thread.ending == ending) filch__thread.ending = ending->below;
}
/* Is this thread ending it? */
static inline bool filch__is_ending(const void *what) {
    const struct filch__ending *ending = filch__thread.ending;
    while (ending != NULL && ending->what != what) ending = ending->below;
    return ending != NULL;
}

static inline struct filch__self *filch__self(void) {
    return filch__thread.self;
}

#endif
