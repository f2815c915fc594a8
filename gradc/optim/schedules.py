"""Learning rates as traced functions of the step counter.

Enters: numbers of a schedule. Leaves: a function of the step, which counts from 0 (a float32
scalar while a training step is traced, any number otherwise), to the learning rate. Always holds:
the formulas of `torch.optim.lr_scheduler`, counted in steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import functions as fn
from ..errors import ArgumentError, fail, user_errors
from .base import Schedule, check_number

__all__ = [
    "constant",
    "cosine",
    "cosine_restarts",
    "exponential",
    "multi_step",
    "one_cycle",
    "piecewise",
    "polynomial",
    "step",
    "warmup",
]


def __dir__() -> list[str]:
    return __all__


@dataclass(frozen=True, repr=False)
class _Schedule:
    """A schedule that says what it is when it is printed."""

    title: str
    rate: Callable[[Any], Any]

    def __call__(self, step: Any) -> Any:
        return self.rate(step)

    def __repr__(self) -> str:
        return self.title


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        message = f"`{name}` is a number of steps from 1, got {value!r}"
        raise fail(ArgumentError, "GC332", message, helps=(f"write `{name}=1000`",))
    return value


def _rate(name: str, value: Any) -> float:
    check_number(name, value, "0.1")
    return float(value)


@user_errors
def constant(lr: float) -> Schedule:
    """Always `lr`; unlike a number as `lr`, it is no argument of the step.

    Raises `ArgumentError` for a rate below 0.
    """
    value = _rate("lr", lr)
    return _Schedule(f"constant({lr})", lambda step: 0 * step + value)


@user_errors
def step(lr: float, every: int, factor: float = 0.1) -> Schedule:
    """`lr * factor**floor(step / every)`, as `StepLR`.

    Raises `ArgumentError` for a rate below 0, fewer than one step, or a `factor` of 0.
    """
    value, count, by = _rate("lr", lr), _count("every", every), _factor(factor)
    return _Schedule(
        f"step({lr}, {every}, {factor})",
        lambda step: value * fn.exp(math.log(by) * fn.floor(step / count)),
    )


@user_errors
def multi_step(lr: float, milestones: Sequence[int], factor: float = 0.1) -> Schedule:
    """`lr` times `factor` for each of `milestones` that has been reached, as `MultiStepLR`.

    Raises `ArgumentError` for a rate below 0, fewer than one step, or a `factor` of 0.
    """
    value, by = _rate("lr", lr), _factor(factor)
    marks = sorted(_count("milestones", m) for m in milestones)

    def rate(step: Any) -> Any:
        result = 0 * step + value
        for k, mark in enumerate(marks):
            result = fn.where(step >= mark, value * by ** (k + 1), result)
        return result

    return _Schedule(f"multi_step({lr}, {milestones}, {factor})", rate)


@user_errors
def exponential(lr: float, factor: float) -> Schedule:
    """`lr * factor**step`, as `ExponentialLR`.

    Raises `ArgumentError` for a rate below 0 or a `factor` of 0.
    """
    value, by = _rate("lr", lr), _factor(factor)
    title = f"exponential({lr}, {factor})"
    return _Schedule(title, lambda step: value * fn.exp(math.log(by) * step))


@user_errors
def cosine(lr: float, steps: int, end: float = 0.0) -> Schedule:
    """From `lr` to `end` along half a cosine in `steps` steps, as `CosineAnnealingLR`; `end` after.

    Raises `ArgumentError` for a rate below 0 or fewer than one step.
    """
    first, last, count = _rate("lr", lr), _rate("end", end), _count("steps", steps)

    def rate(step: Any) -> Any:
        done = fn.minimum(step / count, 1.0)
        return last + (first - last) * 0.5 * (1 + fn.cos(math.pi * done))

    return _Schedule(f"cosine({lr}, {steps}, {end})", rate)


@user_errors
def cosine_restarts(lr: float, first: int, growth: int = 1, end: float = 0.0) -> Schedule:
    """From `lr` to `end` along half a cosine, again and again, as `CosineAnnealingWarmRestarts`.

    The first time takes `first` steps, each further one `growth` times as many as the one before.

    Raises `ArgumentError` for a rate below 0 or fewer than one step.
    """
    top, last = _rate("lr", lr), _rate("end", end)
    length, by = _count("first", first), _count("growth", growth)

    def rate(step: Any) -> Any:
        if by == 1:
            done = step / length - fn.floor(step / length)
        else:  # the n-th round starts at length * (by**n - 1) / (by - 1)
            rounds = fn.log(step * ((by - 1) / length) + 1) / math.log(by)
            n = fn.floor(rounds + 1e-6)  # what is a whole number but for rounding is one
            grown = fn.exp(n * math.log(by))
            started = length * (grown - 1) / (by - 1)
            done = fn.clip((step - started) / (length * grown), 0.0, 1.0)
        return last + (top - last) * 0.5 * (1 + fn.cos(math.pi * done))

    return _Schedule(f"cosine_restarts({lr}, {first}, {growth}, {end})", rate)


@user_errors
def polynomial(lr: float, steps: int, power: float = 1.0, end: float = 0.0) -> Schedule:
    """From `lr` to `end` as `(1 - step / steps)**power`, as `PolynomialLR`; power 1 is a line.

    Raises `ArgumentError` for a rate below 0 or fewer than one step.
    """
    first, last, count = _rate("lr", lr), _rate("end", end), _count("steps", steps)
    check_number("power", power, "1.0")

    def rate(step: Any) -> Any:
        left = 1 - fn.minimum(step / count, 1.0)
        return last + (first - last) * left**power

    return _Schedule(f"polynomial({lr}, {steps}, {power}, {end})", rate)


@user_errors
def warmup(then: float | Schedule, steps: int, start: float = 0.0) -> Schedule:
    """From `start` times the first rate of `then` up to it in `steps` steps, and `then` from there.

    `then` is a rate, or a schedule whose steps count from the end of the rise.

    Raises `ArgumentError` for a `start` below 0 or fewer than one step.
    """
    count, fraction = _count("steps", steps), _rate("start", start)
    after = then if callable(then) else constant(then)

    def rate(step: Any) -> Any:
        rising = fraction + (1 - fraction) * fn.minimum(step / count, 1.0)
        return rising * after(fn.maximum(step - count, 0.0))

    return _Schedule(f"warmup({then}, {steps}, {start})", rate)


@user_errors
def one_cycle(
    peak: float,
    steps: int,
    rising: float = 0.3,
    start_divisor: float = 25.0,
    end_divisor: float = 1e4,
) -> Schedule:
    """Up to `peak` and down again along cosines (Smith, 2018), as `OneCycleLR`.

    It starts at `peak / start_divisor`, is at `peak` after the part `rising` of `steps`, and ends
    at `peak / start_divisor / end_divisor`.

    Raises `ArgumentError` for a rate below 0 or fewer than one step.
    """
    top, count = _rate("peak", peak), _count("steps", steps)
    check_number("rising", rising, "0.3", below=1.0)
    check_number("start_divisor", start_divisor, "25.0", least=1.0)
    check_number("end_divisor", end_divisor, "1e4", least=1.0)
    low = top / start_divisor
    end = low / end_divisor
    turn = max(rising * count - 1, 1e-6)
    last = max(count - 1.0, turn + 1e-6)

    def rate(step: Any) -> Any:
        up = fn.clip(step / turn, 0.0, 1.0)
        down = fn.clip((step - turn) / (last - turn), 0.0, 1.0)
        climbing = top + (low - top) * 0.5 * (1 + fn.cos(math.pi * up))
        falling = end + (top - end) * 0.5 * (1 + fn.cos(math.pi * down))
        return fn.where(step <= turn, climbing, falling)

    return _Schedule(f"one_cycle({peak}, {steps})", rate)


@user_errors
def piecewise(boundaries: Sequence[int], parts: Sequence[float | Schedule]) -> Schedule:
    """The first of `parts` before the first of `boundaries`, the next from there on, and so forth.

    Each part is a rate, or a schedule whose steps count from its own start, as `SequentialLR`.

    Raises `ArgumentError` for boundaries that do not rise, or not one less than the parts.
    """
    marks = [_count("boundaries", b) for b in boundaries]
    if marks != sorted(set(marks)) or len(parts) != len(marks) + 1:
        message = f"{len(parts)} parts need {len(parts) - 1} rising boundaries, got {boundaries}"
        raise fail(
            ArgumentError, "GC332", message, helps=("write `piecewise([100], [0.1, 0.01])`",)
        )
    schedules = [part if callable(part) else constant(part) for part in parts]

    def rate(step: Any) -> Any:
        result = schedules[0](step)
        for mark, schedule in zip(marks, schedules[1:], strict=True):
            result = fn.where(step >= mark, schedule(fn.maximum(step - mark, 0.0)), result)
        return result

    return _Schedule(f"piecewise({boundaries}, {list(parts)})", rate)


def _factor(value: Any) -> float:
    check_number("factor", value, "0.1")
    if not value:
        message = "`factor` is a number above 0, got 0"
        raise fail(ArgumentError, "GC330", message, helps=("write `factor=0.1`",))
    return float(value)
