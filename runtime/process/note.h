/* process/note.h: the build id, which the linker leaves as a GNU note in the file and in memory. */
#ifndef FILCH_PROCESS_NOTE_H
#define FILCH_PROCESS_NOTE_H

#include "process/module.h"
#include <elf.h>
#include <link.h>
#include <string.h>

struct filch__build_id {
    uint32_t size; /* 0: there is none */
    uint8_t bytes[MODULE_ID_LARGEST];
};

static inline bool filch__build_id_is(const struct filch__build_id *id,
                                      const struct filch__function_name *name) {
    return id->size == name->id_size && memcmp(id->bytes, name->id, id->size) == 0;
}

/* The build id among `size` bytes of notes, at multiples of `alignment` (of the segment; 8, or else 4). False: none is there. Nothing
 * in the notes is believed. */
static inline bool filch__build_id_find(const char *notes, size_t size, size_t alignment,
                                        struct filch__build_id *id) {
    size_t mask = (alignment == 8 ? 8 : 4) - 1;
    ElfW(Nhdr) note;
    while (size >= sizeof note) {
        memcpy(&note, notes, sizeof note);
        size_t content = (sizeof note + note.n_namesz + mask) & ~mask,
               end = content + note.n_descsz;
        if (end > size) return false;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && note.n_descsz != 0 &&
            note.n_descsz <= MODULE_ID_LARGEST && memcmp(notes + sizeof note, "GNU", 4) == 0) {
            id->size = note.n_descsz;
            memcpy(id->bytes, notes + content, note.n_descsz);
            return true;
        }
        end = (end + mask) & ~mask;
        if (end > size) return false;
        notes += end;
        size -= end;
    }
    return false;
}

#endif
