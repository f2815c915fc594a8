"""The steps of a block, checked against what they were planned from.

Enters: a `Block`. Leaves: nothing, or a `PlanError`. Always holds: it knows nothing of how the plan
was made: it follows the steps one after the other and keeps account of which value each byte holds.

So whatever an order, a lifetime, an offset or an overlay got wrong is seen where it does harm: a
step reads bytes that something else has been written to. Of a loop it follows the first turns, of a
branch both sides. It costs a few microseconds a step.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from ..dtypes import item_bytes
from ..index import Index, Var, replace_vars
from .buffers import Array, Buffer, Value, View
from .offsets import PlanError
from .steps import Block, Branch, Copy, Guard, Repeat, Run, Step, Use

TURNS = 3
"""Turns of a loop that are followed: what one turn leaves, the next two see."""

ARENA = "arena"


@dataclass(frozen=True)
class Where:
    """Bytes [start, end) of the arena, or of a buffer outside it."""

    part: Hashable
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Content:
    """A value that was made once; made again, as by the next turn of a loop, it is another."""

    value: Value


@dataclass(frozen=True)
class Piece:
    """Bytes [start, end) of a content whose first byte is at `origin`."""

    start: int
    end: int
    content: Content
    origin: int


def check_block(block: Block) -> None:
    """Every array has the size that its parameter needs, lies within the arena, overlaps no other
    of its call, and holds at every read the value that is read; at the end the outputs are there.
    """
    memory, scope = _Memory(), _Scope(_offsets(block, 0), {})
    for value, array in block.inputs.items():
        memory.write(scope.where(array), scope.make(value))
    memory.written.clear()
    _follow(block, memory, scope)


class _Memory:
    """Which content each byte holds, of the arena and of each buffer outside it."""

    def __init__(self) -> None:
        self.pieces: dict[Hashable, list[Piece]] = {}  # by start; no two overlap
        self.written: list[Where] = []

    def copy(self) -> _Memory:
        other = _Memory()
        other.pieces = {part: list(pieces) for part, pieces in self.pieces.items()}
        other.written = list(self.written)
        return other

    def at(self, where: Where) -> list[Piece]:
        """The pieces that share a byte with these."""
        pieces = self.pieces.get(where.part, [])
        first = bisect_right(pieces, where.start, key=lambda p: p.end)
        last = bisect_left(pieces, where.end, key=lambda p: p.start)
        return pieces[first:last]

    def write(self, where: Where, content: Content) -> None:
        """From now on the bytes hold this; what they held is lost."""
        self.written.append(where)
        if where.start == where.end:
            return
        pieces = self.pieces.setdefault(where.part, [])
        first = bisect_right(pieces, where.start, key=lambda p: p.end)
        last = bisect_left(pieces, where.end, key=lambda p: p.start)
        new = [Piece(where.start, where.end, content, where.start)]
        if first < last:
            a, b = pieces[first], pieces[last - 1]
            if a.start < where.start:
                new.insert(0, Piece(a.start, where.start, a.content, a.origin))
            if b.end > where.end:
                new.append(Piece(where.end, b.end, b.content, b.origin))
        pieces[first:last] = new

    def holds(self, where: Where, content: Content | None, *, whole: bool) -> bool:
        """Whether the bytes are those of a content, or of a part of it."""
        at = where.start
        pieces = self.at(where)
        origin = where.start if whole or not pieces else pieces[0].origin
        for p in pieces:
            if p.start > at or p.content is not content or p.origin != origin:
                return False
            at = p.end
        return at >= where.end


@dataclass
class _Scope:
    """A block that is followed: where its buffers are, its counters, and the values it knows.

    Of those in `parts` only a part lies where they are read.
    """

    offsets: Mapping[Buffer, int]
    counters: Mapping[Var, Index]
    contents: dict[Value, Content] = field(default_factory=dict)
    parts: set[Value] = field(default_factory=set)

    def make(self, value: Value) -> Content:
        self.contents[value] = Content(value)
        return self.contents[value]

    def where(self, array: Array) -> Where:
        buffer, start = array.base, 0
        if isinstance(array, View):
            first = replace_vars(array.first, self.counters)
            start = first.const * item_bytes(buffer.dtype)
        if buffer not in self.offsets:
            return Where(buffer, start, start + array.nbytes)
        start += self.offsets[buffer]
        return Where(ARENA, start, start + array.nbytes)

    def require(self, memory: _Memory, array: Array, value: Value) -> None:
        """Complain unless the array holds this value."""
        where, content = self.where(array), self.contents.get(value)
        if not memory.holds(where, content, whole=value not in self.parts):
            found = memory.at(where)
            exact = len(found) == 1 and (found[0].start, found[0].end) == (where.start, where.end)
            holds = f"#{found[0].content.value}" if exact else "nothing"
            raise PlanError(f"{array.home} `{array.name}` holds {holds} where #{value} is read")


def _follow(block: Block, memory: _Memory, scope: _Scope) -> None:
    for number, step in enumerate(block.steps, 1):
        try:
            _check_sizes(block, step)
            _check_apart(step, scope)
            if not isinstance(step, Repeat):
                for use in step.uses:
                    if use.read is not None:
                        scope.require(memory, use.array, use.read)
            _take(step, memory, scope)
        except PlanError as error:
            raise PlanError(f"step {number}, {step.label}: {error}") from None
    for value, array in block.outputs.items():
        scope.require(memory, array, value)


def _take(step: Step, memory: _Memory, scope: _Scope) -> None:
    """What a step does to memory."""
    match step:
        case Run():
            pass
        case Copy():
            memory.write(scope.where(step.target), scope.contents[step.value])
            return
        case Guard():
            if any(where.part != ARENA for where in memory.written):
                raise PlanError("something outside the arena is written before it")
        case Repeat():
            _repeat(step, memory, scope)
        case Branch():
            _branch(step, memory, scope)
        case _:
            assert_never(step)
    for use in step.uses:
        if use.written is not None or use.read is None:
            memory.write(scope.where(use.array), scope.make(use.written))


def _repeat(step: Repeat, memory: _Memory, scope: _Scope) -> None:
    """The first turns: what one makes is there for the next, and what it stacks stays."""
    for c in step.starts:
        scope.require(memory, c.source, c.value)
        memory.write(scope.where(c.target), scope.contents[c.value])
    v, block = step.var, step.block
    turns = range(v.first, v.extent, v.step)
    before: dict[Value, Content] = {}
    stacked: list[tuple[Where, Content]] = []
    for k in (turns[::-1] if step.reverse else turns)[:TURNS]:
        inner = _inside(step, block, scope, {v: Index((), k)})
        for value, array in block.inputs.items():
            carried = value in step.carries
            made = before.get(step.carries[value]) if carried else None
            inner.contents[value] = made or _known(scope, step.sources[value])
            if not carried and isinstance(array, View):
                inner.parts.add(value)
            inner.require(memory, array, value)
        _follow(block, memory, inner)
        before = inner.contents
        carries = set(step.carries.values())
        stacked += [
            (inner.where(array), inner.contents[value])
            for value, array in block.outputs.items()
            if value not in carries
        ]
    for where, content in stacked:
        if not memory.holds(where, content, whole=True):
            raise PlanError(f"#{content.value} of one turn is lost in another")


def _branch(step: Branch, memory: _Memory, scope: _Scope) -> None:
    """Both sides begin with the same; what either writes is lost, but for what both make."""
    lost: list[Where] = []
    for block in step.blocks:
        side, inner = memory.copy(), _inside(step, block, scope, {})
        for value, array in block.inputs.items():
            inner.contents[value] = _known(scope, step.sources[value])
            inner.require(side, array, value)
        _follow(block, side, inner)
        lost += side.written[len(memory.written) :]
    for where in lost:
        memory.write(where, Content(None))


def _inside(
    step: Repeat | Branch, block: Block, scope: _Scope, counters: Mapping[Var, Index]
) -> _Scope:
    """The scope of a block inside a step."""
    base = 0 if step.frame is None else scope.offsets[step.frame]
    room = 0 if step.frame is None else step.frame.nbytes
    if block.memory.arena_bytes > room:
        raise PlanError(f"its block needs {block.memory.arena_bytes} bytes of {room}")
    return _Scope({**scope.offsets, **_offsets(block, base)}, {**scope.counters, **counters})


def _known(scope: _Scope, value: Value) -> Content:
    if value not in scope.contents:
        raise PlanError(f"#{value} is not made before it")
    return scope.contents[value]


def _offsets(block: Block, base: int) -> dict[Buffer, int]:
    return {b.id: base + b.offset for b in block.memory.buffers if isinstance(b.id, Buffer)}


def _check_sizes(block: Block, step: Step) -> None:
    """A parameter, its array and its place in the arena have one number of bytes."""
    if isinstance(step, Run):
        params = (*step.kernel.params, *step.kernel.scratch)
        for use, p in zip(step.uses, params, strict=True):
            needed = p.size * item_bytes(p.dtype)
            if use.array.nbytes != needed:
                size = use.array.nbytes
                raise PlanError(f"`{use.array.name}` has {size} bytes, its parameter {needed}")
    if isinstance(step, Copy) and step.source.nbytes != step.target.nbytes:
        raise PlanError(f"{step.source.nbytes} bytes are copied to {step.target.nbytes}")
    for use in step.uses:
        buffer = use.array.base
        planned = block.memory.by_id.get(buffer)
        if planned is None:
            continue
        if planned.size != buffer.nbytes:
            raise PlanError(f"`{planned.name}` has {planned.size} bytes, not {buffer.nbytes}")
        if planned.offset < 0 or planned.offset + planned.size > block.memory.arena_bytes:
            raise PlanError(f"`{planned.name}` leaves the arena: {planned}")


def _check_apart(step: Step, scope: _Scope) -> None:
    """No two of the arrays that a kernel is handed share a byte if it writes to one: `restrict`."""
    if not isinstance(step, Run):
        return
    spans = [(scope.where(use.array), use) for use in step.uses]
    for k, (a, one) in enumerate(spans):
        for b, other in spans[k + 1 :]:
            meet = a.part == b.part and a.start < b.end and b.start < a.end
            if meet and (_writes(one) or _writes(other)):
                pair = f"`{one.array.name}` and `{other.array.name}`"
                raise PlanError(
                    f"{pair} share bytes of {a.part if a.part == ARENA else 'an array'}"
                )


def _writes(use: Use) -> bool:
    return use.written is not None or use.read is None
