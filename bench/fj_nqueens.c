/* fj_nqueens.c: in how many ways n queens stand on an n by n board, none attacking another.
 *
 * SPDX-License-Identifier: MIT */
#include "fj_parts.h"
#include "fj_workloads.h"

FJ_PART bool fj_place(const fj_board *board, int row, int column, fj_board *next) {
    for (int i = 0; i < row; i++) {
        int apart = board->column[i] - column;
        if (apart == 0 || apart == row - i || apart == i - row) return false;
    }
    *next = *board;
    next->column[row] = (int8_t)column;
    return true;
}

uint64_t fj_nqueens_call(const fj_board *board, int n, int row);

FJ_PART uint64_t fj_nqueens_call(const fj_board *board, int n, int row) {
    uint64_t ways = 0;
    fj_board next;
    if (row == n) return 1;
    for (int column = 0; column < n; column++)
        if (fj_place(board, row, column, &next)) ways += fj_nqueens_call(&next, n, row + 1);
    return ways;
}

uint64_t fj_nqueens_sequential(void *pool, const fj_job *job) {
    fj_board empty = {{0}};
    (void)pool;
    return fj_nqueens_call(&empty, (int)job->n, 0);
}

/* Sequence A000170 of the On-Line Encyclopedia of Integer Sequences. */
bool fj_nqueens_make(fj_job *job) {
    static const uint64_t ways[] = {1,  1,   0,   0,    2,     10,    4,     40,
                                    92, 352, 724, 2680, 14200, 73712, 365596};
    if (job->n >= sizeof ways / sizeof ways[0]) return false;
    job->expected = ways[job->n];
    return true;
}
