"""Optimizers that bound the whole step of a parameter: Lion, LAMB.

Enters: a parameter, its gradient, its running means. Leaves: the same, one step further. Always
holds: the formulas of the papers named.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import functions as fn
from ..calls import usage
from ..errors import user_errors
from .adam import BELOW_ONE, BETAS, Adam
from .base import (
    NOT_PARAMETERS,
    Now,
    Optimizer,
    Schedule,
    bias_correction,
    check_pair,
    lerp,
    zeros_for,
)


class Lion(Optimizer):
    """Evolved sign momentum (Chen et al., 2023, algorithm 2).

        p = p * (1 - lr * weight_decay)
        p = p - lr * sign(beta1 * momentum + (1 - beta1) * g)
        momentum = beta2 * momentum + (1 - beta2) * g

    Every element moves by `lr`: take a third to a tenth of what AdamW has, and as much more weight
    decay, `weight_decay`. `betas` lie in [0, 1); `maximize` goes up the gradient. `lr` is the
    default of an argument of the step, or a traced function of the step counter; see
    `optim.Optimizer`. The state is `{"momentum"}`. Raises `ArgumentError` for a value out of its
    range.
    """

    decoupled = True

    @user_errors
    @usage(NOT_PARAMETERS)
    def __init__(
        self,
        lr: float | Schedule = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr, weight_decay=weight_decay, maximize=maximize)
        self.betas = check_pair("betas", betas, "(0.9, 0.99)", BELOW_ONE)

    def slots(self, p: Any) -> dict[str, Any]:
        return {"momentum": zeros_for(p)}

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Now) -> tuple[Any, dict[str, Any]]:
        beta1, beta2 = self.betas
        step = fn.sign(lerp(kept["momentum"], g, 1 - beta1))
        return p - now.lr * step, {"momentum": lerp(kept["momentum"], g, 1 - beta2)}


class LAMB(Adam):
    """Adam whose step is as long as the parameter, for large batches.

    By You et al. (2020), algorithm 2:

        u = mean / (1 - beta1**t) / (sqrt(square / (1 - beta2**t)) + eps) + weight_decay * p
        p = p - lr * (norm(p) / norm(u)) * u

    The ratio of the norms, over the whole array, is 1 where one of them is 0. `lr`, `betas`, `eps`,
    `maximize` and the state are those of `optim.Adam`; `weight_decay` is a number from 0. Raises
    `ArgumentError` for a value out of its range.
    """

    @user_errors
    @usage(NOT_PARAMETERS)
    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = BETAS,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, maximize=maximize)

    def decayed(self, p: Any, g: Any, now: Now) -> tuple[Any, Any]:
        return p, g  # the rule has it in the step

    def prepare(self, kept: Mapping[str, Any], now: Now) -> tuple[dict[str, Any], dict[str, Any]]:
        numbers, scalars = super().prepare(kept, now)
        return numbers | {"mean_scale": 1 / bias_correction(self.betas[0], now.t)}, scalars

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Now) -> tuple[Any, dict[str, Any]]:
        new = self.means(g, kept)
        root = fn.sqrt(new["second_moment"]) * now["root_scale"] + self.eps
        step = now["mean_scale"] * new["first_moment"] / root + self.weight_decay * p
        lengths = fn.sqrt(fn.sum(p * p)), fn.sqrt(fn.sum(step * step))
        usable = (lengths[0] > 0) & (lengths[1] > 0)
        ratio = fn.where(usable, lengths[0] / fn.where(usable, lengths[1], 1.0), 1.0)
        return p - now.lr * ratio * step, new
