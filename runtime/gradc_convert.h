/* gradc_convert.h: from real numbers to integers, defined for every number.
 *
 * Enters: any float or double. Leaves: its integer part; the least or greatest integer of the type
 * where it lies beyond, and 0 for NaN (as in WebAssembly's saturating conversions, Rust and Java).
 * Always holds: C leaves the conversion of what is out of range undefined, and processors differ,
 * so a number is brought into the range first. There are no branches: a loop becomes vector code.
 *
 *     gradc_to_int8f(float), gradc_to_int8(double), ..., gradc_to_uint64(double)
 */
#ifndef GRADC_CONVERT_H
#define GRADC_CONVERT_H

#include <stdint.h>

#include "gradc_base.h"

/* `least` and `below` are the least and the greatest number of type `real` whose integer part is
 * in range; for wide integers that part may be less than the `greatest` integer. */
#define GRADC_DEFINE_CONVERSION(name, integer, real, least, below, greatest) \
    GRADC_INLINE integer name(real x) {                                      \
        const real number = x == x ? x : 0; /* NaN is 0 */                   \
        const real raised = number > (least) ? number : (least);             \
        const real inside = raised < (below) ? raised : (below);             \
        return number > (below) ? (greatest) : (integer)inside;              \
    }

GRADC_DEFINE_CONVERSION(gradc_to_int8f, int8_t, float, -128.0f, 127.0f, INT8_MAX)
GRADC_DEFINE_CONVERSION(gradc_to_int16f, int16_t, float, -32768.0f, 32767.0f, INT16_MAX)
GRADC_DEFINE_CONVERSION(gradc_to_int32f, int32_t, float, -2147483648.0f, 2147483520.0f, INT32_MAX)
GRADC_DEFINE_CONVERSION(gradc_to_int64f, int64_t, float, -9223372036854775808.0f,
                        9223371487098961920.0f, INT64_MAX)
GRADC_DEFINE_CONVERSION(gradc_to_uint8f, uint8_t, float, 0.0f, 255.0f, UINT8_MAX)
GRADC_DEFINE_CONVERSION(gradc_to_uint16f, uint16_t, float, 0.0f, 65535.0f, UINT16_MAX)
GRADC_DEFINE_CONVERSION(gradc_to_uint32f, uint32_t, float, 0.0f, 4294967040.0f, UINT32_MAX)
GRADC_DEFINE_CONVERSION(gradc_to_uint64f, uint64_t, float, 0.0f, 18446742974197923840.0f,
                        UINT64_MAX)

GRADC_DEFINE_CONVERSION(gradc_to_int8, int8_t, double, -128.0, 127.0, INT8_MAX)
GRADC_DEFINE_CONVERSION(gradc_to_int16, int16_t, double, -32768.0, 32767.0, INT16_MAX)
GRADC_DEFINE_CONVERSION(gradc_to_int32, int32_t, double, -2147483648.0, 2147483647.0, INT32_MAX)
GRADC_DEFINE_CONVERSION(gradc_to_int64, int64_t, double, -9223372036854775808.0,
                        9223372036854774784.0, INT64_MAX)
GRADC_DEFINE_CONVERSION(gradc_to_uint8, uint8_t, double, 0.0, 255.0, UINT8_MAX)
GRADC_DEFINE_CONVERSION(gradc_to_uint16, uint16_t, double, 0.0, 65535.0, UINT16_MAX)
GRADC_DEFINE_CONVERSION(gradc_to_uint32, uint32_t, double, 0.0, 4294967295.0, UINT32_MAX)
GRADC_DEFINE_CONVERSION(gradc_to_uint64, uint64_t, double, 0.0, 18446744073709549568.0, UINT64_MAX)

#undef GRADC_DEFINE_CONVERSION

#endif
