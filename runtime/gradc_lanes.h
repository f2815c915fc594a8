/* gradc_lanes.h: 16 partial results of a row, one a lane, made into one.
 *
 * Enters: an array of 16 floats or doubles. Leaves: their sum, product, maximum or minimum. Always
 * holds: the upper half is folded into the lower one, and again, until one is left: the order, and
 * with it the result, is the same on every machine. If one lane is NaN, so is the result.
 */
#ifndef GRADC_LANES_H
#define GRADC_LANES_H

#include <stdint.h>
#include <string.h>

#include "gradc_base.h"

/* A function of 16 lanes that folds two of them, a and b, into `folded`. */
#define GRADC_DEFINE_JOIN(name, type, folded)      \
    GRADC_INLINE type name(const type *lanes) {    \
        type part[16];                             \
        memcpy(part, lanes, sizeof part);          \
        for (int half = 8; half > 0; half /= 2) {  \
            for (int k = 0; k < half; ++k) {       \
                const type a = part[k + half];     \
                const type b = part[k];            \
                part[k] = folded;                  \
            }                                      \
        }                                          \
        return part[0];                            \
    }

GRADC_DEFINE_JOIN(gradc_sum16, double, b + a)
GRADC_DEFINE_JOIN(gradc_prod16, double, b *a)
GRADC_DEFINE_JOIN(gradc_max16, double, (a > b || a != a) ? a : b)
GRADC_DEFINE_JOIN(gradc_min16, double, (a < b || a != a) ? a : b)

#if defined(__clang__)

/* Floats as one vector, to whose lower lanes the upper ones are moved: of the loops above compilers
 * make scalar code, and branches. */
typedef float gradc_lanes __attribute__((vector_size(64)));
typedef int32_t gradc_lane_mask __attribute__((vector_size(64)));

/* The same for floats: a and b are all lanes, those of a moved. */
#define GRADC_DEFINE_VECTOR_JOIN(name, folded)                                                   \
    GRADC_INLINE float name(const float *lanes) {                                                \
        gradc_lanes a, b;                                                                        \
        memcpy(&b, lanes, sizeof b);                                                             \
        a = __builtin_shufflevector(b, b, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7); \
        b = folded;                                                                              \
        a = __builtin_shufflevector(b, b, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3);       \
        b = folded;                                                                              \
        a = __builtin_shufflevector(b, b, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1);       \
        b = folded;                                                                              \
        a = __builtin_shufflevector(b, b, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0);       \
        b = folded;                                                                              \
        return b[0];                                                                             \
    }

/* a where the mask holds, else b. */
#define GRADC_SELECT_LANES(mask, a, b) \
    (gradc_lanes)(((mask) & (gradc_lane_mask)(a)) | (~(mask) & (gradc_lane_mask)(b)))

GRADC_DEFINE_VECTOR_JOIN(gradc_sum16f, b + a)
GRADC_DEFINE_VECTOR_JOIN(gradc_prod16f, b *a)
GRADC_DEFINE_VECTOR_JOIN(gradc_max16f, GRADC_SELECT_LANES((a > b) | (a != a), a, b))
GRADC_DEFINE_VECTOR_JOIN(gradc_min16f, GRADC_SELECT_LANES((a < b) | (a != a), a, b))

#elif defined(__GNUC__)

/* The same in vectors of four, which every machine with vectors has: GCC makes scalar code of wider
 * ones than there are. */
typedef float gradc_quarter __attribute__((vector_size(16)));
typedef int32_t gradc_quarter_mask __attribute__((vector_size(16)));

GRADC_INLINE gradc_quarter gradc_select_quarter(gradc_quarter_mask mask, gradc_quarter a,
                                                gradc_quarter b) {
    return (gradc_quarter)((mask & (gradc_quarter_mask)a) | (~mask & (gradc_quarter_mask)b));
}

GRADC_INLINE gradc_quarter gradc_max_quarter(gradc_quarter a, gradc_quarter b) {
    return gradc_select_quarter((a > b) | (a != a), a, b);
}

GRADC_INLINE gradc_quarter gradc_min_quarter(gradc_quarter a, gradc_quarter b) {
    return gradc_select_quarter((a < b) | (a != a), a, b);
}

GRADC_INLINE float gradc_sum16f(const float *lanes) {
    gradc_quarter part[4];
    memcpy(part, lanes, sizeof part);
    const gradc_quarter sum = (part[0] + part[2]) + (part[1] + part[3]);
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

GRADC_INLINE float gradc_prod16f(const float *lanes) {
    gradc_quarter part[4];
    memcpy(part, lanes, sizeof part);
    const gradc_quarter product = (part[0] * part[2]) * (part[1] * part[3]);
    return (product[0] * product[2]) * (product[1] * product[3]);
}

GRADC_INLINE float gradc_max16f(const float *lanes) {
    gradc_quarter part[4];
    memcpy(part, lanes, sizeof part);
    const gradc_quarter even = gradc_max_quarter(part[2], part[0]);
    const gradc_quarter max = gradc_max_quarter(gradc_max_quarter(part[3], part[1]), even);
    const float a = (max[2] > max[0] || max[2] != max[2]) ? max[2] : max[0];
    const float b = (max[3] > max[1] || max[3] != max[3]) ? max[3] : max[1];
    return (b > a || b != b) ? b : a;
}

GRADC_INLINE float gradc_min16f(const float *lanes) {
    gradc_quarter part[4];
    memcpy(part, lanes, sizeof part);
    const gradc_quarter even = gradc_min_quarter(part[2], part[0]);
    const gradc_quarter min = gradc_min_quarter(gradc_min_quarter(part[3], part[1]), even);
    const float a = (min[2] < min[0] || min[2] != min[2]) ? min[2] : min[0];
    const float b = (min[3] < min[1] || min[3] != min[3]) ? min[3] : min[1];
    return (b < a || b != b) ? b : a;
}

#else

GRADC_DEFINE_JOIN(gradc_sum16f, float, b + a)
GRADC_DEFINE_JOIN(gradc_prod16f, float, b *a)
GRADC_DEFINE_JOIN(gradc_max16f, float, (a > b || a != a) ? a : b)
GRADC_DEFINE_JOIN(gradc_min16f, float, (a < b || a != a) ? a : b)

#endif

#endif
