/* os/socket.h: packets between processes, with file descriptors. */
#ifndef FILCH_OS_SOCKET_H
#define FILCH_OS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

/* Two ends (SOCK_SEQPACKET), closed on exec, nonblocking. Returns 0 or an errno. */
int filch__socket_pair(int ends[2]);
/* Sends one packet with n descriptors (at most 8), never blocking, never raising SIGPIPE. Returns 0 or an errno. */
int filch__socket_send(int fd, const void *packet, size_t size, const int *fds, int n);
/* Of such an errno: can it be sent later? The socket is full, or the kernel has no memory for the packet now. */
bool filch__socket_is_busy(int error);
/* Receives one packet. Returns its size, also if that is more than what there is room for and the rest is lost, 0 at the end (the other side is closed), or a negative errno (-EAGAIN: none is there). *n: room in fds on
 * entry, how many came on return; they are closed on exec, and those beyond the room are closed. */
long filch__socket_receive(int fd, void *packet, size_t size, int *fds, int *n);
/* For each new descriptor (or -1) of the library: one that is below 3, because the program has closed a standard stream, is moved: what is
 * printed must not get into it. Returns the descriptor; -1 and errno if there is none above: it is closed then. */
int filch__fd_raise(int fd);
/* Closes a descriptor that is not -1; keeps errno. */
void filch__fd_close(int fd);

#endif
