/* loop/each.c: see each.h.
 *
 * Flow     the upper half of the indices is forked, the lower half is done here, and so on with each half:
 *          a thief takes the largest piece that is left, and the depth is that of a binary logarithm.
 * Memory   the halves are on the stack of who halved them, who waits for both. */
#include "loop/each.h"

#include <filch/fork.h>

struct span {
    size_t begin, end;
    filch__each_body *body;
    void *context;
};

static int run_span(void *arg, void *result) {
    const struct span *span = arg;
    (void)result;
    return filch__each(span->begin, span->end, span->body, span->context);
}

int filch__each(size_t begin, size_t end, filch__each_body *body, void *context) {
    if (end <= begin) return 0;
    if (end - begin == 1) {
        body(begin, context);
        return 0;
    }
    size_t middle = begin + (end - begin) / 2;
    struct span upper = {middle, end, body, context};
    filch_frame frame;
    filch_fork(&frame, run_span, &upper, NULL);
    int lower_code = filch__each(begin, middle, body, context);
    int upper_code = filch_join(&frame);
    return lower_code != 0 ? lower_code : upper_code;
}
