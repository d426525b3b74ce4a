/* os/cpus.c: affinity mask and cgroup quota.
 *
 * Flow     /proc/self/cgroup names the process's group in each hierarchy; the quota of that group
 *          and of every group above it applies, so the smallest one counts. In a container the path
 *          may name a directory that is not visible; the mount's top is looked at in any case.
 * Source   Linux Documentation/admin-guide/cgroup-v2.rst (cpu.max), scheduler/sched-bwc.rst. */
#include "os/cpus.h"

#include "os/fault.h"
#include "os/memory.h"
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 4096, MASK_CPUS_MAX = 1 << 16 };

/* The affinity mask, made larger until the kernel's fits; NULL if it cannot be read. */
static cpu_set_t *affinity_mask(size_t *size) {
    for (size_t cpus = CPU_SETSIZE; cpus <= MASK_CPUS_MAX; cpus *= 2) {
        cpu_set_t *mask = filch__fault(FILCH__FAULT_ALLOC) ? NULL : CPU_ALLOC(cpus);
        if (mask == NULL) return NULL;
        *size = CPU_ALLOC_SIZE(cpus);
        CPU_ZERO_S(*size, mask);
        if (sched_getaffinity(0, *size, mask) == 0) return mask;
        bool too_small = errno == EINVAL;
        CPU_FREE(mask);
        if (!too_small) return NULL;
    }
    return NULL;
}

int filch__cpus_affinity(void) {
    size_t size;
    cpu_set_t *mask = affinity_mask(&size);
    if (mask == NULL) return 1;
    int count = CPU_COUNT_S(size, mask);
    CPU_FREE(mask);
    return count > 0 ? count : 1;
}

struct filch__cpus {
    int count;
    int cpu[];
};

struct filch__cpus *filch__cpus_create(void) {
    size_t size;
    cpu_set_t *mask = affinity_mask(&size);
    int count = mask == NULL ? 0 : CPU_COUNT_S(size, mask), next = 0;
    struct filch__cpus *cpus = filch__alloc_zeroed(sizeof *cpus + (size_t)count * sizeof(int));
    if (cpus != NULL) {
        cpus->count = count;
        for (int cpu = 0; next < count; cpu++)
            if (CPU_ISSET_S((size_t)cpu, size, mask)) cpus->cpu[next++] = cpu;
    }
    if (mask != NULL) CPU_FREE(mask);
    return cpus;
}

void filch__cpus_free(struct filch__cpus *cpus) {
    filch__free(cpus);
}

void filch__cpus_pin(const struct filch__cpus *cpus, int i) {
    if (cpus->count == 0) return;
    size_t cpu = (size_t)cpus->cpu[i % cpus->count];
    size_t size = CPU_ALLOC_SIZE(cpu + 1);
    cpu_set_t *mask = filch__fault(FILCH__FAULT_ALLOC) ? NULL : CPU_ALLOC(cpu + 1);
    if (mask == NULL) return;
    CPU_ZERO_S(size, mask);
    CPU_SET_S(cpu, size, mask);
    sched_setaffinity(0, size, mask);
    CPU_FREE(mask);
}

static bool read_line(const char *path, char *line, int size) {
    FILE *file = filch__fault(FILCH__FAULT_FD) ? NULL : fopen(path, "re");
    if (file == NULL) return false;
    bool ok = fgets(line, size, file) != NULL;
    fclose(file);
    return ok;
}

/* CPUs of a quota of q microseconds each p microseconds, rounded up; 0 if that is no limit. */
static int cpus_of(long long q, long long p) {
    if (q <= 0 || p <= 0) return 0;
    long long cpus = q / p + (q % p != 0);
    return cpus > INT_MAX ? 0 : (int)cpus;
}

static int quota_v2(const char *group) {
    char path[LINE], line[128];
    long long q, p;
    if (snprintf(path, sizeof path, "%s/cpu.max", group) >= LINE) return 0;
    if (!read_line(path, line, sizeof line) || sscanf(line, "%lld %lld", &q, &p) != 2) return 0;
    return cpus_of(q, p);
}

static int quota_v1(const char *group) {
    char path[LINE], line[128];
    if (snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", group) >= LINE) return 0;
    if (!read_line(path, line, sizeof line)) return 0;
    long long q = atoll(line);
    if (snprintf(path, sizeof path, "%s/cpu.cfs_period_us", group) >= LINE) return 0;
    if (!read_line(path, line, sizeof line)) return 0;
    return cpus_of(q, atoll(line));
}

static int smaller(int a, int b) {
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* The smallest quota from mount/path up to the mount itself. */
static int smallest_above(const char *mount, const char *path, int (*quota)(const char *)) {
    char group[LINE];
    int least = 0;
    if (snprintf(group, sizeof group, "%s%s", mount, path) >= LINE) group[0] = '\0';
    for (size_t top = strlen(mount); strlen(group) > top;) {
        least = smaller(least, quota(group));
        char *slash = strrchr(group, '/');
        if (slash == NULL) break;
        *slash = '\0';
    }
    return smaller(least, quota(mount));
}

/* Does the list "cpu,cpuacct" of a v1 hierarchy name the controller cpu? */
static bool controls_cpu(const char *list, size_t length) {
    for (const char *end = list + length; list < end;) {
        size_t word = strcspn(list, ",:");
        if (word == 3 && strncmp(list, "cpu", 3) == 0) return true;
        list += word + 1;
    }
    return false;
}

/* One line of /proc/self/cgroup, "id:controllers:path". */
static int quota_of_line(const char *root, char *line) {
    char mount[LINE];
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    if (path == NULL) return 0;
    controllers++;
    size_t length = (size_t)(path - controllers);
    path++;
    if (length == 0) {
        if (snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root) >= LINE) return 0;
        return smallest_above(mount, path, quota_v2);
    }
    if (!controls_cpu(controllers, length)) return 0;
    if (snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/cpu", root) >= LINE) return 0;
    int least = smallest_above(mount, path, quota_v1);
    if (snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%.*s", root, (int)length, controllers) >=
        LINE)
        return least;
    return smaller(least, smallest_above(mount, path, quota_v1));
}

int filch__cpus_quota(const char *root) {
    char path[LINE], line[LINE];
    int least = 0;
    if (snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= LINE) return 0;
    FILE *file = filch__fault(FILCH__FAULT_FD) ? NULL : fopen(path, "re");
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL)
        least = smaller(least, quota_of_line(root, line));
    fclose(file);
    return least;
}

int filch__cpus_usable_below(const char *root) {
    return smaller(filch__cpus_affinity(), filch__cpus_quota(root));
}

int filch__cpus_usable(void) {
    return filch__cpus_usable_below("");
}
