/* gradc_math.h: elementary functions that vectorise, for float; libm by one name for double.
 *
 * Enters: any float or double, NaN, infinities, signed zeros and denormals included.
 * Leaves: for float a result at most 2 ULP from the true value (measured over all 2^32 inputs), for
 * double what libm gives. NaN gives NaN; infinities, zeros and poles are exact.
 *
 * Always holds: no globals, no tables, no branches. Every float function is straight-line
 * arithmetic and two-way selects, so a compiler turns a plain loop over it into vector code
 * (gcc -O3, clang -O3; no -ffast-math, but -fno-math-errno -fno-trapping-math help). The results
 * meet the bound with and without contraction into fused multiply-adds, though they may differ in
 * the last bit between the two. Integers are unsigned: nothing overflows, nothing is converted
 * out of range. float arithmetic must be evaluated as float (FLT_EVAL_METHOD 0).
 *
 * Largest errors found over all floats, with or without contraction: exp 1.02, expm1 1.46, log
 * 0.88, log1p 1.63, tanh 1.34, sigmoid 1.87, erf 1.32, sin 1.58, cos 1.59 ULP
 * (tests/c/runtime_math.c). sin and cos pay for reducing arguments of any size; on machines without
 * vectors of 32-bit lanes that shift each by its own amount (x86-64 before AVX2) they are about
 * three times slower than libm.
 *
 * Sources. The reductions are those of Muller et al., "Handbook of Floating-Point Arithmetic"
 * (2nd ed. 2018), chapter 10, and of Cody and Waite, "Software Manual for the Elementary
 * Functions" (1980). The polynomials are weighted minimax fits whose coefficients were rounded to
 * float one after the other, each time refitting those that remain.
 */
#ifndef GRADC_MATH_H
#define GRADC_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "gradc_base.h"

GRADC_INLINE uint32_t gradc_bits_of_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

GRADC_INLINE float gradc_float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

GRADC_INLINE uint64_t gradc_bits_of_double(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

GRADC_INLINE double gradc_double_of_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

GRADC_INLINE float gradc_absf(float x) {
    return gradc_float_of_bits(gradc_bits_of_float(x) & 0x7fffffffu);
}

GRADC_INLINE float gradc_copysignf(float magnitude, float sign) {
    return gradc_float_of_bits((gradc_bits_of_float(magnitude) & 0x7fffffffu) |
                               (gradc_bits_of_float(sign) & 0x80000000u));
}

/* e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln(2)/2.
 *
 * Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits. ln 2 is subtracted in two
 * parts, the first short enough for n * part to be exact. 2^n is applied as two factors, so that
 * the overflow, and the one rounding of a denormal result, happen in the last multiplication. */
GRADC_INLINE float gradc_expf(float x) {
    float clamped = x > 89.0f ? 89.0f : x;           /* e^89 overflows */
    clamped = clamped < -104.0f ? -104.0f : clamped; /* e^-104 rounds to 0; NaN passes both */
    const float shifted = clamped * 1.44269504f + 12582912.0f;
    const float n = shifted - 12582912.0f;
    const float r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 0.0013818939f;
    p = p * r + 0.008368704f;
    p = p * r + 0.04166829f;
    p = p * r + 0.16666521f;
    p = p * r + 0.49999994f;
    p = p * (r * r) + r;
    p = p + 1.0f;
    /* Both exponent fields lie in 52..191; the bits of 12582912.0f are 0x4b400000. */
    const uint32_t fields = gradc_bits_of_float(shifted) - 0x4b400000u + 254u;
    const uint32_t half = fields >> 1;
    return p * gradc_float_of_bits(half << 23) * gradc_float_of_bits((fields - half) << 23);
}

/* ln(1 + f) for f in [-1/3, 1/3], as f - f^2/2 + f^3 P(f). */
GRADC_INLINE float gradc_log1p_near_zero(float f) {
    float p = -0.12885657f;
    p = p * f + 0.13986897f;
    p = p * f + -0.12185714f;
    p = p * f + 0.14005306f;
    p = p * f + -0.16680376f;
    p = p * f + 0.20010446f;
    p = p * f + -0.249998f;
    p = p * f + 0.33333215f;
    const float square = f * f;
    return f + (p * (square * f) - 0.5f * square);
}

/* ln x = n ln 2 + ln m with x = 2^n m, m in [2/3, 4/3): near 1 then n = 0, and nothing cancels. */
GRADC_INLINE float gradc_logf(float x) {
    const int denormal = x < 1.17549435e-38f;
    const uint32_t bits = gradc_bits_of_float(denormal ? x * 8388608.0f : x);
    const uint32_t field = (bits + 0x00555555u) >> 23; /* 0x3f800000 - 0x3f2aaaab: n + 127 */
    const float m = gradc_float_of_bits(bits - (field << 23) + 0x3f800000u);
    const float n = (float)(int32_t)field - (denormal ? 150.0f : 127.0f);
    const float p = gradc_log1p_near_zero(m - 1.0f);
    float y = n * 0.693359375f + (n * -2.12194440e-4f + p);
    y = x < INFINITY ? y : x; /* inf and NaN */
    y = x < 0.0f ? NAN : y;
    return x == 0.0f ? -INFINITY : y;
}

/* tanh |x| is |x| + |x|^3 P(x^2) below 5/8, and 1 - 2/(e^2|x| + 1) above. */
GRADC_INLINE float gradc_tanhf(float x) {
    const float a = gradc_absf(x);
    const float square = x * x;
    float p = -0.005695813f;
    p = p * square + 0.020630825f;
    p = p * square + -0.05373714f;
    p = p * square + 0.1333141f;
    p = p * square + -0.3333328f;
    const float small = p * (square * a) + a;
    const float large = 1.0f - 2.0f / (gradc_expf(2.0f * a) + 1.0f);
    return gradc_copysignf(a < 0.625f ? small : large, x);
}

/* 1/(1 + e^-x), with the exponential of -|x|, which cannot overflow. For negative x it is
 * e/(1 + e) = e - e (e/(1 + e)): where e is small, the rounding of 1 + e then does not matter. */
GRADC_INLINE float gradc_sigmoidf(float x) {
    const float e = gradc_expf(-gradc_absf(x));
    const float quotient = (x < 0.0f ? e : 1.0f) / (1.0f + e);
    return x < 0.0f ? e - e * quotient : quotient;
}

/* e^x - 1 = 2^n (e^r - 1) + (2^n - 1), reduced as in gradc_expf; halved throughout, so that
 * 2^128 does not overflow before the sum is known. */
GRADC_INLINE float gradc_expm1f(float x) {
    float clamped = x > 89.0f ? 89.0f : x;
    clamped = clamped < -18.0f ? -18.0f : clamped; /* e^-18 - 1 rounds to -1 */
    const float shifted = clamped * 1.44269504f + 12582912.0f;
    const float n = shifted - 12582912.0f;
    const float r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
    float p = 0.00019764336f;
    p = p * r + 0.0013932365f;
    p = p * r + 0.008333543f;
    p = p * r + 0.041666493f;
    p = p * r + 0.16666666f;
    p = p * r + 0.5f;
    p = p * (r * r) + r;
    const uint32_t field = gradc_bits_of_float(shifted) - 0x4b400000u + 126u;
    const float half_power = gradc_float_of_bits(field << 23); /* 2^(n - 1) */
    const float y = 2.0f * (half_power * p + (half_power - 0.5f));
    return gradc_absf(x) < 2.98023224e-8f ? x : y; /* below 2^-25; keeps -0 and denormals */
}

/* ln(1 + x). u + lost is 1 + x exactly (Knuth's TwoSum); with u = 2^n m as in gradc_logf,
 * 1 + x = 2^n (1 + f) where f = (m - 1) + 2^-n lost. For n = 0 this f is x itself. */
GRADC_INLINE float gradc_log1pf(float x) {
    const float u = 1.0f + x;
    const float x_part = u - 1.0f;
    const float lost = (1.0f - (u - x_part)) + (x - x_part);
    const uint32_t bits = gradc_bits_of_float(u);
    const uint32_t field = (bits + 0x00555555u) >> 23;
    const float m = gradc_float_of_bits(bits - (field << 23) + 0x3f800000u);
    const float n = (float)(int32_t)field - 127.0f;
    /* 2^-n; 0 for the largest u, where `lost` does not matter. */
    const float scale = gradc_float_of_bits((field < 254u ? 254u - field : 0u) << 23);
    const float p = gradc_log1p_near_zero((m - 1.0f) + scale * lost);
    float y = n * 0.693359375f + (n * -2.12194440e-4f + p);
    y = gradc_absf(x) < 2.98023224e-8f ? x : y; /* below 2^-25; keeps -0 and denormals */
    y = x < INFINITY ? y : x;
    y = x < -1.0f ? NAN : y;
    return x == -1.0f ? -INFINITY : y;
}

/* erf |x| is |x| + |x| P(x^2) below 1, and 1 - e^(-|x| - |x| Q(|x|)) above, where Q approximates
 * -ln(erfc x)/x - 1 (the form is N. Juffa's); beyond 3.95 it rounds to 1. */
GRADC_INLINE float gradc_erff(float x) {
    const float a = gradc_absf(x);
    const float square = x * x;
    float p = 7.806903e-05f;
    p = p * square + -0.0007997853f;
    p = p * square + 0.005187162f;
    p = p * square + -0.026853347f;
    p = p * square + 0.11283579f;
    p = p * square + -0.37612626f;
    p = p * square + 0.12837917f;
    const float small = p * a + a;
    const float t = a > 3.95f ? 3.95f : a;
    float q = 1.41316605e-05f;
    q = q * t + -0.00035231313f;
    q = q * t + 0.0037645958f;
    q = q * t + -0.024025403f;
    q = q * t + 0.10654902f;
    q = q * t + 0.6349583f;
    q = q * t + 0.12869716f;
    const float large = 1.0f - gradc_expf(-(q * t + t));
    return gradc_copysignf(a < 1.0f ? small : large, x);
}

/* The one of five words that `position`, in bits, points into. As masks, since gcc makes branches
 * of selects between constants and then does not vectorise. */
GRADC_INLINE uint32_t gradc_word_at(uint32_t position, uint32_t w0, uint32_t w1, uint32_t w2,
                                    uint32_t w3, uint32_t w4) {
    const uint32_t from_1 = 0u - (uint32_t)(position >= 32u);
    const uint32_t from_2 = 0u - (uint32_t)(position >= 64u);
    const uint32_t from_3 = 0u - (uint32_t)(position >= 96u);
    const uint32_t from_4 = 0u - (uint32_t)(position >= 128u);
    return w0 ^ (from_1 & (w0 ^ w1)) ^ (from_2 & (w1 ^ w2)) ^ (from_3 & (w2 ^ w3)) ^
           (from_4 & (w3 ^ w4));
}

/* |x| = n pi/2 + r with |r| <= pi/4: returns r, stores n mod 4. For every finite x, however large.
 *
 * Payne and Hanek, "Radian Reduction for Trigonometric Functions" (1983). With x = m 2^e and m of
 * 24 bits, |x| 2/pi mod 4 needs only the 96 bits of 2/pi that begin at weight 2^(1-e): higher ones
 * contribute multiples of 4, lower ones less than 2^-69, and no float is nearer than 2^-32 to a
 * multiple of pi/2. The 64-bit product has the quadrant in its top two bits. */
GRADC_INLINE float gradc_reduce_quarter_turn(float x, uint32_t *quadrant) {
    const uint32_t bits = gradc_bits_of_float(x) & 0x7fffffffu;
    const uint32_t m = (bits & 0x007fffffu) | 0x00800000u;
    const uint32_t position = (bits >> 23) - 126u; /* wraps below 1/2, where it is not used */
    const uint32_t shift = position & 31u;
    const uint32_t w0 =
        gradc_word_at(position, 0x00000028u, 0xbe60db93u, 0x91054a7fu, 0x09d5f47du, 0x4d377036u);
    const uint32_t w1 =
        gradc_word_at(position, 0xbe60db93u, 0x91054a7fu, 0x09d5f47du, 0x4d377036u, 0xd8a5664fu);
    const uint32_t w2 =
        gradc_word_at(position, 0x91054a7fu, 0x09d5f47du, 0x4d377036u, 0xd8a5664fu, 0x10e4107fu);
    const uint32_t w3 =
        gradc_word_at(position, 0x09d5f47du, 0x4d377036u, 0xd8a5664fu, 0x10e4107fu, 0x9458eaf7u);
    const uint32_t high = (w0 << shift) | ((w1 >> 1) >> (31u - shift));
    const uint32_t middle = (w1 << shift) | ((w2 >> 1) >> (31u - shift));
    const uint32_t low = (w2 << shift) | ((w3 >> 1) >> (31u - shift));
    const uint64_t product =
        ((uint64_t)(m * high) << 32) + (uint64_t)m * middle + (((uint64_t)m * low) >> 32);
    const uint64_t n = (product + 0x2000000000000000u) >> 62;
    const uint64_t rest = product - (n << 62); /* two's complement, in units of 2^-62 turns / 4 */
    /* Both halves to double by placing them in the mantissa of 2^52; 2^31 makes the upper signed.
     */
    const double upper = gradc_double_of_bits(0x4330000000000000u | ((rest >> 32) ^ 0x80000000u));
    const double lower = gradc_double_of_bits(0x4330000000000000u | (rest & 0xffffffffu));
    const double turn = (upper - 4503601774854144.0) * 4294967296.0 + (lower - 4503599627370496.0);
    const int is_reduced = bits < 0x3f490fdbu; /* |x| < pi/4 */
    *quadrant = is_reduced ? 0u : (uint32_t)n;
    return is_reduced ? gradc_float_of_bits(bits) : (float)(turn * 3.4061215800865546e-19);
}

/* sin r for even, cos r for odd quadrants, negated in the upper two: sin(r + quadrant pi/2). */
GRADC_INLINE float gradc_sin_of_quadrant(float r, uint32_t quadrant) {
    const float square = r * r;
    float sine = -0.00019517909f;
    sine = sine * square + 0.008332187f;
    sine = sine * square + -0.16666655f;
    sine = sine * (square * r) + r;
    float cosine = 2.4432336e-05f;
    cosine = cosine * square + -0.001388731f;
    cosine = cosine * square + 0.041666646f;
    cosine = cosine * (square * square) + (1.0f - 0.5f * square);
    const float y = (quadrant & 1u) != 0u ? cosine : sine;
    return gradc_float_of_bits(gradc_bits_of_float(y) ^ ((quadrant & 2u) << 30));
}

GRADC_INLINE float gradc_sinf(float x) {
    uint32_t quadrant;
    const float r = gradc_reduce_quarter_turn(x, &quadrant);
    const float y = gradc_sin_of_quadrant(r, quadrant);
    const uint32_t sign = gradc_bits_of_float(x) & 0x80000000u;
    const float odd = gradc_float_of_bits(gradc_bits_of_float(y) ^ sign);
    return gradc_absf(x) < INFINITY ? odd : x - x; /* NaN */
}

GRADC_INLINE float gradc_cosf(float x) {
    uint32_t quadrant;
    const float r = gradc_reduce_quarter_turn(x, &quadrant);
    const float y = gradc_sin_of_quadrant(r, quadrant + 1u);
    return gradc_absf(x) < INFINITY ? y : x - x; /* NaN */
}

GRADC_INLINE float gradc_clipf(float x, float low, float high) {
    const float raised = (x > low || x != x) ? x : low;
    return (raised < high || raised != raised) ? raised : high;
}

/* ln(e^a + e^b) = max + ln(1 + e^-|a - b|). The difference of equal infinities is NaN. */
GRADC_INLINE float gradc_logaddexpf(float a, float b) {
    const float greater = a > b ? a : b;
    const float y = greater + gradc_log1pf(gradc_expf(-gradc_absf(a - b)));
    return a == b ? a + 0.69314718f : y;
}

/* Division that rounds down, and what remains of it, as NumPy has them: of finite numbers the
 * remainder has the sign of the divisor, also when it is 0, and the quotient the sign of a / b. */
GRADC_INLINE float gradc_remainderf(float a, float b) {
    const float rest = fmodf(a, b);
    const float moved = (rest < 0.0f) != (b < 0.0f) ? rest + b : rest;
    return rest != 0.0f ? moved : copysignf(0.0f, b);
}

GRADC_INLINE float gradc_floor_dividef(float a, float b) {
    const float rest = fmodf(a, b);
    const int is_above = rest != 0.0f && (rest < 0.0f) != (b < 0.0f);
    const float quotient = (a - rest) / b - (is_above ? 1.0f : 0.0f); /* whole but for rounding */
    const float whole = floorf(quotient);
    const float nearest = quotient - whole > 0.5f ? whole + 1.0f : whole;
    return b == 0.0f ? a / b : quotient != 0.0f ? nearest : copysignf(0.0f, a / b);
}

/* For double: libm, under the names that generated code uses. */
GRADC_INLINE double gradc_exp(double x) { return exp(x); }
GRADC_INLINE double gradc_expm1(double x) { return expm1(x); }
GRADC_INLINE double gradc_log(double x) { return log(x); }
GRADC_INLINE double gradc_log1p(double x) { return log1p(x); }
GRADC_INLINE double gradc_tanh(double x) { return tanh(x); }
GRADC_INLINE double gradc_erf(double x) { return erf(x); }
GRADC_INLINE double gradc_sin(double x) { return sin(x); }
GRADC_INLINE double gradc_cos(double x) { return cos(x); }

GRADC_INLINE double gradc_sigmoid(double x) {
    const double e = exp(-fabs(x));
    return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

GRADC_INLINE double gradc_clip(double x, double low, double high) {
    const double raised = (x > low || x != x) ? x : low;
    return (raised < high || raised != raised) ? raised : high;
}

GRADC_INLINE double gradc_logaddexp(double a, double b) {
    const double greater = a > b ? a : b;
    const double y = greater + log1p(exp(-fabs(a - b)));
    return a == b ? a + 0.6931471805599453 : y;
}

GRADC_INLINE double gradc_remainder(double a, double b) {
    const double rest = fmod(a, b);
    const double moved = (rest < 0.0) != (b < 0.0) ? rest + b : rest;
    return rest != 0.0 ? moved : copysign(0.0, b);
}

GRADC_INLINE double gradc_floor_divide(double a, double b) {
    const double rest = fmod(a, b);
    const int is_above = rest != 0.0 && (rest < 0.0) != (b < 0.0);
    const double quotient = (a - rest) / b - (is_above ? 1.0 : 0.0);
    const double whole = floor(quotient);
    const double nearest = quotient - whole > 0.5 ? whole + 1.0 : whole;
    return b == 0.0 ? a / b : quotient != 0.0 ? nearest : copysign(0.0, a / b);
}

#endif
