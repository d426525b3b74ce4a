/* os/spin.c: the yield of a thread that spins. */
#include "os/spin.h"

__thread int64_t filch__spin_yield_at, filch__spin_banned_until;

bool filch__spin_yield(const struct filch__spin *s, int64_t now) {
    filch__thread_yield();
    int64_t after = filch__now(), took = after - now;
    filch__spin_yield_at = after + (took < SPIN_YIELD_ALONE ? SPIN_YIELD_EVERY : 0);
    if (took < SPIN_YIELD_SLICE) return after < s->end;
    filch__spin_banned_until = after + SPIN_BANNED;
    return false;
}
