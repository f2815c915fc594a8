"""The state struct: its members, their layout in bytes, and the function that initialises them.

Enters: the leaves of a program's state. Leaves: members with offsets, the struct's text,
`<name>_init`. Always holds: the offsets computed here are the C compiler's (every member states its
alignment, and the size is asserted in the C); what a number's initial distribution is, is not lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dtypes import DType, c_name, c_suffix, item_bytes, short
from .expressions import literal
from .writer import Writer

ALIGN_FROM = 256
"""Bytes from which an array is aligned to a cache line."""
CACHE_LINE = 64
VALUES_PER_LINE = 8
DRAWN = ("uniform", "normal", "seed")
"""Recipes that depend on the seed."""


@dataclass(frozen=True)
class Member:
    """One array of the state. `shape` is logical; `swapped`: stored transposed.

    `recipe` says how to draw it anew ("uniform", low, high), ("normal", mean, std), ("constant",
    value) or ("seed",); without one `initial` is written out.
    """

    name: str
    identifier: str
    dtype: DType
    shape: tuple[int, ...]
    offset: int
    swapped: bool
    recipe: tuple[Any, ...] | None
    initial: np.ndarray[Any, Any]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        return self.size * item_bytes(self.dtype)

    @property
    def alignment(self) -> int:
        return CACHE_LINE if self.nbytes >= ALIGN_FROM else item_bytes(self.dtype)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        return self.shape[::-1] if self.swapped else self.shape

    @property
    def expression(self) -> str:
        """The member as a pointer to its first element."""
        return f"{'' if self.shape else '&'}state->{self.identifier}"


def round_up(n: int, to: int) -> int:
    return -(-n // to) * to


def state_bytes(members: Sequence[Member]) -> int:
    """`sizeof` of the struct; an empty struct is not C, so there is at least one byte."""
    end = max((m.offset + m.nbytes for m in members), default=0)
    return round_up(max(end, 1), max((m.alignment for m in members if m.size), default=1))


def write_struct(w: Writer, name: str, members: Sequence[Member]) -> None:
    """The struct definition."""
    with w.block(f"struct {name}_state", end="};"):
        stored = [m for m in members if m.size]  # C has no arrays without elements
        for m in stored:
            align = f"GRADC_ALIGNED({m.alignment}) " if m.alignment > 4 else ""
            extent = f"[{' * '.join(map(str, m.stored_shape))}]" if m.shape else ""
            how = f", stored as {list(m.stored_shape)}" if m.swapped else ""
            comment = f"/* {short(m.dtype, m.shape)}{how} */"
            w.line(f"{align}{c_name(m.dtype)} {m.identifier}{extent}; {comment}")
        if not stored:
            w.line("char nothing;")


def write_init(w: Writer, name: str, members: Sequence[Member]) -> bool:
    """`<name>_init`; returns whether it needs random numbers."""
    draws = False
    for m in members:
        if _is_table(m):
            _write_table(w, m)
    w.line(f"void {name}_init({name}_state *state, uint64_t seed)")
    with w.block(""):
        w.line("memset(state, 0, sizeof *state);")
        if not any(m.recipe and m.recipe[0] in DRAWN and m.size for m in members):
            w.line("(void)seed;")
        for stream, m in enumerate(members):
            match m.recipe if m.size else ("constant", 0):
                case ("seed",):
                    w.line(f"state->{m.identifier} = seed;")
                case ("uniform" | "normal" as kind, first, second):
                    draws = True
                    suffix = c_suffix(m.dtype)
                    numbers = [literal(float(x), m.dtype) for x in (first, second)]
                    args = [m.expression, str(m.size), *numbers, "seed", str(stream)]
                    w.call(f"gradc_fill_{kind}{suffix}", args, ";")
                case ("constant", value):
                    _write_constant(w, m, value)
                case None if m.size == 1:
                    _write_constant(w, m, m.initial.reshape(()).item())
                case None if _is_table(m):
                    w.line(f"memcpy({m.expression}, initial_{m.identifier}, {m.nbytes});")
    w.line()
    return draws


def _is_table(m: Member) -> bool:
    """Whether the member's first values have to be written out."""
    return m.recipe is None and m.size > 1 and bool(m.initial.any())


def _write_constant(w: Writer, m: Member, value: float) -> None:
    if value == 0:
        return
    text = literal(value, m.dtype)
    if not m.shape:
        w.line(f"state->{m.identifier} = {text};")
        return
    with w.loop("i", m.size):
        w.line(f"state->{m.identifier}[i] = {text};")


def _write_table(w: Writer, m: Member) -> None:
    """The initial values of a member that was not drawn from a known distribution."""
    values = m.initial.T if m.swapped else m.initial
    with w.block(f"static const {c_name(m.dtype)} initial_{m.identifier}[{m.size}] =", end="};"):
        write_values(w, values, m.dtype)
    w.line()


def write_values(w: Writer, values: np.ndarray[Any, Any], dtype: DType) -> None:
    """The elements of an array, row-major, a few to a line."""
    texts = [literal(v, dtype) for v in values.ravel().tolist()]
    for k in range(0, len(texts), VALUES_PER_LINE):
        w.line(", ".join(texts[k : k + VALUES_PER_LINE]) + ",")
