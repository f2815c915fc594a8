"""A multi-layer perceptron of any depth with any activation, on two interleaved spirals.

    python examples/deep_mlp.py --layers 6 --width 32 --activation tanh

`ACTIVATIONS` holds a few; any function of arrays will do, one's own included.
"""

import argparse
from itertools import pairwise

import numpy as np

import gradc as gd
from gradc import nn, optim

BATCH = 32
ACTIVATIONS = {
    "relu": nn.relu,
    "tanh": np.tanh,
    "sigmoid": nn.sigmoid,
    "sine": np.sin,
    "softsign": lambda x: x / (1 + abs(x)),  # one's own
}


class MLP(nn.Module):
    """`len(sizes) - 1` linear layers with `activation` between them."""

    def __init__(self, sizes, activation=nn.relu, seed=0):
        rng = np.random.default_rng(seed)
        self.activation = activation
        self.layers = [nn.Linear(n, m, rng=rng) for n, m in pairwise(sizes)]

    def __call__(self, x):
        *hidden, last = self.layers
        h = x
        for layer in hidden:
            h = self.activation(layer(h))
        return last(h)


def loss(model, x, y):
    """Mean cross-entropy over the two spirals, and the accuracy."""
    logits = model(x)
    return nn.cross_entropy(logits, y), {"accuracy": nn.accuracy(logits, y)}


def step(seed=0, layers=4, width=32, activation="tanh"):
    """The training step of a network with `layers` linear layers."""
    sizes = [2, *[width] * (layers - 1), 2]
    model = MLP(sizes, ACTIVATIONS[activation], seed)
    optimizer = optim.SGD(lr=0.1, momentum=0.9)
    specs = gd.f32[BATCH, 2], gd.i32[BATCH]
    return gd.train_step(loss, model, optimizer, *specs, predict=MLP.__call__, name="deep_mlp")


def data(rows=1200):
    """Points of two spirals with a little noise; a sixth of them to test on."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, rows).astype(np.int32)
    radius = np.sqrt(rng.random(rows))
    angle = 2.5 * np.pi * radius + np.pi * y
    x = (radius * np.stack([np.cos(angle), np.sin(angle)])).T + 0.02 * rng.normal(size=(rows, 2))
    x = x.astype(np.float32)
    split = rows * 5 // 6
    return (x[:split], y[:split]), (x[split:], y[split:])


fit = {"epochs": 100}


def main():
    """Train the network the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layers", type=int, default=4, help="how many linear layers")
    parser.add_argument("--width", type=int, default=32, help="neurons in each hidden layer")
    parser.add_argument("--activation", choices=ACTIVATIONS, default="tanh")
    options = parser.parse_args()
    train, test = data()
    trainer = gd.Trainer(step(**vars(options)))
    trainer.fit(train, shuffle=True, seed=0, **fit)
    result = trainer.evaluate(test)
    print(f"test loss {result['loss']:.3f}, accuracy {result['accuracy']:.1%}")


if __name__ == "__main__":
    main()
