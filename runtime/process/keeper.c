/* process/keeper.c: what the manager does for the zygote (README.md, Z1 to Z5).
 *
 * Flow     manager.c -> read: what it has sent goes to the desk as notices; bury: it has ended, and the desk is told; tend: the
 *          next one is started, when the desk wants one.
 * State    the manager's alone. The desk sends to the socket between NOTICE_ZYGOTE_SERVES and NOTICE_ZYGOTE_GONE.
 * Keeps    1. Of each zygote but the first: SERVES at most once, then GONE exactly once, then nothing until the desk wants the next.
 *          2. GONE comes after all that it has sent.
 * Not here: what its death means for workers and their tasks (death.c), how it is started (spawn.c). */
#include "os/bell.h"
#include "os/clock.h"
#include "os/process.h"
#include "os/socket.h"
#include "process/pool.h"
#include <errno.h>
#include <filch/error.h>
#include <stdio.h>

/* Nanoseconds that a zygote may take to end before it is killed: 5 s. */
#define ZYGOTE_GRACE 5000000000

/* The first reason is the one. */
static void note_fault(struct filch__processes *p, const char *fault) {
    if (p->zygote_fault[0] == 0)
        snprintf(p->zygote_fault, sizeof p->zygote_fault, "process %d %.200s", p->zygote_pid,
                 fault);
}

static void kill_zygote(struct filch__processes *p) {
    if (p->zygote_watch >= 0) filch__process_kill_watched(p->zygote_watch, 9);
}

/* Z5. */
static void hear_hello(struct filch__processes *p, struct filch__packet *packet) {
    p->zygote_deadline = 0;
    packet->text[sizeof packet->text - 1] = 0;
    if (packet->number == 0) {
        packet->kind = NOTICE_ZYGOTE_SERVES;
        filch__desk_tell(p, packet);
        return;
    }
    char fault[ZYGOTE_TEXT];
    snprintf(fault, sizeof fault, "could not start: %.150s", packet->text);
    note_fault(p, fault);
    kill_zygote(p);
}

void filch__keeper_read(struct filch__processes *p) {
    struct filch__packet packet;
    for (;;) {
        int n = 0;
        long size = filch__socket_receive(p->zygote_socket, &packet, sizeof packet, NULL, &n);
        if (size == -EAGAIN || size == -EINTR) return;
        if (size == (long)sizeof packet && packet.kind == PACKET_HELLO)
            hear_hello(p, &packet);
        else if (size == (long)sizeof packet)
            filch__desk_tell(p, &packet);
        if (size > 0) continue;
        p->zygote_watched = false;
        kill_zygote(p); /* if it lives, it is of no use */
        return;
    }
}

static void tell_gone(struct filch__processes *p, const char *why) {
    struct filch__packet packet = {.kind = NOTICE_ZYGOTE_GONE};
    snprintf(packet.text, sizeof packet.text, "%s", why);
    p->zygote_deadline = 0;
    filch__desk_tell(p, &packet);
}

void filch__keeper_bury(struct filch__processes *p) {
    if (p->zygote_watched) filch__keeper_read(p);
    p->zygote_watched = false;
    filch__fd_close(p->zygote_watch);
    p->zygote_watch = -1;
    note_fault(p, "has ended");
    tell_gone(p, p->zygote_fault);
}

static void start(struct filch__processes *p) {
    filch__fd_close(p->zygote_socket);
    p->zygote_socket = -1;
    p->zygote_fault[0] = 0;
    store_relaxed(&p->zygote_condemned, 0u); /* relaxed: that was the last one, which is gone */
    if (filch__spawn(p) != 0) {
        tell_gone(p, filch_last_error());
        return;
    }
    p->zygote_watched = true;
    p->zygote_deadline = filch__deadline(filch__zygote_patience);
}

void filch__keeper_tend(struct filch__processes *p) {
    if (unlikely(load_acquire(&p->zygote_wanted) != 0)) { /* V39 <- V38 */
        store_relaxed(&p->zygote_wanted, 0u); /* relaxed: set again only after what is told */
        start(p);
    }
    /* relaxed: the bell orders it */
    if (unlikely(load_relaxed(&p->zygote_condemned) != 0)) kill_zygote(p);
    if (likely(p->zygote_deadline == 0)) return;
    if (filch__now() < p->zygote_deadline) {
        filch__manager_timer(p, p->zygote_deadline);
        return;
    }
    p->zygote_deadline = 0;
    char fault[ZYGOTE_TEXT];
    snprintf(fault, sizeof fault, "has not answered within %g s: does preload return?",
             (double)filch__zygote_patience / 1e9);
    note_fault(p, fault);
    kill_zygote(p);
}

/* It is nobody's child here: its descriptor says when it has ended. */
void filch__keeper_end(struct filch__processes *p) {
    bool ready;
    filch__fd_close(p->zygote_socket);
    p->zygote_socket = -1;
    if (p->zygote_watch >= 0 &&
        !filch__fds_wait(&p->zygote_watch, 1, &ready, filch__deadline(ZYGOTE_GRACE)))
        kill_zygote(p);
    filch__fd_close(p->zygote_watch);
    p->zygote_watch = -1;
    filch__spawn_forget(p);
}
