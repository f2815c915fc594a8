/* train_mnist: trains the exported mnist.c on real digits; no Python in sight.
 *
 *     train_mnist digits.raw epochs seed
 *
 * Enters: a file of samples, each one byte of label and 784 bytes of pixels, already shuffled. Four
 * fifths are trained on, in mini-batches drawn without replacement; the rest is tested on. Leaves on
 * stdout the mean loss of each epoch and the accuracy. Exits with 1 if the file cannot be used.
 */
#include "mnist.h"

#include <stdio.h>
#include <stdlib.h>

enum { PIXELS = 784, CLASSES = 10, BATCH = 64, MOST_ROWS = 5000, MOST_STEPS = MOST_ROWS / BATCH };

static float images[MOST_ROWS * PIXELS];
static int32_t labels[MOST_ROWS];
static uint32_t order[MOST_ROWS];
static float losses[MOST_STEPS], accuracies[MOST_STEPS];

/* All the memory that training needs: nothing is allocated, and nothing is hidden in mnist.c. */
static mnist_state state;
static mnist_steps_arena arena;

/* Pixels have mean 0 and standard deviation 1 over MNIST's training images. */
static size_t read_digits(const char *path)
{
    static unsigned char sample[1 + PIXELS];
    FILE *const file = fopen(path, "rb");
    size_t rows = 0;
    if (file == NULL) {
        return 0;
    }
    while (rows < MOST_ROWS && fread(sample, 1, sizeof sample, file) == sizeof sample) {
        labels[rows] = sample[0];
        for (size_t i = 0; i < PIXELS; ++i) {
            images[rows * PIXELS + i] = ((float)sample[1 + i] / 255.0f - 0.1307f) / 0.3081f;
        }
        ++rows;
    }
    fclose(file);
    return rows;
}

/* Marsaglia's xorshift: the next of a sequence of random numbers. */
static uint64_t next_random(uint64_t *number)
{
    *number ^= *number << 13;
    *number ^= *number >> 7;
    *number ^= *number << 17;
    return *number;
}

/* Every sample once, in random order (Fisher and Yates). */
static void shuffle(size_t rows, uint64_t *number)
{
    for (size_t i = 0; i < rows; ++i) {
        order[i] = (uint32_t)i;
    }
    for (size_t i = rows; i > 1; --i) {
        const size_t j = (size_t)(next_random(number) % i);
        const uint32_t kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

static int best_class(const float *scores)
{
    int best = 0;
    for (int i = 1; i < CLASSES; ++i) {
        if (scores[i] > scores[best]) {
            best = i;
        }
    }
    return best;
}

/* The share of the rows from `first` on that are classified correctly. */
static double accuracy_of(size_t first, size_t rows)
{
    static float batch[BATCH * PIXELS], scores[BATCH * CLASSES];
    size_t right = 0;
    for (size_t start = first; start < rows; start += BATCH) {
        const size_t left = rows - start, count = left < BATCH ? left : (size_t)BATCH;
        for (size_t i = 0; i < count * PIXELS; ++i) {
            batch[i] = images[start * PIXELS + i];
        }
        mnist_predict(&state.params, scores, batch, &arena.step);
        for (size_t i = 0; i < count; ++i) {
            right += best_class(&scores[i * CLASSES]) == labels[start + i];
        }
    }
    return (double)right / (double)(rows - first);
}

int main(int count, char **arguments)
{
    if (count != 4) {
        fprintf(stderr, "usage: train_mnist digits.raw epochs seed\n");
        return 1;
    }
    const size_t rows = read_digits(arguments[1]);
    const size_t train = rows / 5 * 4;
    const size_t steps = train / BATCH;
    const int epochs = atoi(arguments[2]);
    const uint64_t seed = strtoull(arguments[3], NULL, 10);
    uint64_t number = seed + 1;
    if (steps == 0) {
        fprintf(stderr, "train_mnist: no digits in %s\n", arguments[1]);
        return 1;
    }

    mnist_init(&state, seed);
    printf("before: accuracy %.3f\n", accuracy_of(train, rows));
    for (int epoch = 1; epoch <= epochs; ++epoch) {
        double sum = 0.0;
        shuffle(train, &number);
        size_t done;
        if (mnist_steps(&state, losses, accuracies, &done, images, labels, train, order, steps,
                        0.05f, &arena) != MNIST_OK) {
            return 1;
        }
        for (size_t k = 0; k < steps; ++k) {
            sum += (double)losses[k];
        }
        printf("epoch %d: loss %.6f\n", epoch, sum / (double)steps);
    }
    printf("after: accuracy %.3f\n", accuracy_of(train, rows));
    return 0;
}
