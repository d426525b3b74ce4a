/* loop/for.c: filch_parallel_for.
 *
 * Flow     filch_parallel_for -> filch_run -> run_range: chunks, until somebody is hungry; then it forks the upper half
 *          of what is left, goes on with the lower one, and joins.
 * Not here: when to split (split.h). */
#include "error.h"
#include "loop/split.h"
#include <filch/parallel.h>

struct loop {
    filch_range_body *body;
    void *context;
    int64_t grain;
    struct filch__loop_error error; /* of the first part that failed */
};

struct part {
    struct loop *loop;
    int64_t begin, end;
};

static void run_range(struct loop *l, int64_t begin, int64_t end);

static int run_part(void *arg, void *result) {
    const struct part *part = arg;
    (void)result;
    run_range(part->loop, part->begin, part->end);
    return 0;
}

static noinline void split(struct loop *l, int64_t begin, int64_t end) {
    int64_t middle = filch__split_middle(begin, end, l->grain);
    struct part upper = {l, middle, end};
    filch_frame frame;
    filch_fork(&frame, run_part, &upper, NULL);
    run_range(l, begin, middle);
    (void)filch_join(&frame);
}

/* One chunk. False: it failed. */
static inline bool run_chunk(struct loop *l, int64_t begin, int64_t end) {
    int rc = l->body(begin, end, l->context);
    if (likely(rc == 0)) return true;
    filch__loop_fail(&l->error, filch_frame_code(rc));
    return false;
}

/* A chunk, with the rest of the range forked meanwhile. False: the rest is over, or nothing more shall begin. */
static inline bool run_before_rest(struct loop *l, int64_t begin, int64_t middle, int64_t end) {
    struct part rest = {l, middle, end};
    filch_frame frame;
    if (unlikely(!filch__rest_has_room())) return run_chunk(l, begin, middle);
    filch_fork(&frame, run_part, &rest, NULL);
    bool good = run_chunk(l, begin, middle);
    return filch__rest_take_back(&frame) == REST_BACK && good;
}

static void run_range(struct loop *l, int64_t begin, int64_t end) {
    struct filch__chunk chunk = filch__chunk_begin(l->grain);
    while (begin < end && !filch__loop_is_over(&l->error)) {
        int64_t left = end - begin;
        if (left > filch__chunk_least(&chunk) && filch__split_is_wanted()) {
            split(l, begin, end);
            return;
        }
        if (left <= chunk.length) {
            (void)run_chunk(l, begin, end);
            return;
        }
        if (!run_before_rest(l, begin, begin + chunk.length, end)) return;
        begin += chunk.length;
        filch__chunk_learn(&chunk);
    }
}

static int run_loop(void *arg, void *result) {
    struct part *all = arg;
    (void)result;
    run_range(all->loop, all->begin, all->end);
    return filch__loop_end(&all->loop->error);
}

int filch_parallel_for(filch_executor *executor, int64_t begin, int64_t end, int64_t grain,
                       filch_range_body *body, void *context) {
    struct loop loop = {body, context, grain, {0, NULL}};
    struct part all = {&loop, begin, end};
    if (body == NULL)
        return filch__error_constant(FILCH_EINVAL, "filch_parallel_for: the body is NULL");
    int rc = filch__loop_check("filch_parallel_for", begin, end, grain);
    if (rc != 0 || begin >= end) return rc;
    return filch_run(executor, run_loop, &all, NULL);
}
