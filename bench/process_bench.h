/* process_bench.h: the rows of the benchmark of process executors, and how they are measured.
 *
 * Flow: process_main.c runs each row for some turns and prints it; a row is a function that measures once and notes
 * samples. What a figure stands beside is measured in the same turn: what the machine allows (bare), never
 * another run. process_peer.py measures the same jobs with Python, in a run of its own.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_PROCESS_BENCH_H
#define BENCH_PROCESS_BENCH_H

#include <filch.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Samples of one series, in nanoseconds or as a rate. */
typedef struct series {
    double *values;
    size_t n, room;
} series;

void series_add(series *s, double value);
/* The q-th quantile, 0 <= q <= 1; NAN without samples. */
double series_quantile(const series *s, double q);
void series_free(series *s);

typedef struct row {
    const char *key, *title, *unit;
    /* Measures once: notes one sample or more; `bare` may stay empty. False, with a line on standard error: it could not. */
    bool (*measure)(const struct row *row, series *filch, series *bare);
    const char *beside; /* what bare is; NULL: nothing */
    size_t size;        /* of the row's own */
    int turns, quick_turns;
} row;

extern const row process_rows[];
extern const size_t process_rows_length;

int64_t bench_now(void);
/* Ends the program with filch_last_error() where a call that must succeed has not. */
void must(int rc, const char *what);

/* process_bare.c: two processes that wake each other by a futex in shared memory. */
typedef struct ping_pong ping_pong;
ping_pong *ping_pong_start(void);
/* One round: there and back. */
void ping_pong_round(ping_pong *p);
void ping_pong_end(ping_pong *p);

#endif
