/* process/desk.c: who keeps the books: one thread at a time, whichever comes (README.md, B1 to B5).
 *
 * Flow     submit, attend.c, manager.c -> filch__desk_knock -> turns: notices, up rings, dispatch -> leave -> finish.
 * Progress a knock is lock-free: it is left to who holds the desk, who serves a bounded number of knocks of others and
 *          leaves the rest to the manager. withdraw is blocking.
 * Not here: what is done in a turn (collect.c, dispatch.c, death.c). */
#include "base/point.h"
#include "hub.h"
#include "os/memory.h"
#include "process/family.h"

/* Turns for the knocks of others, and messages of one worker in a turn. */
enum { TURNS = 8, MESSAGES = 256 };

char *filch__text(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = filch__text_format(format, arguments);
    va_end(arguments);
    return text;
}

/* Finishing (B5) ----------------------------------------------------------------------------------- */

static void leave_to_manager(struct filch__processes *p, filch_future *f) {
    filch__stack_push(&p->chores, &f->link);
    filch__manager_wake(p);
}

static void done_with(struct filch__processes *p, uint32_t n) {
    uint32_t left = fetch_sub_acq_rel(&p->unfinished, n) - n; /* V17 -> V18 */
    if (unlikely(left == 0 && filch__processes_ending(p) != 0)) filch__manager_wake(p);
}

void filch__desk_finish_chore(struct filch__processes *p, filch_future *f) {
    uint32_t generation = filch__fork_now();
    bool callbacks = true;
    if (!state_is_done(state_look(&f->state))) {
        filch__future_destroy_arg(f);
        if (unlikely(filch__fork_now() != generation)) return;
        callbacks =
            state_finish(&f->state, LIFE_FINISHED, false) == AFTER_NOTIFY && filch__future_tell(f);
    }
    if (callbacks) filch__hub_run_callbacks(f);
    if (unlikely(filch__fork_now() != generation)) return;
    filch__future_drop(f);
    done_with(p, 1);
}

/* Returns how many ended here; the others are the manager's. */
static uint32_t finish(struct filch__processes *p, filch_future *f) {
    struct filch__extra *extra = filch__future_extra(f);
    if (unlikely(extra != NULL && extra->arg_destroy != NULL)) {
        leave_to_manager(p, f);
        return 0;
    }
    POINT("future.finish");
    switch (state_finish(&f->state, LIFE_FINISHED, true)) {
    case AFTER_GONE: return 1;
    case AFTER_LAST: filch__future_free(f); return 1;
    case AFTER_NOTIFY: break;
    }
    if (filch__future_tell(f)) {
        leave_to_manager(p, f);
        return 0;
    }
    filch__future_drop(f);
    return 1;
}

static void finish_all(struct filch__processes *p, struct filch__ended *ended) {
    uint32_t here = 0;
    filch_future *f;
    while ((f = filch__line_pop(&ended->line)) != NULL) here += finish(p, f);
    if (here != 0) done_with(p, here);
}

/* Turns -------------------------------------------------------------------------------------------- */

bool filch__desk_try_notify(struct filch__processes *p, const struct filch__packet *packet) {
    struct filch__notice *notice = filch__alloc(sizeof *notice);
    if (notice == NULL) return false;
    notice->packet = *packet;
    filch__stack_push(&p->notices, &notice->link);
    return true;
}

static void read_notices(struct filch__processes *p, struct filch__ended *ended) {
    struct filch__link *link = filch__chain_reverse(filch__stack_take_all(&p->notices));
    while (link != NULL) {
        struct filch__notice *notice = container_of(link, struct filch__notice, link);
        link = filch__link_next(link);
        filch__death_notice(p, &notice->packet, ended);
        filch__free(notice);
    }
}

/* Children that a drain has cancelled, or failed. */
static void end_orphans(struct filch__processes *p) {
    struct filch__link *link = filch__stack_take_all(&p->orphans);
    while (link != NULL) {
        filch_future *f = container_of(link, filch_future, link);
        link = filch__link_next(link);
        filch__family_end(p, f);
    }
}

static void collect_all(struct filch__processes *p, struct filch__ended *ended) {
    p->blocked = 0;
    for (uint32_t i = 0; i < p->seats_used; i++) {
        struct filch__seat *s = &p->seats[i];
        if (s->channel != NULL && s->life != SEAT_DOOMED && filch__channel_has_up(s->channel))
            filch__collect(p, s, ended, MESSAGES);
        if (unlikely(s->channel != NULL && s->channel->broken && s->life != SEAT_DOOMED))
            filch__hire_kill(p, s, filch__text("because it has written what cannot be"));
        p->blocked += filch__seat_is_blocked(s);
    }
}

/* The executor ends when there is nothing left to do. */
static void look_for_end(struct filch__processes *p) {
    if (p->queue.first != NULL || p->in_flight != 0 || !filch__stack_is_empty(&p->injector) ||
        !filch__stack_is_empty(&p->orphans))
        return;
    for (uint32_t i = 0; i < p->seats_used; i++) {
        struct filch__seat *s = &p->seats[i];
        if (s->life == SEAT_STARTING)
            filch__hire_kill(p, s, NULL);
        else if (s->life == SEAT_SERVING)
            filch__dispatch_quit(p, s);
    }
    filch__dispatch_publish(p);
    if (p->live != 0 || load_relaxed(&p->over) != 0) return; /* relaxed: the desk's own */
    store_release(&p->over, 1u);                             /* V19 -> V20 */
    filch__manager_wake(p);
}

static void turn(struct filch__processes *p, struct filch__ended *ended) {
    fetch_and_acq_rel(&p->desk, ~(uint32_t)DESK_KNOCK); /* V2 <- V1 */
    /* What was told before a task was submitted comes before it: tasks are taken first, and given out last. */
    if (!filch__stack_is_empty(&p->injector)) filch__dispatch_refill(p);
    if (unlikely(!filch__stack_is_empty(&p->notices))) read_notices(p, ended);
    POINT("desk.turn");
    collect_all(p, ended);
    if (unlikely(p->timeout_at != 0)) filch__death_timeouts(p);
    if (unlikely(p->due != 0)) filch__death_overdue(p);
    if (unlikely(p->retired != NULL)) filch__hire_free_retired(p, false);
    if (unlikely(!filch__stack_is_empty(&p->orphans))) end_orphans(p);
    filch__dispatch(p, ended);
    filch__dispatch_publish(p);
    if (unlikely(filch__processes_ending(p) != 0)) look_for_end(p);
}

/* Comes to the desk; false: somebody holds it, who will see what `bits` says. */
static bool come(struct filch__processes *p, uint32_t bits) {
    uint32_t before = fetch_or_acq_rel(&p->desk, DESK_HELD | bits); /* V1 -> V2; V1 <- V3, V4 */
    return (before & DESK_HELD) == 0;
}

/* Leaves (B4). False: somebody has knocked. */
static bool leave(struct filch__processes *p) {
    uint32_t held = DESK_HELD;
    return cas_acq_rel(&p->desk, &held, 0u); /* V3 -> V1 */
}

/* Leaves although somebody has knocked. */
static void leave_anyway(struct filch__processes *p) {
    (void)exchange_acq_rel(&p->desk, 0u); /* V4 -> V1 */
}

static const struct filch__ended nothing = {{NULL, NULL}, 0};

/* B2 to B5, with what has `ended` already. Who waits for what has ended does not wait for the knocks of others: the holder leaves, finishes, and
 * comes back. */
static void serve(struct filch__processes *p, struct filch__ended ended) {
    for (int turns = 1;; turns++) {
        turn(p, &ended);
        if (ended.count != 0)
            fetch_add_relaxed(&p->unfinished, ended.count); /* relaxed: V3 and V4 publish it */
        bool left = leave(p);
        if (!left && ended.count == 0 && turns < TURNS) continue;
        if (!left) leave_anyway(p);
        finish_all(p, &ended);
        if (left) return;
        if (turns >= TURNS) {
            filch__manager_wake(p);
            return;
        }
        if (!come(p, DESK_KNOCK)) return;
        ended = nothing;
    }
}

void filch__desk_knock(struct filch__processes *p) {
    POINT("desk.knock");
    if (come(p, DESK_KNOCK)) serve(p, nothing);
}

/* Without memory it is told at the desk itself, behind those that came before. */
void filch__desk_tell(struct filch__processes *p, const struct filch__packet *packet) {
    if (filch__desk_try_notify(p, packet)) {
        filch__desk_knock(p);
        return;
    }
    struct filch__ended ended = nothing;
    while (!come(p, 0)) filch__thread_yield();
    read_notices(p, &ended);
    filch__death_notice(p, packet, &ended);
    serve(p, ended);
}

struct filch__line filch__desk_withdraw(struct filch__processes *p) {
    while (!come(p, 0)) filch__thread_yield();
    filch__dispatch_refill(p);
    for (uint32_t i = p->seats_used; i-- > 0;)
        if (p->seats[i].channel != NULL)
            filch__dispatch_take_back(p, &p->seats[i], CHANNEL_TICKETS);
    struct filch__line line = p->queue;
    p->queue = (struct filch__line){NULL, NULL};
    serve(p, nothing);
    return line;
}
