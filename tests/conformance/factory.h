/* factory.h: the executors that the conformance tests run over, and memory that their tasks share.
 *
 * Flow: each program of tests/conformance/ runs once per factory; FILCH_TEST_EXECUTOR names it ("threads" if
 * it is not set, "list" prints all). A test asks for an executor of so many workers and knows nothing else
 * of it. A new kind of executor is a line in factory.c, and all rules hold it.
 *
 * Tasks may run in another process: what they leave for the test goes into their result, or into shared
 * memory, whose handle travels in the argument. Callbacks, and destructors of arguments, run in the test's
 * process and use memory as they like. Where a rule is about memory that task and program share, its
 * test begins with needs(SAME_MEMORY).
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_FACTORY_H
#define FILCH_TESTS_FACTORY_H

#include "api_support.h"
#include "shared.h"

/* What may hold of one kind of executor and not of another. */
enum property {
    /* Tasks run in the memory of the program: a task can use a future, a promise or an executor to which
     * its argument points. Rules on waiting inside a task for futures from outside need it. */
    SAME_MEMORY = 1,
    /* An executor is made and destroyed in less than a millisecond. */
    QUICK_START = 2,
    /* Each worker has a queue of its own for what its tasks submit. Workers that are processes have none: it would
     * be lost with a worker that dies; what they submit goes through the program's queue. */
    OWN_QUEUES = 4
};

/* What a test asks for. */
struct wanted {
    /* 1 to 64. */
    int max_workers;
    /* NULL: none. Gets the bytes at initializer_arg, or a copy of them in another process. */
    int (*initializer)(void *arg);
    void *initializer_arg;
    size_t initializer_arg_size;
};

struct factory {
    /* Letters, digits and `-`. */
    const char *name;
    unsigned properties;
};

/* The one that is tested. */
const struct factory *factory(void);
filch_executor *make_executor(int max_workers);
filch_executor *make_executor_with(struct wanted wanted);

/* How often a test with an executor in each round runs: stress(n), or a tenth of it without QUICK_START. */
int rounds_of(int n);

/* Skips the test, visibly, where the property does not hold. */
#define needs(property)                                                                            \
    do {                                                                                           \
        if (!(factory()->properties & (property)))                                                 \
            cr_skip_test("%s: not " #property, factory()->name);                                   \
    } while (0)

/* Tasks -------------------------------------------------------------------------------------------- */

/* The argument is a handle. Adds 1 to the number. */
int add_one(void *arg, void *result);
/* Result and argument are an int. */
int square(void *arg, void *result);
/* Returns its argument, an int. */
int return_code(void *arg, void *result);

/* A task that runs until it is let go. */
struct hold {
    struct shared reached, open;
};
int stay(void *arg, void *result);
struct held {
    struct hold hold;
    filch_future *future;
};
/* Returns when it runs. */
struct held hold_worker(filch_executor *e);
/* The same, before it need run. */
struct held hold_queued(filch_executor *e);
/* The task ends; waits for it and gives its future back. */
void let_go(struct held *held);

filch_future *submit_int(filch_executor *e, filch_task_fn *fn, int arg);
filch_future *submit_shared(filch_executor *e, filch_task_fn *fn, struct shared arg);

#endif
