/* process/zygote.c: filch_main, and the process from which workers are forked.
 *
 * Flow     spawn.c starts the program once more, with ZYGOTE_VARIABLE in its environment; filch_main then never returns:
 *          set up (PACKET_SETUP), preload, HELLO; then it serves: START forks a worker, which goes on in serve.c.
 * State    `children`: those that run, and those of which the program has not been told all.
 * Keeps    1. One thread: what fork() copies is whole, and the end of the thread that is the parent of the workers is the end of the
 *             process (PR_SET_PDEATHSIG).
 *          2. STARTED, or FAILED, of a life is sent before its DIED, and each once, however full the socket is.
 * Ends     with the socket, or with the program: a child of the program that fork() has made may keep the socket open. All
 *          workers are killed then.
 * Not here: the start of the zygote (spawn.c), a worker's life (serve.c). */
#include "process/zygote.h"

#include "base/compiler.h"
#include "error.h"
#include "os/bell.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/shm.h"
#include "os/socket.h"
#include "process/message.h"
#include "process/serve.h"
#include <errno.h>
#include <filch/process.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nanoseconds until a packet for which the socket had no room is tried again. */
#define RETRY 1000000

bool filch__main_called, filch__is_inside;

enum { TELL_STARTED = 1, TELL_FAILED = 2, TELL_DIED = 4 };

struct child {
    struct child *next;
    uint32_t slot;
    uint64_t life;
    int pid;          /* 0: it has ended, or could not be started */
    unsigned to_tell; /* packets that are not sent yet */
    int told_pid, error;
    struct filch__process_end end;
};

static struct zygote {
    int socket;
    int program; /* readable when the program has ended */
    int ended;   /* readable when a child has */
    const struct filch__setup *setup;
    struct child *children;
} zygote;

/* Telling the program ----------------------------------------------------------------------------- */

static bool send_packet(const struct filch__packet *packet) {
    int error = filch__socket_send(zygote.socket, packet, sizeof *packet, NULL, 0);
    return !filch__socket_is_busy(error);
}

/* False: not now. */
static bool tell(struct child *c, unsigned what, enum filch__packet_kind kind, int code,
                 int number) {
    if ((c->to_tell & what) == 0) return true;
    struct filch__packet packet = {.kind = (uint32_t)kind,
                                   .slot = c->slot,
                                   .life = c->life,
                                   .pid = c->told_pid,
                                   .code = code,
                                   .number = number};
    if (!send_packet(&packet)) return false;
    c->to_tell &= ~what;
    return true;
}

/* What there is to tell of all children; those of which all is told are forgotten. False: not all of it now. */
static bool tell_all(void) {
    struct child **at = &zygote.children;
    while (*at != NULL) {
        struct child *c = *at;
        if (!tell(c, TELL_STARTED, PACKET_STARTED, 0, 0) ||
            !tell(c, TELL_FAILED, PACKET_FAILED, 0, c->error) ||
            !tell(c, TELL_DIED, PACKET_DIED, c->end.code, c->end.number))
            return false;
        if (c->pid != 0) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        filch__free(c);
    }
    return true;
}

/* The first packet; the socket has room for it. */
static void say_hello(int number, const char *text) {
    struct filch__packet packet = {
        .kind = PACKET_HELLO, .pid = filch__process_id(), .number = number};
    snprintf(packet.text, sizeof packet.text, "%s", text);
    (void)send_packet(&packet);
}

static _Noreturn void fail(int number, const char *text) {
    say_hello(number, text);
    filch__process_exit_at_once(1);
}

/* Children ---------------------------------------------------------------------------------------- */

static void reap_all(void) {
    for (struct child *c = zygote.children; c != NULL; c = c->next) {
        if (c->pid == 0 || !filch__process_reap(c->pid, &c->end)) continue;
        c->pid = 0;
        c->to_tell |= TELL_DIED;
    }
}

static _Noreturn void become_worker(const struct filch__packet *packet, const int *fds,
                                    int parent) {
    filch__process_die_with(parent);
    filch__children_forget();
    filch__fd_close(zygote.socket);
    filch__fd_close(zygote.program);
    filch__fd_close(zygote.ended);
    filch__serve(packet->slot, fds, zygote.setup);
}

static void start(const struct filch__packet *packet, const int *fds, int n) {
    int self = filch__process_id();
    struct child *c = filch__alloc_zeroed(sizeof *c);
    if (c == NULL) {
        struct filch__packet failed = {
            .kind = PACKET_FAILED, .slot = packet->slot, .life = packet->life, .number = ENOMEM};
        while (!send_packet(&failed)) filch__server_nap(0);
        return;
    }
    /* Descriptors beyond what a process may have do not arrive. */
    int pid = n == START_FDS ? filch__process_fork() : -EMFILE;
    if (pid == 0) become_worker(packet, fds, self);
    c->slot = packet->slot;
    c->life = packet->life;
    c->pid = pid < 0 ? 0 : pid;
    c->told_pid = c->pid;
    c->error = pid < 0 ? -pid : 0;
    c->to_tell = pid < 0 ? TELL_FAILED : TELL_STARTED;
    c->next = zygote.children;
    zygote.children = c;
}

static void kill_one(uint32_t slot, uint64_t life) {
    for (struct child *c = zygote.children; c != NULL; c = c->next)
        if (c->pid != 0 && c->slot == slot && c->life == life) filch__process_kill(c->pid, 9);
}

/* Life -------------------------------------------------------------------------------------------- */

static _Noreturn void end(void) {
    bool left = true, ready;
    for (struct child *c = zygote.children; c != NULL; c = c->next)
        if (c->pid != 0) filch__process_kill(c->pid, 9);
    while (left) {
        left = false;
        filch__children_clear(zygote.ended);
        reap_all();
        for (struct child *c = zygote.children; c != NULL; c = c->next) left |= c->pid != 0;
        if (left) filch__fds_wait(&zygote.ended, 1, &ready, FILCH_FOREVER);
    }
    filch__process_exit_at_once(0);
}

/* False: there is none. */
static bool receive_one(void) {
    struct filch__packet packet;
    int fds[START_FDS], n = START_FDS;
    long size = filch__socket_receive(zygote.socket, &packet, sizeof packet, fds, &n);
    if (size == -EAGAIN) return false;
    if (size <= 0) end();
    if (size == (long)sizeof packet && packet.kind == PACKET_START) start(&packet, fds, n);
    if (size == (long)sizeof packet && packet.kind == PACKET_KILL)
        kill_one(packet.slot, packet.life);
    for (int i = 0; i < n; i++) filch__fd_close(fds[i]);
    return true;
}

static _Noreturn void serve(void) {
    for (;;) {
        int fds[] = {zygote.socket, zygote.program, zygote.ended};
        bool ready[3];
        bool told = tell_all();
        filch__fds_wait(fds, 3, ready, told ? FILCH_FOREVER : filch__deadline(RETRY));
        if (ready[1]) end();
        if (ready[2]) {
            filch__children_clear(zygote.ended);
            reap_all();
        }
        while (ready[0] && receive_one()) continue;
    }
}

/* The options, mapped for as long as the process lives. NULL: what is on the descriptor is no zygote's socket. */
static const struct filch__setup *receive_setup(void) {
    struct filch__packet packet;
    int fd = -1, n = 1;
    bool ready;
    long size;
    do {
        n = 1;
        filch__fds_wait(&zygote.socket, 1, &ready, FILCH_FOREVER);
        size = filch__socket_receive(zygote.socket, &packet, sizeof packet, &fd, &n);
    } while (size == -EAGAIN);
    if (size != (long)sizeof packet || packet.kind != PACKET_SETUP || n != 1) return NULL;
    size_t bytes = filch__shm_size(fd);
    if (bytes < sizeof(struct filch__setup)) return NULL;
    const struct filch__setup *setup = filch__shm_map(fd, 0, bytes, false, NULL);
    filch__fd_close(fd);
    if (setup == NULL) fail(FILCH_ENOMEM, "there is no memory for the options");
    return setup;
}

static void run_preload(const struct filch__setup *setup) {
    char text[sizeof((struct filch__packet *)NULL)->text];
    void (*function)(void);
    if (!setup->has_preload) return;
    if (filch__function_find(&setup->preload, &function) != 0) {
        snprintf(text, sizeof text, "preload: %s", filch_last_error());
        fail(FILCH_EINVAL, text);
    }
    int code = ((int (*)(void))function)();
    if (code == 0) return;
    snprintf(text, sizeof text, "preload has returned %d", code);
    fail(code, text);
}

static _Noreturn void refuse_environment(void) {
    fputs("filch: the variable " ZYGOTE_VARIABLE
          " is in the environment, but the library has not started this process: unset it\n",
          stderr);
    filch__process_exit_at_once(1);
}

static _Noreturn void live(void) {
    filch__is_inside = true;
    zygote.socket = ZYGOTE_SOCKET;
    if (filch__fd_keep(zygote.socket) != 0 || (zygote.setup = receive_setup()) == NULL)
        refuse_environment();
    zygote.program = filch__process_watch(zygote.setup->program);
    if (zygote.program < 0) {
        if (errno == ESRCH) end();
        fail(FILCH_ENOMEM, "there is no descriptor to watch the program with");
    }
    run_preload(zygote.setup);
    filch__serve_prepare();
    filch__streams_flush();
    zygote.ended = filch__children_watch();
    if (zygote.ended < 0) fail(FILCH_ENOMEM, "there is no descriptor to watch workers with");
    say_hello(0, "");
    serve();
}

void filch_main(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    const char *value = getenv(ZYGOTE_VARIABLE);
    if (likely(value == NULL)) {
        filch__main_called = true;
        return;
    }
    if (strcmp(value, "3") != 0) refuse_environment();
    unsetenv(ZYGOTE_VARIABLE);
    live();
}
