/* process/serve.c: a worker's life: it reads what the program has posted, until it is told to quit.
 *
 * Flow     zygote.c -> filch__serve: limits, initializer, READY; then read, do, sleep. Tasks: work.c. Messages of children
 *          that its tasks have submitted: nested_ends.c.
 * Ends     by QUIT, with status 0 and as exit() does it; by whatever a task does to it; by SIGKILL when the zygote ends, or by itself when it
 *          sees that, in a sleep.
 * Retires  when it has run max_tasks, or is larger than memory_limit after a task: says so, and then takes none. What has
 *          been posted by then is revoked by the program, or ended by the worker's death. */
#include "process/serve.h"

#include "error.h"
#include "executor_ops.h"
#include "os/bell.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/futex.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/shm.h"
#include "os/socket.h"
#include "os/thread.h"
#include "process/module.h"
#include "process/nested.h"
#include <errno.h>
#include <string.h>

/* Nanoseconds of a nap while a ring or a socket is full: at first, and at most. */
#define NAP_FIRST 20000
#define NAP_MOST 1000000
/* Bytes of stack under which no task is run on top of another. */
#define STACK_RESERVE ((size_t)1 << 20)

static struct filch__server server;

/* Upwards ------------------------------------------------------------------------------------------ */

void filch__server_nap(int round) {
    static uint32_t nobody;
    int64_t nap = round < 6 ? (int64_t)NAP_FIRST << round : NAP_MOST;
    filch__futex_wait(&nobody, 0, filch__deadline(nap));
}

/* Nobody reads what it sends any more. The kernel kills it then, unless a task, or the initializer, has made it another user's. */
static void end_with_zygote(const struct filch__server *s) {
    if (unlikely(filch__process_parent() != s->zygote)) filch__process_exit_at_once(1);
}

static void nap(const struct filch__server *s, int round) {
    filch__server_nap(round);
    end_with_zygote(s);
}

void filch__server_sleep(struct filch__server *s, int64_t deadline) {
    filch__channel_sleep(&s->channel, s->setup->spin, deadline);
    if (filch__channel_read_down(&s->channel) == NULL) end_with_zygote(s);
}

static void ring(struct filch__server *s) {
    enum filch__listener who = filch__listener(s->common);
    if (who != LISTENER_NOBODY)
        filch__bell_ring(who == LISTENER_ATTENDANT ? s->attendant_bell : s->manager_bell);
}

void filch__server_publish(struct filch__server *s) {
    filch__channel_publish_up(&s->channel);
    ring(s);
}

void *filch__server_begin(struct filch__server *s, enum filch__message_kind kind, size_t size) {
    struct filch__message *m;
    for (int round = 0; (m = filch__channel_begin_up(&s->channel, kind, size)) == NULL; round++)
        nap(s, round);
    memset(m + 1, 0, size - sizeof *m);
    return m;
}

void *filch__server_block(struct filch__server *s, size_t size, bool zeroed,
                          struct filch__bytes *bytes) {
    void *block;
    /* The program takes descriptors off the socket when it reads the messages that are there by now. */
    for (int round = 0;
         (block = filch__arena_alloc(s->arena, size, zeroed, bytes)) == NULL && errno == EAGAIN;
         round++)
        nap(s, round);
    return block;
}

/* A text that is too long for a ring goes to the arena; if that is not possible it is cut. */
static void place_text(struct filch__server *s, const char *text, struct filch__bytes *bytes) {
    size_t size = text == NULL ? 0 : strlen(text);
    *bytes = (struct filch__bytes){.size = size};
    if (size <= MESSAGE_INLINE) return;
    void *block = filch__server_block(s, size, false, bytes);
    if (block != NULL)
        memcpy(block, text, size);
    else
        *bytes = (struct filch__bytes){.size = MESSAGE_INLINE};
    bytes->size = block != NULL ? size : MESSAGE_INLINE;
}

void filch__server_send(struct filch__server *s, enum filch__message_kind kind,
                        struct filch__message_result *result, const void *value, const char *text,
                        const void *beside) {
    result->worker = s->self.index;
    result->pid = s->pid;
    place_text(s, text, &result->text);
    size_t fixed = filch__message_round(sizeof *result);
    char *to = filch__server_begin(s, kind,
                                   fixed + filch__bytes_in_line(&result->value) +
                                       filch__bytes_in_line(&result->text) +
                                       filch__bytes_in_line(&result->beside));
    memcpy(to + sizeof result->head, (char *)result + sizeof result->head,
           sizeof *result - sizeof result->head);
    to = filch__bytes_put(to + fixed, value, &result->value);
    to = filch__bytes_put(to, text, &result->text);
    filch__bytes_put(to, beside, &result->beside);
    filch__server_publish(s);
}

/* Downwards ---------------------------------------------------------------------------------------- */

/* Without memory for that too, the block is lost until the worker ends. */
static void owe(struct filch__server *s, const struct filch__bytes *bytes) {
    struct filch__owed *owed = filch__alloc(sizeof *owed);
    if (owed == NULL) return;
    *owed = (struct filch__owed){s->owed, *bytes};
    s->owed = owed;
}

/* Gives back what can be mapped by now. */
static cold void pay(struct filch__server *s) {
    struct filch__owed **at = &s->owed, *owed;
    while ((owed = *at) != NULL) {
        struct filch__held *held;
        if (filch__arena_view_hold(s->view, &owed->bytes, &held) == NULL) {
            at = &owed->next;
            continue;
        }
        filch__held_release(held);
        *at = owed->next;
        filch__free(owed);
    }
}

void *filch__server_bytes(struct filch__server *s, const struct filch__bytes *bytes,
                          const void *in_line, struct filch__held **held) {
    *held = NULL;
    if (bytes->segment == 0) return (void *)(uintptr_t)in_line;
    if (unlikely(s->owed != NULL)) pay(s);
    void *start = filch__arena_view_hold(s->view, bytes, held);
    if (unlikely(start == NULL)) owe(s, bytes);
    return start;
}

/* What the program has sent has no place: the worker's death says so. */
static _Noreturn void no_memory(void) {
    filch__process_exit_at_once(1);
}

static bool grow_known(struct filch__server *s, uint32_t number) {
    if (number < s->known_room) return true;
    uint32_t room = number < 32 ? 64 : number * 2;
    struct filch__known *known = filch__alloc_zeroed(room * sizeof *known);
    if (known == NULL) return false;
    if (s->known_count != 0) memcpy(known, s->known, s->known_count * sizeof *known);
    filch__free(s->known);
    s->known = known;
    s->known_room = room;
    return true;
}

static char *copy_text(const char *text) {
    char *copy = filch__alloc(strlen(text) + 1);
    return copy == NULL ? NULL : strcpy(copy, text);
}

void filch__server_learn(struct filch__server *s, const struct filch__message *message,
                         bool in_ring) {
    const struct filch__message_function *m = (const void *)message;
    struct filch__function_name name = {.offset = m->offset, .id_size = m->id_size};
    struct filch__known known = {NULL, NULL};
    void (*fn)(void);
    memcpy(name.id, m->id, sizeof name.id);
    if (m->path_size <= sizeof name.path)
        memcpy(name.path, (const char *)m + filch__message_round(sizeof *m), m->path_size);
    uint32_t number = m->function;
    /* Loading a library runs code of its own. */
    if (in_ring) filch__channel_consume_down(&s->channel);
    if (filch__function_find(&name, &fn) == 0)
        known.fn = (filch_task_fn *)fn;
    else
        known.text = copy_text(filch_last_error());
    if (!grow_known(s, number)) no_memory();
    s->known[number] = known;
    if (number >= s->known_count) s->known_count = number + 1;
}

void filch__server_keep(struct filch__server *s, const struct filch__message *message) {
    struct filch__aside *a = filch__alloc(offsetof(struct filch__aside, head) + message->size);
    if (a == NULL) no_memory();
    a->next = NULL;
    memcpy(&a->head, message, message->size);
    *s->aside_end = a;
    s->aside_end = &a->next;
    filch__channel_consume_down(&s->channel);
}

/* Life --------------------------------------------------------------------------------------------- */

static _Noreturn void quit(void) {
    filch__process_exit(0);
}

/* After a task; not while what the program has to tell of children is still awaited. */
static void consider_retiring(struct filch__server *s) {
    const struct filch__setup *setup = s->setup;
    if (s->retiring || s->tasks == 0 || filch__nested_is_busy(s)) return;
    bool many = setup->max_tasks != 0 && s->tasks >= setup->max_tasks;
    bool large = setup->memory_limit != 0 && filch__process_resident() > setup->memory_limit;
    if (!many && !large) return;
    s->retiring = true;
    filch__server_begin(s, MESSAGE_RETIRE, sizeof(struct filch__message));
    filch__server_publish(s);
}

static void handle(struct filch__server *s, const struct filch__message *m, bool in_ring) {
    switch (m->kind) {
    case MESSAGE_QUIT:
        /* What is done from here on is bounded in time: README.md, Quitting. */
        if (in_ring) filch__channel_consume_down(&s->channel);
        quit();
    case MESSAGE_TASK:
        if (!s->retiring)
            filch__work_task(s, (const void *)m, in_ring);
        else if (in_ring)
            filch__channel_consume_down(&s->channel);
        break;
    default: filch__nested_message(s, m, in_ring); break;
    }
    consider_retiring(s);
}

static void handle_aside(struct filch__server *s) {
    struct filch__aside *a = filch__server_unkeep(s, &s->aside);
    handle(s, &a->head, false);
    filch__free(a);
}

static _Noreturn void live(struct filch__server *s) {
    for (;;) {
        const struct filch__message *m;
        if (s->aside != NULL)
            handle_aside(s);
        else if ((m = filch__channel_read_down(&s->channel)) != NULL)
            handle(s, m, true);
        else
            filch__server_sleep(s, FILCH_FOREVER);
    }
}

static int set_limits(const struct filch__setup *setup) {
    const char *at = (const char *)setup + filch__setup_limits();
    const struct filch__setup_limit *limits = (const void *)at;
    for (uint32_t i = 0; i < setup->limit_count; i++) {
        int error = filch__limit_set(limits[i].resource, limits[i].soft, limits[i].hard);
        if (error != 0)
            return filch__error(FILCH_EINVAL, "limit %u: the kernel refuses it: %s", i,
                                strerror(error));
    }
    return 0;
}

static int initialize(const struct filch__setup *setup) {
    static void *argument; /* what the initializer makes of it may point there */
    void (*function)(void);
    if (!setup->has_initializer) return 0;
    int code = filch__function_find(&setup->initializer, &function);
    if (code != 0) return code;
    if (setup->argument_size != 0) {
        argument = filch__alloc(setup->argument_size);
        if (argument == NULL)
            return filch__error_constant(FILCH_ENOMEM, "no memory for the initializer's argument");
        memcpy(argument, (const char *)setup + filch__setup_argument(setup->limit_count),
               setup->argument_size);
    }
    code = ((int (*)(void *))function)(argument);
    if (filch__self() == NULL) filch__process_exit(0); /* the child of a fork() in it */
    return code == 0 ? 0 : filch__error(code, "the initializer has returned %d", code);
}

/* Says how the start went; a worker whose start has failed ends. */
static void say_ready(struct filch__server *s, int code) {
    struct filch__message_result ready = {.code = code};
    filch__server_send(s, MESSAGE_READY, &ready, NULL, code == 0 ? NULL : filch_last_error(), NULL);
    if (code != 0) quit();
}

/* What cannot be told through a channel that cannot be mapped is told by the status. */
static void set_up(struct filch__server *s, const int *fds) {
    int error = filch__channel_attach(&s->channel, fds[START_CHANNEL]);
    if (error != 0) filch__process_exit_at_once(1);
    size_t size = filch__shm_size(fds[START_COMMON]);
    s->common = filch__shm_map(fds[START_COMMON], 0, size, false, NULL);
    s->arena = filch__arena_create(fds[START_SOCKET]);
    s->view = filch__arena_view_create(fds[START_SOCKET]);
    s->room = filch__alloc(JOB_ROOM);
    if (size == 0 || s->common == NULL || s->arena == NULL || s->view == NULL || s->room == NULL ||
        !filch__nested_init(s))
        filch__process_exit_at_once(1);
    filch__fd_close(fds[START_CHANNEL]);
    filch__fd_close(fds[START_COMMON]);
}

/* Where the stack ends; 0: not known. Asked once: glibc reads all mappings of the process for that. */
static size_t stack_low;

void filch__serve_prepare(void) {
    stack_low = filch__thread_stack_low();
}

/* A quarter of the stack, and no more than is plenty, is kept for the task that is on top of all others. */
static void set_floor(struct filch__server *s) {
    size_t low = stack_low, room;
    if (low == 0) return;
    room = ((size_t)(uintptr_t)__builtin_frame_address(0) - low) / 4;
    s->stack_floor = low + (room < STACK_RESERVE ? room : STACK_RESERVE);
}

_Noreturn void filch__serve(uint32_t slot, const int *fds, const struct filch__setup *setup) {
    struct filch__server *s = &server;
    s->setup = setup;
    s->aside_end = &s->aside;
    s->self.index = (int)slot;
    s->pid = filch__process_id();
    s->zygote = filch__process_parent();
    s->manager_bell = fds[START_BELL_MANAGER];
    s->attendant_bell = fds[START_BELL_ATTENDANT];
    set_up(s, fds);
    set_floor(s);
    filch__thread.self = &s->self;
    int code = set_limits(setup);
    if (code == 0) code = initialize(setup);
    say_ready(s, code);
    s->initialized = true;
    live(s);
}
