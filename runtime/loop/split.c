/* loop/split.c: errors of loops. */
#include "loop/split.h"

#include "error.h"
#include "os/memory.h"
#include "self.h"

void filch__loop_fail(int *code, int failed) {
    int none = 0;
    if (cas_acq_rel(code, &none, failed)) return; /* E1 -> E2 */
    /* Not the first: its text is not that of the loop's code. */
    struct filch__self *self = filch__self();
    if (self == NULL || self->run == NULL) return;
    filch__free(self->run->text);
    self->run->text = NULL;
}

int filch__loop_check(const char *call, int64_t begin, int64_t end, int64_t grain) {
    int64_t length;
    if (grain < 0)
        return filch__error(FILCH_EINVAL, "%s: the grain is %lld", call, (long long)grain);
    if (begin < end && __builtin_sub_overflow(end, begin, &length))
        return filch__error(FILCH_EINVAL, "%s: the range from %lld to %lld is too long", call,
                            (long long)begin, (long long)end);
    return 0;
}
