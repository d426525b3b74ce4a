/* future.h: the object behind filch_future: task, argument, result and state in one.
 *
 * Flow     a room allocates it from a slab, filch__future_prepare fills it, the room queues it; a
 *          worker starts it (future_state.h), runs it (task.h) and finishes it here.
 * State    see the rules R1 to R6 of future_state.h.
 * Orders
 *   F7 cas_release callbacks (push) -> F8 exchange_acquire callbacks (take): the node's content
 *   H1 fetch_sub_acq_rel references (home) -> H1 fetch_sub_acq_rel references (home): the last frees it
 * Memory   one slab object of 64, 96 or 128 bytes: 48 of header, then the argument, then the result,
 *          each at a multiple of 16. What does not fit, and what is rare, is in `extra`. */
#ifndef FILCH_RUNTIME_FUTURE_H
#define FILCH_RUNTIME_FUTURE_H

#include "base/point.h"
#include "base/slab.h"
#include "fork.h"
#include "future_state.h"
#include "reclaim/stack.h"
#include <filch/future.h>

/* What futures need of their executor, and what therefore outlives it. */
struct filch__home {
    int64_t references;  /* heaps, and the executor itself */
    int64_t spin;        /* nanoseconds that a waiter spins */
    uint64_t cancelled;  /* futures cancelled, by any thread */
    uint32_t generation; /* filch__fork_now when it was made */
};

/* Rare parts of a future, allocated when there is one of them. */
struct filch__extra {
    const char *name;
    void (*arg_destroy)(void *arg);
    char *text; /* of filch_fail, or why the executor broke; owned */
    /* Argument and result where they are too large for the object; else NULL. */
    void *arg, *result;
    size_t arg_size, result_size;
};

struct filch__callback {
    struct filch__callback *next;
    filch_done_callback *fn;
    void *context;
};

struct filch_future {
    uint64_t state;
    filch_task_fn *fn;
    struct filch__link link; /* while it is in an injector */
    struct filch__callback *callbacks;
    struct filch__extra *extra;
    int32_t code;
    uint16_t arg_size, result_size; /* if they are inside; see extra otherwise */
    /* argument, result */
};

enum { FILCH__ALIGNMENT = 16, FILCH__FUTURE_HEADER = 48 };
_Static_assert(sizeof(struct filch_future) == FILCH__FUTURE_HEADER, "the argument follows at once");
_Static_assert(_Alignof(max_align_t) <= FILCH__ALIGNMENT, "arguments are aligned for every type");

static inline size_t filch__round_up(size_t size) {
    return (size + FILCH__ALIGNMENT - 1) & ~(size_t)(FILCH__ALIGNMENT - 1);
}

static inline struct filch__home *filch__future_home(const filch_future *f) {
    return filch__slab_home(f);
}

/* Does it belong to the process before fork()? If it is not done, it will never be in this one. */
static inline bool filch__future_is_lost(const filch_future *f) {
    return filch__future_home(f)->generation != filch__fork_now();
}

/* The task's copy of the argument. */
static inline void *filch__future_arg(filch_future *f) {
    if (unlikely(f->extra != NULL && f->extra->arg != NULL)) return f->extra->arg;
    return (char *)f + FILCH__FUTURE_HEADER;
}

/* Where the result is, and its size. */
static inline void *filch__future_result(filch_future *f, size_t *size) {
    if (unlikely(f->extra != NULL && f->extra->arg != NULL)) {
        *size = f->extra->result_size;
        return f->extra->result;
    }
    *size = f->result_size;
    return (char *)f + FILCH__FUTURE_HEADER + filch__round_up(f->arg_size);
}

struct filch__home *filch__home_create(int64_t spin);
void filch__home_retain(struct filch__home *home);
/* Has the form of a slab's home_release. */
void filch__home_release(void *home);

/* Sizes up to here cannot overflow when they are rounded and added. */
#define FILCH__SIZE_LIMIT (SIZE_MAX / 4)
/* Checks a task's fields. 0, or a code with its text. */
int filch__task_refuse(const filch_task *task);
static inline int filch__task_check(const filch_task *task) {
    if (likely(task->fn != NULL && (task->arg != NULL || task->arg_size == 0) &&
               task->arg_size <= FILCH__SIZE_LIMIT && task->result_size <= FILCH__SIZE_LIMIT))
        return 0;
    return filch__task_refuse(task);
}
/* Size of the object for a task that filch__task_check has passed: FILCH__SLAB_LARGEST at most. */
static inline size_t filch__future_size(const filch_task *task) {
    size_t payload = filch__round_up(task->arg_size) + filch__round_up(task->result_size);
    return payload <= FILCH__SLAB_LARGEST - FILCH__FUTURE_HEADER ? FILCH__FUTURE_HEADER + payload
                                                                 : FILCH__FUTURE_HEADER;
}
/* Fills the object: PENDING with `references`. False: no memory for its extra part, and the object is
 * as it was. */
bool filch__future_prepare_slow(filch_future *f, const filch_task *task);
static inline bool filch__future_prepare(filch_future *f, const filch_task *task,
                                         uint64_t references) {
    f->fn = task->fn;
    f->callbacks = NULL;
    f->extra = NULL;
    f->code = 0;
    size_t payload = filch__round_up(task->arg_size) + filch__round_up(task->result_size);
    if (unlikely(task->name != NULL || task->arg_destroy != NULL ||
                 payload > FILCH__SLAB_LARGEST - FILCH__FUTURE_HEADER)) {
        if (!filch__future_prepare_slow(f, task)) return false;
    } else {
        f->arg_size = (uint16_t)task->arg_size;
        f->result_size = (uint16_t)task->result_size;
        if (task->arg_size == sizeof(uint64_t))
            __builtin_memcpy((char *)f + FILCH__FUTURE_HEADER, task->arg, sizeof(uint64_t));
        else if (task->arg_size != 0)
            __builtin_memcpy((char *)f + FILCH__FUTURE_HEADER, task->arg, task->arg_size);
    }
    state_init(&f->state, references);
    return true;
}

/* Gives up a future that was prepared and never shared, or whose submit is refused after all: the
 * argument is not destroyed. */
void filch__future_discard(filch_future *f);

void filch__extra_free(struct filch__extra *extra);
/* Frees a future to which there is no reference any more. */
static inline void filch__future_free(filch_future *f) {
    if (unlikely(f->extra != NULL)) filch__extra_free(f->extra);
    filch__slab_free(f);
}
static inline void filch__future_drop(filch_future *f) {
    if (state_release(&f->state)) filch__future_free(f);
}

/* The rest of a finish when there is somebody to tell: sleepers are woken, callbacks run, and with `drop`
 * the caller's reference is given back. */
void filch__future_notify(filch_future *f, bool drop, void (*before_callbacks)(void *context),
                          void *context);
/* After start, fail or cancel, and after the argument was destroyed: the end is published, sleepers are
 * woken, callbacks run. With `drop`, the caller's reference is given back. `before_callbacks`, if not NULL,
 * is called when there are callbacks, after the end is published and before they run. */
static inline void filch__future_finish(filch_future *f, enum filch__life final, bool drop,
                                        void (*before_callbacks)(void *context), void *context) {
    POINT("future.finish");
    switch (state_finish(&f->state, final, drop)) {
    case AFTER_GONE: return;
    case AFTER_LAST: filch__future_free(f); return;
    case AFTER_NOTIFY: filch__future_notify(f, drop, before_callbacks, context);
    }
}
/* Destroys the argument, if it has a destructor. */
static inline void filch__future_destroy_arg(filch_future *f) {
    if (unlikely(f->extra != NULL && f->extra->arg_destroy != NULL))
        f->extra->arg_destroy(filch__future_arg(f));
}
/* Keeps a text with the future, which takes it over (frees it where there is no memory). */
void filch__future_set_text(filch_future *f, char *text);

/* Cancels if pending; true if this call did it. */
bool filch__future_try_cancel(filch_future *f);
/* If another thread is about to cancel or fail it, and not this one: waits until it is done. */
void filch__future_await_ending(filch_future *f);
/* Ends it with EBROKEN if pending; `cause` is copied. */
bool filch__future_try_fail(filch_future *f, const char *cause);

/* Sleeps until the future is done or the absolute deadline has passed; false: the deadline. */
bool filch__future_sleep(filch_future *f, int64_t deadline);
/* Spins at most `spin` nanoseconds, and not past the deadline; true: done. */
bool filch__future_spin(filch_future *f, int64_t spin, int64_t deadline);

#endif
