"""What all optimizers share: the walk over the parameters, the counter, the checks.

Enters: nestings of parameters and gradients, the optimizer's state, the learning rate. Leaves: new
parameters and a new state, of the same nestings, shapes and dtypes. Always holds: an optimizer says
only what one parameter needs (`slots`, `rule`) and what is computed once a step (`prepare`); tied
parameters share what is kept for them; on NumPy arrays everything is computed at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import functions as fn
from ..dtypes import is_float, item_bytes
from ..errors import ArgumentError, fail
from ..trace import Value
from ..tree import flatten, map_leaves

Schedule = Callable[[Any], Any]
"""The learning rate as a traced function of the step counter, which starts at 0."""

NOT_PARAMETERS = "leave the parameters out: `gd.train_step(loss, model, optim.SGD(lr=0.1), ...)`"
UNBOUNDED = float("inf")


@dataclass
class Now:
    """The numbers of one step: the learning rate `lr`, the counter `t` (from 1), and others.

    `at(p)` has them in the dtype of a parameter: float32 parameters are updated in float32.
    """

    lr: Any
    t: Any = None
    others: Mapping[str, Any] = field(default_factory=dict)
    _cast: dict[Any, Now] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.others[name]

    def at(self, p: Any) -> Now:
        dtype = getattr(p, "dtype", None)
        if dtype is None:
            return self
        if dtype not in self._cast:

            def cast(value: Any) -> Any:
                return fn.astype(value, dtype) if _is_float_scalar(value) else value

            others = {name: cast(value) for name, value in self.others.items()}
            self._cast[dtype] = Now(cast(self.lr), cast(self.t), others)
        return self._cast[dtype]


def _is_float_scalar(value: Any) -> bool:
    """Whether `value` has a dtype of its own: a Python number takes that of what it meets."""
    return hasattr(value, "dtype") and is_float(value.dtype)


class Optimizer:
    """A gradient method: subclass it, say what is kept for a parameter, and how it is updated.

    A whole optimizer:

        class Momentum(optim.Optimizer):
            def slots(self, p):
                return {"momentum": optim.zeros_for(p)}

            def rule(self, p, g, kept, now):
                momentum = 0.9 * kept["momentum"] + g
                return p - now.lr * momentum, {"momentum": momentum}

    `lr`, at least 0, is the default of an argument of the step (`step(x, y, lr=0.01)`); a function
    of the step counter, which starts at 0, is traced into the step instead. `weight_decay` is added
    to the gradient as `weight_decay * p`, or, where the class is `decoupled`, shrinks the parameter
    itself: `p * (1 - lr * weight_decay)`. `maximize` goes up the gradient. Parameters are float32
    or float64 of any shape. Raises `ArgumentError` for a value out of its range.
    """

    counts = False
    """Whether the steps are counted: `now.t` is then the number of this one, from 1."""

    decoupled = False
    """Whether weight decay shrinks the parameter instead of joining the gradient."""

    def __init__(
        self, lr: float | Schedule = 1e-3, *, weight_decay: float = 0.0, maximize: bool = False
    ) -> None:
        if not callable(lr) or isinstance(lr, type):
            check_number("lr", lr, NOT_PARAMETERS if isinstance(lr, (dict, list)) else "0.1")
        check_number("weight_decay", weight_decay, "1e-4")
        self.lr = lr
        self.weight_decay = float(weight_decay)
        self.maximize = maximize

    def __repr__(self) -> str:
        set_values = [f"{k}={v!r}" for k, v in vars(self).items() if v or k == "lr"]
        return f"{type(self).__name__}({', '.join(set_values)})"

    # What a subclass says

    def slots(self, p: Any) -> dict[str, Any]:
        """The arrays kept for parameter `p`, by name, before the first step."""
        return {}

    def scalars(self) -> dict[str, Any]:
        """The scalars kept once for all parameters, by name, before the first step."""
        return {}

    def prepare(self, kept: Mapping[str, Any], now: Now) -> tuple[dict[str, Any], dict[str, Any]]:
        """Numbers that all parameters need in this step, and the next values of `scalars`.

        `kept` is the state before the step; `now` has `lr` and, if steps are counted, `t`.
        """
        return {}, {}

    def decayed(self, p: Any, g: Any, now: Now) -> tuple[Any, Any]:
        """Parameter `p` and gradient `g` with the weight decay in one of them; `now` has `lr`."""
        if not self.weight_decay:
            return p, g
        if self.decoupled:
            return p * (1 - now.lr * self.weight_decay), g
        return p, g + self.weight_decay * p

    def rule(self, p: Any, g: Any, kept: dict[str, Any], now: Now) -> tuple[Any, dict[str, Any]]:
        """Parameter `p` and what is kept for it, after a step along its gradient `g`.

        `kept` are its slots before the step; `now` has `lr`, `t` and what `prepare` gave.
        """
        raise NotImplementedError(f"{type(self).__name__} has no `rule`")

    # What a training step calls

    def init(self, params: Any) -> dict[str, Any]:
        """The state before the first step: a nesting like `params` for each slot, then scalars."""
        slots: dict[int, dict[str, Any]] = {}

        def slots_of(p: Any) -> dict[str, Any]:
            key = p.node_id if isinstance(p, Value) else id(p)
            if key not in slots:
                slots[key] = self.slots(p)
            return slots[key]

        leaves, tree = flatten(params)
        kept = [slots_of(p) for p in leaves]
        names = dict.fromkeys(name for slot in kept for name in slot)
        state: dict[str, Any] = {
            name: tree.unflatten([slot[name] for slot in kept]) for name in names
        }
        if self.counts:
            state["count"] = np.zeros((), np.uint64)
        dtype = _widest(leaves)
        for name, value in self.scalars().items():
            state[name] = np.asarray(value, dtype if isinstance(value, float) else None)
        return state

    def update(self, params: Any, grads: Any, state: Any, lr: Any) -> tuple[Any, Any]:
        """Parameters and state after one step along `grads`, which has the nesting of `params`.

        `state` is what `init` or the last `update` returned, `lr` a number or a traced scalar.
        """
        new_state = dict(state)
        now = Now(lr)
        if self.counts:
            new_state["count"] = state["count"] + 1
            now.t = fn.astype(new_state["count"], _widest(flatten(params)[0]))
        now.others, scalars = self.prepare(state, now)
        new_state.update(scalars)
        names = [n for n in state if n not in self.scalars() and n != "count"]
        results: list[dict[str, Any]] = []

        def one(p: Any, g: Any, *kept: Any) -> Any:
            here = now.at(p)
            p, g = self.decayed(p, -g if self.maximize else g, here)
            p, slots = self.rule(p, g, dict(zip(names, kept, strict=True)), here)
            results.append(slots)
            return p

        new_params = map_leaves(one, params, grads, *(state[name] for name in names))
        for name in names:
            following = iter(results)
            new_state[name] = map_leaves(lambda _, n=name, r=following: next(r)[n], params)
        return new_params, new_state


def _widest(leaves: list[Any]) -> Any:
    """The widest floating-point dtype of the leaves; float64 for Python's own numbers."""
    found = [leaf.dtype for leaf in leaves if hasattr(leaf, "dtype") and is_float(leaf.dtype)]
    return max(found, key=item_bytes) if found else np.dtype(np.float64)


def zeros_for(p: Any) -> Any:
    """Zeros of the shape and dtype of parameter `p`, traced or not.

    Raises `DTypeError` for what has none.
    """
    return filled(p, 0.0)


def filled(p: Any, value: float) -> Any:
    """An array like parameter `p` with `value` everywhere."""
    return fn.full_like(p, value) if isinstance(p, Value) else np.full_like(p, value, subok=False)


def bias_correction(beta: float, t: Any) -> Any:
    """1 - beta**t, without the loss of digits where beta**t is near 1."""
    return -fn.expm1(t * math.log(beta)) if beta else 1.0


def lerp(start: Any, end: Any, weight: float) -> Any:
    """`start` moved towards `end` by `weight`, from 0 to 1."""
    return start + weight * (end - start)


def check_number(
    name: str, value: Any, example: str, below: float = UNBOUNDED, least: float = 0.0
) -> None:
    """Raise unless `value` is a finite number from `least` on, and less than `below`."""
    number = isinstance(value, (int, float, np.integer, np.floating))
    if number and not isinstance(value, bool) and least <= value < below:
        return
    help_ = example if " " in example else f"write `{name}={example}`"
    what = "a number" if least == -UNBOUNDED else f"a number from {least:g}"
    what += f" to less than {below:g}" if below != UNBOUNDED else ""
    what += ", or a function of the step" if name == "lr" else ""
    got = repr(value) if number or isinstance(value, str) else f"a `{type(value).__name__}`"
    raise fail(ArgumentError, "GC330", f"`{name}` is {what}, got {got}", helps=(help_,))


def check_pair(
    name: str, value: Any, example: str, below: tuple[float, float] = (UNBOUNDED, UNBOUNDED)
) -> tuple[float, float]:
    """Two numbers that `check_number` takes."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        message = f"`{name}` is a pair of numbers, got {value!r}"
        raise fail(ArgumentError, "GC330", message, helps=(f"write `{name}={example}`",))
    for k, (one, bound) in enumerate(zip(value, below, strict=True)):
        check_number(f"{name}[{k}]", one, f"write `{name}={example}`", bound)
    return float(value[0]), float(value[1])
