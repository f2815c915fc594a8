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

static inline uint32_t gradc_bits_of_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float gradc_float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline float gradc_absf(float x) {
    return gradc_float_of_bits(gradc_bits_of_float(x) & 0x7fffffffu);
}

static inline float gradc_copysignf(float magnitude, float sign) {
    return gradc_float_of_bits((gradc_bits_of_float(magnitude) & 0x7fffffffu) |
                               (gradc_bits_of_float(sign) & 0x80000000u));
}

/* e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln(2)/2.
 *
 * Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits. ln 2 is subtracted in two
 * parts, the first short enough for n * part to be exact. 2^n is applied as two factors, so that
 * the overflow, and the one rounding of a denormal result, happen in the last multiplication. */
static inline float gradc_expf(float x) {
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
static inline float gradc_log1p_near_zero(float f) {
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
static inline float gradc_logf(float x) {
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
static inline float gradc_tanhf(float x) {
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
static inline float gradc_sigmoidf(float x) {
    const float e = gradc_expf(-gradc_absf(x));
    const float quotient = (x < 0.0f ? e : 1.0f) / (1.0f + e);
    return x < 0.0f ? e - e * quotient : quotient;
}

/* For double: libm, under the names that generated code uses. */
static inline double gradc_exp(double x) { return exp(x); }
static inline double gradc_expm1(double x) { return expm1(x); }
static inline double gradc_log(double x) { return log(x); }
static inline double gradc_log1p(double x) { return log1p(x); }
static inline double gradc_tanh(double x) { return tanh(x); }
static inline double gradc_erf(double x) { return erf(x); }
static inline double gradc_sin(double x) { return sin(x); }
static inline double gradc_cos(double x) { return cos(x); }

static inline double gradc_sigmoid(double x) {
    const double e = exp(-fabs(x));
    return (x < 0.0 ? e : 1.0) / (1.0 + e);
}

#endif
