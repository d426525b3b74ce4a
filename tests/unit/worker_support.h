/* worker_support.h: a test that plays the program towards a zygote and its workers, which are real.
 *
 * One `life` is a worker with its channel, arena and view; messages are read singly, with a bound on the time. The
 * tests' own functions run in the workers, since these are this program as well.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_WORKER_SUPPORT_H
#define FILCH_TESTS_WORKER_SUPPORT_H

#include <stdint.h> /* before Criterion */

#include "error.h"
#include "os/bell.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/shm.h"
#include "os/socket.h"
#include "process/arena.h"
#include "process/channel.h"
#include "process/listener.h"
#include "process/message.h"
#include "process/module.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <filch/error.h>
#include <filch/task.h>
#include <filch/time.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a zygote or a worker may take for anything: nanoseconds. */
#define PATIENCE FILCH_SECONDS(20)

/* Zygote ------------------------------------------------------------------------------------------- */

struct zygote_options {
    int (*preload)(void);
    int (*initializer)(void *);
    const void *argument;
    size_t argument_size;
    uint64_t max_tasks, memory_limit;
    const struct filch__setup_limit *limits;
    uint32_t limit_count;
    const char *environment; /* one more line */
    const char *directory;
    int program; /* the pid that it watches; 0: this one */
};

struct zygote_play {
    int pid, socket;
    int manager, attendant; /* bells */
    int common_fd;
    struct filch__common *common;
};

static inline int send_setup(int socket, const struct zygote_options *o) {
    size_t at = filch__setup_argument(o->limit_count),
           size = (at + o->argument_size + 4095) & ~4095ul;
    int fd;
    cr_assert_eq(filch__shm_create("setup", size, &fd), 0);
    struct filch__setup *s = filch__shm_map(fd, 0, size, true, NULL);
    cr_assert_not_null(s);
    *s = (struct filch__setup){.program = o->program != 0 ? o->program : (int)getpid(),
                               .max_workers = 2,
                               .worker_limit = 4,
                               .has_preload = o->preload != NULL,
                               .has_initializer = o->initializer != NULL,
                               .limit_count = o->limit_count,
                               .max_tasks = o->max_tasks,
                               .memory_limit = o->memory_limit,
                               .spin = -1,
                               .argument_size = o->argument_size};
    if (o->preload) cr_assert_eq(filch__function_name((void (*)(void))o->preload, &s->preload), 0);
    if (o->initializer)
        cr_assert_eq(filch__function_name((void (*)(void))o->initializer, &s->initializer), 0);
    if (o->limit_count)
        memcpy((char *)s + filch__setup_limits(), o->limits, o->limit_count * sizeof *o->limits);
    if (o->argument_size) memcpy((char *)s + at, o->argument, o->argument_size);
    filch__unmap(s, size);
    struct filch__packet packet = {.kind = PACKET_SETUP};
    int error = filch__socket_send(socket, &packet, sizeof packet, &fd, 1);
    filch__fd_close(fd);
    return error;
}

/* The next packet from the zygote; false: none came. size 0 is its end. */
static inline long next_packet(const struct zygote_play *z, struct filch__packet *packet) {
    bool ready;
    int n = 0;
    long size;
    int64_t deadline = filch__now() + PATIENCE;
    do {
        cr_assert(filch__fds_wait(&z->socket, 1, &ready, deadline), "nothing from the zygote");
        size = filch__socket_receive(z->socket, packet, sizeof *packet, NULL, &n);
    } while (size == -EAGAIN);
    return size;
}
static inline struct filch__packet packet_of(const struct zygote_play *z,
                                             enum filch__packet_kind kind) {
    struct filch__packet packet;
    cr_assert_eq(next_packet(z, &packet), (long)sizeof packet);
    cr_assert_eq(packet.kind, kind, "packet of kind %u, not %u", packet.kind, (unsigned)kind);
    return packet;
}

static inline void zygote_start_silent(struct zygote_play *z, struct zygote_options o) {
    int ends[2];
    extern char **environ;
    cr_assert_eq(filch__socket_pair(ends), 0);
    cr_assert_eq(send_setup(ends[0], &o), 0);
    char *argv[] = {(char *)(uintptr_t) "player", NULL}, *envp[256];
    int n = 0, fds[] = {-1, 1, 2, ends[1]};
    for (char **e = environ; *e != NULL && n < 250; e++) envp[n++] = *e;
    if (o.environment != NULL) envp[n++] = (char *)(uintptr_t)o.environment;
    envp[n++] = (char *)(uintptr_t)(ZYGOTE_VARIABLE "=3");
    envp[n] = NULL;
    struct filch__start start = {
        .argv = argv, .envp = envp, .directory = o.directory, .fds = fds, .fd_count = 4};
    int watch;
    cr_assert_eq(filch__process_start_apart(&start, &z->pid, &watch), 0);
    filch__fd_close(watch);
    filch__fd_close(ends[1]);
    z->socket = ends[0];
    z->manager = filch__bell_create();
    z->attendant = filch__bell_create();
    cr_assert_eq(filch__shm_create("common", 4096, &z->common_fd), 0);
    z->common = filch__shm_map(z->common_fd, 0, 4096, true, NULL);
    cr_assert_not_null(z->common);
}
/* Starts one, and returns its HELLO. */
static inline struct filch__packet zygote_start(struct zygote_play *z, struct zygote_options o) {
    zygote_start_silent(z, o);
    return packet_of(z, PACKET_HELLO);
}
static inline struct zygote_play zygote_with(struct zygote_options o) {
    struct zygote_play z;
    struct filch__packet hello = zygote_start(&z, o);
    cr_assert_eq(hello.number, 0, "%s", hello.text);
    cr_assert_gt(z.pid, 1);
    cr_assert_eq(hello.pid, z.pid);
    return z;
}

static inline bool is_alive(int pid) {
    char path[40], state = 'X';
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return false;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'X';
    fclose(file);
    return state != 'Z' && state != 'X';
}
static inline void check_ends(int pid) {
    for (int i = 0; i < 20000 && is_alive(pid); i++) usleep(1000);
    cr_assert(!is_alive(pid), "process %d lives", pid);
}
/* This side of all workers that were started is given back. */
struct side {
    struct side *next;
    struct filch__arena *arena;
    struct filch__arena_view *view;
};
static struct side *sides;
static inline void free_sides(void) {
    while (sides != NULL) {
        struct side *side = sides;
        sides = side->next;
        filch__arena_destroy(side->arena);
        filch__arena_view_destroy(side->view);
        free(side);
    }
}
static inline void zygote_end(struct zygote_play *z) {
    filch__fd_close(z->socket);
    check_ends(z->pid);
    free_sides();
}

/* Worker ------------------------------------------------------------------------------------------- */

struct life {
    struct zygote_play *zygote;
    uint32_t slot;
    uint64_t number; /* of the life */
    int pid;
    int socket;
    struct filch__channel channel;
    struct filch__arena *arena;
    struct filch__arena_view *view;
    uint32_t functions;
    uint64_t generation;
};

/* START is sent; nothing is waited for. */
static inline struct life life_send(struct zygote_play *z, uint32_t slot, uint64_t number) {
    struct life w = {.zygote = z, .slot = slot, .number = number};
    int ends[2], channel;
    cr_assert_eq(filch__socket_pair(ends), 0);
    cr_assert_eq(filch__channel_create(&w.channel, &channel), 0);
    int fds[START_FDS] = {channel, z->common_fd, ends[1], z->manager, z->attendant};
    struct filch__packet packet = {.kind = PACKET_START, .slot = slot, .life = number};
    cr_assert_eq(filch__socket_send(z->socket, &packet, sizeof packet, fds, START_FDS), 0);
    filch__fd_close(channel);
    filch__fd_close(ends[1]);
    w.socket = ends[0];
    w.arena = filch__arena_create(w.socket);
    w.view = filch__arena_view_create(w.socket);
    cr_assert_not_null(w.arena);
    cr_assert_not_null(w.view);
    struct side *side = malloc(sizeof *side);
    *side = (struct side){sides, w.arena, w.view};
    sides = side;
    return w;
}

/* The next message from the worker, which stays until `done_with`. */
static inline const struct filch__message *next_message(struct life *w) {
    const struct filch__message *m = NULL;
    bool broken = false;
    int64_t deadline = filch__now() + PATIENCE;
    while ((m = filch__channel_read_up(&w->channel, &broken)) == NULL) {
        cr_assert(!broken, "the channel is broken");
        cr_assert(filch__now() < deadline, "nothing from the worker");
        usleep(100);
    }
    return m;
}
static inline void done_with(struct life *w) {
    filch__channel_consume_up(&w->channel);
}

/* A result as it came; what stands inline is copied. */
struct answer {
    struct filch__message_result head;
    char value[MESSAGE_INLINE + 1], text[MESSAGE_INLINE + 1];
};
static inline struct answer take_answer(struct life *w, enum filch__message_kind kind) {
    struct answer a;
    const struct filch__message *m = next_message(w);
    cr_assert_eq(m->kind, kind, "message of kind %u, not %u", m->kind, (unsigned)kind);
    memset(&a, 0, sizeof a);
    memcpy(&a.head, m, sizeof a.head);
    const char *at = (const char *)m + filch__message_round(sizeof a.head);
    if (a.head.value.segment == 0) {
        cr_assert_leq(a.head.value.size, MESSAGE_INLINE);
        memcpy(a.value, at, a.head.value.size);
        at += filch__message_round(a.head.value.size);
    }
    if (a.head.text.segment == 0) {
        cr_assert_leq(a.head.text.size, MESSAGE_INLINE);
        memcpy(a.text, at, a.head.text.size);
        at += filch__message_round(a.head.text.size);
    }
    if (a.head.beside.segment == 0) at += filch__message_round(a.head.beside.size);
    cr_assert_leq((size_t)(at - (const char *)m), m->size);
    done_with(w);
    return a;
}

/* Started and initialized. */
static inline struct life life_start(struct zygote_play *z, uint32_t slot) {
    static uint64_t number;
    struct life w = life_send(z, slot, ++number);
    struct filch__packet started = packet_of(z, PACKET_STARTED);
    cr_assert_eq(started.slot, slot);
    cr_assert_eq(started.life, w.number);
    w.pid = started.pid;
    cr_assert_gt(w.pid, 1);
    struct answer ready = take_answer(&w, MESSAGE_READY);
    cr_assert_eq(ready.head.code, 0, "%s", ready.text);
    cr_assert_eq(ready.head.pid, w.pid);
    cr_assert_eq(ready.head.worker, (int)slot);
    return w;
}

/* Down: the function's name, once for each task; then the task. */
static inline void post_name(struct life *w, const struct filch__function_name *name) {
    size_t fixed = filch__message_round(sizeof(struct filch__message_function));
    size_t path = strlen(name->path) + 1;
    struct filch__message_function *m =
        filch__channel_begin_down(&w->channel, MESSAGE_FUNCTION, fixed + path);
    cr_assert_not_null(m);
    m->function = w->functions++;
    m->path_size = (uint32_t)path;
    m->id_size = name->id_size;
    m->offset = name->offset;
    memcpy(m->id, name->id, sizeof m->id);
    memcpy((char *)m + fixed, name->path, path);
}
static inline void post_known(struct life *w, uint32_t ticket, uint32_t function, uint32_t flags,
                              const void *arg, size_t size, size_t result_size) {
    size_t fixed = filch__message_round(sizeof(struct filch__message_task));
    struct filch__bytes bytes = {.size = size};
    if (size > MESSAGE_INLINE) {
        void *block = filch__arena_alloc(w->arena, size, false, &bytes);
        cr_assert_not_null(block);
        memcpy(block, arg, size);
    }
    size_t in_line = size > MESSAGE_INLINE ? 0 : size;
    filch__claim_open(&w->channel, ticket, ++w->generation);
    filch__claim_post(&w->channel, ticket, w->generation);
    struct filch__message_task *m =
        filch__channel_begin_down(&w->channel, MESSAGE_TASK, fixed + in_line);
    cr_assert_not_null(m);
    m->generation = w->generation;
    m->ticket = ticket;
    m->function = function;
    m->flags = flags | (result_size > MESSAGE_INLINE ? TASK_SEGMENT : 0);
    m->child = 0;
    m->result_size = result_size;
    m->arg = bytes;
    if (in_line != 0) memcpy((char *)m + fixed, arg, in_line);
    filch__channel_publish_down(&w->channel);
}
static inline void post(struct life *w, uint32_t ticket, filch_task_fn *fn, const void *arg,
                        size_t size, size_t result_size) {
    struct filch__function_name name;
    cr_assert_eq(filch__function_name((void (*)(void))fn, &name), 0);
    post_name(w, &name);
    post_known(w, ticket, w->functions - 1, 0, arg, size, result_size);
}
static inline void post_quit(struct life *w) {
    cr_assert_not_null(
        filch__channel_begin_down(&w->channel, MESSAGE_QUIT, sizeof(struct filch__message)));
    filch__channel_publish_down(&w->channel);
}
/* The result of the task that was posted last. */
static inline struct answer take_result(struct life *w, uint32_t ticket) {
    struct answer a = take_answer(w, MESSAGE_RESULT);
    cr_assert_eq(a.head.ticket, ticket);
    cr_assert_eq(a.head.generation, w->generation);
    cr_assert_eq(filch__claim_state(&w->channel, ticket, w->generation), CLAIM_TAKEN);
    filch__claim_free(&w->channel, ticket);
    return a;
}
static inline struct answer run_in(struct life *w, filch_task_fn *fn, const void *arg, size_t size,
                                   size_t result_size) {
    post(w, 0, fn, arg, size, result_size);
    return take_result(w, 0);
}

static inline void check_died(struct life *w, int code, int number) {
    struct filch__packet died = packet_of(w->zygote, PACKET_DIED);
    cr_assert_eq(died.slot, w->slot);
    cr_assert_eq(died.life, w->number);
    cr_assert_eq(died.pid, w->pid);
    cr_assert_eq(died.code, code, "code %d, not %d", died.code, code);
    cr_assert_eq(died.number, number, "number %d, not %d", died.number, number);
    cr_assert(!is_alive(w->pid));
}

#endif
