/* crash.c: a task that crashes costs its own future. The program, and the other tasks, go on.
 *
 * Build: cc -O2 crash.c $(pkg-config --cflags --libs filch)
 *
 * Prints:
 *
 *     parsed 10
 *     worker 0 (pid ...) was killed by signal 11 (Segmentation fault) in parse
 *     parsed 30
 *
 * SPDX-License-Identifier: MIT */
#include <filch.h>
#include <stdio.h>

static int *volatile nowhere;

/* The task, with a fault: of 2 it cannot find the number. */
static int parse(void *arg, void *result) {
    int *number = *(int *)arg == 2 ? nowhere : arg;
    *(int *)result = 10 * *number;
    return 0;
}

int main(int argc, char **argv) {
    filch_main(&argc, &argv); /* first of all: here workers begin their life */
    FILCH_AUTO_EXECUTOR(executor);
    if (filch_process_executor(NULL, &executor) != 0) return puts(filch_last_error()), 1;
    for (int i = 1; i <= 3; i++) {
        filch_future *future;
        filch_error error;
        int value;
        if (filch_submit(executor, parse, &i, sizeof i, sizeof value, &future) != 0) return 1;
        if (filch_future_result(future, &value, FILCH_FOREVER) == 0)
            printf("parsed %d\n", value);
        else if (filch_future_error(future, &error, FILCH_FOREVER) == 0)
            printf("%s\n", error.text);
        filch_future_release(future);
    }
    return 0;
}
