/* module_test.c: names of functions that every process understands (runtime/process/module.c), and what they are called in
 * texts (symbol.c).
 *
 * With "mode-find" this program, before main begins, reads names from descriptor 0, calls the functions with 6, and writes
 * what came of it to descriptor 1: a fresh process, in which nothing is loaded yet. The plugins stand beside this program.
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "error.h"
#include "os/process.h"
#include "process/module.h"
#include "process/note.h"
#include "support.h"
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <filch/error.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <link.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(module, .timeout = 30);
TestSuite(describe, .timeout = 30);

typedef void function(void);
typedef int task(void *arg, void *result);

static int times_seven(void *arg, void *result) {
    *(int *)result = 7 * *(int *)arg;
    return 0;
}

/* The mode -------------------------------------------------------------------------------------- */

struct reply {
    int code, value;
    char text[400];
};

static struct reply call_by_name(const struct filch__function_name *name) {
    struct reply r = {.value = -1};
    int six = 6;
    function *found;
    r.code = filch__function_find(name, &found);
    if (r.code == 0)
        ((task *)found)(&six, &r.value);
    else
        snprintf(r.text, sizeof r.text, "%s", filch_last_error());
    return r;
}

/* The C library gives a constructor what it gives main. */
__attribute__((constructor)) static void play_mode(int argc, char **argv) {
    static struct filch__function_name name;
    if (argc < 2 || strcmp(argv[1], "mode-find") != 0) return;
    while (read(0, &name, sizeof name) == (ssize_t)sizeof name) {
        struct reply r = call_by_name(&name);
        if (write(1, &r, sizeof r) != (ssize_t)sizeof r) _exit(1);
    }
    _exit(0);
}

/* A fresh process: in / with another environment, so that no relative path helps. */
struct fresh {
    int names, replies;
};

static struct fresh start_fresh(void) {
    extern char **environ;
    int to[2], from[2], pid, watch;
    cr_assert_eq(pipe2(to, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(from, O_CLOEXEC), 0);
    int fds[] = {to[0], from[1], 2};
    struct filch__start start = {.argv = (char *[]){"finder", "mode-find", NULL},
                                 .envp = environ,
                                 .directory = "/",
                                 .fds = fds,
                                 .fd_count = 3};
    cr_assert_eq(filch__process_start_apart(&start, &pid, &watch), 0);
    close(watch);
    close(to[0]);
    close(from[1]);
    return (struct fresh){to[1], from[0]};
}
static struct reply ask(const struct fresh *f, const struct filch__function_name *name) {
    struct reply r = {.code = -7};
    cr_assert_eq(write(f->names, name, sizeof *name), (ssize_t)sizeof *name);
    cr_assert_eq(read(f->replies, &r, sizeof r), (ssize_t)sizeof r);
    return r;
}
static void end_fresh(const struct fresh *f) {
    close(f->names);
    close(f->replies);
}
static struct reply ask_fresh(const struct filch__function_name *name) {
    struct fresh f = start_fresh();
    struct reply r = ask(&f, name);
    end_fresh(&f);
    return r;
}

/* Files ----------------------------------------------------------------------------------------- */

static const char *path_of(const char *name) {
    static char path[PATH_MAX + 64];
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);
    cr_assert_gt(n, 0);
    path[n] = 0;
    snprintf(strrchr(path, '/'), 64, "/%s", name);
    return path;
}

struct bytes {
    char *start;
    size_t size;
};
static struct bytes read_file(const char *path) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert_geq(fd, 0, "%s", path);
    cr_assert_eq(fstat(fd, &status), 0);
    struct bytes b = {malloc((size_t)status.st_size), (size_t)status.st_size};
    cr_assert_eq(read(fd, b.start, b.size), (ssize_t)b.size);
    close(fd);
    return b;
}
/* Another file of that name; who has mapped the old one keeps it. */
static void write_file(const char *path, const char *start, size_t size) {
    char new[PATH_MAX + 8];
    snprintf(new, sizeof new, "%s.new", path);
    int fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    cr_assert_geq(fd, 0, "%s", new);
    cr_assert_eq(write(fd, start, size), (ssize_t)size);
    close(fd);
    cr_assert_eq(rename(new, path), 0);
}

/* A directory of its own, with a copy of a plugin. */
struct copy {
    char directory[40], path[60];
};
static struct copy copy_plugin(const char *name) {
    struct copy c = {.directory = "/tmp/filch-module-XXXXXX"};
    cr_assert_not_null(mkdtemp(c.directory));
    snprintf(c.path, sizeof c.path, "%s/plugin.so", c.directory);
    struct bytes b = read_file(path_of(name));
    write_file(c.path, b.start, b.size);
    free(b.start);
    return c;
}
static void copy_end(const struct copy *c) {
    unlink(c->path);
    cr_assert_eq(rmdir(c->directory), 0);
}

static void *open_plugin(const char *path) {
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    cr_assert_not_null(plugin, "%s", dlerror());
    return plugin;
}
/* Of the plugin, a static function. */
static function *static_of(void *plugin) {
    task *(*plugin_task)(int which);
    *(void **)&plugin_task = dlsym(plugin, "plugin_task");
    cr_assert_not_null(plugin_task, "%s", dlerror());
    return (function *)plugin_task(0);
}
static function *exported_of(void *plugin) {
    function *exported;
    *(void **)&exported = dlsym(plugin, "plugin_task");
    cr_assert_not_null(exported);
    return exported;
}

/* Names ----------------------------------------------------------------------------------------- */

static struct filch__function_name name_of(function *f) {
    struct filch__function_name name;
    memset(&name, 'x', sizeof name);
    cr_assert_eq(filch__function_name(f, &name), 0, "%s", filch_last_error());
    return name;
}
static void check_found(const struct filch__function_name *name, function *expected) {
    function *found = NULL;
    cr_assert_eq(filch__function_find(name, &found), 0, "%s", filch_last_error());
    cr_assert_eq((uintptr_t)found, (uintptr_t)expected);
}
static void check_text(const char *text, const char *part) {
    cr_assert_not_null(strstr(text, part), "\"%s\" is not in \"%s\"", part, text);
}
static void check_not_found(const struct filch__function_name *name, const char *why) {
    function *found = NULL;
    cr_assert_eq(filch__function_find(name, &found), FILCH_EINVAL);
    check_text(filch_last_error(), why);
}

Test(module, a_static_function_of_the_program) {
    struct filch__function_name name = name_of((function *)times_seven);
    cr_assert_str_eq(name.path, "");
    cr_assert_leq(name.id_size, MODULE_ID_LARGEST);
    check_found(&name, (function *)times_seven);
    check_found(&name, (function *)times_seven);
    struct reply r = ask_fresh(&name);
    cr_assert_eq(r.code, 0, "%s", r.text);
    cr_assert_eq(r.value, 42);
}

Test(module, functions_have_names_of_their_own) {
    struct filch__function_name a = name_of((function *)times_seven);
    struct filch__function_name b = name_of((function *)name_of);
    cr_assert_neq(a.offset, b.offset);
    cr_assert_eq(a.offset - b.offset, (uint64_t)((uintptr_t)times_seven - (uintptr_t)name_of));
    cr_assert_eq(a.id_size, b.id_size);
    cr_assert_eq(memcmp(a.id, b.id, a.id_size), 0);
}

Test(module, a_function_of_a_library) {
    struct filch__function_name name = name_of((function *)gnu_get_libc_version);
    cr_assert_eq(name.path[0], '/');
    check_text(name.path, "libc");
    cr_assert_gt(name.id_size, 0);
    check_found(&name, (function *)gnu_get_libc_version);
}

Test(module, a_static_function_of_a_plugin) {
    struct fresh f = start_fresh(); /* before it is loaded here */
    function *fn = static_of(open_plugin(path_of("process_plugin_2.so")));
    struct filch__function_name name = name_of(fn);
    char *absolute = realpath(path_of("process_plugin_2.so"), NULL);
    cr_assert_str_eq(name.path, absolute);
    free(absolute);
    cr_assert_gt(name.id_size, 0);
    check_found(&name, fn);
    for (int i = 0; i < 3; i++) { /* loaded, and there already */
        struct reply r = ask(&f, &name);
        cr_assert_eq(r.code, 0, "%s", r.text);
        cr_assert_eq(r.value, 12);
    }
    end_fresh(&f);
}

/* The linker knows it by that path, which means nothing elsewhere. */
Test(module, a_plugin_by_a_relative_path) {
    struct copy c = copy_plugin("process_plugin_1.so");
    cr_assert_eq(chdir(c.directory), 0);
    struct filch__function_name name = name_of(static_of(open_plugin("./plugin.so")));
    cr_assert_str_eq(name.path, c.path);
    struct reply r = ask_fresh(&name);
    cr_assert_eq(r.code, 0, "%s", r.text);
    cr_assert_eq(r.value, 6);
    copy_end(&c);
}

/* Nor does it any longer here. Another file may stand where it leads now. */
Test(module, a_relative_path_in_another_directory) {
    struct copy c = copy_plugin("process_plugin_1.so"), other = copy_plugin("process_plugin_2.so");
    cr_assert_eq(chdir(c.directory), 0);
    function *fn = static_of(open_plugin("./plugin.so"));
    static const char *const directories[] = {"/", NULL};
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(chdir(directories[i] != NULL ? directories[i] : other.directory), 0);
        struct filch__function_name name = name_of(fn);
        cr_assert_str_eq(name.path, c.path, "%s", name.path);
        cr_assert_eq(ask_fresh(&name).value, 6);
    }
    copy_end(&c);
    copy_end(&other);
}

/* The same library twice: of one build, with data of its own each time. */
Test(module, two_copies_of_one_build) {
    struct copy copies[2];
    function *fns[2];
    for (int i = 0; i < 2; i++) {
        copies[i] = copy_plugin("process_plugin_1.so");
        fns[i] = static_of(open_plugin(copies[i].path));
    }
    cr_assert_neq((uintptr_t)fns[0], (uintptr_t)fns[1]);
    for (int i = 0; i < 2; i++) {
        struct filch__function_name name = name_of(fns[i]);
        check_found(&name, fns[i]);
    }
    for (int i = 0; i < 2; i++) copy_end(&copies[i]);
}

/* A process that has forked finds what its parent loads later. */
Test(module, a_plugin_in_a_child) {
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t child = child_start();
    if (child == 0) {
        static struct filch__function_name name;
        if (read(ends[0], &name, sizeof name) != (ssize_t)sizeof name) _exit(1);
        _exit(call_by_name(&name).value);
    }
    struct filch__function_name name =
        name_of(static_of(open_plugin(path_of("process_plugin_2.so"))));
    cr_assert_eq(write(ends[1], &name, sizeof name), (ssize_t)sizeof name);
    cr_assert_eq(child_finish(child), 12);
    close(ends[0]);
    close(ends[1]);
}

/* Two builds are two modules, at the same time. */
Test(module, two_builds_side_by_side) {
    struct filch__function_name one =
        name_of(static_of(open_plugin(path_of("process_plugin_1.so"))));
    struct filch__function_name two =
        name_of(static_of(open_plugin(path_of("process_plugin_2.so"))));
    cr_assert(one.id_size != two.id_size || memcmp(one.id, two.id, one.id_size) != 0);
    struct fresh f = start_fresh();
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(ask(&f, &one).value, 6);
        cr_assert_eq(ask(&f, &two).value, 12);
    }
    end_fresh(&f);
}

/* Found by its build id, though its file has gone from where it was. */
Test(module, a_plugin_that_is_loaded_needs_no_file) {
    struct copy c = copy_plugin("process_plugin_1.so");
    function *fn = static_of(open_plugin(c.path));
    struct filch__function_name name = name_of(fn);
    copy_end(&c);
    check_found(&name, fn);
    struct reply r = ask_fresh(&name);
    cr_assert_eq(r.code, FILCH_EINVAL);
    check_text(r.text, c.path);
}

/* What has no name -------------------------------------------------------------------------------- */

static void check_no_name(function *f, const char *why) {
    struct filch__function_name name;
    cr_assert_eq(filch__function_name(f, &name), FILCH_EINVAL);
    check_text(filch_last_error(), why);
}

Test(module, addresses_that_are_no_function) {
    static int data = 1;
    static const int constant = 1;
    int local = 1;
    char *heap = malloc(8);
    check_no_name(NULL, "is in no module");
    check_no_name((function *)(uintptr_t)&local, "is in no module");
    check_no_name((function *)(uintptr_t)&data, "is in no module");
    check_no_name((function *)(uintptr_t)&constant, "is in no module");
    check_no_name((function *)(uintptr_t)heap, "is in no module");
    check_no_name((function *)UINTPTR_MAX, "is in no module");
    free(heap);
}

Test(module, a_library_without_build_id) {
    function *fn = static_of(open_plugin(path_of("process_plugin_bare.so")));
    check_no_name(fn, "process_plugin_bare.so, which has no build id");
    check_no_name(fn, "-Wl,--build-id");
}

/* Notes ----------------------------------------------------------------------------------------- */

/* One note at *used. */
static void add_note(char *notes, size_t *used, size_t alignment, const char *owner, uint32_t type,
                     const char *content, size_t size) {
    ElfW(Nhdr) note = {
        .n_namesz = (uint32_t)strlen(owner) + 1, .n_descsz = (uint32_t)size, .n_type = type};
    size_t at = (sizeof note + note.n_namesz + alignment - 1) & ~(alignment - 1);
    memcpy(notes + *used, &note, sizeof note);
    strcpy(notes + *used + sizeof note, owner);
    memcpy(notes + *used + at, content, size);
    *used += (at + size + alignment - 1) & ~(alignment - 1);
}

Test(module, notes_of_both_alignments) {
    for (size_t alignment = 4; alignment <= 8; alignment += 4) {
        char notes[200] = {0};
        size_t used = 0;
        add_note(notes, &used, alignment, "Another", NT_GNU_BUILD_ID, "wrong", 5);
        add_note(notes, &used, alignment, "GNU", NT_GNU_ABI_TAG, "wrong", 5);
        size_t end = used + sizeof(ElfW(Nhdr)) + 4 + 5; /* its owner, and its content */
        add_note(notes, &used, alignment, "GNU", NT_GNU_BUILD_ID, "right", 5);
        add_note(notes, &used, alignment, "GNU", NT_GNU_BUILD_ID, "later", 5);
        for (size_t size = 0; size <= used; size++) {
            struct filch__build_id id = {0, {0}};
            char *part = malloc(size); /* of which a sanitizer knows the size */
            if (size > 0) memcpy(part, notes, size);
            cr_assert_eq(filch__build_id_find(part, size, alignment, &id), size >= end);
            cr_assert(size < end || (id.size == 5 && memcmp(id.bytes, "right", 5) == 0));
            free(part);
        }
    }
}

Test(module, notes_of_any_size) {
    static const uint32_t sizes[] = {0, 1, 4, 5, 33, 100, 0x7fffffff, 0x80000000, UINT32_MAX};
    enum { N = sizeof sizes / sizeof *sizes };
    char *notes = calloc(1, 64);
    for (int i = 0; i < N * N; i++) {
        ElfW(Nhdr) note = {sizes[i / N], sizes[i % N], NT_GNU_BUILD_ID};
        struct filch__build_id id = {0, {0}};
        memcpy(notes, &note, sizeof note);
        strcpy(notes + sizeof note, "GNU");
        bool valid = note.n_namesz == 4 && note.n_descsz > 0 && note.n_descsz <= MODULE_ID_LARGEST;
        cr_assert_eq(filch__build_id_find(notes, 64, 4, &id), valid, "%u %u", note.n_namesz,
                     note.n_descsz);
    }
    free(notes);
}

/* What is not found ------------------------------------------------------------------------------- */

Test(module, another_build_of_the_program) {
    struct filch__function_name name = name_of((function *)times_seven), other = name;
    cr_assert_gt(name.id_size, 0);
    other.id[name.id_size - 1] ^= 1;
    check_not_found(&other, "the program: it is of another build");
    other = name;
    other.id_size--;
    check_not_found(&other, "it is of another build");
    other.id_size = 0;
    check_not_found(&other, "it is of another build");
    other.id_size = MODULE_ID_LARGEST + 1;
    check_not_found(&other, "its build id is not valid");
    other.id_size = UINT32_MAX;
    check_not_found(&other, "its build id is not valid");
}

Test(module, a_library_without_build_id_is_none_of_many) {
    struct filch__function_name name = name_of((function *)gnu_get_libc_version);
    name.id_size = 0;
    check_not_found(&name, "its build id is not valid");
}

Test(module, a_path_without_an_end) {
    struct filch__function_name name = name_of((function *)times_seven);
    memset(name.path, '/', sizeof name.path);
    check_not_found(&name, "not valid");
}

/* The file was replaced after it was loaded here. */
Test(module, another_build_of_a_plugin) {
    struct copy c = copy_plugin("process_plugin_1.so");
    struct filch__function_name name = name_of(static_of(open_plugin(c.path)));
    struct bytes other = read_file(path_of("process_plugin_2.so"));
    write_file(c.path, other.start, other.size);
    free(other.start);
    for (int i = 0; i < 2; i++) {
        struct fresh f = start_fresh();
        for (int k = 0; k < 2; k++) {
            struct reply r = ask(&f, &name);
            cr_assert_eq(r.code, FILCH_EINVAL);
            check_text(r.text, "it is of another build");
            check_text(r.text, c.path);
        }
        end_fresh(&f);
    }
    copy_end(&c);
}

Test(module, a_plugin_that_cannot_be_loaded) {
    struct copy c = copy_plugin("process_plugin_1.so");
    struct filch__function_name name = name_of(static_of(open_plugin(c.path)));
    write_file(c.path, "no library", 10);
    struct reply r = ask_fresh(&name);
    cr_assert_eq(r.code, FILCH_EINVAL);
    check_text(r.text, c.path);
    check_text(r.text, "the worker cannot find the task's function");
    copy_end(&c);
    r = ask_fresh(&name);
    cr_assert_eq(r.code, FILCH_EINVAL);
    check_text(r.text, "No such file");
}

Test(module, an_offset_without_code) {
    static int data = 1;
    struct filch__function_name name = name_of((function *)times_seven);
    uint64_t base = (uint64_t)(uintptr_t)times_seven - name.offset;
    uint64_t offsets[] = {(uint64_t)(uintptr_t)&data - base, (uint64_t)1 << 40, UINT64_MAX,
                          0 - base};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        name.offset = offsets[i];
        check_not_found(&name, "there is no code at its offset");
    }
    name = name_of(static_of(open_plugin(path_of("process_plugin_1.so"))));
    name.offset += 1 << 24;
    check_not_found(&name, "there is no code at its offset");
    cr_assert_eq(ask_fresh(&name).code, FILCH_EINVAL);
}

/* Descriptions ---------------------------------------------------------------------------------- */

static void check_described(function *f, const char *expected) {
    char text[200];
    memset(text, 'x', sizeof text);
    filch__function_describe(f, text, sizeof text);
    cr_assert_not_null(memchr(text, 0, sizeof text));
    cr_assert_str_eq(text, expected, "\"%s\", not \"%s\"", text, expected);
}

Test(describe, a_static_function) {
    check_described((function *)times_seven, "times_seven");
    check_described(static_of(open_plugin(path_of("process_plugin_1.so"))), "times_version");
}

Test(describe, an_exported_function) {
    check_described((function *)gnu_get_libc_version, "gnu_get_libc_version");
    check_described(exported_of(open_plugin(path_of("process_plugin_1.so"))), "plugin_task");
}

Test(describe, what_has_no_symbol) {
    char expected[100];
    void *plugin = open_plugin(path_of("process_plugin_stripped.so"));
    function *fn = static_of(plugin);
    struct filch__function_name name = name_of(fn);
    snprintf(expected, sizeof expected, "process_plugin_stripped.so+0x%llx",
             (unsigned long long)name.offset);
    check_described(fn, expected);
    check_described(exported_of(plugin), "plugin_task");
}

Test(describe, what_is_no_function) {
    int local = 1;
    char expected[40];
    snprintf(expected, sizeof expected, "%p", (void *)&local);
    check_described((function *)(uintptr_t)&local, expected);
    snprintf(expected, sizeof expected, "%p", NULL);
    check_described(NULL, expected);
}

Test(describe, a_text_that_is_cut) {
    char text[12];
    for (size_t size = 1; size < sizeof text; size++) {
        memset(text, 'x', sizeof text);
        filch__function_describe((function *)times_seven, text, size);
        cr_assert_eq(strlen(text), size - 1);
        cr_assert_eq(strncmp(text, "times_seven", size - 1), 0);
        cr_assert_eq(text[size], 'x');
    }
}

/* Files that changed since they were loaded: whatever stands in them, it gets some text. */

static void check_some_text(function *f) {
    char text[100];
    memset(text, 'x', sizeof text);
    filch__function_describe(f, text, sizeof text);
    cr_assert_not_null(memchr(text, 0, sizeof text));
    cr_assert_gt(strlen(text), 0);
}

Test(describe, a_truncated_file) {
    struct copy c = copy_plugin("process_plugin_1.so");
    struct bytes whole = read_file(c.path);
    function *fn = static_of(open_plugin(c.path));
    struct filch__function_name name = name_of(fn);
    char expected[100];
    snprintf(expected, sizeof expected, "plugin.so+0x%llx", (unsigned long long)name.offset);
    static const size_t sizes[] = {0, 1, 4, 16, 17, 63, 64, 65, 100, 4095, 4096, 4097};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        write_file(c.path, whole.start, sizes[i] < whole.size ? sizes[i] : whole.size - 1);
        check_described(fn, expected);
    }
    for (size_t i = 1; i < 64; i++) {
        write_file(c.path, whole.start, whole.size * i / 64);
        check_described(fn, expected); /* the table of sections stands at the end */
    }
    unlink(c.path);
    check_described(fn, expected);
    write_file(c.path, whole.start, whole.size);
    check_described(fn, "times_version");
    free(whole.start);
    copy_end(&c);
}

/* Its symbols would be those of other functions. */
Test(describe, a_file_of_another_build) {
    struct copy c = copy_plugin("process_plugin_1.so");
    struct bytes other = read_file(path_of("process_plugin_2.so"));
    function *fn = static_of(open_plugin(c.path));
    char expected[100];
    check_described(fn, "times_version");
    snprintf(expected, sizeof expected, "plugin.so+0x%llx", (unsigned long long)name_of(fn).offset);
    write_file(c.path, other.start, other.size);
    check_described(fn, expected);
    free(other.start);
    copy_end(&c);
}

/* Opening it must not wait for somebody who writes. */
Test(describe, a_file_that_became_a_pipe) {
    struct copy c = copy_plugin("process_plugin_1.so");
    function *fn = static_of(open_plugin(c.path));
    char expected[100];
    snprintf(expected, sizeof expected, "plugin.so+0x%llx", (unsigned long long)name_of(fn).offset);
    cr_assert_eq(unlink(c.path), 0);
    cr_assert_eq(mkfifo(c.path, 0600), 0);
    check_described(fn, expected);
    copy_end(&c);
}

static ElfW(Shdr) symbols_of(const struct bytes *file) {
    ElfW(Ehdr) head;
    ElfW(Shdr) table = {0};
    memcpy(&head, file->start, sizeof head);
    for (size_t i = 0; table.sh_type != SHT_SYMTAB; i++) {
        cr_assert_lt(i, head.e_shnum);
        memcpy(&table, file->start + head.e_shoff + i * sizeof table, sizeof table);
    }
    return table;
}

Test(describe, names_outside_their_table) {
    struct copy c = copy_plugin("process_plugin_1.so");
    struct bytes whole = read_file(c.path);
    ElfW(Shdr) table = symbols_of(&whole);
    function *fn = static_of(open_plugin(c.path));
    static const uint32_t names[] = {UINT32_MAX, 1u << 31, 1u << 20};
    char expected[100];
    snprintf(expected, sizeof expected, "plugin.so+0x%llx", (unsigned long long)name_of(fn).offset);
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        for (size_t at = 0; at < table.sh_size; at += sizeof(ElfW(Sym)))
            memcpy(whole.start + table.sh_offset + at + offsetof(ElfW(Sym), st_name), &names[k],
                   sizeof names[k]);
        write_file(c.path, whole.start, whole.size);
        check_described(fn, expected);
    }
    free(whole.start);
    copy_end(&c);
}

static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

Test(describe, a_file_of_other_bytes) {
    struct copy c = copy_plugin("process_plugin_1.so");
    struct bytes whole = read_file(c.path), changed = {malloc(whole.size), whole.size};
    function *fn = static_of(open_plugin(c.path));
    uint32_t random = 1;
    ElfW(Ehdr) head;
    memcpy(&head, whole.start, sizeof head);
    ElfW(Shdr) table = symbols_of(&whole);
    /* In the head, in the table of sections, in the symbols. */
    size_t at[] = {0, head.e_shoff, table.sh_offset};
    size_t size[] = {sizeof head, head.e_shnum * sizeof table, table.sh_size};
    for (int i = 0; i < 1000; i++) {
        memcpy(changed.start, whole.start, whole.size);
        for (int k = 0; k < 1 + i % 4; k++) {
            size_t where = at[i % 3] + next_random(&random) % size[i % 3];
            static const unsigned char bytes[] = {0, 1, 4, 0x7f, 0x80, 0xff};
            changed.start[where] =
                (char)(k == 3 ? next_random(&random) : bytes[next_random(&random) % sizeof bytes]);
        }
        write_file(c.path, changed.start, changed.size);
        check_some_text(fn);
    }
    free(whole.start);
    free(changed.start);
    copy_end(&c);
}
