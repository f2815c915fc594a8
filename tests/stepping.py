"""A small classifier and its data, for the tests of training steps."""

from __future__ import annotations

from typing import Any

import numpy as np

import gradc as gd
from gradc import nn, optim

BATCH, FEATURES, CLASSES = 16, 12, 5


class Net(nn.Module):
    def __init__(self, hidden: int = 24, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.fc1 = nn.Linear(FEATURES, hidden, rng=rng)
        self.fc2 = nn.Linear(hidden, CLASSES, rng=rng)

    def __call__(self, x: Any) -> Any:
        return self.fc2(nn.relu(self.fc1(x)))


def loss(net: Any, x: Any, y: Any) -> Any:
    logits = net(x)
    return nn.cross_entropy(logits, y), {"accuracy": nn.accuracy(logits, y)}


def make(batch: int = BATCH, **options: Any) -> Any:
    specs = gd.f32[batch, FEATURES], gd.i32[batch]
    optimizer = optim.SGD(lr=0.1, momentum=0.9, weight_decay=1e-3)
    return gd.train_step(
        loss, Net(), optimizer, *specs, predict=Net.__call__, name="net", **options
    )


def samples(rows: int, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, FEATURES)).astype(np.float32)
    return x, rng.integers(0, CLASSES, rows).astype(np.int32)


X, Y = samples(96)
ORDER = np.random.default_rng(5).permutation(96).reshape(6, BATCH)
