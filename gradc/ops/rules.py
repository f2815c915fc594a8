"""Shape rules and sample makers that the elementwise rows share.

Enters: an op's name, the specs of its arguments, its attributes. Leaves: the spec of the result,
or a `ShapeError` / `DTypeError` that says what to do. Always holds: a rule never broadcasts and
never promotes; that has happened before, at the edge, where it can be explained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..dtypes import BOOL, F32, F64, SHORT, Spec, is_float, is_integer, kind_of
from ..errors import DTypeError, ShapeError, fail
from .table import Attrs, Kind, Sample, ShapeRule

FLOATS = "f"
NUMBERS = "iuf"
ANY = "biuf"
CAST_HELP = {
    "f": "cast it first: `.astype(gd.float32)`",
    "iuf": "cast it first: `.astype(gd.float32)` or `.astype(gd.int32)`",
    "iub": "cast it first: `.astype(gd.int32)`, or compare to get a bool",
    "iu": "cast it first: `.astype(gd.int32)`",
    "b": "compare first, for example with `x != 0`",
}
KIND_NAMES = {
    "f": "floating-point numbers",
    "iuf": "numbers",
    "iub": "integers or bools",
    "iu": "integers",
    "b": "bools",
}


def same_shape(name: str, args: Sequence[Spec]) -> tuple[int, ...]:
    """The one shape that all arguments have."""
    shape = args[0].shape
    if any(a.shape != shape for a in args):
        raise fail(
            ShapeError,
            "GC101",
            f"`{name}` needs equal shapes, got {' and '.join(map(repr, args))}",
            helps=("broadcast one of them first",),
        )
    return shape


def elementwise_rule(kinds: str, count: int, *, result_bool: bool = False) -> ShapeRule:
    """A rule for `count` arguments of one dtype, whose kind is one of `kinds`."""

    def rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
        if len(args) != count:
            raise fail(DTypeError, "GC100", f"`{name}` takes {count} operands, got {len(args)}")
        shape = same_shape(name, args)
        for a in args:
            if kind_of(a.dtype) not in kinds:
                raise fail(
                    DTypeError,
                    "GC110",
                    f"`{name}` works on {KIND_NAMES[kinds]}, got `{SHORT[a.dtype]}`",
                    helps=(CAST_HELP[kinds],),
                )
            if a.dtype != args[0].dtype:
                names = " and ".join(f"`{SHORT[x.dtype]}`" for x in args)
                raise fail(DTypeError, "GC110", f"`{name}` needs one dtype, got {names}")
        return Spec(shape, BOOL if result_bool else args[0].dtype)

    return rule


def where_rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
    """`where(condition, a, b)`: the condition is a bool, `a` and `b` share a dtype."""
    shape = same_shape(name, args)
    condition, a, b = args
    if condition.dtype != BOOL:
        raise fail(
            DTypeError,
            "GC110",
            f"the condition of `where` is a bool, got `{SHORT[condition.dtype]}`",
            helps=("compare first, for example `gd.where(x > 0, ...)`",),
        )
    if a.dtype != b.dtype:
        names = f"`{SHORT[a.dtype]}` and `{SHORT[b.dtype]}`"
        raise fail(DTypeError, "GC110", f"the branches of `where` need one dtype, got {names}")
    return Spec(shape, a.dtype)


def to_integer_rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
    if not is_float(args[0].dtype) or not is_integer(attrs["dtype"]):
        names = f"`{SHORT[args[0].dtype]}` to `{SHORT[attrs['dtype']]}`"
        raise fail(DTypeError, "GC110", f"`{name}` is from real numbers to integers, not {names}")
    return Spec(args[0].shape, attrs["dtype"])


def cast_rule(name: str, args: Sequence[Spec], attrs: Attrs) -> Spec:
    if is_float(args[0].dtype) and is_integer(attrs["dtype"]):
        raise fail(DTypeError, "GC110", "a cast of real numbers to integers is `to_integer`")
    if attrs["dtype"] == BOOL:
        raise fail(DTypeError, "GC110", "a cast to bool is written as a comparison: `x != 0`")
    return Spec(args[0].shape, attrs["dtype"])


def unary(kinds: str = FLOATS, *, result_bool: bool = False) -> tuple[Kind, ShapeRule]:
    return Kind.ELEMENTWISE, elementwise_rule(kinds, 1, result_bool=result_bool)


def binary(kinds: str = FLOATS, *, result_bool: bool = False) -> tuple[Kind, ShapeRule]:
    return Kind.ELEMENTWISE, elementwise_rule(kinds, 2, result_bool=result_bool)


def no_gradient(g: Any, y: Any, *args: Any, **attrs: Any) -> tuple[None, ...]:
    """The vjp of an op whose derivative is zero wherever it exists (`floor`, `sign`)."""
    return (None,) * len(args)


INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 3.5, -2.5, 1e30])


def floats(
    low: float, high: float, count: int = 1, *, order: int = 2, special: bool = True
) -> Callable[[], Iterator[Sample]]:
    """Samples of `count` operands: in [low, high) in f64 and f32, then special values."""

    def samples() -> Iterator[Sample]:
        rng = np.random.default_rng(0)
        for dtype in (F64, F32):
            args = tuple(rng.uniform(low, high, (3, 5)).astype(dtype) for _ in range(count))
            yield Sample(args, {}, order if dtype == F64 else 0)
        if special:
            grids = np.meshgrid(*([SPECIAL] * count), indexing="ij")
            for dtype in (F64, F32):
                yield Sample(tuple(grid.ravel().astype(dtype) for grid in grids), {}, 0)

    return samples


def integers(count: int = 1, dtypes: Sequence[str] = INTEGERS) -> Callable[[], Iterator[Sample]]:
    """Samples of every integer dtype, its least and greatest value and zero among them."""

    def samples() -> Iterator[Sample]:
        for name in dtypes:
            info = np.iinfo(name)
            edge = np.array([info.min, info.max, 0, 1, 2, 7, info.max // 3], dtype=name)
            if info.min < 0:
                edge = np.append(edge, np.array([-1, -2, -7], dtype=name))
            grids = np.meshgrid(*([edge] * count), indexing="ij")
            yield Sample(tuple(grid.ravel() for grid in grids), {}, 0)

    return samples


def bools(count: int = 1) -> Callable[[], Iterator[Sample]]:
    """All combinations of `count` truth values."""

    def samples() -> Iterator[Sample]:
        grids = np.meshgrid(*([np.array([False, True])] * count), indexing="ij")
        yield Sample(tuple(grid.ravel() for grid in grids), {}, 0)

    return samples


def both(*makers: Callable[[], Iterator[Sample]]) -> Callable[[], Iterator[Sample]]:
    """The samples of several makers, one after the other."""

    def samples() -> Iterator[Sample]:
        for maker in makers:
            yield from maker()

    return samples
