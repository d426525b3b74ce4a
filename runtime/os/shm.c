/* os/shm.c: memfd_create behind the fault seam.
 *
 * Reserved with posix_fallocate: ftruncate succeeds where there is no memory, and the first write is a SIGBUS. */
#include "os/shm.h"

#include "os/fault.h"
#include "os/memory.h"
#include "os/socket.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

/* Bytes from which on the kernel is asked first whether there is so much memory; that takes some 30 us. */
#define LARGE ((size_t)16 << 20)

/* Bytes that can be had without swapping. */
static uint64_t available(void) {
    char line[128];
    unsigned long kib = 0;
    FILE *file = filch__fault(FILCH__FAULT_FD) ? NULL : fopen("/proc/meminfo", "re");
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

/* Newer than the headers of some libc. Some systems refuse files that can be executed. */
#if !defined(MFD_NOEXEC_SEAL)
#define MFD_NOEXEC_SEAL 8U
#endif

static int create_file(const char *name) {
    int file = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (file < 0 && errno == EINVAL) /* before Linux 6.3 */
        file = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return filch__fd_raise(file);
}

/* All of it, and its size stays: nobody else who has the file can make an access fail. With signals blocked, because older kernels give
 * up when one comes, and a timer may be quicker than a large file each time. The one for a file beyond the limit of its
 * size is taken back. */
static int reserve(int file, size_t size) {
    static const struct timespec now = {0, 0};
    sigset_t all, before, too_large;
    sigfillset(&all);
    sigemptyset(&too_large);
    sigaddset(&too_large, SIGXFSZ);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error;
    do {
        error = posix_fallocate(file, 0, (off_t)size);
    } while (error == EINTR);
    if (error == EFBIG) sigtimedwait(&too_large, NULL, &now);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) return error;
    return fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0 ? 0 : errno;
}

int filch__shm_create(const char *name, size_t size, int *fd) {
    if (filch__fault(FILCH__FAULT_FD)) return EMFILE;
    if (is_too_much(size)) return ENOMEM;
    int file = create_file(name);
    if (file < 0) return errno;
    int error = filch__fault(FILCH__FAULT_MAP) ? ENOSPC : reserve(file, size);
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
