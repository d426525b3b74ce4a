/* deferred.h: completions that follow from completions, without a deep stack.
 *
 * A future that is completed runs callbacks, which may complete further futures (combine.c), and so on: a chain
 * of a million that fails at its head would be as deep. The first few run at once, one inside the other; from
 * then on they are put aside, and the outermost runs them after it is through. A thread that is about to
 * wait runs them before, since it might wait for one of them.
 *
 * All of it is the thread's own (self.h). */
#ifndef FILCH_RUNTIME_DEFERRED_H
#define FILCH_RUNTIME_DEFERRED_H

#include "base/compiler.h"
#include "self.h"

/* Completions inside each other; each takes some 500 bytes of stack. */
enum { DEFERRED_DEPTH = 16 };

/* Embedded in what completes something. */
struct filch__deferred {
    struct filch__deferred *next;
    void (*run)(struct filch__deferred *deferred);
};

/* Runs what was put aside. */
static inline void filch__deferred_run(void) {
    struct filch__thread *t = &filch__thread;
    struct filch__deferred *d;
    while (unlikely((d = t->deferred) != NULL)) {
        t->deferred = d->next;
        t->completions++;
        d->run(d);
        t->completions--;
    }
}

/* Has run(d) called, now or soon; d may then be gone. */
static inline void filch__deferred_add(struct filch__deferred *d,
                                       void (*run)(struct filch__deferred *)) {
    struct filch__thread *t = &filch__thread;
    d->run = run;
    d->next = t->deferred;
    t->deferred = d;
    if (t->completions < DEFERRED_DEPTH) filch__deferred_run();
}

#endif
