/* packed.c: see packed.h. */
#include "packed.h"

#include "base/copy.h"
#include "error.h"
#include "os/memory.h"
#include <string.h>

bool filch__packed_bytes(size_t arg_size, size_t result_size, size_t n, size_t *bytes) {
    size_t result;
    if (arg_size > FILCH__SIZE_LIMIT || result_size > FILCH__SIZE_LIMIT) return false;
    return !__builtin_mul_overflow(filch__round_up(arg_size), n, bytes) &&
           !__builtin_add_overflow(*bytes, sizeof(struct filch__packed), bytes) &&
           !__builtin_mul_overflow(filch__round_up(result_size) + sizeof(struct filch__packed_end),
                                   n, &result) &&
           *bytes <= FILCH__SIZE_LIMIT && result <= FILCH__SIZE_LIMIT;
}

void filch__packed_destroy(void *argument) {
    struct filch__packed *packed = argument;
    for (size_t i = 0; packed->arg_destroy != NULL && i < packed->count; i++)
        packed->arg_destroy(filch__packed_arg(packed, i));
}

/* Bytes of a result before its texts. */
static size_t size_without_texts(size_t result_size, size_t n) {
    return n * (sizeof(struct filch__packed_end) + filch__round_up(result_size));
}

/* A copy of the text; NULL: no memory. False: it has no final 0. */
static bool copy_text(const char *from, uint32_t size, char **text) {
    char *copy = filch__alloc(size);
    if (copy != NULL) filch__copy_once(copy, from, size);
    if (copy != NULL && copy[size - 1] != 0) {
        filch__free(copy);
        return false;
    }
    *text = copy;
    return true;
}

bool filch__packed_outcome(const void *result, size_t size, size_t result_size, size_t n, size_t i,
                           struct filch__input_outcome *outcome) {
    size_t texts = size_without_texts(result_size, n);
    struct filch__packed_end end;
    if (size < texts) return false;
    filch__copy_once(&end, (const struct filch__packed_end *)result + i, sizeof end);
    bool is_code = end.code >= 0 || filch__error_is_own(end.code);
    *outcome = (struct filch__input_outcome){NULL, is_code ? end.code : FILCH_EINVAL};
    if (end.text_size == 0) return true;
    if (end.text < texts || end.text > size || end.text_size > size - end.text) return false;
    return copy_text((const char *)result + end.text, end.text_size, &outcome->text);
}

/* Texts of inputs, while they run. */
struct texts {
    char *bytes;
    size_t used, room;
};

/* Where the text has been put; without memory for it, nowhere. */
static bool keep_text(struct texts *texts, const char *text, uint64_t *where, uint32_t *size) {
    size_t length = strlen(text) + 1;
    if (length > UINT32_MAX || length > FILCH__SIZE_LIMIT) return false;
    if (texts->used + length > texts->room) {
        size_t room = 2 * texts->room + length;
        char *bytes = filch__alloc(room);
        if (bytes == NULL) return false;
        if (texts->used != 0) memcpy(bytes, texts->bytes, texts->used);
        filch__free(texts->bytes);
        texts->bytes = bytes;
        texts->room = room;
    }
    memcpy(texts->bytes + texts->used, text, length);
    *where = texts->used;
    *size = (uint32_t)length;
    texts->used += length;
    return true;
}

static void run_inputs(filch_task_fn *fn, struct filch__packed *packed,
                       struct filch__packed_end *ends, struct texts *texts) {
    size_t step = filch__round_up(packed->result_size);
    size_t start = size_without_texts(packed->result_size, packed->count);
    char *value = (char *)(ends + packed->count);
    for (size_t i = 0; i < packed->count; i++, value += step) {
        struct filch__input_outcome outcome =
            filch__input_run(fn, filch__packed_arg(packed, i), value, packed->result_size);
        if (unlikely(filch__self() == NULL)) return; /* it has forked, and this is the child */
        ends[i] = (struct filch__packed_end){.code = outcome.code};
        if (outcome.text == NULL) continue;
        if (keep_text(texts, outcome.text, &ends[i].text, &ends[i].text_size))
            ends[i].text += start;
        filch__free(outcome.text);
    }
}

static int no_memory(void) {
    return filch_fail(FILCH_ENOMEM, "the worker has no memory for the results of a chunk");
}

int filch__packed_run(filch_task_fn *fn, void *argument) {
    struct filch__packed *packed = argument;
    struct texts texts = {NULL, 0, 0};
    size_t size = size_without_texts(packed->result_size, packed->count);
    /* Inputs may ask for memory of filch_result_alloc themselves, and then the last one's would be the task's. */
    struct filch__packed_end *ends = filch__alloc(size == 0 ? 1 : size);
    if (ends == NULL) return no_memory();
    run_inputs(fn, packed, ends, &texts);
    char *result = filch_result_alloc(size + texts.used);
    if (result != NULL) {
        memcpy(result, ends, size);
        if (texts.used != 0) memcpy(result + size, texts.bytes, texts.used);
    }
    filch__free(ends);
    filch__free(texts.bytes);
    return result != NULL ? 0 : no_memory();
}
