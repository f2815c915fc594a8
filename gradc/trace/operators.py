"""Operators and methods that are ops: `a + b`, `a += b`, `a @ b`, `a.tanh()`.

Enters: the op table. Leaves: methods of `Value`, and what each NumPy ufunc becomes. Always holds:
every elementwise row of the table is a method of its own name, and the traced form of its reference
if that is a ufunc; nothing else need be written for a new row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial, partialmethod
from typing import Any

import numpy as np

from ..dtypes import is_float, is_weak
from ..errors import DTypeError, ShapeError, UnsupportedError, user_errors
from ..ops import OPS, Kind
from .context import error
from .methods import matmul
from .operands import apply, broadcast_to, constant, lifted, promoted
from .value import NUMPY_UFUNCS, Value


def power(base: Any, exponent: Any) -> Value:
    """`base ** exponent`; a small whole exponent is a few multiplications."""
    if isinstance(base, Value) and isinstance(exponent, np.generic):
        base = promoted(base.owner, (base, exponent))[0]  # NumPy's scalars have a dtype
        exponent = exponent.item()
    if not isinstance(base, Value) or not is_weak(exponent):
        return apply("pow", base, exponent)
    n = float(exponent)
    if abs(n) <= 64 and n == int(n) and (n >= 0 or is_float(base.dtype)):
        return _whole_power(base if n >= 0 else base.reciprocal(), abs(int(n)))
    root = n == 0.5 and is_float(base.dtype)
    return apply("sqrt", base) if root else apply("pow", base, exponent)


def _whole_power(base: Value, n: int) -> Value:
    """By repeated squaring, from the lowest binary digit of `n` up."""
    if n == 0:
        return broadcast_to(Value(base.owner, constant(base.owner, 1, base.dtype)), base.shape)
    result = None
    while n:
        if n & 1:
            result = base if result is None else result * base
        n >>= 1
        if n:
            base = base.square()
    assert result is not None
    return result.copy()


def contract(self: Value, other: Value, contract: Any, batch: Any) -> Value:
    """The op `dot`, after promotion."""
    a, b = promoted(self.owner, (self, other))
    attrs = {"contract": contract, "batch": batch}
    return Value(self.owner, self.owner.add("dot", (a.node_id, b.node_id), attrs))


@user_errors
def dot(self: Value, other: Any, contract: Any = None, batch: Any = ((), ())) -> Value:
    """`numpy.dot`; with `contract` (and `batch`), the op of that name."""
    right = lifted(self.owner, other, [self])
    if contract is not None:
        return self.contract(right, contract, batch)  # type: ignore[no-any-return]
    if self.ndim == 0 or right.ndim == 0:
        return self * right
    if right.ndim <= 2:
        return matmul(self, right)
    return self.contract(  # type: ignore[no-any-return]
        right, ((self.ndim - 1,), (right.ndim - 2,)), ((), ())
    )


def concat(self: Value, *others: Any, axis: int) -> Value:
    values = promoted(self.owner, (self, *others))
    ids = [v.node_id for v in values]
    return Value(self.owner, self.owner.add("concat", ids, {"axis": axis}))


@user_errors
def clip(self: Value, low: Any = None, high: Any = None) -> Value:
    """The values moved into [low, high]; their gradient is 1 there, bounds included."""
    if is_float(self.dtype):
        low = -math.inf if low is None else low
        return apply("clip", self, low, math.inf if high is None else high)
    result = self if low is None else self.maximum(low)
    result = result if high is None else result.minimum(high)
    return result.copy()


def _matmul(a: Any, b: Any) -> Value:
    values = [v for v in (a, b) if isinstance(v, Value)]
    owner = values[0].owner
    return matmul(lifted(owner, a, values), lifted(owner, b, values))


def _in_place(operator: Callable[[Any, Any], Value], symbol: str) -> Callable[[Value, Any], Value]:
    """`a += b`: the value becomes its successor, so that every plain alias sees the change."""

    def method(self: Value, other: Any) -> Value:
        result = operator(self, other)
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

    return method


def _row(name: str) -> Callable[[Any, Any], Value]:
    return lambda a, b: apply(name, a, b)


OPERATORS: dict[str, tuple[Callable[..., Value], str]] = {
    "add": (_row("add"), "+="),
    "sub": (_row("sub"), "-="),
    "mul": (_row("mul"), "*="),
    "truediv": (_row("div"), "/="),
    "floordiv": (_row("floor_divide"), "//="),
    "mod": (_row("remainder"), "%="),
    "pow": (power, "**="),
    "matmul": (_matmul, "@="),
    "and": (_row("bitwise_and"), "&="),
    "or": (_row("bitwise_or"), "|="),
    "xor": (_row("bitwise_xor"), "^="),
    "lshift": (_row("bitwise_left_shift"), "<<="),
    "rshift": (_row("bitwise_right_shift"), ">>="),
}
COMPARISONS = {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "eq": "equal",
    "ne": "not_equal",
}
UNARY = {"neg": "neg", "abs": "abs", "invert": "bitwise_invert"}


def _install() -> None:
    """Give `Value` its operators, and a method for every row of the op table."""
    methods: dict[str, Any] = {"contract": contract, "dot": dot, "concat": concat, "clip": clip}
    methods |= {"broadcast_to": broadcast_to, "__pos__": Value.copy, "__hash__": object.__hash__}
    for name, (operator, symbol) in OPERATORS.items():
        methods[f"__{name}__"] = operator
        methods[f"__r{name}__"] = lambda self, other, _f=operator: _f(other, self)
        methods[f"__i{name}__"] = _in_place(operator, symbol)
    for dunder, row in (COMPARISONS | UNARY).items():
        methods[f"__{dunder}__"] = partialmethod(_apply_method, row)
    for name, op in OPS.items():
        if hasattr(Value, name) or name in methods:
            continue  # `sum`, `reshape`, ...: their methods take NumPy's arguments
        if op.kind is Kind.ELEMENTWISE:
            methods[name] = partialmethod(_apply_method, name)
        elif op.kind is Kind.MOVEMENT and name not in methods:
            methods[name] = partialmethod(Value.movement, name)
    for name, method in methods.items():
        setattr(Value, name, method)


def _apply_method(self: Value, row: str, *others: Any, **attrs: Any) -> Value:
    return apply(row, self, *others, **attrs)


_install()
NUMPY_UFUNCS |= {
    op.reference: partial(apply, name)
    for name, op in OPS.items()
    if op.kind is Kind.ELEMENTWISE and isinstance(op.reference, np.ufunc)
}
NUMPY_UFUNCS |= {np.power: power, np.matmul: _matmul, np.positive: Value.copy}
