/* main.cc: the program: the explorer's scenarios, searched by Relacy.
 *
 * usage: relacy [SCENARIO...] [OPTION...]
 *
 *   --list               the names of the scenarios
 *   --random | --bound N       one search instead of what the suite does: executions at random; all to N preemptions
 *   --executions N, --seconds N        limits of each search
 *   --seed N             the first execution of the random search, which are numbered
 *   --replay SCHEDULE    one execution of one scenario, with each operation
 *   --weaken FILE:LINE:NAME=ORDER      that operation has another order
 *   --sites              lists the operations that were met, with their orders
 *
 * Each search is in a process of its own: what a failure leaves behind is gone with it, and a crash is one. The output is
 * TAP, and after a failure Relacy's history. Exit status 1: something failed.
 *
 * SPDX-License-Identifier: MIT */
#include "backend.hpp"

#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

extern "C" {
#include "sites.h"
extern const struct explore_scenario litmus_scenarios[], crew_scenarios[], deque_scenarios[],
    fork_scenarios[], future_scenarios[], hub_scenarios[], lane_scenarios[], outside_scenarios[],
    pool_scenarios[], slab_scenarios[], sleep_scenarios[], state_scenarios[];
}

struct sized sized;

namespace {

const explore_scenario *const lists[] = {litmus_scenarios, deque_scenarios,  state_scenarios,
                                         hub_scenarios,    future_scenarios, lane_scenarios,
                                         pool_scenarios,   fork_scenarios,   outside_scenarios,
                                         slab_scenarios,   sleep_scenarios,  crew_scenarios};

enum { WANTED_MAX = 64, OUTCOMES = 16, DEPTH_MAX = 20000 };
/* Of the suite, for each scenario; whole executors (pool, fork) take ten times as long, and get a tenth. */
enum { SUITE_EXECUTIONS = 20000, SUITE_BOUND = 2, SLOWER = 10 };
/* That show how many threads a scenario starts. */
enum { PROBES = 64 };

struct search {
    const explore_scenario *scenario;
    bool is_random;
    int threads; /* 0: as many as the scenario is found to start */
    int bound;   /* preemptions; -1: any number */
    uint64_t first, executions;
    double seconds;
    std::string state; /* of Relacy: where it begins */
    bool is_replay;
};

struct result {
    rl::test_result_e what;
    uint64_t executions;
    bool is_complete;
    std::string state;
};

/* Of the search that runs. */
search now;
uint64_t begun;
double started;

double seconds() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

} // namespace

/* Outcomes of litmus tests -------------------------------------------------------------------------- */

namespace {

const char *outcomes[OUTCOMES];
int outcome_count;

bool is_listed(const char *const *list, const char *name) {
    for (; *list != NULL; list++)
        if (strcmp(*list, name) == 0) return true;
    return false;
}

} // namespace

void explore_outcome(const char *name) {
    const char *const *listed = now.scenario->outcomes;
    if (!is_listed(listed, name))
        fail(rl::test_result_user_assert_failed, "outcome %s, which C++20 forbids", name);
    for (int i = 0; i < outcome_count; i++)
        if (strcmp(outcomes[i], name) == 0) return;
    for (; *listed != NULL; listed++)
        if (strcmp(*listed, name) == 0) outcomes[outcome_count++] = *listed;
}

/* Executions ---------------------------------------------------------------------------------------- */

namespace {

void end_if_it_is_time() {
    bool is_over = !now.is_random && now.executions != 0 && begun == now.executions;
    if (now.seconds > 0 && begun % 64 == 63) is_over |= seconds() - started > now.seconds;
    if (is_over) context().rl_until("the limit of the search", RL_INFO);
    begun++;
}

/* With count - 1 dynamic threads. */
template <rl::thread_id_t count> struct execution : rl::test_suite<execution<count>, 1> {
    static rl::thread_id_t const dynamic_thread_count = count - 1;

    void before() {
        end_if_it_is_time();
        threads_begin(count, now.is_random);
        atomics_begin();
        plain_begin();
        blocks_begin();
        executing = true;
    }
    void thread(unsigned) {
        now.scenario->run();
        thread_ends();
    }
    void after() {
        executing = false;
        atomics_end();
        plain_end();
    }
};

template <rl::thread_id_t count> void unseen(rl::atomic_data *data, unsigned index) {
    rl::foreach<count>(
        static_cast<rl::atomic_data_impl<count> *>(data)->history_[index].first_seen_order_,
        rl::assign<(rl::timestamp_t)-1>);
}

template <rl::thread_id_t count> rl::var_data *clone(rl::var_data *data) {
    typedef rl::var_data_impl<count> impl;
    impl *from = static_cast<impl *>(data), *to = static_cast<impl *>(context().var_ctor());
    rl::foreach<count>(to->load_acq_rel_timestamp_, from->load_acq_rel_timestamp_, rl::assign);
    rl::foreach<count>(to->store_acq_rel_timestamp_, from->store_acq_rel_timestamp_, rl::assign);
    return to;
}

template <rl::thread_id_t count>
rl::test_result_e run_sized(rl::test_params &params, std::ostream &state, bool is_replay) {
    sized.unseen = unseen<count>;
    sized.clone = clone<count>;
    if (now.is_random)
        return rl::run_test<execution<count>, rl::random_scheduler<count>>(params, state,
                                                                           is_replay);
    return rl::run_test<execution<count>, rl::context_bound_scheduler<count>>(params, state,
                                                                              is_replay);
}

rl::test_result_e run_threads(int threads, rl::test_params &params, std::ostream &state,
                              bool is_replay) {
    switch (threads) {
    case 2: return run_sized<2>(params, state, is_replay);
    case 3: return run_sized<3>(params, state, is_replay);
    case 4: return run_sized<4>(params, state, is_replay);
    case 5: return run_sized<5>(params, state, is_replay);
    default: return run_sized<EXPLORE_THREADS>(params, state, is_replay);
    }
}

result run_search(const search &s) {
    std::ostream nowhere(NULL);
    rl::test_params params;
    rl::ostringstream state;
    now = s;
    begun = 0;
    started = seconds();
    outcome_count = 0;
    failure[0] = '\0';
    params.search_type = s.is_random ? rl::random_scheduler_type : rl::sched_bound;
    params.iteration_count = s.is_random ? s.first + s.executions - 1 : 1;
    params.context_bound = (unsigned)s.bound;
    params.execution_depth_limit = DEPTH_MAX;
    params.collect_history = s.is_replay;
    params.progress_stream = &nowhere;
    params.initial_state.assign(s.state.begin(), s.state.end());
    rl::test_result_e what = run_threads(s.threads, params, state, s.is_replay);
    rl::string text = state.str();
    bool is_over = what == rl::test_result_until_condition_hit;
    return result{is_over ? rl::test_result_success : what, begun,
                  what == rl::test_result_success && !s.is_random,
                  std::string(text.begin(), text.end())};
}

} // namespace

/* Schedules: random:THREADS:BOUND:STATE or bound:..., with commas in Relacy's state ------------------ */

namespace {

std::string schedule_of(const search &s, const result &r) {
    std::string state = r.state;
    while (!state.empty() && state.back() == ' ') state.pop_back();
    std::replace(state.begin(), state.end(), ' ', ',');
    return std::string(s.is_random ? "random" : "bound") + ":" + std::to_string(s.threads) + ":" +
           std::to_string(s.bound) + ":" + state;
}

bool parse_schedule(const char *text, search *s) {
    int end = 0;
    char kind[8];
    if (sscanf(text, "%7[a-z]:%d:%d:%n", kind, &s->threads, &s->bound, &end) != 3 || end == 0)
        return false;
    s->is_random = strcmp(kind, "random") == 0;
    s->state = text + end;
    std::replace(s->state.begin(), s->state.end(), ',', ' ');
    s->is_replay = true;
    return s->threads >= 2 && s->threads <= EXPLORE_THREADS;
}

} // namespace

/* Reports ------------------------------------------------------------------------------------------- */

namespace {

struct settings {
    search common; /* of all scenarios */
    bool is_suite, are_executions_given, sites;
};

int number;
/* Written by the processes of the searches. */
struct shared {
    uint64_t executions;
    bool is_reported;
};
shared *totals;
const char *weakened;

void report_failure(const search &s, const result &r) {
    std::string schedule = schedule_of(s, r);
    printf("# %s%s%s\n", rl::test_result_str(r.what), failure[0] == '\0' ? "" : ": ", failure);
    printf("# relacy %s%s%s --replay %s\n", s.scenario->name, weakened == NULL ? "" : " --weaken ",
           weakened == NULL ? "" : weakened, schedule.c_str());
    fflush(stdout);
    if (r.what == rl::test_result_livelock) return; /* as long as it may be */
    /* The history: the same execution in a fresh process. */
    execl("/proc/self/exe", "relacy", s.scenario->name, "--replay", schedule.c_str(),
          weakened == NULL ? NULL : "--weaken", weakened, NULL);
}

void report_missing(const explore_scenario *s) {
    outcomes[outcome_count] = NULL;
    for (const char *const *o = s->outcomes; *o != NULL; o++)
        if (!is_listed(outcomes, *o)) printf("# %s: Relacy has no outcome %s\n", s->name, *o);
}

int report(const search &s, const result &r) {
    bool has_failed = r.what != rl::test_result_success;
    totals->executions += r.executions;
    totals->is_reported = true;
    printf("%sok %d - %s, ", has_failed ? "not " : "", number, s.scenario->name);
    if (s.is_random)
        printf("random");
    else if (s.bound < 0)
        printf("exhaustive");
    else
        printf("to %d preemptions", s.bound);
    printf(": %llu executions%s\n", (unsigned long long)r.executions, r.is_complete ? ", all" : "");
    if (r.is_complete && s.scenario->outcomes != NULL) report_missing(s.scenario);
    return has_failed;
}

/* How many threads it starts. A failure is one of that search. */
bool probe(search *s, result *r) {
    search few = *s;
    few.is_random = true;
    few.threads = EXPLORE_THREADS;
    few.first = 1;
    few.state = "1";
    few.executions = PROBES;
    *r = run_search(few);
    if (r->what != rl::test_result_success) {
        *s = few;
        return false;
    }
    s->threads = most_threads < 2 ? 2 : most_threads;
    return true;
}

int search_here(search s, bool lists_sites) {
    result r;
    if (s.threads != 0 || probe(&s, &r)) r = run_search(s);
    if (s.is_replay) {
        totals->is_reported = true;
        return r.what != rl::test_result_success;
    }
    int status = report(s, r);
    if (lists_sites) sites_list();
    fflush(stdout);
    if (status != 0) report_failure(s, r);
    return status;
}

/* In a process of its own. */
bool run_apart(search s, bool lists_sites) {
    number++;
    totals->is_reported = false;
    if (s.is_random && s.state.empty()) s.state = std::to_string(s.first);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int code = search_here(s, lists_sites);
        fflush(stdout);
        _exit(code);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) abort();
    if (!totals->is_reported)
        printf("not ok %d - %s\n# it has crashed\n", number, s.scenario->name);
    return status != 0;
}

uint64_t executions_of_suite(const explore_scenario *s) {
    bool is_whole = strncmp(s->name, "pool_", 5) == 0 || strncmp(s->name, "fork_", 5) == 0;
    return is_whole ? SUITE_EXECUTIONS / SLOWER : SUITE_EXECUTIONS;
}

/* What the suite does with a scenario. */
bool run_suite(const settings &settings) {
    search s = settings.common;
    s.is_random = false;
    if (!settings.are_executions_given) s.executions = executions_of_suite(s.scenario);
    s.bound = s.scenario->outcomes != NULL ? -1 : SUITE_BOUND;
    if (run_apart(s, settings.sites)) return true;
    if (s.scenario->outcomes != NULL) return false;
    s.is_random = true;
    return run_apart(s, settings.sites);
}

bool run_one(settings settings, const explore_scenario *scenario) {
    settings.common.scenario = scenario;
    if (settings.is_suite) return run_suite(settings);
    if (settings.common.is_random && !settings.are_executions_given)
        settings.common.executions =
            settings.common.seconds > 0 ? UINT64_C(1) << 40 : (uint64_t)SUITE_EXECUTIONS;
    return run_apart(settings.common, settings.sites);
}

} // namespace

/* Arguments ----------------------------------------------------------------------------------------- */

namespace {

bool is_wanted(const char *name, const char *const *wanted, int count) {
    if (count == 0) return true;
    for (int i = 0; i < count; i++) {
        size_t length = strlen(wanted[i]);
        if (strncmp(name, wanted[i], length) == 0 && (name[length] == '\0' || name[length] == '_'))
            return true;
    }
    return false;
}

void fail_usage(const char *what) {
    fprintf(stderr, "relacy: %s: see the head of tests/relacy/main.cc\n", what);
    exit(2);
}

void list() {
    for (const explore_scenario *s : lists)
        for (; s->name != NULL; s++) puts(s->name);
    exit(0);
}

/* An option that has no value. */
bool parse_word(const char *word, settings *s) {
    if (strcmp(word, "--list") == 0) list();
    if (strcmp(word, "--sites") == 0) return s->sites = true;
    if (strcmp(word, "--random") != 0) return false;
    s->is_suite = false;
    return s->common.is_random = true;
}

bool parse_value(const char *word, const char *value, settings *s) {
    if (value == NULL) return false;
    if (strcmp(word, "--bound") == 0) {
        s->common.bound = atoi(value);
        s->is_suite = s->common.is_random = false;
    } else if (strcmp(word, "--executions") == 0) {
        s->common.executions = strtoull(value, NULL, 10);
        s->are_executions_given = true;
    } else if (strcmp(word, "--seconds") == 0) {
        s->common.seconds = atof(value);
    } else if (strcmp(word, "--seed") == 0) {
        s->common.first = strtoull(value, NULL, 10);
    } else if (strcmp(word, "--replay") == 0) {
        s->is_suite = false;
        if (!parse_schedule(value, &s->common)) fail_usage(value);
    } else if (strcmp(word, "--weaken") == 0) {
        if (!sites_weaken(weakened = value)) return false;
    } else {
        return false;
    }
    return true;
}

} // namespace

int main(int argc, char **argv) {
    settings settings = {};
    const char *wanted[WANTED_MAX];
    int wanted_count = 0;
    bool has_failed = false;
    settings.is_suite = true;
    settings.common.first = 1;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            if (wanted_count < WANTED_MAX) wanted[wanted_count++] = argv[i];
        } else if (!parse_word(argv[i], &settings)) {
            if (!parse_value(argv[i], argv[i + 1], &settings)) fail_usage(argv[i]);
            i++;
        }
    }
    totals = (shared *)mmap(NULL, sizeof *totals, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (totals == MAP_FAILED) abort();
    puts("TAP version 13");
    for (const explore_scenario *s : lists)
        for (; s->name != NULL; s++)
            if (is_wanted(s->name, wanted, wanted_count)) has_failed |= run_one(settings, s);
    printf("1..%d\n# %llu executions\n", number, (unsigned long long)totals->executions);
    return has_failed || number == 0;
}
