/* error.h: how calls of the library report a failure. */
#ifndef FILCH_RUNTIME_ERROR_H
#define FILCH_RUNTIME_ERROR_H

#include <filch/error.h>
#include <stdbool.h>

/* Keeps the text as this thread's filch_last_error() and returns the code. */
int filch__error(int code, const char *format, ...) FILCH_PRINTF(2, 3);
/* The same for a text that lives for ever; costs a store. */
int filch__error_constant(int code, const char *text);
/* Is it one of the library's negative codes? */
bool filch__error_is_own(int code);

#endif
