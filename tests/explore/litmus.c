/* litmus.c: the model itself: small programs whose outcomes under C++20 are known. Each outcome that is listed
 * must come up in an exhaustive search, and no other.
 *
 * Not listed although C++20 allows them: what README.md says the model cannot show.
 *
 * SPDX-License-Identifier: MIT */
#include "explorer.h"

#include <filch/atomic.h>
#include <stdio.h>

static struct {
    uint32_t x, y;
    uint32_t data; /* plain */
    uint32_t a, b, c, d;
} v;

static void begin(void) {
    filch_store_relaxed(&v.x, 0u);
    filch_store_relaxed(&v.y, 0u);
    v.data = 0;
    v.a = v.b = v.c = v.d = 0;
}

static void run(void (*first)(void *), void (*second)(void *), void (*third)(void *),
                void (*fourth)(void *)) {
    begin();
    explore_spawn(first, NULL);
    if (second != NULL) explore_spawn(second, NULL);
    if (third != NULL) explore_spawn(third, NULL);
    if (fourth != NULL) explore_spawn(fourth, NULL);
    explore_join();
}

static void outcome(int count) {
    char text[8];
    const uint32_t values[] = {v.a, v.b, v.c, v.d};
    for (int i = 0; i < count; i++) text[i] = (char)('0' + values[i]);
    text[count] = '\0';
    explore_outcome(text);
}

static const char *const of_two[] = {"00", "01", "10", "11", NULL};
static const char *const not_00[] = {"01", "10", "11", NULL};
static const char *const not_10[] = {"00", "01", "11", NULL};

/* Store buffering --------------------------------------------------------------------------------- */

#define SB(name, store, fence, load)                                                               \
    static void name##_1(void *unused) {                                                           \
        (void)unused;                                                                              \
        store(&v.x, 1u);                                                                           \
        fence;                                                                                     \
        v.a = load(&v.y);                                                                          \
    }                                                                                              \
    static void name##_2(void *unused) {                                                           \
        (void)unused;                                                                              \
        store(&v.y, 1u);                                                                           \
        fence;                                                                                     \
        v.b = load(&v.x);                                                                          \
    }                                                                                              \
    static void name(void) {                                                                       \
        run(name##_1, name##_2, NULL, NULL);                                                       \
        outcome(2);                                                                                \
    }
SB(sb_relaxed, filch_store_relaxed, (void)0, filch_load_relaxed)
SB(sb_release, filch_store_release, (void)0, filch_load_acquire)
SB(sb_seq_cst, filch_store_seq_cst, (void)0, filch_load_seq_cst)
SB(sb_fence, filch_store_relaxed, filch_fence_seq_cst(), filch_load_relaxed)
SB(sb_mixed, filch_store_seq_cst, (void)0, filch_load_relaxed)

/* A seq_cst read-modify-write is no fence for other places. */
static void sb_rmw_1(void *unused) {
    (void)unused;
    uint32_t was = 0;
    filch_store_relaxed(&v.x, 1u);
    filch_cas_seq_cst(&v.c, &was, 1u);
    v.a = filch_load_relaxed(&v.y);
}
static void sb_rmw_2(void *unused) {
    (void)unused;
    uint32_t was = 0;
    filch_store_relaxed(&v.y, 1u);
    filch_cas_seq_cst(&v.d, &was, 1u);
    v.b = filch_load_relaxed(&v.x);
}
static void sb_rmw(void) {
    run(sb_rmw_1, sb_rmw_2, NULL, NULL);
    outcome(2);
}

/* Message passing --------------------------------------------------------------------------------- */

#define MP(name, store, load)                                                                      \
    static void name##_1(void *unused) {                                                           \
        (void)unused;                                                                              \
        filch_store_relaxed(&v.x, 1u);                                                             \
        store(&v.y, 1u);                                                                           \
    }                                                                                              \
    static void name##_2(void *unused) {                                                           \
        (void)unused;                                                                              \
        v.a = load(&v.y);                                                                          \
        v.b = filch_load_relaxed(&v.x);                                                            \
    }                                                                                              \
    static void name(void) {                                                                       \
        run(name##_1, name##_2, NULL, NULL);                                                       \
        outcome(2);                                                                                \
    }
MP(mp_relaxed, filch_store_relaxed, filch_load_relaxed)
MP(mp_release_only, filch_store_release, filch_load_relaxed)
MP(mp_acquire_only, filch_store_relaxed, filch_load_acquire)
MP(mp, filch_store_release, filch_load_acquire)

/* Fences on both sides, relaxed accesses. */
static void mp_fences_1(void *unused) {
    (void)unused;
    filch_store_relaxed(&v.x, 1u);
    filch_fence_seq_cst();
    filch_store_relaxed(&v.y, 1u);
}
static void mp_fences_2(void *unused) {
    (void)unused;
    v.a = filch_load_relaxed(&v.y);
    filch_fence_seq_cst();
    v.b = filch_load_relaxed(&v.x);
}
static void mp_fences(void) {
    run(mp_fences_1, mp_fences_2, NULL, NULL);
    outcome(2);
}

/* Release sequences ------------------------------------------------------------------------------- */

/* A read-modify-write by another thread carries the release on; a plain store by the same one does not. */
static void rs_writer(void *unused) {
    (void)unused;
    filch_store_relaxed(&v.x, 1u);
    filch_store_release(&v.y, 1u);
}
static void rs_rmw_2(void *unused) {
    (void)unused;
    uint32_t one = 1;
    filch_cas_relaxed(&v.y, &one, 2u);
}
static void rs_rmw_3(void *unused) {
    (void)unused;
    v.a = filch_load_acquire(&v.y) == 2;
    v.b = filch_load_relaxed(&v.x);
}
static void rs_rmw(void) {
    run(rs_writer, rs_rmw_2, rs_rmw_3, NULL);
    outcome(2);
}
static void rs_store_1(void *unused) {
    rs_writer(unused);
    filch_store_relaxed(&v.y, 2u);
}
static void rs_store(void) {
    run(rs_store_1, rs_rmw_3, NULL, NULL);
    outcome(2);
}

/* Coherence --------------------------------------------------------------------------------------- */

static void corr_1(void *unused) {
    (void)unused;
    filch_store_relaxed(&v.x, 1u);
}
static void corr_2(void *unused) {
    (void)unused;
    v.a = filch_load_relaxed(&v.x);
    v.b = filch_load_relaxed(&v.x);
}
static void corr(void) {
    run(corr_1, corr_2, NULL, NULL);
    outcome(2);
}

/* What another thread has read, and told of, is not read older: reads are coherent along happens-before. */
static void corr_told_2(void *unused) {
    (void)unused;
    v.a = filch_load_relaxed(&v.x);
    filch_store_release(&v.y, v.a);
}
static void corr_told_3(void *unused) {
    (void)unused;
    uint32_t told = filch_load_acquire(&v.y);
    v.b = told;
    v.c = filch_load_relaxed(&v.x);
}
static void corr_told(void) {
    run(corr_1, corr_told_2, corr_told_3, NULL);
    v.a = v.b;
    v.b = v.c;
    outcome(2);
}

/* Two increments never meet the same value. */
static void atomicity_1(void *unused) {
    (void)unused;
    v.a = filch_fetch_add_relaxed(&v.x, 1u);
}
static void atomicity_2(void *unused) {
    (void)unused;
    v.b = filch_fetch_add_relaxed(&v.x, 1u);
}
static void atomicity(void) {
    run(atomicity_1, atomicity_2, NULL, NULL);
    outcome(2);
}
static const char *const of_atomicity[] = {"01", "10", NULL};

/* Independent reads of independent writes ------------------------------------------------------------ */

#define IRIW(name, load, fence)                                                                    \
    static void name##_3(void *unused) {                                                           \
        (void)unused;                                                                              \
        v.a = load(&v.x);                                                                          \
        fence;                                                                                     \
        v.b = load(&v.y);                                                                          \
    }                                                                                              \
    static void name##_4(void *unused) {                                                           \
        (void)unused;                                                                              \
        v.c = load(&v.y);                                                                          \
        fence;                                                                                     \
        v.d = load(&v.x);                                                                          \
    }                                                                                              \
    static void name(void) {                                                                       \
        run(iriw_1, iriw_2, name##_3, name##_4);                                                   \
        bool split = v.a == 1 && v.b == 0 && v.c == 1 && v.d == 0;                                 \
        explore_outcome(split ? "split" : "agreed");                                               \
    }
static void iriw_1(void *unused) {
    (void)unused;
    filch_store_seq_cst(&v.x, 1u);
}
static void iriw_2(void *unused) {
    (void)unused;
    filch_store_seq_cst(&v.y, 1u);
}
IRIW(iriw_acquire, filch_load_acquire, (void)0)
IRIW(iriw_fence, filch_load_relaxed, filch_fence_seq_cst())
IRIW(iriw_seq_cst, filch_load_seq_cst, (void)0)
static const char *const split[] = {"split", "agreed", NULL};
static const char *const agreed[] = {"agreed", NULL};

static const char *const not_1_0_of_told[] = {"00", "01", "11", NULL};

const struct explore_scenario litmus_scenarios[] = {
    {"litmus_sb_relaxed", sb_relaxed, -1, -1, of_two},
    {"litmus_sb_release", sb_release, -1, -1, of_two},
    {"litmus_sb_seq_cst", sb_seq_cst, -1, -1, not_00},
    {"litmus_sb_fence", sb_fence, -1, -1, not_00},
    {"litmus_sb_mixed", sb_mixed, -1, -1, of_two},
    {"litmus_sb_rmw", sb_rmw, -1, -1, of_two},
    {"litmus_mp_relaxed", mp_relaxed, -1, -1, of_two},
    {"litmus_mp_release_only", mp_release_only, -1, -1, of_two},
    {"litmus_mp_acquire_only", mp_acquire_only, -1, -1, of_two},
    {"litmus_mp", mp, -1, -1, not_10},
    {"litmus_mp_fences", mp_fences, -1, -1, not_10},
    {"litmus_rs_rmw", rs_rmw, -1, -1, not_10},
    {"litmus_rs_store", rs_store, -1, -1, of_two},
    {"litmus_corr", corr, -1, -1, not_10},
    {"litmus_corr_told", corr_told, -1, -1, not_1_0_of_told},
    {"litmus_atomicity", atomicity, -1, -1, of_atomicity},
    {"litmus_iriw_acquire", iriw_acquire, -1, -1, split},
    {"litmus_iriw_fence", iriw_fence, -1, -1, agreed},
    {"litmus_iriw_seq_cst", iriw_seq_cst, -1, -1, agreed},
    {NULL, NULL, 0, 0, NULL}};
