/* loop/number.h: numbers as keys: unsigned integers that stand in the same order, so that their digits can be
 * compared one by one.
 *
 * A signed integer has its sign bit turned round. A floating one has that, too, and where it is negative all
 * other bits, since its magnitude counts downwards; then the keys of the negative NaNs, which would be the lowest
 * ones, are made the highest by a rotation of all keys. */
#ifndef FILCH_LOOP_NUMBER_H
#define FILCH_LOOP_NUMBER_H

#include "base/compiler.h"
#include <stdint.h>

/* What the bits of an element mean. */
enum filch__number { NUMBER_UNSIGNED, NUMBER_SIGNED, NUMBER_FLOATING };

/* Defines both ways for a width; `fraction` is how many bits the fraction of a floating number has. */
#define FILCH__NUMBER(bits, fraction)                                                              \
    static always_inline uint##bits##_t filch__encode##bits(uint##bits##_t raw,                    \
                                                            enum filch__number number) {           \
        const uint##bits##_t sign = (uint##bits##_t)1 << (bits - 1);                               \
        const uint##bits##_t negative_nans = ((uint##bits##_t)1 << fraction) - 1;                  \
        uint##bits##_t all_if_negative = (uint##bits##_t)((int##bits##_t)raw >> (bits - 1));       \
        if (number == NUMBER_UNSIGNED) return raw;                                                 \
        if (number == NUMBER_SIGNED) return raw ^ sign;                                            \
        return (raw ^ (all_if_negative | sign)) - negative_nans;                                   \
    }                                                                                              \
    static always_inline uint##bits##_t filch__decode##bits(uint##bits##_t k,                      \
                                                            enum filch__number number) {           \
        const uint##bits##_t sign = (uint##bits##_t)1 << (bits - 1);                               \
        const uint##bits##_t negative_nans = ((uint##bits##_t)1 << fraction) - 1;                  \
        if (number == NUMBER_UNSIGNED) return k;                                                   \
        if (number == NUMBER_SIGNED) return k ^ sign;                                              \
        k += negative_nans;                                                                        \
        uint##bits##_t all_if_positive = (uint##bits##_t)((int##bits##_t)k >> (bits - 1));         \
        return k ^ (~all_if_positive | sign);                                                      \
    }

FILCH__NUMBER(32, 23)
FILCH__NUMBER(64, 52)

#endif
