/* plugin.c: a library that a program opens with dlopen; PLUGIN_VERSION makes it another one.
 *
 * SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <stdlib.h>

typedef int task(void *arg, void *result);
task *plugin_task(int which);

static const int factor = PLUGIN_VERSION;

static int times_version(void *arg, void *result) {
    *(int *)result = factor * *(int *)arg;
    return 0;
}
static int crash_in_plugin(void *arg, void *result) {
    (void)arg;
    (void)result;
    abort();
}
#if PLUGIN_VERSION > 1
/* Moves what stands behind it. */
int plugin_more(int n);
int plugin_more(int n) {
    return n * n + factor;
}
#endif

task *plugin_task(int which) {
    return which == 0 ? times_version : crash_in_plugin;
}
