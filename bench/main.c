/* main.c: filch-bench.
 *
 * Flow: options.c reads the command line, race.c runs the race, lines.c condenses its figures, report.c
 * prints them, summary_json.c writes them. Progress goes to stderr, everything else to stdout.
 * `filch-bench --memory NAME TASKS` is what the race starts to measure memory (memory_probe.h).
 *
 * SPDX-License-Identifier: MIT */
#include "gbench.h"
#include "lines.h"
#include "machine.h"
#include "memory_probe.h"
#include "options.h"
#include "race.h"
#include "report.h"
#include "summary_json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { OK = 0, FAILED = 1, BAD_USAGE = 2 };

static void describe(const bench_machine *machine) {
    gbench_describe("cpu", machine->cpu);
    gbench_describe("kernel", machine->kernel);
    gbench_describe("compiler", machine->compiler);
    gbench_describe("commit", machine->commit);
}

static bool write_summary(const bench_options *options, const bench_machine *machine,
                          const race_results *results, const bench_lines *lines) {
    if (options->summary == NULL) return true;
    if (summary_json_write(options->summary, machine, results, lines)) return true;
    fprintf(stderr, "filch-bench: %s: %s\n", options->summary, strerror(errno));
    return false;
}

static bool show(const bench_options *options, const bench_machine *machine,
                 const race_results *results) {
    bench_lines lines;
    bool good = lines_make(results, &lines);
    if (good) {
        report_table(results, &lines);
        report_causes(results);
        if (!machine_build_is_fast())
            printf("\nThis build is not optimised, or has a sanitizer: its times mean nothing.\n");
        good = write_summary(options, machine, results, &lines);
    }
    lines_free(&lines);
    return good;
}

static int run(const char *program, const bench_options *options) {
    race_results results;
    bench_machine machine;
    machine_describe(&machine);
    describe(&machine);
    report_machine(&machine);
    bool good = race_run(program, options, &results);
    if (good && results.failed) fprintf(stderr, "filch-bench: %s\n", results.error);
    good = good && !results.failed && show(options, &machine, &results);
    race_free(&results);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("filch-bench: standard output");
        good = false;
    }
    return good ? OK : FAILED;
}

int main(int argc, char **argv) {
    bench_options options;
    if (argc == 4 && strcmp(argv[1], "--memory") == 0) return memory_probe_main(argv[2], argv[3]);
    switch (options_parse(argc, argv, &options)) {
    case OPTIONS_EXIT: return OK;
    case OPTIONS_ERROR: return BAD_USAGE;
    case OPTIONS_RUN: break;
    }
    return run(argv[0], &options);
}
