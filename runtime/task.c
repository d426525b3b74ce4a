/* task.c: what a task is made of, and how it runs.
 *
 * Flow     filch_submit (executor.c) -> room -> filch__future_create; worker -> filch__task_run. */
#include "task.h"

#include "error.h"
#include "executor_ops.h"
#include "os/memory.h"
#include <stdarg.h>
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

filch_future *filch__future_create_rare(struct filch__heap *heap, const filch_task *task,
                                        uint64_t references) {
    size_t header = filch__round_up(sizeof(struct filch__extra));
    size_t arg_room = filch__round_up(task->arg_size);
    struct filch__extra *extra = filch__alloc(header + arg_room + task->result_size);
    if (extra == NULL) return NULL;
    filch_future *f =
        filch__slab_alloc(heap, filch__slab_class(FILCH__FUTURE_HEADER + sizeof(void *)));
    if (f == NULL) {
        filch__free(extra);
        return NULL;
    }
    extra->name = task->name;
    extra->arg_destroy = task->arg_destroy;
    extra->retries = task->retries;
    extra->is_chunk = false;
    extra->child = NULL;
    extra->arg = (char *)extra + header;
    extra->result = (char *)extra->arg + arg_room;
    extra->arg_size = task->arg_size;
    extra->result_size = task->result_size;
    if (task->arg_size != 0) memcpy(extra->arg, task->arg, task->arg_size);
    f->fn = task->fn;
    f->hub = NULL;
    *(struct filch__extra **)filch__future_payload(f) = extra;
    state_init(&f->state, references, FLAG_EXTRA);
    return f;
}

cold void filch__task_ended(filch_future *f, int rc, char *text, struct filch__outcome *block) {
    if (rc == 0 && block != NULL) {
        block->text = text;
        f->outcome = (uint64_t)(uintptr_t)block;
        return;
    }
    filch__free(block); /* a result that nobody can read */
    filch__future_set_outcome(f, rc >= 0 || filch__error_is_own(rc) ? rc : FILCH_EINVAL, text);
}

bool filch__task_run_rare(struct filch__self *self, filch_future *f, int64_t base) {
    struct filch__extra *extra = filch__future_rare(f);
    struct filch__run *below = self->run;
    if (!filch__task_call(self, f, base, extra->arg, extra->result, extra->result_size))
        return false;
    self->run = NULL; /* a destructor is no part of the task, nor of the one below */
    filch__future_destroy_arg(f);
    self->run = below;
    return filch__self() == self;
}

int filch_fail(int code, const char *format, ...) {
    struct filch__self *self = filch__self();
    if (self == NULL || self->run == NULL || format == NULL) return code;
    va_list arguments;
    va_start(arguments, format);
    char *text = filch__text_format(format, arguments);
    va_end(arguments);
    if (text != NULL) {
        filch__free(self->run->text);
        self->run->text = text;
    }
    return code;
}

int filch_blocking_begin(void) {
    struct filch__self *self = filch__self();
    if (self != NULL && self->blocking++ == 0) self->executor->ops->blocking_begin(self);
    return 0;
}

int filch_blocking_end(void) {
    struct filch__self *self = filch__self();
    if (self == NULL) return 0;
    if (self->blocking == 0)
        return filch__error_constant(
            FILCH_ESTATE, "filch_blocking_end: there was no filch_blocking_begin in this task");
    if (--self->blocking == 0) self->executor->ops->blocking_end(self);
    return 0;
}

void *filch_result_alloc(size_t size) {
    struct filch__self *self = filch__self();
    struct filch__outcome *block = NULL;
    if (self == NULL || self->run == NULL) {
        filch__error_constant(FILCH_EINVAL, "filch_result_alloc: called outside of a task");
        return NULL;
    }
    if (self->executor->ops->result_alloc != NULL)
        return self->executor->ops->result_alloc(self, size);
    if (size <= FILCH__SIZE_LIMIT) block = filch__alloc(sizeof *block + size);
    if (block == NULL) {
        filch__error(FILCH_ENOMEM, "filch_result_alloc: there is no memory for %zu bytes", size);
        return NULL;
    }
    *block = (struct filch__outcome){.has_data = true, .size = size};
    filch__free(self->run->block);
    self->run->block = block;
    return block->data;
}

bool filch_cancel_requested(void) {
    struct filch__self *self = filch__self();
    if (self == NULL || self->run == NULL) return false;
    if (unlikely(self->run->future == NULL)) {
        const struct filch__executor_ops *ops = self->executor->ops;
        return ops->is_requested != NULL && ops->is_requested(self);
    }
    return (state_look(&self->run->future->state) & FLAG_REQUESTED) != 0;
}

filch_executor *filch_current_executor(void) {
    struct filch__self *self = filch__self();
    return self == NULL ? NULL : self->executor;
}

int filch_worker_index(void) {
    struct filch__self *self = filch__self();
    return self == NULL ? -1 : self->index;
}
