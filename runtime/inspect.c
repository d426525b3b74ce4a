/* inspect.c: looking at a future without waiting for it.
 *
 * The state is read once; all else is constant from the end on (rules R1 and R3 of future_state.h), so that
 * what is shown belongs to that one moment. */
#include "error.h"
#include "future.h"
#include <stdio.h>

static filch_state state_of(uint64_t state) {
    switch (filch__shown_life(state)) {
    case LIFE_RUNNING: return FILCH_RUNNING;
    case LIFE_FINISHED: return FILCH_FINISHED;
    case LIFE_CANCELLED: return FILCH_CANCELLED;
    default: return FILCH_PENDING;
    }
}

int filch_future_snapshot(filch_future *f, filch_snapshot *snapshot) {
    if (f == NULL || snapshot == NULL)
        return filch__error(FILCH_EINVAL, "filch_future_snapshot: %s is NULL",
                            f == NULL ? "the future" : "the place for the snapshot");
    filch_snapshot s = {state_of(filch__future_look(f)), 0, NULL, 0};
    if (s.state == FILCH_FINISHED || s.state == FILCH_CANCELLED) s.code = filch__future_code(f);
    if (s.state == FILCH_FINISHED && s.code == 0) s.value = filch__future_view(f, &s.size);
    *snapshot = s;
    return 0;
}

/* A buffer that is written piece by piece, and what it would need. */
struct line {
    char *buffer;
    size_t size, length;
};

static void FILCH_PRINTF(2, 3) append(struct line *line, const char *format, ...) {
    bool room = line->length < line->size;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(room ? line->buffer + line->length : NULL,
                           room ? line->size - line->length : 0, format, arguments);
    va_end(arguments);
    if (length > 0) line->length += (size_t)length;
}

static void append_end(struct line *line, filch_future *f) {
    const char *text = filch__future_own_text(f);
    int code = filch__future_code(f);
    if (code < 0)
        append(line, "finished: %s", filch_error_name(code));
    else
        append(line, "finished: %d", code);
    if (text != NULL) append(line, " (%s)", text);
}

static void append_state(struct line *line, filch_future *f, uint64_t state) {
    int worker = state_runner(state);
    switch (state_of(state)) {
    case FILCH_PENDING: append(line, "pending"); return;
    case FILCH_CANCELLED: append(line, "cancelled"); return;
    case FILCH_FINISHED: append_end(line, f); return;
    case FILCH_RUNNING: append(line, "running");
    }
    if (worker >= 0) append(line, " on worker %d", worker);
}

int filch_future_describe(filch_future *f, char *buffer, size_t size) {
    if (f == NULL || (buffer == NULL && size != 0))
        return filch__error(FILCH_EINVAL, "filch_future_describe: %s is NULL",
                            f == NULL ? "the future" : "the buffer");
    uint64_t state = filch__future_look(f);
    struct filch__extra *extra = filch__future_extra(f);
    struct line line = {buffer, size, 0};
    append(&line, "<filch_future %p ", (void *)f);
    if (extra != NULL && extra->name != NULL) append(&line, "\"%s\" ", extra->name);
    append_state(&line, f, state);
    append(&line, ">");
    return (int)line.length;
}
