// gbench.cc: Google Benchmark behind the C functions of gbench.h. The project's only C++ of its own.
//
// Flow: gbench_add registers a benchmark with a fixed number of iterations. gbench_run runs them in
// that order, with a reporter that turns each run into a gbench_result and passes it on to Google's
// JSON reporter. Google's settings that would change the order or the number of runs are set
// explicitly, since they can also come from environment variables (BENCHMARK_REPETITIONS and so on).
//
// Keeps: the n-th run reported is the n-th measurement added. One repetition gives exactly one run and
// no aggregates.
//
// SPDX-License-Identifier: MIT
#include "gbench.h"

#include <benchmark/benchmark.h>

#include <fstream>
#include <iostream>
#include <string>
#include <vector>

namespace {

std::vector<gbench_measurement> measurements;
// What the running measurement gave to gbench_fail. Run has it too, but under names that differ from
// one version of Google Benchmark to the next.
std::string failure;
bool skipped;

benchmark::State &state_of(gbench_state *state) {
    return *reinterpret_cast<benchmark::State *>(state);
}

class Reporter : public benchmark::BenchmarkReporter {
public:
    Reporter(gbench_report_fn *report, std::ostream *json) : report_(report), json_(json) {
        if (json_ == nullptr) return;
        json_reporter_.SetOutputStream(json_);
        json_reporter_.SetErrorStream(&std::cerr);
    }

    bool ReportContext(const Context &context) override {
        return json_ == nullptr || json_reporter_.ReportContext(context);
    }

    void ReportRuns(const std::vector<Run> &runs) override {
        for (Run run : runs) {
            const gbench_measurement &measurement = measurements.at(next_++);
            if (skipped) continue;
            run.repetition_index = measurement.repetition;
            run.repetitions = measurement.repetitions;
            if (json_ != nullptr) json_reporter_.ReportRuns({run});
            const double iterations = static_cast<double>(measurement.iterations);
            gbench_result result = {};
            result.context = measurement.context;
            result.real_seconds = run.real_accumulated_time / iterations;
            result.cpu_seconds = run.cpu_accumulated_time / iterations;
            result.error = failure.empty() ? nullptr : failure.c_str();
            report_(&result);
        }
    }

    void Finalize() override {
        if (json_ != nullptr) json_reporter_.Finalize();
    }

private:
    gbench_report_fn *report_;
    std::ostream *json_;
    benchmark::JSONReporter json_reporter_;
    size_t next_ = 0;
};

} // namespace

void gbench_add(const gbench_measurement *measurement) {
    gbench_fn *fn = measurement->fn;
    void *context = measurement->context;
    measurements.push_back(*measurement);
    benchmark::RegisterBenchmark(measurement->name,
                                 [fn, context](benchmark::State &state) {
                                     failure.clear();
                                     skipped = false;
                                     fn(reinterpret_cast<gbench_state *>(&state), context);
                                 })
        ->Iterations(measurement->iterations)
        ->Unit(benchmark::kMillisecond)
        ->MeasureProcessCPUTime()
        ->UseRealTime();
}

bool gbench_run(const char *program, const char *json, gbench_report_fn *report) {
    std::ofstream file;
    if (json != nullptr) file.open(json);
    if (json != nullptr && !file) return false;
    std::string arguments[] = {program, "--benchmark_repetitions=1",
                               "--benchmark_enable_random_interleaving=false",
                               "--benchmark_list_tests=false", "--benchmark_out="};
    char *argv[sizeof arguments / sizeof arguments[0]];
    int argc = 0;
    for (std::string &argument : arguments) argv[argc++] = &argument[0];
    benchmark::Initialize(&argc, argv);
    Reporter reporter(report, json != nullptr ? &file : nullptr);
    if (!measurements.empty()) benchmark::RunSpecifiedBenchmarks(&reporter, ".");
    benchmark::Shutdown();
    file.flush();
    return json == nullptr || file.good();
}

void gbench_describe(const char *key, const char *value) {
    benchmark::AddCustomContext(key, value);
}

bool gbench_next(gbench_state *state) {
    return state_of(state).KeepRunning();
}

void gbench_pause(gbench_state *state) {
    state_of(state).PauseTiming();
}

void gbench_resume(gbench_state *state) {
    state_of(state).ResumeTiming();
}

void gbench_fail(gbench_state *state, const char *text) {
    failure = text;
    state_of(state).SkipWithError(failure.c_str());
}

void gbench_skip(gbench_state *state) {
    skipped = true;
    state_of(state).SkipWithError("the time is up");
}

void gbench_counter(gbench_state *state, const char *name, double value) {
    state_of(state).counters[name] = value;
}
