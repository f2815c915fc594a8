"""Adam and what descends from it: running means of the gradient and of its square.

Enters: a parameter, its gradient, both means. Leaves: all three, one step further. Always holds:
the formulas of `torch.optim`; the corrections for means that started from zero are computed once a
step, as scalars.
"""

from __future__ import annotations

import math
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
    bias_correction,
    check_number,
    check_pair,
    lerp,
    zeros_for,
)

BETAS = (0.9, 0.999)
BELOW_ONE = (1.0, 1.0)


class _Adaptive(Optimizer):
    """The two running means, and the settings that all of this family have."""

    counts = True

    def __init__(
        self,
        lr: float | Schedule,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        maximize: bool,
    ) -> None:
        super().__init__(lr, weight_decay=weight_decay, maximize=maximize)
        self.betas = check_pair("betas", betas, "(0.9, 0.999)", BELOW_ONE)
        check_number("eps", eps, "1e-8")
        self.eps = float(eps)

    def slots(self, p: Any) -> dict[str, Any]:
        return {"first_moment": zeros_for(p), "second_moment": zeros_for(p)}

    def means(self, g: Any, kept: dict[str, Any]) -> dict[str, Any]:
        """The means with this step's gradient in them."""
        beta1, beta2 = self.betas
        square = beta2 * kept["second_moment"] + (1 - beta2) * (g * g)
        return {"first_moment": lerp(kept["first_moment"], g, 1 - beta1), "second_moment": square}


class Adam(_Adaptive):
    """Adam (Kingma and Ba, 2015), as `torch.optim.Adam`.

        g = g + weight_decay * p
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        p = p - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    `betas` are (beta1, beta2), in [0, 1); `eps` and `weight_decay` are numbers from 0. With
    `amsgrad` the root is of the largest `v` so far; `maximize` goes up the gradient. `lr` is the
    default of an argument of the step, or a traced function of the step counter; see
    `optim.Optimizer`. The state is `{"first_moment", "second_moment", "count"}`: m, v and t; with
    `amsgrad` also `"largest"`. Raises `ArgumentError` for a value out of its range.
    """

    @user_errors
    @usage(NOT_PARAMETERS)
    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = BETAS,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, maximize)
        self.amsgrad = amsgrad

    def slots(self, p: Any) -> dict[str, Any]:
        return super().slots(p) | ({"largest": zeros_for(p)} if self.amsgrad else {})

    def prepare(self, kept: Mapping[str, Any], now: Now) -> tuple[dict[str, Any], dict[str, Any]]:
        beta1, beta2 = self.betas
        root = fn.sqrt(bias_correction(beta2, now.t))
        return {"rate": now.lr / bias_correction(beta1, now.t), "root_scale": 1 / root}, {}

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Now) -> tuple[Any, dict[str, Any]]:
        new = self.means(g, kept)
        if self.amsgrad:
            new["largest"] = fn.maximum(kept["largest"], new["second_moment"])
        root = fn.sqrt(new["largest" if self.amsgrad else "second_moment"])
        return p - now["rate"] * (new["first_moment"] / (root * now["root_scale"] + self.eps)), new


class AdamW(Adam):
    """Adam with weight decay apart from the gradient, as `torch.optim.AdamW`.

    By Loshchilov and Hutter (2019):

        p = p * (1 - lr * weight_decay)
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        p = p - lr * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + eps)

    `betas`, `eps`, `amsgrad`, `maximize`, `lr` and the state are those of `optim.Adam`;
    `weight_decay` is a number from 0. Raises `ArgumentError` for a value out of its range.
    """

    decoupled = True

    @user_errors
    @usage(NOT_PARAMETERS)
    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = BETAS,
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, amsgrad, maximize)


class Adamax(_Adaptive):
    """Adam with the largest gradient in place of the mean square, as `torch.optim.Adamax`.

    By Kingma and Ba (2015):

        g = g + weight_decay * p
        m = beta1 * m + (1 - beta1) * g
        largest = max(beta2 * largest, abs(g) + eps)
        p = p - lr / (1 - beta1**t) * m / largest

    `lr`, `betas`, `eps`, `weight_decay` and `maximize` are those of `optim.Adam`; the state is
    `{"first_moment", "largest", "count"}`. Raises `ArgumentError` for a value out of its range.
    """

    @user_errors
    @usage(NOT_PARAMETERS)
    def __init__(
        self,
        lr: float | Schedule = 2e-3,
        betas: tuple[float, float] = BETAS,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, maximize)

    def slots(self, p: Any) -> dict[str, Any]:
        return {"first_moment": zeros_for(p), "largest": zeros_for(p)}

    def prepare(self, kept: Mapping[str, Any], now: Now) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"rate": now.lr / bias_correction(self.betas[0], now.t)}, {}

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Now) -> tuple[Any, dict[str, Any]]:
        mean = lerp(kept["first_moment"], g, 1 - self.betas[0])
        largest = fn.maximum(self.betas[1] * kept["largest"], fn.abs(g) + self.eps)
        return p - now["rate"] * (mean / largest), {"first_moment": mean, "largest": largest}


class NAdam(_Adaptive):
    """Adam with Nesterov's momentum (Dozat, 2016), as `torch.optim.NAdam`.

        mu_t = beta1 * (1 - 0.96**(t * momentum_decay) / 2)
        a = lr * (1 - mu_t) / (1 - mu_1 ... mu_t)
        b = lr * mu_(t+1) / (1 - mu_1 ... mu_(t+1))
        p = p - (a * g + b * m) / (sqrt(v / (1 - beta2**t)) + eps)

    `weight_decay` joins the gradient, or with `decoupled_weight_decay` shrinks the parameter;
    `momentum_decay` is a number from 0. `lr`, `betas`, `eps`, `maximize` and the state are those of
    `optim.Adam`, with `"mu_product"` beside. Raises `ArgumentError` for a value out of its range.
    """

    @user_errors
    @usage(NOT_PARAMETERS)
    def __init__(
        self,
        lr: float | Schedule = 2e-3,
        betas: tuple[float, float] = BETAS,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, maximize)
        check_number("momentum_decay", momentum_decay, "4e-3")
        self.momentum_decay = float(momentum_decay)
        self.decoupled = decoupled_weight_decay

    def scalars(self) -> dict[str, Any]:
        return {"mu_product": 1.0}

    def prepare(self, kept: Mapping[str, Any], now: Now) -> tuple[dict[str, Any], dict[str, Any]]:
        mu, mu_next = self._mu(now.t), self._mu(now.t + 1)
        product = kept["mu_product"] * mu
        numbers = {
            "gradient_rate": now.lr * (1 - mu) / (1 - product),
            "mean_rate": now.lr * mu_next / (1 - product * mu_next),
            "root_scale": 1 / fn.sqrt(bias_correction(self.betas[1], now.t)),
        }
        return numbers, {"mu_product": product}

    def _mu(self, t: Any) -> Any:
        return self.betas[0] * (1 - 0.5 * fn.exp(t * (self.momentum_decay * math.log(0.96))))

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Now) -> tuple[Any, dict[str, Any]]:
        new = self.means(g, kept)
        root = fn.sqrt(new["second_moment"]) * now["root_scale"] + self.eps
        return p - (now["gradient_rate"] * g + now["mean_rate"] * new["first_moment"]) / root, new


class RAdam(_Adaptive):
    """Adam that waits until the mean square is known well enough, as `torch.optim.RAdam`.

    By Liu et al. (2020), m and v as in `optim.Adam`:

        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        r = sqrt((rho - 4) (rho - 2) rho_inf / ((rho_inf - 4) (rho_inf - 2) rho))
        p = p - lr * m / (1 - beta1**t) * u
        u = r * sqrt(1 - beta2**t) / (sqrt(v) + eps) if rho > 5, else 1

    `weight_decay` joins the gradient, or with `decoupled_weight_decay` shrinks the parameter. `lr`,
    `betas`, `eps`, `maximize` and the state are those of `optim.Adam`. Raises `ArgumentError` for a
    value out of its range.
    """

    @user_errors
    @usage(NOT_PARAMETERS)
    def __init__(
        self,
        lr: float | Schedule = 1e-3,
        betas: tuple[float, float] = BETAS,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        maximize: bool = False,
    ) -> None:
        super().__init__(lr, betas, eps, weight_decay, maximize)
        self.decoupled = decoupled_weight_decay

    def prepare(self, kept: Mapping[str, Any], now: Now) -> tuple[dict[str, Any], dict[str, Any]]:
        beta1, beta2 = self.betas
        limit = 2 / (1 - beta2) - 1
        correction = bias_correction(beta2, now.t)
        rho = limit - 2 * now.t * (1 - correction) / correction
        known = rho > 5
        rho = fn.where(known, rho, limit)  # so that no root is of a negative number
        scale = (rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)
        rate = now.lr / bias_correction(beta1, now.t)
        adaptive = rate * fn.sqrt(scale) * fn.sqrt(correction)
        return {"known": known, "rate": rate, "adaptive": adaptive}, {}

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Now) -> tuple[Any, dict[str, Any]]:
        new = self.means(g, kept)
        root = fn.sqrt(new["second_moment"]) + self.eps
        step = fn.where(now["known"], now["adaptive"] / root, now["rate"])
        return p - step * new["first_moment"], new
