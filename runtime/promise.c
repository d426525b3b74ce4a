/* promise.c: futures that user code, or the library itself, completes.
 *
 * Flow     filch_promise_set -> state_end: one of several wins -> writes the result -> filch__future_finish.
 * Memory   its own block of the heap, with the same layout as in a slab; a large result in an extra.
 *          STANDALONE tells filch__future_free and filch__future_home so. */
#include "promise.h"

#include "error.h"
#include "os/cpus.h"
#include "os/memory.h"
#include <filch/promise.h>
#include <stdarg.h>
#include <string.h>

/* Promises know no executor's `spin`: they have the default one. */
static void prepare_home(void) {
    struct filch__home *home = &filch__home_standalone;
    if (likely(load_relaxed(&home->spin) != 0)) return; /* relaxed: a constant, set late */
    int64_t spin = filch__cpus_usable() == 1 ? -1 : FILCH__SPIN_DEFAULT;
    store_relaxed(&home->spin, spin); /* relaxed: a constant, set late */
}

static struct filch__extra *create_extra(size_t result_size) {
    size_t header = filch__round_up(sizeof(struct filch__extra));
    struct filch__extra *extra = filch__alloc_zeroed(header + result_size);
    if (extra == NULL) return NULL;
    extra->result = (char *)extra + header;
    extra->result_size = result_size;
    return extra;
}

filch_future *filch__promise_create(size_t result_size, bool owned) {
    bool inside = result_size <= FILCH__PAYLOAD_LARGEST;
    struct filch__extra *extra = inside ? NULL : create_extra(result_size);
    if (!inside && extra == NULL) return NULL;
    size_t payload = inside ? result_size : sizeof extra;
    /* No more aligned than a result must be: a promise takes 18 ns so, and 145 with
     * aligned_alloc of 64 bytes (glibc 2.36, 2026-11). */
    filch_future *f = filch__alloc_zeroed(FILCH__FUTURE_HEADER + payload);
    if (f == NULL) {
        filch__free(extra);
        return NULL;
    }
    prepare_home();
    f->outcome = filch__outcome_of_code(0);
    f->owned = owned ? (uint64_t)filch__fork_now() + 1 : 0;
    if (extra != NULL) *(struct filch__extra **)filch__future_payload(f) = extra;
    state_init(&f->state, 1, FLAG_STANDALONE | (inside ? state_sizes(0, result_size) : FLAG_EXTRA));
    return f;
}

/* After the outcome was written. */
static void publish(filch_future *f, const void *value) {
    size_t size;
    void *result = filch__future_result(f, &size);
    POINT("promise.ending");
    /* A callback may release the caller's reference while others are still to run. */
    state_retain(&f->state);
    if (value != NULL && size != 0) memcpy(result, value, size);
    filch__future_finish(f, LIFE_FINISHED, true, NULL, NULL);
}

void filch__promise_publish(filch_future *f, int code, char *text, const void *value) {
    filch__future_set_outcome(f, code, text);
    publish(f, value);
}

void filch__promise_publish_as(filch_future *f, filch_future *other) {
    size_t size;
    int code = filch__future_code(other);
    const void *value = filch__future_value(other, &size);
    f->outcome = other->outcome;
    other->outcome = filch__outcome_of_code(code);
    publish(f, code == 0 ? value : NULL);
}

int filch_promise(size_t result_size, filch_future **future) {
    if (future == NULL)
        return filch__error_constant(FILCH_EINVAL,
                                     "filch_promise: the place for the future is NULL");
    if (result_size > FILCH__SIZE_LIMIT)
        return filch__error(FILCH_ETOOBIG, "filch_promise: a result of %zu bytes is too large",
                            result_size);
    filch_future *f = filch__promise_create(result_size, false);
    if (f == NULL)
        return filch__error(FILCH_ENOMEM, "filch_promise: there is no memory for %zu bytes",
                            result_size);
    *future = f;
    return 0;
}

/* 0, or EINVAL where the caller must not complete it. */
static int check(const filch_future *f, const char *call) {
    if (f == NULL) return filch__error(FILCH_EINVAL, "%s: the promise is NULL", call);
    if ((state_constant(&f->state) & FLAG_STANDALONE) == 0)
        return filch__error(FILCH_EINVAL,
                            "%s: this is the future of a task, which ends with the task", call);
    if (f->owned)
        return filch__error(FILCH_EINVAL,
                            "%s: this future is made of other futures, and ends with them", call);
    return 0;
}

static int is_over(const char *call) {
    return filch__error(FILCH_ESTATE, "%s: the promise is already cancelled or completed", call);
}

int filch_promise_start(filch_future *f) {
    int rc = check(f, "filch_promise_start");
    if (rc != 0) return rc;
    if (state_start_promise(&f->state)) return 0;
    return filch__error_constant(
        FILCH_ESTATE, "filch_promise_start: the promise was started or completed before, "
                      "or cancelled");
}

bool filch_promise_cancel_requested(filch_future *f) {
    return f != NULL && (state_look(&f->state) & FLAG_REQUESTED) != 0;
}

int filch_promise_set(filch_future *f, const void *value, size_t size) {
    int rc = check(f, "filch_promise_set");
    if (rc != 0) return rc;
    size_t wanted;
    filch__future_result(f, &wanted);
    if (size != wanted)
        return filch__error(FILCH_EINVAL,
                            "filch_promise_set: the value has %zu bytes, the promise's result %zu",
                            size, wanted);
    if (value == NULL && size != 0)
        return filch__error_constant(FILCH_EINVAL, "filch_promise_set: the value is NULL");
    if (!state_end(&f->state)) return is_over("filch_promise_set");
    filch__promise_publish(f, 0, NULL, value);
    return 0;
}

int filch_promise_fail(filch_future *f, int code, const char *format, ...) {
    int rc = check(f, "filch_promise_fail");
    if (rc != 0) return rc;
    if (code == 0 || (code < 0 && !filch__error_is_own(code)))
        return filch__error(FILCH_EINVAL,
                            "filch_promise_fail: %d is neither positive nor a code of filch", code);
    if (!state_end(&f->state)) return is_over("filch_promise_fail");
    char *text = NULL;
    if (format != NULL) {
        va_list arguments;
        va_start(arguments, format);
        text = filch__text_format(format, arguments);
        va_end(arguments);
    }
    filch__promise_publish(f, code, text, NULL);
    return 0;
}
