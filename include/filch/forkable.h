/* filch/forkable.h: functions that can be forked, typed: the fastest form of fork-join.
 *
 *     FILCH_FORKABLE_1(long, fib, long, n) {
 *         if (n < 2) return n;
 *         fib_frame left;
 *         fib_fork(&left, n - 1);
 *         long right = fib(n - 2);
 *         return fib_join(&left) + right;
 *     }
 *
 * FILCH_FORKABLE_n(R, name, T1, a1, ..., Tn, an), n from 0 to 6, followed by a body, defines
 *
 *     R name(T1 a1, ..., Tn an)                             the plain function
 *     name_frame                                            a type, for one call that is forked
 *     void name_fork(name_frame *, T1 a1, ..., Tn an)       forks it
 *     void name_fork_next(filch_forks *, name_frame *, T1 a1, ..., Tn an)
 *                                                           the same, in a row (filch_forks_begin)
 *     R name_join(name_frame *)                             joins it, and gives its value
 *
 * so that the join of a call that nobody has taken is a direct call, which the compiler can inline, and no
 * indirect one. `static` may stand before it. FILCH_FORKABLE_DECLARE_n with the same arguments, and a
 * semicolon, is for headers and for functions that call each other; the function itself is then defined as
 * any other. FILCH_FORKABLE_VOID_n(name, T1, a1, ...) and FILCH_FORKABLE_VOID_DECLARE_n are for functions
 * without a value.
 *
 * R and the Ti are complete types that are copied as bytes: numbers, pointers, structs; no arrays. Up to 48
 * bytes of arguments, and as much of a value, travel in one cache line; larger ones work, through the frame.
 * The rules of frames, threads, cancellation and forks outside of a task are those of filch/fork.h, but that
 * with FILCH_DEBUG defined a join out of order ends the program with a message. A frame is not copied while it
 * waits for its join.
 * Since: 0.1. Source: TASK_n of Lace.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_FORKABLE_H
#define FILCH_FORKABLE_H

#include <filch/lane.h>

#define FILCH_FORKABLE__BARE(...) __VA_ARGS__
#define FILCH_FORKABLE__COLD __attribute__((__noinline__, __cold__, __unused__))

/* gcc inlines a recursive function into itself, which is worth a quarter of its time, up to a size that is larger
 * for functions that say so. With the declaration before it this is an external definition in C; in C++ it would not
 * be. */
#if defined(__cplusplus)
#define FILCH_FORKABLE__INLINE
#else
#define FILCH_FORKABLE__INLINE inline
#endif

#if defined(FILCH_DEBUG)
#define FILCH_FORKABLE__CHECK(name, slot)                                                          \
    if (!filch_join_is_next(slot)) filch_join_misplaced(#name)
#define FILCH_FORKABLE__CHECK_ROW(name, slot)                                                      \
    if (!filch_forks_are_next(slot)) filch_forks_misplaced(#name)
#else
#define FILCH_FORKABLE__CHECK(name, slot) ((void)0)
#define FILCH_FORKABLE__CHECK_ROW(name, slot) ((void)0)
#endif

/* Arguments and value in a slot; in the frame, if they are big. */
#define FILCH_FORKABLE__TYPES(name, fields, out_size, out_alignment)                               \
    typedef struct name##_in {                                                                     \
        FILCH_FORKABLE__BARE fields                                                                \
    } __attribute__((__may_alias__)) name##_in;                                                    \
    enum {                                                                                         \
        name##_is_big = sizeof(name##_in) > FILCH_SLOT_BYTES || (out_size) > FILCH_SLOT_BYTES ||   \
                        __alignof__(name##_in) > FILCH_SLOT_ALIGNMENT ||                           \
                        (out_alignment) > FILCH_SLOT_ALIGNMENT,                                    \
        name##_room = sizeof(name##_in) > (out_size) ? sizeof(name##_in) : (out_size),             \
        name##_alignment =                                                                         \
            __alignof__(name##_in) > (out_alignment) ? __alignof__(name##_in) : (out_alignment)    \
    };                                                                                             \
    typedef struct name##_frame {                                                                  \
        filch_slot *at;                                                                            \
        unsigned char big[name##_is_big ? name##_room : 1]                                         \
            __attribute__((__aligned__(name##_is_big ? name##_alignment : 1)));                    \
    } name##_frame;                                                                                \
    static filch_always_inline void *name##_place(filch_slot *filch_slot_) {                       \
        return name##_is_big ? filch_slot_->place.pointer : (void *)filch_slot_->place.bytes;      \
    }

/* `run`: calls it with what a slot has, and keeps the value there. */
#define FILCH_FORKABLE__FORK(name, parameters, arguments, stores, run)                             \
    static FILCH_FORKABLE__COLD void name##_in_slot(filch_slot *filch_slot_) {                     \
        name##_in *filch_in_ = (name##_in *)name##_place(filch_slot_);                             \
        (void)filch_in_;                                                                           \
        run;                                                                                       \
    }                                                                                              \
    static FILCH_FORKABLE__COLD void name##_fork_slow(                                             \
        filch_slot *filch_slot_, void *filch_big_ FILCH_FORKABLE__BARE parameters) {               \
        name##_in *filch_in_;                                                                      \
        filch_slot_ = filch_fork_slow(filch_slot_);                                                \
        if (filch_slot_ == (filch_slot *)0) return;                                                \
        if (name##_is_big) filch_slot_->place.pointer = filch_big_;                                \
        filch_in_ = (name##_in *)name##_place(filch_slot_);                                        \
        (void)filch_in_;                                                                           \
        FILCH_FORKABLE__BARE stores filch_fork_at_once(filch_slot_, name##_in_slot);               \
    }                                                                                              \
    static filch_always_inline bool name##_push(                                                   \
        filch_lane *filch_lane_, filch_slot *filch_slot_,                                          \
        name##_frame *filch_frame_ FILCH_FORKABLE__BARE parameters) {                              \
        void *filch_big_ = name##_is_big ? (void *)filch_frame_->big : (void *)0;                  \
        name##_in *filch_in_ =                                                                     \
            (name##_in *)(name##_is_big ? filch_big_ : (void *)filch_slot_->place.bytes);          \
        filch_frame_->at = filch_slot_;                                                            \
        filch_lane_name(filch_slot_, name##_in_slot);                                              \
        if (name##_is_big) filch_slot_->place.pointer = filch_big_;                                \
        FILCH_FORKABLE__BARE stores filch_written(*filch_in_);                                     \
        if (name##_is_big) filch_written(filch_slot_->place);                                      \
        if (__builtin_expect(!filch_lane_push(filch_lane_, filch_slot_), 1)) return true;          \
        name##_fork_slow(filch_slot_, filch_big_ FILCH_FORKABLE__BARE arguments);                  \
        return false;                                                                              \
    }                                                                                              \
    static filch_always_inline void name##_fork(                                                   \
        name##_frame *filch_frame_ FILCH_FORKABLE__BARE parameters) {                              \
        filch_lane *filch_lane_ = filch_lane_self;                                                 \
        (void)name##_push(filch_lane_, filch_lane_next(filch_lane_),                               \
                          filch_frame_ FILCH_FORKABLE__BARE arguments);                            \
    }                                                                                              \
    static filch_always_inline void name##_fork_next(                                              \
        filch_forks *filch_forks_, name##_frame *filch_frame_ FILCH_FORKABLE__BARE parameters) {   \
        filch_slot *filch_slot_ = filch_forks_->next;                                              \
        FILCH_FORKABLE__CHECK_ROW(name, filch_slot_);                                              \
        filch_forks_->next = filch_slot_ + 1;                                                      \
        if (!name##_push(filch_forks_->lane, filch_slot_,                                          \
                         filch_frame_ FILCH_FORKABLE__BARE arguments))                             \
            /* it may have given the thread another lane */                                        \
            *filch_forks_ = filch_forks_begin();                                                   \
    }

/* `finish`: leaves the function with the value that the slot has. */
#define FILCH_FORKABLE__RETURN(value) return value
#define FILCH_FORKABLE__AND_RETURN(call)                                                           \
    do {                                                                                           \
        call;                                                                                      \
        return;                                                                                    \
    } while (0)
#define FILCH_FORKABLE__JOIN(R, name, values, leave, finish)                                       \
    static FILCH_FORKABLE__COLD R name##_join_slow(filch_slot *filch_slot_) {                      \
        filch_slot *filch_done_ = filch_join_slow(filch_slot_);                                    \
        if (filch_done_ == (filch_slot *)0) {                                                      \
            name##_in *filch_in_ = (name##_in *)name##_place(filch_slot_);                         \
            (void)filch_in_;                                                                       \
            leave(name values);                                                                    \
        }                                                                                          \
        finish;                                                                                    \
    }                                                                                              \
    static filch_always_inline R name##_join(name##_frame *filch_frame_) {                         \
        filch_lane *filch_lane_ = filch_lane_self;                                                 \
        filch_slot *filch_slot_ = filch_frame_->at;                                                \
        name##_in *filch_in_ = (name##_in *)(name##_is_big ? (void *)filch_frame_->big             \
                                                           : (void *)filch_slot_->place.bytes);    \
        (void)filch_in_;                                                                           \
        FILCH_FORKABLE__CHECK(name, filch_slot_);                                                  \
        if (__builtin_expect(filch_lane_pop(filch_lane_, filch_slot_), 0))                         \
            leave(name##_join_slow(filch_slot_));                                                  \
        leave(name values);                                                                        \
    }                                                                                              \
    struct name##_frame /* for the semicolon */

#define FILCH_FORKABLE__KEEP(R, name, values)                                                      \
    R filch_out_ = name values;                                                                    \
    __builtin_memcpy(name##_place(filch_slot_), &filch_out_, sizeof filch_out_)
#define FILCH_FORKABLE__GIVE(R, name)                                                              \
    R filch_out_;                                                                                  \
    if (filch_done_->skipped)                                                                      \
        __builtin_memset(&filch_out_, 0, sizeof filch_out_);                                       \
    else                                                                                           \
        __builtin_memcpy(&filch_out_, name##_place(filch_done_), sizeof filch_out_);               \
    return filch_out_
#define FILCH_FORKABLE__CALL(name, values) name values

#define FILCH_FORKABLE__VALUE(R, name, parameters, more, arguments, fields, stores, values)        \
    R name parameters;                                                                             \
    FILCH_FORKABLE__TYPES(name, fields, sizeof(R), __alignof__(R))                                 \
    FILCH_FORKABLE__FORK(name, more, arguments, stores, FILCH_FORKABLE__KEEP(R, name, values))     \
    FILCH_FORKABLE__JOIN(R, name, values, FILCH_FORKABLE__RETURN, FILCH_FORKABLE__GIVE(R, name))
#define FILCH_FORKABLE__VOID(name, parameters, more, arguments, fields, stores, values)            \
    void name parameters;                                                                          \
    FILCH_FORKABLE__TYPES(name, fields, 0, 1)                                                      \
    FILCH_FORKABLE__FORK(name, more, arguments, stores, FILCH_FORKABLE__CALL(name, values))        \
    FILCH_FORKABLE__JOIN(void, name, values, FILCH_FORKABLE__AND_RETURN, return )

#define FILCH_FORKABLE_DECLARE_0(R, name)                                                          \
    FILCH_FORKABLE__VALUE(R, name, (void), (), (), (char none;), (), ())
#define FILCH_FORKABLE_0(R, name)                                                                  \
    FILCH_FORKABLE_DECLARE_0(R, name);                                                             \
    FILCH_FORKABLE__INLINE R name(void)
#define FILCH_FORKABLE_VOID_DECLARE_0(name)                                                        \
    FILCH_FORKABLE__VOID(name, (void), (), (), (char none;), (), ())
#define FILCH_FORKABLE_VOID_0(name)                                                                \
    FILCH_FORKABLE_VOID_DECLARE_0(name);                                                           \
    FILCH_FORKABLE__INLINE void name(void)
#define FILCH_FORKABLE_DECLARE_1(R, name, T1, a1)                                                  \
    FILCH_FORKABLE__VALUE(R, name, (T1 a1), (, T1 a1), (, a1), (T1 a1;), (filch_in_->a1 = a1;),    \
                          (filch_in_->a1))
#define FILCH_FORKABLE_1(R, name, T1, a1)                                                          \
    FILCH_FORKABLE_DECLARE_1(R, name, T1, a1);                                                     \
    FILCH_FORKABLE__INLINE R name(T1 a1)
#define FILCH_FORKABLE_VOID_DECLARE_1(name, T1, a1)                                                \
    FILCH_FORKABLE__VOID(name, (T1 a1), (, T1 a1), (, a1), (T1 a1;), (filch_in_->a1 = a1;),        \
                         (filch_in_->a1))
#define FILCH_FORKABLE_VOID_1(name, T1, a1)                                                        \
    FILCH_FORKABLE_VOID_DECLARE_1(name, T1, a1);                                                   \
    FILCH_FORKABLE__INLINE void name(T1 a1)
#define FILCH_FORKABLE_DECLARE_2(R, name, T1, a1, T2, a2)                                          \
    FILCH_FORKABLE__VALUE(R, name, (T1 a1, T2 a2), (, T1 a1, T2 a2), (, a1, a2), (T1 a1; T2 a2;),  \
                          (filch_in_->a1 = a1; filch_in_->a2 = a2;),                               \
                          (filch_in_->a1, filch_in_->a2))
#define FILCH_FORKABLE_2(R, name, T1, a1, T2, a2)                                                  \
    FILCH_FORKABLE_DECLARE_2(R, name, T1, a1, T2, a2);                                             \
    FILCH_FORKABLE__INLINE R name(T1 a1, T2 a2)
#define FILCH_FORKABLE_VOID_DECLARE_2(name, T1, a1, T2, a2)                                        \
    FILCH_FORKABLE__VOID(name, (T1 a1, T2 a2), (, T1 a1, T2 a2), (, a1, a2), (T1 a1; T2 a2;),      \
                         (filch_in_->a1 = a1; filch_in_->a2 = a2;),                                \
                         (filch_in_->a1, filch_in_->a2))
#define FILCH_FORKABLE_VOID_2(name, T1, a1, T2, a2)                                                \
    FILCH_FORKABLE_VOID_DECLARE_2(name, T1, a1, T2, a2);                                           \
    FILCH_FORKABLE__INLINE void name(T1 a1, T2 a2)
#define FILCH_FORKABLE_DECLARE_3(R, name, T1, a1, T2, a2, T3, a3)                                  \
    FILCH_FORKABLE__VALUE(R, name, (T1 a1, T2 a2, T3 a3), (, T1 a1, T2 a2, T3 a3), (, a1, a2, a3), \
                          (T1 a1; T2 a2; T3 a3;),                                                  \
                          (filch_in_->a1 = a1; filch_in_->a2 = a2; filch_in_->a3 = a3;),           \
                          (filch_in_->a1, filch_in_->a2, filch_in_->a3))
#define FILCH_FORKABLE_3(R, name, T1, a1, T2, a2, T3, a3)                                          \
    FILCH_FORKABLE_DECLARE_3(R, name, T1, a1, T2, a2, T3, a3);                                     \
    FILCH_FORKABLE__INLINE R name(T1 a1, T2 a2, T3 a3)
#define FILCH_FORKABLE_VOID_DECLARE_3(name, T1, a1, T2, a2, T3, a3)                                \
    FILCH_FORKABLE__VOID(name, (T1 a1, T2 a2, T3 a3), (, T1 a1, T2 a2, T3 a3), (, a1, a2, a3),     \
                         (T1 a1; T2 a2; T3 a3;),                                                   \
                         (filch_in_->a1 = a1; filch_in_->a2 = a2; filch_in_->a3 = a3;),            \
                         (filch_in_->a1, filch_in_->a2, filch_in_->a3))
#define FILCH_FORKABLE_VOID_3(name, T1, a1, T2, a2, T3, a3)                                        \
    FILCH_FORKABLE_VOID_DECLARE_3(name, T1, a1, T2, a2, T3, a3);                                   \
    FILCH_FORKABLE__INLINE void name(T1 a1, T2 a2, T3 a3)
#define FILCH_FORKABLE_DECLARE_4(R, name, T1, a1, T2, a2, T3, a3, T4, a4)                          \
    FILCH_FORKABLE__VALUE(                                                                         \
        R, name, (T1 a1, T2 a2, T3 a3, T4 a4), (, T1 a1, T2 a2, T3 a3, T4 a4), (, a1, a2, a3, a4), \
        (T1 a1; T2 a2; T3 a3; T4 a4;),                                                             \
        (filch_in_->a1 = a1; filch_in_->a2 = a2; filch_in_->a3 = a3; filch_in_->a4 = a4;),         \
        (filch_in_->a1, filch_in_->a2, filch_in_->a3, filch_in_->a4))
#define FILCH_FORKABLE_4(R, name, T1, a1, T2, a2, T3, a3, T4, a4)                                  \
    FILCH_FORKABLE_DECLARE_4(R, name, T1, a1, T2, a2, T3, a3, T4, a4);                             \
    FILCH_FORKABLE__INLINE R name(T1 a1, T2 a2, T3 a3, T4 a4)
#define FILCH_FORKABLE_VOID_DECLARE_4(name, T1, a1, T2, a2, T3, a3, T4, a4)                        \
    FILCH_FORKABLE__VOID(                                                                          \
        name, (T1 a1, T2 a2, T3 a3, T4 a4), (, T1 a1, T2 a2, T3 a3, T4 a4), (, a1, a2, a3, a4),    \
        (T1 a1; T2 a2; T3 a3; T4 a4;),                                                             \
        (filch_in_->a1 = a1; filch_in_->a2 = a2; filch_in_->a3 = a3; filch_in_->a4 = a4;),         \
        (filch_in_->a1, filch_in_->a2, filch_in_->a3, filch_in_->a4))
#define FILCH_FORKABLE_VOID_4(name, T1, a1, T2, a2, T3, a3, T4, a4)                                \
    FILCH_FORKABLE_VOID_DECLARE_4(name, T1, a1, T2, a2, T3, a3, T4, a4);                           \
    FILCH_FORKABLE__INLINE void name(T1 a1, T2 a2, T3 a3, T4 a4)
#define FILCH_FORKABLE_DECLARE_5(R, name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5)                  \
    FILCH_FORKABLE__VALUE(                                                                         \
        R, name, (T1 a1, T2 a2, T3 a3, T4 a4, T5 a5), (, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5),       \
        (, a1, a2, a3, a4, a5), (T1 a1; T2 a2; T3 a3; T4 a4; T5 a5;),                              \
        (filch_in_->a1 = a1; filch_in_->a2 = a2; filch_in_->a3 = a3; filch_in_->a4 = a4;           \
         filch_in_->a5 = a5;),                                                                     \
        (filch_in_->a1, filch_in_->a2, filch_in_->a3, filch_in_->a4, filch_in_->a5))
#define FILCH_FORKABLE_5(R, name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5)                          \
    FILCH_FORKABLE_DECLARE_5(R, name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5);                     \
    FILCH_FORKABLE__INLINE R name(T1 a1, T2 a2, T3 a3, T4 a4, T5 a5)
#define FILCH_FORKABLE_VOID_DECLARE_5(name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5)                \
    FILCH_FORKABLE__VOID(                                                                          \
        name, (T1 a1, T2 a2, T3 a3, T4 a4, T5 a5), (, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5),          \
        (, a1, a2, a3, a4, a5), (T1 a1; T2 a2; T3 a3; T4 a4; T5 a5;),                              \
        (filch_in_->a1 = a1; filch_in_->a2 = a2; filch_in_->a3 = a3; filch_in_->a4 = a4;           \
         filch_in_->a5 = a5;),                                                                     \
        (filch_in_->a1, filch_in_->a2, filch_in_->a3, filch_in_->a4, filch_in_->a5))
#define FILCH_FORKABLE_VOID_5(name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5)                        \
    FILCH_FORKABLE_VOID_DECLARE_5(name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5);                   \
    FILCH_FORKABLE__INLINE void name(T1 a1, T2 a2, T3 a3, T4 a4, T5 a5)
#define FILCH_FORKABLE_DECLARE_6(R, name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5, T6, a6)          \
    FILCH_FORKABLE__VALUE(R, name, (T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6),                     \
                          (, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6),                            \
                          (, a1, a2, a3, a4, a5, a6), (T1 a1; T2 a2; T3 a3; T4 a4; T5 a5; T6 a6;), \
                          (filch_in_->a1 = a1; filch_in_->a2 = a2; filch_in_->a3 = a3;             \
                           filch_in_->a4 = a4; filch_in_->a5 = a5; filch_in_->a6 = a6;),           \
                          (filch_in_->a1, filch_in_->a2, filch_in_->a3, filch_in_->a4,             \
                           filch_in_->a5, filch_in_->a6))
#define FILCH_FORKABLE_6(R, name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5, T6, a6)                  \
    FILCH_FORKABLE_DECLARE_6(R, name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5, T6, a6);             \
    FILCH_FORKABLE__INLINE R name(T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6)
#define FILCH_FORKABLE_VOID_DECLARE_6(name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5, T6, a6)        \
    FILCH_FORKABLE__VOID(name, (T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6),                         \
                         (, T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6), (, a1, a2, a3, a4, a5, a6), \
                         (T1 a1; T2 a2; T3 a3; T4 a4; T5 a5; T6 a6;),                              \
                         (filch_in_->a1 = a1; filch_in_->a2 = a2; filch_in_->a3 = a3;              \
                          filch_in_->a4 = a4; filch_in_->a5 = a5; filch_in_->a6 = a6;),            \
                         (filch_in_->a1, filch_in_->a2, filch_in_->a3, filch_in_->a4,              \
                          filch_in_->a5, filch_in_->a6))
#define FILCH_FORKABLE_VOID_6(name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5, T6, a6)                \
    FILCH_FORKABLE_VOID_DECLARE_6(name, T1, a1, T2, a2, T3, a3, T4, a4, T5, a5, T6, a6);           \
    FILCH_FORKABLE__INLINE void name(T1 a1, T2 a2, T3 a3, T4 a4, T5 a5, T6 a6)

#endif
