/* gradc_file.h: what reading a file of parameters takes.
 *
 * Enters: the bytes of a file. Leaves: their checksum, and matrices in the order they are stored in.
 * Always holds: nothing is asked of the alignment of the bytes.
 */
#ifndef GRADC_FILE_H
#define GRADC_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "gradc_base.h"

/* The CRC-32 of zip, PNG and zlib (polynomial 0xedb88320, bits reflected), four bits at a time: it
 * differs if no more than 32 bits in a row have changed. */
GRADC_ONCE uint32_t gradc_crc32(const unsigned char *bytes, size_t count) {
    static const uint32_t table[16] = {
        0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u,
        0x4db26158u, 0x5005713cu, 0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
        0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < count; ++i) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}

/* The next `count` bytes, written to `out`; where those behind them begin. */
GRADC_ONCE const unsigned char *gradc_read(void *out, const unsigned char *bytes, size_t count) {
    memcpy(out, bytes, count);
    return bytes + count;
}

/* The same of a matrix of rows x columns elements of `size` bytes, written column by column. */
GRADC_ONCE const unsigned char *gradc_read_transposed(void *out, const unsigned char *bytes,
                                                      size_t rows, size_t columns, size_t size) {
    unsigned char *const to = (unsigned char *)out;
    for (size_t i = 0; i < rows; ++i) {
        for (size_t j = 0; j < columns; ++j) {
            memcpy(&to[(j * rows + i) * size], &bytes[(i * columns + j) * size], size);
        }
    }
    return bytes + rows * columns * size;
}

#endif
