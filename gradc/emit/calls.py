"""The bodies of the entry points: checks, the table of the arena, the kernel calls in order.

Enters: planned entry points and the names of the kernels. Leaves: their functions in a writer.
Always holds: an entry point reads as the list of what it does, phase by phase; nothing is computed
before its arguments have been checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..cnames import Names, identifier
from ..dtypes import DType, c_name, item_bytes, limits
from ..lower.reserved import RESERVED
from ..plan.steps import Call, Phase, Place
from .entry import Argument, Check, Entry
from .interface import Interface
from .layout import PARAMS, StateLayout
from .passing import operands
from .writer import Writer

PHASES = {
    Phase.FORWARD: "forward pass",
    Phase.TURN: "the forward pass ends in the loss, where the backward pass begins",
    Phase.BACKWARD: (
        "backward pass, in reverse order; a parameter is updated as soon as its gradient is known"
    ),
    Phase.UPDATE: "the rest of the state",
    Phase.COPY: "new values of the state that could not be written in place",
}


@dataclass(frozen=True)
class CallPrinter:
    """Prints entry points. `kernels` names the function of each call, `constants` the array of each
    constant; `made_for` is the name of the kernel that a function was printed for, and `order` says
    which of a kernel's parameters is its first, second, ... one.
    """

    interface: Interface
    kernels: Mapping[tuple[str, int], tuple[str, int, int]]
    constants: Mapping[tuple[str, int], str]
    made_for: Mapping[str, str]
    order: Mapping[str, tuple[int, ...]]

    def entry(self, e: Entry) -> Writer:
        """One call of the entry point."""
        w = Writer()
        w.comment(self.interface.describe(e))
        self.interface.signature(w, e, "")
        with w.block(""):
            for c in e.checks:
                self._check(w, e, c)
            if e.checks and e.plan.calls:
                w.line()
            for name in self._unused(e):
                w.line(f"(void){name};")
            names = self._names(e)
            sections = self._sections(w, e, names)
            buffers = self._buffers(w, e, names)
            if sections or buffers:
                w.line()
            if e.returns_value:
                w.line(f"{c_name(e.outputs[0].dtype)} {e.outputs[0].identifier};")
            phase: Phase | None = None
            for position, call in enumerate(e.plan.calls):
                if call.phase is not phase and e.updates:
                    w.comment(PHASES[call.phase])
                phase = call.phase
                self._call(w, e, position, call, {**sections, **buffers})
            w.line(f"return {e.outputs[0].identifier if e.returns_value else self.interface.ok};")
        w.line()
        return w

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
        with w.loop("k", a.size), w.block(f"if ({' || '.join(tests)})"):
            w.line(refused)

    def _unused(self, e: Entry) -> list[str]:
        """The parameters that nothing reads or writes, of which a compiler would warn."""
        used = {place for call in e.plan.calls for place in call.places}
        state = any(place.kind == "state" for place in used)
        checked = {e.args[c.position] for c in e.checks}
        args = [
            a for k, a in enumerate(e.args) if a not in checked and Place("argument", k) not in used
        ]
        outputs = [
            a for k, a in enumerate(e.outputs)
            if Place("output", k) not in used and not e.returns_value
        ]  # fmt: skip
        unused = [a.identifier for a in (*args, *outputs)]
        return unused if state or not e.scope else [e.scope, *unused]

    # What the calls are handed

    def _names(self, e: Entry) -> Names:
        """The names that are free in an entry point."""
        taken = {a.identifier for a in (*e.args, *e.outputs)}
        taken |= {function for function, _, _ in self.kernels.values()}
        taken |= {"state", PARAMS} if e.scope == PARAMS else {"state"}
        return Names(RESERVED | frozenset(taken))

    def _sections(self, w: Writer, e: Entry, names: Names) -> dict[Place, str]:
        """A pointer for each struct inside the state that the calls use, and what their members
        are called; a member that stands by itself is reached through the state.
        """
        layout = self.interface.layout
        used = [p for call in e.plan.calls for p in call.places if p.kind == "state"]
        if layout is None:
            return {}
        pointers: dict[str, str] = {}
        for section in layout.sections:
            if all(_section(layout, p) != section.identifier for p in used):
                continue
            if e.scope == PARAMS:
                pointers[section.identifier] = PARAMS
                continue
            pointers[section.identifier] = names.fresh(section.identifier)
            kind = section.type if e.updates else f"const {section.type}"
            where = f"&state->{section.identifier}"
            w.line(f"{kind} *const {pointers[section.identifier]} = {where};")
        found = {}
        for p in used:
            member = layout.members[p.key]
            struct = pointers.get(member.section, "state")
            found[p] = f"{'' if member.shape else '&'}{struct}->{member.identifier}"
        return found

    def _buffers(self, w: Writer, e: Entry, names: Names) -> dict[Place, str]:
        """The table of the arena: a pointer for each buffer the calls use."""
        used: dict[Place, tuple[DType, tuple[int, ...]]] = {}
        for call in e.plan.calls:
            for o in () if call.kernel is None else operands(call, e.plan):
                if o.place.in_arena:  # a copy's are known by then
                    used.setdefault(o.place, (o.param.dtype, o.param.shape))
        found: dict[Place, str] = {}
        rows = []
        planned_of = e.plan.memory.by_id
        for place in sorted(used, key=lambda p: (planned_of[p].first, planned_of[p].name)):
            dtype, shape = used[place]
            planned = planned_of[place]
            found[place] = names.fresh(identifier(place.name))
            field, at = self.interface.arena_field(dtype), planned.offset // item_bytes(dtype)
            where = f"&arena->{field}[{at}]"
            if planned.over in found:
                where = found[planned.over]
            first, last = planned.first + 1, planned.last
            live = f"calls {first}-{last}" if first < last else f"call {first}"
            shown = f"{list(shape)}, {live}" if shape else live
            rows.append((f"{c_name(dtype)} *const {found[place]} = {where};", shown))
        w.table(rows)
        return found

    def _call(
        self, w: Writer, e: Entry, position: int, call: Call, names: Mapping[Place, str]
    ) -> None:
        if call.kernel is None:
            args = [self._expression(e, place, names) for place in call.places]
            w.need("string.h")
            w.line(f"memcpy({args[0]}, {args[1]}, {call.size});")
            return
        name = self.kernels[(e.name, position)][0]
        if self.made_for[name] != call.kernel.name:
            w.comment(f"{call.kernel.name}, which is the same function on other arrays:")
        places = {o.position: o.place for o in operands(call, e.plan)}
        args = [self._expression(e, places[position], names) for position in self.order[name]]
        w.call(name, args, ";", call.kernel.nodes)

    def _expression(self, e: Entry, place: Place, names: Mapping[Place, str]) -> str:
        match place.kind:
            case "constant":
                return self.constants[(e.name, place.key)]
            case "output" if e.returns_value:
                return f"&{e.outputs[0].identifier}"
            case "argument":
                return e.args[place.key].identifier
            case "output":
                return e.outputs[place.key].identifier
        return names[place]

    # Many steps

    def many(self, e: Entry) -> Writer:
        """Many steps in one call: gather the batch, step, keep the results."""
        w, rows = Writer(), e.batch or 1
        w.comment(self.interface.describe_many(e))
        self.interface.many_signature(w, e, "")
        fields = {a.identifier: f for f, a in self.interface.steps_arena_members(e)}
        batch = {a.identifier: f"arena->{fields[a.identifier]}" for a in e.gathered}
        with w.block(""):
            w.line("*done = 0;")
            with w.block("for (size_t k = 0; k < count; ++k)"):
                if rows > 1:
                    with w.loop("i", rows):
                        w.line(f"const size_t row = order[k * {rows} + i];")
                        self._stop(w)
                        for a in e.gathered:
                            self._gather(w, a, batch[a.identifier], a.size // rows)
                else:
                    w.line("const size_t row = order[k];")
                    self._stop(w)
                given = [
                    batch.get(a.identifier) or f"&{_row(a.identifier, 'row', a)}" for a in e.arrays
                ]
                outs = [f"&{_row(a.identifier, 'k', a)}" for a in e.outputs]
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

    def _gather(self, w: Writer, a: Argument, batch: str, width: int) -> None:
        """Row `row` of an argument becomes row i of the batch."""
        if width == 1:
            w.line(f"{batch}[i] = {a.identifier}[row];")
            return
        w.need("string.h")
        target = f"&{batch}[i * {width}]"
        source = f"&{a.identifier}[row * {width}]"
        w.line(f"memcpy({target}, {source}, {width * item_bytes(a.dtype)});")


def _section(layout: StateLayout, place: Place) -> str:
    return layout.members[place.key].section


def _row(array: str, index: str, a: Argument) -> str:
    """The first element of row `index` of an array whose rows have the size of `a`."""
    return f"{array}[{index}]" if a.size == 1 else f"{array}[{index} * {a.size}]"
