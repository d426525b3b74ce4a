/* process_module_test.c: functions of plugins, which a worker finds by the name of their module and their place in it.
 *
 * The plugins stand beside this program: two builds of one source, and one without build id.
 *
 * SPDX-License-Identifier: MIT */
#include "process_support.h"

#include <dlfcn.h>
#include <limits.h>

TestSuite(process_module, .timeout = 60);

static const char *path_of(const char *name) {
    static char path[PATH_MAX + 64];
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
    cr_assert_gt(n, 0);
    path[n] = '\0';
    snprintf(strrchr(path, '/'), 64, "/%s", name);
    return path;
}
static filch_task_fn *task_of(void *plugin, int which) {
    filch_task_fn *(*plugin_task)(int which);
    *(void **)&plugin_task = dlsym(plugin, "plugin_task");
    cr_assert_not_null(plugin_task, "%s", dlerror());
    return plugin_task(which);
}
static void *open_plugin(const char *path) {
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    cr_assert_not_null(plugin, "%s", dlerror());
    return plugin;
}
static filch_future *submit_6(filch_executor *e, filch_task_fn *fn) {
    int n = 6;
    return submit_to(e, fn, &n, sizeof n, sizeof n);
}

/* R-PROC-60: opened before the executor was made, or after; by workers of all ages. */
Test(process_module, a_static_function_of_a_plugin) {
    filch_executor *e = processes_of(2);
    check_it_works(e);
    filch_task_fn *fn = task_of(open_plugin(path_of("process_plugin_1.so")), 0);
    filch_executor *later = processes_of(1);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(value_of(submit_6(e, fn)), 6);
        cr_assert_eq(value_of(submit_6(later, fn)), 6);
        ok(filch_executor_kill_workers(e));
    }
    ok(filch_executor_destroy(e));
    ok(filch_executor_destroy(later));
}

/* Opens the plugin whose path is the argument, in the worker alone, and has a function of it run as a child. */
static int run_of_plugin(void *arg, void *result) {
    filch_task_fn *(*plugin_task)(int which);
    filch_future *f;
    int n = 6;
    void *plugin = dlopen(arg, RTLD_NOW | RTLD_LOCAL);
    if (plugin == NULL) return filch_fail(1, "%s", dlerror());
    *(void **)&plugin_task = dlsym(plugin, "plugin_task");
    int rc = filch_submit(filch_current_executor(), plugin_task(0), &n, sizeof n, sizeof n, &f);
    if (rc != 0) return filch_fail(rc, "%s", filch_last_error());
    rc = filch_future_result(f, result, FILCH_FOREVER);
    filch_future_release(f);
    return rc == 0 ? 0 : filch_fail(rc, "%s", filch_last_error());
}

/* R-PROC-60: a child whose function the program does not have. */
Test(process_module, a_child_of_a_plugin_that_the_program_has_not_opened) {
    const char *path = path_of("process_plugin_1.so");
    filch_executor *e = processes_of(2);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(value_of(submit_to(e, run_of_plugin, path, strlen(path) + 1, sizeof(int))), 6);
    ok(filch_executor_destroy(e));
}

/* R-PROC-60: two builds at once, from two files. */
Test(process_module, two_builds_side_by_side) {
    filch_task_fn *one = task_of(open_plugin(path_of("process_plugin_1.so")), 0);
    filch_task_fn *two = task_of(open_plugin(path_of("process_plugin_2.so")), 0);
    filch_executor *e = processes_of(1);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(value_of(submit_6(e, one)), 6);
        cr_assert_eq(value_of(submit_6(e, two)), 12);
    }
    ok(filch_executor_destroy(e));
}

/* R-PROC-60: its functions have names too. */
Test(process_module, a_crash_in_a_plugin_is_named) {
    filch_executor *e = processes_of(1);
    filch_task_fn *fn = task_of(open_plugin(path_of("process_plugin_1.so")), 1);
    filch_future *f = submit_6(e, fn);
    cr_assert_not_null(strstr(error_of(f).text, "crash_in_plugin"), "%s", error_of(f).text);
#if defined(TEST_SANITIZE_ADDRESS) || defined(TEST_SANITIZE_THREAD)
    check_died(f, ""); /* the sanitizer's own way to end */
#else
    check_died(f, "signal 6");
#endif
    ok(filch_executor_destroy(e));
}

static void copy(const char *from, const char *to) {
    char command[3 * PATH_MAX];
    snprintf(command, sizeof command, "cp '%s' '%s.new' && mv '%s.new' '%s'", from, to, to, to);
    cr_assert_eq(system(command), 0);
}
/* The future ends with EINVAL and a text that has the word; others go on. */
static void check_refused(filch_executor *e, filch_task_fn *fn, const char *word) {
    filch_future *f = NULL;
    int n = 6, rc = filch_submit(e, fn, &n, sizeof n, sizeof n, &f);
    if (rc == 0) {
        filch_error error = error_of(f);
        cr_assert_eq(error.code, FILCH_EINVAL, "%d: %s", error.code, error.text);
        cr_assert_not_null(strstr(error.text, word), "%s", error.text);
        filch_future_release(f);
    } else {
        cr_assert_eq(rc, FILCH_EINVAL);
        cr_assert_not_null(strstr(filch_last_error(), word), "%s", filch_last_error());
    }
    check_it_works(e);
}

/* R-PROC-61: the file was replaced, or deleted, since the program opened it. */
Test(process_module, another_build_or_none_is_an_error_on_that_future) {
    char made[] = "/tmp/filch-test-XXXXXX", path[100];
    cr_assert_not_null(mkdtemp(made));
    snprintf(path, sizeof path, "%s/plugin.so", made);
    copy(path_of("process_plugin_1.so"), path);
    filch_task_fn *fn = task_of(open_plugin(path), 0);
    filch_executor *e = processes_of(1);
    cr_assert_eq(value_of(submit_6(e, fn)), 6);
    copy(path_of("process_plugin_2.so"), path);
    cr_assert_eq(value_of(submit_6(e, fn)), 6, "this worker has opened it already");
    ok(filch_executor_kill_workers(e));
    check_refused(e, fn, "build");
    cr_assert_eq(unlink(path), 0);
    ok(filch_executor_kill_workers(e));
    check_refused(e, fn, path);
    copy(path_of("process_plugin_1.so"), path);
    ok(filch_executor_kill_workers(e));
    cr_assert_eq(value_of(submit_6(e, fn)), 6, "it is back");
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(rmdir(made), 0);
    ok(filch_executor_destroy(e));
}

/* R-PROC-61: which build it is cannot be told. */
Test(process_module, a_plugin_without_build_id_is_refused) {
    filch_executor *e = processes_of(1);
    filch_task_fn *fn = task_of(open_plugin(path_of("process_plugin_bare.so")), 0);
    check_refused(e, fn, "build id");
    ok(filch_executor_destroy(e));
}

/* R-PROC-61: an address at which there is no code. */
Test(process_module, what_is_no_function_is_einval) {
    static int no_code;
    filch_executor *e = processes_of(1);
    filch_task_fn *fn;
    *(void **)&fn = &no_code;
    check_refused(e, fn, "");
    void *block = malloc(16);
    *(void **)&fn = block;
    check_refused(e, fn, "");
    free(block);
    ok(filch_executor_destroy(e));
}

/* R-PROC-60: one of the C library. */
Test(process_module, a_function_of_a_library_that_is_linked) {
    filch_executor *e = processes_of(1);
    filch_task_fn *fn;
    *(void **)&fn = dlsym(RTLD_DEFAULT, "strcmp"); /* takes two pointers and returns an int */
    cr_assert_not_null(fn);
    filch_future *f = submit_to(e, fn, "", 1, 1);
    cr_assert_eq(finish(f), 0);
    ok(filch_executor_destroy(e));
}
