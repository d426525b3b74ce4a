/* process/work.c: one task in a worker process.
 *
 * Flow     serve.c, or nested_wait.c for a task on top of one that waits, -> filch__work_task: T5 and T6 of README.md.
 * State    the job, on the stack; its bytes in the server's room, in memory of their own if that is in use (a task
 *          below waits), or in segments: a large argument where the program has put it, a large result where the program
 *          will read it. */
#include "error.h"
#include "executor_ops.h"
#include "future.h"
#include "os/child.h"
#include "os/clock.h"
#include "os/memory.h"
#include "packed.h"
#include "process/serve.h"
#include <string.h>

/* Memory ------------------------------------------------------------------------------------------ */

static char *take_room(struct filch__server *s, size_t size) {
    char *room = s->room;
    if (size > JOB_ROOM) return filch__alloc(size);
    if (room == NULL) return filch__alloc(JOB_ROOM);
    s->room = NULL;
    return room;
}

static void give_room(struct filch__server *s, char *room, size_t size) {
    if (s->room == NULL && size <= JOB_ROOM)
        s->room = room;
    else
        filch__free(room);
}

static int no_memory(size_t size) {
    return filch__error(FILCH_ENOMEM, "the worker has no memory for a task of %zu bytes", size);
}

static const void *in_line_of(const struct filch__message_task *m) {
    return (const char *)m + filch__message_round(sizeof *m);
}

/* Argument, which is held if it stands in a segment, and result. Returns 0, or a code with its text. */
static int place(struct filch__server *s, struct filch__job *job,
                 const struct filch__message_task *m) {
    size_t inside = m->arg.segment == 0 ? filch__round_up(m->arg.size) : 0;
    bool large = job->result_size > MESSAGE_INLINE;
    if (job->arg == NULL) return no_memory(m->arg.size);
    job->room_size = inside + (large ? 0 : filch__round_up(job->result_size));
    job->room = take_room(s, job->room_size);
    if (job->room == NULL) return no_memory(job->room_size);
    if (inside != 0) memcpy(job->room, job->arg, m->arg.size);
    if (m->arg.segment == 0) job->arg = job->room;
    job->result = job->room + inside;
    if (large) job->result = filch__server_block(s, job->result_size, true, &job->result_block);
    if (job->result == NULL) return no_memory(job->result_size);
    if (!large && job->result_size != 0) memset(job->result, 0, job->result_size);
    return 0;
}

static void drop_block(struct filch__server *s, struct filch__bytes *block) {
    if (block->segment != 0) filch__arena_cancel(s->arena, block);
    block->segment = 0;
}

/* The argument, and what of the rest is not sent. */
static void drop_argument(struct filch__job *job) {
    if (job->held != NULL) filch__held_release(job->held);
    job->held = NULL;
}
static void drop_rest(struct filch__server *s, struct filch__job *job) {
    drop_block(s, &job->result_block);
    drop_block(s, &job->alloc_block);
    filch__free(job->run.block);
    filch__free(job->run.text);
    if (job->room != NULL) give_room(s, job->room, job->room_size);
}

/* Running ------------------------------------------------------------------------------------------ */

/* Finds the function. Returns 0, or FILCH_EINVAL with its text. */
static int find(struct filch__server *s, struct filch__job *job, uint32_t number) {
    const struct filch__known *known = number < s->known_count ? &s->known[number] : NULL;
    if (known != NULL && known->fn != NULL) {
        job->fn = known->fn;
        return 0;
    }
    return filch__error(FILCH_EINVAL, "%s",
                        known == NULL || known->text == NULL
                            ? "the worker was not told the task's function"
                            : known->text);
}

static int call(struct filch__server *s, struct filch__job *job) {
    struct filch__self *self = &s->self;
    uint32_t blocking = self->blocking;
    job->run.below = self->run;
    job->below = s->job;
    self->run = &job->run;
    self->blocking = 0;
    s->job = job;
    int code = (job->flags & TASK_CHUNK) != 0 ? filch__packed_run(job->fn, job->arg)
                                              : job->fn(job->arg, job->result);
    /* The task has forked, and this is the child, which goes no further. */
    if (unlikely(filch__self() != self)) filch__process_exit(0);
    if (unlikely(self->blocking != 0)) self->executor->ops->blocking_end(self);
    s->job = job->below;
    self->run = job->run.below;
    self->blocking = blocking;
    return code >= 0 || filch__error_is_own(code) ? code : FILCH_EINVAL;
}

/* The declared result, which is sent now. */
static struct filch__bytes own_result(struct filch__job *job) {
    struct filch__bytes bytes = job->result_block;
    bytes.size = job->result_size;
    job->result_block.segment = 0;
    return bytes;
}

/* Sends how it ended. */
static void send(struct filch__server *s, struct filch__job *job, int code, const char *text) {
    struct filch__message_result m = {
        .generation = job->generation, .ticket = job->ticket, .code = code};
    const void *value = job->result;
    if (code == 0 && (job->run.block != NULL || job->alloc_block.segment != 0)) {
        m.flags = RESULT_ALLOCATED;
        m.value = job->alloc_block;
        if (job->run.block != NULL) {
            m.value = (struct filch__bytes){.size = job->run.block->size};
            value = job->run.block->data;
        }
        m.beside = own_result(job);
        job->alloc_block.segment = 0;
    } else if (code == 0) {
        m.value = own_result(job);
    }
    filch__server_send(s, MESSAGE_RESULT, &m, value, text, job->result);
}

static void set_started(struct filch__server *s, const struct filch__job *job, int64_t time) {
    if ((job->flags & TASK_TIMED) == 0) return;
    /* relaxed: a time that is looked at again and again */
    store_relaxed(&s->channel.worker->started[job->ticket], (uint64_t)time);
}

void filch__work_skip(struct filch__server *s, const struct filch__message_task *m) {
    struct filch__message_result skipped = {.generation = m->generation, .ticket = m->ticket};
    struct filch__held *held;
    filch__server_bytes(s, &m->arg, NULL, &held);
    if (held != NULL) filch__held_release(held);
    filch__server_send(s, MESSAGE_SKIPPED, &skipped, NULL, NULL, NULL);
}

static void run(struct filch__server *s, const struct filch__message_task *m, bool in_ring) {
    struct filch__job job = {.generation = m->generation,
                             .ticket = m->ticket,
                             .flags = m->flags,
                             .child = m->child,
                             .result_size = m->result_size};
    int code = find(s, &job, m->function);
    /* Held without a function too: so it is given back. */
    job.arg = filch__server_bytes(s, &m->arg, in_line_of(m), &job.held);
    if (code == 0) code = place(s, &job, m);
    if (in_ring) filch__channel_consume_down(&s->channel);
    bool ready = code == 0;
    if (ready) {
        set_started(s, &job, filch__now());
        code = call(s, &job);
        set_started(s, &job, 0);
    }
    drop_argument(&job);
    send(s, &job, code, ready ? job.run.text : filch_last_error());
    drop_rest(s, &job);
    s->tasks++;
}

void filch__work_task(struct filch__server *s, const struct filch__message_task *message,
                      bool in_ring) {
    if (filch__claim_take(&s->channel, message->ticket, message->generation)) { /* T5 */
        run(s, message, in_ring);
        return;
    }
    filch__work_skip(s, message);
    if (in_ring) filch__channel_consume_down(&s->channel);
}

/* What the task asks for --------------------------------------------------------------------------- */

void *filch__work_result_alloc(struct filch__self *self, size_t size) {
    struct filch__server *s = filch__server_of(self);
    struct filch__job *job = container_of(self->run, struct filch__job, run);
    struct filch__bytes bytes = {0};
    struct filch__outcome *small = NULL;
    void *data = NULL;
    if (size > MESSAGE_INLINE && size <= FILCH__SIZE_LIMIT) {
        data = filch__server_block(s, size, false, &bytes);
    } else if (size <= MESSAGE_INLINE && (small = filch__alloc(sizeof *small + size)) != NULL) {
        *small = (struct filch__outcome){.has_data = true, .size = size};
        data = small->data;
    }
    if (data == NULL) {
        filch__error(FILCH_ENOMEM, "filch_result_alloc: there is no memory for %zu bytes", size);
        return NULL;
    }
    drop_block(s, &job->alloc_block);
    filch__free(job->run.block);
    bytes.size = size;
    job->alloc_block = bytes;
    job->run.block = small;
    return data;
}

bool filch__work_is_requested(struct filch__self *self) {
    struct filch__server *s = filch__server_of(self);
    const struct filch__job *job = container_of(self->run, struct filch__job, run);
    return filch__claim_is_requested(&s->channel, job->ticket, job->generation);
}
