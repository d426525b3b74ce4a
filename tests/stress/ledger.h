/* ledger.h: a book of every task that the long stress run submits, and what each of them must come to.
 *
 * Flow     ledger.c makes the stage (executors, clients, killer, watchdog), ledger_operations.c is what a client does,
 *          ledger_book.c has the entries, the tasks and the verdicts.
 * State    the book is shared memory: tasks write to it in whatever process they run. An entry belongs to one client,
 *          which opens it before the submit and closes it when the task is accounted for; tasks and destructors only
 *          count in it.
 * Keeps    1. An entry is closed exactly once, by a verdict: right result, expected error, cancelled, lost with a
 *             worker that was killed, or refused.
 *          2. A task begins once; more often only if its worker was killed and it has retries. A cancelled or refused
 *             one never begins, not even later: an order whose serial is not that of its entry is noted as stale.
 *          3. The destructor of an argument runs once, before the future counts as done; never after a refused submit.
 *          4. Each callback runs once.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_LEDGER_H
#define FILCH_TESTS_LEDGER_H

#include "shared.h"

#include <filch.h>
#include <filch/atomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { CLIENTS_MOST = 16, BLOCK = 192, ENTRIES = CLIENTS_MOST * BLOCK, SEATS = 256 };

/* What a task does. */
enum kind { ANSWER, FAIL, NEST, BLOCKING, FORKS, UNTIL_ASKED, CRASH, KINDS };

/* What may happen to it besides its own end. */
enum {
    MAY_CANCEL = 1, /* the executor may be shut down with FILCH_CANCEL_PENDING */
    MAY_LOSE = 2,   /* workers are killed */
    MAY_REFUSE = 8, /* the executor may be shut down while tasks submit to it */
    LOOSE = 4 /* a child of a task whose worker may be killed: may begin again with its parent */
};

/* What goes to a task, in front of its payload. */
struct order {
    struct shared book;
    uint32_t entry, serial, kind, flags;
    uint32_t size;     /* bytes of payload */
    uint32_t answer;   /* bytes of the result, at least 8 */
    uint32_t children; /* entries behind its own, for a NEST */
    int32_t retries;
    uint64_t seed, sum;
};

struct entry {
    uint32_t serial, open;
    uint32_t kind, flags;
    uint32_t began, ended, destroyed, called, refused;
};

struct seat {
    int pid, session;
};
struct book {
    uint32_t faults; /* found in a worker process */
    uint32_t stale;  /* tasks that ran when their entry was closed */
    uint64_t closed; /* entries, ever */
    uint64_t results, errors, cancelled, lost, refused;
    struct seat seats[SEATS]; /* who ran a task last, for the killer */
    struct entry entries[ENTRIES];
};

/* Makes the book, in the program. */
void book_create(void);
struct book *book(void);

/* What is put in on purpose, so that the ledger is seen to find it. */
enum fault { FAULT_NONE, FAULT_LOST, FAULT_TWICE, FAULT_WRONG, FAULT_LEAK };
extern enum fault ledger_fault;

/* Says what is wrong and ends the program; in a worker it makes a note that the program finds. */
void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define must(condition, ...)                                                                       \
    do {                                                                                           \
        if (!(condition)) wrong(__VA_ARGS__);                                                      \
    } while (0)

/* A random number. */
uint64_t next_random(uint64_t *state);
/* Below n, which is not 0. */
static inline uint32_t below(uint64_t *state, uint32_t n) {
    return (uint32_t)(next_random(state) >> 33) % n;
}

/* A task and its future. */
struct item {
    filch_future *future;
    struct order order;
    uint32_t callbacks;
    bool destructor;
    bool cancel_won, cancel_lost, asked;
    int submitted; /* what the submit has returned */
};

/* Opens the entry and writes the order; the payload goes behind it with order_fill. */
void order_open(struct order *order, uint32_t entry, enum kind kind, uint32_t flags, uint64_t seed);
/* Writes the order and its payload to bytes. */
void order_fill(struct order *order, void *bytes);
static inline size_t order_size(const struct order *order) {
    return sizeof *order + order->size;
}
static inline struct entry *order_entry(const struct order *order) {
    return &book()->entries[order->entry];
}

/* The function of all tasks, and the destructor of their arguments. */
int order_run(void *arg, void *result);
void order_destroy(void *arg);
/* A done callback: counts in the entry that is its context. */
void order_called(filch_future *future, void *context);

/* Submits an item whose order is open. */
void item_submit(filch_executor *executor, struct item *item);
void item_cancel(struct item *item, bool request);
/* Waits for its end, judges it, releases the future and closes the entry. Returns its code. */
int item_settle(struct item *item, uint64_t *random);
/* Judges what an order came to, where there is no future to ask. */
void order_judge(const struct order *order, int code, const void *data, size_t size);
void order_close(const struct order *order);

#endif
