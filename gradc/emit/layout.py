"""The memory of a program: the structs of its state, and where each member lies.

Enters: the leaves of a program's state, in order. Leaves: a `StateLayout`, whose members know their
offsets in bytes. Always holds: the offsets computed here are the C compiler's (every member states
its alignment, sizes are asserted in the C); structs of one type have the same members.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..cnames import Names, identifier
from ..dtypes import DType, item_bytes
from ..lower.reserved import MEMBERS

CACHE_LINE = 64
ALIGN_FROM = 256
"""Bytes from which an array is aligned to a cache line."""
PARAMS = "params"
"""The section of what a model computes with: the only one that queries may take by itself."""


def round_up(n: int, to: int) -> int:
    return -(-n // to) * to


@dataclass(frozen=True)
class Member:
    """One array of the state, its `leaf`-th. `shape` is logical; `swapped`: stored transposed.

    `section` is the struct inside the state that it belongs to, "" if it stands by itself. `recipe`
    says how to draw it anew: ("uniform", low, high), ("normal", mean, std), ("constant", value) or
    ("seed",); without one `initial` is written out. `offset` counts from the state's first byte.
    `axes` are words for the axes, and `layer` is what the array is a part of.
    """

    leaf: int
    section: str
    identifier: str
    dtype: DType
    shape: tuple[int, ...]
    offset: int
    swapped: bool
    recipe: tuple[Any, ...] | None
    initial: np.ndarray[Any, Any]
    layer: str = ""
    axes: tuple[str, ...] = ()

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
    def stored_axes(self) -> tuple[str, ...]:
        return self.axes[::-1] if self.swapped else self.axes

    @property
    def path(self) -> str:
        """From the state to the member: `params.fc1_weight`."""
        return f"{self.section}.{self.identifier}" if self.section else self.identifier


@dataclass(frozen=True)
class Section:
    """A struct inside the state: parameters, or an optimizer's numbers for each of them."""

    identifier: str
    type: str
    members: tuple[Member, ...]

    @property
    def offset(self) -> int:
        return min((m.offset for m in self.members), default=0)

    @property
    def alignment(self) -> int:
        return alignment_of(self.members)

    @property
    def nbytes(self) -> int:
        """`sizeof` of the struct."""
        first = self.offset
        end = max((m.offset - first + m.nbytes for m in self.members), default=0)
        return round_up(max(end, 1), self.alignment)


Part = Member | Section


@dataclass(frozen=True)
class StateLayout:
    """The state's struct: `parts` in order. `members` are all its arrays in the leaves' order."""

    name: str
    parts: tuple[Part, ...]
    members: tuple[Member, ...]

    @property
    def nbytes(self) -> int:
        """`sizeof` of the struct; an empty struct is not C, so there is at least one byte."""
        end = max((part.offset + part.nbytes for part in self.parts), default=0)
        return round_up(max(end, 1), alignment_of(self.parts))

    @property
    def sections(self) -> tuple[Section, ...]:
        return tuple(part for part in self.parts if isinstance(part, Section))

    @property
    def params(self) -> Section | None:
        """The struct of the parameters, if the program has one."""
        return next((s for s in self.sections if s.identifier == PARAMS), None)


def alignment_of(parts: Iterable[Part]) -> int:
    """What a struct of these is aligned to; members without elements are not in it."""
    return max((p.alignment for p in parts if p.nbytes), default=1)


def lay_out(name: str, leaves: Sequence[Member]) -> StateLayout:
    """Give each leaf, which comes with its names as the user has them, its place in the struct.

    The leaves of a section stand together, where its first one is; every section has the members of
    the section `params`, in that order.
    """
    names = Names(MEMBERS)
    fields = [leaf.identifier for leaf in leaves if leaf.section == PARAMS]
    inner = Names(MEMBERS)
    called = {field: inner.fresh(identifier(field)) for field in fields}
    outer: dict[str, str] = {}
    parts: list[Part] = []
    placed: dict[int, Member] = {}
    offset = 0
    for leaf in leaves:
        if leaf.section in outer:
            continue
        if not leaf.section:
            member = replace(leaf, identifier=names.fresh(identifier(leaf.identifier)))
            offset = round_up(offset, member.alignment)
            placed[leaf.leaf] = replace(member, offset=offset)
            parts.append(placed[leaf.leaf])
            offset += member.nbytes
            continue
        outer[leaf.section] = names.fresh(identifier(leaf.section))
        own = {m.identifier: m for m in leaves if m.section == leaf.section}
        assert list(own) == fields or sorted(own) == sorted(fields), "structs of one type differ"
        members = [own[field] for field in fields]
        offset = round_up(offset, alignment_of(members))
        at, found = offset, []
        for field, member in zip(fields, members, strict=True):
            at = round_up(at, member.alignment)
            member = replace(
                member, section=outer[leaf.section], identifier=called[field], offset=at
            )
            found.append(member)
            placed[member.leaf] = member
            at += member.nbytes
        section = Section(outer[leaf.section], f"{name}_{PARAMS}", tuple(found))
        parts.append(section)
        offset += section.nbytes
    return StateLayout(name, tuple(parts), tuple(placed[leaf.leaf] for leaf in leaves))
