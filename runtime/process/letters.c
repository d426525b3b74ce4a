/* process/letters.c: messages to a worker that a full ring only delays.
 *
 * Keeps    1. They arrive in the order in which they were begun: as long as one waits, those that come wait behind it.
 * All of it at the desk. */
#include "process/letters.h"

#include "os/memory.h"
#include <string.h>

struct filch__later {
    struct filch__later *next;
    size_t size;
    _Alignas(16) struct filch__message head;
};

void filch__letters_flush(struct filch__seat *s) {
    struct filch__later *later;
    while ((later = s->later) != NULL) {
        struct filch__message *m = filch__channel_begin_down(
            s->channel, (enum filch__message_kind)later->head.kind, later->size);
        if (m == NULL) return;
        memcpy(m + 1, &later->head + 1, later->size - sizeof *m);
        s->begun = true;
        s->later = later->next;
        filch__free(later);
    }
}

static void *keep(struct filch__seat *s, enum filch__message_kind kind, size_t size) {
    struct filch__later *later = filch__alloc_zeroed(sizeof *later + size);
    if (later == NULL) return NULL;
    later->size = size;
    later->head.kind = (uint32_t)kind;
    if (s->later == NULL)
        s->later = later;
    else
        s->later_last->next = later;
    s->later_last = later;
    return &later->head;
}

void *filch__letters_begin(struct filch__processes *p, struct filch__seat *s,
                           enum filch__message_kind kind, size_t size) {
    size = filch__message_round(size);
    struct filch__message *m =
        s->later == NULL ? filch__channel_begin_down(s->channel, kind, size) : NULL;
    if (m != NULL) {
        memset(m + 1, 0, size - sizeof *m);
        s->begun = true;
        return m;
    }
    m = keep(s, kind, size);
    if (m == NULL) filch__hire_kill(p, s, filch__text("because there was no memory to answer it"));
    return m;
}

void filch__letters_forget(struct filch__seat *s) {
    struct filch__later *later;
    while ((later = s->later) != NULL) {
        s->later = later->next;
        filch__free(later);
    }
}
