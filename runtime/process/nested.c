/* process/nested.c: see nested.h. */
#include "process/nested.h"

#include "error.h"
#include "executor_ops.h"
#include "future.h"

static int refuse(void) {
    return filch__error_constant(FILCH_ENOTSUP, "a task in a worker process cannot submit here");
}
static int submit(filch_executor *e, const filch_task *task, filch_future **f) {
    (void)e, (void)task, (void)f;
    return refuse();
}
static int submit_plain(filch_executor *e, filch_task_fn *fn, const void *arg, size_t arg_size,
                        size_t result_size, filch_future **f) {
    (void)e, (void)fn, (void)arg, (void)arg_size, (void)result_size, (void)f;
    return refuse();
}

static int wait_for(struct filch__self *self, filch_future *f, int64_t deadline) {
    (void)self;
    return filch__future_sleep(f, deadline) ? 0 : FILCH_ETIMEDOUT;
}
static void nothing(struct filch__self *self) {
    (void)self;
}

static const struct filch__executor_ops ops = {
    .submit = submit,
    .submit_plain = submit_plain,
    .wait = wait_for,
    .wait_isolated = wait_for,
    .left_stale = nothing,
    .blocking_begin = nothing,
    .blocking_end = nothing,
    .result_alloc = filch__work_result_alloc,
    .is_requested = filch__work_is_requested,
};

static filch_executor stub = {.ops = &ops};

bool filch__nested_init(struct filch__server *s) {
    stub.generation = filch__fork_now();
    s->self.executor = &stub;
    return true;
}

void filch__nested_message(struct filch__server *s, const struct filch__message *message) {
    (void)message;
    filch__channel_consume_down(&s->channel);
}
