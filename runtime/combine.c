/* combine.c: futures made of futures: promises that the library completes in callbacks of their inputs.
 *
 * Flow     all, any: one callback for each input; the last one, or the first success, completes what was made.
 *          then: the callback of the input submits a task; the callback of that task completes what was made.
 *          Whoever cancels what was made wins or loses against that by its state word; nothing else is told.
 * State    of a group: error: the first (all) or last (any) input that failed, with its reference; left: inputs
 *          that are not done, and the call that makes the group. Of a chain: see struct chain.
 * Orders
 *   J1 fetch_sub_acq_rel left (drop) -> J1 fetch_sub_acq_rel left (drop): the last sees the error that is left
 *   J2 exchange_acq_rel error (replace) -> J2 exchange_acq_rel error (replace): that future is the caller's to release
 * Memory   the last input frees a group; a chain is freed when its input failed, its task was refused, or has
 *          ended. Both hold a reference to what they make. */
#include "base/point.h"
#include "deferred.h"
#include "error.h"
#include "executor_ops.h"
#include "future.h"
#include "hub.h"
#include "os/memory.h"
#include "promise.h"
#include "set.h"
#include <filch/combine.h>
#include <string.h>

static bool is_cancelled(filch_future *f) {
    return state_life(state_look(&f->state)) == LIFE_CANCELLED;
}

static char *copy_text(const char *text) {
    if (text == NULL) return NULL;
    char *copy = filch__alloc(strlen(text) + 1);
    return copy == NULL ? NULL : strcpy(copy, text);
}

/* `made` ends as f did, which has failed or was cancelled. */
static void pass_on(filch_future *f, filch_future *made) {
    if (is_cancelled(f))
        filch__future_try_cancel(made);
    else if (state_end(&made->state))
        filch__promise_publish(made, filch__future_code(f), copy_text(filch__future_own_text(f)),
                               NULL);
}

/* All, any ---------------------------------------------------------------------------------------- */

struct group;
struct input {
    struct group *group;
    size_t index;
};

struct group {
    struct filch__deferred deferred; /* its one completion that is due */
    filch_future *made;
    filch_future *error; /* or NULL */
    size_t left;
    size_t winner; /* of any: of whoever has made it ENDING */
    struct input inputs[];
};

static struct group *group_of(struct filch__deferred *d) {
    return container_of(d, struct group, deferred);
}

/* Nothing is left. */
static void end_group(struct filch__deferred *d) {
    struct group *g = group_of(d);
    if (g->error != NULL)
        pass_on(g->error, g->made);
    else if (state_end(&g->made->state)) /* of any: some input has succeeded, and it is over */
        filch__promise_publish(g->made, 0, NULL, NULL);
    filch_future_release(g->error);
    filch_future_release(g->made);
    filch__free(g);
}

/* `n` parts of it are done. */
static void drop_group(struct group *g, size_t n) {
    if (fetch_sub_acq_rel(&g->left, n) == n) /* J1 -> J1 */
        filch__deferred_add(&g->deferred, end_group);
}

static void one_of_all(filch_future *f, void *context) {
    struct group *g = ((struct input *)context)->group;
    filch_future *none = NULL;
    POINT("combine.all");
    /* relaxed: J1 publishes it */
    bool kept = filch__future_code(f) != 0 && cas_relaxed(&g->error, &none, f);
    if (!kept) filch_future_release(f);
    drop_group(g, 1);
}

static void end_with_winner(struct filch__deferred *d) {
    struct group *g = group_of(d);
    filch__promise_publish(g->made, 0, NULL, &g->winner);
    drop_group(g, 1);
}

static void one_of_any(filch_future *f, void *context) {
    struct input *input = context;
    struct group *g = input->group;
    POINT("combine.any");
    bool won = filch__future_code(f) == 0 && state_end(&g->made->state);
    if (filch__future_code(f) != 0) f = exchange_acq_rel(&g->error, f); /* J2 -> J2; J2 <- J2 */
    filch_future_release(f);
    if (won) {
        g->winner = input->index;
        filch__deferred_add(&g->deferred, end_with_winner);
    } else {
        drop_group(g, 1);
    }
}

static struct group *create_group(size_t n, size_t result_size) {
    struct group *g = filch__alloc(sizeof *g + n * sizeof g->inputs[0]);
    if (g == NULL) return NULL;
    g->made = filch__promise_create(result_size, true);
    if (g->made == NULL) {
        filch__free(g);
        return NULL;
    }
    g->error = NULL;
    g->left = n + 1;
    return g;
}

static int combine(filch_future *const *futures, size_t n, size_t result_size,
                   filch_done_callback *each, filch_future **future) {
    struct group *g = create_group(n, result_size);
    if (g == NULL) return FILCH_ENOMEM;
    filch_future *made = filch_future_retain(g->made);
    size_t added = 0;
    int rc = 0;
    for (; added < n && rc == 0; added += rc == 0) {
        g->inputs[added] = (struct input){g, added};
        filch_future_retain(futures[added]);
        rc = filch_future_add_done_callback(futures[added], each, &g->inputs[added]);
        if (rc != 0) filch_future_release(futures[added]);
    }
    drop_group(g, n - added + 1);
    if (rc != 0)
        filch_future_release(made); /* what was added comes to nothing */
    else
        *future = made;
    return rc;
}

static int check_inputs(filch_future *const *futures, size_t n, filch_future **future,
                        const char *call) {
    if (future == NULL)
        return filch__error(FILCH_EINVAL, "%s: the place for the future is NULL", call);
    if (n > FILCH__SIZE_LIMIT / sizeof(struct input))
        return filch__error(FILCH_ETOOBIG, "%s: %zu futures are too many", call, n);
    return filch__set_check(futures, n, call);
}

static int no_memory(const char *call) {
    return filch__error(FILCH_ENOMEM, "%s: there is no memory for it", call);
}

int filch_all(filch_future *const *futures, size_t n, filch_future **future) {
    int rc = check_inputs(futures, n, future, "filch_all");
    if (rc == 0) rc = combine(futures, n, 0, one_of_all, future);
    return rc == FILCH_ENOMEM ? no_memory("filch_all") : rc;
}

int filch_any(filch_future *const *futures, size_t n, filch_future **future) {
    int rc = check_inputs(futures, n, future, "filch_any");
    if (rc == 0 && n == 0)
        rc = filch__error_constant(FILCH_EINVAL, "filch_any: none of no futures can succeed");
    if (rc == 0) rc = combine(futures, n, sizeof(size_t), one_of_any, future);
    return rc == FILCH_ENOMEM ? no_memory("filch_any") : rc;
}

/* Then --------------------------------------------------------------------------------------------- */

/* Whoever has it at a time: the callback of the input; then the task, and last its callback. */
struct chain {
    struct filch__deferred deferred; /* its one completion that is due */
    filch_future *input, *made;      /* with a reference to each */
    filch_executor *executor;
    filch_then_fn *fn;
    size_t result_size;
    struct filch__hub
        *hub; /* for the task, with its callback; made beforehand, so that nothing can fail */
    _Alignas(max_align_t) char arg[];
};

static void free_chain(struct chain *c) {
    filch_future_release(c->input);
    filch_future_release(c->made);
    filch__hub_free(c->hub);
    filch__free(c);
}

static int run_chain(void *arg, void *result) {
    struct chain *c = *(struct chain **)arg;
    struct filch__run *run = filch__self()->run;
    filch_future *task = run->future;
    POINT("combine.start");
    if (!state_start_promise(&c->made->state)) return FILCH_ECANCELED;
    run->future = c->made; /* whose end may be asked for */
    int rc = c->fn(c->input, c->arg, result);
    run->future = task;
    return rc;
}

/* The task has ended: what was made gets all that it has. Nobody else can see the task. */
static void end_chain(filch_future *task, void *context) {
    struct chain *c = context;
    if (is_cancelled(task))
        filch__future_try_cancel(c->made);
    else if (state_end(&c->made->state))
        filch__promise_publish_as(c->made, task);
    free_chain(c);
}

/* The task was accepted; it may have ended already. */
static void follow(struct chain *c, filch_future *task) {
    struct filch__hub *hub = c->hub;
    c->hub = NULL;
    filch__hub_install(task, hub);
    POINT("combine.follow");
    /* From here on the chain may be gone. */
    if (state_is_done(state_add_flag(&task->state, FLAG_HUB))) filch__hub_run_callbacks(task);
    filch_future_release(task);
}

/* The input has failed. */
static void break_chain(struct filch__deferred *d) {
    struct chain *c = container_of(d, struct chain, deferred);
    pass_on(c->input, c->made);
    free_chain(c);
}

static void continue_chain(filch_future *f, void *context) {
    struct chain *c = context;
    filch_future *task;
    int rc = 0;
    bool wanted = !state_is_done(state_look(&c->made->state));
    if (wanted && filch__future_code(f) != 0) {
        filch__deferred_add(&c->deferred, break_chain);
        return;
    }
    if (wanted) rc = filch_submit(c->executor, run_chain, &c, sizeof c, c->result_size, &task);
    if (wanted && rc == 0) {
        follow(c, task);
        return;
    }
    if (rc != 0 && state_end(&c->made->state))
        filch__promise_publish(c->made, rc, copy_text(filch_last_error()), NULL);
    free_chain(c);
}

/* The hub that the chain's task is going to have. */
static struct filch__hub *create_hub(struct chain *c) {
    struct filch__hub *hub = filch__hub_create();
    struct filch__callback *node = filch__alloc(sizeof *node);
    if (hub == NULL || node == NULL) {
        filch__free(node);
        filch__hub_free(hub);
        return NULL;
    }
    *node = (struct filch__callback){NULL, end_chain, c};
    filch__hub_add_callback(hub, node);
    return hub;
}

static struct chain *create_chain(const void *arg, size_t arg_size, size_t result_size) {
    struct chain *c = filch__alloc(sizeof *c + arg_size);
    if (c == NULL) return NULL;
    c->input = NULL;
    c->result_size = result_size;
    if (arg_size != 0) memcpy(c->arg, arg, arg_size);
    c->made = filch__promise_create(result_size, true);
    c->hub = create_hub(c);
    if (c->made != NULL && c->hub != NULL) return c;
    free_chain(c);
    return NULL;
}

int filch_then(filch_future *f, filch_executor *e, filch_then_fn *fn, const void *arg,
               size_t arg_size, size_t result_size, filch_future **made) {
    if (f == NULL || fn == NULL || made == NULL)
        return filch__error(FILCH_EINVAL, "filch_then: %s is NULL",
                            f == NULL    ? "the future"
                            : fn == NULL ? "the function"
                                         : "the place for the new future");
    if (arg == NULL && arg_size != 0)
        return filch__error(FILCH_EINVAL, "filch_then: the argument is NULL, its size is %zu",
                            arg_size);
    if ((arg_size | result_size) > FILCH__SIZE_LIMIT)
        return filch__error(FILCH_ETOOBIG, "filch_then: sizes of %zu and %zu bytes are too large",
                            arg_size, result_size);
    e = filch__executor_resolve(e);
    if (e == NULL) return FILCH_ENOMEM;
    int rc = filch__executor_check(e, "filch_then");
    if (rc != 0) return rc;
    if (e->ops->submit_chunk != NULL)
        return filch__error_constant(
            FILCH_ENOTSUP,
            "filch_then: its function sees the program's future, and so needs an executor on "
            "threads: submit a task when the future is done");
    struct chain *c = create_chain(arg, arg_size, result_size);
    if (c == NULL) return no_memory("filch_then");
    c->executor = e;
    c->fn = fn;
    c->input = filch_future_retain(f);
    filch_future *result = filch_future_retain(c->made);
    rc = filch_future_add_done_callback(f, continue_chain, c);
    if (rc != 0) {
        filch_future_release(result);
        free_chain(c);
        return rc == FILCH_ENOMEM ? no_memory("filch_then") : rc;
    }
    *made = result;
    return 0;
}
