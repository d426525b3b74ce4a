/* process_step_test.c: a worker process, and a zygote, that is killed at every instruction of what it does.
 *
 * Flow     a round: workers sleep; the victim is traced and stopped (tracer.h); tasks are submitted; the victim goes to its k-th
 *          instruction and is killed before it; every future ends, and the books are read. A scene says who the victim
 *          is and what the tasks are: a worker wakes, claims, runs, answers, and sleeps again; it begins, at the first
 *          instruction behind its fork; it retires and exits; a zygote hears of a death, forks, tells of it, and sleeps again.
 * Points   first a scene is recorded: every instruction, those of libraries too, until the victim sleeps (or has ended) and all
 *          futures have. But of a function of a library that takes more than OUTING_MOST without coming back, only those: in a
 *          start pthread_getattr_np, which reads /proc/self/maps (350 000); filling memory with one instruction that repeats.
 *          Victims go at full speed to the k-th instruction, or to the last one before it that the record has once, and then in
 *          steps. What a victim does depends on whether the program's threads sleep: one that comes elsewhere is
 *          killed there, which is a point too, and in the next round all is done in steps. Beside the points, the different
 *          instructions at which victims died are counted.
 * Checked  a task has run once; or at most once, if its future ended with EWORKER, and that is the one that a killed worker had
 *          taken and not answered, and no other. What succeeded is right. The seat is given back, no ticket is in
 *          use, nothing is queued. After a scene descriptors, shared mappings, blocks and processes are what they were.
 *          In every other round nobody collects before the desk has heard of the death, so that D1 has to.
 * Shipped  the library is the one that is installed, without test points and assertions; its calls for memory are counted
 *          by the linker's --wrap.
 * Size     FILCH_TEST_STEPS=N: N points of each scene, evenly spread over those of `each` (24); `all`: every one; `each`: each instruction, where the
 *          record has it for the first time. FILCH_TEST_STEPS_PART=I/N takes each N-th of these, from the I-th on.
 *
 * SPDX-License-Identifier: MIT */
#include "../api/process_support.h"
#include "process/family.h"
#include "tracer.h"

#include <sys/personality.h>
#include <sys/syscall.h>

TestSuite(process_step, .timeout = 60);

/* What test builds of the runtime have, and the shipped one has not ----------------------------------- */

extern void (*filch__point_hook)(const char *name);
void (*filch__point_hook)(const char *name);

static long live_blocks;
long filch__fault_live_blocks(void) {
    return filch_load_relaxed(&live_blocks);
}
static void *counted(void *block) {
    if (block != NULL) filch_fetch_add_relaxed(&live_blocks, 1l);
    return block;
}
void *__real_filch__alloc(size_t size);
void *__real_filch__alloc_zeroed(size_t size);
void *__real_filch__alloc_aligned(size_t alignment, size_t size);
void __real_filch__free(void *block);
void *__wrap_filch__alloc(size_t size);
void *__wrap_filch__alloc_zeroed(size_t size);
void *__wrap_filch__alloc_aligned(size_t alignment, size_t size);
void __wrap_filch__free(void *block);
void *__wrap_filch__alloc(size_t size) {
    return counted(__real_filch__alloc(size));
}
void *__wrap_filch__alloc_zeroed(size_t size) {
    return counted(__real_filch__alloc_zeroed(size));
}
void *__wrap_filch__alloc_aligned(size_t alignment, size_t size) {
    return counted(__real_filch__alloc_aligned(alignment, size));
}
void __wrap_filch__free(void *block) {
    if (block != NULL) filch_fetch_sub_relaxed(&live_blocks, 1l);
    __real_filch__free(block);
}

/* Tasks ------------------------------------------------------------------------------------------------- */

enum { TASKS = 8, LARGE = 5000, FACTOR = 7 };

struct job {
    struct shared runs; /* how often it ran */
    int number;
};
static int multiply(void *arg, void *result) {
    struct job *job = arg;
    shared_add(job->runs, 1);
    *(int *)result = job->number * FACTOR;
    return 0;
}

struct large_job {
    struct job job;
    unsigned char rest[LARGE]; /* argument and result stand in segments */
};
static int multiply_much(void *arg, void *result) {
    struct large_job *job = arg;
    unsigned char *to = result;
    shared_add(job->job.runs, 1);
    for (int i = 0; i < LARGE; i += 500)
        if (job->rest[i] != job->job.number) return 1;
    memset(to, job->job.number * FACTOR, LARGE);
    return 0;
}

/* Its child is the job; it ran if the child did, so it counts beside. */
struct family_job {
    struct job parent, child;
};
static int multiply_in_child(void *arg, void *result) {
    struct family_job *job = arg;
    filch_future *f;
    shared_add(job->parent.runs, 1);
    int rc = filch_submit(filch_current_executor(), multiply, &job->child, sizeof job->child,
                          sizeof(int), &f);
    if (rc != 0) return rc;
    rc = filch_future_result(f, result, FILCH_FOREVER);
    filch_future_release(f);
    return rc;
}

/* A round ----------------------------------------------------------------------------------------------- */

enum kind { SMALL, BIG, PARENT, CANCELLED };
enum victim { ASLEEP, UNBORN, ZYGOTE };
/* Instructions, or points, of a scene; steps in a function of a library until it goes on at full speed. */
enum { LONGEST = 200000, OUTING_MOST = 2000 };

struct scene {
    const char *name;
    enum victim victim;
    int max_workers, max_tasks; /* of a worker, until it retires; 0: no limit */
    int count;
    enum kind kinds[TASKS];
};

struct play {
    const struct scene *scene;
    filch_executor *executor;
    struct shared counts; /* how often each task ran, and then each child */
    filch_future *futures[TASKS];
    struct tracee victim;
    int worker, zygote; /* whom a round finds */
    uint64_t *trace;    /* addresses of the instructions of the scene */
    int length, cut;    /* how many; calls of which only the beginning is there */
    uint64_t *places;   /* addresses of the instructions before which victims died */
    int points, lost;   /* how many; tasks that they had with them */
    int exact;          /* of them, as recorded */
};

static struct shared count_of(const struct play *p, int i) {
    struct shared count = p->counts;
    count.offset += (uint64_t)i * sizeof(int);
    return count;
}
static struct job job_of(const struct play *p, int i) {
    return (struct job){count_of(p, i), i + 1};
}

static filch_future *submit_kind(const struct play *p, enum kind kind, int i) {
    struct large_job large;
    struct family_job family;
    struct job job = job_of(p, i);
    switch (kind) {
    case BIG:
        large.job = job;
        memset(large.rest, job.number, LARGE);
        return submit_to(p->executor, multiply_much, &large, sizeof large, LARGE);
    case PARENT:
        family = (struct family_job){job, job_of(p, TASKS + i)};
        family.child.number = job.number;
        return submit_to(p->executor, multiply_in_child, &family, sizeof family, sizeof(int));
    default: return submit_to(p->executor, multiply, &job, sizeof job, sizeof(int));
    }
}

static void check_value(filch_future *f, enum kind kind, int number) {
    const void *data;
    size_t size;
    ok(filch_future_result_view(f, &data, &size));
    cr_assert_eq(size, kind == BIG ? (size_t)LARGE : sizeof(int));
    for (int i = 0; kind == BIG && i < LARGE; i++)
        cr_assert_eq(((const unsigned char *)data)[i], (unsigned char)(number * FACTOR));
    if (kind != BIG) cr_assert_eq(*(const int *)data, number * FACTOR);
}

/* Returns whether it was lost. */
static bool check_task(struct play *p, int i, bool cancelled) {
    enum kind kind = p->scene->kinds[i];
    int rc = filch_future_result(p->futures[i], NULL, FILCH_FOREVER);
    int runs = shared_read(count_of(p, i)), below = shared_read(count_of(p, TASKS + i));
    cr_assert(rc == 0 || rc == FILCH_EWORKER || (cancelled && rc == FILCH_ECANCELED), "%s: %s",
              filch_error_name(rc), filch_last_error());
    cr_assert(!cancelled || (rc == FILCH_ECANCELED && runs == 0), "task %d was cancelled, and ran",
              i);
    cr_assert_leq(runs, 1, "task %d ran %d times", i, runs);
    cr_assert_leq(below, 1, "the child of task %d ran %d times", i, below);
    if (rc == 0) {
        cr_assert_eq(runs, 1, "task %d succeeded, and never ran", i);
        cr_assert(kind != PARENT || below == 1);
        check_value(p->futures[i], kind, i + 1);
    }
    filch_future_release(p->futures[i]);
    return rc == FILCH_EWORKER;
}

/* All kinds of the scene run once, where the victim is: it knows the functions then. */
static void warm_up(struct play *p) {
    for (int i = 0; i < p->scene->count; i++) {
        if (p->scene->kinds[i] == PARENT) continue; /* its functions come with it */
        filch_future *f = submit_kind(p, p->scene->kinds[i], i);
        check_value(f, p->scene->kinds[i], i + 1);
        filch_future_release(f);
    }
}

/* A worker that has run one task, and so retires when it has run so many as the scene says. */
static void renew_worker(struct play *p) {
    int last, pid = some_worker(p->executor);
    do {
        last = pid;
        pid = some_worker(p->executor);
    } while (pid == last);
}

/* A worker that sleeps. */
static void find_worker(struct play *p) {
    p->worker = some_worker(p->executor);
    p->zygote = zygote_of(p->worker);
    cr_assert_neq(p->zygote, 0, "worker %d is gone", p->worker);
    while (!process_sleeps(p->worker)) sched_yield();
}

/* Books ------------------------------------------------------------------------------------------------- */

static const char *fault_of_seat(const struct filch__seat *s, int dead) {
    if (s->life == SEAT_VACANT) return s->channel != NULL ? "a vacant seat has a channel" : NULL;
    if (s->pid == dead) return "the dead worker has its seat";
    if (s->posted != 0 || s->free_tickets != UINT64_MAX) return "a ticket is in use";
    if (s->bytes != 0) return "bytes of an argument are posted";
    if (s->waits != 0 || s->on_top != 0) return "a task waits";
    for (int i = 0; i < CHANNEL_TICKETS; i++)
        if (s->postings[i].future != NULL || s->postings[i].generation != 0)
            return "a ticket that is free has a task";
    return NULL;
}
/* NULL: nothing is going on, and nothing is left of the dead one. */
static const char *fault_of_books(struct filch__processes *p, int dead) {
    const char *fault = NULL;
    if (filch_load_acquire(&p->desk) != 0) return "the desk is held";
    if (p->queue.first != NULL || p->in_flight != 0) return "a task is queued or posted";
    if (filch_load_acquire(&p->unfinished) != 0) return "a future has ended and is not finished";
    for (uint32_t i = 0; i < p->seats_used && fault == NULL; i++)
        fault = fault_of_seat(&p->seats[i], dead);
    return fault;
}
static void check_books(struct play *p, int dead) {
    const char *fault = NULL;
    for (int i = 0; i < 10000; i++) {
        fault = fault_of_books(filch__processes_of(p->executor), dead);
        if (fault == NULL) return;
        usleep(500);
    }
    cr_assert_fail("%s: %s", p->scene->name, fault);
}

/* Scenes ------------------------------------------------------------------------------------------------ */

static void submit_all(struct play *p) {
    memset(shared_at(p->counts), 0, 2 * TASKS * sizeof(int)); /* nothing runs */
    for (int i = 0; i < p->scene->count; i++) p->futures[i] = submit_kind(p, p->scene->kinds[i], i);
    for (int i = 0; i < p->scene->count; i++)
        if (p->scene->kinds[i] == CANCELLED)
            cr_assert(filch_future_cancel(p->futures[i]),
                      "it runs, although the victim is stopped");
}

/* Stops a process that sleeps, and has it sleep again, so that it wakes as it does without a tracer. */
static void seize_asleep(struct tracee *t, int pid) {
    tracee_seize(t, pid);
    tracee_stop(t);
    while (tracee_step_unless_asleep(t)) continue; /* the first ends, or begins again, the call */
}

static void kill_worker(int pid) {
    cr_assert_eq(kill(pid, SIGKILL), 0);
}

/* The tasks are submitted, and the victim has not made a step. */
static void begin(struct play *p) {
    struct tracee zygote;
    switch (p->scene->victim) {
    case ASLEEP:
        if (p->scene->max_tasks != 0) renew_worker(p);
        warm_up(p);
        find_worker(p);
        seize_asleep(&p->victim, p->worker);
        submit_all(p);
        tracee_wait(&p->victim);
        break;
    case UNBORN:
        find_worker(p);
        tracee_seize_before_fork(&zygote, p->zygote);
        kill_worker(p->worker);
        submit_all(p);
        tracee_take_child(&zygote, &p->victim);
        break;
    case ZYGOTE:
        find_worker(p);
        seize_asleep(&p->victim, p->zygote);
        kill_worker(p->worker);
        submit_all(p);
        tracee_wait(&p->victim);
        break;
    }
}

static const struct filch__seat *try_seat_of_victim(const struct play *p) {
    const struct filch__processes *books = filch__processes_of(p->executor);
    for (uint32_t i = 0; i < filch_load_acquire(&books->seats_used); i++) {
        const struct filch__seat *s = &books->seats[i];
        /* The zygote may not have told yet who it is. */
        if (s->life != SEAT_VACANT &&
            (s->pid == p->victim.pid || (s->pid == 0 && p->scene->victim == UNBORN)))
            return s;
    }
    return NULL;
}
/* The desk enters a worker only when the zygote has been asked for it, which may have forked by then. */
static const struct filch__seat *seat_of_victim(const struct play *p) {
    const struct filch__seat *s = NULL;
    for (int i = 0; i < 20000 && (s = try_seat_of_victim(p)) == NULL; i++) usleep(200);
    cr_assert_not_null(s, "the victim has no seat");
    return s;
}
/* Does the victim, a worker that is stopped, run a task: taken, and no result published? The program may be collecting: a result
 * that is there now is found in the ring, or its ticket is not TAKEN any more. */
static bool runs_task(const struct filch__seat *seat) {
    const struct filch__channel *channel = filch_load_acquire(&seat->channel);
    uint64_t at = filch_load_acquire(&channel->parent->up_tail), published = 0;
    while (at != filch_load_acquire(&channel->worker->up_head)) {
        const struct filch__message_result *m = (void *)(channel->up + at % CHANNEL_RING);
        if (m->head.kind == MESSAGE_RESULT) published |= UINT64_C(1) << m->ticket;
        at += m->head.size;
    }
    for (uint32_t i = 0; i < CHANNEL_TICKETS; i++)
        if ((filch_load_acquire(&channel->worker->claims[i]) & 7) == CLAIM_TAKEN &&
            (published >> i & 1) == 0)
            return true;
    return false;
}

/* The zygote has told of the death, and the desk has heard it. */
static void await_vacancy(const struct filch__seat *seat, uint64_t number) {
    for (int i = 0; i < 20000; i++) {
        if (seat->number != number || seat->life == SEAT_VACANT) return;
        usleep(200);
        filch_fence_seq_cst();
    }
    cr_assert_fail("a dead worker keeps its seat");
}

/* The victim dies where it is; what it leaves is looked at: in every other round only when the desk has heard of the death, so that
 * nobody collects before. */
static void end_round(struct play *p) {
    bool is_worker = p->scene->victim != ZYGOTE && !p->victim.ended;
    const struct filch__seat *seat = is_worker ? seat_of_victim(p) : NULL;
    uint64_t number = is_worker ? seat->number : 0;
    bool running = is_worker && runs_task(seat);
    int lost = 0;
    cr_assert_lt(p->points, (int)LONGEST);
    p->places[p->points++] = p->victim.at;
    tracee_kill(&p->victim);
    if (is_worker && p->points % 2 != 0) await_vacancy(seat, number);
    for (int i = 0; i < p->scene->count; i++)
        lost += check_task(p, i, p->scene->kinds[i] == CANCELLED);
    if (p->scene->victim == ZYGOTE)
        cr_assert_leq(lost, 1, "%d tasks lost by one kill", lost);
    else
        cr_assert_eq(lost, running, "%d tasks lost, %d was running", lost, running);
    p->lost += lost;
    check_books(p, p->victim.pid);
}

/* Steps ------------------------------------------------------------------------------------------------- */

/* A system call in which a worker, or a zygote, sleeps for news. */
static bool may_sleep(const struct tracee *t) {
    enum { PRIVATE = 128, COMMAND = 127, WAIT_BITSET = 9 };
    if (!tracee_is_at_call(t)) return false;
    if (t->rax == SYS_futex) return (t->rsi & PRIVATE) == 0 && (t->rsi & COMMAND) == WAIT_BITSET;
    return t->rax == SYS_poll || t->rax == SYS_ppoll;
}
static bool all_done(const struct play *p) {
    for (int i = 0; i < p->scene->count; i++)
        if (!filch_future_done(p->futures[i])) return false;
    return true;
}

/* One step; false: the scene is over, and the victim sleeps, or has ended. */
static bool go_on(struct play *p) {
    struct tracee *t = &p->victim;
    if (!may_sleep(t))
        tracee_step(t);
    else if (!tracee_step_unless_asleep(t)) {
        if (all_done(p)) return false;
        tracee_wait(t);
    }
    return !t->ended;
}

/* It goes on by itself to that address. False: the scene is over before. */
static bool run_to(struct play *p, uint64_t address) {
    struct tracee *t = &p->victim;
    tracee_run_to(t, address);
    for (int i = 0; !tracee_has_stopped(t); i++) {
        if (i > 100 && all_done(p) && process_sleeps(t->pid)) return false;
        if (i < 100)
            sched_yield();
        else
            usleep(200);
    }
    return !t->ended;
}

/* Where the victim is by itself in a function of a library: since when, and where that returns to. */
struct outing {
    int steps;
    uint64_t home; /* 0: not into the program */
};
static bool is_long(struct play *p, struct outing *outing) {
    struct tracee *t = &p->victim;
    if (tracee_is_in_program(t)) {
        outing->steps = 0;
        return false;
    }
    if (outing->steps++ == 0) {
        uint64_t home = tracee_return_address(t);
        outing->home = home >= t->text_begin && home < t->text_end ? home : 0;
    }
    return outing->steps > OUTING_MOST && outing->home != 0;
}

/* One step, or all of a long call. *cut: that. */
static bool advance(struct play *p, struct outing *outing, int *cut) {
    if (!is_long(p, outing)) return go_on(p);
    ++*cut;
    return run_to(p, outing->home);
}

/* The whole scene: the addresses of its instructions. */
static void record(struct play *p) {
    struct outing outing = {0, 0};
    bool goes_on = true;
    begin(p);
    for (p->length = 0; goes_on; p->length++) {
        cr_assert_lt(p->length, (int)LONGEST, "%s has no end", p->scene->name);
        p->trace[p->length] = p->victim.at;
        goes_on = advance(p, &outing, &p->cut);
    }
    end_round(p);
}

static bool is_unique(const struct play *p, int at) {
    for (int i = 0; i < p->length; i++)
        if (i != at && p->trace[i] == p->trace[at]) return false;
    return true;
}

static bool is_first(const struct play *p, int at) {
    for (int i = 0; i < at; i++)
        if (p->trace[i] == p->trace[at]) return false;
    return true;
}

/* From the recorded instruction where it stands. */
static void step_to(struct play *p, int from, int k) {
    struct outing outing = {0, 0};
    int cut = 0;
    while (from < k && advance(p, &outing, &cut)) from++;
}
/* At full speed to the k-th, if the record has that instruction for the first time; or to the last one before it that the record
 * has once, and on from there in steps. */
static void hurry_to(struct play *p, int k) {
    int from = k;
    while (from > 0 && !is_unique(p, from) && !(from == k && is_first(p, k))) from--;
    if (from == 0 || run_to(p, p->trace[from])) step_to(p, from, k);
}

/* Plays -------------------------------------------------------------------------------------------------- */

/* Kills before the k-th instruction. Returns whether it was that: what a victim does depends on who sleeps meanwhile. */
static bool kill_at(struct play *p, int k, bool hurry) {
    begin(p);
    if (hurry)
        hurry_to(p, k);
    else
        step_to(p, 0, k);
    bool there = !p->victim.ended && p->victim.at == p->trace[k];
    end_round(p);
    return there;
}
/* In the sleep behind the last one. */
static bool kill_at_end(struct play *p) {
    begin(p);
    (void)run_to(p, 0);
    end_round(p);
    return true;
}

/* Where the fast way leads elsewhere, the victim of the next round goes as the recorded one did. */
static void play_round(struct play *p, int k) {
    if (k == p->length)
        p->exact += kill_at_end(p);
    else
        p->exact += kill_at(p, k, true) || kill_at(p, k, false);
}

static filch_process_options options_of(const struct scene *scene) {
    filch_process_options options = process_options(scene->max_workers);
    options.max_tasks_per_worker = scene->max_tasks;
    return options;
}

/* Which points of the record: all, each instruction when it comes first, or so many of these. */
enum { ALL = -1, EACH = -2 };
static int points_wanted(void) {
    const char *text = getenv("FILCH_TEST_STEPS");
    if (text != NULL && strcmp(text, "all") == 0) return ALL;
    if (text != NULL && strcmp(text, "each") == 0) return EACH;
    return text == NULL || atoi(text) < 2 ? 24 : atoi(text);
}
/* Of these, which. */
static void part_wanted(int *first, int *stride) {
    const char *text = getenv("FILCH_TEST_STEPS_PART");
    if (text == NULL || sscanf(text, "%d/%d", first, stride) != 2 || *first < 0 || *stride < 1) {
        *first = 0;
        *stride = 1;
    }
}

static int compare_addresses(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}
static int count_different(uint64_t *addresses, int n) {
    int different = n > 0;
    qsort(addresses, (size_t)n, sizeof *addresses, compare_addresses);
    for (int i = 1; i < n; i++) different += addresses[i] != addresses[i - 1];
    return different;
}
static void report(struct play *p) {
    int points = p->points, length = p->length;
    int places = count_different(p->places, points), all = count_different(p->trace, length);
    printf(
        "# %s: killed at %d points, at %d different instructions; the scene has %d, %d different, "
        "and %d calls cut short; %d points as recorded; %d tasks lost\n",
        p->scene->name, points, places, length, all, p->cut, p->exact, p->lost);
}

static void play_points(struct play *p, int wanted) {
    int first, stride, points = wanted < 0 ? p->length + 1 : wanted;
    part_wanted(&first, &stride);
    for (int i = first; i < points; i += stride) {
        int k = (int)((long)p->length * i / (points - 1));
        while (wanted > 0 && k < p->length && !is_first(p, k)) k--;
        if (wanted != EACH || k == p->length || is_first(p, k)) play_round(p, k);
    }
}

static void play_scene(const struct scene *scene) {
    if (!tracer_works()) cr_skip_test("the kernel lets nobody trace");
    (void)personality(ADDR_NO_RANDOMIZE); /* of the next zygotes: what is recorded holds for all */
    struct census before = census_before();
    struct play p = {.scene = scene,
                     .executor = processes_with(options_of(scene)),
                     .counts = shared_alloc(2 * TASKS * sizeof(int)),
                     .trace = calloc(LONGEST, sizeof *p.trace),
                     .places = calloc(LONGEST, sizeof *p.places)};
    warm_up(&p);
    record(&p);
    play_points(&p, points_wanted());
    report(&p);
    check_it_works(p.executor);
    destroy_and_look(p.executor);
    free(p.trace);
    free(p.places);
    check_census(&before);
    cr_assert_gt(p.exact, 0);
}

Test(process_step, a_worker_that_wakes_runs_and_sleeps, .timeout = 3600) {
    static const struct scene scene = {.name = "tasks",
                                       .victim = ASLEEP,
                                       .max_workers = 1,
                                       .count = 3,
                                       .kinds = {SMALL, SMALL, SMALL}};
    play_scene(&scene);
}
Test(process_step, a_worker_with_large_arguments_and_results, .timeout = 3600) {
    static const struct scene scene = {
        .name = "segments", .victim = ASLEEP, .max_workers = 1, .count = 2, .kinds = {BIG, BIG}};
    play_scene(&scene);
}
Test(process_step, a_worker_that_skips_what_was_cancelled, .timeout = 3600) {
    static const struct scene scene = {.name = "cancelled",
                                       .victim = ASLEEP,
                                       .max_workers = 1,
                                       .count = 3,
                                       .kinds = {SMALL, CANCELLED, SMALL}};
    play_scene(&scene);
}
Test(process_step, one_of_two_workers, .timeout = 3600) {
    static const struct scene scene = {.name = "two workers",
                                       .victim = ASLEEP,
                                       .max_workers = 2,
                                       .count = 6,
                                       .kinds = {SMALL, SMALL, SMALL, SMALL, SMALL, SMALL}};
    play_scene(&scene);
}
Test(process_step, a_worker_whose_task_waits_for_its_child, .timeout = 3600) {
    static const struct scene scene = {.name = "children",
                                       .victim = ASLEEP,
                                       .max_workers = 1,
                                       .count = 2,
                                       .kinds = {PARENT, SMALL}};
    play_scene(&scene);
}
Test(process_step, a_worker_that_starts, .timeout = 3600) {
    static const struct scene scene = {
        .name = "start", .victim = UNBORN, .max_workers = 1, .count = 2, .kinds = {SMALL, SMALL}};
    play_scene(&scene);
}
Test(process_step, a_worker_that_retires, .timeout = 3600) {
    static const struct scene scene = {.name = "retire",
                                       .victim = ASLEEP,
                                       .max_workers = 1,
                                       .max_tasks = 7,
                                       .count = 3,
                                       .kinds = {SMALL, SMALL, SMALL}};
    play_scene(&scene);
}
Test(process_step, a_zygote_that_starts_a_worker, .timeout = 3600) {
    static const struct scene scene = {
        .name = "zygote", .victim = ZYGOTE, .max_workers = 1, .count = 2, .kinds = {SMALL, SMALL}};
    play_scene(&scene);
}
