"""Random programs as a user would write them: functions, and their gradients of gradients.

Enters: a seed. Leaves: a `Program`: a function of arrays with names that are legal and unkind, and
arguments. Always holds: values stay of order one, so that first and second gradients do too; every
step is tried with NumPy while the function is drawn.

They are made of what has gone wrong before: products that read one matrix through panels of several
sizes, kernels that would have one name, gradients that are constants, moves with guards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from drawing import Array, Choices

import gradc as gd
from gradc.graph import Graph
from gradc.interpret import interpret
from gradc.trace import trace_tree

UNKIND = (
    "w_3", "acc", "const_2", "constant_0", "base", "arena", "state", "tile", "panel", "b", "i", "v",
    "update_x", "forward_x", "backward", "out", "y0", "x_2", "d_x", "sum", "x_at", "lane", "r", "c",
)  # fmt: skip
LARGEST = 1500
MOST_PRODUCTS = 30_000
Step = Callable[[Sequence[Any]], Any]


@dataclass
class Program:
    """A function with the names and values of its arguments."""

    seed: str
    fn: Callable[..., Any]
    names: tuple[str, ...]
    args: tuple[Array, ...]

    def graph(self) -> Graph:
        return trace_tree(self.fn, *self.args, names=self.names).graph

    def check(self, graph: Graph, results: Sequence[Array], what: str) -> None:
        """Assert that these are the function's results, as the interpreter has them."""
        for k, (got, want) in enumerate(zip(results, interpret(graph, self.args), strict=True)):
            label = f"{what}, program {self.seed!r}: output {k} of\n{graph}"
            assert (got.shape, got.dtype) == (want.shape, want.dtype), label
            if want.dtype.kind != "f":
                np.testing.assert_array_equal(got, want, label)
                continue
            scale = float(np.max(np.abs(want), initial=1.0, where=np.isfinite(want)))
            near = 1e-8 if want.dtype.itemsize == 8 else 1e-2
            np.testing.assert_allclose(got, want, 0, near * scale, err_msg=label)


class Steps:
    """The ways in which a program grows by a value."""

    def __init__(self, choices: Choices, values: list[Array], whole: list[int]) -> None:
        self.choices = choices
        self.values = values
        self.whole = whole  # positions of integer values
        self.steps: list[Step] = []

    def grow(self) -> None:
        """One more value, if one of a few attempts gives a fitting one."""
        for _ in range(10):
            a = self.pick()
            make = self.choices.pick(
                (self.unary, self.constant, self.fold, self.join, self.join, self.move, self.move,
                 self.move, self.product, self.product, self.select)
            )  # fmt: skip
            step = make(a)
            if step is None:
                continue
            with np.errstate(all="ignore"):
                value = np.asarray(step(self.values))
            if 0 < value.size <= LARGEST and value.ndim <= 4 and np.isfinite(value).all():
                self.steps.append(step)
                self.values.append(value)
                return

    def pick(self, test: Callable[[Array], bool] = lambda _: True) -> int:
        """The position of a float value, late ones more often."""
        fit = [k for k, v in enumerate(self.values) if v.dtype.kind == "f" and test(v)]
        return self.choices.pick(fit[-3:] if fit and self.choices.draw(3) else fit) if fit else -1

    def unary(self, a: int) -> Step:
        f = self.choices.pick(
            (np.tanh, np.sin, np.abs, lambda x: x * x * 0.5, lambda x: np.maximum(x, 0.3),
             lambda x: np.clip(x, -0.8, 0.9), lambda x: np.exp(-(x * x)),
             lambda x: np.log1p(np.abs(x)), lambda x: np.sqrt(1 + x * x), lambda x: x / (1 + x * x),
             lambda x: x**3 / (1 + x**2))
        )  # fmt: skip
        return lambda vs: f(vs[a])

    def constant(self, a: int) -> Step:
        """Linear in the value: its gradient is the constant."""
        shape = self.values[a].shape
        number = self.choices.values.normal(size=shape).astype(self.values[a].dtype)
        ramp = np.arange(max(1, number.size), dtype=number.dtype).reshape(shape or (1,)) / 10
        factor = self.choices.pick((number, ramp.reshape(shape)))
        return self.choices.pick((lambda vs: vs[a] * factor, lambda vs: vs[a] + factor))

    def fold(self, a: int) -> Step | None:
        x = self.values[a]
        if not x.ndim:
            return None
        axis = self.choices.draw(x.ndim)
        f = self.choices.pick((np.sum, np.mean, np.max, np.min, np.var))
        keep, back = bool(self.choices.draw(2)), bool(self.choices.draw(2))
        if back:  # what the row comes to meets the row again
            return lambda vs: vs[a] - f(vs[a], axis=axis, keepdims=True)
        return lambda vs: f(vs[a], axis=axis, keepdims=keep) * 0.5

    def join(self, a: int) -> Step | None:
        x = self.values[a]
        b = self.pick(lambda v: v.shape == x.shape or _meets(v.shape, x.shape))
        if b < 0:
            return None
        f = self.choices.pick(
            (np.add, np.subtract, np.multiply, np.maximum, np.minimum,
             lambda p, q: p / (1.5 + q * q), lambda p, q: np.tanh(p) * q)
        )  # fmt: skip
        return lambda vs: f(vs[a], vs[b])

    def select(self, a: int) -> Step | None:
        """By integers where there are some of the shape, else by the value itself."""
        x = self.values[a]
        fit = [k for k in self.whole if _meets(self.values[k].shape, x.shape)]
        if fit:
            n = self.choices.pick(fit)
            return self.choices.pick(
                (
                    lambda vs: np.where(vs[n] > 1, vs[a], 0.5 * vs[a]),
                    lambda vs: vs[a] * vs[n].astype(x.dtype),
                )
            )
        return lambda vs: np.where(vs[a] > 0.1, vs[a], -0.3 * vs[a])

    def move(self, a: int) -> Step | None:
        x = self.values[a]
        if not x.ndim:
            return None
        axis = self.choices.draw(x.ndim)
        n, before = x.shape[axis], (slice(None),) * axis
        first, step = self.choices.draw(n), self.choices.pick((1, 1, 2, 3, -1))
        stop = None if self.choices.draw(2) else min(n, first + 1 + self.choices.draw(n))
        part = (*before, slice(first, None if step < 0 else stop, step))
        turn = tuple(self.choices.values.permutation(x.ndim).tolist())
        repeat = self.choices.pick((1, 2, 3))
        return self.choices.pick(
            (
                lambda vs: vs[a][part],
                lambda vs: np.concatenate([vs[a], vs[a][part]], axis),
                lambda vs: np.concatenate([vs[a][part], vs[a], vs[a][part]], axis),
                lambda vs: np.roll(vs[a], repeat, axis),
                lambda vs: np.roll(vs[a], -repeat, axis) - vs[a],
                lambda vs: np.flip(vs[a], axis),
                lambda vs: vs[a].reshape(-1),
                lambda vs: np.transpose(vs[a], turn),
                lambda vs: vs[a][..., None] * np.ones(repeat, vs[a].dtype),
                lambda vs: np.stack([vs[a], -vs[a]], axis),
            )
        )

    def product(self, a: int) -> Step | None:
        """Products of a value with itself, with a constant, or with another."""
        x = self.values[a]
        if not x.ndim or x.size * x.shape[-1] > MOST_PRODUCTS:
            return None
        n = x.shape[-1]
        width = self.choices.pick((1, 2, 5, 8, 17, 33))
        scale = 1 / np.sqrt(n)
        w = (self.choices.values.normal(size=(n, width)) * scale).astype(x.dtype)
        if x.ndim == 1:
            return self.choices.pick((lambda vs: vs[a] @ w, lambda vs: (vs[a] @ vs[a]) * scale))
        b = self.pick(lambda v: v.ndim in (1, 2) and v.shape[0] == n and v.size < 600)
        options: list[Step] = [lambda vs: vs[a] @ w]
        if x.ndim == 2 and x.shape[0] ** 2 <= LARGEST:
            options.append(lambda vs: vs[a] @ vs[a].T * scale)
            options.append(lambda vs: vs[a].T @ np.tanh(vs[a]) * scale)
            options.append(lambda vs: np.tensordot(vs[a], vs[a], ((0,), (0,))) * scale)
        if x.ndim == 3:
            options.append(lambda vs: vs[a] @ np.swapaxes(vs[a], 1, 2) * scale)
        if b >= 0:
            options += [lambda vs: vs[a] @ vs[b] * scale] * 2
        return self.choices.pick(options)


def _meets(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    """Whether an array of the small shape is broadcast to the large one."""
    rest = large[len(large) - len(small) :] if small else ()
    return len(small) <= len(large) and all(a in (1, b) for a, b in zip(small, rest, strict=True))


def draw_program(seed: int | str, length: int = 7) -> Program:
    """A program of `length` steps and its first and second gradients."""
    choices = Choices(seed)
    dtype = "float64" if choices.chance(75) else "float32"
    count, args = 1 + choices.draw(3), []
    shapes = ((3, 5), (16, 17), (9, 2), (4,), (8, 8), (2, 3, 4), (33, 5), (1, 7), (), (16, 17, 1))
    for _ in range(count):
        args.append(choices.values.normal(size=choices.pick(shapes)).astype(dtype))
    floats = tuple(range(count))
    if choices.chance(40):
        shape = choices.pick([a.shape for a in args])
        args.append(choices.values.integers(-3, 4, shape).astype(choices.pick(("int32", "int8"))))
    whole = [k for k in range(len(args)) if k not in floats]
    drawn = Steps(choices, list(args), whole)
    for _ in range(length):
        drawn.grow()
    names = tuple(dict.fromkeys(choices.pick(UNKIND) for _ in range(40)))[: len(args)]
    ends = [-1, *(choices.draw(len(drawn.values)) for _ in range(choices.draw(3)))]
    ramps = [np.arange(a.size, dtype=dtype).reshape(a.shape) / 7 for a in args]
    directions = [np.sin(r + 1) for r in ramps]
    linear = choices.chance(30)

    def loss(*given: Any) -> Any:
        values = list(given)
        for step in drawn.steps:
            values.append(step(values))
        total = sum((np.sum(np.tanh(values[k] * 0.3)) for k in ends if k not in whole), 0.0)
        return total + sum((given[k] * ramps[k]).sum() for k in floats) if linear else total

    def constant(*given: Any) -> Any:
        return sum((given[k] * ramps[k]).sum() for k in floats)

    def first(*given: Any) -> Any:
        return gd.grad(loss, floats)(*given)

    def second(*given: Any) -> Any:
        def along(*at: Any) -> Any:
            found = gd.grad(loss, floats)(*at)
            return sum((g * directions[k]).sum() for k, g in zip(floats, found, strict=True))

        return gd.grad(along, floats)(*given)

    def integers(*given: Any) -> Any:
        n = given[whole[0]]
        return [n * n - 3, n // 2, n % 3, np.roll(n, 1), np.concatenate([n.reshape(-1)] * 2)]

    forms: list[Callable[..., Any]] = [first, lambda *xs: (first(*xs), second(*xs)), second]
    forms.append(lambda *xs: (gd.grad(constant, floats)(*xs), first(*xs)))
    if whole:
        forms.append(lambda *xs: (integers(*xs), first(*xs)))
    return Program(str(seed), choices.pick(forms), names, tuple(args))
