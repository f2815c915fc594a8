"""The methods of arrays that are not operators: what NumPy users call, written in ops.

Enters: a traced value and arguments in NumPy's form (`axis=-1`, `keepdims=True`). Leaves: traced
values. Always holds: negative axes are resolved and the arguments are checked here, so that ops see
only sorted, non-negative axes.
"""

from __future__ import annotations

import math
import operator
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar

import numpy as np

from ..dtypes import BOOL, F64, I64, DType, as_dtype, is_float, is_unsigned
from ..errors import Label, ShapeError, fail, user_errors
from ..ops.table import OPS
from .axes import Axis, axes_in_order, normal_axes, normal_axis
from .context import Trace, error, user_span
from .handle import Handle
from .indexing import Movement, basic_index
from .operands import apply, broadcasting, converted, lifted, promoted

V = TypeVar("V", bound="ArrayMethods")


def _sum_dtype(dtype: DType) -> DType:
    """Integers and bools are summed in 64 bits, as NumPy does."""
    if is_float(dtype):
        return dtype
    return np.dtype("uint64") if is_unsigned(dtype) else I64


class Storage:
    """The memory that NumPy would share among an array and its views; they are held weakly."""

    __slots__ = ("members",)

    def __init__(self, first: ArrayMethods) -> None:
        self.members = [weakref.ref(first)]

    def others(self, value: ArrayMethods) -> bool:
        """Whether an array other than `value` still uses the memory."""
        self.members = [ref for ref in self.members if ref() is not None]
        return any(ref() is not value for ref in self.members)


class ArrayMethods(Handle):
    """A node seen as an array, with the methods of arrays."""

    __slots__ = ("__weakref__", "argument", "label", "storage")

    def __init__(
        self, owner: Trace, node_id: int, argument: str | None = None, label: str | None = None
    ) -> None:
        """`argument`: the path of the argument that it is; `label`: its name as a result."""
        super().__init__(owner, node_id)
        self.argument = argument
        self.label = label
        self.storage: Storage | None = None

    def like(self, handle: Handle) -> Self:
        """A new array that is the node of `handle`."""
        return type(self)(self.owner, handle.node_id)

    def joined(self, operand: Any) -> Self:
        """`operand` as an array beside this one; a Python number takes its dtype."""
        return self.like(lifted(self.owner, operand, [self]))

    @user_errors
    def copy(self) -> Self:
        """The same elements in memory of their own."""
        return self.like(self)

    def labelled(self, label: str) -> Self:
        """A copy that is called `label` if it becomes a result of the traced function."""
        return type(self)(self.owner, self.node_id, label=label)

    # ops by their names

    def elementwise(self, name: str, *others: Any, **attrs: Any) -> Self:
        """The elementwise op `name` on this array and others, promoted and broadcast."""
        return self.like(apply(name, self, *others, **attrs))

    def movement(self, name: str, **attrs: Any) -> Self:
        """A movement op of this array alone; shares the storage as NumPy's views do."""
        row = OPS[name]
        if row.idle and row.idle(attrs, self.shape):
            result = self.copy()
        else:
            result = self._node(name, (self.node_id,), attrs)
        if row.view and result.shape:  # an element picked out is a number, not a view
            self.storage = result.storage = self.storage or Storage(self)
            self.storage.members.append(weakref.ref(result))
        return result

    def reduce(self, name: str, axes: tuple[int, ...]) -> Self:
        return self._node(name, (self.node_id,), {"axes": axes})

    def _node(self, name: str, args: Sequence[int], attrs: Mapping[str, Any]) -> Self:
        return type(self)(self.owner, self.owner.add(name, args, attrs))

    # reductions

    def _reduced(self, name: str, axis: Axis, keepdims: bool) -> Self:
        axes = normal_axes(axis, self.ndim)
        result = self.reduce(name, axes) if axes else self.copy()
        if keepdims:
            result = result.reshape(tuple(1 if i in axes else n for i, n in enumerate(self.shape)))
        return result

    @user_errors
    def sum(self, axis: Axis = None, dtype: object = None, *, keepdims: bool = False) -> Self:
        """The sum; integers and bools are summed in 64 bits."""
        value = self.astype(dtype or _sum_dtype(self.dtype))
        return value._reduced("sum", axis, keepdims)

    @user_errors
    def prod(self, axis: Axis = None, dtype: object = None, *, keepdims: bool = False) -> Self:
        """The product; that of integers and bools has 64 bits."""
        value = self.astype(dtype or _sum_dtype(self.dtype))
        return value._reduced("prod", axis, keepdims)

    @user_errors
    def max(self, axis: Axis = None, *, keepdims: bool = False) -> Self:
        """The largest element."""
        return self._reduced("max", axis, keepdims)

    @user_errors
    def min(self, axis: Axis = None, *, keepdims: bool = False) -> Self:
        """The smallest element."""
        return self._reduced("min", axis, keepdims)

    @user_errors
    def all(self, axis: Axis = None, *, keepdims: bool = False) -> Self:
        """Whether all elements are true, that is not zero."""
        return self.like(converted(self, BOOL))._reduced("all", axis, keepdims)

    @user_errors
    def any(self, axis: Axis = None, *, keepdims: bool = False) -> Self:
        """Whether any element is true, that is not zero."""
        return self.like(converted(self, BOOL))._reduced("any", axis, keepdims)

    @user_errors
    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Self:
        """The position of the largest element, the first of equals."""
        return self._position("argmax", axis, keepdims)

    @user_errors
    def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> Self:
        """The position of the smallest element, the first of equals."""
        return self._position("argmin", axis, keepdims)

    def _position(self, name: str, axis: int | None, keepdims: bool) -> Self:
        if axis is None:
            found = self.reshape((self.size,)).reduce(name, (0,))
            return found.reshape((1,) * self.ndim) if keepdims else found
        chosen = normal_axis(axis, self.ndim)
        result = self.reduce(name, (chosen,))
        return result.expand_dims(chosen) if keepdims else result

    @user_errors
    def mean(self, axis: Axis = None, dtype: object = None, *, keepdims: bool = False) -> Self:
        """The arithmetic mean; integers and bools are averaged in float64, as NumPy does."""
        value = self.astype(dtype or (self.dtype if is_float(self.dtype) else F64))
        axes = normal_axes(axis, self.ndim)
        count = math.prod(self.shape[i] for i in axes)
        return value.sum(axes, keepdims=keepdims).elementwise("div", float(count))

    # the same elements in another dtype, another shape, another order

    @user_errors
    def astype(self, dtype: object, *, copy: bool = True) -> Self:
        """The values converted to `dtype`, in a value of their own.

        A real number becomes its integer part: where that is out of range, the nearest integer in
        it, and NaN becomes 0, on every machine.
        """
        return self.like(converted(self, as_dtype(dtype)))

    @user_errors
    def reshape(self, *shape: Any) -> Self:
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
        return self.movement("reshape", shape=tuple(extents))

    @user_errors
    def transpose(self, *axes: Any) -> Self:
        """The axes in another order, by default reversed."""
        given = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        if given is None or not axes:
            given = range(self.ndim)[::-1]
        return self.movement("transpose", perm=axes_in_order(given, self.ndim))

    @property
    def T(self) -> Self:  # noqa: N802
        """All axes reversed."""
        return self.transpose()

    @property
    def mT(self) -> Self:  # noqa: N802
        """The last two axes exchanged."""
        if self.ndim < 2:
            raise error(ShapeError, "GC124", f"`mT` needs at least two axes, got {self.spec!r}")
        return self.swapaxes(-1, -2)

    @user_errors
    def swapaxes(self, first: int, second: int) -> Self:
        ((first,), (second,)) = (normal_axes(axis, self.ndim) for axis in (first, second))
        perm = list(range(self.ndim))
        first, second = normal_axis(first, self.ndim), normal_axis(second, self.ndim)
        perm[first], perm[second] = perm[second], perm[first]
        return self.transpose(tuple(perm))

    @user_errors
    def expand_dims(self, axis: int | tuple[int, ...]) -> Self:
        """New axes of extent 1 at the places `axis` of the result."""
        count = len(axis) if isinstance(axis, (tuple, list)) else 1
        new = normal_axes(axis, self.ndim + count)
        old = iter(self.shape)
        return self.reshape(tuple(1 if i in new else next(old) for i in range(self.ndim + count)))

    @user_errors
    def squeeze(self, axis: Axis = None) -> Self:
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
    def ravel(self) -> Self:
        return self.reshape((self.size,))

    @user_errors
    def flatten(self) -> Self:
        return self.reshape((self.size,)).copy()

    def __getitem__(self, key: Any) -> Self:
        return self._moved(basic_index(self.spec, key))

    def broadcast_to(self, shape: Sequence[int]) -> Self:
        """The elements repeated to `shape` by NumPy's rule."""
        return self._moved(broadcasting(self.spec, tuple(shape)))

    def _moved(self, movements: Iterable[Movement]) -> Self:
        value = self
        for name, attrs in movements:
            value = value.movement(name, **attrs)
        return value

    # products, and what takes further arrays

    def contract(self, other: Handle, contract: Any, batch: Any) -> Self:
        """The op `dot`, after promotion."""
        a, b = promoted(self.owner, (self, other))
        attrs = {"contract": contract, "batch": batch}
        return self._node("dot", (a.node_id, b.node_id), attrs)

    @user_errors
    def dot(self, other: Any, contract: Any = None, batch: Any = ((), ())) -> Self:
        """`numpy.dot`; with `contract` (and `batch`), the op of that name."""
        right = self.joined(other)
        if contract is not None:
            return self.contract(right, contract, batch)
        if self.ndim == 0 or right.ndim == 0:
            return self.elementwise("mul", right)
        if right.ndim <= 2:
            return matmul(self, right)
        return self.contract(right, ((self.ndim - 1,), (right.ndim - 2,)), ((), ()))

    def concat(self, *others: Any, axis: int) -> Self:
        ids = [v.node_id for v in promoted(self.owner, (self, *others))]
        return self._node("concat", ids, {"axis": axis})

    @user_errors
    def clip(self, low: Any = None, high: Any = None) -> Self:
        """The values moved into [low, high]; their gradient is 1 there, bounds included."""
        if is_float(self.dtype):
            low = -math.inf if low is None else low
            return self.elementwise("clip", low, math.inf if high is None else high)
        result = self if low is None else self.elementwise("maximum", low)
        return (result if high is None else result.elementwise("minimum", high)).copy()


def matmul(a: V, b: V) -> V:
    """`a @ b` as NumPy has it: vectors, matrices, and stacks of matrices that broadcast."""
    if a.ndim == 0 or b.ndim == 0:
        raise error(
            ShapeError, "GC126", "`matmul` needs at least one axis on each side, got a scalar"
        )
    inner_b = max(b.ndim - 2, 0)
    if a.shape[-1] != b.shape[inner_b]:
        raise _inner_axes_differ(a, b, inner_b)
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
    return left.contract(right, ((len(lead) + 1,), (len(lead),)), (batch, batch))


def _stack_shape(a: Handle, b: Handle) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise error(
            ShapeError,
            "GC101",
            f"`matmul` needs the leading axes to broadcast, got {a.spec!r} and {b.spec!r}",
        ) from None


def _inner_axes_differ(a: Handle, b: Handle, inner_b: int) -> ShapeError:
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
