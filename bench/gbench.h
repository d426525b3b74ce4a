/* gbench.h: Google Benchmark for C.
 *
 * Flow: race.c adds its measurements with gbench_add, in the order in which they are to run, and runs
 * them with gbench_run; Google Benchmark calls each measurement's function, which loops while
 * gbench_next says so; after each, `report` gets the result, before the next one starts.
 *
 * Why so: Google Benchmark runs all repetitions of one benchmark before it goes on to the next, or,
 * with its random interleaving, shuffles the repetitions of all benchmarks. Neither gives turns, in
 * which every contestant runs once and which can be compared within themselves. Here each repetition
 * is added as a benchmark of its own, wherever it belongs in the order; the JSON file shows it as the
 * repetition that it is, so that Google's tools see what they expect.
 *
 * Times are real time; the CPU time is the whole process's. The number of iterations is fixed by the
 * caller, so that all contestants do the same work.
 *
 * Threads: all calls in the thread that calls gbench_run. One run per process.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_GBENCH_H
#define BENCH_GBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A measurement that is running. */
typedef struct gbench_state gbench_state;

typedef void gbench_fn(gbench_state *state, void *context);

typedef struct gbench_measurement {
    const char *name; /* copied */
    gbench_fn *fn;
    void *context;
    int64_t iterations;
    int repetition;  /* of this name, from 0 */
    int repetitions; /* how many there will be */
} gbench_measurement;

typedef struct gbench_result {
    void *context;       /* the measurement's */
    double real_seconds; /* per iteration */
    double cpu_seconds;  /* per iteration, all threads of the process together */
    const char *error;   /* what was given to gbench_fail; NULL: none */
} gbench_result;

typedef void gbench_report_fn(const gbench_result *result);

void gbench_add(const gbench_measurement *measurement);

/* Runs all that was added. `program` is argv[0]; `json` is the path of the file to write, or NULL.
 * Returns false if that file cannot be written. */
bool gbench_run(const char *program, const char *json, gbench_report_fn *report);

/* A line for the `context` object of the JSON file; before gbench_run. */
void gbench_describe(const char *key, const char *value);

/* In a measurement's function: true as many times as it has iterations. The clock runs from the first
 * call to the one that returns false. */
bool gbench_next(gbench_state *state);
/* Stops the clock and starts it again, within an iteration. Less than a microsecond each. */
void gbench_pause(gbench_state *state);
void gbench_resume(gbench_state *state);
/* Ends the measurement without a result; gbench_next is then not called again. */
void gbench_fail(gbench_state *state, const char *text);
/* Ends it before it has begun: neither `report` nor the JSON file hears of it. */
void gbench_skip(gbench_state *state);
/* A figure for this measurement's entry in the JSON file. */
void gbench_counter(gbench_state *state, const char *name, double value);

#ifdef __cplusplus
}
#endif

#endif
