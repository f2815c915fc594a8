"""Adafactor: the mean square of a matrix's gradient kept as a row and a column.

Enters: a parameter, its gradient, the factors. Leaves: the same, one step further. Always holds:
the formulas of `torch.optim.Adafactor`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import functions as fn
from ..calls import usage
from ..errors import ArgumentError, fail, user_errors
from ..trace import Value
from .base import NOT_PARAMETERS, UNBOUNDED, Now, Optimizer, Schedule, check_number, lerp, zeros_for


class Adafactor(Optimizer):
    """Adafactor, as `torch.optim.Adafactor`: for a matrix [m, n] it keeps m + n numbers.

    By Shazeer and Stern (2018):

        rho = min(lr, 1 / sqrt(t)),  alpha = max(eps2, rms(p)) * rho
        p = p * (1 - lr * weight_decay)
        row, column: running means of g**2 along the last axis and the one before, with the weight
                     t**beta2_decay of the new
        u = g / sqrt(max(row * column / max(mean(row), eps1), eps1**2))
        p = p - alpha * u / max(1, rms(u) / d)

    A vector keeps the running mean of g**2 itself. `eps` is `(eps1, eps2)`; an eps1 of None is the
    spacing of numbers at 1. `beta2_decay` is at most 0, `d` at least 1, `weight_decay` a number
    from 0; `maximize` goes up the gradient. `lr` is the default of an argument of the step, or a
    traced function of the step counter; see `optim.Optimizer`. The state is `{"row", "column",
    "count"}`: a vector's mean is its row. Raises `ArgumentError` for a value out of its range.
    """

    counts = True

    @user_errors
    @usage(NOT_PARAMETERS)
    def __init__(
        self,
        lr: float | Schedule = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr, weight_decay=weight_decay, maximize=maximize)
        check_number("beta2_decay", beta2_decay, "-0.8", least=-UNBOUNDED)
        if beta2_decay > 0:
            message = f"`beta2_decay` is at most 0, got {beta2_decay}"
            raise fail(ArgumentError, "GC330", message, helps=("write `beta2_decay=-0.8`",))
        check_number("d", d, "1.0", least=1.0)
        self.beta2_decay = float(beta2_decay)
        self.d = float(d)
        first, second = eps
        check_number("eps[0]", 0.0 if first is None else first, "write `eps=(None, 1e-3)`")
        check_number("eps[1]", second, "write `eps=(None, 1e-3)`")
        self.eps = None if first is None else float(first), float(second)

    def slots(self, p: Any) -> dict[str, Any]:
        if np.ndim(p) < 2:
            return {"row": zeros_for(p), "column": _zeros((), p)}
        *batch, rows, columns = p.shape
        return {"row": _zeros((*batch, rows, 1), p), "column": _zeros((*batch, 1, columns), p)}

    def prepare(self, kept: Mapping[str, Any], now: Now) -> tuple[dict[str, Any], dict[str, Any]]:
        rho = fn.minimum(now.lr, 1 / fn.sqrt(now.t))
        return {"rho": rho, "weight": fn.exp(self.beta2_decay * fn.log(now.t))}, {}

    def decayed(self, p: Any, g: Any, now: Now) -> tuple[Any, Any]:
        return p, g  # the step is as long as the parameter before it is decayed

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Now) -> tuple[Any, dict[str, Any]]:
        spacing = float(np.finfo(p.dtype if hasattr(p, "dtype") else np.float64).eps)
        least = spacing if self.eps[0] is None else self.eps[0]
        alpha = fn.maximum(_rms(p), self.eps[1]) * now["rho"]
        square = g * g
        new = dict(kept)
        if np.ndim(p) < 2:
            variance = new["row"] = lerp(kept["row"], square, now["weight"])
        else:
            new["row"] = lerp(kept["row"], fn.mean(square, axis=-1, keepdims=True), now["weight"])
            column = fn.mean(square, axis=-2, keepdims=True)
            new["column"] = lerp(kept["column"], column, now["weight"])
            typical = fn.maximum(fn.mean(new["row"], axis=-2, keepdims=True), least)
            variance = new["row"] * new["column"] / typical
        step = g / fn.sqrt(fn.maximum(variance, least * least))
        if self.weight_decay:
            p = p * (1 - now.lr * self.weight_decay)
        return p - alpha / fn.maximum(_rms(step) / self.d, 1.0) * step, new


def _rms(x: Any) -> Any:
    """The root of the mean square of all elements."""
    return fn.sqrt(fn.mean(x * x))


def _zeros(shape: tuple[int, ...], p: Any) -> Any:
    """Zeros of the dtype of a parameter, traced or not."""
    dtype = getattr(p, "dtype", np.dtype(np.float64))
    return fn.zeros(shape, dtype=dtype) if isinstance(p, Value) else np.zeros(shape, dtype)
