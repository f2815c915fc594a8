"""Python's operators on arrays: `a + b`, `a += b`, `a @ b`, `-a`.

Enters: a traced value and an operand of any kind. Leaves: traced values. Always holds: `a += b`
makes `a` the new value, so that every plain alias of it sees the change, as in NumPy; where NumPy
would change an argument or a view as well, it is an error.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from ..dtypes import is_float, is_weak
from ..errors import DTypeError, ShapeError, UnsupportedError
from .context import error
from .handle import Handle
from .methods import ArrayMethods, V, matmul
from .operands import apply, constant, promoted


def raised(base: V, exponent: Any) -> V:
    """`base ** exponent`; a small whole exponent is a few multiplications."""
    if isinstance(exponent, np.generic):
        base = base.like(promoted(base.owner, (base, exponent))[0])  # it has a dtype
        exponent = exponent.item()
    if not is_weak(exponent):
        return base.elementwise("pow", exponent)
    n = float(exponent)
    if abs(n) <= 64 and n == int(n) and (n >= 0 or is_float(base.dtype)):
        return _whole_power(base if n >= 0 else base.elementwise("reciprocal"), abs(int(n)))
    root = n == 0.5 and is_float(base.dtype)
    return base.elementwise("sqrt") if root else base.elementwise("pow", exponent)


def _whole_power(base: V, n: int) -> V:
    """By repeated squaring, from the lowest binary digit of `n` up."""
    if n == 0:
        one = base.like(Handle(base.owner, constant(base.owner, 1, base.dtype)))
        return one.broadcast_to(base.shape)
    result: V | None = None
    while n:
        if n & 1:
            result = base if result is None else result.elementwise("mul", base)
        n >>= 1
        if n:
            base = base.elementwise("square")
    assert result is not None
    return result.copy()


def replaced(self: V, result: V, symbol: str) -> V:
    """What `symbol`, such as `+=`, leaves: `self`, which is `result` from now on."""
    if self.ndim == 0:
        return result  # NumPy's scalars are immutable: the name is bound anew
    reason = None
    if self.argument is not None:
        reason = f"an argument of the traced function (`{self.argument}`)"
    elif self.storage is not None and self.storage.others(self):
        reason = "an array of which there are views"
    if reason:
        raise error(
            UnsupportedError,
            "GC213",
            f"`{symbol}` would write into {reason}",
            helps=(f"bind a new value: `x = x {symbol[:-1]} ...`",),
        )
    if result.shape != self.shape:
        raise error(
            ShapeError,
            "GC101",
            f"`{symbol}` cannot put {result.spec!r} into {self.spec!r}",
        )
    if result.dtype != self.dtype and is_float(result.dtype) and is_float(self.dtype):
        result = result.astype(self.dtype)
    if result.dtype != self.dtype:
        raise error(
            DTypeError, "GC110", f"`{symbol}` cannot put {result.spec!r} into {self.spec!r}"
        )
    self.node_id = result.node_id
    self.storage = None
    return self


class Operators(ArrayMethods):
    """Arrays with Python's operators, whose meaning is that of the ops."""

    __slots__ = ()

    def __add__(self, other: Any) -> Self:
        return self.elementwise("add", other)

    def __radd__(self, other: Any) -> Self:
        return self.like(apply("add", other, self))

    def __iadd__(self, other: Any) -> Self:
        return replaced(self, self.__add__(other), "+=")

    def __sub__(self, other: Any) -> Self:
        return self.elementwise("sub", other)

    def __rsub__(self, other: Any) -> Self:
        return self.like(apply("sub", other, self))

    def __isub__(self, other: Any) -> Self:
        return replaced(self, self.__sub__(other), "-=")

    def __mul__(self, other: Any) -> Self:
        return self.elementwise("mul", other)

    def __rmul__(self, other: Any) -> Self:
        return self.like(apply("mul", other, self))

    def __imul__(self, other: Any) -> Self:
        return replaced(self, self.__mul__(other), "*=")

    def __truediv__(self, other: Any) -> Self:
        return self.elementwise("div", other)

    def __rtruediv__(self, other: Any) -> Self:
        return self.like(apply("div", other, self))

    def __itruediv__(self, other: Any) -> Self:
        return replaced(self, self.__truediv__(other), "/=")

    def __floordiv__(self, other: Any) -> Self:
        return self.elementwise("floor_divide", other)

    def __rfloordiv__(self, other: Any) -> Self:
        return self.like(apply("floor_divide", other, self))

    def __ifloordiv__(self, other: Any) -> Self:
        return replaced(self, self.__floordiv__(other), "//=")

    def __mod__(self, other: Any) -> Self:
        return self.elementwise("remainder", other)

    def __rmod__(self, other: Any) -> Self:
        return self.like(apply("remainder", other, self))

    def __imod__(self, other: Any) -> Self:
        return replaced(self, self.__mod__(other), "%=")

    def __pow__(self, other: Any) -> Self:
        return raised(self, other)

    def __rpow__(self, other: Any) -> Self:
        return self.like(apply("pow", other, self))

    def __ipow__(self, other: Any) -> Self:
        return replaced(self, self.__pow__(other), "**=")

    def __matmul__(self, other: Any) -> Self:
        return matmul(self, self.joined(other))

    def __rmatmul__(self, other: Any) -> Self:
        return matmul(self.joined(other), self)

    def __imatmul__(self, other: Any) -> Self:
        return replaced(self, self.__matmul__(other), "@=")

    def __and__(self, other: Any) -> Self:
        return self.elementwise("bitwise_and", other)

    def __rand__(self, other: Any) -> Self:
        return self.like(apply("bitwise_and", other, self))

    def __iand__(self, other: Any) -> Self:
        return replaced(self, self.__and__(other), "&=")

    def __or__(self, other: Any) -> Self:
        return self.elementwise("bitwise_or", other)

    def __ror__(self, other: Any) -> Self:
        return self.like(apply("bitwise_or", other, self))

    def __ior__(self, other: Any) -> Self:
        return replaced(self, self.__or__(other), "|=")

    def __xor__(self, other: Any) -> Self:
        return self.elementwise("bitwise_xor", other)

    def __rxor__(self, other: Any) -> Self:
        return self.like(apply("bitwise_xor", other, self))

    def __ixor__(self, other: Any) -> Self:
        return replaced(self, self.__xor__(other), "^=")

    def __lshift__(self, other: Any) -> Self:
        return self.elementwise("bitwise_left_shift", other)

    def __rlshift__(self, other: Any) -> Self:
        return self.like(apply("bitwise_left_shift", other, self))

    def __ilshift__(self, other: Any) -> Self:
        return replaced(self, self.__lshift__(other), "<<=")

    def __rshift__(self, other: Any) -> Self:
        return self.elementwise("bitwise_right_shift", other)

    def __rrshift__(self, other: Any) -> Self:
        return self.like(apply("bitwise_right_shift", other, self))

    def __irshift__(self, other: Any) -> Self:
        return replaced(self, self.__rshift__(other), ">>=")

    __hash__ = object.__hash__

    def __lt__(self, other: Any) -> Self:
        return self.elementwise("less", other)

    def __le__(self, other: Any) -> Self:
        return self.elementwise("less_equal", other)

    def __gt__(self, other: Any) -> Self:
        return self.elementwise("greater", other)

    def __ge__(self, other: Any) -> Self:
        return self.elementwise("greater_equal", other)

    def __eq__(self, other: Any) -> Self:  # type: ignore[override]
        return self.elementwise("equal", other)

    def __ne__(self, other: Any) -> Self:  # type: ignore[override]
        return self.elementwise("not_equal", other)

    def __neg__(self) -> Self:
        return self.elementwise("neg")

    def __abs__(self) -> Self:
        return self.elementwise("abs")

    def __invert__(self) -> Self:
        return self.elementwise("bitwise_invert")

    def __pos__(self) -> Self:
        return self.copy()
