/* process/nested_submit.c: a task of a worker process submits: SUBMIT goes up, and the answer is waited for (README.md, N1).
 *
 * Flow     filch_submit -> ops->submit: a number, a future of this process that is in the table before the program can know of the
 *          child, since its end may come at once; SUBMIT; the program's answer. A submit that is refused takes it out again.
 * Memory   of the argument nothing stays here, unless it has a destructor; a large one is written into the worker's arena, from
 *          where whoever runs the task gets it.
 * Not here: the end of a child (nested_ends.c). */
#include "error.h"
#include "process/module.h"
#include "process/nested.h"
#include <string.h>

static int no_memory(void) {
    return filch__error_constant(FILCH_ENOMEM, "submit: there is no memory for the task");
}

/* Where bytes of a message go: into the arena if they are many. False: no memory. */
static bool place_bytes(struct filch__server *s, const void *from, size_t size,
                        struct filch__bytes *bytes) {
    *bytes = (struct filch__bytes){.size = size};
    if (size <= MESSAGE_INLINE) return true;
    void *block = filch__server_block(s, size, false, bytes);
    if (block == NULL) return false;
    memcpy(block, from, size);
    bytes->size = size;
    return true;
}

/* A name is for people: it is cut. */
static struct filch__bytes name_bytes(const char *name) {
    size_t size = name == NULL ? 0 : strlen(name);
    return (struct filch__bytes){.size = size < 256 ? size : 256};
}

static int send(struct filch__server *s, const filch_task *task, uint64_t number, uint32_t flags) {
    struct filch__function_name fn;
    struct filch__bytes arg, name = name_bytes(task->name);
    int rc = filch__function_name((void (*)(void))task->fn, &fn);
    if (rc != 0) return rc;
    if (!place_bytes(s, task->arg, task->arg_size, &arg)) return no_memory();
    size_t fixed = filch__message_round(sizeof(struct filch__message_submit));
    struct filch__bytes path = {.size = strlen(fn.path) + 1};
    struct filch__message_submit *m =
        filch__server_begin(s, MESSAGE_SUBMIT,
                            fixed + filch__bytes_in_line(&path) + filch__bytes_in_line(&arg) +
                                filch__bytes_in_line(&name));
    m->child = number;
    m->result_size = task->result_size;
    m->offset = fn.offset;
    m->path_size = (uint32_t)path.size;
    m->id_size = fn.id_size;
    memcpy(m->id, fn.id, sizeof m->id);
    m->flags = flags;
    m->retries = task->retries;
    m->arg = arg;
    m->name = name;
    filch__bytes_put(
        filch__bytes_put(filch__bytes_put((char *)m + fixed, fn.path, &path), task->arg, &arg),
        task->name, &name);
    filch__server_publish(s);
    rc = filch__nested_await_answer(s, number);
    return rc == 0 ? 0 : filch__error(rc, "submit: %s", filch_error_text(rc));
}

/* What of the task this process keeps. */
static filch_future *create(struct filch__nested *n, const filch_task *task, uint64_t references) {
    filch_task kept = *task;
    if (kept.arg_destroy == NULL) kept.arg_size = 0;
    if (kept.result_size > MESSAGE_INLINE) kept.result_size = 0; /* it stays where it comes */
    filch_future *f = filch__future_create(n->heap, &kept, references);
    if (f != NULL) f->outcome = filch__outcome_of_code(0);
    return f;
}

static int refuse(const char *why) {
    return filch__error(FILCH_ENOTSUP, "submit: %s", why);
}

static int submit_any(filch_executor *e, const filch_task *task, uint32_t flags,
                      filch_future **future) {
    struct filch__nested *n = container_of(e, struct filch__nested, base);
    struct filch__server *s = n->server;
    if (filch__self() != &s->self)
        return refuse("in a worker process only the task's own thread can submit to its executor");
    if (!s->initialized) return refuse("the initializer of a worker process cannot submit");
    bool detached = future == NULL && task->arg_destroy == NULL;
    uint64_t number = filch__nested_reserve(n);
    filch_future *f = number == 0 || detached ? NULL : create(n, task, future == NULL ? 1 : 2);
    if (number == 0 || (f == NULL && !detached)) return no_memory();
    if (f != NULL) {
        f->ticket = number;
        (void)state_post(&f->state, 0);
        filch__nested_enter(n, number, f);
    }
    int rc = send(s, task, number, flags | (detached ? SUBMIT_DETACHED : 0));
    if (rc == 0) {
        n->submitted++;
        n->detached += detached;
        if (future != NULL) *future = f;
        return 0;
    }
    if (f == NULL) return rc;
    filch__nested_leave(n, number);
    filch__future_disown_arg(f);
    (void)state_start_posted(&f->state); /* so that it has an outcome, which is freed with it */
    filch__future_discard(f);
    return rc;
}

int filch__nested_submit(filch_executor *e, const filch_task *task, filch_future **future) {
    return submit_any(e, task, 0, future);
}
int filch__nested_submit_chunk(filch_executor *e, const filch_task *task, filch_future **future) {
    return submit_any(e, task, SUBMIT_CHUNK, future);
}

int filch__nested_submit_plain(filch_executor *e, filch_task_fn *fn, const void *arg,
                               size_t arg_size, size_t result_size, filch_future **future) {
    filch_task task = FILCH_TASK_INIT;
    task.fn = fn;
    task.arg = arg;
    task.arg_size = arg_size;
    task.result_size = result_size;
    return filch__nested_submit(e, &task, future);
}
