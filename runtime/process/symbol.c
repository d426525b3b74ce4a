/* process/symbol.c: the name of a function for people, from the symbol table of its module's file.
 *
 * dladdr knows exported functions only; most task functions are static. Read on the cold path of an error text. Every
 * offset in the file is checked: it may be another one by now. */
#include "process/module.h"

#include "os/memory.h"
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
    const char *bytes;
    size_t size;
};

/* `count` things of `each` bytes at `offset`; NULL: not within the file. */
static const void *part(const struct file *f, uint64_t offset, uint64_t count, uint64_t each) {
    uint64_t bytes, end;
    if (__builtin_mul_overflow(count, each, &bytes) ||
        __builtin_add_overflow(offset, bytes, &end) || end > f->size ||
        offset % sizeof(ElfW(Addr)) != 0)
        return NULL;
    return f->bytes + offset;
}

/* The symbol that covers the offset, of one table. */
static bool search_table(const struct file *f, const ElfW(Shdr) * sections, unsigned count,
                         const ElfW(Shdr) * table, uint64_t offset, char *text, size_t size) {
    if (table->sh_link >= count || table->sh_entsize != sizeof(ElfW(Sym))) return false;
    const ElfW(Shdr) *names = &sections[table->sh_link];
    uint64_t n = table->sh_size / sizeof(ElfW(Sym));
    const ElfW(Sym) *symbols = part(f, table->sh_offset, n, sizeof(ElfW(Sym)));
    if (symbols == NULL || names->sh_offset > f->size ||
        names->sh_size > f->size - names->sh_offset)
        return false;
    const char *strings = f->bytes + names->sh_offset;
    for (uint64_t i = 0; i < n; i++) {
        const ElfW(Sym) *s = &symbols[i];
        if ((s->st_info & 15) != STT_FUNC || s->st_shndx == SHN_UNDEF) continue;
        if (offset < s->st_value || offset - s->st_value >= (s->st_size == 0 ? 1 : s->st_size))
            continue;
        if (s->st_name >= names->sh_size) continue;
        snprintf(text, size, "%.*s", (int)(names->sh_size - s->st_name), strings + s->st_name);
        return text[0] != 0;
    }
    return false;
}

static bool search_file(const struct file *f, uint64_t offset, char *text, size_t size) {
    const ElfW(Ehdr) *head = part(f, 0, 1, sizeof(ElfW(Ehdr)));
    if (head == NULL || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        head->e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
        head->e_shentsize != sizeof(ElfW(Shdr)))
        return false;
    unsigned count = head->e_shnum;
    const ElfW(Shdr) *sections = part(f, head->e_shoff, count, sizeof(ElfW(Shdr)));
    if (sections == NULL) return false;
    for (unsigned i = 0; i < count; i++)
        if ((sections[i].sh_type == SHT_SYMTAB || sections[i].sh_type == SHT_DYNSYM) &&
            search_table(f, sections, count, &sections[i], offset, text, size))
            return true;
    return false;
}

static bool search_path(const char *path, uint64_t offset, char *text, size_t size) {
    struct stat status;
    bool found = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
        struct file f = {NULL, (size_t)status.st_size};
        f.bytes = mmap(NULL, f.size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (f.bytes != MAP_FAILED) {
            found = search_file(&f, offset, text, size);
            munmap((void *)(uintptr_t)f.bytes, f.size);
        }
    }
    close(fd);
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
    } else if (!search_path(name->path[0] == 0 ? "/proc/self/exe" : name->path, name->offset, text,
                            size)) {
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
