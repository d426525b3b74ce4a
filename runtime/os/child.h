/* os/child.h: what the zygote and its workers, which are its children, and their options, need of the kernel beside os/process.h. */
#ifndef FILCH_OS_CHILD_H
#define FILCH_OS_CHILD_H

#include <stdbool.h>
#include <stdint.h>

/* A descriptor that is readable after a child has ended, until filch__children_clear; or a negative errno. Blocks SIGCHLD, and gives
 * it its default action. For a process with one thread. */
int filch__children_watch(void);
void filch__children_clear(int fd);
/* In a child: what the above has blocked. */
void filch__children_forget(void);

/* Is there such a resource? */
bool filch__limit_is_known(int resource);
/* Is the descriptor open; can the directory be entered? */
bool filch__fd_is_open(int fd);
bool filch__directory_is_there(const char *path);
/* Another descriptor of the same file, above 2, closed on exec; -1 and errno. */
int filch__fd_duplicate(int fd);
/* The absolute path of a directory, in memory of its own (filch__free); NULL: there is none, or no memory. */
char *filch__directory_path(const char *path);
/* Sets a limit of this process (UINT64_MAX: none). Returns 0 or an errno. */
int filch__limit_set(int resource, uint64_t soft, uint64_t hard);
/* The descriptor is not passed on by exec. Returns 0 or an errno. */
int filch__fd_keep(int fd);
/* What the standard streams hold is written now, so that a child of fork() does not write it again. */
void filch__streams_flush(void);

/* Ends the process as exit() and as _exit() do. */
_Noreturn void filch__process_exit(int status);
_Noreturn void filch__process_exit_at_once(int status);

#endif
