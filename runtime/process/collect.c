/* process/collect.c: what comes up from a worker, compared with the books, becomes outcomes of futures (README.md, T7).
 *
 * Keeps    1. Nothing that a worker has written is used before it is compared with the books: which ticket and which
 *             generation, what its claim says, how many bytes there are. It is copied first, since the worker can
 *             still write it. A worker that writes what cannot be is killed.
 * All of it at the desk. */
#include "base/copy.h"
#include "error.h"
#include "os/memory.h"
#include "process/family.h"
#include <string.h>

/* A message as it was read: its fixed part in memory of our own, its bytes where they are. */
struct upward {
    struct filch__message_result m;
    const char *bytes;
    size_t size;         /* of these */
    size_t text, beside; /* where they begin */
};

static void give_up(struct filch__processes *p, struct filch__seat *s, const char *what) {
    filch__hire_kill(p, s, filch__text("because it has sent %s", what));
}

/* The zygote tells it later, if it does not die before. */
static void learn_pid(struct filch__seat *s, const struct upward *up) {
    if (unlikely(s->pid == 0) && up->m.pid > 0) s->pid = up->m.pid;
}

/* Results ------------------------------------------------------------------------------------------ */

/* Bytes that stand inline, of which there are at most MESSAGE_INLINE. */
static bool inline_size(const struct filch__bytes *bytes, size_t *size) {
    *size = bytes->segment != 0 ? 0 : (size_t)bytes->size;
    return bytes->segment != 0 || bytes->size <= MESSAGE_INLINE;
}

static bool copy_fixed(struct upward *up, const struct filch__message *message, size_t size) {
    size_t fixed = filch__message_round(sizeof up->m), value, text, beside;
    if (size < fixed) return false;
    filch__copy_once(&up->m, message, sizeof up->m);
    up->bytes = (const char *)message + fixed;
    up->size = size - fixed;
    if (!inline_size(&up->m.value, &value) || !inline_size(&up->m.text, &text) ||
        !inline_size(&up->m.beside, &beside))
        return false;
    up->text = filch__message_round(value);
    up->beside = up->text + filch__message_round(text);
    return up->beside + filch__message_round(beside) <= up->size;
}

/* The text, in memory of its own; NULL: none, or no memory. */
static char *text_of(struct filch__seat *s, const struct upward *up) {
    const struct filch__bytes *where = &up->m.text;
    struct filch__held *held = NULL;
    const char *from = up->bytes;
    if (where->size == 0 || where->size > SIZE_MAX / 2) return NULL;
    if (where->segment != 0)
        from = filch__arena_view_hold(s->view, where, &held);
    else
        from += up->text;
    char *text = from == NULL ? NULL : filch__alloc((size_t)where->size + 1);
    if (text != NULL) {
        memcpy(text, from, (size_t)where->size);
        text[where->size] = 0;
    }
    if (held != NULL) filch__held_release(held);
    return text;
}

static void release_held(void *held) {
    filch__held_release(held);
}

/* What is in a segment stays there, for as long as the future lives. */
static int keep_segment(struct filch__seat *s, filch_future *f, const struct upward *up) {
    struct filch__outcome *record = filch__alloc(sizeof *record);
    struct filch__held *held = NULL;
    const void *data = record == NULL ? NULL : filch__arena_view_hold(s->view, &up->m.value, &held);
    if (data == NULL) {
        filch__free(record);
        return FILCH_ENOMEM;
    }
    *record = (struct filch__outcome){.has_data = true,
                                      .is_result = (up->m.flags & RESULT_ALLOCATED) == 0,
                                      .pid = s->pid,
                                      .size = (size_t)up->m.value.size,
                                      .elsewhere = data,
                                      .release = release_held,
                                      .held = held};
    f->outcome = (uint64_t)(uintptr_t)record;
    return 0;
}

/* A copy of what was allocated. */
static int keep_block(struct filch__seat *s, filch_future *f, const struct upward *up) {
    struct filch__outcome *record = filch__alloc(sizeof *record + (size_t)up->m.value.size);
    if (record == NULL) return FILCH_ENOMEM;
    *record =
        (struct filch__outcome){.has_data = true, .pid = s->pid, .size = (size_t)up->m.value.size};
    memcpy(record->data, up->bytes, record->size);
    f->outcome = (uint64_t)(uintptr_t)record;
    return 0;
}

/* What the task wrote as its result, beside what it has allocated; of the right size. */
static int keep_beside(struct filch__seat *s, const struct upward *up, void *result) {
    const struct filch__bytes *where = &up->m.beside;
    struct filch__held *held = NULL;
    const char *from = up->bytes + up->beside;
    if (where->size == 0) return 0;
    if (where->segment != 0) from = filch__arena_view_hold(s->view, where, &held);
    if (from == NULL) return FILCH_ENOMEM;
    memcpy(result, from, (size_t)where->size);
    if (held != NULL) filch__held_release(held);
    return 0;
}

static int keep_value(struct filch__seat *s, filch_future *f, const struct upward *up) {
    size_t size;
    void *result = filch__future_result(f, &size);
    bool allocated = (up->m.flags & RESULT_ALLOCATED) != 0;
    int code = allocated ? keep_beside(s, up, result) : 0;
    if (code != 0) return code;
    if (up->m.value.segment != 0) return keep_segment(s, f, up);
    if (allocated) return keep_block(s, f, up);
    if (size == sizeof(uint64_t))
        memcpy(result, up->bytes, sizeof(uint64_t));
    else if (size != 0)
        memcpy(result, up->bytes, size);
    f->outcome = filch__outcome_of(0, s->pid);
    return 0;
}

/* Does the value have the size that the future's result has? */
static bool has_right_size(filch_future *f, const struct upward *up) {
    size_t size;
    if (up->m.code != 0) return true;
    (void)filch__future_result(f, &size);
    return size == ((up->m.flags & RESULT_ALLOCATED) != 0 ? up->m.beside.size : up->m.value.size);
}

static void set_outcome(struct filch__seat *s, filch_future *f, const struct upward *up) {
    int code = up->m.code;
    if (likely(code == 0)) code = keep_value(s, f, up);
    if (likely(code == 0 && up->m.text.size == 0)) return;
    if (code == 0 && !filch__outcome_is_plain(f->outcome)) {
        filch__outcome_record(f->outcome)->text = text_of(s, up);
        return;
    }
    if (code < 0 && !filch__error_is_own(code)) code = FILCH_EINVAL;
    filch__future_set_outcome_of(f, code, text_of(s, up), s->pid);
}

/* Is the ticket in use, for that generation? */
static bool is_known(const struct filch__seat *s, const struct filch__message_result *m) {
    return m->ticket < CHANNEL_TICKETS && m->generation != 0 &&
           s->postings[m->ticket].generation == m->generation;
}

static const char *end_task(struct filch__processes *p, struct filch__seat *s,
                            const struct upward *up, struct filch__ended *ended) {
    if (!is_known(s, &up->m)) return "the result of a task that it does not have";
    filch_future *f = s->postings[up->m.ticket].future;
    if (f == NULL || filch__claim_state(s->channel, up->m.ticket, up->m.generation) != CLAIM_TAKEN)
        return "the result of a task that it has not taken";
    if (!has_right_size(f, up)) return "a result of another size";
    filch__future_started(f);
    if (unlikely(state_life(state_look(&f->state)) != LIFE_RUNNING))
        return "the result of a task that was cancelled";
    learn_pid(s, up);
    set_outcome(s, f, up);
    filch__posting_clear(p, s, up->m.ticket);
    filch__posting_free(s, up->m.ticket);
    s->done++;
    count_own(&p->completed, 1);
    p->pause = 0;
    p->zygote_deaths = 0;
    filch__end_future(p, ended, f);
    return NULL;
}

static const char *end_skipped(struct filch__processes *p, struct filch__seat *s,
                               const struct upward *up) {
    static const char fault[] = "word of a skipped task that was not taken back";
    if (!is_known(s, &up->m) ||
        filch__claim_state(s->channel, up->m.ticket, up->m.generation) != CLAIM_REVOKED)
        return fault;
    filch_future *f = s->postings[up->m.ticket].future;
    if (f != NULL && !filch__posting_is_cancelled(p, f)) return fault;
    filch__posting_clear(p, s, up->m.ticket);
    filch__posting_free(s, up->m.ticket);
    if (f != NULL) filch__future_drop(f); /* who cancelled it ends it */
    return NULL;
}

/* Other messages ----------------------------------------------------------------------------------- */

/* Is a task posted there that is neither still posted nor cancelled? */
static bool has_taken(struct filch__processes *p, const struct filch__seat *s) {
    for (uint64_t used = ~s->free_tickets; used != 0; used &= used - 1) {
        uint32_t ticket = (uint32_t)__builtin_ctzll(used);
        const struct filch__posting *posting = &s->postings[ticket];
        if (posting->future == NULL) continue;
        enum filch__claim claim = filch__claim_state(s->channel, ticket, posting->generation);
        if (claim == CLAIM_POSTED) continue;
        if (claim != CLAIM_REVOKED || !filch__posting_is_cancelled(p, posting->future)) return true;
    }
    return false;
}

/* A worker whose start has failed takes nothing: what a task has written there breaks no executor. */
static const char *become_ready(struct filch__processes *p, struct filch__seat *s,
                                const struct upward *up) {
    if (s->life != SEAT_STARTING) return NULL;
    if (up->m.code == 0) {
        s->life = SEAT_SERVING;
        learn_pid(s, up);
        p->early_deaths = 0;
        return NULL;
    }
    if (has_taken(p, s)) return "word of a start that has failed, and a task was taken";
    char *text = text_of(s, up);
    filch__death_break(p, filch__text("the executor broke: worker %d could not start: %s", s->index,
                                      text != NULL ? text : filch_error_text(up->m.code)));
    filch__free(text);
    return NULL;
}

static void retire(struct filch__processes *p, struct filch__seat *s) {
    if (!filch__seat_serves(s)) return;
    filch__dispatch_take_back(p, s, CHANNEL_TICKETS);
    filch__dispatch_quit(p, s);
}

/* NULL, or what is wrong with it. */
static const char *handle(struct filch__processes *p, struct filch__seat *s,
                          const struct filch__message *message, struct filch__ended *ended) {
    struct upward up;
    size_t size = s->channel->reading;
    uint32_t kind = load_relaxed(&message->kind); /* relaxed: Q2 has ordered it; read once */
    switch (kind) {
    case MESSAGE_RESULT:
        return copy_fixed(&up, message, size) ? end_task(p, s, &up, ended) : "a result too short";
    case MESSAGE_SKIPPED:
        return copy_fixed(&up, message, size) ? end_skipped(p, s, &up) : "a message too short";
    case MESSAGE_READY:
        return copy_fixed(&up, message, size) ? become_ready(p, s, &up) : "a message too short";
    case MESSAGE_RETIRE: retire(p, s); return NULL;
    case MESSAGE_SUBMIT:
    case MESSAGE_CANCEL:
    case MESSAGE_AWAIT:
    case MESSAGE_AWAKE: return filch__family_message(p, s, kind, message);
    default: return "a message of no kind";
    }
}

void filch__collect(struct filch__processes *p, struct filch__seat *s, struct filch__ended *ended,
                    uint32_t most) {
    bool broken = false;
    for (uint32_t i = 0; i < most && s->life != SEAT_DOOMED; i++) {
        const struct filch__message *message = filch__channel_read_up(s->channel, &broken);
        if (message == NULL) break;
        const char *fault = handle(p, s, message, ended);
        filch__channel_consume_up(s->channel);
        if (unlikely(fault != NULL)) {
            give_up(p, s, fault);
            return;
        }
    }
    if (unlikely(broken)) give_up(p, s, "a message of a size");
}
