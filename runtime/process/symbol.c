/* process/symbol.c: the name of a function for people, from the symbol table of its module's file.
 *
 * dladdr knows exported functions only; most task functions are static. Read on the cold path of an error text. The file may be
 * another one by now, or be cut while it is read: it is read piece by piece, and not mapped, nothing in it is believed, and
 * it has to have the build id of what is loaded. */
#include "process/module.h"

#include "os/fault.h"
#include "os/memory.h"
#include "process/note.h"
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Symbols that are read at once: 12 KiB. Bytes of a segment of notes that are looked at. */
enum { SYMBOLS = 512, NOTES = 4096 };

struct lookup {
    int fd;
    const struct filch__function_name *name;
    ElfW(Ehdr) head;
    char *text;
    size_t size;
    union {
        ElfW(Sym) symbols[SYMBOLS];
        char notes[NOTES];
    } part;
};

/* False: so much is not there. */
static bool read_at(int fd, uint64_t offset, void *bytes, size_t size) {
    for (size_t done = 0; done < size;) {
        if (offset > INT64_MAX - size) return false;
        ssize_t n = pread(fd, (char *)bytes + done, size - done, (off_t)(offset + done));
        if (n == 0 || (n < 0 && errno != EINTR)) return false;
        if (n > 0) done += (size_t)n;
    }
    return true;
}

/* The i-th header of the table at `table`. */
static bool read_header(struct lookup *l, uint64_t table, uint64_t i, void *header, size_t size) {
    uint64_t offset;
    return !__builtin_add_overflow(table, i * size, &offset) &&
           read_at(l->fd, offset, header, size);
}

static bool is_its_file(struct lookup *l) {
    struct filch__build_id id = {0, {0}};
    ElfW(Phdr) segment;
    const ElfW(Ehdr) *head = &l->head;
    if (!read_at(l->fd, 0, &l->head, sizeof l->head) ||
        memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        head->e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
        head->e_shentsize != sizeof(ElfW(Shdr)) || head->e_phentsize != sizeof segment)
        return false;
    for (unsigned i = 0; i < head->e_phnum; i++) {
        if (!read_header(l, head->e_phoff, i, &segment, sizeof segment)) return false;
        if (segment.p_type != PT_NOTE || segment.p_filesz > NOTES ||
            !read_at(l->fd, segment.p_offset, l->part.notes, segment.p_filesz))
            continue;
        if (filch__build_id_find(l->part.notes, segment.p_filesz, segment.p_align, &id)) break;
    }
    return filch__build_id_is(&id, l->name);
}

/* At most what there is room for, and of the file. */
static bool copy_name(struct lookup *l, const ElfW(Shdr) * names, uint64_t index) {
    size_t used = 0;
    uint64_t offset;
    if (index >= names->sh_size || __builtin_add_overflow(names->sh_offset, index, &offset))
        return false;
    while (used + 1 < l->size && index + used < names->sh_size &&
           read_at(l->fd, offset + used, &l->text[used], 1) && l->text[used] != 0)
        used++;
    l->text[used] = 0;
    return used > 0;
}

static bool covers(const ElfW(Sym) * s, uint64_t offset) {
    return (s->st_info & 15) == STT_FUNC && s->st_shndx != SHN_UNDEF && offset >= s->st_value &&
           offset - s->st_value < (s->st_size == 0 ? 1 : s->st_size);
}

/* The symbol that covers the function, of one table. */
static bool search_table(struct lookup *l, const ElfW(Shdr) * table) {
    ElfW(Shdr) names;
    if (table->sh_link >= l->head.e_shnum || table->sh_entsize != sizeof(ElfW(Sym)) ||
        !read_header(l, l->head.e_shoff, table->sh_link, &names, sizeof names))
        return false;
    uint64_t count = table->sh_size / sizeof(ElfW(Sym));
    for (uint64_t first = 0; first < count; first += SYMBOLS) {
        uint64_t n = count - first < SYMBOLS ? count - first : SYMBOLS, offset;
        if (__builtin_add_overflow(table->sh_offset, first * sizeof(ElfW(Sym)), &offset) ||
            !read_at(l->fd, offset, l->part.symbols, n * sizeof(ElfW(Sym))))
            return false;
        for (uint64_t i = 0; i < n; i++)
            if (covers(&l->part.symbols[i], l->name->offset) &&
                copy_name(l, &names, l->part.symbols[i].st_name))
                return true;
    }
    return false;
}

static bool search_file(struct lookup *l) {
    ElfW(Shdr) section;
    if (!is_its_file(l)) return false;
    for (unsigned i = 0; i < l->head.e_shnum; i++) {
        if (!read_header(l, l->head.e_shoff, i, &section, sizeof section)) return false;
        if ((section.sh_type == SHT_SYMTAB || section.sh_type == SHT_DYNSYM) &&
            search_table(l, &section))
            return true;
    }
    return false;
}

static bool search_path(const struct filch__function_name *name, char *text, size_t size) {
    struct stat status;
    struct lookup *l = size > 0 ? filch__alloc(sizeof *l) : NULL;
    if (l == NULL) return false;
    /* A path may by now be that of a pipe, which nobody has opened for writing. */
    int fd = filch__fault(FILCH__FAULT_FD)
                 ? -1
                 : open(name->path[0] == 0 ? "/proc/self/exe" : name->path,
                        O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    *l = (struct lookup){.fd = fd, .name = name, .text = text, .size = size};
    bool found = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && search_file(l);
    if (fd >= 0) close(fd);
    filch__free(l);
    return found;
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

void filch__function_describe(void (*function)(void), char *text, size_t size) {
    struct filch__function_name *name = filch__alloc(sizeof *name);
    if (name == NULL || filch__function_name(function, name) != 0) {
        snprintf(text, size, "%p", (void *)(uintptr_t)function);
    } else if (!search_path(name, text, size)) {
        Dl_info info;
        if (dladdr((void *)(uintptr_t)function, &info) != 0 && info.dli_sname != NULL &&
            info.dli_saddr == (void *)(uintptr_t)function)
            snprintf(text, size, "%s", info.dli_sname);
        else
            snprintf(text, size, "%s+0x%llx",
                     name->path[0] == 0 ? "program" : last_part(name->path),
                     (unsigned long long)name->offset);
    }
    filch__free(name);
}
