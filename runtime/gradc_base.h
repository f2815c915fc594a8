/* gradc_base.h: the words that generated code uses beyond C11, for C++ and for other compilers.
 *
 * Enters: nothing. Leaves: GRADC_INLINE, GRADC_KERNEL, GRADC_PHASE and GRADC_ONCE, which stand
 * before a function of one file, GRADC_LANES, which stands before a loop, GRADC_TESTED, which stands
 * behind a test in one, and `restrict` for C++. Always holds: they change how fast code is, never what it means;
 * other compilers than GCC and Clang take them for `static`, or nothing.
 */
#ifndef GRADC_BASE_H
#define GRADC_BASE_H

#if defined(__GNUC__)
/* Inlined always: a call that is left, for its size or because there are many, stops the
 * vectorisation of the loop around it. */
#define GRADC_INLINE static inline __attribute__((always_inline))
/* Compiled once, and never copied into its callers: it keeps its name in profiles. */
#define GRADC_KERNEL static __attribute__((noinline))
/* The same for a part of a long function, whose parts compilers are to see one by one. */
#define GRADC_PHASE static __attribute__((noinline))
/* The same for the function of a header, which a program may well not call. */
#define GRADC_ONCE static __attribute__((noinline, unused))
#else
#define GRADC_INLINE static inline
#define GRADC_KERNEL static
#define GRADC_PHASE static
#define GRADC_ONCE static inline
#endif

/* The loop that follows does the same to each lane of a vector. GCC would write its few turns out
 * before it looks for vectors, and then no longer find them. */
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 8
#define GRADC_LANES _Pragma("GCC unroll 1")
#else
#define GRADC_LANES
#endif

/* What follows is done under a test inside of a loop. GCC 12 turns some such loops into vectors
 * wrongly, so those that are left are no vectors: a statement it must not move keeps it from it. */
#if defined(__GNUC__) && !defined(__clang__)
#define GRADC_TESTED __asm__ volatile("");
#else
#define GRADC_TESTED
#endif

#if defined(__cplusplus) && !defined(restrict)
#define restrict __restrict
#endif

#endif
