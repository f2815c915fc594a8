"""How formulas write an op: `a + b`, `x.T`, `-x`; what has no notation is `op(a, b)`.

Enters: the texts of the operands, their shapes, the result's shape, the attributes. Leaves: the
text of the result, with what a reader of it must know to put it into a larger one. Always holds:
nothing is read back from a text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from ..index import Shape


class Level(IntEnum):
    """How loosely an expression holds together, in formulas and in C: the levels of precedence."""

    WHOLE = 0  # a name, a number, a call, an element
    SIGN = 1
    PRODUCT = 2
    SUM = 3
    NOT = 4  # binds as a sign does, but compilers warn of `!a == b`
    ORDER = 5
    EQUALITY = 6
    AND = 7
    OR = 8
    CHOICE = 9  # `a ? b : c`, and whatever is safe between parentheses only


_OPERANDS = {
    Level.SIGN: (Level.WHOLE, Level.WHOLE),
    Level.PRODUCT: (Level.PRODUCT, Level.WHOLE),
    Level.SUM: (Level.SUM, Level.PRODUCT),
    Level.ORDER: (Level.SUM, Level.SUM),
    Level.EQUALITY: (Level.SUM, Level.SUM),
    Level.AND: (Level.EQUALITY, Level.EQUALITY),
    Level.OR: (Level.EQUALITY, Level.EQUALITY),
}
"""What stands without parentheses on the left and on the right of an operator: the order in which
the graph computes is kept, and no reader has to know the precedence of `&&` and `||`."""


def loosest(level: Level, position: int) -> Level:
    """The loosest that the operand at a position may be without parentheses."""
    return _OPERANDS.get(level, (Level.WHOLE,) * 2)[min(position, 1)]


@dataclass(frozen=True)
class Term:
    """An expression, and how it holds together; `turned`: `.T` stands behind it."""

    text: str
    level: Level = Level.WHOLE
    turned: bool = False

    @property
    def whole(self) -> str:
        """As a formula of its own, or between commas."""
        return f"{self.text}.T" if self.turned else self.text

    @property
    def operand(self) -> str:
        """As a part that nothing tears apart."""
        return self.within(Level.WHOLE)

    def within(self, loosest: Level, *, first: bool = False) -> str:
        """As a part of a larger one: with parentheses where it is looser than `loosest`, or has a
        sign that would stand behind an operator.
        """
        signed = not first and self.text.startswith("-")
        loose = self.level > loosest or (signed and self.level is not Level.WHOLE)
        return f"({self.text})" if loose else self.whole


Notation = Callable[[Sequence[Term], Sequence[Shape], Shape, Mapping[str, Any]], Term]


def infix(symbol: str, level: Level) -> Notation:
    """`a + b`."""

    def written(terms: Sequence[Term], *_: object) -> Term:
        left = terms[0].within(loosest(level, 0), first=True)
        return Term(f"{left} {symbol} {terms[1].within(loosest(level, 1))}", level)

    return written


def prefix(symbol: str) -> Notation:
    """`-a`."""
    return lambda terms, *_: Term(f"{symbol}{terms[0].operand}", Level.SIGN)


def unwritten(
    terms: Sequence[Term], shapes: Sequence[Shape], shape: Shape, attrs: Mapping[str, Any]
) -> Term:
    """The operand as it is: what does not change the numbers is not written."""
    return terms[0]


def transposed(
    terms: Sequence[Term], shapes: Sequence[Shape], shape: Shape, attrs: Mapping[str, Any]
) -> Term:
    """`a.T`."""
    return Term(terms[0].operand, turned=True)


def sliced(
    terms: Sequence[Term], shapes: Sequence[Shape], shape: Shape, attrs: Mapping[str, Any]
) -> Term:
    """`a[2:5, ::2]`, one range an axis."""
    texts = []
    rows = zip(shapes[0], attrs["start"], attrs["step"], shape, strict=True)
    for extent, start, step, n in rows:
        stop = start + step * (n - 1) + 1
        whole = (start, stop, step) == (0, extent, 1)
        skip = f":{step}" if step != 1 else ""
        texts.append(":" if whole else str(start) if n == 1 else f"{start}:{stop}{skip}")
    return Term(f"{terms[0].operand}[{', '.join(texts)}]")


def product(
    terms: Sequence[Term], shapes: Sequence[Shape], shape: Shape, attrs: Mapping[str, Any]
) -> Term:
    """`a @ b.T`: with `.T` where the contracted axis of an operand is not the usual one."""
    factors = []
    for side, (term, own) in enumerate(zip(terms, shapes, strict=True)):
        usual = len(own) - 1 if side == 0 else max(len(own) - 2, 0)
        as_is = attrs["contract"][side] == (usual,)
        turned = term if as_is else _turned(term)
        factors.append(turned.operand)
    return Term(" @ ".join(factors), Level.PRODUCT)


def _turned(term: Term) -> Term:
    return replace(term, turned=False) if term.turned else Term(term.operand, turned=True)
