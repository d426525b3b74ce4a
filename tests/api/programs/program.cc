// program.cc: a C++ program with an executor on processes: a static function, a lambda and a member of a template as
// tasks; what std::terminate ends.
//
// SPDX-License-Identifier: MIT
#include <filch.h>
#include <filch/process.h>

#include <cstdio>
#include <fcntl.h>
#include <cstring>
#include <stdexcept>
#include <string>

namespace {

int square(void *arg, void *result) {
    *static_cast<int *>(result) = *static_cast<int *>(arg) * *static_cast<int *>(arg);
    return 0;
}

template <int N> struct Times {
    static int run(void *arg, void *result) {
        *static_cast<int *>(result) = N * *static_cast<int *>(arg);
        return 0;
    }
};

int throws(void *, void *) {
    throw std::runtime_error("nobody catches it");
}

int run(filch_executor *executor, filch_task_fn *fn, int n) {
    filch_future *future = nullptr;
    int value = -1;
    int rc = filch_submit(executor, fn, &n, sizeof n, sizeof value, &future);
    if (rc == 0) rc = filch_future_result(future, &value, FILCH_FOREVER);
    if (rc != 0) std::printf("%s: %s\n", filch_error_name(rc), filch_last_error());
    filch_future_release(future);
    return rc == 0 ? value : rc;
}

std::string made_before_main = "made before main";

} // namespace

int main(int argc, char **argv) {
    filch_main(&argc, &argv);
    filch_process_options options = FILCH_PROCESS_OPTIONS_INIT;
    filch_executor *executor = nullptr;
    options.max_workers = 2;
    options.error = open("/dev/null", O_WRONLY); // where a worker's last words go
    if (filch_process_executor(&options, &executor) != 0)
        return std::printf("%s\n", filch_last_error()), 1;
    std::printf("%d\n", run(executor, square, 12));
    std::printf("%d\n", run(executor, Times<7>::run, 6));
    std::printf("%d\n", run(
                            executor,
                            [](void *arg, void *result) {
                                *static_cast<int *>(result) =
                                    *static_cast<int *>(arg) +
                                    static_cast<int>(made_before_main.size());
                                return 0;
                            },
                            5));
    std::printf("%s\n", run(executor, throws, 0) == FILCH_EWORKER ? "ended" : "strange");
    return filch_executor_destroy(executor);
}
