"""Programs whose C is read: a transformer block and a recurrent cell in three turns of a loop."""

from __future__ import annotations

from typing import Any

import numpy as np

import gradc as gd
from gradc import nn, optim


class Block(nn.Module):
    """Attention in heads and two linear layers, each added to what came in."""

    def __init__(self, width: int = 32, heads: int = 2) -> None:
        rng = np.random.default_rng(0)
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, rng=rng)
        self.proj = nn.Linear(width, width, rng=rng)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 2 * width, rng=rng)
        self.fc2 = nn.Linear(2 * width, width, rng=rng)

    def __call__(self, x: Any) -> Any:
        batch, time, width = x.shape
        parts = self.qkv(self.norm1(x)).reshape(batch, time, 3, self.heads, width // self.heads)
        q, k, v = parts.transpose(2, 0, 3, 1, 4)
        scores = q @ k.swapaxes(-1, -2) / (width / self.heads) ** 0.5
        probs = nn.softmax(scores)
        attended = (probs @ v).swapaxes(1, 2).reshape(batch, time, width)
        middle = x + self.proj(attended)
        hidden = nn.gelu(self.fc1(self.norm2(middle)), approximate="tanh")
        return middle + self.fc2(hidden)


class Cell(nn.Module):
    """A long short-term memory, one turn of the loop for each time."""

    def __init__(self, inputs: int = 16, units: int = 32) -> None:
        rng = np.random.default_rng(0)
        self.units = units
        self.x_weight = rng.uniform(-0.1, 0.1, (inputs, 4 * units)).astype(np.float32)
        self.h_weight = rng.uniform(-0.1, 0.1, (units, 4 * units)).astype(np.float32)
        self.bias = np.zeros(4 * units, np.float32)

    def __call__(self, x: Any) -> Any:
        n = self.units
        c = h = np.zeros((x.shape[1], n), np.float32)
        for t in range(x.shape[0]):
            gates = x[t] @ self.x_weight + h @ self.h_weight + self.bias
            i = nn.sigmoid(gates[:, :n])
            f = nn.sigmoid(gates[:, n : 2 * n])
            g = np.tanh(gates[:, 2 * n : 3 * n])
            o = nn.sigmoid(gates[:, 3 * n :])
            c = f * c + i * g
            h = o * np.tanh(c)
        return h


def loss(model: Any, x: Any, y: Any) -> Any:
    return ((model(x) - y) ** 2).mean()


def block() -> Any:
    x = gd.f32[2, 16, 32]
    return gd.train_step(
        loss, Block(), optim.SGD(0.1), x, x, predict=Block.__call__, name="block", target="avx2"
    )


def cell() -> Any:
    return gd.train_step(
        loss, Cell(), optim.SGD(0.1), gd.f32[3, 8, 16], gd.f32[8, 32], predict=Cell.__call__,
        name="cell", target="avx2",
    )  # fmt: skip
