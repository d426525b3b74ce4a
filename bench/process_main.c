/* process_main.c: the benchmark of process executors: `./run bench --process`.
 *
 * Prints each row: the median over all samples with its quartiles, for the hot row the 99th percentile too, beside it
 * what the machine allows; writes the same as JSON for process_report.py, which puts Python's beside it.
 *
 * SPDX-License-Identifier: MIT */
#include "process_bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void must(int rc, const char *what) {
    if (rc == 0) return;
    fprintf(stderr, "filch-bench-process: %s: %s: %s\n", what, filch_error_name(rc),
            filch_last_error());
    exit(1);
}

void series_add(series *s, double value) {
    if (s->n == s->room) {
        s->room = s->room == 0 ? 256 : 2 * s->room;
        s->values = realloc(s->values, s->room * sizeof *s->values);
        if (s->values == NULL) abort();
    }
    s->values[s->n++] = value;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double series_quantile(const series *s, double q) {
    if (s->n == 0) return NAN;
    qsort(s->values, s->n, sizeof *s->values, compare);
    return s->values[(size_t)(q * (double)(s->n - 1) + 0.5)];
}

void series_free(series *s) {
    free(s->values);
    *s = (series){NULL, 0, 0};
}

/* Samples of time are nanoseconds. */
static double in_unit(const row *r, double value) {
    return strcmp(r->unit, "us") == 0 ? value / 1000 : value;
}

static void print_series(const row *r, const series *s) {
    printf("%12.2f (%.2f-%.2f)", in_unit(r, series_quantile(s, 0.5)),
           in_unit(r, series_quantile(s, 0.25)), in_unit(r, series_quantile(s, 0.75)));
}

static void write_series(FILE *json, const char *name, const row *r, const series *s) {
    fprintf(json, ", \"%s\": [%.6g, %.6g, %.6g, %.6g]", name, in_unit(r, series_quantile(s, 0.25)),
            in_unit(r, series_quantile(s, 0.5)), in_unit(r, series_quantile(s, 0.75)),
            in_unit(r, series_quantile(s, 0.99)));
}

static bool run_row(const row *r, bool quick, bool first, FILE *json) {
    series filch = {NULL, 0, 0}, bare = {NULL, 0, 0};
    int turns = quick ? r->quick_turns : r->turns;
    bool right = true;
    printf("%-38s", r->title);
    fflush(stdout);
    for (int i = 0; i < turns && right; i++) right = r->measure(r, &filch, &bare);
    if (!right) {
        printf("   could not be measured\n");
    } else {
        print_series(r, &filch);
        printf(" %s", r->unit);
        if (strcmp(r->key, "hot") == 0)
            printf(", p99 %.2f", in_unit(r, series_quantile(&filch, 0.99)));
        if (bare.n != 0) {
            printf("   %s", r->beside);
            print_series(r, &bare);
            printf(", ratio %.2f", series_quantile(&filch, 0.5) / series_quantile(&bare, 0.5));
        }
        printf("\n");
        fprintf(json, "%s\n  {\"key\": \"%s\", \"title\": \"%s\", \"unit\": \"%s\"",
                first ? "" : ",", r->key, r->title, r->unit);
        write_series(json, "filch", r, &filch);
        if (bare.n != 0) write_series(json, "bare", r, &bare);
        fprintf(json, "}");
    }
    series_free(&filch);
    series_free(&bare);
    return right;
}

int main(int argc, char **argv) {
    filch_main(&argc, &argv);
    const char *path = "/dev/null";
    const char *filter = "";
    bool quick = false, right = true, first = true;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            quick = true;
        } else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
            path = argv[++i];
        } else if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc) {
            filter = argv[++i];
        } else {
            fprintf(stderr, "usage: filch-bench-process [--quick] [--filter TEXT] [--json FILE]\n");
            return 2;
        }
    }
    FILE *json = fopen(path, "w");
    if (json == NULL) {
        perror(path);
        return 1;
    }
    fprintf(json, "[");
    for (size_t i = 0; i < process_rows_length; i++) {
        if (strstr(process_rows[i].title, filter) == NULL) continue;
        right = run_row(&process_rows[i], quick, first, json) && right;
        first = false;
    }
    fprintf(json, "\n]\n");
    return fclose(json) == 0 && right ? 0 : 1;
}
