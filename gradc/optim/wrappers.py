"""Optimizers made of optimizers: clipped gradients, groups of parameters, accumulated gradients,
averaged weights.

Enters: an optimizer. Leaves: an optimizer. Always holds: the learning rate is that of the optimizer
inside; its state is part of the wrapper's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from .. import functions as fn
from ..errors import ArgumentError, fail, user_errors
from ..tree import flatten, leaves_with_paths, map_leaves
from .base import check_number, lerp, zeros_for


def clip_by_value(grads: Any, limit: float) -> Any:
    """The nesting `grads` with every element between `-limit` and `limit`.

    Takes floats of any shape. Raises `TraceError` for a nesting without an end.
    """
    return map_leaves(lambda g: fn.clip(g, -limit, limit), grads)


def clip_by_norm(grads: Any, limit: float) -> Any:
    """The nesting `grads`, shortened so that the norm of all elements together is at most `limit`.

    As `torch.nn.utils.clip_grad_norm_`: the factor is `limit / (norm + 1e-6)` where that is less
    than 1. Raises `TraceError` for a nesting without an end.
    """
    square: Any = 0.0
    for g in flatten(grads)[0]:
        square = square + fn.sum(g * g)
    scale = fn.minimum(limit / (fn.sqrt(square) + 1e-6), 1.0)
    return map_leaves(
        lambda g: g * (fn.astype(scale, g.dtype) if hasattr(g, "dtype") else scale), grads
    )


class _Wrapper:
    """An optimizer around another."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = _inner(optimizer, type(self).__name__)

    @property
    def lr(self) -> Any:
        """The learning rate, or schedule, of the optimizer inside."""
        return getattr(self.optimizer, "lr", None)

    def __repr__(self) -> str:
        settings = [f"{k}={v!r}" for k, v in vars(self).items() if k != "optimizer" and v]
        return f"{type(self).__name__}({', '.join([repr(self.optimizer), *settings])})"

    def init(self, params: Any) -> Any:
        """The state of the optimizer inside."""
        return self.optimizer.init(params)


class Clip(_Wrapper):
    """An optimizer whose gradients are clipped.

        optim.Clip(optim.Adam(), norm=1.0)

    The gradients of `optimizer` are first shortened so that the norm of all together is at most
    `norm`, then each element is kept between `-value` and `value`; either may be left out. Raises
    `ArgumentError` for a limit below 0, or none.
    """

    @user_errors
    def __init__(
        self, optimizer: Any, norm: float | None = None, value: float | None = None
    ) -> None:
        super().__init__(optimizer)
        if norm is None and value is None:
            message = "`Clip` needs a `norm` or a `value`"
            raise fail(ArgumentError, "GC333", message, helps=("write `norm=1.0`",))
        for name, limit in (("norm", norm), ("value", value)):
            if limit is not None:
                check_number(name, limit, "1.0")
        self.norm = norm
        self.value = value

    def update(self, params: Any, grads: Any, state: Any, lr: Any) -> tuple[Any, Any]:
        """One step of the optimizer inside along the clipped gradients."""
        if self.norm is not None:
            grads = clip_by_norm(grads, self.norm)
        if self.value is not None:
            grads = clip_by_value(grads, self.value)
        new: tuple[Any, Any] = self.optimizer.update(params, grads, state, lr)
        return new


class Groups:
    """Other optimizers, or other settings, for some of the parameters, by patterns of their names.

        optim.Groups({"*.bias": optim.AdamW(1e-3, weight_decay=0)}, optim.AdamW(1e-3))

    `groups` has an optimizer for each pattern. A parameter belongs to the first pattern that its
    path matches (`*` is anything, as in file names), else to `default`. The learning rate of the
    step is the default's: a group whose `lr` is another number keeps its proportion to it, and one
    with a schedule has the default's. Raises `ArgumentError` for a pattern that matches no
    parameter.
    """

    @user_errors
    def __init__(self, groups: Mapping[str, Any], default: Any) -> None:
        self.default = _inner(default, "Groups")
        self.groups = {pattern: _inner(o, "Groups") for pattern, o in groups.items()}
        self._factors = {pattern: self._factor(pattern, o) for pattern, o in self.groups.items()}

    def _factor(self, pattern: str, optimizer: Any) -> float:
        own, base = getattr(optimizer, "lr", None), self.lr
        if own is base or own == base:
            return 1.0
        numbers = isinstance(own, (int, float)) and isinstance(base, (int, float))
        if numbers and base:
            return float(own / base)
        message = f"the learning rate of group {pattern!r} is in no proportion to the default's"
        helps = ("give both a number above 0, or both the same schedule",)
        raise fail(ArgumentError, "GC333", message, helps=helps)

    @property
    def lr(self) -> Any:
        """The learning rate, or schedule, of the default."""
        return getattr(self.default, "lr", None)

    def __repr__(self) -> str:
        return f"Groups({self.groups!r}, {self.default!r})"

    def _members(self, params: Any) -> list[tuple[str, Any, float, list[str]]]:
        """Name in the state, optimizer, factor and paths of each group, the default last."""
        left = [path for path, _ in leaves_with_paths(params)]
        found = []
        for k, (pattern, optimizer) in enumerate(self.groups.items()):
            paths = [path for path in left if fnmatchcase(path, pattern)]
            if not paths:
                message = f"no parameter matches {pattern!r}"
                helps = (f"those without a group yet are {', '.join(left[:8])}",)
                raise fail(ArgumentError, "GC333", message, helps=helps)
            left = [path for path in left if path not in paths]
            found.append((f"group_{k}", optimizer, self._factors[pattern], paths))
        return [*found, *([("others", self.default, 1.0, left)] if left else [])]

    def init(self, params: Any) -> dict[str, Any]:
        """The state before the first step: that of each group under a name of its own."""
        leaves = dict(leaves_with_paths(params))
        return {
            name: optimizer.init({path: leaves[path] for path in paths})
            for name, optimizer, _, paths in self._members(params)
        }

    def update(self, params: Any, grads: Any, state: Any, lr: Any) -> tuple[Any, Any]:
        """One step of each group's optimizer."""
        new, new_state = dict(leaves_with_paths(params)), {}
        slopes = dict(leaves_with_paths(grads))
        for name, optimizer, factor, paths in self._members(params):
            own, theirs = {p: new[p] for p in paths}, {p: slopes[p] for p in paths}
            rate = lr if factor == 1.0 else lr * factor
            updated, new_state[name] = optimizer.update(own, theirs, state[name], rate)
            new.update(updated)
        return flatten(params)[1].unflatten(list(new.values())), new_state


class Accumulate(_Wrapper):
    """An optimizer that steps along the mean gradient of `steps` batches, after the last of them.

        optim.Accumulate(optim.Adam(), 4)

    Parameters and the state of `optimizer` change every `steps` steps only; a schedule counts
    batches. Raises `ArgumentError` for a number of steps below 1.
    """

    @user_errors
    def __init__(self, optimizer: Any, steps: int) -> None:
        super().__init__(optimizer)
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            message = f"`steps` is a number of batches from 1, got {steps!r}"
            raise fail(ArgumentError, "GC333", message, helps=("write `steps=4`",))
        self.steps = steps

    def init(self, params: Any) -> dict[str, Any]:
        """The state before the first step: the sum of gradients, how many, and the state inside."""
        sums = map_leaves(zeros_for, params)
        count = np.zeros((), np.uint32)
        return {"inner": self.optimizer.init(params), "gradient_sum": sums, "batches": count}

    def update(self, params: Any, grads: Any, state: Any, lr: Any) -> tuple[Any, Any]:
        """The gradients are added up; with the last of them, a step of the optimizer inside."""
        sums = map_leaves(lambda s, g: s + g, state["gradient_sum"], grads)
        batches = state["batches"] + 1
        full = batches == self.steps
        means = map_leaves(lambda s: s * (1 / self.steps), sums)
        new, inner = self.optimizer.update(params, means, state["inner"], lr)
        return map_leaves(lambda n, p: fn.where(full, n, p), new, params), {
            "inner": map_leaves(lambda n, o: fn.where(full, n, o), inner, state["inner"]),
            "gradient_sum": map_leaves(lambda s: fn.where(full, 0.0 * s, s), sums),
            "batches": fn.where(full, 0 * batches, batches),
        }


class _Averaged(_Wrapper):
    """An optimizer that also keeps an average of the parameters, in the state as `"average"`."""

    def init(self, params: Any) -> dict[str, Any]:
        """The state before the first step: the average, how many it is of, and the state inside."""
        average = map_leaves(zeros_for, params)
        count = np.zeros((), np.uint64)
        return {"inner": self.optimizer.init(params), "average": average, "averaged": count}

    def _updated(
        self, params: Any, grads: Any, state: Any, lr: Any, weight: Callable[[Any, Any], Any]
    ) -> tuple[Any, Any]:
        """One step; the average moves towards the new parameters by `weight(number, dtype)`."""
        new, inner = self.optimizer.update(params, grads, state["inner"], lr)
        number = state["averaged"]
        average = map_leaves(
            lambda a, p: fn.where(number == 0, p, lerp(a, p, weight(number, p.dtype))),
            state["average"], new,
        )  # fmt: skip
        return new, {"inner": inner, "average": average, "averaged": number + 1}


class EMA(_Averaged):
    """An optimizer that also keeps an exponential moving average of the parameters.

        optim.EMA(optim.Adam(), 0.999)

    After each step of `optimizer`, `average = decay * average + (1 - decay) * p`, as by
    `torch.optim.swa_utils.get_ema_multi_avg_fn`; the first average is the parameters after the
    first step. In a training step the averages are `step.state["opt.average.NAME"]` for parameter
    NAME. Raises `ArgumentError` unless `decay` lies in [0, 1).
    """

    @user_errors
    def __init__(self, optimizer: Any, decay: float = 0.999) -> None:
        super().__init__(optimizer)
        check_number("decay", decay, "0.999", below=1.0)
        self.decay = float(decay)

    def update(self, params: Any, grads: Any, state: Any, lr: Any) -> tuple[Any, Any]:
        """One step of the optimizer inside, and of the average."""
        return self._updated(params, grads, state, lr, lambda _n, _d: 1 - self.decay)


class SWA(_Averaged):
    """An optimizer that also keeps the mean of the parameters after all steps.

        optim.SWA(optim.SGD(0.1, momentum=0.9))

    By Izmailov et al. (2018), as `torch.optim.swa_utils.get_swa_avg_fn`. In a training step the
    averages are `step.state["opt.average.NAME"]` for parameter NAME. Raises `ArgumentError` if
    `optimizer` is none.
    """

    def update(self, params: Any, grads: Any, state: Any, lr: Any) -> tuple[Any, Any]:
        """One step of the optimizer inside, and of the average."""
        return self._updated(params, grads, state, lr, lambda n, d: 1 / (fn.astype(n, d) + 1))


def _inner(optimizer: Any, wrapper: str) -> Any:
    """The optimizer that a wrapper was given; raises if it is none."""
    if isinstance(optimizer, type) or not hasattr(optimizer, "update"):
        message = f"`{wrapper}` takes optimizers, got {optimizer!r}"
        raise fail(ArgumentError, "GC333", message, helps=("make one: `optim.SGD(lr=0.1)`",))
    return optimizer
