/* gradc_simd.h: products of matrices in vectors, a block at a time, and transposition.
 *
 * Enters: nothing. Leaves: gradc_product_T and gradc_add_product_T for each vector type T,
 * gradc_transpose, and GRADC_ROWS, which stands before a loop. Always holds: neither alignment nor
 * types are assumed of what a pointer points to; nothing is read or written but the elements that
 * are named. Needs the vector extensions of GCC or Clang; code generated for the target "portable"
 * does not include this file.
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

/* The loop that follows has few, constant turns, which are all written out. Clang does so by itself,
 * and worse when told to; GCC does not below -O3. */
#if defined(__clang__)
#define GRADC_UNROLL
#else
#define GRADC_UNROLL _Pragma("GCC unroll 32")
#endif

/* The function that follows is about vectors of so many bytes. Clang would make two of one that is
 * wider than it likes for a loop of numbers. */
#if defined(__clang__) && defined(__has_attribute)
#if __has_attribute(min_vector_width)
#define GRADC_VECTORS(bytes) __attribute__((min_vector_width(8 * (bytes))))
#endif
#endif
#ifndef GRADC_VECTORS
#define GRADC_VECTORS(bytes)
#endif

/* What has been stored is read from memory. GCC would keep parts of it in registers for the loops
 * that follow, and push others out of them for that. */
#if defined(__GNUC__) && !defined(__clang__)
#define GRADC_STORED(to) __asm__ volatile("" : : "r"(to) : "memory")
#else
#define GRADC_STORED(to) ((void)0)
#endif

typedef float gradc_f32x4 __attribute__((vector_size(16)));
typedef float gradc_f32x8 __attribute__((vector_size(32)));
typedef float gradc_f32x16 __attribute__((vector_size(64)));
typedef double gradc_f64x2 __attribute__((vector_size(16)));
typedef double gradc_f64x4 __attribute__((vector_size(32)));
typedef double gradc_f64x8 __attribute__((vector_size(64)));

/* The first column of vector v of a row; the last vector ends where the row does. */
GRADC_INLINE size_t gradc_vector_start(size_t v, size_t lanes, size_t columns) {
    const size_t start = v * lanes, last = columns - lanes;
    return start < last ? start : last;
}

/* A block of a matrix product, `rows` x `columns` sums, of which each vector has `lanes`:
 *
 *     to[r, c] = sum over p < depth of a[r, p] * b[p, c]           (gradc_product)
 *     to[r, c] = to[r, c] + the same                               (gradc_add_product)
 *
 * where to[r, c] is the number to[r * to_row + c], a[r, p] is a[r * a_row + p * a_column], and
 * b[p, c] is b[p * b_row + c]. `columns` is at least `lanes`; where it is no multiple, the last
 * vector overlaps the one before it, so that no column is read or written that is not there.
 *
 * `rows` and `columns` must be constants: the inner loops are then written out, and the sums stay
 * in registers from the first p to the last, `rows` times `vectors` of them (at most 32). For each
 * p the vectors of a row of b are loaded once, and multiplied by the number that each row of a has
 * there. Everything is read before anything is written. */
#define GRADC_PRODUCTS(type, number, lanes)                                                     \
    GRADC_VECTORS(sizeof(gradc_##type))                                                         \
    GRADC_INLINE void gradc_add_to_##type(int adds, number *to, size_t to_row, size_t rows,     \
                                          size_t columns, size_t depth, const number *a,        \
                                          size_t a_row, size_t a_column, const number *b,       \
                                          size_t b_row) {                                       \
        const size_t vectors = (columns + (lanes)-1) / (lanes);                                 \
        gradc_##type sum[32];                                                                   \
        GRADC_UNROLL                                                                            \
        for (size_t r = 0; r < rows; ++r) {                                                     \
            GRADC_UNROLL                                                                        \
            for (size_t v = 0; v < vectors; ++v) {                                              \
                const size_t c = gradc_vector_start(v, lanes, columns);                         \
                const gradc_##type zero = {0};                                                  \
                sum[r * vectors + v] = zero;                                                    \
                if (adds) {                                                                     \
                    memcpy(&sum[r * vectors + v], &to[r * to_row + c], sizeof zero);            \
                }                                                                               \
            }                                                                                   \
        }                                                                                       \
        for (size_t p = 0; p < depth; ++p) {                                                    \
            gradc_##type b_p[32];                                                               \
            GRADC_UNROLL                                                                        \
            for (size_t v = 0; v < vectors; ++v) {                                              \
                const size_t c = gradc_vector_start(v, lanes, columns);                         \
                memcpy(&b_p[v], &b[p * b_row + c], sizeof b_p[v]);                              \
            }                                                                                   \
            GRADC_UNROLL                                                                        \
            for (size_t r = 0; r < rows; ++r) {                                                 \
                GRADC_UNROLL                                                                    \
                for (size_t v = 0; v < vectors; ++v) {                                          \
                    sum[r * vectors + v] += a[r * a_row + p * a_column] * b_p[v];               \
                }                                                                               \
            }                                                                                   \
        }                                                                                       \
        GRADC_UNROLL                                                                            \
        for (size_t r = 0; r < rows; ++r) {                                                     \
            GRADC_UNROLL                                                                        \
            for (size_t v = 0; v < vectors; ++v) {                                              \
                const size_t c = gradc_vector_start(v, lanes, columns);                         \
                memcpy(&to[r * to_row + c], &sum[r * vectors + v], sizeof *sum);                \
            }                                                                                   \
        }                                                                                       \
        GRADC_STORED(to);                                                                       \
    }                                                                                           \
    GRADC_VECTORS(sizeof(gradc_##type))                                                         \
    GRADC_INLINE void gradc_product_##type(number *to, size_t to_row, size_t rows,              \
                                           size_t columns, size_t depth, const number *a,       \
                                           size_t a_row, size_t a_column, const number *b,      \
                                           size_t b_row) {                                      \
        gradc_add_to_##type(0, to, to_row, rows, columns, depth, a, a_row, a_column, b, b_row); \
    }                                                                                           \
    GRADC_VECTORS(sizeof(gradc_##type))                                                         \
    GRADC_INLINE void gradc_add_product_##type(number *to, size_t to_row, size_t rows,          \
                                               size_t columns, size_t depth, const number *a,   \
                                               size_t a_row, size_t a_column, const number *b,  \
                                               size_t b_row) {                                  \
        gradc_add_to_##type(1, to, to_row, rows, columns, depth, a, a_row, a_column, b, b_row); \
    }
GRADC_PRODUCTS(f32x4, float, 4)
GRADC_PRODUCTS(f32x8, float, 8)
GRADC_PRODUCTS(f32x16, float, 16)
GRADC_PRODUCTS(f64x2, double, 2)
GRADC_PRODUCTS(f64x4, double, 4)
GRADC_PRODUCTS(f64x8, double, 8)

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
