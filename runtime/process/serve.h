/* process/serve.h: a worker process, as its own files see it.
 *
 * Flow     zygote.c forks -> filch__serve (serve.c) -> filch__work_task (work.c) -> the user's function
 *          -> filch__server_publish. What a task does with its executor is in nested.c.
 * State    one server in each worker, used by its main thread alone. */
#ifndef FILCH_PROCESS_SERVE_H
#define FILCH_PROCESS_SERVE_H

#include "base/compiler.h"
#include "process/arena.h"
#include "process/channel.h"
#include "process/listener.h"
#include "process/message.h"
#include "self.h"
#include <stdbool.h>

/* Bytes that a job has for its argument and result, if they are in no segment; more are allocated. */
enum { JOB_ROOM = 2 * MESSAGE_INLINE };

/* A task that runs, or waits below another one; on the stack. */
struct filch__job {
    struct filch__job *below;
    struct filch__run run; /* its `block`: of filch_result_alloc, where that is small */
    uint64_t generation;
    uint32_t ticket, flags, child;
    filch_task_fn *fn;
    void *arg, *result;
    size_t result_size;
    struct filch__held *held; /* where the argument stands, if that is a segment */
    char *room;               /* of argument and result, where they are in no segment */
    size_t room_size;
    struct filch__bytes result_block; /* segment != 0: where the result stands */
    struct filch__bytes alloc_block;  /* segment != 0: of filch_result_alloc, where that is large */
};

/* A function as MESSAGE_FUNCTION has named it. */
struct filch__known {
    filch_task_fn *fn; /* NULL: it is not here, and `text` says why */
    char *text;
};

/* A message that waits until it may be looked at, in the order in which they came. */
struct filch__aside {
    struct filch__aside *next;
    struct filch__message head; /* and the rest */
};

/* A block of the program that could not be mapped when its message was read, and so is not given back yet. */
struct filch__owed {
    struct filch__owed *next;
    struct filch__bytes bytes;
};

struct filch__nested; /* nested.c */

struct filch__server {
    struct filch__self self;
    int pid, zygote; /* its own, and its parent's: a system call each time */
    struct filch__channel channel;
    struct filch__arena *arena;
    struct filch__arena_view *view;
    const struct filch__common *common;
    const struct filch__setup *setup;
    int manager_bell, attendant_bell;
    struct filch__known *known;
    uint32_t known_count, known_room;
    char *room;                              /* for a job's bytes; NULL while it is in use */
    struct filch__aside *aside, **aside_end; /* the last one's `next` */
    struct filch__owed *owed;
    struct filch__nested *nested;
    struct filch__job *job; /* the one on top of the stack, or NULL */
    uint64_t tasks;
    bool initialized, retiring;
    uintptr_t stack_floor; /* below it no task is run on top */
};

/* In the zygote, after preload: what is the same in all its workers. */
void filch__serve_prepare(void);
/* The rest of the worker's life. `fds`: START_FDS descriptors. */
_Noreturn void filch__serve(uint32_t slot, const int *fds, const struct filch__setup *setup);

/* Room for a message; waits while the ring is full. The head is filled in, the rest is zero. */
void *filch__server_begin(struct filch__server *s, enum filch__message_kind kind, size_t size);
/* Publishes what was begun, and wakes who sleeps for it. */
void filch__server_publish(struct filch__server *s);
/* A block of the arena; waits while the socket is full. NULL: no memory. */
void *filch__server_block(struct filch__server *s, size_t size, bool zeroed,
                          struct filch__bytes *bytes);
/* Sends what is in `result`; text (NULL: none), worker and pid are filled in. value, beside: what stands inline. */
void filch__server_send(struct filch__server *s, enum filch__message_kind kind,
                        struct filch__message_result *result, const void *value, const char *text,
                        const void *beside);
/* Takes a message from the ring and puts it aside. */
void filch__server_keep(struct filch__server *s, const struct filch__message *message);
/* The one at *at is aside no more, and the caller's. */
static inline struct filch__aside *filch__server_unkeep(struct filch__server *s,
                                                        struct filch__aside **at) {
    struct filch__aside *a = *at;
    *at = a->next;
    if (s->aside_end == &a->next) s->aside_end = at;
    return a;
}
/* Takes the name of a function. */
void filch__server_learn(struct filch__server *s, const struct filch__message *message,
                         bool in_ring);
/* Sleeps until there is something to read, or spuriously; ends the process if the zygote has ended. */
void filch__server_sleep(struct filch__server *s, int64_t deadline);
/* A short sleep, in which nothing can be missed. */
void filch__server_nap(int round);

/* The bytes of a message, where they stand inline or in a segment; *held is then to be released. NULL: there is no memory; they are given
 * back later. */
void *filch__server_bytes(struct filch__server *s, const struct filch__bytes *bytes,
                          const void *in_line, struct filch__held **held);

/* work.c: takes a task, runs it, and sends its result; or skips it. `in_ring`: consumes the message. */
void filch__work_task(struct filch__server *s, const struct filch__message_task *message,
                      bool in_ring);
/* Skips one that was revoked. */
void filch__work_skip(struct filch__server *s, const struct filch__message_task *message);
/* ops->result_alloc, ops->is_requested. */
void *filch__work_result_alloc(struct filch__self *self, size_t size);
bool filch__work_is_requested(struct filch__self *self);

static inline struct filch__server *filch__server_of(struct filch__self *self) {
    return container_of(self, struct filch__server, self);
}

#endif
