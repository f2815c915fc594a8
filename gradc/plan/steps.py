"""What a function does, step by step, and the arrays that each step is handed.

Enters: nothing (this file only defines the types). Leaves: `Block`s of steps. Always holds: the
steps form a tree: a loop and a branch hold blocks, each with an arena of its own, which lies in the
arena around it as one buffer for as long as the step takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import assert_never

from ..index import Var
from ..lower.nest import Kernel
from .buffers import Array, Buffer, Value, View
from .memory import MemoryPlan

Path = tuple[int, ...]
"""Where a step stands: its number in its block, the block's in the step around it, and so on."""


class Phase(Enum):
    """The part of a training step that a step of the plan belongs to."""

    FORWARD = "forward"
    TURN = "turn"
    BACKWARD = "backward"
    UPDATE = "update"
    COPY = "copy"


@dataclass(frozen=True)
class Use:
    """An array that a step is handed: the value it finds there, and that which it leaves.

    Scratch has neither.
    """

    array: Array
    read: Value | None = None
    written: Value | None = None


@dataclass(frozen=True)
class Run:
    """A call of a kernel; `uses` are those of its parameters, then of its scratch.

    `reads` are the values it reads in the order in which formulas of its results name them.
    """

    kernel: Kernel
    uses: tuple[Use, ...]
    phase: Phase = Phase.FORWARD
    reads: tuple[Value, ...] = ()

    @property
    def label(self) -> str:
        return self.kernel.name


@dataclass(frozen=True)
class Copy:
    """A value is copied from one array to another."""

    source: Array
    target: Array
    value: Value
    phase: Phase = Phase.COPY

    @property
    def uses(self) -> tuple[Use, ...]:
        return Use(self.target, None, self.value), Use(self.source, self.value)

    @property
    def label(self) -> str:
        return f"copy of {self.source.name}"


@dataclass(frozen=True)
class Repeat:
    """`block` for each value of the counter `var`, from the last to the first if `reverse`.

    `starts` are copies before the first turn. `sources` maps each value that a turn begins with to
    the value outside that lies there (a part of it, where a turn sees a part); `carries` those that
    the turn before has made to what it made. `frame` is where the block's arena lies.
    """

    var: Var
    block: Block
    sources: Mapping[Value, Value]
    carries: Mapping[Value, Value] = field(default_factory=dict)
    reverse: bool = False
    starts: tuple[Copy, ...] = ()
    uses: tuple[Use, ...] = ()
    frame: Buffer | None = None
    phase: Phase = Phase.FORWARD

    def __post_init__(self) -> None:
        if (self.var.first, self.var.step) != (0, 1):
            raise ValueError(f"turns are counted from 0, one by one, not as {self.var}")

    @property
    def label(self) -> str:
        return f"loop over {self.var.name}"


@dataclass(frozen=True)
class Branch:
    """One of two blocks: the second if `test`, of one element, is zero.

    `sources` maps the values that both begin with to those outside.
    """

    test: Array
    blocks: tuple[Block, Block]
    sources: Mapping[Value, Value]
    uses: tuple[Use, ...] = ()
    frame: Buffer | None = None
    phase: Phase = Phase.FORWARD

    @property
    def label(self) -> str:
        return f"branch on {self.test.name}"


@dataclass(frozen=True)
class Guard:
    """The function ends here, with nothing written outside the arena, unless `fault` is zero: then
    an element of what is called `what` lay outside lower <= x < upper.
    """

    fault: Array
    what: str
    lower: int
    upper: int
    uses: tuple[Use, ...] = ()
    phase: Phase = Phase.FORWARD

    @property
    def label(self) -> str:
        return f"guard of {self.what}"


Step = Run | Copy | Repeat | Branch | Guard


@dataclass(frozen=True)
class Block:
    """Steps in their order, and the arena that they share.

    `inputs` says where the values lie that are there before the first step, `outputs` where those
    must lie that are wanted after the last, and `places` where each value of the block is at first.
    """

    steps: tuple[Step, ...]
    memory: MemoryPlan
    inputs: Mapping[Value, Array]
    outputs: Mapping[Value, Array]
    places: Mapping[Value, Array]


def blocks_of(step: Step) -> tuple[Block, ...]:
    """The blocks inside a step."""
    match step:
        case Repeat():
            return (step.block,)
        case Branch():
            return step.blocks
        case Run() | Copy() | Guard():
            return ()
        case _:
            assert_never(step)


def walk(block: Block, above: Path = ()) -> Iterator[tuple[Path, Step, Block]]:
    """Every step with its path and its block, each before those inside it."""
    for k, step in enumerate(block.steps):
        yield (*above, k), step, block
        for n, inner in enumerate(blocks_of(step)):
            yield from walk(inner, (*above, k, n))


def runs(block: Block) -> Iterator[tuple[Path, Run, Block]]:
    """Every call of a kernel with its path and its block."""
    return ((path, step, own) for path, step, own in walk(block) if isinstance(step, Run))


def given_to(block: Block) -> Iterator[Array]:
    """The arrays of the inputs of a block, and of those inside it."""
    yield from block.inputs.values()
    for _, step, _ in walk(block):
        for inner in blocks_of(step):
            yield from inner.inputs.values()


def plans_inside(block: Block) -> Iterator[tuple[str, MemoryPlan]]:
    """The memory plans of the blocks inside, each with what it is the plan of."""
    for path, step, _ in walk(block):
        for n, inner in enumerate(blocks_of(step), 1):
            side = f", side {n}" if isinstance(step, Branch) else ""
            yield f"{step.label} (step {path[-1] + 1}){side}", inner.memory


def arrays_of(step: Step) -> Iterator[Array]:
    """The arrays that a step itself, and not one inside it, is handed."""
    yield from (use.array for use in step.uses)
    if isinstance(step, Repeat):
        yield from (array for copy in step.starts for array in (copy.target, copy.source))


def offsets_of(block: Block, base: int = 0) -> dict[Buffer, int]:
    """The byte at which each buffer begins, of the arena and of those inside it."""
    found: dict[Buffer, int] = {}
    for b in block.memory.buffers:
        assert isinstance(b.id, Buffer)
        found[b.id] = base + b.offset
    for step in block.steps:
        for inner in blocks_of(step):
            assert isinstance(step, (Repeat, Branch))
            found |= offsets_of(inner, 0 if step.frame is None else found[step.frame])
    return found


def frame_bytes(step: Repeat | Branch) -> int:
    """What the blocks inside a step need of the arena; only one of them runs at a time."""
    return max(block.memory.arena_bytes for block in blocks_of(step))


def moved(step: Step, to: Mapping[Buffer, Array]) -> Step:
    """The step with other arrays in place of some buffers."""

    def array(a: Array) -> Array:
        found = to.get(a.base)
        if found is None or isinstance(a, Buffer):
            return a if found is None else found
        return View(found.base, found.first + a.first, a.shape)

    def uses(given: Iterable[Use]) -> tuple[Use, ...]:
        return tuple(replace(use, array=array(use.array)) for use in given)

    def arrays(given: Mapping[Value, Array]) -> dict[Value, Array]:
        return {value: array(a) for value, a in given.items()}

    def block(b: Block) -> Block:
        places = arrays(b.inputs), arrays(b.outputs), arrays(b.places)
        return Block(tuple(moved(s, to) for s in b.steps), b.memory, *places)

    match step:
        case Run():
            return replace(step, uses=uses(step.uses))
        case Copy():
            return replace(step, source=array(step.source), target=array(step.target))
        case Repeat():
            starts = tuple(
                replace(c, source=array(c.source), target=array(c.target)) for c in step.starts
            )
            return replace(step, block=block(step.block), uses=uses(step.uses), starts=starts)
        case Branch():
            first, second = (block(b) for b in step.blocks)
            test = array(step.test)
            return replace(step, test=test, blocks=(first, second), uses=uses(step.uses))
        case Guard():
            return replace(step, fault=array(step.fault), uses=uses(step.uses))
        case _:
            assert_never(step)


def map_kernels(block: Block, f: Callable[[Kernel], Kernel]) -> Block:
    """The block with `f` of each kernel in place of the kernel."""

    def mapped(step: Step) -> Step:
        match step:
            case Run():
                return replace(step, kernel=f(step.kernel))
            case Repeat():
                return replace(step, block=map_kernels(step.block, f))
            case Branch():
                first, second = (map_kernels(b, f) for b in step.blocks)
                return replace(step, blocks=(first, second))
            case Copy() | Guard():
                return step
            case _:
                assert_never(step)

    return replace(block, steps=tuple(mapped(step) for step in block.steps))
