/* sweep.c: makes the n-th call of each kind fail, in each scenario, once and from there on, for n = 1, 2, 3, ... until the
 * scenario makes no n-th call any more.
 *
 * Usage: sweep [--first N] [--every N] [--sites FILE] [--only NAME] MAP threads|loops|processes|all|contract
 *   MAP       runtime/filch.map: with `all` of the groups, each function there is used, or stands in cannot_fail below
 *   contract  that alone: each scenario once
 *   --first, --every   after the first N calls only each N-th
 *   --sites   writes the places that asked, and whether one of their calls failed (sites.py reads it)
 *   --point   KIND:ROLE:MODE:N, as a failure names it: that one alone, without a time limit
 *
 * Flow: each point is a process of its own, forked before this one has used the library, so that what happens only once
 * in a process is swept too. The processes of one point, the zygote and workers included, share a page that has the
 * plan and counts calls; the hook of os/fault.h asks it. A fault can be that of the program, of the zygote, or of workers.
 * Afterwards each point is compared with one without a fault: blocks and mappings, descriptors, threads; what it has
 * started must end; and nothing may have been printed.
 *
 * SPDX-License-Identifier: MIT */
#include "sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* os/fault.h, which public tests do not see. */
typedef bool fault_fn(unsigned kind, const void *site);
extern fault_fn *filch__fault_hook;
long filch__fault_live_blocks(void);
extern char __executable_start[];

enum { ALLOC = 1, MAP = 2, THREAD = 4, FUTEX = 8, BARRIER = 16, PROCESS = 32, FD = 64 };
static const struct kind {
    unsigned bit;
    const char *name;
} kinds[] = {{ALLOC, "allocation"}, {MAP, "mapping"},     {THREAD, "thread"}, {FUTEX, "futex"},
             {BARRIER, "barrier"},  {PROCESS, "process"}, {FD, "descriptor"}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };
enum role { PROGRAM, ZYGOTE, WORKER, ROLES };
static const char *const roles[] = {"program", "zygote", "worker"};

enum { SITES = 1024, USES = 256, QUIET_POINTS = 2, POINTS_MOST = 4000 };
/* Seconds that a point may take. */
#if defined(TEST_SANITIZE_ADDRESS) || defined(TEST_SANITIZE_THREAD)
#define PATIENCE 120
#else
#define PATIENCE 30
#endif

struct census {
    long blocks;
    int fds, threads, mappings;
};
struct site {
    uint64_t at; /* offset in the program; the kind is in the upper bits */
    uint32_t calls, faults;
};
/* Shared by all processes of all points. */
struct page {
    unsigned kind;
    enum role role;
    long after, calls, faults;
    uint32_t forever, armed, wrong;
    struct census census, wanted;
    char what[256];
    uint64_t
        uses[USES]; /* names of functions that were called, as offsets; the first 0 ends them */
    struct site sites[SITES];
};
static struct page *page;
static pid_t zygote;
static int noise; /* standard error of all of them */

#define PAGE_VARIABLE "FILCH_SWEEP_PAGE"

/* The hook -------------------------------------------------------------------------------------- */

static uint64_t offset_of(const void *place) {
    return (uint64_t)((const char *)place - __executable_start);
}

static enum role own_role(void) {
    pid_t self = getpid();
    return zygote == 0 ? PROGRAM : self == zygote ? ZYGOTE : WORKER;
}

static struct site *site_of(unsigned kind, const void *place) {
    uint64_t at = offset_of(place) | (uint64_t)kind << 48;
    for (unsigned i = (unsigned)((at * 0x9e3779b97f4a7c15) >> 54), n = 0; n < SITES; i++, n++) {
        struct site *s = &page->sites[i % SITES];
        uint64_t there = 0;
        if (filch_load_acquire(&s->at) == at || filch_cas_acq_rel(&s->at, &there, at) ||
            there == at)
            return s;
    }
    fputs("sweep: too many sites\n", stderr);
    abort();
}

static bool decide(unsigned kind, const void *place) {
    struct site *s = site_of(kind, place);
    filch_fetch_add_relaxed(&s->calls, 1);
    if (filch_load_acquire(&page->armed) == 0 || kind != filch_load_relaxed(&page->kind) ||
        own_role() != page->role)
        return false;
    long n = filch_fetch_add_relaxed(&page->calls, 1);
    if (n < page->after || (n > page->after && page->forever == 0)) return false;
    filch_fetch_add_relaxed(&page->faults, 1);
    filch_fetch_add_relaxed(&s->faults, 1);
    return true;
}

/* In the zygote, before main; its workers are forked from it. */
__attribute__((constructor)) static void join_page(void) {
    const char *name = getenv(PAGE_VARIABLE);
    if (name == NULL) return;
    int file = open(name, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *at = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (at == MAP_FAILED) return;
    page = at;
    zygote = getpid();
    filch__fault_hook = decide;
}

/* LeakSanitizer asks this at the end. It does not see what only mappings point to; and what threads of the parent held
 * looks lost in a child. The ledger of the seam has both. */
static bool is_child;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) {
    return is_child || zygote != 0;
}
void sweep_is_child(void) {
    is_child = true;
}

/* For scenarios ----------------------------------------------------------------------------------- */

bool sweep_is_armed(void) {
    return filch_load_relaxed(&page->kind) != 0;
}
void sweep_disarm(void) {
    filch_store_release(&page->armed, 0u);
}

void sweep_expect(bool right, const char *what) {
    uint32_t no = 0;
    if (right || !filch_cas_acq_rel(&page->wrong, &no, 1u)) return;
    snprintf(page->what, sizeof page->what, "%s", what);
}

static unsigned codes_of(unsigned kind) {
    if (kind == 0 || kind == FUTEX || kind == BARRIER) return 0;
    if (page->role != PROGRAM) return MAY_END;
    return kind == THREAD || kind == PROCESS ? MAY_END & ~(unsigned)MAY_ENOMEM : MAY_END;
}

bool sweep_is_explained(int rc, unsigned codes) {
    codes &= codes_of(page->kind);
    return rc == 0 || (rc == FILCH_ENOMEM && (codes & MAY_ENOMEM) != 0) ||
           (rc == FILCH_EAGAIN && (codes & MAY_EAGAIN) != 0) ||
           (rc == FILCH_EBROKEN && (codes & MAY_EBROKEN) != 0) ||
           (rc == FILCH_EWORKER && (codes & MAY_EWORKER) != 0);
}

bool sweep_call(const char *what, int rc, unsigned codes) {
    char text[200];
    if (rc != 0 && filch_last_error()[0] == '\0') {
        snprintf(text, sizeof text, "%s leaves no text", what);
        sweep_expect(false, text);
    }
    if (!sweep_is_explained(rc, codes)) {
        snprintf(text, sizeof text, "%s is %s (%d): %s", what, filch_error_name(rc), rc,
                 filch_last_error());
        sweep_expect(false, text);
    }
    return rc == 0;
}

void sweep_use(const char *name) {
    uint64_t at = offset_of(name);
    if (!sweep_is_armed() || own_role() != PROGRAM) return;
    for (unsigned i = 0; i < USES; i++) {
        uint64_t there = 0;
        if (filch_cas_acq_rel(&page->uses[i], &there, at) ||
            strcmp(__executable_start + there, name) == 0)
            return;
    }
    fputs("sweep: too many functions in use\n", stderr);
    abort();
}

/* One point --------------------------------------------------------------------------------------- */

static int count_entries(const char *folder) {
    int n = 0;
    DIR *entries = opendir(folder);
    if (entries == NULL) return -1;
    while (readdir(entries) != NULL) n++;
    closedir(entries);
    return n;
}
static int count_files_without_name(void) {
    char line[1024];
    int n = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    if (maps == NULL) return -1;
    while (fgets(line, sizeof line, maps) != NULL) n += strstr(line, "memfd:") != NULL;
    fclose(maps);
    return n;
}
static struct census take_census(void) {
    return (struct census){filch__fault_live_blocks(), count_entries("/proc/self/fd"),
                           count_entries("/proc/self/task"), count_files_without_name()};
}

/* Threads that were joined, and what workers of the default executor free, may take a moment. */
static void settle(bool keeps) {
    for (int i = 0; i < 2000; i++) {
        page->census = take_census();
        if (page->wanted.fds == 0 || (page->census.threads <= page->wanted.threads &&
                                      (keeps || page->census.blocks == page->wanted.blocks)))
            return;
        usleep(500);
    }
}

static void live(const struct scenario *s) {
    dup2(noise, STDERR_FILENO);
    filch__fault_hook = decide;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    filch_store_release(&page->armed, page->kind != 0);
    s->play();
    sweep_disarm();
    /* Threads of the first play may be asking still. */
    unsigned kind = page->kind;
    filch_store_relaxed(&page->kind, 0u);
    s->play();
    filch_store_relaxed(&page->kind, kind);
    settle(s->keeps);
    exit(0);
}

static bool patient;

/* The status of a child, which has its time; what it leaves behind becomes ours, and has as much. */
static bool reap(pid_t child, int *status) {
    struct timespec begin, now;
    bool killed = false;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    *status = -1;
    for (int round = 0;; round++) {
        int how;
        pid_t ended = waitpid(-1, &how, WNOHANG);
        if (ended == child) *status = how;
        if (ended < 0 && errno == ECHILD) return !killed;
        if (ended > 0) continue;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (!patient && !killed && now.tv_sec - begin.tv_sec > PATIENCE) {
            printf("# %s has not ended\n", *status == -1 ? "the program" : "a process of it");
            if (*status != -1) return false;
            kill(child, SIGABRT);
            killed = true;
        }
        usleep(round < 200 ? 50 : 1000);
    }
}

static void describe_point(const struct scenario *s, const char *what) {
    printf("# %s, point %d:%s:%s:%ld: %s\n", s->name, (int)page->kind, roles[page->role],
           page->forever ? "forever" : "once", page->after, what);
    fflush(stdout);
}

static bool is_clean(const struct scenario *s) {
    const struct census *now = &page->census, *wanted = &page->wanted;
    char text[200];
    if (now->fds == wanted->fds && now->threads <= wanted->threads &&
        now->mappings == wanted->mappings && (s->keeps || now->blocks == wanted->blocks))
        return true;
    snprintf(
        text, sizeof text,
        "left behind: blocks %ld, descriptors %d, threads %d, mappings %d; without a fault %ld, "
        "%d, %d, %d",
        now->blocks, now->fds, now->threads, now->mappings, wanted->blocks, wanted->fds,
        wanted->threads, wanted->mappings);
    describe_point(s, text);
    return false;
}

/* Prints what they have printed; true: nothing. */
static bool take_noise(void) {
    char text[4096];
    ssize_t n = pread(noise, text, sizeof text - 1, 0);
    if (n <= 0) return true;
    text[n] = '\0';
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
        printf("# %s\n", line);
    return ftruncate(noise, 0) != 0;
}

static bool run_child(const struct scenario *s) {
    char text[300];
    int status;
    page->calls = page->faults = 0;
    page->wrong = page->armed = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) live(s);
    bool in_time = reap(child, &status), quiet = take_noise();
    if (in_time && quiet && status == 0 && page->wrong == 0) return true;
    snprintf(text, sizeof text, "%s; status %#x",
             page->wrong != 0 ? page->what
             : !in_time       ? "it does not end"
             : !quiet         ? "it prints something"
                              : "it does not end well",
             status);
    describe_point(s, text);
    return false;
}

/* What is left where nothing fails. */
static bool measure(const struct scenario *s) {
    page->kind = 0;
    page->wanted = (struct census){0, 0, 0, 0};
    if (!run_child(s)) return false;
    page->wanted = page->census;
    return run_child(s) && is_clean(s);
}

/* The sweep --------------------------------------------------------------------------------------- */

static long first, every = 1, points, bad;

static bool play(const struct scenario *s, unsigned kind, enum role role, long after,
                 bool forever) {
    page->kind = kind;
    page->role = role;
    page->after = after;
    page->forever = forever;
    bool good = run_child(s) && is_clean(s);
    if (page->faults != 0) points++;
    return good;
}

static long step_after(long after) {
    return after < first ? 1 : every;
}

/* One kind, once or for ever; a scenario without such a call is played once. Returns how many points were bad. */
static long sweep_kind(const struct scenario *s, unsigned kind, enum role role, bool forever) {
    long wrong = 0;
    int quiet = 0;
    for (long after = 0; quiet < QUIET_POINTS && after < POINTS_MOST && wrong < 3;
         after += step_after(after)) {
        if (!play(s, kind, role, after, forever)) wrong++;
        if (after == 0 && page->calls == 0) break;
        quiet = page->faults == 0 ? quiet + 1 : 0;
    }
    return wrong;
}

static void sweep(const struct scenario *s, bool processes) {
    struct timespec begin, end;
    long before = points, wrong = 0;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    page->role = PROGRAM;
    if (!measure(s)) wrong = 1;
    for (enum role role = PROGRAM; wrong == 0 && role < (processes ? ROLES : ZYGOTE); role++)
        for (int k = 0; k < KINDS; k++)
            for (int forever = 0; forever < 2; forever++)
                wrong += sweep_kind(s, kinds[k].bit, role, forever);
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%s - fault_sweep::%s %ld points (%.2fs)\n", wrong == 0 ? "ok" : "not ok", s->name,
           points - before,
           (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
    fflush(stdout);
    bad += wrong;
}

/* With a plan whose call does not come. */
static void play_unharmed(const struct scenario *s) {
    page->role = PROGRAM;
    if (measure(s) && play(s, ALLOC, PROGRAM, POINTS_MOST, false)) return;
    printf("not ok - fault_sweep::%s (0.00s)\n", s->name);
    bad++;
}

static void sweep_all(const struct scenario *s, bool processes, const char *only) {
    for (; s->name != NULL; s++)
        if (only == NULL || strcmp(only, s->name) == 0) sweep(s, processes);
}

/* The contract ------------------------------------------------------------------------------------ */

/* What asks the seam for nothing, in any state: it cannot fail. */
static const struct exempt {
    const char *name, *why;
} cannot_fail[] = {
    {"filch_error_name", "a constant"},
    {"filch_error_text", "a constant"},
    {"filch_version", "a constant"},
    {"filch_version_text", "a constant"},
    {"filch_last_error", "the thread's own buffer; used after each refusal"},
    {"filch_main", "in the program it sets a flag; in the zygote it is swept as that"},
    {"filch_lane_self", "a variable"},
    {"filch_lane_outside", "a variable"},
    {"filch_lane_unread", "an address; under ThreadSanitizer only"},
    {"filch_frame_code", "looks at a number"},
    {"filch_frame_refuse", "a text in the thread's own buffer"},
    {"filch_join_is_next", "looks at a pointer"},
    {"filch_forks_are_next", "looks at a pointer"},
    {"filch_join_misplaced", "ends the program"},
    {"filch_forks_misplaced", "ends the program"},
};
enum { EXEMPT = sizeof cannot_fail / sizeof cannot_fail[0] };

static bool is_used(const char *name) {
    for (unsigned i = 0; i < USES && page->uses[i] != 0; i++)
        if (strcmp(__executable_start + page->uses[i], name) == 0) return true;
    return false;
}
static bool is_exempt(const char *name) {
    for (int i = 0; i < EXEMPT; i++)
        if (strcmp(cannot_fail[i].name, name) == 0) return true;
    return false;
}

static void check_contract(const char *map) {
    char line[200], name[100];
    int used = 0, exempt = 0, missing = 0;
    FILE *file = fopen(map, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, " filch_%90[a-z0-9_];", name + 6) != 1) continue;
        memcpy(name, "filch_", 6);
        used += is_used(name);
        exempt += is_exempt(name);
        if (is_used(name) != is_exempt(name)) continue;
        printf("# %s is %s\n", name,
               is_used(name) ? "used, but listed as one that cannot fail" : "in no scenario");
        missing++;
    }
    if (file != NULL) fclose(file);
    if (exempt != EXEMPT) printf("# a function that cannot fail is not exported\n");
    bool good = missing == 0 && exempt == EXEMPT && used != 0;
    printf("%s - fault_sweep::every_function: %d swept, %d cannot fail, %d missing (0.00s)\n",
           good ? "ok" : "not ok", used, exempt, missing);
    bad += !good;
}

static void write_sites(const char *path) {
    FILE *file = fopen(path, "w");
    int asked = 0, failed = 0;
    for (int i = 0; i < SITES; i++) {
        const struct site *s = &page->sites[i];
        if (s->at == 0) continue;
        asked++;
        failed += s->faults != 0;
        if (file != NULL)
            fprintf(file, "%llx %u %u %u\n", (unsigned long long)(s->at & 0xffffffffffff),
                    (unsigned)(s->at >> 48), s->calls, s->faults);
    }
    if (file != NULL) fclose(file);
    printf("# %ld points; %d return addresses asked, %d of them were made to fail\n", points, asked,
           failed);
}

/* A file that the processes of executors find by its name. */
static void make_page(void) {
    static char name[] = "/tmp/filch-sweep-XXXXXX";
    int file = mkstemp(name);
    if (file < 0 || ftruncate(file, sizeof *page) != 0) exit(2);
    page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (page == MAP_FAILED) exit(2);
    setenv(PAGE_VARIABLE, name, 1);
    noise = memfd_create("noise", MFD_CLOEXEC);
    if (noise < 0 || fcntl(noise, F_SETFL, O_APPEND) != 0) exit(2);
}

/* KIND:ROLE:MODE:N */
static bool play_one(const struct scenario *s, const char *only, const char *point) {
    char role[20], mode[20];
    int kind;
    long n;
    if (sscanf(point, "%d:%19[a-z]:%19[a-z]:%ld", &kind, role, mode, &n) != 4) exit(2);
    patient = true;
    for (; s->name != NULL; s++) {
        if (only == NULL || strcmp(s->name, only) != 0) continue;
        enum role which = PROGRAM;
        while (which < WORKER && strcmp(roles[which], role) != 0) which++;
        return measure(s) && play(s, (unsigned)kind, which, n, strcmp(mode, "forever") == 0);
    }
    return false;
}

int main(int argc, char **argv) {
    const char *sites = NULL, *only = NULL, *point = NULL, *map = NULL, *group = NULL;
    filch_main(&argc, &argv);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--first") == 0 && i + 1 < argc)
            first = atol(argv[++i]);
        else if (strcmp(argv[i], "--every") == 0 && i + 1 < argc)
            every = atol(argv[++i]);
        else if (strcmp(argv[i], "--sites") == 0 && i + 1 < argc)
            sites = argv[++i];
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            only = argv[++i];
        else if (strcmp(argv[i], "--point") == 0 && i + 1 < argc)
            point = argv[++i];
        else if (map == NULL)
            map = argv[i];
        else
            group = argv[i];
    }
    if (group == NULL || every < 1) return 2;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    make_page();
    const struct {
        const char *name;
        const struct scenario *scenarios;
    } groups[] = {
        {"threads", thread_scenarios}, {"loops", loop_scenarios}, {"processes", process_scenarios}};
    for (int i = 0; i < 3; i++) {
        const struct scenario *s = groups[i].scenarios;
        for (; strcmp(group, "contract") == 0 && s->name != NULL; s++) play_unharmed(s);
        if (strcmp(group, "all") != 0 && strcmp(group, groups[i].name) != 0) continue;
        if (point != NULL)
            bad += !play_one(groups[i].scenarios, only, point);
        else
            sweep_all(groups[i].scenarios, i == 2, only);
    }
    if (only == NULL && (strcmp(group, "all") == 0 || strcmp(group, "contract") == 0))
        check_contract(map);
    if (sites != NULL) write_sites(sites);
    printf("# %ld points\n", points);
    unlink(getenv(PAGE_VARIABLE));
    return bad != 0;
}
