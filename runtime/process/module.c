/* process/module.c: see module.h.
 *
 * Modules are what the dynamic linker lists (dl_iterate_phdr); the build id is the GNU note in their headers. */
#include "process/module.h"

#include "error.h"
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct id {
    uint32_t size;
    uint8_t bytes[MODULE_ID_LARGEST];
};

static size_t padded(size_t size) {
    return (size + 3) & ~(size_t)3;
}

/* The build id in one segment of notes. */
static bool find_id(const char *notes, size_t size, struct id *id) {
    while (size >= sizeof(ElfW(Nhdr))) {
        const ElfW(Nhdr) *note = (const void *)notes;
        size_t name = padded(note->n_namesz), bytes = padded(note->n_descsz);
        size_t whole = sizeof *note + name + bytes;
        if (whole > size) return false;
        const char *text = notes + sizeof *note;
        if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && memcmp(text, "GNU", 4) == 0 &&
            note->n_descsz <= MODULE_ID_LARGEST) {
            id->size = note->n_descsz;
            memcpy(id->bytes, text + name, note->n_descsz);
            return true;
        }
        notes += whole;
        size -= whole;
    }
    return false;
}

static struct id id_of(const struct dl_phdr_info *info) {
    struct id id = {0, {0}};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_NOTE &&
            find_id((const char *)(info->dlpi_addr + p->p_vaddr), p->p_memsz, &id))
            break;
    }
    return id;
}

static bool is_code(const struct dl_phdr_info *info, uint64_t offset) {
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_X) != 0 && offset >= p->p_vaddr &&
            offset - p->p_vaddr < p->p_memsz)
            return true;
    }
    return false;
}

/* The program itself comes first, and its name is empty; of the others, their path. */
static bool is_program(const struct dl_phdr_info *info) {
    return info->dlpi_name == NULL || info->dlpi_name[0] == 0;
}

/* Naming ------------------------------------------------------------------------------------------ */

struct search {
    uint64_t address;
    struct filch__function_name *name;
    enum { NOT_FOUND, FOUND, NO_ID, PATH_TOO_LONG } outcome;
    char path[PATH_MAX];
};

static int name_if_here(struct dl_phdr_info *info, size_t size, void *argument) {
    struct search *s = argument;
    struct filch__function_name *name = s->name;
    uint64_t offset = s->address - info->dlpi_addr;
    (void)size;
    if (!is_code(info, offset)) return 0;
    struct id id = id_of(info);
    bool program = is_program(info);
    snprintf(s->path, sizeof s->path, "%s", program ? "" : info->dlpi_name);
    s->outcome = id.size == 0 && !program ? NO_ID : FOUND;
    name->offset = offset;
    name->id_size = id.size;
    memcpy(name->id, id.bytes, sizeof name->id);
    name->path[0] = 0;
    if (program) return 1;
    /* The linker may know it by a relative path, and the worker may stand elsewhere. */
    char *absolute = realpath(info->dlpi_name, NULL);
    const char *path = absolute != NULL ? absolute : info->dlpi_name;
    if (strlen(path) >= sizeof name->path)
        s->outcome = PATH_TOO_LONG;
    else
        strcpy(name->path, path);
    free(absolute);
    return 1;
}

int filch__function_name(void (*function)(void), struct filch__function_name *name) {
    struct search s = {.address = (uint64_t)(uintptr_t)function, .name = name};
    dl_iterate_phdr(name_if_here, &s);
    switch (s.outcome) {
    case FOUND: return 0;
    case NO_ID:
        return filch__error(FILCH_EINVAL,
                            "the function is in %s, which has no build id: link it with "
                            "-Wl,--build-id",
                            s.path);
    case PATH_TOO_LONG:
        return filch__error(FILCH_EINVAL, "the path of the function's library is too long: %s",
                            s.path);
    case NOT_FOUND: break;
    }
    return filch__error(FILCH_EINVAL,
                        "the function at %p is in no module: a worker process cannot find it",
                        (void *)(uintptr_t)s.address);
}

/* Finding ----------------------------------------------------------------------------------------- */

struct lookup {
    const struct filch__function_name *name;
    uint64_t address;
    enum { ABSENT, PRESENT, OTHER_BUILD, NO_CODE } outcome;
};

static bool is_same(const struct id *id, const struct filch__function_name *name) {
    return id->size == name->id_size && memcmp(id->bytes, name->id, id->size) == 0;
}

/* By its build id, wherever it was loaded from; one of the same path with another id is another build. */
static int find_here(struct dl_phdr_info *info, size_t size, void *argument) {
    struct lookup *l = argument;
    struct id id = id_of(info);
    bool program = is_program(info), wanted = l->name->path[0] == 0;
    (void)size;
    if (program != wanted) return 0;
    if (!is_same(&id, l->name)) {
        if (program || strcmp(info->dlpi_name, l->name->path) == 0) l->outcome = OTHER_BUILD;
        return 0;
    }
    l->outcome = is_code(info, l->name->offset) ? PRESENT : NO_CODE;
    l->address = info->dlpi_addr + l->name->offset;
    return 1;
}

static int give_up(const struct filch__function_name *name, const char *why) {
    return filch__error(FILCH_EINVAL, "the worker cannot find the task's function in %s: %s",
                        name->path[0] == 0 ? "the program" : name->path, why);
}

int filch__function_find(const struct filch__function_name *name, void (**function)(void)) {
    struct lookup l = {.name = name};
    if (name->id_size > MODULE_ID_LARGEST) return give_up(name, "its build id is not valid");
    dl_iterate_phdr(find_here, &l);
    if (l.outcome == ABSENT && name->path[0] != 0) {
        if (dlopen(name->path, RTLD_NOW | RTLD_LOCAL) == NULL) {
            const char *why = dlerror();
            return give_up(name, why != NULL ? why : "it cannot be loaded");
        }
        dl_iterate_phdr(find_here, &l);
    }
    switch (l.outcome) {
    case PRESENT: *function = (void (*)(void))(uintptr_t)l.address; return 0;
    case OTHER_BUILD: return give_up(name, "it is of another build");
    case NO_CODE: return give_up(name, "there is no code at its offset");
    case ABSENT: break;
    }
    /* Loaded, but under another path and with another id. */
    return give_up(name, "it is of another build");
}
