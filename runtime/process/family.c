/* process/family.c: children: tasks that tasks of a worker have submitted, and what is asked of them (nested.h is the worker's
 * side).
 *
 * Flow     collect.c -> SUBMIT: a future of the program, which goes through the queue like any other; its end goes back as CHILD_DONE.
 * Keeps    1. The futures of children are known to the desk alone, but while a drain has taken them from the queue.
 * Memory   a child is freed with its end.
 * Not here: waits for children (family_wait.c). */
#include "process/family.h"

#include "base/copy.h"
#include "error.h"
#include "os/memory.h"
#include "process/letters.h"
#include <string.h>

/* Children of a worker at most, as in nested.c. */
enum { PLACES_MOST = 1 << 24 };

/* The table ---------------------------------------------------------------------------------------- */

static struct filch__child **place_of(struct filch__seat *s, uint64_t number) {
    uint64_t place = number % PLACES_MOST;
    return place < s->children_room ? &s->children[place] : NULL;
}
struct filch__child *filch__family_find(struct filch__seat *s, uint64_t number) {
    struct filch__child **place = place_of(s, number);
    return place == NULL || *place == NULL || (*place)->number != number ? NULL : *place;
}

/* Places are used from the first one on. False: it is far beyond, or no memory. */
static bool make_place(struct filch__seat *s, uint64_t number) {
    uint32_t place = (uint32_t)(number % PLACES_MOST), room = s->children_room;
    if (place < room) return s->children[place] == NULL;
    room = room == 0 ? 64 : 2 * room;
    if (place >= room) return false;
    struct filch__child **children = filch__alloc_zeroed(room * sizeof *children);
    if (children == NULL) return false;
    if (s->children_room != 0) memcpy(children, s->children, s->children_room * sizeof *children);
    filch__free(s->children);
    s->children = children;
    s->children_room = room;
    return true;
}

/* Nobody wants to know of it any more. */
static void orphan(struct filch__child *c) {
    struct filch__child **place = place_of(c->seat, c->number);
    if (place != NULL && *place == c) *place = NULL;
    c->seat = NULL;
    filch_future *f = c->future;
    c->future = NULL;
    filch__future_drop(f);
}

void filch__family_forget(struct filch__seat *s) {
    for (uint32_t i = 0; i < s->children_room; i++)
        if (s->children[i] != NULL) orphan(s->children[i]);
    filch__free(s->children);
    s->children = NULL;
    s->children_room = 0;
    s->waits = s->on_top = 0;
}

/* SUBMIT ------------------------------------------------------------------------------------------- */

/* The fixed part and where the inline parts are. */
struct order {
    struct filch__message_submit m;
    const char *path, *arg, *name;
};

static bool read_order(struct order *o, const struct filch__message *message, size_t size) {
    size_t fixed = filch__message_round(sizeof o->m);
    if (size < fixed) return false;
    filch__copy_once(&o->m, message, sizeof o->m);
    size_t path = filch__message_round(o->m.path_size);
    size_t arg = o->m.arg.segment != 0 ? 0 : (size_t)filch__message_round(o->m.arg.size);
    if (o->m.path_size == 0 || o->m.path_size > MODULE_PATH_LARGEST ||
        o->m.id_size > MODULE_ID_LARGEST || o->m.name.segment != 0 || o->m.name.size > 256 ||
        (o->m.arg.segment == 0 && o->m.arg.size > MESSAGE_INLINE) ||
        o->m.arg.size > FILCH__SIZE_LIMIT || o->m.result_size > FILCH__SIZE_LIMIT ||
        o->m.retries < 0)
        return false;
    o->path = (const char *)message + fixed;
    o->arg = o->path + path;
    o->name = o->arg + arg;
    return fixed + path + arg + filch__message_round(o->m.name.size) <= size &&
           o->path[o->m.path_size - 1] == 0;
}

static const struct filch__function *function_of(struct filch__processes *p,
                                                 const struct order *o) {
    struct filch__function_name name = {.offset = o->m.offset, .id_size = o->m.id_size};
    memcpy(name.id, o->m.id, sizeof name.id);
    memcpy(name.path, o->path, o->m.path_size);
    name.path[o->m.path_size - 1] = 0;
    return filch__functions_named(p->functions, &name);
}

/* The future, with a reference for the queue, and one for the worker's place. */
static filch_future *make_future(struct filch__processes *p, struct filch__seat *s,
                                 const struct order *o, struct filch__child *c) {
    struct filch__held *held = NULL;
    filch_task task = FILCH_TASK_INIT;
    task.fn = (filch_task_fn *)c->function->fn;
    task.arg = o->arg;
    task.arg_size = (size_t)o->m.arg.size;
    task.result_size = (size_t)o->m.result_size;
    task.retries = o->m.retries;
    task.name = o->m.name.size != 0 ? c->name : NULL;
    if (o->m.arg.segment != 0) {
        task.arg = filch__arena_view_hold(s->view, &o->m.arg, &held);
        if (task.arg == NULL) return NULL;
    }
    struct filch__outside_heap *heap = filch__outside_take(&p->outside);
    filch_future *f = heap == NULL
                          ? NULL
                          : filch__future_create_rare(heap->heap, &task,
                                                      (o->m.flags & SUBMIT_DETACHED) != 0 ? 1 : 2);
    if (heap != NULL) {
        if (f != NULL) count_own(&heap->submitted, 1);
        filch__outside_give(heap);
    }
    if (held != NULL) filch__held_release(held);
    if (f == NULL) return NULL;
    filch__future_rare(f)->child = c;
    filch__future_rare(f)->is_chunk = (o->m.flags & SUBMIT_CHUNK) != 0;
    return f;
}

static int accept(struct filch__processes *p, struct filch__seat *s, const struct order *o) {
    unsigned ending = filch__processes_ending(p);
    bool detached = (o->m.flags & SUBMIT_DETACHED) != 0;
    if (ending != 0) return (ending & FIRM_BROKEN) != 0 ? FILCH_EBROKEN : FILCH_ESHUTDOWN;
    struct filch__child *c = filch__alloc_zeroed(sizeof *c);
    if (c == NULL) return FILCH_ENOMEM;
    memcpy(c->name, o->name, (size_t)o->m.name.size);
    c->function = function_of(p, o);
    filch_future *f = c->function == NULL ? NULL : make_future(p, s, o, c);
    if (f == NULL || (!detached && !make_place(s, o->m.child))) {
        if (f != NULL) filch__future_discard(f);
        filch__free(c);
        return FILCH_ENOMEM;
    }
    c->number = o->m.child;
    if (!detached) {
        c->seat = s;
        c->future = f;
        s->children[c->number % PLACES_MOST] = c;
    }
    filch__line_push(&p->queue, &f->link);
    return 0;
}

/* Ends --------------------------------------------------------------------------------------------- */

/* Bytes for the worker: inline, or copied into its arena. False: no memory. */
static bool place_bytes(struct filch__seat *s, const void *from, size_t size,
                        struct filch__bytes *bytes) {
    *bytes = (struct filch__bytes){.size = size};
    if (size <= MESSAGE_INLINE) return true;
    void *block = filch__arena_alloc(s->arena, size, false, bytes);
    if (block == NULL) return false;
    memcpy(block, from, size);
    bytes->size = size;
    return true;
}
static char *put(char *to, const void *from, const struct filch__bytes *bytes) {
    if (bytes->segment != 0 || bytes->size == 0) return to;
    memcpy(to, from, bytes->size);
    return to + filch__message_round(bytes->size);
}
static size_t in_line(const struct filch__bytes *bytes) {
    return bytes->segment != 0 ? 0 : (size_t)filch__message_round(bytes->size);
}

static void tell_end(struct filch__processes *p, const struct filch__child *c, filch_future *f,
                     bool cancelled) {
    struct filch__seat *s = c->seat;
    struct filch__message_result r = {.generation = c->number,
                                      .code = filch__future_code(f),
                                      .worker = state_runner(state_look(&f->state)),
                                      .pid = filch__future_pid(f)};
    const struct filch__outcome *record =
        filch__outcome_is_plain(f->outcome) ? NULL : filch__outcome_record(f->outcome);
    const char *text = filch__future_own_text(f);
    size_t size = 0, own = 0, length = text == NULL ? 0 : strlen(text);
    const void *value = r.code == 0 ? filch__future_view(f, &size) : NULL;
    const void *result = r.code == 0 ? filch__future_value(f, &own) : NULL;
    if (cancelled) r.flags |= RESULT_CANCELLED;
    bool allocated = r.code == 0 && record != NULL && record->has_data && !record->is_result;
    if (allocated) r.flags |= RESULT_ALLOCATED;
    if (length > MESSAGE_INLINE) length = MESSAGE_INLINE;
    r.text.size = length;
    if (!place_bytes(s, value, size, &r.value) ||
        !place_bytes(s, result, allocated ? own : 0, &r.beside)) {
        r.code = FILCH_ENOMEM;
        r.flags = 0;
        r.value = r.beside = (struct filch__bytes){0};
    }
    size_t fixed = filch__message_round(sizeof r);
    char *m =
        filch__letters_begin(p, s, MESSAGE_CHILD_DONE,
                             fixed + in_line(&r.value) + in_line(&r.text) + in_line(&r.beside));
    if (m == NULL) return;
    memcpy(m + sizeof r.head, (char *)&r + sizeof r.head, sizeof r - sizeof r.head);
    put(put(put(m + fixed, value, &r.value), text, &r.text), result, &r.beside);
}

void filch__family_end(struct filch__processes *p, filch_future *f) {
    struct filch__child *c = filch__future_rare(f)->child;
    bool cancelled = state_life(state_look(&f->state)) == LIFE_CANCELLING;
    if (c->seat != NULL) {
        if (c->seat->life != SEAT_DOOMED) tell_end(p, c, f, cancelled);
        orphan(c);
    }
    struct filch__extra *extra = filch__future_rare(f);
    extra->child = NULL;
    extra->name = NULL;
    filch__free(c);
    if (state_finish(&f->state, cancelled ? LIFE_CANCELLED : LIFE_FINISHED, true) == AFTER_LAST)
        filch__future_free(f);
}

/* CANCEL ------------------------------------------------------------------------------------------- */

/* Where it is posted, or runs; NULL: in the queue. */
static struct filch__seat *seat_of(struct filch__processes *p, filch_future *f) {
    int runner = state_runner(state_look(&f->state));
    return runner < 0 ? NULL : &p->seats[runner];
}

bool filch__family_win(struct filch__processes *p, filch_future *f) {
    struct filch__seat *at = seat_of(p, f);
    if (state_life(state_look(&f->state)) != LIFE_PENDING) return false;
    if (at == NULL) {
        struct filch__link *link = p->queue.first, *before = NULL;
        for (; link != NULL && link != &f->link; link = filch__link_next(link)) before = link;
        if (link == NULL) return false; /* a drain has it */
        if (before == NULL)
            p->queue.first = filch__link_next(link);
        else
            filch__link_set_next(before, filch__link_next(link));
        if (p->queue.last == link) p->queue.last = before;
        return true;
    }
    uint32_t ticket = filch__ticket_index(f->ticket);
    if (at->channel == NULL || at->postings[ticket].future != f ||
        !filch__claim_revoke(at->channel, ticket, at->postings[ticket].generation))
        return false;
    filch__posting_clear(p, at, ticket);
    (void)state_unpost(&f->state);
    return true;
}

/* Whoever shuts the executor down has it, or has cancelled it: it will never start. */
static bool is_given_up(struct filch__processes *p, filch_future *f) {
    enum filch__life life = state_life(state_look(&f->state));
    return life == LIFE_CANCELLING || (life == LIFE_PENDING && seat_of(p, f) == NULL);
}

static int cancel(struct filch__processes *p, struct filch__child *c) {
    filch_future *f = c->future;
    if (!filch__family_win(p, f)) {
        if (!is_given_up(p, f)) return FILCH_ESTATE;
        orphan(c); /* the worker knows; its end here is still to come */
        return 0;
    }
    (void)state_cancel(&f->state);
    filch__future_set_outcome(f, FILCH_ECANCELED, NULL);
    orphan(c); /* the worker knows */
    filch__family_end(p, f);
    return 0;
}

static void forward_request(struct filch__processes *p, filch_future *f) {
    struct filch__seat *at = seat_of(p, f);
    filch__future_started(f);
    if (at == NULL || at->channel == NULL || !state_request(&f->state)) return;
    uint32_t ticket = filch__ticket_index(f->ticket);
    if (at->postings[ticket].future == f)
        filch__claim_request(at->channel, ticket, at->postings[ticket].generation);
}

static bool has_started(struct filch__processes *p, filch_future *f) {
    struct filch__seat *at = seat_of(p, f);
    enum filch__life life = state_life(state_look(&f->state));
    if (life != LIFE_PENDING) return life != LIFE_CANCELLING;
    if (at == NULL || at->channel == NULL) return false;
    uint32_t ticket = filch__ticket_index(f->ticket);
    return filch__claim_state(at->channel, ticket, at->postings[ticket].generation) == CLAIM_TAKEN;
}

static int call(struct filch__processes *p, struct filch__seat *s,
                const struct filch__message_child *m) {
    struct filch__child *c = filch__family_find(s, m->child);
    if (c == NULL) return FILCH_ESTATE; /* its end is on the way */
    if (m->flags == CHILD_LOOK) return has_started(p, c->future) ? FILCH_ESTATE : 0;
    int code = cancel(p, c);
    if (code != 0 && m->flags == CHILD_REQUEST) forward_request(p, c->future);
    return code;
}

/* Messages ----------------------------------------------------------------------------------------- */

static void answer(struct filch__processes *p, struct filch__seat *s, uint64_t number, int code) {
    struct filch__message_child *m = filch__letters_begin(p, s, MESSAGE_CHILD_SAID, sizeof *m);
    if (m == NULL) return;
    m->child = number;
    m->code = code;
}

const char *filch__family_message(struct filch__processes *p, struct filch__seat *s, uint32_t kind,
                                  const struct filch__message *message) {
    struct filch__message_child m;
    size_t size = s->channel->reading;
    if (kind == MESSAGE_SUBMIT) {
        struct order o;
        if (!read_order(&o, message, size)) return "a task that is none";
        int code = accept(p, s, &o);
        answer(p, s, o.m.child, code);
        return NULL;
    }
    if (size < sizeof m) return "a message too short";
    filch__copy_once(&m, message, sizeof m);
    if (kind == MESSAGE_CANCEL) {
        answer(p, s, m.child, call(p, s, &m));
    } else if (kind == MESSAGE_AWAIT) {
        if (s->waits >= WAITS_MOST) return "too many waits";
        filch__family_await(p, s, &m);
    } else {
        if (s->waits == 0) return "the end of a wait that has not begun";
        filch__family_awake(s, &m);
    }
    return NULL;
}
