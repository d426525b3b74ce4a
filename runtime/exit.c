/* exit.c: see exit.h. */
#include "exit.h"

#include "base/atomics.h"
#include "executor_ops.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/futex.h"
#include "os/memory.h"
#include <limits.h>
#include <pthread.h>

/* Held around each change of glibc's list, and around fork(): the child of a fork() in the middle of one would
 * find the list locked for ever. */
static pthread_mutex_t list = PTHREAD_MUTEX_INITIALIZER;

void filch__exit_before_fork(void) {
    pthread_mutex_lock(&list);
}

void filch__exit_after_fork(void) {
    pthread_mutex_unlock(&list);
}

/* glibc's; no header declares them. */
int __cxa_atexit(void (*fn)(void *), void *arg, void *handle);
void __cxa_finalize(void *handle);

enum { TICKET_LIVE, TICKET_ENDING, TICKET_ENDED, TICKET_GONE };

struct filch__ticket {
    uint32_t state;
    uint32_t generation; /* filch__fork_now when it was made */
    filch_executor *executor;
};

static void end_one(struct filch__ticket *t) {
    uint32_t state = TICKET_LIVE;
    if (!cas_acq_rel(&t->state, &state, (uint32_t)TICKET_ENDING)) { /* Z1 -> Z1 */
        filch__free(t);
        return;
    }
    t->executor->ops->end_at_exit(t->executor);
    store_release(&t->state, (uint32_t)TICKET_ENDED); /* Z2 -> Z3 */
    /* From here on the ticket may be gone; the wake-up touches no memory. */
    filch__futex_wake(&t->state, INT_MAX);
}

/* The handler. In a child of fork() the executor is the parent's. */
static void at_exit(void *argument) {
    struct filch__ticket *t = argument;
    if (t->generation == filch__fork_now()) end_one(t);
}

bool filch__exit_register(filch_executor *e) {
    struct filch__ticket *t = filch__alloc(sizeof *t);
    if (t == NULL) return false;
    *t = (struct filch__ticket){TICKET_LIVE, filch__fork_now(), e};
    e->ticket = t;
    pthread_mutex_lock(&list);
    bool registered = !filch__fault(FILCH__FAULT_ALLOC) && __cxa_atexit(at_exit, t, t) == 0;
    pthread_mutex_unlock(&list);
    if (registered) return true;
    filch__free(t);
    e->ticket = NULL;
    return false;
}

void filch__exit_forget(filch_executor *e) {
    struct filch__ticket *t = e->ticket;
    uint32_t state = TICKET_LIVE;
    if (t == NULL) return;
    if (cas_acq_rel(&t->state, &state, (uint32_t)TICKET_GONE)) { /* Z1 -> Z1 */
        pthread_mutex_lock(&list);
        __cxa_finalize(t); /* calls the handler, which frees the ticket; or exit() does */
        pthread_mutex_unlock(&list);
        return;
    }
    while (load_acquire(&t->state) == TICKET_ENDING) /* Z3 <- Z2 */
        filch__futex_wait(&t->state, TICKET_ENDING, FILCH_FOREVER);
    filch__free(t);
}
