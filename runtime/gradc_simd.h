/* gradc_simd.h: vector types for the register tiles of generated code.
 *
 * Enters: nothing. Leaves: the types gradc_f32xN and gradc_f64xN of N elements. Always holds: the
 * types are only used for local variables, loaded and stored with memcpy, so neither alignment nor
 * aliasing is ever assumed. Needs the vector extensions of GCC or Clang; code generated for the
 * target "portable" does not include this file.
 */
#ifndef GRADC_SIMD_H
#define GRADC_SIMD_H

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

#endif
