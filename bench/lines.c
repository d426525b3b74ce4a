/* lines.c: figures of turns become lines.
 *
 * A row is a line, but for round trips, whose further quantiles are lines of their own, and for sweeps,
 * after which their METG follows. Ratios are taken within a turn and then condensed, so that what slows
 * down a whole turn cancels out; those of quantiles beyond the median, and of crossings, are of the
 * figures of all turns together, and have no quartiles.
 *
 * SPDX-License-Identifier: MIT */
#include "lines.h"

#include "metg.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lines that one row may give: three quantiles, or its own and both of METG. */
enum { LINES_PER_ROW = 3, POINTS_MAX = 32, SWEEPS = 5 };

static const bench_summary none = {(double)NAN, (double)NAN, (double)NAN};

static bench_line *add_line(bench_lines *lines, const race_row *row) {
    const bench_workload *workload = row->workload;
    bench_line *line = &lines->lines[lines->length++];
    *line = (bench_line){.section = workload->kind->section,
                         .unit = workload->kind->unit,
                         .fork_join = workload->kind->fork_join,
                         .work = (double)NAN,
                         .row = row};
    snprintf(line->title, sizeof line->title, "%s", row->title);
    snprintf(line->key, sizeof line->key, "%s", row->key);
    for (size_t c = 0; c < CONTESTANTS_MAX; c++) line->cells[c] = line->ratios[c] = none;
    return line;
}

/* Both are what one figure is made of in all turns; NULL: there is none. */
static bench_summary ratio_of(const double *others, const double *own, size_t n) {
    return others == NULL || own == NULL ? none : summarize_ratios(others, own, n);
}

/* One figure for all turns. */
static bench_summary single(double value) {
    return (bench_summary){value, value, value};
}

static bench_summary scaled(bench_summary s, double factor) {
    return (bench_summary){s.lower * factor, s.median * factor, s.upper * factor};
}

static const double *figures_of(const race_row *row, const bench_contestant *contestant) {
    return row->cells[contestants_index(contestant)].figure;
}

/* What bare has is the loop itself. What is left is not less than nothing, and for ratios not less
 * than `least`. NULL: no memory. */
static double *above_bare(const race_row *row, size_t c, double least) {
    const double *bare = figures_of(row, &contestant_bare);
    double *figures = malloc((row->turns + 1) * sizeof *figures);
    for (size_t i = 0; figures != NULL && i < row->turns; i++)
        figures[i] = fmax(row->cells[c].figure[i] - bare[i], least);
    return figures;
}

static void fill_above_bare(bench_line *line, const race_row *row) {
    const bench_kind *kind = row->workload->kind;
    double *own = above_bare(row, contestants_index(&contestant_filch), kind->least);
    for (size_t c = 0; c < contestants_length; c++) {
        if (row->cells[c].figure == NULL) continue;
        if (contestants[c] == &contestant_bare) {
            line->cells[c] = scaled(summarize_copy(row->cells[c].figure, row->turns), kind->factor);
            continue;
        }
        double *shown = above_bare(row, c, 0), *clamped = above_bare(row, c, kind->least);
        if (shown != NULL) line->cells[c] = scaled(summarize(shown, row->turns), kind->factor);
        line->ratios[c] = ratio_of(clamped, own, row->turns);
        free(shown);
        free(clamped);
    }
    free(own);
}

/* `least` as a figure that both have at least. */
static bench_summary clamped_ratio(const race_row *row, size_t c) {
    double least = row->workload->kind->least;
    const double *others = row->cells[c].figure, *own = figures_of(row, &contestant_filch);
    if (least <= 0 || others == NULL || own == NULL) return ratio_of(others, own, row->turns);
    double other = summarize_copy(others, row->turns).median;
    return single(fmax(other, least) / fmax(summarize_copy(own, row->turns).median, least));
}

static void fill_plain(bench_line *line, const race_row *row) {
    for (size_t c = 0; c < contestants_length; c++) {
        const double *figures = row->cells[c].figure;
        if (figures == NULL) continue;
        line->cells[c] = scaled(summarize_copy(figures, row->turns), row->workload->kind->factor);
        line->ratios[c] = clamped_ratio(row, c);
    }
}

static void fill_efficiency(bench_line *line, const race_row *row) {
    const double *bare = figures_of(row, &contestant_bare);
    line->more_is_better = true;
    line->work = summarize_copy(bare, row->turns).median * 1e9;
    for (size_t c = 0; c < contestants_length; c++) {
        const double *figures = row->cells[c].figure;
        if (figures == NULL || figures == bare) continue;
        line->cells[c] = scaled(ratio_of(bare, figures, row->turns), row->workload->kind->factor);
        line->ratios[c] = ratio_of(figures, figures_of(row, &contestant_filch), row->turns);
    }
}

/* A quantile of all samples; with less than one sample beyond it there is none. */
static void add_quantile(bench_lines *lines, const race_row *row, double share, const char *name) {
    bench_line *line = add_line(lines, row);
    line->row = NULL;
    snprintf(line->title, sizeof line->title, "%s, %s", row->title, name);
    snprintf(line->key, sizeof line->key, "%s/%s", row->key, name);
    for (size_t c = 0; c < contestants_length; c++) {
        const bench_samples *samples = &row->cells[c].samples;
        if ((double)samples->length * (1 - share) < 0.999) continue;
        double value = quantile_of(samples->seconds, samples->length, share);
        line->cells[c] = single(value * row->workload->kind->factor);
    }
    double own = line->cells[contestants_index(&contestant_filch)].median;
    for (size_t c = 0; c < contestants_length; c++)
        line->ratios[c] = single(line->cells[c].median / own);
}

/* The samples are sorted from here on. */
static void add_distribution(bench_lines *lines, const race_row *row) {
    bench_line *line = add_line(lines, row);
    snprintf(line->title, sizeof line->title, "%s, p50", row->title);
    fill_plain(line, row);
    for (size_t c = 0; c < contestants_length; c++)
        sort_figures(row->cells[c].samples.seconds, row->cells[c].samples.length);
    add_quantile(lines, row, 0.99, "p99");
    add_quantile(lines, row, 0.999, "p99.9");
}

/* A sweep: its rows, in the order of n, and as many turns as all of them have. */
typedef struct sweep {
    const race_row *rows[POINTS_MAX];
    size_t length;
    size_t turns;
} sweep;

static sweep find_sweep(const race_results *results, const bench_kind *kind) {
    sweep found = {.length = 0, .turns = SIZE_MAX};
    for (size_t i = 0; i < results->rows_length && found.length < POINTS_MAX; i++) {
        const race_row *row = &results->rows[i];
        if (row->workload->kind != kind) continue;
        found.rows[found.length++] = row;
        if (row->turns < found.turns) found.turns = row->turns;
    }
    return found;
}

static metg_point point_of(const race_row *row, double work, double cost) {
    return (metg_point){(double)row->workload->n, work, cost};
}

/* Of one turn. */
static double fitted_in(const sweep *all, size_t c, size_t turn) {
    metg_point points[POINTS_MAX];
    for (size_t i = 0; i < all->length; i++)
        points[i] = point_of(all->rows[i], figures_of(all->rows[i], &contestant_bare)[turn],
                             all->rows[i]->cells[c].figure[turn]);
    return metg_fitted(points, all->length);
}

/* Of the medians of all turns. */
static double crossing_of(const sweep *all, size_t c) {
    metg_point points[POINTS_MAX];
    for (size_t i = 0; i < all->length; i++) {
        const race_row *row = all->rows[i];
        const double *bare = figures_of(row, &contestant_bare), *own = row->cells[c].figure;
        points[i] = point_of(row, summarize_copy(bare, row->turns).median,
                             summarize_copy(own, row->turns).median);
    }
    return metg_crossing(points, all->length);
}

static bool takes_part(const sweep *all, size_t c) {
    return all->rows[0]->cells[c].figure != NULL && contestants[c] != &contestant_bare;
}

/* All turns' METG of each contestant that takes part; NULL for the others, and without memory. */
static void fit_all(const sweep *all, double *fitted[CONTESTANTS_MAX]) {
    for (size_t c = 0; c < contestants_length; c++) {
        fitted[c] = takes_part(all, c) ? calloc(all->turns + 1, sizeof(double)) : NULL;
        for (size_t turn = 0; fitted[c] != NULL && turn < all->turns; turn++)
            fitted[c][turn] = fitted_in(all, c, turn);
    }
}

static const char *shape_of(const bench_kind *kind) {
    return kind == &kind_flat        ? "flat"
           : kind == &kind_tree      ? "tree"
           : kind == &kind_fork_tree ? "fork tree"
           : kind == &kind_fork_flat ? "fork flat"
                                     : "fork loop";
}

static bench_line *add_metg_line(bench_lines *lines, const sweep *all, const char *what) {
    static const char section[] = "METG(50 %), ns of work in a task";
    static const char section_of_forks[] = "METG(50 %) of forks, ns of work in each";
    const race_row *row = all->rows[0];
    const bench_kind *kind = row->workload->kind;
    bench_line *line = add_line(lines, row);
    const char *shape = shape_of(kind);
    line->row = NULL;
    line->section = kind->fork_join ? section_of_forks : section;
    line->unit = "ns";
    snprintf(line->title, sizeof line->title, "%s, %s", shape, what);
    snprintf(line->key, sizeof line->key, "metg/%s/%s", shape, what);
    return line;
}

static void add_metg(bench_lines *lines, const race_results *results, const bench_kind *kind) {
    sweep all = find_sweep(results, kind);
    double *fitted[CONTESTANTS_MAX];
    if (all.length < 2 || all.turns == 0) return;
    fit_all(&all, fitted);
    size_t own = contestants_index(&contestant_filch);
    bench_line *line = add_metg_line(lines, &all, "fitted");
    for (size_t c = 0; c < contestants_length; c++)
        if (fitted[c] != NULL) line->ratios[c] = ratio_of(fitted[c], fitted[own], all.turns);
    for (size_t c = 0; c < contestants_length; c++)
        if (fitted[c] != NULL) line->cells[c] = scaled(summarize_copy(fitted[c], all.turns), 1e9);
    line = add_metg_line(lines, &all, "crossing observed");
    for (size_t c = 0; c < contestants_length; c++)
        if (fitted[c] != NULL) line->cells[c] = single(crossing_of(&all, c) * 1e9);
    for (size_t c = 0; c < contestants_length; c++) {
        line->ratios[c] = single(line->cells[c].median / line->cells[own].median);
        free(fitted[c]);
    }
}

static void add_row(bench_lines *lines, const race_row *row) {
    bench_line *line;
    switch (row->workload->kind->meaning) {
    case MEANING_DISTRIBUTION: add_distribution(lines, row); return;
    case MEANING_PLAIN: fill_plain(add_line(lines, row), row); return;
    case MEANING_ABOVE_BARE: fill_above_bare(add_line(lines, row), row); return;
    case MEANING_EFFICIENCY:
        line = add_line(lines, row);
        fill_efficiency(line, row);
        return;
    }
}

/* Of one table. */
static void add_rows(bench_lines *lines, const race_results *results, bool fork_join) {
    for (size_t i = 0; i < results->rows_length; i++) {
        const race_row *row = &results->rows[i];
        if (row->turns > 0 && row->workload->kind->fork_join == fork_join) add_row(lines, row);
    }
}

bool lines_make(const race_results *results, bench_lines *lines) {
    *lines = (bench_lines){
        calloc((results->rows_length + SWEEPS) * LINES_PER_ROW, sizeof(bench_line)), 0};
    if (lines->lines == NULL) return false;
    add_rows(lines, results, false);
    add_metg(lines, results, &kind_flat);
    add_metg(lines, results, &kind_tree);
    add_rows(lines, results, true);
    add_metg(lines, results, &kind_fork_tree);
    add_metg(lines, results, &kind_fork_flat);
    add_metg(lines, results, &kind_fork_loop);
    return true;
}

void lines_free(bench_lines *lines) {
    free(lines->lines);
}
