/* backend.hpp: what the parts of the second backend of the explorer's calls share. README.md has the model.
 *
 *   atomics.cc   the operations of the seam, over Relacy's store histories
 *   plain.cc     plain accesses, over Relacy's detector of races
 *   blocks.cc    memory, in the place of runtime/os/memory.c
 *   threads.cc   threads, futexes, the barrier on all CPUs, grace periods, thread-local variables
 *   main.cc      arguments, searches, reports
 *
 * Relacy's headers come as system headers; what they define in the place of the language's words is taken back.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_RELACY_BACKEND_HPP
#define FILCH_TESTS_RELACY_BACKEND_HPP

#include <relacy/relacy.hpp>
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno
#undef sched_yield
#undef $

#include <stdint.h>

extern "C" {
#include "explorer.h"
}

/* What depends on the number of threads, which Relacy has as a template's argument. */
struct sized {
    /* Nobody has seen the value that an atomic place begins with: Relacy leaves that open. */
    void (*unseen)(rl::atomic_data *data, unsigned index);
    /* A second one with the same times. */
    rl::var_data *(*clone)(rl::var_data *data);
};
extern struct sized sized;

static inline rl::context &context() {
    return rl::ctx();
}
static inline int self() {
    return context().threadx_->index_;
}

/* threads.cc */

/* Around each call into Relacy that may let another thread run: the thread-local variables are changed with it. */
class switching {
public:
    switching() : index_(self()) {}
    ~switching();

private:
    int index_;
};

/* A point where another thread may go on. */
void point();
/* Ends the execution. */
[[noreturn]] void fail(rl::test_result_e result, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Notes a line in the history of an execution that is replayed. */
void note(const rl::debug_info &where, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool is_thread_local(const volatile void *place);
/* Between the begin and the end of an execution. */
extern bool executing;
extern char failure[256];
extern int most_threads; /* that this program has started in an execution, with thread 0 */
void threads_begin(int count, bool random);
void thread_ends();
/* Of two, the second once in an execution of the exhaustive search, and at times of the random one. */
bool without_reason();

/* atomics.cc */
void atomics_begin();
void atomics_end();
/* A relaxed load, before which another thread may go on. */
uint32_t atomics_newest(const volatile uint32_t *place);
/* Plain stores have changed what is there. */
void atomics_forget(const volatile void *place);

/* plain.cc */
void plain_begin();
void plain_end();
enum class use { read, write, atomic };
void plain_use(const volatile void *place, size_t size, enum use use);
/* The running thread frees it. */
void plain_free(const void *start, size_t size);
/* An atomic place begins at that address. */
void plain_mark_atomic(const volatile void *place);

/* blocks.cc */
void blocks_begin();
/* Fails unless it is in no block, or in one that is allocated. */
void blocks_check(const volatile void *place, const char *what);
/* Short; of a block the same in each run. */
unsigned long name_of(const volatile void *place);

#endif
