/* main.c: the program: scenarios by name, searches, reports.
 *
 * usage: explore [SCENARIO...] [OPTION...]
 *
 *   --list               the names of the scenarios
 *   --exhaustive | --random | --pct    one search instead of what the suite does: the exhaustive one with
 *                        each scenario's bounds, then some executions at random
 *   --preemptions N, --stale N         bounds of the exhaustive search; -1: none
 *   --executions N, --seconds N        limits of each search
 *   --seed N             of the random ones
 *   --replay SCHEDULE    one execution of one scenario, with each operation
 *   --weaken FILE:LINE:NAME=ORDER      that operation has another order; several may be given
 *   --sites              lists the operations that were met, with their orders
 *   --bare-fences        fences order, but give no happens-before
 *
 * The output is TAP. Exit status 1: something failed.
 *
 * SPDX-License-Identifier: MIT */
#include "inside.h"
#include "sites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct explore_scenario litmus_scenarios[], crew_scenarios[], deque_scenarios[],
    fork_scenarios[], future_scenarios[], hub_scenarios[], lane_scenarios[], outside_scenarios[],
    pool_scenarios[], slab_scenarios[], sleep_scenarios[], state_scenarios[];
static const struct explore_scenario *const lists[] = {
    litmus_scenarios,  deque_scenarios, state_scenarios, hub_scenarios,
    future_scenarios,  lane_scenarios,  pool_scenarios,  fork_scenarios,
    outside_scenarios, slab_scenarios,  sleep_scenarios, crew_scenarios};

enum { OUTCOMES = 16, WANTED_MAX = 64 };

/* Outcomes of litmus tests -------------------------------------------------------------------------- */

static const char *outcomes[OUTCOMES];
static int outcome_count;
static const struct explore_scenario *scenario_now;

static bool is_listed(const char *const *list, const char *name) {
    for (; *list != NULL; list++)
        if (strcmp(*list, name) == 0) return true;
    return false;
}

void explore_outcome(const char *name) {
    if (!is_listed(scenario_now->outcomes, name)) schedule_fail("outcome %s", name);
    for (int i = 0; i < outcome_count; i++)
        if (strcmp(outcomes[i], name) == 0) return;
    outcomes[outcome_count++] = strdup(name);
}

/* The first outcome that should have come up and has not, or NULL. */
static const char *missing_outcome(const struct explore_scenario *s) {
    outcomes[outcome_count] = NULL;
    for (int i = 0; s->outcomes != NULL && s->outcomes[i] != NULL; i++)
        if (!is_listed(outcomes, s->outcomes[i])) return s->outcomes[i];
    return NULL;
}

/* Running ------------------------------------------------------------------------------------------ */

struct settings {
    struct search search;
    bool suite, preemptions_given, stale_given, executions_given, sites;
};

static int number;
static uint64_t interleavings;

static bool report(const struct explore_scenario *s, const struct search *search,
                   const struct search_result *r) {
    static const char *const kinds[] = {"exhaustive", "random", "pct", "replay"};
    interleavings += r->executions;
    const char *missing =
        search->kind == SEARCH_EXHAUSTIVE && r->complete ? missing_outcome(s) : NULL;
    bool failed = r->failed || missing != NULL;
    printf("%sok %d - %s, %s: %llu interleavings", failed ? "not " : "", ++number, s->name,
           kinds[search->kind], (unsigned long long)r->executions);
    if (r->complete) {
        printf(", all");
        if (search->preemptions >= 0) printf(" to %d preemptions", search->preemptions);
        if (search->stale >= 0) printf(" and %d old values", search->stale);
    }
    if (r->abandoned != 0) printf(", %llu given up", (unsigned long long)r->abandoned);
    putchar('\n');
    if (r->failed) {
        printf("# %s\n", failure);
        printf("# explore %s --replay %s\n", s->name, r->schedule);
    }
    if (missing != NULL) printf("# the outcome %s never came up\n", missing);
    fflush(stdout);
    return failed;
}

static bool run_search(const struct explore_scenario *s, struct search search) {
    outcome_count = 0;
    scenario_now = s;
    struct search_result r = search_run(&search, s);
    bool failed = report(s, &search, &r);
    free(r.schedule);
    return failed;
}

/* What the suite does with a scenario. */
static bool run_suite(const struct explore_scenario *s, const struct settings *settings) {
    struct search search = settings->search;
    if (!settings->preemptions_given) search.preemptions = s->preemptions;
    if (!settings->stale_given) search.stale = s->stale;
    search.kind = SEARCH_EXHAUSTIVE;
    if (search.preemptions != 0 && run_search(s, search)) return true;
    if (s->outcomes != NULL) return false;
    if (!settings->executions_given) search.executions = 3000;
    search.kind = SEARCH_RANDOM;
    if (run_search(s, search)) return true;
    search.kind = SEARCH_PCT;
    return run_search(s, search);
}

static bool run_one(const struct explore_scenario *s, const struct settings *settings) {
    struct search search = settings->search;
    if (settings->suite) return run_suite(s, settings);
    if (!settings->preemptions_given) search.preemptions = s->preemptions;
    if (!settings->stale_given) search.stale = s->stale;
    return run_search(s, search);
}

static bool is_wanted(const char *name, const char *const *wanted, int count) {
    if (count == 0) return true;
    for (int i = 0; i < count; i++)
        if (strcmp(wanted[i], name) == 0 ||
            (strncmp(name, wanted[i], strlen(wanted[i])) == 0 && name[strlen(wanted[i])] == '_'))
            return true;
    return false;
}

static void fail_usage(const char *what) {
    fprintf(stderr, "explore: %s: see the head of tests/explore/main.c\n", what);
    exit(2);
}

static void list(void) {
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
        for (const struct explore_scenario *s = lists[l]; s->name != NULL; s++) puts(s->name);
    exit(0);
}

/* An option that has no value. */
static bool parse_word(const char *word, struct settings *s) {
    static const char *const kinds[] = {"--exhaustive", "--random", "--pct"};
    for (int i = 0; i < 3; i++)
        if (strcmp(word, kinds[i]) == 0) {
            s->suite = false;
            s->search.kind = (enum search_kind)i;
            return true;
        }
    if (strcmp(word, "--list") == 0) list();
    if (strcmp(word, "--sites") == 0) return s->sites = true;
    if (strcmp(word, "--bare-fences") == 0) return bare_fences = true;
    return false;
}

static bool parse_value(const char *word, const char *value, struct settings *s) {
    if (value == NULL) return false;
    if (strcmp(word, "--preemptions") == 0) {
        s->search.preemptions = atoi(value);
        s->preemptions_given = true;
    } else if (strcmp(word, "--stale") == 0) {
        s->search.stale = atoi(value);
        s->stale_given = true;
    } else if (strcmp(word, "--executions") == 0) {
        s->search.executions = strtoull(value, NULL, 10);
        s->executions_given = true;
    } else if (strcmp(word, "--seconds") == 0) {
        s->search.seconds = atof(value);
    } else if (strcmp(word, "--seed") == 0) {
        s->search.seed = strtoull(value, NULL, 10);
    } else if (strcmp(word, "--replay") == 0) {
        s->search.replay = value;
        s->search.kind = SEARCH_REPLAY;
        s->suite = false;
        tracing = true;
    } else if (strcmp(word, "--weaken") == 0) {
        if (!sites_weaken(value)) return false;
    } else {
        return false;
    }
    return true;
}

int main(int argc, char **argv) {
    struct settings settings = {.suite = true, .search = {.depth = 4}};
    const char *wanted[WANTED_MAX];
    int wanted_count = 0;
    bool failed = false;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            if (wanted_count < WANTED_MAX) wanted[wanted_count++] = argv[i];
        } else if (!parse_word(argv[i], &settings)) {
            if (!parse_value(argv[i], argv[i + 1], &settings)) fail_usage(argv[i]);
            i++;
        }
    }
    puts("TAP version 13");
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
        for (const struct explore_scenario *s = lists[l]; s->name != NULL; s++)
            if (is_wanted(s->name, wanted, wanted_count)) failed |= run_one(s, &settings);
    if (settings.sites) sites_list();
    printf("1..%d\n# %llu interleavings\n", number, (unsigned long long)interleavings);
    return failed || number == 0;
}
