/* process/post.h: a task into a worker's ring; its ticket. At the desk. */
#ifndef FILCH_PROCESS_POST_H
#define FILCH_PROCESS_POST_H

#include "process/pool.h"

/* No codes of the library. FULL: there is no room at this worker now. GONE: it was cancelled just now. */
enum { POST_FULL = 1, POST_GONE = 2 };

/* What came of a post. */
struct filch__posted {
    int code; /* 0: the caller's reference is the ticket's; POST_FULL, POST_GONE; or why it cannot be posted anywhere */
    char *text; /* owned; or NULL */
};

/* T2 to T4, but for the publishing. The worker has a free ticket. */
struct filch__posted filch__post(struct filch__processes *p, struct filch__seat *s,
                                 filch_future *f);
/* The same with flags, of a child with that number. */
struct filch__posted filch__post_with(struct filch__processes *p, struct filch__seat *s,
                                      filch_future *f, uint32_t flags, uint32_t child);

#endif
