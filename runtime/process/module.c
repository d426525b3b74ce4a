/* process/module.c: see module.h.
 *
 * Modules are what the dynamic linker lists (dl_iterate_phdr); the build id is the GNU note in their headers. */
#include "process/module.h"

#include "error.h"
#include "os/fault.h"
#include "process/note.h"
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Is all of that loaded, in one segment with those rights? */
static bool is_loaded(const struct dl_phdr_info *info, uint64_t offset, uint64_t size,
                      uint32_t rights) {
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & rights) == rights && offset >= p->p_vaddr &&
            size <= p->p_memsz && offset - p->p_vaddr <= p->p_memsz - size)
            return true;
    }
    return false;
}

static bool is_code(const struct dl_phdr_info *info, uint64_t offset) {
    return is_loaded(info, offset, 1, PF_X);
}

static struct filch__build_id id_of(const struct dl_phdr_info *info) {
    struct filch__build_id id = {0, {0}};
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_NOTE && is_loaded(info, p->p_vaddr, p->p_memsz, PF_R) &&
            filch__build_id_find((const char *)(info->dlpi_addr + p->p_vaddr), p->p_memsz,
                                 p->p_align, &id))
            break;
    }
    return id;
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

static char *resolved(const char *path) {
    return filch__fault(FILCH__FAULT_ALLOC) ? NULL : realpath(path, NULL);
}

/* The file that is mapped there; to be freed; NULL: not known. */
static char *mapped_path(uint64_t address) {
    char *line = NULL, *path = NULL;
    size_t room = 0;
    FILE *maps = filch__fault(FILCH__FAULT_FD) ? NULL : fopen("/proc/self/maps", "re");
    while (maps != NULL && path == NULL && getline(&line, &room, maps) > 0) {
        unsigned long long from, to;
        char *slash = strchr(line, '/');
        if (slash == NULL || sscanf(line, "%llx-%llx", &from, &to) != 2) continue;
        slash[strcspn(slash, "\n")] = 0;
        if (address >= from && address < to) path = resolved(slash);
    }
    if (maps != NULL) fclose(maps);
    free(line);
    return path;
}

/* The linker may know it by a relative path: from a directory that may no longer be the current one, and in which no worker need
 * stand. To be freed; NULL: not known. */
static char *absolute_path(const char *path, uint64_t address) {
    char *mapped = path[0] == '/' ? NULL : mapped_path(address);
    return mapped != NULL ? mapped : resolved(path);
}

static int name_if_here(struct dl_phdr_info *info, size_t size, void *argument) {
    struct search *s = argument;
    struct filch__function_name *name = s->name;
    uint64_t offset = s->address - info->dlpi_addr;
    (void)size;
    if (!is_code(info, offset)) return 0;
    struct filch__build_id id = id_of(info);
    bool program = is_program(info);
    snprintf(s->path, sizeof s->path, "%s", program ? "" : info->dlpi_name);
    s->outcome = id.size == 0 && !program ? NO_ID : FOUND;
    name->offset = offset;
    name->id_size = id.size;
    memcpy(name->id, id.bytes, sizeof name->id);
    name->path[0] = 0;
    if (program) return 1;
    char *absolute = absolute_path(info->dlpi_name, s->address);
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

/* By its build id, wherever it was loaded from, but rather from the same path: the same library may be there twice, with data of its
 * own each time. One of that path with another id is another build. */
static int find_here(struct dl_phdr_info *info, size_t size, void *argument) {
    struct lookup *l = argument;
    bool program = is_program(info), wanted = l->name->path[0] == 0;
    (void)size;
    if (program != wanted) return 0;
    struct filch__build_id id = id_of(info);
    bool same_path = program || strcmp(info->dlpi_name, l->name->path) == 0;
    if (!filch__build_id_is(&id, l->name)) {
        if (same_path && l->outcome == ABSENT) l->outcome = OTHER_BUILD;
        return 0;
    }
    l->outcome = is_code(info, l->name->offset) ? PRESENT : NO_CODE;
    l->address = info->dlpi_addr + l->name->offset;
    return same_path;
}

static int give_up(const struct filch__function_name *name, const char *why) {
    return filch__error(FILCH_EINVAL, "the worker cannot find the task's function in %s: %s",
                        name->path[0] == 0 ? "the program" : name->path, why);
}

int filch__function_find(const struct filch__function_name *name, void (**function)(void)) {
    struct lookup l = {.name = name};
    if (memchr(name->path, 0, sizeof name->path) == NULL)
        return filch__error_constant(FILCH_EINVAL, "the path of the task's library is not valid");
    if (name->id_size > MODULE_ID_LARGEST || (name->id_size == 0 && name->path[0] != 0))
        return give_up(name, "its build id is not valid");
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
