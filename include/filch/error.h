/* filch/error.h: the codes that calls return, with their names and texts.
 *
 * An int result is 0 for success; negative for the library's own FILCH_E...; positive for the code
 * that the task itself returned. Codes that have an errno are -errno, the others start at -10001.
 * Values never change.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_ERROR_H
#define FILCH_ERROR_H

#include <errno.h>
#include <filch/export.h>

/* The one list: X(NAME, value, text). */
#define FILCH_ERRORS(X)                                                                            \
    X(ECANCELED, -ECANCELED, "the task was cancelled before it started")                           \
    X(ETIMEDOUT, -ETIMEDOUT, "the time was over before the future was done")                       \
    X(EINVAL, -EINVAL, "an argument is not valid")                                                 \
    X(ENOMEM, -ENOMEM, "there is not enough memory")                                               \
    X(EAGAIN, -EAGAIN, "no thread or process could be started")                                    \
    X(EDEADLK, -EDEADLK, "the call would wait for itself")                                         \
    X(ESHUTDOWN, -ESHUTDOWN, "the executor was shut down")                                         \
    X(ENOTSUP, -ENOTSUP, "this executor cannot do that")                                           \
    X(EBROKEN, -10001, "the executor is broken and runs no more tasks")                            \
    X(EWORKER, -10002, "the worker that ran the task died")                                        \
    X(EFORKED, -10003, "the executor belongs to the process before fork")                          \
    X(ESTATE, -10004, "the future is already cancelled or finished")                               \
    X(ETOOBIG, -10005, "a size is larger than the library can handle")                             \
    X(EEND, -10006, "the iterator is at its end")

enum filch_error_code {
#define FILCH_ERROR_ENUM(name, value, text) FILCH_##name = (value),
    FILCH_ERRORS(FILCH_ERROR_ENUM)
#undef FILCH_ERROR_ENUM
        FILCH_OK = 0
};

FILCH_BEGIN_DECLS

/* The name of a code, such as "FILCH_ETIMEDOUT".
 *
 * code     any int
 * Returns  the name; "FILCH_OK" for 0; "task code" for a positive one; "unknown" for others.
 * Ownership: the library's, valid for ever. Threads: any. Progress: wait-free. Since: 0.1. */
FILCH_API const char *filch_error_name(int code);

/* One sentence on a code, without a full stop.
 *
 * code     any int
 * Returns  the sentence; never NULL.
 * Ownership: the library's, valid for ever. Threads: any. Progress: wait-free. Since: 0.1. */
FILCH_API const char *filch_error_text(int code);

/* What went wrong in this thread's last failed call: the argument, its value, and what to do.
 *
 * Returns  a text, "" if no call of this thread has failed; never NULL.
 * Ownership: the library's; valid until the thread's next call that fails. Threads: each has its
 * own. Progress: wait-free. Since: 0.1. */
FILCH_API const char *filch_last_error(void);

FILCH_END_DECLS

#endif
