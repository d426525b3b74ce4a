/* map_packed.c: filch_map_array where workers share no memory with the program.
 *
 * Flow     the inputs are cut into contiguous parts, a few per worker; each part is one task that has its inputs in its
 *          argument, and their outcomes and results in its own (packed.h).
 * Memory   the parts are the caller's, who waits for all. */
#include "executor_ops.h"
#include "future.h"
#include "map.h"
#include "packed.h"
#include <stdio.h>
#include <string.h>

/* Parts per worker: enough that uneven inputs balance, few enough that a part's cost is small. */
enum { PARTS_PER_WORKER = 16 };

/* Some of the inputs, and the lowest one among them that failed. */
struct part {
    size_t begin, end;
    filch_future *future;
    size_t failed;
    struct filch__input_outcome outcome;
};

/* What filch_map_array returns: the first code that is noted, and its text. */
struct verdict {
    int code;
    char text[sizeof filch__thread.buffer];
};

static int no_room(void) {
    return filch__error_constant(FILCH_ENOMEM, "filch_map_array: no memory");
}

static int submit_part(filch_executor *e, const struct filch__map *map, struct part *part) {
    size_t n = part->end - part->begin;
    filch_task task = FILCH_TASK_INIT;
    struct filch__packed *packed =
        filch__packed_bytes(map->arg_size, map->result_size, n, &task.arg_size)
            ? filch__alloc(task.arg_size)
            : NULL;
    if (packed == NULL) return no_room();
    *packed = (struct filch__packed){map->arg_size, map->result_size, n, NULL};
    for (size_t i = 0; i < n && map->arg_size != 0; i++)
        memcpy(filch__packed_arg(packed, i), filch__map_arg(map, part->begin + i), map->arg_size);
    task.fn = map->fn;
    task.arg = packed;
    int rc = e->ops->submit_chunk(e, &task, &part->future);
    filch__free(packed);
    return rc;
}

static void note_outcome(struct part *part, size_t i, struct filch__input_outcome outcome) {
    if (likely(outcome.code == 0 && outcome.text == NULL)) return;
    if (outcome.code != 0 && part->outcome.code == 0) {
        part->failed = i;
        part->outcome = outcome;
    } else {
        filch__free(outcome.text);
    }
}

/* The results of a part that has ended well. 0, or a code with its text. */
static int unpack(const struct filch__map *map, struct part *part) {
    size_t n = part->end - part->begin, size;
    const void *results = filch__future_view(part->future, &size);
    for (size_t i = 0; i < n; i++) {
        struct filch__input_outcome outcome;
        if (!filch__packed_outcome(results, size, map->result_size, n, i, &outcome))
            return filch__error_constant(
                FILCH_EWORKER, "filch_map_array: a worker has given back what are no results");
        note_outcome(part, part->begin + i, outcome);
        if (outcome.code == 0 && map->result_size != 0)
            memcpy(filch__map_result(map, part->begin + i),
                   filch__packed_value(results, map->result_size, n, i), map->result_size);
    }
    return part->outcome.code == 0 ? 0 : filch__map_failed(part->failed, &part->outcome);
}

/* Notes what the last call has failed with. The text must be copied: a worker that waits for a part may
 * run others, and what fails there has texts of its own. */
static void note_error(struct verdict *verdict, int code) {
    if (verdict->code != 0) return;
    verdict->code = code;
    snprintf(verdict->text, sizeof verdict->text, "%s", filch_last_error());
}

/* Waits for the parts; the verdict is that of the lowest input that failed. */
static void gather(const struct filch__map *map, struct part *parts, size_t count,
                   struct verdict *verdict) {
    for (size_t p = 0; p < count; p++) {
        int rc = filch__future_conclude(parts[p].future);
        if (rc == 0) rc = unpack(map, &parts[p]);
        if (rc != 0) note_error(verdict, rc);
        filch__free(parts[p].outcome.text);
        filch_future_release(parts[p].future);
    }
}

/* Submits the inputs in `count` parts, whose sizes differ by at most one. Returns how many parts were
 * submitted; if they are less, the verdict says why. */
static size_t submit_parts(filch_executor *e, const struct filch__map *map, size_t n,
                           struct part *parts, size_t count, struct verdict *verdict) {
    size_t begin = 0;
    for (size_t p = 0; p < count; p++) {
        size_t end = begin + n / count + (p < n % count);
        parts[p] = (struct part){.begin = begin, .end = end};
        int rc = submit_part(e, map, &parts[p]);
        if (rc != 0) {
            note_error(verdict, rc);
            return p;
        }
        begin = end;
    }
    return count;
}

int filch__map_packed(filch_executor *e, const struct filch__map *map, size_t n) {
    struct verdict failed = {0, ""}, refused = {0, ""};
    size_t count = (size_t)e->ops->max_workers(e) * PARTS_PER_WORKER;
    if (count > n) count = n;
    struct part *parts = filch__alloc(count * sizeof *parts);
    if (parts == NULL) return no_room();
    gather(map, parts, submit_parts(e, map, n, parts, count, &refused), &failed);
    filch__free(parts);
    /* What was refused comes after all that was not. */
    if (failed.code == 0) failed = refused;
    return failed.code == 0 ? 0 : filch__error(failed.code, "%s", failed.text);
}
