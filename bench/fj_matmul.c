/* fj_matmul.c: c = a * b, of n by n doubles, tile by tile.
 *
 * Checked after Freivalds: c times a vector is a times (b times the vector). All numbers are small and
 * whole, so that the products are exact whatever the order of the additions.
 *
 * SPDX-License-Identifier: MIT */
#include "fj_parts.h"
#include "fj_workloads.h"

#include <stdlib.h>
#include <string.h>

FJ_PART void fj_matmul_tile(const fj_job *job, uint64_t row, uint64_t column) {
    uint64_t n = job->n;
    for (uint64_t i = row; i < row + FJ_TILE; i++) {
        double sums[FJ_TILE] = {0};
        for (uint64_t k = 0; k < n; k++) {
            const double factor = job->a[i * n + k], *b = &job->b[k * n + column];
            for (int j = 0; j < FJ_TILE; j++) sums[j] += factor * b[j];
        }
        memcpy(&job->c[i * n + column], sums, sizeof sums);
    }
}

uint64_t fj_matmul_sequential(void *pool, const fj_job *job) {
    (void)pool;
    for (uint64_t row = 0; row < job->n; row += FJ_TILE)
        for (uint64_t column = 0; column < job->n; column += FJ_TILE)
            fj_matmul_tile(job, row, column);
    return 0;
}

bool fj_matmul_make(fj_job *job) {
    uint64_t size = job->n * job->n;
    job->a = malloc(size * sizeof(double));
    job->b = malloc(size * sizeof(double));
    job->c = malloc(size * sizeof(double));
    if (job->a == NULL || job->b == NULL || job->c == NULL) return false;
    for (uint64_t i = 0; i < size; i++) {
        job->a[i] = (double)(fj_random(i) % 8);
        job->b[i] = (double)(fj_random(size + i) % 8);
    }
    return true;
}

void fj_matmul_refresh(fj_job *job) {
    memset(job->c, 0xff, job->n * job->n * sizeof(double)); /* no number */
}

/* product = matrix * vector */
static void multiply(const double *matrix, const double *vector, double *product, uint64_t n) {
    for (uint64_t i = 0; i < n; i++) {
        product[i] = 0;
        for (uint64_t j = 0; j < n; j++) product[i] += matrix[i * n + j] * vector[j];
    }
}

bool fj_matmul_right(const fj_job *job, uint64_t result) {
    uint64_t n = job->n;
    double *vectors = calloc(4 * n, sizeof(double));
    if (vectors == NULL) return false;
    double *random = vectors, *by_b = vectors + n, *expected = vectors + 2 * n,
           *got = vectors + 3 * n;
    for (uint64_t i = 0; i < n; i++) random[i] = (double)(1 + fj_random(~i) % 8);
    multiply(job->b, random, by_b, n);
    multiply(job->a, by_b, expected, n);
    multiply(job->c, random, got, n);
    bool right = result == 0;
    for (uint64_t i = 0; i < n; i++)
        right = right && expected[i] >= got[i] && expected[i] <= got[i];
    free(vectors);
    return right;
}
