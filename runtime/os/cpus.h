/* os/cpus.h: how many CPUs this process may use, and which. */
#ifndef FILCH_OS_CPUS_H
#define FILCH_OS_CPUS_H

/* CPUs in the affinity mask of the calling thread, at least 1. */
int filch__cpus_affinity(void);
/* The smallest CPU quota of the process's cgroups (v2, else v1) and of the groups above them, rounded
 * up, at least 1; 0 if there is none. `root` is put before /proc and /sys, for tests; "" in use. */
int filch__cpus_quota(const char *root);
/* The smaller of the two: what executors go by. */
int filch__cpus_usable(void);
/* The same with a `root` for the quota, for tests. */
int filch__cpus_usable_below(const char *root);
/* The CPUs in the affinity mask of the calling thread, none if it cannot be read; NULL: no memory. */
struct filch__cpus;
struct filch__cpus *filch__cpus_create(void);
void filch__cpus_free(struct filch__cpus *cpus);
/* Pins the calling thread to the i-th of these CPUs, modulo their number; does nothing where that is
 * refused. */
void filch__cpus_pin(const struct filch__cpus *cpus, int i);

#endif
