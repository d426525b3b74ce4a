/* process/attend.c: what future.c and await.c ask of a room whose workers are processes: to cancel what is posted, to look whether it
 * runs, to pass on a request, and to wait.
 *
 * A thread that is no worker waits by doing the desk's work itself: it is the one who wants the result. The first one that comes
 * to sleep is the attendant, whose bell the workers then ring in place of the manager's. Others sleep on their futures.
 *
 * Visitors look for a channel without holding the desk (pool.h, V7 to V12); a ticket word tells them which claim is meant, and the
 * claim's CAS, whether it still is. */
#include "base/point.h"
#include "os/bell.h"
#include "os/clock.h"
#include "os/spin.h"
#include "process/pool.h"

/* Visits ------------------------------------------------------------------------------------------- */

static void visit(struct filch__processes *p) {
    fetch_add_relaxed(&p->visitors, 1u); /* relaxed: V7 follows */
    fence_seq_cst();                     /* V7 <-> V8 */
}
static void leave(struct filch__processes *p) {
    fetch_sub_acq_rel(&p->visitors, 1u); /* V9 -> V10 */
}

/* Where a future is posted, or runs. */
struct place {
    struct filch__channel *channel;
    uint32_t ticket;
    uint64_t generation;
};

/* Which ticket it has, or had last. To be read before the state: who then sees it posted sees it posted by that ticket, or by
 * one that is newer, and the claim's generation says which. The other way round it may be the ticket of a place where it is
 * not posted yet, or where it is started once more: whoever revoked that could not cancel it, and nobody would end it. */
static uint64_t ticket_of(filch_future *f) {
    uint64_t word = load_acquire(&f->ticket); /* V14 <- V13 */
    POINT("attend.ticket");
    return word;
}

/* False: it is on its way to somewhere else; look again. During a visit. */
static bool find_place(struct filch__processes *p, uint64_t state, uint64_t word,
                       struct place *place) {
    int runner = state_runner(state);
    if (runner < 0 || (uint32_t)runner >= p->limit || (word & 1) == 0) return false;
    place->channel = load_acquire(&p->seats[runner].channel); /* V12 <- V11 */
    place->ticket = filch__ticket_index(word);
    place->generation = filch__ticket_generation(word);
    return place->channel != NULL;
}

/* T8. True: cancelled by this call; false: it is not pending any more, or, with *again, that cannot be said yet. */
static bool try_revoke(struct filch__processes *p, filch_future *f, bool *again) {
    uint64_t word = ticket_of(f), state = state_look(&f->state);
    struct place at;
    *again = true;
    if (!state_is_posted(state)) {
        *again = state_life(state) == LIFE_PENDING;
        return *again && state_cancel(&f->state);
    }
    if (!find_place(p, state, word, &at)) return false;
    POINT("attend.revoke");
    if (filch__claim_revoke(at.channel, at.ticket, at.generation))
        return state_cancel_posted(&f->state);
    if (filch__claim_state(at.channel, at.ticket, at.generation) == CLAIM_TAKEN) {
        /* If it is of the future's present place still, it runs. */
        uint64_t now = state_look(&f->state);
        *again = now != state || load_acquire(&f->ticket) != word; /* V14 <- V13 */
        if (!*again) *again = !state_start_posted(&f->state);
    }
    return false;
}

/* Looks after which a claim that says nothing is the desk's to judge. */
enum { LOOKS = 256 };

static bool revoke_task(void *pool, filch_future *f) {
    static const struct filch__packet spoilt = {.kind = NOTICE_SPOILT};
    struct filch__processes *p = pool;
    bool again = true, revoked = false;
    for (unsigned looks = 1; again; looks++) {
        visit(p);
        revoked = try_revoke(p, f, &again);
        leave(p);
        if (revoked) return true;
        if (again && looks % LOOKS == 0) filch__desk_tell(p, &spoilt);
        if (again) filch__thread_yield();
    }
    return false;
}

static void look(void *pool, filch_future *f) {
    struct filch__processes *p = pool;
    struct place at;
    visit(p);
    uint64_t word = ticket_of(f), state = state_look(&f->state);
    if (state_is_posted(state) && find_place(p, state, word, &at) &&
        filch__claim_state(at.channel, at.ticket, at.generation) == CLAIM_TAKEN)
        (void)state_start_posted(&f->state);
    leave(p);
}

/* The word may be of a newer place than the state, or of an older one: then the ticket has another generation there, and nothing is
 * requested. Whoever moves it there looks for the request itself (V31). */
static void request(void *pool, filch_future *f) {
    struct filch__processes *p = pool;
    struct place at;
    uint64_t state, word;
    visit(p);
    do {
        fence_seq_cst(); /* V30 <-> V31 */
        word = ticket_of(f);
        state = state_look(&f->state);
        if (state_life(state) == LIFE_RUNNING && find_place(p, state, word, &at))
            filch__claim_request(at.channel, at.ticket, at.generation);
    } while (load_acquire(&f->ticket) != word); /* V14 <- V13 */
    leave(p);
}

/* Whose attendant the calling thread is. */
static __thread struct filch__processes *attending;

/* Waiting ------------------------------------------------------------------------------------------ */

static bool is_done(filch_future *f) {
    return state_is_done(state_look(&f->state));
}

/* A worker has sent something. During a visit. */
static bool has_news(struct filch__processes *p) {
    uint32_t n = load_relaxed(&p->seats_used); /* relaxed: a hint */
    for (uint32_t i = 0; i < n; i++) {
        struct filch__channel *channel = load_acquire(&p->seats[i].channel); /* V12 <- V11 */
        if (channel != NULL && filch__channel_has_up(channel)) return true;
    }
    return false;
}

uint32_t filch__attend_sleepers(struct filch__processes *p) {
    uint32_t sleepers = 0, n = load_relaxed(&p->seats_used); /* relaxed: a hint */
    visit(p);
    for (uint32_t i = 0; i < n; i++) {
        struct filch__channel *channel = load_acquire(&p->seats[i].channel); /* V12 <- V11 */
        /* relaxed: a statistic */
        sleepers += channel != NULL && load_relaxed(&channel->worker->asleep) != 0;
    }
    leave(p);
    return sleepers;
}

/* Tells the workers on which CPU somebody waits awake for them, or that nobody does. During a visit. */
static void tell_workers(struct filch__processes *p, bool awake) {
    uint32_t n = load_relaxed(&p->seats_used); /* relaxed: a hint */
    for (uint32_t i = 0; i < n; i++) {
        struct filch__channel *channel = load_acquire(&p->seats[i].channel); /* V12 <- V11 */
        if (channel != NULL) filch__channel_attend(channel, awake);
    }
}

/* Does the desk's work for as long as there is some, and for the time of a spin beyond. True: done. */
static bool work(struct filch__processes *p, filch_future *f, int64_t deadline) {
    struct filch__spin pauses = filch__spin_begin();
    filch__desk_knock(p);
    visit(p);
    tell_workers(p, true);
    do {
        if (is_done(f)) break;
        if (!has_news(p)) continue;
        leave(p);
        filch__desk_knock(p);
        visit(p);
        pauses = filch__spin_begin();
    } while (p->spin > 0 && filch__spin_pause(&pauses, p->spin, deadline));
    leave(p);
    return is_done(f);
}

/* Sleeps until a worker has something, the future is done, or the deadline has passed: false. */
static bool sleep_as_attendant(struct filch__processes *p, filch_future *f, int64_t deadline) {
    bool ready;
    (void)state_add_flag(&f->state, FLAG_SLEEPERS);
    visit(p);
    tell_workers(p, false);
    leave(p);
    filch__listen(p->common, LISTENER_ATTENDANT);
    filch__desk_knock(p);
    if (is_done(f)) return true;
    POINT("attend.sleep");
    bool told = filch__fds_wait(&p->attendant_bell, 1, &ready, deadline);
    store_relaxed(&p->common->listener, (uint32_t)LISTENER_NOBODY); /* relaxed: a hint */
    filch__bell_clear(p->attendant_bell);
    return told;
}

static bool become_attendant(struct filch__processes *p) {
    uint32_t nobody = 0;
    if (load_relaxed(&p->attendant) != 0 ||       /* relaxed: a hint */
        !cas_acq_rel(&p->attendant, &nobody, 1u)) /* V15 <- V16 */
        return false;
    store_relaxed(&p->common->listener, (uint32_t)LISTENER_NOBODY); /* relaxed: a hint */
    return true;
}

/* The manager sleeps for the workers again; what they have sent before it was named is seen to here. */
static void stop_attending(struct filch__processes *p) {
    store_release(&p->attendant, 0u); /* V16 -> V15 */
    fence_seq_cst();                  /* V32 <-> V33 */
    filch__listen(p->common, LISTENER_MANAGER);
    visit(p);
    bool news = has_news(p);
    leave(p);
    if (news) filch__desk_knock(p);
}

static bool attend_as_manager(struct filch__processes *p, filch_future *f, int64_t deadline) {
    while (!is_done(f)) {
        if (deadline != FILCH_FOREVER && filch__now() >= deadline) return false;
        filch__manager_step(p, deadline);
    }
    return true;
}

static bool attend(void *pool, filch_future *f, int64_t deadline) {
    struct filch__processes *p = pool;
    bool in_time = true;
    if (filch__manager_is_self(p)) return attend_as_manager(p, f, deadline);
    if (!become_attendant(p)) {
        if (work(p, f, deadline)) return true;
        return filch__future_sleep(f, deadline);
    }
    attending = p;
    while (!work(p, f, deadline) && in_time) in_time = sleep_as_attendant(p, f, deadline);
    attending = NULL;
    stop_attending(p);
    return is_done(f);
}

/* A future has ended for which a thread sleeps: perhaps the attendant, unless that is the one who ends it. */
static void wake(void *pool) {
    struct filch__processes *p = pool;
    if (attending != p && load_relaxed(&p->attendant) != 0) /* relaxed: F2, F4 */
        filch__bell_ring(p->attendant_bell);
}

const struct filch__remote filch__processes_remote = {revoke_task, look, request, attend, wake};
