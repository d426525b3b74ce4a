/* wait_for_ten.c: waits for the first of ten tasks, then for all, with a timeout; then stops what is left.
 *
 * usage: wait_for_ten [SECONDS]     the timeout; 5 by default
 *
 * Build: cc wait_for_ten.c $(pkg-config --cflags --libs filch)
 *
 * Prints:
 *
 *     the first is done
 *     ... of 10 done in time
 *     all ended: ... with a result, ... told to stop, ... cancelled before the start
 *
 * SPDX-License-Identifier: MIT */
#include <filch.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TASKS = 10, STOPPED = 1 };

/* Even tasks find something at once; odd ones look until they are told to stop. */
static int search(void *arg, void *result) {
    int number = *(int *)arg;
    while (number % 2 == 1) {
        struct timespec step = {0, 1000000};
        if (filch_cancel_requested()) return filch_fail(STOPPED, "told to stop");
        filch_blocking_begin();
        nanosleep(&step, NULL);
        filch_blocking_end();
    }
    *(int *)result = number;
    return 0;
}

/* How many futures ended with this code. */
static int count(filch_future **futures, size_t n, int code) {
    int found = 0;
    for (size_t i = 0; i < n; i++) found += filch_future_result(futures[i], NULL, 0) == code;
    return found;
}

static void wait_for(filch_future **futures, size_t n, double seconds) {
    ptrdiff_t done = filch_wait(futures, n, FILCH_FOREVER, FILCH_FIRST_COMPLETED);
    if (done >= 1) puts("the first is done");

    /* Those that are done are now in front: futures[0] to futures[done - 1]. */
    done = filch_wait(futures, n, FILCH_SECONDS(seconds), FILCH_ALL_COMPLETED);
    printf("%td of %zu done in time\n", done, n);
    for (size_t i = done < 0 ? 0 : (size_t)done; i < n; i++)
        filch_future_request_cancel(futures[i]); /* cancels it, or asks it to stop if it runs */

    if (filch_wait(futures, n, FILCH_FOREVER, FILCH_ALL_COMPLETED) == (ptrdiff_t)n)
        printf("all ended: %d with a result, %d told to stop, %d cancelled before the start\n",
               count(futures, n, 0), count(futures, n, STOPPED),
               count(futures, n, FILCH_ECANCELED));
}

int main(int argc, char **argv) {
    filch_thread_options options = FILCH_THREAD_OPTIONS_INIT;
    FILCH_AUTO_EXECUTOR(executor);
    filch_future *futures[TASKS];
    int n = 0;
    options.max_workers = 4;
    int rc = filch_thread_executor(&options, &executor);
    while (rc == 0 && n < TASKS) {
        rc = filch_submit(executor, search, &n, sizeof n, sizeof(int), &futures[n]);
        if (rc == 0) n++;
    }
    if (rc != 0) fprintf(stderr, "%s\n", filch_last_error());
    if (n > 0) wait_for(futures, (size_t)n, argc > 1 ? atof(argv[1]) : 5);
    while (n > 0) filch_future_release(futures[--n]);
    return rc != 0;
}
