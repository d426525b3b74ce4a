/* process/death.c: what a worker's death means for its tasks (README.md, D1 to D3), and for the executor.
 *
 * Flow     the zygote's packets, and what threads of the program ask -> notices -> here.
 * Policy   a start that dies counts; EARLY_DEATHS of them in a row break the executor. After a death without a task done since
 *          the last one, the next start waits, each time longer. The zygote's own death is one, however many workers it had.
 * All of it at the desk. */
#include "os/clock.h"
#include "os/memory.h"
#include "os/process.h"
#include "os/socket.h"
#include "process/module.h"
#include "process/family.h"
#include <signal.h>
#include <string.h>

/* Breaking ----------------------------------------------------------------------------------------- */

void filch__death_break(struct filch__processes *p, char *cause) {
    char *none = NULL;
    if (cause != NULL && !cas_acq_rel(&p->cause, &none, cause)) /* V28 -> V29 */
        filch__free(cause);
    fetch_or_seq_cst(&p->ending, FIRM_CLOSING | FIRM_BROKEN); /* V5 -> V6 */
    filch__manager_wake(p);                                   /* which ends what has not started */
}

/* How it ended ------------------------------------------------------------------------------------- */

/* "killed by signal 9 (Killed)", with what we know of the reason. Owned; or NULL. */
static char *describe_end(const struct filch__seat *s, const struct filch__packet *packet) {
    struct filch__process_end end = {packet->code, packet->number};
    char how[120];
    filch__process_end_describe(&end, how, sizeof how);
    return filch__text("worker %d (pid %d) %s%s%s", s->index, (int)packet->pid, how,
                       s->fault != NULL ? " " : "", s->fault != NULL ? s->fault : "");
}

/* The text of a task's future. */
static char *describe_task(filch_future *f, const char *end) {
    struct filch__extra *extra = filch__future_extra(f);
    char name[200];
    if (end == NULL) return NULL;
    if (extra != NULL && extra->name != NULL) return filch__text("%s in %s", end, extra->name);
    if (f->fn == NULL) return filch__text("%s", end); /* of a library that is not here */
    filch__function_describe((void (*)(void))f->fn, name, sizeof name);
    return filch__text("%s in %s", end, name);
}

/* D2 ----------------------------------------------------------------------------------------------- */

/* The task ran. */
static void end_running(struct filch__processes *p, filch_future *f, const char *end, int pid,
                        struct filch__ended *ended) {
    struct filch__extra *extra = filch__future_extra(f);
    p->zygote_deaths = 0;
    filch__future_started(f);
    if (state_life(state_look(&f->state)) != LIFE_RUNNING) {
        filch__future_drop(f); /* the worker has written what is not so, into its claims */
        return;
    }
    if (extra != NULL && extra->retries > 0) {
        extra->retries--;
        filch__line_push_front(&p->queue, &f->link);
        return;
    }
    filch__future_set_outcome_of(f, FILCH_EWORKER, describe_task(f, end), pid);
    count_own(&p->completed, 1);
    filch__end_future(p, ended, f);
}

static void end_tickets(struct filch__processes *p, struct filch__seat *s, const char *end, int pid,
                        struct filch__ended *ended) {
    filch__dispatch_take_back(p, s, CHANNEL_TICKETS);
    for (uint32_t ticket = 0; ticket < CHANNEL_TICKETS; ticket++) {
        uint64_t generation = s->postings[ticket].generation;
        filch_future *f = filch__posting_clear(p, s, ticket);
        s->postings[ticket].generation = 0;
        if (f == NULL) continue;
        if (filch__claim_state(s->channel, ticket, generation) == CLAIM_REVOKED &&
            filch__posting_is_cancelled(p, f))
            filch__future_drop(f); /* who revoked it ends it */
        else
            end_running(p, f, end, pid, ended);
    }
}

static void pause_starts(struct filch__processes *p) {
    if (p->pause != 0) p->next_start = filch__deadline(p->pause);
    p->pause = p->pause == 0 ? PAUSE_FIRST : p->pause < PAUSE_MOST / 2 ? 2 * p->pause : PAUSE_MOST;
}

/* D1: what it has published counts. */
static void collect_rest(struct filch__processes *p, struct filch__seat *s,
                         struct filch__ended *ended) {
    while (s->life != SEAT_DOOMED && filch__channel_has_up(s->channel))
        filch__collect(p, s, ended, CHANNEL_RING / sizeof(struct filch__message));
}

static void end_life(struct filch__processes *p, struct filch__seat *s,
                     const struct filch__packet *packet, struct filch__ended *ended) {
    collect_rest(p, s, ended);
    bool early = s->life == SEAT_STARTING, own = s->life == SEAT_DOOMED || s->life == SEAT_RETIRING;
    char *end = describe_end(s, packet);
    end_tickets(p, s, end, packet->pid, ended);
    if (!own && s->done != 0 && !early)
        p->pause = 0;
    else if (!own)
        pause_starts(p);
    if (early && ++p->early_deaths >= EARLY_DEATHS)
        filch__death_break(
            p, filch__text(
                   "the executor broke: %d workers in a row died while they started; the last: %s",
                   EARLY_DEATHS, end != NULL ? end : "unknown"));
    filch__free(end);
    filch__hire_vacate(p, s); /* D3 */
}

/* Notices ------------------------------------------------------------------------------------------ */

/* The worker was killed with its zygote: nobody says so, and it is no death of its own. */
static void end_with_zygote(struct filch__processes *p, struct filch__seat *s,
                            struct filch__ended *ended) {
    collect_rest(p, s, ended);
    struct filch__packet packet = {.pid = s->pid, .code = CLD_KILLED, .number = 9};
    if (s->fault == NULL) s->fault = filch__text("with its zygote");
    char *end = describe_end(s, &packet);
    end_tickets(p, s, end, packet.pid, ended);
    filch__free(end);
    filch__hire_vacate(p, s);
}

/* Z2. */
static void lose_zygote(struct filch__processes *p, const struct filch__packet *packet,
                        struct filch__ended *ended) {
    p->zygote = ZYGOTE_GONE;
    for (uint32_t i = 0; i < p->seats_used; i++)
        if (p->seats[i].life != SEAT_VACANT) end_with_zygote(p, &p->seats[i], ended);
    pause_starts(p);
    if (++p->zygote_deaths >= EARLY_DEATHS)
        filch__death_break(
            p, filch__text("the executor broke: %d zygotes in a row ended, and no task has run "
                           "meanwhile; the last: %s",
                           EARLY_DEATHS, packet->text));
}

/* No process could be made. That is not the fault of what it would have run. */
static void end_unborn(struct filch__processes *p, struct filch__seat *s,
                       const struct filch__packet *packet, struct filch__ended *ended) {
    end_tickets(p, s, NULL, 0, ended);
    filch__hire_vacate(p, s);
    filch__hire_failed(p, packet->number);
    if (p->live == 0 && ++p->early_deaths >= EARLY_DEATHS)
        filch__death_break(p, filch__text("the executor broke: no worker could be forked: %s",
                                          strerror(packet->number)));
}

static void kill_all(struct filch__processes *p) {
    for (uint32_t i = 0; i < p->seats_used; i++) {
        struct filch__seat *s = &p->seats[i];
        if (s->life == SEAT_STARTING || s->life == SEAT_SERVING || s->life == SEAT_RETIRING)
            filch__hire_kill(p, s, filch__text("by filch_executor_kill_workers"));
    }
}

/* Is one of its claims neither what the desk has written there nor what it, or who cancels, could make of it? */
static bool is_spoilt(struct filch__processes *p, const struct filch__seat *s) {
    for (uint64_t used = ~s->free_tickets; used != 0; used &= used - 1) {
        uint32_t ticket = (uint32_t)__builtin_ctzll(used);
        const struct filch__posting *posting = &s->postings[ticket];
        if (posting->future == NULL) continue;
        enum filch__claim claim = filch__claim_state(s->channel, ticket, posting->generation);
        if (claim == CLAIM_FREE ||
            (claim == CLAIM_REVOKED && !filch__posting_is_cancelled(p, posting->future)))
            return true;
    }
    return false;
}

static void kill_spoilt(struct filch__processes *p) {
    for (uint32_t i = 0; i < p->seats_used; i++) {
        struct filch__seat *s = &p->seats[i];
        if (s->life != SEAT_VACANT && s->life != SEAT_DOOMED && is_spoilt(p, s))
            filch__hire_kill(p, s, filch__text("because it has written what cannot be"));
    }
}

static struct filch__seat *seat_of(struct filch__processes *p, const struct filch__packet *packet) {
    struct filch__seat *s = packet->slot < p->seats_used ? &p->seats[packet->slot] : NULL;
    return s == NULL || s->life == SEAT_VACANT || s->number != packet->life ? NULL : s;
}

void filch__death_notice(struct filch__processes *p, const struct filch__packet *packet,
                         struct filch__ended *ended) {
    struct filch__seat *s;
    if (packet->kind == NOTICE_ZYGOTE_GONE) lose_zygote(p, packet, ended);
    if (packet->kind == NOTICE_ZYGOTE_SERVES) p->zygote = ZYGOTE_SERVES;
    if (packet->kind == NOTICE_KILL_ALL) kill_all(p);
    if (packet->kind == NOTICE_SPOILT) kill_spoilt(p);
    if ((s = seat_of(p, packet)) == NULL) return;
    switch (packet->kind) {
    case PACKET_STARTED: s->pid = packet->pid; return;
    case PACKET_DIED: end_life(p, s, packet, ended); return;
    case NOTICE_KILL_LATER: filch__hire_kill(p, s, NULL); return;
    case PACKET_FAILED: end_unborn(p, s, packet, ended); return;
    default: return;
    }
}

/* Ends that are due -------------------------------------------------------------------------------- */

int64_t filch__quit_grace = 5000000000;

void filch__death_expect(struct filch__processes *p, struct filch__seat *s) {
    s->due = filch__deadline(filch__quit_grace);
    if (p->due == 0 || s->due < p->due) p->due = s->due;
    filch__manager_timer(p, p->due);
}

/* A zygote that kills nobody is stopped itself; its workers end with it. */
static void end_zygote(struct filch__processes *p) {
    if (p->zygote != ZYGOTE_SERVES) return;
    store_relaxed(&p->zygote_condemned, 1u); /* relaxed: the bell orders it */
    filch__manager_wake(p);
}

/* Callbacks of children may still run in one that is neither quiet nor killed, and it reads QUIT after them. */
static void end_overdue(struct filch__processes *p, struct filch__seat *s) {
    filch__death_expect(p, s);
    if (s->life == SEAT_RETIRING && s->waits == 0 && filch__channel_is_quiet(s->channel))
        filch__hire_kill(p, s, NULL);
    else if (s->life == SEAT_DOOMED && filch__processes_ending(p) != 0)
        end_zygote(p);
}

void filch__death_overdue(struct filch__processes *p) {
    int64_t now = filch__now(), next = 0;
    for (uint32_t i = 0; i < p->seats_used; i++) {
        struct filch__seat *s = &p->seats[i];
        if (s->life == SEAT_VACANT || s->due == 0) continue;
        if (s->due <= now) end_overdue(p, s);
        if (next == 0 || s->due < next) next = s->due;
    }
    p->due = next;
    if (next != 0) filch__manager_timer(p, next);
}

/* Time limits -------------------------------------------------------------------------------------- */

/* When the seat's task, if it has one, is to be looked at next; 0: it is over its time. */
static int64_t time_of(struct filch__processes *p, const struct filch__seat *s, int64_t now) {
    int64_t next = now + p->task_timeout;
    for (uint64_t used = ~s->free_tickets; used != 0; used &= used - 1) {
        uint32_t ticket = (uint32_t)__builtin_ctzll(used);
        const struct filch__posting *posting = &s->postings[ticket];
        /* relaxed: the worker's word for it; what it says is compared with the clock alone */
        uint64_t started = load_relaxed(&s->channel->worker->started[ticket]);
        if (posting->future == NULL || started == 0 || started > (uint64_t)now ||
            filch__claim_state(s->channel, ticket, posting->generation) != CLAIM_TAKEN)
            continue;
        if ((int64_t)started + p->task_timeout <= now) return 0;
        if ((int64_t)started + p->task_timeout < next) next = (int64_t)started + p->task_timeout;
    }
    return next;
}

void filch__death_timeouts(struct filch__processes *p) {
    int64_t now = filch__now(), first = 0;
    filch__manager_timer(p, p->timeout_at);
    if (now < p->timeout_at) return;
    for (uint32_t i = 0; i < p->seats_used; i++) {
        struct filch__seat *s = &p->seats[i];
        if (s->posted == 0 || s->channel == NULL || s->life == SEAT_DOOMED) continue;
        int64_t next = time_of(p, s, now);
        if (next == 0)
            filch__hire_kill(p, s,
                             filch__text("because its task ran longer than task_timeout, %g s,",
                                         (double)p->task_timeout / 1e9));
        else if (first == 0 || next < first)
            first = next;
    }
    p->timeout_at = first;
    if (first != 0) filch__manager_timer(p, first);
}
