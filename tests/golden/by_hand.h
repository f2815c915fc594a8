/* by_hand.h: the interface of by_hand.c, written by gradc.
 *
 *     static by_hand_state state;
 *     by_hand_init(&state, 0);
 *     int status = by_hand_step(&state, &loss, 0.125f);
 *
 * Each function that returns `int` returns BY_HAND_OK, or else the first requirement that its
 * arguments do not meet; it has then written nothing. A result that is not finite is no failure.
 *
 * Arrays are dense, the last index running fastest. What is written must overlap nothing else that
 * is passed: neither state, outputs, inputs nor arena; inputs may be the same.
 *
 * Structs may be static, on the stack, or in memory aligned as they are (aligned_alloc); no
 * function keeps anything anywhere else.
 */
#ifndef GRADC_BY_HAND_H
#define GRADC_BY_HAND_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call returns. */
enum {
    BY_HAND_OK = 0,
    BY_HAND_WRONG_FILE = 1  /* not the parameters of this model, cut short, or changed */
};

/* What the model computes with, all that by_hand_evaluate needs: 12 bytes. */
typedef struct by_hand_params {
    float x;
    float y;
    float z;
} by_hand_params;

/* All that is kept from one call to the next: 32 bytes. */
typedef struct by_hand_state {
    by_hand_params params;
    alignas(8) uint64_t step;
    alignas(8) uint64_t seed;
} by_hand_state;

/* Give the parameters the values they had when this was compiled; set seed; clear all else. */
void by_hand_init(by_hand_state *state, uint64_t seed);

/* Take the parameters from the content of by_hand_parameters.bin, which lies anywhere in memory
 * and has BY_HAND_FILE_BYTES bytes, little-endian: BY_HAND_FILE_ID, the CRC-32 of what follows
 * (8 bytes each), and the arrays in the order of by_hand_params with their last index running
 * fastest, none transposed. BY_HAND_WRONG_FILE, and nothing is written, if it is of another
 * model, is cut short or has changed. */
#define BY_HAND_FILE_ID UINT64_C(0x0d76bd2559cfba24)
#define BY_HAND_FILE_BYTES 28
int by_hand_load(by_hand_params *params, const void *file, size_t bytes);

/* step: loss f32[] from lr f32[]; replaces the state. */
int by_hand_step(by_hand_state *state, float *loss, float lr);

/* evaluate: loss f32[]. */
int by_hand_evaluate(const by_hand_params *params, float *loss);

#ifdef __cplusplus
}
#endif

#endif
