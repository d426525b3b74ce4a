/* filch/reducible.h: reductions and prefix sums with types: what filch/parallel.h does with bytes and pointers to void.
 *
 *     FILCH_REDUCIBLE(double, dot, 0.0, left + right, const struct vectors *, v) {
 *         return v->a[i] * v->b[i];
 *     }
 *     rc = dot_reduce(executor, 0, n, 0, &vectors, &product);
 *
 *     FILCH_SCANNABLE(long, prefix_sums, 0, left + right);
 *     rc = prefix_sums(executor, numbers, sums, n);
 *
 * FILCH_REDUCIBLE(T, name, identity, combined, C, context), followed by a body, defines
 *
 *     T name(int64_t i, C context)      the body: the value of one index
 *     int name_reduce(filch_executor *, int64_t begin, int64_t end, int64_t grain, C context, T *result)
 *                                       filch_parallel_reduce with it; result is set on success only, not NULL
 *
 * FILCH_SCANNABLE(T, name, identity, combined), followed by a semicolon, defines
 *
 *     int name(filch_executor *, const T *in, T *out, size_t n)
 *                                       out[i] is in[0] to in[i] put together; out may be in; neither is NULL if
 *                                       n is not 0
 *
 * T         a complete type that is copied as bytes: a number, a pointer, a struct
 * identity  an expression of type T, the value of an empty range
 * combined  an expression of `left` and `right`, both of type T: left followed by right. Associative; it need not be
 *           commutative. Sums of floating-point numbers are associated as the range was split, which differs
 *           from run to run.
 * C         a pointer type
 * Returns   as filch_parallel_reduce, filch_parallel_scan; FILCH_EINVAL (NULL).
 * A wrong type is the compiler's error, and the body is inlined into the loop. `static` is part of the macros.
 * Since: 0.1. Source: ParlayLib's reduce and scan; FILCH_FORKABLE_n.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_REDUCIBLE_H
#define FILCH_REDUCIBLE_H

#include <filch/parallel.h>

#define FILCH_REDUCIBLE__UNUSED __attribute__((__unused__))

/* Of two functions' values, as filch_reduction has them. */
#define FILCH_REDUCIBLE__COMBINE(T, name, combined)                                                \
    static FILCH_REDUCIBLE__UNUSED void name##_combine(                                            \
        void *filch_left_, const void *filch_right_, void *filch_context_) {                       \
        T left = *(T *)filch_left_;                                                                \
        const T right = *(const T *)filch_right_;                                                  \
        (void)filch_context_;                                                                      \
        *(T *)filch_left_ = (combined);                                                            \
    }

#define FILCH_REDUCIBLE(T, name, identity_, combined, C, context_)                                 \
    static inline T name(int64_t i, C context_);                                                   \
    FILCH_REDUCIBLE__COMBINE(T, name, combined)                                                    \
    static FILCH_REDUCIBLE__UNUSED int name##_part(int64_t filch_begin_, int64_t filch_end_,       \
                                                   void *filch_context_, void *filch_value_) {     \
        T left = *(T *)filch_value_;                                                               \
        for (int64_t filch_i_ = filch_begin_; filch_i_ < filch_end_; filch_i_++) {                 \
            const T right = name(filch_i_, (C)filch_context_);                                     \
            left = (combined);                                                                     \
        }                                                                                          \
        *(T *)filch_value_ = left;                                                                 \
        return 0;                                                                                  \
    }                                                                                              \
    static FILCH_REDUCIBLE__UNUSED int name##_reduce(                                              \
        filch_executor *filch_executor_, int64_t filch_begin_, int64_t filch_end_,                 \
        int64_t filch_grain_, C context_, T *filch_result_) {                                      \
        const T filch_identity_ = (identity_);                                                     \
        filch_reduction filch_reduction_ = FILCH_REDUCTION_INIT;                                   \
        filch_reduction_.size = sizeof(T);                                                         \
        filch_reduction_.identity = &filch_identity_;                                              \
        filch_reduction_.body = name##_part;                                                       \
        filch_reduction_.combine = name##_combine;                                                 \
        filch_reduction_.context = (void *)(uintptr_t)context_;                                    \
        return filch_parallel_reduce(filch_executor_, filch_begin_, filch_end_, filch_grain_,      \
                                     &filch_reduction_, filch_result_);                            \
    }                                                                                              \
    static inline T name(int64_t i, C context_)

#define FILCH_SCANNABLE(T, name, identity_, combined)                                              \
    struct name##_arrays {                                                                         \
        const T *in;                                                                               \
        T *out;                                                                                    \
    };                                                                                             \
    FILCH_REDUCIBLE__COMBINE(T, name, combined)                                                    \
    static int name##_reduce_part(int64_t filch_begin_, int64_t filch_end_, void *filch_context_,  \
                                  void *filch_value_) {                                            \
        const struct name##_arrays *filch_arrays_ = (const struct name##_arrays *)filch_context_;  \
        T left = *(T *)filch_value_;                                                               \
        for (int64_t filch_i_ = filch_begin_; filch_i_ < filch_end_; filch_i_++) {                 \
            const T right = filch_arrays_->in[filch_i_];                                           \
            left = (combined);                                                                     \
        }                                                                                          \
        *(T *)filch_value_ = left;                                                                 \
        return 0;                                                                                  \
    }                                                                                              \
    static int name##_scan_part(int64_t filch_begin_, int64_t filch_end_, void *filch_context_,    \
                                void *filch_value_) {                                              \
        const struct name##_arrays *filch_arrays_ = (const struct name##_arrays *)filch_context_;  \
        T left = *(T *)filch_value_;                                                               \
        for (int64_t filch_i_ = filch_begin_; filch_i_ < filch_end_; filch_i_++) {                 \
            const T right = filch_arrays_->in[filch_i_];                                           \
            left = (combined);                                                                     \
            filch_arrays_->out[filch_i_] = left;                                                   \
        }                                                                                          \
        *(T *)filch_value_ = left;                                                                 \
        return 0;                                                                                  \
    }                                                                                              \
    static FILCH_REDUCIBLE__UNUSED int name(filch_executor *filch_executor_, const T *filch_in_,   \
                                            T *filch_out_, size_t filch_n_) {                      \
        const T filch_identity_ = (identity_);                                                     \
        struct name##_arrays filch_arrays_;                                                        \
        filch_scan filch_scan_ = FILCH_SCAN_INIT;                                                  \
        filch_arrays_.in = filch_in_;                                                              \
        filch_arrays_.out = filch_out_;                                                            \
        filch_scan_.reduction.size = sizeof(T);                                                    \
        filch_scan_.reduction.identity = &filch_identity_;                                         \
        filch_scan_.reduction.body = name##_reduce_part;                                           \
        filch_scan_.reduction.combine = name##_combine;                                            \
        filch_scan_.reduction.context = &filch_arrays_;                                            \
        filch_scan_.body = name##_scan_part;                                                       \
        /* Without arrays, or with more than there are, the scan refuses itself. */                \
        if (filch_in_ == (const T *)0 || filch_out_ == (T *)0 || filch_n_ > INT64_MAX) {           \
            if (filch_n_ == 0) return 0;                                                           \
            filch_scan_.body = (int (*)(int64_t, int64_t, void *, void *))0;                       \
            filch_n_ = 1;                                                                          \
        }                                                                                          \
        return filch_parallel_scan(filch_executor_, 0, (int64_t)filch_n_, 0, &filch_scan_,         \
                                   (void *)0);                                                     \
    }                                                                                              \
    struct name##_arrays /* for the semicolon */

#endif
