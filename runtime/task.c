/* task.c: what a task is made of, and how it runs.
 *
 * Flow     filch_submit (executor.c) -> room -> filch__future_prepare; worker -> filch__task_run. */
#include "task.h"

#include "error.h"
#include "os/memory.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Sizes up to here cannot overflow when they are rounded and added. */
#define SIZE_LIMIT (SIZE_MAX / 4)

int filch__task_check(const filch_task *task) {
    if (unlikely(task->fn == NULL))
        return filch__error_constant(FILCH_EINVAL, "submit: the function is NULL");
    if (unlikely(task->arg == NULL && task->arg_size != 0))
        return filch__error(FILCH_EINVAL, "submit: the argument is NULL, its size is %zu",
                            task->arg_size);
    if (unlikely(task->arg_size > SIZE_LIMIT || task->result_size > SIZE_LIMIT))
        return filch__error(FILCH_ETOOBIG, "submit: sizes of %zu and %zu bytes are too large",
                            task->arg_size, task->result_size);
    return 0;
}

bool filch__future_prepare_slow(filch_future *f, const filch_task *task) {
    size_t header = filch__round_up(sizeof(struct filch__extra));
    size_t arg_room = filch__round_up(task->arg_size);
    size_t payload = arg_room + filch__round_up(task->result_size);
    bool inside = payload <= FILCH__SLAB_LARGEST - FILCH__FUTURE_HEADER;
    struct filch__extra *extra = filch__alloc(header + (inside ? 0 : payload));
    if (extra == NULL) return false;
    memset(extra, 0, sizeof *extra);
    extra->name = task->name;
    extra->arg_destroy = task->arg_destroy;
    f->arg_size = inside ? (uint16_t)task->arg_size : 0;
    f->result_size = inside ? (uint16_t)task->result_size : 0;
    if (!inside) {
        extra->arg = (char *)extra + header;
        extra->result = (char *)extra->arg + arg_room;
        extra->arg_size = task->arg_size;
        extra->result_size = task->result_size;
    }
    f->extra = extra;
    if (task->arg_size != 0) memcpy(filch__future_arg(f), task->arg, task->arg_size);
    return true;
}

/* What a task's return value means. */
static int32_t normal_code(int rc) {
    return rc >= 0 || filch__error_is_own(rc) ? rc : FILCH_EINVAL;
}

void filch__task_run(struct filch__self *self, filch_future *f, int64_t base) {
    struct filch__run run = {.future = f, .below = self->run, .text = NULL, .base = base};
    size_t size;
    void *result = filch__future_result(f, &size);
    if (size == sizeof(uint64_t))
        memset(result, 0, sizeof(uint64_t));
    else if (size != 0)
        memset(result, 0, size);
    self->run = &run;
    int rc = f->fn(filch__future_arg(f), result);
    self->run = run.below;
    if (unlikely(rc != 0)) f->code = normal_code(rc);
    if (unlikely(run.text != NULL)) filch__future_set_text(f, run.text);
    filch__future_destroy_arg(f);
}

int filch_fail(int code, const char *format, ...) {
    struct filch__self *self = filch__self();
    if (self == NULL || self->run == NULL || format == NULL) return code;
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : filch__alloc((size_t)length + 1);
    if (text != NULL) {
        vsnprintf(text, (size_t)length + 1, format, again);
        filch__free(self->run->text);
        self->run->text = text;
    }
    va_end(again);
    return code;
}

filch_executor *filch_current_executor(void) {
    struct filch__self *self = filch__self();
    return self == NULL ? NULL : self->executor;
}

int filch_worker_index(void) {
    struct filch__self *self = filch__self();
    return self == NULL ? -1 : self->index;
}
