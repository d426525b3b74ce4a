/* loop/split.c: errors of loops. */
#include "loop/split.h"

#include "error.h"
#include "os/memory.h"
#include "self.h"

/* The task that runs here; NULL: none, since what it ran has forked and this is the child. */
static struct filch__run *run_here(void) {
    struct filch__self *self = filch__self();
    return self == NULL ? NULL : self->run;
}

void filch__loop_fail(struct filch__loop_error *error, int failed) {
    struct filch__run *run = run_here();
    int none = 0;
    if (!cas_acq_rel(&error->code, &none, failed) || run == NULL) return; /* E1 -> E2 */
    error->text = run->text;
    run->text = NULL;
}

int filch__loop_end(struct filch__loop_error *error) {
    struct filch__run *run = run_here();
    int code = load_acquire(&error->code); /* E2 <- E1 */
    if (code == 0) return filch_cancel_requested() ? FILCH_ECANCELED : 0;
    if (run == NULL) {
        filch__free(error->text);
        return code;
    }
    filch__free(run->text);
    run->text = error->text;
    return code;
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
