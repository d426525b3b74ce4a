/* contestant_openmp.c: OpenMP in the race, once with gcc's runtime and once with clang's.
 *
 * It has fork-join rows only: its tasks have no handles, and a thread outside of a team cannot wait for
 * one of them.
 *
 * Flow: create() loads the module (forkjoin_openmp.c) that was built for the runtime, so that neither
 * runtime is there before its first measurement, and neither sees the other's functions: both have
 * omp_get_num_threads and GOMP_parallel. A pool is a number of threads, and the module's ports; the runtime
 * starts its threads with the first team and keeps them. Between teams they spin for a while, 200 ms in
 * libomp, which is the default and stays so; destroy() ends them, so that the next contestant has the
 * CPUs for itself. Modules are never unloaded.
 *
 * SPDX-License-Identifier: MIT */
#include "contestant.h"
#include "forkjoin_openmp.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct team {
    int threads; /* the first member: what the ports get a pointer to */
    const openmp_module *module;
} team;

static bool create(const char *module, int workers, void **pool) {
    void *loaded = dlopen(module, RTLD_NOW | RTLD_LOCAL);
    if (loaded == NULL) {
        fprintf(stderr, "filch-bench: %s\n", dlerror());
        return false;
    }
    team *made = malloc(sizeof *made);
    if (made == NULL) return false;
    *made = (team){workers, (const openmp_module *)dlsym(loaded, "forkjoin_openmp")};
    *pool = made;
    if (made->module != NULL) return true;
    free(made);
    return false;
}

static void destroy(void *pool) {
    const team *own = pool;
    own->module->end_threads();
    free(pool);
}

static bool create_gcc(int workers, void **pool) {
    return create("bench-openmp-gcc.so", workers, pool);
}

static bool create_clang(int workers, void **pool) {
    return create("bench-openmp-clang.so", workers, pool);
}

#define PORT(name, id)                                                                             \
    static uint64_t name(void *pool, const fj_job *job) {                                          \
        const team *own = pool;                                                                    \
        return own->module->ports.of[id](pool, job);                                               \
    }
PORT(fib, FJ_FIB)
PORT(nqueens, FJ_NQUEENS)
PORT(skynet, FJ_SKYNET)
PORT(uts, FJ_UTS)
PORT(matmul, FJ_MATMUL)
PORT(cilksort, FJ_CILKSORT)
PORT(squares, FJ_SQUARES)
PORT(uneven, FJ_UNEVEN)
PORT(triad, FJ_TRIAD)
PORT(opaque, FJ_OPAQUE)
PORT(tree, FJ_TREE)
PORT(flat, FJ_FLAT)
PORT(loop, FJ_LOOP)

static const fj_ports ports = {{
    [FJ_FIB] = fib,
    [FJ_NQUEENS] = nqueens,
    [FJ_SKYNET] = skynet,
    [FJ_UTS] = uts,
    [FJ_MATMUL] = matmul,
    [FJ_CILKSORT] = cilksort,
    [FJ_SQUARES] = squares,
    [FJ_UNEVEN] = uneven,
    [FJ_TRIAD] = triad,
    [FJ_OPAQUE] = opaque,
    [FJ_TREE] = tree,
    [FJ_FLAT] = flat,
    [FJ_LOOP] = loop,
}};

const bench_contestant contestant_openmp_gcc = {
    .name = "libgomp", .create = create_gcc, .destroy = destroy, .ports = &ports};
const bench_contestant contestant_openmp_clang = {
    .name = "libomp", .create = create_clang, .destroy = destroy, .ports = &ports};
