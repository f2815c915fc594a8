"""One result of a node that has several.

Enters: nothing. Leaves: one row in the op table. Always holds: a node with several results is read
through items alone, so that everywhere else an id stands for one array.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from ..dtypes import Spec
from .table import Attrs, Kind, op


def _rule(name: str, args: Sequence[Spec], attrs: Attrs) -> NoReturn:
    raise AssertionError("what an item is, its maker says: ask `graph.results_of`")


def _reference(results: tuple[Any, ...], index: int) -> Any:
    return results[index]


op(
    "item",
    (Kind.ITEM, _rule),
    reference=_reference,
    cost=0,
    unnamed=True,
    internal=True,
    samples=lambda: iter(()),
    doc="result number `index` of an op that has several",
)
