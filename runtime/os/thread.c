/* os/thread.c: pthreads behind the fault seam. */
#include "os/thread.h"

#include "os/fault.h"
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

size_t filch__thread_stack_least(void) {
    long least = sysconf(_SC_THREAD_STACK_MIN);
    return least > 0 ? (size_t)least : (size_t)PTHREAD_STACK_MIN;
}

int filch__thread_start(pthread_t *thread, size_t stack_size, void *(*fn)(void *), void *arg) {
    pthread_attr_t attributes;
    if (filch__fault(FILCH__FAULT_THREAD)) return EAGAIN;
    int rc = pthread_attr_init(&attributes);
    if (rc != 0) return rc;
    if (stack_size != 0) rc = pthread_attr_setstacksize(&attributes, stack_size);
    if (rc == 0) rc = pthread_create(thread, &attributes, fn, arg);
    pthread_attr_destroy(&attributes);
    return rc;
}

void filch__thread_yield(void) {
    sched_yield();
}

void filch__thread_join(pthread_t thread) {
    pthread_join(thread, NULL);
}

int filch__thread_at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void)) {
    return pthread_atfork(before, in_parent, in_child);
}

void filch__thread_name(const char *prefix, int index) {
    char name[16], digits[12];
    int used = snprintf(digits, sizeof digits, "-%d", index);
    snprintf(name, sizeof name, "%.*s%s", (int)sizeof name - 1 - used, prefix, digits);
    pthread_setname_np(pthread_self(), name);
}

size_t filch__thread_stack_low(void) {
    pthread_attr_t attributes;
    void *low = NULL;
    size_t size = 0, guard = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 0;
    if (pthread_attr_getstack(&attributes, &low, &size) != 0) low = NULL;
    if (pthread_attr_getguardsize(&attributes, &guard) != 0) guard = 0;
    pthread_attr_destroy(&attributes);
    /* glibc counts the guard as part of the stack that it reports. */
    return low == NULL ? 0 : (size_t)(uintptr_t)low + guard;
}
