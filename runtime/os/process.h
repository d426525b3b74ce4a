/* os/process.h: processes: starting the program once more, watching, signalling and ending what was started. */
#ifndef FILCH_OS_PROCESS_H
#define FILCH_OS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct filch__start {
    const char *path; /* of the program; NULL: that of this process, /proc/self/exe */
    char *const *argv, *const *envp;
    const char *directory; /* NULL: the current one */
    const int *
        fds; /* become 0, 1, 2, 3, ...; every other descriptor is closed; -1: /dev/null. At most 64 */
    int fd_count;
};

/* Starts a program as a process that no wait() of this one sees, and whose end raises no signal here: see
 * process/README.md, Death. In a session of its own, with default signal handling and an empty mask. *watch: as of
 * filch__process_watch, and certainly this process's, whose pid may be another one's as soon as it has ended. Returns 0 or an errno
 * (ENOENT also: there is no /proc, and the path of this program is not known). */
int filch__process_start_apart(const struct filch__start *start, int *pid, int *watch);

/* A descriptor that becomes readable when the process ends; -1 and errno. */
int filch__process_watch(int pid);

/* How a child ended, as waitid has it. */
struct filch__process_end {
    int code;   /* CLD_EXITED, CLD_KILLED, CLD_DUMPED */
    int number; /* exit status, or signal */
};
/* Takes the end of a child, if it has ended: true. */
bool filch__process_reap(int pid, struct filch__process_end *end);

/* Forks the calling, single-threaded process. Returns 0 in the child, the child's pid, or a negative errno. */
int filch__process_fork(void);
/* In the child: SIGKILL comes when the parent `parent` ends; if that has ended already, the process ends at once. */
void filch__process_die_with(int parent);
/* A child that was not reaped. */
void filch__process_kill(int pid, int signal);
/* The process of a descriptor of filch__process_watch, whose pid may be another one's by now. */
void filch__process_kill_watched(int watch, int signal);
int filch__process_id(void);
/* Of the parent; another one's once that has ended. */
int filch__process_parent(void);

/* "was killed by signal 11 (Segmentation fault)", "ended with exit code 3", as text. */
void filch__process_end_describe(const struct filch__process_end *end, char *text, size_t size);

/* Resident memory of this process, bytes; 0 if it cannot be told. About 5 us. */
size_t filch__process_resident(void);

#endif
