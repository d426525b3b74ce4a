/* primes.c: a computation that keeps all CPUs busy: which of these large numbers are prime?
 *
 * Build: cc -O2 primes.c $(pkg-config --cflags --libs filch)
 *
 * Prints:
 *
 *     112272535095293 is prime
 *     112582705942171 is prime
 *     112272535095293 is prime
 *     115280095190773 is prime
 *     115797848077099 is prime
 *     1099726899285419 is not prime
 *
 * SPDX-License-Identifier: MIT */
#include <filch.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { NUMBERS = 6 };

static const uint64_t numbers[NUMBERS] = {
    112272535095293, 112582705942171, 112272535095293,
    115280095190773, 115797848077099, 1099726899285419,
};

/* The task. Nothing but its argument and its result: so it can run anywhere, at the same time as others. */
static int is_prime(void *arg, void *result) {
    uint64_t n = *(uint64_t *)arg;
    bool *prime = result; /* false: results begin as zero */
    if (n < 2 || (n % 2 == 0 && n != 2)) return 0;
    for (uint64_t i = 3; i * i <= n; i += 2)
        if (n % i == 0) return 0;
    *prime = true;
    return 0;
}

int main(void) {
    FILCH_AUTO_EXECUTOR(executor);
    bool prime[NUMBERS];
    /* As many workers as there are CPUs that this process may use. */
    int rc = filch_thread_executor(NULL, &executor);
    if (rc == 0)
        rc = filch_map_array(executor, is_prime, numbers, sizeof numbers[0], NUMBERS, prime,
                             sizeof prime[0]);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", filch_error_name(rc), filch_last_error());
        return 1;
    }
    for (int i = 0; i < NUMBERS; i++)
        printf("%llu is %s\n", (unsigned long long)numbers[i], prime[i] ? "prime" : "not prime");
    return 0;
}
