"""Muon: momentum whose singular values are made nearly equal.

Enters: a matrix, its gradient, its momentum. Leaves: both, one step further. Always holds: the
formulas of `torch.optim.Muon`, in the dtype of the parameter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import functions as fn
from ..calls import usage
from ..errors import ArgumentError, ShapeError, fail, user_errors
from .base import NOT_PARAMETERS, UNBOUNDED, Now, Optimizer, Schedule, check_number, lerp, zeros_for

LENGTHS = ("original", "match_rms_adamw")


class Muon(Optimizer):
    """Momentum made orthogonal by Newton-Schulz iterations, as `torch.optim.Muon`.

    By Jordan et al. (2024):

        b = momentum * b + (1 - momentum) * g
        u = momentum * b + (1 - momentum) * g with nesterov, else b
        u = u / max(norm(u), eps), then `ns_steps` times, with `ns_coefficients` (a, b, c):
            s = u @ u.T,  u = a * u + (b * s + c * s @ s) @ u
        p = p * (1 - lr * weight_decay) - lr * k * u

    A matrix [m, n] with m > n is taken transposed. k is sqrt(max(1, m / n)), or, with
    `adjust_lr_fn="match_rms_adamw"`, 0.2 sqrt(max(m, n)). PyTorch iterates in bfloat16, gradc in
    the parameter's dtype. `momentum` lies in [0, 1); `weight_decay` and `eps` are numbers from 0;
    `nesterov` looks ahead. Every parameter must be a matrix: give the others to another optimizer
    by `optim.Groups`. `lr` is the default of an argument of the step, or a traced function of the
    step counter; see `optim.Optimizer`. The state is `{"momentum"}`. Raises `ArgumentError` for a
    value out of its range, `ShapeError` for a parameter that is no matrix.
    """

    decoupled = True

    @user_errors
    @usage(NOT_PARAMETERS)
    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: Sequence[float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(lr, weight_decay=weight_decay)
        check_number("momentum", momentum, "0.95", below=1.0)
        check_number("eps", eps, "1e-7")
        if not isinstance(ns_steps, int) or not 0 < ns_steps < 100:
            message = f"`ns_steps` is a number of iterations from 1 to 99, got {ns_steps!r}"
            raise fail(ArgumentError, "GC330", message, helps=("write `ns_steps=5`",))
        if len(ns_coefficients) != 3:
            message = f"`ns_coefficients` are three numbers, got {ns_coefficients!r}"
            helps = ("leave them out: they are (3.4445, -4.775, 2.0315)",)
            raise fail(ArgumentError, "GC330", message, helps=helps)
        for number in ns_coefficients:
            check_number("ns_coefficients", number, "leave them out", least=-UNBOUNDED)
        if adjust_lr_fn not in (None, *LENGTHS):
            message = f"unknown `adjust_lr_fn` {adjust_lr_fn!r}"
            raise fail(ArgumentError, "GC330", message, helps=(f"choose one of {LENGTHS}",))
        self.momentum = float(momentum)
        self.nesterov = nesterov
        self.ns_coefficients = tuple(map(float, ns_coefficients))
        self.eps = float(eps)
        self.ns_steps = ns_steps
        self.adjust_lr_fn = adjust_lr_fn

    def slots(self, p: Any) -> dict[str, Any]:
        if np.ndim(p) != 2:
            message = f"Muon is for matrices, got a parameter of shape {np.shape(p)}"
            help_ = 'give it the matrices alone: `optim.Groups({"*.weight": optim.Muon()}, '
            raise fail(ShapeError, "GC331", message, helps=(f"{help_}optim.AdamW())`",))
        return {"momentum": zeros_for(p)}

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Now) -> tuple[Any, dict[str, Any]]:
        momentum = lerp(kept["momentum"], g, 1 - self.momentum)
        step = lerp(g, momentum, self.momentum) if self.nesterov else momentum
        rows, columns = p.shape
        if self.adjust_lr_fn == "match_rms_adamw":
            length = 0.2 * math.sqrt(max(rows, columns))
        else:
            length = math.sqrt(max(1.0, rows / columns))
        return p - now.lr * length * self._orthogonal(step), {"momentum": momentum}

    def _orthogonal(self, x: Any) -> Any:
        """Nearly U @ V.T of the singular value decomposition U @ S @ V.T of matrix `x`."""
        a, b, c = self.ns_coefficients
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        x = x / fn.maximum(fn.sqrt(fn.sum(x * x)), self.eps)
        for _ in range(self.ns_steps):
            square = fn.matmul(x, x.T)
            x = a * x + fn.matmul(b * square + c * fn.matmul(square, square), x)
        return x.T if tall else x
