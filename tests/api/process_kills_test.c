/* process_kills_test.c: workers that are killed at random moments, from outside and by each other, under load.
 *
 * Every future ends, a kill costs at most one of them, what succeeds is right, and in the end nothing is left: file
 * descriptors, mappings, blocks, processes. FILCH_TEST_KILLS=N sets how many kills (50), FILCH_TEST_TASKS=N how many tasks there
 * are at least, evenly between the kills (0); the goal is 10 000 kills over a million tasks.
 *
 * SPDX-License-Identifier: MIT */
#include "process_support.h"

#include <pthread.h>

TestSuite(process_kills, .timeout = 60);

static int kills_wanted(void) {
    const char *text = getenv("FILCH_TEST_KILLS");
    return text == NULL || atoi(text) < 1 ? 50 : atoi(text);
}
static int tasks_wanted(void) {
    const char *text = getenv("FILCH_TEST_TASKS");
    return text == NULL ? 0 : atoi(text);
}

/* Load ------------------------------------------------------------------------------------------------- */

/* Answers with as many bytes as it was told, made from what it got. */
struct order {
    uint32_t seed, answer, size; /* of the order itself */
};
struct sender {
    uint32_t seed;
    int pid;
};
enum { LARGEST = 200000 };
static unsigned char byte_of(uint32_t seed, size_t i) {
    return (unsigned char)((seed * 2654435761u >> 24) + i * 7);
}
static int answer(void *arg, void *result) {
    const struct order *order = arg;
    const unsigned char *rest = arg;
    for (size_t i = sizeof *order; i < order->size; i++)
        if (rest[i] != byte_of(order->seed, i)) return 1;
    unsigned char *data = filch_result_alloc(order->answer);
    if (data == NULL) return 2;
    for (size_t i = 0; i < order->answer; i++) data[i] = byte_of(order->seed + 1, i);
    *(struct sender *)result = (struct sender){order->seed, (int)getpid()};
    return 0;
}

struct load {
    filch_executor *executor;
    unsigned char *buffer;
    uint64_t random;
    int lost, wrong;
};
/* Who has answered: a pid, at a place that it shares with few. */
enum { SERVED = 4096 };
static int served[SERVED];
static void note_served(int pid) {
    filch_store_release(&served[pid % SERVED], pid);
}
static bool has_served(int pid) {
    return filch_load_acquire(&served[pid % SERVED]) == pid;
}

struct load_task {
    filch_future *future;
    struct order order;
};
static void submit_order(struct load *load, struct load_task *task) {
    static const uint32_t sizes[] = {sizeof(struct order), 100, 4096, 4200, 60000, LARGEST};
    uint64_t random = next_random(&load->random);
    task->order.seed = (uint32_t)random;
    task->order.size = sizes[random >> 32 & 3]; /* large ones are rarer */
    task->order.answer = sizes[random >> 40 & 3];
    if ((random >> 48 & 15) == 0) task->order.size = sizes[4 + (random >> 52 & 1)];
    if ((random >> 56 & 15) == 0) task->order.answer = sizes[4 + (random >> 60 & 1)];
    for (size_t i = 0; i < task->order.size; i++) load->buffer[i] = byte_of(task->order.seed, i);
    memcpy(load->buffer, &task->order, sizeof task->order);
    task->future =
        submit_to(load->executor, answer, load->buffer, task->order.size, sizeof(struct sender));
}
static void take_answer(struct load *load, struct load_task *task) {
    const void *data = NULL;
    size_t size = 0;
    struct sender sender = {0, 0};
    int rc = filch_future_result_view(task->future, &data, &size);
    if (rc == FILCH_EWORKER) {
        load->lost++;
    } else if (rc != 0 || size != task->order.answer) {
        printf("# %s: %s\n", filch_error_name(rc), filch_last_error());
        load->wrong++;
    } else {
        for (size_t i = 0; i < size; i++)
            if (((const unsigned char *)data)[i] != byte_of(task->order.seed + 1, i)) {
                load->wrong++;
                break;
            }
        if (filch_future_result(task->future, &sender, 0) != 0 || sender.seed != task->order.seed)
            load->wrong++;
        else
            note_served(sender.pid);
    }
    filch_future_release(task->future);
}

/* From outside ------------------------------------------------------------------------------------------- */

/* The other signal. Sanitizers have a handler for SIGSEGV, which starts a program of its own beside the workers. */
#if defined(TEST_SANITIZE_ADDRESS) || defined(TEST_SANITIZE_THREAD)
enum { OTHER_SIGNAL = SIGTERM };
#else
enum { OTHER_SIGNAL = SIGSEGV };
#endif

struct killer {
    int zygote, wanted, killed, stop;
    int tasks, done; /* so many there shall be at least; have ended */
    int young,
        outlived; /* killed that had not answered; of them, before the start of one that has */
    uint64_t random;
};
enum { MOST = 64, YOUNG_MOST = 2 };
struct crowd {
    int n, pids[MOST], young[MOST]; /* the killer's, when that worker was seen first */
};
static void look_around(struct crowd *crowd, struct killer *killer) {
    struct crowd before = *crowd;
    int n = find_workers(killer->zygote, crowd->pids, MOST);
    crowd->n = n < MOST ? n : MOST;
    for (int i = 0; i < crowd->n; i++) {
        crowd->young[i] = killer->young;
        for (int k = 0; k < before.n; k++)
            if (before.pids[k] == crowd->pids[i]) crowd->young[i] = before.young[k];
        if (has_served(crowd->pids[i]) && crowd->young[i] > killer->outlived)
            killer->outlived = crowd->young[i];
    }
}
/* Five starts that die in a row would break the executor, and rightly so. After two another worker must have started,
 * which shows in its answer; the ends of two more may be noticed only after that start. */
static bool may_die(const struct killer *killer, int pid) {
    return has_served(pid) || killer->young - killer->outlived < YOUNG_MOST;
}
/* Its share of the tasks has ended. */
static void await_share(struct killer *killer) {
    int64_t share = (int64_t)killer->tasks * read_int(&killer->killed) / killer->wanted;
    while (read_int(&killer->done) < share && !read_int(&killer->stop)) usleep(100);
}
/* One in four is any worker; others have answered. */
static void kill_at_random(void *context) {
    struct killer *killer = context;
    struct crowd crowd = {0};
    while (read_int(&killer->killed) < killer->wanted && !read_int(&killer->stop)) {
        uint64_t random = next_random(&killer->random);
        int victim = (int)(random % MOST);
        await_share(killer);
        look_around(&crowd, killer);
        int pid = crowd.n > 0 ? crowd.pids[victim % crowd.n] : 0;
        bool young = pid != 0 && !has_served(pid);
        if (pid != 0 && (!young || (random >> 41 & 3) == 0) && may_die(killer, pid) &&
            kill(pid, random >> 40 & 1 ? SIGKILL : OTHER_SIGNAL) == 0) {
            killer->young += young;
            add(&killer->killed, 1);
        }
        usleep((useconds_t)(random >> 32 & 0x7ff));
    }
}

static void check_kills(int workers, int kills) {
    enum { AHEAD = 60 };
    struct census before = census_before();
    struct load load = {processes_of(workers), malloc(LARGEST), (uint64_t)workers, 0, 0};
    struct killer killer = {.zygote = some_zygote(load.executor),
                            .wanted = kills,
                            .tasks = tasks_wanted(),
                            .random = 7};
    struct load_task tasks[AHEAD];
    for (int i = 0; i < AHEAD; i++) submit_order(&load, &tasks[i]);
    pthread_t thread = thread_start(kill_at_random, &killer);
    while (read_int(&killer.killed) < kills || killer.done < killer.tasks) {
        struct load_task *task = &tasks[killer.done % AHEAD];
        take_answer(&load, task);
        submit_order(&load, task);
        add(&killer.done, 1);
    }
    thread_finish(thread);
    for (int i = 0; i < AHEAD; i++) take_answer(&load, &tasks[i]);
    check_it_works(load.executor);
    destroy_and_look(load.executor);
    free(load.buffer);
    check_census(&before);
    printf("# %d workers: %d kills, %d tasks, %d lost\n", workers, killer.killed,
           killer.done + AHEAD, load.lost);
    cr_assert_eq(load.wrong, 0);
    cr_assert_leq(load.lost, killer.killed, "%d lost by %d kills", load.lost, killer.killed);
}

/* R-PROC-7 */
Test(process_kills, under_load_with_one_worker, .timeout = 600) {
    check_kills(1, kills_wanted() / 5 + 1);
}
/* R-PROC-7 */
Test(process_kills, under_load_with_two_workers, .timeout = 600) {
    check_kills(2, kills_wanted());
}
/* R-PROC-7 */
Test(process_kills, under_load_with_five_workers, .timeout = 600) {
    check_kills(5, kills_wanted());
}
/* R-PROC-7 */
Test(process_kills, under_load_with_thirteen_workers, .timeout = 600) {
    check_kills(13, kills_wanted());
}

/* Each other ---------------------------------------------------------------------------------------------- */

enum { KNOWN = 64 };
struct feud {
    struct shared pids, kills; /* pids of workers by index */
    int wanted, seed;
};
/* Now and then kills another worker. */
static int kill_another(void *arg, void *result) {
    struct feud *feud = arg;
    int *pids = shared_at(feud->pids), own = (int)getpid();
    uint64_t random = (uint64_t)feud->seed;
    filch_store_release(&pids[filch_worker_index() % KNOWN], own);
    (void)next_random(&random);
    int victim = filch_load_acquire(&pids[next_random(&random) % KNOWN]);
    /* Pids are used again: only who has the same zygote. */
    bool worker =
        victim != 0 && victim != own && getsid(victim) == getsid(0) && victim != getsid(0);
    if (worker && next_random(&random) % 8 == 0 && shared_read(feud->kills) < feud->wanted) {
        shared_add(feud->kills, 1); /* first: who kills may be killed in between */
        (void)kill(victim, SIGKILL);
    }
    linger(5);
    *(int *)result = feud->seed;
    return 0;
}

static void check_feud(int workers) {
    enum { TASKS = 1500 };
    struct census before = census_before();
    filch_executor *e = processes_of(workers);
    struct feud feud = {shared_alloc(KNOWN * sizeof(int)), shared_alloc(sizeof(int)),
                        kills_wanted() / 2, 0};
    filch_future **futures = malloc(TASKS * sizeof *futures);
    int lost = 0;
    for (int i = 0; i < TASKS; i++) {
        feud.seed = i;
        futures[i] = submit_to(e, kill_another, &feud, sizeof feud, sizeof(int));
    }
    for (int i = 0; i < TASKS; i++) {
        int seed = -1, rc = filch_future_result(futures[i], &seed, FILCH_FOREVER);
        cr_assert(rc == 0 || rc == FILCH_EWORKER, "%s: %s", filch_error_name(rc),
                  filch_last_error());
        if (rc == 0) cr_assert_eq(seed, i);
        lost += rc != 0;
        filch_future_release(futures[i]);
    }
    free(futures);
    destroy_and_look(e);
    check_census(&before);
    cr_assert_leq(lost, shared_read(feud.kills), "%d lost by %d kills", lost,
                  shared_read(feud.kills));
}

/* R-PROC-7 */
Test(process_kills, two_workers_kill_each_other) {
    check_feud(2);
}
/* R-PROC-7 */
Test(process_kills, five_workers_kill_each_other) {
    check_feud(5);
}
/* R-PROC-7 */
Test(process_kills, thirteen_workers_kill_each_other) {
    check_feud(13);
}
