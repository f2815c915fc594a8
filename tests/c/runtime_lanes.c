/* Partial results made into one: each lane counts once, in the order that the header promises. */
#include <math.h>
#include <stdio.h>

#include "gradc_lanes.h"

static int failures = 0;

static void expect(double found, double expected, const char *what)
{
    if (found != expected && !(isnan(found) && isnan(expected))) {
        printf("%s: %.9g, not %.9g\n", what, found, expected);
        ++failures;
    }
}

#define CHECK(type, suffix, tiny)                                             \
    static void check##suffix(void)                                           \
    {                                                                         \
        type lanes[16];                                                       \
        for (int at = 0; at < 16; ++at) {                                     \
            for (int k = 0; k < 16; ++k) {                                    \
                lanes[k] = (type)(k == at ? 3 : 1);                           \
            }                                                                 \
            expect((double)gradc_sum16##suffix(lanes), 18, "sum");            \
            expect((double)gradc_prod16##suffix(lanes), 3, "product");        \
            expect((double)gradc_max16##suffix(lanes), 3, "maximum");         \
            lanes[at] = (type)-3;                                             \
            expect((double)gradc_min16##suffix(lanes), -3, "minimum");        \
            expect((double)gradc_max16##suffix(lanes), 1, "maximum");         \
            lanes[at] = (type)NAN;                                            \
            expect((double)gradc_min16##suffix(lanes), (double)NAN, "minimum of NaN"); \
            expect((double)gradc_max16##suffix(lanes), (double)NAN, "maximum of NaN"); \
            lanes[at] = (type)-INFINITY;                                      \
            expect((double)gradc_min16##suffix(lanes), -(double)INFINITY, "minimum"); \
        }                                                                     \
        /* The halves first: 1 in the lower half and -1 in the upper one cancel before what is  \
         * lost beside 1 is added. */                                         \
        for (int k = 0; k < 16; ++k) {                                        \
            lanes[k] = (type)0;                                               \
        }                                                                     \
        for (int k = 0; k < 7; ++k) {                                         \
            lanes[k] = (type)1;                                               \
            lanes[k + 8] = (type)-1;                                          \
        }                                                                     \
        lanes[15] = (type)(tiny);                                             \
        expect((double)gradc_sum16##suffix(lanes), (double)(type)(tiny), "order"); \
    }

CHECK(float, f, 1e-9f)
CHECK(double, , 1e-20)

int main(void)
{
    checkf();
    check();
    printf("%d failures\n", failures);
    return failures != 0;
}
