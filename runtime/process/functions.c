/* process/functions.c: see functions.h. A hash table with open addressing, at most half full, that only grows. */
#include "process/functions.h"

#include "error.h"
#include "os/memory.h"
#include <string.h>

struct filch__functions {
    const struct filch__function *last; /* that was asked for */
    struct filch__function **table;
    uint32_t room, used; /* room: a power of two */
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
    for (uint32_t i = 0; i < t->room; i++) {
        if (t->table[i] == NULL) continue;
        filch__free(t->table[i]->fault);
        filch__free(t->table[i]);
    }
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

static struct filch__function *create(filch_task_fn *fn, uint32_t index) {
    struct filch__function *function = filch__alloc_zeroed(sizeof *function);
    if (function == NULL) return NULL;
    function->fn = fn;
    function->index = index;
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
        *place = create(fn, t->used);
        if (*place == NULL) return NULL;
        t->used++;
    }
    return t->last = *place;
}
