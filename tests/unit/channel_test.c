/* channel_test.c: what the program and a worker share (process/channel.h), with a forked child as the worker: messages, claims,
 * sleep; and what a worker may do to the program: die at any moment, and write garbage wherever it can write.
 *
 * Orders that are too weak do not show on x86-64, whose stores release and whose loads acquire; a missing fence of the
 * sleep does: channel_sleep::worker_is_always_woken then hangs, and ends by its time limit.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "base/atomics.h"
#include "base/random.h"
#include "os/bell.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/memory.h"
#include "process/channel.h"
#include "os_support.h"
#include "support.h"
#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

TestSuite(channel, .timeout = 20);
TestSuite(channel_claim, .timeout = 20);
TestSuite(channel_sleep, .timeout = 10);
TestSuite(channel_bad_worker, .timeout = 20);

static struct filch__channel make_channel(int *fd) {
    struct filch__channel channel;
    cr_assert_eq(filch__channel_create(&channel, fd), 0);
    return channel;
}

/* In a child: ends it with a status that says where. */
#define CHILD_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) _exit(100 + __LINE__ % 100);                                             \
    } while (0)

static struct filch__channel child_attach(int fd) {
    struct filch__channel channel;
    CHILD_CHECK(filch__channel_attach(&channel, fd) == 0);
    return channel;
}

/* What both processes write, beside the channel. */
struct notes {
    uint32_t turn;
    uint64_t published;
    uint64_t taken;
};
static struct notes *make_notes(void) {
    void *page =
        mmap(NULL, sizeof(struct notes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(page, MAP_FAILED);
    return page;
}
static void turn_wait(struct notes *notes, uint32_t turn) {
    while (load_acquire(&notes->turn) != turn) sched_yield();
}
static void turn_set(struct notes *notes, uint32_t turn) {
    store_release(&notes->turn, turn);
}

static uint32_t any(struct filch__random *random, uint32_t n) {
    return filch__random_below(random, n);
}

/* Messages: the number in `reserved`, the rest follows from it. */
static size_t size_of(uint64_t number) {
    struct filch__random random;
    filch__random_init(&random, number);
    uint32_t kind = any(&random, 8);
    size_t most = kind == 0 ? MESSAGE_LARGEST : kind < 3 ? 5000 : 200;
    return sizeof(struct filch__message) +
           any(&random, (uint32_t)(most - sizeof(struct filch__message) + 1));
}
static void fill(struct filch__message *message, uint64_t number) {
    message->reserved = number;
    memset(message + 1, (int)(number * 31 & 0xff), size_of(number) - sizeof *message);
}
static bool is_intact(const struct filch__message *message, uint32_t size, uint64_t number) {
    size_t bytes = size_of(number);
    const unsigned char *byte = (const unsigned char *)(message + 1);
    if (message->reserved != number || size != ((bytes + 15) & ~(size_t)15)) return false;
    for (size_t i = 0; i < bytes - sizeof *message; i++)
        if (byte[i] != (number * 31 & 0xff)) return false;
    return true;
}

/* Messages ------------------------------------------------------------------------------------- */

#define LAST MESSAGE_QUIT

/* Sends each message back, under its number, in another size. */
static void echo(int fd, int bell) {
    struct filch__channel channel = child_attach(fd);
    for (uint64_t number = 0;; number++) {
        const struct filch__message *message;
        while ((message = filch__channel_read_down(&channel)) == NULL)
            filch__channel_sleep(&channel, number % 3 == 0 ? 10000 : 0, FILCH_FOREVER);
        if (message->kind == LAST) break;
        CHILD_CHECK(is_intact(message, message->size, number));
        struct filch__message *answer;
        while ((answer = filch__channel_begin_up(&channel, MESSAGE_RESULT, size_of(number + 1))) ==
               NULL)
            sched_yield();
        fill(answer, number + 1);
        filch__channel_publish_up(&channel);
        filch__channel_consume_down(&channel);
        filch__bell_ring(bell);
    }
    _exit(0);
}

static uint64_t read_all(struct filch__channel *channel, uint64_t number) {
    const struct filch__message *message;
    bool broken;
    while ((message = filch__channel_read_up(channel, &broken)) != NULL) {
        cr_assert_eq(message->kind, MESSAGE_RESULT);
        cr_assert(is_intact(message, channel->reading, ++number), "answer %lu",
                  (unsigned long)number);
        filch__channel_consume_up(channel);
    }
    cr_assert_not(broken);
    return number;
}

/* Posts up to `n` messages, and publishes them together; returns the number of the next. */
static uint64_t send_some(struct filch__channel *channel, uint64_t number, uint64_t n) {
    for (; n > 0; n--, number++) {
        void *message = filch__channel_begin_down(channel, MESSAGE_TASK, size_of(number));
        if (message == NULL) break;
        fill(message, number);
    }
    filch__channel_publish_down(channel);
    return number;
}

Test(channel, carries_messages_in_order_both_ways) {
    const uint64_t count = (uint64_t)stress(30000);
    struct filch__random random;
    int fd, bell = filch__bell_create();
    struct filch__channel channel = make_channel(&fd);
    pid_t child = child_start();
    if (child == 0) echo(fd, bell);
    filch__random_init(&random, 1);
    uint64_t sent = 0, received = 0;
    while (received < count) {
        uint64_t before = sent + received;
        /* Phases: up to 8, which is often few enough to empty the rings; or until they are full. */
        uint64_t n = sent / 2000 % 2 == 0 ? any(&random, 8) : 100000;
        sent = send_some(&channel, sent, n < count - sent ? n : count - sent);
        filch__bell_clear(bell);
        received = read_all(&channel, received);
        bool ready;
        if (sent + received == before && sent > received)
            cr_assert(filch__fds_wait(&bell, 1, &ready, FILCH_FOREVER));
    }
    cr_assert_eq(sent, received);
    while (filch__channel_begin_down(&channel, LAST, 16) == NULL) sched_yield();
    filch__channel_publish_down(&channel);
    cr_assert_eq(child_finish(child), 0);
    filch__channel_unmap(&channel);
}

/* Both sides in this process, in two mappings. */
static struct filch__channel attach_here(int fd) {
    struct filch__channel worker;
    cr_assert_eq(filch__channel_attach(&worker, fd), 0);
    return worker;
}

Test(channel, full_ring_has_no_room_until_something_is_consumed) {
    int fd;
    bool broken;
    struct filch__channel parent = make_channel(&fd), worker = attach_here(fd);
    for (int round = 0; round < 5; round++) {
        uint64_t before = parent.down_pos;
        while (filch__channel_begin_down(&parent, MESSAGE_TASK, 8176) != NULL) continue;
        cr_assert_leq(parent.down_pos - before, CHANNEL_RING);
        cr_assert_gt(parent.down_pos - before, CHANNEL_RING - 8176);
        while (filch__channel_begin_down(&parent, MESSAGE_TASK, 16) != NULL) continue;
        cr_assert_eq(parent.down_pos - before, CHANNEL_RING, "every byte is used");
        cr_assert_null(filch__channel_read_down(&worker), "nothing is published");
        filch__channel_publish_down(&parent);
        cr_assert_eq(filch__channel_read_down(&worker)->size, 8176);
        cr_assert_null(filch__channel_begin_down(&parent, MESSAGE_TASK, 16));
        filch__channel_consume_down(&worker);
        cr_assert_not_null(filch__channel_begin_down(&parent, MESSAGE_TASK, 16));
        filch__channel_publish_down(&parent);
        while (filch__channel_read_down(&worker) != NULL) filch__channel_consume_down(&worker);
    }
    while (filch__channel_begin_up(&worker, MESSAGE_RESULT, MESSAGE_LARGEST) != NULL) continue;
    cr_assert_eq(worker.up_pos, CHANNEL_RING);
    cr_assert_null(filch__channel_read_up(&parent, &broken), "nothing is published");
    cr_assert_not(filch__channel_has_up(&parent));
    filch__channel_publish_up(&worker);
    cr_assert(filch__channel_has_up(&parent));
    cr_assert_not_null(filch__channel_read_up(&parent, &broken));
    cr_assert_eq(parent.reading, MESSAGE_LARGEST);
    cr_assert_null(filch__channel_begin_up(&worker, MESSAGE_RESULT, 16));
    filch__channel_consume_up(&parent);
    cr_assert_not_null(filch__channel_begin_up(&worker, MESSAGE_RESULT, MESSAGE_LARGEST));
    cr_assert_null(filch__channel_begin_up(&worker, MESSAGE_RESULT, 16));
    filch__channel_unmap(&worker);
    filch__channel_unmap(&parent);
}

Test(channel, failed_creation_leaves_nothing) {
    int fds = fds_open(), fd, attempts = 0;
    long blocks = filch__fault_live_blocks();
    struct filch__channel channel, worker;
    for (;; attempts++) {
        filch__fault_plan(FILCH__FAULT_MAP | FILCH__FAULT_FD, attempts, false);
        int error = filch__channel_create(&channel, &fd);
        int other = error != 0 ? 0 : filch__channel_attach(&worker, fd);
        if (filch__fault_clear() == 0) break;
        cr_assert_neq(error + other, 0);
        if (error == 0) {
            filch__channel_unmap(&channel);
            close(fd);
        }
        cr_assert_eq(fds_open(), fds);
        cr_assert_eq(filch__fault_live_blocks(), blocks);
    }
    cr_assert_geq(attempts, 10, "file, reservation and six maps, twice but for the file");
    filch__channel_unmap(&channel);
    filch__channel_unmap(&worker);
    close(fd);
    cr_assert_eq(filch__fault_live_blocks(), blocks);
    int pipes[2];
    cr_assert_eq(pipe(pipes), 0);
    cr_assert_neq(filch__channel_attach(&worker, pipes[0]), 0);
}

/* A child that writes to what is not its own ends by SIGSEGV. */
static void check_read_only(size_t offset) {
    int fd;
    struct filch__channel parent = make_channel(&fd);
    pid_t child = child_start();
    if (child == 0) {
        struct filch__channel channel = child_attach(fd);
        signal(SIGSEGV, SIG_DFL);
        *((volatile char *)channel.parent + offset) = 1;
        _exit(0);
    }
    cr_assert_eq(child_finish(child), -SIGSEGV, "offset %zu", offset);
    filch__channel_unmap(&parent);
    close(fd);
}

Test(channel, worker_cannot_write_what_is_the_programs) {
    check_read_only(0);
    check_read_only(offsetof(struct filch__parent_page, requested));
    check_read_only(CHANNEL_PAGE);
    check_read_only(CHANNEL_PAGE + CHANNEL_RING);
}

/* Claims --------------------------------------------------------------------------------------- */

Test(channel_claim, exactly_one_of_take_and_revoke_wins) {
    const int rounds = stress(100000 / CHANNEL_TICKETS);
    int fd;
    struct filch__channel parent = make_channel(&fd);
    struct notes *notes = make_notes();
    pid_t child = child_start();
    if (child == 0) {
        struct filch__channel channel = child_attach(fd);
        for (uint32_t round = 1; round <= (uint32_t)rounds; round++) {
            uint64_t taken = 0;
            turn_wait(notes, 2 * round - 1);
            for (uint32_t t = 0; t < CHANNEL_TICKETS; t++)
                taken |= (uint64_t)filch__claim_take(&channel, t, round) << t;
            notes->taken = taken;
            turn_set(notes, 2 * round);
        }
        _exit(0);
    }
    for (uint32_t round = 1; round <= (uint32_t)rounds; round++) {
        uint64_t revoked = 0;
        for (uint32_t t = 0; t < CHANNEL_TICKETS; t++) filch__claim_post(&parent, t, round);
        turn_set(notes, 2 * round - 1);
        for (uint32_t k = 0; k < CHANNEL_TICKETS; k++) {
            /* Towards the other, or along with it. */
            uint32_t t = round % 2 ? k : CHANNEL_TICKETS - 1 - k;
            cr_assert_not(filch__claim_revoke(&parent, t, round - 1), "of another generation");
            revoked |= (uint64_t)filch__claim_revoke(&parent, t, round) << t;
        }
        turn_wait(notes, 2 * round);
        cr_assert_eq(revoked ^ notes->taken, UINT64_MAX, "round %u", round);
        for (uint32_t t = 0; t < CHANNEL_TICKETS; t++) {
            cr_assert_eq(filch__claim_state(&parent, t, round),
                         revoked >> t & 1 ? CLAIM_REVOKED : CLAIM_TAKEN);
            filch__claim_free(&parent, t);
        }
    }
    cr_assert_eq(child_finish(child), 0);
    filch__channel_unmap(&parent);
}

Test(channel_claim, state_is_of_one_generation_and_never_garbage) {
    int fd;
    struct filch__channel parent = make_channel(&fd);
    cr_assert_eq(filch__claim_state(&parent, 3, 7), CLAIM_FREE);
    filch__claim_post(&parent, 3, 7);
    cr_assert_eq(filch__claim_state(&parent, 3, 7), CLAIM_POSTED);
    cr_assert_eq(filch__claim_state(&parent, 3, 6), CLAIM_FREE);
    cr_assert_eq(filch__claim_state(&parent, 4, 7), CLAIM_FREE);
    cr_assert_not(filch__claim_take(&parent, 3, 8));
    cr_assert(filch__claim_take(&parent, 3, 7));
    cr_assert_not(filch__claim_take(&parent, 3, 7), "once");
    cr_assert_not(filch__claim_revoke(&parent, 3, 7));
    filch__claim_free(&parent, 3);
    cr_assert_eq(filch__claim_state(&parent, 3, 7), CLAIM_FREE);
    for (uint64_t state = CLAIM_REVOKED + 1; state < 8; state++) {
        parent.worker->claims[3] = UINT64_C(7) << 3 | state;
        cr_assert_eq(filch__claim_state(&parent, 3, 7), CLAIM_FREE);
        cr_assert_not(filch__claim_revoke(&parent, 3, 7));
    }
    filch__channel_unmap(&parent);
}

/* Who looks for a task that moves may have its ticket of one place and the channel of another: nobody else's request is lost. */
Test(channel_claim, a_request_is_for_who_has_the_ticket) {
    int fd;
    struct filch__channel parent = make_channel(&fd), worker = attach_here(fd);
    filch__claim_request(&parent, 5, 9);
    cr_assert_not(filch__claim_is_requested(&worker, 5, 9), "nobody has it");
    filch__claim_open(&parent, 5, 9);
    cr_assert_not(filch__claim_is_requested(&worker, 5, 9));
    filch__claim_request(&parent, 5, 9);
    cr_assert(filch__claim_is_requested(&worker, 5, 9));
    cr_assert_not(filch__claim_is_requested(&worker, 6, 9));
    filch__claim_request(&parent, 5, 4);
    cr_assert(filch__claim_is_requested(&worker, 5, 9), "of an older task, too late");
    filch__claim_request(&parent, 5, 10);
    cr_assert(filch__claim_is_requested(&worker, 5, 9), "of a newer task, elsewhere");
    cr_assert_not(filch__claim_is_requested(&worker, 5, 10));
    filch__claim_open(&parent, 5, 10);
    cr_assert_not(filch__claim_is_requested(&worker, 5, 9));
    cr_assert_not(filch__claim_is_requested(&worker, 5, 10));
    filch__claim_request(&parent, 5, 9);
    cr_assert_not(filch__claim_is_requested(&worker, 5, 10));
    filch__claim_request(&parent, 5, 10);
    cr_assert(filch__claim_is_requested(&worker, 5, 10));
    filch__channel_unmap(&worker);
    filch__channel_unmap(&parent);
}

/* Sleep ---------------------------------------------------------------------------------------- */

/* One message at a time; the worker looks at nothing but the ring, and sleeps without end. Both wait a little, so that the message
 * often comes just when the worker lies down. What is written before keeps the stores that matter waiting in the processor, so that a load
 * overtakes them where there is no fence. */
static void rouse(struct filch__message *message, struct filch__random *random) {
    memset(message + 1, 1, 16 * (size_t)any(random, 128));
}

static void answer_rounds(int fd, uint64_t rounds) {
    struct filch__channel channel = child_attach(fd);
    struct filch__random random;
    filch__random_init(&random, 6);
    for (uint64_t round = 0; round < rounds; round++) {
        while (filch__channel_read_down(&channel) == NULL)
            filch__channel_sleep(&channel, 0, FILCH_FOREVER);
        filch__channel_consume_down(&channel);
        void *answer = filch__channel_begin_up(&channel, MESSAGE_RESULT, 4096);
        CHILD_CHECK(answer != NULL);
        filch__channel_publish_up(&channel);
        for (uint32_t n = any(&random, 100); n > 0; n--) cpu_relax();
        rouse(answer, &random);
    }
    _exit(0);
}

Test(channel_sleep, worker_is_always_woken) {
    const uint64_t rounds = (uint64_t)stress(100000);
    struct filch__random random;
    int fd;
    bool broken;
    struct filch__channel parent = make_channel(&fd);
    pid_t child = child_start();
    if (child == 0) answer_rounds(fd, rounds);
    filch__random_init(&random, 2);
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint32_t n = any(&random, 60); n > 0; n--) cpu_relax();
        void *message = filch__channel_begin_down(&parent, MESSAGE_TASK, 4096);
        cr_assert_not_null(message);
        rouse(message, &random);
        filch__channel_publish_down(&parent);
        for (int looks = 0; filch__channel_read_up(&parent, &broken) == NULL; looks++)
            if (looks > 200) sched_yield();
        filch__channel_consume_up(&parent);
    }
    cr_assert_eq(child_finish(child), 0);
    filch__channel_unmap(&parent);
}

Test(channel_sleep, ends_at_its_deadline_or_with_a_message) {
    int fd;
    struct filch__channel parent = make_channel(&fd), worker = attach_here(fd);
    int64_t deadline = filch__now() + 3000000;
    while (filch__now() < deadline) filch__channel_sleep(&worker, 0, deadline);
    filch__channel_sleep(&worker, 0, deadline);
    cr_assert_eq(worker.worker->asleep, 0);
    cr_assert_not_null(filch__channel_begin_down(&parent, MESSAGE_TASK, 16));
    filch__channel_publish_down(&parent);
    cr_assert_eq(parent.parent->bell, 0, "nobody sleeps");
    filch__channel_sleep(&worker, 0, FILCH_FOREVER);
    filch__channel_unmap(&worker);
    filch__channel_unmap(&parent);
}

Test(channel_sleep, bell_rings_once_per_sleep) {
    int fd;
    struct filch__channel parent = make_channel(&fd), worker = attach_here(fd);
    for (uint32_t bell = 0; bell < 3; bell++) {
        worker.worker->asleep = bell << 1 | 1; /* W2, and no further */
        for (int i = 0; i < 3; i++) {
            cr_assert_not_null(filch__channel_begin_down(&parent, MESSAGE_TASK, 16));
            filch__channel_publish_down(&parent);
            cr_assert_eq(parent.parent->bell, bell + 1);
        }
    }
    filch__channel_unmap(&worker);
    filch__channel_unmap(&parent);
}

Test(channel_sleep, only_who_is_awake_on_another_cpu_is_worth_a_spin) {
    int fd;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    struct filch__channel parent = make_channel(&fd), worker = attach_here(fd);
    cr_assert_eq(worker.worker->cpu, (uint32_t)sched_getcpu() + 1);
    cr_assert_not(filch__channel_is_elsewhere(&parent));
    worker.worker->cpu += 1;
    cr_assert(filch__channel_is_elsewhere(&parent));
    worker.worker->cpu = 0;
    cr_assert_not(filch__channel_is_elsewhere(&parent));
    filch__channel_attend(&parent, true);
    cr_assert_eq(parent.parent->cpu, (uint32_t)sched_getcpu() + 1);
    int64_t begin = filch__now();
    filch__channel_sleep(&worker, INT64_MAX / 2, begin + 1000000); /* does not spin */
    parent.parent->cpu += 1;
    filch__channel_sleep(&worker, INT64_MAX / 2, begin + 2000000); /* spins to its deadline */
    filch__channel_attend(&parent, false);
    cr_assert_eq(parent.parent->cpu, 0);
    filch__channel_unmap(&worker);
    filch__channel_unmap(&parent);
}

/* Garbage -------------------------------------------------------------------------------------- */

static void scribble(void *start, size_t size, struct filch__random *random) {
    for (size_t i = 0; i + 4 <= size; i += 4) {
        uint32_t bits = any(random, UINT32_MAX);
        memcpy((char *)start + i, &bits, 4);
    }
}

/* A seed's garbage: whole pages of it; or cursors that could be right, before sizes that could be right. */
static void write_garbage(struct filch__channel *channel, uint32_t seed, uint64_t up_tail,
                          uint64_t down_head) {
    struct filch__random random;
    filch__random_init(&random, seed);
    struct filch__worker_page *page = channel->worker;
    scribble(page, sizeof *page, &random);
    char *place = channel->up + any(&random, CHANNEL_RING - 4096);
    scribble(seed % 16 == 0 ? channel->up : place, seed % 16 == 0 ? CHANNEL_RING : 4096, &random);
    if (seed % 4 != 0) page->up_head = up_tail + 16 * any(&random, CHANNEL_RING / 16 + 2);
    if (seed % 4 == 1) page->down_tail = down_head - 16 * any(&random, CHANNEL_RING / 16 + 2);
    if (seed % 4 < 2) return;
    for (size_t i = 0; i < CHANNEL_RING;) {
        uint32_t size = 16 * any(&random, seed % 8 < 4 ? 8 : MESSAGE_LARGEST / 16 + 2);
        memcpy(channel->up + i, &size, sizeof size);
        i += size == 0 ? 16 : size;
    }
}

static volatile unsigned last_sum; /* so that every message is looked at */

/* Everything that the program reads of a worker. Nothing outside is touched, and all of it ends. */
static void read_garbage(struct filch__channel *parent, bool at_rest) {
    const struct filch__message *message;
    uint64_t bytes = 0;
    unsigned sum = 0;
    bool broken = false;
    for (int n = 0; n < 100000; n++) {
        message = filch__channel_read_up(parent, &broken);
        if (message == NULL) break;
        const char *start = (const char *)message;
        uint32_t size = parent->reading;
        cr_assert(size >= sizeof *message && size <= MESSAGE_LARGEST && size % 16 == 0);
        cr_assert(start >= parent->up && start + size <= parent->up + 2 * CHANNEL_RING);
        for (uint32_t i = 0; i < size; i += 16) sum += (unsigned char)start[i];
        last_sum = sum;
        bytes += size;
        filch__channel_consume_up(parent);
        cr_assert(!at_rest || bytes <= CHANNEL_RING, "more than was published");
    }
    filch__channel_has_up(parent);
    if (broken) cr_assert_null(filch__channel_read_up(parent, &broken));
    uint64_t before = parent->down_pos;
    while (filch__channel_begin_down(parent, MESSAGE_TASK, 1000) != NULL) {
        filch__channel_publish_down(parent);
        if (parent->down_pos - before > 4 * CHANNEL_RING) break; /* it seems to read */
        cr_assert(!at_rest || parent->down_pos - before <= 2 * CHANNEL_RING);
    }
    for (uint32_t t = 0; t < CHANNEL_TICKETS; t++) {
        cr_assert_leq((int)filch__claim_state(parent, t, t), (int)CLAIM_REVOKED);
        filch__claim_revoke(parent, t, t);
    }
}

/* The program's side as if it had come so far with this worker. */
static void go_to(struct filch__channel *parent, struct filch__random *random) {
    parent->broken = false;
    parent->reading = 0;
    parent->up_pos = parent->up_seen = 16 * (uint64_t)any(random, UINT32_MAX);
    parent->down_seen = parent->down_pos = 16 * (uint64_t)any(random, UINT32_MAX);
    parent->parent->up_tail = parent->up_pos;
    parent->parent->down_head = parent->down_pos;
}

Test(channel_bad_worker, garbage_is_refused) {
    const uint32_t seeds = (uint32_t)stress(10000);
    struct filch__random random;
    int fd, broken = 0;
    struct filch__channel parent = make_channel(&fd);
    struct notes *notes = make_notes();
    pid_t child = child_start();
    if (child == 0) {
        struct filch__channel channel = child_attach(fd);
        for (uint32_t seed = 1; seed <= seeds; seed++) {
            turn_wait(notes, 2 * seed - 1);
            write_garbage(&channel, seed, channel.parent->up_tail, channel.parent->down_head);
            turn_set(notes, 2 * seed);
        }
        _exit(0);
    }
    filch__random_init(&random, 3);
    for (uint32_t seed = 1; seed <= seeds; seed++) {
        go_to(&parent, &random);
        turn_set(notes, 2 * seed - 1);
        turn_wait(notes, 2 * seed);
        read_garbage(&parent, true);
        broken += parent.broken;
    }
    cr_assert_gt(broken, (int)seeds / 2);
    cr_assert_eq(child_finish(child), 0);
    filch__channel_unmap(&parent);
}

/* What the worker has written, and how many messages the program then reads before it says that it is broken. */
static void check_faulty(uint64_t head, uint32_t size, int good) {
    struct filch__random random;
    int fd, n = 0;
    bool broken;
    struct filch__channel parent = make_channel(&fd), worker = attach_here(fd);
    filch__random_init(&random, head + size);
    go_to(&parent, &random);
    for (uint64_t i = 0; i < CHANNEL_RING; i += 32768) {
        uint32_t first = 32768 - 16;
        char *at = worker.up + (parent.up_pos + i) % CHANNEL_RING;
        for (uint32_t k = 0; k < first; k += 8176) memcpy(at + k, &(uint32_t){8176}, 4);
        memcpy(at + 4 * 8176, &(uint32_t){64}, 4);
    }
    memcpy(worker.up + parent.up_pos % CHANNEL_RING, &size, sizeof size);
    worker.worker->up_head = parent.up_pos + head;
    while (filch__channel_read_up(&parent, &broken) != NULL && n <= good) {
        filch__channel_consume_up(&parent);
        n++;
    }
    cr_assert(broken, "head %lu, size %u", (unsigned long)head, size);
    cr_assert_eq(n, good, "head %lu, size %u: %d messages", (unsigned long)head, size, n);
    cr_assert_not(filch__channel_has_up(&parent));
    cr_assert_null(filch__channel_begin_down(&parent, MESSAGE_TASK, 16));
    filch__channel_unmap(&worker);
    filch__channel_unmap(&parent);
    close(fd);
}

Test(channel_bad_worker, each_fault_is_refused) {
    static const uint64_t heads[] = {CHANNEL_RING + 16, CHANNEL_RING + 1, 8177, 8, 1,
                                     UINT64_C(0) - 16,  UINT64_C(1) << 63};
    static const uint32_t sizes[] = {0,       15, 17,    24,    8175,       MESSAGE_LARGEST + 16,
                                     8192,    8,  32760, 65536, UINT32_MAX, UINT32_MAX - 15,
                                     1u << 31};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) check_faulty(heads[i], 8176, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_faulty(sizes[i] == 8192 ? 8176 : 65536, sizes[i], 0);
    check_faulty(8176 + 8160, 8176, 1);
}

Test(channel_bad_worker, tails_that_cannot_be_are_refused) {
    static const uint64_t tails[] = {UINT64_C(0) - 16, CHANNEL_RING + 16, 8, UINT64_MAX,
                                     UINT64_C(1) << 63};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        int fd;
        bool broken;
        struct filch__channel parent = make_channel(&fd);
        while (filch__channel_begin_down(&parent, MESSAGE_TASK, 8192) != NULL) continue;
        cr_assert_not(parent.broken, "it is only full");
        filch__channel_publish_down(&parent);
        parent.worker->down_tail = tails[i];
        cr_assert_null(filch__channel_begin_down(&parent, MESSAGE_TASK, 8192));
        cr_assert_null(filch__channel_read_up(&parent, &broken));
        cr_assert(broken, "tail %lu", (unsigned long)tails[i]);
        filch__channel_unmap(&parent);
        close(fd);
    }
}

/* The size is right when it is checked, or when it is used, but not both. */
Test(channel_bad_worker, size_that_changes_while_it_is_read) {
    const int reads = stress(100000);
    int fd;
    bool broken;
    struct filch__channel parent = make_channel(&fd);
    pid_t child = child_start();
    if (child == 0) {
        struct filch__channel channel = child_attach(fd);
        channel.worker->up_head = 64;
        for (volatile uint32_t *size = (void *)channel.up;;) {
            *size = 64;
            cpu_relax();
            *size = UINT32_MAX;
            cpu_relax();
        }
    }
    int good = 0;
    for (int i = 0; i < reads || good < 100; i++) {
        parent.up_pos = parent.up_seen = 0;
        parent.broken = false;
        if (filch__channel_read_up(&parent, &broken) == NULL) {
            if (i % 256 == 0) sched_yield();
            continue;
        }
        cr_assert_eq(parent.reading, 64);
        good++;
    }
    kill(child, SIGKILL);
    cr_assert_eq(child_finish(child), -SIGKILL);
    filch__channel_unmap(&parent);
}

Test(channel_bad_worker, garbage_that_changes_while_it_is_read) {
    const int sessions = stress(2000);
    struct filch__random random;
    int fd;
    struct filch__channel parent = make_channel(&fd);
    pid_t child = child_start();
    if (child == 0) {
        struct filch__channel channel = child_attach(fd);
        for (uint32_t seed = 1;; seed++)
            write_garbage(&channel, seed, channel.parent->up_tail, channel.parent->down_head);
    }
    filch__random_init(&random, 4);
    for (int i = 0; i < sessions; i++) {
        go_to(&parent, &random);
        read_garbage(&parent, false);
        if (i % 16 == 0) sched_yield();
    }
    kill(child, SIGKILL);
    cr_assert_eq(child_finish(child), -SIGKILL);
    filch__channel_unmap(&parent);
}

/* Kills ---------------------------------------------------------------------------------------- */

/* Under a sanitizer a process begins and ends slowly. */
#if defined(TEST_SANITIZE_ADDRESS) || defined(TEST_SANITIZE_THREAD)
enum { KILLS = 15 };
#else
enum { KILLS = 120 };
#endif

static void write_without_end(int fd, struct notes *notes) {
    struct filch__channel channel = child_attach(fd);
    for (uint64_t number = 1;; number++) {
        struct filch__message *message;
        while ((message = filch__channel_begin_up(&channel, MESSAGE_RESULT, size_of(number))) ==
               NULL)
            sched_yield();
        fill(message, number);
        if (number % 3 == 0) continue; /* published with the next */
        filch__channel_publish_up(&channel);
        store_release(&notes->published, number);
    }
}

Test(channel_bad_worker, what_a_killed_worker_published_is_intact) {
    const int kills = stress(KILLS);
    struct filch__random random;
    struct notes *notes = make_notes();
    uint64_t all = 0;
    filch__random_init(&random, 5);
    for (int i = 0; i < kills; i++) {
        int fd;
        struct filch__channel parent = make_channel(&fd);
        notes->published = 0;
        pid_t child = child_start();
        if (child == 0) write_without_end(fd, notes);
        uint64_t read = 0;
        for (uint32_t n = any(&random, i % 2 ? 300 : 20); n > 0; n--) {
            if (i % 3 != 0) read = read_all(&parent, read);
            sched_yield();
        }
        kill(child, SIGKILL);
        cr_assert_eq(child_finish(child), -SIGKILL);
        read = read_all(&parent, read);
        cr_assert_geq(read, notes->published);
        cr_assert_leq(read, notes->published + 3);
        all += read;
        filch__channel_unmap(&parent);
        close(fd);
    }
    cr_assert_gt(all, (uint64_t)kills, "some of them lived long enough to write");
}
