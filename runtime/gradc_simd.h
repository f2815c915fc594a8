/* gradc_simd.h: vector types for the register tiles of generated code.
 *
 * Enters: nothing. Leaves: the types gradc_f32xN and gradc_f64xN of N elements, GRADC_ROWS, which
 * stands before a loop, and gradc_transpose. Always holds: the types are only used for local
 * variables, loaded and stored with memcpy, so neither alignment nor aliasing is ever assumed. Needs
 * the vector extensions of GCC or Clang; code generated for the target "portable" does not include
 * this file.
 */
#ifndef GRADC_SIMD_H
#define GRADC_SIMD_H

#include <stddef.h>
#include <string.h>

#include "gradc_base.h"

/* The loop that follows runs over the rows of a tile, each of which is whole vectors. Clang would
 * make vectors of its columns instead, gathered and scattered element by element. */
#if defined(__clang__)
#define GRADC_ROWS _Pragma("clang loop vectorize(disable)")
#else
#define GRADC_ROWS
#endif

typedef float gradc_f32x4 __attribute__((vector_size(16)));
typedef float gradc_f32x8 __attribute__((vector_size(32)));
typedef float gradc_f32x16 __attribute__((vector_size(64)));
typedef double gradc_f64x2 __attribute__((vector_size(16)));
typedef double gradc_f64x4 __attribute__((vector_size(32)));
typedef double gradc_f64x8 __attribute__((vector_size(64)));

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define GRADC_SHUFFLES 1
#endif
#endif

#ifdef GRADC_SHUFFLES
/* to[c, r] = from[r, c] for 8 x 8 elements: fours, then pairs, then single ones change places. */
GRADC_INLINE void gradc_transpose8x8(float *to, size_t to_row, const float *from,
                                     size_t from_row) {
    gradc_f32x8 row[8], half[8];
    for (size_t r = 0; r < 8; ++r) {
        memcpy(&row[r], &from[r * from_row], sizeof row[r]);
    }
    for (size_t r = 0; r < 4; ++r) {
        half[r] = __builtin_shufflevector(row[r], row[r + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        half[r + 4] = __builtin_shufflevector(row[r], row[r + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    for (size_t h = 0; h < 8; h += 4) {
        const gradc_f32x8 p01 =
            __builtin_shufflevector(half[h], half[h + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        const gradc_f32x8 q01 =
            __builtin_shufflevector(half[h], half[h + 1], 2, 10, 3, 11, 6, 14, 7, 15);
        const gradc_f32x8 p23 =
            __builtin_shufflevector(half[h + 2], half[h + 3], 0, 8, 1, 9, 4, 12, 5, 13);
        const gradc_f32x8 q23 =
            __builtin_shufflevector(half[h + 2], half[h + 3], 2, 10, 3, 11, 6, 14, 7, 15);
        row[h] = __builtin_shufflevector(p01, p23, 0, 1, 8, 9, 4, 5, 12, 13);
        row[h + 1] = __builtin_shufflevector(p01, p23, 2, 3, 10, 11, 6, 7, 14, 15);
        row[h + 2] = __builtin_shufflevector(q01, q23, 0, 1, 8, 9, 4, 5, 12, 13);
        row[h + 3] = __builtin_shufflevector(q01, q23, 2, 3, 10, 11, 6, 7, 14, 15);
    }
    for (size_t c = 0; c < 8; ++c) {
        memcpy(&to[c * to_row], &row[c], sizeof row[c]);
    }
}
#else
GRADC_INLINE void gradc_transpose8x8(float *to, size_t to_row, const float *from,
                                     size_t from_row) {
    for (size_t r = 0; r < 8; ++r) {
        for (size_t c = 0; c < 8; ++c) {
            to[c * to_row + r] = from[r * from_row + c];
        }
    }
}
#endif

/* to[c, r] = from[r, c] for a matrix of rows x columns, in blocks of 8 x 8 as far as they go. */
GRADC_ONCE void gradc_transpose(float *restrict to, size_t to_row, const float *restrict from,
                                size_t from_row, size_t rows, size_t columns) {
    const size_t whole_rows = rows / 8 * 8, whole_columns = columns / 8 * 8;
    for (size_t r = 0; r < whole_rows; r += 8) {
        for (size_t c = 0; c < whole_columns; c += 8) {
            gradc_transpose8x8(&to[c * to_row + r], to_row, &from[r * from_row + c], from_row);
        }
    }
    for (size_t r = 0; r < rows; ++r) {
        for (size_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c) {
            to[c * to_row + r] = from[r * from_row + c];
        }
    }
}

#endif
