"""A graph while it is drawn: where choices come from, and what is known of each node.

Enters: a seed. Leaves: `Drawing`, which adds nodes to a graph and keeps each with its value in
NumPy; and `Case`, a finished graph with its answer. Always holds: the same seed gives the same; and
floating-point numbers are small integers as long as possible, so that sums are exact in any order
and most answers must be met to the last bit.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from gradc.dtypes import Spec
from gradc.graph import Builder, Graph
from gradc.ops import OPS

Array = np.ndarray[Any, Any]
T = TypeVar("T")

EXTENTS = (1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 31, 32, 33, 40)
LARGEST = 4000
"""Elements of an array; the C compiler's time is spent on code, not on data."""
DTYPES = ("float32",) * 6 + ("float64",) * 2 + ("int32",) * 3 + ("bool",)
RARE_DTYPES = ("int8", "uint8", "int16", "int64", "uint32")


class Choices:
    """The choices that make a graph; they depend on nothing but the seed."""

    def __init__(self, seed: int | str) -> None:
        numbers = random.Random(seed)
        self.draw = numbers.randrange
        self.values = np.random.default_rng(numbers.getrandbits(64))

    # `draw(n)` is an integer below n; `values` fills arrays

    def pick(self, options: Sequence[T]) -> T:
        return options[self.draw(len(options))]

    def chance(self, percent: int) -> bool:
        return self.draw(100) >= 100 - percent

    def some(self, options: Sequence[T]) -> list[T]:
        """Each of the options or not."""
        return [x for x in options if self.draw(2)]


@dataclass
class Known:
    """A node with its value; `error`: how far a right answer may be from it."""

    id: int
    value: Array
    error: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def spec(self) -> Spec:
        return Spec(self.value.shape, self.value.dtype)

    @property
    def kind(self) -> str:
        return "i" if self.value.dtype.kind == "u" else self.value.dtype.kind

    @property
    def reach(self) -> float:
        """The greatest magnitude among the finite elements."""
        if self.kind == "b" or not self.value.size:
            return 1.0
        finite = self.value[np.isfinite(self.value)].astype(np.float64)
        return float(np.max(np.abs(finite), initial=0.0))

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.value).all())


@dataclass
class Case:
    """A graph and its answer; for a state, output k replaces leaf `replaced[k]`."""

    graph: Graph
    inputs: list[Array]
    outputs: list[Array]
    errors: list[float]
    leaves: int = 0
    replaced: tuple[int, ...] = ()

    def check_outputs(self, results: Sequence[Array], what: str) -> None:
        """Assert that these are the graph's outputs."""
        assert len(results) == len(self.outputs)
        for k, (got, want, error) in enumerate(
            zip(results, self.outputs, self.errors, strict=True)
        ):
            label = f"{what}: output {k} of\n{self.graph}"
            assert got.shape == want.shape, label
            assert got.dtype == want.dtype, label
            if error == 0:
                np.testing.assert_array_equal(got, want, label)
            else:
                np.testing.assert_allclose(got, want, 0, error, err_msg=label)


@dataclass
class Drawing:
    """A graph under construction.

    In its `backward` half nodes are gradients of earlier ones. `exact`: only ops that are.
    """

    choices: Choices
    backward: bool = False
    exact: bool = False
    builder: Builder = field(default_factory=Builder)
    known: list[Known] = field(default_factory=list)
    inputs: list[Array] = field(default_factory=list)

    # Sources

    def shape(self, most: int = 4) -> tuple[int, ...]:
        shape: list[int] = []
        for _ in range(self.choices.draw(most + 1)):
            room = LARGEST // max(1, int(np.prod(shape)))
            shape.append(self.choices.pick([n for n in EXTENTS if n <= room] or [1]))
        if shape and self.choices.chance(1):
            shape[-1] = 0
        return tuple(shape)

    def dtype(self) -> np.dtype[Any]:
        rare = self.choices.chance(8)
        return np.dtype(self.choices.pick(RARE_DTYPES if rare else DTYPES))

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Small integers; now and then the ends of an integer's range, or what is not a number."""
        if dtype.kind == "b":
            return self.choices.values.random(shape) < 0.5
        low = 0 if dtype.kind == "u" else -4
        found: Array = self.choices.values.integers(low, 5, shape).astype(dtype)
        if found.size and dtype.kind in "iu" and self.choices.chance(10):
            found.flat[self.choices.values.integers(found.size)] = np.iinfo(dtype).min
            found.flat[self.choices.values.integers(found.size)] = np.iinfo(dtype).max
        if found.size and dtype.kind == "f" and self.choices.chance(4):
            for special in (np.nan, np.inf, -np.inf, -0.0):
                found.flat[self.choices.values.integers(found.size)] = special
        return found

    def input(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Known:
        value = self.array(shape, dtype)
        node = self.builder.input(Spec(shape, dtype), f"x{len(self.inputs)}")
        self.inputs.append(value)
        return self.keep(Known(node, value))

    def constant(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Known:
        value = self.array(shape, dtype)
        return self.keep(Known(self.builder.constant(value, dtype), value))

    def keep(self, found: Known) -> Known:
        self.known.append(found)
        return found

    def add(
        self, op: str, args: Sequence[Known], value: Array, error: float = 0.0, /, **attrs: Any
    ) -> Known:
        """A node whose value is known; checked against what the graph promises."""
        forward = self.choices.pick(self.known).id if self.backward and self.known else None
        found = Known(
            self.builder.add(op, [a.id for a in args], attrs, of=forward), np.asarray(value), error
        )
        assert found.spec == self.builder.nodes[found.id].spec
        return self.keep(found)

    def computed(self, op: str, args: Sequence[Known], error: float = 0.0, **attrs: Any) -> Known:
        """A node whose value the op's NumPy reference gives."""
        with np.errstate(all="ignore"):
            value = OPS[op].reference(*(a.value for a in args), **attrs)
        return self.add(op, args, value, error, **attrs)

    def any(self, test: Callable[[Known], bool] = lambda _: True) -> Known | None:
        """A known node that passes the test, late ones more often."""
        fit = [k for k in self.known if test(k)]
        if not fit:
            return None
        recent = fit[-4:]
        return self.choices.pick(recent if self.choices.draw(3) else fit)

    def any_like(self, spec: Spec) -> Known | None:
        return self.any(lambda k: k.spec == spec)

    # Operands

    def tame(self, a: Known) -> Known:
        """A value small enough for the next operation to be exact."""
        if a.kind != "f" or a.reach <= 64:
            return a
        limit = self.spread(self.scalar(8.0, a.value.dtype), a.shape)
        least = self.spread(self.scalar(-8.0, a.value.dtype), a.shape)
        lower = self.computed("minimum", (a, limit), a.error)
        return self.computed("maximum", (lower, least), a.error)

    def scalar(self, value: float, dtype: np.dtype[Any]) -> Known:
        array = np.array(value, dtype)
        return Known(self.builder.constant(array, dtype), array)

    def spread(self, a: Known, shape: tuple[int, ...], axes: tuple[int, ...] = ()) -> Known:
        if a.shape == shape:
            return a
        view = a.value.reshape([shape[k] if k in axes else 1 for k in range(len(shape))])
        value = np.broadcast_to(view, shape)
        return self.add("broadcast", (a,), value, a.error, shape=shape, axes=axes)

    def like(self, a: Known) -> Known:
        """A value of the shape and dtype of `a`: known, broadcast, or new."""
        shape, dtype = a.shape, a.value.dtype
        how = self.choices.draw(6)
        if how < 2:
            return self.any_like(a.spec) or a
        axes = tuple(self.choices.some(range(len(shape))))
        part = tuple(shape[k] for k in axes)
        if how < 4:
            known = self.any_like(Spec(part, dtype)) or self.input(part, dtype)
            return self.spread(known, shape, axes)
        if how == 4:
            return self.spread(self.constant(part, dtype), shape, axes)
        return self.input(shape, dtype)
