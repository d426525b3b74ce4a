/* ledger.c: the long stress run: all operations of the interface, mixed at random, with a book of every task.
 *
 * Flow     main goes through rounds of three phases: on one CPU, on two, and with 32 workers for each CPU. A phase is
 *          some episodes; an episode makes executors on threads and on processes, lets clients loose on them
 *          (ledger_operations.c), perhaps kills worker processes meanwhile, perhaps shuts the executors down under
 *          the clients with FILCH_CANCEL_PENDING, and destroys them. Then no entry is open, and no task has run
 *          after its entry was closed.
 * Seed     what a client does in an episode depends on the seed, the number of the episode and the number of the
 *          client; how long the run lasts, and how threads meet, does not depend on it. The digest at the end of a
 *          phase shows that two runs chose the same.
 * Memory   the resident pages of the program, and the bytes that the allocator has given out, are read at the end of
 *          each phase, when no executor lives, after malloc_trim. The allocator is told to use two arenas, no caches of
 *          threads, and to give back what is free from 128 KiB on: by default glibc keeps the free end of each of its
 *          arenas, which differ in size with how threads met, and counts what a thread's cache holds, some 200 KiB in
 *          the end, as given out. That would hide a leak, or look like one. The first third of the rounds is
 *          warm-up. Of the other two thirds the median of the later half may be at most 2 % above that of the earlier
 *          one in resident pages, and 48 bytes in bytes given out (tables of threads that glibc keeps), for each kind
 *          of phase; with fewer than 9 rounds, and under a sanitizer, which has its own allocator, nothing is judged.
 * Watchdog if no entry is closed for 60 s (--patience) it prints which are open, and ends the program.
 * Faults   --fault lost, twice, wrong, leak: what the book, and the look at the memory, must find.
 *
 * SPDX-License-Identifier: MIT */
#include "ledger_operations.h"

#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    PHASES = 3,
    ROUNDS_MOST = 100000,
    ROUNDS_JUDGED = 9,
    OVERSUBSCRIBED = 32,
    PERCENT = 2,
    BYTES = 48
};

static struct {
    double minutes;
    uint64_t seed;
    int workers; /* 0: as many as the phase has CPUs, or 32 times that */
    int episodes, steps, patience;
    bool processes;
} options = {.minutes = 1, .episodes = 4, .steps = 24, .patience = 60, .processes = true};

/* Time ------------------------------------------------------------------------------------------------ */

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double began_at;

/* Watchdog -------------------------------------------------------------------------------------------- */

static struct client clients[CLIENTS_MOST];
static int clients_now;
static uint64_t ticks; /* what moves besides closed entries: episodes */

static void print_open(void) {
    const struct book *b = book();
    for (uint32_t i = 0; i < ENTRIES; i++) {
        const struct entry *e = &b->entries[i];
        if (!filch_load_acquire(&e->open)) continue;
        fprintf(stderr,
                "ledger: entry %u of client %u: serial %u, kind %u, flags %u, began %u, ended %u, "
                "destroyed %u, callbacks %u\n",
                i, i / BLOCK, e->serial, e->kind, e->flags, e->began, e->ended, e->destroyed,
                e->called);
    }
    for (int i = 0; i < filch_load_acquire(&clients_now); i++)
        fprintf(stderr, "ledger: client %d does: %s\n", i, filch_load_acquire(&clients[i].doing));
}

static void print_progress(void) {
    const struct book *b = book();
    printf(
        "%7.1f s: %llu tasks: %llu results, %llu errors, %llu cancelled, %llu lost, %llu refused\n",
        seconds() - began_at, (unsigned long long)filch_load_relaxed(&b->closed),
        (unsigned long long)filch_load_relaxed(&b->results),
        (unsigned long long)filch_load_relaxed(&b->errors),
        (unsigned long long)filch_load_relaxed(&b->cancelled),
        (unsigned long long)filch_load_relaxed(&b->lost),
        (unsigned long long)filch_load_relaxed(&b->refused));
    fflush(stdout);
}

static void *watch(void *context) {
    uint64_t before = 0;
    int quiet = 0;
    (void)context;
    for (int second = 1;; second++) {
        sleep(1);
        uint64_t now = filch_load_relaxed(&book()->closed) + filch_load_relaxed(&ticks);
        quiet = now == before ? quiet + 1 : 0;
        before = now;
        if (second % 5 == 0) print_progress();
        if (quiet < options.patience) continue;
        fprintf(stderr, "ledger: nothing has moved for %d s, seed %llu; unaccounted:\n", quiet,
                (unsigned long long)options.seed);
        print_open();
        abort();
    }
    return NULL;
}

/* Killer ---------------------------------------------------------------------------------------------- */

/* Kills the process that sits there, if it is a worker still: its session is that of a zygote that lives. */
static void kill_seat(struct seat *seat) {
    int pid = filch_load_acquire(&seat->pid), session = filch_load_relaxed(&seat->session);
    if (pid <= 1 || pid == session || session == (int)getsid(0)) return;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0) return;
    if (getsid(pid) == session) (void)syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
    close(fd);
}

struct killer {
    uint64_t random;
    uint32_t stop;
};
static void *kill_workers(void *context) {
    struct killer *k = context;
    while (!filch_load_acquire(&k->stop)) {
        kill_seat(&book()->seats[below(&k->random, SEATS)]);
        kill_seat(&book()->seats[below(&k->random, 4)]);
        usleep(2000 + below(&k->random, 20000));
    }
    return NULL;
}

/* Episodes -------------------------------------------------------------------------------------------- */

struct phase {
    const char *name;
    int cpus, factor, clients;
};
static const struct phase phases[PHASES] = {
    {"one CPU", 1, 1, 3}, {"two CPUs", 2, 1, 4}, {"oversubscribed", 2, OVERSUBSCRIBED, 8}};

static void *run_client(void *context) {
    struct client *c = context;
    for (int i = 0; i < options.steps; i++) client_step(c);
    return NULL;
}

static void make_executors(struct stage *stage, int workers, uint64_t *random) {
    filch_thread_options threads = FILCH_THREAD_OPTIONS_INIT;
    filch_process_options processes = FILCH_PROCESS_OPTIONS_INIT;
    threads.max_workers = workers;
    threads.spin = below(random, 2) ? -1 : 0;
    must(filch_thread_executor(&threads, &stage->threads) == 0, "an executor on threads");
    processes.max_workers = workers;
    processes.max_tasks_per_worker = below(random, 3) ? 0 : 20;
    processes.spin = below(random, 2) ? -1 : 0;
    stage->processes = NULL;
    if (options.processes)
        must(filch_process_executor(&processes, &stage->processes) == 0, "an executor: %s",
             filch_last_error());
}

static void shut_down(const struct stage *stage) {
    must(filch_executor_shutdown(stage->threads, FILCH_CANCEL_PENDING) == 0, "shutdown");
    if (stage->processes != NULL)
        must(filch_executor_shutdown(stage->processes, FILCH_CANCEL_PENDING) == 0, "shutdown");
}

static void check_closed(void) {
    struct book *b = book();
    for (uint32_t i = 0; i < ENTRIES; i++)
        must(!filch_load_acquire(&b->entries[i].open), "entry %u is open at the end", i);
    must(filch_load_acquire(&b->stale) == 0, "%u tasks ran when they were accounted for", b->stale);
    must(filch_load_acquire(&b->faults) == 0, "%u faults in worker processes", b->faults);
}

static void start_clients(const struct stage *stage, int n, uint64_t *random, pthread_t *threads) {
    for (int i = 0; i < n; i++) {
        clients[i] = (struct client){stage, next_random(random), (uint32_t)i * BLOCK, 0, "-", 0};
        must(pthread_create(&threads[i], NULL, run_client, &clients[i]) == 0, "a client");
    }
    filch_store_release(&clients_now, n);
}

/* Returns the digest of what the clients chose. */
static uint64_t run_episode(const struct phase *phase, int workers, uint64_t seed) {
    uint64_t random = seed, digest = 0;
    struct stage stage;
    bool cancels = below(&random, 3) == 0, kills = below(&random, 2) == 0;
    struct killer killer = {next_random(&random), 0};
    pthread_t threads[CLIENTS_MOST], killer_thread;
    make_executors(&stage, workers, &random);
    stage.flags_threads = cancels ? MAY_CANCEL : 0;
    stage.flags_processes = stage.flags_threads | (kills ? MAY_LOSE : 0);
    memset(book()->seats, 0, sizeof book()->seats);
    start_clients(&stage, phase->clients, &random, threads);
    if (kills) must(pthread_create(&killer_thread, NULL, kill_workers, &killer) == 0, "a killer");
    if (cancels) {
        usleep(below(&random, 60000));
        shut_down(&stage);
    }
    for (int i = 0; i < phase->clients; i++) {
        (void)pthread_join(threads[i], NULL);
        digest = digest * 1000003 + clients[i].choices;
    }
    filch_store_release(&killer.stop, 1);
    if (kills) (void)pthread_join(killer_thread, NULL);
    must(filch_executor_destroy(stage.threads) == 0, "destroy");
    must(filch_executor_destroy(stage.processes) == 0, "destroy");
    check_closed();
    (void)filch_fetch_add_relaxed(&ticks, 1);
    return digest;
}

/* CPUs ------------------------------------------------------------------------------------------------ */

static cpu_set_t cpus_at_start;

/* This thread, and what it starts, runs on at most n CPUs. Returns how many. */
static int use_cpus(int n) {
    cpu_set_t set;
    int used = 0;
    CPU_ZERO(&set);
    for (int i = 0; i < CPU_SETSIZE && used < n; i++)
        if (CPU_ISSET(i, &cpus_at_start)) {
            CPU_SET(i, &set);
            used++;
        }
    must(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
    return used;
}

/* Memory ---------------------------------------------------------------------------------------------- */

static long resident[PHASES][ROUNDS_MOST], given_out[PHASES][ROUNDS_MOST]; /* KiB; bytes */

static long read_resident(void) {
    long size = 0, pages = 0;
    (void)malloc_trim(0);
    FILE *file = fopen("/proc/self/statm", "r");
    must(file != NULL && fscanf(file, "%ld %ld", &size, &pages) == 2, "/proc/self/statm");
    fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int compare(const void *a, const void *b) {
    long x = *(const long *)a, y = *(const long *)b;
    return x < y ? -1 : x > y;
}
static long median(long *values, int n) {
    qsort(values, (size_t)n, sizeof *values, compare);
    return values[n / 2];
}

static bool judge_memory(int rounds) {
    bool flat = true;
#if defined(TEST_SANITIZE_ADDRESS) || defined(TEST_SANITIZE_THREAD)
    rounds = 0;
#endif
    if (rounds < ROUNDS_JUDGED) {
        printf("memory: not judged: %d rounds, or a sanitizer\n", rounds);
        return true;
    }
    for (int i = 0; i < PHASES; i++) {
        int third = rounds / 3;
        long early = median(&resident[i][rounds - 2 * third], third);
        long late = median(&resident[i][rounds - third], third);
        bool good = (double)late <= (double)early * (1 + PERCENT / 100.0);
        printf("memory after %s: median %ld KiB, then %ld KiB (%+.2f %%)%s\n", phases[i].name,
               early, late, 100.0 * (double)(late - early) / (double)early,
               good ? "" : ": it GROWS");
        flat = flat && good;
        early = median(&given_out[i][rounds - 2 * third], third);
        late = median(&given_out[i][rounds - third], third);
        good = late <= early + BYTES;
        printf("memory after %s: median %ld bytes given out, then %ld%s\n", phases[i].name, early,
               late, good ? "" : ": it GROWS");
        flat = flat && good;
    }
    return flat;
}

/* Rounds ---------------------------------------------------------------------------------------------- */

static void leak(void) {
    size_t size = 40;
    char *bytes = malloc(size);
    if (bytes != NULL) memset(bytes, 1, size);
    __asm__ __volatile__("" ::"r"(bytes) : "memory");
}

static void run_phase(int index, int round, uint64_t *number) {
    const struct phase *phase = &phases[index];
    int cpus = use_cpus(phase->cpus);
    int workers = options.workers != 0 ? options.workers * phase->factor : cpus * phase->factor;
    uint64_t digest = 0;
    for (int i = 0; i < options.episodes; i++) {
        uint64_t seed = options.seed * 0x9e3779b97f4a7c15 + ++*number;
        digest = digest * 31 + run_episode(phase, workers, next_random(&seed));
    }
    if (ledger_fault == FAULT_LEAK) leak();
    resident[index][round] = read_resident();
    given_out[index][round] = (long)mallinfo2().uordblks;
    printf(
        "%7.1f s: round %d, %s (%d CPUs, %d workers): choices %016llx, %ld KiB resident, %ld bytes given out\n",
        seconds() - began_at, round, phase->name, cpus, workers, (unsigned long long)digest,
        resident[index][round], given_out[index][round]);
    fflush(stdout);
}

static int run_rounds(void) {
    uint64_t number = 0;
    int round = 0;
    do {
        for (int i = 0; i < PHASES; i++) run_phase(i, round, &number);
        round++;
    } while (round < ROUNDS_MOST && seconds() - began_at < options.minutes * 60);
    return round;
}

/* Options --------------------------------------------------------------------------------------------- */

static const char usage[] =
    "usage: ledger [--minutes N] [--seed S] [--workers N] [--episodes N] [--steps N]\n"
    "              [--executors threads|both] [--patience SECONDS] [--fault lost|twice|wrong|leak]\n"
    "  --minutes   at least one round is run, whatever it takes (default 1; 0: one round)\n"
    "  --seed      chooses what is done; printed at the start (default: from the clock)\n"
    "  --workers   of each executor; 32 times as many in the phase that is oversubscribed (default: the CPUs)\n"
    "  --episodes, --steps   episodes of a phase, operations of a client in one (4, 24)\n"
    "  --patience  how long nothing may move until the program is ended (60)\n";

static void take_fault(const char *name) {
    static const char *const names[] = {"", "lost", "twice", "wrong", "leak"};
    for (int i = 1; i <= FAULT_LEAK; i++)
        if (strcmp(name, names[i]) == 0) ledger_fault = (enum fault)i;
    if (ledger_fault == FAULT_NONE) fputs(usage, stderr), exit(2);
}

static void take_options(int argc, char **argv) {
    static const struct option names[] = {
        {"minutes", 1, NULL, 'm'},  {"seed", 1, NULL, 's'},  {"workers", 1, NULL, 'w'},
        {"episodes", 1, NULL, 'e'}, {"steps", 1, NULL, 'n'}, {"executors", 1, NULL, 'x'},
        {"patience", 1, NULL, 'p'}, {"fault", 1, NULL, 'f'}, {NULL, 0, NULL, 0}};
    options.seed = (uint64_t)time(NULL);
    for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (option == 'm')
            options.minutes = atof(optarg);
        else if (option == 's')
            options.seed = strtoull(optarg, NULL, 0);
        else if (option == 'w')
            options.workers = atoi(optarg);
        else if (option == 'e')
            options.episodes = atoi(optarg);
        else if (option == 'n')
            options.steps = atoi(optarg);
        else if (option == 'x')
            options.processes = strcmp(optarg, "threads") != 0;
        else if (option == 'p')
            options.patience = atoi(optarg);
        else if (option == 'f')
            take_fault(optarg);
        else
            fputs(usage, stderr), exit(2);
    }
    if (optind != argc || options.workers < 0 || options.workers > 32)
        fputs(usage, stderr), exit(2);
}

/* See Memory above. Caches of threads can be turned off only when a program starts. */
static void keep_little(char **argv) {
    enum { GIVEN_BACK_FROM = 128 * 1024 };
    if (getenv("GLIBC_TUNABLES") == NULL) {
        setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
        execv("/proc/self/exe", argv);
        must(false, "execv");
    }
    (void)mallopt(M_ARENA_MAX, 2);
    (void)mallopt(M_MMAP_THRESHOLD, GIVEN_BACK_FROM);
    (void)mallopt(M_TRIM_THRESHOLD, GIVEN_BACK_FROM);
}

int main(int argc, char **argv) {
    pthread_t watchdog;
    filch_main(&argc, &argv);
    keep_little(argv);
    take_options(argc, argv);
    began_at = seconds();
    printf("seed %llu\n", (unsigned long long)options.seed);
    fflush(stdout);
    must(sched_getaffinity(0, sizeof cpus_at_start, &cpus_at_start) == 0, "sched_getaffinity");
    book_create();
    must(pthread_create(&watchdog, NULL, watch, NULL) == 0, "the watchdog");
    int rounds = run_rounds();
    print_progress();
    return judge_memory(rounds) ? 0 : 1;
}
