/* process/dispatch.c: which task goes to which worker, and when a worker is started.
 *
 * Policy   a worker without a task first; then a new worker, while there are fewer than max; then ahead of what a worker
 *          has, to all in turn, up to DEPTH. Where a worker has nothing, and another one has more than it runs, half of
 *          that comes back (rebalancing) and is given out again.
 * Keeps    1. Tasks are taken from the queue in its order, and come back to its front in theirs.
 * All of it at the desk. How a task is put into a worker's ring: post.c. */
#include "os/clock.h"
#include "os/memory.h"
#include "process/family.h"
#include "process/letters.h"
#include "process/post.h"

/* Nanoseconds until the next try where nothing says when: 10 ms. */
#define RETRY 10000000

/* Choosing ----------------------------------------------------------------------------------------- */

static bool has_room(const struct filch__seat *s) {
    return filch__seat_serves(s) && !s->channel->broken && s->free_tickets != 0 &&
           s->posted < DEPTH && s->bytes < DEPTH_BYTES && s->waits == 0;
}

/* A worker without a task. *more: may one more run? */
static struct filch__seat *find_idle(struct filch__processes *p, bool *more) {
    struct filch__seat *idle = NULL;
    uint32_t busy = 0;
    for (uint32_t i = 0; i < p->seats_used; i++) {
        struct filch__seat *s = &p->seats[i];
        if (s->posted == 0 && has_room(s)) {
            if (p->blocked == 0) return *more = true, s;
            if (idle == NULL) idle = s;
        } else {
            busy += s->life != SEAT_VACANT && !filch__seat_is_blocked(s);
        }
    }
    *more = busy < p->max;
    return *more ? idle : NULL;
}

static struct filch__seat *find_room(struct filch__processes *p) {
    for (uint32_t i = 0; i < p->seats_used; i++) {
        if (++p->cursor >= p->seats_used) p->cursor = 0;
        if (has_room(&p->seats[p->cursor])) return &p->seats[p->cursor];
    }
    return NULL;
}

static struct filch__seat *choose(struct filch__processes *p) {
    bool more;
    struct filch__seat *s = find_idle(p, &more);
    if (s == NULL && more && p->live < p->limit) s = filch__hire(p);
    return s != NULL ? s : find_room(p);
}

/* Taking back -------------------------------------------------------------------------------------- */

/* Tickets of tasks that can still be taken back, oldest first. */
static uint32_t list_posted(const struct filch__seat *s, uint32_t *tickets) {
    uint32_t n = 0;
    for (uint64_t used = ~s->free_tickets; used != 0; used &= used - 1) {
        uint32_t ticket = (uint32_t)__builtin_ctzll(used), at = n;
        const struct filch__posting *posting = &s->postings[ticket];
        if (posting->future == NULL ||
            filch__claim_state(s->channel, ticket, posting->generation) != CLAIM_POSTED)
            continue;
        for (; at > 0 && s->postings[tickets[at - 1]].generation > posting->generation; at--)
            tickets[at] = tickets[at - 1];
        tickets[at] = ticket;
        n++;
    }
    return n;
}

uint32_t filch__dispatch_take_back(struct filch__processes *p, struct filch__seat *s,
                                   uint32_t most) {
    uint32_t tickets[CHANNEL_TICKETS], n = list_posted(s, tickets), back = 0;
    while (n > 0 && back < most) {
        uint32_t ticket = tickets[--n];
        if (!filch__claim_revoke(s->channel, ticket, s->postings[ticket].generation)) continue;
        filch_future *f = filch__posting_clear(p, s, ticket);
        (void)state_unpost(&f->state); /* false: it is RUNNING, on its second try */
        filch__line_push_front(&p->queue, &f->link);
        back++;
    }
    return back;
}

/* Takes back half of what the one with most has ahead. */
static void rebalance(struct filch__processes *p) {
    uint32_t tickets[CHANNEL_TICKETS], most = 0;
    struct filch__seat *rich = NULL;
    for (uint32_t i = 0; i < p->seats_used; i++) {
        struct filch__seat *s = &p->seats[i];
        if (s->posted <= 1 || s->channel == NULL) continue;
        uint32_t n = list_posted(s, tickets); /* others run, or wait below */
        if (n <= most) continue;
        most = n;
        rich = s;
    }
    if (rich != NULL) filch__dispatch_take_back(p, rich, (most + 1) / 2);
}

/* Is there a worker without a task, or could there be one? */
static bool could_take_more(struct filch__processes *p) {
    bool more;
    return find_idle(p, &more) != NULL || (more && p->live < p->limit && filch__hire_can(p));
}

/* Will there be one, when a pause after a death is over? */
static bool will_take_more(const struct filch__processes *p) {
    return p->live < p->limit && !p->start_failed;
}

/* Giving out --------------------------------------------------------------------------------------- */

void filch__dispatch_refill(struct filch__processes *p) {
    struct filch__link *link = filch__chain_reverse(filch__stack_take_all(&p->injector));
    while (link != NULL) {
        struct filch__link *next = filch__link_next(link);
        filch__line_push(&p->queue, link);
        link = next;
    }
}

/* The task cannot be posted to any worker. */
static void fail(struct filch__processes *p, struct filch__ended *ended, filch_future *f, int code,
                 char *text) {
    if (!state_fail(&f->state) && state_life(state_look(&f->state)) != LIFE_RUNNING) {
        filch__free(text);
        filch__future_drop(f);
        return;
    }
    filch__future_set_outcome(f, code, text);
    filch__end_future(p, ended, f);
}

/* Posts the first of the queue. False: not now. */
static bool post_first(struct filch__processes *p, struct filch__ended *ended) {
    filch_future *f = filch__line_first(&p->queue);
    enum filch__life life = state_life(state_look(&f->state));
    if (unlikely(life != LIFE_PENDING && life != LIFE_RUNNING)) {
        filch__future_drop(filch__line_pop(&p->queue)); /* it was cancelled */
        return true;
    }
    struct filch__seat *s = choose(p);
    if (s == NULL) return false;
    struct filch__link *next = filch__link_next(&f->link); /* whose place the ticket takes */
    struct filch__posted how = filch__post(p, s, f);
    if (how.code == POST_FULL) {
        /* Nothing that it has will end, and so say that there is room again: memory was lacking. */
        if (s->posted == 0) filch__manager_timer(p, filch__deadline(RETRY));
        filch__link_set_next(&f->link, next);
        return false;
    }
    p->queue.first = next;
    if (unlikely(how.code == POST_GONE))
        filch__future_drop(f);
    else if (unlikely(how.code != 0))
        fail(p, ended, f, how.code, how.text);
    return true;
}

void filch__dispatch(struct filch__processes *p, struct filch__ended *ended) {
    /* Who has submitted one sees that too, and takes it back. */
    if (unlikely(load_relaxed(&p->over) != 0)) return; /* relaxed: the desk's own */
    if (unlikely((filch__processes_ending(p) & (FIRM_CANCELLING | FIRM_BROKEN)) != 0)) {
        if (p->queue.first != NULL) filch__manager_wake(p); /* which drains it */
        return;
    }
    if (p->queue.first == NULL && p->in_flight > 1 && could_take_more(p)) rebalance(p);
    while (p->queue.first != NULL && post_first(p, ended)) continue;
    if (likely(p->queue.first == NULL || p->blocked == 0)) return;
    filch__family_help(p);
    if (p->queue.first != NULL && p->blocked == p->live && !could_take_more(p) &&
        !will_take_more(p))
        filch__family_refuse(p);
}

void filch__dispatch_publish(struct filch__processes *p) {
    for (uint32_t i = 0; i < p->seats_used; i++) {
        struct filch__seat *s = &p->seats[i];
        if (unlikely(s->later != NULL && s->channel != NULL)) filch__letters_flush(s);
        if (!s->begun || s->channel == NULL) continue;
        s->begun = false;
        /* relaxed: a statistic */
        if (load_relaxed(&s->channel->worker->asleep) != 0) count_own(&p->woken, 1);
        filch__channel_publish_down(s->channel);
    }
}

void filch__dispatch_quit(struct filch__processes *p, struct filch__seat *s) {
    s->life = SEAT_RETIRING;
    filch__death_expect(p, s);
    if (filch__channel_begin_down(s->channel, MESSAGE_QUIT, sizeof(struct filch__message)) == NULL)
        filch__hire_kill(p, s, NULL); /* it does not read, although it has nothing to do */
    else
        s->begun = true;
}
