"""Dtypes: which element types gradc knows, how they promote, and what C calls them.

Enters: NumPy dtypes, Python scalars. Leaves: `numpy.dtype` objects (the only representation of a
dtype inside gradc), promoted dtypes, C type names. Always holds: every dtype that leaves this
module is one of `ALL`; promotion follows the Array API (2024.12), Python scalars are weak, and a
mix that the standard leaves undefined is a `DTypeError` that says what to cast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from .errors import DTypeError, fail, user_errors
from .namespace import nearest

DType = np.dtype[Any]


@dataclass(frozen=True)
class Spec:
    """The shape and dtype of an array that is not there yet; what `gd.f32[64, 784]` makes.

    `shape` is a tuple of extents, `dtype` a NumPy dtype. Raises `DTypeError` for an extent that is
    negative or no integer.
    """

    shape: tuple[int, ...]
    dtype: DType

    def __post_init__(self) -> None:
        for n in self.shape:
            if type(n) is int and n >= 0:
                continue
            if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
                raise _no_extent(n)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        total = 1
        for n in self.shape:
            total *= n
        return total

    def __repr__(self) -> str:
        return short(self.dtype, self.shape)


@dataclass(frozen=True)
class ScalarType:
    """A dtype that makes specs by indexing: `f32[64, 784]` is a matrix, `f32[()]` a scalar.

    NumPy accepts it wherever a dtype is asked for, through its `dtype` attribute.
    """

    dtype: DType
    short: str

    @user_errors
    def __getitem__(self, shape: int | tuple[int, ...]) -> Spec:
        return Spec(shape if isinstance(shape, tuple) else (shape,), self.dtype)

    @user_errors
    def __call__(self, *values: object) -> NoReturn:
        extents = ", ".join(map(repr, values))
        raise fail(
            DTypeError,
            "GC001",
            f"`gd.{self.short}` is a dtype: it cannot be called",
            helps=(
                f"write `gd.{self.short}[{extents or '()'}]` for a spec",
                f"write `np.{self.dtype.name}({extents})` for a number",
            ),
        )

    def __repr__(self) -> str:
        return f"gradc.{self.dtype.name}"


def _no_extent(n: object) -> DTypeError:
    help_ = "give every axis its size: a spec of another size is compiled apart"
    if isinstance(n, int):
        help_ = "give the size itself: unlike in `reshape`, nothing is worked out"
    elif isinstance(n, float):
        help_ = f"write `{int(n)}`" if n == n // 1 else "round it to a whole number"
    got = "`:`" if isinstance(n, slice) else repr(n)
    return fail(
        DTypeError,
        "GC001",
        f"a spec's extents are non-negative integers, got {got}",
        helps=(help_,),
    )


def _scalar(name: str, short_name: str) -> ScalarType:
    return ScalarType(np.dtype(name), short_name)


float32 = f32 = _scalar("float32", "f32")
float64 = f64 = _scalar("float64", "f64")
int8 = i8 = _scalar("int8", "i8")
int16 = i16 = _scalar("int16", "i16")
int32 = i32 = _scalar("int32", "i32")
int64 = i64 = _scalar("int64", "i64")
uint8 = u8 = _scalar("uint8", "u8")
uint16 = u16 = _scalar("uint16", "u16")
uint32 = u32 = _scalar("uint32", "u32")
uint64 = u64 = _scalar("uint64", "u64")
bool_ = _scalar("bool", "bool")

ALL: tuple[ScalarType, ...] = (
    float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64, bool_,
)  # fmt: skip
SHORT: dict[DType, str] = {t.dtype: t.short for t in ALL}
F32, F64, I32, I64, BOOL = (t.dtype for t in (float32, float64, int32, int64, bool_))
C_NAMES: dict[DType, str] = {
    t.dtype: {"f": {4: "float", 8: "double"}.get(t.dtype.itemsize, ""), "b": "uint8_t"}.get(
        t.dtype.kind, f"{t.dtype.name}_t"
    )
    for t in ALL
}


def short(dtype: DType, shape: tuple[int, ...]) -> str:
    """`f32[64, 128]`: how shapes and dtypes are written in messages, listings and C comments."""
    return f"{SHORT.get(dtype, dtype.name)}[{', '.join(map(str, shape))}]"


def c_name(dtype: DType) -> str:
    """The C type of one element; a bool is stored as `uint8_t` 0 or 1."""
    return C_NAMES[dtype]


def c_local(dtype: DType) -> str:
    """The C type of a value in a register: a bool is what C's own comparisons give, an `int`."""
    return "int" if is_bool(dtype) else c_name(dtype)


def as_dtype(value: object) -> DType:
    """Read anything that names a dtype (`gd.f32`, `"float32"`, `np.float32`, `float`)."""
    if isinstance(value, ScalarType):
        return value.dtype
    try:
        given: DType = np.dtype(value)  # type: ignore[call-overload]
    except TypeError:
        raise _no_dtype(value if isinstance(value, str) else type(value).__name__) from None
    # By its name: then it is NumPy's own object, which a compiled call recognises by identity.
    dtype = np.dtype(given.newbyteorder("=").str)
    if dtype not in SHORT:
        raise _no_dtype(str(dtype), known=True)
    return dtype


def _no_dtype(name: str, known: bool = False) -> DTypeError:
    """The error of a dtype that is `known` to NumPy but not supported, or of no dtype at all."""
    near = [] if known else nearest(name, [t.dtype.name for t in ALL])
    help_ = f"write `{near[0]}`" if near else f"use one of {', '.join(SHORT.values())}"
    return fail(DTypeError, "GC002", f"dtype `{name}` is not supported", helps=(help_,))


@user_errors
def spec(shape: int | tuple[int, ...], dtype: object = "float32") -> Spec:
    """The long form of `f32[...]`: `spec((64, 784), "float32")`.

    `shape` is an extent or several, `()` for a scalar; `dtype` whatever names one: `"float32"`,
    `gd.f32`, `np.float32`. Raises `DTypeError` for a dtype that is not supported or an extent that
    is negative.
    """
    if isinstance(shape, (str, ScalarType, type)):
        message = f"`spec` takes the shape first, then the dtype, got {shape!r} first"
        raise fail(DTypeError, "GC001", message, helps=("exchange them: `gd.spec((64,), dtype)`",))
    extents = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    return Spec(extents, as_dtype(dtype))


# What a dtype is: nothing outside of this file asks NumPy


def kind_of(dtype: DType) -> str:
    """What its elements are: "b" bools, "i" signed or "u" unsigned integers, "f" real numbers."""
    return str(dtype.kind)


def is_float(dtype: DType) -> bool:
    return bool(dtype.kind == "f")


def is_signed(dtype: DType) -> bool:
    """Whether it is an integer that can be negative."""
    return bool(dtype.kind == "i")


def is_unsigned(dtype: DType) -> bool:
    """Whether it is an integer that cannot be negative."""
    return bool(dtype.kind == "u")


def is_integer(dtype: DType) -> bool:
    return dtype.kind in "iu"


def is_bool(dtype: DType) -> bool:
    return bool(dtype.kind == "b")


def is_numeric(dtype: DType) -> bool:
    """Whether NumPy's arrays of it hold bools, integers or real numbers, of whatever size."""
    return dtype.kind in "biuf"


def item_bytes(dtype: DType) -> int:
    """The size of one element in memory."""
    return int(dtype.itemsize)


def limits(dtype: DType) -> tuple[int, int]:
    """The least and the greatest value of an integer dtype, or of bool."""
    if dtype.kind == "b":
        return 0, 1
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def bits_of(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The elements in row-major order, each as the unsigned integer with the same bits."""
    return np.ascontiguousarray(array).reshape(-1).view(f"u{array.dtype.itemsize}")


def c_suffix(dtype: DType) -> str:
    """What the C names of functions and constants of a float dtype end in: `expf`, `1.0f`."""
    return "f" if dtype.itemsize == 4 else ""


def promote(a: DType, b: DType) -> DType:
    """The dtype of an operation on `a` and `b` by the Array API's promotion table.

    Raises `DTypeError` where the standard leaves the result undefined (float with integer,
    bool with a number, uint64 with a signed integer).
    """
    if a == b:
        return a
    if a.kind == b.kind:
        return max(a, b, key=lambda d: d.itemsize)
    if {a.kind, b.kind} == {"i", "u"}:
        signed, unsigned = (a, b) if a.kind == "i" else (b, a)
        if unsigned.itemsize < signed.itemsize:
            return signed
        if unsigned.itemsize < 8:
            return np.dtype(f"int{unsigned.itemsize * 16}")
    names = (SHORT[a], SHORT[b])
    wider = next((d for d in (a, b) if d.kind == "f"), I64)
    other = b if wider == a else a
    raise fail(
        DTypeError,
        "GC003",
        f"`{names[0]}` and `{names[1]}` have no common dtype",
        helps=(f"cast the `{SHORT[other]}` operand: `.astype(gd.{wider.name})`",),
    )


def weak(scalar: object, dtype: DType) -> DType:
    """The dtype of Python scalar `scalar` beside an array of `dtype`: the array's own.

    A float beside an integer array, or a number beside a bool array, is a `DTypeError`.
    """
    rank = {"b": 0, "i": 1, "u": 1, "f": 2}
    own = 0 if isinstance(scalar, bool) else 1 if isinstance(scalar, int) else 2
    if own <= rank[dtype.kind]:
        return dtype
    raise fail(
        DTypeError,
        "GC003",
        f"the Python {type(scalar).__name__} {scalar!r} does not fit `{SHORT[dtype]}`",
        helps=("cast the array first: `.astype(gd.float32)`",),
    )


def is_weak(value: object) -> bool:
    """Whether it is a number of Python's own, which takes the dtype of what it meets.

    NumPy's scalars are none, though `numpy.float64` is a subclass of `float`: they have a dtype.
    """
    return isinstance(value, (bool, int, float)) and not isinstance(value, np.generic)


def default_dtype(scalar: object, floating: DType = F32) -> DType:
    """The dtype of a Python scalar that meets nothing: bool, int32, or `floating`."""
    if isinstance(scalar, (bool, np.bool_)):
        return BOOL
    return I32 if isinstance(scalar, (int, np.integer)) else floating


def default_float(dtypes: Sequence[DType]) -> DType:
    """The dtype of real Python scalars among arrays of `dtypes`: float64 if one of those is."""
    return F64 if F64 in dtypes else F32
