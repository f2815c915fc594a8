"""Optimizers with a step size of their own for each element, or an average of their own: Rprop,
ASGD.

Enters: a parameter, its gradient, what is kept for it. Leaves: the same, one step further. Always
holds: the formulas of `torch.optim`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import functions as fn
from ..calls import usage
from ..errors import ArgumentError, fail, user_errors
from .base import (
    NOT_PARAMETERS,
    Now,
    Optimizer,
    Schedule,
    check_number,
    check_pair,
    zeros_for,
)


class Rprop(Optimizer):
    """Resilient backpropagation, as `torch.optim.Rprop`: for whole data sets, not for batches.

    By Riedmiller and Braun (1993):

        size = clip(size * (eta_plus if g * last > 0, eta_minus if < 0, else 1), *step_sizes)
        g = 0 where its sign changed
        p = p - sign(g) * size

    `etas` are `(eta_minus, eta_plus)`, 0 < eta_minus < 1 < eta_plus; `step_sizes` the least and the
    largest size; `maximize` goes up the gradient. `size` is `lr` in the first
    step: a later change of the rate has no effect. The state is `{"last", "size", "started"}`.
    Raises `ArgumentError` for a value out of its range.
    """

    @user_errors
    @usage(NOT_PARAMETERS)
    def __init__(
        self,
        lr: float | Schedule = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        maximize: bool = False,
    ) -> None:
        super().__init__(lr, maximize=maximize)
        self.etas = check_pair("etas", etas, "(0.5, 1.2)")
        if not 0 < self.etas[0] < 1 < self.etas[1]:
            message = f"`etas` lie on both sides of 1, got {etas}"
            raise fail(ArgumentError, "GC330", message, helps=("write `etas=(0.5, 1.2)`",))
        self.step_sizes = check_pair("step_sizes", step_sizes, "(1e-6, 50.0)")

    def slots(self, p: Any) -> dict[str, Any]:
        return {"last": zeros_for(p), "size": zeros_for(p)}

    def scalars(self) -> dict[str, Any]:
        return {"started": False}

    def prepare(self, kept: Mapping[str, Any], now: Now) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"started": kept["started"]}, {"started": True}

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Now) -> tuple[Any, dict[str, Any]]:
        smaller, larger = self.etas
        agreement = g * kept["last"]
        factor = fn.where(agreement > 0, larger, fn.where(agreement < 0, smaller, 1.0))
        size = fn.where(now["started"], kept["size"], now.lr)
        size = fn.clip(size * factor, *self.step_sizes)
        g = fn.where(agreement < 0, 0.0, g)
        return p - fn.sign(g) * size, {"last": g, "size": size}


class ASGD(Optimizer):
    """Averaged stochastic gradient descent (Polyak and Juditsky, 1992), as `torch.optim.ASGD`.

        g = g + weight_decay * p
        p = p * (1 - lambd * eta) - eta * g
        average = average + mu * (p - average)
        eta = lr / (1 + lambd * lr * t)**alpha,  mu = 1 / max(1, t - t0)

    `lambd`, `alpha`, `t0` and `weight_decay` are numbers from 0; `maximize` goes up the gradient.
    `eta` and `mu` are those of the step before; at first `lr` and 1. The averages, which are what
    one wants in the end, are in the state, `{"average", "count", "eta", "mu", "started"}`. `lr` is
    the default of an argument of the step, or a traced function of the step counter; see
    `optim.Optimizer`. Raises `ArgumentError` for a value out of its range.
    """

    counts = True

    @user_errors
    @usage(NOT_PARAMETERS)
    def __init__(
        self,
        lr: float | Schedule = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr, weight_decay=weight_decay, maximize=maximize)
        check_number("lambd", lambd, "1e-4")
        check_number("alpha", alpha, "0.75")
        check_number("t0", t0, "1e6")
        self.lambd = float(lambd)
        self.alpha = float(alpha)
        self.t0 = float(t0)

    def slots(self, p: Any) -> dict[str, Any]:
        return {"average": zeros_for(p)}

    def scalars(self) -> dict[str, Any]:
        return {"eta": 0.0, "mu": 1.0, "started": False}

    def prepare(self, kept: Mapping[str, Any], now: Now) -> tuple[dict[str, Any], dict[str, Any]]:
        used = {"eta": fn.where(kept["started"], kept["eta"], now.lr), "mu": kept["mu"]}
        eta = now.lr * fn.exp(-self.alpha * fn.log1p(self.lambd * now.lr * now.t))
        return used, {"eta": eta, "mu": 1 / fn.maximum(now.t - self.t0, 1.0), "started": True}

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Now) -> tuple[Any, dict[str, Any]]:
        p = p * (1 - self.lambd * now["eta"]) - now["eta"] * g
        average = kept["average"] + now["mu"] * (p - kept["average"])
        return p, {"average": fn.where(now["mu"] == 1, p, average)}
