/* process/channel.h: what the program and one worker process share: two rings, claims, and who sleeps.
 *
 * Flow     dispatch.c writes down, serve.c reads it; serve.c writes up, collect.c reads it. README.md: T1 to T8, W1 to W4.
 * State    one file without a name. The parent's page and the down ring: the desk writes, the worker maps them for reading.
 *          The worker's page and the up ring: the worker writes; of the claims, the desk and who cancels write too.
 *          Each ring is mapped twice in a row, so that no message is cut.
 * Keeps    1. head - tail <= RING_SIZE, both grow only. The parent checks this of what the worker has written.
 *          2. Of a claim see the diagram in README.md.
 *          3. What the other side has written is read once, and checked before it is used (by the program; the worker
 *             believes it).
 * Orders
 *   Q1 store_release head (publish) -> Q2 load_acquire head (read, sleep): the messages
 *   Q3 store_release tail (consume) -> Q4 load_acquire tail (begin): the reader is done with the space
 *   Q5 store_release claim (post) -> Q6 cas_acq_rel claim (take, revoke): what was done before it was posted
 *   Q6 cas_acq_rel claim (take, revoke) -> Q6 cas_acq_rel claim (take, revoke): exactly one gets it
 *   Q5 store_release claim (post) -> Q7 load_acquire claim (state): as for Q6
 *   Q6 cas_acq_rel claim (take, revoke) -> Q7 load_acquire claim (state): what was done before it was taken or revoked
 *   Q8 fence_seq_cst (publish down) <-> Q9 fence_seq_cst (sleep, W2): of "publish, look whether it sleeps" and "say that it sleeps, look at the ring", at least one sees the other's store
 * Progress wait-free, but to wake a sleeper.
 * Memory   a channel is for one life of a worker. The next life gets a new one: what died may still write for a moment, and
 *          nothing must be reset. */
#ifndef FILCH_PROCESS_CHANNEL_H
#define FILCH_PROCESS_CHANNEL_H

#include "base/compiler.h"
#include "process/message.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHANNEL_TICKETS = 64, CHANNEL_PAGE = 4096, CHANNEL_RING = 128 * 1024 };

enum filch__claim { CLAIM_FREE, CLAIM_POSTED, CLAIM_TAKEN, CLAIM_REVOKED };

/* Written by the program. */
struct filch__parent_page {
    own_lines uint64_t down_head; /* bytes that were ever published downwards */
    own_lines uint64_t up_tail;   /* bytes that were ever read upwards */
    own_lines uint32_t bell;      /* the worker sleeps on it; one more at each ring */
    uint32_t
        cpu; /* one more than the CPU on which the parent waits awake; 0: it sleeps, or is elsewhere */
    /* generation << 1 | 1 if it was asked to end early; the generation is that of whoever has the ticket */
    own_lines uint64_t requested[CHANNEL_TICKETS];
};

/* Written by the worker. */
struct filch__worker_page {
    own_lines uint64_t up_head;
    own_lines uint64_t down_tail;
    own_lines uint32_t asleep; /* 0, or the value of `bell` on which it sleeps: bell << 1 | 1 */
    uint32_t cpu;              /* one more than the CPU on which it runs; 0: it sleeps */
    own_lines uint64_t claims[CHANNEL_TICKETS]; /* generation << 3 | enum filch__claim */
    uint64_t started
        [CHANNEL_TICKETS]; /* CLOCK_MONOTONIC nanoseconds at which a TASK_TIMED was taken; else 0 */
};

/* One side's view. The cursors are the side's own; nothing that the other side writes is kept here unchecked. */
struct filch__channel {
    struct filch__parent_page *parent;
    struct filch__worker_page *worker;
    char *down, *up;    /* rings, each mapped twice in a row */
    uint64_t down_pos;  /* parent: head with what is not published; worker: tail */
    uint64_t up_pos;    /* parent: tail; worker: head with what is not published */
    uint64_t down_seen; /* the other side's cursor, when it was last looked at */
    uint64_t up_seen;
    uint32_t reading; /* size of the message that was read last, as checked; 0: none */
    bool broken;      /* parent: the worker has written garbage */
    size_t mapped;    /* bytes at `parent` */
};

/* Program ------------------------------------------------------------------------------------------- */

/* Makes the shared file, all of it reserved, and maps it. Returns 0 or an errno; *fd is for the zygote, and then closed by the caller. */
int filch__channel_create(struct filch__channel *channel, int *fd);
void filch__channel_unmap(struct filch__channel *channel);

/* Room for a message of `size` bytes (at most MESSAGE_LARGEST; rounded up to a multiple of 16), to be filled by the caller; NULL: the ring is
 * full, or channel->broken. The head is filled in. Several may be begun, and then be published together. */
void *filch__channel_begin_down(struct filch__channel *channel, enum filch__message_kind kind,
                                size_t size);
/* Publishes what was begun; wakes the worker if it sleeps. */
void filch__channel_publish_down(struct filch__channel *channel);

/* The next message from the worker, checked as far as its head goes (size within the ring and at least `struct filch__message`);
 * NULL: none. *broken: the worker has written garbage: nothing more can be read from this channel. What is
 * returned lies in memory that the worker may still write: copy, check, then use. Its size is channel->reading,
 * and not what the message says by then. */
const struct filch__message *filch__channel_read_up(struct filch__channel *channel, bool *broken);
/* The message that was returned last is done with. */
void filch__channel_consume_up(struct filch__channel *channel);
/* Is there something that was not consumed (garbage too, until read_up has said so)? A hint that is ordered by fence and listener; any thread. */
bool filch__channel_has_up(const struct filch__channel *channel);

/* A thread of the program waits awake, on the CPU on which it is, for what this worker will send; or no more. A hint. */
void filch__channel_attend(struct filch__channel *channel, bool awake);
/* Is the worker awake, and on another CPU than the calling thread? Only then is it worth while to spin. A hint. */
bool filch__channel_is_elsewhere(const struct filch__channel *channel);

/* Does the worker sleep, or has it read all that was published? A hint. */
bool filch__channel_is_quiet(const struct filch__channel *channel);

/* Claims. post: the ticket is free. revoke: true if this call has won it; any thread. state: what the claim of that
 * generation is now; CLAIM_FREE if it is of another, or garbage; any thread. free: the ticket's use is over.
 * open: the ticket is about to be posted with that generation; from here on it can be requested.
 * request: the task is asked to end early, if the ticket is that generation's still; any thread. */
void filch__claim_open(struct filch__channel *channel, uint32_t ticket, uint64_t generation);
void filch__claim_post(struct filch__channel *channel, uint32_t ticket, uint64_t generation);
bool filch__claim_revoke(struct filch__channel *channel, uint32_t ticket, uint64_t generation);
enum filch__claim filch__claim_state(const struct filch__channel *channel, uint32_t ticket,
                                     uint64_t generation);
void filch__claim_free(struct filch__channel *channel, uint32_t ticket);
void filch__claim_request(struct filch__channel *channel, uint32_t ticket, uint64_t generation);

/* Worker -------------------------------------------------------------------------------------------- */

/* Maps the file: the program's part for reading. Returns 0 or an errno; fd stays the caller's. */
int filch__channel_attach(struct filch__channel *channel, int fd);
const struct filch__message *
filch__channel_read_down(struct filch__channel *channel); /* NULL: none */
void filch__channel_consume_down(struct filch__channel *channel);
/* As downwards; NULL: the ring is full (the program will read it). */
void *filch__channel_begin_up(struct filch__channel *channel, enum filch__message_kind kind,
                              size_t size);
void filch__channel_publish_up(struct filch__channel *channel);
bool filch__claim_take(struct filch__channel *channel, uint32_t ticket, uint64_t generation);
bool filch__claim_is_requested(const struct filch__channel *channel, uint32_t ticket,
                               uint64_t generation);
/* W1 to W4: returns when there is something to read, or spuriously. `spin`: nanoseconds. */
void filch__channel_sleep(struct filch__channel *channel, int64_t spin, int64_t deadline);

#endif
