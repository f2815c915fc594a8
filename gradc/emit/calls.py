"""The bodies of the entry points: checks, the table of the arena, the kernel calls in order.

Enters: planned entry points and the names of the kernels. Leaves: their functions in a writer.
Always holds: an entry point reads as the list of what it does, phase by phase; nothing is computed
before its arguments have been checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..dtypes import DType, c_name, item_bytes, limits, short
from ..lower.bind import Call, Phase, Place
from ..lower.pointwise import Names, identifier
from ..lower.reserved import ARGUMENTS, RESERVED
from .entry import Argument, Check, Declarations, Entry, aligned
from .state import Member
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
    constant; `made_for` is the name of the kernel that a function was printed for.
    """

    d: Declarations
    members: Sequence[Member]
    kernels: Mapping[tuple[str, int], tuple[str, int, int]]
    constants: Mapping[tuple[str, int], str]
    made_for: Mapping[str, str]

    def entry(self, e: Entry) -> Writer:
        """One call of the entry point."""
        w = Writer()
        w.comment(self.d.describe(e))
        self.d.signature(w, e, "")
        with w.block(""):
            for c in e.checks:
                self._check(w, e, c)
            for name in self._unused(e):
                w.line(f"(void){name};")
            names = self._pointers(w, e)
            if e.returns_value:
                w.line(f"{c_name(e.outputs[0].dtype)} {e.outputs[0].identifier};")
            phase: Phase | None = None
            for position, call in enumerate(e.plan.calls):
                if call.phase is not phase and e.updates:
                    w.comment(PHASES[call.phase])
                phase = call.phase
                self._call(w, e, position, call, names)
            if e.returns_value:
                w.line(f"return {e.outputs[0].identifier};")
            elif e.checks:
                w.line("return 0;")
        w.line()
        return w

    def _check(self, w: Writer, e: Entry, c: Check) -> None:
        a = e.args[c.position]
        result = "NAN" if e.returns_value else str(1 + c.position)
        value = f"{a.identifier}[k]" if a.shape else a.identifier
        least, greatest = limits(a.dtype)
        tests = [f"{value} < {c.lower}"] if c.lower > least else []
        tests += [f"{value} >= {c.upper}"] if c.upper <= greatest else []
        if not a.shape:
            with w.block(f"if ({' || '.join(tests)})"):
                w.line(f"return {result};")
            return
        with w.loop("k", a.size), w.block(f"if ({' || '.join(tests)})"):
            w.line(f"return {result};")

    def _unused(self, e: Entry) -> list[str]:
        """The parameters that nothing reads or writes, of which a compiler would warn."""
        used = {place for call in e.plan.calls for place in call.places}
        state = any(place.kind == "state" for place in used)
        checked = {e.args[c.position] for c in e.checks}
        args = [
            a for k, a in enumerate(e.args) if a not in checked and Place("argument", k) not in used
        ]
        first = len(e.outputs) - len(e.pointers)
        outputs = [a for k, a in enumerate(e.pointers, first) if Place("output", k) not in used]
        unused = [a.identifier for a in (*args, *outputs)]
        return unused if state or not e.has_state else ["state", *unused]

    def _pointers(self, w: Writer, e: Entry) -> dict[Place, str]:
        """The table of the arena: a pointer for each buffer the calls use."""
        used: dict[Place, tuple[DType, tuple[int, ...]]] = {}
        for call in e.plan.calls:
            params = () if call.kernel is None else (*call.kernel.params, *call.kernel.scratch)
            for p, place in zip(params, call.places, strict=False):  # a copy's are known by then
                if place.in_arena:
                    used.setdefault(place, (p.dtype, p.shape))
        taken = {a.identifier for a in (*e.args, *e.outputs)} | {
            n for n, _, _ in self.kernels.values()
        }
        names = Names(RESERVED | frozenset(taken) | {"base"})
        if not used:
            w.line("(void)arena;")
            return {}
        w.line("unsigned char *const base = (unsigned char *)arena;")
        found: dict[Place, str] = {}
        planned_of = e.plan.memory.by_id
        for place in sorted(used, key=lambda p: (planned_of[p].first, planned_of[p].name)):
            dtype, shape = used[place]
            planned = planned_of[place]
            found[place] = names.fresh(identifier(place.name))
            kind = c_name(dtype)
            where = f"({kind} *)(void *)(base + {planned.offset})"
            live = f"kernels {planned.first + 1}-{planned.last}"
            w.line(f"{kind} *const {found[place]} = {where}; /* {short(dtype, shape)}, {live} */")
        w.line()
        return found

    def _call(
        self, w: Writer, e: Entry, position: int, call: Call, names: dict[Place, str]
    ) -> None:
        args = [self._expression(e, place, names) for place in call.places]
        if call.kernel is None:
            w.line(f"memcpy({args[0]}, {args[1]}, {call.size});")
            return
        name = self.kernels[(e.name, position)][0]
        if self.made_for[name] != call.kernel.name:
            w.comment(f"{call.kernel.name}, which is the same function on other arrays:")
        w.call(name, args, ";", call.kernel.nodes)

    def _expression(self, e: Entry, place: Place, names: dict[Place, str]) -> str:
        match place.kind:
            case "state":
                return self.members[place.key].expression
            case "constant":
                return self.constants[(e.name, place.key)]
            case "output" if e.returns_value and place.key == 0:
                return f"&{e.outputs[0].identifier}"
            case "argument":
                return e.args[place.key].identifier
            case "output":
                return e.outputs[place.key].identifier
        return names[place]

    def many(self, e: Entry) -> Writer:
        """Many steps in one call: gather the batch, step, keep the results."""
        w, rows = Writer(), e.batch or 1
        w.comment(self.d.describe_many(e))
        self.d.many_signature(w, e, "")
        data = [a for a in e.args if a.shape]
        names = Names(ARGUMENTS | {a.identifier for a in (*e.args, *e.outputs)})
        batch = {a.identifier: names.fresh(f"{a.identifier}_batch") for a in data}
        with w.block(""):
            if rows > 1:
                w.line("unsigned char *const base = (unsigned char *)arena;")
                offset = aligned(e.plan.memory.arena_bytes)
                for a in data:
                    kind = c_name(a.dtype)
                    where = f"({kind} *)(void *)(base + {offset})"
                    w.line(
                        f"{kind} *const {batch[a.identifier]} = {where};"
                        f" /* {short(a.dtype, a.shape)} */"
                    )
                    offset += aligned(a.size * item_bytes(a.dtype))
            with w.block("for (size_t k = 0; k < count; ++k)"):
                if rows > 1:
                    with w.loop("i", rows):
                        w.line(f"const size_t sample = order[k * {rows} + i];")
                        self._stop(w)
                        for a in data:
                            self._gather(w, a, batch[a.identifier], a.size // rows)
                else:
                    w.line("const size_t sample = order[k];")
                    self._stop(w)
                given = [
                    (batch[a.identifier] if rows > 1 else f"&{_row(a.identifier, 'sample', a)}")
                    if a.shape
                    else a.identifier
                    for a in e.args
                ]
                outs = [f"&{_row(a.identifier, 'k', a)}" for a in e.pointers]
                result = f"{e.outputs[0].identifier}[k] = " if e.returns_value else ""
                w.call(f"{result}{self.d.function_name(e)}", ["state", *given, *outs, "arena"], ";")
            w.line("return count;")
        w.line()
        return w

    def _stop(self, w: Writer) -> None:
        with w.block("if (sample >= samples)"):
            w.line("return k;")

    def _gather(self, w: Writer, a: Argument, batch: str, width: int) -> None:
        """Row `sample` of an argument becomes row i of the batch."""
        if width == 1:
            w.line(f"{batch}[i] = {a.identifier}[sample];")
            return
        target = f"&{batch}[i * {width}]"
        source = f"&{a.identifier}[sample * {width}]"
        w.line(f"memcpy({target}, {source}, {width * item_bytes(a.dtype)});")


def _row(array: str, index: str, a: Argument) -> str:
    """The first element of row `index` of an array whose rows have the size of `a`."""
    return f"{array}[{index}]" if a.size == 1 else f"{array}[{index} * {a.size}]"
