/* process/channel.c: rings, claims and the worker's sleep; see channel.h for who writes what, and the edges.
 *
 * State    the file: parent's page, down ring, worker's page, up ring. In memory each ring stands twice.
 * Keeps    1. A cursor of the worker that the program has looked at (up_head, down_tail) lies between what it was and
 *             what it can be, and is a multiple of 16; else `broken` is set, for the rest of the channel's life.
 *          2. One ring of the bell per sleep at most: `asleep` names the value of the bell that ends the sleep, so
 *             that a parent which has rung, and publishes more before the worker runs, makes no second call.
 * Not here who wakes the program: serve.c, by the common page and the bells. */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "process/channel.h"

#include "base/atomics.h"
#include "os/futex.h"
#include "os/memory.h"
#include "os/shm.h"
#include "os/socket.h"
#include "os/spin.h"
#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <string.h>

_Static_assert(sizeof(struct filch__parent_page) <= CHANNEL_PAGE, "the parent's page is one");
_Static_assert(sizeof(struct filch__worker_page) <= CHANNEL_PAGE, "the worker's page is one");

enum {
    UNIT = 16,
    /* Offsets in the file. */
    FILE_DOWN = CHANNEL_PAGE,
    FILE_WORKER = FILE_DOWN + CHANNEL_RING,
    FILE_UP = FILE_WORKER + CHANNEL_PAGE,
    FILE_SIZE = FILE_UP + CHANNEL_RING,
    /* Offsets in memory. */
    AT_DOWN = CHANNEL_PAGE,
    AT_WORKER = AT_DOWN + 2 * CHANNEL_RING,
    AT_UP = AT_WORKER + CHANNEL_PAGE,
    AT_END = AT_UP + 2 * CHANNEL_RING
};

/* Mapping -------------------------------------------------------------------------------------------- */

static bool map_ring(int fd, size_t offset, char *at, bool writable) {
    return filch__shm_map(fd, offset, CHANNEL_RING, writable, at) != NULL &&
           filch__shm_map(fd, offset, CHANNEL_RING, writable, at + CHANNEL_RING) != NULL;
}

static int map_all(struct filch__channel *channel, int fd, bool is_parent) {
    char *base = filch__shm_reserve(AT_END);
    if (base == NULL) return ENOMEM;
    if (filch__shm_map(fd, 0, CHANNEL_PAGE, is_parent, base) == NULL ||
        !map_ring(fd, FILE_DOWN, base + AT_DOWN, is_parent) ||
        filch__shm_map(fd, FILE_WORKER, CHANNEL_PAGE, true, base + AT_WORKER) == NULL ||
        !map_ring(fd, FILE_UP, base + AT_UP, !is_parent)) {
        int error = errno;
        filch__unmap(base, AT_END);
        return error;
    }
    *channel = (struct filch__channel){.parent = (void *)base,
                                       .worker = (void *)(base + AT_WORKER),
                                       .down = base + AT_DOWN,
                                       .up = base + AT_UP,
                                       .mapped = AT_END};
    return 0;
}

int filch__channel_create(struct filch__channel *channel, int *fd) {
    int error = filch__shm_create("filch-channel", FILE_SIZE, fd);
    if (error != 0) return error;
    error = map_all(channel, *fd, true);
    if (error != 0) filch__fd_close(*fd);
    return error;
}

void filch__channel_unmap(struct filch__channel *channel) {
    filch__unmap(channel->parent, channel->mapped);
    memset(channel, 0, sizeof *channel);
}

/* One more than the CPU on which the caller is; 0: cannot be told. A few nanoseconds. */
static uint32_t here(void) {
    return (uint32_t)(sched_getcpu() + 1);
}

/* Worker: a store only if it has moved. */
static void note_here(struct filch__channel *channel) {
    uint32_t cpu = here();
    if (load_relaxed(&channel->worker->cpu) != cpu) /* relaxed: own field */
        store_relaxed(&channel->worker->cpu, cpu);  /* relaxed: a hint */
}

int filch__channel_attach(struct filch__channel *channel, int fd) {
    if (filch__shm_size(fd) != FILE_SIZE) return EINVAL;
    int error = map_all(channel, fd, false);
    if (error == 0) note_here(channel);
    return error;
}

/* Rings ---------------------------------------------------------------------------------------------- */

static size_t rounded(size_t size) {
    assert(size >= sizeof(struct filch__message) && size <= MESSAGE_LARGEST);
    return (size + UNIT - 1) & ~(size_t)(UNIT - 1);
}

static bool is_full(uint64_t head, uint64_t tail, size_t size) {
    return head + size - tail > CHANNEL_RING;
}

/* The message that begins at *pos, which moves behind it. */
static void *begin(char *ring, uint64_t *pos, enum filch__message_kind kind, size_t size) {
    struct filch__message *message = (void *)(ring + *pos % CHANNEL_RING);
    *message = (struct filch__message){.size = (uint32_t)size, .kind = (uint32_t)kind};
    *pos += size;
    return message;
}

static void publish(uint64_t *head, uint64_t pos) {
    store_release(head, pos); /* Q1 -> Q2 */
}

/* Behind the message that was read last. */
static void consume(struct filch__channel *channel, uint64_t *tail, uint64_t *pos) {
    assert(channel->reading != 0);
    *pos += channel->reading;
    channel->reading = 0;
    store_release(tail, *pos); /* Q3 -> Q4 */
}

/* Program: looks at how far the worker has read. It cannot have read backwards, nor what is not published. */
static bool look_down_tail(struct filch__channel *channel) {
    uint64_t tail = load_acquire(&channel->worker->down_tail); /* Q4 <- Q3 */
    uint64_t head = load_relaxed(&channel->parent->down_head); /* relaxed: own field */
    if (tail - channel->down_seen > head - channel->down_seen || tail % UNIT != 0) {
        store_relaxed(&channel->broken, true); /* relaxed: see has_up */
        return false;
    }
    channel->down_seen = tail;
    return true;
}

void *filch__channel_begin_down(struct filch__channel *channel, enum filch__message_kind kind,
                                size_t size) {
    size = rounded(size);
    if (channel->broken) return NULL;
    if (is_full(channel->down_pos, channel->down_seen, size) &&
        (!look_down_tail(channel) || is_full(channel->down_pos, channel->down_seen, size)))
        return NULL;
    return begin(channel->down, &channel->down_pos, kind, size);
}

void *filch__channel_begin_up(struct filch__channel *channel, enum filch__message_kind kind,
                              size_t size) {
    size = rounded(size);
    if (is_full(channel->up_pos, channel->up_seen, size)) {
        channel->up_seen = load_acquire(&channel->parent->up_tail); /* Q4 <- Q3 */
        if (is_full(channel->up_pos, channel->up_seen, size)) return NULL;
    }
    return begin(channel->up, &channel->up_pos, kind, size);
}

void filch__channel_publish_up(struct filch__channel *channel) {
    note_here(channel);
    publish(&channel->worker->up_head, channel->up_pos);
}

/* Looks at how far the worker has written. */
static bool look_up_head(struct filch__channel *channel) {
    uint64_t head = load_acquire(&channel->worker->up_head); /* Q2 <- Q1 */
    if (head - channel->up_pos > CHANNEL_RING || head % UNIT != 0) {
        store_relaxed(&channel->broken, true); /* relaxed: see has_up */
        return false;
    }
    channel->up_seen = head;
    return true;
}

const struct filch__message *filch__channel_read_up(struct filch__channel *channel, bool *broken) {
    const struct filch__message *message = NULL;
    if (!channel->broken && (channel->up_seen != channel->up_pos || look_up_head(channel)) &&
        channel->up_seen != channel->up_pos) {
        message = (void *)(channel->up + channel->up_pos % CHANNEL_RING);
        uint32_t size = load_relaxed(&message->size); /* relaxed: read once; ordered by Q2 */
        if (size < sizeof *message || size > MESSAGE_LARGEST || size % UNIT != 0 ||
            size > channel->up_seen - channel->up_pos) {
            store_relaxed(&channel->broken, true); /* relaxed: see has_up */
            message = NULL;
        } else {
            channel->reading = size;
        }
    }
    *broken = channel->broken;
    return message;
}

void filch__channel_consume_up(struct filch__channel *channel) {
    consume(channel, &channel->parent->up_tail, &channel->up_pos);
}

bool filch__channel_has_up(const struct filch__channel *channel) {
    if (load_relaxed(&channel->broken)) return false;        /* relaxed: a hint */
    uint64_t tail = load_relaxed(&channel->parent->up_tail); /* relaxed: a hint */
    return load_acquire(&channel->worker->up_head) != tail;  /* Q2 <- Q1 */
}

/* Worker: is there something to read? */
static bool has_down(struct filch__channel *channel) {
    if (channel->down_seen == channel->down_pos)
        channel->down_seen = load_acquire(&channel->parent->down_head); /* Q2 <- Q1 */
    return channel->down_seen != channel->down_pos;
}

const struct filch__message *filch__channel_read_down(struct filch__channel *channel) {
    if (!has_down(channel)) return NULL;
    const struct filch__message *message =
        (void *)(channel->down + channel->down_pos % CHANNEL_RING);
    channel->reading = message->size;
    return message;
}

void filch__channel_consume_down(struct filch__channel *channel) {
    consume(channel, &channel->worker->down_tail, &channel->down_pos);
}

/* Claims --------------------------------------------------------------------------------------------- */

static uint64_t claim_of(uint64_t generation, enum filch__claim state) {
    return generation << 3 | (uint64_t)state;
}

static bool claim_change(struct filch__channel *channel, uint32_t ticket, uint64_t generation,
                         enum filch__claim to) {
    uint64_t posted = claim_of(generation, CLAIM_POSTED);
    return cas_acq_rel(&channel->worker->claims[ticket], &posted,
                       claim_of(generation, to)); /* Q6 -> Q6, Q7; Q6 <- Q5, Q6 */
}

void filch__claim_post(struct filch__channel *channel, uint32_t ticket, uint64_t generation) {
    store_release(&channel->worker->claims[ticket],
                  claim_of(generation, CLAIM_POSTED)); /* Q5 -> Q6, Q7 */
}

bool filch__claim_take(struct filch__channel *channel, uint32_t ticket, uint64_t generation) {
    return claim_change(channel, ticket, generation, CLAIM_TAKEN);
}

bool filch__claim_revoke(struct filch__channel *channel, uint32_t ticket, uint64_t generation) {
    return claim_change(channel, ticket, generation, CLAIM_REVOKED);
}

enum filch__claim filch__claim_state(const struct filch__channel *channel, uint32_t ticket,
                                     uint64_t generation) {
    uint64_t claim = load_acquire(&channel->worker->claims[ticket]); /* Q7 <- Q5, Q6 */
    if (claim >> 3 != generation || (claim & 7) > CLAIM_REVOKED) return CLAIM_FREE;
    return (enum filch__claim)(claim & 7);
}

void filch__claim_free(struct filch__channel *channel, uint32_t ticket) {
    /* relaxed: nobody takes it from here; what is posted next comes after it in the word's order */
    store_relaxed(&channel->worker->claims[ticket], claim_of(0, CLAIM_FREE));
}

void filch__claim_open(struct filch__channel *channel, uint32_t ticket, uint64_t generation) {
    /* relaxed: who requests it has the generation from what is published after this */
    store_relaxed(&channel->parent->requested[ticket], generation << 1);
}

void filch__claim_request(struct filch__channel *channel, uint32_t ticket, uint64_t generation) {
    uint64_t open = generation << 1;
    /* relaxed: the number alone counts */
    (void)cas_relaxed(&channel->parent->requested[ticket], &open, open | 1);
}

bool filch__claim_is_requested(const struct filch__channel *channel, uint32_t ticket,
                               uint64_t generation) {
    /* relaxed: the number alone counts */
    return load_relaxed(&channel->parent->requested[ticket]) == (generation << 1 | 1);
}

/* Sleep ---------------------------------------------------------------------------------------------- */

/* What `asleep` is while the worker sleeps on that value of the bell. */
static uint32_t asleep_on(uint32_t bell) {
    return bell << 1 | 1;
}

void filch__channel_publish_down(struct filch__channel *channel) {
    struct filch__parent_page *page = channel->parent;
    publish(&page->down_head, channel->down_pos);
    fence_seq_cst();                                          /* Q8 <-> Q9 */
    uint32_t bell = load_relaxed(&page->bell);                /* relaxed: own field */
    uint32_t asleep = load_relaxed(&channel->worker->asleep); /* relaxed: ordered by Q8 */
    if (asleep != asleep_on(bell)) return;
    store_relaxed(&page->bell, bell + 1); /* relaxed: the kernel compares it after this call */
    filch__futex_wake_shared(&page->bell, 1);
}

void filch__channel_attend(struct filch__channel *channel, bool awake) {
    store_relaxed(&channel->parent->cpu, awake ? here() : 0); /* relaxed: a hint */
}

static bool is_elsewhere(const uint32_t *word) {
    uint32_t cpu = load_relaxed(word); /* relaxed: a hint */
    return cpu != 0 && cpu != here();
}

bool filch__channel_is_elsewhere(const struct filch__channel *channel) {
    return is_elsewhere(&channel->worker->cpu);
}

bool filch__channel_is_quiet(const struct filch__channel *channel) {
    if (load_relaxed(&channel->worker->asleep) != 0) return true;          /* relaxed: a hint */
    return load_relaxed(&channel->worker->down_tail) == channel->down_pos; /* relaxed: a hint */
}

/* W1. True: there is something to read. */
static bool spin_for_down(struct filch__channel *channel, int64_t duration, int64_t deadline) {
    if (duration <= 0 || !is_elsewhere(&channel->parent->cpu)) return false;
    struct filch__spin spin = filch__spin_begin();
    while (!has_down(channel))
        if (!filch__spin_pause(&spin, duration, deadline)) return false;
    return true;
}

/* Nanoseconds until a worker looks again without having been rung for: 250 ms, some 5 us of CPU each. */
#define NAP 250000000

void filch__channel_sleep(struct filch__channel *channel, int64_t spin, int64_t deadline) {
    struct filch__worker_page *page = channel->worker;
    if (has_down(channel) || spin_for_down(channel, spin, deadline)) return;
    /* relaxed: `asleep` depends on it, and so comes after it */
    uint32_t bell = load_relaxed(&channel->parent->bell);
    store_relaxed(&page->cpu, 0);                  /* relaxed: a hint */
    store_relaxed(&page->asleep, asleep_on(bell)); /* relaxed: W2, ordered by Q9 */
    fence_seq_cst();                               /* Q9 <-> Q8 */
    /* W3, W4. What the worker's tasks write there may be garbage: it looks again even if nobody rings. */
    int64_t nap = filch__deadline(NAP);
    if (!has_down(channel))
        filch__futex_wait_shared(&channel->parent->bell, bell, nap < deadline ? nap : deadline);
    store_relaxed(&page->asleep,
                  0); /* relaxed: a parent that still sees the old value rings for nothing */
    note_here(channel);
}
