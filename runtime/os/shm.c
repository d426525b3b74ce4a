/* os/shm.c: memfd_create behind the fault seam.
 *
 * Reserved with posix_fallocate: ftruncate succeeds where there is no memory, and the first write is a SIGBUS. */
#include "os/shm.h"

#include "os/fault.h"
#include "os/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

/* Bytes from which on the kernel is asked first whether there is so much memory; that takes some 30 us. */
#define LARGE ((size_t)16 << 20)

/* Bytes that can be had without swapping. */
static uint64_t available(void) {
    char line[128];
    unsigned long kib = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file != NULL && kib == 0 && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "MemAvailable: %lu kB", &kib) != 1) kib = 0;
    if (file != NULL) fclose(file);
    if (kib != 0) return (uint64_t)kib * 1024;
    struct sysinfo info;
    return sysinfo(&info) == 0 ? (uint64_t)info.freeram * info.mem_unit : UINT64_MAX;
}

/* The kernel does not refuse to reserve more than there is: it takes all, and then kills processes, whichever they are. An
 * eighth of what is available is left to others. */
static bool is_too_much(size_t size) {
    if (size < LARGE) return false;
    uint64_t most = available();
    return size > most - most / 8;
}

int filch__shm_create(const char *name, size_t size, int *fd) {
    if (filch__fault(FILCH__FAULT_FD)) return EMFILE;
    if (is_too_much(size)) return ENOMEM;
    int file = memfd_create(name, MFD_CLOEXEC);
    if (file < 0) return errno;
    int error = filch__fault(FILCH__FAULT_MAP) ? ENOSPC : posix_fallocate(file, 0, (off_t)size);
    if (error != 0) {
        close(file);
        return error;
    }
    *fd = file;
    return 0;
}

size_t filch__shm_size(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_size > 0 ? (size_t)status.st_size : 0;
}

void *filch__shm_map(int fd, size_t offset, size_t size, bool writable, void *at) {
    if (filch__fault(FILCH__FAULT_MAP)) {
        errno = ENOMEM;
        return NULL;
    }
    int flags = MAP_SHARED | (at == NULL ? 0 : MAP_FIXED);
    void *start =
        mmap(at, size, writable ? PROT_READ | PROT_WRITE : PROT_READ, flags, fd, (off_t)offset);
    if (start == MAP_FAILED) return NULL;
    if (at == NULL) filch__fault_count_block(1);
    return start;
}

void *filch__shm_reserve(size_t size) {
    if (filch__fault(FILCH__FAULT_MAP)) return NULL;
    void *start = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED) return NULL;
    filch__fault_count_block(1);
    return start;
}
