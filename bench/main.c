/* main.c: filch-bench.
 *
 * Flow: options.c reads the command line, race.c runs the race, report.c prints it. Progress goes to
 * stderr, everything else to stdout.
 *
 * SPDX-License-Identifier: MIT */
#include "gbench.h"
#include "machine.h"
#include "options.h"
#include "race.h"
#include "report.h"

#include <stdio.h>

enum { OK = 0, FAILED = 1, BAD_USAGE = 2 };

static void describe(const bench_machine *machine) {
    gbench_describe("cpu", machine->cpu);
    gbench_describe("kernel", machine->kernel);
    gbench_describe("compiler", machine->compiler);
    gbench_describe("commit", machine->commit);
}

static int run(const char *program, const bench_options *options) {
    race_results results;
    bench_machine machine;
    machine_describe(&machine);
    describe(&machine);
    report_machine(&machine);
    bool ran = race_run(program, options, &results);
    if (ran && results.failed) fprintf(stderr, "filch-bench: %s\n", results.error);
    if (ran && !results.failed) {
        report_table(&results);
        report_causes(&results);
        if (!machine_build_is_fast())
            printf("\nThis build is not optimised, or has a sanitizer: its times mean nothing.\n");
    }
    bool good = ran && !results.failed;
    race_free(&results);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("filch-bench: standard output");
        good = false;
    }
    return good ? OK : FAILED;
}

int main(int argc, char **argv) {
    bench_options options;
    switch (options_parse(argc, argv, &options)) {
    case OPTIONS_EXIT: return OK;
    case OPTIONS_ERROR: return BAD_USAGE;
    case OPTIONS_RUN: break;
    }
    return run(argv[0], &options);
}
