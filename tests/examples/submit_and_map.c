/* submit_and_map.c: an executor that runs one task, then a function over an array, and cleans up.
 *
 * Build: cc submit_and_map.c $(pkg-config --cflags --libs filch)
 *
 * Prints:
 *
 *     323 to the power of 1235, modulo 1000, is 507
 *     squares: 0 1 4 9 16 25 36 49 64 81
 *
 * SPDX-License-Identifier: MIT */
#include <filch.h>
#include <stdio.h>

struct power {
    long base, exponent, modulus;
};

/* A task: it gets a copy of the argument and a zeroed place for the result. It returns 0, or a code. */
static int power(void *arg, void *result) {
    const struct power *p = arg;
    long product = 1;
    if (p->modulus <= 0) return filch_fail(1, "the modulus is %ld, not positive", p->modulus);
    for (long i = 0; i < p->exponent; i++) product = product * p->base % p->modulus;
    *(long *)result = product;
    return 0;
}

static int square(void *arg, void *result) {
    *(long *)result = *(long *)arg * *(long *)arg;
    return 0;
}

static int print_power(filch_executor *executor, struct power p) {
    filch_future *future;
    long value;
    int rc = filch_submit(executor, power, &p, sizeof p, sizeof value, &future);
    if (rc != 0) return rc;
    rc = filch_future_result(future, &value, FILCH_FOREVER);
    if (rc == 0)
        printf("%ld to the power of %ld, modulo %ld, is %ld\n", p.base, p.exponent, p.modulus,
               value);
    filch_future_release(future);
    return rc;
}

static int print_squares(filch_executor *executor) {
    long numbers[10], squares[10];
    for (long i = 0; i < 10; i++) numbers[i] = i;
    int rc = filch_map_array(executor, square, numbers, sizeof(long), 10, squares, sizeof(long));
    if (rc != 0) return rc;
    printf("squares:");
    for (int i = 0; i < 10; i++) printf(" %ld", squares[i]);
    printf("\n");
    return 0;
}

int main(void) {
    /* Destroyed at the end of main, whichever way it is left, when all of its work is done. */
    FILCH_AUTO_EXECUTOR(executor);
    int rc = filch_thread_executor(NULL, &executor);
    if (rc == 0) rc = print_power(executor, (struct power){323, 1235, 1000});
    if (rc == 0) rc = print_squares(executor);
    if (rc != 0) fprintf(stderr, "%s: %s\n", filch_error_name(rc), filch_last_error());
    return rc != 0;
}
