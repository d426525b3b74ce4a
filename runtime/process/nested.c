/* process/nested.c: the executor as a task in a worker has it: its object, the table of children, and what the program is asked of them;
 * see nested.h.
 *
 * Memory   the objects come from a slab of the main thread's. The table has a reference to the future of each child that is not
 *          done; a child of which nobody wants to know has none.
 * Not here: how a child is submitted (nested_submit.c), how its end comes (nested_ends.c), waits (nested_wait.c). */
#include "process/nested.h"

#include "error.h"
#include "os/memory.h"
#include <string.h>

/* Of a number: the bits of its place. */
enum { PLACE_BITS = 24, PLACES_MOST = 1 << PLACE_BITS };

static struct filch__nested nested;

/* The table ----------------------------------------------------------------------------------------- */

static bool grow(struct filch__nested *n) {
    uint32_t room = n->room == 0 ? 64 : n->room * 2;
    struct filch__place *places =
        room > PLACES_MOST ? NULL : filch__alloc_zeroed(room * sizeof *places);
    if (places == NULL) return false;
    if (n->used != 0) memcpy(places, n->places, n->used * sizeof *places);
    filch__free(n->places);
    n->places = places;
    n->room = room;
    return true;
}

uint64_t filch__nested_reserve(struct filch__nested *n) {
    if (n->free == 0) {
        if (n->used == n->room && !grow(n)) return 0;
        n->free = ++n->used;
    }
    uint32_t place = n->free - 1;
    return ++n->places[place].uses << PLACE_BITS | place;
}
static struct filch__place *place_of(struct filch__nested *n, uint64_t number) {
    uint32_t place = (uint32_t)(number % PLACES_MOST);
    if (place >= n->used || n->places[place].uses != number >> PLACE_BITS) return NULL;
    return &n->places[place];
}

void filch__nested_enter(struct filch__nested *n, uint64_t number, filch_future *f) {
    struct filch__place *p = &n->places[number % PLACES_MOST];
    n->free = p->next_free;
    n->busy++;
    p->future = f;
    p->refused = 0;
}

filch_future *filch__nested_leave(struct filch__nested *n, uint64_t number) {
    struct filch__place *p = place_of(n, number);
    if (p == NULL || p->future == NULL) return NULL;
    filch_future *f = p->future;
    p->future = NULL;
    p->next_free = n->free;
    n->free = (uint32_t)(p - n->places) + 1;
    n->busy--;
    return f;
}

void filch__nested_refuse(struct filch__nested *n, uint64_t number) {
    struct filch__place *p = place_of(n, number);
    if (p != NULL && p->future != NULL) p->refused = n->answered;
}

bool filch__nested_take_refusal(struct filch__nested *n, uint64_t number, uint64_t wait) {
    struct filch__place *p = number == 0 ? NULL : place_of(n, number);
    if (p == NULL || p->refused < wait) return false;
    p->refused = 0;
    return true;
}

bool filch__nested_is_busy(const struct filch__server *s) {
    return s->nested->busy != 0;
}

uint64_t filch__nested_number(const struct filch__server *s, const filch_future *f) {
    return filch__future_home(f) == s->nested->home ? f->ticket : 0;
}

/* Questions ----------------------------------------------------------------------------------------- */

int filch__nested_await_answer(struct filch__server *s, uint64_t number) {
    for (;;) {
        const struct filch__message *m = filch__channel_read_down(&s->channel);
        const struct filch__message_child *said = (const void *)m;
        if (m == NULL) {
            filch__server_sleep(s, FILCH_FOREVER);
        } else if (m->kind == MESSAGE_CHILD_SAID && said->child == number) {
            int code = said->code;
            filch__channel_consume_down(&s->channel);
            return code;
        } else {
            filch__server_keep(s, m);
        }
    }
}

static int ask(struct filch__server *s, uint64_t number, enum filch__child_call call) {
    struct filch__message_child *m = filch__server_begin(s, MESSAGE_CANCEL, sizeof *m);
    m->child = number;
    m->flags = (uint32_t)call;
    filch__server_publish(s);
    return filch__nested_await_answer(s, number);
}

/* Only the main thread can ask, and not when the child is done. */
static bool can_ask(struct filch__server *s, const filch_future *f) {
    struct filch__place *p = place_of(s->nested, f->ticket);
    return filch__self() == &s->self && p != NULL && p->future == f;
}

/* Has the program, before its answer, said that the child was cancelled? A refusal does not mean then that it runs. */
static bool is_told_cancelled(const struct filch__server *s, uint64_t number) {
    for (const struct filch__aside *a = s->aside; a != NULL; a = a->next) {
        const struct filch__message_result *m = (const void *)&a->head;
        if (a->head.kind == MESSAGE_CHILD_DONE && m->generation == number)
            return (m->flags & RESULT_CANCELLED) != 0;
    }
    return false;
}

static bool revoke(void *pool, filch_future *f) {
    struct filch__server *s = pool;
    if (!can_ask(s, f)) return false;
    if (ask(s, f->ticket, CHILD_CANCEL) != 0 && !is_told_cancelled(s, f->ticket)) {
        (void)state_start_posted(&f->state);
        return false;
    }
    filch__nested_leave(s->nested, f->ticket);
    bool revoked = state_cancel_posted(&f->state);
    filch__future_drop(f); /* the caller has another one */
    return revoked;
}

static void look(void *pool, filch_future *f) {
    struct filch__server *s = pool;
    if (!can_ask(s, f) || ask(s, f->ticket, CHILD_LOOK) == 0) return;
    if (!is_told_cancelled(s, f->ticket)) (void)state_start_posted(&f->state);
}

static void request(void *pool, filch_future *f) {
    struct filch__server *s = pool;
    if (can_ask(s, f)) (void)ask(s, f->ticket, CHILD_REQUEST);
}

/* Another thread of this process waits: the main thread reads of the end when it waits itself, or its task is over. */
static bool attend(void *pool, filch_future *f, int64_t deadline) {
    (void)pool;
    return filch__future_sleep(f, deadline);
}
static void wake(void *pool) {
    (void)pool;
}

static const struct filch__remote remote = {
    .revoke = revoke, .look = look, .request = request, .attend = attend, .wake = wake};

/* The executor -------------------------------------------------------------------------------------- */

static void left_stale(struct filch__self *self) {
    (void)self;
}
static bool no_fork(struct filch__self *self, filch_slot *slot) {
    (void)self;
    (void)slot;
    return false;
}
static enum filch__join no_join(struct filch__self *self, filch_slot *slot) {
    (void)self;
    (void)slot;
    return JOIN_AT_ONCE;
}
static int refuse_shutdown(filch_executor *e, unsigned flags) {
    (void)e;
    if ((flags & FILCH_WAIT) != 0)
        return filch__error_constant(
            FILCH_EDEADLK, "filch_executor_shutdown: called by a task of that executor, for which "
                           "it would wait");
    return filch__error_constant(
        FILCH_ENOTSUP, "filch_executor_shutdown: a worker process cannot shut its executor down");
}
static void nothing(filch_executor *e) {
    (void)e;
}
static void stats(filch_executor *e, filch_stats *out) {
    struct filch__nested *n = container_of(e, struct filch__nested, base);
    filch_stats s = FILCH_STATS_INIT;
    s.submitted = n->submitted;
    s.completed = n->completed;
    s.cancelled = load_relaxed(&n->home->cancelled); /* relaxed: a statistic */
    *out = s;
}
static int max_workers(filch_executor *e) {
    return container_of(e, struct filch__nested, base)->server->setup->max_workers;
}
static int worker_limit(filch_executor *e) {
    return container_of(e, struct filch__nested, base)->server->setup->worker_limit;
}

static const struct filch__executor_ops ops = {.submit = filch__nested_submit,
                                               .submit_plain = filch__nested_submit_plain,
                                               .submit_chunk = filch__nested_submit_chunk,
                                               .wait = filch__nested_wait,
                                               .wait_isolated = filch__nested_wait_isolated,
                                               .wait_firm = filch__nested_wait_firm,
                                               .help = filch__nested_help,
                                               .wait_set = filch__nested_wait_set,
                                               .left_stale = left_stale,
                                               .poll = filch__nested_poll,
                                               .blocking_begin = filch__nested_blocking_begin,
                                               .blocking_end = filch__nested_blocking_end,
                                               .fork = no_fork,
                                               .join = no_join,
                                               .result_alloc = filch__work_result_alloc,
                                               .is_requested = filch__work_is_requested,
                                               .shutdown = refuse_shutdown,
                                               .end_at_exit = nothing,
                                               .destroy = nothing,
                                               .stats = stats,
                                               .max_workers = max_workers,
                                               .worker_limit = worker_limit};

bool filch__nested_init(struct filch__server *s) {
    struct filch__nested *n = &nested;
    n->base = (filch_executor){.ops = &ops, .generation = filch__fork_now()};
    n->server = s;
    n->home = filch__home_create(s->setup->spin);
    if (n->home == NULL) return false;
    n->home->remote = &remote;
    store_relaxed(&n->home->pool, s); /* relaxed: before there is a future */
    n->heap = filch__heap_create(n->home, filch__home_release);
    if (n->heap == NULL) return false;
    filch__home_retain(n->home);
    filch__heap_mine = n->heap;
    s->self.executor = &n->base;
    s->nested = n;
    return true;
}
