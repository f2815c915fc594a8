/* refuse_mnist: what the exported mnist.c does with labels and orders that are out of range.
 *
 * Exits with 0 if each is refused with the right status and not a byte of state, outputs or arena
 * has changed; else it says which check failed. Run under the address sanitizer it also shows that
 * nothing is read out of bounds.
 */
#include "mnist.h"

#include <stdio.h>
#include <string.h>

enum { PIXELS = 784, BATCH = 64, ROWS = 2 * BATCH };

static float x[ROWS * PIXELS];
static int32_t y[ROWS];
static uint32_t order[ROWS];
static mnist_state state, before;
static mnist_arena arena, untouched;
static mnist_steps_arena steps_arena;

static int failures;

static void check(int holds, const char *what)
{
    if (!holds) {
        printf("%s\n", what);
        ++failures;
    }
}

int main(void)
{
    static const int32_t wrong[] = {-1, 10, INT32_MIN, INT32_MAX};
    float loss = 7.0f, accuracy = 7.0f, losses[2] = {7.0f, 7.0f}, accuracies[2];
    size_t done = 99;
    for (size_t i = 0; i < ROWS; ++i) {
        y[i] = (int32_t)(i % 10);
        order[i] = (uint32_t)i;
        x[i * PIXELS + i] = 1.0f;
    }
    mnist_init(&state, 3);
    memcpy(&before, &state, sizeof state);
    memset(&arena, 0xA5, sizeof arena);
    memcpy(&untouched, &arena, sizeof arena);
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; ++k) {
        y[BATCH - 1] = wrong[k];
        check(mnist_step(&state, &loss, &accuracy, x, y, 0.1f, &arena) == MNIST_Y_OUT_OF_RANGE,
              "a wrong label is trained on");
        check(mnist_evaluate(&state.params, &loss, &accuracy, x, y, &arena) == MNIST_Y_OUT_OF_RANGE,
              "a wrong label is measured");
        check(mnist_steps(&state, losses, accuracies, &done, x, y, ROWS, order, 2, 0.1f,
                          &steps_arena) == MNIST_Y_OUT_OF_RANGE && done == 0,
              "a wrong label is trained on among many");
    }
    check(loss == 7.0f && accuracy == 7.0f && losses[0] == 7.0f,
          "an output is written although the labels are refused");
    check(memcmp(&before, &state, sizeof state) == 0, "the state has changed");
    check(memcmp(&untouched, &arena, sizeof arena) == 0, "the arena has changed");

    /* The second step names a row that is not there: the first is done, the second is not begun. */
    y[BATCH - 1] = 3;
    order[ROWS - 1] = ROWS;
    check(mnist_steps(&state, losses, accuracies, &done, x, y, ROWS, order, 2, 0.1f,
                      &steps_arena) == MNIST_ORDER_OUT_OF_RANGE,
          "a row out of range is trained on");
    check(done == 1 && state.step == 1 && losses[0] != 7.0f && losses[1] == 7.0f,
          "it does not stop at the step that fails");
    check(mnist_steps(&state, losses, accuracies, &done, x, y, BATCH - 1, order, 2, 0.1f,
                      &steps_arena) == MNIST_ORDER_OUT_OF_RANGE && done == 0,
          "a row beyond the samples is trained on");
    check(mnist_steps(&state, losses, accuracies, &done, x, y, ROWS, order, 0, 0.1f,
                      &steps_arena) == MNIST_OK && done == 0,
          "no steps are not no steps");
    check(state.step == 1, "the step counter is wrong");

    /* A loss that is not finite is a result, no failure. */
    x[0] = 3e38f;
    x[1] = -3e38f;
    check(mnist_step(&state, &loss, &accuracy, x, y, 1e38f, &arena) == MNIST_OK &&
              mnist_step(&state, &loss, &accuracy, x, y, 1e38f, &arena) == MNIST_OK && loss - loss != 0,
          "a loss that is not finite is refused");
    return failures != 0;
}
