/* Products and transposition of gradc_simd.h against sums of integers, which are exact.
 *
 * Every array ends where its memory does, begins where no vector is aligned, and has numbers
 * between its rows: so a sanitizer sees what is read past the end, and the comparison what is
 * written beside. Prints the cases that differ; returns whether there are any. */
#include "gradc_simd.h"

#include <stdio.h>
#include <stdlib.h>

static int wrong = 0;

static void check(int right, const char *what, size_t rows, size_t columns, size_t depth) {
    if (!right) {
        printf("%s: %zu x %zu x %zu\n", what, rows, columns, depth);
        wrong = 1;
    }
}

/* A small integer for each place of an array. */
static int number_at(size_t k, size_t array) {
    return (int)(k * (7 + array) % 11) - 5;
}

/* Memory for some elements, which end where it ends. */
static void *memory(size_t elements, size_t size, void **block) {
    *block = malloc((elements + 1) * size);
    if (*block == NULL) {
        exit(100);
    }
    return (char *)*block + size;
}

/* The type of the vectors, that of a number, and the rows and columns of a block: one vector, two
 * that overlap in all columns but one or in one, whole ones, and more. */
#define BLOCKS(block)            \
    block(f32x4, float, 3, 5)    \
    block(f32x4, float, 6, 8)    \
    block(f32x8, float, 1, 8)    \
    block(f32x8, float, 6, 15)   \
    block(f32x16, float, 3, 17)  \
    block(f32x16, float, 14, 32) \
    block(f32x16, float, 1, 49)  \
    block(f64x2, double, 5, 3)   \
    block(f64x4, double, 2, 7)   \
    block(f64x8, double, 3, 16)

/* One product; `turned`: the rows of a lie side by side; `adds`: it is added to what is there. */
#define PRODUCT(type, number, rows, columns)                                                     \
    static void product_##type##_##rows##x##columns(size_t depth, int turned, int adds) {         \
        const size_t to_row = (columns) + 3, b_row = (columns) + 2;                               \
        const size_t a_row = turned ? 1 : depth + 1, a_column = turned ? (rows) + 2 : 1;          \
        const size_t to_size = ((rows)-1) * to_row + (columns);                                   \
        const size_t a_size = ((rows)-1) * a_row + (depth - 1) * a_column + 1;                    \
        const size_t b_size = (depth - 1) * b_row + (columns);                                    \
        void *to_block, *a_block, *b_block;                                                       \
        number *to = (number *)memory(to_size, sizeof *to, &to_block);                            \
        number *a = (number *)memory(a_size, sizeof *a, &a_block);                                \
        number *b = (number *)memory(b_size, sizeof *b, &b_block);                                \
        for (size_t k = 0; k < to_size; ++k) {                                                    \
            to[k] = (number)number_at(k, 0);                                                      \
        }                                                                                         \
        for (size_t k = 0; k < a_size; ++k) {                                                     \
            a[k] = (number)number_at(k, 1);                                                       \
        }                                                                                         \
        for (size_t k = 0; k < b_size; ++k) {                                                     \
            b[k] = (number)number_at(k, 2);                                                       \
        }                                                                                         \
        if (adds) {                                                                               \
            gradc_add_product_##type(                                                             \
                to, to_row, rows, columns, depth, a, a_row, a_column, b, b_row);                  \
        } else {                                                                                  \
            gradc_product_##type(to, to_row, rows, columns, depth, a, a_row, a_column, b, b_row); \
        }                                                                                         \
        int right = 1;                                                                            \
        for (size_t k = 0; k < to_size; ++k) {                                                    \
            const size_t r = k / to_row, c = k % to_row;                                          \
            int expected = number_at(k, 0);                                                       \
            for (size_t p = 0; p < depth && c < (columns); ++p) {                                 \
                expected = p == 0 && !adds ? 0 : expected;                                        \
                expected += number_at(r * a_row + p * a_column, 1) * number_at(p * b_row + c, 2); \
            }                                                                                     \
            right &= to[k] == (number)expected;                                                   \
        }                                                                                         \
        check(right, adds ? "add_" #type : #type, rows, columns, depth);                          \
        free(to_block);                                                                           \
        free(a_block);                                                                            \
        free(b_block);                                                                            \
    }
BLOCKS(PRODUCT)

static void transpose(size_t rows, size_t columns) {
    const size_t to_row = rows + 2, from_row = columns + 3;
    const size_t to_size = (columns - 1) * to_row + rows;
    const size_t from_size = (rows - 1) * from_row + columns;
    void *to_block, *from_block;
    float *to = (float *)memory(to_size, sizeof *to, &to_block);
    float *from = (float *)memory(from_size, sizeof *from, &from_block);
    for (size_t k = 0; k < to_size; ++k) {
        to[k] = -1.0f;
    }
    for (size_t k = 0; k < from_size; ++k) {
        from[k] = (float)k;
    }
    gradc_transpose(to, to_row, from, from_row, rows, columns);
    int right = 1;
    for (size_t k = 0; k < to_size; ++k) {
        const size_t c = k / to_row, r = k % to_row;
        right &= to[k] == (r < rows ? (float)(r * from_row + c) : -1.0f);
    }
    check(right, "transpose", rows, columns, 1);
    free(to_block);
    free(from_block);
}

int main(void) {
    static const size_t depths[] = {1, 2, 7, 32};
    for (size_t k = 0; k < sizeof depths / sizeof *depths; ++k) {
        for (int way = 0; way < 4; ++way) {
#define RUN(type, number, rows, columns) \
    product_##type##_##rows##x##columns(depths[k], way & 1, way >> 1);
            BLOCKS(RUN)
        }
    }
    for (size_t rows = 1; rows < 20; ++rows) {
        for (size_t columns = 1; columns < 20; ++columns) {
            transpose(rows, columns);
        }
    }
    return wrong;
}
