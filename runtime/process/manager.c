/* process/manager.c: the thread that sleeps for an executor's workers and its zygote, and runs what is the user's:
 * callbacks, and destructors of arguments.
 *
 * Flow     bell (a worker has published, a thread has something for the manager), the zygote (keeper.c), timer -> the desk; then
 *          the chores. A callback that waits for a future runs the same steps (attend.c).
 * Keeps    1. Who has set `listener` to NOBODY names somebody who sleeps, and looks at the rings, before it sleeps itself.
 * Ends     when no worker is left and every future has ended: then it closes what the zygote lives by, and waits for its end. */
#include "base/point.h"
#include "os/bell.h"
#include "os/clock.h"
#include "os/futex.h"
#include "process/pool.h"
#include <limits.h>

/* The executor whose manager the calling thread is. */
static __thread struct filch__processes *managed;

bool filch__manager_is_self(const struct filch__processes *p) {
    return managed == p;
}

void filch__manager_wake(struct filch__processes *p) {
    filch__bell_ring(p->manager_bell);
}

void filch__manager_timer(struct filch__processes *p, int64_t time) {
    if (load_relaxed(&p->timer) <= time) return; /* relaxed: the bell orders it */
    store_relaxed(&p->timer, time);              /* relaxed: the same */
    if (managed != p) filch__manager_wake(p);
}

/* Sleep -------------------------------------------------------------------------------------------- */

/* Names who sleeps: the attendant, if there is one; else the manager. Whoever comes or goes after the last look names itself, or the
 * manager: nothing is written here behind that look. */
static void name_sleeper(struct filch__processes *p) {
    uint32_t attended, before;
    attended = load_relaxed(&p->attendant); /* relaxed: V33 follows */
    do {
        before = attended;
        filch__listen(p->common, before ? LISTENER_ATTENDANT : LISTENER_MANAGER);
        fence_seq_cst();                        /* V33 <-> V32 */
        attended = load_relaxed(&p->attendant); /* relaxed: ordered by V33 */
    } while (attended != before);
    POINT("manager.named");
}

/* The manager is awake. An attendant that sleeps stays named: what the manager runs now may take long. */
static void stop_listening(struct filch__processes *p) {
    uint32_t own = LISTENER_MANAGER;
    (void)cas_relaxed(&p->common->listener, &own, (uint32_t)LISTENER_NOBODY); /* relaxed: a hint */
}

static void run_chores(struct filch__processes *p) {
    struct filch__link *link = filch__chain_reverse(filch__stack_take_all(&p->chores));
    uint32_t generation = filch__fork_now();
    while (link != NULL) {
        filch_future *f = container_of(link, filch_future, link);
        link = filch__link_next(link);
        filch__desk_finish_chore(p, f);
        if (unlikely(filch__fork_now() != generation)) return;
    }
}

/* Something may be there that nobody is told of. */
static void work(struct filch__processes *p) {
    unsigned ending = filch__processes_ending(p);
    filch__desk_knock(p);
    filch__keeper_tend(p);
    run_chores(p);
    if (unlikely((ending & (FIRM_CANCELLING | FIRM_BROKEN)) != 0)) filch__processes_drain(p);
}

void filch__manager_step(struct filch__processes *p, int64_t deadline) {
    bool ready[3] = {false, false, false};
    name_sleeper(p);
    work(p);
    if (!filch__stack_is_empty(&p->chores)) return;
    int64_t timer = load_relaxed(&p->timer); /* relaxed: who sets it rings */
    POINT("manager.sleep");
    int fds[3] = {p->manager_bell, p->zygote_watched ? p->zygote_socket : -1, p->zygote_watch};
    filch__fds_wait(fds, 3, ready, timer < deadline ? timer : deadline);
    POINT("manager.woken");
    if (ready[0]) {
        stop_listening(p);
        filch__bell_clear(p->manager_bell);
    }
    if (timer != FILCH_FOREVER && filch__now() >= timer)
        store_relaxed(&p->timer, FILCH_FOREVER); /* relaxed: the desk sets it again, if it must */
    if (ready[1]) filch__keeper_read(p);
    if (ready[2]) filch__keeper_bury(p);
    work(p);
}

/* The end ------------------------------------------------------------------------------------------ */

static bool is_over(struct filch__processes *p) {
    return load_acquire(&p->over) != 0 &&       /* V20 <- V19 */
           load_acquire(&p->unfinished) == 0 && /* V18 <- V17 */
           filch__stack_is_empty(&p->chores);
}

void filch__manager_finish(struct filch__processes *p) {
    uint32_t generation = filch__fork_now();
    while (!is_over(p)) {
        filch__manager_step(p, FILCH_FOREVER);
        if (unlikely(filch__fork_now() != generation)) return; /* a callback has forked */
    }
    filch__keeper_end(p);
    store_release(&p->ended, 1u); /* V21 -> V22 */
    filch__futex_wake(&p->ended, INT_MAX);
}

void *filch__manager_main(void *processes) {
    struct filch__processes *p = processes;
    managed = p;
    filch__thread_name("filch-manager", 0);
    filch__manager_finish(p);
    return NULL;
}
