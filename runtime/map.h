/* map.h: what the two ways of filch_map_array share: map.c, and map_packed.c for workers that share no memory with the program. */
#ifndef FILCH_RUNTIME_MAP_H
#define FILCH_RUNTIME_MAP_H

#include "chunk.h"
#include "error.h"
#include "os/memory.h"
#include <filch/map.h>
#include <stddef.h>

/* The caller's. */
struct filch__map {
    filch_task_fn *fn;
    const char *args;
    size_t arg_size;
    char *results;
    size_t result_size;
};

static inline const void *filch__map_arg(const struct filch__map *map, size_t i) {
    return map->args + i * map->arg_size;
}
static inline void *filch__map_result(const struct filch__map *map, size_t i) {
    return map->results + i * map->result_size;
}

/* The code of an input that has failed, which is the calling thread's last error then. */
int filch__map_failed(size_t input, const struct filch__input_outcome *outcome);

/* n inputs, 1 or more, in parts that travel with their inputs. As filch_map_array. */
int filch__map_packed(filch_executor *e, const struct filch__map *map, size_t n);

#endif
