/* filch/export.h: how declarations are exported, and attributes that compilers spell differently.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_EXPORT_H
#define FILCH_EXPORT_H

/* State words hold counters, flags and pointers in 64 bits, and change in one operation. */
#if !defined(__SIZEOF_POINTER__) || __SIZEOF_POINTER__ != 8
#error "filch needs a 64-bit machine: its state words and sizes are 64 bits wide"
#endif

#if defined(__cplusplus)
#define FILCH_BEGIN_DECLS extern "C" {
#define FILCH_END_DECLS }
#else
#define FILCH_BEGIN_DECLS
#define FILCH_END_DECLS
#endif

#if defined(__GNUC__)
#define FILCH_API __attribute__((visibility("default")))
/* A thread's own variable that costs two instructions, also in a shared library. */
#define FILCH_INITIAL_EXEC __attribute__((tls_model("initial-exec")))
#define FILCH_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#error "filch needs gcc or clang: it uses their atomic built-ins and attributes"
#endif

#endif
