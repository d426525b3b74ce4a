/* process/hire.c: the start of a worker, and what it leaves.
 *
 * Flow     dispatch.c -> filch__hire: channel, socket, arenas, START to the zygote; tasks may be posted at once. death.c ->
 *          vacate, when the zygote has said that it died.
 * Memory   the channel of a worker that is gone is unmapped when no visitor can be using it (pool.h, keep 3).
 * All of it at the desk. */
#include "base/point.h"
#include "error.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/socket.h"
#include "process/family.h"
#include "process/letters.h"
#include <errno.h>

/* Nanoseconds until the next try after a start that has failed here: 10 ms. */
#define RETRY 10000000

struct filch__retired {
    struct filch__retired *next;
    struct filch__channel channel;
};

/* The seat's channel, in memory that outlives the life; NULL: no memory, no descriptor. */
static struct filch__channel *make_channel(int *fd) {
    struct filch__retired *r = filch__alloc_zeroed(sizeof *r);
    if (r == NULL) return NULL;
    if (filch__channel_create(&r->channel, fd) == 0) return &r->channel;
    filch__free(r);
    return NULL;
}

static void unmap(struct filch__channel *channel) {
    filch__channel_unmap(channel);
    filch__free(container_of(channel, struct filch__retired, channel));
}

void filch__hire_free_retired(struct filch__processes *p, bool all) {
    fence_seq_cst();                                     /* V8 <-> V7 */
    if (!all && load_acquire(&p->visitors) != 0) return; /* V10 <- V9 */
    while (p->retired != NULL) {
        struct filch__retired *r = p->retired;
        p->retired = r->next;
        unmap(&r->channel);
    }
}

static struct filch__seat *find_vacant(struct filch__processes *p) {
    for (uint32_t i = 0; i < p->seats_used; i++)
        if (p->seats[i].life == SEAT_VACANT) return &p->seats[i];
    if (p->seats_used == p->limit) return NULL;
    struct filch__seat *s = &p->seats[p->seats_used];
    s->index = (int)p->seats_used;
    store_relaxed(&p->seats_used, p->seats_used + 1); /* relaxed: a hint to visitors */
    return s;
}

static int send_start(struct filch__processes *p, const struct filch__seat *s, int channel_fd,
                      int socket) {
    struct filch__packet packet = {
        .kind = PACKET_START, .slot = (uint32_t)s->index, .life = s->number};
    int fds[START_FDS];
    fds[START_CHANNEL] = channel_fd;
    fds[START_COMMON] = p->common_fd;
    fds[START_SOCKET] = socket;
    fds[START_BELL_MANAGER] = p->manager_bell;
    fds[START_BELL_ATTENDANT] = p->attendant_bell;
    return filch__socket_send(p->zygote_socket, &packet, sizeof packet, fds, START_FDS);
}

/* The parts that a life needs. False: not all of them. */
static bool equip(struct filch__processes *p, struct filch__seat *s) {
    int channel_fd = -1, ends[2] = {-1, -1};
    struct filch__channel *channel = make_channel(&channel_fd);
    if (channel == NULL) return false;
    s->socket = -1;
    if (filch__socket_pair(ends) == 0) {
        s->arena = filch__arena_create(ends[0]);
        s->view = filch__arena_view_create(ends[0]);
        s->socket = ends[0];
    }
    bool complete = s->socket >= 0 && s->arena != NULL && s->view != NULL &&
                    (errno = send_start(p, s, channel_fd, ends[1])) == 0;
    filch__fd_close(channel_fd);
    filch__fd_close(ends[1]);
    if (complete) {
        store_release(&s->channel, channel); /* V11 -> V12 */
        return true;
    }
    if (s->arena != NULL) filch__arena_destroy(s->arena);
    if (s->view != NULL) filch__arena_view_destroy(s->view);
    s->arena = NULL;
    s->view = NULL;
    filch__fd_close(s->socket);
    unmap(channel);
    return false;
}

void filch__hire_failed(struct filch__processes *p, int error) {
    p->next_start = filch__deadline(RETRY);
    filch__manager_timer(p, p->next_start);
    p->start_failed = true;
    if (p->live == 0)
        store_release(&p->start_error,
                      error == ENOMEM ? FILCH_ENOMEM : FILCH_EAGAIN); /* V34 -> V35 */
}

/* Z3. */
static void want_zygote(struct filch__processes *p) {
    p->zygote = ZYGOTE_WANTED;
    store_release(&p->zygote_wanted, 1u); /* V38 -> V39 */
    filch__manager_wake(p);
}

bool filch__hire_can(struct filch__processes *p) {
    if (unlikely(p->next_start != 0)) {
        if (filch__now() < p->next_start) {
            filch__manager_timer(p, p->next_start);
            return false;
        }
        p->next_start = 0;
    }
    if (unlikely(p->zygote == ZYGOTE_GONE)) want_zygote(p);
    return p->zygote == ZYGOTE_SERVES;
}

/* The zygote has ended, and the manager will tell the desk of it. */
static bool is_end_of_zygote(int error) {
    return error == EPIPE || error == ECONNRESET;
}

struct filch__seat *filch__hire(struct filch__processes *p) {
    struct filch__seat *s = filch__hire_can(p) ? find_vacant(p) : NULL;
    if (s == NULL) return NULL;
    s->number = ++p->number;
    if (!equip(p, s)) {
        if (!is_end_of_zygote(errno)) filch__hire_failed(p, errno);
        return NULL;
    }
    s->life = SEAT_STARTING;
    s->pid = 0;
    s->free_tickets = UINT64_MAX;
    s->posted = 0;
    s->bytes = 0;
    s->done = 0;
    s->due = 0;
    s->numbers_used = 0;
    s->begun = false;
    p->live++;
    p->start_failed = false;
    count_own(&p->started, 1);
    if (unlikely(p->start_error != 0)) store_release(&p->start_error, 0); /* V34 -> V35 */
    POINT("hire.made");
    return s;
}

void filch__hire_kill(struct filch__processes *p, struct filch__seat *s, char *fault) {
    struct filch__packet packet = {
        .kind = PACKET_KILL, .slot = (uint32_t)s->index, .life = s->number};
    if (s->life != SEAT_DOOMED) filch__death_expect(p, s);
    s->life = SEAT_DOOMED;
    if (s->fault == NULL)
        s->fault = fault;
    else
        filch__free(fault);
    struct filch__packet later = packet;
    later.kind = NOTICE_KILL_LATER;
    /* It is tried again; at once, if there is no memory to note that. */
    while (filch__socket_is_busy(
        filch__socket_send(p->zygote_socket, &packet, sizeof packet, NULL, 0))) {
        if (filch__desk_try_notify(p, &later)) {
            filch__manager_timer(p, filch__deadline(RETRY));
            return;
        }
        filch__thread_yield();
    }
}

void filch__hire_vacate(struct filch__processes *p, struct filch__seat *s) {
    struct filch__retired *r = container_of(s->channel, struct filch__retired, channel);
    filch__family_forget(s);
    filch__letters_forget(s);
    filch__arena_destroy(s->arena);
    filch__arena_view_destroy(s->view);
    filch__fd_close(s->socket);
    filch__free(s->numbers);
    filch__free(s->fault);
    s->arena = NULL;
    s->view = NULL;
    s->socket = -1;
    s->numbers = NULL;
    s->numbers_room = 0;
    s->fault = NULL;
    store_release(&s->channel, NULL); /* V11 -> V12 */
    r->next = p->retired;
    p->retired = r;
    s->life = SEAT_VACANT;
    p->live--;
    filch__hire_free_retired(p, false);
}
