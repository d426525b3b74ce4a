/* fj_pieces.inc.h: loops in pieces, over the submit and take_result of a pool whose tasks do not wait.
 *
 * Flow: the file of such a contestant defines, and then includes this once:
 *
 *   handle                                 a type, one submitted task
 *   submit(pool, fn, arg, size, handle *)  false: it could not
 *   take_result(handle)                    waits; the task's result
 *
 * PIECES is the same for every number of workers: enough that uneven pieces even out on some CPUs, few
 * enough that a piece is a hundred times longer than what its task costs.
 *
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_FJ_PIECES_INC_H
#define BENCH_FJ_PIECES_INC_H

enum { PIECES = 64 };

typedef uint64_t piece_fn(const fj_job *job, int64_t begin, int64_t end);

typedef struct piece {
    const fj_job *job;
    piece_fn *fn;
    int64_t begin, end;
} piece;

static int run_piece(void *arg, void *result) {
    const piece *own = (const piece *)arg;
    *(uint64_t *)result = own->fn(own->job, own->begin, own->end);
    return 0;
}

/* The sum of what the pieces return. One that could not be submitted is missing, and is noticed. */
static uint64_t run_pieces(void *pool, const fj_job *job, uint64_t n, piece_fn *fn) {
    handle handles[PIECES];
    int submitted = 0;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < PIECES; i++) {
        piece part = {job, fn, (int64_t)(n * i / PIECES), (int64_t)(n * (i + 1) / PIECES)};
        if (submit(pool, run_piece, &part, sizeof part, &handles[submitted])) submitted++;
    }
    for (int i = 0; i < submitted; i++) sum += take_result(handles[i]);
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

static uint64_t squares(void *pool, const fj_job *job) {
    return run_pieces(pool, job, job->n, squares_piece);
}

static uint64_t uneven(void *pool, const fj_job *job) {
    return run_pieces(pool, job, job->n, uneven_piece);
}

static uint64_t triad(void *pool, const fj_job *job) {
    return run_pieces(pool, job, job->n, triad_piece);
}

static uint64_t opaque(void *pool, const fj_job *job) {
    return run_pieces(pool, job, job->n, opaque_piece);
}

static uint64_t matmul(void *pool, const fj_job *job) {
    uint64_t side = job->n / FJ_TILE;
    return run_pieces(pool, job, side * side, tiles_piece);
}

#endif
