"""Stochastic gradient descent with momentum, and Nesterov's form of it.

Enters: a parameter, its gradient, its momentum. Leaves: both, one step further. Always holds: the
formulas of `torch.optim.SGD`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import functions as fn
from ..calls import usage
from ..errors import ArgumentError, fail, user_errors
from .base import NOT_PARAMETERS, Now, Optimizer, Schedule, check_number, zeros_for


class SGD(Optimizer):
    """Gradient descent with momentum and weight decay, as `torch.optim.SGD`.

        g = g + weight_decay * p
        b = momentum * b + (1 - dampening) * g        (the first time b = g)
        p = p - lr * b                                (with nesterov: p - lr * (g + momentum * b))

    `lr`, at least 0, is the default of an argument of the step (`step(x, y, lr=0.01)`); a function
    of the step counter, which starts at 0, is traced into the step instead. `momentum` of 0 keeps
    no buffer `b`; `dampening` and `weight_decay` are 0 unless given; `nesterov` needs a momentum
    and no dampening; `maximize` goes up the gradient. Parameters are float32 or float64 of any
    shape; the state `{"momentum": ...}` has their shapes and dtypes. Raises `ArgumentError` for a
    value out of its range.
    """

    @user_errors
    @usage(NOT_PARAMETERS)
    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr, weight_decay=weight_decay, maximize=maximize)
        check_number("momentum", momentum, "0.9")
        check_number("dampening", dampening, "0.0")
        if nesterov and (momentum == 0 or dampening != 0):
            message = "`nesterov` needs a momentum and no dampening"
            raise fail(ArgumentError, "GC330", message, helps=("give `momentum=0.9`",))
        self.momentum = float(momentum)
        self.dampening = float(dampening)
        self.nesterov = nesterov

    def slots(self, p: Any) -> dict[str, Any]:
        return {"momentum": zeros_for(p)} if self.momentum else {}

    def scalars(self) -> dict[str, Any]:
        # The first gradient enters the buffer undampened.
        return {"started": False} if self.momentum and self.dampening else {}

    def prepare(self, kept: Mapping[str, Any], now: Now) -> tuple[dict[str, Any], dict[str, Any]]:
        return {k: kept[k] for k in self.scalars()}, dict.fromkeys(self.scalars(), True)

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Now) -> tuple[Any, dict[str, Any]]:
        if not self.momentum:
            return p - now.lr * g, {}
        momentum = self.momentum * kept["momentum"]
        if self.dampening:
            momentum = fn.where(now["started"], momentum + (1 - self.dampening) * g, g)
        else:
            momentum = momentum + g
        step = g + self.momentum * momentum if self.nesterov else momentum
        return p - now.lr * step, {"momentum": momentum}
