/* crew.c: who is told of work (runtime/thread/crew.c, block.c, idle.c) and the wait for what is queued here (wait.c): two
 * or three threads that do one step each of what a pool does. Whole executors are in pool.c.
 *
 * Workers are made by hand and counted in the word; what stands in the injector are futures that are never run: whoever
 * shall find one takes it. If nobody is told, nobody can go on.
 *
 * SPDX-License-Identifier: MIT */
#include "explorer.h"

#include "os/memory.h"
#include "self.h"
#include "thread/pool.h"
#include <filch/future.h>

enum { WORKERS = 2, TASKS = 2 };

static struct filch__pool *pool;
static struct filch__worker *workers[WORKERS];
static filch_future tasks[TASKS];
static int published[TASKS]; /* plain */

/* An executor for `max` that are awake at a time, and `spares` more, without threads. */
static void begin(int max, int spares) {
    filch_executor *executor = NULL;
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    options.max_workers = max;
    options.max_spares = spares;
    options.spin = -1;
    explore_check(filch_thread_executor(&options, &executor) == 0, "an executor");
    pool = filch__pool_of(executor);
    pool->sleep.searchers = 2;
    for (int i = 0; i < TASKS; i++) published[i] = 0;
}

/* `count` workers, which are BUSY. */
static void hire(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        workers[i] = filch__worker_create(pool, i);
        store_relaxed(&workers[i]->life, (uint32_t)WORKER_CLAIMED);
        store_relaxed(&pool->slots[i], workers[i]);
    }
    store_relaxed(&pool->slots_used, count);
    store_relaxed(&pool->sleep.word, count * STARTED_ONE);
    store_relaxed(&pool->confirmed, 1u);
}

static void end(void) {
    explore_join();
    filch__pool_destroy(&pool->base);
    explore_check(explore_live_blocks() == 0, "something is not freed");
}

static void publish(int i) {
    published[i] = 1;
    filch__stack_push(&pool->injector, &tasks[i].link);
    filch__crew_tell_after_push(pool);
}

/* As worker.c: the next entries, whatever that takes. */
static void take(struct filch__worker *w, int count) {
    filch__thread.self = &w->self;
    for (int i = 0; i < count; i++) {
        filch__entry entry = w->searching ? ENTRY_NONE : filch__worker_next(w);
        if (entry == ENTRY_NONE) entry = filch__worker_idle(w);
        explore_check(entry != ENTRY_NONE, "an entry");
        explore_check(published[filch__entry_future(entry) - tasks] == 1, "what is taken");
        filch__hand_empty(w);
    }
}

/* A place that becomes free ----------------------------------------------------------------------- */

/* One of two that are awake, where one may be: it sleeps, and takes the place of the other one when that blocks. */
static void spare(void *unused) {
    (void)unused;
    struct filch__worker *w = workers[0];
    filch__thread.self = &w->self;
    explore_check(filch__worker_retire(w), "nothing has ended");
    take(w, 1);
}
static void blocker(void *unused) {
    (void)unused;
    filch__thread.self = &workers[1]->self;
    filch__worker_blocking_begin(&workers[1]->self);
}
static void publisher(void *index) {
    publish(*(int *)index);
}
static int indices[TASKS] = {0, 1};
static void blocks(void) {
    begin(1, 1);
    hire(2);
    explore_spawn(spare, NULL);
    explore_spawn(blocker, NULL);
    explore_spawn(publisher, &indices[0]);
    end();
}

/* The sleeper was woken before, and sleeps again since enough are awake. */
static void waking_publisher(void *unused) {
    filch__crew_unpark_one(pool);
    publisher(unused);
}
static void blocks_again(void) {
    begin(1, 1);
    hire(2);
    explore_spawn(spare, NULL);
    explore_spawn(blocker, NULL);
    explore_spawn(waking_publisher, &indices[0]);
    end();
}

/* Starts ------------------------------------------------------------------------------------------- */

/* One worker, which goes to sleep; another one cannot be started. Whoever has relied on the start is helped by who
 * gives it up. */
static void only_worker(void *unused) {
    (void)unused;
    take(workers[0], TASKS);
}
static void start_fails(void) {
    begin(2, -1);
    hire(1);
    explore_let_starts_fail(TASKS);
    explore_spawn(only_worker, NULL);
    explore_spawn(publisher, &indices[0]);
    explore_spawn(publisher, &indices[1]);
    end();
}

/* Two need the first worker. Whoever is told that there is one finds it counted. */
static void needs_one(void *unused) {
    (void)unused;
    int rc = filch__crew_ensure_one(pool);
    explore_check(rc == 0 || rc == FILCH_EAGAIN, "a worker, or none can be started");
    if (rc == 0)
        explore_check(sleep_count(sleep_read(&pool->sleep), STARTED_ONE) == 1, "it is counted");
}
static void ends_at_once(void *unused) {
    (void)unused;
}
static void first_start(void) {
    begin(2, -1);
    explore_let_threads_do(ends_at_once);
    explore_let_starts_fail((int)explore_choose(2));
    int first = explore_spawn(needs_one, NULL), second = explore_spawn(needs_one, NULL);
    explore_join_one(first);
    explore_join_one(second);
    end();
}

/* The first start, and the end. The worker is a whole one, and what it has done is known when the end has been waited for. */
static int initialized; /* plain */
static bool starts_fail;
static int initialize(void *unused) {
    (void)unused;
    initialized = 1;
    return 0;
}
static void needs_first(void *unused) {
    (void)unused;
    int rc = filch__crew_ensure_one(pool);
    explore_check(rc == 0 || rc == FILCH_EAGAIN, "a worker, or none can be started");
}
static void closer(void *unused) {
    (void)unused;
    explore_check(filch__pool_shutdown(&pool->base, FILCH_WAIT) == 0, "shutdown");
    explore_check(initialized == 0 || !starts_fail, "nobody was started");
}
static void first_against_end(void) {
    begin(2, -1);
    pool->initializer = initialize;
    initialized = 0;
    starts_fail = explore_choose(2) == 1;
    explore_let_starts_fail(starts_fail);
    int first = explore_spawn(needs_first, NULL), second = explore_spawn(closer, NULL);
    explore_join_one(first);
    explore_join_one(second);
    end();
}

/* Waits -------------------------------------------------------------------------------------------- */

static filch_future *queued[2];
static int has_run[2]; /* plain */

static int note_run(void *argument, void *result) {
    (void)result;
    explore_check(++has_run[*(int *)argument] == 1, "a task runs twice");
    return 0;
}
/* Tasks of the first worker's heap: two references each. */
static void make_tasks(filch_task_fn *first, filch_task_fn *second) {
    for (int i = 0; i < 2; i++) {
        filch_task task = {
            .size = sizeof task, .fn = i == 0 ? first : second, .arg = &i, .arg_size = sizeof i};
        filch__heap_mine = workers[0]->heap;
        queued[i] = filch__future_create(workers[0]->heap, &task, 2);
        has_run[i] = 0;
    }
}
static void drop_tasks(void) {
    explore_join();
    filch__heap_mine = NULL;
    for (int i = 0; i < 2; i++) filch_future_release(queued[i]);
    end();
}

/* A worker waits for what stands at the bottom of its own deque, and may have been cancelled, while others steal: the entry
 * goes to one of them, and with it its reference. */
static void worker_that_waits(void *unused) {
    (void)unused;
    struct filch__worker *w = workers[0];
    struct filch__run run = {.future = NULL};
    filch__thread.self = &w->self;
    filch__heap_mine = w->heap;
    w->self.run = &run;
    w->nesting = 1;
    explore_check(filch__worker_wait(&w->self, queued[1], FILCH_FOREVER) == 0, "it has ended");
    w->self.run = NULL;
    filch__entry entry;
    while ((entry = filch__deque_pop(&w->local)) != ENTRY_NONE)
        filch_future_release(filch__entry_future(entry));
}
/* It starts nothing. */
static void thief(void *unused) {
    (void)unused;
    for (int i = 0; i < 2; i++) {
        filch__entry entry;
        if (filch__deque_steal(&workers[0]->local, &entry) == STEAL_OK)
            filch_future_release(filch__entry_future(entry));
    }
}
static void wait_for_newest(void) {
    begin(1, -1);
    hire(1);
    make_tasks(note_run, note_run);
    for (int i = 0; i < 2; i++)
        explore_check(filch__deque_push(&workers[0]->local, filch__entry_of_future(queued[i])),
                      "push");
    if (explore_choose(2) == 0) explore_check(filch_future_cancel(queued[1]), "cancel");
    explore_spawn(worker_that_waits, NULL);
    explore_spawn(thief, NULL);
    drop_tasks();
}

/* What stands in the deque of the worker that runs the awaited task, but below where that began, is none of its
 * descendants: who waits does not run it. */
static int forbidden(void *argument, void *result) {
    (void)argument, (void)result;
    explore_check(false, "what is no descendant runs on top of a wait");
    return 0;
}
static void worker_that_runs(void *unused) {
    (void)unused;
    struct filch__worker *w = workers[0];
    filch__thread.self = &w->self;
    filch__heap_mine = w->heap;
    explore_check(state_start(&queued[1]->state, w->self.index), "start");
    filch__worker_run(w, queued[1], true);
}
static void worker_that_helps(void *unused) {
    (void)unused;
    struct filch__worker *w = workers[1];
    struct filch__run run = {.future = NULL};
    filch__thread.self = &w->self;
    w->self.run = &run;
    w->nesting = 1;
    while (state_life(state_look(&queued[1]->state)) == LIFE_PENDING) explore_yield();
    explore_check(filch__worker_wait(&w->self, queued[1], FILCH_FOREVER) == 0, "it has ended");
    w->self.run = NULL;
}
static void help(void) {
    begin(2, -1);
    hire(2);
    make_tasks(forbidden, note_run);
    explore_check(filch__deque_push(&workers[0]->local, filch__entry_of_future(queued[0])), "push");
    explore_spawn(worker_that_runs, NULL);
    explore_spawn(worker_that_helps, NULL);
    explore_join();
    filch__entry entry = filch__deque_pop(&workers[0]->local);
    explore_check(entry != ENTRY_NONE, "it is left");
    filch_future_release(filch__entry_future(entry));
    drop_tasks();
}

const struct explore_scenario crew_scenarios[] = {
    {"crew_blocks", blocks, 2, 1, NULL},
    {"crew_blocks_again", blocks_again, 2, 1, NULL},
    {"crew_start_fails", start_fails, 1, 1, NULL},
    {"crew_first_start", first_start, 2, 1, NULL},
    {"crew_first_against_end", first_against_end, 1, 1, NULL},
    {"crew_wait_for_newest", wait_for_newest, 2, 1, NULL},
    {"crew_help", help, 2, 1, NULL},
    {NULL, NULL, 0, 0, NULL}};
