/* process/zygote.h: what the rest of the library must know of the processes that it has started. */
#ifndef FILCH_PROCESS_ZYGOTE_H
#define FILCH_PROCESS_ZYGOTE_H

#include <stdbool.h>

/* filch_main was called in this process, which is a program: it may have executors on processes. */
extern bool filch__main_called;
/* This process is a zygote, a worker, or a child of one that fork() has made: it may have none. */
extern bool filch__is_inside;

#endif
