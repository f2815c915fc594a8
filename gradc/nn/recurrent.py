"""One step of a recurrent network, as a layer.

Enters: an input and the state of the step before. Leaves: the next state. Always holds: weights
have PyTorch's names, shapes and distribution: uniform in +-1/sqrt(hidden_size).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import functions as fn
from ..dtypes import F32
from ..errors import ArgumentError, ShapeError, fail, user_errors
from ..trace import error, spec_of
from .activations import relu, tanh
from .init import Generator, check_size, generator, uniform
from .module import Module

NONLINEARITIES: dict[str, Any] = {"tanh": tanh, "relu": relu}


class _Cell(Module):
    """The weights of `gates` gates: of the input, of the state, and their biases."""

    gates = 1

    @user_errors
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        rng: Generator = None,
        dtype: object = F32,
    ) -> None:
        self._draw(input_size, hidden_size, bias, rng, dtype)

    def _draw(
        self, input_size: int, hidden_size: int, bias: bool, rng: Generator, dtype: object
    ) -> None:
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            check_size(type(self).__name__, name, size)
        rng = generator(rng)
        bound = 1 / math.sqrt(hidden_size) if hidden_size else 0.0
        rows = self.gates * hidden_size
        self.input_size = input_size
        self.hidden_size = hidden_size

        def drawn(*shape: int) -> Any:
            return uniform(shape, -bound, bound, rng=rng, dtype=dtype)

        self.weight_ih: Any = drawn(rows, input_size)
        self.weight_hh: Any = drawn(rows, hidden_size)
        self.bias_ih: Any = drawn(rows) if bias else None
        self.bias_hh: Any = drawn(rows) if bias else None

    def _check(self, x: Any, h: Any) -> Any:
        """The state `h`, or zeros; raises unless the shapes fit."""
        shape = np.shape(x)
        if not shape or shape[-1] != self.input_size:
            name = type(self).__name__
            message = f"`{name}` takes [..., {self.input_size}], got {spec_of(x)!r}"
            help_ = f"make it `nn.{name}({shape[-1] if shape else 1}, {self.hidden_size})`"
            raise error(ShapeError, "GC338", message, helps=(help_,))
        state = (*shape[:-1], self.hidden_size)
        if h is None:
            return fn.zeros(state, dtype=spec_of(self.weight_hh).dtype)
        if np.shape(h) != state:
            message = f"the state of `{type(self).__name__}` is {list(state)}, got {spec_of(h)!r}"
            raise error(ShapeError, "GC338", message, helps=("give one state for each sample",))
        return h

    def _of_input(self, x: Any) -> Any:
        y = x @ self.weight_ih.T
        return y if self.bias_ih is None else y + self.bias_ih

    def _of_state(self, h: Any) -> Any:
        y = h @ self.weight_hh.T
        return y if self.bias_hh is None else y + self.bias_hh

    def _parts(self, x: Any) -> list[Any]:
        """The gates, which lie side by side on the last axis."""
        n = self.hidden_size
        return [x[..., k * n : (k + 1) * n] for k in range(self.gates)]


class RNNCell(_Cell):
    """`h = tanh(x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh)` (Elman, 1990).

    Called with `x` [..., `input_size`] and `h` [..., `hidden_size`], zeros if left out, of float32
    or float64; the next `h` comes out. `nonlinearity` is "tanh" or "relu". Weights and biases start
    uniform in +-1/sqrt(hidden_size), drawn from `rng`; there are none with `bias=False`; they are
    of `dtype`. Gradients: by the chain rule. Raises `ArgumentError` for sizes that are none;
    called, `ShapeError`.
    """

    @user_errors
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        rng: Generator = None,
        dtype: object = F32,
    ) -> None:
        if nonlinearity not in NONLINEARITIES:
            message = f"`nonlinearity` is 'tanh' or 'relu', got {nonlinearity!r}"
            raise fail(ArgumentError, "GC339", message, helps=("leave it out for 'tanh'",))
        self._draw(input_size, hidden_size, bias, rng, dtype)
        self.nonlinearity = nonlinearity

    @user_errors
    def __call__(self, x: Any, h: Any = None) -> Any:
        h = self._check(x, h)
        total = self._of_input(x) + self._of_state(h)
        return NONLINEARITIES[self.nonlinearity](total)


class GRUCell(_Cell):
    """The gated recurrent unit (Cho et al., 2014), as `torch.nn.GRUCell`.

        r = sigmoid(of x + of h),  z = sigmoid(of x + of h),  n = tanh(of x + r * (of h))
        h = (1 - z) * n + z * h

    Called with `x` [..., `input_size`] and `h` [..., `hidden_size`], zeros if left out, of float32
    or float64; the next `h` comes out. The three rows of gates (r, z, n) lie one after the other in
    `weight_ih`, `weight_hh`, `bias_ih` and `bias_hh`, drawn from `rng`, uniform in
    +-1/sqrt(hidden_size); without biases with `bias=False`; of `dtype`. Gradients: by the chain
    rule. Raises `ArgumentError` for sizes that are none; called, `ShapeError`.
    """

    gates = 3

    @user_errors
    def __call__(self, x: Any, h: Any = None) -> Any:
        h = self._check(x, h)
        of_input, of_state = self._parts(self._of_input(x)), self._parts(self._of_state(h))
        r = fn.sigmoid(of_input[0] + of_state[0])
        z = fn.sigmoid(of_input[1] + of_state[1])
        n = fn.tanh(of_input[2] + r * of_state[2])
        return n + z * (h - n)


class LSTMCell(_Cell):
    """Long short-term memory (Hochreiter and Schmidhuber, 1997), as `torch.nn.LSTMCell`.

        i, f, o = sigmoid(of x + of h),  g = tanh(of x + of h)
        c = f * c + i * g,  h = o * tanh(c)

    Called with `x` [..., `input_size`] and the pair `(h, c)`, each [..., `hidden_size`], zeros if
    left out, of float32 or float64; the next pair comes out. The four rows of gates (i, f, g, o)
    lie one after the other in `weight_ih`, `weight_hh`, `bias_ih` and `bias_hh`, drawn from `rng`,
    uniform in +-1/sqrt(hidden_size); without biases with `bias=False`; of `dtype`. Gradients: by
    the chain rule. Raises `ArgumentError` for sizes that are none; called, `ShapeError`.
    """

    gates = 4

    @user_errors
    def __call__(self, x: Any, state: Any = None) -> tuple[Any, Any]:
        h, c = (self._check(x, part) for part in (state or (None, None)))
        i, f, g, o = self._parts(self._of_input(x) + self._of_state(h))
        c = fn.sigmoid(f) * c + fn.sigmoid(i) * fn.tanh(g)
        return fn.sigmoid(o) * fn.tanh(c), c
