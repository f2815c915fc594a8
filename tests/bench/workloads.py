"""What is timed: one whole training step (forward, backward, SGD update) of some small networks.

Every framework gets the same initial weights and the same batch from here, so that the bench can
check that all of them compute the same losses before it believes their times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

LEARNING_RATE = 0.01
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Workload:
    """An MLP with `sizes`, trained on batches of `batch` rows.

    `loss` is "cross_entropy" (integer labels, linear output) or "mse" (the activation is applied to
    the output as well: with sizes 2-1 that is the neuron of the lecture).
    """

    name: str
    sizes: tuple[int, ...]
    activation: str
    loss: str
    batch: int

    def parameters(self) -> list[tuple[Array, Array]]:
        """(weight (inputs, outputs), bias) of each layer, float32."""
        rng = np.random.default_rng(0)
        pairs = zip(self.sizes[:-1], self.sizes[1:], strict=True)
        return [
            (
                (rng.standard_normal((n, m)) / np.sqrt(n)).astype(np.float32),
                (rng.standard_normal(m) * 0.1).astype(np.float32),
            )
            for n, m in pairs
        ]

    def data(self, batches: int = 1) -> tuple[Array, Array]:
        """The samples of so many batches; the first batch is the one that single steps use."""
        rows = batches * self.batch
        x = np.random.default_rng(1).standard_normal((rows, self.sizes[0])).astype(np.float32)
        rng = np.random.default_rng(2)
        if self.loss == "cross_entropy":
            return x, rng.integers(0, self.sizes[-1], rows).astype(np.int32)
        return x, rng.random((rows, self.sizes[-1])).astype(np.float32)

    def activates(self, layer: int) -> bool:
        """Whether the activation follows layer `layer`."""
        return layer < len(self.sizes) - 2 or self.loss == "mse"


WORKLOADS = {
    w.name: w
    for w in (
        Workload("neuron", (2, 1), "sigmoid", "mse", 1),
        Workload("digits", (64, 32, 10), "relu", "cross_entropy", 32),
        Workload("mnist", (784, 128, 10), "relu", "cross_entropy", 64),
        Workload("mnist-w", (784, 512, 512, 10), "relu", "cross_entropy", 256),
        Workload("deep", (64, *[64] * 20, 10), "tanh", "cross_entropy", 32),
        Workload("odd", (37, 300, 300, 5), "relu", "cross_entropy", 100),
        Workload("wide", (1000, 1000, 1000, 10), "relu", "cross_entropy", 128),
    )
}
