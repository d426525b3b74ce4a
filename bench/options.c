/* options.c: see options.h, and usage() for what there is.
 *
 * SPDX-License-Identifier: MIT */
#include "options.h"

#include "machine.h"
#include "workload.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_THREADS = 4096, /* filch's own limit */
    ROUNDS = 14,
    QUICK_ROUNDS = 7, /* the least that a comparison is made with */
    MAX_ROUNDS = 1000
};

static void usage(void) {
    printf("usage: filch-bench [options]\n"
           "\n"
           "Races filch against a naive mutex pool, other libraries that the build found, a\n"
           "sequential loop, and what the machine allows. Prints a table.\n"
           "\n"
           "  --quick         fewer rounds, smaller batches: rough figures, soon\n"
           "  --rounds N      at most so many rounds (default: %d, with --quick %d)\n"
           "  --threads LIST  workers of each pool, 1 to %d; of several with commas between, the\n"
           "                  fork-join rows run with each, the others with the most (default:\n"
           "                  1 and the CPUs that this process may use, here %d)\n"
           "  --json FILE     also write each measurement to FILE, in Google Benchmark's format\n"
           "  --summary FILE  also write the figures of the table to FILE, for report.py\n"
           "  --filter TEXT   only rows whose title contains TEXT\n"
           "  --list          print the titles of the rows\n"
           "  --help          print this\n"
           "\n"
           "Exit status: 0 all results were right, 1 some were not or the race could not be run,\n"
           "2 the command line is wrong.\n",
           ROUNDS, QUICK_ROUNDS, MAX_THREADS, machine_cpus());
}

static enum options_verdict fail(const char *text, const char *value) {
    fprintf(stderr, "filch-bench: %s%s\nTry 'filch-bench --help'.\n", text, value);
    return OPTIONS_ERROR;
}

static bool parse_number(const char *text, int most, int *number) {
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 1 || value > most) return false;
    *number = (int)value;
    return true;
}

/* One number, or several with commas between. */
static bool parse_threads(const char *text, bench_options *options) {
    options->threads = options->threads_length = 0;
    for (const char *end; options->threads_length < OPTIONS_THREADS; text = end + 1) {
        char number[16];
        int *parsed = &options->threads_list[options->threads_length++];
        end = text + strcspn(text, ",");
        if ((size_t)(end - text) >= sizeof number) return false;
        snprintf(number, sizeof number, "%.*s", (int)(end - text), text);
        if (!parse_number(number, MAX_THREADS, parsed)) return false;
        if (*parsed > options->threads) options->threads = *parsed;
        if (*end == '\0') return true;
    }
    return false;
}

static void default_threads(bench_options *options) {
    options->threads = machine_cpus();
    if (options->threads > 1) options->threads_list[options->threads_length++] = 1;
    options->threads_list[options->threads_length++] = options->threads;
}

static bool selects_something(const bench_options *options) {
    bench_variant variant;
    for (size_t i = 0; i < workloads_length; i++)
        for (int j = 0; j < workload_variants(&workloads[i], options); j++) {
            workload_variant(&workloads[i], options, j, &variant);
            if (options_select(options, variant.title)) return true;
        }
    return false;
}

static void list_rows(const bench_options *options) {
    bench_variant variant;
    for (size_t i = 0; i < workloads_length; i++)
        for (int j = 0; j < workload_variants(&workloads[i], options); j++) {
            workload_variant(&workloads[i], options, j, &variant);
            puts(variant.title);
        }
}

/* What getopt_long found, one option at a time. OPTIONS_RUN: go on. */
static enum options_verdict take(int option, char **argv, int seen, bench_options *options) {
    switch (option) {
    case 'q': options->quick = true; return OPTIONS_RUN;
    case 'j': options->json = optarg; return OPTIONS_RUN;
    case 's': options->summary = optarg; return OPTIONS_RUN;
    case 'f': options->filter = optarg; return OPTIONS_RUN;
    case 't':
        if (parse_threads(optarg, options)) return OPTIONS_RUN;
        return fail(
            "--threads wants, or several with commas between, a number from 1 to 4096, not ",
            optarg);
    case 'r':
        if (parse_number(optarg, MAX_ROUNDS, &options->rounds)) return OPTIONS_RUN;
        return fail("--rounds wants a number from 1 to 1000, not ", optarg);
    case 'l': list_rows(options); return OPTIONS_EXIT;
    case 'h': usage(); return OPTIONS_EXIT;
    case ':': return fail("a value is missing after ", argv[seen]);
    default: return fail("unknown option ", argv[seen]);
    }
}

enum options_verdict options_parse(int argc, char **argv, bench_options *options) {
    static const struct option known[] = {
        {"quick", no_argument, NULL, 'q'},
        {"rounds", required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 't'},
        {"json", required_argument, NULL, 'j'},
        {"summary", required_argument, NULL, 's'},
        {"filter", required_argument, NULL, 'f'},
        {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *options = (bench_options){.threads_length = 0};
    default_threads(options);
    for (;;) {
        int seen = optind;
        int option = getopt_long(argc, argv, "+:h", known, NULL);
        if (option == -1) break;
        enum options_verdict verdict = take(option, argv, seen, options);
        if (verdict != OPTIONS_RUN) return verdict;
    }
    if (options->rounds == 0) options->rounds = options->quick ? QUICK_ROUNDS : ROUNDS;
    if (optind < argc) return fail("unexpected argument ", argv[optind]);
    if (!selects_something(options)) return fail("no row has this in its title: ", options->filter);
    return OPTIONS_RUN;
}

bool options_select(const bench_options *options, const char *title) {
    return options->filter == NULL || strstr(title, options->filter) != NULL;
}
