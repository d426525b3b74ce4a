/* process/nested_ends.c: the ends of children: CHILD_DONE becomes the outcome of a future of this process (README.md, N3); and the
 * other messages of the program that concern children.
 *
 * Flow     serve.c, nested_wait.c -> filch__nested_message -> the future leaves the table, gets its outcome, and is finished, which runs code of
 *          the user.
 * Keeps    1. The message is given back to the ring before code of the user runs: that may wait, and read on.
 *          2. What the program has written is believed: it believes nothing of a worker, a worker all of it.
 * Memory   a large value stays in its segment: the future holds the block until it is freed. A text is copied, and what
 *          stands beside. Blocks that nobody wants are given back at once. */
#include "os/memory.h"
#include "process/nested.h"
#include <string.h>

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
    size_t size, inside = filch__bytes_in_line(&m->value);
    char *text = copy_text(s, &m->text, value + inside);
    if (m->code != 0) {
        filch__future_set_outcome_of(f, m->code, text, m->pid);
        return;
    }
    if (m->value.segment != 0 || (m->flags & RESULT_ALLOCATED) != 0) {
        copy_beside(s, f, m, value + inside + filch__bytes_in_line(&m->text));
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
    filch_future *f = filch__nested_leave(s->nested, m->generation);
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
    case MESSAGE_AWAIT_OK:
        s->nested->answered++;
        filch__nested_skip(s, NULL);
        break;
    case MESSAGE_AWAIT_REFUSED:
        filch__nested_refuse(s->nested,
                             ((const struct filch__message_child *)(const void *)message)->child);
        break;
    default: break;
    }
    if (in_ring) filch__channel_consume_down(&s->channel);
}
