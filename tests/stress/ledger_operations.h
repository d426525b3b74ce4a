/* ledger_operations.h: what a client of the long stress run does.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_LEDGER_OPERATIONS_H
#define FILCH_TESTS_LEDGER_OPERATIONS_H

#include "ledger.h"

/* Executors that all clients of an episode share. */
struct stage {
    filch_executor *threads, *processes; /* processes: NULL if there are none */
    uint32_t flags_threads, flags_processes;
};

struct client {
    const struct stage *stage;
    uint64_t random;
    uint32_t first, used; /* its entries: from first on, BLOCK of them */
    const char *doing;
    uint64_t choices; /* a digest of the operations chosen */
};

/* One operation, chosen at random. */
void client_step(struct client *client);

#endif
