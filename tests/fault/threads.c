/* threads.c: scenarios of the sweep: executors on threads, futures, promises, sets, maps, combined futures.
 *
 * SPDX-License-Identifier: MIT */
#include "sweep.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* NULL: refused. */
static filch_executor *make(int workers) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    filch_executor *e = NULL;
    options.max_workers = workers;
    int rc = USE(filch_thread_executor)(&options, &e);
    if (CALLED(MAY_ENOMEM, rc)) return e;
    EXPECT(e == NULL);
    return NULL;
}
static void unmake(filch_executor *e) {
    CALLED(0, USE(filch_executor_destroy)(e));
}

static int twice(void *arg, void *result) {
    *(int *)result = 2 * *(int *)arg;
    return 0;
}
static int nothing(void *arg, void *result) {
    (void)arg;
    (void)result;
    return 0;
}
static filch_future *submit(filch_executor *e, filch_task_fn *fn, const void *arg, size_t size,
                            size_t result_size) {
    filch_future *f = NULL;
    int rc = USE(filch_submit)(e, fn, arg, size, result_size, &f);
    if (CALLED(MAY_REFUSE, rc)) return f;
    EXPECT(f == NULL);
    return NULL;
}
static filch_future *submit_twice(filch_executor *e, int n) {
    return submit(e, twice, &n, sizeof n, sizeof n);
}
static void release(filch_future *f) {
    USE(filch_future_release)(f);
}
/* Waits for what submit_twice gave, if it gave something. */
static void finish_twice(filch_future *f, int n) {
    int value = -1;
    if (f == NULL) return;
    CALLED(0, filch_future_result(f, &value, FILCH_FOREVER));
    EXPECT(value == 2 * n);
    release(f);
}

/* Executors --------------------------------------------------------------------------------------- */

static int initialize(void *arg) {
    count_up(arg);
    return 0;
}

static void play_options(void) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    filch_executor *e = NULL;
    filch_stats stats = FILCH_STATS_INIT;
    int begun = 0;
    options.worker_name_prefix = "swept";
    options.initializer = initialize;
    options.initializer_arg = &begun;
    options.pin = true;
    if (!CALLED(MAY_ENOMEM, USE(filch_thread_executor)(&options, &e))) return;
    EXPECT(USE(filch_executor_worker_limit)(e) > 0);
    for (int i = 0; i < 3; i++) finish_twice(submit_twice(e, i), i);
    CALLED(0, USE(filch_executor_stats)(e, &stats));
    EXPECT(stats.submitted == stats.completed && stats.submitted <= 3);
    EXPECT(count_of(&begun) >= (stats.submitted != 0));
    CALLED(0, USE(filch_executor_shutdown)(e, FILCH_WAIT));
    EXPECT(filch_submit(e, nothing, NULL, 0, 0, NULL) == FILCH_ESHUTDOWN);
    unmake(e);
}

static void play_shutdown_that_cancels(void) {
    filch_future *futures[20];
    filch_executor *e = make(1);
    if (e == NULL) return;
    for (int i = 0; i < 20; i++) futures[i] = submit_twice(e, i);
    CALLED(0, USE(filch_executor_shutdown)(e, FILCH_CANCEL_PENDING));
    for (int i = 0; i < 20; i++) {
        int value = -1;
        if (futures[i] == NULL) continue;
        int rc = filch_future_result(futures[i], &value, FILCH_FOREVER);
        sweep_expect(rc == FILCH_ECANCELED || (rc == 0 && value == 2 * i), "code after a cancel");
        release(futures[i]);
    }
    unmake(e);
}

static int refuse_to_begin(void *arg) {
    (void)arg;
    usleep(500); /* so that tasks wait */
    return 7;
}

static void play_break(void) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    filch_executor *e = NULL;
    filch_future *f = NULL;
    options.max_workers = 2;
    options.initializer = refuse_to_begin;
    if (!CALLED(MAY_ENOMEM, filch_thread_executor(&options, &e))) return;
    int rc = filch_submit(e, nothing, NULL, 0, 0, &f);
    sweep_expect(rc == FILCH_EBROKEN || sweep_is_explained(rc, MAY_REFUSE),
                 "submit to a broken one");
    if (rc == 0) {
        filch_error error;
        CALLED(0, filch_future_error(f, &error, FILCH_FOREVER));
        EXPECT(error.code == FILCH_EBROKEN && error.text != NULL);
        release(f);
    }
    unmake(e);
}

static void play_default(void) {
    filch_executor *e = USE(filch_default_executor)();
    if (e == NULL) {
        EXPECT(sweep_is_explained(FILCH_ENOMEM, MAY_ENOMEM) && filch_last_error()[0] != '\0');
        return;
    }
    finish_twice(submit_twice(NULL, 4), 4);
    EXPECT(filch_executor_destroy(e) == FILCH_EINVAL);
}

/* Futures ----------------------------------------------------------------------------------------- */

static int fail_with_text(void *arg, void *result) {
    (void)arg;
    (void)result;
    return USE(filch_fail)(5, "a text of %d words, which is kept", 7);
}
enum { LARGE = 20000 };
static int give_large(void *arg, void *result) {
    (void)arg;
    (void)result;
    char *data = USE(filch_result_alloc)(LARGE);
    if (data == NULL) return FILCH_ENOMEM;
    memset(data, 'x', LARGE);
    return 0;
}
static void note_destroyed(void *arg) {
    count_up(*(int **)arg);
}
static void note_done(filch_future *f, void *context) {
    (void)f;
    count_up(context);
}

static void play_futures(void) {
    char line[100];
    filch_snapshot snapshot;
    int value = -1;
    filch_executor *e = make(2);
    if (e == NULL) return;
    filch_future *f = submit_twice(e, 3);
    if (f != NULL) {
        EXPECT(USE(filch_future_retain)(f) == f);
        release(f);
        CALLED(0, USE(filch_future_result)(f, &value, FILCH_FOREVER));
        CALLED(0, USE(filch_future_result_until)(f, &value, FILCH_FOREVER));
        CALLED(0, USE(filch_future_result_isolated)(f, &value, FILCH_FOREVER));
        CALLED(0, USE(filch_future_result_isolated_until)(f, &value, FILCH_FOREVER));
        CALLED(0, USE(filch_future_snapshot)(f, &snapshot));
        EXPECT(value == 6 && snapshot.state == FILCH_FINISHED && *(const int *)snapshot.value == 6);
        EXPECT(USE(filch_future_describe)(f, line, sizeof line) > 0);
        EXPECT(USE(filch_future_done)(f));
        EXPECT(!USE(filch_future_running)(f));
        EXPECT(!USE(filch_future_cancelled)(f));
        release(f);
    }
    unmake(e);
}

static void play_results(void) {
    const void *data = NULL;
    size_t size = 0;
    filch_error error;
    filch_executor *e = make(1);
    if (e == NULL) return;
    filch_future *f = submit(e, give_large, NULL, 0, 0);
    if (f != NULL && CALLED(MAY_ENOMEM, USE(filch_future_result_view)(f, &data, &size))) {
        EXPECT(size == LARGE && ((const char *)data)[LARGE - 1] == 'x');
        CALLED(0, USE(filch_future_result_view_until)(f, &data, &size, FILCH_FOREVER));
    }
    release(f);
    f = submit(e, fail_with_text, NULL, 0, 0);
    if (f != NULL) {
        CALLED(0, USE(filch_future_error)(f, &error, FILCH_FOREVER));
        CALLED(0, USE(filch_future_error_until)(f, &error, FILCH_FOREVER));
        EXPECT(error.code == 5 && error.text[0] != '\0');
        EXPECT(sweep_is_armed() || strncmp(error.text, "a text", 6) == 0);
        release(f);
    }
    unmake(e);
}

/* A large argument with a destructor, and callbacks. */
static void play_tasks(void) {
    struct {
        int *destroyed;
        char more[600];
    } arg = {NULL, {0}};
    int destroyed = 0, called = 0, watched = 0;
    filch_task task = FILCH_TASK_INIT;
    filch_future *f = NULL;
    filch_executor *e = make(1);
    if (e == NULL) return;
    arg.destroyed = &destroyed;
    task.fn = nothing;
    task.arg = &arg;
    task.arg_size = sizeof arg;
    task.result_size = 300;
    task.arg_destroy = note_destroyed;
    bool accepted = CALLED(MAY_REFUSE, USE(filch_submit_task)(e, &task, &f));
    for (int i = 0; i < 5 && accepted; i++)
        watched += CALLED(MAY_ENOMEM, USE(filch_future_add_done_callback)(f, note_done, &called));
    if (accepted) CALLED(0, filch_future_result(f, NULL, FILCH_FOREVER));
    release(f);
    unmake(e);
    EXPECT(count_of(&destroyed) == accepted);
    EXPECT(count_of(&called) == watched);
}

struct gate {
    int reached, open, asked;
};
static int stay(void *arg, void *result) {
    struct gate *gate = *(struct gate **)arg;
    (void)result;
    count_up(&gate->reached);
    while (count_of(&gate->open) == 0) sched_yield();
    if (USE(filch_cancel_requested)()) count_up(&gate->asked);
    return 0;
}

static void play_cancel(void) {
    struct gate gate = {0, 0, 0}, *place = &gate;
    filch_executor *e = make(1);
    if (e == NULL) return;
    filch_future *running = submit(e, stay, &place, sizeof place, 0);
    while (running != NULL && count_of(&gate.reached) == 0) sched_yield();
    filch_future *pending = running == NULL ? NULL : submit_twice(e, 1);
    if (pending != NULL) {
        EXPECT(USE(filch_future_cancel)(pending));
        EXPECT(filch_future_result(pending, NULL, FILCH_FOREVER) == FILCH_ECANCELED);
    }
    release(pending);
    if (running != NULL) {
        EXPECT(USE(filch_future_request_cancel)(running));
        count_up(&gate.open);
        CALLED(0, filch_future_result(running, NULL, FILCH_FOREVER));
        EXPECT(count_of(&gate.asked) == 1);
    }
    release(running);
    unmake(e);
}

static void play_promise(void) {
    filch_future *f = NULL, *g = NULL;
    int value = 4, got = 0, called = 0;
    char large[400] = {0};
    if (CALLED(MAY_ENOMEM, USE(filch_promise)(sizeof value, &f))) {
        CALLED(0, USE(filch_promise_start)(f));
        EXPECT(!USE(filch_promise_cancel_requested)(f));
        bool watched = CALLED(MAY_ENOMEM, filch_future_add_done_callback(f, note_done, &called));
        CALLED(0, USE(filch_promise_set)(f, &value, sizeof value));
        CALLED(0, filch_future_result(f, &got, FILCH_FOREVER));
        EXPECT(got == 4 && count_of(&called) == watched);
    }
    release(f);
    if (CALLED(MAY_ENOMEM, filch_promise(sizeof large, &g))) {
        CALLED(0, USE(filch_promise_fail)(g, 6, "a text that is %s", "kept"));
        EXPECT(filch_future_result(g, large, FILCH_FOREVER) == 6);
    }
    release(g);
}

/* Sets -------------------------------------------------------------------------------------------- */

enum { MANY = 12 };
/* How many were accepted; those stand first. */
static size_t submit_many(filch_executor *e, filch_future **futures) {
    size_t n = 0;
    for (int i = 0; i < MANY; i++) {
        futures[n] = submit_twice(e, i);
        n += futures[n] != NULL;
    }
    return n;
}
static void release_many(filch_future **futures, size_t n) {
    for (size_t i = 0; i < n; i++) {
        CALLED(0, filch_future_result(futures[i], NULL, FILCH_FOREVER));
        release(futures[i]);
    }
}
static void expect_count(ptrdiff_t got, size_t least, size_t most) {
    if (got < 0)
        CALLED(MAY_ENOMEM, (int)got);
    else
        sweep_expect((size_t)got >= least && (size_t)got <= most, "what filch_wait counts");
}

static void play_wait(void) {
    filch_future *futures[MANY];
    filch_executor *e = make(2);
    if (e == NULL) return;
    size_t n = submit_many(e, futures);
    expect_count(USE(filch_wait)(futures, n, FILCH_FOREVER, FILCH_FIRST_COMPLETED), n != 0, n);
    expect_count(USE(filch_wait_until)(futures, n, FILCH_FOREVER, FILCH_FIRST_ERROR), n, n);
    expect_count(filch_wait(futures, n, FILCH_FOREVER, FILCH_ALL_COMPLETED), n, n);
    release_many(futures, n);
    n = submit_many(e, futures);
    expect_count(filch_wait(futures, n, FILCH_FOREVER, FILCH_ALL_COMPLETED), n, n);
    release_many(futures, n);
    unmake(e);
}

/* Of promises, so that it has to wait in any case. */
static void complete_all(void *context) {
    filch_future **promises = context;
    for (int i = 0; i < 3; i++) filch_promise_set(promises[i], NULL, 0);
}
static int complete_promises(void *arg, void *result) {
    (void)result;
    usleep(500); /* so that who waits sleeps */
    complete_all(*(filch_future ***)arg);
    return 0;
}
static void play_wait_for_promises(void) {
    filch_future *promises[3] = {NULL, NULL, NULL}, *order[3], **place = promises;
    bool good = true;
    filch_executor *e = make(1);
    if (e == NULL) return;
    for (int i = 0; i < 3; i++) good &= CALLED(MAY_ENOMEM, filch_promise(0, &promises[i]));
    filch_future *f = good ? submit(e, complete_promises, &place, sizeof place, 0) : NULL;
    memcpy(order, promises, sizeof order);
    if (f != NULL) {
        expect_count(filch_wait(order, 3, FILCH_FOREVER, FILCH_FIRST_COMPLETED), 1, 3);
        expect_count(filch_wait(order, 3, FILCH_FOREVER, FILCH_ALL_COMPLETED), 3, 3);
    }
    release(f);
    unmake(e);
    for (int i = 0; i < 3; i++) release(promises[i]);
}

static void iterate(int rc, filch_completions *it, size_t n) {
    filch_future *f;
    size_t given = 0;
    if (!CALLED(MAY_ENOMEM, rc)) return;
    EXPECT(USE(filch_completions_index)(it) == SIZE_MAX);
    while ((rc = USE(filch_completions_next)(it, &f)) == 0) {
        EXPECT(filch_future_done(f) && filch_completions_index(it) < n);
        given++;
    }
    EXPECT(rc == FILCH_EEND && given == n);
    CALLED(0, USE(filch_completions_destroy)(it));
}
static void play_as_completed(void) {
    filch_future *futures[MANY];
    filch_completions *it = NULL;
    filch_executor *e = make(2);
    if (e == NULL) return;
    size_t n = submit_many(e, futures);
    int rc = USE(filch_as_completed)(futures, n, FILCH_FOREVER, &it);
    iterate(rc, it, n);
    rc = USE(filch_as_completed_until)(futures, n, FILCH_FOREVER, &it);
    iterate(rc, it, n);
    release_many(futures, n);
    unmake(e);
}

/* Maps -------------------------------------------------------------------------------------------- */

static bool give_next(void *context, void *arg) {
    int *next = context;
    *(int *)arg = *next;
    return (*next)++ < MANY;
}
static void read_results(filch_results *it) {
    int value = -1, rc, turn = 0;
    while ((rc = USE(filch_results_next)(it, &value)) != FILCH_EEND) {
        if (CALLED(MAY_REFUSE, rc)) EXPECT(value == 2 * turn);
        turn++;
    }
    EXPECT(sweep_is_armed() || turn == MANY);
    CALLED(0, USE(filch_results_destroy)(it));
}
static void play_map(void) {
    int args[MANY];
    filch_results *it = NULL;
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    filch_executor *e = make(2);
    if (e == NULL) return;
    for (int i = 0; i < MANY; i++) args[i] = i;
    spec.fn = twice;
    spec.arg_size = spec.result_size = sizeof(int);
    spec.args = args;
    spec.n = MANY;
    if (CALLED(MAY_REFUSE, USE(filch_map)(e, &spec, &it))) read_results(it);
    spec.chunk_size = 5;
    if (CALLED(MAY_REFUSE, USE(filch_map_until)(e, &spec, FILCH_FOREVER, &it))) read_results(it);
    unmake(e);
}
static void play_map_of_a_generator(void) {
    int next = 0;
    filch_results *it = NULL;
    filch_map_spec spec = FILCH_MAP_SPEC_INIT;
    filch_executor *e = make(2);
    if (e == NULL) return;
    spec.fn = twice;
    spec.arg_size = spec.result_size = sizeof(int);
    spec.next = give_next;
    spec.next_context = &next;
    if (CALLED(MAY_REFUSE, filch_map(e, &spec, &it))) read_results(it);
    next = 0;
    spec.chunk_size = 3;
    spec.buffer_size = 2;
    if (CALLED(MAY_REFUSE, filch_map(e, &spec, &it))) read_results(it);
    unmake(e);
}
static int twice_or_text(void *arg, void *result) {
    int n = *(int *)arg;
    *(int *)result = 2 * n;
    return n == 7 ? filch_fail(9, "seven is %d too many", 1) : 0;
}
static void play_map_array(void) {
    int args[MANY], results[MANY];
    filch_executor *e = make(2);
    if (e == NULL) return;
    for (int i = 0; i < MANY; i++) args[i] = i, results[i] = -1;
    int rc = USE(filch_map_array)(e, twice, args, sizeof(int), MANY, results, sizeof(int));
    CALLED(MAY_REFUSE, rc);
    for (int i = 0; i < MANY; i++) EXPECT(results[i] == 2 * i || (rc != 0 && results[i] == -1));
    rc = filch_map_array(e, twice_or_text, args, sizeof(int), MANY, results, sizeof(int));
    EXPECT(rc == 9 || (rc != 0 && sweep_is_explained(rc, MAY_REFUSE)));
    unmake(e);
}

/* Combined futures -------------------------------------------------------------------------------- */

static int add_five(filch_future *done, void *arg, void *result) {
    int value = 0;
    (void)arg;
    int rc = filch_future_result(done, &value, 0);
    *(int *)result = value + 5;
    return rc;
}
static void play_combined(void) {
    filch_future *futures[MANY], *f = NULL;
    size_t first = 0;
    int value = 0, five = 5;
    filch_executor *e = make(2);
    if (e == NULL) return;
    size_t n = submit_many(e, futures);
    if (CALLED(MAY_ENOMEM, USE(filch_all)(futures, n, &f))) {
        CALLED(0, filch_future_result(f, NULL, FILCH_FOREVER));
        release(f);
    }
    if (n != 0 && CALLED(MAY_ENOMEM, USE(filch_any)(futures, n, &f))) {
        CALLED(0, filch_future_result(f, &first, FILCH_FOREVER));
        EXPECT(first < n);
        release(f);
    }
    if (n != 0 && CALLED(MAY_ENOMEM, USE(filch_then)(futures[0], e, add_five, &five, sizeof five,
                                                     sizeof five, &f))) {
        if (CALLED(MAY_REFUSE, filch_future_result(f, &value, FILCH_FOREVER))) EXPECT(value >= 5);
        release(f);
    }
    release_many(futures, n);
    unmake(e);
}

/* Errors go through them with their texts, and of what is not done yet. */
static void play_combined_errors(void) {
    filch_future *promise = NULL, *all = NULL, *then = NULL;
    filch_error error;
    int five = 5;
    filch_executor *e = make(1);
    if (e == NULL) return;
    if (CALLED(MAY_ENOMEM, filch_promise(0, &promise))) {
        (void)CALLED(MAY_ENOMEM, filch_all(&promise, 1, &all));
        (void)CALLED(MAY_ENOMEM,
                     filch_then(promise, e, add_five, &five, sizeof five, sizeof five, &then));
        CALLED(0, filch_promise_fail(promise, 8, "eight, as a text"));
    }
    if (all != NULL) {
        CALLED(0, filch_future_error(all, &error, FILCH_FOREVER));
        EXPECT(error.code == 8);
    }
    if (then != NULL) EXPECT(filch_future_result(then, NULL, FILCH_FOREVER) == 8);
    release(all);
    release(then);
    release(promise);
    unmake(e);
}

/* Inside of tasks --------------------------------------------------------------------------------- */

/* What an inner refusal is worth to the tasks around it: they end with its code. */
static int descend(void *arg, void *result) {
    int depth = *(int *)arg - 1;
    filch_future *f = NULL;
    (void)result;
    if (depth < 0) return 0;
    EXPECT(USE(filch_worker_index)() >= 0);
    int rc = filch_submit(USE(filch_current_executor)(), descend, &depth, sizeof depth, 0, &f);
    if (!CALLED(MAY_REFUSE, rc)) return rc;
    rc = filch_future_result(f, NULL, FILCH_FOREVER);
    CALLED(MAY_REFUSE, rc);
    filch_future_release(f);
    return rc;
}
static void play_nested(void) {
    int depth = 4;
    filch_executor *e = make(2);
    if (e == NULL) return;
    filch_future *f = submit(e, descend, &depth, sizeof depth, 0);
    if (f != NULL) CALLED(MAY_REFUSE, filch_future_result(f, NULL, FILCH_FOREVER));
    release(f);
    unmake(e);
}

/* More than a new queue holds, and more than one block of memory. */
enum { CROWD = 1500 };
static int submit_crowd(void *arg, void *result) {
    int *accepted = *(int **)arg;
    (void)result;
    for (int i = 0; i < CROWD; i++)
        if (CALLED(MAY_REFUSE, filch_submit(filch_current_executor(), nothing, NULL, 0, 0, NULL)))
            count_up(accepted);
    return 0;
}
static void play_crowd(void) {
    int accepted = 0, *place = &accepted;
    filch_stats stats = FILCH_STATS_INIT;
    filch_executor *e = make(2);
    if (e == NULL) return;
    filch_future *f = submit(e, submit_crowd, &place, sizeof place, 0);
    if (f != NULL) CALLED(0, filch_future_result(f, NULL, FILCH_FOREVER));
    CALLED(0, filch_executor_shutdown(e, FILCH_WAIT));
    CALLED(0, filch_executor_stats(e, &stats));
    EXPECT(stats.completed == (uint64_t)accepted + (f != NULL));
    release(f);
    unmake(e);
}
static void play_crowd_from_outside(void) {
    int accepted = 0;
    filch_stats stats = FILCH_STATS_INIT;
    filch_executor *e = make(2);
    if (e == NULL) return;
    for (int i = 0; i < CROWD; i++) {
        filch_future *f = submit_twice(e, i);
        accepted += f != NULL;
        release(f);
    }
    CALLED(0, filch_executor_shutdown(e, FILCH_WAIT));
    CALLED(0, filch_executor_stats(e, &stats));
    EXPECT(stats.completed == (uint64_t)accepted);
    unmake(e);
}

/* The only worker blocks until a task behind it has run. */
static int block(void *arg, void *result) {
    int *ran = *(int **)arg;
    filch_future *f = NULL;
    (void)result;
    CALLED(0, USE(filch_blocking_begin)());
    int rc = filch_submit(filch_current_executor(), nothing, NULL, 0, 0, &f);
    CALLED(MAY_REFUSE, rc);
    CALLED(0, USE(filch_blocking_end)());
    if (rc == 0) rc = filch_future_result(f, NULL, FILCH_FOREVER);
    filch_future_release(f);
    count_up(ran);
    return sweep_is_explained(rc, MAY_REFUSE) ? 0 : 1;
}
static void play_blocking(void) {
    int ran = 0, *place = &ran;
    filch_executor *e = make(1);
    if (e == NULL) return;
    filch_future *f = submit(e, block, &place, sizeof place, 0);
    if (f != NULL) CALLED(0, filch_future_result(f, NULL, FILCH_FOREVER));
    EXPECT(count_of(&ran) == (f != NULL));
    release(f);
    unmake(e);
}

/* A task of one executor parks for one of another, which parks for one of the first: spares take their places. */
struct knot {
    filch_executor *other;
    filch_future *last;
};
static int wait_for_last(void *arg, void *result) {
    struct knot *knot = *(struct knot **)arg;
    (void)result;
    return filch_future_result(knot->last, NULL, FILCH_FOREVER);
}
static void play_spares(void) {
    struct knot knot = {NULL, NULL}, *place = &knot;
    filch_executor *a = make(1), *b = make(1);
    if (a != NULL && b != NULL && CALLED(MAY_ENOMEM, filch_promise(0, &knot.last))) {
        filch_future *x = submit(a, wait_for_last, &place, sizeof place, 0);
        filch_future *y = submit(b, wait_for_last, &place, sizeof place, 0);
        filch_future *z = submit_twice(a, 2);
        if (z != NULL) (void)filch_future_result(z, NULL, FILCH_MILLISECONDS(1));
        CALLED(0, filch_promise_set(knot.last, NULL, 0));
        if (x != NULL) CALLED(MAY_REFUSE, filch_future_result(x, NULL, FILCH_FOREVER));
        if (y != NULL) CALLED(MAY_REFUSE, filch_future_result(y, NULL, FILCH_FOREVER));
        finish_twice(z, 2);
        release(x);
        release(y);
    }
    if (a != NULL) unmake(a);
    if (b != NULL) unmake(b);
    release(knot.last);
}

/* Several at once --------------------------------------------------------------------------------- */

/* More iterators at one future than it has places for at first. */
static void play_many_iterators(void) {
    enum { ITERATORS = 12 };
    filch_completions *its[ITERATORS];
    filch_future *promise = NULL, *f;
    if (!CALLED(MAY_ENOMEM, filch_promise(0, &promise))) return;
    for (int i = 0; i < ITERATORS; i++) {
        its[i] = NULL;
        (void)CALLED(MAY_ENOMEM, filch_as_completed(&promise, 1, FILCH_FOREVER, &its[i]));
    }
    CALLED(0, filch_promise_set(promise, NULL, 0));
    for (int i = 0; i < ITERATORS; i++) {
        if (its[i] != NULL) CALLED(0, filch_completions_next(its[i], &f));
        filch_completions_destroy(its[i]);
    }
    release(promise);
}

/* A thread that is slow in a destructor. */
struct slow {
    filch_executor *executor;
    filch_future *future;
    int inside, left;
};
static void destroy_slowly(void *arg) {
    struct slow *slow = *(struct slow **)arg;
    count_up(&slow->inside);
    usleep(1500);
}
/* A task that has not started, behind one that stays. */
static bool submit_behind(struct slow *slow, struct gate *gate, filch_future **first) {
    filch_task task = FILCH_TASK_INIT;
    task.fn = nothing;
    task.arg = &slow;
    task.arg_size = sizeof slow;
    task.arg_destroy = destroy_slowly;
    *first = submit(slow->executor, stay, &gate, sizeof gate, 0);
    while (*first != NULL && count_of(&gate->reached) == 0) sched_yield();
    return *first != NULL &&
           CALLED(MAY_REFUSE, filch_submit_task(slow->executor, &task, &slow->future));
}
static void *cancel_one(void *context) {
    struct slow *slow = context;
    sweep_expect(filch_future_cancel(slow->future), "cancel of a task that has not started");
    count_up(&slow->left);
    return NULL;
}
static void *cancel_all(void *context) {
    struct slow *slow = context;
    sweep_expect(filch_executor_shutdown(slow->executor, FILCH_CANCEL_PENDING) == 0,
                 "shutdown by another thread");
    count_up(&slow->left);
    return NULL;
}
static void shut_down_beside(void *(*other)(void *)) {
    struct gate gate = {0, 0, 0};
    struct slow slow = {make(1), NULL, 0, 0};
    filch_future *first = NULL;
    pthread_t thread;
    if (slow.executor == NULL) return;
    if (submit_behind(&slow, &gate, &first) && pthread_create(&thread, NULL, other, &slow) == 0) {
        while (count_of(&slow.inside) == 0) sched_yield();
        CALLED(0, filch_executor_shutdown(slow.executor, FILCH_CANCEL_PENDING));
        count_up(&gate.open);
        CALLED(0, filch_executor_shutdown(slow.executor, FILCH_WAIT));
        pthread_join(thread, NULL);
        EXPECT(filch_future_result(slow.future, NULL, FILCH_FOREVER) == FILCH_ECANCELED);
    }
    count_up(&gate.open);
    release(first);
    release(slow.future);
    unmake(slow.executor);
}
static void play_shutdown_beside_a_cancel(void) {
    shut_down_beside(cancel_one);
}
static void play_two_shutdowns_that_cancel(void) {
    shut_down_beside(cancel_all);
}

static void *wait_for_end(void *context) {
    sweep_expect(filch_executor_shutdown(context, FILCH_WAIT) == 0, "shutdown by another thread");
    return NULL;
}
static void play_two_shutdowns(void) {
    enum { WORKERS = 8 };
    pthread_t thread;
    filch_executor *e = make(WORKERS);
    if (e == NULL) return;
    for (int i = 0; i < WORKERS; i++) release(submit_twice(e, i));
    bool other = pthread_create(&thread, NULL, wait_for_end, e) == 0;
    CALLED(0, filch_executor_shutdown(e, FILCH_WAIT));
    if (other) pthread_join(thread, NULL);
    unmake(e);
}

/* In a child, which ends while tasks run. */
static void play_in_child(void (*end)(void)) {
    int status = -1;
    pid_t child = fork();
    if (child == 0) {
        sweep_is_child();
        end();
        _exit(9);
    }
    EXPECT(child > 0 && waitpid(child, &status, 0) == child);
    EXPECT(status == 0);
}
static int stay_a_moment(void *arg, void *result) {
    (void)arg;
    (void)result;
    usleep(2000);
    return 0;
}
static int end_program(void *arg, void *result) {
    (void)arg;
    (void)result;
    exit(0);
}
static void end_in_a_task(void) {
    filch_executor *e = make(2);
    if (e == NULL) exit(0);
    release(submit(e, stay_a_moment, NULL, 0, 0));
    filch_future *f = submit(e, end_program, NULL, 0, 0);
    if (f == NULL) exit(0);
    (void)filch_future_result(f, NULL, FILCH_FOREVER);
}
static void play_exit_in_a_task(void) {
    play_in_child(end_in_a_task);
}
static void *end_at_once(void *context) {
    count_up(context);
    exit(0);
}
static void end_while_it_is_destroyed(void) {
    int begun = 0;
    pthread_t thread;
    filch_executor *e = make(1);
    filch_future *f = e == NULL ? NULL : submit(e, stay_a_moment, NULL, 0, 0);
    if (f == NULL || pthread_create(&thread, NULL, end_at_once, &begun) != 0) exit(0);
    while (count_of(&begun) == 0) sched_yield();
    usleep(300);
    unmake(e);
    pause();
}
static void play_exit_while_it_is_destroyed(void) {
    play_in_child(end_while_it_is_destroyed);
}

const struct scenario thread_scenarios[] = {
    {"options", play_options, false},
    {"shutdown_that_cancels", play_shutdown_that_cancels, false},
    {"break", play_break, false},
    {"default_executor", play_default, true},
    {"futures", play_futures, false},
    {"results", play_results, false},
    {"tasks", play_tasks, false},
    {"cancel", play_cancel, false},
    {"promise", play_promise, false},
    {"wait", play_wait, false},
    {"wait_for_promises", play_wait_for_promises, false},
    {"as_completed", play_as_completed, false},
    {"map", play_map, false},
    {"map_of_a_generator", play_map_of_a_generator, false},
    {"map_array", play_map_array, false},
    {"combined", play_combined, false},
    {"combined_errors", play_combined_errors, false},
    {"nested", play_nested, false},
    {"crowd", play_crowd, false},
    {"crowd_from_outside", play_crowd_from_outside, false},
    {"blocking", play_blocking, false},
    {"spares", play_spares, false},
    {"many_iterators", play_many_iterators, false},
    {"shutdown_beside_a_cancel", play_shutdown_beside_a_cancel, false},
    {"two_shutdowns_that_cancel", play_two_shutdowns_that_cancel, false},
    {"two_shutdowns", play_two_shutdowns, false},
    {"exit_in_a_task", play_exit_in_a_task, false},
    {"exit_while_it_is_destroyed", play_exit_while_it_is_destroyed, false},
    {NULL, NULL, false},
};
