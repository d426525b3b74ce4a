/* filch/version.h: the version of the headers, and of the library that is linked.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_VERSION_H
#define FILCH_VERSION_H

#include <filch/export.h>

/* The one place where the version stands; the build reads it from here. */
#define FILCH_VERSION_MAJOR 0
#define FILCH_VERSION_MINOR 1
#define FILCH_VERSION_PATCH 0

/* One number to compare: 0x010203 is 1.2.3. */
#define FILCH_VERSION (FILCH_VERSION_MAJOR << 16 | FILCH_VERSION_MINOR << 8 | FILCH_VERSION_PATCH)

FILCH_BEGIN_DECLS

/* The version of the library that runs.
 *
 * Returns  it, in the form of FILCH_VERSION, which is the version of the headers.
 * Threads: any. Progress: wait-free. Since: 0.1. */
FILCH_API int filch_version(void);

/* The version of the library that runs, as text.
 *
 * Returns  it, in the form "0.1.0".
 * Ownership: the library's, valid for ever. Threads: any. Progress: wait-free. Since: 0.1. */
FILCH_API const char *filch_version_text(void);

FILCH_END_DECLS

#endif
