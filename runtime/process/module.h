/* process/module.h: the name of a function that every process of the same program understands.
 *
 * A function is named by its module (build id, and the path from which it was loaded) and its offset there, so that
 * static functions work, without registration, under address-space randomisation. */
#ifndef FILCH_PROCESS_MODULE_H
#define FILCH_PROCESS_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MODULE_ID_LARGEST = 32, MODULE_PATH_LARGEST = 4096 };

struct filch__function_name {
    uint64_t offset; /* from the module's load address */
    uint32_t
        id_size; /* of the build id; 0: the module has none, which only the program itself may */
    uint8_t id[MODULE_ID_LARGEST];
    char path[MODULE_PATH_LARGEST]; /* absolute; "" for the program itself */
};

/* The name of the function at that address. 0, or FILCH_EINVAL with its text: no module has executable code there, or it is
 * a library without build id (the text says how to link one), or its path is too long. */
int filch__function_name(void (*function)(void), struct filch__function_name *name);

/* The address of that function here. A library that is not there is loaded from its path (dlopen, RTLD_NOW | RTLD_LOCAL), once. 0, or
 * FILCH_EINVAL with its text: cannot be loaded, is of another build, or has no executable code there. */
int filch__function_find(const struct filch__function_name *name, void (**function)(void));

/* What to call it in a text for people: the symbol, also a static one (from the symbol table of the module's file), else "program+0x1234" or
 * "libplugin.so+0x1234". Writes at most size bytes with the final 0. */
void filch__function_describe(void (*function)(void), char *text, size_t size);

#endif
