/* os/shm.h: memory that processes share: files without a name. */
#ifndef FILCH_OS_SHM_H
#define FILCH_OS_SHM_H

#include <stdbool.h>
#include <stddef.h>

/* A file of that many bytes (a multiple of the page), all reserved, so that no access fails later; its size cannot be changed. Returns 0 or an errno; *fd is closed on exec. */
int filch__shm_create(const char *name, size_t size, int *fd);
/* Its size in bytes; 0 if it cannot be told. */
size_t filch__shm_size(int fd);
/* Maps size bytes from offset; `at` not NULL: there, over what is mapped. Returns NULL if that fails (errno says why). */
void *filch__shm_map(int fd, size_t offset, size_t size, bool writable, void *at);
/* Address space of that many bytes with nothing in it, for filch__shm_map with `at`; NULL: none. Given back with filch__unmap. */
void *filch__shm_reserve(size_t size);

#endif
