"""A small transformer reads a digit row by row: attention, layer norms, AdamW with a schedule.

    python examples/transformer.py

Each of the 28 rows of pixels is a token. The learning rate rises for 100 steps and falls along a
cosine; weights decay, biases and norms do not; the gradient is clipped, and of the weights an
average is kept, on which the network is tested too.
"""

from pathlib import Path

import numpy as np

import gradc as gd
from gradc import nn, optim
from gradc.optim import schedules

DIGITS = Path(__file__).resolve().parent / "data" / "mnist_5k.npz"
BATCH, EPOCHS = 50, 8
STEPS = EPOCHS * 4000 // BATCH


class Block(nn.Module):
    """Attention over the rows, then two linear layers for each, both added to what came in."""

    def __init__(self, width, heads, rng):
        self.norm1 = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, rng=rng)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 2 * width, rng=rng)
        self.fc2 = nn.Linear(2 * width, width, rng=rng)

    def __call__(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.fc2(nn.gelu(self.fc1(self.norm2(x)), "tanh"))


class Transformer(nn.Module):
    """A place for each row, blocks, and a score for each digit from the mean of all rows."""

    def __init__(self, width=32, heads=4, blocks=2, seed=0):
        rng = np.random.default_rng(seed)
        self.tokens = nn.Linear(28, width, rng=rng)
        self.places = nn.init.normal((28, width), std=0.02, rng=rng)
        self.blocks = [Block(width, heads, rng) for _ in range(blocks)]
        self.norm = nn.LayerNorm(width)
        self.scores = nn.Linear(width, 10, rng=rng)

    def __call__(self, x):
        x = self.tokens(x) + self.places
        for block in self.blocks:
            x = block(x)
        return self.scores(self.norm(x).mean(axis=1))


def loss(model, x, y):
    """Mean cross-entropy with labels smoothed by a tenth, and the accuracy."""
    logits = model(x)
    smoothed = nn.cross_entropy(logits, y, label_smoothing=0.1)
    return smoothed, {"accuracy": nn.accuracy(logits, y)}


def step(seed=0):
    """The training step."""
    rate = schedules.warmup(schedules.cosine(3e-3, STEPS - 100), 100)
    plain = optim.AdamW(rate, weight_decay=0.0)
    adam = optim.Groups({"*bias": plain, "*norm*": plain}, optim.AdamW(rate, weight_decay=0.05))
    optimizer = optim.EMA(optim.Clip(adam, norm=1.0), 0.99)
    return gd.train_step(
        loss, Transformer(seed=seed), optimizer, gd.f32[BATCH, 28, 28], gd.i32[BATCH],
        predict=Transformer.__call__, name="transformer",
    )  # fmt: skip


def data():
    """(images, labels) to train on and (images, labels) to test on; pixels from 0 to 1."""
    digits = np.load(DIGITS)
    x = digits["x"].reshape(-1, 28, 28).astype(np.float32) / 255
    y = digits["y"].astype(np.int32)
    return (x[:4000], y[:4000]), (x[4000:], y[4000:])


fit = {"epochs": EPOCHS}


def main():
    """Train, and test the last weights and the average."""
    train, test = data()
    trainer = gd.Trainer(step())
    trainer.fit(train, shuffle=True, seed=0, **fit)
    print(f"accuracy {trainer.evaluate(test)['accuracy']:.1%}")
    trained = trainer.step
    for name in trained.params:
        trained.params[name] = trained.state[f"opt.average.{name}"]
    print(f"accuracy of the average {trainer.evaluate(test)['accuracy']:.1%}")


if __name__ == "__main__":
    main()
