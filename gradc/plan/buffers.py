"""Arrays that steps work on, as objects, and windows of them.

Enters: nothing (this file only defines the types). Leaves: `Buffer` and `View`. Always holds: a
buffer is itself, whatever it is called: two of one name and one shape are two.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np

from ..dtypes import DType, item_bytes
from ..index import Index

Value = Hashable
"""What names a value that a buffer holds for a while: the id of a node, in plans of graphs."""

Home = Literal["arena", "scratch", "state", "argument", "output", "constant"]


@dataclass(frozen=True, eq=False)
class Buffer:
    """An array and where it lives.

    Those of the arena are given a place there; `scratch` is needed by one step alone. `number` says
    which leaf of the state it is, which argument or which result; `value` is that of a constant.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    home: Home = "arena"
    number: int = 0
    value: np.ndarray[Any, Any] | None = field(default=None, repr=False)

    @property
    def in_arena(self) -> bool:
        return self.home in ("arena", "scratch")

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * item_bytes(self.dtype)

    @property
    def base(self) -> Buffer:
        return self

    @property
    def first(self) -> Index:
        return Index()


@dataclass(frozen=True)
class View:
    """An array inside a buffer: its elements follow each other from `first` on, an index in the
    counters of the loops around it.
    """

    base: Buffer
    first: Index
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        low, high = self.first.bounds
        if low < 0 or high + self.size > self.base.size:
            message = f"elements {low} to {high + self.size} of {self.base.size}"
            raise ValueError(f"a view leaves `{self.base.name}`: {message}")

    @property
    def name(self) -> str:
        return self.base.name

    @property
    def dtype(self) -> DType:
        return self.base.dtype

    @property
    def home(self) -> Home:
        return self.base.home

    @property
    def number(self) -> int:
        return self.base.number

    @property
    def in_arena(self) -> bool:
        return self.base.in_arena

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * item_bytes(self.dtype)


Array = Buffer | View


def are_apart(a: Array, b: Array) -> bool:
    """Whether two arrays share no element, whatever the counters are."""
    if a.base is not b.base:
        return True
    between = b.first + a.first * -1
    return not between.terms and not -b.size < between.const < a.size
