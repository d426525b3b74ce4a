/* arena_test.c: blocks of shared memory (process/arena.h): sizes, reuse, references that are garbage, bounds, and what is left when one
 * side goes.
 *
 * Writer and reader are in one process where it makes no difference: each has its own mapping of every segment.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "base/atomics.h"
#include "base/random.h"
#include "os/fault.h"
#include "os/shm.h"
#include "os/socket.h"
#include "process/arena.h"
#include "process/segment.h"
#include "os_support.h"
#include "support.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(arena, .timeout = 20);
TestSuite(arena_reuse, .timeout = 20);
TestSuite(arena_bad_writer, .timeout = 20);

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static int mapped_segments(void) {
    int n = 0;
    char line[1024];
    FILE *file = fopen("/proc/self/maps", "r");
    cr_assert_not_null(file);
    while (fgets(line, sizeof line, file) != NULL) n += strstr(line, "filch-arena") != NULL;
    fclose(file);
    return n;
}
static size_t resident_shared(void) {
    unsigned long kib = 0;
    char line[1024];
    FILE *file = fopen("/proc/self/status", "r");
    cr_assert_not_null(file);
    while (fgets(line, sizeof line, file) != NULL) sscanf(line, "RssShmem: %lu", &kib);
    fclose(file);
    return kib * KIB;
}

struct pair {
    int ends[2];
    struct filch__arena *arena;
    struct filch__arena_view *view;
};
static struct pair make_pair(void) {
    struct pair pair;
    cr_assert_eq(filch__socket_pair(pair.ends), 0);
    pair.arena = filch__arena_create(pair.ends[0]);
    pair.view = filch__arena_view_create(pair.ends[1]);
    cr_assert(pair.arena != NULL && pair.view != NULL);
    return pair;
}
static void drop_pair(struct pair *pair) {
    filch__arena_destroy(pair->arena);
    filch__arena_view_destroy(pair->view);
    close(pair->ends[0]);
    close(pair->ends[1]);
}

static void *must_alloc(struct pair *pair, size_t size, bool zeroed, struct filch__bytes *bytes) {
    void *block = filch__arena_alloc(pair->arena, size, zeroed, bytes);
    cr_assert_not_null(block, "%zu bytes: %s", size, strerror(errno));
    return block;
}
static struct filch__held *must_hold(struct pair *pair, const struct filch__bytes *bytes) {
    struct filch__held *held;
    cr_assert_not_null(filch__arena_view_hold(pair->view, bytes, &held));
    return held;
}
static void refuse(struct filch__arena_view *view, struct filch__bytes bytes) {
    struct filch__held *held;
    errno = 0;
    cr_assert_null(filch__arena_view_hold(view, &bytes, &held), "segment %u, offset %lu, size %lu",
                   bytes.segment, (unsigned long)bytes.offset, (unsigned long)bytes.size);
    cr_assert_eq(errno, EINVAL);
}

/* Sizes ---------------------------------------------------------------------------------------- */

/* Around every border of a class, and some without a class. */
static size_t size_number(unsigned i) {
    static const size_t others[] = {1, 15, 16, 4095, 4096, 4097, 3 * MIB, 4 * MIB, 9 * MIB + 12345};
    enum { OTHERS = sizeof others / sizeof *others };
    if (i < OTHERS) return others[i];
    i -= OTHERS;
    if (i >= 3 * (BLOCK_CLASSES + 2)) return 0;
    return ((size_t)BLOCK_SMALLEST << i / 3) - 1 + i % 3;
}

static uint64_t word_of(size_t size, size_t i) {
    return (size ^ i) * 0x9E3779B97F4A7C15u;
}
static void fill(void *block, size_t size) {
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t word = word_of(size, i);
        memcpy((char *)block + i, &word, 8);
    }
    memset((char *)block + size / 8 * 8, 0x5a, size % 8);
}
static bool is_filled(const void *block, size_t size) {
    for (size_t i = 0; i + 8 <= size; i += 8) {
        uint64_t word = word_of(size, i);
        if (memcmp((const char *)block + i, &word, 8) != 0) return false;
    }
    for (size_t i = size / 8 * 8; i < size; i++)
        if (((const char *)block)[i] != 0x5a) return false;
    return true;
}
static bool is_zero(const void *block, size_t size) {
    const char *byte = block;
    return size == 0 || (byte[0] == 0 && memcmp(byte, byte + 1, size - 1) == 0);
}

/* Child: twice a block of each size, zeroed each second time; waits for ever when it has none left. */
static void write_all(int socket, int references) {
    struct filch__arena *arena = filch__arena_create(socket);
    for (int round = 0; round < 2; round++)
        for (unsigned i = 0; size_number(i) != 0; i++) {
            struct filch__bytes bytes;
            size_t size = size_number(i);
            void *block = filch__arena_alloc(arena, size, round == 1, &bytes);
            if (block == NULL || (uintptr_t)block % 4096 != 0) _exit(3);
            if (round == 1 && !is_zero(block, size)) _exit(4);
            fill(block, size);
            if (write(references, &bytes, sizeof bytes) != sizeof bytes) _exit(5);
        }
    for (;;) pause();
}

Test(arena, blocks_of_every_size_come_intact_from_a_child_that_dies) {
    enum { HELD_MOST = 100 };
    int pipes[2];
    unsigned n = 0;
    long blocks = filch__fault_live_blocks();
    struct pair pair = make_pair();
    struct filch__held *held[HELD_MOST];
    void *starts[HELD_MOST];
    size_t sizes[HELD_MOST];
    cr_assert_eq(pipe(pipes), 0);
    pid_t child = child_start();
    if (child == 0) write_all(pair.ends[0], pipes[1]);
    close(pipes[1]);
    for (int round = 0; round < 2; round++)
        for (unsigned i = 0; size_number(i) != 0; i++) {
            struct filch__bytes bytes;
            cr_assert_eq(read(pipes[0], &bytes, sizeof bytes), sizeof bytes);
            cr_assert_eq(bytes.size, size_number(i));
            struct filch__held *block;
            char *start = filch__arena_view_hold(pair.view, &bytes, &block);
            cr_assert_not_null(start);
            cr_assert_eq((uintptr_t)start % 4096, 0);
            cr_assert(is_filled(start, bytes.size), "%lu bytes", (unsigned long)bytes.size);
            start[0] ^= 1; /* a reader may write into what it holds */
            start[0] ^= 1;
            if (i % 2 == 0) {
                filch__held_release(block);
            } else {
                held[n] = block;
                starts[n] = start;
                sizes[n++] = bytes.size;
            }
        }
    kill(child, SIGKILL);
    cr_assert_eq(child_finish(child), -SIGKILL);
    drop_pair(&pair);
    for (unsigned i = 0; i < n; i++) {
        cr_assert(is_filled(starts[i], sizes[i]));
        filch__held_release(held[i]);
    }
    cr_assert_eq(mapped_segments(), 0);
    cr_assert_eq(filch__fault_live_blocks(), blocks);
}

Test(arena, blocks_do_not_overlap) {
    enum { COUNT = 1500 };
    struct pair pair = make_pair();
    struct filch__random random;
    static void *written[COUNT];
    static struct filch__held *held[COUNT];
    static size_t sizes[COUNT];
    filch__random_init(&random, 1);
    for (int i = 0; i < COUNT; i++) {
        struct filch__bytes bytes;
        sizes[i] = 1 + filch__random_below(&random, i % 50 == 0 ? 2 * MIB : 40 * KIB);
        written[i] = must_alloc(&pair, sizes[i], true, &bytes);
        cr_assert(is_zero(written[i], sizes[i]));
        fill(written[i], sizes[i]);
        held[i] = must_hold(&pair, &bytes);
    }
    for (int i = 0; i < COUNT; i++) cr_assert(is_filled(written[i], sizes[i]));
    for (int i = 0; i < COUNT; i++) filch__held_release(held[i]);
    drop_pair(&pair);
}

Test(arena, sizes_that_no_memory_has_are_refused) {
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX / 2, (size_t)1 << 46,
                                   ((size_t)1 << 46) + 1};
    struct pair pair = make_pair();
    struct filch__bytes bytes;
    int fds = fds_open();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cr_assert_null(filch__arena_alloc(pair.arena, sizes[i], false, &bytes));
        cr_assert_eq(errno, ENOMEM);
    }
    cr_assert_eq(fds_open(), fds);
    drop_pair(&pair);
}

/* Reuse ---------------------------------------------------------------------------------------- */

static long faults(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static void check_reuse(size_t size, int rounds) {
    struct pair pair = make_pair();
    struct filch__bytes first, bytes;
    void *block = must_alloc(&pair, size, false, &first);
    memset(block, 1, size);
    filch__held_release(must_hold(&pair, &first));
    int fds = fds_open(), maps = mapped_segments();
    long before = faults();
    for (int i = 0; i < rounds; i++) {
        cr_assert_eq(must_alloc(&pair, size, false, &bytes), block);
        cr_assert_eq(memcmp(&bytes, &first, sizeof bytes), 0);
        memset(block, i, size);
        filch__held_release(must_hold(&pair, &bytes));
    }
#if !defined(TEST_SANITIZE_ADDRESS) && !defined(TEST_SANITIZE_THREAD)
    cr_assert_lt(faults() - before, 16 * rounds, "%zu bytes are not faulted again", size);
#endif
    (void)before;
    cr_assert_eq(mapped_segments(), maps);
    cr_assert_eq(fds_open(), fds);
    drop_pair(&pair);
}

Test(arena_reuse, block_that_came_back_is_next) {
    for (size_t size = 1; size <= 4 * MIB; size = 2 * size + 1000) check_reuse(size, 20);
    check_reuse(64 * MIB, 4);
    check_reuse(200 * MIB, 1);
}

Test(arena_reuse, cancelled_block_is_next) {
    struct pair pair = make_pair();
    for (unsigned i = 0; size_number(i) != 0; i++) {
        struct filch__bytes bytes, again;
        void *block = must_alloc(&pair, size_number(i), false, &bytes);
        filch__arena_cancel(pair.arena, &bytes);
        cr_assert_eq(must_alloc(&pair, size_number(i), false, &again), block);
        cr_assert_eq(again.segment, bytes.segment);
    }
    drop_pair(&pair);
}

Test(arena_reuse, block_of_twice_the_size_is_not_wasted) {
    struct pair pair = make_pair();
    struct filch__bytes large, bytes;
    void *block = must_alloc(&pair, 8 * MIB, false, &large);
    filch__held_release(must_hold(&pair, &large));
    must_alloc(&pair, 4 * MIB - 4096, false, &bytes);
    cr_assert_neq(bytes.segment, large.segment);
    must_alloc(&pair, 8 * MIB + 1, false, &bytes);
    cr_assert_neq(bytes.segment, large.segment);
    cr_assert_eq(must_alloc(&pair, 4 * MIB, false, &bytes), block);
    drop_pair(&pair);
}

/* What was given back in any order is used before a new segment is made. */
Test(arena_reuse, all_blocks_of_all_segments_are_found_again) {
    enum { COUNT = 4 * SEGMENT_SHARED / BLOCK_SMALLEST };
    static struct filch__held *held[COUNT];
    struct pair pair = make_pair();
    struct filch__random random;
    struct filch__bytes bytes;
    filch__random_init(&random, 2);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            must_alloc(&pair, BLOCK_SMALLEST, false, &bytes);
            cr_assert_leq(bytes.segment, 4);
            held[i] = must_hold(&pair, &bytes);
        }
        for (uint32_t i = COUNT; i > 0; i--) {
            uint32_t k = filch__random_below(&random, i);
            filch__held_release(held[k]);
            held[k] = held[i - 1];
        }
    }
    drop_pair(&pair);
}

/* Threads that release what one allocates and holds. */
enum { RELEASERS = 3, MAILBOX = 64 };
struct letters {
    struct filch__held *boxes[MAILBOX];
    uint32_t done;
};
static void release_letters(int index, void *context) {
    struct letters *letters = context;
    (void)index;
    for (;;) {
        bool done = load_acquire(&letters->done) != 0, found = false;
        for (int i = 0; i < MAILBOX; i++) {
            struct filch__held *held = exchange_acq_rel(&letters->boxes[i], NULL);
            if (held != NULL) filch__held_release(held);
            found |= held != NULL;
        }
        if (!found && done) return;
        if (!found) sched_yield();
    }
}
struct traffic {
    struct letters letters;
    struct pair pair;
};
static void run_traffic(int index, void *context) {
    struct traffic *traffic = context;
    struct filch__random random;
    if (index != 0) {
        release_letters(index, &traffic->letters);
        return;
    }
    filch__random_init(&random, 3);
    for (int i = 0; i < stress(20000); i++) {
        struct filch__bytes bytes;
        size_t size = 1 + filch__random_below(&random, 100 * KIB);
        uint64_t *block = filch__arena_alloc(traffic->pair.arena, size, false, &bytes);
        if (block == NULL) abort();
        block[0] = (uint64_t)i;
        struct filch__held *held;
        uint64_t *seen = filch__arena_view_hold(traffic->pair.view, &bytes, &held);
        if (seen == NULL || seen[0] != (uint64_t)i) abort();
        held = exchange_acq_rel(&traffic->letters.boxes[i % MAILBOX], held);
        if (held != NULL) filch__held_release(held);
    }
    store_release(&traffic->letters.done, 1u);
    /* The others still release while this side goes. */
    filch__arena_destroy(traffic->pair.arena);
    filch__arena_view_destroy(traffic->pair.view);
}

Test(arena_reuse, any_thread_gives_back) {
    long blocks = filch__fault_live_blocks();
    struct traffic traffic = {.pair = make_pair()};
    run_threads(1 + RELEASERS, run_traffic, &traffic);
    cr_assert_eq(filch__fault_live_blocks(), blocks);
    cr_assert_eq(mapped_segments(), 0);
}

static void release_one(void *held) {
    filch__held_release(held);
}

/* The block is on its way again, and its segment goes, while the thread that released it is still there. */
Test(arena_reuse, block_may_come_back_before_its_release_has_returned) {
    long blocks = filch__fault_live_blocks();
    struct pair pair = make_pair();
    struct filch__bytes bytes;
    struct stopper stop;
    void *block = must_alloc(&pair, 100, false, &bytes);
    stopper_arm(&stop, "arena.given_back");
    pthread_t thread = thread_start(release_one, must_hold(&pair, &bytes));
    stopper_wait_reached(&stop);
    cr_assert_eq(must_alloc(&pair, 100, false, &bytes), block);
    filch__held_release(must_hold(&pair, &bytes));
    drop_pair(&pair);
    stopper_release(&stop);
    thread_finish(thread);
    cr_assert_eq(mapped_segments(), 0);
    cr_assert_eq(filch__fault_live_blocks(), blocks);
}

/* Bounds --------------------------------------------------------------------------------------- */

static void check_bound(size_t size, int count, size_t bound) {
    struct filch__held **held = calloc((size_t)count, sizeof *held);
    struct pair pair = make_pair();
    struct filch__bytes bytes;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < count; i++) {
            char *block = must_alloc(&pair, size, true, &bytes);
            cr_assert(block[0] == 0 && block[size / 2] == 0 && block[size - 1] == 0);
            memset(block, 7, size);
            held[i] = must_hold(&pair, &bytes);
        }
        cr_assert_geq(resident_shared(), (size_t)count * size);
        for (int i = 0; i < count; i++) filch__held_release(held[i]);
        cr_assert_leq(resident_shared(), bound, "%zu bytes are kept", resident_shared());
    }
    cr_assert_leq(mapped_segments(), 2 * (count + 1));
    drop_pair(&pair);
    free(held);
}

Test(arena_reuse, idle_memory_is_bounded) {
    check_bound(4 * MIB, 60, 136 * MIB);
    check_bound(8 * KIB, 6000, 24 * MIB);
    check_bound(1 * MIB, 40, 24 * MIB);
}

/* Descriptors and failures --------------------------------------------------------------------- */

Test(arena, full_socket_is_an_error_that_passes) {
    struct pair pair = make_pair();
    struct filch__bytes bytes, last = {0};
    int small = 1, fds = fds_open(), count = 0;
    cr_assert_eq(setsockopt(pair.ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    while (filch__arena_alloc(pair.arena, 2 * MIB, false, &bytes) != NULL) {
        last = bytes;
        cr_assert_lt(++count, 100);
    }
    cr_assert_eq(errno, EAGAIN);
    cr_assert_eq(fds_open(), fds);
    cr_assert_eq(mapped_segments(), count);
    filch__held_release(must_hold(&pair, &last));
    cr_assert_eq(mapped_segments(), 2 * count, "all that was sent is mapped");
    must_alloc(&pair, 2 * MIB, false, &bytes);
    must_alloc(&pair, 2 * MIB, false, &bytes);
    cr_assert_eq((int)bytes.segment, count + 1, "numbers have no gap");
    filch__held_release(must_hold(&pair, &bytes));
    cr_assert_eq(fds_open(), fds);
    drop_pair(&pair);
}

/* A block that goes and comes, with the n-th call failing. Returns whether all went well. */
static bool go_and_come(struct pair *pair, size_t size) {
    struct filch__bytes bytes;
    struct filch__held *held;
    if (filch__arena_alloc(pair->arena, size, false, &bytes) == NULL) {
        cr_assert(errno == ENOMEM || errno == EMFILE || errno == ENOSPC, "%s", strerror(errno));
        return false;
    }
    bool good = filch__arena_view_hold(pair->view, &bytes, &held) != NULL;
    if (!good) {
        cr_assert_eq(errno, ENOMEM);
        filch__fault_clear();
        held = must_hold(pair, &bytes); /* as soon as there is memory again */
    }
    filch__held_release(held);
    return good;
}

static void check_failures(size_t size) {
    int fds = fds_open();
    long blocks = filch__fault_live_blocks();
    bool good = false;
    for (int after = 0; !good; after++) {
        struct pair pair = make_pair();
        filch__fault_plan(FILCH__FAULT_ALLOC | FILCH__FAULT_MAP | FILCH__FAULT_FD, after, false);
        good = go_and_come(&pair, size);
        filch__fault_clear();
        cr_assert(good || after < 8);
        cr_assert(!good || after >= 7, "each of seven calls has failed");
        cr_assert_eq(fds_open(), fds + 2);
        cr_assert(go_and_come(&pair, size));
        drop_pair(&pair);
        cr_assert_eq(fds_open(), fds);
        cr_assert_eq(filch__fault_live_blocks(), blocks);
    }
}

Test(arena, failures_leave_nothing_behind) {
    check_failures(100);
    check_failures(3 * MIB);
}

Test(arena, creation_without_memory) {
    filch__fault_plan(FILCH__FAULT_ALLOC, 0, true);
    cr_assert_null(filch__arena_create(-1));
    cr_assert_null(filch__arena_view_create(-1));
    filch__fault_clear();
    filch__arena_destroy(NULL);
    filch__arena_view_destroy(NULL);
    filch__held_release(NULL);
}

/* A segment that has come, but could not be mapped when the view went. */
Test(arena, view_goes_with_a_descriptor_in_its_hand) {
    struct pair pair = make_pair();
    struct filch__bytes bytes;
    struct filch__held *held;
    int fds = fds_open();
    must_alloc(&pair, 100, false, &bytes);
    filch__fault_plan(FILCH__FAULT_MAP, 0, true);
    cr_assert_null(filch__arena_view_hold(pair.view, &bytes, &held));
    filch__fault_clear();
    cr_assert_eq(fds_open(), fds + 1);
    drop_pair(&pair);
    cr_assert_eq(fds_open(), fds - 2);
}

Test(arena, held_block_outlives_both_sides) {
    long blocks = filch__fault_live_blocks();
    struct pair pair = make_pair();
    struct filch__bytes small, large;
    struct filch__held *held[2];
    fill(must_alloc(&pair, 5000, false, &small), 5000);
    fill(must_alloc(&pair, 3 * MIB, false, &large), 3 * MIB);
    void *starts[2] = {filch__arena_view_hold(pair.view, &small, &held[0]),
                       filch__arena_view_hold(pair.view, &large, &held[1])};
    drop_pair(&pair);
    cr_assert_eq(mapped_segments(), 2);
    cr_assert(is_filled(starts[0], 5000) && is_filled(starts[1], 3 * MIB));
    filch__held_release(held[0]);
    cr_assert_eq(mapped_segments(), 1);
    filch__held_release(held[1]);
    cr_assert_eq(mapped_segments(), 0);
    cr_assert_eq(filch__fault_live_blocks(), blocks);
}

/* Garbage -------------------------------------------------------------------------------------- */

Test(arena_bad_writer, references_that_name_no_block_are_refused) {
    struct pair pair = make_pair();
    struct filch__bytes good, large;
    must_alloc(&pair, 10000, false, &good);
    must_alloc(&pair, 3 * MIB, false, &large);
    struct filch__held *held = must_hold(&pair, &good);
    refuse(pair.view, good); /* twice */
    refuse(pair.view, (struct filch__bytes){16, good.offset + 16 * KIB, 0, 0});
    refuse(pair.view, (struct filch__bytes){16, good.offset + 16 * KIB, 3, 0});
    refuse(pair.view, (struct filch__bytes){16, good.offset + 16 * KIB, 2000, 0});
    refuse(pair.view, (struct filch__bytes){16, good.offset + 16 * KIB, UINT32_MAX, 0});
    static const uint64_t offsets[] = {0,
                                       1,
                                       16,
                                       4095,
                                       4097,
                                       SEGMENT_HEAD + 8192,
                                       1u << 31,
                                       SEGMENT_HEAD + SEGMENT_SHARED,
                                       UINT64_MAX,
                                       UINT64_MAX - 4095,
                                       UINT64_C(1) << 63};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        refuse(pair.view, (struct filch__bytes){16, offsets[i], 1, 0});
        refuse(pair.view, (struct filch__bytes){16, offsets[i], 2, 0});
    }
    uint64_t next = good.offset + 16 * KIB;
    refuse(pair.view, (struct filch__bytes){0, next, 1, 0});
    refuse(pair.view, (struct filch__bytes){16 * KIB + 1, next, 1, 0});
    refuse(pair.view, (struct filch__bytes){UINT64_MAX, next, 1, 0});
    refuse(pair.view, (struct filch__bytes){4 * MIB, large.offset, 2, 0});
    filch__held_release(must_hold(&pair, &large));
    filch__held_release(held);
    filch__held_release(must_hold(&pair, &(struct filch__bytes){16 * KIB, next, 1, 0}));
    drop_pair(&pair);
}

Test(arena_bad_writer, random_references) {
    struct pair pair = make_pair();
    struct filch__random random;
    struct filch__bytes bytes;
    filch__random_init(&random, 4);
    for (size_t size = BLOCK_SMALLEST; size <= 4 * MIB; size *= 2)
        must_alloc(&pair, size, false, &bytes);
    int held_count = 0;
    for (int i = 0; i < stress(300000); i++) {
        uint32_t shape = filch__random_below(&random, 8);
        bytes.size =
            (uint64_t)filch__random_below(&random, UINT32_MAX) >> (i % 32) << (shape == 0 ? 32 : 0);
        bytes.offset = (uint64_t)filch__random_below(&random, shape == 1 ? UINT32_MAX : 1200)
                       << (shape == 2 ? 50 : 12);
        bytes.segment = filch__random_below(&random, shape == 3 ? UINT32_MAX : 12);
        struct filch__held *held;
        volatile char *block = filch__arena_view_hold(pair.view, &bytes, &held);
        if (block == NULL) continue;
        block[0] = block[bytes.size - 1] = 1;
        held_count++;
        filch__held_release(held);
    }
    cr_assert_gt(held_count, 100);
    drop_pair(&pair);
}

/* A packet as a bad worker may send it. */
static void check_packet(uint32_t number, uint64_t block, size_t file, int count, size_t size) {
    struct pair pair = make_pair();
    struct filch__segment_packet packet = {.number = number, .block = block};
    int fds = fds_open(), fd[2];
    cr_assert_eq(filch__shm_create("garbage", file, &fd[0]), 0);
    fd[1] = fd[0];
    cr_assert_eq(filch__socket_send(pair.ends[0], &packet, size, fd, count), 0);
    filch__fd_close(fd[0]);
    refuse(pair.view, (struct filch__bytes){16, SEGMENT_HEAD, 1, 0});
    refuse(pair.view, (struct filch__bytes){16, SEGMENT_HEAD, 1, 0});
    cr_assert_eq(fds_open(), fds);
    cr_assert_eq(mapped_segments(), 0);
    drop_pair(&pair);
}

Test(arena_bad_writer, packets_that_announce_no_segment_are_refused) {
    size_t whole = SEGMENT_HEAD + SEGMENT_SHARED, size = sizeof(struct filch__segment_packet);
    check_packet(0, 8192, whole, 1, size);
    check_packet(2, 8192, whole, 1, size);
    check_packet(1, 8192, whole - 4096, 1, size);
    check_packet(1, 8192, whole + 4096, 1, size);
    check_packet(1, 8192, whole, 0, size);
    check_packet(1, 8192, whole, 1, size - 1);
    check_packet(1, 0, whole, 1, size);
    check_packet(1, 4096, whole, 1, size);
    check_packet(1, 12288, whole, 1, size);
    check_packet(1, 2 * MIB + 1, SEGMENT_HEAD + 2 * MIB, 1, size);
    check_packet(1, UINT64_MAX, whole, 1, size);
    check_packet(1, UINT64_MAX - 4095, whole, 1, size);
    struct pair pair = make_pair();
    filch__fd_close(pair.ends[0]);
    refuse(pair.view, (struct filch__bytes){16, SEGMENT_HEAD, 1, 0});
    filch__arena_destroy(pair.arena);
    filch__arena_view_destroy(pair.view);
}

/* A reader that sets every bit gets its own blocks mixed up; the writer goes on. */
Test(arena_bad_writer, bits_that_a_bad_reader_sets_free_only_what_is_in_use) {
    struct pair pair = make_pair();
    struct filch__bytes bytes;
    for (int in_use = 1; in_use <= 4; in_use++) {
        char *block = NULL;
        uint64_t offsets = 0;
        for (int i = 0; i < in_use; i++) block = must_alloc(&pair, MIB, false, &bytes);
        memset(block - bytes.offset, 0xff, sizeof(struct filch__segment_head));
        for (int i = 0; i < 4; i++) {
            memset(must_alloc(&pair, MIB, false, &bytes), 1, MIB);
            cr_assert_eq((int)bytes.segment, in_use);
            offsets += bytes.offset;
        }
        cr_assert_eq(offsets, 4 * SEGMENT_HEAD + 6 * MIB, "four different blocks");
        must_alloc(&pair, MIB, false, &bytes);
        cr_assert_eq((int)bytes.segment, in_use + 1, "there are no others");
        filch__arena_cancel(pair.arena, &bytes);
    }
    drop_pair(&pair);
}
