/* runtime_math: the float functions of gradc_math.h against libm in double.
 *
 * Enters: `first` and `stride`: the bit patterns first, first + stride, ... below 2^32 are tried
 * (0 and 1 are all floats: some ten minutes). Leaves on stdout one line per function: name, largest
 * error in ULP, the argument that has it. Exits with 1 if a special value is wrong, or where libm
 * rounds to zero, infinity or NaN and gradc does not (one ULP beside zero and infinity apart).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "gradc_math.h"

#define BLOCK 4096

static double sigmoid(double x) { return x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)); }

typedef void (*loop)(float *out, const float *in);

/* A loop as in generated code: what is tested is its vector form, where the flags allow one. */
#define DEFINE_LOOP(name)                                                                          \
    static void name##_loop(float *out, const float *in) {                                         \
        for (size_t i = 0; i < BLOCK; ++i) {                                                       \
            out[i] = gradc_##name##f(in[i]);                                                       \
        }                                                                                          \
    }

DEFINE_LOOP(exp)
DEFINE_LOOP(expm1)
DEFINE_LOOP(log)
DEFINE_LOOP(log1p)
DEFINE_LOOP(tanh)
DEFINE_LOOP(sigmoid)
DEFINE_LOOP(erf)
DEFINE_LOOP(sin)
DEFINE_LOOP(cos)

static const struct {
    const char *name;
    loop compute;
    double (*reference)(double);
} functions[] = {
    {"exp", exp_loop, exp},       {"expm1", expm1_loop, expm1}, {"log", log_loop, log},
    {"log1p", log1p_loop, log1p}, {"tanh", tanh_loop, tanh},    {"sigmoid", sigmoid_loop, sigmoid},
    {"erf", erf_loop, erf},       {"sin", sin_loop, sin},       {"cos", cos_loop, cos},
};

#define FUNCTION_COUNT (sizeof functions / sizeof functions[0])

/* In units of the last place that a float next to `exact` has, denormals included; infinity counts
 * as the number after the largest. Negative: a zero, infinity or NaN that should not be there. */
static double error_in_ulp(float result, double exact) {
    if (isnan(exact)) {
        return isnan(result) ? 0.0 : -1.0;
    }
    if (isinf(exact)) {
        return (double)result == exact ? 0.0 : -1.0;
    }
    if (isnan(result) ||
        (exact == 0.0 && (result != 0.0f || !signbit(result) != !signbit(exact)))) {
        return -1.0;
    }
    const double value = isinf(result) ? copysign(ldexp(1.0, 128), (double)result) : (double)result;
    if (fabs(exact) >= ldexp(1.0, 128)) {
        return isinf(result) && (exact > 0) == (result > 0) ? 0.0 : -1.0;
    }
    int exponent;
    (void)frexp(exact, &exponent);
    exponent = exponent < -125 ? -125 : exponent;
    return fabs(value - exact) / ldexp(1.0, exponent - 24);
}

static int sweep(size_t which, uint64_t first, uint64_t stride) {
    static float in[BLOCK], out[BLOCK];
    double worst = 0.0;
    float worst_at = 0.0f;
    int failures = 0;
    for (uint64_t bits = first; bits <= UINT32_MAX;) {
        for (size_t i = 0; i < BLOCK; ++i, bits += stride) {
            in[i] = gradc_float_of_bits(bits <= UINT32_MAX ? (uint32_t)bits : 0u);
        }
        functions[which].compute(out, in);
        for (size_t i = 0; i < BLOCK; ++i) {
            const double error = error_in_ulp(out[i], functions[which].reference((double)in[i]));
            if (error < 0.0) {
                fprintf(stderr, "%s(%a) = %a\n", functions[which].name, (double)in[i],
                        (double)out[i]);
                ++failures;
            }
            if (error > worst) {
                worst = error;
                worst_at = in[i];
            }
        }
    }
    printf("%s %.4f %a\n", functions[which].name, worst, (double)worst_at);
    return failures;
}

/* Same number and same sign of zero; any NaN is NaN. */
static int check_special(const char *name, float argument, float expected) {
    for (size_t f = 0; f < FUNCTION_COUNT; ++f) {
        if (strcmp(functions[f].name, name) == 0) {
            static float in[BLOCK], out[BLOCK];
            for (size_t i = 0; i < BLOCK; ++i) {
                in[i] = argument;
            }
            functions[f].compute(out, in);
            for (size_t i = 0; i < BLOCK; ++i) {
                const int same = isnan(expected)
                                     ? isnan(out[i])
                                     : gradc_bits_of_float(out[i]) == gradc_bits_of_float(expected);
                if (!same) {
                    fprintf(stderr, "%s(%a) = %a, not %a\n", name, (double)argument, (double)out[i],
                            (double)expected);
                    return 1;
                }
            }
            return 0;
        }
    }
    return 1;
}

static int check_specials(void) {
    const float least = gradc_float_of_bits(1u); /* the smallest denormal */
    const struct {
        const char *name;
        float argument, expected;
    } cases[] = {
        {"exp", 0.0f, 1.0f},         {"exp", -0.0f, 1.0f},          {"exp", INFINITY, INFINITY},
        {"exp", -INFINITY, 0.0f},    {"exp", 88.8f, INFINITY},      {"exp", -103.9f, least},
        {"exp", -104.0f, 0.0f},      {"exp", -3e38f, 0.0f},         {"expm1", 0.0f, 0.0f},
        {"expm1", -0.0f, -0.0f},     {"expm1", INFINITY, INFINITY}, {"expm1", -INFINITY, -1.0f},
        {"expm1", 88.8f, INFINITY},  {"expm1", least, least},       {"log", 1.0f, 0.0f},
        {"log", 0.0f, -INFINITY},    {"log", -0.0f, -INFINITY},     {"log", -1.0f, NAN},
        {"log", -least, NAN},        {"log", -INFINITY, NAN},       {"log", INFINITY, INFINITY},
        {"log1p", 0.0f, 0.0f},       {"log1p", -0.0f, -0.0f},       {"log1p", -1.0f, -INFINITY},
        {"log1p", -1.0001f, NAN},    {"log1p", -INFINITY, NAN},     {"log1p", INFINITY, INFINITY},
        {"log1p", least, least},     {"tanh", 0.0f, 0.0f},          {"tanh", -0.0f, -0.0f},
        {"tanh", INFINITY, 1.0f},    {"tanh", -INFINITY, -1.0f},    {"tanh", 3e38f, 1.0f},
        {"tanh", -least, -least},    {"sigmoid", 0.0f, 0.5f},       {"sigmoid", -0.0f, 0.5f},
        {"sigmoid", INFINITY, 1.0f}, {"sigmoid", -INFINITY, 0.0f},  {"sigmoid", -103.9f, least},
        {"sigmoid", 3e38f, 1.0f},    {"erf", 0.0f, 0.0f},           {"erf", -0.0f, -0.0f},
        {"erf", INFINITY, 1.0f},     {"erf", -INFINITY, -1.0f},     {"erf", 3e38f, 1.0f},
        {"sin", 0.0f, 0.0f},         {"sin", -0.0f, -0.0f},         {"sin", INFINITY, NAN},
        {"sin", -INFINITY, NAN},     {"sin", -least, -least},       {"cos", 0.0f, 1.0f},
        {"cos", -0.0f, 1.0f},        {"cos", INFINITY, NAN},        {"cos", -INFINITY, NAN},
    };
    int failures = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
        failures += check_special(cases[i].name, cases[i].argument, cases[i].expected);
    }
    for (size_t f = 0; f < FUNCTION_COUNT; ++f) {
        failures += check_special(functions[f].name, NAN, NAN);
        failures += check_special(functions[f].name, -NAN, NAN);
    }
    return failures;
}

int main(int argc, char **argv) {
    const uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 0u;
    const uint64_t stride = argc > 2 ? strtoull(argv[2], NULL, 10) : 1u;
    int failures = check_specials();
    for (size_t f = 0; f < FUNCTION_COUNT; ++f) {
        failures += sweep(f, first, stride);
    }
    return failures != 0;
}
