/* fj_cilksort.c: merge sort of random keys; its halves' merges are split too.
 *
 * Source: cilksort of the Cilk-5 distribution (Frigo, Leiserson, Randall): sort the four quarters, merge
 * them in pairs, and merge the pairs; a merge takes the middle of the longer row, finds its place in the
 * shorter one, and merges both sides separately. Own code. Here below FJ_SORT_LEAF keys it is quicksort.
 *
 * Checked, as every sort here: the keys rise, and their sum and the sum of their mixes are the input's.
 *
 * SPDX-License-Identifier: MIT */
#include "fj_parts.h"
#include "fj_workloads.h"

#include <stdlib.h>
#include <string.h>

/* The serial parts ------------------------------------------------------------------------------- */

enum { INSERTION = 16 }; /* keys, at most, that are sorted by insertion */

static void insert_all(uint64_t *keys, uint64_t n) {
    for (uint64_t i = 1; i < n; i++) {
        uint64_t key = keys[i], j = i;
        for (; j > 0 && keys[j - 1] > key; j--) keys[j] = keys[j - 1];
        keys[j] = key;
    }
}

static uint64_t median(uint64_t a, uint64_t b, uint64_t c) {
    if (a > b) return c > a ? a : c > b ? c : b;
    return c > b ? b : c > a ? c : a;
}

/* Hoare's partition: how many keys are in the left part, at least 1 and less than n. */
static uint64_t partition(uint64_t *keys, uint64_t n) {
    uint64_t pivot = median(keys[0], keys[n / 2], keys[n - 1]), i = 0, j = n - 1;
    for (;; i++, j--) {
        while (keys[i] < pivot) i++;
        while (keys[j] > pivot) j--;
        if (i >= j) break;
        uint64_t key = keys[i];
        keys[i] = keys[j];
        keys[j] = key;
    }
    return i > 0 && i < n ? i : 1;
}

FJ_PART void fj_sort_leaf(uint64_t *keys, uint64_t n) {
    while (n > INSERTION) {
        uint64_t left = partition(keys, n);
        fj_sort_leaf(keys, left);
        keys += left;
        n -= left;
    }
    insert_all(keys, n);
}

FJ_PART void fj_merge_leaf(const uint64_t *a, uint64_t a_n, const uint64_t *b, uint64_t b_n,
                           uint64_t *out) {
    const uint64_t *a_end = a + a_n, *b_end = b + b_n;
    while (a < a_end && b < b_end) {
        bool second = *b < *a;
        *out++ = second ? *b : *a;
        a += !second;
        b += second;
    }
    memcpy(out, a, (size_t)(a_end - a) * sizeof *a);
    memcpy(out + (a_end - a), b, (size_t)(b_end - b) * sizeof *b);
}

FJ_PART uint64_t fj_lower_bound(const uint64_t *keys, uint64_t n, uint64_t key) {
    uint64_t first = 0;
    while (n > 0) {
        uint64_t half = n / 2;
        if (keys[first + half] < key) {
            first += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return first;
}

/* The sequential twin ---------------------------------------------------------------------------- */

static void merge(const uint64_t *a, uint64_t a_n, const uint64_t *b, uint64_t b_n, uint64_t *out) {
    if (a_n < b_n) {
        merge(b, b_n, a, a_n, out);
        return;
    }
    if (a_n + b_n <= FJ_MERGE_LEAF) {
        fj_merge_leaf(a, a_n, b, b_n, out);
        return;
    }
    uint64_t a_half = a_n / 2, b_half = fj_lower_bound(b, b_n, a[a_half]);
    merge(a, a_half, b, b_half, out);
    merge(a + a_half, a_n - a_half, b + b_half, b_n - b_half, out + a_half + b_half);
}

static void sort(uint64_t *keys, uint64_t *scratch, uint64_t n) {
    uint64_t quarter = n / 4, half = 2 * quarter, rest = n - 3 * quarter;
    if (n <= FJ_SORT_LEAF) {
        fj_sort_leaf(keys, n);
        return;
    }
    for (uint64_t i = 0; i < 4; i++)
        sort(keys + i * quarter, scratch + i * quarter, i < 3 ? quarter : rest);
    merge(keys, quarter, keys + quarter, quarter, scratch);
    merge(keys + half, quarter, keys + half + quarter, rest, scratch + half);
    merge(scratch, half, scratch + half, n - half, keys);
}

uint64_t fj_cilksort_sequential(void *pool, const fj_job *job) {
    (void)pool;
    sort(job->keys, job->scratch, job->n);
    return 0;
}

/* Keys ------------------------------------------------------------------------------------------- */

static uint64_t fingerprint(const uint64_t *keys, uint64_t n) {
    uint64_t sum = 0;
    for (uint64_t i = 0; i < n; i++) sum += keys[i] ^ fj_random(keys[i]);
    return sum;
}

bool fj_keys_make(fj_job *job) {
    job->keys = malloc(job->n * sizeof(uint64_t));
    job->scratch = malloc(job->n * sizeof(uint64_t));
    job->input = malloc(job->n * sizeof(uint64_t));
    if (job->keys == NULL || job->scratch == NULL || job->input == NULL) return false;
    for (uint64_t i = 0; i < job->n; i++) job->input[i] = fj_random(i);
    memset(job->scratch, 0, job->n * sizeof(uint64_t));
    job->expected = fingerprint(job->input, job->n);
    return true;
}

void fj_keys_refresh(fj_job *job) {
    memcpy(job->keys, job->input, job->n * sizeof(uint64_t));
}

bool fj_keys_right(const fj_job *job, uint64_t result) {
    if (result != 0) return false;
    for (uint64_t i = 1; i < job->n; i++)
        if (job->keys[i - 1] > job->keys[i]) return false;
    return fingerprint(job->keys, job->n) == job->expected;
}
