/* process/family_wait.c: waits of tasks for children, as the program has them.
 *
 * Flow     AWAIT: what is posted to that worker comes back, another worker may take its place, and the awaited child, if it
 *          has not started, is posted on top of the task that waits. AWAKE: the place is taken again.
 * All of it at the desk. */
#include "os/clock.h"
#include "os/memory.h"
#include "process/family.h"
#include "process/letters.h"
#include "process/post.h"

/* Waits inside each other up to which others are run on top. */
enum { HELP_DEPTH = 32 };

/* Nanoseconds until the next look whether a full ring has room: 10 ms. */
#define RETRY 10000000

/* Posts it on top of the task that waits there. 0, or why not. */
static int post_on_top(struct filch__processes *p, struct filch__seat *s, filch_future *f) {
    struct filch__child *c = filch__future_rare(f)->child;
    if (s->free_tickets == 0) return FILCH_EAGAIN;
    struct filch__posted how =
        filch__post_with(p, s, f, TASK_ON_TOP, c->seat == s ? (uint32_t)c->number : 0);
    if (how.code == 0) s->on_top++;
    filch__free(how.text);
    return how.code;
}

static void await_child(struct filch__processes *p, struct filch__seat *s, struct filch__child *c) {
    filch_future *f = c->future;
    if (!filch__family_win(p, f)) return;
    int code = post_on_top(p, s, f);
    if (code == 0) return;
    filch__line_push_front(&p->queue, &f->link);
    if (code == POST_FULL)
        filch__manager_timer(p, filch__deadline(RETRY)); /* nothing says that there is room again */
    else
        c->own_wait = 0;
}

/* Of the wait that is about to be the innermost. */
static void set_closed(struct filch__seat *s, bool closed) {
    uint64_t bit = UINT64_C(1) << s->waits % 64;
    s->closed[s->waits / 64] = (s->closed[s->waits / 64] & ~bit) | (closed ? bit : 0);
}

/* May tasks that the innermost wait is not for run on top of it? */
static bool is_open(const struct filch__seat *s) {
    uint32_t wait = s->waits - 1;
    return (s->closed[wait / 64] >> wait % 64 & 1) == 0;
}

void filch__family_await(struct filch__processes *p, struct filch__seat *s,
                         const struct filch__message_child *m) {
    struct filch__child *c = m->child == 0 ? NULL : filch__family_find(s, m->child);
    set_closed(s, (m->flags & (AWAIT_ISOLATED | AWAIT_LOW)) != 0);
    s->waits++;
    filch__dispatch_take_back(p, s, CHANNEL_TICKETS);
    if (filch__letters_begin(p, s, MESSAGE_AWAIT_OK, sizeof(struct filch__message)) == NULL) return;
    if (c == NULL) return;
    c->awaited = true;
    if ((m->flags & AWAIT_LOW) != 0) return;
    c->own_wait = s->waits;
    await_child(p, s, c);
}

void filch__family_awake(struct filch__seat *s, const struct filch__message_child *m) {
    struct filch__child *c = m->child == 0 ? NULL : filch__family_find(s, m->child);
    s->waits--;
    if (c == NULL) return;
    c->awaited = false;
    c->own_wait = 0;
}

/* May that child of the worker run on top of its innermost wait? */
static bool may_run_on_top(const struct filch__seat *s, const struct filch__child *c) {
    return c->own_wait == s->waits || (is_open(s) && s->waits <= HELP_DEPTH);
}

void filch__family_refuse(struct filch__processes *p) {
    for (struct filch__link *link = p->queue.first; link != NULL; link = filch__link_next(link)) {
        struct filch__child *c = filch__child_of(container_of(link, filch_future, link));
        if (c == NULL || !c->awaited || c->seat == NULL || c->own_wait == c->seat->waits) continue;
        struct filch__message_child *m =
            filch__letters_begin(p, c->seat, MESSAGE_AWAIT_REFUSED, sizeof *m);
        if (m == NULL) return;
        m->child = c->number;
        c->awaited = false;
        return;
    }
}

void filch__family_help(struct filch__processes *p) {
    for (uint32_t i = 0; i < p->seats_used && p->queue.first != NULL; i++) {
        struct filch__seat *s = &p->seats[i];
        if (!filch__seat_is_blocked(s) || s->life != SEAT_SERVING) continue;
        struct filch__link *link = p->queue.first;
        for (; link != NULL; link = filch__link_next(link)) {
            filch_future *f = container_of(link, filch_future, link);
            struct filch__child *c = filch__child_of(f);
            if (c == NULL || c->seat != s || !may_run_on_top(s, c)) continue;
            await_child(p, s, c);
            break;
        }
    }
}
