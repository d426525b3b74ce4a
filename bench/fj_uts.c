/* fj_uts.c: counts the nodes of an unbalanced tree, which nobody can foretell.
 *
 * Source: Olivier et al., "UTS: An Unbalanced Tree Search Benchmark", LCPC 2006. A node's state is a
 * SHA-1: of the parent's state and the child's number, big-endian; the root's, of sixteen zero bytes and
 * the seed, big-endian. Its last four bytes without the top bit, divided by 2^31, are the node's random
 * number u. Two of the sample trees that come with the benchmark, and the number of their nodes:
 *
 *   T1  geometric, fixed: mean of 4 children above depth 10, seed 19      4130071 nodes
 *   T3  binomial: 2000 children of the root, then 8 with probability 0.124875, seed 42    4112897 nodes
 *
 * Keeps: a smaller tree, for quick runs, has no published count; the sequential twin counts it once.
 *
 * SPDX-License-Identifier: MIT */
#include "fj_parts.h"
#include "fj_workloads.h"

#include <math.h>
#include <string.h>

enum { T1_NODES = 4130071, T3_NODES = 4112897, CHILDREN_MAX = 100 };

const fj_shape fj_shape_t1 = {.geometric = true, .depth = 10, .root_children = 4, .seed = 19};
const fj_shape fj_shape_t3 = {
    .root_children = 2000, .children = 8, .probability = 0.124875, .seed = 42};
const fj_shape fj_shape_t1_small = {.geometric = true, .depth = 6, .root_children = 4, .seed = 19};
const fj_shape fj_shape_t3_small = {
    .root_children = 40, .children = 8, .probability = 0.124, .seed = 42};

/* SHA-1 of at most 55 bytes, which is one block (FIPS 180-4) -------------------------------------- */

static uint32_t rotate(uint32_t word, int by) {
    return word << by | word >> (32 - by);
}

static uint32_t load_big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void store_big_endian(uint8_t *bytes, uint32_t word) {
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(word >> (24 - 8 * i));
}

/* The next word of the schedule, of which the last sixteen are kept. */
static inline uint32_t expand(uint32_t w[16], int t) {
    if (t < 16) return w[t];
    uint32_t word = w[(t - 3) & 15] ^ w[(t - 8) & 15] ^ w[(t - 14) & 15] ^ w[t & 15];
    return w[t & 15] = rotate(word, 1);
}

#define ROUNDS(from, to, function, constant)                                                       \
    for (int t = from; t < to; t++) {                                                              \
        uint32_t next = rotate(a, 5) + (function) + e + (constant) + expand(w, t);                 \
        e = d, d = c, c = rotate(b, 30), b = a, a = next;                                          \
    }

static void sha1_block(uint32_t w[16], uint8_t digest[20]) {
    static const uint32_t start[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint32_t a = start[0], b = start[1], c = start[2], d = start[3], e = start[4];
    ROUNDS(0, 20, (b & c) | (~b & d), 0x5a827999)
    ROUNDS(20, 40, b ^ c ^ d, 0x6ed9eba1)
    ROUNDS(40, 60, (b & c) | (b & d) | (c & d), 0x8f1bbcdc)
    ROUNDS(60, 80, b ^ c ^ d, 0xca62c1d6)
    const uint32_t end[5] = {a, b, c, d, e};
    for (int i = 0; i < 5; i++) store_big_endian(digest + 4 * i, start[i] + end[i]);
}

/* The nodes --------------------------------------------------------------------------------------- */

/* SHA-1 of `words` words. */
static void hash_words(uint32_t w[16], int words, uint8_t digest[20]) {
    w[words] = UINT32_C(0x80000000);
    for (int i = words + 1; i < 15; i++) w[i] = 0;
    w[15] = (uint32_t)words * 32;
    sha1_block(w, digest);
}

FJ_PART void fj_node_root(const fj_shape *shape, fj_node *root) {
    uint32_t w[16] = {0, 0, 0, 0, shape->seed};
    hash_words(w, 5, root->state);
    root->height = 0;
}

FJ_PART void fj_node_child(const fj_node *parent, int index, fj_node *child) {
    uint32_t w[16];
    for (int i = 0; i < 5; i++) w[i] = load_big_endian(parent->state + 4 * i);
    w[5] = (uint32_t)index;
    hash_words(w, 6, child->state);
    child->height = parent->height + 1;
}

static double random_of(const fj_node *node) {
    return (double)(load_big_endian(node->state + 16) & UINT32_C(0x7fffffff)) / 2147483648.0;
}

FJ_PART int fj_node_children(const fj_shape *shape, const fj_node *node) {
    if (!shape->geometric) {
        if (node->height == 0) return shape->root_children;
        return random_of(node) < shape->probability ? shape->children : 0;
    }
    if (node->height > 0 && node->height >= shape->depth) return 0;
    double none = 1.0 / (1.0 + shape->root_children);
    int children = (int)floor(log(1 - random_of(node)) / log(1 - none));
    return children < CHILDREN_MAX ? children : CHILDREN_MAX;
}

/* The sequential twin ------------------------------------------------------------------------------ */

uint64_t fj_uts_call(const fj_shape *shape, const fj_node *node);

FJ_PART uint64_t fj_uts_call(const fj_shape *shape, const fj_node *node) {
    uint64_t nodes = 1;
    int children = fj_node_children(shape, node);
    for (int i = 0; i < children; i++) {
        fj_node child;
        fj_node_child(node, i, &child);
        nodes += fj_uts_call(shape, &child);
    }
    return nodes;
}

uint64_t fj_uts_sequential(void *pool, const fj_job *job) {
    fj_node root;
    (void)pool;
    fj_node_root(job->shape, &root);
    return fj_uts_call(job->shape, &root);
}

bool fj_uts_make(fj_job *job) {
    if (job->shape == &fj_shape_t1)
        job->expected = T1_NODES;
    else if (job->shape == &fj_shape_t3)
        job->expected = T3_NODES;
    else
        job->expected = fj_uts_sequential(NULL, job);
    return true;
}
