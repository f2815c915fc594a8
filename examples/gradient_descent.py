"""One model, three ways to descend: the whole data set, one sample, or a mini-batch at a time.

* Full-batch gradient descent: every step uses the mean gradient over all 32,000 samples.
* Stochastic gradient descent: every step uses the gradient of one sample.
* Mini-batches: every step uses 64 samples, drawn without replacement; 32,000 samples are 500 steps
  an epoch.

The model is a straight line, fitted by least squares, so that the answer is known. All three see
the same samples; what differs is how many steps they get from one pass over them.
"""

import numpy as np

import gradc as gd
from gradc import optim

ROWS = 32_000
BATCH = 64
SLOPE, INTERCEPT = 3.0, -1.0


def loss(line, x, y):
    """Mean squared error of `slope * x + intercept`."""
    return ((line["slope"] * x + line["intercept"] - y) ** 2).mean()


def step(batch=BATCH, lr=0.05):
    """A training step on `batch` samples, starting at the line y = 0."""
    line = {"slope": np.float32(0), "intercept": np.float32(0)}
    name = f"line_{batch}"
    return gd.train_step(loss, line, optim.SGD(lr=lr), gd.f32[batch], gd.f32[batch], name=name)


def samples(rows=ROWS, seed=0):
    """Noisy points of the line."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, rows)
    y = SLOPE * x + INTERCEPT + 0.1 * rng.normal(size=rows)
    return x.astype(np.float32), y.astype(np.float32)


def data():
    """Samples to train on and others to test on."""
    return samples(), samples(1000, seed=1)


fit = {"epochs": 1}


def batches(rows, batch, seed=0):
    """Every sample once, in a random order: an index array (rows // batch, batch)."""
    order = np.random.default_rng(seed).permutation(rows)
    return order[: rows // batch * batch].reshape(-1, batch)


def descend(batch, lr, epochs=1):
    """Train for `epochs` passes over the data; the losses of all steps, and the line found."""
    x, y = samples()
    training = step(batch, lr)
    losses = [training.many((x, y), batches(ROWS, batch, seed=e)) for e in range(epochs)]
    line = float(training.params["slope"]), float(training.params["intercept"])
    return np.concatenate(losses), line


def written(slope, intercept):
    """The line as a formula: `y = 3.000 x - 1.000`."""
    return f"y = {slope:.3f} x {'+' if intercept >= 0 else '-'} {abs(intercept):.3f}"


def main():
    """Show what each way has found and what it took."""
    print(f"looking for {written(SLOPE, INTERCEPT)} in {ROWS:,} samples\n")
    ways = [("full batch", ROWS, 0.5, 30), ("one sample", 1, 0.02, 1), ("mini-batch", 64, 0.05, 1)]
    for name, batch, lr, epochs in ways:
        losses, (slope, intercept) = descend(batch, lr, epochs)
        print(
            f"{name}: {len(losses):>6,} steps in {epochs:>2} epochs, "
            f"last loss {losses[-1]:.4f}, {written(slope, intercept)}"
        )


if __name__ == "__main__":
    main()
