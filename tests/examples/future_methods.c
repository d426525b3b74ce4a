/* future_methods.c: what a future can be asked, and told.
 *
 * Build: cc future_methods.c $(pkg-config --cflags --libs filch)
 *
 * Prints:
 *
 *     result of the first, within 10 ms: FILCH_ETIMEDOUT
 *     the first runs; cancelling it fails
 *     callback of the second: it is cancelled
 *     the second is done and cancelled; its result: FILCH_ECANCELED
 *     result of the first: 42
 *     callback of the first: it has finished
 *     the third failed with 1: 7 is not even
 *
 * SPDX-License-Identifier: MIT */
#include <filch.h>
#include <semaphore.h>
#include <stdio.h>

/* With these the program decides when the first task goes on. */
static sem_t started, may_go;

static int first_task(void *arg, void *result) {
    (void)arg;
    sem_post(&started);
    sem_wait(&may_go);
    *(int *)result = 42;
    return 0;
}

static int halve(void *arg, void *result) {
    int n = *(int *)arg;
    if (n % 2 != 0) return filch_fail(1, "%d is not even", n);
    *(int *)result = n / 2;
    return 0;
}

static void report(filch_future *future, void *context) {
    printf("callback of the %s: it %s\n", (const char *)context,
           filch_future_cancelled(future) ? "is cancelled" : "has finished");
}

/* NULL if it fails; all calls allow that. */
static filch_future *submit(filch_executor *executor, filch_task_fn *fn, int n) {
    filch_future *future = NULL;
    if (filch_submit(executor, fn, &n, sizeof n, sizeof n, &future) != 0)
        fprintf(stderr, "%s\n", filch_last_error());
    return future;
}

static void show(filch_executor *executor) {
    filch_future *first = submit(executor, first_task, 0);
    filch_future *second = submit(executor, halve, 8);
    filch_future *third = submit(executor, halve, 7);
    filch_error error;
    int value, rc;
    if (first != NULL) sem_wait(&started);

    rc = filch_future_result(first, &value, FILCH_MILLISECONDS(10));
    printf("result of the first, within 10 ms: %s\n", filch_error_name(rc));
    if (filch_future_running(first) && !filch_future_cancel(first))
        puts("the first runs; cancelling it fails");

    filch_future_add_done_callback(second, report, "second");
    filch_future_cancel(second); /* it waits behind the first: the callback runs here */
    rc = filch_future_result(second, &value, FILCH_FOREVER);
    if (filch_future_done(second) && filch_future_cancelled(second))
        printf("the second is done and cancelled; its result: %s\n", filch_error_name(rc));

    sem_post(&may_go);
    if (filch_future_result(first, &value, FILCH_FOREVER) == 0)
        printf("result of the first: %d\n", value);
    filch_future_add_done_callback(first, report, "first"); /* it is done: called at once */

    if (filch_future_error(third, &error, FILCH_FOREVER) == 0)
        printf("the third failed with %d: %s\n", error.code, error.text);
    filch_future_release(first);
    filch_future_release(second);
    filch_future_release(third);
}

int main(void) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    FILCH_AUTO_EXECUTOR(executor);
    options.max_workers = 1; /* so that the second task waits for the first */
    sem_init(&started, 0, 0);
    sem_init(&may_go, 0, 0);
    if (filch_thread_executor(&options, &executor) != 0) {
        fprintf(stderr, "%s\n", filch_last_error());
        return 1;
    }
    show(executor);
    return 0;
}
