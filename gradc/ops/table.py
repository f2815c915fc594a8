"""The op table: one op is one row, and a row is all there is to an op.

Enters: rows, registered by the family files of this package when they are imported. Leaves: `OPS`,
the table every later stage reads. Always holds: names are unique, every row has samples for the
tests, and a row imports nothing from the layers above: a gradient is written in methods of the
values it is handed, which exist once per row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from ..dtypes import DType, Spec
from ..index import Indices, Shape, Source

Attrs = Mapping[str, Any]
ShapeRule = Callable[[str, Sequence[Spec], Attrs], Spec]
IndexMap = Callable[[Indices, Sequence[Shape], Shape, Attrs], tuple[Source, ...]]


class Kind(Enum):
    """What a pass needs to know of an op; passes ask for the kind, never for names."""

    SOURCE = "source"  # input, const, iota: no arguments
    ELEMENTWISE = "elementwise"  # all shapes equal; output element i reads input elements i
    MOVEMENT = "movement"  # moves elements, computes nothing; becomes an index expression
    REDUCTION = "reduction"  # folds the axes in attrs["axes"] away
    CONTRACTION = "contraction"  # sums products over shared axes


@dataclass(frozen=True)
class Sample:
    """One test case of a row: argument arrays and attributes.

    `order` is how often the op is differentiable there: the tests compare that many derivatives
    with finite differences (0 for integer and boolean ops).
    """

    args: tuple[np.ndarray[Any, Any], ...]
    attrs: Attrs
    order: int = 2


@dataclass(frozen=True)
class Op:
    """One row.

    `reference(*arrays, **attrs)` is the meaning, in NumPy. `vjp(g, y, *args, **attrs)` returns one
    cotangent per argument (None: no gradient flows there by definition), written in traced values.
    `c` is the C expression of an elementwise op with `{0}`, `{1}`, ... for operands, `{f}` for the
    float suffix ("f" or ""), `{t}` and `{n}` for the C type and the dtype's name of the result;
    where the operands are integers, `c_int` is used instead if given, and where they are unsigned,
    `c_uint` before that. For a
    reduction it folds `{0}` (accumulator) with `{1}`, starting at `start(dtype)`. `cost` is
    flops per element as the fusion model counts them; `headers` are the runtime headers the C
    expression needs. `wraps`: integer arithmetic that overflows modulo 2^n, as NumPy's.
    `internal`: a part of other functions, and none of the interface's own. `doc` goes on where the
    name ends: it says what the formula does not.

    A movement row has an `index_map(index, operand shapes, shape, attrs)`: where element `index` of
    the result comes from. More than one source means that the operands lie side by side; where the
    tests of none hold, the element is attrs["value"].
    """

    name: str
    kind: Kind
    reference: Callable[..., Any]
    shape: ShapeRule
    samples: Callable[[], Iterator[Sample]]
    vjp: Callable[..., tuple[Any, ...]] | None = None
    c: str | None = None
    c_int: str | None = None
    c_uint: str | None = None
    start: Callable[[DType], float] | None = None
    cost: float = 1.0
    headers: tuple[str, ...] = ()
    wraps: bool = False
    internal: bool = False
    index_map: IndexMap | None = None
    doc: str = ""


OPS: dict[str, Op] = {}


def op(
    name: str,
    kind: tuple[Kind, ShapeRule],
    *,
    reference: Callable[..., Any],
    samples: Callable[[], Iterator[Sample]],
    **fields: Any,
) -> Op:
    """Register one row; `kind` is a `(Kind, shape rule)` pair such as `elementwise`."""
    if name in OPS:
        raise ValueError(f"op `{name}` is registered twice")
    row = Op(name, kind[0], reference, kind[1], samples, **fields)
    OPS[name] = row
    return row


def infer(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
    """Shape and dtype of op `name` on `args`; raises `ShapeError`, `DTypeError` without a span."""
    row = OPS[name]
    return row.shape(name, args, attrs)


def result_dtype(array: object, dtype: DType) -> np.ndarray[Any, Any]:
    """A NumPy result as an array of the dtype that the graph promises."""
    return np.asarray(array).astype(dtype, copy=False)
