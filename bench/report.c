/* report.c: plain text on stdout.
 *
 * Columns follow contestants.c: one more contestant is one more column of figures and one more of
 * ratios. "±" is half the distance between the quartiles, as a share of the median. The naive pool's
 * ratio stands with its quartiles: it is the one that says whether filch is ahead.
 *
 * SPDX-License-Identifier: MIT */
#include "report.h"

#include "report_forkjoin.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TITLE = 34, FIGURE = 12, SPREAD_RATIO = 20, RATIO = 11 }; /* widths of columns */

/* The one whose columns of ratios are shown. */
static const bench_contestant *const subject = &contestant_filch;

void report_machine(const bench_machine *machine) {
    printf("cpu       %s\nkernel    %s\ncompiler  %s\ncommit    %s\ndate      %s\n", machine->cpu,
           machine->kernel, machine->compiler, machine->commit, machine->date);
    fflush(stdout);
}

/* How many decimals show three digits. */
static int decimals(double value) {
    double size = fabs(value);
    return size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
}

static void print_figure(const bench_summary *s) {
    if (!isfinite(s->median)) {
        printf("%*s", FIGURE, "-");
        return;
    }
    int width = FIGURE - 6;
    printf("%*.*f", width, decimals(s->median), s->median);
    double spread = (s->upper - s->lower) / 2 / fabs(s->median) * 100;
    if (s->upper > s->lower && spread < 999.5)
        printf(" ±%3.0f%%", spread);
    else
        printf("%*s", FIGURE - width, "");
}

static void print_ratio(const bench_summary *ratio, int width, bool with_spread) {
    char text[64] = "-";
    if (isfinite(ratio->median) && with_spread && ratio->upper > ratio->lower)
        snprintf(text, sizeof text, "%.2f (%.2f-%.2f)", ratio->median, ratio->lower, ratio->upper);
    else if (isfinite(ratio->median))
        snprintf(text, sizeof text, "%.*f", decimals(ratio->median), ratio->median);
    printf("%*s", width, text);
}

/* bare is a limit, and may be of another kind than what is measured. */
static bool is_compared(size_t c) {
    return contestants[c] != subject && contestants[c] != &contestant_bare;
}

static int ratio_width(size_t c) {
    return contestants[c] == &contestant_naive ? SPREAD_RATIO : RATIO;
}

/* One of the two tables, of futures and of fork-join, and who is in it. */
typedef struct table {
    bool fork_join;
    size_t lines;
    bool shown[CONTESTANTS_MAX];
} table;

static table find_table(const bench_lines *lines, bool fork_join) {
    table found = {.fork_join = fork_join};
    for (size_t i = 0; i < lines->length; i++) {
        const bench_line *line = &lines->lines[i];
        if (line->fork_join != fork_join) continue;
        found.lines++;
        for (size_t c = 0; c < contestants_length; c++)
            found.shown[c] = found.shown[c] || isfinite(line->cells[c].median);
    }
    return found;
}

static void print_heading(const table *own) {
    int figures = 0, ratios = 0;
    for (size_t c = 0; c < contestants_length; c++) {
        if (own->shown[c]) figures += FIGURE;
        if (own->shown[c] && is_compared(c)) ratios += ratio_width(c);
    }
    printf("%-*s%*s%*s\n", TITLE, own->fork_join ? "FORK AND JOIN" : "FUTURES", figures, "", ratios,
           "how many times better is filch than");
    printf("%-*s", TITLE, "");
    for (size_t c = 0; c < contestants_length; c++)
        if (own->shown[c]) printf("%*s%*s", FIGURE - 5, contestants[c]->name, 5, "");
    for (size_t c = 0; c < contestants_length; c++)
        if (own->shown[c] && is_compared(c)) printf("%*s", ratio_width(c), contestants[c]->name);
    putchar('\n');
}

static void print_title(const bench_line *line) {
    char text[96];
    if (line->work >= 999.5)
        snprintf(text, sizeof text, "%s (%.*f us)", line->title, decimals(line->work / 1e3),
                 line->work / 1e3);
    else if (isfinite(line->work))
        snprintf(text, sizeof text, "%s (%.*f ns)", line->title, decimals(line->work), line->work);
    else
        snprintf(text, sizeof text, "%s", line->title);
    printf("  %-*s", TITLE - 2, text);
}

static void print_line(const table *own, const bench_line *line) {
    print_title(line);
    for (size_t c = 0; c < contestants_length; c++)
        if (own->shown[c]) print_figure(&line->cells[c]);
    for (size_t c = 0; c < contestants_length; c++)
        if (own->shown[c] && is_compared(c))
            print_ratio(&line->ratios[c], ratio_width(c), contestants[c] == &contestant_naive);
    putchar('\n');
}

/* The subject is ahead, or level: the quartiles reach 1. Without quartiles, within a twentieth. */
static bool is_good(const bench_summary *ratio) {
    return ratio->upper > ratio->lower ? ratio->upper >= 1.0 : ratio->median >= 0.95;
}

static void print_verdict(const bench_lines *lines, size_t c, bool names) {
    size_t good = 0, all = 0;
    const char *between = ". Not in: ";
    for (size_t i = 0; i < lines->length; i++) {
        if (!isfinite(lines->lines[i].ratios[c].median)) continue;
        all++;
        good += is_good(&lines->lines[i].ratios[c]);
    }
    if (all == 0) return;
    printf("filch is ahead of %s, or level with it, in %zu of %zu lines", contestants[c]->name,
           good, all);
    for (size_t i = 0; names && i < lines->length; i++) {
        const bench_line *line = &lines->lines[i];
        if (!isfinite(line->ratios[c].median) || is_good(&line->ratios[c])) continue;
        printf("%s%s", between, line->title);
        between = "; ";
    }
    puts(".");
}

/* On two CPUs, a twentieth of one kept busy by others is 2.5 % of what two workers have. */
static void print_disturbance(const race_results *results) {
    double share = results->disturbance > 0 ? results->disturbance * 100 : 0;
    printf("Meanwhile other programs used %.0f %% of a CPU%s.\n", share,
           share > 5 ? ": too much, the machine should be idle" : "");
}

static void print_table(const bench_lines *lines, bool fork_join) {
    const char *section = "";
    table own = find_table(lines, fork_join);
    if (own.lines == 0) return;
    putchar('\n');
    print_heading(&own);
    for (size_t i = 0; i < lines->length; i++) {
        const bench_line *line = &lines->lines[i];
        if (line->fork_join != fork_join) continue;
        if (strcmp(line->section, section) != 0) puts(line->section);
        section = line->section;
        print_line(&own, line);
    }
}

void report_table(const race_results *results, const bench_lines *lines) {
    int workers = results->options->threads;
    printf("run       %d worker%s unless the line says otherwise, %d round%s, %.0f s%s\n", workers,
           workers == 1 ? "" : "s", results->rounds, results->rounds == 1 ? "" : "s",
           results->seconds, results->options->quick ? ", --quick: smaller batches" : "");
    print_table(lines, false);
    print_table(lines, true);
    report_forkjoin(results);
    puts(
        "\nMedians; ± is half the distance between the quartiles. A ratio is taken within each\n"
        "turn; in brackets are its quartiles. `bare` is what the machine allows. Every result was\n"
        "checked, and was right. bench/README.md says what each line means.");
    for (size_t c = 0; c < contestants_length; c++)
        if (is_compared(c) && contestants[c] != &contestant_sequential)
            print_verdict(lines, c, contestants[c] == &contestant_naive);
    print_disturbance(results);
}

/* In at most seven characters. */
static void print_count(double value, int width) {
    const char *suffix = value >= 999.5e3 ? "M" : value >= 9999.5 ? "k" : "";
    double shown = value >= 999.5e3 ? value / 1e6 : value >= 9999.5 ? value / 1e3 : value;
    printf("%*.*f%s", width - (int)strlen(suffix), decimals(shown), shown, suffix);
}

enum { COUNT = 10, CPU = 11 };

static void print_cpu(const race_row *row, size_t c) {
    if (row->cells[c].cpu == NULL) {
        printf("%*s", CPU, "-");
        return;
    }
    double cpu = summarize_copy(row->cells[c].cpu, row->turns).median * 1e3;
    printf("%*.*f", CPU, cpu < 0.00995 ? 4 : cpu < 0.0995 ? 3 : decimals(cpu), cpu);
}

static void print_causes_of(const race_row *row, const bool *shown) {
    const bench_counters *total = &row->cells[contestants_index(subject)].counters;
    double batches = (double)row->turns * (double)row->batches;
    printf("  %-*s", TITLE - 2, row->title);
    for (size_t c = 0; c < contestants_length; c++)
        if (shown[c]) print_cpu(row, c);
#define PRINT(field, title) print_count((double)total->field / batches, COUNT);
    BENCH_COUNTERS(PRINT)
#undef PRINT
    putchar('\n');
}

static void print_causes_heading(const bool *shown) {
    int width = 0;
    for (size_t c = 0; c < contestants_length; c++) width += shown[c] ? CPU : 0;
    printf("\n%-*s%-*s%s\n", TITLE, "", width, "     CPU milliseconds per batch",
           "    filch's counters per batch");
    printf("%-*s", TITLE, "");
    for (size_t c = 0; c < contestants_length; c++)
        if (shown[c]) printf("%*s", CPU, contestants[c]->name);
#define HEAD(field, title) printf("%*s", COUNT, title);
    BENCH_COUNTERS(HEAD)
#undef HEAD
    putchar('\n');
}

/* Of the rows of one table. */
static void print_causes(const race_results *results, bool fork_join) {
    bool shown[CONTESTANTS_MAX] = {false}, any = false;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < results->rows_length; i++) {
            const race_row *row = &results->rows[i];
            const bench_kind *kind = row->workload->kind;
            if (row->turns == 0 || kind == &kind_memory || kind->fork_join != fork_join) continue;
            any = true;
            for (size_t c = 0; c < contestants_length; c++)
                shown[c] = shown[c] || row->cells[c].cpu != NULL;
            if (pass == 1) print_causes_of(row, shown);
        }
        if (pass == 0 && any) print_causes_heading(shown);
    }
}

void report_causes(const race_results *results) {
    print_causes(results, false);
    print_causes(results, true);
}
