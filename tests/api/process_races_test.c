/* process_races_test.c: threads of the program that meet at the desk of an executor on processes, each stopped where it hurts.
 *
 * What is lost there is waited for without an end: the suite's time limit says so.
 *
 * SPDX-License-Identifier: MIT */
#include "process_support.h"

TestSuite(process_races, .timeout = 20);

/* Support ------------------------------------------------------------------------------------------------- */

/* A task that may stay as stay_until_open does, and whose argument has a destructor, which the manager runs: it says that it has
 * come, and stays until it may go. */
struct visit {
    uint32_t come, go;
};
struct guest {
    struct stay stay;
    struct visit *visit;
};
static void stay_in_destructor(void *arg) {
    struct guest *guest = arg;
    flag_raise(&guest->visit->come);
    flag_wait(&guest->visit->go);
}
static filch_future *submit_guest(filch_executor *e, filch_task_fn *fn, struct guest *guest) {
    filch_task task = FILCH_TASK_INIT;
    filch_future *f = NULL;
    task.fn = fn;
    task.arg = guest;
    task.arg_size = sizeof *guest;
    task.arg_destroy = stay_in_destructor;
    ok(filch_submit_task(e, &task, &f));
    return f;
}

static void await_it(void *future) {
    (void)filch_future_result(future, NULL, FILCH_FOREVER);
}
/* A thread that waits for the future and does the desk's work; it stands before its sleep. */
static pthread_t attend(filch_future *f, struct stopper **sleep) {
    *sleep = stop_at("attend.sleep");
    pthread_t thread = thread_start(await_it, f);
    stopper_wait_reached(*sleep);
    return thread;
}
/* Who sleeps ---------------------------------------------------------------------------------------------- */

/* The manager has seen an attendant, and is stopped; the attendant goes. */
Test(process_races, the_manager_names_no_attendant_that_has_gone) {
    filch_executor *e = processes_of(2);
    struct visit first = {0, 0}, second = {0, 1};
    struct guest guest = {new_stay(), &second};
    struct stay stay;
    struct stopper *asleep, *named, *slept;
    filch_future *f = stay_on(e, &stay);
    pthread_t attendant = attend(f, &asleep);
    filch_future *before = submit_to(e, do_nothing, NULL, 0, 0);
    while (filch_future_result(before, NULL, 1) != 0) sched_yield();
    filch_future_release(before);
    usleep(20000); /* the zygote has told of both workers */
    filch_future *g = submit_guest(e, do_nothing, &(struct guest){stay, &first});
    while (filch_load_acquire(&first.come) == 0) (void)filch_future_result(g, NULL, 1);
    named = stop_at("manager.named");
    flag_raise(&first.go);
    stopper_wait_reached(named);
    stopper_release(asleep);
    shared_add(stay.open, 1);
    thread_finish(attendant);
    slept = stop_at("manager.sleep");
    stopper_release(named);
    stopper_wait_reached(slept);
    filch_future *h = submit_guest(e, stay_until_open, &guest);
    shared_wait(guest.stay.pid, 1);
    stopper_release(slept);
    shared_add(guest.stay.open, 1);
    flag_wait(&second.come); /* by the manager, who is told of its end */
    filch_future_release(f);
    filch_future_release(g);
    filch_future_release(h);
    ok(filch_executor_destroy(e));
}

/* The manager is awake, and runs code of the user that lasts until the attendant has been woken. */
Test(process_races, an_attendant_is_woken_while_the_manager_is_busy) {
    filch_executor *e = processes_of(2);
    struct visit visit = {0, 0};
    struct stay stay;
    struct stopper *asleep, *woken;
    filch_future *f = stay_on(e, &stay);
    pthread_t attendant = attend(f, &asleep);
    stopper_release(asleep);
    cr_assert_eq(finish(submit_to(e, do_nothing, NULL, 0, 0)), 0);
    usleep(20000); /* the zygote has told of both workers */
    woken = stop_at("manager.woken");
    filch_future *g = submit_guest(e, do_nothing, &(struct guest){stay, &visit});
    while (!stopper_is_reached(woken)) (void)filch_future_result(g, NULL, 1);
    usleep(20000); /* the attendant sleeps again */
    stopper_release(woken);
    while (filch_load_acquire(&visit.come) == 0) (void)filch_future_result(g, NULL, 1);
    shared_add(stay.open, 1);
    thread_finish(attendant);
    flag_raise(&visit.go);
    filch_future_release(f);
    filch_future_release(g);
    ok(filch_executor_destroy(e));
}

/* A cancel while it is posted ------------------------------------------------------------------------------ */

static struct stopper *copying; /* the desk stands before it reads the task */
static int destroyed, destroyed_early;
static uint32_t cancelled;
static void note_destroyed(void *arg) {
    (void)arg;
    add(&destroyed, 1);
    if (stopper_is_reached(copying)) add(&destroyed_early, 1);
}
static void cancel_it(void *future) {
    filch_future_cancel(future);
    flag_raise(&cancelled);
}
static void submit_nothing(void *executor) {
    if (filch_submit(executor, do_nothing, NULL, 0, 0, NULL) != 0) abort();
}

/* While the desk copies an argument nobody destroys it. */
Test(process_races, an_argument_that_is_copied_is_not_destroyed) {
    filch_executor *e = processes_of(1);
    char bytes[100] = "";
    filch_task task = FILCH_TASK_INIT;
    filch_future *f = NULL;
    task.fn = do_nothing;
    task.arg = bytes;
    task.arg_size = sizeof bytes;
    task.arg_destroy = note_destroyed;
    struct stopper *held = stop_at("post.held");
    pthread_t desk = thread_start(submit_nothing, e);
    stopper_wait_reached(held);
    ok(filch_submit_task(e, &task,
                         &f)); /* for which the one who holds the desk takes another turn */
    copying = stop_at("post.held");
    struct stopper *revoke = stop_at("attend.revoke");
    stopper_release(held);
    stopper_wait_reached(copying);
    pthread_t canceller = thread_start(cancel_it, f);
    while (!stopper_is_reached(revoke) && filch_load_acquire(&cancelled) == 0) sched_yield();
    stopper_release(revoke);
    linger(100);
    cr_assert_eq(read_int(&destroyed_early), 0);
    cr_assert_eq(read_int(&destroyed), 0);
    stopper_release(copying);
    thread_finish(canceller);
    thread_finish(desk);
    int rc = finish(f);
    cr_assert(rc == 0 || rc == FILCH_ECANCELED, "%d", rc);
    ok(filch_executor_destroy(e));
    cr_assert_eq(destroyed, 1);
}

/* A submit that is refused --------------------------------------------------------------------------------- */

struct submission {
    filch_executor *e;
    filch_future *f;
    int rc;
};
static void submit_it(void *context) {
    struct submission *s = context;
    s->rc = filch_submit(s->e, do_nothing, NULL, 0, 0, &s->f);
}

/* It has seen that no worker could be started; then one is, which does not have the task yet. */
Test(process_races, a_submit_is_refused_or_runs) {
    filch_executor *e = processes_of(1);
    struct submission s = {e, NULL, -1};
    struct stopper *reconsider = stop_at("submit.reconsider"), *made = stop_at("hire.made");
    filch__fault_plan(FAULT_FD, 0, true);
    pthread_t submitter = thread_start(submit_it, &s);
    stopper_wait_reached(reconsider);
    filch__fault_clear();
    stopper_wait_reached(made);
    stopper_release(reconsider);
    thread_finish(submitter);
    stopper_release(made);
    cr_assert_eq(s.rc == 0, s.f != NULL);
    cr_assert(s.rc == 0 || s.rc == FILCH_EAGAIN || s.rc == FILCH_ENOMEM, "%d", s.rc);
    if (s.rc == 0) cr_assert_eq(finish(s.f), 0);
    ok(filch_executor_destroy(e));
}

/* What was told --------------------------------------------------------------------------------------------- */

static int linger_and_say_pid(void *arg, void *result) {
    usleep(5000); /* longer than a kill takes */
    return say_pid(arg, result);
}

/* The desk has read what it was told, and has not given out tasks yet: the old worker must not get one that comes after its end.
 * Its end may also come before it takes it, and nothing shows: hence the rounds. */
Test(process_races, a_task_after_a_kill_gets_a_new_worker) {
    filch_executor *e = processes_of(1);
    for (int round = 0; round < 20; round++) {
        int before = some_worker(e);
        struct stopper *turn = stop_at("desk.turn");
        pthread_t desk = thread_start(submit_nothing, e);
        stopper_wait_reached(turn);
        ok(filch_executor_kill_workers(e));
        filch_future *f = submit_to(e, linger_and_say_pid, NULL, 0, sizeof(int));
        stopper_release(turn);
        cr_assert_neq(value_of(f), before);
        thread_finish(desk);
    }
    ok(filch_executor_destroy(e));
}
