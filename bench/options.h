/* options.h: what the command line says.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>

/* How many numbers --threads takes. */
enum { OPTIONS_THREADS = 16 };

typedef struct bench_options {
    bool quick;  /* fewer rounds, smaller batches */
    int rounds;  /* at most */
    int threads; /* workers of each pool, 1 or more: the most of the list */
    int threads_list[OPTIONS_THREADS];
    int threads_length;
    const char *json;    /* file to write every measurement to; NULL: none */
    const char *summary; /* file to write the condensed figures to; NULL: none */
    const char *filter;  /* only rows whose title contains this; NULL: all */
} bench_options;

enum options_verdict { OPTIONS_RUN, OPTIONS_EXIT, OPTIONS_ERROR };

/* Reads the command line. OPTIONS_EXIT: it asked for the help or the list, which is on stdout now.
 * OPTIONS_ERROR: something is wrong with it, and stderr says what. */
enum options_verdict options_parse(int argc, char **argv, bench_options *options);

/* Is this row asked for? */
bool options_select(const bench_options *options, const char *title);

#endif
