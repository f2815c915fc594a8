"""What a function does, step by step, and where the arrays lie that it works on.

Enters: nothing (this file only defines the types). Leaves: `EntryPlan`s. Always holds: every
parameter of every call has a place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from ..graph import Graph
from ..lower.nest import Kernel
from .memory import MemoryPlan


@dataclass(frozen=True)
class Place:
    """Where a buffer lives. `key` says which one of its kind it is; `name` is for people alone.

    The key is a leaf of the state, the position of an argument or output, the node id of a constant
    or of a value in the arena, or the number of the kernel whose scratch it is, of which `part`
    counts the pieces.
    """

    kind: Literal["state", "argument", "output", "constant", "arena", "scratch"]
    key: int
    name: str = field(default="", compare=False)
    part: int = 0

    @property
    def in_arena(self) -> bool:
        return self.kind in ("arena", "scratch")


class Phase(Enum):
    """The part of a training step that a call belongs to."""

    FORWARD = "forward"
    TURN = "turn"
    BACKWARD = "backward"
    UPDATE = "update"
    COPY = "copy"


@dataclass(frozen=True)
class Roles:
    """What the inputs and outputs of an entry point's graph are, by node id."""

    inputs: Mapping[int, Place]
    outputs: Mapping[int, Place]


@dataclass(frozen=True)
class Call:
    """One kernel call, or (kernel None) the copy of a finished value into the state.

    `places` are handed over in order (target and source of a copy). `reads` and `writes` give for
    each the node whose value is read or written there, if any; scratch holds no value.
    """

    kernel: Kernel | None
    places: tuple[Place, ...]
    phase: Phase
    reads: tuple[int | None, ...]
    writes: tuple[int | None, ...]
    size: int = 0


@dataclass(frozen=True)
class EntryPlan:
    """The body of one entry point."""

    calls: tuple[Call, ...]
    memory: MemoryPlan
    graph: Graph
    roles: Roles
