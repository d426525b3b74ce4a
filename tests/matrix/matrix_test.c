/* matrix_test.c: the future option matrix: how a future ends, who ends it, who watches it, who drops it, in every order.
 *
 * Flow     one case for each ending; combination_of gives its combinations, of which every n-th is run: FILCH_FUTURE_MATRIX=n,
 *          1 is all of them. A combination is a `scene`: set up, the three steps in its order, settled, checked. Each step is
 *          made on the library and on the model (matrix.h); what the watcher has seen is compared with the model's end.
 * Keeps    1. Nothing depends on timing: a queued task stands behind workers that are held, a started one waits for its gate,
 *             and what is submitted is waited for before the next step, but for watchers that block.
 *          2. No reference more than the steps need: who comes after the drop has one of its own, nobody else.
 *          3. After a case its executors are destroyed, and no block of memory is left.
 * Not here: what the combinations are, the contract (matrix_model.c); calls that race (conformance/races_test.c, explore/).
 *
 * SPDX-License-Identifier: MIT */
#include "matrix.h"

#include "api_support.h"
#include <criterion/parameterized.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

TestSuite(matrix, .timeout = 300);

/* What a step may take on a machine that is busy, seconds; then it counts as lost. */
enum { PATIENCE = 30 };
enum { TEXT_MOST = 64, UNTOUCHED = 0xa5 };

/* Of this thread, by its address. */
static _Thread_local char here;

/* Threads that do what they are told ------------------------------------------------------------- */

struct hand {
    pthread_t thread;
    sem_t go, done;
    void (*fn)(void *);
    void *context;
};

static void serve(void *context) {
    struct hand *h = context;
    for (;;) {
        while (sem_wait(&h->go) != 0) continue;
        if (h->fn == NULL) return;
        h->fn(h->context);
        sem_post(&h->done);
    }
}

static void hand_start(struct hand *h) {
    sem_init(&h->go, 0, 0);
    sem_init(&h->done, 0, 0);
    h->thread = thread_start(serve, h);
}

static void hand_tell(struct hand *h, void (*fn)(void *), void *context) {
    h->fn = fn;
    h->context = context;
    sem_post(&h->go);
}

/* False: it has not come to an end. */
static bool hand_wait(struct hand *h) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE;
    return sem_timedwait(&h->done, &end) == 0;
}

static void hand_end(struct hand *h) {
    hand_tell(h, NULL, NULL);
    thread_finish(h->thread);
    sem_destroy(&h->go);
    sem_destroy(&h->done);
}

/* The scene -------------------------------------------------------------------------------------- */

struct scene;

/* Who watches, and what it has seen. */
struct watcher {
    struct scene *scene;
    filch_future *f;
    bool own; /* the reference is its own */
    bool before;
    uint32_t go, ended;
    const char *thread; /* where it was */

    filch_future *other;    /* a second future of sets */
    filch_future *made;     /* by then, all, any */
    filch_future *array[3]; /* of a set */
    ptrdiff_t count;
    int rc[3];
    size_t index[2];
    filch_error error;
    char text[TEXT_MOST];
    size_t size;
    unsigned char value[RESULT_MOST + 1];
};

/* A callback that was called. */
struct call {
    int order; /* of all calls of the scene, from 1 on */
    const char *thread;
    bool done;
    int code, destroyed;
    bool asked; /* cancel_requested in it */
};

struct scene {
    struct combination c;
    struct model model;
    filch_executor *executor;
    filch_future *f;      /* the owner's; NULL once it was dropped */
    filch_future *target; /* what the ender uses */
    bool ender_owns;
    struct watcher watcher;
    unsigned char value[RESULT_MOST];

    uint32_t hold, gate;    /* held workers, and the task, go on */
    int held, left, guests; /* tasks beside the task: started, ended, submitted */
    int held_wanted;
    int started, ran, destroyed, dropped, calls, returned, thens;
    bool argument_is_wrong, saw_request, then_is_wrong;
    const char *ender; /* its thread */
    const char *wrong; /* of the ender */
    struct call call[2];
};

static struct scene *scene_now;
static filch_executor *elsewhere, *enders;
static struct hand helper, watching;

#define must(condition, ...) must_be(scene_now, (condition), __LINE__, __VA_ARGS__)
static void must_be(const struct scene *s, bool good, int line, const char *what) {
    cr_assert(good, "line %d: %s: %s", line, describe(&s->c), what);
}

/* Yields until *counter is n. */
static void must_reach(int *counter, int n, const char *what) {
    time_t begin = time(NULL);
    while (read_int(counter) < n && time(NULL) < begin + PATIENCE) sched_yield();
    must(read_int(counter) == n, what);
}

static void must_rise(uint32_t *flag, const char *what) {
    must_reach((int *)flag, 1, what);
}

/* Tasks ------------------------------------------------------------------------------------------ */

struct argument {
    struct scene *scene;
    uint64_t check;
};

static int run(void *arg, void *result) {
    struct argument *a = arg;
    struct scene *s = a->scene;
    s->argument_is_wrong = a->check != ~(uint64_t)(uintptr_t)s;
    add(&s->started, 1);
    flag_wait(&s->gate);
    s->saw_request = filch_cancel_requested();
    const struct ending *e = s->c.ending;
    memcpy(result, s->value, s->c.result_size);
    add(&s->ran, 1);
    return e->text == NULL ? e->code : filch_fail(e->code, "%s", e->text);
}

static void destroy(void *arg) {
    add(&((struct argument *)arg)->scene->destroyed, 1);
}

/* Keeps a worker of the executor. */
static int hold_worker(void *arg, void *result) {
    struct scene *s = *(struct scene **)arg;
    (void)result;
    add(&s->held, 1);
    flag_wait(&s->hold);
    add(&s->left, 1);
    return 0;
}

static void watch(struct watcher *w);

/* Keeps a worker, and watches when it is time. */
static int watch_in_task(void *arg, void *result) {
    struct scene *s = *(struct scene **)arg;
    (void)result;
    add(&s->held, 1);
    flag_wait(&s->watcher.go);
    watch(&s->watcher);
    flag_raise(&s->watcher.ended);
    if (s->c.place == PLACE_SAME) flag_wait(&s->hold);
    add(&s->left, 1);
    return 0;
}

static void invite(struct scene *s, filch_executor *e, filch_task_fn *fn) {
    s->guests++;
    ok(filch_submit(e, fn, &s, sizeof s, 0, NULL));
}

/* Callbacks -------------------------------------------------------------------------------------- */

static void note_call(struct scene *s, filch_future *f, int which) {
    struct call *call = &s->call[which];
    filch_snapshot now;
    call->thread = &here;
    call->asked = filch_cancel_requested();
    call->destroyed = read_int(&s->destroyed);
    call->done = filch_future_done(f) && filch_future_snapshot(f, &now) == 0 &&
                 (now.state == FILCH_FINISHED || now.state == FILCH_CANCELLED);
    call->code = filch_future_result(f, NULL, 0);
    call->order = add(&s->calls, 1);
}

static void first_call(filch_future *f, void *context) {
    struct scene *s = context;
    note_call(s, f, 0);
    add(&s->returned, 1);
}
static void second_call(filch_future *f, void *context) {
    struct scene *s = context;
    note_call(s, f, 1);
    add(&s->returned, 1);
}
static void outer_call(filch_future *f, void *context) {
    struct scene *s = context;
    note_call(s, f, 0);
    int before = read_int(&s->calls);
    s->watcher.rc[1] = filch_future_add_done_callback(f, second_call, s);
    /* It is done: at once, and here. */
    if (read_int(&s->calls) != before + 1) s->watcher.rc[1] = -1;
    add(&s->returned, 1);
}

static void drop_in_callback(filch_future *f, void *context) {
    struct scene *s = context;
    filch_future_release(f);
    add(&s->dropped, 1);
}

/* Watching --------------------------------------------------------------------------------------- */

static int continue_with(filch_future *done, void *arg, void *result) {
    struct scene *s = *(struct scene **)arg;
    s->then_is_wrong = filch_future_result(done, NULL, 0) != 0;
    *(uint64_t *)result = 77;
    add(&s->thens, 1);
    return 0;
}

static void watch_error(struct watcher *w) {
    w->rc[0] = filch_future_error(w->f, &w->error, FILCH_FOREVER);
    if (w->rc[0] == 0) snprintf(w->text, sizeof w->text, "%s", w->error.text);
}

static void watch_view(struct watcher *w) {
    const void *data;
    w->rc[0] = filch_future_result_view(w->f, &data, &w->size);
    if (w->rc[0] == 0) memcpy(w->value, data, w->size);
}

static void watch_set(struct watcher *w, size_t n, filch_when when) {
    w->array[0] = w->other;
    w->array[1] = w->f;
    w->array[2] = w->f;
    w->count = filch_wait(w->array, n, FILCH_FOREVER, when);
}

static void watch_as_completed(struct watcher *w) {
    filch_future *futures[] = {w->other, w->f, w->f};
    filch_completions *it;
    w->rc[0] = filch_as_completed(futures, 3, FILCH_FOREVER, &it);
    if (w->rc[0] != 0) return;
    w->rc[0] = filch_completions_next(it, &w->array[0]);
    w->index[0] = filch_completions_index(it);
    (void)filch_promise_set(w->other, NULL, 0);
    w->rc[1] = filch_completions_next(it, &w->array[1]);
    w->index[1] = filch_completions_index(it);
    w->rc[2] = filch_completions_next(it, &w->array[2]);
    filch_completions_destroy(it);
}

static void watch_with_callbacks(struct watcher *w) {
    bool nested = w->scene->c.watch == WATCH_CALLBACK_IN_CALLBACK;
    w->rc[0] = filch_future_add_done_callback(w->f, nested ? outer_call : first_call, w->scene);
    if (w->scene->c.watch == WATCH_TWO_CALLBACKS)
        w->rc[1] = filch_future_add_done_callback(w->f, second_call, w->scene);
}

static void watch_with_future(struct watcher *w) {
    filch_future *futures[] = {w->other, w->f};
    switch ((int)w->scene->c.watch) {
    case WATCH_ALL: w->rc[0] = filch_all(futures, 2, &w->made); return;
    case WATCH_ANY: w->rc[0] = filch_any(futures, 2, &w->made); return;
    }
    w->rc[0] = filch_then(w->f, elsewhere, continue_with, &w->scene, sizeof w->scene,
                          sizeof(uint64_t), &w->made);
    if (w->scene->c.watch == WATCH_THEN_CANCELLED) w->rc[1] = !filch_future_cancel(w->made);
}

static void watch(struct watcher *w) {
    w->thread = &here;
    switch (w->scene->c.watch) {
    case WATCH_NOBODY: return;
    case WATCH_RESULT: w->rc[0] = filch_future_result(w->f, w->value, FILCH_FOREVER); return;
    case WATCH_ISOLATED:
        w->rc[0] = filch_future_result_isolated(w->f, w->value, FILCH_FOREVER);
        return;
    case WATCH_ERROR: watch_error(w); return;
    case WATCH_VIEW: watch_view(w); return;
    case WATCH_POLL: w->rc[0] = filch_future_result(w->f, w->value, 0); return;
    case WATCH_TIMED: w->rc[0] = filch_future_result(w->f, w->value, 1000); return;
    case WATCH_FIRST_COMPLETED: watch_set(w, 2, FILCH_FIRST_COMPLETED); return;
    case WATCH_FIRST_ERROR: watch_set(w, 2, FILCH_FIRST_ERROR); return;
    case WATCH_ALL_COMPLETED: watch_set(w, 3, FILCH_ALL_COMPLETED); return;
    case WATCH_AS_COMPLETED: watch_as_completed(w); return;
    case WATCH_CALLBACK:
    case WATCH_TWO_CALLBACKS:
    case WATCH_CALLBACK_IN_CALLBACK: watch_with_callbacks(w); return;
    case WATCH_THEN:
    case WATCH_THEN_CANCELLED:
    case WATCH_ALL:
    case WATCH_ANY: watch_with_future(w); return;
    case WATCHES: return;
    }
}

static void watch_in_thread(void *context) {
    struct watcher *w = context;
    watch(w);
    flag_raise(&w->ended);
}

/* The steps -------------------------------------------------------------------------------------- */

/* Does somebody use it whose call comes after the owner's drop? */
static bool outlives(const struct combination *c, enum step step) {
    if (c->drop == DROP_IN_CALLBACK) return step == STEP_WATCH;
    if (is_before(c, STEP_DROP, step)) return true;
    return step == STEP_WATCH && is_blocking(c->watch) && is_before(c, STEP_DROP, STEP_END);
}

static void release_watcher(struct watcher *w) {
    if (w->own) filch_future_release(w->f);
    w->own = false;
}

/* The watcher has come to an end. */
static void join_watcher(struct scene *s) {
    struct watcher *w = &s->watcher;
    if (s->c.watch == WATCH_NOBODY) return;
    must_rise(&w->ended, "the watcher does not come back");
    release_watcher(w);
}

static void step_watch(struct scene *s) {
    struct watcher *w = &s->watcher;
    bool blocks = is_blocking(s->c.watch) && w->before;
    if (s->c.watch == WATCH_NOBODY) return;
    if (s->c.place != PLACE_OUTSIDE) {
        if (!w->before)
            invite(s, s->c.place == PLACE_SAME ? s->executor : elsewhere, watch_in_task);
        flag_raise(&w->go);
    } else if (blocks) {
        hand_tell(&watching, watch_in_thread, w);
    } else {
        watch_in_thread(w);
    }
    if (!blocks) join_watcher(s);
}

static int complete_promise(struct scene *s, int code, const char *text) {
    if (code == 0) return filch_promise_set(s->target, s->value, s->c.result_size);
    if (text == NULL) return filch_promise_fail(s->target, code, NULL);
    return filch_promise_fail(s->target, code, "%s", text);
}

/* What is done to it, on the library and on the model. NULL, or what was not the same. */
static const char *act(struct scene *s) {
    struct model *m = &s->model;
    switch (s->c.ending->act) {
    case ACT_CANCEL: return filch_future_cancel(s->target) == model_cancel(m) ? NULL : "cancel";
    case ACT_REQUEST:
        return filch_future_request_cancel(s->target) == model_request_cancel(m) ? NULL : "request";
    case ACT_SHUTDOWN:
        model_cancel(m);
        return filch_executor_shutdown(s->executor, FILCH_CANCEL_PENDING) == 0 ? NULL : "shutdown";
    case ACT_END:
    case ACT_ABANDON: break;
    }
    return NULL;
}

static const char *end_promise(struct scene *s) {
    const struct ending *e = s->c.ending;
    if (filch_promise_cancel_requested(s->target) != s->model.requested) return "is it requested";
    int expected = model_complete(&s->model, e->code, e->text);
    return complete_promise(s, e->code, e->text) == expected ? NULL : "completion";
}

static void end(struct scene *s) {
    s->ender = &here;
    if (s->c.ending->act == ACT_ABANDON) return;
    s->wrong = act(s);
    if (model_is_done(&s->model)) return;
    if (!is_task(&s->c)) {
        const char *wrong = end_promise(s);
        if (wrong != NULL) s->wrong = wrong;
        return;
    }
    model_return(&s->model, s->c.ending->code, s->c.ending->text);
    flag_raise(&s->gate);
    flag_raise(&s->hold);
}

static void end_in_thread(void *context) {
    end(context);
}

static int end_in_task(void *arg, void *result) {
    struct scene *s = *(struct scene **)arg;
    (void)result;
    end(s);
    add(&s->held, 1);
    add(&s->left, 1);
    return 0;
}

static void end_in_callback(filch_future *f, void *context) {
    (void)f;
    end(context);
}

/* The callback of a promise of its own. */
static void end_by_callback(struct scene *s) {
    filch_future *trigger;
    ok(filch_promise(0, &trigger));
    ok(filch_future_add_done_callback(trigger, end_in_callback, s));
    ok(filch_promise_set(trigger, NULL, 0));
    filch_future_release(trigger);
}

static void end_by_worker(struct scene *s) {
    int held = read_int(&s->held);
    invite(s, enders, end_in_task);
    must_reach(&s->held, held + 1, "the worker that ends it is not there");
}

/* A task has ended when its future is done, where anybody can see that. */
static void await_end(struct scene *s) {
    filch_future *seen = s->f != NULL && s->c.drop != DROP_IN_CALLBACK ? s->f
                         : s->watcher.own && !is_blocking(s->c.watch)  ? s->watcher.f
                                                                       : NULL;
    time_t begin = time(NULL);
    if (s->model.ran) must_reach(&s->ran, 1, "the task has not run");
    if (seen == NULL || s->c.ending->act == ACT_ABANDON) return;
    while (!filch_future_done(seen) && time(NULL) < begin + PATIENCE) sched_yield();
    must(filch_future_done(seen), "it does not become done");
}

static void step_end(struct scene *s) {
    switch (s->c.actor) {
    case ACTOR_MAIN: end(s); break;
    case ACTOR_HELPER:
        hand_tell(&helper, end_in_thread, s);
        must(hand_wait(&helper), "the thread that ends it does not come back");
        break;
    case ACTOR_WORKER: end_by_worker(s); break;
    case ACTOR_CALLBACK: end_by_callback(s); break;
    case ACTORS: break;
    }
    must(s->wrong == NULL, s->wrong);
    await_end(s);
    flag_raise(&s->hold);
}

static void inspect(struct scene *s);

static void drop(void *context) {
    struct scene *s = context;
    filch_future_release(s->f);
    s->f = NULL;
}

static void step_drop(struct scene *s) {
    bool ended = is_before(&s->c, STEP_END, STEP_DROP);
    if (ended && is_before(&s->c, STEP_WATCH, STEP_DROP)) join_watcher(s);
    if (s->c.drop == DROP_IN_CALLBACK) return;
    if (ended) inspect(s);
    if (s->c.drop == DROP_BY_MAIN) {
        drop(s);
        return;
    }
    hand_tell(&helper, drop, s);
    must(hand_wait(&helper), "the thread that drops it does not come back");
}

/* Setting up ------------------------------------------------------------------------------------- */

static void make_task(struct scene *s) {
    struct argument arg = {s, ~(uint64_t)(uintptr_t)s};
    filch_task task = FILCH_TASK_INIT;
    task.fn = run;
    task.arg = &arg;
    task.arg_size = sizeof arg;
    task.result_size = s->c.result_size;
    if (s->c.destroys) task.arg_destroy = destroy;
    ok(filch_submit_task(s->executor, &task, &s->f));
    if (s->c.ending->subject == SUBJECT_STARTED) must_reach(&s->started, 1, "it does not start");
}

static void make_promise(struct scene *s) {
    ok(filch_promise(s->c.result_size, &s->f));
    if (s->c.ending->subject == SUBJECT_BEGUN) ok(filch_promise_start(s->f));
}

/* The other future of a set: done before where that decides nothing, undone where it must not. */
static void make_other(struct scene *s) {
    struct watcher *w = &s->watcher;
    bool error = s->c.ending->code != 0;
    if (!(s->c.watch >= WATCH_FIRST_COMPLETED && s->c.watch <= WATCH_AS_COMPLETED) &&
        s->c.watch != WATCH_ALL && s->c.watch != WATCH_ANY)
        return;
    ok(filch_promise(0, &w->other));
    if (s->c.watch == WATCH_ANY)
        ok(filch_promise_fail(w->other, 1, NULL));
    else if (s->c.watch == WATCH_ALL || s->c.watch == WATCH_ALL_COMPLETED ||
             (s->c.watch == WATCH_FIRST_ERROR && !error))
        ok(filch_promise_set(w->other, NULL, 0));
}

/* Workers that are held, and the one that watches, come first. */
static void make_guests(struct scene *s) {
    bool seat = s->c.watch != WATCH_NOBODY && s->watcher.before && s->c.place == PLACE_SAME;
    int held = s->c.ending->subject == SUBJECT_QUEUED ? s->c.workers - seat : 0;
    if (seat) invite(s, s->executor, watch_in_task);
    for (int i = 0; i < held; i++) invite(s, s->executor, hold_worker);
    if (s->c.watch != WATCH_NOBODY && s->watcher.before && s->c.place == PLACE_ELSEWHERE)
        invite(s, elsewhere, watch_in_task);
    must_reach(&s->held, s->guests, "the workers are not there");
}

static void set_up(struct scene *s, const struct combination *c, filch_executor *e) {
    struct watcher *w = &s->watcher;
    memset(s, 0, sizeof *s);
    s->c = *c;
    s->executor = e;
    for (size_t i = 0; i < sizeof s->value; i++)
        s->value[i] = (unsigned char)(i * 7 + c->result_size);
    memset(w->value, UNTOUCHED, sizeof w->value);
    w->scene = s;
    w->before = is_before(c, STEP_WATCH, STEP_END);
    model_begin(&s->model, c->ending->subject);
    make_other(s);
    make_guests(s);
    if (is_task(c))
        make_task(s);
    else
        make_promise(s);
    s->target = w->f = s->f;
    bool touches = c->ending->act != ACT_ABANDON && c->ending->act != ACT_SHUTDOWN &&
                   !(is_task(c) && c->ending->act == ACT_END);
    s->ender_owns = touches && outlives(c, STEP_END);
    w->own = c->watch != WATCH_NOBODY && outlives(c, STEP_WATCH);
    if (s->ender_owns) filch_future_retain(s->f);
    if (w->own) filch_future_retain(s->f);
    if (c->drop == DROP_IN_CALLBACK) ok(filch_future_add_done_callback(s->f, drop_in_callback, s));
}

/* Checking --------------------------------------------------------------------------------------- */

static bool is_success(const struct scene *s) {
    return s->model.state == FILCH_FINISHED && s->model.code == 0;
}

static const char *text_of(const struct model *m) {
    return m->text != NULL ? m->text : filch_error_text(m->code);
}

static void check_value(const struct scene *s, const unsigned char *value) {
    size_t size = is_success(s) ? s->c.result_size : 0;
    must(memcmp(value, s->value, size) == 0, "the value");
    must(value[size] == UNTOUCHED, "the bytes behind the value");
}

static void check_error(const struct scene *s, const filch_error *error, const char *text) {
    must(error->code == s->model.code, "the code of the error");
    must(strcmp(text, text_of(&s->model)) == 0, "the text of the error");
    must((error->origin.worker >= 0) == s->model.ran, "the worker of the error");
    must(error->origin.pid == (s->model.ran ? getpid() : 0), "the process of the error");
}

/* By the owner, before it drops what is done. */
static void inspect(struct scene *s) {
    const struct model *m = &s->model;
    filch_snapshot now;
    filch_error error;
    unsigned char value[RESULT_MOST + 1];
    memset(value, UNTOUCHED, sizeof value);
    must(filch_future_done(s->f) && !filch_future_running(s->f), "done");
    must(filch_future_cancelled(s->f) == (m->state == FILCH_CANCELLED), "cancelled");
    must(filch_future_result(s->f, value, 0) == m->code, "the code");
    check_value(s, value);
    must(filch_future_error(s->f, &error, 0) == 0, "error");
    check_error(s, &error, error.text);
    must(filch_future_snapshot(s->f, &now) == 0 && now.state == m->state && now.code == m->code,
         "the snapshot");
    must(now.size == (is_success(s) ? s->c.result_size : 0), "the size of the snapshot");
    struct model late = *m;
    must(filch_future_cancel(s->f) == model_cancel(&late), "a late cancel");
    must(filch_future_request_cancel(s->f) == model_request_cancel(&late), "a late request");
    if (is_task(&s->c)) return;
    must(complete_promise(s, 0, NULL) == model_complete(&late, 0, NULL), "a second completion");
    must(complete_promise(s, 4, NULL) == model_complete(&late, 4, NULL), "a second failure");
    must(filch_promise_start(s->f) == model_start(&late), "a late start");
    must(filch_future_result(s->f, NULL, 0) == m->code, "the code after all that");
}

static void check_set(const struct scene *s) {
    const struct watcher *w = &s->watcher;
    bool all = s->c.watch == WATCH_ALL_COMPLETED;
    bool cancelled = s->model.state == FILCH_CANCELLED;
    bool alone = s->c.watch == WATCH_FIRST_COMPLETED ||
                 (s->c.watch == WATCH_FIRST_ERROR && !is_success(s) && !cancelled);
    must(w->count == (alone ? 1 : all ? 3 : 2), "the count of wait");
    must(w->array[0] == (alone ? w->f : w->other), "the first of wait");
    must(w->array[1] == (alone ? w->other : w->f), "the second of wait");
    must(w->array[2] == w->f, "the third of wait");
}

static void check_as_completed(const struct scene *s) {
    const struct watcher *w = &s->watcher;
    must(w->rc[0] == 0 && w->array[0] == w->f && w->index[0] == 1, "the first of as_completed");
    must(w->rc[1] == 0 && w->array[1] == w->other && w->index[1] == 0,
         "the second of as_completed");
    must(w->rc[2] == FILCH_EEND, "the end of as_completed");
}

/* The thread in which callbacks run, where that is known. */
static const char *thread_of_calls(const struct scene *s) {
    if (!s->watcher.before) return s->watcher.thread;
    return s->model.ran ? NULL : s->ender;
}

static void check_calls(struct scene *s) {
    int n = s->c.watch == WATCH_CALLBACK ? 1 : 2;
    const char *thread = thread_of_calls(s);
    bool never = s->c.ending->act == ACT_ABANDON;
    must_reach(&s->returned, never ? 0 : n, "the number of callbacks");
    must(s->watcher.rc[0] == 0 && s->watcher.rc[1] == 0, "the adding of callbacks");
    if (never) return;
    for (int i = 0; i < n; i++) {
        must(s->call[i].order == i + 1, "the order of the callbacks");
        must(s->call[i].done, "done in the callback");
        must(s->call[i].code == s->model.code, "the code in the callback");
        must(s->call[i].destroyed == s->c.destroys, "the argument in the callback");
        must(!s->call[i].asked, "a request in the callback");
        must(thread == NULL || thread == s->call[i].thread, "the thread of the callback");
    }
}

static void check_made_as(struct scene *s, const struct model *m, const uint64_t *value) {
    filch_error error;
    uint64_t got = 0;
    filch_future *made = s->watcher.made;
    must(filch_future_result(made, &got, FILCH_SECONDS(PATIENCE)) == m->code,
         "the code of what is made");
    must(filch_future_cancelled(made) == (m->state == FILCH_CANCELLED), "what is made, cancelled");
    must(filch_future_error(made, &error, 0) == 0 && strcmp(error.text, text_of(m)) == 0,
         "the text of what is made");
    must(value == NULL || got == *value, "the value of what is made");
}

static void check_made(struct scene *s) {
    static const uint64_t seventy_seven = 77, one = 1;
    const struct model cancelled = {.state = FILCH_CANCELLED, .code = FILCH_ECANCELED};
    bool then = s->c.watch == WATCH_THEN;
    must(s->watcher.rc[0] == 0 && s->watcher.rc[1] == 0, "the making of a future");
    if (s->c.watch == WATCH_THEN_CANCELLED)
        check_made_as(s, &cancelled, NULL);
    else
        check_made_as(s, &s->model,
                      !is_success(s)            ? NULL
                      : then                    ? &seventy_seven
                      : s->c.watch == WATCH_ANY ? &one
                                                : NULL);
    must(s->thens == (then && is_success(s)), "how often the continuation ran");
    must(!s->then_is_wrong, "what the continuation saw");
}

/* What the watcher has seen. */
static void check_watcher(struct scene *s) {
    struct watcher *w = &s->watcher;
    bool undone = w->before || s->c.ending->act == ACT_ABANDON;
    switch (s->c.watch) {
    case WATCH_NOBODY: return;
    case WATCH_RESULT:
    case WATCH_ISOLATED:
        must(w->rc[0] == s->model.code, "the code of result");
        check_value(s, w->value);
        return;
    case WATCH_ERROR:
        must(w->rc[0] == 0, "the code of error");
        check_error(s, &w->error, w->text);
        return;
    case WATCH_VIEW:
        must(w->rc[0] == s->model.code, "the code of view");
        must(w->size == (is_success(s) ? s->c.result_size : 0), "the size of the view");
        check_value(s, w->value);
        return;
    case WATCH_POLL:
    case WATCH_TIMED:
        must(w->rc[0] == (undone ? FILCH_ETIMEDOUT : s->model.code), "the code of a short wait");
        if (undone) must(w->value[0] == UNTOUCHED, "the value after a time-out");
        if (!undone) check_value(s, w->value);
        return;
    case WATCH_FIRST_COMPLETED:
    case WATCH_FIRST_ERROR:
    case WATCH_ALL_COMPLETED: check_set(s); return;
    case WATCH_AS_COMPLETED: check_as_completed(s); return;
    case WATCH_CALLBACK:
    case WATCH_TWO_CALLBACKS:
    case WATCH_CALLBACK_IN_CALLBACK: check_calls(s); return;
    case WATCH_THEN:
    case WATCH_THEN_CANCELLED:
    case WATCH_ALL:
    case WATCH_ANY: check_made(s); return;
    case WATCHES: return;
    }
}

static void check_task(struct scene *s) {
    bool over = s->c.ending->act != ACT_ABANDON;
    must_reach(&s->destroyed, over && s->c.destroys, "how often the argument was destroyed");
    must_reach(&s->ran, s->model.ran, "how often the task ran");
    must(!s->argument_is_wrong, "the argument");
    must(!is_task(&s->c) || s->saw_request == s->model.requested, "cancel_requested");
    must_reach(&s->dropped, s->c.drop == DROP_IN_CALLBACK, "the drop in a callback");
}

/* Running ---------------------------------------------------------------------------------------- */

static void settle_scene(struct scene *s) {
    struct watcher *w = &s->watcher;
    join_watcher(s);
    if (is_blocking(s->c.watch) && s->c.place == PLACE_OUTSIDE && w->before)
        must(hand_wait(&watching), "the thread that watches does not come back");
    must_reach(&s->left, s->guests, "the other tasks do not end");
    check_task(s);
    check_watcher(s);
    if (s->ender_owns) filch_future_release(s->target);
    filch_future_release(w->other);
    filch_future_release(w->made);
}

static void run_combination(const struct combination *c, filch_executor *e) {
    static struct scene scene;
    scene_now = &scene;
    set_up(&scene, c, e);
    for (int i = 0; i < STEPS; i++) {
        if (c->order[i] == STEP_WATCH) step_watch(&scene);
        if (c->order[i] == STEP_END) step_end(&scene);
        if (c->order[i] == STEP_DROP) step_drop(&scene);
    }
    settle_scene(&scene);
}

/* Of which combinations one is run; a prime, so that it meets every value of every option. */
static int stride(void) {
    const char *given = getenv("FILCH_FUTURE_MATRIX");
#if defined(TEST_SANITIZE_ADDRESS) || defined(TEST_SANITIZE_THREAD)
    int usual = 101;
#else
    int usual = 11;
#endif
    return given != NULL && atoi(given) > 0 ? atoi(given) : usual;
}

/* The executor for the next combination: a new one where the last was shut down, or was of another size. */
static filch_executor *executor_for(const struct combination *c, filch_executor *e, int *workers) {
    if (e != NULL && *workers == c->workers && c->ending->act != ACT_SHUTDOWN) return e;
    ok(filch_executor_destroy(e));
    *workers = c->workers;
    return executor_of(c->workers);
}

static int run_all(const struct ending *ending) {
    struct combination c;
    filch_executor *e = NULL;
    int count = 0, workers = 0;
    for (int i = 0; i < COMBINATIONS; i += stride()) {
        if (!combination_of(ending, i, &c)) continue;
        e = executor_for(&c, e, &workers);
        run_combination(&c, e);
        count++;
    }
    ok(filch_executor_destroy(e));
    return count;
}

ParameterizedTestParameters(matrix, every_combination_ends_as_the_contract_says) {
    return cr_make_param_array(struct ending, (struct ending *)(uintptr_t)endings, ENDINGS, NULL);
}

ParameterizedTest(void *parameter, matrix, every_combination_ends_as_the_contract_says) {
    const struct ending *ending = parameter;
    hand_start(&helper);
    hand_start(&watching);
    long blocks = filch__fault_live_blocks();
    elsewhere = executor_of(1);
    enders = executor_of(1);
    int count = run_all(ending);
    ok(filch_executor_destroy(elsewhere));
    ok(filch_executor_destroy(enders));
    cr_assert_eq(filch__fault_live_blocks(), blocks, "%s: memory is left", ending->name);
    hand_end(&helper);
    hand_end(&watching);
    cr_assert_gt(count, 0);
    printf("# %d combinations: %s\n", count, ending->name);
}
