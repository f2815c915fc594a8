/* gradc_random.h: random numbers that are a function of (seed, stream, index).
 *
 * Enters: a seed, the number of a stream (one for each tensor or op that draws), the index of an
 * element; for the fills also bounds, or mean and standard deviation. Leaves: uniform and normal
 * numbers, float and double.
 *
 * Always holds: there is no state, so any element can be computed alone, again, and by any thread.
 * The same arguments give the same bits on every target and with every compiler flag that keeps to
 * IEEE 754: uniform numbers are integer arithmetic and one exact scaling, and normal ones use +, -,
 * *, /, sqrt on doubles in an order that a compiler cannot change by fusing (see
 * gradc_rounded_product). Streams of one seed never overlap: the counter holds index and stream.
 */
#ifndef GRADC_RANDOM_H
#define GRADC_RANDOM_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "gradc_math.h"

typedef struct {
    uint32_t word[4];
} gradc_random_block;

/* Philox 4x32-10: 128 random bits from a counter of 128 bits and a key of 64.
 * Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011). */
GRADC_INLINE gradc_random_block gradc_philox(uint64_t counter_low, uint64_t counter_high,
                                             uint64_t key) {
    uint32_t c0 = (uint32_t)counter_low, c1 = (uint32_t)(counter_low >> 32);
    uint32_t c2 = (uint32_t)counter_high, c3 = (uint32_t)(counter_high >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; ++round) {
        const uint64_t product0 = (uint64_t)0xd2511f53u * c0;
        const uint64_t product1 = (uint64_t)0xcd9e8d57u * c2;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)product1;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)product0;
        k0 += 0x9e3779b9u; /* 2^32 times the golden ratio and sqrt(3) - 1: Weyl sequences */
        k1 += 0xbb67ae85u;
    }
    const gradc_random_block block = {{c0, c1, c2, c3}};
    return block;
}

/* a * b, correctly rounded and then with its lowest bit cleared. A compiler may contract a product
 * and a sum into one rounding where the machine can; through the cleared bit it cannot. */
GRADC_INLINE double gradc_rounded_product(double a, double b) {
    return gradc_double_of_bits(gradc_bits_of_double(a * b) & ~(uint64_t)1);
}

/* A block gives four floats, or two doubles: `lane` says which. */

GRADC_INLINE float gradc_uniformf_of_block(gradc_random_block block, size_t lane) {
    return (float)(int32_t)(block.word[lane] >> 8) * 5.9604644775390625e-8f; /* 2^-24 */
}

GRADC_INLINE double gradc_uniform_of_block(gradc_random_block block, size_t lane) {
    const uint64_t bits = ((uint64_t)block.word[2 * lane] << 32) | block.word[2 * lane + 1];
    return gradc_double_of_bits(0x3ff0000000000000u | (bits >> 12)) - 1.0; /* 52 bits in [1, 2) */
}

/* ln u for u in (0, 1], normal: n ln 2 + 2 artanh s, with u = 2^n m, m in [1/sqrt 2, sqrt 2) and
 * s = (m - 1)/(m + 1); eleven terms of the series leave less than 2^-60. */
GRADC_INLINE double gradc_random_log(double u) {
    const uint64_t bits = gradc_bits_of_double(u);
    const uint64_t field = (bits + 0x00095f619980c433u) >> 52; /* n + 1023 */
    const double m = gradc_double_of_bits(bits - (field << 52) + 0x3ff0000000000000u);
    const double n = (double)(int32_t)field - 1023.0;
    const double s = (m - 1.0) / (m + 1.0);
    const double square = gradc_rounded_product(s, s);
    double series = 1.0 / 21.0;
    series = gradc_rounded_product(series, square) + 1.0 / 19.0;
    series = gradc_rounded_product(series, square) + 1.0 / 17.0;
    series = gradc_rounded_product(series, square) + 1.0 / 15.0;
    series = gradc_rounded_product(series, square) + 1.0 / 13.0;
    series = gradc_rounded_product(series, square) + 1.0 / 11.0;
    series = gradc_rounded_product(series, square) + 1.0 / 9.0;
    series = gradc_rounded_product(series, square) + 1.0 / 7.0;
    series = gradc_rounded_product(series, square) + 1.0 / 5.0;
    series = gradc_rounded_product(series, square) + 1.0 / 3.0;
    series = gradc_rounded_product(series, square) + 1.0;
    return gradc_rounded_product(n, 0.6931471805599453) + gradc_rounded_product(2.0 * s, series);
}

/* sin r for |r| <= pi/4: Taylor series to r^15, which leaves less than 2^-54. */
GRADC_INLINE double gradc_random_sin(double r) {
    const double square = gradc_rounded_product(r, r);
    double series = -1.0 / 1307674368000.0;
    series = gradc_rounded_product(series, square) + 1.0 / 6227020800.0;
    series = gradc_rounded_product(series, square) - 1.0 / 39916800.0;
    series = gradc_rounded_product(series, square) + 1.0 / 362880.0;
    series = gradc_rounded_product(series, square) - 1.0 / 5040.0;
    series = gradc_rounded_product(series, square) + 1.0 / 120.0;
    series = gradc_rounded_product(series, square) - 1.0 / 6.0;
    series = gradc_rounded_product(series, square) + 1.0;
    return series * r;
}

/* cos r for |r| <= pi/4: Taylor series to r^16. */
GRADC_INLINE double gradc_random_cos(double r) {
    const double square = gradc_rounded_product(r, r);
    double series = 1.0 / 20922789888000.0;
    series = gradc_rounded_product(series, square) - 1.0 / 87178291200.0;
    series = gradc_rounded_product(series, square) + 1.0 / 479001600.0;
    series = gradc_rounded_product(series, square) - 1.0 / 3628800.0;
    series = gradc_rounded_product(series, square) + 1.0 / 40320.0;
    series = gradc_rounded_product(series, square) - 1.0 / 720.0;
    series = gradc_rounded_product(series, square) + 1.0 / 24.0;
    series = gradc_rounded_product(series, square) - 1.0 / 2.0;
    return gradc_rounded_product(series, square) + 1.0;
}

/* One of a pair of independent normal numbers from 2 x 64 random bits, of which the upper count.
 * Box and Muller, "A Note on the Generation of Random Normal Deviates" (1958): a point at distance
 * sqrt(-2 ln u), u in (0, 1], in a random direction; `lane` 0 is its x, 1 its y. */
GRADC_INLINE double gradc_normal_of_bits(uint64_t distance, uint64_t direction, size_t lane) {
    /* 52 bits in the mantissa of [1, 2). */
    const double u = 2.0 - gradc_double_of_bits(0x3ff0000000000000u | (distance >> 12));
    const double radius = sqrt(-2.0 * gradc_random_log(u));
    /* The top two bits are the quadrant, centred on an axis; the rest the angle within. */
    const double part = gradc_double_of_bits(0x3ff0000000000000u | ((direction << 2) >> 12)) - 1.5;
    const double angle = part * 1.5707963267948966;
    const uint64_t turned = (direction >> 62) + (lane == 0 ? 1u : 0u);
    const double y = (turned & 1u) != 0u ? gradc_random_cos(angle) : gradc_random_sin(angle);
    return gradc_rounded_product(radius, (turned & 2u) != 0u ? -y : y);
}

GRADC_INLINE float gradc_normalf_of_block(gradc_random_block block, size_t lane) {
    const size_t first = lane & 2u;
    return (float)gradc_normal_of_bits((uint64_t)block.word[first] << 32,
                                       (uint64_t)block.word[first + 1] << 32, lane & 1u);
}

GRADC_INLINE double gradc_normal_of_block(gradc_random_block block, size_t lane) {
    return gradc_normal_of_bits(((uint64_t)block.word[0] << 32) | block.word[1],
                                ((uint64_t)block.word[2] << 32) | block.word[3], lane);
}

/* Element `index` of a stream: uniform in [0, 1) with 24 or 52 bits, or of the standard normal
 * distribution (at most 6.7, or 8.5, from zero). */

GRADC_INLINE float gradc_uniformf(uint64_t seed, uint64_t stream, uint64_t index) {
    return gradc_uniformf_of_block(gradc_philox(index >> 2, stream, seed), (size_t)(index & 3u));
}

GRADC_INLINE double gradc_uniform(uint64_t seed, uint64_t stream, uint64_t index) {
    return gradc_uniform_of_block(gradc_philox(index >> 1, stream, seed), (size_t)(index & 1u));
}

GRADC_INLINE float gradc_normalf(uint64_t seed, uint64_t stream, uint64_t index) {
    return gradc_normalf_of_block(gradc_philox(index >> 2, stream, seed), (size_t)(index & 3u));
}

GRADC_INLINE double gradc_normal(uint64_t seed, uint64_t stream, uint64_t index) {
    return gradc_normal_of_block(gradc_philox(index >> 1, stream, seed), (size_t)(index & 1u));
}

/* The fills write elements 0..n-1 of a stream, scaled in double (by 1 exactly). Uniform numbers lie
 * in [low, high); `high` itself only where the rounding to the result's type leads there. */

static inline void gradc_fill_uniformf(float *out, size_t n, float low, float high, uint64_t seed,
                                       uint64_t stream) {
    const double width = (double)high - (double)low;
    for (size_t i = 0; i < n; i += 4) {
        const gradc_random_block block = gradc_philox(i >> 2, stream, seed);
        for (size_t lane = 0; lane < 4 && lane < n - i; ++lane) {
            const double u = (double)gradc_uniformf_of_block(block, lane);
            out[i + lane] = (float)((double)low + gradc_rounded_product(width, u));
        }
    }
}

static inline void gradc_fill_normalf(float *out, size_t n, float mean, float std, uint64_t seed,
                                      uint64_t stream) {
    for (size_t i = 0; i < n; i += 4) {
        const gradc_random_block block = gradc_philox(i >> 2, stream, seed);
        for (size_t lane = 0; lane < 4 && lane < n - i; ++lane) {
            const double z = (double)gradc_normalf_of_block(block, lane);
            out[i + lane] = (float)((double)mean + gradc_rounded_product((double)std, z));
        }
    }
}

static inline void gradc_fill_uniform(double *out, size_t n, double low, double high, uint64_t seed,
                                      uint64_t stream) {
    for (size_t i = 0; i < n; i += 2) {
        const gradc_random_block block = gradc_philox(i >> 1, stream, seed);
        for (size_t lane = 0; lane < 2 && lane < n - i; ++lane) {
            const double u = gradc_uniform_of_block(block, lane);
            out[i + lane] = low + gradc_rounded_product(high - low, u);
        }
    }
}

static inline void gradc_fill_normal(double *out, size_t n, double mean, double std, uint64_t seed,
                                     uint64_t stream) {
    for (size_t i = 0; i < n; i += 2) {
        const gradc_random_block block = gradc_philox(i >> 1, stream, seed);
        for (size_t lane = 0; lane < 2 && lane < n - i; ++lane) {
            const double z = gradc_normal_of_block(block, lane);
            out[i + lane] = mean + gradc_rounded_product(std, z);
        }
    }
}

#endif
