/* main.c: runs Criterion's tests, in place of Criterion's own main.
 *
 * Why: three things of Criterion 2.4 fail.
 *   1. Its sandbox maps an arena at a random address below 2^44, which ThreadSanitizer keeps for its
 *      shadow: "Could not initialize inheritable arena", or a crash, in most runs.
 *   2. It has the verdict of a test before the process of that test ends, so that what the sanitizers
 *      find at exit (leaks, races in destructors) is printed and the test passes.
 *   3. Its runner now and then waits for ever for a test whose process has ended.
 *
 * Flow: main() forks one child per test; the child calls the test as Criterion's macros have registered
 * it, and ends through exit(), so that the sanitizer decides on the exit status. Output is the TAP that
 * Criterion prints with --tap=-. The functions of libcriterion.so that its macros call to report an
 * assertion are defined here instead; the linker prefers these.
 *
 * Processes: filch_main comes first, so that tests may have executors on processes. What a test leaves behind
 * becomes a child of this program (a subreaper) and must end soon, or the test has failed.
 *
 * Supported: Test, TestSuite (init, fini, disabled, timeout), ParameterizedTest, exit_code, signal,
 * cr_assert..., cr_expect..., cr_skip. A ParameterizedTest without parameters is not counted. Timeouts are stretched by TIMEOUT_FACTOR. A failed cr_assert
 * ends the process of its test at once, without fini. Arguments that are no option choose the tests whose
 * "suite::name" has one of them in it; options are ignored.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion, whose types.h forgets it */

#include <criterion/criterion.h>
#include <criterion/internal/assert/types.h>
#include <criterion/parameterized.h>
#include <dirent.h>
#include <errno.h>
#include <filch/process.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "support.h"

/* What a test with a time limit may take longer on a busy machine, and under a sanitizer. */
#if defined(TEST_SANITIZE_ADDRESS) || defined(TEST_SANITIZE_THREAD)
#define TIMEOUT_FACTOR 20.0
#else
#define TIMEOUT_FACTOR 4.0
#endif
#define EXIT_FAILED 1
/* What a process may take to end after its test: 1 ms each. */
#define LEFTOVER_ROUNDS ((int)(5000 * TIMEOUT_FACTOR / 4))
#define EXIT_SKIPPED 77

/* The linker makes these: start and end of the sections that Test and TestSuite fill. */
extern struct criterion_test *__start_cr_tst[] __attribute__((weak));
extern struct criterion_test *__stop_cr_tst[] __attribute__((weak));
extern struct criterion_suite *__start_cr_sts[] __attribute__((weak));
extern struct criterion_suite *__stop_cr_sts[] __attribute__((weak));

struct verdicts {
    int run;
    int failed;
};

/* In the child: what it runs, and whether a cr_expect has failed. */
static const struct criterion_test *current;
static const struct criterion_test_extra_data *current_suite;
static void *current_parameter;
static int expectation_failed;

int main(int argc, char **argv);

/* What the macros call ------------------------------------------------------------------------ */

void criterion_internal_test_setup(void) {
    if (current_suite && current_suite->init) current_suite->init();
    if (current->data->init) current->data->init();
}

void criterion_internal_test_main(void (*test)(void)) {
    if (current->data->kind_ == CR_TEST_PARAMETERIZED)
        ((void (*)(void *))test)(current_parameter);
    else
        test();
}

void criterion_internal_test_teardown(void) {
    if (current->data->fini) current->data->fini();
    if (current_suite && current_suite->fini) current_suite->fini();
}

void criterion_send_assert(struct criterion_assert_stats *stats) {
    if (!stats->passed) printf("# %s:%u: %s\n", stats->file, stats->line, stats->message);
    fflush(stdout);
}

static void print_node(const char *file, size_t line, const struct cri_assert_node *node) {
    if (node->message && node->message[0]) printf("# %s:%zu: %s\n", file, line, node->message);
    if (node->repr && !node->pass) printf("# %s:%zu: not true: %s\n", file, line, node->repr);
    for (uint32_t i = 0; i < node->nchild; i++) print_node(file, line, &node->children[i]);
}

void cri_assert_node_send(const char *file, size_t line, struct cri_assert_node *tree) {
    print_node(file, line, tree);
    fflush(stdout);
}

void cri_asserts_passed_incr(void) {
}

void criterion_continue_test(void) {
    expectation_failed = 1;
}

void criterion_abort_test(void) {
    fflush(stdout);
    _exit(EXIT_FAILED);
}

static void print_reason(const char *format, va_list arguments) {
    printf("# ");
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
}

void criterion_skip_test(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_reason(format, arguments);
    va_end(arguments);
    _exit(EXIT_SKIPPED);
}

void criterion_test_die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_reason(format, arguments);
    va_end(arguments);
    _exit(EXIT_FAILED);
}

/* The runner ---------------------------------------------------------------------------------- */

static const struct criterion_test_extra_data *find_suite(const char *name) {
    for (struct criterion_suite **s = __start_cr_sts; s != __stop_cr_sts; s++)
        if (*s && !strcmp((*s)->name, name)) return (*s)->data;
    return NULL;
}

static double time_limit(const struct criterion_test *test,
                         const struct criterion_test_extra_data *suite) {
    if (test->data->timeout > 0) return test->data->timeout;
    return suite ? suite->timeout : 0;
}

static void run_child(const struct criterion_test *test,
                      const struct criterion_test_extra_data *suite, void *parameter) {
    double limit = time_limit(test, suite);
    current = test;
    current_suite = suite;
    current_parameter = parameter;
    if (limit > 0) alarm((unsigned)(limit * TIMEOUT_FACTOR) + 1);
    test->test();
    exit(expectation_failed ? EXIT_FAILED : 0);
}

/* The parent of a process; -1: it is gone. */
static pid_t parent_of(const char *pid) {
    char path[300], state;
    int parent = -1;
    snprintf(path, sizeof path, "/proc/%s/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) return -1;
    /* Behind the name, which may have any characters, stand state and parent. */
    if (fscanf(file, "%*d (%*[^)]) %c %d", &state, &parent) != 2) parent = -1;
    fclose(file);
    return parent;
}

/* The pid of some child; 0: none can be found. */
static pid_t find_child(void) {
    struct dirent *entry;
    pid_t child = 0;
    DIR *proc = opendir("/proc");
    if (proc == NULL) return 0;
    while (child == 0 && (entry = readdir(proc)) != NULL)
        if (atoi(entry->d_name) > 0 && parent_of(entry->d_name) == getpid())
            child = (pid_t)atoi(entry->d_name);
    closedir(proc);
    return child;
}

/* Waits for the processes that a test has left behind. The pid of one that does not end, which is then killed; or
 * 0. */
static pid_t reap_leftovers(void) {
    pid_t survivor = 0;
    for (int round = 0;; round++) {
        pid_t ended = waitpid(-1, NULL, WNOHANG);
        if (ended < 0 && errno == ECHILD) return survivor;
        if (ended != 0) continue;
        if (round >= LEFTOVER_ROUNDS) {
            pid_t child = find_child();
            if (child > 0) kill(child, SIGKILL);
            if (survivor == 0) survivor = child;
        }
        usleep(1000);
    }
}

/* Runs one case in a process of its own and prints its line. */
static void run_case(const struct criterion_test *test,
                     const struct criterion_test_extra_data *suite, void *parameter,
                     struct verdicts *verdicts) {
    struct timespec begin, end;
    int status = 0;

    fflush(stdout);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    pid_t child = fork();
    if (child == 0) run_child(test, suite, parameter);
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("main: cannot run a test");
        exit(2);
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    pid_t survivor = reap_leftovers();

    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    int killer = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    int skipped = code == EXIT_SKIPPED && test->data->exit_code != EXIT_SKIPPED;
    int passed = survivor == 0 &&
                 (skipped || (code == test->data->exit_code && killer == test->data->signal));
    const char *executor = getenv("FILCH_TEST_EXECUTOR"); /* see conformance/factory.h */
    double seconds =
        (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;

    verdicts->run++;
    verdicts->failed += !passed;
    printf("%s - %s::%s%s%s%s ", passed ? "ok" : "not ok", test->category, test->name,
           executor ? " on " : "", executor ? executor : "", skipped ? " # SKIP" : "");
    if (survivor != 0)
        printf("left process %d behind ", (int)survivor);
    else if (!passed && killer == SIGALRM)
        printf("timed out ");
    else if (!passed && killer)
        printf("ended by signal %d (%s) ", killer, strsignal(killer));
    else if (!passed && code != EXIT_FAILED)
        printf("exit status %d ", code);
    printf("(%.2fs)\n", seconds);
}

static void run_test(const struct criterion_test *test, struct verdicts *verdicts) {
    const struct criterion_test_extra_data *suite = find_suite(test->category);

    if (test->data->disabled || (suite && suite->disabled)) {
        printf("ok - %s::%s # SKIP disabled\n", test->category, test->name);
        verdicts->run++;
        return;
    }
    if (test->data->kind_ != CR_TEST_PARAMETERIZED) {
        run_case(test, suite, NULL, verdicts);
        return;
    }
    struct criterion_test_params params = test->data->param_();
    if (params.length == 0) printf("# %s::%s is not for here\n", test->category, test->name);
    for (size_t i = 0; i < params.length; i++)
        run_case(test, suite, (char *)params.params + i * params.size, verdicts);
    if (params.cleanup) params.cleanup(&params);
}

static int is_chosen(const struct criterion_test *test, int argc, char **argv) {
    char name[256];
    int choices = 0;
    snprintf(name, sizeof name, "%s::%s", test->category, test->name);
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-') continue;
        if (strstr(name, argv[i]) != NULL) return 1;
        choices++;
    }
    return choices == 0;
}

int main(int argc, char **argv) {
    struct verdicts verdicts = {0, 0};

    /* Workers begin here too: tasks that leave memory behind are what some tests are about. */
    if (getenv("FILCH_ZYGOTE") != NULL) leaks_are_others();
    filch_main(&argc, &argv);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    printf("TAP version 13\n");
    for (struct criterion_test **t = __start_cr_tst; t != __stop_cr_tst; t++)
        if (*t && is_chosen(*t, argc, argv)) run_test(*t, &verdicts);
    printf("1..%d\n", verdicts.run);
    return verdicts.run == 0 || verdicts.failed != 0;
}
