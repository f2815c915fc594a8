"""The methods of arrays that are not ops: what NumPy users call, written in ops.

Enters: a traced value and arguments in NumPy's form (`axis=-1`, `keepdims=True`). Leaves: traced
values. Always holds: negative axes are resolved and the arguments are checked here, so that ops see
only sorted, non-negative axes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import BOOL, F64, I64, DType, Spec, as_dtype, is_float, is_integer, is_unsigned
from ..errors import Label, ShapeError, fail, user_errors
from .context import error, user_span
from .indexing import basic_index

if TYPE_CHECKING:
    from .value import Value

Axis = int | tuple[int, ...] | list[int] | None


def normal_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """Sorted, non-negative axes; `None` means all of them."""
    if axis is None:
        return tuple(range(ndim))
    given = [operator.index(a) for a in (axis if isinstance(axis, (tuple, list)) else (axis,))]
    for a in given:
        if not -ndim <= a < ndim:
            raise error(
                ShapeError,
                "GC123",
                f"axis {a} is out of range for {ndim} axes",
                helps=(
                    f"use an axis from {-ndim} to {ndim - 1}" if ndim else "leave the axis out",
                ),
            )
    axes = sorted(a % ndim for a in given)
    if len(set(axes)) != len(axes):
        raise error(ShapeError, "GC123", f"an axis is named twice: {given}")
    return tuple(axes)


def normal_axis(axis: Any, ndim: int) -> int:
    """One axis, not negative."""
    if isinstance(axis, (tuple, list)):
        raise error(
            ShapeError,
            "GC123",
            f"one axis is meant here, not {axis}",
            helps=("name one axis, as an integer",),
        )
    return normal_axes(axis, ndim)[0]


def axes_in_order(axes: Any, ndim: int) -> tuple[int, ...]:
    """Axes, not negative, in the order in which they are named."""
    given = axes if isinstance(axes, (tuple, list, range)) else (axes,)
    normal_axes(list(given), ndim)
    return tuple(operator.index(a) % ndim for a in given)


def _reduced(name: str, value: Value, axis: Axis, keepdims: bool) -> Value:
    axes = normal_axes(axis, value.ndim)
    result = value.reduce(name, axes) if axes else value.copy()
    if keepdims:
        result = result.reshape(tuple(1 if i in axes else n for i, n in enumerate(value.shape)))
    return result


def _reduction(name: str, *, of_truth: bool = False) -> Callable[..., Value]:
    """A reduction to an element, or (`of_truth`) to whether elements are true."""

    def method(self: Value, axis: Axis = None, *, keepdims: bool = False) -> Value:
        as_bool = of_truth and self.dtype != BOOL
        return _reduced(name, self.not_equal(0) if as_bool else self, axis, keepdims)

    method.__name__ = method.__qualname__ = name
    return user_errors(method)


def _total(name: str) -> Callable[..., Value]:
    """A reduction whose result may need a wider dtype."""

    def method(
        self: Value, axis: Axis = None, dtype: object = None, *, keepdims: bool = False
    ) -> Value:
        return _reduced(name, self.astype(dtype or _sum_dtype(self.dtype)), axis, keepdims)

    method.__name__ = method.__qualname__ = name
    return user_errors(method)


def _sum_dtype(dtype: DType) -> DType:
    """Integers and bools are summed in 64 bits, as NumPy does."""
    if is_float(dtype):
        return dtype
    return np.dtype("uint64") if is_unsigned(dtype) else I64


def _position(name: str) -> Callable[..., Value]:
    def method(self: Value, axis: int | None = None, *, keepdims: bool = False) -> Value:
        if axis is None:
            found = self.reshape((self.size,)).reduce(name, (0,))
            return found.reshape((1,) * self.ndim) if keepdims else found
        chosen = normal_axis(axis, self.ndim)
        result = self.reduce(name, (chosen,))
        return result.expand_dims(chosen) if keepdims else result

    method.__name__ = method.__qualname__ = name
    return user_errors(method)


class ArrayMethods:
    """Mixed into `Value`, which adds the ops themselves."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def spec(self) -> Spec: ...
        @property
        def shape(self) -> tuple[int, ...]: ...
        @property
        def dtype(self) -> DType: ...
        @property
        def ndim(self) -> int: ...
        @property
        def size(self) -> int: ...
        def __getattr__(self, name: str) -> Any: ...

    sum = _total("sum")
    prod = _total("prod")
    max = _reduction("max")
    min = _reduction("min")
    all = _reduction("all", of_truth=True)
    any = _reduction("any", of_truth=True)
    argmax = _position("argmax")
    argmin = _position("argmin")

    @user_errors
    def mean(self, axis: Axis = None, dtype: object = None, *, keepdims: bool = False) -> Value:
        """The arithmetic mean; integers and bools are averaged in float64, as NumPy does."""
        value = self.astype(dtype or (self.dtype if is_float(self.dtype) else F64))
        axes = normal_axes(axis, self.ndim)
        count = math.prod(self.shape[i] for i in axes)
        result: Value = value.sum(axes, keepdims=keepdims) / float(count)
        return result

    @user_errors
    def astype(self, dtype: object, *, copy: bool = True) -> Value:
        """The values converted to `dtype`, in a value of their own.

        A real number becomes its integer part: where that is out of range, the nearest integer in
        it, and NaN becomes 0, on every machine.
        """
        target = as_dtype(dtype)
        result: Value
        if target == self.dtype:
            result = self.copy()
        elif target == BOOL:
            result = self.not_equal(0)
        elif is_float(self.dtype) and is_integer(target):
            result = self.to_integer(dtype=target)
        else:
            result = self.cast(dtype=target)
        return result

    @user_errors
    def reshape(self, *shape: Any) -> Value:
        """The same elements in row-major order in another shape; one extent may be -1."""
        given = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        extents = [operator.index(n) for n in given]
        if -1 in extents:
            rest = math.prod(n for n in extents if n != -1)
            if extents.count(-1) > 1 or rest == 0 or self.size % rest:
                raise error(
                    ShapeError,
                    "GC102",
                    f"cannot reshape {self.spec!r} of {self.size} elements to {extents}",
                    helps=(f"choose extents whose product divides {self.size}",),
                )
            extents[extents.index(-1)] = self.size // rest
        result: Value = self.movement("reshape", shape=tuple(extents))
        return result

    @user_errors
    def transpose(self, *axes: Any) -> Value:
        """The axes in another order, by default reversed."""
        given = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        if given is None or not axes:
            given = range(self.ndim)[::-1]
        result: Value = self.movement("transpose", perm=axes_in_order(given, self.ndim))
        return result

    @property
    def T(self) -> Value:  # noqa: N802
        """All axes reversed."""
        return self.transpose()

    @property
    def mT(self) -> Value:  # noqa: N802
        """The last two axes exchanged."""
        if self.ndim < 2:
            raise error(ShapeError, "GC124", f"`mT` needs at least two axes, got {self.spec!r}")
        return self.swapaxes(-1, -2)

    @user_errors
    def swapaxes(self, first: int, second: int) -> Value:
        ((first,), (second,)) = (normal_axes(axis, self.ndim) for axis in (first, second))
        perm = list(range(self.ndim))
        first, second = normal_axis(first, self.ndim), normal_axis(second, self.ndim)
        perm[first], perm[second] = perm[second], perm[first]
        return self.transpose(tuple(perm))

    @user_errors
    def expand_dims(self, axis: int | tuple[int, ...]) -> Value:
        """New axes of extent 1 at the places `axis` of the result."""
        count = len(axis) if isinstance(axis, (tuple, list)) else 1
        new = normal_axes(axis, self.ndim + count)
        old = iter(self.shape)
        return self.reshape(tuple(1 if i in new else next(old) for i in range(self.ndim + count)))

    @user_errors
    def squeeze(self, axis: Axis = None) -> Value:
        """Without the axes of extent 1 named by `axis`, by default without any."""
        if axis is None:
            axes = tuple(i for i, n in enumerate(self.shape) if n == 1)
        else:
            axes = normal_axes(axis, self.ndim)
        for i in axes:
            if self.shape[i] != 1:
                raise error(
                    ShapeError,
                    "GC125",
                    f"cannot squeeze axis {i} of {self.spec!r}, its extent is not 1",
                )
        return self.reshape(tuple(n for i, n in enumerate(self.shape) if i not in axes))

    @user_errors
    def ravel(self) -> Value:
        return self.reshape((self.size,))

    @user_errors
    def flatten(self) -> Value:
        return self.reshape((self.size,)).copy()

    def __getitem__(self, key: Any) -> Value:
        return basic_index(self, key)  # type: ignore[arg-type]


def matmul(a: Value, b: Value) -> Value:
    """`a @ b` as NumPy has it: vectors, matrices, and stacks of matrices that broadcast."""
    if a.ndim == 0 or b.ndim == 0:
        raise error(
            ShapeError, "GC126", "`matmul` needs at least one axis on each side, got a scalar"
        )
    inner_b = max(b.ndim - 2, 0)
    if a.shape[-1] != b.shape[inner_b]:
        raise _inner_axes_differ(a, b, inner_b)
    product: Value
    if b.ndim <= 2 or a.ndim <= 2:
        product = a.contract(b, ((a.ndim - 1,), (inner_b,)), ((), ()))
        if a.ndim < 2 or b.ndim <= 2:
            return product
        # One matrix on the left of a stack: its rows come first, and are moved inwards.
        return product.transpose((*range(1, inner_b + 1), 0, inner_b + 1))
    lead = _stack_shape(a, b)
    left = a.broadcast_to((*lead, *a.shape[-2:]))
    right = b.broadcast_to((*lead, *b.shape[-2:]))
    batch = tuple(range(len(lead)))
    product = left.contract(right, ((len(lead) + 1,), (len(lead),)), (batch, batch))
    return product


def _stack_shape(a: Value, b: Value) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise error(
            ShapeError,
            "GC101",
            f"`matmul` needs the leading axes to broadcast, got {a.spec!r} and {b.spec!r}",
        ) from None


def _inner_axes_differ(a: Value, b: Value, inner_b: int) -> ShapeError:
    span = user_span()
    left, right = a.shape[-1], b.shape[inner_b]
    places = span.operands() if span else ()
    which = "first" if inner_b == 0 else "next-to-last"
    labels: tuple[Label, ...] = ()
    if len(places) == 2:
        labels = (
            Label(places[1], f"{list(b.shape)}: {which} axis is {right}"),
            Label(places[0], f"{list(a.shape)}: last axis is {left}"),
        )
    helps: tuple[str, ...] = ()
    if b.ndim == 2 and b.shape[1] == left:
        helps = ("transpose the right operand: `.T`",)
    elif a.ndim == 2 and a.shape[0] == right:
        helps = ("transpose the left operand: `.T`",)
    name = b.node.name
    return fail(
        ShapeError,
        "GC101",
        f"`matmul` needs the inner axes to agree, got {left} and {right}",
        span=span,
        labels=labels,
        notes=(f"the operands are {a.spec!r} and {b.spec!r}",)
        + ((f"the right operand is `{name}`",) if name else ()),
        helps=helps,
    )
