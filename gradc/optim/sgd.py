"""Stochastic gradient descent with momentum, Nesterov's form of it, and weight decay.

Enters: nestings of parameters and gradients. Leaves: the same nestings, one step further. Always
holds: the formulas of `torch.optim.SGD`; tied parameters have one momentum buffer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..calls import usage
from ..dtypes import BOOL
from ..errors import ArgumentError, fail, user_errors
from ..functions import astype, where, zeros_like
from ..trace import Value
from ..tree import map_leaves

Schedule = Callable[[Any], Any]
"""The learning rate as a traced function of the step counter, which starts at 0."""


NOT_PARAMETERS = "leave the parameters out: `gd.train_step(loss, model, optim.SGD(lr=0.1), ...)`"


def check_number(name: str, value: Any, example: str) -> None:
    """Raise unless `value` is a finite number that is not negative."""
    number = isinstance(value, (int, float, np.integer, np.floating))
    if number and not isinstance(value, bool) and 0 <= value < float("inf"):
        return
    help_ = example if " " in example else f"write `{name}={example}`"
    what = "a number from 0, or a function of the step" if name == "lr" else "a number from 0"
    got = repr(value) if number or isinstance(value, str) else f"a `{type(value).__name__}`"
    raise fail(ArgumentError, "GC330", f"`{name}` is {what}, got {got}", helps=(help_,))


class SGD:
    """Gradient descent with momentum and weight decay, as `torch.optim.SGD`.

        g = g + weight_decay * p
        b = momentum * b + (1 - dampening) * g        (the first time b = g)
        p = p - lr * b                                (with nesterov: p - lr * (g + momentum * b))

    `lr`, at least 0, is the default of an argument of the step (`step(x, y, lr=0.01)`); a function
    of the step counter, which starts at 0, is traced into the step instead. `momentum` of 0 keeps
    no buffer `b`; `dampening` and `weight_decay` are 0 unless given; `nesterov` needs a momentum
    and no dampening. Parameters are float32 or float64 of any shape; the state `{"momentum": ...}`
    has their shapes and dtypes. Raises `ArgumentError` for a value out of its range.
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
    ) -> None:
        if not callable(lr) or isinstance(lr, type):
            check_number("lr", lr, NOT_PARAMETERS if isinstance(lr, (dict, list)) else "0.1")
        check_number("momentum", momentum, "0.9")
        check_number("weight_decay", weight_decay, "1e-4")
        check_number("dampening", dampening, "0.0")
        if nesterov and (momentum == 0 or dampening != 0):
            message = "`nesterov` needs a momentum and no dampening"
            raise fail(ArgumentError, "GC330", message, helps=("give `momentum=0.9`",))
        self.lr = lr
        self.momentum = float(momentum)
        self.dampening = float(dampening)
        self.weight_decay = float(weight_decay)
        self.nesterov = nesterov

    def __repr__(self) -> str:
        set_values = [f"{k}={v!r}" for k, v in vars(self).items() if v or k == "lr"]
        return f"SGD({', '.join(set_values)})"

    def init(self, params: Any) -> dict[str, Any]:
        """The state before the first step: zeros like `params`, if there is momentum."""
        if not self.momentum:
            return {}
        buffers: dict[int, Any] = {}

        def buffer(p: Any) -> Any:
            key = p.node_id if isinstance(p, Value) else id(p)
            if key not in buffers:
                traced = isinstance(p, Value)
                buffers[key] = zeros_like(p) if traced else np.zeros_like(p, subok=False)
            return buffers[key]

        state = {"momentum": map_leaves(buffer, params)}
        if self.dampening:  # the first gradient enters the buffer undampened
            state["started"] = np.zeros((), BOOL)
        return state

    def update(self, params: Any, grads: Any, state: Any, lr: Any) -> tuple[Any, Any]:
        """Parameters and state after one step along `grads`, which has the nesting of `params`.

        `state` is what `init` or the last `update` returned, `lr` a number or a traced scalar.
        """
        if self.weight_decay:
            grads = map_leaves(lambda p, g: g + self.weight_decay * p, params, grads)
        new_state = dict(state)
        if self.momentum:
            buffers = map_leaves(
                lambda b, g: self._buffer(b, g, state.get("started")), state["momentum"], grads
            )
            new_state["momentum"] = buffers
            if self.dampening:
                new_state["started"] = np.ones((), BOOL)
            if self.nesterov:
                grads = map_leaves(lambda g, b: g + self.momentum * b, grads, buffers)
            else:
                grads = buffers
        return map_leaves(lambda p, g: p - _rate(lr, p) * g, params, grads), new_state

    def _buffer(self, buffer: Any, g: Any, started: Any) -> Any:
        decayed = self.momentum * buffer
        if not self.dampening:
            return decayed + g
        return where(started, decayed + (1 - self.dampening) * g, g)


def _rate(lr: Any, p: Any) -> Any:
    """The learning rate in the dtype of the parameter."""
    return astype(lr, p.dtype) if hasattr(lr, "dtype") else lr
