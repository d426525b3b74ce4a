/* nested_test.c: what a task in a worker process does with its executor, with a test for the program: each message that
 * it sends is looked at, and answered in the orders that may happen.
 *
 * SPDX-License-Identifier: MIT */
#include "worker_support.h"

#include <filch/combine.h>
#include <filch/executor.h>
#include <filch/future.h>
#include <filch/promise.h>
#include <filch/set.h>

TestSuite(nested, .timeout = 60);

/* The program's side ------------------------------------------------------------------------------- */

/* A message of that kind, copied. */
struct asked {
    struct filch__message_child head;
    struct filch__message_submit submit;
    char bytes[MESSAGE_LARGEST];
};
static struct asked take(struct life *w, enum filch__message_kind kind) {
    struct asked a;
    const struct filch__message *m = next_message(w);
    cr_assert_eq(m->kind, kind, "message of kind %u, not %u", m->kind, (unsigned)kind);
    memset(&a, 0, sizeof a);
    if (kind == MESSAGE_SUBMIT) {
        size_t fixed = filch__message_round(sizeof a.submit);
        memcpy(&a.submit, m, sizeof a.submit);
        memcpy(a.bytes, (const char *)m + fixed, m->size - fixed);
    } else {
        memcpy(&a.head, m, sizeof a.head);
    }
    done_with(w);
    return a;
}
static void say(struct life *w, uint64_t child, int code) {
    struct filch__message_child *m =
        filch__channel_begin_down(&w->channel, MESSAGE_CHILD_SAID, sizeof *m);
    cr_assert_not_null(m);
    m->child = child;
    m->code = code;
    m->flags = 0;
    filch__channel_publish_down(&w->channel);
}
static void await_ok(struct life *w) {
    cr_assert_not_null(
        filch__channel_begin_down(&w->channel, MESSAGE_AWAIT_OK, sizeof(struct filch__message)));
    filch__channel_publish_down(&w->channel);
}
static void refuse_wait(struct life *w, uint64_t child) {
    struct filch__message_child *m =
        filch__channel_begin_down(&w->channel, MESSAGE_AWAIT_REFUSED, sizeof *m);
    cr_assert_not_null(m);
    memset((char *)m + sizeof m->head, 0, sizeof *m - sizeof m->head);
    m->child = child;
    filch__channel_publish_down(&w->channel);
}
/* How a child has ended, with an int as its value. */
static void end_child(struct life *w, uint64_t child, int code, uint32_t flags, int value,
                      const char *text) {
    size_t fixed = filch__message_round(sizeof(struct filch__message_result));
    size_t text_size = strlen(text);
    struct filch__message_result *m = filch__channel_begin_down(
        &w->channel, MESSAGE_CHILD_DONE, fixed + 16 + filch__message_round(text_size));
    cr_assert_not_null(m);
    memset((char *)m + sizeof m->head, 0, sizeof *m - sizeof m->head);
    m->generation = child;
    m->code = code;
    m->flags = flags;
    m->worker = 7;
    m->pid = 4711;
    m->value.size = code == 0 ? sizeof value : 0;
    m->text.size = text_size;
    if (code == 0) memcpy((char *)m + fixed, &value, sizeof value);
    memcpy((char *)m + fixed + (code == 0 ? 16 : 0), text, text_size);
    filch__channel_publish_down(&w->channel);
}
static uint64_t accept_child(struct life *w) {
    struct asked a = take(w, MESSAGE_SUBMIT);
    say(w, a.submit.child, 0);
    return a.submit.child;
}
static int result_of(struct life *w, uint32_t ticket) {
    struct answer a = take_answer(w, MESSAGE_RESULT);
    int value = -1;
    cr_assert_eq(a.head.ticket, ticket);
    cr_assert_eq(a.head.code, 0, "%d: %s", a.head.code, a.text);
    memcpy(&value, a.value, sizeof value);
    filch__claim_free(&w->channel, ticket);
    return value;
}

/* Tasks -------------------------------------------------------------------------------------------- */

static int square(void *arg, void *result) {
    *(int *)result = *(int *)arg * *(int *)arg;
    return 0;
}
static filch_future *child_of(int n) {
    filch_future *f = NULL;
    int rc = filch_submit(filch_current_executor(), square, &n, sizeof n, sizeof n, &f);
    if (rc != 0) _exit(99);
    return f;
}
static int ask_child(void *arg, void *result) {
    filch_future *f = child_of(*(int *)arg);
    int rc = filch_future_result(f, result, FILCH_FOREVER);
    filch_future_release(f);
    return rc;
}

Test(nested, a_child_is_submitted_awaited_and_done) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    for (int i = 0; i < 20; i++) {
        post(&w, 0, ask_child, &i, sizeof i, sizeof i);
        struct asked a = take(&w, MESSAGE_SUBMIT);
        struct filch__function_name name = {.offset = a.submit.offset, .id_size = a.submit.id_size};
        void (*fn)(void);
        memcpy(name.id, a.submit.id, sizeof name.id);
        memcpy(name.path, a.bytes, a.submit.path_size);
        cr_assert_eq(filch__function_find(&name, &fn), 0);
        cr_assert_eq((filch_task_fn *)fn, square);
        cr_assert_eq(a.submit.result_size, sizeof(int));
        cr_assert_eq(a.submit.arg.size, sizeof(int));
        cr_assert_eq(memcmp(a.bytes + filch__message_round(a.submit.path_size), &i, sizeof i), 0);
        say(&w, a.submit.child, 0);
        struct asked await = take(&w, MESSAGE_AWAIT);
        cr_assert_eq(await.head.child, a.submit.child);
        await_ok(&w);
        end_child(&w, a.submit.child, 0, 0, i * i, "");
        take(&w, MESSAGE_AWAKE);
        cr_assert_eq(result_of(&w, 0), i * i);
    }
    zygote_end(&z);
}

/* The child itself is run here, above the task that waits for it. */
Test(nested, a_child_runs_on_top) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    int n = 6;
    post(&w, 0, ask_child, &n, sizeof n, sizeof n);
    uint64_t child = accept_child(&w);
    take(&w, MESSAGE_AWAIT);
    await_ok(&w);
    struct filch__function_name name;
    cr_assert_eq(filch__function_name((void (*)(void))square, &name), 0);
    post_name(&w, &name);
    post_known(&w, 1, w.functions - 1, TASK_ON_TOP, &n, sizeof n, sizeof n);
    cr_assert_eq(result_of(&w, 1), 36);
    end_child(&w, child, 0, 0, 36, "");
    take(&w, MESSAGE_AWAKE);
    cr_assert_eq(result_of(&w, 0), 36);
    zygote_end(&z);
}

/* A wait that is refused while another one stands on top of it ends when it is its turn again. */
Test(nested, two_waits_on_top_of_each_other_are_refused) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    int n = 6;
    post(&w, 0, ask_child, &n, sizeof n, sizeof n);
    uint64_t below = accept_child(&w);
    take(&w, MESSAGE_AWAIT);
    await_ok(&w);
    struct filch__function_name name;
    cr_assert_eq(filch__function_name((void (*)(void))ask_child, &name), 0);
    post_name(&w, &name);
    post_known(&w, 1, w.functions - 1, TASK_ON_TOP, &n, sizeof n, sizeof n);
    uint64_t above = accept_child(&w);
    take(&w, MESSAGE_AWAIT);
    await_ok(&w);
    refuse_wait(&w, below);
    refuse_wait(&w, above);
    for (uint32_t i = 2; i-- > 0;) {
        take(&w, MESSAGE_AWAKE);
        struct answer a = take_answer(&w, MESSAGE_RESULT);
        cr_assert_eq(a.head.ticket, i);
        cr_assert_eq(a.head.code, FILCH_EAGAIN);
    }
    end_child(&w, above, 0, 0, 36, "");
    end_child(&w, below, 0, 0, 36, "");
    zygote_end(&z);
}

static int ask_twice(void *arg, void *result) {
    filch_future *f = child_of(*(int *)arg);
    int rc = filch_future_result(f, NULL, FILCH_MILLISECONDS(1));
    if (rc == FILCH_ETIMEDOUT) rc = filch_future_result(f, result, FILCH_FOREVER);
    filch_future_release(f);
    return rc;
}
/* The program refuses a wait that is over by the time it says so: the next one is not refused by that. */
Test(nested, a_refusal_that_is_late_is_not_for_the_next_wait) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    int n = 6;
    for (int refused = 0; refused < 2; refused++) {
        post(&w, 0, ask_twice, &n, sizeof n, sizeof n);
        uint64_t child = accept_child(&w);
        take(&w, MESSAGE_AWAIT);
        take(&w, MESSAGE_AWAKE);
        take(&w, MESSAGE_AWAIT);
        await_ok(&w);
        refuse_wait(&w, child);
        await_ok(&w);
        if (refused) {
            refuse_wait(&w, child);
            take(&w, MESSAGE_AWAKE);
            struct answer a = take_result(&w, 0);
            cr_assert_eq(a.head.code, FILCH_EAGAIN);
            end_child(&w, child, 0, 0, 36, "");
            continue;
        }
        usleep(10000); /* it would give up */
        end_child(&w, child, 0, 0, 36, "");
        take(&w, MESSAGE_AWAKE);
        cr_assert_eq(result_of(&w, 0), 36);
    }
    zygote_end(&z);
}

/* What was posted to run later waits until it is taken back, and is then skipped; what was not taken back runs. */
Test(nested, what_was_posted_behind_is_left_alone) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    int n = 3;
    post(&w, 0, ask_child, &n, sizeof n, sizeof n);
    post(&w, 1, square, &n, sizeof n, sizeof n);
    uint64_t first = w.generation;
    uint64_t child = accept_child(&w);
    take(&w, MESSAGE_AWAIT);
    usleep(10000);
    cr_assert(filch__claim_revoke(&w.channel, 1, first), "it was taken");
    await_ok(&w);
    struct answer a = take_answer(&w, MESSAGE_SKIPPED);
    cr_assert_eq(a.head.ticket, 1);
    cr_assert_eq(a.head.generation, first);
    filch__claim_free(&w.channel, 1);
    end_child(&w, child, 0, 0, 9, "");
    take(&w, MESSAGE_AWAKE);
    cr_assert_eq(result_of(&w, 0), 9);
    post(&w, 2, ask_child, &n, sizeof n, sizeof n);
    post(&w, 3, square, &n, sizeof n, sizeof n);
    child = take(&w, MESSAGE_SUBMIT).submit.child;
    end_child(&w, child, 0, 0, 9, "");
    say(&w, child, 0); /* the end was sent first */
    cr_assert_eq(result_of(&w, 2), 9);
    cr_assert_eq(result_of(&w, 3), 9);
    zygote_end(&z);
}

static int describe_child(void *arg, void *result) {
    filch_future *f = child_of(*(int *)arg);
    filch_error error;
    int rc = filch_future_error(f, &error, FILCH_FOREVER);
    if (rc == 0)
        snprintf(result, 200, "%d %s %d %d %d", error.code, error.text, error.origin.worker,
                 error.origin.pid, filch_future_cancelled(f));
    filch_future_release(f);
    return rc;
}
static void check_description(struct life *w, int code, uint32_t flags, const char *text,
                              const char *expected) {
    int n = 1;
    post(w, 0, describe_child, &n, sizeof n, 200);
    uint64_t child = accept_child(w);
    take(w, MESSAGE_AWAIT);
    end_child(w, child, code, flags, 0, text);
    take(w, MESSAGE_AWAKE);
    struct answer a = take_result(w, 0);
    cr_assert_eq(a.head.code, 0);
    cr_assert_str_eq(a.value, expected);
}
Test(nested, errors_of_children) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    check_description(&w, 12, 0, "no bread", "12 no bread 7 4711 0");
    char expected[200];
    snprintf(expected, sizeof expected, "%d it died 7 4711 0", FILCH_EWORKER);
    check_description(&w, FILCH_EWORKER, 0, "it died", expected);
    snprintf(expected, sizeof expected, "%d %s -1 0 1", FILCH_ECANCELED,
             filch_error_text(FILCH_ECANCELED));
    check_description(&w, FILCH_ECANCELED, RESULT_CANCELLED, "", expected);
    zygote_end(&z);
}

static int submit_and_say(void *arg, void *result) {
    filch_future *f = NULL;
    int rc = filch_submit(filch_current_executor(), square, arg, sizeof(int), sizeof(int), &f);
    *(int *)result = f != NULL;
    return filch_fail(rc, "%s", filch_last_error());
}
Test(nested, a_submit_that_is_refused) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    int n = 1;
    for (int i = 0; i < 3; i++) {
        post(&w, 0, submit_and_say, &n, sizeof n, sizeof n);
        say(&w, take(&w, MESSAGE_SUBMIT).submit.child, FILCH_ESHUTDOWN);
        struct answer a = take_result(&w, 0);
        cr_assert_eq(a.head.code, FILCH_ESHUTDOWN);
        cr_assert_not_null(strstr(a.text, "submit: "), "%s", a.text);
    }
    zygote_end(&z);
}

/* Cancel, look, request ------------------------------------------------------------------------------ */

static int cancel_child(void *arg, void *result) {
    filch_future *f = child_of(*(int *)arg);
    int *seen = result;
    seen[0] = filch_future_running(f);
    seen[1] = filch_future_cancel(f);
    seen[2] = filch_future_done(f);
    seen[3] = filch_future_running(f);
    seen[4] = filch_future_request_cancel(f);
    filch_future_release(f);
    return 0;
}
Test(nested, a_child_is_cancelled_or_it_runs) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    int n = 1, seen[5];
    post(&w, 0, cancel_child, &n, sizeof n, sizeof seen);
    uint64_t child = accept_child(&w);
    cr_assert_eq(take(&w, MESSAGE_CANCEL).head.flags, CHILD_LOOK);
    say(&w, child, 0);
    cr_assert_eq(take(&w, MESSAGE_CANCEL).head.flags, CHILD_CANCEL);
    end_child(&w, child, FILCH_ECANCELED, RESULT_CANCELLED, 0, ""); /* it may be told twice */
    say(&w, child, 0);
    struct answer a = take_result(&w, 0);
    memcpy(seen, a.value, sizeof seen);
    cr_assert(!seen[0] && seen[1] && seen[2] && !seen[3] && seen[4]);

    post(&w, 0, cancel_child, &n, sizeof n, sizeof seen);
    child = accept_child(&w);
    cr_assert_eq(take(&w, MESSAGE_CANCEL).head.flags, CHILD_LOOK);
    say(&w, child, 0);
    cr_assert_eq(take(&w, MESSAGE_CANCEL).head.flags, CHILD_CANCEL);
    say(&w, child, FILCH_ESTATE);
    cr_assert_eq(take(&w, MESSAGE_CANCEL).head.flags, CHILD_REQUEST);
    say(&w, child, FILCH_ESTATE);
    a = take_result(&w, 0);
    memcpy(seen, a.value, sizeof seen);
    cr_assert(!seen[0] && !seen[1] && !seen[2] && seen[3] && seen[4]);
    zygote_end(&z);
}

/* Several children ----------------------------------------------------------------------------------- */

static int sum;
static void add_up(filch_future *f, void *context) {
    int value = 0;
    (void)context;
    if (filch_future_result(f, &value, 0) == 0) sum += value;
}
/* Callbacks run here; what is made of children is done with them. */
static int gather_children(void *arg, void *result) {
    filch_future *f[4], *all = NULL, *first[4];
    int n = *(int *)arg;
    sum = 0;
    for (int i = 0; i < 4; i++) {
        f[i] = first[i] = child_of(n + i);
        if (filch_future_add_done_callback(f[i], add_up, NULL) != 0) return 1;
    }
    if (filch_wait(first, 4, FILCH_FOREVER, FILCH_FIRST_COMPLETED) < 1) return 2;
    if (filch_all(f, 4, &all) != 0) return 3;
    if (filch_future_result(all, NULL, FILCH_FOREVER) != 0) return 4;
    if (filch_wait(f, 4, 0, FILCH_ALL_COMPLETED) != 4) return 5;
    filch_future_release(all);
    for (int i = 0; i < 4; i++) filch_future_release(f[i]);
    *(int *)result = sum;
    return 0;
}
Test(nested, sets_and_callbacks) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    for (int n = 0; n < 10; n++) {
        uint64_t children[4];
        int expected = 0;
        post(&w, 0, gather_children, &n, sizeof n, sizeof n);
        for (int i = 0; i < 4; i++) children[i] = accept_child(&w);
        take(&w, MESSAGE_AWAIT);
        end_child(&w, children[n % 4], 0, 0, 1 << (n % 4), "");
        take(&w, MESSAGE_AWAKE);
        take(&w, MESSAGE_AWAIT);
        for (int i = 0; i < 4; i++) {
            expected += 1 << i;
            if (i != n % 4) end_child(&w, children[i], 0, 0, 1 << i, "");
        }
        take(&w, MESSAGE_AWAKE);
        cr_assert_eq(result_of(&w, 0), expected);
    }
    zygote_end(&z);
}

/* A loop that looks, and never waits, sees the end. */
static int poll_child(void *arg, void *result) {
    filch_future *f = child_of(*(int *)arg);
    while (!filch_future_done(f)) usleep(100);
    int rc = filch_future_result(f, result, 0);
    filch_future_release(f);
    return rc;
}
static int time_out(void *arg, void *result) {
    filch_future *f = child_of(*(int *)arg);
    *(int *)result = filch_future_result(f, NULL, FILCH_MILLISECONDS(5)) == FILCH_ETIMEDOUT;
    filch_future_release(f); /* it is done when nobody wants it any more */
    return 0;
}
Test(nested, looks_and_deadlines) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    int n = 5;
    post(&w, 0, poll_child, &n, sizeof n, sizeof n);
    uint64_t child = accept_child(&w);
    usleep(5000);
    end_child(&w, child, 0, 0, 25, "");
    cr_assert_eq(result_of(&w, 0), 25);
    post(&w, 0, time_out, &n, sizeof n, sizeof n);
    child = accept_child(&w);
    take(&w, MESSAGE_AWAIT);
    take(&w, MESSAGE_AWAKE);
    cr_assert_eq(result_of(&w, 0), 1);
    end_child(&w, child, 0, 0, 25, "late");
    post(&w, 0, square, &n, sizeof n, sizeof n);
    cr_assert_eq(result_of(&w, 0), 25);
    zygote_end(&z);
}

/* Arguments and results beyond what a message carries; the argument's destructor runs here. */
enum { LARGE = 100000 };
static int destroyed;
static void note_destroyed(void *arg) {
    destroyed += *(int *)arg;
}
static int ask_large(void *arg, void *result) {
    int *large = calloc(1, LARGE), *back = calloc(1, LARGE);
    filch_task task = FILCH_TASK_INIT;
    filch_future *f = NULL;
    large[0] = *(int *)arg;
    large[LARGE / sizeof *large - 1] = 4711;
    task.fn = square;
    task.arg = large;
    task.arg_size = task.result_size = LARGE;
    task.name = "large";
    task.arg_destroy = note_destroyed;
    destroyed = 0;
    int rc = filch_submit_task(filch_current_executor(), &task, &f);
    free(large);
    if (rc == 0) rc = filch_future_result(f, back, FILCH_FOREVER);
    *(int *)result = destroyed + back[LARGE / sizeof *back - 1];
    filch_future_release(f);
    free(back);
    return rc;
}
Test(nested, large_values) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    for (int i = 1; i < 100; i++) {
        post(&w, 0, ask_large, &i, sizeof i, sizeof i);
        struct asked a = take(&w, MESSAGE_SUBMIT);
        struct filch__held *held;
        cr_assert_eq(a.submit.arg.size, LARGE);
        const int *arg = filch__arena_view_hold(w.view, &a.submit.arg, &held);
        cr_assert_not_null(arg);
        cr_assert_eq(arg[0], i);
        cr_assert_eq(arg[LARGE / sizeof *arg - 1], 4711);
        filch__held_release(held);
        cr_assert_eq(a.submit.name.size, 5);
        say(&w, a.submit.child, 0);
        take(&w, MESSAGE_AWAIT);
        struct filch__bytes bytes;
        int *value = filch__arena_alloc(w.arena, LARGE, true, &bytes);
        cr_assert_not_null(value);
        value[LARGE / sizeof *value - 1] = 1000;
        struct filch__message_result *m = filch__channel_begin_down(
            &w.channel, MESSAGE_CHILD_DONE, filch__message_round(sizeof *m));
        memset((char *)m + sizeof m->head, 0, sizeof *m - sizeof m->head);
        m->generation = a.submit.child;
        m->value = bytes;
        m->value.size = LARGE;
        filch__channel_publish_down(&w.channel);
        take(&w, MESSAGE_AWAKE);
        cr_assert_eq(result_of(&w, 0), 1000 + i);
    }
    zygote_end(&z);
}

/* Other things ---------------------------------------------------------------------------------------- */

static int refused_calls(void *arg, void *result) {
    filch_executor *e = filch_current_executor();
    int *seen = result;
    (void)arg;
    seen[0] = filch_executor_shutdown(e, 0);
    seen[1] = filch_executor_shutdown(e, FILCH_WAIT);
    seen[2] = filch_executor_destroy(e);
    filch_stats stats = FILCH_STATS_INIT;
    seen[3] = filch_executor_stats(e, &stats);
    return 0;
}
Test(nested, the_executor_cannot_be_ended_here) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    int seen[4];
    struct answer a = run_in(&w, refused_calls, NULL, 0, sizeof seen);
    memcpy(seen, a.value, sizeof seen);
    cr_assert_eq(seen[0], FILCH_ENOTSUP);
    cr_assert_eq(seen[1], FILCH_EDEADLK);
    cr_assert_eq(seen[2], FILCH_EDEADLK);
    cr_assert_eq(seen[3], 0);
    zygote_end(&z);
}

static int submit_in_initializer(void *arg) {
    int n = 1;
    (void)arg;
    int rc = filch_submit(filch_current_executor(), square, &n, sizeof n, sizeof n, NULL);
    return rc == FILCH_ENOTSUP ? 0 : 1;
}
static int detach_child(void *arg, void *result) {
    (void)result;
    return filch_submit(filch_current_executor(), square, arg, sizeof(int), sizeof(int), NULL);
}
Test(nested, children_of_nobody) {
    struct zygote_play z =
        zygote_with((struct zygote_options){.initializer = submit_in_initializer});
    struct life w = life_start(&z, 0);
    int n = 1;
    post(&w, 0, detach_child, &n, sizeof n, 0);
    struct asked a = take(&w, MESSAGE_SUBMIT);
    cr_assert_eq(a.submit.flags, SUBMIT_DETACHED);
    say(&w, a.submit.child, 0);
    take_result(&w, 0);
    zygote_end(&z);
}

/* The wait is for another thread of the worker, while there is a child as well. */
static int double_it(void *arg, void *result) {
    usleep(5000);
    *(int *)result = 2 * *(int *)arg;
    return 0;
}
static int wait_for_threads(void *arg, void *result) {
    filch_future *f = child_of(1), *other = NULL;
    int rc = filch_submit(NULL, double_it, arg, sizeof(int), sizeof(int), &other);
    if (rc == 0) rc = filch_future_result(other, result, FILCH_FOREVER);
    filch_future_release(other);
    filch_future_release(f);
    return rc;
}
Test(nested, threads_of_the_worker_end_a_wait) {
    struct zygote_play z = zygote_with((struct zygote_options){0});
    struct life w = life_start(&z, 0);
    int n = 21;
    post(&w, 0, wait_for_threads, &n, sizeof n, sizeof n);
    accept_child(&w);
    cr_assert_eq(take(&w, MESSAGE_AWAIT).head.child, 0);
    take(&w, MESSAGE_AWAKE);
    cr_assert_eq(result_of(&w, 0), 42);
    zygote_end(&z);
}
