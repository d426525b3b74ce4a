/* future.h: the object behind filch_future: task, argument, result and state in one.
 *
 * Flow     a room allocates it from a slab with filch__future_create and queues it; a
 *          worker starts it (future_state.h), runs it (task.h) and finishes it here.
 * State    see the rules R1 to R6 of future_state.h.
 * Memory   one slab object of 64, 96 or 128 bytes: 32 of header, then the payload: the argument, then the
 *          result, each at a multiple of 16. An argument and a result of up to 16 bytes each lie in one
 *          cache line with the header: who steals a task fetches one line. What does not fit, and what is
 *          rare, is in an `extra`, to which the payload then points.
 * Not here: what futures share with their executor, and with each other (home.h). */
#ifndef FILCH_RUNTIME_FUTURE_H
#define FILCH_RUNTIME_FUTURE_H

#include "base/point.h"
#include "base/slab.h"
#include "fork.h"
#include "future_state.h"
#include "home.h"
#include "reclaim/stack.h"
#include <filch/future.h>
#include <stdarg.h>

/* Rare parts of a task, allocated when there is one of them. */
struct filch__extra {
    const char *name;
    void (*arg_destroy)(void *arg);
    void *arg, *result;
    size_t arg_size, result_size;
    int retries; /* times that it is still started again if its worker dies */
    struct filch__child
        *child;    /* of a task that a worker process has submitted: process/family.h */
    bool is_chunk; /* fn runs each input of an array that is the argument: packed.h */
};

/* How a task ended, where that is more than a code. */
struct filch__outcome {
    int code;
    bool
        has_data; /* of filch_result_alloc: it stands in the place of the result for whoever views it */
    bool is_result;              /* its data are what the task wrote as its result */
    int pid;                     /* of the process that ran it; 0: this one */
    char *text;                  /* of filch_fail, or why the executor broke; owned; or NULL */
    size_t size;                 /* bytes of data */
    const void *elsewhere;       /* where the data stand, if not here; or NULL */
    void (*release)(void *held); /* called when the future is freed, if they stand elsewhere */
    void *held;
    _Alignas(max_align_t) char data[];
};

struct filch_future {
    uint64_t state;
    union {
        filch_task_fn *fn; /* until the task has run */
        uint64_t outcome;  /* then: OUTCOME_PLAIN with a code, or the address of a filch__outcome */
    };
    union {
        struct filch__link link; /* while it is in an injector, whatever its life is by then */
        uint64_t ticket; /* while it is posted or runs in another process: see process/pool.h */
        uint64_t
            owned; /* of a promise, constant: 0, or, if only the library completes it, one more than
                                  filch__fork_now when it was made */
    };
    struct filch__hub *hub; /* hub.h; NULL until somebody wants to be told of the end */
    /* payload */
};

enum { FILCH__ALIGNMENT = 16, FILCH__FUTURE_HEADER = 32 };
#define FILCH__PAYLOAD_LARGEST ((size_t)(FILCH__SLAB_LARGEST - FILCH__FUTURE_HEADER))
_Static_assert(sizeof(struct filch_future) == FILCH__FUTURE_HEADER, "the argument follows at once");
_Static_assert(_Alignof(max_align_t) <= FILCH__ALIGNMENT, "arguments are aligned for every type");
_Static_assert(FILCH__SLAB_LARGEST - FILCH__FUTURE_HEADER <= RESULT_MASK,
               "sizes inside fit the state");

#define OUTCOME_PLAIN UINT64_C(1)
static inline uint64_t filch__outcome_of_code(int code) {
    return (uint64_t)(uint32_t)code << 32 | OUTCOME_PLAIN;
}
/* The same with the process that ran it; 0: this one. */
static inline uint64_t filch__outcome_of(int code, int pid) {
    return filch__outcome_of_code(code) | (uint64_t)(uint32_t)pid << 1;
}
static inline bool filch__outcome_is_plain(uint64_t outcome) {
    return (outcome & OUTCOME_PLAIN) != 0;
}
static inline struct filch__outcome *filch__outcome_record(uint64_t outcome) {
    return (struct filch__outcome *)(uintptr_t)outcome;
}
/* The code of a future that is done. */
static inline int filch__future_code(const filch_future *f) {
    uint64_t outcome = f->outcome;
    if (likely(filch__outcome_is_plain(outcome))) return (int)(uint32_t)(outcome >> 32);
    return filch__outcome_record(outcome)->code;
}

/* The text with which it ended, or NULL if that is the one of the code alone. For a future that is done. */
static inline const char *filch__future_own_text(const filch_future *f) {
    return filch__outcome_is_plain(f->outcome) ? NULL : filch__outcome_record(f->outcome)->text;
}

/* The life that the caller is shown: a promise that is just being completed still runs. */
static inline enum filch__life filch__shown_life(uint64_t state) {
    enum filch__life life = state_life(state);
    if (life == LIFE_ENDING) return (state & FLAG_STANDALONE) != 0 ? LIFE_RUNNING : LIFE_PENDING;
    return life == LIFE_CANCELLING ? LIFE_PENDING : life;
}

static inline size_t filch__round_up(size_t size) {
    return (size + FILCH__ALIGNMENT - 1) & ~(size_t)(FILCH__ALIGNMENT - 1);
}

/* What it shares with the other futures of its executor. */
static inline struct filch__home *filch__future_home(const filch_future *f) {
    if (unlikely((state_constant(&f->state) & FLAG_STANDALONE) != 0))
        return &filch__home_standalone;
    return filch__slab_home(f);
}

static inline void *filch__future_payload(filch_future *f) {
    return (char *)f + FILCH__FUTURE_HEADER;
}
/* The rare parts of a future that has them. */
static inline struct filch__extra *filch__future_rare(filch_future *f) {
    return *(struct filch__extra **)filch__future_payload(f);
}
/* Its rare parts, or NULL. */
static inline struct filch__extra *filch__future_extra(filch_future *f) {
    return likely((state_constant(&f->state) & FLAG_EXTRA) == 0) ? NULL : filch__future_rare(f);
}

/* Does it belong to the process before fork()? If it is not done, it will never be in this one. A promise of
 * the program's own can be completed here as well; one that the library completes cannot. */
static inline bool filch__future_is_lost(const filch_future *f) {
    uint32_t now = filch__fork_now();
    if (likely(now == 0)) return false; /* nothing is older than this process */
    if (unlikely((state_constant(&f->state) & FLAG_STANDALONE) != 0))
        return f->owned != 0 && f->owned != (uint64_t)now + 1;
    return filch__future_home(f)->generation != now;
}

/* The task's copy of the argument. */
static inline void *filch__future_arg(filch_future *f) {
    struct filch__extra *extra = filch__future_extra(f);
    return unlikely(extra != NULL) ? extra->arg : filch__future_payload(f);
}

/* Where the result is, and its size. */
static inline void *filch__future_result(filch_future *f, size_t *size) {
    uint64_t constant = state_constant(&f->state);
    if (unlikely((constant & FLAG_EXTRA) != 0)) {
        struct filch__extra *extra = filch__future_rare(f);
        *size = extra->result_size;
        return extra->result;
    }
    *size = state_result_size(constant);
    return (char *)filch__future_payload(f) + state_result_offset(constant);
}

/* What a reader of a future that is done is shown as its value, and its size. */
static inline const void *filch__future_view(filch_future *f, size_t *size) {
    struct filch__outcome *record = filch__outcome_record(f->outcome);
    if (likely(filch__outcome_is_plain(f->outcome)) || !record->has_data)
        return filch__future_result(f, size);
    *size = record->size;
    return record->elsewhere != NULL ? record->elsewhere : record->data;
}

/* What filch_future_result gives, and its size. */
static inline const void *filch__future_value(filch_future *f, size_t *size) {
    if (unlikely(!filch__outcome_is_plain(f->outcome)) &&
        filch__outcome_record(f->outcome)->is_result)
        return filch__future_view(f, size);
    return filch__future_result(f, size);
}
/* The process that ran it, of a future that is done; 0: this one. */
static inline int filch__future_pid(const filch_future *f) {
    if (filch__outcome_is_plain(f->outcome)) return (int)((uint32_t)f->outcome >> 1);
    return filch__outcome_record(f->outcome)->pid;
}

/* The state, of one that may be posted to a process that has started it meanwhile. */
uint64_t filch__future_look_posted(filch_future *f);
static inline uint64_t filch__future_look(filch_future *f) {
    uint64_t state = state_look(&f->state);
    return likely(!state_is_posted(state)) ? state : filch__future_look_posted(f);
}

/* FILCH_EFORKED with its text. */
int filch__future_refuse_lost(void);

/* Sizes up to here cannot overflow when they are rounded and added. */
#define FILCH__SIZE_LIMIT (SIZE_MAX / 4)
/* Checks a task's fields. 0, or a code with its text. */
int filch__task_refuse(const filch_task *task);
static inline bool filch__task_is_valid(filch_task_fn *fn, const void *arg, size_t arg_size,
                                        size_t result_size) {
    return fn != NULL && (arg != NULL || arg_size == 0) &&
           (arg_size | result_size) <= FILCH__SIZE_LIMIT;
}

/* A future for a task that has something rare. */
filch_future *filch__future_create_rare(struct filch__heap *heap, const filch_task *task,
                                        uint64_t references);
/* A future in the heap, for a task whose fields are valid: PENDING with `references`. NULL: no memory. */
static always_inline filch_future *
filch__future_create(struct filch__heap *heap, const filch_task *task, uint64_t references) {
    size_t arg_units = (task->arg_size + FILCH__ALIGNMENT - 1) / FILCH__ALIGNMENT;
    size_t units = arg_units + (task->result_size + FILCH__ALIGNMENT - 1) / FILCH__ALIGNMENT;
    if (unlikely(task->name != NULL || task->arg_destroy != NULL || task->retries != 0 ||
                 units > FILCH__PAYLOAD_LARGEST / FILCH__ALIGNMENT))
        return filch__future_create_rare(heap, task, references);
    filch_future *f =
        filch__slab_alloc(heap, filch__slab_class(FILCH__FUTURE_HEADER + units * FILCH__ALIGNMENT));
    if (unlikely(f == NULL)) return NULL;
    f->fn = task->fn;
    f->hub = NULL;
    if (likely(task->arg_size == sizeof(uint64_t)))
        __builtin_memcpy(filch__future_payload(f), task->arg, sizeof(uint64_t));
    else if (task->arg_size != 0)
        __builtin_memcpy(filch__future_payload(f), task->arg, task->arg_size);
    state_init(&f->state, references, state_sizes(arg_units, task->result_size));
    return f;
}

/* Gives up a future that was never shared, or whose submit is refused after all: the
 * argument is not destroyed. */
void filch__future_discard(filch_future *f);

/* The submit is refused: the caller still owns what the argument refers to. */
static inline void filch__future_disown_arg(filch_future *f) {
    struct filch__extra *extra = filch__future_extra(f);
    if (extra != NULL) extra->arg_destroy = NULL;
}

void filch__future_free_slow(filch_future *f);
/* Frees a future to which there is no reference any more. */
static inline void filch__future_free(filch_future *f) {
    uint64_t s = load_relaxed(&f->state); /* relaxed: the caller has seen that it is the last */
    if (unlikely((s & (FLAG_EXTRA | FLAG_HUB | FLAG_STANDALONE)) != 0 ||
                 !filch__outcome_is_plain(f->outcome)))
        filch__future_free_slow(f);
    else
        filch__slab_free(f);
}
static inline void filch__future_drop(filch_future *f) {
    if (state_release(&f->state)) filch__future_free(f);
}

/* The rest of a finish when there is somebody to tell: sleepers are woken, waiters for sets told, callbacks
 * run, and with `drop` the caller's reference is given back. */
void filch__future_notify(filch_future *f, bool drop, void (*before_callbacks)(void *context),
                          void *context);
/* The part of it that runs no code of the user: sleepers and waiters for sets. True: there are callbacks. */
bool filch__future_tell(filch_future *f);
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
    struct filch__extra *extra = filch__future_extra(f);
    if (unlikely(extra != NULL && extra->arg_destroy != NULL)) extra->arg_destroy(extra->arg);
}
/* How it ended, by whoever started, cancelled or failed it: a code, and a text or NULL, which the future
 * takes over (frees it where there is no memory). */
void filch__future_set_outcome(filch_future *f, int code, char *text);
/* The same, in another process. */
void filch__future_set_outcome_of(filch_future *f, int code, char *text, int pid);

/* A text in memory of its own, or NULL. */
char *filch__text_format(const char *format, va_list arguments) FILCH_PRINTF(1, 0);

/* Cancels if pending; true if this call did it. */
bool filch__future_try_cancel(filch_future *f);
/* If another thread is about to cancel or fail it, and not this one: waits until it is done. */
void filch__future_await_ending(filch_future *f);
/* Ends it with EBROKEN if pending; `cause` is copied. */
bool filch__future_try_fail(filch_future *f, const char *cause);

/* Waits as filch_future_result does. 0, or why it was not waited for, with the text. Deadlines: os/clock.h. */
int filch__future_await(filch_future *f, int64_t deadline);
/* Waits for a task that uses memory of the caller, and gives its code. If that cannot be done (a worker's stack is used
 * up and no spare can be started, or tasks wait in a circle) the task is cancelled, and the code says why; once it runs
 * it is waited for in any case. In the child of a fork() that came meanwhile it is the parent's: FILCH_EFORKED. */
int filch__future_conclude(filch_future *f);
/* The half of the state word that sleepers sleep on. */
static inline uint32_t *filch__future_sleep_half(filch_future *f) {
    uint32_t *halves = (uint32_t *)(void *)&f->state;
    return halves + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}
/* Sleeps until the future is done or the absolute deadline has passed; false: the deadline. */
bool filch__future_sleep(filch_future *f, int64_t deadline);
/* Spins at most `spin` nanoseconds, and not past the deadline; true: done. */
bool filch__future_spin(filch_future *f, int64_t spin, int64_t deadline);

#endif
