/* task.c: what a task is made of, and how it runs.
 *
 * Flow     filch_submit (executor.c) -> room -> filch__future_prepare; worker -> filch__task_run. */
#include "task.h"

#include "error.h"
#include "os/memory.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

cold int filch__task_refuse(const filch_task *task) {
    if (task->fn == NULL)
        return filch__error_constant(FILCH_EINVAL, "submit: the function is NULL");
    if (task->arg == NULL && task->arg_size != 0)
        return filch__error(FILCH_EINVAL, "submit: the argument is NULL, its size is %zu",
                            task->arg_size);
    return filch__error(FILCH_ETOOBIG, "submit: sizes of %zu and %zu bytes are too large",
                        task->arg_size, task->result_size);
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

cold void filch__task_failed(filch_future *f, int rc) {
    f->code = rc >= 0 || filch__error_is_own(rc) ? rc : FILCH_EINVAL;
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
