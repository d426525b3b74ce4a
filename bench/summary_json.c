/* summary_json.c: what report.py reads.
 *
 * Format: one object with `machine` and `run` (texts and numbers), `contestants` (their names, in the
 * order of all arrays that follow; `null` where one does not take part), `lines` (a line of the table
 * each: lower quartile, median and upper quartile per contestant), and `distributions` (of round trips:
 * seconds at rising shares of all samples).
 *
 * SPDX-License-Identifier: MIT */
#include "summary_json.h"

#include <math.h>
#include <stdio.h>

static void put_text(FILE *file, const char *text) {
    putc('"', file);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') putc('\\', file);
        if ((unsigned char)*text >= ' ') putc(*text, file);
    }
    putc('"', file);
}

static void put_member(FILE *file, const char *name, const char *text) {
    fprintf(file, "    \"%s\": ", name);
    put_text(file, text);
}

/* JSON knows neither NAN nor infinity. */
static void put_number(FILE *file, double value) {
    if (isfinite(value))
        fprintf(file, "%.9g", value);
    else
        fputs("null", file);
}

static void put_machine(FILE *file, const bench_machine *machine) {
    fputs("  \"machine\": {\n", file);
    put_member(file, "cpu", machine->cpu);
    fputs(",\n", file);
    put_member(file, "kernel", machine->kernel);
    fputs(",\n", file);
    put_member(file, "compiler", machine->compiler);
    fputs(",\n", file);
    put_member(file, "commit", machine->commit);
    fputs(",\n", file);
    put_member(file, "date", machine->date);
    fputs("\n  },\n", file);
}

static void put_run(FILE *file, const race_results *results) {
    fprintf(file,
            "  \"run\": {\"workers\": %d, \"rounds\": %d, \"quick\": %s, \"seconds\": %.1f, "
            "\"others\": %.4f, \"build_is_fast\": %s},\n",
            results->options->threads, results->rounds, results->options->quick ? "true" : "false",
            results->seconds, results->disturbance, machine_build_is_fast() ? "true" : "false");
}

static void put_contestants(FILE *file) {
    fputs("  \"contestants\": [", file);
    for (size_t c = 0; c < contestants_length; c++) {
        if (c > 0) fputs(", ", file);
        put_text(file, contestants[c]->name);
    }
    fputs("],\n", file);
}

static void put_summaries(FILE *file, const char *name, const bench_summary *summaries) {
    fprintf(file, "     \"%s\": [", name);
    for (size_t c = 0; c < contestants_length; c++) {
        if (c > 0) fputs(", ", file);
        if (!isfinite(summaries[c].median)) {
            fputs("null", file);
            continue;
        }
        putc('[', file);
        put_number(file, summaries[c].lower);
        fputs(", ", file);
        put_number(file, summaries[c].median);
        fputs(", ", file);
        put_number(file, summaries[c].upper);
        putc(']', file);
    }
    putc(']', file);
}

/* filch's, per batch. */
static void put_counters(FILE *file, const race_row *row) {
    const bench_counters *total = &row->cells[contestants_index(&contestant_filch)].counters;
    double batches = (double)row->turns * (double)row->batches;
    const char *before = "";
    fputs(",\n     \"counters\": {", file);
#define PUT(field, title)                                                                          \
    fprintf(file, "%s\"" #field "\": %.6g", before, (double)total->field / batches);               \
    before = ", ";
    BENCH_COUNTERS(PUT)
#undef PUT
    fputs("}", file);
}

static void put_line(FILE *file, const bench_line *line) {
    fputs("    {\"section\": ", file);
    put_text(file, line->section);
    fputs(", \"title\": ", file);
    put_text(file, line->title);
    fputs(", \"key\": ", file);
    put_text(file, line->key);
    fputs(", \"unit\": ", file);
    put_text(file, line->unit);
    fprintf(file, ", \"more_is_better\": %s, \"fork_join\": %s, \"work_ns\": ",
            line->more_is_better ? "true" : "false", line->fork_join ? "true" : "false");
    put_number(file, line->work);
    if (line->row != NULL)
        fprintf(file, ", \"turns\": %zu, \"tasks\": %zu, \"workers\": %d", line->row->turns,
                line->row->tasks, line->row->workers);
    fputs(",\n", file);
    put_summaries(file, "cells", line->cells);
    fputs(",\n", file);
    put_summaries(file, "ratios", line->ratios);
    if (line->row != NULL) put_counters(file, line->row);
    putc('}', file);
}

static void put_lines(FILE *file, const bench_lines *lines) {
    fputs("  \"lines\": [\n", file);
    for (size_t i = 0; i < lines->length; i++) {
        put_line(file, &lines->lines[i]);
        fputs(i + 1 < lines->length ? ",\n" : "\n", file);
    }
    fputs("  ],\n", file);
}

/* Pairs of a share of the samples and the seconds that it took at most; closer and closer to 1, in
 * sixteen steps per decade, as far as there are samples. They are sorted by now (lines.c). */
static void put_samples(FILE *file, const bench_samples *samples) {
    const double step = pow(10, -1.0 / 16);
    putc('[', file);
    for (double beyond = 1; beyond * (double)samples->length >= 1; beyond *= step)
        fprintf(file, "%s[%.6g, %.4g]", beyond < 1 ? ", " : "", 1 - beyond,
                quantile_of(samples->seconds, samples->length, 1 - beyond));
    putc(']', file);
}

static void put_distribution(FILE *file, const race_row *row) {
    fputs("    {\"key\": ", file);
    put_text(file, row->key);
    fputs(", \"title\": ", file);
    put_text(file, row->title);
    fputs(",\n     \"quantiles\": [", file);
    for (size_t c = 0; c < contestants_length; c++) {
        if (c > 0) fputs(",\n      ", file);
        if (row->cells[c].samples.length > 0)
            put_samples(file, &row->cells[c].samples);
        else
            fputs("null", file);
    }
    fputs("]}", file);
}

static void put_distributions(FILE *file, const race_results *results) {
    const char *between = "\n";
    fputs("  \"distributions\": [", file);
    for (size_t i = 0; i < results->rows_length; i++) {
        const race_row *row = &results->rows[i];
        if (row->workload->kind->meaning != MEANING_DISTRIBUTION || row->turns == 0) continue;
        fputs(between, file);
        put_distribution(file, row);
        between = ",\n";
    }
    fputs("\n  ]\n", file);
}

bool summary_json_write(const char *path, const bench_machine *machine, const race_results *results,
                        const bench_lines *lines) {
    FILE *file = fopen(path, "we");
    if (file == NULL) return false;
    fputs("{\n", file);
    put_machine(file, machine);
    put_run(file, results);
    put_contestants(file);
    put_lines(file, lines);
    put_distributions(file, results);
    fputs("}\n", file);
    bool good = ferror(file) == 0;
    return fclose(file) == 0 && good;
}
