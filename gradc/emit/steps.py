"""The steps of a block as C: calls, copies, loops, branches, and the arrays that they are handed.

Enters: a planned block, the functions of its kernels, the names of what lies outside the arena.
Leaves: statements in a writer. Always holds: one step is one statement, and a loop reads as a loop;
the pointers into the arena stand as a table before the steps that use them; the steps of an entry
point stand in paragraphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from ..cnames import Names, identifier
from ..dtypes import c_name, item_bytes
from ..index import Index, Var, at, replace_vars
from ..plan.buffers import Array, Buffer
from ..plan.steps import (
    Block,
    Branch,
    Copy,
    Guard,
    Path,
    Repeat,
    Run,
    Step,
    arrays_of,
    blocks_of,
    offsets_of,
    walk,
)
from .entry import Entry
from .expressions import index_text
from .extents import Extents
from .indices import product_text, shape_text
from .interface import Interface
from .paragraphs import paragraphs
from .passing import operands
from .writer import Writer


@dataclass(frozen=True)
class Functions:
    """What is printed already. `kernels` names the function of each call, with its first and last
    line, `constants` the array of each constant; `made_for` is the name of the kernel that a
    function was printed for, and `order` says which of a kernel's parameters is its first, second,
    ... one.
    """

    kernels: Mapping[tuple[str, Path], tuple[str, int, int]]
    constants: Mapping[Buffer, str]
    made_for: Mapping[str, str]
    order: Mapping[str, tuple[int, ...]]


class StepPrinter:
    """Prints the steps of one entry point. `members` is what arrays of the state are called."""

    def __init__(
        self,
        interface: Interface,
        functions: Functions,
        extents: Extents,
        e: Entry,
        names: Names,
        members: Mapping[Buffer, str],
        *,
        by_pointer: bool = False,
    ) -> None:
        self.interface = interface
        self.functions = functions
        self.extents = extents
        self.e = e
        self.names = names
        self.called = dict(members)
        self.offsets = offsets_of(e.plan)
        self.counters: dict[Var, Index] = {}
        self.returns_value = e.returns_value and not by_pointer

    def pointers(self, w: Writer, block: Block) -> bool:
        """The table of the arena: a pointer for each buffer of a block that is used; whether there
        are any.
        """
        planned_of, rows = block.memory.by_id, []
        held = {array.base: value for value, array in block.places.items()}
        used = {b for b in _used(block) if b in planned_of}
        for b in sorted(used, key=lambda b: (planned_of[b].first, planned_of[b].name)):
            planned = planned_of[b]
            self.called[b] = self.names.fresh(identifier(b.name))
            field, start = self.interface.arena_field(b.dtype), self.offsets[b]
            where = f"&arena->{field}[{start // item_bytes(b.dtype)}]"
            if isinstance(planned.over, Buffer) and planned.over in used:
                where = self.called[planned.over]
            first, last = planned.first + 1, planned.last
            live = f"calls {first}-{last}" if first < last else f"call {first}"
            shape = shape_text(self.extents.shape(self.e, held.get(b), b.shape))
            shown = f"{shape}, {live}" if shape else live
            rows.append((f"{c_name(b.dtype)} *const {self.called[b]} = {where};", shown))
        w.table(rows)
        return bool(rows)

    def paragraphs(self, w: Writer, block: Block, first: int = 0) -> None:
        """The steps of the entry point itself, of which this is number `first`, in paragraphs."""
        for k, paragraph in enumerate(paragraphs(self.e, self.interface.layout, block, first)):
            if k:
                w.line()
            w.comment(paragraph.heading)
            for number in paragraph.steps:
                self.step(w, block.steps[number - first], block, (number,))

    def steps(self, w: Writer, block: Block, above: Path) -> None:
        """The steps of a block inside of another."""
        for k, step in enumerate(block.steps):
            self.step(w, step, block, (*above, k))

    def step(self, w: Writer, step: Step, block: Block, path: Path) -> None:
        match step:
            case Run():
                self._call(w, step, block, path)
            case Copy():
                self._copy(w, step)
            case Repeat():
                for copy in step.starts:
                    self._copy(w, copy)
                with w.block(self._loop_head(step)):
                    self._inner(w, step.block, (*path, 0))
            case Branch():
                first, second = step.blocks
                with w.block(f"if ({self._element(step.test)})"):
                    self._inner(w, first, (*path, 0))
                if second.steps:
                    with w.otherwise():
                        self._inner(w, second, (*path, 1))
            case Guard():
                with w.block(f"if ({self._element(step.fault)})"):
                    w.line(f"return {self.interface.refusal(self.e, step)};")
            case _:
                assert_never(step)

    def _call(self, w: Writer, run: Run, block: Block, path: Path) -> None:
        name = self.functions.kernels[(self.e.name, path)][0]
        if self.functions.made_for[name] != run.kernel.name:
            w.comment(f"{run.kernel.name}, which is the same function on other arrays:")
        arrays = {o.position: o.array for o in operands(run, block)}
        args = [self._expression(arrays[position]) for position in self.functions.order[name]]
        w.call(name, args, ";", run.kernel.nodes)

    def _copy(self, w: Writer, copy: Copy) -> None:
        w.need("string.h")
        target, source = self._expression(copy.target), self._expression(copy.source)
        texts = self.extents.shape(self.e, copy.value, copy.source.shape)
        size = " * ".join(
            filter(None, [f"sizeof({c_name(copy.source.dtype)})", product_text(texts)])
        )
        w.call("memcpy", [target, source, size], ";")

    def _loop_head(self, step: Repeat) -> str:
        counter = Var(self.names.fresh(step.var.name), step.var.extent)
        self.counters[step.var] = at(counter)
        if step.reverse:
            return f"for (size_t {counter.name} = {counter.extent}; {counter.name}-- > 0;)"
        return (
            f"for (size_t {counter.name} = 0; {counter.name} < {counter.extent}; ++{counter.name})"
        )

    def _inner(self, w: Writer, block: Block, path: Path) -> None:
        self.pointers(w, block)
        self.steps(w, block, path)

    # Arrays

    def _expression(self, array: Array) -> str:
        """An array as an argument; a number that is passed by value as itself."""
        name = self._name(array.base)
        first = self._first(array)
        return f"&{name}[{index_text(first)}]" if first != Index() else name

    def _element(self, array: Array) -> str:
        """The only element of an array."""
        name, buffer, first = self._name(array.base), array.base, self._first(array)
        if first != Index():
            return f"{name}[{index_text(first)}]"
        return name if buffer.home == "argument" and not buffer.shape else f"*{name}"

    def _first(self, array: Array) -> Index:
        return replace_vars(array.first, self.counters)

    def _name(self, b: Buffer) -> str:
        e = self.e
        match b.home:
            case "constant":
                return self.functions.constants[b]
            case "output" if self.returns_value:
                return f"&{e.outputs[0].identifier}"
            case "argument":
                return e.args[b.number].identifier
            case "output":
                return e.outputs[b.number].identifier
        return self.called[b]


def _used(block: Block) -> set[Buffer]:
    """The buffers that steps are handed, here and in blocks inside."""
    found: set[Buffer] = set()
    for _, step, own in walk(block):
        if isinstance(step, Run):
            found.update(o.array.base for o in operands(step, own))
        else:
            found.update(array.base for array in arrays_of(step))
        if blocks_of(step) and isinstance(step, (Repeat, Branch)) and step.frame is not None:
            found.discard(step.frame)
    return found
