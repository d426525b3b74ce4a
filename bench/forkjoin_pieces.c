/* forkjoin_pieces.c: the fork-join workloads on pools whose tasks cannot wait for each other: the naive pool
 * and GLib's.
 *
 * A task that waits blocks its worker, and soon every worker is blocked. What is left are loops, cut into
 * pieces, and the matrices' tiles: one batch of the contestant's own (contestant.h), which the calling
 * thread submits and then awaits.
 *
 * PIECES is the same for every number of workers: enough that uneven pieces even out on some CPUs, few
 * enough that a piece takes a hundred times longer than its task costs.
 *
 * SPDX-License-Identifier: MIT */
#include "contestant.h"
#include "fj_parts.h"

enum { PIECES = 64, HANDLE_MAX = 64 };

typedef uint64_t piece_fn(const fj_job *job, int64_t begin, int64_t end);

typedef struct piece {
    const fj_job *job;
    piece_fn *fn;
    int64_t begin, end;
    uint64_t value;
} piece;

/* Its argument is the piece's address, and so is its result, as the batch expects it. */
static int run_piece(void *arg, void *result) {
    uint64_t address = *(const uint64_t *)arg;
    piece *own = (piece *)(uintptr_t)address;
    own->value = own->fn(own->job, own->begin, own->end);
    *(uint64_t *)result = address;
    return 0;
}

/* The sum of what the pieces return. */
static uint64_t run_pieces(const bench_contestant *contestant, void *pool, const fj_job *job,
                           uint64_t n, piece_fn *fn) {
    _Alignas(max_align_t) unsigned char memory[PIECES * HANDLE_MAX];
    piece pieces[PIECES];
    bench_batch batch = {.fn = run_piece,
                         .arg = (uintptr_t)&pieces[0],
                         .expected = (uintptr_t)&pieces[0],
                         .step = sizeof(piece),
                         .tasks = PIECES};
    uint64_t sum = 0;
    for (uint64_t i = 0; i < PIECES; i++)
        pieces[i] = (piece){job, fn, (int64_t)(n * i / PIECES), (int64_t)(n * (i + 1) / PIECES), 0};
    if (contestant->handle_size > HANDLE_MAX) return UINT64_MAX;
    if (contestant->run_batch(pool, &batch, memory) > 0) return UINT64_MAX;
    for (int i = 0; i < PIECES; i++) sum += pieces[i].value;
    return sum;
}

static uint64_t squares_piece(const fj_job *job, int64_t begin, int64_t end) {
    (void)job;
    return fj_squares(begin, end);
}

static uint64_t uneven_piece(const fj_job *job, int64_t begin, int64_t end) {
    fj_uneven(job, begin, end);
    return 0;
}

static uint64_t triad_piece(const fj_job *job, int64_t begin, int64_t end) {
    fj_triad(job, begin, end);
    return 0;
}

static uint64_t opaque_piece(const fj_job *job, int64_t begin, int64_t end) {
    fj_opaque(job, begin, end);
    return 0;
}

static uint64_t tiles_piece(const fj_job *job, int64_t begin, int64_t end) {
    uint64_t side = job->n / FJ_TILE;
    for (uint64_t i = (uint64_t)begin; i < (uint64_t)end; i++)
        fj_matmul_tile(job, i / side * FJ_TILE, i % side * FJ_TILE);
    return 0;
}

static uint64_t tiles_of(const fj_job *job) {
    return job->n / FJ_TILE * (job->n / FJ_TILE);
}

#define PORT(who, what, n)                                                                         \
    static uint64_t who##_##what(void *pool, const fj_job *job) {                                  \
        return run_pieces(&contestant_##who, pool, job, n, what##_piece);                          \
    }
#define PORTS(who)                                                                                 \
    PORT(who, tiles, tiles_of(job))                                                                \
    PORT(who, squares, job->n)                                                                     \
    PORT(who, uneven, job->n)                                                                      \
    PORT(who, triad, job->n)                                                                       \
    PORT(who, opaque, job->n)                                                                      \
    const fj_ports forkjoin_##who = {{[FJ_MATMUL] = who##_tiles,                                   \
                                      [FJ_SQUARES] = who##_squares,                                \
                                      [FJ_UNEVEN] = who##_uneven,                                  \
                                      [FJ_TRIAD] = who##_triad,                                    \
                                      [FJ_OPAQUE] = who##_opaque}};

PORTS(naive)
#ifdef BENCH_GLIB
PORTS(glib)
#endif
