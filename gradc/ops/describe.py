"""What a row of the op table says in words: its operands, their dtypes, its gradient.

Enters: an elementwise row. Leaves: text for the docstring of the row's function. Always holds:
nothing is written down twice: dtypes are asked of the row's own shape rule, and the gradient is the
row's own vjp, called with symbols instead of values.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from functools import cache

import numpy as np

from ..dtypes import BOOL, F32, I32, Spec, kind_of
from ..errors import DTypeError
from .table import Op

WIDTH = 88
OPERANDS = {1: ("x",), 2: ("a", "b")}
DTYPES = {
    "f": "float32 or float64",
    "fiu": "floating-point numbers or integers",
    "biu": "integers or bools",
    "iu": "integers",
    "b": "bools",
    "bfiu": "any dtype",
}
ONE_OF_EACH_KIND = (F32, I32, np.dtype("uint32"), BOOL)
OPERATOR = re.compile(r"-\{0\}|\{0\} (?:[-+*/&|^<>]|[<>=!]=) \{[01]\}")


class Symbol:
    """An expression that knows only how it is written; stands for a value in a vjp.

    `rank` is how tightly its outermost operator binds, as in Python: 9 is a name or a call.
    """

    __hash__ = object.__hash__

    def __init__(self, text: str, rank: int = 9) -> None:
        self.text = text
        self.rank = rank

    def __getattr__(self, method: str) -> Callable[..., Symbol]:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *others: Symbol(f"{method}({', '.join(map(text_of, (self, *others)))})")

    def __neg__(self) -> Symbol:
        return Symbol(f"-{_within(self, 7)}", 7)

    def __eq__(self, other: object) -> Symbol:  # type: ignore[override]
        return Symbol(f"{_within(self, 3)} == {_within(other, 3)}", 2)


def _infix(symbol: str, rank: int) -> tuple[Callable[..., Symbol], Callable[..., Symbol]]:
    """An operator and its mirrored form; it groups to the left."""

    def forward(self: Symbol, other: object) -> Symbol:
        return Symbol(f"{_within(self, rank)} {symbol} {_within(other, rank + 1)}", rank)

    def mirrored(self: Symbol, other: object) -> Symbol:
        return Symbol(f"{_within(other, rank)} {symbol} {_within(self, rank + 1)}", rank)

    return forward, mirrored


for _name, _symbol, _rank in (
    ("lt", "<", 2), ("le", "<=", 2), ("gt", ">", 2), ("ge", ">=", 2), ("or", "|", 3),
    ("and", "&", 4), ("add", "+", 5), ("sub", "-", 5), ("mul", "*", 6), ("truediv", "/", 6),
    ("pow", "**", 8),
):  # fmt: skip
    _forward, _mirrored = _infix(_symbol, _rank)
    setattr(Symbol, f"__{_name}__", _forward)
    setattr(Symbol, f"__r{_name}__", _mirrored)


def text_of(part: object) -> str:
    return part.text if isinstance(part, Symbol) else f"{part:.6g}"


def _within(part: object, rank: int) -> str:
    """An operand, in parentheses where it binds less tightly than `rank`."""
    text = text_of(part)
    return f"({text})" if isinstance(part, Symbol) and part.rank < rank else text


def operand_count(row: Op) -> int:
    """How many operands the row has."""
    return len(next(iter(row.samples())).args)


def operands(row: Op) -> tuple[str, ...]:
    """Names for the row's operands."""
    return OPERANDS[operand_count(row)]


def formula(row: Op) -> str:
    """The row as an expression of its operands: its C where that is an operator, else a call."""
    names = operands(row)
    if row.c and OPERATOR.fullmatch(row.c):
        return row.c.format(*names)
    return f"{row.name}({', '.join(names)})"


def dtypes(row: Op) -> tuple[str, bool]:
    """Which dtypes the row takes, in words, and whether bools come out whatever goes in."""
    count, accepted, results = len(operands(row)), set(), set()
    for dtype in ONE_OF_EACH_KIND:
        try:
            result = row.shape(row.name, [Spec((), dtype)] * count, {})
        except DTypeError:
            continue
        assert isinstance(result, Spec)  # an elementwise row makes one array
        accepted.add(kind_of(dtype))
        results.add(result.dtype)
    return DTYPES["".join(sorted(accepted))], results == {BOOL} and accepted != {"b"}


def gradients(row: Op) -> list[str]:
    """The gradient with respect to each operand, of `g`, the one of the result `y`; or why none."""
    if row.vjp is None:
        return ["none: it cannot be differentiated"]
    names = operands(row)
    parts = row.vjp(Symbol("g"), Symbol("y"), *map(Symbol, names))
    if all(part is None for part in parts):
        return ["zero wherever there is one: differentiation takes the result for a constant"]
    return [f"d_{name} = {text_of(part)}" for name, part in zip(names, parts, strict=True)]


@cache
def _filled(text: str) -> str:
    """The text in lines of `WIDTH`; most rows have theirs in common."""
    return textwrap.fill(text, WIDTH)


def docstring(row: Op) -> str:
    """All of it, for the function of a row with one operand or two."""
    takes, gives_bools = dtypes(row)
    if len(operands(row)) == 1:
        into = f"`x` is an array of {takes}, of any shape. "
        into += f"{'Bools of its shape' if gives_bools else 'Its shape and dtype'} come out."
        errors = "`DTypeError` for another dtype"
    else:
        into = f"`a` and `b` are arrays of {takes}, or Python scalars, which take the dtype of the "
        into += "other. Shapes are broadcast and dtypes promoted as the Array API says"
        into += "; bools come out." if gives_bools else "."
        errors = "`ShapeError` if the shapes do not broadcast, `DTypeError` for another dtype or "
        errors += "two that have none in common"
    return "\n".join([
        f"`{formula(row)}` of each element{': ' * bool(row.doc)}{row.doc}.",
        "",
        _filled(into),
        "",
        "Gradient, where `g` is the one of the result `y`:",
        *(f"    {line}" for line in gradients(row)),
        "",
        _filled(f"Raises {errors}."),
    ])  # fmt: skip
