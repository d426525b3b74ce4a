/* process/nested.h: the executor as a task in a worker sees it: its children.
 *
 * Flow     filch_submit -> nested_submit.c: a future of this process, and SUBMIT to the program, which runs the task like any
 *          other; CHILD_DONE -> nested_ends.c: ends the future here. filch_future_result -> nested_wait.c: AWAIT; then messages are
 *          read, the awaited task perhaps run on top of the one that waits; AWAKE. Cancel: nested.c asks the program.
 * State    all of it is the main thread's: others may look at futures, release them, and sleep until they are done.
 * Keeps    1. While an answer is awaited no code of the user runs; what else comes is put aside, in its order.
 *          2. A task that was posted to run after the one that waits is left alone until it is revoked.
 * Life     of a future here: POSTED, with the child's number as its ticket; RUNNING once the program has said so. */
#ifndef FILCH_PROCESS_NESTED_H
#define FILCH_PROCESS_NESTED_H

#include "executor_ops.h"
#include "future.h"
#include "process/serve.h"

/* A number is its place in the table, and how often that was used: so that a message that comes late names none. */
struct filch__place {
    filch_future *future; /* NULL: free */
    uint64_t refused;     /* 0, or the number of the latest wait that it was refused to */
    uint64_t uses;
    uint32_t next_free;
};

struct filch__nested {
    filch_executor base;
    struct filch__server *server;
    struct filch__home *home;
    struct filch__heap *heap;
    struct filch__place *places;
    uint32_t room, used, free, busy; /* free: one more than the first free place */
    uint64_t submitted, completed, detached;
    uint64_t waits, answered; /* AWAIT that were sent; AWAIT_OK that came, in the same order */
};

/* nested.c ----------------------------------------------------------------------------------------- */

/* Makes the worker's own object for the executor, as s->self.executor. False: no memory. */
bool filch__nested_init(struct filch__server *s);
/* Is there a child whose end is awaited? */
bool filch__nested_is_busy(const struct filch__server *s);
/* The number of a future that is such a child; 0: of another. */
uint64_t filch__nested_number(const struct filch__server *s, const filch_future *f);

/* A number for a child, not 0, whose place is still free; 0: no memory. */
uint64_t filch__nested_reserve(struct filch__nested *n);
/* Puts the child of that number, which is the last that was reserved, into the table, with a reference. */
void filch__nested_enter(struct filch__nested *n, uint64_t number, filch_future *f);
/* Takes it out: the table's reference is the caller's; NULL: there is none of that number. */
filch_future *filch__nested_leave(struct filch__nested *n, uint64_t number);
/* The program has refused the wait for that child: until take_refusal, by the task that waits, which may stand below others. A refusal that
 * comes before the answer to the wait of that number is for an earlier one, whose time was over. */
void filch__nested_refuse(struct filch__nested *n, uint64_t number);
bool filch__nested_take_refusal(struct filch__nested *n, uint64_t number, uint64_t wait);
/* The program's answer to SUBMIT or CANCEL. */
int filch__nested_await_answer(struct filch__server *s, uint64_t number);

/* nested_submit.c: of the table of operations ------------------------------------------------------ */

int filch__nested_submit(filch_executor *e, const filch_task *task, filch_future **future);
int filch__nested_submit_chunk(filch_executor *e, const filch_task *task, filch_future **future);
int filch__nested_submit_plain(filch_executor *e, filch_task_fn *fn, const void *arg,
                               size_t arg_size, size_t result_size, filch_future **future);

/* nested_ends.c ------------------------------------------------------------------------------------ */

/* Takes any message but TASK and QUIT. */
void filch__nested_message(struct filch__server *s, const struct filch__message *message,
                           bool in_ring);

/* nested_wait.c: of the table of operations -------------------------------------------------------- */

int filch__nested_wait(struct filch__self *self, filch_future *f, int64_t deadline);
int filch__nested_wait_isolated(struct filch__self *self, filch_future *f, int64_t deadline);
int filch__nested_wait_firm(struct filch__self *self, filch_future *f);
int filch__nested_wait_set(struct filch__self *self, struct filch__gathering *set,
                           filch_future *only, bool stuck, int64_t deadline);
enum filch__help filch__nested_help(struct filch__self *self, filch_future *f, bool run);
/* ops->poll: what has come is handled. */
void filch__nested_poll(struct filch__self *self);
void filch__nested_blocking_begin(struct filch__self *self);
void filch__nested_blocking_end(struct filch__self *self);
/* Everything that was put aside before is revoked: it is skipped. `end`: before that one; NULL: all. */
void filch__nested_skip(struct filch__server *s, const struct filch__aside *end);

#endif
