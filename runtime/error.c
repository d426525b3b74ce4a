/* error.c: names and texts of codes; the thread's last error; the version. */
#include "error.h"

#include "self.h"
#include <filch/version.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

__thread struct filch__thread filch__thread;

const char *filch_error_name(int code) {
    switch (code) {
    case FILCH_OK: return "FILCH_OK";
#define NAME_CASE(name, value, text)                                                               \
    case FILCH_##name: return "FILCH_" #name;
        FILCH_ERRORS(NAME_CASE)
#undef NAME_CASE
    default: return code > 0 ? "task code" : "unknown";
    }
}

const char *filch_error_text(int code) {
    switch (code) {
    case FILCH_OK: return "success";
#define TEXT_CASE(name, value, text)                                                               \
    case FILCH_##name: return text;
        FILCH_ERRORS(TEXT_CASE)
#undef TEXT_CASE
    default: return code > 0 ? "the task failed with a code of its own" : "not a code of filch";
    }
}

bool filch__error_is_own(int code) {
    switch (code) {
#define OWN_CASE(name, value, text) case FILCH_##name:
        FILCH_ERRORS(OWN_CASE)
#undef OWN_CASE
        return true;
    default: return false;
    }
}

const char *filch_last_error(void) {
    return filch__thread.error == NULL ? "" : filch__thread.error;
}

int filch__error_constant(int code, const char *text) {
    filch__thread.error = text;
    return code;
}

int filch__error(int code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(filch__thread.buffer, sizeof filch__thread.buffer, format, arguments);
    va_end(arguments);
    return filch__error_constant(code, filch__thread.buffer);
}

int filch_version(void) {
    return FILCH_VERSION;
}

#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *filch_version_text(void) {
    return VERSION_TEXT(FILCH_VERSION_MAJOR, FILCH_VERSION_MINOR, FILCH_VERSION_PATCH);
}
