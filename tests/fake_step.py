"""A training step in plain NumPy, with the interface of `gradc.TrainStep`.

Least squares by SGD with momentum, in float64 inside and rounded as it is stored, so that the
trainer can be tested without a compiler. It counts its calls.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gradc.dtypes import Spec, f32

FEATURES = 3


class FakeStep:
    """`y = x @ w + b` for rows of three numbers."""

    def __init__(self, batch: int | None = 4, name: str = "line", metrics: bool = True) -> None:
        self.name = name
        self.batch = batch
        self.lr = 0.05
        self.metrics = metrics
        rows = batch or 4
        self.specs: tuple[Spec, ...] = (f32[rows, FEATURES], f32[rows])
        self.state: dict[str, Any] = {
            "opt.momentum.b": np.zeros((), np.float32),
            "opt.momentum.w": np.zeros(FEATURES, np.float32),
            "params.b": np.zeros((), np.float32),
            "params.w": np.zeros(FEATURES, np.float32),
            "seed": np.array(7, np.uint64),
            "step": np.array(0, np.uint64),
        }
        self.built: list[int] = []
        self.calls: list[int] = []  # how many batches each call of `many` had
        self.others: dict[int, FakeStep] = {}

    def _loss(self, x: Any, y: Any) -> tuple[Any, Any]:
        error = x.astype(np.float64) @ self.state["params.w"] + self.state["params.b"] - y
        return error, np.float32((error**2).mean())

    def _result(self, error: Any, loss: Any) -> Any:
        return (
            (float(loss), {"worst": float(np.float32(abs(error).max()))})
            if self.metrics
            else float(loss)
        )

    @np.errstate(all="ignore")  # C makes infinity without a word, too
    def __call__(self, x: Any, y: Any, lr: float | None = None) -> Any:
        assert x.shape == self.specs[0].shape
        error, loss = self._loss(x, y)
        gradients = {"w": 2 * x.T @ error / len(x), "b": 2 * error.mean()}
        for name, gradient in gradients.items():
            momentum, value = self.state[f"opt.momentum.{name}"], self.state[f"params.{name}"]
            momentum[...] = 0.9 * momentum + gradient
            value[...] -= (self.lr if lr is None else lr) * momentum
        self.state["step"][...] += np.uint64(1)
        return self._result(error, loss)

    def many(self, data: Any, order: Any, lr: float | None = None, metrics: bool = False) -> Any:
        assert order.ndim == 2
        assert order.shape[1] == self.batch
        self.calls.append(len(order))
        results = [self(*(a[rows] for a in data), lr=lr) for rows in order]
        if not self.metrics:
            results = [(loss, {}) for loss in results]
        losses = np.array([loss for loss, _ in results], np.float32)
        names = results[0][1]
        return losses, {n: np.array([m[n] for _, m in results], np.float32) for n in names}

    def evaluate(self, x: Any, y: Any) -> Any:
        assert x.shape == self.specs[0].shape
        return self._result(*self._loss(x, y))

    def predict(self, x: Any) -> Any:
        assert x.shape == self.specs[0].shape
        return (x @ self.state["params.w"] + self.state["params.b"]).astype(np.float32)

    def for_batch(self, rows: int) -> FakeStep:
        if rows == self.batch:
            return self
        if rows not in self.others:
            other = FakeStep(rows, self.name, self.metrics)
            other.state, other.built = self.state, self.built
            self.others[rows] = other
        return self.others[rows]

    def build(self) -> None:
        assert self.batch is not None
        self.built.append(self.batch)

    def state_dict(self) -> dict[str, Any]:
        return {name: array.copy() for name, array in self.state.items()}

    def load_state_dict(self, tensors: dict[str, Any]) -> None:
        assert tensors.keys() == self.state.keys()
        for name, array in tensors.items():
            self.state[name][...] = array


def samples(rows: int, seed: int = 0) -> tuple[Any, Any]:
    """Rows of a plane, without noise."""
    x = np.random.default_rng(seed).normal(size=(rows, FEATURES)).astype(np.float32)
    return x, (x @ np.array([1.0, -2.0, 0.5]) + 3).astype(np.float32)
