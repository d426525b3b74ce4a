/* search.c: which choices an execution makes.
 *
 * exhaustive  depth first over all choices, within the bounds: so many preemptions (a switch away from a thread that
 *             could go on), so many old values read, one return of a futex or of a weak cas without a reason or
 *             failed allocation. Before an operation that commutes with all of the other threads (its place is
 *             used by no other, or it loads what no other writes) there is no switch; who uses what is
 *             learnt from random executions, and if a search learns more it begins again.
 * random      at each point, with a probability that is drawn for each execution.
 * pct         Burckhardt, Kothari, Musuvathi & Nagarakatte, "A Randomized Scheduler with Probabilistic Guarantees
 *             of Finding Bugs", ASPLOS 2010: priorities that change at depth - 1 points.
 * replay      a schedule: a character for each choice, a digit for a thread, a letter for others.
 *
 * SPDX-License-Identifier: MIT */
#include "inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHOICES_MAX = 1 << 16, FLAGS_MAX = 1, WARM_UP = 300, CHANGES_MAX = 8 };

static const struct search *search;

/* The execution's choices, as a schedule. */
static char record[CHOICES_MAX + 1];
static size_t recorded;

/* Depth first: of each choice how many there are and which is taken. */
static struct { uint8_t count, taken; } tree[CHOICES_MAX];
static size_t depth, at;
static int preemptions, stale, flags;

/* At random */
static uint64_t state;
static unsigned rarity;                     /* a switch in one of so many points */
static int priorities[EXPLORE_THREADS];     /* PCT */
static unsigned change_points[CHANGES_MAX]; /* PCT */
static unsigned steps, longest;

static unsigned below(unsigned n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)((state >> 20) % n);
}

static void put(char c) {
    if (recorded == CHOICES_MAX) schedule_abandon();
    record[recorded++] = c;
}

static char next_of_replay(void) {
    char c = search->replay[recorded];
    if (c == '\0') schedule_fail("the schedule is too short");
    return c;
}

/* One of `count`, in the order of the search. */
static unsigned branch(unsigned count) {
    if (at == depth) {
        tree[depth].count = (uint8_t)count;
        tree[depth].taken = 0;
        depth++;
    }
    if (tree[at].count != count) {
        fprintf(stderr, "explore: the scenario is not deterministic\n");
        abort();
    }
    return tree[at++].taken;
}

static const char first_of[] = {'0', 'a', 'n', 'A'};

static unsigned choose(enum choice kind, unsigned count) {
    switch (search->kind) {
    case SEARCH_EXHAUSTIVE:
        if (kind == CHOOSE_STALE && search->stale >= 0 && stale >= search->stale) return 0;
        if (kind == CHOOSE_FLAG && flags >= FLAGS_MAX) return 0;
        return branch(count);
    case SEARCH_REPLAY: return (unsigned)(next_of_replay() - first_of[kind]);
    default:
        if (kind == CHOOSE_STALE) return below(3) == 0 ? below(count) : 0;
        if (kind == CHOOSE_FLAG) return below(12) == 0;
        return below(count);
    }
}

unsigned search_choose(enum choice kind, unsigned count) {
    if (count <= 1) return 0;
    unsigned taken = choose(kind, count);
    if (taken >= count) schedule_fail("the schedule is not of this scenario");
    if (kind == CHOOSE_STALE && taken != 0) stale++;
    if (kind == CHOOSE_FLAG && taken != 0) flags++;
    put((char)(first_of[kind] + (int)taken));
    return taken;
}

static int nth(unsigned ready, unsigned n) {
    for (int i = 0;; i++)
        if ((ready & 1u << i) != 0 && n-- == 0) return i;
}

static int thread_of_tree(unsigned ready, bool free, bool local) {
    unsigned count = (unsigned)__builtin_popcount(ready);
    if (free) return nth(ready, branch(count));
    if (local || (search->preemptions >= 0 && preemptions >= search->preemptions)) return current;
    unsigned taken = branch(count);
    if (taken == 0) return current;
    preemptions++;
    return nth(ready & ~(1u << current), taken - 1);
}

static int thread_of_priority(unsigned ready) {
    int best = -1;
    for (int i = 0; i < search->depth - 1 && i < CHANGES_MAX; i++)
        if (change_points[i] == steps) priorities[current] = -i - 1;
    for (int i = 0; i < EXPLORE_THREADS; i++)
        if ((ready & 1u << i) != 0 && (best < 0 || priorities[i] > priorities[best])) best = i;
    return best;
}

int search_thread(unsigned ready, bool free, bool local) {
    if ((ready & (ready - 1)) == 0) return nth(ready, 0);
    int next;
    steps++;
    switch (search->kind) {
    case SEARCH_EXHAUSTIVE: next = thread_of_tree(ready, free, local); break;
    case SEARCH_REPLAY:
        next = next_of_replay() - '0';
        if (next < 0 || next >= EXPLORE_THREADS || (ready & 1u << next) == 0)
            schedule_fail("the schedule is not of this scenario");
        break;
    case SEARCH_PCT: next = thread_of_priority(ready); break;
    default:
        next = free || below(rarity) == 0 ? nth(ready, below((unsigned)__builtin_popcount(ready)))
                                          : current;
    }
    put((char)('0' + next));
    return next;
}

static void begin_execution(uint64_t number) {
    recorded = at = 0;
    preemptions = stale = flags = 0;
    if (steps > longest) longest = steps;
    steps = 0;
    state = (search->seed + number + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    for (int i = 0; i < 8; i++) below(2);
    static const unsigned rarities[] = {2, 3, 6, 20};
    rarity = rarities[below(4)];
    for (int i = 0; i < EXPLORE_THREADS; i++) priorities[i] = (int)below(1 << 20) + 1;
    for (int i = 0; i < CHANGES_MAX; i++) change_points[i] = 1 + below(longest + 1);
}

/* The next path; false: there is none. */
static bool backtrack(void) {
    while (depth > 0 && tree[depth - 1].taken + 1u >= tree[depth - 1].count) depth--;
    if (depth == 0) return false;
    tree[depth - 1].taken++;
    return true;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One execution. True: it has failed. */
static bool execute(const struct explore_scenario *scenario, struct search_result *result) {
    begin_execution(result->executions);
    schedule_run(scenario->run);
    result->executions++;
    if (abandoned) result->abandoned++;
    if (failure[0] == '\0') return false;
    record[recorded] = '\0';
    result->failed = true;
    result->schedule = strdup(record);
    return true;
}

static bool is_over(const struct search_result *result, double end) {
    if (search->executions != 0 && result->executions >= search->executions) return true;
    return search->seconds != 0 && result->executions % 64 == 0 && now() >= end;
}

static void learn_sharing(const struct explore_scenario *scenario, struct search_result *result) {
    struct search random = *search;
    const struct search *asked = search;
    random.kind = SEARCH_RANDOM;
    search = &random;
    for (int i = 0; i < WARM_UP && !result->failed; i++) execute(scenario, result);
    search = asked;
}

struct search_result search_run(const struct search *s, const struct explore_scenario *scenario) {
    struct search_result result = {0};
    double end = now() + s->seconds;
    search = s;
    depth = 0;
    longest = 0;
    if (s->kind == SEARCH_EXHAUSTIVE) learn_sharing(scenario, &result);
    memory_sharing_grew = false;
    while (!result.failed && !execute(scenario, &result)) {
        if (s->kind == SEARCH_REPLAY) break;
        if (s->kind == SEARCH_EXHAUSTIVE) {
            if (memory_sharing_grew) {
                memory_sharing_grew = false;
                result.restarts++;
                depth = 0;
            } else if (!backtrack()) {
                result.complete = result.abandoned == 0;
                break;
            }
        }
        if (is_over(&result, end)) break;
    }
    return result;
}
