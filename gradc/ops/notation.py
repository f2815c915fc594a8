"""How formulas write an op: `a + b`, `x.T`, `-x`; what has no notation is `op(a, b)`.

Enters: the texts of the operands, their shapes, the result's shape, the attributes. Leaves: the
text of the result, with what a reader of it must know to put it into a larger one. Always holds:
nothing is read back from a text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..index import Shape


@dataclass(frozen=True)
class Term:
    """A formula. `loose`: it needs parentheses as an operand; `turned`: `.T` stands behind it."""

    text: str
    loose: bool = False
    turned: bool = False

    @property
    def whole(self) -> str:
        """As a formula of its own, or between commas."""
        return f"{self.text}.T" if self.turned else self.text

    @property
    def operand(self) -> str:
        """As a part of a larger formula."""
        return f"({self.text})" if self.loose else self.whole


Notation = Callable[[Sequence[Term], Sequence[Shape], Shape, Mapping[str, Any]], Term]


def infix(symbol: str) -> Notation:
    """`a + b`."""
    return lambda terms, *_: Term(f"{terms[0].operand} {symbol} {terms[1].operand}", loose=True)


def prefix(symbol: str) -> Notation:
    """`-a`."""
    return lambda terms, *_: Term(f"{symbol}{terms[0].operand}", loose=True)


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
    return Term(" @ ".join(factors), loose=True)


def _turned(term: Term) -> Term:
    return replace(term, turned=False) if term.turned else Term(term.operand, turned=True)
