/* hub.h: who wants to be told of a future's end: callbacks, and waiters for sets of futures.
 *
 * Flow     a future has no hub until somebody registers; the first one installs it (filch__hub_get).
 *          filch_future_add_done_callback -> callbacks; gather.c -> cells, one for each waiter.
 *          Whoever finishes the future empties the cells and runs the callbacks (filch__future_notify).
 * State    callbacks: pushed by any holder of a reference; taken by exchange, by whoever finishes, or by
 *          who pushed too late. A callback is never taken back.
 *          a cell: NULL (free), the slot of a waiter, or CLOSED (the future is done). From free to a slot
 *          by its waiter; back by the same one; to CLOSED, from either, by whoever finishes.
 *          cells: how many there are, that is, have ever been used; only grows. used: registrations, about.
 * Keeps    1. Whoever takes a slot out of a cell, waiter or finisher, owns it; it happens once.
 *          2. Cells live as long as the future: a holder of a reference may look at one at any time.
 *          3. With a hub, FLAG_HUB is set before who installed it gives up the reference it uses.
 *          4. There is a new cell only where more than half of them are used, or many looks for a free one
 *             were in vain: waiters that come and go use the same ones again, and none walks a list.
 * Who owns a slot, and when
 *          registered    in the cell; it may be on a stack of nobody, and its memory must stay.
 *          deregister    true: the waiter's again, nobody will touch it.
 *          ... false     the finisher has taken it, and tells its gathering now, or has done so: the
 *                        gathering counts that, and lives until then (gather.h).
 * Orders
 *   U1 cas_acq_rel hub (install) -> U2 load_acquire hub (get, notify): an empty hub, or with the first slot in it
 *   U3 cas_release cell (register) -> U4 exchange_acquire cell (notify): the slot's fields, and its gathering's
 *   U5 cas_acq_rel cells (grow) -> U6 load_acquire cells (probe, notify): the block in which the cell is
 *   U7 cas_acq_rel block (add) -> U8 load_acquire block (find): cells that are free
 *   U9 cas_release callbacks (push) -> U10 exchange_acquire callbacks (take): the node's content
 *   That whoever finishes sees a cell or a callback in time, or who came late sees the end: F2, F4 of
 *   future_state.h.
 * Progress lock-free; notify is bounded by the number of cells. Nobody waits for anybody.
 * Memory   the hub and its cells are freed with the future. */
#ifndef FILCH_RUNTIME_HUB_H
#define FILCH_RUNTIME_HUB_H

#include "future.h"

struct filch__gathering;

/* One waiter's interest in one future; embedded in its gathering. */
struct filch__slot {
    struct filch__link link; /* in the gathering's list of the done ones */
    struct filch__gathering *gathering;
    filch_future *future;
    struct filch__slot **cell; /* where it is registered; NULL: nowhere */
};

struct filch__callback {
    struct filch__callback *next;
    filch_done_callback *fn;
    void *context;
};

enum { HUB_CELLS_INSIDE = 2 };

struct filch__hub {
    struct filch__callback *callbacks;
    uint32_t cells, used;
    void *blocks; /* struct filch__hub_blocks, the further cells; NULL: none */
    struct filch__slot *inside[HUB_CELLS_INSIDE];
};

/* The future's hub, installed if there is none; NULL: no memory. The caller announces what it puts there
 * with FLAG_HUB. */
struct filch__hub *filch__hub_get(filch_future *f);
/* Makes a hub that this thread alone knows, or NULL. */
struct filch__hub *filch__hub_create(void);
/* Gives that hub to a future, for good, if it has none; else frees it. The one that is there. */
struct filch__hub *filch__hub_install(filch_future *f, struct filch__hub *hub);
/* With its callbacks, which are not run. */
void filch__hub_free(struct filch__hub *hub);

enum filch__registered { REGISTERED, REGISTER_TOO_LATE, REGISTER_NO_MEMORY };
/* Has slot->gathering told when the future is done. TOO_LATE: it is done, the slot is the caller's. */
enum filch__registered filch__hub_register(filch_future *f, struct filch__slot *slot);
/* True: the slot is the caller's again. False: the gathering has been told, or will be. */
bool filch__hub_deregister(filch_future *f, struct filch__slot *slot);

/* Adds a node that the hub then owns; FLAG_HUB is the caller's to set. */
void filch__hub_add_callback(struct filch__hub *hub, struct filch__callback *node);
/* Runs the callbacks that were added, oldest first. For whoever finishes, and who adds one too late. */
void filch__hub_run_callbacks(filch_future *f);
/* Are there callbacks to run? For whoever finishes. */
bool filch__hub_has_callbacks(filch_future *f);
/* For whoever finishes: tells the waiters. */
void filch__hub_notify(filch_future *f);

#endif
