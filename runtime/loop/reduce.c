/* loop/reduce.c: filch_parallel_reduce.
 *
 * Flow     as for.c, but that each part has a value: the lower half goes on with the value of what precedes it, the
 *          upper one starts from the identity, and after the join the two are put together, in order.
 * Memory   small values of parts are on the stack, others from the allocator; where there is none the part is not split. */
#include "error.h"
#include "loop/reduce.h"
#include "loop/split.h"
#include "os/memory.h"
#include <string.h>

/* Bytes of a value that is kept on the stack. */
enum { SMALL_VALUE = 64 };

struct loop {
    const filch_reduction *reduction;
    int64_t grain;
    struct filch__loop_error error; /* of the first part that failed */
};

struct part {
    struct loop *loop;
    int64_t begin, end;
    void *value;
};

static void run_range(struct loop *l, int64_t begin, int64_t end, void *value);

static int run_part(void *arg, void *result) {
    const struct part *part = arg;
    (void)result;
    memcpy(part->value, part->loop->reduction->identity, part->loop->reduction->size);
    run_range(part->loop, part->begin, part->end, part->value);
    return 0;
}

static void add_upper(struct loop *l, void *value, const void *upper) {
    if (load_acquire(&l->error.code) == 0) /* E2 <- E1 */
        l->reduction->combine(value, upper, l->reduction->context);
}

/* In two halves, with a place for the value of the upper one. */
static noinline void split(struct loop *l, int64_t begin, int64_t end, void *value, void *place) {
    int64_t middle = filch__split_middle(begin, end, l->grain);
    struct part upper = {l, middle, end, place};
    filch_frame frame;
    filch_fork(&frame, run_part, &upper, NULL);
    run_range(l, begin, middle, value);
    if (filch_join(&frame) == 0) add_upper(l, value, place);
}

static inline bool run_chunk(struct loop *l, int64_t begin, int64_t end, void *value) {
    int rc = l->reduction->body(begin, end, l->reduction->context, value);
    if (likely(rc == 0)) return true;
    filch__loop_fail(&l->error, filch_frame_code(rc));
    return false;
}

/* As in for.c. */
static inline bool run_before_rest(struct loop *l, int64_t begin, int64_t middle, int64_t end,
                                   void *value, void *place) {
    struct part rest = {l, middle, end, place};
    filch_frame frame;
    if (unlikely(place == NULL || !filch__rest_has_room()))
        return run_chunk(l, begin, middle, value);
    filch_fork(&frame, run_part, &rest, NULL);
    bool good = run_chunk(l, begin, middle, value);
    enum filch__rest how = filch__rest_take_back(&frame);
    if (how == REST_DONE) add_upper(l, value, place);
    return how == REST_BACK && good;
}

/* `place`: for the value of another part; NULL: there is none, and the range is not split. */
static void run_range_in(struct loop *l, int64_t begin, int64_t end, void *value, void *place) {
    struct filch__chunk chunk = filch__chunk_begin(l->grain);
    while (begin < end && !filch__loop_is_over(&l->error)) {
        int64_t left = end - begin;
        if (left > filch__chunk_least(&chunk) && filch__split_is_wanted() && place != NULL) {
            split(l, begin, end, value, place);
            return;
        }
        if (left <= chunk.length) {
            (void)run_chunk(l, begin, end, value);
            return;
        }
        if (!run_before_rest(l, begin, begin + chunk.length, end, value, place)) return;
        begin += chunk.length;
        filch__chunk_learn(&chunk);
    }
}

static void run_range(struct loop *l, int64_t begin, int64_t end, void *value) {
    _Alignas(max_align_t) char small[SMALL_VALUE];
    if (l->reduction->size <= sizeof small) {
        run_range_in(l, begin, end, value, small);
        return;
    }
    void *large = filch__alloc(l->reduction->size);
    run_range_in(l, begin, end, value, large);
    filch__free(large);
}

static int run_loop(void *arg, void *result) {
    struct part *all = arg;
    (void)result;
    (void)run_part(all, NULL);
    return filch__loop_end(&all->loop->error);
}

int filch__reduction_check(const char *call, const filch_reduction *r) {
    if (r == NULL) return filch__error(FILCH_EINVAL, "%s: the reduction is NULL", call);
    if (r->struct_size != sizeof *r)
        return filch__error(
            FILCH_EINVAL,
            "%s: the reduction's struct_size is %zu, not %zu: make it with FILCH_REDUCTION_INIT",
            call, r->struct_size, sizeof *r);
    if (r->size == 0 || r->identity == NULL || r->body == NULL || r->combine == NULL)
        return filch__error(FILCH_EINVAL, "%s: the reduction's %s", call,
                            r->size == 0          ? "size is 0"
                            : r->identity == NULL ? "identity is NULL"
                                                  : "function is NULL");
    return 0;
}

int filch_parallel_reduce(filch_executor *executor, int64_t begin, int64_t end, int64_t grain,
                          const filch_reduction *reduction, void *result) {
    int rc = filch__reduction_check("filch_parallel_reduce", reduction);
    if (rc == 0) rc = filch__loop_check("filch_parallel_reduce", begin, end, grain);
    if (rc != 0) return rc;
    if (result == NULL)
        return filch__error_constant(FILCH_EINVAL,
                                     "filch_parallel_reduce: the place for the result is NULL");
    void *value = filch__alloc(reduction->size);
    if (value == NULL)
        return filch__error(FILCH_ENOMEM, "filch_parallel_reduce: there is no memory for %zu bytes",
                            reduction->size);
    struct loop loop = {reduction, grain, {0, NULL}};
    struct part all = {&loop, begin, end, value};
    rc = filch_run(executor, run_loop, &all, NULL);
    if (rc == 0) memcpy(result, value, reduction->size);
    filch__free(value);
    return rc;
}
