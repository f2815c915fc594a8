"""The op table: one op is one row, and a row is all there is to an op.

Enters: rows, registered by the family files of this package when they are imported. Leaves: `OPS`,
the table every later stage reads. Always holds: names are unique, every row has samples for the
tests, and a row imports nothing from the layers above: a gradient is written in methods of the
values it is handed, which exist once per row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from ..dtypes import DType, Spec
from ..index import Indices, Shape, Source
from .notation import Level, Notation

Attrs = Mapping[str, Any]
ShapeRule = Callable[[str, Sequence[Spec], Attrs], Spec | tuple[Spec, ...]]
IndexMap = Callable[[Indices, Sequence[Shape], Shape, Attrs], tuple[Source, ...]]


class Kind(Enum):
    """What a pass needs to know of an op; passes ask for the kind, never for names."""

    INPUT = "input"  # handed over by the caller
    CONSTANT = "constant"  # known while compiling: attrs["value"]
    COUNTER = "counter"  # 0, 1, 2, ...: the index itself
    ELEMENTWISE = "elementwise"  # all shapes equal; output element i reads input elements i
    MOVEMENT = "movement"  # moves elements, computes nothing; becomes an index expression
    REDUCTION = "reduction"  # folds the axes in attrs["axes"] away
    CONTRACTION = "contraction"  # sums products over shared axes
    OWN = "own"  # none of these: may make several results
    ITEM = "item"  # one result of a node that has several

    @property
    def is_source(self) -> bool:
        """Whether such an op has no arguments: values come from there."""
        return self in (Kind.INPUT, Kind.CONSTANT, Kind.COUNTER)

    @property
    def is_given(self) -> bool:
        """Whether the array exists before anything runs."""
        return self in (Kind.INPUT, Kind.CONSTANT)


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
    `c_uint` before that. For a reduction it folds `{0}` (accumulator) with `{1}`, starting at
    `start(dtype)`. `level` is the precedence of `c` where that is no call, so that it stands in
    larger expressions with the parentheses it needs. `cost` is flops per element as the fusion
    model counts them; `headers` are what `c` needs, of C's own or of the runtime's (`c_int` needs
    none). `wraps`: integer arithmetic that overflows modulo 2^n, as NumPy's. `internal`: a part of
    other functions, and none of the interface's own. `doc` goes on where the name ends: it says
    what the formula does not.

    What readers see: `notation` is how formulas write the op; the result of an `unnamed` one is
    called after what it is made of (`fc1` for `x @ fc1.weight.T + fc1.bias`); `noun` is what C
    calls a result that has no name (`product`), where the op's own name would not do,
    and `read_by` what it is where an op reads it.

    What passes ask of an elementwise row: `marker`: the value is the argument's, the node only says
    something about it; `requires(attrs)` is the half-open range that a marker demands of every
    element; `converts`: the same number in the dtype attrs["dtype"]; `of_equal`: what it gives for
    two equal numbers, of which NaN is none; `conditions`: so many operands in front are bools that
    choose among the others.

    Of a reduction: `combine` is the ufunc that folds two values, `compound` the assignment operator
    of C that does (on floats); a row that looks for a place has instead `better`, the comparison
    by which an element beats the best so far, which is `start(dtype)` before the first, and
    `extremum`, the reduction that gives the value which stands there. `adds_up`:
    so do the rounding errors of many elements, unless they are folded in blocks. `joined` is the
    function of gradc_lanes.h that makes one float of partial results side by side.

    Of a movement: `index_map(index, operand shapes, shape, attrs)` says where element `index` of
    the result comes from; several sources are pieces side by side, and where the tests of none
    hold, the element is attrs["value"]. `view`: NumPy's result shares memory with its argument;
    `idle(attrs, operand shape)`: nothing moves; `whole`: the result holds every element of the
    argument and nothing else; `joins`: operands without elements may be left out;
    `permutation(attrs)`: the order in which axes are taken, if that is all it does;
    `without_units(attrs, operand shape, shape)`: the attributes when all axes of extent 1 are gone,
    where the op can go on without them.
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
    level: Level = Level.WHOLE
    cost: float = 1.0
    headers: tuple[str, ...] = ()
    wraps: bool = False
    internal: bool = False
    marker: bool = False
    requires: Callable[[Attrs], tuple[int, int]] | None = None
    converts: bool = False
    of_equal: bool | None = None
    conditions: int = 0
    combine: Callable[[Any, Any], Any] | None = None
    compound: str | None = None
    better: str | None = None
    adds_up: bool = False
    extremum: str | None = None
    joined: str | None = None
    index_map: IndexMap | None = None
    view: bool = False
    idle: Callable[[Attrs, Shape], bool] | None = None
    whole: bool = False
    joins: bool = False
    permutation: Callable[[Attrs], tuple[int, ...]] | None = None
    without_units: Callable[[Attrs, Shape, Shape], Attrs] | None = None
    notation: Notation | None = None
    unnamed: bool = False
    noun: str = ""
    read_by: Mapping[str, str] = field(default_factory=dict)
    doc: str = ""

    def times(self, position: int, integers: bool) -> int:
        """How often C evaluates the operand at a position, working with integers or others."""
        template = (self.c_int if integers and self.c_int else self.c) or ""
        return template.count(f"{{{position}}}")

    def skips(self, position: int) -> bool:
        """Whether C may leave the operand at a position unevaluated."""
        lazy = self.level in (Level.AND, Level.OR) and position == 1
        return lazy or 0 < self.conditions <= position


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


def infer(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec | tuple[Spec, ...]:
    """Shape and dtype of op `name` on `args`; raises `ShapeError`, `DTypeError` without a span."""
    row = OPS[name]
    return row.shape(name, args, attrs)


def result_dtype(array: object, dtype: DType) -> np.ndarray[Any, Any]:
    """A NumPy result as an array of the dtype that the graph promises."""
    return np.asarray(array).astype(dtype, copy=False)
