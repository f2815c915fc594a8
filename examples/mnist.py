"""Handwritten digits: an MLP 784-128-10 trained by mini-batch SGD with momentum.

    gradc train examples/mnist.py

trains on 4,000 real digits, draws each of them once an epoch, and tests on 1,000 others.
`python examples/mnist.py` does the same from Python.
"""

from pathlib import Path

import numpy as np

import gradc as gd
from gradc import nn, optim

DIGITS = Path(__file__).resolve().parent / "data" / "mnist_5k.npz"


class MLP(nn.Module):
    """784 pixels, one hidden layer, one score (logit) for each digit."""

    def __init__(self, hidden=128, seed=0):
        rng = np.random.default_rng(seed)
        self.fc1 = nn.Linear(784, hidden, rng=rng)
        self.fc2 = nn.Linear(hidden, 10, rng=rng)

    def __call__(self, x):
        return self.fc2(nn.relu(self.fc1(x)))


def loss(model, x, y):
    """Mean cross-entropy of a batch, and the share of it that is classified correctly."""
    logits = model(x)
    return nn.cross_entropy(logits, y), {"accuracy": nn.accuracy(logits, y)}


def step(seed=0):
    """The training step: forward pass, backward pass and update as one C function."""
    return gd.train_step(
        loss,
        MLP(seed=seed),
        optim.SGD(lr=0.05, momentum=0.9, weight_decay=1e-3),
        gd.f32[64, 784],
        gd.i32[64],
        predict=MLP.__call__,
        name="mnist",
    )


def data():
    """(images, labels) to train on and (images, labels) to test on.

    Pixels have mean 0 and standard deviation 1 over MNIST's training images (0.1307 and 0.3081).
    """
    digits = np.load(DIGITS)
    x = (digits["x"].astype(np.float32) / 255 - 0.1307) / 0.3081
    y = digits["y"].astype(np.int32)
    return (x[:4000], y[:4000]), (x[4000:], y[4000:])


fit = {"epochs": 30}

if __name__ == "__main__":
    train, test = data()
    trainer = gd.Trainer(step())
    trainer.fit(train, validation=test, shuffle=True, seed=0, **fit)
    result = trainer.evaluate(test)
    print(f"test loss {result['loss']:.3f}, accuracy {result['accuracy']:.1%}")
