/* doze.c: see doze.h. */
#include "doze.h"

#include "base/point.h"
#include "os/clock.h"
#include "os/futex.h"
#include <limits.h>

__thread struct filch__dozes filch__dozes;

cold void filch__doze_end_all(struct filch__home *home) {
    store_relaxed(&home->dozing, 0u); /* relaxed: a hint */
    filch__futex_wake(&home->dozing, INT_MAX);
}

static void skip_waits(struct filch__dozes *d) {
    d->waits = (uint32_t)(d->pause / DOZE_PAUSE_WAIT);
}

/* At the time `now`: the last doze was good, or not. */
static void judge(struct filch__dozes *d, bool good, int64_t now) {
    d->open = false;
    d->pause = good                        ? 0
               : d->pause == 0             ? DOZE_PAUSE_FIRST
               : d->pause < DOZE_PAUSE_MAX ? DOZE_PAUSE_GROWTH * d->pause
                                           : DOZE_PAUSE_MAX;
    d->next = now + d->pause;
    skip_waits(d);
}

static bool is_promising(struct filch__dozes *d, int64_t now) {
    if (d->open) judge(d, d->taken >= DOZE_TAKES, now);
    if (d->waits == 0 && now >= d->next) return true;
    skip_waits(d);
    return false;
}

/* Is it a future that an idle worker would tell of, and does the executor leave it to us how to wait? Who asks
 * for a longer spin than the default gets it. */
static bool is_suitable(const struct filch__home *home) {
    return home != &filch__home_standalone &&
           load_relaxed(&home->spin) <= FILCH__SPIN_DEFAULT; /* relaxed: a constant */
}

bool filch__doze_slow(filch_future *f, int64_t deadline) {
    struct filch__dozes *d = &filch__dozes;
    struct filch__home *home = filch__future_home(f);
    if (!is_suitable(home)) return false;
    int64_t now = filch__now();
    if (!is_promising(d, now)) return false;
    store_relaxed(&home->dozing, 1u); /* relaxed: a hint */
    if (state_is_done(state_look(&f->state))) return true;
    POINT("doze");
    /* No loop: who is woken without a reason goes on as if an idle worker had done it. */
    bool told = filch__futex_wait(&home->dozing, 1, now + DOZE < deadline ? now + DOZE : deadline);
    bool done = state_is_done(state_look(&f->state));
    d->open = done && !told;
    d->taken = 0;
    if (!d->open) judge(d, false, filch__now());
    return done;
}
