/* refuse_mnist: what the exported mnist.c does with labels and orders that are out of range.
 *
 * Exits with 0 if each is refused and not a byte of state or arena has changed; else it says which
 * check failed. Run under the address sanitizer it also shows that nothing is read out of bounds.
 */
#include "mnist.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PIXELS = 784, BATCH = 64, ROWS = 2 * BATCH };

static float x[ROWS * PIXELS];
static int32_t y[ROWS];
static uint32_t order[ROWS];
static mnist_state state, before;
#ifdef __cplusplus
alignas(64)
#else
_Alignas(64)
#endif
static unsigned char arena[MNIST_STEPS_ARENA_BYTES];
static unsigned char untouched[MNIST_STEPS_ARENA_BYTES];

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
    float accuracy = 7.0f, losses[2], accuracies[2];
    for (size_t i = 0; i < ROWS; ++i) {
        y[i] = (int32_t)(i % 10);
        order[i] = (uint32_t)i;
        x[i * PIXELS + i] = 1.0f;
    }
    mnist_init(&state, 3);
    memcpy(&before, &state, sizeof state);
    memset(arena, 0xA5, sizeof arena);
    memcpy(untouched, arena, sizeof arena);
    for (size_t k = 0; k < sizeof wrong / sizeof wrong[0]; ++k) {
        y[BATCH - 1] = wrong[k];
        check(isnan(mnist_step(&state, x, y, 0.1f, &accuracy, arena)), "a wrong label is trained on");
        check(isnan(mnist_evaluate(&state, x, y, &accuracy, arena)), "a wrong label is measured");
    }
    check(accuracy == 7.0f, "an output is written although the labels are refused");
    check(memcmp(&before, &state, sizeof state) == 0, "the state has changed");
    check(memcmp(untouched, arena, sizeof arena) == 0, "the arena has changed");

    /* The second step names a row that is not there: the first is done, the second is not begun. */
    y[BATCH - 1] = 3;
    order[ROWS - 1] = ROWS;
    check(mnist_steps(&state, x, y, ROWS, order, 2, 0.1f, losses, accuracies, arena) == 1,
          "a row out of range is trained on");
    check(state.step == 1, "the step counter is wrong");
    check(mnist_steps(&state, x, y, BATCH - 1, order, 2, 0.1f, losses, accuracies, arena) == 0,
          "a row beyond the samples is trained on");
    check(mnist_steps(&state, x, y, ROWS, order, 0, 0.1f, losses, accuracies, arena) == 0,
          "no steps are not no steps");
    check(state.step == 1, "the step counter is wrong");
    return failures != 0;
}
