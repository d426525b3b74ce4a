/* hub.c: see hub.h. */
#include "hub.h"

#include "base/point.h"
#include "base/random.h"
#include "gather.h"
#include "os/memory.h"

/* Cells behind those inside: block k has BLOCK_FIRST << k of them. 30 blocks cover 2^32. */
enum { BLOCK_FIRST_BITS = 2, BLOCKS = 30 };
#define BLOCK_FIRST (UINT64_C(1) << BLOCK_FIRST_BITS)

/* Looks for a free cell where at most half of them are used, before there is a new one all the same: so many
 * in vain are a matter of chance once in 2^32. */
enum { PROBES = 32 };

struct filch__hub_blocks {
    void *block[BLOCKS]; /* arrays of cells */
};

/* In a cell once the future is done. */
static struct filch__slot closed;
#define CLOSED (&closed)

struct filch__hub *filch__hub_create(void) {
    struct filch__hub *hub = filch__alloc(sizeof *hub);
    if (hub != NULL) *hub = (struct filch__hub){.callbacks = NULL};
    return hub;
}

void filch__hub_free(struct filch__hub *hub) {
    if (hub == NULL) return;
    while (hub->callbacks != NULL) {
        struct filch__callback *node = hub->callbacks;
        hub->callbacks = node->next;
        filch__free(node);
    }
    struct filch__hub_blocks *blocks = hub->blocks;
    for (int k = 0; blocks != NULL && k < BLOCKS; k++) filch__free(blocks->block[k]);
    filch__free(blocks);
    filch__free(hub);
}

struct filch__hub *filch__hub_install(filch_future *f, struct filch__hub *hub) {
    struct filch__hub *none = NULL;
    if (hub == NULL) return NULL;
    POINT("hub.install");
    if (cas_acq_rel(&f->hub, &none, hub)) return hub; /* U1 -> U2 */
    filch__hub_free(hub);
    return none;
}

struct filch__hub *filch__hub_get(filch_future *f) {
    struct filch__hub *hub = load_acquire(&f->hub); /* U2 <- U1 */
    return hub != NULL ? hub : filch__hub_install(f, filch__hub_create());
}

/* Cells ------------------------------------------------------------------------------------------ */

/* Cell i lies in which block, and where: counted from BLOCK_FIRST on, block k begins at BLOCK_FIRST << k. */
static int block_of(uint32_t i, uint64_t *place) {
    uint64_t at = (uint64_t)i - HUB_CELLS_INSIDE + BLOCK_FIRST;
    int k = 63 - __builtin_clzll(at) - BLOCK_FIRST_BITS;
    *place = at - (BLOCK_FIRST << k);
    return k;
}

/* A cell that exists. */
static struct filch__slot **cell_at(struct filch__hub *hub, uint32_t i) {
    if (likely(i < HUB_CELLS_INSIDE)) return &hub->inside[i];
    uint64_t place;
    int k = block_of(i, &place);
    struct filch__hub_blocks *blocks = load_acquire(&hub->blocks); /* U8 <- U7 */
    struct filch__slot **block = load_acquire(&blocks->block[k]);  /* U8 <- U7 */
    return block + place;
}

/* Something at *place, zeroed memory of that size if there is nothing; NULL: no memory. */
static void *ensure(void **place, size_t size) {
    void *present = load_acquire(place); /* U8 <- U7 */
    if (present != NULL) return present;
    void *fresh = filch__alloc_zeroed(size);
    if (fresh == NULL || cas_acq_rel(place, &present, fresh)) return fresh; /* U7 -> U8 */
    filch__free(fresh);
    return present;
}

/* Sees to it that there is memory for cell i. */
static bool ensure_room(struct filch__hub *hub, uint32_t i) {
    uint64_t place;
    if (i < HUB_CELLS_INSIDE) return true;
    if (i == UINT32_MAX) return false;
    int k = block_of(i, &place);
    struct filch__hub_blocks *blocks = ensure(&hub->blocks, sizeof *blocks);
    if (blocks == NULL) return false;
    return ensure(&blocks->block[k], (sizeof(struct filch__slot *) * BLOCK_FIRST) << k) != NULL;
}

/* One cell more; NULL: no memory. */
static noinline struct filch__slot **grow(struct filch__hub *hub) {
    uint32_t n = load_acquire(&hub->cells); /* U6 <- U5 */
    do {
        if (!ensure_room(hub, n)) return NULL;
    } while (!cas_acq_rel(&hub->cells, &n, n + 1)); /* U5 -> U6 */
    return cell_at(hub, n);
}

static bool try_enter(struct filch__slot **cell, struct filch__slot *slot) {
    struct filch__slot *none = NULL;
    if (load_relaxed(cell) != NULL) return false; /* relaxed: a hint */
    slot->cell = cell;
    return cas_release(cell, &none, slot); /* U3 -> U4 */
}

/* Into a cell that somebody has left. */
static bool enter_old(struct filch__hub *hub, struct filch__slot *slot) {
    uint32_t n = load_acquire(&hub->cells); /* U6 <- U5 */
    struct filch__random random;
    filch__random_init(&random, (uint64_t)(uintptr_t)slot);
    for (int i = 0; n != 0 && i < PROBES; i++)
        if (try_enter(cell_at(hub, filch__random_below(&random, n)), slot)) return true;
    return false;
}

/* Into a cell; false: no memory. */
static bool enter(struct filch__hub *hub, struct filch__slot *slot) {
    uint32_t used = fetch_add_relaxed(&hub->used, 1u); /* relaxed: a hint */
    uint32_t n = load_acquire(&hub->cells);            /* U6 <- U5 */
    if (used <= n / 2 && enter_old(hub, slot)) return true;
    for (;;) {
        struct filch__slot **cell = grow(hub);
        if (cell == NULL) break;
        /* Somebody who looks for a free one may be faster, and then that one need not grow. */
        if (try_enter(cell, slot)) return true;
    }
    fetch_add_relaxed(&hub->used, -1u); /* relaxed: a hint */
    return false;
}

/* Whoever finishes took it, or it is the caller's again. */
static bool leave(struct filch__hub *hub, struct filch__slot *slot) {
    struct filch__slot *mine = slot;
    POINT("hub.leave");
    if (!cas_relaxed(slot->cell, &mine, NULL)) /* relaxed: only the caller has written the slot */
        return false;
    fetch_add_relaxed(&hub->used, -1u); /* relaxed: a hint */
    return true;
}

/* The first one's hub comes with its slot in it. */
static struct filch__hub *install_with(filch_future *f, struct filch__slot *slot) {
    struct filch__hub *hub = filch__hub_create();
    if (hub == NULL) return NULL;
    hub->inside[0] = slot;
    hub->cells = hub->used = 1;
    slot->cell = &hub->inside[0];
    struct filch__hub *there = filch__hub_install(f, hub);
    if (there != hub) slot->cell = NULL;
    return there;
}

enum filch__registered filch__hub_register(filch_future *f, struct filch__slot *slot) {
    struct filch__hub *hub = load_acquire(&f->hub); /* U2 <- U1 */
    slot->cell = NULL;
    if (hub == NULL) hub = install_with(f, slot);
    if (hub == NULL) return REGISTER_NO_MEMORY;
    if (slot->cell == NULL && !enter(hub, slot)) {
        slot->cell = NULL;
        return state_is_done(state_look(&f->state)) ? REGISTER_TOO_LATE : REGISTER_NO_MEMORY;
    }
    POINT("hub.registered");
    if (!state_is_done(state_add_flag(&f->state, FLAG_HUB))) return REGISTERED;
    /* Whoever finishes may have the slot already; then it has been registered, and its cell says so. */
    if (!leave(hub, slot)) return REGISTERED;
    slot->cell = NULL;
    return REGISTER_TOO_LATE;
}

bool filch__hub_deregister(filch_future *f, struct filch__slot *slot) {
    bool mine = leave(load_acquire(&f->hub), slot); /* U2 <- U1 */
    slot->cell = NULL;
    return mine;
}

void filch__hub_notify(filch_future *f) {
    struct filch__hub *hub = load_acquire(&f->hub); /* U2 <- U1 */
    uint32_t n = load_acquire(&hub->cells);         /* U6 <- U5 */
    POINT("hub.notify");
    for (uint32_t i = 0; i < n; i++) {
        struct filch__slot *slot = exchange_acquire(cell_at(hub, i), CLOSED); /* U4 <- U3 */
        if (slot == NULL || slot == CLOSED) continue;
        POINT("hub.taken");
        filch__gathering_tell(slot);
    }
}

/* Callbacks -------------------------------------------------------------------------------------- */

void filch__hub_add_callback(struct filch__hub *hub, struct filch__callback *node) {
    node->next = load_relaxed(&hub->callbacks);                   /* relaxed: only handed on */
    while (!cas_weak_release(&hub->callbacks, &node->next, node)) /* U9 -> U10 */
        continue;
}

/* Those that were added, oldest first; the caller owns them. */
static struct filch__callback *take_callbacks(struct filch__hub *hub) {
    struct filch__callback *node = exchange_acquire(&hub->callbacks, NULL); /* U10 <- U9 */
    struct filch__callback *oldest = NULL;
    while (node != NULL) {
        struct filch__callback *next = node->next;
        node->next = oldest;
        oldest = node;
        node = next;
    }
    return oldest;
}

void filch__hub_run_callbacks(filch_future *f) {
    uint32_t generation = filch__fork_now();
    struct filch__callback *node = take_callbacks(load_acquire(&f->hub)); /* U2 <- U1 */
    while (node != NULL) {
        struct filch__callback *next = node->next;
        filch_done_callback *fn = node->fn;
        void *context = node->context;
        filch__free(node);
        fn(f, context);
        if (unlikely(filch__fork_now() != generation)) return; /* the others are the parent's */
        node = next;
    }
}

bool filch__hub_has_callbacks(filch_future *f) {
    struct filch__hub *hub = load_acquire(&f->hub); /* U2 <- U1 */
    return load_relaxed(&hub->callbacks) != NULL; /* relaxed: one that is in time is seen, by F2 */
}
