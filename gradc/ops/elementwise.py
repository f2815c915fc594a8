"""The elementwise ops: output element i is computed from the inputs' elements i.

Enters: nothing. Leaves: rows in the op table. Always holds: the C expression means what the NumPy
reference means, NaN and integer wraparound included; operands in it are plain names, so they may be
repeated; a derivative that can be had from the output `y` is, so that the input need not be kept.

A row is all there is to an op. Registering it makes a method of every traced value, a function
`gd.<name>`, and, where the reference is a NumPy ufunc, a traced form of that ufunc.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..dtypes import F32, F64, I32, DType, limits
from ..errors import DataError, fail
from .notation import Level, infix, prefix, unwritten
from .rules import (
    ANY,
    INTEGERS,
    NUMBERS,
    SPECIAL,
    binary,
    bools,
    both,
    cast_rule,
    elementwise_rule,
    floats,
    integers,
    no_gradient,
    to_integer_rule,
    unary,
    where_rule,
)
from .table import Kind, Sample, op

MATH = ("gradc_math.h",)
LIBM_H = ("math.h",)
TRANSCENDENTAL = 12.0  # flops of a polynomial approximation, as the fusion model counts them
LIBM = 40.0  # a call that does not vectorise

# fmt: off
# arithmetic on one operand

op("neg", unary(NUMBERS), reference=np.negative, vjp=lambda g, y, a: (-g,),
   c="-{0}", level=Level.SIGN, c_int="0 - {0}", wraps=True, notation=prefix("-"),
   noun="negated", samples=both(floats(-2, 2), integers()))
op("abs", unary(NUMBERS), reference=np.absolute, vjp=lambda g, y, a: (g * a.sign(),),
   c="fabs{f}({0})", headers=LIBM_H,
   c_int="({0} > 0) ? {0} : ({t})(0ull - (unsigned long long){0})",
   noun="magnitude", samples=both(floats(0.3, 2), floats(-2, -0.3), integers()))
op("sign", unary(NUMBERS), reference=np.sign, vjp=no_gradient,
   c="({0} > 0) ? 1.0{f} : ({0} < 0) ? -1.0{f} : ({0} == 0) ? 0.0{f} : {0}", level=Level.CHOICE,
   c_int="({0} > 0) ? 1 : ({0} == 0) ? 0 : -1", cost=3,
   samples=both(floats(0.3, 2), floats(-2, -0.3), integers()), doc="-1, 0 or 1, NaN of NaN")
op("square", unary(NUMBERS), reference=np.square, vjp=lambda g, y, a: (g * (2 * a),),
   c="{0} * {0}", level=Level.PRODUCT, wraps=True, samples=both(floats(-2, 2), integers()))
op("reciprocal", unary(), reference=np.reciprocal, vjp=lambda g, y, a: (-g * y * y,),
   c="1.0{f} / {0}", level=Level.CHOICE, cost=4, noun="inverse", samples=floats(0.5, 2),
   doc="`1 / x`")
op("sqrt", unary(), reference=np.sqrt, vjp=lambda g, y, a: (g * 0.5 / y,),
   c="sqrt{f}({0})", headers=LIBM_H, cost=6, noun="root", samples=floats(0.5, 4))

# exponentials and logarithms

op("exp", unary(), reference=np.exp, vjp=lambda g, y, a: (g * y,),
   c="gradc_exp{f}({0})", headers=MATH, cost=TRANSCENDENTAL, noun="e", samples=floats(-3, 3))
op("expm1", unary(), reference=np.expm1, vjp=lambda g, y, a: (g * (y + 1),),
   c="expm1{f}({0})", headers=LIBM_H, cost=LIBM, samples=floats(-2, 2),
   doc="`exp(x) - 1`, exact near 0")
op("log", unary(), reference=np.log, vjp=lambda g, y, a: (g / a,),
   c="gradc_log{f}({0})", headers=MATH, cost=TRANSCENDENTAL, samples=floats(0.3, 4))
op("log1p", unary(), reference=np.log1p, vjp=lambda g, y, a: (g / (1 + a),),
   c="log1p{f}({0})", headers=LIBM_H, cost=LIBM, samples=floats(-0.5, 3),
   doc="`log(1 + x)`, exact near 0")

op("exp2", unary(), reference=np.exp2, vjp=lambda g, y, a: (g * y * math.log(2),),
   c="exp2{f}({0})", headers=LIBM_H, cost=LIBM, samples=floats(-2, 2), doc="`2 ** x`")
op("log2", unary(), reference=np.log2, vjp=lambda g, y, a: (g / (a * math.log(2)),),
   c="log2{f}({0})", headers=LIBM_H, cost=LIBM, samples=floats(0.3, 4))
op("log10", unary(), reference=np.log10, vjp=lambda g, y, a: (g / (a * math.log(10)),),
   c="log10{f}({0})", headers=LIBM_H, cost=LIBM, samples=floats(0.3, 4))

# circular and hyperbolic functions

op("sin", unary(), reference=np.sin, vjp=lambda g, y, a: (g * a.cos(),),
   c="gradc_sin{f}({0})", headers=MATH, cost=TRANSCENDENTAL, samples=floats(-3, 3))
op("cos", unary(), reference=np.cos, vjp=lambda g, y, a: (-g * a.sin(),),
   c="gradc_cos{f}({0})", headers=MATH, cost=TRANSCENDENTAL, samples=floats(-3, 3))
op("tan", unary(), reference=np.tan, vjp=lambda g, y, a: (g * (1 + y * y),),
   c="tan{f}({0})", headers=LIBM_H, cost=LIBM, samples=floats(-1, 1))
op("asin", unary(), reference=np.arcsin, vjp=lambda g, y, a: (g / (1 - a * a).sqrt(),),
   c="asin{f}({0})", headers=LIBM_H, cost=LIBM, samples=floats(-0.8, 0.8))
op("acos", unary(), reference=np.arccos, vjp=lambda g, y, a: (-g / (1 - a * a).sqrt(),),
   c="acos{f}({0})", headers=LIBM_H, cost=LIBM, samples=floats(-0.8, 0.8))
op("atan", unary(), reference=np.arctan, vjp=lambda g, y, a: (g / (1 + a * a),),
   c="atan{f}({0})", headers=LIBM_H, cost=LIBM, samples=floats(-2, 2))
op("sinh", unary(), reference=np.sinh, vjp=lambda g, y, a: (g * a.cosh(),),
   c="sinh{f}({0})", headers=LIBM_H, cost=LIBM, samples=floats(-2, 2))
op("cosh", unary(), reference=np.cosh, vjp=lambda g, y, a: (g * a.sinh(),),
   c="cosh{f}({0})", headers=LIBM_H, cost=LIBM, samples=floats(-2, 2))
op("tanh", unary(), reference=np.tanh, vjp=lambda g, y, a: (g * (1 - y * y),),
   c="gradc_tanh{f}({0})", headers=MATH, cost=TRANSCENDENTAL, samples=floats(-2, 2))
op("asinh", unary(), reference=np.arcsinh, vjp=lambda g, y, a: (g / (a * a + 1).sqrt(),),
   c="asinh{f}({0})", headers=LIBM_H, cost=LIBM, samples=floats(-2, 2))
op("acosh", unary(), reference=np.arccosh, vjp=lambda g, y, a: (g / (a * a - 1).sqrt(),),
   c="acosh{f}({0})", headers=LIBM_H, cost=LIBM, samples=floats(1.5, 4))
op("atanh", unary(), reference=np.arctanh, vjp=lambda g, y, a: (g / (1 - a * a),),
   c="atanh{f}({0})", headers=LIBM_H, cost=LIBM, samples=floats(-0.8, 0.8))
# fmt: on


# activations, written as one op where the derivative follows from the output


def _sigmoid(x: Any) -> Any:
    with np.errstate(over="ignore"):  # exp(-x) = inf is right: the quotient is 0
        return 1 / (1 + np.exp(-x))


def _relu(x: Any) -> Any:
    return np.maximum(x, 0)


def _erf(x: Any) -> Any:
    exact = np.vectorize(math.erf, otypes=[np.float64])(x)
    return exact.astype(np.result_type(x))


# fmt: off
op("sigmoid", unary(), reference=_sigmoid, vjp=lambda g, y, a: (g * (y * (1 - y)),),
   c="gradc_sigmoid{f}({0})", headers=MATH, cost=TRANSCENDENTAL, samples=floats(-3, 3),
   doc="`1 / (1 + exp(-x))`")
op("relu", unary(NUMBERS), reference=_relu, vjp=lambda g, y, a: ((y <= 0).where(0, g),),
   c="({0} < 0) ? 0.0{f} : {0}", level=Level.CHOICE, c_int="({0} > 0) ? {0} : 0",
   samples=both(floats(0.3, 2), floats(-2, -0.3), integers()),
   doc="the greater of `x` and 0; NaN stays NaN")
op("erf", unary(), reference=_erf,
   vjp=lambda g, y, a: (g * ((-(a * a)).exp() * (2 / math.sqrt(math.pi))),),
   c="gradc_erf{f}({0})", headers=MATH, cost=TRANSCENDENTAL, samples=floats(-2, 2),
   doc="`2 / sqrt(pi)` times the integral of `exp(-t ** 2)` from 0 to `x`")

# rounding: the derivative is zero wherever it exists

op("floor", unary(), reference=np.floor, vjp=no_gradient,
   c="floor{f}({0})", headers=LIBM_H, noun="rounded_down", samples=floats(0.2, 0.8),
   doc="the greatest integer not above it")
op("ceil", unary(), reference=np.ceil, vjp=no_gradient,
   c="ceil{f}({0})", headers=LIBM_H, noun="rounded_up", samples=floats(0.2, 0.8),
   doc="the least integer not below it")
op("round", unary(), reference=np.rint, vjp=no_gradient,
   c="rint{f}({0})", headers=LIBM_H, noun="rounded", samples=floats(0.6, 0.9),
   doc="to the nearest integer, halves to the even one")
op("trunc", unary(), reference=np.trunc, vjp=no_gradient,
   c="trunc{f}({0})", headers=LIBM_H, noun="whole", samples=floats(0.2, 0.8),
   doc="the integer part")

# fmt: on


# arithmetic on two operands


def _base_of_slope(a: Any, b: Any) -> Any:
    """The base in `b * a ** (b - 1)`: of the constant `a ** 0` the slope is 0, even at 0 and NaN.

    It stays `a` wherever that is possible, so that the slope's own derivatives are right.
    """
    return (b == 0).where((a.abs() > 0).where(a, 1), a)


def _base_of_log(a: Any, b: Any) -> Any:
    """The base in `a ** b * log(a)`, which is 0 for `a = 0` unless `b` is negative."""
    return (b >= 0).where((a == 0).where(1, a), a)


def _atan2_vjp(g: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Zero at the origin, where no direction is the gradient's."""
    square = a * a + b * b
    weight = (square == 0).where(0, g / (square == 0).where(1, square))
    return weight * b, -weight * a


def _share(g: Any, loses: Any, ties: Any) -> Any:
    """The cotangent of one side of `maximum`: none, half of it at a tie, or all. NaN gets all."""
    return loses.where(0, ties.where(g * 0.5, g))


def operator(symbol: str, level: Level) -> dict[str, Any]:
    """The fields of a row that C and formulas write between its operands."""
    return {"c": f"{{0}} {symbol} {{1}}", "level": level, "notation": infix(symbol, level)}


# fmt: off
op("add", binary(NUMBERS), reference=np.add, vjp=lambda g, y, a, b: (g, g),
   **operator("+", Level.SUM), wraps=True, unnamed=True,
   noun="sum", samples=both(floats(-2, 2, 2), integers(2)))
op("sub", binary(NUMBERS), reference=np.subtract, vjp=lambda g, y, a, b: (g, -g),
   **operator("-", Level.SUM), wraps=True, unnamed=True,
   noun="difference", read_by={"square": "error"},
   samples=both(floats(-2, 2, 2), integers(2)))
op("mul", binary(NUMBERS), reference=np.multiply, vjp=lambda g, y, a, b: (g * b, g * a),
   **operator("*", Level.PRODUCT), wraps=True, unnamed=True,
   noun="product", samples=both(floats(-2, 2, 2), integers(2)))
op("div", binary(), reference=np.divide, vjp=lambda g, y, a, b: (g / b, -g * y / b),
   **operator("/", Level.PRODUCT), cost=4, unnamed=True,
   noun="ratio", samples=floats(0.5, 2, 2))
op("pow", binary(), reference=np.power,
   vjp=lambda g, y, a, b: (g * (b * _base_of_slope(a, b) ** (b - 1)),
                           g * (y * _base_of_log(a, b).log())),
   c="pow{f}({0}, {1})", headers=LIBM_H, cost=LIBM, noun="power", samples=floats(0.5, 2, 2),
   doc="`a ** b`")
op("atan2", binary(), reference=np.arctan2, vjp=lambda g, y, a, b: _atan2_vjp(g, a, b),
   c="atan2{f}({0}, {1})", headers=LIBM_H, cost=LIBM, noun="angle", samples=floats(0.5, 2, 2),
   doc="the angle of the point (`b`, `a`), from -pi to pi")
op("hypot", binary(), reference=np.hypot, vjp=lambda g, y, a, b: (g * (a / y), g * (b / y)),
   c="hypot{f}({0}, {1})", headers=LIBM_H, cost=LIBM, samples=floats(0.5, 2, 2),
   doc="`sqrt(a ** 2 + b ** 2)` without overflow")
op("logaddexp", binary(), reference=np.logaddexp,
   vjp=lambda g, y, a, b: (g * (a - b).sigmoid(), g * (b - a).sigmoid()),
   c="gradc_logaddexp{f}({0}, {1})", headers=MATH, cost=2 * TRANSCENDENTAL,
   samples=floats(0.5, 2, 2), doc="`log(exp(a) + exp(b))` without overflow")
op("maximum", binary(NUMBERS), reference=np.maximum,
   vjp=lambda g, y, a, b: (_share(g, a < b, a == b), _share(g, b < a, a == b)),
   c="({0} > {1} || {0} != {0}) ? {0} : {1}", level=Level.CHOICE, c_int="({0} > {1}) ? {0} : {1}",
   noun="larger", samples=both(floats(-2, 2, 2), integers(2)), doc="NaN if either operand is")
op("minimum", binary(NUMBERS), reference=np.minimum,
   vjp=lambda g, y, a, b: (_share(g, a > b, a == b), _share(g, b > a, a == b)),
   c="({0} < {1} || {0} != {0}) ? {0} : {1}", level=Level.CHOICE, c_int="({0} < {1}) ? {0} : {1}",
   noun="smaller", samples=both(floats(-2, 2, 2), integers(2)), doc="NaN if either operand is")
# A value at a bound is its own; where the bounds have changed places, the upper one wins.
op("clip", (Kind.ELEMENTWISE, elementwise_rule("f", 3)),
   reference=lambda x, low, high: np.minimum(np.maximum(x, low), high),
   vjp=lambda g, y, x, low, high: (
       ((x >= low) & (x <= high)).where(g, 0), ((x < low) & (low <= high)).where(g, 0),
       ((x > high) | (low > high)).where(g, 0)),
   c="gradc_clip{f}({0}, {1}, {2})", headers=MATH, cost=2, noun="clipped", samples=floats(-2, 2, 3),
   doc="the elements moved into [low, high]; NaN if one of the three is")

# Division that rounds down. An integer over 0 is 0, as in NumPy; the least integer over -1 wraps.
op("floor_divide", binary(NUMBERS), reference=np.floor_divide, vjp=no_gradient,
   c="gradc_floor_divide{f}({0}, {1})", headers=MATH,
   c_int="({1} == 0) ? 0 : ({1} == -1) ? ({t})(0ull - (unsigned long long){0})"
         " : {0} / {1} - ({0} % {1} != 0 && ({0} < 0) != ({1} < 0))",
   c_uint="({1} == 0) ? 0 : {0} / {1}", cost=LIBM,
   noun="quotient", samples=both(floats(2.1, 2.9, 2), integers(2)),
   doc="`a / b` rounded down; an integer over 0 is 0")
op("remainder", binary(NUMBERS), reference=np.remainder,
   vjp=lambda g, y, a, b: (g, -g * a.floor_divide(b)),
   c="gradc_remainder{f}({0}, {1})", headers=MATH,
   c_int="({1} == 0 || {1} == -1) ? 0"
         " : {0} % {1} + (({0} % {1} != 0 && ({0} < 0) != ({1} < 0)) ? {1} : 0)",
   c_uint="({1} == 0) ? 0 : {0} % {1}", cost=LIBM,
   noun="rest", samples=both(floats(2.1, 2.9, 2), integers(2)),
   doc="`a - b * floor(a / b)`, of the sign of `b`")

# comparisons and logic: bools come out, so no gradient passes

op("less", binary(ANY, result_bool=True), of_equal=False, reference=np.less,
   **operator("<", Level.ORDER),
   noun="is_less", samples=both(floats(-2, 2, 2, order=0), integers(2), bools(2)))
op("less_equal", binary(ANY, result_bool=True), of_equal=True, reference=np.less_equal,
   **operator("<=", Level.ORDER),
   noun="is_at_most", samples=both(floats(-2, 2, 2, order=0), integers(2), bools(2)))
op("greater", binary(ANY, result_bool=True), of_equal=False, reference=np.greater,
   **operator(">", Level.ORDER),
   noun="is_greater", samples=both(floats(-2, 2, 2, order=0), integers(2), bools(2)))
op("greater_equal", binary(ANY, result_bool=True), of_equal=True, reference=np.greater_equal,
   **operator(">=", Level.ORDER),
   noun="is_at_least", samples=both(floats(-2, 2, 2, order=0), integers(2), bools(2)))
op("equal", binary(ANY, result_bool=True), of_equal=True, reference=np.equal,
   **operator("==", Level.EQUALITY),
   noun="is_equal", samples=both(floats(-2, 2, 2, order=0), integers(2), bools(2)))
op("not_equal", binary(ANY, result_bool=True), of_equal=False, reference=np.not_equal,
   **operator("!=", Level.EQUALITY),
   noun="differs", samples=both(floats(-2, 2, 2, order=0), integers(2), bools(2)))
op("logical_and", binary("b"), reference=np.logical_and, c="{0} && {1}", level=Level.AND,
   noun="both",
   samples=bools(2),
   doc="`a and b`")
op("logical_or", binary("b"), reference=np.logical_or, c="{0} || {1}", level=Level.OR,
   noun="either",
   samples=bools(2),
   doc="`a or b`")
op("logical_xor", binary("b"), of_equal=False, reference=np.logical_xor, c="{0} != {1}",
   level=Level.EQUALITY,
   noun="one_of_both",
   samples=bools(2),
   doc="whether just one of them holds")
op("logical_not", unary("b"), reference=np.logical_not, c="!{0}", level=Level.NOT, noun="is_not",
   samples=bools(1),
   doc="`not x`")
op("isnan", unary(result_bool=True), reference=np.isnan, c="{0} != {0}", level=Level.EQUALITY,
   noun="is_nan", samples=floats(-2, 2, order=0), doc="whether it is NaN")
op("isinf", unary(result_bool=True), reference=np.isinf, c="isinf({0}) != 0", level=Level.CHOICE,
   headers=LIBM_H,
   noun="is_infinite", samples=floats(-2, 2, order=0), doc="whether it is infinite")
op("isfinite", unary(result_bool=True), reference=np.isfinite, c="isfinite({0}) != 0",
   level=Level.CHOICE,
   headers=LIBM_H, noun="is_finite", samples=floats(-2, 2, order=0),
   doc="whether it is neither infinite nor NaN")

# bits. A shift by more than the width is 0 (-1 for a negative number shifted right), as in NumPy.

op("bitwise_and", binary("iub"), reference=np.bitwise_and, c="{0} & {1}", level=Level.CHOICE,
   noun="common_bits", samples=both(integers(2), bools(2)))
op("bitwise_or", binary("iub"), reference=np.bitwise_or, c="{0} | {1}", level=Level.CHOICE,
   noun="joined_bits", samples=both(integers(2), bools(2)))
op("bitwise_xor", binary("iub"), reference=np.bitwise_xor, c="{0} ^ {1}", level=Level.CHOICE,
   noun="other_bits", samples=both(integers(2), bools(2)))
op("bitwise_invert", unary("iub"), reference=np.invert, c="!{0}", level=Level.CHOICE, c_int="~{0}",
   noun="inverted_bits", samples=both(integers(), bools(1)), doc="`~x`")
op("bitwise_left_shift", binary("iu"), reference=np.left_shift,
   c="((unsigned long long){1} < 8 * sizeof({t})) ? (unsigned long long){0} << {1} : 0",
   level=Level.CHOICE,
   noun="shifted", samples=integers(2), doc="`a << b`; 0 beyond the width")
op("bitwise_right_shift", binary("iu"), reference=np.right_shift,
   c="((unsigned long long){1} < 8 * sizeof({t})) ? {0} >> {1} : {0} >> (8 * sizeof({t}) - 1) >> 1",
   level=Level.CHOICE,
   noun="shifted", samples=integers(2), doc="`a >> b`; 0 or -1 beyond the width")
# fmt: on


# selection, conversion and the identities


def _where_samples() -> Iterator[Sample]:
    rng = np.random.default_rng(0)
    condition = rng.uniform(size=(3, 5)) < 0.5
    for dtype, order in ((F64, 2), (F32, 0), (I32, 0)):
        a, b = (rng.uniform(-9, 9, (3, 5)).astype(dtype) for _ in range(2))
        yield Sample((condition, a, b), {}, order)


def _cast_samples() -> Iterator[Sample]:
    x = np.linspace(-3.7, 3.7, 10)
    yield Sample((x,), {"dtype": F64}, 2)
    for source, target in ((F64, F32), (F32, F64), (I32, F32), (I32, np.dtype("int8"))):
        yield Sample((x.astype(source),), {"dtype": target}, 0)
    yield Sample((x > 0,), {"dtype": F32}, 0)


def _to_integer(x: Any, dtype: DType) -> Any:
    """The integer part; what lies out of range is the nearest integer in it, and NaN is 0."""
    array = np.asarray(x)
    least, greatest = limits(dtype)
    above, beneath = array >= float(greatest + 1), array <= float(least)
    part = np.where(above | beneath | np.isnan(array), 0, array).astype(dtype)
    return np.where(above, dtype.type(greatest), np.where(beneath, dtype.type(least), part))


def _to_integer_samples() -> Iterator[Sample]:
    powers = [2.0**n for n in (7, 8, 15, 16, 31, 32, 53, 63, 64)]
    exact = np.array([*SPECIAL, 127.5, 255.5, -128.5, -0.5, *powers, *(-p for p in powers)])
    for source in (F64, F32):
        x = exact.astype(source)
        x = np.concatenate([x, np.nextafter(x, source.type(0)), np.nextafter(x, 2 * x)])
        for target in INTEGERS:
            yield Sample((x,), {"dtype": np.dtype(target)}, 0)


def _bounded(x: Any, *, lower: int, upper: int) -> Any:
    array = np.asarray(x)
    outside = (array < lower) | (array >= upper)
    if outside.any():
        first = tuple(int(i) for i in np.argwhere(outside)[0])
        raise fail(
            DataError,
            "GC401",
            f"element {list(first)} is {array[first]}, not in the range {lower} to {upper - 1}",
        )
    return x


def _bounded_samples() -> Iterator[Sample]:
    yield Sample((np.array([0, 2, 1, 9], np.int32),), {"lower": 0, "upper": 10}, 0)


# fmt: off
op("where", (Kind.ELEMENTWISE, where_rule), reference=np.where,
   vjp=lambda g, y, c, a, b: (None, c.where(g, 0), c.where(0, g)),
   c="{0} ? {1} : {2}", level=Level.CHOICE, conditions=1, unnamed=True, noun="chosen",
   samples=_where_samples)
op("cast", (Kind.ELEMENTWISE, cast_rule), reference=lambda x, dtype: np.asarray(x).astype(dtype),
   vjp=lambda g, y, a, dtype: (g.astype(a.dtype),), c="({t}){0}", level=Level.SIGN, converts=True,
   notation=unwritten, unnamed=True, noun="converted", samples=_cast_samples,
   internal=True, doc="the elements converted to `dtype`")
op("to_integer", (Kind.ELEMENTWISE, to_integer_rule), reference=_to_integer,
   vjp=lambda g, y, a, dtype: (None,), c="gradc_to_{n}{f}({0})", headers=("gradc_convert.h",),
   cost=4, converts=True, notation=unwritten, unnamed=True, noun="whole",
   samples=_to_integer_samples,
   internal=True,
   doc="the integer part; what is out of range becomes the nearest in it, and NaN 0")
op("stop_gradient", unary(ANY), reference=np.array, vjp=no_gradient, c="{0}", cost=0,
   marker=True, notation=unwritten, unnamed=True,
   samples=floats(-2, 2, order=0), doc="the same values, seen as constant by differentiation")
op("identity", unary(ANY), reference=np.array, vjp=lambda g, y, a: (g,), c="{0}", cost=0,
   marker=True, notation=unwritten, unnamed=True, samples=floats(-2, 2),
   internal=True, doc="marks the point with respect to which a gradient is taken")
op("bounded", (Kind.ELEMENTWISE, elementwise_rule("iu", 1)), reference=_bounded, c="{0}", cost=0,
   marker=True, requires=lambda attrs: (attrs["lower"], attrs["upper"]),
   unnamed=True, samples=_bounded_samples, internal=True,
   doc="integers that must satisfy lower <= x < upper")
# fmt: on
