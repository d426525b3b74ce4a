/* machine.c: see machine.h. The flags and the commit come from the build (build_info.h, commit.h).
 *
 * SPDX-License-Identifier: MIT */
#include "machine.h"

#include "build_info.h"
#include "commit.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* clang's own version text has the word already; gcc's is a bare number. */
#if defined(__clang__)
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

int machine_cpus(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online >= 1 ? (int)online : 1;
}

/* The first "model name" of /proc/cpuinfo; some architectures have none. */
static void read_cpu_name(char *name, int size) {
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    snprintf(name, (size_t)size, "unknown CPU");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || colon == NULL) continue;
        snprintf(name, (size_t)size, "%s", colon + 1 + strspn(colon + 1, " "));
        name[strcspn(name, "\n")] = '\0';
        break;
    }
    if (file != NULL) fclose(file);
}

void machine_describe(bench_machine *machine) {
    struct utsname system;
    char name[96];
    time_t now = time(NULL);
    read_cpu_name(name, (int)sizeof name);
    snprintf(machine->cpu, sizeof machine->cpu, "%s, %d usable", name, machine_cpus());
    if (uname(&system) != 0) memset(&system, 0, sizeof system);
    snprintf(machine->kernel, sizeof machine->kernel, "%s %s %s", system.sysname, system.release,
             system.machine);
    snprintf(machine->compiler, sizeof machine->compiler, "%s, %s", COMPILER, BENCH_BUILD_FLAGS);
    snprintf(machine->commit, sizeof machine->commit, "%s", BENCH_COMMIT);
    strftime(machine->date, sizeof machine->date, "%Y-%m-%dT%H:%M:%S%z", localtime(&now));
}

double machine_cpu_of_others(void) {
    double user, nice, system, idle, iowait, irq, softirq, steal;
    struct timespec own;
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL) return 0;
    int found = fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &user, &nice, &system, &idle,
                       &iowait, &irq, &softirq, &steal);
    fclose(file);
    if (found != 8 || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own) != 0) return 0;
    double ticks = user + nice + system + irq + softirq + steal;
    return ticks / (double)sysconf(_SC_CLK_TCK) - ((double)own.tv_sec + (double)own.tv_nsec * 1e-9);
}

bool machine_build_is_fast(void) {
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
    return !BENCH_BUILD_SANITIZED;
#else
    return false;
#endif
}
