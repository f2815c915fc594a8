/* neuron.h: the interface of neuron.c, written by gradc.
 *
 *     static neuron_state state;
 *     neuron_init(&state, 0);
 *     int status = neuron_step(&state, &loss, &accuracy, x, y, 0.5f);
 *
 * Each function that returns `int` returns NEURON_OK, or else the first requirement that its
 * arguments do not meet; it has then written nothing. A result that is not finite is no failure.
 *
 * Arrays are dense, the last index running fastest. What is written must overlap nothing else that
 * is passed: neither state, outputs, inputs nor arena; inputs may be the same.
 *
 * Structs may be static, on the stack, or in memory aligned as they are (aligned_alloc); no
 * function keeps anything anywhere else.
 */
#ifndef GRADC_NEURON_H
#define GRADC_NEURON_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call returns. */
enum {
    NEURON_OK = 0,
    NEURON_ORDER_OUT_OF_RANGE = 1, /* `order` names a row that is not there */
    NEURON_WRONG_FILE = 2          /* not the parameters of this model, cut short, or changed */
};

/* The extents of the arrays. */
enum {
    NEURON_X_COLUMNS = 2
};

/* What the model computes with, all that neuron_evaluate and neuron_predict need: 12 bytes. */
typedef struct neuron_params {
    float w0;
    float w1;
    float w2;
} neuron_params;

/* All that is kept from one call to the next: 32 bytes. */
typedef struct neuron_state {
    neuron_params params;
    alignas(8) uint64_t step;
    alignas(8) uint64_t seed;
} neuron_state;

/* Give the parameters the values they had when this was compiled; set seed; clear all else. */
void neuron_init(neuron_state *state, uint64_t seed);

/* Take the parameters from the content of neuron_parameters.bin, which lies anywhere in memory
 * and has NEURON_FILE_BYTES bytes, little-endian: NEURON_FILE_ID, the CRC-32 of what follows (8
 * bytes each), and the arrays in the order of neuron_params with their last index running
 * fastest, none transposed. NEURON_WRONG_FILE, and nothing is written, if it is of another
 * model, is cut short or has changed. */
#define NEURON_FILE_ID UINT64_C(0x9ffb0d802e2c6972)
#define NEURON_FILE_BYTES 28
int neuron_load(neuron_params *params, const void *file, size_t bytes);

/* step: loss f32[], accuracy f32[] from x f32[1, 2], y f32[1], lr f32[]; replaces the state. */
int neuron_step(
    neuron_state *state, float *loss, float *accuracy, const float *x, const float *y, float lr);

/* steps: `count` steps. Step k takes the row order[k] of the data, which has `samples` rows, and
 * gives loss[k], accuracy[k]. It stops at a step that fails, of which nothing is written:
 * `*done` steps were done before it. */
int neuron_steps(
    neuron_state *state, float *loss, float *accuracy, size_t *done, const float *x,
    const float *y, size_t samples, const uint32_t *order, size_t count, float lr);

/* evaluate: loss f32[], accuracy f32[] from x f32[1, 2], y f32[1]. */
int neuron_evaluate(
    const neuron_params *params, float *loss, float *accuracy, const float *x, const float *y);

/* predict: out f32[1] from x f32[1, 2]. */
int neuron_predict(const neuron_params *params, float *out, const float *x);

#ifdef __cplusplus
}
#endif

#endif
