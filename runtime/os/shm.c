/* os/shm.c: memfd_create behind the fault seam.
 *
 * Reserved with posix_fallocate: ftruncate succeeds where there is no memory, and the first write is a SIGBUS. */
#include "os/shm.h"

#include "os/fault.h"
#include "os/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int filch__shm_create(const char *name, size_t size, int *fd) {
    if (filch__fault(FILCH__FAULT_FD)) return EMFILE;
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
