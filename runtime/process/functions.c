/* process/functions.c: see functions.h. A hash table with open addressing, at most half full, that only grows. */
#include "process/functions.h"

#include "error.h"
#include "os/memory.h"
#include <string.h>

struct filch__functions {
    const struct filch__function *last; /* that was asked for */
    struct filch__function **table;
    uint32_t room, used;            /* room: a power of two */
    struct filch__function **named; /* by number: all of them */
    uint32_t named_room, count;
};

struct filch__functions *filch__functions_create(void) {
    struct filch__functions *t = filch__alloc_zeroed(sizeof *t);
    if (t == NULL) return NULL;
    t->room = 64;
    t->table = filch__alloc_zeroed(t->room * sizeof(struct filch__function *));
    if (t->table != NULL) return t;
    filch__free(t);
    return NULL;
}

void filch__functions_destroy(struct filch__functions *t) {
    if (t == NULL) return;
    for (uint32_t i = 0; i < t->count; i++) {
        filch__free(t->named[i]->fault);
        filch__free(t->named[i]);
    }
    filch__free(t->named);
    filch__free(t->table);
    filch__free(t);
}

static struct filch__function **find(struct filch__function **table, uint32_t room,
                                     filch_task_fn *fn) {
    uint64_t hash = ((uint64_t)(uintptr_t)fn >> 4) * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t i = (uint32_t)(hash >> 32) & (room - 1);
    while (table[i] != NULL && table[i]->fn != fn) i = (i + 1) & (room - 1);
    return &table[i];
}

static bool grow(struct filch__functions *t) {
    uint32_t room = t->room * 2;
    struct filch__function **table = filch__alloc_zeroed(room * sizeof *table);
    if (table == NULL) return false;
    for (uint32_t i = 0; i < t->room; i++)
        if (t->table[i] != NULL) *find(table, room, t->table[i]->fn) = t->table[i];
    filch__free(t->table);
    t->table = table;
    t->room = room;
    return true;
}

/* Gives it its index. False: no memory. */
static bool enlist(struct filch__functions *t, struct filch__function *function) {
    if (t->count == t->named_room) {
        uint32_t room = t->named_room == 0 ? 64 : 2 * t->named_room;
        struct filch__function **named = filch__alloc_zeroed(room * sizeof *named);
        if (named == NULL) return false;
        if (t->count != 0) memcpy(named, t->named, t->count * sizeof *named);
        filch__free(t->named);
        t->named = named;
        t->named_room = room;
    }
    function->index = t->count;
    t->named[t->count++] = function;
    return true;
}

static struct filch__function *create(filch_task_fn *fn) {
    struct filch__function *function = filch__alloc_zeroed(sizeof *function);
    if (function == NULL) return NULL;
    function->fn = fn;
    if (filch__function_name((void (*)(void))fn, &function->name) == 0) return function;
    const char *text = filch_last_error();
    function->fault = filch__alloc(strlen(text) + 1);
    if (function->fault != NULL) return strcpy(function->fault, text), function;
    filch__free(function);
    return NULL;
}

const struct filch__function *filch__functions_get(struct filch__functions *t, filch_task_fn *fn) {
    if (t->last != NULL && t->last->fn == fn) return t->last;
    struct filch__function **place = find(t->table, t->room, fn);
    if (*place == NULL) {
        if (2 * (t->used + 1) > t->room) {
            if (!grow(t)) return NULL;
            place = find(t->table, t->room, fn);
        }
        struct filch__function *function = create(fn);
        if (function == NULL) return NULL;
        if (!enlist(t, function)) {
            filch__free(function->fault);
            filch__free(function);
            return NULL;
        }
        *place = function;
        t->used++;
    }
    return t->last = *place;
}

static bool is_same(const struct filch__function_name *a, const struct filch__function_name *b) {
    return a->offset == b->offset && a->id_size == b->id_size &&
           memcmp(a->id, b->id, a->id_size) == 0 && strcmp(a->path, b->path) == 0;
}

const struct filch__function *filch__functions_named(struct filch__functions *t,
                                                     const struct filch__function_name *name) {
    void (*fn)(void);
    for (uint32_t i = 0; i < t->count; i++)
        if (t->named[i]->fault == NULL && is_same(&t->named[i]->name, name)) return t->named[i];
    struct filch__function *function = filch__alloc_zeroed(sizeof *function);
    if (function == NULL) return NULL;
    function->name = *name;
    /* Of a library that is not here only the name is passed on: a worker has nothing loaded into the program. */
    if (name->path[0] == 0 && filch__function_find(name, &fn) == 0)
        function->fn = (filch_task_fn *)fn;
    if (enlist(t, function)) return function;
    filch__free(function);
    return NULL;
}
