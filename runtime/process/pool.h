/* process/pool.h: the process executor: its books, and what its parts offer each other.
 *
 * Flow     see README.md: submit (pool.c) -> injector -> desk.c -> dispatch.c -> channel; channel -> collect.c -> desk.c (finish).
 * State    of a field: constant; or the desk's, which whoever holds the desk changes; or any thread's, by atomic operations.
 * Keeps    1. A future is in one place: injector, queue, a ticket, or the list of those that have ended; that place has
 *             one reference to it.
 *          2. A generation is given once in the life of the executor: a ticket word that is out of date fits nothing.
 *          3. A channel is unmapped when no visitor is there that may have found it.
 * Orders
 *   V1 fetch_or_acq_rel desk (knock, take) -> V2 fetch_and_acq_rel desk (turn): what was put there before the knock
 *   V3 cas_acq_rel desk (leave) -> V1 fetch_or_acq_rel desk (knock, take): the books
 *   V4 exchange_acq_rel desk (leave at last) -> V1 fetch_or_acq_rel desk (knock, take): the books
 *   V5 fetch_or_seq_cst ending (set) -> V6 load_seq_cst ending (check): the cause of a break; with the injector's push and take, which are full barriers, a submit sees the flag, or whoever set it finds the task
 *   V7 fence_seq_cst (visit) <-> V8 fence_seq_cst (retire, judge): of "count, look for the channel" and "take it away, look at the count", at least one sees the other; likewise of "count, revoke" and "see it revoked, look at the count"
 *   V9 fetch_sub_acq_rel visitors (leave) -> V10 load_acquire visitors (retire, judge): the channel is used no more, what was revoked is CANCELLING
 *   V11 store_release channel (hire) -> V12 load_acquire channel (visit): its fields
 *   V13 store_release ticket (post) -> V14 load_acquire ticket (find): the number; its claim is POSTED, or is going to be
 *   V16 store_release attendant (go) -> V15 cas_acq_rel attendant (come): the same
 *   V17 fetch_sub_acq_rel unfinished (done) -> V18 load_acquire unfinished (end): the futures have ended
 *   V19 store_release over (desk) -> V20 load_acquire over (manager): no worker is left
 *   V21 store_release ended (manager) -> V22 load_acquire ended (shutdown): everything has ended
 *   V23 cas_acq_rel joiner (claim) -> V23 cas_acq_rel joiner (claim): one thread joins the manager
 *   V24 store_release joined (done) -> V25 load_acquire joined (wait): it is gone
 *   V26 fetch_sub_acq_rel drains (done) -> V27 load_acquire drains (wait): the callbacks that it ran
 *   V28 cas_acq_rel cause (break) -> V29 load_acquire cause (refuse): the text
 *   V30 fence_seq_cst (request) <-> V31 fence_seq_cst (post again): of "set REQUESTED, look where it is" and "write where it is, look for REQUESTED", at least one sees the other
 *   V32 fence_seq_cst (go) <-> V33 fence_seq_cst (name): of an attendant that goes and names the manager, and a manager that has seen it and names it, the later word is the attendant's, or the manager sees that it has gone
 *   V38 store_release zygote_wanted (want) -> V39 load_acquire zygote_wanted (start): nobody sends to the last one's socket any more
 *   V34 store_release start_error (hire) -> V35 load_acquire start_error (submit): why no worker could be started
 * Progress of each part: see its file. */
#ifndef FILCH_PROCESS_POOL_H
#define FILCH_PROCESS_POOL_H

#include "executor_ops.h"
#include "future.h"
#include "os/thread.h"
#include "outside.h"
#include "process/arena.h"
#include "process/channel.h"
#include "process/listener.h"
#include "process/message.h"
#include <filch/process.h>

/* Bits of `ending`. */
enum { FIRM_CLOSING = 1, FIRM_CANCELLING = 2, FIRM_BROKEN = 4 };
/* Bits of `desk`. */
enum { DESK_HELD = 1, DESK_KNOCK = 2 };

/* Tasks that are posted to a worker at most; the other tickets are for tasks on top of tasks that wait. */
enum { DEPTH = 48 };
/* Bytes of large arguments that are posted to a busy worker at most: 8 MiB. */
#define DEPTH_BYTES ((size_t)8 << 20)
/* Starts of workers, or of zygotes, that fail in a row until the executor breaks. */
enum { EARLY_DEATHS = 5 };
/* Nanoseconds until the next start after a death without a task done: at first, and at most. */
#define PAUSE_FIRST 10000000
#define PAUSE_MOST 1000000000

/* Futures, in order, by their links. */
struct filch__line {
    struct filch__link *first, *last;
};

/* What a ticket stands for. */
struct filch__posting {
    filch_future *future; /* NULL: it went back to the queue, or has ended */
    uint64_t generation;  /* 0: the ticket is free */
    bool on_top;          /* of a task that waits */
    size_t bytes;         /* of its argument in the arena */
};

/* Waits inside each other in a worker at most. */
enum { WAITS_MOST = 2 * CHANNEL_TICKETS };

enum filch__seat_life {
    SEAT_VACANT,
    SEAT_STARTING, /* the zygote was asked; tasks may be posted already */
    SEAT_SERVING,
    SEAT_RETIRING, /* gets no more tasks; was told to quit */
    SEAT_DOOMED    /* was killed; nothing of what it writes is read any more */
};

/* A worker, in one life after the other. The desk's, but for `channel`, which visitors read. */
struct filch__seat {
    struct filch__channel *channel; /* NULL: vacant */
    int index;
    enum filch__seat_life life;
    uint64_t number; /* of the life */
    int pid;         /* 0: not known yet */
    int socket;
    struct filch__arena *arena;
    struct filch__arena_view *view;
    uint64_t free_tickets; /* a bit each */
    uint32_t posted;       /* tickets with a future */
    size_t bytes;          /* of arguments in the arena, of these */
    uint64_t done;         /* tasks that have ended, in this life */
    uint32_t
        *numbers; /* of a function, by its index: its number in this life plus one; 0: not told */
    uint32_t numbers_room, numbers_used;
    struct filch__child **children; /* by their numbers; family.h */
    uint32_t children_room;
    uint32_t waits, on_top; /* of its tasks; and tasks on top of those that wait */
    uint64_t closed
        [WAITS_MOST /
         64]; /* a bit for each wait, outermost first: nothing but its child on top, or nothing at all */
    struct filch__later *later,
        *later_last; /* messages for which the ring had no room: letters.c */
    bool begun;      /* something stands in the down ring that is not published */
    char *fault;     /* why it was killed; owned; or NULL */
    int64_t due;     /* when it should have ended, told to quit or killed; 0: never */
    struct filch__posting postings[CHANNEL_TICKETS];
};

/* What the manager, or a thread of the program, has to tell the desk. */
struct filch__notice {
    struct filch__link link;
    struct filch__packet packet;
};
/* Kinds beyond those of packets. */
enum {
    NOTICE_ZYGOTE_GONE = 1000, /* `text`: what is known of why */
    NOTICE_ZYGOTE_SERVES,
    NOTICE_KILL_ALL,
    NOTICE_KILL_LATER,
    NOTICE_SPOILT /* a claim says what cannot be */
};

/* README.md, Z1 to Z5. */
enum filch__zygote_life {
    ZYGOTE_SERVES,
    ZYGOTE_GONE,
    ZYGOTE_WANTED /* the manager was asked for one, or has started it */
};

/* What every zygote of the executor gets: what the options said when it was made. */
struct filch__origin {
    int setup, output, error; /* descriptors; -1: none */
    char *directory;          /* NULL: whichever is the current one */
    char **environment;
};

struct filch__functions; /* functions.h */

struct filch__processes {
    filch_executor base;
    /* Constant. */
    struct filch__home *home;
    struct filch__common *common; /* a page */
    int common_fd, manager_bell, attendant_bell;
    struct filch__origin origin;
    uint32_t max, limit; /* workers that run; and with those that wait */
    int64_t spin, task_timeout;
    pthread_t manager;
    struct filch__outside outside;
    /* The desk's. */
    struct filch__seat *seats; /* limit of them */
    uint32_t seats_used;       /* those beyond were never used */
    uint32_t live;             /* not vacant */
    uint32_t blocked;          /* whose tasks all wait */
    uint32_t cursor;           /* where the search for a worker with room begins */
    struct filch__line queue;
    uint32_t in_flight; /* tickets with a future */
    uint64_t generation, number;
    struct filch__functions *functions;
    struct filch__retired *retired; /* channels that visitors may still use */
    uint32_t early_deaths;          /* in a row */
    int64_t pause, next_start;      /* after deaths */
    bool start_failed;              /* the last one, for lack of something */
    enum filch__zygote_life zygote;
    uint32_t zygote_deaths;             /* in a row; no task has run since */
    uint64_t completed, started, woken; /* statistics */
    int64_t timeout_at;                 /* when to look for tasks that run too long; 0: never */
    int64_t due;                        /* of a worker, the next one; 0: none */
    /* The manager's. */
    int zygote_socket; /* the desk sends to it while the zygote SERVES, and then it is constant */
    int zygote_watch;  /* readable when it has ended; -1: that is known */
    int zygote_pid;
    bool zygote_watched;            /* its socket is open on the other side */
    int64_t zygote_deadline;        /* until when it must have answered; 0: it has */
    char zygote_fault[ZYGOTE_TEXT]; /* why it has ended, or will; "": not known */
    /* Any thread's. */
    own_lines struct filch__stack injector;
    own_lines uint32_t desk;
    uint32_t ending;
    int64_t timer;             /* when the manager is needed at the latest */
    int start_error;           /* why there is no worker; 0: there is one, or none is needed */
    uint32_t zygote_wanted;    /* the manager shall start one */
    uint32_t zygote_condemned; /* the manager shall kill it */
    struct filch__stack notices, chores;
    struct filch__stack orphans; /* children that a drain has ended */
    uint32_t unfinished;         /* futures that have ended and are not finished yet */
    uint32_t visitors;
    uint32_t attendant; /* 1: a thread waits for the workers in place of the manager */
    uint32_t drains;    /* threads that end all pending tasks; slept on */
    uint32_t over;      /* no worker is left, none will come */
    uint32_t ended;     /* the manager ends; slept on */
    uint32_t joiner, joined;
    char *cause; /* why it broke; owned */
};

static inline struct filch__processes *filch__processes_of(filch_executor *e) {
    return container_of(e, struct filch__processes, base);
}
static inline unsigned filch__processes_ending(struct filch__processes *p) {
    return load_seq_cst(&p->ending); /* V6 <- V5 */
}
static inline bool filch__seat_serves(const struct filch__seat *s) {
    return s->life == SEAT_STARTING || s->life == SEAT_SERVING;
}

/* Does all that it has wait, so that another worker may run in its place? */
static inline bool filch__seat_is_blocked(const struct filch__seat *s) {
    return s->waits > s->on_top;
}

/* Lines ------------------------------------------------------------------------------------------- */

static inline void filch__line_push(struct filch__line *line, struct filch__link *link) {
    filch__link_set_next(link, NULL);
    if (line->first == NULL)
        line->first = link;
    else
        filch__link_set_next(line->last, link);
    line->last = link;
}
static inline void filch__line_push_front(struct filch__line *line, struct filch__link *link) {
    filch__link_set_next(link, line->first);
    if (line->first == NULL) line->last = link;
    line->first = link;
}
static inline filch_future *filch__line_first(const struct filch__line *line) {
    return line->first == NULL ? NULL : container_of(line->first, filch_future, link);
}
static inline filch_future *filch__line_pop(struct filch__line *line) {
    filch_future *f = filch__line_first(line);
    if (f != NULL) line->first = filch__link_next(line->first);
    return f;
}

/* Tickets: future->ticket -------------------------------------------------------------------------- */

/* Bit 0 is set, as in no link, whose place it takes. */
static inline uint64_t filch__ticket_word(uint32_t ticket, uint64_t generation) {
    return generation << 7 | (uint64_t)ticket << 1 | 1;
}
static inline uint32_t filch__ticket_index(uint64_t word) {
    return (uint32_t)(word >> 1) % CHANNEL_TICKETS;
}
static inline uint64_t filch__ticket_generation(uint64_t word) {
    return word >> 7;
}

/* desk.c ------------------------------------------------------------------------------------------- */

/* What a holder of the desk has to finish when it has left. */
struct filch__ended {
    struct filch__line line;
    uint32_t count;
};
static inline void filch__ended_add(struct filch__ended *ended, filch_future *f) {
    filch__line_push(&ended->line, &f->link);
    ended->count++;
}
void filch__desk_knock(struct filch__processes *p);
/* Waits for the desk, takes away everything that has not started, and leaves. */
struct filch__line filch__desk_withdraw(struct filch__processes *p);
/* Puts a notice where the desk looks; knock then. False: no memory. */
bool filch__desk_try_notify(struct filch__processes *p, const struct filch__packet *packet);
/* The same with the knock, also without memory; not at the desk. */
void filch__desk_tell(struct filch__processes *p, const struct filch__packet *packet);
/* The rest of a future that has ended, by the manager: destructor, callbacks. */
void filch__desk_finish_chore(struct filch__processes *p, filch_future *f);

/* At the desk: dispatch.c -------------------------------------------------------------------------- */

/* Gives tasks of the queue to workers. */
void filch__dispatch(struct filch__processes *p, struct filch__ended *ended);
/* Posted tasks of a worker that have not started, the newest `most`, go back to the front of the queue. Returns how many. */
uint32_t filch__dispatch_take_back(struct filch__processes *p, struct filch__seat *s,
                                   uint32_t most);
void filch__dispatch_publish(struct filch__processes *p);
/* Moves what was submitted to the queue. */
void filch__dispatch_refill(struct filch__processes *p);
/* A ticket's task is there no more; the ticket stays in use. */
filch_future *filch__posting_clear(struct filch__processes *p, struct filch__seat *s,
                                   uint32_t ticket);
void filch__posting_free(struct filch__seat *s, uint32_t ticket);
/* Its claim, which the worker can write, says REVOKED, and not by the desk: has somebody cancelled it, who ends it then? */
bool filch__posting_is_cancelled(struct filch__processes *p, filch_future *f);
/* Tells it to end when it has done what it has. */
void filch__dispatch_quit(struct filch__processes *p, struct filch__seat *s);

/* At the desk: hire.c ------------------------------------------------------------------------------ */

/* Can a worker be started: not in a pause after deaths, which the manager's timer ends, and there is a zygote? If there is
 * none, the manager is asked for one. */
bool filch__hire_can(struct filch__processes *p);
/* Starts a worker in a vacant seat; NULL: that is not possible now. */
struct filch__seat *filch__hire(struct filch__processes *p);
/* A start has failed, for that errno: it is tried again, but not at once. */
void filch__hire_failed(struct filch__processes *p, int error);
/* Has it killed, for that reason (owned then; NULL: none). */
void filch__hire_kill(struct filch__processes *p, struct filch__seat *s, char *fault);
/* The worker is gone, and so is all that it had. */
void filch__hire_vacate(struct filch__processes *p, struct filch__seat *s);
/* Unmaps channels that nobody can be using any more. `all`: nobody is there. */
void filch__hire_free_retired(struct filch__processes *p, bool all);

/* At the desk: collect.c, death.c ------------------------------------------------------------------ */

/* Reads what the worker has sent. `most`: messages. */
void filch__collect(struct filch__processes *p, struct filch__seat *s, struct filch__ended *ended,
                    uint32_t most);
/* What the manager has heard. */
void filch__death_notice(struct filch__processes *p, const struct filch__packet *packet,
                         struct filch__ended *ended);
/* Tasks that run too long. */
void filch__death_timeouts(struct filch__processes *p);
/* It should end now: filch__quit_grace from now on it is overdue. */
void filch__death_expect(struct filch__processes *p, struct filch__seat *s);
/* Workers that have not ended in time. */
void filch__death_overdue(struct filch__processes *p);
/* Nanoseconds that a worker may take to end, its exit handlers included: 5 s, as for a zygote. Tests change it. */
extern int64_t filch__quit_grace;
/* The executor breaks, for that reason, which is owned then; NULL: no memory for a text. */
void filch__death_break(struct filch__processes *p, char *cause);
/* The task runs, by now: what it is waited for is its end. */
static inline void filch__future_started(filch_future *f) {
    (void)state_start_posted(&f->state);
}

/* manager.c ---------------------------------------------------------------------------------------- */

void *filch__manager_main(void *processes);
/* Has the manager look at the chores, the notices, the clock. Any thread. */
void filch__manager_wake(struct filch__processes *p);
bool filch__manager_is_self(const struct filch__processes *p);
/* One sleep and what comes of it, in the manager itself; not past the deadline. */
void filch__manager_step(struct filch__processes *p, int64_t deadline);
/* Goes on until everything has ended, in the manager itself, which is then over. */
void filch__manager_finish(struct filch__processes *p);
/* The manager is needed at that time. At the desk. */
void filch__manager_timer(struct filch__processes *p, int64_t time);

/* attend.c: what future.c and await.c ask --------------------------------------------------------------- */

extern const struct filch__remote filch__processes_remote;
/* How many workers sleep. */
uint32_t filch__attend_sleepers(struct filch__processes *p);

/* keeper.c: in the manager ------------------------------------------------------------------------- */

/* Something came from the zygote. */
void filch__keeper_read(struct filch__processes *p);
/* It has ended (Z1). */
void filch__keeper_bury(struct filch__processes *p);
/* Starts the next one, if the desk wants it (Z4); kills one that has not answered in time. */
void filch__keeper_tend(struct filch__processes *p);
/* No worker is left: ends it, and forgets how it was started. */
void filch__keeper_end(struct filch__processes *p);

/* spawn.c ------------------------------------------------------------------------------------------ */

/* Nanoseconds that the zygote may take until it answers, preload included: 10 s. Tests change it. */
extern int64_t filch__zygote_patience;

/* Keeps what the options say, starts the first zygote, and waits for its answer. 0, or a code with its text. */
int filch__spawn_first(struct filch__processes *p, const filch_process_options *options);
/* Starts a zygote: its socket, pid and watch are new. 0, or a code with its text. */
int filch__spawn(struct filch__processes *p);
/* Gives back what was kept. */
void filch__spawn_forget(struct filch__processes *p);

/* shutdown.c --------------------------------------------------------------------------------------- */

int filch__processes_shutdown(filch_executor *e, unsigned flags);
void filch__processes_end_at_exit(filch_executor *e);
void filch__processes_destroy(filch_executor *e);
/* Ends everything that has not started: cancelled, or failed if the executor is broken. */
void filch__processes_drain(struct filch__processes *p);
/* What it has at its start or at its end: no workers, no futures, no manager. */
void filch__processes_free(struct filch__processes *p);
const char *filch__processes_cause(struct filch__processes *p);

/* A text in memory of its own, or NULL. */
char *filch__text(const char *format, ...) FILCH_PRINTF(1, 2);

#endif
