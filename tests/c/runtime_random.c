/* runtime_random: prints what gradc_random.h computes, in hexadecimal, for test_runtime.py to
 * judge.
 *
 * Enters: nothing. Leaves on stdout: the known-answer blocks of Philox, then for each kind of
 * number the first elements of one stream and a scaled fill. Exits with 1 if an element drawn alone
 * is not the one that the fill wrote, or if a fill wrote past its end. Always holds: the output
 * depends neither on the compiler nor on its flags.
 */
#include <inttypes.h>
#include <stdio.h>

#include "gradc_random.h"

#define COUNT 1003 /* no multiple of a block */
#define SEED UINT64_C(0x0123456789abcdef)
#define STREAM UINT64_C(7)
#define GUARD (-99)

static void print_block(uint64_t counter_low, uint64_t counter_high, uint64_t key) {
    const gradc_random_block block = gradc_philox(counter_low, counter_high, key);
    printf("philox %08" PRIx32 "%08" PRIx32 "%08" PRIx32 "%08" PRIx32 "\n", block.word[0],
           block.word[1], block.word[2], block.word[3]);
}

/* One kind of number: its draw against its fill, then the fill with another scale. */
#define DEFINE_CHECK(kind, type, bits_of, format)                                                  \
    static int check_##kind(void) {                                                                \
        static type filled[COUNT + 1];                                                             \
        filled[COUNT] = GUARD;                                                                     \
        gradc_fill_##kind(filled, COUNT, 0, 1, SEED, STREAM);                                      \
        int failures = filled[COUNT] != (type)GUARD;                                               \
        for (size_t i = 0; i < COUNT; ++i) {                                                       \
            const type alone = gradc_##kind(SEED, STREAM, i);                                      \
            failures += bits_of(alone) != bits_of(filled[i]);                                      \
            printf(#kind " %" format "\n", bits_of(alone));                                        \
        }                                                                                          \
        gradc_fill_##kind(filled, COUNT, (type)-0.3, (type)0.7, SEED, STREAM + 1);                 \
        for (size_t i = 0; i < COUNT; ++i) {                                                       \
            printf("scaled_" #kind " %" format "\n", bits_of(filled[i]));                          \
        }                                                                                          \
        return failures;                                                                           \
    }

DEFINE_CHECK(uniformf, float, gradc_bits_of_float, PRIx32)
DEFINE_CHECK(normalf, float, gradc_bits_of_float, PRIx32)
DEFINE_CHECK(uniform, double, gradc_bits_of_double, PRIx64)
DEFINE_CHECK(normal, double, gradc_bits_of_double, PRIx64)

int main(void) {
    /* The known-answer tests of Random123: zeros, ones, digits of pi. */
    print_block(0, 0, 0);
    print_block(UINT64_MAX, UINT64_MAX, UINT64_MAX);
    print_block(UINT64_C(0x85a308d3243f6a88), UINT64_C(0x0370734413198a2e),
                UINT64_C(0x299f31d0a4093822));
    const int failures = check_uniformf() + check_normalf() + check_uniform() + check_normal();
    return failures != 0;
}
