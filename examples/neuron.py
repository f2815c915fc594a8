"""One sigmoid neuron, trained a single sample at a time.

The smallest thing that learns: two inputs, two weights and a bias, the logistic function, the
squared error. The task is to tell on which side of a line a point lies. Each step sees one sample.
"""

import numpy as np

import gradc as gd
from gradc import optim

ROWS = 1000


def neuron(w, x):
    """`1 / (1 + exp(-(w0 x0 + w1 x1 + w2)))` for each row of `x` (rows, 2)."""
    return 1 / (1 + np.exp(-(w["w0"] * x[:, 0] + w["w1"] * x[:, 1] + w["w2"])))


def loss(w, x, y):
    """The mean squared error, and the share of samples on the right side."""
    out = neuron(w, x)
    hits = (out > 0.5) == (y > 0.5)
    return ((out - y) ** 2).mean(), {"accuracy": hits.mean(dtype=np.float32)}


def step(seed=0):
    """A training step on one sample."""
    rng = np.random.default_rng(seed)
    w = {name: np.float32(rng.normal()) for name in ("w0", "w1", "w2")}
    optimizer = optim.SGD(lr=0.5)
    specs = gd.f32[1, 2], gd.f32[1]
    return gd.train_step(loss, w, optimizer, *specs, predict=neuron, name="neuron")


def data():
    """Points of a square, labelled 1 above the line `x1 = 0.2 - 0.5 x0` and 0 below it."""
    x = np.random.default_rng(1).uniform(-1, 1, size=(ROWS, 2)).astype(np.float32)
    y = (x[:, 1] > 0.2 - 0.5 * x[:, 0]).astype(np.float32)
    split = ROWS * 4 // 5
    return (x[:split], y[:split]), (x[split:], y[split:])


fit = {"epochs": 20}

if __name__ == "__main__":
    train, test = data()
    trainer = gd.Trainer(step())
    trainer.fit(train, shuffle=True, seed=0, **fit)
    result = trainer.evaluate(test)
    w0, w1, w2 = (float(trainer.step.params[name]) for name in ("w0", "w1", "w2"))
    print(f"test loss {result['loss']:.4f}, accuracy {result['accuracy']:.1%}")
    print(f"the line found: x1 = {-w2 / w1:.2f} - {w0 / w1:.2f} x0")
