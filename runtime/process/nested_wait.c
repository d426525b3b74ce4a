/* process/nested_wait.c: a task of a worker process waits; see nested.h.
 *
 * Flow     read what is there; AWAIT, so that the program takes back what is posted here, gives the place to another
 *          worker, and perhaps posts the awaited task on top; read and sleep until it is done; AWAKE.
 * Foreign  futures (promises, those of executors of threads in this process) may be done by another thread, which knows
 *          nothing of the channel. While there are children as well, both are looked at in turn. */
#include "error.h"
#include "executor_ops.h"
#include "gather.h"
#include "os/clock.h"
#include "os/memory.h"
#include "process/nested.h"

/* Nanoseconds of a sleep while somebody else than the program may end the wait. */
#define NAP 1000000

/* What is waited for. */
struct awaited {
    filch_future *future; /* or NULL */
    struct filch__gathering *set;
    uint64_t child; /* its number; 0: other things */
    bool foreign;   /* another thread may end the wait */
    bool isolated;
};

static bool is_over(const struct awaited *a) {
    if (a->set != NULL) return filch__gathering_ready(a->set);
    return state_is_done(state_look(&a->future->state));
}

/* Messages ------------------------------------------------------------------------------------------ */

static bool is_later(const struct filch__message *m) {
    const struct filch__message_task *task = (const void *)m;
    return m->kind == MESSAGE_QUIT || (m->kind == MESSAGE_TASK && (task->flags & TASK_ON_TOP) == 0);
}

static void handle(struct filch__server *s, const struct filch__message *m, bool in_ring) {
    if (m->kind == MESSAGE_TASK)
        filch__work_task(s, (const void *)m, in_ring);
    else
        filch__nested_message(s, m, in_ring);
}

void filch__nested_skip(struct filch__server *s, const struct filch__aside *end) {
    struct filch__aside **at = &s->aside;
    while (*at != NULL && *at != end) {
        struct filch__aside *a = *at;
        const struct filch__message_task *task = (const void *)&a->head;
        if (a->head.kind != MESSAGE_TASK ||
            filch__claim_state(&s->channel, task->ticket, task->generation) != CLAIM_REVOKED) {
            at = &a->next;
            continue;
        }
        (void)filch__server_unkeep(s, at);
        filch__work_skip(s, task);
        filch__free(a);
    }
}

/* The first message of those aside that can be handled while a task waits. False: there is none. */
static bool handle_aside(struct filch__server *s) {
    struct filch__aside **at = &s->aside, *a;
    while (*at != NULL && is_later(&(*at)->head)) at = &(*at)->next;
    if ((a = *at) == NULL) return false;
    if (a->head.kind == MESSAGE_AWAIT_OK) {
        s->nested->answered++;
        filch__nested_skip(s, a);
    }
    for (at = &s->aside; *at != a;) at = &(*at)->next;
    (void)filch__server_unkeep(s, at);
    if (a->head.kind != MESSAGE_AWAIT_OK) handle(s, &a->head, false);
    filch__free(a);
    return true;
}

/* One message. False: there is none. */
static bool step(struct filch__server *s) {
    if (handle_aside(s)) return true;
    const struct filch__message *m = filch__channel_read_down(&s->channel);
    if (m == NULL) return false;
    if (is_later(m))
        filch__server_keep(s, m);
    else
        handle(s, m, true);
    return true;
}

/* Waiting ------------------------------------------------------------------------------------------- */

static bool is_low(const struct filch__server *s) {
    return (uintptr_t)__builtin_frame_address(0) < s->stack_floor;
}

static void say(struct filch__server *s, enum filch__message_kind kind, uint64_t child,
                uint32_t flags) {
    struct filch__message_child *m = filch__server_begin(s, kind, sizeof *m);
    m->child = child;
    m->flags = flags;
    s->nested->waits += kind == MESSAGE_AWAIT;
    filch__server_publish(s);
}

/* False: the deadline has passed. */
static bool sleep_for(struct filch__server *s, const struct awaited *a, int64_t deadline) {
    if (!filch__nested_is_busy(s) && a->foreign) /* nothing that is read could end it */
        return a->set != NULL ? filch__gathering_sleep(a->set, deadline)
                              : filch__future_sleep(a->future, deadline);
    int64_t end = deadline;
    if (a->foreign) {
        end = filch__deadline(NAP);
        if (end > deadline) end = deadline;
    }
    filch__server_sleep(s, end);
    return deadline == FILCH_FOREVER || filch__now() < deadline;
}

static bool is_on_stack(const struct filch__server *s, uint64_t child) {
    const struct filch__job *job = s->job;
    while (job != NULL && (job->child == 0 || job->child != (uint32_t)child)) job = job->below;
    return child != 0 && job != NULL;
}

static int waits_for_itself(void) {
    return filch__error_constant(
        FILCH_EDEADLK,
        "filch_future_result: the awaited task stands lower on this worker's own stack");
}

static int no_worker_left(void) {
    return filch__error_constant(
        FILCH_EAGAIN,
        "filch_future_result: every worker waits, its stack is used up or holds as many tasks as it can, "
        "and no spare worker could be started: raise max_spares");
}

static int wait_for(struct filch__server *s, const struct awaited *a, int64_t deadline) {
    bool in_time = true, refused = false;
    while (!is_over(a) && step(s)) continue;
    if (is_over(a)) return 0;
    if (is_on_stack(s, a->child)) return waits_for_itself();
    bool tell = s->job != NULL;
    uint32_t flags = (a->isolated ? AWAIT_ISOLATED : 0u) | (is_low(s) ? AWAIT_LOW : 0u);
    if (tell) say(s, MESSAGE_AWAIT, a->child, flags);
    uint64_t wait = tell ? s->nested->waits : UINT64_MAX;
    while (!is_over(a) && in_time && !refused) {
        if (!step(s)) in_time = sleep_for(s, a, deadline);
        refused = filch__nested_take_refusal(s->nested, a->child, wait);
    }
    if (tell) say(s, MESSAGE_AWAKE, a->child, 0);
    if (is_over(a)) return 0;
    return refused ? no_worker_left() : FILCH_ETIMEDOUT;
}

static int wait_future(struct filch__self *self, filch_future *f, int64_t deadline, bool isolated) {
    struct filch__server *s = filch__server_of(self);
    uint64_t child = filch__nested_number(s, f);
    struct awaited a = {f, NULL, child, child == 0, isolated};
    return wait_for(s, &a, deadline);
}

int filch__nested_wait(struct filch__self *self, filch_future *f, int64_t deadline) {
    return wait_future(self, f, deadline, false);
}
int filch__nested_wait_isolated(struct filch__self *self, filch_future *f, int64_t deadline) {
    return wait_future(self, f, deadline, true);
}
int filch__nested_wait_firm(struct filch__self *self, filch_future *f) {
    return wait_future(self, f, FILCH_FOREVER, false);
}

/* May another thread make one of them done? */
static bool has_foreign(const struct filch__server *s, const struct filch__gathering *set) {
    for (size_t i = 0; i < set->n; i++)
        if (set->slots[i].cell != NULL && filch__nested_number(s, set->slots[i].future) == 0)
            return true;
    return false;
}

int filch__nested_wait_set(struct filch__self *self, struct filch__gathering *set,
                           filch_future *only, bool stuck, int64_t deadline) {
    struct filch__server *s = filch__server_of(self);
    uint64_t child = only == NULL ? 0 : filch__nested_number(s, only);
    struct awaited a = {NULL, set, child, has_foreign(s, set), false};
    (void)stuck; /* other workers take the place */
    return wait_for(s, &a, deadline);
}

enum filch__help filch__nested_help(struct filch__self *self, filch_future *f, bool run) {
    struct filch__server *s = filch__server_of(self);
    struct awaited a = {f, NULL, filch__nested_number(s, f), false, false};
    if (is_over(&a)) return HELP_DONE;
    if (is_on_stack(s, a.child)) return HELP_BELOW;
    while (run && !is_over(&a) && step(s)) continue;
    return is_over(&a) ? HELP_DONE : HELP_NONE;
}

void filch__nested_poll(struct filch__self *self) {
    struct filch__server *s = filch__server_of(self);
    if (!filch__nested_is_busy(s)) return;
    while (step(s)) continue;
}

/* For the program a call that blocks is a wait for something else. */
void filch__nested_blocking_begin(struct filch__self *self) {
    struct filch__server *s = filch__server_of(self);
    if (s->job != NULL) say(s, MESSAGE_AWAIT, 0, 0);
}
void filch__nested_blocking_end(struct filch__self *self) {
    struct filch__server *s = filch__server_of(self);
    if (s->job != NULL) say(s, MESSAGE_AWAKE, 0, 0);
}
