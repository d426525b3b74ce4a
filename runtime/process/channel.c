/* process/channel.c: the rings, the claims and the sleep of a channel; see channel.h. */
#include "process/channel.h"

#include "base/atomics.h"
#include "base/compiler.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/memory.h"
#include "os/shm.h"
#include "os/spin.h"
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

enum {
    DOWN_OFFSET = CHANNEL_PAGE,
    WORKER_OFFSET = DOWN_OFFSET + CHANNEL_RING,
    UP_OFFSET = WORKER_OFFSET + CHANNEL_PAGE,
    FILE_SIZE = UP_OFFSET + CHANNEL_RING,
    /* Address space: the two pages, and each ring twice. */
    SPAN = 2 * CHANNEL_PAGE + 4 * CHANNEL_RING
};
_Static_assert(sizeof(struct filch__parent_page) <= CHANNEL_PAGE, "one page");
_Static_assert(sizeof(struct filch__worker_page) <= CHANNEL_PAGE, "one page");
_Static_assert(MESSAGE_LARGEST * 2 <= CHANNEL_RING, "a message always fits into an empty ring");

/* One part of the file at `at`; a ring once more behind itself. */
static bool map_part(int fd, size_t offset, size_t size, bool writable, char *at) {
    return filch__shm_map(fd, offset, size, writable, at) != NULL &&
           (size == CHANNEL_PAGE || filch__shm_map(fd, offset, size, writable, at + size) != NULL);
}

/* The program's part is mapped for reading only in the worker. */
static int map_channel(struct filch__channel *c, int fd, bool program) {
    char *base = filch__shm_reserve(SPAN);
    if (base == NULL) return ENOMEM;
    char *down = base + CHANNEL_PAGE, *worker = down + 2 * CHANNEL_RING;
    char *up = worker + CHANNEL_PAGE;
    if (!map_part(fd, 0, CHANNEL_PAGE, program, base) ||
        !map_part(fd, DOWN_OFFSET, CHANNEL_RING, program, down) ||
        !map_part(fd, WORKER_OFFSET, CHANNEL_PAGE, true, worker) ||
        !map_part(fd, UP_OFFSET, CHANNEL_RING, true, up)) {
        int error = errno;
        filch__unmap(base, SPAN);
        return error;
    }
    *c = (struct filch__channel){
        .parent = (void *)base, .worker = (void *)worker, .down = down, .up = up, .mapped = SPAN};
    return 0;
}

int filch__channel_create(struct filch__channel *channel, int *fd) {
    int file, error = filch__shm_create("filch-channel", FILE_SIZE, &file);
    if (error != 0) return error;
    error = map_channel(channel, file, true);
    if (error == 0)
        *fd = file;
    else
        close(file);
    return error;
}

int filch__channel_attach(struct filch__channel *channel, int fd) {
    if (filch__shm_size(fd) != FILE_SIZE) return EINVAL;
    return map_channel(channel, fd, false);
}

void filch__channel_unmap(struct filch__channel *channel) {
    if (channel->parent != NULL) filch__unmap(channel->parent, channel->mapped);
    *channel = (struct filch__channel){0};
}

/* Rings ------------------------------------------------------------------------------------------- */

/* Fills in the head of a message at `pos`, if there is room behind what the reader has done with (`tail`). */
static void *begin(char *ring, uint64_t *pos, uint64_t tail, enum filch__message_kind kind,
                   size_t size) {
    size = (size + 15) & ~(size_t)15;
    if (*pos + size - tail > CHANNEL_RING) return NULL;
    struct filch__message *m = (void *)(ring + *pos % CHANNEL_RING);
    *m = (struct filch__message){.size = (uint32_t)size, .kind = (uint32_t)kind};
    *pos += size;
    return m;
}

void *filch__channel_begin_down(struct filch__channel *c, enum filch__message_kind kind,
                                size_t size) {
    uint64_t tail = load_acquire(&c->worker->down_tail); /* Q4 <- Q3 */
    if (unlikely(c->down_pos - tail > CHANNEL_RING)) return NULL;
    return begin(c->down, &c->down_pos, tail, kind, size);
}

bool filch__channel_is_sound(const struct filch__channel *c) {
    uint64_t tail = load_acquire(&c->worker->down_tail); /* Q4 <- Q3 */
    return c->down_pos - tail <= CHANNEL_RING;
}

void *filch__channel_begin_up(struct filch__channel *c, enum filch__message_kind kind,
                              size_t size) {
    uint64_t tail = load_acquire(&c->parent->up_tail); /* Q8 <- Q7 */
    return begin(c->up, &c->up_pos, tail, kind, size);
}

void filch__channel_publish_down(struct filch__channel *c) {
    store_release(&c->parent->down_head, c->down_pos); /* Q1 -> Q2 */
    fence_seq_cst();                                   /* Q11 <-> Q10 */
    if (load_relaxed(&c->worker->asleep) == 0) return; /* relaxed: ordered by Q11 */
    /* The worker sleeps as long as the bell is what it was. */
    store_relaxed(&c->parent->bell,
                  load_relaxed(&c->parent->bell) + 1); /* relaxed: one writer; the futex orders */
    filch__futex_wake_shared(&c->parent->bell, 1);
}

void filch__channel_publish_up(struct filch__channel *c) {
    store_release(&c->worker->up_head, c->up_pos); /* Q5 -> Q6 */
}

bool filch__channel_has_up(const struct filch__channel *c) {
    return load_acquire(&c->worker->up_head) != c->up_pos; /* Q6 <- Q5 */
}

const struct filch__message *filch__channel_read_up(struct filch__channel *c, bool *broken) {
    uint64_t head = load_acquire(&c->worker->up_head); /* Q6 <- Q5 */
    uint64_t there = head - c->up_pos;
    *broken = false;
    if (there == 0) return NULL;
    const struct filch__message *m = (void *)(c->up + c->up_pos % CHANNEL_RING);
    *broken = there > CHANNEL_RING || there % 16 != 0;
    if (*broken) return NULL;
    uint32_t size = load_relaxed(&m->size); /* relaxed: ordered by Q6; may be garbage */
    *broken = size < sizeof *m || size % 16 != 0 || size > MESSAGE_LARGEST || size > there;
    if (*broken) return NULL;
    c->up_size = size;
    return m;
}

void filch__channel_consume_up(struct filch__channel *c) {
    c->up_pos += c->up_size;
    store_release(&c->parent->up_tail, c->up_pos); /* Q7 -> Q8 */
}

const struct filch__message *filch__channel_read_down(struct filch__channel *c) {
    uint64_t head = load_acquire(&c->parent->down_head); /* Q2 <- Q1 */
    return head == c->down_pos ? NULL : (void *)(c->down + c->down_pos % CHANNEL_RING);
}

void filch__channel_consume_down(struct filch__channel *c) {
    const struct filch__message *m = (void *)(c->down + c->down_pos % CHANNEL_RING);
    c->down_pos += m->size;
    store_release(&c->worker->down_tail, c->down_pos); /* Q3 -> Q4 */
}

/* Claims ------------------------------------------------------------------------------------------ */

static uint64_t claim_of(uint64_t generation, enum filch__claim claim) {
    return generation << 3 | (uint64_t)claim;
}

static bool win(uint64_t *word, uint64_t generation, enum filch__claim to) {
    uint64_t posted = claim_of(generation, CLAIM_POSTED);
    return cas_acq_rel(word, &posted, claim_of(generation, to)); /* Q9 -> Q9, Q12; Q9 <- Q9, Q13 */
}

void filch__claim_post(struct filch__channel *c, uint32_t ticket, uint64_t generation) {
    store_release(&c->worker->claims[ticket], claim_of(generation, CLAIM_POSTED)); /* Q13 -> Q9 */
}
bool filch__claim_revoke(struct filch__channel *c, uint32_t ticket, uint64_t generation) {
    return win(&c->worker->claims[ticket], generation, CLAIM_REVOKED);
}
bool filch__claim_take(struct filch__channel *c, uint32_t ticket, uint64_t generation) {
    return win(&c->worker->claims[ticket], generation, CLAIM_TAKEN);
}
enum filch__claim filch__claim_state(const struct filch__channel *c, uint32_t ticket,
                                     uint64_t generation) {
    uint64_t word = load_acquire(&c->worker->claims[ticket]); /* Q12 <- Q9 */
    uint64_t claim = word & 7;
    return word >> 3 == generation && claim <= CLAIM_REVOKED ? (enum filch__claim)claim
                                                             : CLAIM_FREE;
}
void filch__claim_free(struct filch__channel *c, uint32_t ticket) {
    store_relaxed(&c->worker->claims[ticket], 0); /* relaxed: no generation is used twice */
}

void filch__claim_request(struct filch__channel *c, uint32_t ticket, uint64_t generation) {
    store_release(&c->parent->requested[ticket], generation); /* Q14 -> Q15 */
}
bool filch__claim_is_requested(const struct filch__channel *c, uint32_t ticket,
                               uint64_t generation) {
    return load_acquire(&c->parent->requested[ticket]) == generation; /* Q15 <- Q14 */
}

/* Sleep ------------------------------------------------------------------------------------------- */

static bool has_down(const struct filch__channel *c) {
    return load_acquire(&c->parent->down_head) != c->down_pos; /* Q2 <- Q1 */
}

/* Does the program wait awake on another CPU? */
static bool other_is_awake(const struct filch__channel *c, uint32_t cpu) {
    uint32_t theirs = load_relaxed(&c->parent->cpu); /* relaxed: a hint */
    return theirs != 0 && theirs != cpu;
}

static bool spin_for_down(struct filch__channel *c, int64_t spin, int64_t deadline) {
    uint32_t cpu = (uint32_t)sched_getcpu() + 1;
    store_relaxed(&c->worker->cpu, cpu); /* relaxed: a hint */
    if (spin <= 0 || !other_is_awake(c, cpu)) return has_down(c);
    struct filch__spin pauses = filch__spin_begin();
    do {
        if (has_down(c)) return true;
    } while (filch__spin_pause(&pauses, spin, deadline));
    return has_down(c);
}

void filch__channel_sleep(struct filch__channel *c, int64_t spin, int64_t deadline) {
    if (spin_for_down(c, spin, deadline)) return;   /* W1 */
    uint32_t bell = load_relaxed(&c->parent->bell); /* relaxed: compared by the futex */
    store_relaxed(&c->worker->asleep, 1u);          /* relaxed: Q10 follows; W2 */
    fence_seq_cst();                                /* Q10 <-> Q11 */
    if (!has_down(c))                               /* W3 */
        filch__futex_wait_shared(&c->parent->bell, bell, deadline); /* W4 */
    store_relaxed(&c->worker->asleep, 0u); /* relaxed: a wake-up too many does no harm */
}
