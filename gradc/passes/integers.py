"""Simplification of integers and truth values, where algebra is exact.

Enters: nodes about to be added. Leaves: what stands in their place. Always holds: what is known in
advance does not reach the C, where a compiler would warn of it (`x < 0` for an unsigned `x`, a
division by a zero that it can see).
"""

from __future__ import annotations

import numpy as np

from ..dtypes import BOOL, is_float, is_unsigned, item_bytes, limits
from ..ops import OPS
from .rules import Args, Attrs, Simplifier, rule

DIVISIONS = ("floor_divide", "remainder")


@rule(*(name for name, row in OPS.items() if row.of_equal is not None))
def compared_with_itself(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """Known in advance, but that NaN is not equal to itself."""
    a, b = (s.node(x) for x in args)
    if a is not b or (is_float(a.dtype) and op not in ("less", "greater")):
        return None
    return s.filled(bool(OPS[op].of_equal), a.shape, BOOL)


@rule("maximum", "minimum", "logical_and", "logical_or", "bitwise_and", "bitwise_or")
def same_operands(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    return args[0] if args[0] == args[1] else None


@rule("sub", "bitwise_xor")
def taken_from_itself(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """Nothing is left of an integer; but infinity less infinity is NaN."""
    a = s.node(args[0])
    return s.filled(0, a.shape, a.dtype) if args[0] == args[1] and not is_float(a.dtype) else None


@rule("less", "less_equal", "greater", "greater_equal")
def compared_with_limit(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """No integer is less than its dtype's least, or greater than its greatest."""
    a = s.node(args[0])
    if is_float(a.dtype):
        return None
    least, greatest = limits(a.dtype)
    low, high = (s.scalar(x) for x in args)
    if op in ("greater", "less_equal"):
        low, high = high, low  # now asks `low < high`, or whether that is not so
    if low == greatest or high == least:
        return s.filled(op in ("greater_equal", "less_equal"), a.shape, BOOL)
    return None


@rule("maximum", "minimum")
def limited_by_limit(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """The least or greatest value of an integer dtype wins always, or never."""
    a, b = args
    if is_float(s.node(a).dtype):
        return None
    least, greatest = limits(s.node(a).dtype)
    winner, loser = (greatest, least) if op == "maximum" else (least, greatest)
    if s.scalar(a) == winner or s.scalar(b) == loser:
        return a
    return b if s.scalar(b) == winner or s.scalar(a) == loser else None


@rule("floor_divide", "remainder")
def by_zero_or_itself(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """An integer divided by 0 is 0, and 0 remains."""
    a = s.node(args[0])
    if is_float(a.dtype) or not (s.scalar(args[1]) == 0 or args[0] == args[1]):
        return None
    zero = s.filled(0, a.shape, a.dtype)
    if op == "remainder" or args[0] != args[1]:
        return zero
    return s.make("cast", (s.make("not_equal", (a.id, zero), {}),), {"dtype": a.dtype})


@rule("to_integer")
def back_from_float(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """Integers that were real numbers for a while, all of them exact and in range, never were."""
    real = s.node(args[0])
    whole = s.node(real.args[0]) if real.op == "cast" else real
    if is_float(whole.dtype):
        return None
    (least, greatest), (lower, upper) = limits(whole.dtype), limits(attrs["dtype"])
    exact = 2 ** (np.finfo(real.dtype).nmant + 1)
    if least < max(lower, -exact) or greatest > min(upper, exact):
        return None
    return s.make("cast", (whole.id,), attrs)


@rule("bitwise_left_shift", "bitwise_right_shift")
def shifted_out(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """A shift by the width or more leaves 0, or the sign."""
    a, count = s.node(args[0]), s.scalar(args[1])
    width = 8 * item_bytes(a.dtype)
    if count is None or 0 <= count < width:
        return None
    if op == "bitwise_left_shift" or is_unsigned(a.dtype):
        return s.filled(0, a.shape, a.dtype)
    return s.make(op, (a.id, s.filled(width - 1, a.shape, a.dtype)), attrs)


@rule("mul", "bitwise_and", "floor_divide", "remainder")
def of_zero(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """Zero times, and, or divided by anything is zero; in floats it may be NaN or -0."""
    a = s.node(args[0])
    zeros = [x for x in args if s.scalar(x) == 0]
    if is_float(a.dtype) or not zeros or (op in DIVISIONS and zeros[0] != args[0]):
        return None
    return zeros[0]


@rule("add", "sub", "bitwise_or", "bitwise_xor")
def with_zero(s: Simplifier, op: str, args: Args, attrs: Attrs) -> int | None:
    """Nothing is added."""
    a, b = args
    if is_float(s.node(a).dtype):
        return None
    if s.scalar(b) == 0:
        return a
    return b if op != "sub" and s.scalar(a) == 0 else None
