/* border.c: a fuzzer of what crosses the border between processes: the program reads what a worker has written.
 *
 * Flow     the first byte chooses the reader, the rest is what the worker writes there:
 *            the up ring and its cursor (process/channel.c)
 *            the result of a chunk of inputs (packed.c)
 *            the name of a function (process/module.c)
 *          With FUZZ_SEGMENTS, a program of its own since each input costs many system calls: references to blocks of
 *          segments (process/arena_view.c).
 * Keeps    whatever it is, the program reads and writes only where it may; what is accepted lies in its bounds; what is
 *          held is held once.
 * Not here what becomes of the books when a whole worker lies: tests/api/process_garbage_test.c.
 *
 * SPDX-License-Identifier: MIT */
#include "os/memory.h"
#include "os/socket.h"
#include "packed.h"
#include "process/arena.h"
#include "process/channel.h"
#include "process/module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "border.c:%d: not true: %s\n", __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static volatile unsigned char seen;

/* Touches all bytes, so that a sanitizer or the kernel sees a bad one. */
static void touch(const void *bytes, size_t size) {
    unsigned char sum = 0;
    for (size_t i = 0; i < size; i++)
        sum = (unsigned char)(sum + ((const unsigned char *)bytes)[i]);
    seen = sum;
}

/* Takes up to n bytes; the rest is zero. */
struct input {
    const uint8_t *data;
    size_t size;
};
static void take(struct input *in, void *bytes, size_t n) {
    size_t k = in->size < n ? in->size : n;
    memset(bytes, 0, n);
    if (k != 0) memcpy(bytes, in->data, k);
    in->data += k;
    in->size -= k;
}

/* The ring ------------------------------------------------------------------------------------------------ */

static void write_up(struct filch__channel *worker, struct input *in) {
    uint16_t head;
    uint8_t coarse;
    take(in, &coarse, sizeof coarse);
    take(in, &head, sizeof head);
    /* Mostly a cursor that may be right. */
    uint64_t pos = coarse < 200 ? (uint64_t)(head & 1023) * 16 : (uint64_t)head << (coarse % 48);
    size_t n = in->size < CHANNEL_RING ? in->size : CHANNEL_RING;
    if (n != 0) memcpy(worker->up, in->data, n);
    __atomic_store_n(&worker->worker->up_head, pos, __ATOMIC_RELEASE);
}

/* One channel for all inputs, as it is at its start: to make one costs more than to read it. */
static struct filch__channel program, worker;
static void begin_channel(void) {
    int fd;
    if (program.parent == NULL) {
        CHECK(filch__channel_create(&program, &fd) == 0);
        CHECK(filch__channel_attach(&worker, fd) == 0);
        close(fd);
    }
    memset(program.worker, 0, sizeof(struct filch__worker_page));
    memset(worker.up, 0, CHANNEL_PAGE);
    __atomic_store_n(&program.parent->up_tail, 0, __ATOMIC_RELEASE);
    program.up_pos = program.up_seen = program.reading = 0;
    program.broken = false;
}

static void read_ring(struct input *in) {
    bool broken = false;
    uint64_t read = 0;
    begin_channel();
    write_up(&worker, in);
    for (const struct filch__message *message;
         (message = filch__channel_read_up(&program, &broken)) != NULL;) {
        CHECK(!broken && program.reading >= sizeof *message && program.reading <= MESSAGE_LARGEST);
        touch(message, program.reading);
        read += program.reading;
        CHECK(read <= CHANNEL_RING);
        filch__channel_consume_up(&program);
    }
    CHECK(broken == program.broken);
    for (uint32_t i = 0; i < CHANNEL_TICKETS; i++) {
        take(in, &program.worker->claims[i], sizeof(uint64_t));
        CHECK(filch__claim_state(&program, i, 1) <= CLAIM_REVOKED);
    }
}

#if defined(FUZZ_SEGMENTS)
/* Segments ------------------------------------------------------------------------------------------------ */

enum { HELD = 8 };
static void read_segments(struct input *in) {
    static const size_t sizes[] = {5000, 6000, 8192, 1100000};
    struct filch__bytes real[4], bytes;
    struct filch__held *held[HELD] = {NULL};
    int ends[2], n = 0;
    CHECK(filch__socket_pair(ends) == 0);
    struct filch__arena *arena = filch__arena_create(ends[0]);
    struct filch__arena_view *view = filch__arena_view_create(ends[1]);
    CHECK(arena != NULL && view != NULL);
    for (int i = 0; i < 4; i++) CHECK(filch__arena_alloc(arena, sizes[i], true, &real[i]) != NULL);
    while (in->size != 0 && n < HELD) {
        uint8_t how[2];
        unsigned char change[sizeof bytes];
        take(in, how, sizeof how);
        bytes = real[how[0] % 4];
        take(in, change, how[1] % (sizeof bytes + 1));
        for (size_t i = 0; i < how[1] % (sizeof bytes + 1); i++)
            ((unsigned char *)&bytes)[i] ^= change[i];
        void *start = filch__arena_view_hold(view, &bytes, &held[n]);
        if (start == NULL) continue;
        touch(start, (size_t)bytes.size);
        struct filch__held *again = NULL;
        CHECK(filch__arena_view_hold(view, &bytes, &again) == NULL);
        n++;
        if (how[0] & 128) filch__held_release(held[--n]);
    }
    if (in->size % 2) filch__arena_view_destroy(view), view = NULL;
    while (n > 0) filch__held_release(held[--n]);
    filch__arena_view_destroy(view);
    filch__arena_destroy(arena);
    close(ends[0]);
    close(ends[1]);
}

#endif

/* Chunks -------------------------------------------------------------------------------------------------- */

static void read_chunk(struct input *in) {
    uint8_t shape[2];
    take(in, shape, sizeof shape);
    size_t n = shape[0] % 9, result_size = shape[1] % 40, size = in->size;
    char *result = malloc(size == 0 ? 1 : size); /* a byte beyond is seen */
    CHECK(result != NULL);
    take(in, result, size);
    for (size_t i = 0; i < n; i++) {
        struct filch__input_outcome outcome;
        if (!filch__packed_outcome(result, size, result_size, n, i, &outcome)) continue;
        if (outcome.text != NULL) touch(outcome.text, strlen(outcome.text) + 1);
        filch__free(outcome.text);
        touch(filch__packed_value(result, result_size, n, i), result_size);
    }
    free(result);
}

/* Functions ----------------------------------------------------------------------------------------------- */

static void here(void) {
}

static void read_name(struct input *in) {
    static struct filch__function_name name, real;
    void (*function)(void) = NULL;
    uint8_t how;
    take(in, &how, sizeof how);
    CHECK(filch__function_name(here, &real) == 0);
    name = real;
    if (how & 1) take(in, &name.offset, sizeof name.offset);
    if (how & 2) take(in, &name.id_size, how & 4 ? 1 : sizeof name.id_size);
    if (how & 8) take(in, name.id, sizeof name.id);
    /* A path that no library has: what dlopen does with others is not to be fuzzed. */
    if (how & 16) {
        strcpy(name.path, "/nowhere/");
        take(in, name.path + 9, 100);
        name.path[109] = '\0';
    }
    int rc = filch__function_find(&name, &function);
    CHECK(rc == 0 || rc == FILCH_EINVAL);
    if (rc == 0 && (how & 31) == 0) CHECK(function == here);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static void (*const readers[])(struct input *) = {read_ring, read_chunk, read_name};
    if (size == 0) return 0;
    struct input in = {data + 1, size - 1};
#if defined(FUZZ_SEGMENTS)
    (void)readers;
    read_segments(&in);
#else
    readers[data[0] % 3](&in);
#endif
    return 0;
}
