"""Optimizers that scale by the squares of past gradients: Adagrad, Adadelta, RMSprop.

Enters: a parameter, its gradient, what is kept of past squares. Leaves: the same, one step further.
Always holds: the formulas of `torch.optim`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import functions as fn
from ..calls import usage
from ..errors import user_errors
from .base import (
    NOT_PARAMETERS,
    Now,
    Optimizer,
    Schedule,
    check_number,
    filled,
    lerp,
    zeros_for,
)


class Adagrad(Optimizer):
    """Adagrad (Duchi et al., 2011), as `torch.optim.Adagrad`.

        g = g + weight_decay * p
        total = total + g**2
        p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(total) + eps)

    `total` starts at `initial_accumulator_value`; this, `lr_decay`, `weight_decay` and `eps` are
    numbers from 0; `maximize` goes up the gradient. `lr` is the default of an argument of the step,
    or a traced function of the step counter; see `optim.Optimizer`. The state is
    `{"square_sum", "count"}`. Raises `ArgumentError` for a value out of its range.
    """

    counts = True

    @user_errors
    @usage(NOT_PARAMETERS)
    def __init__(
        self,
        lr: float | Schedule = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr, weight_decay=weight_decay, maximize=maximize)
        check_number("lr_decay", lr_decay, "0.0")
        check_number("initial_accumulator_value", initial_accumulator_value, "0.0")
        check_number("eps", eps, "1e-10")
        self.lr_decay = float(lr_decay)
        self.initial_accumulator_value = float(initial_accumulator_value)
        self.eps = float(eps)

    def slots(self, p: Any) -> dict[str, Any]:
        return {"square_sum": filled(p, self.initial_accumulator_value)}

    def prepare(self, kept: Mapping[str, Any], now: Now) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"rate": now.lr / (1 + (now.t - 1) * self.lr_decay)}, {}

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Now) -> tuple[Any, dict[str, Any]]:
        total = kept["square_sum"] + g * g
        return p - now["rate"] * (g / (fn.sqrt(total) + self.eps)), {"square_sum": total}


class Adadelta(Optimizer):
    """Adadelta (Zeiler, 2012), as `torch.optim.Adadelta`.

        g = g + weight_decay * p
        v = rho * v + (1 - rho) * g**2
        step = sqrt(steps + eps) / sqrt(v + eps) * g
        steps = rho * steps + (1 - rho) * step**2
        p = p - lr * step

    `rho` lies in [0, 1); `eps` and `weight_decay` are numbers from 0; `maximize` goes up the
    gradient. `lr` is the default of an argument of the step, or a traced function of
    the step counter; see `optim.Optimizer`. The state is `{"second_moment", "step_square"}`. Raises
    `ArgumentError` for a value out of its range.
    """

    @user_errors
    @usage(NOT_PARAMETERS)
    def __init__(
        self,
        lr: float | Schedule = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr, weight_decay=weight_decay, maximize=maximize)
        check_number("rho", rho, "0.9", below=1.0)
        check_number("eps", eps, "1e-6")
        self.rho = float(rho)
        self.eps = float(eps)

    def slots(self, p: Any) -> dict[str, Any]:
        return {"second_moment": zeros_for(p), "step_square": zeros_for(p)}

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Now) -> tuple[Any, dict[str, Any]]:
        square = self.rho * kept["second_moment"] + (1 - self.rho) * (g * g)
        step = fn.sqrt(kept["step_square"] + self.eps) / fn.sqrt(square + self.eps) * g
        steps = self.rho * kept["step_square"] + (1 - self.rho) * (step * step)
        return p - now.lr * step, {"second_moment": square, "step_square": steps}


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton, 2012), as `torch.optim.RMSprop`.

        g = g + weight_decay * p
        v = alpha * v + (1 - alpha) * g**2
        root = sqrt(v) + eps              (centered: sqrt(v - m**2) + eps, m a running mean of g)
        p = p - lr * g / root             (with momentum: b = momentum * b + g / root; p - lr * b)

    `alpha` lies in [0, 1); `eps`, `weight_decay` and `momentum` are numbers from 0; `centered`
    takes the variance; `maximize` goes up the gradient. `lr` is the default of an argument of the
    step, or a traced function of the step counter; see `optim.Optimizer`. The state is
    `{"second_moment"}`, v, and `"first_moment"`, m, and `"momentum"`, b, where asked for. Raises
    `ArgumentError` for a value out of its range.
    """

    @user_errors
    @usage(NOT_PARAMETERS)
    def __init__(
        self,
        lr: float | Schedule = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr, weight_decay=weight_decay, maximize=maximize)
        check_number("alpha", alpha, "0.99", below=1.0)
        check_number("eps", eps, "1e-8")
        check_number("momentum", momentum, "0.9")
        self.alpha = float(alpha)
        self.eps = float(eps)
        self.momentum = float(momentum)
        self.centered = centered

    def slots(self, p: Any) -> dict[str, Any]:
        names = ["second_moment", *(["first_moment"] if self.centered else [])]
        names += ["momentum"] if self.momentum else []
        return {name: zeros_for(p) for name in names}

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Now) -> tuple[Any, dict[str, Any]]:
        new = {"second_moment": self.alpha * kept["second_moment"] + (1 - self.alpha) * (g * g)}
        variance = new["second_moment"]
        if self.centered:
            new["first_moment"] = lerp(kept["first_moment"], g, 1 - self.alpha)
            variance = variance - new["first_moment"] * new["first_moment"]
        step = g / (fn.sqrt(variance) + self.eps)
        if self.momentum:
            step = new["momentum"] = self.momentum * kept["momentum"] + step
        return p - now.lr * step, new
