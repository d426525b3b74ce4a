/* gather.c: see gather.h. */
#include "gather.h"

#include "base/point.h"
#include "os/futex.h"
#include "os/memory.h"
#include "os/spin.h"

struct filch__gathering *filch__gathering_create(size_t n, enum filch__gather_for what) {
    struct filch__gathering *g = filch__alloc_zeroed(sizeof *g + n * sizeof g->slots[0]);
    if (g == NULL) return NULL;
    g->word = ((uint64_t)n + 1) * GATHER_REFERENCE;
    filch__stack_init(&g->done);
    g->what = what;
    g->generation = filch__fork_now();
    g->n = g->idle = n;
    return g;
}

enum filch__registered filch__gathering_add(struct filch__gathering *g, size_t i, filch_future *f) {
    struct filch__slot *slot = &g->slots[i];
    slot->gathering = g;
    slot->future = f;
    enum filch__registered how = filch__hub_register(f, slot);
    if (how == REGISTERED) g->idle--;
    return how;
}

bool filch__gathering_remove(struct filch__gathering *g, size_t i) {
    bool mine = filch__hub_deregister(g->slots[i].future, &g->slots[i]);
    g->idle += mine;
    return mine;
}

static void give_back(struct filch__gathering *g, uint64_t references) {
    uint64_t change = references * GATHER_REFERENCE;
    uint64_t before = fetch_sub_acq_rel(&g->word, change); /* G1 -> G1; G1 <- G1 */
    if (before - change < GATHER_REFERENCE) filch__free(g);
}

void filch__gathering_leave(struct filch__gathering *g) {
    for (size_t i = 0; i < g->n; i++)
        if (g->slots[i].cell != NULL) filch__gathering_remove(g, i);
    POINT("gather.leave");
    give_back(g, g->idle + 1);
}

bool filch__gathering_ready(struct filch__gathering *g) {
    uint64_t told = g->n + 1 - load_acquire(&g->word) / GATHER_REFERENCE; /* G2 <- G1 */
    if (g->what == GATHER_FIRST) return told != 0;
    if (g->what == GATHER_EACH) return !filch__stack_is_empty(&g->done);
    return load_acquire(&g->failed) != 0 || told == g->n - g->idle; /* G5 <- G4 */
}

/* The half of the word that the waiter sleeps on. */
static uint32_t *sleep_half(struct filch__gathering *g) {
    uint32_t *halves = (uint32_t *)(void *)&g->word;
    return halves + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

bool filch__gathering_sleep(struct filch__gathering *g, int64_t deadline) {
    bool ready = filch__gathering_ready(g), in_time = true;
    if (ready) return true;
    while (!ready && in_time) {
        /* Set anew each time: the answer says that nothing was told since, or `ready` sees it. */
        uint64_t word = fetch_or_acq_rel(&g->word, GATHER_SLEEPING); /* G3 -> G1; G3 <- G1 */
        POINT("gather.sleep");
        ready = filch__gathering_ready(g);
        if (ready) break;
        POINT("gather.asleep");
        in_time = filch__futex_wait(sleep_half(g), (uint32_t)(word | GATHER_SLEEPING), deadline);
    }
    fetch_add_relaxed(&g->word, -GATHER_SLEEPING); /* relaxed: nobody relies on its absence */
    return ready || filch__gathering_ready(g);
}

bool filch__gathering_spin(struct filch__gathering *g, int64_t spin, int64_t deadline) {
    struct filch__spin pauses = filch__spin_begin();
    do {
        if (filch__gathering_ready(g)) return true;
    } while (spin > 0 && filch__spin_pause(&pauses, spin, deadline));
    return false;
}

void filch__gathering_tell(struct filch__slot *slot) {
    struct filch__gathering *g = slot->gathering;
    filch_future *f = slot->future;
    bool failed = state_life(state_look(&f->state)) == LIFE_FINISHED && filch__future_code(f) != 0;
    if (g->what == GATHER_EACH)
        filch__stack_push(&g->done, &slot->link);
    else if (failed)
        store_release(&g->failed, 1u); /* G4 -> G5 */
    POINT("gather.told");
    uint64_t before =
        fetch_sub_acq_rel(&g->word, GATHER_REFERENCE); /* G1 -> G1, G2, G3; G1 <- G1, G3 */
    /* From here on the waiter may have freed it, unless this was the last. The wake-up touches no memory. */
    if ((before & GATHER_SLEEPING) != 0) filch__futex_wake(sleep_half(g), 1);
    if (before < 2 * GATHER_REFERENCE) filch__free(g);
}
