"""The bodies of the entry points: checks, the table of the arena, the kernel calls in order.

Enters: planned entry points and the names of the kernels. Leaves: their functions in a writer.
Always holds: an entry point reads as the list of what it does, phase by phase; nothing is computed
before its arguments have been checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..cnames import Names
from ..dtypes import c_name, limits
from ..lower.reserved import RESERVED
from ..plan.buffers import Buffer
from ..plan.steps import Block
from .entry import Argument, Check, Entry
from .extents import Extents
from .indices import product_text
from .interface import Interface
from .layout import PARAMS
from .parts import Part, parts_of, used_arguments, used_buffers
from .steps import Functions, StepPrinter
from .writer import Writer


@dataclass(frozen=True)
class CallPrinter:
    """Prints entry points, whose kernels are printed already. `global_names` are the file's."""

    interface: Interface
    functions: Functions
    extents: Extents
    global_names: Names

    def entry(self, e: Entry) -> Writer:
        """One call of the entry point, behind the functions of its parts if it is long."""
        w = Writer()
        parts = [(part, self._part(w, e, part)) for part in parts_of(e)]
        w.comment(self.interface.describe(e))
        self.interface.signature(w, e, "")
        with w.block(""):
            for c in e.checks:
                self._check(w, e, c)
            if e.checks and e.plan.steps:
                w.line()
            for name in self._unused(e):
                w.line(f"(void){name};")
            if e.returns_value:
                w.line(f"{c_name(e.outputs[0].dtype)} {e.outputs[0].identifier};")
            w.table([(call, f"calls {p.steps[0] + 1}-{p.steps[-1] + 1}") for p, call in parts])
            if not parts:
                self._steps(w, e, e.plan)
            w.line(f"return {e.outputs[0].identifier if e.returns_value else self.interface.ok};")
        w.line()
        return w

    def _steps(self, w: Writer, e: Entry, block: Block, first: int | None = None) -> None:
        """The steps of an entry point, or of the part of it that begins with number `first`."""
        names = self._names(e)
        pointers, members = self._sections(w, e, block, names)
        inside = first is not None
        printed = self.functions, self.extents
        steps = StepPrinter(self.interface, *printed, e, names, members, by_pointer=inside)
        if steps.pointers(w, block) or pointers:
            w.line()
        steps.paragraphs(w, block, first or 0)

    def _part(self, w: Writer, e: Entry, part: Part) -> str:
        """The function of a part of an entry point; the call of it."""
        outputs, args = used_arguments(e, part.block)
        homes = {b.home for b in used_buffers(part.block)}
        declared: list[str] = []
        given: list[str] = []
        if "state" in homes:
            const = "" if e.updates else "const "
            declared.append(f"{const}{self.interface.name}_{e.scope} *{e.scope}")
            given.append(e.scope)
        for a in outputs:
            declared.append(f"{c_name(a.dtype)} *{a.identifier}")
            given.append(f"&{a.identifier}" if e.returns_value else a.identifier)
        for a in sorted(args, key=lambda a: not a.shape):
            const, star = ("const ", "*") if a.shape else ("", "")
            declared.append(f"{const}{c_name(a.dtype)} {star}{a.identifier}")
            given.append(a.identifier)
        if homes & {"arena", "scratch"}:
            declared.append(f"{self.interface.arena_type} *arena")
            given.append("arena")
        name = self.global_names.fresh("_".join(filter(None, (e.name, part.word))))
        w.comment(
            f"Calls {part.steps[0] + 1}-{part.steps[-1] + 1} of {self.interface.function(e)}."
        )
        w.need("gradc_base.h")
        w.call(f"GRADC_PHASE void {name}", declared or ["void"], "")
        with w.block(""):
            self._steps(w, e, part.block, part.first)
        w.line()
        return f"{name}({', '.join(given)});"

    def _check(self, w: Writer, e: Entry, c: Check) -> None:
        a = e.args[c.position]
        value = f"{a.identifier}[k]" if a.shape else a.identifier
        least, greatest = limits(a.dtype)
        tests = [f"{value} < {c.lower}"] if c.lower > least else []
        tests += [f"{value} >= {c.upper}"] if c.upper <= greatest else []
        refused = f"return {self.interface.refusal(e, c)};"
        if not a.shape:
            with w.block(f"if ({' || '.join(tests)})"):
                w.line(refused)
            return
        size = " * ".join(self.extents.argument(e, c.position))
        with w.loop("k", size), w.block(f"if ({' || '.join(tests)})"):
            w.line(refused)

    def _unused(self, e: Entry) -> list[str]:
        """The parameters that nothing reads or writes, of which a compiler would warn."""
        used = {(b.home, b.number) for b in used_buffers(e.plan)}
        state = any(home == "state" for home, _ in used)
        checked = {e.args[c.position] for c in e.checks}
        args = [a for k, a in enumerate(e.args) if a not in checked and ("argument", k) not in used]
        outputs = [
            a for k, a in enumerate(e.outputs)
            if ("output", k) not in used and not e.returns_value
        ]  # fmt: skip
        unused = [a.identifier for a in (*args, *outputs)]
        return unused if state or not e.scope else [e.scope, *unused]

    # What the calls are handed

    def _names(self, e: Entry) -> Names:
        """The names that are free in an entry point."""
        taken = {a.identifier for a in (*e.args, *e.outputs)}
        taken |= {function for function, _, _ in self.functions.kernels.values()}
        taken |= {"state", PARAMS} if e.scope == PARAMS else {"state"}
        return Names(RESERVED | frozenset(taken))

    def _sections(
        self, w: Writer, e: Entry, block: Block, names: Names
    ) -> tuple[set[str], dict[Buffer, str]]:
        """A pointer for each struct inside the state that the steps use, and what their members
        are called; a member that stands by itself is reached through the state.
        """
        layout = self.interface.layout
        used = [b for b in used_buffers(block) if b.home == "state"]
        if layout is None:
            return set(), {}
        pointers: dict[str, str] = {}
        for section in layout.sections:
            if all(layout.members[b.number].section != section.identifier for b in used):
                continue
            if e.scope == PARAMS:
                pointers[section.identifier] = PARAMS
                continue
            pointers[section.identifier] = names.fresh(section.identifier)
            kind = section.type if e.updates else f"const {section.type}"
            where = f"&state->{section.identifier}"
            w.line(f"{kind} *const {pointers[section.identifier]} = {where};")
        found = {}
        for b in used:
            member = layout.members[b.number]
            struct = pointers.get(member.section, "state")
            found[b] = f"{'' if member.shape else '&'}{struct}->{member.identifier}"
        return set(pointers), found

    # Many steps

    def many(self, e: Entry) -> Writer:
        """Many steps in one call: gather the batch, step, keep the results."""
        w, rows = Writer(), e.batch or 1
        texts = {a.identifier: self.extents.argument(e, k) for k, a in enumerate(e.args)}
        # What is given row by row has no other leading extent than the batch's.
        leading = next((texts[a.identifier][0] for a in e.arrays), str(rows))
        w.comment(self.interface.describe_many(e))
        self.interface.many_signature(w, e, "")
        fields = {a.identifier: f for f, a in self.interface.steps_arena_members(e)}
        batch = {a.identifier: f"arena->{fields[a.identifier]}" for a in e.gathered}
        with w.block(""):
            w.line("*done = 0;")
            with w.block("for (size_t k = 0; k < count; ++k)"):
                if rows > 1:
                    with w.loop("i", leading):
                        w.line(f"const size_t row = order[k * {leading} + i];")
                        self._stop(w)
                        for a in e.gathered:
                            self._gather(w, a, batch[a.identifier], texts[a.identifier][1:])
                else:
                    w.line("const size_t row = order[k];")
                    self._stop(w)
                given = [
                    batch.get(a.identifier)
                    or f"&{_row(a.identifier, 'row', texts[a.identifier][1:])}"
                    for a in e.arrays
                ]
                outs = [f"&{_row(a.identifier, 'k', tuple(map(str, a.shape)))}" for a in e.outputs]
                scratch = ["&arena->step" if e.gathered else "arena"] if e.arena else []
                args = ["state", *outs, *given, *(a.identifier for a in e.scalars), *scratch]
                self._step(w, e, args)
                w.line("*done = k + 1;")
            w.line(f"return {self.interface.ok};")
        w.line()
        return w

    def _stop(self, w: Writer) -> None:
        with w.block("if (row >= samples)"):
            w.line(f"return {self.interface.order_out_of_range};")

    def _step(self, w: Writer, e: Entry, args: list[str]) -> None:
        """The call of one step, and the end of them all if it fails."""
        if not e.checks:
            w.call(self.interface.function(e), args, ";")
            return
        w.call(f"const int status = {self.interface.function(e)}", args, ";")
        with w.block(f"if (status != {self.interface.ok})"):
            w.line("return status;")

    def _gather(self, w: Writer, a: Argument, batch: str, extents: Sequence[str]) -> None:
        """Row `row` of an argument, of these extents, becomes row i of the batch."""
        target, source = _row(batch, "i", extents), _row(a.identifier, "row", extents)
        if not product_text(extents):
            w.line(f"{target} = {source};")
            return
        w.need("string.h")
        size = f"sizeof({c_name(a.dtype)}) * {product_text(extents)}"
        w.call("memcpy", [f"&{target}", f"&{source}", size], ";")


def _row(array: str, index: str, extents: Sequence[str]) -> str:
    """The first element of row `index` of an array whose rows have these extents."""
    width = product_text(extents)
    return f"{array}[{index} * {width}]" if width else f"{array}[{index}]"
