/* mnist.h: the interface of mnist.c, written by gradc.
 *
 *     static mnist_state state;
 *     static mnist_arena arena;
 *     mnist_init(&state, 0);
 *     int status = mnist_step(&state, &loss, &accuracy, x, y, 0.05f, &arena);
 *
 * Each function that returns `int` returns MNIST_OK, or else the first requirement that its
 * arguments do not meet; it has then written nothing. A result that is not finite is no failure.
 *
 * Arrays are dense, the last index running fastest. What is written must overlap nothing else that
 * is passed: neither state, outputs, inputs nor arena; inputs may be the same.
 *
 * Structs may be static, on the stack, or in memory aligned as they are (aligned_alloc); no
 * function keeps anything anywhere else.
 */
#ifndef GRADC_MNIST_H
#define GRADC_MNIST_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a call returns. */
enum {
    MNIST_OK = 0,
    MNIST_Y_OUT_OF_RANGE = 1,     /* `y` has an element outside 0..9 */
    MNIST_ORDER_OUT_OF_RANGE = 2, /* `order` names a row that is not there */
    MNIST_WRONG_FILE = 3          /* not the parameters of this model, cut short, or changed */
};

/* The extents of the arrays. */
enum {
    MNIST_BATCH = 64,
    MNIST_FC1_IN = 784,
    MNIST_FC1_OUT = 128,
    MNIST_FC2_OUT = 10
};

/* What the model computes with, all that mnist_evaluate and mnist_predict need: 407,104 bytes. */
typedef struct mnist_params {
    alignas(64) float fc1_weight[MNIST_FC1_IN * MNIST_FC1_OUT]; /* [FC1_IN, FC1_OUT], transposed */
    alignas(64) float fc1_bias[MNIST_FC1_OUT];
    /* [FC1_OUT, FC2_OUT], transposed */
    alignas(64) float fc2_weight[MNIST_FC1_OUT * MNIST_FC2_OUT];
    float fc2_bias[MNIST_FC2_OUT];
} mnist_params;

/* All that is kept from one call to the next: 814,272 bytes. */
typedef struct mnist_state {
    mnist_params params;
    mnist_params momentum;
    alignas(8) uint64_t step;
    alignas(8) uint64_t seed;
} mnist_state;

/* Scratch of one call, 68,736 bytes: written before it is read, of no value afterwards. */
typedef struct mnist_arena {
    alignas(64) float f32[17184];
} mnist_arena;

/* Scratch of mnist_steps, with room for the batch it gathers: 269,696 bytes. */
typedef struct mnist_steps_arena {
    mnist_arena step;
    alignas(64) float x[MNIST_BATCH * MNIST_FC1_IN];
    alignas(64) int32_t y[MNIST_BATCH];
} mnist_steps_arena;

/* Draw the parameters from the distributions of the model's layers, the same numbers for the
 * same seed on every target; set seed; clear all else. */
void mnist_init(mnist_state *state, uint64_t seed);

/* Take the parameters from the content of mnist_parameters.bin, which lies anywhere in memory
 * and has MNIST_FILE_BYTES bytes, little-endian: MNIST_FILE_ID, the CRC-32 of what follows (8
 * bytes each), and the arrays in the order of mnist_params with their last index running
 * fastest, none transposed. MNIST_WRONG_FILE, and nothing is written, if it is of another model,
 * is cut short or has changed. */
#define MNIST_FILE_ID UINT64_C(0xe73b3643951aefef)
#define MNIST_FILE_BYTES 407096
int mnist_load(mnist_params *params, const void *file, size_t bytes);

/* step: loss f32[], accuracy f32[] from x f32[64, 784], y i32[64] within 0..9, lr f32[];
 * replaces the state. */
int mnist_step(
    mnist_state *state, float *loss, float *accuracy, const float *x, const int32_t *y, float lr,
    mnist_arena *arena);

/* steps: `count` steps. Step k takes the rows order[64 k], ... of the data, which has `samples`
 * rows, and gives loss[k], accuracy[k]. It stops at a step that fails, of which nothing is
 * written: `*done` steps were done before it. */
int mnist_steps(
    mnist_state *state, float *loss, float *accuracy, size_t *done, const float *x,
    const int32_t *y, size_t samples, const uint32_t *order, size_t count, float lr,
    mnist_steps_arena *arena);

/* evaluate: loss f32[], accuracy f32[] from x f32[64, 784], y i32[64] within 0..9. */
int mnist_evaluate(
    const mnist_params *params, float *loss, float *accuracy, const float *x, const int32_t *y,
    mnist_arena *arena);

/* predict: out f32[64, 10] from x f32[64, 784]. */
int mnist_predict(const mnist_params *params, float *out, const float *x, mnist_arena *arena);

#ifdef __cplusplus
}
#endif

#endif
