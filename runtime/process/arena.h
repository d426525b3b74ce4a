/* process/arena.h: bytes that are too large for a ring, in shared segments that are used again.
 *
 * Flow     a writer puts (or lets a task write) bytes into a block, and names it by a reference in a message; the reader
 *          sees the bytes where they stand, and gives the block back when it needs them no more.
 * State    a segment is a file without a name, mapped by both; its descriptor goes once over the worker's socket,
 *          before the first message that names it, and is closed on both sides. All blocks of a
 *          segment have one size: a power of two from 8 KiB to 1 MiB, 4 MiB of them together; or one block, larger. The
 *          first page has bitmaps in which the reader sets the bit of a block that it gives back, and from which the writer takes them.
 *          Which blocks are in use is the writer's own memory; which segments there are and what is alive in them, each side's own.
 * Keeps    1. A block is used again only after it was returned. 2. Memory is reserved (posix_fallocate) before it is
 *          touched: where there is none the call fails, and nobody gets SIGBUS.
 *          3. The reader believes no reference: segment, offset, size are compared with what it has mapped; offset is a block's start.
 *          4. A segment whose writer is gone lives until its last block is given back.
 *          5. Idle memory is bounded: while more than that is idle, a block is given back without its pages, by who releases it: the
 *             writer may sleep. It has them made again before it uses the block. Address space stays until the end.
 * Memory   one writer (arena) per direction and life of a worker. In the program the writer is the desk; readers' give-backs may
 *          come from any thread (a future is released anywhere). */
#ifndef FILCH_PROCESS_ARENA_H
#define FILCH_PROCESS_ARENA_H

#include "process/message.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writer. */
struct filch__arena;
/* `socket`: where descriptors of new segments go (nonblocking). NULL: no memory. */
struct filch__arena *filch__arena_create(int socket);
/* Unmaps everything on this side. What readers hold stays with them. NULL: nothing. */
void filch__arena_destroy(struct filch__arena *arena);
/* A block of at least `size` > 0 bytes, at a multiple of 4096, with arbitrary contents if !zeroed. NULL: no
 * memory, no descriptor, or the socket is full (errno says which). *bytes is filled in. */
void *filch__arena_alloc(struct filch__arena *arena, size_t size, bool zeroed,
                         struct filch__bytes *bytes);
/* The block was not sent after all. */
void filch__arena_cancel(struct filch__arena *arena, const struct filch__bytes *bytes);

/* Reader. */
struct filch__arena_view;
/* `socket`: where descriptors of segments come from. */
struct filch__arena_view *filch__arena_view_create(int socket);
/* The writer is gone, or this side is: segments are unmapped when nothing in them is held any more. NULL: nothing. */
void filch__arena_view_destroy(struct filch__arena_view *view);
/* Where the bytes stand, for reading and writing, held until filch__held_release. NULL: the reference is not valid, or is held already
 * (errno EINVAL), or the segment cannot be mapped now (ENOMEM). One thread at a time per view. */
struct filch__held;
void *filch__arena_view_hold(struct filch__arena_view *view, const struct filch__bytes *bytes,
                             struct filch__held **held);
/* Any thread, also after the view was destroyed. NULL: nothing. */
void filch__held_release(struct filch__held *held);

#endif
