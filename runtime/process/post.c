/* process/post.c: a task into a worker's ring (README.md, T2 to T4), and its ticket.
 *
 * A task that nobody holds can be cancelled at any moment, by who then destroys its argument and writes its outcome where its
 * function stood. So it is posted first, which leaves a cancel nothing but the claim, and the claim is not POSTED
 * before everything was read.
 *
 * All of it at the desk. */
#include "process/post.h"

#include "base/point.h"
#include "os/clock.h"
#include "os/memory.h"
#include "process/family.h"
#include <errno.h>
#include <string.h>

/* Tickets ------------------------------------------------------------------------------------------ */

filch_future *filch__posting_clear(struct filch__processes *p, struct filch__seat *s,
                                   uint32_t ticket) {
    struct filch__posting *posting = &s->postings[ticket];
    filch_future *f = posting->future;
    if (f == NULL) return NULL;
    posting->future = NULL;
    s->bytes -= posting->bytes;
    s->posted--;
    p->in_flight--;
    if (unlikely(posting->on_top)) s->on_top--;
    return f;
}

void filch__posting_free(struct filch__seat *s, uint32_t ticket) {
    s->postings[ticket].generation = 0;
    filch__claim_free(s->channel, ticket);
    s->free_tickets |= UINT64_C(1) << ticket;
}

/* Who has won the claim is a visitor until the state says so. If none is there, and it does not, nobody has won it: the worker has
 * written what is not so. */
bool filch__posting_is_cancelled(struct filch__processes *p, filch_future *f) {
    for (;;) {
        fence_seq_cst();                                /* V8 <-> V7 */
        bool visited = load_acquire(&p->visitors) != 0; /* V10 <- V9 */
        enum filch__life life = state_life(state_look(&f->state));
        if (life != LIFE_PENDING && life != LIFE_RUNNING) return true;
        if (!visited) return false;
        filch__thread_yield();
    }
}

/* The books and the claim, of what is held there. */
static void enter(struct filch__processes *p, struct filch__seat *s, uint32_t ticket,
                  const struct filch__posting *posting) {
    s->free_tickets &= ~(UINT64_C(1) << ticket);
    s->postings[ticket] = *posting;
    s->bytes += posting->bytes;
    s->posted++;
    p->in_flight++;
    filch__claim_post(s->channel, ticket, posting->generation);
}

/* Functions ---------------------------------------------------------------------------------------- */

static bool grow_numbers(struct filch__seat *s, uint32_t index) {
    if (index < s->numbers_room) return true;
    uint32_t room = index < 32 ? 64 : 2 * index;
    uint32_t *numbers = filch__alloc_zeroed(room * sizeof *numbers);
    if (numbers == NULL) return false;
    if (s->numbers_room != 0) memcpy(numbers, s->numbers, s->numbers_room * sizeof *numbers);
    filch__free(s->numbers);
    s->numbers = numbers;
    s->numbers_room = room;
    return true;
}

/* Tells the worker the name of the function, if it does not know it. False: there is no room. */
static bool introduce(struct filch__seat *s, const struct filch__function *function) {
    if (likely(function->index < s->numbers_room && s->numbers[function->index] != 0)) return true;
    size_t path = strlen(function->name.path) + 1;
    size_t fixed = filch__message_round(sizeof(struct filch__message_function));
    if (!grow_numbers(s, function->index)) return false;
    struct filch__message_function *m =
        filch__channel_begin_down(s->channel, MESSAGE_FUNCTION, fixed + path);
    if (m == NULL) return false;
    m->function = s->numbers_used;
    m->path_size = (uint32_t)path;
    m->id_size = function->name.id_size;
    m->unused = 0;
    m->offset = function->name.offset;
    memcpy(m->id, function->name.id, sizeof m->id);
    memcpy((char *)m + fixed, function->name.path, path);
    s->numbers[function->index] = ++s->numbers_used;
    s->begun = true;
    return true;
}

/* The message -------------------------------------------------------------------------------------- */

/* What of a future goes into its message. */
struct load {
    const struct filch__function *function;
    const void *arg;
    size_t arg_size, result_size;
    uint32_t flags, child;
};

/* A child's was named by its worker, and is perhaps not here. */
static const struct filch__function *function_of(struct filch__processes *p, filch_future *f) {
    struct filch__child *child = filch__child_of(f);
    return unlikely(child != NULL) ? child->function : filch__functions_get(p->functions, f->fn);
}

static struct load load_of(struct filch__processes *p, filch_future *f) {
    struct filch__extra *extra = filch__future_extra(f);
    uint64_t constant = state_constant(&f->state);
    struct load load = {.function = function_of(p, f),
                        .arg = filch__future_arg(f),
                        .arg_size = extra != NULL ? extra->arg_size : state_result_offset(constant),
                        .result_size =
                            extra != NULL ? extra->result_size : state_result_size(constant),
                        .flags = p->task_timeout != 0 ? TASK_TIMED : 0};
    if (load.result_size > MESSAGE_INLINE) load.flags |= TASK_SEGMENT;
    if (extra != NULL && extra->is_chunk) load.flags |= TASK_CHUNK;
    return load;
}

/* Will that end? The worker takes descriptors off the socket when it reads what it was sent before; one that is gone is
 * going to be known as dead. */
static bool is_passing(const struct filch__seat *s, int error) {
    if (error == EAGAIN) return s->posted != 0;
    return error == EPIPE || error == ECONNRESET || error == ENOTCONN;
}

/* The argument, if it does not go inline. 0, POST_FULL, or a code. */
static int place_arg(struct filch__seat *s, const struct load *load, struct filch__bytes *bytes) {
    *bytes = (struct filch__bytes){.size = load->arg_size};
    if (likely(load->arg_size <= MESSAGE_INLINE)) return 0;
    void *block = filch__arena_alloc(s->arena, load->arg_size, false, bytes);
    if (block == NULL) return is_passing(s, errno) ? POST_FULL : FILCH_ENOMEM;
    memcpy(block, load->arg, load->arg_size);
    bytes->size = load->arg_size;
    return 0;
}

static void fill(struct filch__message_task *m, const struct filch__seat *s,
                 const struct load *load, const struct filch__bytes *arg, uint32_t ticket,
                 uint64_t generation) {
    m->generation = generation;
    m->ticket = ticket;
    m->function = s->numbers[load->function->index] - 1;
    m->flags = load->flags;
    m->child = load->child;
    m->result_size = load->result_size;
    m->arg = *arg;
    if (arg->segment == 0 && load->arg_size != 0)
        memcpy((char *)m + filch__message_round(sizeof *m), load->arg, load->arg_size);
}

/* It runs already, as far as anybody knows, and is started once more. */
static void hold_again(struct filch__seat *s, filch_future *f, uint32_t ticket,
                       uint64_t generation) {
    state_move(&f->state, s->index);
    fence_seq_cst(); /* V31 <-> V30 */
    if ((state_look(&f->state) & FLAG_REQUESTED) != 0)
        filch__claim_request(s->channel, ticket, generation);
}

/* T2: the future says where it is going to be; until its claim is POSTED nobody can cancel it. False: it was cancelled before. */
static bool hold(struct filch__seat *s, filch_future *f, uint32_t ticket, uint64_t generation) {
    filch__claim_open(s->channel, ticket, generation);
    store_release(&f->ticket, filch__ticket_word(ticket, generation)); /* V13 -> V14 */
    if (likely(state_post(&f->state, s->index))) return true;
    if (state_life(state_look(&f->state)) != LIFE_RUNNING) return false;
    hold_again(s, f, ticket, generation);
    return true;
}

static struct filch__posted failed(const struct load *load, int code) {
    if (load->function != NULL && load->function->fault != NULL)
        return (struct filch__posted){FILCH_EINVAL, filch__text("%s", load->function->fault)};
    if (load->function == NULL) return (struct filch__posted){FILCH_ENOMEM, NULL};
    return (struct filch__posted){
        code,
        filch__text("there was no shared memory for the argument of %zu bytes", load->arg_size)};
}

static const struct filch__posted full = {POST_FULL, NULL};

struct filch__posted filch__post(struct filch__processes *p, struct filch__seat *s,
                                 filch_future *f) {
    return filch__post_with(p, s, f, 0, 0);
}

/* T3: message and books, of a task that is held. */
static struct filch__posted write_task(struct filch__processes *p, struct filch__seat *s,
                                       const struct load *load, uint32_t ticket,
                                       struct filch__posting *posting) {
    struct filch__bytes arg;
    if (unlikely(load->function == NULL || load->function->fault != NULL)) return failed(load, 0);
    if (!introduce(s, load->function)) return full;
    int code = place_arg(s, load, &arg);
    if (unlikely(code != 0)) return code == POST_FULL ? full : failed(load, code);
    size_t size = filch__message_round(sizeof(struct filch__message_task)) +
                  (arg.segment == 0 ? load->arg_size : 0);
    struct filch__message_task *m = filch__channel_begin_down(s->channel, MESSAGE_TASK, size);
    if (unlikely(m == NULL)) {
        if (arg.segment != 0) filch__arena_cancel(s->arena, &arg);
        return full;
    }
    fill(m, s, load, &arg, ticket, posting->generation);
    s->begun = true;
    posting->bytes = arg.segment != 0 ? load->arg_size : 0;
    enter(p, s, ticket, posting);
    return (struct filch__posted){0, NULL};
}

struct filch__posted filch__post_with(struct filch__processes *p, struct filch__seat *s,
                                      filch_future *f, uint32_t flags, uint32_t child) {
    uint32_t ticket = (uint32_t)__builtin_ctzll(s->free_tickets);
    struct filch__posting posting = {
        .future = f, .generation = ++p->generation, .on_top = (flags & TASK_ON_TOP) != 0};
    if (unlikely(!hold(s, f, ticket, posting.generation)))
        return (struct filch__posted){POST_GONE, NULL};
    POINT("post.held");
    struct load load = load_of(p, f);
    load.flags |= flags;
    load.child = child;
    struct filch__posted how = write_task(p, s, &load, ticket, &posting);
    if (unlikely(how.code != 0)) {
        (void)state_unpost(&f->state); /* false: it is RUNNING, on its second try */
        return how;
    }
    if (unlikely(p->task_timeout != 0 && p->timeout_at == 0)) {
        p->timeout_at = filch__deadline(p->task_timeout);
        filch__manager_timer(p, p->timeout_at);
    }
    return how;
}
