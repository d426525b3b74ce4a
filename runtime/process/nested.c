/* process/nested.c: children: submit, cancel, and their ends; see nested.h.
 *
 * Memory   a slab of the main thread's. The table has a reference to the future of each child that is not done; a child of
 *          which nobody wants to know has none.
 *          An argument stays here only if it has a destructor; a large result is never copied: the future keeps the
 *          segment in which it stands. */
#include "process/nested.h"

#include "error.h"
#include "executor_ops.h"
#include "os/memory.h"
#include <string.h>

/* A number is its place in the table, and how often that was used: so that a message that comes late names none. */
enum { PLACE_BITS = 24, PLACES_MOST = 1 << PLACE_BITS };

struct place {
    filch_future *future; /* NULL: free */
    uint64_t uses;
    uint32_t next_free;
};

struct filch__nested {
    filch_executor base;
    struct filch__server *server;
    struct filch__home *home;
    struct filch__heap *heap;
    struct place *places;
    uint32_t room, used, free, busy; /* free: one more than the first free place */
    uint64_t submitted, completed, detached;
};

static struct filch__nested nested;

/* The table ----------------------------------------------------------------------------------------- */

static bool grow(struct filch__nested *n) {
    uint32_t room = n->room == 0 ? 64 : n->room * 2;
    struct place *places = room > PLACES_MOST ? NULL : filch__alloc_zeroed(room * sizeof *places);
    if (places == NULL) return false;
    if (n->used != 0) memcpy(places, n->places, n->used * sizeof *places);
    filch__free(n->places);
    n->places = places;
    n->room = room;
    return true;
}

/* A number for a child, not 0, whose place is still free; 0: no memory. */
static uint64_t reserve(struct filch__nested *n) {
    if (n->free == 0) {
        if (n->used == n->room && !grow(n)) return 0;
        n->free = ++n->used;
    }
    uint32_t place = n->free - 1;
    return ++n->places[place].uses << PLACE_BITS | place;
}
static struct place *place_of(struct filch__nested *n, uint64_t number) {
    uint32_t place = (uint32_t)(number % PLACES_MOST);
    if (place >= n->used || n->places[place].uses != number >> PLACE_BITS) return NULL;
    return &n->places[place];
}

static void enter(struct filch__nested *n, uint64_t number, filch_future *f) {
    struct place *p = &n->places[number % PLACES_MOST];
    n->free = p->next_free;
    n->busy++;
    p->future = f;
}

/* Takes it out: the table's reference is the caller's; NULL: there is none of that number. */
static filch_future *leave(struct filch__nested *n, uint64_t number) {
    struct place *p = place_of(n, number);
    if (p == NULL || p->future == NULL) return NULL;
    filch_future *f = p->future;
    p->future = NULL;
    p->next_free = n->free;
    n->free = (uint32_t)(p - n->places) + 1;
    n->busy--;
    return f;
}

bool filch__nested_is_busy(const struct filch__server *s) {
    return s->nested->busy != 0;
}

uint64_t filch__nested_number(const struct filch__server *s, const filch_future *f) {
    return filch__future_home(f) == s->nested->home ? f->ticket : 0;
}

/* Questions ----------------------------------------------------------------------------------------- */

/* The program's answer. */
static int await_answer(struct filch__server *s, uint64_t number) {
    for (;;) {
        const struct filch__message *m = filch__channel_read_down(&s->channel);
        const struct filch__message_child *said = (const void *)m;
        if (m == NULL) {
            filch__channel_sleep(&s->channel, s->setup->spin, FILCH_FOREVER);
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
    return await_answer(s, number);
}

/* Only the main thread can ask, and not when the child is done. */
static bool can_ask(struct filch__server *s, const filch_future *f) {
    struct place *p = place_of(s->nested, f->ticket);
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
    leave(s->nested, f->ticket);
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

/* Submit -------------------------------------------------------------------------------------------- */

static int no_memory(void) {
    return filch__error_constant(FILCH_ENOMEM, "submit: there is no memory for the task");
}

/* Where bytes of a message go: into the arena if they are many. False: no memory. */
static bool place_bytes(struct filch__server *s, const void *from, size_t size,
                        struct filch__bytes *bytes) {
    *bytes = (struct filch__bytes){.size = size};
    if (size <= MESSAGE_INLINE) return true;
    void *block = filch__server_block(s, size, false, bytes);
    if (block == NULL) return false;
    memcpy(block, from, size);
    bytes->size = size;
    return true;
}
static char *put(char *to, const void *from, const struct filch__bytes *bytes) {
    if (bytes->segment != 0) return to;
    if (bytes->size != 0) memcpy(to, from, bytes->size);
    return to + filch__message_round(bytes->size);
}
static size_t in_line(const struct filch__bytes *bytes) {
    return bytes->segment != 0 ? 0 : (size_t)filch__message_round(bytes->size);
}

/* A name is for people: it is cut. */
static struct filch__bytes name_bytes(const char *name) {
    size_t size = name == NULL ? 0 : strlen(name);
    return (struct filch__bytes){.size = size < 256 ? size : 256};
}

static int send(struct filch__server *s, const filch_task *task, uint64_t number, uint32_t flags) {
    struct filch__function_name fn;
    struct filch__bytes arg, name = name_bytes(task->name);
    int rc = filch__function_name((void (*)(void))task->fn, &fn);
    if (rc != 0) return rc;
    if (!place_bytes(s, task->arg, task->arg_size, &arg)) return no_memory();
    size_t fixed = filch__message_round(sizeof(struct filch__message_submit));
    struct filch__bytes path = {.size = strlen(fn.path) + 1};
    struct filch__message_submit *m = filch__server_begin(
        s, MESSAGE_SUBMIT, fixed + in_line(&path) + in_line(&arg) + in_line(&name));
    m->child = number;
    m->result_size = task->result_size;
    m->offset = fn.offset;
    m->path_size = (uint32_t)path.size;
    m->id_size = fn.id_size;
    memcpy(m->id, fn.id, sizeof m->id);
    m->flags = flags;
    m->retries = task->retries;
    m->arg = arg;
    m->name = name;
    put(put(put((char *)m + fixed, fn.path, &path), task->arg, &arg), task->name, &name);
    filch__server_publish(s);
    rc = await_answer(s, number);
    return rc == 0 ? 0 : filch__error(rc, "submit: %s", filch_error_text(rc));
}

/* What of the task this process keeps. */
static filch_future *create(struct filch__nested *n, const filch_task *task, uint64_t references) {
    filch_task kept = *task;
    if (kept.arg_destroy == NULL) kept.arg_size = 0;
    if (kept.result_size > MESSAGE_INLINE) kept.result_size = 0; /* it stays where it comes */
    filch_future *f = filch__future_create(n->heap, &kept, references);
    if (f != NULL) f->outcome = filch__outcome_of_code(0);
    return f;
}

static int refuse(const char *why) {
    return filch__error(FILCH_ENOTSUP, "submit: %s", why);
}

static int submit_any(filch_executor *e, const filch_task *task, uint32_t flags,
                      filch_future **future) {
    struct filch__nested *n = container_of(e, struct filch__nested, base);
    struct filch__server *s = n->server;
    if (filch__self() != &s->self)
        return refuse("in a worker process only the task's own thread can submit to its executor");
    if (!s->initialized) return refuse("the initializer of a worker process cannot submit");
    bool detached = future == NULL && task->arg_destroy == NULL;
    uint64_t number = reserve(n);
    filch_future *f = number == 0 || detached ? NULL : create(n, task, future == NULL ? 1 : 2);
    if (number == 0 || (f == NULL && !detached)) return no_memory();
    if (f != NULL) {
        f->ticket = number;
        (void)state_post(&f->state, 0);
        enter(n, number, f);
    }
    int rc = send(s, task, number, flags | (detached ? SUBMIT_DETACHED : 0));
    if (rc == 0) {
        n->submitted++;
        n->detached += detached;
        if (future != NULL) *future = f;
        return 0;
    }
    if (f == NULL) return rc;
    leave(n, number);
    filch__future_disown_arg(f);
    (void)state_start_posted(&f->state); /* so that it has an outcome, which is freed with it */
    filch__future_discard(f);
    return rc;
}

static int submit(filch_executor *e, const filch_task *task, filch_future **future) {
    return submit_any(e, task, 0, future);
}
static int submit_chunk(filch_executor *e, const filch_task *task, filch_future **future) {
    return submit_any(e, task, SUBMIT_CHUNK, future);
}

static int submit_plain(filch_executor *e, filch_task_fn *fn, const void *arg, size_t arg_size,
                        size_t result_size, filch_future **future) {
    filch_task task = FILCH_TASK_INIT;
    task.fn = fn;
    task.arg = arg;
    task.arg_size = arg_size;
    task.result_size = result_size;
    return submit(e, &task, future);
}

/* Ends ---------------------------------------------------------------------------------------------- */

static void release_held(void *held) {
    filch__held_release(held);
}

/* A text in memory of its own, or NULL. */
static char *copy_text(struct filch__server *s, const struct filch__bytes *bytes, const char *at) {
    struct filch__held *held;
    const char *text = filch__server_bytes(s, bytes, at, &held);
    char *copy = text == NULL || bytes->size == 0 ? NULL : filch__alloc(bytes->size + 1);
    if (copy != NULL) {
        memcpy(copy, text, bytes->size);
        copy[bytes->size] = '\0';
    }
    if (held != NULL) filch__held_release(held);
    return copy;
}

/* What the task wrote as its result, beside what it has allocated. */
static void copy_beside(struct filch__server *s, filch_future *f,
                        const struct filch__message_result *m, const char *at) {
    struct filch__held *held;
    size_t size;
    const void *from = filch__server_bytes(s, &m->beside, at, &held);
    void *result = filch__future_result(f, &size);
    if (from != NULL && size != 0)
        memcpy(result, from, size < m->beside.size ? size : m->beside.size);
    if (held != NULL) filch__held_release(held);
}

/* A value that is more than the future has room for. False: no memory. */
static bool keep_record(struct filch__server *s, filch_future *f,
                        const struct filch__message_result *m, const char *value, char *text) {
    bool away = m->value.segment != 0;
    struct filch__outcome *record =
        filch__alloc(sizeof *record + (away ? 0 : (size_t)m->value.size));
    if (record == NULL) return false;
    *record = (struct filch__outcome){.has_data = true,
                                      .is_result = (m->flags & RESULT_ALLOCATED) == 0,
                                      .pid = m->pid,
                                      .text = text,
                                      .size = m->value.size};
    if (away) {
        struct filch__held *held;
        record->elsewhere = filch__server_bytes(s, &m->value, NULL, &held);
        if (record->elsewhere == NULL) {
            filch__free(record);
            return false;
        }
        record->release = release_held;
        record->held = held;
    } else if (m->value.size != 0) {
        memcpy(record->data, value, m->value.size);
    }
    f->outcome = (uint64_t)(uintptr_t)record;
    return true;
}

static void set_outcome(struct filch__server *s, filch_future *f,
                        const struct filch__message_result *m, const char *value) {
    size_t size, inside = in_line(&m->value);
    char *text = copy_text(s, &m->text, value + inside);
    if (m->code != 0) {
        filch__future_set_outcome_of(f, m->code, text, m->pid);
        return;
    }
    if (m->value.segment != 0 || (m->flags & RESULT_ALLOCATED) != 0) {
        copy_beside(s, f, m, value + inside + in_line(&m->text));
        if (!keep_record(s, f, m, value, text))
            filch__future_set_outcome_of(f, FILCH_ENOMEM, text, m->pid);
        return;
    }
    void *result = filch__future_result(f, &size);
    if (size != 0) memcpy(result, value, size < m->value.size ? size : m->value.size);
    filch__future_set_outcome_of(f, 0, text, m->pid);
}

/* The rest, with code of the user: its destructor, its callbacks. */
static void finish(struct filch__server *s, filch_future *f, bool cancelled) {
    struct filch__run *run = s->self.run;
    s->self.run = NULL; /* they are no part of a task */
    filch__future_destroy_arg(f);
    s->self.run = run;
    filch__future_finish(f, cancelled ? LIFE_CANCELLED : LIFE_FINISHED, true, NULL, NULL);
}

/* Blocks that came with a child of which nobody wants to know. */
static void drop_bytes(struct filch__server *s, const struct filch__bytes *bytes) {
    struct filch__held *held;
    filch__server_bytes(s, bytes, NULL, &held);
    if (held != NULL) filch__held_release(held);
}

static void child_done(struct filch__server *s, const struct filch__message *message,
                       bool in_ring) {
    const struct filch__message_result *m = (const void *)message;
    filch_future *f = leave(s->nested, m->generation);
    bool cancelled = (m->flags & RESULT_CANCELLED) != 0;
    if (f == NULL) {
        drop_bytes(s, &m->value);
        drop_bytes(s, &m->text);
        drop_bytes(s, &m->beside);
    } else if (cancelled && state_cancel_posted(&f->state)) {
        fetch_add_relaxed(&s->nested->home->cancelled, 1); /* relaxed: a statistic */
        filch__future_set_outcome(f, FILCH_ECANCELED, NULL);
    } else {
        cancelled = false;
        (void)state_start_posted(&f->state);
        state_move(&f->state, m->worker);
        set_outcome(s, f, m, (const char *)m + filch__message_round(sizeof *m));
        s->nested->completed++;
    }
    if (in_ring) filch__channel_consume_down(&s->channel);
    if (f != NULL) finish(s, f, cancelled);
}

void filch__nested_message(struct filch__server *s, const struct filch__message *message,
                           bool in_ring) {
    switch (message->kind) {
    case MESSAGE_FUNCTION: filch__server_learn(s, message, in_ring); return;
    case MESSAGE_CHILD_DONE: child_done(s, message, in_ring); return;
    case MESSAGE_AWAIT_OK: filch__nested_skip(s, NULL); break;
    case MESSAGE_AWAIT_REFUSED:
        s->refused = ((const struct filch__message_child *)(const void *)message)->child;
        break;
    default: break;
    }
    if (in_ring) filch__channel_consume_down(&s->channel);
}

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

static const struct filch__executor_ops ops = {.submit = submit,
                                               .submit_plain = submit_plain,
                                               .submit_chunk = submit_chunk,
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
