/* process/message.h: what travels between the program, the zygote and the workers.
 *
 * Flow     down: program -> worker, up: worker -> program, in the rings of a channel. Between program and zygote:
 *          packets on a socket, with file descriptors.
 * State    a message is a head, then its fixed part, then its bytes; lengths are multiples of 16. All processes run the
 *          same build of the library (the zygote is the same program), so that layouts agree.
 * Keeps    1. The reader of the up ring believes nothing: it copies the fixed part, checks every length, index and
 *             reference against the message's length and its own books, and only then uses it.
 *          2. Bytes beyond MESSAGE_INLINE stand in a segment (arena.h) and are named by a reference. */
#ifndef FILCH_PROCESS_MESSAGE_H
#define FILCH_PROCESS_MESSAGE_H

#include "process/module.h"
#include <stdint.h>
#include <string.h>

/* Bytes of an argument, a result or a text that stand in the ring itself; goals.md's bound for a copy. */
enum { MESSAGE_INLINE = 4096 };
/* The longest message: fixed part, function, value and text inline. */
enum { MESSAGE_LARGEST = 16384 };

/* Where bytes stand: inline, behind the fixed part in the order of the fields, each at the next multiple of 16; or in a
 * segment. Whoever reads a message gives the blocks that it names back, also those of a task that it skips. */
struct filch__bytes {
    uint64_t size;
    uint64_t offset; /* in the segment */
    uint32_t
        segment; /* 0: inline; else its number, which starts at 1 in each life of a channel and direction */
    uint32_t unused;
};

static inline uint64_t filch__message_round(uint64_t size) {
    return (size + 15) & ~UINT64_C(15);
}

/* What they take of the message itself. */
static inline size_t filch__bytes_in_line(const struct filch__bytes *bytes) {
    return bytes->segment != 0 ? 0 : (size_t)filch__message_round(bytes->size);
}
/* Puts what stands inline at `to`; returns where the next goes. */
static inline char *filch__bytes_put(char *to, const void *from, const struct filch__bytes *bytes) {
    size_t size = filch__bytes_in_line(bytes);
    if (size != 0) memcpy(to, from, (size_t)bytes->size);
    return to + size;
}

enum filch__message_kind {
    /* Down. */
    MESSAGE_TASK = 1, /* struct filch__message_task */
    MESSAGE_FUNCTION, /* struct filch__message_function: before the first task that uses it */
    MESSAGE_QUIT,     /* end with status 0 when the ring is empty */
    MESSAGE_AWAIT_OK, /* answer to AWAIT: everything that was posted before is revoked */
    MESSAGE_AWAIT_REFUSED, /* struct filch__message_child: no worker is left to run that child, and none can be started */
    MESSAGE_CHILD_DONE, /* struct filch__message_result, id: how a task ended that this worker has submitted */
    MESSAGE_CHILD_SAID, /* struct filch__message_child: answer to SUBMIT or CANCEL, of which each gets one */
    /* Up. */
    MESSAGE_READY =
        16,          /* struct filch__message_result: initialized; code and text if that failed */
    MESSAGE_RESULT,  /* struct filch__message_result: T6 */
    MESSAGE_SKIPPED, /* struct filch__message_result, ticket and generation only */
    MESSAGE_RETIRE,  /* no more tasks are taken in this life: revoke what is posted, then QUIT */
    MESSAGE_SUBMIT,  /* struct filch__message_submit */
    MESSAGE_CANCEL,  /* struct filch__message_child: one of enum filch__child_call */
    /* struct filch__message_child: the task on top waits for that child (0: for something else); flags: AWAIT_ISOLATED, AWAIT_LOW */
    MESSAGE_AWAIT,
    MESSAGE_AWAKE /* that wait is over */
};

struct filch__message {
    uint32_t size; /* of the whole, a multiple of 16 */
    uint32_t kind;
    uint64_t reserved;
};

enum {
    TASK_ON_TOP = 1, /* runs on top of the task that waits */
    TASK_TIMED = 2,  /* the time of its start is wanted (filch__worker_page.started) */
    TASK_CHUNK = 4,  /* `function` runs each input of an array that is the argument: see packed.h */
    TASK_SEGMENT = 8 /* the result shall stand in a segment: result_size > MESSAGE_INLINE */
};
struct filch__message_task {
    struct filch__message head;
    uint64_t generation;
    uint32_t ticket;
    uint32_t function; /* number of an earlier MESSAGE_FUNCTION in this life */
    uint32_t flags;
    uint32_t child; /* with TASK_ON_TOP: its number, if this worker has submitted it; else 0 */
    uint64_t result_size;
    struct filch__bytes arg;
    /* inline argument */
};

/* module.h. Then the path, path_size bytes with the final 0. */
struct filch__message_function {
    struct filch__message head;
    uint32_t function; /* its number: 0, 1, 2 ... in each life */
    uint32_t path_size;
    uint32_t id_size;
    uint32_t unused;
    uint64_t offset;
    uint8_t id[32];
};

enum {
    RESULT_ALLOCATED = 1, /* the value is of filch_result_alloc */
    RESULT_CANCELLED = 2  /* of a child: it was cancelled, and has not run */
};
struct filch__message_result {
    struct filch__message head;
    uint64_t generation; /* or the number of a child */
    uint32_t ticket;
    int32_t code;
    uint32_t flags;
    int32_t worker; /* of a child: index of who ran it, or -1 */
    int32_t pid;
    uint32_t unused;
    struct filch__bytes value, text; /* text without the final 0 */
    struct filch__bytes beside;      /* with RESULT_ALLOCATED: what the task wrote as its result */
    /* inline value, inline text, inline beside */
};

enum filch__child_call {
    CHILD_CANCEL,  /* answer: 0: it is cancelled; FILCH_ESTATE: it has started */
    CHILD_REQUEST, /* filch_future_request_cancel; answer: the same */
    CHILD_LOOK     /* nothing; answer: 0: it has not started; FILCH_ESTATE */
};
enum {
    AWAIT_ISOLATED = 1, /* nothing but that child may run on top */
    AWAIT_LOW = 2       /* nothing may: the stack is used up */
};
enum { SUBMIT_DETACHED = 1 /* nobody waits for it: no CHILD_DONE */, SUBMIT_CHUNK = 4 };

struct filch__message_child {
    struct filch__message head;
    uint64_t child; /* number that the worker has chosen, from 1 on */
    int32_t code;   /* of an answer: 0 or why not */
    uint32_t flags;
};

struct filch__message_submit {
    struct filch__message head;
    uint64_t child;
    uint64_t result_size;
    uint64_t offset;    /* of the function, as in filch__message_function */
    uint32_t path_size; /* with the final 0 */
    uint32_t id_size;
    uint8_t id[32];
    uint32_t flags;
    int32_t retries;
    struct filch__bytes arg, name;
    /* inline path, argument, name (without 0) */
};

/* On the zygote's socket ---------------------------------------------------------------------------- */

/* A process with this variable in its environment is a zygote; the value is the socket's descriptor, always "3". */
#define ZYGOTE_VARIABLE "FILCH_ZYGOTE"
enum { ZYGOTE_SOCKET = 3 };

/* Descriptors of PACKET_START, in this order. */
enum filch__start_fd {
    START_CHANNEL,
    START_COMMON, /* listener.h; mapped for reading */
    START_SOCKET, /* the worker's end: descriptors of segments, both ways */
    START_BELL_MANAGER,
    START_BELL_ATTENDANT,
    START_FDS
};

enum filch__packet_kind {
    /* To the zygote. */
    PACKET_START = 1, /* slot, life; START_FDS descriptors */
    PACKET_KILL,      /* slot, life: SIGKILL, if it has not ended */
    PACKET_SETUP,     /* first, before the zygote is started; one descriptor: struct filch__setup */
    /* From it. */
    PACKET_HELLO = 16, /* pid, number: 0, or what failed, with `text` */
    PACKET_STARTED,    /* slot, life, pid */
    PACKET_FAILED,     /* slot, life, number: errno of fork */
    PACKET_DIED        /* slot, life, pid, code, number: si_code and si_status of waitid */
};
/* Bytes of a packet's text, with the final 0. */
enum { ZYGOTE_TEXT = 228 };
struct filch__packet {
    uint32_t kind;
    uint32_t slot;
    uint64_t life;
    int32_t pid;
    int32_t code;
    int32_t number;
    char text[ZYGOTE_TEXT];
};
_Static_assert(sizeof(struct filch__packet) == 256, "one packet");

struct filch__setup_limit {
    int32_t resource;
    int32_t unused;
    uint64_t soft, hard; /* UINT64_MAX: none */
};
/* What the options say, at the start of a file of filch__shm_create; the program has unmapped it when it sends it, and
 * the zygote and its workers map it for reading. */
struct filch__setup {
    int32_t program;                   /* its pid */
    int32_t max_workers, worker_limit; /* of the executor, for who asks in a task */
    uint32_t has_preload, has_initializer;
    uint32_t limit_count;
    uint64_t max_tasks;    /* 0: no limit */
    uint64_t memory_limit; /* 0: no limit */
    int64_t spin;          /* nanoseconds, or -1 */
    uint64_t argument_size;
    struct filch__function_name preload, initializer;
    /* limit_count limits; then, at the next multiple of 16, the argument of the initializer */
};
static inline uint64_t filch__setup_limits(void) {
    return filch__message_round(sizeof(struct filch__setup));
}
static inline uint64_t filch__setup_argument(uint32_t limit_count) {
    return filch__message_round(filch__setup_limits() +
                                limit_count * sizeof(struct filch__setup_limit));
}

#endif
